"""Caller: what asks a tensor for its number, where Python's `float` and NumPy's C code look alike.

`float(loss)` is meant. `a[0] = loss` and `math.sqrt(loss)` call the same `__float__`, and what they
make of the number has no gradient: only the instruction that runs tells them apart.
"""

from __future__ import annotations

import dis
import math
from functools import lru_cache
from types import CodeType

ASSIGNMENT = "a[i] = t"
QUESTIONS = {"isnan", "isinf", "isfinite", "isclose"}
FORMATTING = "%"
HARMLESS = QUESTIONS | {FORMATTING}
"""What asks for a number, but makes none of it."""

LOSING = {
    ASSIGNMENT,
    "__setitem__",
    "fill",
    "fromiter",
    "float64",
    "double",
    "complex",
    "array",
    "pack",
} | {name for name in dir(math) if name not in QUESTIONS}
"""What goes on with a number for which the caller did not ask in so many words."""


@lru_cache(256)
def asking(code: CodeType, offset: int) -> str:
    """The name of the function that is called at an offset of this code, or what else is done
    there; "" where it cannot be told."""
    instructions = list(dis.get_instructions(code))
    now = next((x for x in instructions if x.offset == offset), None)
    if now is None or now.positions is None or now.positions.end_lineno is None:
        return ""
    if now.opname == "STORE_SUBSCR":
        return ASSIGNMENT
    if now.opname == "BINARY_OP":
        return FORMATTING
    if not now.opname.startswith("CALL"):
        return ""
    named = []  # a call and what it calls begin at the same place; what it calls is the longest
    for x in instructions[: instructions.index(now)]:
        at = x.positions
        if (
            x.opname.startswith("LOAD")
            and at is not None
            and (at.lineno, at.col_offset) == (now.positions.lineno, now.positions.col_offset)
            and at.end_lineno is not None
        ):
            named.append((at.end_lineno, at.end_col_offset, str(x.argval)))
    return max(named, default=(0, 0, ""))[2]
