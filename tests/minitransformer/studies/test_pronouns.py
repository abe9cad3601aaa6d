"""Pronouns: the right noun is what the grammar says, and methods are asked what they should be."""

from __future__ import annotations

from typing import Any

import pytest

from minitransformer.inside.maps import attention_maps
from minitransformer.recipe import Recipe
from minitransformer.settings import SettingError
from minitransformer.studies.pronouns import (
    METHODS,
    Job,
    Questions,
    half_of_pairs,
    look,
    measure,
    opened,
    points_to_right,
    right_genders,
    two_of,
)
from minitransformer.tasks.grammar import Example, pairs
from minitransformer.training import Trainer
from minitransformer.workflow import follow, start

SMALL = {"d_model": 16, "heads": 2, "layers": 2, "d_ff": 16, "steps": 1, "evaluate_every": 1}


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [x for x in pairs(0)[1] if x.family == "reference"]


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(Recipe.read({"task": "masked", **SMALL}))


@pytest.fixture(scope="module")
def questions(trainer: Trainer, examples: list[Example]) -> Questions:
    return Questions.of(trainer.form, examples)


def test_a_question_has_a_gap_for_the_pronoun_and_knows_where_its_noun_is(
    questions: Questions, examples: list[Example], trainer: Trainer
) -> None:
    words = trainer.form.source.tokens
    for row in range(0, len(examples), 37):
        tokens, example = questions.tokens[row], examples[row]
        assert words[tokens[questions.gap[row]]] == "[MASK]"
        assert words[tokens[questions.right[row]]] == example.meaning
        assert words[tokens[questions.other[row]]] == example.other
        assert words[tokens[questions.gap[row] + 3]] == example.cues[0]


def test_the_margin_is_the_right_nouns_logit_less_the_others(
    questions: Questions, examples: list[Example], trainer: Trainer
) -> None:
    row = 5
    source = questions.tokens[row][questions.tokens[row] != trainer.form.source.special.pad]
    logits = trainer.form.logits(trainer.model, [source.tolist()])[0, questions.gap[row]]
    number = trainer.form.source.number_of
    expected = logits[number[examples[row].meaning]] - logits[number[examples[row].other]]
    assert questions.margin(trainer.model)[row] == pytest.approx(expected, abs=1e-5)


def test_a_head_points_to_the_noun_that_it_looks_at_more(
    questions: Questions, trainer: Trainer
) -> None:
    found = points_to_right(questions, trainer.model)
    assert [*found][-3:] == [*METHODS]
    assert len(found) == 4 + 3
    maps = attention_maps(trainer.model, questions.tokens)
    weights = maps["reader.encoder.layers.1.self_attention"].weights
    for row in range(0, len(questions.tokens), 50):
        looks = weights[row, 1, questions.gap[row]]
        expected = looks[questions.right[row]] > looks[questions.other[row]]
        assert found["layer 2, head 2"][row] == expected


def test_a_look_at_one_sentence_says_what_is_said_of_all(
    questions: Questions, trainer: Trainer, examples: list[Example]
) -> None:
    model, to_choose = trainer.model, half_of_pairs(examples)
    rows = two_of(examples, to_choose)
    sources = [examples[row].source.split() for row in rows]
    assert not to_choose[[*rows]].any()
    assert [a == b for a, b in zip(*sources, strict=True)].count(False) == 1
    found = points_to_right(questions, model)
    for row, words in zip(rows, sources, strict=True):
        seen = look(questions.row(row), model)
        assert seen.tokens[1:-1] == [word.replace("it", "[MASK]") for word in words]
        assert seen.tokens[seen.right] == examples[row].meaning
        assert seen.tokens[seen.other] == examples[row].other
        for name, values in seen.values.items():
            assert (values[seen.right] > values[seen.other]) == found[name][row], name


def test_a_head_is_chosen_by_other_pairs_than_those_that_are_reported(
    examples: list[Example],
) -> None:
    chosen = half_of_pairs(examples)
    sides: list[set[Any]] = [
        {x.combination for x, is_chosen in zip(examples, chosen, strict=True) if is_chosen == side}
        for side in (True, False)
    ]
    assert [len(side) for side in sides] == [10, 10]
    assert not sides[0] & sides[1]


def test_a_translation_is_right_if_the_adjective_has_the_gender_of_the_noun(
    examples: list[Example],
) -> None:
    two = [x for x in examples if x.shown != x.otherwise][:2]

    class Answers:
        def read(self, text: str) -> str:
            return text

        def answer(self, model: Any, sources: list[str]) -> list[str]:
            return [two[0].target, two[1].target.replace(two[1].shown, two[1].otherwise)]

        def write(self, answer: str) -> str:
            return answer

    form: Any = Answers()
    assert right_genders(form, None, two).tolist() == [True, False]


@pytest.mark.parametrize("settings", [{"task": "masked", "pronouns": 0.5}, {"task": "translate"}])
def test_a_run_is_measured_beside_the_weights_that_it_began_with(
    settings: dict[str, Any], tmp_path: Any
) -> None:
    trainer, run = start({**settings, **SMALL}, tmp_path / "run")
    for _ in follow(trainer, run):
        pass
    found = measure(Job("", 0, str(run.path)))
    assert (found.name, found.task) == (str(run.path), settings["task"])
    assert not found.never_asked
    assert 0.4 < found.first.mean() < 0.6
    assert len(found.masculine) == len(found.right["trained"]) == len(found.right["untrained"])
    assert len(found.without) == (4 if settings["task"] == "masked" else 0)
    if settings["task"] == "masked":
        for state in ("trained", "untrained"):
            assert [*found.pointing(state)] == [found.best_head(state), *METHODS]
            heads = {x: y for x, y in found.points[state].items() if x not in METHODS}
            best = heads[found.best_head(state)][found.to_choose].mean()
            assert best == max(x[found.to_choose].mean() for x in heads.values())


def test_a_run_that_has_read_other_texts_is_refused(tmp_path: Any) -> None:
    _, run = start({"task": "copy", **SMALL}, tmp_path / "run")
    with pytest.raises(SettingError, match="--pronouns"):
        opened(str(run.path))
