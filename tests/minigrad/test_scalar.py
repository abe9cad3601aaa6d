"""What `minigrad.Value` promises: exact derivatives, any depth, no cycles, a NumPy citizen."""

from __future__ import annotations

import cmath
import copy
import gc
import inspect
import math
import operator
import pickle
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.scalar import Value

Array = np.ndarray[Any, Any]

STEP = 1e-100  # of the complex step, which does not cancel: its derivatives are exact to rounding


def complex_step(f: Callable[..., Any], *point: float) -> list[float]:
    """The gradient of `f` by complex steps: f(x + ih) = f(x) + ih f'(x), nothing subtracted."""
    return [
        f(*(complex(x, STEP * (i == j)) for j, x in enumerate(point))).imag / STEP
        for i in range(len(point))
    ]


def gradient(f: Callable[..., Any], *point: float) -> list[float]:
    """The gradient of `f` by Values."""
    inputs = [Value(x) for x in point]
    f(*inputs).backward()
    return [x.grad for x in inputs]


def values(array: Any) -> Array:
    """The array with each number as a Value, dtype object."""
    array = np.asarray(array)
    return np.array([Value(x) for x in array.flat], dtype=object).reshape(array.shape)


def grads(array: Array) -> Array:
    return np.array([value.grad for value in array.flat]).reshape(array.shape)


def readme_expression(a: Any, b: Any) -> Any:
    """The expression on micrograd's front page, on anything that has its operations."""
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    return g


def every_operation(a: Any, b: Any) -> Any:
    """An expression with each operation at least once, on Values and on torch tensors alike."""
    c = (a * b).tanh() + 2 ** (a - b) - (b**2 + 1).log()
    d = (c.sin() + 2 / (a**2 + 1)) * (1 - b.cos())
    e = (c * c + 0.5).sqrt() ** (d.relu() + 1)
    return e / (a.exp() + 3) - d**-2 + (-c).relu()


def reused_nodes(x: Any) -> Any:
    """An expression in which every intermediate result is used more than once."""
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    return h + q + q * x


def test_the_readme_expression_of_micrograd_has_its_published_numbers() -> None:
    a, b = Value(-4.0), Value(2.0)
    g = readme_expression(a, b)
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


@pytest.mark.parametrize(
    ("f", "point"),
    [
        (readme_expression, (-4.0, 2.0)),
        (reused_nodes, (-4.0,)),
        (reused_nodes, (0.7,)),
        (every_operation, (0.4, -1.3)),
        (every_operation, (-0.9, 2.1)),
    ],
)
def test_values_and_gradients_equal_pytorchs(f: Any, point: tuple[float, ...]) -> None:
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
    expected = f(*theirs)
    expected.backward()
    ours = [Value(x) for x in point]
    y = f(*ours)
    y.backward()
    assert y.data == pytest.approx(expected.item(), rel=1e-12)
    assert [x.grad for x in ours] == pytest.approx([x.grad.item() for x in theirs], rel=1e-11)


FUNCTIONS = {
    "exp": (cmath.exp, -20.0, 20.0),
    "log": (cmath.log, 1e-6, 1e6),
    "sqrt": (cmath.sqrt, 1e-6, 1e6),
    "tanh": (cmath.tanh, -5.0, 5.0),
    "sin": (cmath.sin, -10.0, 10.0),
    "cos": (cmath.cos, -10.0, 10.0),
    "relu": (lambda z: z if z.real > 0 else 0j, -10.0, 10.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(data=st.data())
def test_each_function_agrees_with_a_complex_step(name: str, data: st.DataObject) -> None:
    reference, low, high = FUNCTIONS[name]
    x = Value(data.draw(st.floats(low, high)))
    y = getattr(x, name)()
    y.backward()
    assert y._op == name
    assert y.data == pytest.approx(reference(x.data).real, rel=1e-14)
    assert [x.grad] == pytest.approx(complex_step(reference, x.data), rel=1e-9)


numbers = st.floats(-100.0, 100.0)
away_from_zero = st.one_of(st.floats(-100.0, -0.01), st.floats(0.01, 100.0))


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul])
@given(a=numbers, b=numbers)
def test_sums_and_products_agree_with_a_complex_step(operation: Any, a: float, b: float) -> None:
    assert operation(Value(a), Value(b)).data == operation(a, b)
    assert gradient(operation, a, b) == pytest.approx(complex_step(operation, a, b), rel=1e-14)


@given(a=numbers, b=away_from_zero)
def test_quotients_agree_with_a_complex_step(a: float, b: float) -> None:
    assert (Value(a) / Value(b)).data == a / b
    expected = complex_step(operator.truediv, a, b)
    assert gradient(operator.truediv, a, b) == pytest.approx(expected)


