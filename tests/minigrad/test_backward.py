"""What `backward` promises: exact sums, gradients of one's own, any depth, nothing left behind."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import Tensor, no_grad
from minigrad.backward import propagate, sum_to
from minigrad.transforms import grad, hessian, jvp

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def leaf(data: Any = X, dtype: Any = np.float64) -> Tensor:
    return Tensor(data, dtype=dtype, requires_grad=True)


@pytest.fixture
def without_collector() -> Iterator[None]:
    """The cyclic garbage collector is off: only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def live_tensors() -> int:
    return sum(type(x) is Tensor for x in gc.get_objects())


def test_gradients_accumulate_until_they_are_zeroed() -> None:
    t = leaf()
    for times in (1, 2, 3):
        (t * 2).sum().backward()
        np.testing.assert_array_equal(t.grad, np.full((2, 3), 2.0 * times))
    t.zero_grad()
    assert t.grad is None
    t.sum().backward()
    np.testing.assert_array_equal(t.grad, np.ones((2, 3)))


def test_a_tensor_that_is_used_more_than_once_gets_the_sum() -> None:
    t = leaf(3.0)
    (t * t + t).backward()
    assert t.grad == 7.0


def test_a_diamond_is_walked_once_per_node() -> None:
    t = leaf(1.0)
    y = t
    for _ in range(60):  # 2**60 paths
        y = y + y
    y.backward()
    assert t.grad == 2.0**60


def test_a_leaf_can_be_the_root() -> None:
    t = leaf(5.0)
    t.backward()
    t.backward()
    assert t.grad == 2.0
    assert type(t.grad) is np.ndarray
    t = leaf()
    incoming = np.ones((2, 3))
    t.backward(incoming)
    incoming *= 0
    np.testing.assert_array_equal(t.grad, np.ones((2, 3)))


@pytest.mark.parametrize("incoming", [X, X.tolist(), Tensor(X), leaf(X), X.astype(np.float32)])
def test_backward_takes_the_incoming_gradient(incoming: Any) -> None:
    t = leaf()
    (t * 2).backward(incoming)
    np.testing.assert_array_equal(t.grad, 2 * X)
    assert t.grad.dtype == np.float64


def test_backward_of_many_elements_needs_an_incoming_gradient_of_their_shape() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\); reduce it to one element or pass"):
        (leaf() * 2).backward()
    with pytest.raises(ValueError, match=r"gradient of shape \(3,\) for a tensor of \(2, 3\)"):
        (leaf() * 2).backward(np.ones(3))
    leaf([[4.0]]).exp().backward()


def test_backward_without_a_graph_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        Tensor(1.0).backward()
    with no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"no_grad\(\)"):
        y.backward()


def test_the_graph_is_freed_as_it_is_used() -> None:
    t = leaf()
    y = (t * 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"this sum has been freed.*retain_graph=True"):
        y.backward()
    np.testing.assert_array_equal(t.grad, np.full((2, 3), 2.0))


def test_retain_graph_allows_another_pass() -> None:
    t = leaf()
    y = mg.softmax(t * 2)[:, 0].sum()
    y.backward(retain_graph=True)
    once = t.grad.copy()
    y.backward()
    np.testing.assert_array_equal(t.grad, 2 * once)


def test_a_part_that_another_root_has_freed_is_an_error_and_changes_nothing() -> None:
    t, other = leaf(), leaf()
    shared = t * 2
    first, second = shared.sum(), (shared * other).sum()
    first.backward()
    before = t.grad.copy()
    with pytest.raises(RuntimeError, match="this multiply has been freed"):
        second.backward()
    np.testing.assert_array_equal(t.grad, before)
    assert other.grad is None


def test_several_roots_can_share_a_retained_part() -> None:
    t = leaf()
    shared = t * 2
    shared.sum().backward(retain_graph=True)
    (shared * 3).sum().backward()
    np.testing.assert_array_equal(t.grad, np.full((2, 3), 8.0))


def test_intermediate_results_keep_no_gradient_unless_asked() -> None:
    t = leaf()
    middle = t * 2
    kept = (middle + 1).retain_grad()
    (kept * 3).sum().backward()
    assert middle.grad is None
    np.testing.assert_array_equal(kept.grad, np.full((2, 3), 3.0))
    with pytest.raises(ValueError, match="retain_grad: this tensor does not require a gradient"):
        Tensor(1.0).retain_grad()


