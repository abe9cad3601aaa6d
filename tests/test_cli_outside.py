"""The command and what comes from outside: locales, pipes, terminals, Ctrl-C, odd values."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cli
from cli import main
from minitransformer.models import MODELS
from minitransformer.recipe import Recipe, settings_of
from minitransformer.runs import Run
from minitransformer.settings import Training, option
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer

ROOT = Path(__file__).parent.parent
MINIGRAD = [sys.executable, "-m", "cli"]

SIZES = [
    "--d-model", "8", "--heads", "2", "--layers", "1",
    "--d-ff", "16", "--batch-size", "8", "--warmup", "5", "--evaluate-every", "8",
]  # fmt: skip
SMALL = ["--length", "4", "--vocab", "5", *SIZES]
PAIRS = "é ü\tß 🙂\nü\tß\né\t🙂\nö é\tö 🙂\nö\tö\n"

NARROW = {
    "PYTHONIOENCODING": "cp1252",
    "PYTHONUTF8": "0",
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
}


class Said(NamedTuple):
    """How the command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


def minigrad(*args: object, stdin: bytes = b"") -> Said:
    """Run the command here, in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)), "ascii"))  # type: ignore[type-var]
        patch.setattr("viz.figure.plots.draw_curve", lambda *_, **__: None)
        patch.setattr("viz.figure.maps.draw_attention", lambda *_, **__: None)
        with pytest.raises(SystemExit) as end:
            main([str(arg) for arg in args], prog_name="minigrad")
    code = end.value.code
    assert isinstance(code, int)
    return Said(code, *(x.buffer.getvalue().decode() for x in (out, err)))  # type: ignore[attr-defined]


def succeeds(*args: object, stdin: bytes = b"") -> str:
    said = minigrad(*args, stdin=stdin)
    assert (said.code, said.err) == (0, "")
    return said.out


def fails(*args: object, stdin: bytes = b"") -> str:
    """The one line that the command says when it cannot do what was asked."""
    said = minigrad(*args, stdin=stdin)
    assert said.code == 2, said
    assert re.fullmatch(r"Error: .+\n", said.err), said.err
    return said.err


def started(*args: object, **options: Any) -> subprocess.Popen[bytes]:
    """The command in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*MINIGRAD, *map(str, args)], env=environment, **pipes | options)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on pairs, which no test may change."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "pairs.tsv").write_text(PAIRS, encoding="utf-8")
    data = ["--data", folder / "pairs.tsv", "--held-out", "0.2", "--steps", "32", "--seed", "1"]
    succeeds("train", *data, *SIZES, "--out", folder / "run")
    return folder / "run"


def test_lines_are_answered_in_their_places_and_bad_ones_are_named(run: Path) -> None:
    one, other = (succeeds("predict", run, text) for text in ("é", "ö é"))
    lines = "é\n\nö é\n{}\né\r\n".format("é " * 30).encode() + b"\xe9\nnul \0\n"
    said = minigrad("predict", run, stdin=lines)
    assert said.out == f"{one}\n{other}\n{one}\n\n"
    assert said.code == 2
    assert [line.rpartition(";")[0] or line for line in said.err.splitlines()] == [
        "Error: line 2: nothing to answer: the text is empty",
        "Error: line 4: 30 tokens are more than the 2 that this run's model holds",
        "Error: line 6: not UTF-8",
        "Error: line 7: a NUL character, so this is no text",
    ]


def test_an_unknown_token_is_noted_once(run: Path) -> None:
    said = minigrad("predict", run, stdin=b"x\nx y\ny\n")
    assert said.code == 0
    assert re.findall(r"note: '(.)' is not in the vocabulary", said.err) == ["x", "y"]


def test_texts_of_all_systems_are_answered_alike(run: Path) -> None:
    expected = succeeds("predict", run, stdin="é\nö é\n".encode())
    for lines in ("\ufeffé\r\nö é\r\n", "é\rö é\r", "é\nö é"):
        assert succeeds("predict", run, stdin=lines.encode()) == expected


