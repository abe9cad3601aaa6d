"""How far back a gradient reaches: a line for each model, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minitransformer.studies import Finding
from viz.figure.panels import name_panel, panels
from viz.figure.style import AMBER, BLUE, GREEN, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLOURS = {"rnn": VERMILION, "lstm": AMBER, "lstm-attention": BLUE, "transformer": GREEN}


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """The gradient by each source token: the median of the seeds, in a band from least to most."""
    figure, ((axes,),) = panels("What the first output feels of each source token, untrained")
    name_panel(axes, "gradient, relative to the largest (logarithmic)", "source token")
    axes.set_yscale("log")
    # Nearest the answer is the last token, where all lines meet: the names stand where they part.
    for name, norms in finding.arrays.items():
        back = np.arange(1, norms.shape[1] + 1)
        middle = np.median(norms, axis=0)
        axes.fill_between(
            back, norms.min(axis=0), norms.max(axis=0), color=COLOURS[name], alpha=0.2, linewidth=0
        )
        axes.plot(back, middle, color=COLOURS[name], linewidth=1.4)
    axes.set_xlim(norms.shape[1], 1)
    for name, norms in finding.arrays.items():
        axes.annotate(
            name,
            (1, np.median(norms, axis=0)[0]),
            xytext=(6, -9 if name == "transformer" else 3),
            textcoords="offset points",
            color=COLOURS[name],
            fontsize=8,
            va="center",
            annotation_clip=False,
        )
    return {"reach.png": figure}
