from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.data import BOS, EOS, PAD, UNK, Batch, DataError, Pair, TokenKind
from minitransformer.tasks import SYNTHETIC, FileTask, SyntheticTask, Task

names = st.sampled_from(sorted(SYNTHETIC))
seeds = st.integers(0, 2**32)


def pairs_of(batch: Batch) -> list[Pair]:
    """The pairs that a batch was made of."""
    return [
        ([n for n in source if n != PAD], [n for n in target if n not in (PAD, EOS)])
        for source, target in zip(batch.source.tolist(), batch.target_out.tolist(), strict=True)
    ]


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "answer"),
    [("copy", "3 1 4 1 11"), ("reverse", "11 1 4 1 3"), ("sort", "1 1 3 4 11")],
)
def test_a_synthetic_task_is_what_its_name_says(name: str, answer: str) -> None:
    task = SyntheticTask(name, vocab=12)
    ids = task.target(task.source_vocabulary.encode(["3", "1", "4", "1", "11"]))
    assert task.target_vocabulary.decode(ids) == answer.split()


def test_the_symbols_are_the_numbers_below_vocab() -> None:
    task = SyntheticTask("copy", vocab=12)
    assert task.source_vocabulary is task.target_vocabulary
    assert task.source_vocabulary.tokens[4:] == tuple(str(number) for number in range(12))
    assert task.tokens == "word"


@given(names, st.integers(3, 12), st.integers(4, 12), seeds, seeds)
def test_a_synthetic_batch_follows_the_rule(
    name: str, length: int, vocab: int, task_seed: int, batch_seed: int
) -> None:
    task = SyntheticTask(name, length, vocab, seed=task_seed, held_out=50)
    batch = task.sample(np.random.default_rng(batch_seed), 16)
    pairs = pairs_of(batch)
    assert len(pairs) == 16
    assert batch.source.shape[1] <= task.max_source == length
    assert batch.target_in.shape[1] <= task.max_target == length + 1
    assert (batch.target_in[:, 0] == BOS).all()
    assert ((batch.target_out == EOS).sum(axis=1) == 1).all()
    for source, target in pairs + task.test:
        assert 1 <= len(source) <= length
        assert target == task.target(source)
        assert all(UNK < n < len(task.source_vocabulary) for n in source)


@given(names, st.integers(2, 6), st.integers(4, 6), seeds)
def test_the_training_stream_never_holds_a_held_out_sequence(
    name: str, length: int, vocab: int, seed: int
) -> None:
    task = SyntheticTask(name, length, vocab, seed=seed)
    unseen = {tuple(source) for source, _ in task.test}
    drawn = {tuple(source) for source, _ in pairs_of(task.sample(np.random.default_rng(seed), 500))}
    assert not drawn & unseen


def test_the_training_stream_holds_everything_else_and_no_held_out_sequence() -> None:
    task = SyntheticTask("reverse", length=4, vocab=4)
    unseen = {tuple(source) for source, _ in task.test}
    drawn = {tuple(source) for source, _ in pairs_of(task.sample(np.random.default_rng(0), 50_000))}
    assert not drawn & unseen
    assert len(drawn) + len(unseen) == 4 + 4**2 + 4**3 + 4**4


def test_training_lengths_are_uniform_although_sequences_are_rejected() -> None:
    task = SyntheticTask("copy", length=4, vocab=4)
    pairs = pairs_of(task.sample(np.random.default_rng(0), 40_000))
    counts = Counter(len(source) for source, _ in pairs)
    assert sorted(counts) == [1, 2, 3, 4]
    assert all(abs(count - 10_000) < 500 for count in counts.values())


def test_a_thousand_distinct_sequences_are_held_out_evenly_over_the_lengths() -> None:
    task = SyntheticTask("sort")
    sources = {tuple(source) for source, _ in task.test}
    assert len(task.test) == len(sources) == 1000
    counts = Counter(map(len, sources))
    assert counts[1] == 0
    assert counts[2] == 10  # a tenth of the hundred that exist
    assert all(100 <= counts[length] <= 130 for length in range(3, 11))


def test_any_first_part_of_the_test_has_short_and_long_sequences() -> None:
    lengths = [len(source) for source, _ in SyntheticTask("copy").test[:100]]
    assert min(lengths) <= 3
    assert max(lengths) == 10


