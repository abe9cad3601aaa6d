"""Form: a kind of question. How examples become a batch, and logits an answer in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from minigrad.nn import Module
from minitransformer.batch import Batch, Shape
from minitransformer.tokens import Special, Tokeniser, restore

Example = tuple[list[int], Any]
"""The numbers of a source's tokens, and the answer that is right: what it is, its form knows."""


class Found(NamedTuple):
    """What a model makes of examples: the mean cross-entropy of all that is asked, in nats, and the
    share of it that is the likeliest choice."""

    loss: float
    accuracy: float


class Form(Protocol):
    """What trainer, predictor and pictures must know of the questions of a task.

    `metric` names what `rate` gives to tell how good a model is, and `perfect` what it is where no
    model could be better, or None where nobody can say. `command` asks a finished run.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    perfect: ClassVar[float | None]
    command: ClassVar[str]

    @property
    def max_source(self) -> int:
        """The most tokens that a question may have."""

    @property
    def shape(self) -> Shape:
        """What these questions ask of a model."""

    @property
    def tokenisers(self) -> dict[str, Tokeniser]:
        """The tokeniser of each side of an example that is text."""

    @property
    def choices(self) -> tuple[str, ...]:
        """What a model chooses from at each place of its logits."""

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Examples side by side, as a model reads them."""

    def read(self, text: str) -> list[int]:
        """The token numbers of a question. ValueError for one that cannot be answered."""

    def read_answer(self, text: str) -> Any:
        """An answer that is asked for. ValueError for one that the model cannot give."""

    def text(self, source: Sequence[int]) -> str:
        """The text that the token numbers of a question spell."""

    def unknown(self, text: str) -> list[str]:
        """The tokens of a question that training has never seen, each once."""

    def is_known(self, example: Example) -> bool:
        """Whether an example has no token that training never sees."""

    def write(self, answer: Any) -> str:
        """An answer as text."""

    def spell(self, answer: Any) -> list[str]:
        """An answer token by token."""

    def sides(self, example: Example) -> dict[str, list[str]]:
        """The tokens that a model reads, by the name of the side that they stand on."""

    def asked(self, example: Example) -> list[str]:
        """What a model is asked for, at each place of its logits."""

    def answer(self, model: Module, sources: Sequence[Any], beam: int = 1) -> list[Any]:
        """What a model answers to each source."""

    def scene(self, example: Example) -> Example:
        """An example as one would like to see it, which may be a part of it."""

    def show(self, model: Module, source: Sequence[int]) -> str:
        """What a model answers to a source, as one would like to see it."""

    def rate(
        self, examples: Sequence[Example], found: Found, answer: Callable[[], list[Any]]
    ) -> dict[str, float]:
        """How good a model is, as numbers by name; `answer` gives its answers, which takes time."""

    def is_right(self, answer: Any, target: Any) -> bool:
        """Whether an answer is the right one."""

    def state(self) -> dict[str, Any]:
        """What a run writes down, ready for JSON."""

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The form that `state` wrote down."""


class ShownWhole:
    """What all forms share whose examples are shown as they are, and answered as they are shown."""

    def scene(self, example: Example) -> Example:
        """All of an example."""
        return example

    def show(self: Form, model: Module, source: Sequence[int]) -> str:
        """A model's answer as text."""
        return self.write(self.answer(model, [source])[0])


@dataclass(frozen=True)
class OneText:
    """What all forms share whose questions are one text."""

    source: Tokeniser

    @property
    def tokenisers(self) -> dict[str, Tokeniser]:
        """That of the text."""
        return {"source": self.source}

    def text(self, source: Sequence[int]) -> str:
        """The text that the token numbers of a question spell."""
        return self.source.decode(source)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that training has never seen."""
        return self.source.unknown(text)

    def is_known(self, example: Example) -> bool:
        """Whether an example has no token that training never sees."""
        return self.source.special.unk not in example[0]

    def sides(self, example: Example) -> dict[str, list[str]]:
        """The tokens of the text."""
        return {"source": self.source.show(example[0])}


def require_length(numbers: list[int], most: int) -> list[int]:
    """The token numbers of a question. ValueError where there are none, or more than `most`."""
    if not numbers:
        raise ValueError("nothing to answer: the text is empty")
    if len(numbers) > most:
        raise ValueError(
            f"{len(numbers)} tokens are more than the {most} that this run's model holds"
        )
    return numbers


def restore_side(state: Mapping[str, Any], side: str) -> Tokeniser:
    """The tokeniser of a side of the examples of a form that `state` wrote down."""
    if side in state:
        return restore(state[side])
    # Runs of before wrote down the tokens alone, and at first not even of which kind they are.
    made = state["config"]
    kind = made.get("tokens", "word") if made["task"] == "pairs" else "word"
    return restore(
        {
            "kind": state.get("token_kind", kind),
            "tokens": state[f"{side}_vocabulary"],
            "special": Special(),
        }
    )
