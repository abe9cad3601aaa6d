"""Few labels: what an encoder that has read without any is worth, where labels are few.

Which of its two senses a word has in a sentence is learned from few sentences, and asked of others,
in which other words tell it. The encoder has filled the gaps of most of these sentences before, but
nobody told it of senses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from minitransformer import workflow
from minitransformer.finetuning import ALL_WAYS, USUAL, accuracy
from minitransformer.progress import tell
from minitransformer.settings import Group, SettingError, setting
from minitransformer.studies.percent import percent
from minitransformer.studies.study import Finding, Table, study
from minitransformer.studies.workers import in_parallel
from minitransformer.tasks.english import Row, labelled
from minitransformer.training import Record
from minitransformer.transfer import open_lender

WORDS = "bank", "check"
"""With "server", the third of them, the settings were chosen."""
COUNTS = 1, 4, 8, 16
"""Labelled sentences of each sense."""
FIRST = 10
"""The first seed; settings were chosen with smaller ones."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

Shares = dict[int, dict[str, list[float]]]
"""By the number of labels, and by the way of training: what was right with each seed."""


class Question(NamedTuple):
    """A word whose sense is to be told, after so many labels of each; with which run and seed."""

    run: str
    word: str
    labels: int
    seed: int


@study("few-labels", argument="runs")
@dataclass(frozen=True)
class FewLabels(Group):
    """What reading is worth where labels are few.

    Senses of words by 1 to 16 labels of each: a trained encoder, and the same from random weights.
    """

    runs: tuple[str, ...] = setting((), "[RUN of `train masked`]...")
    steps: int = setting(1500, "steps of reading, where no RUN is named", least=1, most=10**6)
    seeds: int = setting(
        3, "draws of labelled sentences, each with a run and a seed", least=1, most=99
    )

    def find(self) -> Finding:
        """Measure what is right of the unseen sentences, in each way of training."""
        for run in self.runs:
            require_encoder(run)
        seeds = range(FIRST, FIRST + self.seeds)
        with TemporaryDirectory() as folder:
            runs: Sequence[str] = self.runs or in_parallel(
                self.read,
                [(f"{folder}/{seed}", seed) for seed in seeds],
                [f"encoder {seed}" for seed in seeds],
            )
            questions = [
                Question(runs[place % len(runs)], word, count, seed)
                for word in WORDS
                for count in COUNTS
                for place, seed in enumerate(seeds)
            ]
            names = [f"{x.word}, {x.labels} labels, seed {x.seed}" for x in questions]
            found = in_parallel(answer, questions, names)
        shares: dict[str, Shares] = {
            word: {count: {way: [] for way in ALL_WAYS} for count in COUNTS} for word in WORDS
        }
        for question, own in zip(questions, found, strict=True):
            for way, share in own.items():
                shares[question.word][question.labels][way].append(share)
        return Finding(
            self.name,
            [
                shares_table(
                    f'% right of 48 sentences with "{word}" in which other words tell its sense, '
                    "with each seed (chance 50)",
                    own,
                )
                for word, own in shares.items()
            ],
            [means(word, own) for word, own in shares.items()],
            {"chance": 0.5, "right": shares},
        )

    def read(self, item: tuple[str, int]) -> str:
        """Train an encoder that fills gaps, into a folder: the path of it."""
        path, seed = item
        settings = {"task": "masked", "steps": self.steps, "evaluate_every": self.steps}
        read_into(path, {**settings, "seed": seed})
        return path


def require_encoder(run: str) -> None:
    """FileError where a run is none, or has no encoder to lend; SettingError for a classifier,
    which may have been told of senses."""
    lender = open_lender(run)
    lender.sizes_for("labels")
    if lender.form.name == "labels":
        raise SettingError(
            f"{run} has learned from labels, and maybe from those that are asked for here: name a "
            "run of `minigrad train masked`"
        )


def read_into(path: str, settings: dict[str, Any]) -> Record:
    """Train a model into a folder, telling of its progress: how its last evaluation went."""
    trainer, run = workflow.start(settings, Path(path))
    for _ in workflow.follow(trainer, run):
        tell("reading", trainer.step, trainer.settings.steps)
    return trainer.last


def answer(question: Question) -> dict[str, float]:
    """The share of unseen sentences whose sense is told, by the way of training."""
    learned, unseen = labelled(question.word, question.labels, question.seed)
    return accuracies(question.run, learned, unseen, question.seed)


def accuracies(
    run: str,
    learned: list[Row],
    unseen: list[Row],
    seed: int,
    ways: Sequence[str] = (*ALL_WAYS,),
    given: Mapping[str, Any] = NOTHING,
) -> dict[str, float]:
    """The share of unseen rows that get their label, by the way of training; `given` are settings
    of fine-tuning."""
    shares = {}
    with TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("learned.tsv", "unseen.tsv")]
        for path, rows in zip(paths, (learned, unseen), strict=True):
            text = "".join(f"{text}\t{label}\n" for text, label in rows)
            path.write_text(text, encoding="utf-8")
        files = {"data": str(paths[0]), "test": str(paths[1]), "from_run": run}
        for done, way in enumerate(ways):
            tell("labels", done, len(ways))
            shares[way] = accuracy(way, {**files, "evaluate_every": USUAL["steps"], **given}, seed)
    return shares


def shares_table(title: str, shares: Shares) -> Table:
    """What was right with each seed: a row for each way, a column for each number of labels."""
    ways = [*next(iter(shares.values()))]
    rows: list[tuple[str, ...]] = [
        (way, *(" ".join(map(percent, own[way])) for own in shares.values())) for way in ways
    ]
    return Table(title, ("labels of each", *map(str, shares)), rows)


def means(what: str, shares: Shares) -> str:
    """The means of the seeds, by way and number of labels."""
    ways = [*next(iter(shares.values()))]
    told = [
        f"{way} {', '.join(percent(np.mean(own[way])) for own in shares.values())}" for way in ways
    ]
    *most, last = map(str, shares)
    return f"{what}, means at {', '.join(most)} and {last} labels: {'; '.join(told)} %."
