"""Elements: ops on tensors as ops on the single numbers that the tensors consist of.

Run on an array of Values in place of floats, an op's own forward records its scalar graph: every
multiplication and addition. Where NumPy has no such function for Values, or the op compares
numbers, each element of its result is one Value, whose slopes come from the op's derivative rules.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.op import Op
from minigrad.ops.reduce import spread
from minigrad.scalar import Value
from minigrad.tensor import Array, Tensor
from viz.graphs.look import Element
from viz.graphs.trace import Trace

CHOOSING = {"clip", "leaky_relu", "max", "maximum", "min", "minimum", "relu"}
"""Ops that compare numbers: only their rules say what happens at a kink, or where two are equal."""


@dataclass(frozen=True)
class Elements:
    """The elements of tensors as Values, in arrays of dtype object, by the order of each tensor.

    `tensors` are the tensors themselves. `users` has the ops that use one that is not computed
    here, by its order. `steps` are the ops followed, and `starts` the place of the first Value of
    each.
    """

    trace: Trace
    arrays: dict[int, Array] = field(default_factory=dict)
    tensors: dict[int, Tensor] = field(default_factory=dict)
    users: dict[int, list[Tensor]] = field(default_factory=dict)
    steps: list[Tensor] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def follow(self, step: Tensor) -> None:
        """Let an op run on the elements of its inputs."""
        self.steps.append(step)
        self.starts.append(Value(0.0)._place)
        self._enter(step, self._compute(step, step))

    def _enter(self, x: Tensor, array: Array) -> None:
        self.arrays[x.order], self.tensors[x.order] = array, x

    def _compute(self, step: Tensor, user: Tensor) -> Array:
        """The result of an op on the elements of its inputs."""
        assert step.op is not None
        inputs = self.trace.inputs(step)
        elements = [self._elements(x, user) if isinstance(x, Tensor) else x for x in inputs]
        return apply_op(step.op, elements, step.params)

    def _elements(self, x: Tensor, user: Tensor) -> Any:
        """The elements of a tensor as Values; integers and nameless numbers stay what they are."""
        if x.order in self.trace.numbers or x.dtype.kind != "f":
            return x.data
        if x.order not in self.arrays and x.order in self.trace.transposes:
            self._enter(x, self._compute(x, user))
        elif x.order not in self.arrays:
            self.users[x.order] = []
            self._enter(x, as_values(x.data))
        if x.order in self.users:
            self.users[x.order].append(user)
        return self.arrays[x.order]

    @cached_property
    def origin(self) -> dict[Value, tuple[Tensor, Element]]:
        """The tensor that each Value is an element of, the first one if of several, and where."""
        found: dict[Value, tuple[Tensor, Element]] = {}
        for order, array in self.arrays.items():
            for index, value in np.ndenumerate(array):
                found.setdefault(value, (self.tensors[order], index))
        return found

    def step_of(self, value: Value) -> Tensor:
        """The op that computed a Value, or used it first."""
        return self.steps[bisect_right(self.starts, value._place) - 1]

    def is_word(self, value: Value) -> bool:
        """Whether this is a constant that an operation says with itself, as the 2 in "× 2"."""
        return not value.inputs and value not in self.origin


def as_values(x: Any) -> Array:
    """The numbers of an array as Values, dtype object; what is a Value already stays itself."""
    numbers = np.asarray(x, dtype=object)
    array = np.empty(numbers.shape, dtype=object)
    for index, number in np.ndenumerate(numbers):
        array[index] = number if isinstance(number, Value) else Value(number)
    return array


def apply_op(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> Array:
    """The result of an op on arrays of Values, an array of Values."""
    ruled = op.is_elementwise or op.family == "reduce"
    if op.name not in CHOOSING and op.joint is None:
        try:
            result = np.asarray(op.forward(*inputs, **params))
        except (AttributeError, TypeError, ValueError, ArithmeticError):
            pass  # functions that Values have not, and numbers for which NumPy says inf or nan
        else:
            if is_values(result) and not (ruled and all_plain(result)):
                return as_values(result)
    if not ruled:
        raise ValueError(f"graph: {op.name} cannot be followed number by number here")
    return by_rules(op, inputs, params)


def by_rules(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> Array:
    """One Value for each element of the result, its slopes those of the op's own rules.

    An element of an input goes into one element of the result, or in broadcasting into several,
    so that with g = 1 a rule gives the slopes themselves.
    """
    arrays = [x.astype(float) if is_values(x) else x for x in inputs]
    sources: dict[int, list[tuple[Value, float]]] = {}
    with np.errstate(all="ignore"):
        y = np.asarray(op.forward(*arrays, **params), dtype=float)
        places = np.arange(y.size).reshape(y.shape)
        for x, rule in zip(inputs, op.rules, strict=True):
            if rule is None or not is_values(x):
                continue
            slopes = rule(np.ones_like(y), y, *arrays, **params)
            if op.family == "reduce":
                at = spread(places, x, params.get("axis"), params.get("keepdims", False))
            else:
                at = places
            told = np.broadcast_arrays(at, x, slopes)
            for place, source, slope in zip(*(z.flat for z in told), strict=True):
                sources.setdefault(place, []).append((source, float(slope)))
    values = [Value(number, op.name, *sources.get(i, ())) for i, number in enumerate(y.flat)]
    return as_values(np.array(values, dtype=object).reshape(y.shape))


def all_plain(array: Array) -> bool:
    """Whether a function has turned all Values into plain numbers, and so lost the graph."""
    return not any(isinstance(x, Value) for x in array.flat)


def is_values(x: Any) -> bool:
    """Whether this is an array of Values."""
    return isinstance(x, np.ndarray) and x.dtype == object
