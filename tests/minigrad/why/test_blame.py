"""The op, or the sum, is named that made a gradient huge, tiny or no number."""

from __future__ import annotations

import numpy as np

from minigrad import explain_grad, nn
from minigrad.why.blame import HUGE, NOT_FINITE, TINY, WRONG
from tests.minigrad.why.questions import answer, leaf


def test_a_sum_of_contributions_that_overflows():
    x = leaf([1e-30], dtype=np.float32)
    loss = (x * np.float32(3e38) + x * np.float32(3e38)).sum()
    assert answer(x, loss) == (NOT_FINITE, "overflow")
    assert answer((y := x * 1) and x, (y * np.float32(3e38) + y * np.float32(3e38)).sum()) == (
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
    assert f"×{2.0**30:.2g} at linear in Linear over 30 calls" in explanation.reason
    assert explanation.culprit is not None and explanation.culprit.op == "linear"


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
