"""A text word by word."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minitransformer.tokens.tokeniser import OWN, SpecialNames, Tokeniser, most_frequent


@dataclass(frozen=True)
class Words(Tokeniser):
    """What stands between white space is a token.

    >>> words = Words.train(["b a", "b"])
    >>> words.encode("b a c"), words.decode([5, 4])
    ([4, 5, 3], 'a b')
    """

    kind = "word"

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: SpecialNames = OWN
    ) -> Words:
        """The most frequent words of some texts."""
        return cls(*most_frequent((x for text in texts for x in text.split()), size, special))

    @staticmethod
    def tidy(text: str) -> str:
        """A text with one space between its words."""
        return " ".join(text.split())

    def read(self, text: str) -> list[int]:
        """The numbers of the words."""
        unk = self.special.unk
        found = (self.number_of.get(x, unk) for x in text.split())
        return [number for number in found if number is not None]

    def join(self, numbers: Iterable[int]) -> str:
        """The words with spaces between."""
        return " ".join(self.spell(numbers))

    def unknown(self, text: str) -> list[str]:
        """The words that are not known."""
        return [x for x in dict.fromkeys(text.split()) if x not in self.number_of]
