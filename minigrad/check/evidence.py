"""What steps of many sizes tell about a gradient, where a single one can lie.

A *sweep* takes central differences at many steps h: their error falls like h² until the rounding of
f, divided by h, rises (Nocedal and Wright, "Numerical Optimization", 2006, section 8.1). The
*Taylor remainder* |f(x + hv) − f(x) − h ∇f·v| shrinks like h² if ∇f is right and like h if it is
not (Farrell, Ham, Funke and Rognes, "Automated Derivation of the Adjoint of High-Level Transient
Finite Element Programs", SIAM J. Sci. Comput. 35, 2013). And where the slopes to the left and to
the right differ however small the step, there is a *kink*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from minigrad.check.numbers import (
    MEASURABLE,
    STEP,
    TOLERANCE,
    Numerical,
    Weighted,
    central_differences,
    differentiate,
    is_bent,
    size_of,
    spread,
)
from minigrad.check.problem import Problem, element
from minigrad.tensor import Array

STEPS = 10.0 ** np.arange(-1, -12.25, -0.5)
"""Half a decade apart, from plain truncation to plain rounding."""

ROUGH = 1e-11
"""Above this, the rounding of a function relative to its size cannot be float64's alone."""

COARSE = 1e-4
"""Above this, it is no longer rounding: f bends within the smallest steps, or has no digits."""

FLOAT32 = float(np.finfo(np.float32).eps)

Line = Callable[[float], Array]
"""f(x + t·v) for a number t, as the terms of a sum."""


@dataclass(frozen=True)
class Sweep:
    """Central differences by one element, for each of many steps.

    `value` is the best known derivative, `rule` the rule's; `errors` are the distances of the
    `differences` from the value, relative to it (or to a thousandth of f, if that is more). The
    steps are multiples of max(1, |x|).
    """

    name: str
    rule: float
    value: float
    steps: Array
    differences: Array
    errors: Array

    @property
    def lines(self) -> list[str]:
        """A table of every other step, the smallest error marked: the bottom of the V."""
        rows = list(zip(self.steps, self.differences, self.errors, strict=True))[::2]
        least = min((error for _, _, error in rows if np.isfinite(error)), default=None)
        return [
            f"  central differences by {self.name} "
            f"(the rule gives {self.rule:.12g}, the best known value is {self.value:.12g}):",
            "       step  difference          error",
            *(
                f"    {h:7.0e}  {difference:<18.12g}  {error:.0e}{' <' if error == least else ''}"
                for h, difference, error in rows
            ),
        ]


@dataclass(frozen=True)
class Taylor:
    """The remainders |f(x + hv) − f(x) − h ∇f·v| for each step h, the larger one of v and −v.

    `slope` is by which power of h they fall where they are smallest but above the rounding: 2 for
    a right gradient, 1 for a wrong one or at a kink; None where too few are above the rounding, or
    where they fall like no power.
    """

    steps: Array
    remainders: Array
    slope: float | None

    @property
    def lines(self) -> list[str]:
        """The slope and what it says."""
        if not np.isfinite(self.remainders[-1]):
            return ["  Taylor remainder: none, as f or its gradient is not finite here"]
        if self.slope is None:
            return [
                "  Taylor remainder: within the rounding, as of a linear f and a right gradient"
            ]
        verdict = "as with a right gradient" if self.slope > 1.5 else "with a right gradient, h^2"
        return [f"  Taylor remainder: falls like h^{self.slope:.2f}; {verdict}"]


@dataclass(frozen=True)
class Kink:
    """An element, `index` of the point number `point`, by which f has two slopes.

    `distance` is how far the kink is from where the element stands, 0 is here; `rule` is what the
    rules give there.
    """

    name: str
    point: int
    index: tuple[int, ...]
    distance: float
    left: float
    right: float
    rule: float

    @property
    def fits(self) -> bool:
        """Whether the rule gives one of the slopes, or what lies between them."""
        low, high = sorted([self.left, self.right])
        spare = 0.05 * (high - low)  # the slopes are measured
        return low - spare <= self.rule <= high + spare

    def __str__(self) -> str:
        place = f"{self.distance:.1e} from here, within the step" if self.distance else "here"
        return (
            f"{self.name} has a kink {place}: slope {self.left:.6g} on the left, "
            f"{self.right:.6g} on the right; the rule gives {self.rule:.6g}"
        )


