"""The command: what it writes and says, that a run survives anything, and one line per error."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from cli import main
from minitransformer.runs import Run, read_toml
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer

ROOT = Path(__file__).parent.parent
MINIGRAD = [sys.executable, "-m", "cli"]

SIZES = [
    "--d-model", "8", "--heads", "2", "--layers", "1", "--d-ff", "16", "--batch-size", "8",
    "--warmup", "5",
]  # fmt: skip
TINY = ["--length", "4", "--vocab", "5", *SIZES]
STEPS = ["--steps", "24", "--evaluate-every", "8"]
SHORT = [*TINY, *STEPS]

PAIRS = "one two\tII I\ntwo\tII\nthree one\tI III\none\tI\nthree two\tII III\n"


class Said(NamedTuple):
    """How the command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


def blank(*args: Any, title: str, **_: Any) -> None:
    """A picture of nothing: what is drawn is the subject of other tests, and takes its time."""
    args[-1].write_text(title, encoding="utf-8")


def minigrad(*args: object, stdin: str = "") -> Said:
    """Run the command here, in this process; a run's pictures stay blank."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        if args[0] == "train":
            patch.setattr("viz.figure.plots.draw_curve", blank)
            patch.setattr("viz.figure.maps.draw_attention", blank)
        return run_here(*args)


def run_here(*args: object) -> Said:
    """Run the command here, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(arg) for arg in args], prog_name="minigrad")
    assert isinstance(end.value.code, int)
    return Said(end.value.code, out.getvalue(), err.getvalue())


def succeeds(*args: object, stdin: str = "") -> str:
    """What the command says when all goes well."""
    said = minigrad(*args, stdin=stdin)
    assert (said.code, said.err) == (0, "")
    return said.out


def fails(*args: object, stdin: str = "") -> str:
    """The one line that the command says when it cannot do what was asked."""
    said = minigrad(*args, stdin=stdin)
    assert said.code == 2, said
    assert re.fullmatch(r"Error: .+\n", said.err), said.err
    return said.err


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def metrics(path: Path) -> list[dict[str, Any]]:
    """The metrics of a run, without what depends on the clock."""
    times = ("seconds", "tokens_per_second")
    records = Run.open(path).metrics()
    return [{key: x for key, x in record.items() if key not in times} for record in records]


