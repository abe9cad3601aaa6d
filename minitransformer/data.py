"""Text becomes numbers here: tokens, vocabularies, padded batches, and files of pairs."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minitransformer.tokens.text import TextError, decode

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = range(4)

TokenKind = Literal["word", "char"]
Pair = tuple[list[int], list[int]]
"""The ids of a source and of its target, without BOS, EOS or PAD."""


class DataError(ValueError):
    """A data file that cannot be used; the message names the file, the line and the fault."""


def tokenize(text: str, tokens: TokenKind) -> list[str]:
    """The words of a text, or its characters. White space at either end does not count.

    >>> tokenize("3 1  4", "word")
    ['3', '1', '4']
    >>> tokenize("May 3", "char")
    ['M', 'a', 'y', ' ', '3']
    """
    if tokens == "word":
        return text.split()
    if tokens == "char":
        return list(text.strip())
    raise ValueError(f"tokens must be 'word' or 'char', not {tokens!r}")


def detokenize(pieces: Iterable[str], tokens: TokenKind) -> str:
    """The text that `pieces` spell: words with a space between, characters with nothing."""
    return (" " if tokens == "word" else "").join(pieces)


@dataclass(frozen=True)
class Vocabulary:
    """A numbered list of distinct tokens: a token's id is its place, the special tokens come first.

    Raises ValueError when `tokens` does not begin with `SPECIAL_TOKENS` or repeats a token.

    >>> vocabulary = Vocabulary.build([["b", "a"], ["b"]])
    >>> vocabulary.tokens
    ('<pad>', '<bos>', '<eos>', '<unk>', 'b', 'a')
    >>> vocabulary.encode(["a", "b", "c"])
    [5, 4, 3]
    >>> vocabulary.decode([BOS, 5, 4, EOS, 4, PAD])
    ['a', 'b']
    """

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.tokens[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS:
            raise ValueError(f"a vocabulary must begin with {' '.join(SPECIAL_TOKENS)}")
        if not all(isinstance(token, str) for token in self.tokens):
            raise ValueError("a vocabulary must hold strings only")
        if len(set(self.tokens)) < len(self.tokens):
            token, count = Counter(self.tokens).most_common(1)[0]
            raise ValueError(f"a vocabulary must hold each token once, not {token!r} {count} times")

    @classmethod
    def build(cls, sequences: Iterable[Iterable[str]]) -> Vocabulary:
        """The vocabulary of the tokens that occur.

        The most frequent comes first and ties are in alphabetical order, so that the same
        sequences give the same ids in whatever order they come.
        """
        counts = Counter(chain.from_iterable(sequences))
        tokens = sorted(counts.keys() - SPECIAL_TOKENS, key=lambda token: (-counts[token], token))
        return cls((*SPECIAL_TOKENS, *tokens))

    @classmethod
    def from_list(cls, tokens: Iterable[str]) -> Vocabulary:
        """The vocabulary that `to_list` wrote down."""
        return cls(tuple(tokens))

    def to_list(self) -> list[str]:
        """All tokens in the order of their ids, ready for JSON."""
        return list(self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _ids(self) -> dict[str, int]:
        # No special tokens: a text that contains "<eos>" must not be able to end a sequence.
        first = len(SPECIAL_TOKENS)
        return {token: number for number, token in enumerate(self.tokens[first:], first)}

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The id of each token, UNK for those that are not in the vocabulary."""
        return [self._ids.get(token, UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens up to the first EOS, without PAD and BOS."""
        tokens = []
        for number in ids:
            if number == EOS:
                break
            if number not in (PAD, BOS):
                tokens.append(self.tokens[number])
        return tokens

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """Those of the tokens that `encode` would turn into UNK, each once."""
        return [token for token in dict.fromkeys(tokens) if token not in self._ids]


class Batch(NamedTuple):
    """Sequences side by side, int64, padded with PAD at the end only.

    The decoder reads `target_in` and must predict, at each place, the token of `target_out`:
    the same target one step later (Vaswani et al. 2017, section 3.1, "shifted right").
    """

    source: NDArray[np.int64]  # (B, S)
    target_in: NDArray[np.int64]  # (B, T), BOS then the target
    target_out: NDArray[np.int64]  # (B, T), the target then EOS


def make_batch(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Batch:
    """The batch of some (source ids, target ids); T is one more than the longest target.

    Raises ValueError when there are no pairs.

    >>> source, target_in, target_out = make_batch([([4, 5], [5, 4]), ([6], [6])])
    >>> target_in
    array([[1, 5, 4],
           [1, 6, 0]])
    >>> target_out
    array([[5, 4, 2],
           [6, 2, 0]])
    """
    if not pairs:
        raise ValueError("make_batch: there are no pairs to make a batch of")
    return Batch(
        source=_padded([[*source] for source, _ in pairs]),
        target_in=_padded([[BOS, *target] for _, target in pairs]),
        target_out=_padded([[*target, EOS] for _, target in pairs]),
    )


def pairs_of(batch: Batch) -> list[Pair]:
    """The pairs that a batch was made of.

    >>> pairs_of(make_batch([([4, 5], [5, 4]), ([6], [6])]))
    [([4, 5], [5, 4]), ([6], [6])]
    """
    return [
        (source[: source.index(PAD)] if PAD in source else source, target[: target.index(EOS)])
        for source, target in zip(batch.source.tolist(), batch.target_out.tolist(), strict=True)
    ]


def _padded(rows: list[list[int]]) -> NDArray[np.int64]:
    # Lists first and one conversion: three times as fast as an assignment to each row.
    width = max(map(len, rows))
    return np.array([row + [PAD] * (width - len(row)) for row in rows], dtype=np.int64)


def read_data(path: str | Path) -> bytes:
    """A data file's content. DataError where it cannot be read, now and again when a run goes on.

    So a pipe is refused, without waiting for what may never come out of it.
    """
    try:
        mode = None if str(path) == "-" else os.stat(path).st_mode
        if mode is None or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise DataError(
                f"{path}: not an ordinary file, and a run must be able to read its data again; "
                "save it as a file first"
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def read_pairs(
    path: str | Path, tokens: TokenKind, columns: tuple[int, int] | None = None
) -> list[tuple[list[str], list[str]]]:
    """The tokens of each source and target in a file: see `read_data` and `parse_pairs`."""
    return parse_pairs(read_data(path), path, tokens, columns)


def parse_pairs(
    content: bytes, path: str | Path, tokens: TokenKind, columns: tuple[int, int] | None = None
) -> list[tuple[list[str], list[str]]]:
    """The tokens of each source and target in a file's content; `path` is what to call it.

    A line has two columns, `source<TAB>target`, or `columns` names those to take, counted from 1.
    Where the path ends in .csv, columns are separated by commas and may be quoted. UTF-8 with or
    without a byte-order mark, any line endings, and blank lines at the end are accepted. Raises
    DataError, with the line's number where there is one, for whatever else is not such a file.
    """
    try:
        text = decode(content)
    except TextError as error:
        raise DataError(f"{path}:{error.line}: {error.fault}") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty; write one source<TAB>target per line")

    pairs = []
    is_csv = Path(path).suffix.lower() == ".csv"
    for line, row in (csv_rows if is_csv else tab_rows)(text.rstrip("\n"), path):
        first, second = columns or (1, 2)
        if not columns and len(row) != 2:
            separated = "commas" if is_csv else "tabs"
            hint = ", or --columns 1,2 to take these two" if len(row) > 2 else ""
            raise DataError(
                f"{path}:{line}: {max(len(row) - 1, 0) or 'no'} {separated}; "
                f"a line needs exactly one, between source and target{hint}"
            )
        if len(row) < max(first, second):
            raise DataError(f"{path}:{line}: no column {max(first, second)}; it has {len(row)}")
        source, target = (tokenize(row[column - 1], tokens) for column in (first, second))
        if not source or not target:
            raise DataError(f"{path}:{line}: the {'target' if source else 'source'} is empty")
        pairs.append((source, target))
    return pairs


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
