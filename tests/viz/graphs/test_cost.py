"""What ops cost: the convention op by op, sums against closed formulas and PyTorch, the drawing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import TABLE, Tensor, Value
from minigrad.op import Example, Op
from minitransformer import Transformer, TransformerConfig
from minitransformer.tasks import TASKS
from minitransformer.training import loss_of
from viz.graphs.build import build
from viz.graphs.cost import Cost, Costs, Meter, in_units
from viz.graphs.dot import COLOURS, digraph, graph
from viz.graphs.look import Look
from viz.graphs.nodes import Graph, Node
from viz.subject.examples import EXAMPLES

LENGTHS = st.integers(1, 5)


def array(*shape: int, trained: bool = True) -> Tensor:
    """A Tensor of float64 ones, 8 bytes each."""
    return Tensor(np.ones(shape), requires_grad=trained)


def forward(step: Any) -> Cost:
    """What computing the result of this op costs."""
    return Meter().forward(step)


def backward(step: Any) -> Cost:
    """What sending a gradient on from the result of this op costs."""
    return Meter().backward(step)


def behind(root: Tensor) -> list[Tensor]:
    """The recorded ops behind a result."""
    found, waiting = {}, [root]
    while waiting:
        x = waiting.pop()
        if x.op is not None and x.order not in found:
            found[x.order] = x
            waiting += [y for y in x.inputs if isinstance(y, Tensor)]
    return list(found.values())


def total(root: Tensor) -> Costs:
    """What all ops behind a result cost."""
    meter = Meter()
    return sum((meter.costs(step) for step in behind(root)), Costs())


@given(LENGTHS, LENGTHS, LENGTHS, LENGTHS)
def test_a_product_takes_2MNK_and_one_more_for_each_gradient(
    B: int, M: int, N: int, K: int
) -> None:
    a, b = array(B, M, K), array(B, K, N)
    flops = 2 * B * M * N * K
    for y in (a @ b, np.einsum("bij,bjk->bik", a, b)):
        assert forward(y) == Cost(flops, 8 * B * (M * K + K * N + M * N))
        assert backward(y).flops == 2 * flops
    assert backward(a @ b.data).flops == flops
    assert backward(a.data @ b).flops == flops


def test_an_einsum_takes_one_for_each_array_and_combination_of_letters() -> None:
    assert forward(np.einsum("ij->j", array(3, 4))).flops == 12
    assert forward(np.einsum("ij,j,i->", array(3, 4), array(4), array(3))).flops == 36


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4))])
def test_a_vector_is_a_matrix_of_one_row_or_column(shapes: tuple[Any, Any]) -> None:
    y = array(*shapes[0]) @ array(*shapes[1])
    assert forward(y).flops == 2 * 3 * y.size


def test_other_ops_take_one_for_each_element_of_the_largest_array() -> None:
    assert forward(np.exp(array(2, 3))) == Cost(6, 8 * 12)
    assert forward(array(2, 1) * array(1, 3)) == Cost(6, 8 * (2 + 3 + 6))
    assert forward(array(2, 3).sum()) == Cost(6, 8 * 7)
    assert forward(array(2, 3) * 5.0) == Cost(6, 8 * 12)


def test_moving_elements_takes_bytes_alone_and_a_view_is_free() -> None:
    x = array(4, 6)
    for view in (x.reshape(3, 8), x.T, x[1:3], np.broadcast_to(x, (2, 4, 6))):
        assert forward(view) == Cost()
    assert forward(x[np.array([0, 2, 2])]) == Cost(0, 2 * 8 * 18)
    assert forward(x.T.reshape(24)) == Cost(0, 2 * 8 * 24)
    assert forward(np.concatenate([x, x])) == Cost(0, 2 * 8 * 48)
    assert str(forward(x.T)) == "free"


def test_backward_an_op_costs_what_its_rules_record() -> None:
    x, y = array(5), array(5)
    assert backward(np.tanh(x)) == Cost(15, 8 * (15 + 10 + 15))  # g · (1 − y · y)
    assert backward(x * y) == Cost(10, 2 * 8 * 15)  # g · y and g · x
    assert backward(x + y) == Cost()  # g itself, twice
    assert backward(x * 2.0) == Cost(5, 8 * 10)


def test_backward_broadcasting_is_undone_by_a_sum() -> None:
    bias = array(4)
    assert backward(array(3, 4) + bias) == Cost(12, 8 * (12 + 4))


def test_a_fused_op_takes_the_flops_of_its_definition() -> None:
    x, rows, columns = array(3, 4), 3, 4
    assert forward(mg.softmax(x)).flops == 4 * 12 + rows
    y = TABLE["linear"](x, array(5, columns), array(5))
    assert forward(y).flops == 2 * 3 * 5 * 4 + 3 * 5
    assert backward(y).flops == 2 * (2 * 3 * 5 * 4) + 3 * 5


def test_a_fused_op_reads_and_writes_no_arrays_in_between() -> None:
    B, H, T, K = 2, 3, 4, 5
    query, key, value = (array(B, H, T, K) for _ in range(3))
    heads, weights = B * H * T * K, B * H * T * T
    y = mg.scaled_dot_product_attention(query, key, value)
    assert forward(y).bytes == 8 * (3 * heads + heads + weights)
    assert backward(y).bytes == 8 * (heads + 3 * heads + weights + 3 * heads)
    y = mg.scaled_dot_product_attention(query, key.data, value.data)
    assert backward(y).bytes == 8 * (heads + 3 * heads + weights + heads)


def test_masks_are_read_too() -> None:
    query, mask = array(1, 4, 5), np.ones((4, 4), bool)
    without = forward(mg.scaled_dot_product_attention(query, query, query))
    masked = forward(mg.scaled_dot_product_attention(query, query, query, mask=mask))
    assert masked == without + Cost(16, 16)


@pytest.mark.parametrize(
    ("op", "example"),
    [
        pytest.param(op, example, id=name)
        for name, op in TABLE.items()
        if not op.composite
        for example in op.examples[:1]
    ],
)
def test_every_op_has_a_cost(op: Op, example: Example) -> None:
    inputs = [
        [Tensor(y, requires_grad=True) for y in x]
        if isinstance(x, list)
        else Tensor(x, requires_grad=True)
        if isinstance(x, np.ndarray) and x.dtype.kind == "f"
        else x
        for x in example.draw(np.random.default_rng(0))
    ]
    y = op(*inputs, **example.params)
    costs = Meter().costs(y)
    assert costs.is_known
    if op.family == "shape":
        assert costs.forward.flops == 0
    else:
        assert costs.forward.flops >= y.size
        assert costs.forward.bytes >= y.data.nbytes
    assert costs.backward.bytes >= 0


@pytest.mark.parametrize("leave", [np.unique, lambda g: g.data])
def test_what_a_rule_costs_that_leaves_the_graph_is_unknown(leave: Any) -> None:
    strange = Op("strange", "strange", "demo", np.exp, [lambda g, y, x: leave(g)])
    x = array(3)
    y = (strange(x) * 2.0).sum()
    costs = Meter().costs(y.inputs[0].inputs[0])
    assert (str(costs.forward), str(costs.backward)) == ("3 FLOP · 48 B", "unknown")
    picture = build(y, Look(costs=True))
    node = next(node for node in picture.nodes if node.label == "strange")
    assert node.cost[1] == "backward unknown"
    assert node.heat is None
    assert "forward 9 FLOP · 128 B, backward at least 3 FLOP · 48 B;" in picture.note


def test_an_op_on_the_same_shapes_is_worked_out_once() -> None:
    meter, x = Meter(), array(3, 4)
    first, again, other = mg.softmax(x), mg.softmax(x * 7.0), mg.softmax(array(3, 5))
    costs = meter.costs(first)
    before = Tensor(0.0).order
    assert meter.costs(again) == costs
    assert Tensor(0.0).order == before + 1  # no op has run
    assert meter.costs(other) != costs


def test_numbers_that_are_not_finite_cost_the_same_and_warn_of_nothing() -> None:
    x = Tensor([0.0, -1.0, np.nan, np.inf], requires_grad=True)
    with np.errstate(all="ignore"):
        y = np.log(mg.softmax(x) / x)
    ones = array(4)
    assert total(y) == total(np.log(mg.softmax(ones) / ones))


def test_measuring_leaves_the_graph_as_it_was() -> None:
    def run(measured: bool) -> Any:
        w = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
        y = mg.softmax(np.ones((4, 2)) @ w)[:, 1].sum()
        if measured:
            build(y, Look(costs=True))
        y.backward()
        return w.grad

    np.testing.assert_array_equal(run(True), run(False))


def linear(rows: int, outputs: int, inputs: int) -> int:
    """FLOPs of a linear map of so many rows."""
    return 2 * rows * outputs * inputs + rows * outputs


def heads(B: int, H: int, T: int, S: int, K: int) -> int:
    """FLOPs of masked attention: two products, ÷ √K, mask, and a softmax of four steps."""
    return 4 * B * H * T * S * K + 6 * B * H * T * S + B * H * T


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_whole_transformer_takes_what_a_closed_formula_says(norm: Any) -> None:
    B, S, T, D, H, F, V, N = 2, 5, 4, 12, 3, 20, 11, 2
    config = TransformerConfig(
        V, V, d_model=D, num_heads=H, d_ff=F, num_encoder_layers=N, num_decoder_layers=N,
        dropout=0.0, max_length=8, norm=norm,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    batch = (
        TASKS["reverse"]()
        .load(seed=0)
        .form.batch(
            [
                (rng.integers(3, V, S - 1).tolist(), rng.integers(3, V, T - 1).tolist())
                for _ in range(B)
            ]
        )
    )
    (_, S), (_, T) = (x.shape for x in batch.inputs)

    def attention(queries: int, keys: int) -> int:
        maps = 2 * linear(B * queries, D, D) + 2 * linear(B * keys, D, D)
        return maps + heads(B, H, queries, keys, D // H)

    def around(rows: int, sublayers: int) -> int:  # their norms and residuals
        return sublayers * (7 * rows * D + 2 * rows + rows * D)

    def feed_forward(rows: int) -> int:
        return linear(rows, F, D) + rows * F + linear(rows, D, F)

    embeddings = 2 * B * (S + T) * D
    encoder = N * (attention(S, S) + feed_forward(B * S) + around(B * S, 2))
    decoder = N * (attention(T, T) + attention(T, S) + feed_forward(B * T) + around(B * T, 3))
    last_norms = 0 if norm == "post" else sum(7 * B * L * D + 2 * B * L for L in (S, T))
    projection = linear(B * T, V, D)
    cross_entropy = 5 * B * T * V + 3 * B * T + 2
    expected = embeddings + encoder + decoder + last_norms + projection + cross_entropy

    model = Transformer(config, rng=0)
    result = loss_of(model, batch)
    assert total(result).forward.flops == expected
    steps = behind(result)
    weights = [x for x in steps if x.op is TABLE["linear"]]
    assert sum(backward(x).flops for x in weights) == sum(  # two products each, one bias to sum
        2 * forward(x).flops - x.size for x in weights
    )


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((6, 2, 3), (6, 3, 4)), ((2, 6, 2, 3), (2, 6, 3, 4))],
)
def test_products_count_as_pytorch_counts_them(shapes: tuple[Any, Any]) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    a, b = (torch.ones(shape, requires_grad=True) for shape in shapes)
    with FlopCounterMode(display=False) as ahead:
        y = a @ b
    with FlopCounterMode(display=False) as back:
        y.sum().backward()
    costs = Meter().costs(array(*shapes[0]) @ array(*shapes[1]))
    assert costs.forward.flops == ahead.get_total_flops()
    assert costs.backward.flops == back.get_total_flops()


def pieces(node: Node) -> list[str]:
    """The texts of a node's costs, without the words before them."""
    return [text.partition(" ")[2] for text in node.cost]


