"""Self-attention step by step, every number of it as plain data: what `minigrad attend` shows.

All numbers come from the engine's own ops and modules. Beside them the same is reckoned word by
word, as one would do it by hand, and the two are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import exp, sqrt
from typing import Any, NamedTuple

import numpy as np

from minigrad.ops.attention import scaled_dot_product_attention
from minigrad.ops.neural import softmax
from minigrad.tensor import Array, Tensor
from minitransformer.inside.sentences import Sentence

LARGE = 60.0
"""Scores beyond which exp is taken of what is left when a row's largest is taken away."""

ORDER = (
    "The order of the words plays no part: however one shuffles them, each gets the same new "
    "vector."
)
LIMIT = (
    "Nothing here has been learned for a task: whatever one wants to know of a sentence, the "
    "weights are the same, and of an idiom such as “piece of cake” or “break a leg” all that comes "
    "out is a mixture of what its words mean one by one. So let there be something to learn: three "
    "matrices that make of each word a query, a key and a value."
)


@dataclass(frozen=True)
class Matrix:
    """A table of numbers with words at its sides, and how each of them comes about.

    key: by which other matrices name it. values: (R, C). rows, columns: what stands at the sides;
    None for the numbers of vectors, from 1 on. how: one of HOW, from the matrices named in `of`.
    bias: added to each row of a product, (C,). by: further numbers that `how` needs. sentence,
    head: of which of them it is, from 0 on.
    """

    key: str
    name: str
    values: Array
    rows: Sequence[str] | None
    columns: Sequence[str] | None
    how: str = "given"
    of: tuple[str, ...] = ()
    bias: Array | None = None
    by: Any = None
    sentence: int | None = None
    head: int | None = None


HOW = {
    "given": "it is given",
    "dots": "a row of the first times a row of the second, number by number, added up",
    "product": "a row of the first times a column of the second, number by number, added up",
    "turned": "a pair of numbers turned by an angle that grows with the place",
    "scaled": "divided by √K, which is `by`",
    "masked": "as it was, or −∞ where a word may not look",
    "powers": "exp of it, or of what is left when `by` is taken away; then the sum of the row",
    "shares": "divided by the last number of its row",
    "joined": "copied from the head that it belongs to: of them all in a row",
    "same": "the same again, reckoned in another way, which the first one is compared with",
    "cosine": "the product of two vectors divided by both lengths: these three are `by`",
}
"""How a number of a matrix can come about."""


@dataclass(frozen=True)
class Step:
    """A step of the way: a plain sentence, a formula, and the matrices that it makes.

    part: to which of the two parts it belongs. notes: lines that follow from its numbers.
    """

    part: str
    title: str
    sentence: str
    formula: str
    matrices: list[Matrix] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


PLAIN, LEARNED = "without parameters", "with queries, keys and values"


class Head(NamedTuple):
    """One head of attention at work on one sentence: vectors, and where they may look."""

    query: Array
    key: Array
    value: Array
    mask: Array | None


def matrix_of(steps: Sequence[Step], key: str) -> Matrix:
    """The matrix of this key."""
    return next(x for step in steps for x in step.matrices if x.key == key)


# Without parameters.


def without_parameters(
    sentences: Sequence[Sentence],
    weights: Sequence[Array] | None = None,
    masks: Sequence[Array | None] | None = None,
    about: str = "",
) -> list[Step]:
    """Attention by dot products of the words' own vectors: yₙ = Σₘ wₙₘ vₘ.

    weights: given for each sentence, (N, N), in the place of those from dot products. masks:
    boolean, (N, N), True = may look. about: where the vectors come from, in a sentence.

    >>> from minitransformer.inside.sentences import from_seed
    >>> steps = without_parameters(from_seed(["money bank grows"]))
    >>> [step.title for step in steps][:3]
    ['A vector for each word', 'Dot products', 'Exponentials']
    """
    masks = masks or [None] * len(sentences)
    steps = [
        Step(
            PLAIN,
            "A vector for each word",
            "Each word becomes a row of numbers, its vector: the same word has the same row, "
            "whatever stands around it. What follows makes of it one that depends on its "
            f"neighbours. {about}".rstrip(),
            "vₙ",
            [
                Matrix(f"V{i}", "V", vectors, words, None, sentence=i)
                for i, (words, vectors) in enumerate(sentences)
            ],
        )
    ]
    if weights is None:
        steps += from_dots(sentences, masks)
    else:
        steps.append(as_given(sentences, weights))
    steps.append(mixing(sentences, steps[-1].matrices))
    new = steps[-1].matrices
    steps.append(all_at_once(sentences, weights, masks, new))
    steps += comparison(PLAIN, sentences, new)
    is_unordered = weights is None and all(mask is None for mask in masks)
    limit = f"{ORDER} {LIMIT}" if is_unordered else LIMIT
    return [*steps, Step(PLAIN, "What it cannot know", limit, "")]


