"""Scalars: ops on tensors as ops on the single numbers that the tensors consist of.

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

from minigrad.backward import contributions, sum_to
from minigrad.formula import BY_SIGN
from minigrad.op import Op
from minigrad.ops.reduce import spread
from minigrad.scalar import Value
from minigrad.tensor import TABLE, Array, Tensor
from viz.graphs.ancestry import ancestors, is_freed, values_in
from viz.graphs.definition import Definition
from viz.graphs.look import TooManyScalarsError, check_scalars
from viz.graphs.nodes import Node, Path, Table
from viz.graphs.trace import Trace, common_path
from viz.graphs.words import display_name, number_text, operands_text, operation_text

Index = tuple[int, ...]

CHOOSING = {"clip", "leaky_relu", "max", "maximum", "min", "minimum", "relu"}
"""Ops that compare numbers: only their rules say what happens at a kink, or where two are equal."""


def check_element(element: Index, shape: tuple[int, ...]) -> None:
    """ValueError if an array of this shape has no such element."""
    inside = (-size <= i < size for i, size in zip(element, shape, strict=False))
    if len(element) != len(shape) or not all(inside):
        raise ValueError(f"graph: a result of shape {shape} has no element {list(element)}")


@dataclass(frozen=True)
class Elements:
    """The elements of tensors as Values, in arrays of dtype object, by the order of each tensor.

    `tensors` are the tensors themselves. `users` has the ops that use one that is not computed
    here, by its order. `starts` has, for each op followed, the place from which on its Values are.
    """

    trace: Trace
    arrays: dict[int, Array] = field(default_factory=dict)
    tensors: dict[int, Tensor] = field(default_factory=dict)
    users: dict[int, list[Tensor]] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)

    def follow(self, step: Tensor) -> None:
        """Let an op run on the elements of its inputs."""
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
    def origin(self) -> dict[Value, tuple[Tensor, Index]]:
        """The tensor that each Value is an element of, the first one if of several, and where."""
        found: dict[Value, tuple[Tensor, Index]] = {}
        for order, array in self.arrays.items():
            for index, value in np.ndenumerate(array):
                found.setdefault(value, (self.tensors[order], index))
        return found

    def is_word(self, value: Value) -> bool:
        """Whether this is a constant that an operation says with itself, as the 2 in "× 2"."""
        return not value.inputs and value not in self.origin


def follow_scalars(trace: Trace, element: Index | None, limit: int) -> Scalars:
    """The scalar graph of those ops of a trace that are to be drawn number by number.

    element: the index of the one element of their results that the graph is of; without it the
    graph is of all. ValueError for an element that is not there, and for an op that Values cannot
    follow; TooManyScalarsError for more than `limit`.
    """
    steps = [step for step in trace.drawn if trace.opening.is_scalar(step)]
    check_scalars(steps)
    elements = Elements(trace)
    for step in steps:
        elements.follow(step)

    inside = elements.arrays.keys() - elements.users.keys()
    outside = [user for user in trace.steps if user.order not in inside]
    used = {x.order for user in outside for x in trace.tensors_into(user)}
    ends = [x for x in steps if x.order in used | trace.roots]
    results: list[Value] = []
    for end in ends:
        array = elements.arrays[end.order]
        if element is not None:
            check_element(element, end.shape)
        results += array.flat if element is None else [array[element]]
    shown: dict[int, list[Value]] = {step.order: [] for step in steps}
    for value in ancestors(results, values_in):
        if not elements.is_word(value):
            shown[steps[bisect_right(elements.starts, value._place) - 1].order].append(value)
    if (number := sum(map(len, shown.values()))) > limit:
        raise TooManyScalarsError(f"{number:,} scalars are too many (more than {limit:,})")
    return Scalars(trace, element, steps, elements, outside, ends, results, shown)


@dataclass(frozen=True)
class Scalars:
    """The scalar graph of the ops `steps`, and of `element`, or of all elements of their results.

    `outside` are the other ops. `ends` are those of `steps` that the rest of the computation uses,
    or the user asked for, and `results` their elements. `shown` has the Values that each op
    computed, and those that it used first, by its order, oldest first.
    """

    trace: Trace
    element: Index | None
    steps: Sequence[Tensor]
    elements: Elements
    outside: Sequence[Tensor]
    ends: Sequence[Tensor]
    results: Sequence[Value]
    shown: Mapping[int, Sequence[Value]]
    _paths: dict[int, Path] = field(default_factory=dict)  # of the boxes, as they are needed

    @cached_property
    def leaves(self) -> set[int]:
        """The tensors, by order, that no op made."""
        return {order for order in self.elements.users if self.elements.tensors[order].op is None}

    def step_of(self, value: Value) -> Tensor:
        """The op that computed a Value, or used it first."""
        return self.steps[bisect_right(self.elements.starts, value._place) - 1]

    def backward(self) -> None:
        """Give each Value its gradient: that of one element, or the one that its tensor has.

        It starts from what the ops outside send here by their rules.
        """
        known = self.trace.gradients.known
        seeds: list[tuple[Value, float]] = []
        if self.element is not None:
            seeds = [(value, 1.0) for value in self.results]
        else:
            for step in self.steps:
                if step.order in self.trace.roots and step.order in known:
                    seeds += self._seeds(step, known[step.order])
            for user in self.outside:
                if user.order in known and not is_freed(user):
                    with np.errstate(all="ignore"):
                        sent = contributions(user, known[user.order], create_graph=False)
                    for i, gx in sent:
                        x = user.inputs[i]
                        seeds += self._seeds(self.trace.result(x), sum_to(gx, x.shape))
        Value(0.0, "", *seeds).backward()

    def _seeds(self, x: Tensor, g: Array) -> list[tuple[Value, float]]:
        if x.order not in self.elements.arrays:
            return []
        return list(zip(self.elements.arrays[x.order].flat, g.ravel().tolist(), strict=True))

    def grad(self, value: Value) -> float | None:
        """The gradient to show; None where the tensors have none yet.

        A leaf shows all that it has received, from elsewhere too.
        """
        tensor, index = self.elements.origin.get(value, (None, ()))
        is_leaf = tensor is not None and tensor.order in self.leaves
        if self.element is not None or (self.complete and not is_leaf):
            return value.grad
        g = None if tensor is None else self.trace.gradients.known.get(tensor.order)
        return None if g is None else float(g[index])

    @cached_property
    def complete(self) -> bool:
        """Whether all the gradients that `backward` starts from are known."""
        near = [
            user
            for user in self.outside
            if any(x.order in self.elements.arrays for x in self.trace.tensors_into(user))
        ]
        return all(step.order in self.trace.gradients.known for step in [*self.steps, *near])

    def standing_for(self, order: int) -> list[Value | int]:
        """The Values drawn in place of a tensor, or the order itself of any other tensor."""
        if order not in self.shown:
            return [order]
        return [
            value
            for value in dict.fromkeys(self.elements.arrays[order].flat)
            if value in self._drawn
        ]

    @cached_property
    def _drawn(self) -> set[Value]:
        return {value for values in self.shown.values() for value in values}

    def rows(self) -> list[list[Value]]:
        """The Values of each op that works element by element: they are to stand side by side."""
        found = []
        for step in self.steps:
            by_element = step.op is not None and step.op.family in ("elementwise", "activation")
            row = [x for x in self.shown[step.order] if by_element and self._is_result(x, step)]
            found += [row] if len(row) > 1 else []
        return found

    def _is_result(self, value: Value, step: Tensor) -> bool:
        return bool(value.inputs) and self.elements.origin.get(value, (None, ()))[0] is step

    def notes(self) -> list[str]:
        """What to say of the graph as a whole: which element it is of, if it is of one."""
        if self.element is None:
            return []
        wholes = " and ".join(self._whole(end) + index_suffix(self.element) for end in self.ends)
        return [f"the scalars and their gradients are those of {wholes}"]

    def _whole(self, end: Tensor) -> str:
        """What a result is the result of: the largest of what is opened, or an op by itself."""
        scope, op = end.scope, end.op
        while scope is not None and isinstance(scope.module, Definition):
            if self.trace.opening.is_inside(scope) or self.trace.look.everywhere:
                op = scope.module.op
            scope = scope.parent
        assert op is not None
        return end.name or display_name(op)

    def card(self, value: Value, grads: bool) -> tuple[Node, list[Value | int]]:
        """The node of a Value, and what flows into it: Values, or the tensor that it is part of."""
        tensor, index = self.elements.origin.get(value, (self.step_of(value), None))
        number: Table = ((number_text(value.data),),)
        grad: Table | None = None
        if grads and tensor.requires_grad:
            told = self.grad(value)
            grad = () if told is None else ((number_text(told),),)
        if tensor.order in self.elements.users:
            family = "parameter" if tensor.op is None and tensor.requires_grad else "input"
            name = self._name(tensor) + index_suffix(index)
            path = self._path_of_entry(tensor)
            return Node(name, "card", family, path=path, value=number, grad=grad), [tensor.order]
        path = self._path(self.step_of(value))
        if not value.inputs:
            return Node(number_text(value.data), "pill", "input", path=path), []
        family = "activation" if value._op in ("relu", "tanh") else "elementwise"
        if tensor.order in self.trace.roots and tensor.shape == () and index is not None:
            family = "loss"
        node = Node(
            self._words(value), "card", family, index_suffix(index), path, value=number, grad=grad
        )
        return node, [x for x, _ in value.inputs if not self.elements.is_word(x)]

    def _words(self, value: Value) -> str:
        """The operation, with the constant that it takes."""
        texts = [number_text(x.data) if self.elements.is_word(x) else None for x, _ in value.inputs]
        texts[1:] = [f"({text})" if text and text[0] == "−" else text for text in texts[1:]]
        row = BY_SIGN.get(value._op)
        said = operands_text(TABLE[row], texts) if row and len(texts) == 2 else ""
        return said or operation_text(value._op)

    def _name(self, x: Tensor) -> str:
        """What a tensor is called whose elements are used here."""
        scope, naming = self.elements.users[x.order][0].scope, self.trace.naming
        own = naming.given.get(id(x)) or x.name or naming.member_name(x, scope)
        made = display_name(x.op) if x.op is not None else "input"
        return own or naming.used_name(x, scope) or made

    def _path_of_entry(self, x: Tensor) -> Path:
        if x.op is None:
            return self.trace.path(x)
        return common_path([self.trace.path(user) for user in self.elements.users[x.order]])

    def _path(self, step: Tensor) -> Path:
        """The path of the box around the Values of one op."""
        assert step.op is not None
        if step.order not in self._paths:
            name = step.name or display_name(step.op)
            self._paths[step.order] = self.trace.naming.next_path(self.trace.path(step), name)
        return self._paths[step.order]


def index_suffix(index: Index | None) -> str:
    """An index as it stands behind a name; nothing for the only element of a scalar."""
    return f"[{','.join(map(str, index))}]" if index else ""


def as_values(x: Any) -> Array:
    """The numbers of an array as Values, dtype object; what is a Value already stays itself."""
    numbers = np.asarray(x, dtype=object)
    array = np.empty(numbers.shape, dtype=object)
    for index, number in np.ndenumerate(numbers):
        array[index] = number if isinstance(number, Value) else Value(number)
    return array


def apply_op(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> Array:
    """The result of an op on arrays of Values, an array of Values."""
    ruled = op.family in ("elementwise", "activation", "reduce")
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
