"""Training: batches in, a better model out, and everything needed to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad.memory import keep_heap
from minigrad.nn import ShapesOnly, count_parameters
from minigrad.ops.neural import cross_entropy
from minigrad.optim import AdamW, clip_grad_norm, warmup_cosine
from minitransformer.config import TrainingConfig
from minitransformer.data import PAD, Batch, Pair, make_batch
from minitransformer.decoding import greedy
from minitransformer.runs import Config, RunError, differences
from minitransformer.tasks import FileTask, SyntheticTask, Task
from minitransformer.transformer import Transformer

Record = dict[str, float]
"""One line of a run's metrics."""


@dataclass(frozen=True)
class Score:
    """How a model does on examples: the share of sequences, and of tokens, that it gets right."""

    exact_match: float
    token_accuracy: float


def make_task(config: TrainingConfig) -> Task:
    """The task, with its held-out examples. ValueError for an unknown one or unusable data."""
    if config.task == "pairs":
        return FileTask(config.data, config.tokens, config.held_out, config.seed)
    return SyntheticTask(config.task, config.length, config.vocab, config.seed)


def require_same(made: Config, asked: Config, what: str) -> None:
    """RunError, naming each setting that differs, if `what` was made with others than asked for."""
    changed = differences(made, asked)
    if changed:
        raise RunError(f"{what} was made with other settings: {'; '.join(changed)}")


class Trainer:
    """A model on its way: task, weights, optimizer, random numbers and counts.

    `run()` trains, giving a record every few steps; `stop()` ends it after the step in hand.
    `state()` and `restore()` carry everything over to another process: a run that was stopped and
    restored ends with the same bits as one that was not.
    """

    log_every = 10
    patience = 2
    """Stop early after this many perfect evaluations in a row."""
    counts = ("step", "perfect", "seconds", "tokens", "losses", "last")

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.task = task = make_task(config)
        self.data = crc32(Path(config.data).read_bytes()) if config.data else None
        self.rng = np.random.default_rng(config.seed)
        vocabularies = len(task.source_vocabulary), len(task.target_vocabulary)
        shape = config.model(*vocabularies, max(task.max_source, task.max_target))
        # Weights, gradients and moments: better an error here than a process killed for memory.
        np.empty((4, count_parameters(Transformer(shape, ShapesOnly()))), np.float32)
        self.model = Transformer(shape, self.rng)
        self.optimizer = AdamW(
            self.model.parameters(),
            betas=(0.9, 0.98),
            eps=1e-9,
            weight_decay=config.weight_decay,
        )
        self.schedule = warmup_cosine(
            config.learning_rate, config.warmup, config.steps, config.learning_rate / 10
        )
        self.step = 0
        self.perfect = 0
        self.seconds = 0.0
        self.tokens = 0
        self.losses: list[float] = []
        self.last: Record = {}
        self.stopped = False

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or enough evaluations were perfect."""
        return self.step >= self.config.steps or self.perfect >= self.patience

    def run(self) -> Iterator[Record]:
        """Train until finished or stopped. Each evaluation's record has `exact_match` as well."""
        keep_heap()
        with threadpool_limits(self.config.threads, "blas"):
            while not self.finished and not self.stopped:
                started = time.perf_counter()
                batch = self.task.sample(self.rng, self.config.batch_size)
                self.losses.append(self.train_step(batch))
                score = None
                if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                    score = self.evaluate()
                    self.perfect = self.perfect + 1 if score.exact_match == 1 else 0
                self.seconds += time.perf_counter() - started
                if score or self.step % self.log_every == 0:
                    yield self.record(score)

    def stop(self) -> None:
        """End `run()` after the step in hand."""
        self.stopped = True

    def train_step(self, batch: Batch) -> float:
        """One step: forward, loss, backward, clipping, update. Returns the loss before it.

        ValueError when that is not a number any more.
        """
        self.step += 1
        self.tokens += int(np.count_nonzero(batch.source) + np.count_nonzero(batch.target_out))
        self.optimizer.learning_rate = self.schedule(self.step)
        logits = self.model(batch.source, batch.target_in)
        loss = cross_entropy(
            logits,
            batch.target_out,
            ignore_index=PAD,
            label_smoothing=self.config.label_smoothing,
        )
        value = float(loss)
        if not isfinite(value):
            raise ValueError(f"the loss is {value} at step {self.step}; lower the learning rate")
        loss.backward()
        clip_grad_norm(self.optimizer.parameters, self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def record(self, score: Score | None) -> Record:
        """Where the run stands; the loss is the mean of the steps since the last record."""
        record: Record = {
            "step": self.step,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.learning_rate,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
        }
        self.losses = []
        if score:
            self.last = {"loss": record["loss"], **asdict(score)}
            record |= asdict(score)
        return record

    def evaluate(self) -> Score:
        """Greedy decoding of every held-out example, against its target."""
        return evaluate(self.model, self.task.test, self.task.max_target)

    def summary(self) -> dict[str, Any]:
        """The run in one table, with the results of its last evaluation."""
        return {
            "task": self.task.name,
            "seed": self.config.seed,
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
            "parameters": count_parameters(self.model),
            "held_out": len(self.task.test),
            **self.last,
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """(model, optimizer, everything else): all that `restore` needs, the last ready for JSON.

        The last also says what a user of the model must know: vocabularies and lengths.
        """
        task = self.task
        rest = {name: getattr(self, name) for name in self.counts}
        rest["config"], rest["data"] = asdict(self.config), self.data
        rest["rng"] = self.rng.bit_generator.state
        rest["source_vocabulary"] = task.source_vocabulary.to_list()
        rest["target_vocabulary"] = task.target_vocabulary.to_list()
        rest["max_source"], rest["max_target"] = task.max_source, task.max_target
        return self.model.state_dict(), self.optimizer.state_dict(), rest

    def restore(
        self, model: dict[str, Any], optimizer: dict[str, Any], rest: dict[str, Any]
    ) -> None:
        """Go on from a `state()`. ValueError when it belongs to other settings or other data."""
        require_same(rest["config"], asdict(self.config), "the model")
        if rest["data"] != self.data:
            raise ValueError(f"{self.config.data} has changed since the run began")
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        self.rng.bit_generator.state = rest["rng"]
        for name in self.counts:
            setattr(self, name, rest[name])


def evaluate(
    model: Transformer, pairs: list[Pair], max_target: int, batch_size: int = 500
) -> Score:
    """Greedy decoding of each source, against its target: EOS counts as a token."""
    exact = right = total = 0
    for i in range(0, len(pairs), batch_size):
        batch = make_batch(pairs[i : i + batch_size])
        answers = greedy(model, batch.source, max_target)
        for answer, (_, target) in zip(answers, pairs[i : i + batch_size], strict=True):
            exact += answer == target
            right += sum(a == b for a, b in zip([*answer, None], [*target, None], strict=False))
            total += len(target) + 1
    return Score(exact / len(pairs), right / total)
