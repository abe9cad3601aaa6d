"""Sizes: models of one size, whatever their kind."""

from __future__ import annotations

import pytest

from minitransformer.batch import Shape
from minitransformer.models import MODELS
from minitransformer.studies.sizes import equally_large, size

SHAPE = Shape("pairs", vocab=14, classes=14, source=40, target=41)
PAIRS = [name for name, model in MODELS.items() if "pairs" in model.answers]


@pytest.mark.parametrize("width", [32, 64])
def test_models_have_as_many_weights_as_a_transformer(width: int) -> None:
    models = equally_large(PAIRS, width, SHAPE)
    wanted = size(models["transformer"], SHAPE)
    assert models["transformer"].d_model == width
    for model in models.values():
        assert abs(size(model, SHAPE) / wanted - 1) < 0.03


def test_no_other_width_comes_nearer() -> None:
    models = equally_large(["gru", "transformer"], 32, SHAPE)
    wanted, found = size(models["transformer"], SHAPE), models["gru"].d_model
    faults = {
        width: abs(size(MODELS["gru"](d_model=width, layers=1), SHAPE) - wanted)
        for width in range(1, 2 * found)
    }
    assert min(faults, key=lambda width: faults[width]) == found
