"""Panels: a figure of one or several plots in the house style, sized in inches.

Inside `house_style`, as all that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viz.figure.style import PALE, TITLE_LINE, wrap_title, write_title

if TYPE_CHECKING:
    from minigrad.tensor import Array
    from viz.figure.drawing import Drawing

SIZE = 5.0, 2.4
"""Inches, of a panel."""


def panels(
    title: str,
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = SIZE,
    *,
    left: float = 0.75,
    right: float = 1.5,
    bottom: float = 0.55,
    gaps: tuple[float, float] = (0.75, 0.6),
    **shared: Any,
) -> tuple[Drawing, Any]:
    """A figure under a title, and its axes, (rows, columns).

    size: of each panel. left, right, bottom: margins; the right one has room for labels at the ends
    of lines. gaps: between columns, and between rows. shared: `sharex`, `sharey`. All in inches.
    """
    from viz.figure.drawing import Drawing

    width = left + columns * size[0] + (columns - 1) * gaps[0] + right
    lines = wrap_title(title, width - left - 0.2)
    top = 0.45 + TITLE_LINE * len(lines)
    height = top + rows * size[1] + (rows - 1) * gaps[1] + bottom
    figure = Drawing(figsize=(width, height))
    write_title(figure, lines, left, 0.12)
    placement = {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": bottom / height,
        "top": 1 - top / height,
        "wspace": gaps[0] / size[0],
        "hspace": gaps[1] / size[1],
    }
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=placement, **shared)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(axis="y", color=PALE, linewidth=0.5)
        each.tick_params(labelsize=8)
    return figure, axes


def name_panel(axes: Any, title: str, x: str = "", y: str = "") -> None:
    """Write what a panel shows, and along its axes."""
    axes.set_title(title, loc="left", fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def plot_band(
    axes: Any, x: Array, rows: Array, colour: str, *, median: bool = False, **line: Any
) -> None:
    """Plot the mean (or the median) of rows, (seeds, X), in a band from the least to the most.

    line: what else `axes.plot` takes.
    """
    middle = np.median(rows, axis=0) if median else rows.mean(axis=0)
    axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, middle, color=colour, linewidth=1.4, **line)


def label_end(axes: Any, x: float, y: float, text: str, colour: str, shift: float = 0) -> None:
    """Write what a line is beside its end; `shift` points higher."""
    axes.annotate(
        text, (x, y), xytext=(6, shift), textcoords="offset points", color=colour, fontsize=8,
        va="center", annotation_clip=False,
    )  # fmt: skip


def label_ends(axes: Any, ends: Sequence[tuple[float, str, str]], gap: float = 6) -> None:
    """Write what lines are beside a panel, all that is drawn in it: (height, text, colour) each.

    Texts that would touch are pushed apart. gap: points between the panel and them.
    """
    axes.set_ylim(axes.get_ylim())  # where the ends are is known, and stays
    points = 72 / axes.get_figure(root=True).dpi
    heights = [float(axes.transData.transform((1, y))[1]) * points for y, _, _ in ends]
    for (y, text, colour), shift in zip(ends, shifts_apart(heights, 12), strict=True):
        axes.annotate(
            text, (1, y), xycoords=axes.get_yaxis_transform(), xytext=(gap, shift),
            textcoords="offset points", color=colour, fontsize=8, va="center",
            annotation_clip=False,
        )  # fmt: skip


def shifts_apart(heights: Sequence[float], gap: float) -> list[float]:
    """How far to shift each of some heights, so that any two are `gap` apart; order stays.

    Those that touch are spread evenly around their middle.

    >>> shifts_apart([0, 50, 4], 12)
    [-4.0, 0.0, 4.0]
    """
    groups: list[list[int]] = []
    lowest: list[float] = []  # where each group begins
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        groups.append([i])
        lowest.append(heights[i])
        while len(groups) > 1 and lowest[-1] < lowest[-2] + len(groups[-2]) * gap:
            groups[-2:] = [groups[-2] + groups[-1]]
            middle = sum(heights[i] for i in groups[-1]) / len(groups[-1])
            lowest[-2:] = [middle - (len(groups[-1]) - 1) * gap / 2]
    shifts = [0.0 for _ in heights]
    for group, first in zip(groups, lowest, strict=True):
        for rank, i in enumerate(group):
            shifts[i] = float(first + rank * gap - heights[i])
    return shifts
