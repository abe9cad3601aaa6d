"""Each op's reasons for letting no gradient through, or only a part, are told with their counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, explain_grad, nn
from minigrad.why import survey
from minigrad.why.blame import FINE, PARTLY_ZERO, TINY, ZERO
from minigrad.why.reasons import Hop, reason_for_zeros
from minitransformer import MultiHeadAttention
from tests.minigrad.why.questions import ROWS, answer, leaf, network, transformer


def test_a_dead_relu_is_named_with_its_counts():
    model = network()
    model[0].bias.data -= 100
    explanation = explain_grad(model[0].weight, model(ROWS).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "dead-relu")
    assert explanation.culprit is not None
    assert (explanation.culprit.op, explanation.culprit.module) == ("relu", "Sequential")
    assert explanation.culprit in explanation.path
    assert "all 32 of its inputs are 0 or less" in explanation.reason
    largest = (ROWS @ model[0].weight.data.T + model[0].bias.data).max()
    assert f"(the largest is {largest:.4g})" in explanation.reason


def test_weights_that_begin_at_zero_are_named_and_the_bias_beside_them_is_not():
    model = network()
    for x in model.parameters():
        x.data[...] = 0
    rows = {row.name: row for row in survey((model(ROWS) - 1).sum())}
    assert rows["0.weight"].cause == rows["2.weight"].cause == "zero-factor"
    assert "2.weight (0 to 0) makes all 32 elements 0" in rows["0.weight"].reason
    assert "x (0 to 0, the result of relu) makes all 8 elements 0" in rows["2.weight"].reason


def test_a_product_with_a_zero_names_no_other_input():
    x = leaf([0.0, 0.0, 3.0])
    explanation = explain_grad(x, x.prod())
    assert (explanation.verdict, explanation.cause) == (ZERO, "zero-factor")
    assert "another factor is 0 at all 3 places" in explanation.reason


def test_one_dead_unit_of_four_makes_a_quarter_zero():
    model = network()
    model[0].bias.data[1] = -100
    explanation = explain_grad(model[0].weight, (model(ROWS) ** 2).mean())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "dead-relu")
    assert explanation.zeros == 0.25
    assert "1 of 4 units throughout" in explanation.reason
    behind_it = explain_grad(model[2].weight, (model(ROWS) ** 2).mean())
    assert (behind_it.cause, behind_it.zeros) == ("zero-factor", 0.25)
    assert "the result of relu" in behind_it.reason


@pytest.mark.parametrize("curve", [np.tanh, mg.sigmoid, mg.erf, mg.silu, mg.gelu, mg.softplus])
def test_a_saturated_curve(curve: Callable[..., Any]):
    x = leaf([-2.0, -3.0])
    assert answer(x, curve(x * 1e4).sum()) == (ZERO, "saturated")


def test_a_nearly_saturated_sigmoid_makes_the_gradient_tiny():
    x = leaf([25.0, 30.0])
    explanation = explain_grad(x, mg.sigmoid(x).sum())
    assert (explanation.verdict, explanation.cause) == (TINY, "saturated")
    assert "inputs lie where it is flat (from 25 to 30;" in explanation.reason


def test_a_saturated_softmax():
    x = leaf([[1.0, 2.0, 3.0]])
    explanation = explain_grad(x, (mg.softmax(x * 1e4) * np.arange(3.0)).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "saturated")
    assert "one weight is 1" in explanation.reason


def test_the_sum_of_a_softmax_is_one_whatever_its_inputs():
    x = leaf([1.0, 1.0])
    assert answer(x, mg.softmax(x).sum()) == (ZERO, "cancelled")


def attended(mask: Any, attention: Any = TABLE["scaled_dot_product_attention"]) -> Any:
    rng = np.random.default_rng(1)
    parts = [leaf(rng.normal(size=(1, 3, 4)), name) for name in ("query", "key", "value")]
    if attention.name == "additive_attention":
        parts.append(leaf(rng.normal(size=4), "v"))
    y = attention(*parts, mask=mask)
    return parts, (y * rng.normal(size=(1, 3, 4))).sum()


both_attentions = pytest.mark.parametrize(
    "attention", [TABLE["scaled_dot_product_attention"], TABLE["additive_attention"]]
)


def test_a_softmax_over_a_single_element_has_decided_nothing():
    x = leaf([[1.0], [2.0]])
    explanation = explain_grad(x, (mg.softmax(x) * 3.0).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "cancelled")
    assert "in all 2 rows every element gets the same gradient" in explanation.reason


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_a_row_is_blocked_by_its_slope_whatever_the_size_of_what_arrives(scale: float):
    y = mg.softmax(leaf([[7.0, 0.0]]))  # probabilities 0.9991 and 0.0009

    def reason(*g: float) -> Any:
        arriving = scale * np.array([g])
        ruled = y.data * (arriving - (arriving * y.data).sum())
        return reason_for_zeros(Hop(y, 0, arriving, ruled, ruled), 1e-3)

    assert reason(1.0, 0.0).cause == "saturated"
    assert reason(1.0, -1.0) is None  # twice the slope


@both_attentions
def test_a_masked_row_of_attention(attention: Any):
    mask = np.array([[True, True, False], [False, False, False], [True, True, False]])
    (query, key, value, *_), loss = attended(mask, attention)
    explanation = explain_grad(query, loss)
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "masked")
    assert "1 of 3 queries may attend to nothing" in explanation.reason
    assert "True means may attend" in explanation.hint
    for part in key, value:
        explanation = explain_grad(part, loss)
        assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "masked")
        assert "1 of 3 keys are masked for every query" in explanation.reason


def test_keys_that_heads_share_are_counted_once():
    rng = np.random.default_rng(1)
    heads = {"query": (1, 4, 2, 3), "key": (1, 2, 3, 3), "value": (1, 2, 3, 3)}
    parts = [leaf(rng.normal(size=shape), name) for name, shape in heads.items()]
    mask = np.array([True, True, False])
    y = mg.scaled_dot_product_attention(*parts, mask=mask)
    loss = (y * rng.normal(size=y.shape)).sum()
    for part in parts[1:]:
        explanation = explain_grad(part, loss)
        assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "masked")
        assert "2 of 6 keys are masked for every query" in explanation.reason


def test_additive_attention_that_may_look_nowhere_has_no_use_for_its_scores():
    (query, _, value, v), loss = attended(np.zeros((3, 3), bool), TABLE["additive_attention"])
    assert answer(query, loss) == answer(value, loss) == (ZERO, "masked")
    assert answer(v, loss) == (ZERO, "zero-slope")


def test_an_attention_that_may_look_nowhere_and_one_that_is_saturated():
    (query, _, value), loss = attended(np.zeros((3, 3), bool))
    assert answer(query, loss) == answer(value, loss) == (ZERO, "masked")
    (query, key, _), _ = attended(None)
    y = mg.scaled_dot_product_attention(query * 1e6, key, leaf(np.eye(3, 4)[None]))
    assert answer(query, (y * np.arange(4.0)).sum()) == (ZERO, "saturated")
    assert answer(key, (y * np.arange(4.0)).sum()) == (ZERO, "saturated")
    explanation = explain_grad(y.inputs[2], (y * np.arange(1.0, 5.0)).sum())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "saturated")
    assert "keys have a weight of 0" in explanation.reason


def test_a_reason_for_some_rows_is_not_told_as_that_for_all():
    logits = leaf([[1e4, 0.0], [1e4, 0.0], [0.0, 0.0]])
    explanation = explain_grad(
        logits, mg.cross_entropy(logits, np.array([0, 0, 2]), ignore_index=2)
    )
    assert (explanation.verdict, explanation.cause) == (ZERO, "saturated")
    assert "1 of 3 targets are ignore_index=2, and count for nothing, and 2 of 3 targets are " in (
        explanation.reason
    )
    scores = leaf([[1e4, 0.0], [-np.inf, -np.inf], [1e4, 0.0]])
    explanation = explain_grad(scores, (mg.softmax(scores) * np.arange(2.0)).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "saturated")
    assert "1 of 3 rows are masked throughout, and 2 of 3 rows are saturated" in explanation.reason
    only_masked = leaf([[-np.inf, -np.inf]])
    loss = (mg.softmax(only_masked) * np.arange(2.0)).sum()
    assert "saturated" not in explain_grad(only_masked, loss).reason


def test_a_saturated_attention_with_a_masked_key_tells_both():
    key = leaf(1e3 * np.array([[1.0], [2.0], [3.0]]) * np.ones((1, 3, 4)))
    query, value = leaf(np.ones((1, 3, 4))), np.arange(12.0).reshape(1, 3, 4)
    mask = np.array([True, False, True])
    loss = (mg.scaled_dot_product_attention(query, key, value, mask) * np.arange(4.0)).sum()
    explanation = explain_grad(key, loss)
    assert (explanation.verdict, explanation.cause) == (ZERO, "saturated")
    assert "1 of 3 keys are masked for every query, and 2 of 3 keys have a weight of 0 or 1" in (
        explanation.reason
    )
    assert "all 3 rows are saturated" in explain_grad(query, loss).reason


def test_a_query_with_a_single_key_to_attend_to_is_masked_and_not_saturated():
    (query, key, value), _ = attended(None)
    first = mg.scaled_dot_product_attention(query, key, value, np.tri(3, dtype=bool))[:, 0]
    explanation = explain_grad(query, first.sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "masked")
    assert "1 of 1 queries may attend to one key only" in explanation.reason
    assert "no query has a choice between keys" in explain_grad(key, first.sum()).reason
    assert "2 of 3 keys are masked for every query that gets a gradient" in (
        explain_grad(value, first.sum()).reason
    )


def test_attention_to_keys_that_are_all_alike_has_nothing_to_ask_for():
    (query, _, value), _ = attended(None)
    y = mg.scaled_dot_product_attention(query, np.ones((1, 3, 4)), value)
    explanation = explain_grad(query, (y * np.arange(4.0)).sum())
    assert explanation.cause == "cancelled"
    assert explanation.size < 1e-12


def test_only_the_queries_that_nothing_comes_to_are_said_to_get_what_cancels():
    rows = np.arange(12.0).reshape(3, 4) / 10
    query, key = leaf(np.ones((2, 3, 4))), np.stack([np.zeros((3, 4)), rows])
    y = mg.scaled_dot_product_attention(query, key, np.stack([rows, rows]))
    explanation = explain_grad(query, (y * np.arange(4.0)).sum())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "cancelled")
    assert "for 3 of 6 queries what the keys send back cancels" in explanation.reason


def test_a_clip_without_a_lower_bound_is_open_downwards():
    x = leaf([1.0, 2.0])
    assert "lie outside -inf to -1 (1 to 2)" in explain_grad(x, x.clip(None, -1).sum()).reason


def test_the_logarithm_of_a_softmax_has_reasons_of_its_own():
    x = leaf([[0.0, 0.0, 0.0, 0.0]])
    explanation = explain_grad(x, mg.log_softmax(x).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "cancelled")
    assert "as large as each probability" in explanation.reason


def test_a_wide_softmax_is_not_taken_for_one_that_cancels():
    x = leaf(np.zeros((1, 20_000)))
    explanation = explain_grad(x, (mg.softmax(x)[0, :2] * [1e-4, -1e-4]).sum())
    assert (explanation.verdict, explanation.cause) == (TINY, "vanishing")


@pytest.mark.parametrize(
    ("weight", "x", "cause", "text"),
    [
        (0.0, 1.0, "zero-factor", "in all 2 rows weight is 0 wherever a gradient arrives"),
        (1.0, 1e9, "vanishing", "shrinks most"),
    ],
)
def test_a_layer_norm_that_blocks_otherwise_is_not_said_to_shift_or_scale(
    weight: float, x: float, cause: str, text: str
):
    rows = leaf(x * np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 1.0]]))
    y = mg.layer_norm(rows, np.full(3, weight), np.zeros(3)) * np.arange(3.0)
    explanation = explain_grad(rows, y.sum())
    assert explanation.cause == cause
    assert text in explanation.reason


def test_constant_rows_leave_the_weight_of_a_layer_norm_nothing_to_scale():
    weight = leaf(np.ones(3))
    loss = (mg.layer_norm(np.ones((2, 3)), weight, np.zeros(3)) * np.arange(3.0)).sum()
    explanation = explain_grad(weight, loss)
    assert (explanation.verdict, explanation.cause) == (ZERO, "zero-factor")
    assert "each row is constant" in explanation.reason


@pytest.mark.parametrize(
    ("compute", "cause"),
    [
        (lambda x: np.where(np.zeros(3, bool), x, 1.0), "masked"),
        (lambda x: np.where(np.ones(3, bool), 1.0, x), "masked"),
        (lambda x: x.masked_fill(np.ones(3, bool), 0.0), "masked"),
        (lambda x: mg.TABLE["dropout_mask"](x, np.zeros(3, bool)), "dropout"),
        (lambda x: x * 0.0, "zero-factor"),
        (lambda x: x @ np.zeros((3, 2)), "zero-factor"),
        (lambda x: x.clip(10, 20), "clipped"),
        (lambda x: x.clip(None, -1), "clipped"),
        (lambda x: np.maximum(x, 99.0), "unselected"),
        (lambda x: np.minimum(x, -99.0), "unselected"),
        (lambda x: np.concatenate([x, leaf(np.ones(3))])[3:], "unselected"),
        (lambda x: np.square(x * 1.0 - x.data), "zero-slope"),
        (lambda x: np.tril(np.reshape(x, (1, 3)), -1), "masked"),
        (lambda x: x - x, "cancelled"),
        (lambda x: x * 2 + x * -2, "cancelled"),
        (lambda x: (x - x.mean()) * 1.0, "cancelled"),
        (lambda x: mg.layer_norm(np.stack([x, x]), np.ones(3), np.zeros(3)) * 1.0, "cancelled"),
        (lambda x: x * 1e-200 * 1e-200, "underflow"),
        (lambda x: x[0:0], "empty"),
        (lambda x: x * np.ones((0, 3)), "empty"),
    ],
)
def test_what_else_makes_a_gradient_zero(compute: Callable[[Tensor], Any], cause: str):
    x = leaf([1.0, 2.0, 4.0])
    explanation = explain_grad(x, compute(x).sum())
    if explanation.verdict == TINY:  # what should cancel may leave rounding behind
        assert explanation.size < 1e-12
    else:
        assert explanation.verdict == ZERO
        assert not explanation.gradient.any()
    assert explanation.cause == cause


def test_contributions_that_cancel_are_named_with_their_sizes():
    x = leaf([3.0])
    explanation = explain_grad(x, (x * 2 + x * -2).sum())
    assert "The contributions of multiply (×) (2), multiply (×) (2) cancel" in explanation.reason


def test_an_op_that_gives_no_elements_is_named():
    x = leaf([1.0, 2.0])
    explanation = explain_grad(x, (x[0:0] * 3.0).sum())
    assert explanation.culprit is not None and explanation.culprit.op == "getitem"
    assert "getitem gives no elements: its result has shape (0,)." in explanation.reason


def test_a_weight_that_is_zero_where_a_gradient_arrives_and_only_there_is_named():
    x = leaf(np.ones((1, 2)))
    weight = np.array([[1.0, 0.0], [2.0, 0.0]])
    explanation = explain_grad(x, ((x @ weight) * np.array([0.0, 1.0])).sum())
    assert explanation.culprit is not None and explanation.culprit.op == "matmul"
    assert "b (0 to 2) is 0 wherever a gradient arrives" in explanation.reason


def test_what_is_too_small_for_the_inputs_dtype_is_not_said_to_cancel():
    x = leaf([1.0], dtype=np.float32)
    assert answer(x, (x * np.array([1e-300])).sum()) == (ZERO, "underflow")


def test_a_factor_of_zero_beside_others_that_cancel_is_not_told_as_the_whole():
    x = leaf(1.0)
    explanation = explain_grad(x, (x * np.array([0.0, 1.0, -1.0])).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "cancelled")
    assert "makes 1 of 3 elements 0, and elsewhere what it adds up cancels" in explanation.reason


def test_what_is_used_twice_and_blocked_on_both_ways_is_said_to_be_so():
    w, b = leaf(np.eye(3), "w"), np.full(3, -100.0)
    x = np.ones((1, 3))
    once = mg.relu(x @ w + b)
    assert "any other way" not in explain_grad(w, once.sum()).reason
    explanation = explain_grad(w, mg.relu(once @ w + b).sum())
    assert (explanation.verdict, explanation.cause) == (ZERO, "dead-relu")
    assert explanation.reason.endswith("Nothing comes by any other way either.")


def test_two_ops_that_make_different_zeros_are_both_named():
    data = np.array([[1.0, 0.0, 1.0], [2.0, 0.0, 1.0]])
    w = leaf(np.ones((3, 2)), "w")
    explanation = explain_grad(w, mg.relu(data @ w - np.array([0.0, 100.0])).sum())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "zero-factor")
    few = "matmul (@) lets only a part through (a gradient arrives at 2 of 4 elements): "
    assert f"{few}a (0 to 2) makes 2 of 6" in explanation.reason
    assert "relu lets only a part through: 2 of 4 of its inputs" in explanation.reason


def test_a_zero_that_comes_about_by_chance_is_not_blamed_on_a_relu_further_on():
    w = leaf(np.ones((2, 2)), "w")
    h = mg.relu(np.array([[1.0, 1.0], [2.0, -1.5]]) @ w - np.array([0.0, 0.6]))
    explanation = explain_grad(w, (h * np.array([[1.0, 1.0], [-0.5, 1.0]])).sum())
    assert explanation.zeros > 0 and not (h.data > 0).all()
    assert (explanation.verdict, explanation.cause) == (FINE, "")


def test_a_broadcast_bias_whose_sum_cancels():
    b = leaf(0.5, "b")
    assert answer(b, ((b + np.zeros(2)) * np.array([1.0, -1.0])).sum()) == (ZERO, "cancelled")


def test_the_bias_of_the_keys_is_of_no_use_to_attention():
    layer = MultiHeadAttention(8, 2, rng=0)
    x = np.random.default_rng(1).normal(size=(2, 5, 8)).astype(np.float32)
    rows = {row.name: row for row in survey((layer(x, x) ** 2).mean())}
    assert (rows["key.bias"].verdict, rows["key.bias"].cause) == (TINY, "cancelled")
    assert rows["query.bias"].verdict == FINE


def test_a_batch_whose_targets_are_all_padding():
    model = transformer()
    logits = model(np.array([[4, 5]]), np.array([[1, 4]]))
    loss = mg.cross_entropy(logits, np.array([[0, 0]]), ignore_index=0)
    explanation = explain_grad(model.encoder.layers[0].self_attention.query.weight, loss)
    assert (explanation.verdict, explanation.cause) == (ZERO, "ignored")
    assert "all 2 targets are ignore_index=0" in explanation.reason
    assert explanation.name == "encoder.layers.0.self_attention.query.weight"


def test_a_row_that_only_an_ignored_target_would_reach_is_told_beside_those_not_looked_up():
    table, projection = nn.Embedding(6, 4, rng=0), nn.Linear(4, 6, rng=1)
    tokens, wanted = np.array([1, 2, 5]), np.array([2, 5, 0])
    logits = projection(mg.layer_norm(table(tokens), np.ones(4), np.zeros(4)))
    explanation = explain_grad(table.weight, mg.cross_entropy(logits, wanted, ignore_index=0))
    assert explanation.zeros == 4 / 6
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "unselected")
    assert "its indices leave out 12 of 24 elements; 3 of 6 rows" in explanation.reason
    assert "cross_entropy lets only a part through: 1 of 3 targets are ignore_index=0" in (
        explanation.reason
    )


def test_a_dropout_that_does_not_make_the_zeros_is_not_named():
    layer = nn.Linear(4, 2, bias=False, rng=0)
    x = np.ones((8, 4)) * np.array([1.0, 1.0, 0.0, 1.0])
    explanation = explain_grad(layer.weight, (mg.dropout(layer(x), 0.5, 0) ** 2).sum())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "zero-factor")
    assert "dropout" not in explanation.reason


def test_a_loss_that_has_nothing_left_to_learn():
    x = leaf([[1e4, 0.0]])
    assert answer(x, mg.cross_entropy(x, np.array([0]))) == (ZERO, "saturated")


def test_rows_of_an_embedding_that_were_not_looked_up():
    table = nn.Embedding(10, 4, rng=0)
    explanation = explain_grad(table.weight, (table(np.array([1, 2, 1])) ** 2).sum())
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "unselected")
    assert explanation.zeros == 0.8
    assert "8 of 10 rows throughout" in explanation.reason


def test_an_index_that_takes_a_part():
    x = leaf([1.0, 2.0, 3.0, 4.0])
    explanation = explain_grad(x, x[:1].sum())
    assert (explanation.cause, explanation.zeros) == ("unselected", 0.75)


def test_where_no_gradient_arrives_is_not_counted_and_the_text_says_so():
    x = leaf(np.ones((2, 3)))
    mask = np.array([[True, True, True], [False, False, True]])
    found = explain_grad(x, (mg.softmax(x.masked_fill(mask, -np.inf)) ** 2).sum())
    assert "softmax lets nothing through (a gradient arrives at 2 of 6 elements): " in found.reason
