"""Run chapters of the course: `python docs/course/run.py 3 5`, or all of them without a number.

A chapter is Markdown. Its Python examples run as doctests, its `$ minigrad …` lines as commands, in
the order in which they stand; the pictures that the commands make go to `pictures/`. A result or an
output that is not what the chapter says is an error.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  # what is not loaded yet cannot be limited
from threadpoolctl import threadpool_limits

COURSE = Path(__file__).resolve().parent
PICTURES = COURSE / "pictures"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def chapters() -> list[Path]:
    """The chapters in their order."""
    return sorted(COURSE.glob("[0-9][0-9]-*.md"))


def pictures(chapter: Path) -> list[str]:
    """The pictures that a chapter shows, as paths from the folder of the course."""
    return re.findall(r'(?:\]\(|src=")(pictures/[^)"]+)', chapter.read_text(encoding="utf-8"))


def run(chapter: Path, folder: Path) -> list[str]:
    """Carry out a chapter in a folder; what did not come out as it says, with the line."""
    text = chapter.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    problems: list[str] = []
    before = Path.cwd()
    os.chdir(folder)
    try:
        with threadpool_limits(1, "blas"):  # more threads wait for each other in small models
            for block in BLOCK.finditer(text):
                line = text.count("\n", 0, block.start(2)) + 1
                if block[1] == "python":
                    problems += run_examples(block[2], names, chapter, line)
                else:
                    problems += run_commands(block[2], f"{chapter.name}:{line}")
    finally:
        os.chdir(before)
    return problems


def run_examples(text: str, names: dict[str, Any], chapter: Path, line: int) -> list[str]:
    """Run the examples of one block, which share `names` with the blocks before it."""
    name = f"{chapter.stem}-{line}"  # of its own, or doctest takes its lines for another block's
    parsed = doctest.DocTestParser().get_doctest(text, names, name, str(chapter), line - 1)
    parsed.globs = names  # and no copy: a function may use what a later block defines
    said: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(parsed, out=said.append, clear_globs=False)
    return said


def run_commands(text: str, place: str) -> list[str]:
    """Run the commands of one block, and compare the output of those that show some."""
    problems = []
    for command, expected in commands(text):
        program, *arguments = shlex.split(command)
        if program != "minigrad":
            problems.append(f"{place}: only minigrad is run, not {command}")
            continue
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(COURSE.parents[1]), "PYTHONUTF8": "1"},
        )
        output = done.stdout + done.stderr
        if done.returncode or (
            expected and not doctest.OutputChecker().check_output(expected, output, FLAGS)
        ):
            problems.append(f"{place}: $ {command} ended with {done.returncode} and said\n{output}")
    return problems


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a block, and the output that stands below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", " ").partition("\n")
        yield command, output


def main(numbers: list[str]) -> int:
    """Run the chapters of these numbers, or all; 1 if something did not come out as it says."""
    failed = False
    for chapter in chapters():
        if not numbers or str(int(chapter.name[:2])) in numbers:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "pictures").mkdir()
                problems = run(chapter, Path(folder))
                shutil.copytree(Path(folder) / "pictures", PICTURES, dirs_exist_ok=True)
            print(chapter.stem, "" if problems else "runs as it says", *problems, sep="\n  ")
            failed = failed or bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
