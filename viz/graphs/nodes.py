"""Nodes, edges and graphs as plain data: what a picture of a computation is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Path = tuple[str, ...]
"""The names of nested module calls, outermost first; the second call of a module from one place
is told apart as "cell (2)"."""

Table = tuple[tuple[str, ...], ...]
"""Numbers as text, in rows and columns; without rows, a gradient that has not been computed yet."""


@dataclass(frozen=True)
class Row:
    """A parameter or a constant array in the card of the op, or the module, that uses it."""

    name: str
    shape: tuple[int, ...]
    family: str  # "parameter" or "constant"
    value: Table | None = None
    grad: Table | None = None


@dataclass(frozen=True)
class Node:
    """An op, a leaf or a whole module call.

    `kind` is the form: "card", "pill" (an op that only moves elements), "sum" (a residual addition)
    or "stub" (what was left out). `family` is that of the op, or "input", "parameter", "module".
    `tensors` are the orders of the tensors that it stands for, oldest first, those of all `times`
    that a layer repeats. `heat` says how costly it is, from 0 to 1. `difference` is what, in a
    comparison, sets it apart from the other graph: empty where nothing does, None where nothing is
    compared.
    """

    label: str
    kind: str
    family: str
    detail: str = ""
    path: Path = ()
    rows: tuple[Row, ...] = ()
    size: str = ""  # of a module call: "31 ops · 1.05 M params"
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    value: Table | None = None
    grad: Table | None = None
    notice: str = ""
    cost: tuple[str, ...] = ()
    heat: float | None = None
    difference: str | None = None
    tensors: tuple[int, ...] = field(default=(), compare=False)
    times: int = 1
    id: str = ""


@dataclass(frozen=True)
class Edge:
    """What flows from one node to another, by their ids; `marked` if only in one of two graphs."""

    source: str
    target: str
    marked: bool = False


@dataclass(frozen=True)
class Graph:
    """Nodes, each after those that it was computed from, and edges.

    `note` is what to say below. `depth` is the level below which module calls had to be folded, if
    any had to. `level` holds ids of nodes that are to stand at one height. `homes` has the ids of
    the nodes in which each tensor is, by its order.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    note: str = ""
    depth: int | None = None
    level: tuple[tuple[str, ...], ...] = ()
    homes: Mapping[int, tuple[str, ...]] = field(default_factory=dict, compare=False)

    @property
    def clusters(self) -> tuple[Path, ...]:
        """The path of every module call that has nodes inside, each after the one around it."""
        return tuple(dict.fromkeys(path for node in self.nodes for path in prefixes(node.path)))


def prefixes(path: Path) -> Iterator[Path]:
    """The paths of the calls around a node, outermost first."""
    return (path[:level] for level in range(1, len(path) + 1))
