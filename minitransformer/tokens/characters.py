"""A text character by character."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from minitransformer.tokens.tokeniser import OWN, SpecialNames, Tokeniser, most_frequent


@dataclass(frozen=True)
class Characters(Tokeniser):
    """Each character is a token. White space at either end of a text does not count.

    >>> characters = Characters.train(["abba"])
    >>> characters.encode("ab?"), characters.decode([5, 4])
    ([4, 5, 3], 'ba')
    """

    kind = "char"

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int | None = None, special: SpecialNames = OWN
    ) -> Characters:
        """The most frequent characters of some texts."""
        return cls(*most_frequent(chain.from_iterable(map(cls.tidy, texts)), size, special))

    @staticmethod
    def tidy(text: str) -> str:
        """A text without white space around it."""
        return text.strip()

    def read(self, text: str) -> list[int]:
        """The numbers of the characters."""
        unk = self.special.unk
        found = (self.number_of.get(x, unk) for x in self.tidy(text))
        return [number for number in found if number is not None]

    def join(self, numbers: Iterable[int]) -> str:
        """The characters, one behind the other."""
        return "".join(self.spell(numbers))

    def unknown(self, text: str) -> list[str]:
        """The characters that are not known."""
        return [x for x in dict.fromkeys(self.tidy(text)) if x not in self.number_of]
