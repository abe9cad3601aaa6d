"""What the optimizers and schedules do, step by step, and beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import cos, pi
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Tensor, nn
from minigrad.optim import (
    PIECE,
    SGD,
    Adam,
    AdamW,
    Optimizer,
    clip_grad_norm,
    warmup_cosine,
    warmup_inverse_sqrt,
)

SHAPES = [(3, 4), (), (PIECE + 1,), (2, 1, 5)]

MakeOptimizer = Callable[[list[Tensor]], Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "SGD": lambda parameters: SGD(parameters, 0.1),
    "SGD with momentum": lambda parameters: SGD(parameters, 0.1, momentum=0.9),
    "Adam": lambda parameters: Adam(parameters, 0.01, betas=(0.8, 0.95), eps=1e-6),
    "AdamW": lambda parameters: AdamW(parameters, 0.01, weight_decay=0.1),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def parameters(seed: int = 0, dtype: Any = np.float64) -> list[Tensor]:
    """A parameter of each shape; together they are more than one piece long."""
    rng = np.random.default_rng(seed)
    return [Tensor(rng.standard_normal(shape), dtype, requires_grad=True) for shape in SHAPES]


def leaf(data: Any) -> Tensor:
    """A parameter of given values."""
    return Tensor(data, requires_grad=True)


def set_gradients(tensors: list[Tensor], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for x in tensors:
        x.grad = np.asarray(rng.standard_normal(x.shape), x.dtype)


def bits(tensors: list[Tensor]) -> list[bytes]:
    return [x.data.tobytes() for x in tensors]


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (OPTIMIZERS["SGD"], ("SGD", {"lr": 0.1})),
        (OPTIMIZERS["SGD with momentum"], ("SGD", {"lr": 0.1, "momentum": 0.9})),
        (OPTIMIZERS["Adam"], ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6})),
        (OPTIMIZERS["AdamW"], ("AdamW", {"lr": 0.01, "weight_decay": 0.1})),
    ],
    ids=OPTIMIZERS.keys(),
)
def test_twenty_steps_are_torch_s(make: MakeOptimizer, theirs: tuple[str, dict[str, Any]]) -> None:
    torch = pytest.importorskip("torch")
    name, options = theirs
    ours = parameters()
    tensors = [torch.tensor(x.data, requires_grad=True) for x in ours]
    optimizer, reference = make(ours), getattr(torch.optim, name)(tensors, **options)
    for step in range(20):
        set_gradients(ours, seed=step)
        for x, t in zip(ours, tensors, strict=True):
            t.grad = torch.tensor(x.grad)
        optimizer.learning_rate = reference.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.step()
        reference.step()
    for x, t in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(x.data, t.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (SGD, ("SGD", {})),
        (partial(SGD, momentum=0.9), ("SGD", {"momentum": 0.9})),
        (Adam, ("Adam", {})),
        (partial(AdamW, weight_decay=0.1), ("AdamW", {"weight_decay": 0.1})),
    ],
)
@pytest.mark.parametrize("scales", [[1, 0.5, 0.25, 0], [0.3, 0.3, 1, 1], [2, 1, 2, 1]], ids=str)
def test_parameters_with_rates_of_their_own_are_torch_s_groups(
    make: Any, theirs: tuple[str, dict[str, Any]], scales: list[float]
) -> None:
    torch = pytest.importorskip("torch")
    name, options = theirs
    ours = parameters()
    tensors = [torch.tensor(x.data, requires_grad=True) for x in ours]
    groups = [{"params": [t]} for t in tensors]
    optimizer = make(ours, scales=scales)
    reference = getattr(torch.optim, name)(groups, lr=1.0, **options)
    for step in range(20):
        set_gradients(ours, seed=step)
        optimizer.learning_rate = 0.1 / (step + 1)
        for x, t, group, scale in zip(ours, tensors, reference.param_groups, scales, strict=True):
            t.grad = torch.tensor(x.grad)
            group["lr"] = scale * optimizer.learning_rate
        optimizer.step()
        reference.step()
    for x, t in zip(ours, tensors, strict=True):
        np.testing.assert_allclose(x.data, t.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_scales_are_one_for_each_parameter_and_at_least_0() -> None:
    a, b = leaf([1.0]), leaf([2.0])
    assert AdamW([a, b, a], scales=[0.5, 1, 0.5]).scales == [0.5, 1]
    assert AdamW([a, b]).scales == [1, 1]
    with pytest.raises(ValueError, match="1 scales for 2 parameters; give one for each"):
        AdamW([a, b], scales=[1])
    with pytest.raises(ValueError, match="each of scales is at least 0 and finite, not -1"):
        AdamW([a, b], scales=[1, -1])


@every_optimizer
def test_an_optimizer_goes_to_the_minimum(make: MakeOptimizer) -> None:
    x = Tensor(np.full(3, 0.1), requires_grad=True)
    optimizer = make([x])
    for _ in range(300):
        optimizer.zero_grad()
        ((x - [0.0, 0.1, 0.2]) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(x.data, [0, 0.1, 0.2], atol=0.02)


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_restored_run_goes_on_with_the_same_bits(make: MakeOptimizer, dtype: Any) -> None:
    ours = parameters(dtype=dtype)
    optimizer = make(ours)
    for step in range(3):
        set_gradients(ours, step)
        optimizer.step()
    state = optimizer.state_dict()
    others = [Tensor(x.data, requires_grad=True) for x in ours]
    restored = make(others)
    restored.load_state_dict(state)
    for step in range(3, 6):
        for tensors, continued in (ours, optimizer), (others, restored):
            set_gradients(tensors, step)
            continued.step()
    assert bits(ours) == bits(others)
    assert {x.dtype for x in ours} == {np.dtype(dtype)}
    assert restored.steps == 6


def test_the_state_is_a_copy() -> None:
    ours = parameters()
    optimizer = Adam(ours)
    state = optimizer.state_dict()
    set_gradients(ours, 0)
    optimizer.step()
    assert state["steps"] == 0
    assert not state["first_moment"].any()
    assert optimizer.state_dict()["first_moment"].any()


@pytest.mark.parametrize(
    "state",
    [
        {"steps": 3},
        {"first_moment": np.zeros(2), "second_moment": np.zeros(2)},
        {"steps": 3, "first_moment": np.zeros(2), "second_moment": np.zeros(1)},
        {"steps": 3, "velocity": np.zeros(2)},
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line(state: dict[str, Any]) -> None:
    optimizer = Adam([Tensor([1.0, 2.0], requires_grad=True)])
    with pytest.raises(ValueError, match=r"^load_state_dict: Adam needs .*, not ") as error:
        optimizer.load_state_dict(state)
    assert "\n" not in str(error.value)
    assert optimizer.steps == 0


def test_momentum_is_not_lost_in_an_optimizer_without() -> None:
    with_momentum = SGD(parameters(), momentum=0.9).state_dict()
    with pytest.raises(ValueError, match="SGD needs"):
        SGD(parameters()).load_state_dict(with_momentum)


def test_parameters_become_views_of_one_flat_array_and_keep_their_values() -> None:
    ours = parameters()
    before = bits(ours)
    optimizer = SGD(ours)
    assert bits(ours) == before
    assert [x.shape for x in ours] == SHAPES
    assert all(np.shares_memory(x.data, optimizer.values) for x in ours)
    optimizer.values[:] = 0
    assert not any(x.data.any() for x in ours)


def test_parameters_stay_views_when_a_model_s_state_is_loaded() -> None:
    model = nn.Linear(2, 2, rng=0)
    optimizer = SGD(model.parameters(), 1.0)
    model.load_state_dict({"weight": np.ones((2, 2)), "bias": np.zeros(2)})
    set_gradients(model.parameters(), 0)
    gradient = model.weight.grad
    optimizer.step()
    assert gradient is not None
    np.testing.assert_allclose(model.weight.data, 1 - gradient)


@pytest.mark.parametrize(
    "replace",
    [lambda model: model.astype(np.float32), lambda model: setattr(model.bias, "data", np.ones(3))],
)
def test_another_shape_or_dtype_is_noticed(replace: Callable[[nn.Linear], object]) -> None:
    model = nn.Linear(2, 2).astype(np.float64)
    optimizer = SGD(model.parameters())
    replace(model)
    with pytest.raises(RuntimeError, match="has become one of") as error:
        optimizer.step()
    assert "\n" not in str(error.value)
    assert optimizer.steps == 0


def test_data_assigned_between_steps_is_taken_as_it_is() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    optimizer = SGD([x, y], 0.5)
    x.data, y.data = y.data, x.data * 10
    x.grad, y.grad = np.array([2.0, 4.0]), np.array([0.0, 2.0])
    optimizer.step()
    assert x.tolist() == [2, 2]
    assert y.tolist() == [10, 19]
    x.data, y.data = y.data, x.data
    optimizer.step()
    assert x.tolist() == [9, 17]
    assert y.tolist() == [2, 1]
    x.data = x.data[::-1]
    optimizer.step()
    assert x.tolist() == [16, 7]


def test_optimizers_that_share_a_parameter_take_turns() -> None:
    x, y, z = leaf([1.0, 2.0]), leaf([3.0]), leaf([4.0])
    first, second = SGD([x, y], 0.5), SGD([z, x], 0.25)
    for p in (x, y, z):
        p.grad = np.ones(p.shape)
    for optimizer in (first, second, second, first):
        optimizer.step()
    assert x.tolist() == [-0.5, 0.5]
    assert y.tolist() == [2]
    assert z.tolist() == [3.5]


def test_a_new_optimizer_hides_no_change() -> None:
    x = leaf([1.0, 1.0])
    loss, other = (x * x).sum(), (x**3).sum()
    loss.backward()
    SGD([x], 0.25).step()
    SGD([x], 0.25)
    with pytest.raises(RuntimeError, match=r"SGD\.step"):
        other.backward()


@every_optimizer
def test_a_frozen_parameter_stays_as_it_is(make: MakeOptimizer) -> None:
    ours = parameters()
    optimizer = make(ours)
    set_gradients(ours, 0)
    optimizer.step()
    ours[0].requires_grad = False
    ours[0].grad = None
    frozen, free = ours[0].data.copy(), ours[1].data.copy()
    optimizer.step()
    assert np.array_equal(ours[0].data, frozen)
    assert not np.array_equal(ours[1].data, free)


def test_data_changed_in_place_is_taken_as_it_is() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    optimizer = SGD([x], 0.5)
    x.data *= 10
    x.grad = np.array([2.0, 4.0])
    optimizer.step()
    assert x.tolist() == [9, 18]


@every_optimizer
def test_a_missing_gradient_counts_as_zero(make: MakeOptimizer) -> None:
    ours, others = parameters(), parameters()
    optimizer, reference = make(ours), make(others)
    for step in range(3):
        set_gradients(ours, step)
        set_gradients(others, step)
        if step:
            ours[0].grad, others[0].grad = None, np.zeros(SHAPES[0])
        optimizer.step()
        reference.step()
    assert bits(ours) == bits(others)


def test_a_parameter_given_twice_is_stepped_once() -> None:
    x = Tensor([1.0], requires_grad=True)
    optimizer = SGD([x, x], 0.5)
    x.grad = np.array([1.0])
    optimizer.step()
    assert x.item() == 0.5


def test_zero_grad_forgets_every_gradient() -> None:
    ours = parameters()
    optimizer = SGD(ours)
    set_gradients(ours, 0)
    optimizer.zero_grad()
    assert all(x.grad is None for x in ours)


def test_an_optimizer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^an optimizer needs at least one parameter$"):
        Adam([])


def test_parameters_of_two_dtypes_are_refused() -> None:
    mixed = [Tensor([1.0], dtype, requires_grad=True) for dtype in (np.float32, np.float64)]
    with pytest.raises(
        ValueError, match=r"one dtype .* not \['float32', 'float64'\]; model\.astype"
    ):
        Adam(mixed)


@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clipping_by_the_global_norm_is_torch_s(max_norm: float) -> None:
    torch = pytest.importorskip("torch")
    ours = parameters()
    set_gradients(ours, 0)
    ours[0].grad = None
    tensors = [torch.tensor(x.data, requires_grad=True) for x in ours]
    for x, t in zip(ours, tensors, strict=True):
        t.grad = None if x.grad is None else torch.tensor(x.grad)
    norm = clip_grad_norm(ours, max_norm)
    assert norm == pytest.approx(
        float(torch.nn.utils.clip_grad_norm_(tensors, max_norm)), rel=1e-12
    )
    extra = (norm + 1e-6) / norm if norm > max_norm else 1  # torch adds 1e-6 to the divisor
    for x, t in zip(ours[1:], tensors[1:], strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy() * extra, rtol=1e-12)  # type: ignore[arg-type]


@given(st.floats(0.1, 10), st.integers(0, 99))
def test_clipping_keeps_the_direction_and_bounds_the_length(max_norm: float, seed: int) -> None:
    x = Tensor(np.zeros(5), requires_grad=True)
    gradient = np.random.default_rng(seed).normal(0, 2, 5)
    x.grad = gradient.copy()
    norm = clip_grad_norm([x], max_norm)
    assert norm == pytest.approx(np.linalg.norm(gradient))
    assert np.linalg.norm(x.grad) == pytest.approx(min(norm, max_norm))
    np.testing.assert_allclose(x.grad / np.linalg.norm(x.grad), gradient / norm)


def test_clipping_scales_each_gradient_once_where_several_flow_from_one_sum() -> None:
    x, y = (Tensor([3.0, 4.0], requires_grad=True) for _ in range(2))
    (x + y).sum().backward()
    assert clip_grad_norm([x, y], 1.0) == 2
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == y.grad.tolist() == [0.5, 0.5]


def test_clipping_without_gradients_does_nothing() -> None:
    assert clip_grad_norm(parameters(), 1.0) == 0


@given(st.integers(1, 100_000), st.integers(1, 8000))
def test_the_paper_s_schedule_is_equation_3(step: int, warmup: int) -> None:
    rate = 512**-0.5 * min(step**-0.5, step * warmup**-1.5)
    assert warmup_inverse_sqrt(512, warmup)(step) == pytest.approx(rate, rel=1e-12)
    assert warmup_inverse_sqrt(512, warmup, scale=2)(step) == pytest.approx(2 * rate, rel=1e-12)


def test_the_paper_s_schedule_at_known_steps() -> None:
    schedule = warmup_inverse_sqrt(d_model=100, warmup=16)
    rates = [schedule(step) for step in (0, 1, 8, 16, 64, 1600)]
    assert rates == pytest.approx([0, 0.1 / 64, 0.1 / 8, 0.1 / 4, 0.1 / 8, 0.1 / 40])
    assert warmup_inverse_sqrt(d_model=100, warmup=0)(4) == pytest.approx(0.05)


def test_the_cosine_schedule_at_known_steps() -> None:
    schedule = warmup_cosine(peak=1.0, warmup=10, total=110, floor=0.2)
    steps = [0, 1, 5, 10, 35, 60, 110, 1000]
    quarter = 0.2 + 0.4 * (1 + cos(pi / 4))
    expected = [0, 0.1, 0.5, 1, quarter, 0.6, 0.2, 0.2]
    assert [schedule(step) for step in steps] == pytest.approx(expected)
    assert schedule(10) == 1
    assert schedule(110) == 0.2


def test_the_cosine_schedule_needs_no_warm_up() -> None:
    schedule = warmup_cosine(peak=1.0, warmup=0, total=2)
    assert [schedule(step) for step in range(3)] == pytest.approx([1, 0.5, 0])


def test_an_optimizer_refuses_what_it_could_never_train() -> None:
    p = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="a list of parameters, not one Tensor"):
        SGD(p)
    for wrong in (p * 2, Tensor([1, 2])):
        with pytest.raises(ValueError, match="floating leaf Tensors"):
            SGD([wrong])


def with_gradient(g: Any, dtype: Any = np.float64) -> Tensor:
    x = Tensor(np.zeros(np.shape(g)), dtype, requires_grad=True)
    x.grad = np.asarray(g, dtype)
    return x


@pytest.mark.parametrize(
    ("g", "dtype"),
    [
        ([200.0] * 4, np.float16),
        ([1e30, 1e30], np.float32),
        ([1e-30, 1e-30], np.float32),
        ([1e200, 1e200], np.float64),
        ([3, 4], np.int64),
    ],
)
@pytest.mark.parametrize("others", [[], [[0.0]]])
def test_clipping_knows_the_norm_where_squares_do_not_fit(g: Any, dtype: Any, others: Any) -> None:
    x = with_gradient(g)
    x.grad = np.asarray(g, dtype)
    exact = float(np.linalg.norm(np.asarray(g, dtype).astype(np.longdouble)))
    assert clip_grad_norm([x, *map(with_gradient, others)], exact / 2) == pytest.approx(exact)
    np.testing.assert_allclose(x.grad, np.asarray(g, dtype).astype(np.float64) / 2, rtol=1e-3)


def test_the_norm_of_millions_of_float32_has_all_their_digits() -> None:
    g = np.full(1 << 22, 0.1, np.float32)
    assert clip_grad_norm([with_gradient(g, np.float32)], 1e9) == pytest.approx(
        float(np.float32(0.1)) * 2**11, rel=2e-5
    )  # AVX2 kernels add in longer runs than AVX-512's; one after the other they would lose 1e-2


def test_clipping_takes_one_tensor_a_generator_and_a_read_only_gradient() -> None:
    x, y = with_gradient([3.0, 4.0]), with_gradient([3.0, 4.0])
    assert clip_grad_norm(x, 1.0) == 5
    y.grad = np.broadcast_to(np.array([2.5, 0.0]), 2)
    assert clip_grad_norm((p for p in [x, x, y]), 0.0) == pytest.approx(np.sqrt(1 + 2.5**2))
    assert not any(p.grad.any() for p in (x, y))  # type: ignore[union-attr]


@pytest.mark.parametrize("max_norm", [-1, float("nan")])
def test_a_bound_that_is_none_is_refused(max_norm: float) -> None:
    x = with_gradient([3.0, 4.0])
    with pytest.raises(ValueError, match=r"^clip_grad_norm: max_norm is at least 0"):
        clip_grad_norm([x], max_norm)
    assert x.grad is not None
    assert x.grad.tolist() == [3, 4]


def test_clipping_nothing_is_refused() -> None:
    used_up = (p for p in [with_gradient([1.0])])
    assert clip_grad_norm(used_up, 1.0) == 1
    for nothing in (used_up, []):
        with pytest.raises(ValueError, match="used up"):
            clip_grad_norm(nothing, 1.0)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_norm_that_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=f"the norm of the gradients is {number}"):
        clip_grad_norm([with_gradient([1.0, number])], 1.0)


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ([np.ones(3)], r"ndarray; Tensor\(x, requires_grad=True\)"),
        (nn.Linear(1, 1), r"Linear; pass model.parameters\(\)"),
        ([{"params": []}], "dict"),
        ([None], "NoneType"),
    ],
)
def test_what_is_no_tensor_is_refused(parameters: Any, hint: str) -> None:
    for use in (Adam, lambda p: clip_grad_norm(p, 1.0)):
        with pytest.raises(TypeError, match=f"takes Tensors, not a {hint}"):
            use(parameters)


def test_an_optimizer_that_could_change_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the optimizer's parameters requires a gradient"):
        Adam([Tensor([1.0])])
    frozen = Tensor([1.0])
    SGD([frozen, with_gradient([1.0])]).step()
    assert frozen.item() == 1


def test_a_gradient_of_another_shape_is_refused() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for wrong in (np.array(1.0), Tensor([1.0, 2.0])):
        x.grad = wrong  # type: ignore[assignment]
        for use in (SGD([x]).step, lambda: clip_grad_norm([x], 1.0)):
            with pytest.raises(ValueError, match=r"grad of a parameter of shape \(2,\)"):
                use()
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_lr_is_another_word_for_the_learning_rate(make: Any) -> None:
    x = Tensor([1.0], requires_grad=True)
    optimizer = make([x], lr=0.25)
    assert optimizer.lr == optimizer.learning_rate == 0.25
    optimizer.lr = 0.5
    assert optimizer.learning_rate == 0.5
    assert make([x]).lr == make.default_rate > 0
    with pytest.raises(TypeError, match="learning_rate and lr are the same"):
        make([x], 0.25, lr=0.25)
    with pytest.raises(AttributeError, match="set its learning_rate"):
        _ = optimizer.param_groups


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (SGD, {"lr": -1}),
        (SGD, {"learning_rate": float("nan")}),
        (SGD, {"momentum": -0.1}),
        (Adam, {"betas": (0.9, 1.0)}),
        (Adam, {"betas": (-0.1, 0.9)}),
        (Adam, {"eps": -1e-8}),
        (AdamW, {"weight_decay": -0.01}),
        (AdamW, {"lr": float("inf")}),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{make.__name__}: .* is at least 0 and .*, not "):
        make([Tensor([1.0], requires_grad=True)], **settings)


def test_schedules_without_steps_have_a_value_and_negative_ones_are_refused() -> None:
    assert warmup_inverse_sqrt(4, warmup=0)(0) == 0
    assert warmup_inverse_sqrt(4, warmup=0)(1) == 0.5
    assert warmup_inverse_sqrt(1, warmup=0)(1) == 1  # the smallest model that there is
    assert [warmup_cosine(1.0, 0, 0)(step) for step in (0, 1, 2)] == [1, 0, 0]
    for make in (
        lambda: warmup_inverse_sqrt(0),
        lambda: warmup_inverse_sqrt(4, -1),
        lambda: warmup_cosine(1.0, -1, 5),
        lambda: warmup_cosine(float("nan"), 1, 5),
    ):
        with pytest.raises(ValueError, match="at least 0"):
            make()
