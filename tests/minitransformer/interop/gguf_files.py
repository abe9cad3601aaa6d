"""GGUF files, written for tests."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

Tensors = dict[str, tuple[int, tuple[int, ...], bytes]]
"""Each tensor's kind by number, shape, and content."""


def text(x: str) -> bytes:
    return struct.pack("<Q", len(x.encode())) + x.encode()


def value(x: Any) -> bytes:
    """The kind of a value of the metadata, and the value."""
    if isinstance(x, bool):
        return struct.pack("<I?", 7, x)
    if isinstance(x, int):
        return struct.pack("<II", 4, x)
    if isinstance(x, float):
        return struct.pack("<If", 6, x)
    if isinstance(x, str):
        return struct.pack("<I", 8) + text(x)
    if isinstance(x, np.ndarray):
        kind, content = {"int32": 5, "float32": 6, "bool": 7}[x.dtype.name], x.tobytes()
    else:
        kind, content = 8, b"".join(map(text, x))
    return struct.pack("<IIQ", 9, kind, len(x)) + content


def gguf(
    metadata: dict[str, Any], tensors: Tensors, alignment: int = 32, version: int = 3
) -> bytes:
    """The bytes of a file; its metadata say the alignment where it is not the usual one."""
    entries = [text(name) + value(x) for name, x in metadata.items()]
    about, content = [], b""
    for name, (kind, shape, data) in tensors.items():
        content += bytes(-len(content) % alignment)
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        about.append(text(name) + sizes + struct.pack("<IQ", kind, len(content)))
        content += data
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries))
    header += b"".join(entries + about)
    return header + bytes(-len(header) % alignment) + content
