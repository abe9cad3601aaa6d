"""What the printed table promises: every row prints, readably, and what it prints is true."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor, check_table
from minigrad.op import Op, on, op
from minigrad.ops.elementwise import REAL
from minigrad.rules import definition, derivatives, formula, named_call, table
from minigrad.tensor import NUMPY, unwrap

WITH_RULES = [pytest.param(row, id=row.name) for row in TABLE.values() if row.rules]
WITH_DEFINITION = [
    pytest.param(row, id=row.name) for row in TABLE.values() if row.definition and not row.in_words
]
ROOT = Path(__file__).parent.parent

FORMULAS = {
    "add": ["∂/∂a = g", "∂/∂b = g"],
    "multiply": ["∂/∂a = g · b", "∂/∂b = g · a"],
    "divide": ["∂/∂a = g / b", "∂/∂b = -g · y / b"],
    "power": [
        "∂/∂a = g · where(b == 0, 0, b · a ** where(b == 0, 1, b - 1))",
        "∂/∂b = g · y · log(where(a > 0, a, 1))",
    ],
    "abs": ["∂/∂x = g · sign(x)"],
    "tanh": ["∂/∂x = g · (1 - y · y)"],
    "sin": ["∂/∂x = g · cos(x)"],
    "maximum": [
        "∂/∂a = where(a > b, g, where(a == b, g / 2, 0))",
        "∂/∂b = where(b > a, g, where(a == b, g / 2, 0))",
    ],
    "where": [
        "∂/∂condition = none",
        "∂/∂a = where(condition, g, 0)",
        "∂/∂b = where(condition, 0, g)",
    ],
    "clip": ["∂/∂x = g · ((x >= a_min) & (x <= a_max))"],
    "silu": ["∂/∂x = g · sigmoid(x) · (1 + x · (1 - sigmoid(x)))"],
    "erf": ["∂/∂x = g · 1.12838 · exp(-x · x)"],
    "sum": ["∂/∂x = broadcast_to(expand_dims(g, axis), shape(x))"],
    "logsumexp": ["∂/∂x = expand_dims(g, axis) · softmax(x, axis)"],
    "matmul": [
        "∂/∂a = g @ b.T",
        "∂/∂b = a.T @ g",
    ],
    "einsum": [
        "∂/∂a = einsum(g, b, subscripts='ik,jk->ij')",
        "∂/∂b = einsum(g, a, subscripts='ik,ij->jk')",
    ],
    "getitem": ["∂/∂x = scatter_add(g, index, shape(x))"],
    "concatenate": ["∂/∂a = g[0:2, 0:3]", "∂/∂b = g[2:3, 0:3]"],
    "embedding": [
        "∂/∂weight = scatter_add(g, indices, shape(weight))",
        "∂/∂indices = none",
    ],
    "softmax": [
        "t1 = max(x, axis, keepdims=True)",
        "t2 = exp(x - where(isneginf(t1), 0, t1))",
        "t3 = sum(t2, axis, keepdims=True)",
        "softmax(x, axis) = t2 / (t3 + (t3 == 0))",
    ],
    "linear": ["linear(x, weight, bias) = x @ weight.T + bias"],
    "layer_norm": [
        "t1 = x - mean(x, axis=-1, keepdims=True)",
        "layer_norm(x, weight, bias, eps) = "
        "t1 / sqrt(mean(t1 · t1, axis=-1, keepdims=True) + eps) · weight + bias",
    ],
    "split": ["split(x, indices_or_sections, axis) = [x[0:2], x[2:4]]"],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formulas_read_as_calculus(name: str) -> None:
    assert formula(TABLE[name]) == FORMULAS[name]


def test_a_row_with_rules_can_have_its_definition_printed_too() -> None:
    assert definition(TABLE["silu"]) == ["silu(x) = x · sigmoid(x)"]


@pytest.mark.parametrize("op", WITH_RULES)
def test_the_rules_give_named_arrays_what_they_give_arrays(op: Op) -> None:
    found = derivatives(op)
    assert list(found) == list(named_call(op)[0])
    for i, derivative in enumerate(found.values()):
        rule = op.rules[i % len(op.rules)]
        if rule is None:
            assert derivative is None
        else:
            np.testing.assert_array_equal(unwrap(derivative), by_rule(op, rule, i))


@pytest.mark.parametrize("op", WITH_RULES)
def test_what_is_printed_evaluates_to_what_the_rule_gives(op: Op) -> None:
    lines = formula(op)
    if "…" in "".join(lines):
        assert op.name == "repeat"  # an index too long to print
        return
    values = variables(op)
    for i, line in enumerate(lines):
        rule, (left, right) = op.rules[i % len(op.rules)], line.split(" = ", 1)
        assert left == f"∂/∂{list(named_call(op)[0])[i]}"
        if rule is None:
            assert right == "none"
        else:
            assert_near(evaluated(right, values), by_rule(op, rule, i))


@pytest.mark.parametrize("op", WITH_DEFINITION)
def test_what_is_printed_evaluates_to_what_the_definition_gives(op: Op) -> None:
    assert op.definition is not None
    *steps, last = definition(op)
    left, right = last.split(" = ", 1)
    assert left == f"{op.name}({', '.join(inspect.signature(op.definition).parameters)})"
    if "…" in right:
        assert op.name == "dropout"  # its random numbers
        return
    values = variables(op)
    for step in steps:
        name, value = step.split(" = ", 1)
        values[name] = evaluated(value, values)
    inputs, params = named_call(op)
    tensors = [Tensor(x) if is_floating(x) else x for x in inputs.values()]
    assert_near(evaluated(right, values), op.definition(*tensors, **params))


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def incoming(y: Any) -> Any:
    """The gradient that `derivatives` takes as the incoming one."""
    return np.random.default_rng(1).standard_normal(np.shape(y))


def by_rule(op: Op, rule: Callable[..., Any], i: int) -> Any:
    """What the rule for the i-th input gives on the plain arrays of the first example."""
    inputs, params = named_call(op)
    y = np.asarray(op.forward(*inputs.values(), **params))
    return rule(incoming(y), y, *([i] if op.unpack else []), *inputs.values(), **params)


def variables(op: Op) -> dict[str, Any]:
    """The values of all names that a formula of this op may contain."""
    inputs, params = named_call(op)
    function = next(f for f in (op.definition, *op.rules) if f)
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    values = {**defaults, **params, **inputs}
    if op.rules:
        values["y"] = op.forward(*inputs.values(), **params)
        values["g"] = incoming(values["y"])
    return values


class Functions(dict[str, Any]):
    """Looks up what a formula calls: a row of the table, else NumPy's function."""

    def __missing__(self, name: str) -> Any:
        if name == "einsum":
            return lambda *arrays, subscripts: np.einsum(subscripts, *arrays)
        return TABLE[name] if name in TABLE else getattr(np, name)


