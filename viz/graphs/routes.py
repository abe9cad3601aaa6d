"""Edges led around the titles of boxes.

Graphviz leads edges around nodes, but across the labels of clusters. So a graph is laid out once,
and drawn in a second run that keeps everything in its place, with an invisible node on each title:
edges that cross one get no place, and Graphviz finds them a way around all nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.tensor import Array

POINTS_PER_INCH = 72
BOLD = 1.1  # Graphviz reckons with regular letters; bold ones are about as much wider
STEPS = np.linspace(0, 1, 101)[:, None]  # along one Bézier curve of an edge
BERNSTEIN = np.hstack(
    [(1 - STEPS) ** 3, 3 * (1 - STEPS) ** 2 * STEPS, 3 * (1 - STEPS) * STEPS**2, STEPS**3]
)

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points."""


def keep_off_titles(source: str, layout: Mapping[str, Any]) -> str:
    """DOT source to be drawn by nop2, from the source and from what `dot` made of it as JSON.

    The `key` of each edge in the source is its `id`, so that the edge can be named again.
    """
    objects = layout["objects"]
    names = [thing["name"] for thing in objects]
    nodes = {i: box(thing["pos"], thing) for i, thing in enumerate(objects) if "pos" in thing}
    ways = [curves(edge["pos"]) for edge in layout["edges"]]
    detours = [
        way
        for way, edge in zip(ways, layout["edges"], strict=True)
        if is_detour(way, [nodes[i] for i in nodes if i not in (edge["tail"], edge["head"])])
    ]
    titles = {i: title(thing, detours) for i, thing in enumerate(objects) if "lp" in thing}
    lines = [f'graph [{places(layout)} splines=spline esep="+1"]']
    inner = {number for thing in objects for number in thing.get("subgraphs", ())}
    for number, thing in enumerate(objects):
        if "bb" in thing and number not in inner:
            lines.append(cluster(objects, number, titles))
        elif "pos" in thing:
            lines.append(f"{names[number]} [{places(thing)}]")
    for edge, way in zip(layout["edges"], ways, strict=True):
        if not any(crosses(way, words) for words in titles.values()):
            ends = f"{names[edge['tail']]} -> {names[edge['head']]}"
            lines.append(f'{ends} [key="{edge["id"]}" {places(edge)}]')
    lines += [stand_in(number, words) for number, words in titles.items()]
    return source[: source.rindex("}")] + "\n".join([*lines, "}\n"])


def cluster(objects: Any, number: int, titles: Mapping[int, Box]) -> str:
    """A cluster and those inside it, with their places."""
    thing = objects[number]
    inside = [i for i in thing.get("subgraphs", ()) if "bb" in objects[i]]
    inner = " ".join(cluster(objects, i, titles) for i in inside)
    if number in titles:
        left, bottom, right, top = titles[number]
        middle = left + (right - left) / BOLD / 2
        thing = {**thing, "lp": f"{middle:.2f},{(bottom + top) / 2:.2f}"}
    return f"subgraph {thing['name']} {{ graph [{places(thing)}] {inner} }}"


def places(thing: Mapping[str, Any]) -> str:
    """The attributes that say where something is."""
    return " ".join(f'{name}="{thing[name]}"' for name in ("bb", "lp", "pos") if name in thing)


def box(middle: str, thing: Mapping[str, Any], prefix: str = "") -> Box:
    """The box with this point in the middle, as large as the thing says in inches."""
    x, y = map(float, middle.split(","))
    width = float(thing[f"{prefix}width"]) * POINTS_PER_INCH
    height = float(thing[f"{prefix}height"]) * POINTS_PER_INCH
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def title(thing: Mapping[str, Any], detours: Sequence[Array]) -> Box:
    """The box around a cluster's title: at its left end, or at the right if less crosses it there.

    What makes a detour around other nodes is where it is best; only other edges make way.
    """
    left, bottom, right, top = box(thing["lp"], thing, "l")
    first, _, last, _ = map(float, thing["bb"].split(","))
    width, margin = BOLD * (right - left), left - first
    at_left = (left, bottom, left + width, top)
    at_right = (max(left, last - margin - width), bottom, max(left + width, last - margin), top)
    return min(at_left, at_right, key=lambda words: sum(crosses(way, words) for way in detours))


def is_detour(way: Array, others: Sequence[Box]) -> bool:
    """Whether a straight line between the ends of this way would cross one of the boxes."""
    straight = way[0] + STEPS * (way[-1] - way[0])
    return any(crosses(straight, other) for other in others)


def stand_in(number: int, words: Box) -> str:
    """An invisible node in the place of a title."""
    left, bottom, right, top = words
    width, height = (right - left) / POINTS_PER_INCH, (top - bottom) / POINTS_PER_INCH
    return (
        f'title_{number} [pos="{(left + right) / 2:.2f},{(bottom + top) / 2:.2f}" label="" '
        f"shape=box fixedsize=true width={width:.4f} height={height:.4f} style=invis]"
    )


def curves(pos: str) -> Array:
    """Points on the Bézier curves that the `pos` of an edge lists, (points, 2)."""
    found = []
    for part in pos.split(";"):
        # "s,…" and "e,…" are the tips of arrows.
        at = [word.split(",") for word in part.split() if word[0] not in "se"]
        ends = np.array(at, float)
        found += [BERNSTEIN @ ends[i : i + 4] for i in range(0, len(ends) - 1, 3)]
    return np.concatenate(found)


def crosses(points: Array, area: Box) -> bool:
    """Whether some of the points are in the box."""
    left, bottom, right, top = area
    x, y = points.T
    return bool(((left <= x) & (x <= right) & (bottom <= y) & (y <= top)).any())
