"""Refer: what a pronoun means to a model, and how far that can be told from where it looks.

"The animal did not cross the street because it was too tired", or "too wide": the model has to find
out which of two nouns is meant, and each way of looking inside has to say which it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from minitransformer.interop.published import is_published
from minitransformer.settings import Group, SettingError, setting
from minitransformer.studies.percent import spread
from minitransformer.studies.pronouns import METHODS, Job, Measured, measure
from minitransformer.studies.study import Finding, Table, study
from minitransformer.studies.swap import swap
from minitransformer.studies.workers import in_parallel

HEAD = "best head"


@study("refer", argument="runs")
@dataclass(frozen=True)
class Refer(Group):
    """What a pronoun means to a model, and what shows it.

    RUN is one of `train masked --pronouns 0.5` or of `train translate`, or smollm: which of two
    nouns it means, and which attention, its rollout, gradients and knock-outs say.
    Instead of smollm it may be a file or a folder of another published language model.
    """

    runs: tuple[str, ...] = setting((), "[RUN...]")
    seeds: int = setting(
        3, "without runs, models that are trained for each of the two tasks", least=1, most=100
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.runs) > 1 and (published := [*filter(is_published, self.runs)]):
            raise SettingError(f"{published[0]} is asked other questions: name it by itself")

    def find(self) -> Finding:
        """Measure the runs, or else a published language model; without any, train."""
        if self.runs and is_published(self.runs[0]):
            return swap(self.name, self.runs[0])
        jobs = [Job("", 0, run) for run in self.runs] or [
            Job(task, seed) for task in ("masked", "translate") for seed in range(self.seeds)
        ]
        measured = in_parallel(measure, jobs, [f"{x.task} {x.name}".strip() for x in jobs])
        masked = [x for x in measured if x.task == "masked"]
        translating = [x for x in measured if x.task == "translate"]
        tables = [table_of_answers(masked)] if masked else []
        if translating:
            tables.append(table_of_genders(translating))
        if masked:
            tables += [table_of_pointing(masked), table_of_agreement(masked)]
        numbers = {x.task: [numbers_of(y) for y in measured if y.task == x.task] for x in measured}
        return Finding(
            self.name, tables, sentences(masked, translating), numbers, arrays_of(masked)
        )


def share(x: Any) -> str:
    """A share to read, of booleans or as a number; only a perfect one is written as 1.

    >>> share([True, False, False]), share(0.9999), share(1.0)
    ('.33', '.99', '1')
    """
    value = float(np.mean(x))
    if value == 1:
        return "1"
    return f"{min(value, 0.99):.2f}".removeprefix("0")


def table_of_answers(measured: Sequence[Measured]) -> Table:
    """Whether the pronoun, read as a gap, is filled with the right one of two nouns."""
    return Table(
        "the pronoun as a gap: of the sentence's two nouns, is the right one likelier? "
        f"({len(measured[0].first)} sentences, their pairs of nouns never trained)",
        ("", "right", "untrained", "first noun", "second noun", "a head off, at least"),
        [
            (
                x.name,
                share(x.right["trained"]),
                share(x.right["untrained"]),
                share(x.first),
                share(~x.first),
                share(min(x.without.values())),
            )
            for x in measured
        ],
    )


def table_of_genders(measured: Sequence[Measured]) -> Table:
    """Whether the adjective of the translation has the right gender."""
    return Table(
        "the pronoun in a translation: where the two nouns differ in gender, has the adjective "
        "that of the right one?",
        ("", "right", "untrained", "always masculine"),
        [
            (
                x.name,
                f"{x.right['trained'].sum()} of {len(x.first)}",
                str(x.right["untrained"].sum()),
                str(x.masculine.sum()),
            )
            for x in measured
        ],
    )


def table_of_pointing(measured: Sequence[Measured]) -> Table:
    """How often each method points to the right noun, for each model, and untrained."""
    shares = [
        [[*x.pointing(state).values()] for x in measured] for state in ("trained", "untrained")
    ]
    return Table(
        "which noun did it look at? In what share of sentences each method says the right one, and "
        f"in brackets untrained ({(~measured[0].to_choose).sum()} sentences; the best head is "
        "chosen by the others)",
        ("", *(x.name for x in measured)),
        [
            (name, *(f"{share(x[row])} ({share(y[row])})" for x, y in zip(*shares, strict=True)))
            for row, name in enumerate((HEAD, *METHODS))
        ],
    )


def table_of_agreement(measured: Sequence[Measured]) -> Table:
    """How often two methods point to the same noun."""
    names = (HEAD, *METHODS)
    agreed = {pair: [agreement(x, *pair) for x in measured] for pair in combinations(names, 2)}
    return Table(
        "do two methods say the same? In what share of these sentences",
        ("", *(x.name for x in measured)),
        [(f"{a}, {b}", *map(share, shares)) for (a, b), shares in agreed.items()],
    )


def agreement(measured: Measured, *methods: str) -> float:
    """The share of sentences to report on in which two methods point to the same noun."""
    points = measured.points["trained"]
    first, second = (
        points[measured.best_head("trained") if x == HEAD else x][~measured.to_choose]
        for x in methods
    )
    return float(np.mean(first == second))


def sentences(masked: Sequence[Measured], translating: Sequence[Measured]) -> list[str]:
    """What follows from the numbers."""
    says = []
    if masked:
        right, blind = (
            spread([float(x.right[state].mean()) for x in masked])
            for state in ("trained", "untrained")
        )
        pointing = [[*x.pointing("trained").values()] for x in masked]
        spans = [
            f"{name} in {spread(column)}"
            for name, column in zip((HEAD, *METHODS), zip(*pointing, strict=True), strict=True)
        ]
        says.append(
            f"The models take the pronoun for the right one of two nouns in {right} of the "
            f"sentences, untrained ones in {blind}. To the right noun points {join(spans)}."
        )
    if never := [x.name for x in masked if x.never_asked]:
        says.append(
            f"What pronouns mean was never asked of {join(never)}: train with --pronouns 0.5."
        )
    if translating:
        given = sum(int(x.right["trained"].sum()) for x in translating)
        says.append(
            f"The translators give {given} of {sum(len(x.first) for x in translating)} adjectives "
            "the gender of what is meant."
        )
    return says


def join(texts: Sequence[str]) -> str:
    """Texts in a row, the last after "and"."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))


