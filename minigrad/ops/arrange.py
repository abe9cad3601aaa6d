"""Arrangements: joining, cutting, turning and picking, said in the ops of `shape.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import composite, on
from minigrad.ops.shape import bring_within, move_elements
from minigrad.tensor import Tensor, unwrap

arrangement = partial(composite, family="shape", in_words=True)

PAIRS = [on([(2, 3), (2, 3)]), on([(3,), (3,)])]


def with_axes(x: Any, ndim: int) -> Any:
    """`x` with at least `ndim` axes: those that are missing come first, of length one."""
    missing = max(ndim - np.ndim(x), 0)
    return np.reshape(x, (1,) * missing + np.shape(x)) if missing else x


def cast_like(x: Any, like: Any) -> Any:
    """`x` in the dtype of `like`."""
    dtype = np.result_type(like)
    if not isinstance(x, Tensor):
        return np.asarray(x, dtype)
    return x if x.dtype == dtype else x.astype(dtype)


def in_depth(x: Any) -> Any:
    """`x` with at least three axes: an image of one row, or of one layer."""
    x = with_axes(x, 2)
    return np.expand_dims(x, 2) if np.ndim(x) == 2 else x


def of_each(change: Callable[[Any], Any], arrays: Sequence[Any]) -> Any:
    """One array changed, or a tuple of several: as np.atleast_1d gives them."""
    changed = tuple(change(x) for x in arrays)
    return changed[0] if len(changed) == 1 else changed


@arrangement(np.atleast_1d, examples=[on(())])
def atleast_1d(*arrays: Any) -> Any:
    """Numbers as arrays of one element; arrays as they are."""
    return of_each(lambda x: with_axes(x, 1), arrays)


@arrangement(np.atleast_2d, examples=[on((3,)), on((), (2,))])
def atleast_2d(*arrays: Any) -> Any:
    """Vectors as matrices of one row; matrices as they are."""
    return of_each(lambda x: with_axes(x, 2), arrays)


@arrangement(np.atleast_3d, examples=[on((2, 3)), on((), (3,))])
def atleast_3d(*arrays: Any) -> Any:
    """Matrices as images of one layer; what has three axes as it is."""
    return of_each(in_depth, arrays)


@arrangement(np.hstack, examples=[on([(2, 3), (2, 1)]), on([(3,), (2,)])])
def hstack(tup: Any, **options: Any) -> Any:
    """Arrays side by side."""
    parts = [with_axes(x, 1) for x in tup]
    return np.concatenate(parts, axis=min(np.ndim(parts[0]) - 1, 1), **options)


@arrangement(np.vstack, examples=[on([(2, 3), (3,)])])
def vstack(tup: Any, **options: Any) -> Any:
    """Arrays on top of each other; a vector is a row."""
    return np.concatenate([with_axes(x, 2) for x in tup], axis=0, **options)


@arrangement(np.dstack, examples=PAIRS)
def dstack(tup: Any) -> Any:
    """Arrays behind each other, as the layers of an image."""
    return np.concatenate([in_depth(x) for x in tup], axis=2)


@arrangement(np.column_stack, examples=[on([(3,), (3, 2)])])
def column_stack(tup: Any) -> Any:
    """Arrays side by side; a vector is a column."""
    columns = [x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in tup]
    return np.concatenate(columns, axis=1)


@arrangement(np.block, examples=[on([[(2, 2), (2, 1)], [(1, 2), (1, 1)]])])
def block(arrays: Any) -> Any:
    """An array put together from nested lists of blocks, the innermost along the last axis."""

    def depth(part: Any) -> int:
        return 1 + max(map(depth, part)) if isinstance(part, list) else 0

    def axes(part: Any) -> int:
        return max(map(axes, part)) if isinstance(part, list) else np.ndim(part)

    def join(part: Any, level: int) -> Any:
        if not isinstance(part, list):
            return with_axes(part, ndim)
        return np.concatenate([join(inner, level - 1) for inner in part], axis=-level)

    ndim = max(depth(arrays), axes(arrays))
    return join(arrays, depth(arrays))


@arrangement(np.append, examples=[on((2, 3), (2,)), on((2, 3), (1, 3), axis=0)])
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with `values` behind it; both flat without an axis."""
    return np.concatenate([arr, values], axis=axis)


@arrangement(
    np.insert,
    examples=[on((4,), [1, 1], (2,)), on((2, 3), slice(0, 2), (2,), axis=1)],
)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`values` inserted before the indices `obj`; into the flat array without an axis."""
    n, shape = np.size(arr), np.shape(values)
    numbers = np.arange(n).reshape(np.shape(arr))
    order = np.insert(numbers, unwrap(obj), n + np.arange(np.size(values)).reshape(shape), axis)
    return np.concatenate([np.ravel(arr), np.ravel(cast_like(values, arr))])[order]


@arrangement(np.delete, examples=[on((4,), [0, 2]), on((2, 3), 1, axis=1)])
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`arr` without the slices at the indices `obj`; of the flat array without an axis."""
    index = unwrap(obj)
    return move_elements(lambda numbers: np.delete(numbers, index, axis), arr)


