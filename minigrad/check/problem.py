"""A problem: a function, and the point at which a gradient check compares its derivatives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minigrad.check.numbers import Weighted, to_try
from minigrad.mode import no_grad
from minigrad.op import Op
from minigrad.table import NUMPY
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.transforms import grad

CALLS = 20
"""How often the function is called at one point, to see that it always gives the same; five times
as often where the check fails, in case chance was kind at first."""


@dataclass(frozen=True)
class Problem:
    """A function, made into a scalar one, and the point at which its gradient is checked.

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
        return [unwrap(g) for g in self.gradient_function()(*points)]

    def gradient_function(self) -> Callable[..., Any]:
        """The gradient as a function."""
        return grad(self.function, tuple(range(len(self.points))))

    def tried(self, rules: Sequence[Array], step: float) -> list[Array]:
        """Masks of the elements at which the rules are compared."""
        return to_try(self.function, self.points, self.directions, rules, step, self.seed)

    def derivative(self) -> Problem:
        """The problem of order 2: the function is the gradient in the fixed random direction."""
        function = Weighted(self.gradient_function(), self.directions)
        return replace(self, function=function, order=2, recorded=False)


def as_problem(f: Callable[..., Any], inputs: Any, seed: int) -> Problem:
    """The problem of the gradient of `f`; ValueError when it has none, or when `f` is random."""
    args = [unwrap(x) for x in as_list(inputs)]
    floating = [i for i, x in enumerate(args) if is_floating(x)]
    chosen = [i for i in floating if np.isfinite(args[i]).any()]
    if not floating:
        raise ValueError("gradcheck: no input is a floating array, so there is no derivative")
    if not chosen:
        raise ValueError(
            "gradcheck: the floating inputs have no finite elements to differentiate by"
        )
    points = [np.array(args[i], np.float64) for i in chosen]
    called = names_of(f, as_list(inputs))
    names = [called[i] for i in chosen]
    remarks = [
        describe_left_out(called[i], args[i]) for i in floating if not np.isfinite(args[i]).all()
    ]
    remarks += [
        f"{name} is {args[i].dtype}; it was checked in float64"
        for i, name in zip(chosen, names, strict=True)
        if args[i].dtype != np.float64
    ]

    def results(*points: Any) -> list[Any]:
        full = list(args)
        for i, x in zip(chosen, points, strict=True):
            full[i] = x if isinstance(x, Tensor) else Tensor.wrap(x)
        return as_list(f(*full))

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


def refuse_random(function: Weighted, points: Sequence[Array], calls: int) -> None:
    """ValueError unless so many calls of the function give the same."""
    first = function.terms(points)
    if not all(
        np.array_equal(first, function.terms(points), equal_nan=True) for _ in range(1, calls)
    ):
        raise ValueError("gradcheck: two calls of f gave two results; fix the seed of its numbers")


def as_list(x: Any) -> list[Any]:
    """Several inputs or results as a list; a single one as a list of one."""
    return list(x) if isinstance(x, list | tuple) else [x]


def is_floating(x: Any) -> bool:
    """Whether `x` is an array, or a NumPy number, that has derivatives."""
    return isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"


def describe_left_out(name: str, x: Array) -> str:
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


def element(index: Sequence[int]) -> str:
    """An element's place as one writes it behind its array's name; nothing for a single number."""
    return f"[{', '.join(map(str, index))}]" if len(index) else ""
