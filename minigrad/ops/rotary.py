"""Rotary positions: rows turned by where they stand, so that products know the distance."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.op import Op, on, op
from minigrad.ops.elementwise import floating
from minigrad.tensor import Array, unwrap


def turn_rows(x: Any, start: int = 0, base: float = 10_000.0, back: bool = False) -> Any:
    """Each row turned by its position, the numbers of its first half with those of its second.

    (..., T, K) → (..., T, K). The row at position p, the first being at `start`, turns its numbers
    i and i + K/2 by the angle p · base^(−2i/K), or `back` by it. ValueError for an odd K, for less
    than two axes or for positions below 0. Su et al., "RoFormer: Enhanced Transformer with Rotary
    Position Embedding" (2021), section 3.4.2, which pairs neighbours in place of halves: that is
    another order of the same numbers.
    """
    x, start = floating(np.asarray(x)), int(start)
    if x.ndim < 2:
        raise ValueError(f"rotary takes rows at positions, (..., T, K), not {x.shape}")
    length, width = x.shape[-2:]
    if width % 2:
        raise ValueError(f"numbers turn in pairs: the last axis is even, not {width}")
    if start < 0:
        raise ValueError(f"positions are at least 0, not {start}")
    end = start + length  # a table up to a power of two serves many steps of decoding
    cos, sin = rotations_table(1 << end.bit_length(), width, float(base), x.dtype)
    cos, sin = cos[start:end], -sin[start:end] if back else sin[start:end]
    y = np.concatenate((x[..., width // 2 :], x[..., : width // 2]), axis=-1)
    y *= sin
    y += x * cos
    return y


@lru_cache(maxsize=16)
def rotations_table(
    positions: int, width: int, base: float, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """The rotations at positions 0, 1, 2 …: (positions, width), (positions, width)."""
    tables = rotations(np.broadcast_to(dtype.type(0), (positions, width)), 0, base)
    for table in tables:
        table.setflags(write=False)
    return tables


def rotations(x: Any, start: int, base: float) -> tuple[Any, Any]:
    """The cosine and the sine of the angle at each number of a row: (T, K), (T, K).

    The first half turns by the negative angle: cos θ a − sin θ b, cos θ b + sin θ a.
    """
    x = floating(unwrap(x))
    T, K = np.shape(x)[-2], np.shape(x)[-1]
    i = np.arange(K, like=x)
    theta = base ** (-2 * np.remainder(i, K // 2) / K)
    positions = np.expand_dims(np.arange(start, start + T, like=x), -1)
    angles = positions * np.where(i < K // 2, -theta, theta)
    return np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)


def rotary_definition(x: Any, start: int = 0, base: float = 10_000.0, back: bool = False) -> Any:
    """x · cos + its halves exchanged · sin."""
    cos, sin = rotations(x, start, base)
    exchanged = np.roll(x, np.shape(x)[-1] // 2, axis=-1)
    return x * cos + exchanged * (-sin if back else sin)


rotary: Op = op(
    turn_rows,
    "rotary",
    lambda g, y, x, start=0, base=10_000.0, back=False: rotary(
        g, start=start, base=base, back=not back
    ),
    family="matmul",
    name="rotary",
    definition=rotary_definition,
    examples=[on((3, 4)), on((2, 3, 2), start=5, base=100.0), on((3, 4), back=True)],
)
