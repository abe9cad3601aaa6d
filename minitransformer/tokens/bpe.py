"""Byte-level BPE: sub-words of bytes, so that any text has tokens and comes back, byte for byte.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), section 2.2. In the
names of tokens each byte is a visible character: Ġ is a space, Ċ a newline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise
from typing import Any, Literal, Self

from minitransformer.tokens.merges import Merge, learn_merges
from minitransformer.tokens.tokeniser import (
    END_OF_TEXT,
    Cache,
    Special,
    SpecialNames,
    Tokeniser,
    TokeniserError,
)

VISIBLE = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)}
HIDDEN = [byte for byte in range(256) if byte not in VISIBLE]
CHARACTERS = [
    chr(byte) if byte in VISIBLE else chr(256 + HIDDEN.index(byte)) for byte in range(256)
]
"""The character that stands for each byte: those that cannot be seen come after all others."""

BYTES = {character: byte for byte, character in enumerate(CHARACTERS)}

Split = Literal["gpt-2", "smollm"]

CONTRACTIONS = "'(?:[sdmt]|ll|ve|re)"
SPLITS: dict[Split, str] = {
    "gpt-2": rf"{CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",
    # Each digit is a word, and ends the one before as the end of a text does.
    "smollm": rf"{CONTRACTIONS}| ?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+|\s+(?![^\s\p{{N}}])|\s+",
}
"""What counts as a word, across whose ends nothing is merged: patterns for the package regex."""


@dataclass(frozen=True)
class BytePairs(Tokeniser):
    """Words, as `split` finds them, whose bytes are merged in the order of `merges`.

    further: names of special tokens beside those that `special` numbers, such as <|im_start|>.
    TokeniserError where a merge makes a token that is not in `tokens`, or a token is no bytes.

    >>> pairs = BytePairs.train(["low lower lowest"], 262)
    >>> pairs.spell(pairs.encode("lower low"))
    ['low', 'e', 'r', 'Ġlow']
    >>> pairs.decode(pairs.encode("¡adiós! 👋"))
    '¡adiós! 👋'
    """

    kind = "bpe"

    merges: tuple[Merge, ...] = ()
    split: Split = "gpt-2"
    further: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.split not in SPLITS:
            raise TokeniserError(f"no split {self.split!r}; there are {', '.join(SPLITS)}")
        for name in self.further:
            if name not in self.tokens:
                raise TokeniserError(f"the special token {name!r} is not in the vocabulary")
        for token in self.number_of:
            if not BYTES.keys() >= {*token} or not token:
                raise TokeniserError(f"the token {token!r} does not stand for bytes")
        for left, right in self.merges:
            for token in (left, right, left + right):
                if token not in self.number_of:
                    raise TokeniserError(
                        f"{left!r} and {right!r} are merged, but {token!r} is not in the vocabulary"
                    )

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: SpecialNames = END_OF_TEXT
    ) -> BytePairs:
        """The pairs that occur most often in some texts: see `learn_merges`.

        Tokens are the characters of the 256 bytes, then what is merged. Special tokens come first,
        but END_OF_TEXT comes last, as in GPT-2's vocabulary. TokeniserError for a size below those.
        """
        names = list(dict.fromkeys(special.values()))
        if size is not None and size < 256 + len(names):
            raise TokeniserError(
                f"{size} tokens are too few: the bytes and special tokens are {256 + len(names)}"
            )
        words = Counter(chain.from_iterable(map(pattern_of("gpt-2").findall, texts)))
        spelled = {tuple(CHARACTERS[byte] for byte in x.encode()): n for x, n in words.items()}
        room = None if size is None else size - len(names)
        merges, pieces = learn_merges(spelled, sorted(CHARACTERS), room, str.__add__)
        tokens = (*pieces, *names) if special == END_OF_TEXT else (*names, *pieces)
        return cls(tokens, Special.find(special, tokens), tuple(merges))

    @staticmethod
    def tidy(text: str) -> str:
        """The text: all of it is kept."""
        return text

    @cached_property
    def controls(self) -> frozenset[int]:
        """The numbers of the tokens that stand for no text."""
        further = (place for place, token in enumerate(self.tokens) if token in {*self.further})
        return super().controls.union(further)

    @cached_property
    def _ranks(self) -> dict[tuple[int, int], tuple[int, int]]:
        """For each pair of numbers the place of its merge in the order, and what it becomes."""
        ranks: dict[tuple[int, int], tuple[int, int]] = {}
        number_of = self.number_of
        for rank, (left, right) in enumerate(self.merges):
            ranks.setdefault((number_of[left], number_of[right]), (rank, number_of[left + right]))
        return ranks

    @cached_property
    def _cache(self) -> Cache:
        return Cache(self.read_word)

    @cached_property
    def _of_bytes(self) -> list[int | None]:
        """The number of each byte; a published vocabulary may lack some."""
        return [self.number_of.get(character, self.special.unk) for character in CHARACTERS]

    @cached_property
    def _spelled(self) -> list[bytes]:
        """The bytes of each token."""
        return [
            x.encode() if place in self.controls else bytes(map(BYTES.__getitem__, x))
            for place, x in enumerate(self.tokens)
        ]

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Each token as text, " the" for Ġthe; bytes that are no whole character as \\xe2."""
        return tuple(x.decode(errors="backslashreplace") for x in self._spelled)

    def read(self, text: str) -> list[int]:
        """The numbers of a text's tokens."""
        words = pattern_of(self.split).findall(text)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def read_word(self, word: str) -> list[int]:
        """The numbers of a word's tokens: of the merges that are possible always the first."""
        found = [self._of_bytes[byte] for byte in word.encode()]
        numbers = [number for number in found if number is not None]
        # A queue, since the work for a word of a million letters must not grow by their square.
        following = [*range(1, len(numbers)), -1]
        before = [*range(-1, len(numbers) - 1)]
        ranks = self._ranks
        queue = []
        for place, pair in enumerate(pairwise(numbers)):
            if pair in ranks:
                queue.append((ranks[pair][0], place, *pair))
        heapify(queue)
        while queue:
            _, place, left, right = heappop(queue)
            other = following[place]
            if numbers[place] != left or other < 0 or numbers[other] != right:
                continue  # one of them has been merged with another since
            numbers[place] = ranks[left, right][1]
            numbers[other] = -1
            after = following[place] = following[other]
            if after >= 0:
                before[after] = place
            for a, b in ((before[place], place), (place, after)):
                if a >= 0 and b >= 0 and (numbers[a], numbers[b]) in ranks:
                    pair = numbers[a], numbers[b]
                    heappush(queue, (ranks[pair][0], a, *pair))
        return [number for number in numbers if number >= 0]

    def join(self, numbers: Iterable[int]) -> str:
        """The text that tokens spell; what is not UTF-8 comes out as �."""
        return b"".join(map(self._spelled.__getitem__, numbers)).decode(errors="replace")

    def unknown(self, text: str) -> list[str]:
        """The characters of which a byte is in no token, which published vocabularies may lack."""
        lacking = {byte for byte in range(256) if CHARACTERS[byte] not in self.number_of}
        if not lacking:
            return []
        return [x for x in dict.fromkeys(text) if lacking & {*x.encode()}]

    def state(self) -> dict[str, Any]:
        """All of it, ready for JSON: see `restore`."""
        merges = [f"{left} {right}" for left, right in self.merges]
        rest = {"merges": merges, "split": self.split, "further": list(self.further)}
        return super().state() | rest

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The tokeniser that `state` wrote down. ValueError where it is none."""
        merges = read_merges(state["merges"])
        special = Special(*state["special"])
        return cls(tuple(state["tokens"]), special, merges, state["split"], tuple(state["further"]))


def pattern_of(split: Split) -> Any:
    """What finds the words of a text."""
    import regex  # only where there are sub-words: it takes 25 ms to load

    return regex.compile(SPLITS[split])


def read_merges(lines: Iterable[str]) -> tuple[Merge, ...]:
    """Merges from "Ġ t", as files have them. TokeniserError for what is none.

    >>> read_merges(["Ġ t", "h e"])
    (('Ġ', 't'), ('h', 'e'))
    """
    merges = []
    for number, line in enumerate(lines, 1):
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise TokeniserError(f"merge {number} is {line!r}, not two pieces with a space between")
        merges.append((left, right))
    return tuple(merges)
