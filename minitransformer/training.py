"""Training: batches in, a better model out, and everything needed to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad.memory import keep_heap
from minigrad.mode import no_grad
from minigrad.nn import count_parameters
from minigrad.ops.neural import cross_entropy
from minigrad.optim import AdamW, clip_grad_norm, warmup_cosine
from minitransformer.capacity import require_room
from minitransformer.config import FIXED, TrainingConfig, parse_columns
from minitransformer.data import PAD, UNK, Batch, Pair, detokenize, make_batch, pairs_of
from minitransformer.decoding import greedy
from minitransformer.models.transformer import Transformer, evaluating
from minitransformer.runs import Arrays, Config, RunError, differences
from minitransformer.tasks import FileTask, SyntheticTask, Task
from minitransformer.transfer import adopt

Record = dict[str, float]
"""One line of a run's metrics."""


State = tuple[Arrays, Arrays, dict[str, Any]]
"""What `Trainer.state` gives, and a run folder keeps."""

SAMPLE = 200
"""How many training examples are answered at an evaluation, where as many are held out."""


DECODED = 4
"""Answers decoded at once, in batches of a training step: it keeps every layer for the gradient,
and decoding one layer at a time, so that many take no more memory. A step has a price of its own,
whatever its rows: larger batches of answers are quicker."""


class DivergenceError(ValueError):
    """A run whose numbers are none any more: it has to go on from before, and differently."""


@dataclass(frozen=True)
class Score:
    """How a model does on examples: the share of sequences, and of tokens, that it gets right.

    loss: the mean cross-entropy of their tokens, as in training but without dropout.
    """

    exact_match: float
    token_accuracy: float
    loss: float


def make_task(config: TrainingConfig) -> Task:
    """The task, with its held-out examples. ValueError for an unknown one or unusable data."""
    if config.task == "pairs":
        columns = parse_columns(config.columns)
        return FileTask(config.data, config.tokens, config.held_out, config.seed, columns)
    return SyntheticTask(config.task, config.length, config.vocab, config.seed)


def require_same(made: Config, asked: Config, what: str) -> None:
    """RunError, naming each setting that differs, if `what` was made with others than asked for.

    Only those count that a run keeps for good.
    """
    known = asdict(TrainingConfig(**made))  # a setting that is younger than the run has its default
    changed = differences(*({name: x[name] for name in FIXED} for x in (known, asked)))
    if changed:
        raise RunError(f"{what} was made with other settings: {'; '.join(changed)}")


class Trainer:
    """A model on its way: task, weights, optimizer, random numbers and counts.

    It goes on from a `state`, or begins: with the weights of the run that the configuration names,
    where it names one. `borrowed` then says what of them could be used.

    `run()` trains, giving a record every few steps; `stop()` ends it after the step in hand.
    `state()` and `restore()` carry everything over to another process: a run that was stopped and
    restored ends with the same bits as one that was not.
    """

    log_every = 10
    counts = ("step", "perfect", "seconds", "tokens", "losses", "last")

    def __init__(self, config: TrainingConfig, state: State | None = None) -> None:
        self.config = config
        self.task = task = make_task(config)
        self.rng = np.random.default_rng(config.seed)
        shape = config.model(
            len(task.source_vocabulary),
            len(task.target_vocabulary),
            max(task.max_source, task.max_target),
        )
        require_room(shape, config.batch_size, task.max_source, task.max_target)
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
        self.borrowed = ""
        if state is not None:
            self.restore(*state)
        elif config.from_run:
            vocabularies = task.source_vocabulary, task.target_vocabulary
            self.borrowed = adopt(self.model, config, vocabularies, config.from_run)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or enough evaluations were perfect."""
        return self.step >= self.config.steps or self.finished_early

    @property
    def finished_early(self) -> bool:
        """Whether enough evaluations in a row were perfect."""
        return 0 < self.config.patience <= self.perfect

    def run(self, after_step: Callable[[], None] | None = None) -> Iterator[Record]:
        """Train until finished or stopped. Each evaluation's record has `exact_match` as well.

        Raises DivergenceError when a loss, a gradient or an evaluation is no finite number.
        """
        keep_heap()
        with threadpool_limits(self.config.threads, "blas"):
            while not self.finished and not self.stopped:
                started = time.perf_counter()
                batch = self.task.sample(self.rng, self.config.batch_size)
                self.losses.append(self.train_step(batch))
                if after_step:
                    after_step()
                scores = None
                if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                    scores = self.evaluate()
                    self.perfect = self.perfect + 1 if scores[0].exact_match == 1 else 0
                self.seconds += time.perf_counter() - started
                if scores or self.step % self.log_every == 0:
                    yield self.record(scores)

    def stop(self) -> None:
        """End `run()` after the step in hand."""
        self.stopped = True

    def train_step(self, batch: Batch) -> float:
        """One step: forward, loss, backward, clipping, update. Returns the loss before it.

        DivergenceError when that, or the gradient, is not a finite number; the weights stay.
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
        require_finite(value, "the loss", f"step {self.step}")
        loss.backward()
        norm = clip_grad_norm(self.optimizer.parameters, self.config.clip)
        require_finite(norm, "the gradient's norm", f"step {self.step}")
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def record(self, scores: tuple[Score, Score] | None) -> Record:
        """Where the run stands; the loss is the mean of the steps since the last record."""
        record: Record = {
            "step": self.step,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.learning_rate,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
        }
        self.losses = []
        if scores:
            held_out, training = scores
            found = {
                "held_out_loss": held_out.loss,
                "exact_match": held_out.exact_match,
                "token_accuracy": held_out.token_accuracy,
                "training_exact_match": training.exact_match,
                "training_token_accuracy": training.token_accuracy,
            }
            self.last = {"loss": record["loss"], **found}
            record |= found
        return record

    def evaluate(self) -> tuple[Score, Score]:
        """How the model does on all held-out examples, and on some that it is trained on."""
        held_out, training = map(self.score, (self.task.test, self.training_sample))
        return held_out, training

    def score(self, pairs: Sequence[Pair]) -> Score:
        """How the model does on examples."""
        settings = self.config.batch_size, self.config.label_smoothing
        return evaluate(self.model, pairs, self.task.max_target, *settings)

    @cached_property
    def training_sample(self) -> list[Pair]:
        """Examples of the training stream, the same at each evaluation, drawn apart from it."""
        rng = np.random.default_rng((self.config.seed, 2))
        return pairs_of(self.task.sample(rng, min(SAMPLE, len(self.task.test))))

    def wrong_answers(self) -> list[tuple[str, str, str]]:
        """(source, target, answer), as texts, of each held-out example that is answered wrong."""
        task = self.task
        with threadpool_limits(self.config.threads, "blas"):
            answers = answer(self.model, task.test, task.max_target, self.config.batch_size)
        return [
            (*texts, detokenize(task.target_vocabulary.decode(ours), task.tokens))
            for texts, ours, (_, target) in zip(task.test_texts, answers, task.test, strict=True)
            if not is_right(ours, target)
        ]

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

    def state(self) -> State:
        """(model, optimizer, everything else): all that `restore` needs, the last ready for JSON.

        The last also says what a user of the model must know: vocabularies and lengths.
        """
        task = self.task
        rest = {name: getattr(self, name) for name in self.counts}
        rest["config"], rest["data"] = asdict(self.config), self.task.data
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
        if rest["data"] != self.task.data:
            raise ValueError(f"{self.config.data} has changed since the run began")
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        self.rng.bit_generator.state = rest["rng"]
        for name in self.counts:
            setattr(self, name, rest[name])


