"""What the printed table promises: every row prints, readably, and what it prints is true."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor
from minigrad.backward import sum_to
from minigrad.formula import Expr, Name, text
from minigrad.op import Example, Op, on
from minigrad.origins import Trace, origin_of
from minigrad.rules import (
    NONE,
    definition,
    derivative_formulas,
    example_call,
    formula,
    table,
    trace_definition,
    trace_rules,
)
from minigrad.tensor import unwrap

WITH_RULES = [pytest.param(row, id=row.name) for row in TABLE.values() if row.rules]
FUSED = [pytest.param(row, id=row.name) for row in TABLE.values() if row.joint and not row.in_words]
WITH_DEFINITION = [
    pytest.param(row, id=row.name) for row in TABLE.values() if row.definition and not row.in_words
]
ROOT = Path(__file__).parents[2]

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
        "∂/∂condition = g · 0",
        "∂/∂a = where(condition, g, 0)",
        "∂/∂b = where(condition, 0, g)",
    ],
    "clip": ["∂/∂x = g · ((x >= a_min) & (x <= a_max))"],
    "silu": ["s = sigmoid(x)", "∂/∂x = g · (s + y · (1 - s))"],
    "erf": ["∂/∂x = g · (2 / sqrt(pi)) · exp(-x · x)"],
    "sum": ["∂/∂x = broadcast_to(expand_dims(g, axis), shape(x))"],
    "mean": ["N = size(x, axis)", "∂/∂x = broadcast_to(expand_dims(g, axis) / N, shape(x))"],
    "max": [
        "chosen = x == expand_dims(y, axis)",
        "∂/∂x = where(chosen, expand_dims(g, axis), 0) / sum(chosen, axis, keepdims=True)",
    ],
    "logsumexp": ["∂/∂x = expand_dims(g, axis) · softmax(x, axis)"],
    "matmul": [
        "∂/∂a = g @ b.T",
        "∂/∂b = a.T @ g",
    ],
    "einsum": [
        "subscripts = 'ij,jk->ik'",
        "∂/∂a = einsum(g, b, subscripts='ik,jk->ij')",
        "∂/∂b = einsum(g, a, subscripts='ik,ij->jk')",
    ],
    "getitem": ["∂/∂x = scatter_add(g, index, shape(x))"],
    "concatenate": [
        "∂/∂a = g[0:shape(a)[axis]]",
        "start = shape(a)[axis]",
        "∂/∂b = g[start:start + shape(b)[axis]]",
    ],
    "stack": ["∂/∂a = take(g, 0, axis)", "∂/∂b = take(g, 1, axis)"],
    "roll": ["∂/∂x = roll(g, -shift)"],
    "tile": ["∂/∂x = sum(reshape(g, [1, shape(x)[0], reps, shape(x)[1]]), axis=(0, 2))"],
    "repeat": [
        "N = size(x)",
        "source = repeat(arange(N), repeats)",
        "∂/∂x = reshape(scatter_add(g, source, (N,)), shape(x))",
    ],
    "embedding": [
        "∂/∂weight = scatter_add(g, indices, shape(weight))",
        "∂/∂indices = none",
    ],
    "softmax": ["∂/∂x = y · (g - sum(g · y, axis, keepdims=True))"],
    "linear": ["∂/∂x = g @ weight", "∂/∂weight = g.T @ x", "∂/∂bias = g"],
    "layer_norm": [
        "gn = g · weight",
        "along_ones = mean(gn, axis=-1, keepdims=True)",
        "centred = x - mean(x, axis=-1, keepdims=True)",
        "deviation = sqrt(mean(centred · centred, axis=-1, keepdims=True) + eps)",
        "normal = centred / deviation",
        "along_normal = mean(gn · normal, axis=-1, keepdims=True)",
        "∂/∂x = (gn - along_ones - normal · along_normal) / deviation",
        "∂/∂weight = g · normal",
        "∂/∂bias = g",
    ],
    "rms_norm": [
        "gn = g · weight",
        "rms = sqrt(mean(x · x, axis=-1, keepdims=True) + eps)",
        "normal = x / rms",
        "along_normal = mean(gn · normal, axis=-1, keepdims=True)",
        "∂/∂x = (gn - normal · along_normal) / rms",
        "∂/∂weight = g · normal",
    ],
    "rotary": ["∂/∂x = rotary(g, start, base, back=True)"],
    "cross_entropy": [
        "counts = target != ignore_index",
        "V = shape(logits)[-1]",
        "one_hot = arange(V) == target[..., None]",
        "wanted = one_hot · (1 - label_smoothing) + label_smoothing / V",
        "N = maximum(sum(counts), 1)",
        "gx = g · (softmax(logits) - wanted) / N",
        "∂/∂logits = where(counts[..., None], gx, 0)",
        "∂/∂target = none",
    ],
    "scaled_dot_product_attention": [
        "K = shape(query)[-1]",
        "scores = where(mask, query @ swapaxes(key, -1, -2) / sqrt(K), -inf)",
        "weights = softmax(scores)",
        "gw = g @ swapaxes(value, -1, -2)",
        "gs = weights · (gw - sum(weights · gw, axis=-1, keepdims=True))",
        "∂/∂query = gs @ key / sqrt(K)",
        "∂/∂key = swapaxes(gs, -1, -2) @ query / sqrt(K)",
        "∂/∂value = swapaxes(weights, -1, -2) @ g",
    ],
}

DEFINITIONS = {
    "silu": ["silu(x) = x · sigmoid(x)"],
    "softmax": [
        "top = max(x, axis, keepdims=True)",
        "powers = exp(x - where(isneginf(top), 0, top))",
        "total = sum(powers, axis, keepdims=True)",
        "softmax(x, axis) = powers / (total + (total == 0))",
    ],
    "linear": ["linear(x, weight, bias) = x @ weight.T + bias"],
    "layer_norm": [
        "centred = x - mean(x, axis=-1, keepdims=True)",
        "variance = mean(centred · centred, axis=-1, keepdims=True)",
        "layer_norm(x, weight, bias, eps) = centred / sqrt(variance + eps) · weight + bias",
    ],
    "rms_norm": [
        "rms_norm(x, weight, eps) = x / sqrt(mean(x · x, axis=-1, keepdims=True) + eps) · weight",
    ],
    "rotary": [
        "T = shape(x)[-2]",
        "positions = expand_dims(arange(start, start + T), -1)",
        "K = shape(x)[-1]",
        "i = arange(K)",
        "theta = base ** (-2 · (i % (K // 2)) / K)",
        "angles = positions · where(i < K // 2, -theta, theta)",
        "exchanged = roll(x, shape(x)[-1] // 2, -1)",
        "rotary(x, start, base, back) = x · cos(angles) + exchanged · sin(angles)",
    ],
    "scaled_dot_product_attention": [
        "K = shape(query)[-1]",
        "scores = where(mask, query @ swapaxes(key, -1, -2) / sqrt(K), -inf)",
        "scaled_dot_product_attention(query, key, value, mask) = softmax(scores) @ value",
    ],
    "split": [
        "n = shape(x)[axis]",
        "step = n // indices_or_sections",
        "split(x, indices_or_sections, axis) = [x[0:step], x[step:n]]",
    ],
    "take": ["take(x, indices, axis, mode) = x[indices]"],
    "dropout": ["dropout(x, p, rng) = dropout_mask(x, p <= uniform, scale=1 / (1 - p))"],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formulas_read_as_calculus(name: str) -> None:
    assert formula(TABLE[name]) == FORMULAS[name]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_definitions_read_as_they_are_written(name: str) -> None:
    assert definition(TABLE[name]) == DEFINITIONS[name]


@pytest.mark.parametrize("op", WITH_RULES)
def test_the_rules_give_named_arrays_what_they_give_arrays(op: Op) -> None:
    found = trace_rules(op)
    assert list(found) == list(example_call(op)[0])
    for i, trace in enumerate(found.values()):
        rule = op.rules[i % len(op.rules)]
        if rule is None:
            assert trace is None
        else:
            assert trace is not None
            np.testing.assert_array_equal(unwrap(trace.result), by_rule(op, rule, i))


@pytest.mark.parametrize("op", WITH_RULES + FUSED)
def test_what_is_printed_evaluates_to_what_the_rule_gives(op: Op) -> None:
    traces, joint = trace_rules(op), by_joint_rule(op)
    for i, (name, found) in enumerate(derivative_formulas(op).items()):
        rule, trace = op.joint or op.rules[i % len(op.rules)], traces[name]
        if trace is None:
            assert found == ([], NONE)
            assert rule is None or joint[i] is None
        else:
            lines, written = map(text, found.before), text(found.result)
            value = evaluated([*lines], written, variables(op) | written_by(trace))
            if op.joint:
                assert_near(sum_to(value, joint[i].shape), joint[i])
            else:
                assert_near(value, by_rule(op, rule, i))


@pytest.mark.parametrize("op", WITH_DEFINITION)
def test_what_is_printed_evaluates_to_what_the_definition_gives(op: Op) -> None:
    assert op.definition is not None
    *lines, last = definition(op)
    left, right = last.split(" = ", 1)
    assert left == f"{op.name}({', '.join(inspect.signature(op.definition).parameters)})"
    found = evaluated(lines, right, variables(op) | written_by(trace_definition(op)))
    inputs, params = example_call(op)
    tensors = [Tensor(x) if is_floating(x) else x for x in inputs.values()]
    assert_near(found, op.definition(*tensors, **params))


def grown(x: Any) -> Any:
    """A shape, an array or a list of them, with three times as many elements along each axis that
    has more than one."""
    if isinstance(x, list):
        return [grown(item) for item in x]
    if isinstance(x, tuple):
        return tuple(3 * n if n > 1 else n for n in x)
    if isinstance(x, np.ndarray):
        for axis, n in enumerate(x.shape):
            x = np.repeat(x, 3, axis) if n > 1 else x
    return x


def enlarged(example: Example) -> Example:
    """The example with larger arrays, and params that fit them."""
    params = {
        key: grown(x) if key == "shape" or isinstance(x, np.ndarray) else x
        for key, x in example.params.items()
    }
    if isinstance(params.get("repeats"), list):
        params["repeats"] = np.repeat(params["repeats"], 3).tolist()
    return replace(example, inputs=tuple(map(grown, example.inputs)), params=params)


def counted_otherwise(example: Example) -> Example:
    """The example with each axis counted from the other end."""
    shape = np.shape(np.asanyarray(example.draw(np.random.default_rng(0))[0]))
    params = {
        key: x - len(shape) if x >= 0 else x + len(shape)
        for key, x in example.params.items()
        if key in ("axis", "axis1", "axis2") and isinstance(x, int)
    }
    return replace(example, params=example.params | params)


def all_lines(op: Op, example: Example) -> list[str]:
    """What is printed of an op whose only example is this one."""
    row = replace(op, examples=[example])
    return [
        *(definition(row) if op.definition else []),
        *([] if op.composite else formula(row)),
    ]


INVERTIBLE = {"cholesky_factor", "qr_factors", "inv", "solve", "det", "log_abs_det"}
"""The rows whose matrices, enlarged by repeating them, have no inverse any more."""


@pytest.mark.parametrize(
    "op",
    [pytest.param(row, id=row.name) for row in TABLE.values() if row.name not in INVERTIBLE],
)
def test_no_number_of_an_example_appears_as_if_it_were_the_rule(op: Op) -> None:
    for example in op.examples:
        lines = all_lines(op, example)
        assert all_lines(op, enlarged(example)) == lines
        if len(example.inputs) == 1 and isinstance(example.inputs[0], tuple):
            assert all_lines(op, counted_otherwise(example)) == lines
        assert not re.search(r"…\]|\[\[|\[\d+, \d+\]", " ".join(lines).replace("[0, shape", ""))


@pytest.mark.parametrize("op", FUSED)
def test_each_fused_row_states_its_joint_rule_as_calculus_does(op: Op) -> None:
    assert op.statement is not None, "give it a formula, printed as its derivative"
    for example in op.examples:
        arrays = example.draw(np.random.default_rng(3))
        y, *saved = op.forward(*arrays, **example.params)
        joint = op.joint(incoming(y), y, saved, *arrays, **example.params)
        for lay_out in LAYOUTS:
            named = [lay_out(x) if is_floating(x) else x for x in (incoming(y), y, *arrays)]
            stated = op.statement(*named, **example.params)
            stated = stated if isinstance(stated, tuple) else (stated,)
            for x, by_rule, by_formula in zip(arrays, joint, stated, strict=True):
                if is_floating(x):
                    by_rule, by_formula = sum_to(by_rule, x.shape), sum_to(by_formula, x.shape)
                    np.testing.assert_allclose(by_formula, by_rule, rtol=1e-12, atol=1e-14)
                else:
                    assert by_formula is None


LAYOUTS: list[Callable[[Any], Any]] = [
    lambda x: x,
    lambda x: np.asarray(x, order="F"),
    lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    lambda x: np.ascontiguousarray(x[::-1])[::-1] if x.ndim else x,
]


def by_joint_rule(op: Op) -> list[Any]:
    """The gradients that the joint rule gives on the first example; none without such a rule."""
    if op.joint is None:
        return []
    inputs, params = example_call(op)
    y, *saved = op.forward(*inputs.values(), **params)
    return list(op.joint(incoming(y), y, saved, *inputs.values(), **params))


def written_by(trace: Trace) -> dict[str, Any]:
    """The values of what a formula calls by name without saying how it is computed."""
    values: dict[str, Any] = {}
    for name, x in trace.kept.items():
        if origin_of(x) is None:
            match name:
                case Name():
                    values[name] = x
                case Expr("getitem", (base, place)):
                    values.setdefault(base, {})[place] = x
    return values


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def incoming(y: Any) -> Any:
    """The gradient that `derivatives` takes as the incoming one."""
    return np.random.default_rng(1).standard_normal(np.shape(y))


def by_rule(op: Op, rule: Callable[..., Any], i: int) -> Any:
    """What the rule for the i-th input gives on the plain arrays of the first example."""
    inputs, params = example_call(op)
    y = np.asarray(op.forward(*inputs.values(), **params))
    return rule(incoming(y), y, *([i] if op.is_variadic else []), *inputs.values(), **params)


def variables(op: Op) -> dict[str, Any]:
    """The values of all names that a formula of this op may contain."""
    inputs, params = example_call(op)
    function = next(f for f in (op.definition, *op.rules) if f)
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    values = {**defaults, **params, **inputs}
    if not op.composite:
        y = op.forward(*inputs.values(), **params)
        values["y"] = y[0] if op.joint else y
        values["g"] = incoming(values["y"])
    return values


class Functions(dict[str, Any]):
    """Looks up what a formula calls: a row of the table, else NumPy's function."""

    def __missing__(self, name: str) -> Any:
        if name == "einsum":
            return lambda *arrays, subscripts: np.einsum(subscripts, *arrays)
        return TABLE[name] if name in TABLE else getattr(np, name)


