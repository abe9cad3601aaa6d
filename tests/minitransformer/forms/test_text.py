"""Text: how windows of a text become a batch, are read, answered and rated."""

from __future__ import annotations

import json
from math import log
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, nn
from minitransformer.batch import IGNORE
from minitransformer.decoding import greedy, sample
from minitransformer.forms import Found, Text
from minitransformer.forms.text import EXCERPT, SHOWN
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.tokens import TOKENISERS, BytePairs, Characters, Special, Tokeniser
from minitransformer.tokens.tokeniser import END_OF_TEXT

CHARACTERS = Characters(("a", "b", "c", "<end>", "<unk>"), Special(pad=3, bos=3, eos=3, unk=4))
FORM = Text(CHARACTERS, 4)
PAD = 3


class Next(nn.Module):
    """A model that finds the token most likely whose number is one above the last one's."""

    def __init__(self) -> None:
        self.dropout = nn.Dropout(0.5, np.random.default_rng(0))

    def forward(self, source: Any) -> Tensor:
        assert not self.training
        return Tensor(np.eye(6)[np.asarray(source) + 1])


def test_a_batch_is_what_is_read_and_at_each_place_what_comes_next() -> None:
    batch = FORM.batch([([0, 1, 2], [1, 2, 0]), ([2], [1])])
    (source,) = batch.inputs
    assert source.tolist() == [[0, 1, 2], [2, PAD, PAD]]
    assert batch.labels.tolist() == [[1, 2, 0], [1, IGNORE, IGNORE]]
    assert source.dtype == batch.labels.dtype == np.int64
    assert batch.tokens == 4


def test_fewer_tokens_asked_for_are_those_after_the_last_ones() -> None:
    batch = FORM.batch([([0, 1, 2], [0]), ([1], [])])
    assert batch.labels.tolist() == [[IGNORE, IGNORE, 0], [IGNORE] * 3]
    assert FORM.asked(([0, 1, 2], [0])) == ["", "", "a"]
    assert FORM.asked(([0, 1], [1, 2])) == ["b", "c"]


def test_what_it_asks_of_a_model() -> None:
    assert FORM.shape._asdict() == {
        "form": "text", "vocab": 5, "classes": 5, "source": 4, "target": 4, "pad": PAD,
    }  # fmt: skip
    assert FORM.choices == CHARACTERS.tokens
    assert FORM.tokenisers == {"source": CHARACTERS}
    assert (FORM.metric, FORM.perfect, FORM.command) == ("bits_per_character", None, "generate")


def test_a_text_is_read_with_what_is_unknown_as_unk() -> None:
    assert FORM.read("b?a") == [1, 4, 0]
    assert FORM.unknown("b?a?") == ["?"]
    assert FORM.text([1, 0]) == "ba"
    assert FORM.is_known(([1, 0], [0]))
    assert not FORM.is_known(([1, 4], [0]))
    assert FORM.sides(([1, 0], [0, 2])) == {"text": ["b", "a"]}


@pytest.mark.parametrize(
    ("text", "fault"), [("", "the text is empty"), ("aaaaa", "5 tokens are more than the 4")]
)
def test_a_text_that_cannot_be_read_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        FORM.read(text)


def test_the_space_before_a_word_is_a_part_of_its_token() -> None:
    form = Text(BytePairs.train(["low low low"], 300, END_OF_TEXT), 4)
    (spaced,) = form.read(" low")
    assert form.spell([spaced]) == [" low"]
    assert form.read_answer(" low") == [spaced]
    assert form.read("low") != [spaced]


def test_one_token_is_asked_for_after_a_text() -> None:
    assert FORM.read_answer("c") == [2]
    for text, said in [("ab", "'ab' is 2: 'a', 'b'"), ("", "'' is 0: ")]:
        with pytest.raises(ValueError, match="a target is the one token after the text") as error:
            FORM.read_answer(text)
        assert said in str(error.value)


