"""Text: write what comes next, as the bundled novel or a text file of your own goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from minigrad.files import StrPath
from minitransformer.forms import Example, Masked, Text
from minitransformer.settings import Group, SettingError, setting
from minitransformer.tasks.corpus import NOVEL, Corpus
from minitransformer.tasks.files import DataError
from minitransformer.tasks.task import held_out_rng, task
from minitransformer.tokens import SUBWORDS, TOKENISERS, Tokeniser, TokenKind
from minitransformer.tokens.tokeniser import END_OF_TEXT, SpecialNames

BYTES = 6
"""Of a token of English, generously: how much text it takes to have enough of them."""

TRAINED_ON, PIECES = 8 << 20, 64
"""Bytes of a text, at most, that its tokeniser is trained on, and of how many pieces they are."""

HELD_OUT = 1000
"""Windows, at most, that a model is evaluated on."""

WINDOWS = 10
"""Windows in a row, at least, where the held-out part has more than can be taken."""

OF_BYTES: tuple[TokenKind, ...] = ("bpe",)
"""Tokens that can spell any text."""

ATTEMPTS = 100
"""Windows drawn in vain, of white space that the tokeniser drops, before a text is given up."""


@dataclass(frozen=True)
class TextFile(Group):
    """A text file, or the bundled novel; how to read it, and how much of it to hold out."""

    data: str = setting("", "file of your own examples: lines with one tab, or a .csv")
    tokens: TokenKind = setting("word", "what a token is in --data")
    subwords: int = setting(
        1000, "tokens at most, where they are sub-words: bpe, wordpiece", least=300, most=200_000
    )
    context: int = setting(64, "tokens that a model reads at once", least=2, most=100_000)
    held_out: float = setting(0.1, "share of --data kept for testing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise SettingError(f"<held_out> is a share between 0 and 1, not {self.held_out}")

    def corpus(self) -> Corpus:
        """The text."""
        return Corpus(self.data or NOVEL, self.held_out)


class Windows(ABC):
    """Windows of a text: any of its first part to train on, and those of the last part in a row.

    A window begins where a word ends. DataError where nothing is left to train on or to hold out.
    """

    checksum: int | None
    notes: tuple[str, ...] = ()

    def __init__(self, settings: TextFile, form: Text | Masked, corpus: Corpus, seed: int) -> None:
        self.corpus, self.form, self.length = corpus, form, settings.context
        self.name = Path(settings.data).name or corpus.path.stem
        self.checksum = corpus.checksum
        rng = held_out_rng(seed)
        windows = [*islice(self.held_out(), HELD_OUT)]
        if not windows:
            raise DataError(f"{corpus.path}: hardly any tokens to hold out; give more text")
        self.draw(rng)  # so that a text without tokens to train on is refused before a run begins
        self.test = [self.example(windows[i], rng) for i in rng.permutation(len(windows))]
        self.test_texts = [(form.text(source), form.write(answer)) for source, answer in self.test]

    @abstractmethod
    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        """What is asked of the tokens of a window, of which there are at least two."""

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Windows from anywhere in the part to train on."""
        return [self.example(self.draw(rng), rng) for _ in range(count)]

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """Nothing but how likely the text is."""
        return {}

    def draw(self, rng: np.random.Generator) -> list[int]:
        """The tokens of a window from anywhere in the part to train on."""
        for _ in range(ATTEMPTS):
            text = self.corpus.draw(rng, BYTES * self.length)
            numbers = self.form.source.encode(text)[: self.length]
            if len(numbers) > 1:
                return numbers
        raise DataError(f"{self.corpus.path}: hardly any tokens to train on; give more text")

    def held_out(self) -> Iterator[list[int]]:
        """The tokens of windows of the part that is held out."""
        size = BYTES * self.length * WINDOWS
        for piece in self.corpus.pieces(self.corpus.held_out, size, HELD_OUT // WINDOWS):
            numbers = self.form.source.encode(piece)
            for start in range(0, len(numbers) - 1, self.length - 1):
                yield numbers[start : start + self.length]


class NextTokens(Windows):
    """Windows in which each token is asked for where those before it are read."""

    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        return numbers[:-1], numbers[1:]


def train_tokeniser(settings: TextFile, corpus: Corpus, special: SpecialNames) -> Tokeniser:
    """A tokeniser for a corpus, trained on its first part, or on pieces of that if it is long."""
    sample = corpus.pieces(corpus.training, TRAINED_ON // PIECES, PIECES)
    if settings.tokens not in OF_BYTES:
        special = {"unk": "<unk>", **special}
    size = settings.subwords if settings.tokens in SUBWORDS else None
    return TOKENISERS[settings.tokens].train(sample, size, special)


def tokenisers_of_text(path: StrPath | None = None) -> dict[str, Tokeniser]:
    """A tokeniser of each kind, as task text trains it on a file, or on the bundled novel."""
    settings = [NextToken(data=str(path or ""), tokens=kind) for kind in TOKENISERS]
    corpus = settings[0].corpus()
    return {each.tokens: train_tokeniser(each, corpus, END_OF_TEXT) for each in settings}


@task("text", form="text", default="gpt", tokens="bpe", steps=1500, batch_size=16,
      learning_rate=3e-3, weight_decay=0.1, evaluate_every=250)  # fmt: skip
@dataclass(frozen=True)
class NextToken(TextFile):
    """Write what comes next in a novel, or in a text file of your own."""

    def load(self, seed: int) -> Windows:
        """The text's windows: see `Windows`."""
        corpus = self.corpus()
        form = Text(train_tokeniser(self, corpus, END_OF_TEXT), self.context)
        # One token more than a model reads: the last one is only asked for.
        return NextTokens(replace(self, context=self.context + 1), form, corpus, seed)
