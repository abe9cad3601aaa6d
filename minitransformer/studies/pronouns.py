"""What a trained model takes a pronoun for, and which of two nouns each method says it looked at.

The sentences are those of the grammar with an animal and a place that training never has together:
"the dog did not cross the street because it was too tired", or "too wide".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad.nn import Module
from minigrad.tensor import Array
from minitransformer.batch import pad_rows
from minitransformer.forms import Form
from minitransformer.forms.masked import Masked
from minitransformer.inside.attribution import (
    Score,
    gradient_times_input,
    heads_off,
    knock_out,
    rollout,
    scored,
)
from minitransformer.inside.maps import attention_maps
from minitransformer.recipe import Recipe, open_model
from minitransformer.studies.trained import require_grammar, train, untrained
from minitransformer.tasks.english import hide_pronoun
from minitransformer.tasks.grammar import Example, pairs

METHODS = "rollout", "gradient × input", "knock-out"
"""What points to one of two nouns, beside each head."""


class Job(NamedTuple):
    """A model to be measured: the run at a path, or one that is trained on a task with a seed."""

    task: str
    seed: int
    run: str = ""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.run or f"seed {self.seed}"


class Look(NamedTuple):
    """What each method says of all T tokens of one sentence, from the gap in the place of "it".

    tokens: as they are read. right, other: the places of the two nouns. values: by the name of a
    head or of one of METHODS, (T,).
    """

    tokens: list[str]
    right: int
    other: int
    values: dict[str, Array]


@dataclass(frozen=True)
class Measured:
    """What became of a job: for each of N sentences, whether it is so, trained and untrained.

    task: "masked" or "translate". never_asked: whether it has to fill gaps, but was not trained on
    any in the place of a pronoun. right: whether the model takes the pronoun for the right noun,
    or gives the adjective its gender. first, masculine: whether the right noun is the first of the
    two, and whether it is masculine. Of a masked model too: to_choose, the sentences by which a
    head may be chosen, the others being those to report on; points: whether each head, by its
    name, and each of METHODS points to the right noun; without: the share that is right with each
    head off; looks: of the trained model, two sentences that differ in their adjectives alone.
    """

    name: str
    task: str
    never_asked: bool
    right: dict[str, Array]
    first: Array
    masculine: Array
    to_choose: Array
    points: dict[str, dict[str, Array]]
    without: dict[str, float]
    looks: list[Look]

    def pointing(self, state: str) -> dict[str, float]:
        """The share of sentences to report on in which each method points to the right noun, that
        head first which does so best in the others."""
        points = self.points[state]
        best = self.best_head(state)
        rest = ~self.to_choose
        return {x: float(points[x][rest].mean()) for x in (best, *METHODS)}

    def best_head(self, state: str) -> str:
        """The head that most often points to the right noun in the sentences to choose by."""
        points = self.points[state]
        heads = [x for x in points if x not in METHODS]
        return max(heads, key=lambda x: float(points[x][self.to_choose].mean()))


def measure(job: Job) -> Measured:
    """Train the model of a job, or open its run, and measure it. SettingError for a run that has
    read other sentences."""
    recipe, form, model = opened(job.run) if job.run else learned(job)
    examples = [x for x in pairs(recipe.training.seed)[1] if x.family == "reference"]
    if recipe.task.name == "translate":
        examples = [x for x in examples if x.shown != x.otherwise]
    models = {"trained": model, "untrained": untrained(recipe, form, 1)[0]}
    found: dict[str, Any] = {"right": {}, "points": {}, "without": {}, "looks": []}
    to_choose = half_of_pairs(examples)
    for state, each in models.items():
        if recipe.task.name == "translate":
            found["right"][state] = right_genders(form, each, examples)
        else:
            questions = Questions.of(form, examples)
            found["right"][state] = questions.margin(each) > 0
            found["points"][state] = points_to_right(questions, each)
    if recipe.task.name == "masked":
        found["looks"] = [look(questions.row(x), model) for x in two_of(examples, to_choose)]
        found["without"] = {
            f"layer {number_of(path) + 1}, head {head + 1}": share
            for path, head, share in heads_off(
                model, lambda: float((questions.margin(model) > 0).mean())
            )
        }
    return Measured(
        job.name,
        recipe.task.name,
        never_asked=recipe.task.name == "masked" and not recipe.task.pronouns,
        first=np.array([*map(is_first, examples)]),
        masculine=np.array([x.shown.endswith("o") for x in examples]),
        to_choose=to_choose,
        **found,
    )


def opened(run: str) -> tuple[Recipe, Form, Module]:
    """The model of a run. SettingError for one that has not learned the grammar's pronouns."""
    recipe, form, model = open_model(run)
    require_grammar(run, recipe)
    return recipe, form, model


def learned(job: Job) -> tuple[Recipe, Form, Module]:
    """The model of a task with its defaults, but for half of the pronouns that are asked for."""
    settings: dict[str, Any] = {"task": job.task, "seed": job.seed}
    if job.task == "masked":
        settings["pronouns"] = 0.5
    trainer = train(settings)
    return trainer.recipe, trainer.form, trainer.model


