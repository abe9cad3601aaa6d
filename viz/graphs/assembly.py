"""Assembly: drafts of nodes become a Graph, with ids, edges and no needless boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from viz.graphs.nodes import Edge, Graph, Node, Path, prefixes
from viz.graphs.words import comparable, count_of, without_number


class Draft(NamedTuple):
    """A node on its way into a graph: the key it is known by, and what flows into it."""

    key: Any
    node: Node
    sources: Sequence[Any]


def newest(last_use: Mapping[Any, int], limit: int) -> set[Any]:
    """The `limit` keys used last; one fewer where a stub must stand for the others."""
    if len(last_use) <= limit:
        return set(last_use)
    return set(sorted(last_use, key=last_use.__getitem__)[len(last_use) - limit + 1 :])


def stub_label(number: int) -> str:
    """The label of the stub for so many ops that are not shown."""
    return count_of(number, "older op") if number else "older inputs"


def assemble(
    drafts: Sequence[Draft],
    home: Mapping[Any, Any],
    missing: str,
    notes: Sequence[str],
    boxes: Collection[str] = (),
    level: Sequence[Sequence[Any]] = (),
) -> Graph:
    """The finished graph: ids by position, and edges between those ids.

    `home` gives for each source the key of the draft that it is in; what has none is `missing`.
    `boxes` are names of boxes to keep. `level` has keys of what is to stand at one height.
    """
    sizes = Counter(path for draft in drafts for path in prefixes(draft.node.path))
    nodes = [unbox(draft.node, sizes, boxes) for draft in drafts]
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
    rows = tuple(tuple(nodes[at[key]].id for key in keys) for keys in level)
    return Graph(tuple(nodes), tuple(edges), "; ".join(notes), level=rows)


def find_homes(
    graph: Graph, orders: Sequence[int], users: Mapping[int, Sequence[int]]
) -> dict[int, tuple[str, ...]]:
    """The ids of the nodes in which each of these tensors is, given by their orders, oldest first.

    What has no node of its own, such as a transposed matrix, is in those of its `users`, by their
    orders, or else in the stub for all that was left out: a result too, if newer ones take all the
    room.
    """
    own = {order: node.id for node in graph.nodes for order in node.tensors}
    stub = next((node.id for node in graph.nodes if node.kind == "stub"), None)
    found: dict[int, tuple[str, ...]] = {}
    for order in reversed(orders):  # users first
        around = [home for user in users.get(order, ()) for home in found.get(user, ())]
        shown = tuple(home for home in dict.fromkeys(around) if home != stub)
        if order in own:
            found[order] = (own[order],)
        else:
            found[order] = shown or ((stub,) if stub else ())
    return found


def unbox(node: Node, sizes: Mapping[Path, int], boxes: Collection[str]) -> Node:
    """The node without the boxes around it that hold nothing else, or only another box.

    The names of the former pass to the node: the only op of a call of the module `query`, a
    linear, becomes the card `query` with the detail "linear".
    """
    path: list[str] = []
    own: list[str] = []
    size_around = 0
    for name, inside in zip(node.path, prefixes(node.path), strict=True):
        if sizes[inside] == 1:
            own.append(without_number(name))
        elif sizes[inside] != size_around or name in boxes:
            path.append(name)
        size_around = sizes[inside]
    if not own:
        return replace(node, path=tuple(path))
    if node.size:
        return replace(node, path=tuple(path), label=" · ".join([*own, node.label]))
    told = [] if comparable(own[-1]) == comparable(node.label) else [node.label]
    detail = " ".join(filter(None, [*told, node.detail]))
    return replace(node, path=tuple(path), label=" · ".join(own), detail=detail)
