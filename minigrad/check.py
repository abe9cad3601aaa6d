"""Checks of derivatives against numbers that know nothing of the rules.

`gradcheck` moves each element of each input a little, both ways, and compares what the function
does with what the rules say. Where the function also takes complex numbers, and the complex step
agrees with these differences, its value is used instead: f(x + ih) = f(x) + ih·f'(x) subtracts
nothing, so it is exact to rounding (Squire and Trapp, "Using Complex Variables to Estimate
Derivatives of Real Functions", SIAM Review 40, 1998).

Each element takes a few calls of the function, so a check takes elements × size. Of large inputs
only some elements are tried, chosen at random, and the report says how many. All the others are
moved at once; if the rules do not fit that, halving what is moved leads to an element at which they
are wrong, and it is tried as well.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.backward import contributions
from minigrad.culprits import norm
from minigrad.op import Op
from minigrad.tensor import NUMPY, Array, Tensor, Watcher, no_grad, unwrap, watching
from minigrad.transforms import grad

if TYPE_CHECKING:
    from minigrad.diagnosis import Diagnosis

CENTRAL, COMPLEX = "central differences", "complex step"

TOLERANCE = {CENTRAL: 1e-6, COMPLEX: 1e-10}
"""The largest error that passes, well above what the method itself is off by."""

AGREEMENT = 1e-5
"""How near the complex step must come to the central differences to be believed."""

STEP = float(np.cbrt(np.finfo(np.float64).eps))
"""Of central differences, for |x| = 1: there truncation and rounding are equally small."""

COMPLEX_STEP = 1e-100
"""So small that its square vanishes beside any other number."""

MEASURABLE = 1e-3
"""The share of the function's own size below which a derivative drowns in the function's rounding;
a smaller one is compared as if it were as large as this."""


EFFORT = 2e7
"""Elements tried times elements computed with, up to which a check takes no more than seconds."""

FEWEST = 100
"""Elements that are tried of each input however large it is."""

CALLS = 20
"""Of the function at one point, which must all give the same; five times as many where the check
fails, as chance may have been kind at first."""


class GradientError(AssertionError):
    """A rule and the numbers disagree; the text is the report."""


@dataclass(frozen=True)
class Report:
    """What a gradient check found: the worst of all elements, and whether it passes.

    `rule` is what the rules gave for the element `index` of the input number `input`, called
    `name`, `numerical` what `method` gave with `step`, and `error` their distance over |numerical|
    (see `MEASURABLE`). For several results both values belong to the sum of the results times fixed
    random weights; at order 2 both are an element of the Hessian times a fixed random vector.
    `diagnosis` is what a failed check suspects.
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
    diagnosis: Diagnosis | None = None

    @property
    def ok(self) -> bool:
        """Whether the worst error is within the tolerance."""
        return self.error <= self.tolerance

    @property
    def absolute_error(self) -> float:
        """The distance of the two values."""
        return abs(self.rule - self.numerical)

    @property
    def verdict(self) -> str:
        """ "passes", "is wrong", or "cannot be measured here" where no rule is to blame."""
        if self.ok:
            return "passes"
        excused = self.diagnosis is not None and self.diagnosis.excused
        return "cannot be measured here" if excused else "is wrong"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([
            f"the derivative of order {self.order} {self.verdict}: "
            f"worst relative error {self.error:.1e}, tolerance {self.tolerance:.0e}",
            f"  at {self.name}{element(self.index)}: rule {self.rule:.12g}, {self.method} "
            f"{self.numerical:.12g} (step {self.step:.1e}); {self.absolute_error:.1e} apart",
            *(f"  warning: {warning}" for warning in self.warnings),
            *(self.diagnosis.findings if self.diagnosis else ()),
        ])  # fmt: skip


def element(index: Sequence[int]) -> str:
    """An element's place as one writes it behind its array's name; nothing for a single number."""
    return f"[{', '.join(map(str, index))}]" if len(index) else ""


