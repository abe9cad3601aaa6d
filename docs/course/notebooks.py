"""Make notebooks of the chapters: `python docs/course/notebooks.py` writes them to notebooks/.

A chapter's text becomes cells of text, its examples cells of code, each up to a result that the
chapter shows, and its commands lines that begin with an exclamation mark.
"""

from __future__ import annotations

import doctest
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from run import BLOCK, COURSE, chapters, commands

FOLDER = COURSE / "notebooks"
FIRST = """import os
from threadpoolctl import threadpool_limits

threadpool_limits(1, "blas")  # more threads wait for each other in small models
os.makedirs("pictures", exist_ok=True)  # for what the commands draw"""
RELATIVE = re.compile(r'(\]\(|(?:src|href)=")(?!https?:|#|/)')
"""Where a link begins that is meant from the folder of the course."""


def notebook(chapter: Path) -> str:
    """A chapter as a notebook, in the format of Jupyter, without any output."""
    return as_json([("code", FIRST), *cells(chapter.read_text(encoding="utf-8"))])


def cells(text: str) -> Iterator[tuple[str, str]]:
    """The cells of a chapter: their kind, "markdown", "code" or "raising", and their source."""
    place = 0
    for block in BLOCK.finditer(text):
        yield from prose(text[place : block.start()])
        if block[1] == "python":
            yield from examples(block[2])
        else:
            yield "code", "\n".join(f"!{command}" for command, _ in commands(block[2]))
        place = block.end()
    yield from prose(text[place:])


def prose(text: str) -> Iterator[tuple[str, str]]:
    """A cell of text, if there is any; what the chapter folds away is laid open."""
    text = re.sub(r"</?details>\n?", "", text)
    text = re.sub(r"<summary>(.*?)</summary>", r"**\1**", text)
    text = RELATIVE.sub(r"\1../", text).strip()
    if text:
        yield "markdown", text


def examples(text: str) -> Iterator[tuple[str, str]]:
    """The code of a block of examples, in cells that end with a result, or, as another kind, with
    an error that is to be seen."""
    waiting: list[str] = []
    for example in doctest.DocTestParser().get_examples(text):
        waiting.append(example.source.rstrip("\n"))
        if example.want:
            yield "raising" if example.exc_msg else "code", "\n".join(waiting)
            waiting = []
    if waiting:
        yield "code", "\n".join(waiting)


def as_json(found: list[tuple[str, str]]) -> str:
    """Cells as Jupyter stores them: Notebook format 4.5."""

    def cell(number: int, kind: str, source: str) -> dict[str, Any]:
        about = {"tags": ["raises-exception"]} if kind == "raising" else {}  # and goes on
        own = {} if kind == "markdown" else {"execution_count": None, "outputs": []}
        return {
            "cell_type": "code" if own else kind,
            "id": f"{number}",
            "metadata": about,
            "source": source.splitlines(keepends=True),
            **own,
        }

    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": [cell(number, *each) for number, each in enumerate(found)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all notebooks."""
    FOLDER.mkdir(exist_ok=True)
    for chapter in chapters():
        path = FOLDER / f"{chapter.stem}.ipynb"
        path.write_text(notebook(chapter), encoding="utf-8")


if __name__ == "__main__":
    main()
