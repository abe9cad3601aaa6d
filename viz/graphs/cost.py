"""What recorded ops cost: floating-point operations and bytes moved, forward and backward.

The convention, in the order in which it is asked:

* An op that has a definition in smaller ops (softmax, layer norm, attention …) takes the FLOPs of
  those, whatever shortcuts its own kernel finds.
* A matrix product takes 2 for each multiplication and the addition that goes with it: 2·M·N·K. An
  einsum of n arrays takes n for each combination of its letters' values, which for two is the same.
* An op that only moves elements takes none.
* Any other takes 1 for each element of the largest of its inputs and its result: an exponential
  counts like an addition.
* Bytes forward: the inputs that the op reads, and the result, with what it saves, that it writes.
  One that moves elements reads as many as it writes, and a view is free.
* Backward, an op without a hand-written joint rule costs what the ops that its derivative rules
  record cost forward, broadcasting undone. So a matrix product takes one more of the same size for
  each input that needs a gradient.
* Backward, a fused op takes the FLOPs of its definition's ops backward. It reads the incoming
  gradient, its inputs and what it saved, and writes a gradient for each input that needs one.

What carries no gradient is not counted: comparisons, and a row's maximum taken out of a softmax.
Nor are the additions where the contributions of several consumers meet. The cost of what cannot be
recorded, such as a user's rule that leaves the graph, is unknown, and the picture says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

import numpy as np

from minigrad.backward import contributions, expand, sum_to
from minigrad.mode import Watcher, recording, watching
from minigrad.tensor import Array, Tensor
from viz.graphs.nodes import Graph


@dataclass(frozen=True)
class Cost:
    """Floating-point operations, and bytes read and written; at least these if not `is_known`."""

    flops: int = 0
    bytes: int = 0
    is_known: bool = True

    def __add__(self, other: Cost) -> Cost:
        is_known = self.is_known and other.is_known
        return Cost(self.flops + other.flops, self.bytes + other.bytes, is_known)

    def __str__(self) -> str:
        parts = [in_units(self.flops, "FLOP"), in_units(self.bytes, "B")]
        told = " · ".join(part for part in parts if not part.startswith("0 "))
        if not self.is_known:
            return f"at least {told}" if told else "unknown"
        return told or "free"


@dataclass(frozen=True)
class Costs:
    """What one op, or several, cost in both directions."""

    forward: Cost = Cost()
    backward: Cost = Cost()

    def __add__(self, other: Costs) -> Costs:
        return Costs(self.forward + other.forward, self.backward + other.backward)

    @property
    def flops(self) -> int:
        """The floating-point operations of both directions."""
        return self.forward.flops + self.backward.flops

    @property
    def is_known(self) -> bool:
        """Whether both directions are known in full."""
        return self.forward.is_known and self.backward.is_known


class Meter:
    """Tells what ops cost; each op on inputs of the same shapes is worked out once.

    >>> x, w = Tensor(np.ones((5, 2))), Tensor(np.ones((2, 3)), requires_grad=True)
    >>> costs = Meter().costs(x @ w)
    >>> str(costs.forward), str(costs.backward)
    ('60 FLOP · 248 B', '60 FLOP · 248 B')
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, Cost] = {}

    def costs(self, step: Tensor) -> Costs:
        """What a recorded op costs in both directions."""
        return Costs(self.forward(step), self.backward(step))

    def forward(self, step: Tensor) -> Cost:
        """The cost of computing the result of a recorded op."""
        return self._once("forward", self._forward, step)

    def backward(self, step: Tensor) -> Cost:
        """The cost of sending a gradient on, from the result of a recorded op to its inputs."""
        return self._once("backward", self._backward, step)

    def _once(self, way: str, cost: Callable[[Tensor], Cost], step: Tensor) -> Cost:
        key = (way, *cost_key(step))
        if key not in self._known:
            try:
                self._known[key] = cost(step)
            except Exception:  # a user's rule, and there is nothing that it may not do
                self._known[key] = Cost(is_known=False)
        return self._known[key]

    def _forward(self, step: Tensor) -> Cost:
        assert step.op is not None
        arrays = arrays_in(step)
        read, written = size_in_bytes(arrays), size_in_bytes([step.data, *step.saved])
        if step.op.family == "shape":
            is_view = any(np.may_share_memory(step.data, x) for x in arrays)
            return Cost(0, 0 if is_view else min(read, written) + written)
        if step.op.definition is not None:
            parts = record_definition(step)
            return Cost(sum(self.forward(part).flops for part in parts), read + written)
        return Cost(flops(step), read + written)

    def _backward(self, step: Tensor) -> Cost:
        assert step.op is not None
        if step.op.joint is None:
            return sum(map(self.forward, record_rules(step)), Cost())
        read = size_in_bytes([step.data, *arrays_in(step), *step.saved])  # g is as large as y
        tensors = (x for x in step.inputs if isinstance(x, Tensor))
        written = size_in_bytes(x.data for x in tensors if x.tracked)
        parts = record_definition(step)
        return Cost(sum(self.backward(part).flops for part in parts), read + written)