@arrangement(np.resize, examples=[on((2, 3), new_shape=(4, 2)), on((2,), new_shape=5)])
def resize(a: Any, new_shape: Any) -> Any:
    """The elements in another shape, from the start again where there are too few."""
    if np.size(a) == 0:  # nothing to start from again: NumPy gives zeros
        return np.broadcast_to(np.sum(a), new_shape)
    return move_elements(lambda numbers: np.resize(numbers, new_shape), a)


@arrangement(
    np.array_split,
    examples=[on((5, 2), indices_or_sections=2), on((2, 5), indices_or_sections=[1, 3], axis=1)],
)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """A list of consecutive parts, the first ones longer by one if they cannot all be equal."""
    if np.ndim(indices_or_sections) > 0:
        return np.split(ary, indices_or_sections, axis)
    parts = np.array_split(np.arange(np.shape(ary)[axis]), indices_or_sections)
    return np.split(ary, np.cumsum([len(part) for part in parts[:-1]], dtype=int), axis)


@arrangement(np.hsplit, examples=[on((2, 4), indices_or_sections=2)])
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """A list of parts from left to right."""
    if np.ndim(ary) == 0:
        raise ValueError("hsplit: a number cannot be cut")
    return np.split(ary, indices_or_sections, axis=min(np.ndim(ary) - 1, 1))


@arrangement(np.vsplit, examples=[on((4, 2), indices_or_sections=[1])])
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """A list of parts from top to bottom."""
    if np.ndim(ary) < 2:
        raise ValueError(f"vsplit: an array of two or more axes is needed, not {np.shape(ary)}")
    return np.split(ary, indices_or_sections, axis=0)


@arrangement(np.dsplit, examples=[on((2, 1, 4), indices_or_sections=2)])
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """A list of parts from the front to the back."""
    if np.ndim(ary) < 3:
        raise ValueError(f"dsplit: an array of three or more axes is needed, not {np.shape(ary)}")
    return np.split(ary, indices_or_sections, axis=2)


@arrangement(np.unstack, examples=[on((2, 3)), on((2, 3), axis=-1)])
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """A tuple of the slices along an axis."""
    (axis,) = normalize_axis_tuple(axis, np.ndim(x))
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(np.shape(x)[axis]))


@arrangement(
    np.moveaxis,
    examples=[
        on((2, 3, 4), source=0, destination=-1),
        on((2, 3, 4), source=(0, 1), destination=(-1, 0)),
    ],
)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Some axes moved to other places, the rest in their order."""
    ndim = np.ndim(a)
    source = normalize_axis_tuple(source, ndim, "source")
    destination = normalize_axis_tuple(destination, ndim, "destination")
    if len(source) != len(destination):
        raise ValueError(f"moveaxis: {len(source)} axes cannot go to {len(destination)} places")
    order = [axis for axis in range(ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return np.transpose(a, order)


@arrangement(np.rollaxis, examples=[on((2, 3, 4), axis=2), on((2, 3, 4), axis=0, start=3)])
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """One axis moved to stand before another."""
    (axis,) = normalize_axis_tuple(axis, np.ndim(a))
    start += np.ndim(a) * (start < 0)
    return np.moveaxis(a, axis, start - (axis < start))


@arrangement(
    np.rot90,
    examples=[on((2, 3)), on((2, 3), k=2), on((2, 3, 2), k=-1, axes=(1, 2))],
)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """The plane of two axes turned by k right angles, from the first axis towards the second."""
    first, second = normalize_axis_tuple(axes, np.ndim(m), "axes")
    if k % 4 == 2:
        return np.flip(m, (first, second))
    if k % 4 == 1:
        return np.swapaxes(np.flip(m, second), first, second)
    return np.flip(np.swapaxes(m, first, second), second) if k % 4 else np.positive(m)


@arrangement(np.fliplr, examples=[on((2, 3))])
def fliplr(m: Any) -> Any:
    """The second axis in reverse."""
    if np.ndim(m) < 2:
        raise ValueError(f"fliplr: an array of two or more axes is needed, not {np.shape(m)}")
    return np.flip(m, 1)


@arrangement(np.flipud, examples=[on((2, 3))])
def flipud(m: Any) -> Any:
    """The first axis in reverse."""
    if np.ndim(m) < 1:
        raise ValueError("flipud: a number has no rows")
    return np.flip(m, 0)


@arrangement(np.matrix_transpose, np.linalg.matrix_transpose, examples=[on((2, 3, 4))])
def matrix_transpose(x: Any, /) -> Any:
    """Each matrix of a stack transposed."""
    return np.swapaxes(x, -1, -2)


@arrangement(
    np.diagonal,
    examples=[on((3, 4)), on((3, 3), offset=-1), on((2, 3, 2), offset=1, axis1=-1, axis2=1)],
)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements whose indices on two axes are equal, or `offset` apart, as the last axis."""
    return move_elements(lambda numbers: np.diagonal(numbers, offset, axis1, axis2), a)


