"""A user's file: what to be told of it; and of one of examples the rows, by their lines."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from io import FileIO, StringIO
from pathlib import Path
from typing import Any, ClassVar

from minitransformer.settings import Group, SettingError, setting
from minitransformer.tokens import SUBWORDS, TOKENISERS, Tokeniser, TokenKind
from minitransformer.tokens.text import TextError, decode
from minitransformer.tokens.tokeniser import OWN, SpecialNames


class DataError(ValueError):
    """A data file that cannot be used; the message names the file, the line and the fault."""


@dataclass(frozen=True)
class FileSettings(Group):
    """A user's file, what its tokens are, and how much of it to hold out."""

    defaults: ClassVar[Mapping[str, Any]] = {}

    data: str = setting(
        "", "file of your own: lines with one tab, or a .csv; for text and masked, any text"
    )
    tokens: TokenKind = setting("word", "what a token is in --data")
    subwords: int = setting(
        1000, "tokens at most, where they are sub-words: bpe, wordpiece", least=300, most=200_000
    )
    held_out: float = setting(0.1, "share of --data kept for testing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise SettingError(f"<held_out> is a share between 0 and 1, not {self.held_out}")

    def require_no_more(self, *others: str) -> None:
        """SettingError for how to read a file, where none is named; `others` are not about that."""
        for each in fields(self):
            usual = self.defaults.get(each.name, each.default)
            if self.data or each.name in others:
                continue
            if getattr(self, each.name) not in (each.default, usual):
                raise SettingError(f"<{each.name}> is about <data>: name a file, or leave it out")

    def tokeniser(
        self, texts: Iterable[str], special: SpecialNames = OWN, most: int | None = None
    ) -> Tokeniser:
        """A tokeniser that knows what occurs in these texts, or the `most` frequent words of it."""
        size = self.subwords if self.tokens in SUBWORDS else most
        return TOKENISERS[self.tokens].train(texts, size, special)


def read_data(path: str | Path) -> bytes:
    """A data file's content. DataError where it cannot be read, see `open_data`."""
    with open_data(path) as file:
        return file.readall()


def open_data(path: str | Path) -> FileIO:
    """A data file, to read. DataError where it cannot be read, now and again when a run goes on.

    So a pipe is refused, without waiting for what may never come out of it.
    """
    try:
        mode = None if str(path) == "-" else os.stat(path).st_mode
        if mode is None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise DataError(
                f"{path}: not an ordinary file, and a run must be able to read its data again; "
                "save it as a file first"
            )
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def parse_rows(
    content: bytes,
    path: str | Path,
    columns: tuple[int, int] | None = None,
    names: tuple[str, str] = ("source", "target"),
) -> list[tuple[str, str]]:
    """The two texts of each row in a file's content; `path` is what to call it, `names` them.

    A line has two columns with a tab between, or `columns` says which to take, counted from 1.
    Where the path ends in .csv, columns are separated by commas and may be quoted. UTF-8 with or
    without a byte-order mark, any line endings, and blank lines at the end are accepted. Raises
    DataError, with the line's number where there is one, for whatever else is not such a file.
    """
    try:
        text = decode(content)
    except TextError as error:
        raise DataError(f"{path}:{error.line}: {error.fault}") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty; write one {'<TAB>'.join(names)} per line")

    rows = []
    is_csv = Path(path).suffix.lower() == ".csv"
    for line, row in (csv_rows if is_csv else tab_rows)(text.rstrip("\n"), path):
        first, second = columns or (1, 2)
        if not columns and len(row) != 2:
            separated = "commas" if is_csv else "tabs"
            hint = ", or --columns 1,2 to take these two" if len(row) > 2 else ""
            if len(row) < 2:
                hint = "; the tasks text and masked take any text"
            raise DataError(
                f"{path}:{line}: {max(len(row) - 1, 0) or 'no'} {separated}; "
                f"a line needs exactly one, between {' and '.join(names)}{hint}"
            )
        if len(row) < max(first, second):
            raise DataError(f"{path}:{line}: no column {max(first, second)}; it has {len(row)}")
        texts = row[first - 1], row[second - 1]
        for name, found in zip(names, texts, strict=True):
            if not found.strip():
                raise DataError(f"{path}:{line}: the {name} is empty")
        rows.append(texts)
    return rows


def tab_rows(text: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Each line of a text by its number, split at tabs."""
    for line, content in enumerate(text.split("\n"), 1):
        yield line, content.split("\t")


def csv_rows(text: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Each row of a csv text by the number of its first line; a break in a field is a space."""
    reader = csv.reader(StringIO(text), strict=True)
    line = 1
    try:
        for row in reader:
            yield line, [re.sub(r"[\n\t]", " ", field) for field in row]
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: {error}") from error
