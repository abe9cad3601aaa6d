"""A gradient is that of the numbers which the ops saw, or a RuntimeError says what changed them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, changes, hvp, nn, optim
from minigrad.backward import propagate
from minigrad.check.rows import flatten, nest
from minigrad.op import Example, Op

Array = np.ndarray[Any, Any]

every_example = pytest.mark.parametrize(
    ("op", "example"),
    [
        pytest.param(op, example, id=f"{op.name}-{i}")
        for op in TABLE.values()
        for i, example in enumerate(op.examples)
    ],
)


def leaf(data: Any = (1.0, 2.0), **options: Any) -> Tensor:
    return Tensor(data, requires_grad=True, **options)


def refusal(loss: Tensor) -> str:
    """What the backward pass says, in one line."""
    with pytest.raises(RuntimeError, match=r"^backward: ") as error:
        loss.backward()
    assert "\n" not in str(error.value)
    return str(error.value)


def parts(y: Any) -> Iterator[Any]:
    """A result, or the results of an op that gives several."""
    if isinstance(y, tuple | list):
        for part in y:
            yield from parts(part)
    else:
        yield y


class Call:
    """A row of the table called on tensors of its example, and the gradients of its inputs."""

    def __init__(self, op: Op, example: Example) -> None:
        inputs = example.draw(np.random.default_rng(0))
        flat = [
            leaf(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
            for x in flatten(inputs)
        ]
        self.leaves = [x for x in flat if isinstance(x, Tensor)]
        y = op(*nest(inputs, iter(flat)), **example.params)
        self.results = [x for x in parts(y) if isinstance(x, Tensor) and x.requires_grad]

    def loss(self, create_graph: bool) -> tuple[Tensor, Any]:
        """What to go back from, and with what incoming gradient: in the second order, from the
        gradients of the first."""
        rng = np.random.default_rng(1)
        y = np.concatenate([y.ravel() for y in self.results])
        if not create_graph:
            return y, rng.standard_normal(y.shape)
        g = Tensor(rng.standard_normal(y.shape))
        sent = [gx.ravel() for _, gx in propagate(y, g, self.leaves, create_graph=True)]
        slopes = np.concatenate(sent)
        return slopes, rng.standard_normal(slopes.shape)

    def gradients(self, loss: Tensor, g: Any) -> list[Array]:
        """The gradient of each leaf, zeros where none arrives."""
        found = {x.order: gx for x, gx in propagate(loss, g, self.leaves)} if loss.op else {}
        return [found.get(x.order, np.zeros(x.shape)) for x in self.leaves]


def equal(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def replace(x: Tensor, new: Array) -> None:
    x.data = new


def write(x: Tensor, new: Array) -> None:
    x.data *= 0
    x.data += new


def replace_unseen(x: Tensor, new: Array) -> None:
    x._data = new


def write_unseen(x: Tensor, new: Array) -> None:
    x._data[...] = new


CHANGES = {
    "replaced": (replace, replace_unseen),
    "written": (write, write_unseen),
}
"""Ways to change a tensor's numbers, each with one that the engine cannot see."""


@pytest.mark.parametrize("order", [1, 2])
@every_example
def test_no_change_of_any_input_or_result_gives_the_gradient_of_other_numbers(
    op: Op, example: Example, order: int
) -> None:
    def outcome(
        i: int, alter: Callable[[Tensor, Array], None], factor: float, more: float = 0.0
    ) -> list[Array] | None:
        """The gradients after tensor `i`, a leaf or a result, has been multiplied and added to."""
        call = Call(op, example)
        loss, g = call.loss(create_graph=order == 2)
        x = [*call.leaves, *call.results][i]
        alter(x, x.data * factor + more)
        try:
            return call.gradients(loss, g)
        except RuntimeError as error:
            assert "had used it; call backward() before that" in str(error)
            return None
        except np.linalg.LinAlgError:  # numbers that a rule refuses are numbers that it looks at
            return None

    call = Call(op, example)
    right = call.gradients(*call.loss(create_graph=order == 2))
    for i, x in enumerate([*call.leaves, *call.results]):
        for kind, (alter, unseen) in CHANGES.items():
            if kind != "replaced" and not x.data.flags.writeable:
                continue
            found = outcome(i, alter, 1.5)
            if found is not None:
                assert equal(found, right), (kind, i)
                continue
            with np.errstate(all="ignore"):
                others = ((np.nan, 0), (-1.5, 0), (0, 0), (1, 1))
                wrong = (outcome(i, unseen, *numbers) for numbers in others)
                assert any(x is None or not equal(x, right) for x in wrong), (kind, i)


