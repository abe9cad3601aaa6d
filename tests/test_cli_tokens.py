"""`minigrad tokens`: how a text is split, as a table, and by colours where there are any."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli
from minitransformer.tokens import TOKENISERS

LINES = "".join(f"the cat number {n} sat, and slept\tsí {n}\n" for n in range(20))
SMALL = ["--d-model", "4", "--heads", "1", "--layers", "1", "--d-ff", "4", "--steps", "1"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    Path("lines.tsv").write_text(LINES, encoding="utf-8")


def minigrad(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def rows(output: str) -> dict[str, list[str]]:
    """What the table says of each tokeniser: how much it knows, how many tokens, and which."""
    found = [re.split(r"\s*│\s*", line)[1:-1] for line in output.splitlines() if "│" in line]
    return {name: cells for name, *cells in found if name}


def test_each_kind_of_tokeniser_splits_a_text() -> None:
    result = minigrad("tokens", "The cat sat, and sat.", "--train", "lines.tsv")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("trained on lines.tsv\n")
    assert "\x1b" not in result.output  # no colours: this is no terminal
    table = rows(result.output)
    assert list(table) == list(TOKENISERS)
    for known, count, told in table.values():
        shown = re.findall(r"(\S+)\((\d+)\)", told)
        assert len(shown) == int(count)
        assert all(int(number) < int(known.replace(",", "")) for _, number in shown)
    assert re.sub(r"\(\d+\)", "", table["word"][2]) == "the cat sat ▪, and sat <unk>"
    assert re.search(r"│ not known: \. +│", result.output)
    assert "␣cat" in table["bpe"][2]
    assert "␣" in table["char"][2]


def test_without_a_file_they_are_trained_on_the_bundled_novel() -> None:
    result = minigrad("tokens", "Mr. Darcy smiled")
    assert result.output.startswith("trained on Pride and Prejudice\n")
    table = rows(result.output)
    assert table["bpe"][0] == table["wordpiece"][0] == "1,000"
    assert re.sub(r"\(\d+\)", "", table["word"][2]) == "Mr ▪. Darcy smiled"


def test_neighbouring_tokens_have_different_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    result = minigrad("tokens", "the cat sat", "--train", "lines.tsv")
    word = next(line for line in result.output.splitlines() if "word" in line)
    backgrounds = re.findall(r"48;2;([\d;]+)m(?:the|cat|sat)\x1b", word)
    assert len(backgrounds) == 3
    assert backgrounds[0] == backgrounds[2] != backgrounds[1]


def test_a_run_has_its_own_tokenisers() -> None:
    train = minigrad("train", "--data", "lines.tsv", "--tokens", "bpe", "--subwords", "300", *SMALL,
                     "--out", "run")  # fmt: skip
    assert train.exit_code == 0, train.output
    table = rows(minigrad("tokens", "the cat", "--run", "run").output)
    assert list(table) == ["source (bpe)", "target (bpe)"]
    assert 260 < int(table["source (bpe)"][0]) <= 300
    assert re.sub(r"\(\d+\)", "", table["source (bpe)"][2]) == "the ␣cat"


def test_in_a_narrow_terminal_no_number_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = minigrad("tokens", "the cat sat", "--train", "lines.tsv").output
    monkeypatch.setenv("COLUMNS", "40")
    narrow = minigrad("tokens", "the cat sat", "--train", "lines.tsv").output
    assert max(map(len, narrow.splitlines())) <= 40 < max(map(len, wide.splitlines()))
    assert re.findall(r"\S+\(\d+\)", narrow) == re.findall(r"\S+\(\d+\)", wide)
    assert "…" not in narrow


def test_what_cannot_be_seen_is_shown_by_its_code() -> None:
    Path("odd.txt").write_text("a\tb\x1b[2Jc\u200dd é\n" * 9, encoding="utf-8")
    result = minigrad("tokens", "a\tb\x1b[2Jc\u200dd\né", "--train", "odd.txt")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert all(x in result.output for x in ("⇥", "⟨U+001B⟩", "⏎"))


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["  "], "nothing to split: the text is empty"),
        (["a", "--train", "nothing.txt"], "nothing.txt: cannot be read: No such file or directory"),
        (["a", "--run", "."], ". holds no run; name a folder that a training run has made"),
        (["a", "--run", ".", "--train", "lines.tsv"], "--run has its own tokenisers; leave out"),
        (["a", "--train", "binary"], "binary:1: not UTF-8"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], fault: str) -> None:
    Path("binary").write_bytes(b"\xff\xfe\xfd" * 9)
    result = minigrad("tokens", *arguments)
    assert result.exit_code == 2
    assert re.fullmatch(r"Error: .*\n", result.output), result.output
    assert fault in result.output


def test_a_gap_is_one_token_of_a_run_that_fills_gaps() -> None:
    Path("novel.txt").write_text(LINES, encoding="utf-8")
    train = minigrad("train", "masked", "--data", "novel.txt", "--tokens", "word", *SMALL,
                     "--out", "run")  # fmt: skip
    assert train.exit_code == 0, train.output
    output = minigrad("tokens", "the [MASK] sat", "--run", "run").output
    assert re.sub(r"\(\d+\)", "", rows(output)["source (word)"][2]) == "the [MASK] sat"
    assert "not known" not in output
