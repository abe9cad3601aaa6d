"""The page of a backward pass: every step that the engine takes, with its numbers.

`viz.graphs.steps` divides the passes into views and steps, and walks back. Here that becomes what
the script reads: each array, rule and picture once, in tables, and numbers that point into them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any
from weakref import ref

import numpy as np

from minigrad.scalar import Value
from minigrad.tensor import Array, Tensor
from viz.formula.items import formulas_of
from viz.graphs import dot
from viz.graphs.render import lay_out_all
from viz.graphs.steps import (
    Item,
    Items,
    Passed,
    Passing,
    Sent,
    Unit,
    View,
    definition_behind,
    ends,
    items_behind,
    views,
    walk,
)
from viz.pages.page import Page, as_json, deflated, page, plain

FULL = 64  # elements: of larger arrays a corner is shown, and what they are like
CORNER = (3, 5)  # rows and columns
BINS = 24  # of a histogram
PIECE = 1 << 15  # numbers that are counted at once: they fit into the processor's cache
MANY = 1500  # items: with more, arrays have no corners, and only one op of each kind is opened


def explain(
    result: Tensor | Value,
    names: Mapping[str, Any] | None = None,
    title: str | None = None,
    about: Mapping[str, str] | None = None,
) -> Page:
    """The backward pass from `result` as a page: its graph, and the steps there and back.

    The numbers are those of the engine, which runs for it; `.grad` is left as it is, and so is the
    graph. A result of several elements starts from a gradient of ones. names: what to call leaves
    and Values without a name of their own, such as `locals()`. title: the page's heading. about:
    what is explained, such as {"model": "…", "input": "…"}; the first step says it.

    TypeError for what is no Tensor or Value; RuntimeError where no gradient is required, or where
    an earlier `backward()` has freed the graph.

    >>> x = Tensor([[1.0, 2.0]], requires_grad=True, name="x")
    >>> "<h1>(2x)²</h1>" in explain(((2 * x) ** 2).sum(), title="(2x)²").html
    True
    """
    items = items_behind(result, names)
    last = items[max(items)]
    title = title or f"The backward pass of {last.label}"
    gathered = Gathered(items, views(items, last.label, names)).data
    tables = {name: columns(gathered[name]) for name in ("items", "arrays")}
    body = f"<style>{dark_colours()}</style>\n" + BODY.format(title=html.escape(title))
    data = deflated(as_json({**gathered, **tables, "about": about or {}}).encode())
    return page("explain", title, body, data, height=800, scripts=SCRIPTS)


SCRIPTS = ("explain.js", "explain_picture.js", "explain_words.js", "explain_numbers.js")


BODY = """
<header class="bar">
  <h1>{title}</h1>
  <nav id="trail" aria-label="modules around this view"></nav>
</header>
<svg width="0" height="0" aria-hidden="true" class="defs"><defs>
  <marker id="upstream" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="3.4" markerHeight="3.4"
    orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 z"/></marker>
</defs></svg>
<main>
  <section class="picture">
    <div id="graph" tabindex="0" role="region" aria-label="the graph"></div>
    <div class="under">
      <p id="key" class="grey"></p>
      <button type="button" id="smaller" title="smaller (−)" aria-label="smaller">−</button>
      <button type="button" id="larger" title="larger (+)" aria-label="larger">+</button>
    </div>
  </section>
  <section class="side">
    <div class="controls">
      <button type="button" id="first" title="to the start (Home)" aria-label="start">|◀</button>
      <button type="button" id="back" title="one step back (←)" aria-label="back">◀</button>
      <button type="button" id="forward" title="one step on (→)" aria-label="forward">▶</button>
      <button type="button" id="last" title="to the end (End)" aria-label="end">▶|</button>
      <button type="button" id="play" title="play or pause (space)">play</button>
      <span id="count" class="grey" role="status"></span>
      <input type="range" id="slider" min="0" value="0" aria-label="step">
      <div id="modules">
        <button type="button" id="before" title="module before (p)" aria-label="back">⇤</button>
        <button type="button" id="after" title="next module (n)" aria-label="next module">⇥</button>
        <button type="button" id="where" aria-expanded="false" aria-controls="outline"></button>
      </div>
    </div>
    <nav id="outline" aria-label="modules" hidden></nav>
    <article id="step" aria-labelledby="what" tabindex="0"></article>
    <p class="keys grey">← → Home End: steps · n p: modules · space: play · Enter Esc: inside, out ·
      + −: size · d: dark</p>
  </section>
