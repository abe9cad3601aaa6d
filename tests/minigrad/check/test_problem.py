"""What a check makes of a function and its inputs: a problem, remarks on it, or a refusal."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor, diagnose, gradcheck, no_grad
from tests.minigrad.check.wrong_ops import POINTS, A, an_op, matrix_op, report_on


def test_what_gives_no_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="f must give a Tensor"):
        diagnose(lambda x: None, POINTS)


def test_float32_inputs_are_checked_in_float64_and_the_report_says_so() -> None:
    report = gradcheck(np.tanh, POINTS.astype(np.float32))
    assert report.error < 1e-14
    assert report.warnings == ("x is float32; it was checked in float64",)
    assert report.warnings[0] in str(report)
    assert gradcheck(np.tanh, POINTS).warnings == ()


def test_a_function_that_rounds_to_float32_is_warned_about() -> None:
    report = gradcheck(lambda x: x.astype(np.float32) ** 2, POINTS, raise_exception=False)
    assert "the result is float32" in report.warnings[0]


def test_only_floating_arrays_are_differentiated_by() -> None:
    chosen = np.array([2, 0])

    def f(x: Tensor, index: Any, power: Any, label: str) -> Tensor:
        assert (index is chosen, power, label) == (True, 3, "as it is")
        return x[:, index] ** power

    assert gradcheck(f, [POINTS, chosen, 3, "as it is"], 2)


def test_functions_of_several_inputs_and_results_are_checked_in_all_of_them() -> None:
    inputs = [Tensor(POINTS), np.float64(0.5), np.zeros((0, 3))]
    assert gradcheck(lambda a, b, c: [a * b, np.exp(b), c + a[0]], inputs, 2)
    one_lost = gradcheck(lambda a, b: [a * b, b.detach()], inputs[:2], raise_exception=False)
    assert (one_lost.ok, one_lost.input) == (False, 1)


@pytest.mark.parametrize(
    ("f", "inputs", "name"),
    [
        (lambda x, w: np.abs(x @ w.detach()), [A, A], "w"),
        (lambda x, /, **options: 2 * x.detach(), [A], "x"),
        (lambda first, *more: sum(more).detach(), [A, A], "input 1"),
        (lambda x: 2 * x.detach(), [Tensor(A, name="weight")], "weight"),
        (matrix_op(right=lambda g, y, a, b: 2 * g), [A, A], "b"),
        (np.matmul, [A, A], "a"),
        (functools.partial(lambda w, x: 2 * x.detach(), 1), [A], "x"),
    ],
)
def test_an_input_is_called_by_its_own_name_or_by_its_parameter(
    f: Any, inputs: Any, name: str
) -> None:
    report = gradcheck(f, inputs, raise_exception=False)
    assert f"at {name}[" in str(report)
    assert report.ok or f"gradient by {name}" in str(report)


def test_elements_that_are_not_finite_are_left_out_with_a_warning() -> None:
    c, m = np.array([1.0, 2.0, 3.0]), np.array([0.0, -np.inf, 0.0])

    def f(x: Tensor, m: Tensor) -> Tensor:
        return np.sum((x + m).softmax() * c)

    report = gradcheck(f, [POINTS[0], m])
    remark = "m was not checked at m[1], where it is not finite: nothing to measure"
    assert report.warnings == (remark,)
    assert report.name != "m" or report.index != (1,)
    assert gradcheck(f, [POINTS[0], m], 2).warnings == (remark,)
    many = np.array([np.inf, -np.inf, np.inf, -np.inf, 0.5])
    assert "at x[0], x[1], x[2], …, where" in gradcheck(np.tanh, many).warnings[0]
    wrong = report_on(an_op(np.tanh, lambda g, y, x: g * (1 - y)), many)
    assert (wrong.ok, wrong.index) == (False, (4,))


def test_an_input_without_a_finite_element_is_not_differentiated_by() -> None:
    report = gradcheck(lambda x, m: np.sum(x * np.exp(m)), [POINTS, np.array([-np.inf])])
    assert (report.name, len(report.warnings)) == ("x", 1)


def test_the_inputs_are_left_as_they_were() -> None:
    x = Tensor(POINTS, requires_grad=True)
    with no_grad():
        gradcheck(np.tanh, x, 2)
    assert np.array_equal(x.data, POINTS)
    assert x.grad is None


@pytest.mark.parametrize(
    ("inputs", "order", "message"),
    [
        ([np.arange(3), 2.0], 1, "no input is a floating array"),
        ([np.zeros((0, 3)), 2], 1, "the floating inputs have no finite elements"),
        ([np.array([np.inf, np.nan])], 1, "the floating inputs have no finite elements"),
        ([POINTS], 3, "order is 1 or 2, not 3"),
    ],
)
def test_what_cannot_be_checked_is_refused(inputs: list[Any], order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gradcheck(lambda *inputs: np.sin(inputs[0]), inputs, order)


def test_a_random_function_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two calls of f gave two results"):
        gradcheck(lambda x: TABLE["dropout"](x, 0.5, rng), POINTS)


@pytest.mark.parametrize("p", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_function_that_is_random_now_and_then_is_never_blamed_on_a_rule(
    p: float, size: int
) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(size)
        try:
            gradcheck(lambda x, rng=rng: TABLE["dropout"](x, p, rng), x, 1 + seed % 2)
        except ValueError as error:
            assert "two calls of f gave two results" in str(error)
        else:
            assert size * p < 0.1  # it may never have dropped anything


def test_a_function_that_counts_its_calls_is_called_random() -> None:
    calls: list[int] = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x * (1 + (len(calls) > 7))

    with pytest.raises(ValueError, match="two calls of f gave two results"):
        gradcheck(f, POINTS)
