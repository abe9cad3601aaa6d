"""Nearness: do vectors lie where those of the same meaning lie? Shares of N vectors, by layer.

Vectors come as (L, N, D), of L layers, and meanings as (N,) numbers, 0 or 1.
"""

from __future__ import annotations

import numpy as np

from minigrad.tensor import Array


def nearer_mean(x: Array, means: Array, meanings: Array) -> Array:
    """(L,): the share that is nearer to the right one of two means, (L, 2, D), or (L, N, 2, D)
    where each vector has its own. As far from both counts half.

    >>> nearer_mean(np.array([[[0.0], [4.0]]]), np.array([[[1.0], [9.0]]]), np.array([0, 1]))
    array([0.5])
    """
    means = means if means.ndim == 4 else means[:, None]
    distances = np.linalg.norm(x[:, :, None] - means, axis=-1)  # (L, N, 2)
    gap = distances[..., 1] - distances[..., 0]
    toward = np.where(meanings == 0, gap, -gap)
    share: Array = np.mean((toward > 0) + (toward == 0) / 2, axis=1)
    return share


def neighbours(
    x: Array, meanings: Array, others: Array, their_meanings: Array, itself: bool = False
) -> Array:
    """(L,): the share whose nearest neighbour among others, by cosine, has the same meaning. Of
    several as near, each counts for its part.

    itself: whether the others are the same vectors: then none is its own neighbour.
    """
    cosines = unit(x) @ unit(others).swapaxes(1, 2)  # (L, N, M)
    if itself:
        cosines[:, np.eye(len(meanings), dtype=bool)] = -np.inf
    near = cosines >= cosines.max(axis=-1, keepdims=True) - 1e-6
    same = near & (meanings[:, None] == their_meanings)
    share: Array = (same.sum(axis=-1) / near.sum(axis=-1)).mean(axis=1)
    return share


def within_and_across(x: Array, meanings: Array, centred: bool) -> tuple[Array, Array]:
    """(L,) and (L,): the mean cosine of two vectors of one meaning, and of two different ones.

    centred: less the mean of all, which says what they have in common: all vectors of a model tend
    to point the same way (Ethayarajh, 2019, section 4.1).
    """
    x = unit(x - x.mean(axis=1, keepdims=True) if centred else x)
    cosines = x @ x.swapaxes(1, 2)
    same = meanings[:, None] == meanings
    apart = ~np.eye(len(meanings), dtype=bool)
    return cosines[:, same & apart].mean(axis=1), cosines[:, ~same].mean(axis=1)


def unit(x: Array) -> Array:
    """Vectors of length 1, in the same directions."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    found: Array = x / np.where(length == 0, 1, length)
    return found
