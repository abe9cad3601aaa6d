"""explain_grad says what a gradient is and why there is none; survey says it of every leaf."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, explain_grad, nn, no_grad
from minigrad.why import CAUSES, leaves, survey
from minigrad.why.blame import FINE, HUGE, NONE, NOT_FINITE, PARTLY_ZERO, TINY, ZERO
from tests.minigrad.why.questions import ROWS, answer, leaf, network, transformer


def test_importing_minigrad_loads_nothing_that_only_answers_questions():
    code = """
import sys, minigrad
assert not {"minigrad.check", "minigrad.why", "viz", "minitransformer"} & sys.modules.keys()
assert all(hasattr(minigrad, name) for name in minigrad.__all__)
assert set(minigrad.__all__) <= set(dir(minigrad))
from minigrad import explain_grad, diagnose, gradcheck, detect_anomaly
assert not {"viz", "minitransformer"} & sys.modules.keys()
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
    assert answer(x) == answer(x, (x * leaf([1.0])).sum()) == (NONE, "not-required")


def test_integers_have_none():
    assert answer(Tensor([1, 2])) == (NONE, "not-floating")


def test_a_result_keeps_none_unless_asked():
    y = leaf([1.0, 2.0]) * 2
    loss = y.sum()
    assert answer(y) == answer(y, loss) == (NONE, "not-retained")
    assert "retain_grad()" in str(explain_grad(y, loss))
    y.retain_grad()
    assert answer(y, loss) == (FINE, "")


def test_backward_has_not_been_called():
    x = leaf([1.0])
    assert answer(x) == (NONE, "no-backward")
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
        assert answer(x) == (verdict, "")
        assert ("pass the loss" in str(explain_grad(x))) == (verdict != FINE)


def test_the_share_of_zeros_is_that_of_the_elements():
    x = leaf([1.0, 2.0, 3.0])
    x.grad = np.array([0.0, 0.0, 1.0])
    assert explain_grad(x).zeros == pytest.approx(2 / 3)


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
    assert answer(x, loss) == (NONE, "freed")
    assert "retain_graph=True" in str(explain_grad(x, loss))
    with pytest.raises(ValueError, match=r"freed the graph behind sum .* compute the loss again"):
        survey(loss)


def test_the_loss_has_no_graph():
    x = leaf([1.0])
    with no_grad():
        loss = (x * 2).sum()
    assert answer(x, loss) == (NONE, "no-graph")


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
    assert answer(left, (leaf(np.ones(4)) * right).sum()) == (NONE, "unreached")
    assert answer(left, (leaf(np.ones(2)) * columns[0]).sum()) == (NONE, "detached")


def test_an_empty_constant_says_nothing_of_where_the_way_was_cut():
    x, w = leaf(np.ones(3)), leaf(np.ones(3), "w")
    assert answer(w, (x * np.ones((0, 3))).sum()) == (NONE, "unreached")


def test_equal_zeros_are_not_taken_for_a_copy():
    x, bias = leaf(np.ones(4)), leaf(np.zeros(4), "bias")
    assert answer(bias, (x + np.zeros(4)).sum()) == (NONE, "unreached")


def test_a_way_that_was_cut_further_on_is_told_as_far_as_can_be_known():
    x, w = leaf([1.0, 2.0]), leaf(5.0, "w")
    with no_grad():
        h = np.exp(x)
    explanation = explain_grad(x, (w * h).sum())
    assert (explanation.verdict, explanation.cause) == (NONE, "unreached")
    assert "What enters without history: b (2,) of multiply" in explanation.reason


def test_of_what_enters_without_history_three_are_told():
    def told(count: int) -> str:
        y = leaf(2.0, "w")
        for n in range(count):
            y = y + np.array([5.0 + n])
        said: str = explain_grad(leaf([3.0]), y.sum()).reason
        return said.partition("without history: ")[2]

    one = "b (1,) of add (+)"
    assert told(3) == f"{one}, {one}, {one}."
    assert told(4) == f"{one}, {one}, {one}, …"


def test_argmax_cuts_the_way():
    x, table = leaf([1.0, 3.0, 2.0]), leaf(np.ones((3, 2)), "table")
    explanation = explain_grad(x, mg.embedding(table, np.argmax(x)[None]).sum())
    assert explanation.cause == "unreached"
    assert "argmax" in explanation.reason


def test_a_parameter_that_was_never_used_and_a_tensor_made_afterwards():
    loss = (leaf([1.0]) * 2).sum()
    after = leaf([1.0], "after")
    assert answer(leaf([7.0, 8.0]), loss)[1] == "unreached"
    assert "made after the loss" in explain_grad(after, loss).reason


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


def test_every_cause_that_is_given_is_in_the_legend():
    given = set()
    for file in Path(mg.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = node.func.id if isinstance(getattr(node, "func", None), ast.Name) else ""
            if isinstance(node, ast.Call) and name in ("Reason", "Birth", "slope_test"):
                words = [x for x in ast.walk(node.args[0]) if isinstance(x, ast.Constant)]
                given |= {x.value for x in words if x.value}
    assert given | {"in-the-data", "in-a-parameter"} == CAUSES.keys()  # these a variable hands on
