"""Checks of Value: right operations pass, and one that is wrong is found."""

from __future__ import annotations

from minigrad import Value
from minigrad.check import check_values
from minigrad.check.scalars import OPERATIONS, check_values_at


def test_every_operation_of_a_value_passes_with_all_numbers() -> None:
    rows = check_values()
    assert len(rows) == sum(len(choices) for _, choices in OPERATIONS.values())
    assert all(row.ok for row in rows), [row for row in rows if not row.ok]


def test_a_slope_that_is_a_thousandth_off_is_found() -> None:
    def spoilt(a: Value, b: Value) -> Value:
        y = a * b
        return Value(y.data, "*", (a, b.data), (b, 1.001 * a.data))

    row = check_values_at("a * b", spoilt, (2.0, -3.0))
    assert not row.ok
    assert row.report.startswith("input 2 has gradient 2.002, and differences say 2.0")


def test_a_slope_that_is_not_a_number_is_found_whichever_it_is() -> None:
    for spoilt in (0, 1):

        def product(a: Value, b: Value, spoilt: int = spoilt) -> Value:
            slopes = [b.data, a.data]
            slopes[spoilt] = float("nan")
            return Value(a.data * b.data, "*", (a, slopes[0]), (b, slopes[1]))

        row = check_values_at("a * b", product, (2.0, -3.0))
        assert not row.ok
        assert row.report.startswith(f"input {spoilt + 1} has gradient nan")
