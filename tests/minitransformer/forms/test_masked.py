"""Masked: how texts get gaps, and gaps are read, filled and rated."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Tensor, nn
from minitransformer.batch import IGNORE
from minitransformer.forms import Found, Masked
from minitransformer.forms.masked import EXCERPT
from minitransformer.tokens import TOKENISERS, Tokeniser, Words
from minitransformer.tokens.tokeniser import BERT

WORDS = "the cat sat on a mat and saw two dogs ."
TOKENISER = Words.train([WORDS], special=BERT)
PAD, BOS, EOS, UNK, GAP = TOKENISER.special
THE, CAT, SAT, ON = (TOKENISER.number_of[word] for word in ("the", "cat", "sat", "on"))
FORM = Masked(TOKENISER, 8)


class Copy(nn.Module):
    """A model that finds at each place the token most likely which is there, and then `second`."""

    def __init__(self, second: int = CAT) -> None:
        self.dropout = nn.Dropout(0.5, np.random.default_rng(0))
        self.second = second

    def forward(self, source: Any) -> Tensor:
        assert not self.training
        logits = 4 * np.eye(len(TOKENISER))[np.asarray(source)]
        logits[..., self.second] += 2
        return Tensor(logits)


def drawn(length: int, count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Texts before and after they got gaps, and what is asked for, (count, length + 2) each."""
    rng = np.random.default_rng(seed)
    whole = [TOKENISER.frame(rng.choice(FORM.words, length).tolist()) for _ in range(count)]
    read, asked = zip(*(FORM.mask(source, rng) for source in whole), strict=True)
    return np.array(whole), np.array(read), np.array(asked)


def test_fifteen_of_a_hundred_tokens_are_asked_for() -> None:
    whole, _, asked = drawn(length=100, count=50)
    assert ((asked != IGNORE).sum(axis=1) == 15).all()
    chosen = asked != IGNORE
    np.testing.assert_array_equal(asked[chosen], whole[chosen])
    assert chosen[:, 1:-1].any(axis=0).all()  # each place can be


def test_of_these_eighty_are_gaps_ten_other_words_and_ten_stay_as_they_are() -> None:
    whole, read, asked = drawn(length=200, count=400)
    chosen = asked != IGNORE
    before, after = whole[chosen], read[chosen]
    count, words = len(before), len(FORM.words)
    assert count == 12_000
    assert np.mean(after == GAP) == pytest.approx(0.8, abs=0.015)
    # One in so many words that are drawn is the one that it was.
    assert np.mean(after == before) == pytest.approx(0.1 + 0.1 / words, abs=0.01)
    others = after[(after != GAP) & (after != before)]
    assert {*others} == {*FORM.words}
    np.testing.assert_array_equal(read[~chosen], whole[~chosen])


