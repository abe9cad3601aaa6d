"""Vocabulary and Tokeniser: a text is split into tokens, and each token has a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

TokenKind = Literal["word", "char"]


class Special(NamedTuple):
    """The numbers of the tokens that stand for no text."""

    pad: int = 0
    bos: int = 1
    eos: int = 2
    unk: int = 3


def tokenize(text: str, tokens: TokenKind) -> list[str]:
    """The words of a text, or its characters. White space at either end does not count.

    >>> tokenize("3 1  4", "word")
    ['3', '1', '4']
    >>> tokenize("May 3", "char")
    ['M', 'a', 'y', ' ', '3']
    """
    if tokens == "word":
        return text.split()
    if tokens == "char":
        return list(text.strip())
    raise ValueError(f"tokens must be 'word' or 'char', not {tokens!r}")


def detokenize(pieces: Iterable[str], tokens: TokenKind) -> str:
    """The text that `pieces` spell: words with a space between, characters with nothing."""
    return (" " if tokens == "word" else "").join(pieces)


@dataclass(frozen=True)
class Vocabulary:
    """A numbered list of distinct tokens: a token's id is its place, the special tokens come first.

    ValueError when `tokens` does not begin with `names`, those of `special`, or repeats a token.

    >>> vocabulary = Vocabulary.build([["b", "a"], ["b"]])
    >>> vocabulary.tokens
    ('<pad>', '<bos>', '<eos>', '<unk>', 'b', 'a')
    >>> vocabulary.encode(["a", "b", "c"])
    [5, 4, 3]
    >>> vocabulary.decode([1, 5, 4, 2, 4, 0])
    ['a', 'b']
    """

    names: ClassVar = ("<pad>", "<bos>", "<eos>", "<unk>")
    special: ClassVar = Special()

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[: len(self.names)] != self.names:
            raise ValueError(f"a vocabulary must begin with {' '.join(self.names)}")
        if not all(isinstance(token, str) for token in self.tokens):
            raise ValueError("a vocabulary must hold strings only")
        if len(set(self.tokens)) < len(self.tokens):
            token, count = Counter(self.tokens).most_common(1)[0]
            raise ValueError(f"a vocabulary must hold each token once, not {token!r} {count} times")

    @classmethod
    def build(cls, sequences: Iterable[Iterable[str]]) -> Vocabulary:
        """The vocabulary of the tokens that occur.

        The most frequent comes first and ties are in alphabetical order, so that the same
        sequences give the same ids in whatever order they come.
        """
        counts = Counter(chain.from_iterable(sequences))
        tokens = sorted(counts.keys() - cls.names, key=lambda token: (-counts[token], token))
        return cls((*cls.names, *tokens))

    @property
    def words(self) -> tuple[str, ...]:
        """The tokens that stand for text: all but the special ones."""
        return self.tokens[len(self.names) :]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _ids(self) -> dict[str, int]:
        # No special tokens: a text that contains "<eos>" must not be able to end a sequence.
        return {token: number for number, token in enumerate(self.words, len(self.names))}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token, `unk` for those that are not in the vocabulary."""
        return [self._ids.get(token, self.special.unk) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens up to the first `eos`, without `pad` and `bos`."""
        tokens = []
        for number in ids:
            if number == self.special.eos:
                break
            if number not in (self.special.pad, self.special.bos):
                tokens.append(self.tokens[number])
        return tokens

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """Those of the tokens that `encode` would turn into `unk`, each once."""
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]


@dataclass(frozen=True)
class Tokeniser:
    """A vocabulary, and how a text is split into its tokens: texts to numbers and back.

    >>> tokeniser = Tokeniser(Vocabulary.build([["a", "b"]]), "word")
    >>> tokeniser.encode("b a c"), tokeniser.decode([5, 4])
    ([5, 4, 3], 'b a')
    """

    vocabulary: Vocabulary
    kind: TokenKind

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def special(self) -> Special:
        """The numbers of the tokens that stand for no text."""
        return self.vocabulary.special

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's tokens."""
        return self.vocabulary.encode(tokenize(text, self.kind))

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that token numbers spell."""
        return detokenize(self.vocabulary.decode(numbers), self.kind)

    def spell(self, numbers: Iterable[int]) -> list[str]:
        """Each token as it is written, special ones too."""
        return [self.vocabulary.tokens[number] for number in numbers]

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that are not in the vocabulary, each once."""
        return self.vocabulary.unknown(tokenize(text, self.kind))
