"""Scaled dot-product attention. Fused, as the ops in `neural.py` are."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from minigrad.op import fused, on
from minigrad.ops.neural import is_safe, matrix, maxima, normalise, softmax
from minigrad.ops.reduce import sum
from minigrad.sums import sum_rows
from minigrad.tensor import unwrap


@fused(
    "attention",
    family="matmul",
    examples=[
        on((2, 3, 2), (2, 4, 2), (2, 4, 3), mask=np.arange(8).reshape(2, 1, 4) < 4),
        on((2, 3, 4), (2, 5, 4), (2, 5, 4)),
        on((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4), mask=np.tri(3, dtype=bool)),
        on((2, 4, 3, 2), (2, 2, 3, 2), (2, 2, 3, 1), mask=np.tri(3, dtype=bool)),
    ],
)
def scaled_dot_product_attention(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    """softmax(query · keyᵀ / √K) · value: (..., T, K), (..., S, K), (..., S, V) → (..., T, V).

    mask: boolean, True = may attend, broadcast against (..., T, S); a query that may attend to
    nothing gets zeros. Vaswani et al., "Attention Is All You Need" (2017), section 3.2.1.

    Heads may share keys and values: those of (B, G, S, K) serve n = H / G neighbouring heads each
    of (B, H, T, K). Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models from
    Multi-Head Checkpoints" (2023), section 2.2.
    """
    K = np.shape(query)[-1]
    if (n := heads_per_key(query, key)) > 1:
        key, value = np.repeat(key, n, axis=-3), np.repeat(value, n, axis=-3)
    if mask is not None:
        key, value = drop_masked(key, mask), drop_masked(value, mask)
    scores = query @ np.swapaxes(key, -1, -2) / K**0.5
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return softmax(scores) @ value


def heads_per_key(query: Any, key: Any) -> int:
    """How many heads of (..., B, H, T, K) queries share each head of (..., B, G, S, K) keys; 1
    where these broadcast instead."""
    if np.ndim(query) < 4 or np.ndim(key) < 4:
        return 1
    heads, groups = int(np.shape(query)[-3]), int(np.shape(key)[-3])
    return heads // groups if groups > 1 and heads % groups == 0 else 1


def group(x: Any, n: int) -> Any:
    """Heads by the keys that they share: (..., G · n, T, K) → (..., G, n, T, K)."""
    return x.reshape(*x.shape[:-3], x.shape[-3] // n, n, *x.shape[-2:])


def ungroup(x: Any) -> Any:
    """(..., G, n, T, K) → (..., G · n, T, K)."""
    return x.reshape(*x.shape[:-4], x.shape[-4] * x.shape[-3], *x.shape[-2:])


def sum_groups(x: Any, n: int) -> Any:
    """What each shared head gets from all that share it: (..., G · n, S, K) → (..., G, S, K)."""
    *stack, heads, length, width = np.shape(x)
    return sum(np.reshape(x, (*stack, heads // n, n, length, width)), axis=-3)


def group_mask(mask: Any, query: Any, key: Any, n: int) -> Any:
    """The mask of grouped heads. ValueError unless it broadcasts to the scores."""
    shape = (*query.shape[:-1], key.shape[-2])
    return None if mask is None else group(np.broadcast_to(as_mask(mask, shape), shape), n)


def drop_masked(x: Any, mask: Any) -> Any:
    """Keys or values, those that no query may attend to as zeros if 0 · NaN is at stake."""
    if is_finite(unwrap(x)):
        return x
    return np.where(np.any(np.atleast_2d(mask), axis=-2)[..., None], x, 0)


def is_finite(x: Any) -> bool:
    """Whether neither NaN nor infinity is among the elements, nor a number whose square is one."""
    flat = x.ravel(order="K")
    return bool(np.isfinite(np.dot(flat, flat)))


@scaled_dot_product_attention.kernel
def attention_kernel(query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    if (n := heads_per_key(query, key)) > 1:  # no key is copied: it broadcasts over its heads
        mask = group_mask(mask, query, key, n)
        shared = key[..., None, :, :], value[..., None, :, :]
        y, weights = attention_kernel(group(query, n), *shared, mask=mask)
        return ungroup(y), ungroup(weights)
    with np.errstate(invalid="ignore"):  # what is masked may be anything
        weights = attention_weights(query, key, mask)
        y = product_like(query, weights, value)
        if mask is not None and not is_finite(y):
            y = weigh(weights, value)
        return y, weights


def attention_weights(query: Any, key: Any, mask: Any = None) -> Any:
    """softmax(query · keyᵀ / √K), an array of shape (..., T, S)."""
    if (n := heads_per_key(query, key)) > 1:
        mask = group_mask(mask, query, key, n)
        return ungroup(attention_weights(group(query, n), key[..., None, :, :], mask))
    if query.shape[-1] == 0:
        raise ValueError("queries of width 0 have no scores")
    # contiguous, though heads may be views whose axes are exchanged: rows can then be summed
    scores = np.matmul(query * (1 / sqrt(query.shape[-1])), np.swapaxes(key, -1, -2), order="C")
    softmax_in_place(scores, None if mask is None else as_mask(mask, scores.shape))
    return scores


def softmax_in_place(scores: Any, mask: Any) -> None:
    """Scores made weights, in memory that is contiguous: 0 where the mask says False."""
    if not is_safe(scores):
        if mask is not None:
            np.copyto(scores, -np.inf, where=~mask)
        scores -= maxima(scores)
    np.exp(scores, out=scores)
    if mask is not None:
        scores *= mask
    normalise(matrix(scores))


def as_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    """The mask as an array. ValueError unless it is boolean and broadcasts to scores of `shape`."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(f"the mask is boolean, True = may attend, not {mask.dtype}")
    if np.broadcast_shapes(mask.shape, shape) != shape:
        raise ValueError(f"a mask of shape {mask.shape} for scores of {shape}")
    return mask


