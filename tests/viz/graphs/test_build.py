"""What a computation looks like as a plain graph: what folds, what gathers, what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, Value, nn
from minigrad.tensor import behind
from viz.graphs import trace
from viz.graphs.ancestry import tensors_in
from viz.graphs.build import build, retain_grads
from viz.graphs.look import Look
from viz.graphs.nodes import Edge, Graph, Node, Row
from viz.graphs.trace import FREED
from viz.graphs.words import number_text, table_of


def leaf(name: str, *shape: int, trained: bool = False) -> Tensor:
    """A named leaf of some shape."""
    return Tensor(np.ones(shape), requires_grad=trained, name=name)


def labels(picture: Graph) -> list[str]:
    """The labels of all nodes, in order."""
    return [node.label for node in picture.nodes]


def said(picture: Graph) -> list[str]:
    """The label and the detail of each op, as its card says them."""
    return [f"{node.label} {node.detail}".strip() for node in picture.nodes if node.detail]


def one(picture: Graph, label: str) -> Node:
    """The only node with this label."""
    (found,) = [node for node in picture.nodes if node.label == label]
    return found


def arrows(picture: Graph) -> list[tuple[str, str]]:
    """The edges, by the labels of what they connect."""
    label = {node.id: node.label for node in picture.nodes}
    return [(label[edge.source], label[edge.target]) for edge in picture.edges]


class Attention(nn.Module):
    """Self-attention with H = 2 heads."""

    def __init__(self, d_model: int = 4) -> None:
        self.query = nn.Linear(d_model, d_model, rng=0)
        self.key = nn.Linear(d_model, d_model, rng=1)
        self.value = nn.Linear(d_model, d_model, rng=2)
        self.output = nn.Linear(d_model, d_model, rng=3)

    def forward(self, x: Any, mask: Any = None) -> Any:
        """(T, D) → (T, D)."""
        query, key, value = (
            part(x).reshape(len(x), 2, -1).swapaxes(0, 1)
            for part in (self.query, self.key, self.value)
        )
        heads = mg.scaled_dot_product_attention(query, key, value, mask=mask)
        return self.output(heads.swapaxes(0, 1).reshape(len(x), -1))


class Layer(nn.Module):
    """Attention and a feed-forward network, each in a residual."""

    def __init__(self, d_model: int = 4) -> None:
        self.attention = Attention(d_model)
        self.norm = nn.LayerNorm(d_model)
        self.feed_forward = nn.Sequential(
            nn.Linear(d_model, 8, rng=4), mg.relu, nn.Linear(8, d_model, rng=5)
        )
        self.dropout = nn.Dropout(0.1, rng=0)

    def forward(self, x: Any, mask: Any = None) -> Any:
        """(T, D) → (T, D)."""
        x = self.norm(x + self.dropout(self.attention(x, mask)))
        return x + self.dropout(self.feed_forward(x))


class Stack(nn.Module):
    """Layers one after the other."""

    def __init__(self, depth: int) -> None:
        self.layers = nn.ModuleList([Layer() for _ in range(depth)])

    def forward(self, x: Any, mask: Any = None) -> Any:
        """(T, D) → (T, D)."""
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Product(nn.Module):
    """A product with a transposed weight."""

    def __init__(self) -> None:
        self.weight = nn.parameter(np.ones((3, 4)))

    def forward(self, x: Any) -> Any:
        """(..., 4) → (..., 3)."""
        return x @ self.weight.T


class Cell(nn.Module):
    """One step of a recurrent network."""

    def __init__(self) -> None:
        self.input = nn.Linear(3, 3, rng=0)
        self.state = nn.Linear(3, 3, bias=False, rng=1)

    def forward(self, x: Any, state: Any) -> Any:
        """(B, D), (B, D) → (B, D)."""
        return np.tanh(self.input(x) + self.state(state))


class Recurrent(nn.Module):
    """One cell called once for each input."""

    def __init__(self) -> None:
        self.cell = Cell()

    def forward(self, inputs: list[Tensor]) -> Any:
        """T inputs (B, D) → (B, D)."""
        state = leaf("start", 1, 3)
        for x in inputs:
            state = self.cell(x, state)
        return state


def loss() -> Tensor:
    """mean((tanh(x @ w + b) − y)²)."""
    x, y = leaf("x", 2, 3), leaf("y", 2, 1)
    w, b = leaf("w", 3, 1, trained=True), leaf("b", 1, trained=True)
    return (((x @ w + b).tanh() - y) ** 2).mean()


def chain(length: int) -> Tensor:
    """That many multiplications, one after the other."""
    x = leaf("x", trained=True)
    for _ in range(length):
        x = x * 1.001
    return x


def test_parameters_are_rows_in_the_card_of_their_op_and_inputs_are_cards() -> None:
    picture = build(loss())
    assert labels(picture) == ["x", "matmul", "add", "tanh", "y", "subtract", "power", "mean"]
    assert one(picture, "matmul").rows == (Row("w", (3, 1), "parameter"),)
    assert one(picture, "add").rows == (Row("b", (1,), "parameter"),)
    assert (one(picture, "x").family, one(picture, "x").shape) == ("input", (2, 3))


def test_edges_lead_from_inputs_to_results() -> None:
    assert arrows(build(loss())) == [
        ("x", "matmul"), ("matmul", "add"), ("add", "tanh"), ("tanh", "subtract"),
        ("y", "subtract"), ("subtract", "power"), ("power", "mean"),
    ]  # fmt: skip


def test_nodes_come_after_those_that_they_were_computed_from_and_are_numbered() -> None:
    picture = build(Layer()(leaf("x", 5, 4)))
    position = {node.id: i for i, node in enumerate(picture.nodes)}
    assert all(position[edge.source] < position[edge.target] for edge in picture.edges)
    assert list(position) == [f"n{i}" for i in range(len(position))]


def test_leaves_stay_cards_where_no_other_input_carries_the_data() -> None:
    a, b = leaf("a", 2, trained=True), leaf("b", 2, trained=True)
    picture = build(a * b)
    assert labels(picture) == ["a", "b", "multiply"]
    assert one(picture, "a").family == "parameter"


def test_leaves_stay_cards_where_their_numbers_are_asked_for() -> None:
    assert {"w", "b"} <= set(labels(build(loss(), Look(values=True))))
    assert {"w", "b"} <= set(labels(build(loss(), Look(grads=True))))


def test_a_parameter_with_several_users_outside_of_modules_is_a_card() -> None:
    x, w = leaf("x", 2), leaf("w", 2, trained=True)
    assert arrows(build((x * w).exp() * w)) == [
        ("x", "multiply"), ("w", "multiply"), ("multiply", "exp"),
        ("exp", "multiply"), ("w", "multiply"),
    ]  # fmt: skip


def test_a_parameter_shared_by_several_modules_is_a_card_between_them() -> None:
    model = nn.Sequential(nn.Linear(3, 3, rng=0), mg.relu, nn.Linear(3, 3, rng=0))
    model[2].weight = model[0].weight
    picture = build(model(leaf("x", 2, 3)))
    assert ("0.weight", "0") in arrows(picture)
    assert ("0.weight", "2") in arrows(picture)
    assert one(picture, "0.weight").path == ("Sequential",)
    assert [row.name for row in one(picture, "2").rows] == ["bias"]


def test_a_parameter_used_inside_and_outside_of_its_module_is_a_card() -> None:
    layer = nn.Linear(3, 3, rng=0)
    picture = build(layer(leaf("x", 2, 3)).sum() + (layer.weight**2).sum())
    assert ("weight", "power") in arrows(picture)
    assert ("weight", "Linear") in arrows(picture)


def test_constant_numbers_are_words_in_the_card() -> None:
    x = leaf("x", 2, trained=True)
    results: list[Any] = [
        x * 0.125, 1 - x, x / 4, x**2, x**-1, x**0.5, 2.0**x, np.maximum(x, 0.0),
        np.where(np.array([True, False]), x, -np.inf), x * Tensor(3.0),
    ]  # fmt: skip
    assert said(build(results)) == [
        "multiply × 0.125", "subtract 1 − x", "divide ÷ 4", "power x²", "power x⁻¹", "power x^0.5",
        "power 2^x", "max (x, 0)", "where else −∞", "multiply × 3",
    ]  # fmt: skip


def test_params_are_told_where_they_are_not_the_usual_ones() -> None:
    x = leaf("x", 2, 3, trained=True)
    results: list[Any] = [
        x.sum(axis=0), x.mean(axis=-1, keepdims=True), x.softmax(), x.softmax(axis=0),
        x[:, 0], x[None, ..., ::2], x[np.array([1, 0])], mg.gelu(x, approximate="tanh"),
        mg.layer_norm(x, np.ones(3), np.zeros(3), eps=0.1), x.astype(np.float32),
    ]  # fmt: skip
    assert said(build(results)) == [
        "sum axis=0", "mean axis=-1", "softmax axis=0", "getitem [:, 0]", "getitem [None, …, ::2]",
        "getitem [array]", "gelu approximate=tanh", "layer norm eps=0.1", "astype dtype=float32",
    ]  # fmt: skip


def test_constant_arrays_are_rows_named_by_the_op_or_by_the_module_that_owns_them() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            self.table = np.ones((8, 3), np.float32)

        def forward(self, x: Any) -> Any:
            return x + self.table[: len(x)]

    x = leaf("x", 2, 3, trained=True)
    target = np.array([0, 2])
    picture = build(mg.cross_entropy(Shifted()(x), target))
    assert one(picture, "cross entropy").rows == (Row("target", (2,), "constant"),)
    assert one(picture, "Shifted").rows == (Row("table", (2, 3), "constant"),)
    assert build(x * np.ones((2, 3))).nodes[-1].rows == (Row("constant", (2, 3), "constant"),)


def test_the_only_target_of_a_batch_of_one_is_said_in_full() -> None:
    logits = leaf("logits", 1, 3, trained=True)
    assert said(build(mg.cross_entropy(logits, np.array([2])))) == ["cross entropy target=2"]


def test_reshaping_is_a_pill_and_dropout_too() -> None:
    x = leaf("x", 2, 6, trained=True)
    x.requires_grad = True
    shaped = mg.expand_dims(x.reshape(3, 4).swapaxes(0, 1), 0).squeeze()
    picture = build(mg.dropout(shaped, 0.25, rng=0))
    assert [node.kind for node in picture.nodes] == ["card"] + ["pill"] * 5
    assert [node.shape for node in picture.nodes[1:3]] == [(3, 4), (4, 3)]
    assert said(picture) == ["dropout p=0.25"]


def test_adding_two_results_of_one_shape_is_a_circle_and_adding_a_bias_is_not() -> None:
    x, bias = leaf("x", 2, 3, trained=True), leaf("bias", 3, trained=True)
    picture = build(x.exp() + x.tanh() + bias)
    assert [node.kind for node in picture.nodes if node.label == "add"] == ["sum", "card"]
    assert [node.kind for node in build(x.exp() + x.sum()).nodes] == ["card"] * 4


def test_a_transposed_factor_is_a_sign_in_the_card_of_the_product() -> None:
    query, key = leaf("query", 5, 4, trained=True), leaf("key", 5, 4, trained=True)
    picture = build(query.exp() @ key.T)
    assert said(picture) == ["matmul a · bᵀ"]
    assert arrows(picture) == [("query", "exp"), ("exp", "matmul"), ("key", "matmul")]
    product = build(Product()(leaf("x", 5, 4)))
    assert one(product, "Product").rows == (Row("weightᵀ", (4, 3), "parameter"),)


def test_a_bias_that_is_left_out_is_not_mentioned() -> None:
    node = one(build(nn.Linear(4, 3, bias=False, rng=0)(leaf("x", 5, 4))), "Linear")
    assert node.rows == (Row("weight", (3, 4), "parameter"),)


def test_a_transposed_matrix_with_another_use_is_a_node() -> None:
    x = leaf("x", 3, 3, trained=True)
    turned = x.T
    assert labels(build(x @ turned + turned)) == ["x", "transpose", "matmul", "add"]
    assert labels(build([x @ turned, turned])) == ["x", "transpose", "matmul"]


def test_a_factor_that_comes_twice_has_two_edges() -> None:
    x = leaf("x", 2, trained=True)
    assert build(x * x).edges == (Edge("n0", "n1"), Edge("n0", "n1"))


def test_the_number_that_backward_starts_from_is_marked_as_the_loss() -> None:
    assert one(build(loss()), "mean").family == "loss"
    x = leaf("x", 2, 3, trained=True)
    assert one(build(mg.cross_entropy(x, np.array([0, 1])) * 2), "cross entropy").family == "loss"


def test_leaves_and_arrays_can_be_named_by_the_caller() -> None:
    data, rate = Tensor([1.0, 2.0], requires_grad=True), np.ones(2)
    picture = build(data * rate, Look(names={"data": data, "rate": rate}))
    assert labels(picture) == ["data", "multiply"]
    assert picture.nodes[1].rows == (Row("rate", (2,), "constant"),)


def test_ops_stand_in_the_module_call_that_made_them() -> None:
    picture = build(Layer()(leaf("x", 5, 4)))
    assert picture.clusters == (
        ("Layer",), ("Layer", "attention"), ("Layer", "feed_forward"),
    )  # fmt: skip
    assert one(picture, "attention").path == ("Layer", "attention")
    assert one(picture, "relu").path == ("Layer", "feed_forward")
    assert one(picture, "x").path == ()


def test_a_module_call_with_one_op_is_that_op_under_its_own_name() -> None:
    picture = build(Layer()(leaf("x", 5, 4)))
    query = one(picture, "query")
    assert (query.detail, query.family, query.path) == ("linear", "matmul", ("Layer", "attention"))
    assert query.rows == (Row("weight", (4, 4), "parameter"), Row("bias", (4,), "parameter"))
    assert one(picture, "norm").detail == "layer norm"
    assert build(nn.LayerNorm(4)(leaf("x", 2, 4))).nodes[1].label == "LayerNorm"
    assert build(nn.LayerNorm(4)(leaf("x", 2, 4))).nodes[1].detail == ""


def test_several_calls_of_one_module_are_told_apart_and_each_has_its_parameters() -> None:
    picture = build(Recurrent()([leaf(f"x{i}", 1, 3) for i in range(3)]))
    assert picture.clusters == (
        ("Recurrent",), ("Recurrent", "cell"), ("Recurrent", "cell (2)"), ("Recurrent", "cell (3)"),
    )  # fmt: skip
    inputs = [node for node in picture.nodes if node.label == "input"]
    assert [[row.name for row in node.rows] for node in inputs] == [["weight", "bias"]] * 3


def test_a_leaf_made_inside_a_module_stands_there() -> None:
    picture = build(Recurrent()([leaf("x", 1, 3), leaf("x", 1, 3)]))
    assert one(picture, "start").path == ("Recurrent",)


def test_a_parameter_outside_of_its_modules_call_is_an_unnamed_input() -> None:
    layer = nn.Linear(2, 2, rng=0)
    picture = build(layer.forward(leaf("x", 1, 2)))
    assert labels(picture) == ["x", "input", "input", "linear"]


def test_a_depth_turns_deeper_calls_into_cards_that_count_what_is_inside() -> None:
    picture = build(Layer()(leaf("x", 5, 4), np.tri(5, dtype=bool)), Look(depth=1))
    assert labels(picture) == [
        "x", "attention", "dropout", "add", "norm", "feed_forward", "dropout", "add"
    ]  # fmt: skip
    attention = one(picture, "attention")
    assert attention.size == "13 ops · 80 params"
    assert (attention.shape, attention.family) == ((5, 4), "matmul")
    assert attention.rows == (Row("mask", (5, 5), "constant"),)
    feed_forward = one(picture, "feed_forward")
    assert (feed_forward.size, feed_forward.detail) == ("3 ops · 76 params", "Sequential")
    assert feed_forward.family == "activation"


def test_edges_into_and_out_of_a_folded_call_are_merged() -> None:
    picture = build(Layer()(leaf("x", 5, 4)), Look(depth=1))
    assert arrows(picture).count(("x", "attention")) == 1
    assert ("attention", "dropout") in arrows(picture)
    assert ("x", "add") in arrows(picture)


def test_depth_zero_leaves_one_card_of_a_model() -> None:
    model = Stack(2)
    picture = build(model(leaf("x", 5, 4)), Look(depth=0))
    assert labels(picture) == ["x", "Stack"]
    assert picture.nodes[1].size == f"42 ops · {nn.count_parameters(model)} params"
    assert picture.nodes[1].family == "module"


def test_a_large_depth_shows_everything() -> None:
    result = Stack(2)(leaf("x", 5, 4))
    assert build(result, Look(depth=99)) == build(result)


def test_a_model_beyond_the_limit_is_folded_by_module_and_says_so() -> None:
    result = Stack(3)(leaf("x", 5, 4))
    everything = build(result)
    assert everything.note == ""
    picture = build(result, Look(limit=30))
    assert len(picture.nodes) <= 30 < len(everything.nodes)
    assert picture.note == (
        "showing 22 nodes at depth 2; 48 ops are folded into their modules, "
        "and a larger depth opens more"
    )


def test_the_largest_depth_within_the_limit_is_chosen() -> None:
    result = Stack(3)(leaf("x", 5, 4))
    assert build(result, Look(limit=22)).nodes == build(result, Look(depth=2)).nodes
    assert len(build(result, Look(limit=21)).nodes) == 4


def test_a_long_chain_without_modules_keeps_its_newest_nodes() -> None:
    picture = build(chain(5_000))
    assert len(picture.nodes) == 150
    stub = picture.nodes[-1]
    assert (stub.label, stub.kind) == ("4,851 older ops", "stub")
    assert picture.note == "4,851 older ops left out"
    assert picture.edges[0] == Edge(stub.id, "n0")
    assert len(picture.edges) == 149


def test_a_chosen_depth_has_a_limit_too() -> None:
    assert len(build(chain(2_000), Look(depth=3)).nodes) == 1000


def test_a_chain_deeper_than_the_recursion_limit_can_be_drawn_whole() -> None:
    assert len(build(chain(20_000), Look(limit=30_000)).nodes) == 20_001


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.one_of(st.none(), st.integers(0, 4)))
def test_never_more_nodes_than_the_limit_and_no_edge_from_nowhere(
    limit: int, layers: int, depth: int | None
) -> None:
    picture = build(Stack(layers)(leaf("x", 3, 4)).sum(), Look(depth=depth, limit=limit))
    ids = {node.id for node in picture.nodes}
    assert 1 <= len(picture.nodes) <= limit
    assert len(ids) == len(picture.nodes)
    assert all({edge.source, edge.target} <= ids for edge in picture.edges)


def test_leaving_out_inputs_alone_is_said_as_well() -> None:
    picture = build(leaf("a", 2, trained=True) * leaf("b", 2, trained=True), Look(limit=2))
    assert labels(picture) == ["multiply", "older inputs"]
    assert picture.note == "older inputs left out"


def test_values_are_shown_on_request() -> None:
    w = Tensor([2.0, 3.0], requires_grad=True, name="w")
    picture = build((w * w).sum(), Look(values=True))
    assert [node.value for node in picture.nodes] == [(("2", "3"),), (("4", "9"),), (("13",),)]
    assert all(node.value is None and node.grad is None for node in build(w * w).nodes)


def test_gradients_are_those_of_what_is_drawn_and_a_constant_has_none() -> None:
    w, x = leaf("w", trained=True), leaf("x")
    result = (w * x) * 0.0
    picture = build(result, Look(grads=True))
    assert [node.grad for node in picture.nodes] == [(("0",),), None, (("0",),), (("1",),)]
    assert w.grad is None and not picture.note
    w.grad = np.array([7.0])  # of an earlier loss
    assert build(result, Look(grads=True)).nodes == picture.nodes


def test_gradients_of_several_elements_and_of_several_results_are_those_of_their_sum() -> None:
    w = leaf("w", 2, trained=True)
    picture = build(w * 3, Look(grads=True))
    assert picture.nodes[0].grad == (("3", "3"),)
    assert picture.note == "the gradients are those of the sum of all elements"
    h = w * 3
    picture = build([h, h.sum()], Look(grads=True))
    assert [node.grad for node in picture.nodes] == [(("6", "6"),), (("2", "2"),), (("1",),)]


def test_gradients_that_were_all_kept_are_drawn_as_they_are() -> None:
    w = leaf("w", 2, trained=True)
    result = (w * 3).sum()
    retain_grads(result)
    result.backward(retain_graph=True)
    result.backward(retain_graph=True)
    assert [node.grad for node in build(result, Look(grads=True)).nodes] == [
        (("6", "6"),), (("2", "2"),), (("2",),),
    ]  # fmt: skip


def test_gradients_of_values_are_found_without_backward() -> None:
    a, b = Value(2.0), Value(-3.0)
    loss = (a * b + a).tanh() * a
    before = build(loss, Look(grads=True))
    assert a.grad == 0.0
    loss.backward()
    assert before == build(loss) == build(loss, Look(grads=True))
    assert before.nodes[0].grad == ((number_text(a.grad),),)


def test_a_picture_after_backward_says_exactly_what_to_call_instead() -> None:
    def loss() -> Tensor:
        return (leaf("w", 2, trained=True) * 3).sum()

    freed = loss()
    freed.backward()
    picture = build(freed, Look(grads=True))
    assert picture.note == FREED
    for call in ("viz.graph(loss, grads=True)", "loss.backward(retain_graph=True)"):
        assert call in picture.note
    kept = loss()
    kept.backward(retain_graph=True)
    for result in (loss(), kept):
        picture = build(result, Look(grads=True))
        assert (picture.note, picture.nodes[0].grad) == ("", (("3", "3"),))


def test_rows_carry_the_numbers_of_a_modules_parameters() -> None:
    layer = nn.Linear(2, 1, rng=0)
    layer.weight.data[...] = [[3.0, 4.0]]
    result = layer(Tensor([[1.0, 2.0]], name="x")).sum()
    result.backward(retain_graph=True)
    weight, bias = one(build(result, Look(values=True, grads=True)), "Linear").rows
    assert (weight.value, weight.grad) == ((("3", "4"),), (("1", "2"),))
    assert (bias.value, bias.grad) == ((("0",),), (("1",),))


def test_an_op_is_one_card_and_can_be_opened_into_its_definition() -> None:
    x = leaf("x", 5, 4)
    mask = np.tri(5, dtype=bool)
    result = Attention()(x, mask)
    assert one(build(result), "attention").rows == (Row("mask", (5, 5), "constant"),)
    picture = build(result, Look(open="scaled_dot_product_attention"))
    inside = ("Attention", "scaled dot product attention")
    assert [f"{n.label} {n.detail}".strip() for n in picture.nodes if n.path == inside] == [
        "matmul query · keyᵀ", "divide ÷ 1.414", "where else −∞", "softmax",
        "matmul softmax · value",
    ]  # fmt: skip
    assert one(picture, "where").rows == (Row("mask", (5, 5), "constant"),)
    assert one(picture, "query").detail == "linear"


def test_definitions_are_opened_as_far_as_they_go() -> None:
    picture = build(Attention()(leaf("x", 5, 4)), Look("definition"))
    assert ("Attention", "query") in picture.clusters
    inside = ("Attention", "scaled dot product attention")
    softmax = [node.label for node in picture.nodes if node.path == (*inside, "softmax")]
    assert softmax == ["subtract", "exp", "sum", "add", "divide"]
    assert [node.detail for node in picture.nodes if node.path == inside][-1] == "softmax · value"
    products = [node for node in picture.nodes if node.path == ("Attention", "query")]
    assert [node.label for node in products] == ["matmul", "add"]
    assert products[0].detail == "x · weightᵀ"
    assert products[0].rows == (Row("weightᵀ", (4, 4), "parameter"),)


def test_a_definition_is_shown_of_inputs_without_gradients_too() -> None:
    x, weight = leaf("x", 2, 3), leaf("weight", 3, trained=True)
    picture = build(mg.layer_norm(x, weight, np.zeros(3)), Look("definition"))
    assert labels(picture)[:4] == ["x", "mean", "subtract", "multiply"]
    assert not x.requires_grad


def test_a_definition_of_one_op_is_that_op() -> None:
    x = leaf("x", 2, trained=True)
    assert labels(build(mg.relu(x), Look("definition"))) == ["x", "relu"]


def test_a_definition_that_overflows_is_left_closed() -> None:
    x = Tensor([[1000.0, 999.0]], requires_grad=True, name="x")
    picture = build(mg.softplus(x) * 2, Look("definition", values=True))
    assert labels(picture) == ["x", "softplus", "multiply"]
    assert picture.nodes[-1].value == table_of(mg.softplus(x).data * 2)


def test_opening_leaves_the_graph_as_it_was() -> None:
    x = leaf("x", 5, 4, trained=True)
    result = Attention()(x).sum()
    before = build(result)
    build(result, Look("definition", grads=True))
    assert build(result) == before
    assert x.grad is None
    result.backward()
    assert x.grad is not None


def test_an_opened_op_has_the_values_and_gradients_of_its_steps() -> None:
    x = Tensor([[1.0, 3.0, 0.5]], requires_grad=True, name="x")
    result = mg.softmax(x)
    loss = -np.log(result[0, 1])
    retain_grads(loss)
    loss.backward(retain_graph=True)
    picture = build(loss, Look("definition", values=True, grads=True))
    assert one(picture, "divide").value == table_of(result.data)
    assert one(picture, "subtract").grad == one(picture, "x").grad == table_of(x.grad)


def test_every_definition_of_several_ops_can_be_opened() -> None:
    rng = np.random.default_rng(0)
    of_one = {"embedding", "relu"}
    for op in mg.TABLE.values():
        if op.definition is not None and not op.composite and op.name not in of_one:
            for example in op.examples:
                inputs = [
                    None if x is None else Tensor(x, requires_grad=x.dtype.kind == "f")
                    for x in example.draw(rng)
                ]
                picture = build(op(*inputs, **example.params), Look(open={op.name}))
                assert len(picture.nodes) > 2, op.name


def test_a_freed_graph_ends_with_a_notice() -> None:
    w = leaf("w", 2, trained=True)
    shared = w * 2
    shared.sum().backward()
    picture = build(shared.exp())
    assert [(node.label, node.notice) for node in picture.nodes] == [
        ("multiply", "freed by backward()"), ("exp", ""),
    ]  # fmt: skip
    assert "retain_graph=True" in picture.note


def test_a_result_that_no_op_computed_is_a_lone_card_and_a_note() -> None:
    picture = build(leaf("w", 2, trained=True))
    assert labels(picture) == ["w"]
    assert picture.note == "nothing is computed: this is what a computation starts from"


def test_gradients_are_drawn_without_a_warning_where_a_rule_divides_by_zero() -> None:
    x = Tensor([0.0, 1.0], requires_grad=True, name="x")
    result = np.sqrt(x).sum()
    with np.errstate(all="ignore"):
        retain_grads(result)
        result.backward(retain_graph=True)
    for zoom in ("op", "scalar"):
        tables = [
            node.grad or () for node in build(result, Look(zoom, values=True, grads=True)).nodes
        ]
        assert [text for table in tables for row in table for text in row][:2] == ["∞", "0.5"]


def test_a_matrix_that_was_transposed_outside_of_the_module_is_drawn() -> None:
    class Square(nn.Module):
        def forward(self, x: Any) -> Any:
            return x @ leaf("w", 3, 2)

    picture = build(Square()(leaf("x", 3, 2, trained=True).T))
    assert labels(picture) == ["x", "transpose", "w", "matmul"]


def test_a_transposed_parameter_is_said_once_and_still_counted() -> None:
    class Times(nn.Module):
        def __init__(self) -> None:
            self.w = leaf("w", 3, 2, trained=True)

        def forward(self, x: Any) -> Any:
            return (x @ self.w.T).tanh()

    result = Times()(leaf("x", 4, 2))
    product = one(build(result), "matmul")
    assert (product.detail, [row.name for row in product.rows]) == ("", ["wᵀ"])
    assert one(build(result, Look("model")), "Times").size == "3 ops · 6 params"


def test_the_name_of_a_result_is_that_of_its_definition_too() -> None:
    result = mg.softmax(leaf("x", 2, trained=True))
    result.name = "chances"
    assert labels(build(result, Look("definition")))[-1] == "chances"


def test_what_was_not_recorded_is_a_lone_card_and_a_note() -> None:
    with mg.no_grad():
        result = leaf("w", 2, trained=True) * 2
    picture = build(result)
    assert labels(picture) == ["input"]
    assert "nothing is recorded" in picture.note


def test_several_results_share_one_graph() -> None:
    x = leaf("x", 2, trained=True)
    y = x.exp()
    picture = build([y.sum(), y.max()])
    assert labels(picture) == ["x", "exp", "sum", "max"]
    assert [node.family for node in picture.nodes[2:]] == ["loss", "loss"]


@pytest.mark.parametrize("result", [np.ones(2), "x", [], [1.0], None])
def test_anything_else_than_tensors_and_values_is_an_error(result: Any) -> None:
    with pytest.raises(TypeError, match="a Tensor or a Value"):
        build(result)


def test_impossible_depths_and_limits_are_errors() -> None:
    with pytest.raises(ValueError, match="depth is a number of levels, 0 or more, not -1"):
        build(loss(), Look(depth=-1))
    with pytest.raises(ValueError, match="limit is a number of nodes, 1 or more, not 0"):
        build(loss(), Look(limit=0))


def test_scalars_are_cards_with_operation_number_and_gradient() -> None:
    a, b = Value(2.0), Value(-3.0)
    result = (a * b + 10).tanh() ** 2
    result.backward()
    picture = build(result, Look(names={"a": a, "b": b}))
    assert labels(picture) == ["a", "b", "×", "value", "+", "tanh", "x²"]
    assert [node.value for node in picture.nodes[:3]] == [(("2",),), (("−3",),), (("−6",),)]
    assert picture.nodes[-1].grad == (("1",),)
    assert arrows(picture)[:2] == [("a", "×"), ("b", "×")]


def test_scalars_without_a_backward_pass_have_no_gradient_yet_which_is_not_zero() -> None:
    a, b = Value(2.0), Value(3.0)
    result = (a - 2.0) * b
    assert {node.grad for node in build(result).nodes} == {()}
    result.backward()
    picture = build(result, Look(names={"a": a, "b": b}))
    assert [one(picture, name).grad for name in "ab"] == [(("3",),), (("0",),)]


@pytest.mark.parametrize("asked", [{"open": "a"}, {"element": 0}])
def test_what_is_for_tensors_is_an_error_with_scalars(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are for Tensors, not for Values"):
        build(Value(2.0) * 3, Look("scalar", **asked))


def test_a_named_scalar_result_says_its_operation_too() -> None:
    a = Value(2.0)
    b = a / 4
    assert said(build(b, Look(names={"b": b}))) == ["b ÷"]


def test_a_long_chain_of_scalars_keeps_its_newest_nodes() -> None:
    x = Value(1.0)
    for _ in range(3_000):
        x = x * 1.001
    picture = build(x)
    assert len(picture.nodes) == 150
    assert picture.nodes[-1].kind == "stub"
    assert "older ops left out" in picture.note


def test_an_element_that_there_is_not_is_told_before_anything_is_computed() -> None:
    x = Tensor(np.ones((300, 300)), requires_grad=True)
    with pytest.raises(ValueError, match=r"of shape \(300, 300\) has no element \[0, 300\]"):
        build(x @ x, Look("scalar", element=(0, 300)))


def test_depth_says_nothing_of_a_model_that_is_one_card() -> None:
    with pytest.raises(ValueError, match="zoom model does not"):
        build(Tensor([1.0], requires_grad=True) * 2, Look("model", depth=1))


def test_a_part_is_drawn_alone_what_it_uses_from_outside_as_inputs() -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True, name="x")
    h = x.tanh()
    y = h * h
    z = y.sum() + h.mean()
    whole, part = build(z), build(y, within=[y.order])
    assert [node.label for node in whole.nodes] == ["x", "tanh", "multiply", "sum", "mean", "add"]
    assert [node.label for node in part.nodes] == ["from tanh", "multiply"]
    assert part.edges == (Edge("n0", "n1"), Edge("n0", "n1"))


def test_a_part_is_drawn_without_a_look_at_what_is_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at = []

    def noticed(step: Tensor) -> list[Tensor]:
        looked_at.append(step.order)
        return tensors_in(step)

    monkeypatch.setattr(trace, "tensors_in", noticed)
    x = Tensor([1.0], requires_grad=True, name="x")
    h = x.tanh().exp()
    y = h * h
    build(y, within=[y.order])
    assert set(looked_at) == {y.order}


def test_only_in_a_part_is_a_tensor_that_an_op_made_called_by_a_name_that_is_given() -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True, name="x")
    h = x.tanh()
    z = h.sum()
    look = Look(names={"h": h})
    assert [node.label for node in build(z, look).nodes] == ["x", "tanh", "sum"]
    part = build(z, look, within=[x.order, h.order, z.order])
    assert [node.label for node in part.nodes] == ["x", "h", "sum"]


def test_the_call_around_a_part_stays_open_however_much_is_in_it() -> None:
    class Long(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            for _ in range(200):
                x = x.tanh()
            return x

    y = Long()(Tensor([1.0], requires_grad=True, name="x"))
    z = y.sum()
    inside = [x.order for x in behind(y) if x.op is not None]
    assert [node.label for node in build(z).nodes] == ["x", "Long", "sum"]
    part = build(y, within=inside)
    assert [node.label for node in part.nodes] == ["tanh"] * 149 + ["51 older ops"]


def test_a_part_of_values_is_drawn_alone_too() -> None:
    a = Value(2.0)
    b = a * 3
    c = b.tanh() + a
    part = build(c, Look(names={"a": a, "b": b}), within=[c._place])
    assert [node.label for node in part.nodes] == ["a", "from tanh", "+"]


def test_a_graph_knows_in_which_nodes_each_tensor_is() -> None:
    w = Tensor(np.ones((2, 3)), requires_grad=True, name="w")
    x = Tensor(np.ones((4, 3)), name="x")
    turned = w.T
    y = x @ turned
    picture = build(y)
    assert [node.label for node in picture.nodes] == ["x", "w", "matmul"]
    homes = {x.order: "n0", w.order: "n1", turned.order: "n2", y.order: "n2"}
    assert picture.homes == {order: (home,) for order, home in homes.items()}


def test_what_is_left_out_is_in_the_stub() -> None:
    x = Tensor(np.ones(3), requires_grad=True, name="x")
    y = x.tanh()
    z = y.sum()
    picture = build(z, Look(limit=2))
    assert [node.label for node in picture.nodes] == ["sum", "1 older op"]
    assert picture.homes == {z.order: ("n0",), y.order: ("n1",), x.order: ("n1",)}
