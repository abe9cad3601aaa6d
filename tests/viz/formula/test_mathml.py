"""What MathML promises: a formula that means what its text means, safe, and with few brackets."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minigrad.formula import BY_SIGN, Expr, Name, Part, equation
from viz.formula.mathml import GAP, mathml


def formula(written: str) -> Any:
    """The formula that a text stands for, which is Python but for "·"."""
    return part(ast.parse(written.replace("·", "*"), mode="eval").body)


def part(node: Any) -> Any:
    """The formula of a part of the syntax tree."""
    match node:
        case ast.Name(name):
            return Name(name)
        case ast.Constant(value):
            return value
        case ast.BinOp(a, op, b) | ast.Compare(a, [op], [b]):
            return Expr(BY_SIGN[PYTHON[type(op)]], (part(a), part(b)))
        case ast.UnaryOp(ast.USub(), ast.Constant(value)):
            return -value
        case ast.UnaryOp(ast.USub(), x):
            return Expr("negative", (part(x),))
        case ast.Attribute(x, "T"):
            return Expr("T", (part(x),))
        case ast.Subscript(x, ast.Tuple(items)):
            return Expr("getitem", (part(x), *map(part, items)))
        case ast.Subscript(x, index):
            return Expr("getitem", (part(x), part(index)))
        case ast.Tuple(items):
            return Expr("tuple", tuple(map(part, items)))
        case ast.Slice(start, stop, step):
            return Expr("slice", (part(start), part(stop), part(step)))
        case ast.Call(ast.Name(head), args, keywords):
            named = tuple((str(k.arg), part(k.value)) for k in keywords)
            return Expr(head, tuple(map(part, args)), named)
    assert node is None, ast.dump(node)
    return None


PYTHON = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//",
          ast.Mod: "%", ast.MatMult: "@", ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
          ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.BitOr: "|", ast.BitXor: "^",
          ast.BitAnd: "&"}  # fmt: skip


def parsed(*lines: Part) -> Element:
    """The MathML of formulas as an XML tree."""
    return ElementTree.fromstring(mathml(*lines))


def inside(x: Part) -> str:
    """The formula's MathML without the element around it."""
    return mathml(x).removeprefix('<math displaystyle="true">').removesuffix("</math>")


SIGNS = {"·": "*", "−": "-", "=": "==", "≠": "!=", "≤": "<=", "≥": ">=", "∧": " and ",
         "∨": " or ", "¬": " not ", "∑": "total <<", "√": "sqrt"}  # fmt: skip


def read(xml: Element) -> str:
    """A formula read aloud, left to right, as Python: brackets are where a reader sees them.

    Only what fractions, roots, exponents and indices hold is together without any.
    """
    parts = [read(child) for child in xml]
    match xml.tag:
        case "mfrac":
            return f"(({parts[0]}) / ({parts[1]}))"
        case "msqrt":
            return f"sqrt({''.join(parts)})"
        case "msup" if parts[0] == "e":
            return f"exp({parts[1]})"
        case "msup":
            return f"{parts[0]}**({parts[1]})"
        case "msub" | "munder":
            return "".join(parts)
        case "mtable":
            lines = [[read(cell) for cell in line] for line in xml]
            choices = [f"{a} {b}else" if b.startswith("if") else a for a, b in lines]
            return f"({' '.join(choices)})"
        case "mspace":
            return "*" if xml.get("width") else ""
        case "mrow" if xml[0].text == "|":
            return f"abs({''.join(parts[1:-1])})"
        case "mrow" if xml[0].text == "{":
            return parts[1]
        case "mrow" if xml[0].text == "if":
            return f"if {parts[2]} "
    text = xml.text or ""
    return "".join(parts) or SIGNS.get(text, text)


