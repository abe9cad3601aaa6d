"""explain_grad says what a gradient is, why, and which op on the way from the loss is to blame."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, explain_grad, nn, no_grad
from minigrad.blame import FINE, HUGE, NONE, NOT_FINITE, PARTLY_ZERO, TINY, ZERO
from minigrad.nn import module_path, parameter_path
from minigrad.why import leaves, survey
from minitransformer import MultiHeadAttention, Transformer, TransformerConfig

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(8, 3)).astype(np.float32)


def leaf(data: Any, name: str | None = "x", dtype: Any = None) -> Tensor:
    return Tensor(data, dtype=dtype, requires_grad=True, name=name)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4, rng=0), mg.relu, nn.Linear(4, 2, rng=1))


def found(tensor: Tensor, loss: Tensor | None = None) -> tuple[str, str]:
    explanation = explain_grad(tensor, loss)
    assert str(explanation)
    return explanation.verdict, explanation.cause


def test_importing_minigrad_loads_nothing_that_only_answers_questions():
    answers = ["anomaly", "births", "blame", "cases", "check", "check_rows", "culprits"]
    answers += ["diagnosis", "evidence", "mistakes", "why", "wording"]
    code = f"""
import sys, minigrad
assert not {{f"minigrad.{{name}}" for name in {answers}}} & sys.modules.keys()
assert not {{"viz", "minitransformer"}} & sys.modules.keys()
assert all(hasattr(minigrad, name) for name in minigrad.__all__)
assert set(minigrad.__all__) <= set(dir(minigrad))
from minigrad import explain_grad, diagnose, gradcheck, detect_anomaly
assert not {{"viz", "minitransformer"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_when_nothing_is_wrong_it_says_so_with_the_norm_and_the_path():
    model = network()
    loss = (model(ROWS) ** 2).mean()
    explanation = explain_grad(model[2].weight, loss)
    assert (explanation.verdict, explanation.cause, explanation.culprit) == (FINE, "", None)
    text = str(explanation)
    assert text.startswith("2.weight (2, 4): nothing is wrong with the gradient: norm ")
    assert text.splitlines()[-1].startswith("From the loss: mean 1 → power ")
    loss.backward()
    assert f"norm {np.linalg.norm(model[2].weight.grad):.3g}," in text


def test_the_path_holds_the_size_of_the_gradient_at_each_op():
    x = leaf([3.0, 4.0])
    path = explain_grad(x, (x * 2 * 5).sum()).path
    assert [(step.op, step.module) for step in path[:-1]] == [
        ("sum", ""), ("multiply", ""), ("multiply", "")
    ]  # fmt: skip
    assert path[-1].op == "x"
    np.testing.assert_allclose(
        [step.size for step in path], np.sqrt(2) * np.array([0.5**0.5, 1, 5, 10])
    )


def test_asking_changes_nothing():
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    explain_grad(x, loss)
    assert x.grad is None
    loss.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_loss_of_several_elements_is_refused_as_by_backward():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="reduce it to one element"):
        explain_grad(x, x * 2)


def test_a_tensor_that_requires_none_has_none():
    x = Tensor([1.0])
    assert found(x) == found(x, (x * leaf([1.0])).sum()) == (NONE, "not-required")


def test_integers_have_none():
    assert found(Tensor([1, 2])) == (NONE, "not-floating")


def test_a_result_keeps_none_unless_asked():
    y = leaf([1.0, 2.0]) * 2
    loss = y.sum()
    assert found(y) == found(y, loss) == (NONE, "not-retained")
    assert "retain_grad()" in str(explain_grad(y, loss))
    y.retain_grad()
    assert found(y, loss) == (FINE, "")


def test_backward_has_not_been_called():
    x = leaf([1.0])
    assert found(x) == (NONE, "no-backward")
    assert "backward() has not come here" in str(explain_grad(x, (x * 2).sum()))


def test_what_is_in_grad_is_described_without_the_loss():
    x = leaf([1.0, 2.0])
    for g, verdict in [
        ([1.0, 2.0], FINE),
        ([0.0, 0.0], ZERO),
        ([0.0, 1.0], PARTLY_ZERO),
        ([np.nan, 1.0], NOT_FINITE),
        ([1e9, 1.0], HUGE),
        ([1e-9, 1e-9], TINY),
    ]:
        x.grad = np.array(g)
        assert found(x) == (verdict, "")
        assert ("pass the loss" in str(explain_grad(x))) == (verdict != FINE)


def test_a_forgotten_zero_grad_shows_in_what_grad_holds():
    x = leaf([3.0, 4.0])
    for _ in range(2):
        loss = (x * x).sum()
        loss.backward(retain_graph=True)
    explanation = explain_grad(x, loss)
    assert explanation.size == 10
    assert ".grad holds something else, of norm 20: " in explanation.reason
    assert "zero_grad()" in explanation.reason
    x.grad = None
    loss.backward(retain_graph=True)
    assert explain_grad(x, loss).reason == ""


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match="explain_grad takes Tensors, not ndarray"):
        explain_grad(np.ones(2))
    with pytest.raises(TypeError, match="not NoneType"):
        explain_grad(None)
    with pytest.raises(TypeError, match="not float"):
        explain_grad(leaf([1.0]), 3.0)


