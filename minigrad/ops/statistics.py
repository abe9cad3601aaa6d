"""Order and averages: sorting, medians and quantiles, weighted means, and all without NaN."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import composite, on
from minigrad.tensor import unwrap

AXES = [on((2, 3)), on((2, 3, 2), axis=(0, 2)), on((2, 3), axis=-1, keepdims=True)]
HOLES = np.array([[1.0, np.nan, 3.0], [4.0, 0.5, np.nan]])
WITH_HOLES = [on(HOLES), on(HOLES, axis=1, keepdims=True)]

in_words = partial(composite, in_words=True, family="reduce")


@in_words(np.sort, examples=[on((2, 3)), on((2, 3), axis=0), on((2, 3), axis=None)])
def sort(a: Any, axis: int | None = -1, kind: Any = None, stable: Any = None) -> Any:
    """The elements along an axis in rising order."""
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argsort(unwrap(a), axis, kind, stable=stable), axis)


@in_words(np.partition, examples=[on((2, 5), kth=2), on((5,), kth=(1, 3), axis=None)])
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect") -> Any:
    """The elements along an axis with the smallest ones before the place `kth`, in any order."""
    if axis is None:
        a, axis = np.ravel(a), 0
    return np.take_along_axis(a, np.argpartition(unwrap(a), kth, axis, kind), axis)


@in_words(
    np.quantile,
    examples=[
        on((2, 5), q=0.3, axis=1),
        on((2, 3), q=0.75),
        on((2, 4), q=np.array([0.1, 0.5]), axis=0, keepdims=True),
        on((7,), q=0.4, method="median_unbiased"),
    ],
)
def quantile(
    a: Any, q: Any, axis: Any = None, method: Any = "linear", keepdims: bool = False
) -> Any:
    """The number that a part `q` of the elements lies below, between neighbours as `method` says.

    The rank of that number is the quantile of the ranks; it need not be whole.
    """
    q = np.asarray(q)
    ndim = np.ndim(a)
    axes = tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)
    kept = [i for i in range(ndim) if i not in axes]
    shape = np.shape(a)
    rows = np.reshape(
        np.transpose(a, [*kept, *axes]), (*(shape[i] for i in kept), prod(shape[i] for i in axes))
    )
    rank = np.quantile(np.arange(np.shape(rows)[-1], dtype=np.float64), q, method=method)
    below = np.floor(rank).astype(int)
    above = np.ceil(rank).astype(int)
    part = (rank - below).astype(np.result_type(rows))
    rows = np.sort(rows, axis=-1)
    low, high = rows[..., below], rows[..., above]
    y = low + (high - low) * part
    y = np.where(np.isnan(rows[..., -1:]).reshape(y.shape[: len(kept)] + (1,) * q.ndim), np.nan, y)
    y = np.moveaxis(y, range(len(kept), len(kept) + q.ndim), range(q.ndim))
    return np.expand_dims(y, tuple(i + q.ndim for i in axes)) if keepdims else y


@in_words(np.percentile, examples=[on((2, 5), q=30, axis=1), on((4,), q=[25.0, 60.0])])
def percentile(
    a: Any, q: Any, axis: Any = None, method: Any = "linear", keepdims: bool = False
) -> Any:
    """The number that `q` per cent of the elements lie below."""
    return np.quantile(a, np.true_divide(q, 100), axis=axis, method=method, keepdims=keepdims)


@in_words(np.median, examples=AXES)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The element in the middle of the order, or the mean of the two there."""
    if np.size(a) == 0:
        return np.mean(a, axis=axis, keepdims=keepdims)  # NaN, with its warning
    return np.quantile(a, 0.5, axis=axis, keepdims=keepdims)


