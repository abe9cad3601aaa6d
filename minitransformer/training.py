"""Training: batches in, a better model out, and everything needed to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minigrad.memory import keep_heap
from minigrad.nn import count_parameters
from minigrad.ops.neural import cross_entropy
from minigrad.optim import AdamW, clip_grad_norm, warmup_cosine
from minitransformer.config import Activation, Norm, Positions, TransformerConfig
from minitransformer.data import PAD, Batch, Pair, TokenKind, make_batch
from minitransformer.decoding import greedy
from minitransformer.tasks import FileTask, SyntheticTask, Task
from minitransformer.transformer import Transformer

Record = dict[str, float]
"""One line of a run's metrics."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides how a run goes: the same configuration gives the same bits.

    `task` is "copy", "reverse" or "sort", over sequences of 1 to `length` symbols out of `vocab`;
    or "pairs", with `data` the path of a file of pairs, `tokens` their kind, and `held_out` the
    share kept for testing. `clip` is the largest gradient norm. The learning rate rises to
    `learning_rate` in `warmup` steps and falls along half a cosine to a tenth of it at `steps`.
    """

    task: str = "reverse"
    length: int = 10
    vocab: int = 10
    data: str = ""
    tokens: TokenKind = "word"
    held_out: float = 0.1
    d_model: int = 64
    heads: int = 4
    layers: int = 2
    d_ff: int = 128
    norm: Norm = "pre"
    activation: Activation = "relu"
    positions: Positions = "sinusoidal"
    dropout: float = 0.0
    batch_size: int = 64
    steps: int = 3000
    learning_rate: float = 2e-3
    warmup: int = 100
    clip: float = 1.0
    label_smoothing: float = 0.0
    evaluate_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "warmup", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {self.label_smoothing}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")

    def make_task(self) -> Task:
        """The task, with its held-out examples. ValueError for an unknown one."""
        if self.task == "pairs":
            return FileTask(self.data, self.tokens, self.held_out, self.seed)
        return SyntheticTask(self.task, self.length, self.vocab, self.seed)

    def model_config(self, task: Task) -> TransformerConfig:
        """The shape of the model for this task."""
        return TransformerConfig(
            source_vocab=len(task.source_vocabulary),
            target_vocab=len(task.target_vocabulary),
            d_model=self.d_model,
            num_heads=self.heads,
            num_encoder_layers=self.layers,
            num_decoder_layers=self.layers,
            d_ff=self.d_ff,
            dropout=self.dropout,
            max_length=max(task.max_source, task.max_target),
            norm=self.norm,
            activation=self.activation,
            positions=self.positions,
        )


@dataclass(frozen=True)
class Score:
    """How a model does on examples: the share of sequences, and of tokens, that it gets right."""

    exact_match: float
    token_accuracy: float


class Trainer:
    """A model on its way: task, weights, optimizer, random numbers and counts.

    `run()` trains, giving a record every few steps; `stop()` ends it after the step in hand.
    `state()` and `restore()` carry everything over to another process: a run that was stopped and
    restored ends with the same bits as one that was not.
    """

    log_every = 10
    patience = 2
    """Stop early after this many perfect evaluations in a row."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.task = config.make_task()
        self.rng = np.random.default_rng(config.seed)
        self.model = Transformer(config.model_config(self.task), self.rng)
        self.optimizer = AdamW(
            self.model.parameters(), betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0
        )
        self.schedule = warmup_cosine(
            config.learning_rate, config.warmup, config.steps, config.learning_rate / 10
        )
        self.step = 0
        self.perfect = 0
        self.seconds = 0.0
        self.tokens = 0
        self.losses: list[float] = []
        self.stopped = False

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or enough evaluations were perfect."""
        return self.step >= self.config.steps or self.perfect >= self.patience

    def run(self) -> Iterator[Record]:
        """Train until finished or stopped. Each evaluation's record has `exact_match` as well."""
        keep_heap()
        config = self.config
        while not self.finished and not self.stopped:
            started = time.perf_counter()
            self.losses.append(self.train_step(self.task.sample(self.rng, config.batch_size)))
            self.seconds += time.perf_counter() - started
            evaluating = self.step % config.evaluate_every == 0 or self.step == config.steps
            if evaluating or self.step % self.log_every == 0:
                record = self.record()
                if evaluating:
                    score = self.evaluate()
                    record |= asdict(score)
                    self.perfect = self.perfect + 1 if score.exact_match == 1 else 0
                self.losses = []
                yield record

    def stop(self) -> None:
        """End `run()` after the step in hand."""
        self.stopped = True

    def train_step(self, batch: Batch) -> float:
        """One step: forward, loss, backward, clipping, update. Returns the loss before it."""
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
        loss.backward()
        clip_grad_norm(self.optimizer.parameters, self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss)

    def record(self) -> Record:
        """Where the run stands; the loss is the mean since the last record."""
        return {
            "step": self.step,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.learning_rate,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
        }

    def evaluate(self) -> Score:
        """Greedy decoding of every held-out example, against its target."""
        return evaluate(self.model, self.task.test, self.task.max_target)

    def summary(self, score: Score, loss: float) -> dict[str, Any]:
        """The run in one table."""
        return {
            "task": self.task.name,
            "seed": self.config.seed,
            "steps": self.step,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens / self.seconds),
            "parameters": count_parameters(self.model),
            "loss": loss,
            "held_out": len(self.task.test),
            **asdict(score),
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(arrays, everything else): all that `restore` needs, the second ready for JSON."""
        optimizer = self.optimizer.state_dict()
        arrays = {f"model.{name}": x for name, x in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": optimizer[name] for name in self.optimizer.moments}
        return arrays, {
            "step": self.step,
            "perfect": self.perfect,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "losses": self.losses,
            "rng": self.rng.bit_generator.state,
            "source_vocabulary": self.task.source_vocabulary.to_list(),
            "target_vocabulary": self.task.target_vocabulary.to_list(),
        }

    def restore(self, arrays: dict[str, Any], rest: dict[str, Any]) -> None:
        """Go on from a `state()`. ValueError when it belongs to another model or other data."""
        for side in ("source", "target"):
            if rest[f"{side}_vocabulary"] != getattr(self.task, f"{side}_vocabulary").to_list():
                raise ValueError(f"the data has changed: its {side} vocabulary is another one")
        parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {"steps": rest["step"]}}
        for key, x in arrays.items():
            part, _, name = key.partition(".")
            parts[part][name] = x
        self.model.load_state_dict(parts["model"])
        self.optimizer.load_state_dict(parts["optimizer"])
        self.rng.bit_generator.state = rest["rng"]
        self.step, self.perfect = rest["step"], rest["perfect"]
        self.seconds, self.tokens, self.losses = rest["seconds"], rest["tokens"], rest["losses"]


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
