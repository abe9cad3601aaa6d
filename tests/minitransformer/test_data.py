from __future__ import annotations

import json
import runpy
from datetime import date
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.data import (
    BOS,
    EOS,
    PAD,
    SPECIAL_TOKENS,
    UNK,
    DataError,
    Pair,
    Vocabulary,
    detokenize,
    make_batch,
    read_pairs,
    tokenize,
)

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

token_lists = st.lists(st.text(min_size=1, max_size=3), max_size=8)
id_lists = st.lists(st.integers(UNK, 20), max_size=8)
pair_lists = st.lists(st.tuples(id_lists, id_lists), min_size=1, max_size=8)


def test_the_special_tokens_have_the_first_ids() -> None:
    vocabulary = Vocabulary(SPECIAL_TOKENS)
    assert vocabulary.tokens == ("<pad>", "<bos>", "<eos>", "<unk>")
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert len(vocabulary) == 4


@given(st.lists(token_lists))
def test_known_tokens_survive_encoding_and_decoding(sequences: list[list[str]]) -> None:
    vocabulary = Vocabulary.build(sequences)
    for sequence in sequences:
        if not set(sequence) & set(SPECIAL_TOKENS):
            assert vocabulary.decode([BOS, *vocabulary.encode(sequence), EOS, PAD]) == sequence
            assert vocabulary.unknown(sequence) == []


@given(st.lists(token_lists), st.randoms())
def test_a_vocabulary_does_not_depend_on_the_order_of_what_it_is_built_from(
    sequences: list[list[str]], random: Random
) -> None:
    shuffled = random.sample(sequences, len(sequences))
    assert Vocabulary.build(shuffled) == Vocabulary.build(sequences)


@given(st.lists(token_lists))
def test_a_vocabulary_survives_json(sequences: list[list[str]]) -> None:
    vocabulary = Vocabulary.build(sequences)
    assert Vocabulary.from_list(json.loads(json.dumps(vocabulary.to_list()))) == vocabulary


def test_frequent_tokens_come_first() -> None:
    sequences = [["rare", "b", "a"], ["a", "b", "often"], ["often", "often"]]
    assert Vocabulary.build(sequences).tokens[4:] == ("often", "a", "b", "rare")


def test_unknown_tokens_become_unk_and_are_named_once_each() -> None:
    vocabulary = Vocabulary.build([["a"]])
    assert vocabulary.encode(["a", "z", "y", "z"]) == [4, UNK, UNK, UNK]
    assert vocabulary.unknown(["a", "z", "y", "z"]) == ["z", "y"]
    assert vocabulary.decode([4, UNK]) == ["a", "<unk>"]


def test_a_special_token_in_a_text_is_an_unknown_token() -> None:
    vocabulary = Vocabulary.build([["a", "<eos>", "<pad>"]])
    assert vocabulary.tokens == (*SPECIAL_TOKENS, "a")
    assert vocabulary.encode(SPECIAL_TOKENS) == [UNK] * 4
    assert vocabulary.unknown(["<eos>"]) == ["<eos>"]


