"""The derivative rules of an op as a page shows them, with the place they are written at.

>>> from minigrad import TABLE
>>> by_a, by_b = rules_of(TABLE["multiply"])
>>> by_b.name, by_b.text, by_b.source
('b', 'g · a', 'lambda g, y, a, b: g * a')
>>> by_b.mathml
'<math displaystyle="true"><mrow><mi>g</mi><mo>·</mo><mi>a</mi></mrow></math>'
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from minigrad.formula import Expr, Name, Part, text
from minigrad.op import Op, Rule
from minigrad.rules import NONE, definition_formula, derivative_by, derivative_formulas, place_of
from minigrad.tensor import Tensor
from viz.formula.mathml import mathml
from viz.formula.source import source_of
from viz.graphs.ancestry import unnoticed


class RuleText(NamedTuple):
    """The derivative of an op by its input `name`: as text, as MathML, and where it is written.

    `text` is Python with "·" for products, such as "g @ b.T", or "none". If it refers to values of
    the rule's own, it has several lines, the last of which is "∂/∂name = …". For a composite it is
    the definition, and `note` says so. `file` is relative to the project if it belongs to it;
    `source` is the text of the function, a lambda without the row around it, and "" where there is
    none to read, as at a prompt.
    """

    name: str
    text: str
    mathml: str
    file: str
    line: int
    source: str
    note: str = ""


FUSED = "One hand-written rule computes this for all inputs, in place and in another order."
COMPOSITE = "Calling it records these smaller ops, each with a rule of its own."


@cache
def rules_of(op: Op) -> tuple[RuleText, ...]:
    """What an op does to gradients: a RuleText for each input, in their order.

    The number of inputs, where an op takes any, is that of its first example; see `rules_at`.
    This never fails, whatever a user's rule does: one that cannot be printed is named instead, as
    "spin(g, y, x)".
    """
    return find_rules(op, None)


def rules_at(node: Tensor) -> tuple[RuleText, ...]:
    """`rules_of` the op that gave `node`, run on the inputs of that very call.

    So it is the branch that was taken. A graph that has been freed gives `rules_of` the op; a
    tensor that no op gave has no rules.
    """
    if node.op is None:
        return ()
    return find_rules(node.op, node) if node.inputs else rules_of(node.op)


def find_rules(op: Op, node: Tensor | None) -> tuple[RuleText, ...]:
    """The rules as run on the first example, or on the inputs of `node`."""
    formulas: dict[str, Sequence[Part]]
    if op.composite:
        formulas = dict.fromkeys(op.input_names, definition_lines(op, node))
        rules, note = [op.definition] * op.arity, COMPOSITE
    else:
        formulas = derivative_lines(op, node)
        rules = [op.joint or op.rules[i % len(op.rules)] for i in range(len(formulas))]
        note = FUSED if op.joint else ""
    return tuple(
        RuleText(
            name,
            "\n".join(map(text, lines)),
            mathml(*lines),
            *find_source(None if lines == [NONE] else rule),
            note,
        )
        for (name, lines), rule in zip(formulas.items(), rules, strict=True)
    )


def derivative_lines(op: Op, node: Tensor | None) -> dict[str, Sequence[Part]]:
    """The derivative by each input: a formula, or equations if it refers to others."""
    try:
        with unnoticed():
            found = derivative_formulas(op, node)
    except Exception:  # a user's rule, and there is nothing that it may not do
        arguments = tuple(map(Name, ("g", "y", *op.input_names)))
        rules = dict(zip(op.input_names, (op.rules or (op.joint,)) * op.arity, strict=False))
        return {
            name: [NONE if rule is None else Expr(rule_name(rule), arguments)]
            for name, rule in rules.items()
        }
    return {
        name: formula.of(derivative_by(name)) if formula.before else [formula.result]
        for name, formula in found.items()
    }


def definition_lines(op: Op, node: Tensor | None = None) -> Sequence[Part]:
    """The equations of the definition."""
    try:
        with unnoticed():
            return definition_formula(op, node)
    except Exception:
        return [Expr(op.name, tuple(map(Name, op.input_names)))]


def rule_name(rule: Rule) -> str:
    """A function's name, or "rule" if it has none."""
    name = getattr(rule, "__name__", "")
    return name if name.isidentifier() else "rule"


def find_source(rule: Rule | None) -> tuple[str, int, str]:
    """The file, the line and the source text of a rule; ("", 0, "") if it has none."""
    code = getattr(rule, "__code__", None)
    if code is None:
        return "", 0, ""
    return *place_of(code), source_of(code)
