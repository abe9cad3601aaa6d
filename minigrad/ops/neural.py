"""The ops of neural networks, fused: a definition, an array kernel, a hand-written rule.

The definition says what the op means; second derivatives and the tests go through it. The kernel
and the rule are what training runs, so they are written for speed: in place on their own
temporaries, row sums as products with a vector, exponentials unshifted where that is safe.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from minigrad.op import composite, fused, on, op
from minigrad.ops.elementwise import dropout_mask, softplus
from minigrad.ops.reduce import logsumexp
from minigrad.ops.shape import scatter_add
from minigrad.tensor import unwrap

SAFE = 60.0
"""e⁶⁰, summed over a row of any length, is far from float32's largest number, and e⁻⁶⁰ from 0."""

THREADED = 1 << 18
"""From this size on, BLAS splits a matrix-vector product over threads, which costs more than it
saves."""


def dot_rows(x: Any, vector: Any) -> Any:
    """Each row of the matrix `x` times `vector`."""
    return x @ vector if x.size < THREADED else np.vecdot(x, vector)


def sum_rows(x: Any) -> Any:
    """The sum of each row of a matrix."""
    return dot_rows(x, np.ones(x.shape[-1], x.dtype))


def sum_columns(x: Any) -> Any:
    """The sum of each column of a matrix."""
    return np.ones(len(x), x.dtype) @ x if x.size < THREADED else np.add.reduce(x, axis=0)


def matrix(x: Any) -> Any:
    """`x` as a matrix whose rows run along the last axis."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


def is_safe(x: Any) -> bool:
    """Whether e^x neither overflows nor vanishes, so that no row's maximum need be taken out."""
    return bool(x.itemsize > 2 and x.max(initial=0) < SAFE and x.min(initial=0) > -SAFE)


def row_maxima(x: Any) -> Any:
    """The largest element of each row, to be taken out of it; 0 where that is -inf."""
    top = x.max(-1, keepdims=True)
    return np.where(np.isneginf(top), 0, top)


def normalised(e: Any) -> Any:
    """`e`, in place, with each row divided by its sum; rows of zeros stay zeros."""
    rows = matrix(e)
    total = sum_rows(rows)
    total[total == 0] = 1
    rows *= (1 / total)[:, None]
    return e


@fused("linear", family="matmul", examples=[on((2, 3), (4, 3), (4,)), on((2, 5, 3), (4, 3), (4,))])
def linear(x: Any, weight: Any, bias: Any) -> Any:
    """x · weightᵀ + bias: (..., in), (out, in), (out,) → (..., out)."""
    return x @ np.swapaxes(weight, 0, 1) + bias


@linear.kernel
def linear_kernel(x: Any, weight: Any, bias: Any) -> Any:
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"the input's last axis is {x.shape[-1]}, the layer takes {weight.shape[1]}"
        )
    y = matrix(x) @ weight.T
    y += bias
    return (y.reshape(*x.shape[:-1], len(weight)),)


@linear.rule
def linear_rule(g: Any, y: Any, saved: Any, x: Any, weight: Any, bias: Any) -> Any:
    g = matrix(g)
    return (g @ weight).reshape(x.shape), g.T @ matrix(x), sum_columns(g)


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


@fused("softmax", family="norm", examples=[on((2, 3)), on((2, 3, 2), axis=1)])
def softmax(x: Any, axis: int = -1) -> Any:
    """eˣ / Σ eˣ along `axis`: positive numbers that sum to one; a row of -inf alone gives zeros."""
    top = np.max(unwrap(x), axis=axis, keepdims=True)
    e = np.exp(x - np.where(np.isneginf(top), 0, top))  # the same whatever is taken out
    total = np.sum(e, axis=axis, keepdims=True)
    return e / (total + (total == 0))


@softmax.kernel
def softmax_kernel(x: Any, axis: int = -1) -> Any:
    x = np.moveaxis(x, axis, -1)
    e = np.empty_like(x, order="C")
    if is_safe(x):
        np.exp(x, out=e)
    else:
        np.exp(np.subtract(x, row_maxima(x), out=e), out=e)
    return (np.moveaxis(normalised(e), -1, axis),)


@softmax.rule
def softmax_rule(g: Any, y: Any, saved: Any, x: Any, axis: int = -1) -> Any:
    gy = g * y
    gy -= y * gy.sum(axis, keepdims=True)
    return (gy,)


