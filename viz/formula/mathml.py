"""MathML: a formula that is written as Python, set as one writes mathematics.

Fractions, powers, a sum with its axis below. Which brackets are needed is another matter there:
none around what a fraction holds, but some where ∑ or a brace would take in what comes after it.
A product of elements keeps its dot; a product of matrices is written without a sign.

>>> mathml("x ** 2")
'<math displaystyle="true"><msup><mi>x</mi><mn>2</mn></msup></math>'
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

OR, AND, COMPARISON, SUM, PRODUCT, MATRIX, POWER, ATOM = range(8)
"""How closely the parts of a formula bind; a fraction binds as a product of matrices does."""

INFIX: dict[type[ast.AST], tuple[str, int]] = {
    ast.Or: ("∨", OR),
    ast.BitOr: ("∨", OR),
    ast.BitXor: ("⊕", OR),
    ast.And: ("∧", AND),
    ast.BitAnd: ("∧", AND),
    ast.Lt: ("<", COMPARISON),
    ast.LtE: ("≤", COMPARISON),
    ast.Gt: (">", COMPARISON),
    ast.GtE: ("≥", COMPARISON),
    ast.Eq: ("=", COMPARISON),
    ast.NotEq: ("≠", COMPARISON),
    ast.Add: ("+", SUM),
    ast.Sub: ("−", SUM),
    ast.Mult: ("·", PRODUCT),
    ast.MatMult: ("", MATRIX),
    ast.Mod: ("mod", PRODUCT),
}
"""What is written between two operands; between two matrices, only a gap."""

ASSOCIATIVE = (ast.BitOr, ast.BitAnd, ast.Add, ast.Mult, ast.MatMult)

PREFIX: dict[type[ast.AST], str] = {ast.USub: "−", ast.UAdd: "+", ast.Invert: "¬", ast.Not: "¬"}

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


class Formula(NamedTuple):
    """One MathML element, how closely it binds, and what to beware of beside it.

    One that begins with a `sign` must not follow an operator; a `greedy` one, which ends with what
    ∑ or a brace stands before, would take in what came after it.
    """

    xml: str
    level: int = ATOM
    sign: bool = False
    greedy: bool = False


@lru_cache(maxsize=4096)
def mathml(text: str) -> str:
    """A formula as `<math>…</math>`, safe to insert into a page; several lines make a table.

    text: Python with "·" for products; each line an expression, or "name = expression". What
    does not read so is shown as it is. Never fails.

    >>> mathml("<b>")
    '<math displaystyle="true"><mtext>&lt;b&gt;</mtext></math>'
    """
    lines = [equation(line) for line in text.splitlines()]
    inside = "".join(lines[0]) if len(lines) == 1 else table(lines)
    return f'<math displaystyle="true">{inside}</math>'


def equation(line: str) -> list[str]:
    """The left side of a line, and the right one with the sign before it; or its one formula."""
    sides = line.replace("·", "*").replace("…", "...").split(" = ")
    try:
        formulas = [one_side(side.strip()) for side in sides]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [token("mtext", line)]
    right = [piece for xml in formulas[1:] for piece in (sign("="), xml)]
    return [formulas[0], row(*right)] if right else formulas


def one_side(text: str) -> str:
    """One side of an equation; "∂/∂x" is what a derivative is called."""
    if text.startswith("∂/∂"):
        name = part(ast.parse(text[3:], mode="eval").body).xml
        return fraction(sign("∂"), row(sign("∂"), name))
    return part(ast.parse(text, mode="eval").body).xml


def part(
    node: ast.expr, level: int = OR, *, follows: bool = False, goes_on: bool = False
) -> Formula:
    """A part of a formula, in brackets where it needs them.

    It needs them if it binds less closely than `level`, if it has a sign but `follows` another, or
    if it is greedy and the formula `goes_on` after it.
    """
    found = formula(node)
    if found.level < level or (follows and found.sign) or (goes_on and found.greedy):
        return Formula(fenced("(", found.xml, ")"))
    return found


def formula(node: ast.expr) -> Formula:
    """The formula of an expression; what has none is shown as it is."""
    match node:
        case ast.Name(name):
            return Formula(word(name))
        case ast.Constant(value):
            return constant(value)
        case ast.UnaryOp(op, x):
            return prefixed(PREFIX[type(op)], x)
        case ast.BinOp(a, ast.Div(), b):
            return Formula(fraction(part(a).xml, part(b).xml), MATRIX)
        case ast.BinOp(a, ast.FloorDiv(), b):
            divided = [part(a, PRODUCT).xml, sign("/"), part(b, MATRIX).xml]
            return Formula(row(sign("⌊"), *divided, sign("⌋")))
        case ast.BinOp(base, ast.Pow(), exponent):
            return power(base, part(exponent).xml)
        case ast.BinOp(a, op, b) if type(op) in INFIX:
            return between([a, b], [op])
        case ast.BoolOp(op, operands):
            return between(operands, [op] * (len(operands) - 1))
        case ast.Compare(a, ops, others) if all(type(op) in INFIX for op in ops):
            return between([a, *others], ops)
        case ast.IfExp(condition, a, b):
            return cases(condition, a, b)
        case ast.Attribute(x, "T"):
            return power(x, upright("T"))
        case ast.Attribute():
            return Formula(upright(ast.unparse(node)))
        case ast.Subscript(x, index):
            return Formula(element("msub", part(x, ATOM, goes_on=True).xml, indices(index)))
        case ast.Tuple(items):
            return Formula(fenced("(", listed(items), ")"))
        case ast.List(items):
            return Formula(fenced("[", listed(items), "]"))
        case ast.Call(keywords=keywords) if all(k.arg for k in keywords):
            return call(node)
    return Formula(token("mtext", ast.unparse(node)), OR)


def between(operands: Sequence[ast.expr], ops: Sequence[ast.AST]) -> Formula:
    """Operands, and between them the symbols of `ops`, which all bind alike."""
    level = INFIX[type(ops[0])][1]
    first = last = part(operands[0], level + (level == COMPARISON), goes_on=True)
    pieces = [first.xml]
    for i, (op, x) in enumerate(zip(ops, operands[1:], strict=True)):
        is_same = isinstance(op, ASSOCIATIVE) and isinstance(getattr(x, "op", None), type(op))
        last = part(x, level + (not is_same), follows=True, goes_on=i + 1 < len(ops))
        symbol = INFIX[type(op)][0]
        pieces += [sign(symbol) if symbol else GAP, last.xml]
    return Formula(row(*pieces), level, first.sign, last.greedy)


def prefixed(symbol: str, x: ast.expr) -> Formula:
    """A symbol before its operand. (−a) · b and −(a · b) are the same, so neither has brackets."""
    inner = part(x, POWER if symbol == "¬" else PRODUCT, follows=True)
    level = min(inner.level, MATRIX)
    return Formula(row(sign(symbol), inner.xml), level, symbol != "¬", inner.greedy)


def power(base: ast.expr, exponent: str) -> Formula:
    """A base with something above it."""
    return Formula(element("msup", part(base, ATOM, goes_on=True).xml, exponent), POWER)


def root(xml: str) -> Formula:
    """A square root, in brackets where no font would give it its height."""
    if is_tall(xml):
        return Formula(row(sign("√"), fenced("(", xml, ")")), POWER)
    return Formula(element("msqrt", xml), POWER)


def cases(condition: ast.expr, a: ast.expr, b: ast.expr) -> Formula:
    """A brace before the values that are chosen from."""
    lines = table(choices(condition, a, b))
    return Formula(f'<mrow style="{BRACE}">{hidden("{")}{lines}</mrow>', greedy=True)


def choices(condition: ast.expr, a: ast.expr, b: ast.expr) -> list[list[str]]:
    """Each value and when it is chosen: `a` if the condition holds, else `b` or one of its own."""
    first = [part(a).xml, row(token("mtext", "if"), GAP, part(condition).xml)]
    if isinstance(b, ast.Call) and name_of(b) == "where" and len(b.args) == 3:
        return [first, *choices(*b.args)]
    return [first, [part(b).xml, token("mtext", "otherwise")]]


def call(node: ast.Call) -> Formula:
    """A function of its arguments: some have a notation of their own, the others stand upright."""
    name = name_of(node)
    keywords = {str(k.arg): k.value for k in node.keywords if k.arg != "keepdims"}
    match name, [*node.args, *keywords.values()]:
        case "exp", [x]:
            return Formula(element("msup", word("e"), part(x).xml), POWER)
        case "sqrt", [x]:
            return root(part(x).xml)
        case "abs" | "absolute", [x]:
            return Formula(fenced("|", part(x).xml, "|"))
        case "square", [x]:
            return power(x, token("mn", "2"))
        case "reciprocal", [x]:
            return Formula(fraction(token("mn", "1"), part(x).xml), MATRIX)
        case "where", [condition, a, b]:
            return cases(condition, a, b)
        case "swapaxes", [x, i, j]:
            return power(x, swapped(i, j))
    arguments = list(node.args)
    index = keywords.pop("subscripts" if name == "einsum" else "axis", None)
    if index is None and (name in SUMS or name in ALONG_AXIS) and len(arguments) > 1:
        index = arguments.pop(1)
    if name in SUMS and len(arguments) == 1 and not keywords:
        big = sign(SUMS[name])
        below = big if index is None else element("munder", big, indices(index))
        inner = part(arguments[0], PRODUCT, follows=True)
        return Formula(row(below, inner.xml), MATRIX, greedy=True)
    function = word(name) if name else part(node.func, ATOM).xml
    if index is not None:
        function = element("msub", function, indices(index))
    named = [row(upright(key), sign("="), part(x).xml) for key, x in keywords.items()]
    return Formula(row(function, fenced("(", listed(arguments, named), ")")))


def name_of(node: ast.Call) -> str:
    """The name of the function that is called, NumPy's or one without a module; else ""."""
    match node.func:
        case ast.Name(name) | ast.Attribute(ast.Name("np"), name):
            return name
    return ""


