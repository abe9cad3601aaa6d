"""Text from outside: UTF-8 with any line ends, and what is none is named by its line."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.text import TextError, decode, lines_at_hand


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_texts_of_all_systems_read_the_same(end: str, mark: bytes) -> None:
    content = mark + end.join(["Grüße", "", "🙂\u2028x", ""]).encode()
    assert decode(content) == "Grüße\n\n🙂\u2028x\n"


@given(st.text(st.characters(exclude_characters="\r\0\ufeff", exclude_categories=["Cs"])))
def test_what_is_utf_8_already_comes_back_as_it_is(text: str) -> None:
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    ("content", "line", "fault"),
    [
        (b"a\r\nb\rc\n\xff", 4, "not UTF-8; save it as UTF-8"),
        (b"\xef\xbb\xbfa\n\xe4\n", 2, "not UTF-8;"),
        ("ä".encode("cp1252"), 1, "not UTF-8;"),
        ("a\nb".encode("utf-16"), 1, "not UTF-8 but UTF-16"),
        ("a\nb".encode("utf-16-be"), 1, "a NUL character"),
        (b"a\r\nb\0", 2, "a NUL character, so this is no text"),
        (b"\xed\xa0\x80", 1, "not UTF-8;"),  # half of a surrogate pair
    ],
)
def test_what_is_no_text_is_named_by_its_line(content: bytes, line: int, fault: str) -> None:
    with pytest.raises(TextError) as error:
        decode(content)
    assert error.value.line == line
    assert error.value.fault.startswith(fault)
    assert str(error.value) == f"line {line}: {error.value.fault}"


@given(
    st.lists(st.text("ab \u2028").map(str.encode), max_size=20),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_lines_at_hand_are_the_lines_of_a_file(lines: list[bytes], end: bytes) -> None:
    stream = io.BytesIO(b"".join(line + end for line in lines))
    assert [line for some in lines_at_hand(stream) for line in some] == lines


def test_a_last_line_needs_no_newline_and_a_long_one_comes_whole() -> None:
    long = b"x" * 300_000
    found = [line for some in lines_at_hand(io.BytesIO(b"a\n" + long)) for line in some]
    assert found == [b"a", long]


def test_a_line_comes_as_soon_as_it_is_there() -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as stream, open(writer, "wb", buffering=0) as pipe:
        lines = lines_at_hand(stream)
        pipe.write(b"one\ntw")
        assert next(lines) == [b"one"]
        pipe.write(b"o\nthree\nf")
        assert next(lines) == [b"two", b"three"]
        threading.Timer(0.02, pipe.close).start()
        assert list(lines) == [[b"f"]]
