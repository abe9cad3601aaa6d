"""Two tests of word sense, layer by layer, and maps of where *bank*, *server* and *check* lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.studies import Finding
from minitransformer.studies.asked import NINE
from minitransformer.studies.sense_tables import WORDS
from minitransformer.tasks.grammar import SENSES
from viz.figure.panels import name_panel, panels, shifts_apart
from viz.figure.style import BLUE, GREEN, GREY, INK, PALE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLOURS = BLUE, VERMILION
OF_WORDS = dict(zip(WORDS, (BLUE, VERMILION, GREEN), strict=True))
SIZE = 2.1, 1.9  # inches, of a map
TOP = 1.15
TESTS = {
    "nearer": "nearer to the right synonym",
    "neighbours": "nearest neighbour of the same meaning",
}


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """The tests of models whose layers were asked; the maps of the first that was trained."""
    found = {}
    if finding.numbers["masked"] or finding.numbers["published"]:
        found["layers.png"] = draw_layers(finding)
    if finding.arrays:
        found["maps.png"] = draw_maps(finding)
    return found


def draw_layers(finding: Finding) -> Drawing:
    """A row for each test; on the left the models that were trained on the grammar, on the right
    each published one. Grey is what untrained ones reach, word by word."""
    columns: list[tuple[str, Any, str]] = []
    if finding.numbers["masked"]:
        columns.append(("masked words", finding.numbers["masked"], ""))
    columns += [(x["model"], [x], "_centred") for x in finding.numbers["published"]]
    figure, axes = panels(
        "Word sense by layer, beside untrained models (grey: all of them, dotted: their mean); the "
        "thin line is chance",
        2, len(columns), (3.2, 2.0), right=0.9, gaps=(1.5, 0.75),
    )  # fmt: skip
    for row, (test, title) in zip(axes, TESTS.items(), strict=True):
        for each, (name, models, kind) in zip(row, columns, strict=True):
            draw_test(each, models, test + kind)
            name_panel(each, f"{name}: {title}", "layer")
    return figure


def draw_test(axes: Any, models: Sequence[Any], name: str) -> None:
    """Lines of the words, the mean of the models, over the band of all their controls;
    the thin line is chance."""
    from matplotlib.ticker import PercentFormatter

    values = {
        word: np.mean([model["trained"][word][name] for model in models], axis=0) for word in WORDS
    }
    controls = np.array(
        [x[word][name] for model in models for x in model["untrained"] for word in WORDS]
    )
    layers = np.arange(controls.shape[1])
    axes.fill_between(layers, controls.min(axis=0), controls.max(axis=0), color=PALE, linewidth=0)
    axes.plot(layers, controls.mean(axis=0), color=GREY, linewidth=1, linestyle=":")
    axes.axhline(NINE if name == "neighbours_centred" else 0.5, color=GREY, linewidth=0.6)
    axes.set_ylim(0, TOP)  # above 100 % there is room for names
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_xlim(0, layers[-1])
    axes.set_xticks(layers)
    ends = [*((word, values[word], OF_WORDS[word]) for word in WORDS),
            ("untrained", controls.mean(axis=0), GREY)]  # fmt: skip
    shifts = shifts_apart([y[-1] * 72 * 2.0 / TOP for _, y, _ in ends], 9)
    for (text, y, colour), shift in zip(ends, shifts, strict=True):
        if text != "untrained":
            axes.plot(layers, y, color=colour, linewidth=1.4, clip_on=False)
        axes.annotate(
            text, (layers[-1], y[-1]), xytext=(6, shift), textcoords="offset points",
            color=colour, fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip


def draw_maps(finding: Finding) -> Drawing:
    """A row for each word: the last layer before training, then each layer after it."""
    layers = range(len(finding.arrays[f"{WORDS[0]}.after"]))
    shown = [("before", layers[-1]), *(("after", layer) for layer in layers)]
    figure, axes = panels(
        f"{finding.numbers['masked'][0]['model']}: where a word lies (dots) in unseen sentences of "
        "its two meanings, and its synonyms (crosses) in others",
        len(SENSES), len(shown), SIZE, left=0.35, right=0.3, bottom=0.3, gaps=(0.15, 0.35),
    )  # fmt: skip
    for row, (one, other) in zip(axes, SENSES, strict=True):
        kinds = finding.arrays[f"{one.word}.kinds"]
        for each, (when, layer) in zip(row, shown, strict=True):
            flat = project(finding.arrays[f"{one.word}.{when}"][layer])
            draw_map(each, flat, kinds, (one.meaning, other.meaning))
            name_panel(each, f"{one.word} {when}: {f'layer {layer}' if layer else 'embedding'}")
    return figure


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


def draw_map(axes: Any, flat: Array, kinds: Array, meanings: tuple[str, str]) -> None:
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
