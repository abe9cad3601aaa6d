"""Multi-head attention, its masks, and the cache that decoding uses; additive attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.ops.additive import additive_attention
from minigrad.ops.attention import attention_weights, scaled_dot_product_attention
from minigrad.ops.rotary import rotary
from minigrad.tensor import Array, Tensor


def causal_mask(length: int) -> Array:
    """(T, T): position t may attend to positions up to t."""
    return np.tri(length, dtype=bool)


def padding_mask(tokens: Array, pad: int = 0) -> Array:
    """(B, 1, 1, S): every query may attend to the keys that are not padding."""
    return (np.asarray(tokens) != pad)[:, None, None, :]


class Cache:
    """The keys and values that one attention layer has computed so far, (B, H, S, K) each.

    In self-attention each decoding step appends its own. In cross-attention (`fixed`) they come
    from the memory, which does not change, so the first step computes them once for all.
    """

    def __init__(self, fixed: bool) -> None:
        self.fixed = fixed
        self.key: Any = None
        self.value: Any = None

    @property
    def complete(self) -> bool:
        """Whether the keys and values are all there, and the memory need not be looked at."""
        return self.fixed and self.key is not None

    @property
    def length(self) -> int:
        """How many positions it holds."""
        return 0 if self.key is None else int(self.key.shape[2])

    def append(self, key: Any, value: Any) -> tuple[Any, Any]:
        """Add new positions; returns all keys and values."""
        if self.key is not None:
            key = np.concatenate([self.key, key], axis=2)
            value = np.concatenate([self.value, value], axis=2)
        self.key, self.value = key, value
        return key, value

    def select(self, rows: Array) -> None:
        """Keep these rows of the batch, in this order: beams that go on, some of them twice."""
        if self.key is not None:
            self.key, self.value = self.key[rows], self.value[rows]


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each on its own K = D/H wide projection of the input.

    "Attention Is All You Need", section 3.2.2. With fewer `num_kv_heads`, a group of query heads
    shares each head of keys and values (Ainslie et al., "GQA", 2023). With a `rotary_base`, queries
    and keys are turned by their positions (Su et al., "RoFormer", 2021, section 3.4.2).
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        rng: nn.Source | nn.Seed = None,
        *,
        num_kv_heads: int | None = None,
        bias: bool = True,
        rotary_base: float | None = None,
    ) -> None:
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        nn.require_sizes(self, d_model=d_model, num_heads=num_heads, num_kv_heads=kv_heads)
        if d_model % num_heads:
            raise ValueError(f"num_heads {num_heads} does not divide d_model {d_model}")
        if num_heads % kv_heads:
            raise ValueError(f"num_kv_heads {kv_heads} does not divide num_heads {num_heads}")
        rng = nn.source(rng)
        self._width = d_model // num_heads
        self.query = nn.Linear(d_model, d_model, bias, rng)
        self.key = nn.Linear(d_model, kv_heads * self._width, bias, rng)
        self.value = nn.Linear(d_model, kv_heads * self._width, bias, rng)
        self.output = nn.Linear(d_model, d_model, bias, rng)
        self.num_heads, self.num_kv_heads = num_heads, kv_heads
        self._rotary_base = rotary_base

    def forward(
        self, x: Any, memory: Any, mask: Array | None = None, cache: Cache | None = None
    ) -> Tensor:
        """(B, T, D) queries from `x`, (B, S, D) keys and values from `memory` → (B, T, D).

        In self-attention the two are the same. `mask` is boolean, True = may attend, broadcast
        against (B, H, T, S).
        """
        if not isinstance(cache, Cache | None) or isinstance(mask, Tensor):
            raise TypeError(
                "attention takes (x, memory, mask, cache): queries from x, keys and values both "
                "from memory, and a boolean array as mask"
            )
        start = 0 if cache is None else cache.length
        query = self.turn(self.split(self.query(x)), start)  # (B, H, T, K)
        if cache is not None and cache.complete:
            key, value = cache.key, cache.value
        else:
            key = self.turn(self.split(self.key(memory)), start)  # (B, H, S, K)
            value = self.split(self.value(memory))
            if cache is not None:
                key, value = cache.append(key, value)
        heads = scaled_dot_product_attention(query, key, value, mask=mask)  # (B, H, T, K)
        return self.output(self.merge(heads))

    def weights(self, x: Any, memory: Any, mask: Array | None = None) -> Array:
        """What each head attends to: (B, H, T, S), each row summing to one."""
        query = self.turn(self.split(self.query(x)), 0)
        key = self.turn(self.split(self.key(memory)), 0)
        return attention_weights(query.data, self.for_each_head(key.data), mask)

    def scores(self, step: Tensor) -> Array:
        """(B, H, T, S): what the weights of this attention's op are the softmax of, unmasked."""
        query, key = (x.data for x in step.inputs[:2])
        return query @ self.for_each_head(key).swapaxes(-1, -2) / sqrt(query.shape[-1])

    def parts(self, result: Array) -> Array:
        """What each head adds to the output: its result (H, T, K) times its columns of W_O,
        (H, T, D)."""
        weight = self.output.weight.data
        return result @ weight.T.reshape(self.num_heads, -1, len(weight))

    @contextmanager
    def head_off(self, head: int) -> Iterator[None]:
        """A block in which what one head finds reaches nobody: its columns of W_O are 0."""
        weight = self.output.weight.data
        width = weight.shape[1] // self.num_heads
        columns = weight[:, head * width : (head + 1) * width]
        before = columns.copy()
        columns[:] = 0
        try:
            yield
        finally:
            columns[:] = before

    def split(self, x: Tensor) -> Any:
        """(B, T, D) → (B, H, T, K)."""
        batch, length, width = x.shape
        return x.reshape(batch, length, width // self._width, self._width).swapaxes(1, 2)

    def turn(self, x: Any, start: int) -> Any:
        """(B, H, T, K), the first at position `start`, each turned by its position if it is so."""
        return x if self._rotary_base is None else rotary(x, start=start, base=self._rotary_base)

    def for_each_head(self, x: Array) -> Array:
        """(B, G, S, K), of G heads of keys or values → (B, H, S, K)."""
        return np.repeat(x, self.num_heads // self.num_kv_heads, axis=1)

    def merge(self, heads: Any) -> Any:
        """(B, H, T, K) → (B, T, D): the heads concatenated."""
        batch, num_heads, length, width = heads.shape
        return heads.swapaxes(1, 2).reshape(batch, length, num_heads * width)

    def describe(self) -> str:
        shared = f" over {self.num_kv_heads}" if self.num_kv_heads < self.num_heads else ""
        return f"{self.num_heads} heads{shared}"


class AdditiveAttention(nn.Module):
    """A query's scores by a small network of it and each key: vᵀ tanh(W query + U memory).

    Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
    Translate" (2015), appendix A.1.2.
    """

    num_heads = 1

    def __init__(
        self, d_query: int, d_memory: int, width: int, rng: nn.Source | nn.Seed = None
    ) -> None:
        nn.require_sizes(self, d_query=d_query, d_memory=d_memory, width=width)
        rng = nn.source(rng)
        self.query = nn.Linear(d_query, width, bias=False, rng=rng)
        self.key = nn.Linear(d_memory, width, bias=False, rng=rng)
        self.v = nn.parameter(rng.uniform(-(width**-0.5), width**-0.5, (width,)))
        self._is_off = False

    def forward(self, query: Any, memory: Any, mask: Array | None = None, key: Any = None) -> Any:
        """(B, T, Q) queries and a (B, S, M) memory → (B, T, M), the memory weighed by each query.

        mask: boolean, True = may attend, broadcast against (B, T, S). key: `self.key(memory)`,
        where it has been computed already, as for all steps of decoding.
        """
        key = self.key(memory) if key is None else key
        found = additive_attention(self.query(query), key, memory, self.v, mask=mask)
        return found * 0 if self._is_off else found

    def scores(self, step: Tensor) -> Array:
        """(B, T, S): what the weights of this attention's op are the softmax of, unmasked."""
        hidden: Array = step.saved[1]
        return hidden @ self.v.data

    def parts(self, result: Array) -> Array:
        """What the one head adds to the output: its result, (1, T, M)."""
        return result

    @contextmanager
    def head_off(self, head: int) -> Iterator[None]:
        """A block in which what the one head finds reaches nobody."""
        self._is_off = True
        try:
            yield
        finally:
            self._is_off = False
