"""Formulas as trees, and how Python writes them.

A formula is a function of smaller ones, an `Expr`; names and numbers are its leaves. `SIGNS` says
which functions are written between their operands, and which bind more closely: one table for the
text that is printed here and for the mathematics that pages show.

>>> x, y = Name("x"), Name("y")
>>> text(Expr("multiply", (2, Expr("add", (x, y)))))
'2 · (x + y)'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType
from typing import NamedTuple, TypeAlias


class Name(str):
    """A name in a formula, or other words that stand as they are; a plain str is a string."""


@dataclass(frozen=True)
class Expr:
    """A function of some parts.

    head: the function's name, or one of these: "=" of the sides of an equation, "∂/∂" of what a
    derivative is taken by, "T" of what is transposed, "getitem" of an array and its indices,
    "slice" of its three ends, "list" and "tuple" of their items.
    args: what it is applied to. keywords: further parts, after their names.
    """

    head: str
    args: tuple[Part, ...]
    keywords: Keywords = ()

    @cached_property
    def written(self) -> tuple[str, int]:
        """Its text, and how closely that binds."""
        return write_function(self.head, self.args, self.keywords)


Part: TypeAlias = Expr | Name | float | str | EllipsisType | None
"""A formula: a function of parts, a name, or a constant."""

Keywords: TypeAlias = tuple[tuple[str, Part], ...]

EITHER, BOTH, COMPARISON, OR, XOR, AND, SUM, PRODUCT, MATRIX, MINUS, POWER, ATOM = range(12)
"""How closely parts bind, loosest first. Mathematics puts "∨" and "∧" below comparisons, Python "|"
and "&" above them; to mathematics, a product of matrices, and a fraction, bind closer than "·"."""


class Sign(NamedTuple):
    """What stands between two operands and how closely it binds, in Python and in mathematics.

    Where mathematics has no sign, it places the operands: above or beside one another.
    """

    python: str
    level: int
    mathematics: str
    mathematical_level: int


SIGNS = {
    "less": Sign("<", COMPARISON, "<", COMPARISON),
    "less_equal": Sign("<=", COMPARISON, "≤", COMPARISON),
    "greater": Sign(">", COMPARISON, ">", COMPARISON),
    "greater_equal": Sign(">=", COMPARISON, "≥", COMPARISON),
    "equal": Sign("==", COMPARISON, "=", COMPARISON),
    "not_equal": Sign("!=", COMPARISON, "≠", COMPARISON),
    "bitwise_or": Sign("|", OR, "∨", EITHER),
    "bitwise_xor": Sign("^", XOR, "⊕", EITHER),
    "bitwise_and": Sign("&", AND, "∧", BOTH),
    "add": Sign("+", SUM, "+", SUM),
    "subtract": Sign("-", SUM, "−", SUM),
    "multiply": Sign("*", PRODUCT, "·", PRODUCT),
    "divide": Sign("/", PRODUCT, "", MATRIX),
    "floor_divide": Sign("//", PRODUCT, "", ATOM),
    "remainder": Sign("%", PRODUCT, "mod", PRODUCT),
    "matmul": Sign("@", PRODUCT, "", MATRIX),
    "power": Sign("**", POWER, "", POWER),
}
"""The functions that are written between two operands."""

BY_SIGN = {sign.python: name for name, sign in SIGNS.items()} | {"neg": "negative"}
"""The functions by the signs of Python's operators, which Values call their operations by."""


def equation(*sides: Part) -> Expr:
    """Parts that are equal."""
    return Expr("=", sides)


def text(x: Part) -> str:
    """A formula as Python, but for "·", which is easier to read than "*"."""
    return write(x)[0]


def write(x: Part) -> tuple[str, int]:
    """The text of a formula, and how closely it binds."""
    match x:
        case Expr():
            return x.written
        case Name():
            return x, ATOM
        case bool() | int() | float():
            digits = number(x)
            return digits, MINUS if digits.startswith("-") else ATOM
    return "..." if x is ... else repr(x), ATOM


def write_function(head: str, args: tuple[Part, ...], keywords: Keywords) -> tuple[str, int]:
    """The text of a function of some parts, and how closely it binds."""
    match head, args:
        case _, (left, right) if head in SIGNS and not keywords:
            sign, level, *_ = SIGNS[head]
            strict = level in (COMPARISON, POWER)  # a < b < c and a**b**c mean something else
            sides = bracket(left, level + strict), bracket(right, level + 1)
            return f" {'·' if sign == '*' else sign} ".join(sides), level
        case "=", _:
            return " = ".join(map(text, args)), EITHER
        case "∂/∂", (name,):
            return f"∂/∂{text(name)}", ATOM
        case "negative", (operand,):
            return f"-{bracket(operand, POWER)}", MINUS
        case "T", (matrix,):
            return f"{bracket(matrix, ATOM)}.T", ATOM
        case "getitem", (array, *indices):
            return f"{bracket(array, ATOM)}[{join(indices)}]", ATOM
        case "slice", (start, stop, step):
            ends = start, stop, *(() if step is None else (step,))
            return ":".join("" if end is None else text(end) for end in ends), ATOM
        case "list", _:
            return f"[{join(args)}]", ATOM
        case "tuple", _:
            return f"({join(args)}{',' * (len(args) == 1)})", ATOM
    words = [text(arg) for arg in args] + [f"{key}={text(arg)}" for key, arg in keywords]
    return f"{head}({', '.join(words)})", ATOM


def bracket(x: Part, level: int) -> str:
    """The text of a part, in brackets if it binds less closely than `level`."""
    written, own = write(x)
    return written if own >= level else f"({written})"


def join(parts: Iterable[Part]) -> str:
    """Texts between commas."""
    return ", ".join(map(text, parts))


def number(x: float) -> str:
    """A number in at most six digits."""
    return f"{x:.6g}" if isinstance(x, float) else str(x)


def names_in(x: Part) -> Iterator[str]:
    """All names in a formula, those of functions too; not those of keywords."""
    if isinstance(x, Name):
        yield x
    elif isinstance(x, Expr):
        yield x.head
        for part in (*x.args, *(part for _, part in x.keywords)):
            yield from names_in(part)
