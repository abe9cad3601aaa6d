"""The task translate: the grammar's sentences or a user's own, and how good a translation is."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitransformer.settings import SettingError
from minitransformer.tasks import grammar
from minitransformer.tasks.translation import Translate

LINES = "a b\tx y\nb\ty\nc a\tz x\n"


def test_without_a_file_its_sentences_are_the_grammars() -> None:
    data = Translate().load(seed=3)
    learned, unseen = grammar.pairs(3)
    assert (len(data.training), len(data.test)) == (len(learned), len(unseen))
    assert data.test_texts == [(x.source, x.target) for x in unseen]
    assert (data.name, data.checksum) == ("translate", None)


def test_with_a_file_they_are_the_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text(LINES, encoding="utf-8")
    data = Translate(data=str(path), tokens="char").load(seed=0)
    assert (data.name, len(data.training), len(data.test)) == ("mine.tsv", 2, 1)
    assert "\t".join(data.test_texts[0]) in LINES.splitlines()


def test_how_to_read_a_file_means_nothing_without_one() -> None:
    with pytest.raises(SettingError) as error:
        Translate(columns="1,2")
    assert str(error.value) == "columns is about data: name a file, or leave it out"


def test_bleu_is_100_of_what_is_right_and_less_of_anything_else() -> None:
    data = Translate().load(seed=0)
    right = [target for _, target in data.test_texts]
    assert data.measure(right) == {"bleu": 100.0}
    assert 0 < data.measure([*right[1:], right[0]])["bleu"] < 60
