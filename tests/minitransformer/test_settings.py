"""Settings: their bounds, their kinds, and errors that can call them otherwise."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import pytest

from minitransformer.models import MODELS
from minitransformer.settings import (
    SettingError,
    Training,
    divisors,
    kept_names,
    option,
    require_kind,
)
from minitransformer.tasks import TASKS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, not -1"),
        ({"patience": -1}, "patience must be at least 0, not -1"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, not nan"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0, not inf"),
        ({"clip": 0.0}, "clip must be above 0, not 0.0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, not -0.1"),
        ({"weight_decay": float("inf")}, "weight_decay must be at least 0, not inf"),
        ({"label_smoothing": -0.1}, "label_smoothing is a share, at least 0 and below 1, not -0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share, at least 0 and below 1, not 1.0"),
    ],
)
def test_settings_of_the_training_that_make_no_sense_are_named(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as error:
        Training(**changes)
    assert str(error.value) == message


LEAST = {
    "steps": 1, "patience": 0, "batch_size": 1, "warmup": 1, "evaluate_every": 1, "threads": 1,
    "seed": 0, "length": 2, "vocab": 2, "d_model": 1, "layers": 1, "heads": 1, "d_ff": 1,
    "kv_heads": 1, "context": 2, "subwords": 300,
}  # fmt: skip


def test_a_whole_number_may_be_as_small_as_makes_sense() -> None:
    assert {
        each.name: each.metadata["least"]
        for group in (*TASKS.values(), *MODELS.values(), Training)
        for each in fields(group)
        if isinstance(each.default, int)
    } == LEAST
    Training(**{name: least for name, least in LEAST.items() if hasattr(Training, name)})


BOUNDED = [
    (group, each.name, each.metadata["most"])
    for group in (*TASKS.values(), *MODELS.values(), Training)
    for each in fields(group)
    if each.metadata["most"] is not None
]


@pytest.mark.parametrize(("group", "name", "most"), BOUNDED)
def test_what_would_use_up_time_or_memory_is_refused(group: Any, name: str, most: int) -> None:
    with pytest.raises(SettingError) as error:
        group(**{name: most + 1})
    assert error.value.text == f"<{name}> must be at most {most}, not {most + 1}"


def test_all_that_can_grow_without_end_has_a_bound() -> None:
    assert {name for _, name, _ in BOUNDED} >= {
        "length", "vocab", "batch_size", "d_model", "layers", "d_ff", "steps", "warmup",
        "evaluate_every", "threads", "seed",
    }  # fmt: skip


def test_an_error_names_its_settings_as_whoever_shows_it_calls_them() -> None:
    error = SettingError("<heads> must divide <d_model> 8, not 3")
    assert str(error) == "heads must divide d_model 8, not 3"
    assert error.naming(option) == "--heads must divide --d-model 8, not 3"
    assert error.settings == ["heads", "d_model"]
    assert (option("task"), option("from_run")) == ("TASK", "--from")


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, 5.0, "x must be a whole number, not 5.0"),
        (int, True, "x must be a whole number, not True"),
        (float, "1", "x must be a number, not '1'"),
        (str, 1, "x must be a text, not 1"),
        (Literal["a", "b"], "c", "x is one of a, b, not 'c'"),
    ],
)
def test_a_value_of_another_type_is_named(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(SettingError) as error:
        require_kind("x", kind, value)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("kind", "value"), [(int, 5), (float, 5), (float, 0.5), (str, ""), (Literal["a", "b"], "b")]
)
def test_a_value_of_its_type_is_none(kind: Any, value: Any) -> None:
    require_kind("x", kind, value)


def test_of_the_training_only_where_it_begins_is_kept_for_good() -> None:
    assert kept_names(Training) == ["from_run", "layer_decay", "seed"]


def test_divisors() -> None:
    assert divisors(12) == "1, 2, 3, 4, 6, 12"
