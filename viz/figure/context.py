"""What is right at each length of a sequence: a line for each model, and where training ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minitransformer.studies import Finding
from viz.figure.panels import name_panel, panels, plot_band
from viz.figure.reach import COLOURS
from viz.figure.style import GREY, PALE, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

MEASURES = "answers without a mistake", "symbols in their right place"


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """Both shares by length, the mean of the seeds in a band from least to most; beyond the longest
    sequence of training the ground is grey."""
    from matplotlib.ticker import PercentFormatter

    numbers, lengths = finding.numbers, finding.arrays["lengths"]
    trained, end = numbers["trained_to"], lengths[-1]
    verdict = "; none of them extrapolates" if numbers["none_extrapolates"] else ""
    told = f"{numbers['task']}, {numbers['processor_seconds']} s of training each"
    figure, axes = panels(told + verdict, columns=2, size=(3.1, 2.3), gaps=(0.65, 0.6))
    for measure, (each, name) in enumerate(zip(axes[0], MEASURES, strict=True)):
        name_panel(each, name, "length of the sequence")
        each.axvspan(trained, end, color=PALE, alpha=0.45, linewidth=0, zorder=0)
        middle = (trained + end) / 2
        each.text(middle, 1.06, "never trained", fontsize=7.5, color=GREY, ha="center", va="center")
        for model, colour in COLOURS.items():
            shares = finding.arrays[model][:, measure]  # (seeds, lengths)
            plot_band(each, lengths, shares, colour, marker="o", ms=3, label=model)
        each.set_xlim(lengths[0] - 1, end)
        each.set_ylim(-0.03, 1.12)
        each.set_yticks([0, 0.25, 0.5, 0.75, 1])
        each.set_xticks(lengths)
        each.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes[0, 1].axhline(numbers["chance_of_a_symbol"], color=GREY, linewidth=0.8, linestyle=":")
    axes[0, 1].text(
        lengths[0], numbers["chance_of_a_symbol"], "a blind guess", fontsize=7.5, color=GREY,
        va="bottom",
    )  # fmt: skip
    axes[0, 1].legend(
        frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0
    )
    return {"context.png": figure}
