"""The English of the grammar, for models that read: its sentences, and senses as labels of some."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from minitransformer.tasks.grammar import SENSES, Example, pairs, sense_sentences
from minitransformer.tokens.tokeniser import BERT

Row = tuple[str, str]
"""A sentence and its label."""


def sentences(seed: int) -> tuple[list[str], list[str]]:
    """(training, unseen): each English sentence of `grammar.pairs`, once; and where a word could
    mean two things, the same sentence in plain words, see `plain`.

    So a model can learn that a bank is now a shore and now a lender: each keeps its company.
    """
    training, unseen = (dict.fromkeys(english(examples)) for examples in pairs(seed))
    return [*training], [*unseen]


def english(examples: list[Example]) -> Iterator[str]:
    """Each sentence, and it in plain words where that is another one."""
    for example in examples:
        yield example.source
        if example.word:
            yield plain(example)


def plain(example: Example) -> str:
    """A sentence with what its ambiguous word means in the place of that word.

    >>> plain(Example("I found the bank .", "", "sense", word="bank", meaning="shore"))
    'I found the shore .'
    """
    meaning = f"the {example.meaning}" if example.word == "it" else example.meaning
    return " ".join(meaning if word == example.word else word for word in example.source.split())


def referents(examples: list[Example]) -> dict[str, str]:
    """What the pronoun means in each sentence that has one: {sentence: noun}."""
    return {x.source: x.meaning for x in examples if x.word == "it"}


def hide_pronoun(sentence: str) -> str:
    """A sentence with a gap in the place of its pronoun, to ask which noun could stand there.

    Kocijan et al., "WikiCREM" (2019), section 3, teach what pronouns mean by asking so.

    >>> hide_pronoun("the dog did not cross the river because it was too wide .")
    'the dog did not cross the river because [MASK] was too wide .'
    """
    return " ".join(BERT["mask"] if word == "it" else word for word in sentence.split())


def labelled(word: str, count: int, seed: int) -> tuple[list[Row], list[Row]]:
    """(training, unseen): sentences with *bank*, *server* or *check*, and as the label of each the
    sense that the word has in it, by another word.

    `count` of each sense, at most 48, are to train on. What tells the sense in the unseen ones is
    in none of these: `seed` draws two of its three acts and two of its four objects for training.
    (Beside a bank there is more that tells: one jumps *into* a river, but only withdraws money.)
    """
    rng = np.random.default_rng((seed, 1))
    training: list[Row] = []
    unseen: list[Row] = []
    for sense, other in chain.from_iterable((both, both[::-1]) for both in SENSES):
        if sense.word != word:
            continue
        learned: list[Row] = []
        known = {*rng.permutation([*sense.acts])[:2], *rng.permutation([*sense.objects])[:2]}
        for example in sense_sentences(sense, other):
            row = example.source, sense.meaning
            told = [cue in known for cue in example.combination]
            if told == [True, True]:
                learned.append(row)
            elif told == [False, False]:
                unseen.append(row)
        training += [learned[place] for place in rng.permutation(len(learned))[:count]]
    return training, unseen