def evaluated(text: str, values: dict[str, Any]) -> Any:
    """A printed formula as Python computes it: it differs in the sign of multiplication alone."""
    called = set(re.findall(r"(\w+)\(", text))  # shape(x) is not the param shape
    names = {name: value for name, value in values.items() if name not in called}
    return eval(text.replace("·", "*"), {"__builtins__": {}}, Functions(names))


def assert_near(found: Any, expected: Any) -> None:
    """Equal but for numbers such as √2, which are printed with six digits."""
    if isinstance(expected, list):
        for x, other in zip(found, expected, strict=True):
            assert_near(x, other)
    else:
        np.testing.assert_allclose(unwrap(found), unwrap(expected), rtol=2e-5, atol=1e-6)


def test_every_row_prints_and_says_where_it_stands() -> None:
    rows = table()
    assert [row.name for row in rows] == list(TABLE)
    for row in rows:
        assert row.lines
        assert row.symbol
        assert row.place == f"{row.file}:{row.line}"
        source = (ROOT / row.file).read_text().splitlines()
        assert any(word in source[row.line - 1] for word in ("def ", "lambda ", "@"))


def test_the_lines_are_short_enough_to_read() -> None:
    assert [line for row in table() for line in row.lines if len(line) > 120] == []


def test_names_choose_the_rows_that_are_printed() -> None:
    assert [row.name for row in table(["exp", "softmax"])] == ["exp", "softmax"]
    with pytest.raises(ValueError, match=r"'sofmax'; did you mean softmax"):
        table(["sofmax"])


