"""The ops of neural networks, fused: a definition, an array kernel, a hand-written rule.

The definition says what the op means; second derivatives and the tests go through it. The kernel
and the rule are what training runs, so they are written for speed: in place on their own
temporaries, row sums as products with a vector, exponentials unshifted where that is safe. The
formula says what the rule computes, to be read and printed.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import composite, fused, on, op
from minigrad.ops.elementwise import dropout_mask, floating, softplus
from minigrad.ops.linalg import rows
from minigrad.ops.reduce import AXES, mean, spread, sum
from minigrad.ops.shape import scatter_add
from minigrad.sums import sum_columns, sum_rows
from minigrad.tensor import unwrap

SAFE = 60.0
"""e⁶⁰, summed over a row of any length, is far from float32's largest number, and e⁻⁶⁰ from 0."""


def matrix(x: Any) -> Any:
    """`x` as a matrix whose rows run along the last axis; a copy where memory demands it."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


def is_safe(x: Any) -> bool:
    """Whether e^x neither overflows nor vanishes, so that no row's maximum need be taken out."""
    return bool(x.max(initial=0) < SAFE and x.min(initial=0) > -SAFE)


def maxima(x: Any, axis: Any = -1) -> Any:
    """The largest element of each row, to be taken out of it; 0 where that is -inf."""
    none: dict[str, Any] = {} if np.size(x) else {"initial": -np.inf}
    top = np.max(unwrap(x), axis=axis, keepdims=True, **none)
    return np.where(np.isneginf(top), 0, top)


def normalise(rows: Any) -> None:
    """Divide each row of a matrix by its sum, in place; rows of zeros stay zeros."""
    total = sum_rows(rows)
    total[total == 0] = 1
    rows *= (1 / total)[:, None]


@fused("linear", family="matmul", examples=[on((2, 3), (4, 3), (4,)), on((2, 5, 3), (4, 3), (4,))])
def linear(x: Any, weight: Any, bias: Any) -> Any:
    """x · weightᵀ + bias: (..., in), (out, in), (out,) → (..., out); bias may be None."""
    y = x @ np.swapaxes(weight, 0, 1)
    return y if bias is None else y + bias


@linear.kernel
def linear_kernel(x: Any, weight: Any, bias: Any) -> Any:
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"the input's last axis is {x.shape[-1]}, the layer takes {weight.shape[1]}"
        )
    y = matrix(x) @ weight.T
    if bias is not None:
        y += bias
    return (y.reshape(*x.shape[:-1], len(weight)),)


@linear.rule
def linear_rule(g: Any, y: Any, saved: Any, x: Any, weight: Any, bias: Any) -> Any:
    g = matrix(g)
    bias_gradient = None if bias is None else sum_columns(g)
    return (g @ weight).reshape(x.shape), g.T @ matrix(x), bias_gradient


@linear.formula
def linear_formula(g: Any, y: Any, x: Any, weight: Any, bias: Any) -> Any:
    return g @ weight, rows(g).T @ rows(x), None if bias is None else g


embedding = op(
    lambda weight, indices: weight[indices],
    "embedding",
    lambda g, y, weight, indices: scatter_add(g, index=indices, shape=np.shape(weight)),
    None,
    family="shape",
    name="embedding",
    definition=lambda weight, indices: weight[indices],
    examples=[on((4, 3), np.array([[0, 2], [2, 3]]))],
)


@fused(
    "softmax",
    family="norm",
    examples=[on((2, 3)), on((2, 3, 2), axis=1), on((2, 3), axis=None), on((2, 3, 2), axis=(0, 2))],
)
def softmax(x: Any, axis: Any = -1) -> Any:
    """eˣ / Σ eˣ along `axis`, or several: positive numbers that sum to one; 0 where all are -inf.

    axis: None for all axes.
    """
    powers = np.exp(x - maxima(x, axis))  # the same whatever is taken out
    total = sum(powers, axis=axis, keepdims=True)
    return powers / (total + (total == 0))


@softmax.kernel
def softmax_kernel(x: Any, axis: Any = -1) -> Any:
    x = floating(np.asarray(x))
    if axis == -1 and x.ndim:
        return (exponentials(x, 1),)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    last = range(-len(axes), 0)
    return (np.moveaxis(exponentials(np.moveaxis(x, axes, last), len(axes)), last, axes),)


