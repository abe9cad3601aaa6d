"""Norms: what layer norm averages over, and where in a deep stack it should stand.

A norm after each residual, as in "Attention Is All You Need" (post-norm), scales what all earlier
layers have put in, and their gradients with it, again and again; one before each sublayer
(pre-norm) leaves the way through the residuals free: Xiong et al., "On Layer Normalization in the
Transformer Architecture" (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from minigrad.tensor import Array
from minitransformer.models.model import AttentionSettings
from minitransformer.progress import tell
from minitransformer.recipe import Recipe
from minitransformer.settings import Group, changeable, setting
from minitransformer.studies.averages import SHOWN, FirstLayer, compare
from minitransformer.studies.study import Finding, Table, study
from minitransformer.studies.workers import in_parallel
from minitransformer.training import DivergenceError, Trainer, loss_of

NORMS = "pre", "post"
SHALLOW = 2
"""Layers of the smallest model."""

READ = 64
"""Sentences by which a gradient is measured."""

STUCK_WITHIN = 0.05
"""A model that beats the most frequent word by no more than this share has learned little."""


class Case(NamedTuple):
    """A training: where norms stand, layers, steps of warm-up, and a seed."""

    norm: str
    layers: int
    warmup: int
    seed: int

    def __str__(self) -> str:
        warm = f"warm-up {self.warmup}" if self.warmup > 1 else "no warm-up"
        return f"{self.norm}-norm, {self.layers} layers, {warm}"


class Outcome(NamedTuple):
    """What came of a training.

    losses: of each step, fewer where numbers grew beyond all bounds. loss, right: of the held-out
    sentences, the mean loss at a gap, None where there is none, and the share of gaps that are
    filled right; before: that share untrained, None with warm-up, where weights begin as without.
    """

    losses: list[float]
    loss: float | None
    right: float
    before: float | None


@study("norms")
@dataclass(frozen=True)
class Norms(Group):
    """Layer norm beside batch norm, and pre-norm beside post-norm. In shallow and deep models."""

    depth: int = setting(
        12, f"layers of the deepest models; others have half, and {SHALLOW}", least=4, most=100
    )
    d_model: int = setting(32, "width of the models, four heads", least=4, most=2_000)
    steps: int = changeable(300, "steps of each training", least=1, most=10**6)
    learning_rate: float = changeable(2e-3, "highest learning rate")
    warmup: int = changeable(100, "steps of warm-up, where there is one", least=2, most=10**6)
    seeds: int = setting(3, "trainings of each kind", least=1, most=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_multiple("d_model", AttentionSettings.heads, "the number of heads")
        self.recipe(Case("pre", self.depth, 1, 0))  # whose errors are told before anything is done

    def find(self) -> Finding:
        """Measure what norms average over, gradients before training, and what training makes."""
        changes = compare(seed=0)
        first = FirstLayer(seed=0)
        shown = first.read(SHOWN)
        gradients = {
            norm: np.stack([self.gradient(norm, seed) for seed in range(self.seeds)])
            for norm in NORMS
        }
        cases = self.cases()
        found = in_parallel(self.train, cases, [f"{case}, seed {case.seed}" for case in cases])
        outcomes = dict(zip(cases, found, strict=True))
        guessed = self.recipe(cases[0]).task.load(0).measure([])["always_the_most_frequent"]
        return Finding(
            self.name,
            [averages_table(changes), layers_table(gradients), results_table(outcomes, guessed)],
            self.says(outcomes, gradients, guessed),
            {
                "averages": changes,
                "gradient_by_layer": {norm: x.tolist() for norm, x in gradients.items()},
                "trainings": [
                    case._asdict() | outcome._asdict() for case, outcome in outcomes.items()
                ],
                "always_the_most_frequent": guessed,
            },
            {"shown": shown.x, "known": shown.known, **gradients},
        )

    def cases(self) -> list[Case]:
        """All trainings, those that take longest first."""
        depths = sorted({self.depth, self.depth // 2, SHALLOW}, reverse=True)
        cases = product(depths, NORMS, (1, self.warmup), range(self.seeds))
        return [Case(norm, depth, warmup, seed) for depth, norm, warmup, seed in cases]

    def recipe(self, case: Case) -> Recipe:
        """A BERT that fills gaps in the sentences of the grammar."""
        return Recipe.read({
            "task": "masked", "d_model": self.d_model, "d_ff": 2 * self.d_model, "batch_size": 32,
            "steps": self.steps, "learning_rate": self.learning_rate, "patience": 0,
            "evaluate_every": self.steps, **case._asdict(),
        })  # fmt: skip

    def gradient(self, norm: str, seed: int) -> Array:
        """(layers,): the norm of the gradient of each layer's feed-forward weights, those of the
        second matrix, before training: Xiong et al., figure 3."""
        recipe = self.recipe(Case(norm, self.depth, 1, seed))
        data, rng = recipe.task.load(seed), np.random.default_rng(seed)
        model = recipe.model.build(data.form.shape, rng)
        loss_of(model, data.form.batch(data.sample(rng, READ))).backward()
        layers = model.reader.encoder.layers
        return np.array([np.linalg.norm(x.feed_forward.outer.weight.grad) for x in layers])

    def train(self, case: Case) -> Outcome:
        """A training, and what came of it."""
        trainer = Trainer(self.recipe(case))
        trainer.log_every = 1
        before = None
        if case.warmup == 1:
            before = trainer.score(trainer.data.test)["masked_accuracy"]
        losses = []
        try:
            for record in trainer.run():
                losses.append(record["loss"])
                tell("training", trainer.step, self.steps)
        except DivergenceError:
            return Outcome(losses, None, 0.0, before)
        return Outcome(
            losses, trainer.last["held_out_loss"], trainer.last["masked_accuracy"], before
        )

    def says(
        self, outcomes: dict[Case, Outcome], gradients: dict[str, Array], guessed: float
    ) -> list[str]:
        """What follows from the numbers."""
        last = {norm: float(np.median(x[:, -1])) for norm, x in gradients.items()}
        ratio, expected = last["post"] / last["pre"], self.depth**0.5
        said = [
            f"Before training, the gradient of the last of {self.depth} layers is {ratio:.1f} "
            "times as large with post-norm as with pre-norm; Xiong et al., theorem 1, lead one to "
            f"expect about √{self.depth} = {expected:.1f}."
        ]
        mean = {
            kind: 100
            * float(np.mean([x.right for case, x in outcomes.items() if case[:3] == kind]))
            for kind in dict.fromkeys(case[:3] for case in outcomes)
        }
        said += [
            f"With {depth} layers, mean over seeds, pre-norm fills "
            f"{mean['pre', depth, 1]:.0f} % of the gaps and post-norm "
            f"{mean['post', depth, 1]:.0f} %; with warm-up post-norm fills "
            f"{mean['post', depth, self.warmup]:.0f} %. The most frequent word alone would fill "
            f"{100 * guessed:.0f} %."
            for depth in sorted({layers for _, layers, _ in mean})
        ]
        stuck = [x.right <= guessed + STUCK_WITHIN for x in outcomes.values()]
        if any(stuck):
            kinds = dict.fromkeys(
                f"{case.norm}-norm with {case.layers} layers"
                for case, is_stuck in zip(outcomes, stuck, strict=True)
                if is_stuck
            )
            said.append(
                f"{sum(stuck)} of {len(stuck)} trainings fill hardly more gaps than always the "
                f"most frequent word would: {', '.join(kinds)}. Vaswani et al., "
                "whose norms stand after, warm up for 4,000 steps."
            )
        return said


def averages_table(changes: dict[str, tuple[float, ...]]) -> Table:
    """What happens to one sentence's output."""
    rows = [(name, *map("{:.2g}".format, x)) for name, x in changes.items()]
    return Table(
        "one sentence's output where nothing in the sentence changes: the largest change",
        ("circumstance", "layer norm", "batch norm in training", "in evaluation"),
        rows,
    )


