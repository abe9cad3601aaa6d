"""Positions: what is compared, told and refused. The trainings have tests of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer.settings import SettingError
from minitransformer.studies import Finding, positions
from minitransformer.studies.order import Case, Outcome
from minitransformer.studies.positions import Positions


def made_up(learn: Any, cases: Sequence[Case], names: Sequence[str]) -> list[Outcome]:
    """Outcomes of trainings that nobody made: those of copying without positions are poor."""
    rng = np.random.default_rng(0)
    found = []
    for case in cases:
        poor = case.task == "copy" and case.positions == "none"
        vectors = (
            rng.normal(size=(2, case.length, 32)) if case.positions == "learned" else [None] * 2
        )
        found.append(Outcome(0.02 if poor else 0.9, 0.3, 0.95, float(poor), 0.0, 0.03, *vectors))
    return found


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Finding:
    monkeypatch.setattr(positions, "in_parallel", made_up)
    return Positions(sentence="we swam far", width=16, seeds=2).find()


def test_every_kind_of_position_is_compared_with_vectors_that_know_no_order(found: Finding) -> None:
    alike = found.numbers["similarity"]
    assert alike["sinusoidal"][1] > 0.9
    assert alike["one-hot"][1:] == [0.0] * 99
    assert abs(alike["drawn at random"][1]) < 0.1
    assert len(alike["learned, after"]) == 8
    assert found.numbers["off_when_fitted"]["sinusoidal"][0] < 0.05
    assert all(x["waves_off"] < 1e-12 for x in found.numbers["moved_on"])
    assert found.arrays["table"].shape == (3, 16)


def test_what_is_told_of_a_model_without_positions_is_what_was_measured(found: Finding) -> None:
    assert "Without positions 2.0 % of sequences are copied, with waves 90 %." in found.says[-2]
    assert "guesses their order is right in 3.0 %" in found.says[-2]
    (table,) = (x for x in found.tables if x.title.startswith("copy"))
    assert ("none", "2.0  2.0", "95", "100") in table.rows
    assert ("order guessed", "3.0", "100", "") in table.rows


def test_each_training_is_in_the_summary_with_its_seed(found: Finding) -> None:
    trainings = json.loads(json.dumps(found.numbers))["trainings"]
    assert [x["seed"] for x in trainings] == [1, 2] * 6
    assert {(x["task"], x["positions"]) for x in trainings} == {
        ("copy", "sinusoidal"), ("copy", "learned"), ("copy", "rotary"), ("copy", "none"),
        ("sort", "sinusoidal"), ("sort", "none"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 7}, "width must be even, for pairs of waves, not 7"),
        ({"sentence": " "}, "a sentence of 1 to 40 words is shown, not of 0"),
        ({"sentence": "a " * 41}, "a sentence of 1 to 40 words is shown, not of 41"),
    ],
)
def test_what_cannot_be_shown_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Positions(**settings)


def test_a_published_model_that_is_not_there_is_told_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(positions, "in_parallel", None)
    with pytest.raises(FileError):
        Positions(pretrained="no/such/model").find()
