"""What the check of the table promises: every row is right, and one made wrong is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE
from minigrad.check import check_table
from minigrad.check.measure import check_problem
from minigrad.check.numbers import STEP
from minigrad.check.rows import as_function, check_example, check_op
from minigrad.op import Example, Op, on
from tests.minigrad.check.wrong_ops import an_op, cube, fused_cube

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
