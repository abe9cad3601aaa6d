"""What noted values promise: they compute as plain ones do, and know where they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor
from minigrad.formula import Expr, Name
from minigrad.origins import Call, as_variable, note, origin_of, strip, trace

X = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("compute", "name"),
    [
        (lambda x: x > 1, "greater"),
        (lambda x: x.shape, "shape"),
        (lambda x: x.size, "size"),
        (lambda x: x.T, "transpose"),
        (lambda x: x[0, 1:], "getitem"),
        (lambda x: np.add.reduce(x), "add.reduce"),
        (lambda x: np.cumsum(x, axis=0), "cumsum"),
        (lambda x: x.shape[0], "getitem"),
        (lambda x: 2 * x.shape[0], "multiply"),
        (lambda x: -x.shape[0], "negative"),
        (lambda x: x.shape[0] ** x.ndim, "power"),
        (lambda x: x.shape[1] // 2, "floor_divide"),
    ],
)
def test_a_result_is_what_plain_values_give_and_knows_its_call(
    compute: Callable[[Any], Any], name: str
) -> None:
    found = compute(note(X, "x"))
    origin = origin_of(found)
    assert isinstance(origin, Call)
    assert origin.name == name
    np.testing.assert_array_equal(strip(found), compute(X))
    assert type(strip(found)) in (np.ndarray, int, tuple)


def test_the_starts_of_sum_and_prod_are_no_part_of_the_result() -> None:
    rows, columns = note(X, "x").shape
    assert origin_of(sum([rows])) == origin_of(rows)
    assert origin_of(math.prod([columns])) == origin_of(columns)


def test_rows_of_arrays_and_items_of_shapes_are_noted_as_they_are_taken_out() -> None:
    x = note(X, "x")
    for row, plain in zip(x, X, strict=True):
        assert origin_of(row).params.keys() == {"index"}
        np.testing.assert_array_equal(row, plain)
    for shape in (x.shape + (1,), (1,) + x.shape):  # noqa: RUF005
        names = [origin.name for n in shape if (origin := origin_of(n))]
        assert names == ["getitem", "getitem"]


def test_a_change_of_dtype_leaves_the_origin() -> None:
    assert origin_of(note(X, "x").astype(np.float32)) == "x"


def test_what_has_no_room_for_an_origin_stays_as_it_is() -> None:
    for x in (None, True, np.float32):
        assert note(x, "x") is x
        assert origin_of(x) is None


def test_arrays_of_floats_are_recorded_and_others_noted() -> None:
    assert isinstance(as_variable(X, "x"), Tensor)
    assert not isinstance(as_variable(X.astype(int), "x"), Tensor)


def scale(x: Any, width: float = 2.0) -> Any:
    parts = [np.ones(3), np.zeros(3)]
    total = np.sum(x, axis=0)

    def inner() -> Any:
        total = x * 2
        more = total + 1
        return more

    return total * width * inner() + parts[0]


def test_a_trace_keeps_the_names_that_a_function_gives_its_values() -> None:
    found = trace(scale, [as_variable(X, "x")], {})
    np.testing.assert_array_equal(found.result.data, scale(X))
    assert {"more", "total"} <= found.kept.keys()
    assert np.shape(found.kept[Name("total")]) == (3,)  # the outer one
    assert np.shape(found.kept[Expr("getitem", (Name("parts"), 0))]) == (3,)


def test_names_that_mean_something_else_in_a_formula_are_not_kept() -> None:
    def rule(x: Any) -> Any:
        mean, own = np.exp(x), np.exp(x) + 1
        return mean * own

    assert [*trace(rule, [as_variable(X, "x")], {}).kept] == ["own"]


def test_params_are_known_by_their_names_also_those_left_at_their_defaults() -> None:
    result = trace(lambda x, axis=-1, width=3.0: x * width, [as_variable(X, "x")], {}).result
    assert [origin_of(x) for x in result.inputs] == ["x", "width"]


def test_a_composite_is_kept_whole() -> None:
    composite = TABLE["mse_loss"]
    result = trace(lambda x: composite(x, X), [as_variable(X, "x")], {}).result
    origin = origin_of(result)
    assert isinstance(origin, Call)
    assert origin.name == "mse_loss"


def test_each_array_of_a_composite_that_gives_a_list_is_an_item_of_it() -> None:
    halves = trace(lambda x: np.split(x, 2), [as_variable(X, "x")], {}).result
    origins = [origin_of(half) for half in halves]
    assert [origin.name for origin in origins] == ["getitem", "getitem"]
    assert {origin_of(origin.args[0]).name for origin in origins} == {"split"}
    np.testing.assert_array_equal(halves[1].data, X[1:])