def test_the_graph_has_been_freed():
    x = leaf([1.0])
    loss = (x * 2).sum()
    loss.backward()
    assert found(x, loss) == (NONE, "freed")
    assert "retain_graph=True" in str(explain_grad(x, loss))
    with pytest.raises(ValueError, match=r"freed the graph behind sum .* compute the loss again"):
        survey(loss)


def test_the_loss_has_no_graph():
    x = leaf([1.0])
    with no_grad():
        loss = (x * 2).sum()
    assert found(x, loss) == (NONE, "no-graph")


@pytest.mark.parametrize(
    "cut",
    [lambda x: x.data, lambda x: x.detach(), lambda x: Tensor(x.data), lambda x: x.data[1:]],
)
def test_data_used_in_the_place_of_the_tensor_is_found_and_the_op_named(cut: Callable[..., Any]):
    x, w = leaf([1.0, 2.0, 3.0]), leaf(5.0, "w")
    explanation = explain_grad(x, (w * cut(x)).sum())
    assert (explanation.verdict, explanation.cause) == (NONE, "detached")
    assert "multiply (×) as b, but without history" in explanation.reason


def test_disjoint_views_of_one_array_are_not_taken_for_the_same():
    columns = np.arange(8.0).reshape(4, 2)
    left, right = (Tensor.wrap(columns[:, i]) for i in range(2))
    left.requires_grad_()
    assert found(left, (leaf(np.ones(4)) * right).sum()) == (NONE, "unreached")
    assert found(left, (leaf(np.ones(2)) * columns[0]).sum()) == (NONE, "detached")


def test_an_empty_constant_says_nothing_of_where_the_way_was_cut():
    x, w = leaf(np.ones(3)), leaf(np.ones(3), "w")
    assert found(w, (x * np.ones((0, 3))).sum()) == (NONE, "unreached")


def test_equal_zeros_are_not_taken_for_a_copy():
    x, bias = leaf(np.ones(4)), leaf(np.zeros(4), "bias")
    assert found(bias, (x + np.zeros(4)).sum()) == (NONE, "unreached")


def test_a_way_that_was_cut_further_on_is_told_as_far_as_can_be_known():
    x, w = leaf([1.0, 2.0]), leaf(5.0, "w")
    with no_grad():
        h = np.exp(x)
    explanation = explain_grad(x, (w * h).sum())
    assert (explanation.verdict, explanation.cause) == (NONE, "unreached")
    assert "What enters without history: b (2,) of multiply" in explanation.reason


def test_argmax_cuts_the_way():
    x, table = leaf([1.0, 3.0, 2.0]), leaf(np.ones((3, 2)), "table")
    explanation = explain_grad(x, mg.embedding(table, np.argmax(x)[None]).sum())
    assert explanation.cause == "unreached"
    assert "argmax" in explanation.reason


def test_a_parameter_that_was_never_used_and_a_tensor_made_afterwards():
    loss = (leaf([1.0]) * 2).sum()
    after = leaf([1.0], "after")
    assert found(leaf([7.0, 8.0]), loss)[1] == "unreached"
    assert "made after the loss" in explain_grad(after, loss).reason


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
    assert found(x, curve(x * 1e4).sum()) == (ZERO, "saturated")


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
    assert found(x, mg.softmax(x).sum()) == (ZERO, "cancelled")


