"""Whether a run fits into memory: known before it begins, and not by being killed in the middle."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from minigrad.nn import ShapesOnly, count_parameters
from minitransformer.config import TransformerConfig
from minitransformer.models.transformer import Transformer

FLOAT = 4
"""Bytes of a float32."""


def require_room(shape: TransformerConfig, batch_size: int, source: int, target: int) -> None:
    """ValueError where a training step on the longest examples needs more than there is."""
    needed, free = training_bytes(shape, batch_size, source, target), free_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"a training step needs at least {gigabytes(needed)} of memory, and {gigabytes(free)} "
            f"are free: choose a smaller model, smaller batches ({batch_size} now), or shorter "
            f"sequences (the longest are {source} and {target} tokens)"
        )


def training_bytes(shape: TransformerConfig, batch_size: int, source: int, target: int) -> int:
    """The least that a training step needs: parameters, gradients, moments, and what is recorded.

    Of what is recorded only the larger arrays are counted, each once.
    """
    encoder, decoder = shape.num_encoder_layers, shape.num_decoder_layers
    one, two = (  # and no more, for a thousand layers take a while to be counted
        count_parameters(
            Transformer(replace(shape, num_encoder_layers=n, num_decoder_layers=n), ShapesOnly())
        )
        for n in (1, 2)
    )
    parameters = one + (min(encoder, decoder) - 1) * (two - one)
    wide, inner, heads = shape.d_model, shape.d_ff, shape.num_heads
    one_row = (
        encoder * (source * (6 * wide + 2 * inner) + heads * source * source)
        + decoder * (target * (10 * wide + 2 * inner) + heads * target * (target + source))
        + 2 * target * shape.target_vocab
    )
    return FLOAT * (4 * parameters + batch_size * one_row)


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
