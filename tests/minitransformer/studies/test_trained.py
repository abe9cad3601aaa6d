"""Models for studies: as the command trains them, and as they were before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minitransformer.progress import heard_by
from minitransformer.recipe import Recipe
from minitransformer.settings import SettingError
from minitransformer.studies.trained import require_grammar, train, untrained
from minitransformer.workflow import follow, start

TINY = {"task": "masked", "d_model": 8, "heads": 2, "layers": 1, "d_ff": 8, "steps": 20, "seed": 3}


def test_a_study_trains_what_the_command_trains(tmp_path: Path) -> None:
    trainer, run = start({**TINY, "evaluate_every": 10}, tmp_path / "run")
    assert [*follow(trainer, run)]
    heard = []
    with heard_by(lambda *progress: heard.append(progress)):
        own = train(TINY)
    assert heard == [("training", 10, 20), ("training", 20, 20)]
    for name, x in trainer.model.state_dict().items():
        np.testing.assert_array_equal(own.model.state_dict()[name], x)


def test_controls_differ_and_the_first_is_what_training_begins_with(tmp_path: Path) -> None:
    trainer, _ = start(TINY, tmp_path / "run")
    first, second = untrained(Recipe.read(TINY), trainer.form, 2)
    for name, x in trainer.model.named_parameters():
        np.testing.assert_array_equal(dict(first.named_parameters())[name].data, x.data)
    weight = "reader.embedding.tokens.weight"
    assert not np.array_equal(first.state_dict()[weight], second.state_dict()[weight])


def test_a_run_that_began_with_another_is_refused_since_that_may_know_what_is_held_out(
    tmp_path: Path,
) -> None:
    first, run = start(TINY, tmp_path / "first")
    require_grammar("first", first.recipe)
    second, _ = start(
        {"task": "masked", "from_run": str(run.path), "seed": 4, "steps": 1}, tmp_path / "second"
    )
    with pytest.raises(SettingError, match=r"second began with the weights of .*first"):
        require_grammar("second", second.recipe)
