"""Cards: a recorded op, or a whole module call, as a node with its words and numbers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

import numpy as np

from minigrad.op import Op
from minigrad.tensor import Tensor
from viz.graphs.ancestry import is_freed
from viz.graphs.definition import Definition, maker_of
from viz.graphs.nodes import Node, Path, Row, Table
from viz.graphs.trace import Trace
from viz.graphs.words import (
    comparable,
    count_of,
    display_name,
    index_text,
    number_text,
    operands_text,
    param_text,
    table_of,
)

MOST_ROWS = 8  # parameters that a module's card lists
UNKNOWN = "constant"  # the name of an array that nothing names
UNSAID = {"keepdims", "shape"}  # params that the shapes show
PILLS = {
    "broadcast_to", "expand_dims", "ravel", "reshape", "squeeze", "swapaxes", "transpose",
}  # fmt: skip


class Cards:
    """What the nodes say."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.naming, self.look = trace, trace.naming, trace.look

    def node(self, tensor: Tensor) -> tuple[Node, list[int]]:
        """The node of an op or of a leaf, and the tensors that flow into it."""
        if tensor.op is None:
            family = "parameter" if tensor.requires_grad else "input"
            node = Node(self.trace.leaf_name(tensor) or "input", "card", family)
        else:
            node = self._op_node(tensor, tensor.op)
        node = replace(self._with_result(node, tensor), path=self.trace.path(tensor))
        return node, [x.order for x in self.trace.sources(tensor)]

    def call(self, unit: Sequence[Tensor], path: Path) -> tuple[Node, list[int]]:
        """The one node of a whole module call, and the tensors that flow into it."""
        steps = [(tensor, tensor.op) for tensor in unit if tensor.op is not None]
        constants: dict[tuple[str, tuple[int, ...]], Row] = {}
        parameters: dict[int, Row] = {}
        for step, op in steps:
            for row in self._rows(step, op):
                if row.family == "constant" and row.name != UNKNOWN:
                    constants[row.name, row.shape] = replace(row, value=None)
            for x in map(self.trace.untransposed, self.trace.inputs(step)):
                is_leaf = isinstance(x, Tensor) and x.op is None
                if is_leaf and self.naming.member_name(x, step.scope):
                    parameters[x.order] = self._parameter(x, path)

        size = count_of(self.trace.count_ops(unit), "op")
        if parameters:
            size += " · " + count_of(sum(prod(x.shape) for x in parameters.values()), "param")
        listed = list(parameters.values()) if self.look.parameters else []
        more = len(listed) - MOST_ROWS
        kind = self.naming.kind_of(self.naming.scopes[path])
        node = Node(
            path[-1],
            "card",
            family_of_call({op.family for _, op in steps}),
            "" if comparable(kind) == comparable(path[-1]) else kind,
            path[:-1],
            (*listed[:MOST_ROWS], *constants.values()),
            size,
            notice=f"… {count_of(more, 'more parameter')}" if more > 0 else "",
        )
        inside = {tensor.order for tensor in unit}
        flowing = [x.order for step, _ in steps for x in self.trace.sources(step)]
        return self._with_result(node, steps[-1][0]), [x for x in flowing if x not in inside]

    def _parameter(self, x: Tensor, path: Path) -> Row:
        """The row of a parameter in the card of the call at `path`, named as that module does."""
        name = self.naming.member_name(x, self.naming.scopes[path]) or "parameter"
        return Row(name, x.shape, "parameter", self._value(x.data), self._grad(x))

    def _with_result(self, node: Node, result: Tensor) -> Node:
        """The node with the shape of its result and, if asked for, the numbers."""
        return replace(
            node,
            shape=result.shape,
            dtype=result.dtype.name,
            value=self._value(result.data),
            grad=self._grad(result),
        )

    def _value(self, array: Any) -> Table | None:
        return table_of(np.asarray(array)) if self.look.values else None

    def _grad(self, x: Tensor) -> Table | None:
        if not self.look.grads or not x.requires_grad:
            return None
        g = self.trace.gradients.known.get(x.order)
        return () if g is None else table_of(g)

    def _op_node(self, step: Tensor, op: Op) -> Node:
        asked = self.look.values or self.look.grads
        if op.name == "dropout_mask":  # which elements it dropped this time does not matter
            dropped = number_text(1 - 1 / step.params.get("scale", 1.0))
            return Node("dropout", "card" if asked else "pill", op.family, f"p={dropped}")
        rows = self._rows(step, op)
        kind, family = "card", op.family
        if op.name in PILLS and not rows and not asked:
            kind = "pill"
        elif op.name == "add" and not asked:
            shapes = [x.shape for x in self.trace.sources(step)]
            kind = "sum" if len(shapes) == 2 and shapes[0] == shapes[1] else "card"
        if step.order in self.trace.roots and step.shape == ():
            family = "loss"
        elif family == "shape" and any(row.family == "parameter" for row in rows):
            family = "parameter"  # a selection from a table of parameters
        detail = "" if op.name in PILLS else self._detail(step, op)
        notice = "freed by backward()" if is_freed(step) else ""
        name = self.naming.own_name(step) if self.trace.is_part else step.name
        return Node(name or display_name(op), kind, family, detail, rows=rows, notice=notice)

    def _rows(self, step: Tensor, op: Op) -> tuple[Row, ...]:
        """The parameters and the constant arrays of an op."""
        if op.name == "dropout_mask":
            return ()
        rows = []
        inputs = self.trace.inputs(step)
        said = [UNKNOWN] * len(inputs) if op.is_variadic else op.input_names
        arrays = [(name, x) for name, x in step.params.items() if isinstance(x, np.ndarray)]
        for name, x in zip(said, inputs, strict=False):  # a freed op has no inputs
            if isinstance(x, Tensor):
                leaf = self.trace.untransposed(x)
                if leaf.order in self.trace.parameters:
                    name = self.naming.used_name(leaf, step.scope) or "parameter"
                    name += "ᵀ" if leaf is not x else ""
                    value, grad = self._value(leaf.data), self._grad(leaf)
                    rows.append(Row(name, x.shape, "parameter", value, grad))
            elif np.size(x) != 1:  # a name of one letter is a formula's, and says nothing
                arrays.append((name if len(name) > 1 else UNKNOWN, x))
        for name, x in arrays:
            name = self.naming.used_name(x, step.scope) or name
            rows.append(Row(name, np.shape(x), "constant", self._value(x)))
        return tuple(rows)

    def _detail(self, step: Tensor, op: Op) -> str:
        """What else to say of an op: constant operands, and params unlike the usual ones."""
        if op.name == "getitem":
            return f"[{index_text(step.params['index'])}]"
        words = [
            self._product(step) if op.name == "matmul" else "",
            operands_text(op, [self._number(x) for x in self.trace.inputs(step)]),
        ]
        usual = defaults_of(op)
        for name, x in step.params.items():
            if name not in UNSAID and not isinstance(x, np.ndarray) and x != usual.get(name):
                words.append(f"{name}={param_text(x)}")
        return " ".join(filter(None, words))

    def _number(self, x: Any) -> str | None:
        """A constant input of one element as text."""
        if isinstance(x, Tensor):
            return number_text(x.item()) if x.order in self.trace.numbers else None
        return number_text(np.asarray(x).item()) if x is not None and np.size(x) == 1 else None

    def _product(self, step: Tensor) -> str:
        """The factors of a matrix product, in a definition or where one has been transposed."""
        expanded = step.scope is not None and isinstance(step.scope.module, Definition)
        factors, told = [], expanded
        for name, x in zip("ab", self.trace.inputs(step), strict=False):
            factor = self.trace.untransposed(x)
            if expanded:
                op = maker_of(factor, step.scope) if isinstance(factor, Tensor) else None
                made = display_name(op) if op is not None else name
                name = self.naming.used_name(factor, step.scope) or made
            if factor is not x:
                name += "ᵀ"
                told = told or factor.order not in self.trace.parameters
            factors.append(name)
        return " · ".join(factors) if told else ""


def family_of_call(families: set[str]) -> str:
    """The family that a module is about, or "module" for one that is about several things."""
    if {"norm", "activation"} <= families - {"loss"}:
        return "module"
    telling = ("loss", "activation", "matmul", "norm")
    return next((family for family in telling if family in families), "module")


@cache
def defaults_of(op: Op) -> dict[str, Any]:
    """The default values of an op's params."""
    rule = op.definition or next(rule for rule in op.rules if rule)
    return {p.name: p.default for p in inspect.signature(rule).parameters.values()}
