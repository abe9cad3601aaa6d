"""The vectors of words where they stand, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import no_grad
from minitransformer.forms import Masked
from minitransformer.inside.occurrences import occurrences, states_by_layer
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.tokens.tokeniser import BERT
from minitransformer.tokens.words import Words

TEXTS = ["the bank grows", "money and the bank", "the money bank flows and flows"]
FORM = Masked(Words.train(TEXTS, special=BERT), 10)
SOURCE = np.array([[2, 7, 8, 5, 3], [2, 9, 3, 0, 0]])


def a_model(**choices: Any) -> Bert:
    sizes = {"d_model": 8, "num_layers": 2, "num_heads": 2, "d_ff": 12, "max_length": 10}
    return Bert(BertConfig(vocab=len(FORM.source), **{**sizes, **choices}), rng=0)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_states_are_what_each_layer_reads_and_leaves(norm: str) -> None:
    model = a_model(norm=norm, dropout=0.5)
    states = states_by_layer(model, SOURCE)
    assert states.shape == (3, 2, 5, 8)
    assert model.training
    reader = model.eval().reader
    with no_grad():
        x = reader.norm(reader.embedding(SOURCE) + reader.segments(np.zeros_like(SOURCE)))
        for layer, state in zip([None, *reader.encoder.layers], states, strict=True):
            x = x if layer is None else layer(x, (SOURCE != 0)[:, None, None])
            np.testing.assert_allclose(state, x.data, rtol=1e-5, atol=1e-6)


def test_a_reader_alone_has_the_states_of_its_model() -> None:
    model = a_model()
    np.testing.assert_array_equal(
        states_by_layer(model.reader, SOURCE), states_by_layer(model, SOURCE)
    )


def test_a_word_has_a_vector_of_its_own_in_each_text_whatever_stands_beside_it() -> None:
    model = a_model()
    found = occurrences(model, FORM, TEXTS, "bank")
    assert found.shape == (3, 3, 8)
    for place, text in enumerate(TEXTS):
        numbers = FORM.read(text)
        alone = states_by_layer(model, np.array([numbers]))[:, 0]
        expected = alone[:, numbers.index(FORM.source.encode("bank")[0])]
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-5, atol=1e-6)


def test_the_vector_of_a_word_of_several_tokens_is_their_mean() -> None:
    model = a_model()
    found = occurrences(model, FORM, TEXTS[:1], "bank grows")
    parts = [occurrences(model, FORM, TEXTS[:1], word) for word in ("bank", "grows")]
    np.testing.assert_allclose(found, (parts[0] + parts[1]) / 2, rtol=1e-5, atol=1e-6)


def test_a_word_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="'river' is not known to this model"):
        occurrences(a_model(), FORM, TEXTS, "river")


def test_a_text_without_the_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no 'money' in 'the bank grows'"):
        occurrences(a_model(), FORM, TEXTS, "money")


def test_a_model_without_layers_of_attention_is_refused() -> None:
    from minitransformer.recipe import Recipe

    recipe = Recipe.read({"task": "copy", "model": "lstm", "d_model": 8})
    form = recipe.task.load(0).form
    batch = form.batch([([4, 5], [4, 5])])
    with pytest.raises(ValueError, match="no layers of attention"):
        states_by_layer(recipe.model.build(form.shape, np.random.default_rng(0)), *batch.inputs)


def test_a_language_model_has_states_too() -> None:
    config = LanguageConfig.gpt2(
        vocab=12, d_model=8, num_layers=1, num_heads=2, d_ff=8, max_length=8
    )
    assert states_by_layer(LanguageModel(config, rng=0), SOURCE).shape == (2, 2, 5, 8)
