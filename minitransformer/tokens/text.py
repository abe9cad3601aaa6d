"""Text from outside, whether a file's or a stream's: UTF-8 whatever the locale, any line ends."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from io import BufferedIOBase


class TextError(ValueError):
    """Bytes that are no text: `line`, counted from 1, is where, and `fault` what is wrong there."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(f"line {line}: {fault}")
        self.line, self.fault = line, fault


def decode(content: bytes) -> str:
    """The text that UTF-8 spells, without its byte-order mark, each line ended by a newline.

    Raises TextError for other encodings and for NUL characters, which no text has.

    >>> decode(b"\\xef\\xbb\\xbfone\\r\\ntwo\\rthree")
    'one\\ntwo\\nthree'
    """
    return decode_part(content.removeprefix(BOM_UTF8))


def decode_part(content: bytes) -> str:
    """The same for bytes from the middle of a text, where a byte-order mark is none."""
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise TextError(1, "not UTF-8 but UTF-16; save it as UTF-8")
    try:
        text = with_newlines(content.decode())
    except UnicodeDecodeError as error:
        before = with_newlines(content[: error.start].decode())
        raise TextError(before.count("\n") + 1, "not UTF-8; save it as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TextError(line, "a NUL character, so this is no text; save it as UTF-8")
    return text


def with_newlines(text: str) -> str:
    """A text whose lines end as on Unix. Not by splitlines(), which splits at U+2028 as well."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines_at_hand(stream: BufferedIOBase) -> Iterator[list[bytes]]:
    """The lines of a stream as they arrive: each time those that can be had without waiting.

    They end as `decode` says, but where a stream has no newline at all its lines come at its end.
    """
    rest = bytearray()
    while chunk := stream.read1(1 << 16):
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield split_lines(bytes(rest + head + newline))
            rest = bytearray(tail)
        else:
            rest += chunk
    if rest:
        yield split_lines(bytes(rest))


def split_lines(content: bytes) -> list[bytes]:
    """The lines of bytes, without their ends.

    >>> split_lines(b"one\\r\\n\\ntwo\\rthree")
    [b'one', b'', b'two', b'three']
    """
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return lines if lines[-1] else lines[:-1]
