"""Shapes and selections: the same elements elsewhere, so the gradient is only moved back."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from minigrad.op import composite, on, op
from minigrad.ops import reduce
from minigrad.tensor import Tensor, unwrap


def reshape_rule(
    g: Any, y: Any, x: Any, shape: Any = None, order: Any = "C", copy: bool | None = None
) -> Any:
    """Back to the shape of the input, the elements read in the same order."""
    return back_in_order(g, x, order)


def ravel_rule(g: Any, y: Any, x: Any, order: Any = "C") -> Any:
    """Back to the shape of the input, the elements read in the same order."""
    return back_in_order(g, x, order)


def back_in_order(g: Any, x: Any, order: Any) -> Any:
    """`g` in the shape of `x`, whose elements were read row by row, or column by column."""
    if order == "A":
        order = "F" if np.isfortran(np.asarray(unwrap(x))) else "C"
    return np.reshape(g, np.shape(x)) if order == "C" else np.reshape(g, np.shape(x), order=order)


def ravel_value(x: Any, order: Any = "C") -> Any:
    """np.ravel in an order that does not depend on the memory of a gradient to come."""
    if order == "K":
        raise ValueError("order 'K' depends on where elements lie in memory; use 'C' or 'F'")
    return np.ravel(x, order)


def move_elements(function: Callable[[Any], Any], x: Any) -> Any:
    """What a function that only moves, repeats or drops elements makes of `x`.

    It is applied to the elements' numbers, which then pick the elements.
    """
    numbers = np.arange(np.size(x)).reshape(np.shape(x))
    return np.reshape(x, -1)[function(numbers)]


def transpose_rule(g: Any, y: Any, x: Any, axes: Any = None) -> Any:
    """The inverse permutation; reversing the axes is its own."""
    return np.transpose(g, None if axes is None else np.argsort(np.mod(axes, np.ndim(x))))


def window(x: Any, start: Any, shape: tuple[int, ...]) -> Any:
    """The part of `x` of the given shape that begins at `start`."""
    return x[tuple(slice(i, i + n) for i, n in zip(start, shape, strict=True))]


def piece(
    g: Any, y: Any, i: int, *parts: Any, axis: int = 0, dtype: Any = None, casting: str = ""
) -> Any:
    """The part of `g` that came from the i-th array."""
    widths = [np.shape(part)[axis] for part in parts[: i + 1]]
    start, stop = sum(widths[:-1]), sum(widths)
    return g[(slice(None),) * (axis % np.ndim(g)) + (slice(start, stop),)]


def layer(
    g: Any, y: Any, i: int, *parts: Any, axis: int = 0, dtype: Any = None, casting: str = ""
) -> Any:
    """The slice of `g` that was the i-th array."""
    return np.take(g, i, axis)


MOVING = ("edge", "reflect", "symmetric", "wrap")
"""The modes of np.pad that repeat elements of the array."""


def widths(x: Any, pad_width: Any) -> list[list[int]]:
    """np.pad's pad_width in full: before and after, for each axis."""
    if isinstance(pad_width, dict):
        found = np.zeros((np.ndim(x), 2), int)
        for axis, pair in pad_width.items():
            found[axis] = pair
    else:
        found = np.broadcast_to(pad_width, (np.ndim(x), 2))
    return found.tolist()


def pad_arguments(
    x: Any, pad_width: Any = 0, mode: str = "constant", constant_values: Any = 0, **options: Any
) -> Any:
    """np.pad's arguments, as far as there is a rule."""
    if mode not in ("constant", *MOVING) or options.get("reflect_type", "even") != "even":
        found = f"mode {mode!r}" if mode not in MOVING else "reflect_type 'odd'"
        modes = ", ".join(MOVING)
        raise ValueError(
            f"pad: {found} has no derivative rule; use 'constant', {modes}, or np.concatenate"
        )
    if isinstance(constant_values, Tensor) and constant_values.requires_grad:
        raise TypeError(
            "pad: no gradient flows to constant_values; use .detach(), or np.concatenate"
        )
    params = {"pad_width": widths(x, pad_width)}
    if mode == "constant":
        return [x], params | {"constant_values": unwrap(constant_values)}
    return [x], params | {"mode": mode}


