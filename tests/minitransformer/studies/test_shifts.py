"""Shifts: rotations that hold at every place, similarity by distance, and what foretells."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.parts.embedding import sinusoidal_positions
from minitransformer.studies.shifts import (
    off_after_shift,
    off_when_fitted,
    rotary_change,
    rotary_scores,
    shift,
    similarity,
)

WIDTH, PLACES = 16, 30


@pytest.mark.parametrize("k", [1, 7, 29])
def test_a_shift_is_one_rotation_for_all_places(k: int) -> None:
    matrix = shift(k, WIDTH)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(WIDTH), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert off_after_shift(k, PLACES + k, WIDTH) < 1e-12


def test_another_shift_does_not_fit() -> None:
    waves = sinusoidal_positions(PLACES, WIDTH)
    assert np.abs(waves[:-2] @ shift(1, WIDTH).T - waves[2:]).max() > 0.1


def test_similarity_is_the_mean_of_all_pairs_at_a_distance() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.mean([unit[i] @ unit[i + 2] for i in range(3)])
    assert similarity(vectors)[2] == pytest.approx(expected)


def test_waves_foretell_the_next_place_and_other_vectors_do_not() -> None:
    drawn = np.random.default_rng(0).normal(size=(60, WIDTH))
    assert off_when_fitted(sinusoidal_positions(60, WIDTH)) < 0.05
    assert off_when_fitted(np.eye(60)) == pytest.approx(1)
    assert off_when_fitted(drawn) > 1


def test_a_rotary_score_depends_on_the_distance_and_falls_off_as_the_waves_do() -> None:
    queries, keys = np.random.default_rng(0).normal(size=(2, 400, WIDTH))
    assert rotary_change(11, queries[:5], keys[:5], PLACES) < 1e-12
    like, any_key = (rotary_scores(queries, x, PLACES) for x in (queries, keys))
    waves = similarity(sinusoidal_positions(PLACES, WIDTH))
    np.testing.assert_allclose(like.mean(axis=0), waves, atol=0.1)
    np.testing.assert_allclose(any_key.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(like[:, 0], 1)