@dataclass(frozen=True)
class Weighted:
    """A function that gives a list, made into one: the sum of its results times `weights`."""

    f: Callable[..., Sequence[Any]]
    weights: Sequence[Array]

    def __call__(self, *points: Any) -> Any:
        products = [np.sum(y * w) for y, w in zip(self.f(*points), self.weights, strict=True)]
        return sum(products[1:], products[0])

    def terms(self, points: Sequence[Array]) -> Array:
        """What the sum is the sum of: subtracted term by term, they lose less to rounding."""
        with no_grad():
            results = self.f(*points)
        return np.concatenate([
            np.ravel(unwrap(y) * w) for y, w in zip(results, self.weights, strict=True)
        ])  # fmt: skip


@dataclass(frozen=True)
class Numerical:
    """Derivatives by every element of every point that was `tried`, found without the rules.

    `bent` are masks of the elements by which the slopes to the left and to the right differ by more
    than smooth functions' mostly do.
    """

    values: list[Array]
    method: str
    steps: list[Array]
    measurable: list[Array]
    tried: Sequence[Array]
    bent: list[Array]

    def errors(self, others: Sequence[Array]) -> list[Array]:
        """How far `others` are from the values, relative to them; infinite where not finite."""
        found = []
        for other, value, least, tried in zip(
            others, self.values, self.measurable, self.tried, strict=True
        ):
            with np.errstate(divide="ignore", invalid="ignore"):  # at elements that were not tried
                error = np.abs(other - value) / np.maximum(np.abs(value), least)
            found.append(np.where(tried, np.where(np.isfinite(error), error, np.inf), 0))
        return found


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

    By all elements, where there are at most some thousand; else the report says by how many.

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
    problem, report = checked(f, inputs, order, tolerance, step, seed)
    if not report.ok:
        from minigrad.diagnosis import diagnosed

        report = replace(report, diagnosis=diagnosed(problem, report, step))
        if raise_exception:
            raise GradientError(str(report))
    return report


@dataclass(frozen=True)
class Problem:
    """A function, made a scalar one, and the point at which its gradient is checked.

    `inputs` are the numbers of the points among the user's inputs, `names` what they are called;
    `directions` are random arrays like the points, and `seed` chooses the elements to try.
    `recorded` asks for the gradient as it is when it can be differentiated again.
    """

    function: Weighted
    points: list[Array]
    inputs: list[int]
    names: list[str]
    directions: list[Array]
    seed: int
    warnings: tuple[str, ...]
    order: int = 1
    recorded: bool = False

    def gradient(self) -> list[Array]:
        """What the rules give."""
        points = [Tensor(x) if self.recorded else x for x in self.points]
        return [unwrap(g) for g in self.pulled()(*points)]

    def pulled(self) -> Callable[..., Any]:
        """The gradient as a function."""
        return grad(self.function, tuple(range(len(self.points))))

    def tried(self, rules: Sequence[Array], step: float) -> list[Array]:
        """Masks of the elements at which the rules are compared."""
        return to_try(self.function, self.points, self.directions, rules, step, self.seed)

    def derivative(self) -> Problem:
        """The problem of order 2: the function is the gradient in the fixed random direction."""
        function = Weighted(self.pulled(), self.directions)
        return replace(self, function=function, order=2, recorded=False)


