"""The fused ops of networks: PyTorch's numbers, at any size, with nothing from what is ignored."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, hvp
from tests.minigrad.ops.comparing import (
    NOTHING,
    assert_like_torch,
    both_dtypes,
    normal,
)


def test_a_row_of_minus_infinity_alone_has_a_softmax_of_zeros() -> None:
    x = Tensor(np.full((2, 3), -np.inf), requires_grad=True)
    y = mg.softmax(x)
    y.backward(np.ones((2, 3)))
    assert not y.data.any()
    assert np.array_equal(x.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore_index", [None, 2, -100])
def test_cross_entropy_is_torchs(
    torch: Any, ignore_index: int | None, label_smoothing: float, reduction: str
) -> None:
    target = np.array([[1, 2, 0], [4, 2, -100 if ignore_index == -100 else 3]])
    options = {"label_smoothing": label_smoothing, "reduction": reduction}
    ignored = -1 if ignore_index is None else ignore_index
    assert_like_torch(
        torch,
        lambda x: mg.cross_entropy(x, target, ignore_index=ignore_index, **options),
        lambda x: torch.nn.functional.cross_entropy(
            x.flatten(0, 1), torch.tensor(target).flatten(), ignore_index=ignored, **options
        ),
        *normal((2, 3, 5)),
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_is_torchs(torch: Any, name: str, axis: int) -> None:
    (x,) = normal((2, 3, 4))
    theirs = getattr(torch, name)
    assert_like_torch(
        torch, lambda x: TABLE[name](x, axis=axis), lambda x: theirs(x, dim=axis), 30 * x
    )


def test_binary_cross_entropy_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        mg.binary_cross_entropy_with_logits,
        torch.nn.functional.binary_cross_entropy_with_logits,
        *normal((3, 4), (3, 4)),
    )


def test_what_is_ignored_may_be_anything() -> None:
    logits = Tensor([[-np.inf, 1.0, 2.0], [-np.inf, 0.0, 1.0]], requires_grad=True)
    loss = mg.cross_entropy(logits, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(loss.data, np.log(1 + np.e))
    loss.backward()
    assert logits.grad is not None and np.array_equal(logits.grad[1], np.zeros(3))
    definition = mg.cross_entropy.definition(logits.data, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(definition, loss.data)


def test_empty_rows_have_empty_results() -> None:
    assert mg.softmax(np.zeros((3, 0))).shape == (3, 0)
    attended = mg.scaled_dot_product_attention(
        np.ones((2, 3, 4)), np.ones((2, 0, 4)), np.ones((2, 0, 4))
    )
    assert np.array_equal(attended, np.zeros((2, 3, 4)))


def test_float16_does_not_overflow_in_softmax() -> None:
    x = np.array([12, 12, 11], np.float16)
    np.testing.assert_allclose(mg.softmax(x), mg.softmax(x.astype(np.float64)), atol=1e-3)


LOGITS = np.array([[0.0, 1.0, -2.0, 0.5], [3.0, 3.0, 0.0, -1.0]])


@both_dtypes
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e5, 2e6])
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax", "cross_entropy"])
def test_the_size_of_logits_costs_no_digits(name: str, shift: float, dtype: Any) -> None:
    functions: dict[str, Callable[[Any], Any]] = {
        "log_softmax": mg.log_softmax,
        "logsumexp": lambda x: mg.logsumexp(x, axis=-1),
        "softmax": mg.softmax,
        "cross_entropy": lambda x: mg.cross_entropy(x, np.array([1, 2]), label_smoothing=0.1),
    }

    def weighted(x: Any) -> Any:
        y = functions[name](x)
        return np.sum(y * np.arange(1.0, 1 + y.size).reshape(y.shape).astype(y.dtype))

    shifted = (LOGITS + shift).astype(dtype)
    exact = shifted.astype(np.float64) - shift
    if name != "logsumexp":  # whose result is as large as the logits
        values = functions[name](shifted), functions[name](exact)
        np.testing.assert_allclose(*values, rtol=1e-6)
    first, second = mg.grad(weighted), partial(hvp, weighted)
    np.testing.assert_allclose(first(shifted), first(exact), rtol=1e-5, atol=1e-5)
    hessian = second(shifted, LOGITS.astype(dtype)), second(exact, LOGITS)
    np.testing.assert_allclose(*hessian, rtol=1e-5, atol=1e-5)


def test_two_equal_logits_of_any_size_halve_the_probability() -> None:
    for size in (1e5, 2e7, 1e30):
        x = Tensor(np.full(2, size), np.float32, requires_grad=True)
        np.testing.assert_allclose(mg.log_softmax(x).data, np.log([0.5, 0.5]), rtol=1e-6)
        mg.cross_entropy(x[None], np.array([1])).backward()
        assert np.array_equal(x.grad, [0.5, -0.5])
        x.zero_grad()
        mg.logsumexp(x).backward()
        assert np.array_equal(x.grad, [0.5, 0.5])


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_logits_at_ignored_targets_send_nothing(nothing: float, label_smoothing: float) -> None:
    target, kept = np.array([[0, 2], [1, 0]]), np.array([[False, True], [True, False]])
    (data,) = normal((2, 2, 3))
    spoilt = Tensor(np.where(kept[..., None], data, nothing), requires_grad=True)
    options: dict[str, Any] = {"ignore_index": 0, "label_smoothing": label_smoothing}

    def loss(x: Any) -> Any:
        return mg.cross_entropy(x, target, **options)

    loss(spoilt).backward()
    expected = mg.grad(loss)(data)
    np.testing.assert_allclose(loss(spoilt).data, loss(data))
    np.testing.assert_allclose(spoilt.grad, expected)
    assert spoilt.grad is not None and not spoilt.grad[~kept].any()
    second = hvp(loss, spoilt.data, np.ones_like(data))
    np.testing.assert_allclose(second, hvp(loss, data, np.ones_like(data)), atol=1e-15)


def test_a_loss_of_ignored_targets_alone_is_0() -> None:
    x = Tensor(np.full((2, 3), np.nan), requires_grad=True)
    loss = mg.cross_entropy(x, np.zeros(2, int), ignore_index=0)
    loss.backward()
    assert loss.item() == 0
    assert np.array_equal(x.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", [f"{kind}{bits}" for kind in "iu" for bits in (1, 2, 4, 8)])
@pytest.mark.parametrize("rows", [1, 2, 64, 65, 127, 256, 1000])
def test_tokens_of_any_dtype_find_their_rows_in_a_table_of_any_size(rows: int, dtype: str) -> None:
    largest = min(rows - 1, np.iinfo(dtype).max)
    tokens = np.array([[0, largest, largest // 2], [largest, largest, 0]], dtype)
    g = np.random.default_rng(0).standard_normal((2, 3, 5))
    weight = Tensor(np.zeros((rows, 5)), requires_grad=True)
    mg.embedding(weight, tokens).backward(g)
    expected = np.zeros((rows, 5))
    np.add.at(expected, tokens.astype(int), g)
    np.testing.assert_allclose(weight.grad, expected)
    if dtype[0] == "i":
        weight.zero_grad()
        mg.embedding(weight, (tokens.astype(int) - rows).clip(-128).astype(dtype)).backward(g)
        expected[:] = 0
        np.add.at(expected, (tokens.astype(int) - rows).clip(-128), g)
        np.testing.assert_allclose(weight.grad, expected)
