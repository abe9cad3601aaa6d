"""What a run folder promises: whole files, exact state, one clear line when something is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from minigrad import nn, optim
from minigrad.files import FileError
from minitransformer.runs import (
    Run,
    differences,
    load_checkpoint,
    save_checkpoint,
    to_toml,
)

ROOT = Path(__file__).parents[2]

CONFIG = {"task": "reverse", "d_model": 64, "learning_rate": 1e-3, "tied": True}


@contextmanager
def one_line_error(*parts: object) -> Iterator[None]:
    """A block that must raise an error of one line in which all the parts stand, in order."""
    with pytest.raises(FileError) as error:
        yield
    message = str(error.value)
    assert "\n" not in message
    assert re.search(".*".join(re.escape(str(part)) for part in parts), message), message


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_limit_on_the_size_of_files_is_named_in_one_line(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with one_line_error("cannot write", tmp_path / "a", "File too large"):
            save_checkpoint(tmp_path / "a", {"x": np.zeros(1000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file_names(tmp_path) == set()


SAVE_FOREVER = """
import sys
import numpy as np
from minitransformer.runs import Run
run = Run.open(sys.argv[1])
step = 0
while True:
    step += 1
    run.append_metrics({"step": step})
    run.save({"weight": np.full(300_000, step)}, {"steps": step}, {"step": step})
    run.write_summary({"steps": step})
    if step == 2:
        print("under way", flush=True)
