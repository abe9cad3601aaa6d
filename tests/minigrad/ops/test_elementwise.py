"""Element by element: NumPy's and PyTorch's numbers, and broadcasting undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as shapes

import minigrad as mg
from minigrad import TABLE, Tensor
from tests.minigrad.ops.comparing import (
    assert_like_explicit_broadcasting,
    assert_like_torch,
)


def test_astype_is_numpys() -> None:
    x = Tensor([1.5, -2.5], requires_grad=True)
    y = np.astype(x, np.float32)
    assert y.dtype == np.float32
    assert np.array_equal(y.data, np.astype(x.data, np.float32))


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_two_equal_numbers_share_the_gradient(f: Callable[..., Any]) -> None:
    sign = 1 if f is np.maximum else -1
    a = Tensor(sign * np.array([1.0, 2.0, 3.0]), requires_grad=True)
    b = Tensor(sign * np.array([2.0, 2.0, 2.0]), requires_grad=True)
    f(a, b).backward([1.0, 1.0, 1.0])
    assert np.array_equal(a.grad, [0, 0.5, 1])
    assert np.array_equal(b.grad, [1, 0.5, 0])


@pytest.mark.parametrize("f", [np.add, np.multiply])
@given(drawn=shapes.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_broadcast_gradients_are_those_of_explicit_copies(
    f: Callable[..., Any], drawn: shapes.BroadcastableShapes
) -> None:
    assert_like_explicit_broadcasting(f, drawn.input_shapes, [drawn.result_shape] * 2)


@given(drawn=shapes.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_where_broadcasts_its_condition_and_both_its_sides(
    drawn: shapes.BroadcastableShapes,
) -> None:
    mask_shape, *parts = drawn.input_shapes
    mask = np.random.default_rng(0).random(mask_shape) < 0.5
    assert_like_explicit_broadcasting(
        lambda a, b: np.where(mask, a, b), parts, [drawn.result_shape] * 2
    )


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_torchs(torch: Any, approximate: str) -> None:
    x = np.linspace(-8, 8, 101)
    assert_like_torch(
        torch,
        lambda x: mg.gelu(x, approximate=approximate),
        lambda x: torch.nn.functional.gelu(x, approximate=approximate),
        x,
    )


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_in_float32_is_that_of_float64(approximate: str) -> None:
    """It has a kernel of its own, which looks nothing up in erf."""
    exact, rounded = (
        mg.Tensor(np.linspace(-12, 12, 10_001, dtype=dtype), requires_grad=True)
        for dtype in (np.float64, np.float32)
    )
    results = [mg.gelu(x, approximate=approximate) for x in (exact, rounded)]
    for y in results:
        y.sum().backward()
    assert results[1].dtype == rounded.grad.dtype == np.float32
    np.testing.assert_allclose(results[1].data, results[0].data, rtol=0, atol=1e-6)
    np.testing.assert_allclose(rounded.grad.data, exact.grad.data, rtol=0, atol=3e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_far_from_0_is_0_or_x(approximate: str) -> None:
    x = mg.Tensor(np.float32([-1e30, -50, 50, 1e30, np.inf]), requires_grad=True)
    y = mg.gelu(x, approximate=approximate)
    y.sum().backward()
    assert y.data.tolist() == [0, 0, 50, np.float32(1e30), np.inf]
    assert x.grad.data.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", ["silu", "softplus", "sigmoid", "relu", "leaky_relu"])
def test_activations_are_torchs(torch: Any, name: str) -> None:
    theirs = getattr(torch.nn.functional, name)
    x = np.linspace(-8, 8, 100)  # 0, where torch's relu has another slope, is not among them
    tolerant = {"threshold": 1000} if name == "softplus" else {}
    assert_like_torch(torch, TABLE[name], lambda x: theirs(x, **tolerant), x)


def test_erf_is_torchs(torch: Any) -> None:
    assert_like_torch(torch, mg.erf, torch.erf, np.linspace(-7, 7, 1001))
