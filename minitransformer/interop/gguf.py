"""GGUF: one file with a model's settings, its tokens and its weights, mostly quantised.

The layout is that of ggml's specification, `docs/gguf.md`, versions 2 and 3, little-endian: a magic
number, counts, the metadata, what each tensor is and where, then the tensors one after the other.
A length that the file gives is compared with the file's own before anything is read or made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from minigrad.files import FileError, StrPath, require_ordinary, trying_to
from minigrad.tensor import Array

Blocks = npt.NDArray[Any]


class GGUFError(FileError):
    """A GGUF file that cannot be used; the message is one line."""


def from_4_bits(blocks: Blocks) -> Array:
    """(N, 32) whole numbers from 0 to 15: the low halves of 16 bytes, then the high ones."""
    packed = blocks["packed"]
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def column(blocks: Blocks, name: str) -> Array:
    """(N, 1) float32: a field that each block has once."""
    x: Array = blocks[name][:, None].astype(np.float32)
    return x


def from_q4_0(blocks: Blocks) -> Array:
    return (from_4_bits(blocks).view(np.int8) - np.int8(8)) * column(blocks, "scale")


def from_q4_1(blocks: Blocks) -> Array:
    x: Array = from_4_bits(blocks) * column(blocks, "scale")
    x += column(blocks, "least")
    return x


def from_q8_0(blocks: Blocks) -> Array:
    x: Array = blocks["whole"] * column(blocks, "scale")
    return x


def from_bfloat16(halves: Blocks) -> Array:
    """float32 with the sign, the exponent and the first 7 bits that bfloat16 has kept."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


class Kind(NamedTuple):
    """How numbers are stored: `block` of them in each item of a dtype, and how to get them out."""

    name: str
    block: int
    dtype: np.dtype[Any]
    to_float32: Callable[[Blocks], Array]


KINDS = {
    0: Kind("F32", 1, np.dtype("<f4"), lambda x: x.astype(np.float32)),
    1: Kind("F16", 1, np.dtype("<f2"), lambda x: x.astype(np.float32)),
    2: Kind("Q4_0", 32, np.dtype([("scale", "<f2"), ("packed", "u1", 16)]), from_q4_0),
    3: Kind(
        "Q4_1", 32, np.dtype([("scale", "<f2"), ("least", "<f2"), ("packed", "u1", 16)]), from_q4_1
    ),
    8: Kind("Q8_0", 32, np.dtype([("scale", "<f2"), ("whole", "i1", 32)]), from_q8_0),
    30: Kind("BF16", 1, np.dtype("<u2"), from_bfloat16),
}

