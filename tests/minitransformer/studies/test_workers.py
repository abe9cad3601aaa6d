"""Workers: items in their order, progress under their names, and errors that end them all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minitransformer.progress import heard_by, tell
from minitransformer.studies import workers
from minitransformer.studies.workers import in_parallel


def square(x: int) -> tuple[int, int]:
    """What is measured, and where."""
    tell("squaring", 1, 2)
    if x < 0:
        raise ValueError(f"{x} is below 0")
    return x * x, os.getpid()


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """One process, which is this one, or two others."""
    monkeypatch.setattr(workers, "CORES", request.param)
    yield request.param


def test_results_come_in_the_order_of_the_items(cores: int) -> None:
    found = in_parallel(square, [3, 1, 2], ["a", "b", "c"])
    assert [x for x, _ in found] == [9, 1, 4]
    assert (os.getpid() in {process for _, process in found}) == (cores == 1)


def test_progress_is_told_under_the_name_of_its_item(cores: int) -> None:
    heard = []
    with heard_by(lambda *progress: heard.append(progress)):
        in_parallel(square, [3, 1], ["a", "b"])
    assert sorted(heard) == [("a: squaring", 1, 2), ("b: squaring", 1, 2)]


def test_an_error_of_one_is_raised(cores: int) -> None:
    with pytest.raises(ValueError, match="-1 is below 0"):
        in_parallel(square, [3, -1, 2, 4], ["a", "b", "c", "d"])


def wait(x: int) -> None:
    """It takes a minute, but for the first, which is wrong."""
    if not x:
        raise ValueError("wrong")
    time.sleep(60)


def test_after_an_error_nobody_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CORES", 2)
    started = time.perf_counter()
    with pytest.raises(ValueError, match="wrong"):
        in_parallel(wait, [1, 0], ["a", "b"])
    assert time.perf_counter() - started < 30


def beat(path: str) -> None:
    """Show for a minute that this process is alive: the file grows."""
    for _ in range(600):
        with open(path, "a") as file:
            file.write(".")
        time.sleep(0.1)


def test_workers_end_with_the_process_that_waits_for_them(tmp_path: Path) -> None:
    hearts = [tmp_path / "a", tmp_path / "b"]
    code = (
        "from minitransformer.studies import workers; from tests.minitransformer.studies import "
        "test_workers; workers.CORES = 2; "
        f"workers.in_parallel(test_workers.beat, {[*map(str, hearts)]}, 'ab')"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3]) as waiting:
        while not all(x.exists() for x in hearts):
            assert waiting.poll() is None
            time.sleep(0.1)
        waiting.kill()
    time.sleep(0.5)
    sizes = [x.stat().st_size for x in hearts]
    time.sleep(1)
    assert [x.stat().st_size for x in hearts] == sizes