@given(base=st.floats(0.1, 10.0), exponent=st.floats(-5.0, 5.0))
def test_powers_agree_with_a_complex_step_in_base_and_exponent(
    base: float, exponent: float
) -> None:
    assert (Value(base) ** Value(exponent)).data == base**exponent
    expected = complex_step(operator.pow, base, exponent)
    assert gradient(operator.pow, base, exponent) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(base=away_from_zero, exponent=st.integers(-5, 5))
def test_whole_powers_take_bases_of_either_sign(base: float, exponent: int) -> None:
    assert (Value(base) ** exponent).data == base**exponent
    expected = exponent * base ** (exponent - 1)
    assert gradient(lambda x: x**exponent, base) == pytest.approx([expected])


@pytest.mark.parametrize(
    ("exponent", "slope"), [(0, 0.0), (0.5, math.inf), (1, 1.0), (1.5, 0.0), (2, 0.0)]
)
def test_powers_of_zero_have_the_slope_of_the_curve_there(exponent: float, slope: float) -> None:
    assert gradient(lambda x: x**exponent, 0.0) == [slope]
    assert gradient(operator.pow, 0.0, exponent)[0] == slope


def test_the_square_root_of_zero_has_an_infinite_slope() -> None:
    assert Value(0.0).sqrt().data == 0.0
    assert gradient(lambda x: x.sqrt(), 0.0) == [math.inf]


def test_relu_has_slope_zero_at_zero() -> None:
    assert gradient(lambda x: x.relu(), 0.0) == [0.0]


BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]


@pytest.mark.parametrize("number", [3, 3.0, True, np.float64(3.0), np.float32(3.0), np.int64(3)])
@pytest.mark.parametrize("operation", BINARY)
def test_a_number_may_stand_on_either_side(operation: Any, number: Any) -> None:
    x = Value(2.0)
    right, left = operation(x, number), operation(number, x)
    assert isinstance(right, Value) and isinstance(left, Value)
    assert right.data == operation(2.0, float(number))
    assert left.data == operation(float(number), 2.0)
    right.backward()
    left.backward()
    by_first, _ = complex_step(operation, 2.0, float(number))
    _, by_second = complex_step(operation, float(number), 2.0)
    assert x.grad == pytest.approx(by_first + by_second)