@given(length=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_at_least_one_token_is_asked_for_and_never_a_special_one(length: int, seed: int) -> None:
    whole, read, asked = drawn(length, 1, seed)
    chosen = asked[0] != IGNORE
    assert chosen.sum() == max(1, round(0.15 * length))
    assert not chosen[[0, -1]].any()
    assert (read[0, 0], read[0, -1]) == (BOS, EOS)
    assert not {*read[0, 1:-1]} & {PAD, BOS, EOS, UNK}
    assert not {*whole[0][chosen]} & {PAD, BOS, EOS, UNK, GAP}


def test_the_same_generator_gives_the_same_gaps_and_goes_on_with_others() -> None:
    source = TOKENISER.frame([*FORM.words] * 5)
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    first = FORM.mask(source, rng)
    assert first == FORM.mask(source, again)
    assert first != FORM.mask(source, rng)
    assert source == TOKENISER.frame([*FORM.words] * 5)  # which is as it was


def test_a_batch_is_what_is_read_and_what_is_asked_for_where_anything_is() -> None:
    batch = FORM.batch([([BOS, GAP, EOS], [IGNORE, CAT, IGNORE]), ([BOS, EOS], [IGNORE, IGNORE])])
    (source,) = batch.inputs
    assert source.tolist() == [[BOS, GAP, EOS], [BOS, EOS, PAD]]
    assert batch.labels.tolist() == [[IGNORE, CAT, IGNORE], [IGNORE] * 3]
    assert source.dtype == batch.labels.dtype == np.int64
    assert batch.tokens == 5


def test_what_it_asks_of_a_model() -> None:
    size = len(TOKENISER)
    assert FORM.shape._asdict() == {
        "form": "masked", "vocab": size, "classes": size, "source": 8, "target": 8, "pad": PAD,
    }  # fmt: skip
    assert FORM.choices == TOKENISER.tokens
    assert (FORM.metric, FORM.perfect, FORM.command) == ("masked_accuracy", None, "fill")


def test_gaps_are_read_and_written_by_their_name() -> None:
    numbers = [BOS, THE, GAP, SAT, EOS]
    assert FORM.read("the [MASK] sat") == numbers
    assert FORM.text(numbers) == "the [MASK] sat"
    assert FORM.sides((numbers, [])) == {"source": ["[CLS]", "the", "[MASK]", "sat", "[SEP]"]}


def test_padding_is_neither_asked_for_nor_shown() -> None:
    padded = [BOS, PAD, THE, EOS, PAD]
    _, labels = FORM.mask(padded, np.random.default_rng(0))
    assert labels == [IGNORE, IGNORE, THE, IGNORE, IGNORE]
    assert FORM.text(padded) == "the"


def test_what_is_unknown_is_told_and_a_gap_is_not() -> None:
    assert FORM.unknown("the [MASK] sat there") == ["there"]
    assert FORM.read("there") == [BOS, UNK, EOS]
    assert not FORM.is_known((FORM.read("there"), []))
    assert FORM.is_known((FORM.read("the [MASK]"), []))


def test_a_text_of_as_many_tokens_as_the_model_holds_is_read_and_no_more() -> None:
    assert len(FORM.read("the cat sat on a mat")) == FORM.max_source == 8
    with pytest.raises(ValueError, match="7 tokens are more than the 6"):
        FORM.read("the cat sat on a mat .")
    for empty in ("", " "):
        with pytest.raises(ValueError, match="the text is empty"):
            FORM.read(empty)


def test_an_answer_is_the_tokens_of_the_gaps_in_their_order() -> None:
    source = FORM.read("the [MASK] sat [MASK]")
    answer = FORM.read_answer("cat on")
    assert answer == [CAT, ON]
    labels = [IGNORE, IGNORE, CAT, IGNORE, ON, IGNORE]
    assert FORM.batch([(source, answer)]).labels.tolist() == [labels]
    assert FORM.batch([(source, labels)]).labels.tolist() == [labels]
    assert FORM.asked((source, answer)) == ["", "", "cat", "", "on", ""]
    assert FORM.write(labels) == "cat on"
    assert FORM.spell(labels) == ["cat", "on"]
    with pytest.raises(ValueError, match="unknown token 'there' in the target"):
        FORM.read_answer("cat there")


@pytest.mark.parametrize(("target", "count"), [("cat", 1), ("cat on a", 3)])
def test_tokens_that_do_not_fit_the_gaps_are_refused(target: str, count: int) -> None:
    source, answer = FORM.read("the [MASK] sat [MASK]"), FORM.read_answer(target)
    with pytest.raises(ValueError, match=f"{count} tokens do not fill 2 gaps"):
        FORM.batch([(source, answer)])


def test_the_answer_is_the_likeliest_word_of_each_gap() -> None:
    model = Copy()  # for which a gap is likeliest to stay one, which is no answer
    sources = [FORM.read("the [MASK] sat [MASK]"), FORM.read("[MASK]")]
    answers = FORM.answer(model, sources)
    assert answers == [[IGNORE, IGNORE, CAT, IGNORE, CAT, IGNORE], [IGNORE, CAT, IGNORE]]
    assert model.training
    assert FORM.show(model, sources[0]) == "the cat sat cat"
    assert FORM.is_right(answers[1], [IGNORE, CAT, IGNORE])
    assert not FORM.is_right(answers[1], [IGNORE, ON, IGNORE])


def test_a_text_without_gaps_is_asked_for_as_it_is() -> None:
    source = FORM.read("the cat")
    assert FORM.answer(Copy(), [source]) == [source]
    assert FORM.show(Copy(), source) == "the cat"


def test_the_candidates_of_a_gap_are_words_with_their_probabilities() -> None:
    source = FORM.read("[MASK] sat [MASK]")
    first, second = FORM.candidates(Copy(), source, 3)
    assert first == second
    words, shares = zip(*first, strict=True)
    assert words[0] == "cat"
    rest = len(FORM.words) - 1  # the gap itself has no share
    assert shares[0] == pytest.approx(np.exp(2) / (np.exp(2) + rest))
    assert shares[1] == shares[2] == pytest.approx(1 / (np.exp(2) + rest))
    everything = FORM.candidates(Copy(), source, 100)[0]
    assert {word for word, p in everything if p > 0} == {*WORDS.split()}
    assert sum(p for _, p in everything) == pytest.approx(1)


def test_more_beams_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="a gap is one step"):
        FORM.answer(Copy(), [[BOS, GAP, EOS]], beam=2)


def test_a_spoilt_model_does_not_answer() -> None:
    class Spoilt(Copy):
        def forward(self, source: Any) -> Tensor:
            return super().forward(source) * np.nan

    with pytest.raises(ValueError, match="its weights are spoilt"):
        FORM.answer(Spoilt(), [[BOS, GAP, EOS]])


def test_an_example_is_shown_with_a_gap_wherever_something_is_asked_for() -> None:
    read, asked = [BOS, CAT, ON, GAP, EOS], [IGNORE, THE, IGNORE, SAT, IGNORE]
    assert FORM.scene((read, asked)) == ([BOS, GAP, ON, GAP, EOS], asked)
    assert (read[1], read[3]) == (CAT, GAP)  # it is as it was


def test_of_a_long_example_the_beginning_is_shown_and_its_end_token() -> None:
    read, asked = [BOS, *[THE, CAT] * 40, EOS], [IGNORE, THE, *[IGNORE] * 80]
    shown, labels = FORM.scene((read, asked))
    assert len(shown) == len(labels) == EXCERPT
    assert (shown[1], labels[1]) == (GAP, THE)
    assert shown[2:] == [*read[2 : EXCERPT - 1], EOS]


def test_the_share_of_gaps_that_are_filled_right_is_the_accuracy() -> None:
    def never() -> list[Any]:
        raise AssertionError("one look at the logits is enough")

    assert FORM.rate([], Found(loss=0.5, accuracy=0.75), never) == {"masked_accuracy": 0.75}


@pytest.mark.parametrize("kind", TOKENISERS.values())
def test_a_form_comes_back_from_its_state(kind: type[Tokeniser]) -> None:
    form = Masked(kind.train(["some words"], 300, BERT), 7)
    assert Masked.restore(json.loads(json.dumps(form.state()))) == form
