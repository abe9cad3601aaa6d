"""Parts of a query, and of a key, add up to it in every model, and are what they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.tensor import Array, Tensor
from minitransformer.inside.maps import attention_steps, recorded
from minitransformer.inside.parts import BIASES, Part, Parts, parts_of
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.transformer import Transformer, TransformerConfig

SIZES: dict[str, Any] = {"d_model": 12, "num_heads": 2, "d_ff": 16, "max_length": 8}
SOURCE, READ = [[4, 6, 5, 4, 7]], [[1, 5, 4]]


def a_transformer(**settings: Any) -> Transformer:
    layers = {"num_encoder_layers": 2, "num_decoder_layers": 2}
    return spread(Transformer(TransformerConfig(8, 8, **{**SIZES, **layers, **settings}), rng=0))


def a_language_model(config: Any, **settings: Any) -> LanguageModel:
    return spread(LanguageModel(config(vocab=8, num_layers=3, **SIZES, **settings), rng=0))


def spread(model: Any) -> Any:
    """The model in float64, its biases and the weights of its norms drawn, for them to count."""
    rng = np.random.default_rng(1)
    model = model.astype(np.float64)
    for x in model.parameters():
        if x.ndim == 1:
            x.data = x.data + rng.normal(0, 0.3, x.shape)
    return model


MODELS: dict[str, Any] = {
    "pre-norm": (lambda: a_transformer(norm="pre"), (SOURCE, READ)),
    "post-norm": (lambda: a_transformer(norm="post"), (SOURCE, READ)),
    "learned positions": (lambda: a_transformer(positions="learned"), (SOURCE, READ)),
    "rotary positions": (lambda: a_transformer(positions="rotary"), (SOURCE, READ)),
    "no positions": (lambda: a_transformer(positions="none"), (SOURCE, READ)),
    "gpt": (lambda: a_language_model(LanguageConfig.gpt2), (SOURCE,)),
    "llama": (lambda: a_language_model(LanguageConfig.llama, num_kv_heads=1), (SOURCE,)),
    "bert": (lambda: spread(Bert(BertConfig(vocab=8, num_layers=3, **SIZES), 0)), (SOURCE,)),
}


def steps_of(model: Any, inputs: Any) -> dict[str, Tensor]:
    """The attention op of each layer."""
    with recorded(model):
        found = attention_steps(model(*inputs), model)
    return {path: step for path, (step,) in found.items()}


def parts_by_path(model: Any, inputs: Any) -> dict[str, tuple[Parts, Parts]]:
    steps = steps_of(model, inputs)
    sums = parts_of([x for step in steps.values() for x in step.inputs[:2]], model)
    return dict(zip(steps, zip(sums[::2], sums[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_the_pairs_of_parts_add_up_to_every_score_of_every_layer(name: str) -> None:
    build, inputs = MODELS[name]
    model = build()
    modules = dict(model.named_modules())
    parts = parts_by_path(model, inputs)
    for path, step in steps_of(model, inputs).items():
        queries, keys = (np.stack([*x.values()]) for x in parts[path])
        np.testing.assert_allclose(queries.sum(0), step.inputs[0].data, rtol=0, atol=1e-12)
        np.testing.assert_allclose(keys.sum(0), step.inputs[1].data, rtol=0, atol=1e-12)
        keys = np.repeat(keys, queries.shape[2] // keys.shape[2], axis=2)
        pairs = np.einsum("abhtk,cbhsk->acbhts", queries, keys) / np.sqrt(queries.shape[-1])
        np.testing.assert_allclose(
            pairs.sum((0, 1)), modules[path].scores(step), rtol=0, atol=1e-12
        )
        assert all(np.abs(x).max() > 1e-6 for x in (*queries, *keys))


def test_a_part_is_named_by_where_it_comes_from() -> None:
    of = parts_by_path(a_transformer(), (SOURCE, READ))
    token, position = Part("source_embedding.tokens"), Part("source_embedding.positions")
    heads = [Part("encoder.layers.0.self_attention", head) for head in (0, 1)]
    first = [token, position, BIASES]
    second = [token, position, *heads, Part("encoder.layers.0.feed_forward"), BIASES]
    assert [[*x] for x in of["encoder.layers.0.self_attention"]] == [first, first]
    assert [[*x] for x in of["encoder.layers.1.self_attention"]] == [second, second]
    query, key = of["decoder.layers.0.cross_attention"]
    assert {x.path.split(".")[0] for x in query} == {"target_embedding", "decoder", "biases"}
    assert len(key) == 2 + 2 * 3 + 1  # of the whole encoder

    build, inputs = MODELS["bert"]
    (query, _), *_ = parts_by_path(build(), inputs).values()
    names = ["embedding.tokens", "embedding.positions", "segments"]
    assert [*query] == [*(Part(f"reader.{name}") for name in names), BIASES]
    build, inputs = MODELS["llama"]  # its places turn what is there, and it has no bias
    (query, _), *_ = parts_by_path(build(), inputs).values()
    assert [*query] == [Part("embedding.tokens")]


def centred_and_scaled(x: Array, of: Array, norm: Any) -> Array:
    """What a layer norm makes of a part `x` of the sum `of`, written out."""
    scale = np.sqrt(of.var(-1, keepdims=True) + norm.eps)
    found: Array = (x - x.mean(-1, keepdims=True)) / scale * norm.weight.data
    return found


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_each_part_is_what_the_layer_makes_of_what_it_is_called(norm: Any) -> None:
    """Written out for the cross-attention of the decoder's first layer, whose query has read the
    embedding, one self-attention and one norm."""
    model = a_transformer(norm=norm)
    layer = model.decoder.layers[0]
    steps = steps_of(model, (SOURCE, READ))
    query, _ = parts_by_path(model, (SOURCE, READ))["decoder.layers.0.cross_attention"]
    token = model.target_embedding.tokens.weight.data[READ[0]] * 12**0.5
    position = model.target_embedding.position(0, 3)
    heads = layer.self_attention.parts(steps["decoder.layers.0.self_attention"].data[0])
    bias = layer.self_attention.output.bias.data
    stream = token + position + heads.sum(0) + bias
    normed = layer.cross_attention_norm if norm == "pre" else layer.self_attention_norm
    weight = layer.cross_attention.query.weight.data

    def turned_into_query(x: Array) -> Array:
        found: Array = (x @ weight.T).reshape(3, 2, 6).swapaxes(0, 1)
        return found

    for part, x in {
        Part("target_embedding.tokens"): token,
        Part("target_embedding.positions"): position,
        Part("decoder.layers.0.self_attention", 0): heads[0],
        Part("decoder.layers.0.self_attention", 1): heads[1],
    }.items():
        expected = turned_into_query(centred_and_scaled(x, stream, normed))
        np.testing.assert_allclose(query[part][0], expected, atol=1e-12)
    shift = centred_and_scaled(np.broadcast_to(bias, (3, 12)), stream, normed) + normed.bias.data
    expected = turned_into_query(shift) + layer.cross_attention.query.bias.data.reshape(2, 1, 6)
    np.testing.assert_allclose(query[BIASES][0], expected, atol=1e-12)
