"""A lens tells what a model cut off after a layer would say, and where its loss pushes it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.mode import no_grad
from minigrad.ops.neural import cross_entropy, softmax
from minigrad.tensor import Array, Tensor
from minitransformer.decoding import evaluating
from minitransformer.forms import Labels, Pairs
from minitransformer.inside import lenses
from minitransformer.inside.inspection import gradients_of, inspect
from minitransformer.inside.lenses import Lens, read_lens, states_of
from minitransformer.inside.maps import recorded
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.classifier import ClassifierSettings
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.recurrent import LSTMAttentionSettings
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.tokens import Words
from minitransformer.tokens.tokeniser import OWN

SIZES: dict[str, Any] = {"d_model": 12, "num_heads": 2, "d_ff": 16, "max_length": 8, "dropout": 0.5}
SOURCE, READ, RIGHT = [4, 6, 5, 4, 7], [1, 5, 4], [5, 4, 2]
WORDS = Words((*OWN.values(), "a", "b", "c", "d"))
FORM = Pairs(WORDS, WORDS, 8, 8)


def a_transformer(**settings: Any) -> Transformer:
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 3}
    return Transformer(TransformerConfig(8, 8, **{**SIZES, **layers, **settings}), rng=0)


def a_language_model(config: Any, **settings: Any) -> LanguageModel:
    return LanguageModel(config(vocab=8, num_layers=3, **SIZES, **settings), rng=0)


PAIRS, TEXT = ([SOURCE], [READ]), ([SOURCE],)
MODELS: dict[str, Any] = {
    "pre-norm": (lambda: a_transformer(norm="pre"), PAIRS),
    "post-norm": (lambda: a_transformer(norm="post"), PAIRS),
    "gpt": (lambda: a_language_model(LanguageConfig.gpt2), TEXT),
    "llama": (lambda: a_language_model(LanguageConfig.llama, num_kv_heads=1, tied=False), TEXT),
    "bert": (lambda: Bert(BertConfig(vocab=8, num_layers=3, **SIZES), rng=0), TEXT),
}


def asked_of(inputs: Any) -> tuple[list[int], list[int]]:
    """Places where a token is asked for, and which: not at the last one."""
    count = len(inputs[-1][0]) - 1
    return [*range(count)], [5, 4, 2, 6][:count]


def states_and_gradients(model: Any, inputs: Any) -> tuple[list[Array], list[Array]]:
    places, asked = asked_of(inputs)
    with recorded(model):
        root = cross_entropy(model(*inputs)[0, np.array(places)], np.array(asked))
    states = states_of(root, model)
    gradients = gradients_of(root, states)
    return [x.data for x in states], [gradients[x.order] for x in states]


def lens_of(model: Any, inputs: Any) -> Lens:
    return read_lens(model, *states_and_gradients(model, inputs), *asked_of(inputs))


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_says_what_a_model_that_ends_there_says(name: str) -> None:
    build, inputs = MODELS[name]
    model = build()
    places, asked = asked_of(inputs)
    lens = lens_of(model, inputs)
    assert lens.guesses.shape == lens.probabilities.shape == (4, len(inputs[-1][0]), 5)
    for count in range(4):
        cut = deepcopy(model)
        cut.last_stack.layers = nn.ModuleList([*cut.last_stack.layers][:count])
        with no_grad(), evaluating(cut):
            probabilities = softmax(cut(*inputs).data[0])
        order = np.argsort(-probabilities, axis=-1)[:, :5]
        np.testing.assert_array_equal(lens.guesses[count], order)
        likeliest = np.take_along_axis(probabilities, order, -1)
        np.testing.assert_allclose(lens.probabilities[count], likeliest, rtol=1e-5)
        np.testing.assert_allclose(lens.right[count], probabilities[places, asked], rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_tokens_rise_and_fall_as_they_do_after_a_small_step(name: str) -> None:
    build, inputs = MODELS[name]
    model = build().astype(np.float64)
    lens = lens_of(model, inputs)
    step = 1e-5
    for layer, (x, gradient) in enumerate(zip(*states_and_gradients(model, inputs), strict=True)):
        ahead, back = (model.read_out(x + sign * step * gradient).data[0] for sign in (-1, 1))
        change = (ahead - back) / (2 * step)
        for tokens, moves, sign in (
            (lens.raised, lens.rises, -1),
            (lens.lowered, lens.falls, 1),
        ):
            expected = np.take_along_axis(change, tokens[layer], -1)
            np.testing.assert_allclose(moves[layer], expected, rtol=1e-5, atol=1e-9)
            best = sign * np.sort(sign * change, axis=-1)[:, :5]
            np.testing.assert_allclose(moves[layer], best, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_the_gradients_are_those_of_the_loss_by_what_each_layer_leaves(layer: int) -> None:
    """Something is added to what it leaves, inside the model, in float64."""
    model = a_transformer(norm="pre").astype(np.float64)
    places, asked = asked_of(PAIRS)
    _, gradients = states_and_gradients(model, PAIRS)
    direction = np.random.default_rng(0).normal(size=gradients[layer].shape)
    changed: Any = ([model.target_embedding, *model.last_stack.layers])[layer]
    forward = changed.forward

    def loss_with(step: float) -> float:
        changed.forward = lambda *args, **more: forward(*args, **more) + step * direction
        with no_grad(), evaluating(model):
            logits = model(*PAIRS)[0, np.array(places)]
        return float(cross_entropy(logits, np.array(asked)))

    slope = (loss_with(1e-5) - loss_with(-1e-5)) / 2e-5
    assert slope == pytest.approx((gradients[layer] * direction).sum(), rel=1e-6)


def test_at_the_end_the_step_asks_for_what_the_loss_asks_for() -> None:
    """Where the last layer is followed by a projection alone, that is W Wᵀ (asked − probable)."""
    model = a_transformer(norm="post")
    lens = lens_of(model, PAIRS)
    places, asked = asked_of(PAIRS)
    weight = model.projection.weight.data
    with no_grad(), evaluating(model):
        probabilities = softmax(model(*PAIRS).data[0, places])
    change = (np.eye(8)[asked] - probabilities) @ weight @ weight.T / len(places)
    np.testing.assert_array_equal(lens.raised[-1, places, 0], change.argmax(-1))
    np.testing.assert_allclose(lens.rises[-1, places, 0], change.max(-1), rtol=1e-4)
    np.testing.assert_array_equal(lens.rises[-1, len(places)], 0)  # where nothing is asked for


def test_layers_read_out_a_few_at_a_time_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_language_model(LanguageConfig.gpt2)
    whole = lens_of(model, TEXT)
    monkeypatch.setattr(lenses, "MOST_LOGITS", 8 * 5 * 2)
    parted = lens_of(model, TEXT)
    for name, x in vars(whole).items():
        np.testing.assert_allclose(getattr(parted, name), x, rtol=1e-4, atol=1e-7)


def test_reading_out_leaves_the_model_as_it_was() -> None:
    model = a_language_model(LanguageConfig.gpt2)
    first, *others = model.parameters()
    first.requires_grad = False
    lens_of(model, TEXT)
    assert not first.requires_grad
    assert all(x.requires_grad and x.grad is None for x in others)
    assert model.training


def test_an_inspection_has_a_lens_where_a_model_ends_in_a_vocabulary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = a_transformer()
    inspection = inspect(model, FORM, SOURCE, [5, 4])
    assert inspection.lens is not None
    last = np.take_along_axis(inspection.probabilities, inspection.lens.guesses[-1], -1)
    np.testing.assert_allclose(inspection.lens.probabilities[-1], last, rtol=1e-5)
    right = inspection.probabilities[range(3), inspection.asked]
    np.testing.assert_allclose(inspection.lens.right[-1], right, rtol=1e-5)
    products = 4 * 3 * 12 * 8
    monkeypatch.setattr("minitransformer.inside.inspection.MOST_READ", products - 1)
    assert inspect(model, FORM, SOURCE, [5, 4]).lens is None

    recurrent: Any = LSTMAttentionSettings(d_model=6, layers=1).build(FORM.shape, nn.source(0))
    assert inspect(recurrent, FORM, SOURCE, [5, 4]).lens is None
    assert states_of(Tensor(0.0), recurrent) == []
    form = Labels(WORDS, ("x", "y"), 8)
    classifier = ClassifierSettings(d_model=8, layers=1).build(form.shape, nn.source(0))
    assert inspect(classifier, form, SOURCE, 1).lens is None
