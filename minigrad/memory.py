"""Asking the C library to keep memory that NumPy will soon want again."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
LARGEST = 1 << 25  # what glibc accepts as MMAP_THRESHOLD where it sets a limit


def keep_heap(size: int = 1 << 30) -> bool:
    """Tell glibc to keep up to `size` bytes of freed memory; True if it agreed.

    A training step frees what the next one allocates. By default glibc gives large blocks, and the
    top of the heap, back to the system each time, and the system hands them out again zeroed, a
    page at a time: a third of a small model's step. Elsewhere (macOS, Windows, musl) this does
    nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    blocks = mallopt(MMAP_THRESHOLD, size) or mallopt(MMAP_THRESHOLD, LARGEST)
    return bool(blocks and mallopt(TRIM_THRESHOLD, size))
