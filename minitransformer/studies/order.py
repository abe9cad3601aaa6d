"""Order: a model that is told where tokens stand, or is not, trained to say what it has read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import compress
from math import factorial, prod
from typing import Any, NamedTuple

import numpy as np

from minigrad.tensor import Array
from minitransformer.forms import Example
from minitransformer.progress import tell
from minitransformer.recipe import Recipe
from minitransformer.training import Trainer, answer


class Case(NamedTuple):
    """A training: what is learned, how places are told, the longest sequence, steps, a seed."""

    task: str
    positions: str
    length: int
    steps: int
    seed: int


class Outcome(NamedTuple):
    """Shares of held-out sequences, and what of them was right before any training.

    exact: answers without a mistake; untrained: before training. tokens: of the answers' tokens,
    those in their right places. symbols: answers with the right symbols in any order. unmoved: of
    the sources that shuffling changes, those that get the same answer after it. guess: the share
    that one expects to be exact who knows the symbols and guesses their order; a model may do worse
    on short sequences, whose symbols training has shown in another order. before, after: the
    learned vectors of places, (P, D), where there are any.
    """

    exact: float
    tokens: float
    symbols: float
    unmoved: float
    untrained: float
    guess: float
    before: Array | None
    after: Array | None

    def shares(self) -> dict[str, float]:
        """All but the vectors."""
        return {name: x for name, x in self._asdict().items() if name not in ("before", "after")}


def learn(case: Case) -> Outcome:
    """Train a small transformer, and have it answer sequences that it has never seen."""
    trainer = Trainer(Recipe.read({
        "task": case.task, "positions": case.positions, "length": case.length, "seed": case.seed,
        "steps": case.steps, "evaluate_every": case.steps, "d_model": 32, "d_ff": 64,
        "learning_rate": 4e-3, "weight_decay": 0.0,
    }))  # fmt: skip
    test = trainer.data.test
    before, untrained = place_vectors(trainer), exact(trainer.answers(), test)
    for _ in trainer.run():
        tell("training", trainer.step, case.steps)
    answers, rng = trainer.answers(), np.random.default_rng(case.seed)
    shuffled = [(rng.permutation(source).tolist(), target) for source, target in test]
    after = answer(trainer.model, trainer.form, shuffled, trainer.settings.batch_size)
    changed = [x != y for (x, _), (y, _) in zip(shuffled, test, strict=True)]
    return Outcome(
        exact(answers, test),
        trainer.last["token_accuracy"],
        float(np.mean([sorted(x) == sorted(y) for x, (_, y) in zip(answers, test, strict=True)])),
        float(np.mean([x == y for x, y in compress(zip(answers, after, strict=True), changed)])),
        untrained,
        float(np.mean([1 / orders(target) for _, target in test])),
        before,
        place_vectors(trainer),
    )


def exact(answers: Sequence[Any], examples: Sequence[Example]) -> float:
    """The share of answers without a mistake."""
    right = [own == target for own, (_, target) in zip(answers, examples, strict=True)]
    return float(np.mean(right))


def place_vectors(trainer: Trainer) -> Array | None:
    """A copy of the vectors of the source's places, (P, D), where they are learned."""
    table = trainer.model.source_embedding.positions
    if table is None:
        return None
    vectors: Array = table.weight.data[: trainer.form.max_source].astype(np.float64)
    return vectors


def orders(symbols: Sequence[int]) -> int:
    """In how many orders these symbols can stand.

    >>> orders([1, 2, 3]), orders([1, 2, 2]), orders([2, 2, 2])
    (6, 3, 1)
    """
    return factorial(len(symbols)) // prod(map(factorial, Counter(symbols).values()))
