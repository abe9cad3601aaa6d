"""DOT source laid out by Graphviz into a file.

The layout runs in a process of its own, with a time limit: `dot` where it is installed, otherwise
the Graphviz inside the pygraphviz wheel.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import graphviz

from minigrad.files import write_atomically
from viz.graphs.routes import keep_off_titles

FORMATS = (".svg", ".png", ".pdf", ".dot")
TIME_LIMIT = 60.0  # seconds
PNG_DPI = "144"
MODULE = "class=module"  # of each box that `digraph` writes

NEXT = "\n// next\n"
"""A comment of DOT, between the sources of several pictures that one process draws."""

PYGRAPHVIZ = f"""
import sys, pygraphviz
for source in sys.stdin.buffer.read().decode().split({NEXT!r}):
    graph = pygraphviz.AGraph(string=source)
    if sys.argv[2]:
        graph.graph_attr["dpi"] = sys.argv[2]
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog=sys.argv[3]))
"""


class RenderError(RuntimeError):
    """A picture that could not be made; the message says what to do."""


def render(
    picture: graphviz.Digraph | str, path: str | os.PathLike[str], time_limit: float = TIME_LIMIT
) -> None:
    """Write a Digraph, or DOT source, as .svg, .png, .pdf or .dot: the whole file or nothing.

    ValueError for another suffix. RenderError where no Graphviz is found, or it fails, or it takes
    longer than `time_limit` seconds; the DOT source is then left beside `path`. FileError where the
    file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"{path}: cannot draw {suffix or 'a file without suffix'}; "
            f"the possible ones are {', '.join(FORMATS)}"
        )
    source = picture if isinstance(picture, str) else picture.source
    if suffix == ".dot":
        write_atomically(path, source.encode())
        return
    try:
        image = lay_out(source, suffix[1:], time_limit)
    except RenderError as error:
        beside = path.with_suffix(".dot")
        write_atomically(beside, source.encode())
        raise RenderError(f"{error}; the graph is in {beside}") from None
    write_atomically(path, image)


def lay_out(source: str, format: str, time_limit: float = TIME_LIMIT) -> bytes:
    """The picture of DOT source, as bytes; RenderError if no engine makes one.

    In the graphs of `digraph`, no edge crosses the title of a box.
    """
    source, layout = choose_layout(source, time_limit)
    return run_engine(source, format, layout, time_limit)


def lay_out_all(sources: Sequence[str], time_limit: float = TIME_LIMIT) -> list[str]:
    """Each picture as SVG, as `lay_out` makes it; RenderError if no engine makes one.

    They share a process, which takes longer to start than to draw most of them.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        placed = list(pool.map(lambda source: choose_layout(source, time_limit), sources))
    drawn = {}
    for layout in {layout for _, layout in placed}:
        together = NEXT.join(source for source, own in placed if own == layout)
        pictures = run_engine(together, "svg", layout, time_limit).decode()
        drawn[layout] = re.finditer(r"<svg.*?</svg>", pictures, re.DOTALL)
    return [next(drawn[layout])[0] for _, layout in placed]


def choose_layout(source: str, time_limit: float) -> tuple[str, str]:
    """What to draw, and by which layout: "nop2" where the source says where everything is."""
    if MODULE not in source:
        return source, "dot"
    places = json.loads(run_engine(source, "json0", "dot", time_limit))
    return keep_off_titles(source, places), "nop2"


def run_engine(source: str, format: str, layout: str, time_limit: float) -> bytes:
    """What the first engine that does not fail gives for DOT source; RenderError if all fail."""
    failure = "no Graphviz found: pip install pygraphviz, or install Graphviz for its dot command"
    for engine in engines(format, layout):
        try:
            done = subprocess.run(
                engine, input=source.encode(), capture_output=True, timeout=time_limit
            )
        except subprocess.TimeoutExpired:
            raise RenderError(
                f"Graphviz took more than {time_limit:g} s; a smaller depth draws fewer nodes"
            ) from None
        except OSError as error:
            failure = f"Graphviz cannot be started: {error}"
            continue
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        failure = f"Graphviz failed: {said or f'it ended with code {done.returncode}'}"
    raise RenderError(failure)


def engines(format: str, layout: str = "dot") -> list[list[str]]:
    """The command lines that turn DOT source on their standard input into a picture.

    `layout` is "dot", or "nop2" for source that says where everything is.
    """
    dpi = PNG_DPI if format == "png" else ""
    found = []
    if dot := shutil.which("dot"):
        found.append([dot, f"-T{format}", f"-K{layout}", *([f"-Gdpi={dpi}"] if dpi else [])])
    if sys.executable and importlib.util.find_spec("pygraphviz"):
        found.append([sys.executable, "-P", "-c", PYGRAPHVIZ, format, dpi, layout])
    return found
