"""Positions: the pictures show the tables, the angles and the shares that were found."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.parts.embedding import sinusoidal_positions
from minitransformer.studies import Finding
from viz.figure.positions import draw


@pytest.fixture(scope="module")
def figures():
    shares = np.array([[0.01, 0.9, 0.03], [0.03, 1.0, 0.03]])
    arrays = {
        "table": sinusoidal_positions(3, 16),
        "waves": sinusoidal_positions(20, 16),
        "alike: sinusoidal": np.linspace(1, 0, 20)[None],
        "alike: one-hot": np.eye(20)[:1],
        "alike: drawn at random": np.eye(20)[:1],
        "alike: learned, before": np.eye(8)[:1],
        "alike: learned, after": np.eye(8)[:1],
        "alike: rotary, q = k": np.ones((4, 20)),
        "alike: rotary, any q, k": np.zeros((4, 20)),
        "alike: minilm": np.ones((1, 20)),
        **{f"copy: {x}": shares for x in ("sinusoidal", "none")},
        **{f"sort: {x}": shares + 0.5 for x in ("sinusoidal", "none")},
    }
    return draw(Finding("positions", [], [], {"words": ["we", "swam", "far"]}, arrays))


def test_the_heat_map_has_a_row_for_each_word(figures) -> None:
    waves, one_hot, *_ = figures["positions.png"].axes
    assert [x.get_text() for x in waves.get_yticklabels()] == ["we  0", "swam  1", "far  2"]
    assert np.array_equal(waves.images[0].get_array(), sinusoidal_positions(3, 16))
    assert np.array_equal(one_hot.images[0].get_array(), np.eye(3, 16))


def test_pairs_of_columns_are_turned_by_their_own_angle(figures) -> None:
    titles = [axes.get_title() for axes in figures["rotation.png"].axes]
    angles = [np.degrees(3 * 10_000 ** (-column / 16)) for column in (0, 2, 4, 6)]
    columns = zip((0, 2, 4, 6), angles, strict=True)
    assert titles == [f"columns {c}, {c + 1}: {angle:.0f}°" for c, angle in columns]


def test_a_published_model_has_a_panel_of_its_own(figures) -> None:
    names = [axes.get_title(loc="left") for axes in figures["distance.png"].axes]
    assert names[0] == "sinusoidal"
    assert names[-1] == "learned by minilm"
    assert len(names) == 5


def test_bars_are_as_high_as_the_mean_of_the_seeds(figures) -> None:
    copy, sort = figures["without.png"].axes
    assert [bar.get_height() for bar in copy.patches] == pytest.approx([0.95, 0.02] * 2)
    assert [bar.get_height() for bar in sort.patches][1] == pytest.approx(0.52)
    assert "2.0 %" in [text.get_text() for text in copy.texts]
    assert copy.lines[-1].get_ydata()[0] == pytest.approx(0.03)
