"""Reductions: many elements to one, along some axes or all.

A row has the params `axis` and `keepdims`, which its rule needs. Its extension serves NumPy's other
ones (`dtype`, `initial`, `where`): the same reduction of an array that was prepared for it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from math import prod as product_of
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import Op, on, op
from minigrad.ops.elementwise import astype
from minigrad.sums import add_up
from minigrad.tensor import Tensor, unwrap

AXES = [
    on((2, 3), axis=1),
    on((2, 3)),
    on((2, 3, 2), axis=(0, 2)),
    on((2, 3), axis=-1, keepdims=True),
]


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """`g` with the reduced axes put back as axes of length one, to broadcast against `x`.

    Where all axes were reduced it is one number, which broadcasts as it is.
    """
    return g if keepdims or axis is None or np.ndim(x) == 0 else np.expand_dims(g, axis)


def reduced_count(x: Any, axis: Any) -> int:
    """How many elements go into one result."""
    if isinstance(axis, tuple | list):
        return product_of(np.size(x, i) for i in axis)
    return np.size(x, axis) if np.ndim(x) else 1


def freedom(n: int, ddof: Any) -> Any:
    """The degrees of freedom n − ddof; NaN where none are left."""
    left = n - ddof
    return left if left > 0 else nan


def sum_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Every element has slope one."""
    return np.broadcast_to(spread(g, x, axis, keepdims), np.shape(x))


