"""Asking the C library to keep its heap: an agreement or none, and no harm either way."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from minigrad.memory import keep_heap


def test_it_says_whether_the_library_agreed_and_memory_works_as_before() -> None:
    assert keep_heap() in (True, False)
    for size in (1, 1 << 10, 1 << 20, 1 << 22):
        x = np.arange(size)
        assert x[-1] == size - 1
    assert keep_heap() is keep_heap()  # asking again is harmless


def test_it_does_nothing_outside_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(ctypes, "CDLL")
    assert keep_heap() is False


def test_it_does_nothing_where_the_library_has_no_such_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert keep_heap() is False


def test_a_refusal_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *_: 0))
    assert keep_heap() is False
