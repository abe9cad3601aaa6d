"""Ancestry: what recorded results were computed from, and what there is to know of each op."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from minigrad.mode import Scope, Watcher, outward, watching
from minigrad.scalar import Value
from minigrad.tensor import Tensor

Item = TypeVar("Item", Tensor, Value)


def ancestors(
    results: Iterable[Item], inputs: Callable[[Item], Iterable[Item]], stop: Iterable[Item] = ()
) -> list[Item]:
    """The results and all that they were computed from, up to `stop` (left out), oldest first."""
    seen = {id(x) for x in stop}
    waiting = list(results)
    found = []
    while waiting:
        x = waiting.pop()
        if id(x) not in seen:
            seen.add(id(x))
            found.append(x)
            waiting += inputs(x)
    return sorted(found, key=order_of)


def order_of(x: Tensor | Value) -> int:
    """When it was computed: a running number."""
    return x.order if isinstance(x, Tensor) else x._place


def tensors_in(step: Tensor) -> list[Tensor]:
    """The inputs of an op that are Tensors."""
    return [x for x in step.inputs if isinstance(x, Tensor)]


def values_in(value: Value) -> list[Value]:
    """The Values that a Value was computed from."""
    return [x for x, _ in value.inputs]


def common_scope(steps: Iterable[Tensor]) -> Scope | None:
    """The innermost module call that is around all of these ops."""
    chains = [[*outward(step.scope)][::-1] for step in steps]
    innermost = None
    for together in zip(*chains, strict=False):
        if any(scope is not together[0] for scope in together):
            break
        innermost = together[0]
    return innermost


def is_freed(tensor: Tensor) -> bool:
    """Whether a backward pass has let go of the op's inputs."""
    return tensor.op is not None and not tensor.inputs


def is_transposed(tensor: Tensor) -> bool:
    """Whether an op made this tensor by exchanging the last two axes."""
    if tensor.op is None or is_freed(tensor) or tensor.ndim < 2:
        return False
    if tensor.op.name == "swapaxes":
        axes = tensor.params.get("axis1", 0), tensor.params.get("axis2", 1)
        return {axis % tensor.ndim for axis in axes} == {tensor.ndim - 1, tensor.ndim - 2}
    return tensor.op.name == "transpose" and tensor.ndim == 2 and tensor.params.get("axes") is None


@contextmanager
def unnoticed() -> Iterator[None]:
    """A block whose computations are no part of the user's: nobody watches, NumPy warns of none."""
    with watching(Watcher()), np.errstate(all="ignore"):
        yield