def numbers_of(measured: Measured) -> dict[str, Any]:
    """All that was measured of a model, as JSON can say it."""
    states = ("trained", "untrained")
    found: dict[str, Any] = {
        "name": measured.name,
        "sentences": len(measured.first),
        "right": {state: int(measured.right[state].sum()) for state in states},
    }
    if measured.task == "translate":
        return found | {"always_masculine": int(measured.masculine.sum())}
    rest = ~measured.to_choose
    return found | {
        "always_the_first": int(measured.first.sum()),
        "sentences_reported_on": int(rest.sum()),
        "best_head": {state: measured.best_head(state) for state in states},
        "points_to_the_right_noun": {
            state: {name: float(x[rest].mean()) for name, x in measured.points[state].items()}
            for state in states
        },
        "agreement": {
            f"{a}, {b}": agreement(measured, a, b) for a, b in combinations((HEAD, *METHODS), 2)
        },
        "right_with_a_head_off": measured.without,
    }


def arrays_of(measured: Sequence[Measured]) -> dict[str, Any]:
    """What the picture is drawn from: by state, (models, methods), and (models, heads)."""
    found: dict[str, Any] = {}
    for number, look in enumerate(measured[0].looks if measured else ()):
        found[f"tokens {number}"] = np.array(look.tokens)
        found[f"nouns {number}"] = np.array([look.right, look.other])
        found[f"look {number}"] = np.array([*look.values.values()])
        found["looks of"] = np.array([*look.values])
    for state in ("trained", "untrained") if measured else ():
        found[f"right, {state}"] = np.array([x.right[state].mean() for x in measured])
        found[state] = np.array([[*x.pointing(state).values()] for x in measured])
        found[f"heads, {state}"] = np.array(
            [
                [
                    y[~x.to_choose].mean()
                    for name, y in x.points[state].items()
                    if name not in METHODS
                ]
                for x in measured
            ]
        )
    return found
