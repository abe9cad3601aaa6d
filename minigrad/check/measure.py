"""The measurement: at which element the rules and the numbers differ most."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.backward import contributions
from minigrad.check.evidence import evidence_on
from minigrad.check.numbers import CENTRAL, MEASURABLE, TOLERANCE, differentiate
from minigrad.check.problem import CALLS, Problem, as_problem, refuse_random
from minigrad.check.report import Report
from minigrad.mode import Watcher, watching
from minigrad.tensor import Array, Tensor, unwrap


def check_problem(
    f: Callable[..., Any],
    inputs: Any,
    order: int,
    tolerance: float | None,
    step: float,
    seed: int,
) -> tuple[Problem, Report]:
    """The report on `f`, and the problem that it is about; see `gradcheck`."""
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order is 1 or 2, not {order}")
    problem = replace(as_problem(f, inputs, seed), recorded=order == 2)
    report = measure(problem, step, tolerance)
    if order == 2 and report.ok:
        problem = problem.derivative()
        report = measure(problem, step, tolerance)
    if not report.ok:
        refuse_random(problem.function, problem.points, 5 * CALLS)
    return problem, report


def measure(problem: Problem, step: float, tolerance: float | None) -> Report:
    """The report on the element at which the rules and the numbers differ most."""
    last = LastRule()
    try:
        with watching(last):
            rules = problem.gradient()
    except Exception as error:
        if last.node is None:
            raise
        raise ValueError(f"gradcheck: {last.describe_failure(error)}") from error
    tried = problem.tried(rules, step)
    numbers = differentiate(problem.function, problem.points, step, tried)
    errors = numbers.errors(rules)
    remarks = [
        f"{name} was checked at {mask.sum():,} of its {mask.size:,} elements, chosen at random"
        for name, x, mask in zip(problem.names, problem.points, tried, strict=True)
        if (mask < np.isfinite(x)).any()
    ]
    # At a pole all differences may be no numbers; the element to name is where the rule is none.
    ranks = [
        np.where(mask, np.where(np.isfinite(g), np.nan_to_num(error), np.inf), -1.0)
        for g, error, mask in zip(rules, errors, tried, strict=True)
    ]
    k = int(np.argmax([rank.max() for rank in ranks]))
    at = np.unravel_index(np.argmax(ranks[k]), ranks[k].shape)
    report = Report(
        order=problem.order,
        error=float(errors[k][at]),
        tolerance=TOLERANCE[numbers.method] if tolerance is None else tolerance,
        input=problem.inputs[k],
        name=problem.names[k],
        index=tuple(int(i) for i in at),
        rule=float(rules[k][at]),
        numerical=float(numbers.values[k][at]),
        step=float(numbers.steps[k][at]),
        method=numbers.method,
        warnings=(*problem.warnings, *remarks),
    )
    return check_kinks(problem, report, numbers.bent, rules, step) if report.ok else report


def check_kinks(
    problem: Problem, report: Report, bent: list[Array], rules: list[Array], step: float
) -> Report:
    """The report, or if f has a kink just where an element stands, one that fails there.

    Differences then give the mean of two slopes, which the rule may give as well; but each slope is
    off by half of what they are apart.
    """
    if not any(mask.any() for mask in bent):
        return report  # as almost always
    evidence = evidence_on(problem, rules, step)
    for k, mask in enumerate(bent):
        for index in np.argwhere(mask):
            kink = evidence.kink(k, tuple(map(int, index)))
            if kink and not kink.distance:
                middle, apart = (kink.left + kink.right) / 2, abs(kink.right - kink.left)
                return replace(
                    report,
                    error=apart / 2 / max(abs(middle), MEASURABLE * apart),
                    tolerance=max(report.tolerance, TOLERANCE[CENTRAL]),
                    input=problem.inputs[k],
                    name=problem.names[k],
                    index=kink.index,
                    rule=kink.rule,
                    numerical=middle,
                    step=step * max(1.0, abs(float(problem.points[k][kink.index]))),
                    method=CENTRAL,
                )
    return report


class LastRule(Watcher):
    """Remembers at which node the backward pass is, and what arrived there."""

    def __init__(self) -> None:
        self.node: Tensor | None = None
        self.g: Any = None

    def arrived(self, node: Tensor, g: Any) -> None:
        self.node, self.g = node, g

    def describe_failure(self, error: Exception) -> str:
        """The rule that the error comes from: what it gives, if no array, or what it was given."""
        assert self.node is not None and self.node.op is not None
        op, inputs = self.node.op, self.node.inputs
        with suppress(Exception):  # the rule itself may be what fails
            for i, gx in contributions(self.node, self.g, isinstance(self.g, Tensor)):
                if not isinstance(gx, Tensor | np.ndarray | np.generic):
                    what = "None" if gx is None else f"a {type(gx).__name__}"
                    return f"the rule of {op.name} by {op.names(inputs)[i]} gives {what}, no array"
        shapes = ", ".join(str(np.shape(x)) for x in unwrap(inputs))
        return (
            f"a rule of {op.name} fails, given g and y of {self.node.shape}, inputs of {shapes}: "
            f"{type(error).__name__}: {error}"
        )
