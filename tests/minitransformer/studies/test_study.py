"""The table of studies, and the folder of what one has found."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from minigrad.files import FileError
from minitransformer.settings import Group, setting
from minitransformer.studies import STUDIES, Finding
from minitransformer.studies.results import results_folder, write_summary


@dataclass(frozen=True)
class Guess(Group):
    """A study that is in no table."""

    seeds: int = setting(3, "seeds")


@pytest.mark.parametrize("entry", STUDIES.values(), ids=STUDIES)
def test_each_study_says_what_it_finds_and_what_each_setting_means(entry: type) -> None:
    assert entry.__doc__
    assert all(each.metadata["help"] for each in fields(entry))
    assert not entry.argument or entry.argument in {each.name for each in fields(entry)}


def test_a_summary_has_the_settings_the_sentences_and_the_numbers(tmp_path: Path) -> None:
    finding = Finding("guess", [], ["Chance."], {"accuracy": [0.5, 0.25]})
    written = json.loads(write_summary(tmp_path, finding, Guess(), 1.25).read_text())
    assert written == {
        "study": "guess", "settings": {"seeds": 3}, "seconds": 1.2, "says": ["Chance."],
        "accuracy": [0.5, 0.25],
    }  # fmt: skip


def test_a_study_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for expected in ("guess", "guess-2"):
        with results_folder(None, "guess", tmp_path) as folder:
            assert folder == tmp_path / expected
            (folder / "summary.json").touch()


def test_a_folder_in_which_nothing_was_written_goes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), results_folder(tmp_path / "out", "guess"):
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_what_is_in_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    with pytest.raises(FileError, match="is not empty"), results_folder(tmp_path, "guess"):
        pass
    assert (tmp_path / "config.toml").exists()
