"""What the tests of `why` ask, and the tensors and the network that they ask about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import AnomalyError, Tensor, detect_anomaly, explain_grad, nn
from minitransformer import Transformer, TransformerConfig

ROWS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def leaf(data: Any, name: str | None = "x", dtype: Any = None) -> Tensor:
    return Tensor(data, dtype=dtype, requires_grad=True, name=name)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4, rng=0), mg.relu, nn.Linear(4, 2, rng=1))


def answer(tensor: Tensor, loss: Tensor | None = None) -> tuple[str, str]:
    """The verdict on the tensor's gradient, and its cause."""
    explanation = explain_grad(tensor, loss)
    assert str(explanation)
    return explanation.verdict, explanation.cause


def transformer() -> Transformer:
    config = TransformerConfig(9, 9, d_model=8, num_heads=2, num_encoder_layers=1,
                               num_decoder_layers=1, d_ff=8, dropout=0.0)  # fmt: skip
    return Transformer(config, rng=0)


def alarm(compute: Callable[[], Any]) -> str:
    """What the error says that the computation raises under detect_anomaly."""
    with pytest.raises(AnomalyError) as error, detect_anomaly():
        compute()
    return str(error.value)
