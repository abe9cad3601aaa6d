"""Training: batches in, a better model out, and everything needed to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from math import isfinite
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad.memory import keep_heap
from minigrad.mode import no_grad
from minigrad.nn import Module, count_parameters
from minigrad.ops.neural import cross_entropy
from minigrad.optim import AdamW, clip_grad_norm, warmup_cosine
from minitransformer.batch import IGNORE, Batch
from minitransformer.capacity import require_capacity
from minitransformer.decoding import evaluating
from minitransformer.forms import FORMS, Example, Form, Found
from minitransformer.recipe import Recipe, require_same
from minitransformer.runs import Arrays
from minitransformer.settings import SettingError
from minitransformer.transfer import adopt, open_lender

Record = dict[str, float]
"""One line of a run's metrics."""

METRICS = tuple(form.metric for form in FORMS.values())


def metric_of(record: Record) -> str:
    """What an evaluation counts as right: the name of a form's metric; "" of other records."""
    return next((metric for metric in METRICS if metric in record), "")


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


class Trainer:
    """A model on its way: data, weights, optimizer, random numbers and counts.

    It goes on from a `state`, or begins: with the weights of the run that the recipe names, where
    it names one. `borrowed` then says what of them could be used. `scratch` leaves them out all the
    same, to see what they are worth.

    `run()` trains, giving a record every few steps; `stop()` ends it after the step in hand.
    `state()` and `restore()` carry everything over to another process: a run that was stopped and
    restored ends with the same bits as one that was not.
    """

    log_every = 10
    counts = ("step", "perfect", "seconds", "tokens", "losses", "last")

    def __init__(
        self, recipe: Recipe, state: State | None = None, *, scratch: bool = False
    ) -> None:
        self.recipe, self.settings = recipe, recipe.training
        self.data = load_data(recipe, state)
        self.form: Form = self.data.form
        self.rng = np.random.default_rng(self.settings.seed)
        require_capacity(recipe.model, self.form.shape, self.settings.batch_size)
        self.model: Any = recipe.model.build(self.form.shape, self.rng)
        learned = learning_rates(self.model, recipe)
        self.optimizer = AdamW(
            [parameter for parameter, _ in learned],
            scales=[rate for _, rate in learned],
            betas=(0.9, 0.98),
            eps=1e-9,
            weight_decay=self.settings.weight_decay,
        )
        rate = self.settings.learning_rate
        self.schedule = warmup_cosine(rate, self.settings.warmup, self.settings.steps, rate / 10)
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
        elif self.settings.from_run and not scratch:
            self.borrowed = adopt(self.model, recipe, self.form, self.settings.from_run)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or enough evaluations were perfect."""
        return self.step >= self.settings.steps or self.finished_early

    @property
    def finished_early(self) -> bool:
        """Whether enough evaluations in a row were perfect."""
        return 0 < self.settings.patience <= self.perfect

    def run(self, after_step: Callable[[], None] | None = None) -> Iterator[Record]:
        """Train until finished or stopped. Each evaluation's record has the form's metric as well.

        Raises DivergenceError when a loss, a gradient or an evaluation is no finite number.
        """
        keep_heap()
        with threadpool_limits(self.settings.threads, "blas"):
            while not self.finished and not self.stopped:
                started = time.perf_counter()
                examples = self.data.sample(self.rng, self.settings.batch_size)
                self.losses.append(self.train_step(self.form.batch(examples)))
                if after_step:
                    after_step()
                scores: Record = {}
                every, last = self.settings.evaluate_every, self.settings.steps
                if self.step % every == 0 or self.step == last:
                    scores = self.evaluate()
                    is_perfect = scores[self.form.metric] == self.form.perfect
                    self.perfect = self.perfect + 1 if is_perfect else 0
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
        self.tokens += batch.tokens
        self.optimizer.learning_rate = self.schedule(self.step)
        loss = loss_of(self.model, batch, self.settings.label_smoothing)
        value = float(loss)
        require_finite(value, "the loss", f"step {self.step}")
        loss.backward()
        norm = clip_grad_norm(self.optimizer.parameters, self.settings.clip)
        require_finite(norm, "the gradient's norm", f"step {self.step}")
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def record(self, scores: Record) -> Record:
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
            self.last = {"loss": record["loss"], **scores}
        return record | scores

    def evaluate(self) -> Record:
        """How the model does on all held-out examples, and on some that it is trained on."""
        held_out, training = map(self.score, (self.data.test, self.training_sample))
        own = {f"training_{name}": x for name, x in training.items() if name != "loss"}
        return {"held_out_loss": held_out.pop("loss"), **held_out, **own}

    def score(self, examples: Sequence[Example]) -> Record:
        """How the model does on examples: shares that it gets right, and the loss."""
        size = self.settings.batch_size
        return evaluate(self.model, self.form, examples, size, self.settings.label_smoothing)

    @cached_property
    def training_sample(self) -> list[Example]:
        """Examples of the training stream, the same at each evaluation, drawn apart from it."""
        rng = np.random.default_rng((self.settings.seed, 2))
        return self.data.sample(rng, min(SAMPLE, len(self.data.test)))

    def answers(self) -> list[Any]:
        """What the model answers to each held-out example."""
        with threadpool_limits(self.settings.threads, "blas"):
            return answer(self.model, self.form, self.data.test, self.settings.batch_size)

    def summary(self) -> dict[str, Any]:
        """The run in one table, with the results of its last evaluation."""
        return {
            "task": self.data.name,
            "model": self.recipe.model.name,
            "seed": self.settings.seed,
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
            "parameters": count_parameters(self.model),
            "held_out": len(self.data.test),
            **self.last,
        }

    def state(self) -> State:
        """(model, optimizer, everything else): all that `restore` needs, the last ready for JSON.

        The last also says what a user of the model must know: the form of its questions.
        """
        rest = {name: getattr(self, name) for name in self.counts}
        rest["config"], rest["data"] = self.recipe.flat(), self.data.checksum
        rest["rng"] = self.rng.bit_generator.state
        return self.model.state_dict(), self.optimizer.state_dict(), rest | self.form.state()

    def restore(
        self, model: dict[str, Any], optimizer: dict[str, Any], rest: dict[str, Any]
    ) -> None:
        """Go on from a `state()`. ValueError when it belongs to other settings or other data."""
        require_same(rest["config"], self.recipe, "the model")
        if rest["data"] != self.data.checksum:
            task = self.recipe.task
            names = " or ".join(x for x in (task.data, getattr(task, "test", "")) if x)
            raise ValueError(f"{names} has changed since the run began")
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        self.rng.bit_generator.state = rest["rng"]
        for name in self.counts:
            setattr(self, name, rest[name])


def load_data(recipe: Recipe, state: State | None) -> Any:
    """The examples of a recipe. Texts to be labelled have the tokens of the run whose weights the
    model begins with, for which a `state` stands in that it goes on from."""
    task, path = recipe.task, recipe.training.from_run
    if task.form != "labels" or not path:
        return task.load(recipe.training.seed)
    known = FORMS[task.form].restore(state[2]) if state else open_lender(path).form
    return task.load(recipe.training.seed, known)


def learning_rates(model: Any, recipe: Recipe) -> list[tuple[Any, float]]:
    """The parameters that learn, each with its rate against that of the model; the others are
    frozen. SettingError where rates differ, and the model does not say how."""
    decay, parameters = recipe.training.layer_decay, model.parameters()
    if decay == 1:
        return [(parameter, 1.0) for parameter in parameters]
    if not hasattr(model, "rates"):
        raise SettingError(f"<layer_decay> means nothing to {recipe.model.name}; leave it out")
    rates = [*zip(parameters, model.rates(decay), strict=True)]
    for parameter, rate in rates:
        parameter.requires_grad = rate > 0
    return [(parameter, rate) for parameter, rate in rates if rate > 0]


def loss_of(model: Any, batch: Batch, label_smoothing: float = 0.0) -> Any:
    """The mean cross-entropy of a batch's labels, of all models and all forms alike."""
    return cross_entropy_of(model(*batch.inputs), batch.labels, label_smoothing)