def from_dots(sentences: Sequence[Sentence], masks: Sequence[Array | None]) -> Iterator[Step]:
    """The steps from the words' vectors to weights, by their dot products."""
    dots = [as_array(Tensor(x) @ Tensor(x).swapaxes(0, 1)) for _, x in sentences]
    scores = [
        Matrix(f"S{i}", "S", dots[i], words, words, "dots", (f"V{i}", f"V{i}"), sentence=i)
        for i, (words, _) in enumerate(sentences)
    ]
    yield Step(
        PLAIN,
        "Dot products",
        "How much do two words have to do with each other? Multiply their vectors number by "
        "number and add up: each word meets each, itself too.",
        "sₙₘ = vₙ · vₘ",
        scores,
    )
    yield from weighing(PLAIN, scores, masks)


def as_given(sentences: Sequence[Sentence], weights: Sequence[Array]) -> Step:
    """The step that shows weights which somebody has given."""
    return Step(
        PLAIN,
        "Weights, as given",
        "Each row says how much of each word goes into the new vector, and sums to one.",
        "wₙₘ",
        [
            Matrix(f"W{i}", "W", given, words, words, sentence=i)
            for i, ((words, _), given) in enumerate(zip(sentences, weights, strict=True))
        ],
    )


def mixing(sentences: Sequence[Sentence], weights: Sequence[Matrix]) -> Step:
    """The step from weights to new vectors."""
    return Step(
        PLAIN,
        "New vectors",
        "Each word's new vector is a mixture: of every word's vector as much as its weight says.",
        "yₙ = Σₘ wₙₘ vₘ",
        [
            Matrix(
                f"Y{i}", "Y", as_array(Tensor(w.values) @ Tensor(sentences[i].vectors)), w.rows,
                None, "product", (w.key, f"V{i}"), sentence=i,
            )
            for i, w in enumerate(weights)
        ],
        [mixture(w, row) for w in weights for row in range(len(w.values))],
    )  # fmt: skip


def mixture(weights: Matrix, row: int) -> str:
    """A new vector as a sum of words: "bank′ = 0.2 money + 0.6 bank + 0.2 grows"."""
    words = weights.rows or []
    told = [
        (f"{w:.2f}".rstrip("0").rstrip("."), word)
        for w, word in zip(weights.values[row], words, strict=True)
    ]
    return f"{words[row]}′ = {' + '.join(f'{w} {word}' for w, word in told if w != '0')}"


def all_at_once(
    sentences: Sequence[Sentence],
    weights: Sequence[Array] | None,
    masks: Sequence[Array | None],
    new: Sequence[Matrix],
) -> Step:
    """The step that reckons all words by one matrix equation, and each of them word by word."""
    vectors = [x for _, x in sentences]
    if weights is not None:
        single = [mixed(w.tolist(), x.tolist()) for w, x in zip(weights, vectors, strict=True)]
        return equal(PLAIN, "Y = W V", single, [x.values for x in new], new)
    heads = [Head(x, x, x, mask) for x, mask in zip(vectors, masks, strict=True)]
    whole = [
        as_array(scaled_dot_product_attention(Tensor(x * sqrt(x.shape[1])), x, x, mask=mask))
        for x, _, _, mask in heads
    ]
    single = [word_by_word(head, 1.0) for head in heads]
    return equal(PLAIN, "Y = softmax(V Vᵀ) V", single, whole, new)


def equal(
    part: str, formula: str, single: Sequence[Array], whole: Sequence[Array], new: Sequence[Matrix]
) -> Step:
    """The step that compares one matrix equation with what is reckoned word by word."""
    error = max(float(np.abs(a - b).max()) for a, b in zip(whole, single, strict=True))
    told = f"they agree to {error:.0e}" if error else "they agree to the last bit"
    return Step(
        part,
        "All words at once",
        "No row waits for another: all of them are one matrix equation, whose rows a computer "
        "works out side by side.",
        formula,
        [
            Matrix(
                f"{x.key}*", x.name, values, x.rows, None, "same", (x.key,), by=alone,
                sentence=x.sentence, head=x.head,
            )
            for x, values, alone in zip(new, whole, single, strict=True)
        ],
        [f"word by word and as one matrix equation: {told}"],
    )  # fmt: skip


def word_by_word(head: Head, scale: float) -> Array:
    """Attention as one would reckon it by hand: one word, one score, one number at a time."""
    query, key, value = (x.astype(float).tolist() for x in head[:3])
    weights = []
    for n, asking in enumerate(query):
        seen = [head.mask is None or bool(head.mask[n, m]) for m in range(len(key))]
        scores = [sum(q * k for q, k in zip(asking, asked, strict=True)) / scale for asked in key]
        top = max(score for score, may in zip(scores, seen, strict=True) if may)
        powers = [exp(s - top) if may else 0.0 for s, may in zip(scores, seen, strict=True)]
        weights.append([power / sum(powers) for power in powers])
    return mixed(weights, value)


