"""A corpus: a text file of any size, read in pieces and never held in memory as a whole."""

from __future__ import annotations

import os
import re
import weakref
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np

from minitransformer.progress import tell
from minitransformer.tasks.files import DataError, open_data
from minitransformer.tokens.text import TextError, decode_part

NOVEL = Path(__file__).parent / "texts" / "pride-and-prejudice.txt"
"""The bundled text."""

BLOCK = 1 << 20
"""How many bytes are looked at in one go, where all are."""
REACH = 256
"""How many bytes a word may go on behind the place where a text should begin or end."""

WORD_END = re.compile(rb"(?<=\S)\s")
CHARACTER = re.compile(rb"(?<!\r)\n|[^\n\x80-\xbf]")
"""The first byte of a character of UTF-8, if it is not the second one of a line end."""


class Corpus:
    """A UTF-8 text of which the last part is held out; a place in it is the number of a byte.

    path: the file, which is read once to check it, telling of progress. held_out: the share to
    hold out, between 0 and 1.

    Raises DataError, with the line's number where there is one, for a file that cannot be read or
    is no text, and where there are not two characters, one to train on and one to hold out.

    Texts begin just before the white space after a word, or where their part begins, so that GPT's
    tokens, which have the space before a word, stay whole. Where a word goes on for too long, as in
    a language that has no spaces, they begin anywhere between two characters.

    >>> corpus = Corpus(NOVEL)
    >>> corpus.training, corpus.held_out
    (range(0, 614307), range(614307, 682364))
    >>> corpus.text_at(70, 40)
    ' acknowledged, that a single man in possession'
    """

    path: Path
    training: range
    held_out: range
    """The places of the bytes to train on, and of those that are held out, after them."""
    held_out_characters: int
    checksum: int
    """The CRC-32 of the whole file."""

    def __init__(self, path: str | Path, held_out: float = 0.1) -> None:
        self.path = Path(path)
        # Not mapped into memory: a file that is cut short while it is mapped ends the process.
        self._file = open_data(path)
        weakref.finalize(self, self._file.close)
        size = os.fstat(self._file.fileno()).st_size
        mark = self._read(0, min(size, len(BOM_UTF8)))
        start = len(BOM_UTF8) if mark == BOM_UTF8 else 0
        cut = self._cut(range(start, size), held_out)
        self.training, self.held_out = range(start, cut), range(cut, size)
        self._check(mark[:start])

    def text_at(self, start: int, size: int) -> str:
        """A text of at least `size` bytes and not much more, from the first end of a word at or
        after `start`; it ends where a word or its part does. Each line ends with a newline."""
        part = self.training if start < self.training.stop else self.held_out
        begin = self._word_end(start, part)
        return self._decode(self._read(begin, self._word_end(begin + size, part)))

    def draw(self, rng: np.random.Generator, size: int) -> str:
        """A text of about `size` bytes, from anywhere in the part to train on."""
        places = max(1, len(self.training) - size + 1)
        return self.text_at(self.training.start + int(rng.integers(places)), size)

    def pieces(self, part: range, size: int, most: int | None = None) -> Iterator[str]:
        """The text of a part, in consecutive pieces of about `size` bytes; where that would be more
        than `most`, as many of them, evenly spaced."""
        return map(self._decode, self._pieces(part, size, most))

    def lines(self, part: range) -> list[str]:
        """The lines of a part that are not empty, all in memory."""
        return [line for line in "".join(self.pieces(part, BLOCK)).split("\n") if line.strip()]

    def _pieces(self, part: range, size: int, most: int | None = None) -> Iterator[bytes]:
        skip = max(0, -(-len(part) // most) - size) if most else 0
        end = part.start
        while end < part.stop:
            begin, end = end, self._word_end(end + size, part)
            yield self._read(begin, end)
            if skip:
                end = self._word_end(end + skip, part)

    def _check(self, mark: bytes) -> None:
        """Read everything once: is it text, what is its checksum, how long is the part held out?"""
        checksum, line, empty = crc32(mark), 1, True
        lengths = []
        for part in (self.training, self.held_out):
            done, length = part.start, 0
            for block in self._pieces(part, BLOCK):
                try:
                    text = decode_part(block)
                except TextError as error:
                    place = line + error.line - 1
                    raise DataError(f"{self.path}:{place}: {error.fault}") from error
                empty = empty and not text.strip()
                line += text.count("\n")
                length += len(text)
                checksum = crc32(block, checksum)
                done += len(block)
                tell(f"reading {self.path.name}", done, self.held_out.stop)
            lengths.append(length)
        if empty:
            raise DataError(f"{self.path}: the file is empty; write some text into it")
        if not all(lengths):
            raise DataError(f"{self.path}: a single character, and some text must be held out")
        self.checksum, self.held_out_characters = checksum, lengths[1]

    def _cut(self, whole: range, share: float) -> int:
        """Where the part that is held out begins: with a line, if one begins soon; or at the end of
        a word, if that is not the end of all; or between two characters."""
        near = whole.start + round((1 - share) * len(whole))
        near = max(whole.start + 1, min(near, whole.stop - 1))
        lines = self._read(near, near + min(BLOCK, (whole.stop - near) // 2))
        if b"\n" in lines:
            return near + lines.index(b"\n") + 1
        end = self._word_end(near, whole)
        if end < whole.stop:
            return end
        first = max(whole.start, near - 8)  # a character has four bytes at most
        some = self._read(first, min(near + 8, whole.stop))
        begins = {first + found.start() for found in CHARACTER.finditer(some)} - {whole.start}
        return min(begins, key=lambda place: abs(place - near), default=whole.stop)

    def _word_end(self, place: int, part: range) -> int:
        """The first end of a word in a part, at or after a place; or the end of the part."""
        if place <= part.start:
            return part.start
        block = self._read(place - 1, min(place + REACH, part.stop))
        if found := WORD_END.search(block):
            return place - 1 + found.start()
        if len(block) <= REACH:
            return part.stop
        found = CHARACTER.search(block, 1)
        return place - 1 + found.start() if found else place

    def _read(self, start: int, stop: int) -> bytes:
        """The bytes from a place to another."""
        self._file.seek(start)
        content = self._file.read(max(0, stop - start))
        if len(content) < stop - start:
            raise DataError(f"{self.path}: became shorter while it was read")
        return content

    def _decode(self, content: bytes) -> str:
        try:
            return decode_part(content)
        except TextError as error:
            raise DataError(f"{self.path}: changed while it was read") from error
