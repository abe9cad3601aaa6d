"""Whether a run fits into memory is known before it begins."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from minigrad.nn import ShapesOnly, count_parameters
from minitransformer import capacity
from minitransformer.batch import Shape
from minitransformer.models.recurrent import GRUSettings
from minitransformer.models.transformer import TransformerSettings
from minitransformer.recipe import Recipe
from minitransformer.training import Trainer

BASE: dict[str, Any] = {"task": "copy", "steps": 1, "vocab": 50, "d_model": 32, "d_ff": 48}


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 3, "batch_size": 2, "length": 150, "heads": 8},
        {"layers": 1, "batch_size": 40, "length": 12, "heads": 2},
        {"layers": 2, "batch_size": 3, "length": 5, "vocab": 20_000},
    ],
)
def test_the_estimate_is_a_lower_bound_and_not_far_off(sizes: dict[str, Any]) -> None:
    recipe = Recipe.read({**BASE, **sizes})
    length, size = recipe.task.length, recipe.training.batch_size
    tracemalloc.start()
    try:
        trainer = Trainer(recipe)
        trainer.train_step(trainer.form.batch([([5] * length, [5] * length)] * size))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / 4 < capacity.training_bytes(recipe.model, trainer.form.shape, size) < peak


def test_what_cannot_fit_is_refused_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shape = TransformerSettings(d_model=32, d_ff=48), Shape("pairs", 50, 60, 200, 300)
    needed = capacity.training_bytes(model, shape, 7)
    monkeypatch.setattr(capacity, "free_memory", lambda: needed - 1)
    with pytest.raises(ValueError, match=r"at least 0\.\d GB .* \(7 now\).* has 300 tokens"):
        capacity.require_capacity(model, shape, 7)
    for free in (needed, None):  # None: the system does not say
        monkeypatch.setattr(capacity, "free_memory", lambda free=free: free)
        capacity.require_capacity(model, shape, 7)


def test_a_model_of_absurd_sizes_is_refused_at_once() -> None:
    if capacity.free_memory() is None:
        pytest.skip("the system does not say how much memory is free")
    for sizes in ({"batch_size": 10_000, "length": 2_000}, {"layers": 1_000, "d_model": 20_000}):
        with pytest.raises(ValueError, match="a training step needs at least"):
            Trainer(Recipe.read({"task": "copy", **sizes}))


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"heads": 4}, 7 * 2 * 2 * (5 * 5 + 6 * (6 + 5))),
        ({"source": 10}, 7 * 2 * (5 * (6 * 8 + 2 * 16) + 2 * (100 - 25) + 2 * 6 * 5)),
        (
            {"target": 12},
            7 * (2 * (6 * (10 * 8 + 2 * 16) + 2 * (12 * 17 - 6 * 11)) + 2 * 6 * 9),
        ),
        (
            {"batch_size": 8},
            2 * (5 * 80 + 2 * 25 + 6 * 112 + 2 * 6 * 11) + 2 * 6 * 9,
        ),
    ],
)
def test_what_is_recorded_grows_by_the_maps_and_the_activations(
    changes: dict[str, int], more: int
) -> None:
    base = {"heads": 2, "batch_size": 7, "source": 5, "target": 6}

    def needed(heads: int, batch_size: int, source: int, target: int) -> int:
        model = TransformerSettings(d_model=8, d_ff=16, heads=heads, layers=2)
        return capacity.training_bytes(model, Shape("pairs", 11, 9, source, target), batch_size)

    assert needed(**base | changes) - needed(**base) == capacity.FLOAT * more


@pytest.mark.parametrize("settings", [TransformerSettings, GRUSettings])
def test_the_parameters_of_many_layers_are_counted_from_two(settings: Any) -> None:
    shape = Shape("pairs", 11, 9, 5, 6)
    for layers in (1, 2, 3, 5):
        model = settings(layers=layers)
        count = count_parameters(model.build(shape, ShapesOnly()))
        assert capacity.parameters(model, shape) == count


def test_what_is_free_is_the_least_that_the_system_and_a_container_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meminfo = "MemTotal: 9 kB\nMemAvailable: 3 kB\n"
    for limit, free in (("2000\n", 2_000), ("4000\n", 3_072), ("max\n", 3_072)):
        files = {"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": limit}
        monkeypatch.setattr(Path, "read_text", lambda path, files=files, **_: files[str(path)])
        assert capacity.free_memory() == free
