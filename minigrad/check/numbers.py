"""Derivatives by differences, and by the complex step, which know nothing of the rules."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.mode import no_grad
from minigrad.sums import norm
from minigrad.tensor import Array, unwrap

CENTRAL, COMPLEX = "central differences", "complex step"

TOLERANCE = {CENTRAL: 1e-6, COMPLEX: 1e-10}
"""The largest error that passes, well above what the method itself is off by."""

AGREEMENT = 1e-5
"""How near the complex step must come to the central differences to be believed."""

STEP = float(np.cbrt(np.finfo(np.float64).eps))
"""The step of central differences at |x| = 1: truncation and rounding are then equally small."""

COMPLEX_STEP = 1e-100
"""So small that its square vanishes beside any other number."""

MEASURABLE = 1e-3
"""The share of the function's own size below which a derivative drowns in the function's rounding;
a smaller one is compared as if it were as large as this."""


EFFORT = 2e7
"""Elements tried times elements computed: up to this a check takes no more than seconds."""

FEWEST = 100
"""How many elements of an input are tried at least, however large it is."""


@dataclass(frozen=True)
class Weighted:
    """A function that gives a list, made into one that gives its results' sum, by `weights`."""

    f: Callable[..., Sequence[Any]]
    weights: Sequence[Array]

    def __call__(self, *points: Any) -> Any:
        products = [np.sum(y * w) for y, w in zip(self.f(*points), self.weights, strict=True)]
        return sum(products[1:], products[0])

    def terms(self, points: Sequence[Array]) -> Array:
        """The terms of the sum: subtracted one by one, they lose less to rounding."""
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


def some_elements(rules: Sequence[Array], points: Sequence[Array], seed: int) -> list[Array]:
    """Masks of the elements to try: all that are finite, or as many at random as `EFFORT` allows.

    Also the first for which the rules give no number: that one is always worth a look.
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
    return differentiate(line, here, step, whole)


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


def differentiate(
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