def mixed(weights: list[list[float]], value: list[list[float]]) -> Array:
    """Of each row of weights the sum of all values, each as often as its weight says."""
    found = []
    for row in weights:
        columns = range(len(value[0]))
        found.append([sum(w * x[j] for w, x in zip(row, value, strict=True)) for j in columns])
    return np.array(found)


def weighing(
    part: str, scores: Sequence[Matrix], masks: Sequence[Array | None], letter: str = "s"
) -> Iterator[Step]:
    """The steps from scores to weights: mask, exponentials, shares of them.

    masks: of each sentence.
    """
    hidden = [masks[x.sentence or 0] for x in scores]
    if any(mask is not None and not mask.all() for mask in hidden):
        scores = [
            x if mask is None else derived(x, "M", np.where(mask, x.values, -np.inf), "masked")
            for x, mask in zip(scores, hidden, strict=True)
        ]
        yield Step(
            part,
            "Mask",
            "A word may look at itself and at earlier ones only: where it may not, its score "
            "becomes −∞, which no weight will come of.",
            f"{letter}ₙₘ = −∞ where m > n",
            [*scores],
        )
    powers = [exponentials(x) for x in scores]
    moved = any(np.any(x.by) for x in powers)
    yield Step(
        part,
        "Exponentials",
        "exp makes every score positive, and a large one much larger than a small one. The last "
        "column is the sum of the row."
        + (" The row's largest score is taken away first: the shares stay what they are." * moved),
        f"eₙₘ = exp({letter}ₙₘ{' − maxₖ ' + letter + 'ₙₖ' if moved else ''})",
        powers,
    )
    shares = [
        derived(x, "W", as_array(softmax(Tensor(score.values))), "shares", (x.key,))
        for x, score in zip(powers, scores, strict=True)
    ]
    yield Step(
        part,
        "Weights",
        "Divided by their sum, the numbers of a row are shares that sum to one: how much of each "
        "word goes into the new vector.",
        "wₙₘ = eₙₘ / Σₖ eₙₖ",
        [replace(x, columns=x.rows) for x in shares],
    )


def exponentials(scores: Matrix) -> Matrix:
    """exp of scores, and a last column with the sum of each row."""
    seen = np.where(np.isfinite(scores.values), scores.values, 0)
    top = scores.values.max(axis=1) if np.abs(seen).max() > LARGE else np.zeros(len(seen))
    values = np.exp(scores.values - top[:, None])
    values = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
    columns = [*(scores.columns or []), "sum"]
    return derived(scores, "E", values, "powers", by=top, columns=columns)


def derived(
    x: Matrix,
    name: str,
    values: Array,
    how: str,
    of: tuple[str, ...] | None = None,
    by: Any = None,
    columns: Sequence[str] | None = None,
) -> Matrix:
    """A matrix that a step makes of another one, with the same words at its sides."""
    key = x.key.replace(x.name, name, 1)
    return Matrix(
        key, name, values, x.rows, x.columns if columns is None else columns, how,
        (x.key,) if of is None else of, by=by, sentence=x.sentence, head=x.head,
    )  # fmt: skip


# The same word in several sentences.


def comparison(part: str, sentences: Sequence[Sentence], new: Sequence[Matrix]) -> Iterator[Step]:
    """The step that shows how a word differs between sentences afterwards, if one is shared."""
    rows, cells = [], []
    for (i, first), (j, second) in combinations(enumerate(sentences), 2):
        for word in dict.fromkeys(first.words):
            if word not in second.words:
                continue
            a, b = first.words.index(word), second.words.index(word)
            of_both = " and ".join(str(number + 1) for number in (i, j))
            rows.append(f"{word} ({of_both})" if len(sentences) > 2 else word)
            before = cosine(first.vectors[a], second.vectors[b])
            cells.append([before, cosine(new[i].values[a], new[j].values[b])])
    if not rows:
        return
    table = np.array(cells)  # (R, 2, 4)
    between = f"{len(sentences)} sentences" if len(sentences) > 2 else "the two sentences"
    yield Step(
        part,
        "The same word, before and after",
        f"Before, a word had the same vector in {between}, cosine 1; now its neighbours are in it, "
        "and a smaller cosine says how far the two have moved apart.",
        "cos = a · b / (|a| |b|)",
        [
            Matrix(
                f"C{part}", "cosine", table[..., 0], rows, ["before", "after"], "cosine",
                by=table[..., 1:],
            )
        ],
    )  # fmt: skip


def cosine(a: Array, b: Array) -> tuple[float, float, float, float]:
    """The cosine of two vectors, and what it is made of: their product and both lengths."""
    product, first, second = float(a @ b), sqrt(a @ a), sqrt(b @ b)
    lengths = first * second
    return product / lengths if lengths else 0.0, product, first, second


def as_array(x: Tensor) -> Array:
    """The numbers of a tensor."""
    return np.asarray(x.data)
