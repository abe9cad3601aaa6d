"""Tasks of a user's own file: what is trained on, what is held out, what is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.forms import Masked
from minitransformer.settings import SettingError
from minitransformer.tasks import TASKS
from minitransformer.tasks.files import DataError
from minitransformer.tokens import TOKENISERS, Special, TokenKind, Words
from minitransformer.tokens.tokeniser import BERT

UNK = Special().unk

seeds = st.integers(0, 2**32)


def load(path: Path, seed: int = 0, task: str = "pairs", **settings: Any) -> Any:
    """The data of a file."""
    return TASKS[task](data=str(path), **settings).load(seed)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Sources n0 to n99, each with its number's square as a target."""
    path = tmp_path / "squares.tsv"
    path.write_text("".join(f"the n{n}\tis {n * n} now\n" for n in range(100)), encoding="utf-8")
    return path


def test_a_file_is_split_into_training_and_test(words: Path) -> None:
    data = load(words)
    assert data.name == "squares.tsv"
    assert (len(data.training), len(data.test), len(data.test_texts)) == (90, 10, 10)
    assert (data.form.max_source, data.form.max_target) == (2, 4)
    lines = {
        f"{data.form.text(source)}\t{data.form.write(target)}" for source, target in data.training
    }
    lines |= {"\t".join(texts) for texts in data.test_texts}
    assert lines == set(words.read_text(encoding="utf-8").splitlines())


def test_the_tokenisers_know_the_training_lines_alone(words: Path) -> None:
    data = load(words)
    assert "the" in data.form.source.words
    assert "the" not in data.form.target.words
    assert all(source[1] == UNK for source, _ in data.test)
    assert not any(UNK in source + target for source, target in data.training)


def test_examples_come_from_the_whole_training_part_and_from_nothing_else(words: Path) -> None:
    data = load(words)
    drawn = data.sample(np.random.default_rng(0), 5000)
    assert sorted(set(map(str, drawn))) == sorted(map(str, data.training))


def test_the_generator_alone_determines_the_training_stream(words: Path) -> None:
    data = load(words)
    first, again = (data.sample(np.random.default_rng(7), 64) for _ in range(2))
    assert first == again != data.sample(np.random.default_rng(8), 64)


