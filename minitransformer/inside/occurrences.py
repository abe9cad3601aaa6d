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


def number_of_word(form: Masked, word: str) -> int:
    """The number of a word. ValueError where it is no single token, or none that is known."""
    numbers = form.source.encode(word)
    if len(numbers) != 1 or form.unknown(word):
        raise ValueError(f"{word!r} is no token of this model")
    return numbers[0]


def occurrences(model: Any, form: Masked, texts: Sequence[str], word: str) -> Array:
    """(L + 1, N, D): the vectors of a word where it first stands in each of N texts.

    Layer 0 is what the first one reads: the token, and where it stands. ValueError where a text is
    without the word.
    """
    number, pad = number_of_word(form, word), form.source.special.pad
    read = [form.read(text) for text in texts]
    for text, numbers in zip(texts, read, strict=True):
        if number not in numbers:
            raise ValueError(f"no {word!r} in {text!r}")
    found = []
    for start in range(0, len(read), BATCH_SIZE):
        rows = read[start : start + BATCH_SIZE]
        states = states_by_layer(model, pad_rows(rows, pad))
        places = [row.index(number) for row in rows]
        found.append(states[:, np.arange(len(rows)), places])
    return np.concatenate(found, axis=1)
