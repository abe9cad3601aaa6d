"""Asked: what models know of the words in `sense`, each measure as plain numbers.

A measure is a share of sentences, in a list by layer where layers are asked; chance is one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.forms import Masked, Pairs
from minitransformer.inside.occurrences import numbers_of_word, occurrences
from minitransformer.studies.everyday import EVERYDAY, Everyday
from minitransformer.studies.nearness import nearer_mean, neighbours, within_and_across
from minitransformer.tasks.english import plain
from minitransformer.tasks.grammar import SENSES, Example, pairs

Measures = dict[str, Any]
"""By name: a share, or one for each layer."""

NINE = 4 / 9
"""Chance that the nearest of nine other sentences is one of the four of the same meaning."""


@dataclass(frozen=True)
class Questions:
    """A word with two meanings, and the grammar's sentences with it.

    tested: those of the pairs of an act and its object that a run's seed holds out. apart: others,
    of which none has a word that tells the meaning of a tested one. trained: all others.
    """

    word: str
    meanings: tuple[str, str]
    tested: list[Example]
    apart: list[Example]
    trained: list[Example]

    def sides(self, examples: Sequence[Example]) -> Array:
        """(N,): 0 or 1, which of the two the word means in each."""
        return np.array([self.meanings.index(x.meaning) for x in examples])


@cache
def questions(seed: int) -> tuple[Questions, ...]:
    """Those of each word, as the seed of a run divides its sentences."""
    learned, unseen = pairs(seed)
    found = []
    for one, other in SENSES:
        tested = [x for x in unseen if x.word == one.word]
        told = {word for x in tested for word in x.combination}
        trained = [x for x in learned if x.word == one.word and x.combination]
        apart = [x for x in trained if not told & {*x.combination}]
        found.append(Questions(one.word, (one.meaning, other.meaning), tested, apart, trained))
    return tuple(found)


def ask_masked(model: Any, form: Masked, seed: int) -> dict[str, Measures]:
    """Of each word: whether its vector is `nearer` to that of its synonym, which has been read in
    sentences with other words that tell; whether its nearest `neighbours` among the trained
    sentences mean the same; and what is likelier in its place, see `fill`."""
    return {each.word: measures(model, form, each) for each in questions(seed)}


def measures(model: Any, form: Masked, each: Questions) -> Measures:
    """Those of one word."""
    x = occurrences(model, form, [example.source for example in each.tested], each.word)
    others = occurrences(model, form, [example.source for example in each.trained], each.word)
    sides = each.sides(each.tested)
    means = [
        occurrences(model, form, plain_of(each, side), meaning).mean(axis=1)
        for side, meaning in enumerate(each.meanings)
    ]
    gaps = [hide(example.source, each.word, form) for example in each.tested]
    return {
        "nearer": nearer_mean(x, np.stack(means, axis=1), sides).tolist(),
        "neighbours": neighbours(x, sides, others, each.sides(each.trained)).tolist(),
        **fill(model, form, gaps, each.meanings, sides),
    }


def plain_of(each: Questions, side: int) -> list[str]:
    """The sentences apart in which a word has one of its meanings, in plain words."""
    return [plain(x) for x in each.apart if x.meaning == each.meanings[side]]


def hide(text: str, word: str, form: Masked) -> str:
    """A sentence with a gap in the place of a word."""
    return " ".join(form.source.tokens[form.gap] if x == word else x for x in text.split())


def fill(
    model: Any, form: Masked, gaps: Sequence[str], meanings: tuple[str, str], sides: Array
) -> Measures:
    """How likely are the right one of two words and the other in each gap, of all that could stand
    there; and the share of gaps in which the right one is the likelier, `preferred`."""
    read = [form.read(text) for text in gaps]
    logits = form.logits(model, read).astype(np.float64)
    at_gap = logits[np.arange(len(read)), [row.index(form.gap) for row in read]]
    p = np.exp(at_gap - at_gap.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    both = p[:, [numbers_of_word(form, meaning)[0] for meaning in meanings]]
    right, wrong = np.where(sides[:, None] == 0, both, both[:, ::-1]).T
    return {
        "preferred": float(np.mean((right > wrong) + (right == wrong) / 2)),
        "right": float(right.mean()),
        "wrong": float(wrong.mean()),
    }


def ask_translator(model: Any, form: Pairs, seed: int) -> dict[str, Measures]:
    """Of each word: the share of tested sentences in whose translation the right word is `written`
    and not that of the other meaning; and that of which the opposite is true, `mistaken`."""
    found = {}
    for each in questions(seed):
        answers = form.answer(model, [form.read(x.source) for x in each.tested])
        words = [form.write(answer).split() for answer in answers]
        both = [*zip(each.tested, words, strict=True)]
        found[each.word] = {
            "written": float(np.mean([x.shown in y and x.otherwise not in y for x, y in both])),
            "mistaken": float(np.mean([x.otherwise in y and x.shown not in y for x, y in both])),
        }
    return found


def ask_published(model: Any, form: Masked) -> dict[str, Measures]:
    """Of each word in `EVERYDAY`: `nearer` as in `ask_masked`, each sentence against as many others
    of each meaning; `neighbours`, against all others; and cosines `within` a meaning and `across`.
    What is `centred` is less its mean: that of the word and, where they are, of its synonyms."""
    return {each.word: measures_of_everyday(model, form, each) for each in EVERYDAY}


def measures_of_everyday(model: Any, form: Masked, each: Everyday) -> Measures:
    """Those of one word."""
    x = occurrences(model, form, each.texts(), each.word)
    sides = np.repeat([0, 1], [len(texts) for texts in each.sentences])
    synonyms = [
        occurrences(model, form, each.plain(side), meaning)
        for side, meaning in enumerate(each.meanings)
    ]
    means = np.empty((*x.shape[:2], 2, x.shape[2]))
    for place, side in enumerate(sides):
        own = place - side * len(each.sentences[0])
        # The other side is less one, too: anything is nearer to the mean of more, as chance has it.
        means[:, place] = np.stack(
            [np.delete(side_of, own, axis=1).mean(axis=1) for side_of in synonyms], axis=1
        )
    centred = x - x.mean(axis=1, keepdims=True)
    moved = means - means.mean(axis=(1, 2), keepdims=True)
    within, across = within_and_across(x, sides, centred=False)
    within_centred, across_centred = within_and_across(x, sides, centred=True)
    return {
        "nearer": nearer_mean(x, means, sides).tolist(),
        "nearer_centred": nearer_mean(centred, moved, sides).tolist(),
        "neighbours": neighbours(x, sides, x, sides, itself=True).tolist(),
        "neighbours_centred": neighbours(centred, sides, centred, sides, itself=True).tolist(),
        "within": within.tolist(),
        "across": across.tolist(),
        "within_centred": within_centred.tolist(),
        "across_centred": across_centred.tolist(),
    }


def points(model: Any, form: Masked, seed: int) -> dict[str, Array]:
    """Of each word: (L + 1, N, D) its vectors in the tested sentences, then those of its synonyms
    in the sentences apart, as `kinds` says."""
    found = {}
    for each in questions(seed):
        own = occurrences(model, form, [x.source for x in each.tested], each.word)
        others = [
            occurrences(model, form, plain_of(each, side), meaning)
            for side, meaning in enumerate(each.meanings)
        ]
        found[each.word] = np.concatenate([own, *others], axis=1)
    return found


def kinds(seed: int) -> dict[str, Array]:
    """(N,) of each word, what each of its `points` is: 0 or 1, the word in that meaning; 2 or 3,
    its synonym for it."""
    return {
        each.word: np.concatenate(
            [each.sides(each.tested)]
            + [np.full(len(plain_of(each, side)), 2 + side) for side in range(2)]
        )
        for each in questions(seed)
    }