def evaluated(lines: list[str], text: str, values: dict[str, Any]) -> Any:
    """A printed formula as Python computes it, after the lines that it refers to."""
    for line in lines:
        name, right = line.split(" = ", 1)
        values = values | {name: as_python(right, values)}
    return as_python(text, values)


def as_python(text: str, values: dict[str, Any]) -> Any:
    """The value of a formula, which differs from Python in the sign of multiplication alone."""
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
        op = TABLE[row.name]
        assert bool(row.definition) == (op.definition is not None)
        assert bool(row.derivative) == (not op.composite and not op.in_words)
        assert row.symbol
        assert row.place == f"{row.file}:{row.line}"
        source = (ROOT / row.file).read_text().splitlines()
        assert any(word in source[row.line - 1] for word in ("def ", "lambda ", "@"))


def test_the_lines_are_short_enough_to_read() -> None:
    assert [
        line for row in table() for line in row.definition + row.derivative if len(line) > 120
    ] == []


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
        "total = sum(x, axis, keepdims=True)",
        "∂/∂x = -(g ** 2) ** x · where(total > width, -x, total - (1 - x)) / (width · 3)",
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
        (lambda g, y, x: g * -(math.pi * math.pi), "g · -pi ** 2"),
        (lambda g, y, x: g * ~(x > 0), "g · invert(x > 0)"),
        (lambda g, y, x: (g + x)[:, ::-1], "(g + x)[:, ::-1]"),
        (lambda g, y, x: g[..., None, 1], "g[..., None, 1]"),
        (lambda g, y, x: g[(0, 1), :], "g[(0, 1), :]"),
        (lambda g, y, x: (g * x).T, "(g · x).T"),
        (lambda g, y, x: g * np.array([1.0, -2.5, math.pi]), "g · [1, -2.5, pi]"),
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
