"""From settings to a run folder: beginning, going on longer, going on otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.runs import Run, RunError
from minitransformer.settings import SettingError
from minitransformer.tokens import Special
from minitransformer.training import Record, Trainer
from minitransformer.workflow import example, finish, follow, resume, start, warnings

EOS = Special().eos

TINY: dict[str, Any] = {
    "task": "copy", "length": 4, "vocab": 5, "steps": 24, "batch_size": 8, "dropout": 0.1,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 5, "evaluate_every": 8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def finished(path: str, **changes: Any) -> Trainer:
    trainer, run = start({**TINY, **changes}, Path(path))
    list(follow(trainer, run))
    run.write_summary(trainer.summary())
    return trainer


def weights(path: str) -> bytes:
    return b"".join(x.tobytes() for x in Run.open(path).load()[0].values())


def test_a_run_is_called_after_its_task_or_its_file() -> None:
    Path("my dates.tsv").write_text("a\tb\nc\td\n")
    Path(".tsv").write_text("a\tb\nc\td\n")
    small = {name: TINY[name] for name in ("steps", "batch_size", "d_model", "heads", "d_ff")}
    names = []
    files = [{"task": "pairs", "data": name} for name in ("my dates.tsv", ".tsv")]
    for chosen in (*3 * [{"task": "copy"}], *files):
        trainer, run = start({**small, **chosen})
        names.append(str(run.path))
        assert trainer.step == 0 and run.load()[2]["step"] == 0
    assert names == ["runs/copy", "runs/copy-2", "runs/copy-3", "runs/my dates", "runs/tsv"]


def test_a_finished_run_is_trained_longer_as_one_of_more_steps_would_have_been() -> None:
    finished("short", evaluate_every=12)
    run = Run.open("short")
    trainer = resume(run, {"steps": 40})
    assert (trainer.step, trainer.settings.steps) == (24, 40)
    records = list(follow(trainer, run))
    assert not run.is_finished()
    assert records[-1]["step"] == 40
    assert [record["step"] for record in run.metrics()] == [10, 12, 20, 24, 30, 36, 40]
    whole, _ = start({**TINY, "steps": 40}, Path("whole"))
    assert (
        trainer.schedule(25)
        == whole.schedule(25)
        == records[0]["learning_rate"] * (whole.schedule(25) / whole.schedule(30))
    )
    assert Run.open("short").config["steps"] == 40  # and the next resume knows


def test_a_run_that_goes_on_longer_may_be_stopped_and_ends_with_the_same_bits() -> None:
    finished("a")
    finished("b")
    run = Run.open("a")
    list(follow(resume(run, {"steps": 40, "learning_rate": 1e-3}), run))
    run = Run.open("b")
    stopped = resume(run, {"steps": 40, "learning_rate": 1e-3})
    for _ in follow(stopped, run):
        stopped.stop()
    assert stopped.step < 40
    run = Run.open("b")
    list(follow(resume(run, {}), run))
    assert weights("a") == weights("b")


def test_a_run_that_was_never_evaluated_needs_a_step_more() -> None:
    trainer, run = start({**TINY, "evaluate_every": 100}, Path("short"))
    for _ in follow(trainer, run, after_step=trainer.stop):
        pass
    with pytest.raises(SettingError, match="steps must be above 1, which this run has made"):
        resume(run, {"steps": 1})
    assert list(follow(resume(run, {"steps": 2}), run))[-1]["held_out_loss"]


class Perfect(Trainer):
    """A trainer whose evaluations are all perfect."""

    def evaluate(self) -> Record:
        return {"held_out_loss": 0.25, "exact_match": 1.0, "token_accuracy": 1.0}


def test_a_run_that_ended_early_trains_all_the_steps_it_is_given_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("minitransformer.workflow.Trainer", Perfect)
    trainer = finished("run")
    assert (trainer.step, trainer.finished_early) == (16, True)
    run = Run.open("run")
    assert resume(run, {}).finished
    assert resume(run, {"learning_rate": 1e-4}).finished  # nothing says to train any longer
    assert resume(run, {"steps": 40, "patience": 2}).finished
    longer = resume(run, {"steps": 40})
    assert longer.settings.patience == 0
    assert list(follow(longer, run))[-1]["step"] == 40


@pytest.mark.parametrize(("name", "value"), [("d_model", 16), ("seed", 1), ("task", "sort")])
def test_what_makes_the_task_and_the_model_stays(name: str, value: Any) -> None:
    finished("run")
    with pytest.raises(RunError, match=rf"{name}: \w+ in the run, {value} asked for"):
        resume(Run.open("run"), {name: value})


def test_settings_that_the_task_would_ignore_are_refused_before_there_is_a_run() -> None:
    for name, value in {"tokens": "char", "columns": "1,2", "held_out": 0.5}.items():
        with pytest.raises(SettingError, match=f"{name} is a setting of pairs.*task copy has none"):
            start({**TINY, name: value}, Path("run"))
    Path("x.tsv").write_text("a b\tb\nb\td\na\te\n")
    pairs = {"task": "pairs", "data": "x.tsv", "d_model": 8, "d_ff": 8}
    with pytest.raises(SettingError, match="length is a setting of copy, reverse and sort"):
        start({**pairs, "length": 4}, Path("run"))
    assert not Path("run").exists()
    start({**pairs, "length": 10, "vocab": 10}, Path("run"))  # as they are where nobody chooses


def test_a_task_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"name a task \(.*copy.*\), or give "):
        start({"steps": 3})


def test_a_run_that_begins_with_another_has_the_sizes_of_its_model() -> None:
    finished("old", d_model=12, norm="post")
    trainer, _ = start({"task": "sort", "length": 4, "vocab": 5, "from_run": "old"})
    assert (trainer.recipe.model.d_model, trainer.recipe.model.norm) == (12, "post")
    assert trainer.settings.steps == 2500
    assert trainer.borrowed.startswith("old knows 5 of 5 source tokens")


def test_the_example_to_show_is_a_long_one_that_is_known() -> None:
    trainer, _ = start(TINY)
    source, text = example(trainer)
    assert trainer.form.read(text) == source
    assert len(source) == max(len(x) for x, _ in trainer.data.test[:20])


def test_held_out_examples_that_cannot_be_learned_are_counted() -> None:
    Path("x.tsv").write_text("".join(f"w{i}\tv{i}\n" for i in range(30)))
    small = {"task": "pairs", "data": "x.tsv", "steps": 1, "d_model": 8, "d_ff": 8}
    trainer, _ = start(small)
    assert warnings(trainer) == [
        f"3 of 3 held-out {side} have tokens that training never sees; try --tokens char"
        for side in ("sources", "targets")
    ]
    assert warnings(start({**small, "tokens": "char"})[0]) == []


def test_a_trainer_that_lost_its_numbers_leaves_its_last_good_state() -> None:
    trainer, run = start({**TINY, "learning_rate": 1e30, "warmup": 1}, Path("run"))
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="at step 2"):
        list(follow(trainer, run))
    mended = resume(run, {"learning_rate": 2e-3})
    assert mended.step == 0
    assert list(follow(mended, run))[-1]["step"] == 24


def test_errors_are_the_held_out_examples_that_are_answered_wrong() -> None:
    Path("x.tsv").write_text("a\tX Y\nb\tX\nc d\tX\n", encoding="utf-8")
    trainer, run = start(
        {"task": "pairs", "data": "x.tsv", "held_out": 0.6, "steps": 1, "d_model": 8, "d_ff": 8}
    )
    texts = dict(trainer.data.test_texts)
    assert len(texts) == 2
    list(follow(trainer, run))
    bias = trainer.model.projection.bias.data
    bias[:] = -100
    bias[trainer.form.read_answer("X")[0]] = 0  # "X", and never an end
    bias[EOS] = -1
    trainer.model.projection.weight.data[:] = 0
    answer = " ".join(["X"] * trainer.form.shape.target)
    summary, wrong = finish(trainer, run)
    assert wrong == [(source, target, answer) for source, target in trainer.data.test_texts]
    assert summary["wrong"] == len(wrong) == 2
    assert run.summary() == summary
    lines = (run.path / "errors.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == ["source\texpected\tanswer", *("\t".join(row) for row in wrong)]
    bias[EOS] = 1
    assert finish(trainer, run)[1] == [(s, t, "") for s, t in trainer.data.test_texts]


def test_what_the_data_has_to_say_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text("a\tx\nb\ty\n", encoding="utf-8")
    chosen = {"task": "labels", "data": str(path), "d_model": 8, "layers": 1}
    found = warnings(start(chosen, tmp_path / "run")[0])
    assert [text.partition(" have ")[0] for text in found] == [
        "1 of 1 held-out lines", "1 of 1 held-out sources",
    ]  # fmt: skip


def test_a_run_from_another_of_its_task_splits_texts_as_that_one_does(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("ab\tba\ncd\tdc\n", encoding="utf-8")
    chosen = {"task": "pairs", "data": str(path), "d_model": 8, "layers": 1}
    start({**chosen, "tokens": "bpe", "subwords": 300}, tmp_path / "old")
    new = {"task": "pairs", "data": str(path), "from_run": str(tmp_path / "old")}
    task = start(new, tmp_path / "new")[0].recipe.task
    assert (task.tokens, task.subwords) == ("bpe", 300)
    other = start({**new, "task": "translate"}, tmp_path / "other")[0]
    assert other.recipe.task.tokens == "word"


def test_another_kind_of_question_is_refused_before_a_model_is_blamed(tmp_path: Path) -> None:
    (tmp_path / "lines.tsv").write_text("a\tx\nb\ty\nc\tx\nd\ty\n")
    data = {"task": "labels", "data": str(tmp_path / "lines.tsv"), "steps": 1, "d_model": 8}
    trainer, run = start({**data, "heads": 2}, tmp_path / "labels")
    list(follow(trainer, run))
    with pytest.raises(RunError, match=r"task: labels in the run, reverse asked for"):
        resume(Run.open(run.path), {"task": "reverse"})
    with pytest.raises(RunError, match=r"answers labels, .* asks for pairs: name .* labels"):
        start({**data, "task": "pairs", "from_run": str(run.path)}, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


@pytest.mark.parametrize("task", [["copy"], 3, True])
def test_a_task_that_is_no_text_is_refused_as_such_in_a_run_that_goes_on(task: Any) -> None:
    finished("run")
    with pytest.raises(SettingError, match="task must be a text"):
        resume(Run.open("run"), {"task": task})
    with pytest.raises(SettingError, match="task must be a text"):
        start({**TINY, "task": task, "from_run": "run"}, Path("other"))
    with pytest.raises(SettingError, match="from_run must be a text"):
        start({**TINY, "from_run": [task]}, Path("other"))
    assert not Path("other").exists()