</main>
"""


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What some rows have by each name, None where they have nothing: a page is smaller by a tenth
    where what is alike stands together. `rowsOf` in `explain.js` is the way back."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


class Table:
    """A list in which each entry stands once; `place` says where."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, entry: Callable[[], Any]) -> int:
        """The place of the entry with this key, which is made and put at the end if it is new."""
        if key not in self._places:
            self._places[key] = len(self.entries)
            self.entries.append(entry())
        return self._places[key]


class Arrays:
    """The arrays of a page: small ones in full, others by a corner and by what they are like."""

    def __init__(self, corners: bool) -> None:
        self.table, self._corners = Table(), corners
        self._known: dict[int, tuple[ref[Array], int]] = {}

    def place(self, array: Array) -> int:
        """The place of an array: of the same one, or of one with the same numbers.

        It is not kept: a walk of many steps makes more arrays than there is room for.
        """
        array = np.asarray(array)
        known, at = self._known.get(id(array), (None, 0))
        if known is None or known() is not array:
            entry = described(array, self._corners)
            at = self.table.place(json.dumps(entry), lambda: entry)
            self._known[id(array)] = ref(array), at
        return at


def described(array: Array, corner: bool = True) -> dict[str, Any]:
    """An array for the page: its shape, its dtype, and either its `values` in C order, each in the
    digits that its dtype needs, or a corner in four digits, and of its finite values the extremes,
    the mean and a histogram."""
    entry: dict[str, Any] = {"shape": list(array.shape), "dtype": array.dtype.name}
    if array.size <= FULL:
        flat = array.ravel()
        entry["values"] = [in_digits_of(array.dtype, x) for x in flat]
        return entry
    if corner:
        matrix = np.atleast_2d(array)[(0,) * (array.ndim - 2)]
        rows = matrix[: CORNER[0], : CORNER[1]].tolist()
        entry["corner"] = [[plain(float(f"{x:.4g}")) for x in row] for row in rows]
    is_finite = np.isfinite(array)
    finite = array.ravel() if is_finite.all() else array[is_finite]
    if lost := array.size - finite.size:
        entry["notFinite"] = lost
    if finite.size:
        low, high = np.float64(finite.min()), np.float64(finite.max())
        told = {"min": low, "mean": finite.mean(dtype=np.float64), "max": high}
        entry |= {name: in_digits_of(array.dtype, x) for name, x in told.items()}
        if low < high and np.isfinite(high - low):
            entry["bins"] = count_in_bins(finite, low, high).tolist()
    return entry


def count_in_bins(numbers: Array, low: np.float64, high: np.float64) -> Array:
    """How many of the numbers are in each of `BINS` steps from the lowest to the highest."""
    counts = np.zeros(BINS, np.int64)
    for start in range(0, numbers.size, PIECE):
        piece = numbers[start : start + PIECE].astype(np.float64)
        places = ((piece - low) / (high - low) * BINS).astype(np.int64)  # the highest: BINS
        counts += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    return counts


def in_digits_of(dtype: np.dtype[Any], x: Any) -> Any:
    """A number for JSON, in no more digits than tell it from the others of a floating dtype."""
    return plain(float(str(dtype.type(x))) if dtype.kind == "f" else x)


