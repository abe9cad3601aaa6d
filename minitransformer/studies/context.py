"""Context: how much of a long sequence each kind of model still has when it answers.

Models of one size learn one task for one time, and answer sequences that they have never seen: as
long as those of training, and longer. A recurrent encoder hands on a state that has to hold all of
its source, which the longer it is works the less (Cho et al., "On the Properties of Neural Machine
Translation", 2014, section 4); with attention nothing has to be held.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from minigrad.memory import keep_heap
from minigrad.optim import AdamW, clip_grad_norm
from minigrad.tensor import Array
from minitransformer.batch import Shape
from minitransformer.forms import Example, Pairs
from minitransformer.models.model import AttentionSettings
from minitransformer.progress import tell
from minitransformer.settings import Group, SettingError, setting
from minitransformer.studies.percent import percent
from minitransformer.studies.sizes import equally_large, size
from minitransformer.studies.study import Finding, Table, study
from minitransformer.studies.workers import in_parallel
from minitransformer.tasks import TASKS
from minitransformer.tasks.sequences import Sequences, Stream
from minitransformer.training import evaluate, loss_of

RATES = {"rnn": 1e-3, "lstm": 5e-3, "lstm-attention": 3e-3, "transformer": 2e-3}
"""The models, and the learning rate of each. They were chosen with other seeds than those here."""

BATCH, WARMUP, CLIP, FALL = 32, 100, 1.0, 0.4
"""Sequences of a step; steps in which the rate rises; the largest norm of the gradient; the last
part of the time, in which the rate falls."""

TESTED = 200
"""Sequences of each length that are answered, where there are as many."""

FEW = 0.05
"""A share of right answers with which nobody would say that a model can do it."""

KNOWN = [name for name, task in TASKS.items() if issubclass(task, Sequences)]
"""The tasks that can be compared at each length."""


@study("compare", argument="task")
@dataclass(frozen=True)
class Context(Group):
    """What RNN, LSTM and transformer keep of long sequences. All have about as many weights."""

    task: str = setting("copy", " | ".join(KNOWN))
    length: int = setting(
        20, "longest sequence in training; tested to twice that", least=8, most=200
    )
    seconds: int = setting(20, "processor time in which each model learns", least=1, most=100_000)
    seeds: int = setting(2, "models of each kind", least=1, most=100)
    d_model: int = setting(
        48, "width of the transformer; the others have as many weights", least=4, most=2_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_multiple("d_model", AttentionSettings.heads, "the number of heads")
        if self.task not in KNOWN:
            raise SettingError(f"<task> is one of {', '.join(KNOWN)}, not {self.task!r}")

    def find(self) -> Finding:
        """Train and test each model with each seed, some at a time."""
        task = TASKS[self.task](length=self.length)
        shape = with_room(task.load(0)).shape
        models = equally_large([*RATES], self.d_model, shape)
        learners = [
            Learner(task, model, RATES[name], seed, self.seconds)
            for seed in range(self.seeds)
            for name, model in models.items()
        ]
        names = [f"{x.model.name}, seed {x.seed}" for x in learners]
        learned = in_parallel(learn, learners, names)
        found = {
            name: [own for own, x in zip(learned, learners, strict=True) if x.model.name == name]
            for name in models
        }
        chance = 1 / task.vocab
        return Finding(
            self.name,
            [
                self.sizes(found, models, shape),
                self.exact(found, chance),
                self.symbols(found, chance),
            ],
            self.says(found),
            self.numbers(found, models, shape, chance),
            {
                "lengths": np.array(lengths_of(self.length)),
                **{name: np.array([x.after for x in own]) for name, own in found.items()},
            },
        )

    def sizes(self, found: dict[str, list[Learned]], models: dict[str, Any], shape: Shape) -> Table:
        """What was compared, and how many steps each model made in its time."""
        rows: list[tuple[str, ...]] = [
            (
                name,
                f"{models[name].d_model}",
                f"{size(models[name], shape):,}",
                "  ".join(f"{x.steps:,}" for x in own),
            )
            for name, own in found.items()
        ]
        header = "model", "width", "weights", "steps, with each seed"
        return Table(f"{self.seconds} s of processor time each", header, rows)

    def exact(self, found: dict[str, list[Learned]], chance: float) -> Table:
        """The share of whole answers that are right, with each seed."""
        rows = [
            (f"{name}, {seed}", *map(percent, x.after[0]))
            for name, own in found.items()
            for seed, x in enumerate(own)
        ]
        untrained = np.max([x.before[0] for own in found.values() for x in own], axis=0)
        blind = (f"{100 * chance**x:.0e}" for x in lengths_of(self.length))
        return Table(
            f"{self.task}: % of answers without a mistake, by length (* never trained)",
            ("model, seed", *self.header()),
            [*rows, ("best untrained", *map(percent, untrained)), ("blind guess", *blind)],
        )

    def symbols(self, found: dict[str, list[Learned]], chance: float) -> Table:
        """The share of single symbols that are right: the mean of the seeds."""
        rows = [
            (name, *map(percent, np.mean([x.after[1] for x in own], axis=0)))
            for name, own in found.items()
        ]
        untrained = np.max([x.before[1] for own in found.values() for x in own], axis=0)
        blind = [percent(chance)] * len(untrained)
        return Table(
            f"% of symbols in their right place, mean of {self.seeds} seeds",
            ("model", *self.header()),
            [*rows, ("best untrained", *map(percent, untrained)), ("blind guess", *blind)],
        )

    def header(self) -> list[str]:
        """The lengths, those marked that were never trained."""
        return [f"{x}{'*' * (x > self.length)}" for x in lengths_of(self.length)]

    def says(self, found: dict[str, list[Learned]]) -> list[str]:
        """What follows from the numbers."""
        lengths = lengths_of(self.length)
        means = {name: np.mean([x.after[0] for x in own], axis=0) for name, own in found.items()}
        longest = lengths.index(self.length)
        shares = ", ".join(f"{name} {percent(x[longest])} %" for name, x in means.items())
        steps = ", ".join(f"{x} {np.mean([y.steps for y in own]):,.0f}" for x, own in found.items())
        best, beyond = self.best_beyond(found)
        doubled = self.best_doubled(found)
        return [
            f"Right at length {self.length}, the longest in training: {shares}.",
            f"Beyond it at most {percent(best)} % are right{beyond}; at {lengths[-1]}, twice as "
            f"long, at most {percent(doubled)} %"
            + (": none of them extrapolates." * (doubled < FEW) or "."),
            f"Equal time is not equal steps. Of these they made, in the mean: {steps}.",
            "How far back a gradient reaches before any training: minigrad reach.",
        ]

    def best_beyond(self, found: dict[str, list[Learned]]) -> tuple[float, str]:
        """The largest share of right answers, of all models and seeds, at lengths that were never
        trained; and whose that was, if there is any."""
        share, name, length = max(
            (share, name, length)
            for name, own in found.items()
            for x in own
            for share, length in zip(x.after[0].tolist(), lengths_of(self.length), strict=True)
            if length > self.length
        )
        return share, f", by the {name} at {length}" if share else ""

    def best_doubled(self, found: dict[str, list[Learned]]) -> float:
        """The largest share of right answers at twice the length that was trained."""
        return max(float(x.after[0, -1]) for own in found.values() for x in own)

    def numbers(
        self,
        found: dict[str, list[Learned]],
        models: dict[str, Any],
        shape: Shape,
        chance: float,
    ) -> dict[str, Any]:
        """All that was measured, as JSON can say it."""
        return {
            "task": self.task,
            "processor_seconds": self.seconds,
            "trained_to": self.length,
            "lengths": lengths_of(self.length),
            "none_extrapolates": self.best_doubled(found) < FEW,
            "chance_of_a_symbol": chance,
            "models": {
                name: {
                    "parameters": size(models[name], shape),
                    "d_model": models[name].d_model,
                    "steps": [x.steps for x in own],
                    "exact_match": [x.after[0].tolist() for x in own],
                    "token_accuracy": [x.after[1].tolist() for x in own],
                    "untrained_exact_match": [x.before[0].tolist() for x in own],
                    "untrained_token_accuracy": [x.before[1].tolist() for x in own],
                }
                for name, own in found.items()
            },
        }


class Learner(NamedTuple):
    """Who learns what, with which seed, and for how many seconds of the processor's time."""

    task: Sequences
    model: Any
    rate: float
    seed: int
    seconds: int


