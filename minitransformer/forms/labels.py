"""Labels: a text is answered by one of a few labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minigrad.mode import no_grad
from minigrad.nn import Module
from minitransformer.batch import Batch, Shape, pad_rows
from minitransformer.decoding import evaluating, require_finite_logits
from minitransformer.forms.form import (
    Example,
    Found,
    OneText,
    ShownWhole,
    require_length,
    restore_side,
)


@dataclass(frozen=True)
class Labels(ShownWhole, OneText):
    """Questions that are sequences of tokens, of at most `max_source`, and the labels to choose."""

    name: ClassVar = "labels"
    metric: ClassVar = "accuracy"
    perfect: ClassVar[float | None] = 1.0
    command: ClassVar = "predict"

    labels: tuple[str, ...]
    max_source: int

    @property
    def shape(self) -> Shape:
        """What these questions ask of a model."""
        sizes = len(self.source), len(self.labels), self.max_source, 1
        return Shape(self.name, *sizes, self.source.special.pad)

    @property
    def choices(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The batch of some (token numbers, number of the label): (B, S) and (B,)."""
        sources = [[*source] for source, _ in examples]
        return Batch(
            inputs=(pad_rows(sources, self.source.special.pad),),
            labels=np.array([label for _, label in examples], dtype=np.int64),
            tokens=sum(map(len, sources)),
        )

    def read(self, text: str) -> list[int]:
        """The token numbers of a text, framed as the tokeniser frames it.

        ValueError when it is empty or too long for the model.
        """
        numbers, around = self.source.encode(text.strip()), len(self.source.frame([]))
        return self.source.frame(require_length(numbers, self.max_source - around))

    def read_answer(self, text: str) -> int:
        """The number of a label. ValueError for one that the model cannot give."""
        if text not in self.labels:
            raise ValueError(f"no label {text!r}; there are {', '.join(self.labels)}")
        return self.labels.index(text)

    def write(self, answer: Any) -> str:
        """The label."""
        return self.labels[answer]

    def spell(self, answer: Any) -> list[str]:
        """The label, as the one token of an answer."""
        return [self.labels[answer]]

    def asked(self, example: Example) -> list[str]:
        """The label that is right."""
        return self.spell(example[1])

    def answer(self, model: Module, sources: Sequence[Any], beam: int = 1) -> list[int]:
        """The likeliest label of each source. ValueError for more than one beam."""
        if beam != 1:
            raise ValueError("a label is one step, in which there is nothing to search with beams")
        batch = self.batch([(source, 0) for source in sources])
        with no_grad(), evaluating(model):
            logits = model(*batch.inputs).data
        require_finite_logits(logits)
        return [int(label) for label in logits.argmax(-1)]

    def rate(
        self, examples: Sequence[Example], found: Found, answer: Callable[[], list[Any]]
    ) -> dict[str, float]:
        """The share of labels that are right."""
        return {"accuracy": found.accuracy}

    def is_right(self, answer: Any, target: Any) -> bool:
        """Whether a label is the right one."""
        return bool(answer == target)

    def state(self) -> dict[str, Any]:
        """What a run writes down, so that its model can be used: see `restore`."""
        return {
            "source": self.source.state(),
            "labels": list(self.labels),
            "max_source": self.max_source,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Labels:
        """The form that `state` wrote down."""
        source = restore_side(state, "source")
        return cls(source, tuple(state["labels"]), state["max_source"])
