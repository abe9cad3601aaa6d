"""Norms: trainings side by side, and gradients before them."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.mode import no_grad
from minitransformer.settings import SettingError
from minitransformer.studies import workers
from minitransformer.studies.norms import READ, Case, Norms, Outcome, results_table
from minitransformer.training import loss_of

TINY = Norms(depth=4, d_model=8, steps=3, warmup=2, seeds=2)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_step_along_the_gradient_changes_the_loss_by_its_norm(norm: str) -> None:
    recipe = TINY.recipe(Case(norm, TINY.depth, 1, 0))
    data, rng = recipe.task.load(0), np.random.default_rng(0)
    model = recipe.model.build(data.form.shape, rng)
    batch = data.form.batch(data.sample(rng, READ))
    model.astype(np.float64)
    loss_of(model, batch).backward()
    for place, expected in enumerate(TINY.gradient(norm, 0)):
        weight = model.reader.encoder.layers[place].feed_forward.outer.weight
        start, losses = weight.data, []
        for step in (1e-4, -1e-4):
            weight.data = start + step * weight.grad / np.linalg.norm(weight.grad)
            with no_grad():
                losses.append(float(loss_of(model, batch)))
        weight.data = start
        assert (losses[0] - losses[1]) / 2e-4 == pytest.approx(expected, rel=1e-3)


def test_each_kind_is_trained_with_each_seed_the_deepest_first() -> None:
    cases = TINY.cases()
    assert len({*cases}) == len(cases) == 2 * 2 * 2 * TINY.seeds  # half of four layers is two
    assert [case.layers for case in cases] == sorted((x.layers for x in cases), reverse=True)
    assert len(Norms(seeds=1).cases()) == 3 * 2 * 2


def test_a_finding_has_every_training_and_what_would_be_guessed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "CORES", 1)
    study = Norms(depth=4, d_model=8, steps=2, warmup=2, seeds=1)
    found = study.find()
    assert [Case(*(x[name] for name in Case._fields)) for x in found.numbers["trainings"]] == (
        study.cases()
    )
    assert all(len(x["losses"]) == study.steps for x in found.numbers["trainings"])
    assert found.arrays["pre"].shape == found.arrays["post"].shape == (1, 4)
    rows = found.tables[-1].rows
    assert rows[-1][0] == "always the most frequent word"
    assert rows[-1][2] == f"{found.numbers['always_the_most_frequent']:.1%}"


def test_a_training_without_bounds_is_told_and_not_hidden() -> None:
    case = Case("post", 2, 1, 0)
    wild = Norms(depth=4, d_model=8, steps=20, learning_rate=1e30, warmup=2, seeds=1)
    with np.errstate(all="ignore"):
        outcome = wild.train(case)
    assert outcome.loss is None and len(outcome.losses) < wild.steps
    table = results_table({case: outcome}, 0.2)
    assert table.rows[0] == ("post-norm, 2 layers, no warm-up", "none", "0.0%")


def test_what_is_said_follows_from_the_numbers() -> None:
    right = {("pre", 1): (0.6, 0.7), ("pre", 2): (0.6, 0.7), ("post", 1): (0.2, 0.4),
             ("post", 2): (0.5, 0.5)}  # fmt: skip
    outcomes = {
        Case(norm, 4, warmup, seed): Outcome([1.0], 1.0, share, 0.0)
        for (norm, warmup), shares in right.items()
        for seed, share in enumerate(shares)
    }
    gradients = {"pre": np.array([[0.2, 0.1]]), "post": np.array([[0.1, 0.3]])}
    gradient, four, stuck = TINY.says(outcomes, gradients, guessed=0.18)
    assert "is 3.0 times as large with post-norm" in gradient and "√4 = 2.0" in gradient
    assert "pre-norm fills 65 % of the gaps and post-norm 30 %; with warm-up" in four
    assert "post-norm fills 50 %. The most frequent word alone would fill 18 %." in four
    assert stuck.startswith("1 of 8 trainings") and "post-norm with 4 layers." in stuck


def test_settings_that_no_model_can_have_are_refused_before_anything_is_done() -> None:
    with pytest.raises(SettingError, match="d_model must be a multiple of 4, the number of heads"):
        Norms(d_model=30)
