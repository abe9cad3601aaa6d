"""Rotary positions: rotations that grow with the position, of which distance survives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from minigrad.ops.rotary import rotations_table
from tests.minigrad.ops.comparing import Array, both_dtypes, normal

starts = st.integers(0, 5000)
widths = st.integers(1, 8).map(lambda half: 2 * half)


def as_complex(x: Any) -> Any:
    """The pairs of numbers that turn together as complex numbers."""
    half = x.shape[-1] // 2
    return x[..., :half] + 1j * x[..., half:]


@given(starts, widths, st.sampled_from([10.0, 1e4, 1e6]))
def test_each_pair_is_multiplied_by_a_complex_number_of_its_position(
    start: int, width: int, base: float
) -> None:
    (x,) = normal((2, 3, width))
    positions, i = np.arange(start, start + 3)[:, None], np.arange(width // 2)
    expected = as_complex(x) * np.exp(1j * positions / base ** (2 * i / width))
    np.testing.assert_allclose(as_complex(mg.rotary(x, start, base)), expected, atol=1e-11)


@given(starts, starts, starts, widths)
def test_a_product_knows_the_distance_alone(a: int, b: int, further: int, width: int) -> None:
    query, key = normal((1, width), (1, width))

    def product(a: int, b: int) -> Array:
        return np.vecdot(mg.rotary(query, a), mg.rotary(key, b))

    np.testing.assert_allclose(product(a, b), product(a + further, b + further), atol=1e-10)


@given(starts, widths)
def test_turning_back_undoes_it_and_so_does_its_gradient(start: int, width: int) -> None:
    x, g = normal((2, 3, width), (2, 3, width))
    np.testing.assert_allclose(mg.rotary(mg.rotary(x, start), start, back=True), x, atol=1e-12)
    t = Tensor(x, requires_grad=True)
    mg.rotary(t, start).backward(g)
    np.testing.assert_allclose(t.grad, mg.rotary(g, start, back=True))


@both_dtypes
def test_rows_one_by_one_are_turned_as_rows_together(dtype: Any) -> None:
    x = normal((2, 300, 4))[0].astype(dtype)
    together = mg.rotary(x)
    assert together.dtype == dtype
    for i in (0, 1, 127, 128, 255, 256, 299):
        assert np.array_equal(mg.rotary(x[:, i : i + 1], i), together[:, i : i + 1])


def test_far_positions_lose_no_digits_in_float32() -> None:
    (x,) = normal((4, 8))
    near = mg.rotary(x.astype(np.float32), 100_000)
    np.testing.assert_allclose(near, mg.rotary(x, 100_000), atol=1e-6)
    exact = np.asarray(mg.rotary.definition(x.astype(np.float32), 100_000))
    np.testing.assert_allclose(exact, mg.rotary(x, 100_000), atol=1e-6)


def test_one_table_serves_many_steps() -> None:
    x = np.ones((1, 6))
    mg.rotary(x, 600)
    before = rotations_table.cache_info().misses
    for start in range(512, 1000):
        mg.rotary(x, start)
    assert rotations_table.cache_info().misses == before


def test_an_odd_width_and_a_position_below_0_are_errors() -> None:
    with pytest.raises(ValueError, match="numbers turn in pairs: the last axis is even, not 3"):
        mg.rotary(np.ones((2, 3)))
    with pytest.raises(ValueError, match="positions are at least 0, not -1"):
        mg.rotary(np.ones((2, 4)), -1)
    with pytest.raises(ValueError, match=r"rows at positions, \(\.\.\., T, K\), not \(4,\)"):
        mg.rotary(np.ones(4))
