"""Words and numbers as a picture says them: ops, constants, params, shapes, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.formula import BY_SIGN
from minigrad.op import Op
from minigrad.table import TABLE
from viz.graphs.nodes import Table

FEW = 16  # numbers, which are all shown
SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def without_number(name: str) -> str:
    """A call's name without its number."""
    return name.partition(" (")[0]


def comparable(name: str) -> str:
    """A name reduced to what counts when a module's is compared with its class or an op."""
    return without_number(name).replace("_", "").replace(" ", "").casefold()


def display_name(op: Op) -> str:
    """An op's symbol if it consists of words, otherwise its name."""
    words = op.symbol.replace(" ", "")
    return op.symbol if words.isascii() and words.isalnum() else op.name.replace("_", " ")


def operation_text(op: str) -> str:
    """A Value's operation as one would write it; a number as the exponent is part of it."""
    if op.startswith("**") and len(op) > 2:
        return power_text("x", number_text(float(op[2:])))
    if op == "neg":
        return "−x"
    return TABLE[BY_SIGN[op]].symbol if op in BY_SIGN else op


def operands_text(op: Op, texts: Sequence[str | None]) -> str:
    """The constant numbers among an op's inputs (None for the others), as one would write them."""
    if not any(texts):
        return ""
    if op.name == "where":
        _, chosen, otherwise = texts
        said = [f"{chosen} where true" if chosen else "", f"else {otherwise}" if otherwise else ""]
        return " ".join(filter(None, said))
    if op.family != "elementwise" or len(texts) != 2:
        named = zip(op.input_names, texts, strict=False)
        return " ".join(f"{name}={text}" for name, text in named if text)
    left, right = texts[0] or "x", texts[1] or "x"
    if op.name == "power":
        return power_text(left, right)
    if op.symbol.isalpha():
        return f"({left}, {right})"
    return f"{left} {op.symbol} {right}" if texts[0] else f"{op.symbol} {right}"


def power_text(base: str, exponent: str) -> str:
    """A power, its exponent raised where there are signs for that."""
    if exponent.lstrip("−").isdigit():
        return base + exponent.translate(SUPERSCRIPTS)
    return f"{base}^{exponent}"


def index_text(index: Any) -> str:
    """An index as one writes it; an array in it is only called one."""
    if isinstance(index, tuple):
        return ", ".join(map(index_text, index))
    if isinstance(index, slice):
        parts = ["" if x is None else str(x) for x in (index.start, index.stop, index.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if index is Ellipsis:
        return "…"
    return "array" if np.ndim(index) else str(index)


def param_text(x: Any) -> str:
    """A param in few characters."""
    if isinstance(x, float):
        return f"{x:.6g}"  # of one that has been a float32 more digits are noise
    text = np.dtype(x).name if isinstance(x, type | np.dtype) else str(x)
    return text if len(text) <= 24 else text[:23] + "…"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as "2×5×64"; "scalar" where there are no axes."""
    return "×".join(map(str, shape)) or "scalar"


def count_of(n: int, what: str) -> str:
    """A number of things, as in "3 ops"; large numbers in three digits."""
    size, unit = next((x for x in ((10**9, " B"), (10**6, " M")) if n >= 0.9995 * x[0]), (1, ""))
    return f"{n / size:.3g}{unit} {what}s" if unit else f"{n:,} {what}{'s' * (n != 1)}"


def number_text(x: Any) -> str:
    """A number in four digits."""
    text = f"{x:,}" if isinstance(x, int) and not isinstance(x, bool) else f"{x:.4g}"
    return text.replace("-", "−").replace("inf", "∞")


def table_of(array: Any) -> Table:
    """An array's elements if they are few, otherwise a summary."""
    if array.size == 0:
        return (("empty",),)
    rows = np.atleast_2d(array)
    height, width = rows.shape[-2:]
    if array.ndim <= 2 and array.size <= FEW and height <= 8 and width <= 6:
        return tuple(tuple(map(number_text, row)) for row in rows.tolist())
    if array.dtype.kind in "biu":
        low, high = (number_text(x.item()) for x in (array.min(), array.max()))
        return ((f"min {low} · max {high}",),)
    finite = array[np.isfinite(array)].astype(float)  # of which a sum does not overflow
    told = []
    if finite.size:
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = finite.mean().item(), finite.std().item()
        told += [f"mean {number_text(mean)}", f"std {number_text(std)}"]
    if finite.size < array.size:
        told.append(f"{array.size - finite.size:,} not finite")
    return ((" · ".join(told),),)
