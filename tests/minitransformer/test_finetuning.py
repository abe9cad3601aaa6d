"""Fine-tuning: its defaults, and how it is held against training without what was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minitransformer import finetuning
from minitransformer.finetuning import (
    UNTRAINED,
    WAYS,
    Comparison,
    accuracy,
    compare,
    settings_of_way,
    without_reading,
)  # fmt: skip
from minitransformer.recipe import Recipe
from minitransformer.training import Trainer
from minitransformer.workflow import follow, start

SMALL: dict[str, Any] = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 12, "steps": 2}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Settings that name a run to begin with, lines to learn and lines to test on."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat and saw a dog\n" * 9)
    (tmp_path / "labels.tsv").write_text("cat\tanimal\nmat\tthing\ndog\tanimal\n")
    (tmp_path / "test.tsv").write_text(
        "a mat\tthing\nthe dog\tanimal\na dog\tanimal\na cat\tthing\n"
    )
    chosen = {**SMALL, "task": "masked", "data": str(tmp_path / "text.txt"), "context": 8}
    trainer, run = start(chosen, tmp_path / "masked")
    list(follow(trainer, run))
    files = {"data": str(tmp_path / "labels.tsv"), "test": str(tmp_path / "test.tsv")}
    return {**files, "from_run": str(tmp_path / "masked"), "steps": 3}


def test_what_is_given_goes_before_the_usual(given: dict[str, Any]) -> None:
    settings = settings_of_way("fine-tuned", given)
    assert (settings["task"], settings["steps"], settings["patience"]) == ("labels", 3, 0)
    assert settings_of_way("frozen", {})["layer_decay"] == 0
    assert settings_of_way("frozen", {"learning_rate": 1.0})["learning_rate"] == 1.0


def test_the_control_of_a_frozen_encoder_has_random_weights_that_stay(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Trainer] = []

    class Noted(Trainer):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)
            self.begun = self.model.reader.state_dict()

    monkeypatch.setattr(finetuning, "Trainer", Noted)
    share = accuracy(UNTRAINED, given, seed=3)
    (trainer,) = made
    assert share == trainer.last["accuracy"] and not trainer.borrowed
    for name, x in trainer.model.reader.state_dict().items():
        assert (x == trainer.begun[name]).all()


def test_each_way_is_trained_with_each_seed_and_with_its_own_rate(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Trainer] = []

    class Noted(Trainer):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)

    monkeypatch.setattr(finetuning, "Trainer", Noted)
    found = [*compare({**given, "seed": 5, "layer_decay": 0.5, "learning_rate": 1e-3}, seeds=2)]
    assert [x.way for x in found] == [*WAYS]
    assert [x.settings.seed for x in made] == [5, 6] * 3
    assert [x.settings.layer_decay for x in made] == [0.5, 0.5, 0.0, 0.0, 1.0, 1.0]
    assert [x.settings.learning_rate for x in made] == [1e-3, 1e-3, 1e-2, 1e-2, 2e-3, 2e-3]
    assert [bool(x.borrowed) for x in made] == [True] * 4 + [False] * 2
    assert all(x.step == 3 for x in made)
    accuracies = [x.last["accuracy"] for x in made]
    assert [x for each in found for x in each.accuracies] == accuracies


def test_the_first_of_a_comparison_is_the_run_itself(given: dict[str, Any], tmp_path: Path) -> None:
    trainer, run = start(settings_of_way("fine-tuned", given), tmp_path / "run")
    list(follow(trainer, run))
    assert next(compare(given, seeds=1)).accuracies == [trainer.last["accuracy"]]


def test_a_mean_is_that_of_all_seeds() -> None:
    assert Comparison("frozen", [0.5, 1.0]).mean == 0.75


def test_what_can_be_had_without_reading_the_texts(given: dict[str, Any]) -> None:
    names = ("data", "test", "steps")
    trainer = Trainer(Recipe.read({"task": "labels", **{name: given[name] for name in names}}))
    assert without_reading(trainer) == {"chance": 0.5, "always 'animal'": 0.5}