@arrangement(np.linalg.diagonal, examples=[on((2, 3, 4)), on((3, 3), offset=1)])
def matrix_diagonal(x: Any, /, offset: int = 0) -> Any:
    """The diagonal of each matrix of a stack."""
    return np.diagonal(x, offset, -2, -1)


@arrangement(np.diag, examples=[on((3, 4), k=1), on((3,)), on((2,), k=-1)])
def diag(v: Any, k: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector as its diagonal and zeros elsewhere."""
    if np.ndim(v) == 2:
        return np.diagonal(v, k)
    if np.ndim(v) != 1:
        raise ValueError(f"diag: a vector or a matrix is needed, not {np.shape(v)}")
    places = np.diag(np.arange(1, len(v) + 1), k)
    return np.concatenate([np.zeros(1, np.result_type(v)), v])[places]


@arrangement(np.diagflat, examples=[on((2, 2), k=1)])
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix with all the elements as its diagonal and zeros elsewhere."""
    return np.diag(np.ravel(v), k)


@composite(
    np.trace, family="reduce", examples=[on((3, 4)), on((2, 3, 3), offset=1, axis1=1, axis2=2)]
)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@composite(np.linalg.trace, family="reduce", examples=[on((2, 3, 3)), on((3, 4), offset=-1)])
def matrix_trace(x: Any, /, offset: int = 0) -> Any:
    """The sum of the diagonal of each matrix of a stack."""
    return np.trace(x, offset, -2, -1)


@arrangement(np.broadcast_arrays, examples=[on((2, 1), (3,))])
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """Arrays repeated until all have one shape."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@arrangement(
    np.meshgrid,
    examples=[on((2,), (3,)), on((2,), (3,), (4,), indexing="ij", sparse=True)],
)
def meshgrid(*xi: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """The coordinates of the points of a grid, from those along each of its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}")
    order = [1, 0, *range(2, len(xi))] if indexing == "xy" and len(xi) > 1 else range(len(xi))
    lines = [
        np.reshape(x, [-1 if axis == place else 1 for axis in range(len(xi))])
        for x, place in zip(xi, order, strict=True)
    ]
    return tuple(lines) if sparse else np.broadcast_arrays(*lines)


@arrangement(
    np.compress,
    examples=[on(np.array([True, False, True]), (2, 3), axis=1)],
)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """The slices along an axis for which a condition holds; of the flat array without one."""
    return np.take(a, np.flatnonzero(condition), axis)


@arrangement(np.extract, examples=[on(np.eye(2, 3, dtype=bool), (2, 3))])
def extract(condition: Any, arr: Any) -> Any:
    """The elements for which a condition holds."""
    return np.ravel(arr)[np.flatnonzero(condition)]


@composite(
    np.select,
    family="elementwise",
    examples=[on([np.eye(2, 3, dtype=bool), np.ones(3, bool)], [(2, 3), (3,)])],
)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """For each element, the choice that belongs to the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = np.where(condition, choice, chosen)
    return chosen


@composite(np.choose, family="elementwise", examples=[on(np.array([0, 1, 1]), [(3,), (2, 3)])])
def choose(a: Any, choices: Any, mode: str = "raise") -> Any:
    """For each element, the choice whose number the integer array `a` gives."""
    numbers = bring_within(np.asanyarray(a), len(choices), mode)
    if mode == "raise" and np.any((numbers < 0) | (numbers >= len(choices))):
        raise ValueError(f"choose: a number is outside 0 to {len(choices) - 1}")
    numbers, *layers = np.broadcast_arrays(numbers, *choices)
    return np.take_along_axis(np.stack(layers), numbers[None], axis=0)[0]


@arrangement(np.fft.fftshift, examples=[on((2, 3)), on((4, 3), axes=0)])
def fftshift(x: Any, axes: Any = None) -> Any:
    """The halves of some axes exchanged, so that the frequency 0 stands in the middle."""
    axes = normalize_axis_tuple(range(np.ndim(x)) if axes is None else axes, np.ndim(x))
    return np.roll(x, [np.shape(x)[axis] // 2 for axis in axes], axes)


@arrangement(np.fft.ifftshift, examples=[on((2, 3)), on((4, 3), axes=1)])
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of `fftshift`."""
    axes = normalize_axis_tuple(range(np.ndim(x)) if axes is None else axes, np.ndim(x))
    return np.roll(x, [-(np.shape(x)[axis] // 2) for axis in axes], axes)
