"""Recurrent ops: what the mask, the direction and the state mean, and what is refused.

That kernels and rules are those of the definitions is tested with the rest of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor
from minigrad.check import gradcheck
from minigrad.op import Op
from minigrad.rules import formula

B, T, D, H = 2, 4, 3, 5
MASK = np.array([[True, True, False, False], [True, True, True, True]])

every_op = pytest.mark.parametrize("op", [TABLE["rnn"], TABLE["gru"], TABLE["lstm"]])
both_ways = pytest.mark.parametrize("reverse", [False, True])


def drawn(op: Op, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    """The input, the state or states, the weights and the biases."""
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[op.name] * H
    states = [(B, H)] * (2 if op.name == "lstm" else 1)
    rng = np.random.default_rng(seed)
    shapes = [(B, T, D), *states, (rows, D), (rows, H), (rows,), (rows,)]
    return [rng.standard_normal(shape) for shape in shapes]


def states_of(y: Any) -> Any:
    """The states as (S, B, T, H), where S is 2 for the LSTM and 1 otherwise."""
    return np.reshape(y, (-1, B, T, H))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def test_the_states_are_those_of_the_papers_equations() -> None:
    x, h, w, u, b, c = drawn(TABLE["rnn"])
    found = TABLE["rnn"](x, h, w, u, b, c)
    for t in range(T):
        h = np.tanh(w @ x[:, t, :, None] + u @ h[..., None] + (b + c)[:, None])[..., 0]
        np.testing.assert_allclose(found[:, t], h, atol=1e-14)

    x, h, w, u, b, c = drawn(TABLE["gru"])
    found = TABLE["gru"](x, h, w, u, b, c)
    reset, update, new = (slice(k * H, (k + 1) * H) for k in range(3))
    for t in range(T):
        a, s = x[:, t] @ w.T + b, h @ u.T + c
        r, z = sigmoid(a[:, reset] + s[:, reset]), sigmoid(a[:, update] + s[:, update])
        h = (1 - z) * np.tanh(a[:, new] + r * s[:, new]) + z * h
        np.testing.assert_allclose(found[:, t], h, atol=1e-14)

    x, h, cell, w, u, b, c = drawn(TABLE["lstm"])
    states, cells = TABLE["lstm"](x, h, cell, w, u, b, c)
    for t in range(T):
        i, f, g, o = np.split(x[:, t] @ w.T + h @ u.T + b + c, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(states[:, t], h, atol=1e-14)
        np.testing.assert_allclose(cells[:, t], cell, atol=1e-14)


@both_ways
@every_op
def test_the_state_stays_where_the_mask_says_false(op: Op, reverse: bool) -> None:
    inputs = drawn(op)
    first = inputs[1:-4]
    found = states_of(op(*inputs, mask=MASK, reverse=reverse))
    for s, padded in enumerate(found[:, 0]):
        expected = first[s][0] if reverse else padded[1]
        assert np.array_equal(padded[2], expected)
        assert np.array_equal(padded[3], expected)
    np.testing.assert_allclose(found[:, 1], states_of(op(*inputs, reverse=reverse))[:, 1])


@both_ways
@every_op
def test_derivatives_are_right_where_there_is_padding(op: Op, reverse: bool) -> None:
    assert gradcheck(lambda *x: op(*x, mask=MASK, reverse=reverse), drawn(op))
    small = [x[..., :2] if x.ndim == 3 else x for x in drawn(op)]
    small[-4] = small[-4][:, :2]
    assert gradcheck(lambda *x: op(*x, mask=MASK, reverse=reverse), small, 2)


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
@every_op
def test_what_stands_at_padded_places_is_of_no_account(op: Op, nothing: float) -> None:
    x, *rest = drawn(op)
    clean, spoilt = (Tensor(v, requires_grad=True) for v in (x, x.copy()))
    spoilt.data[~MASK] = nothing
    weights = [[Tensor(w, requires_grad=True) for w in rest] for _ in range(2)]
    for v, own in zip((clean, spoilt), weights, strict=True):
        y = op(v, *own, mask=MASK)
        y.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))
    for own, other in zip([clean, *weights[0]], [spoilt, *weights[1]], strict=True):
        assert np.array_equal(own.grad, other.grad)
    assert clean.grad is not None and not clean.grad[~MASK].any()


@every_op
def test_backwards_is_forwards_on_the_sequence_turned_round(op: Op) -> None:
    x, *rest = drawn(op)
    found = states_of(op(x, *rest, reverse=True))
    turned = states_of(op(x[:, ::-1], *rest))[:, :, ::-1]
    np.testing.assert_allclose(found, turned, atol=1e-15)


@every_op
def test_the_widest_dtype_among_the_inputs_is_that_of_the_states(op: Op) -> None:
    inputs = drawn(op)
    for place in range(len(inputs)):
        mixed = [x.astype(np.float32) for x in inputs]
        mixed[place] = inputs[place]
        y = op(*mixed)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, op(*inputs), atol=1e-5)


@every_op
def test_gates_of_any_size_saturate_without_a_warning(op: Op) -> None:
    inputs = [Tensor(1e4 * x, requires_grad=True) for x in drawn(op)]
    y = op(*inputs)
    y.backward(np.ones(y.shape))
    assert np.isfinite(y.data).all()
    assert all(np.isfinite(x.grad).all() for x in inputs if x.grad is not None)


WRONG: dict[str, tuple[int, Callable[[Any], Any], str]] = {
    "no batch": (0, lambda x: x[0], r"x is \(batch, time, features\)"),
    "no step": (0, lambda x: x[:, :0], "with one step at least"),
    "another batch": (1, lambda h: h[:1], r"each state is of shape \(2, 5\), not \(1, 5\)"),
    "too few rows": (-4, lambda w: w[:-1], "input_weight is of shape"),
    "one bias for all": (-1, lambda b: b[:1], "state_bias is of shape"),
}


@pytest.mark.parametrize("name", WRONG)
@every_op
def test_what_does_not_fit_is_named(op: Op, name: str) -> None:
    place, spoil, message = WRONG[name]
    inputs = drawn(op)
    inputs[place] = spoil(inputs[place])
    with pytest.raises(ValueError, match=f"^{op.name}: .*{message}"):
        op(*inputs)


@every_op
def test_a_mask_is_boolean_and_has_a_place_for_each_step(op: Op) -> None:
    with pytest.raises(ValueError, match="the mask is boolean, True = a token, not float64"):
        op(*drawn(op), mask=np.ones((B, T)))
    with pytest.raises(ValueError, match=r"the mask is of shape \(2, 4\), not \(2, 1\)"):
        op(*drawn(op), mask=np.ones((B, 1), bool))


def test_a_row_said_in_words_prints_its_first_line_as_its_formula() -> None:
    (line,) = formula(TABLE["lstm"])
    assert line.startswith("lstm: The states and cells of long short-term memory: ")
