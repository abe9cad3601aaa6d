"""What each layer would say, if the model ended there; and what the loss tells it to say more of.

Forward, the logit lens: nostalgebraist, "interpreting GPT: the logit lens" (2020). What a layer
leaves at a place goes through the model's last norm and projection, as the last layer's does.

Backward: Katz, Belinkov, Geva and Wolf, "Backward Lens: Projecting Language Model Gradients into
the Vocabulary Space" (2024). A step of what a layer leaves, against the gradient of the loss, would
change that guess: the tokens whose logits it raises most are those it should have said more of.

Nothing trains a layer but the last to be read out: guesses of the first ones mean little. And what
a layer is told to say is not what it knows: the answer comes with the loss, untrained or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.mode import outward
from minigrad.ops.neural import softmax
from minigrad.tensor import Array, Tensor, behind
from minigrad.transforms import jvp
from minitransformer.decoding import evaluating

MOST_LOGITS = 4e6
"""Logits that are computed at once, at most: some hundred megabytes."""

COUNT = 5
"""How many tokens a lens tells of at each place."""


@dataclass(frozen=True)
class Lens:
    """A model with L layers that end in a vocabulary, read out at T places after each of them.

    Layer 0 is what the first one reads, so the arrays begin with L + 1. guesses: the numbers of the
    likeliest tokens, likeliest first, (L + 1, T, N). probabilities: theirs. right: that of what is
    asked for, at the places where something is, (L + 1, P). raised, lowered: the
    tokens whose logits a step against the gradient would raise most and lower most, (L + 1, T, N).
    rises, falls: by how much, for a step as long as the gradient; the falls are below 0.
    """

    guesses: Array
    probabilities: Array
    right: Array
    raised: Array
    rises: Array
    lowered: Array
    falls: Array


def states_of(root: Tensor, model: Any) -> list[Tensor]:
    """What the first layer of a model's last stack reads, and what each leaves: L + 1 of (B, T, D).

    Nothing for a model that has no `last_stack`.
    """
    if not hasattr(model, "last_stack"):
        return []
    layers = {id(layer): number for number, layer in enumerate(model.last_stack.layers, 1)}
    states: dict[int, Tensor] = {}
    for node in behind(root):
        around = [layers[id(x.module)] for x in outward(node.scope) if id(x.module) in layers]
        if around:
            states[around[0]] = node  # the last that it computes is what it leaves
        elif not states.keys() - {0} and node.op is not None:
            states[0] = node
    return [states[number] for number in sorted(states)]


def read_lens(
    model: Any,
    states: Sequence[Array],
    gradients: Sequence[Array],
    places: Sequence[int],
    asked: Sequence[int],
) -> Lens:
    """The Lens of a model from each state, (1, T, D), and the gradient of the loss by it.

    places: where tokens are asked for; asked: their numbers.
    """
    x, step = np.concatenate(states), -np.concatenate(gradients)

    def read(layers: slice) -> list[Array]:
        logits, change = jvp(model.read_out, [x[layers]], [step[layers]])
        probabilities = softmax(logits)
        guesses, raised, lowered = map(largest, (probabilities, change, -change))
        return [
            guesses,
            np.take_along_axis(probabilities, guesses, -1),
            probabilities[:, places, asked],
            raised,
            np.take_along_axis(change, raised, -1),
            lowered,
            np.take_along_axis(change, lowered, -1),
        ]

    with evaluating(model), frozen(model):
        each = model.read_out(x[:1]).size
        at_once = max(1, int(MOST_LOGITS / each))
        found = [read(slice(at, at + at_once)) for at in range(0, len(x), at_once)]
    return Lens(*map(np.concatenate, zip(*found, strict=True)))


@contextmanager
def frozen(model: Any) -> Iterator[None]:
    """A block in which no gradient by the weights is computed."""
    trained = [x for x in model.parameters() if x.requires_grad]
    for x in trained:
        x.requires_grad = False
    try:
        yield
    finally:
        for x in trained:
            x.requires_grad = True


def largest(x: Array) -> Array:
    """Where the largest numbers along the last axis are, the largest first: (..., N)."""
    count = min(COUNT, x.shape[-1])
    few = np.argpartition(-x, count - 1, axis=-1)[..., :count]
    order = np.argsort(-np.take_along_axis(x, few, -1), axis=-1, kind="stable")
    found: Array = np.take_along_axis(few, order, -1)
    return found