def cross_entropy_of(
    logits: Any, labels: Any, label_smoothing: float = 0.0, reduction: str = "mean"
) -> Any:
    """The cross-entropy of labels, but for those that nobody asks for."""
    return cross_entropy(
        logits,
        labels,
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def require_finite(value: float, what: str, where: str) -> None:
    """DivergenceError for what is no number, or none that training could go on with."""
    if not isfinite(value):
        raise DivergenceError(f"{what} is {value} at {where}; lower the learning rate")


def evaluate(
    model: Module,
    form: Form,
    examples: Sequence[Example],
    batch_size: int = 64,
    label_smoothing: float = 0.0,
) -> Record:
    """How a model does on examples, `batch_size` at a time: what `form.rate` tells, and the loss,
    as in training but without dropout."""
    loss, found = read(model, form, examples, batch_size, label_smoothing)
    require_finite(loss, "the loss", "an evaluation")
    answers = partial(answer, model, form, examples, batch_size)
    return {**form.rate(examples, found, answers), "loss": loss}


def in_batches(examples: Sequence[Example], size: int) -> Iterator[list[int]]:
    """The places of examples, some of similar length at a time: padding costs time too."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i][0]))
    for start in range(0, len(examples), size):
        yield order[start : start + size]


def answer(model: Module, form: Form, examples: Sequence[Example], batch_size: int) -> list[Any]:
    """What the model answers to each example, `DECODED` batches at a time."""
    answers: list[Any] = [None] * len(examples)
    for places in in_batches(examples, DECODED * batch_size):
        found = form.answer(model, [examples[i][0] for i in places])
        for place, own in zip(places, found, strict=True):
            answers[place] = own
    return answers


def read(
    model: Module,
    form: Form,
    examples: Sequence[Example],
    batch_size: int,
    label_smoothing: float = 0.0,
) -> tuple[float, Found]:
    """What is asked for, as training does: (the mean loss, what there is to know of it)."""
    smoothed, loss, right, count = 0.0, 0.0, 0, 0
    with no_grad(), evaluating(model):
        for places in in_batches(examples, batch_size):
            batch = form.batch([examples[i] for i in places])
            logits, labels = model(*batch.inputs), batch.labels
            own = float(cross_entropy_of(logits, labels, reduction="sum"))
            loss += own
            if label_smoothing:
                own = float(cross_entropy_of(logits, labels, label_smoothing, "sum"))
            smoothed += own
            right += int(np.count_nonzero(logits.data.argmax(-1) == labels))
            count += int(np.count_nonzero(labels != IGNORE))
    return smoothed / count, Found(loss / count, right / count)
