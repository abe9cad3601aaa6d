"""Few labels: the share that is right by the number of labels, a line for each way of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minitransformer.studies import Finding
from viz.figure.panels import label_ends, name_panel, panels
from viz.figure.style import BLUE, GREEN, GREY, INK, PURPLE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLOURS = {
    "fine-tuned": GREEN,
    "frozen": BLUE,
    "from scratch": VERMILION,
    "frozen, untrained": PURPLE,
    "frozen MiniLM": INK,
}


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """A panel for each word."""
    right = finding.numbers["right"]
    figure, axes = panels(
        "Which sense a word has, where other words tell it than in training",
        columns=len(right), size=(3.1, 2.4), right=1.45, gaps=(0.5, 0.6), sharey=True,
    )  # fmt: skip
    for each, (word, shares) in zip(axes[0], right.items(), strict=True):
        draw_shares(each, shares, finding.numbers["chance"], is_named=each is axes[0, -1])
        name_panel(each, f'"{word}", unseen sentences that are right', "labels of each sense")
    return {"few-labels.png": figure}


def draw_shares(
    axes: Any,
    shares: Mapping[int, Mapping[str, Sequence[float]]],
    chance: float,
    is_named: bool = True,
) -> None:
    """Lines through the means, a dot for each seed, and where chance is.

    is_named: whether each line's name stands beside its end, or only that of chance.
    """
    from matplotlib.ticker import PercentFormatter

    counts = [*shares]
    ends = [(chance, "chance", GREY)]
    axes.set_xscale("log")
    for way in next(iter(shares.values())):
        own = np.array([shares[count][way] for count in counts])  # (counts, seeds)
        means = own.mean(axis=1)
        axes.plot(counts, means, color=COLOURS[way], linewidth=1.4, label=way)
        if is_named:
            ends.append((means[-1], way, COLOURS[way]))
        for seed in own.T:
            axes.plot(counts, seed, ".", color=COLOURS[way], markersize=4, alpha=0.5)
    axes.axhline(chance, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xticks(counts, map(str, counts))
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    label_ends(axes, ends)
