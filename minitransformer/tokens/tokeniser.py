"""Tokeniser: what splits a text into tokens, each of which has a number, and puts it together."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

TokenKind = Literal["word", "char", "bpe", "wordpiece"]

SpecialNames = Mapping[str, str]
"""What the special tokens are called, by the fields of Special, in the order of their numbers."""

OWN = {"pad": "<pad>", "bos": "<bos>", "eos": "<eos>", "unk": "<unk>"}
"""For questions and answers."""

BERT = {"pad": "[PAD]", "unk": "[UNK]", "bos": "[CLS]", "eos": "[SEP]", "mask": "[MASK]"}
"""For texts that are read as a whole: Devlin et al. (2019), section 3."""

END_OF_TEXT = dict.fromkeys(("pad", "bos", "eos"), "<|endoftext|>")
"""For one endless text, as GPT-2 reads it: a single token that stands between documents."""


class TokeniserError(ValueError):
    """A vocabulary, or a file of one, that cannot be used; the message is one line."""


class Special(NamedTuple):
    """The numbers of the special tokens; None where there is no such token."""

    pad: int = 0
    bos: int = 1
    eos: int = 2
    unk: int | None = 3
    mask: int | None = None

    @classmethod
    def find(cls, names: SpecialNames, tokens: Iterable[str]) -> Special:
        """The numbers of named tokens, each at its place. TokeniserError where one is missing.

        >>> Special.find(BERT, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"])
        Special(pad=0, bos=2, eos=3, unk=1, mask=4)
        """
        places = {token: place for place, token in enumerate(tokens)}
        for name in names.values():
            if name not in places:
                raise TokeniserError(f"a vocabulary needs the token {name}")
        found = {task: places[name] for task, name in names.items()}
        return cls(found["pad"], found["bos"], found["eos"], found.get("unk"), found.get("mask"))


class Cache(dict[str, list[int]]):
    """The numbers of words that have come up lately, so that text is read fast; never many."""

    MOST = 1 << 16
    LONGEST = 64  # characters of a word that is kept

    def __init__(self, read: Callable[[str], list[int]]) -> None:
        self.read = read

    def __missing__(self, word: str) -> list[int]:
        numbers = self.read(word)
        if len(word) <= self.LONGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[word] = numbers
        return numbers


@dataclass(frozen=True)
class Tokeniser(ABC):
    """A numbered list of distinct tokens, a token's number its place, and how text is split.

    TokeniserError for `tokens` that are no such list, or that lack one of the `special` numbers.
    """

    kind: ClassVar[TokenKind]

    tokens: tuple[str, ...]
    special: Special = Special()

    def __post_init__(self) -> None:
        if not all(isinstance(token, str) for token in self.tokens):
            raise TokeniserError("a vocabulary must hold strings only")
        if len(set(self.tokens)) < len(self.tokens):
            token, count = Counter(self.tokens).most_common(1)[0]
            raise TokeniserError(
                f"a vocabulary must hold each token once, not {token!r} {count} times"
            )
        if not all(0 <= number < len(self.tokens) for number in self.controls):
            raise TokeniserError(
                f"{len(self.tokens)} tokens are too few for special tokens up to number "
                f"{max(self.controls)}"
            )

    @classmethod
    @abstractmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: SpecialNames = OWN
    ) -> Self:
        """A tokeniser for texts like these, of at most `size` tokens; the same texts, the same one.

        size: counts the special tokens too; None takes as many as the texts have.
        """

    @staticmethod
    @abstractmethod
    def tidy(text: str) -> str:
        """A text without what no tokeniser of this kind keeps of it, such as runs of spaces."""

    @abstractmethod
    def read(self, text: str) -> list[int]:
        """The numbers of a text's tokens. What looks like a special token is text as well."""

    @abstractmethod
    def join(self, numbers: Iterable[int]) -> str:
        """The text that tokens spell, `unk` and `mask` written as what they are called."""

    @abstractmethod
    def unknown(self, text: str) -> list[str]:
        """What of a text `encode` would turn into `unk`, each piece once."""

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def controls(self) -> frozenset[int]:
        """The numbers of the tokens that stand for no text."""
        return frozenset(number for number in self.special if number is not None)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The tokens that stand for text, in order."""
        return tuple(x for place, x in enumerate(self.tokens) if place not in self.controls)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Each token as a reader should see it: as the text that it stands for."""
        return self.tokens

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The number of each token that stands for text.

        A text that contains "<eos>" must not be able to end a sequence.
        """
        return {x: place for place, x in enumerate(self.tokens) if place not in self.controls}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The numbers of a text's tokens.

        special: whether the name of a special token, such as [MASK], stands for that token;
        otherwise it is text like any other.
        """
        if not special:
            return self.read(text)
        called = {self.tokens[number]: number for number in self.controls}
        pattern = "|".join(map(re.escape, sorted(called, key=len, reverse=True)))
        parts = re.split(f"({pattern})", text)  # every second one is a name
        found = (
            [called[part]] if place % 2 else self.read(part) for place, part in enumerate(parts)
        )
        return [number for numbers in found for number in numbers]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that token numbers spell, up to the first `eos`.

        Of special tokens, `unk` and `mask` are written as they are called and the others left out.
        """
        kept: list[int] = []
        for place, number in enumerate(map(int, numbers)):
            if number == self.special.eos and (place or number != self.special.bos):
                break
            if number not in self.controls or number in (self.special.unk, self.special.mask):
                kept.append(number)
        return self.join(kept)

    def frame(self, numbers: Sequence[int]) -> list[int]:
        """A text's tokens as a model reads them: between [CLS] and [SEP], if there is a [MASK]."""
        if self.special.mask is None:
            return [*numbers]
        return [self.special.bos, *numbers, self.special.eos]

    def extended(self, texts: Iterable[str]) -> Self:
        """The same tokeniser, which also knows what of these texts it does not; this comes last."""
        unknown = (x for text in texts for x in self.unknown(text))
        return replace(self, tokens=tuple(dict.fromkeys((*self.tokens, *unknown))))

    def spell(self, numbers: Iterable[int]) -> list[str]:
        """Each token as it is written, special ones too."""
        return [self.tokens[number] for number in numbers]

    def show(self, numbers: Iterable[int]) -> list[str]:
        """Each token as a reader should see it: see `shown`."""
        return [self.shown[number] for number in numbers]

    def state(self) -> dict[str, Any]:
        """All of it, ready for JSON: see `restore`."""
        return {"kind": self.kind, "tokens": list(self.tokens), "special": list(self.special)}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The tokeniser that `state` wrote down. TokeniserError where it is none."""
        return cls(tuple(state["tokens"]), Special(*state["special"]))


def most_frequent(
    pieces: Iterable[str], size: int | None, special: SpecialNames
) -> tuple[tuple[str, ...], Special]:
    """The special tokens and, after them, the pieces that occur: at most `size` in all.

    The most frequent comes first and ties are in alphabetical order, so that the same pieces give
    the same numbers in whatever order they come.

    >>> most_frequent(["b", "a", "b"], None, OWN)[0]
    ('<pad>', '<bos>', '<eos>', '<unk>', 'b', 'a')
    """
    names = tuple(dict.fromkeys(special.values()))
    counts = Counter(pieces)
    ranked = sorted(counts.keys() - names, key=lambda piece: (-counts[piece], piece))
    tokens = (*names, *ranked)[:size]
    return tokens, Special.find(special, tokens)
