"""What one small operation costs, forward and backward, beside PyTorch on one thread.

    python benchmarks/op_overhead.py [--pairs 5000] [--rounds 9]

The work is y ← y · a + b on four numbers, so often that nothing but the engine's own bookkeeping
counts, then the gradients of y, a and b. Both take turns in this one process, and its processor
time is what counts: other processes do not disturb it.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np

from minigrad import Tensor

VALUES = [np.full(4, x, np.float32) for x in (1.0, 0.999, 0.001)]
"""The y that the chain starts from, a, and b."""

Chain = Callable[[int], list[Any]]
"""So many multiplications and additions; returns the gradients of y, a and b."""


def minigrad_chain(pairs: int) -> list[Any]:
    """The chain on our tensors."""
    leaves = start, a, b = [Tensor(x, requires_grad=True) for x in VALUES]
    y = start
    for _ in range(pairs):
        y = y * a + b
    y.sum().backward()
    return [leaf.grad for leaf in leaves]


def torch_chain(pairs: int) -> list[Any]:
    """The chain on PyTorch's."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    leaves = start, a, b = [torch.tensor(x, requires_grad=True) for x in VALUES]
    y = start
    for _ in range(pairs):
        y = y * a + b
    y.sum().backward()
    return [leaf.grad.numpy() for leaf in leaves]


def microseconds(chains: dict[str, Chain], pairs: int, rounds: int) -> dict[str, float]:
    """The median time of an operation in each chain, forward and backward together."""
    times: dict[str, list[float]] = {name: [] for name in chains}
    for i in range(rounds + 1):
        for name, chain in chains.items():
            gc.collect()  # nobody pays for another's garbage
            started = time.process_time()
            chain(pairs)
            if i > 0:  # the first round warms up
                times[name].append(time.process_time() - started)
    return {name: median(t) / (2 * pairs) * 1e6 for name, t in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Cost of one small operation, beside PyTorch's.")
    parser.add_argument("--pairs", type=int, default=5000, help="multiplications and additions")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    chains: dict[str, Chain] = {"minigrad": minigrad_chain}
    if find_spec("torch"):
        chains["PyTorch eager"] = torch_chain
    found = microseconds(chains, options.pairs, options.rounds)
    for name, cost in found.items():
        ratio = f", {cost / found['PyTorch eager']:.2f} of PyTorch's" if len(found) > 1 else ""
        print(f"{name:14}{cost:6.2f} µs per operation{ratio}")


if __name__ == "__main__":
    main()
