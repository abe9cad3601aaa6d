"""Fine-tuning: a classifier that begins with a trained encoder; and what that was worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minitransformer.recipe import Recipe
from minitransformer.training import Trainer
from minitransformer.transfer import lent_settings

USUAL: dict[str, Any] = {
    "steps": 200, "batch_size": 16, "warmup": 20, "dropout": 0.1, "weight_decay": 0.01,
    "evaluate_every": 50, "patience": 0,
}  # fmt: skip
"""Settings with other defaults than in other training: few examples are soon known by heart.
Without patience, what is held out does not decide when to stop."""

WAYS: dict[str, dict[str, Any]] = {
    "fine-tuned": {"learning_rate": 2e-4, "layer_decay": 1.0},
    "frozen": {"learning_rate": 1e-2, "layer_decay": 0.0},
    "from scratch": {"learning_rate": 2e-3, "layer_decay": 1.0},
}
"""How to train a classifier: all of it, a head on an encoder that stays as it is, or, to see what
the encoder has learned before, the same from random weights; each with its own defaults."""


UNTRAINED = "frozen, untrained"
"""The control of "frozen": a head on an encoder of random weights that stay as they are."""

ALL_WAYS = {**WAYS, UNTRAINED: WAYS["frozen"]}


@dataclass(frozen=True)
class Comparison:
    """The share of held-out examples that a way of training got right, with each seed."""

    way: str
    accuracies: list[float]

    @property
    def mean(self) -> float:
        """Of all seeds."""
        return sum(self.accuracies) / len(self.accuracies)


def settings_of_way(way: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that learns to label, where `given` ones go before the usual ones."""
    return {"task": "labels", **USUAL, **ALL_WAYS[way], **given}


def compare(given: Mapping[str, Any], seeds: int) -> Iterator[Comparison]:
    """Train in each way with so many seeds, `given` the settings; no run is written down.

    A learning rate and a decay that are given are those of fine-tuning; the others have their own.
    """
    first = given.get("seed", 0)
    for way in WAYS:
        accuracies = [accuracy(way, given, seed) for seed in range(first, first + seeds)]
        yield Comparison(way, accuracies)


def accuracy(way: str, given: Mapping[str, Any], seed: int) -> float:
    """The share of held-out examples that one training in a way, of ALL_WAYS, gets right; of the
    rates that are `given` only fine-tuning takes any, see `compare`."""
    own = {} if way == "fine-tuned" else ALL_WAYS[way]
    chosen = settings_of_way(way, {**given, **own})
    chosen = lent_settings(chosen) | chosen
    scratch = way in ("from scratch", UNTRAINED)
    trainer = Trainer(Recipe.read({**chosen, "seed": seed}), scratch=scratch)
    for _ in trainer.run():
        pass
    return trainer.last["accuracy"]


def without_reading(trainer: Trainer) -> dict[str, float]:
    """The shares that are right of labels drawn at random, and of always the most frequent one."""
    labels = [label for _, label in trainer.data.test]
    frequent = Counter(label for _, label in trainer.data.training).most_common(1)[0][0]
    return {
        "chance": 1 / len(trainer.form.choices),
        f"always {trainer.form.choices[frequent]!r}": labels.count(frequent) / len(labels),
    }
