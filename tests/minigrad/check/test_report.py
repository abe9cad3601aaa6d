"""What a report says: the worst element, with its numbers, and whether the check passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.check import GradientError
from tests.minigrad.check.wrong_ops import POINTS, an_op, cube, report_on, square


def test_what_no_rule_is_to_blame_for_is_not_called_wrong() -> None:
    rough = an_op(lambda x: np.sin(x.astype(np.float32)) * 1.0, lambda g, y, x: g * np.cos(x))
    for f in (Tensor.relu, rough, lambda x: np.sin(1e5 * np.abs(x + 1))):
        report = gradcheck(f, np.array([0.0, 1.0]), raise_exception=False)
        assert report.verdict == "cannot be measured here"
        assert str(report).startswith("the derivative of order 1 cannot be measured here: ")
    assert gradcheck(Tensor.relu, POINTS).verdict == "passes"
    wrong = gradcheck(square(lambda g, y, x: g * x), POINTS, raise_exception=False)
    assert wrong.verdict == "is wrong"


def test_one_wrong_element_is_the_one_that_is_named() -> None:
    def rule(g: Any, y: Any, x: Any) -> Any:
        wrong = np.ones(np.shape(x))
        wrong[1, 2] = 1.5
        return g * 2 * x * wrong

    report = report_on(an_op(np.square, rule), POINTS)
    assert (report.input, report.index) == (0, (1, 2))
    assert report.rule == pytest.approx(1.5 * report.numerical)
    assert report.absolute_error == abs(report.rule - report.numerical)
    assert "at x[1, 2]: rule" in str(report)


def test_the_numbers_of_a_scalar_function_are_its_derivatives() -> None:
    report = gradcheck(lambda x: x**3, np.array(2.0))
    assert (report.index, report.rule, report.numerical) == ((), 12.0, 12.0)


def test_a_failure_is_raised_with_the_report_as_text() -> None:
    report = report_on(cube(1.001), POINTS)
    with pytest.raises(GradientError) as error:
        gradcheck(cube(1.001), POINTS)
    assert str(error.value) == str(report)
    for part in ("order 1 is wrong", "1.0e-03", "tolerance 1e-10", "complex step", "step 1.0e-100"):
        assert part in str(report)
    for value in (report.rule, report.numerical):
        assert f"{value:.12g}" in str(report)


def test_a_tolerance_of_ones_own_decides() -> None:
    assert gradcheck(cube(1.001), POINTS, tolerance=2e-3)
    assert not gradcheck(cube(1.001), POINTS, tolerance=5e-4, raise_exception=False)
