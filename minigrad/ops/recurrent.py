"""Recurrent networks over whole sequences, one fused op each: the plain one, GRU and LSTM.

What comes from the input is one product for all steps, so a step has only the state's. The rules go
back through time in the same way: all slopes are taken beforehand, a step passes on what arrives,
and the weights' gradients are one product over all steps afterwards. Inside, time comes first, so
that a step is contiguous in memory.

Weights are as in PyTorch: a block of H rows for each gate, in its order, and two biases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.op import fused, on
from minigrad.ops.elementwise import floating, sigmoid
from minigrad.ops.neural import matrix
from minigrad.sums import sum_columns

recurrent = partial(fused, family="matmul", in_words=True)

TOKENS = np.array([[True, True, True], [True, False, False]])
"""A mask for the examples: the second sequence has one token and two padded places."""


def weight_shapes(gates: int, H: int = 2, D: int = 3) -> list[tuple[int, ...]]:
    """The shapes of the weights and biases, for the examples."""
    return [(gates * H, D), (gates * H, H), (gates * H,), (gates * H,)]


def unroll(
    step: Callable[..., Sequence[Any]], x: Any, states: Sequence[Any], mask: Any, reverse: bool
) -> list[Any]:
    """The states after each step, (B, T, H) each; where the mask says False they do not change."""
    if mask is not None:
        x = np.where(mask[..., None], x, 0)
    after = {}
    for t in in_order(np.shape(x)[1], reverse):
        new = step(x[:, t], *states)
        if mask is not None:
            pairs = zip(new, states, strict=True)
            new = [np.where(mask[:, t, None], moved, kept) for moved, kept in pairs]
        states = after[t] = new
    return [np.stack([after[t][i] for t in sorted(after)], axis=1) for i in range(len(states))]


def in_order(T: int, reverse: bool) -> range:
    """The steps as the network takes them."""
    return range(T - 1, -1, -1) if reverse else range(T)


@recurrent("rnn", examples=[
    on((2, 3, 3), (2, 2), *weight_shapes(1), mask=TOKENS),
    on((2, 3, 3), (2, 2), *weight_shapes(1)),
    on((1, 4, 2), (1, 3), *weight_shapes(1, 3, 2), reverse=True),
])  # fmt: skip
def rnn(
    x: Any,
    state: Any,
    input_weight: Any,
    state_weight: Any,
    input_bias: Any,
    state_bias: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    """The states of a plain recurrent network, tanh(W x + U h + b): (B, T, D), (B, H) → (B, T, H).

    W is (H, D), U is (H, H), each of two biases (H,). mask: boolean, (B, T); where it is False, as
    at padding, the state stays as it is. `reverse` begins with the last step. ValueError for shapes
    that do not fit, and for no steps. Elman, "Finding Structure in Time" (1990).
    """

    def step(x: Any, h: Any) -> Any:
        return [np.tanh(x @ input_weight.T + input_bias + h @ state_weight.T + state_bias)]

    return unroll(step, x, [state], mask, reverse)[0]


@recurrent("gru", examples=[
    on((2, 3, 3), (2, 2), *weight_shapes(3), mask=TOKENS),
    on((2, 3, 3), (2, 2), *weight_shapes(3)),
    on((1, 4, 2), (1, 3), *weight_shapes(3, 3, 2), reverse=True),
])  # fmt: skip
def gru(
    x: Any,
    state: Any,
    input_weight: Any,
    state_weight: Any,
    input_bias: Any,
    state_bias: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    """The states of gated recurrent units: (B, T, D), (B, H) → (B, T, H).

    W is (3H, D), U is (3H, H), each of two biases (3H,), for the gates reset r, update z and new n:
    h becomes (1 − z) · n + z · h, where n = tanh(W x + b + r · (U h + c)). mask: boolean, (B, T);
    where it is False, as at padding, the state stays as it is. `reverse` begins with the last step.
    ValueError for shapes that do not fit, and for no steps. Cho et al., "Learning Phrase
    Representations using RNN Encoder-Decoder" (2014), section 2.3, with r applied as in PyTorch.
    """

    def step(x: Any, h: Any) -> Any:
        from_input = np.split(x @ input_weight.T + input_bias, 3, axis=-1)
        from_state = np.split(h @ state_weight.T + state_bias, 3, axis=-1)
        r, z = (sigmoid(a + b) for a, b in zip(from_input[:2], from_state[:2], strict=True))
        n = np.tanh(from_input[2] + r * from_state[2])
        return [(1 - z) * n + z * h]

    return unroll(step, x, [state], mask, reverse)[0]


@recurrent("lstm", examples=[
    on((2, 3, 3), (2, 2), (2, 2), *weight_shapes(4), mask=TOKENS),
    on((2, 3, 3), (2, 2), (2, 2), *weight_shapes(4)),
    on((1, 4, 2), (1, 3), (1, 3), *weight_shapes(4, 3, 2), reverse=True),
])  # fmt: skip
def lstm(
    x: Any,
    state: Any,
    cell: Any,
    input_weight: Any,
    state_weight: Any,
    input_bias: Any,
    state_bias: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    """The states and cells of long short-term memory: (B, T, D), (B, H), (B, H) → (2, B, T, H).

    W is (4H, D), U is (4H, H), each of two biases (4H,), for the gates input i, forget f, content g
    and output o: c becomes f · c + i · g, and h becomes o · tanh(c). `states, cells = lstm(…)`
    takes the result apart. mask: boolean, (B, T); where it is False, as at padding, h and c stay as
    they are. `reverse` begins with the last step. ValueError for shapes that do not fit, and for
    no steps. Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997); the forget gate is that
    of Gers et al., "Learning to Forget" (2000).
    """

    def step(x: Any, h: Any, c: Any) -> Any:
        gates = x @ input_weight.T + input_bias + h @ state_weight.T + state_bias
        i, f, g, o = np.split(gates, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]

    return np.stack(unroll(step, x, [state, cell], mask, reverse))


def require_fitting(
    gates: int, x: Any, states: Sequence[Any], weights: Sequence[Any], mask: Any
) -> None:
    """ValueError unless the shapes fit one another and the mask is boolean."""
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x is (batch, time, features), with one step at least, not {x.shape}")
    input_weight, state_weight, input_bias, state_bias = weights
    (B, T, D), H = x.shape, state_weight.shape[-1]
    for name, array, shape in (
        *(("each state", state, (B, H)) for state in states),
        ("input_weight", input_weight, (gates * H, D)),
        ("state_weight", state_weight, (gates * H, H)),
        ("input_bias", input_bias, (gates * H,)),
        ("state_bias", state_bias, (gates * H,)),
        ("the mask", mask, (B, T)),
    ):
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} is of shape {shape}, not {array.shape}")
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"the mask is boolean, True = a token, not {mask.dtype}")


def time_first(x: Any) -> Any:
    """(B, T, ...) → (T, B, ...), or back."""
    return np.swapaxes(x, 0, 1)


def steps_of(x: Any, mask: Any) -> Any:
    """(T, B, D): the input of each step, 0 where the mask says False, as there may be anything."""
    return np.ascontiguousarray(time_first(x if mask is None else np.where(mask[..., None], x, 0)))


def project_input(x: Any, weight: Any, bias: Any, mask: Any, *others: Any) -> Any:
    """(T, B, ...): what the input adds to the gates at each step, all of it in one product.

    Its dtype has room for `others`, what the state will add.
    """
    steps = steps_of(floating(x), mask)
    dtype = np.result_type(steps, weight, bias, *map(floating, others))
    rows = np.add(matrix(steps) @ weight.T, bias, dtype=dtype)
    return rows.reshape(*steps.shape[:2], len(weight))


def where_kept(mask: Any) -> Any:
    """(T, B, 1): where the state does not change; None without a mask."""
    return None if mask is None else ~time_first(mask)[..., None]


def squash(gates: Any, scale: Any) -> None:
    """In place: tanh where `scale` is 1, the sigmoid, ½ tanh(x / 2) + ½, where it is ½."""
    gates *= scale
    np.tanh(gates, out=gates)
    gates *= scale
    gates += 1 - scale


def previous_states(states: Any, first: Any, reverse: bool) -> Any:
    """(T, B, H): the state that each step begins with."""
    first = floating(first)[None]
    return np.concatenate([states[1:], first] if reverse else [first, states[:-1]])


def from_gates(gates: Any, x: Any, weight: Any, mask: Any) -> tuple[Any, Any, Any]:
    """The gradients by x, its weight and its bias, from those by the gates, (T, B, ...)."""
    T, B = gates.shape[:2]
    rows = matrix(gates)
    gx = (rows @ weight).reshape(T, B, weight.shape[1])
    return time_first(gx), rows.T @ matrix(steps_of(x, mask)), sum_columns(rows)


@rnn.kernel
def rnn_kernel(x: Any, state: Any, *weights: Any, mask: Any = None, reverse: bool = False) -> Any:
    require_fitting(1, x, [state], weights, mask)
    input_weight, state_weight, input_bias, state_bias = weights
    states = project_input(x, input_weight, input_bias + state_bias, mask, state, state_weight)
    across, kept = np.ascontiguousarray(state_weight.T), where_kept(mask)
    h = state
    for t in in_order(len(states), reverse):
        states[t] += h @ across
        np.tanh(states[t], out=states[t])
        if kept is not None:
            np.copyto(states[t], h, where=kept[t])
        h = states[t]
    return (time_first(states),)


@rnn.rule
def rnn_rule(
    g: Any,
    y: Any,
    saved: Any,
    x: Any,
    state: Any,
    *weights: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    input_weight, state_weight, *_ = weights
    states, kept = time_first(y), where_kept(mask)
    slopes = 1 - states * states
    if kept is not None:
        slopes *= ~kept
    gates, _, by_state = go_back(g, slopes[:, :, None], kept, state_weight, reverse)
    by_state_weight = matrix(gates).T @ matrix(previous_states(states, state, reverse))
    gx, by_input_weight, by_bias = from_gates(gates, x, input_weight, mask)
    return gx, by_state, by_input_weight, by_state_weight, by_bias, by_bias


def go_back(
    g: Any, slopes: Any, passed: Any, state_weight: Any, reverse: bool
) -> tuple[Any, Any, Any]:
    """Back through time: the gradients by the gates and by each state, (T, B, ...), and by the
    first state.

    slopes: of the new state by each gate, (T, B, K, H). passed: the share of a state that goes into
    the next as it is, (T, B, H) or (T, B, 1), or None.
    """
    T, B, K, H = slopes.shape
    g = time_first(g)
    gates, by_states = np.empty((T, B, K * H), g.dtype), np.empty((T, B, H), g.dtype)
    by_state: Any = np.zeros((B, H), g.dtype)
    for t in in_order(T, not reverse):
        arrived = np.add(g[t], by_state, out=by_states[t])
        np.multiply(slopes[t], arrived[:, None], out=gates[t].reshape(B, K, H))
        by_state = gates[t] @ state_weight
        if passed is not None:
            by_state += arrived * passed[t]
    return gates, by_states, by_state


@gru.kernel
def gru_kernel(x: Any, state: Any, *weights: Any, mask: Any = None, reverse: bool = False) -> Any:
    require_fitting(3, x, [state], weights, mask)
    input_weight, state_weight, input_bias, state_bias = weights
    others = state, state_weight, state_bias
    gates = project_input(x, input_weight, input_bias, mask, *others)  # they become r, z and n
    across, kept = np.ascontiguousarray(state_weight.T), where_kept(mask)
    (T, B, _), H = gates.shape, state_weight.shape[1]
    states, inner = np.empty((T, B, H), gates.dtype), np.empty((T, B, H), gates.dtype)
    h, half = state, gates.dtype.type(0.5)
    for t in in_order(T, reverse):
        from_state = h @ across
        from_state += state_bias
        inner[t] = from_state[:, 2 * H :]
        r_and_z, n = gates[t, :, : 2 * H], gates[t, :, 2 * H :]
        r_and_z += from_state[:, : 2 * H]
        squash(r_and_z, half)
        n += r_and_z[:, :H] * inner[t]
        np.tanh(n, out=n)
        np.subtract(h, n, out=states[t])
        states[t] *= r_and_z[:, H:]
        states[t] += n
        if kept is not None:
            np.copyto(states[t], h, where=kept[t])
        h = states[t]
    return time_first(states), gates, inner


@gru.rule
def gru_rule(
    g: Any,
    y: Any,
    saved: Any,
    x: Any,
    state: Any,
    *weights: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    input_weight, state_weight, *_ = weights
    gates, inner = saved
    states, kept = time_first(y), where_kept(mask)
    previous = previous_states(states, state, reverse)
    T, B, H = states.shape
    r, z, n = np.moveaxis(gates.reshape(T, B, 3, H), 2, 0)
    if kept is not None:
        z = np.where(kept, 1, z)  # all of the state passes
    by_n = (1 - z) * (1 - n * n)
    slopes = np.empty((T, B, 3, H), gates.dtype)
    by_inner = np.multiply(by_n, r, out=slopes[:, :, 2])
    np.multiply(by_inner * inner, 1 - r, out=slopes[:, :, 0])
    np.multiply((previous - n) * z, 1 - z, out=slopes[:, :, 1])
    sent, by_states, by_state = go_back(g, slopes, z, state_weight, reverse)
    by_state_weight, by_state_bias = matrix(sent).T @ matrix(previous), sum_columns(matrix(sent))
    np.multiply(by_states, by_n, out=sent[:, :, 2 * H :])  # from here on, by what the input adds
    gx, by_input_weight, by_input_bias = from_gates(sent, x, input_weight, mask)
    return gx, by_state, by_input_weight, by_state_weight, by_input_bias, by_state_bias


@lstm.kernel
def lstm_kernel(
    x: Any, state: Any, cell: Any, *weights: Any, mask: Any = None, reverse: bool = False
) -> Any:
    require_fitting(4, x, [state, cell], weights, mask)
    input_weight, state_weight, input_bias, state_bias = weights
    gates = project_input(x, input_weight, input_bias + state_bias, mask, state, cell, state_weight)
    across, kept = np.ascontiguousarray(state_weight.T), where_kept(mask)
    (T, B, _), H = gates.shape, state_weight.shape[1]
    both = np.empty((2, T, B, H), gates.dtype)
    states, cells = both
    shrunk = np.empty((T, B, H), gates.dtype)  # the cells' tanh
    scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], gates.dtype), H)
    h, c = state, cell
    for t in in_order(T, reverse):
        gates[t] += h @ across
        squash(gates[t], scale)
        i, f, content, o = (gates[t, :, k * H : (k + 1) * H] for k in range(4))
        np.multiply(f, c, out=cells[t])
        cells[t] += i * content
        np.tanh(cells[t], out=shrunk[t])
        np.multiply(o, shrunk[t], out=states[t])
        if kept is not None:
            np.copyto(states[t], h, where=kept[t])
            np.copyto(cells[t], c, where=kept[t])
        h, c = states[t], cells[t]
    return np.swapaxes(both, 1, 2), gates, shrunk


@lstm.rule
def lstm_rule(
    g: Any,
    y: Any,
    saved: Any,
    x: Any,
    state: Any,
    cell: Any,
    *weights: Any,
    mask: Any = None,
    reverse: bool = False,
) -> Any:
    input_weight, state_weight, *_ = weights
    gates, shrunk = saved
    states, cells = np.swapaxes(y, 1, 2)
    T, B, H = states.shape
    i, f, content, o = np.moveaxis(gates.reshape(T, B, 4, H), 2, 0)
    slopes = np.empty((T, B, 4, H), gates.dtype)  # of c by i, f and g; of h by o
    np.multiply(i * content, 1 - i, out=slopes[:, :, 0])
    np.multiply(previous_states(cells, cell, reverse) * f, 1 - f, out=slopes[:, :, 1])
    np.multiply(1 - content * content, i, out=slopes[:, :, 2])
    np.multiply(shrunk * o, 1 - o, out=slopes[:, :, 3])
    through = (1 - shrunk * shrunk) * o  # of h by c
    kept = where_kept(mask)
    if kept is not None:
        slopes *= ~kept[..., None]
        through *= ~kept
        f = np.where(kept, 1, f)
    by_state: Any = np.zeros((B, H), g.dtype)
    by_cell: Any = np.zeros((B, H), g.dtype)
    for t in in_order(T, not reverse):
        arrived = by_state + g[0, :, t]
        by_cell += g[1, :, t]
        by_cell += arrived * through[t]
        slopes[t, :, :3] *= by_cell[:, None]  # from here on, the gradients by the gates
        slopes[t, :, 3] *= arrived
        by_cell *= f[t]
        by_state = slopes[t].reshape(B, 4 * H) @ state_weight
        if kept is not None:
            by_state += arrived * kept[t]
    gates = slopes.reshape(T, B, 4 * H)
    by_state_weight = matrix(gates).T @ matrix(previous_states(states, state, reverse))
    gx, by_input_weight, by_bias = from_gates(gates, x, input_weight, mask)
    return gx, by_state, by_cell, by_input_weight, by_state_weight, by_bias, by_bias
