"""A new run that begins with the weights of another: fine-tuning, on data with other tokens too."""

from __future__ import annotations

import os
from typing import Any

from minitransformer.forms import FORMS, Form
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError, differences

SIDES = {
    "source_embedding.tokens.weight": "source",
    "source_embedding.weight": "source",
    "reader.embedding.tokens.weight": "source",
    "reader.embedding.weight": "source",
    "target_embedding.tokens.weight": "target",
    "target_embedding.weight": "target",
    "projection.weight": "target",
    "projection.bias": "target",
}
"""The weights that have a row for each token, and whose tokens, whatever the model."""


def adopt(model: Any, recipe: Recipe, form: Form, path: str | os.PathLike[str]) -> str:
    """Give a new model the weights of the run in `path`; says in one line what could be used.

    A token that both runs know keeps its rows, a new one keeps its initial ones; likewise learned
    positions. Raises RunError where there is no run, or where its model has other sizes, or
    answers other questions.
    """
    run = Run.open(path)
    made = Recipe.of_run(run)
    if made.task.form != form.name:
        raise RunError(f"{path} answers {made.task.form}, and this task asks for {form.name}")
    changed = differences(made.kept_of_model(), recipe.kept_of_model())
    if changed:
        raise RunError(f"{path} has another model ({'; '.join(changed)}): leave these settings out")
    weights, _, about = run.load()
    known = FORMS[form.name].restore(about).vocabularies
    state = model.state_dict()
    for name, x in weights.items():
        own = state[name]
        side = SIDES.get(name)
        if side in known:
            places = {token: i for i, token in enumerate(known[side].tokens)}
            for i, token in enumerate(form.vocabularies[side].tokens):
                if token in places:
                    own[i] = x[places[token]]
        elif own.shape[1:] == x.shape[1:]:
            rows = min(len(own), len(x))  # all of them, but for learned positions, or labels
            own[:rows] = x[:rows]
    model.load_state_dict(state)
    shared = []
    for side, vocabulary in form.vocabularies.items():
        new = vocabulary.words
        shared.append(f"{len({*new} & {*known[side].words})} of {len(new)} {side} tokens")
    return f"{path} knows {' and '.join(shared)}; any others begin at random"
