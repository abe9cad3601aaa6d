"""Nearness, on vectors that one can check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.studies.nearness import nearer_mean, neighbours, within_and_across

MEANINGS = np.array([0, 0, 1, 1])
MEANS = np.array([[[0.0, 0.0], [10.0, 0.0]]])


def test_half_of_what_lies_in_the_middle_counts() -> None:
    x = np.array([[[1, 0], [9, 3], [5, 7], [10, 0]]], dtype=float)
    # Nearer to 0, as it should be; nearer to 10, as it should not; as far from both; nearer to 10.
    assert nearer_mean(x, MEANS, MEANINGS).tolist() == [(1 + 0 + 0.5 + 1) / 4]


def test_each_vector_may_have_means_of_its_own() -> None:
    x = np.zeros((1, 4, 2))
    means = np.tile(MEANS[:, None], (1, 4, 1, 1))
    means[0, 3] = means[0, 3, ::-1]
    assert nearer_mean(x, means, MEANINGS).tolist() == [3 / 4]


def test_layers_are_counted_apart() -> None:
    x = np.array([[[0, 0]] * 4, [[0, 0], [0, 0], [10, 0], [10, 0]]], dtype=float)
    assert nearer_mean(x, np.repeat(MEANS, 2, axis=0), MEANINGS).tolist() == [0.5, 1]


def test_neighbours_as_near_as_each_other_count_for_their_part() -> None:
    x = np.array([[[1, 0], [0, 1]]], dtype=float)
    others = np.array([[[2, 0], [5, 0], [3, 3], [0, 1]]], dtype=float)
    # In the direction of the first are two, of which one means the same; in that of the other, one.
    found = neighbours(x, np.array([0, 1]), others, np.array([0, 1, 0, 1]))
    assert found.tolist() == [(0.5 + 1) / 2]


def test_none_is_its_own_neighbour() -> None:
    x = np.array([[[1, 0], [1, 0.1], [0, 1], [1, 0.2]]], dtype=float)
    assert neighbours(x, MEANINGS, x, MEANINGS, itself=True).tolist() == [2 / 4]


def test_cosines_are_means_of_pairs_and_centring_takes_away_what_all_share() -> None:
    x = np.array([[[1, 1], [1, 1], [-1, 1], [-1, 1]]], dtype=float)
    within, across = within_and_across(x, MEANINGS, centred=False)
    assert (within.item(), across.item()) == pytest.approx((1, 0))
    within, across = within_and_across(x, MEANINGS, centred=True)
    assert (within.item(), across.item()) == pytest.approx((1, -1))