def mean_value(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """np.mean, as exact along every axis as along the contiguous one."""
    return add_up(x, axis, keepdims) / reduced_count(x, axis)


def mean_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Every element has slope 1/n."""
    N = reduced_count(x, axis)
    return np.broadcast_to(spread(g, x, axis, keepdims) / N, np.shape(x))


def var_value(x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """np.var, as exact along every axis as along the contiguous one."""
    deviation = x - mean_value(x, axis, keepdims=True)
    left = np.maximum(reduced_count(x, axis) - ddof, 0)  # a Python number's 0 could not divide
    return add_up(deviation * deviation, axis, keepdims) / left.astype(deviation.dtype)


def var_rule(
    g: Any, y: Any, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False
) -> Any:
    """2 (x − mean) / (n − ddof): moving the mean changes nothing, as the deviations sum to zero."""
    N = reduced_count(x, axis)
    deviation = x - mean(x, axis=axis, keepdims=True)
    return spread(g, x, axis, keepdims) * deviation * (2 / freedom(N, ddof))


def std_value(x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """The square root of the variance."""
    return np.sqrt(var_value(x, axis, ddof, keepdims))


def std_rule(
    g: Any, y: Any, x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False
) -> Any:
    """(x − mean) / (n − ddof) / std; 0 where all elements are equal, as in PyTorch."""
    N = reduced_count(x, axis)
    deviation = x - mean(x, axis=axis, keepdims=True)
    return spread(over_length(g, y), x, axis, keepdims) * deviation / freedom(N, ddof)


def over_length(g: Any, y: Any) -> Any:
    """g / y, and 0 where a length y is 0: as PyTorch has it, also in second derivatives."""
    return np.where(y == 0, 0, g / np.where(y == 0, 1, y))


def extreme_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The gradient goes to the largest (or smallest) element; equal ones, and NaNs, share it."""
    chosen = x == spread(y, x, axis, keepdims)
    if np.any(np.isnan(y)):
        chosen = chosen | np.isnan(x)
    shares = np.sum(chosen, axis=axis, keepdims=True)
    return np.where(chosen, spread(g, x, axis, keepdims), 0) / shares.astype(x.dtype)


def prod_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of all the other elements: y / x, unless y is 0 or too large."""
    g = spread(g, x, axis, keepdims)
    if np.all(y != 0) and np.all(np.isfinite(y)):
        return g * spread(y, x, axis, keepdims) / x
    ndim = np.ndim(x)
    axes = sorted(normalize_axis_tuple(range(ndim) if axis is None or not ndim else axis, ndim))
    order = [*(i for i in range(ndim) if i not in axes), *axes]
    turned = np.transpose(x, order)
    kept = np.shape(turned)[: ndim - len(axes)]
    flat = np.reshape(turned, (*kept, product_of(np.shape(turned)[len(kept) :])))
    back = np.argsort(order)
    return g * np.transpose(np.reshape(multiply_others(flat), np.shape(turned)), back)


def multiply_others(x: Any) -> Any:
    """For each element the product of all the others along the last axis."""
    if isinstance(x, Tensor):  # row i of a square has 1 in the place of element i
        places = np.arange(x.shape[-1], like=unwrap(x))
        itself = places[:, None] == places
        return np.prod(np.where(itself, 1, np.expand_dims(x, -2)), axis=-1)
    before, after = np.ones_like(x), np.ones_like(x)
    np.cumprod(x[..., :-1], -1, out=before[..., 1:])
    np.cumprod(x[..., :0:-1], -1, out=after[..., -2::-1])
    return before * after


def cumsum_value(x: Any, axis: int | None = None) -> Any:
    """np.cumsum, whose running total is float64 for float32."""
    wide = np.float64 if np.asarray(x).dtype.char == "f" else None
    y = np.cumsum(x, axis, dtype=wide)
    return y if wide is None else y.astype(np.float32)


def cumsum_rule(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    """Each element is in its own partial sum and in all later ones."""
    along = 0 if axis is None else axis
    back = np.flip(cumsum(np.flip(g, along), axis=along), along)
    return np.reshape(back, np.shape(x))


def norm_value(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The square root of the sum of squares."""
    return np.sqrt(sum(x * x, axis=axis, keepdims=keepdims))


def norm_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """x / |x|; 0 for the zero vector, where every direction would do."""
    return spread(over_length(g, y), x, axis, keepdims) * x


sum = op(np.sum, "Σ", sum_rule, forward=add_up, family="reduce", examples=AXES)
mean = op(np.mean, "mean", mean_rule, forward=mean_value, family="reduce", examples=AXES)
var = op(
    np.var,
    "var",
    var_rule,
    forward=var_value,
    family="reduce",
    examples=[*AXES, on((4, 3), axis=0, ddof=1)],
)
std = op(
    np.std,
    "std",
    std_rule,
    forward=std_value,
    family="reduce",
    examples=[*AXES, on((4, 3), axis=0, ddof=1)],
)
max = op(
    np.max, "max", extreme_rule, family="reduce", name="max", numpy=[np.max, np.amax], examples=AXES
)
min = op(
    np.min, "min", extreme_rule, family="reduce", name="min", numpy=[np.min, np.amin], examples=AXES
)
prod = op(
    np.prod,
    "Π",
    prod_rule,
    family="reduce",
    examples=[*AXES, on(np.array([[2.0, 0.0, 3.0], [0.5, 4.0, 1.0]]), axis=1)],
)
cumsum = op(
    np.cumsum,
    "cumsum",
    cumsum_rule,
    forward=cumsum_value,
    family="reduce",
    examples=[on((2, 3), axis=1), on((2, 3)), on((2, 3), axis=0)],
)
norm = op(
    norm_value,
    "norm",
    norm_rule,
    family="reduce",
    name="norm",
    numpy=[np.linalg.norm],
    definition=norm_value,
    examples=AXES,
)


# NumPy's further params: the same reduction of an array that has been prepared for it.


def prepare(x: Any, dtype: Any, where: Any, neutral: Any) -> Any:
    """`x` as `dtype`, and `neutral` in the place of the elements that are to be left out."""
    x = x if dtype is None else astype(x, dtype=dtype)
    return x if where is True else np.where(where, x, neutral)


def start_from(initial: Any, y: Any) -> Any:
    """`initial` in the dtype of `y`, which it then leaves alone."""
    return np.asarray(initial, y.dtype)


@sum.extension
def sum_of_some(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    initial: Any = 0,
    where: Any = True,
) -> Any:
    y = sum(prepare(x, dtype, where, 0), axis=axis, keepdims=keepdims)
    return y + start_from(initial, y)


@prod.extension
def prod_of_some(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    initial: Any = 1,
    where: Any = True,
) -> Any:
    y = prod(prepare(x, dtype, where, 1), axis=axis, keepdims=keepdims)
    return y * start_from(initial, y)


def extreme_of_some(row: Op, pair: Callable[..., Any]) -> Callable[..., Any]:
    """The extension of max or min, given the function that does the same to two numbers."""

    def extreme(
        x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        if initial is None:
            raise ValueError(f"{row.name}: where= needs initial=, the result where nothing is left")
        initial = start_from(initial, x)
        if np.size(x) == 0:
            return sum(x, axis=axis, keepdims=keepdims) + initial
        filled = prepare(x, None, where, initial)
        return pair(row(filled, axis=axis, keepdims=keepdims), initial)

    return extreme


max.extension(extreme_of_some(max, np.maximum))
min.extension(extreme_of_some(min, np.minimum))


def count_some(x: Any, axis: Any, where: Any, dtype: Any) -> Any:
    """How many elements of `x` are left in each slice; the reduced axes stay."""
    return np.sum(np.broadcast_to(where, np.shape(x)), axis=axis, keepdims=True).astype(dtype)


def drop_axes(y: Any, axis: Any, keepdims: bool) -> Any:
    """`y` without the reduced axes, which it still has as axes of length one."""
    return y if keepdims else np.squeeze(y, axis=axis)


@mean.extension
def mean_of_some(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None, where: Any = True
) -> Any:
    x = prepare(x, dtype, where, 0)
    if where is True:
        return mean(x, axis=axis, keepdims=keepdims)
    total = sum(x, axis=axis, keepdims=True)
    return drop_axes(total / count_some(x, axis, where, total.dtype), axis, keepdims)


def spread_of_some(
    row: Op, total: Callable[..., Any], root: Callable[..., Any]
) -> Callable[..., Any]:
    """The extension of var or std: a `total` of the deviations over the `root` of their number."""

    def spread(
        x: Any,
        axis: Any = None,
        ddof: Any = 0,
        keepdims: bool = False,
        dtype: Any = None,
        where: Any = True,
    ) -> Any:
        x = prepare(x, dtype, True, 0)
        if where is True:
            return row(x, axis=axis, ddof=ddof, keepdims=keepdims)
        deviation = np.where(where, x - mean_of_some(x, axis, True, None, where), 0)
        y = total(deviation, axis=axis, keepdims=True)
        left = np.maximum(count_some(x, axis, where, y.dtype) - ddof, 0)
        return drop_axes(y / root(left), axis, keepdims)

    return spread


var.extension(spread_of_some(var, lambda x, **how: sum(x * x, **how), np.positive))
std.extension(spread_of_some(std, norm, np.sqrt))


@cumsum.extension
def cumsum_as(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return cumsum(prepare(x, dtype, True, 0), axis=axis)