def product_like(like: Any, a: Any, b: Any) -> Any:
    """a @ b laid out in memory as `like`: heads then merge into one axis without a copy."""
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    dtype = np.result_type(a, b)
    out = np.empty_like(like, dtype) if shape == like.shape else None
    return np.matmul(a, b, out=out)


def weigh(weights: Any, x: Any) -> Any:
    """weights @ x, where a weight of 0 takes nothing, not even of NaN or infinity."""
    wrong = ~np.isfinite(x)
    touched = np.matmul(weights != 0, wrong)
    return np.where(touched, np.matmul(weights, x), np.matmul(weights, np.where(wrong, 0, x)))


@scaled_dot_product_attention.rule
def attention_rule(
    g: Any, y: Any, saved: Any, query: Any, key: Any, value: Any, mask: Any = None
) -> Any:
    (weights,) = saved
    if (n := heads_per_key(query, key)) > 1:
        g, y, weights, query = (group(x, n) for x in (g, y, weights, query))
        shared = key[..., None, :, :], value[..., None, :, :]
        gq, gk, gv = attention_rule(g, y, (weights,), query, *shared, mask=mask)
        return ungroup(gq), gk.sum(axis=-3), gv.sum(axis=-3)
    with np.errstate(invalid="ignore"):  # what is masked may be anything
        gs = score_gradient(g, value, weights, query.shape[-1])
        gq = product_like(query, gs, key)
        if mask is not None and not is_finite(gq):
            gs = score_gradient(g, value, weights, query.shape[-1], drop=weights == 0)
            gq = weigh(gs, key)
        return (
            gq,
            product_like(key, np.swapaxes(gs, -1, -2), query),
            product_like(value, np.swapaxes(weights, -1, -2), g),
        )


def score_gradient(g: Any, value: Any, weights: Any, width: int, drop: Any = None) -> Any:
    """The gradient by query · keyᵀ, in which the values that `drop` marks have no part."""
    gs = np.matmul(g, np.swapaxes(value, -1, -2), order="C")
    if drop is not None:
        gs[drop] = 0
    gs *= weights
    gs -= weights * sum_rows(matrix(gs)).reshape(*gs.shape[:-1], 1)
    gs *= 1 / sqrt(width)
    return gs


@scaled_dot_product_attention.formula
def attention_formula(g: Any, y: Any, query: Any, key: Any, value: Any, mask: Any = None) -> Any:
    K = np.shape(query)[-1]
    n = heads_per_key(query, key)
    if n > 1:
        key, value = np.repeat(key, n, axis=-3), np.repeat(value, n, axis=-3)
    scores = query @ np.swapaxes(key, -1, -2) / K**0.5
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = softmax(scores)
    gw = g @ np.swapaxes(value, -1, -2)  # by the weights; gs, by the scores, is softmax's rule
    gs = weights * (gw - np.sum(weights * gw, axis=-1, keepdims=True))
    gq = gs @ key / K**0.5
    gk, gv = np.swapaxes(gs, -1, -2) @ query / K**0.5, np.swapaxes(weights, -1, -2) @ g
    return (gq, gk, gv) if n == 1 else (gq, sum_groups(gk, n), sum_groups(gv, n))