"""


def test_a_killed_process_leaves_no_corrupt_file(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    random = np.random.default_rng(0)
    for _ in range(4):
        command = [sys.executable, "-c", SAVE_FOREVER, str(run.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            time.sleep(random.uniform(0, 0.05))
            process.kill()
        model, optimizer, metadata = Run.open(run.path).load()
        step = metadata["step"]
        assert (model["weight"] == step).all()
        assert optimizer["steps"] == step
        assert step - 1 <= run.summary()["steps"] <= step
        run.truncate_metrics(step)
        assert [record["step"] for record in run.metrics()] == list(range(1, step + 1))
        assert file_names(run.path) == {
            "config.toml", "metrics.jsonl", "model.safetensors", "summary.json",
        }  # fmt: skip
        for path in run.path.iterdir():
            path.unlink()
        run = Run.create(run.path, CONFIG)


ARRAYS = {
    "scalar": np.array(2.5),
    "integer": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10, dtype=np.int32)[::3],
    "repeated": np.broadcast_to(np.float32(1), (2, 2)),
    "boolean": np.array([True, False]),
    "not finite": np.array([np.nan, -np.inf, -0.0]),
}


def test_a_checkpoint_keeps_every_array_to_the_bit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c", ARRAYS, {})
    loaded, _ = load_checkpoint(tmp_path / "c")
    assert loaded.keys() == ARRAYS.keys()
    for name, x in ARRAYS.items():
        assert (loaded[name].shape, loaded[name].dtype) == (x.shape, x.dtype)
        assert loaded[name].tobytes() == x.tobytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), json_values))
@settings(max_examples=30)
def test_a_checkpoint_keeps_its_metadata(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    save_checkpoint(path, {}, metadata)
    assert load_checkpoint(path) == ({}, metadata)


def test_a_random_generator_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    save_checkpoint(tmp_path / "c", {}, {"rng": rng.bit_generator.state})
    expected = rng.random(5)
    other = np.random.default_rng()
    other.bit_generator.state = load_checkpoint(tmp_path / "c")[1]["rng"]
    assert (other.random(5) == expected).all()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, {"model.weight": np.arange(4.0)}, {"step": 3})
    return path


def test_a_checkpoint_cut_short_is_refused(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    for size in range(len(content)):
        checkpoint.write_bytes(content[:size])
        with one_line_error(checkpoint, "train the run again"):
            load_checkpoint(checkpoint)


def test_no_changed_bit_of_a_checkpoint_goes_unnoticed(checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    for place in range(len(content)):
        for bit in (1, 32):
            changed = bytearray(content)
            changed[place] ^= bit
            checkpoint.write_bytes(changed)
            with one_line_error(checkpoint):
                load_checkpoint(checkpoint)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": np.zeros(2)}, path)
    with one_line_error(path, "no checkpoint of a run"):
        load_checkpoint(path)
    path.write_text("a text about something else\n" * 10)
    with one_line_error(path, "malformed"):
        load_checkpoint(path)


def test_a_checkpoint_of_another_version_is_refused(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitransformer.runs.FORMAT", "2")
    with one_line_error(checkpoint, "another version", "train the run again"):
        load_checkpoint(checkpoint)


def test_a_checkpoint_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    with one_line_error("cannot read", tmp_path / "c", "No such file or directory"):
        load_checkpoint(tmp_path / "c")
    with one_line_error("cannot read", tmp_path, "Is a directory"):
        load_checkpoint(tmp_path)


names = st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True)
setting_values = st.text() | st.booleans() | st.integers() | st.floats(allow_nan=False)


@given(st.dictionaries(names, setting_values))
def test_settings_come_back_from_toml(config: dict[str, Any]) -> None:
    read = tomllib.loads(to_toml(config))
    assert read == config
    assert [type(value) for value in read.values()] == [type(value) for value in config.values()]


@pytest.mark.parametrize("value", [None, b"x", 1j, np.int64(1)])
def test_what_is_no_setting_is_not_written(value: Any) -> None:
    with pytest.raises(TypeError, match="a setting is"):
        to_toml({"name": value})


def test_numpy_s_float64_is_a_float() -> None:
    assert to_toml({"rate": np.float64(0.5)}) == "rate = 0.5\n"


def test_a_new_run_is_a_folder_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "first"
    run = Run.create(path, CONFIG)
    assert run.path == path
    assert run.config == CONFIG
    assert file_names(path) == {"config.toml"}
    assert run.metrics() == []
    assert Run.open(path).config == CONFIG


def test_a_folder_that_holds_no_run_may_become_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    Run.create(tmp_path, CONFIG)
    assert file_names(tmp_path) == {"notes.txt", "config.toml"}


def finished(path: Path) -> Run:
    run = Run.create(path, CONFIG)
    run.append_metrics({"step": 1, "loss": 0.5})
    run.write_summary({"steps": 1})
    run.save({}, {}, {})
    return run


def test_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    with one_line_error(tmp_path / "run", "already holds a run: go on with it by", "--out"):
        Run.create(tmp_path / "run", {"seed": 1})
    assert Run.open(tmp_path / "run").config == CONFIG


def test_a_path_that_cannot_be_a_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with one_line_error("cannot make the run folder", tmp_path / "file", "File exists"):
        Run.create(tmp_path / "file", CONFIG)
    with one_line_error("cannot make the run folder", "Not a directory"):
        Run.create(tmp_path / "file" / "run", CONFIG)


@pytest.mark.parametrize("place", ["missing", "", "file"])
def test_a_folder_without_a_run_cannot_be_opened(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with one_line_error(tmp_path / place, "holds no run"):
        Run.open(tmp_path / place)


@pytest.mark.parametrize("content", [b"d_model = \n", b"\xff", b"a = 1\na = 2\n", b"\0\0\0"])
def test_malformed_settings_are_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    with one_line_error(tmp_path / "config.toml", "malformed"):
        Run.open(tmp_path)


def test_metrics_are_read_back_in_order(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG)
    records = [{"step": 10 * i, "loss": 1 / (i + 1)} for i in range(5)]
    for i, record in enumerate(records):
        run.append_metrics(record)
        assert Run.open(tmp_path).metrics() == records[: i + 1]  # at once, for another process
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records


def test_the_half_written_last_line_of_a_killed_run_is_no_record(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG)
    run.append_metrics({"step": 10})
    with run.path.joinpath("metrics.jsonl").open("a") as file:
        file.write('{"step": 20}')  # whole to the eye, but there is no newline
    assert run.metrics() == [{"step": 10}]


@pytest.mark.parametrize("line", [b"{\n", b"3\n", b"\0\0\n", b"\xff\n"])
def test_a_malformed_line_of_metrics_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    run = Run.create(tmp_path, CONFIG)
    run.append_metrics({"step": 10})
    with run.path.joinpath("metrics.jsonl").open("ab") as file:
        file.write(line)
    with one_line_error(f"{tmp_path / 'metrics.jsonl'}:2 is malformed"):
        run.metrics()


def test_metrics_cut_at_a_step_go_on_like_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    whole, resumed = (Run.create(tmp_path / name, CONFIG) for name in ("whole", "resumed"))
    records = [{"step": step, "loss": 1 / step} for step in range(10, 60, 10)]
    for record in records:
        whole.append_metrics(record)
    for record in records[:4]:
        resumed.append_metrics(record)
    with resumed.path.joinpath("metrics.jsonl").open("a") as file:
        file.write('{"step": 5')
    resumed.path.joinpath(".0123.partial").touch()  # a save that was killed
    resumed.truncate_metrics(20)
    assert resumed.metrics() == records[:2]
    for record in records[2:]:
        resumed.append_metrics(record)
    metrics = [run.path.joinpath("metrics.jsonl").read_bytes() for run in (whole, resumed)]
    assert metrics[0] == metrics[1]
    assert file_names(resumed.path) == {"config.toml", "metrics.jsonl"}


def test_a_summary_is_read_back(tmp_path: Path) -> None:
    run = Run.create(tmp_path, CONFIG)
    with one_line_error("cannot read", tmp_path / "summary.json", "No such file"):
        run.summary()
    run.write_summary({"task": "reverse", "exact_match": 1.0})
    assert Run.open(tmp_path).summary() == {"task": "reverse", "exact_match": 1.0}
    (tmp_path / "summary.json").write_text("[]")
    with one_line_error(tmp_path / "summary.json", "malformed"):
        run.summary()


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam])
def test_a_checkpoint_holds_all_that_training_goes_on_with(
    tmp_path: Path, make: Callable[..., optim.Optimizer]
) -> None:
    run = Run.create(tmp_path, CONFIG)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 2, rng=rng), nn.BatchNorm(2))
    optimizer = make(model.parameters())

    def train(model: nn.Module, optimizer: optim.Optimizer, rng: np.random.Generator) -> None:
        optimizer.zero_grad()
        model(rng.random((4, 3), np.float32)).sum().backward()
        optimizer.step()

    train(model, optimizer, rng)
    progress = {"step": 1, "rng": rng.bit_generator.state}
    run.save(model.state_dict(), optimizer.state_dict(), progress)
    train(model, optimizer, rng)

    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2))
    restored, generator = make(other.parameters()), np.random.default_rng()
    model_state, optimizer_state, metadata = Run.open(tmp_path).load()
    other.load_state_dict(model_state)
    restored.load_state_dict(optimizer_state)
    generator.bit_generator.state = metadata["rng"]
    train(other, restored, generator)
    for name, x in model.state_dict().items():
        assert other.state_dict()[name].tobytes() == x.tobytes()
    assert metadata["step"] == 1
    assert generator.random() == rng.random()


def test_settings_differ_neither_by_their_order_nor_by_how_a_number_is_written() -> None:
    assert differences(CONFIG, dict(reversed(CONFIG.items())) | {"d_model": 64.0}) == []


def test_each_setting_that_differs_has_a_line() -> None:
    made = {**CONFIG, "data": "", "columns": ""}
    asked = {**CONFIG, "task": "copy", "data": "lines.tsv", "columns": "", "seed": 3}
    del asked["tied"]
    assert differences(made, asked) == [
        "task: reverse in the run, copy asked for",
        "data: nothing in the run, lines.tsv asked for",
    ]
