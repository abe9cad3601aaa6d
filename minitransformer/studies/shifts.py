"""Shifts: how alike the vectors of two places are by their distance, and what moving on does to
them."""

from __future__ import annotations

import numpy as np

from minigrad.ops.rotary import turn_rows
from minigrad.tensor import Array
from minitransformer.parts.embedding import sinusoidal_positions


def similarity(vectors: Array) -> Array:
    """The mean cosine of the vectors of two places, by their distance: (P, D) → (P,).

    >>> similarity(np.eye(4)).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = unit @ unit.T
    return np.array([np.diagonal(alike, distance).mean() for distance in range(len(alike))])


def shift(k: int, width: int) -> Array:
    """The matrix that takes the waves at any place to those k places on, (D, D).

    Each pair, a sine and a cosine, is turned by its own angle: sin(a + b) = sin a cos b + cos a
    sin b. "Attention Is All You Need", section 3.5, says that there is such a matrix.

    >>> waves = sinusoidal_positions(9, 4)
    >>> np.allclose(shift(3, 4) @ waves[5], waves[8])
    True
    """
    sine, cosine = (sinusoidal_positions(k + 1, width)[k, first::2] for first in (0, 1))
    matrix = np.diag(np.repeat(cosine, 2))
    even = np.arange(0, width, 2)
    matrix[even, even + 1], matrix[even + 1, even] = sine, -sine
    return matrix


def off_after_shift(k: int, places: int, width: int) -> float:
    """How far the waves, moved on by that matrix, are off at the place where it is furthest."""
    waves = sinusoidal_positions(places, width)
    return float(np.abs(waves[:-k] @ shift(k, width).T - waves[k:]).max())


def off_when_fitted(vectors: Array) -> float:
    """How far the next place is off when a linear map foretells it, relative to its vector.

    The map is fitted, by least squares, to the first half of the places, and tried on the others.

    >>> off_when_fitted(np.eye(10))
    1.0
    """
    half = len(vectors) // 2
    here, there = vectors[:-1], vectors[1:]
    matrix = np.linalg.lstsq(here[:half], there[:half])[0]
    missed = here[half:] @ matrix - there[half:]
    return float(np.linalg.norm(missed) / np.linalg.norm(there[half:]))


def rotary_scores(queries: Array, keys: Array, places: int) -> Array:
    """The cosine of each query at place 0 and its key at each place, both turned: (N, D), (N, D)
    → (N, P)."""
    at = np.broadcast_to(keys[:, None], (len(keys), places, keys.shape[1]))
    scores = np.einsum("nd,npd->np", queries, turn_rows(at))
    norms = np.linalg.norm(queries, axis=1) * np.linalg.norm(keys, axis=1)
    found: Array = scores / norms[:, None]
    return found


def rotary_change(k: int, queries: Array, keys: Array, places: int) -> float:
    """How much the score of a query and a key changes at most, when both move on by k places.

    They stand at any two of the places; it is relative to the product of their norms.
    """
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, keys)]
    scores = []
    for start in (0, k):
        turned = [
            turn_rows(np.broadcast_to(x[:, None], (len(x), places, x.shape[1])), start)
            for x in unit
        ]
        scores.append(turned[0] @ np.swapaxes(turned[1], 1, 2))
    return float(np.abs(scores[1] - scores[0]).max())
