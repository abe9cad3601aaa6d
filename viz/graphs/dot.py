"""Pictures of computation graphs: a Graph as DOT source."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import graphviz

from viz.figure.characters import one_line
from viz.graphs.build import Result, build
from viz.graphs.look import Look, show_options
from viz.graphs.nodes import Graph, Node, Row
from viz.graphs.render import RenderError, lay_out, render
from viz.graphs.words import shape_text

LARGE = 100  # nodes, from which on Graphviz is told to look for good places less long
LONGEST = 120  # characters of one text

# Okabe and Ito's colours, told apart by colour-blind readers too, around pale tints of them.
COLOURS = {
    "input": ("#555555", "#EEEEEE"),
    "parameter": ("#E69F00", "#FDEBC8"),
    "matmul": ("#0072B2", "#D3E6F3"),
    "elementwise": ("#56B4E9", "#EAF6FD"),
    "reduce": ("#56B4E9", "#EAF6FD"),
    "norm": ("#009E73", "#D1EEE4"),
    "activation": ("#CC79A7", "#F5E1ED"),
    "loss": ("#D55E00", "#FADFCC"),
    "shape": ("#A9B1BC", "#FFFFFF"),
    "module": ("#5B6470", "#E4E9F0"),
}
ROWS = {"parameter": ("#FDEBC8", "#5C3D00"), "constant": ("#F2F2F2", "#444444")}  # tint, text
CLUSTERS = ("#F7F8FA", "#EEF1F5", "#E4E9F0", "#DAE1EA")  # from the outermost inwards
INK, GREY, PALE, GRADIENT = "#22272E", "#444444", "#8A929C", "#D55E00"
EDGE, CLUSTER_EDGE, CLUSTER_NAME, PILL_EDGE = "#5B6470", "#C3CCD8", "#44546A", "#A9B1BC"
CALM = ("#A9B1BC", "#F1F3F6")  # of what is the same in two graphs
MARK = "#D55E00"  # of what is not
COLD, HOT = (255, 255, 255), (150, 120, 205)  # heads of the cheapest and the dearest node
FONT, LARGE_TEXT, SMALL_TEXT = "Helvetica,Arial,sans-serif", "10.5", "9"  # points


class Picture(graphviz.Digraph):  # type: ignore[misc]  # the package has no types
    """A Digraph that a notebook shows also where Graphviz itself is not installed.

    `note` says what of the graph is not in the picture, if something is not.
    """

    note = ""

    def save(self, filename: Any = None, directory: Any = None, **options: Any) -> str:
        """Write the picture as `render` does; to a name without a suffix, or .gv, its source."""
        if directory is None and Path(filename or "").suffix.lower() not in ("", ".gv"):
            render(self, filename)
            return str(filename)
        return str(super().save(filename, directory=directory, **options))

    def _repr_image_svg_xml(self) -> str:
        return lay_out(self.source, "svg").decode()

    def _repr_image_png(self) -> bytes:
        return lay_out(self.source, "png")

    def _repr_mimebundle_(
        self,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
        **options: Any,
    ) -> dict[str, bytes | str]:
        """What IPython asks for: the picture, or its source where none can be made."""
        try:
            bundle: dict[str, bytes | str] = super()._repr_mimebundle_(include, exclude, **options)
        except RenderError as error:
            bundle = {"text/plain": f"{error}\n\n{self.source}"}
        return bundle


@show_options
def graph(result: Result, zoom: str = "op", **options: Any) -> Picture:
    """The computation graph behind a result, as a `graphviz.Digraph` that a notebook shows.

    The options are the fields of `viz.graphs.look.Look`, and say how closely to look and what to
    show; the errors raised are its own and those of `build`. `render` writes the picture to a file.

    >>> from minigrad import Value
    >>> a = Value(2.0)
    >>> picture = graph(a * 3, names={"a": a})
    >>> ">a</FONT>" in picture.source
    True
    """
    return digraph(build(result, Look.of(zoom, **options)))


def digraph(graph: Graph) -> Picture:
    """DOT source for a graph: the same graph gives the same bytes."""
    picture = Picture(
        "graph",
        graph_attr={
            "rankdir": "TB", "newrank": "true", "nodesep": "0.25", "ranksep": "0.3",
            "pad": "0.15", "bgcolor": "white", "fontname": FONT, "labeljust": "l", "tooltip": " ",
        },
        node_attr={"fontname": FONT, "fontsize": SMALL_TEXT, "shape": "plain"},
        edge_attr={"color": EDGE, "penwidth": "1.1", "arrowsize": "0.6"},
    )  # fmt: skip
    if len(graph.nodes) > LARGE:
        picture.attr(nslimit="2", nslimit1="2")
    picture.note = graph.note
    if graph.note:
        picture.attr(label=f"<{font(graph.note, GREY)}>", labelloc="b")
    add_cluster(picture, (), graph, {path: i for i, path in enumerate(graph.clusters)})
    add_edges(picture, graph)
    return picture


def add_cluster(
    picture: graphviz.Digraph, path: tuple[str, ...], graph: Graph, numbers: Mapping[Any, int]
) -> None:
    """Write the nodes of one module call, and the calls inside it."""
    for node in graph.nodes:
        if node.path == path:
            picture.node(node.id, **attributes(node))
    for inner, number in numbers.items():
        if inner[:-1] == path:
            with picture.subgraph(name=f"cluster_{number}") as box:
                box.attr(
                    label=f"<<B>{font(inner[-1], CLUSTER_NAME, LARGE_TEXT)}</B>>",
                    labelloc="t",
                    margin="9",
                    style="rounded,filled",
                    color=CLUSTER_EDGE,
                    fillcolor=CLUSTERS[min(len(inner), len(CLUSTERS)) - 1],
                    tooltip=escape(" / ".join(inner)),
                    id=f"c{number}",
                    **{"class": "module"},
                )
                add_cluster(box, inner, graph, numbers)


def add_edges(picture: graphviz.Digraph, graph: Graph) -> None:
    """Write the edges: the main path straight, and those that skip a part of it around it."""
    nodes = {node.id: node for node in graph.nodes}
    arriving: dict[str, list[str]] = {}
    for edge in graph.edges:
        arriving.setdefault(edge.target, []).append(edge.source)
    marked = {(edge.source, edge.target) for edge in graph.edges if edge.marked}
    bits = {node.id: 1 << i for i, node in enumerate(graph.nodes)}
    behind = dict.fromkeys(bits, 0)  # for each node, the bits of all that it was computed from
    for target, sources in arriving.items():
        for number, source in enumerate(sources):
            behind[target] |= behind[source] | bits[source]
            skips = any(behind[other] & bits[source] for other in sources)
            again = f"-{number}" if source in sources[:number] else ""
            picture.edge(
                source,
                target,
                weight="1" if skips else weight(nodes[source], nodes[target]),
                style="dashed" if nodes[source].kind == "stub" else "solid",
                tooltip=describe(nodes[source]),
                id=f"{source}-{target}{again}",
                key=f"{source}-{target}{again}",
                **{"class": nodes[source].family},
                **({"color": MARK, "penwidth": "2"} if (source, target) in marked else {}),
            )
    for together in (*side_by_side(graph, arriving), *graph.level):
        with picture.subgraph(graph_attr={"rank": "same"}) as row:
            for node_id in together:
                row.node(node_id)


def weight(source: Node, target: Node) -> str:
    """How short and straight an edge should be: most so inside one module call."""
    if source.path == target.path:
        return "8"
    shorter, longer = sorted([source.path, target.path], key=len)
    return "2" if longer[: len(shorter)] == shorter else "1"


def side_by_side(graph: Graph, arriving: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Products in one module of what a single node gives, such as query, key and value."""
    found: dict[Any, list[str]] = {}
    for node in graph.nodes:
        sources = arriving.get(node.id, [])
        if node.family == "matmul" and len(sources) == 1:
            found.setdefault((sources[0], node.path[:-1], len(node.path)), []).append(node.id)
    return [together for together in found.values() if len(together) > 1]