def log_softmax_value(x: Any, axis: int = -1) -> Any:
    """x − log Σ eˣ along `axis`: the logarithm of softmax, without ever leaving the logarithm."""
    return x - logsumexp(x, axis=axis, keepdims=True)


log_softmax = op(
    log_softmax_value,
    "log softmax",
    lambda g, y, x, axis=-1: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),
    family="norm",
    name="log_softmax",
    definition=log_softmax_value,
    examples=[on((2, 3)), on((2, 3, 2), axis=1)],
)


@fused("layer norm", family="norm", examples=[on((2, 3), (3,), (3,)), on((2, 2, 4), (4,), (4,))])
def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Each row brought to mean 0 and variance 1, then scaled and shifted: (..., D), (D,), (D,).

    Ba, Kiros and Hinton, "Layer Normalization" (2016), section 3.
    """
    centred = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return centred / np.sqrt(variance + eps) * weight + bias


@layer_norm.kernel
def layer_norm_kernel(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    rows, width = matrix(x), x.shape[-1]
    normal = rows - rows[:, :1]  # the mean alone would leave its rounding, as large as √eps
    normal -= (sum_rows(normal) * (1 / width))[:, None]
    inverse = 1 / np.sqrt(np.vecdot(normal, normal) * (1 / width) + eps)
    normal *= inverse[:, None]
    y = normal * weight
    y += bias
    return y.reshape(x.shape), normal, inverse


@layer_norm.rule
def layer_norm_rule(
    g: Any, y: Any, saved: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5
) -> Any:
    normal, inverse = saved
    g = matrix(g)
    scratch = g * normal
    weight_gradient = sum_columns(scratch)
    along_normal = dot_rows(scratch, weight) * (1 / x.shape[-1])
    along_ones = dot_rows(g, weight) * (1 / x.shape[-1])
    gx = g * weight
    gx -= along_ones[:, None]
    gx -= np.multiply(normal, along_normal[:, None], out=scratch)
    gx *= inverse[:, None]
    return gx.reshape(x.shape), weight_gradient, sum_columns(g)


@composite(family="norm", examples=[on((4, 3), (3,), (3,)), on((2, 3, 2), (2,), (2,))])
def batch_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Each feature brought to mean 0 and variance 1 over the batch: (..., D), (D,), (D,).

    Features are the last axis, as in layer_norm; every other axis belongs to the batch.
    Ioffe and Szegedy, "Batch Normalization" (2015), algorithm 1.
    """
    batch = tuple(range(np.ndim(x) - 1))
    centred = x - np.mean(x, axis=batch)
    variance = np.mean(centred * centred, axis=batch)
    return centred / np.sqrt(variance + eps) * weight + bias


def with_ignored(target: Any, ignore_index: int | None, classes: int) -> tuple[Any, Any, int]:
    """Class indices with the ignored ones set to 0, which of them count, and how many."""
    target = np.asanyarray(target)
    if target.dtype.kind not in "iu":
        raise ValueError(f"the target holds class indices, integers, not {target.dtype}")
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    chosen = np.where(counts, target, 0)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= classes):
        wrong = chosen.max() if chosen.max() >= classes else chosen.min()
        raise ValueError(f"target class {wrong} is outside 0 to {classes - 1}")
    return chosen, counts, max(int(counts.sum()), 1)