def exponentials(x: Any, ndim: int) -> Any:
    """The softmax over the last `ndim` axes."""
    e = np.empty(x.shape, x.dtype)
    if is_safe(x):
        np.exp(x, out=e)
    else:
        np.exp(np.subtract(x, maxima(x, tuple(range(-ndim, 0))), out=e), out=e)
    stack = x.ndim - ndim
    normalise(e.reshape(prod(x.shape[:stack]), prod(x.shape[stack:])))
    return e


@softmax.rule
def softmax_rule(g: Any, y: Any, saved: Any, x: Any, axis: Any = -1) -> Any:
    gy = g * y
    gy -= y * sum(gy, axis=axis, keepdims=True)
    return (gy,)


@softmax.formula
def softmax_formula(g: Any, y: Any, x: Any, axis: Any = -1) -> Any:
    return y * (g - sum(g * y, axis=axis, keepdims=True))


def log_sum_exp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ eˣ, the largest x taken out first so that nothing overflows."""
    x = floating(x)
    top = maxima(x, axis)
    total = sum(np.exp(x - np.where(np.isposinf(top), 0, top)), axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):  # a slice of -inf alone has the logarithm of 0
        y = np.log(total) + top
    return y if keepdims else np.squeeze(y, axis=axis)


logsumexp = op(
    log_sum_exp,
    "logΣexp",
    # each element's share of the sum; e^(x − y) would lose the digits that y has no room for
    lambda g, y, x, axis=None, keepdims=False: spread(g, x, axis, keepdims) * softmax(x, axis=axis),
    family="reduce",
    name="logsumexp",
    definition=lambda x, axis=None, keepdims=False: np.log(
        np.sum(np.exp(x), axis=axis, keepdims=keepdims)
    ),
    examples=AXES,
)


def log_softmax_value(x: Any, axis: Any = -1) -> Any:
    """x − log Σ eˣ along `axis`: the logarithm of softmax, without ever leaving the logarithm."""
    x = floating(x)
    x = x - maxima(x, axis)  # before the logarithm, whose digits large numbers would leave no room
    with np.errstate(divide="ignore"):  # a row of -inf alone has the logarithm of 0
        return x - np.log(sum(np.exp(x), axis=axis, keepdims=True))


log_softmax = op(
    log_softmax_value,
    "log softmax",
    lambda g, y, x, axis=-1: g - np.exp(y) * sum(g, axis=axis, keepdims=True),
    family="norm",
    name="log_softmax",
    definition=log_softmax_value,
    examples=[on((2, 3)), on((2, 3, 2), axis=1), on((2, 3), axis=None)],
)


def are_counted(target: Any, ignore_index: int | None) -> Any:
    """Which targets count: all but the ignored ones."""
    return np.ones_like(target, bool) if ignore_index is None else target != ignore_index


def with_ignored(target: Any, ignore_index: int | None, classes: int) -> tuple[Any, Any, int]:
    """Class indices with the ignored ones set to 0, which of them count, and how many."""
    target = np.asanyarray(target)
    if target.dtype.kind not in "iu":
        raise ValueError(f"the target holds class indices, integers, not {target.dtype}")
    counts = are_counted(target, ignore_index)
    chosen = np.where(counts, target, 0)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= classes):
        wrong = chosen.max() if chosen.max() >= classes else chosen.min()
        raise ValueError(f"target class {wrong} is outside 0 to {classes - 1}")
    return chosen, counts, max(int(counts.sum()), 1)


@fused(
    "cross entropy",
    family="loss",
    examples=[
        on((2, 2, 4), np.array([[1, 0], [0, 3]]), ignore_index=0, label_smoothing=0.1),
        on((3, 4), np.array([1, 0, 3])),
        on((3, 4), np.array([1, 0, 3]), label_smoothing=0.1, reduction="sum"),
    ],
)
def cross_entropy(
    logits: Any,
    target: Any,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """−log softmax(logits)[target]: (..., V) logits and (...) class indices to one number.

    Positions whose target is `ignore_index` count neither in the sum nor in the mean.
    `label_smoothing` ε mixes the target with the uniform distribution: Szegedy et al.,
    "Rethinking the Inception Architecture" (2016), section 7. `reduction` is "mean" or "sum".
    """
    chosen, counts, _ = with_ignored(target, ignore_index, np.shape(logits)[-1])
    if ignore_index is not None:  # what is ignored may be anything, NaN too
        logits = np.where(counts[..., None], logits, 0)
    log_p = log_softmax(logits)
    picked = at_target = np.take_along_axis(log_p, chosen[..., None], axis=-1)[..., 0]
    if label_smoothing:
        picked = at_target * (1 - label_smoothing) + mean(log_p, axis=-1) * label_smoothing
    total = -sum(np.where(counts, picked, 0))
    if not mean_or_sum(reduction):
        return total
    N = np.maximum(np.sum(counts), 1).astype(total.dtype)
    return total / N


def mean_or_sum(reduction: str) -> bool:
    """True for "mean", False for "sum"; ValueError for anything else."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is 'mean' or 'sum', not {reduction!r}")
    return reduction == "mean"


