"""What MathML promises: a formula that means what its text means, safe, and with few brackets."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from viz.formula.mathml import GAP, mathml


def parsed(text: str) -> Element:
    """The formula as an XML tree."""
    return ElementTree.fromstring(mathml(text))


def inside(text: str) -> str:
    """The formula's MathML without the element around it."""
    return mathml(text).removeprefix('<math displaystyle="true">').removesuffix("</math>")


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
    ("text", "xml"),
    [
        ("g", "<mi>g</mi>"),
        ("weight", '<mi mathvariant="normal">weight</mi>'),
        ("t12", "<msub><mi>t</mi><mn>12</mn></msub>"),
        ("2.5", "<mn>2.5</mn>"),
        ("1e-05", "<msup><mn>10</mn><mrow><mo>−</mo><mn>5</mn></mrow></msup>"),
        ("-inf", "<mrow><mo>−</mo><mi>∞</mi></mrow>"),
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
def test_notation_is_that_of_mathematics(text: str, xml: str) -> None:
    assert inside(text) == xml


@pytest.mark.parametrize(
    ("text", "aloud"),
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
        ("a < sum(b) < c", "a<(total <<b)<c"),
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
        ("np.tanh(x)", "tanh(x)"),
        ("maximum(x, 0)", "max(x,0)"),
    ],
)
def test_brackets_stand_where_a_reader_needs_them(text: str, aloud: str) -> None:
    assert read(parsed(text)) == aloud


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
def test_a_formula_means_what_its_text_means(text: str) -> None:
    try:
        meant = eval(text.replace("·", "*").replace("@", "*"), dict(MEANINGS))
    except ArithmeticError:
        assume(False)
    aloud = read(parsed(text))
    assert eval(aloud, dict(MEANINGS)) == pytest.approx(meant, rel=1e-6), aloud


@given(expressions)
def test_every_name_and_number_is_in_the_formula(text: str) -> None:
    words = re.findall(r"[\w.]+", text.replace("x1", "x"))
    found = [token.text for token in parsed(text).iter() if token.tag in ("mi", "mn")]
    for word in ("a", "b", "weight", "x", "0.5"):  # an x and its 1 are two
        assert found.count(word) == words.count(word)


@given(st.text() | expressions.map(lambda text: text[: len(text) // 2]))
def test_any_text_gives_well_formed_mathml(text: str) -> None:
    assert parsed(text).tag == "math"


@pytest.mark.parametrize(
    "text", ["", "\0", "\ud800", "(" * 500, "-" * 9999 + "x", "1" * 5000, "a b", "'\\d'", "a\n\nb"]
)
def test_what_is_no_python_is_shown_as_it_is(text: str) -> None:
    shown = "".join(parsed(text).itertext())
    assert shown == text.replace("\0", "�").replace("\ud800", "�").replace("\n", "")


def test_text_from_outside_is_shown_not_run() -> None:
    attack = "</mtext></math><script>alert(1)</script>"
    for text in (attack, repr(attack), f"f({attack!r}, key={attack!r})"):
        assert "<script" not in mathml(text)
        assert attack in "".join(parsed(text).itertext())


def test_lines_stand_below_one_another_with_their_signs_of_equality() -> None:
    lines = parsed("t1 = max(x, axis)\nf(x) = x - t1")[0]
    assert [["".join(cell.itertext()) for cell in line] for line in lines] == [
        ["t1", "=maxaxis(x)"],
        ["f(x)", "=x−t1"],
    ]


def test_brackets_are_as_high_as_what_they_hold_in_any_font(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "formula.html"
    formulas = ["f(a / b)", "abs(a / b)", "(a / b) ** 2", "log(where(a > 0, a, 1))", "sqrt(a / b)"]
    path.write_text("<!doctype html><meta charset=utf-8>" + "".join(map(mathml, formulas)))
    browser.open(path)
    heights = browser.run(
        "return [...document.querySelectorAll('mrow[style]')].map(e => ["
        "e.offsetHeight ?? e.getBoundingClientRect().height,"
        "e.querySelector('mfrac, mtable').getBoundingClientRect().height])"
    )
    assert len(heights) == 6
    assert all(bracket >= held > 20 for bracket, held in heights)
