"""From settings to a run folder: begin a run, go on with one, and write down what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigrad.files import trying_to
from minitransformer.inside.film import Camera
from minitransformer.recipe import (
    Recipe,
    form_of,
    refuse_differences,
    require_kinds,
    require_same,
    require_unchanged,
)
from minitransformer.runs import Run
from minitransformer.settings import SettingError
from minitransformer.training import Record, Trainer, metric_of
from minitransformer.transfer import lent_settings


def start(
    chosen: Mapping[str, Any], out: Path | None = None, folder: Path = Path("runs")
) -> tuple[Trainer, Run]:
    """A trainer at its first step, and its new run folder: `out`, or one in `folder`.

    That is called after the task or the data file. Settings that are not `chosen` have their
    defaults, and a model that begins with the weights of another run has that one's sizes.
    """
    require_kinds(chosen)
    if chosen.get("from_run"):
        chosen = lent_settings(chosen) | dict(chosen)
    recipe = Recipe.read(chosen)
    trainer = Trainer(recipe)
    if out is None:
        out = make_unused(folder / run_name(recipe))
    run = Run.create(out, recipe.flat())
    run.save(*trainer.state())  # to know now, not in a minute, if the disk is full
    return trainer, run


def run_name(recipe: Recipe) -> str:
    """What a run is called: the name of its task, or that of its data file without the suffix."""
    return Path(recipe.flat().get("data", "")).stem.lstrip(".") or recipe.task.name


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
    require_kinds(chosen)
    made = Recipe.of_run(run)
    if form_of(chosen.get("task")) not in (None, made.task.form):
        # Before a model is blamed that nobody chose.
        refuse_differences({"task": made.task.name}, {"task": chosen["task"]}, str(run.path))
    recipe = Recipe.read(made.flat() | dict(chosen))
    require_same(made.flat(), recipe, str(run.path))
    # A run that was killed before its first save begins again.
    state = run.load() if run.has_checkpoint() else None
    perfect = 0
    if state:
        require_unchanged(run, state[2]["config"], made)
        perfect, done = state[2]["perfect"], state[2]["step"]
        if not state[2]["last"] and recipe.training.steps <= done:
            raise SettingError(
                f"<steps> must be above {done:,}, which this run has made without an evaluation"
            )
    if 0 < made.training.patience <= perfect and "steps" in chosen and "patience" not in chosen:
        recipe = replace(recipe, training=replace(recipe.training, patience=0))
    return Trainer(recipe, state)


def follow(
    trainer: Trainer, run: Run, filmed: bool = False, after_step: Callable[[], None] | None = None
) -> Iterator[Record]:
    """Train into a run folder, writing everything down; gives each record once it is there.

    The model is saved at each evaluation, and where the trainer is stopped.
    """
    run.reopen(trainer.step)
    if run.config != trainer.recipe.flat():
        run.config = trainer.recipe.flat()
        run.write_config()
    camera = Camera(run, trainer) if filmed else None
    for record in trainer.run(after_step):
        run.append_metrics(record)
        if camera:
            camera.capture()
        if metric_of(record):
            run.save(*trainer.state())
        yield record
    if trainer.stopped:
        run.save(*trainer.state())


def example(trainer: Trainer) -> tuple[list[int], str]:
    """The held-out example to show: (source, its text), one of the longer ones without <unk>."""
    test, form = trainer.data.test[:20], trainer.form
    place = max(range(len(test)), key=lambda i: (form.is_known(test[i]), len(test[i][0])))
    source = form.scene(test[place])[0]
    as_written = trainer.data.test_texts[place][0]
    return source, as_written if source == test[place][0] else form.text(source)


def finish(trainer: Trainer, run: Run) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    """Write down how a run ended: (summary, (source, expected, answer) of each wrong answer)."""
    data, form = trainer.data, trainer.form
    texts: list[str] = []
    wrong: list[tuple[str, str, str]] = []
    if form.perfect is not None:  # where no answer can be called right, none is wrong
        answers = trainer.answers()
        texts = [form.write(answer) for answer in answers]
        wrong = [
            (*asked, text)
            for asked, text, answer, example in zip(
                data.test_texts, texts, answers, data.test, strict=True
            )
            if not form.is_right(answer, example[1])
        ]
        run.write_errors(wrong)
    summary = {**trainer.summary(), **data.measure(texts), "wrong": len(wrong)}
    run.write_summary(summary)
    return summary, wrong


def warnings(trainer: Trainer) -> list[str]:
    """What to know before training: examples that cannot be learned."""
    test = trainer.data.test
    found = [*trainer.data.notes]
    # An example is its source and its target, and so are the sides that are texts.
    for place, (side, tokeniser) in enumerate(trainer.form.tokenisers.items()):
        unknown = sum(tokeniser.special.unk in example[place] for example in test)
        if 2 * unknown > len(test):
            flat = trainer.recipe.flat()
            by_word = flat.get("tokens") == "word" and not flat["from_run"]
            hint = "; try --tokens char" if by_word else "; more data would help"
            found.append(
                f"{unknown:,} of {len(test):,} held-out {side}s have tokens "
                f"that training never sees{hint}"
            )
    return found
