"""The zoom ladder: the same numbers on every rung, and what a name opens."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import viz
from minigrad import Tensor, nn
from minigrad.backward import contributions, sum_to
from minitransformer import MultiHeadAttention, Transformer, TransformerConfig, causal_mask
from viz.graphs.build import build, retain_grads
from viz.graphs.look import ZOOMS, Look
from viz.graphs.nodes import Graph
from viz.graphs.scalars import follow_scalars
from viz.graphs.trace import trace_ops
from viz.graphs.words import table_of


def matrix(name: str, *shape: int) -> Tensor:
    """A named leaf of random numbers that asks for its gradient."""
    rng = np.random.default_rng(sum(map(ord, name)))
    return Tensor(rng.normal(size=shape), requires_grad=True, name=name)


def expression() -> tuple[Tensor, list[Tensor]]:
    """mean((tanh(x @ w + b) − 0.5)²)."""
    x, w, b = matrix("x", 2, 3), matrix("w", 3, 2), matrix("b", 2)
    return (((x @ w + b).tanh() - 0.5) ** 2).mean(), [x, w, b]


def softmax() -> tuple[Tensor, list[Tensor]]:
    """−log softmax(x)[0, 1], and the largest x."""
    x = matrix("x", 1, 3)
    return -np.log(mg.softmax(x)[0, 1]) + x.max(), [x]


def layer_norm() -> tuple[Tensor, list[Tensor]]:
    """The mean square of a layer norm's distance to a target."""
    x, weight, bias = matrix("x", 2, 3), matrix("weight", 3), matrix("bias", 3)
    return mg.mse_loss(mg.layer_norm(x, weight, bias), np.ones((2, 3))), [x, weight, bias]


def activations() -> tuple[Tensor, list[Tensor]]:
    """Functions that have a definition, or none that scalars could follow."""
    x = matrix("x", 4)
    return (mg.gelu(x) * mg.sigmoid(x) + mg.softplus(x) * np.arctan(x) + mg.relu(x)).sum(), [x]


def attention() -> tuple[Tensor, list[Tensor]]:
    """Masked self-attention, and a layer norm, of three tokens."""
    x = matrix("x", 1, 3, 4)
    module = MultiHeadAttention(4, 2, rng=0).astype(np.float64)
    norm = nn.LayerNorm(4).astype(np.float64)
    return (norm(x + module(x, x, causal_mask(3))) ** 2).mean(), [x, *module.parameters()]


def classifier() -> tuple[Tensor, list[Tensor]]:
    """Embedded tokens, two linear layers with a gelu between, cross-entropy."""
    tokens = nn.Embedding(4, 3, rng=0)
    model = nn.Sequential(tokens, nn.Linear(3, 4, rng=1), mg.gelu, nn.Linear(4, 3, rng=2))
    model.astype(np.float64)
    logits = model(np.array([0, 2, 0]))
    return mg.cross_entropy(logits, np.array([1, 2, 0]), label_smoothing=0.1), model.parameters()


COMPUTATIONS = [expression, softmax, layer_norm, activations, attention, classifier]


def at_zoom(loss: Tensor, leaves: list[Tensor], rung: str) -> tuple[Any, list[Any]]:
    """The loss and the leaves' gradients by what one rung shows, and the chain rule over it."""
    trace = trace_ops([loss], Look(rung, grads=True))
    end = trace.result(loss)
    if rung == "scalar":
        scalars = follow_scalars(trace, None, limit=10_000)
        scalars.backward()
        arrays = [scalars.elements.arrays[x.order] for x in (end, *leaves)]
        found = [np.array([x.grad for x in array.flat]).reshape(array.shape) for array in arrays]
        return arrays[0].item().data, found[1:]
    gradients: dict[int, Any] = {end.order: np.ones_like(end.data)}
    for step in reversed(trace.steps):
        for i, gx in contributions(step, gradients[step.order], create_graph=False):
            x = step.inputs[i]
            order = trace.result(x).order
            gradients[order] = gradients.get(order, 0) + sum_to(gx, x.shape)
    return end.data, [gradients[leaf.order] for leaf in leaves]


def assert_same_numbers(loss: Tensor, leaves: list[Tensor]) -> None:
    """Loss and gradients are the engine's on every rung, to 12 digits."""
    retain_grads(loss)
    loss.backward(retain_graph=True)
    for rung in ZOOMS:
        value, gradients = at_zoom(loss, leaves, rung)
        np.testing.assert_allclose(value, loss.data, rtol=1e-12)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-12, atol=1e-12, err_msg=rung)


