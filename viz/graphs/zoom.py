"""Zoom: how closely a computation is looked at, from whole models down to single numbers."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass

from minigrad.tensor import Tensor
from viz.graphs.cost import flops

ZOOMS = ("model", "module", "op", "definition", "scalar")
"""The rungs of the ladder:

model: a card for each outermost module call;
module: a card for each module that is about one thing, such as attention or a layer norm, in boxes
for the modules around them, and layers that repeat drawn once;
op: a card for each op;
definition: ops by the smaller ones that define them, and those by theirs;
scalar: every multiplication and addition of single numbers.
"""

COMPUTED = 100_000  # scalars, which take about a second

Element = tuple[int, ...]
"""The index of one element of an array."""

Place = tuple[str, ...]
"""The names of the module calls, and of the ops drawn by their definitions, around something, and
its own."""


@dataclass(frozen=True)
class Zoom:
    """A rung of the ladder, and the names of modules and ops that are looked at more closely."""

    rung: str
    opened: frozenset[str] = frozenset()

    @classmethod
    def to(cls, rung: str, opened: str | Collection[str] = ()) -> Zoom:
        """A Zoom from what a user says; ValueError for a rung that there is not."""
        if rung not in ZOOMS:
            raise ValueError(f"graph: zoom is one of {', '.join(ZOOMS)}, not {rung!r}")
        return cls(rung, frozenset([opened] if isinstance(opened, str) else opened))

    @property
    def everywhere(self) -> bool:
        """Whether the rung holds for all ops, not only for those that are opened."""
        return self.rung == "definition" or (self.rung == "scalar" and not self.opened)

    def names(self, place: Place) -> bool:
        """Whether this is one of the places to open."""
        return any(leads_to(name, place) for name in self.opened)

    def missing(self, places: Collection[Place]) -> set[str]:
        """The names that none of these places has."""
        return {name for name in self.opened if not any(leads_to(name, x) for x in places)}


def leads_to(name: str, place: Place) -> bool:
    """Whether a dotted name is that of a place; it may leave out anything but the end.

    >>> place = ("Transformer", "encoder", "layers.0", "self_attention")
    >>> [leads_to(name, place) for name in ("encoder.self_attention", "encoder.layers.0")]
    [True, False]
    """
    for part in place[:-1]:
        name = name.removeprefix(f"{part}.")
    return bool(place) and name == place[-1]


def shortest(place: Place, places: Collection[Place]) -> str:
    """The shortest name that leads to this one of the places, and if it can be to no other."""
    for start in range(len(place) - 1, -1, -1):
        name = ".".join(place[start:])
        if sum(leads_to(name, other) for other in places) == 1:
            break
    return name


def unknown(name: str, places: Collection[Place]) -> ValueError:
    """The error for a name to open that is nowhere, with those that it may have meant."""
    possible = {".".join(place[i:]) for place in places for i in range(len(place))}
    shortest = sorted({place[-1] for place in places})
    close = difflib.get_close_matches(name, sorted(possible))
    if close:
        return ValueError(
            f"graph: there is no {name!r} to open; did you mean {' or '.join(close)}?"
        )
    hint = f"there are {', '.join(shortest[:12])}{', …' if shortest[12:] else ''}"
    if not shortest:
        hint = "only zoom scalar opens these ops"
    return ValueError(f"graph: there is no {name!r} to open; {hint}")


class TooManyScalarsError(ValueError):
    """A graph of more scalars than can be drawn.

    `said` tells how many; `way_out` is what draws fewer: a name to open, or "", and an element.
    """

    def __init__(self, said: str, way_out: tuple[str, Element] | None = None) -> None:
        self.said, self.way_out = said, way_out
        hint = "open a single op, or make the inputs smaller"
        if way_out is not None:
            name, element = way_out
            opened = f'open="{name}", ' if name else ""
            hint = f'a part that is small enough: zoom="scalar", {opened}element={element}'
        super().__init__(f"graph: {said}; {hint}")


def check_scalars(steps: Collection[Tensor]) -> None:
    """TooManyScalarsError if these ops take more than one would wait for, by their sizes alone."""
    computed = {step.order: flops(step) for step in steps}
    used = {x.order: x.size for step in steps for x in step.inputs if isinstance(x, Tensor)}
    number = sum((used | computed).values())
    if number > COMPUTED:
        raise TooManyScalarsError(f"about {number:,} scalars are too many (more than {COMPUTED:,})")
