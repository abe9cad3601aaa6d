"""Asking the C library to keep its heap: an agreement or none, and no harm either way."""

from __future__ import annotations

import ctypes
import platform
import sys
from types import SimpleNamespace

import pytest

from minigrad.memory import keep_heap


def test_glibc_agrees_to_keep_its_heap_and_asking_again_is_harmless() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library")
    assert keep_heap() is True
    assert keep_heap() is True


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
