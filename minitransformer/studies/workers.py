"""Workers: what takes long is done for several seeds or models at once, a process for each core."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from minitransformer.progress import hear, tell, under

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""Processes at most."""


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str]
) -> list[Result]:
    """What a function makes of each item, in their order, with one BLAS thread each.

    function: one that stands in a module, so that another process finds it. names: what the items
    are called while one waits: what the function tells of its progress is told under its item's.
    An error of one ends them all.
    """
    count = min(CORES, len(items))
    named = [*zip(items, names, strict=True)]
    if count <= 1:
        with threadpool_limits(1, "blas"):
            return [run(function, item, name) for item, name in named]
    context = get_context("spawn")  # a fork would copy the threads' locks, but not the threads
    told = context.Queue()
    with ProcessPoolExecutor(count, context, prepare, (told,)) as pool:
        try:
            waiting: list[Future[Result]] = [
                pool.submit(run, function, item, name) for item, name in named
            ]
            while not all(x.done() for x in waiting):
                for x in waiting:
                    if x.done():
                        x.result()  # or its error, at once
                pass_on(told)
            while pass_on(told):
                pass
            return [x.result() for x in waiting]
        except BaseException:
            for child in active_children():
                child.terminate()  # or the pool would wait for them
            raise


def pass_on(told: Any) -> bool:
    """Tell here what has been told in another process; whether there was anything for a moment."""
    try:
        tell(*told.get(timeout=0.1))
    except queue.Empty:
        return False
    return True


def prepare(told: Any) -> None:
    """Make a new process ready: what it tells is heard by the one that waits, which alone sees to
    Ctrl-C, and without which it ends."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1, "blas")
    hear(lambda *progress: told.put(progress))


def end_with_parent() -> None:
    """End this process when the one that has begun it is gone, however that ended."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run(function: Callable[[Item], Result], item: Item, name: str) -> Result:
    """What the function makes of an item, its progress told under a name."""
    with under(name):
        return function(item)