def attributes(node: Node) -> dict[str, str]:
    """The DOT attributes of a node."""
    common = {"id": node.id, "class": f"{node.kind} {node.family}", "tooltip": describe(node)}
    border, tint = colours_of(node)
    if node.kind == "card":
        return {"label": card(node), **common}
    if node.kind == "sum" and not node.difference:
        return {
            "label": "+", "shape": "circle", "fixedsize": "true", "width": "0.26",
            "fontsize": "13", "style": "filled", "color": border, "fillcolor": tint, **common,
        }  # fmt: skip
    words = [font(node.label, GREY), font(node.detail, PALE)]
    if node.family == "shape" and node.shape is not None:
        words.append(font(f"→ {shape_text(node.shape)}", GREY))
    words.append(font(node.difference or "", MARK))
    dashed = node.kind == "stub" or node.difference
    return {
        "label": f"<{' '.join(filter(None, words))}>", "shape": "box", "height": "0.22",
        "margin": "0.08,0.03", "color": MARK if node.difference else PILL_EDGE,
        "fillcolor": "white", "style": "rounded,filled,dashed" if dashed else "rounded,filled",
        **common,
    }  # fmt: skip


def colours_of(node: Node) -> tuple[str, str]:
    """The border and the tint of a node: its family's, if no cost or difference says else."""
    # A user's op may be of a family of its own.
    usual = COLOURS.get(node.family, COLOURS["module"])
    border, tint = CALM if node.difference == "" else usual
    if node.heat is not None:
        steps = ((hot - cold) * node.heat + cold for cold, hot in zip(COLD, HOT, strict=True))
        tint = "#" + "".join(f"{round(step):02X}" for step in steps)
    return MARK if node.difference else border, tint


