"""Pairs: how questions and answers in tokens become a batch, are read, written and rated."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.batch import IGNORE
from minitransformer.forms import Example, Found, Pairs
from minitransformer.tokens import TOKENISERS, Special, Tokeniser, Words

PAD, BOS, EOS, UNK, _ = Special()

NOTHING = Found(loss=0.0, accuracy=0.0)
"""A look at the logits tells nothing of answers that are written token by token."""

FORM = Pairs(
    Words.train(["a b c"]),
    Words.train(["X Y"]),
    max_source=4,
    max_target=5,
)
STRICT = Pairs(FORM.source, FORM.target, 4, 5, strict=True)

sources = st.lists(st.integers(UNK, 6), min_size=1, max_size=4)
targets = st.lists(st.integers(UNK, 5), max_size=4)


@given(st.lists(st.tuples(sources, targets), min_size=1, max_size=8))
def test_a_batch_holds_each_pair_and_is_filled_up_at_the_end_only(examples: list[Example]) -> None:
    batch = FORM.batch(examples)
    source, read = batch.inputs
    assert source.shape == (len(examples), max(len(a) for a, _ in examples))
    longest = max(len(b) for _, b in examples)
    assert read.shape == batch.labels.shape == (len(examples), longest + 1)
    for row, (a, b) in enumerate(examples):
        for array, numbers, filling in (
            (source, a, PAD),
            (read, [BOS, *b], PAD),
            (batch.labels, [*b, EOS], IGNORE),
        ):
            assert array.dtype == np.int64
            assert array[row, : len(numbers)].tolist() == numbers
            assert (array[row, len(numbers) :] == filling).all()
    assert batch.tokens == sum(len(a) + len(b) + 1 for a, b in examples)


def test_a_target_without_room_for_its_end_is_asked_for_without_it() -> None:
    batch = FORM.batch([([4], [4, 5, 4, 5, 4])])
    assert batch.inputs[1].tolist() == [[BOS, 4, 5, 4, 5]]
    assert batch.labels.tolist() == [[4, 5, 4, 5, 4]]


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no rows to make a batch of"):
        FORM.batch([])


def test_what_it_asks_of_a_model() -> None:
    assert FORM.shape._asdict() == {
        "form": "pairs", "vocab": 7, "classes": 6, "source": 4, "target": 5, "pad": PAD,
    }  # fmt: skip
    assert FORM.choices == ("<pad>", "<bos>", "<eos>", "<unk>", "X", "Y")


def test_a_question_is_read_and_written_back() -> None:
    assert FORM.read(" b  a\t") == [5, 4]
    assert FORM.text([5, 4]) == "b a"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (" \t", "nothing to answer: the text is empty"),
        ("a b c a b", "5 tokens are more than the 4 that this run's model holds"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(text: str, fault: str) -> None:
    for form in (FORM, STRICT):
        with pytest.raises(ValueError) as caught:
            form.read(text)
        assert str(caught.value) == fault


def test_an_unknown_token_is_read_as_one_or_refused() -> None:
    assert FORM.read("a ? z ?") == [4, UNK, UNK, UNK]
    assert FORM.unknown("a ? z ?") == ["?", "z"]
    message = r"unknown token '\?'; this run knows a to c, separated by spaces"
    with pytest.raises(ValueError, match=message):
        STRICT.read("a ? z")


def test_an_answer_that_is_asked_for_must_be_one_that_can_be_given() -> None:
    assert FORM.read_answer("Y X") == [5, 4]
    assert FORM.read_answer("X X X X") == [4] * 4
    with pytest.raises(ValueError, match="a target of 5 tokens and its end are more than 5"):
        FORM.read_answer("X X X X X")
    with pytest.raises(ValueError, match=r"unknown token 'a' in the target"):
        FORM.read_answer("X a")


def test_the_tokens_of_an_example_are_named_by_their_sides() -> None:
    example = [4, UNK], [5, 4]
    assert FORM.sides(example) == {"source": ["a", "<unk>"], "target": ["<bos>", "Y", "X"]}
    assert FORM.asked(example) == ["Y", "X", "<eos>"]
    long = [4], [4] * 5
    assert FORM.sides(long)["target"] == ["<bos>", *["X"] * 4]
    assert FORM.asked(long) == ["X"] * 5


def test_an_example_is_known_when_both_its_sides_are() -> None:
    assert FORM.is_known(([4], [4]))
    assert not FORM.is_known(([4, UNK], [4]))
    assert not FORM.is_known(([4], [UNK]))


def test_an_answer_is_written_as_a_text_or_token_by_token() -> None:
    assert FORM.write([4, UNK, 5]) == "X <unk> Y"
    assert FORM.spell([4, UNK, 5]) == ["X", "<unk>", "Y"]


def test_answers_count_as_a_whole_and_token_by_token_with_their_ends() -> None:
    examples: list[Example] = [([5], [5, 6]), ([6], [6, 5]), ([7], [7]), ([8], [8])]
    # right: "5 6 <eos>", "6" of "6 5 <eos>", nothing of "7 <eos>", nothing of "8 <eos>"
    assert FORM.rate(examples, NOTHING, lambda: [[5, 6], [6], [8, 7], []]) == {
        "exact_match": 1 / 4,
        "token_accuracy": 4 / 10,
    }
    assert (FORM.metric, FORM.perfect) == ("exact_match", 1)


def test_an_unknown_token_is_not_answered_right_by_another_unknown_token() -> None:
    examples: list[Example] = [([5], [UNK]), ([6], [5])]
    rates = FORM.rate(examples, NOTHING, lambda: [[UNK], [5]])
    assert rates == {"exact_match": 1 / 2, "token_accuracy": 3 / 4}
    assert not FORM.is_right([UNK], [UNK])
    assert FORM.is_right([4], [4])
    assert not FORM.is_right([4], [4, 4])


@pytest.mark.parametrize("kind", TOKENISERS.values())
@pytest.mark.parametrize("strict", [True, False])
def test_a_form_comes_back_from_its_state(kind: type[Tokeniser], strict: bool) -> None:
    form = Pairs(kind.train(["some words"]), kind.train(["palabras"]), 4, 5, strict)
    state = json.loads(json.dumps(form.state()))
    assert Pairs.restore(state) == form


@pytest.mark.parametrize(
    ("config", "kind", "strict"),
    [
        ({"task": "pairs", "tokens": "char"}, "char", False),
        ({"task": "pairs", "tokens": "word"}, "word", False),
        ({"task": "sort", "tokens": "word"}, "word", True),
    ],
)
def test_a_state_that_does_not_say_the_kind_of_its_tokens_tells_it_by_its_settings(
    config: dict[str, str], kind: str, strict: bool
) -> None:
    """So do runs of before."""
    state: dict[str, Any] = {"config": config, **FORM.state()}
    del state["strict"]
    for side in ("source", "target"):
        state[f"{side}_vocabulary"] = state.pop(side)["tokens"]
    form = Pairs.restore(state)
    assert (form.source.kind, form.target.kind, form.strict) == (kind, kind, strict)
    assert form.source.tokens == FORM.source.tokens
