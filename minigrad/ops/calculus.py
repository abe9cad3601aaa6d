"""Differences, running sums and products, interpolation, convolution."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import composite, on, op
from minigrad.ops.arrange import cast_like
from minigrad.ops.shape import scatter_add
from minigrad.tensor import Tensor, unwrap

in_words = partial(composite, in_words=True)


def cumprod_rule(g: Any, y: Any, x: Any, axis: int | None = None) -> Any:
    """Each element is in its own and all later products: Σ g y / x, if no x is 0 and no y inf."""
    axis = axis or 0
    if np.all(x != 0) and np.all(np.isfinite(y)):
        back = np.flip(np.cumsum(np.flip(g * y, axis), axis), axis)
        return np.reshape(back, np.shape(x)) / x
    along = np.ravel(x) if np.ndim(g) != np.ndim(x) else x
    last, g = np.moveaxis(along, axis, -1), np.moveaxis(g, axis, -1)
    itself = np.eye(np.shape(last)[-1], dtype=bool)
    others = np.cumprod(np.where(itself, 1, np.expand_dims(last, -2)), axis=-1)
    gx = np.sum(np.triu(others) * np.expand_dims(g, -2), axis=-1)
    return np.reshape(np.moveaxis(gx, -1, axis), np.shape(x))


cumprod = op(
    np.cumprod,
    "cumprod",
    cumprod_rule,
    family="reduce",
    examples=[
        on((2, 3), axis=1),
        on((2, 3)),
        on(np.array([[2.0, 0.0, 3.0], [0.5, 4.0, 0.0]]), axis=0),
        on(np.array([[2.0, 0.0, 3.0], [0.5, 4.0, 0.0]])),
    ],
)


def accumulated(running: Any, first: int, x: Any, axis: int | None, include_initial: bool) -> Any:
    """np.cumulative_sum or -prod by np.cumsum or -prod, whose empty result is `first`."""
    if axis is None:
        if np.ndim(x) > 1:
            raise ValueError(f"an axis is needed for an array of shape {np.shape(x)}")
        axis = 0
    x = np.reshape(x, 1) if np.ndim(x) == 0 else x
    y = running(x, axis=axis)
    return np.pad(y, {axis: (1, 0)}, constant_values=first) if include_initial else y


@in_words(np.cumulative_sum, family="reduce", examples=[on((2, 3), axis=1, include_initial=True)])
def cumulative_sum(x: Any, /, axis: int | None = None, include_initial: bool = False) -> Any:
    """The sums of the first elements along an axis, with the empty one if it is asked for."""
    return accumulated(np.cumsum, 0, x, axis, include_initial)


@in_words(np.cumulative_prod, family="reduce", examples=[on((2, 3), axis=1, include_initial=True)])
def cumulative_prod(x: Any, /, axis: int | None = None, include_initial: bool = False) -> Any:
    """The products of the first elements along an axis, with the empty one if it is asked for."""
    return accumulated(np.cumprod, 1, x, axis, include_initial)


@in_words(
    np.diff,
    family="elementwise",
    examples=[on((2, 3)), on((4, 2), n=2, axis=0), on((2, 3), 1, -1, (2, 1), (2, 2))],
)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each element less the one before it along an axis, `n` times over."""
    if n < 0:
        raise ValueError(f"diff: n is 0 or more, not {n}")
    (axis,) = normalize_axis_tuple(axis, np.ndim(a))
    edge = [*np.shape(a)]
    edge[axis] = 1

    def as_edge(x: Any) -> Any:
        return np.broadcast_to(x, edge) if np.ndim(x) == 0 else x

    parts = [as_edge(prepend), a, as_edge(append)]
    parts = [x for x, given in zip(parts, (prepend, a, append), strict=True) if given is not None]
    a = np.concatenate(parts, axis=axis) if len(parts) > 1 else a
    before = (slice(None),) * axis
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


@in_words(np.ediff1d, family="elementwise", examples=[on((2, 3)), on((3,), to_end=[1.0, 2.0])])
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """The differences of neighbours in the flat array, between what is given for its ends."""
    inner = np.diff(np.ravel(ary))
    parts = [cast_like(x, ary) for x in (to_begin, inner, to_end) if x is not None]
    return np.concatenate([np.ravel(x) for x in parts]) if len(parts) > 1 else inner


