"""Sentences as vectors, and the attention that reads them: from a seed, or from a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.tensor import Array, Tensor
from minitransformer.forms import Form
from minitransformer.inside.maps import attention_steps, recorded
from minitransformer.parts.attention import MultiHeadAttention, causal_mask
from minitransformer.settings import SettingError
from minitransformer.tokens.words import JOINER, chunks_of, pieces_of

MOST = 40
"""Words of a sentence: a table of more can be neither shown nor read."""

FEW = 16
"""Numbers of a vector up to which drawn ones have one decimal, to be reckoned with by hand."""

LENGTH = 2.0
"""The square of the length of a drawn vector, in the mean: its dot product with itself."""

OF_WORDS = (
    "The words' vectors again, called x from here on. The matrices that now come are drawn at "
    "random, as training begins with them; what it makes of them depends on the task."
)
OF_MODEL = (
    "The model's first layer of self-attention, {path}, reads no longer a word's vector alone: "
    "before it, a model may add a vector for the word's place, and bring all of them to one size."
)
DRAWN = (
    "The vectors here are drawn at random and mean nothing yet: watch how each number comes of "
    "those before it."
)
LEARNED = "The vectors here are those that {name} has learned."


class Sentence(NamedTuple):
    """The words of a sentence, or a model's tokens, and their vectors, (N, D)."""

    words: list[str]
    vectors: Array


@dataclass(frozen=True)
class Reading:
    """An attention layer, what it reads of each sentence, (N, D), and its mask, (N, N) or none.

    about: what these inputs are, in a sentence or two.
    """

    attention: MultiHeadAttention
    inputs: list[Array]
    masks: list[Array | None]
    about: str


def words_of(text: str) -> list[str]:
    """The words and marks of a sentence, in lower case. ValueError where there are none or many.

    >>> words_of("Server, can I have the check?")
    ['server', ',', 'can', 'i', 'have', 'the', 'check', '?']
    """
    pieces = [piece for chunk in chunks_of(text.lower()) for piece in pieces_of(chunk)]
    return require_few([piece.strip(JOINER) for piece in pieces], text)


def require_few(words: list[str], text: str) -> list[str]:
    """The words. ValueError where there are none, or more than can be shown."""
    if not words:
        raise ValueError("a sentence is empty")
    if len(words) > MOST:
        raise ValueError(f"{len(words)} words are more than the {MOST} that are shown: {text!r}")
    return words


def from_seed(texts: Sequence[str], width: int = 4, seed: int = 0) -> list[Sentence]:
    """Sentences whose words have drawn vectors.

    A word's vector depends on its letters, the width and the seed alone: it is the same in all
    sentences.

    >>> money, river = from_seed(["money bank grows", "river bank flows"])
    >>> bool((money.vectors[1] == river.vectors[1]).all())
    True
    """

    def vector(word: str) -> Array:
        rng = np.random.default_rng([seed, width, *word.encode()])
        return rng.normal(0, (LENGTH / width) ** 0.5, width).round(1 if width <= FEW else 3)

    sentences = map(words_of, texts)
    return [Sentence(words, np.array([vector(word) for word in words])) for words in sentences]


def drawn_reading(
    sentences: Sequence[Sentence], heads: int = 1, seed: int = 0, causal: bool = False
) -> Reading:
    """Attention with drawn matrices, of as many heads, on the words' vectors.

    SettingError where the heads do not divide the width.
    """
    width = sentences[0].vectors.shape[1]
    if width % heads:
        raise SettingError(f"<heads> must divide <width> {width}, not {heads}")
    rng = np.random.default_rng(seed)
    attention = MultiHeadAttention(width, heads, rng=rng, bias=False).astype(np.float64)
    for weight in attention.parameters():
        drawn = rng.normal(0, width**-0.5, weight.shape)
        weight.data[...] = drawn.round(1 if width <= FEW else 3)
    inputs = [sentence.vectors for sentence in sentences]
    masks = [causal_mask(len(x)) if causal else None for x in inputs]
    return Reading(attention, inputs, masks, OF_WORDS)


def from_model(
    model: Any, form: Form, texts: Sequence[str]
) -> tuple[list[Sentence], Reading | None]:
    """Sentences with the vectors that a model has for their tokens, and its first layer of
    self-attention with what it reads of them; of a model without one, none.

    ValueError for a text that the model cannot read, or with too many tokens.
    """
    table = next((x for _, x in model.named_modules() if isinstance(x, nn.Embedding)), None)
    if table is None:
        raise ValueError("this model has no vectors of words")
    sources = [form.read(text) for text in texts]
    sentences = []
    for source, text in zip(sources, texts, strict=True):
        words = require_few(form.tokenisers["source"].show(source), text)
        sentences.append(Sentence(words, table.weight.data[source].astype(np.float64)))
    modules = dict(model.named_modules())
    if not any(isinstance(x, MultiHeadAttention) for x in modules.values()):
        return sentences, None
    found = [first_attention(model, source) for source in sources]
    path = found[0][0]
    reading = Reading(
        modules[path],
        [inputs for _, inputs, _ in found],
        [mask for *_, mask in found],
        OF_MODEL.format(path=path),
    )
    return sentences, reading


def first_attention(model: Any, source: list[int]) -> tuple[str, Array, Array | None]:
    """Where the first layer of self-attention stands, what it reads, (N, D), and its mask."""
    read = getattr(model, "encode", model)  # an encoder-decoder need not write
    with recorded(model):
        path, (step,) = next(iter(attention_steps(read(np.array([source])), model).items()))
    mask = step.params["mask"]
    if mask is not None:
        mask = np.broadcast_to(mask, step.saved[0].shape)[0, 0]
    return path, before_projection(step.inputs[0])[0], mask


def before_projection(query: Tensor) -> Array:
    """(B, T, D): what queries have been made from."""
    while query.op is None or query.op.name != "linear":
        query = query.inputs[0]
    x: Array = query.inputs[0].data
    return x


def read_weights(text: str, words: Sequence[str]) -> Array:
    """Weights that somebody gives: a row for each word, rows divided by semicolons, (N, N).

    SettingError for what is no such table, or where a row does not sum to one.

    >>> read_weights("0.7 0.2 0.1; 0.2 0.6 0.2; 0 0.5 .5", ["money", "bank", "grows"])[0]
    array([0.7, 0.2, 0.1])
    """
    rows = [row.replace(",", " ").split() for row in text.strip().rstrip(";").split(";")]
    if len(rows) != len(words):
        needed = f"a sentence of {len(words)} words needs as many rows, with ; between them"
        raise SettingError(f"<weights>: {needed}, not {len(rows)}")
    table: list[list[float]] = []
    for place, row in enumerate(rows, 1):
        try:
            numbers = [float(x) for x in row]
        except ValueError:
            raise SettingError(f"<weights>: row {place} is not all numbers") from None
        if len(numbers) != len(words):
            raise SettingError(
                f"<weights>: row {place} needs a number for each of the {len(words)} words, not "
                f"{len(numbers)}"
            )
        if not (min(numbers) >= 0 and abs(sum(numbers) - 1) < 1e-6):
            raise SettingError(
                f"<weights>: row {place} sums to {sum(numbers):.4g}; weights are at least 0, and "
                "each row sums to one"
            )
        table.append(numbers)
    return np.array(table)