def attended(mask: Any) -> tuple[list[Tensor], Tensor]:
    rng = np.random.default_rng(1)
    parts = [leaf(rng.normal(size=(1, 3, 4)), name) for name in ("query", "key", "value")]
    y = mg.scaled_dot_product_attention(*parts, mask=mask)
    return parts, (y * rng.normal(size=(1, 3, 4))).sum()


def test_a_masked_row_of_attention():
    mask = np.array([[True, True, False], [False, False, False], [True, True, False]])
    (query, key, value), loss = attended(mask)
    explanation = explain_grad(query, loss)
    assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "masked")
    assert "1 of 3 queries may attend to nothing" in explanation.reason
    assert "True means may attend" in explanation.hint
    for part in key, value:
        explanation = explain_grad(part, loss)
        assert (explanation.verdict, explanation.cause) == (PARTLY_ZERO, "masked")
        assert "1 of 3 keys are masked for every query" in explanation.reason


def test_an_attention_that_may_look_nowhere_and_one_that_is_saturated():
    (query, _, value), loss = attended(np.zeros((3, 3), bool))
    assert found(query, loss) == found(value, loss) == (ZERO, "masked")
    (query, key, _), _ = attended(None)
    y = mg.scaled_dot_product_attention(query * 1e6, key, leaf(np.eye(3, 4)[None]))
    assert found(query, (y * np.arange(4.0)).sum()) == (ZERO, "saturated")
    assert found(key, (y * np.arange(4.0)).sum()) == (ZERO, "saturated")
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
    assert found(x, (x * np.array([1e-300])).sum()) == (ZERO, "underflow")


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
    assert found(b, ((b + np.zeros(2)) * np.array([1.0, -1.0])).sum()) == (ZERO, "cancelled")


def test_the_bias_of_the_keys_is_of_no_use_to_attention():
    layer = MultiHeadAttention(8, 2, rng=0)
    x = RNG.normal(size=(2, 5, 8)).astype(np.float32)
    rows = {row.name: row for row in survey((layer(x, x) ** 2).mean())}
    assert (rows["key.bias"].verdict, rows["key.bias"].cause) == (TINY, "cancelled")
    assert rows["query.bias"].verdict == FINE


def transformer() -> Transformer:
    config = TransformerConfig(9, 9, d_model=8, num_heads=2, num_encoder_layers=1,
                               num_decoder_layers=1, d_ff=8, dropout=0.0)  # fmt: skip
    return Transformer(config, rng=0)


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
    assert found(x, mg.cross_entropy(x, np.array([0]))) == (ZERO, "saturated")


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


def test_a_number_born_in_the_forward_pass():
    x = leaf([1.0, 0.0])
    with np.errstate(divide="ignore"):
        h = np.log(x)
        loss = (h * h).sum()
    explanation = explain_grad(x, loss)
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-forward")
    assert explanation.culprit is not None and explanation.culprit.op == "log"
    assert "Already in the forward pass log made -inf at element (1,)" in explanation.reason


def test_a_birth_that_np_where_hid_is_not_to_blame():
    a, c = leaf([0.0, 1.0], "a"), leaf([0.0, 0.0], "c")
    with np.errstate(all="ignore"):
        chosen = np.where(a.data > 0, np.log(a), 1.0)
        loss = np.sqrt(chosen * c).sum()
    explanation = explain_grad(c, loss)
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-backward")
    assert explanation.culprit is not None and explanation.culprit.op == "sqrt"
    explanation = explain_grad(a, chosen.sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-forward")
    assert "What arrives at log is 0 there, as where np.where" in explanation.reason


def test_of_two_births_the_one_that_np_where_chose_is_to_blame():
    x, w = leaf([-1.0, 1.0]), leaf([1.0, 1.0], "w")
    with np.errstate(all="ignore"):
        loss = (np.where(x.data > 0, np.log(x), np.sqrt(x)) * w).sum()
    explanation = explain_grad(w, loss)
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-forward")
    assert explanation.culprit is not None and explanation.culprit.op == "sqrt"
    with np.errstate(all="ignore"):
        loss = w.sum() + np.where(x.data > 0, np.log(x), np.sqrt(x)).sum()
    assert "The loss itself is nan. sqrt (√) made nan" in str(explain_grad(w, loss))


def test_a_birth_at_another_element_is_not_to_blame():
    x = leaf([0.0, 1.0])
    with np.errstate(all="ignore"):
        root = np.sqrt(np.expm1(x * np.array([0.0, 1e4])))  # 0 and an infinity
        loss = np.where(np.array([True, False]), root, 0.0).sum()
    explanation = explain_grad(x, loss)
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-backward")
    assert explanation.culprit is not None and explanation.culprit.op == "sqrt"


def test_a_nan_in_the_data_that_the_result_hides_is_found_by_the_rule():
    logits = leaf([[np.nan, 0.0], [0.0, 1.0]], "logits")
    target = np.array([1, 0])
    explanation = explain_grad(logits, mg.cross_entropy(logits, target, ignore_index=1))
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "in-the-data")
    assert "cross_entropy was given nan at element (0, 0) of logits (2, 2)" in explanation.reason
    with np.errstate(all="ignore"):
        made = np.log(logits * 0.0 - np.array([[1.0], [0.0]])) * 0.0 + np.array([[0.0], [1.0]])
        loss = mg.cross_entropy(made, target, ignore_index=1)
    assert explain_grad(logits, loss).cause == "in-the-data"