@in_words(
    np.gradient,
    family="elementwise",
    examples=[on((4,)), on((3, 4), axis=1, edge_order=2), on((4,), np.array([0.0, 1.0, 3.0, 4.0]))],
)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The slope along each axis, by differences of second order inside and at the ends as asked."""
    ndim = np.ndim(f)
    axes = range(ndim) if axis is None else normalize_axis_tuple(axis, ndim)
    spacings = varargs * len(axes) if len(varargs) == 1 and np.ndim(varargs[0]) == 0 else varargs
    spacings = spacings or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(f"gradient: {len(spacings)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order is 1 or 2, not {edge_order}")
    found = [
        np.moveaxis(slopes(np.moveaxis(f, axis, -1), h, edge_order), -1, axis)
        for axis, h in zip(axes, spacings, strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


def slopes(f: Any, spacing: Any, edge_order: int) -> Any:
    """The slope along the last axis of a function on points given, or a step apart."""
    n = np.shape(f)[-1]
    if n <= edge_order:
        raise ValueError(f"gradient: {n} points are too few; edge_order {edge_order} needs more")
    if np.ndim(spacing) and np.shape(spacing) != (n,):
        raise ValueError(f"gradient: {np.shape(spacing)} coordinates for {n} points")
    if not isinstance(spacing, Tensor):
        spacing = np.asarray(spacing, np.result_type(f, np.float16))
    h = np.diff(spacing) if np.ndim(spacing) else np.broadcast_to(spacing, (n - 1,))
    d = np.diff(f) / h
    left, right = h[:-1], h[1:]
    inner = (d[..., :-1] * right + d[..., 1:] * left) / (left + right)
    first, last = d[..., :1], d[..., -1:]
    if edge_order == 2:
        first = first + (first - d[..., 1:2]) * h[:1] / (h[:1] + h[1:2])
        last = last + (last - d[..., -2:-1]) * h[-1:] / (h[-1:] + h[-2:-1])
    return np.concatenate([first, inner, last], axis=-1)


@in_words(
    np.trapezoid,
    family="reduce",
    examples=[on((2, 3)), on((2, 3), np.array([0.0, 1.0, 3.0])), on((3, 2), dx=0.5, axis=0)],
)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule."""
    y = np.moveaxis(y, axis, -1)
    if x is not None:
        dx = np.diff(x) if np.ndim(x) == 1 else np.diff(np.moveaxis(x, axis, -1))
    return np.sum((y[..., 1:] + y[..., :-1]) * dx / 2, axis=-1)


@in_words(
    np.interp,
    family="elementwise",
    examples=[
        on(np.array([0.2, 1.7, 2.5]), np.array([0.0, 1.0, 2.0, 3.0]), (4,)),
        on(np.array([-1.0, 0.5, 9.0]), np.array([0.0, 1.0, 2.5]), (3,)),
    ],
)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """The piecewise linear function through the points (xp, fp), at x."""
    if period is not None:
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    xp, fp = np.positive(np.atleast_1d(xp)), np.positive(np.atleast_1d(fp))
    x = np.positive(x)
    n = len(xp)
    if np.shape(xp) != np.shape(fp) or n == 0:
        raise ValueError(f"interp: {np.shape(xp)} points with {np.shape(fp)} values")
    left, right = fp[0] if left is None else left, fp[-1] if right is None else right
    inside = np.where((x >= xp[0]) & (x <= xp[-1]), x, xp[0])
    i = np.clip(np.searchsorted(unwrap(xp), unwrap(inside), side="right") - 1, 0, max(n - 2, 0))
    low, high = np.take(xp, i), np.take(xp, np.minimum(i + 1, n - 1))
    below, above = np.take(fp, i), np.take(fp, np.minimum(i + 1, n - 1))
    width = np.where(high == low, 1, high - low)
    y = (above - below) / width * (inside - low) + below
    return np.where(x < xp[0], left, np.where(x > xp[-1], right, y))


def correlated(g: Any, v: Any) -> Any:
    """The sums of `v` times each stretch of `g` as long as it."""
    return convolve(g, np.flip(v), mode="valid")


full_convolution = op(
    np.convolve,
    "∗",
    lambda g, y, a, v: correlated(g, v),
    lambda g, y, a, v: correlated(g, a),
    family="matmul",
    name="full_convolution",
    numpy=[],
    examples=[on((4,), (3,)), on((2,), (3,))],
)


@in_words(
    np.convolve,
    family="matmul",
    examples=[on((4,), (3,)), on((4,), (3,), mode="same"), on((2,), (4,), mode="valid")],
)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """The products of two sequences summed over each shift: all of them, or those in the middle."""
    if np.size(a) == 0 or np.size(v) == 0:
        raise ValueError("convolve: both sequences need an element")
    longer, shorter = sorted((np.size(a), np.size(v)), reverse=True)
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve: mode is 'full', 'same' or 'valid', not {mode!r}")
    y = full_convolution(np.atleast_1d(a), np.atleast_1d(v))
    if mode == "full":
        return y
    start, length = shorter - 1, longer - shorter + 1
    if mode == "same":
        start, length = (shorter - 1) // 2, longer
    return y[start : start + length]


@in_words(
    np.correlate,
    family="matmul",
    examples=[on((4,), (3,)), on((2,), (4,), mode="same"), on((3,), (2,), mode="full")],
)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """The products of two sequences summed over each shift, neither of them turned round."""
    if np.size(v) > np.size(a):  # NumPy exchanges them, and turns the result
        return np.flip(np.convolve(v, np.flip(a), mode=mode))
    return np.convolve(a, np.flip(v), mode=mode)


@in_words(np.polyval, family="elementwise", examples=[on((3,), (2, 2))])
def polyval(p: Any, x: Any) -> Any:
    """The polynomial with the coefficients `p`, the highest power first, at `x`."""
    y = np.positive(x) * 0
    for i in range(np.size(p)):
        y = y * x + p[i]
    return y


@in_words(np.vander, family="elementwise", examples=[on((3,)), on((2,), N=4, increasing=True)])
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of each element, in a row; the highest comes first unless they increase."""
    powers = np.arange(np.size(x) if N is None else N).astype(float)
    return np.expand_dims(x, -1) ** (powers if increasing else powers[::-1])


@in_words(
    np.bincount,
    family="reduce",
    examples=[on(np.array([0, 2, 2]), (3,)), on(np.array([0, 2, 2]), (3,), minlength=4)],
)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """The sum of the weights of each number; how often it comes, without weights."""
    x = np.asarray(x)
    if weights is None:
        return np.bincount(x, minlength=minlength)
    size = max(int(x.max(initial=0)) + 1 if x.size else 0, minlength)
    return scatter_add(np.astype(weights, np.float64), index=x, shape=(size,))
