"""How pictures of graphs get into files, on any machine."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn
from minigrad.files import FileError
from viz.graphs.dot import graph
from viz.graphs.render import RenderError, engines, render

SVG = "{http://www.w3.org/2000/svg}"

needs_engine = pytest.mark.skipif(not engines("svg"), reason="no Graphviz is installed")


def result() -> Tensor:
    """A linear module and a loss."""
    x = Tensor(np.ones((2, 3)), name="x")
    loss: Tensor = mg.mse_loss(nn.Linear(3, 1, rng=0)(x), np.zeros((2, 1)))
    return loss


def engine(folder: Path, script: str) -> Path:
    """A program called `dot` in a folder of its own."""
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the `dot` command."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, no_dot: None) -> None:
    """A machine without any Graphviz."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)


@needs_engine
@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")]
)
def test_a_picture_is_written_in_the_format_of_its_suffix(
    suffix: str, start: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"graph{suffix}"
    render(graph(result()), path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


@needs_engine
def test_a_picture_is_written_without_the_dot_command(no_dot: None, tmp_path: Path) -> None:
    pytest.importorskip("pygraphviz")
    render(graph(result()), tmp_path / "graph.svg")
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    classes = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert "node card matmul" in classes
    assert "edge matmul" in classes


def test_dot_source_needs_no_engine(no_engine: None, tmp_path: Path) -> None:
    picture = graph(result())
    render(picture, str(tmp_path / "graph.DOT"))
    render(picture.source, tmp_path / "again.dot")
    assert (tmp_path / "graph.DOT").read_text() == picture.source
    assert (tmp_path / "again.dot").read_text() == picture.source


@pytest.mark.parametrize("name", ["graph.jpg", "graph", "graph.svg.txt"])
def test_other_formats_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"possible ones are \.svg, \.png, \.pdf, \.dot"):
        render(graph(result()), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_without_any_engine_the_source_is_left_and_the_error_says_what_to_install(
    no_engine: None, tmp_path: Path
) -> None:
    (tmp_path / "graph.png").write_bytes(b"the old one")
    picture = graph(result())
    with pytest.raises(RenderError, match="pip install pygraphviz") as caught:
        render(picture, tmp_path / "graph.png")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "graph.dot") in str(caught.value)
    assert (tmp_path / "graph.dot").read_text() == picture.source
    assert (tmp_path / "graph.png").read_bytes() == b"the old one"


def test_dot_is_preferred_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = "import sys; sys.stdout.write(' '.join(sys.argv[1:]) + ' of ' + sys.stdin.readline())"
    monkeypatch.setenv("PATH", str(engine(tmp_path, script)))
    render("digraph {}", tmp_path / "graph.pdf")
    assert (tmp_path / "graph.pdf").read_text() == "-Tpdf -Kdot of digraph {}"


@pytest.mark.parametrize("script", ["import os; os.abort()", "raise SystemExit('bad node')"])
def test_where_dot_fails_the_other_engine_is_tried(
    script: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pygraphviz")
    monkeypatch.setenv("PATH", str(engine(tmp_path, script)))
    render(graph(result()), tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_bytes().startswith(b"<?xml")


def test_a_failing_engine_is_reported_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(engine(tmp_path, "raise SystemExit('bad node')")))
    with pytest.raises(RenderError, match=r"Graphviz failed: bad node; the graph is in .*g\.dot"):
        render(graph(result()), tmp_path / "g.svg")
    monkeypatch.setenv("PATH", str(engine(tmp_path, "raise SystemExit(3)")))
    with pytest.raises(RenderError, match="ended with code 3"):
        render(graph(result()), tmp_path / "g.svg")


def test_a_broken_program_is_reported_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(engine(tmp_path, "")))
    (tmp_path / "dot").write_bytes(b"\x7fELF")
    with pytest.raises(RenderError, match="Graphviz cannot be started"):
        render(graph(result()), tmp_path / "g.svg")


@needs_engine
def test_source_that_is_not_dot_is_an_error_of_one_line(no_dot: None, tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="Graphviz failed") as caught:
        render("digraph { <", tmp_path / "graph.svg")
    assert "\n" not in str(caught.value)


def test_a_layout_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(engine(tmp_path, "import time; time.sleep(60)")))
    with pytest.raises(RenderError, match=r"more than 0\.2 s; a smaller depth"):
        render(graph(result()), tmp_path / "graph.svg", time_limit=0.2)
    assert not (tmp_path / "graph.svg").exists()


def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "graph.dot"
    path.mkdir()
    with pytest.raises(FileError, match=rf"cannot write {path}"):
        render(graph(result()), path)
    with pytest.raises(FileError, match=rf"cannot write {tmp_path}/no/graph.dot: No such file"):
        render(graph(result()), tmp_path / "no" / "graph.dot")
    assert list(tmp_path.iterdir()) == [path]