def test_the_checksum_tells_whether_the_file_has_changed(words: Path) -> None:
    before = load(words).checksum
    assert load(words).checksum == before
    words.write_text(words.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert load(words).checksum != before


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
    data = load(path, seed, tokens="char", held_out=held_out)
    trained = [data.form.text(source) for source, _ in data.training]
    assert trained
    assert data.test
    sources = {source for source, _ in lines}
    assert len(set(trained)) + len(data.test) == len(sources)
    assert sorted(trained) == sorted(source for source, _ in lines if source in set(trained))


def test_sources_that_differ_in_spaces_alone_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "spaces.tsv"
    path.write_text("a  b\tx\na b\ty\n", encoding="utf-8")
    with pytest.raises(DataError, match="the same source"):
        load(path)


@pytest.mark.parametrize("tokens", TOKENISERS)
def test_spaces_around_a_text_do_not_matter(tmp_path: Path, tokens: str) -> None:
    path = tmp_path / "spaces.tsv"
    path.write_text(" a \t b \nc\td\n", encoding="utf-8")
    data = load(path, tokens=tokens)
    texts = [(data.form.text(a), data.form.write(b)) for a, b in data.training]
    assert sorted(texts + data.test_texts) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(("tokens", "longest"), [("word", 2), ("char", 7)])
def test_lengths_are_counted_in_tokens(words: Path, tokens: TokenKind, longest: int) -> None:
    assert load(words, tokens=tokens).form.max_source == longest


@pytest.mark.parametrize("task", ["pairs", "labels", "translate"])
@pytest.mark.parametrize("tokens", ["bpe", "wordpiece"])
def test_texts_may_be_split_into_so_many_subwords(words: Path, tokens: str, task: str) -> None:
    data = load(words, tokens=tokens, task=task, subwords=300)
    for tokeniser in data.form.tokenisers.values():
        assert tokeniser.kind == tokens
        assert 20 < len(tokeniser) <= 300
        assert tokeniser.special == Special(0, 1, 2, 3)  # both sides are padded alike
    assert all(data.form.is_known(example) for example in data.test)
    told = [(data.form.text(source), data.form.write(answer)) for source, answer in data.test]
    assert told == data.test_texts
    source, _ = told[0]
    assert data.form.read(f" {source} ") == data.test[0][0]


def test_too_few_subwords_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "signs.tsv"
    path.write_text("".join(f"{chr(0x4E00 + n)}\t{n}\n" for n in range(400)), encoding="utf-8")
    with pytest.raises(ValueError, match="300 tokens are too few: characters and special tokens"):
        load(path, tokens="wordpiece", subwords=300)
    assert load(path, tokens="bpe", subwords=300).form.max_source in (2, 3)


def test_a_text_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signs.tsv"
    path.write_text("a\tb\nc\td\n\u200b\te\n", encoding="utf-8")
    assert len(load(path, tokens="word").training) == 2
    with pytest.raises(DataError, match=r"signs.tsv: of \('\\u200b', 'e'\) no text is left"):
        load(path, tokens="wordpiece")


def test_at_most_a_thousand_lines_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "many.tsv"
    path.write_text("".join(f"{n}\t{n}\n" for n in range(3000)), encoding="utf-8")
    assert len(load(path, held_out=0.5).test) == 1000


def test_the_seed_chooses_what_of_a_file_is_held_out(words: Path) -> None:
    tests = [str(load(words, seed, tokens="char").test) for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        *(
            ({"held_out": share}, f"<held_out> is a share between 0 and 1, not {share}")
            for share in (0.0, 1.0, -0.5, float("nan"))
        ),
        ({"columns": "2"}, "<columns> names two columns, as in 1,2, not '2'"),
        ({"columns": "0,1"}, "<columns> names two columns, as in 1,2, not '0,1'"),
        ({"data": ""}, "task pairs needs <data>, a file of pairs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingError) as caught:
        TASKS["pairs"](**{"data": "a.tsv", **settings})
    assert caught.value.text == fault


def test_a_file_that_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    lone = tmp_path / "lone.tsv"
    lone.write_text("a\tb\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lone\.tsv: .* at least two are needed"):
        load(lone)
    lone.write_text("a\tb\na b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"lone\.tsv:2: no tabs"):
        load(lone)


def test_two_columns_of_the_file_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "three.tsv"
    path.write_text("1\ta\tb\n2\tc\td\n", encoding="utf-8")
    data = load(path, columns="3,2")
    assert data.test_texts in ([("b", "a")], [("d", "c")])


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    """Twenty sentences, each with the label " good " or "bad"."""
    path = tmp_path / "moods.tsv"
    rows = [f"it is {word} {n}\t{label}\n" for n in range(10) for word, label in MOODS]
    path.write_text("".join(rows), encoding="utf-8")
    return path


MOODS = [("fine", " good "), ("grim", "bad")]


def test_labels_are_sorted_and_those_of_all_lines(moods: Path) -> None:
    data = load(moods, task="labels", held_out=0.2)
    assert data.form.labels == ("bad", "good")
    assert data.form.max_source == 4
    assert (len(data.training), len(data.test)) == (16, 4)
    for (source, label), (text, name) in zip(data.test, data.test_texts, strict=True):
        assert data.form.write(label) == name == ("good" if "fine" in text else "bad")
        assert data.form.read(text) == source


def test_a_lone_label_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "moods.tsv"
    path.write_text("a\tx\nb\tx\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"all lines have the label 'x'; two are needed"):
        load(path, task="labels")


def test_a_label_that_only_held_out_lines_have_is_noted(moods: Path) -> None:
    assert load(moods, task="labels").notes == ()
    with moods.open("a", encoding="utf-8") as file:
        file.write("it is odd\tneither\n")
    seeds = [load(moods, seed=seed, task="labels", held_out=0.3) for seed in range(8)]
    noted = [data for data in seeds if "neither" in [label for _, label in data.test_texts]]
    assert 0 < len(noted) < len(seeds)
    assert {data.form.max_source for data in seeds} == {4}  # of the longest, and one has 3
    for data in seeds:
        assert bool(data.notes) == (data in noted)
    assert noted[0].notes == (
        "1 of 6 held-out lines have labels that no line to train on has; "
        "give each label more lines",
    )


@pytest.mark.parametrize("task", ["pairs", "labels", "translate"])
def test_what_to_test_on_can_be_a_file_of_its_own(task: str, words: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("the n200\tis 4 now\nthe n1\tis 1 now\nthe n200\tis 9 now\n")
    whole = load(words, task=task)
    data = load(words, task=task, test=str(test))
    assert len(data.training) == 100
    lines = [("the n200", "is 4 now"), ("the n1", "is 1 now"), ("the n200", "is 9 now")]
    assert data.test_texts == lines
    assert len(data.test) == 3 and data.checksum != whole.checksum
    test.write_text(test.read_text().replace("n200", "n201"))
    assert load(words, task=task, test=str(test)).checksum != data.checksum


def test_lines_to_test_on_that_are_trained_on_are_noted(words: Path) -> None:
    (note,) = load(words, task="labels", test=str(words)).notes
    assert note == f"100 of 100 lines of {words} are also in {words}"


def test_a_share_and_a_file_to_test_on_exclude_each_other(words: Path) -> None:
    with pytest.raises(SettingError, match="held_out is a share of data, and test is a file"):
        load(words, test=str(words), held_out=0.2)


def test_a_label_that_is_only_tested_on_is_refused(tmp_path: Path) -> None:
    learned, test = tmp_path / "learned.tsv", tmp_path / "test.tsv"
    learned.write_text("a\tx\nb\ty\n")
    test.write_text("a\tx\nb\tz\n")
    with pytest.raises(DataError) as error:
        load(learned, task="labels", test=str(test))
    assert str(error.value) == f"{test}: the label 'z' is none of those in {learned}: x, y"


def test_labels_are_not_split_into_tokens(tmp_path: Path) -> None:
    path = tmp_path / "lines.tsv"
    path.write_text("a-b\tpre-op\nc-d\tpost-op\n")
    data = load(path, task="labels", tokens="wordpiece", test=str(path))
    assert data.form.labels == ("post-op", "pre-op")
    assert data.test_texts[0] == ("a - b", "pre-op")


def test_sentences_can_have_the_tokens_of_a_form_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "lines.tsv"
    path.write_text("a b\tx\nc a\ty\n")
    known = Masked(Words.train(["z a"], special=BERT), max_source=9)
    task = TASKS["labels"](data=str(path), test=str(path))
    form = task.load(0, known).form
    assert form.source.tokens == (*known.source.tokens, "b", "c")
    assert form.max_source == 9
    assert form.source.spell(task.load(0, known).test[0][0]) == ["[CLS]", "a", "b", "[SEP]"]
    with pytest.raises(SettingError, match="tokens is 'word' in the run to begin with, not 'char'"):
        TASKS["labels"](data=str(path), tokens="char").load(0, known)
