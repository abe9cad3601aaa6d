"""What a page says of one step of a computation: how its result is computed, and its rules."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from minigrad.formula import BY_SIGN, Expr, Name, Part, equation
from minigrad.scalar import Value
from minigrad.tensor import Tensor
from viz.formula.mathml import mathml
from viz.formula.rules import definition_lines, rules_at
from viz.graphs.steps import Item


def formulas_of(item: Item) -> dict[str, Any]:
    """How an item, which an op made, is computed, as MathML, and its rules, one for each input."""
    names = [x.name for x in item.operands]
    if isinstance(item.origin, Value):
        computed = mathml(equation(Name("y"), operation(item.origin)))
        return {"computed": computed, "rules": [slope_rule()] * len(names)}
    rules = [rule._asdict() for rule in rules_at(item.origin)]
    return {"computed": mathml(*value_of(item.origin, names)), "rules": rules}


def value_of(node: Tensor, names: Sequence[str]) -> Sequence[Part]:
    """Equations of which the last is "y = …": the definition of an op that has one, or the op
    applied to inputs of these names."""
    assert node.op is not None
    if node.op.definition is None:
        return [equation(Name("y"), apply(node.op.name, names))]
    *before, last = definition_lines(node.op, node)
    result = last.args[-1] if isinstance(last, Expr) and last.head == "=" else last
    return [*before, equation(Name("y"), result)]


def apply(op: str, names: Sequence[str]) -> Expr:
    """An op applied to inputs of these names."""
    inputs = [*names, "index"] if op == "getitem" else names
    return Expr(op, tuple(map(Name, inputs)))


def operation(value: Value) -> Expr:
    """How a Value was computed; a plain number as its exponent is part of the operation."""
    op = value._op
    if op.startswith("**") and len(op) > 2:
        return Expr("power", (Name("x"), float(op[2:])))
    return apply(BY_SIGN.get(op, op), ["a", "b"] if len(value.inputs) == 2 else ["x"])


def slope_rule() -> dict[str, Any]:
    """The one rule of all Values, and the line of `Value.backward` where it stands."""
    lines, first = inspect.getsourcelines(Value.backward)
    at = next(i for i, line in enumerate(lines) if "* slope" in line)
    return {
        "mathml": mathml(Expr("multiply", (Name("g"), Name("slope")))),
        "file": "minigrad/scalar.py",
        "line": first + at,
        "source": lines[at].strip(),
        "note": "Each operation keeps its slope by each input: how fast it changes with it.",
    }