def test_a_node_says_what_it_costs_and_a_leaf_nothing() -> None:
    x = Tensor(np.ones((5, 2)), name="x")
    w = Tensor(np.ones((2, 3)), requires_grad=True, name="w")
    leaf, product = build(x @ w, Look(costs=True)).nodes
    assert (leaf.cost, leaf.heat) == ((), None)
    assert product.cost == ("forward 60 FLOP · 248 B", "backward 60 FLOP · 248 B")
    assert product.heat == 1


def test_without_being_asked_no_node_has_a_cost() -> None:
    assert all(node.cost == () and node.heat is None for node in build(array(2).exp()).nodes)


@pytest.mark.parametrize("what", ["attention", "encoder-layer", "transformer"])
def test_a_folded_module_costs_the_sum_of_its_ops(what: str) -> None:
    result = EXAMPLES[what][0]()
    costs = total(result)
    said = f"in all: forward {costs.forward}, backward {costs.backward}; "
    for depth in (0, 1, 2, 9):
        assert said in build(result, Look(depth=depth, costs=True)).note
    (folded,) = [node for node in build(result, Look(depth=0, costs=True)).nodes if node.size]
    module = [step for step in behind(result) if step.scope is not None]
    inside = sum((Meter().costs(step) for step in module), Costs())
    assert pieces(folded) == [str(inside.forward), str(inside.backward)]


