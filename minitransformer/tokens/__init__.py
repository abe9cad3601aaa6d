"""Text becomes numbers: reading it, splitting it, numbering its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minitransformer.tokens.bpe import BytePairs
from minitransformer.tokens.characters import Characters
from minitransformer.tokens.tokeniser import Special, Tokeniser, TokenKind
from minitransformer.tokens.wordpiece import WordPiece
from minitransformer.tokens.words import Words

__all__ = [
    "SUBWORDS",
    "TOKENISERS",
    "BytePairs",
    "Characters",
    "Special",
    "TokenKind",
    "Tokeniser",
    "WordPiece",
    "Words",
    "restore",
]

TOKENISERS: dict[TokenKind, type[Tokeniser]] = {
    x.kind: x for x in (Words, Characters, BytePairs, WordPiece)
}
"""Each way to split a text by its name."""

SUBWORDS: tuple[TokenKind, ...] = ("bpe", "wordpiece")
"""Those of which there are as many tokens as one likes."""


def restore(state: Mapping[str, Any]) -> Tokeniser:
    """The tokeniser that its `state` wrote down."""
    return TOKENISERS[state["kind"]].restore(state)
