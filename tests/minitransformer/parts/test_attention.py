"""Multi-head attention: what it computes, who may look at whom, and what the cache keeps."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, no_grad
from minitransformer import MultiHeadAttention, causal_mask, padding_mask
from minitransformer.interop.torch import to_torch
from minitransformer.parts.attention import AdditiveAttention, Cache

B, T, S, D, H = 2, 4, 5, 6, 3
PADDED = np.array([[4, 5, 6, 7, 8], [4, 5, 6, 0, 0]])  # (B, S) source tokens


def an_attention(seed: int = 0) -> MultiHeadAttention:
    attention = MultiHeadAttention(D, H, rng=seed).astype(np.float64)
    rng = np.random.default_rng(seed)
    for x in attention.parameters():
        x.data[...] = rng.normal(0, 0.7, x.shape)
    return attention


def inputs(length: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal((B, length, D)), requires_grad=True)


def test_a_position_may_look_at_itself_and_at_earlier_ones() -> None:
    assert causal_mask(3).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_every_query_may_look_at_what_is_not_padding() -> None:
    mask = padding_mask(np.array([[7, 8, 0], [7, 0, 0]]))
    assert mask.shape == (2, 1, 1, 3)
    assert mask[:, 0, 0].tolist() == [[True, True, False], [True, False, False]]


def test_it_is_the_papers_formula_head_by_head() -> None:
    attention, x, memory = an_attention(), inputs(T), inputs(S, seed=2)
    mask = padding_mask(PADDED)
    expected = np.zeros((B, T, D))
    for b in range(B):
        heads = []
        for h in range(H):
            mine = slice(h * D // H, (h + 1) * D // H)  # the rows of the projections of head h
            query, key, value = (
                y.data[b] @ linear.weight.data[mine].T + linear.bias.data[mine]
                for y, linear in (
                    (x, attention.query), (memory, attention.key), (memory, attention.value)
                )
            )  # fmt: skip
            scores = np.where(mask[b, 0], query @ key.T / np.sqrt(D // H), -np.inf)
            weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
            heads.append(weights @ value)
        output = attention.output
        expected[b] = np.concatenate(heads, axis=1) @ output.weight.data.T + output.bias.data
    assert np.allclose(attention(x, memory, mask).data, expected, rtol=0, atol=1e-12)


MASKS = {
    "no mask": None,
    "causal": causal_mask(S),
    "padding": padding_mask(PADDED),
    "causal and padding": causal_mask(S) & padding_mask(PADDED),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("kind", ["self", "cross"])
def test_it_equals_pytorchs_with_all_gradients(kind: str, mask: Any) -> None:
    torch = pytest.importorskip("torch")
    attention, x = an_attention(), inputs(S)
    memory = x if kind == "self" else inputs(S, seed=2)
    y = attention(x, memory, mask)
    gradient = np.random.default_rng(3).standard_normal(y.shape)
    y.backward(gradient)

    theirs = torch.nn.MultiheadAttention(D, H, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(as_torch(torch, attention.state_dict()))
    their_x = torch.tensor(x.data, requires_grad=True)
    their_memory = their_x if kind == "self" else torch.tensor(memory.data, requires_grad=True)
    blocked = None
    if mask is not None:  # PyTorch: one mask for each batch and head, and True = may not attend
        full = np.repeat(np.broadcast_to(mask, (B, 1, S, S)), H, axis=1)
        blocked = torch.tensor(~full.reshape(B * H, S, S))
    their_y, their_weights = theirs(
        their_x, their_memory, their_memory, attn_mask=blocked, average_attn_weights=False
    )
    their_y.backward(torch.tensor(gradient))

    assert np.allclose(y.data, their_y.detach(), rtol=0, atol=1e-9)
    assert np.allclose(attention.weights(x, memory, mask), their_weights.detach(), atol=1e-9)
    assert np.allclose(x.grad, their_x.grad, rtol=0, atol=1e-9)
    assert np.allclose(memory.grad, their_memory.grad, rtol=0, atol=1e-9)
    gradients = to_torch({name: p.grad for name, p in attention.named_parameters()})
    for name, p in theirs.named_parameters():
        assert np.allclose(gradients[name], p.grad, rtol=0, atol=1e-9), name


def as_torch(torch: Any, state: dict[str, Any]) -> dict[str, Any]:
    return {name: torch.tensor(x) for name, x in to_torch(state).items()}


@pytest.mark.parametrize("scale", [1, 1000], ids=["small scores", "large scores"])
def test_no_gradient_flows_back_from_an_output_to_later_inputs(scale: float) -> None:
    attention = an_attention()
    for t in range(T):
        x = Tensor(scale * inputs(T).data, requires_grad=True)
        attention(x, x, causal_mask(T))[:, t].sum().backward()
        assert x.grad is not None
        assert np.all(x.grad[:, t + 1 :] == 0)
        assert np.any(x.grad[:, : t + 1])


@pytest.mark.parametrize("scale", [1, 1000], ids=["small scores", "large scores"])
def test_what_stands_at_a_masked_position_does_not_matter(scale: float) -> None:
    attention, x, memory = an_attention(), inputs(T).data, scale * inputs(S, seed=2).data
    other = memory.copy()
    other[1, 3:] = -other[1, 3:]
    mask = padding_mask(PADDED)
    assert np.array_equal(attention(x, memory, mask).data, attention(x, other, mask).data)


def test_a_query_that_may_look_at_nothing_gets_the_output_bias() -> None:
    attention, x = an_attention(), inputs(T)
    y = attention(x, x, np.zeros((T, T), bool))
    assert np.array_equal(y.data, np.broadcast_to(attention.output.bias.data, y.shape))
    assert not attention.weights(x, x, np.zeros((T, T), bool)).any()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_weights_of_every_head_sum_to_one_over_what_may_be_seen(mask: Any) -> None:
    weights = an_attention().weights(inputs(S), inputs(S), mask)
    assert weights.shape == (B, H, S, S)
    assert np.allclose(weights.sum(axis=-1), 1, rtol=0, atol=1e-12)
    assert (weights >= 0).all()
    if mask is not None:
        assert not weights[~np.broadcast_to(mask, weights.shape)].any()


def test_the_weights_are_those_that_were_applied() -> None:
    attention, x, memory = an_attention(), inputs(T), inputs(S, seed=2)
    mask = padding_mask(PADDED)
    with no_grad():
        value = attention.split(attention.value(memory)).data
        applied = attention.output(attention.merge(attention.weights(x, memory, mask) @ value))
        assert np.array_equal(applied.data, attention(x, memory, mask).data)


def test_merging_the_heads_undoes_splitting_them() -> None:
    attention, x = an_attention(), inputs(T)
    heads = attention.split(x)
    assert heads.shape == (B, H, T, D // H)
    assert np.array_equal(heads.data[1, 2, 3], x.data[1, 3, 2 * D // H :])
    assert np.array_equal(attention.merge(heads).data, x.data)


def test_with_a_cache_each_position_gets_what_it_gets_without() -> None:
    attention, x = an_attention(), inputs(T)
    cache = Cache(fixed=False)
    with no_grad():
        steps = [attention(x[:, t : t + 1], x[:, t : t + 1], cache=cache) for t in range(T)]
    together = attention(x, x, causal_mask(T)).data
    assert np.allclose(np.concatenate([y.data for y in steps], axis=1), together, atol=1e-12)
    assert cache.key.shape == cache.value.shape == (B, H, T, D // H)


def test_a_fixed_cache_looks_at_the_memory_once() -> None:
    attention, x, memory = an_attention(), inputs(T), inputs(S, seed=2)
    cache = Cache(fixed=True)
    assert not cache.complete
    with no_grad():
        first = attention(x, memory, cache=cache)
        assert cache.complete
        again = attention(x, None, cache=cache)
    assert np.array_equal(first.data, again.data)


def test_a_cache_goes_on_with_chosen_rows() -> None:
    cache = Cache(fixed=False)
    key = Tensor(np.arange(B * H * 2 * 2.0).reshape(B, H, 2, 2))
    cache.append(key, key + 1)
    cache.select(np.array([1, 1, 0]))
    assert np.array_equal(cache.key.data, key.data[[1, 1, 0]])
    assert np.array_equal(cache.value.data, key.data[[1, 1, 0]] + 1)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads 4 does not divide d_model 6"):
        MultiHeadAttention(6, 4)


def test_it_says_how_many_heads_it_has() -> None:
    assert "MultiHeadAttention(3 heads)" in repr(an_attention())


def test_it_can_be_pickled() -> None:
    attention, x = an_attention(), inputs(T)
    copy = pickle.loads(pickle.dumps(attention))
    assert np.array_equal(copy(x, x).data, attention(x, x).data)


def test_query_key_and_value_apart_are_refused_with_what_to_write() -> None:
    attention, x = an_attention(), inputs(T)
    for arguments in ((x, x, x), (x, x, x.data, causal_mask(T)), (x, x, causal_mask(T), True)):
        with pytest.raises(TypeError, match=r"attention takes \(x, memory, mask, cache\)"):
            attention(*arguments)


def an_additive_attention() -> AdditiveAttention:
    return AdditiveAttention(3, D, 7, rng=0).astype(np.float64)


def test_additive_attention_scores_by_a_network_of_query_and_memory() -> None:
    attention, memory = an_additive_attention(), inputs(S).data
    query, mask = np.random.default_rng(2).standard_normal((B, T, 3)), (PADDED != 0)[:, None, :]
    inner = (query @ attention.query.weight.data.T)[:, :, None] + (
        memory @ attention.key.weight.data.T
    )[:, None]
    powers = mask * np.exp(np.tanh(inner) @ attention.v.data)
    expected = powers / powers.sum(-1, keepdims=True) @ memory
    np.testing.assert_allclose(attention(query, memory, mask).data, expected, atol=1e-14)


def test_additive_attention_takes_keys_that_were_projected_before() -> None:
    attention, memory = an_additive_attention(), inputs(S)
    query = np.random.default_rng(2).standard_normal((B, T, 3))
    key = attention.key(memory)
    for t in range(T):
        one = attention(query[:, t : t + 1], memory, key=key).data
        np.testing.assert_allclose(one, attention(query, memory).data[:, t : t + 1], atol=1e-14)