def assert_same_bits(path: Path, expected: Path) -> None:
    """Two runs ended alike: weights, optimizer, random state, metrics."""
    assert metrics(path) == metrics(expected)
    (*arrays, rest), (*other_arrays, other_rest) = Run.open(path).load(), Run.open(expected).load()
    for ours, theirs in zip(arrays, other_arrays, strict=True):
        assert {name: x.tobytes() for name, x in ours.items()} == {
            name: x.tobytes() for name, x in theirs.items()
        }
    assert {**rest, "seconds": 0} == {**other_rest, "seconds": 0}
    summaries = [Run.open(each).summary() for each in (path, expected)]
    for key in ("steps", "loss", "exact_match", "token_accuracy"):
        assert summaries[0][key] == summaries[1][key]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test in a folder of its own, whatever colours the caller may have asked for."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    handler = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) == handler


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run to its end, which no test may change."""
    path = tmp_path_factory.mktemp("runs") / "reverse"
    assert run_here("train", "reverse", *SHORT, "--out", path).code == 0
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS)
    return path


def test_training_leaves_a_run_folder(finished: Path) -> None:
    assert file_names(finished) == {
        "config.toml", "metrics.jsonl", "summary.json", "model.safetensors",
        "curve.png", "attention.png", "errors.tsv",
    }  # fmt: skip
    for picture in ("curve.png", "attention.png"):
        assert (finished / picture).read_bytes().startswith(b"\x89PNG")
    config = read_toml(finished / "config.toml")
    assert config["task"] == "reverse"
    assert (config["d_model"], config["seed"], config["clip"]) == (8, 0, 1.0)
    summary = json.loads((finished / "summary.json").read_text())
    assert {
        "task", "seed", "steps", "seconds", "tokens_per_second", "parameters", "loss",
        "exact_match", "token_accuracy",
    } <= set(summary)  # fmt: skip
    assert (summary["task"], summary["seed"], summary["steps"]) == ("reverse", 0, 24)
    assert [record["step"] for record in metrics(finished)] == [8, 10, 16, 20, 24]


@pytest.mark.parametrize("task", ["copy", "reverse", "sort"])
def test_a_run_goes_to_a_folder_named_after_its_task(task: str, tmp_path: Path) -> None:
    for name in (task, f"{task}-2", f"{task}-3"):
        said = succeeds("train", task, *TINY, "--steps", "1")
        assert f"runs/{name}/summary.json" in said
        assert Run.open(tmp_path / "runs" / name).summary()["task"] == task


def test_each_evaluation_is_a_plain_line_where_there_is_no_terminal() -> None:
    first, *lines = succeeds("train", "copy", *SHORT).splitlines()
    assert re.fullmatch(
        r"copy \(transformer\): [\d,]+ parameters, \d+ held-out .*, up to 24 steps → .*", first
    )
    pattern = (
        r"step +(\d+)  loss \d\.\d{4}  held-out \d\.\d{4}  exact match +[\d.]+ %"
        r"  training +[\d.]+ %  \d+ s left"
    )
    assert [re.fullmatch(pattern, line)[1] for line in lines[:3]] == ["8", "16", "24"]  # type: ignore[index]
    assert re.match(r"exact match [\d.]+ % on \d+ examples never seen in training", lines[3])
    assert lines[-1].startswith("ask it: minigrad predict runs/copy '")


def test_a_terminal_gets_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    coloured = succeeds("train", "copy", *SHORT)
    assert "━" in coloured
    assert "\x1b[38;5;" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = succeeds("train", "copy", *SHORT)
    assert "━" in plain
    assert "\x1b[38;5;" not in plain


def test_what_training_says_about_a_model_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "[bold]it's :bug: a $HOME"
    command = succeeds("train", "copy", *TINY, "--steps", "1", "--out", path).splitlines()[-1]
    printed = subprocess.run(
        ["sh", "-c", command.replace("ask it: minigrad predict", r"printf '%s\n'")],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert printed[0] == str(path)
    assert len(printed[1].split()) == 4


def test_a_terminal_that_cannot_show_an_arrow_gets_something_else() -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    out = Terminal(io.BytesIO(), encoding="ascii")
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(["train", "copy", *TINY, "--steps", "1"])
    assert end.value.code == 0
    out.seek(0)
    assert r"steps \u2192 runs/copy" in out.read()


def test_pairs_of_a_file_are_learned(pairs: Path) -> None:
    said = succeeds(
        "train", "--data", "pairs.tsv", *SIZES, *STEPS, "--held-out", "0.4", "--out", "run"
    )
    assert said.startswith("pairs.tsv (transformer): ")
    config = read_toml("run/config.toml")
    assert (config["task"], config["data"], config["tokens"]) == ("pairs", str(pairs), "word")
    assert Run.open("run").summary()["held_out"] == 2


def test_pairs_may_be_of_characters_that_only_the_held_out_ones_have() -> None:
    Path("pairs.tsv").write_text("été\tsummer\nhiver\twinter\n", encoding="utf-8")
    args = ["--data", "pairs.tsv", "--tokens", "char", *SIZES, "--steps", "1"]
    for seed in (0, 1):  # one of them holds out each line
        said = succeeds("train", *args, "--seed", seed, "--out", f"run{seed}")
        assert any(f"\n  {word}  →  " in said for word in ("été", "hiver"))
        assert (Path(f"run{seed}") / "attention.png").exists()


def test_the_example_shown_has_no_unknown_token_where_there_is_another_one() -> None:
    known = ["a", "b", "a b", "b a", "a a", "b b", "a b a", "b a b"]
    unknown = [f"{i} {i} {i} {i}" for i in range(8)]
    Path("pairs.tsv").write_text("".join(f"{source}\tx\n" for source in [*known, *unknown]))
    for seed in range(3):
        args = ["--held-out", "0.5", "--seed", seed, "--out", f"run{seed}"]
        said = succeeds("train", "--data", "pairs.tsv", *SIZES, "--steps", "1", *args)
        example = next(line for line in said.splitlines() if line.startswith("  "))
        assert example.partition("→")[0].strip() in known


def test_settings_may_come_from_a_file_and_the_command_line_wins(pairs: Path) -> None:
    Path("settings.toml").write_text('task = "sort"\nd_model = 8\nlayers = 1\nsteps = 1\n')
    succeeds("train", "--config", "settings.toml", "--layers", "2", "--out", "a")
    config = read_toml("a/config.toml")
    assert (config["task"], config["d_model"], config["layers"]) == ("sort", 8, 2)
    succeeds("train", "copy", "--config", "settings.toml", "--out", "b")
    assert read_toml("b/config.toml")["task"] == "copy"
    succeeds("train", "--data", pairs, "--config", "settings.toml", "--out", "c")
    assert read_toml("c/config.toml")["task"] == "pairs"
    Path("settings.toml").write_text('data = "pairs.tsv"\nd_model = 8\nlayers = 1\nsteps = 1\n')
    succeeds("train", "--config", "settings.toml", "--out", "d")
    assert read_toml("d/config.toml")["data"] == str(pairs)
    succeeds("train", "copy", "--config", "settings.toml", "--out", "e")
    assert "data" not in read_toml("e/config.toml")


def test_the_settings_of_a_run_make_the_same_run_again(finished: Path, tmp_path: Path) -> None:
    succeeds("train", "--config", finished / "config.toml", "--out", "again")
    assert_same_bits(tmp_path / "again", finished)


@pytest.fixture(params=["copy", "pairs"])
def run_args(request: pytest.FixtureRequest, pairs: Path) -> list[str]:
    """The arguments of a run with dropout, on a task or on a file."""
    task = ["--data", str(pairs), *SIZES] if request.param == "pairs" else [request.param, *TINY]
    return ["train", *task, *STEPS, "--dropout", "0.2"]


@pytest.mark.parametrize("moment", [1, 2, 4, 5])
def test_ctrl_c_stops_after_the_step_and_the_run_goes_on_to_the_bit(
    run_args: list[str], moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeds(*run_args, "--out", "whole")
    train_step = Trainer.train_step

    def interrupted_step(self: Trainer, batch: Any) -> float:
        if self.step == 5 * moment - 2:
            signal.raise_signal(signal.SIGINT)
        return train_step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupted_step)
        said = minigrad(*run_args, "--out", "stopped")
    assert said.code == 130
    step = 5 * moment - 1
    assert said.out.splitlines()[-1] == (
        f"stopped at step {step}; go on with: minigrad train --resume --out stopped"
    )
    assert Run.open("stopped").load()[2]["step"] == step
    assert not Path("stopped/summary.json").exists()
    succeeds("train", "--resume", "--out", "stopped")
    assert_same_bits(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize("method", ["save", "append_metrics", "write_summary"])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_dies_while_writing_goes_on_to_the_bit(
    run_args: list[str], method: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeds(*run_args, "--out", "whole")
    write = getattr(Run, method)

    class Death(BaseException):
        """What no `except` may catch."""

    def deadly_write(self: Run, *args: Any) -> None:
        if after:
            write(self, *args)
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(Run, method, deadly_write)
        with pytest.raises(Death):
            minigrad(*run_args, "--out", "died")
    succeeds("train", "--resume", "--out", "died")
    assert_same_bits(tmp_path / "died", tmp_path / "whole")
    assert file_names(tmp_path / "died") == file_names(tmp_path / "whole")


def started(*args: object) -> subprocess.Popen[str]:
    """The command under way in a process of its own, at its first evaluation."""
    process = subprocess.Popen(
        [*MINIGRAD, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step"):
            return process
    raise AssertionError(process.communicate())


LONG = ["train", "copy", *TINY, "--steps", "600", "--evaluate-every", "20", "--dropout", "0.2"]


def test_a_process_killed_at_any_moment_goes_on_to_the_bit(tmp_path: Path) -> None:
    succeeds(*LONG, "--out", "whole")
    random = np.random.default_rng(0)
    args = [*LONG, "--out", "killed"]
    for _ in range(3):
        with started(*args) as process:
            time.sleep(random.uniform(0, 0.1))
            process.kill()
        args = ["train", "--resume", "--out", "killed"]
    assert Run.open("killed").load()[2]["step"] < 600
    succeeds(*args)
    assert_same_bits(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.skipif(os.name != "posix", reason="Windows knows no SIGINT to one process")
def test_an_interrupted_process_says_how_to_go_on(tmp_path: Path) -> None:
    with started(*LONG, "--out", "stopped") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert re.search(r"go on with: minigrad train --resume --out stopped\n$", out)


def test_ctrl_c_while_the_pictures_are_drawn_lets_them_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = Trainer.summary

    def interrupted(self: Trainer) -> Any:
        signal.raise_signal(signal.SIGINT)
        return summary(self)

    monkeypatch.setattr(Trainer, "summary", interrupted)
    succeeds("train", "copy", *TINY, "--steps", "1", "--out", "run")
    assert {"summary.json", "attention.png"} <= file_names(tmp_path / "run")


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {x.name: (x.read_bytes(), x.stat().st_mtime_ns) for x in folder.iterdir()}


def test_resuming_a_finished_run_says_so_and_changes_nothing(finished: Path) -> None:
    before = contents(finished)
    said = succeeds("train", "--resume", "--out", finished)
    assert said == (
        f"{finished} is finished, at step 24: nothing is left to do; "
        "to train it longer, add --steps\n"
    )
    assert contents(finished) == before


def test_resuming_with_other_settings_names_them_and_changes_nothing(finished: Path) -> None:
    before = contents(finished)
    said = fails("train", "copy", "--resume", "--out", finished, "--d-model", "16", "--vocab", "5")
    assert f"{finished} was made with other settings (" in said
    assert "task: reverse in the run, copy asked for; d_model: 8 in the run, 16 asked for" in said
    assert "vocab" not in said
    assert contents(finished) == before


def test_resuming_needs_to_know_which_run(tmp_path: Path) -> None:
    assert "--resume needs --out" in fails("train", "copy", "--resume")
    assert f"{tmp_path} holds no run" in fails("train", "--resume", "--out", tmp_path)


def test_resuming_notices_that_the_data_has_changed(pairs: Path) -> None:
    succeeds("train", "--data", pairs, *SIZES, "--steps", "1", "--out", "run")
    Path("run/summary.json").unlink()  # so that it is not finished
    pairs.write_text(PAIRS + "four\tIV\n")
    assert "pairs.tsv has changed" in fails("train", "--resume", "--out", "run")
    pairs.unlink()
    assert "pairs.tsv: cannot be read: No such" in fails("train", "--resume", "--out", "run")


def test_a_new_run_does_not_take_the_place_of_an_old_one(finished: Path) -> None:
    before = contents(finished)
    said = fails("train", "reverse", *TINY, "--out", finished)
    assert f"{finished} already holds a run: go on with it by `minigrad train --resume`" in said
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], f"name a task ({', '.join(TASKS)}), or give --data FILE"),
        (
            ["shuffle"],
            "unknown task 'shuffle'; the tasks are copy, reverse, sort, pairs, labels, translate",
        ),
        (["copy", "--heads", "5"], "--heads must divide --d-model 64, not 5; divisors are 1, 2, 4"),
        (
            ["copy", "--d-model", "63", "--heads", "3"],
            "sinusoidal --positions need an even --d-model, not 63",
        ),
        (["copy", "--length", "1"], "Error: --length must be at least 2, not 1"),
        (["copy", "--vocab", "-5"], "--vocab must be at least 2, not -5"),
        (["copy", "--steps", "0"], "Error: --steps must be at least 1, not 0"),
        (["copy", "--learning-rate", "-1"], "--learning-rate must be a number above 0, not -1.0"),
        (["copy", "--dropout", "1.5"], "--dropout is a share, at least 0 and below 1, not 1.5"),
        (["copy", "--seed", "-1"], "seed must be at least 0, not -1"),
        (["copy", "--d-model", str(10**9)], "--d-model must be at most 20000"),
        (["copy", "--vocab", str(10**30)], "vocab must be at most 1000000"),
        (
            ["copy", "--data", "x.tsv"],
            "--data is a setting of pairs, labels, translate, text and masked; task copy has none",
        ),
        (["--data", "missing.tsv"], "missing.tsv: cannot be read: No such file"),
        (["copy", "--config", "missing.toml"], "cannot read missing.toml: No such file"),
        (["copy", "--out", "file"], "cannot make the run folder file: File exists"),
        (["copy", "--out", "file/run"], "cannot make the run folder file/run: Not a directory"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    args: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert message in fails("train", *args)
    assert file_names(tmp_path) == {"file"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\nc d\n", "data.tsv:2: no tabs; a line needs exactly one"),
        (b"a\tb\n\tc\n", "data.tsv:2: the source is empty"),
        (b"a\tb\n\xff\tc\n", "data.tsv:2: not UTF-8"),
        (b"", "data.tsv: the file is empty"),
        (b"a\tb\na\tc\n", "data.tsv: all lines have the same source"),
    ],
)
def test_a_malformed_data_file_is_named_with_its_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    Path("data.tsv").write_bytes(content)
    assert message in fails("train", "--data", "data.tsv")
    assert file_names(tmp_path) == {"data.tsv"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("widht = 3", "settings.toml: no setting 'widht'; there are task, model, length"),
        ("steps = 1.5", "settings.toml: steps must be a whole number, not 1.5"),
        ("steps = true", "settings.toml: steps must be a whole number, not True"),
        ("dropout = '0.1'", "settings.toml: dropout must be a number, not '0.1'"),
        ("data = 3", "settings.toml: data must be a text, not 3"),
        ("norm = ['pre']", "settings.toml: norm is one of post, pre, not ['pre']"),
        ("[model]\nd_model = 8", "settings.toml: model must be a text, not {'d_model': 8}"),
        ("task = ['copy']", "settings.toml: task must be a text, not ['copy']"),
        ("[sizes]\nd_model = 8", "settings.toml: no setting 'sizes'"),
        ("steps =", "settings.toml is malformed"),
        ("steps = 1\nsteps = 2", "settings.toml is malformed"),
        ("\x00", "settings.toml is malformed"),
    ],
)
def test_wrong_settings_in_a_file_are_named(content: str, message: str, tmp_path: Path) -> None:
    Path("settings.toml").write_text(content)
    assert message in fails("train", "--config", "settings.toml")
    assert file_names(tmp_path) == {"settings.toml"}


def test_a_value_of_the_wrong_kind_on_the_command_line_is_named() -> None:
    said = fails("train", "copy", "--steps", "many")
    assert "Invalid value for '--steps': 'many' is not a valid integer. See `" in said


def test_a_learning_rate_that_is_far_too_high_is_named() -> None:
    said = fails("train", "copy", *SHORT, "--learning-rate", "1e9", "--warmup", "1")
    assert re.search(r"the loss is (nan|inf) at step \d+; lower the learning rate", said)


def test_too_little_memory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_memory(self: Trainer, config: Any) -> None:
        raise MemoryError("Unable to allocate 7.28 EiB")

    monkeypatch.setattr(Trainer, "__init__", no_memory)
    assert "not enough memory; choose smaller sizes" in fails("train", "copy")
    assert file_names(tmp_path) == set()


def a_disk_that_is_full_after(writes: int) -> Callable[[int], None]:
    """An os.fsync that works so often, and then finds no space."""
    done = 0

    def fsync(descriptor: int) -> None:
        nonlocal done
        done += 1
        if done > writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync


@pytest.mark.parametrize("writes", [0, 2, 4])
def test_a_full_disk_is_named_and_leaves_whole_files(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", a_disk_that_is_full_after(writes))
        said = fails("train", "copy", *SHORT, "--out", "run")
    assert re.search(r"cannot write run/[a-z.]+: No space left on device", said)
    assert not list(Path("run").glob(".*"))
    if writes:  # when there is space again, the run goes on
        succeeds("train", "--resume", "--out", "run")
        succeeds("train", "copy", *SHORT, "--out", "whole")
        assert_same_bits(tmp_path / "run", tmp_path / "whole")


def test_a_text_is_answered(finished: Path) -> None:
    answer = succeeds("predict", finished, "3 1 4")
    assert re.fullmatch(r"(\d( \d)*)?\n", answer)
    assert succeeds("predict", finished, "3 1 4", "--beam", "3").endswith("\n")


def test_each_line_of_standard_input_is_answered(finished: Path) -> None:
    lines = ["3 1 4", "0", "2 2 2 2"]
    expected = "".join(succeeds("predict", finished, line) for line in lines)
    assert succeeds("predict", finished, stdin="\r\n".join(lines)) == expected


def test_attention_is_drawn_where_asked(finished: Path) -> None:
    plain = succeeds("predict", finished, "3 1 4")
    for name in ("a.png", "a.svg"):
        assert succeeds("predict", finished, "3 1 4", "--attention", name) == plain
        assert Path(name).stat().st_size > 1000


@pytest.mark.filterwarnings("default:no font here has")
def test_a_character_that_no_font_has_is_named_in_one_line(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viz.figure.characters.characters_of", lambda path, wanted: wanted - {"4"})
    said = run_here("predict", finished, "3 1 4", "--attention", "a.png")
    assert said.code == 0
    assert re.fullmatch(r"note: no font here has 4 \(U\+0034\): boxes stand .+\n", said.err)
    assert Path("a.png").exists()


@pytest.mark.parametrize(
    ("args", "stdin", "message"),
    [
        ([""], "", "nothing to answer: the text is empty"),
        ([], "", "give a text, or lines on standard input"),
        (["1 2 x"], "", "unknown token 'x'; this run knows 0 to 4, separated by spaces"),
        (["1 1 1 1 1"], "", "5 tokens are more than the 4 that this run's model holds"),
        (["--attention", "a.png"], "1\n2\n", "--attention draws one text, not several lines"),
    ],
)
def test_what_cannot_be_answered_is_said_in_one_line(
    finished: Path, args: list[str], stdin: str, message: str, tmp_path: Path
) -> None:
    assert message in fails("predict", finished, *args, stdin=stdin)
    assert minigrad("predict", finished, *args, stdin=stdin).out == ""
    assert file_names(tmp_path) == set()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/a.png", "cannot write missing/a.png: No such file or directory"),
        ("a.gif", "a.gif: --attention draws a picture"),
    ],
)
def test_a_picture_that_cannot_be_written_is_named(
    finished: Path, path: str, message: str, tmp_path: Path
) -> None:
    assert message in fails("predict", finished, "1", "--attention", path)
    assert file_names(tmp_path) == set()


def test_unknown_tokens_of_texts_are_noted_and_answered(pairs: Path) -> None:
    succeeds("train", "--data", pairs, *SIZES, "--steps", "1", "--out", "run")
    said = minigrad("predict", "run", "eleven eleven")
    assert said.code == 0
    assert said.err == "note: 'eleven' is not in the vocabulary; it is read as <unk>\n"
    assert said.out.endswith("\n")


def test_a_folder_that_holds_no_usable_run_is_named(tmp_path: Path) -> None:
    assert "missing holds no run" in fails("predict", "missing", "1")
    succeeds("train", "copy", *TINY, "--steps", "1", "--out", "run")
    Path("run/summary.json").unlink()  # so that it is not finished
    model, config = Path("run/model.safetensors"), Path("run/config.toml")
    text, content = config.read_text(), model.read_bytes()
    config.write_text(text.replace("d_model = 8", "d_model = 16"))
    assert "d_model: 8 in the run, 16 asked for" in fails("predict", "run", "1")
    assert "d_model: 8 in the run, 16 asked for" in fails("train", "--resume", "--out", "run")
    config.write_text(text)
    model.write_bytes(content[:1000])
    for args in (["predict", "run", "1"], ["train", "--resume", "--out", "run"], ["model", "run"]):
        assert "run/model.safetensors is malformed" in fails(*args)
    model.unlink()
    assert "cannot read run/model.safetensors: No such file" in fails("predict", "run", "1")


def test_derivative_rules_are_printed() -> None:
    said = succeeds("ops", "exp", "multiply")
    assert re.search(r"exp +exp +minigrad/ops/elementwise\.py:\d+\n +∂/∂x = g · y\n", said)
    assert re.search(r" +∂/∂a = g · b\n +∂/∂b = g · a\n", said)
    assert "no op is called 'nope'" in fails("ops", "nope")


def test_ops_tells_definition_from_derivative_at_any_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = succeeds("ops", "softmax", "cross_entropy")
    assert "  derivative\n    ∂/∂x = y · (g - sum(g · y, axis, keepdims=True))\n" in wide
    monkeypatch.setenv("COLUMNS", "60")
    narrow = succeeds("ops", "softmax", "cross_entropy")
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, wide.splitlines()))
    assert narrow.split() == wide.split()


def test_a_model_is_printed_as_a_tree(finished: Path) -> None:
    parameters = Run.open(finished).summary()["parameters"]
    assert succeeds("model", finished).startswith(f"Transformer  {parameters:,}\n")
    assert succeeds("model", "base").startswith("Transformer  63,")


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands)])
def test_every_command_explains_itself(command: list[str]) -> None:
    said = succeeds(*command, "--help")
    assert said == succeeds(*command, "-h")
    assert said.startswith("Usage: ")
    assert "None" not in said
    assert not re.search("<[a-z_]+>", said)  # the name of a setting, which is not the option's


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["grph"], "No such command 'grph'"),
        (["graph", "softmax"], "Missing option '-o' / '--out'"),
        (["check", "--seed", "-1"], "Invalid value for '--seed': -1 is not in the range x>=0"),
        (["ops", "--al"], "No such option"),
    ],
)
def test_a_command_line_that_is_none_is_one_line(words: list[str], said: str) -> None:
    assert re.search(rf"^Error: {re.escape(said)}.* See `.*--help`\.$", fails(*words))


def test_every_setting_is_an_option_with_its_default() -> None:
    said = " ".join(succeeds("train", "--help").split())
    assert (
        "--batch-size INTEGER examples per step, and per batch of an evaluation [default: 64; "
        in said
    )
    assert "--norm [post|pre]" in said


def test_help_says_which_tasks_and_models_have_another_default() -> None:
    said = " ".join(succeeds("train", "--help").split())
    assert "[default: 64; rnn, gru, lstm, gpt, llama: 128]" in said
    assert "[default: 2500; translate: 700; text: 1800; masked: 1500]" in said
    rates = "translate: 0.004; text, gru, lstm, lstm-attention: 0.003; rnn: 0.001"
    assert f"[default: 0.002; {rates}]" in said


def test_help_loads_nothing_that_takes_long() -> None:
    code = """
