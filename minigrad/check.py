"""Checks of derivatives against numbers that know nothing of the rules.

`gradcheck` moves each element of each input a little, both ways, and compares what the function
does with what the rules say. Where the function also takes complex numbers, and the complex step
agrees with these differences, its value is used instead: f(x + ih) = f(x) + ih·f'(x) subtracts
nothing, so it is exact to rounding (Squire and Trapp, "Using Complex Variables to Estimate
Derivatives of Real Functions", SIAM Review 40, 1998).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.op import Example, Op, rows
from minigrad.tensor import Array, Tensor, Watcher, no_grad, unwrap, watching
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


class GradientError(AssertionError):
    """A rule and the numbers disagree; the text is the report."""


@dataclass(frozen=True)
class Report:
    """What a gradient check found: the worst of all elements, and whether it passes.

    `rule` is what the rules gave for the element `index` of the input `input`, `numerical` what
    `method` gave with `step`, and `error` their distance over |numerical| (see `MEASURABLE`).
    For several results both values belong to the sum of the results times fixed random weights;
    at order 2 both are an element of the Hessian times a fixed random vector. `diagnosis` is what a
    failed check suspects.
    """

    order: int
    error: float
    tolerance: float
    input: int
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

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "passes" if self.ok else "is wrong"
        return "\n".join([
            f"the derivative of order {self.order} {verdict}: "
            f"worst relative error {self.error:.1e}, tolerance {self.tolerance:.0e}",
            f"  at input {self.input}{element(self.index)}: rule {self.rule:.12g}, {self.method} "
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
    """Derivatives by every element of every point, found without the rules."""

    values: list[Array]
    method: str
    steps: list[Array]
    measurable: list[Array]

    def errors(self, others: Sequence[Array]) -> list[Array]:
        """How far `others` are from the values, relative to them; infinite where not finite."""
        found = []
        for other, value, least in zip(others, self.values, self.measurable, strict=True):
            with np.errstate(invalid="ignore"):
                error = np.abs(other - value) / np.maximum(np.abs(value), least)
            found.append(np.where(np.isfinite(error), error, np.inf))
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
    """The Report on the derivatives of `f(*inputs)` by every element of every floating input.

    f: takes Tensors and gives a Tensor of any shape or a list of them, each time the same.
    inputs: arrays or Tensors, or a single one; those that are not floating are passed on as they
    are, float32 is raised to float64 (the report says so).
    order: 1 checks the gradient; 2 the gradient as it is recorded, and then its own derivative.
    tolerance: the largest relative error that passes, by default `TOLERANCE` of the method.
    step: of central differences, times max(1, |x|).
    seed: of the random weights and directions.

    A failed check raises GradientError, or returns a report that is false if `raise_exception` is;
    either way with a diagnosis (see `minigrad.diagnose`), which a check that passes does not need.
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

    `inputs` are the numbers of the points among the user's inputs; `directions` are random arrays
    like the points. `recorded` asks for the gradient as it is when it can be differentiated again.
    """

    function: Weighted
    points: list[Array]
    inputs: list[int]
    directions: list[Array]
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
    return problem, report


def posed(f: Callable[..., Any], inputs: Any, seed: int) -> Problem:
    """The problem of the gradient of `f`; ValueError when it has none, or when `f` is random."""
    args = [unwrap(x) for x in listed(inputs)]
    chosen = [i for i, x in enumerate(args) if is_floating(x) and x.size]
    if not chosen:
        raise ValueError("gradcheck: no input is a floating array, so there is no derivative")
    points = [np.array(args[i], np.float64) for i in chosen]
    remarks = [
        f"input {i} is {args[i].dtype}; it was checked in float64"
        for i in chosen
        if args[i].dtype != np.float64
    ]

    def results(*points: Any) -> list[Any]:
        full = list(args)
        for i, x in zip(chosen, points, strict=True):
            full[i] = x if isinstance(x, Tensor) else Tensor.wrap(x)
        return listed(f(*full))

    with no_grad():
        first, again = ([np.asarray(unwrap(y)) for y in results(*points)] for _ in range(2))
    if any(y.dtype.kind not in "biuf" for y in first):
        raise ValueError("gradcheck: f must give a Tensor, or a list of them")
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)):
        raise ValueError("gradcheck: two calls of f gave two results; fix the seed of its numbers")
    remarks += [
        f"the result is {y.dtype}, whose rounding is large beside the step; compute in float64"
        for y in first
        if is_floating(y) and y.dtype.itemsize < 8
    ]
    rng = np.random.default_rng([seed, 1])  # not the stream that drew the inputs: f''(x)·x may be 0
    weights = [rng.standard_normal(y.shape) if y.size > 1 else np.ones(y.shape) for y in first]
    directions = [rng.standard_normal(x.shape) for x in points]
    return Problem(Weighted(results, weights), points, chosen, directions, tuple(remarks))


def listed(x: Any) -> list[Any]:
    """Several inputs or results as a list; a single one as a list of one."""
    return list(x) if isinstance(x, list | tuple) else [x]


def is_floating(x: Any) -> bool:
    """Whether `x` is an array, or a NumPy number, that has derivatives."""
    return isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"


class LastRule(Watcher):
    """Remembers at which node the backward pass is."""

    def __init__(self) -> None:
        self.node: Tensor | None = None

    def arrived(self, node: Tensor, g: Any) -> None:
        self.node = node

    def described(self) -> str:
        """The rule and the shapes that it was given."""
        assert self.node is not None and self.node.op is not None
        shapes = ", ".join(str(np.shape(x)) for x in unwrap(self.node.inputs))
        name, y = self.node.op.name, self.node.shape
        return f"a rule of {name} fails, given g and y of {y}, inputs of {shapes}"


def worst(problem: Problem, step: float, tolerance: float | None) -> Report:
    """The report on the element at which the rules and the numbers differ most."""
    numbers = sharpened(problem.function, problem.points, step)
    last = LastRule()
    try:
        with watching(last):
            rules = problem.gradient()
    except Exception as error:
        if last.node is None:
            raise
        raise ValueError(
            f"gradcheck: {last.described()}: {type(error).__name__}: {error}"
        ) from error
    errors = numbers.errors(rules)
    k = int(np.argmax([error.max() for error in errors]))
    at = np.unravel_index(np.argmax(errors[k]), errors[k].shape)
    return Report(
        order=problem.order,
        error=float(errors[k][at]),
        tolerance=TOLERANCE[numbers.method] if tolerance is None else tolerance,
        input=problem.inputs[k],
        index=tuple(int(i) for i in at),
        rule=float(rules[k][at]),
        numerical=float(numbers.values[k][at]),
        step=float(numbers.steps[k][at]),
        method=numbers.method,
        warnings=problem.warnings,
    )


def central_differences(function: Weighted, points: Sequence[Array], step: float) -> Numerical:
    """(f(x + h) − f(x − h)) / 2h, with h = step · max(1, |x|)."""
    sizes = []
    lengths = [np.maximum(1, np.abs(point)) for point in points]

    def slope(point: Array, index: tuple[int, ...], h: float) -> float:
        x = point[index]
        point[index] = above = x + h
        upper = function.terms(points)
        point[index] = below = x - h
        difference = upper - function.terms(points)
        point[index] = x
        sizes.append(float(np.linalg.norm(upper)))
        return float(difference.sum() / (above - below))

    steps = [step * length for length in lengths]
    values = [by_element(slope, point, h) for point, h in zip(points, steps, strict=True)]
    least = MEASURABLE * (max(filter(np.isfinite, sizes), default=0) or 1)
    return Numerical(values, CENTRAL, steps, [least / length for length in lengths])


def sharpened(function: Weighted, points: Sequence[Array], step: float) -> Numerical:
    """Central differences, or the complex step if the function takes it and it agrees with them.

    It need not agree: |x|, comparisons and casts to real are no analytic functions.
    """
    coarse = central_differences(function, points, step)
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
            values = [by_element(slope, x, h) for x, h in zip(lifted, steps, strict=True)]
    except Exception:  # f may refuse complex numbers in any way it likes
        return coarse
    if max(error.max() for error in coarse.errors(values)) > AGREEMENT:
        return coarse
    return Numerical(values, COMPLEX, steps, coarse.measurable)


def by_element(slope: Callable[..., float], point: Array, steps: Array) -> Array:
    """`slope` for each element of `point`, which it may move but must put back."""
    values = np.empty(point.shape)
    for index in np.ndindex(point.shape):
        values[index] = slope(point, index, float(steps[index]))
    return values


@dataclass(frozen=True)
class Row:
    """One line of the table's check: an op, called as in one of its examples, at one order."""

    op: str
    shapes: str
    order: int
    error: float
    ok: bool
    report: str