def flops(step: Tensor) -> int:
    """The floating-point operations of an op without a definition; of another, about as many."""
    assert step.op is not None
    if step.op.family == "shape":
        return 0
    if step.op.name == "einsum":
        terms = step.params["subscripts"].partition("->")[0].split(",")
        lengths: dict[str, int] = {}
        for term, x in zip(terms, step.inputs, strict=True):
            lengths |= zip(term, np.shape(x), strict=True)
        return len(terms) * prod(lengths.values())
    if step.op.family == "matmul":
        return 2 * step.size * int(np.shape(step.inputs[0])[-1])
    return max(step.size, *map(np.size, step.inputs))


def arrays_in(step: Tensor) -> list[Array]:
    """The arrays among an op's inputs and params."""
    found = [x.data if isinstance(x, Tensor) else x for x in (*step.inputs, *step.params.values())]
    return [x for x in found if isinstance(x, np.ndarray)]


def size_in_bytes(arrays: Iterable[Array]) -> int:
    """How many bytes these arrays take together."""
    return sum(x.nbytes for x in arrays)


def record_definition(step: Tensor) -> list[Tensor]:
    """The smaller ops by which a fused op is defined."""
    return record(lambda: expand(step))


def record_rules(step: Tensor) -> list[Tensor]:
    """The ops that an op's derivative rules record, and those that then undo broadcasting.

    TypeError for a rule that has left the graph.
    """
    g = Tensor.wrap(np.ones_like(step.data)).requires_grad_()

    def send() -> None:
        for i, gx in contributions(step, g, create_graph=True):
            if not isinstance(gx, Tensor):
                raise TypeError(f"the rule by input {i} gives an array: it is not recorded")
            shape = step.inputs[i].shape
            if gx.shape != shape:
                sum_to(gx, shape)

    return record(send)


class Listener(Watcher):
    """Collects what is recorded."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def recorded(self, result: Tensor) -> None:
        self.steps.append(result)


def record(compute: Callable[[], Any]) -> list[Tensor]:
    """The ops that a computation records, whatever numbers come out of it."""
    listener = Listener()
    with recording(True), watching(listener), np.errstate(all="ignore"):
        compute()
    return listener.steps


def cost_key(step: Tensor) -> tuple[Hashable, ...]:
    """What the cost of an op depends on."""
    assert step.op is not None
    params = [(name, identify(x)) for name, x in step.params.items()]
    return (step.op.name, step.shape, *map(identify, step.inputs), *params)


def identify(x: Any) -> Hashable:
    """An array but for its numbers; anything else as a whole."""
    if isinstance(x, Tensor):
        return x.tracked, identify(x.data)
    return (x.shape, x.strides, x.dtype.str) if isinstance(x, np.ndarray) else repr(x)


def with_costs(graph: Graph, steps: Iterable[Tensor]) -> Graph:
    """The graph with what each node costs, as words and as heat, and the total in its note.

    `steps` are the tensors that the nodes stand for, and those of nodes left out. The heat is 1 for
    the node with the most FLOPs in both directions, and for another the square root of its share of
    that: so small ones can be told apart too. A node whose cost is not known in full has none; that
    of an op that has been freed is unknown.
    """
    meter = Meter()
    known = {x.order: meter.costs(x) for x in steps if x.op is not None and x.inputs}
    if not known:
        return graph
    sums: dict[str, Costs] = {}
    for node in graph.nodes:
        if own := [known[order] for order in node.tensors if order in known]:
            sums[node.id] = sum(own, Costs())
    most = max((costs.flops for costs in sums.values()), default=0) or 1
    nodes = [
        replace(
            node,
            cost=cost_words(sums[node.id], f" for all {node.times}" if node.times > 1 else ""),
            heat=sqrt(sums[node.id].flops / most) if sums[node.id].is_known else None,
        )
        if node.id in sums
        else node
        for node in graph.nodes
    ]
    total = ", ".join(cost_words(sum(known.values(), Costs())))
    told = f"in all: {total}; the darker a head, the more FLOPs"
    return replace(graph, nodes=tuple(nodes), note="; ".join(filter(None, [graph.note, told])))


def cost_words(costs: Costs, of: str = "") -> tuple[str, str]:
    """Costs as a card says them."""
    return f"forward {costs.forward}{of}", f"backward {costs.backward}{of}"


def in_units(n: int, unit: str) -> str:
    """A number of units in three digits: 84,000 of "B" as "84 kB"."""
    size, prefix = 1, ""
    for prefix_size, name in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        if n >= 0.9995 * prefix_size:  # which three digits round up to it
            size, prefix = prefix_size, name
    return f"{n / size:.3g} {prefix}{unit}"
