"""Batch: the arrays that a model is called with, and the labels that its logits should give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IGNORE = -100
"""The label of a place where nothing is asked."""


class Batch(NamedTuple):
    """Examples side by side.

    inputs: what the model is called with, int64, such as source (B, S) and target so far (B, T).
    labels: the right class at each place of its logits, (B, T) or (B,), or IGNORE.
    tokens: how many tokens it reads and answers, padding not counted.
    """

    inputs: tuple[NDArray[np.int64], ...]
    labels: NDArray[np.int64]
    tokens: int


class Shape(NamedTuple):
    """What examples ask of a model: so many input tokens, classes to choose from, and places.

    `form` is the kind of question, one of those that a model in the table says it answers; `source`
    the length of the longest one, `target` the most places at which a class is asked for; `pad` the
    number of the token that fills up a batch.
    """

    form: str
    vocab: int
    classes: int
    source: int
    target: int
    pad: int = 0

    @property
    def length(self) -> int:
        """The most places on either side."""
        return max(self.source, self.target)


def pad_rows(rows: Sequence[list[int]], pad: int) -> NDArray[np.int64]:
    """Rows of different lengths as one array, filled up at the end. ValueError for no rows.

    >>> pad_rows([[5, 6], [7]], pad=0)
    array([[5, 6],
           [7, 0]])
    """
    if not rows:
        raise ValueError("there are no rows to make a batch of")
    # Lists first and one conversion: three times as fast as an assignment to each row.
    width = max(map(len, rows))
    return np.array([row + [pad] * (width - len(row)) for row in rows], dtype=np.int64)
