"""Checks of `Value`: each operation on single numbers against central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.check.rows import Row
from minigrad.scalar import Value

Function = Callable[..., Value]

OPERATIONS: dict[str, tuple[Function, list[tuple[float, ...]]]] = {
    "a + b": (lambda a, b: a + b, [(2.0, -3.0), (0.5, 0.5)]),
    "a - b": (lambda a, b: a - b, [(2.0, -3.0), (0.5, 0.5)]),
    "a * b": (lambda a, b: a * b, [(2.0, -3.0), (0.5, 0.0)]),
    "a / b": (lambda a, b: a / b, [(2.0, -3.0), (0.0, 0.5)]),
    "a ** b": (lambda a, b: a**b, [(2.0, -3.0), (0.5, 1.5)]),
    "-a": (lambda a: -a, [(2.0,), (-0.5,)]),
    "relu": (lambda a: a.relu(), [(2.0,), (-0.5,)]),
    "exp": (lambda a: a.exp(), [(2.0,), (-0.5,)]),
    "log": (lambda a: a.log(), [(2.0,), (0.5,)]),
    "tanh": (lambda a: a.tanh(), [(2.0,), (-0.5,)]),
    "sqrt": (lambda a: a.sqrt(), [(2.0,), (0.5,)]),
    "sin": (lambda a: a.sin(), [(2.0,), (-0.5,)]),
    "cos": (lambda a: a.cos(), [(2.0,), (-0.5,)]),
    "a used twice": (lambda a, b: a * b + a.tanh() * a, [(2.0, -3.0), (-0.5, 0.5)]),
}
"""What is tried, and with which numbers, away from kinks."""

STEP = 1e-5
TOLERANCE = 1e-7
"""Of a difference of a step both ways, relative to numbers of about 1: its error is STEP² or so."""


def check_values() -> list[Row]:
    """A Row for each operation and each choice of numbers: the largest error of a gradient."""
    return [
        check_values_at(name, function, numbers)
        for name, (function, choices) in OPERATIONS.items()
        for numbers in choices
    ]


def check_values_at(name: str, function: Function, numbers: tuple[float, ...]) -> Row:
    """The Row of one operation: what `backward` says against how far the result really moves."""
    inputs = [Value(x) for x in numbers]
    function(*inputs).backward()
    slopes = [
        (
            function(*map(Value, shifted(numbers, place, STEP))).data
            - function(*map(Value, shifted(numbers, place, -STEP))).data
        )
        / (2 * STEP)
        for place in range(len(numbers))
    ]
    errors = [
        abs(x.grad - slope) / max(1.0, abs(slope)) for x, slope in zip(inputs, slopes, strict=True)
    ]
    place = int(np.argmax(errors))  # NaN, if there is one, is the largest
    error = errors[place]
    told = (
        f"input {place + 1} has gradient {inputs[place].grad}, and differences say {slopes[place]}"
    )
    called = ", ".join(map(str, numbers))
    return Row(f"Value {name}", called, 1, error, bool(error <= TOLERANCE), told)


def shifted(numbers: tuple[float, ...], place: int, step: float) -> list[float]:
    """The numbers, one of them moved."""
    return [x + step * (i == place) for i, x in enumerate(numbers)]
