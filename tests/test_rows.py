"""The README's table of rows: each has a command, something to see, a number and a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TABLE = TEXT.partition("## Row by row")[2].partition("\n## ")[0]
ROWS = [line.strip("| \n").split(" | ") for line in TABLE.splitlines() if line.startswith("| ")][1:]
LINK = re.compile(r"\]\(([^)]+)\)")


def test_there_are_nineteen_rows() -> None:
    assert len(ROWS) == len({row[0] for row in ROWS}) == 19


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_a_command_a_picture_a_number_and_a_test(row: list[str]) -> None:
    _, command, see, measured, test = row
    names = main.list_commands(None)  # type: ignore[arg-type]  # it asks nothing of a context
    for name in re.findall(r"`minigrad (\S+?)[ `]", command):
        assert name in names
    assert LINK.findall(see) or see == "a table"
    assert measured
    assert LINK.findall(test)
    for path in LINK.findall(see + test):
        assert (ROOT / path).exists(), path