def test_exp_that_overflows():
    x = leaf([100.0], dtype=np.float32)
    with np.errstate(over="ignore"):
        loss = np.exp(x).sum()
    assert found(x, loss) == (NOT_FINITE, "born-forward")


def test_a_number_born_in_the_backward_pass():
    x = leaf([1.0, 0.0])
    explanation = explain_grad(x, np.sqrt(x).sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-backward")
    assert "In the backward pass sqrt (√) made inf" in explanation.reason
    assert [step.op for step in explanation.path] == ["sum", "sqrt", "x"]


def test_a_nan_in_the_data_is_traced_to_the_input():
    model = network()
    rows = ROWS.copy()
    rows[3, 1] = np.nan
    explanation = explain_grad(model[2].weight, model(rows).sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "in-the-data")
    assert "linear in 0 (Linear) was given nan at element (3, 1) of x (8, 3)" in explanation.reason


def test_a_nan_in_a_parameter_is_not_blamed_on_the_data():
    model = network()
    model[2].weight.data[0, 1] = np.nan
    explanation = explain_grad(model[0].bias, model(ROWS).sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "in-a-parameter")
    assert "nan at element (0, 1) of 2.weight (2, 4), a parameter" in explanation.reason
    assert "a step of the optimizer" in explanation.reason


def test_an_overflow_by_the_cast_to_the_inputs_dtype_names_that_dtype():
    x = leaf([1e-20], dtype=np.float32)
    explanation = explain_grad(x, (x * np.array([1e300])).sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "born-backward")
    assert "float32 ends at 3.4e+38" in explanation.reason


def test_a_sum_of_contributions_that_overflows():
    x = leaf([1e-30], dtype=np.float32)
    loss = (x * np.float32(3e38) + x * np.float32(3e38)).sum()
    assert found(x, loss) == (NOT_FINITE, "overflow")
    assert found((y := x * 1) and x, (y * np.float32(3e38) + y * np.float32(3e38)).sum()) == (
        NOT_FINITE, "overflow"
    )  # fmt: skip


def test_a_loss_that_is_nan_is_mentioned_even_where_the_gradient_is_not():
    x = leaf([1.0])
    text = str(explain_grad(x, (x + np.array([np.nan])).sum()))
    assert "The loss itself is nan. add (+) was given nan at element (0,) of b (1,)" in text
    with np.errstate(over="ignore"):
        assert "The loss itself is inf. exp made inf" in str(explain_grad(x, x + np.exp(leaf(1e4))))


def test_the_op_at_which_it_grows_most_is_named_with_the_factor():
    x = leaf([1.0])
    explanation = explain_grad(x, (x * 1e6 * 2.0).sum())
    assert (explanation.verdict, explanation.cause) == (HUGE, "exploding")
    assert explanation.reason == "Along the path it grows most ×2e+06 at multiply over 2 calls."


def test_growth_in_many_calls_of_a_module_is_one_culprit():
    layer = nn.Linear(2, 2, bias=False, rng=0)
    layer.weight.data[...] = 2 * np.eye(2)
    x = h = leaf(np.ones((1, 2)), dtype=np.float32)
    for _ in range(30):
        h = layer(h)
    explanation = explain_grad(x, h.sum())
    assert (explanation.verdict, explanation.cause) == (HUGE, "exploding")
    assert f"×{2.0**30:.2g} at matmul in Linear over 30 calls" in explanation.reason
    assert explanation.culprit is not None and explanation.culprit.op == "matmul"


def test_growth_by_adding_up_contributions_is_told_with_their_number():
    x = s = y = leaf([1.0, 2.0])
    for _ in range(20_000):
        s = s + x
    explanation = explain_grad(x, s.sum())
    assert (explanation.verdict, explanation.cause) == (HUGE, "exploding")
    assert explanation.culprit is None
    assert explanation.reason == (
        "Along the path it grows most ×2e+04 by adding up 20,001 contributions to this tensor."
    )
    for _ in range(40):
        y = y + y
    explanation = explain_grad(x, y.sum())
    assert explanation.culprit is not None and explanation.culprit.op == "add"
    assert f"×{2.0**39:.2g} by adding up 78 contributions to 39 results of add." in (
        explanation.reason
    )


def test_contributions_that_nearly_cancel_are_told_with_what_is_left():
    x = leaf([1.0, 2.0])
    explanation = explain_grad(x, (x * 1.0 - x * (1 - 1e-9)).sum())
    assert (explanation.verdict, explanation.cause) == (TINY, "cancelled")
    assert explanation.reason == (
        "Along the path it shrinks most ×1e-09 as 2 contributions to this tensor cancel but for a "
        "share of 1e-09."
    )
    b = leaf(1.0)
    explanation = explain_grad(b, (b * np.array([1.0, -(1 - 1e-9)])).sum())
    assert (explanation.verdict, explanation.cause) == (TINY, "cancelled")
    assert "What multiply adds up cancels but for a share of 5e-10." in explanation.reason


def test_a_factor_of_one_is_not_worth_a_word():
    x = leaf([1.0])
    assert "then" not in explain_grad(x, (x * 1e-9 * 1.0).sum()).reason


def test_the_op_at_which_it_shrinks_most_is_named():
    x = leaf([1.0])
    explanation = explain_grad(x, (np.sin(x) * 1e-9).sum())
    assert (explanation.verdict, explanation.cause) == (TINY, "vanishing")
    assert "shrinks most ×1e-09 at multiply" in explanation.reason


def test_leaves_are_named_by_their_modules_then_by_themselves_then_numbered():
    model = network()
    x, nameless = leaf(ROWS, "rows"), leaf(np.float32(2.0), None)
    found = leaves((model(x) * nameless).sum())
    assert list(found) == ["0.weight", "0.bias", "2.weight", "2.bias", "rows", "input 1"]
    assert found["2.bias"] is model[2].bias and found["input 1"] is nameless


def test_leaves_of_several_models_go_by_class_and_the_same_name_is_numbered():
    a, b, c = nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1), nn.Embedding(2, 3, rng=0)
    found = leaves((a(b(ROWS)) + c(np.zeros(8, int))).sum())
    assert {"Linear.weight", "Linear.weight (2)", "Embedding.weight"} <= found.keys()


