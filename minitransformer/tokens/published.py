"""The tokeniser of a published model, from the files that lie beside its weights.

tokenizer.json                      all of it, as the package `tokenizers` writes it
vocab.json, merges.txt              byte-level BPE; GPT-2's own are encoder.json and vocab.bpe
vocab.txt                           WordPiece, a token a line
tokenizer_config.json               what the special tokens are called; whether case counts
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigrad.files import StrPath, trying_to
from minitransformer.tokens.bpe import BytePairs, Split, read_merges
from minitransformer.tokens.text import decode
from minitransformer.tokens.tokeniser import (
    BERT,
    END_OF_TEXT,
    Special,
    SpecialNames,
    Tokeniser,
    TokeniserError,
)
from minitransformer.tokens.wordpiece import INSIDE, LONGEST, WordPiece

MOST = 128 << 20
"""Bytes of a file that may be one of a vocabulary: those of the largest models have some 30 MB."""

ROLES = {"cls_token": "bos", "sep_token": "eos", "bos_token": "bos", "eos_token": "eos",
         "pad_token": "pad", "mask_token": "mask"}  # fmt: skip
"""What tokenizer_config.json calls the special tokens. Of bytes none is unknown."""


def read_tokeniser(folder: StrPath) -> Tokeniser:
    """The tokeniser in a folder. TokeniserError, in one line, for files that hold none that we
    have, and FileError for what the system refuses."""
    path = Path(folder)
    if (path / "tokenizer.json").exists():
        return read_whole(path)
    for vocabulary, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        if (path / vocabulary).exists():
            return read_byte_pairs(path, vocabulary, merges)
    if (path / "vocab.txt").exists():
        return read_wordpiece(path)
    raise TokeniserError(
        f"{folder} holds no tokeniser: no tokenizer.json, vocab.json, encoder.json or vocab.txt"
    )


def read_byte_pairs(folder: Path, vocabulary: str, merges: str) -> BytePairs:
    """Byte-level BPE from a file of numbers by token, and one of merges in their order."""
    with naming(folder / vocabulary):
        tokens = in_order(require(read_json(folder / vocabulary), dict, "the file"))
    with naming(folder / merges):
        lines = read_text(folder / merges).rstrip("\n").split("\n")
        pairs = read_merges(lines[lines[0].startswith("#version") :])
    with naming(folder):
        return BytePairs(tokens, find_special(folder, tokens, END_OF_TEXT), pairs)


def read_wordpiece(folder: Path) -> WordPiece:
    """WordPiece from a file with a token a line; in lower case, if nothing says otherwise."""
    with naming(folder / "vocab.txt"):
        tokens = tuple(read_text(folder / "vocab.txt").removesuffix("\n").split("\n"))
        lower = read_config(folder).get("do_lower_case", True)
        lower = require(lower, bool, "do_lower_case")
        return WordPiece(tokens, find_special(folder, tokens, BERT), lower)


def read_whole(folder: Path) -> Tokeniser:
    """Either, from a tokenizer.json."""
    path = folder / "tokenizer.json"
    with naming(path):
        content = require(read_json(path), dict, "the file")
        model = require(content.get("model"), dict, "model")
        numbers = dict(require(model.get("vocab"), dict, "model.vocab"))
        further = []
        for added in require(content.get("added_tokens", []), list, "added_tokens"):
            name = require(require(added, dict, "an added token").get("content"), str, "content")
            numbers.setdefault(name, added.get("id"))
            further += [name] if added.get("special") else []
        tokens = in_order(numbers)
        kind = model.get("type", "BPE" if "merges" in model else None)
        if kind == "BPE":
            merges = read_merges(
                " ".join(x) if isinstance(x, list) and all(isinstance(y, str) for y in x)
                else require(x, str, "a merge")
                for x in require(model.get("merges"), list, "model.merges")
            )  # fmt: skip
            special = find_special(folder, tokens, END_OF_TEXT)
            return BytePairs(tokens, special, merges, split_of(content), tuple(further))
        if kind == "WordPiece":
            require_same(model, continuing_subword_prefix=INSIDE, max_input_chars_per_word=LONGEST)
            normaliser = require(content.get("normalizer"), dict, "normalizer")
            lower = require(normaliser.get("lowercase"), bool, "normalizer.lowercase")
            require_same(normaliser, type="BertNormalizer", clean_text=True,
                         handle_chinese_chars=True)  # fmt: skip
            if normaliser.get("strip_accents") not in (None, lower):
                raise TokeniserError("accents that are stripped unlike capital letters")
            return WordPiece(tokens, find_special(folder, tokens, BERT), lower)
        raise TokeniserError(f"a tokeniser of the kind {kind!r}, where BPE or WordPiece is needed")


def split_of(content: Mapping[str, Any]) -> Split:
    """How a tokenizer.json splits words: as GPT-2 does, or with each digit by itself."""
    if content.get("normalizer") is not None:
        raise TokeniserError("BPE that changes its text before it is read")
    first = require(content.get("pre_tokenizer"), dict, "pre_tokenizer")
    steps = first.get("pretokenizers") if first.get("type") == "Sequence" else [first]
    *digits, last = [
        require(x, dict, "a pre_tokenizer") for x in require(steps, list, "steps")
    ] or [{}]
    require_same(last, type="ByteLevel", add_prefix_space=False)
    if last.get("use_regex", True) is not True:
        raise TokeniserError("words that are split neither as GPT-2 does nor as SmolLM does")
    if not digits:
        return "gpt-2"
    require_same(digits[0], type="Digits", individual_digits=True)
    if len(digits) > 1:
        raise TokeniserError("words that are split neither as GPT-2 does nor as SmolLM does")
    return "smollm"


def find_special(folder: Path, tokens: tuple[str, ...], usual: SpecialNames) -> Special:
    """The special tokens as tokenizer_config.json calls them, or as is usual."""
    config = read_config(folder)
    names = {role: name for role, name in usual.items() if name in tokens}
    for key, role in ROLES.items():
        name = config.get(key)
        name = name.get("content") if isinstance(name, dict) else name
        if isinstance(name, str) and name in tokens:
            names[role] = name
    end = names.get("eos", names.get("bos"))
    if end is None:
        raise TokeniserError(f"there is no token {usual['eos']} or other that ends a text")
    return Special.find({"pad": end, "bos": end, "eos": end, **names}, tokens)


def in_order(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """The tokens by their numbers. TokeniserError where these are not 0, 1, 2, …"""
    tokens: dict[int, str] = {}
    for token, number in numbers.items():
        if type(number) is not int or not 0 <= number < len(numbers) or number in tokens:
            raise TokeniserError(
                f"the token {token!r} has the number {number!r}, where each from 0 to "
                f"{len(numbers) - 1} is needed once"
            )
        tokens[number] = token
    return tuple(tokens[number] for number in range(len(tokens)))


def read_config(folder: Path) -> dict[str, Any]:
    """What tokenizer_config.json says, if there is one."""
    path = folder / "tokenizer_config.json"
    found: dict[str, Any] = require(read_json(path), dict, path.name) if path.exists() else {}
    return found


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(read_text(path))


def read_text(path: Path) -> str:
    """The content of a file. TokeniserError for one that cannot be a vocabulary's."""
    with trying_to("read", path):
        if path.exists() and not path.is_file():
            raise TokeniserError("not an ordinary file")
        if path.stat().st_size > MOST:
            raise TokeniserError(f"more than {MOST >> 20} MB, which is too much for a vocabulary")
        content = path.read_bytes()
    return decode(content)


def require(value: Any, kind: type[Any], what: str) -> Any:
    """The value. TokeniserError if it is of another type."""
    if not isinstance(value, kind):
        nouns = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        raise TokeniserError(f"{what} must be {nouns[kind]}")
    return value


def require_same(found: Mapping[str, Any], **expected: Any) -> None:
    """TokeniserError for what is said to be otherwise than we have it."""
    for name, value in expected.items():
        if found.get(name) != value:
            raise TokeniserError(f"{name} is {found.get(name)!r}, where {value!r} is needed")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A block whose errors name a file, in one line."""
    try:
        yield
    except RecursionError as error:
        raise TokeniserError(f"{path} cannot be used: its lists lie too deep") from error
    except ValueError as error:
        text = str(error)
        if str(path) in text:
            raise
        raise TokeniserError(f"{path} cannot be used: {' '.join(text.split())}") from error
