"""The sequence tasks: their rules, an endless stream, and what it never contains."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.settings import SettingError
from minitransformer.tasks import TASKS
from minitransformer.tasks.sequences import Stream
from minitransformer.tokens import Special

UNK = Special().unk

names = st.sampled_from(["copy", "reverse", "sort"])
seeds = st.integers(0, 2**32)


def load(
    name: str, length: int = 10, vocab: int = 10, seed: int = 0, held_out: int = 1000
) -> Stream:
    """The data of a task with these settings."""
    data: Stream = TASKS[name](length, vocab).load(seed, held_out)
    return data


@pytest.mark.parametrize(
    ("name", "answer"),
    [("copy", "3 1 4 1 11"), ("reverse", "11 1 4 1 3"), ("sort", "1 1 3 4 11")],
)
def test_a_task_is_what_its_name_says(name: str, answer: str) -> None:
    data = load(name, vocab=12)
    assert data.form.write(data.task.answer(data.form.read("3 1 4 1 11"))) == answer
    assert data.name == name


def test_the_symbols_are_the_numbers_below_vocab() -> None:
    form = load("copy", vocab=12).form
    assert form.source is form.target
    assert form.source.words == tuple(str(number) for number in range(12))
    assert form.source.kind == "word"
    assert form.strict


def test_the_answers_are_never_written_as_a_file_and_have_no_checksum() -> None:
    assert load("copy").checksum is None


@given(names, st.integers(3, 12), st.integers(4, 12), seeds, seeds)
def test_examples_follow_the_rule(
    name: str, length: int, vocab: int, task_seed: int, batch_seed: int
) -> None:
    data = load(name, length, vocab, seed=task_seed, held_out=50)
    examples = data.sample(np.random.default_rng(batch_seed), 16)
    assert len(examples) == 16
    assert (data.form.max_source, data.form.max_target) == (length, length + 1)
    for source, target in examples + data.test:
        assert 1 <= len(source) <= length
        assert target == data.task.answer(source)
        assert all(UNK < n < len(data.form.source) for n in source)


@given(names, seeds)
def test_held_out_examples_are_written_as_their_texts(name: str, seed: int) -> None:
    data = load(name, seed=seed, held_out=20)
    assert data.test_texts == [
        (data.form.text(source), data.form.write(target)) for source, target in data.test
    ]


@given(names, st.integers(2, 6), st.integers(4, 6), seeds)
def test_the_training_stream_never_holds_a_held_out_sequence(
    name: str, length: int, vocab: int, seed: int
) -> None:
    data = load(name, length, vocab, seed=seed)
    unseen = {tuple(source) for source, _ in data.test}
    drawn = {tuple(source) for source, _ in data.sample(np.random.default_rng(seed), 500)}
    assert not drawn & unseen


def test_the_training_stream_holds_everything_else_and_no_held_out_sequence() -> None:
    data = load("reverse", length=4, vocab=4)
    unseen = {tuple(source) for source, _ in data.test}
    drawn = {tuple(source) for source, _ in data.sample(np.random.default_rng(0), 50_000)}
    assert not drawn & unseen
    assert len(drawn) + len(unseen) == 4 + 4**2 + 4**3 + 4**4


def test_training_lengths_are_uniform_although_sequences_are_rejected() -> None:
    data = load("copy", length=4, vocab=4)
    examples = data.sample(np.random.default_rng(0), 40_000)
    counts = Counter(len(source) for source, _ in examples)
    assert sorted(counts) == [1, 2, 3, 4]
    assert all(abs(count - 10_000) < 500 for count in counts.values())


def test_a_thousand_distinct_sequences_are_held_out_evenly_over_the_lengths() -> None:
    data = load("sort")
    sources = {tuple(source) for source, _ in data.test}
    assert len(data.test) == len(sources) == 1000
    counts = Counter(map(len, sources))
    assert counts[1] == 0
    assert counts[2] == 10  # a tenth of the hundred that exist
    assert all(100 <= counts[length] <= 130 for length in range(3, 11))


def test_any_first_part_of_the_test_has_short_and_long_sequences() -> None:
    lengths = [len(source) for source, _ in load("copy").test[:100]]
    assert min(lengths) <= 3
    assert max(lengths) == 10


@given(st.integers(2, 6), st.integers(4, 12), st.integers(1, 2000), seeds)
def test_at_most_a_tenth_of_each_length_and_never_more_than_asked_is_held_out(
    length: int, vocab: int, held_out: int, seed: int
) -> None:
    data = load("copy", length, vocab, seed=seed, held_out=held_out)
    counts = Counter(len(source) for source, _ in data.test)
    assert counts[1] == 0
    assert all(count <= vocab**length // 10 for length, count in counts.items())
    assert 1 <= len(data.test) <= held_out


def test_a_small_space_holds_out_fewer_than_asked() -> None:
    data = load("copy", length=3, vocab=4)
    assert len(data.test) == 4**2 // 10 + 4**3 // 10


@given(names, seeds)
def test_the_seed_alone_determines_what_is_held_out(name: str, seed: int) -> None:
    test = load(name, seed=seed, held_out=20).test
    assert load(name, seed=seed, held_out=20).test == test
    assert load(name, seed=seed + 1, held_out=20).test != test


def test_long_sequences_over_many_symbols_are_no_trouble() -> None:
    data = load("sort", length=300, vocab=5000)
    assert len(data.test) == 1000
    examples = data.sample(np.random.default_rng(0), 8)
    assert max(len(source) for source, _ in examples) <= 300


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"length": 1}, "<length> must be at least 2, not 1"),
        ({"length": 2001}, "<length> must be at most 2000, not 2001"),
        ({"vocab": 1}, "<vocab> must be at least 2, not 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingError) as caught:
        load("copy", **arguments)
    assert caught.value.text == fault


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"seed": -1}, "seed must be at least 0, not -1"),
        (
            {"length": 3, "vocab": 2},
            "sort: length 3 and vocab 2 make too few sequences to hold any out; increase one",
        ),
        ({"held_out": 0}, "too few sequences to hold any out"),
    ],
)
def test_a_task_of_which_nothing_can_be_held_out_is_refused(
    arguments: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        load("sort", **arguments)


def test_the_generator_alone_determines_the_training_stream() -> None:
    data, rng = load("reverse"), np.random.default_rng(7)
    data.sample(rng, 5)
    state = rng.bit_generator.state
    first, second = (data.sample(rng, 64) for _ in range(2))

    resumed = np.random.default_rng()
    resumed.bit_generator.state = state
    again: Stream = pickle.loads(pickle.dumps(data))
    assert again.sample(resumed, 64) == first
    assert again.sample(resumed, 64) == second
    assert first != second
