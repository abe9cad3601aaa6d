"""Lines of a user's own file: pairs of source and target, or of sentence and label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from minitransformer.forms import Labels, Pairs
from minitransformer.settings import Group, SettingError, setting
from minitransformer.tasks.files import DataError, parse_rows, read_data
from minitransformer.tasks.task import Examples, held_out_rng, task
from minitransformer.tokens import SUBWORDS, TOKENISERS, Tokeniser, TokenKind
from minitransformer.tokens.tokeniser import OWN

MOST_HELD_OUT = 1000

Data = TypeVar("Data", bound=Examples)


@dataclass(frozen=True)
class Lines(Group):
    """A file, how to read it, and how much of it to hold out."""

    data: str = setting("", "file of your own examples: lines with one tab, or a .csv")
    columns: str = setting("", "which two columns of --data to take, such as 1,2")
    tokens: TokenKind = setting("word", "what a token is in --data")
    subwords: int = setting(
        1000, "tokens at most, where they are sub-words: bpe, wordpiece", least=300, most=200_000
    )
    held_out: float = setting(0.1, "share of --data kept for testing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.held_out < 1:
            raise SettingError(f"<held_out> is a share between 0 and 1, not {self.held_out}")
        parse_columns(self.columns)
        self.require_data()

    def require_data(self) -> None:
        """SettingError where there must be a file and none is named."""
        if not self.data:
            raise SettingError(f"task {self.name} needs <data>, a file of {self.name}")

    def rows(self, names: tuple[str, str]) -> tuple[list[tuple[str, str]], int]:
        """The rows of the file, and its checksum. DataError where it is not as it should be."""
        content, tidy = read_data(self.data), TOKENISERS[self.tokens].tidy
        rows = parse_rows(content, self.data, parse_columns(self.columns), names)
        return [(tidy(a.strip()), tidy(b.strip())) for a, b in rows], crc32(content)

    def tokeniser(self, texts: Iterable[str]) -> Tokeniser:
        """A tokeniser that knows what occurs in these texts."""
        size = self.subwords if self.tokens in SUBWORDS else None
        return TOKENISERS[self.tokens].train(texts, size, OWN)

    def encode_pairs(
        self,
        kind: type[Data],
        path: str,
        training: Sequence[tuple[str, str]],
        test: Sequence[tuple[str, str]],
        checksum: int | None = None,
    ) -> Data:
        """Data of pairs of texts. The tokenisers know those to train on."""
        source, target = (self.tokeniser(pair[side] for pair in training) for side in (0, 1))
        learned, unseen = (
            [(source.encode(a), target.encode(b)) for a, b in pairs] for pairs in (training, test)
        )
        both = [*learned, *unseen]
        longest = max(len(a) for a, _ in both), max(len(b) for _, b in both) + 1
        form = Pairs(source, target, *longest)
        return kind(Path(path).name, form, learned, unseen, [*test], checksum)


def parse_columns(text: str) -> tuple[int, int] | None:
    """The numbers of the first text's column and of the second's, from 1; None where none is named.

    >>> parse_columns("3,1")
    (3, 1)
    """
    if not text:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5}),\s*([1-9]\d{0,5})", text.strip(), re.ASCII)
    if not found:
        raise SettingError(f"<columns> names two columns, as in 1,2, not {text!r}")
    return int(found[1]), int(found[2])


@task("pairs", form="pairs", default="transformer")
@dataclass(frozen=True)
class FromFile(Lines):
    """Answer as the lines of your own file do."""

    def load(self, seed: int) -> Examples:
        """The file's pairs, some held out: see `hold_out`."""
        rows, checksum = self.rows(("source", "target"))
        split = hold_out(rows, self.held_out, seed, self.data)
        return self.encode_pairs(Examples, self.data, *split, checksum)


@task("labels", form="labels", default="classifier")
@dataclass(frozen=True)
class Labelled(Lines):
    """Label sentences as the lines of your own file do."""

    def load(self, seed: int) -> Examples:
        """The file's sentences, some held out, see `hold_out`. DataError for a lone label."""
        rows, checksum = self.rows(("sentence", "label"))
        rows = [(text, label.strip()) for text, label in rows]
        training, test = hold_out(rows, self.held_out, seed, self.data)
        labels = tuple(sorted({label for _, label in rows}))
        if len(labels) < 2:
            raise DataError(f"{self.data}: all lines have the label {labels[0]!r}; two are needed")
        tokeniser = self.tokeniser(text for text, _ in training)
        read, unread = (
            [(tokeniser.encode(text), labels.index(label)) for text, label in rows]
            for rows in (training, test)
        )
        longest = max(len(source) for source, _ in [*read, *unread])
        learned = {label for _, label in training}
        unseen = sum(label not in learned for _, label in test)
        note = (
            f"{unseen:,} of {len(test):,} held-out lines have labels that no line to train on has; "
            "give each label more lines"
        )
        return Examples(
            name=Path(self.data).name,
            form=Labels(tokeniser, labels, longest),
            training=read,
            test=unread,
            test_texts=test,
            checksum=checksum,
            notes=(note,) if unseen else (),
        )


def hold_out(
    rows: Sequence[tuple[str, str]], share: float, seed: int, path: str
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Rows to train on, and rows kept apart: a share of the different sources, chosen by `seed`.

    At least one and at most 1,000 are kept; a source of several rows is tested with its first
    answer, and none of its rows is trained on. DataError, naming the file, where there are fewer
    than two different sources.
    """
    sources = list(dict.fromkeys(source for source, _ in rows))
    if len(sources) < 2:
        raise DataError(
            f"{path}: all lines have the same source; "
            "at least two are needed, one to train on and one to hold out"
        )
    count = min(max(1, round(share * len(sources))), MOST_HELD_OUT, len(sources) - 1)
    order = held_out_rng(seed).permutation(len(sources))
    first = dict(reversed(rows))
    test = [(sources[place], first[sources[place]]) for place in order[:count]]
    kept_apart = {source for source, _ in test}
    return [row for row in rows if row[0] not in kept_apart], test
