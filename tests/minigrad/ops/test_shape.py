"""Selections: what names an element repeatedly adds up, and what is outside is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 3),
    index=st.lists(st.integers(-1, 0), min_size=1),
)
def test_elements_taken_repeatedly_add_their_gradients(
    rows: int, columns: int, index: list[int]
) -> None:
    x = Tensor(np.zeros((rows, columns)), requires_grad=True)
    x[np.array(index)].backward(np.ones((len(index), columns)))
    counts = np.zeros(rows)
    for i in index:
        counts[i] += 1
    assert np.array_equal(x.grad, np.repeat(counts[:, None], columns, 1))


def test_taking_along_an_axis_broadcasts_the_others_as_numpy_does() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        np.take_along_axis(Tensor(x), np.array([[1]]), axis=1).data,
        np.take_along_axis(x, np.array([[1]]), axis=1),
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("rows", "count"), [(65, 1), (70, 1000), (1000, 300), (50_000, 40)])
def test_rows_named_repeatedly_add_what_comes_back(rows: int, count: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    index = np.minimum(rng.zipf(1.3, count) - 1, rows - 1)
    g = rng.integers(-4, 5, (count, 2, 3)).astype(dtype)
    expected = np.zeros((rows, 2, 3))
    np.add.at(expected, index, g.astype(np.float64))
    found = mg.scatter_add(g, index=index, shape=(rows, 2, 3))
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("rows", [3, 100])
def test_a_row_outside_the_table_is_named(rows: int) -> None:
    weight = Tensor(np.zeros((rows, 2)), requires_grad=True)
    for index in (rows, -rows - 1):
        message = f"index {index} is out of bounds for axis 0 with size {rows}"
        with pytest.raises(IndexError, match=f"embedding: .*{message}"):
            mg.embedding(weight, np.array([0, index]))
        with pytest.raises(IndexError, match=f"scatter_add: .*{message}"):
            mg.scatter_add(np.ones((1, 2)), index=np.array([index]), shape=(rows, 2))
