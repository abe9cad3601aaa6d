"""A new run that begins with the weights of another: fine-tuning, on data with other tokens too.

The other may be of the same kind, or an encoder that a classifier reads with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minitransformer.forms import Form
from minitransformer.interop.published import find, is_published, load_published, open_source
from minitransformer.models.bert import Bert, BertConfig, BertSettings
from minitransformer.recipe import Recipe, form_of, kept_of_model, open_model
from minitransformer.runs import Arrays, RunError, differences

READER = "reader."
"""How the names of an encoder's weights begin, in a model that is one and in a classifier."""


@dataclass(frozen=True)
class Lender:
    """A trained model that lends its weights.

    name: what it is called. task: what it has learned. form: that of its questions. settings: those
    of its model. tokens: the settings that say how texts are split. weights: by name.
    """

    name: str
    task: str
    form: Form
    settings: Any
    tokens: Mapping[str, Any]
    weights: Arrays

    def sizes_for(self, form: str) -> dict[str, Any]:
        """The settings of a model that it can lend to, for questions of a form.

        RunError where there is none: others answer the same questions, or read with its encoder.
        """
        kept = kept_of_model(self.settings)
        if form == self.form.name:
            return kept
        if form == "labels" and any(name.startswith(READER) for name in self.weights):
            return kept | {"model": "classifier", "encoder": self.settings.name}
        remedy = f"name a task that does, such as {self.task}"
        if form == "labels":
            remedy = (
                f"a {self.settings.name} has no encoder for a classifier; name a run that has one, "
                "as of `minigrad train masked`"
            )
        raise RunError(
            f"{self.name} answers {self.form.name}, and this task asks for {form}: {remedy}"
        )


def open_lender(path: str | os.PathLike[str]) -> Lender:
    """The model in a run folder, or a published one, to lend its weights.

    FileError where there is none, or none that can be used.
    """
    if is_published(path):
        return open_published(path)
    made, form, model = open_model(path)
    tokens = {name: x for name, x in made.flat().items() if name in ("tokens", "subwords")}
    return Lender(str(path), made.task.name, form, made.model, tokens, model.state_dict())


def open_published(path: str | os.PathLike[str]) -> Lender:
    """A published BERT, to lend its weights. FileError for any other model."""
    config = open_source(find(path)).configuration()
    if not isinstance(config, BertConfig):
        raise RunError(f"{path} goes on with texts, and has no encoder: name a run, or a BERT")
    model, form, _ = load_published(path)
    settings = BertSettings(
        d_model=config.d_model,
        layers=config.num_layers,
        heads=config.num_heads,
        d_ff=config.d_ff,
        norm=config.norm,
        activation=config.activation,
        positions=config.positions,
    )
    ours = settings.config(form.shape)
    if config.eps != ours.eps:  # which is no setting
        raise RunError(f"{path} has layer_norm_eps {config.eps}; what is supported is {ours.eps}")
    whole = "" if isinstance(model, Bert) else READER
    weights = {whole + name: x for name, x in model.state_dict().items()}
    return Lender(str(path), form.name, form, settings, {"tokens": form.source.kind}, weights)


def lent_settings(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What the run to begin with decides of the settings of one that has these `chosen`."""
    lender, task = open_lender(chosen["from_run"]), chosen.get("task")
    form = form_of(task) or lender.form.name
    own: Mapping[str, Any] = {}
    if task == lender.task:
        own = lender.tokens
    elif form == "labels":  # whose texts have the lender's tokens
        own = {"tokens": lender.form.tokenisers["source"].kind}
    return {**lender.sizes_for(form), **own}


def adopt(model: Any, recipe: Recipe, form: Form, path: str | os.PathLike[str]) -> str:
    """Give a new model the weights of the run in `path`; says in one line what could be used.

    A token or label that both runs know keeps its rows, a new one has its initial ones; likewise
    learned positions. A classifier takes an encoder alone. Raises RunError where there is no run,
    or where its model has other sizes, or answers questions from which nothing can be taken, or
    does not say whose its rows are and the two know other tokens.
    """
    lender = open_lender(path)
    changed = differences(lender.sizes_for(form.name), recipe.kept_of_model())
    if changed:
        raise RunError(f"{path} has another model ({'; '.join(changed)}): leave these settings out")
    before, after = tokens_by_side(lender.form), tokens_by_side(form)
    sides: Mapping[str, str] = getattr(model, "token_rows", {})
    if not sides and before != after:
        raise RunError(
            f"{path} knows other tokens, and {recipe.model.name} does not say which of its weights "
            "are theirs: give data with the same tokens"
        )
    state = model.state_dict()
    for name, x in lender.weights.items():
        if name not in state:  # the head of another kind of question
            continue
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
        known = {*lender.form.tokenisers[side].words}
        shared.append(f"{len({*new} & known)} of {len(new)} {side} tokens")
    return f"{path} knows {' and '.join(shared)}; any others begin at random"


def tokens_by_side(form: Form) -> dict[str, tuple[str, ...]]:
    """What the rows of weights stand for: tokens as they are called, or labels."""
    tokens = {side: tokeniser.tokens for side, tokeniser in form.tokenisers.items()}
    return {"target": form.choices, **tokens}
