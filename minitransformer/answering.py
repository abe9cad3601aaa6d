"""Answers from a finished run: text in, text out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from minitransformer.forms import FORMS, Form
from minitransformer.inside.inspection import Inspection, inspect
from minitransformer.recipe import Recipe, require_unchanged
from minitransformer.runs import Run


class Predictor:
    """A trained model with its form, from a run folder: `form.read` a text, then `answer` it.

    RunError when the folder holds no complete run, or settings that its model was not made with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        run = Run.open(path)
        self.recipe = Recipe.of_run(run)
        weights, _, state = run.load()
        require_unchanged(run, state["config"], self.recipe)
        self.form: Form = FORMS[self.recipe.task.form].restore(state)
        self.model: Any = self.recipe.model.build(self.form.shape, 0)
        self.model.load_state_dict(weights)

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
        given = [sources] if isinstance(sources, str) else sources
        read = [self.form.read(x) if isinstance(x, str) else x for x in given]
        rows = max(1, (batch_size or self.recipe.training.batch_size) // beam)
        answers = [
            answer
            for i in range(0, len(read), rows)
            for answer in self.form.answer(self.model, read[i : i + rows], beam)
        ]
        return [self.form.write(answer) for answer in answers]

    def inspect(self, source: list[int], target: str | None = None) -> Inspection:
        """Every attention layer while the model answers a source: see `inspection.inspect`.

        target: the text that the loss asks for, where it is not the model's own answer.
        ValueError when the model cannot give that.
        """
        expected = None if target is None else self.form.read_answer(target)
        return inspect(self.model, self.form, source, expected)
