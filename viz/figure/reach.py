"""How far back a gradient reaches: a line for each model, on a logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minitransformer.studies import Finding
from viz.figure.panels import label_ends, name_panel, panels, plot_band
from viz.figure.style import BLUE, GREEN, PURPLE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

COLOURS = {"rnn": VERMILION, "lstm": PURPLE, "lstm-attention": BLUE, "transformer": GREEN}


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """The gradient by each source token: the median of the seeds, in a band from least to most."""
    figure, ((axes,),) = panels("What the first output feels of each source token, untrained")
    name_panel(axes, "gradient, relative to the largest (logarithmic)", "source token")
    axes.set_yscale("log")
    # Nearest the answer is the last token, where all lines meet: the names stand where they part.
    for name, norms in finding.arrays.items():
        plot_band(axes, np.arange(1, norms.shape[1] + 1), norms, COLOURS[name], median=True)
    axes.set_xlim(norms.shape[1], 1)
    arrays = finding.arrays.items()
    label_ends(axes, [(np.median(norms[:, 0]), name, COLOURS[name]) for name, norms in arrays])
    return {"reach.png": figure}
