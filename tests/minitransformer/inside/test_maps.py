"""Attention maps, read off the graph of a forward pass."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from minigrad import no_grad
from minigrad.tensor import Array
from minitransformer import Transformer, TransformerConfig
from minitransformer.inside.maps import attention_maps
from minitransformer.tokens import Special

PAD = Special().pad
H = 2
SOURCE = np.array([[4, 5, 6, 7, 8], [9, 10, 4, 0, 0], [5, 0, 0, 0, 0]])
TARGET = np.array([[1, 8, 7, 6, 0], [1, 4, 0, 0, 0], [1, 5, 5, 9, 10]])


def a_model(**choices: Any) -> Transformer:
    """A float64 model with no weight at a special value such as 0 or 1."""
    base = {"d_model": 8, "num_heads": H, "d_ff": 12, "dropout": 0.0, "max_length": 16}
    layers = {"num_encoder_layers": 2, "num_decoder_layers": 1}
    config = TransformerConfig(11, 11, **{**base, **layers, **choices})
    model = Transformer(config, rng=0).astype(np.float64)
    rng = np.random.default_rng(0)
    for x in model.parameters():
        x.data[...] = rng.normal(0.1, 0.5, x.shape)
    return model


def weights(model: Transformer) -> dict[str, Array]:
    return {path: x.weights for path, x in attention_maps(model, SOURCE, TARGET).items()}


def test_maps_come_in_the_order_of_the_layers() -> None:
    assert [(path, x.shape) for path, x in weights(a_model()).items()] == [
        ("encoder.layers.0.self_attention", (3, H, 5, 5)),
        ("encoder.layers.1.self_attention", (3, H, 5, 5)),
        ("decoder.layers.0.self_attention", (3, H, 5, 5)),
        ("decoder.layers.0.cross_attention", (3, H, 5, 5)),
    ]


def test_a_map_says_whose_tokens_look_at_whose() -> None:
    maps = attention_maps(a_model(), SOURCE, TARGET)
    assert {path: (x.queries, x.keys) for path, x in maps.items()} == {
        "encoder.layers.0.self_attention": ("source", "source"),
        "encoder.layers.1.self_attention": ("source", "source"),
        "decoder.layers.0.self_attention": ("target", "target"),
        "decoder.layers.0.cross_attention": ("target", "source"),
    }


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_maps_are_the_weights_that_each_layer_hands_out(norm: Any) -> None:
    model = a_model(norm=norm)
    maps = weights(model)
    real = (SOURCE != PAD)[:, None, None]
    x = model.source_embedding(SOURCE)
    for i, layer in enumerate(model.encoder.layers):
        inner = layer.self_attention_norm(x) if norm == "pre" else x
        expected = layer.self_attention.weights(inner, inner, real)
        assert np.array_equal(maps[f"encoder.layers.{i}.self_attention"], expected)
        x = layer(x, real)


def test_maps_show_the_masks() -> None:
    for name, x in weights(a_model()).items():
        assert np.allclose(x.sum(axis=-1), 1, rtol=0, atol=1e-12)
        writing = name.startswith("decoder") and name.endswith("self_attention")
        keys = TARGET if writing else SOURCE
        assert not x.swapaxes(1, 3)[keys == PAD].any()
        assert np.triu(x, 1).any() == (not writing)


def test_maps_leave_the_model_as_it_was() -> None:
    model = a_model(dropout=0.3)
    model.encoder.eval()
    modes = [module.training for _, module in model.named_modules()]
    expected = weights(copy.deepcopy(model).eval())
    with no_grad():
        maps = weights(model)
    assert all(np.array_equal(maps[name], expected[name]) for name in expected)
    assert [module.training for _, module in model.named_modules()] == modes
    assert all(x.requires_grad and x.grad is None for x in model.parameters())


def test_maps_of_frozen_layers_are_there_too() -> None:
    model = a_model()
    expected = weights(model)
    for part in (model.source_embedding, model.encoder):
        for x in part.parameters():
            x.requires_grad_(False)
    maps = weights(model)
    assert list(maps) == list(expected)
    assert not any(x.requires_grad for x in model.encoder.parameters())
    assert all(x.requires_grad for x in model.decoder.parameters())