def test_a_reader_gets_each_answer_before_it_asks_again(run: Path) -> None:
    expected = succeeds("predict", run, "é")
    with started("predict", run, env=NARROW) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(3):
            process.stdin.write("é\n".encode())
            process.stdin.flush()
            assert process.stdout.readline().decode() == expected
        process.stdin.close()
        assert process.wait() == 0


def test_the_locale_does_not_matter_to_what_is_read_or_written(run: Path) -> None:
    data = run.parent / "pairs.tsv"
    expected = succeeds("predict", run, "é")
    with started("predict", run, "é", env=NARROW) as process:
        out, err = process.communicate()
    assert (process.returncode, out.decode(), err) == (0, expected, b"")
    settings = Path("settings.toml")
    settings.write_bytes(f'\ufeffdata = "{data}"\r\nsteps = 1\r\n'.encode())
    assert "steps → ü" in succeeds("train", "--config", settings, *SIZES, "--out", "ü")
    errors = Path("ü/errors.tsv").read_bytes().decode()
    assert errors.startswith("source\texpected\tanswer\n") and ("é" in errors or "ü" in errors)


def test_a_text_that_is_not_utf_8_is_refused(run: Path) -> None:
    assert "the text is not UTF-8" in fails("predict", run, os.fsdecode(b"b\xff"))


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("end", [b"\x04", b"\x03"])
def test_a_terminal_gets_a_prompt_and_ends_with_ctrl_d_or_ctrl_c(run: Path, end: bytes) -> None:
    import pty

    expected = succeeds("predict", run, "é").strip()
    ours, theirs = pty.openpty()

    def take_over() -> None:  # Ctrl-C reaches those whose terminal it is
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))

    with started("predict", run, stdin=theirs, stdout=theirs, stderr=theirs,
                 preexec_fn=take_over) as process:  # fmt: skip
        os.close(theirs)
        seen = b""

        def read_until(words: str) -> None:
            nonlocal seen
            while words.encode() not in seen:
                seen += os.read(ours, 1000)

        read_until("> ")
        os.write(ours, "é\n".encode())
        read_until(f"{expected}\r\n> ")
        os.write(ours, b"\n")  # nothing asked: asked again
        seen = b""
        read_until("> ")
        os.write(ours, end)
        assert process.wait() == (0 if end == b"\x04" else 130)
        with suppress(OSError):  # where nothing is left to be read
            seen += os.read(ours, 1000)
    os.close(ours)
    assert b"Traceback" not in seen and b"Error" not in seen


@pytest.mark.parametrize("module", ["click", "numpy.linalg", "minitransformer.runs", "rich.table"])
def test_ctrl_c_leaves_no_traceback_while_anything_is_loaded(module: str) -> None:
    code = f"""
import signal, sys
class Interrupting:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
import cli
cli.main(["check", "exp"])
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr.strip()) == (130, "", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_no_data_and_nothing_waits_for_it() -> None:
    os.mkfifo("pipe.tsv")
    for name in ("pipe.tsv", "-", "/dev/null"):
        said = fails("train", "--data", name)
        assert "not an ordinary file, and a run must be able to read its data again" in said
    reader, writer = os.pipe()
    try:
        assert "not an ordinary file" in fails("train", "--data", f"/dev/fd/{reader}")
    finally:
        os.close(reader)
        os.close(writer)
    assert "Is a directory" in fails("train", "--data", ".")
    assert {path.name for path in Path().iterdir()} == {"pipe.tsv"}


def test_the_second_of_two_processes_is_refused(run: Path) -> None:
    succeeds("train", "copy", "--steps", "1", *SMALL, "--out", "mine")
    code = f"""
