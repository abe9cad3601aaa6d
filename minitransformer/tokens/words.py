"""A text word by word, and mark by mark."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from minitransformer.tokens.tokeniser import (
    OWN,
    Cache,
    SpecialNames,
    Tokeniser,
    most_frequent,
)

JOINER = "￭"
"""Stands at the sides of a mark that no space is at, as in the Tokenizer of OpenNMT: then the text
can be put together again."""

LETTERS = r"[\p{L}\p{M}\p{N}_]+"
INSIDE = "['’\u00ad\u200c\u200d]"  # apostrophes, soft hyphens, and what keeps letters apart
PIECES = rf"{LETTERS}(?:{INSIDE}{LETTERS})*|\X"
"""A word; or a mark, which is all that a reader takes for one character. For the package regex."""


@dataclass(frozen=True)
class Words(Tokeniser):
    """Words are tokens, and so are punctuation marks.

    A piece that is not known as it is written is read as the same word in lower case, or as the
    same mark beside other spaces, if that is known.

    >>> words = Words.train(["hello, world!"])
    >>> words.spell(words.encode("Hello, world!"))
    ['hello', '￭,', 'world', '￭!']
    >>> words.decode(words.encode("World, hello, hello!"))
    'world, hello, hello!'
    """

    kind = "word"

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: SpecialNames = OWN
    ) -> Words:
        """The most frequent words and marks of some texts."""
        chunks = chain.from_iterable(map(chunks_of, texts))
        return cls(*most_frequent(chain.from_iterable(map(pieces_of, chunks)), size, special))

    @staticmethod
    def tidy(text: str) -> str:
        """A text with one space between its words."""
        return " ".join(chunks_of(text))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Each token with squares for joiners, of which hardly any font has the character."""
        return tuple(token.replace(JOINER, "▪") for token in self.tokens)

    def read(self, text: str) -> list[int]:
        """The numbers of the words and marks."""
        return list(chain.from_iterable(map(self._cache.__getitem__, chunks_of(text))))

    @cached_property
    def _cache(self) -> Cache:
        return Cache(self.read_chunk)

    def read_chunk(self, chunk: str) -> list[int]:
        """The numbers of what stands between white space."""
        found = (self.find(piece) for piece in self.split(chunk))
        numbers = (self.special.unk if number is None else number for number in found)
        return [number for number in numbers if number is not None]

    def split(self, chunk: str) -> list[str]:
        """The pieces of what stands between white space, which may be known as a whole."""
        is_known = chunk in self.number_of or chunk.lower() in self.number_of
        return [chunk] if is_known else pieces_of(chunk)

    def find(self, piece: str) -> int | None:
        """The number of a piece, or of one that may stand for it."""
        mark = piece.strip(JOINER)
        beside = mark, JOINER + mark, mark + JOINER, JOINER + mark + JOINER
        candidates = (self.number_of.get(x) for x in (piece, piece.lower(), *beside))
        return next((number for number in candidates if number is not None), None)

    def join(self, numbers: Iterable[int]) -> str:
        """Words with a space between, marks with one where they have no joiner."""
        spaced = " ".join(self.spell(numbers))
        for glued in (f"{JOINER} {JOINER}", f"{JOINER} ", f" {JOINER}", JOINER):
            spaced = spaced.replace(glued, "")
        return spaced

    def unknown(self, text: str) -> list[str]:
        """The words and marks that nothing known can stand for."""
        pieces = chain.from_iterable(map(self.split, chunks_of(text)))
        return [x.strip(JOINER) for x in dict.fromkeys(pieces) if self.find(x) is None]


def chunks_of(text: str) -> list[str]:
    """What stands between white space. A joiner in it becomes the square that it is a form of."""
    return text.replace(JOINER, "■").split()


def pieces_of(chunk: str) -> list[str]:
    """The words and marks of what stands between white space.

    >>> pieces_of("¡let's"), pieces_of("2020-01")
    (['¡￭', "let's"], ['2020', '￭-￭', '01'])
    """
    if chunk.isalnum():
        return [chunk]
    import regex  # only where it is needed: it takes 25 ms to load

    found = regex.findall(PIECES, chunk)
    last = len(found) - 1
    is_word = regex.compile(LETTERS).match
    return [
        piece if is_word(piece) else JOINER * (place > 0) + piece + JOINER * (place < last)
        for place, piece in enumerate(found)
    ]
