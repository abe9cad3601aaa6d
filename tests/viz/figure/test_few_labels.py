"""Pictures of few labels: lines through the means of what was measured."""

from __future__ import annotations

import numpy as np

from minitransformer.studies import Finding
from viz.figure import few_labels, glosses

SHARES = {1: {"frozen": [0.5, 0.7], "from scratch": [0.4, 0.5]},
          4: {"frozen": [0.9, 1.0], "from scratch": [0.5, 0.5]}}  # fmt: skip


def lines(axes) -> dict[str, list[float]]:
    """The lines that a panel names, and that of chance."""
    return {
        line.get_label(): list(line.get_ydata()) for line in axes.lines if len(line.get_xdata())
    }


def test_each_word_has_a_panel_with_a_line_for_each_way() -> None:
    right = {"bank": SHARES, "check": {count: dict(own) for count, own in SHARES.items()}}
    found = Finding("few-labels", [], [], {"chance": 0.5, "right": right})
    axes = few_labels.draw(found)["few-labels.png"].axes
    assert [each.get_title(loc="left")[:7] for each in axes] == ['"bank",', '"check"']
    for each in axes:
        drawn = lines(each)
        np.testing.assert_allclose(drawn["frozen"], [0.6, 0.95])
        np.testing.assert_allclose(drawn["from scratch"], [0.45, 0.5])
        assert [0.5, 0.5] in [list(line.get_ydata()) for line in each.lines]


def test_glosses_have_one_panel_and_their_own_chance() -> None:
    found = Finding("glosses", [], [], {"chance": 0.125, "right": SHARES})
    (axes,) = glosses.draw(found)["glosses.png"].axes
    np.testing.assert_allclose(lines(axes)["frozen"], [0.6, 0.95])
    assert [0.125, 0.125] in [list(line.get_ydata()) for line in axes.lines]