def swapped(i: ast.expr, j: ast.expr) -> str:
    """What stands above a matrix that is transposed, or an array with two axes exchanged."""
    if {ast.unparse(i), ast.unparse(j)} == {"-1", "-2"}:
        return upright("T")
    return row(part(i).xml, sign("↔"), part(j).xml)


def indices(index: ast.expr) -> str:
    """An index: of a tuple, its items without brackets; of a slice, where it begins and ends."""
    match index:
        case ast.Tuple(items):
            return row(*separated(map(indices, items)))
        case ast.Slice(low, high, step):
            ends = [part(end).xml if end else "" for end in (low, high)]
            ends += [part(step).xml] if step else []
            return row(*separated(ends, '<mo lspace="0" rspace="0">:</mo>'))
        case ast.Constant(str(letters)):
            return token("mtext", letters.replace("->", " → "))
    return part(index).xml


def word(name: str) -> str:
    """A name: one letter is a variable, also with a number below; more letters stand upright."""
    if numbered := re.fullmatch(r"([a-zA-Z])(\d+)", name):
        return element("msub", token("mi", numbered[1]), token("mn", numbered[2]))
    name = SYMBOLS.get(name, name)
    return token("mi", name) if len(name) == 1 else upright(name)


def constant(value: Any) -> Formula:
    """A number, with its power of ten set as one; a string as text."""
    if value is ...:
        return Formula(token("mi", "…"))
    if value is None or isinstance(value, bool):
        return Formula(upright(str(value)))
    if not isinstance(value, int | float):
        return Formula(token("mtext", str(value)))
    mantissa, _, exponent = str(value).partition("e")
    if not exponent:
        return Formula(token("mn", mantissa))
    digits = token("mn", exponent.lstrip("+-0"))
    above = row(sign("−"), digits) if exponent.startswith("-") else digits
    ten = element("msup", token("mn", "10"), above)
    if mantissa == "1":
        return Formula(ten, POWER)
    return Formula(row(token("mn", mantissa), sign("·"), ten), PRODUCT)


def listed(items: Iterable[ast.expr], more: Iterable[str] = ()) -> str:
    """Expressions, and what is set already, between commas."""
    return row(*separated([*(part(x).xml for x in items), *more]))


def separated(items: Iterable[str], comma: str = "<mo>,</mo>") -> list[str]:
    """Elements with another between each two."""
    pieces = [piece for item in items for piece in (comma, item)]
    return pieces[1:]


def fraction(above: str, below: str) -> str:
    """One element over another, with room between the bar and the letters."""
    above += '<mspace height="0.75em" depth="0.32em"/>'
    below += '<mspace height="0.92em" depth="0.28em"/>'
    return element("mfrac", row(above), row(below))


def fenced(left: str, xml: str, right: str) -> str:
    """An element between brackets, drawn as lines around what letters would be too low for."""
    if is_tall(xml) and left != "[":
        style = ROUND if left == "(" else STRAIGHT
        return f'<mrow style="{style}">{hidden(left)}{xml}{hidden(right)}</mrow>'
    return row(sign(left), xml, sign(right))


def is_tall(xml: str) -> bool:
    """Whether an element stands higher than letters."""
    return "<mfrac" in xml or "<mtable" in xml


def hidden(symbol: str) -> str:
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
