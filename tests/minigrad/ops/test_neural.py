"""The fused ops of networks: PyTorch's numbers, at any size, with nothing from what is masked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, hvp
from minigrad.check import gradcheck
from minigrad.ops.neural import attention_weights
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


def test_layer_norm_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        lambda x, w, b: mg.layer_norm(x, w, b, eps=1e-3),
        lambda x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b, eps=1e-3),
        *normal((2, 3, 4), (4,), (4,)),
    )


def test_rms_norm_is_torchs(torch: Any) -> None:
    theirs = torch.nn.functional.rms_norm
    x, weight = normal((2, 3, 4), (4,))
    assert_like_torch(
        torch,
        lambda x, w: mg.rms_norm(x, w, eps=1e-3),
        lambda x, w: theirs(x, (4,), w, eps=1e-3),
        x,
        weight,
    )
    assert_like_torch(torch, lambda x: mg.rms_norm(x, None), lambda x: theirs(x, (4,), eps=1e-5), x)
    with pytest.raises(ValueError, match=r"a weight of shape \(4,\), \(1,\) or None is needed"):
        mg.rms_norm(x, np.ones(3))


def test_batch_norm_is_torchs_with_features_last(torch: Any) -> None:
    def theirs(x: Any, w: Any, b: Any) -> Any:
        channels_second = x.movedim(-1, 1)
        y = torch.nn.functional.batch_norm(channels_second, None, None, w, b, training=True)
        return y.movedim(1, -1)

    assert_like_torch(torch, mg.batch_norm, theirs, *normal((3, 5, 4), (4,), (4,)))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_is_torchs(torch: Any, name: str, axis: int) -> None:
    (x,) = normal((2, 3, 4))
    theirs = getattr(torch, name)
    assert_like_torch(
        torch, lambda x: TABLE[name](x, axis=axis), lambda x: theirs(x, dim=axis), 30 * x
    )


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


def test_binary_cross_entropy_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        mg.binary_cross_entropy_with_logits,
        torch.nn.functional.binary_cross_entropy_with_logits,
        *normal((3, 4), (3, 4)),
    )


def test_a_mask_is_boolean_and_fits_the_scores() -> None:
    q, k = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    with pytest.raises(ValueError, match="the mask is boolean, True = may attend, not float64"):
        mg.scaled_dot_product_attention(q, k, k, mask=np.zeros((3, 5)))
    for scale in (1, 1e3):  # with and without the largest scores taken out
        with pytest.raises(ValueError, match=r"a mask of shape \(7, 2, 3, 5\) for scores of"):
            mg.scaled_dot_product_attention(scale * q, k, k, mask=np.ones((7, 2, 3, 5), bool))


def test_what_is_ignored_may_be_anything() -> None:
    logits = Tensor([[-np.inf, 1.0, 2.0], [-np.inf, 0.0, 1.0]], requires_grad=True)
    loss = mg.cross_entropy(logits, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(loss.data, np.log(1 + np.e))
    loss.backward()
    assert logits.grad is not None and np.array_equal(logits.grad[1], np.zeros(3))
    definition = mg.cross_entropy.definition(logits.data, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(definition, loss.data)


@pytest.mark.parametrize("width", [64, 512, 4096])
def test_rows_that_hardly_vary_are_normalised_in_float32(width: int) -> None:
    one, zero = np.ones(width, np.float32), np.zeros(width, np.float32)
    assert not mg.layer_norm(np.full((3, width), 12345.678, np.float32), one, zero).any()
    x = np.random.default_rng(0).normal(1e4, 1, (3, width)).astype(np.float32)
    exact = mg.layer_norm(x.astype(np.float64), one.astype(np.float64), zero.astype(np.float64))
    np.testing.assert_allclose(mg.layer_norm(x, one, zero), exact, atol=1e-5)


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


def test_layer_norm_takes_no_weight_and_names_a_wrong_one(torch: Any) -> None:
    theirs = torch.nn.functional.layer_norm
    (x,) = normal((2, 3))
    assert_like_torch(torch, lambda x: mg.layer_norm(x, None, None), lambda x: theirs(x, (3,)), x)
    for weight in (np.ones(2), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"a weight of shape \(3,\), \(1,\) or None is needed"):
            mg.layer_norm(x, weight, None)
