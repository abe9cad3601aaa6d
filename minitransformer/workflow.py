"""From settings to a run folder: begin a run, go on with one, and write down what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from minigrad.files import trying_to
from minitransformer.config import (
    MODEL,
    TrainingConfig,
    option,
    require_used,
    unused_settings,
)
from minitransformer.data import UNK
from minitransformer.inside.film import Camera
from minitransformer.runs import Run
from minitransformer.training import Record, Trainer, require_same


def start(
    chosen: Mapping[str, Any], out: Path | None = None, folder: Path = Path("runs")
) -> tuple[Trainer, Run]:
    """A trainer at its first step, and its new run folder: `out`, or one in `folder`.

    That is called after the task or the data file. Settings that are not `chosen` have their
    defaults, and a model that begins with the weights of another run has that one's sizes.
    """
    if chosen.get("from_run"):
        made = Run.open(chosen["from_run"]).settings()
        kept = (*MODEL, "tokens") if chosen.get("task") == made.task == "pairs" else MODEL
        chosen = {name: getattr(made, name) for name in kept} | dict(chosen)
    settings = TrainingConfig.read(chosen)
    if "task" not in chosen:
        raise ValueError("name a task (copy, reverse or sort), or give --data FILE")
    require_used(chosen, settings)
    trainer = Trainer(settings)
    if out is None:
        out = make_unused(folder / run_name(settings))
    run = Run.create(out, asdict(settings))
    run.save(*trainer.state())  # to know now, not in a minute, if the disk is full
    return trainer, run


def run_name(settings: TrainingConfig) -> str:
    """What a run is called: the name of its task, or that of its data file without the suffix."""
    return Path(settings.data).stem.lstrip(".") or settings.task


def make_unused(path: Path) -> Path:
    """A new folder: the path, or the first of path-2, path-3, … that does not exist."""
    candidate, number = path, 2
    with trying_to("make the run folder", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                candidate.mkdir()
                return candidate
            except FileExistsError:
                candidate, number = path.with_name(f"{path.name}-{number}"), number + 1


def resume(run: Run, chosen: Mapping[str, Any]) -> Trainer:
    """The trainer of a run that goes on, with other settings where some are chosen.

    A run that had finished early, and is now given more steps, does not finish early again unless
    `patience` is chosen. Raises RunError for a setting that a run keeps for good.
    """
    made = run.settings()
    settings = TrainingConfig.read(asdict(made) | dict(chosen))
    require_same(asdict(made), asdict(settings), str(run.path))
    # A run that was killed before its first save begins again.
    state = run.load() if run.has_checkpoint() else None
    if state:
        require_same(
            state[2]["config"], asdict(made), f"{run.path}/config.toml has changed: the model"
        )
    perfect = state[2]["perfect"] if state else 0
    if 0 < made.patience <= perfect and "steps" in chosen and "patience" not in chosen:
        settings = replace(settings, patience=0)
    return Trainer(settings, state)


def follow(
    trainer: Trainer, run: Run, filmed: bool = False, after_step: Callable[[], None] | None = None
) -> Iterator[Record]:
    """Train into a run folder, writing everything down; gives each record once it is there.

    The model is saved at each evaluation, and where the trainer is stopped.
    """
    run.reopen(trainer.step)
    if run.config != asdict(trainer.config):
        run.config = asdict(trainer.config)
        run.write_config()
    camera = Camera(run, trainer) if filmed else None
    for record in trainer.run(after_step):
        run.append_metrics(record)
        if camera:
            camera.capture()
        if "exact_match" in record:
            run.save(*trainer.state())
        yield record
    if trainer.stopped:
        run.save(*trainer.state())


def warnings(trainer: Trainer) -> list[str]:
    """What to know before training: settings without effect, examples that cannot be learned."""
    task = trainer.task
    unused = " and ".join(map(option, unused_settings(trainer.config)))
    found = [f"{unused} without effect: a file has its own"] if unused else []
    for side, of in (("sources", 0), ("targets", 1)):
        unknown = sum(UNK in pair[of] for pair in task.test)
        if 2 * unknown > len(task.test):
            hint = "; try --tokens char" if task.tokens == "word" else "; more data would help"
            found.append(
                f"{unknown:,} of {len(task.test):,} held-out {side} have tokens "
                f"that training never sees{hint}"
            )
    return found
