"""Masked: fill the gaps of sentences, of the bundled grammar or of a text file of your own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitransformer.forms import Example, Masked
from minitransformer.tasks import english
from minitransformer.tasks.task import Examples, held_out_rng, task
from minitransformer.tasks.text import TextFile, Windows
from minitransformer.tokens.tokeniser import BERT
from minitransformer.tokens.words import Words


class MaskedWindows(Windows):
    """Windows with gaps, other ones each time."""

    form: Masked

    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        return self.form.mask(self.form.source.frame(numbers), rng)


@dataclass(frozen=True)
class MaskedSentences(Examples):
    """Sentences with gaps, other ones each time; those of the test stay the same."""

    form: Masked

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Sentences of those to train on, with new gaps."""
        return [self.form.mask(sentence, rng) for sentence, _ in super().sample(rng, count)]


@task("masked", form="masked", default="bert", tokens="wordpiece", d_ff=128, steps=1500,
      evaluate_every=250)  # fmt: skip
@dataclass(frozen=True)
class FillGaps(TextFile):
    """Fill the gaps of the bundled grammar's sentences, or of a text file of your own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_no_more()

    def load(self, seed: int) -> MaskedWindows | MaskedSentences:
        """The file's windows, see `Windows`; or the grammar's sentences."""
        if not self.data:
            return self.sentences(seed)
        corpus = self.corpus()
        form = Masked(self.tokeniser_of(corpus, BERT), self.context + 2)
        return MaskedWindows(form, corpus, self.context, seed)

    def sentences(self, seed: int) -> MaskedSentences:
        """The sentences of the grammar: see `english.sentences`."""
        training, unseen = english.sentences(seed)
        tokeniser = Words.train(training, special=BERT)
        longest = max(len(tokeniser.encode(text)) for text in (*training, *unseen)) + 2
        form, rng = Masked(tokeniser, longest), held_out_rng(seed)
        test = [form.mask(form.read(text), rng) for text in unseen]
        return MaskedSentences(
            name=self.name,
            form=form,
            training=[(source, source) for source in map(form.read, training)],
            test=test,
            test_texts=[(form.text(source), form.write(labels)) for source, labels in test],
        )
