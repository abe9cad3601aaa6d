"""Rows of different lengths become one array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.batch import IGNORE, Shape, pad_rows

row_lists = st.lists(st.lists(st.integers(0, 20), max_size=8), min_size=1, max_size=8)


@given(row_lists, st.sampled_from([0, 7, IGNORE]))
def test_rows_are_filled_up_at_the_end_to_the_longest(rows: list[list[int]], pad: int) -> None:
    array = pad_rows(rows, pad)
    assert array.dtype == np.int64
    assert array.shape == (len(rows), max(map(len, rows)))
    for found, row in zip(array.tolist(), rows, strict=True):
        assert found == row + [pad] * (array.shape[1] - len(row))


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no rows to make a batch of"):
        pad_rows([], 0)


def test_a_model_needs_places_for_the_longer_side() -> None:
    assert Shape("pairs", 9, 9, source=3, target=7).length == 7
    assert Shape("labels", 9, 2, source=3, target=1).length == 3
