"""Pairs: a source text is answered by a target text, token by token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from minigrad.nn import Module
from minitransformer.batch import IGNORE, Batch, Shape, pad_rows
from minitransformer.decoding import beam_search, greedy
from minitransformer.forms.form import Example, Found, ShownWhole, require_length, restore_side
from minitransformer.tokens import Tokeniser


@dataclass(frozen=True)
class Pairs(ShownWhole):
    """Questions and answers that are both sequences of tokens.

    max_source: the length of the longest source. max_target: that of the longest target and its
    end, so the most places at which a model is asked for a token. strict: whether a token that
    nobody knows is an error; otherwise it is read as <unk>.
    """

    name: ClassVar = "pairs"
    metric: ClassVar = "exact_match"
    perfect: ClassVar[float | None] = 1.0
    command: ClassVar = "predict"

    source: Tokeniser
    target: Tokeniser
    max_source: int
    max_target: int
    strict: bool = False

    @property
    def shape(self) -> Shape:
        """What these texts ask of a model."""
        sizes = len(self.source), len(self.target), self.max_source, self.max_target
        return Shape(self.name, *sizes, self.source.special.pad)

    @property
    def tokenisers(self) -> dict[str, Tokeniser]:
        """Those of both sides of an example."""
        return {"source": self.source, "target": self.target}

    def batch(self, examples: Sequence[Example]) -> Batch:
        """The batch of some (source numbers, target numbers).

        A model reads the source (B, S) and `bos` with the target (B, T), and is asked, at each
        place, for the next token of the target and at last for its end: the target one step later
        (Vaswani et al. 2017, section 3.1, "shifted right"). A target that leaves no room for its
        end is asked for without it.
        """
        special, most = self.target.special, self.max_target
        sources = [[*source] for source, _ in examples]
        read = [[special.bos, *target][:most] for _, target in examples]
        asked = [[*target, special.eos][:most] for _, target in examples]
        return Batch(
            inputs=(pad_rows(sources, self.source.special.pad), pad_rows(read, special.pad)),
            labels=pad_rows(asked, IGNORE),
            tokens=sum(map(len, sources)) + sum(map(len, asked)),
        )

    def read(self, text: str) -> list[int]:
        """The token numbers of a source. ValueError when it is empty or too long for the model.

        A token that nobody knows is one too, but where it may be read as <unk>, see `unknown`.
        """
        if self.strict and (unknown := self.unknown(text)):
            symbols = self.source.words
            raise ValueError(
                f"unknown token {unknown[0]!r}; "
                f"this run knows {symbols[0]} to {symbols[-1]}, separated by spaces"
            )
        return require_length(self.source.encode(text.strip()), self.max_source)

    def read_answer(self, text: str) -> list[int]:
        """The token numbers of an answer that is asked for.

        ValueError when it is too long for the model, or has a token that it cannot write.
        """
        if unknown := self.target.unknown(text):
            raise ValueError(f"unknown token {unknown[0]!r} in the target")
        numbers = self.target.encode(text.strip())
        if len(numbers) >= self.max_target:
            raise ValueError(
                f"a target of {len(numbers)} tokens and its end are more than {self.max_target}"
            )
        return numbers

    def text(self, source: Sequence[int]) -> str:
        """The text that the token numbers of a question spell."""
        return self.source.decode(source)

    def unknown(self, text: str) -> list[str]:
        """The tokens of a source that training has never seen."""
        return self.source.unknown(text)

    def is_known(self, example: Example) -> bool:
        """Whether an example has no token that training never sees."""
        source, target = example
        return self.source.special.unk not in source and self.target.special.unk not in target

    def write(self, answer: Any) -> str:
        """The text of an answer."""
        return self.target.decode(answer)

    def spell(self, answer: Any) -> list[str]:
        """The tokens of an answer."""
        return self.target.show(answer)

    def sides(self, example: Example) -> dict[str, list[str]]:
        """The tokens that a model reads, by the name of the side that they stand on."""
        source, target = example
        read = [self.target.special.bos, *target][: self.max_target]
        return {"source": self.source.show(source), "target": self.target.show(read)}

    def asked(self, example: Example) -> list[str]:
        """The tokens that a model is asked for, at each place of its logits."""
        return self.target.show([*example[1], self.target.special.eos][: self.max_target])

    @property
    def choices(self) -> tuple[str, ...]:
        """What a model chooses from at each place."""
        return self.target.shown

    def answer(self, model: Module, sources: Sequence[Any], beam: int = 1) -> list[list[int]]:
        """What a model answers to each source, its end left out; by beam search above 1 beam."""
        batch = pad_rows([[*source] for source in sources], self.source.special.pad)
        special = self.target.special
        if beam == 1:
            return greedy(model, batch, self.max_target, special)
        return beam_search(model, batch, self.max_target, beam, special=special)

    def rate(
        self, examples: Sequence[Example], found: Found, answer: Callable[[], list[Any]]
    ) -> dict[str, float]:
        """The shares of sequences, and of tokens, that are right: the end counts as a token."""
        answers = answer()
        unk = self.target.special.unk
        right = total = 0
        for own, (_, target) in zip(answers, examples, strict=True):
            pairs = zip([*own, None], [*target, None], strict=False)
            right += sum(a == b != unk for a, b in pairs)
            total += len(target) + 1
        exact = sum(map(self.is_right, answers, (target for _, target in examples)))
        return {"exact_match": exact / len(examples), "token_accuracy": right / total}

    def is_right(self, answer: Any, target: Any) -> bool:
        """Whether an answer is the target. What has a token that nobody knows cannot be."""
        return bool(answer == target) and self.target.special.unk not in target

    def state(self) -> dict[str, Any]:
        """What a run writes down, so that its model can be used: see `restore`."""
        return {
            "source": self.source.state(),
            "target": self.target.state(),
            "max_source": self.max_source,
            "max_target": self.max_target,
            "strict": self.strict,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The form that `state` wrote down."""
        source, target = (restore_side(state, side) for side in ("source", "target"))
        strict = state["strict"] if "strict" in state else state["config"]["task"] != "pairs"
        return cls(source, target, state["max_source"], state["max_target"], strict)