@cross_entropy.kernel
def cross_entropy_kernel(
    logits: Any,
    target: Any,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    classes = logits.shape[-1]
    if np.shape(target) != logits.shape[:-1]:
        raise ValueError(f"a target of shape {logits.shape[:-1]} is needed")
    chosen, counts, n = with_ignored(target, ignore_index, classes)
    chosen, counts, x = chosen.ravel(), counts.ravel(), matrix(floating(logits))
    if ignore_index is not None:  # what is ignored may be anything, NaN too
        chosen, x = chosen[counts], x[counts]
    x = x - maxima(x)  # always: without it, large logits leave few digits of a small loss
    p = np.exp(x)
    total = sum_rows(p)
    losses = np.log(total) - x[np.arange(len(x)), chosen] * (1 - label_smoothing)
    if label_smoothing:
        losses -= sum_rows(x) * (label_smoothing / classes)
    scale = p.dtype.type(1 / n if mean_or_sum(reduction) else 1)
    return losses.sum() * scale, p, total, counts, chosen, scale


@cross_entropy.rule
def cross_entropy_rule(
    g: Any,
    y: Any,
    saved: Any,
    logits: Any,
    target: Any,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    p, total, counts, chosen, scale = saved
    weight = g * scale
    gx = p * (weight / total)[:, None]
    gx[np.arange(len(gx)), chosen] -= weight * (1 - label_smoothing)
    if label_smoothing:
        gx -= weight * (label_smoothing / logits.shape[-1])
    if len(gx) < len(counts):
        counting, gx = gx, np.zeros((len(counts), logits.shape[-1]), gx.dtype)
        gx[counts] = counting
    return gx.reshape(logits.shape), None


@cross_entropy.formula
def cross_entropy_formula(
    g: Any,
    y: Any,
    logits: Any,
    target: Any,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    V = np.shape(logits)[-1]
    counts = are_counted(target, ignore_index)
    one_hot = np.arange(V, like=unwrap(logits)) == target[..., None]
    wanted = one_hot * (1 - label_smoothing) + label_smoothing / V
    gx = g * (softmax(logits) - wanted)
    if mean_or_sum(reduction):
        N = np.maximum(np.sum(counts), 1)
        gx = gx / N
    return np.where(counts[..., None], gx, 0), None


def require_fitting(name: str, prediction: Any, target: Any) -> None:
    """ValueError when broadcasting would compare each element with many."""
    if np.ndim(target) and np.shape(prediction) != np.shape(target):
        raise ValueError(
            f"{name}: a target of shape {np.shape(target)} for {np.shape(prediction)}; "
            "give both the same shape, by reshape or squeeze"
        )


@composite(family="loss", examples=[on((2, 3), (2, 3))])
def mse_loss(prediction: Any, target: Any) -> Any:
    """The mean squared difference; ValueError unless the shapes are equal or target is a number."""
    require_fitting("mse_loss", prediction, target)
    return mean(np.square(prediction - target))


@composite(family="loss", examples=[on((2, 3), np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0]]))])
def binary_cross_entropy_with_logits(logits: Any, target: Any) -> Any:
    """The mean of −t log σ(x) − (1 − t) log(1 − σ(x)), written so that nothing overflows.

    ValueError unless the shapes are the same or target is a number.
    """
    require_fitting("binary_cross_entropy_with_logits", logits, target)
    return mean(softplus(logits) - logits * target)


@composite(family="elementwise", examples=[on((3, 4), p=0.5, rng=0)])
def dropout(x: Any, p: float = 0.5, rng: np.random.Generator | int | None = None) -> Any:
    """Each element set to 0 with probability `p`, the others divided by 1 − p.

    rng: a NumPy generator or a seed. ValueError unless 0 ≤ p < 1.
    Srivastava et al., "Dropout" (2014), section 4, in its inverted form.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p is a probability below 1, not {p}")
    if p == 0:
        return x
    uniform = np.random.default_rng(rng).random(np.shape(x), np.float32)
    keep = uniform >= p
    return dropout_mask(x, keep, scale=1 / (1 - p))
