"""Additive attention: its formula, its mask, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor, hvp
from minigrad.check import gradcheck

B, T, S, A, V = 2, 3, 4, 5, 6
additive_attention = TABLE["additive_attention"]
NOTHING_AT_ALL = np.array([[[True, False, True, True], [False] * 4, [True] * 4]])


def drawn() -> list[np.ndarray[Any, Any]]:
    """Queries, keys, values and v."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in [(B, T, A), (B, S, A), (B, S, V), (A,)]]


def test_each_query_gets_the_values_weighed_by_the_softmax_of_its_scores() -> None:
    query, key, value, v = drawn()
    y = additive_attention(query, key, value, v, mask=NOTHING_AT_ALL)
    for b in range(B):
        for t in (0, 2):
            may = NOTHING_AT_ALL[0, t]
            powers = may * np.exp([v @ np.tanh(query[b, t] + key[b, s]) for s in range(S)])
            np.testing.assert_allclose(y[b, t], powers / powers.sum() @ value[b], atol=1e-14)


def test_a_query_that_may_attend_to_nothing_gets_zeros_and_sends_none() -> None:
    inputs = [Tensor(x, requires_grad=True) for x in drawn()]
    y = additive_attention(*inputs, mask=NOTHING_AT_ALL)
    y.backward(np.ones(y.shape))
    query = inputs[0]
    assert query.grad is not None
    assert not y.data[:, 1].any() and not query.grad[:, 1].any()
    assert y.data[:, 0].any() and query.grad[:, 0].any()
    for order in (1, 2):
        assert gradcheck(lambda *x: additive_attention(*x, mask=NOTHING_AT_ALL), drawn(), order)


@pytest.mark.parametrize("size", [1e3, 1e5])
def test_scores_of_any_size_give_weights(size: float) -> None:
    query, key, value, v = drawn()
    inputs = [Tensor(x, requires_grad=True) for x in (query, key, value, size * v)]
    y = additive_attention(*inputs, mask=NOTHING_AT_ALL)
    y.backward(np.ones(y.shape))
    expected = additive_attention.definition(*inputs, mask=NOTHING_AT_ALL)
    np.testing.assert_allclose(y.data, expected.data, atol=1e-14)
    assert all(np.isfinite(x.grad).all() for x in inputs if x.grad is not None)


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_masked_keys_and_values_send_nothing(nothing: float) -> None:
    mask = np.array([True, True, False, False])
    clean, spoilt = ([Tensor(x, requires_grad=True) for x in drawn()] for _ in range(2))
    for x in spoilt[1:3]:
        x.data[:, 2:] = nothing
    for inputs in (clean, spoilt):
        y = additive_attention(*inputs, mask=mask)
        y.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))
    for x, other in zip(clean, spoilt, strict=True):
        np.testing.assert_allclose(other.grad, x.grad, atol=1e-14)

    def f(query: Any, inputs: list[Tensor]) -> Any:
        return np.sum(additive_attention(query, *(x.data for x in inputs[1:]), mask=mask) ** 2)

    one, other = (hvp(lambda q, x=x: f(q, x), clean[0].data, np.ones((B, T, A))) for x in
                  (clean, spoilt))  # fmt: skip
    np.testing.assert_allclose(other, one, atol=1e-12)


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_a_later_key_does_not_reach_an_earlier_query(nothing: float) -> None:
    query, key, value, v = drawn()
    mask = np.tri(T, S, dtype=bool)
    expected = additive_attention(query, key, value, v, mask=mask)
    spoilt = [x.copy() for x in (key, value)]
    for x in spoilt:
        x[:, 2:] = nothing
    leaf = Tensor(query, requires_grad=True)
    y = additive_attention(leaf, *spoilt, v, mask=mask)
    np.testing.assert_allclose(y.data[:, :2], expected[:, :2], atol=1e-14)
    y.backward(np.ones(y.shape) * (np.arange(T) < 2)[:, None])
    assert leaf.grad is not None and np.isfinite(leaf.grad[:, :2]).all()


def test_what_does_not_fit_is_named() -> None:
    query, key, value, v = drawn()
    with pytest.raises(ValueError, match=r"v is of shape \(5,\), as wide as a query, not \(1,\)"):
        additive_attention(query, key, value, v[:1])
    with pytest.raises(ValueError, match="the mask is boolean, True = may attend, not float64"):
        additive_attention(query, key, value, v, mask=np.ones((T, S)))
    with pytest.raises(
        ValueError, match=r"a mask of shape \(7, 1, 3, 4\) for scores of \(2, 3, 4\)"
    ):
        additive_attention(query, key, value, v, mask=np.ones((7, 1, T, S), bool))
