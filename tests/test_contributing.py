"""The examples of CONTRIBUTING: a task and a model that somebody adds, and then uses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

import cli
from minitransformer.models import MODELS
from minitransformer.tasks import TASKS

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    tables = dict(TASKS), dict(MODELS)
    for number, example in enumerate(EXAMPLES):
        module = ModuleType(f"added_{number}")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # where dataclasses look
        exec(example, module.__dict__)
    cli.setting_options.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    for table, before in zip((TASKS, MODELS), tables, strict=True):
        table.clear()
        table.update(before)
    cli.setting_options.cache_clear()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_each_example_is_short() -> None:
    assert len(EXAMPLES) == 2
    assert all(len(example.splitlines()) <= 35 for example in EXAMPLES)


def test_both_are_listed_and_their_settings_are_options() -> None:
    assert "rotate" in run("tasks")
    assert "bag-of-words" in run("models")
    assert "--places" in run("train", "--help")


def test_the_task_is_trained_gone_on_with_and_asked() -> None:
    small = [
        "--length",
        "3",
        "--vocab",
        "4",
        "--d-model",
        "8",
        "--heads",
        "2",
        "--layers",
        "1",
        "--d-ff",
        "8",
    ]
    run("train", "rotate", *small, "--steps", "4", "--film", "--out", "run")
    run("train", "--resume", "--out", "run", "--steps", "8")
    assert json.loads(Path("run/summary.json").read_text())["steps"] == 8
    run("predict", "run", "1 2 3")
    run("attention", "run", "1 2 3", "-o", "attention.html")
    run("film", "run", "-o", "film.html")
    assert TASKS["rotate"](places=2).answer([7, 8, 9]) == [9, 7, 8]


@pytest.mark.slow
def test_the_model_learns_labels_and_every_command_opens_it() -> None:
    words = [(f"{good} {noun}", "up" if good in "abc" else "down")
             for good in "abcdef" for noun in "klmnopqrst"]  # fmt: skip
    Path("lines.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in words))
    run("train", "labels", "--data", "lines.tsv", "--model", "bag-of-words",
        "--steps", "60", "--evaluate-every", "30", "--out", "run")  # fmt: skip
    assert json.loads(Path("run/summary.json").read_text())["accuracy"] == 1
    assert run("predict", "run", "a q").strip() == "up"
    for command in ("graph", "explain"):
        run(command, "run", "a q", "-o", f"{command}.{'svg' if command == 'graph' else 'html'}")
    run("why", "run")
