"""Sense: does a model tell the two meanings of *bank*, *server* and *check* apart?

Words are known by the company they keep. A test of that must not be one that any network passes:
through attention, even one that has learned nothing mixes into the vector of a word those of its
neighbours, so words with like neighbours get like vectors. What it cannot know is that a bank
beside a river is a *shore*, and one beside money a *lender*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from minigrad.files import FileError
from minigrad.tensor import Array
from minitransformer.answering import Predictor
from minitransformer.interop.published import find, is_published, open_source
from minitransformer.models.bert import BertReader
from minitransformer.recipe import Recipe
from minitransformer.runs import Run
from minitransformer.settings import Group, SettingError, setting
from minitransformer.studies.asked import (
    NINE,
    Measures,
    ask_masked,
    ask_published,
    ask_translator,
    kinds,
    points,
)
from minitransformer.studies.sense_tables import says_of, tables_of
from minitransformer.studies.study import Finding, study
from minitransformer.studies.trained import require_grammar, train, untrained
from minitransformer.studies.workers import in_parallel

Kind = Literal["masked", "translate", "published"]
KINDS: tuple[Kind, ...] = "masked", "translate", "published"

USUAL = "minilm"
"""The published model that is asked where nobody names one."""


class Job(NamedTuple):
    """A model to ask: one of a run folder or published, or one to train first.

    steps: to train it for; 0: as many as are usual. controls: untrained models beside it. drawn:
    whether its vectors are for a picture.
    """

    kind: Kind
    name: str
    path: str = ""
    seed: int = 0
    steps: int = 0
    controls: int = 1
    drawn: bool = False


class Asked(NamedTuple):
    """What a model knows of each word, what its controls do, and vectors to be drawn."""

    kind: Kind
    name: str
    trained: dict[str, Measures]
    untrained: list[dict[str, Measures]]
    arrays: dict[str, Array]


@study("sense", argument="runs")
@dataclass(frozen=True)
class Sense(Group):
    """Whether a word has other vectors in other meanings.

    RUN is one of `minigrad train masked` or `minigrad train translate`, or a published BERT
    (minilm, a folder). Without any, models are trained here, and minilm is asked too.
    """

    runs: tuple[str, ...] = setting((), "[RUN]...")
    seeds: int = setting(3, "models of each kind that are trained here", least=1, most=100)
    steps: int = setting(
        0, "training steps of each; 0: as many as `minigrad train` makes", least=0, most=10**6
    )
    controls: int = setting(3, "untrained models beside each trained one", least=1, most=100)

    def find(self) -> Finding:
        """Ask every model and its controls the same; chance is one half throughout."""
        jobs, missing = self.jobs()
        asked = in_parallel(ask, jobs, [f"{job.kind}, {job.name}" for job in jobs])
        arrays: dict[str, Array] = {}
        for x in asked:
            arrays |= x.arrays
        numbers: dict[str, Any] = {"chance": 0.5, "chance_of_neighbours_of_everyday": NINE}
        for kind in KINDS:
            numbers[kind] = [
                {"model": x.name, "trained": x.trained, "untrained": x.untrained}
                for x in asked
                if x.kind == kind
            ]
        return Finding(
            self.name, tables_of(numbers), [*says_of(numbers), *missing], numbers, arrays
        )

    def jobs(self) -> tuple[list[Job], list[str]]:
        """The models to ask, and what to say of one that is not there."""
        jobs, missing = [self.job_of(run) for run in self.runs], []
        if not self.runs:
            jobs = [
                Job(kind, f"seed {seed}", "", seed, self.steps)
                for kind in KINDS[:2]
                for seed in range(self.seeds)
            ]
            try:
                find(USUAL)
                jobs.append(Job("published", USUAL, USUAL))
            except FileError as error:
                missing.append(f"Not asked: {error}.")
        drawn = next((i for i, job in enumerate(jobs) if job.kind == "masked"), None)
        return [
            job._replace(controls=self.controls, drawn=i == drawn) for i, job in enumerate(jobs)
        ], missing

    def job_of(self, path: str) -> Job:
        """What to ask the model at a path. SettingError for one that cannot be asked this."""
        if is_published(path):
            source = open_source(find(path))
            if source.family.name != "BERT":
                raise SettingError(f"{path} reads no text in both directions; name a BERT")
            return Job("published", path, path)
        recipe = Recipe.of_run(Run.open(path))
        require_grammar(path, recipe)
        return Job(recipe.task.name, path, path, recipe.training.seed)


def ask(job: Job) -> Asked:
    """Train a model if it is not there, and ask it and its controls."""
    if job.kind == "published":
        return ask_reader(job)
    if job.path:
        predictor = Predictor(job.path)
        recipe, form, model = predictor.recipe, predictor.form, predictor.model
    else:
        chosen = {"task": job.kind, "seed": job.seed}
        trainer = train(chosen | ({"steps": job.steps} if job.steps else {}))
        recipe, form, model = trainer.recipe, trainer.form, trainer.model
    assert recipe is not None
    before = untrained(recipe, form, job.controls)
    question = ask_masked if job.kind == "masked" else ask_translator
    arrays: dict[str, Array] = {}
    if job.drawn:
        for when, one in (("before", before[0]), ("after", model)):
            found = points(one, form, job.seed)
            arrays |= {f"{word}.{when}": x for word, x in found.items()}
        arrays |= {f"{word}.kinds": x for word, x in kinds(job.seed).items()}
    return Asked(
        job.kind,
        job.name,
        question(model, form, job.seed),
        [question(one, form, job.seed) for one in before],
        arrays,
    )


def ask_reader(job: Job) -> Asked:
    """Ask a published model, and readers as large with random weights."""
    predictor = Predictor(job.path)
    config = open_source(find(job.path)).configuration()
    controls = [
        ask_published(BertReader(config, np.random.default_rng(seed)), predictor.form)
        for seed in range(job.controls)
    ]
    return Asked(job.kind, job.name, ask_published(predictor.model, predictor.form), controls, {})
