"""Forget: a real encoder-decoder without attention, and words too long for its state.

Words whose sound nobody has to look up: two are written as one, and right is what the model itself
answers to each of them alone, one after the other. That it may be wrong about a word does not count
here, only that it answers otherwise where it has to keep both. Not all of that is forgetting: a
letter may sound otherwise between two words, and the longest were too long for its training, too.
So beside them stand real words as long, from a list that comes with the model, which has them up to
some 13 letters. It may have been trained on these.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad.tensor import Array
from minitransformer.interop.g2p import WIDTH, read_homographs
from minitransformer.interop.published import find, load_published
from minitransformer.progress import tell
from minitransformer.settings import Group, setting
from minitransformer.studies.percent import percent
from minitransformer.studies.study import Finding, Table, study
from minitransformer.tasks.corpus import NOVEL

LETTERS = 8, 12, 16, 20, 24
"""Lengths of the joined words: each half is a word of half the letters."""

EXAMPLE = "backpropagation", "algorithm"

WORD = re.compile(r"(?<![\w’'-])[a-z]+(?![\w’'-])")
"""A word in small letters, which is no name and no part of another."""

Spoken = dict[str, list[list[str]]]
"""Words, and the phonemes of each way to speak them."""

MEASURES = "errors", "first", "second", "others"
"""Phonemes that are wrong, missing or too many, by the number of right ones; those of the first
word, and of the second, that are wrong or missing; errors against what other words sound like."""

AT_ONCE = 1_000
"""Words that are asked for at once."""

ENOUGH = 10
"""Real words of a length, or a letter longer or shorter, from which on they are asked for."""


@study("forget")
@dataclass(frozen=True)
class Forget(Group):
    """What a published GRU without attention forgets of words."""

    pairs: int = setting(200, "pairs of words of each length", least=2, most=10_000)
    seeds: int = setting(3, "draws of such pairs", least=1, most=100)

    def find(self) -> Finding:
        """Ask the GRU of g2p-en for words of the bundled novel, one at a time and two as one."""
        model, form, _ = load_published("g2p")
        speaker = Speaker(model, form)
        found = self.ask(speaker)
        means = found.mean(axis=0)
        spoken = read_homographs(find("g2p").with_name("homographs.en"))
        real = {x: (len(own), speaker.wrong_in(own)) for x, own in real_words(spoken).items()}
        told = [f"{percent(y)} % at {x} letters ({count} words)" for x, (count, y) in real.items()]
        return Finding(
            self.name,
            [self.measured(found, real), speaker.example(*EXAMPLE)],
            [
                f"To write two words of {LETTERS[0] // 2} letters as one costs "
                f"{percent(means[0, 0])} % of their phonemes, which may sound otherwise there; two "
                f"of {LETTERS[-1] // 2} letters cost {percent(means[-1, 0])} %, where an answer to "
                f"other words is {percent(means[-1, 3])} % wrong.",
                f"Of the first of these, {percent(means[-1, 1])} % are lost, of the second "
                f"{percent(means[-1, 2])} %: it has read every letter, and answers from a state of "
                f"{WIDTH} numbers.",
                f"Of real words as long, within a letter, it gets wrong: {', '.join(told)}. So far "
                "it is less their length that costs than that they are two, though it may have "
                "been trained on the real ones. Of longer ones its list has too few to tell.",
            ],
            {
                "letters": list(LETTERS),
                **{name: found[..., i].tolist() for i, name in enumerate(MEASURES)},
                "real_words": [
                    {"letters": x, "words": count, "errors": y} for x, (count, y) in real.items()
                ],
            },
            {
                "letters": np.array(LETTERS),
                "found": found,
                "real": np.array([(x, y) for x, (_, y) in real.items()]),
            },
        )

    def ask(self, speaker: Speaker) -> Array:
        """(seeds, lengths, MEASURES): what was measured with each draw of pairs."""
        words = words_by_length(NOVEL.read_text(encoding="utf-8"))
        found = np.empty((self.seeds, len(LETTERS), len(MEASURES)))
        for seed in range(self.seeds):
            rng = np.random.default_rng(seed)
            for place, letters in enumerate(LETTERS):
                tell("asking", seed * len(LETTERS) + place, self.seeds * len(LETTERS))
                drawn = rng.choice(words[letters // 2], (self.pairs, 2)).tolist()
                found[seed, place] = speaker.measure(drawn)
        return found

    def measured(self, found: Array, real: dict[int, tuple[int, float]]) -> Table:
        """All lengths, the errors with each seed, the rest as means; and those in real words."""
        rows: list[tuple[str, ...]] = [
            (
                f"{letters}",
                "  ".join(map(percent, found[:, place, 0])),
                *map(percent, found[:, place, 1:].mean(axis=0)),
                f"{percent(real[letters][1])} ({real[letters][0]})" if letters in real else "",
            )
            for place, letters in enumerate(LETTERS)
        ]
        return Table(
            "% of phonemes that are wrong where two words are written as one; right is what it "
            f"answers to each alone ({self.pairs} pairs, stress does not count); and in real "
            "words as long, within a letter (of so many)",
            (
                "letters",
                "errors, each seed",
                "1st word",
                "2nd word",
                "others'",
                "real words",
            ),
            rows,
        )


class Speaker(NamedTuple):
    """A model that says how words are spoken, and the form of its questions."""

    model: Any
    form: Any

    def say(self, words: list[str]) -> list[list[int]]:
        """The phonemes of each word."""
        found: list[list[int]] = []
        for start in range(0, len(words), AT_ONCE):
            read = [self.form.read(word) for word in words[start : start + AT_ONCE]]
            found += self.form.answer(self.model, read)
        return found

    def measure(self, pairs: list[list[str]]) -> list[float]:
        """The MEASURES of pairs of words."""
        firsts, seconds = (self.sounds([pair[half] for pair in pairs]) for half in (0, 1))
        joined = self.sounds(["".join(pair) for pair in pairs])
        edits = others = 0
        lost, total = np.zeros(2), np.zeros(2)
        for place, (first, second, own) in enumerate(zip(firsts, seconds, joined, strict=True)):
            count, kept = align(first + second, own)
            edits += count
            others += align(first + second, joined[place - 1])[0]
            lost += kept[: len(first)].count(False), kept[len(first) :].count(False)
            total += len(first), len(second)
        return [edits / total.sum(), *(lost / total), others / total.sum()]

    def wrong_in(self, words: Spoken) -> float:
        """The errors in real words, by the number of right phonemes. Of several ways to speak a
        word, that which needs the fewest edits is right."""
        edits = total = 0
        for ways, own in zip(words.values(), self.sounds([*words]), strict=True):
            count, length = min(
                (align(right, own)[0], len(right)) for right in map(without_stress, ways)
            )
            edits, total = edits + count, total + length
        return edits / total

    def sounds(self, words: list[str]) -> list[list[str]]:
        """The phonemes of each word without stress, which is not the same in a longer one."""
        return [without_stress(self.form.spell(answer)) for answer in self.say(words)]

    def example(self, first: str, second: str) -> Table:
        """What it answers to two words, and to both as one."""
        asked = [first, second, first + second]
        rows: list[tuple[str, ...]] = [
            (word, self.form.write(x)) for word, x in zip(asked, self.say(asked), strict=True)
        ]
        return Table("for example", ("word", "what it answers"), rows)


def without_stress(phonemes: Sequence[str]) -> list[str]:
    """Phonemes without the number that a vowel has.

    >>> without_stress(["AH0", "B", "AW1", "T"])
    ['AH', 'B', 'AW', 'T']
    """
    return [x.rstrip("012") for x in phonemes]


def real_words(spoken: Spoken) -> dict[int, Spoken]:
    """Those as long as two words written as one, within a letter: by LETTERS, where there are
    ENOUGH."""
    found = {
        letters: {word: ways for word, ways in spoken.items() if abs(len(word) - letters) <= 1}
        for letters in LETTERS
    }
    return {letters: own for letters, own in found.items() if len(own) >= ENOUGH}


def words_by_length(text: str) -> dict[int, list[str]]:
    """The words in small letters of a text, each once, by the number of their letters."""
    found = defaultdict(list)
    for word in sorted({*WORD.findall(text)}):
        found[len(word)].append(word)
    return found


def align(right: Sequence[Any], answer: Sequence[Any]) -> tuple[int, list[bool]]:
    """The fewest edits that make the one of the other, and which of the right tokens they keep.

    Edits are to change, leave out or add a token (Levenshtein, 1966).

    >>> align("cat", "carts")
    (2, [True, True, True])
    >>> align("abc", "axcd")
    (2, [True, False, True])
    """
    edits = [[*range(len(answer) + 1)]]  # of the first tokens of each, so many and so many
    for i, a in enumerate(right):
        row = [i + 1]
        for j, b in enumerate(answer):
            row.append(min(edits[i][j + 1] + 1, row[j] + 1, edits[i][j] + (a != b)))
        edits.append(row)
    kept, i, j = [False] * len(right), len(right), len(answer)
    while i and j:
        is_same = right[i - 1] == answer[j - 1]
        if edits[i][j] == edits[i - 1][j - 1] + (not is_same):
            i, j = i - 1, j - 1
            kept[i] = is_same
        elif edits[i][j] == edits[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return edits[-1][-1], kept
