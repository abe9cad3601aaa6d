"""What a failed gradient check means: what can be trusted, and the likeliest mistake.

`evidence.py` measures, `cases.py` tries one op by itself, `mistakes.py` knows the usual mistakes in
a rule; here all are brought to bear on a function. The ops that it records are examined one by one,
so that the rule at fault is named; if every one of them is right, the fault is outside of the
graph, or in the check.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.cases import EXCUSES, Call, Suspicion, place
from minigrad.check import COMPLEX, STEP, Problem, Report, checked
from minigrad.evidence import Evidence, Kink, Sweep, Taylor, evidence_on
from minigrad.mistakes import examined, excused
from minigrad.tensor import Tensor, Watcher, watching


@dataclass(frozen=True)
class Diagnosis:
    """What is known about a gradient: the report of the check, and the findings beyond it.

    `suspicions` are in the order of the ops, one for each input by which a rule is wrong. If the
    check passes there are only those, "in place" and "stale", that will tell in a larger graph.
    """

    report: Report
    suspicions: tuple[Suspicion, ...]
    kinks: tuple[Kink, ...]
    taylor: Taylor
    sweep: Sweep

    @property
    def excused(self) -> bool:
        """Whether there are suspicions, and none of them blames a rule."""
        return bool(self.suspicions) and all(x.kind in EXCUSES for x in self.suspicions)

    @property
    def findings(self) -> list[str]:
        """All but the report, line by line."""
        found = [f"  suspicion: {suspicion}" for suspicion in self.suspicions]
        kinks = [f"  {kink}" for kink in self.kinks[:5]]
        if len(self.kinks) > 5:
            kinks.append(f"  and {len(self.kinks) - 5} more kinks")
        return [*(found or ["  no suspicion"]), *kinks, *self.taylor.lines, *self.sweep.lines]

    def __str__(self) -> str:
        return str(replace(self.report, diagnosis=self))


def diagnose(
    f: Callable[..., Any],
    inputs: Any,
    order: int = 1,
    *,
    tolerance: float | None = None,
    step: float = STEP,
    seed: int = 0,
) -> Diagnosis:
    """The Diagnosis of the gradient of `f`, right or wrong; the arguments are those of `gradcheck`.

    ValueError when there is nothing to differentiate by, or when `f` is random.

    >>> from minigrad.op import Op
    >>> cube = Op("cube", "x³", "demo", lambda x: x**3, [lambda g, y, x: g * 6 * x**2])
    >>> diagnosis = diagnose(cube, np.array([0.5, 2.0, 3.0]))
    >>> diagnosis.suspicions[0].text
    '2 times what it should be at every element'
    >>> round(diagnosis.taylor.slope)
    1
    """
    problem, report = checked(f, inputs, order, tolerance, step, seed)
    return diagnosed(problem, report, step)


def diagnosed(problem: Problem, report: Report, step: float) -> Diagnosis:
    """The Diagnosis of a problem that has been checked by differences with this step."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rules = problem.gradient()
        evidence = evidence_on(problem, rules, step)
        at = problem.inputs.index(report.input), report.index
        exact = report.numerical if report.method == COMPLEX else None
        suspicions = suspected(problem, evidence)
        if report.ok:
            suspicions = [x for x in suspicions if x.kind in ("in place", "stale")]
        return Diagnosis(
            report=report,
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


def suspected(problem: Problem, evidence: Evidence) -> list[Suspicion]:
    """Who is to blame: a rule, if one is wrong by itself; else the check; else what is no op."""
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
                found[call.op.name] = examined(call, problem.recorded)
            except Exception as error:  # a rule that breaks is a finding; the rest is still told
                text = f"cannot be tried by itself: {type(error).__name__}: {error}"
                found[call.op.name] = [Suspicion("unknown", text, op=call.op.name)]
    return (
        [suspicion for wrong in found.values() for suspicion in wrong]
        or excused(evidence)
        or (not_twice(recorder.calls) if problem.order == 2 else [])
        or detached(evidence, len(recorder.calls))
    )


def not_twice(calls: list[Call]) -> list[Suspicion]:
    """The ops whose gradient cannot be differentiated again."""
    found: dict[str, Suspicion] = {}
    for call in calls:
        if call.op.name not in found:
            _, report = checked(call, call.points, 2, None, STEP, 0)
            if not report.ok:
                text = (
                    "the derivative of the rule is wrong, as when it computes with arrays (.data, "
                    "unwrap, float) where it is given Tensors"
                )
                where = call.op.name, call.names[report.input]
                found[call.op.name] = Suspicion("second derivative", text, np.inf, *where)
    return list(found.values())


def detached(evidence: Evidence, ops: int) -> list[Suspicion]:
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