def checked(
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
    problem = replace(posed(f, inputs, seed), recorded=order == 2)
    report = worst(problem, step, tolerance)
    if order == 2 and report.ok:
        problem = problem.derivative()
        report = worst(problem, step, tolerance)
    if not report.ok:
        refuse_random(problem.function, problem.points, 5 * CALLS)
    return problem, report


def refuse_random(function: Weighted, points: Sequence[Array], calls: int) -> None:
    """ValueError unless so many calls of the function give the same."""
    first = function.terms(points)
    if not all(
        np.array_equal(first, function.terms(points), equal_nan=True) for _ in range(1, calls)
    ):
        raise ValueError("gradcheck: two calls of f gave two results; fix the seed of its numbers")


def posed(f: Callable[..., Any], inputs: Any, seed: int) -> Problem:
    """The problem of the gradient of `f`; ValueError when it has none, or when `f` is random."""
    args = [unwrap(x) for x in listed(inputs)]
    floating = [i for i, x in enumerate(args) if is_floating(x)]
    chosen = [i for i in floating if np.isfinite(args[i]).any()]
    if not floating:
        raise ValueError("gradcheck: no input is a floating array, so there is no derivative")
    if not chosen:
        raise ValueError(
            "gradcheck: the floating inputs have no finite elements to differentiate by"
        )
    points = [np.array(args[i], np.float64) for i in chosen]
    called = names_of(f, listed(inputs))
    names = [called[i] for i in chosen]
    remarks = [left_out(called[i], args[i]) for i in floating if not np.isfinite(args[i]).all()]
    remarks += [
        f"{name} is {args[i].dtype}; it was checked in float64"
        for i, name in zip(chosen, names, strict=True)
        if args[i].dtype != np.float64
    ]

    def results(*points: Any) -> list[Any]:
        full = list(args)
        for i, x in zip(chosen, points, strict=True):
            full[i] = x if isinstance(x, Tensor) else Tensor.wrap(x)
        return listed(f(*full))

    with no_grad():
        first = [np.asarray(unwrap(y)) for y in results(*points)]
    if any(y.dtype.kind not in "biuf" for y in first):
        raise ValueError("gradcheck: f must give a Tensor, or a list of them")
    remarks += [
        f"the result is {y.dtype}, whose rounding is large beside the step; compute in float64"
        for y in first
        if is_floating(y) and y.dtype.itemsize < 8
    ]
    rng = np.random.default_rng([seed, 1])  # not the stream that drew the inputs: f''(x)·x may be 0
    weights = [rng.standard_normal(y.shape) if y.size > 1 else np.ones(y.shape) for y in first]
    directions = [rng.standard_normal(x.shape) for x in points]
    function = Weighted(results, weights)
    refuse_random(function, points, CALLS)
    return Problem(function, points, chosen, names, directions, seed, tuple(remarks))


def listed(x: Any) -> list[Any]:
    """Several inputs or results as a list; a single one as a list of one."""
    return list(x) if isinstance(x, list | tuple) else [x]


def is_floating(x: Any) -> bool:
    """Whether `x` is an array, or a NumPy number, that has derivatives."""
    return isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"


def left_out(name: str, x: Array) -> str:
    """A warning that names the elements of `x` that are not finite."""
    lost = np.argwhere(~np.isfinite(x)).tolist()
    places = ", ".join(f"{name}{element(index)}" for index in lost[:3])
    more = ", …" if len(lost) > 3 else ""
    return f"{name} was not checked at {places}{more}, where it is not finite: nothing to measure"


def names_of(f: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    """What the inputs are called: by themselves, by the parameters of `f`, or "input 0"."""
    names = [f"input {i}" for i in range(len(inputs))]
    op = next((op for function, op in NUMPY.items() if function is f), f)
    if isinstance(op, Op):
        names = list(op.names(inputs))
    else:
        with suppress(TypeError, ValueError):  # a built-in function need not tell
            parameters = inspect.signature(f).parameters.values()
            known = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
            names[: len(known)] = known[: len(names)]
    return [
        x.name if isinstance(x, Tensor) and x.name else name
        for x, name in zip(inputs, names, strict=True)
    ]


def some_elements(rules: Sequence[Array], points: Sequence[Array], seed: int) -> list[Array]:
    """Masks of the elements to try: all that are finite, or as many at random as `EFFORT` allows.

    Also the first for which the rules give no number: that one is known to be remarkable.
    """
    rng = np.random.default_rng([seed, 2])
    most = max(FEWEST, int(EFFORT / sum(g.size for g in rules)))
    masks = []
    for g, x in zip(rules, points, strict=True):
        mask, finite = np.zeros(x.shape, bool), np.isfinite(x)
        mask.flat[rng.permutation(np.flatnonzero(finite))[:most]] = True
        mask.flat[np.flatnonzero(finite & ~np.isfinite(g))[:1]] = True
        masks.append(mask)
    return masks


def to_try(
    function: Weighted,
    points: Sequence[Array],
    directions: Sequence[Array],
    rules: Sequence[Array],
    step: float,
    seed: int,
) -> list[Array]:
    """Masks of the elements to try: `some_elements`, and one of the others if these look wrong.

    They are moved all at once, then the half by which the rules are further off, until one is left.
    """
    masks = some_elements(rules, points, seed)
    v, g, tried = (
        np.concatenate([np.ravel(x) for x in arrays])
        for arrays in (spread(directions, points), rules, masks)
    )
    places = np.flatnonzero(np.where(tried, 0, v))
    if not places.size:
        return masks

    def shaped(flat: Array) -> list[Array]:
        parts = np.split(flat, np.cumsum([x.size for x in points])[:-1])
        return [part.reshape(x.shape) for part, x in zip(parts, points, strict=True)]

    def along(places: Array) -> tuple[Numerical, Array]:
        moved = np.zeros(v.shape)
        moved[places] = v[places]
        # By a fine step, as one of so many elements is often near a kink.
        return slope_along(function, points, shaped(moved), step / 100), g[places] @ v[places]

    numbers, rule = along(places)
    if not TOLERANCE[numbers.method] < numbers.errors([rule])[0] < np.inf:
        return masks
    off = rule - numbers.values[0]
    while places.size > 1:
        half, rest = np.array_split(places, 2)
        numbers, rule = along(half)
        part = rule - numbers.values[0]
        places, off = (half, part) if abs(part) > abs(off - part) else (rest, off - part)
    found = shaped(np.isin(np.arange(v.size), places))
    return [mask | one for mask, one in zip(masks, found, strict=True)]


def spread(directions: Sequence[Array], points: Sequence[Array]) -> list[Array]:
    """The directions so scaled that a step h moves no element by more than h · max(1, |x|).

    Elements that are not finite are not moved.
    """
    largest = max(np.abs(v).max() for v in directions)
    return [
        np.where(np.isfinite(x), v / largest * np.maximum(1, np.abs(x)), 0)
        for v, x in zip(directions, points, strict=True)
    ]


def slope_along(
    function: Weighted, points: Sequence[Array], direction: Sequence[Array], step: float
) -> Numerical:
    """The derivative of the function as all points move at once in this direction."""

    def moved(t: Any) -> Sequence[Any]:
        return function.f(*[x + t * v for x, v in zip(points, direction, strict=True)])

    line, here, whole = Weighted(moved, function.weights), [np.zeros(())], [np.array(True)]
    return sharpened(line, here, step, whole)


class LastRule(Watcher):
    """Remembers at which node the backward pass is, and what arrived there."""

    def __init__(self) -> None:
        self.node: Tensor | None = None
        self.g: Any = None

    def arrived(self, node: Tensor, g: Any) -> None:
        self.node, self.g = node, g

    def blamed(self, error: Exception) -> str:
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


def worst(problem: Problem, step: float, tolerance: float | None) -> Report:
    """The report on the element at which the rules and the numbers differ most."""
    last = LastRule()
    try:
        with watching(last):
            rules = problem.gradient()
    except Exception as error:
        if last.node is None:
            raise
        raise ValueError(f"gradcheck: {last.blamed(error)}") from error
    tried = problem.tried(rules, step)
    numbers = sharpened(problem.function, problem.points, step, tried)
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
    return kinked(problem, report, numbers.bent, rules, step) if report.ok else report


def kinked(
    problem: Problem, report: Report, bent: list[Array], rules: list[Array], step: float
) -> Report:
    """The report, or if f has a kink just where an element stands, one that fails there.

    Differences then give the mean of two slopes, which the rule may give as well; but each slope is
    off by half of what they are apart.
    """
    if not any(mask.any() for mask in bent):
        return report  # as almost always
    from minigrad.evidence import evidence_on

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


def central_differences(
    function: Weighted, points: Sequence[Array], step: float, tried: Sequence[Array]
) -> Numerical:
    """(f(x + h) − f(x − h)) / 2h, with h = step · max(1, |x|)."""
    sizes, bends = [], []
    lengths = [np.maximum(1, np.abs(point)) for point in points]
    here = function.terms(points)

    def slope(point: Array, index: tuple[int, ...], h: float) -> float:
        x = point[index]
        point[index] = above = x + h
        upper = function.terms(points)
        point[index] = below = x - h
        lower = function.terms(points)
        point[index] = x
        sizes.append(norm(upper))
        bends.append(is_bent((upper - here).sum(), (lower - here).sum(), size_of(here) * step))
        return float((upper - lower).sum() / (above - below))

    steps = [step * length for length in lengths]
    values = by_element(slope, points, steps, tried)
    least = MEASURABLE * (max(filter(np.isfinite, sizes), default=0) or 1)
    bent = [np.zeros(mask.shape, bool) for mask in tried]
    for mask, found in zip(bent, tried, strict=True):
        mask[found], bends = bends[: found.sum()], bends[found.sum() :]
    return Numerical(values, CENTRAL, steps, [least / length for length in lengths], tried, bent)


def size_of(terms: Array) -> float:
    """How large the terms of a sum are together; 1 if there is nothing to compare with."""
    return float(np.abs(terms[np.isfinite(terms)]).sum()) or 1.0


def is_bent(above: float, below: float, least: float) -> bool:
    """Whether f(x + h) − f(x) and f(x − h) − f(x) do not cancel, as those of a straight line do.

    A bend counts from a thousandth of the larger on, and of a thousandth of `least`, f's size · h.
    """
    return bool(abs(above + below) > MEASURABLE * max(abs(above), abs(below), MEASURABLE * least))


def sharpened(
    function: Weighted, points: Sequence[Array], step: float, tried: Sequence[Array]
) -> Numerical:
    """Central differences, or the complex step if the function takes it and it agrees with them.

    It need not agree: |x|, comparisons and casts to real are no analytic functions.
    """
    coarse = central_differences(function, points, step, tried)
    lifted = [point.astype(np.complex128) for point in points]

    def slope(point: Array, index: tuple[int, ...], h: float) -> float:
        x = point[index]
        point[index] = x + 1j * h
        moved = function.terms(lifted)
        point[index] = x
        return float(moved.imag.sum() / h)

    steps = [np.full(point.shape, COMPLEX_STEP) for point in points]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            values = by_element(slope, lifted, steps, tried)
    except Exception:  # f may refuse complex numbers in any way it likes
        return coarse

    def agrees(judge: Numerical) -> bool:
        return max(error.max() for error in judge.errors(values)) <= AGREEMENT

    # The step may be too coarse, as near a pole; then a finer one sees that the two agree.
    if agrees(coarse) or agrees(central_differences(function, points, step / 100, tried)):
        return Numerical(values, COMPLEX, steps, coarse.measurable, tried, coarse.bent)
    return coarse


def by_element(
    slope: Callable[..., float],
    points: Sequence[Array],
    steps: Sequence[Array],
    tried: Sequence[Array],
) -> list[Array]:
    """`slope` for each element that is tried, which it may move but must put back; 0 elsewhere."""
    values = [np.zeros(point.shape) for point in points]
    for value, point, h, mask in zip(values, points, steps, tried, strict=True):
        for index in map(tuple, np.argwhere(mask)):
            value[index] = slope(point, index, float(h[index]))
    return values
