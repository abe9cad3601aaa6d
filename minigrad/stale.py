"""Stale arrays: what an op used and no longer finds as it was, and whether its rules care."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minigrad.backward import contributions
from minigrad.changes import Change, last_write
from minigrad.mode import Watcher, watching
from minigrad.names import argument_name, describe_op, input_name
from minigrad.tensor import Array, Tensor, replacement, unwrap


def refuse_stale(node: Tensor, g: Any, create_graph: bool) -> None:
    """RuntimeError if something that the rules of an op need has changed since the op used it."""
    for name, x in held(node):
        change = last_change(x)
        if change is None or change.order < node.order:
            continue
        if was_resized(x, node.order) or is_needed(node, g, unwrap(x), create_graph):
            raise RuntimeError(
                f"backward: {name} was changed by {change.by} after {describe_op(node)} had used "
                "it; call backward() before that, or compute the loss again"
            )


def held(node: Tensor) -> list[tuple[str, Tensor | Array]]:
    """What the rule of an op may look at, and what that is called."""
    assert node.op is not None
    found = []
    for i, x in enumerate(node.inputs):
        name = input_name(node, i)
        if name == argument_name(node, i):
            made = x.op if isinstance(x, Tensor) else None
            name = f"the result of {made.name}" if made else f"input {name}"
        found.append((name, x))
    found += [(f"the result of {node.op.name}", node)]
    found += [(f"what {node.op.name} saved", x) for x in node.saved]
    for name, param in node.params.items():
        parts = param if isinstance(param, tuple | list) else [param]
        found += [(f"{name} of {node.op.name}", x) for x in parts]
    return [(name, x) for name, x in found if isinstance(x, Tensor | np.ndarray)]


def last_change(x: Tensor | Array) -> Change | None:
    """When the numbers were last seen to change: the array's own, or the tensor got another."""
    changes = [last_write(unwrap(x)), replacement(x) if isinstance(x, Tensor) else None]
    return max(filter(None, changes), default=None)


def was_resized(x: Tensor | Array, since: int) -> bool:
    """Whether a tensor has another shape than it had: its gradient cannot fit."""
    change = replacement(x) if isinstance(x, Tensor) else None
    return change is not None and change.resized > since


def is_needed(node: Tensor, g: Any, array: Array, create_graph: bool) -> bool:
    """Whether the op's rules give something else where this array holds other numbers.

    A rule that makes NaN of the present numbers counts too: max looks for the element that equals
    its result, and finds none in any array but the one that it was.
    """
    with watching(Watcher()), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            sent = contributions(node, g, create_graph)
            return any(np.isnan(unwrap(gx)).any() for _, gx in sent) or any(
                matters(node, g, array, other, create_graph) for other in others(array)
            )
        except Exception:  # numbers that the rule refuses are numbers that it looks at
            return True


def others(array: Array) -> list[Array]:
    """Arrays of other numbers: larger and smaller than any, equal ones, and in another order."""
    draws = np.random.default_rng(0).standard_normal(array.shape)
    if array.dtype.kind not in "fc":
        return [np.full_like(array, 0), np.full_like(array, 1), np.flip(array)]
    numbers = [np.full(array.shape, x) for x in (np.nan, np.inf, -np.inf, 0.0)]
    return [x.astype(array.dtype) for x in [*numbers, draws, -draws]]


def matters(node: Tensor, g: Any, array: Array, other: Array, create_graph: bool = False) -> bool:
    """Whether the op's rules give something else for the array than for the other one."""
    if array.shape != other.shape:
        return True
    tensors: dict[int, Tensor] = {}  # what is one tensor stays one

    def replaced(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return type(x)(map(replaced, x))
        if isinstance(x, Tensor):
            if x.order not in tensors:
                copy = tensors[x.order] = Tensor.wrap(replaced(unwrap(x)))
                copy.tracked = x.tracked
            return tensors[x.order]
        return other if x is array else x

    inputs, saved = replaced(node.inputs), replaced(node.saved)
    params = {name: replaced(x) for name, x in node.params.items()}
    then = Tensor.wrap(replaced(unwrap(node)), node.op, inputs, params, saved)
    sent = [dict(contributions(x, g, create_graph)) for x in (then, node)]
    return any(not same(unwrap(sent[0][i]), unwrap(sent[1][i])) for i in sent[0])


def same(a: Array, b: Array) -> bool:
    """Whether these are the same numbers, NaN too."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool((a == b).all()) or (a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True))
