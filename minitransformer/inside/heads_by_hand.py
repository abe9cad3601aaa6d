"""Attention with learned queries, keys and values, head by head, every number of it.

See `by_hand`. The numbers are those of a layer, a `MultiHeadAttention`, taken from the record of a
run of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from minigrad.ops.rotary import rotations
from minigrad.tensor import Array
from minitransformer.inside.by_hand import (
    LEARNED,
    Head,
    Matrix,
    Step,
    as_array,
    comparison,
    derived,
    equal,
    weighing,
    word_by_word,
)
from minitransformer.inside.maps import attention_steps, recorded
from minitransformer.inside.sentences import Reading, Sentence
from minitransformer.parts.attention import MultiHeadAttention


class Working(NamedTuple):
    """A layer of attention at work on one sentence, as the engine has run it.

    query, key, value: of each head, (H, N, K). unturned: what the first two were before they were
    turned by their places, and rotary_base by which angles; none where they are not. scaled,
    weights: (H, N, N). result: (H, N, K). joined, output: (N, D).
    """

    query: Array
    key: Array
    value: Array
    unturned: tuple[Array, Array] | None
    rotary_base: float
    scaled: Array
    weights: Array
    result: Array
    joined: Array
    output: Array


def at_work(attention: MultiHeadAttention, x: Array, mask: Array | None) -> Working:
    """Run a layer on what it reads, (N, D), and take its numbers from the record of the run."""
    with recorded(attention):
        output = attention(x[None], x[None], mask)
        ((step,),) = attention_steps(output, attention).values()
    query, key, value = (attention_input.data for attention_input in step.inputs[:3])
    unturned, base = None, 0.0
    if step.inputs[0].op is not None and step.inputs[0].op.name == "rotary":
        before = [turned.inputs[0].data for turned in step.inputs[:2]]
        unturned = before[0][0], attention.for_each_head(before[1])[0]
        base = step.inputs[0].params["base"]
    return Working(
        query[0],
        attention.for_each_head(key)[0],
        attention.for_each_head(value)[0],
        unturned,
        base,
        attention.scores(step)[0],
        step.saved[0][0],
        step.data[0],
        as_array(attention.merge(step))[0],
        output.data[0],
    )


def with_parameters(
    sentences: Sequence[Sentence], reading: Reading, heads: Sequence[int] | None = None
) -> list[Step]:
    """Attention with learned queries, keys and values: softmax(Q Kᵀ / √K) V, head by head.

    heads: which to show, from 0 on (default: all). ValueError for one that there is not. Vaswani
    et al., "Attention Is All You Need" (2017), section 3.2.

    >>> from minitransformer.inside.sentences import drawn_reading, from_seed
    >>> sentences = from_seed(["money bank grows"])
    >>> steps = with_parameters(sentences, drawn_reading(sentences, heads=2))
    >>> [matrix.key for matrix in steps[1].matrices]
    ['WQ.0', 'WQ.1', 'Q0.0', 'Q0.1']
    """
    attention = reading.attention
    shown = [*range(attention.num_heads)] if heads is None else heads
    for head in shown:
        if not 0 <= head < attention.num_heads:
            raise ValueError(f"there is no head {head + 1}: the layer has {attention.num_heads}")
    words = [sentence.words for sentence in sentences]
    works = [
        at_work(attention, x, mask) for x, mask in zip(reading.inputs, reading.masks, strict=True)
    ]
    steps = entrance(words, reading)
    steps += projections(words, reading, works, shown)
    if works[0].unturned is not None:
        steps.append(turning(words, works, shown))
    steps += looking(words, works, shown, reading.masks)
    steps += finding(words, works, shown, reading.masks)
    steps += leaving(words, works, attention)
    results = [x for x in steps[-1].matrices if x.name == "Y"]
    return [*steps, *comparison(LEARNED, sentences, results)]


def entrance(words: Sequence[Sequence[str]], reading: Reading) -> list[Step]:
    """What the layer reads."""
    inputs = [
        Matrix(f"X{i}", "X", x, words[i], None, sentence=i) for i, x in enumerate(reading.inputs)
    ]
    return [Step(LEARNED, "What the layer reads", reading.about, "xₙ", inputs)]


ASKED = {
    "Q": ("Queries", "A first matrix makes of each word its query: what it is looking for."),
    "K": ("Keys", "A second matrix makes its key: what it can be found by."),
    "V": ("Values", "A third matrix makes its value: what it has to give to those who find it."),
}


def projections(
    words: Sequence[Sequence[str]], reading: Reading, works: Sequence[Working], shown: Sequence[int]
) -> Iterator[Step]:
    """The steps that make queries, keys and values."""
    attention = reading.attention
    modules = {"Q": attention.query, "K": attention.key, "V": attention.value}
    for letter, module in modules.items():
        heads = split_columns(module, attention, letter)
        matrices = [
            Matrix(f"W{letter}.{head}", f"W_{letter}", heads[head][0], None, None, head=head)
            for head in shown
        ]
        for i, work in enumerate(works):
            found = {"Q": work.query, "K": work.key, "V": work.value}[letter]
            if work.unturned is not None and letter != "V":
                found = work.unturned["QK".index(letter)]
            name = letter if letter != "V" else "values"
            matrices += [
                Matrix(
                    f"{name}{i}.{head}", letter, found[head], words[i], None, "product",
                    (f"X{i}", f"W{letter}.{head}"), heads[head][1], sentence=i, head=head,
                )
                for head in shown
            ]  # fmt: skip
        title, sentence = ASKED[letter]
        if letter != "Q" and (shared := attention.num_heads // attention.num_kv_heads) > 1:
            sentence += f" Here {shared} heads each share one."
        small = letter.lower()
        bias = f" + b_{letter}" if module.bias is not None else ""
        formula = f"{small}ₙ = xₙ W_{letter}{bias}"
        yield Step(LEARNED, title, sentence, formula, matrices)


def split_columns(
    module: Any, attention: MultiHeadAttention, letter: str
) -> list[tuple[Array, Array | None]]:
    """The part of a projection that belongs to each head: (D, K), and its bias, (K,), if any."""
    count = attention.num_heads if letter == "Q" else attention.num_kv_heads
    each = attention.num_heads // count
    weights = np.split(module.weight.data.T, count, axis=1)
    biases = [None] * count if module.bias is None else np.split(module.bias.data, count)
    return [(weights[head // each], biases[head // each]) for head in range(attention.num_heads)]


def turning(
    words: Sequence[Sequence[str]],
    works: Sequence[Working],
    shown: Sequence[int],
) -> Step:
    """The step in which queries and keys are turned by their places."""
    matrices = []
    for i, work in enumerate(works):
        for letter, before, after in zip("QK", work.unturned or (), work[:2], strict=True):
            cos, sin = rotations(before[0], 0, work.rotary_base)
            for head in shown:
                partner = np.roll(before[head], before.shape[-1] // 2, axis=-1)
                matrices.append(
                    Matrix(
                        f"{letter}R{i}.{head}", f"{letter}, turned", after[head], words[i], None,
                        "turned", (f"{letter}{i}.{head}",), by=np.array([cos, partner, sin]),
                        sentence=i, head=head,
                    )
                )  # fmt: skip
    return Step(
        LEARNED,
        "Turned by the place",
        "Nothing has said yet where in the sentence a word stands: now queries and keys turn, the "
        "later the word the further, so that a product of two knows the distance between them.",
        "qₙ, kₙ turned by angles n · θⱼ",
        matrices,
    )


def looking(
    words: Sequence[Sequence[str]],
    works: Sequence[Working],
    shown: Sequence[int],
    masks: Sequence[Array | None],
) -> Iterator[Step]:
    """The steps from queries and keys to each head's weights."""
    turned = "R" if works[0].unturned is not None else ""
    width = works[0].query.shape[-1]
    products = [
        Matrix(
            f"P{i}.{head}", "P", work.query[head] @ work.key[head].T, words[i], words[i],
            "dots", (f"Q{turned}{i}.{head}", f"K{turned}{i}.{head}"), sentence=i, head=head,
        )
        for i, work in enumerate(works) for head in shown
    ]  # fmt: skip
    yield Step(
        LEARNED,
        "Scores",
        "A word's query meets the key of each word: the better they agree, the larger the product.",
        "pₙₘ = qₙ · kₘ",
        products,
    )
    scaled = [work.scaled[head] for work in works for head in shown]
    scores = [
        derived(x, "S", values, "scaled", by=sqrt(width))
        for x, values in zip(products, scaled, strict=True)
    ]
    yield Step(
        LEARNED,
        f"Divided by √{width} = {sqrt(width):.4g}",
        f"The more numbers a query has ({width} here), the larger such sums become. Divided by the "
        "root of how many, they stay of a size at which softmax leaves something to all.",
        f"sₙₘ = pₙₘ / √{width}",
        scores,
    )
    *before, last = weighing(LEARNED, scores, masks)
    yield from before
    weights = [work.weights[head] for work in works for head in shown]  # the engine's own
    found = [replace(x, values=w) for x, w in zip(last.matrices, weights, strict=True)]
    yield replace(last, matrices=found)


