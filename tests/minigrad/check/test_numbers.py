"""What differences and the complex step promise: right numbers, of elements well chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor, gradcheck
from minigrad.check.numbers import COMPLEX, some_elements
from tests.minigrad.check.wrong_ops import POINTS, an_op, cube, report_on, square


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


def test_a_kink_within_the_step_is_no_obstacle_to_the_complex_step() -> None:
    assert gradcheck(Tensor.relu, np.array([2e-6, -1.0])).method == COMPLEX


def test_analytic_functions_are_checked_to_rounding_by_the_complex_step() -> None:
    report = gradcheck(lambda x: np.exp(np.sin(x) / (1 + x**2)), POINTS)
    assert report.method == "complex step"
    assert report.error < 1e-14


@pytest.mark.parametrize("x", [1e-2, 1e-3, 1e-4])
def test_the_complex_step_is_believed_near_a_pole_where_differences_need_a_finer_step(
    x: float,
) -> None:
    assert gradcheck(lambda x: 1 / x, np.array([x, 1.0])).method == "complex step"
    assert gradcheck(np.log, np.array([x, 1.0])).method == "complex step"
    off = report_on(an_op(lambda x: 1 / x, lambda g, y, x: -1.001 * g * y * y), np.array([x, 1.0]))
    assert off.error == pytest.approx(1e-3)


@pytest.mark.parametrize("f", [np.abs, TABLE["erf"], TABLE["layer_norm"]])
def test_functions_that_are_not_analytic_fall_back_to_central_differences(f: Any) -> None:
    weights = [np.ones(3), np.zeros(3)] if f is TABLE["layer_norm"] else []
    report = gradcheck(f, [POINTS, *weights])
    assert report.method == "central differences"
    assert report.step >= 1e-6


def test_the_complex_step_is_not_believed_where_it_misses_what_the_rule_misses() -> None:
    def lost(x: Tensor) -> Tensor:  # both the rule and the complex step see a constant
        return x * 0 + np.abs(x.data)

    assert not gradcheck(lost, POINTS, raise_exception=False)


@pytest.mark.parametrize("order", [1, 2])
def test_of_a_large_input_some_elements_are_tried_and_the_report_says_how_many(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.check.numbers.EFFORT", 3000)
    monkeypatch.setattr("minigrad.check.numbers.FEWEST", 7)
    x = np.random.default_rng(0).standard_normal((20, 50))
    report = report_on(cube(), x, order=order)
    assert report.warnings == ("x was checked at 7 of its 1,000 elements, chosen at random",)
    assert not report_on(cube(1.001), x, order=order)
    assert report_on(cube(), x[:2, :15], order=order).warnings == ()


def test_the_number_of_elements_tried_keeps_a_check_to_seconds() -> None:
    for size, tried in ((4000, 4000), (40_000, 500), (1_000_000, 100)):
        (mask,) = some_elements([np.zeros(size)], [np.zeros(size)], 0)
        assert mask.sum() == tried
    x = np.zeros(40_000)
    (one,), (other,) = (some_elements([x], [x], seed) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_an_element_for_which_a_rule_gives_no_number_is_never_left_out() -> None:
    wrong = an_op(np.square, lambda g, y, x: g * 2 * x * np.where(x == 3, np.nan, 1))
    x = np.ones(50_000)
    x[12_345] = 3
    report = report_on(wrong, x)
    assert (report.ok, report.index) == (False, (12_345,))
    assert np.isfinite(report.numerical)
    assert "only at x[12345] (1 of 401 elements tried)" in str(report)


def test_only_an_element_that_was_tried_is_named_with_its_numbers() -> None:
    x = np.random.default_rng(0).standard_normal((200, 200))
    for f in (np.sum, lambda x: np.sum(np.max(x, axis=1))):
        report = gradcheck(f, x)
        (tried,) = some_elements([x], [x], 0)
        assert tried[report.index]
        assert not tried[0, 0]
        assert report.numerical == pytest.approx(report.rule)
    assert gradcheck(np.sum, x).numerical == 1


def test_numbers_whose_squares_are_infinite_are_measured() -> None:
    for x in ([700.0, 1.0], [-700.0, 1.0], [1.0, 2.0]):
        assert gradcheck(lambda x: np.sum(np.exp(x)), np.array(x)).error < 1e-12


def test_a_small_slope_by_a_large_number_is_measured_by_what_the_number_changes() -> None:
    almost_flat = an_op(lambda x: 1 + 1e-7 * x, lambda g, y, x: 1.1e-7 * g)
    report = report_on(almost_flat, np.array([1000.0]))
    assert report.error == pytest.approx(1e-8 / (1e-3 / 1000), rel=1e-3)
    assert not report.ok
