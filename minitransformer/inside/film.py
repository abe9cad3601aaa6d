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
from minitransformer.forms import Example, Form
from minitransformer.inside.maps import attention_maps
from minitransformer.models.transformer import Transformer
from minitransformer.runs import Run, RunError, load_checkpoint, save_checkpoint
from minitransformer.training import Record, Trainer, metric_of

FRAMES = 56
"""How many frames a run of all its steps has, but for early ones that fall on the same record."""

LONGEST = 24
"""Tokens of an example that is filmed, where there is one so short: a map grows by their square."""


@dataclass(frozen=True)
class Frame:
    """The model after a step.

    maps: {"encoder.layers.0.self_attention": (H, T, S) float32, …}, for the example's source and
    a decoder reading <bos> and the right target, whatever the model itself would have written;
    none of a model without attention. answer: what it does answer, token by token, or how it goes
    on with a text, in one piece. record: the
    step's line of metrics.jsonl, with the loss; empty for the untrained model. score: the latest
    record so far of an evaluation.
    """

    step: int
    maps: dict[str, Array]
    answer: list[str]
    record: Record
    score: Record


@dataclass(frozen=True)
class Film:
    """Frames of one example, in order, and all records of the run that they are from.

    form: the kind of question, of FORMS. source: the example's tokens. question: those tokens, or
    the text that they are in one piece. target: the right answer, or how the text does go on. read:
    what a decoder reads, <bos> and the target, or nothing. end: what ends an answer, if anything
    does. sides: whose tokens look in each map, and at whose they look:
    {"decoder.layers.0.cross_attention": ("target", "source"), …}, where "target" is what is read.
    """

    task: str
    form: str
    source: list[str]
    question: list[str]
    target: list[str]
    read: list[str]
    end: str
    sides: dict[str, tuple[str, str]]
    frames: list[Frame]
    records: list[Record]

    def tokens(self, path: str) -> tuple[list[str], list[str]]:
        """The tokens along both sides of a map: those that look, and those that are looked at."""
        by_side = {"source": self.source, "text": self.source, "target": self.read}
        queries, keys = self.sides[path]
        return by_side[queries], by_side[keys]


class Camera:
    """What films a trainer into the folder of its run: call `capture` after each record.

    A new film begins with the untrained model; one of a run that goes on first loses what came
    after the trainer's step. Filming draws no random number and leaves the model as it was, so a
    run ends with the same bits, filmed or not. FileError where a frame cannot be written.
    """

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.trainer, self.folder = trainer, run.path / "film"
        self.example = choose_example(trainer.data.test, trainer.form)
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
        return isqrt(FRAMES * FRAMES * step // self.trainer.settings.steps)

    def take(self) -> None:
        """Write a frame of the model as it is."""
        model, form = self.trainer.model, self.trainer.form
        maps = attention_maps(model, *form.batch([self.example]).inputs)
        sides = form.sides(self.example)
        source, target = self.example
        tokens, read = next(iter(sides.values())), sides.get("target", [])
        if form.name == "text":
            question, right = [form.text(source)], [form.write(target)]
            answer = [form.show(model, source)]
        else:
            question, right = tokens, form.spell(target)
            answer = form.spell(form.answer(model, [source])[0])
        about = {
            "task": self.trainer.data.name,
            "form": form.name,
            "source": tokens,
            "question": question,
            "target": right,
            "read": read,
            "end": "".join(form.asked(self.example)[len(right) :]) if read else "",
            "answer": answer,
            "layers": list(maps),
            "sides": {path: (x.queries, x.keys) for path, x in maps.items()},
        }
        self.last = self.trainer.step
        path = self.folder / f"{self.last:06}.safetensors"
        save_checkpoint(path, {name: x.weights[0] for name, x in maps.items()}, about)


def choose_example(examples: list[Example], form: Form) -> Example:
    """The scene to film: of the longest example with the most distinct symbols, if not too long.

    An unknown token, where every example has one, is better than none to film.
    """

    def merit(example: Example) -> tuple[bool, int, int, int]:
        source = example[0]
        length = (
            len(source) if form.name == "text" else max(len(source), len(form.spell(example[1])))
        )
        is_asked = bool(form.spell(example[1]))  # a part of a text may have no gap
        return (
            form.is_known(example) and is_asked,
            min(0, LONGEST - length),
            length,
            len(set(source)),
        )

    return max(map(form.scene, examples), key=merit)


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
        about.setdefault("form", "pairs")
        about.setdefault("question", about["source"])
        about.setdefault("read", ["<bos>", *about["target"]])  # as films of before left unsaid
        about.setdefault("end", "<eos>" if about["read"] else "")
        about.setdefault("sides", {path: [*Transformer.sides(path)] for path in about["layers"]})
        maps = {name: maps[name] for name in about.pop("layers")}  # in the model's order
        subject = about, [(name, weights.shape) for name, weights in maps.items()]
        first = first or subject
        if subject != first:
            raise RunError(f"{file} is not of the same film as the frames before; train again")
        record = next((record for record in records if record["step"] == step), {})
        scores = [record for record in records if record["step"] <= step and metric_of(record)]
        frames.append(Frame(step, maps, answer, record, scores[-1] if scores else {}))
    sides = {path: tuple(both) for path, both in first[0].pop("sides").items()}
    return Film(**first[0], sides=sides, frames=frames, records=records)
