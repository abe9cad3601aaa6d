"""Scalars: the ops that are drawn number by number, and the gradients of these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from minigrad.backward import contributions, sum_to
from minigrad.formula import BY_SIGN
from minigrad.scalar import Value
from minigrad.table import TABLE
from minigrad.tensor import Array, Tensor
from viz.graphs.ancestry import ancestors, is_freed, values_in
from viz.graphs.definition import Definition
from viz.graphs.elements import Elements
from viz.graphs.look import Element, TooManyScalarsError, check_scalars
from viz.graphs.nodes import Node, Path, Table
from viz.graphs.trace import Trace, common_path
from viz.graphs.words import display_name, number_text, operands_text, operation_text


def check_element(element: Element, shape: tuple[int, ...]) -> None:
    """ValueError if an array of this shape has no such element."""
    inside = (-size <= i < size for i, size in zip(element, shape, strict=False))
    if len(element) != len(shape) or not all(inside):
        raise ValueError(f"graph: a result of shape {shape} has no element {list(element)}")


def follow_scalars(trace: Trace, element: Element | None, limit: int) -> Scalars:
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
            shown[elements.step_of(value).order].append(value)
    if (number := sum(map(len, shown.values()))) > limit:
        raise TooManyScalarsError(f"{number:,} scalars are too many (more than {limit:,})")
    return Scalars(trace, element, elements, outside, ends, results, shown)


@dataclass(frozen=True)
class Scalars:
    """The scalar graph of the ops in `elements`, and of `element`, or of all that they compute.

    `outside` are the other ops. `ends` are those of the ops in `elements` that the rest of the
    computation uses, or the user asked for, and `results` their elements. `shown` has the Values
    that each op computed, and those that it used first, by its order, oldest first.
    """

    trace: Trace
    element: Element | None
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

    def backward(self) -> None:
        """Give each Value its gradient: that of one element, or the one that its tensor has.

        It starts from what the ops outside send here by their rules.
        """
        known = self.trace.gradients.known
        seeds: list[tuple[Value, float]] = []
        if self.element is not None:
            seeds = [(value, 1.0) for value in self.results]
        else:
            for step in self.elements.steps:
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
        return all(
            step.order in self.trace.gradients.known for step in [*self.elements.steps, *near]
        )

    def nodes_for(self, order: int) -> list[Value | int]:
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
        for step in self.elements.steps:
            by_element = step.op is not None and step.op.is_elementwise
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

    def card(self, value: Value) -> tuple[Node, list[Value | int]]:
        """The node of a Value, and what flows into it: Values, or the tensor that it is part of."""
        tensor, index = self.elements.origin.get(value, (self.elements.step_of(value), None))
        number: Table = ((number_text(value.data),),)
        grad: Table | None = None
        if self.trace.look.grads and tensor.requires_grad:
            told = self.grad(value)
            grad = () if told is None else ((number_text(told),),)
        if tensor.order in self.elements.users:
            family = "parameter" if tensor.op is None and tensor.requires_grad else "input"
            name = self._name(tensor) + index_suffix(index)
            path = self._path_of_entry(tensor)
            return Node(name, "card", family, path=path, value=number, grad=grad), [tensor.order]
        path = self._path(self.elements.step_of(value))
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
        own = naming.own_name(x) or naming.member_name(x, scope)
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


def index_suffix(index: Element | None) -> str:
    """An index as it stands behind a name; nothing for the only element of a scalar."""
    return f"[{','.join(map(str, index))}]" if index else ""
