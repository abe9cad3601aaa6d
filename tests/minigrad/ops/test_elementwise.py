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


@pytest.mark.parametrize("name", ["silu", "softplus", "sigmoid", "relu", "leaky_relu"])
def test_activations_are_torchs(torch: Any, name: str) -> None:
    theirs = getattr(torch.nn.functional, name)
    x = np.linspace(-8, 8, 100)  # 0, where torch's relu has another slope, is not among them
    tolerant = {"threshold": 1000} if name == "softplus" else {}
    assert_like_torch(torch, TABLE[name], lambda x: theirs(x, **tolerant), x)


def test_erf_is_torchs(torch: Any) -> None:
    assert_like_torch(torch, mg.erf, torch.erf, np.linspace(-7, 7, 1001))