def test_a_new_row_prints_without_further_work() -> None:
    def rule(g: Any, y: Any, x: Any, width: float = 2.0, axis: int = -1) -> Any:
        total = np.sum(x, axis=axis, keepdims=True)
        return -((g**2) ** x) * np.where(total > width, -x, total - (1 - x)) / (width * 3)

    row = Op("bump", "bump", "trial", lambda x, **params: x, (rule,), examples=[on((2, 3))])
    assert formula(row) == [
        "∂/∂x = -(g ** 2) ** x · where(sum(x, axis, keepdims=True) > width, -x, "
        "sum(x, axis, keepdims=True) - (1 - x)) / (width · 3)"
    ]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda g, y, x: g - (x - y), "g - (x - y)"),
        (lambda g, y, x: (g - x) - y, "g - x - y"),
        (lambda g, y, x: g / (x / y), "g / (x / y)"),
        (lambda g, y, x: g * (x * y), "g · (x · y)"),
        (lambda g, y, x: (g * x) ** 2, "(g · x) ** 2"),
        (lambda g, y, x: x ** (x**y), "x ** (x ** y)"),
        (lambda g, y, x: (x**x) ** y, "(x ** x) ** y"),
        (lambda g, y, x: np.negative(-g), "-(-g)"),
        (lambda g, y, x: -(g**2), "-g ** 2"),
        (lambda g, y, x: (-g) ** 2, "(-g) ** 2"),
        (lambda g, y, x: -(g + x), "-(g + x)"),
        (lambda g, y, x: -g + x, "-g + x"),
        (lambda g, y, x: g * -0.5, "g · -0.5"),
        (lambda g, y, x: x**-0.5, "x ** (-0.5)"),
        (lambda g, y, x: g * ((x > 0) == (y > 0)), "g · ((x > 0) == (y > 0))"),
        (lambda g, y, x: g * ((x > 0) | (y > 0) & (x < 1)), "g · ((x > 0) | (y > 0) & (x < 1))"),
        (lambda g, y, x: g * ~(x > 0), "g · invert(x > 0)"),
        (lambda g, y, x: (g + x)[:, ::-1], "(g + x)[:, ::-1]"),
        (lambda g, y, x: g[..., None, 1], "g[..., None, 1]"),
        (lambda g, y, x: (g * x).T, "(g · x).T"),
        (lambda g, y, x: g * np.array([1.0, -2.5, math.pi]), "g · [1, -2.5, 3.14159]"),
        (lambda g, y, x: g * np.ones((4, 2, 3)), "g · […]"),
        (lambda g, y, x: g * (x > 0).astype(g.dtype), "g · (x > 0)"),
        (lambda g, y, x: g.sum(0, keepdims=True), "sum(g, axis=0, keepdims=True)"),
    ],
)
def test_brackets_stand_where_python_needs_them(rule: Callable[..., Any], text: str) -> None:
    examples = [on((2, 3), domain="positive")]
    row = Op("trial", "trial", "trial", np.positive, (rule,), examples=examples)
    assert formula(row) == [f"∂/∂x = {text}"]


def test_a_row_without_example_or_definition_is_refused_by_name() -> None:
    bare = Op("bare", "bare", "trial", np.positive, (lambda g, y, x: g,))
    with pytest.raises(ValueError, match="bare: the row has no example"):
        formula(bare)
    with pytest.raises(ValueError, match="exp has no definition"):
        definition(TABLE["exp"])


def test_printing_leaves_no_names_behind() -> None:
    table()
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = TABLE["sigmoid"](x)
    assert type(y.data) is np.ndarray


def test_the_op_that_contributing_adds_checks_itself_and_prints_its_formula() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    try:
        exec(code, {"np": np, "op": op, "REAL": REAL})
        assert all(row.ok for row in check_table(["arcsinh"]))
        assert formula(TABLE["arcsinh"]) == ["∂/∂x = g / sqrt(1 + x · x)"]
    finally:
        del TABLE["arcsinh"], NUMPY[np.arcsinh]
