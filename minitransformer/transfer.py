"""A new run that begins with the weights of another: fine-tuning, on data with other tokens too."""

from __future__ import annotations

import os
from dataclasses import asdict

from minitransformer.config import MODEL, TrainingConfig
from minitransformer.data import SPECIAL_TOKENS, Vocabulary
from minitransformer.models.transformer import Transformer
from minitransformer.runs import Run, RunError, differences

SIDES = {
    "source_embedding.tokens.weight": 0,
    "target_embedding.tokens.weight": 1,
    "projection.weight": 1,
    "projection.bias": 1,
}
"""The weights that have a row for each token, and whose tokens: the source's or the target's."""


def adopt(
    model: Transformer,
    config: TrainingConfig,
    vocabularies: tuple[Vocabulary, Vocabulary],
    path: str | os.PathLike[str],
) -> str:
    """Give a new model the weights of the run in `path`; says in one line what could be used.

    A token that both runs know keeps its rows, a new one keeps its initial ones; likewise learned
    positions. Raises RunError where there is no run, or where its model has other sizes.
    """
    run = Run.open(path)
    changed = differences(
        *({name: asdict(x)[name] for name in MODEL} for x in (run.settings(), config))
    )
    if changed:
        raise RunError(f"{path} has another model: {'; '.join(changed)}")
    weights, _, about = run.load()
    known = [
        Vocabulary.from_list(about[f"{side}_vocabulary"]).tokens for side in ("source", "target")
    ]
    state = model.state_dict()
    for name, x in weights.items():
        own = state[name]
        if name in SIDES:
            tokens, theirs = vocabularies[SIDES[name]].tokens, known[SIDES[name]]
            places = {token: i for i, token in enumerate(theirs)}
            for i, token in enumerate(tokens):
                if token in places:
                    own[i] = x[places[token]]
        else:
            rows = min(len(own), len(x))  # all of them, but for learned positions
            own[:rows] = x[:rows]
    model.load_state_dict(state)
    told = []
    for name, vocabulary, theirs in zip(("source", "target"), vocabularies, known, strict=True):
        new = vocabulary.tokens[len(SPECIAL_TOKENS) :]
        told.append(f"{len(set(new) & set(theirs))} of {len(new)} {name} tokens")
    return f"{path} knows {' and '.join(told)}; any others begin at random"
