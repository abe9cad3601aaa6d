"""The backward pass: from a result to everything that it was computed from.

Every tensor has a running number, and an op's inputs are older than its result. So the newest
tensor that awaits a gradient has received all of its contributions: nothing that could still
send one is left. A heap that gives the newest first is the whole algorithm; no recursion.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from minigrad import changes
from minigrad.mode import mode, recording
from minigrad.op import as_float32
from minigrad.sums import add_up
from minigrad.tensor import Array, Tensor


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting: sum `g` over the axes along which an array of `shape` was repeated."""
    extra = g.ndim - len(shape)
    repeated = [i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1]
    if extra or repeated:
        total = np.sum if isinstance(g, Tensor) else add_up
        g = total(g, axis=(*range(extra), *repeated), keepdims=True)
    return np.reshape(g, shape)


def propagate(
    root: Tensor,
    g: Any,
    stop: Sequence[Tensor] = (),
    create_graph: bool = False,
    retain_graph: bool = True,
) -> list[tuple[Tensor, Any]]:
    """The gradients of the leaves behind `root`, and of the tensors that retain theirs.

    `g` is the incoming gradient. With `stop` only those tensors matter: the walk ends at them, and
    what is older than all of them is left alone, as it cannot depend on them. With `create_graph`
    the gradients are Tensors whose own computation has been recorded. Without `retain_graph` each
    node lets go of its inputs as soon as it has been used. RuntimeError when a node has already
    done so, or when what its rules need has changed since it was recorded.
    """
    ends = {tensor.order for tensor in stop}
    oldest = min(ends, default=0)
    gradients = {root.order: g}
    waiting = {root.order: root}
    newest = [-root.order]  # a heap of negated orders
    finished: list[tuple[Tensor, Any]] = []
    watcher = mode.watcher
    last_change = changes.newest

    while newest:
        order = -heappop(newest)
        if order < oldest:
            break
        node, g = waiting.pop(order), gradients.pop(order)
        op = node.op
        if op is None or order in ends:
            finished.append((node, g))
            continue
        if node.keeps_grad:
            finished.append((node, g))
        inputs = node.inputs
        if not inputs:
            raise RuntimeError(
                f"backward: the graph behind this {op.name} has been freed by an earlier backward "
                "pass; pass retain_graph=True to that one"
            )
        if watcher is not None:
            watcher.arrived(node, g)
        if order < last_change:
            from minigrad.stale import refuse_stale

            refuse_stale(node, g, create_graph)
        for i, ruled in contributions(node, g, create_graph):
            x, gx = inputs[i], ruled
            data = x._data
            if gx.shape != data.shape:
                gx = sum_to(gx, data.shape)
            if gx.dtype != data.dtype:
                gx = gx.astype(data.dtype)
            if watcher is not None:
                watcher.sent(node, i, g, ruled, gx)
            at = x.order
            if at in gradients:
                gradients[at] = gradients[at] + gx
                continue
            if x.op is None and not create_graph and (gx is g or gx.base is not None):
                gx = gx.copy()  # a leaf's gradient is its own: users scale it in place
            gradients[at], waiting[at] = gx, x
            heappush(newest, -at)
        if not retain_graph:
            node.inputs, node.saved = (), ()
    return finished


def contributions(node: Tensor, g: Any, create_graph: bool) -> list[tuple[int, Any]]:
    """What `node` sends to its inputs, by their numbers, when `g` arrives: its rules, applied."""
    op, inputs, params = node.op, node.inputs, node.params
    assert op is not None
    y: Any = node._data
    arguments: Sequence[Any] = inputs
    is_half = y.itemsize == 2
    if not create_graph:
        arguments = [x._data if isinstance(x, Tensor) else x for x in inputs]
    elif op.joint is not None:
        return expanded(node, g)
    else:
        y = node
    if is_half:  # float16: rules compute in float32; the engine casts what they give back
        g, y, arguments = as_float32(g), as_float32(y), [*map(as_float32, arguments)]
    if op.joint is not None:
        gradients = op.joint(g, y, node.saved, *arguments, **params)
        return [
            (i, gx)
            for i, (x, gx) in enumerate(zip(inputs, gradients, strict=True))
            if isinstance(x, Tensor) and x.tracked
        ]
    rules = op.rules if len(op.rules) == len(inputs) else op.rules * len(inputs)
    found = []
    for i, x in enumerate(inputs):
        if isinstance(x, Tensor) and x.tracked:
            rule = rules[i]
            if rule is None:
                raise TypeError(f"{op.name} has no derivative by its input {i}")
            if op.is_variadic:
                found.append((i, rule(g, y, i, *arguments, **params)))
            else:
                found.append((i, rule(g, y, *arguments, **params)))
    return found


def expand(node: Tensor, inputs: Sequence[Any] | None = None) -> Tensor:
    """The result of a fused op again, recorded as the smaller ops of its definition.

    inputs: what to compute it from in place of the op's own inputs.
    """
    assert node.op is not None and node.op.definition is not None
    with recording(True):
        y: Tensor = node.op.definition(*(inputs or node.inputs), **node.params)
    return y


def expanded(node: Tensor, g: Any) -> list[tuple[int, Any]]:
    """The contributions of a fused op by way of its definition, so that they are recorded.

    An input given twice gets one contribution, under the last of its numbers.
    """
    inputs = [(i, x) for i, x in enumerate(node.inputs) if isinstance(x, Tensor) and x.tracked]
    places = {x.order: i for i, x in inputs}
    y = expand(node, [*map(as_float32, node.inputs)])
    sent = propagate(y, as_float32(g), stop=[x for _, x in inputs], create_graph=True)
    return [(places[x.order], gx) for x, gx in sent]


def backward(root: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add d root / d leaf to `grad` of every leaf that requires a gradient.

    gradient: the incoming gradient, of root's shape; it may be left out for a single element
    (ValueError otherwise). The graph is freed as it is used unless `retain_graph` is true.
    RuntimeError when there is no graph, when it has been freed, or when numbers that it needs have
    been changed since, as by an optimizer's step.
    """
    if not root.requires_grad:
        raise RuntimeError(
            "backward: this tensor does not require a gradient; no input had requires_grad=True, "
            "or it was computed under no_grad()"
        )
    for tensor, g in propagate(root, seed(root, gradient), retain_graph=retain_graph):
        own = g if tensor.op is None else g.copy()  # what a result retains is also passed on
        tensor.grad = np.asarray(own if tensor.grad is None else tensor.grad + own)


def seed(root: Tensor, gradient: Any = None) -> Array:
    """The gradient that a backward pass starts from: one for a single element."""
    if gradient is None:
        if root.size != 1:
            raise ValueError(
                f"backward: the tensor has shape {root.shape}; reduce it to one element "
                "or pass the incoming gradient"
            )
        return np.ones_like(root.data)
    g = np.array(gradient.data if isinstance(gradient, Tensor) else gradient, dtype=root.dtype)
    if g.shape != root.shape:
        raise ValueError(f"backward: gradient of shape {g.shape} for a tensor of {root.shape}")
    return g
