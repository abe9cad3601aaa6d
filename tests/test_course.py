"""Every chapter of the course runs as it says, shows what its commands drew, and asks questions."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from minigrad.table import NUMPY, TABLE

COURSE = Path(__file__).parent.parent / "docs" / "course"


def load(name: str) -> ModuleType:
    """A file of docs/course, which is no part of a package."""
    spec = importlib.util.spec_from_file_location(name, COURSE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


course, notebooks = load("run"), load("notebooks")


@pytest.fixture(autouse=True)
def _table_as_it_was() -> Iterator[None]:
    """Chapters may add ops: what they add goes again."""
    before = dict(TABLE), dict(NUMPY)
    yield
    for table, rows in zip((TABLE, NUMPY), before, strict=True):
        table.clear()
        table.update(rows)


chapters = pytest.mark.parametrize("chapter", course.chapters(), ids=lambda path: path.stem)


def test_the_course_has_thirteen_chapters_numbered_in_order_and_an_index_of_them() -> None:
    names = [path.name for path in course.chapters()]
    assert [name[:2] for name in names] == [f"{i:02}" for i in range(1, 14)]
    index = (COURSE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d\d-[^)]+\.md)\)", index) == names


@chapters
def test_a_chapter_runs_as_it_says_and_draws_its_own_pictures(
    chapter: Path, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    assert course.run(chapter, tmp_path) == []
    for picture in course.pictures(chapter):
        assert (tmp_path / picture).stat().st_size > 0
        assert (COURSE / picture).exists(), f"{picture}: run docs/course/run.py"


@chapters
def test_a_chapter_ends_with_exercises_whose_answers_are_examples(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    _, heading, exercises = text.partition("\n## Exercises\n")
    assert heading
    answers = re.findall(r"<details>\s*<summary>Answer.*?</details>", exercises, re.DOTALL)
    assert len(answers) >= 2
    assert all(">>> " in answer or "\n$ minigrad" in answer for answer in answers)


@chapters
def test_the_links_of_a_chapter_lead_somewhere(chapter: Path) -> None:
    text = chapter.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (COURSE / target).exists(), target


def test_what_a_chapter_says_wrongly_is_found(tmp_path: Path) -> None:
    chapter = tmp_path / "01-wrong.md"
    chapter.write_text(
        "```python\n>>> x = 1\n>>> x + 1\n3\n```\n"
        "```console\n$ minigrad ops exp\nexp  exp   nowhere:1\n```\n"
        "```console\n$ minigrad nothing\n```\n```console\n$ rm -r x\n```\n"
        "```python\n>>> x\n1\n```\n",
        encoding="utf-8",
    )
    problems = "\n".join(course.run(chapter, tmp_path))
    assert "Expected:\n    3" in problems
    assert "01-wrong.md:7: $ minigrad ops exp" in problems
    assert "$ minigrad nothing ended with 2" in problems
    assert "only minigrad is run" in problems
    assert problems.count("Expected:") == 1


@chapters
def test_the_notebook_of_a_chapter_is_that_chapter(chapter: Path) -> None:
    written = (COURSE / "notebooks" / f"{chapter.stem}.ipynb").read_text(encoding="utf-8")
    assert written == notebooks.notebook(chapter), "run docs/course/notebooks.py"
    text = "".join("".join(x["source"]) for x in json.loads(written)["cells"])
    assert ">>>" not in text and "<details>" not in text
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (COURSE / "notebooks" / target).exists(), target


@pytest.mark.parametrize("number", ["01", "02", "06"])
def test_a_notebook_runs(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = map(pytest.importorskip, ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    (path,) = (COURSE / "notebooks").glob(f"{number}-*.ipynb")
    book = nbformat.reads(path.read_text(encoding="utf-8"), 4)
    nbformat.validate(book)
    # The commands of this environment, wherever it is.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    nbclient.NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}}).execute()
    ran = [x for x in book.cells if x.cell_type == "code" and x.outputs]
    assert len(ran) > 5


def test_a_cell_of_a_notebook_ends_with_what_is_shown() -> None:
    text = (
        "Look:\n```python\n>>> x = 1\n>>> x + 1\n2\n>>> 1 / 0\nTraceback (most recent call last):\n"
        "ZeroDivisionError: division by zero\n>>> y = 2\n```\nSo.\n"
    )
    assert [*notebooks.cells(text)] == [
        ("markdown", "Look:"),
        ("code", "x = 1\nx + 1"),
        ("raising", "1 / 0"),
        ("code", "y = 2"),
        ("markdown", "So."),
    ]
