"""What a diagnosis promises: of many ops, the wrong ones alone are blamed."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor, diagnose, gradcheck
from minigrad.check import GradientError
from minigrad.check.rows import as_function, check_op
from minigrad.op import Op, on
from minigrad.tensor import unwrap
from tests.minigrad.check.wrong_ops import POINTS, Rule, an_op, square, the_only_suspicion


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


def test_a_rule_that_loses_its_own_derivative_is_found_at_order_2() -> None:
    op = an_op(lambda x: x**3, lambda g, y, x: g * (3 * unwrap(x) ** 2))
    suspicion = the_only_suspicion(diagnose(lambda x: np.sin(op(x)), POINTS, order=2))
    assert (suspicion.kind, suspicion.op) == ("second derivative", "trial")


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
