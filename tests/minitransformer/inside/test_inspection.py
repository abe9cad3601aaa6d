"""An inspection tells what the model did: its arrays are the model's, its gradients are true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.mode import no_grad
from minigrad.nn import count_parameters
from minigrad.ops.attention import product_like
from minigrad.ops.neural import cross_entropy
from minigrad.table import TABLE
from minigrad.tensor import Array
from minitransformer.answering import Predictor
from minitransformer.decoding import SPECIAL, evaluating, greedy
from minitransformer.forms import Labels, Masked, Pairs, Text
from minitransformer.inside.inspection import Inspection, Layer, inspect
from minitransformer.inside.maps import attention_maps, information
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.recurrent import LSTMAttentionSettings
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.recipe import Recipe
from minitransformer.runs import Run
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import BERT, OWN
from minitransformer.training import Trainer

_, BOS, EOS, *_ = SPECIAL

SOURCE_WORDS = Words((*OWN.values(), "a", "b", "c", "d"))
TARGET_WORDS = Words((*OWN.values(), "A", "B", "C", "D", "E"))
FORM = Pairs(SOURCE_WORDS, TARGET_WORDS, 8, 8)
SOURCE = [4, 6, 5, 4, 7]
TARGET = [5, 8, 4]


def a_model(seed: int = 0, **settings: Any) -> Transformer:
    """A model with random weights, two heads, and one layer more to decode than to encode."""
    shape = {"d_model": 12, "num_heads": 2, "d_ff": 16, "max_length": 8, "dropout": 0.5}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    return Transformer(TransformerConfig(8, 9, **{**shape, **layers, **settings}), rng=seed)


def loss_of(model: Transformer, read: list[int], target: list[int]) -> float:
    with no_grad(), evaluating(model):
        return float(cross_entropy(model([SOURCE], [read]), np.array([target])))


def layer_of(inspection: Inspection, path: str) -> Layer:
    return next(layer for layer in inspection.layers if layer.path == path)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return a_model()


@pytest.fixture(scope="module")
def inspection(model: Transformer) -> Inspection:
    return inspect(model, FORM, SOURCE, TARGET)


def test_every_attention_layer_is_there_with_the_tokens_along_its_sides(
    inspection: Inspection,
) -> None:
    source, read = ["a", "c", "b", "a", "d"], ["<bos>", "B", "E", "A"]
    assert (inspection.source, inspection.read) == (source, read)
    assert inspection.target == ["B", "E", "A", "<eos>"]
    assert [(layer.path, layer.queries, layer.keys) for layer in inspection.layers] == [
        ("encoder.layers.0.self_attention", source, source),
        ("decoder.layers.0.self_attention", read, read),
        ("decoder.layers.0.cross_attention", read, source),
        ("decoder.layers.1.self_attention", read, read),
        ("decoder.layers.1.cross_attention", read, source),
    ]
    assert [layer.sides for layer in inspection.layers] == [
        ("source", "source"), *2 * [("target", "target"), ("target", "source")],
    ]  # fmt: skip


def test_the_weights_are_those_of_the_model_bit_for_bit(
    model: Transformer, inspection: Inspection
) -> None:
    maps = attention_maps(model, [SOURCE], [[BOS, *TARGET]])
    assert maps.keys() == {layer.path for layer in inspection.layers}
    for layer in inspection.layers:
        assert layer.weights.tobytes() == maps[layer.path].weights[0].tobytes()


def test_weights_are_the_softmax_of_the_scores_that_the_mask_leaves(inspection: Inspection) -> None:
    for layer in inspection.layers:
        scores = np.einsum("htk,hsk->hts", layer.query, layer.key) / np.sqrt(6)
        np.testing.assert_allclose(layer.scores, scores, rtol=1e-5, atol=1e-6)
        powers = np.exp(layer.scores) * layer.mask
        weights = powers / powers.sum(-1, keepdims=True)
        np.testing.assert_allclose(layer.weights, weights, rtol=1e-5)
        assert layer.value.shape == layer.key.shape == (2, len(layer.keys), 6)


def test_only_the_decoders_self_attention_hides_what_is_later(inspection: Inspection) -> None:
    for layer in inspection.layers:
        shape = len(layer.queries), len(layer.keys)
        causal = layer.path.startswith("decoder") and layer.path.endswith("self_attention")
        mask = np.tri(4, dtype=bool) if causal else np.ones(shape, bool)
        np.testing.assert_array_equal(layer.mask, mask)


def test_the_result_of_a_head_is_the_sum_of_the_values_each_times_its_weight(
    inspection: Inspection,
) -> None:
    for layer in inspection.layers:
        result = np.einsum("hts,hsk->htk", layer.weights, layer.value)
        np.testing.assert_allclose(layer.result, result, rtol=1e-5, atol=1e-6)
        assert layer.result.shape == (2, len(layer.queries), 6)


def test_the_parts_of_all_heads_and_a_bias_are_the_output_of_the_layer(model: Transformer) -> None:
    """Of the first layer, whose input is the embedded source; a head off lacks its own part."""
    model = a_model(norm="post")
    layer = inspect(model, FORM, SOURCE, TARGET).layers[0]
    attention = model.encoder.layers[0].self_attention
    bias = attention.output.bias.data
    assert layer.part.shape == (2, len(SOURCE), 12)
    with no_grad(), evaluating(model):
        x = model.source_embedding(np.array([SOURCE]))
        whole = attention(x, x).data[0]
        np.testing.assert_allclose(layer.part.sum(0) + bias, whole, rtol=1e-5, atol=1e-6)
        with attention.head_off(0):
            rest = attention(x, x).data[0]
    np.testing.assert_allclose(layer.part[0], whole - rest, rtol=1e-4, atol=1e-6)


def test_the_probabilities_are_the_softmax_of_the_models_logits(
    model: Transformer, inspection: Inspection
) -> None:
    with no_grad(), evaluating(model):
        logits = np.asarray(model([SOURCE], [[BOS, *TARGET]]).data[0], np.float64)
    powers = np.exp(logits)
    probabilities = powers / powers.sum(-1, keepdims=True)
    assert inspection.probabilities.shape == (4, 9)
    np.testing.assert_allclose(inspection.probabilities, probabilities, rtol=1e-5)
    chosen = inspection.probabilities[np.arange(4), [*TARGET, EOS]]
    assert -np.log(chosen).mean() == pytest.approx(inspection.normal.loss, rel=1e-5)
    assert inspection.vocabulary == TARGET_WORDS.tokens


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_gradient_by_a_weight_is_how_the_loss_changes_with_it(
    norm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each weight in turn is made a little larger and smaller, inside the model, in float64."""
    model = a_model(norm=norm).astype(np.float64)
    inspection = inspect(model, FORM, SOURCE, TARGET)
    attention = TABLE["scaled_dot_product_attention"]
    kernel: Any = attention.forward
    paths = ["encoder.layers.0.self_attention"]  # in the order in which they run
    paths += [f"decoder.layers.{n}.{of}_attention" for n in (0, 1) for of in ("self", "cross")]

    def loss_with(path: str, change: Array) -> float:
        """The loss with something added to the weights of one layer."""
        running = iter(paths)

        def changed(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
            y, weights = kernel(query, key, value, mask)
            if next(running) == path:
                y = product_like(query, weights + change, value)
            return y, weights

        with monkeypatch.context() as patch:
            patch.setattr(attention, "forward", changed)
            return loss_of(model, [BOS, *TARGET], [*TARGET, EOS])

    step = 1e-5
    for path in paths:
        gradient = layer_of(inspection, path).gradient
        numerical = np.empty_like(gradient)
        for cell in np.ndindex(gradient.shape):
            change = np.zeros_like(gradient)
            change[cell] = step
            numerical[cell] = (loss_with(path, change) - loss_with(path, -change)) / (2 * step)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-5, atol=1e-9)
        assert np.abs(gradient).max() > 1e-4


