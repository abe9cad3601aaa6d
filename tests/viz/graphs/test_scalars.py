"""Ops as the single numbers that they compute: the values and gradients are the engine's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, Value, nn
from minigrad.check.rows import flatten, nest
from minigrad.op import Example, Op
from minigrad.ops import decompositions
from viz.graphs.build import build, retain_grads
from viz.graphs.definition import Definition
from viz.graphs.look import COMPUTED, Look, TooManyScalarsError
from viz.graphs.nodes import Graph, Node
from viz.graphs.scalars import Elements, Scalars, follow_scalars
from viz.graphs.trace import trace_ops

CALLS = [
    pytest.param(op, example, id=f"{op.name}-{number}")
    for op in mg.TABLE.values()
    for number, example in enumerate(op.examples)
]


def matrix(name: str, *shape: int, trained: bool = True) -> Tensor:
    """A named leaf of some shape, of random numbers."""
    rng = np.random.default_rng(sum(map(ord, name)))
    return Tensor(rng.normal(size=shape), requires_grad=trained, name=name)


def scalars_of(result: Tensor, *opened: str, element: tuple[int, ...] | None = None) -> Scalars:
    """The scalar graph behind a result, with its gradients."""
    trace = trace_ops([result], Look("scalar", open=opened, grads=True))
    scalars = follow_scalars(trace, element, limit=1000)
    scalars.backward()
    return scalars


def values(scalars: Scalars, x: Tensor) -> Any:
    """The numbers of a tensor, from its Values."""
    return scalars.elements.arrays[scalars.trace.result(x).order].astype(float)


def grads(scalars: Scalars, x: Tensor) -> Any:
    """The gradient of a tensor, from its Values."""
    array = scalars.elements.arrays[scalars.trace.result(x).order]
    return np.array([value.grad for value in array.flat]).reshape(array.shape)


def named(picture: Graph, *labels: str) -> list[Node]:
    """The nodes with these labels, in the order of the labels."""
    return [node for label in labels for node in picture.nodes if node.label == label]


def arrows(picture: Graph) -> list[tuple[str, str]]:
    """The edges, by the labels of what they connect."""
    label = {node.id: node.label for node in picture.nodes}
    return [(label[edge.source], label[edge.target]) for edge in picture.edges]


@pytest.mark.parametrize(("op", "example"), CALLS)
def test_every_op_has_the_same_values_and_gradients_in_scalars(op: Op, example: Example) -> None:
    rng = np.random.default_rng(0)
    drawn = example.draw(rng)
    flat = [
        Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
        for x in flatten(drawn)
    ]
    result = op(*nest(drawn, iter(flat)), **example.params)
    several = result if isinstance(result, list | tuple) else [result]
    y = next(x for x in several if isinstance(x, Tensor))
    retain_grads(y)
    y.backward(rng.normal(size=y.shape), retain_graph=True)
    if any(
        op is row for row in vars(decompositions).values()
    ):  # what LAPACK computes goes through no single numbers
        try:
            scalars_of(y)
        except ValueError as error:
            assert "cannot be followed number by number" in str(error)
            return
    scalars = scalars_of(y)
    np.testing.assert_allclose(values(scalars, y), y.data, rtol=1e-12, atol=1e-12)
    for leaf in flat:
        if isinstance(leaf, Tensor) and leaf.size and leaf.grad is not None:
            np.testing.assert_allclose(grads(scalars, leaf), leaf.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["relu", "abs", "max", "min", "maximum", "minimum", "clip", "leaky_relu"]
)
def test_equal_numbers_and_kinks_are_what_the_rules_say(name: str) -> None:
    x = Tensor([0.0, 0.0, 1.0, 1.0], requires_grad=True, name="x")
    binary = name in ("maximum", "minimum")
    params = {"a_min": 0.0, "a_max": 1.0} if name == "clip" else {}
    y = mg.TABLE[name](x, 0.0, **params) if binary else mg.TABLE[name](x, **params)
    total = y.sum()
    retain_grads(total)
    total.backward(retain_graph=True)
    np.testing.assert_array_equal(grads(scalars_of(total), x), x.grad)


def test_numbers_that_scalars_refuse_are_what_numpy_makes_of_them() -> None:
    x = Tensor([0.0, 1000.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        results = [np.exp(x), np.log(x), 1 / x, np.sqrt(x)]
        for y in results:
            np.testing.assert_array_equal(values(scalars_of(y), y), y.data)


def test_each_multiplication_and_addition_is_a_node_in_the_box_of_its_op() -> None:
    x, w = matrix("x", 1, 3, trained=False), matrix("w", 3, 1)
    picture = build((x @ w).tanh(), Look("scalar"))
    assert [node.label for node in picture.nodes] == [
        "x[0,0]", "x[0,1]", "x[0,2]", "w[0,0]", "w[1,0]", "w[2,0]", "×", "×", "+", "×", "+", "tanh"
    ]  # fmt: skip
    assert picture.clusters == (("matmul",),)
    assert [node.family for node in named(picture, "x[0,0]", "w[0,0]")] == ["input", "parameter"]
    assert arrows(picture)[:4] == [
        ("x[0,0]", "×"), ("w[0,0]", "×"), ("x[0,1]", "×"), ("w[1,0]", "×")
    ]  # fmt: skip
    products = named(picture, "+")
    assert [node.detail for node in products] == ["", "[0,0]"]


def test_moving_elements_makes_no_nodes() -> None:
    x = matrix("x", 2, 3)
    picture = build(x.reshape(3, 2).T[0].exp(), Look("scalar"))
    assert arrows(picture) == [("x[0,0]", "exp"), ("x[0,2]", "exp"), ("x[1,1]", "exp")]


def test_constant_operands_are_words_and_constants_that_come_out_are_pills() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    masked = np.where(np.array([True, False]), 1 - x / 4, -np.inf)
    picture = build(masked.exp().sum(), Look("scalar", values=True))
    assert [(node.label, node.detail) for node in picture.nodes] == [
        ("x[0]", ""), ("divide", "÷ 4 [0]"), ("subtract", "1 − x [0]"), ("where", "−∞"),
        ("exp", "[0]"), ("exp", "[1]"), ("sum", "+"),
    ]  # fmt: skip
    (constant,) = named(picture, "where")
    assert (constant.kind, constant.value, constant.grad) == ("pill", None, None)


def test_a_negative_constant_operand_is_in_brackets() -> None:
    x = matrix("x", 2)
    said = [node.label for node in build((x - -0.5) * x.sum(), Look("scalar")).nodes]
    assert said.count("− (−0.5)") == 2


def test_only_what_the_result_depends_on_is_drawn() -> None:
    x = matrix("x", 3)
    assert [node.label for node in build((x * 2)[1], Look("scalar")).nodes] == ["x[1]", "multiply"]


def test_one_element_has_its_own_graph_and_its_own_gradients() -> None:
    x, w = matrix("x", 2, 3), matrix("w", 3, 2)
    y = x @ w
    scalars = scalars_of(y, element=(0, 1))
    only = np.zeros((2, 2))
    only[0, 1] = 1
    np.testing.assert_allclose(grads(scalars, x), only @ w.data.T)
    np.testing.assert_allclose(grads(scalars, w), x.data.T @ only)
    picture = build(y, Look("scalar", element=(0, 1), grads=True))
    assert len(picture.nodes) == 6 + 5
    assert named(picture, "+")[-1].grad == (("1",),)
    assert picture.note == "the scalars and their gradients are those of matmul[0,1]"
    assert build(y[0], Look("scalar", element=1)).edges == picture.edges


@pytest.mark.parametrize("element", [(2, 0), (0,), (0, 0, 0), ()])
def test_an_element_that_is_not_there_is_an_error(element: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"result of shape \(2, 3\) has no element \["):
        build(matrix("x", 2, 3).exp(), Look("scalar", element=element))
    with pytest.raises(ValueError, match='a single element is drawn with zoom="scalar" only'):
        build(matrix("x", 2, 3).exp(), Look(element=element))


def test_too_many_scalars_are_an_error_that_says_what_to_do() -> None:
    x = matrix("x", 20, 20)
    told = r"800 scalars .* \(more than 100\); .*: zoom=\"scalar\", element=\(0, 0\)$"
    with pytest.raises(TooManyScalarsError, match=told):
        build(x.exp(), Look("scalar", limit=100))
    assert len(build(x.exp(), Look("scalar", element=(3, 3), limit=2)).nodes) == 2
    about = rf"about 16,100,000 scalars .*{COMPUTED:,}\); open a single op"
    with pytest.raises(ValueError, match=about):
        build(matrix("x", 100, 200) @ matrix("w", 200, 100) @ matrix("v", 100, 600), Look("scalar"))


def test_what_is_named_in_the_place_of_too_many_scalars_is_drawn() -> None:
    x, w = matrix("x", 4, 30), matrix("w", 30, 30)
    twice = mg.softmax(x @ w) + mg.softmax(w @ x.T).T  # so that "softmax" alone would be both
    for result in (twice, mg.layer_norm(x @ w, matrix("v", 30), matrix("b", 30)), [x @ w, x * 2]):
        with pytest.raises(TooManyScalarsError) as caught:
            build(result, Look("scalar", limit=200))
        name, element = caught.value.way_out or ("", ())
        assert repr(element) in str(caught.value) and f'open="{name}"' in str(caught.value)
        picture = build(result, Look("scalar", open=name, element=element, grads=True))
        assert "the scalars and their gradients are those of" in picture.note
        assert len(picture.nodes) <= 200 + 10


def test_too_many_scalars_are_noticed_before_any_is_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("viz.graphs.build.few_scalars", lambda *_: None)
    monkeypatch.delattr(Definition, "run")
    monkeypatch.delattr(Elements, "follow")
    with pytest.raises(ValueError, match="about 320,000 scalars are too many"):
        build(mg.softmax(matrix("x", 400, 400)), Look("scalar", element=(0, 0)))


def test_an_opened_op_is_drawn_in_scalars_and_the_rest_by_op() -> None:
    x, w = matrix("x", 1, 2), matrix("w", 2, 2)
    result = mg.softmax(x @ w).sum()
    picture = build(result, Look("scalar", open="softmax"))
    assert [node.label for node in picture.nodes if not node.path] == ["x", "w", "matmul", "sum"]
    inside = [node for node in picture.nodes if node.path]
    assert {node.path[0] for node in inside} == {"softmax"}
    assert arrows(picture)[:4] == [
        ("x", "matmul"), ("w", "matmul"), ("matmul", "x[0,0]"), ("matmul", "x[0,1]")
    ]  # fmt: skip
    assert arrows(picture)[-2:] == [("÷", "sum"), ("÷", "sum")]


def test_an_opened_module_is_drawn_in_scalars_and_so_are_the_fused_ops_in_it() -> None:
    layer = nn.Sequential(nn.Linear(2, 2, rng=0), mg.softmax)
    picture = build(layer(matrix("x", 1, 2)).sum(), Look("scalar", open="Sequential"))
    assert [node.label for node in picture.nodes if not node.path] == ["x[0,0]", "x[0,1]", "sum"]
    assert {"weight[1,0]", "bias[1]", "×", "÷"} <= {
        node.label.split(".")[-1] for node in picture.nodes
    }


def test_an_opened_op_without_a_definition_is_drawn_in_scalars_too() -> None:
    x = matrix("x", 2)
    picture = build(x.exp().tanh().sum(), Look("scalar", open="tanh"))
    assert [node.label for node in picture.nodes] == [
        "x", "exp", "exp[0]", "exp[1]", "tanh", "tanh", "sum"
    ]  # fmt: skip


def test_a_leaf_of_an_opened_op_alone_is_its_scalars_and_a_shared_one_a_card_before_them() -> None:
    x = matrix("x", 2)
    alone = build(x.exp().sum(), Look("scalar", open="exp"))
    assert arrows(alone) == [
        ("x[0]", "exp"), ("x[1]", "exp"), ("exp", "sum"), ("exp", "sum")
    ]  # fmt: skip
    shared = build((x.exp() * x).sum(), Look("scalar", open="exp"))
    assert arrows(shared)[:2] == [("x", "x[0]"), ("x", "x[1]")]
    assert ("x", "multiply") in arrows(shared)


def test_scalars_of_an_opened_op_have_the_gradients_of_the_whole_computation() -> None:
    x, w = matrix("x", 2, 3), matrix("w", 3, 3)
    hidden = mg.softmax(x @ w)
    loss = (hidden * hidden.T[:2, :2].sum() + x).sum() + (hidden**2).mean()
    retain_grads(loss)
    loss.backward(retain_graph=True)
    scalars = scalars_of(loss, "softmax")
    np.testing.assert_allclose(values(scalars, hidden), hidden.data, rtol=1e-12)
    np.testing.assert_allclose(grads(scalars, hidden), hidden.grad, rtol=1e-12)
    (before,) = hidden.inputs
    np.testing.assert_allclose(grads(scalars, before), before.grad, rtol=1e-12, atol=1e-15)


def test_the_element_of_an_opened_op_is_one_of_its_result() -> None:
    x = matrix("x", 2, 3)
    picture = build(mg.softmax(x).sum(), Look("scalar", open="softmax", element=(1, 2)))
    assert picture.note == "the scalars and their gradients are those of softmax[1,2]"
    assert {node.label for node in picture.nodes if node.label.startswith("x")} == {
        "x[1,0]", "x[1,1]", "x[1,2]"
    }  # fmt: skip
    assert len([pair for pair in arrows(picture) if pair[1] == "sum"]) == 1


def test_every_scalar_has_its_gradient_without_backward_and_a_constant_has_none() -> None:
    x, target = matrix("x", 2), matrix("target", 2, trained=False)
    picture = build((x * target * 0.0).sum(), Look("scalar", grads=True))
    assert [node.grad for node in named(picture, "target[0]", "x[0]")] == [None, (("0",),)]
    assert picture.nodes[-1].grad == (("1",),)
    loss = (x * 3.0).sum()
    loss.backward(retain_graph=True)
    picture = build(loss, Look("scalar", grads=True))
    assert [node.grad for node in picture.nodes] == [(("3",),)] * 2 + [(("1",),)] * 3


def test_a_leaf_that_has_received_more_from_elsewhere_says_what_it_has() -> None:
    x = matrix("x", 1)
    (x * 5.0).sum().backward()
    loss = (x * 3.0).sum()
    retain_grads(loss)
    loss.backward(retain_graph=True)
    assert build(loss, Look("scalar", grads=True)).nodes[0].grad == (("8",),)


def test_parameters_stand_with_their_names_in_the_box_of_their_module() -> None:
    layer = nn.Linear(2, 1, rng=0)
    picture = build(layer(matrix("x", 1, 2)), Look("scalar"))
    weights = named(picture, "weight[0,0]", "weight[0,1]", "bias[0]")
    assert [(node.family, node.path) for node in weights] == [("parameter", ("Linear",))] * 3
    assert ("bias[0]", "add") in arrows(picture)


def test_results_that_are_computed_element_by_element_stand_in_a_row() -> None:
    picture = build(matrix("x", 3).exp().sum(), Look("scalar"))
    exps = tuple(node.id for node in picture.nodes if node.label == "exp")
    assert picture.level == (exps,)


def test_drawing_in_scalars_changes_no_gradient() -> None:
    x = matrix("x", 2)
    loss = mg.softmax(x).exp().sum()
    loss.backward(retain_graph=True)
    before = x.grad
    build(loss, Look("scalar", grads=True))
    assert x.grad is before
    assert isinstance(scalars_of(loss).elements.arrays[x.order][0], Value)
    np.testing.assert_array_equal(x.grad, before)


def test_a_fused_op_that_has_been_freed_has_nothing_more_to_send() -> None:
    y = mg.softmax(matrix("x", 2))
    y.retain_grad()
    y.sum().backward()
    picture = build(y.exp(), Look("scalar", grads=True))
    assert [node.grad for node in named(picture, "softmax", "exp")] == [(("1", "1"),), (), ()]


def test_what_has_been_freed_is_a_card() -> None:
    x = matrix("x", 2)
    y = x.exp()
    y.sum().backward()
    picture = build(y.tanh(), Look("scalar"))
    assert arrows(picture)[:2] == [("exp", "exp[0]"), ("exp", "exp[1]")]
    assert named(picture, "exp")[0].notice == "freed by backward()"