import time
from minitransformer.runs import Run
with Run.open({str(Path("mine").resolve())!r}).locked():
    print("locked", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == b"locked\n"
        said = fails("train", "--resume", "--out", "mine", "--steps", "2")
        assert said == "Error: mine is being trained by another process; wait for its end\n"
        process.kill()
    succeeds("train", "--resume", "--out", "mine", "--steps", "2")


def test_a_run_is_trained_longer_and_says_how() -> None:
    succeeds("train", "copy", "--steps", "8", *SMALL, "--out", "run")
    said = succeeds("train", "--resume", "--out", "run", "--steps", "24")
    first = said.splitlines()[0]
    assert re.fullmatch(
        r"goes on from step 8 to 24; the learning rate goes on from 0\.0018 to 0\.0002", first
    )
    assert Run.open("run").summary()["steps"] == 24
    assert "nothing is left to do" in succeeds("train", "--resume", "--out", "run", "--steps", "9")


def test_a_run_that_lost_its_numbers_says_what_helps_and_it_does() -> None:
    for name, lost in (("a", ["--learning-rate", "1e30"]), ("b", ["--weight-decay", "1e25"])):
        said = fails("train", "copy", "--steps", "8", *SMALL, "--out", name, *lost)
        found = re.search(r"lower the learning rate: minigrad (train .*) goes on from step 0", said)
        assert found, said
        command = found[1].split()
        assert command[-2] in ("--learning-rate", "--weight-decay")
        succeeds(*command)


def test_a_run_begins_with_the_weights_of_another(run: Path) -> None:
    Path("more.tsv").write_text("é\t🙂\nü é\tß 🙂\nä\tä\n", encoding="utf-8")
    said = succeeds("train", "--data", "more.tsv", "--from", run, "--steps", "4")
    assert re.search(r"note: \S+ knows \d of \d source tokens and \d of \d target tokens; ", said)
    made = Recipe.of_run(Run.open("runs/more"))
    assert (made.model.d_model, made.model.heads, made.model.layers) == (8, 2, 1)
    assert made.training.from_run == str(run)
    said = fails("train", "--data", "more.tsv", "--from", run, "--d-model", "16")
    assert "has another model (d_model: 8 in the run, 16 asked for)" in said
    assert "nowhere holds no run" in fails("train", "copy", "--from", "nowhere")


def test_columns_and_csv_are_data_too() -> None:
    Path("anki.tsv").write_text("a\tb\tCC-BY\nc\td\tCC-BY\n")
    said = fails("train", "--data", "anki.tsv")
    assert "anki.tsv:1: 2 tabs; a line needs exactly one" in said
    assert "or --columns 1,2 to take these two" in said
    succeeds("train", "--data", "anki.tsv", "--columns", "2,1", "--steps", "1", *SIZES)
    assert Run.open("runs/anki").load()[2]["source"]["tokens"][4] in "bd"
    Path("x.csv").write_text('"a, b",c\n"d ""e""",f\n')
    succeeds("train", "--data", "x.csv", "--steps", "1", *SIZES)
    for columns in ("1", "0,1", "a,b", "1,2,3", "-1,2"):
        said = fails("train", "--data", "anki.tsv", "--columns", columns)
        assert f"--columns names two columns, as in 1,2, not {columns!r}" in said
    assert "anki.tsv:1: no column 4; it has 3" in fails(
        "train", "--data", "anki.tsv", "--columns", "1,4"
    )


def test_what_cannot_be_learned_is_said_at_the_start() -> None:
    Path("words.tsv").write_text("".join(f"w{i}\tv{i}\n" for i in range(30)))
    said = succeeds("train", "--data", "words.tsv", "--steps", "1", *SIZES).splitlines()
    assert said[1] == (
        "note: 3 of 3 held-out sources have tokens that training never sees; try --tokens char"
    )
    said = fails("train", "sort", "--tokens", "char")
    owners = "pairs, labels, translate, text and masked"
    assert said == f"Error: --tokens is a setting of {owners}; task sort has none\n"


def test_a_slow_step_is_spoken_of_before_the_first_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("viz.console.PATIENCE", -1.0)
    said = succeeds("train", "copy", "--steps", "3", *SMALL)
    assert re.search(r"^step +1  [\d.e-]+ s for a step, so \d+ s for the others$", said, re.M)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "copy", "--out", ""],
        ["train", "copy", "--config", ""],
        ["finetune", "", "--data", "labels.tsv"],
        ["model", ""],
        ["predict", "", "1"],
        ["predict", ".", "1", "--attention", ""],
    ],
)
def test_an_empty_path_is_not_the_folder_one_is_in(words: list[str]) -> None:
    assert "the path is empty" in fails(*words)
    assert not list(Path().iterdir())


