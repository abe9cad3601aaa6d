"""What a configuration is, and what it refuses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from minitransformer import TransformerConfig


def test_the_defaults_are_the_papers_base_model() -> None:
    config = TransformerConfig(source_vocab=100, target_vocab=200)
    assert asdict(config) == {
        "source_vocab": 100,
        "target_vocab": 200,
        "d_model": 512,
        "num_heads": 8,
        "num_encoder_layers": 6,
        "num_decoder_layers": 6,
        "d_ff": 2048,
        "dropout": 0.1,
        "max_length": 512,
        "norm": "post",
        "activation": "relu",
        "positions": "sinusoidal",
        "tie_embeddings": False,
        "eps": 1e-5,
    }


def test_base_is_the_defaults_over_one_tied_vocabulary() -> None:
    assert TransformerConfig.base() == TransformerConfig(37_000, 37_000, tie_embeddings=True)
    assert TransformerConfig.base(500) == TransformerConfig(500, 500, tie_embeddings=True)


def test_big_is_base_but_wider() -> None:
    assert TransformerConfig.big(500) == TransformerConfig.base(
        500, d_model=1024, num_heads=16, d_ff=4096, dropout=0.3
    )


def test_a_preset_can_be_changed() -> None:
    config = TransformerConfig.big(
        500, dropout=0.0, norm="pre", target_vocab=7, tie_embeddings=False
    )
    assert (config.dropout, config.norm, config.target_vocab) == (0.0, "pre", 7)
    assert (config.d_model, config.source_vocab) == (1024, 500)


def test_it_cannot_be_changed_once_made() -> None:
    config = TransformerConfig(10, 10)
    with pytest.raises(FrozenInstanceError):
        config.d_model = 64  # type: ignore[misc]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"source_vocab": 0}, "source_vocab must be at least 1, not 0"),
        ({"target_vocab": -3}, "target_vocab must be at least 1, not -3"),
        ({"d_model": 0}, "d_model must be at least 1, not 0"),
        ({"num_heads": 0}, "num_heads must be at least 1, not 0"),
        ({"num_encoder_layers": 0}, "num_encoder_layers must be at least 1, not 0"),
        ({"num_decoder_layers": 0}, "num_decoder_layers must be at least 1, not 0"),
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
        ({"activation": "tanh"}, "activation is one of relu, gelu, not 'tanh'"),
        ({"positions": "none"}, "positions is one of sinusoidal, learned, not 'none'"),
        (
            {"source_vocab": 10, "target_vocab": 20, "tie_embeddings": True},
            "tie_embeddings needs one vocabulary for source and target, not 10 and 20 tokens",
        ),
    ],
)
def test_what_does_not_fit_is_named(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        TransformerConfig(**{"source_vocab": 10, "target_vocab": 10, **choice})
    assert str(error.value) == message


def test_learned_positions_take_an_odd_width() -> None:
    assert TransformerConfig(10, 10, d_model=9, num_heads=3, positions="learned").d_model == 9
