"""What numbers say of a function: its kinks, its rounding, the sweep and the Taylor remainder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, diagnose
from minigrad.check.evidence import STEPS
from minigrad.check.numbers import COMPLEX
from tests.minigrad.check.wrong_ops import POINTS, an_op, the_only_suspicion


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


def test_a_kink_within_the_step_is_found_with_its_distance() -> None:
    report = diagnose(np.abs, np.array([2e-6, -1.0]))
    (kink,) = report.kinks
    assert kink.distance == pytest.approx(2e-6, rel=1e-3)
    assert "within the step" in str(kink)
    assert the_only_suspicion(report).kind == "kink"


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


@pytest.mark.parametrize("order", [1, 2])
def test_the_evidence_is_no_worse_for_an_infinite_input(order: int) -> None:
    def f(x: Tensor, m: Tensor, lost: Tensor) -> Tensor:
        return np.sum((x + m).softmax() * np.tanh(x) + np.tanh(lost))

    infinite = [np.array([0.0, -np.inf, 0.0]), np.array([np.inf])]
    report = diagnose(f, [POINTS[0], *infinite], order)
    assert (report.ok, report.suspicions) == (True, ())
    assert report.taylor.slope == pytest.approx(2, abs=0.05)


def test_the_diagnosis_prints_every_decade_of_the_sweep() -> None:
    report = diagnose(np.exp, POINTS)
    lines = str(report).splitlines()[-12:]
    assert [float(line.split()[0]) for line in lines] == pytest.approx(list(STEPS[::2]))
    assert sum(line.endswith("<") for line in lines) == 1
    for line, difference in zip(lines, report.sweep.differences[::2], strict=True):
        assert line.split()[1] == f"{difference:.12g}"
