"""What happens inside attention while a trained model answers one source, as plain arrays.

One forward and one backward pass of the answer's loss show each layer at work; then each head is
switched off in turn, to see what the model does without it, unless the model is too large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.backward import expand, propagate, seed
from minigrad.mode import no_grad
from minigrad.nn import count_parameters
from minigrad.ops.neural import cross_entropy, softmax
from minigrad.tensor import Array, Tensor
from minitransformer.batch import IGNORE
from minitransformer.decoding import evaluating
from minitransformer.forms import Form
from minitransformer.inside.lenses import Lens, read_lens, states_of
from minitransformer.inside.maps import (
    attention_steps,
    by_heads,
    information,
    mask_of,
    recorded,
    weights_of,
)
from minitransformer.inside.parts import Parts, parts_of
from minitransformer.parts.attention import AdditiveAttention

MOST_WORK = 5e10
"""Products of a number and a weight, at most, for all passes with a head off: some seconds."""

MOST_READ = 2e10
"""Products of a number and a weight, at most, for reading all layers out once: some seconds."""

MOST_PARTS = 300_000
"""Numbers, about, in all parts of queries and keys, at most: a megabyte and a half of a page."""


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a source: its own answer, and its loss on the inspected target.

    Of a text, and of gaps, the answer is the likeliest token at each place that is asked for.
    """

    answer: list[str]
    loss: float


@dataclass(frozen=True)
class Layer:
    """An attention layer at work: H heads, T queries, S keys, and K numbers in each vector.

    path: where it stands in the model, such as "decoder.layers.0.cross_attention".
    sides: what the model calls its queries' tokens and its keys': "source", "target" or "text".
    queries, keys: the tokens along both sides. query: (H, T, K). key, value: (H, S, K), a shared
    one as often as it is shared.
    scores: query · keyᵀ / √K, or as `v` says, before the mask, (H, T, S). mask: boolean,
    True = may attend, (T, S). weights: their softmax, (H, T, S). gradient: ∂loss/∂weight,
    (H, T, S). result: weights · value, (H, T, K). part: what each head adds to the layer's output,
    its result times its columns of W_O, (H, T, D); all of them and a bias are that output.
    v: of additive attention, whose scores are v · tanh(query + key), (K,).
    without: what becomes of the answer and the loss with one head switched off, for each head; or
    nothing, where that would take too long. split: the heads, from 0, for which there are
    query_parts and key_parts: their queries and keys as sums, each part (len(split), T or S, K).
    """

    path: str
    sides: tuple[str, str]
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
    split: list[int] = field(default_factory=list)
    query_parts: Parts = field(default_factory=dict)
    key_parts: Parts = field(default_factory=dict)
    v: Array | None = None


@dataclass(frozen=True)
class Inspection:
    """A model reading `source`, a decoder reading `read`, and what it should have said.

    form: the kind of question, of FORMS. source: tokens. read: <bos> and all of the target but its
    last token, or nothing where no decoder reads. vocabulary: what there is to choose from. asked:
    the numbers of what the loss asks for, tokens or the label. places: where it asks for each,
    among the tokens that are read; none of a label. probabilities: of all the vocabulary at each
    of these places, (T, V). normal: the answer and the loss of the whole model.
    lens: what each layer of those that end in the vocabulary would say, if they do, and if it would
    not take long; its places are those of what a decoder reads, or else of the source.
    """

    form: str
    source: list[str]
    read: list[str]
    vocabulary: tuple[str, ...]
    asked: list[int]
    places: list[int]
    probabilities: Array
    normal: Outcome
    layers: list[Layer]
    lens: Lens | None = None

    @property
    def target(self) -> list[str]:
        """What the loss asks for."""
        return [self.vocabulary[number] for number in self.asked]


def inspect(model: Any, form: Form, source: Sequence[int], target: Any | None = None) -> Inspection:
    """Every attention layer of `model` while it answers `source`, without changing the model.

    source: token numbers without padding. target: the answer that the loss asks for, as the form
    has it; the model's own answer where none is given. The loss is training's, with nothing
    smoothed. ValueError for a model without attention.
    """
    if target is None:
        target = form.answer(model, [source])[0]
    example = ([*source], target)
    batch, sides = form.batch([example]), form.sides(example)
    labels = batch.labels.ravel()
    places = np.flatnonzero(labels != IGNORE)

    def loss(logits: Tensor) -> Tensor:
        return cross_entropy(logits, batch.labels, ignore_index=IGNORE)

    def outcome() -> Outcome:
        with no_grad(), evaluating(model):
            logits = model(*batch.inputs)
        if "target" in sides:  # a decoder writes an answer of its own
            answer = form.spell(form.answer(model, [source])[0])
        else:
            best = logits.data.reshape(len(labels), -1)[places].argmax(-1)
            answer = [form.choices[number] for number in best]
        return Outcome(answer, loss(logits).item())

    with recorded(model):
        logits = model(*batch.inputs)
        root = loss(logits)
    found = attention_steps(root, model)
    if not found:
        raise ValueError(
            "this model has no attention to show; `minigrad explain` shows each of its steps"
        )
    states = states_of(root, model)
    gradients = gradients_of(root, [x for steps in (*found.values(), states) for x in steps])
    modules = dict(model.named_modules())
    heads = sum(modules[path].num_heads for path in found)
    is_small = heads * count_parameters(model) * len(source) <= MOST_WORK
    parts = sums_of_parts(found, modules, model)
    asked = labels[places].tolist()

    def layer(path: str) -> Layer:
        queries, keys = model.sides(path)
        return Layer(
            path,
            (queries, keys),
            queries=sides[queries],
            keys=sides[keys],
            without=outcomes_without_heads(modules[path], outcome) if is_small else [],
            **arrays_of(found[path], gradients, modules[path]),
            **parts.get(path, {}),
        )

    return Inspection(
        form=form.name,
        source=next(iter(sides.values())),
        read=sides.get("target", []),
        vocabulary=form.choices,
        asked=asked,
        places=places.tolist() if batch.labels.ndim > 1 else [],
        probabilities=softmax(logits.data.reshape(len(labels), -1)[places]),
        normal=outcome(),
        layers=[layer(path) for path in found],
        lens=lens_of(model, states, gradients, logits, places.tolist(), asked),
    )