def places(picture: Graph) -> set[str]:
    """The boxes, as dotted paths."""
    return {".".join(path) for path in picture.clusters}


def labels(picture: Graph) -> list[str]:
    """The labels of all nodes, in order."""
    return [node.label for node in picture.nodes]


@pytest.mark.parametrize("compute", COMPUTATIONS)
def test_every_rung_has_the_same_loss_and_the_same_gradients(
    compute: Callable[[], tuple[Tensor, list[Tensor]]],
) -> None:
    assert_same_numbers(*compute())


@pytest.mark.parametrize("compute", COMPUTATIONS)
@pytest.mark.parametrize("rung", ZOOMS)
def test_the_nodes_of_every_rung_say_those_numbers(
    compute: Callable[[], tuple[Tensor, list[Tensor]]], rung: str
) -> None:
    loss, leaves = compute()
    retain_grads(loss)
    loss.backward(retain_graph=True)
    picture = build(loss, Look(rung, values=True, grads=True, limit=2_000))
    assert picture.nodes[-1].value == table_of(loss.data)
    assert picture.nodes[-1].grad == (("1",),)
    said = {node.label: node.grad for node in picture.nodes}
    x = leaves[0]
    if rung == "scalar" and x.name:
        first = (0,) * x.ndim
        assert x.grad is not None
        assert said[f"x[{','.join(map(str, first))}]"] == table_of(x.grad[first])
    elif x.name:
        assert said["x"] == table_of(x.grad)


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "tanh": lambda x, w: np.tanh(x),
    "exp": lambda x, w: np.exp(-(x**2)),
    "sigmoid": lambda x, w: mg.sigmoid(x),
    "relu": lambda x, w: mg.relu(x),
    "gelu": lambda x, w: mg.gelu(x),
    "silu": lambda x, w: mg.silu(x),
    "softmax": lambda x, w: mg.softmax(x, axis=0),
    "log softmax": lambda x, w: mg.log_softmax(x),
    "norm": lambda x, w: mg.layer_norm(x, w[0], w[1]),
    "matmul": lambda x, w: x @ w,
    "transpose": lambda x, w: x.T,
    "mean": lambda x, w: x - x.mean(axis=1, keepdims=True),
    "largest": lambda x, w: x - x.max(axis=0),
    "variance": lambda x, w: x / (1 + x.var(axis=0)),
    "maximum": lambda x, w: np.maximum(x, w),
    "turn": lambda x, w: np.concatenate([x[1:], x[:1]]),
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4))
def test_any_chain_of_ops_has_the_same_numbers_on_every_rung(names: list[str]) -> None:
    x, w = matrix("x", 3, 3), matrix("w", 3, 3)
    y: Any = x
    for name in names:
        y = STEPS[name](y, w)
    loss = (y * w).sum() + 0.0 * x.sum()
    assert_same_numbers(loss, [x, w])


@pytest.mark.parametrize("compute", COMPUTATIONS)
@pytest.mark.parametrize("rung", ZOOMS)
def test_the_gradients_are_the_same_before_backward_and_no_grad_is_filled(
    compute: Callable[[], tuple[Tensor, list[Tensor]]], rung: str
) -> None:
    loss, leaves = compute()
    before = build(loss, Look(rung, grads=True, limit=2_000))
    assert () not in [node.grad for node in before.nodes]
    assert all(leaf.grad is None for leaf in leaves)
    retain_grads(loss)
    loss.backward(retain_graph=True)
    after = build(loss, Look(rung, grads=True, limit=2_000))
    assert [node.grad for node in before.nodes] == [node.grad for node in after.nodes]


@pytest.mark.parametrize("rung", ["definition", "scalar"])
def test_looking_closer_is_no_part_of_what_a_user_watches(rung: str) -> None:
    x = Tensor([[1e308, -1e308]], requires_grad=True)
    with mg.detect_anomaly():
        y = mg.softmax(x)
        retain_grads(y)
        y.backward(np.ones((1, 2)), retain_graph=True)
        assert len(build(y, Look(rung, grads=True)).nodes) > 2


def test_an_unknown_rung_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"zoom is one of model, module, op, .*, not 'ops'"):
        build(expression()[0], Look("ops"))


