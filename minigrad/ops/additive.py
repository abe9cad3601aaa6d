"""Additive attention: scores by a small network of a query and a key, in place of their product."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.op import fused, on
from minigrad.ops.attention import (
    as_mask,
    drop_masked,
    is_finite,
    score_gradient,
    softmax_in_place,
    weigh,
)
from minigrad.ops.neural import matrix, softmax


@fused(
    "additive attention",
    family="matmul",
    examples=[
        on((2, 3, 2), (2, 4, 2), (2, 4, 3), (2,), mask=np.arange(8).reshape(2, 1, 4) < 6),
        on((3, 2), (4, 2), (4, 3), (2,)),
        on((2, 3, 2), (1, 3, 2), (3, 1), (2,), mask=np.tri(3, dtype=bool)),
    ],
)
def additive_attention(query: Any, key: Any, value: Any, v: Any, mask: Any = None) -> Any:
    """softmax(vᵀ tanh(query + key)) · value: (..., T, A), (..., S, A), (..., S, V) → (..., T, V).

    v: (A,). Query and key are projected already. mask: boolean, True = may attend, broadcast
    against (..., T, S); a query that may attend to nothing gets zeros. Bahdanau, Cho and Bengio,
    "Neural Machine Translation by Jointly Learning to Align and Translate" (2015), appendix A.1.2.
    """
    if mask is not None:
        key, value = drop_masked(key, mask), drop_masked(value, mask)
    scores = np.tanh(np.expand_dims(query, -2) + np.expand_dims(key, -3)) @ v
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return softmax(scores) @ value


@additive_attention.kernel
def additive_kernel(query: Any, key: Any, value: Any, v: Any, mask: Any = None) -> Any:
    if v.shape != query.shape[-1:]:
        raise ValueError(f"v is of shape {query.shape[-1:]}, as wide as a query, not {v.shape}")
    with np.errstate(invalid="ignore"):  # what is masked may be anything
        hidden = np.tanh(query[..., :, None, :] + key[..., None, :, :])
        if mask is not None:
            mask = as_mask(mask, hidden.shape[:-1])
            if not is_finite(hidden):
                hidden = np.where(mask[..., None], hidden, 0)
        weights = (matrix(hidden) @ v).reshape(hidden.shape[:-1])
        softmax_in_place(weights, mask)
        y = weights @ value
        if mask is not None and not is_finite(y):
            y = weigh(weights, value)
        return y, weights, hidden


@additive_attention.rule
def additive_rule(
    g: Any, y: Any, saved: Any, query: Any, key: Any, value: Any, v: Any, mask: Any = None
) -> Any:
    weights, hidden = saved
    with np.errstate(invalid="ignore"):  # what is masked may be anything
        gs = score_gradient(g, value, weights, 1)
        if mask is not None and not is_finite(gs):
            gs = score_gradient(g, value, weights, 1, drop=weights == 0)
    slopes = hidden * hidden
    np.subtract(1, slopes, out=slopes)
    by_query = (gs[..., None, :] @ slopes)[..., 0, :]
    by_key = (np.swapaxes(gs, -1, -2)[..., None, :] @ np.swapaxes(slopes, -2, -3))[..., 0, :]
    return (
        by_query * v,
        by_key * v,
        np.swapaxes(weights, -1, -2) @ g,
        gs.ravel() @ matrix(hidden),
    )


@additive_attention.formula
def additive_formula(
    g: Any, y: Any, query: Any, key: Any, value: Any, v: Any, mask: Any = None
) -> Any:
    hidden = np.tanh(np.expand_dims(query, -2) + np.expand_dims(key, -3))
    scores = hidden @ v
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    weights = softmax(scores)
    gw = g @ np.swapaxes(value, -1, -2)  # by the weights; gs, by the scores, is softmax's rule
    gs = weights * (gw - np.sum(weights * gw, axis=-1, keepdims=True))
    gh = np.expand_dims(gs, -1) * v * (1 - hidden * hidden)
    return (
        np.sum(gh, axis=-2),
        np.sum(gh, axis=-3),
        np.swapaxes(weights, -1, -2) @ g,
        np.expand_dims(gs, -1) * hidden,
    )
