"""What the commands print while something takes long."""

from __future__ import annotations

import pytest

from minitransformer.progress import tell
from viz.console import preparation


def prepare() -> None:
    with preparation():
        for done in range(5):
            tell("reading large.txt", done, 4)


def test_a_terminal_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    prepare()
    shown = capsys.readouterr().out
    assert "reading large.txt" in shown
    assert "100%" in shown


def test_where_there_is_no_terminal_only_what_takes_long_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("viz.console.PATIENCE", -1.0)
    prepare()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reading large.txt: 0.0 %"
    assert lines[-1] == "reading large.txt: 100 %"
