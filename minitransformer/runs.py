"""The run folder: what a training run writes down, to be looked at, used, and gone on with.

    config.toml        every setting of the run
    metrics.jsonl      one JSON object a line: step, loss, …
    summary.json       how the run ended
    errors.tsv         source, expected, answer of each held-out example that it gets wrong
    model.safetensors  weights, optimizer, random state, step: a resumed run ends with the same bits

A run may be killed at any moment. So a file is replaced as a whole or not at all, and of the one
file that grows only the last line can be half-written: then it has no newline.
"""

from __future__ import annotations

import json
import os
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from minigrad.files import FileError, StrPath, trying_to, write_atomically
from minitransformer.tokens.text import decode

try:
    import fcntl
except ImportError:  # Windows: there a folder cannot be locked, and is not
    fcntl = None  # type: ignore[assignment]

Arrays = dict[str, npt.NDArray[Any]]
State = Mapping[str, npt.ArrayLike]
"""Arrays by name, as `state_dict` gives them."""

Config = dict[str, Any]
"""Settings by name: str, int, float, bool."""

FORMAT = "1"
"""The version of what `save_checkpoint` writes; `load_checkpoint` refuses any other."""


class RunError(FileError):
    """A run folder, or a file of one, that cannot be used; the message is one line."""


@contextmanager
def reading(path: StrPath, remedy: str = "restore it, or train the run again") -> Iterator[None]:
    """A block that reads a file: FileError if the system refuses, RunError if a parser does."""
    with trying_to("read", path):
        try:
            yield
        except (ValueError, SafetensorError) as error:  # JSON's, TOML's, UTF-8's are ValueErrors
            raise RunError(f"{path} is malformed ({error}); {remedy}") from error


def read_toml(path: StrPath) -> Config:
    """The settings in a TOML file; FileError when it cannot be read, RunError when not TOML."""
    with reading(path, remedy="mend it"):
        return tomllib.loads(decode(Path(path).read_bytes()))


def to_toml(config: Config) -> str:
    """Settings as TOML, one a line; a name is letters, digits, - and _.

    TypeError for a value that is no str, int, float or bool.

    >>> print(to_toml({"task": "reverse", "dropout": 0.1}), end="")
    task = "reverse"
    dropout = 0.1
    """
    return "".join(f"{name} = {_toml(value)}\n" for name, value in config.items())


def _toml(value: Any) -> str:
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str | int):  # JSON's strings are TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise TypeError(f"a setting is a str, int, float or bool, not {value!r}")


def differences(old: Config, new: Config) -> list[str]:
    """What a run was made with against what is asked for, a line for each setting that differs.

    One that only one of them has is none to compare: then they differ in task or model.

    >>> differences({"d_model": 64, "seed": 0}, {"d_model": 128, "seed": 0})
    ['d_model: 64 in the run, 128 asked for']
    """

    def shown(value: Any) -> Any:
        return "nothing" if value == "" else value

    return [
        f"{name}: {shown(value)} in the run, {shown(new[name])} asked for"
        for name, value in old.items()
        if value != new.get(name, value)
    ]


def save_checkpoint(path: StrPath, tensors: State, metadata: Mapping[str, Any]) -> None:
    """Write arrays, and whatever JSON can say about them, as one safetensors file.

    Shapes, dtypes and bits survive, and so do integers of any length, such as a random generator's
    state. Raises FileError when the system refuses.
    """
    # safetensors takes memory as it lies; np.ascontiguousarray would turn shape () into (1,)
    arrays = {name: np.asarray(x, order="C") for name, x in tensors.items()}
    text = json.dumps(metadata)
    about = {"minitransformer": text, "format": FORMAT, "crc32": _checksum(arrays, text)}
    write_atomically(path, save(arrays, about))


def load_checkpoint(path: StrPath) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the metadata that `save_checkpoint` was given.

    Raises RunError when the file is missing, damaged (a single bit is enough) or none of ours.
    """
    with (
        reading(path),
        Path(path).open("rb"),  # its errors are clearer
        safe_open(path, "numpy") as file,  # type: ignore[no-untyped-call]
    ):
        about = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if "minitransformer" not in about:
        raise RunError(f"{path} is no checkpoint of a run; name the model.safetensors of one")
    text = about["minitransformer"]
    if about.get("format") != FORMAT:
        raise RunError(f"{path} is of another version of this program; train the run again")
    if about.get("crc32") != _checksum(arrays, text):
        raise RunError(f"{path} is damaged: wrong checksum; restore it, or train the run again")
    return arrays, json.loads(text)


def _checksum(arrays: Arrays, text: str) -> str:
    """The CRC-32 of a checkpoint's content: safetensors does not notice a changed bit."""
    crc = zlib.crc32(text.encode())
    for name, x in sorted(arrays.items()):
        crc = zlib.crc32(x.data, zlib.crc32(f"{name} {x.dtype} {x.shape}".encode(), crc))
    return str(crc)


