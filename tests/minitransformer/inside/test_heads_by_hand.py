"""Attention with queries, keys and values, step by step: every number is the layer's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minitransformer.inside.by_hand import HOW, Step, matrix_of
from minitransformer.inside.heads_by_hand import with_parameters
from minitransformer.inside.sentences import Reading, drawn_reading, from_seed
from minitransformer.parts.attention import MultiHeadAttention, causal_mask

HEADS = 4
SENTENCES = from_seed(["money bank grows", "the river bank flows"], width=8)


def a_reading(causal: bool = False, **choices: Any) -> Reading:
    """A layer with random weights and biases, in float64."""
    attention = MultiHeadAttention(8, HEADS, rng=0, **choices).astype(np.float64)
    rng = np.random.default_rng(0)
    for x in attention.parameters():
        x.data[...] = rng.normal(0, 0.5, x.shape)
    inputs = [sentence.vectors for sentence in SENTENCES]
    return Reading(attention, inputs, [causal_mask(len(x)) if causal else None for x in inputs], "")


KINDS = {
    "plain": {"bias": False},
    "with biases": {},
    "causal": {"causal": True},
    "rotary": {"rotary_base": 100.0, "causal": True},
    "shared keys": {"num_kv_heads": 2},
    "rotary, shared keys": {"rotary_base": 100.0, "num_kv_heads": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_output_are_the_layers_own(kind: str) -> None:
    reading = a_reading(**KINDS[kind])
    steps = with_parameters(SENTENCES, reading)
    for i, (x, mask) in enumerate(zip(reading.inputs, reading.masks, strict=True)):
        weights = reading.attention.weights(x[None], x[None], mask)[0]
        for head in range(HEADS):
            found = matrix_of(steps, f"W{i}.{head}").values
            np.testing.assert_allclose(found, weights[head], rtol=1e-12)
        output = reading.attention(x[None], x[None], mask).data[0]
        assert np.array_equal(matrix_of(steps, f"O{i}").values, output)


@pytest.mark.parametrize("kind", KINDS)
def test_every_matrix_follows_from_those_that_it_names(kind: str) -> None:
    steps = with_parameters(SENTENCES, a_reading(**KINDS[kind]))
    for matrix in (x for step in steps for x in step.matrices if x.how != "cosine"):
        expected = follow(matrix, steps)
        np.testing.assert_allclose(matrix.values, expected, rtol=1e-9, atol=1e-12)


def follow(matrix: Any, steps: list[Step]) -> Any:
    """A matrix as `how` says that it comes about, reckoned anew."""
    of = [matrix_of(steps, key).values for key in matrix.of]
    match matrix.how:
        case "given":
            return matrix.values
        case "dots":
            return of[0] @ of[1].T
        case "product":
            return of[0] @ of[1] + (0 if matrix.bias is None else matrix.bias)
        case "turned":
            cos, partner, sin = matrix.by
            half = matrix.values.shape[1] // 2
            assert np.array_equal(partner, np.roll(of[0], half, axis=1))
            return of[0] * cos + partner * sin
        case "scaled":
            return of[0] / matrix.by
        case "masked":
            hidden = np.isneginf(matrix.values)
            assert np.array_equal(hidden, ~causal_mask(len(hidden)))
            return np.where(hidden, -np.inf, of[0])
        case "powers":
            powers = np.exp(of[0] - matrix.by[:, None])
            return np.concatenate([powers, powers.sum(1, keepdims=True)], axis=1)
        case "shares":
            return of[0][:, :-1] / of[0][:, -1:]
        case "joined":
            heads = [matrix_of(steps, f"Z{matrix.sentence}.{h}").values for h in range(matrix.by)]
            return np.concatenate(heads, axis=1)
        case "same":
            np.testing.assert_allclose(matrix.by, of[0], rtol=1e-9)
            return of[0]
    raise AssertionError(matrix.how)


def test_only_the_heads_that_are_asked_for_are_shown() -> None:
    steps = with_parameters(SENTENCES, a_reading(), [1])
    assert {x.head for step in steps for x in step.matrices} == {None, 1}
    with pytest.raises(ValueError, match="there is no head 5: the layer has 4"):
        with_parameters(SENTENCES, a_reading(), [4])


def test_matrices_are_drawn_by_the_seed() -> None:
    first, again, other = (
        matrix_of(with_parameters(SENTENCES, drawn_reading(SENTENCES, 2, seed)), "O0").values
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_steps_come_in_the_order_of_the_paper() -> None:
    steps = with_parameters(SENTENCES, a_reading(causal=True))
    assert [step.title for step in steps] == [
        "What the layer reads", "Queries", "Keys", "Values", "Scores", "Divided by √2 = 1.414",
        "Mask", "Exponentials", "Weights", "Weighted sums of values", "All words at once",
        "Heads side by side", "Output", "The same word, before and after",
    ]  # fmt: skip
    assert all(x.how in HOW for step in steps for x in step.matrices)
