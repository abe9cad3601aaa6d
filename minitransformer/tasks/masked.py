"""Masked: fill the gaps of sentences, of the bundled grammar or of a text file of your own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from minitransformer.forms import Example, Masked
from minitransformer.settings import SettingError
from minitransformer.tasks import english
from minitransformer.tasks.task import Data, held_out_rng, task
from minitransformer.tasks.text import TextFile, Windows, train_tokeniser
from minitransformer.tokens.tokeniser import BERT
from minitransformer.tokens.words import Words


class MaskedWindows(Windows):
    """Windows with gaps, other ones each time."""

    form: Masked

    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        return self.form.mask(self.form.source.frame(numbers), rng)


class MaskedSentences:
    """Sentences with gaps, other ones each time; some are held out, whose gaps stay the same."""

    checksum: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, name: str, training: list[str], unseen: list[str], seed: int) -> None:
        self.name = name
        tokeniser = Words.train(training, special=BERT)
        longest = max(len(tokeniser.encode(text)) for text in (*training, *unseen)) + 2
        self.form = Masked(tokeniser, longest)
        self.training = [self.form.read(text) for text in training]
        rng = held_out_rng(seed)
        self.test = [self.form.mask(self.form.read(text), rng) for text in unseen]
        self.test_texts = [
            (self.form.text(source), self.form.write(labels)) for source, labels in self.test
        ]

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Sentences of those to train on, with new gaps."""
        places = rng.integers(len(self.training), size=count).tolist()
        return [self.form.mask(self.training[place], rng) for place in places]

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """Nothing but how many gaps are filled right."""
        return {}


@task("masked", form="masked", default="bert", tokens="wordpiece", d_ff=128, steps=1500,
      evaluate_every=250)  # fmt: skip
@dataclass(frozen=True)
class FillGaps(TextFile):
    """Fill the gaps of the bundled grammar's sentences, or of a text file of your own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in fields(self):
            usual = self.defaults.get(each.name, each.default)
            if not self.data and getattr(self, each.name) not in (each.default, usual):
                raise SettingError(f"<{each.name}> is about <data>: name a file, or leave it out")

    def load(self, seed: int) -> Data:
        """The file's windows, see `Windows`; or the grammar's sentences."""
        if not self.data:
            return MaskedSentences(self.name, *english.sentences(seed), seed)
        corpus = self.corpus()
        form = Masked(train_tokeniser(self, corpus, BERT), self.context + 2)
        return MaskedWindows(self, form, corpus, seed)
