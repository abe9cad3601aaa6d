"""`minigrad attend`: tables, a page, one line for what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from minitransformer.workflow import start

NOTES = "0.7 0.2 0.1; 0.2 0.6 0.2; 0.1 0.2 0.7"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["attend", *map(str, args)], prog_name="minigrad")


def test_two_sentences_are_shown_and_compared() -> None:
    result = run("money bank grows", "river bank flows")
    assert (result.exit_code, result.stderr) == (0, "")
    for title in ("A vector for each word", "Dot products", "Weights", "New vectors"):
        assert title in result.stdout
    assert re.search(r"bank +1\.00 +0\.\d\d\n", result.stdout)
    assert "Queries" not in result.stdout


def test_weights_that_are_given_are_reproduced() -> None:
    result = run("money bank grows", "--weights", NOTES)
    assert "money′ = 0.7 money + 0.2 bank + 0.1 grows" in result.stdout


def test_heads_follow_with_queries_keys_and_values() -> None:
    result = run("money bank grows", "--heads", 2, "--causal")
    assert result.exit_code == 0
    for title in ("Queries", "Divided by √2 = 1.414", "Mask", "Heads side by side", "Output"):
        assert title in result.stdout


def test_a_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("money <b>bank</b>", "--qkv", "-o", page)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{page}  (")
    assert "<h1>Self-attention: money &lt;b&gt;bank" in page.read_text(encoding="utf-8")


def test_a_runs_unknown_words_are_noted(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "layers": 1, "heads": 2, "d_ff": 8}
    _, made = start({"task": "translate", **sizes}, tmp_path / "run")  # not yet trained
    result = run("the bank ruminates", "--from", made.path)
    assert result.exit_code == 0, result.output
    assert "note: 'ruminates' is not in the vocabulary" in result.stderr
    assert "note: this run is not finished" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        [""],
        ["a b", "--weights", "1 0"],
        ["a b", "--weights", "1 0; 0.5 0.4"],
        ["a b", "--heads", 3],
        ["a b", "--head", 2],
        ["a b", "--from", "nowhere"],
        ["a b", "--qkv", "-o", "page.png"],
        ["word " * 41],
        [],
    ],
)
def test_what_cannot_be_is_said_in_one_line(args: list[object]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert re.fullmatch(r"Error: .+\n", result.stderr), result.output
    assert result.stdout == ""
    assert not Path("page.png").exists()
