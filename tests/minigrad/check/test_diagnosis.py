"""What a diagnosis promises: each usual mistake in a rule is called by its name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import TABLE, Tensor, diagnose, gradcheck
from minigrad.check import GradientError, Report
from minigrad.check.evidence import STEPS
from minigrad.check.numbers import COMPLEX, some_elements
from minigrad.check.rows import as_function, check_op
from minigrad.op import Op, on
from minigrad.tensor import unwrap

Array = np.ndarray[Any, Any]
Rule = Callable[..., Any]

POINTS = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])
A, B = np.random.default_rng(0).standard_normal((2, 3, 3))
X, BIAS = np.random.default_rng(1).standard_normal((5, 4)), np.array([1.0, 2.0, 3.0, 4.0])


def an_op(forward: Callable[..., Any], *rules: Rule, **fields: Any) -> Op:
    """A row that is in no table."""
    return Op("trial", "trial", "trial", forward, rules, **fields)


def square(rule: Rule) -> Op:
    """x² with this rule."""
    return an_op(np.square, rule)


def plus_bias(bias_gradient: Callable[[Array], Any]) -> Op:
    """x + bias as a fused op, whose rule must sum over the broadcast axis itself."""
    row = an_op(lambda x, bias: None, definition=lambda x, bias: x + bias)
    row.kernel(lambda x, bias: (x + bias,))
    row.rule(lambda g, y, saved, x, bias: (g, bias_gradient(g)))
    return row


def matrix_op(
    left: Rule = lambda g, y, a, b: g @ b.T, right: Rule = lambda g, y, a, b: a.T @ g
) -> Op:
    """A matrix product with these two rules, right unless told otherwise."""
    return an_op(np.matmul, left, right)


def the_only_suspicion(report: Report) -> Any:
    assert not report.ok
    (suspicion,) = report.suspicions
    assert str(suspicion) in str(report)
    return suspicion


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


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (lambda x: x < 0, "only where x < 0 (2 of 6 elements)"),
        (lambda x: np.abs(x) > 1, "only where |x| > 1 (3 of 6 elements)"),
        (lambda x: np.indices(x.shape)[1] == 2, "only where the index on axis 1 is 2"),
        (lambda x: x == 2, "only at x[0, 2] (1 of 6 elements)"),
        (lambda x: (x == 2) | (x == 1.5), "only at x[0, 2], x[1, 0] (2 of 6 elements)"),
    ],
)
def test_where_a_rule_is_wrong_is_told(wrong: Callable[[Array], Array], place: str) -> None:
    op = square(lambda g, y, x: g * 2 * x * np.where(wrong(x), -1, 1))
    suspicion = the_only_suspicion(diagnose(op, POINTS))
    assert suspicion.kind == "sign"
    assert place in suspicion.text


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


@pytest.mark.parametrize(
    ("f", "x", "op"),
    [
        (lambda x: x / x, [0.0, 1.0], None),
        (np.log, [0.0, 1.0], None),
        (lambda x: x * 2, [np.nan, 1.0], None),
        (np.sqrt, [0.0, 1.0], "sqrt"),
        (lambda x: np.where(x > 0.5, x / x, 0.0), [0.0, 1.0], "divide"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_function_without_a_value_is_not_blamed_on_a_rule(f: Any, x: Any, op: Any) -> None:
    report = diagnose(f, np.array(x))
    assert not report.ok
    assert {(s.kind, s.op) for s in report.suspicions} == {("domain", op)}


def test_a_rule_that_breaks_is_named_with_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"a rule of trial fails, .* inputs of \(2, 3\): "):
        diagnose(square(lambda g, y, x: g @ x), POINTS)


def test_what_gives_no_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="f must give a Tensor"):
        diagnose(lambda x: None, POINTS)


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


def test_only_the_wrong_op_among_many_is_blamed() -> None:
    wrong = square(lambda g, y, x: g * x)
    suspicion = the_only_suspicion(
        diagnose(lambda x: np.sum(np.tanh(wrong(x @ x.T)) * np.exp(-x.sum())), POINTS)
    )
    assert (suspicion.kind, suspicion.op, suspicion.factor) == (
        "factor",
        "trial",
        pytest.approx(0.5),
    )


def test_several_wrong_ops_are_blamed_each_for_its_own_mistake() -> None:
    one = an_op(np.square, lambda g, y, x: g * x)
    two = Op("other", "other", "trial", np.sin, (lambda g, y, x: -g * np.cos(x),))
    found = diagnose(lambda x: two(one(x)), POINTS).suspicions
    assert [(s.op, s.kind) for s in found] == [("trial", "factor"), ("other", "sign")]


@pytest.mark.parametrize(
    ("f", "what"),
    [
        (lambda x: x * x.detach(), "part of the gradient"),
        (lambda x: 0 * x + np.sin(x.data), "the whole gradient"),
        (lambda x: Tensor(np.sin(x.data)), "the whole gradient"),
    ],
)
def test_what_leaves_the_graph_is_called_detached(f: Any, what: str) -> None:
    suspicion = the_only_suspicion(diagnose(f, POINTS))
    assert (suspicion.kind, suspicion.op, suspicion.input) == ("detached", None, "x")
    assert what in suspicion.text


@pytest.mark.parametrize(
    ("f", "op"),
    [
        (lambda x: x.astype(np.float32) ** 2, "astype"),
        (
            an_op(
                lambda x: np.sin(x.astype(np.float32)).astype(np.float64),
                lambda g, y, x: g * np.cos(x),
            ),
            "trial",
        ),
    ],
)
def test_rounding_to_float32_is_recognised(f: Any, op: str) -> None:
    report = diagnose(f, POINTS)
    suspicion = the_only_suspicion(report)
    assert (suspicion.kind, suspicion.op) == ("float32", op)
    assert "the rule is right" in suspicion.text
    assert report.taylor.slope == pytest.approx(2, abs=0.2)


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


def test_a_step_that_is_too_large_for_the_function_is_recognised() -> None:
    suspicion = the_only_suspicion(diagnose(lambda x: np.sin(1e5 * np.abs(x)), POINTS))
    assert (suspicion.kind, suspicion.op) == ("step", None)  # sin by itself takes complex numbers


@pytest.mark.parametrize(
    ("f", "x", "kinks"),
    [
        (np.abs, [0.0, 1.0], {0: (-1, 1)}),
        (lambda x: x.relu(), [0.0, -1.0, 1.0], {0: (0, 1)}),
        (lambda x: np.max(x), [1.0, 1.0, 0.0], {0: (0, 1), 1: (0, 1)}),
        (lambda x: np.clip(x, -0.5, 0.5), [0.2, 0.5, -0.5], {1: (1, 0), 2: (0, 1)}),
        (lambda x: np.abs(x) + x**2, [3.0, 0.0], {1: (-1, 1)}),
        (lambda x: np.abs(x - 5), [5.0, 0.0], {0: (-1, 1)}),
        (lambda x: np.sum(np.where(x.data > 0, 3 * x, x)), [0.0, 1.0], {0: (1, 3)}),
    ],
)
def test_kinks_are_found_with_both_slopes(
    f: Any, x: list[float], kinks: dict[int, tuple[float, float]]
) -> None:
    found = diagnose(lambda x: np.sum(f(x)), np.array(x)).kinks
    assert {kink.index[0]: (kink.left, kink.right) for kink in found} == {
        i: pytest.approx(slopes, abs=1e-4) for i, slopes in kinks.items()
    }
    assert all(kink.distance == 0 and "has a kink here" in str(kink) for kink in found)


def test_a_failure_at_a_kink_is_not_blamed_on_the_rule() -> None:
    report = diagnose(lambda x: np.exp(x.relu()), np.array([0.0, 1.0, -1.0]))
    suspicion = the_only_suspicion(report)
    assert (suspicion.kind, suspicion.op) == ("kink", "relu")
    assert "not differentiable at x[0]" in suspicion.text
    assert "move the input" in suspicion.text
    assert [kink.name for kink in report.kinks] == ["x[0]"]
    assert report.taylor.slope == pytest.approx(1, abs=0.1)


def test_what_no_rule_is_to_blame_for_is_not_called_wrong() -> None:
    rough = an_op(lambda x: np.sin(x.astype(np.float32)) * 1.0, lambda g, y, x: g * np.cos(x))
    for f in (Tensor.relu, rough, lambda x: np.sin(1e5 * np.abs(x + 1))):
        report = gradcheck(f, np.array([0.0, 1.0]), raise_exception=False)
        assert report.verdict == "cannot be measured here"
        assert str(report).startswith("the derivative of order 1 cannot be measured here: ")
    assert gradcheck(Tensor.relu, POINTS).verdict == "passes"
    wrong = gradcheck(square(lambda g, y, x: g * x), POINTS, raise_exception=False)
    assert wrong.verdict == "is wrong"


@pytest.mark.parametrize("given", [0.0, 0.3, 1.0])
def test_at_a_kink_a_rule_may_give_what_lies_between_the_slopes(given: float) -> None:
    op = an_op(lambda x: np.maximum(x, 0), lambda g, y, x: g * np.where(x == 0, given, x > 0))
    assert the_only_suspicion(diagnose(op, np.array([0.0, 1.0]))).kind == "kink"


@pytest.mark.parametrize("given", [-0.2, 1.2, 7.0])
def test_at_a_kink_a_rule_that_gives_no_slope_is_wrong(given: float) -> None:
    op = an_op(lambda x: np.maximum(x, 0), lambda g, y, x: g * np.where(x == 0, given, x > 0))
    report = diagnose(op, np.array([0.0, 1.0]))
    assert the_only_suspicion(report).kind == "slope"
    assert "is wrong" in str(report)
    (kink,) = report.kinks
    assert kink.rule == report.rule
    assert f"the rule gives {kink.rule:.6g}" in str(kink)


def test_a_pole_is_named_and_nothing_is_said_to_be_known_of_it() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        report = diagnose(lambda x: 1 / x, np.array([[0.1, 1.0], [2.0, 0.0]]))
    assert report.index == (1, 1)
    assert "infinite or not a number only at x[1, 1] (1 of 4" in the_only_suspicion(report).text
    assert np.isnan(report.sweep.value)
    assert "Taylor remainder: none" in str(report)


def test_a_wrong_rule_of_a_large_input_is_explained_by_the_elements_that_were_tried() -> None:
    x = np.random.default_rng(0).standard_normal((60, 100))
    everywhere = diagnose(square(lambda g, y, x: 4 * g * x), x)
    assert "2 times what it should be at every element" in the_only_suspicion(everywhere).text
    half = diagnose(square(lambda g, y, x: 2 * g * x * np.where(x < 0, 3, 1)), x)
    tried = some_elements([x], [x], seed=1)[0]
    assert (
        f"only where x < 0 ({1 + (tried & (x < 0)).sum()} of {1 + tried.sum()} elements tried)"
        in the_only_suspicion(half).text
    )
    turned = diagnose(an_op(lambda x: np.maximum(x, 0), lambda g, y, x: g * (x < 0)), x)
    assert "turn the mask" in the_only_suspicion(turned).text


def test_an_op_that_is_wrong_at_an_untried_element_is_blamed_all_the_same() -> None:
    x = np.random.default_rng(0).standard_normal(6000)
    ((in_check,), (in_case,)) = (some_elements([x], [x], seed) for seed in (0, 1))
    only = np.flatnonzero(in_check & ~in_case)[0]
    op = square(lambda g, y, x: 2 * g * x * np.where(np.arange(x.size) == only, 3, 1))
    report = diagnose(op, x)
    assert report.index == (only,)
    suspicion = the_only_suspicion(report)
    assert (suspicion.kind, suspicion.op) == ("factor", "trial")
    assert f"3 times what it should be only at x[{only}]" in suspicion.text


@pytest.mark.parametrize("around", [lambda y: y, np.sum, lambda y: np.mean(np.abs(y))])
def test_one_wrong_element_is_found_among_many_that_are_not_tried(around: Any) -> None:
    x = np.random.default_rng(0).standard_normal((200, 200))
    (in_check,) = some_elements([x], [x], 0)
    assert not in_check[66, 28]
    right = np.ones(x.shape)
    right[66, 28] = 0
    op = square(lambda g, y, x: 2 * g * x * right)
    report = gradcheck(lambda x: around(op(x)), x, raise_exception=False)
    assert (report.ok, report.index, report.rule) == (False, (66, 28), 0)
    assert report.warnings == ("x was checked at 501 of its 40,000 elements, chosen at random",)
    found = {s.op: s for s in report.suspicions}["trial"]
    assert (found.kind, found.input) == ("missing", "x")
    assert "0 only at x[66, 28] (1 of 501 elements tried)" in found.text


def test_a_factor_is_found_where_the_square_of_the_gradient_is_no_number() -> None:
    op = an_op(lambda x: np.exp(1000 * x), lambda g, y, x: 2000 * g * y)
    assert the_only_suspicion(diagnose(op, np.array([0.6, 0.5]))).factor == pytest.approx(2)


def test_a_kink_within_the_step_is_found_with_its_distance() -> None:
    report = diagnose(np.abs, np.array([2e-6, -1.0]))
    (kink,) = report.kinks
    assert kink.distance == pytest.approx(2e-6, rel=1e-3)
    assert "within the step" in str(kink)
    assert the_only_suspicion(report).kind == "kink"


def test_a_kink_within_the_step_is_no_obstacle_to_the_complex_step() -> None:
    assert gradcheck(Tensor.relu, np.array([2e-6, -1.0])).method == COMPLEX


def test_a_rule_that_is_wrong_beside_a_kink_is_still_blamed() -> None:
    op = an_op(lambda x: np.maximum(x, 0), lambda g, y, x: 3 * g * (x > 0))
    suspicion = the_only_suspicion(diagnose(op, np.array([0.0, 1.0, -1.0, 2.0])))
    assert (suspicion.kind, suspicion.factor) == ("factor", pytest.approx(3))


@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.floats(-5, 5), min_size=n, max_size=n)))
@settings(max_examples=30)
def test_smooth_functions_have_no_kinks(x: list[float]) -> None:
    def f(x: Tensor) -> Tensor:
        return np.sin(3 * x) + np.exp(-x * x) + x**3

    report = diagnose(f, np.array(x))
    assert report.kinks == ()
    assert report.suspicions == ()


def test_the_error_of_central_differences_is_a_v() -> None:
    sweep = diagnose(np.exp, np.array(0.5)).sweep
    exact = np.exp(0.5)
    assert (sweep.value, sweep.rule) == (pytest.approx(exact, rel=1e-15),) * 2
    assert np.array_equal(sweep.steps, STEPS)
    h = sweep.steps[0]
    assert sweep.differences[0] == (np.exp(0.5 + h) - np.exp(0.5 - h)) / (2 * h)
    assert np.array_equal(sweep.errors, np.abs(sweep.differences - sweep.value) / sweep.value)
    left = sweep.steps >= 1e-4
    assert sweep.errors[left] == pytest.approx(sweep.steps[left] ** 2 / 6, rel=0.01)
    best = sweep.steps[np.argmin(sweep.errors)]
    assert 1e-7 < best < 1e-4
    assert sweep.errors[-1] > 1e3 * sweep.errors.min()


def test_the_best_known_value_needs_no_complex_step() -> None:
    report = diagnose(lambda x: np.exp(x) * np.abs(x), np.array(0.5))
    assert report.method != COMPLEX
    assert report.sweep.value == pytest.approx(1.5 * np.exp(0.5), rel=1e-11)


@pytest.mark.parametrize(("off", "slope"), [(0.0, 2), (1e-3, 1), (1.0, 1), (-3.0, 1)])
def test_the_slope_of_the_taylor_remainder_is_2_for_a_right_gradient_alone(
    off: float, slope: int
) -> None:
    op = an_op(np.exp, lambda g, y, x: g * y * (1 + off))
    taylor = diagnose(op, POINTS).taylor
    assert taylor.slope == pytest.approx(slope, abs=0.05)
    assert taylor.remainders.shape == taylor.steps.shape


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e7])
def test_the_taylor_remainder_of_a_steep_function_is_taken_above_its_rounding(
    scale: float,
) -> None:
    x = np.array([0.1, -0.1, 0.6]) * 1000 / scale
    assert diagnose(lambda x: np.exp(scale * x), x).taylor.slope == pytest.approx(2, abs=0.05)
    assert diagnose(lambda x: np.sin(scale * x), x).taylor.slope == pytest.approx(2, abs=0.2)


def test_a_linear_function_leaves_no_taylor_remainder() -> None:
    assert diagnose(lambda x: 3 * x + 1, POINTS).taylor.slope is None


@pytest.mark.parametrize("name", TABLE)
def test_the_rules_of_the_table_get_a_clean_bill(name: str) -> None:
    f, inputs = as_function(TABLE[name], TABLE[name].examples[0], np.random.default_rng(0))
    report = diagnose(f, inputs)
    assert (report.ok, report.suspicions, report.kinks) == (True, (), ())
    assert "no suspicion" in str(report)
    if report.taylor.slope is not None:
        assert 1.9 < report.taylor.slope < 3.1


WRONG_SQUARES: dict[str, Rule] = {
    "sign": lambda g, y, x: -2 * g * x,
    "factor": lambda g, y, x: 7 * g * x,
    "ignores g": lambda g, y, x: 2 * x,
    "nan": lambda g, y, x: g * np.nan,
    "kept": lambda g, y, x: np.multiply(g, x, out=np.empty(x.shape)),
    "in place": lambda g, y, x: np.multiply(g, x, out=g),
    "float32": lambda g, y, x: (2 * g * x).astype(np.float32),
    "missing": lambda g, y, x: 0 * g,
}


@pytest.mark.parametrize("names", [*combinations(WRONG_SQUARES, 2)], ids=" and ".join)
def test_several_mistakes_at_once_are_diagnosed_without_a_crash(names: tuple[str, str]) -> None:
    first, second = (WRONG_SQUARES[name] for name in names)
    one, other = square(first), Op("other", "other", "trial", np.square, (second,))
    report = diagnose(lambda x: other(one(x) + x) * x.relu(), np.append(POINTS, 0.0))
    assert not report.ok
    assert {s.op for s in report.suspicions} & {"trial", "other"}


def test_a_wrong_definition_is_told_from_a_wrong_rule() -> None:
    row = an_op(lambda x: None, definition=lambda x: 2 * x * x * x)
    row.kernel(lambda x: (x**3,))
    row.rule(lambda g, y, saved, x: (g * 3 * x**2,))
    suspicion = the_only_suspicion(diagnose(row, POINTS, order=2))
    assert (suspicion.kind, suspicion.op) == ("definition", "trial")
    assert diagnose(row, POINTS).suspicions == ()


def test_a_rule_that_loses_its_own_derivative_is_found_at_order_2() -> None:
    op = an_op(lambda x: x**3, lambda g, y, x: g * (3 * unwrap(x) ** 2))
    suspicion = the_only_suspicion(diagnose(lambda x: np.sin(op(x)), POINTS, order=2))
    assert (suspicion.kind, suspicion.op) == ("second derivative", "trial")


def test_infinite_scores_of_a_mask_are_nobodys_mistake() -> None:
    mask, wrong = np.tril(np.ones((3, 3), bool)), square(lambda g, y, x: g * x)

    def f(x: Tensor) -> Tensor:
        return wrong(np.where(mask, x, -np.inf).softmax())

    assert the_only_suspicion(diagnose(f, A)).op == "trial"


@pytest.mark.parametrize("order", [1, 2])
def test_the_evidence_is_no_worse_for_an_infinite_input(order: int) -> None:
    def f(x: Tensor, m: Tensor, lost: Tensor) -> Tensor:
        return np.sum((x + m).softmax() * np.tanh(x) + np.tanh(lost))

    infinite = [np.array([0.0, -np.inf, 0.0]), np.array([np.inf])]
    report = diagnose(f, [POINTS[0], *infinite], order)
    assert (report.ok, report.suspicions) == (True, ())
    assert report.taylor.slope == pytest.approx(2, abs=0.05)


def test_a_rule_that_cannot_be_tried_by_itself_is_told() -> None:
    calls = count()
    op = square(lambda g, y, x: g * x * (1 if next(calls) < 3 else [1, 2, 3, 4]))
    suspicion = the_only_suspicion(diagnose(op, POINTS))
    assert suspicion.kind == "unknown"
    assert "cannot be tried by itself: " in suspicion.text


def test_a_failed_check_carries_the_diagnosis_and_a_passed_one_does_not() -> None:
    op = an_op(np.square, lambda g, y, x: 4 * g * x, examples=[on((2, 3))])
    report = gradcheck(op, POINTS, raise_exception=False)
    assert report.suspicions
    assert report.taylor is not None
    with pytest.raises(GradientError, match="suspicion: factor: trial: gradient by x: 2 times"):
        gradcheck(op, POINTS)
    assert str(diagnose(op, POINTS)) == str(report)
    assert "suspicion: factor" in check_op(op)[0].report
    passed = gradcheck(np.square, POINTS)
    assert (passed.suspicions, passed.taylor, passed.sweep) == ((), None, None)


def test_the_diagnosis_prints_every_decade_of_the_sweep() -> None:
    report = diagnose(np.exp, POINTS)
    lines = str(report).splitlines()[-12:]
    assert [float(line.split()[0]) for line in lines] == pytest.approx(list(STEPS[::2]))
    assert sum(line.endswith("<") for line in lines) == 1
    for line, difference in zip(lines, report.sweep.differences[::2], strict=True):
        assert line.split()[1] == f"{difference:.12g}"
