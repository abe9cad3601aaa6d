"""Lines of a user's own file: pairs of source and target, or of sentence and label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from minitransformer.forms import Form, Labels, Pairs
from minitransformer.settings import SettingError, setting
from minitransformer.tasks.files import DataError, FileSettings, parse_rows, read_data
from minitransformer.tasks.task import Examples, held_out_rng, task
from minitransformer.tokens import TOKENISERS, Tokeniser

MOST_HELD_OUT = 1000

Data = TypeVar("Data", bound=Examples)

Row = tuple[str, str]
"""A text and its answer."""


@dataclass(frozen=True)
class Lines(FileSettings):
    """A file, how to read it, and how much of it to hold out."""

    columns: str = setting("", "which two columns of --data to take, such as 1,2")
    test: str = setting("", "file of examples to test on, instead of a share of --data")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test and self.held_out != Lines.held_out:
            raise SettingError("<held_out> is a share of <data>, and <test> is a file: give one")
        parse_columns(self.columns)
        self.require_data()

    def require_data(self) -> None:
        """SettingError where there must be a file and none is named."""
        if not self.data:
            raise SettingError(f"task {self.name} needs <data>, a file of {self.name}")

    def split(self, names: tuple[str, str], seed: int) -> tuple[list[Row], list[Row], int]:
        """(rows to train on, rows to test on, checksum of all), a row's texts called by `names`.

        The last are those of a file of their own, or some of the first, see `hold_out`.
        DataError where a file is not as it should be.
        """
        rows, checksum = self.rows(self.data, names)
        if not self.test:
            return (*hold_out(rows, self.held_out, seed, self.data), checksum)
        test, checksum = self.rows(self.test, names, checksum)
        return rows, test, checksum

    def rows(self, path: str, names: tuple[str, str], before: int = 0) -> tuple[list[Row], int]:
        """The rows of a file, and its checksum, together with that of what was read `before`."""
        content = read_data(path)
        rows = parse_rows(content, path, parse_columns(self.columns), names)
        texts = [self.tidy(a.strip(), b.strip()) for a, b in rows]
        for row, kept in zip(rows, texts, strict=True):
            if not all(kept):
                raise DataError(f"{path}: of {row!r} no text is left to the tokens {self.tokens}")
        return texts, crc32(content, before)

    def tidy(self, text: str, answer: str) -> Row:
        """A row without what its tokenisers do not keep."""
        tidy = TOKENISERS[self.tokens].tidy
        return tidy(text), tidy(answer)

    def encode_pairs(
        self,
        kind: type[Data],
        path: str,
        training: Sequence[Row],
        test: Sequence[Row],
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
        """The file's pairs, some held out: see `split`."""
        return self.encode_pairs(Examples, self.data, *self.split(("source", "target"), seed))


@task("labels", form="labels", default="classifier")
@dataclass(frozen=True)
class Labelled(Lines):
    """Label sentences as the lines of your own file do."""

    def load(self, seed: int, known: Form | None = None) -> Examples:
        """The file's sentences, some held out: see `split`.

        known: the form of a model whose tokens these texts have, and new ones behind them.
        DataError for a lone label, and for one that is only in the file to test on; SettingError
        where tokens are asked for of another kind than are known.
        """
        training, test, checksum = self.split(("sentence", "label"), seed)
        told = training if self.test else [*training, *test]
        labels = tuple(sorted({label for _, label in told}))
        if len(labels) < 2:
            raise DataError(f"{self.data}: all lines have the label {labels[0]!r}; two are needed")
        tokeniser = self.tokeniser_for([text for text, _ in training], known)
        learned = {label for _, label in training}
        unseen = [label for _, label in test if label not in learned]
        if self.test and unseen:
            raise DataError(
                f"{self.test}: the label {unseen[0]!r} is none of those in {self.data}: "
                f"{', '.join(labels)}"
            )
        read, unread = (
            [(tokeniser.frame(tokeniser.encode(text)), labels.index(label)) for text, label in rows]
            for rows in (training, test)
        )
        longest = max(len(source) for source, _ in [*read, *unread])
        return Examples(
            name=Path(self.data).name,
            form=Labels(tokeniser, labels, max(longest, known.max_source if known else 0)),
            training=read,
            test=unread,
            test_texts=test,
            checksum=checksum,
            notes=tuple(self.notes({text for text, _ in training}, test, len(unseen))),
        )

    def tidy(self, text: str, answer: str) -> Row:
        """A row without what its tokeniser does not keep; a label stays as it is."""
        return TOKENISERS[self.tokens].tidy(text), answer

    def tokeniser_for(self, texts: list[str], known: Form | None) -> Tokeniser:
        """The tokeniser of texts to train on: a new one, or one that is known, extended."""
        if known is None:
            return self.tokeniser(texts)
        tokeniser = known.tokenisers["source"]
        if tokeniser.kind != self.tokens:
            raise SettingError(
                f"<tokens> is {tokeniser.kind!r} in the run to begin with, not {self.tokens!r}: "
                "leave it out"
            )
        return tokeniser.extended(texts)

    def notes(self, trained_on: set[str], test: list[Row], unseen: int) -> Iterator[str]:
        """What to know of the lines to test on: that training tells some too much or too little."""
        if unseen:
            yield (
                f"{unseen:,} of {len(test):,} held-out lines have labels that no line to train on "
                "has; give each label more lines"
            )
        if again := sum(text in trained_on for text, _ in test):
            yield f"{again:,} of {len(test):,} lines of {self.test} are also in {self.data}"


def hold_out(
    rows: Sequence[Row], share: float, seed: int, path: str
) -> tuple[list[Row], list[Row]]:
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
