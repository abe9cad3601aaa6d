"""Where *bank*, *server* and *check* lie in each of their meanings, before training and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.studies import Finding
from minitransformer.tasks.grammar import SENSES
from viz.figure.panels import name_panel, panels
from viz.figure.style import BLUE, INK, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLOURS = BLUE, VERMILION
SIZE = 2.1, 1.9  # inches


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """A row for each word: the last layer before training, then each layer after it."""
    if not finding.arrays:
        return {}
    layers = range(len(finding.arrays[f"{SENSES[0][0].word}.after"]))
    shown = [("before", layers[-1]), *(("after", layer) for layer in layers)]
    figure, axes = panels(
        "Where a word lies (dots) in its two meanings, and their synonyms (crosses)",
        len(SENSES),
        len(shown),
        SIZE,
        left=0.35,
        right=0.3,
        bottom=0.3,
        gaps=(0.15, 0.35),
    )
    for row, (one, other) in zip(axes, SENSES, strict=True):
        kinds = finding.arrays[f"{one.word}.kinds"]
        for each, (when, layer) in zip(row, shown, strict=True):
            flat = project(finding.arrays[f"{one.word}.{when}"][layer])
            draw_map(each, flat, kinds, one.word, (one.meaning, other.meaning))
            where = "embedding" if layer == 0 else f"layer {layer}"
            name_panel(each, f"{one.word} {when}: {where}")
    return {"sense.png": figure}


def project(x: Array) -> Array:
    """(N, 2): vectors in the plane in which they differ most: their two principal components.

    Each axis is turned so that its largest coordinate is positive.
    """
    centred = x - x.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    largest = flat[np.abs(flat).argmax(axis=0), [0, 1]]
    found: Array = flat * np.where(largest < 0, -1, 1)
    return found


def draw_map(axes: Any, flat: Array, kinds: Array, word: str, meanings: tuple[str, str]) -> None:
    """Draw the occurrences of a word and of its synonyms, and write beside these what they are."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.18)
    for side, colour in enumerate(COLOURS):
        synonyms, own = flat[kinds == 2 + side], flat[kinds == side]
        axes.plot(*synonyms.T, "x", color=colour, markersize=3, markeredgewidth=0.6, alpha=0.45)
        axes.plot(*own.T, "o", color=colour, markersize=4.5, markeredgecolor="white",
                  markeredgewidth=0.4)  # fmt: skip
        axes.annotate(
            meanings[side],
            synonyms.mean(axis=0),
            fontsize=7,
            color=INK,
            ha="center",
            va="center",
            bbox={"facecolor": "white", "edgecolor": colour, "linewidth": 0.6, "pad": 1.2,
                  "alpha": 0.85},
        )  # fmt: skip
