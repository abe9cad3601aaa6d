"""Answers from a finished run, or a published model: text in, text out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from minitransformer.decoding import Choose, likeliest, write
from minitransformer.forms import FORMS
from minitransformer.inside.inspection import Inspection, inspect
from minitransformer.interop.chat import Chat
from minitransformer.interop.published import is_published, load_published, load_tokeniser
from minitransformer.models.bert import BertReader
from minitransformer.recipe import Recipe, open_model
from minitransformer.runs import Run
from minitransformer.tokens import Tokeniser


def tokenisers_of_run(path: str | os.PathLike[str]) -> dict[str, Tokeniser]:
    """The tokeniser of each side of the examples of a run, or that of a published model.

    RunError where there is none.
    """
    if is_published(path):
        return {"source": load_tokeniser(path)}
    run = Run.open(path)
    form = FORMS[Recipe.of_run(run).task.form].restore(run.load()[2])
    return form.tokenisers


BATCH_SIZE = 16
"""Sequences that a published model reads at once, where nobody says."""


class Predictor:
    """A trained model with its form, of a run or published: `form.read` a text, then `answer` it.

    path: a run folder, or what `published.find` takes. RunError when the folder holds no complete
    run, or settings that its model was not made with; FileError for a published model that cannot
    be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.form: Any
        self.model: Any
        self.chat: Chat | None = None
        self.recipe: Recipe | None = None  # of a published model nobody has one
        if is_published(path):
            self.model, self.form, self.chat = load_published(path)
            self.batch_size = BATCH_SIZE
            return
        self.recipe, self.form, self.model = open_model(path)
        self.batch_size = self.recipe.training.batch_size

    def answer(
        self,
        sources: str | Sequence[str | list[int]],
        beam: int = 1,
        batch_size: int | None = None,
    ) -> list[str]:
        """The text of the model's answer to each source; with `beam` above 1 by beam search.

        sources: texts, or token numbers as `form.read` gives them; one text alone is a list of one.
        batch_size: sequences that are decoded at once, beams too (default: as in training).
        """
        self.require_head()
        given = [sources] if isinstance(sources, str) else sources
        read = [self.form.read(x) if isinstance(x, str) else x for x in given]
        rows = max(1, (batch_size or self.batch_size) // beam)
        answers = [
            answer
            for i in range(0, len(read), rows)
            for answer in self.form.answer(self.model, read[i : i + rows], beam)
        ]
        return [self.form.write(answer) for answer in answers]

    def go_on(
        self, prompt: str, length: int, choose: Choose = likeliest, chat: bool = False
    ) -> Iterator[str]:
        """What the model writes after a text: each token's text as it comes, of `length` at most.

        >>> from tempfile import TemporaryDirectory
        >>> from minitransformer.workflow import start
        >>> sizes = {"tokens": "char", "d_model": 8, "heads": 2, "layers": 1, "d_ff": 8}
        >>> with TemporaryDirectory() as folder:
        ...     _, run = start({"task": "text", **sizes}, Path(folder, "run"))  # not yet trained
        ...     predictor = Predictor(run.path)  # or of a published model, such as "smollm"
        >>> len("".join(predictor.go_on("It is a truth", 9)))
        9

        It is "" while the bytes of a character are not all there. choose: see `decoding.drawing`.
        chat: whether the text is a message to be answered. ValueError for an empty text, and for a
        model that does not write texts, or does not answer messages.
        """
        self.require("generate")
        encode = self.form.source.encode
        numbers = encode(prompt)
        if not numbers:
            raise ValueError("nothing to go on from: the text is empty")
        if not chat:
            return self._pieces(numbers, numbers, length, choose)
        if self.chat is None:
            raise ValueError(f"{self.path} was not made to answer messages: leave out --chat")
        before, after = (encode(text, special=True) for text in self.chat)
        return self._pieces([*before, *numbers, *after], [], length, choose)

    def _pieces(
        self, numbers: list[int], shown: list[int], length: int, choose: Choose
    ) -> Iterator[str]:
        """What comes after tokens, of which some are shown before it."""
        tokeniser = self.form.source
        special = tokeniser.special
        # How a token is written depends on those just before it, and not on all that there are.
        waiting: list[int] = []
        for token in write(self.model, np.array([numbers]), length, choose, special):
            if token[0] == special.eos:
                return
            waiting.append(int(token[0]))
            text = tokeniser.decode([*shown, *waiting])
            if text.endswith("\ufffd"):  # the first byte of a character, or some of them
                yield ""
            else:
                yield text[len(tokeniser.decode(shown)) :]
                shown, waiting = waiting, []

    def fill(self, text: str, count: int = 5) -> tuple[str, list[list[tuple[str, float]]]]:
        """A text with its gaps filled, and the `count` likeliest tokens of each, with their
        probabilities. ValueError for a text without a gap, and for a model that fills none."""
        self.require("fill")
        source = self.form.read(text)
        if self.form.gap not in source:
            name = self.form.source.tokens[self.form.gap]
            raise ValueError(f"no gap to fill: write {name} in the place of a word")
        candidates = self.form.candidates(self.model, source, count)
        return self.form.show(self.model, source), candidates

    @property
    def answers(self) -> bool:
        """Whether the model answers: a published BERT may be its reader alone, without a head."""
        return not isinstance(self.model, BertReader)

    def require_head(self) -> None:
        """ValueError for a model that does not answer."""
        if not self.answers:
            raise ValueError(f"{self.path} reads texts and has no head that answers: fine-tune it")

    def require(self, command: str) -> None:
        """ValueError where another command is the one to ask this model with."""
        self.require_head()
        if self.form.command != command:
            raise ValueError(
                f"{self.path} is not for `minigrad {command}`: ask it with "
                f"`minigrad {self.form.command} {quote(str(self.path))} …`"
            )

    def inspect(self, source: list[int], target: str | None = None) -> Inspection:
        """Every attention layer while the model answers a source: see `inspection.inspect`.

        target: the text that the loss asks for, where it is not the model's own answer.
        ValueError when the model cannot give that, or does not answer.
        """
        self.require_head()
        expected = None if target is None else self.form.read_answer(target)
        return inspect(self.model, self.form, source, expected)
