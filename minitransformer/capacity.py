"""Whether a run fits into memory: known before it begins, and not by being killed in the middle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigrad.nn import ShapesOnly, count_parameters
from minitransformer.batch import Shape

FLOAT = 4
"""Bytes of a float32."""


def require_capacity(model: Any, shape: Shape, batch_size: int) -> None:
    """ValueError where a training step on the longest examples needs more than there is."""
    needed, free = training_bytes(model, shape, batch_size), free_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"a training step needs at least {gigabytes(needed)} of memory, and {gigabytes(free)} "
            f"are free: choose a smaller model, smaller batches ({batch_size} now), or shorter "
            f"sequences (the longest has {shape.length} tokens)"
        )


def training_bytes(model: Any, shape: Shape, batch_size: int) -> int:
    """The least that a training step needs: weights, gradients, moments, and what is recorded."""
    return int(FLOAT * (4 * parameters(model, shape) + batch_size * model.floats(shape)))


def parameters(model: Any, shape: Shape) -> int:
    """How many numbers a model learns, whose settings these are."""
    if getattr(model, "layers", 0) < 3:
        return count_parameters(model.build(shape, ShapesOnly()))
    one, two = (parameters(replace(model, layers=n), shape) for n in (1, 2))
    return one + (model.layers - 1) * (two - one)  # a thousand layers take a while to be counted


def gigabytes(count: int) -> str:
    """Bytes to be read."""
    return f"{count / 1e9:,.1f} GB"


def free_memory() -> int | None:
    """The bytes that this process may still take, where the system says so (Linux)."""
    limits = []
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits += [int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")]
    with suppress(OSError, ValueError):  # a container's limit, or "max"
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(limits, default=None)
