"""Sequences of symbols to copy, reverse or sort: as many examples as one likes, each drawn anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minitransformer.forms import Example, Pairs
from minitransformer.settings import Group, setting
from minitransformer.tasks.task import held_out_rng, task
from minitransformer.tokens import Words
from minitransformer.tokens.tokeniser import OWN


@dataclass(frozen=True)
class Sequences(Group, ABC):
    """A rule to learn, over sequences of the symbols "0" to `vocab` - 1 of length 1 to `length`.

    >>> task = Reverse(length=4)
    >>> form = task.load(seed=0).form
    >>> form.write(task.answer(form.read("3 1 4")))
    '4 1 3'
    """

    length: int = setting(10, "longest sequence; lengths vary from 1 to this", least=2, most=2_000)
    vocab: int = setting(10, "number of symbols: 0, 1, 2, …", least=2, most=1_000_000)

    @abstractmethod
    def answer(self, source: list[int]) -> list[int]:
        """What the model must answer. The numbers of symbols are in the symbols' order."""

    def load(self, seed: int, held_out: int = 1000) -> Stream:
        """The sequences: see `Stream`."""
        return Stream(self, seed, held_out)


@task("copy", form="pairs", default="transformer")
@dataclass(frozen=True)
class Copy(Sequences):
    """Repeat a sequence of symbols."""

    def answer(self, source: list[int]) -> list[int]:
        return source


@task("reverse", form="pairs", default="transformer")
@dataclass(frozen=True)
class Reverse(Sequences):
    """Write a sequence of symbols backwards."""

    def answer(self, source: list[int]) -> list[int]:
        return source[::-1]


@task("sort", form="pairs", default="transformer")
@dataclass(frozen=True)
class Sort(Sequences):
    """Write a sequence of symbols in order."""

    def answer(self, source: list[int]) -> list[int]:
        return sorted(source)


class Stream:
    """The sequences of a task: a stream to train on, and some that it never contains.

    Training lengths are uniform, symbols independent and uniform, held-out sequences left out.
    `held_out` distinct sequences are drawn by `seed`, evenly over the lengths but at most a tenth
    of what exists at each: there are few short sequences, and the model must see most of them.
    None has length 1, where a lone symbol is seen or cannot be learned. Longer sequences make up
    for shorter ones; when they are too few as well, `len(test)` is less than `held_out`.
    ValueError when nothing can be held out, and for a negative `seed`.
    """

    checksum: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, task: Sequences, seed: int, held_out: int) -> None:
        self.task, self.name = task, task.name
        symbols = Words((*OWN.values(), *map(str, range(task.vocab))))
        self.form = Pairs(symbols, symbols, task.length, task.length + 1, strict=True)
        unseen = self._draw_distinct(held_out_rng(seed), held_out)
        if not unseen:
            raise ValueError(
                f"{self.name}: length {task.length} and vocab {task.vocab} make too few sequences "
                "to hold any out; increase one of them"
            )
        self.test: list[Example] = [([*source], task.answer([*source])) for source in unseen]
        self.test_texts = [
            (symbols.decode(source), symbols.decode(target)) for source, target in self.test
        ]
        self._unseen = frozenset(unseen)

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Sequences and their answers, none of them held out."""
        lengths = rng.integers(1, self.task.length + 1, size=count).tolist()
        symbols = self._draw(rng, count, self.task.length).tolist()
        sources = [row[:length] for row, length in zip(symbols, lengths, strict=True)]
        for source in sources:
            while tuple(source) in self._unseen:  # draw again at the same length
                source[:] = self._draw(rng, len(source)).tolist()
        return [(source, self.task.answer(source)) for source in sources]

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """Nothing but how many are right."""
        return {}

    def _draw(self, rng: np.random.Generator, *shape: int) -> NDArray[np.int64]:
        return rng.integers(self.task.vocab, size=shape) + len(OWN)

    def _draw_distinct(self, rng: np.random.Generator, wanted: int) -> list[tuple[int, ...]]:
        """At most `wanted` different sequences, in random order."""
        drawn: dict[tuple[int, ...], None] = {}  # a set that keeps its order
        longest, vocab = self.task.length, self.task.vocab
        for length in range(2, longest + 1):
            share = (wanted - len(drawn)) // (longest + 1 - length)
            quota = len(drawn) + min(share, vocab**length // 10)
            while len(drawn) < quota:
                rows = self._draw(rng, quota - len(drawn), length).tolist()
                drawn.update(dict.fromkeys(map(tuple, rows)))
        sequences = list(drawn)
        return [sequences[place] for place in rng.permutation(len(sequences))]
