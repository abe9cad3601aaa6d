"""One call of an op on trial: its rule, the evidence on it, and the suspicion.

An op that a function has recorded is tried on its own: on the inputs that it had, with a random
incoming gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from minigrad.backward import contributions, sum_to
from minigrad.check.evidence import Evidence
from minigrad.check.numbers import STEP, TOLERANCE, Weighted, slope_along, to_try
from minigrad.check.problem import element
from minigrad.check.report import Suspicion
from minigrad.op import Op
from minigrad.tensor import Array, Tensor, unwrap


@dataclass(frozen=True)
class Call:
    """One call of an op: its inputs, and the places of those that the gradient goes on to."""

    op: Op
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    places: tuple[int, ...]

    @classmethod
    def of(cls, node: Tensor) -> Call:
        """The call that gave this tensor."""
        assert node.op is not None
        # What has no finite element cannot be moved, so its gradient cannot be measured.
        places = [
            i
            for i, x in enumerate(node.inputs)
            if isinstance(x, Tensor) and x.tracked and np.isfinite(x.data).any()
        ]
        return cls(node.op, unwrap(node.inputs), node.params, tuple(places))

    @property
    def points(self) -> list[Array]:
        """The inputs that the gradient goes on to, in float64."""
        return [np.array(self.inputs[i], np.float64) for i in self.places]

    def name(self, i: int) -> str:
        """What the op's rule calls its input number `i`."""
        return self.op.names(self.inputs)[i]

    @property
    def names(self) -> list[str]:
        """What the points are called."""
        return [self.name(i) for i in self.places]

    def compute(self, *points: Any) -> tuple[Array, tuple[Any, ...], list[Any]]:
        """The result, what was saved for the rule, and all the inputs, none shared with others."""
        inputs = [x.copy() if isinstance(x, np.ndarray) else x for x in self.inputs]
        for i, x in zip(self.places, points, strict=True):
            inputs[i] = x
        y, saved = self.op.compute(*inputs, **self.params)
        return np.asarray(y), saved, inputs

    def forward(self, *points: Any) -> Array:
        """The result alone."""
        return self.compute(*points)[0]

    def __call__(self, *points: Tensor) -> Tensor:
        """The call recorded again, with these points."""
        y, saved, inputs = self.compute(*[x.data for x in points])
        for i, x in zip(self.places, points, strict=True):
            inputs[i] = x
        return Tensor.wrap(y, self.op, tuple(inputs), self.params, saved)

    def node(self, only: int | None = None) -> Tensor:
        """The call recorded again; with `only`, the gradient goes on to that point alone."""
        points = self.points
        return self(*[Tensor(x, requires_grad=only in (None, k)) for k, x in enumerate(points)])


def pull_back(node: Tensor, g: Any) -> list[Array]:
    """What the rule of `node` gives for the incoming gradient `g`, by each tracked input."""
    found = dict(contributions(node, g, create_graph=isinstance(g, Tensor)))
    return [
        sum_to(np.asarray(unwrap(found.get(i, np.zeros(x.shape)))), x.shape).astype(
            float, copy=False
        )
        for i, x in enumerate(node.inputs)
        if isinstance(x, Tensor) and x.tracked
    ]


@dataclass(frozen=True, kw_only=True)
class Case(Evidence):
    """The rule of one call, pulling back the random `g`, and the evidence on it."""

    call: Call
    g: Array

    @classmethod
    def of(cls, call: Call) -> Case:
        """The case of a call."""
        rng = np.random.default_rng(1)
        node = call.node()
        alive = np.isfinite(node.data)  # nothing comes back from a masked score of -inf
        g = np.where(alive, rng.standard_normal(node.shape), 0)
        rules = pull_back(node, g.copy())

        def forward(*points: Any) -> list[Array]:
            return [np.where(alive, call.forward(*points), 0)]

        function, points = Weighted(forward, [g]), call.points
        directions = [rng.standard_normal(x.shape) for x in points]
        return cls(
            function=function,
            points=points,
            names=call.names,
            directions=directions,
            rules=rules,
            tried=to_try(function, points, directions, rules, STEP, seed=1),
            call=call,
            g=g,
        )

    @property
    def looks_right(self) -> bool:
        """Whether the rule is right in one random direction: cheap, and enough to clear an op."""
        numbers = slope_along(self.function, self.points, self.direction, self.step)
        return bool(numbers.errors([np.asarray(self.slope)])[0] <= TOLERANCE[numbers.method])

    def wrong(self, i: int) -> Array:
        """A mask of the elements of the point number `i` at which the rule is wrong."""
        return self.errors[i] > self.limit

    def distance(self, i: int, got: Array, wanted: Array | None = None) -> float:
        """How far `got` is at worst from what it should be, or from `wanted`, relative to it."""
        wanted = self.numbers.values[i] if wanted is None else wanted
        error = np.abs(got - wanted) / np.maximum(np.abs(wanted), self.numbers.measurable[i])
        error = np.where(np.isfinite(error), error, np.inf)
        return float(error[self.sound[i]].max(initial=0))

    def is_near(self, ratio: float, x: float) -> bool:
        """Whether a factor is `x` up to its sign, as well as the numbers can tell."""
        return bool(np.isclose(abs(ratio), x, rtol=10 * self.limit, atol=0))

    def worst(self, gradient: list[Array]) -> float:
        """How far a whole gradient is from what it should be."""
        return max(self.distance(i, got) for i, got in enumerate(gradient))

    def suspicion(self, kind: str, text: str, error: float = np.inf, **fields: Any) -> Suspicion:
        """A suspicion of this op's rule."""
        return Suspicion(kind, text, error, self.call.op.name, **fields)


def place(evidence: Evidence, i: int, where: Array) -> str:
    """A region of the point number `i` in words: at every element, only where x < 0, at x[1, 2]."""
    name, sound, tried = evidence.names[i], evidence.sound[i], evidence.tried[i]
    count = f"({where.sum()} of {tried.sum()} elements{'' if tried.all() else ' tried'})"
    if (where | ~sound).all():
        return "at every element"
    if where.sum() > 1:
        for text, region in conditions(evidence, i, np.argwhere(where)[0]):
            if np.array_equal(region & sound, where):
                return f"only where {text} {count}"
    some = [f"{name}{element(index)}" for index in np.argwhere(where)[:3]]
    return f"only at {', '.join(some)}{', …' if where.sum() > 3 else ''} {count}"


def conditions(evidence: Evidence, i: int, first: Array) -> Iterator[tuple[str, Array]]:
    """What may set some elements of the point number `i` apart, and where it holds.

    `first` is the index of one of them.
    """
    shape = evidence.points[i].shape
    named = zip(evidence.names, evidence.points, strict=True)
    alike = [(name, x) for name, x in named if x.shape == shape]
    for name, x in alike:
        yield f"{name} < 0", x < 0
        yield f"{name} > 0", x > 0
        yield f"|{name}| > 1", np.abs(x) > 1
        yield f"|{name}| < 1", np.abs(x) < 1
    for (a, x), (b, y) in permutations(alike, 2):
        yield f"{a} < {b}", x < y
    for axis, k in enumerate(first):
        yield f"the index on axis {axis} is {k}", np.indices(shape)[axis] == k