class Run:
    """A run's folder, `path`, and the settings that the run was made with, `config`."""

    def __init__(self, path: StrPath, config: Config) -> None:
        self.path, self.config = Path(path), config
        self._metrics = self.path / "metrics.jsonl"
        self._summary = self.path / "summary.json"
        self._checkpoint = self.path / "model.safetensors"

    @classmethod
    def create(cls, path: StrPath, config: Config) -> Run:
        """A new run, its folder made if need be.

        RunError when the folder holds a run already, FileError when it cannot be written.
        """
        run = cls(path, config)
        settings = run.path / "config.toml"
        with trying_to("make the run folder", path):
            if settings.exists():
                raise RunError(
                    f"{path} already holds a run: go on with it by `minigrad train --resume`, "
                    "or choose another --out"
                )
            run.path.mkdir(parents=True, exist_ok=True)
        with run.locked():
            if settings.exists():  # another process was faster
                raise RunError(f"{path} already holds a run")
            run.write_config()
        return cls.open(path)

    def write_config(self) -> None:
        """Write the settings down, those of a new run or of one that goes on with others."""
        write_atomically(self.path / "config.toml", to_toml(self.config).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A block in which no other process trains into this folder, however this one may end.

        RunError where one does. What is locked is the folder: the system lets go of it when the
        process is no more. Where it has no such locks (Windows, some network drives) none is taken.
        """
        if fcntl is None:
            yield
            return
        with trying_to("open", self.path):
            folder = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.path} is being trained by another process; wait for its end"
                ) from None
            except OSError:  # the file system knows no locks
                pass
            yield
        finally:
            os.close(folder)

    @classmethod
    def open(cls, path: StrPath) -> Run:
        """The run in a folder. Raises RunError where there is none."""
        settings = Path(path) / "config.toml"
        with trying_to("open", path):
            if not settings.exists():
                raise RunError(f"{path} holds no run; name a folder that a training run has made")
        return cls(path, read_toml(settings))

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl; a run killed later keeps it."""
        with trying_to("write", self._metrics), self._metrics.open("ab") as file:
            file.write(_line(record))

    def metrics(self) -> list[dict[str, Any]]:
        """Every record so far, without the half-written last line of a killed run."""
        if not self._metrics.exists():
            return []
        with reading(self._metrics):
            lines = self._metrics.read_bytes().split(b"\n")[:-1]
        records = []
        for number, line in enumerate(lines, 1):
            with reading(f"{self._metrics}:{number}"):
                records.append(_object(line))
        return records

    def reopen(self, step: int) -> None:
        """Make ready for what comes after `step`: without what was written later, or at the end."""
        self.truncate_metrics(step)  # first, for that may find them unreadable
        with trying_to("write", self._summary):
            self._summary.unlink(missing_ok=True)

    def truncate_metrics(self, step: int) -> None:
        """Drop what was written after the checkpoint of `step`: a resumed run writes it again."""
        for leftover in self.path.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        kept = [_line(record) for record in self.metrics() if record.get("step", 0) <= step]
        write_atomically(self._metrics, b"".join(kept))

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Say in summary.json how the run ended."""
        write_atomically(self._summary, (json.dumps(summary, indent=2) + "\n").encode())

    def write_errors(self, wrong: Iterable[tuple[str, str, str]]) -> None:
        """Put (source, expected, answer) of each wrong answer into errors.tsv, with a header."""
        rows = [("source", "expected", "answer"), *wrong]
        text = "".join("\t".join(row) + "\n" for row in rows)
        write_atomically(self.path / "errors.tsv", text.encode())

    def is_finished(self) -> bool:
        """Whether the run has come to its end."""
        return self._summary.exists()

    def summary(self) -> dict[str, Any]:
        """How the run ended. Raises RunError while it has not."""
        with reading(self._summary):
            return _object(self._summary.read_bytes())

    def has_checkpoint(self) -> bool:
        """Whether there is a model to go on with."""
        return self._checkpoint.exists()

    def save(self, model: State, optimizer: State, metadata: Mapping[str, Any]) -> None:
        """Write the checkpoint: two state_dicts, and the step and whatever else a resume needs."""
        tensors = {f"model.{name}": x for name, x in model.items()}
        tensors |= {f"optimizer.{name}": x for name, x in optimizer.items()}
        save_checkpoint(self._checkpoint, tensors, metadata)

    def load(self) -> tuple[Arrays, Arrays, dict[str, Any]]:
        """The model's state_dict, the optimizer's, and the metadata, as `save` was given them."""
        tensors, metadata = load_checkpoint(self._checkpoint)
        model, optimizer = (
            {name.removeprefix(part): x for name, x in tensors.items() if name.startswith(part)}
            for part in ("model.", "optimizer.")
        )
        return model, optimizer, metadata


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("a JSON object is needed")
    return value
