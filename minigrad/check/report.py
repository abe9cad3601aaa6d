"""The report of a gradient check: what was measured and, where it fails, what is suspected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minigrad.check.evidence import Kink, Sweep, Taylor
from minigrad.check.problem import element

EXCUSES = "domain", "kink", "float32", "step", "jump"
"""The kinds of suspicion that blame no rule: what was measured is no derivative, or too rough."""


@dataclass(frozen=True)
class Suspicion:
    """A mistake that explains the numbers, and how well: `error` is what is left once corrected.

    kind: "in place", "stale", "ignores g", "not linear", "definition", "nan", "missing", "mask",
    "rounding", "sign", "factor", "broadcast", "swapped", "transposed", "missing factor", "slope",
    "second derivative", "detached" or "unknown"; and where no rule is to blame one of `EXCUSES`.
    op: the op whose rule it is, None where no rule is to blame.
    input: the input by which the gradient is wrong, None where it is not one alone.
    factor: how many times too large the gradient is, for the kinds "sign", "factor", "broadcast".
    error: relative; infinite where nothing could be corrected and measured.
    """

    kind: str
    text: str
    error: float = np.inf
    op: str | None = None
    input: str | None = None
    factor: float | None = None

    def __str__(self) -> str:
        words = [self.op, self.input and f"gradient by {self.input}", self.text]
        fit = f" [fits to {self.error:.0e}]" if self.error < np.inf else ""
        return f"{self.kind}: {': '.join(word for word in words if word)}{fit}"


class GradientError(AssertionError):
    """A rule and the numbers disagree; the text is the report."""


@dataclass(frozen=True)
class Report:
    """What a gradient check found: the worst of all elements, and whether it passes.

    `rule` is what the rules gave for the element `index` of the input number `input`, called
    `name`, `numerical` what `method` gave with `step`, and `error` their distance over |numerical|
    (see `MEASURABLE`). For several results both values belong to the sum of the results times fixed
    random weights; at order 2 both are an element of the Hessian times a fixed random vector.

    A diagnosis adds the `suspicions`, one for each input by which a rule is wrong, in the order of
    the ops; the `kinks`; the `taylor` remainder and the `sweep` over steps, which are None without
    one. Where the check passes the only suspicions are those that will matter
    in a larger graph, "in place" and "stale".
    """

    order: int
    error: float
    tolerance: float
    input: int
    name: str
    index: tuple[int, ...]
    rule: float
    numerical: float
    step: float
    method: str
    warnings: tuple[str, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()
    kinks: tuple[Kink, ...] = ()
    taylor: Taylor | None = None
    sweep: Sweep | None = None

    @property
    def ok(self) -> bool:
        """Whether the worst error is within the tolerance."""
        return self.error <= self.tolerance

    @property
    def absolute_error(self) -> float:
        """The distance between the two values."""
        return abs(self.rule - self.numerical)

    @property
    def verdict(self) -> str:
        """ "passes", "is wrong", or "cannot be measured here" where no rule is to blame."""
        if self.ok:
            return "passes"
        return "cannot be measured here" if self.excused else "is wrong"

    @property
    def excused(self) -> bool:
        """Whether there are suspicions, and none of them blames a rule."""
        return bool(self.suspicions) and all(x.kind in EXCUSES for x in self.suspicions)

    @property
    def measurement(self) -> str:
        """The verdict, the worst element and the warnings, without what a diagnosis adds."""
        return "\n".join([
            f"the derivative of order {self.order} {self.verdict}: "
            f"worst relative error {self.error:.1e}, tolerance {self.tolerance:.0e}",
            f"  at {self.name}{element(self.index)}: rule {self.rule:.12g}, {self.method} "
            f"{self.numerical:.12g} (step {self.step:.1e}); {self.absolute_error:.1e} apart",
            *(f"  warning: {warning}" for warning in self.warnings),
        ])  # fmt: skip

    @property
    def findings(self) -> list[str]:
        """What a diagnosis adds, line by line; nothing without one."""
        if self.taylor is None or self.sweep is None:
            return []
        found = [f"  suspicion: {suspicion}" for suspicion in self.suspicions]
        kinks = [f"  {kink}" for kink in self.kinks[:5]]
        if len(self.kinks) > 5:
            kinks.append(f"  and {len(self.kinks) - 5} more kinks")
        return [*(found or ["  no suspicion"]), *kinks, *self.taylor.lines, *self.sweep.lines]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([self.measurement, *self.findings])
