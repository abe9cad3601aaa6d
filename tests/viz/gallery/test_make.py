"""The gallery is made by its rows' commands: each after those that it needs, and none in vain."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minigrad.files import FileError
from minitransformer.inside.by_hand import without_parameters
from minitransformer.inside.sentences import from_seed
from minitransformer.progress import heard_by
from viz.gallery.make import Workshop, make_gallery, uses
from viz.gallery.rows import ROWS, Row
from viz.pages.attend import attend
from viz.pages.gallery import Exhibit, Ran

TRAIN = "minigrad train reverse --length 3 --steps 4 --d-model 8 --d-ff 8 --layers 1 --out reverse"
ASK = "minigrad attention reverse '1 2' -o heads.png"
TRAINED = Row(
    "Reversing", "It *reverses*, by `attention`.", (TRAIN, ASK), "tests/viz/gallery/test_make.py",
    {"heads.png": "What each *head* sees. Here, \"two\"."}, r"^exact match .*", ("--steps 2",),
)  # fmt: skip
DEMANDING = replace(
    TRAINED, title="Elsewhere", commands=("minigrad ops nothing",), needs="no_such_package",
    install="`pip install no-such-package`",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("gallery")
    assert make_gallery(folder, rows=[TRAINED, DEMANDING]) == []
    return (folder / "index.html").read_text(encoding="utf-8")


def test_a_row_has_its_text_its_commands_what_they_drew_and_its_number(made: str) -> None:
    assert "It <em>reverses</em>, by <code>attention</code>." in made
    assert f"<code>{TRAIN}</code>" in made
    assert 'src="data:image/png;base64,iVBOR' in made
    assert '<figcaption>What each <em>head</em> sees. Here, "two".</figcaption>' in made
    assert "<p class='found'>exact match 0.0 % on" in made
    assert "after 4 steps" in made


def test_a_picture_that_is_not_seen_is_told_by_the_first_sentence_of_what_it_shows(
    made: str,
) -> None:
    assert '<img alt="What each head sees"' in made


def test_a_page_is_linked_to_at_its_place_and_leads_back_but_not_one_made_by_itself(
    tmp_path: Path,
) -> None:
    command = "minigrad attend 'a b' -o attend.html"
    row = replace(TRAINED, commands=(command,), shows={"attend.html#step=2": "look"})
    assert make_gallery(tmp_path, rows=[row]) == []
    assert 'href="attend.html#step=2"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    back = '<header class="bar"><a href="index.html">'
    assert back in (tmp_path / "attend.html").read_text(encoding="utf-8")
    assert back not in attend(without_parameters(from_seed(["a b"]))).html


def test_a_number_is_found_in_a_line_that_is_indented() -> None:
    row = replace(TRAINED, number=r"^word by word .*")
    ran = [Ran("minigrad attend", "1  Title\n   word by word  and so on\n", 0, 1.0)]
    assert Exhibit(row, ran, []).numbers == ["word by word and so on"]


def test_a_number_of_two_paragraphs_is_one_sentence() -> None:
    row = replace(TRAINED, number=r"^Z =.*\n\nas one.*")
    ran = [Ran("minigrad attend", "Z = A V\n\nas one they agree\n", 0, 1.0)]
    assert Exhibit(row, ran, []).numbers == ["Z = A V, as one they agree"]


def test_a_row_that_lacks_a_package_says_how_to_come_by_it_and_is_not_run(made: str) -> None:
    assert "Not run here: <code>pip install no-such-package</code>" in made
    assert "ops nothing" not in made


def test_the_page_needs_nothing_but_itself_and_fits_a_phone(
    made: str, tmp_path: Path, browser
) -> None:
    page = tmp_path / "index.html"
    page.write_text(made, encoding="utf-8")
    for dark in (False, True):
        browser.open(page, dark=dark, size=(390, 800))
        assert browser.overflow() == 0
        filtered = "getComputedStyle(document.querySelector('.pictures img')).filter"
        assert (browser.run(f"return {filtered}") != "none") == dark


def test_in_a_hurry_the_first_command_of_a_row_is_cut_short(tmp_path: Path) -> None:
    assert make_gallery(tmp_path, quick=True, rows=[TRAINED]) == []
    assert "after 2 steps" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_what_fails_is_told_and_what_needs_it_is_not_run(tmp_path: Path) -> None:
    wrong = replace(TRAINED, commands=(f"{TRAIN} --heads 3", ASK))
    failed = make_gallery(tmp_path, rows=[wrong])
    assert [x.command for x in failed] == [*wrong.commands]
    assert "--heads must divide" in failed[0].output
    assert failed[1].output.startswith("not run, for want of: minigrad train reverse")
    assert "--heads must divide" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_after_an_interruption_nothing_more_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: dict[str, Ran] = {}
    run = Workshop.run

    def watched(self: Workshop, command: str, before: Sequence[Any]) -> Ran:
        ended[command] = run(self, command, before)
        return ended[command]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Workshop, "run", watched)
    commands = (
        "minigrad ops add",
        f"{TRAIN} --steps 99999",
        "minigrad ops exp",
        "minigrad ops log",
    )
    with heard_by(interrupt), pytest.raises(KeyboardInterrupt):
        make_gallery(tmp_path, rows=[replace(TRAINED, commands=commands)])
    until = time.monotonic() + 60
    while len(ended) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert ended[commands[0]].code == 0
    assert ended[commands[1]].code < 0  # it was under way
    assert len(ended) == 2
    assert not (tmp_path / "index.html").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(FileError, match="is not empty"):
        make_gallery(tmp_path, rows=[])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_each_row_shows_what_its_commands_write_and_names_its_test(row: Row) -> None:
    for name in row.shows:
        folder = re.split("[/#]", name)[0]
        assert any(uses(f"x {folder}", command) for command in row.commands), name
    assert (Path(__file__).parents[3] / row.test).exists(), row.test


def test_what_a_study_says_is_told_once() -> None:
    row = replace(TRAINED, number=r"^Right .*")
    ran = Ran("minigrad compare copy", "Right at 20: 99\n%.\nRight at 40: 0 %.\n", 0, 1.0)
    said = ["Right at 20: 99 %.", "Nobody extrapolates."]
    assert Exhibit(row, [ran], said).numbers == ["Right at 20: 99 %."]
    assert Exhibit(row, [ran], []).numbers == ["Right at 20: 99", "Right at 40: 0 %."]
