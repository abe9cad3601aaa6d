"""MathML: a formula set as one writes mathematics.

Fractions, powers, a sum with its axis below. Which brackets are needed is another matter here than
in Python: none around what a fraction holds, but some where ∑ or a brace would take in what comes
after it. A product of elements keeps its dot; a product of matrices is written without a sign.

>>> mathml(Expr("power", (Name("x"), 2)))
'<math displaystyle="true"><msup><mi>x</mi><mn>2</mn></msup></math>'
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from minigrad.formula import (
    ATOM,
    COMPARISON,
    EITHER,
    MATRIX,
    POWER,
    PRODUCT,
    SIGNS,
    Expr,
    Name,
    Part,
    number,
)

ASSOCIATIVE = {"bitwise_or", "bitwise_and", "add", "multiply", "matmul"}

SUMS = {"sum": "∑", "prod": "∏"}

ALONG_AXIS = {"all", "any", "cumsum", "flip", "log_softmax", "logsumexp", "max", "mean", "min",
              "norm", "softmax", "std", "var"}  # fmt: skip
"""Functions whose second argument is an axis, which is set as their index."""

SYMBOLS = {"maximum": "max", "minimum": "min", "inf": "∞", "pi": "π"}
"""Names that mathematics writes in another way."""

STRAIGHT = "border: solid; border-width: 0 1.3px; padding: 0 0.2em; margin: 0 0.1em"
ROUND = f"{STRAIGHT}; border-radius: 0.5em"
BRACE = "border-left: 1.3px solid; border-radius: 0.5em; margin: 0.1em"
"""Large brackets, as lines: only fonts made for mathematics, which many lack, have high ones."""

GAP = '<mspace width="0.28em"/>'


class Element(NamedTuple):
    """One MathML element, how closely it binds, and what to beware of beside it.

    One that begins with a `sign` must not follow an operator; a `greedy` one, which ends with what
    ∑ or a brace stands before, would take in what came after it.
    """

    xml: str
    level: int = ATOM
    sign: bool = False
    greedy: bool = False


def mathml(*lines: Part) -> str:
    """Formulas as `<math>…</math>`, safe to insert into a page; several make a table of lines.

    A name that is none, but other words, is shown as it is.

    >>> mathml(Name("<b>"))
    '<math displaystyle="true"><mtext>&lt;b&gt;</mtext></math>'
    """
    cells = [sides_of(line) for line in lines]
    inside = "".join(cells[0]) if len(cells) == 1 else table(cells)
    return f'<math displaystyle="true">{inside}</math>'


def sides_of(line: Part) -> list[str]:
    """The left side of an equation, and the others with the signs before them; or one formula."""
    match line:
        case Expr("=", (left, *others)):
            right = [xml for side in others for xml in (sign("="), part(side).xml)]
            return [part(left).xml, row(*right)]
    return [part(line).xml]


def part(x: Part, level: int = EITHER, *, follows: bool = False, goes_on: bool = False) -> Element:
    """A part of a formula, in brackets where it needs them.

    It needs them if it binds less closely than `level`, if it has a sign but `follows` another, or
    if it is greedy and the formula `goes_on` after it.
    """
    found = set_part(x)
    if found.level < level or (follows and found.sign) or (goes_on and found.greedy):
        return Element(fence("(", found.xml, ")"))
    return found


def set_part(x: Part) -> Element:
    """A part of a formula, without brackets around it."""
    match x:
        case Name():
            return Element(word(x))
        case bool() | None:
            return Element(upright(str(x)))
        case int() | float():
            return constant(x)
        case str():
            return Element(token("mtext", x))
        case Expr("∂/∂", (name,)):
            return Element(fraction(sign("∂"), row(sign("∂"), part(name).xml)), MATRIX)
        case Expr("negative", (operand,)):
            return negative(part(operand, PRODUCT, follows=True))
        case Expr("divide", (above, below), ()):
            return Element(fraction(part(above).xml, part(below).xml), MATRIX)
        case Expr("floor_divide", (a, b), ()):
            sides = part(a, PRODUCT, goes_on=True).xml, part(b, MATRIX, follows=True).xml
            return Element(row(sign("⌊"), *intersperse(sides, sign("/")), sign("⌋")))
        case Expr("power", (base, exponent), ()):
            return power(base, part(exponent).xml)
        case Expr(head, (a, b), ()) if head in SIGNS:
            return infix(head, a, b)
        case Expr("T", (matrix,)):
            return power(matrix, upright("T"))
        case Expr("getitem", (array, *indices)):
            return Element(element("msub", part(array, ATOM, goes_on=True).xml, index(*indices)))
        case Expr("tuple", items):
            return Element(fence("(", join(items), ")"))
        case Expr("list", items):
            return Element(fence("[", join(items), "]"))
        case Expr(head, args, keywords):
            return call(head, args, {key: x for key, x in keywords if key != "keepdims"})
    return Element(token("mi", "…"))


def infix(head: str, a: Part, b: Part) -> Element:
    """Two operands, and between them the sign of the function, or a gap if it has none."""
    _, _, symbol, level = SIGNS[head]
    is_same = head in ASSOCIATIVE and isinstance(b, Expr) and b.head == head
    left = part(a, level + (level == COMPARISON), goes_on=True)
    right = part(b, level + (not is_same), follows=True)
    between = sign(symbol) if symbol else GAP
    return Element(row(left.xml, between, right.xml), level, left.sign, right.greedy)


def negative(inner: Element) -> Element:
    """A minus sign before. (−a) · b and −(a · b) are the same, so neither has brackets."""
    level = min(inner.level, MATRIX)
    return Element(row(sign("−"), inner.xml), level, sign=True, greedy=inner.greedy)


def power(base: Part, exponent: str) -> Element:
    """A base with something above it."""
    return Element(element("msup", part(base, ATOM, goes_on=True).xml, exponent), POWER)


def root(xml: str) -> Element:
    """A square root, in brackets where no font would give it its height."""
    if is_tall(xml):
        return Element(row(sign("√"), fence("(", xml, ")")), POWER)
    return Element(element("msqrt", xml), POWER)


def cases(condition: Part, a: Part, b: Part) -> Element:
    """A brace before the values that are chosen from."""
    lines = table(choices(condition, a, b))
    return Element(f'<mrow style="{BRACE}">{hide("{")}{lines}</mrow>', greedy=True)


def choices(condition: Part, a: Part, b: Part) -> list[list[str]]:
    """Each value and when it is chosen: `a` if the condition holds, else `b` or one of its own."""
    first = [part(a).xml, row(token("mtext", "if"), GAP, part(condition).xml)]
    match b:
        case Expr("where", (other_condition, c, d)):
            return [first, *choices(other_condition, c, d)]
    return [first, [part(b).xml, token("mtext", "otherwise")]]


def call(name: str, args: Sequence[Part], keywords: Mapping[str, Part]) -> Element:
    """A function of its arguments: some have a notation of their own, the others stand upright."""
    match name, [*args, *keywords.values()]:
        case "exp", [x]:
            return Element(element("msup", word("e"), part(x).xml), POWER)
        case "sqrt", [x]:
            return root(part(x).xml)
        case "abs" | "absolute", [x]:
            return Element(fence("|", part(x).xml, "|"))
        case "square", [x]:
            return power(x, token("mn", "2"))
        case "reciprocal", [x]:
            return Element(fraction(token("mn", "1"), part(x).xml), MATRIX)
        case "where", [condition, a, b]:
            return cases(condition, a, b)
        case "swapaxes", [x, i, j]:
            return power(x, exchange(i, j))
    below, arguments, others = index_of(name, args, keywords)
    if name in SUMS and len(arguments) == 1 and not others:
        big = sign(SUMS[name])
        inner = part(arguments[0], PRODUCT, follows=True)
        big = element("munder", big, below) if below else big
        return Element(row(big, inner.xml), MATRIX, greedy=True)
    function = element("msub", word(name), below) if below else word(name)
    named = [row(upright(key), sign("="), part(x).xml) for key, x in others.items()]
    return Element(row(function, fence("(", join(arguments, named), ")")))


def index_of(
    name: str, args: Sequence[Part], keywords: Mapping[str, Part]
) -> tuple[str, Sequence[Part], Mapping[str, Part]]:
    """The axis, or einsum's letters, set as the function's index, "" without one; and what is left
    of the arguments."""
    key = "subscripts" if name == "einsum" else "axis"
    if key in keywords:
        return index(keywords[key]), args, {k: x for k, x in keywords.items() if k != key}
    if (name in SUMS or name in ALONG_AXIS) and len(args) > 1:
        return index(args[1]), [args[0], *args[2:]], keywords
    return "", args, keywords


def exchange(i: Part, j: Part) -> str:
    """What stands above a matrix that is transposed, or an array with two axes exchanged."""
    if {i, j} == {-1, -2}:
        return upright("T")
    return row(part(i).xml, sign("↔"), part(j).xml)


def index(*items: Part) -> str:
    """An index: a tuple without brackets; of a slice, where it begins and ends."""
    if len(items) != 1:
        return row(*intersperse(map(index, items)))
    match items[0]:
        case Expr("tuple", axes):
            return row(*intersperse(map(index, axes)))
        case Expr("slice", (start, stop, step)):
            ends = [part(end).xml if end is not None else "" for end in (start, stop)]
            ends += [part(step).xml] if step is not None else []
            return row(*intersperse(ends, '<mo lspace="0" rspace="0">:</mo>'))
        case str(letters) if not isinstance(letters, Name):
            return token("mtext", letters.replace("->", " → "))
    return part(items[0]).xml


def word(name: str) -> str:
    """A name: one letter is a variable, also with a number below; more letters stand upright."""
    if numbered := re.fullmatch(r"([a-zA-Z])(\d+)", name):
        return element("msub", token("mi", numbered[1]), token("mn", numbered[2]))
    name = SYMBOLS.get(name, name)
    if len(name) == 1:
        return token("mi", name)
    return upright(name) if name.replace(".", "_").isidentifier() else token("mtext", name)


def constant(x: float) -> Element:
    """A number, with its power of ten set as one."""
    digits = number(x)
    if digits.startswith("-"):
        return negative(constant(-x))
    if not isfinite(x):
        return Element(word(digits))
    mantissa, _, exponent = digits.partition("e")
    if not exponent:
        return Element(token("mn", mantissa))
    digits = token("mn", exponent.lstrip("+-0"))
    above = row(sign("−"), digits) if exponent.startswith("-") else digits
    ten = element("msup", token("mn", "10"), above)
    if mantissa == "1":
        return Element(ten, POWER)
    return Element(row(token("mn", mantissa), sign("·"), ten), PRODUCT)


def join(items: Iterable[Part], more: Iterable[str] = ()) -> str:
    """Formulas, and what is set already, between commas."""
    return row(*intersperse([*(part(x).xml for x in items), *more]))


def intersperse(items: Iterable[str], comma: str = "<mo>,</mo>") -> list[str]:
    """Elements with another between each two."""
    pieces = [piece for item in items for piece in (comma, item)]
    return pieces[1:]


def fraction(above: str, below: str) -> str:
    """One element over another, with room between the bar and the letters."""
    above += '<mspace height="0.75em" depth="0.32em"/>'
    below += '<mspace height="0.92em" depth="0.28em"/>'
    return element("mfrac", row(above), row(below))


def fence(left: str, xml: str, right: str) -> str:
    """An element between brackets, drawn as lines around what letters would be too low for."""
    if is_tall(xml) and left != "[":
        style = ROUND if left == "(" else STRAIGHT
        return f'<mrow style="{style}">{hide(left)}{xml}{hide(right)}</mrow>'
    return row(sign(left), xml, sign(right))


def is_tall(xml: str) -> bool:
    """Whether an element stands higher than letters."""
    return "<mfrac" in xml or "<mtable" in xml


def hide(symbol: str) -> str:
    """An operator that is read out, not seen."""
    return f'<mo style="font-size: 0">{symbol}</mo>'


def table(lines: Iterable[Iterable[str]]) -> str:
    """Lines below one another, each of cells whose text is on the left."""
    rows = [
        element("mtr", *(f'<mtd style="text-align: left">{xml}</mtd>' for xml in cells))
        for cells in lines
    ]
    return f'<mtable displaystyle="true">{"".join(rows)}</mtable>'


def row(*xml: str) -> str:
    """Elements as one."""
    return element("mrow", *xml)


def element(name: str, *xml: str) -> str:
    """An element that holds others."""
    return f"<{name}>{''.join(xml)}</{name}>"


def upright(name: str) -> str:
    """A word that is not set as a variable."""
    return f'<mi mathvariant="normal">{printable(name)}</mi>'


def sign(symbol: str) -> str:
    """An operator."""
    return token("mo", symbol)


def token(name: str, text: str) -> str:
    """An element that holds text."""
    return element(name, printable(text))


def printable(text: str) -> str:
    """Text for XML: its signs escaped, and what no font shows replaced."""
    return html.escape("".join(c if c.isprintable() else "�" for c in text))
