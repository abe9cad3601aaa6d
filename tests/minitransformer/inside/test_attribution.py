"""Attribution: each method on models so simple that one knows what it has to say."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from minigrad import nn
from minigrad.tensor import Array
from minitransformer.inside.attribution import (
    gradient_times_input,
    heads_off,
    knock_out,
    rollout,
    scored,
)
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.transformer import Transformer, TransformerConfig

TOKENS = np.array([[2, 5, 1], [4, 4, 3]])
WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3, 4))  # (B, H, T, T)


class Sum(nn.Module):
    """A linear model: the vectors of the tokens, times a matrix, are added up."""

    token_rows: ClassVar = {"embedding.weight": "source"}

    def __init__(self) -> None:
        self.embedding = nn.Embedding(6, 4, rng=0)
        self.projection = nn.Linear(4, 3, bias=False, rng=1)

    def forward(self, tokens: Array) -> Any:
        return self.projection(self.embedding(tokens)).sum(axis=1)


@pytest.fixture
def linear() -> Any:
    return Sum().astype(np.float64)


def a_bert() -> Any:
    config = BertConfig(vocab=9, num_layers=2, d_model=8, num_heads=2, d_ff=12, max_length=8)
    return Bert(config, rng=0).astype(np.float64)


def second(logits: Any) -> Any:
    """A score: the logit of one class."""
    return logits[:, 1]


def test_attention_that_looks_at_itself_rolls_out_to_itself() -> None:
    same = np.broadcast_to(np.eye(5), (2, 4, 5, 5))
    assert np.array_equal(rollout([same, same, same]), np.broadcast_to(np.eye(5), (2, 5, 5)))


def test_rollout_is_the_product_of_layers_the_last_one_first() -> None:
    first, last = (x.mean(axis=1) for x in (WEIGHTS, WEIGHTS[:, :, ::-1]))
    expected = (last + np.eye(4)) / 2 @ ((first + np.eye(4)) / 2)
    found = rollout([WEIGHTS, WEIGHTS[:, :, ::-1]])
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found.sum(axis=-1), 1)


def test_gradient_times_input_of_all_tokens_is_the_score_of_a_linear_model(linear: Any) -> None:
    found = gradient_times_input(linear, [TOKENS], second)
    scores = scored(linear, [TOKENS], second)
    np.testing.assert_allclose(found.sum(axis=1), scores, rtol=1e-12)
    each = linear.embedding.weight.data[TOKENS] @ linear.projection.weight.data[1]
    np.testing.assert_allclose(found, each, rtol=1e-12)


def test_knock_out_in_a_linear_model_is_what_the_token_added_and_the_other_does_not(
    linear: Any,
) -> None:
    found = knock_out(linear, [TOKENS], second, np.array([2, 0]), instead=0)
    rows = linear.embedding.weight.data @ linear.projection.weight.data[1]
    np.testing.assert_allclose(found, [rows[1] - rows[0], rows[4] - rows[0]])
    assert TOKENS.tolist() == [[2, 5, 1], [4, 4, 3]]


def test_gradient_times_input_is_the_slope_along_a_tokens_vector() -> None:
    model, tokens = a_bert(), np.array([[2, 5, 6, 3]])

    def score(logits: Any) -> Any:
        return logits[:, 2, 7]

    (found,) = gradient_times_input(model, [tokens], score)
    for place in range(4):
        rows, step = model.reader.embedding.tokens.weight.data, 1e-5
        # The head has the same rows: there, those that are moved are not asked for.
        vector = rows[tokens[0, place]].copy()
        slopes = []
        for sign in (1, -1):
            rows[tokens[0, place]] = vector * (1 + sign * step)
            slopes.append(scored(model, [tokens], score)[0])
        rows[tokens[0, place]] = vector
        assert found[place] == pytest.approx((slopes[0] - slopes[1]) / (2 * step), rel=1e-4)


def test_padding_and_a_target_are_not_taken_for_the_source() -> None:
    config = TransformerConfig(9, 8, 1, 1, d_model=8, num_heads=2, d_ff=12, max_length=8)
    model = Transformer(config, rng=0).astype(np.float64)
    source, target = np.array([[4, 5, 6, 0, 0]]), np.array([[1, 7]])
    found = gradient_times_input(model, [source, target], lambda logits: logits[:, -1, 3])
    assert found.shape == (1, 5)
    assert not found[0, 3:].any() and found[0, :3].all()


def test_a_model_that_does_not_say_what_its_tokens_are_is_refused() -> None:
    class Mute(Sum):
        token_rows: ClassVar = {}

    with pytest.raises(ValueError, match="does not say"):
        gradient_times_input(Mute(), [TOKENS], second)


def test_each_head_is_off_in_its_turn_and_on_again() -> None:
    model, tokens = a_bert(), np.array([[2, 5, 6, 3]])
    before = scored(model, [tokens], lambda x: x)
    found = list(heads_off(model, lambda: scored(model, [tokens], lambda x: x)))
    assert [(path.split(".")[-2], head) for path, head, _ in found] == [
        ("0", 0), ("0", 1), ("1", 0), ("1", 1),
    ]  # fmt: skip
    assert not any(np.allclose(x, before) for _, _, x in found)
    assert np.array_equal(scored(model, [tokens], lambda x: x), before)