def card(node: Node) -> str:
    """An HTML-like label: the op on a tint, what folds into it, its numbers, its shape."""
    border, tint = colours_of(node)
    # Graphviz reckons with regular letters; bold ones need about a tenth more.
    room = "\N{NO-BREAK SPACE}" * math.ceil(len(node.label) / (6 if node.detail else 12))
    head = f"<B>{font(node.label, 'black', LARGE_TEXT)}</B>{room}"
    head = head if node.detail else room + head
    if node.detail:
        head += f" <I>{font(node.detail, INK if node.heat else GREY)}</I>"
    cells = [cell(head, tint)]
    for row in node.rows:
        tint, colour = (CALM[1], GREY) if node.difference == "" else ROWS[row.family]
        cells.append(cell(font(f"{row.name} {shape_text(row.shape)}", colour), tint))
        cells += number_cells(row, tint)
    if node.size:
        cells.append(cell(font(node.size, GREY)))
    cells += number_cells(node)
    if node.shape is not None:
        cells.append(cell(font(shape_text(node.shape), GREY)))
    cells += [cell(font(words, INK)) for words in node.cost]
    if node.difference:
        cells.append(cell(f"<B>{font(node.difference, MARK)}</B>"))
    if node.notice:
        cells.append(cell(f"<I>{font(node.notice, PALE)}</I>"))
    rows = "".join(f"<TR>{one}</TR>" for one in cells)
    width = '"2" STYLE="DASHED"' if node.difference else '"1"'
    return (
        f'<<TABLE BORDER={width} CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{border}" '
        f'BGCOLOR="white">{rows}</TABLE>>'
    )


def number_cells(of: Node | Row, tint: str = "white") -> list[str]:
    """The cells with a value and, below it, its gradient, where they were asked for."""
    value, grad = of.value or (), of.grad or ()
    if all(len(table) == len(table[0]) == 1 for table in (value, grad) if table):
        cells = [cell(font(text, INK), tint) for (text,) in value]
        cells += [cell(font(f"∂ {text}", GRADIENT), tint) for (text,) in grad]
    else:  # one table, so that a gradient stands below its element
        rows = [table_row("", row, INK) for row in value]
        rows += [table_row("" if i else "∂", row, GRADIENT) for i, row in enumerate(grad)]
        table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="0">'
        cells = [cell(f"{table}{''.join(rows)}</TABLE>", tint)]
    if of.grad == ():
        cells.append(cell(f"<I>{font('∂ – no grad yet', PALE)}</I>", tint))
    return cells


def table_row(sign: str, texts: Sequence[str], colour: str) -> str:
    """A sign and numbers, each in its column."""
    cells = [f'<TD ALIGN="RIGHT">{font(text, colour)}</TD>' for text in texts]
    return f"<TR><TD>{font(sign, colour)}</TD>{''.join(cells)}</TR>"


def cell(content: str, tint: str = "white") -> str:
    """One cell as wide as its card."""
    return f'<TD BGCOLOR="{tint}">{content}</TD>'


def font(words: str, colour: str, size: str = SMALL_TEXT) -> str:
    """A text in one colour and size, as it stands in an HTML-like label."""
    if not words:
        return ""
    return f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{html.escape(clean(words))}</FONT>'


def escape(words: str) -> str:
    """A text as it stands in any other attribute, never taken for an HTML-like label."""
    quoted: str = graphviz.escape(clean(words))
    return quoted


def clean(words: str) -> str:
    """A text that Graphviz does not change: one line, no control characters, no backslashes.

    It takes a backslash for the beginning of an escape, in some places even an escaped one.
    """
    words = one_line(words).replace("\\", "\N{SET MINUS}")
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def describe(node: Node) -> str:
    """The tooltip of a node, and of the edges that leave it."""
    shape = "" if node.shape is None else f"{shape_text(node.shape)} {node.dtype}"
    words = [node.label, node.detail, shape, *node.cost, node.difference or ""]
    return escape(" · ".join(filter(None, words)))