@dataclass(frozen=True)
class Evidence:
    """What the rules give as the gradient of `function` at `points`, and what numbers say of it.

    `names` are what the points are called; `directions` are random arrays like the points; `tried`
    are masks of the elements that are compared.
    """

    function: Weighted
    points: list[Array]
    names: list[str]
    directions: list[Array]
    rules: list[Array]
    tried: list[Array]
    step: float = STEP

    @cached_property
    def direction(self) -> list[Array]:
        """The directions, spread over the points."""
        return spread(self.directions, self.points)

    @cached_property
    def slope(self) -> float:
        """What the rules give for the derivative in the direction, where it moves an element."""
        pairs = zip(self.rules, self.direction, strict=True)
        return sum(float(np.sum(g * v, where=v != 0)) for g, v in pairs)

    def line(self, direction: Sequence[Array]) -> Line:
        """f along the line through the points; not a number where it has no value."""

        def at(t: float) -> Array:
            moved = [x + t * v for x, v in zip(self.points, direction, strict=True)]
            try:
                return self.function.terms(moved)
            except Exception:  # away from x, f may refuse in any way it likes
                return np.array([np.nan])

        return at

    def along(self, k: int, index: tuple[int, ...]) -> tuple[Line, float]:
        """f along one element x of the point number `k`, in units of max(1, |x|), and this unit."""
        length = max(1.0, abs(float(self.points[k][index])))
        direction = [np.zeros(x.shape) for x in self.points]
        direction[k][index] = length
        return self.line(direction), length

    @cached_property
    def here(self) -> Array:
        """The terms of f(x)."""
        return self.function.terms(self.points)

    @cached_property
    def size(self) -> float:
        """How large the terms are together; 1 if there is nothing to compare with."""
        return size_of(self.here)

    @cached_property
    def noise(self) -> float:
        """The rounding of f relative to its size, as steps show that are too small for the rest."""
        small = STEPS <= 1e-7
        found = differences(self.line(self.direction))[small]
        apart = np.abs(found - np.median(found))
        apart[apart < 0.01 * abs(np.median(found))] = 0  # a slope that only starts to bend
        return float(np.max(apart * STEPS[small]) / self.size)

    @property
    def is_rough(self) -> bool:
        """Whether f rounds more coarsely than float64 does, and yet has digits."""
        return ROUGH < self.noise < COARSE

    @cached_property
    def best_step(self) -> float:
        """The step at which truncation and this rounding are equally small."""
        return float(np.cbrt(max(self.noise, FLOAT32))) if self.is_rough else self.step

    @cached_property
    def numbers(self) -> Numerical:
        """What the rules should give, as well as the rounding of f allows."""
        method = central_differences if self.is_rough else differentiate
        return method(self.function, self.points, self.best_step, self.tried)

    @property
    def limit(self) -> float:
        """The largest error that the numbers themselves may be to blame for."""
        return 30 * self.best_step**2 if self.is_rough else TOLERANCE[self.numbers.method]

    @cached_property
    def sound(self) -> list[Array]:
        """Masks of the elements tried that may have a derivative: those without a kink."""
        masks = [tried.copy() for tried in self.tried]
        for kink in self.kinks:
            masks[kink.point][kink.index] = False
        return masks

    @cached_property
    def errors(self) -> list[Array]:
        """How far the rules are from the numbers, relative to them; 0 where not `sound`."""
        found = self.numbers.errors(self.rules)
        return [np.where(mask, error, 0) for mask, error in zip(self.sound, found, strict=True)]

    @property
    def error(self) -> float:
        """The largest of the errors."""
        return max(float(error.max()) for error in self.errors)

    @property
    def right_at(self) -> float | None:
        """A step at which, and at the next, differences agree with the rules; None without one."""
        found = None
        for k, error in enumerate(self.errors):
            for index in np.argwhere(error > self.limit):
                sweep = self.sweep(k, (*index,))
                least = self.numbers.measurable[k][(*index,)]
                off = np.abs(sweep.differences - sweep.rule) / max(abs(sweep.rule), least)
                near = off <= self.limit
                both = np.flatnonzero(near[1:] & near[:-1])
                if not both.size:
                    return None
                found = min(found or 1.0, float(STEPS[both[0] + 1]))
        return found

    @cached_property
    def cliffs(self) -> list[str]:
        """The elements at which the rules are wrong because f jumps there, or rises vertically.

        What it rises over a step does not shrink with the step, or less than the step does.
        """
        found = []
        for k, error in enumerate(self.errors):
            for index in map(tuple, np.argwhere(error > self.limit).tolist()):
                at, _ = self.along(k, index)
                far, near = (
                    abs(float((at(h) - at(-h)).sum()))
                    for h in (self.best_step, self.best_step / 64)
                )
                if near > max(far / 32, MEASURABLE * self.size * self.best_step):
                    found.append(f"{self.names[k]}{element(index)}")
        return found

    def sweep(self, k: int, index: tuple[int, ...], exact: float | None = None) -> Sweep:
        """The sweep by one element of the point number `k`, whose derivative may be `exact`."""
        at, length = self.along(k, index)
        found = differences(at) / length
        least = 1e-5 if self.is_rough else 0.0  # smaller ones may agree on a stair of f
        value = extrapolate(found, least) if np.isfinite(self.here).all() else np.nan
        value = value if exact is None else exact
        errors = np.abs(found - value) / max(abs(value), MEASURABLE * self.size / length)
        name = f"{self.names[k]}{element(index)}"
        return Sweep(name, float(self.rules[k][index]), value, STEPS, found, errors)

    @cached_property
    def taylor(self) -> Taylor:
        """The Taylor remainders in the direction."""
        at = self.line(self.direction)
        pairs = zip(self.rules, self.points, strict=True)
        moved = sum(float(np.sum(abs(g * x), where=np.isfinite(x))) for g, x in pairs)

        def remainder(h: float) -> float:
            return max(abs((at(t) - self.here).sum() - t * self.slope) for t in (h, -h))

        found = np.array([remainder(h) for h in STEPS])
        eps = float(np.finfo(float).eps)
        noise = max(self.noise, eps) if self.noise < COARSE else eps
        floor = 30 * (self.size * noise + moved * eps)  # x + hv is rounded too
        above = np.flatnonzero(found > floor)[-5:]
        if above.size < 3:
            return Taylor(STEPS, found, None)
        last = above[-1]
        if found[last] > 1000 * floor and last < STEPS.size - 1:  # corners further out, no power
            return Taylor(STEPS, found, None)
        power = np.polyfit(np.log(STEPS[above]), np.log(found[above]), 1)[0]
        return Taylor(STEPS, found, float(power))

    @cached_property
    def kinks(self) -> list[Kink]:
        """The elements by which f has a kink, here or within a step · max(1, |x|) from here."""
        return [
            kink
            for k, tried in enumerate(self.tried)
            for index in np.argwhere(tried)
            if (kink := self.kink(k, tuple(map(int, index))))
        ]

    def kink(self, k: int, index: tuple[int, ...]) -> Kink | None:
        """The kink of f by one element, if there is one.

        The bend f(x + h) − 2 f(x) + f(x − h) of a smooth function is h² f″; that of a kink at a
        distance d, between slopes that are Δ apart, is (h − d) Δ.
        """
        at, length = self.along(k, index)
        h = self.best_step

        def rises(*steps: int) -> list[float]:
            return [float((at(n * h) - self.here).sum()) for n in steps]

        above, below = rises(1, -1)
        bend = above + below
        if not is_bent(above, below, self.size * h):
            return None  # as almost always
        above2, below2, above4, below4 = rises(2, -2, 4, -4)
        left, right = (below2 - below4) / (2 * h), (above4 - above2) / (2 * h)
        apart = (above2 + below2 - bend) / h
        distance = h - bend / apart if apart else np.inf
        curved = abs(right - (above2 - above) / h)
        if not (distance <= h and max(abs(right - left - apart), 2 * curved) < 0.4 * abs(apart)):
            return None  # of a smooth function, right − left would be 2 · apart
        return Kink(
            name=f"{self.names[k]}{element(index)}",
            point=k,
            index=index,
            distance=length * distance if distance > 1e-3 * h else 0.0,
            left=left / length,
            right=right / length,
            rule=float(self.rules[k][index]),
        )


def evidence_on(problem: Problem, rules: list[Array], step: float) -> Evidence:
    """The evidence on what the rules give for a problem."""
    return Evidence(
        function=problem.function,
        points=problem.points,
        names=problem.names,
        directions=problem.directions,
        rules=rules,
        tried=problem.tried(rules, step),
        step=step,
    )


def differences(at: Line) -> Array:
    """(f(x + hv) − f(x − hv)) / 2h for every step h."""
    return np.array([(at(h) - at(-h)).sum() / (2 * h) for h in STEPS])


def extrapolate(found: Array, least: float) -> float:
    """The derivative that central differences tend to; not a number if they have no values.

    Two neighbouring differences cancel their error of order h²; of all such values, down to the
    step `least`, the one is believed that changes least to the next, as by C. Ridders, "Accurate
    Computation of F′(x) and F′(x)F″(x)", Advances in Engineering Software 4 (1982).
    """
    values = found[1:] + (found[1:] - found[:-1]) / 9
    change = np.abs(np.diff(values))[STEPS[2:] >= least]
    return float(values[1 + np.nanargmin(change)]) if np.isfinite(change).any() else np.nan