class Gathered:
    """All that the script reads: the items and views, and the tables that they point into.

    Another item is pointed to by its place among them.
    """

    def __init__(self, items: Items, found: Sequence[View]) -> None:
        self.items: Items = {}
        self.at: dict[int, int] = {}
        self.views: list[View] = []
        self.arrays = Arrays(corners=len(items) <= MANY)
        self.formulas, self.sources = Table(), Table()
        self.paths = Table()
        self.received: dict[int, list[list[Any]]] = {}
        self.starts: dict[int, int] = {}  # the array that a walk starts from, by its result
        self.sums: dict[int, dict[int, Passed]] = {}
        self._gradients: dict[int, Array] = {}  # of the ops that have a definition
        self.enter(items, found)
        self.open_definitions()
        self.data = {
            "items": [self.item(item) for item in self.items.values()],
            "views": [self.view(view) for view in self.views],
            "arrays": self.arrays.table.entries,
            "formulas": self.formulas.entries,
            "paths": self.paths.entries,
            "pictures": [picture(svg) for svg in lay_out_all(self.sources.entries)],
        }

    def enter(self, items: Items, found: Sequence[View], gradient: Array | None = None) -> None:
        """Take up a computation and its views, and walk it from this gradient, or from ones."""
        self.at |= {order: i for i, order in enumerate(items, len(self.items))}
        self.items |= items
        self.views += found
        self.received |= {order: [] for order in items}
        passing = Passing(items, found)
        last = items[max(items)]
        start = np.ones_like(last.value) if gradient is None else gradient
        self.starts[last.order] = self.arrays.place(start)
        self._gradients[last.order] = start
        walk(items, lambda sent: self.notice(sent, passing), gradient)
        self.sums |= passing.sums

    def open_definitions(self) -> None:
        """Give each fused op whose card is a step a view of its definition; where that would be too
        much, one of each kind."""
        kinds = set()
        for number, outer in enumerate(self.views):  # grows on the way
            for unit in outer.forward:
                item = self.items[unit.members[0]]
                kind = kind_of(item)
                gradient = self._gradients.get(item.order)
                if unit.folded or gradient is None:
                    continue
                if len(self.items) > MANY and kind in kinds:
                    continue
                inside = definition_behind(item)
                if inside is not None:
                    kinds.add(kind)
                    unit.view = len(self.views)
                    found = views(inside, f"the definition of {item.op}", first=unit.view)
                    found[0].parent, found[0].is_definition = number, True
                    self.enter(inside, found, gradient)

    def notice(self, sent: Sent, passing: Passing) -> None:
        """Take down a contribution: from where, by which input; its numbers and those it adds up
        to; where broadcasting was undone, what the rule gave and the axes summed over."""
        passing.add(sent)
        origin = self.items[sent.target].origin
        if isinstance(origin, Tensor) and origin.op is not None and origin.op.definition:
            self._gradients[sent.target] = sent.total
        numbers: list[Any] = [self.arrays.place(sent.summed), self.arrays.place(sent.total)]
        if sent.ruled.shape != sent.summed.shape:
            numbers += [self.arrays.place(sent.ruled), list(sent.axes)]
        self.received[sent.target].append([self.at[sent.source], sent.place, *numbers])

    def item(self, item: Item) -> dict[str, Any]:
        """A Tensor or a Value, and what came to it."""
        data: dict[str, Any] = {
            "label": item.label,
            "op": item.op,
            "path": self.paths.place(item.path, lambda: item.path),
            "params": item.params,
            "value": self.arrays.place(item.value),
        }
        if item.op:
            data["inputs"] = [  # one that has been left out, such as a bias, is None
                [
                    x.name,
                    x.order if x.order is None else self.at[x.order],
                    None if x.value.dtype == object else self.arrays.place(x.value),
                ]
                for x in item.operands
            ]
            # In layers that are alike, the formulas are the same.
            data["formulas"] = self.formulas.place(kind_of(item), lambda: formulas_of(item))
            if isinstance(item.origin, Value):
                data["slopes"] = [plain(slope) for _, slope in item.origin.inputs]
        if item.tracked:
            received = self.received[item.order]
            data["gradient"] = received[-1][3] if received else self.starts[item.order]
            data["received"] = received
        return data

    def view(self, view: View) -> dict[str, Any]:
        """A view: its picture, where the items are in it, its units, and their two orders."""
        units = list({id(unit): unit for unit in [*view.forward, *view.backward]}.values())
        number = {id(unit): i for i, unit in enumerate(units)}
        source = dot.digraph(view.graph).source
        return {
            "title": view.title,
            "parent": view.parent,
            "definition": view.is_definition,
            "picture": self.sources.place(source, lambda: source),
            "homes": {self.at[order]: nodes for order, nodes in view.graph.homes.items()},
            "units": [self.unit(unit) for unit in units],
            "forward": [number[id(unit)] for unit in view.forward],
            "backward": [number[id(unit)] for unit in view.backward],
        }

    def unit(self, unit: Unit) -> dict[str, Any]:
        """What a step is about; of a folded one, also what passes through it as a whole."""
        data: dict[str, Any] = {
            "label": unit.label,
            "members": [self.at[order] for order in unit.members],
            "nodes": unit.nodes,
        }
        if unit.view is not None:
            data["view"] = unit.view
        if unit.folded and unit.view is not None:
            data["folded"] = True
            data["results"] = [self.at[order] for order in ends(self.items, unit.ops)]
            data["passed"] = [
                [self.at[target], self.arrays.place(passed.summed), passed.number]
                for target, passed in sorted(self.sums[unit.view].items(), reverse=True)
            ]
        return data