def layers_table(gradients: dict[str, Array]) -> Table:
    """Gradients by layer before training."""
    count = next(iter(gradients.values())).shape[1]
    places = sorted({0, count // 3, 2 * count // 3, count - 1})
    rows = [
        (f"{norm}-norm", *(f"{np.median(x[:, place]):.3f}" for place in places))
        for norm, x in gradients.items()
    ]
    return Table(
        "norm of the gradient of a layer's feed-forward weights, untrained (median of seeds)",
        ("", *(f"layer {place + 1}" for place in places)),
        rows,
    )


def results_table(outcomes: dict[Case, Outcome], guessed: float) -> Table:
    """How each kind of training ended, with each seed."""
    rows: list[tuple[str, ...]] = []
    for case in dict.fromkeys(case._replace(seed=0) for case in outcomes):
        own = [found for other, found in outcomes.items() if other[:3] == case[:3]]
        losses = "  ".join("none" if x.loss is None else f"{x.loss:.2f}" for x in own)
        shares = "  ".join(f"{x.right:.1%}" for x in own)
        rows.append((str(case), losses, shares))
    untrained = [found.before for found in outcomes.values() if found.before is not None]
    rows.append(("untrained", "", f"{min(untrained):.1%} to {max(untrained):.1%}"))
    rows.append(("always the most frequent word", "", f"{guessed:.1%}"))
    return Table(
        "held-out sentences after training, with each seed", ("", "loss", "gaps filled right"), rows
    )
