"""A corpus is any text file: divided in two, drawn from anywhere, never in memory as a whole."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from zlib import crc32

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minitransformer.progress import heard_by
from minitransformer.tasks import TASKS
from minitransformer.tasks import corpus as module
from minitransformer.tasks.corpus import NOVEL, Corpus
from minitransformer.tasks.files import DataError
from minitransformer.tokens.text import decode, with_newlines


@contextmanager
def corpus_of(content: bytes, share: float = 0.1) -> Iterator[Corpus]:
    """A corpus with some content, which finds texts so short as long as they ever are."""
    with TemporaryDirectory() as folder, patch.multiple(module, REACH=5, BLOCK=16):
        path = Path(folder) / "some.txt"
        path.write_bytes(content)
        yield Corpus(path, share)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "some.txt"
    path.write_bytes(content)
    return path


ALPHABETS = {
    "words": "aé \n",
    "windows": ("a", " ", "\r\n", "\r"),
    "without spaces": "aé言🙂",
    "of several bytes": "言🙂\u3000\u2028",
    "whatever there is": st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
}
CONTENTS = st.one_of(
    [
        st.lists(x if isinstance(x, st.SearchStrategy) else st.sampled_from(x), max_size=80)
        for x in ALPHABETS.values()
    ]
).map(lambda some: "".join(some).encode())
SHARES = st.sampled_from([0.001, 0.1, 0.5, 0.999])


def is_text(content: bytes) -> bool:
    """Whether there is something to train on, and something to hold out."""
    text = decode(content)
    return len(text) > 1 and bool(text.strip())


@given(CONTENTS, SHARES)
def test_what_is_held_out_follows_what_is_trained_on(content: bytes, share: float) -> None:
    assume(is_text(content))
    with corpus_of(content, share) as corpus:
        training, held_out = corpus.training, corpus.held_out
        parts = [decode(content[part.start : part.stop]) for part in (training, held_out)]
        assert training and held_out
        assert training.stop == held_out.start
        assert parts[0] + parts[1] == decode(content)
        assert corpus.held_out_characters == len(parts[1])
        assert corpus.checksum == crc32(content)


@given(CONTENTS, SHARES, st.integers(0, 400), st.integers(1, 40))
def test_a_text_is_a_stretch_of_its_part(
    content: bytes, share: float, start: int, size: int
) -> None:
    assume(is_text(content))
    with corpus_of(content, share) as corpus:
        text = corpus.text_at(start, size)
        part = corpus.training if start < corpus.training.stop else corpus.held_out
        behind = content[max(start, part.start) : part.stop].decode(errors="ignore")
        assert text in with_newlines(behind)
        least, most = size, size + module.REACH + 3  # a character has up to four bytes
        rest = max(0, part.stop - max(start, part.start))
        assert min(least, rest - module.REACH - 3) <= len(text.encode()) + text.count("\n")
        assert len(text.encode()) <= most


@given(CONTENTS, SHARES, st.integers(1, 40))
def test_the_pieces_of_a_part_are_the_part(content: bytes, share: float, size: int) -> None:
    assume(is_text(content))
    with corpus_of(content, share) as corpus:
        for part in (corpus.training, corpus.held_out):
            pieces = list(corpus.pieces(part, size))
            assert "".join(pieces) == decode(content[part.start : part.stop])
            assert all(pieces)


@given(CONTENTS, st.integers(1, 20), st.integers(1, 10))
def test_of_many_pieces_some_are_taken_from_everywhere(
    content: bytes, size: int, most: int
) -> None:
    assume(is_text(content))
    with corpus_of(content) as corpus:
        whole = decode(content[corpus.training.start : corpus.training.stop])
        pieces = list(corpus.pieces(corpus.training, size, most))
        assert 0 < len(pieces) <= most
        end = 0
        for piece in pieces:  # one after the other, none twice
            end = whole.index(piece, end) + len(piece)


def test_pieces_are_evenly_spaced() -> None:
    corpus = Corpus(NOVEL)
    novel = NOVEL.read_text(encoding="ascii")
    places = [novel.index(piece) for piece in corpus.pieces(corpus.held_out, 400, most=20)]
    distances = np.diff(places)
    assert len(places) == 20 and places[0] == corpus.held_out.start
    assert distances.max() - distances.min() < 60
    assert places[-1] + distances.mean() == pytest.approx(len(novel), abs=600)


def test_texts_begin_and_end_with_whole_words() -> None:
    corpus = Corpus(NOVEL)
    assert corpus.text_at(0, 1) == "PRIDE"
    assert corpus.text_at(1, 5) == " AND PREJUDICE"[:4] + " PREJUDICE"
    words = set(NOVEL.read_text(encoding="ascii").split())
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = corpus.draw(rng, 100)
        assert set(text.split()) <= words
        assert text[0].isspace() and not text[-1].isspace()


def test_a_word_that_goes_on_for_long_is_cut_where_a_text_should_begin_and_end() -> None:
    content = bytes(range(ord("a"), ord("z") + 1)) * 40
    with corpus_of(content) as corpus:
        assert corpus.text_at(10, 20).encode() == content[10:30]


def test_drawing_reaches_all_of_the_part_to_train_on_and_nothing_else(tmp_path: Path) -> None:
    text = " ".join(f"{number:03}" for number in range(200))
    corpus = Corpus(write(tmp_path, text.encode()))
    rng = np.random.default_rng(0)
    drawn = {word for _ in range(2000) for word in corpus.draw(rng, 8).split()}
    assert drawn == set(text[: corpus.training.stop].split())
    assert len(drawn) == 180


def test_the_parts_are_divided_between_lines_if_need_be_words(tmp_path: Path) -> None:
    for text, held_out in (
        ("one two three\n" * 25, "one two three\none two three\n"),
        ("one two three " * 20, " two three one two three "),
        ("one line\n" + "one word after the other " * 5, " the other "),
        ("x" * 9 + "é", "é"),
        ("ab", "b"),
    ):
        corpus = Corpus(write(tmp_path, text.encode()))
        assert "".join(corpus.pieces(corpus.held_out, 1000)) == held_out


def test_a_text_of_windows_reads_as_one_of_unix(tmp_path: Path) -> None:
    lines = ["\ufeffone two", "three", "", "four five six"] * 9
    corpus = Corpus(write(tmp_path, "\r\n".join(lines).encode()))
    assert corpus.text_at(0, 1000)[:20] == "one two\nthree\n\nfour "
    assert all("\r" not in corpus.text_at(start, 9) for start in range(corpus.held_out.stop))
    # What is a byte-order mark at the beginning is a character of no width elsewhere.
    assert "\ufeff" in corpus.text_at(20, 1000)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ": the file is empty; write some text into it"),
        (b"\xef\xbb\xbf\r\n \n\t", ": the file is empty"),
        (b"x", ": a single character, and some text must be held out"),
        ("é".encode(), ": a single character"),
        ("a b c\n".encode("utf-16"), ":1: not UTF-8 but UTF-16; save it as UTF-8"),
        ("a b\nc d".encode("utf-16-le"), ":1: a NUL character"),
        (b"one\r\ntwo\rthr\xffee\n", ":3: not UTF-8; save it as UTF-8"),
        (b"one two three\r\n" * 50 + b"\xe8\xa8", ":51: not UTF-8"),
        (b"\x80" * 1000, ":1: not UTF-8"),
        (b"some words\r" * 30 + b"a\0b", ":31: a NUL character, so this is no text"),
    ],
)
def test_what_is_no_text_is_named_with_its_file_and_line(content: bytes, fault: str) -> None:
    with pytest.raises(DataError) as caught, corpus_of(content):
        pass
    place = str(caught.value).partition("some.txt")[2]
    assert place.startswith(fault)


def test_what_is_no_readable_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, fault in (
        (tmp_path / "nowhere.txt", "cannot be read: No such file"),
        (tmp_path, "cannot be read: "),
        (tmp_path / "pipe", "not an ordinary file"),
    ):
        with pytest.raises(DataError) as caught:
            Corpus(path)
        assert str(caught.value).startswith(f"{path}: {fault}")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda path: os.truncate(path, 100), "became shorter while it was read"),
        (lambda path: path.write_bytes(b"\xff" * 10_000), "changed while it was read"),
    ],
)
def test_a_file_that_changes_while_it_is_used_ends_in_one_line(
    tmp_path: Path, change: Callable[[Path], None], fault: str
) -> None:
    path = write(tmp_path, b"some words and others\n" * 200)
    corpus = Corpus(path)
    change(path)
    with pytest.raises(DataError, match=fault):
        corpus.text_at(3000, 50)


@pytest.mark.parametrize("tokens", ["bpe", "char", "word"])
@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ("ab", "bpe char word"),
        ("many words in a row " * 500 + "\n" * 20_000, "char word"),
        ("\n" * 20_000 + "many words in a row " * 100, "char word"),
        ("abcdefghij" * 20_000, "word"),
        ("Just a few words here, and a few more.", ""),
        ("言葉🙂日本語" * 3000, ""),
        ("\ufeffOne.\r\nAnd another, of more words.\r\n" * 300, ""),
    ],
    ids=["tiny", "blank end", "blank start", "one word", "one window", "multibyte", "windows"],
)
def test_any_text_gives_windows_or_a_fault_before_a_run_begins(
    tmp_path: Path, tokens: str, content: str, refused: str
) -> None:
    path = write(tmp_path, content.encode())
    task = TASKS["text"](data=str(path), tokens=tokens)
    if tokens in refused.split():
        with pytest.raises(DataError, match=r"some\.txt: hardly any tokens to (train on|hold out)"):
            task.load(seed=0)
        return
    data = task.load(seed=0)
    assert data.test
    assert all(asked for _, asked in data.test + data.sample(np.random.default_rng(0), 4))


def test_a_large_file_takes_little_memory_and_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    line = "Mr. Bennet replied that he had not; und so weiter, 等等。\n".encode()
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(line * (1_000_000 // len(line)))
    told: list[tuple[str, int, int]] = []
    tracemalloc.start()
    try:
        with heard_by(lambda *progress: told.append(progress)):
            corpus = Corpus(path)
        sample = sum(map(len, corpus.pieces(corpus.training, 1 << 16, most=8)))
        corpus.text_at(40_000_000, 1000)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert memory < 12e6 < 63e6 < path.stat().st_size
    assert sample == pytest.approx(8 * (1 << 16) * len(line.decode()) / len(line), rel=0.01)
    size = path.stat().st_size
    assert told[-1] == ("reading large.txt", size, size)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(told) > 60
