"""Whether a run fits into memory is known before it begins."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from minitransformer import capacity
from minitransformer.config import TransformerConfig
from minitransformer.data import Batch
from minitransformer.training import Trainer, TrainingConfig

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
    config = TrainingConfig(**{**BASE, **sizes})
    tracemalloc.start()
    try:
        trainer = Trainer(config)
        source = np.full((config.batch_size, config.length), 5)
        target = np.full((config.batch_size, config.length + 1), 5)
        trainer.train_step(Batch(source, target, target))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    shape = trainer.model.config
    task = trainer.task
    least = capacity.training_bytes(shape, config.batch_size, task.max_source, task.max_target)
    assert peak / 4 < least < peak


def test_what_cannot_fit_is_refused_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = TransformerConfig(50, 60, d_model=32, num_heads=4, d_ff=48)
    needed = capacity.training_bytes(shape, 7, 200, 300)
    monkeypatch.setattr(capacity, "free_memory", lambda: needed - 1)
    with pytest.raises(ValueError, match=r"at least 0\.\d GB .* \(7 now\).* 200 and 300 tokens"):
        capacity.require_room(shape, 7, 200, 300)
    for free in (needed, None):  # None: the system does not say
        monkeypatch.setattr(capacity, "free_memory", lambda free=free: free)
        capacity.require_room(shape, 7, 200, 300)


def test_a_model_of_absurd_sizes_is_refused_at_once() -> None:
    if capacity.free_memory() is None:
        pytest.skip("the system does not say how much memory is free")
    for sizes in ({"batch_size": 10_000, "length": 2_000}, {"layers": 1_000, "d_model": 20_000}):
        with pytest.raises(ValueError, match="a training step needs at least"):
            Trainer(TrainingConfig(task="copy", **sizes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"num_heads": 4}, 7 * (2 * 2 * 5 * 5 + 3 * 2 * 6 * (6 + 5))),
        ({"source": 10}, 7 * (2 * (5 * (6 * 8 + 2 * 16) + 2 * (100 - 25)) + 3 * 2 * 6 * 5)),
        ({"target": 12}, 7 * (3 * (6 * (10 * 8 + 2 * 16) + 2 * (12 * 17 - 6 * 11)) + 2 * 6 * 9)),
        ({"batch_size": 8}, 2 * (5 * 80 + 2 * 25) + 3 * (6 * 112 + 2 * 6 * 11) + 2 * 6 * 9),
    ],
)
def test_what_is_recorded_grows_by_the_maps_and_the_activations(
    changes: dict[str, int], more: int
) -> None:
    base = {"num_heads": 2, "batch_size": 7, "source": 5, "target": 6}

    def needed(num_heads: int, batch_size: int, source: int, target: int) -> int:
        shape = TransformerConfig(
            11, 9, d_model=8, num_heads=num_heads, num_encoder_layers=2, num_decoder_layers=3,
            d_ff=16,
        )  # fmt: skip
        return capacity.training_bytes(shape, batch_size, source, target)

    assert needed(**base | changes) - needed(**base) == capacity.FLOAT * more
