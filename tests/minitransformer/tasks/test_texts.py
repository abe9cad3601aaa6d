"""The bundled text: all of a novel, and nothing but the novel."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from zlib import crc32

import minitransformer

NOVEL = Path(minitransformer.__file__).parent / "tasks" / "texts" / "pride-and-prejudice.txt"


def test_the_novel_is_there_from_the_first_sentence_to_the_last() -> None:
    content = NOVEL.read_bytes()
    assert crc32(content) == 337782064
    title, author, _, chapter, first, *_, last = content.decode("ascii").splitlines()
    assert (title, author, chapter) == ("PRIDE AND PREJUDICE", "By Jane Austen", "Chapter 1")
    assert first.startswith("It is a truth universally acknowledged, that a single man in ")
    assert last.endswith("into Derbyshire, had been the means of uniting them.")
    assert (len(content), len(set(content))) == (682_364, 75)


def test_a_paragraph_is_a_line_and_only_a_chapter_begins_after_an_empty_one() -> None:
    lines = NOVEL.read_text(encoding="ascii").splitlines()
    assert all(line == line.strip() and "  " not in line for line in lines)
    headings = [line for before, line in pairwise(lines) if not before]
    assert headings == [f"Chapter {number}" for number in range(1, 62)]
    assert max(map(len, lines)) == 3_603  # a printed line has some 70 characters
