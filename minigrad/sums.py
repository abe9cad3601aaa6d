"""Sums of many numbers, with an error as if pairs were added first, then pairs of pairs, and so on.

NumPy adds in that way along the axis that is contiguous in memory. Along the others it adds one row
after the other to a running total, which in float32 stops growing at 2²⁴ equal numbers. Here long
columns are summed in blocks of rows, each a product with a vector of ones, which BLAS does several
times as fast as NumPy adds; the few sums of blocks are then added in float64.
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

BLOCK = 256
"""So many float32 numbers may be added one after the other: that costs a digit at most."""

TALL, LONG = 1024, 4096
"""A single product with ones is exact enough for a column, or a row, up to this length."""

THREADED = 1 << 18
"""From this size on, BLAS splits a matrix-vector product over threads, which costs more than it
saves."""

UNSET = 5
"""OpenBLAS's AVX-512 kernel for float32 rows of this width adds memory that nobody has set, beside
the sums that it gives back: they are right, and NumPy warns, now and then, of an invalid value."""


add: Any = np.add.reduce


def add_up(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """np.sum, as exact along every axis as NumPy is along the contiguous one."""
    x = np.asanyarray(x)
    if x.dtype.char != "f" or x.size <= BLOCK:  # float64 has digits to spare
        return add(x, axis=axis, keepdims=keepdims)
    axes = sorted(normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim))
    first, end = (axes[0], axes[-1] + 1) if axes else (0, 0)
    if not x.flags.c_contiguous or end - first != len(axes):
        total = add(x, axis=axis, keepdims=keepdims, dtype=np.float64)
        return total.astype(np.float32)
    stack, rows, width = (prod(x.shape[i:j]) for i, j in ((0, first), (first, end), (end, x.ndim)))
    if width == 1 or rows <= BLOCK:
        return add(x, axis=axis, keepdims=keepdims)
    shape = x.shape[:first] + (1,) * (end - first) * keepdims + x.shape[end:]
    return sum_columns(x.reshape(stack, rows, width)).reshape(shape)


def sum_columns(x: Any) -> Any:
    """The sum of each column of a matrix, or of every matrix in a stack."""
    rows, width = x.shape[-2:]
    if rows <= TALL and rows * width <= THREADED:
        return np.ones(rows, x.dtype) @ x
    block = min(BLOCK, max(THREADED // max(width, 1), 1))
    blocks, rest = divmod(rows, block)
    parts = x[..., : rows - rest, :].reshape(*x.shape[:-2], blocks, block, width)
    total = add(np.ones(block, x.dtype) @ parts, axis=-2, dtype=np.float64)
    total += np.ones(rest, x.dtype) @ x[..., rows - rest :, :]
    return total.astype(x.dtype)


def sum_rows(x: Any) -> Any:
    """The sum of each row of a matrix."""
    if x.shape[-1] > LONG:
        return add(x, axis=-1)
    return dot_rows(x, np.ones(x.shape[-1], x.dtype))


def dot_rows(x: Any, vector: Any) -> Any:
    """Each row of a matrix times `vector`."""
    by_blas = x.size < THREADED and x.shape[-1] != UNSET
    return x @ vector if by_blas else np.vecdot(x, vector)


def norm(g: Any) -> float:
    """The root of the sum of squares, without overflow; NaN or inf only where an element is."""
    largest = float(np.abs(g).max(initial=0))
    if not np.isfinite(largest):
        return largest
    size = largest * float(np.linalg.norm((g / (largest or 1)).astype(np.float64)))
    return min(size, sys.float_info.max)
