"""Everyday: sentences with *bank*, *server* and *check* as people use them, five of each sense.

Those of published models: no word that tells a sense comes twice, but *river* and *money*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Everyday:
    """A word, the two words that each have one of its senses alone, and sentences of each."""

    word: str
    meanings: tuple[str, str]
    sentences: tuple[tuple[str, ...], tuple[str, ...]]

    def texts(self) -> list[str]:
        """All sentences, those of the first sense first."""
        return [text for side in self.sentences for text in side]

    def plain(self, meaning: int) -> list[str]:
        """The sentences of a sense, with the word that has it alone in the place of the other.

        >>> EVERYDAY[0].plain(0)[1]
        'river shore flows'
        """
        word = re.compile(rf"\b{self.word}\b", re.IGNORECASE)
        return [word.sub(self.meanings[meaning], text) for text in self.sentences[meaning]]


EVERYDAY = (
    Everyday("bank", ("shore", "lender"), (
        ("I swam across the river to get to the other bank.",
         "river bank flows",
         "We had a picnic on the bank of the lake.",
         "The boat hit the muddy bank and stopped.",
         "Willows grow along the bank of the stream."),
        ("money bank grows",
         "She deposited her salary at the bank.",
         "The bank refused to give him a loan.",
         "He opened an account at a bank in the city.",
         "The bank raised its interest rates again."),
    )),
    Everyday("server", ("waiter", "computer"), (
        ("Server, can I have the check?",
         "Our server brought the soup and the bread.",
         "The server took our order and smiled.",
         "We left the server a generous tip.",
         "Ask the server for a glass of wine."),
        ("Looks like I just crashed the server.",
         "The server stores all our files.",
         "The page is slow because the server is overloaded.",
         "They installed new software on the server.",
         "Log in to the server with your password."),
    )),
    Everyday("check", ("bill", "payment"), (
        ("Server, can I have the check?",
         "The waiter brought the check after dessert.",
         "Let us split the check, dinner was expensive.",
         "We asked for the check and left a tip.",
         "The check for our lunch came to forty dollars."),
        ("She signed the check and mailed it.",
         "He deposited a check into his account.",
         "The company sent me a check for my work.",
         "The check bounced, there was no money.",
         "Please write a check to the landlord."),
    )),
)  # fmt: skip
