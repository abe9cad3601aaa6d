"""Sentences as vectors, and the attention that reads them."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.batch import Shape
from minitransformer.forms import Pairs, Text
from minitransformer.inside.maps import attention_maps
from minitransformer.inside.sentences import (
    LENGTH,
    drawn_reading,
    from_model,
    from_seed,
    read_weights,
    words_of,
)
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.recurrent import LSTMSettings
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.settings import SettingError
from minitransformer.tokens import Words
from minitransformer.tokens.tokeniser import OWN

TEXT = Text(Words((*OWN.values(), "money", "bank", "grows")), context=8)
PAIRS = Pairs(TEXT.source, TEXT.source, max_source=8, max_target=8)


def test_a_word_has_the_same_vector_in_all_sentences_and_whatever_stands_around_it() -> None:
    money, river = from_seed(["money bank grows", "the river bank flows"])
    assert np.array_equal(money.vectors[1], river.vectors[2])
    (alone,) = from_seed(["Bank"])
    assert np.array_equal(alone.vectors[0], money.vectors[1])
    assert not np.array_equal(alone.vectors, from_seed(["bank"], seed=1)[0].vectors)


def test_drawn_vectors_have_one_decimal_unless_they_are_wide() -> None:
    for width in (4, 16):
        (sentence,) = from_seed(["money bank grows"], width)
        assert np.array_equal(sentence.vectors, sentence.vectors.round(1))
    (wide,) = from_seed(["money bank grows"], 400)
    assert np.square(wide.vectors).sum(axis=1) == pytest.approx(LENGTH, rel=0.2)


def test_marks_are_words_and_capitals_are_none() -> None:
    assert words_of("The server, again!") == ["the", "server", ",", "again", "!"]


@pytest.mark.parametrize("text", ["", "  ", "word " * 41])
def test_a_sentence_that_cannot_be_shown_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"empty|more than the 40"):
        words_of(text)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(SettingError, match="must divide width 4, not 3") as caught:
        drawn_reading(from_seed(["a b"]), heads=3)
    assert caught.value.settings == ["heads", "width"]


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_a_language_models_first_layer_is_the_one_that_it_runs(positions: str) -> None:
    config = LanguageConfig(
        vocab=len(TEXT.source), num_layers=2, d_model=8, num_heads=2, d_ff=8, max_length=8,
        positions=positions,  # type: ignore[arg-type]
    )  # fmt: skip
    model = LanguageModel(config, rng=3)
    (sentence,), reading = from_model(model, TEXT, ["money bank grows"])
    assert sentence.words == ["money", "bank", "grows"]
    numbers = TEXT.read("money bank grows")
    assert np.array_equal(sentence.vectors, model.embedding.tokens.weight.data[numbers])
    assert reading is not None
    (x,), (mask,) = reading.inputs, reading.masks
    assert np.array_equal(mask, np.tri(3, dtype=bool))
    maps = attention_maps(model, np.array([numbers]))
    expected = maps["decoder.layers.0.self_attention"].weights
    assert np.array_equal(reading.attention.weights(x[None], x[None], mask), expected)


def test_of_an_encoder_decoder_it_is_the_encoders() -> None:
    size = len(TEXT.source)
    config = TransformerConfig(size, size, d_model=8, num_heads=2, d_ff=8, max_length=9)
    model = Transformer(config, rng=0)
    _, reading = from_model(model, PAIRS, ["bank grows"])
    assert reading is not None
    assert reading.attention is model.encoder.layers[0].self_attention


def test_a_recurrent_model_has_vectors_and_no_such_layer() -> None:
    size = len(TEXT.source)
    shape = Shape("pairs", size, size, 9, 9, 0)
    model = LSTMSettings(d_model=8).build(shape, 0)  # type: ignore[arg-type]
    (sentence,), reading = from_model(model, PAIRS, ["bank"])
    assert sentence.vectors.shape == (len(sentence.words), 8)
    assert reading is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1 0", "needs as many rows, with ; between them, not 1"),
        ("1 0; 0 x", "row 2 is not all numbers"),
        ("1 0; 1", "row 2 needs a number for each of the 2 words, not 1"),
        ("0.5 0.4; 1 0", "row 1 sums to 0.9"),
        ("2 -1; 1 0", "row 1 sums to 1; weights are at least 0"),
        ("nan 0; 1 0", "row 1 sums to nan"),
    ],
)
def test_weights_that_are_none_are_refused_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(SettingError, match=fault) as caught:
        read_weights(text, ["a", "b"])
    assert caught.value.settings == ["weights"]
