"""Sentences as something to be looked at: the steps of self-attention on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minigrad.tensor import Array
from minitransformer.answering import Predictor
from minitransformer.inside.by_hand import Step, without_parameters
from minitransformer.inside.heads_by_hand import with_parameters
from minitransformer.inside.sentences import (
    DRAWN,
    LEARNED,
    Sentence,
    drawn_reading,
    from_model,
    from_seed,
    read_weights,
)
from minitransformer.parts.attention import causal_mask
from minitransformer.settings import SettingError

MOST_HEADS = 4
"""Heads that are shown of a layer that has more, where nobody says which."""


def steps_of(
    texts: Sequence[str],
    predictor: Predictor | None = None,
    *,
    learned: bool = False,
    heads: int | None = None,
    head: Sequence[int] = (),
    causal: bool = False,
    weights: Sequence[str] = (),
    width: int | None = None,
    seed: int | None = None,
) -> list[Step]:
    """The steps of self-attention on texts: without parameters, and if asked for with them.

    predictor: of a run or a published model, whose own vectors and layer are then shown. head:
    which are shown, from 1 on. weights: for each text, as `read_weights` takes them. ValueError
    for what does not fit.
    """
    learned = learned or heads is not None or bool(head)
    if predictor is None:
        about = DRAWN
        sentences = from_seed(texts, width or 4, seed or 0)
        reading = drawn_reading(sentences, heads or 1, seed or 0, causal) if learned else None
    else:
        refuse_own(heads=heads, causal=causal or None, width=width, seed=seed)
        about = LEARNED.format(name=predictor.path)
        sentences, reading = from_model(predictor.model, predictor.form, texts)
        if reading is None and head:
            raise SettingError(
                f"{predictor.path} has no heads of queries, keys and values; leave out <head>"
            )
    given = None
    if weights:
        given = weights_for(sentences, weights)
        if causal and not learned:
            raise SettingError(
                "<weights> are given, so there is nothing to hide; leave out <causal>"
            )
    masks = [causal_mask(len(x.words)) for x in sentences] if causal else None
    steps = without_parameters(sentences, given, masks, about)
    if reading is not None:
        count = reading.attention.num_heads
        shown = [number - 1 for number in head] or [*range(min(count, MOST_HEADS))]
        steps += with_parameters(sentences, reading, shown)
    elif predictor is None:
        steps[-1] = replace(steps[-1], notes=["see what they do: --qkv"])
    return steps


def refuse_own(**chosen: object) -> None:
    """SettingError for what is chosen beside a model, which has it already."""
    for name, value in chosen.items():
        if value is not None:
            raise SettingError(f"a model has its own: leave out <{name}> beside <from_run>")


def weights_for(sentences: Sequence[Sentence], weights: Sequence[str]) -> list[Array]:
    """The weights that are given for each sentence, (N, N). SettingError for what is none."""
    if len(weights) != len(sentences):
        raise SettingError(
            f"<weights> is given once for each text, {len(sentences)} times, not {len(weights)}"
        )
    pairs = zip(weights, sentences, strict=True)
    return [read_weights(text, sentence.words) for text, sentence in pairs]
