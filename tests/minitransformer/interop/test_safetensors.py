"""Folders of safetensors files: any float as float32, shards together, bad ones in one line."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from minigrad.files import FileError
from minitransformer.interop.safetensors import WeightsError, open_folder, read_json

X = np.arange(6, dtype=np.float32).reshape(2, 3) / 4


def by_hand(folder: Path, header: Any, data: bytes, name: str = "model.safetensors") -> Path:
    """A folder with a file that has this header and content."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + data)
    return folder


def fault(folder: Path) -> str:
    with pytest.raises(WeightsError) as error:
        open_folder(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_every_width_become_float32(tmp_path: Path, dtype: Any) -> None:
    save_file({"x": X.astype(dtype), "y": X[0].astype(dtype)}, tmp_path / "model.safetensors")
    found = open_folder(tmp_path)
    assert {name: stored.shape for name, stored in found.tensors.items()} == {
        "x": (2, 3),
        "y": (3,),
    }
    x = found.read("x")
    assert x.dtype == np.float32 and np.array_equal(x, X)
    x[:] = 0  # an array of its own, to be trained


def test_bfloat16_is_the_first_half_of_a_float32(tmp_path: Path) -> None:
    halves = (X.view("<u4") >> 16).astype("<u2").tobytes()  # exact for numbers as short as these
    header = {
        "pad": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
    }
    x = open_folder(by_hand(tmp_path, header, bytes(4) + halves)).read("x")
    assert x.dtype == np.float32 and np.array_equal(x, X)
    x[:] = 0


def test_bfloat16_as_pytorch_writes_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save = pytest.importorskip("safetensors.torch").save_file
    x = torch.randn(5, 7).to(torch.bfloat16)
    save({"x": x, "y": x[0].clone()}, tmp_path / "model.safetensors")
    found = open_folder(tmp_path)
    assert np.array_equal(found.read("x"), x.float().numpy())
    assert np.array_equal(found.read("y"), x[0].float().numpy())


def test_other_dtypes_are_refused_where_they_are_needed(tmp_path: Path) -> None:
    save_file({"x": X, "mask": np.ones(3, bool)}, tmp_path / "model.safetensors")
    found = open_folder(tmp_path)
    assert np.array_equal(found.read("x"), X)
    with pytest.raises(WeightsError, match="stores mask as BOOL; what can be read is F32, F16"):
        found.read("mask")


def shards(folder: Path, **places: str) -> Path:
    save_file({"x": X}, folder / "a.safetensors")
    save_file({"y": X + 1}, folder / "b.safetensors")
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"} | places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_shards_are_one_model(tmp_path: Path) -> None:
    found = open_folder(shards(tmp_path))
    assert np.array_equal(found.read("x"), X) and np.array_equal(found.read("y"), X + 1)


def test_shards_that_lack_something(tmp_path: Path) -> None:
    assert "incomplete: b.safetensors has no 'z'" in fault(shards(tmp_path, z="b.safetensors"))
    with pytest.raises(FileError, match=r"cannot read .*c.safetensors: No such file"):
        open_folder(shards(tmp_path, z="c.safetensors"))


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": []},
        {"weight_map": {"x": "../elsewhere/a.safetensors"}},
        {"weight_map": {"x": "/etc/passwd"}},
        {"weight_map": {"x": 3}},
        {"weight_map": {"x": "pytorch_model.bin"}},
    ],
)
def test_an_index_names_files_of_its_own_folder(tmp_path: Path, index: Any) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "its weight_map names a file of this folder" in fault(tmp_path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    told = fault(tmp_path)
    assert "pytorch_model.bin is a pickle, which could run any program and is never opened" in told
    assert "save_pretrained" in told


def test_a_folder_without_weights(tmp_path: Path) -> None:
    assert "has no model.safetensors; name a folder with" in fault(tmp_path)
    os.mkfifo(tmp_path / "model.safetensors")  # nothing would ever come out of it
    with pytest.raises(FileError, match=r"cannot read .*: not an ordinary file"):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[" * 100_000,
        {"x": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**62]}},
        {"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"x": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
        {"a\nb": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
        {f"{'x' * 300}": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
    ],
)
def test_headers_that_cannot_be(tmp_path: Path, header: Any) -> None:
    assert "fetch it again" in fault(by_hand(tmp_path, header, bytes(8)))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"a": 1' + "0" * 5000])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config.json is malformed"):
        read_json(tmp_path / "config.json")


def test_mutated_files_give_one_line_and_take_no_more_memory_than_they_are_long(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    header = {
        "__metadata__": {"format": "pt"},
        "x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "y": {"dtype": "BF16", "shape": [3, 4], "data_offsets": [24, 48]},
        "z": {"dtype": "F16", "shape": [6], "data_offsets": [48, 60]},
    }
    path = by_hand(tmp_path, header, rng.bytes(60)) / "model.safetensors"
    whole = path.read_bytes()
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(3_000):
            content = bytearray(whole)
            for _ in range(rng.integers(1, 3)):
                place = int(rng.integers(len(content)))
                if rng.random() < 0.2:
                    del content[place : place + int(rng.integers(1, 9))]
                else:
                    content[place] = rng.choice([*b'0129"[]{},:-e', 0, 0xFF, rng.integers(256)])
            path.write_bytes(content)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                found = open_folder(tmp_path)
                with np.errstate(all="ignore"):
                    [found.read(name) for name in found.tensors]
            except WeightsError as error:
                refused += 1
                assert "\n" not in str(error)
            assert tracemalloc.get_traced_memory()[1] - before < 100_000 + 20 * len(whole)
    finally:
        tracemalloc.stop()
    assert 1_000 < refused < 2_990
