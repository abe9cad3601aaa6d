"""Glosses: what WordNet says that nouns mean, each with the kind of thing that it is about."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import numpy as np

from minitransformer.tasks.english import Row

GLOSSES = Path(__file__).parent / "texts" / "glosses.tsv.gz"
"""The bundled part of WordNet, which `docs/make_glosses.py` makes; its licence lies beside it."""

UNSEEN = 125
"""Of each label, how many are never trained on, nor read without their labels."""


@cache
def kinds() -> dict[str, list[str]]:
    """The glosses of each label, shuffled once and for all."""
    found: dict[str, list[str]] = {}
    with gzip.open(GLOSSES, "rt", encoding="utf-8") as file:
        for line in file:
            text, label = line.rstrip("\n").split("\t")
            found.setdefault(label, []).append(text)
    rng = np.random.default_rng(3)  # with others, settings were chosen
    return {label: [own[i] for i in rng.permutation(len(own))] for label, own in found.items()}


def unseen() -> list[Row]:
    """Glosses to test with, as many of each label.

    >>> len(unseen())
    1000
    """
    return [(text, label) for label, own in kinds().items() for text in own[:UNSEEN]]


def labelled(count: int, seed: int) -> list[Row]:
    """`count` glosses of each label to train on, other ones for another seed.

    >>> labelled(1, seed=0)[0][1]
    'animal'
    """
    rng = np.random.default_rng((seed, 2))
    rows = []
    for label, own in kinds().items():
        known = own[UNSEEN:]
        rows += [(known[place], label) for place in rng.permutation(len(known))[:count]]
    return rows


def unlabelled() -> list[str]:
    """All glosses but those to test with, in an order that says nothing of their labels."""
    texts = [text for own in kinds().values() for text in own[UNSEEN:]]
    return [texts[place] for place in np.random.default_rng(1).permutation(len(texts))]
