"""Attention: PyTorch's numbers, with nothing from what is masked; keys that heads share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, hvp
from minigrad.check import gradcheck
from minigrad.ops.attention import attention_weights
from tests.minigrad.ops.comparing import (
    NOTHING,
    Array,
    assert_like_torch,
    both_dtypes,
    normal,
)


@both_dtypes
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_a_query_that_may_attend_to_nothing_gets_zeros(size: float, dtype: Any) -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    draws = [(x * size).astype(dtype) for x in normal((2, 4), (3, 4), (3, 2))]
    query, key, value = (Tensor(x, requires_grad=True) for x in draws)
    y = mg.scaled_dot_product_attention(query, key, value, mask=mask)
    assert np.array_equal(y.data[1], [0, 0])
    assert y.data[0].any()

    y.backward(np.ones_like(y.data))
    assert query.grad is not None
    assert np.array_equal(query.grad[1], np.zeros(4))
    assert all(np.isfinite(x.grad).all() for x in (query, key, value) if x.grad is not None)

    def f(query: Any) -> Any:
        return np.sum(mg.scaled_dot_product_attention(query, draws[1], draws[2], mask=mask) ** 2)

    second = hvp(f, draws[0], np.ones_like(draws[0]))
    assert np.array_equal(second[1], np.zeros(4))
    assert np.isfinite(second).all()


def test_derivatives_are_right_where_a_query_may_attend_to_nothing() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    inputs = list(normal((2, 4), (3, 4), (3, 2)))
    gradcheck(lambda *x: mg.scaled_dot_product_attention(*x, mask=mask), inputs, 2)


@pytest.mark.parametrize(
    "mask",
    [
        None,
        np.tri(4, 5, dtype=bool),
        np.array([True, True, False, True, False]),
        np.arange(40).reshape(2, 1, 4, 5) % 3 > 0,
    ],
    ids=["all", "causal", "padding", "of each sequence"],
)
def test_attention_is_torchs(torch: Any, mask: Array | None) -> None:
    theirs = None if mask is None else torch.tensor(np.broadcast_to(mask, (2, 3, 4, 5)).copy())
    assert_like_torch(
        torch,
        lambda q, k, v: mg.scaled_dot_product_attention(q, k, v, mask=mask),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=theirs),
        *normal((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)),
    )


@pytest.mark.parametrize("key_heads", [1, 2, 3, 6])
@pytest.mark.parametrize(
    "mask",
    [
        None,
        np.tri(4, 5, dtype=bool),
        np.arange(10).reshape(2, 1, 1, 5) % 3 > 0,
        np.arange(240).reshape(2, 6, 4, 5) % 7 > 0,
    ],
    ids=["all", "causal", "of each sequence", "of each head"],
)
def test_heads_that_share_keys_attend_as_torchs_do(
    torch: Any, mask: Array | None, key_heads: int
) -> None:
    theirs = None if mask is None else torch.tensor(np.broadcast_to(mask, (2, 6, 4, 5)).copy())
    assert_like_torch(
        torch,
        lambda q, k, v: mg.scaled_dot_product_attention(q, k, v, mask=mask),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=theirs, enable_gqa=True
        ),
        *normal((2, 6, 4, 8), (2, key_heads, 5, 8), (2, key_heads, 5, 7)),
    )


def test_weights_of_heads_that_share_keys_are_those_of_repeated_keys() -> None:
    query, key = normal((2, 6, 4, 8), (2, 3, 5, 8))
    mask = np.tri(4, 5, dtype=bool)
    expected = attention_weights(query, np.repeat(key, 2, axis=1), mask)
    np.testing.assert_allclose(attention_weights(query, key, mask), expected, rtol=1e-12)


@pytest.mark.parametrize("nothing", NOTHING)
def test_masked_keys_that_heads_share_send_nothing(nothing: float) -> None:
    query, key, value = normal((1, 4, 3, 2), (1, 2, 3, 2), (1, 2, 3, 2))
    mask = np.array([True, True, False])
    expected = mg.scaled_dot_product_attention(query, key, value, mask=mask)
    key[:, :, 2], value[:, :, 2] = nothing, nothing
    found = mg.scaled_dot_product_attention(query, key, value, mask=mask)
    np.testing.assert_allclose(found, expected)


def test_heads_that_cannot_share_the_keys_evenly_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"\(1, 9, 2, 4\).*\(1, 2, 2, 4\)"):
        mg.scaled_dot_product_attention(*normal((1, 9, 2, 4), (1, 2, 2, 4), (1, 2, 2, 4)))
    with pytest.raises(ValueError, match="the mask is boolean"):
        mg.scaled_dot_product_attention(
            *normal((1, 4, 2, 4), (1, 2, 2, 4), (1, 2, 2, 4)), mask=np.ones((2, 2))
        )


def test_a_mask_is_boolean_and_fits_the_scores() -> None:
    q, k = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    with pytest.raises(ValueError, match="the mask is boolean, True = may attend, not float64"):
        mg.scaled_dot_product_attention(q, k, k, mask=np.zeros((3, 5)))
    for scale in (1, 1e3):  # with and without the largest scores taken out
        with pytest.raises(ValueError, match=r"a mask of shape \(7, 2, 3, 5\) for scores of"):
            mg.scaled_dot_product_attention(scale * q, k, k, mask=np.ones((7, 2, 3, 5), bool))


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("mask", [np.array([[True, True, False, False]]), np.tri(2, 4, dtype=bool)])
def test_masked_keys_and_values_send_nothing(mask: Array, nothing: float) -> None:
    draws = list(normal((3, 2, 5), (3, 4, 5), (3, 4, 6)))
    clean, spoilt = ([Tensor(x, requires_grad=True) for x in draws] for _ in range(2))
    for x in spoilt[1:]:
        x.data[:, 2:] = nothing
    for inputs in (clean, spoilt):
        y = mg.scaled_dot_product_attention(*inputs, mask=mask)
        y.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))
    for x, t in zip(clean, spoilt, strict=True):
        np.testing.assert_allclose(t.grad, x.grad, atol=1e-14)

    def f(query: Any, inputs: list[Tensor]) -> Any:
        attended = mg.scaled_dot_product_attention(query, *(x.data for x in inputs[1:]), mask=mask)
        return np.sum(attended**2)

    seconds = [hvp(lambda q, i=i: f(q, i), draws[0], np.ones((3, 2, 5))) for i in (clean, spoilt)]
    np.testing.assert_allclose(seconds[1], seconds[0], atol=1e-12)


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_later_key_does_not_reach_an_earlier_query(nothing: float) -> None:
    query, key, value = normal((3, 5), (3, 5), (3, 2))
    expected = mg.scaled_dot_product_attention(query, key, value, mask=np.tri(3, dtype=bool))
    key[2], value[2] = nothing, nothing
    y = mg.scaled_dot_product_attention(query, key, value, mask=np.tri(3, dtype=bool))
    np.testing.assert_allclose(y[:2], expected[:2])
    assert np.isnan(y[2]).all()
