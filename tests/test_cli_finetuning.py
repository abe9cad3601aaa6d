"""`minigrad finetune`: what it makes, what it tells, and what it refuses in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli
from minitransformer.recipe import Recipe
from minitransformer.runs import Run

LABELLED = "the cat sat\tanimal\nthe mat sat\tthing\na dog\tanimal\na rug\tthing\n"
UNSEEN = "a cat\tanimal\nthe rug\tthing\n"
SIZES = ["--d-model", "8", "--heads", "2", "--layers", "1", "--d-ff", "12", "--context", "8"]
FILES = ["--data", "labels.tsv", "--test", "unseen.tsv"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that fills gaps, "masked", and one that writes texts, "gpt"."""
    folder = tmp_path_factory.mktemp("made")
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat and a dog sat on a rug\n" * 9)
    for task, model in (("masked", "bert"), ("text", "gpt")):
        out = folder / model
        succeed("train", task, "--data", text, *SIZES, "--steps", 3, "--out", out)
    return folder


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.tsv").write_text(LABELLED)
    Path("unseen.tsv").write_text(UNSEEN)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, list(map(str, arguments)))


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def fail(*arguments: object) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert not Path("runs").exists()
    return result.output


def test_it_makes_a_run_that_answers_and_opens_every_page(made: Path) -> None:
    said = succeed("finetune", made / "bert", *FILES, "--steps", 3, "--film")
    assert "labels.tsv (classifier): " in said and ", 2 held-out examples, up to 3 steps" in said
    assert re.search(r"accuracy .* on 2 examples never seen in training, after 3 steps", said)
    recipe = Recipe.of_run(Run.open("runs/labels"))
    assert (recipe.model.encoder, recipe.model.d_model, recipe.model.dropout) == ("bert", 8, 0.1)
    assert (recipe.training.learning_rate, recipe.training.patience) == (2e-4, 0)
    assert succeed("predict", "runs/labels", "a cat") in ("animal\n", "thing\n")
    succeed("explain", "runs/labels", "a cat", "-o", "page.html")
    succeed("attention", "runs/labels", "a cat", "-o", "page.html")
    assert "[CLS]" in Path("page.html").read_text(encoding="utf-8")
    succeed("film", "runs/labels", "-o", "page.html")
    assert "norm" in succeed("why", "runs/labels")


@pytest.mark.parametrize("options", [["--freeze"], ["--layer-decay", "0"]])
def test_with_freeze_only_the_head_learns(made: Path, options: list[str]) -> None:
    succeed("finetune", made / "bert", *FILES, "--steps", 3, "--out", "run", "--film", *options)
    before, after = (Run.open(path).load()[0] for path in (made / "bert", "run"))
    name = "reader.encoder.layers.0.feed_forward.inner.weight"
    assert before[name].tobytes() == after[name].tobytes()
    assert Recipe.of_run(Run.open("run")).training.learning_rate == 1e-2


def test_it_goes_on_without_the_run_that_it_began_with(made: Path) -> None:
    (made / "bert").rename(made / "other")
    try:
        succeed("finetune", made / "other", *FILES, "--steps", 3, "--out", "run")
    finally:
        (made / "other").rename(made / "bert")
    assert "after 5 steps" in succeed("train", "--resume", "--out", "run", "--steps", 5)


def test_a_comparison_shows_each_seed_the_mean_and_what_guesses_are_worth(made: Path) -> None:
    said = succeed("finetune", made / "bert", *FILES, "--steps", 2, "--compare", 2, "--seed", 7)
    *_, heading, tuned, frozen, scratch, guessed = said.splitlines()
    assert heading.split() == ["right", "seed", "7", "seed", "8", "mean"]
    for line, way in ((tuned, "fine-tuned"), (frozen, "frozen"), (scratch, "from scratch")):
        assert line.startswith(way)
        first, second, mean = map(float, re.findall(r"([\d.]+) %", line))
        assert mean == pytest.approx((first + second) / 2, abs=0.1)
    assert guessed == "chance: 50.0 %; always 'animal': 50.0 %"


def test_words_that_the_encoder_does_not_know_are_counted(made: Path) -> None:
    Path("labels.tsv").write_text(LABELLED.replace("dog", "zebra"))
    said = succeed("finetune", made / "bert", *FILES, "--steps", 1)
    assert re.search(r"bert knows (\d+) of \d+ source tokens; any others begin at random", said)


def test_what_it_cannot_begin_with_or_learn_from(made: Path) -> None:
    bert = made / "bert"
    assert "a gpt has no encoder for a classifier" in fail("finetune", made / "gpt", *FILES)
    assert "nowhere holds no run" in fail("finetune", "nowhere", *FILES)
    assert "task labels needs --data" in fail("finetune", bert)
    assert "--data: the path is empty" in fail("finetune", bert, "--data", "")
    assert "--freeze is --layer-decay 0" in fail(
        "finetune", bert, *FILES, "--freeze", "--layer-decay", "0.9"
    )
    assert "is between 0 and 1, not 2" in fail("finetune", bert, *FILES, "--layer-decay", "2")
    Path("unseen.tsv").write_text("a cat\tplant\n")
    assert "the label 'plant' is none of those in" in fail("finetune", bert, *FILES)
    Path("labels.tsv").write_text("a cat\tanimal\na dog\tanimal\n")
    assert "all lines have the label 'animal'" in fail("finetune", bert, "--data", "labels.tsv")
    Path("labels.tsv").write_text("a cat\na dog\n")
    assert "between sentence and label" in fail("finetune", bert, "--data", "labels.tsv")


def test_the_run_of_a_model_that_is_not_finished_is_noted(made: Path) -> None:
    summary = made / "bert" / "summary.json"
    content = summary.read_bytes()
    summary.unlink()
    try:
        said = succeed("finetune", made / "bert", *FILES, "--steps", 1)
    finally:
        summary.write_bytes(content)
    assert "note: this run is not finished" in said


def test_help_has_the_defaults_of_fine_tuning_and_no_sizes() -> None:
    said = " ".join(succeed("finetune", "--help").split())
    assert "--learning-rate FLOAT highest learning rate [default: 0.0002]" in said
    for name in ("--tokens", "--d-model", "--layers", "--from", "--length"):
        assert f"{name} " not in said
