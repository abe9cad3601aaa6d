"""How pictures say numbers, ops, params and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import TABLE
from viz.graphs.words import (
    comparable,
    count_of,
    number_text,
    operands_text,
    operation_text,
    param_text,
    shape_text,
    table_of,
)


def test_numbers_are_written_out_where_they_are_few() -> None:
    assert table_of(np.array(0.25)) == (("0.25",),)
    assert table_of(np.arange(6)) == (("0", "1", "2", "3", "4", "5"),)
    assert table_of(np.eye(2)) == (("1", "0"), ("0", "1"))
    assert table_of(np.array([-1.23456, np.inf, -np.inf])) == (("−1.235", "∞", "−∞"),)
    assert table_of(np.array([True, False])) == (("1", "0"),)
    assert table_of(np.array([[12345]])) == (("12,345",),)


def test_many_numbers_are_summed_up() -> None:
    assert table_of(np.arange(7)) == (("min 0 · max 6",),)
    assert len(table_of(np.ones((8, 2)))) == len(table_of(np.ones((4, 1)))) * 2 == 8
    assert table_of(np.ones((9, 1))) == table_of(np.ones((4, 5))) == (("mean 1 · std 0",),)
    assert table_of(np.zeros((2, 2, 2))) == (("mean 0 · std 0",),)
    assert table_of(np.array([[np.nan] * 9, [2.0] * 9])) == (("mean 2 · std 0 · 9 not finite",),)
    assert table_of(np.full(9, np.nan)) == (("9 not finite",),)
    assert table_of(np.ones((0, 3))) == (("empty",),)


def test_large_numbers_are_told_in_three_digits_and_means_do_not_overflow() -> None:
    assert count_of(999_999_999, "param") == "1 B params"
    assert count_of(1_049_600, "param") == "1.05 M params"
    assert table_of(np.full((4, 5), 3e38, np.float32)) == (("mean 3e+38 · std 0",),)


@pytest.mark.parametrize(
    ("number", "text"),
    [(12345, "12,345"), (-0.5, "−0.5"), (1 / 3, "0.3333"), (-np.inf, "−∞"), (True, "1")],
)
def test_a_number_has_four_digits_and_a_true_minus(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize(
    ("op", "texts", "said"),
    [
        ("add", [None, None], ""),
        ("add", [None, "2"], "+ 2"),
        ("subtract", ["1", None], "1 − x"),
        ("power", [None, "−2"], "x⁻²"),
        ("power", [None, "0.5"], "x^0.5"),
        ("maximum", [None, "0"], "(x, 0)"),
        ("where", [None, "1", "0"], "1 where true else 0"),
    ],
)
def test_constant_operands_are_said_as_one_writes_them(
    op: str, texts: list[str | None], said: str
) -> None:
    assert operands_text(TABLE[op], texts) == said


@pytest.mark.parametrize(
    ("op", "text"), [("+", "+"), ("-", "−"), ("neg", "−x"), ("**3", "x³"), ("tanh", "tanh")]
)
def test_an_operation_of_values_is_said_as_one_writes_it(op: str, text: str) -> None:
    assert operation_text(op) == text


def test_shapes_and_params_are_short() -> None:
    assert (shape_text((2, 3)), shape_text(())) == ("2×3", "scalar")
    assert (param_text(np.float32), param_text(None)) == ("float32", "None")
    assert param_text("x" * 30) == "x" * 23 + "…"


def test_names_are_compared_whatever_their_style_and_number() -> None:
    assert comparable("layer_norm (2)") == comparable("LayerNorm") == comparable("layer norm")
    assert comparable("layer_norm") != comparable("batch_norm")
