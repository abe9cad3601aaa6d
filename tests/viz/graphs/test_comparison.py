"""Two graphs beside each other: what corresponds to what, what is marked, what the picture says."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import viz
from minigrad import Tensor, Value, nn
from viz.graphs import dot, render
from viz.graphs.build import build
from viz.graphs.comparison import MOVED, ONLY, align, join, mark_both
from viz.graphs.dot import CALM, COLOURS, MARK, digraph
from viz.graphs.look import Look
from viz.graphs.nodes import Edge, Graph, Node, Row
from viz.subject.examples import EXAMPLES

needs_engine = pytest.mark.skipif(not render.engines("svg"), reason="no Graphviz is installed")


def chain(*labels: str, **fields: Any) -> Graph:
    """Cards one after the other."""
    nodes = [Node(x, "card", "elementwise", id=f"n{i}", **fields) for i, x in enumerate(labels)]
    edges = [Edge(a.id, b.id) for a, b in pairwise(nodes)]
    return Graph(tuple(nodes), tuple(edges))


def one(**fields: Any) -> Graph:
    """A graph of one card."""
    return Graph((Node("op", "card", "matmul", id="n0", **fields),), ())


def said(graph: Graph) -> dict[str, str | None]:
    """How each node differs, by its label; those that do not are left out."""
    return {node.label: node.difference for node in graph.nodes if node.difference}


def marks(graph: Graph) -> list[tuple[str, str]]:
    """The marked edges, by the labels of what they connect."""
    label = {node.id: node.label for node in graph.nodes}
    return [(label[edge.source], label[edge.target]) for edge in graph.edges if edge.marked]


def note(a: Graph, b: Graph) -> str:
    """The summary of a comparison."""
    return join(a, b, ("left", "right")).note


def example(what: str) -> Graph:
    """An example as it is best drawn."""
    compute, options = EXAMPLES[what]
    return build(compute(), Look(**options))


def test_equal_graphs_have_no_difference() -> None:
    a, b = mark_both(example("attention"), example("attention"))
    for side in (a, b):
        assert {node.difference for node in side.nodes} == {""}
        assert not marks(side)
    assert note(example("attention"), example("attention")) == "no difference"


def test_graphs_that_are_not_compared_have_no_difference_at_all() -> None:
    assert {node.difference for node in example("attention").nodes} == {None}


def test_what_one_graph_alone_has_is_only_there_with_its_edges() -> None:
    a, b = mark_both(chain("x", "exp", "sum"), chain("x", "exp", "tanh", "sum"))
    assert (said(a), said(b)) == ({}, {"tanh": ONLY})
    assert (marks(a), marks(b)) == ([("exp", "sum")], [("exp", "tanh"), ("tanh", "sum")])
    assert note(a, b) == "1 node only in right"


def test_what_both_have_at_different_places_is_said_to_be_in_another_place() -> None:
    a, b = mark_both(chain("norm", "x", "y", "z"), chain("x", "y", "z", "norm"))
    assert said(a) == said(b) == {"norm": MOVED}
    assert note(a, b) == "1 node in another place"


def test_of_several_equal_nodes_as_many_are_in_another_place_as_the_other_side_has() -> None:
    a, b = mark_both(chain("n", "n", "x", "y", "z"), chain("x", "y", "z", "n"))
    assert sorted(node.difference or "" for node in a.nodes) == ["", "", "", MOVED, ONLY]
    assert note(a, b) == "1 node in another place, 1 node only in left"


@pytest.mark.parametrize(
    ("left", "right", "words", "back"),
    [
        ({"detail": "÷ 4"}, {"detail": "÷ 8"}, "there: ÷ 8", "there: ÷ 4"),
        ({"detail": "÷ 4"}, {}, "there: without ÷ 4", "there: ÷ 4"),
        ({"shape": (2, 3)}, {"shape": ()}, "there: scalar", "there: 2×3"),
        ({"dtype": "float32"}, {"dtype": "float64"}, "there: float64", "there: float32"),
        ({"size": "3 ops"}, {"size": "4 ops"}, "there: 4 ops", "there: 3 ops"),
        (
            {"rows": (Row("mask", (5, 5), "constant"),)},
            {},
            "there: without mask",
            "there: mask 5×5",
        ),
        (
            {"rows": (Row("weight", (2, 3), "parameter"),), "shape": (2,)},
            {"rows": (Row("weight", (4, 3), "parameter"),), "shape": (4,)},
            "there: weight 4×3, 4",
            "there: weight 2×3, 2",
        ),
    ],
)
def test_a_corresponding_node_says_what_is_otherwise_there(
    left: dict[str, Any], right: dict[str, Any], words: str, back: str
) -> None:
    a, b = mark_both(one(**left), one(**right))
    assert (said(a), said(b)) == ({"op": words}, {"op": back})
    assert note(a, b) == "1 node unlike"


def test_the_numbers_in_a_node_are_no_difference() -> None:
    assert note(one(value=(("1",),)), one(value=(("2",),))) == "no difference"


def test_nodes_alike_in_different_modules_do_not_correspond() -> None:
    a, b = mark_both(one(path=("encoder",)), one(path=("decoder",)))
    assert said(a) == said(b) == {"op": ONLY}


def test_the_same_nodes_may_be_connected_otherwise() -> None:
    def product(which: int) -> Graph:
        pair = [Tensor([1.0], requires_grad=True, name=name) for name in "ab"]
        return build((pair[0] + pair[1]) * pair[which])

    a, b = mark_both(product(0), product(1))
    assert (marks(a), marks(b)) == ([("a", "multiply")], [("b", "multiply")])
    assert note(a, b) == "the same nodes, 1 edge unlike"


def test_of_two_edges_between_the_same_nodes_one_may_be_more() -> None:
    twice = Graph(chain("x", "y").nodes, (Edge("n0", "n1"), Edge("n0", "n1")))
    a, b = mark_both(twice, chain("x", "y"))
    assert (len(marks(a)), len(marks(b))) == (1, 0)


@given(st.text("abc", max_size=9), st.text("abc", max_size=9))
def test_corresponding_nodes_stand_in_the_same_order_and_all_others_are_marked(
    left: str, right: str
) -> None:
    a, b = chain(*left), chain(*right)
    pairs = align(a, b)
    assert list(pairs.values()) == sorted(set(pairs.values()))
    assert list(pairs) == sorted(pairs)
    assert all(left[i] == right[j] for i, j in pairs.items())
    for side, kept in zip(mark_both(a, b), (set(pairs), set(pairs.values())), strict=True):
        assert {i for i, node in enumerate(side.nodes) if not node.difference} == kept
    counts = [Counter(node.difference for node in side.nodes) for side in mark_both(a, b)]
    assert counts[0][MOVED] == counts[1][MOVED]
    only = Counter(left) - Counter(right), Counter(right) - Counter(left)
    assert [count[ONLY] for count in counts] == [sum(one.values()) for one in only]


def test_together_each_graph_is_a_cluster_and_corresponding_nodes_are_level() -> None:
    both = join(chain("x", "exp"), chain("x", "tanh", "exp"), ("left", "right"))
    assert [node.path for node in both.nodes] == [("left",)] * 2 + [("right",)] * 3
    assert [node.id for node in both.nodes] == ["an0", "an1", "bn0", "bn1", "bn2"]
    assert both.level == (("an0", "bn0"), ("an1", "bn2"))
    assert re.search(r"rank=same\]\s+an1\s+bn2\s+\}", digraph(both).source)


def test_what_was_left_out_of_one_graph_is_noted_with_its_title() -> None:
    a = Graph(chain("x").nodes, (), "9 older ops left out")
    assert note(a, chain("x")) == "no difference; left: 9 older ops left out"


def test_what_is_folded_may_hide_a_difference() -> None:
    folded = one(size="13 ops")
    assert note(folded, folded) == "no difference at this zoom"


def test_two_titles_are_needed() -> None:
    with pytest.raises(ValueError, match="two different titles are needed, not a, a"):
        join(chain("x"), chain("x"), ("a", "a"))


def test_differences_are_dashed_in_vermilion_and_the_rest_is_calm() -> None:
    source = digraph(join(chain("x", "exp"), chain("x", "tanh"))).source
    cards = {words: card for card, words in re.findall(r"(<TABLE.*?>([a-z]+)</FONT>)", source)}
    assert 'BORDER="2" STYLE="DASHED"' in cards["tanh"] and f'COLOR="{MARK}"' in cards["tanh"]
    assert COLOURS["elementwise"][1] in cards["tanh"]
    assert f'COLOR="{CALM[0]}"' in cards["x"] and f'BGCOLOR="{CALM[1]}"' in cards["x"]
    assert source.count(f">{ONLY}<") == 2
    edges = [line for line in source.splitlines() if "->" in line]
    assert len(edges) == 2 and all(f'color="{MARK}"' in edge for edge in edges)


def test_marked_pills_and_sums_say_how_they_differ() -> None:
    nodes = (Node("add", "sum", "elementwise", id="n0"), Node("reshape", "pill", "shape", id="n1"))
    source = digraph(join(Graph(nodes, ()), Graph((), ()))).source
    lines = [line for line in source.splitlines() if "shape=box" in line]
    assert all(f'color="{MARK}"' in line and "dashed" in line for line in lines)
    assert [re.findall(r">([^<>]+)</FONT>", line) for line in lines] == [
        ["add", ONLY], ["reshape", ONLY],
    ]  # fmt: skip


def test_norms_before_or_after_the_sublayers_are_in_another_place() -> None:
    post, pre = mark_both(example("encoder-layer"), example("encoder-layer-pre"))
    norms = dict.fromkeys(["self_attention_norm", "feed_forward_norm"], MOVED)
    assert said(post) == said(pre) == norms
    assert ("x", "self_attention_norm") in marks(pre)
    assert ("x", "add") not in marks(pre) + marks(post)  # the residual is the same
    assert note(post, pre) == "2 nodes in another place"


def test_a_mask_is_one_op_of_the_definition_or_a_row_of_the_fused_op() -> None:
    with_mask, without = mark_both(example("attention"), example("attention-unmasked"))
    assert (said(with_mask), said(without)) == ({"where": ONLY}, {})
    assert marks(without) == [("divide", "subtract")]  # of the softmax
    sides = [build(EXAMPLES[what][0]()) for what in ("attention", "attention-unmasked")]
    with_mask, without = mark_both(*sides)
    assert said(with_mask) == {"attention": "there: without mask"}
    assert said(without) == {"attention": "there: mask 5×5"}


def test_scalars_are_compared_by_the_same_function() -> None:
    a, b = Value(2.0), Value(3.0)
    picture = viz.compare(a * b, a * b + a, names={"a": a, "b": b})
    assert picture.note == "1 node only in b"


def test_options_are_those_of_a_graph() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    picture = viz.compare(mg.softmax(x), x.exp(), ("soft", "bare"), zoom="definition", costs=True)
    assert "only in soft" in picture.note
    assert "bare: in all: forward 2 FLOP" in picture.note
    with pytest.raises(ValueError, match="there is no 'nothing' to open"):
        viz.compare(x.exp(), x.exp(), open="nothing")


def test_both_graphs_are_folded_alike() -> None:
    class Layers(nn.Module):
        def __init__(self, number: int) -> None:
            self.layers = nn.ModuleList(
                [nn.Sequential(nn.Linear(2, 2, rng=0), mg.relu) for _ in range(number)]
            )

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return x

    x = Tensor(np.ones((1, 2)), name="x")
    short, long = Layers(4)(x), Layers(5)(x)
    assert build(short, Look(limit=9)).depth is None  # with x, nine nodes
    assert build(long, Look(limit=9)).depth == 1
    picture = viz.compare(short, long, ("short", "long"), limit=9)
    assert picture.note == "1 node only in long"
    assert ">relu<" not in picture.source
    assert [build(each, Look(limit=5)).depth for each in (short, long)] == [1, 0]
    assert "layers" not in viz.compare(short, long, limit=5).source


@needs_engine
def test_a_comparison_is_drawn_whatever_the_titles() -> None:
    x = Tensor(np.ones(3), requires_grad=True, name="x")
    titles = ("<b>&", 'say "\\N"')
    picture = viz.compare(mg.softmax(x) * 2.0, x * 3.0, titles)
    svg = ElementTree.fromstring(picture._repr_image_svg_xml())
    texts = ["".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {dot.clean(title) for title in titles} < set(texts)
    assert {ONLY, "there: × 3", "there: × 2"} < set(texts)