def test_the_answer_is_the_text_one_place_on() -> None:
    model = Next()
    assert FORM.answer(model, [[0, 1], [1], [2, 0, 0]]) == [[1, 2], [2], [0, 0, 1]]
    assert model.training
    assert FORM.is_right([1, 2], [1, 2]) and FORM.is_right([0, 2], [2])
    assert not FORM.is_right([1, 2], [1, 0])


def test_more_beams_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="one token is one step"):
        FORM.answer(Next(), [[0]], beam=2)


def test_a_spoilt_model_does_not_answer() -> None:
    class Spoilt(Next):
        def forward(self, source: Any) -> Tensor:
            return super().forward(source) * np.nan

    with pytest.raises(ValueError, match="its weights are spoilt"):
        FORM.answer(Spoilt(), [[0]])


def test_an_excerpt_ends_where_a_word_does() -> None:
    bytes_alone = BytePairs.train([""], 257)
    numbers = bytes_alone.encode("one two thirteen and more")
    form = Text(bytes_alone, 64)
    read, following = form.scene((numbers, []))
    assert EXCERPT == 16 and form.text(read) == "one two"
    assert form.text(following) == " thirteen and more"


def test_an_excerpt_is_gone_on_with_to_see_what_was_learned() -> None:
    sizes = {"vocab": 5, "num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 8}
    model = LanguageModel(LanguageConfig.gpt2(**sizes, tied=False), rng=0)
    model.decoder.norm.bias.data[...] = 1
    model.projection.weight.data[CHARACTERS.special.eos] = -9  # so that it does not end
    long = [place % 3 for place in range(EXCERPT + 9)]
    read, following = FORM.scene((long[:-1], long[1:]))
    assert read == long[:EXCERPT]
    assert [*read, *following] == long[:-1]
    shown = FORM.show(model, [0, 1])
    assert shown == FORM.show(model, [0, 1])  # though it is drawn
    assert len(shown.replace("<unk>", "?")) == SHOWN
    assert [shown] == [
        FORM.write(x)
        for x in sample(model, [[0, 1]], SHOWN, 0.8, rng=0, special=CHARACTERS.special)
    ]
    (likeliest,) = greedy(model, [[0, 1]], SHOWN, CHARACTERS.special)
    assert shown != FORM.write(likeliest)


def never() -> list[Any]:
    raise AssertionError("one look at the logits is enough")


def test_bits_per_character_count_all_that_is_asked_for() -> None:
    # Of 2 tokens each, in which there are 4 + 2 characters.
    form = Text(Characters(("ab", "c", "<end>"), Special(2, 2, 2, None)), 4)
    examples = [([1, 0], [0, 0]), ([0, 1], [1, 1])]
    rates = form.rate(examples, Found(loss=3 * log(2), accuracy=0.25), never)
    assert rates == {
        "bits_per_character": pytest.approx(3 * 4 / 6),
        "token_accuracy": 0.25,
    }


@pytest.mark.parametrize("window", [7, 8, 9, 10])
def test_a_character_that_windows_divide_counts_once(window: int) -> None:
    tokeniser = BytePairs.train([""], 300, END_OF_TEXT)  # each byte a token
    form, text = Text(tokeniser, window), "naïve 言葉 🙂 ok"
    numbers = tokeniser.encode(text)
    examples = [
        (part[:-1], part[1:])
        for start in range(0, len(numbers) - 1, window - 1)
        if len(part := numbers[start : start + window]) > 1
    ]
    asked = sum(len(answer) for _, answer in examples)
    assert asked == len(numbers) - 1  # all but the first, each once
    bits = form.rate(examples, Found(loss=log(2), accuracy=0), never)["bits_per_character"]
    assert bits == pytest.approx(asked / (len(text) - 1))


@pytest.mark.parametrize("kind", TOKENISERS.values())
def test_a_form_comes_back_from_its_state(kind: type[Tokeniser]) -> None:
    form = Text(kind.train(["some words"], 300), 7)
    assert Text.restore(json.loads(json.dumps(form.state()))) == form