OPTIMIZERS: dict[str, Callable[[list[Tensor]], optim.Optimizer]] = {
    "SGD": lambda parameters: optim.SGD(parameters, 0.25),
    "SGD with momentum": lambda parameters: optim.SGD(parameters, 0.25, momentum=0.9),
    "Adam": optim.Adam,
    "AdamW": optim.AdamW,
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_step_between_two_backward_passes_is_named(
    make: Callable[[list[Tensor]], optim.Optimizer],
) -> None:
    p = leaf([1.0, 1.0], name="p")
    optimizer = make([p])
    first, second, unaffected = (p * p).sum(), (p**3).sum(), (p + 1).sum()
    first.backward()
    optimizer.step()
    optimizer.zero_grad()
    assert refusal(second) == (
        f"backward: p was changed by {type(optimizer).__name__}.step() after power had used it; "
        "call backward() before that, or compute the loss again"
    )
    assert p.grad is None
    unaffected.backward()
    (p * 3).sum().backward()  # computed anew
    assert p.grad is not None
    assert p.grad.tolist() == [4.0, 4.0]


def test_every_way_to_change_a_module_is_named() -> None:
    def loss() -> Tensor:
        return (np.tanh(model(np.ones((1, 2)))) * model.weight).sum()

    model = nn.Linear(2, 2, rng=0)
    state = model.state_dict()
    for change, name in [
        (lambda: model.load_state_dict(state), "load_state_dict()"),
        (lambda: model.astype(np.float64), "Module.astype()"),
        (lambda: setattr(model.weight, "data", np.ones((2, 2))), "an assignment to its data"),
    ]:
        before = loss()
        change()
        assert f"was changed by {name} after " in refusal(before)


@pytest.mark.parametrize(
    "use",
    {
        "an alias": lambda p, q: p.detach() * q,
        "its array": lambda p, q: p.data * q,
        "a view": lambda p, q: p[:1] * p[1:],
        "a view of a view": lambda p, q: p.reshape(2, 1).T[0] ** 2,
    }.items(),
    ids=lambda use: use[0],
)
@pytest.mark.parametrize("by_step", [False, True])
def test_memory_that_an_array_shares_with_what_changed_is_seen(use: Any, by_step: bool) -> None:
    p, q = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    optimizer = optim.SGD([p, leaf([5.0])])
    p.grad = np.ones(2)
    loss = use[1](p, q).sum()
    if by_step:
        optimizer.step()
    else:
        p.data *= 2
    refusal(loss)


def test_what_lies_beside_changed_memory_is_not_taken_for_it() -> None:
    p, q = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    optim.SGD([p, q])  # side by side in one array
    loss = (q * q).sum()
    p.data *= 2
    loss.backward()
    assert q.grad is not None
    assert q.grad.tolist() == [6.0, 8.0]


def test_another_shape_is_refused_even_where_no_number_is_needed() -> None:
    p = leaf([1.0])
    loss = (p + np.ones((4, 3))).sum()
    p.data = np.zeros(3)
    p.data = np.ones(3)
    refusal(loss)


def test_a_second_pass_over_a_retained_graph_is_watched_too() -> None:
    p = leaf()
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    p.data = p.data - 0.1 * p.grad
    refusal(loss)


def test_a_recorded_pass_goes_through_the_definition_and_asks_what_that_needs() -> None:
    x, weight, bias = leaf([[1.0, 2.0, 4.0]]), leaf(np.ones(3)), leaf(np.zeros(3))
    y = mg.layer_norm(x, weight, bias)
    x.data *= 2  # the kernel saved what its rule needs
    [*propagate(y, np.ones((1, 3)))]
    with pytest.raises(RuntimeError, match=r"input x was changed"):
        propagate(y, Tensor(np.ones((1, 3))), create_graph=True)


def test_changes_before_the_forward_pass_and_in_transforms_are_no_fault() -> None:
    p = leaf()
    p.data *= 3
    (p * p).sum().backward()
    assert p.grad is not None
    assert p.grad.tolist() == [6.0, 12.0]
    p.data *= 2
    assert hvp(lambda x: (x**3 * p).sum(), np.ones(2), np.ones(2)).tolist() == [36.0, 72.0]


def test_the_books_hold_nothing_of_dead_arrays_and_do_not_grow() -> None:
    gc.collect()
    before = dict(changes.places)
    model = nn.Sequential(nn.Linear(3, 4), mg.relu, nn.Linear(4, 1))
    state, optimizer = model.state_dict(), optim.Adam(model.parameters())
    for _ in range(3):
        model(np.ones((2, 3), np.float32)).sum().backward()
        optimizer.step()
        model.load_state_dict(state)
        for p in model.parameters():
            p.data *= 0.9
            p.data = p.data
    assert len(changes.places) - len(before) == 1 + len(model.parameters())
    del model, optimizer, p
    assert changes.places == before


LIKE_TORCH: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda m, a, b: a + b,
    "subtract": lambda m, a, b: a - b,
    "multiply": lambda m, a, b: a * b,
    "divide": lambda m, a, b: a / b,
    "square": lambda m, a, b: a**2 + b,
    "matmul": lambda m, a, b: a @ b,
    "exp": lambda m, a, b: m.exp(a) + b,
    "log": lambda m, a, b: m.log(a) + b,
    "sqrt": lambda m, a, b: m.sqrt(a) + b,
    "sin": lambda m, a, b: m.sin(a) + b,
    "tanh": lambda m, a, b: m.tanh(a) + b,
    "abs": lambda m, a, b: m.abs(a) + b,
    "sum": lambda m, a, b: a.sum() + b,
    "mean": lambda m, a, b: a.mean() + b,
    "reshape": lambda m, a, b: a.reshape(4) + b.reshape(4),
    "transpose": lambda m, a, b: a.T + b,
    "index": lambda m, a, b: a[0] + b,
    "concatenate": lambda m, a, b: m.concatenate([a, b]),
    "where": lambda m, a, b: m.where(m.ones_like(a) > 0, a, b),
    "twice": lambda m, a, b: m.exp(m.sin(a) * b),
    "constant": lambda m, a, b: a * 3.0 + b / 2.0,
}


