"""Trained: a model for a study to ask, and what it was before it had learned anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minitransformer.forms import Form
from minitransformer.progress import tell
from minitransformer.recipe import Recipe
from minitransformer.settings import SettingError
from minitransformer.training import Trainer


def train(settings: Mapping[str, Any]) -> Trainer:
    """A trainer that has finished: the weights of `minigrad train` with these settings.

    It is evaluated once, at the end. Nothing is written.
    """
    recipe = Recipe.read(settings)
    trainer = Trainer(Recipe.read({**settings, "evaluate_every": recipe.training.steps}))
    for _ in trainer.run():
        tell("training", trainer.step, trainer.settings.steps)
    return trainer


def require_grammar(run: str, recipe: Recipe) -> None:
    """SettingError for a run that has not learned the bundled grammar, and for one that began with
    another run: of that, other sentences may have been held out."""
    if recipe.task.name not in ("masked", "translate") or recipe.task.data:
        raise SettingError(
            f"{run} has not learned the bundled grammar: name a run of `minigrad train masked` "
            "(for what pronouns mean, with --pronouns 0.5) or of `minigrad train translate`"
        )
    if recipe.training.from_run:
        raise SettingError(
            f"{run} began with the weights of {recipe.training.from_run}, which may have learned "
            "the sentences that are held out here: name a run that began with none"
        )


def untrained(recipe: Recipe, form: Form, count: int) -> list[Any]:
    """Models that have learned nothing, each with weights of its own: the control of what a
    trained one knows. The first is what training with this recipe begins with."""
    seed = recipe.training.seed
    sources = [np.random.default_rng([seed, k] if k else seed) for k in range(count)]
    return [recipe.model.build(form.shape, rng) for rng in sources]
