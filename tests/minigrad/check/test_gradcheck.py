"""What the gradient check promises: right rules pass, wrong ones are caught and pointed at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import TABLE, Tensor, no_grad
from minigrad.check import GradientError, check_table, gradcheck
from minigrad.check.measure import check_problem
from minigrad.check.numbers import STEP, some_elements
from minigrad.check.rows import as_function, check_example, check_op
from minigrad.op import Example, Op, on
from minigrad.tensor import unwrap

Array = np.ndarray[Any, Any]

A = np.random.default_rng(0).standard_normal((3, 3))
POINTS = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])


def an_op(forward: Callable[..., Any], *rules: Callable[..., Any], **fields: Any) -> Op:
    """A row that is in no table."""
    return Op("trial", "trial", "trial", forward, rules, **fields)


def cube(factor: float = 1.0) -> Op:
    """x³ whose rule is `factor` times the right one."""
    return an_op(lambda x: x**3, lambda g, y, x: g * (factor * 3 * x**2), examples=[on((2, 3))])


def fused_cube(factor: float = 1.0) -> Op:
    """x³ with a right kernel and joint rule, and a definition that is wrong by `factor`."""
    row = an_op(lambda x: None, definition=lambda x: x * x * x * factor, examples=[on((2, 3))])
    row.kernel(lambda x: (x**3,))
    row.rule(lambda g, y, saved, x: (g * 3 * x**2,))
    return row


def matrix_op(left: Callable[..., Any], right: Callable[..., Any]) -> Op:
    """A matrix product with these two rules."""
    return an_op(np.matmul, left, right, examples=[on((3, 3), (3, 3))])


TRANSPOSED = {"a": lambda g, y, a, b: g @ b.T, "b": lambda g, y, a, b: a.T @ g}


def report_on(op: Op, *inputs: Any, order: int = 1) -> Any:
    return gradcheck(op, list(inputs), order, raise_exception=False)


@pytest.mark.parametrize("order", [1, 2])
def test_a_right_rule_passes_and_one_wrong_by_a_thousandth_is_caught(order: int) -> None:
    assert gradcheck(cube(), POINTS, order)
    wrong = report_on(cube(1.001), POINTS, order=order)
    assert not wrong
    assert wrong.error == pytest.approx(1e-3)


ZERO = {("where", 0), ("masked_fill", 1), ("copysign", 1), ("heaviside", 0)}
"""The rules, by op and input, that give nothing but zeros, of which a thousandth is nothing."""


def spoilt(op: Op) -> Iterator[Op]:
    """The row with one of its rules wrong by a thousandth, for each of them."""

    def off(rule: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **params: rule(*args, **params) * 1.001

    for i, rule in enumerate(op.rules):
        if rule is not None and (op.name, i) not in ZERO:
            wrong = copy(op)
            wrong.rules = (*op.rules[:i], off(rule), *op.rules[i + 1 :])
            yield wrong
    if op.joint is not None:
        wrong, joint = copy(op), op.joint
        wrong.joint = lambda *args, **params: [
            None if g is None else g * 1.001 for g in joint(*args, **params)
        ]
        yield wrong


def worst_example(op: Op, order: int) -> Example:
    """The example at which a row is most wrong, found without a diagnosis of each."""

    def error(example: Example) -> float:
        f, inputs = as_function(op, example, np.random.default_rng(0))
        return check_problem(f, inputs, order, tolerance=None, step=STEP, seed=0)[1].error

    return max(op.examples, key=error)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", [op.name for op in TABLE.values() if not op.composite])
def test_every_rule_of_the_table_is_caught_when_wrong_by_a_thousandth(
    name: str, order: int
) -> None:
    for wrong in spoilt(TABLE[name]):
        worst = check_example(wrong, worst_example(wrong, order), order, np.random.default_rng(0))
        assert worst.error == pytest.approx(1e-3, rel=0.1)
        assert not worst.ok
        assert f"suspicion: factor: {name}: " in worst.report
        assert ": 1.001 times what it should be at every element" in worst.report


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
    def plus_bias(bias_gradient: Callable[[Array], Array]) -> Op:
        row = an_op(lambda x, bias: None, definition=lambda x, bias: x + bias)
        row.kernel(lambda x, bias: (x + bias,))
        row.rule(lambda g, y, saved, x, bias: (g, bias_gradient(g)))
        return row

    inputs = POINTS, np.array([1.0, 2.0, 3.0])
    assert report_on(plus_bias(lambda g: g.sum(0)), *inputs).ok
    report = report_on(plus_bias(lambda g: g[0]), *inputs)
    assert not report.ok
    assert report.input == 1


def test_a_forgotten_transpose_is_caught_in_the_input_that_has_it() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
    assert report_on(matrix_op(TRANSPOSED["a"], TRANSPOSED["b"]), *inputs).ok
    left = report_on(matrix_op(lambda g, y, a, b: g @ b, TRANSPOSED["b"]), *inputs)
    right = report_on(matrix_op(TRANSPOSED["a"], lambda g, y, a, b: a @ g), *inputs)
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


def test_float32_inputs_are_checked_in_float64_and_the_report_says_so() -> None:
    report = gradcheck(np.tanh, POINTS.astype(np.float32))
    assert report.error < 1e-14
    assert report.warnings == ("x is float32; it was checked in float64",)
    assert report.warnings[0] in str(report)
    assert gradcheck(np.tanh, POINTS).warnings == ()


def test_a_function_that_rounds_to_float32_is_warned_about() -> None:
    report = gradcheck(lambda x: x.astype(np.float32) ** 2, POINTS, raise_exception=False)
    assert "the result is float32" in report.warnings[0]


def test_a_derivative_that_is_not_a_number_is_wrong() -> None:
    report = report_on(an_op(np.square, lambda g, y, x: g * 2 * x * np.nan), POINTS)
    assert not report.ok
    assert report.error == np.inf


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
        (matrix_op(TRANSPOSED["a"], lambda g, y, a, b: 2 * g), [A, A], "b"),
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


def test_a_rule_that_is_infinite_is_named_before_the_differences_that_it_spoils() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        report = gradcheck(lambda x: 1 / x, np.array([0.1, 1.0, 0.0]), raise_exception=False)
    assert (report.error, report.index) == (np.inf, (2,))


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


@pytest.mark.parametrize(
    ("gives", "said"), [(None, "gives None"), ([1.0, 2.0], "gives a list"), (2.0, "gives a float")]
)
def test_a_rule_that_gives_no_array_is_named_in_one_line(gives: Any, said: str) -> None:
    op = an_op(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: gives)
    with pytest.raises(ValueError, match=f"^gradcheck: the rule of trial by b {said}, no array$"):
        gradcheck(op, [POINTS, POINTS])


def test_a_random_function_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="two calls of f gave two results"):
        gradcheck(lambda x: TABLE["dropout"](x, 0.5, rng), POINTS)


def test_a_row_of_the_table_says_what_was_called_and_what_came_out() -> None:
    first, *_, last = check_table(["stack", "clip"], orders=[1])
    assert (first.op, first.shapes, first.order, first.ok) == ("stack", "[(2, 3), (2, 3)]", 1, True)
    assert (last.op, last.shapes) == ("clip", "(2, 3), a_min=None, a_max=0.1")
    assert first.error < 1e-10
    assert "order 1 passes" in first.report


def test_the_table_is_checked_whole_at_both_orders() -> None:
    rows = check_table()
    assert {(row.op, row.order) for row in rows} == {(name, n) for name in TABLE for n in (1, 2)}
    assert [row for row in rows if not row.ok] == []


def test_check_op_finds_a_wrong_row() -> None:
    rows = check_op(cube(1.001)) + check_op(fused_cube(1.001), order=2)
    assert [(row.order, row.ok) for row in rows] == [(1, False), (2, False)]
    assert all(row.error == pytest.approx(1e-3) for row in rows)


def test_a_row_that_breaks_or_has_no_example_is_a_failure_of_its_own() -> None:
    (broken,) = check_op(an_op(np.square, lambda g, y, x: g @ x, examples=[on((2, 3))]))
    (bare,) = check_op(an_op(np.square, lambda g, y, x: g * 2 * x))
    assert (broken.ok, bare.ok) == (False, False)
    assert "a rule of trial fails, given g and y of (2, 3), inputs of (2, 3): " in broken.report
    assert "ValueError: matmul: Input operand 1" in broken.report
    assert "no example" in bare.report


def test_an_unknown_op_is_refused_with_the_names_that_come_close() -> None:
    with pytest.raises(ValueError, match=r"'sofmax'; did you mean softmax"):
        check_table(["exp", "sofmax"])
    with pytest.raises(ValueError, match=r"'xyzzy'; ops: .*softmax"):
        check_table(["xyzzy"])


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


def test_a_rule_that_is_random_is_named() -> None:
    rng = np.random.default_rng(0)
    wrong = an_op(np.square, lambda g, y, x: g * 2 * x * rng.integers(1, 3))
    said = str(report_on(wrong, POINTS))
    assert "stale: trial: two equal calls of the rule differ: it is random" in said


def test_a_small_slope_by_a_large_number_is_measured_by_what_the_number_changes() -> None:
    almost_flat = an_op(lambda x: 1 + 1e-7 * x, lambda g, y, x: 1.1e-7 * g)
    report = report_on(almost_flat, np.array([1000.0]))
    assert report.error == pytest.approx(1e-8 / (1e-3 / 1000), rel=1e-3)
    assert not report.ok
