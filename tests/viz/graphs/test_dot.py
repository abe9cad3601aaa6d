"""How graphs are written as DOT, and shown in a notebook."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import viz
from minigrad import Tensor, Value, nn
from minigrad.files import FileError
from minigrad.op import Op
from viz.graphs import dot
from viz.graphs.dot import COLOURS, digraph, graph
from viz.graphs.nodes import Edge, Graph, Node, Row
from viz.graphs.render import engines

HOSTILE = [
    "<b>&amp;\"'", "a\nb\tc", "\\N \\G \\", "<x>", "]]>", "-->", "\x00\x1b[31m", "é 漢 𝔸", "\ud800",
]  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"

needs_engine = pytest.mark.skipif(not engines("svg"), reason="no Graphviz is installed")


def result() -> Tensor:
    """A linear module and a loss."""
    x = Tensor(np.ones((2, 3)), name="x")
    loss: Tensor = mg.mse_loss(nn.Linear(3, 1, rng=0)(x), np.zeros((2, 1)))
    return loss


def svg(picture: Any) -> ElementTree.Element:
    """A picture as parsed SVG."""
    return ElementTree.fromstring(picture._repr_image_svg_xml())


def words(picture: Any) -> list[str]:
    """The texts of a picture as a reader sees them."""
    return ["".join(one.itertext()) for one in svg(picture).iter(f"{SVG}text")]


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the `dot` command."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, no_dot: None) -> None:
    """A machine without any Graphviz."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


def test_a_card_has_the_op_on_a_tint_its_parameters_and_its_shape() -> None:
    source = graph(result()).source
    border, tint = COLOURS["matmul"]
    assert f'COLOR="{border}" BGCOLOR="white"><TR><TD BGCOLOR="{tint}">\N{NO-BREAK SPACE}' in source
    texts = re.findall(r">([^<>]+)</FONT>", source)
    assert texts[2:7] == ["Linear", "weight 1×3", "bias 1", "2×1", "subtract"]


def test_bold_words_have_room_before_a_detail_or_on_both_sides() -> None:
    source = graph((Tensor([1.0, 2.0], requires_grad=True, name="data") ** 2).mean()).source
    space = "\N{NO-BREAK SPACE}"
    assert re.search(rf"<TD[^>]*>{space}<B>[^/]*mean</FONT></B>{space}</TD>", source)
    assert re.search(rf"<TD[^>]*><B>[^/]*power</FONT></B>{space} <I>", source)


def test_every_family_has_colours() -> None:
    families = {op.family for op in mg.TABLE.values()} | {"input", "parameter", "module"}
    assert families <= set(COLOURS)


def test_a_family_of_a_users_own_is_drawn_as_a_module_is() -> None:
    halve = Op("halve", "½", "mine", lambda x: x / 2, [lambda g, y, x: g / 2])
    source = graph(halve(Tensor([1.0], requires_grad=True, name="x"))).source
    assert f'COLOR="{COLOURS["module"][0]}"' in source


def test_nodes_edges_and_clusters_carry_ids_and_classes() -> None:
    model = nn.Sequential(nn.Linear(3, 3, rng=0), mg.relu)
    source = graph(model(Tensor(np.ones((1, 3)), name="x"))).source
    assert 'class="card matmul" id=n1' in source
    assert re.search(r'n0 -> n1 \[class=input id="n0-n1"', source)
    assert re.search(r"subgraph cluster_0 \{[^}]*class=module[^}]*id=c0", source)


def test_two_edges_between_the_same_nodes_have_different_ids() -> None:
    x = Tensor([1.0], requires_grad=True, name="x")
    assert re.findall(r'id="(n0-n1[^"]*)"', graph(x * x).source) == ["n0-n1", "n0-n1-1"]


def test_the_same_graph_gives_the_same_bytes() -> None:
    first = graph(result(), values=True, grads=True).source
    Tensor(1.0)  # counts on
    assert graph(result(), values=True, grads=True).source == first


def test_large_graphs_are_laid_out_less_carefully() -> None:
    nodes = tuple(Node("relu", "card", "activation", id=f"n{i}") for i in range(501))
    assert "nslimit=2 nslimit1=2" in digraph(Graph(nodes, ())).source
    assert "nslimit" not in digraph(Graph(nodes[:100], ())).source


def test_products_of_one_input_in_one_module_stand_side_by_side() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.query, self.value = nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)

        def forward(self, x: Any) -> Any:
            return mg.softmax(self.query(x)) @ self.value(x)

    source = graph(Two()(Tensor(np.ones((2, 2)), name="x"))).source
    assert re.search(r"rank=same\]\s+n1\s+n3\s+\}", source)


def test_the_main_path_is_straight_and_what_skips_it_goes_around() -> None:
    x = Tensor(np.ones(2), requires_grad=True, name="x")
    source = graph(x.exp() + x).source
    weights = dict(re.findall(r'id="(n\d-n\d)"[^\]]*weight=(\d)', source))
    assert weights == {"n0-n1": "8", "n1-n2": "8", "n0-n2": "1"}