class Learned(NamedTuple):
    """What was right at each tested length, (2, lengths): shares of whole answers and of symbols;
    before training and after so many steps."""

    before: Array
    after: Array
    steps: int


def learn(learner: Learner) -> Learned:
    """Train a model for its time, and have it answer sequences that it has never seen."""
    task, seed = learner.task, learner.seed
    stream = task.load(seed, held_out=TESTED * task.length)
    form, rng = with_room(stream), np.random.default_rng(seed)
    model = learner.model.build(form.shape, rng)
    tests = [unseen(stream, length, rng) for length in lengths_of(task.length)]
    before = score(model, form, tests)
    steps = train(model, form, stream, learner, rng)
    return Learned(before, score(model, form, tests), steps)


def lengths_of(length: int) -> list[int]:
    """The quarters of the longest sequence in training, and beyond it.

    >>> lengths_of(20)
    [5, 10, 15, 20, 25, 30, 40]
    """
    return [length * quarters // 4 for quarters in (1, 2, 3, 4, 5, 6, 8)]


def with_room(stream: Stream) -> Pairs:
    """The form of a stream, for models with places for the longest sequence that is tested.

    Places that training does not come to need not be learned: positions are sinusoidal.
    """
    longest = lengths_of(stream.task.length)[-1]
    return replace(stream.form, max_source=longest, max_target=longest + 1)


def unseen(stream: Stream, length: int, rng: np.random.Generator) -> list[Example]:
    """Examples of a length that training does not contain: held out, or longer than any of it."""
    if length <= stream.task.length:
        return [example for example in stream.test if len(example[0]) == length][:TESTED]
    symbols = stream.form.source.encode(" ".join(stream.form.source.words))
    sources = rng.choice(symbols, (TESTED, length)).tolist()
    return [(source, stream.task.answer(source)) for source in sources]


def score(model: Any, form: Pairs, tests: list[list[Example]]) -> Array:
    """(2, tests): the shares of answers, and of symbols, that are right."""
    found = [evaluate(model, form, examples, BATCH) for examples in tests]
    return np.array([[x[metric] for x in found] for metric in ("exact_match", "token_accuracy")])


def train(
    model: Any, form: Pairs, stream: Stream, learner: Learner, rng: np.random.Generator
) -> int:
    """Train a model for its time: the number of steps that were made."""
    keep_heap()
    optimizer = AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0)
    began, steps, seconds = time.process_time(), 0, learner.seconds
    while (spent := time.process_time() - began) < seconds:
        steps += 1
        left = 1 - spent / seconds
        optimizer.learning_rate = learner.rate * min(steps / WARMUP, 1, left / FALL)
        loss_of(model, form.batch(stream.sample(rng, BATCH))).backward()
        clip_grad_norm(optimizer.parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        tell("training", int(spent), seconds)
    return steps