def require_finite(value: float, what: str, where: str) -> None:
    """DivergenceError for what is no number, or none that training could go on with."""
    if not isfinite(value):
        raise DivergenceError(f"{what} is {value} at {where}; lower the learning rate")


def evaluate(
    model: Transformer,
    pairs: Sequence[Pair],
    max_target: int,
    batch_size: int = 64,
    label_smoothing: float = 0.0,
) -> Score:
    """How a model does on examples, `batch_size` at a time; its answers are greedy."""
    loss = mean_loss(model, pairs, batch_size, label_smoothing)
    require_finite(loss, "the loss", "an evaluation")
    return Score(*compare(answer(model, pairs, max_target, batch_size), pairs), loss)


def batches(pairs: Sequence[Pair], batch_size: int) -> Iterator[tuple[list[int], Batch]]:
    """Examples in batches of similar length, each with their places: padding costs time too."""
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]))
    for start in range(0, len(pairs), batch_size):
        places = order[start : start + batch_size]
        yield places, make_batch([pairs[i] for i in places])


def answer(
    model: Transformer, pairs: Sequence[Pair], max_target: int, batch_size: int
) -> list[list[int]]:
    """What the model answers to each source, greedily, `DECODED` batches at a time."""
    answers: list[list[int]] = [[] for _ in pairs]
    for places, batch in batches(pairs, DECODED * batch_size):
        for place, tokens in zip(places, greedy(model, batch.source, max_target), strict=True):
            answers[place] = tokens
    return answers


def is_right(answer: list[int], target: list[int]) -> bool:
    """Whether an answer is the target. What has a token that nobody knows cannot be answered."""
    return answer == target and UNK not in target


def compare(answers: Sequence[list[int]], pairs: Sequence[Pair]) -> tuple[float, float]:
    """The shares of sequences, and of tokens, that are right: EOS counts as a token."""
    exact = right = total = 0
    for ours, (_, target) in zip(answers, pairs, strict=True):
        exact += is_right(ours, target)
        right += sum(a == b != UNK for a, b in zip([*ours, None], [*target, None], strict=False))
        total += len(target) + 1
    return exact / len(pairs), right / total


def mean_loss(
    model: Transformer, pairs: Sequence[Pair], batch_size: int, label_smoothing: float = 0.0
) -> float:
    """The mean cross-entropy of all target tokens, EOS included, each given those before it."""
    total, count = 0.0, 0
    with no_grad(), evaluating(model):
        for _, batch in batches(pairs, batch_size):
            total += float(
                cross_entropy(
                    model(batch.source, batch.target_in),
                    batch.target_out,
                    ignore_index=PAD,
                    label_smoothing=label_smoothing,
                    reduction="sum",
                )
            )
            count += int(np.count_nonzero(batch.target_out))
    return total / count
