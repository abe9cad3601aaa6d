"""Glosses: the share whose kind is told, by the number of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minitransformer.studies import Finding
from viz.figure.few_labels import draw_shares
from viz.figure.panels import name_panel, panels
from viz.figure.style import house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """A line for each way of training."""
    figure, ((axes,),) = panels("What kind of thing a gloss of WordNet is about", right=1.6)
    draw_shares(axes, finding.numbers["right"], finding.numbers["chance"])
    name_panel(axes, "unseen glosses that are right", "labels of each of eight kinds")
    return {"glosses.png": figure}