def check_op(op: Op, order: int = 1, rng: np.random.Generator | None = None) -> list[Row]:
    """A Row for each example of `op`, its `report` a gradient check's or what went wrong instead.

    Floating arrays among an example's inputs are differentiated by; Python numbers and arrays of
    integers or booleans are not.
    """
    rng = rng or np.random.default_rng(0)
    if not op.examples:
        return [Row(op.name, "", order, np.inf, False, "the row has no example to be checked on")]
    return [check_example(op, example, order, rng) for example in op.examples]


def check_example(op: Op, example: Example, order: int, rng: np.random.Generator) -> Row:
    """The Row of one call."""
    f, inputs = as_function(op, example, rng)
    try:
        found = gradcheck(f, inputs, order, raise_exception=False)
        error, ok, report = found.error, found.ok, str(found)
    except Exception as problem:  # a broken row is a finding; the other rows are still checked
        error, ok, report = np.inf, False, f"{type(problem).__name__}: {problem}"
    return Row(op.name, described(example), order, error, ok, report)


def as_function(
    op: Op, example: Example, rng: np.random.Generator
) -> tuple[Callable[..., Any], list[Any]]:
    """A call of `op` as a function and its inputs, none of them in a list, as `gradcheck` takes."""
    inputs = example.draw(rng)

    def f(*flat: Any) -> Any:
        return op(*nested(inputs, iter(flat)), **example.params)

    return f, list(flattened(inputs))