def lens_of(
    model: Any,
    states: Sequence[Tensor],
    gradients: Mapping[int, Array],
    logits: Tensor,
    places: list[int],
    asked: list[int],
) -> Lens | None:
    """What each layer would say, if they end in the vocabulary and it would not take long."""
    if not states or len(states) * states[0].size * logits.shape[-1] > MOST_READ:
        return None
    arrays = [x.data for x in states], [gradients[x.order] for x in states]
    return read_lens(model, *arrays, places, asked)


def arrays_of(steps: list[Tensor], gradients: dict[int, Array], attention: Any) -> dict[str, Any]:
    """The arrays of a Layer: of several steps, one query after the other."""
    key, value = (for_each_head(x.data, attention) for x in steps[0].inputs[1:3])

    def along_queries(arrays: list[Array]) -> Array:
        return np.concatenate([by_heads(x)[0] for x in arrays], axis=1)

    result = along_queries([step.data for step in steps])
    return {
        "query": along_queries([step.inputs[0].data for step in steps]),
        "key": key,
        "value": value,
        "scores": along_queries([attention.scores(step) for step in steps]),
        "mask": mask_of(steps),
        "weights": weights_of(steps)[0],
        "gradient": along_queries(
            [gradient_by_weights(step, gradients[step.order]) for step in steps]
        ),
        "result": result,
        "v": attention.v.data if isinstance(attention, AdditiveAttention) else None,
        "part": attention.parts(result),
    }


def for_each_head(x: Array, attention: Any) -> Array:
    """(H, S, K) of the first example's keys or values: one that heads share, for each of them."""
    x = by_heads(x)[0]
    return np.repeat(x, attention.num_heads // len(x), axis=0)


def sums_of_parts(
    found: dict[str, list[Tensor]], modules: dict[str, Any], model: Any
) -> dict[str, dict[str, Any]]:
    """Queries and keys as sums of parts, by the layer's path, of the heads for which there is room.

    First come those whose keys depend most on the query.
    """
    chosen = heads_to_split({path: x[0] for path, x in found.items()}, modules)
    sums = parts_of([x for path in chosen for x in found[path][0].inputs[:2]], model)

    def of_heads(parts: Parts, path: str) -> Parts:
        return {part: for_each_head(x, modules[path])[chosen[path]] for part, x in parts.items()}

    return {
        path: {
            "split": chosen[path],
            "query_parts": of_heads(query, path),
            "key_parts": of_heads(key, path),
        }
        for path, query, key in zip(chosen, sums[::2], sums[1::2], strict=True)
    }


def heads_to_split(steps: dict[str, Tensor], modules: dict[str, Any]) -> dict[str, list[int]]:
    """The heads, from 0, of each layer whose scores are products, as many as there is room for.

    The parts of a head's queries and keys are its layer's: one for each head before, and some more.
    """
    merits: list[tuple[float, str, int, int]] = []
    before = 0
    for path, step in steps.items():
        if isinstance(modules[path], AdditiveAttention):
            continue
        query, key = (by_heads(x.data)[0, 0] for x in step.inputs[:2])
        numbers = (before + 4) * (query.size + key.size)
        values = information(weights_of([step])[0])
        merits += [(float(value), path, head, numbers) for head, value in enumerate(values)]
        before += modules[path].num_heads
    chosen: dict[str, list[int]] = {}
    room = MOST_PARTS
    for _, path, head, numbers in sorted(merits, key=lambda merit: -merit[0]):
        if numbers <= room:
            chosen.setdefault(path, []).append(head)
            room -= numbers
    return {path: sorted(chosen[path]) for path in steps if path in chosen}


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


def outcomes_without_heads(attention: Any, outcome: Callable[[], Outcome]) -> list[Outcome]:
    """The outcome with each of a layer's heads switched off, one at a time."""
    found = []
    for head in range(attention.num_heads):
        with attention.head_off(head):
            found.append(outcome())
    return found