def test_the_ops_of_a_definition_take_what_the_fused_op_takes() -> None:
    def flops(picture: Graph) -> str:
        return re.findall(r"in all: forward (\S+ \S+)", picture.note)[0]

    result = EXAMPLES["attention"][0]()
    assert flops(build(result, Look(costs=True))) == flops(
        build(result, Look("definition", costs=True))
    )


def test_layers_drawn_once_say_what_they_cost_together() -> None:
    result = EXAMPLES["transformer"][0]()
    once, all_of_them = (build(result, Look(zoom, costs=True)) for zoom in ("module", "op"))
    assert once.note == all_of_them.note
    norms = [node for node in once.nodes if node.label == "self_attention_norm"]
    assert all(node.times == 2 and "FLOP" in node.cost[0] for node in norms)
    first, *_ = [node for node in all_of_them.nodes if node.label == "self_attention_norm"]
    B, S, D = first.shape or ()
    assert norms[0].cost[0].startswith(f"forward {Cost(2 * (7 * B * S * D + 2 * B * S))} · ")
    assert norms[0].cost[0].endswith(" for all 2")
    assert not first.cost[0].endswith(" for all 1")


def test_where_every_node_is_a_single_number_only_the_total_is_told() -> None:
    picture = build(array(1, 2) @ array(2, 1), Look("scalar", costs=True))
    assert all(node.cost == () for node in picture.nodes)
    assert "in all: forward 4 FLOP" in picture.note


