"""What the gradient check promises: right rules pass, wrong ones are caught and pointed at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import TABLE, diagnose, gradcheck
from minigrad.check import GradientError
from minigrad.tensor import unwrap
from tests.minigrad.check.wrong_ops import (
    POINTS,
    Array,
    an_op,
    cube,
    fused_cube,
    matrix_op,
    plus_bias,
    report_on,
    square,
)


def test_a_rule_that_breaks_is_named_with_the_shapes() -> None:
    with pytest.raises(ValueError, match=r"a rule of trial fails, .* inputs of \(2, 3\): "):
        diagnose(square(lambda g, y, x: g @ x), POINTS)


@pytest.mark.parametrize("order", [1, 2])
def test_a_right_rule_passes_and_one_wrong_by_a_thousandth_is_caught(order: int) -> None:
    assert gradcheck(cube(), POINTS, order)
    wrong = report_on(cube(1.001), POINTS, order=order)
    assert not wrong
    assert wrong.error == pytest.approx(1e-3)


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_a_definition_wrong_by_a_thousandth_is_caught_at_order_2_alone(factor: float) -> None:
    assert gradcheck(fused_cube(), POINTS, 2)
    assert gradcheck(fused_cube(factor), POINTS, 1)
    with pytest.raises(GradientError):
        gradcheck(fused_cube(factor), POINTS, 2)


def test_a_rule_that_only_the_second_derivative_shows_wrong_is_caught_there() -> None:
    detached = an_op(lambda x: x**3, lambda g, y, x: g * (3 * unwrap(x) ** 2))
    assert report_on(detached, POINTS).ok
    report = report_on(detached, POINTS, order=2)
    assert not report.ok
    assert report.order == 2
    assert report.rule == 0


def test_a_wrong_sign_is_caught() -> None:
    assert report_on(an_op(np.cos, lambda g, y, x: -g * np.sin(x)), POINTS).ok
    assert not report_on(an_op(np.cos, lambda g, y, x: g * np.sin(x)), POINTS).ok


def test_a_missing_sum_over_a_broadcast_axis_is_caught() -> None:
    inputs = POINTS, np.array([1.0, 2.0, 3.0])
    assert report_on(plus_bias(lambda g: g.sum(0)), *inputs).ok
    report = report_on(plus_bias(lambda g: g[0]), *inputs)
    assert not report.ok
    assert report.input == 1


def test_a_forgotten_transpose_is_caught_in_the_input_that_has_it() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
    assert report_on(matrix_op(), *inputs).ok
    left = report_on(matrix_op(lambda g, y, a, b: g @ b), *inputs)
    right = report_on(matrix_op(right=lambda g, y, a, b: a @ g), *inputs)
    assert (left.ok, left.input, right.ok, right.input) == (False, 0, False, 1)


@given(off=st.floats(1e-8, 1e3), sign=st.sampled_from([-1, 1]), order=st.sampled_from([1, 2]))
def test_the_error_is_how_far_the_rule_is_off(off: float, sign: int, order: int) -> None:
    report = report_on(cube(1 + sign * off), POINTS, order=order)
    assert report.error == pytest.approx(off, rel=1e-4)
    assert not report.ok


@given(
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
    x=st.lists(st.floats(-10, 10), min_size=1, max_size=4),
)
def test_right_rules_pass_at_any_size(scale: float, offset: float, x: list[float]) -> None:
    gradcheck(lambda x: scale * (np.sin(x) * x + offset), np.array(x), 2)


def test_a_derivative_that_is_not_a_number_is_wrong() -> None:
    report = report_on(an_op(np.square, lambda g, y, x: g * 2 * x * np.nan), POINTS)
    assert not report.ok
    assert report.error == np.inf


def test_a_rule_that_is_infinite_is_named_before_the_differences_that_it_spoils() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        report = gradcheck(lambda x: 1 / x, np.array([0.1, 1.0, 0.0]), raise_exception=False)
    assert (report.error, report.index) == (np.inf, (2,))


@pytest.mark.parametrize(
    ("gives", "said"), [(None, "gives None"), ([1.0, 2.0], "gives a list"), (2.0, "gives a float")]
)
def test_a_rule_that_gives_no_array_is_named_in_one_line(gives: Any, said: str) -> None:
    op = an_op(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: gives)
    with pytest.raises(ValueError, match=f"^gradcheck: the rule of trial by b {said}, no array$"):
        gradcheck(op, [POINTS, POINTS])


SHARP: dict[str, tuple[Callable[..., Any], Array]] = {
    "abs": (np.abs, np.array([0.0, 1.0])),
    "sum of abs": (lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0])),
    "large abs": (lambda x: 1e6 * np.abs(x), np.array([1.0, 0.0])),
    "abs elsewhere": (lambda x: np.abs(x - 700), np.array([700.0, 1.0])),
    "relu": (TABLE["relu"], np.array([0.0, 1.0])),
    "leaky relu": (TABLE["leaky_relu"], np.array([-1.0, 0.0])),
    "maximum": (lambda x: np.maximum(x, 2.0), np.array([1.0, 2.0, 3.0])),
    "minimum": (lambda x: np.minimum(x[:2], x[2:]), np.array([1.0, 5.0, 1.0, 4.0])),
    "max of two": (np.max, np.array([1.0, 3.0, 3.0])),
    "max of three": (np.max, np.array([3.0, 3.0, 3.0])),
    "min of two": (np.min, np.array([1.0, 1.0, 3.0])),
    "clip above": (lambda x: np.clip(x, -0.5, 0.5), np.array([0.5, 0.0])),
    "clip below": (lambda x: np.clip(x, -0.5, 0.5), np.array([-0.5, 0.0])),
    "where": (lambda x: np.where(x.data > 0, x, 0.0), np.array([0.0, 1.0])),
    "where that jumps": (lambda x: np.where(x > 0, x + 1, x), np.array([0.0, 1.0])),
    "norm": (np.linalg.norm, np.zeros(3)),
    "std": (np.std, np.ones(3)),
    "x times sign": (lambda x: x * np.sign(x), np.array([0.0, 0.2])),
    "floor": (lambda x: x + np.floor(x), np.array([1.0, 0.5])),
    "round": (lambda x: x + np.round(x), np.array([0.5, 0.2])),
    "largest element": (lambda x: x[np.argmax(x)], np.array([1.0, 1.0, 0.0])),
    "sqrt": (np.sqrt, np.array([0.0, 1.0])),
    "root of a square": (lambda x: np.sqrt(x * x), np.array([0.0, 1.0])),
    "root of abs": (lambda x: np.sqrt(np.abs(x)), np.array([0.0, 1.0])),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", SHARP)
def test_at_a_kink_or_a_jump_nothing_passes_and_no_rule_is_blamed(name: str, order: int) -> None:
    f, x = SHARP[name]
    report = gradcheck(f, x, order, raise_exception=False)
    assert report.verdict == "cannot be measured here"
    moved = x + np.linspace(0.03, 0.05, x.size)
    assert gradcheck(f, moved, order)


def test_a_kink_among_many_elements_is_named_with_both_slopes() -> None:
    x = np.append(np.ones(300), 0.0)
    report = gradcheck(lambda x: np.sum(np.abs(x)), x, raise_exception=False)
    assert (report.index, report.rule, report.numerical) == ((300,), 0, pytest.approx(0, abs=1e-9))
    assert "x[300] has a kink here: slope -1 on the left, 1 on the right" in str(report)
    assert "not differentiable at x[300]" in str(report)


def test_a_kink_of_the_gradient_is_found_at_order_2_alone() -> None:
    x = np.array([0.0, 1.0])
    assert gradcheck(lambda x: TABLE["relu"](x) ** 2, x)
    report = gradcheck(lambda x: TABLE["relu"](x) ** 2, x, 2, raise_exception=False)
    assert (report.order, report.verdict) == (2, "cannot be measured here")


def test_a_bend_is_no_kink() -> None:
    for f in (np.square, lambda x: 1e4 * x * x, lambda x: np.cos(30 * x), lambda x: x**4):
        assert gradcheck(f, np.array([0.0, 0.5, 1.0]), 2)


def test_a_steep_function_that_is_smooth_is_still_checked() -> None:
    assert gradcheck(lambda x: np.tanh(1e3 * x), np.array([0.0, 1e-3]))
    wrong = an_op(np.tanh, lambda g, y, x: 1.01 * g * (1 - y * y))
    assert report_on(wrong, np.array([0.0, 0.5])).verdict == "is wrong"
