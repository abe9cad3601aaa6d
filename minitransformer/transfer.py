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
"""The weights that have a row for each token, and whose tokens, whatever the model.

The rows of a projection stand for what is chosen from: target tokens, or labels.
"""


def adopt(model: Any, recipe: Recipe, form: Form, path: str | os.PathLike[str]) -> str:
    """Give a new model the weights of the run in `path`; says in one line what could be used.

    A token or label that both runs know keeps its rows, a new one has its initial ones; likewise
    learned positions. Raises RunError where there is no run, or where its model has other sizes, or
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
    known: Form = FORMS[form.name].restore(about)
    before, after = tokens_by_side(known), tokens_by_side(form)
    state = model.state_dict()
    for name, x in weights.items():
        own = state[name]
        if name in SIDES:
            places = {token: i for i, token in enumerate(before[SIDES[name]])}
            for i, token in enumerate(after[SIDES[name]]):
                if token in places:
                    own[i] = x[places[token]]
        else:
            rows = min(len(own), len(x))  # all of them, but for learned positions
            own[:rows] = x[:rows]
    model.load_state_dict(state)
    shared = []
    for side, vocabulary in form.vocabularies.items():
        new = vocabulary.words
        shared.append(
            f"{len({*new} & {*known.vocabularies[side].words})} of {len(new)} {side} tokens"
        )
    return f"{path} knows {' and '.join(shared)}; any others begin at random"


def tokens_by_side(form: Form) -> dict[str, tuple[str, ...]]:
    """What the rows of weights stand for."""
    source = form.vocabularies["source"].tokens
    return {"source": source, "target": form.choices}
