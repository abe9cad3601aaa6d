"""Maps of where words lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minitransformer.studies import Finding
from viz.figure import sense

WORDS = "bank", "server", "check"


def measured(share: float) -> dict[str, Any]:
    """Measures of a model with two layers, of which the last has a share."""
    return {word: {"nearer": [0.5, 0.5, share], "neighbours": [0.5, 1, 1]} for word in WORDS}


@pytest.fixture(scope="module")
def finding() -> Finding:
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2, 3], [2, 2, 5, 5])
    arrays = {f"{word}.kinds": kinds for word in WORDS}
    for word in WORDS:
        for when in ("before", "after"):
            arrays[f"{word}.{when}"] = rng.normal(size=(3, len(kinds), 6))
    masked = [{"model": "seed 0", "trained": measured(1), "untrained": [measured(0.25)] * 2}]
    numbers = {"masked": masked, "translate": [], "published": []}
    return Finding("sense", [], [], numbers, arrays)


def test_a_map_has_the_plane_in_which_vectors_differ_most() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(20, 2)) * [5, 1]
    flat -= flat.mean(axis=0)
    turned, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    found = sense.project(flat @ turned[:2] + 7)
    np.testing.assert_allclose(
        np.linalg.norm(found[:, None] - found, axis=-1),
        np.linalg.norm(flat[:, None] - flat, axis=-1),
        atol=1e-9,
    )
    assert found[:, 0].std() > found[:, 1].std()
    np.testing.assert_allclose(found, sense.project(-flat @ turned[:2]), atol=1e-9)


def test_each_word_has_a_map_before_training_and_one_of_each_layer_after(finding: Finding) -> None:
    figure = sense.draw(finding)["maps.png"]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    of_bank = ["before: layer 2", "after: embedding", "after: layer 1", "after: layer 2"]
    assert titles[:4] == [f"bank {x}" for x in of_bank]
    assert [x.split()[0] for x in titles] == [word for word in WORDS for _ in range(4)]
    last = figure.axes[3]
    assert [text.get_text() for text in last.texts] == ["shore", "lender"]
    drawn = [line.get_xydata() for line in last.lines]
    assert [len(x) for x in drawn] == [5, 2, 5, 2]
    flat = sense.project(finding.arrays["bank.after"][2])
    np.testing.assert_allclose(drawn[1], flat[:2])


def test_without_a_masked_run_there_is_nothing_to_draw() -> None:
    numbers = {"masked": [], "translate": [], "published": []}
    assert sense.draw(Finding("sense", [], [], numbers)) == {}


def test_each_test_has_a_line_for_each_word_and_a_band_of_the_controls(finding: Finding) -> None:
    figure = sense.draw(finding)["layers.png"]
    above, below = figure.axes
    assert [text.get_text() for text in above.texts] == [*WORDS, "untrained"]
    control, chance, *words = above.lines
    assert [list(line.get_ydata()) for line in words] == [[0.5, 0.5, 1]] * 3
    assert list(control.get_ydata()) == [0.5, 0.5, 0.25]
    assert {*chance.get_ydata()} == {0.5}
    assert list(below.lines[0].get_ydata()) == [0.5, 1, 1]
