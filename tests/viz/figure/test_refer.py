"""The pictures of pronouns: a dot for each model and method, and for each end of a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minitransformer.studies import Finding, Table
from viz.figure.refer import COLUMNS, draw


def test_each_model_has_a_dot_for_each_method_trained_and_not() -> None:
    arrays: dict[str, Any] = {}
    for state, shares in (("trained", [0.6, 0.7, 0.8, 0.9]), ("untrained", [0.4, 0.5, 0.5, 0.5])):
        arrays[f"right, {state}"] = np.array([1.0, 0.9])
        arrays[state] = np.array([shares, shares])
        arrays[f"heads, {state}"] = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    (axes,) = draw(Finding("refer", [], [], {}, arrays))["refer.png"].axes
    dots = [(np.asarray(x.get_xdata()), np.asarray(x.get_ydata())) for x in axes.lines[1:]]
    assert len(dots) == 2 * len(COLUMNS)
    assert [x.get_text().split("\n")[0] for x in axes.get_xticklabels()][-1] == "knock-out"
    assert dots[0][1].tolist() == [1.0, 0.9]
    assert dots[1][1].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert dots[5][1].tolist() == [0.9, 0.9]
    for number, (x, _) in enumerate(dots):
        column, is_trained = number % len(COLUMNS), number < len(COLUMNS)
        assert ((x < column) == is_trained).all()
        assert (abs(x - column) < 0.5).all()


def test_what_a_gap_looks_at_is_a_row_for_each_method_beside_the_two_nouns() -> None:
    tokens = ["[CLS]", "frog", "square", "tired", ".", "[SEP]"]
    look = np.linspace(0, 1, 18).reshape(3, 6)
    look[2] = [-4, 0, 2, 0, 0, 0]
    arrays: dict[str, Any] = {"looks of": np.array(["layer 1, head 1", "rollout", "knock-out"])}
    for number in range(2):
        arrays[f"tokens {number}"], arrays[f"look {number}"] = np.array(tokens), look
        arrays[f"nouns {number}"] = np.array([1, 2] if number == 0 else [2, 1])
    first, second = draw(Finding("refer", [], [], {}, arrays))["looks.png"].axes
    assert [x.get_text() for x in first.get_yticklabels()] == arrays["looks of"].tolist()
    assert [x.get_text() for x in second.get_xticklabels()] == tokens
    drawn = [np.asarray(x.get_array())[0] for x in first.images]
    assert np.array_equal(drawn[:2], look[:2])
    assert drawn[2].tolist() == [-1, 0, 0.5, 0, 0, 0]
    assert first.get_title(loc="left") == "tired: it is the frog (green)"
    assert second.get_title(loc="left") == "tired: it is the square (green)"
    assert [x.get_x() for x in first.patches] == [0.5, 1.5]


def test_each_end_has_a_dot_with_the_sentence_and_one_without() -> None:
    rows = [("the animal, not the street", "was too tired.", "+6.25", "(+0.09)"),
            ("the street, not the animal", "was too wide.", "+3.64", "(+4.25)")]  # fmt: skip
    margins = np.array([[[6.25, 3.64], [0.09, 4.25]]])
    finding = Finding("refer", [Table("", (), rows)], [], {}, {"margins": margins})
    (axes,) = draw(finding)["swap.png"].axes
    alone, whole = (np.asarray(x.get_xdata()).tolist() for x in axes.lines[1:])
    assert (whole, alone) == ([6.25, 3.64], [0.09, 4.25])
    assert [x.get_text() for x in axes.get_yticklabels()] == [
        "was too tired: the animal", "was too wide: the street",
    ]  # fmt: skip


@pytest.mark.parametrize("arrays", [{}])
def test_translators_alone_are_not_drawn(arrays: dict[str, Any]) -> None:
    assert draw(Finding("refer", [], [], {}, arrays)) == {}
