"""What is said of a wrong rule: each usual mistake is called by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, diagnose, gradcheck
from minigrad.op import Op
from tests.minigrad.check.wrong_ops import (
    POINTS,
    A,
    Array,
    B,
    Rule,
    an_op,
    matrix_op,
    plus_bias,
    report_on,
    square,
    the_only_suspicion,
)

X, BIAS = np.random.default_rng(1).standard_normal((5, 4)), np.array([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("op", "inputs", "kind", "blamed", "text"),
    [
        (plus_bias(lambda g: g[0]), [X, BIAS], "broadcast", "bias", "only slice 0 of axis 0"),
        (plus_bias(lambda g: g[-1]), [X, BIAS], "broadcast", "bias", "only slice 4 of axis 0"),
        (plus_bias(lambda g: g.mean(0)), [X, BIAS], "broadcast", "bias", "the mean over 5"),
        (plus_bias(lambda g: 5 * g.sum(0)), [X, BIAS], "broadcast", "bias", "5 times too large"),
        (matrix_op(lambda g, y, a, b: g @ b), [A, B], "transposed", "a", "b.T where"),
        (matrix_op(right=lambda g, y, a, b: a @ g), [A, B], "transposed", "b", "a.T where"),
        (matrix_op(right=lambda g, y, a, b: a.T @ g.T), [A, B], "transposed", "b", "g.T where"),
        (matrix_op(lambda g, y, a, b: b @ g.T), [A, B], "transposed", "a", "right once"),
        (matrix_op(lambda g, y, a, b: b @ g.T), [A[:2], B], "transposed", "a", "right once"),
        (square(lambda g, y, x: -2 * g * x), [POINTS], "sign", "x", "wrong sign at every element"),
        (square(lambda g, y, x: 2 * x), [POINTS], "ignores g", "x", "multiply by it"),
        (square(lambda g, y, x: g * g * x), [POINTS], "not linear", "x", "for 2g"),
        (
            an_op(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: 0 * g),
            [A, B],
            "missing",
            "b",
            "0 at every element",
        ),
        (
            an_op(np.multiply, lambda g, y, a, b: g, lambda g, y, a, b: g * a),
            [A, B],
            "missing factor",
            "a",
            "the factor b is missing",
        ),
        (
            an_op(np.exp, lambda g, y, x: g * y * x),
            [POINTS],
            "missing factor",
            "x",
            "x is a factor too many",
        ),
        (
            an_op(lambda x: np.maximum(x, 0), lambda g, y, x: g),
            [POINTS],
            "mask",
            "x",
            "wrong only where x < 0 (2 of 6 elements): it should be 0 there",
        ),
        (
            an_op(lambda x: np.maximum(x, 0), lambda g, y, x: g * (x < 0)),
            [POINTS],
            "mask",
            "x",
            "turn the mask",
        ),
        (
            square(lambda g, y, x: 2 * g * x * np.where(x < 0, np.nan, 1)),
            [POINTS],
            "nan",
            "x",
            "only where x < 0 (2 of 6 elements)",
        ),
    ],
)
def test_a_usual_mistake_is_called_by_its_name(
    op: Op, inputs: list[Array], kind: str, blamed: str, text: str
) -> None:
    suspicion = the_only_suspicion(diagnose(op, inputs))
    assert (suspicion.kind, suspicion.op, suspicion.input) == (kind, "trial", blamed)
    assert text in suspicion.text
    assert suspicion.error < 1e-9 or kind == "not linear"


def test_swapped_rules_are_named_in_both_inputs() -> None:
    swapped = an_op(np.multiply, lambda g, y, a, b: g * a, lambda g, y, a, b: g * b)
    found = diagnose(swapped, [A, B]).suspicions
    assert [(s.kind, s.input) for s in found] == [("swapped", "a"), ("swapped", "b")]
    assert "the gradient by b" in found[0].text


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (2.0, "the length of axis 0 of x"),
        (0.5, "1 / the length of axis 0 of x"),
        (3.0, "the length of axis 1 of x"),
        (1 / 6, "1 / the length of all of x"),
        (np.pi, "π"),
        (-2 / np.sqrt(np.pi), "2/√π"),
        (1e-5, "1e-05"),
        (1.001, "1.001"),
        (-1.7, "-1.7"),
    ],
)
def test_a_constant_factor_is_measured_and_recognised(factor: float, name: str) -> None:
    suspicion = the_only_suspicion(diagnose(square(lambda g, y, x: factor * 2 * g * x), POINTS))
    assert suspicion.kind == "factor"
    assert suspicion.factor == pytest.approx(factor, rel=1e-9)
    assert f"{factor:.6g} times what it should be at every element" in suspicion.text
    assert name in suspicion.text


@given(factor=st.floats(1e-3, 1e3), sign=st.sampled_from([-1, 1]), function=st.sampled_from("et"))
@settings(max_examples=30)
def test_any_factor_of_any_rule_is_found(factor: float, sign: int, function: str) -> None:
    factor *= sign
    rules = {"e": (np.exp, lambda y: y), "t": (np.tanh, lambda y: 1 - y * y)}
    forward, slope = rules[function]
    report = gradcheck(
        an_op(forward, lambda g, y, x: factor * g * slope(y)), POINTS, raise_exception=False
    )
    if report.ok:
        assert factor == pytest.approx(1, abs=1e-9)
        return
    suspicion = the_only_suspicion(report)
    assert suspicion.kind == ("sign" if factor == pytest.approx(-1, rel=1e-8) else "factor")
    assert suspicion.factor == pytest.approx(factor, rel=1e-6)


def test_a_mistake_of_no_known_kind_is_said_to_be_unknown() -> None:
    suspicion = the_only_suspicion(diagnose(square(lambda g, y, x: g * np.exp(x)), POINTS))
    ratio = np.exp(POINTS) / (2 * POINTS)
    assert (suspicion.kind, suspicion.error) == ("unknown", np.inf)
    assert "wrong at every element" in suspicion.text
    assert f"between {ratio.min():.3g} and {ratio.max():.3g} times" in suspicion.text


def test_a_rule_that_adds_to_what_it_keeps_is_stale() -> None:
    kept = np.zeros(POINTS.shape)

    def rule(g: Array, y: Array, x: Array) -> Array:
        kept[:] += 2 * g * x
        return kept.copy()

    op = square(rule)
    suspicion = the_only_suspicion(diagnose(lambda x: op(op(x)), POINTS))
    assert (suspicion.kind, suspicion.op) == ("stale", "trial")
    assert "adds to what it kept" in suspicion.text
    assert suspicion.error < 1e-9  # what the second call adds is the right gradient


def test_a_stale_rule_is_suspected_though_the_first_call_passes() -> None:
    kept = np.zeros(POINTS.shape)

    def rule(g: Array, y: Array, x: Array) -> Array:
        kept[:] += 2 * g * x
        return kept.copy()

    report = diagnose(square(rule), POINTS)
    assert report.ok
    assert [s.kind for s in report.suspicions] == ["stale"]


def test_a_result_that_the_op_keeps_for_its_rule_is_stale_after_another_call() -> None:
    kept: dict[str, Any] = {}

    def forward(x: Any) -> Any:
        kept["y"] = np.exp(x)
        return kept["y"]

    op = an_op(forward, lambda g, y, x: g * kept["y"])
    suspicion = the_only_suspicion(diagnose(lambda x: op(op(x) * 0.1), POINTS))
    assert suspicion.kind == "stale"
    assert "kept from its last call" in suspicion.text
    assert suspicion.error < 1e-9
    assert [s.kind for s in diagnose(op, POINTS).suspicions] == ["stale"]


def test_a_rule_that_gives_an_array_it_keeps_is_stale() -> None:
    kept = np.zeros(POINTS.shape)
    op = square(lambda g, y, x: np.multiply(2 * g, x, out=kept))
    suspicion = the_only_suspicion(diagnose(lambda x: [op(x), op(x)], POINTS))
    assert suspicion.kind == "stale"
    assert "its next call overwrites" in suspicion.text


def test_a_rule_that_changes_its_incoming_gradient_is_found_in_a_larger_graph() -> None:
    def rule(g: Array, y: Array, x: Array) -> Array:
        g *= 2 * x
        return g

    op = square(rule)

    def f(x: Tensor) -> Tensor:
        u = np.sin(x)
        return op(u) + u

    assert [s.kind for s in diagnose(op, POINTS).suspicions] == ["in place"]  # though it passes
    suspicion = the_only_suspicion(diagnose(f, POINTS))
    assert (suspicion.kind, suspicion.op) == ("in place", "trial")
    assert "the incoming gradient g in place" in suspicion.text
    assert suspicion.error < 1e-9  # the rule is right but for that


def test_a_rule_that_changes_its_input_is_found() -> None:
    def rule(g: Array, y: Array, x: Array) -> Array:
        x *= 2
        return g * x

    op = square(rule)

    def f(x: Tensor) -> Tensor:
        u = np.sin(x)
        before = u * u
        return op(u) + before

    suspicion = the_only_suspicion(diagnose(f, POINTS))
    assert suspicion.kind == "in place"
    assert "its input x in place" in suspicion.text


def test_a_mistake_is_recognised_through_the_rounding_of_float32() -> None:
    op = an_op(
        lambda x: np.sin(np.asarray(x, np.float32)).astype(np.float64),
        lambda g, y, x: -g * np.cos(x),
    )
    suspicion = the_only_suspicion(diagnose(op, POINTS))
    assert suspicion.kind == "sign"
    assert 1e-9 < suspicion.error < 1e-3


@pytest.mark.parametrize("shape", [(), (2, 3)])
@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g * np.cos(x).astype(np.float32),
        lambda g, y, x: (g * np.cos(x)).astype(np.float32),
        lambda g, y, x: g * np.cos(x.astype(np.float32)),
    ],
)
def test_float32_inside_of_a_rule_is_named(rule: Rule, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    suspicion = the_only_suspicion(diagnose(an_op(np.sin, rule), x))
    assert (suspicion.kind, suspicion.input) == ("rounding", "x")
    assert "as by float32" in suspicion.text


@pytest.mark.parametrize("scale", [1, 1000])  # steep functions bend fast, but smoothly
@pytest.mark.parametrize("off", [1e-6, 1e-7, 1e-8, -1e-9])
def test_a_factor_as_near_to_1_as_float32_is_told_from_it_with_all_its_digits(
    off: float, scale: int
) -> None:
    op = an_op(lambda x: np.exp(scale * x), lambda g, y, x: scale * g * y * (1 + off))
    suspicion = the_only_suspicion(diagnose(op, POINTS / scale))
    assert (suspicion.kind, suspicion.factor) == ("factor", pytest.approx(1 + off, abs=1e-12))
    assert f"{1 + off:.10g} times what it should be at every element" in suspicion.text


def test_unexplained_ratios_are_told_from_1() -> None:
    op = an_op(np.sin, lambda g, y, x: g * np.cos(x) * (1 + 1e-8 * x))
    suspicion = the_only_suspicion(diagnose(op, POINTS))
    assert "between 0.999999988 and 1.00000002 times" in suspicion.text


def test_a_factor_is_found_where_the_square_of_the_gradient_is_no_number() -> None:
    op = an_op(lambda x: np.exp(1000 * x), lambda g, y, x: 2000 * g * y)
    assert the_only_suspicion(diagnose(op, np.array([0.6, 0.5]))).factor == pytest.approx(2)


def test_a_wrong_definition_is_told_from_a_wrong_rule() -> None:
    row = an_op(lambda x: None, definition=lambda x: 2 * x * x * x)
    row.kernel(lambda x: (x**3,))
    row.rule(lambda g, y, saved, x: (g * 3 * x**2,))
    suspicion = the_only_suspicion(diagnose(row, POINTS, order=2))
    assert (suspicion.kind, suspicion.op) == ("definition", "trial")
    assert diagnose(row, POINTS).suspicions == ()


def test_a_rule_that_is_random_is_named() -> None:
    rng = np.random.default_rng(0)
    wrong = an_op(np.square, lambda g, y, x: g * 2 * x * rng.integers(1, 3))
    said = str(report_on(wrong, POINTS))
    assert "stale: trial: two equal calls of the rule differ: it is random" in said
