"""Recipes: which settings make one, which are refused, and which a run keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minitransformer.models import MODELS
from minitransformer.models.transformer import TransformerSettings
from minitransformer.recipe import Recipe, merge, require_same, settings_of
from minitransformer.runs import Run, RunError
from minitransformer.settings import SettingError, Training
from minitransformer.tasks import TASKS
from minitransformer.tokens import TokenKind

SORT = {"task": "sort", "length": 5, "heads": 8, "steps": 100}
PAIRS = {"task": "pairs", "data": "a.tsv"}


def refused(settings: dict[str, Any]) -> str:
    """Why settings make no recipe."""
    with pytest.raises(SettingError) as error:
        Recipe.read(settings)
    return str(error.value)


def test_settings_go_to_the_task_the_model_and_the_training() -> None:
    recipe = Recipe.read(SORT)
    assert recipe.task == TASKS["sort"](length=5)
    assert recipe.model == TransformerSettings(heads=8)
    assert recipe.training == Training(steps=100)


def test_a_recipe_written_flat_is_read_again() -> None:
    for settings in (SORT, PAIRS):
        flat = Recipe.read(settings).flat()
        assert list(flat)[:2] == ["task", "model"]
        assert flat.items() >= settings.items()
        assert Recipe.read(flat) == Recipe.read(settings)


def test_a_model_or_a_task_may_have_other_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS["sort"], "defaults", {"length": 3, "steps": 7, "seed": 1})
    monkeypatch.setattr(MODELS["transformer"], "defaults", {"steps": 9})
    recipe = Recipe.read({"task": "sort", "seed": 2})
    assert (recipe.task.length, recipe.training.steps, recipe.training.seed) == (3, 9, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "guess"}, f"unknown task 'guess'; the tasks are {', '.join(TASKS)}"),
        ({"task": ["copy"]}, "task must be a text, not ['copy']"),
        ({"task": "copy", "model": 1}, "model must be a text, not 1"),
        ({"task": "copy", "model": "oracle"}, "unknown model 'oracle'; the models are transformer"),
        ({"task": "copy", "head": 2}, "no setting 'head'; there are task, model, "),
        ({"task": "copy", "vocab": 5.0}, "vocab must be a whole number, not 5.0"),
        ({"task": "copy", "norm": "middle"}, "norm is one of post, pre, not 'middle'"),
        ({"task": "copy", "d_model": 8, "heads": 3}, "heads must divide d_model 8, not 3"),
        ({"task": "copy", "steps": 0}, "steps must be at least 1, not 0"),
        ({"task": "copy", "length": 1}, "length must be at least 2, not 1"),
        ({"task": "pairs"}, "task pairs needs data, a file of pairs"),
        (
            {"task": "labels", "data": "a.tsv", "encoder": "classifier"},
            "encoder is one of transformer, rnn, gru, lstm, lstm-attention, bert, not 'classifier'",
        ),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], message: str) -> None:
    assert refused(settings).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"task": "copy", "data": "pairs.tsv"},
            r"data is a setting of pairs\b.*\blabels\b.*; task copy has none",
        ),
        (
            {"task": "copy", "tokens": "char"},
            r"tokens is a setting of pairs\b.*\blabels\b.*; task copy has none",
        ),
        (
            {**PAIRS, "length": 4},
            "length is a setting of copy, reverse and sort; task pairs has none",
        ),
    ],
)
def test_a_setting_that_the_task_would_ignore_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    assert re.fullmatch(message, refused(settings))
    assert Recipe.read(settings, lenient=True).task.name == settings["task"]


def test_a_setting_without_effect_may_have_its_default() -> None:
    assert Recipe.read({**PAIRS, "length": 10, "vocab": 10}) == Recipe.read(PAIRS)


@dataclass(frozen=True)
class Toy(Training):
    """A model that answers with labels alone."""

    name = "toy"
    answers = ("labels",)
    defaults: Any = None


def test_a_model_that_does_not_fit_the_task_is_refused_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minitransformer.recipe.MODELS", {**MODELS, "toy": Toy})
    assert refused({"task": "copy", "model": "toy"}).startswith(
        "model toy does not fit task copy: copy takes transformer"
    )
    assert "and toy learns labels" in refused({"task": "copy", "model": "toy"})


def test_what_a_run_keeps_for_good_decides_its_data_and_its_model() -> None:
    assert set(Recipe.read(SORT).kept()) == {
        "task", "model", "length", "vocab", "d_model", "heads", "layers", "d_ff", "norm",
        "activation", "positions", "from_run", "layer_decay", "seed",
    }  # fmt: skip
    assert set(Recipe.read(PAIRS).kept()) >= {"data", "columns", "tokens", "held_out"}
    assert set(Recipe.read(SORT).kept_of_model()) == {
        "model", "d_model", "heads", "layers", "d_ff", "norm", "activation", "positions",
    }  # fmt: skip


def test_what_was_made_with_other_settings_is_refused_by_those_that_a_run_keeps() -> None:
    asked = Recipe.read({**SORT, "steps": 7, "dropout": 0.5})
    require_same(SORT, asked, "it")
    with pytest.raises(RunError) as error:
        require_same({**SORT, "heads": 2, "seed": 3}, asked, "it")
    assert str(error.value) == (
        "it was made with other settings (heads: 2 in the run, 8 asked for; "
        "seed: 3 in the run, 0 asked for): leave them out, or train a new run"
    )


def test_the_recipe_of_a_run_is_in_its_folder(tmp_path: Path) -> None:
    recipe = Recipe.read(SORT)
    run = Run.create(tmp_path / "run", recipe.flat())
    assert Recipe.of_run(run) == Recipe.of_run(Run.open(run.path)) == recipe
    run.config["heads"] = 5
    with pytest.raises(RunError, match=r"config\.toml: heads must divide d_model 64, not 5"):
        Recipe.of_run(run)


def test_later_settings_come_in_the_place_of_earlier_ones() -> None:
    assert merge({"task": "sort", "steps": 1}, {"steps": 2}) == {
        "task": "sort", "steps": 2, "data": "",
    }  # fmt: skip


def test_a_file_alone_means_pairs_and_is_named_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tsv").touch()
    whole = str(tmp_path.resolve() / "a.tsv")
    assert merge({"data": "a.tsv"}) == {"data": whole, "task": "pairs"}
    assert merge({"task": "sort"}, {"data": "a.tsv"})["task"] == "pairs"
    assert merge({"task": "labels", "data": "a.tsv"}) == {"task": "labels", "data": whole}
    assert merge({"data": "missing.tsv"})["data"] == "missing.tsv"


def test_a_task_that_has_no_data_goes_without_that_of_an_earlier_layer() -> None:
    assert merge(PAIRS, {"task": "sort"}) == {"task": "sort", "data": ""}
    assert merge(PAIRS, {"task": "labels"})["data"] == "a.tsv"


def test_each_setting_is_told_once_with_those_who_have_it() -> None:
    tasks = {setting.name: setting for setting in settings_of(TASKS.values())}
    assert tasks["length"].owners == ("copy", "reverse", "sort")
    assert tasks["tokens"].owners[:2] == ("pairs", "labels")
    assert tasks["tokens"].choices == ("word", "char", "bpe", "wordpiece")
    assert (tasks["tokens"].kind, tasks["tokens"].default) == (TokenKind, "word")
    training = settings_of([Training])
    assert [setting.name for setting in training] == list(Training.__dataclass_fields__)
    assert {setting.owners for setting in training} == {()}


def test_of_another_model_it_is_said_that_it_is_another_and_not_each_setting_it_lacks() -> None:
    asked = Recipe.read({"task": "sort", "model": "lstm"})
    with pytest.raises(RunError) as error:
        require_same({"task": "sort"}, asked, "it")
    assert "(model: transformer in the run, lstm asked for; d_model: 64 in" in str(error.value)
    assert "heads" not in str(error.value) and "nothing" not in str(error.value)
