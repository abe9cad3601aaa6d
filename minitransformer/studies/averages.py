"""Averages: what a layer norm and a batch norm take the mean of, on the same activations.

A layer norm brings each place of each sentence to mean 0 and variance 1 by itself (Ba, Kiros and
Hinton, "Layer Normalization", 2016); a batch norm each feature, over all places of all sentences of
a batch, padding too (Ioffe and Szegedy, "Batch Normalization", 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.mode import no_grad
from minigrad.ops.norms import batch_norm
from minigrad.tensor import Array, Tensor
from minitransformer.batch import pad_rows
from minitransformer.models.transformer import TransformerReader
from minitransformer.parts.attention import padding_mask
from minitransformer.parts.config import StackConfig
from minitransformer.tasks import english
from minitransformer.tokens.words import Words

SHOWN = "let's go !", "the small boy sleeps .", "look at the red house !"
"""The sentences of the picture."""

FEATURES, BATCH, MORE, BATCHES = 8, 16, 8, 200
"""Numbers of a place; sentences beside each other; places of padding added; batches after which the
running means of a batch norm are those of training."""


@dataclass(frozen=True)
class Activations:
    """What the first norm of a post-norm encoder reads: vectors that have attended to each other.

    x: (B, S, D). known: (B, S), False at padding. tokens: of each sentence.
    """

    x: Array
    known: Array
    tokens: list[list[str]]


class FirstLayer:
    """An encoder with random weights, up to its first norm."""

    def __init__(self, seed: int) -> None:
        self.sentences, _ = english.sentences(seed)
        self.tokeniser = Words.train(self.sentences)
        self.rng = np.random.default_rng(seed)
        longest = max(map(len, map(self.tokeniser.encode, self.sentences))) + MORE
        config = StackConfig(d_model=FEATURES, num_heads=2, d_ff=1, dropout=0, max_length=longest)
        self.reader = TransformerReader(config, len(self.tokeniser), 1, self.rng)

    def read(self, texts: tuple[str, ...] | list[str], more: int = 0) -> Activations:
        """The activations of sentences, with so many more places of padding than they need."""
        rows, pad = [self.tokeniser.encode(text) for text in texts], self.tokeniser.special.pad
        source = np.pad(pad_rows(rows, pad), ((0, 0), (0, more)), constant_values=pad)
        with no_grad():
            x = self.reader.embedding(source)
            attention = next(iter(self.reader.encoder.layers)).self_attention
            x = x + attention(x, x, padding_mask(source, pad))
        return Activations(x.data, source != pad, [self.tokeniser.spell(row) for row in rows])

    def draw(self) -> list[str]:
        """Other sentences."""
        places = self.rng.permutation(len(self.sentences))[:BATCH]
        return [self.sentences[place] for place in places]


def compare(seed: int) -> dict[str, tuple[float, ...]]:
    """What happens to the output for one sentence, though its own activations stay as they are.

    For each circumstance three numbers: with a layer norm, with a batch norm as in training, and
    with one in evaluation, which uses running means of batches seen in training. They say by how
    much the output changes at most; of a lone token, how large the output is at most.
    """
    first = FirstLayer(seed)
    evaluation = nn.BatchNorm(FEATURES)
    with no_grad():
        for _ in range(BATCHES):
            evaluation(first.read(first.draw()).x)
    norms = nn.LayerNorm(FEATURES), in_training, evaluation.eval()
    read = first.read(first.draw(), MORE)
    length, own = read.x.shape[1] - MORE, int(read.known[0].sum())
    alone, batch, padded, token = (
        [applied(norm, x)[0, :own] for norm in norms]
        for x in (read.x[:1, :own], read.x[:, :length], read.x, read.x[:1, :1])
    )
    return {
        f"beside {BATCH - 1} others, instead of alone": largest_changes(alone, batch),
        f"{MORE} more places of padding in the batch": largest_changes(batch, padded),
        "in evaluation, instead of in training": largest_changes(
            batch, [batch[0], batch[2], batch[2]]
        ),
        "a batch of one token: its largest output": tuple(float(abs(y).max()) for y in token),
    }


def in_training(x: Array) -> Any:
    """A batch norm by the batch itself. (`nn.BatchNorm` refuses to learn from a single row.)"""
    return batch_norm(x, None, None)


def applied(norm: Callable[[Array], Any], x: Array) -> Array:
    """What a norm makes of activations, as an array."""
    y = norm(x)
    return y.data if isinstance(y, Tensor) else y


def largest_changes(before: list[Array], after: list[Array]) -> tuple[float, ...]:
    """How far two outputs are apart at most, for each norm."""
    return tuple(float(abs(a - b).max()) for a, b in zip(before, after, strict=True))
