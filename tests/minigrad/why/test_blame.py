"""The op, or the sum, is named that made a gradient huge, tiny or no number."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Tensor, explain_grad, nn
from minigrad.why.blame import HUGE, NOT_FINITE, TINY, WRONG

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
    x, seen = leaf([np.nan, 4.0], "x"), np.array([False, True])
    explanation = explain_grad(x, np.where(seen, np.sqrt(x), 0).sum())
    assert (explanation.verdict, explanation.cause) == (NOT_FINITE, "in-the-data")
    assert "sqrt (√) was given nan at element (0,) of x (2,)" in explanation.reason
    assert explain_grad(x, np.where(seen, np.sqrt(x * 2), 0).sum()).cause == "in-the-data"


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


def test_a_result_that_was_changed_in_place_is_named():
    x = leaf([1.0, 2.0, 3.0])
    y = np.exp(x)
    loss = (y * 2).sum()
    y.data[:] = 0
    found = explain_grad(x, loss)
    assert (found.verdict, found.cause) == (WRONG, "changed-in-place")
    assert "The result of exp is not what the op makes of its inputs" in found.reason


def test_a_gradient_that_looks_fine_after_a_change_in_place_is_not_said_to_be():
    x = leaf([1.0, 2.0])
    y = x * x
    loss = (y * y).sum()
    y.data[0] = 9
    found = explain_grad(x, loss)
    assert (found.verdict, found.cause) == (WRONG, "changed-in-place")
    assert "nothing is wrong" not in str(found)


def test_an_infinity_that_the_result_shows_is_not_said_to_be_hidden():
    x = leaf([1.0, 2.0])
    found = explain_grad(x, (x * np.array([np.inf, 1.0])).sum())
    assert found.cause == "in-the-data"
    assert "was given inf at element (0,) of b (2,), which its rule uses." in found.reason
