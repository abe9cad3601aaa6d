"""The picture of what a GRU forgets: a line for each measure, by the letters."""

from __future__ import annotations

import numpy as np

from minitransformer.studies import Finding
from minitransformer.studies.forget import LETTERS, MEASURES
from viz.figure.forget import LINES, draw


def test_lines_are_the_means_of_the_seeds() -> None:
    found = np.random.default_rng(0).uniform(0, 1, (3, len(LETTERS), len(MEASURES)))
    real = np.array([[8, 0.25], [12, 0.5]])
    arrays = {"letters": np.array(LETTERS), "found": found, "real": real}
    finding = Finding("forget", [], [], {}, arrays)
    (axes,) = draw(finding)["forget.png"].axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines.pop("real words as long").get_xydata(), real)
    assert lines.keys() == LINES.keys()
    for name, (place, *_) in LINES.items():
        np.testing.assert_allclose(lines[name].get_ydata(), found[..., place].mean(axis=0))
        np.testing.assert_array_equal(lines[name].get_xdata(), LETTERS)
