"""Checks of the table: each op on its own examples, at each order, against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.check.diagnosis import gradcheck
from minigrad.check.problem import is_floating
from minigrad.op import Example, Op
from minigrad.table import rows
from minigrad.tensor import Tensor


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
    return Row(op.name, describe_call(example), order, error, ok, report)


def as_function(
    op: Op, example: Example, rng: np.random.Generator
) -> tuple[Callable[..., Any], list[Any]]:
    """A call of `op` as a function and its inputs, none of them in a list, as `gradcheck` takes."""
    inputs = example.draw(rng)

    def f(*flat: Any) -> Any:
        return op(*nest(inputs, iter(flat)), **example.params)

    flat = list(flatten(inputs))
    names = op.names(flat)
    return f, [
        Tensor(x, name=name) if is_floating(x) else x for x, name in zip(flat, names, strict=True)
    ]


def flatten(inputs: Iterable[Any]) -> Iterator[Any]:
    """The inputs one by one, including those inside a list (np.stack takes a list)."""
    for x in inputs:
        yield from flatten(x) if isinstance(x, list) else [x]


def nest(like: Sequence[Any], flat: Iterator[Any]) -> list[Any]:
    """The inverse of `flatten`: lists again where `like` has lists."""
    return [nest(x, flat) if isinstance(x, list) else next(flat) for x in like]


def describe_call(example: Example) -> str:
    """The example as one would write the call: shapes, then params."""
    params = [f"{key}={brief(x)}" for key, x in example.params.items()]
    return ", ".join([*map(brief, example.inputs), *params])


def brief(x: Any) -> str:
    """An array as its dtype and shape, anything else as it is."""
    if isinstance(x, np.ndarray):
        return f"{x.dtype}{x.shape}"
    if isinstance(x, list):
        return f"[{', '.join(map(brief, x))}]"
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
