"""Sums down long columns are as exact as PyTorch's, wherever in the engine they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.sums import BLOCK, LONG, add_up, dot_rows, sum_columns, sum_rows

Array = np.ndarray[Any, Any]

ROWS = 200_000
TENTHS = np.full((ROWS, 3), 0.1, np.float32)
"""Added one after the other in float32, these are 0.01 % off."""

ONE, ZERO = np.ones(3, np.float32), np.zeros(3, np.float32)


def tensor(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def gradient(f: Callable[[Tensor], Any], x: Tensor) -> Array:
    """The gradient of `x` where 0.1 comes back to each element of f(x)."""
    y = f(x)
    y.backward(np.broadcast_to(np.float32(0.1), y.shape))
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("axis", [None, 0, 1, 2, (0, 1), (1, 2), (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(2, 3 * BLOCK + 5, 3), (700, 2, 3), (2, 3, 700), (0, 700, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_sum_is_numpys(axis: Any, keepdims: bool, shape: tuple[int, ...], order: Any) -> None:
    x = np.random.default_rng(0).random(shape)
    y = add_up(np.array(x, np.float32, order=order), axis, keepdims)
    expected = np.sum(x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(y, expected.astype(np.float32), rtol=1e-6, strict=True)


def test_a_wrong_axis_is_numpys_error_for_large_arrays_too() -> None:
    for size in (2, 2 * BLOCK):
        with pytest.raises(np.exceptions.AxisError, match="axis 1 is out of bounds"):
            mg.sum(np.ones(size, np.float32), axis=1)


def test_columns_of_any_length_and_width_are_summed() -> None:
    for rows, width in [(0, 3), (1, 3), (BLOCK, 2), (BLOCK + 1, 2), (5 * BLOCK, 2), (3, 1 << 19)]:
        np.testing.assert_array_equal(sum_columns(np.ones((rows, width), np.float32)), rows)
    stack = np.arange(2.0 * 3 * BLOCK * 2).reshape(2, 3 * BLOCK, 2)
    np.testing.assert_allclose(sum_columns(stack), stack.sum(axis=1))


class Unmultiplied(Array):
    """An array that may not stand in a product of BLAS's."""

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **params: Any) -> Any:
        assert ufunc is not np.matmul
        return getattr(ufunc, method)(*map(np.asarray, operands), **params)


def test_rows_of_the_width_that_blas_may_warn_of_are_multiplied_without_it() -> None:
    rows = np.arange(15, dtype=np.float32).reshape(3, 5)
    np.testing.assert_array_equal(dot_rows(rows.view(Unmultiplied), rows[0]), rows @ rows[0])


def test_long_rows_are_summed_as_exactly_as_short_ones() -> None:
    for width in (3, LONG, 250_000):
        total = sum_rows(np.full((2, width), 0.1, np.float32))
        np.testing.assert_allclose(total, 0.1 * width, rtol=1e-5 if width == LONG else 1e-6)


FORWARD: dict[str, Callable[[Array], Any]] = {
    "sum": lambda x: np.sum(Tensor(x), axis=0).data,
    "sum of a transposed array": lambda x: np.sum(Tensor(np.asfortranarray(x)).T, axis=1).data,
    "mean": lambda x: np.mean(Tensor(x), axis=0).data,
    "var": lambda x: np.var(Tensor(x + np.arange(3, dtype=x.dtype)), axis=(0, 1)).data,
    "std": lambda x: np.std(Tensor(x * np.arange(ROWS)[:, None] % 7), axis=0).data,
    "norm": lambda x: mg.norm(Tensor(x), axis=0).data,
    "cumsum": lambda x: np.cumsum(Tensor(x), axis=0)[-1].data,
    "logsumexp": lambda x: np.exp(mg.logsumexp(Tensor(x), axis=0).data),
    "softmax": lambda x: mg.softmax(Tensor(x), axis=0).data.sum(axis=0, dtype=np.float64),
    "batch_norm": lambda x: mg.batch_norm(np.cumsum(x, 0, np.float64).astype(x.dtype), ONE, ZERO),
    "mean of arrays": lambda x: mg.mean(x, axis=0),
    "where": lambda x: np.sum(Tensor(x), axis=0, where=x > 0).data,
}


@pytest.mark.parametrize("name", FORWARD)
def test_results_have_the_error_of_float32_alone(name: str) -> None:
    y, expected = FORWARD[name](TENTHS), FORWARD[name](TENTHS.astype(np.float64))
    np.testing.assert_allclose(y, expected, rtol=3e-6, atol=1e-5)


BACKWARD: dict[str, Callable[[], Array]] = {
    "a bias": lambda: gradient(lambda b: b + TENTHS, tensor(3)),
    "a bias kept as a row": lambda: gradient(lambda b: b + TENTHS, tensor(1, 3)),
    "a single number": lambda: gradient(lambda b: b + TENTHS, tensor())[None] / 3,
    "linear": lambda: gradient(lambda b: mg.linear(TENTHS, np.eye(3, dtype="f4"), b), tensor(3)),
    "layer_norm": lambda: gradient(lambda b: mg.layer_norm(TENTHS, ONE, b), tensor(3)),
    "batch_norm": lambda: gradient(lambda b: mg.batch_norm(TENTHS, ONE, b), tensor(3)),
    "tile": lambda: gradient(lambda x: np.tile(x, (ROWS, 1)), tensor(3)),
    "repeat": lambda: gradient(lambda x: np.repeat(x, ROWS, axis=0), tensor(1, 3)),
    "broadcast_to": lambda: gradient(lambda x: np.broadcast_to(x, (ROWS, 3)), tensor(3)),
    "embedding of few": lambda: gradient(lambda w: mg.embedding(w, ONES), tensor(4, 3))[1],
    "embedding of many": lambda: gradient(lambda w: mg.embedding(w, ONES), tensor(100, 3))[1],
    "take": lambda: gradient(lambda x: np.take(x, ONES, axis=1), tensor(1, 4))[:, 1],
    "getitem": lambda: gradient(lambda x: x[ONES], tensor(4))[1:2],
    "second order": lambda: mg.grad(
        lambda b: mg.grad(lambda b: np.sum(b**2 * 0.05 + TENTHS))(b)[0]
    )(ONE)[:1],
}
ONES = np.ones(ROWS, int)


def test_batch_norm_keeps_exact_statistics() -> None:
    norm = mg.nn.BatchNorm(3)
    norm.momentum = 1.0
    x = TENTHS * (1 + np.arange(ROWS, dtype=np.float32)[:, None] % 2)
    norm(Tensor(x))
    np.testing.assert_allclose(norm.running_mean, 0.15, rtol=3e-6)
    np.testing.assert_allclose(norm.running_var, 0.0025, rtol=1e-4)


@pytest.mark.parametrize("name", BACKWARD)
def test_gradients_have_the_error_of_float32_alone(name: str) -> None:
    np.testing.assert_allclose(BACKWARD[name](), ROWS * 0.1, rtol=3e-6)