def test_the_loss_is_that_of_training_in_evaluation_mode(
    model: Transformer, inspection: Inspection
) -> None:
    assert inspection.normal.loss == loss_of(model, [BOS, *TARGET], [*TARGET, EOS])
    answer = greedy(model, [SOURCE], 8)[0]
    assert inspection.normal.answer == [TARGET_WORDS.tokens[i] for i in answer]


def test_without_a_head_answer_and_loss_are_those_of_a_model_that_never_had_it(
    inspection: Inspection,
) -> None:
    outcomes = []
    for layer in inspection.layers:
        for head, without in enumerate(layer.without):
            other = a_model()
            output = dict(other.named_parameters())[f"{layer.path}.output.weight"]
            output.data[:, 6 * head : 6 * (head + 1)] = 0
            answer = greedy(other, [SOURCE], 8)[0]
            assert without.answer == [TARGET_WORDS.tokens[i] for i in answer]
            assert without.loss == loss_of(other, [BOS, *TARGET], [*TARGET, EOS])
            outcomes.append(without)
    assert len(outcomes) == 10
    assert len({outcome.loss for outcome in outcomes}) == 10


def test_without_a_target_the_loss_asks_for_the_models_own_answer(model: Transformer) -> None:
    for longest in (1, 3, 8):
        inspection = inspect(model, replace(FORM, max_target=longest), SOURCE)
        spelled = FORM.spell(greedy(model, [SOURCE], longest)[0])
        assert inspection.normal.answer == spelled
        assert inspection.read == ["<bos>", *spelled][:longest]
        assert inspection.target == [*spelled, "<eos>"][:longest]


