"""The layers of encoder and decoder: attention and feed-forward, each inside a residual."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from minigrad import nn
from minigrad.ops.elementwise import gelu, relu, silu
from minigrad.tensor import Array, Tensor
from minitransformer.parts.attention import Cache, MultiHeadAttention
from minitransformer.parts.config import StackConfig

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "gelu": gelu,
    "gelu-tanh": partial(gelu, approximate="tanh"),
    "swiglu": silu,  # of the gate
}


def attention_of(
    config: StackConfig, rng: nn.Source, to_memory: bool = False
) -> MultiHeadAttention:
    """The attention of a layer. One to a memory has no positions: they are of another text."""
    turns = config.positions == "rotary" and not to_memory
    return MultiHeadAttention(
        config.d_model,
        config.num_heads,
        rng,
        num_kv_heads=config.num_kv_heads,
        bias=config.bias,
        rotary_base=config.rotary_base if turns else None,
    )


def norm_of(config: StackConfig) -> nn.LayerNorm | nn.RMSNorm:
    """The norm of a layer."""
    norm = nn.RMSNorm if config.scaling == "rms" else nn.LayerNorm
    return norm(config.d_model, config.eps)


class FeedForward(nn.Module):
    """Two linear maps with an activation between, the same at every position: section 3.3.

    With "swiglu" the inner map is multiplied by silu of a third one, the gate, in place of an
    activation: Shazeer, "GLU Variants Improve Transformer" (2020), section 2.
    """

    def __init__(self, config: StackConfig, rng: nn.Source) -> None:
        self.inner = nn.Linear(config.d_model, config.d_ff, config.bias, rng)
        self.outer = nn.Linear(config.d_ff, config.d_model, config.bias, rng)
        self.gate = None
        if config.activation == "swiglu":
            self.gate = nn.Linear(config.d_model, config.d_ff, config.bias, rng)
        self.activation = config.activation

    def forward(self, x: Any) -> Tensor:
        """(B, T, D) → (B, T, D), by way of (B, T, F)."""
        activate, inner = ACTIVATIONS[self.activation], self.inner(x)
        return self.outer(activate(inner) if self.gate is None else activate(self.gate(x)) * inner)

    def describe(self) -> str:
        return self.activation


class Layer(nn.Module):
    """What encoder and decoder layers share: the residual around each of their sublayers."""

    def __init__(self, config: StackConfig, rng: nn.Source) -> None:
        self.dropout = nn.Dropout(config.dropout, rng)
        self._norm_first = config.norm == "pre"

    def residual(self, x: Any, norm: nn.Module, sublayer: Callable[[Any], Any]) -> Any:
        """norm(x + f(x)) as in the paper, section 3.1; or x + f(norm(x)) with norm="pre"."""
        if self._norm_first:
            return x + self.dropout(sublayer(norm(x)))
        return norm(x + self.dropout(sublayer(x)))


class EncoderLayer(Layer):
    """Self-attention, then feed-forward."""

    def __init__(self, config: StackConfig, rng: nn.Source | nn.Seed = None) -> None:
        rng = nn.source(rng)
        self.self_attention = attention_of(config, rng)
        self.self_attention_norm = norm_of(config)
        self.feed_forward = FeedForward(config, rng)
        self.feed_forward_norm = norm_of(config)
        super().__init__(config, rng)  # last, so that a printed layer lists dropout last

    def forward(self, x: Any, mask: Array | None = None, cache: Cache | None = None) -> Tensor:
        """(B, S, D) → (B, S, D)."""
        x = self.residual(
            x, self.self_attention_norm, lambda x: self.self_attention(x, x, mask, cache)
        )
        return self.residual(x, self.feed_forward_norm, self.feed_forward)


class DecoderLayer(Layer):
    """Self-attention on what has been written, cross-attention to the memory, feed-forward."""

    def __init__(self, config: StackConfig, rng: nn.Source | nn.Seed = None) -> None:
        rng = nn.source(rng)
        self.self_attention = attention_of(config, rng)
        self.self_attention_norm = norm_of(config)
        self.cross_attention = attention_of(config, rng, to_memory=True)
        self.cross_attention_norm = norm_of(config)
        self.feed_forward = FeedForward(config, rng)
        self.feed_forward_norm = norm_of(config)
        super().__init__(config, rng)  # last, so that a printed layer lists dropout last

    def forward(
        self,
        x: Any,
        memory: Any,
        mask: Array | None = None,
        memory_mask: Array | None = None,
        caches: tuple[Cache, Cache] | None = None,
    ) -> Tensor:
        """(B, T, D) with the memory (B, S, D) → (B, T, D)."""
        own, cross = caches or (None, None)
        x = self.residual(
            x, self.self_attention_norm, lambda x: self.self_attention(x, x, mask, own)
        )
        x = self.residual(
            x,
            self.cross_attention_norm,
            lambda x: self.cross_attention(x, memory, memory_mask, cross),
        )
        return self.residual(x, self.feed_forward_norm, self.feed_forward)


class Stack(nn.Module):
    """Layers one after the other; with norm="pre" a last layer norm, as nothing else scales x."""

    def __init__(self, layers: list[Layer], config: StackConfig) -> None:
        self.layers = nn.ModuleList(layers)
        self.norm = norm_of(config) if config.norm == "pre" else None

    def finish(self, x: Any) -> Any:
        """The last layer norm, where there is one."""
        return x if self.norm is None else self.norm(x)


class Encoder(Stack):
    """Self-attention, layer after layer.

    Where every position may look at every other, it reads a source; under a causal mask, and with a
    cache for each layer, it is what a language model writes with.
    """

    def __init__(
        self, config: StackConfig, num_layers: int, rng: nn.Source | nn.Seed = None
    ) -> None:
        rng = nn.source(rng)
        super().__init__([EncoderLayer(config, rng) for _ in range(num_layers)], config)

    def forward(
        self, x: Any, mask: Array | None = None, caches: list[Cache] | None = None
    ) -> Tensor:
        """(B, S, D) → (B, S, D), the memory."""
        for i, layer in enumerate(self.layers):
            x = layer(x, mask, caches[i] if caches else None)
        return self.finish(x)


class Decoder(Stack):
    """Writes the target: a position may look at earlier ones, and at the whole memory."""

    def __init__(
        self, config: StackConfig, num_layers: int, rng: nn.Source | nn.Seed = None
    ) -> None:
        rng = nn.source(rng)
        super().__init__([DecoderLayer(config, rng) for _ in range(num_layers)], config)

    def forward(
        self,
        x: Any,
        memory: Any,
        mask: Array | None = None,
        memory_mask: Array | None = None,
        caches: list[tuple[Cache, Cache]] | None = None,
    ) -> Tensor:
        """(B, T, D) with the memory (B, S, D) → (B, T, D)."""
        for i, layer in enumerate(self.layers):
            x = layer(x, memory, mask, memory_mask, caches[i] if caches else None)
        return self.finish(x)