import sys
from cli import main
try:
    main(["--help"])
finally:
    slow = {"matplotlib", "torch", "rich", "graphviz", "hypothesis", "viz"}
    print(*slow & set(sys.modules), sep=",")
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith("Usage: ")
    assert said.stdout.splitlines()[-1] == ""


def test_an_unfinished_run_answers_with_a_note() -> None:
    succeeds("train", "copy", *SHORT, "--out", "run")
    Path("run/summary.json").unlink()
    said = minigrad("predict", "run", "1 2")
    assert (said.code, said.err) == (0, "note: this run is not finished\n")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('task = "copy"\nsteps = 0', "steps must be at least 1, not 0"),
        ('data = "a.tsv"\nheld_out = 7.0', "held_out is a share between 0 and 1, not 7.0"),
        ('data = "a.tsv"\nheld_out = nan', "held_out is a share between 0 and 1, not nan"),
        ('task = "copy"\ndata = ["a"]', "data must be a text"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(settings: str, message: str) -> None:
    Path("run.toml").write_text(settings)
    assert f"run.toml: {message}" in fails("train", "--config", "run.toml")


def test_presets_are_printed_without_being_built() -> None:
    assert succeeds("model", "base").startswith("Transformer  63,119,496\n")
    assert succeeds("model", "big").startswith("Transformer  214,282,376\n")


def test_bench_refuses_a_size_that_there_is_not() -> None:
    assert "no size 'huge'; there are tiny, small, base" in fails("bench", "--size", "huge")
