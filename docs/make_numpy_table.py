"""Write `docs/numpy.md`, what becomes of each function of NumPy: `python docs/make_numpy_table.py`.

The rows of the table and the lists in `minigrad/table.py` say it; this puts them in order.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.op import Op
from minigrad.table import CONSTANT, INSTEAD, NUMPY

PAGE = Path(__file__).parent / "numpy.md"
OUTDATED = {"row_stack"}
"""Names for which NumPy warns."""

INTRODUCTION = """\
# NumPy's functions

What each public function of `numpy`, `numpy.linalg` and `numpy.fft` (NumPy {version}) does when it
is given a Tensor. `python docs/make_numpy_table.py` makes this page from the table of rules and
[`minigrad/table.py`](../minigrad/table.py); a test calls every function of the first three
lists.
"""
RECORDED = """\
## Recorded

{count} functions give a Tensor, or several, through which gradients flow, to any order. Where the
op that differentiates one has another name, it stands in brackets; `minigrad ops NAME` prints its
rule.

An argument that has no rule, such as `out`, is an error that names it.
"""
ARE_CONSTANT = """\
## Constant

Questions about an array, and functions whose derivative is zero wherever it exists. They give plain
arrays, so no gradient flows through them: {names}.
"""
REFUSED = """\
## Refused

A TypeError that says what to write instead. Where no gradient is needed, pass `t.data`.

| Function | Instead |
| :--- | :--- |
"""
NO_ARRAYS = """\
## Not about arrays of numbers

Sizes, dtypes, dates, files, printing and settings: {names}.
"""


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions of NumPy that the page is about, and what they are called: np.linalg.inv."""
    for module, prefix in ((np, "np"), (np.linalg, "np.linalg"), (np.fft, "np.fft")):
        for name in sorted({*module.__all__} - OUTDATED - {"test"}):
            function = getattr(module, name)
            if callable(function) and not isinstance(function, type):
                yield f"{prefix}.{name}", function


def decision(name: str, function: Callable[..., Any]) -> str:
    """What becomes of a Tensor: "recorded", "constant", "refused", or "" where none can come in."""
    if function in NUMPY:
        return "recorded"
    if function in CONSTANT:
        return "constant"
    return "refused" if name in INSTEAD else ""


def kind(row: Op) -> str:
    """The heading that a row stands under: the first words of the file that it is written in."""
    written = next(f for f in (row.definition, *row.rules) if f is not None)
    return (inspect.getdoc(sys.modules[written.__module__]) or "").partition(":")[0].rstrip(".")


def listed(names: list[str]) -> str:
    """Names as code, one after the other."""
    return ", ".join(f"`{name}`" for name in names)


def page() -> str:
    """The text of the page."""
    recorded: dict[str, list[str]] = {}
    decided: dict[str, list[str]] = {"recorded": [], "constant": [], "refused": [], "": []}
    for name, function in public_functions():
        what = decision(name, function)
        decided[what].append(name)
        if what == "recorded":
            row = NUMPY[function]
            also = "" if row.name == name.rpartition(".")[2] else f" (`{row.name}`)"
            recorded.setdefault(kind(row), []).append(f"`{name}`{also}")
    instead: dict[str, list[str]] = {}
    for name in decided["refused"]:
        instead.setdefault(INSTEAD[name], []).append(name)
    version = ".".join(np.__version__.split(".")[:2])
    lines = [
        INTRODUCTION.format(version=version),
        RECORDED.format(count=len(decided["recorded"])),
        *(f"**{heading}.** {', '.join(names)}.\n" for heading, names in sorted(recorded.items())),
        ARE_CONSTANT.format(names=listed(decided["constant"])),
        REFUSED + "\n".join(f"| {listed(names)} | {text} |" for text, names in instead.items()),
        "",
        NO_ARRAYS.format(names=listed(decided[""])),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
