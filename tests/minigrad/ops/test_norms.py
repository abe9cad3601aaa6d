"""Norms: PyTorch's numbers, at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.minigrad.ops.comparing import (
    assert_like_torch,
    normal,
)


def test_layer_norm_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        lambda x, w, b: mg.layer_norm(x, w, b, eps=1e-3),
        lambda x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b, eps=1e-3),
        *normal((2, 3, 4), (4,), (4,)),
    )


def test_rms_norm_is_torchs(torch: Any) -> None:
    theirs = torch.nn.functional.rms_norm
    x, weight = normal((2, 3, 4), (4,))
    assert_like_torch(
        torch,
        lambda x, w: mg.rms_norm(x, w, eps=1e-3),
        lambda x, w: theirs(x, (4,), w, eps=1e-3),
        x,
        weight,
    )
    assert_like_torch(torch, lambda x: mg.rms_norm(x, None), lambda x: theirs(x, (4,), eps=1e-5), x)
    with pytest.raises(ValueError, match=r"a weight of shape \(4,\), \(1,\) or None is needed"):
        mg.rms_norm(x, np.ones(3))


def test_batch_norm_is_torchs_with_features_last(torch: Any) -> None:
    def theirs(x: Any, w: Any, b: Any) -> Any:
        channels_second = x.movedim(-1, 1)
        y = torch.nn.functional.batch_norm(channels_second, None, None, w, b, training=True)
        return y.movedim(1, -1)

    assert_like_torch(torch, mg.batch_norm, theirs, *normal((3, 5, 4), (4,), (4,)))


@pytest.mark.parametrize("width", [64, 512, 4096])
def test_rows_that_hardly_vary_are_normalised_in_float32(width: int) -> None:
    one, zero = np.ones(width, np.float32), np.zeros(width, np.float32)
    assert not mg.layer_norm(np.full((3, width), 12345.678, np.float32), one, zero).any()
    x = np.random.default_rng(0).normal(1e4, 1, (3, width)).astype(np.float32)
    exact = mg.layer_norm(x.astype(np.float64), one.astype(np.float64), zero.astype(np.float64))
    np.testing.assert_allclose(mg.layer_norm(x, one, zero), exact, atol=1e-5)


def test_layer_norm_takes_no_weight_and_names_a_wrong_one(torch: Any) -> None:
    theirs = torch.nn.functional.layer_norm
    (x,) = normal((2, 3))
    assert_like_torch(torch, lambda x: mg.layer_norm(x, None, None), lambda x: theirs(x, (3,)), x)
    for weight in (np.ones(2), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"a weight of shape \(3,\), \(1,\) or None is needed"):
            mg.layer_norm(x, weight, None)
