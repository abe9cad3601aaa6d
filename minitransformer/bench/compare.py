"""The whole training step, timed beside PyTorch's and beside its bare matrix products.

A contender is a process of its own, with its own threads, that does training steps on request. All
start from the same weights and see the same batches; that they compute the same is shown by their
first losses. They take turns, a round of some steps at a time, so that a slow spell of the machine
meets them all, and the median step counts. The matrix products alone, into memory that is already
there, are the time below which no engine on this BLAS can get.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from minigrad.memory import keep_heap
from minitransformer.batch import IGNORE, Batch
from minitransformer.bench import torch as bench_torch
from minitransformer.decoding import SPECIAL
from minitransformer.models.transformer import TransformerSettings
from minitransformer.recipe import Recipe
from minitransformer.settings import Training
from minitransformer.tasks.sequences import Reverse
from minitransformer.tokens.tokeniser import OWN
from minitransformer.training import Trainer

Step = Callable[[Batch], float | None]
"""One training step; returns the loss before the update, if it computes one."""

LOSSES = 5
TOLERANCE = 2e-3
"""The first losses, each but the first after an update, agree to this share of their size."""

ROUND_SECONDS = 0.25
PAUSE = 0.05
"""Seconds before each round in which the threads of the one before stop waiting for work."""

FOREIGN = 0.1
"""The share of a core that other processes may take from a round that counts."""


@dataclass(frozen=True)
class Size:
    """A model, pre-norm with ReLU and no dropout, and the shape of its batches."""

    vocab: int
    source_length: int
    target_length: int
    batch: int
    d_model: int
    heads: int
    d_ff: int
    layers: int = 2


SIZES = {
    "tiny": Size(16, 10, 11, 64, 64, 4, 128),
    "small": Size(64, 32, 32, 32, 128, 4, 512),
    "base": Size(1000, 64, 64, 16, 512, 8, 2048),
}


def make_trainer(size: Size) -> Trainer:
    """A trainer of a model of this size, its learning rate constant."""
    task = Reverse(length=max(size.source_length, size.target_length), vocab=size.vocab - len(OWN))
    model = TransformerSettings(
        d_model=size.d_model,
        heads=size.heads,
        layers=size.layers,
        d_ff=size.d_ff,
        norm="pre",
        activation="relu",
        positions="sinusoidal",
        dropout=0.0,
    )
    training = Training(weight_decay=0.0, learning_rate=1e-3, warmup=1, steps=10**9)
    return Trainer(Recipe(task, model, training))


def make_batches(size: Size, count: int = 8) -> list[Batch]:
    """Random tokens, in sequences from half the length to the full one."""
    rng = np.random.default_rng(0)

    def tokens(length: int) -> Any:
        ids = rng.integers(len(OWN), size.vocab, (size.batch, length))
        ends = rng.integers(length // 2, length + 1, (size.batch, 1))
        return np.where(np.arange(length) < ends, ids, SPECIAL.pad)

    def batch() -> Batch:
        target_out = tokens(size.target_length)
        target_in = np.roll(target_out, 1, axis=1)
        target_in[:, 0] = SPECIAL.bos
        source, asked = tokens(size.source_length), target_out != SPECIAL.pad
        count = int(np.count_nonzero(source) + np.count_nonzero(asked))
        return Batch((source, target_in), np.where(asked, target_out, IGNORE), count)

    return [batch() for _ in range(count)]


def minigrad_step(size: Size) -> Step:
    """The step of `minigrad train` itself."""
    keep_heap()
    return make_trainer(size).train_step


def eager_step(size: Size) -> Step:
    """The same step in PyTorch's basic operations."""
    return bench_torch.step(make_trainer(size), bench_torch.WrittenOut, fused=None)


def module_step(size: Size) -> Step:
    """The same step with PyTorch's own Transformer, and its fused Adam."""
    return bench_torch.step(make_trainer(size), bench_torch.BuiltIn, fused=True)


class Product(NamedTuple):
    """`stack` products (rows, inner) · (inner, columns), and which operand lies transposed."""

    stack: int
    rows: int
    inner: int
    columns: int
    transposed: str = ""


