"""How much of two words written as one a GRU gets wrong, by their letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minitransformer.studies import Finding
from viz.figure.panels import label_ends, name_panel, panels
from viz.figure.style import BLUE, GREY, INK, PURPLE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

LINES = {
    "all errors": (0, VERMILION, "-"),
    "of the first word": (1, BLUE, "-"),
    "of the second word": (2, PURPLE, "-"),
    "chance: other words": (3, GREY, ":"),
}
"""The label of a measure, its place among them, its colour and its dash."""


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """The mean of the seeds, in a band from least to most."""
    from matplotlib.ticker import PercentFormatter

    letters, found = finding.arrays["letters"], finding.arrays["found"]
    title = "What a GRU without attention loses of two words"
    figure, ((axes,),) = panels(title, size=(4.6, 2.4), right=1.75)
    name_panel(axes, "phonemes that are wrong", "letters of two words written as one")
    for label, (measure, colour, dash) in LINES.items():
        shares = found[..., measure]  # (seeds, lengths)
        axes.fill_between(
            letters, shares.min(0), shares.max(0), color=colour, alpha=0.2, linewidth=0
        )
        marker = "" if dash == ":" else "o"
        axes.plot(
            letters, shares.mean(0), dash, color=colour, linewidth=1.4, marker=marker, ms=3,
            label=label,
        )  # fmt: skip
    real = finding.arrays["real"]
    axes.plot(*real.T, "s", color=INK, ms=4, label="real words as long")
    axes.annotate(
        "real words as long", real[-1], xytext=(6, 0), textcoords="offset points", color=INK,
        fontsize=8, va="center",
    )  # fmt: skip
    axes.set_xlim(letters[0] - 0.5, letters[-1] + 0.5)
    axes.set_ylim(0, 1)
    axes.set_xticks(letters)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    ends = found[:, -1].mean(0)
    label_ends(axes, [(ends[place], name, colour) for name, (place, colour, _) in LINES.items()])
    return {"forget.png": figure}