def test_a_target_may_fill_all_places_but_that_of_its_end(model: Transformer) -> None:
    inspection = inspect(model, FORM, SOURCE, [4] * 7)
    assert len(inspection.read) == len(inspection.target) == 8
    assert inspection.target[-1] == "<eos>"


def test_a_model_without_attention_has_none_to_show() -> None:
    class Bag(nn.Module):
        def __init__(self) -> None:
            self.tokens = nn.Embedding(8, 2, rng=np.random.default_rng(0))

        def forward(self, source: Any) -> Any:
            return self.tokens(np.asarray(source)).sum(1)

    form = Labels(FORM.source, ("bad", "good"), 8)
    with pytest.raises(ValueError, match="has no attention to show"):
        inspect(Bag(), form, SOURCE)


def test_the_model_is_left_as_it_was() -> None:
    model = a_model()
    model.train()
    model.encoder.eval()
    frozen = model.decoder.parameters()
    for x in frozen:
        x.requires_grad = False
    before = model.state_dict()
    modes = [module.training for _, module in model.named_modules()]
    grad = model.projection.weight.grad = np.ones_like(model.projection.weight.data)
    inspect(model, FORM, SOURCE)
    after = model.state_dict()
    assert {name: x.tobytes() for name, x in before.items()} == {
        name: x.tobytes() for name, x in after.items()
    }
    assert [module.training for _, module in model.named_modules()] == modes
    assert not any(x.requires_grad for x in frozen)
    gradients = [x.grad for x in model.parameters() if x.grad is not None]
    assert len(gradients) == 1
    assert gradients[0] is grad
    assert (grad == 1).all()


def test_a_head_comes_back_after_an_error(model: Transformer) -> None:
    attention = model.encoder.layers[0].self_attention
    before = attention.output.weight.data.tobytes()
    with pytest.raises(KeyboardInterrupt), attention.head_off(1):
        assert not attention.output.weight.data[:, 6:].any()
        assert attention.output.weight.data[:, :6].all()
        raise KeyboardInterrupt
    assert attention.output.weight.data.tobytes() == before


def test_a_run_is_inspected_by_its_texts(tmp_path: Path) -> None:
    settings = {"task": "reverse", "length": 4, "vocab": 5, "steps": 1, "d_model": 8, "heads": 2}
    trainer = Trainer(Recipe.read({**settings, "layers": 1, "d_ff": 16}))
    run = Run.create(tmp_path, trainer.recipe.flat())
    list(trainer.run())
    run.save(*trainer.state())
    predictor = Predictor(tmp_path)
    form = predictor.form
    source = form.read("3 1 4")

    inspection = predictor.inspect(source)
    answer = predictor.answer([source])[0]
    assert inspection.source == ["3", "1", "4"]
    assert " ".join(inspection.normal.answer) == answer
    example = source, form.read_answer(answer)
    assert (inspection.read, inspection.target) == (
        form.sides(example)["target"], form.asked(example),
    )  # fmt: skip
    maps = attention_maps(predictor.model, *form.batch([example]).inputs)
    assert len(inspection.layers) == len(maps) == 3
    for layer in inspection.layers:
        np.testing.assert_array_equal(layer.weights, maps[layer.path].weights[0])

    asked = predictor.inspect(source, "4 1 3")
    assert (asked.read, asked.target) == (["<bos>", "4", "1", "3"], ["4", "1", "3", "<eos>"])
    with pytest.raises(ValueError, match="unknown token '9' in the target"):
        predictor.inspect(source, "4 9")
    with pytest.raises(ValueError, match="a target of 5 tokens and its end are more than 5"):
        predictor.inspect(source, "4 1 3 1 1")


