"""Reductions: many elements to one, along some axes or all."""

from __future__ import annotations

from math import prod as product_of
from typing import Any

import numpy as np

from minigrad.op import composite, on, op

AXES = [
    on((2, 3), axis=1),
    on((2, 3)),
    on((2, 3, 2), axis=(0, 2)),
    on((2, 3), axis=-1, keepdims=True),
]


def spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """`g` with the reduced axes put back as axes of length one, to broadcast against `x`."""
    if axis is None:
        return np.reshape(g, (1,) * np.ndim(x))
    return g if keepdims else np.expand_dims(g, axis)


def reduced_count(x: Any, axis: Any) -> int:
    """How many elements go into one result."""
    axes = range(np.ndim(x)) if axis is None else np.atleast_1d(axis)
    return product_of(np.shape(x)[i] for i in axes)


def sum_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Every element has slope one."""
    return np.broadcast_to(spread(g, x, axis, keepdims), np.shape(x))


def mean_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Every element has slope 1/n."""
    g = spread(g, x, axis, keepdims) / reduced_count(x, axis)
    return np.broadcast_to(g, np.shape(x))


def var_rule(
    g: Any, y: Any, x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False
) -> Any:
    """2 (x − mean) / (n − ddof): moving the mean changes nothing, as the deviations sum to zero."""
    deviation = x - np.mean(x, axis=axis, keepdims=True)
    return spread(g, x, axis, keepdims) * deviation * (2 / (reduced_count(x, axis) - ddof))


def extreme_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The gradient goes to the largest (or smallest) element; equal ones share it."""
    chosen = x == spread(y, x, axis, keepdims)
    shares = np.sum(chosen, axis=axis, keepdims=True)
    return np.where(chosen, spread(g, x, axis, keepdims), 0) / shares.astype(x.dtype)


def prod_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of all the other elements: y / x, unless an x is 0."""
    g = spread(g, x, axis, keepdims)
    if np.all(x != 0):
        return g * spread(y, x, axis, keepdims) / x
    ndim = np.ndim(x)
    axes = range(ndim) if axis is None else sorted(a % ndim for a in np.atleast_1d(axis).tolist())
    order = [*(i for i in range(ndim) if i not in axes), *axes]
    turned = np.transpose(x, order)
    flat = np.reshape(turned, (*np.shape(turned)[: ndim - len(axes)], -1))
    itself = np.eye(flat.shape[-1], dtype=bool)
    others = np.prod(np.where(itself, 1, np.expand_dims(flat, -2)), axis=-1)
    return g * np.transpose(np.reshape(others, np.shape(turned)), np.argsort(order))


def cumsum_rule(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    """Each element is in its own partial sum and in all later ones."""
    back = np.flip(np.cumsum(np.flip(g, axis or 0), axis or 0), axis or 0)
    return np.reshape(back, np.shape(x))


def stable_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ eˣ, the largest x taken out first so that nothing overflows."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):  # a slice of -inf alone has the logarithm of 0
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis=axis)


def logsumexp_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """softmax(x): each element's share of the sum."""
    return spread(g, x, axis, keepdims) * np.exp(x - spread(y, x, axis, keepdims))


def norm_rule(g: Any, y: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """x / |x|; 0 for the zero vector, where every direction would do."""
    length = spread(y, x, axis, keepdims)
    return spread(g, x, axis, keepdims) * x / np.where(length == 0, 1, length)


sum = op(np.sum, "Σ", sum_rule, family="reduce", examples=AXES)
mean = op(np.mean, "mean", mean_rule, family="reduce", examples=AXES)
var = op(np.var, "var", var_rule, family="reduce", examples=[*AXES, on((4, 3), axis=0, ddof=1)])
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
    family="reduce",
    examples=[on((2, 3), axis=1), on((2, 3)), on((2, 3), axis=0)],
)
logsumexp = op(
    stable_logsumexp,
    "logΣexp",
    logsumexp_rule,
    family="reduce",
    name="logsumexp",
    definition=lambda x, axis=None, keepdims=False: np.log(
        np.sum(np.exp(x), axis=axis, keepdims=keepdims)
    ),
    examples=AXES,
)
norm = op(
    lambda x, axis=None, keepdims=False: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
    "norm",
    norm_rule,
    family="reduce",
    name="norm",
    numpy=[np.linalg.norm],
    definition=lambda x, axis=None, keepdims=False: np.sqrt(
        np.sum(x * x, axis=axis, keepdims=keepdims)
    ),
    examples=AXES,
)


@composite(np.std, family="reduce", examples=[*AXES, on((4, 3), axis=0, ddof=1)])
def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The standard deviation, the square root of the variance; without a slope (NaN) where 0."""
    return np.sqrt(np.var(x, axis=axis, ddof=ddof, keepdims=keepdims))