def finding(
    words: Sequence[Sequence[str]],
    works: Sequence[Working],
    shown: Sequence[int],
    masks: Sequence[Array | None],
) -> list[Step]:
    """The steps from weights and values to each head's result, and all of it as one equation."""
    width = works[0].query.shape[-1]
    pairs = [(i, head) for i in range(len(works)) for head in shown]
    whole = [works[i].result[head] for i, head in pairs]
    results = [
        Matrix(
            f"Z{i}.{head}", "Z", values, words[i], None, "product",
            (f"W{i}.{head}", f"values{i}.{head}"), sentence=i, head=head,
        )
        for (i, head), values in zip(pairs, whole, strict=True)
    ]  # fmt: skip
    sums = Step(
        LEARNED,
        "Weighted sums of values",
        "Each word gets a mixture of the values: of each as much as its weight says.",
        "zₙ = Σₘ wₙₘ vₘ",
        results,
    )
    heads = [
        Head(works[i].query[head], works[i].key[head], works[i].value[head], masks[i])
        for i, head in pairs
    ]
    single = [word_by_word(head, sqrt(width)) for head in heads]
    return [sums, equal(LEARNED, f"Z = softmax(Q Kᵀ / √{width}) V", single, whole, results)]


def leaving(
    words: Sequence[Sequence[str]], works: Sequence[Working], attention: MultiHeadAttention
) -> list[Step]:
    """The steps from the heads' results to the layer's output."""
    count = attention.num_heads
    joined = [
        Matrix(f"J{i}", "Z", x.joined, words[i], None, "joined", by=count, sentence=i)
        for i, x in enumerate(works)
    ]
    title = "Heads side by side" if count > 1 else "One head alone"
    sentence = (
        f"Each of the {count} heads has looked for something of its own; what they found is "
        "written in one row."
        if count > 1
        else "With several heads, what they found would now be written in one row; here is one."
    )
    module = attention.output
    output = Matrix("WO", "W_O", module.weight.data.T, None, None)
    bias = None if module.bias is None else module.bias.data
    new = [
        Matrix(f"O{i}", "Y", x.output, words[i], None, "product", (f"J{i}", "WO"), bias, sentence=i)
        for i, x in enumerate(works)
    ]
    return [
        Step(LEARNED, title, sentence, "zₙ = [zₙ of head 1, zₙ of head 2, …]", joined),
        Step(
            LEARNED,
            "Output",
            "A last matrix mixes what the heads have found, and brings it back to the width of the "
            "model: a new vector for each word.",
            f"yₙ = zₙ W_O{'' if bias is None else ' + b_O'}",
            [output, *new],
        ),
    ]
