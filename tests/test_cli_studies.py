"""The commands of studies: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from minitransformer.studies import STUDIES


def test_a_study_prints_a_table_and_writes_down_what_it_has_found(tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = CliRunner().invoke(main, ["reach", "--length", "8", "--seeds", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "orders of magnitude" in result.output
    assert f"{out / 'reach.png'}\n  {out / 'summary.json'}" in result.output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["settings"] == {"length": 8, "seeds": 1}
    assert summary["says"][0] in " ".join(result.output.split())


@pytest.mark.parametrize("name", STUDIES)
def test_each_study_has_a_command_with_its_settings(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert name in CliRunner().invoke(main, ["--help"]).output
    assert "--out" in result.output


def test_a_setting_that_makes_no_sense_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["reach", "--length", "1", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert result.output == "Error: --length must be at least 4, not 1\n"
    assert not (tmp_path / "x").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    result = CliRunner().invoke(main, ["reach", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.output
    assert (tmp_path / "summary.json").read_text() == "{}"