def test_additive_attention_is_seen_at_each_step_of_the_decoder() -> None:
    model: Any = LSTMAttentionSettings(d_model=6, layers=2).build(FORM.shape, nn.source(0))
    found = inspect(model, FORM, SOURCE, TARGET)
    (layer,) = found.layers
    assert (layer.path, layer.sides) == ("attention", ("target", "source"))
    assert (layer.queries, layer.keys) == (found.read, found.source)
    assert layer.query.shape == (1, 4, 6) and layer.value.shape == (1, 5, 12)
    assert layer.v is not None
    scores = np.tanh(layer.query[:, :, None] + layer.key[:, None]) @ layer.v
    np.testing.assert_allclose(layer.scores, scores, rtol=1e-5, atol=1e-6)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(layer.weights, weights, rtol=1e-5)
    np.testing.assert_allclose(layer.result, weights @ layer.value, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(layer.part, layer.result)
    maps = attention_maps(model, [SOURCE], [[BOS, *TARGET]])
    assert layer.weights.tobytes() == maps["attention"].weights[0].tobytes()
    assert layer.gradient.shape == layer.mask[None].shape == (1, 4, 5) and layer.mask.all()
    assert layer.without[0].loss != found.normal.loss


def a_llama(heads: int = 4, shared: int = 2) -> LanguageModel:
    """A small language model with random weights, whose heads share keys and values."""
    sizes = {"d_model": 8 * heads, "num_heads": heads, "num_kv_heads": shared, "d_ff": 12}
    config = LanguageConfig.llama(vocab=len(SOURCE_WORDS), num_layers=2, max_length=8, **sizes)
    return LanguageModel(config, rng=3)


TEXT = Text(SOURCE_WORDS, 8)
GAPS = Masked(Words((*BERT.values(), "a", "b", "c"), Special.find(BERT, BERT.values())), 8)


@pytest.mark.parametrize("shared", [1, 2, 4])
def test_each_head_has_its_key_and_value_however_many_share_them(shared: int) -> None:
    model = a_llama(shared=shared)
    found = inspect(model, TEXT, SOURCE)
    for layer in found.layers:
        assert layer.sides == ("text", "text")
        assert layer.query.shape == layer.key.shape == layer.value.shape == (4, 5, 8)
        scores = np.einsum("htk,hsk->hts", layer.query, layer.key) / np.sqrt(8)
        np.testing.assert_allclose(layer.scores, scores, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(layer.mask, np.tri(5, dtype=bool))
        powers = np.exp(scores) * layer.mask
        np.testing.assert_allclose(
            layer.weights, powers / powers.sum(-1, keepdims=True), rtol=1e-4, atol=1e-7
        )
        np.testing.assert_allclose(layer.result, layer.weights @ layer.value, rtol=1e-4, atol=1e-6)
        distinct = {key.tobytes() for key in layer.key}
        assert len(distinct) == shared
    maps = attention_maps(model, [SOURCE])
    for layer in found.layers:
        assert layer.weights.tobytes() == maps[layer.path].weights[0].tobytes()
        np.testing.assert_array_equal(maps[layer.path].mask, layer.mask)


def test_a_head_that_shares_its_key_is_switched_off_alone() -> None:
    model = a_llama()
    before = model.state_dict()
    layer = inspect(model, TEXT, SOURCE).layers[1]
    attention, logits = model.decoder.layers[1].self_attention, {}
    for head in range(4):
        with attention.head_off(head), no_grad(), evaluating(model):
            logits[head] = model([SOURCE]).data[0]
        expected = [TEXT.choices[best] for best in logits[head].argmax(-1)]
        assert layer.without[head].answer == expected
    assert len({x.tobytes() for x in logits.values()}) == 4
    for name, weight in model.state_dict().items():
        np.testing.assert_array_equal(weight, before[name])


def test_of_a_text_each_next_token_is_asked_for_and_last_what_the_model_expects() -> None:
    model = a_llama()
    found = inspect(model, TEXT, SOURCE)
    with no_grad(), evaluating(model):
        logits = model([SOURCE]).data[0].astype(np.float64)
    best = logits.argmax(-1)
    assert (found.form, found.source, found.read) == ("text", ["a", "c", "b", "a", "d"], [])
    assert (found.places, found.asked) == ([0, 1, 2, 3, 4], [*SOURCE[1:], best[-1]])
    assert found.target == ["c", "b", "a", "d", TEXT.choices[best[-1]]]
    assert found.normal.answer == [TEXT.choices[x] for x in best]
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    p = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-4)
    expected = -np.log(p[range(5), found.asked]).mean()
    assert found.normal.loss == pytest.approx(expected, rel=1e-5)
    one = inspect(model, TEXT, SOURCE, [6])
    assert (one.places, one.target, len(one.probabilities)) == ([4], ["c"], 1)


def test_of_gaps_the_places_are_those_of_the_gaps() -> None:
    config = BertConfig(vocab=8, num_layers=1, d_model=8, num_heads=2, d_ff=12, max_length=8)
    model = Bert(config, rng=0)
    found = inspect(model, GAPS, GAPS.read("a [MASK] c [MASK]"), [6, 7])
    assert found.source == ["[CLS]", "a", "[MASK]", "c", "[MASK]", "[SEP]"]
    assert (found.form, found.places, found.target) == ("masked", [2, 4], ["b", "c"])
    assert found.probabilities.shape == (2, 8)
    assert len(found.normal.answer) == 2
    assert found.layers[0].path == "reader.encoder.layers.0.self_attention"
    assert found.layers[0].sides == ("source", "source")


def test_of_a_large_model_nobody_tries_what_it_does_without_each_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = a_llama()
    heads = sum(len(layer.without) for layer in inspect(model, TEXT, SOURCE).layers)
    work = heads * count_parameters(model) * len(SOURCE)
    limit = "minitransformer.inside.inspection.MOST_WORK"
    monkeypatch.setattr(limit, work)
    assert all(layer.without for layer in inspect(model, TEXT, SOURCE).layers)
    monkeypatch.setattr(limit, work - 1)
    found = inspect(model, TEXT, SOURCE)
    assert [layer.without for layer in found.layers] == [[], []]
    assert found.normal.loss > 0


def test_query_and_key_come_as_sums_of_parts_of_every_head(inspection: Inspection) -> None:
    for layer in inspection.layers:
        query, key = (sum(x.values()) for x in (layer.query_parts, layer.key_parts))
        np.testing.assert_allclose(query, layer.query, atol=1e-5)
        np.testing.assert_allclose(key, layer.key, atol=1e-5)


def test_of_larger_models_only_heads_whose_keys_depend_most_on_the_query_come_as_sums(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {"d_model": 12, "num_heads": 3, "num_kv_heads": 1, "d_ff": 16, "max_length": 8}
    model = LanguageModel(LanguageConfig.llama(vocab=8, num_layers=2, **sizes), rng=0)
    form = Text(SOURCE_WORDS, 8)

    def split_with(most: int) -> list[Layer]:
        monkeypatch.setattr("minitransformer.inside.inspection.MOST_PARTS", most)
        return inspect(model, form, SOURCE).layers

    first, second = split_with(1_320)
    assert first.split == second.split == [0, 1, 2]
    assert len(second.query_parts) == 1 + 3 + 1  # the token, three heads, a feed-forward
    merits = np.array([information(layer.weights) for layer in (first, second)])
    best = {(int(at) // 3, int(at) % 3) for at in np.argsort(-merits.ravel())[:2]}
    of_few = split_with(2 * 7 * 40)  # numbers in a query and a key, in up to seven parts
    chosen = {(number, head) for number, layer in enumerate(of_few) for head in layer.split}
    assert best <= chosen < {(number, head) for number in (0, 1) for head in range(3)}
    for few, whole in zip(of_few, (first, second), strict=True):
        for part, x in few.query_parts.items():
            np.testing.assert_array_equal(x, whole.query_parts[part][few.split])
        for part, x in few.key_parts.items():
            np.testing.assert_array_equal(x, whole.key_parts[part][few.split])
    assert [layer.query_parts for layer in split_with(0)] == [{}, {}]
