"""Text: write what comes next, as the bundled novel or a text file of your own goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minigrad.files import StrPath
from minitransformer.forms import Example, Masked, Text
from minitransformer.settings import setting
from minitransformer.tasks.corpus import NOVEL, Corpus
from minitransformer.tasks.files import DataError, FileSettings
from minitransformer.tasks.task import held_out_rng, task
from minitransformer.tokens import TOKENISERS, Tokeniser
from minitransformer.tokens.tokeniser import END_OF_TEXT, SpecialNames

BYTES = 6
"""Of a token of English, generously: how much text it takes to have enough of them."""

TRAINED_ON, PIECES = 2 << 20, 64
"""Bytes of a text, at most, that its tokeniser is trained on, and of how many pieces they are."""

MOST_WORDS = 30_000
"""Words, or characters, that are tokens, at most: the most frequent ones; others are unknown."""

LOSSY = ("word", "wordpiece")
"""Tokens of which a text does not come back as it was."""

HELD_OUT, STRETCHES = 64_000, 100
"""Tokens, about, that a model is evaluated on, and from how many places they are, at most."""

ATTEMPTS = 100
"""Windows drawn in vain, of white space that the tokeniser drops, before a text is given up."""


@dataclass(frozen=True)
class TextFile(FileSettings):
    """A text file, or the bundled novel; how to read it, and how much of it to hold out."""

    context: int = setting(64, "tokens that a model reads at once", least=2, most=100_000)

    def corpus(self) -> Corpus:
        """The text."""
        return Corpus(self.data or NOVEL, self.held_out)

    def tokeniser_of(self, corpus: Corpus, special: SpecialNames) -> Tokeniser:
        """A tokeniser trained on a corpus' first part, or on pieces of that if it is long."""
        if self.tokens != "bpe":  # which has a token for each byte, so nothing is unknown to it
            special = {**special, "unk": special.get("unk", "<unk>")}
        sample = corpus.pieces(corpus.training, TRAINED_ON // PIECES, PIECES)
        return self.tokeniser(sample, special, MOST_WORDS)


class Windows(ABC):
    """Windows of a text, of `length` tokens at most: to train on, from anywhere in its first part;
    and to test with, those of its last part in a row, or some of them if it is long.

    DataError where nothing is left to train on or to hold out.
    """

    overlap = 0
    """How many tokens of a window are those of the next one too, where windows are in a row."""

    checksum: int | None
    notes: tuple[str, ...] = ()

    def __init__(self, form: Text | Masked, corpus: Corpus, length: int, seed: int) -> None:
        self.form, self.corpus, self.length = form, corpus, length
        self.name = corpus.path.stem if corpus.path == NOVEL else corpus.path.name
        self.checksum = corpus.checksum
        windows = [*self.held_out()]
        if not windows:
            raise DataError(f"{corpus.path}: hardly any tokens to hold out; give more text")
        rng = held_out_rng(seed)
        self.draw(rng)  # so that a text without tokens to train on is refused before a run begins
        chosen = rng.permutation(len(windows))[: max(1, HELD_OUT // length)]
        self.test = [self.example(windows[place], rng) for place in chosen]
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
        """The tokens of a window of the part to train on."""
        for _ in range(ATTEMPTS):
            numbers = self.form.source.encode(self.corpus.draw(rng, BYTES * self.length))
            if len(numbers) > 1:
                start = int(rng.integers(max(1, len(numbers) - self.length + 1)))
                return numbers[start : start + self.length]
        raise DataError(f"{self.corpus.path}: hardly any tokens to train on; give more text")

    def held_out(self) -> Iterator[list[int]]:
        """The tokens of windows of the part that is held out, one stretch of it after the other."""
        stretches = max(1, min(STRETCHES, HELD_OUT // self.length))
        size = BYTES * max(self.length, HELD_OUT // STRETCHES)
        for piece in self.corpus.pieces(self.corpus.held_out, size, stretches):
            numbers = self.form.source.encode(piece)
            for start in range(0, len(numbers) - 1, self.length - self.overlap):
                yield numbers[start : start + self.length]


class NextTokens(Windows):
    """Windows in which each token is asked for where those before it are read."""

    overlap = 1  # the last token of a window is only asked for, and the next one begins with it

    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        return numbers[:-1], numbers[1:]


def tokenisers_of_text(path: StrPath | None = None) -> dict[str, Tokeniser]:
    """A tokeniser of each kind, as task text trains it on a file, or on the bundled novel."""
    settings = [NextToken(data=str(path or ""), tokens=kind) for kind in TOKENISERS]
    corpus = settings[0].corpus()
    return {each.tokens: each.tokeniser_of(corpus, END_OF_TEXT) for each in settings}


@task("text", form="text", default="gpt", tokens="bpe", steps=1800, batch_size=16,
      learning_rate=3e-3, weight_decay=0.1, evaluate_every=250)  # fmt: skip
@dataclass(frozen=True)
class NextToken(TextFile):
    """Write what comes next in a novel, or in a text file of your own."""

    def load(self, seed: int) -> Windows:
        """The text's windows: see `Windows`."""
        corpus = self.corpus()
        form = Text(self.tokeniser_of(corpus, END_OF_TEXT), self.context)
        windows = NextTokens(form, corpus, self.context + 1, seed)
        if self.tokens in LOSSY:
            windows.notes = (
                f"--tokens {self.tokens} knows not every word, nor where lines end, and what it "
                "does not know costs it nothing: its bits per character compare with its own alone",
            )
        return windows
