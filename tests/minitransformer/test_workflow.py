"""From settings to a run folder: beginning, going on longer, going on otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.config import SettingError
from minitransformer.data import EOS
from minitransformer.runs import Run, RunError
from minitransformer.training import Score, Trainer
from minitransformer.workflow import follow, resume, start, warnings

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
    small = {name: x for name, x in TINY.items() if name not in ("task", "length", "vocab")}
    names = []
    for chosen in (*3 * [{"task": "copy"}], {"data": "my dates.tsv"}, {"data": ".tsv"}):
        trainer, run = start({"task": "pairs", **small, **chosen})
        names.append(str(run.path))
        assert trainer.step == 0 and run.load()[2]["step"] == 0
    assert names == ["runs/copy", "runs/copy-2", "runs/copy-3", "runs/my dates", "runs/tsv"]


def test_a_finished_run_is_trained_longer_as_one_of_more_steps_would_have_been() -> None:
    finished("short", evaluate_every=12)
    run = Run.open("short")
    trainer = resume(run, {"steps": 40})
    assert (trainer.step, trainer.config.steps) == (24, 40)
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


class Perfect(Trainer):
    """A trainer whose evaluations are all perfect."""

    def evaluate(self) -> tuple[Score, Score]:
        return Score(1.0, 1.0, 0.25), Score(1.0, 1.0, 0.125)


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
    assert longer.config.patience == 0
    assert list(follow(longer, run))[-1]["step"] == 40


@pytest.mark.parametrize(("name", "value"), [("d_model", 16), ("seed", 1), ("task", "sort")])
def test_what_makes_the_task_and_the_model_stays(name: str, value: Any) -> None:
    finished("run")
    with pytest.raises(RunError, match=rf"{name}: \w+ in the run, {value} asked for"):
        resume(Run.open("run"), {name: value})


def test_settings_that_the_task_would_ignore_are_refused_or_named() -> None:
    for name, value in {"tokens": "char", "columns": "1,2", "held_out": 0.5}.items():
        with pytest.raises(SettingError, match=f"{name} is about data, and copy has none"):
            start({**TINY, name: value}, Path("run"))
    assert not Path("run").exists()
    Path("x.tsv").write_text("a b\tb\nb\td\na\te\n")
    trainer, _ = start({**TINY, "task": "pairs", "data": "x.tsv"})
    assert warnings(trainer)[0] == "--length and --vocab without effect: a file has its own"
    trainer, _ = start({**TINY, "task": "pairs", "data": "x.tsv", "length": 10, "vocab": 10})
    assert not any("effect" in line for line in warnings(trainer))


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
    texts = dict(trainer.task.test_texts)
    assert len(texts) == 2
    bias = trainer.model.projection.bias.data
    bias[:] = -100
    bias[trainer.task.target_vocabulary.encode(["X"])[0]] = 0  # "X", and never an end
    bias[EOS] = -1
    trainer.model.projection.weight.data[:] = 0
    answer = " ".join(["X"] * trainer.task.max_target)
    wrong = trainer.wrong_answers()
    assert wrong == [(source, target, answer) for source, target in trainer.task.test_texts]
    run.write_errors(wrong)
    lines = (run.path / "errors.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == ["source\texpected\tanswer", *("\t".join(row) for row in wrong)]
    bias[EOS] = 1
    assert trainer.wrong_answers() == [(s, t, "") for s, t in trainer.task.test_texts]
