"""A computation as a Graph: plain nodes, edges and clusters, ready to be drawn.

The recorded graph of a Tensor has a node per op and per leaf. Here it becomes what one wants to
look at: parameters and constants fold into the card of the op that uses them, ops gather in
clusters by the module call that made them, and a call nested too deep becomes one card. Nothing
here knows how a picture is made; `dot.py` does.

Reading order: `nodes.py`, what a Graph is; this file, how one is put together; `trace.py`, which
tensors get a node and what they are called; `cards.py`, what the nodes say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from minigrad.scalar import Value
from minigrad.tensor import TABLE, Tensor
from viz.cards import Cards, bare, counted, operation_text, short, unnumbered
from viz.nodes import Edge, Graph, Node, Path, prefixes
from viz.trace import Trace, ancestors, tensors_in

Result = Tensor | Value | Sequence[Tensor] | Sequence[Value]

READABLE = 150  # nodes; of more than this, modules are folded
MOST = 1000  # nodes, even where a depth is asked for: Graphviz takes minutes for a few thousand


def build(
    result: Result,
    depth: int | None = None,
    *,
    values: bool = False,
    grads: bool = False,
    expand: bool | Collection[str] = False,
    names: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Graph:
    """The graph behind one result, or behind several.

    depth: module calls nested deeper than this become one card each; left out, it is the largest
    that shows at most `limit` nodes. limit: the most nodes to show whatever the depth, the newest
    ones (150; with a `depth`, 1,000). values, grads: with the numbers where they are few, otherwise
    with what they are like; `retain_grads` lets inner nodes have gradients. expand: draw fused ops
    by their definitions, all of them or those named. names: what to call leaves and Values that
    have no name of their own, such as `locals()`.

    TypeError for a result that is no Tensor or Value; ValueError for a negative depth, an empty
    limit, an unknown op to expand.

    >>> import numpy as np
    >>> x = Tensor([[1.0, 2.0]], name="x")
    >>> w = Tensor([[3.0], [4.0]], requires_grad=True, name="w")
    >>> picture = build(np.tanh(x @ w))
    >>> [node.label for node in picture.nodes], picture.nodes[1].rows[0].name
    (['x', 'matmul', 'tanh'], 'w')
    """
    roots: list[Any] = list(result) if isinstance(result, Sequence) else [result]
    if depth is not None and depth < 0:
        raise ValueError(f"graph: depth is a number of levels, 0 or more, not {depth}")
    if limit is None:
        limit = READABLE if depth is None else MOST
    if limit < 1:
        raise ValueError(f"graph: limit is a number of nodes, 1 or more, not {limit}")
    given = {id(x): name for name, x in (names or {}).items()}
    if roots and all(isinstance(root, Value) for root in roots):
        return graph_of_values(roots, given, limit)
    if not roots or not all(isinstance(root, Tensor) for root in roots):
        kinds = ", ".join(sorted({type(root).__name__ for root in roots})) or "nothing"
        raise TypeError(f"graph: a Tensor or a Value, or a list of either, is drawn, not {kinds}")
    trace = Trace(roots, given, fused_ops(expand), fold_named=not (values or grads))
    return graph_of_tensors(trace, Cards(trace, values, grads), depth, limit)


def retain_grads(result: Tensor) -> None:
    """Ask `backward()` to fill `grad` of every tensor behind `result`, so that it can be drawn."""
    for tensor in ancestors([result], tensors_in):
        if tensor.op is not None:
            tensor.retain_grad()


def fused_ops(expand: bool | Collection[str]) -> set[str]:
    """The names of the ops to be drawn by their definitions."""
    fused = {name for name, op in TABLE.items() if op.joint is not None}
    if isinstance(expand, bool):
        return fused if expand else set()
    chosen = {expand} if isinstance(expand, str) else set(expand)
    if unknown := sorted(chosen - fused):
        raise ValueError(
            f"graph: no fused op is called {', '.join(unknown)}; "
            f"the possible ones are {', '.join(sorted(fused))}"
        )
    return chosen


class Draft(NamedTuple):
    """A node on its way into a graph: the key it is known by, and the tensors flowing into it."""

    key: Any
    node: Node
    sources: list[int]


def graph_of_tensors(trace: Trace, cards: Cards, depth: int | None, limit: int) -> Graph:
    """The graph with module calls below `depth` folded, cut to its newest `limit` nodes."""
    paths = [trace.path(tensor) for tensor in trace.drawn]
    level = deepest_fitting(paths, limit) if depth is None else depth

    units: dict[Any, list[Tensor]] = {}  # the tensors behind each node: one, or those of a call
    home: dict[int, Any] = {}
    last_use: dict[Any, int] = {}
    for tensor, path in zip(trace.drawn, paths, strict=True):
        key = path[: level + 1] if len(path) > level else tensor.order
        units.setdefault(key, []).append(tensor)
        home[tensor.order] = key
        last_use[key] = max(last_use.get(key, 0), trace.last_use[tensor.order])

    kept = newest(last_use, limit)
    drafts, folded, older = [], 0, 0
    for key, unit in units.items():
        if key not in kept:
            older += trace.count_ops(unit)
            continue
        node, sources = cards.node(unit[0]) if len(unit) == 1 else cards.call(unit, key)
        drafts.append(Draft(key, replace(node, tensors=tuple(x.order for x in unit)), sources))
        folded += trace.count_ops(unit) if len(unit) > 1 else 0
    notes = trace.notes()
    if folded and depth is None:
        notes.append(
            f"showing {len(kept):,} nodes at depth {level}; {folded:,} ops are folded into their "
            "modules, and a larger depth opens more"
        )
    missing = older_ops(older) if len(kept) < len(units) else ""
    return assemble(drafts, home, missing, notes)


def deepest_fitting(paths: Sequence[Path], limit: int) -> int:
    """The largest depth at which nodes with these paths are at most `limit`, or 0."""
    depth = max(map(len, paths), default=0)
    while depth > 0:
        calls = {path[: depth + 1] for path in paths if len(path) > depth}
        if len(calls) + sum(len(path) <= depth for path in paths) <= limit:
            break
        depth -= 1
    return depth


def newest(last_use: Mapping[Any, int], limit: int) -> set[Any]:
    """The `limit` keys used last; one fewer where a stub must stand for the others."""
    if len(last_use) <= limit:
        return set(last_use)
    return set(sorted(last_use, key=last_use.__getitem__)[len(last_use) - limit + 1 :])


def older_ops(number: int) -> str:
    """What the stub says, given the number of ops that are not shown."""
    return counted(number, "older op") if number else "older inputs"


def assemble(
    drafts: Sequence[Draft], home: Mapping[int, Any], missing: str, notes: Sequence[str]
) -> Graph:
    """The finished graph: ids by position, and edges between those ids.

    `home` gives for each source the key of the draft that it is in; what has none is `missing`.
    """
    sizes = Counter(path for draft in drafts for path in prefixes(draft.node.path))
    nodes = [unboxed(draft.node, sizes) for draft in drafts]
    notes = list(notes)
    if missing:
        nodes.append(Node(missing, "stub", "input"))
        notes.append(f"{missing} left out")
    nodes = [replace(node, id=f"n{i}") for i, node in enumerate(nodes)]
    at = {draft.key: i for i, draft in enumerate(drafts)}

    edges: list[Edge] = []
    for i, draft in enumerate(drafts):
        arriving: list[Edge] = []
        for source in draft.sources:
            origin = nodes[at.get(home[source], -1)]
            edge = Edge(origin.id, nodes[i].id)
            # x · x shows as two edges; all that goes from one module call to another as one.
            merged = origin.size or nodes[i].size or origin.kind == "stub"
            if not (merged and edge in arriving):
                arriving.append(edge)
        edges += arriving
    return Graph(tuple(nodes), tuple(edges), "; ".join(notes))


def unboxed(node: Node, sizes: Mapping[Path, int]) -> Node:
    """The node without boxes around it that hold nothing but itself, or are filled by another.

    The names of the former pass to the node: the only op of a call of the module `query`, a
    linear, becomes the card `query` with the detail "linear".
    """
    path: list[str] = []
    own: list[str] = []
    size_around = 0
    for name, inside in zip(node.path, prefixes(node.path), strict=True):
        if sizes[inside] == 1:
            own.append(unnumbered(name))
        elif sizes[inside] != size_around:
            path.append(name)
        size_around = sizes[inside]
    if not own:
        return replace(node, path=tuple(path))
    if node.size:
        return replace(node, path=tuple(path), label=" · ".join([*own, node.label]))
    told = [] if bare(own[-1]) == bare(node.label) else [node.label]
    detail = " ".join(filter(None, [*told, node.detail]))
    return replace(node, path=tuple(path), label=" · ".join(own), detail=detail)


def graph_of_values(roots: Sequence[Value], given: Mapping[int, str], limit: int) -> Graph:
    """The graph of single numbers: each card has the operation, the number and its gradient."""
    values = ancestors(roots, lambda value: [x for x, _ in value.inputs])
    results = {id(root) for root in roots}
    last_use: dict[int, int] = {}
    for now, value in enumerate(values):
        last_use[value._place] = now
        for x, _ in value.inputs:
            if not x.inputs:
                last_use[x._place] = now
    kept = newest(last_use, limit)
    drafts = []
    for value in values:
        if value._place not in kept:
            continue
        name, op = given.get(id(value)), operation_text(value._op)
        family = "elementwise" if op else "parameter"
        if id(value) in results and op:
            family = "loss"
        elif op in ("relu", "tanh"):
            family = "activation"
        node = Node(
            name or op or "value",
            "card",
            family,
            op if name else "",
            value=((short(value.data),),),
            grad=((short(value.grad),),),
        )
        drafts.append(Draft(value._place, node, [x._place for x, _ in value.inputs]))
    older = sum(bool(value._op) for value in values if value._place not in kept)
    missing = older_ops(older) if len(kept) < len(values) else ""
    return assemble(drafts, {place: place for place in last_use}, missing, [])
