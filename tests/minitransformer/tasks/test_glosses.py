"""Glosses: the bundled part of WordNet, and how it is drawn from."""

from __future__ import annotations

import gzip
import os
import runpy
from collections import Counter
from pathlib import Path
from zlib import crc32

import pytest

from minitransformer.tasks.glosses import GLOSSES, UNSEEN, kinds, labelled, unlabelled, unseen

ROOT = Path(__file__).parents[3]
MAKER = str(ROOT / "docs" / "make_glosses.py")
CHECKSUM = 2552350688
WORDNET = Path(os.environ.get("WORDNET", "/usr/share/wordnet"), "data.noun")


def test_there_are_as_many_of_each_kind_and_none_twice() -> None:
    assert Counter(map(len, kinds().values())) == {1700: 8}
    texts = [text for own in kinds().values() for text in own]
    assert len({*texts}) == len(texts)
    assert all(text == text.strip() and 4 <= len(text.split()) <= 20 for text in texts)
    assert crc32(gzip.decompress(GLOSSES.read_bytes())) == CHECKSUM


def test_what_is_tested_is_neither_labelled_nor_read() -> None:
    tested = {text for text, _ in unseen()}
    assert len(tested) == 8 * UNSEEN
    assert not tested & {*unlabelled()}
    assert not tested & {text for text, _ in labelled(1700, seed=0)}
    assert len({*unlabelled()}) == 8 * (1700 - UNSEEN)


def test_each_label_is_drawn_as_often_and_by_the_seed() -> None:
    rows = labelled(5, seed=3)
    assert Counter(label for _, label in rows) == dict.fromkeys(kinds(), 5)
    assert rows == labelled(5, seed=3) != labelled(5, seed=4)
    assert {*rows} < {*labelled(20, seed=3)}


def test_the_licence_belongs_to_the_package_and_stands_beside_the_file() -> None:
    licence = GLOSSES.with_name("LICENSE-WORDNET")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence.read_text()
    assert "tasks/texts/LICENSE-WORDNET" in (ROOT / "pyproject.toml").read_text()
    assert "tasks/texts/LICENSE-WORDNET" in (ROOT / "README.md").read_text()


def test_the_maker_takes_the_gloss_alone_of_nouns_of_its_kinds() -> None:
    synsets = [
        "  1 This software and database",
        '00000001 05 n 01 dog 0 | a tame animal that barks; "the dog barked all night"  \n',
        "00000002 13 n 01 soup 0 | liquid food eaten with a spoon  \n",
        "00000003 04 n 01 act 0 | something that people do or cause  \n",
        "00000004 05 n 01 cat 0 | too short here  \n",
        "00000005 05 n 01 ox 0 | said of two kinds at once  \n",
        "00000006 13 n 01 ox 0 | said of two kinds at once  \n",
        "00000007 13 n 01 pâté 0 | a paste of meat, as pâté is  \n",
    ]
    assert runpy.run_path(MAKER)["lines"](synsets) == [
        "a tame animal that barks\tanimal",
        "liquid food eaten with a spoon\tfood",
    ]


@pytest.mark.skipif(not WORDNET.exists(), reason="WordNet is not installed")
def test_the_bundled_glosses_are_what_their_maker_writes() -> None:
    with WORDNET.open(encoding="latin-1") as file:
        lines = runpy.run_path(MAKER)["lines"](file)
    assert gzip.decompress(GLOSSES.read_bytes()).decode() == "".join(f"{x}\n" for x in lines)
