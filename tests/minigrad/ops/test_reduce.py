"""Reductions: all that NumPy's take, and what they send back from ties, zeros and nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, hvp
from minigrad.check import gradcheck
from tests.minigrad.ops.comparing import Array, assert_like_torch, normal


@pytest.mark.parametrize("f", [np.max, np.min])
def test_equal_extremes_share_the_gradient(f: Callable[..., Any]) -> None:
    sign = 1 if f is np.max else -1
    x = Tensor(sign * np.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]]), requires_grad=True)
    f(x, axis=1).backward([1.0, 1.0])
    np.testing.assert_allclose(x.grad, [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])


def test_the_slope_of_a_standard_deviation_of_0_is_0_and_of_none_is_nan() -> None:
    for data, ddof, expected in [([3.0], 0, 0.0), ([2.0, 2.0], 0, 0.0), ([2.0, 2.0], 1, 0.0)]:
        x = Tensor(data, requires_grad=True)
        y = np.std(x, ddof=ddof)
        y.backward()
        assert y.item() == 0
        assert np.array_equal(x.grad, np.full(len(data), expected))
        assert np.isfinite(hvp(lambda x, ddof=ddof: np.std(x, ddof=ddof), x.data, x.data)).all()
    for f in (np.std, np.var):
        for ddof in (1, 2):
            x = Tensor([3.0], requires_grad=True)
            with np.errstate(all="ignore"):
                f(x, ddof=ddof).backward()
            assert np.isnan(x.grad).all()


def test_a_standard_deviation_of_0_is_torchs(torch: Any) -> None:
    x = np.array([[1.0, 2.0, 4.0], [5.0, 5.0, 5.0]])
    assert_like_torch(torch, lambda x: np.std(x, axis=1, ddof=1), lambda x: torch.std(x, dim=1), x)


def test_a_long_product_with_a_zero_takes_no_square_of_its_length() -> None:
    x = Tensor(np.r_[0.0, np.ones(100_000)], requires_grad=True)
    np.prod(x).backward()
    assert np.array_equal(x.grad, np.r_[1.0, np.zeros(100_000)])


@pytest.mark.parametrize(
    "call",
    [
        "np.sum(x, axis=1, dtype=np.float32)",
        "np.sum(x, 0, np.float32, None, True)",
        "np.sum(x, where=SOME)",
        "np.sum(x, axis=0, initial=2.5, keepdims=True)",
        "np.prod(x, axis=1, initial=3.0, where=SOME)",
        "np.prod(x, 0, np.float32)",
        "np.mean(x, axis=1, where=SOME)",
        "np.mean(x, 0, np.float32, None, True)",
        "np.var(x, axis=1, ddof=1, where=SOME)",
        "np.var(x, 0, np.float32, None, 1)",
        "np.std(x, axis=1, where=SOME, keepdims=True)",
        "np.std(x, 1, None, None, 1, True)",
        "np.max(x, axis=1, initial=0.25)",
        "np.max(x, 1, None, True)",
        "np.min(x, axis=0, initial=0.0, where=SOME)",
        "np.max(x[:, :0], axis=1, initial=1.5)",
        "np.cumsum(x, 1, np.float32)",
        "x.sum(0, float)",
        "x.mean(1, None, None, True)",
        "x.var(0, None, None, 1)",
    ],
)
def test_reductions_take_all_that_numpys_take(call: str) -> None:
    some = np.array([[True, False, True], [False, True, True]])
    (data,) = normal((2, 3))

    def f(x: Any) -> Any:
        return eval(call, {"np": np, "x": x, "SOME": some})

    x = Tensor(data, requires_grad=True)
    y, expected = f(x), f(data)
    np.testing.assert_allclose(y.data, expected, rtol=1e-6, strict=True)
    if y.dtype == np.float64:
        assert gradcheck(f, [data], 2)
    else:
        y.sum().backward()
        exact = eval(call.replace("np.float32", "None"), {"np": np, "x": x, "SOME": some})
        before, x.grad = x.grad, None
        exact.sum().backward()
        np.testing.assert_allclose(before, x.grad, rtol=1e-5, atol=1e-6)


def test_a_mask_without_a_result_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max: where= needs initial="):
        np.max(Tensor([1.0, 2.0]), where=np.array([True, False]))


@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min])
@pytest.mark.parametrize("axis", [0, -1, ()])
def test_a_single_number_has_the_axis_that_numpy_gives_it(f: Any, axis: Any) -> None:
    for data in (2.0, 0.0):
        x = Tensor(data, requires_grad=True)
        f(x, axis=axis).backward()
        assert x.grad == 1
    with pytest.raises(np.exceptions.AxisError):
        f(x, axis=1)


LENGTH_0 = [(mg.norm, np.zeros(3)), (np.std, np.zeros(3)), (np.std, np.full(3, 2.0))]


@pytest.mark.parametrize(("f", "x"), LENGTH_0, ids=["norm", "std of zeros", "std of twos"])
def test_a_length_of_0_has_no_slope_and_no_curvature(f: Callable[[Any], Any], x: Array) -> None:
    assert np.array_equal(mg.grad(f)(x), np.zeros(3))
    assert np.array_equal(mg.hessian(f)(x), np.zeros((3, 3)))
