"""Token and position vectors."""

from __future__ import annotations

from math import cos, sin, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer import TokenEmbedding, sinusoidal_positions
from minitransformer.parts.config import StackConfig

VOCAB, LENGTH, D = 9, 7, 6
TOKENS = np.array([[4, 5, 8], [6, 0, 0]])


def an_embedding(**choices: Any) -> TokenEmbedding:
    config = StackConfig(d_model=D, num_heads=1, max_length=LENGTH, dropout=0.0, **choices)
    return TokenEmbedding(VOCAB, config, np.random.default_rng(0))


@given(st.integers(1, 40), st.integers(1, 16))
def test_sinusoidal_positions_are_the_formula_of_section_3_5(length: int, half: int) -> None:
    table = sinusoidal_positions(length, 2 * half)
    assert table.shape == (length, 2 * half)
    for position in range(length):
        for i in range(half):
            angle = position / 10_000 ** (2 * i / (2 * half))
            assert abs(table[position, 2 * i] - sin(angle)) < 1e-12
            assert abs(table[position, 2 * i + 1] - cos(angle)) < 1e-12


def test_a_shift_by_k_is_the_same_rotation_at_every_position() -> None:
    table, k = sinusoidal_positions(50, D), 9
    waves = table[:, 0::2] * 1j + table[:, 1::2]
    rotation = waves[k:] / waves[:-k]
    assert np.allclose(rotation, rotation[0], rtol=0, atol=1e-12)


def test_the_table_is_made_once_and_cannot_be_written_to() -> None:
    table = sinusoidal_positions(LENGTH, D)
    assert sinusoidal_positions(LENGTH, D) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1


def test_a_token_is_its_row_times_the_root_of_the_width_plus_its_position() -> None:
    embedding = an_embedding()
    result = embedding(TOKENS)
    assert result.shape == (2, 3, D)
    assert result.dtype == np.float32
    for b in range(2):
        for t in range(3):
            row = embedding.tokens.weight.data[TOKENS[b, t]]
            expected = row * sqrt(D) + sinusoidal_positions(LENGTH, D)[t]
            assert np.allclose(result.data[b, t], expected, rtol=0, atol=1e-6)


def test_learned_positions_are_trained() -> None:
    embedding = an_embedding(positions="learned").astype(np.float64)
    names = dict(embedding.named_parameters())
    assert {name: x.shape for name, x in names.items()} == {
        "tokens.weight": (VOCAB, D),
        "positions.weight": (LENGTH, D),
    }
    result = embedding(TOKENS)
    expected = embedding.tokens.weight.data[TOKENS] * sqrt(D) + embedding.positions.weight.data[:3]
    assert np.allclose(result.data, expected, rtol=0, atol=1e-12)
    result.sum().backward()
    gradient = names["positions.weight"].grad
    assert np.array_equal(gradient[:, 0], [2, 2, 2, 0, 0, 0, 0])  # one for each row of the batch


def test_tokens_begin_about_as_large_as_sinusoidal_positions_and_learned_ones_smaller() -> None:
    wide = StackConfig(d_model=64, max_length=200, positions="learned")
    embedding = TokenEmbedding(300, wide, np.random.default_rng(0))
    assert np.std(embedding.tokens.weight.data * sqrt(64)) == pytest.approx(1, rel=0.05)
    assert embedding.positions is not None
    assert np.std(embedding.positions.weight.data) == pytest.approx(1 / sqrt(64), rel=0.05)


def test_sinusoidal_positions_are_not() -> None:
    assert [name for name, _ in an_embedding().named_state()] == ["tokens.weight"]


@pytest.mark.parametrize("positions", ["rotary", "none"])
def test_some_models_add_none_to_their_tokens(positions: str) -> None:
    embedding = an_embedding(positions=positions)
    assert [name for name, _ in embedding.named_state()] == ["tokens.weight"]
    expected = embedding.tokens.weight.data[TOKENS] * sqrt(D)
    assert np.allclose(embedding(TOKENS).data, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_a_sequence_can_start_in_the_middle(positions: str) -> None:
    embedding = an_embedding(positions=positions)
    whole = embedding(TOKENS).data
    assert np.array_equal(embedding(TOKENS[:, 1:], start=1).data, whole[:, 1:])


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
def test_the_last_position_can_be_used_and_no_later_one(positions: str) -> None:
    embedding = an_embedding(positions=positions)
    assert embedding(np.full((1, LENGTH), 4)).shape == (1, LENGTH, D)
    message = "a sequence of 8 tokens is longer than the model's 7 positions"
    for tokens, start in ((np.full((1, 8), 4), 0), (np.full((1, 1), 4), 7)):
        with pytest.raises(ValueError, match=message):
            embedding(tokens, start)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_result_has_the_dtype_of_the_weights(dtype: Any) -> None:
    assert an_embedding().astype(dtype)(TOKENS).dtype == dtype


@pytest.mark.parametrize(("tokens", "shape"), [([4, 5], r"\(2,\)"), ([[], []], r"\(2, 0\)")])
def test_tokens_come_as_a_batch(tokens: Any, shape: str) -> None:
    with pytest.raises(
        ValueError, match=rf"tokens come as \(B, T\), with T at least 1, not {shape}"
    ):
        an_embedding()(tokens)


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="token numbers are at least 0, not -100"):
        an_embedding()(np.array([[4, -100]]))
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        an_embedding()(np.array([[4, VOCAB]]))


def test_dropout_acts_on_the_sum() -> None:
    config = StackConfig(d_model=D, num_heads=1, dropout=0.5)
    embedding = TokenEmbedding(VOCAB, config, np.random.default_rng(0))
    tokens = np.full((4, 50), 4)
    kept = embedding(tokens).data
    whole = embedding.eval()(tokens).data
    assert 0.4 < np.mean(kept == 0) < 0.6
    assert np.allclose(kept[kept != 0], 2 * whole[kept != 0])