@fused(
    "cross entropy",
    family="loss",
    examples=[
        on((2, 2, 4), np.array([[1, 0], [0, 3]]), ignore_index=0),
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
    chosen, counts, n = with_ignored(target, ignore_index, np.shape(logits)[-1])
    log_p = log_softmax(logits)
    picked = np.take_along_axis(log_p, chosen[..., None], axis=-1)[..., 0]
    if label_smoothing:
        picked = picked * (1 - label_smoothing) + np.mean(log_p, axis=-1) * label_smoothing
    total = -np.sum(np.where(counts, picked, 0))
    return total / n if mean_or_sum(reduction) else total


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
    chosen, counts, x = chosen.ravel(), counts.ravel(), matrix(logits)
    x = x - row_maxima(x)  # always: without it, large logits leave few digits of a small loss
    p = np.exp(x)
    total = sum_rows(p)
    picked = x[np.arange(len(x)), chosen] * (1 - label_smoothing)
    if label_smoothing:
        picked += sum_rows(x) * (label_smoothing / classes)
    weight = counts * total.dtype.type(1 / n if mean_or_sum(reduction) else 1)
    losses = np.where(counts, np.log(total) - picked, 0)
    return (losses * weight).sum(), p, total, weight, chosen


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
    p, total, weight, chosen = saved
    weight = weight * g
    gx = p * (weight / total)[:, None]
    gx[np.arange(len(gx)), chosen] -= weight * (1 - label_smoothing)
    if label_smoothing:
        gx -= (weight * (label_smoothing / logits.shape[-1]))[:, None]
    return gx.reshape(logits.shape), None


@composite(family="loss", examples=[on((2, 3), (2, 3))])
def mse_loss(prediction: Any, target: Any) -> Any:
    """The mean squared difference."""
    return np.mean(np.square(prediction - target))


@composite(family="loss", examples=[on((2, 3), np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0]]))])
def binary_cross_entropy_with_logits(logits: Any, target: Any) -> Any:
    """The mean of −t log σ(x) − (1 − t) log(1 − σ(x)), written so that nothing overflows."""
    return np.mean(softplus(logits) - logits * target)


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
    keep = np.random.default_rng(rng).random(np.shape(x), np.float32) >= p
    return dropout_mask(x, keep, scale=1 / (1 - p))


@fused(
    "attention",
    family="matmul",
    examples=[
        on((2, 3, 4), (2, 5, 4), (2, 5, 4)),
        on((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4), mask=np.tri(3, dtype=bool)),
        on((2, 3, 2), (2, 4, 2), (2, 4, 3), mask=np.arange(8).reshape(2, 1, 4) < 4),
    ],
)
def scaled_dot_product_attention(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """softmax(query · keyᵀ / √K) · value: (..., T, K), (..., S, K), (..., S, V) → (..., T, V).

    mask: boolean, True = may attend, broadcast against (..., T, S); a query that may attend to
    nothing gets zeros. Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1.
    """
    scores = query @ np.swapaxes(key, -1, -2) / sqrt(np.shape(query)[-1])
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return softmax(scores) @ value


@scaled_dot_product_attention.kernel
def attention_kernel(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    weights = attention_weights(query, key, mask)
    return product_like(query, weights, value), weights


def attention_weights(query: Any, key: Any, mask: Any = None) -> Any:
    """softmax(query · keyᵀ / √K), an array of shape (..., T, S)."""
    scores = np.matmul(query, np.swapaxes(key, -1, -2))
    scores *= 1 / sqrt(query.shape[-1])
    if mask is not None:
        mask = fitting(mask, scores)
    if not is_safe(scores):
        if mask is not None:
            scores = np.where(mask, scores, -np.inf)
        scores -= row_maxima(scores)
    np.exp(scores, out=scores)
    if mask is not None:
        scores *= mask
    return normalised(scores)


def fitting(mask: Any, scores: Any) -> Any:
    """The mask as an array. ValueError unless it is boolean and broadcasts to the scores."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(f"the mask is boolean, True = may attend, not {mask.dtype}")
    if np.broadcast_shapes(mask.shape, scores.shape) != scores.shape:
        raise ValueError(f"a mask of shape {mask.shape} for scores of {scores.shape}")
    return mask


def product_like(like: Any, a: Any, b: Any) -> Any:
    """a @ b laid out in memory as `like`: heads then merge into one axis without a copy."""
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    out = np.empty_like(like) if shape == like.shape else None
    return np.matmul(a, b, out=out)


@scaled_dot_product_attention.rule
def attention_rule(
    g: Any, y: Any, saved: Any, query: Any, key: Any, value: Any, mask: Any = None
) -> Any:
    (weights,) = saved
    gs = np.matmul(g, np.swapaxes(value, -1, -2))
    gs *= weights
    gs -= weights * sum_rows(matrix(gs)).reshape(*gs.shape[:-1], 1)
    gs *= 1 / sqrt(query.shape[-1])
    return (
        product_like(query, gs, key),
        product_like(key, np.swapaxes(gs, -1, -2), query),
        product_like(value, np.swapaxes(weights, -1, -2), g),
    )
