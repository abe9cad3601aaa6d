"""What there is to learn: sequences to copy, reverse or sort, and pairs from a user's own file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from minitransformer.data import (
    SPECIAL_TOKENS,
    Batch,
    DataError,
    Pair,
    TokenKind,
    Vocabulary,
    detokenize,
    make_batch,
    parse_pairs,
    read_data,
)


class Task(Protocol):
    """A task as a trainer sees it: an endless training stream, and examples it never contains."""

    name: str
    tokens: TokenKind
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    max_source: int
    """The length of the longest source, the S of the largest batch."""
    max_target: int
    """The length of the longest target and its EOS, the T of the largest batch."""
    test: list[Pair]
    """The held-out examples, shuffled: any first part of the list is a fair sample."""
    test_texts: list[tuple[str, str]]
    """The held-out examples as they are written, with what the vocabularies do not know."""
    data: int | None
    """The CRC-32 of the file that the examples are from, if any: a run goes on with the same."""

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """The next batch of the training stream.

        It depends on `rng` and on nothing else: whoever restores the generator's whole
        `bit_generator.state` goes on with the same bits.
        """
        ...


SYNTHETIC: dict[str, Callable[[list[int]], list[int]]] = {
    "copy": list,
    "reverse": lambda source: source[::-1],
    "sort": sorted,
}
"""The target of a source for each synthetic task; symbols have their ids in numeric order."""


def _held_out_rng(seed: int) -> np.random.Generator:
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    # The second number keeps these draws apart from those of a trainer with the same seed.
    return np.random.default_rng((seed, 1))


class SyntheticTask:
    """A rule to learn, over sequences of the symbols "0" to `vocab` - 1 of length 1 to `length`.

    Training lengths are uniform, symbols independent and uniform, held-out sequences left out.
    `held_out` distinct sequences are drawn from the task's own `seed`, evenly over the lengths but
    at most a tenth of what exists at each: there are few short sequences, and the model must see
    most of them. None has length 1, where a lone symbol is seen or cannot be learned. Longer
    sequences make up for shorter ones; when they are too few as well, `len(task.test)` is less
    than `held_out`.

    Raises ValueError for a name that is not in `SYNTHETIC`, for `length` or `vocab` below 2, for
    a negative `seed`, and when nothing can be held out.

    >>> task = SyntheticTask("reverse", length=4)
    >>> task.target_vocabulary.decode(task.target(task.source_vocabulary.encode(["3", "1", "4"])))
    ['4', '1', '3']
    """

    tokens: TokenKind = "word"
    data: int | None = None

    def __init__(
        self, name: str, length: int = 10, vocab: int = 10, seed: int = 0, held_out: int = 1000
    ) -> None:
        if name not in SYNTHETIC:
            raise ValueError(f"unknown task {name!r}; the tasks are {', '.join(SYNTHETIC)}")
        for parameter, value, least in (
            ("length", length, 2),
            ("vocab", vocab, 2),
            ("held_out", held_out, 1),
        ):
            if value < least:
                raise ValueError(f"{name}: {parameter} must be at least {least}, not {value}")
        self.name, self.length, self.vocab = name, length, vocab
        self.source_vocabulary = Vocabulary((*SPECIAL_TOKENS, *map(str, range(vocab))))
        self.target_vocabulary = self.source_vocabulary
        self.max_source, self.max_target = length, length + 1

        unseen = self._draw_distinct(_held_out_rng(seed), held_out)
        if not unseen:
            raise ValueError(
                f"{name}: length {length} and vocab {vocab} make too few sequences "
                "to hold any out; increase one of them"
            )
        self.test: list[Pair] = [([*source], self.target([*source])) for source in unseen]
        self.test_texts = [
            (self._spell(source), self._spell(target)) for source, target in self.test
        ]
        self._unseen = frozenset(unseen)

    def target(self, source: list[int]) -> list[int]:
        """What the model must answer."""
        return SYNTHETIC[self.name](source)

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """`batch_size` sequences and their targets, none of them held out."""
        lengths = rng.integers(1, self.length + 1, size=batch_size).tolist()
        symbols = self._draw(rng, batch_size, self.length).tolist()
        sources = [row[:length] for row, length in zip(symbols, lengths, strict=True)]
        for source in sources:
            while tuple(source) in self._unseen:  # draw again at the same length
                source[:] = self._draw(rng, len(source)).tolist()
        return make_batch([(source, self.target(source)) for source in sources])

    def _spell(self, ids: list[int]) -> str:
        return detokenize(self.source_vocabulary.decode(ids), self.tokens)

    def _draw(self, rng: np.random.Generator, *shape: int) -> NDArray[np.int64]:
        return rng.integers(self.vocab, size=shape) + len(SPECIAL_TOKENS)

    def _draw_distinct(self, rng: np.random.Generator, wanted: int) -> list[tuple[int, ...]]:
        """At most `wanted` different sequences, in random order."""
        drawn: dict[tuple[int, ...], None] = {}  # a set that keeps its order
        for length in range(2, self.length + 1):
            share = (wanted - len(drawn)) // (self.length + 1 - length)
            quota = len(drawn) + min(share, self.vocab**length // 10)
            while len(drawn) < quota:
                rows = self._draw(rng, quota - len(drawn), length).tolist()
                drawn.update(dict.fromkeys(map(tuple, rows)))
        sequences = list(drawn)
        return [sequences[place] for place in rng.permutation(len(sequences))]


class FileTask:
    """The pairs of a file: most to train on, drawn with replacement, and some held out.

    `path` names a UTF-8 file with one `source<TAB>target` per line, see `parse_pairs`. `held_out`
    is the share of the different sources that is kept for the test, at least one and at most
    1,000, chosen by `seed`; a source that stands on several lines is tested with its first target,
    and none of its lines is trained on. The vocabularies know the training lines alone; what else
    the test contains is UNK.

    Raises DataError for a file that is not as it should be or has fewer than two different
    sources, ValueError for a share that is not between 0 and 1 or a negative `seed`.
    """

    def __init__(
        self,
        path: str | Path,
        tokens: TokenKind = "word",
        held_out: float = 0.1,
        seed: int = 0,
        columns: tuple[int, int] | None = None,
    ) -> None:
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be a share between 0 and 1, not {held_out}")
        self.name, self.tokens = Path(path).name, tokens
        content = read_data(path)
        self.data: int | None = crc32(content)
        pairs = parse_pairs(content, path, tokens, columns)
        sources = list(dict.fromkeys(tuple(source) for source, _ in pairs))
        if len(sources) < 2:
            raise DataError(
                f"{path}: all lines have the same source; "
                "at least two are needed, one to train on and one to hold out"
            )
        count = min(max(1, round(held_out * len(sources))), 1000, len(sources) - 1)
        order = _held_out_rng(seed).permutation(len(sources))
        unseen = [sources[place] for place in order[:count]]
        first_target = {tuple(source): target for source, target in reversed(pairs)}

        kept_apart = set(unseen)
        training = [pair for pair in pairs if tuple(pair[0]) not in kept_apart]
        self.source_vocabulary = Vocabulary.build(source for source, _ in training)
        self.target_vocabulary = Vocabulary.build(target for _, target in training)
        self.max_source = max(len(source) for source, _ in pairs)
        self.max_target = max(len(target) for _, target in pairs) + 1
        self.training = [self._encode(source, target) for source, target in training]
        test = [(source, first_target[source]) for source in unseen]
        self.test = [self._encode(source, target) for source, target in test]
        self.test_texts = [
            (detokenize(source, tokens), detokenize(target, tokens)) for source, target in test
        ]

    def sample(self, rng: np.random.Generator, batch_size: int) -> Batch:
        """`batch_size` training pairs, each drawn from all of them."""
        places = rng.integers(len(self.training), size=batch_size).tolist()
        return make_batch([self.training[place] for place in places])

    def _encode(self, source: Sequence[str], target: Sequence[str]) -> Pair:
        return self.source_vocabulary.encode(source), self.target_vocabulary.encode(target)