@given(st.integers(2, 6), st.integers(4, 12), st.integers(1, 2000), seeds)
def test_at_most_a_tenth_of_each_length_and_never_more_than_asked_is_held_out(
    length: int, vocab: int, held_out: int, seed: int
) -> None:
    task = SyntheticTask("copy", length, vocab, seed=seed, held_out=held_out)
    counts = Counter(len(source) for source, _ in task.test)
    assert counts[1] == 0
    assert all(count <= vocab**length // 10 for length, count in counts.items())
    assert 1 <= len(task.test) <= held_out


def test_a_small_space_holds_out_fewer_than_asked() -> None:
    task = SyntheticTask("copy", length=3, vocab=4)
    assert len(task.test) == 4**2 // 10 + 4**3 // 10


@given(names, seeds)
def test_the_seed_alone_determines_what_is_held_out(name: str, seed: int) -> None:
    test = SyntheticTask(name, seed=seed, held_out=20).test
    assert SyntheticTask(name, seed=seed, held_out=20).test == test
    assert SyntheticTask(name, seed=seed + 1, held_out=20).test != test


def test_long_sequences_over_many_symbols_are_no_trouble() -> None:
    task = SyntheticTask("sort", length=300, vocab=5000)
    assert len(task.test) == 1000
    assert task.sample(np.random.default_rng(0), 8).source.shape[1] <= 300


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"name": "shuffle"}, "unknown task 'shuffle'; the tasks are copy, reverse, sort"),
        ({"name": "copy", "length": 1}, "copy: length must be at least 2, not 1"),
        ({"name": "copy", "vocab": 1}, "copy: vocab must be at least 2, not 1"),
        ({"name": "copy", "held_out": 0}, "copy: held_out must be at least 1, not 0"),
        ({"name": "copy", "seed": -1}, "seed must be at least 0, not -1"),
        (
            {"name": "sort", "length": 3, "vocab": 2},
            "sort: length 3 and vocab 2 make too few sequences to hold any out; increase one",
        ),
    ],
)
def test_a_synthetic_task_that_cannot_be_is_refused(
    arguments: dict[str, object], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        SyntheticTask(**arguments)  # type: ignore[arg-type]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Sources n0 to n99, each with its number's square as a target."""
    path = tmp_path / "squares.tsv"
    path.write_text("".join(f"the n{n}\tis {n * n} now\n" for n in range(100)), encoding="utf-8")
    return path


@pytest.fixture(params=["synthetic", "file"])
def task(request: pytest.FixtureRequest, words: Path) -> Task:
    return SyntheticTask("reverse") if request.param == "synthetic" else FileTask(words)


def test_the_generator_alone_determines_the_training_stream(task: Task) -> None:
    rng = np.random.default_rng(7)
    task.sample(rng, 5)
    state = rng.bit_generator.state
    first = task.sample(rng, 64)
    second = task.sample(rng, 64)

    resumed = np.random.default_rng()
    resumed.bit_generator.state = state
    again: Task = pickle.loads(pickle.dumps(task))
    assert equal(again.sample(resumed, 64), first)
    assert equal(again.sample(resumed, 64), second)
    assert not equal(first, second)


def test_a_file_is_split_into_training_and_test(words: Path) -> None:
    task = FileTask(words)
    assert task.name == "squares.tsv"
    assert (len(task.training), len(task.test)) == (90, 10)
    assert (task.max_source, task.max_target) == (2, 4)
    lines = {
        " ".join(task.source_vocabulary.decode(source))
        + "\t"
        + " ".join(task.target_vocabulary.decode(target))
        for source, target in task.training
    }
    assert lines < set(words.read_text(encoding="utf-8").splitlines())


def test_the_vocabularies_know_the_training_lines_alone(words: Path) -> None:
    task = FileTask(words)
    assert "the" in task.source_vocabulary.tokens
    assert "the" not in task.target_vocabulary.tokens
    assert all(source[1] == UNK for source, _ in task.test)
    assert not any(UNK in source + target for source, target in task.training)


def test_training_batches_come_from_the_whole_training_part_and_from_nothing_else(
    words: Path,
) -> None:
    task = FileTask(words)
    drawn = pairs_of(task.sample(np.random.default_rng(0), 5000))
    assert sorted(set(map(str, drawn))) == sorted(map(str, task.training))


@given(
    lines=st.lists(
        st.tuples(st.text("ab", min_size=1, max_size=3), st.text("cd", min_size=1, max_size=2)),
        min_size=1,
        max_size=40,
    ).filter(lambda lines: len({source for source, _ in lines}) > 1),
    held_out=st.floats(0.01, 0.99),
    seed=seeds,
)
def test_a_held_out_source_is_never_trained_on_even_where_lines_repeat(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[tuple[str, str]],
    held_out: float,
    seed: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "repeats.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in lines), "utf-8")
    task = FileTask(path, "char", held_out, seed)
    trained = ["".join(task.source_vocabulary.decode(source)) for source, _ in task.training]
    assert trained
    assert task.test
    sources = {source for source, _ in lines}
    assert len(set(trained)) + len(task.test) == len(sources)
    assert sorted(trained) == sorted(source for source, _ in lines if source in set(trained))


def test_sources_that_differ_in_spaces_alone_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "spaces.tsv"
    path.write_text("a  b\tx\na b\ty\n", encoding="utf-8")
    with pytest.raises(DataError, match="the same source"):
        FileTask(path, "word")


@pytest.mark.parametrize(("tokens", "longest"), [("word", 2), ("char", 7)])
def test_lengths_are_counted_in_tokens(words: Path, tokens: TokenKind, longest: int) -> None:
    assert FileTask(words, tokens).max_source == longest


def test_at_most_a_thousand_lines_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "many.tsv"
    path.write_text("".join(f"{n}\t{n}\n" for n in range(3000)), encoding="utf-8")
    assert len(FileTask(path, held_out=0.5).test) == 1000


def test_the_seed_chooses_what_of_a_file_is_held_out(words: Path) -> None:
    tests = [str(FileTask(words, "char", seed=seed).test) for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


def test_a_file_task_that_cannot_be_is_refused(words: Path, tmp_path: Path) -> None:
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="held_out must be a share between 0 and 1"):
            FileTask(words, held_out=share)
    lone = tmp_path / "lone.tsv"
    lone.write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lone\.tsv: .* at least two are needed"):
        FileTask(lone)
    lone.write_text("a\tb\na b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lone\.tsv:2: no tabs"):
        FileTask(lone)
