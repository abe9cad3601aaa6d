"""Masked: fill the gaps of sentences, of the bundled grammar or of a text file of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from minitransformer.batch import IGNORE
from minitransformer.forms import Example, Masked
from minitransformer.settings import SettingError, setting
from minitransformer.tasks import english
from minitransformer.tasks.corpus import Corpus
from minitransformer.tasks.files import DataError
from minitransformer.tasks.grammar import pairs
from minitransformer.tasks.task import Examples, held_out_rng, task
from minitransformer.tasks.text import TextFile, Windows
from minitransformer.tokens import Tokeniser
from minitransformer.tokens.tokeniser import BERT
from minitransformer.tokens.words import Words

Texts = Literal["windows", "lines"]


class HasGaps:
    """Data with gaps."""

    test: list[Example]

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """The share of the test's gaps that always the same token would fill: the likeliest one."""
        asked = Counter(x for _, labels in self.test for x in labels if x != IGNORE)
        return {"always_the_most_frequent": max(asked.values()) / asked.total()}


class MaskedWindows(HasGaps, Windows):
    """Windows with gaps, other ones each time."""

    form: Masked

    def example(self, numbers: list[int], rng: np.random.Generator) -> Example:
        return self.form.mask(self.form.source.frame(numbers), rng)


@dataclass(frozen=True)
class MaskedSentences(HasGaps, Examples):
    """Sentences with gaps, other ones each time; those of the test stay the same.

    Each to train on comes with a question of its own, or None: where its pronoun is the one gap,
    and what is asked for is the noun that it means. `pronouns` is how often that is asked.
    """

    form: Masked
    pronouns: float = 0.0

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Sentences of those to train on, with new gaps."""
        return [
            question if question and rng.random() < self.pronouns else self.form.mask(sentence, rng)
            for sentence, question in super().sample(rng, count)
        ]


@task("masked", form="masked", default="bert", tokens="wordpiece", d_ff=128, steps=1500,
      evaluate_every=250)  # fmt: skip
@dataclass(frozen=True)
class FillGaps(TextFile):
    """Fill the gaps of the bundled grammar's sentences, or of a text file of your own."""

    texts: Texts = setting(
        "windows", "what is read at once of --data: windows of --context tokens, or lines"
    )
    pronouns: float = setting(
        0.0, "share of the grammar's sentences with a pronoun in which its noun is asked for"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_no_more("pronouns")
        self.require_share("pronouns")
        if self.data and self.pronouns:
            raise SettingError("<pronouns> are those of the bundled grammar; leave out <data>")

    def load(self, seed: int) -> MaskedWindows | MaskedSentences:
        """The file's windows, see `Windows`, or its lines; or the grammar's sentences."""
        if not self.data:
            training, unseen = english.sentences(seed)
            data = self.one_by_one(Words.train(training, special=BERT), training, unseen, seed)
            return asking_pronouns(data, self.pronouns, seed) if self.pronouns else data
        corpus = self.corpus()
        tokeniser = self.tokeniser_of(corpus, BERT)
        if self.texts == "windows":
            form = Masked(tokeniser, self.context + 2)
            return MaskedWindows(form, corpus, self.context, seed)
        training, unseen = corpus.lines(corpus.training), corpus.lines(corpus.held_out)
        return self.one_by_one(tokeniser, training, unseen, seed, corpus)

    def one_by_one(
        self,
        tokeniser: Tokeniser,
        training: list[str],
        unseen: list[str],
        seed: int,
        corpus: Corpus | None = None,
    ) -> MaskedSentences:
        """Sentences, each by itself; those of a corpus have `context` tokens at most.

        DataError where a corpus has none to train on, or none to hold out.
        """
        most = self.context if corpus else None
        parts = [[tokeniser.encode(text)[:most] for text in part] for part in (training, unseen)]
        rows = [[numbers for numbers in part if len(numbers) > 1] for part in parts]
        if not all(rows):
            raise DataError(f"{self.data}: hardly any tokens in its lines; give more text")
        longest = max(len(numbers) for numbers in chain(*rows)) + 2
        form, rng = Masked(tokeniser, longest), held_out_rng(seed)
        framed = [[tokeniser.frame(numbers) for numbers in part] for part in rows]
        test = [form.mask(source, rng) for source in framed[1]]
        return MaskedSentences(
            name=corpus.path.name if corpus else self.name,
            form=form,
            training=[(source, None) for source in framed[0]],
            test=test,
            test_texts=[(form.text(source), form.write(labels)) for source, labels in test],
            checksum=corpus.checksum if corpus else None,
        )


def asking_pronouns(data: MaskedSentences, share: float, seed: int) -> MaskedSentences:
    """The sentences of the grammar; in a share of those with a pronoun, it is what is asked for."""
    form = data.form
    asked = {
        tuple(form.read(text)): (form.read(english.hide_pronoun(text)), form.read_answer(noun))
        for text, noun in english.referents(pairs(seed)[0]).items()
    }
    training = [(source, asked.get(tuple(source))) for source, _ in data.training]
    return replace(data, training=training, pronouns=share)
