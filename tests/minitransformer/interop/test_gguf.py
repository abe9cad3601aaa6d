"""GGUF files are read as the package `gguf` reads them, and bad ones refused in one line."""

from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer.interop.gguf import GGUFError, open_gguf
from tests.minitransformer.interop.gguf_files import gguf, text

METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.rope.freq_base": 0.5,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.tokens": ["<s>", "", "straße"],
    "tokenizer.ggml.token_type": np.array([3, 1, -1], np.int32),
    "switches": np.array([True, False]),
}


def small(rng: np.random.Generator) -> bytes:
    """A file with a tensor of each kind."""
    scales = rng.standard_normal((6, 2)).astype("<f2")
    q4_0, q4_1 = (
        b"".join(scales[i, :n].tobytes() + rng.bytes(16) for i in range(6)) for n in (1, 2)
    )
    q8_0 = b"".join(scales[i, :1].tobytes() + rng.bytes(32) for i in range(6))
    x = rng.standard_normal((3, 5)).astype("<f4")
    tensors = {
        "f32": (0, (3, 5), x.tobytes()),
        "f16": (1, (15,), x.astype("<f2").tobytes()),
        "q4_0": (2, (3, 64), q4_0),
        "q4_1": (3, (3, 2, 32), q4_1),
        "q8_0": (8, (6, 32), q8_0),
        "bf16": (30, (5, 3), x.tobytes()[:30]),
    }
    return gguf(METADATA, tensors)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


def fault(folder: Path, content: bytes) -> str:
    with pytest.raises(GGUFError) as error:
        open_gguf(written(folder, content))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_metadata_are_what_was_written(tmp_path: Path) -> None:
    found = open_gguf(written(tmp_path, gguf(METADATA, {}))).metadata
    assert list(found) == list(METADATA)
    for name, x in METADATA.items():
        same = np.array_equal(found[name], x) if isinstance(x, np.ndarray) else found[name] == x
        assert same, name
    assert found["tokenizer.ggml.add_bos_token"] is False


@pytest.mark.parametrize(
    ("kind", "form", "x"),
    [(0, "B", 200), (1, "b", -5), (2, "H", 60_000), (3, "h", -3), (5, "i", -70_000),
     (10, "Q", 2**63), (11, "q", -(2**60)), (12, "d", 0.1)],
)  # fmt: skip
def test_numbers_of_every_width(tmp_path: Path, kind: int, form: str, x: float) -> None:
    entry = text("x") + struct.pack(f"<I{form}", kind, x)
    content = b"GGUF" + struct.pack("<IQQ", 2, 0, 1) + entry
    assert open_gguf(written(tmp_path, content)).metadata == {"x": x}


def test_tensors_have_the_last_axis_that_the_file_puts_first(tmp_path: Path) -> None:
    file = open_gguf(written(tmp_path, small(np.random.default_rng(0))))
    assert file.read("f32").shape == (3, 5) == file.tensors["f32"].shape
    assert all(file.read(name).dtype == np.float32 for name in file.tensors)


def test_quantised_numbers_by_hand(tmp_path: Path) -> None:
    scale, least = np.float16(0.5).tobytes(), np.float16(-3).tobytes()
    low_then_high = bytes([0xA1] + [0] * 15)  # the 1st number is 1, the 17th is 10
    whole = bytes([0xFF, 2] + [0] * 30)
    path = written(
        tmp_path,
        gguf(
            {},
            {
                "q4_0": (2, (32,), scale + low_then_high),
                "q4_1": (3, (32,), scale + least + low_then_high),
                "q8_0": (8, (32,), scale + whole),
                "bf16": (30, (2,), b"\x80\x3f\x00\xc0"),
            },
        ),
    )
    file = open_gguf(path)
    assert file.read("q4_0")[[0, 1, 16]].tolist() == [-3.5, -4, 1]
    assert file.read("q4_1")[[0, 1, 16]].tolist() == [-2.5, -3, 2]
    assert file.read("q8_0")[:3].tolist() == [-0.5, 1, 0]
    assert file.read("bf16").tolist() == [1, -2]


def test_the_reference_reads_the_same(tmp_path: Path) -> None:
    reference = pytest.importorskip("gguf")
    path = written(tmp_path, small(np.random.default_rng(1)))
    file, theirs = open_gguf(path), reference.GGUFReader(path)
    assert list(file.tensors) == [x.name for x in theirs.tensors]
    for x in theirs.tensors:
        expected = reference.quants.dequantize(x.data, x.tensor_type)
        # Tensors of F32 and F16 come in their own dtype there.
        assert np.array_equal(file.read(x.name), expected.astype(np.float32), equal_nan=True)
    for name, x in METADATA.items():
        assert list(np.ravel(theirs.fields[name].contents())) == list(np.ravel(x))


