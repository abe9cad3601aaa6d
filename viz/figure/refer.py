"""Which noun a pronoun looks at: dots for each model, trained and not, method by method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.studies import Finding
from viz.figure.maps import WEIGHT_COLOURS
from viz.figure.panels import name_panel, panels
from viz.figure.style import BLUE, GREEN, GREY, PALE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLUMNS = (
    "the model\nis right",
    "each head",
    "best head",
    "rollout",
    "gradient\n× input",
    "knock-out",
)
SIGNED = "gradient × input", "knock-out"
"""Methods whose numbers may be below 0."""
CELL = 0.21
"""Inches of a side of a cell."""
WIDTH = 0.26
"""Of the dots of trained models in a column, which is 1, and of untrained ones beside them."""


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """Of runs that fill gaps, what each method says; of a language model, its margins."""
    pictures = {}
    if "trained" in finding.arrays:
        pictures["refer.png"] = draw_methods(finding.arrays)
    if "looks of" in finding.arrays:
        pictures["looks.png"] = draw_looks(finding.arrays)
    if "margins" in finding.arrays:
        pictures["swap.png"] = draw_margins(finding)
    return pictures


def draw_methods(arrays: Any) -> Drawing:
    """A dot for each model, and in one column for each head of each."""
    from matplotlib.ticker import PercentFormatter

    figure, ((axes,),) = panels(
        "What says which of two nouns the pronoun is? A dot for each model, trained and untrained",
        size=(6.2, 2.6),
        right=0.3,
        bottom=0.6,
    )
    name_panel(axes, "share of unseen sentences in which it is the right noun")
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for state, colour, side in (("trained", BLUE, -1), ("untrained", VERMILION, 1)):
        shares = arrays[state]  # (models, methods)
        columns = [arrays[f"right, {state}"], arrays[f"heads, {state}"], *shares.T]
        for column, values in enumerate(columns):
            # Each model has a place of its own, so that no dot hides another model's.
            places = column + side * 0.25 + spaced(len(values))[:, None]
            x = np.broadcast_to(places, _wide(values).shape)
            axes.plot(
                x.ravel(), _wide(values).ravel(), "o", color=colour, markersize=5 if column != 1
                else 3.5, alpha=0.85, markeredgewidth=0, clip_on=False, label=state,
            )  # fmt: skip
    axes.set_xticks(range(len(COLUMNS)), COLUMNS)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(COLUMNS) - 0.4)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.text(-0.57, 0.515, "chance", fontsize=7, color=GREY)
    for state, colour, at in (("● trained", BLUE, 0.72), ("● untrained", VERMILION, 0.86)):
        axes.text(at, 1.04, state, color=colour, fontsize=8, transform=axes.transAxes)
    return figure


def spaced(count: int) -> Array:
    """The places of so many dots, in their order, around 0."""
    return np.linspace(-WIDTH / 2, WIDTH / 2, count) if count > 1 else np.zeros(1)


def _wide(values: Array) -> Array:
    """(models, dots of each)."""
    return values.reshape(len(values), -1)


def draw_looks(arrays: Any) -> Drawing:
    """What the gap of two sentences looks at, a row for each method: weights from 0 to 1, and of
    the methods with signs a row's largest number as 1."""
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.patches import Rectangle

    names = [str(x) for x in arrays["looks of"]]
    sides = [number for number in range(2) if f"look {number}" in arrays]
    longest = max(len(arrays[f"tokens {number}"]) for number in sides)
    figure, (row,) = panels(
        'What does [MASK] look at, which is read for "it"? The first of the models',
        columns=len(sides), size=(CELL * longest, CELL * len(names)),
        left=1.35, right=0.2, bottom=0.9, gaps=(0.2, 0.6),
    )  # fmt: skip
    signed = LinearSegmentedColormap.from_list("signs", (VERMILION, "white", BLUE))
    weights = LinearSegmentedColormap.from_list("weights", WEIGHT_COLOURS)
    for axes, number in zip(row, sides, strict=True):
        values, tokens = arrays[f"look {number}"], [str(x) for x in arrays[f"tokens {number}"]]
        for at, name in enumerate(names):
            box = (-0.5, len(tokens) - 0.5, at + 0.5, at - 0.5)
            if name in SIGNED:
                line = values[at] / max(abs(values[at]).max(), 1e-12)
                axes.imshow(line[None], signed, vmin=-1, vmax=1, extent=box, aspect="auto")
            else:
                axes.imshow(
                    values[at][None], weights, norm=PowerNorm(0.5, 0, 1), extent=box, aspect="auto"
                )
        for place, colour in zip(arrays[f"nouns {number}"], (GREEN, GREY), strict=True):
            axes.add_patch(
                Rectangle((place - 0.5, -0.5), 1, len(names), fill=False, edgecolor=colour,
                          linewidth=1.6, clip_on=False)
            )  # fmt: skip
        axes.set_xlim(-0.5, len(tokens) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(names)), names if number == sides[0] else [""] * len(names))
        axes.tick_params(length=0)
        right = tokens[int(arrays[f"nouns {number}"][0])]
        name_panel(axes, f"{tokens[-3]}: it is the {right} (green)")
    legend = (
        "Heads and rollout: weights, white 0 to navy 1. Below: blue for the noun that the model "
        "takes, orange against it."
    )
    figure.text(0.02, 0.015, legend, fontsize=7, color=GREY)
    return figure


def draw_margins(finding: Finding) -> Drawing:
    """For each end of a sentence, how much likelier it is after the right noun."""
    margins = finding.arrays["margins"]  # (twins, with the sentence or without, ends)
    rows = finding.tables[0].rows
    names = [f"{row[1].rstrip('.')}: {row[0].split(',')[0]}" for row in rows]
    figure, ((axes,),) = panels(
        "Does a language model like the end better after the right noun?",
        size=(4.2, 0.2 * len(names)),
        left=2.6,
        right=0.3,
    )
    y = np.arange(len(names))
    axes.axvline(0, color=GREY, linewidth=0.8)
    for part, colour in ((1, VERMILION), (0, BLUE)):
        axes.plot(margins[:, part].ravel(), y, "o", color=colour, markersize=4, markeredgewidth=0)
    axes.set_yticks(y, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", color=PALE, linewidth=0.5)
    name_panel(axes, "", "nats by which it is likelier than after the other noun")
    for text, colour, at in (
        ("● in the sentence", BLUE, 0.0), ("● after the noun alone", VERMILION, 0.45),
    ):  # fmt: skip
        axes.text(at, 1.01, text, color=colour, fontsize=8, transform=axes.transAxes)
    return figure
