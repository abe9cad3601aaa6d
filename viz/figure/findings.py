"""Findings: the pictures of each study, by its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from minigrad.files import trying_to
from minitransformer.studies import Finding
from viz.figure.style import save_figure

DRAWN_BY = {
    "compare": "context",
    "few-labels": "few_labels",
    "forget": "forget",
    "glosses": "glosses",
    "norms": "norms",
    "positions": "positions",
    "reach": "reach",
    "refer": "refer",
    "sense": "sense",
}
"""The module beside this one that draws a study. Its `draw` gives {name of a file: figure}."""


def draw_finding(finding: Finding, folder: Path) -> list[Path]:
    """Draw what a study has found into a folder: the paths of the pictures."""
    paths = []
    for name, figure in (
        import_module(f"viz.figure.{DRAWN_BY[finding.study]}").draw(finding).items()
    ):
        paths.append(folder / name)
        with trying_to("write", paths[-1]):
            save_figure(figure, paths[-1])
    return paths
