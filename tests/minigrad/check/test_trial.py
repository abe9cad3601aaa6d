"""What the trial of one rule promises: it says where the rule is wrong, by itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, diagnose
from minigrad.check.numbers import some_elements
from tests.minigrad.check.wrong_ops import POINTS, A, Array, an_op, square, the_only_suspicion


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


def test_infinite_scores_of_a_mask_are_nobodys_mistake() -> None:
    mask, wrong = np.tril(np.ones((3, 3), bool)), square(lambda g, y, x: g * x)

    def f(x: Tensor) -> Tensor:
        return wrong(np.where(mask, x, -np.inf).softmax())

    assert the_only_suspicion(diagnose(f, A)).op == "trial"


def test_a_rule_that_cannot_be_tried_by_itself_is_told() -> None:
    calls = count()
    op = square(lambda g, y, x: g * x * (1 if next(calls) < 3 else [1, 2, 3, 4]))
    suspicion = the_only_suspicion(diagnose(op, POINTS))
    assert suspicion.kind == "unknown"
    assert "cannot be tried by itself: " in suspicion.text
