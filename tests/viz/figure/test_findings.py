"""Findings: each study is drawn, and its pictures say what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitransformer.studies import STUDIES
from minitransformer.studies.reach import Reach
from viz.figure import reach
from viz.figure.findings import DRAWN_BY, draw_finding


def test_each_study_is_drawn() -> None:
    assert {*DRAWN_BY} == {*STUDIES}


@pytest.fixture(scope="module")
def found():
    return Reach(length=8, seeds=2).find()


def test_pictures_are_written_under_their_names(found, tmp_path: Path) -> None:
    (picture,) = draw_finding(found, tmp_path)
    assert picture.name == "reach.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_reach_has_a_line_for_each_model_from_the_last_token_to_the_first(found) -> None:
    (axes,) = reach.draw(found)["reach.png"].axes
    assert [line.get_ydata()[0] for line in axes.lines] == pytest.approx(
        [(x[0, 0] + x[1, 0]) / 2 for x in found.arrays.values()]
    )
    assert axes.get_xlim() == (8, 1)