def test_heat_is_the_root_of_the_share_of_the_dearest_node() -> None:
    x = array(4)
    nodes = build((x * 2.0).exp().sum(), Look(costs=True)).nodes[1:]
    both = {"multiply": 4 + 4, "exp": 4 + 4, "sum": 4 + 0}
    assert [node.heat for node in nodes] == [
        pytest.approx((both[node.label] / 8) ** 0.5) for node in nodes
    ]


def test_a_freed_graph_tells_no_costs() -> None:
    y = (array(3) * 2.0).sum()
    y.backward()
    picture = build(y, Look(costs=True))
    assert all(node.cost == () for node in picture.nodes)
    assert "FLOP" not in picture.note


def test_what_is_left_out_is_in_the_total() -> None:
    x = array(10)
    for _ in range(9):
        x = x * 2.0
    picture = build(x, Look(limit=3, costs=True))
    assert "in all: forward 90 FLOP" in picture.note
    assert "older ops left out; in all" in picture.note


def test_a_fused_op_writes_gradients_only_where_they_are_needed() -> None:
    w, b = (Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    needed, unneeded = (
        Meter().backward(mg.layer_norm(Tensor(np.ones((2, 3)), requires_grad=asked), w, b)).bytes
        for asked in (True, False)
    )
    assert needed - unneeded == 2 * 3 * 8


def test_a_copy_costs_what_a_view_of_the_same_shape_does_not() -> None:
    x, turned = (Tensor(a, requires_grad=True) for a in (np.ones((2, 3)), np.ones((3, 2)).T))
    meter = Meter()
    assert [meter.forward(each.reshape(6)).bytes for each in (x, turned)] == [0, 2 * 48]


def test_values_have_no_costs() -> None:
    with pytest.raises(ValueError, match=r"costs, .* are for Tensors, not"):
        build(Value(1.0) + 2, Look(costs=True))


def test_cards_tell_costs_and_their_heads_are_tinted_by_heat() -> None:
    source = graph((array(2, 3) @ array(3, 4)).exp(), costs=True).source
    heads = re.findall(
        r'BGCOLOR="white"><TR><TD BGCOLOR="(#\w+)">.*?<B>.*?>([^<>]+)</FONT>', source
    )
    tints = {label: tint for tint, label in heads}
    assert tints["matmul"] == "#9678CD"
    assert int(tints["exp"][1:3], 16) > 0xC0
    assert ">forward 48 FLOP · 208 B<" in source
    assert 'tooltip="exp · 2×4 float64 · forward 8 FLOP · 128 B · backward 8 FLOP' in source
    assert COLOURS["matmul"][0] in source


def test_pills_and_sums_keep_their_form_and_tell_their_costs_when_pointed_at() -> None:
    x = array(2, 3)
    source = graph(x.exp() + x.exp(), costs=True).source
    assert "shape=circle" in source
    assert 'tooltip="add · 2×3 float64 · forward 6 FLOP · 144 B · backward free"' in source
    nodes = (Node("add", "sum", "elementwise", heat=0.0, id="n0"),)
    assert 'fillcolor="#FFFFFF"' in digraph(Graph(nodes, ())).source


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (84_060, "84.1 kB"), (999_499, "999 kB"),
     (999_500, "1 MB"), (2_100_000, "2.1 MB"), (5 * 10**9, "5 GB"), (7 * 10**15, "7e+03 TB")],
)  # fmt: skip
def test_amounts_have_three_digits_and_a_unit(n: int, text: str) -> None:
    assert in_units(n, "B") == text


def test_six_layers_of_one_kind_are_worked_out_as_one() -> None:
    def ops_run(layers: int) -> int:
        config = TransformerConfig(
            14, 14, d_model=8, num_heads=2, d_ff=16, dropout=0.0, max_length=8,
            num_encoder_layers=layers, num_decoder_layers=layers,
        )  # fmt: skip
        batch = TASKS["reverse"]().load(seed=0).form.batch([([5, 6, 7], [7, 6, 5])])
        result = loss_of(Transformer(config, rng=0), batch)
        before = Tensor(0.0).order
        build(result, Look(costs=True))
        return Tensor(0.0).order - before

    assert ops_run(6) == ops_run(2)