def test_a_retained_gradient_is_its_own_too() -> None:
    t = leaf()
    first = (t + 1).retain_grad()
    second = (first + 1).retain_grad()
    root = (second + 1).retain_grad()
    root.backward(np.ones((2, 3)))
    first.grad *= 10
    root.grad *= 100
    np.testing.assert_array_equal(t.grad, np.ones((2, 3)))
    np.testing.assert_array_equal(second.grad, np.ones((2, 3)))


PASSED_ON: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "add to itself": lambda a, b: a + b + a,
    "positive": lambda a, b: (+a) + (+b),
    "reshape": lambda a, b: a.reshape(-1) + b.reshape(-1),
    "transpose": lambda a, b: a.T + b.T,
    "concatenate": lambda a, b: np.concatenate([a, b]),
    "stack": lambda a, b: np.stack([a, b]),
    "broadcast": lambda a, b: np.broadcast_to(a, (4, 2, 3)) + b,
    "broadcast to itself": lambda a, b: np.broadcast_to(a, (2, 3)) + np.broadcast_to(b, (2, 3)),
    "sum": lambda a, b: a.sum() + b.sum(),
    "mean": lambda a, b: a.mean(0) + b.mean(0),
    "expand": lambda a, b: np.expand_dims(a, 0) + np.expand_dims(b, 0),
    "squeeze": lambda a, b: a[None].squeeze() + b[None].squeeze(),
    "flip": lambda a, b: np.flip(a) + np.flip(b),
    "pad": lambda a, b: np.pad(a, 1) + np.pad(b, 1),
    "split": lambda a, b: np.split(a + b, 2)[0],
    "getitem": lambda a, b: a[:] + b[...],
    "astype": lambda a, b: a.astype(np.float64) + b.astype(np.float64),
    "where": lambda a, b: np.where(np.ones((2, 3), bool), a, b),
    "clip": lambda a, b: np.clip(a, -9, 9) + np.clip(b, None, None),
    "one op, twice the same input": lambda a, b: mg.scaled_dot_product_attention(a, a, b),
    "root": lambda a, b: a,
}


@pytest.mark.parametrize("name", PASSED_ON)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_leafs_gradient_belongs_to_it_alone(name: str, dtype: Any) -> None:
    a, b = leaf(dtype=dtype), leaf(dtype=dtype)
    y = PASSED_ON[name](a, b)
    incoming = np.ones(y.shape, y.dtype)
    y.backward(incoming, retain_graph=True)
    for t in (a, b):
        if t.grad is None:
            continue
        assert type(t.grad) is np.ndarray
        assert t.grad.dtype == dtype
        assert t.grad.shape == t.shape
        assert t.grad.flags.writeable
        assert not np.shares_memory(t.grad, t.data)
        assert not np.shares_memory(t.grad, incoming)
        assert not np.shares_memory(t.grad, y.data)
    if b.grad is not None:
        before = b.grad.copy()
        a.grad *= 1000
        np.testing.assert_array_equal(b.grad, before)
    twice = a.grad.copy()
    y.backward(incoming)
    assert twice is not a.grad


def test_a_number_has_an_array_for_a_gradient() -> None:
    t = leaf(2.0)
    (t**3).backward()
    assert type(t.grad) is np.ndarray
    assert t.grad.shape == ()
    t.grad *= 2
    assert t.grad == 24.0


def test_a_leaf_that_no_longer_asks_gets_nothing() -> None:
    t, frozen = leaf(), leaf()
    y = (t * frozen).sum()
    frozen.requires_grad = False
    y.backward()
    assert frozen.grad is None
    np.testing.assert_array_equal(t.grad, X)


def test_a_pass_can_stop_at_results_and_changes_no_grad() -> None:
    t = leaf()
    middle = t * 2
    y = (middle * middle).sum()
    found = propagate(y, np.ones(()), stop=[middle])
    assert [tensor for tensor, _ in found] == [middle]
    np.testing.assert_array_equal(found[0][1], 4 * X)
    assert t.grad is None


def test_what_is_older_than_all_that_is_asked_for_is_left_alone() -> None:
    old = leaf(2.0)
    freed = old * 3
    freed.backward()  # its graph is gone, and is not needed
    t = leaf(5.0)
    ((_, g),) = propagate(t * freed, np.ones(()), stop=[t])
    assert g == 6.0