def products(size: Size) -> Iterator[Product]:
    """Every matrix product of a step, forward and backward, those of one input joined into one.

    So query, key and value of a self-attention are one product, and key and value of the memory.
    """
    width, inner = size.d_model, size.d_ff
    sources, targets = size.batch * size.source_length, size.batch * size.target_length

    def linear(rows: int, n_in: int, n_out: int) -> Iterator[Product]:
        yield Product(1, rows, n_in, n_out, "right")  # y = x Wᵀ
        yield Product(1, rows, n_out, n_in)  # ∂x = ∂y W
        yield Product(1, n_out, rows, n_in, "left")  # ∂W = ∂yᵀ x

    def attention(queries: int, keys: int) -> Iterator[Product]:
        stack, head = size.batch * size.heads, width // size.heads
        for _ in range(2):
            yield Product(stack, queries, head, keys, "right")  # Q Kᵀ, and ∂O Vᵀ
            yield Product(stack, queries, keys, head)  # P V, and ∂S K
            yield Product(stack, keys, queries, head, "left")  # Pᵀ ∂O, and ∂Sᵀ Q

    def feed_forward(rows: int) -> Iterator[Product]:
        yield from linear(rows, width, inner)
        yield from linear(rows, inner, width)

    for rows, length in (sources, size.source_length), (targets, size.target_length):
        for _ in range(size.layers):
            yield from linear(rows, width, 3 * width)
            yield from attention(length, length)
            yield from linear(rows, width, width)
            yield from feed_forward(rows)
    for _ in range(size.layers):
        yield from linear(targets, width, width)
        yield from linear(sources, width, 2 * width)
        yield from attention(size.target_length, size.source_length)
        yield from linear(targets, width, width)
    yield from linear(targets, width, size.vocab)


def products_step(size: Size) -> Step:
    """The matrix products of the step and nothing else, on operands that stay in the cache."""
    listed = list(products(size))
    largest = max(
        p.stack * max(p.rows * p.inner, p.inner * p.columns, p.rows * p.columns) for p in listed
    )
    memory = np.random.default_rng(0).standard_normal((3, largest), np.float32)

    def matrices(i: int, stack: int, rows: int, columns: int, transposed: bool = False) -> Any:
        shape = (columns, rows) if transposed else (rows, columns)
        x = memory[i, : stack * rows * columns].reshape(stack, *shape)
        x = x if stack > 1 else x[0]
        return x.swapaxes(-1, -2) if transposed else x

    work = [
        (
            matrices(0, p.stack, p.rows, p.inner, p.transposed == "left"),
            matrices(1, p.stack, p.inner, p.columns, p.transposed == "right"),
            matrices(2, p.stack, p.rows, p.columns),
        )
        for p in listed
    ]

    def step(batch: Batch) -> None:
        for left, right, result in work:
            np.matmul(left, right, out=result)

    return step


CONTENDERS: dict[str, Callable[[Size], Step]] = {
    "bare products": products_step,
    "minigrad": minigrad_step,
    "PyTorch eager": eager_step,
    "nn.Transformer": module_step,
}
TORCH = ("PyTorch eager", "nn.Transformer")


def contend(connection: Any, contender: str, size: Size, threads: int) -> None:
    """What a contender's process does: its first losses, then the times of the steps asked for."""
    if contender in TORCH:
        bench_torch.set_threads(threads)
    step, batches = CONTENDERS[contender](size), cycle(make_batches(size))
    losses = [step(next(batches)) for _ in range(LOSSES)]
    connection.send([loss for loss in losses if loss is not None])
    while steps := connection.recv():
        before, times = time.process_time(), []
        for _ in range(steps + 1):
            batch, started = next(batches), time.perf_counter()
            step(batch)
            times.append(time.perf_counter() - started)
        connection.send((times[1:], time.process_time() - before))  # the first finds a cold cache


@contextmanager
def environment(threads: int, coretype: str) -> Iterator[None]:
    """A block in which new processes get these numbers of threads, and BLAS its free choice.

    `coretype` makes OpenBLAS use the kernels of that processor instead of the fastest.
    """
    before = dict(os.environ)
    for name in "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE":
        os.environ.pop(name, None)
    for name in "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS":
        os.environ[name] = str(threads)
    if coretype:
        os.environ["OPENBLAS_CORETYPE"] = coretype
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def busy_seconds() -> float:
    """Core seconds that the machine has worked so far; NaN where the system does not tell."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    except (OSError, ValueError):
        return float("nan")
    idle, waiting_for_disk = ticks[3:5]
    return (sum(ticks) - idle - waiting_for_disk) / os.sysconf("SC_CLK_TCK")


class Process:
    """A contender at work elsewhere, seen from here."""

    def __init__(self, contender: str, size: Size, threads: int, coretype: str) -> None:
        self.contender, self.threads = contender, threads
        self.connection, other = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(
            target=contend, args=(other, contender, size, threads), daemon=True
        )
        with environment(threads, coretype):
            self.process.start()
        other.close()
        self.losses: list[float] = self.receive()
        self.latest = float("inf")  # seconds a step: unknown, so the first round is short
        self.quiet: list[float] = []
        self.disturbed: list[float] = []
        self.quiet_rounds = 0

    def receive(self) -> Any:
        """The process's next message. RuntimeError when it has died instead."""
        try:
            return self.connection.recv()
        except EOFError:
            raise RuntimeError(f"{self.contender} ended early; its own error is above") from None

    def round(self) -> None:
        """Some more steps; they are set apart when other processes worked at the same time."""
        time.sleep(PAUSE)
        busy, started = busy_seconds(), time.perf_counter()
        self.connection.send(min(max(round(ROUND_SECONDS / self.latest), 2), 50))
        times, own = self.receive()
        seconds = time.perf_counter() - started
        spare = max((os.cpu_count() or 1) - self.threads, 0)
        if busy_seconds() - busy - own > (spare + FOREIGN) * seconds + 0.02:  # two clock ticks
            self.disturbed += times
        else:
            self.quiet += times
            self.quiet_rounds += 1
        self.latest = min(times)

    def close(self) -> None:
        """Let the process end."""
        self.connection.send(0)
        self.process.join()
        self.connection.close()


