"""The film of a training run: some fifty frames of what a model attends to, and what it answers.

    film/000120.safetensors   after step 120: the attention maps of every head, and the answer

All frames are of one held-out example. Losses and scores are where they always are, in
metrics.jsonl: the film does not tell them a second time, `read_film` puts both together.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

from minigrad.files import StrPath, trying_to
from minigrad.tensor import Array
from minitransformer.data import BOS, SPECIAL_TOKENS, UNK, Pair, make_batch
from minitransformer.decoding import greedy
from minitransformer.runs import Run, RunError, load_checkpoint, save_checkpoint
from minitransformer.training import Record, Trainer

FRAMES = 56
"""How many frames a run of all its steps has, but for early ones that fall on the same record."""

LONGEST = 24
"""Tokens of an example that is filmed, where there is one so short: a map grows by their square."""


@dataclass(frozen=True)
class Frame:
    """The model after a step.

    maps: {"encoder.layers.0.self_attention": (H, T, S) float32, …}, for the example's source and
    the decoder reading <bos> and the right target, whatever the model itself would have written.
    answer: what it does write, greedily. record: the step's line of metrics.jsonl, with the loss;
    empty for the untrained model. score: the latest record so far that has an exact match.
    """

    step: int
    maps: dict[str, Array]
    answer: list[str]
    record: Record
    score: Record


@dataclass(frozen=True)
class Film:
    """Frames of one example, in order, and all records of the run that they are from.

    source, target: the example's tokens. read: what the decoder reads, <bos> and the target.
    """

    task: str
    source: list[str]
    target: list[str]
    frames: list[Frame]
    records: list[Record]

    @property
    def read(self) -> list[str]:
        return [SPECIAL_TOKENS[BOS], *self.target]


class Camera:
    """What films a trainer into the folder of its run: call `capture` after each record.

    A new film begins with the untrained model; one of a run that goes on first loses what came
    after the trainer's step. Filming draws no random number and leaves the model as it was, so a
    run ends with the same bits, filmed or not. FileError where a frame cannot be written.
    """

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.trainer, self.folder = trainer, run.path / "film"
        self.pair = telling(trainer.task.test)
        with trying_to("write", self.folder):
            self.folder.mkdir(exist_ok=True)
            for leftover in self.folder.glob(".*.partial"):
                leftover.unlink()
            taken = frame_paths(self.folder)
            for step in [step for step in taken if step > trainer.step]:
                taken.pop(step).unlink()
        self.last = max(taken, default=0)
        if not taken or trainer.step == 0:
            self.take()

    def capture(self) -> None:
        """Take a frame if it is time for one: often at first, and of the last step in any case."""
        if self.trainer.finished or self.due(self.trainer.step) > self.due(self.last):
            self.take()

    def due(self, step: int) -> int:
        """How many frames there should be by this step: as many as its square root says."""
        return isqrt(FRAMES * FRAMES * step // self.trainer.config.steps)

    def take(self) -> None:
        """Write a frame of the model as it is."""
        model, task = self.trainer.model, self.trainer.task
        batch = make_batch([self.pair])
        maps = model.attention_maps(batch.source, batch.target_in)
        answer = greedy(model, batch.source, task.max_target)[0]
        source, target = self.pair
        tokens = task.target_vocabulary.tokens
        about = {
            "task": task.name,
            "source": [task.source_vocabulary.tokens[i] for i in source],
            "target": [tokens[i] for i in target],
            "answer": [tokens[i] for i in answer],
            "layers": list(maps),
        }
        self.last = self.trainer.step
        path = self.folder / f"{self.last:06}.safetensors"
        save_checkpoint(path, {name: weights[0] for name, weights in maps.items()}, about)


def telling(pairs: list[Pair]) -> Pair:
    """The example to film: the longest with the most distinct symbols, if it is not too long.

    An unknown token, where every example has one, is better than none to film.
    """

    def merit(pair: Pair) -> tuple[bool, int, int, int]:
        source, target = pair
        length = max(len(source), len(target))
        known = UNK not in source and UNK not in target
        return known, min(0, LONGEST - length), length, len(set(source))

    return max(pairs, key=merit)


def frame_paths(folder: Path) -> dict[int, Path]:
    """The frames in a folder by step, the first step first."""
    paths = [path for path in folder.glob("*.safetensors") if path.stem.isdecimal()]
    return {int(path.stem): path for path in sorted(paths, key=lambda path: int(path.stem))}


def read_film(path: StrPath) -> Film:
    """The film in a run folder, finished or not.

    Raises RunError where there is none, where a frame is damaged, or of another example or model
    than the first.
    """
    run = Run.open(path)
    taken = frame_paths(run.path / "film")
    if not taken:
        raise RunError(f"{path} has no film; train with --film")
    records = run.metrics()
    frames: list[Frame] = []
    first: Any = None
    for step, file in taken.items():
        maps, about = load_checkpoint(file)
        answer = about.pop("answer")
        maps = {name: maps[name] for name in about.pop("layers")}  # in the model's order
        subject = about, [(name, weights.shape) for name, weights in maps.items()]
        first = first or subject
        if subject != first:
            raise RunError(f"{file} is not of the same film as the frames before; train again")
        record = next((record for record in records if record["step"] == step), {})
        scores = [
            record for record in records if record["step"] <= step and "exact_match" in record
        ]
        frames.append(Frame(step, maps, answer, record, scores[-1] if scores else {}))
    return Film(**first[0], frames=frames, records=records)