def test_a_path_names_a_place_and_may_leave_out_all_but_the_end() -> None:
    place = ("Transformer", "encoder", "layers.0", "self_attention")
    for name in ("self_attention", "encoder.self_attention", ".".join(place)):
        assert Look(open=name).opens(place)
    for name in ("attention", "layers.0", "layers.1.self_attention", ""):
        assert not Look(open=name).opens(place)
    assert not Look().opens(())


def small() -> tuple[Tensor, Transformer]:
    """The sum of a small model's logits, and the model."""
    config = TransformerConfig(6, 6, d_model=4, num_heads=2, d_ff=4, dropout=0.0, max_length=4)
    model = Transformer(config, rng=0)
    return model(np.array([[3, 4]]), np.array([[1, 3]])).sum(), model


def test_an_opened_module_shows_its_ops_whatever_the_zoom() -> None:
    result, _ = small()
    path = "Transformer.encoder.layers.1.self_attention"
    for rung in ("model", "module"):
        picture = build(result, Look(rung, open="encoder.layers.1.self_attention"))
        inside = {node.label for node in picture.nodes if ".".join(node.path) == path}
        assert {"query", "key", "value", "attention", "output"} <= inside
    assert "Transformer.decoder" not in places(build(result, Look("model", open="encoder")))


def test_an_opened_op_shows_its_definition_and_all_around_it_is_open() -> None:
    result, _ = small()
    picture = build(result, Look("model", open="cross_attention.scaled_dot_product_attention"))
    opened = {place for place in places(picture) if place.endswith("attention")}
    assert "Transformer.decoder.layers.0.cross_attention" in opened
    assert "Transformer.decoder.layers.1.cross_attention.scaled dot product attention" in opened
    assert not any("encoder.layers" in place for place in opened)
    assert {"self_attention", "feed_forward"} <= set(labels(picture))


def test_an_op_inside_of_a_definition_is_found_too() -> None:
    loss, _ = attention()
    picture = build(loss, Look(open="softmax"))
    around = "MultiHeadAttention.scaled dot product attention"
    assert {around, f"{around}.softmax"} <= places(picture)
    assert "query" in labels(picture)
    assert "LayerNorm" in labels(picture)
    picture = build(loss, Look("scalar", open="softmax", element=(0, 1, 2, 0), limit=50))
    assert "matmul" in labels(picture)
    assert any(node.label == "x[0,1,2,0]" for node in picture.nodes)


def test_several_names_open_several_things() -> None:
    loss, _ = activations()
    assert places(build(loss, Look(open=["gelu", "sigmoid"]))) == {"gelu", "sigmoid"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sofmax", "did you mean .*softmax"),
        ("encoder.layers.7", "did you mean encoder.layers.5 or"),
        ("zzz", "there are .*decoder"),
    ],
)
def test_an_unknown_name_is_an_error_with_those_that_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"no {name!r} to open; .*{hint}") as caught:
        build(mg.softmax(small()[0] * np.ones(2)), Look("module", open=["encoder", name]))
    assert "\n" not in str(caught.value)


def test_where_there_is_nothing_to_open_the_error_says_so() -> None:
    with pytest.raises(ValueError, match="no 'exp' to open; only zoom scalar opens these ops"):
        build(matrix("x", 2).exp(), Look(open="exp"))


def test_a_depth_is_for_what_can_be_folded() -> None:
    loss, _ = expression()
    with pytest.raises(ValueError, match="scalars are never folded; leave depth out"):
        build(loss, Look("scalar", depth=1))
    picture = build(attention()[0], Look("scalar", open="power", depth=0))
    assert "MultiHeadAttention" in labels(picture)


@pytest.mark.parametrize("function", [viz.graph, viz.compare])
def test_the_signature_of_what_draws_a_graph_lists_every_option(function: Any) -> None:
    options = [field.name for field in fields(Look)]
    listed = inspect.signature(function).parameters
    assert [name for name in listed if name in options] == options
    assert all(listed[name].default == getattr(Look(), name) for name in options)


@pytest.mark.parametrize(
    ("option", "known"), [("zooom", "use zoom"), ("x", "use zoom or open or element or depth")]
)
def test_an_option_that_there_is_not_is_refused_with_those_that_there_are(
    option: str, known: str
) -> None:
    loss, _ = expression()
    with pytest.raises(TypeError, match=f"there is no option '{option}'; {known}"):
        viz.graph(loss, **{option: 1})
    with pytest.raises(TypeError, match=f"there is no option '{option}'; {known}"):
        viz.compare(loss, loss, **{option: 1})
