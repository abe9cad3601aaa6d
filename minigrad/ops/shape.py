"""Shapes and selections: the same elements elsewhere, so the gradient is only moved back."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minigrad.op import composite, on, op


def reshape_rule(g: Any, y: Any, x: Any, shape: Any = None) -> Any:
    """Back to the shape of the input."""
    return np.reshape(g, np.shape(x))


def transpose_rule(g: Any, y: Any, x: Any, axes: Any = None) -> Any:
    """The inverse permutation; reversing the axes is its own."""
    return np.transpose(g, None if axes is None else np.argsort(np.mod(axes, np.ndim(x))))


def window(x: Any, start: Any, shape: tuple[int, ...]) -> Any:
    """The part of `x` of the given shape that begins at `start`."""
    return x[tuple(slice(i, i + n) for i, n in zip(start, shape, strict=True))]


def piece(g: Any, y: Any, i: int, *parts: Any, axis: int = 0) -> Any:
    """The part of `g` that came from the i-th array."""
    start = [0] * np.ndim(g)
    start[axis] = sum(np.shape(part)[axis] for part in parts[:i])
    return window(g, start, np.shape(parts[i]))


def layer(g: Any, y: Any, i: int, *parts: Any, axis: int = 0) -> Any:
    """The slice of `g` that was the i-th array."""
    return g[(slice(None),) * (axis % np.ndim(g)) + (i,)]


def widths(x: Any, pad_width: Any) -> Any:
    """np.pad's pad_width in full: (before, after) for each axis."""
    return np.broadcast_to(pad_width, (np.ndim(x), 2))


def pad_rule(g: Any, y: Any, x: Any, pad_width: Any = 0, constant_values: Any = 0) -> Any:
    """The middle of `g`; the padding was constant."""
    return window(g, widths(x, pad_width)[:, 0].tolist(), np.shape(x))


def joined(arrays: Any, axis: int | None = 0) -> Any:
    """np.concatenate's arguments; without an axis it joins what is in the arrays."""
    if axis is None:
        return tuple(np.ravel(x) for x in arrays), {"axis": 0}
    return tuple(arrays), {"axis": axis}


def padded(x: Any, pad_width: Any = 0, mode: str = "constant", constant_values: Any = 0) -> Any:
    """np.pad's arguments; only padding by a constant has a rule."""
    if mode != "constant":
        raise ValueError(f"mode {mode!r}; only 'constant' has a derivative rule")
    return [x], {"pad_width": widths(x, pad_width).tolist(), "constant_values": constant_values}


def tile_rule(g: Any, y: Any, x: Any, reps: Any = 1) -> Any:
    """The sum over the copies."""
    reps = np.atleast_1d(reps).tolist()
    shape = np.shape(x)
    reps = [1] * (len(shape) - len(reps)) + reps
    shape = (1,) * (len(reps) - len(shape)) + shape
    split = [n for pair in zip(reps, shape, strict=True) for n in pair]
    return np.reshape(
        np.sum(np.reshape(g, split), axis=tuple(range(0, len(split), 2))), np.shape(x)
    )


def repeat_rule(g: Any, y: Any, x: Any, repeats: Any = 1, axis: int | None = None) -> Any:
    """The sum over the copies of each element."""
    if axis is None:
        x, axis, shape = np.reshape(x, -1), 0, np.shape(x)
    else:
        shape = np.shape(x)
    source = np.repeat(np.arange(np.shape(x)[axis]), repeats)
    index = (slice(None),) * (axis % np.ndim(x)) + (source,)
    return np.reshape(scatter_add(g, index=index, shape=np.shape(x)), shape)


def added_at(g: Any, index: Any = None, shape: Any = None) -> Any:
    """Zeros of the given shape with `g` added at `index`, which may name a place repeatedly."""
    total = np.zeros(shape, g.dtype)
    if not may_repeat(index):
        total[index] = g
    elif isinstance(index, np.ndarray) and total.ndim > 1:
        add_rows(total, index, g)
    else:
        places = np.arange(total.size).reshape(shape)[index]
        g = np.broadcast_to(g, places.shape)
        flat = np.bincount(places.ravel(), g.ravel(), total.size)  # adds in float64
        total[...] = flat.reshape(shape)
    return total