@dataclass(frozen=True)
class Result:
    """What one contender did: the median milliseconds of its steps, and its first losses.

    `agrees` says whether these are PyTorch's. `quiet_rounds` out of `rounds` went undisturbed, and
    only their steps count, unless there are none.
    """

    size: str
    threads: int
    coretype: str
    contender: str
    milliseconds: float
    quiet_rounds: int
    rounds: int
    losses: list[float]
    agrees: bool


def agree(losses: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether two contenders train alike; one that computes no loss has nothing to disagree on."""
    return not losses or np.allclose(losses, expected, rtol=TOLERANCE, atol=0)


def compare(
    name: str, size: Size, threads: int = 2, rounds: int = 7, coretype: str = ""
) -> list[Result]:
    """All contenders at one size, the fastest first; PyTorch's only where it is installed."""
    present = [c for c in CONTENDERS if c not in TORCH or find_spec("torch")]
    processes = [Process(c, size, threads, coretype) for c in present]
    for _ in range(rounds):
        for process in processes:
            process.round()
    expected = processes[present.index(TORCH[0] if TORCH[0] in present else "minigrad")].losses
    results = []
    for process in processes:
        process.close()
        results.append(
            Result(
                size=name,
                threads=threads,
                coretype=coretype,
                contender=process.contender,
                milliseconds=1000 * median(process.quiet or process.disturbed),
                quiet_rounds=process.quiet_rounds,
                rounds=rounds,
                losses=process.losses,
                agrees=agree(process.losses, expected),
            )
        )
    return sorted(results, key=lambda result: result.milliseconds)


def table(results: Sequence[Result]) -> Iterator[str]:
    """The results at one size as the lines of a Markdown table, with the ratios that matter."""
    times = {result.contender: result.milliseconds for result in results}
    torch = [times[c] for c in TORCH if c in times]
    references = {
        "/ bare products": times["bare products"],
        "/ PyTorch eager": torch[0] if torch else None,
        "/ faster PyTorch": min(torch, default=None),
    }
    rows = [["contender", "ms", *references, "quiet rounds", "losses"]]
    for result in results:
        ms = result.milliseconds
        ratios = [f"{ms / other:.2f}" if other else "–" for other in references.values()]
        quiet = f"{result.quiet_rounds} of {result.rounds}"
        verdict = "WRONG" if not result.agrees else "agree" if result.losses and torch else "–"
        rows.append([result.contender, f"{ms:.2f}", *ratios, quiet, verdict])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    for name, *cells in rows:
        numbers = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True))
        yield f"| {name:{widths[0]}} | {' | '.join(numbers)} |"


def main(
    sizes: Sequence[str] = tuple(SIZES),
    threads: int = 2,
    rounds: int = 7,
    coretype: str = "",
    json_file: str | os.PathLike[str] | None = None,
) -> int:
    """Compare at each of the sizes, print the tables, append the results to `json_file`.

    Returns the exit status: 1 when losses disagree. ValueError for a size that there is not.
    """
    for name in sizes:
        if name not in SIZES:
            raise ValueError(f"no size {name!r}; there are {', '.join(SIZES)}")
    if threads < 1 or rounds < 1:
        raise ValueError(f"threads and rounds must be at least 1, not {threads} and {rounds}")
    if not find_spec("torch"):
        print("PyTorch is not installed, so there is nothing to compare with but the bare products")
    agreed = True
    for name in sizes:
        results = compare(name, SIZES[name], threads, rounds, coretype)
        kernels = f", OpenBLAS kernels for {coretype}" if coretype else ""
        print("", f"{name}, threads: {threads}{kernels}", "", *table(results), sep="\n")
        agreed &= all(result.agrees for result in results)
        if json_file is not None:
            with open(json_file, "a", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(asdict(result))}\n" for result in results)
    return 0 if agreed else 1