@composite(np.ptp, family="reduce", examples=AXES)
def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element less the smallest."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@in_words(
    np.average,
    examples=[
        on((2, 3)),
        on((2, 3), 1, (3,), domain="positive"),
        on((2, 3), None, (2, 3), domain="positive", keepdims=True),
    ],
)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """The mean, each element counted as often as its weight says."""
    if weights is None:
        y = np.mean(a, axis=axis, keepdims=keepdims)
        total: Any = np.full(np.shape(y), np.size(a) / max(np.size(y), 1))
        return (y, total) if returned else y
    if np.shape(weights) != np.shape(a):
        if axis is None:
            raise TypeError(f"average: weights of {np.shape(weights)} need an axis")
        axes = normalize_axis_tuple(axis, np.ndim(a))
        if np.shape(weights) != tuple(np.shape(a)[i] for i in axes):
            raise ValueError(f"average: weights of {np.shape(weights)} for {np.shape(a)}")
        weights = np.transpose(weights, np.argsort(axes))
        full = [n if i in axes else 1 for i, n in enumerate(np.shape(a))]
        weights = np.broadcast_to(np.reshape(weights, full), np.shape(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    if np.any(total == 0):
        raise ZeroDivisionError("average: the weights sum to zero")
    y = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (y, np.broadcast_to(total, np.shape(y))) if returned else y


@in_words(np.cov, examples=[on((2, 4)), on((3, 2), rowvar=False, bias=True), on((4,), (4,))])
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    """How the variables vary together: the mean product of their deviations, for each pair."""
    given = [np.astype(x, np.float64) for x in (m, y) if x is not None]
    if any(np.ndim(x) > 2 for x in given):
        raise ValueError(f"cov: at most 2 axes, not {', '.join(str(np.shape(x)) for x in given)}")
    rows = [np.atleast_2d(x) for x in given]
    if not rowvar:  # NumPy's second array is one variable if it has one row, the first if one axis
        turned = np.ndim(m) == 2, np.shape(rows[-1])[0] != 1
        rows = [x.T if turn else x for x, turn in zip(rows, turned, strict=False)]
    if np.shape(rows[0])[0] == 0:
        rows = rows[:1]  # no variables: NumPy takes none of the second array either
    x = np.concatenate(rows) if len(rows) > 1 else rows[0]
    left = np.maximum(np.shape(x)[1] - (ddof if ddof is not None else 0 if bias else 1), 0)
    deviation = x - np.mean(x, axis=1, keepdims=True)
    return np.squeeze(deviation @ np.swapaxes(deviation, 0, 1) / left)


@in_words(np.corrcoef, examples=[on((3, 4))])
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    """The covariance of each pair of variables, over their standard deviations."""
    c = np.cov(x, y, rowvar)
    if np.ndim(c) == 0:
        return c / c
    deviation = np.sqrt(np.diagonal(c))
    return np.clip(c / deviation / np.expand_dims(deviation, -1), -1, 1)


@composite(np.nansum, family="reduce", examples=WITH_HOLES)
def nansum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum without what is NaN."""
    return np.sum(np.where(np.isnan(a), 0, a), axis=axis, keepdims=keepdims)


@composite(np.nanprod, family="reduce", examples=WITH_HOLES)
def nanprod(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product without what is NaN."""
    return np.prod(np.where(np.isnan(a), 1, a), axis=axis, keepdims=keepdims)


@composite(np.nancumsum, family="reduce", examples=[on(HOLES, axis=1)])
def nancumsum(a: Any, axis: Any = None) -> Any:
    """The running sums without what is NaN."""
    return np.cumsum(np.where(np.isnan(a), 0, a), axis=axis)


@composite(np.nancumprod, family="reduce", examples=[on(HOLES, axis=1)])
def nancumprod(a: Any, axis: Any = None) -> Any:
    """The running products without what is NaN."""
    return np.cumprod(np.where(np.isnan(a), 1, a), axis=axis)


def extreme_without_nan(of: Any, worst: float, a: Any, axis: Any, keepdims: bool) -> Any:
    """The largest or smallest element that is not NaN; NaN where all are."""
    holes = np.isnan(a)
    y = of(np.where(holes, worst, a), axis=axis, keepdims=keepdims)
    return np.where(np.all(holes, axis=axis, keepdims=keepdims), np.nan, y)


@in_words(np.nanmax, examples=WITH_HOLES)
def nanmax(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element that is not NaN."""
    return extreme_without_nan(np.max, -np.inf, a, axis, keepdims)


@in_words(np.nanmin, examples=WITH_HOLES)
def nanmin(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element that is not NaN."""
    return extreme_without_nan(np.min, np.inf, a, axis, keepdims)


def counted(a: Any, axis: Any, keepdims: bool) -> Any:
    """How many elements are not NaN, in the dtype of `a`."""
    return np.sum(~np.isnan(a), axis=axis, keepdims=keepdims).astype(np.result_type(a))


@in_words(np.nanmean, examples=WITH_HOLES)
def nanmean(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean of what is not NaN."""
    return np.nansum(a, axis=axis, keepdims=keepdims) / counted(a, axis, keepdims)


@in_words(np.nanvar, examples=[on(HOLES), on(HOLES, axis=1, ddof=1)])
def nanvar(a: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """The variance of what is not NaN."""
    deviation = np.where(np.isnan(a), 0, a - np.nanmean(a, axis=axis, keepdims=True))
    total = np.sum(deviation * deviation, axis=axis, keepdims=keepdims)
    left = np.maximum(counted(a, axis, keepdims) - ddof, 0)
    return np.where(left == 0, np.nan, total / left)


@in_words(np.nanstd, examples=[on(HOLES), on(HOLES, axis=1, ddof=1)])
def nanstd(a: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """The standard deviation of what is not NaN."""
    return np.sqrt(np.nanvar(a, axis=axis, ddof=ddof, keepdims=keepdims))
