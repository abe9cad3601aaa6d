"""Every model with every task that fits, as somebody sees it who looks inside."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import cli
from minigrad.nn import Module
from minitransformer import workflow
from minitransformer.answering import Predictor
from minitransformer.models import MODELS
from minitransformer.settings import Training
from minitransformer.tasks import TASKS

if TYPE_CHECKING:
    from conftest import Browser

FITTING = [(task, model) for task in TASKS for model in MODELS
           if TASKS[task].form in MODELS[model].answers]  # fmt: skip
TEXTS = {"translate": "let's go !", "masked": "1 [MASK]"}

SMALL: dict[str, Any] = {
    "steps": 2, "evaluate_every": 1, "batch_size": 2, "d_model": 4, "layers": 1, "d_ff": 4,
    "length": 3, "vocab": 4, "context": 8, "heads": 2, "kv_heads": 1,
}  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def succeed(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def small(task: str, model: str, folder: Path) -> dict[str, Any]:
    """Settings of a run that is soon over, and a file for a task that needs one."""
    data = folder / "lines.tsv"
    data.write_text("".join(f"{i} {i % 5}\t{i % 3}\n" for i in range(12)))
    given = SMALL | ({"data": str(data)} if task not in ("copy", "reverse", "sort") else {})
    if task == "translate":
        del given["data"]
    own = {each.name for group in (TASKS[task], MODELS[model], Training) for each in fields(group)}
    return {"task": task, "model": model, **{name: x for name, x in given.items() if name in own}}


def has_attention(model: Module) -> bool:
    """Whether a model says whose tokens look at whose, as one with attention does."""
    return hasattr(model, "sides")


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_its_run_answers_and_opens_every_page(task: str, model: str, tmp_path: Path) -> None:
    trainer, made = workflow.start(small(task, model, tmp_path), tmp_path / "run")
    list(workflow.follow(trainer, made, filmed=True))
    workflow.finish(trainer, made)
    out, text = made.path, TEXTS.get(task, "1 2")
    page = tmp_path / "page.html"
    assert succeed(trainer.form.command, out, text).endswith("\n")
    if has_attention(trainer.model):
        succeed("attention", out, text, "-o", page)
        succeed("attention", out, text, "-o", tmp_path / "attention.png")
        alive = tmp_path / "live.html"
        said = run("attention", out, text, "--live", "-o", alive)
        is_recurrent = model == "lstm-attention"
        assert (said.exit_code, alive.exists()) == ((2, False) if is_recurrent else (0, True))
        assert ("not made of attention alone" in said.output) == is_recurrent
    else:
        refused = run("attention", out, text, "-o", page)
        assert (refused.exit_code, page.exists()) == (2, False)
        assert "no attention to show" in refused.output
    succeed("explain", out, text, "-o", page)
    succeed("explain", out, "-o", page)
    succeed("film", out, "-o", page)
    succeed("graph", out, text, "-o", tmp_path / "graph.svg")
    assert "norm" in succeed("why", out)


@pytest.mark.parametrize("positions", ["rotary", "none"])
@pytest.mark.parametrize(
    ("task", "model"), [("copy", "transformer"), ("masked", "bert"), ("labels", "classifier")]
)
def test_a_run_without_position_vectors_goes_on_and_is_shown(
    task: str, model: str, positions: str, tmp_path: Path
) -> None:
    given = small(task, model, tmp_path) | {"positions": positions}
    out, text = tmp_path / "run", TEXTS.get(task, "1 2")
    trainer, made = workflow.start(given, out)
    list(workflow.follow(trainer, made, filmed=True))
    goes_on = workflow.resume(made, {"steps": 3})
    list(workflow.follow(goes_on, made, filmed=True))
    assert goes_on.step == 3
    succeed(goes_on.form.command, out, text)
    succeed("attention", out, text, "-o", tmp_path / "page.html")
    succeed("film", out, "-o", tmp_path / "film.html")


@pytest.mark.parametrize("model", MODELS)
def test_the_command_trains_it_and_its_pages_have_no_complaints(
    model: str, tmp_path: Path, browser: Browser
) -> None:
    task = next(task for task, fitting in FITTING if fitting == model)
    given = small(task, model, tmp_path)
    del given["task"]
    options = [x for name, value in given.items() for x in (cli.option(name), str(value))]
    out = tmp_path / "run"
    succeed("train", task, *options, "--film", "--out", out)
    assert json.loads((out / "summary.json").read_text())["model"] == model
    attentive = has_attention(Predictor(out).model)
    assert (out / "attention.png").exists() == attentive
    succeed("film", out, "-o", tmp_path / "film.html")
    text = TEXTS.get(task, "1 2")
    succeed("explain", out, text, "-o", tmp_path / "explain.html")
    if attentive:
        succeed("attention", out, text, "-o", tmp_path / "attention.html")
        run("attention", out, text, "--live", "-o", tmp_path / "live.html")
    for page in tmp_path.glob("*.html"):
        for size in ((1280, 800), (420, 800)):
            browser.open(page, size=size, dark=size[0] < 1000)
            assert browser.overflow() <= 0
            assert browser.complaints() == []
