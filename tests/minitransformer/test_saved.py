"""A run of an earlier version, kept in saved/: it opens, answers, goes on, and shows its film."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from minitransformer.answering import Predictor
from minitransformer.inside.film import read_film
from minitransformer.models.transformer import Transformer, TransformerSettings
from minitransformer.recipe import Recipe
from minitransformer.runs import Run
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer
from minitransformer.workflow import finish, follow, resume

SAVED = Path(__file__).parent / "saved"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A copy of the run, to go on with."""
    shutil.copytree(SAVED, tmp_path / "run")
    return Run.open(tmp_path / "run")


def errors(folder: Path) -> list[list[str]]:
    lines = (folder / "errors.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines[1:]]


def test_it_is_of_a_version_that_named_no_model() -> None:
    """Or the tests below would show little."""
    config = Run.open(SAVED).config
    assert "model" not in config
    assert {"data", "columns", "tokens", "held_out"} <= config.keys()
    _, _, about = Run.open(SAVED).load()
    assert not {"token_kind", "strict"} & about.keys()


def test_its_settings_are_read() -> None:
    recipe = Recipe.of_run(Run.open(SAVED))
    assert recipe.task == TASKS["reverse"](length=4, vocab=5)
    assert recipe.model == TransformerSettings(d_model=8, heads=2, layers=1, d_ff=8)
    training = recipe.training
    assert (training.steps, training.batch_size, training.evaluate_every) == (20, 8, 10)


def test_it_answers_what_it_answered_then() -> None:
    predictor = Predictor(SAVED)
    wrong = errors(SAVED)
    assert len(wrong) == 76
    assert predictor.answer([source for source, _, _ in wrong]) == [answer for *_, answer in wrong]
    with pytest.raises(ValueError, match="unknown token '5'; this run knows 0 to 4"):
        predictor.form.read("5")


def test_it_is_trained_longer(run: Run) -> None:
    before = run.metrics()
    trainer = resume(run, {"steps": 30})
    assert trainer.step == 20
    records = list(follow(trainer, run, filmed=True))
    summary, _ = finish(trainer, run)
    assert [record["step"] for record in records] == [30]
    assert run.metrics() == [*before, *records]
    assert (summary["model"], summary["steps"]) == ("transformer", 30)
    assert Run.open(run.path).config["model"] == "transformer"
    assert Predictor(run.path).recipe.training.steps == 30
    film = read_film(run.path)
    assert [frame.step for frame in film.frames] == [0, 10, 20, 30]


def test_its_evaluation_comes_out_as_then(run: Run) -> None:
    """So the held-out examples, the batches and the answers are the same."""
    trainer = resume(run, {})
    found = trainer.evaluate()
    expected = json.loads((SAVED / "summary.json").read_text())
    assert found["held_out_loss"] == pytest.approx(expected["held_out_loss"], rel=1e-5)
    for name in ("exact_match", "token_accuracy", "training_token_accuracy"):
        assert found[name] == expected[name]


def test_a_run_of_its_settings_comes_out_as_it_did() -> None:
    run = Run.open(SAVED)
    records = list(Trainer(Recipe.of_run(run)).run())
    assert [record["step"] for record in records] == [10, 20]
    for record, before in zip(records, run.metrics(), strict=True):
        assert record.keys() == before.keys()
        for name in ("loss", "learning_rate", "held_out_loss"):
            assert record[name] == pytest.approx(before[name], rel=1e-5)


def test_its_film_is_read() -> None:
    film = read_film(SAVED)
    assert [frame.step for frame in film.frames] == [0, 10, 20]
    assert film.task == "reverse"
    assert film.target == film.source[::-1]
    assert film.read == ["<bos>", *film.target]
    first = film.frames[0].maps
    assert film.sides == {path: Transformer.sides(path) for path in first}
    for path, weights in first.items():
        queries, keys = film.tokens(path)
        assert weights.shape == (2, len(queries), len(keys))
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
