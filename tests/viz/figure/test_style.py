"""What all figures share: how a title is broken into lines, and colours that can be told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from minigrad.tensor import Array
from viz.figure import style
from viz.figure.style import wrap_title

SENTENCE = "Attention: the cat did not want to cross the field because it was too scared ."


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0, *np.arange(5.0, 6.45, 0.05)])
def test_no_line_begins_with_a_sign_that_stands_by_itself(width: float) -> None:
    lines = wrap_title(SENTENCE, width)
    assert len(lines) > 1
    assert " ".join(lines) == SENTENCE
    assert not any(line.startswith(".") for line in lines)


def test_no_title_has_no_lines() -> None:
    assert wrap_title(None, 5) == wrap_title("", 5) == []


def turned_dark(colour: Array) -> Array:
    """What `filter: invert(1) hue-rotate(180deg)` makes of a colour, as the gallery does in dark.

    https://www.w3.org/TR/filter-effects-1/#feColorMatrixElement
    """
    grey = np.array([0.213, 0.715, 0.072])
    return np.clip(2 * grey @ (1 - colour) - (1 - colour), 0, 1)


def lab(colour: Array) -> Array:
    """A colour of sRGB in CIELAB, in which equal distances look about equal."""
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    of_white = [[0.4339, 0.3762, 0.1899], [0.2127, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]]
    x, y, z = np.cbrt(of_white @ light)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", [np.asarray, turned_dark])
def test_colours_of_lines_are_told_apart_in_light_and_in_dark(seen) -> None:
    colours = [style.BLUE, style.GREEN, style.VERMILION, style.PURPLE]
    rgb = [np.array([int(x[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for x in colours]
    for one, other in combinations(rgb, 2):
        assert np.linalg.norm(lab(seen(one)) - lab(seen(other))) > 50
