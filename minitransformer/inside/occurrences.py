"""Occurrences: the vector of a word where it stands in a text, after each layer that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.mode import outward
from minigrad.tensor import Array, behind
from minitransformer.batch import pad_rows
from minitransformer.forms import Masked
from minitransformer.inside.maps import recorded
from minitransformer.parts.blocks import Encoder

BATCH_SIZE = 64
"""Texts that are read at once."""


def states_by_layer(model: Any, *inputs: Array) -> Array:
    """(L + 1, B, S, D): what the first layer of a model's encoder reads, and what each leaves.

    ValueError for a model that reads without layers of attention.
    """
    encoder = next((x for _, x in model.named_modules() if isinstance(x, Encoder)), None)
    if encoder is None:
        raise ValueError("this model has no layers of attention that read a text")
    with recorded(model):
        result = model(*inputs)
    number_of = {id(layer): number for number, layer in enumerate(encoder.layers, 1)}
    states: dict[int, Array] = {}
    for node in behind(result):
        around = [number_of.get(id(scope.module), 0) for scope in outward(node.scope)]
        layer = max(around, default=0)
        # The last that a layer computes is what it leaves; the last before all layers, what is read
        if node.op is not None and (layer or not states.keys() - {0}):
            states[layer] = node.data
    return np.stack([states[number] for number in range(len(number_of) + 1)])


def numbers_of_word(form: Masked, word: str) -> list[int]:
    """The numbers of a word's tokens. ValueError where one of them is not known."""
    if form.unknown(word):
        raise ValueError(f"{word!r} is not known to this model")
    return form.source.encode(word)


def places_of(numbers: Sequence[int], word: Sequence[int]) -> list[int]:
    """Where a word's tokens first stand in a text; nothing if they do not.

    >>> places_of([2, 7, 8, 5, 3], [8, 5])
    [2, 3]
    """
    count = len(word)
    starts = (i for i in range(len(numbers)) if [*numbers[i : i + count]] == [*word])
    start = next(starts, None)
    return [] if start is None else [*range(start, start + count)]


def occurrences(model: Any, form: Masked, texts: Sequence[str], word: str) -> Array:
    """(L + 1, N, D): the vectors of a word where it first stands in each of N texts; the mean of
    those of its tokens, if it has several.

    Layer 0 is what the first one reads: the token, and where it stands. ValueError where a text is
    without the word.
    """
    tokens, pad = numbers_of_word(form, word), form.source.special.pad
    read = [form.read(text) for text in texts]
    places = [places_of(numbers, tokens) for numbers in read]
    for text, found in zip(texts, places, strict=True):
        if not found:
            raise ValueError(f"no {word!r} in {text!r}")
    vectors = []
    for start in range(0, len(read), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        states = states_by_layer(model, pad_rows(read[batch], pad))
        rows = np.arange(len(read[batch]))[:, None]
        vectors.append(states[:, rows, np.array(places[batch])].mean(axis=2))
    return np.concatenate(vectors, axis=1)
