"""Two graphs side by side, what differs between them marked.

The nodes of a graph stand in the order of their computation, so two graphs are aligned as two
texts are, line by line. What is left over on one side is only there, or in another place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from viz.graphs.build import Result, build
from viz.graphs.dot import Picture, digraph
from viz.graphs.look import Look, show_options
from viz.graphs.nodes import Graph, Node
from viz.graphs.words import count_of, shape_text

ONLY, MOVED = "only here", "in another place"


@show_options
def compare(a: Result, b: Result, titles: tuple[str, str] = ("a", "b"), **options: Any) -> Picture:
    """Two computation graphs beside each other, what differs marked and summed up in the note.

    The options are those of `viz.graph`, and so are the errors raised; ValueError where both titles
    are the same.

    >>> from minigrad import Value
    >>> x = Value(2.0)
    >>> compare(x * 3, x * 3 + 1, names={"x": x}).note
    '2 nodes only in b'
    """
    look = Look.of(**options)
    left, right = build(a, look), build(b, look)
    depths = [graph.depth for graph in (left, right) if graph.depth is not None]
    if depths:  # what one had to be folded to, so that it fits, both are
        look = replace(look, depth=min(depths))
        left, right = build(a, look), build(b, look)
    return digraph(join(left, right, titles))


def join(a: Graph, b: Graph, titles: tuple[str, str] = ("a", "b")) -> Graph:
    """Both graphs, marked, as one: each in a cluster under its title, corresponding nodes level."""
    if len(set(titles)) != 2:
        raise ValueError(f"compare: two different titles are needed, not {', '.join(titles)}")
    sides = mark_both(a, b)
    left, right = (put_in_cluster(*each) for each in zip(titles, "ab", sides, strict=True))
    level = [(left.nodes[i].id, right.nodes[j].id) for i, j in align(a, b).items()]
    notes = [summary(sides, titles)]
    notes += [f"{title}: {x.note}" for title, x in zip(titles, sides, strict=True) if x.note]
    nodes, edges = left.nodes + right.nodes, left.edges + right.edges
    return Graph(nodes, edges, "; ".join(notes), level=tuple(level))


def mark_both(a: Graph, b: Graph) -> tuple[Graph, Graph]:
    """Both graphs, each node with what sets it apart, and each edge marked that the other lacks."""
    pairs = align(a, b)
    return mark(a, b, pairs), mark(b, a, {j: i for i, j in pairs.items()})


def align(a: Graph, b: Graph) -> dict[int, int]:
    """The position in `b` of the node that corresponds to each of `a`, where one does.

    Equal ones first; where they leave a gap on both sides, similar ones in it. The order is the
    same on both sides.
    """
    pairs: dict[int, int] = {}
    equal = SequenceMatcher(None, [*map(signature, a.nodes)], [*map(signature, b.nodes)], False)
    for kind, i, i_end, j, j_end in equal.get_opcodes():
        if kind == "equal":
            pairs.update(zip(range(i, i_end), range(j, j_end), strict=True))
        elif kind == "replace":
            left, right = a.nodes[i:i_end], b.nodes[j:j_end]
            similar = SequenceMatcher(None, [*map(role, left)], [*map(role, right)], False)
            for i_block, j_block, size in similar.get_matching_blocks():
                pairs.update((i + i_block + k, j + j_block + k) for k in range(size))
    return pairs


def role(node: Node) -> tuple[Hashable, ...]:
    """What two nodes must share to correspond."""
    return node.label, node.kind, node.path


def signature(node: Node) -> tuple[Hashable, ...]:
    """What two nodes must share to be equal; the numbers in them may differ."""
    rows = tuple((row.name, row.shape) for row in node.rows)
    return *role(node), node.detail, node.shape, node.dtype, node.size, rows


def mark(here: Graph, there: Graph, pairs: Mapping[int, int]) -> Graph:
    """The graph `here` with its differences; `pairs` are positions here and there."""
    found = set(pairs.values())
    left = Counter(signature(node) for j, node in enumerate(there.nodes) if j not in found)
    nodes = []
    for i, node in enumerate(here.nodes):
        if i in pairs:
            said = difference(node, there.nodes[pairs[i]])
        else:
            said = MOVED if left[signature(node)] > 0 else ONLY
            left[signature(node)] -= 1
        nodes.append(replace(node, difference=said))

    other = {here.nodes[i].id: there.nodes[j].id for i, j in pairs.items()}
    unmatched = Counter((edge.source, edge.target) for edge in there.edges)
    edges = []
    for edge in here.edges:
        ends = other.get(edge.source, ""), other.get(edge.target, "")
        edges.append(replace(edge, marked=unmatched[ends] <= 0))
        unmatched[ends] -= 1
    return replace(here, nodes=tuple(nodes), edges=tuple(edges))


def difference(node: Node, other: Node) -> str:
    """How the node that corresponds to this one differs from it; empty if it does not."""
    told = []
    if node.detail != other.detail:
        told.append(other.detail or f"without {node.detail}")
    rows = Counter((row.name, row.shape) for row in node.rows)
    others = Counter((row.name, row.shape) for row in other.rows)
    told += [f"{name} {shape_text(shape)}" for name, shape in others - rows]
    named = {row.name for row in other.rows}
    told += [f"without {name}" for name, _ in rows - others if name not in named]
    if node.size != other.size:
        told.append(other.size)
    if node.shape != other.shape:
        told.append(shape_text(other.shape or ()))
    if node.dtype != other.dtype:
        told.append(other.dtype)
    return f"there: {', '.join(told)}" if told else ""


def summary(sides: Sequence[Graph], titles: Sequence[str]) -> str:
    """What differs, in one line: nodes, or if none do, edges."""
    said = [[node.difference for node in side.nodes] for side in sides]
    moved = said[0].count(MOVED)
    changed = sum(text not in ("", ONLY, MOVED) for text in said[0])
    told = [f"{count_of(moved, 'node')} in another place"] if moved else []
    told += [f"{count_of(changed, 'node')} unlike"] if changed else []
    for title, one in zip(titles, said, strict=True):
        told += [f"{count_of(one.count(ONLY), 'node')} only in {title}"] if ONLY in one else []
    if not told:
        edges = max(sum(edge.marked for edge in side.edges) for side in sides)
        folded = any(node.size for side in sides for node in side.nodes)
        same = "no difference at this zoom" if folded else "no difference"
        told = [f"the same nodes, {count_of(edges, 'edge')} unlike" if edges else same]
    return ", ".join(told)


def put_in_cluster(title: str, prefix: str, graph: Graph) -> Graph:
    """The graph in a cluster of its own, its ids told apart from those of another."""
    nodes = [replace(x, id=prefix + x.id, path=(title, *x.path)) for x in graph.nodes]
    edges = [replace(x, source=prefix + x.source, target=prefix + x.target) for x in graph.edges]
    return replace(graph, nodes=tuple(nodes), edges=tuple(edges))
