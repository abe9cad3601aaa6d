"""Writes glosses.tsv.gz among the bundled texts: `python docs/make_glosses.py FOLDER`.

FOLDER has WordNet 3.0's `data.noun` (Debian: the package wordnet-base puts it into
/usr/share/wordnet). There each line is a synset: numbers, of which the second says in which of the
lexicographers' files it was written, words, and after a bar the gloss, which may end with examples
in quotes.

Eight of those files are taken. What stands before the first quote is the gloss; those of 4 to 20
words are kept, of plain ASCII, and not those that two files share. Of each file 1,700 are drawn,
so that always the same answer is right as often as one drawn at random.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from minitransformer.tasks.glosses import GLOSSES

FILES = {
    "05": "animal",
    "06": "artifact",
    "08": "body",
    "13": "food",
    "15": "location",
    "18": "person",
    "20": "plant",
    "27": "substance",
}
"""The numbers of lexicographers' files, and what their nouns denote: see `man 5 lexnames`."""

OF_EACH = 1_700
WORDS = range(4, 21)


def lines(synsets: Iterable[str]) -> list[str]:
    """The lines of the file, without their ends: a gloss, a tab, and its label."""
    found: dict[str, set[str]] = defaultdict(set)
    for synset in synsets:
        if synset.startswith(" "):  # the licence
            continue
        numbers, gloss = synset.split(" | ", 1)
        text = re.split(r'["`]', gloss)[0].strip(" ;:,\n")
        if text.isascii() and len(text.split()) in WORDS:
            found[text].add(numbers.split()[1])
    chosen = []
    rng = np.random.default_rng(0)
    for number, label in FILES.items():
        own = [text for text, numbers in found.items() if numbers == {number}]
        places = sorted(rng.permutation(len(own))[:OF_EACH])
        chosen += [f"{own[place]}\t{label}" for place in places]
    return chosen


if __name__ == "__main__":
    with open(Path(sys.argv[1]) / "data.noun", encoding="latin-1") as file:
        text = "".join(f"{line}\n" for line in lines(file))
    GLOSSES.write_bytes(gzip.compress(text.encode(), mtime=0))