def test_a_gradient_that_is_missing_is_drawn_unlike_a_gradient_of_zero() -> None:
    w = Tensor(2.0, requires_grad=True, name="w")
    y = w * 0.0
    source = graph(y * 0.0, grads=True).source
    assert "no grad yet" not in source
    assert source.count("∂ 0<") == 2
    y.backward()
    assert "no grad yet" in graph(y, grads=True).source


def test_matrices_are_tables_with_each_gradient_below_its_element() -> None:
    node = Node(
        "w", "card", "parameter", value=(("1", "2"), ("3", "4")), grad=(("5", "6"), ("7", "8"))
    )
    source = digraph(Graph((node,), ())).source
    rows = [re.findall(r">([^<>]+)</FONT>", row) for row in source.split("<TR>")]
    assert rows[-4:] == [["1", "2"], ["3", "4"], ["∂", "5", "6"], ["7", "8"]]


def test_every_kind_of_node_has_its_form() -> None:
    card = Node("layer", "card", "module", size="3 ops", notice="freed", id="n0")
    pill = Node("reshape", "pill", "shape", shape=(2, 3), id="n1")
    circle = Node("add", "sum", "elementwise", id="n2")
    stub = Node("9 older ops", "stub", "input", id="n3")
    lines = digraph(Graph((card, pill, circle, stub), (Edge("n3", "n0"),))).source.splitlines()
    drawn = {line.split()[0]: line for line in lines if line.startswith("\tn") and "[" in line}
    assert ">3 ops<" in drawn["n0"]
    assert ">freed<" in next(line for line in lines if "layer" in line)
    assert ">→ 2×3<" in drawn["n1"]
    assert "shape=circle" in drawn["n2"]
    assert "dashed" in next(line for line in lines if "9 older ops" in line)
    assert "style=dashed" in next(line for line in lines if "n3 -> n0" in line)


def test_what_was_left_out_is_written_below_and_kept_as_the_note() -> None:
    x = Tensor(1.0, requires_grad=True)
    for _ in range(200):
        x = x * 2.0
    picture = graph(x)
    assert picture.note == "51 older ops left out"
    assert picture.note in picture.source
    assert graph(result()).note == ""


def test_scalars_are_drawn_by_the_same_function() -> None:
    a = Value(3.0)
    b = a * a
    b.backward()
    source = graph(b, names=locals()).source
    assert all(text in source for text in (">a<", ">3<", ">∂ 6<", ">b<", ">9<"))


@pytest.mark.parametrize("name", HOSTILE)
@needs_engine
def test_names_appear_wherever_they_are_put(name: str) -> None:
    card = Node(name, "card", "input", path=(name,), rows=(Row(name, (), "constant"),), id="n0")
    pill = Node("pill", "pill", "shape", detail=name, path=(name,), id="n1")
    picture = digraph(Graph((card, pill), (Edge("n0", "n1"),), note=name))
    shown = words(picture)
    assert shown.count(dot.clean(name)) == 4  # the cluster, the card, the pill, the note
    assert f"{dot.clean(name)} scalar" in shown


def test_text_that_no_picture_can_hold_is_replaced() -> None:
    assert dot.clean("a\n\t b") == "a b"
    assert dot.clean("\x00\ud800") == "\N{REPLACEMENT CHARACTER}" * 2
    assert dot.clean("\\N") == "\N{SET MINUS}N"
    assert len(dot.clean("x" * 1000)) == dot.LONGEST


@needs_engine
@settings(max_examples=10, deadline=None)
@given(st.text(max_size=30))
def test_no_name_stops_the_layout(name: str) -> None:
    x = Tensor([1.0], requires_grad=True, name=name)
    assert svg(graph(x * 2)).tag.endswith("svg")


@needs_engine
def test_a_notebook_shows_the_picture_without_the_dot_command(no_dot: None) -> None:
    bundle = graph(result())._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml"]
    assert "Linear" in str(bundle["image/svg+xml"])
    assert graph(result())._repr_mimebundle_({"image/png"})["image/png"][1:4] == b"PNG"


def test_a_notebook_shows_the_source_where_there_is_no_engine(no_engine: None) -> None:
    picture = graph(result())
    shown = str(picture._repr_mimebundle_()["text/plain"])
    assert "pip install pygraphviz" in shown
    assert picture.source in shown


def test_a_picture_saves_itself_as_what_its_name_says(tmp_path: Path) -> None:
    picture = viz.graph(Tensor([1.0], requires_grad=True) * 2)
    assert picture.save(tmp_path / "a.svg") == str(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")
    picture.save(tmp_path / "a.gv")
    assert (tmp_path / "a.gv").read_text() == picture.source
    with pytest.raises(ValueError, match=r"cannot draw \.jpg"):
        picture.save(tmp_path / "a.jpg")
    with pytest.raises(FileError, match="no/a"):
        picture.save(tmp_path / "no" / "a.svg")