OTHERS = {
    6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
    15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""What the kinds are called that are not read here."""

NUMBERS = {
    0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "u1", 10: "<u8",
    11: "<i8", 12: "<f8",
}  # fmt: skip
"""The dtypes of metadata by number; 7 is a truth value."""

BOOL, STRING, ARRAY = 7, 8, 9


class Stored(NamedTuple):
    """A tensor in a file: its kind, its shape as NumPy has it, and the byte at which it begins."""

    kind: Kind
    shape: tuple[int, ...]
    begin: int

    @property
    def bytes(self) -> int:
        """How long it is there."""
        return prod(self.shape) // self.kind.block * self.kind.dtype.itemsize


@dataclass(frozen=True)
class GGUF:
    """A file's metadata and what tensors there are; `read` gets one of them.

    A value of the metadata is a bool, int, float or str, a list of str, or an array of numbers.
    """

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Stored]

    def read(self, name: str) -> Array:
        """A tensor, dequantised: float32. GGUFError where the file is shorter than it was."""
        stored = self.tensors[name]
        with trying_to("read", self.path), self.path.open("rb") as file:
            file.seek(stored.begin)
            content = file.read(stored.bytes)
        if len(content) < stored.bytes:
            raise GGUFError(f"{self.path} was cut short while it was being read")
        blocks = np.frombuffer(content, stored.kind.dtype)
        return stored.kind.to_float32(blocks).reshape(stored.shape)


def open_gguf(path: StrPath) -> GGUF:
    """Read all of a file but the tensors. GGUFError says what is wrong with it, in one line."""
    path = Path(path)
    require_ordinary(path)
    with trying_to("read", path), path.open("rb") as file:
        header = Header(path, file, os.fstat(file.fileno()).st_size)
        count, entries = header.begin()
        metadata: dict[str, Any] = {}
        for _ in range(entries):
            name = header.name("a name in the metadata")
            if name in metadata:
                raise header.malformed(f"{name} stands in the metadata twice")
            metadata[name] = header.value(header.number("<u4"), name)
        return GGUF(path, metadata, header.tensors(count, metadata.get("general.alignment", 32)))


class Header:
    """What stands before the tensors, read from the front to the back."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path, self.file, self.size, self.position = path, file, size, 0

    def malformed(self, fault: str) -> GGUFError:
        """The error that says so, and what to do."""
        return GGUFError(f"{self.path} is malformed ({fault}); fetch it again")

    def take(self, count: int, what: str) -> bytes:
        """The next bytes."""
        content = self.file.read(count) if count <= self.size - self.position else b""
        if len(content) < count:
            raise self.malformed(
                f"{what} needs {count:,} bytes at byte {self.position:,}, "
                f"and the file has {self.size:,}"
            )
        self.position += count
        return content

    def number(self, dtype: str) -> Any:
        """The next number, an int or a float."""
        kind = np.dtype(dtype)
        return np.frombuffer(self.take(kind.itemsize, "a number"), kind)[0].item()

    def string(self, what: str) -> str:
        """The next string: its length, then UTF-8."""
        content = self.take(int.from_bytes(self.take(8, what), "little"), what)
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise self.malformed(f"{what} is not UTF-8") from None

    def name(self, what: str) -> str:
        """The next string, fit to be shown in an error."""
        name = self.string(what)
        if not name.isprintable() or len(name) > 200:
            raise self.malformed(f"{what} is {name[:40]!r}")
        return name

    def begin(self) -> tuple[int, int]:
        """How many tensors there are, and how many entries of metadata."""
        if (magic := self.file.read(4)) != b"GGUF":
            raise GGUFError(f"{self.path} is no GGUF file: it begins with {magic!r}, not b'GGUF'")
        self.position = 4
        version = self.number("<u4")
        if version not in (2, 3):
            if int.from_bytes(version.to_bytes(4, "big"), "little") in (2, 3):
                raise GGUFError(f"{self.path} is big-endian, which is not supported")
            raise GGUFError(f"{self.path} is GGUF of version {version}; 2 and 3 are supported")
        return self.number("<u8"), self.number("<u8")

    def value(self, kind: int, name: str) -> Any:
        """The next value of the metadata, of a kind."""
        if kind == STRING:
            return self.string(name)
        if kind == ARRAY:
            return self.array(self.number("<u4"), self.number("<u8"), name)
        if kind not in NUMBERS:
            raise self.malformed(f"{name} has a value of unknown kind {kind}")
        value = self.number(NUMBERS[kind])
        return bool(value) if kind == BOOL else value

    def array(self, kind: int, count: int, name: str) -> Any:
        """The next values, all of one kind."""
        if kind == STRING:
            return [self.string(name) for _ in range(count)]
        if kind not in NUMBERS:  # ggml reads no arrays of arrays either
            raise self.malformed(f"{name} is an array of kind {kind}, not of numbers or strings")
        dtype = np.dtype(NUMBERS[kind])
        values = np.frombuffer(self.take(count * dtype.itemsize, name), dtype)
        return values != 0 if kind == BOOL else values

    def tensors(self, count: int, alignment: Any) -> dict[str, Stored]:
        """What tensors there are; they lie side by side, each begun at a multiple of alignment."""
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self.malformed(f"general.alignment is a power of two, not {alignment!r}")
        found: dict[str, Stored] = {}
        end = 0
        for _ in range(count):
            name = self.name("a tensor's name")
            if name in found:
                raise self.malformed(f"two tensors are called {name}")
            kind, shape = self.shape(name)
            begin = self.number("<u8")
            expected = aligned(end, alignment)
            if begin != expected:  # so no byte belongs to two of them
                raise self.malformed(f"{name} begins at {begin:,}, not at {expected:,}")
            found[name] = Stored(kind, shape, begin)
            end = begin + found[name].bytes
        start = aligned(self.position, alignment)
        if found and start + end > self.size:
            raise self.malformed(
                f"its tensors end at byte {start + end:,}, and the file has {self.size:,}"
            )
        return {name: x._replace(begin=start + x.begin) for name, x in found.items()}

    def shape(self, name: str) -> tuple[Kind, tuple[int, ...]]:
        """The kind and shape of the next tensor."""
        axes = self.number("<u4")
        if not 1 <= axes <= 4:
            raise self.malformed(f"{name} has {axes} axes, not 1 to 4")
        sizes = [self.number("<u8") for _ in range(axes)]  # the last axis comes first
        number = self.number("<u4")
        if number not in KINDS:
            known = ", ".join(kind.name for kind in KINDS.values())
            raise GGUFError(
                f"{self.path} stores {name} as {OTHERS.get(number, f'kind {number}')}, "
                f"which is not supported; fetch the model as one of {known}"
            )
        kind = KINDS[number]
        if not all(sizes) or sizes[0] % kind.block:
            raise self.malformed(f"{name} of kind {kind.name} has the sizes {sizes}")
        return kind, tuple(reversed(sizes))


def aligned(position: int, alignment: int) -> int:
    """The first multiple of alignment from here on."""
    return -(-position // alignment) * alignment
