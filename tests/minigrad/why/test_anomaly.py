"""detect_anomaly names the op that makes a NaN or an infinity, and the array that was changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import AnomalyError, Tensor, detect_anomaly, nn
from minigrad.mode import Watcher, mode, watching
from minigrad.why.anomaly import Detector
from minitransformer import Transformer, TransformerConfig
from tests.minigrad.why.questions import alarm, leaf


def test_the_logarithm_of_zero_is_named_with_its_element_and_its_inputs_extremes():
    text = alarm(lambda: np.log(leaf([[1.0, 3.0, 0.0]])))
    assert text.startswith("log made -inf at element (0, 2) of its result (1, 3); ")
    assert "x (1, 3) is 0 to 3, there 0" in text
    assert "log_softmax" in text


def test_the_module_is_named_by_its_path_and_class():
    class Head(nn.Module):
        def forward(self, x: Any) -> Any:
            return np.log(x)

    model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Sequential(mg.relu, Head()))
    text = alarm(lambda: model(-np.ones((1, 3), np.float32) * [[0, 0, 0]]))
    assert text.startswith("log in 1.1 (Head) made -inf")


def test_a_parameter_goes_by_its_dotted_name():
    model = nn.Sequential(nn.Linear(2, 2, rng=0))
    model[0].weight.data[1, 0] = np.inf
    text = alarm(lambda: model(np.ones((1, 2), np.float32)))
    assert text.startswith(
        "linear in 0 (Linear) was given inf at element (1, 0) of 0.weight (2, 2)"
    )


def test_a_nan_in_the_data_is_reported_as_being_there_before():
    text = alarm(lambda: nn.Linear(2, 2, rng=0)(np.array([[1.0, np.nan]], np.float32)))
    assert "linear in Linear was given nan at element (0, 1) of x (1, 2)" in text
    assert "before any op" in text


def test_the_square_root_of_zero_is_found_in_the_backward_pass():
    x = leaf([4.0, 0.0])
    with detect_anomaly():
        loss = np.sqrt(x).sum()
    text = alarm(loss.backward)
    assert text.startswith("sqrt (√) made inf at element (1,) of the gradient (2,)")
    assert "by ∂/∂x = g / (2 · y)" in text
    assert "x (2,) is 0 to 4, there 0" in text
    assert x.grad is None


def test_a_sum_of_finite_contributions_that_overflows_is_told_apart():
    y = leaf([1e-30], dtype=np.float32) * 1
    loss = (y * np.float32(3e38) + y * np.float32(3e38)).sum()
    text = alarm(loss.backward)
    assert "that arrives at multiply (×), whose contributions are finite" in text


MASK = np.tri(3, dtype=bool)


@pytest.mark.parametrize(
    "masked",
    [
        lambda x: np.where(MASK, x, -np.inf),
        lambda x: x.masked_fill(~MASK, -np.inf),
        lambda x: x + np.where(MASK, 0, -np.inf),
        lambda x: x * 2 + Tensor(np.where(MASK, 0, -np.inf)),
    ],
)
def test_the_infinity_of_a_mask_is_no_anomaly(masked: Callable[[Tensor], Any]):
    x = leaf(np.random.default_rng(0).normal(size=(3, 3)))
    with detect_anomaly():
        weights = mg.softmax(masked(x) / 2)
        (weights * np.arange(3.0)).sum().backward()
        mg.logsumexp(masked(x), axis=1).sum().backward()
    assert x.grad is not None and np.isfinite(x.grad).all()


def test_the_infinity_of_a_mask_that_becomes_nan_is_one():
    text = alarm(lambda: np.where(MASK, leaf(np.ones((3, 3))), -np.inf) * 0.0)
    assert text.startswith("multiply (×) made nan at element (0, 1)")
    assert "1 to 1, 3 × -inf" in text


def test_a_transformer_with_padding_raises_no_alarm():
    config = TransformerConfig(7, 7, d_model=8, num_heads=2, num_encoder_layers=1,
                               num_decoder_layers=1, d_ff=8)  # fmt: skip
    model = Transformer(config, rng=0)
    with detect_anomaly():
        logits = model(np.array([[4, 5, 0], [4, 0, 0]]), np.array([[1, 4], [1, 0]]))
        mg.cross_entropy(logits, np.array([[4, 2], [2, 0]]), ignore_index=0).backward()
    assert all(x.grad is not None and np.isfinite(x.grad).all() for x in model.parameters())


def test_an_optimizer_step_between_forward_and_backward_is_caught():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), mg.tanh, nn.Linear(2, 1, rng=0))
    optimizer = mg.optim.SGD(model.parameters(), 0.1)
    x = np.ones((1, 2), np.float32)
    with detect_anomaly():
        model(x).sum().backward()
        loss = model(x).sum()
        optimizer.step()
        with pytest.raises(AnomalyError, match=r"weight \(1, 2\) was changed in place") as error:
            loss.backward()
    assert "linear in 2 (Linear)" in str(error.value)
    assert "after backward()" in str(error.value)


def factor(x: Tensor) -> tuple[Any, Any]:
    c = np.array([3.0, 4.0])
    return x * c, c


def result(x: Tensor) -> tuple[Any, Any]:
    y = np.exp(x)
    return y, y.data


def index(x: Tensor) -> tuple[Any, Any]:
    where = np.array([0, 0])
    return x[where], where


def attention_weights(x: Tensor) -> tuple[Any, Any]:
    rows = np.reshape(x, (2, 1))
    y = mg.scaled_dot_product_attention(rows, rows, rows)
    return y, y.saved[0]


@pytest.mark.parametrize(
    ("compute", "name"),
    [
        (factor, "b (2,)"),
        (result, "the result of exp (2,)"),
        (index, "index of getitem (2,)"),
        (attention_weights, "what scaled_dot_product_attention saved (2, 2)"),
    ],
)
def test_every_array_that_a_rule_uses_is_watched(compute: Callable[[Tensor], Any], name: str):
    with detect_anomaly():
        y, array = compute(leaf([1.0, 2.0]))
        loss = (y * np.array([1.0, 2.0]).reshape(y.shape)).sum()
        array += 1
        with pytest.raises(AnomalyError, match=re.escape(name) + " was changed in place"):
            loss.backward()


def test_a_result_that_the_next_op_uses_is_named_by_what_made_it():
    with detect_anomaly():
        y = np.exp(leaf([1.0, 2.0], "a"))
        loss = (y * y).sum()
        y.data *= 2
        with pytest.raises(AnomalyError, match=r"^the result of exp \(2,\) was .* after multiply"):
            loss.backward()


def test_a_change_that_no_rule_looks_at_is_no_alarm():
    b = leaf([1.0, 2.0], "b")
    with detect_anomaly():
        loss = (b + 1).sum() + np.reshape(b, (2, 1)).sum()
        b.data -= 0.1
        loss.backward()
    assert b.grad.tolist() == [2.0, 2.0]


def test_new_data_in_the_place_of_the_old_is_a_change_too():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        loss = (x * x).sum()
        x.data = x.data * 0.9
        with pytest.raises(AnomalyError, match=r"x \(2,\) was changed"):
            loss.backward()


def test_data_of_another_shape_is_a_change_too():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        loss = (x * x).sum()
        x.data = np.ones(3)
        with pytest.raises(AnomalyError, match=r"x \(2,\) was changed"):
            loss.backward()


@pytest.mark.parametrize(
    "op", [np.abs, mg.relu, mg.leaky_relu, lambda h: np.maximum(h, 0), lambda h: np.clip(h, 0, 9)]
)
def test_a_change_that_only_turns_a_sign_is_caught(op: Callable[[Tensor], Tensor]):
    with detect_anomaly():
        h = leaf([3.0]) * 1.0
        loss = op(h).sum()
        h.data[:] = -0.5
        with pytest.raises(AnomalyError, match="the result of multiply"):
            loss.backward()


def test_a_change_that_turns_no_sign_is_none_for_a_rule_that_looks_at_the_sign():
    x = leaf([3.0])
    with detect_anomaly():
        loss = np.abs(x).sum()
        x.data[:] = 0.5
        loss.backward()
    assert x.grad.tolist() == [1.0]


def test_a_list_is_kept_as_it_was():
    x, factors = leaf([1.0, 1.0]), [3.0, 1.0]
    loss = (x * factors).sum()
    factors[0] = 100.0
    loss.backward()
    assert x.grad.tolist() == [3.0, 1.0]


def test_a_nan_in_a_list_was_there_before():
    text = alarm(lambda: leaf([1.0, 1.0]) * [np.nan, 1.0])
    assert "was given nan at element (0,) of b (2,), an input that was so before" in text


def test_nothing_is_kept_of_a_graph_that_is_gone():
    x = leaf([1.0, 2.0])
    with detect_anomaly():
        for _ in range(5):
            loss = np.exp(x * x).sum()
            loss.backward()
        detector = mode.watcher
        assert isinstance(detector, Detector)
        assert list(detector.used) == [loss.order]
        del loss
        assert not detector.used and not detector.copies


def test_what_was_recorded_before_the_block_is_checked_for_nan_alone():
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    x.data[...] += 1
    with detect_anomaly():
        loss.backward()
    assert x.grad.tolist() == [4.0, 6.0]


def test_function_transforms_are_watched():
    point = np.array([0.0, 1.0])
    assert alarm(lambda: mg.grad(lambda x: np.sqrt(x).sum())(point)).startswith("sqrt (√) made inf")
    text = alarm(lambda: mg.grad(mg.grad(lambda x: np.sqrt(x)))(0.0))
    assert text.startswith("in the rule of sqrt (√): divide (÷) made inf")
    assert "divide" in alarm(
        lambda: mg.jvp(lambda x: np.sqrt(x).sum(), [point], [np.array([1.0, 0.0])])
    )


@pytest.mark.parametrize(
    "f",
    [
        lambda x: mg.layer_norm(x, np.ones(3), np.zeros(3)),
        lambda x: mg.scaled_dot_product_attention(x, x, x),
    ],
)
def test_a_second_derivative_through_a_fused_op_is_watched(f: Callable[[Any], Any]):
    def slope(x: Any) -> Any:
        return (mg.grad(lambda x: (f(x) ** 3).sum())(x) ** 2).sum()

    x = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
    expected = mg.grad(slope)(x)
    with detect_anomaly():
        assert np.array_equal(mg.grad(slope)(x), expected)
    assert alarm(lambda: mg.grad(lambda x: slope(np.sqrt(x)))(np.abs(x))).startswith("sqrt (√)")


def test_only_the_block_is_watched():
    x = leaf([1.0, 0.0])
    with detect_anomaly():
        loss = np.sqrt(x).sum()
    with np.errstate(divide="ignore"):
        loss.backward()
    assert np.isinf(x.grad[1])


def test_blocks_nest_and_an_error_ends_them():
    outer = Watcher()
    with watching(outer):
        with detect_anomaly():
            inner = mode.watcher
            with pytest.raises(AnomalyError), detect_anomaly():
                np.log(leaf([0.0]))
            assert mode.watcher is inner
            with pytest.raises(AnomalyError):
                np.log(leaf([0.0]))
        assert mode.watcher is outer
    assert mode.watcher is None


def test_numpy_warns_as_before_after_the_block():
    before = np.geterr()
    with detect_anomaly():
        pass
    assert np.geterr() == before


@given(st.integers(0, 10_000))
def test_a_sound_computation_is_not_disturbed(seed: int):
    rng = np.random.default_rng(seed)
    values, w = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))

    def gradient() -> Any:
        x = leaf(values)
        (mg.softmax(np.tanh(x @ w) * 3) ** 2).sum().backward()
        return x.grad

    with detect_anomaly():
        watched = gradient()
    np.testing.assert_array_equal(watched, gradient())