@pytest.mark.parametrize(
    ("written", "xml"),
    [
        ("g", "<mi>g</mi>"),
        ("weight", '<mi mathvariant="normal">weight</mi>'),
        ("t12", "<msub><mi>t</mi><mn>12</mn></msub>"),
        ("2.5", "<mn>2.5</mn>"),
        ("1e-05", "<msup><mn>10</mn><mrow><mo>−</mo><mn>5</mn></mrow></msup>"),
        ("2.5e7", "<mrow><mn>2.5</mn><mo>·</mo><msup><mn>10</mn><mn>7</mn></msup></mrow>"),
        ("-1e999", "<mrow><mo>−</mo><mi>∞</mi></mrow>"),
        ("remainder", '<mi mathvariant="normal">remainder</mi>'),
        ("a // b", "<mrow><mo>⌊</mo><mi>a</mi><mo>/</mo><mi>b</mi><mo>⌋</mo></mrow>"),
        (
            "x[...]",
            "<msub><mi>x</mi><mi>…</mi></msub>",
        ),
        (
            "einsum(a, subscripts='ij->i')",
            '<mrow><msub><mi mathvariant="normal">einsum</mi><mtext>ij → i</mtext></msub>'
            "<mrow><mo>(</mo><mrow><mi>a</mi></mrow><mo>)</mo></mrow></mrow>",
        ),
        ("exp(x)", "<msup><mi>e</mi><mi>x</mi></msup>"),
        ("sqrt(x)", "<msqrt><mi>x</mi></msqrt>"),
        ("abs(x)", "<mrow><mo>|</mo><mi>x</mi><mo>|</mo></mrow>"),
        ("g @ b", f"<mrow><mi>g</mi>{GAP}<mi>b</mi></mrow>"),
        ("b.T", '<msup><mi>b</mi><mi mathvariant="normal">T</mi></msup>'),
        ("swapaxes(b, -1, -2)", '<msup><mi>b</mi><mi mathvariant="normal">T</mi></msup>'),
        (
            "swapaxes(b, 0, 1)",
            "<msup><mi>b</mi><mrow><mn>0</mn><mo>↔</mo><mn>1</mn></mrow></msup>",
        ),
        ("sum(x)", "<mrow><mo>∑</mo><mi>x</mi></mrow>"),
        (
            "sum(x, i, keepdims=True)",
            "<mrow><munder><mo>∑</mo><mi>i</mi></munder><mi>x</mi></mrow>",
        ),
        (
            "prod(x, axis=(0, 2))",
            "<mrow><munder><mo>∏</mo><mrow><mn>0</mn><mo>,</mo><mn>2</mn></mrow></munder>"
            "<mi>x</mi></mrow>",
        ),
        (
            "max(x, axis=1)",
            '<mrow><msub><mi mathvariant="normal">max</mi><mn>1</mn></msub>'
            "<mrow><mo>(</mo><mrow><mi>x</mi></mrow><mo>)</mo></mrow></mrow>",
        ),
        (
            "g[i, 1:]",
            "<msub><mi>g</mi><mrow><mi>i</mi><mo>,</mo>"
            '<mrow><mn>1</mn><mo lspace="0" rspace="0">:</mo></mrow></mrow></msub>',
        ),
    ],
)
def test_notation_is_that_of_mathematics(written: str, xml: str) -> None:
    assert inside(formula(written)) == xml


@pytest.mark.parametrize(
    ("written", "aloud"),
    [
        ("g · (2 · x)", "g*2*x"),
        ("(g · x) + (y + 1)", "g*x+y+1"),
        ("a - (b - c)", "a-(b-c)"),
        ("(a + b) / (c · d)", "((a+b) / (c*d))"),
        ("g · (a / b)", "g*((a) / (b))"),
        ("(a / b) ** 2", "(((a) / (b)))**(2)"),
        ("x ** (a + b)", "x**(a+b)"),
        ("(-x) ** 2", "(-x)**(2)"),
        ("-x ** 2", "-x**(2)"),
        ("-g · y", "-g*y"),
        ("g · (-y)", "g*(-y)"),
        ("-(-x)", "-(-x)"),
        ("g · (-y · x)", "g*(-y*x)"),
        ("g · (x > 0)", "g*(x>0)"),
        ("(a < b) == c", "(a<b)==c"),
        ("sum(b) < c", "(total <<b)<c"),
        ("(a · b) @ c", "(a*b)*c"),
        ("a @ b · c", "a*b*c"),
        ("(x >= a) & (x <= b)", "x>=a and x<=b"),
        ("(x | y) & z", "(x or y) and z"),
        ("exp(y) · sum(g)", "exp(y)*total <<g"),
        ("sum(g · x)", "total <<g*x"),
        ("sum(x) · y", "(total <<x)*y"),
        ("a · sum(x) · y", "(a*total <<x)*y"),
        ("-sum(x) + y", "(-total <<x)+y"),
        ("sum(a + b)", "total <<(a+b)"),
        ("sqrt(a / b)", "sqrt(((a) / (b)))"),
        ("sqrt(x) ** 2", "(sqrt(x))**(2)"),
        ("where(c, a + 1, b)", "(a+1 if c else b)"),
        ("where(a > b, g, where(a == b, g / 2, 0))", "(g if a>b else ((g) / (2)) if a==b else 0)"),
        ("where(c, a, b) + 1", "((a if c else b))+1"),
        ("f(a, b + 1, k=2)", "f(a,b+1,k==2)"),
        ("maximum(x, 0)", "max(x,0)"),
    ],
)
def test_brackets_stand_where_a_reader_needs_them(written: str, aloud: str) -> None:
    assert read(parsed(formula(written))) == aloud