ODD = ["0", "-1", "nan", "inf", "-inf", "1e99", "", " ", "9" * 30, "9" * 5000, "é", "\x1b[31m",
       "1,2", "--", "\ud800", "None", "true"]  # fmt: skip


ALL_SETTINGS = ["task", "model"] + [
    setting.name for setting in settings_of((*TASKS.values(), *MODELS.values(), Training))
]


@pytest.mark.parametrize("name", ALL_SETTINGS)
def test_an_odd_value_is_taken_or_refused_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option with each odd value; what is taken stops before its first step."""

    class Begun(BaseException):
        """What no `except` may catch."""

    def begin(self: Trainer, *_: Any) -> Any:
        raise Begun

    monkeypatch.setattr(Trainer, "run", begin)
    Path("pairs.tsv").write_text(PAIRS, encoding="utf-8")
    for task in (["copy"], ["--data", "pairs.tsv"]):
        for value in ODD:
            given = [value] if name == "task" else [option(name), value]
            before = set(Path().rglob("*"))
            try:
                said = fails("train", *(given if name == "task" else [*task, *given]))
            except Begun:
                continue
            assert len(said) < 700, said
            assert set(Path().rglob("*")) == before, (value, said)


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "run"
    assert minigrad("train", "copy", *SMALL, "--steps", "8", "--out", path).code == 0
    return path


def test_a_run_that_cannot_go_on_stays_as_it_was(a_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(a_run, tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write("{bad\n")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    said = minigrad("train", "--resume", "--out", run, "--steps", "16")
    assert said.code == 2
    assert "metrics.jsonl:2 is malformed" in said.err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_edited_config_is_told_in_its_own_words(a_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(a_run, tmp_path / "run")
    settings = run / "config.toml"
    text = settings.read_text()
    settings.write_text(text.replace("batch_size = 8", "batch_size = 'x'"))
    assert "config.toml: batch_size must be" in fails("predict", run, "1")
    settings.write_text(text.replace('"copy"', '"pairs"\ndata = "x"'))
    for command in (("predict", run, "1"), ("train", "--resume", "--out", run)):
        said = fails(*command)
        assert "config.toml has changed: the model was made with other settings" in said
        assert "(task: copy in the run, pairs asked for): restore the file" in said


def test_standard_input_may_be_closed(a_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert not cli.at_terminal()
    assert cli.standard_input().read() == b""


def test_a_long_odd_line_has_a_short_error(a_run: Path) -> None:
    said = minigrad("predict", a_run, stdin=b"x" * 10_000)
    assert said.code == 2
    assert len(said.err) < 300


def test_what_cannot_be_drawn_is_told_before_the_answer(a_run: Path, tmp_path: Path) -> None:
    said = minigrad("predict", a_run, "1", "--attention", tmp_path / "x.txt")
    assert (said.code, said.out) == (2, "")
    assert "--attention draws a picture (.png, .svg, .pdf)" in said.err


@pytest.mark.parametrize("given", ["--from", "--data"])
def test_an_empty_path_is_no_path(given: str) -> None:
    assert f"{given}: the path is empty" in fails("train", "copy", given, "")


def test_a_wrong_use_is_two_sentences(a_run: Path) -> None:
    assert "not 3 of them. See `minigrad predict" in fails("predict", a_run, "1", "2")


def test_the_end_asks_what_the_file_says(tmp_path: Path) -> None:
    data = tmp_path / "words.tsv"
    data.write_text("".join(f"{word}\tx\n" for word in ("one", "two", "three", "four")))
    said = minigrad("train", "--data", data, *SIZES, "--steps", "2", "--out", tmp_path / "run")
    assert said.code == 0
    assert "<unk>" not in said.out


@pytest.mark.parametrize("command", ["predict", "attention", "explain", "graph"])
def test_a_text_that_is_no_utf_8_is_called_so_by_every_command(
    command: str, a_run: Path, tmp_path: Path
) -> None:
    out = [] if command == "predict" else ["-o", tmp_path / "x.html"]
    assert "the text is not UTF-8" in fails(command, a_run, "\udcff", *out)
