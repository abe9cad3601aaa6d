"""What the text of a formula promises: it reads as Python, and means what the tree means."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minigrad import TABLE
from minigrad.formula import BY_SIGN, SIGNS, Expr, Name, Part, equation, names_in, text
from minigrad.scalar import Value

X, Y = Name("x"), Name("y")


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        (X, "x"),
        (3, "3"),
        (-0.5, "-0.5"),
        (1 / 3, "0.333333"),
        (True, "True"),
        (None, "None"),
        (..., "..."),
        ("ij->ji", "'ij->ji'"),
        (Expr("multiply", (-2, X)), "-2 · x"),
        (Expr("power", (X, -2)), "x ** (-2)"),
        (Expr("negative", (Expr("multiply", (X, Y)),)), "-(x · y)"),
        (Expr("T", (Expr("matmul", (X, Y)),)), "(x @ y).T"),
        (Expr("less", (Expr("less", (X, Y)), 1)), "(x < y) < 1"),
        (Expr("bitwise_and", (Expr("less", (X, Y)), Expr("equal", (X, 1)))), "(x < y) & (x == 1)"),
        (Expr("getitem", (X, ..., None, Expr("slice", (None, Y, None)))), "x[..., None, :y]"),
        (Expr("getitem", (X, Expr("slice", (None, None, -1)))), "x[::-1]"),
        (Expr("tuple", (X,)), "(x,)"),
        (Expr("list", (X, Expr("tuple", (1, 2)))), "[x, (1, 2)]"),
        (Expr("sum", (X,), (("axis", -1), ("keepdims", True))), "sum(x, axis=-1, keepdims=True)"),
        (Expr("add", (X, Y), (("where", Name("mask")),)), "add(x, y, where=mask)"),
        (equation(Expr("∂/∂", (X,)), Expr("subtract", (Y, 1))), "∂/∂x = y - 1"),
        (equation(Name("N"), Expr("size", (X,)), 6), "N = size(x) = 6"),
    ],
)
def test_a_formula_is_written_as_python(formula: Part, written: str) -> None:
    assert text(formula) == written


COMPUTED: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "power": operator.pow, "negative": operator.neg, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
    "equal": operator.eq, "not_equal": operator.ne, "abs": abs,
}  # fmt: skip
VALUES = {"x": 3, "y": 7}


def value_of(x: Any) -> Any:
    """What a formula means."""
    if isinstance(x, Expr):
        return COMPUTED[x.head](*map(value_of, x.args))
    return VALUES[x] if isinstance(x, Name) else x


def larger(smaller: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    """A function of one or two smaller formulas."""
    binary = [name for name in COMPUTED if name in SIGNS and name != "power"]
    return st.one_of(
        st.builds(lambda head, a, b: Expr(head, (a, b)), st.sampled_from(binary), smaller, smaller),
        st.builds(lambda a: Expr("negative", (a,)), smaller),
        st.builds(lambda a: Expr("abs", (a,)), smaller),
        st.builds(lambda a, n: Expr("power", (a, n)), smaller, st.integers(0, 2)),
    )


formulas = st.recursive(st.sampled_from([X, Y, 2, -1, 5]), larger, max_leaves=8)


@given(formulas)
def test_the_text_means_what_the_tree_means(formula: Part) -> None:
    try:
        meant = value_of(formula)
    except ArithmeticError:
        assume(False)
    assert eval(text(formula).replace("·", "*"), dict(VALUES)) == meant


def test_its_names_are_those_of_functions_and_values_but_not_those_of_keywords() -> None:
    formula = Expr("sum", (Expr("add", (X, 1)),), (("axis", Name("last")), ("mode", "full")))
    assert [*names_in(formula)] == ["sum", "add", "x", "last"]


def test_each_sign_of_a_value_is_that_of_a_row_with_as_many_inputs() -> None:
    a, b = Value(2.0), Value(3.0)
    for value in (a + b, a - b, a * b, a / b, a**b, -a):
        assert TABLE[BY_SIGN[value._op]].arity == len(value.inputs)
