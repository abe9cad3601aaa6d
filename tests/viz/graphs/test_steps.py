"""The recorded steps: what each rule sends adds up to the gradients, in the engine's own order."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Tensor, Value
from minigrad.backward import propagate, seed
from minigrad.mode import Watcher, watching
from minigrad.nn import Module, ModuleList, parameter
from viz.graphs.look import READABLE
from viz.graphs.steps import Items, Passing, Sent, View, ends, items_behind, views, walk
from viz.subject.examples import EXAMPLES

OPS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "tanh": lambda a, b: np.tanh(a),
    "square": lambda a, b: a * a,
    "mean": lambda a, b: a.mean(),
    "bend": lambda a, b: np.maximum(a, 0.5 * b),
}


@st.composite
def graphs(draw: Any) -> Tensor:
    """A random graph over a few ops, broadcasting ones among them, with some inputs constant."""
    shapes = [(2, 3), (3,), (2, 1), ()]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    pool = [
        Tensor(rng.normal(size=shape), requires_grad=i == 0 or draw(st.booleans()))
        for i, shape in enumerate(shapes)
    ]
    result = pool[0]
    for _ in range(draw(st.integers(1, 12))):
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        pool.append(OPS[draw(st.sampled_from(sorted(OPS)))](a, b))
        result = result + pool[-1]
    return result.sum()


def received(items: Items) -> dict[int, list[Sent]]:
    """What comes to each Item on the way back, by order."""
    found: dict[int, list[Sent]] = {order: [] for order in items}
    walk(items, lambda sent: found[sent.target].append(sent))
    return found


def behind(result: Tensor) -> dict[int, Tensor]:
    """Every Tensor behind a result, by order."""
    found: dict[int, Tensor] = {}
    waiting = [result]
    while waiting:
        x = waiting.pop()
        if x.order not in found:
            found[x.order] = x
            waiting += [a for a in x.inputs if isinstance(a, Tensor)]
    return found


@given(graphs())
def test_contributions_add_up_to_what_backward_gives(result: Tensor) -> None:
    items = items_behind(result)
    tensors = behind(result)
    assert items.keys() == tensors.keys()
    found = received(items)
    assert all(x.grad is None for x in tensors.values())
    for x in tensors.values():
        if x.op is not None:
            x.retain_grad()
    result.backward(retain_graph=True)
    for order, item in items.items():
        grad = tensors[order].grad
        assert item.tracked == (grad is not None)
        assert [sent.source for sent in found[order]] == (item.users[::-1] if item.tracked else [])
        if grad is not None and found[order]:
            np.testing.assert_array_equal(found[order][-1].total, grad)
            summed = [sent.summed for sent in found[order]]
            np.testing.assert_allclose(sum(summed[1:], summed[0]), grad, rtol=1e-12, atol=1e-12)


@given(graphs())
def test_each_use_of_a_tensor_sends_one_contribution_by_its_own_place(result: Tensor) -> None:
    uses = Counter(
        (step.order, place, x.order)
        for step in behind(result).values()
        for place, x in enumerate(step.inputs)
        if isinstance(x, Tensor) and x.requires_grad
    )
    sent = [sent for coming in received(items_behind(result)).values() for sent in coming]
    assert Counter((x.source, x.place, x.target) for x in sent) == uses


@given(graphs())
def test_the_backward_steps_come_in_the_order_of_the_engine(result: Tensor) -> None:
    visited = []

    class Visits(Watcher):
        def arrived(self, node: Tensor, g: Any) -> None:
            visited.append(node.order)

    with watching(Visits()):
        propagate(result, seed(result))
    items = items_behind(result)
    [whole] = views(items, "whole")
    assert [x for unit in whole.backward for x in unit.ops] == visited
    assert [x for unit in whole.forward for x in unit.ops] == visited[::-1]
    now = {unit.members[0]: i for i, unit in enumerate(whole.backward)}
    for order, coming in received(items).items():  # all that comes is sent before its own step
        assert all(now[sent.source] < now[order] for sent in coming)


def test_axes_say_where_broadcasting_was_undone() -> None:
    x = Tensor(np.ones((2, 1, 3)), requires_grad=True)
    items = items_behind((x * np.ones((4, 2, 5, 3))).sum())
    [sent] = received(items)[x.order]
    assert (sent.ruled.shape, sent.summed.shape, sent.axes) == ((4, 2, 5, 3), (2, 1, 3), (0, 2))
    np.testing.assert_array_equal(sent.ruled.sum((0, 2), keepdims=True)[0], sent.summed)


def test_a_result_of_several_elements_starts_from_ones() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * x
    found = received(items_behind(y))
    assert found[y.order] == []
    np.testing.assert_array_equal([sent.total for sent in found[x.order]], [[1, 2], [2, 4]])


def test_values_are_recorded_as_their_backward_computes_them() -> None:
    a, b = Value(2.0), Value(-3.0)
    c = a * b + a**2
    d = (c * a).tanh() + c / b - a
    items = items_behind(d, names={"a": a, "b": b})
    found = received(items)
    assert all(item.origin.grad == 0 for item in items.values())
    d.backward()
    for order, item in items.items():
        assert item.tracked
        assert [sent.total for sent in found[order]][-1:] == [item.origin.grad] or item.origin is d
    assert items[a._place].name == "a"
    assert [sent.place for sent in found[a._place]] == [1, 1, 0, 0]


def test_a_gradient_of_nan_or_infinity_is_recorded_without_a_warning() -> None:
    x = Tensor([0.0, np.nan, 1.0], requires_grad=True)
    with np.errstate(all="ignore"):
        y = np.log(x) * x
    gradient = received(items_behind(y))[x.order][-1].total
    np.testing.assert_array_equal(np.isnan(gradient), [True, True, False])


def test_inputs_of_integers_and_constants_receive_nothing() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    chosen = Tensor([1, 0])
    items = items_behind((x * chosen + 3).sum())
    assert not items[chosen.order].tracked
    assert received(items)[chosen.order] == []
    add = next(item for item in items.values() if item.op == "add")
    assert [operand.order is None for operand in add.operands] == [False, True]


@pytest.mark.parametrize("leaf", [Tensor([1.0, 2.0], requires_grad=True), Value(3.0)])
def test_a_leaf_is_its_own_result(leaf: Any) -> None:
    items = items_behind(leaf)
    [item] = items.values()
    assert item.tracked
    assert received(items) == {item.order: []}
    [whole] = views(items, "leaf")
    assert (len(whole.forward), len(whole.backward)) == (0, 1)


@pytest.mark.parametrize(
    ("result", "kind", "words"),
    [
        (3, TypeError, "not int"),
        (Tensor([1.0]), RuntimeError, "does not require a gradient"),
    ],
)
def test_what_has_no_backward_pass_is_refused(result: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        items_behind(result)


def test_a_freed_graph_is_refused_with_what_to_do() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"viz.explain\(loss\) before .*retain_graph=True"):
        items_behind(y)
    (x * x).backward(retain_graph=True)
    z = x * x
    z.backward(retain_graph=True)
    assert len(items_behind(z)) == 2


def test_a_walk_keeps_no_array_for_longer_than_the_engine_does() -> None:
    w = Tensor(np.ones((100, 100)), requires_grad=True)
    y: Any = np.ones((1, 100))
    for _ in range(50):
        y = np.tanh(y @ w)
    items = items_behind(y)
    passing = Passing(items, views(items, "chain"))
    tracemalloc.start()
    walk(items, passing.add)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * w.data.nbytes  # w receives 50 contributions of its own size


def everything_has_its_step(found: list[View], items: Any) -> None:
    """Each op has one step of its own forward and one backward, in the view it is shown in."""
    forward = Counter(
        x for view in found for unit in view.forward if not unit.folded for x in unit.ops
    )
    backward = Counter(
        x for view in found for unit in view.backward if not unit.folded for x in unit.members
    )
    assert forward == Counter(order for order, item in items.items() if item.op)
    assert backward == Counter(x for x, item in items.items() if item.tracked)
    for view in found:
        assert len(view.graph.nodes) <= READABLE
        ids = {node.id for node in view.graph.nodes}
        for unit in [*view.forward, *view.backward]:
            assert set(unit.nodes) <= ids
            assert unit.nodes


@pytest.mark.parametrize("what", EXAMPLES)
def test_every_op_of_the_examples_has_its_steps(what: str) -> None:
    result = EXAMPLES[what][0]()
    items = items_behind(result)
    everything_has_its_step(views(items, what), items)


class Deep(Module):
    """More ops than one picture holds, in blocks that call blocks."""

    def __init__(self, width: int, depth: int) -> None:
        self.parts = ModuleList(Deep(width, depth - 1) for _ in range(width if depth else 0))
        self.scale = parameter([0.9, 1.1])

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.scale
        for part in self.parts:
            y = part(y)
        return np.tanh(y) + x


def deep(width: int = 13) -> Tensor:
    """The result of a single call, with some 550 ops in 183 modules."""
    result: Tensor = Deep(width, 2)(Tensor([1.0, -2.0], requires_grad=True, name="x"))
    return result


def test_a_large_model_is_folded_and_each_module_has_its_own_view() -> None:
    items = items_behind(deep())
    found = views(items, "deep")
    everything_has_its_step(found, items)
    folded = [unit for unit in found[0].forward if unit.folded]
    assert [unit.label for unit in folded] == [f"Deep.parts.{i}" for i in range(13)]
    for unit in folded:
        assert unit.view is not None
        inner = found[unit.view]
        assert (inner.title, inner.parent) == (unit.label, 0)
        assert {x for one in inner.forward for x in one.ops} == set(unit.ops)


def test_a_part_ends_in_what_the_rest_uses_and_in_what_nobody_uses() -> None:
    x = Tensor([1.0], requires_grad=True)
    a = x.exp()
    b = a * 2
    c = a + b
    items = items_behind(c)
    assert ends(items, [a.order, b.order]) == [a.order, b.order]  # `c` uses both
    assert ends(items, [b.order, c.order]) == [c.order]
    assert ends(items, [x.order, a.order]) == [a.order]


def test_a_folded_module_passes_on_the_sum_of_what_its_ops_send() -> None:
    items = items_behind(deep())
    found = views(items, "deep")
    passing, sent = Passing(items, found), received(items)
    walk(items, passing.add)
    unit = next(unit for unit in found[0].forward if unit.folded)
    [out] = ends(items, unit.ops)
    assert out == unit.ops[-1]
    assert unit.view is not None
    [(target, (summed, number))] = passing.sums[unit.view].items()
    assert number == 2  # x is scaled, and added again
    np.testing.assert_array_equal(summed, sum(one.summed for one in sent[target][:2]))


@pytest.mark.parametrize("length", [2, 151, 700])
def test_a_long_chain_without_modules_is_cut_into_views(length: int) -> None:
    x = Tensor([0.5], requires_grad=True, name="x")
    y = x
    for _ in range(length):
        y = np.tanh(y) * x
    items = items_behind(y)
    everything_has_its_step(views(items, "chain"), items)


def test_a_large_graph_of_values_is_cut_into_views() -> None:
    a = y = Value(0.5)
    for _ in range(200):
        y = (y * a).tanh()
    items = items_behind(y, names={"a": a})
    found = views(items, "chain", {"a": a})
    everything_has_its_step(found, items)
    assert len(found) > 1


def test_a_network_of_values_is_cut_where_many_results_leave_a_piece() -> None:
    xs = [Value(0.1 * i) for i in range(10)]
    for width in (24, 22):
        xs = [sum((x * Value(0.01 * i) for x in xs), Value(0.1)).tanh() for i in range(width)]
    items = items_behind(sum(xs, Value(0.0)))
    everything_has_its_step(views(items, "network"), items)


def test_what_a_module_uses_from_outside_is_an_input_of_its_view() -> None:
    x = Tensor(np.ones((3, 2)), requires_grad=True, name="x")
    y = Deep(0, 0)(x)
    for _ in range(40):
        y = Deep(0, 0)(np.exp(-y))
    found = views(items_behind(y.sum()), "y")[1:]
    inputs = [
        [node.label for node in view.graph.nodes if node.family in ("input", "parameter")]
        for view in found
    ]
    assert inputs == [["x"], *[["from exp"]] * 40]
