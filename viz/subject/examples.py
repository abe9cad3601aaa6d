"""Small computations worth looking at: what `minigrad graph WHAT` draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Tensor, Value
from minigrad.tensor import Array
from minitransformer import (
    DecoderLayer,
    EncoderLayer,
    MultiHeadAttention,
    Transformer,
    TransformerConfig,
    causal_mask,
)
from minitransformer.batch import IGNORE, Batch
from minitransformer.parts.config import Norm
from minitransformer.training import loss_of

CONFIG = TransformerConfig(
    14, 14, d_model=64, num_heads=4, num_encoder_layers=2, num_decoder_layers=2, d_ff=128,
    dropout=0.0, max_length=16,
)  # fmt: skip


def numbers(rng: np.random.Generator, *shape: int) -> Array:
    """Random numbers with few digits, to be read in a picture."""
    return rng.normal(size=shape).round(1)


def expression() -> Tensor:
    """mean((tanh(x @ w + b) − y)²)."""
    rng = np.random.default_rng(3)
    x, y = Tensor(numbers(rng, 2, 3), name="x"), Tensor(numbers(rng, 2, 2), name="y")
    w = Tensor(numbers(rng, 3, 2), requires_grad=True, name="w")
    b = Tensor(numbers(rng, 2), requires_grad=True, name="b")
    return (((x @ w + b).tanh() - y) ** 2).mean()


def neuron() -> Value:
    """A neuron of single numbers: tanh(w₁x₁ + w₂x₂ + b)."""
    w1, x1, w2, x2, b = map(Value, (0.5, 2.0, 1.5, -1.0, 0.8))
    return (w1 * x1 + w2 * x2 + b).tanh()


def softmax() -> Tensor:
    """−log softmax(x)[1]."""
    x = Tensor([[1.0, 3.0, 0.5]], requires_grad=True, name="x")
    return -np.log(mg.softmax(x)[0, 1])


def layernorm() -> Tensor:
    """Layer norm of two rows, and the mean square of the result's distance to a target."""
    rng = np.random.default_rng(3)
    x = Tensor(numbers(rng, 2, 3), requires_grad=True, name="x")
    weight = Tensor(np.ones(3), requires_grad=True, name="weight")
    bias = Tensor(np.zeros(3), requires_grad=True, name="bias")
    return mg.mse_loss(mg.layer_norm(x, weight, bias), Tensor(numbers(rng, 2, 3), name="target"))


def vectors(name: str, length: int) -> Tensor:
    """Two sequences of token vectors."""
    rng = np.random.default_rng(length)
    return Tensor(rng.normal(size=(2, length, CONFIG.d_model)), dtype=np.float32, name=name)


def attention(masked: bool = True) -> Tensor:
    """Multi-head self-attention on five positions, under a causal mask or under none."""
    x = vectors("x", 5)
    mask = causal_mask(5) if masked else None
    y = MultiHeadAttention(CONFIG.d_model, CONFIG.num_heads, rng=0)(x, x, mask)
    return mg.mse_loss(y, vectors("target", 5))


def encoder_layer(norm: Norm = "post") -> Tensor:
    """One encoder layer of the paper, or one with its layer norms before the sublayers."""
    layer = EncoderLayer(replace(CONFIG, norm=norm), rng=0)
    return mg.mse_loss(layer(vectors("x", 5)), vectors("target", 5))


def decoder_layer() -> Tensor:
    """One decoder layer of the paper, with the encoder's result as its memory."""
    layer = DecoderLayer(CONFIG, rng=0)
    y = layer(vectors("x", 4), vectors("memory", 5), causal_mask(4))
    return mg.mse_loss(y, vectors("target", 4))


def transformer() -> Tensor:
    """A whole encoder-decoder, from token numbers to the loss."""
    source, read = np.array([[5, 6, 7], [9, 4, 0]]), np.array([[1, 7, 6, 5], [1, 4, 9, 0]])
    labels = np.array([[7, 6, 5, 2], [4, 9, 2, IGNORE]])
    batch = Batch((source, read), labels, tokens=12)
    return loss_of(Transformer(CONFIG, rng=0), batch)


EXAMPLES: dict[str, tuple[Callable[[], Tensor | Value], dict[str, Any]]] = {
    "neuron": (neuron, {}),
    "expression": (expression, {}),
    "softmax": (softmax, {"zoom": "definition"}),
    "layernorm": (layernorm, {"zoom": "definition"}),
    "attention": (attention, {"zoom": "definition"}),
    "attention-unmasked": (partial(attention, masked=False), {"zoom": "definition"}),
    "encoder-layer": (encoder_layer, {}),
    "encoder-layer-pre": (partial(encoder_layer, norm="pre"), {}),
    "decoder-layer": (decoder_layer, {}),
    "transformer": (transformer, {"zoom": "module"}),
}
"""The examples by the names that the command knows, each with how it is best drawn."""
