"""PyTorch, for the tests that compare with it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")
