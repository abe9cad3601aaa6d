"""Ops that are in no table, most of them with a wrong rule, and what a check says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import gradcheck
from minigrad.check import Report
from minigrad.op import Op, on

Array = np.ndarray[Any, Any]

Rule = Callable[..., Any]

POINTS = np.array([[0.5, -1.2, 2.0], [1.5, 0.3, -0.7]])

A, B = np.random.default_rng(0).standard_normal((2, 3, 3))


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


def cube(factor: float = 1.0) -> Op:
    """x³ whose rule is `factor` times the right one."""
    return an_op(lambda x: x**3, lambda g, y, x: g * (factor * 3 * x**2), examples=[on((2, 3))])


def fused_cube(factor: float = 1.0) -> Op:
    """x³ with a right kernel and joint rule, and a definition that is wrong by `factor`."""
    row = an_op(lambda x: None, definition=lambda x: x * x * x * factor, examples=[on((2, 3))])
    row.kernel(lambda x: (x**3,))
    row.rule(lambda g, y, saved, x: (g * 3 * x**2,))
    return row


def report_on(op: Op, *inputs: Any, order: int = 1) -> Any:
    return gradcheck(op, list(inputs), order, raise_exception=False)
