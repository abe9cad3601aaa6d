"""Panels: a figure of one or several plots in the house style, sized in inches.

Inside `house_style`, as all that draws.
"""

from __future__ import annotations

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