def test_decoding_stops_at_eos_and_drops_pad_and_bos() -> None:
    vocabulary = Vocabulary.build([["a"]])
    assert vocabulary.decode(np.array([BOS, 4, PAD, 4, EOS, 4])) == ["a", "a"]
    assert vocabulary.decode([]) == []


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        (["a", "b"], "must begin with <pad> <bos> <eos> <unk>"),
        ([], "must begin with <pad> <bos> <eos> <unk>"),
        ([*SPECIAL_TOKENS, "a", "b", "a"], "must hold each token once, not 'a' 2 times"),
        ([*SPECIAL_TOKENS, 7], "must hold strings only"),
    ],
)
def test_a_list_that_is_no_vocabulary_is_refused(tokens: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Vocabulary.from_list(tokens)


@given(st.lists(st.text("ab", min_size=1)))
def test_words_survive_joining_and_splitting(words: list[str]) -> None:
    assert tokenize(detokenize(words, "word"), "word") == words


@given(st.text())
def test_characters_spell_the_text_without_the_white_space_around_it(text: str) -> None:
    assert detokenize(tokenize(text, "char"), "char") == text.strip()


def test_an_unknown_kind_of_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens must be 'word' or 'char', not 'byte'"):
        tokenize("a", "byte")  # type: ignore[arg-type]


@given(pair_lists)
def test_a_batch_holds_each_pair_and_pads_at_the_end_only(pairs: list[Pair]) -> None:
    batch = make_batch(pairs)
    assert batch.source.shape == (len(pairs), max(len(source) for source, _ in pairs))
    longest = max(len(target) for _, target in pairs)
    assert batch.target_in.shape == batch.target_out.shape == (len(pairs), longest + 1)
    for row, (source, target) in enumerate(pairs):
        for array, ids in (
            (batch.source, source),
            (batch.target_in, [BOS, *target]),
            (batch.target_out, [*target, EOS]),
        ):
            assert array.dtype == np.int64
            assert array[row, : len(ids)].tolist() == ids
            assert (array[row, len(ids) :] == PAD).all()


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no pairs"):
        make_batch([])


def write(folder: Path, content: bytes) -> Path:
    path = folder / "pairs.tsv"
    path.write_bytes(content)
    return path


def test_a_line_is_a_source_a_tab_and_a_target(tmp_path: Path) -> None:
    path = write(tmp_path, "guten Tag\tgood day\nGrüße\tgreetings\n".encode())
    assert read_pairs(path, "word") == [
        (["guten", "Tag"], ["good", "day"]),
        (["Grüße"], ["greetings"]),
    ]
    assert read_pairs(path, "char")[1] == (list("Grüße"), list("greetings"))


@pytest.mark.parametrize(
    "content",
    [
        b"a\tb\nc\td",
        b"a\tb\nc\td\n\n\n",
        b"a\tb\r\nc\td\r\n\r\n",
        b"\xef\xbb\xbfa\tb\nc\td\n",
        b" a \t b \nc\td\n",
    ],
    ids=["no last newline", "blank lines at the end", "CRLF", "byte-order mark", "outer spaces"],
)
@pytest.mark.parametrize("tokens", ["word", "char"])
def test_files_of_other_editors_read_the_same(tmp_path: Path, content: bytes, tokens: str) -> None:
    pairs = read_pairs(write(tmp_path, content), tokens)  # type: ignore[arg-type]
    assert pairs == [(["a"], ["b"]), (["c"], ["d"])]


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "a\u2028b\x85c\td\n".encode())
    assert read_pairs(path, "char") == [(list("a\u2028b\x85c"), ["d"])]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a\tb\nc d\n", ":2: no tabs; a line needs exactly one, between source and target"),
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
@pytest.mark.parametrize("tokens", ["word", "char"])
def test_a_fault_is_named_with_its_file_and_line(
    tmp_path: Path, content: bytes, fault: str, tokens: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_pairs(path, tokens)  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{path}{fault}")


def test_a_path_that_is_no_readable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.tsv: cannot be read: No such file"):
        read_pairs(tmp_path / "nowhere.tsv", "word")
    with pytest.raises(DataError) as caught:
        read_pairs(tmp_path, "word")
    assert str(caught.value).startswith(f"{tmp_path}: cannot be read: ")


def test_the_bundled_dates_are_what_their_generator_writes() -> None:
    generated = runpy.run_path(str(EXAMPLES / "make_dates.py"))["lines"]()
    assert (EXAMPLES / "dates.tsv").read_text(encoding="utf-8").splitlines() == list(generated)


def test_each_bundled_date_says_the_same_on_both_sides() -> None:
    pairs = read_pairs(EXAMPLES / "dates.tsv", "char")
    written = [detokenize(source, "char") for source, _ in pairs]
    assert len(set(written)) == len(pairs) > 4000
    for source, (_, target) in zip(written, pairs, strict=True):
        day = date.fromisoformat(detokenize(target, "char"))
        words = source.replace(",", "").replace("-", " ").split()
        assert words[-1] == str(day.year)
        assert f"{day:%B}" in words or f"{day:%b}" in words
        assert next(word.rstrip("sthndr") for word in words if word[0].isdigit()) == str(day.day)
        for weekday in (word for word in words if word.endswith("day")):
            assert weekday == f"{day:%A}"
