"""Weights in a folder as the Hugging Face hub has them: model.safetensors, or shards of it.

Pickles (pytorch_model.bin and the like) are never opened: to open one is to run what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from minigrad.files import FileError, StrPath, require_ordinary, trying_to
from minigrad.tensor import Array
from minitransformer.interop.gguf import from_bfloat16

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
"""What files are called that hold weights as pickles."""

FLOATS = ("F32", "F16", "BF16", "F64")
"""The dtypes that can be read, each of them as float32."""


class WeightsError(FileError):
    """Published weights that cannot be used; the message is one line."""


class Stored(NamedTuple):
    """A tensor in a file: which file, its dtype as the format calls it, and its shape."""

    path: Path
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Safetensors:
    """What tensors a folder has; `read` gets one of them."""

    path: Path
    tensors: dict[str, Stored]

    def read(self, name: str) -> Array:
        """A tensor as float32. WeightsError where its dtype is not one of FLOATS."""
        path, dtype, shape = self.tensors[name]
        if dtype not in FLOATS:
            known = ", ".join(FLOATS)
            raise WeightsError(f"{path} stores {name} as {dtype}; what can be read is {known}")
        with reading(path):
            if dtype == "BF16":  # which NumPy does not know, so the package cannot give it
                return from_bfloat16(np.frombuffer(content_of(path, name), "<u2")).reshape(shape)
            with safe_open(path, "numpy") as file:  # type: ignore[no-untyped-call]
                return np.asarray(file.get_tensor(name), np.float32)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. WeightsError where it holds something else."""
    with reading(path):
        try:
            content = json.loads(path.read_bytes())
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not isinstance(content, dict):
            raise ValueError("a JSON object is needed")
        return content


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A block that reads a file: WeightsError where it is malformed, FileError if it cannot be."""
    with trying_to("read", path):
        require_ordinary(path)
        try:
            yield
        except (ValueError, SafetensorError) as error:
            fault = str(error).splitlines()[0][:200]
            raise WeightsError(f"{path} is malformed ({fault}); fetch it again") from error


def content_of(path: Path, name: str) -> bytes:
    """The bytes of a tensor, from a file that the package has found in order."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(length))[name]["data_offsets"]
        file.seek(8 + length + begin)
        return file.read(end - begin)


def open_folder(folder: StrPath) -> Safetensors:
    """What tensors the safetensors files of a folder hold.

    WeightsError says in one line what is wrong with the files, or that there are pickles alone.
    """
    folder = Path(folder)
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists():
        return Safetensors(folder, dict(tensors_of(whole)))
    if index.exists():
        return Safetensors(folder, of_shards(index))
    raise WeightsError(f"{folder} has no model.safetensors{instead_of(folder)}")


def instead_of(folder: Path) -> str:
    """What to do where there is no safetensors file, depending on what there is."""
    pickles = sorted(x.name for pattern in PICKLES for x in folder.glob(pattern))
    if pickles:
        return (
            f"; {pickles[0]} is a pickle, which could run any program and is never opened: fetch "
            "model.safetensors, or let transformers write it with save_pretrained"
        )
    return "; name a folder with config.json and model.safetensors"


def tensors_of(path: Path) -> Iterator[tuple[str, Stored]]:
    """The names of a file's tensors, and what they are."""
    with reading(path):
        with path.open("rb"):  # its errors are clearer
            pass
        with safe_open(path, "numpy") as file:  # type: ignore[no-untyped-call]
            for name in file.keys():  # noqa: SIM118
                if not name.isprintable() or len(name) > 200:
                    raise ValueError(f"a tensor is called {name[:40]!r}")
                about = file.get_slice(name)
                yield name, Stored(path, about.get_dtype(), tuple(about.get_shape()))


def of_shards(index: Path) -> dict[str, Stored]:
    """The tensors of several files, by an index that says which one has which."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(is_file_name(x) for x in places.values()):
        raise WeightsError(
            f"{index} is malformed (its weight_map names a file of this folder for each tensor); "
            "fetch it again"
        )
    found: dict[str, Stored] = {}
    for file in sorted(set(places.values())):
        tensors = tensors_of(index.parent / file)
        found |= {name: stored for name, stored in tensors if places.get(name) == file}
    if absent := [name for name in places if name not in found]:
        raise WeightsError(
            f"{index.parent} is incomplete: {places[absent[0]]} has no {absent[0][:60]!r}; "
            "fetch its files again"
        )
    return found


def is_file_name(x: Any) -> bool:
    """Whether it is a name without a folder in it, of a safetensors file."""
    return isinstance(x, str) and x.endswith(".safetensors") and x.isprintable() and "/" not in x
