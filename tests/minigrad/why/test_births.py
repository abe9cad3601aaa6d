"""The op is named that made the first NaN or infinity, forward or backward, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import explain_grad
from minigrad.op import Op
from minigrad.why.blame import NOT_FINITE
from tests.minigrad.why.questions import ROWS, alarm, answer, leaf, network


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
    assert answer(x, loss) == (NOT_FINITE, "born-forward")


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


def test_an_infinity_that_the_result_shows_is_not_said_to_be_hidden():
    x = leaf([1.0, 2.0])
    found = explain_grad(x, (x * np.array([np.inf, 1.0])).sum())
    assert found.cause == "in-the-data"
    assert "was given inf at element (0,) of b (2,), which its rule uses." in found.reason


@pytest.mark.parametrize(
    ("compute", "op", "value"),
    [
        (lambda: np.log(leaf([-1.0])), "log", "nan"),
        (lambda: np.log1p(leaf([-1.0])), "log1p", "-inf"),
        (lambda: np.sqrt(leaf([-1.0])), "sqrt (√)", "nan"),
        (lambda: 1 / leaf([0.0]), "divide (÷)", "inf"),
        (lambda: np.reciprocal(leaf([0.0])), "reciprocal", "inf"),
        (lambda: np.exp(leaf([89.0], dtype=np.float32)), "exp", "inf"),
        (lambda: leaf([-2.0]) ** 0.5, "power", "nan"),
        (lambda: leaf([3e38], dtype=np.float32) + leaf([3e38], dtype=np.float32), "add (+)", "inf"),
        (lambda: leaf([[1e200]]) @ leaf([[1e200]]), "matmul (@)", "inf"),
        (lambda: mg.layer_norm(leaf([[1.0, 1.0]]), leaf([1.0, 1.0]), leaf([0.0, 0.0]), eps=0),
         "layer_norm", "nan"),
        (lambda: mg.rms_norm(leaf([[0.0, 0.0]]), leaf([1.0, 1.0]), eps=0), "rms_norm", "nan"),
    ],
)  # fmt: skip
def test_the_usual_suspects_are_named_where_the_number_is_born(
    compute: Callable[[], Any], op: str, value: str
):
    assert alarm(compute).startswith(f"{op} made {value} at element (0")


def test_the_largest_exponent_is_that_of_the_dtype():
    assert "beyond 88.7" in alarm(lambda: np.exp(leaf([100.0], dtype=np.float32)))
    assert "beyond 710" in alarm(lambda: np.exp(leaf([1000.0])))


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        (lambda g, y, x: g / (x - x), " by ∂/∂x = g / (x - x)"),
        (lambda g, y, x: np.fft.fft(g).real / (x - x), ""),
    ],
)
def test_the_rule_of_ones_own_op_is_printed_if_it_can_be(rule: Any, written: str):
    spoilt = Op("spoilt", "spoilt", "demo", lambda x: x**3, (rule,))
    text = alarm(spoilt(leaf([1.0])).sum().backward)
    sent = "spoilt made inf at element (0,) of the gradient (1,) that it sends to x"
    assert text.startswith(f"{sent}{written}; x (1,) is 1 to 1; g (1,) is 1 to 1. ")


def test_what_np_where_leaves_out_is_recognised():
    x = leaf([4.0, 0.0])
    loss = np.where(x > 0, np.sqrt(x), 0).sum()
    text = alarm(loss.backward)
    assert text.startswith("sqrt (√) made nan at element (1,)")
    assert "mend the input before the op" in text
