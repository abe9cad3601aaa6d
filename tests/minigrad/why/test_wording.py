"""How messages put the numbers of an array into words."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.why.wording import extremes, first_non_finite, is_floating, non_finite


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([3.0, 0.0, 1.0], "0 to 3"),
        ([1.0, np.nan, -np.inf, np.inf, np.nan], "1 to 1, 2 × nan, 1 × inf, 1 × -inf"),
        ([np.nan], "1 × nan"),
        ([], "empty"),
    ],
)
def test_an_array_goes_by_its_extremes_and_how_many_are_no_numbers(
    numbers: list[float], words: str
) -> None:
    assert extremes(numbers) == words


def test_the_first_number_that_is_none_is_named_with_its_place() -> None:
    x = np.array([[1.0, 2.0], [-np.inf, np.nan]])
    assert first_non_finite(x) == (1, 0)
    assert non_finite(x) == "-inf at element (1, 0)"
    assert non_finite(np.nan) == "nan at the one element"


def test_only_floating_numbers_can_be_nan() -> None:
    assert all(map(is_floating, (1.0, np.float32(1), np.zeros(2))))
    assert not any(map(is_floating, (1, True, np.arange(2), [1.0], None)))