@pytest.mark.parametrize("operation", [*BINARY, operator.lt, operator.ge])
def test_an_operand_that_is_no_number_is_refused_in_pythons_words(operation: Any) -> None:
    for pair in [(Value(1.0), "2"), ("2", Value(1.0)), (Value(1.0), None)]:
        with pytest.raises(TypeError, match="Value"):
            operation(*pair)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: Value(0.0).log(), ValueError, "log: .*0.0 is not positive"),
        (lambda: Value(-1.0).log(), ValueError, "log: .*-1.0 is not positive"),
        (lambda: Value(-1.0).sqrt(), ValueError, "sqrt: .*-1.0 is negative"),
        (lambda: Value(-8.0) ** (1 / 3), ValueError, "power: negative base -8.0"),
        (lambda: Value(-8.0) ** Value(3.0), ValueError, "power: negative base -8.0"),
        (lambda: (-2) ** Value(3.0), ValueError, "power: negative base -2.0"),
        (lambda: Value(1.0) / 0, ZeroDivisionError, "zero"),
        (lambda: 1 / Value(0.0), ZeroDivisionError, "zero"),
        (lambda: Value(0.0) ** -1, ZeroDivisionError, "negative power"),
        (lambda: Value(0.0) ** Value(-0.5), ZeroDivisionError, "negative power"),
        (lambda: Value(1000.0).exp(), OverflowError, "range"),
    ],
)
def test_leaving_the_domain_is_an_error_of_one_line(
    f: Callable[[], Value], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        f()
    assert "\n" not in str(raised.value)


def test_a_result_shows_what_it_was_computed_from() -> None:
    a, b = Value(2.0), Value(3.0)
    product = a * b
    assert product.inputs == ((a, 3.0), (b, 2.0))
    assert product._prev == {a, b}
    assert (a * a)._prev == {a}
    assert a._prev == set() and a._op == ""
    operations = [a + b, a - b, product, a / b, a**b, a**2, a**-0.5, -a, a.relu()]
    shown = [y._op for y in operations]
    assert shown == ["+", "-", "*", "/", "**", "**2", "**-0.5", "neg", "relu"]


def test_it_prints_its_number_and_its_gradient() -> None:
    x = Value(2)
    (x * 3).backward()
    assert repr(x) == "Value(data=2.0, grad=3.0)"
    assert float(x) == 2.0


@given(a=st.floats(), b=st.floats())
def test_comparison_is_that_of_the_numbers(a: float, b: float) -> None:
    for compare in (
        operator.lt,
        operator.le,
        operator.gt,
        operator.ge,
        operator.eq,
        operator.ne,
    ):
        expected = compare(a, b)
        assert compare(Value(a), Value(b)) is expected
        assert compare(Value(a), b) is expected
        assert compare(a, Value(b)) is expected


def test_equal_numbers_are_still_different_nodes() -> None:
    a, b = Value(1.0), Value(1.0)
    assert a == b and hash(a) != hash(b)
    assert len({a, b}) == 2
    assert len((a + b)._prev) == 2
    assert {a: "a", b: "b"}[b] == "b"
    assert a != "1.0"


def test_a_second_backward_doubles_every_gradient() -> None:
    a, b = Value(3.0), Value(-2.0)
    middle = a * b + a
    y = middle * middle
    y.backward()
    once = [node.grad for node in (a, b, middle, y)]
    assert once == [6.0, -18.0, -6.0, 1.0]
    y.backward()
    assert [node.grad for node in (a, b, middle, y)] == [2 * grad for grad in once]


def test_gradients_of_several_results_add_up() -> None:
    x = Value(3.0)
    shared = x * x
    (2 * shared).backward()
    (shared + x).backward()
    assert x.grad == 12.0 + 7.0
    assert shared.grad == 2.0 + 1.0


def test_every_path_counts_and_no_path_is_walked_twice() -> None:
    x = Value(1.0)
    older, y = x, x + 0
    for _ in range(70):  # a Fibonacci number of paths: too many to walk one by one
        older, y = y, y + older
    y.backward()
    assert y.data == x.grad == 498454011879264.0


def test_copies_and_pickles_carry_their_graph() -> None:
    def check(x: Value, y: Value) -> None:
        z = y * Value(5.0) + x
        z.backward()
        assert (z.data, x.grad) == (48.0, 31.0)

    x = Value(3.0)
    y = x * x
    check(*copy.deepcopy((x, y)))
    check(*pickle.loads(pickle.dumps((x, y))))
    check(x, copy.copy(y))


OPERATIONS: list[Callable[[Value], Value]] = [
    lambda v: v + 1,
    lambda v: 1 - v,
    lambda v: v * v,
    lambda v: v / 2,
    lambda v: (v * v) ** 0.5,
    lambda v: v.relu(),
    lambda v: v.tanh(),
    lambda v: v.sin(),
    lambda v: v.cos(),
]


@given(
    steps=st.lists(st.sampled_from(range(len(OPERATIONS))), min_size=1, max_size=12),
    start=st.floats(-2.0, 2.0),
)
def test_any_composition_multiplies_the_local_slopes(steps: list[int], start: float) -> None:
    x = Value(start)
    y, slope = x, 1.0
    for step in steps:
        node = Value(y.data)
        (single := OPERATIONS[step](node)).backward()
        slope *= node.grad
        y = OPERATIONS[step](y)
        assert y.data == single.data
    y.backward()
    assert x.grad == pytest.approx(slope, nan_ok=True)


@pytest.fixture
def no_collector() -> Any:
    """The garbage collector switched off, so that reference counts alone free memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("length", [100_000, 1_000_000])
def test_a_long_chain_needs_no_recursion_forward_backward_or_when_freed(length: int) -> None:
    assert length > 10 * sys.getrecursionlimit()
    x = Value(1.0)
    y = x
    for _ in range(length):
        y = -y
    y.backward()
    assert (y.data, x.grad) == (1.0, 1.0)
    (below,) = (weakref.ref(node) for node in y._prev)
    del y
    assert below() is None


@pytest.mark.usefixtures("no_collector")
def test_reference_counts_alone_free_a_graph() -> None:
    a, b = Value(0.4), Value(-1.3)
    y = every_operation(a, b)
    y.backward()
    nodes, frontier = {id(y): weakref.ref(y)}, [y]
    while frontier:
        for node in frontier.pop()._prev - {a, b}:
            if id(node) not in nodes:
                nodes[id(node)] = weakref.ref(node)
                frontier.append(node)
    assert len(nodes) > 20
    del y, node
    assert [ref for ref in nodes.values() if ref() is not None] == []


@pytest.mark.usefixtures("no_collector")
def test_a_thousand_steps_leave_nothing_for_the_collector() -> None:
    a, b = Value(0.4), Value(-1.3)
    alive = -1
    for step in range(1000):
        every_operation(a, b).backward()
        if step == 10:
            alive = len(gc.get_objects())
    assert len(gc.get_objects()) < alive + 100  # one object a step would be 989
    assert gc.collect() == 0


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "sin", "cos", "negative", "square"])
def test_numpy_functions_work_on_arrays_of_values(name: str) -> None:
    numbers = np.array([[0.5, 1.0], [1.5, 2.5]])
    function = getattr(np, name)
    x = values(numbers)
    y = function(x)
    np.testing.assert_allclose(y.astype(float), function(numbers), rtol=1e-15)
    np.sum(y).backward()
    np.testing.assert_allclose(grads(x), function(numbers + 1j * STEP).imag / STEP, rtol=1e-12)


@pytest.mark.parametrize("operation", BINARY)
def test_arrays_of_numbers_mix_with_values_and_arrays_of_values(operation: Any) -> None:
    array = np.array([1.0, 2.0, 4.0])
    x = Value(3.0)
    for pair in [(array, x), (x, array), (values(array), x), (x, values(array))]:
        result = operation(*pair)
        assert result.shape == (3,)
        assert all(isinstance(element, Value) for element in result)
        plain = [3.0 if operand is x else array for operand in pair]
        np.testing.assert_array_equal(result.astype(float), operation(*plain))


def test_comparison_with_an_array_is_element_by_element() -> None:
    array = np.array([1.0, 2.0, 3.0])
    for other in (array, values(array)):
        np.testing.assert_array_equal(Value(2.0) < other, [False, False, True])
        np.testing.assert_array_equal(other >= Value(2.0), [False, True, True])
        np.testing.assert_array_equal(Value(2.0) == other, [False, True, False])
        np.testing.assert_array_equal(Value(2.0) != other, [True, False, True])


def test_the_maximum_sends_its_gradient_to_the_larger() -> None:
    a, b = values([1.0, 5.0, -2.0]), values([4.0, 3.0, -3.0])
    np.sum(np.maximum(a, b) * np.array([1.0, 10.0, 100.0])).backward()
    np.testing.assert_array_equal(grads(a), [0.0, 10.0, 100.0])
    np.testing.assert_array_equal(grads(b), [1.0, 0.0, 0.0])
    assert np.max(a) is a[1]


def test_matrix_products_of_values_have_the_gradients_of_matrix_products() -> None:
    rng = np.random.default_rng(0)
    a, b, weight = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    x, y = values(a), values(b)
    product = x @ y
    np.testing.assert_allclose(product.astype(float), a @ b)
    np.sum(weight * product).backward()
    np.testing.assert_allclose(grads(x), weight @ b.T)
    np.testing.assert_allclose(grads(y), a.T @ weight)


def test_a_softmax_written_for_arrays_runs_on_values() -> None:
    def loss(x: Array, axis: int = -1) -> Any:
        weights = np.exp(x - np.max(x, axis=axis, keepdims=True))
        weights = weights / np.sum(weights, axis=axis, keepdims=True)
        return -np.sum(np.log(weights[..., 1]))

    numbers = np.random.default_rng(1).normal(size=(3, 5))
    x = values(numbers)
    loss(x).backward()
    expected = np.empty_like(numbers)
    for index in np.ndindex(numbers.shape):
        nudged = numbers.astype(complex)
        nudged[index] += 1j * STEP
        expected[index] = loss(nudged).imag / STEP
    np.testing.assert_allclose(grads(x), expected, rtol=1e-12)


def two_moons(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Points (2 · count, 2) on two interleaved half circles, and their labels ±1 (2 · count,)."""
    angle = np.linspace(0, np.pi, count)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.concatenate([upper, lower]) + rng.normal(scale=0.05, size=(2 * count, 2))
    return points, np.repeat([-1.0, 1.0], count)


def test_a_small_network_of_values_learns_the_two_moons() -> None:
    rng = np.random.default_rng(0)
    points, labels = two_moons(rng, 15)
    unseen, unseen_labels = two_moons(rng, 100)
    hidden, hidden_bias = values(rng.normal(size=(2, 16))), values(np.zeros(16))
    output, output_bias = values(rng.normal(size=16)), Value(0.0)
    parameters = [*hidden.flat, *hidden_bias, *output, output_bias]

    def scores(x: Array) -> Any:  # (N, 2) -> (N,)
        return np.tanh(x @ hidden + hidden_bias) @ output + output_bias

    losses = []
    for _ in range(100):
        loss = sum(margin.relu() for margin in 1 - labels * scores(points)) / len(labels)
        losses.append(loss.data)
        loss.backward()
        for parameter in parameters:
            parameter.data -= 0.5 * parameter.grad
            parameter.grad = 0.0
    assert losses[-1] < 0.2 * losses[0]
    assert np.mean((scores(unseen) > 0) == (unseen_labels > 0)) >= 0.95


def test_the_module_imports_the_standard_library_alone() -> None:
    module = inspect.getmodule(Value)
    imported = {
        line.split()[1].split(".")[0]
        for line in inspect.getsource(module).splitlines()  # type: ignore[arg-type]
        if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names
