"""Refer: tables and sentences say what was measured, the controls too."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from minitransformer.settings import SettingError
from minitransformer.studies import refer
from minitransformer.studies.pronouns import METHODS, Job, Look, Measured
from minitransformer.studies.refer import HEAD, Refer, agreement

HEADS = "layer 1, head 1", "layer 1, head 2"


def some(job: Job) -> Measured:
    """What might be measured: eight sentences, of which the first four choose the head."""
    yes, no = np.ones(8, bool), np.zeros(8, bool)
    half = np.arange(8) % 2 == 0
    task = job.task or "masked"
    masked = task == "masked"
    points = {HEADS[0]: half, HEADS[1]: np.r_[yes[:4], no[:4]], METHODS[0]: half,
              METHODS[1]: np.r_[yes[:7], no[:1]], METHODS[2]: yes}  # fmt: skip
    return Measured(
        job.name, task, masked and bool(job.run), {"trained": yes, "untrained": half}, half,
        np.r_[yes[:6], no[:2]], np.r_[yes[:4], no[:4]],
        {"trained": points, "untrained": points} if masked else {},
        {HEADS[0]: 0.5, HEADS[1]: 0.75} if masked else {},
        [Look(["dog", "river"], 1, 0, {HEADS[0]: np.array([0.5, job.seed])})] if masked else [],
    )  # fmt: skip


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(refer, "in_parallel", lambda measure, jobs, names: [*map(some, jobs)])
    return Refer(seeds=2).find()


def test_without_runs_each_seed_is_trained_on_both_tasks(found: Any) -> None:
    answers, genders, pointing, agreements = found.tables
    assert answers.rows == [(f"seed {x}", "1", ".50", ".50", ".50", ".50") for x in range(2)]
    assert genders.rows == [(f"seed {x}", "8 of 8", "4", "6") for x in range(2)]
    assert [row[0] for row in pointing.rows] == [HEAD, *METHODS]
    assert agreements.rows[0][0] == "best head, rollout"


def test_the_head_is_chosen_by_one_half_and_reported_on_the_other(found: Any) -> None:
    measured = some(Job("masked", 0))
    assert measured.best_head("trained") == HEADS[1]  # right in all of those to choose by
    assert measured.pointing("trained") == {
        HEADS[1]: 0, "rollout": 0.5, "gradient × input": 0.75, "knock-out": 1,
    }  # fmt: skip
    assert found.tables[2].rows[0] == (HEAD, ".00 (.00)", ".00 (.00)")
    assert found.arrays["trained"].tolist() == [[0, 0.5, 0.75, 1]] * 2
    assert found.arrays["heads, untrained"].tolist() == [[0.5, 0]] * 2


def test_what_is_shown_of_all_tokens_is_of_the_first_model(found: Any) -> None:
    assert found.arrays["look 0"].tolist() == [[0.5, 0]]
    assert found.arrays["nouns 0"].tolist() == [1, 0]
    assert found.arrays["tokens 0"].tolist() == ["dog", "river"]


def test_methods_agree_where_they_say_the_same() -> None:
    measured = some(Job("masked", 0))
    assert agreement(measured, "gradient × input", "knock-out") == 0.75
    assert agreement(measured, HEAD, "knock-out") == 0


def test_numbers_have_all_that_the_tables_have(found: Any) -> None:
    numbers = json.loads(json.dumps(found.numbers))
    assert numbers["translate"][0] == {
        "name": "seed 0", "sentences": 8, "right": {"trained": 8, "untrained": 4},
        "always_masculine": 6,
    }  # fmt: skip
    masked = numbers["masked"][1]
    assert masked["points_to_the_right_noun"]["trained"]["layer 1, head 1"] == 0.5
    assert masked["right_with_a_head_off"] == {HEADS[0]: 0.5, HEADS[1]: 0.75}
    assert masked["agreement"]["gradient × input, knock-out"] == 0.75
    assert "16 of 16 adjectives" in found.says[1]


def test_runs_are_measured_in_the_place_of_new_models(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        refer, "in_parallel", lambda measure, jobs, names: asked.append(jobs) or [*map(some, jobs)]
    )
    found = Refer(runs=("runs/a", "runs/b")).find()
    assert "never asked of runs/a and runs/b" in found.says[1]
    assert [job.run for job in asked[0]] == ["runs/a", "runs/b"]


@pytest.mark.parametrize(("task", "titles"), [("masked", 3), ("translate", 1)])
def test_runs_of_one_task_alone_are_measured(
    monkeypatch: pytest.MonkeyPatch, task: str, titles: int
) -> None:
    monkeypatch.setattr(refer, "in_parallel", lambda *_: [some(Job(task, 0))])
    found = Refer(runs=("runs/a",)).find()
    assert (len(found.tables), len(found.says), [*found.numbers]) == (titles, 1, [task])


def test_a_published_model_is_asked_by_itself() -> None:
    with pytest.raises(SettingError, match="smollm is asked other questions"):
        Refer(runs=("runs/a", "smollm"))
