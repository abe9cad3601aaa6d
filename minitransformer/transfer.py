"""A new run that begins with the weights of another: fine-tuning, on data with other tokens too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from minitransformer.forms import FORMS, Form
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError, differences


def adopt(model: Any, recipe: Recipe, form: Form, path: str | os.PathLike[str]) -> str:
    """Give a new model the weights of the run in `path`; says in one line what could be used.

    A token or label that both runs know keeps its rows, a new one has its initial ones; likewise
    learned positions. Raises RunError where there is no run, or where its model has other sizes, or
    answers other questions, or does not say whose its rows are and the two know other tokens.
    """
    run = Run.open(path)
    made = Recipe.of_run(run)
    require_form(made, form.name, path)
    changed = differences(made.kept_of_model(), recipe.kept_of_model())
    if changed:
        raise RunError(f"{path} has another model ({'; '.join(changed)}): leave these settings out")
    weights, _, about = run.load()
    known: Form = FORMS[form.name].restore(about)
    before, after = tokens_by_side(known), tokens_by_side(form)
    sides: Mapping[str, str] = getattr(model, "token_rows", {})
    if not sides and before != after:
        raise RunError(
            f"{path} knows other tokens, and {recipe.model.name} does not say which of its weights "
            "are theirs: give data with the same tokens"
        )
    state = model.state_dict()
    for name, x in weights.items():
        own = state[name]
        if name in sides:
            places = {token: i for i, token in enumerate(before[sides[name]])}
            for i, token in enumerate(after[sides[name]]):
                if token in places:
                    own[i] = x[places[token]]
        else:
            rows = min(len(own), len(x))  # all of them, but for learned positions
            own[:rows] = x[:rows]
    model.load_state_dict(state)
    shared = []
    for side, tokeniser in form.tokenisers.items():
        new = tokeniser.words
        shared.append(
            f"{len({*new} & {*known.tokenisers[side].words})} of {len(new)} {side} tokens"
        )
    return f"{path} knows {' and '.join(shared)}; any others begin at random"


def require_form(made: Recipe, form: str, path: str | os.PathLike[str]) -> None:
    """RunError where the run in a folder answers other questions than those of this form."""
    if made.task.form != form:
        raise RunError(
            f"{path} answers {made.task.form}, and this task asks for {form}: "
            f"name a task that does, such as {made.task.name}"
        )


def tokens_by_side(form: Form) -> dict[str, tuple[str, ...]]:
    """What the rows of weights stand for."""
    source = form.tokenisers["source"].tokens
    return {"source": source, "target": form.choices}