def pad_value(x: Any, pad_width: Any = 0, mode: Any = "constant", constant_values: Any = 0) -> Any:
    """`x` with more elements around it, constant or repeated."""
    if np.ndim(x) == 0:
        return np.positive(x)
    options: Any = {"constant_values": constant_values} if mode == "constant" else {}
    return np.pad(x, pad_width, mode, **options)


def pad_rule(
    g: Any, y: Any, x: Any, pad_width: Any = 0, mode: Any = "constant", constant_values: Any = 0
) -> Any:
    """The middle of `g` if the padding was constant, else the sum over all copies."""
    shape = np.shape(x)
    if mode == "constant":
        return window(g, [before for before, _ in pad_width], shape)
    numbers = np.arange(np.size(x)).reshape(shape)
    copies = np.pad(numbers, pad_width, mode)
    return np.reshape(scatter_add(g, index=copies, shape=(np.size(x),)), shape)


def join_arguments(
    arrays: Any, axis: int | None = 0, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """np.concatenate's arguments; without an axis it joins what is in the arrays."""
    cast = {} if dtype is None else {"dtype": dtype, "casting": casting}
    if axis is None:
        return tuple(np.ravel(x) for x in arrays), {"axis": 0, **cast}
    return tuple(arrays), {"axis": axis, **cast}


def tile_rule(g: Any, y: Any, x: Any, reps: Any = 1) -> Any:
    """The sum over the copies."""
    copies = list(reps) if isinstance(reps, tuple | list) else [reps]
    lengths = list(np.shape(x))
    copies = [1] * (len(lengths) - len(copies)) + copies
    lengths = [1] * (len(copies) - len(lengths)) + lengths
    split = [n for pair in zip(copies, lengths, strict=True) for n in pair]
    return np.reshape(
        reduce.sum(np.reshape(g, split), axis=tuple(range(0, len(split), 2))), np.shape(x)
    )


def repeat_rule(g: Any, y: Any, x: Any, repeats: Any = 1, axis: int | None = None) -> Any:
    """The sum over the copies of each element."""
    axis = axis if np.ndim(x) else None
    N = np.size(x, axis)
    source = np.repeat(np.arange(N, like=unwrap(x)), repeats)
    if axis is None:
        return np.reshape(scatter_add(g, index=source, shape=(N,)), np.shape(x))
    index = (slice(None),) * (axis % np.ndim(x)) + (source,)
    return scatter_add(g, index=index, shape=np.shape(x))


def add_at(g: Any, index: Any = None, shape: Any = None) -> Any:
    """Zeros of the given shape with `g` added at `index`, which may name a place repeatedly."""
    total = np.zeros(shape, g.dtype)
    if not may_repeat(index):
        total[index] = g
    elif g.dtype == object:  # such as the Values of a graph of scalars
        np.add.at(total, index, g)
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
    width = prod(total.shape[1:])
    total, g = total.reshape(len(total), width), g.reshape(len(index), width)
    if len(total) <= FEW:
        one_hot = (index == np.arange(len(total))[:, None]).astype(g.dtype)
        np.matmul(one_hot, g, out=total)
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
    total[index] = g[rows]


def may_repeat(index: Any) -> bool:
    """Whether an index can name a place twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(np.ndim(part) > 0 and np.asarray(part).dtype != bool for part in parts)


# fmt: off
reshape = op(np.reshape, "reshape", reshape_rule, family="shape",
             examples=[on((2, 3), shape=(3, 2)), on((2, 3), shape=-1),
                       on((2, 3), shape=(3, 2), order="F")])
ravel = op(ravel_value, "ravel", ravel_rule, family="shape", name="ravel", numpy=[np.ravel],
           examples=[on((2, 3)), on((2, 3), order="F")])
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
concatenate = op(lambda *parts, axis=0, **cast: np.concatenate(parts, axis, **cast), "concat",
                 piece, family="shape", name="concatenate", numpy=[np.concatenate],
                 unpack=join_arguments,
                 examples=[on([(2, 3), (1, 3)]), on([(2, 1), (2, 2)], axis=-1),
                           on([(2, 3), (2,)], axis=None)])
stack = op(lambda *parts, axis=0, **cast: np.stack(parts, axis, **cast), "stack", layer,
           family="shape", name="stack", numpy=[np.stack],
           unpack=join_arguments,
           examples=[on([(2, 3), (2, 3)]), on([(2, 3), (2, 3)], axis=-1)])
flip = op(lambda x, axis=None: np.flip(x, axis), "flip",
          lambda g, y, x, axis=None: np.flip(g, axis),
          family="shape", name="flip", numpy=[np.flip], examples=[on((2, 3)), on((2, 3), axis=1)])
roll = op(lambda x, shift=1, axis=None: np.roll(x, shift, axis), "roll",
          lambda g, y, x, shift=1, axis=None: np.roll(g, np.negative(shift), axis),
          family="shape", name="roll", numpy=[np.roll],
          examples=[on((2, 3), shift=1), on((2, 3), shift=(1, -1), axis=(0, 1))])
pad = op(pad_value, "pad", pad_rule, family="shape", name="pad", numpy=[np.pad],
         unpack=pad_arguments,
         examples=[on((2, 3), pad_width=1), on((2, 3), pad_width=((0, 1), (2, 0))),
                   *(on((2, 3), pad_width=((0, 2), (4, 1)), mode=mode) for mode in MOVING)])
tile = op(lambda x, reps=1: np.tile(x, reps), "tile", tile_rule, family="shape", name="tile",
          numpy=[np.tile],
          examples=[on((2, 3), reps=2), on((3,), reps=(2, 2)), on((2, 3), reps=(2, 1))])
repeat = op(lambda x, repeats=1, axis=None: np.repeat(x, repeats, axis), "repeat", repeat_rule,
            family="shape", name="repeat", numpy=[np.repeat],
            examples=[on((2, 3), repeats=2), on((2, 3), repeats=[1, 0, 2], axis=1)])

scatter_add = op(add_at, "scatter add", lambda g, y, x, index=None, shape=None: g[index],
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


def bring_within(indices: Any, n: int, mode: str) -> Any:
    """Integer indices brought within 0 to n - 1 as np.take's mode says, or left as they are."""
    if mode == "raise":
        return indices
    if mode not in ("wrap", "clip"):
        raise ValueError(f"mode is 'raise', 'wrap' or 'clip', not {mode!r}")
    return np.mod(indices, n) if mode == "wrap" else np.clip(indices, 0, n - 1)


@composite(
    np.take,
    family="shape",
    examples=[
        on((4, 3), indices=[0, 2, 0], axis=0),
        on((4, 3), indices=[5, 1]),
        on((3,), indices=[7, -5], mode="wrap"),
        on((3,), indices=[7, -5], mode="clip"),
    ],
)
def take(x: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """The elements at integer `indices` along `axis`, of the flattened array without one."""
    if axis is None or np.ndim(x) == 0:
        x, axis = np.reshape(x, -1), 0
    indices = bring_within(indices, np.shape(x)[axis], mode)
    return x[(slice(None),) * (axis % np.ndim(x)) + (indices,)]


@composite(
    np.take_along_axis,
    family="shape",
    examples=[
        on((2, 3), indices=np.array([[2, 0], [1, 1]]), axis=1),
        on((2, 3), indices=np.array([5, 1]), axis=None),
    ],
)
def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """Elements by an array of indices along `axis` whose other axes match those of `x`."""
    if axis is None:
        x, axis = np.reshape(x, -1), 0
    places = np.ogrid[tuple(slice(n) for n in np.shape(x))]
    index: list[Any] = list(places)
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
    if np.ndim(indices_or_sections) == 0:
        parts = operator.index(indices_or_sections)
        if parts < 1 or n % parts:
            raise ValueError(f"split: {n} elements do not make {parts} equal parts")
        step = n // indices_or_sections
        cuts = [i * step for i in range(1, parts)]
    else:
        cuts = list(indices_or_sections)
    before = (slice(None),) * (axis % np.ndim(x))
    edges = zip([0, *cuts], [*cuts, n], strict=True)
    return [x[(*before, slice(low, high))] for low, high in edges]