def kind_of(item: Item) -> Hashable:
    """What ops with the same formulas have in common."""
    return item.op, item.params, tuple(x.value.shape for x in item.operands)


def picture(svg: str) -> str:
    """A picture without what only a viewer of files needs; a hint shows what is where."""
    svg = re.sub(r"<!--.*?-->|<title>.*?</title>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<a xlink:title="([^"]*)">', r"<a><title>\1</title>", svg)
    svg = re.sub(r' (?:xml:space|xmlns:xlink|font-family)="[^"]*"', "", svg)
    return re.sub(r"\s*\n\s*", " ", svg)


def dark_colours() -> str:
    """Style rules that give each colour of `viz.graphs.dot` its counterpart in the dark."""

    def mixed(colour: str, percent: int, other: str) -> str:
        return f"color-mix(in srgb, {colour} {percent}%, {other})"

    fills = {tint: mixed(border, 34, "var(--paper)") for border, tint in dot.COLOURS.values()}
    for tint, text in dot.ROWS.values():
        fills |= {tint: mixed(text, 55, "var(--paper)"), text: mixed(text, 22, "white")}
    for level, tint in enumerate(dot.CLUSTERS):
        fills[tint] = mixed(dot.CLUSTER_EDGE, 5 + 4 * level, "var(--paper)")
    fills |= {
        "white": "var(--panel)",
        dot.INK: "var(--ink)",
        dot.GREY: mixed("var(--grey)", 70, "white"),
        dot.PALE: "var(--grey)",
        dot.GRADIENT: "var(--gradient)",
        dot.CLUSTER_NAME: mixed(dot.CLUSTER_NAME, 35, "white"),
        dot.EDGE: "var(--grey)",
    }
    strokes = {border: mixed(border, 80, "white") for border, _ in dot.COLOURS.values()}
    strokes |= {
        dot.EDGE: "var(--grey)",
        dot.CLUSTER_EDGE: mixed(dot.CLUSTER_EDGE, 35, "var(--paper)"),
        dot.PILL_EDGE: mixed(dot.PILL_EDGE, 60, "var(--paper)"),
    }
    return "\n".join(
        f'#graph [{what}="{light}" i] {{ {what}: light-dark({light}, {dark}); }}'
        for what, colours in (("fill", fills), ("stroke", strokes))
        for light, dark in colours.items()
    )