def flattened(inputs: Iterable[Any]) -> Iterator[Any]:
    """The inputs one by one, those inside a list too (np.stack takes a list)."""
    for x in inputs:
        yield from x if isinstance(x, list) else [x]


def nested(like: Sequence[Any], flat: Iterator[Any]) -> list[Any]:
    """The inverse of `flattened`: lists again where `like` has lists."""
    return [[next(flat) for _ in x] if isinstance(x, list) else next(flat) for x in like]


def described(example: Example) -> str:
    """The example as one would write the call: shapes, then params."""
    params = [f"{key}={brief(x)}" for key, x in example.params.items()]
    return ", ".join([*map(brief, example.inputs), *params])


def brief(x: Any) -> str:
    """An array as its dtype and shape, anything else as it is."""
    if isinstance(x, np.ndarray):
        return f"{x.dtype}{x.shape}"
    if isinstance(x, tuple) and any(isinstance(item, np.ndarray) for item in x):
        return f"({', '.join(map(brief, x))})"
    return repr(x)


def check_table(
    names: Iterable[str] | None = None, orders: Sequence[int] = (1, 2), seed: int = 0
) -> list[Row]:
    """The check of every row of the table, or of those named, with every example at every order.

    ValueError for a name that no row has.
    """
    return [
        row
        for op in rows(names)
        for order in orders
        for row in check_op(op, order, np.random.default_rng(seed))
    ]