class Total:
    """Reads `a * total << b` as a · ∑ b, where ∑ takes in all that follows: here x ↦ x² + 3."""

    def __init__(self, before: Any = lambda x: x) -> None:
        self.before = before

    def __lshift__(self, x: Any) -> Any:
        return self.before(total_of(x))

    def __radd__(self, a: Any) -> Total:
        return Total(lambda x: a + self.before(x))

    def __rsub__(self, a: Any) -> Total:
        return Total(lambda x: a - self.before(x))

    def __rmul__(self, a: Any) -> Total:
        return Total(lambda x: a * self.before(x))

    def __neg__(self) -> Total:
        return Total(lambda x: -self.before(x))


def total_of(x: Any) -> Any:
    return x * x + 3


VALUES = {"a": 1.3, "b": 0.7, "x1": -2.1, "weight": 1.9}
MEANINGS: dict[str, Any] = {
    **VALUES, "sum": total_of, "total": Total(), "exp": math.exp, "abs": abs,
    "sqrt": lambda x: abs(x) ** 0.5, "square": lambda x: x * x, "reciprocal": lambda x: 1 / x,
    "where": lambda c, a, b: a if c else b, "f": lambda x: x + 10,
}  # fmt: skip


def larger(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of two or three smaller ones, each in brackets."""
    infix = st.sampled_from(["+", "-", "·", "/", "@"])
    calls = st.sampled_from(["exp", "sqrt", "abs", "square", "reciprocal", "sum", "f", "-"])
    compared = st.builds("({}) {} ({})".format, smaller, st.sampled_from(["<", ">="]), smaller)
    condition = compared | st.builds("({}) & ({})".format, compared, compared)
    return st.one_of(
        st.builds("({}) {} ({})".format, smaller, infix, smaller),
        st.builds("({}) ** {}".format, smaller, st.sampled_from(["2", "(-1)", "3"])),
        st.builds("{}({})".format, calls, smaller),
        st.builds("where({}, {}, {})".format, condition, smaller, smaller),
        st.builds("({}) · ({})".format, smaller, condition),
    )


expressions = st.recursive(st.sampled_from([*VALUES, "2", "0.5"]), larger, max_leaves=7)


@given(expressions)
def test_a_formula_means_what_its_text_means(written: str) -> None:
    try:
        meant = eval(written.replace("·", "*").replace("@", "*"), dict(MEANINGS))
    except ArithmeticError:
        assume(False)
    aloud = read(parsed(formula(written)))
    assert eval(aloud, dict(MEANINGS)) == pytest.approx(meant, rel=1e-6), aloud


@given(expressions)
def test_every_name_and_number_is_in_the_formula(written: str) -> None:
    words = re.findall(r"[\w.]+", written.replace("x1", "x"))
    found = [token.text for token in parsed(formula(written)).iter() if token.tag in ("mi", "mn")]
    for word in ("a", "b", "weight", "x", "0.5"):  # an x and its 1 are two
        assert found.count(word) == words.count(word)


@given(st.text())
def test_any_words_give_well_formed_mathml(words: str) -> None:
    for x in (words, Name(words), Expr(words, (Name(words),), ((words, words),))):
        assert parsed(x, x).tag == "math"


@pytest.mark.parametrize("words", ["", "\0", "\ud800", "a b", "'\\d'", "silu: x · σ(x), as it is."])
def test_words_that_are_no_name_are_shown_as_they_are(words: str) -> None:
    shown = "".join(parsed(Name(words)).itertext())
    assert shown == words.replace("\0", "�").replace("\ud800", "�")


def test_text_from_outside_is_shown_not_run() -> None:
    attack = "</mtext></math><script>alert(1)</script>"
    for x in (Name(attack), attack, Expr("f", (attack,), (("key", attack),)), Expr(attack, ())):
        assert "<script" not in mathml(x)
        assert attack in "".join(parsed(x).itertext())


def test_lines_stand_below_one_another_with_their_signs_of_equality() -> None:
    first = equation(Name("t1"), formula("max(x, axis)"))
    lines = parsed(first, equation(formula("f(x)"), formula("x - t1")))[0]
    assert [["".join(cell.itertext()) for cell in line] for line in lines] == [
        ["t1", "=maxaxis(x)"],
        ["f(x)", "=x−t1"],
    ]


def test_brackets_are_as_high_as_what_they_hold_in_any_font(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "formula.html"
    formulas = ["f(a / b)", "abs(a / b)", "(a / b) ** 2", "log(where(a > 0, a, 1))", "sqrt(a / b)"]
    path.write_text(
        "<!doctype html><meta charset=utf-8>" + "".join(mathml(formula(x)) for x in formulas)
    )
    browser.open(path)
    heights = browser.run(
        "return [...document.querySelectorAll('mrow[style]')].map(e => ["
        "e.offsetHeight ?? e.getBoundingClientRect().height,"
        "e.querySelector('mfrac, mtable').getBoundingClientRect().height])"
    )
    assert len(heights) == 6
    assert all(bracket >= held > 20 for bracket, held in heights)
