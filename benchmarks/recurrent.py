"""What a whole sequence through a recurrent network costs, forward and backward, on one thread.

    python benchmarks/recurrent.py [--rounds 200]

Each of RNN, GRU and LSTM is computed as one fused op, as its definition in small ops, and by
PyTorch's own module. They take turns in this one process, and the fastest turn counts: whatever
disturbs a turn makes it slower. Set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from minigrad import TABLE, Tensor

B, T, D, H = 64, 11, 64, 128
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def drawn(name: str) -> list[Any]:
    """The input, the state or states, the weights and the biases, in float32."""
    rows, states = GATES[name] * H, 2 if name == "lstm" else 1
    shapes = [(B, T, D), *[(B, H)] * states, (rows, D), (rows, H), (rows,), (rows,)]
    rng = np.random.default_rng(0)
    return [rng.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes]


def step_of_ours(compute: Callable[..., Any], arrays: list[Any]) -> None:
    """Forward, and back from the states of all steps."""
    y = compute(*[Tensor(x, requires_grad=True) for x in arrays])
    (y[0] if y.ndim == 4 else y).sum().backward()


def step_of_pytorch(name: str) -> Callable[[], None]:
    """The same by PyTorch's module."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    module = getattr(torch.nn, name.upper())(D, H, batch_first=True)
    x, *states = (torch.tensor(x, requires_grad=True) for x in drawn(name)[:-4])
    first = tuple(h[None] for h in states) if len(states) > 1 else states[0][None]

    def step() -> None:
        module.zero_grad()
        y, _ = module(x, first)
        y.sum().backward(retain_graph=True)  # of the states' new axis, which is made once

    return step


def milliseconds(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The shortest time of each."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    return {name: 1e3 * min(t) for name, t in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Cost of a sequence through RNN, GRU and LSTM.")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    for name in GATES:
        row, arrays = TABLE[name], drawn(name)
        assert row.definition is not None
        steps: dict[str, Callable[[], None]] = {
            "fused": partial(step_of_ours, row, arrays),
            "small ops": partial(step_of_ours, row.definition, arrays),
        }
        if find_spec("torch"):
            steps["PyTorch"] = step_of_pytorch(name)
        found = milliseconds(steps, options.rounds)
        print(f"{name:5}", *(f"{kind} {cost:.2f} ms" for kind, cost in found.items()), sep="  ")


if __name__ == "__main__":
    main()
