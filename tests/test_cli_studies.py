"""The commands of studies: what they print, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from minitransformer.studies import STUDIES, Finding, Reach
from minitransformer.studies.results import write_summary
from minitransformer.workflow import start


def test_a_study_prints_a_table_and_writes_down_what_it_has_found(tmp_path: Path) -> None:
    out = tmp_path / "found"
    result = CliRunner().invoke(main, ["reach", "--length", "8", "--seeds", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "orders of magnitude" in result.output
    assert f"{out / 'reach.png'}\n  {out / 'summary.json'}" in result.output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["settings"] == {"length": 8, "seeds": 1}
    assert summary["says"][0] in " ".join(result.output.split())


def test_what_was_measured_is_written_down_before_it_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(finding: Finding, folder: Path) -> list[Path]:
        raise ValueError(f"no room for {finding.study}")

    monkeypatch.setattr("viz.figure.findings.draw_finding", fail)
    out = tmp_path / "found"
    result = CliRunner().invoke(main, ["reach", "--length", "8", "--seeds", "1", "--out", str(out)])
    assert (result.exit_code, result.stderr) == (2, "Error: no room for reach\n")
    assert json.loads((out / "summary.json").read_text())["length"] == 8


def test_a_summary_says_null_for_what_is_no_finite_number(tmp_path: Path) -> None:
    finding = Finding("reach", [], [], {"loss": float("nan"), "far": [float("inf"), 1.5]})
    text = write_summary(tmp_path, finding, Reach(), 1.0).read_text()
    summary = json.loads(text, parse_constant=pytest.fail)
    assert (summary["loss"], summary["far"]) == (None, [None, 1.5])


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


def test_sense_asks_a_run_and_refuses_one_that_has_not_read_the_grammar(tmp_path: Path) -> None:
    sizes = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 8}
    for task in ("masked", "copy"):
        start({"task": task, **sizes}, tmp_path / task)
    run, out = str(tmp_path / "masked"), str(tmp_path / "found")
    result = CliRunner().invoke(main, ["sense", run, "--controls", "1", "--out", out])
    assert result.exit_code == 0, result.output
    assert "untrained, layer 1" in result.output
    assert {x.name for x in Path(out).iterdir()} == {"layers.png", "maps.png", "summary.json"}
    copy, out = str(tmp_path / "copy"), str(tmp_path / "nothing")
    result = CliRunner().invoke(main, ["sense", run, copy, "--out", out])
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {copy} has not learned the bundled grammar")
    assert result.output.count("\n") == 1
    assert not Path(out).exists()
