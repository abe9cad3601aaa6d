"""A user's file: its rows by their lines, and every fault with its place."""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path

import pytest

from minitransformer.tasks.files import DataError, parse_rows, read_data

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def rows_of(path: Path, columns: tuple[int, int] | None = None) -> list[tuple[str, str]]:
    return parse_rows(read_data(path), path, columns)


def write(folder: Path, content: bytes, name: str = "pairs.tsv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_line_is_a_source_a_tab_and_a_target(tmp_path: Path) -> None:
    path = write(tmp_path, "guten Tag\tgood day\nGrüße\tgreetings\n".encode())
    assert rows_of(path) == [("guten Tag", "good day"), ("Grüße", "greetings")]


@pytest.mark.parametrize(
    "content",
    [
        b"a\tb\nc\td",
        b"a\tb\nc\td\n\n\n",
        b"a\tb\r\nc\td\r\n\r\n",
        b"\xef\xbb\xbfa\tb\nc\td\n",
    ],
    ids=["no last newline", "blank lines at the end", "CRLF", "byte-order mark"],
)
def test_files_of_other_editors_read_the_same(tmp_path: Path, content: bytes) -> None:
    assert rows_of(write(tmp_path, content)) == [("a", "b"), ("c", "d")]


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a\u2028b\x85c\td\n".encode())
    assert rows_of(path) == [("a\u2028b\x85c", "d")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            b"a\tb\nc d\n",
            ":2: no tabs; a line needs exactly one, between source and target; the "
            "tasks text and masked take any text",
        ),
        (b"a\tb\n\nc\td\n", ":2: no tabs;"),
        (b"a\tb\nc\td\te\n", ":2: 2 tabs;"),
        (b"a\tb\n\tb\n", ":2: the source is empty"),
        (b"a\tb\nc\td\n  \te\n", ":3: the source is empty"),
        (b"a\t\r\n", ":1: the target is empty"),
        (b"", ": the file is empty; write one source<TAB>target per line"),
        (b"\xef\xbb\xbf\n \n", ": the file is empty"),
        (b"a\tb\nc\t\xff\n", ":2: not UTF-8; save it as UTF-8"),
        (b"\xef\xbb\xbfa\tb\nc\td\n\xe4\tb\n", ":3: not UTF-8"),
        ("a\tb\n".encode("utf-16"), ":1: not UTF-8"),
    ],
)
def test_a_fault_is_named_with_its_file_and_line(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        rows_of(path)
    assert str(caught.value).startswith(f"{path}{fault}")


def test_a_fault_is_told_in_the_words_of_the_task(tmp_path: Path) -> None:
    names = "sentence", "label"
    for content, fault in (
        (b"", "write one sentence<TAB>label per line"),
        (b"a b\n", "exactly one, between sentence and label"),
        (b"a\t\n", ":1: the label is empty"),
    ):
        with pytest.raises(DataError, match=fault):
            parse_rows(content, tmp_path, names=names)


def test_two_columns_of_several_can_be_taken_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path, b"1\ta\tb\n2\tc\td\n")
    assert rows_of(path, (3, 2)) == [("b", "a"), ("d", "c")]
    with pytest.raises(DataError, match=r":1: 2 tabs; .*or --columns 1,2 to take these two"):
        rows_of(path)
    with pytest.raises(DataError, match=r":1: no column 4; it has 3"):
        rows_of(path, (1, 4))


def test_columns_of_a_csv_are_separated_by_commas_and_may_be_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, b'"a, b",c\n"two\nlines","say ""d"""\ne,f\n', "pairs.csv")
    assert rows_of(path) == [("a, b", "c"), ("two lines", 'say "d"'), ("e", "f")]


def test_a_fault_in_a_csv_has_the_line_where_its_row_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs\.csv:3: no commas;"):
        rows_of(write(tmp_path, b'"a\nb",c\nd\n', "pairs.csv"))
    with pytest.raises(DataError, match=r"pairs\.csv:2: unexpected end of data"):
        rows_of(write(tmp_path, b'a,b\n"c,d\n', "pairs.csv"))


def test_a_path_that_is_no_readable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.tsv: cannot be read: No such file"):
        read_data(tmp_path / "nowhere.tsv")
    with pytest.raises(DataError) as caught:
        read_data(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: cannot be read: ")


def test_the_bundled_dates_are_what_their_generator_writes() -> None:
    generated = runpy.run_path(str(EXAMPLES / "make_dates.py"))["lines"]()
    assert (EXAMPLES / "dates.tsv").read_text(encoding="utf-8").splitlines() == list(generated)


def test_each_bundled_date_says_the_same_on_both_sides() -> None:
    rows = rows_of(EXAMPLES / "dates.tsv")
    assert len({source for source, _ in rows}) == len(rows) > 4000
    for source, target in rows:
        day = date.fromisoformat(target)
        words = source.replace(",", "").replace("-", " ").split()
        assert words[-1] == str(day.year)
        assert f"{day:%B}" in words or f"{day:%b}" in words
        assert next(word.rstrip("sthndr") for word in words if word[0].isdigit()) == str(day.day)
        for weekday in (word for word in words if word.endswith("day")):
            assert weekday == f"{day:%A}"