def test_a_parameter_that_a_model_owns_and_does_not_use_is_in_the_survey():
    class Model(nn.Module):
        def __init__(self) -> None:
            self.used, self.unused = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=0)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    rows = {row.name: row for row in survey((Model()(ROWS) ** 2).sum())}
    assert list(rows) == ["used.weight", "used.bias", "unused.weight", "unused.bias"]
    assert (rows["unused.bias"].verdict, rows["unused.bias"].cause) == (NONE, "unreached")
    assert rows["used.weight"].verdict == FINE


def test_the_survey_of_a_transformer_has_every_parameter_and_the_gradients_of_backward():
    model = transformer()
    logits = model(np.array([[4, 5, 0]]), np.array([[1, 4]]))
    loss = mg.cross_entropy(logits, np.array([[4, 2]]), ignore_index=0)
    rows = survey(loss)
    named = dict(model.named_parameters())
    assert [row.name for row in rows] == list(named)
    loss.backward()
    for row in rows:
        np.testing.assert_array_equal(row.gradient, named[row.name].grad)


def test_module_paths_begin_below_the_outermost_module():
    model = nn.Sequential(nn.Sequential(mg.relu, nn.Linear(3, 2, rng=0)))
    y = model(ROWS)
    assert module_path(y.scope) == "0.1"
    assert parameter_path(model[0][1].weight, y.scope) == "0.1.weight"
    assert parameter_path(leaf([1.0]), y.scope) == ""
    assert module_path(nn.Linear(3, 2, rng=0)(ROWS).scope) == "Linear"
    assert module_path(None) == ""


