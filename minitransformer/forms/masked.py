"""Masked: a text with gaps, and the token that stood in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from minigrad.mode import no_grad
from minigrad.nn import Module
from minigrad.tensor import Array
from minitransformer.batch import IGNORE, Batch, Shape, pad_rows
from minitransformer.decoding import evaluating, require_finite_logits
from minitransformer.forms.form import Example, Found, OneText, require_length
from minitransformer.tokens import restore

EXCERPT = 24
"""Tokens of a text that are shown, to see what a model has learned."""

SHARE = 0.15
"""Of the tokens, those that are asked for: Devlin et al., "BERT" (2019), section 3.1."""


@dataclass(frozen=True)
class Masked(OneText):
    """Texts of at most `max_source` tokens, [CLS] before and [SEP] after them counted too."""

    name: ClassVar = "masked"
    metric: ClassVar = "masked_accuracy"
    perfect: ClassVar[float | None] = None
    command: ClassVar = "fill"

    max_source: int

    @property
    def gap(self) -> int:
        """The number of [MASK]."""
        assert self.source.special.mask is not None, "a tokeniser without [MASK]"
        return self.source.special.mask

    @property
    def shape(self) -> Shape:
        """What these texts ask of a model."""
        size, length = len(self.source), self.max_source
        return Shape(self.name, size, size, length, length, self.source.special.pad)

    @property
    def choices(self) -> tuple[str, ...]:
        """What a model chooses from at each place."""
        return self.source.shown

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The batch of some (tokens read, tokens asked for or IGNORE): (B, S) and (B, S)."""
        read = [[*source] for source, _ in examples]
        return Batch(
            inputs=(pad_rows(read, self.source.special.pad),),
            labels=pad_rows([labels_of(*example, self.gap) for example in examples], IGNORE),
            tokens=sum(map(len, read)),
        )

    def mask(self, source: Sequence[int], rng: np.random.Generator) -> Example:
        """A text with gaps: 15 % of its tokens are asked for, at least one.

        Of these, 80 % are read as [MASK], 10 % as any token, and 10 % as what they are, so that a
        model cannot rely on seeing where it is asked: Devlin et al., section 3.1.
        """
        read = np.array(source)
        labels = np.full(len(read), IGNORE)
        places = np.flatnonzero(~np.isin(read, self.framing))
        chosen = rng.permutation(places)[: max(1, round(SHARE * len(places)))]
        labels[chosen] = read[chosen]
        fate = rng.random(len(chosen))
        read[chosen[fate < 0.8]] = self.gap
        others = chosen[(fate >= 0.8) & (fate < 0.9)]
        read[others] = rng.choice(self.words, len(others))
        return read.tolist(), labels.tolist()

    @cached_property
    def words(self) -> Array:
        """The numbers of the tokens that stand for text."""
        return np.setdiff1d(np.arange(len(self.source)), [*self.source.controls])

    @property
    def framing(self) -> tuple[int, int, int]:
        """The numbers of the tokens around a text."""
        special = self.source.special
        return special.bos, special.eos, special.pad

    def read(self, text: str) -> list[int]:
        """The token numbers of a text, whose gaps are written as [MASK].

        ValueError when it is empty or too long for the model.
        """
        numbers = self.source.encode(text.strip(), special=True)
        return self.source.frame(require_length(numbers, self.max_source - 2))

    def read_answer(self, text: str) -> list[int]:
        """The tokens of gaps, in their order. ValueError for one that the model cannot give."""
        if unknown := self.source.unknown(text):
            raise ValueError(f"unknown token {unknown[0]!r} in the target")
        return self.source.encode(text)

    def text(self, source: Sequence[int]) -> str:
        """The text that token numbers spell, its gaps as [MASK]."""
        return self.source.join(x for x in source if x not in self.framing)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that training has never seen."""
        return self.source.unknown(text.replace(self.source.tokens[self.gap], " "))

    def write(self, answer: Any) -> str:
        """The tokens of the gaps."""
        return self.source.decode([number for number in answer if number != IGNORE])

    def spell(self, answer: Any) -> list[str]:
        """The tokens of the gaps, one by one."""
        return self.source.show(number for number in answer if number != IGNORE)

    def asked(self, example: Example) -> list[str]:
        """The token that a model is asked for, at each place of its logits; "" where for none."""
        labels = labels_of(*example, self.gap)
        return ["" if number == IGNORE else self.source.shown[number] for number in labels]

    def answer(self, model: Module, sources: Sequence[Any], beam: int = 1) -> list[list[int]]:
        """The likeliest token of each gap; a text without gaps is asked for as it is.

        ValueError for more than one beam.
        """
        if beam != 1:
            raise ValueError("a gap is one step, in which there is nothing to search with beams")
        logits = self.logits(model, sources)
        best = logits.argmax(-1)
        return [
            self.gaps(source, row[: len(source)].tolist())
            for source, row in zip(sources, best, strict=True)
        ]

    def logits(self, model: Module, sources: Sequence[Any]) -> Array:
        """(B, S, V): what a model makes of each place, special tokens left out."""
        batch = self.batch([([*source], [IGNORE] * len(source)) for source in sources])
        with no_grad(), evaluating(model):
            logits: Array = model(*batch.inputs).data
        require_finite_logits(logits)
        logits[..., [*self.source.controls]] = -np.inf
        return logits

    def gaps(self, source: Sequence[int], filled: Sequence[int]) -> list[int]:
        """The labels of a text whose gaps are filled so."""
        mask = self.gap
        if mask not in source:
            return [*source]
        pairs = zip(source, filled, strict=True)
        return [new if number == mask else IGNORE for number, new in pairs]

    def candidates(
        self, model: Module, source: Sequence[int], count: int
    ) -> list[list[tuple[str, float]]]:
        """The likeliest tokens of each gap, with their probabilities, the best first."""
        (logits,) = self.logits(model, [source])
        found = []
        for row in logits[[i for i, x in enumerate(source) if x == self.gap]]:
            p = np.exp(row.astype(np.float64) - row.max())
            p /= p.sum()
            best = np.argsort(-p, kind="stable")[:count]
            found.append([(self.source.shown[i], float(p[i])) for i in best])
        return found

    def scene(self, example: Example) -> Example:
        """The beginning of a text, with a gap wherever something is asked for."""
        labels = example[1]
        source = [
            old if label == IGNORE else self.gap
            for old, label in zip(example[0], labels, strict=True)
        ]
        if len(source) <= EXCERPT:
            return source, labels
        return [*source[: EXCERPT - 1], source[-1]], [*labels[: EXCERPT - 1], labels[-1]]

    def show(self, model: Module, source: Sequence[int]) -> str:
        """A text with its gaps filled."""
        (labels,) = self.answer(model, [source])
        pairs = zip(source, labels, strict=True)
        return self.text([old if new == IGNORE else new for old, new in pairs])

    def rate(
        self, examples: Sequence[Example], found: Found, answer: Callable[[], list[Any]]
    ) -> dict[str, float]:
        """The share of tokens asked for that are the likeliest."""
        return {"masked_accuracy": found.accuracy}

    def is_right(self, answer: Any, target: Any) -> bool:
        """Whether all gaps are filled right."""
        return bool([*answer] == [*target])

    def state(self) -> dict[str, Any]:
        """What a run writes down, so that its model can be used: see `restore`."""
        return {"source": self.source.state(), "max_source": self.max_source}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Masked:
        """The form that `state` wrote down."""
        return cls(restore(state["source"]), state["max_source"])


def labels_of(source: Sequence[int], answer: Sequence[int], mask: int) -> list[int]:
    """The label at each place of a text: `answer` itself, or one that has the tokens of its gaps.

    ValueError where these are more or fewer than there are gaps.
    """
    if len(answer) == len(source):  # which has [CLS] and [SEP], so more than its gaps
        return [*answer]
    places = [place for place, number in enumerate(source) if number == mask]
    if len(places) != len(answer):
        raise ValueError(f"{len(answer)} tokens do not fill {len(places)} gaps")
    labels = [IGNORE] * len(source)
    for place, number in zip(places, answer, strict=True):
        labels[place] = number
    return labels