@given(
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0),
    seed=st.integers(0, 99),
)
def test_broadcasting_is_undone_by_summing_the_copies(
    shapes: hnp.BroadcastableShapes, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (leaf(rng.standard_normal(shape)) for shape in shapes.input_shapes)
    g = rng.standard_normal(shapes.result_shape)
    (a * b).backward(g)
    for t, other in ((a, b), (b, a)):
        assert t.grad.shape == t.shape
        # <g, d·other> = <grad, d> for every direction d: that is what the gradient is
        direction = rng.standard_normal(t.shape)
        np.testing.assert_allclose(
            np.sum(t.grad * direction), np.sum(g * (direction * other.data)), rtol=1e-9, atol=1e-9
        )
        np.testing.assert_allclose(sum_to(g * other.data, t.shape), t.grad, rtol=1e-12, atol=1e-12)


def small_net(rng: np.random.Generator) -> dict[str, Tensor]:
    shapes = {"w1": (8, 4), "b1": (8,), "w2": (3, 8), "b2": (3,), "scale": (4,), "shift": (4,)}
    return {
        name: leaf(rng.standard_normal(shape) * 0.3, np.float32) for name, shape in shapes.items()
    }


def loss_of(p: dict[str, Tensor], x: Any, target: Any) -> Tensor:
    hidden = mg.linear(mg.layer_norm(x, p["scale"], p["shift"]), p["w1"], p["b1"])
    mixed = mg.scaled_dot_product_attention(hidden, hidden, hidden)
    logits = mg.linear(mg.dropout(np.maximum(mixed, 0), 0.1, rng=0), p["w2"], p["b2"])
    loss: Tensor = mg.cross_entropy(logits, target)
    return loss


def test_a_thousand_training_steps_leave_nothing_behind(without_collector: None) -> None:
    rng = np.random.default_rng(0)
    p = small_net(rng)
    x, target = rng.standard_normal((5, 4)).astype(np.float32), np.arange(5) % 3
    before, first = live_tensors(), None
    for _ in range(1000):
        loss = loss_of(p, x, target)
        loss.backward()
        first = first or loss.item()
        for t in p.values():
            t.data -= 0.1 * t.grad
            t.zero_grad()
    assert loss.item() < first / 2
    del loss, t
    assert live_tensors() == before


def test_graphs_errors_and_transforms_leave_no_cycles(without_collector: None) -> None:
    rng = np.random.default_rng(0)
    p = small_net(rng)
    x, target = rng.standard_normal((5, 4)).astype(np.float32), np.arange(5) % 3
    before = live_tensors()
    for _ in range(3):
        loss_of(p, x, target)  # never walked back
        np.split(p["w1"] * 2, 4)
        with pytest.raises(ValueError, match="matmul"):
            p["w1"] @ p["w1"]
        hessian(lambda b: loss_of({**p, "b2": b}, x, target))(p["b2"].data)
        jvp(lambda b: np.exp(b), [p["b2"]], [np.ones(3)])
        grad(lambda b: (b * b).sum())(p["b2"])
    assert live_tensors() == before


def test_backward_lets_go_of_what_it_has_used() -> None:
    for retain in (False, True):
        t = leaf()
        middle = t * 2
        alive = weakref.ref(middle)
        y = middle.sum()
        del middle
        y.backward(retain_graph=retain)
        gone = alive() is None
        assert gone is not retain


def test_a_million_operations_deep(without_collector: None) -> None:
    t = leaf([1.0, 2.0])
    y = t
    for _ in range(1_000_000):
        y = y + t
    np.testing.assert_array_equal(y.data, [1_000_001.0, 2_000_002.0])
    y.sum().backward(retain_graph=True)
    np.testing.assert_array_equal(t.grad, [1_000_001.0, 1_000_001.0])
    alive = weakref.ref(y.inputs[0])
    del y  # a million nodes, each the last to hold the next one
    assert alive() is None


def test_a_hundred_thousand_operations_are_freed_on_the_way() -> None:
    t = leaf([1.0, 2.0])
    y = t
    for _ in range(100_000):
        y = y * 1.0
    y.sum().backward()
    np.testing.assert_array_equal(t.grad, [1.0, 1.0])
    assert y.inputs == ()


def test_the_same_graph_gives_the_same_bits() -> None:
    def gradients() -> list[Any]:
        rng = np.random.default_rng(1)
        p = small_net(rng)
        loss_of(p, rng.standard_normal((5, 4)).astype(np.float32), np.arange(5) % 3).backward()
        return [t.grad for t in p.values()]

    for first, second in zip(gradients(), gradients(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_threads_work_side_by_side() -> None:
    results: dict[int, Any] = {}

    def work(n: int) -> None:
        t = leaf(float(n))
        y = t
        for _ in range(200):
            y = y + t
        y.backward()
        results[n] = t.grad.item()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), 201.0)