FEW = 64
"""Up to so many rows, such as a small vocabulary, a product with one-hot columns is fastest."""


def add_rows(total: Any, index: Any, g: Any) -> None:
    """total[index] += g, with repeats, for an array of zeros and whole rows.

    Rows that go to the same place are added in pairs, then the sums in pairs, and so on.
    """
    index = np.arange(len(total))[index.ravel()]  # from 0 up, and IndexError for what is outside
    g = g.reshape(len(index), prod(total.shape[1:]))
    if len(total) <= FEW:
        one_hot = (index == np.arange(len(total))[:, None]).astype(g.dtype)
        np.matmul(one_hot, g, out=total.reshape(len(total), -1))
        return
    g = g.copy()
    rows = np.argsort(index, kind="stable")
    index = index[rows]  # now rows for the same place stand together
    while True:
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        if len(starts) == len(index):
            break
        place_in_run = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
        odd = place_in_run % 2 == 1
        g[rows[:-1][odd[1:]]] += g[rows[odd]]
        rows, index = rows[~odd], index[~odd]
    total.reshape(len(total), -1)[index] = g[rows]


def may_repeat(index: Any) -> bool:
    """Whether an index can name a place twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(np.ndim(part) > 0 and np.asarray(part).dtype != bool for part in parts)


# fmt: off
reshape = op(np.reshape, "reshape", reshape_rule, family="shape",
             examples=[on((2, 3), shape=(3, 2)), on((2, 3), shape=-1)])
ravel = op(np.ravel, "ravel", lambda g, y, x: np.reshape(g, np.shape(x)), family="shape",
           examples=[on((2, 3))])
transpose = op(np.transpose, "transpose", transpose_rule, family="shape",
               examples=[on((2, 3)), on((2, 3, 4), axes=(1, 2, 0)), on((2, 3, 4), axes=(0, -1, 1))])
swapaxes = op(lambda x, axis1=0, axis2=1: np.swapaxes(x, axis1, axis2), "swap axes",
              lambda g, y, x, axis1=0, axis2=1: np.swapaxes(g, axis1, axis2),
              family="shape", name="swapaxes", numpy=[np.swapaxes],
              examples=[on((2, 3, 4), axis1=-1, axis2=-2)])
broadcast_to = op(np.broadcast_to, "broadcast", lambda g, y, x, shape=None: g, family="shape",
                  examples=[on((3,), shape=(2, 3)), on((2, 1), shape=(2, 3))])
expand_dims = op(np.expand_dims, "expand dims",
                 lambda g, y, x, axis=None: np.reshape(g, np.shape(x)),
                 family="shape", examples=[on((2, 3), axis=1), on((2, 3), axis=(0, -1))])
squeeze = op(np.squeeze, "squeeze", lambda g, y, x, axis=None: np.reshape(g, np.shape(x)),
             family="shape", examples=[on((2, 1, 3)), on((1, 2, 1), axis=-1)])
concatenate = op(lambda *parts, axis=0: np.concatenate(parts, axis), "concat", piece,
                 family="shape", name="concatenate", numpy=[np.concatenate],
                 unpack=joined,
                 examples=[on([(2, 3), (1, 3)]), on([(2, 1), (2, 2)], axis=-1),
                           on([(2, 3), (2,)], axis=None)])
stack = op(lambda *parts, axis=0: np.stack(parts, axis), "stack", layer,
           family="shape", name="stack", numpy=[np.stack],
           unpack=lambda arrays, axis=0: (tuple(arrays), {"axis": axis}),
           examples=[on([(2, 3), (2, 3)]), on([(2, 3), (2, 3)], axis=-1)])
flip = op(lambda x, axis=None: np.flip(x, axis), "flip",
          lambda g, y, x, axis=None: np.flip(g, axis),
          family="shape", name="flip", numpy=[np.flip], examples=[on((2, 3)), on((2, 3), axis=1)])
roll = op(lambda x, shift=1, axis=None: np.roll(x, shift, axis), "roll",
          lambda g, y, x, shift=1, axis=None: np.roll(g, np.negative(shift), axis),
          family="shape", name="roll", numpy=[np.roll],
          examples=[on((2, 3), shift=1), on((2, 3), shift=(1, -1), axis=(0, 1))])
pad = op(lambda x, pad_width=0, constant_values=0:
             np.pad(x, pad_width, constant_values=constant_values), "pad",
         lambda g, y, i, x, pad_width=0, constant_values=0:
             pad_rule(g, y, x, pad_width, constant_values),
         family="shape", name="pad", numpy=[np.pad], unpack=padded,
         examples=[on((2, 3), pad_width=1), on((2, 3), pad_width=((0, 1), (2, 0)))])
tile = op(lambda x, reps=1: np.tile(x, reps), "tile", tile_rule, family="shape", name="tile",
          numpy=[np.tile],
          examples=[on((2, 3), reps=2), on((3,), reps=(2, 2)), on((2, 3), reps=(2, 1))])
repeat = op(lambda x, repeats=1, axis=None: np.repeat(x, repeats, axis), "repeat", repeat_rule,
            family="shape", name="repeat", numpy=[np.repeat],
            examples=[on((2, 3), repeats=2), on((2, 3), repeats=[1, 0, 2], axis=1)])

scatter_add = op(added_at, "scatter add", lambda g, y, x, index=None, shape=None: g[index],
                 family="shape", name="scatter_add",
                 examples=[on((3, 2), index=np.array([0, 2, 0]), shape=(4, 2))])
getitem = op(lambda x, index=...: x[index], "[ ]",
             lambda g, y, x, index=...: scatter_add(g, index=index, shape=np.shape(x)),
             family="shape", name="getitem",
             examples=[on((3, 4), index=1), on((3, 4), index=(slice(None, None, -2), None, ...)),
                       on((3, 4), index=np.array([0, 2, 0])),
                       on((3, 4), index=np.array([], int)),
                       on((3, 4), index=(np.array([0, 2, 2]), np.array([1, 1, 1]))),
                       on((3, 4), index=np.array([True, False, True]))])
tril = op(lambda x, k=0: np.tril(x, k), "tril", lambda g, y, x, k=0: np.tril(g, k),
          family="shape", name="tril", numpy=[np.tril], examples=[on((3, 3)), on((2, 3, 3), k=-1)])
triu = op(lambda x, k=0: np.triu(x, k), "triu", lambda g, y, x, k=0: np.triu(g, k),
          family="shape", name="triu", numpy=[np.triu], examples=[on((3, 3)), on((2, 3, 3), k=1)])
# fmt: on


@composite(
    np.take,
    family="shape",
    examples=[on((4, 3), indices=[0, 2, 0], axis=0), on((4, 3), indices=[5, 1])],
)
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at integer `indices` along `axis`, of the flattened array without one."""
    if axis is None:
        return np.reshape(x, -1)[np.asarray(indices)]
    return x[(slice(None),) * (axis % np.ndim(x)) + (np.asarray(indices),)]


@composite(
    np.take_along_axis,
    family="shape",
    examples=[on((2, 3), indices=np.array([[2, 0], [1, 1]]), axis=1)],
)
def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """Elements by an array of indices along `axis` whose other axes match those of `x`."""
    index: list[Any] = list(np.ogrid[tuple(slice(n) for n in np.shape(x))])
    index[axis] = indices
    return x[tuple(index)]


@composite(
    np.split,
    family="shape",
    examples=[on((4, 2), indices_or_sections=2), on((2, 5), indices_or_sections=[1, 3], axis=1)],
)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """A list of consecutive parts along `axis`: so many equal ones, or cut at the given places."""
    n = np.shape(x)[axis]
    if isinstance(indices_or_sections, int | np.integer):
        if n % indices_or_sections:
            raise ValueError(f"split: {n} elements do not make {indices_or_sections} equal parts")
        step = n // indices_or_sections
        cuts = list(range(step, n, step))
    else:
        cuts = list(indices_or_sections)
    before = (slice(None),) * (axis % np.ndim(x))
    edges = zip([0, *cuts], [*cuts, n], strict=True)
    return [x[(*before, slice(low, high))] for low, high in edges]
