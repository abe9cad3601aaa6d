"""What happens inside attention while a trained model answers one source, as plain arrays.

One forward and one backward pass of the answer's loss show each layer at work; then each head is
switched off in turn, to see what the model does without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt

import numpy as np

from minigrad.backward import expand, propagate, seed
from minigrad.mode import no_grad
from minigrad.ops.neural import cross_entropy, softmax
from minigrad.tensor import Array, Tensor
from minitransformer.data import BOS, EOS, Vocabulary
from minitransformer.decoding import greedy
from minitransformer.models.transformer import Transformer, attention_steps, evaluating, recorded
from minitransformer.parts.attention import MultiHeadAttention


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a source: its own answer, and its loss on the inspected target."""

    answer: list[str]
    loss: float


@dataclass(frozen=True)
class Layer:
    """An attention layer at work: H heads, T queries, S keys, and K numbers in each vector.

    path: where it stands in the model, such as "decoder.layers.0.cross_attention".
    queries, keys: the tokens along both sides. query: (H, T, K). key, value: (H, S, K).
    scores: query · keyᵀ / √K, before the mask, (H, T, S). mask: boolean, True = may attend,
    (T, S). weights: their softmax, (H, T, S). gradient: ∂loss/∂weight, (H, T, S). result: weights ·
    value, (H, T, K). part: what each head adds to the layer's output, its result times its columns
    of W_O, (H, T, D); all of them and a bias are that output.
    without: what becomes of the answer and the loss with one head switched off, for each head.
    """

    path: str
    queries: list[str]
    keys: list[str]
    query: Array
    key: Array
    value: Array
    scores: Array
    mask: Array
    weights: Array
    gradient: Array
    result: Array
    part: Array
    without: list[Outcome]


@dataclass(frozen=True)
class Inspection:
    """A model reading `source`, the decoder reading `read`, and what it should have said.

    source: tokens. read: <bos> and all of the target but its last token; target: the tokens that
    the loss asks for, each one place on. vocabulary: the target's. probabilities: of each of its
    tokens, given what is read up to a place, (T, V). normal: the answer and the loss of the whole
    model.
    """

    source: list[str]
    read: list[str]
    target: list[str]
    vocabulary: tuple[str, ...]
    probabilities: Array
    normal: Outcome
    layers: list[Layer]


def inspect(
    model: Transformer,
    source: Sequence[int],
    vocabularies: tuple[Vocabulary, Vocabulary],
    target: Sequence[int] | None = None,
    max_length: int | None = None,
) -> Inspection:
    """Every attention layer of `model` while it answers `source`, without changing the model.

    source, target: token numbers without BOS, EOS and padding. The loss is training's: the mean
    cross-entropy of the target (with nothing smoothed); of the model's own greedy answer where
    none is given. vocabularies: the source's and the target's. max_length: the most tokens that an
    answer may have, EOS included (default: as many as the model has positions for). ValueError
    for a target that is longer.
    """
    longest = min(max_length or model.config.max_length, model.config.max_length)
    if target is not None and len(target) >= longest:
        raise ValueError(f"a target of {len(target)} tokens and its end are more than {longest}")
    if target is None:
        target = greedy(model, [source], longest)[0]
    # An answer that has no end, because there was no room, is asked for as it is.
    read, expected = [BOS, *target][:longest], [*target, EOS][:longest]

    def spelled(tokens: Sequence[int]) -> list[str]:
        return [vocabularies[1].tokens[i] for i in tokens]

    def loss(logits: Tensor) -> Tensor:
        return cross_entropy(logits, np.array([expected]))

    def outcome() -> Outcome:
        with no_grad(), evaluating(model):
            answer = greedy(model, [source], longest)[0]
            return Outcome(spelled(answer), loss(model([source], [read])).item())

    asked, spoken = [vocabularies[0].tokens[i] for i in source], spelled(read)
    with recorded(model):
        logits = model([source], [read])
        root = loss(logits)
    steps = attention_steps(root, model)
    gradients = gradients_of(root, list(steps.values()))
    modules = dict(model.named_modules())
    layers = []
    for path, step in steps.items():
        attention = modules[path]
        assert isinstance(attention, MultiHeadAttention)
        query, key, value = (x.data[0] for x in step.inputs)
        weights, result = step.saved[0][0], step.data[0]
        queries = asked if path.startswith("encoder") else spoken
        layers.append(
            Layer(
                path,
                queries,
                keys=asked if path.endswith("cross_attention") else queries,
                query=query,
                key=key,
                value=value,
                scores=query @ key.swapaxes(-1, -2) / sqrt(query.shape[-1]),
                mask=np.broadcast_to(step.params["mask"], (1, *weights.shape))[0, 0],
                weights=weights,
                gradient=gradient_by_weights(step, gradients[step.order])[0],
                result=result,
                part=result @ output_of_heads(attention),
                without=outcomes_without_heads(attention, outcome),
            )
        )
    return Inspection(
        asked,
        spoken,
        spelled(expected),
        vocabulary=vocabularies[1].tokens,
        probabilities=softmax(logits.data[0]),
        normal=outcome(),
        layers=layers,
    )


def gradients_of(root: Tensor, steps: list[Tensor]) -> dict[int, Array]:
    """The gradient of `root` by each of the results of `steps`, by their `order`."""
    for step in steps:
        step.keeps_grad = True
    return {x.order: g for x, g in propagate(root, seed(root))}


def gradient_by_weights(step: Tensor, g: Array) -> Array:
    """∂loss/∂weights of an attention op, where `g` is the loss's gradient by the op's result.

    The fused op has weights that nothing differentiates by; its definition, run on the same
    inputs, multiplies them with the values in its last step.
    """
    result = expand(step)
    weights = result.inputs[0]
    ((_, gradient),) = propagate(result, g, stop=[weights])
    return gradient


def output_of_heads(attention: MultiHeadAttention) -> Array:
    """(H, K, D): the part of W_O, transposed, that each head's result is multiplied with."""
    weight = attention.output.weight.data
    return weight.T.reshape(attention.num_heads, -1, len(weight))


def outcomes_without_heads(
    attention: MultiHeadAttention, outcome: Callable[[], Outcome]
) -> list[Outcome]:
    """The outcome with each of a layer's heads switched off, one at a time."""
    found = []
    for head in range(attention.num_heads):
        with head_off(attention, head):
            found.append(outcome())
    return found


@contextmanager
def head_off(attention: MultiHeadAttention, head: int) -> Iterator[None]:
    """A block in which what one head finds reaches nobody: its columns of `output.weight` are 0."""
    weight = attention.output.weight.data
    width = weight.shape[1] // attention.num_heads
    columns = weight[:, head * width : (head + 1) * width]
    before = columns.copy()
    columns[:] = 0
    try:
        yield
    finally:
        columns[:] = before
