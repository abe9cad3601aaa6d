"""How edges are led around the titles of boxes."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad.tensor import Array
from viz.graphs import dot, render
from viz.graphs.routes import Box
from viz.subject.examples import EXAMPLES

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = [
    ("softmax", "definition"),
    ("layernorm", "definition"),
    ("attention", "definition"),
    ("encoder-layer", "op"),
    ("encoder-layer-pre", "definition"),
    ("decoder-layer", "op"),
    ("transformer", "module"),
    ("transformer", "op"),
]

pytestmark = pytest.mark.skipif(not render.engines("svg"), reason="no Graphviz is installed")
every_picture = pytest.mark.parametrize(("example", "zoom"), PICTURES)


@cache
def source(example: str, zoom: str) -> str:
    """An example as DOT source."""
    return str(dot.graph(EXAMPLES[example][0](), zoom).source)


@cache
def groups(example: str, zoom: str, final: bool = True) -> dict[str, dict[str, Any]]:
    """The clusters, nodes and edges of an example's picture by id, or of its first layout."""
    text = source(example, zoom)
    made = render.lay_out(text, "svg") if final else render.run_engine(text, "svg", "dot", 60.0)
    found: dict[str, dict[str, Any]] = {"cluster": {}, "node": {}, "edge": {}}
    for group in ElementTree.fromstring(made).iter(f"{SVG}g"):
        kind = group.get("class", "").split(" ")[0]
        if kind in found:
            assert group.get("id") not in found[kind]
            found[kind][group.get("id", "")] = group
    return found


def numbers(text: str | None) -> Array:
    """The points that a path or a polygon lists."""
    return np.array(re.findall(r"-?[\d.]+", text or ""), float).reshape(-1, 2)


def title_of(cluster: Any) -> Box:
    """The box around the title of a cluster, each letter half as wide as it is high."""
    (text,) = cluster.iter(f"{SVG}text")
    x, y, size = (float(text.get(name)) for name in ("x", "y", "font-size"))
    return x, y - 0.72 * size, x + size / 2 * len("".join(text.itertext())), y + 0.2 * size


def box_of(node: Any) -> Box:
    """The box around the shapes of a node or a cluster."""
    shapes = [numbers(x.get("points")) for x in node.iter(f"{SVG}polygon")]
    shapes += [numbers(x.get("d")) for x in node.iter(f"{SVG}path")]
    for circle in node.iter(f"{SVG}ellipse"):
        x, y, radius = (float(circle.get(name)) for name in ("cx", "cy", "rx"))
        shapes.append(np.array([[x - radius, y - radius], [x + radius, y + radius]]))
    left, top = np.concatenate(shapes).min(axis=0)
    right, bottom = np.concatenate(shapes).max(axis=0)
    return left, top, right, bottom


def line(edge: Any) -> Array:
    """Points along an edge, closer to each other than a letter is high, and its arrow's corners."""
    t = np.linspace(0, 1, 200)[:, None]
    found = [numbers(polygon.get("points")) for polygon in edge.iter(f"{SVG}polygon")]
    for path in edge.iter(f"{SVG}path"):
        ends = numbers(path.get("d"))
        for i in range(0, len(ends) - 1, 3):
            a, b, c, d = ends[i : i + 4]
            ab, bc, cd = (p + t * (q - p) for p, q in pairwise((a, b, c, d)))
            abc, bcd = ab + t * (bc - ab), bc + t * (cd - bc)
            found.append(abc + t * (bcd - abc))
    return np.concatenate(found)


def enters(points: Array, box: Box, margin: float = 0) -> bool:
    """Whether one of the points is in the box, farther from its border than the margin."""
    low, high = np.array(box[:2]) + margin, np.array(box[2:]) - margin
    return bool(((low <= points) & (points <= high)).all(axis=1).any())


@every_picture
def test_no_edge_crosses_the_title_of_a_box(example: str, zoom: str) -> None:
    drawn = groups(example, zoom)
    words = [title_of(box) for box in drawn["cluster"].values()]
    assert words
    lines = {name: line(edge) for name, edge in drawn["edge"].items()}
    assert not [name for name in lines if any(enters(lines[name], box) for box in words)]


@every_picture
def test_no_edge_crosses_a_node_that_is_not_its_end(example: str, zoom: str) -> None:
    drawn = groups(example, zoom)
    boxes = {name: box_of(node) for name, node in drawn["node"].items()}
    for name, edge in drawn["edge"].items():
        points, ends = line(edge), name.split("-")
        crossed = [x for x in boxes if x not in ends and enters(points, boxes[x], margin=2)]
        assert not crossed, name


@every_picture
def test_boxes_and_nodes_stay_and_every_edge_is_drawn_once(example: str, zoom: str) -> None:
    first, final = groups(example, zoom, final=False), groups(example, zoom)
    assert [list(kind) for kind in final.values()] == [list(kind) for kind in first.values()]
    for kind in ("cluster", "node"):
        moved = [np.subtract(box_of(final[kind][x]), box_of(first[kind][x])) for x in final[kind]]
        # Together, where the picture's border has moved.
        np.testing.assert_allclose(moved, [moved[0]] * len(moved), atol=0.2)


def test_a_title_makes_way_for_an_edge_around_what_is_in_its_box() -> None:
    drawn = groups("transformer", "op")["cluster"]
    moved = []
    for box in drawn.values():
        (left, _, right, _), (first, _, last, _) = title_of(box), box_of(box)
        if left - first > last - right:
            moved += ["".join(text.itertext()) for text in box.iter(f"{SVG}text")]
    # Which more, depends on the Graphviz that lays it out.
    assert "encoder" in moved and {*moved} <= {"encoder", "decoder", "layers.1"}


def test_pictures_that_share_a_process_are_those_of_each_alone() -> None:
    sources = [
        source("transformer", "module"), "digraph { a -> b }", "digraph { c }",
        source("encoder-layer", "op"), "digraph { a -> b }",
    ]  # fmt: skip

    def shapes(svg: str) -> list[tuple[str, str | None, dict[str, str]]]:
        """All that is drawn: what groups, and graphs without a name, are called may follow from
        their number."""
        parts = ElementTree.fromstring(svg.replace("xlink:", "")).iter()
        drawn = [x for x in parts if x.tag != f"{SVG}g" and not (x.text or "").startswith("%")]
        return [(x.tag, x.text, {**x.attrib}) for x in drawn]

    for alone, svg in zip(sources, render.lay_out_all(sources), strict=True):
        whole = render.lay_out(alone, "svg").decode()
        assert shapes(svg) == shapes(whole[whole.index("<svg") :])
    assert render.lay_out_all([]) == []


def test_a_graph_of_somebody_else_is_drawn_as_it_is() -> None:
    source = "digraph { subgraph cluster_a { label=title b -> c } a -> b [style=dashed] }"
    assert render.lay_out(source, "svg") == render.run_engine(source, "svg", "dot", 60.0)
