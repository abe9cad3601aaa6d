"""What a failed gradient check means: what can be trusted, and the likeliest mistake.

`evidence.py` measures, `trial.py` tries one op by itself, `mistakes.py` knows the usual mistakes in
a rule; here all are brought to bear on a function. The ops that it records are examined one by one,
so that the rule at fault is named; if every one of them is right, the fault is outside of the
graph, or in the check.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.check.evidence import Evidence, evidence_on
from minigrad.check.measure import check_problem
from minigrad.check.mistakes import examine, find_excuses
from minigrad.check.numbers import COMPLEX, STEP
from minigrad.check.problem import Problem
from minigrad.check.report import GradientError, Report, Suspicion
from minigrad.check.trial import Call, place
from minigrad.mode import Watcher, watching
from minigrad.tensor import Tensor


def gradcheck(
    f: Callable[..., Any],
    inputs: Any,
    order: int = 1,
    *,
    tolerance: float | None = None,
    step: float = STEP,
    seed: int = 0,
    raise_exception: bool = True,
) -> Report:
    """The Report on the derivatives of `f(*inputs)` by the elements of every floating input.

    All elements are tried where there are no more than some thousands; otherwise the report says
    how many were.

    f: takes Tensors and gives a Tensor of any shape or a list of them, each time the same.
    inputs: arrays or Tensors, or a single one; those that are not floating are passed on as they
    are, float32 is raised to float64 (the report says so).
    order: 1 checks the gradient; 2 the gradient as it is recorded, and then its own derivative.
    tolerance: the largest relative error that passes, by default `TOLERANCE` of the method.
    step: of central differences, times max(1, |x|).
    seed: of the random weights, directions and elements.

    A failed check raises GradientError, or returns a report that is false if `raise_exception` is;
    either way with a diagnosis (see `minigrad.diagnose`), which a check that passes does not need.
    An input is called by its own name (that of a Tensor), else by that of the parameter of `f`.
    ValueError when there is nothing to differentiate by, when `f` is random, or when a rule fails.

    >>> gradcheck(lambda x: x * np.tanh(x), np.array([0.5, 2.0])).method
    'complex step'
    """
    problem, report = check_problem(f, inputs, order, tolerance, step, seed)
    if not report.ok:
        report = add_diagnosis(problem, report, step)
        if raise_exception:
            raise GradientError(str(report))
    return report


def diagnose(
    f: Callable[..., Any],
    inputs: Any,
    order: int = 1,
    *,
    tolerance: float | None = None,
    step: float = STEP,
    seed: int = 0,
) -> Report:
    """The Report on the gradient of `f` with a diagnosis, right or wrong; arguments as `gradcheck`.

    ValueError when there is nothing to differentiate by, or when `f` is random.

    >>> from minigrad.op import Op
    >>> cube = Op("cube", "x³", "demo", lambda x: x**3, [lambda g, y, x: g * 6 * x**2])
    >>> report = diagnose(cube, np.array([0.5, 2.0, 3.0]))
    >>> report.suspicions[0].text
    '2 times what it should be at every element'
    >>> round(report.taylor.slope)
    1
    """
    problem, report = check_problem(f, inputs, order, tolerance, step, seed)
    return add_diagnosis(problem, report, step)


def add_diagnosis(problem: Problem, report: Report, step: float) -> Report:
    """The report on a problem checked by differences with this step, with its diagnosis."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rules = problem.gradient()
        evidence = evidence_on(problem, rules, step)
        at = problem.inputs.index(report.input), report.index
        exact = report.numerical if report.method == COMPLEX else None
        suspicions = find_suspicions(problem, evidence)
        if report.ok:
            suspicions = [x for x in suspicions if x.kind in ("in place", "stale")]
        return replace(
            report,
            suspicions=tuple(suspicions),
            kinks=tuple(evidence.kinks),
            taylor=evidence.taylor,
            sweep=evidence.sweep(*at, exact),
        )


class Recorder(Watcher):
    """Keeps every call that is recorded."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def recorded(self, result: Tensor) -> None:
        call = Call.of(result)
        if result.size and call.places:
            self.calls.append(call)


def find_suspicions(problem: Problem, evidence: Evidence) -> list[Suspicion]:
    """Who is to blame: a rule, if one is wrong by itself; else the check; else what no op did."""
    if not np.isfinite(evidence.here).all():
        compared = zip(evidence.rules, evidence.tried, strict=True)
        lost = [tried & ~np.isfinite(rule) for rule, tried in compared]
        places = [place(evidence, i, where) for i, where in enumerate(lost) if where.any()]
        text = "the function itself is not finite here; "
        if places:
            text += f"its gradient is infinite or not a number {' and '.join(places)}; "
        return [Suspicion("domain", text + "detect_anomaly() names the op")]
    recorder = Recorder()
    with watching(recorder):
        problem.gradient()
    found: dict[str, list[Suspicion]] = {}
    for call in recorder.calls:
        if not found.get(call.op.name):
            try:
                found[call.op.name] = examine(call, problem.recorded)
            except (
                Exception
            ) as error:  # a rule that breaks is a finding; the others are still examined
                text = f"cannot be tried by itself: {type(error).__name__}: {error}"
                found[call.op.name] = [Suspicion("unknown", text, op=call.op.name)]
    return (
        [suspicion for wrong in found.values() for suspicion in wrong]
        or find_excuses(evidence)
        or (find_undifferentiable(recorder.calls) if problem.order == 2 else [])
        or find_detached(evidence, len(recorder.calls))
    )


def find_undifferentiable(calls: list[Call]) -> list[Suspicion]:
    """The ops whose gradient cannot be differentiated again."""
    found: dict[str, Suspicion] = {}
    for call in calls:
        if call.op.name not in found:
            _, report = check_problem(call, call.points, 2, None, STEP, 0)
            if not report.ok:
                text = (
                    "the derivative of the rule is wrong, as when it computes with arrays (.data, "
                    "unwrap, float) where it is given Tensors"
                )
                where = call.op.name, call.names[report.input]
                found[call.op.name] = Suspicion("second derivative", text, np.inf, *where)
    return list(found.values())


def find_detached(evidence: Evidence, ops: int) -> list[Suspicion]:
    """No op is wrong by itself, so what is missing was not computed by recorded ops."""
    found = []
    for name, rule, error in zip(evidence.names, evidence.rules, evidence.errors, strict=True):
        if error.max() > evidence.limit:
            what = "part of the gradient" if rule.any() else "the whole gradient"
            text = (
                f"{what} is lost outside the graph (.data, .detach(), float(), no_grad); "
                f"each of the {ops} recorded ops is right by itself"
            )
            found.append(Suspicion("detached", text, input=name))
    return found
