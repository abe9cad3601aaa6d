"""Make the gallery: run the commands of its rows in a folder, two at a time, and write the page."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from minigrad.files import FileError, trying_to, write_atomically
from minitransformer.progress import tell
from viz.gallery.rows import ROWS, Row
from viz.pages.gallery import Exhibit, Ran, gallery, with_way_back

AT_ONCE = 2
"""Commands that run at the same time."""

ROOT = Path(__file__).parents[2]
"""Where Python finds the command."""


def make_gallery(folder: Path, quick: bool = False, rows: Sequence[Row] = ROWS) -> list[Ran]:
    """Run the commands of all rows in a folder, and write its index.html; those that failed.

    quick: each as its row says where time is short. A command waits for those before it whose
    results it names; it is not run where one of these failed. A row that lacks a package is shown
    with what it needs. FileError for a folder that is not empty.
    """
    with trying_to("make the gallery in", folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileError(f"{folder} is not empty; choose another folder")
    started = time.perf_counter()
    workshop = Workshop(folder)
    try:
        ran = workshop.run_all([row for row in rows if not row.lacks], quick)
    except BaseException:
        workshop.close()
        raise
    exhibits = [exhibit(row, ran, folder) for row in rows]
    page = gallery(exhibits, folder, time.perf_counter() - started)
    for path in folder.glob("*.html"):
        back = with_way_back(path.read_text(encoding="utf-8"))
        write_atomically(path, back.encode())
    page.save(folder / "index.html")
    return [x for x in ran.values() if x.code]


def exhibit(row: Row, ran: Mapping[str, Ran], folder: Path) -> Exhibit:
    """A row with what its commands printed, and what its studies wrote down in their summaries."""
    own = [ran[x] for x in row.commands if x in ran]
    said = []
    for command in row.commands:
        for name in results_of(command):
            path = folder / name / "summary.json"
            if path.exists():
                said += json.loads(path.read_text(encoding="utf-8")).get("says", [])
    return Exhibit(row, own, said)


@dataclass
class Workshop:
    """A folder in which commands run, until it is closed."""

    folder: Path

    def __post_init__(self) -> None:
        self.is_open = True
        self.running: set[subprocess.Popen[str]] = set()

    def run_all(self, rows: Sequence[Row], quick: bool) -> dict[str, Ran]:
        """What each command of some rows printed, by the command as its row has it."""
        waiting = {  # the commands, as they are to be run
            command: changed(command, more)
            for row in rows
            for command, more in zip_longest(row.commands, row.quick if quick else (), fillvalue="")
        }
        needed = {x: [other for other in waiting if uses(x, other)] for x in waiting}
        running: dict[Future[Ran], str] = {}
        ran: dict[str, Ran] = {}
        pool = ThreadPoolExecutor(AT_ONCE)
        while waiting or running:
            ready = [x for x in waiting if ran.keys() >= {*needed[x]}]
            for command in ready[: AT_ONCE - len(running)]:
                before = [ran[other] for other in needed[command]]
                running[pool.submit(self.run, waiting.pop(command), before)] = command
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                ran[running.pop(done)] = done.result()
                tell(f"gallery: {done.result().name}", len(ran), len(needed))
        pool.shutdown()  # not by `with`: that would wait for what runs after Ctrl-C too
        return ran

    def run(self, command: str, before: Sequence[Ran]) -> Ran:
        """Run a command, if all those that it needs ended well."""
        failed = next((x for x in before if x.code), None)
        if failed or not self.is_open:
            return Ran(command, f"not run, for want of: {failed.command}" if failed else "", -1, 0)
        started = time.perf_counter()
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with subprocess.Popen(
            [sys.executable, "-m", "cli", *shlex.split(command)[1:]],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        ) as process:
            self.running.add(process)
            if not self.is_open:  # it was closed while this began
                process.terminate()
            output, _ = process.communicate()
            self.running.discard(process)
        return Ran(command, output, process.returncode, time.perf_counter() - started)

    def close(self) -> None:
        """End what runs, and begin nothing more."""
        self.is_open = False
        for process in [*self.running]:
            process.terminate()


def uses(command: str, other: str) -> bool:
    """Whether a command names what another one writes.

    >>> uses("minigrad predict reverse '1 2'", "minigrad train reverse --out reverse")
    True
    """
    return command != other and not results_of(other).isdisjoint(shlex.split(command))


def changed(command: str, options: str) -> str:
    """A command with other values of options, or with more options.

    >>> changed("minigrad sense --seeds 2 --out sense", "--seeds 1 --steps 9")
    'minigrad sense --seeds 1 --out sense --steps 9'
    """
    words, others = shlex.split(command), iter(shlex.split(options))
    for name, value in zip(others, others, strict=True):
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return shlex.join(words) if options else command


def results_of(command: str) -> set[str]:
    """The files and folders that a command writes."""
    words = shlex.split(command)
    return {words[i + 1] for i, word in enumerate(words) if word in ("-o", "--out")}
