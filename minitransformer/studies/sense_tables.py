"""What `sense` has found, as tables to be read and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minitransformer.studies.asked import NINE
from minitransformer.studies.percent import mean_of, percent, spread
from minitransformer.studies.study import Table
from minitransformer.tasks.grammar import SENSES

WORDS = tuple(one.word for one, _ in SENSES)

Rows = list[tuple[str, ...]]
Found = Mapping[str, Any]
"""A `model` by name, what it knows `trained`, and what each of its controls knows `untrained`."""
Column = tuple[Any, ...]
"""Words, the name of a measure and, if it has one for each, the layer."""


def tables_of(numbers: Mapping[str, Any]) -> list[Table]:
    """A table for each measure of the models that were asked."""
    found = []
    if numbers["masked"]:
        found += [table_of_layers(numbers["masked"]), table_of_gaps(numbers["masked"])]
    if numbers["translate"]:
        found.append(table_of_translations(numbers["translate"]))
    for each in numbers["published"]:
        title = f"{each['model']}, ten everyday sentences a word, each less the mean of the ten: "
        found += [
            table_of_published(
                each,
                "nearer_centred",
                f"{title}nearer to the synonym in four others of each meaning (chance 50 %)",
            ),
            table_of_published(
                each,
                "neighbours_centred",
                f"{title}the nearest neighbour means the same (chance {percent(NINE)} %)",
            ),
            table_of_cosines(each, f"{title}mean cosine of two within a meaning / across"),
        ]
    return found


def of_words(x: Any, words: Sequence[str], name: str, layer: int | None = None) -> float:
    """The mean of a measure over some words."""
    values = [x[word][name] for word in words]
    return float(np.mean(values if layer is None else [value[layer] for value in values]))


def row_of(name: str, models: Sequence[Any], columns: Sequence[Column]) -> tuple[str, ...]:
    """A row of a table: what the models know, each column the mean of a measure over some words."""
    return name, *(spread([of_words(x, *column) for x in models]) for column in columns)


def rows_of(found: Sequence[Found], columns: Sequence[Column], where: str = "") -> Rows:
    """A row for all controls, and one for each model."""
    controls = [control for x in found for control in x["untrained"]]
    return [
        row_of(f"untrained{where}", controls, columns),
        *(row_of(f"{x['model']}{where}", [x["trained"]], columns) for x in found),
    ]


def layers_of(models: Sequence[Found]) -> range:
    """The layers of the model that has most."""
    return range(max(len(x["trained"][WORDS[0]]["nearer"]) for x in models))


def each_word(name: str, *layer: int) -> list[Column]:
    """A column for each word."""
    return [((word,), name, *layer) for word in WORDS]


def table_of_layers(models: Sequence[Found]) -> Table:
    """Nearer to which synonym, by layer; beside it the test that an untrained network passes."""
    rows: Rows = []
    for layer in layers_of(models):
        having = [x for x in models if layer < len(x["trained"][WORDS[0]]["nearer"])]
        columns = [*each_word("nearer", layer), (WORDS, "neighbours", layer)]
        rows += rows_of(having, columns, f", layer {layer}")
    return Table(
        "nearer to the synonym for its meaning, in 24 sentences a word whose pairs of an act and "
        "its object were never trained (chance 50 %); and, as a warning, nearest neighbours",
        ("model", *WORDS, "neighbours"),
        rows,
    )


def table_of_gaps(models: Sequence[Found]) -> Table:
    """Which synonym is likelier in the place of a word."""
    columns = [*each_word("preferred"), (WORDS, "right"), (WORDS, "wrong")]
    return Table(
        "with a gap in the place of the word: P(right synonym) > P(wrong one) (chance 50 %), and "
        "how likely each is of all words",
        ("model", *WORDS, "right", "wrong"),
        rows_of(models, columns),
    )


def table_of_translations(models: Sequence[Found]) -> Table:
    """Which of the two words is written in Spanish."""
    names = ", ".join(f"{spanish(one)} or {spanish(two)}" for one, two in SENSES)
    return Table(
        f"such sentences with the right word in their translation ({names}); and with the other "
        "(chance: as many)",
        ("model", *WORDS, "the other"),
        rows_of(models, [*each_word("written"), (WORDS, "mistaken")]),
    )


def spanish(sense: Any) -> str:
    """The word for a sense, without its article."""
    return str(sense.spanish.split()[-1])


def table_of_published(model: Found, name: str, title: str) -> Table:
    """A measure of a published model and its controls, by layer."""
    rows: Rows = []
    for layer in layers_of([model]):
        own = row_of(
            str(layer), [model["trained"]], [*each_word(name, layer), (WORDS, name, layer)]
        )
        controls = row_of("", model["untrained"], [(WORDS, name, layer)])
        rows.append((*own, controls[1]))
    return Table(title, ("layer", *WORDS, "all", "untrained"), rows)


def table_of_cosines(model: Found, title: str) -> Table:
    """How alike the vectors of a word are within a meaning, and across, by layer."""

    def cosines(word: str, layer: int) -> str:
        own = model["trained"][word]
        return " / ".join(f"{own[f'{side}_centred'][layer]:.2f}" for side in ("within", "across"))

    return Table(
        title,
        ("layer", *WORDS),
        [(str(layer), *(cosines(word, layer) for word in WORDS)) for layer in layers_of([model])],
    )


def says_of(numbers: Mapping[str, Any]) -> list[str]:
    """What follows from the numbers."""
    said = []
    if models := numbers["masked"]:
        after, before = before_and_after(models, "nearer", -1)
        said.append(
            f"In the last layer a word is nearer to the synonym for its meaning in {after} of the "
            f"sentences after training, in {before} before."
        )
        _, fooled = before_and_after(models, "neighbours", -1)
        said.append(
            f"Nearest neighbours mean the same in {fooled} without any training: that test proves "
            "nothing."
        )
    if models := numbers["translate"]:
        after, before = before_and_after(models, "written")
        said.append(
            f"The right Spanish word is written in {after} of the sentences after training, in "
            f"{before} before."
        )
    for each in numbers["published"]:
        after, before = before_and_after([each], "nearer_centred", -1)
        plain, _ = before_and_after([each], "nearer", -1)
        alike = of_words(each["trained"], WORDS, "across", -1)
        said.append(
            f"{each['model']}: in the last layer {after} are nearer to the right synonym, "
            f"untrained {before}; and {plain} without centring, since all vectors of a word point "
            f"nearly the same way (their mean cosine across its meanings is {alike:.2f})."
        )
    return said


def before_and_after(models: Sequence[Found], name: str, *layer: int) -> tuple[str, str]:
    """The mean of a measure over all words, of the models and of their controls."""
    trained = [x["trained"] for x in models]
    controls = [control for x in models for control in x["untrained"]]
    after, before = (
        mean_of([of_words(x, WORDS, name, *layer) for x in some]) for some in (trained, controls)
    )
    return after, before