def test_what_the_reference_writes_can_be_read(tmp_path: Path) -> None:
    reference = pytest.importorskip("gguf")
    rng = np.random.default_rng(2)
    kind = reference.GGMLQuantizationType
    writer = reference.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_custom_alignment(64)
    writer.add_token_list(["a", "b"])
    x = rng.standard_normal((4, 64)).astype(np.float32)
    writer.add_tensor("plain", x)
    packed = reference.quants.quantize(x, kind.Q4_1)
    writer.add_tensor("packed", packed, raw_dtype=kind.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = open_gguf(tmp_path / "model.gguf")
    assert file.metadata["tokenizer.ggml.tokens"] == ["a", "b"]
    assert np.array_equal(file.read("plain"), x)
    assert np.array_equal(file.read("packed"), reference.quants.dequantize(packed, kind.Q4_1))


def test_what_is_no_such_file(tmp_path: Path) -> None:
    assert "is no GGUF file: it begins with b'PK" in fault(tmp_path, b"PK\x03\x04" + bytes(40))
    assert "is no GGUF file: it begins with b''" in fault(tmp_path, b"")
    with pytest.raises(FileError, match=r"cannot read .*: No such file"):
        open_gguf(tmp_path / "none.gguf")
    with pytest.raises(FileError, match=r"cannot read .*: Is a directory"):
        open_gguf(tmp_path)
    os.mkfifo(tmp_path / "pipe.gguf")  # nothing would ever come out of it
    with pytest.raises(FileError, match=r"cannot read .*: not an ordinary file"):
        open_gguf(tmp_path / "pipe.gguf")


def test_other_versions(tmp_path: Path) -> None:
    assert "of version 1; 2 and 3 are" in fault(tmp_path, gguf({}, {}, version=1))
    big = b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    assert "big-endian" in fault(tmp_path, big)


def test_other_kinds_are_named(tmp_path: Path) -> None:
    told = fault(tmp_path, gguf({}, {"blk.0.attn_q.weight": (12, (256,), bytes(144))}))
    assert "blk.0.attn_q.weight as Q4_K, which is not supported; fetch the model as one of" in told
    assert "as kind 99," in fault(tmp_path, gguf({}, {"x": (99, (256,), bytes(144))}))


def entry(name: str, kind: int, content: bytes) -> bytes:
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    return header + text(name) + struct.pack("<I", kind) + content


def tensor(shape: tuple[int, ...], kind: int = 0, begin: int = 0, name: str = "x") -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, begin)


def with_tensors(*tensors: bytes, data: int = 64) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + b"".join(tensors) + bytes(data)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "a name in the metadata needs 8 bytes"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "a tensor's name needs 8 bytes at byte 24"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "needs 4,611,686,018,427,387,904 bytes"),
        (entry("a", 8, struct.pack("<Q", 2**63)), "a needs 9,223,372,036,854,775,808 bytes"),
        (entry("a", 8, struct.pack("<Q", 2) + b"\xff\xff"), "a is not UTF-8"),
        (entry("a\nb", 0, b"x"), r"a name in the metadata is 'a\nb'"),
        (with_tensors(tensor((1,), name="x" * 201)), "a tensor's name is 'xxxx"),
        (entry("a", 13, b""), "a has a value of unknown kind 13"),
        (entry("a", 9, struct.pack("<IQ", 5, 2**62)), "a needs 18,446,744,073,709,551,616 bytes"),
        (entry("a", 9, struct.pack("<IQ", 8, 2**62)), "a needs 8 bytes"),
        (entry("a", 9, struct.pack("<IQIQ", 9, 1, 9, 1)), "a is an array of kind 9"),
        (gguf({}, {})[:16] + struct.pack("<Q", 2) + (text("a") + struct.pack("<I?", 7, 1)) * 2,
         "a stands in the metadata twice"),
        (gguf({"general.alignment": 0}, {}), "general.alignment is a power of two, not 0"),
        (gguf({"general.alignment": 48}, {}), "general.alignment is a power of two, not 48"),
        (gguf({"general.alignment": "32"}, {}), "general.alignment is a power of two, not '32'"),
        (with_tensors(tensor(())), "x has 0 axes, not 1 to 4"),
        (with_tensors(tensor((1,) * 5)), "x has 5 axes, not 1 to 4"),
        (with_tensors(tensor((0,))), "x of kind F32 has the sizes [0]"),
        (with_tensors(tensor((33,), kind=3)), "x of kind Q4_1 has the sizes [33]"),
        (with_tensors(tensor((2**40, 2**40))), "its tensors end at byte"),
        (with_tensors(tensor((16,)), data=2), "its tensors end at byte"),
        (with_tensors(tensor((4,), begin=32)), "x begins at 32, not at 0"),
        (with_tensors(tensor((4,)), tensor((4,), name="y")), "y begins at 0, not at 32"),
        (with_tensors(tensor((4,)), tensor((4,), begin=32)), "two tensors are called x"),
    ],
)  # fmt: skip
def test_what_cannot_be(tmp_path: Path, content: bytes, told: str) -> None:
    assert told in fault(tmp_path, content)


def test_a_file_cut_short_anywhere(tmp_path: Path) -> None:
    whole = small(np.random.default_rng(3))
    for length in range(len(whole)):
        fault(tmp_path, whole[:length])


def test_a_file_cut_short_after_it_was_opened(tmp_path: Path) -> None:
    whole = small(np.random.default_rng(4))
    file = open_gguf(written(tmp_path, whole))
    written(tmp_path, whole[:-1])
    with pytest.raises(GGUFError, match="cut short while it was being read"):
        file.read("bf16")


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, most often at the front, or a piece taken out."""
    result = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        end = len(result) if rng.random() < 0.3 else min(len(result), 700)
        place = int(rng.integers(end))
        if rng.random() < 0.2:
            del result[place : place + int(rng.integers(1, 9))]
        else:
            result[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))])
    return bytes(result)


def test_mutated_files_give_one_line_and_take_no_more_memory_than_they_are_long(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(5)
    whole = small(rng)
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(3_000):
            path = written(tmp_path, mutated(whole, rng))
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                read_all(path)
            except GGUFError as error:
                refused += 1
                assert "\n" not in str(error)
            # a buffer of the file system's block size, and 32 bytes become 128 of float32
            assert tracemalloc.get_traced_memory()[1] - before < 100_000 + 20 * len(whole)
    finally:
        tracemalloc.stop()
    assert 1_000 < refused < 2_990


def read_all(path: Path) -> Any:
    file = open_gguf(path)
    with np.errstate(all="ignore"):  # a changed scale may be infinite
        return [file.read(name) for name in file.tensors]