def test_a_module_that_no_module_owns_goes_by_its_class():
    class Outer(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.Sequential(nn.Linear(3, 2, rng=0))(x)

    assert module_path(Outer()(ROWS).scope) == "0"


def test_a_long_path_is_shortened_around_the_culprit():
    x = leaf([-1.0])
    h = mg.relu(x * 1.0)
    for _ in range(50):
        h = h * 1.0
    explanation = explain_grad(x, h.sum())
    assert len(explanation.path) == 54
    assert str(explanation).splitlines()[-1] == (
        "From the loss: sum 1 → multiply 1 → (48 more) → multiply 1 → relu 1 → multiply 0 → x 0"
    )


UNARY: list[Callable[[Any], Any]] = [
    np.tanh, np.exp, mg.relu, np.sqrt, np.log, np.square, mg.softmax, mg.sigmoid, np.abs,
    lambda x: x[:1], lambda x: x.T, lambda x: x.clip(-0.5, 0.5), mg.log_softmax, np.cumsum, np.std,
    lambda x: x.masked_fill(x > 0, 0.0), lambda x: np.where(x > 0, x, 0.0), lambda x: x.sum(0),
    lambda x: x.max(0), lambda x: x * 1e30, lambda x: x * 0.0, lambda x: x.detach() + 0.0,
    lambda x: mg.dropout(x, 0.5, 0),
    lambda x: np.reshape(x, (-1,)), lambda x: x.mean(keepdims=True),
    lambda x: x**0.5, lambda x: x**-1.0,
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    np.add, np.subtract, np.multiply, np.divide, np.maximum,
    lambda a, b: np.stack([a.sum(), b.sum()]),
]  # fmt: skip


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=12), st.integers(0, 100))
def test_random_graphs_are_explained_and_the_gradient_is_that_of_backward(
    choices: list[int], seed: int
):
    rng = np.random.default_rng(seed)
    dtype = [np.float32, np.float64][seed % 2]
    inputs = [leaf(rng.normal(size=(2, 3)).round(1), name, dtype) for name in ("a", "b")]
    made: list[Any] = list(inputs)
    with np.errstate(all="ignore"):
        for choice in choices:
            a, b = made[choice % len(made)], made[choice // 7 % len(made)]
            if choice % 3:
                made.append(UNARY[choice % len(UNARY)](a if a.ndim else np.reshape(a, (1,))))
            elif a.shape == b.shape:
                made.append(BINARY[choice % len(BINARY)](a, b))
        loss = made[-1].sum()
        explanations = [explain_grad(x, loss) for x in inputs]
        if loss.requires_grad:
            loss.backward()
    for x, explanation in zip(inputs, explanations, strict=True):
        assert str(explanation)
        if x.grad is None:
            assert explanation.verdict == NONE and explanation.gradient is None
            continue
        np.testing.assert_array_equal(explanation.gradient, x.grad)
        assert (explanation.verdict == ZERO) == (not x.grad.any())
        assert (explanation.verdict == NOT_FINITE) == (not np.isfinite(x.grad).all())
        assert (explanation.verdict == FINE) == (explanation.cause == "")


def test_a_result_that_was_changed_in_place_is_named():
    x = leaf([1.0, 2.0, 3.0])
    y = np.exp(x)
    loss = (y * 2).sum()
    y.data[:] = 0
    found = explain_grad(x, loss)
    assert (found.verdict, found.cause) == ("zero", "changed-in-place")
    assert "The result of exp is not what the op makes of its inputs" in found.reason


def test_where_no_gradient_arrives_is_not_counted_and_the_text_says_so():
    x = leaf(np.ones((2, 3)))
    mask = np.array([[True, True, True], [False, False, True]])
    found = explain_grad(x, (mg.softmax(x.masked_fill(mask, -np.inf)) ** 2).sum())
    assert "softmax lets nothing through (a gradient arrives at 2 of 6 elements): " in found.reason