@pytest.mark.parametrize("name", LIKE_TORCH)
def test_what_torch_refuses_after_a_change_in_place_is_refused_and_nothing_else(name: str) -> None:
    torch = pytest.importorskip("torch")
    f, values = LIKE_TORCH[name], np.array([[0.5, 1.5], [2.0, 0.7]])
    for i in range(2):
        theirs = [torch.tensor(values, requires_grad=True) for _ in range(2)]
        ours = [leaf(values) for _ in range(2)]
        losses = f(torch, *theirs).sum(), f(np, *ours).sum()
        with torch.no_grad():
            theirs[i].mul_(2)
        ours[i].data *= 2
        refused = []
        for loss in losses:
            try:
                loss.backward()
            except RuntimeError:
                refused.append(loss)
        if refused == [losses[0]]:  # the rule of ÷ for b finds all that it needs in its result
            assert (name, i) == ("divide", 0)
            continue
        assert refused in ([], [*losses])
        for x, t in zip(ours, theirs, strict=True):
            assert refused or np.allclose(x.grad, t.grad)


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_two_players_with_two_optimizers_work_wherever_torch_s_do(
    detached: bool, late: bool
) -> None:
    torch = pytest.importorskip("torch")

    def played(m: Any, g: Any, d: Any, sgd: Callable[[Any], Any]) -> str:
        """A generator g and a discriminator d, each with a loss and a step of its own."""
        steps = sgd([g]), sgd([d])
        made = m.tanh(g * 2.0)
        loss_d = ((made.detach() if detached else made) * d).sum() ** 2
        loss_g = (made * d).sum() ** 2
        try:
            if detached:
                loss_d.backward()
            else:
                loss_d.backward(retain_graph=True)
            if late:
                steps[1].step()
            loss_g.backward()
        except RuntimeError:
            return "refused"
        return str(g.grad.tolist()) + str(d.grad.tolist())

    values = np.array([0.3, 0.4]), np.array([0.5, 0.6])
    ours = played(np, *map(leaf, values), optim.SGD)
    tensors = [torch.tensor(x, requires_grad=True) for x in values]
    theirs = played(torch, *tensors, lambda p: torch.optim.SGD(p, 0.01))
    assert (ours == "refused") == (theirs == "refused") == late
    assert detached or ours == "refused" or ours.count("[") == 2