class Questions(NamedTuple):
    """Sentences as a masked model reads them, a gap in the place of the pronoun, (N, T).

    gap, right, other: the places of the gap, of the noun that it means, and of the other, (N,).
    """

    form: Masked
    tokens: Array
    gap: Array
    right: Array
    other: Array

    @classmethod
    def of(cls, form: Any, examples: list[Example]) -> Questions:
        """The questions that are made of sentences of the grammar."""
        words = [hide_pronoun(x.source).split() for x in examples]
        read = [form.read(" ".join(each)) for each in words]
        places = [
            [1 + each.index(word) for word in ("[MASK]", example.meaning, example.other)]
            for each, example in zip(words, examples, strict=True)
        ]
        return cls(form, pad_rows(read, form.source.special.pad), *np.array(places).T)

    def row(self, number: int, times: int = 1) -> Questions:
        """One of the questions by itself, so many times, without its padding."""
        tokens = self.tokens[number][self.tokens[number] != self.form.source.special.pad]
        places = (np.full(times, x[number]) for x in (self.gap, self.right, self.other))
        return Questions(self.form, np.tile(tokens, (times, 1)), *places)

    def margin(self, model: Any) -> Array:
        """(N,): how far the right noun is above the other one in the gap."""
        return scored(model, [self.tokens], self.score)

    def score(self, logits: Any) -> Any:
        """The margin, (N,), from logits (N, T, V): of a Tensor, a Tensor."""
        rows = np.arange(len(self.gap))
        right, other = (self.tokens[rows, place] for place in (self.right, self.other))
        return logits[rows, self.gap, right] - logits[rows, self.gap, other]

    def preferred(self, model: Any) -> Score:
        """The score of the noun that a model itself prefers, which may be the wrong one."""
        sign = np.sign(self.margin(model))
        return lambda logits: self.score(logits) * sign


def two_of(examples: list[Example], to_choose: Array) -> tuple[int, int]:
    """The first sentence to report on in which the animal is meant, and the first that differs from
    it in the adjective alone, so that the place is."""
    rows = [x for x in np.flatnonzero(~to_choose) if is_first(examples[x])]
    begin = examples[rows[0]].source.rsplit(maxsplit=2)[0]
    others = (x for x, example in enumerate(examples) if example.source.startswith(begin + " "))
    return int(rows[0]), next(x for x in others if not is_first(examples[x]))


def is_first(example: Example) -> bool:
    """Whether the pronoun means the first of the two nouns, which is the animal."""
    return example.source.split()[1] == example.meaning


def points_to_right(questions: Questions, model: Any) -> dict[str, Array]:
    """Whether each head, and each of METHODS, points to the right noun, (N,).

    A head does, and rollout, if the gap looks at that noun more than at the other. The other two
    explain the margin of the noun that the model itself prefers, which may be the wrong one.
    """
    rows, preferred = np.arange(len(questions.tokens)), questions.preferred(model)
    found = {
        name: x[rows, questions.right] > x[rows, questions.other]
        for name, x in by_token(questions, model).items()
    }
    right, other = (
        knock_out(model, [questions.tokens], preferred, places, questions.form.gap)
        for places in (questions.right, questions.other)
    )
    return found | {"knock-out": right > other}


def by_token(questions: Questions, model: Any) -> dict[str, Array]:
    """What each head, rollout and gradient × input say of each token, (N, T)."""
    tokens, rows = questions.tokens, np.arange(len(questions.tokens))
    maps = attention_maps(model, tokens)
    found = {
        f"layer {number_of(path) + 1}, head {head + 1}": layer.weights[rows, head, questions.gap]
        for path, layer in maps.items()
        for head in range(layer.weights.shape[1])
    }
    found["rollout"] = rollout([x.weights for x in maps.values()])[rows, questions.gap]
    preferred = questions.preferred(model)
    return found | {"gradient × input": gradient_times_input(model, [tokens], preferred)}


def look(question: Questions, model: Any) -> Look:
    """All that the methods say of one question."""
    tokens, count = question.tokens[0], question.tokens.shape[1]
    again = question.row(0, times=count)
    falls = knock_out(
        model, [again.tokens], again.preferred(model), np.arange(count), question.form.gap
    )
    values = {name: x[0] for name, x in by_token(question, model).items()}
    return Look(
        question.form.source.show(tokens),
        int(question.right[0]),
        int(question.other[0]),
        values | {"knock-out": falls},
    )


def number_of(path: str) -> int:
    """The number of a layer, from 0, in the path of its attention."""
    return next(int(part) for part in path.split(".") if part.isdigit())


def right_genders(form: Form, model: Any, examples: list[Example]) -> Array:
    """(N,): whether the translation has the adjective as it is beside the noun that is meant, and
    not as it would be beside the other."""
    sources = [form.read(x.source) for x in examples]
    answers = [form.write(answer).split() for answer in form.answer(model, sources)]
    return np.array(
        [
            x.shown in words and x.otherwise not in words
            for x, words in zip(examples, answers, strict=True)
        ]
    )


def half_of_pairs(examples: list[Example]) -> Array:
    """(N,): the sentences of every second pair of an animal and a place."""
    found = sorted({x.combination for x in examples})
    return np.array([found.index(x.combination) % 2 == 0 for x in examples])
