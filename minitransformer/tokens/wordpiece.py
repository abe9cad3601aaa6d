"""WordPiece: the longest known pieces of words, those inside a word written as ##piece.

Schuster and Nakajima, "Japanese and Korean Voice Search" (2012); as in BERT, Devlin et al. (2019).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Any, Self

from minitransformer.tokens.merges import learn_merges
from minitransformer.tokens.tokeniser import (
    BERT,
    Cache,
    Special,
    SpecialNames,
    Tokeniser,
    TokeniserError,
)

INSIDE = "##"
LONGEST = 100  # characters of a word that is looked at; a longer one is unknown

CHINESE = (
    "\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f"
)
"""Characters that are words: ideographs, with the ranges as BERT has them."""

MARKS = r"\p{P}$+<=>^`|~"
"""Punctuation, and what ASCII has beside it."""


@dataclass(frozen=True)
class WordPiece(Tokeniser):
    """Words, ideographs and punctuation marks, split into the longest pieces that are known.

    A word of which some part is unknown, or of more than 100 characters, is unknown as a whole.
    lower: whether letters are read in lower case and without accents.

    >>> pieces = WordPiece.train(["low lower lowest"], 20)
    >>> pieces.spell(pieces.encode("slower, lowest"))
    ['[UNK]', '[UNK]', 'low', '##e', '##s', '##t']
    >>> pieces.decode(pieces.encode("lower low"))
    'lower low'
    """

    kind = "wordpiece"

    lower: bool = False

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int | None = None,
        special: SpecialNames = BERT,
        lower: bool = False,
    ) -> WordPiece:
        """The pieces of some texts: special tokens, the characters that occur, what is merged.

        As BERT's are trained today, and as the trainer of the package `tokenizers` does: by the
        counts of pairs, see `learn_merges`, and not by how likely a pair makes the text (Schuster
        and Nakajima, section 4). TokeniserError where the characters are more than `size`.
        """
        found = Counter(chain.from_iterable(words_of(text, lower) for text in texts))
        words = {word: times for word, times in found.items() if len(word) <= LONGEST}
        spelled = {(x[0], *(INSIDE + y for y in x[1:])): times for x, times in words.items()}
        characters = {*chain.from_iterable(words)}
        inside = {*chain.from_iterable(word[1:] for word in spelled)}
        names = [*dict.fromkeys(special.values())]
        pieces = sorted(characters), sorted(inside)
        least = len(names) + sum(map(len, pieces))
        if size is not None and size < least:
            raise TokeniserError(
                f"{size} tokens are too few: characters and special tokens are {least}"
            )
        room = None if size is None else size - len(names)
        _, learned = learn_merges(spelled, chain(*pieces), room, join_pieces)
        tokens = (*names, *(piece for piece in learned if piece not in names))
        return cls(tokens, Special.find(special, tokens), lower)

    @staticmethod
    def tidy(text: str) -> str:
        """A text with a space between its words and marks."""
        return " ".join(words_of(text, lower=False))

    def read(self, text: str) -> list[int]:
        """The numbers of the pieces."""
        words = words_of(text, self.lower)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    @cached_property
    def _cache(self) -> Cache:
        return Cache(self.read_word)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.words), default=0)

    def read_word(self, word: str) -> list[int]:
        """The numbers of a word's pieces, from the left always the longest that is known."""
        found: list[int] = []
        start, unk = 0, self.special.unk
        while start < len(word) <= LONGEST:
            inside = INSIDE if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                number = self.number_of.get(inside + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                break
        if start < len(word):
            return [] if unk is None else [unk]
        return found

    def join(self, numbers: Iterable[int]) -> str:
        """Words and marks with spaces between."""
        return " ".join(self.spell(numbers)).replace(f" {INSIDE}", "")

    def unknown(self, text: str) -> list[str]:
        """The words that are read as `unk`."""
        unk = [] if self.special.unk is None else [self.special.unk]
        words = dict.fromkeys(words_of(text, self.lower))
        return [word for word in words if self.read_word(word) == unk]

    def state(self) -> dict[str, Any]:
        """All of it, ready for JSON: see `restore`."""
        return super().state() | {"lower": self.lower}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The tokeniser that `state` wrote down. TokeniserError where it is none."""
        return cls(tuple(state["tokens"]), Special(*state["special"]), state["lower"])


def join_pieces(left: str, right: str) -> str:
    """One piece of two neighbours.

    >>> join_pieces("##a", "##b")
    '##ab'
    """
    return left + right.removeprefix(INSIDE)


def words_of(text: str, lower: bool) -> list[str]:
    """The words, ideographs and punctuation marks of a text, without control characters.

    >>> words_of("Ça va?", lower=True)
    ['ca', 'va', '?']
    """
    control, accent, word = patterns()
    text = control.sub("", text)
    if lower:
        # "Σ" by itself, for a character's lower case must not depend on what comes after it.
        text = accent.sub("", unicodedata.normalize("NFD", text)).replace("Σ", "σ").lower()
    found: list[str] = word.findall(text)
    return found


@cache
def patterns() -> tuple[Any, Any, Any]:
    """What finds control characters, accents and words."""
    import regex  # only where there are sub-words: it takes 25 ms to load

    return (
        regex.compile(r"[\p{Cc}\p{Cf}\p{Co}\ufffd--[\t\n\r]]", regex.V1),
        regex.compile(r"\p{Mn}"),
        regex.compile(rf"[{CHINESE}{MARKS}]|[^\s{CHINESE}{MARKS}]+"),
    )
