"""The picture of what is right at each length: a line for each model, and where training ended."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.studies import Finding
from minitransformer.studies.context import RATES, lengths_of
from viz.figure.context import draw


@pytest.fixture(scope="module")
def found() -> Finding:
    rng = np.random.default_rng(0)
    shares = {name: rng.uniform(0, 1, (3, 2, 7)) for name in RATES}
    numbers = {
        "task": "copy", "processor_seconds": 20, "trained_to": 20, "none_extrapolates": True,
        "chance_of_a_symbol": 0.1,
    }  # fmt: skip
    return Finding("compare", [], [], numbers, {"lengths": np.array(lengths_of(20)), **shares})


def test_lines_are_the_means_of_the_seeds_in_bands_of_all(found: Finding) -> None:
    figure = draw(found)["context.png"]
    for measure, axes in enumerate(figure.axes):
        lines = {line.get_label(): line for line in axes.lines}
        bands = [x for x in axes.collections if hasattr(x, "get_paths")]
        for name, band in zip(RATES, bands, strict=True):
            shares = found.arrays[name][:, measure]
            np.testing.assert_allclose(lines[name].get_ydata(), shares.mean(axis=0))
            corners = band.get_paths()[0].vertices[:, 1]
            assert corners.min() == shares.min() and corners.max() == shares.max()


def test_what_was_never_trained_is_shaded_and_the_title_says_that_nobody_can_do_it(
    found: Finding,
) -> None:
    figure = draw(found)["context.png"]
    assert "none of them extrapolates" in figure.texts[0].get_text()
    for axes in figure.axes:
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == (20, 40)
        assert "never trained" in [text.get_text() for text in axes.texts]
