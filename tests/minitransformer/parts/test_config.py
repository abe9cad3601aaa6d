"""What a stack of layers has to be told, and what it refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from minitransformer.parts.config import StackConfig


def test_the_defaults_are_the_papers_base_model() -> None:
    assert asdict(StackConfig()) == {
        "d_model": 512,
        "num_heads": 8,
        "d_ff": 2048,
        "dropout": 0.1,
        "max_length": 512,
        "norm": "post",
        "activation": "relu",
        "positions": "sinusoidal",
        "eps": 1e-5,
        "pad": 0,
        "scaling": "layer",
        "num_kv_heads": None,
        "rotary_base": 10_000,
        "bias": True,
        "scaled_embedding": True,
        "embedding_std": None,
    }


def test_it_cannot_be_changed_once_made() -> None:
    config = StackConfig()
    with pytest.raises(FrozenInstanceError):
        config.d_model = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"d_model": 0}, "d_model must be at least 1, not 0"),
        ({"num_heads": 0}, "num_heads must be at least 1, not 0"),
        ({"d_ff": 0}, "d_ff must be at least 1, not 0"),
        ({"max_length": 0}, "max_length must be at least 1, not 0"),
        (
            {"d_model": 12, "num_heads": 5},
            "num_heads 5 does not divide d_model 12; divisors are 1, 2, 3, 4, 6, 12",
        ),
        ({"d_model": 9, "num_heads": 3}, "sinusoidal positions need an even d_model, not 9"),
        ({"dropout": 1.0}, "dropout is a probability below 1, not 1.0"),
        ({"dropout": -0.1}, "dropout is a probability below 1, not -0.1"),
        ({"norm": "both"}, "norm is one of post, pre, not 'both'"),
        ({"activation": "tanh"}, "activation is one of relu, gelu, gelu-tanh, swiglu, not 'tanh'"),
        (
            {"positions": "waves"},
            "positions is one of sinusoidal, learned, rotary, none, not 'waves'",
        ),
        ({"scaling": "batch"}, "scaling is one of layer, rms, not 'batch'"),
        ({"num_kv_heads": 0}, "num_kv_heads must be at least 1, not 0"),
        (
            {"num_kv_heads": 3},
            "num_kv_heads 3 does not divide num_heads 8; divisors are 1, 2, 4, 8",
        ),
        (
            {"d_model": 6, "num_heads": 2, "positions": "rotary"},
            "rotary positions need heads of even width, not 3",
        ),
    ],
)
def test_what_does_not_fit_is_named(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        StackConfig(**choice)
    assert str(error.value) == message


def test_learned_positions_take_an_odd_width() -> None:
    assert StackConfig(d_model=9, num_heads=3, positions="learned").d_model == 9
