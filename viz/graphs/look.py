"""How a computation is looked at: from whole models down to single numbers, and what is opened."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from functools import cached_property
from typing import Any

from minigrad.tensor import Tensor
from viz.graphs.cost import flops

ZOOMS = ("model", "module", "op", "definition", "scalar")
"""The rungs of the ladder:

model: a card for each outermost module call;
module: a card for each module with a single job, such as attention or a layer norm, inside boxes
for the modules around it; layers that repeat are drawn once;
op: a card for each op;
definition: each op as the smaller ops that define it, and these as theirs;
scalar: every multiplication and addition of single numbers.
"""

COMPUTED = 100_000  # scalars, which take about a second

Element = tuple[int, ...]
"""The index of one element of an array."""

Place = tuple[str, ...]
"""The name of something, after those of the calls around it: of modules, and of ops that are drawn
by their definitions."""


READABLE = 150  # nodes; of more than this, modules are folded
MOST = 1000  # nodes, even of what is asked for: Graphviz takes minutes for a few thousand


@dataclass(frozen=True)
class Look:
    """How to look at a computation: how closely, where, and what to show.

    zoom: "model", "module", "op", "definition" or "scalar", see `ZOOMS`. open: paths of modules
    whose ops are shown, and of ops whose definitions are, whatever the zoom; all but the end may be
    left out ("encoder.layers.0.self_attention", "encoder.softmax", "softmax"). With zoom="scalar"
    these alone are drawn number by number. element: with zoom="scalar", the index of the one
    element, of the result or of what is opened, that the graph and the gradients are of.

    depth: module calls nested deeper than this become one card each; left out, it is the largest
    that shows at most `limit` nodes. limit: the most nodes to show, the newest ones (150; with a
    `depth` or `open`, 1,000); of more scalars than that (1,000) there is no graph. values, grads:
    with the numbers where they are few, otherwise with what they are like. The gradients are those
    of the result by each node, found without `backward()` and changing no `.grad`; where all nodes
    have one in `.grad` (see `retain_grads`), they are those. parameters: module cards list theirs.
    names: what to call leaves and Values that have no name of their own, such as `locals()`. costs:
    with the FLOPs and bytes of each node, forward and backward, by the convention of `cost.py`.

    ValueError for an unknown zoom, an element without zoom="scalar", a negative depth, one where
    nothing is folded by depth, and an empty limit.

    >>> Look("scalar", open="softmax", element=0).index
    (0,)
    """

    zoom: str = "op"
    _: KW_ONLY
    open: Collection[str] = ()
    element: int | Sequence[int] | None = None
    depth: int | None = None
    values: bool = False
    grads: bool = False
    parameters: bool = False
    names: Mapping[str, Any] | None = field(default=None, compare=False)
    limit: int | None = None
    costs: bool = False

    def __post_init__(self) -> None:
        if self.zoom not in ZOOMS:
            raise ValueError(f"graph: zoom is one of {', '.join(ZOOMS)}, not {self.zoom!r}")
        if self.element is not None and self.zoom != "scalar":
            raise ValueError('graph: a single element is drawn with zoom="scalar" only')
        if self.depth is not None:
            if self.depth < 0:
                raise ValueError(f"graph: depth is a number of levels, 0 or more, not {self.depth}")
            if self.zoom == "model":
                raise ValueError(
                    "graph: depth opens modules, which zoom model does not; leave one out"
                )
            if self.zoom == "scalar" and not self.opened:
                raise ValueError(
                    "graph: scalars are never folded; leave depth out, or open something"
                )
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"graph: limit is a number of nodes, 1 or more, not {self.limit}")

    @classmethod
    def of(cls, *zoom: str, **options: Any) -> Look:
        """The Look that a user's options describe; TypeError for an option that there is not."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1) or known
                raise TypeError(f"graph: there is no option {name!r}; use {' or '.join(close)}")
        return cls(*zoom, **options)

    @cached_property
    def opened(self) -> frozenset[str]:
        """The names to open."""
        return frozenset([self.open] if isinstance(self.open, str) else self.open)

    @cached_property
    def index(self) -> Element | None:
        """The index of the one element."""
        if self.element is None:
            return None
        return (self.element,) if isinstance(self.element, int) else tuple(self.element)

    @cached_property
    def given(self) -> dict[int, str]:
        """The names of tensors and Values by their identity."""
        return {id(x): name for name, x in (self.names or {}).items()}

    @property
    def few(self) -> int:
        """The number of nodes up to which modules stay open."""
        return READABLE if self.limit is None else self.limit

    @property
    def most(self) -> int:
        """The number of nodes up to which older ones are shown too."""
        asked_for = self.depth is not None or self.zoom == "scalar" or self.opened
        return MOST if self.limit is None and asked_for else self.few

    @property
    def everywhere(self) -> bool:
        """Whether every op is drawn by what is inside it, not only those named in `open`."""
        return self.zoom == "definition" or (self.zoom == "scalar" and not self.opened)

    def opens(self, place: Place) -> bool:
        """Whether this is one of the places to open."""
        return any(leads_to(name, place) for name in self.opened)

    def missing(self, places: Collection[Place]) -> set[str]:
        """The names to open that none of these places has."""
        return {name for name in self.opened if not any(leads_to(name, x) for x in places)}


USUAL = Look()


def show_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the signature of a function that takes `**options` list those of Look."""
    own = inspect.signature(function)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = inspect.signature(Look).parameters.values()
    parameters += [p.replace(kind=p.KEYWORD_ONLY) for p in options if p.name not in own.parameters]
    vars(function)["__signature__"] = own.replace(parameters=parameters)
    return function


def leads_to(name: str, place: Place) -> bool:
    """Whether a dotted name means this place; it may leave out anything but the end.

    >>> place = ("Transformer", "encoder", "layers.0", "self_attention")
    >>> [leads_to(name, place) for name in ("encoder.self_attention", "encoder.layers.0")]
    [True, False]
    """
    for part in place[:-1]:
        name = name.removeprefix(f"{part}.")
    return bool(place) and name == place[-1]


def shortest(place: Place, places: Collection[Place]) -> str:
    """The shortest name that leads to this place, and if possible to no other."""
    for start in range(len(place) - 1, -1, -1):
        name = ".".join(place[start:])
        if sum(leads_to(name, other) for other in places) == 1:
            break
    return name


def unknown(name: str, places: Collection[Place]) -> ValueError:
    """The error for a name that nothing has, with those that may have been meant."""
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

    `said` says how many; `way_out` is what draws fewer: a name to open, or "", and an element.
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
    """TooManyScalarsError if these ops, by their sizes, would take too long."""
    computed = {step.order: flops(step) for step in steps}
    used = {x.order: x.size for step in steps for x in step.inputs if isinstance(x, Tensor)}
    number = sum((used | computed).values())
    if number > COMPUTED:
        raise TooManyScalarsError(f"about {number:,} scalars are too many (more than {COMPUTED:,})")
