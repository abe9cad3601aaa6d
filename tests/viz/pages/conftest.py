"""A small transformer that has been looked into, and the page of its attention."""

from __future__ import annotations

from pathlib import Path

import pytest

from minitransformer.inside.inspection import Inspection, inspect
from minitransformer.models.transformer import Transformer, TransformerConfig
from tests.viz.pages.opening import FORM, SIZES
from viz.pages.attention import attention


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    model = Transformer(TransformerConfig(8, 8, **SIZES, **layers), rng=3)
    return inspect(model, FORM, [4, 6, 5, 7], [5, 4, 6])


@pytest.fixture(scope="module")
def path(inspection: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "attention.html"
    attention(inspection).save(path)
    return path
