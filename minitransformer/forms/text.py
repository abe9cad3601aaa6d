"""Text: at each place of a text, which token comes next?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np

from minigrad.mode import no_grad
from minigrad.nn import Module
from minitransformer.batch import IGNORE, Batch, Shape, pad_rows
from minitransformer.decoding import evaluating, require_finite_logits, sample
from minitransformer.forms.form import Example, Found, OneText, require_length
from minitransformer.tokens import restore

EXCERPT, SHOWN = 16, 40
"""Tokens of a text that are shown, and with which a model goes on, to see what it has learned."""


@dataclass(frozen=True)
class Text(OneText):
    """Texts of at most `context` tokens, each of which is asked for where those before are read."""

    name: ClassVar = "text"
    metric: ClassVar = "bits_per_character"
    perfect: ClassVar[float | None] = None
    command: ClassVar = "generate"

    context: int

    @property
    def max_source(self) -> int:
        """The most tokens that a text may have."""
        return self.context

    @property
    def shape(self) -> Shape:
        """What these texts ask of a model."""
        size = len(self.source)
        return Shape(self.name, size, size, self.context, self.context, self.source.special.pad)

    @property
    def choices(self) -> tuple[str, ...]:
        """What a model chooses from at each place."""
        return self.source.shown

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The batch of some (tokens read, tokens asked for): (B, T) and (B, T).

        Where fewer are asked for than are read, they are those after the last ones.
        """
        read = [[*source] for source, _ in examples]
        asked = [[IGNORE] * (len(source) - len(answer)) + [*answer] for source, answer in examples]
        return Batch(
            inputs=(pad_rows(read, self.source.special.pad),),
            labels=pad_rows(asked, IGNORE),
            tokens=sum(map(len, read)),
        )

    def read(self, text: str) -> list[int]:
        """The token numbers of a text. ValueError when it is empty or too long for the model."""
        return require_length(self.source.encode(text), self.max_source)

    def read_answer(self, text: str) -> list[int]:
        """The token that is asked for after a text. ValueError for none, or several."""
        numbers = self.source.encode(text)
        if len(numbers) != 1:
            pieces = ", ".join(map(repr, self.spell(numbers)))
            raise ValueError(
                f"a target is the one token after the text; {text!r} is {len(numbers)}: {pieces}"
            )
        return numbers

    def write(self, answer: Any) -> str:
        """An answer as text."""
        return self.source.decode(answer)

    def spell(self, answer: Any) -> list[str]:
        """An answer token by token."""
        return self.source.show(answer)

    def sides(self, example: Example) -> dict[str, list[str]]:
        """The tokens of the text."""
        return {"text": self.spell(example[0])}

    def asked(self, example: Example) -> list[str]:
        """The tokens that a model is asked for, at each place of its logits; "" where at none."""
        source, answer = example
        return [""] * (len(source) - len(answer)) + self.spell(answer)

    def answer(self, model: Module, sources: Sequence[Any], beam: int = 1) -> list[list[int]]:
        """Each text one place on: its own tokens but the first, and the likeliest after its end.

        ValueError for more than one beam.
        """
        if beam != 1:
            raise ValueError(
                "one token is one step, in which there is nothing to search with beams"
            )
        batch = self.batch([([*source], []) for source in sources])
        with no_grad(), evaluating(model):
            logits = model(*batch.inputs).data
        ends = np.array([len(source) - 1 for source in sources])
        last = logits[np.arange(len(ends)), ends]  # (B, V)
        require_finite_logits(last)
        return [
            [*source[1:], int(next)] for source, next in zip(sources, last.argmax(-1), strict=True)
        ]

    def scene(self, example: Example) -> Example:
        """The first tokens of a text, up to where a word ends, and some of those that come next."""
        source = example[0]
        begins_word = [self.source.decode([number])[:1].isspace() for number in source]
        ends = [place for place in range(1, EXCERPT) if begins_word[place : place + 1] == [True]]
        end = max(ends, default=EXCERPT)
        return [*source[:end]], [*source[end : end + SHOWN]]

    def show(self, model: Module, source: Sequence[int]) -> str:
        """How a model goes on with a text, drawn at a temperature of 0.8 by seed 0."""
        (found,) = sample(model, np.array([source]), SHOWN, 0.8, rng=0, special=self.source.special)
        return self.source.decode(found)

    def rate(
        self, examples: Sequence[Example], found: Found, answer: Callable[[], list[Any]]
    ) -> dict[str, float]:
        """Bits for each character, whatever the tokens are, and how many of these are likeliest."""
        texts = (self.source.decode(answer) for _, answer in examples)
        # A character that an example begins within is one of the example before.
        characters = sum(len(text.lstrip("\ufffd")) for text in texts)
        count = sum(len(answer) for _, answer in examples)
        bits = found.loss * count / log(2) / max(characters, 1)
        return {"bits_per_character": bits, "token_accuracy": found.accuracy}

    def is_right(self, answer: Any, target: Any) -> bool:
        """Whether an answer is the right one."""
        return bool(answer[-1] == target[-1])

    def state(self) -> dict[str, Any]:
        """What a run writes down, so that its model can be used: see `restore`."""
        return {"source": self.source.state(), "context": self.context}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Text:
        """The form that `state` wrote down."""
        return cls(restore(state["source"]), state["context"])
