"""What every row of the table of ops promises; one table of examples drives all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, hvp
from minigrad.backward import contributions
from minigrad.check.rows import check_example, flatten
from minigrad.op import Example, Op
from minigrad.table import NUMPY
from minigrad.tensor import unwrap
from tests.minigrad.ops.comparing import (
    NOTHING,
    Array,
    both_dtypes,
    drawn,
    gradients,
    lifted,
    listed,
    normal,
    recorded,
)

CASES = [
    pytest.param(op, example, id=f"{op.name}-{i}")
    for op in TABLE.values()
    for i, example in enumerate(op.examples)
]

WIDE = {"float_power", "vander", "bincount", "cov", "corrcoef"}
"""The functions that NumPy computes in float64 whatever it is given."""

every_example = pytest.mark.parametrize(("op", "example"), CASES)

every_definition = pytest.mark.parametrize(
    ("op", "example"),
    [case for case in CASES if case.values[0].definition and not case.values[0].composite],
)


def test_every_row_has_an_example() -> None:
    assert [op.name for op in TABLE.values() if not op.examples] == []


def test_every_row_that_broadcasts_has_an_example_of_it() -> None:
    def broadcasts(op: Op) -> bool:
        if op.is_variadic or sum(rule is not None for rule in op.rules) < 2:
            return False
        if op.name == "where":
            return True
        try:
            return np.shape(op(np.ones((2, 1)), np.ones((1, 3)))) == (2, 3)
        except (ValueError, TypeError):
            return False

    def has_it(example: Example) -> bool:
        shapes = {np.shape(x) if isinstance(x, np.ndarray) else x for x in example.inputs}
        return len(shapes) > 1

    rows = [op for op in TABLE.values() if broadcasts(op)]
    assert {"add", "power", "maximum", "where", "matmul"} <= {op.name for op in rows}
    assert [op.name for op in rows if not any(map(has_it, op.examples))] == []


@pytest.mark.parametrize("order", [1, 2])
@every_example
def test_derivatives_equal_numerical_ones(op: Op, example: Example, order: int) -> None:
    row = check_example(op, example, order, np.random.default_rng(0))
    assert row.ok, row.report


@every_example
def test_float32_stays_float32_and_float64_stays_float64(op: Op, example: Example) -> None:
    for dtype in (np.float32, np.float64):
        inputs = lifted(drawn(example, dtype))
        for y in recorded(op(*inputs, **example.params)):
            wanted = np.float64 if op.name in WIDE else example.params.get("dtype", dtype)
            assert y.dtype == wanted
            y.backward(np.ones_like(y.data), retain_graph=True)
        for x in flatten(inputs):
            assert not isinstance(x, Tensor) or x.grad.dtype == dtype


@pytest.mark.parametrize(
    ("op", "example"),
    [
        case
        for case in CASES
        if "dtype" not in case.values[1].params and case.values[0].name not in WIDE
    ],
)
def test_no_rule_computes_in_more_than_float32(op: Op, example: Example) -> None:
    waiting = recorded(op(*lifted(drawn(example, np.float32)), **example.params))
    while waiting:  # the engine casts gradients; here is what the rules give before that
        y = waiting.pop()
        for i, gx in contributions(y, np.ones_like(y.data), create_graph=False):
            assert gx.dtype == np.float32, y.op
            waiting += [y.inputs[i]] if y.inputs[i].op else []


@every_example
def test_a_tensor_gives_the_values_that_an_array_gives(op: Op, example: Example) -> None:
    inputs = drawn(example)
    of_arrays = listed(op(*inputs, **example.params))
    of_tensors = listed(op(*lifted(inputs), **example.params))
    assert recorded(of_tensors)
    for y, t in zip(of_arrays, of_tensors, strict=True):
        assert not isinstance(y, Tensor)
        if op.composite:  # the same steps, but not always on the same layout in memory
            np.testing.assert_allclose(unwrap(t), y, rtol=1e-14, strict=True)
        else:
            assert np.array_equal(unwrap(t), y, equal_nan=True)


@pytest.mark.parametrize(
    ("function", "op", "example"),
    [
        pytest.param(function, op, example, id=f"{function.__name__}-{i}")
        for function, op in NUMPY.items()
        if function is not np.astype  # takes its dtype by position alone
        for i, example in enumerate(op.examples)
    ],
)
def test_the_values_are_those_of_the_numpy_function(
    function: Callable[..., Any], op: Op, example: Example
) -> None:
    inputs = drawn(example)
    expected = listed(function(*inputs, **example.params))
    for result in (op(*inputs, **example.params), function(*lifted(inputs), **example.params)):
        for y, other in zip(listed(result), expected, strict=True):
            np.testing.assert_allclose(unwrap(y), other, rtol=1e-14, strict=True)


@both_dtypes
@every_definition
def test_the_kernel_computes_the_definition(op: Op, example: Example, dtype: Any) -> None:
    assert op.definition is not None
    inputs = drawn(example, dtype)
    defined = op.definition(*lifted(inputs), **example.params).data
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    y = np.asarray(op(*inputs, **example.params))
    np.testing.assert_allclose(y, defined, rtol=tolerance, atol=tolerance, strict=True)


@both_dtypes
@every_definition
def test_the_rule_is_the_derivative_of_the_definition(op: Op, example: Example, dtype: Any) -> None:
    assert op.definition is not None
    inputs = drawn(example, dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-4
    by_rule = gradients(op, inputs, example.params)
    by_definition = gradients(op.definition, inputs, example.params)
    for g, expected in zip(by_rule, by_definition, strict=True):
        np.testing.assert_allclose(g, expected, rtol=tolerance, atol=tolerance, strict=True)


LARGE = np.array([[-1e4, -100.0, -1.0, 0.0], [1.0, 100.0, 1e3, 1e4], [1e4, 1e4, -1e4, 1e-4]])

TARGET = np.array([3, 0, 2])

SAFE: dict[str, Callable[[Any], Any]] = {
    "softmax": mg.softmax,
    "log_softmax": mg.log_softmax,
    "logsumexp": lambda x: mg.logsumexp(x, axis=-1),
    "cross_entropy": lambda x: mg.cross_entropy(x, TARGET, label_smoothing=0.1),
    "binary_cross_entropy": lambda x: mg.binary_cross_entropy_with_logits(x, LARGE > 0),
    "attention": lambda x: mg.scaled_dot_product_attention(x, x, x),
    "sigmoid": mg.sigmoid,
    "softplus": mg.softplus,
    "silu": mg.silu,
    "gelu": mg.gelu,
    "gelu_tanh": lambda x: mg.gelu(x, approximate="tanh"),
    "erf": mg.erf,
    "tanh": np.tanh,
    "norm": lambda x: mg.norm(x, axis=-1),
    "layer_norm": lambda x: mg.layer_norm(x, np.ones(4, x.dtype), np.zeros(4, x.dtype)),
    "rms_norm": lambda x: mg.rms_norm(x, np.ones(4, x.dtype)),
    "rotary": mg.TABLE["rotary"],
}


@both_dtypes
@pytest.mark.parametrize("name", SAFE)
def test_large_numbers_give_finite_values_and_derivatives(name: str, dtype: Any) -> None:
    f = SAFE[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x = Tensor(LARGE, dtype, requires_grad=True)
        y = f(x)
        y.backward(np.ones_like(y.data))
        second = hvp(lambda x: np.sum(f(x)), LARGE.astype(dtype), np.ones_like(LARGE, dtype))
    for found in (y.data, x.grad, second):
        assert found is not None
        assert np.isfinite(found).all()
        assert found.dtype == dtype


def test_large_numbers_give_the_right_limits() -> None:
    assert np.array_equal(mg.softmax(np.array([1e4, -1e4, 0.0])), [1, 0, 0])
    assert np.array_equal(mg.log_softmax(np.array([1e4, -1e4])), [0, -2e4])
    assert mg.logsumexp(np.array([1e4, 1e4])) == 1e4 + np.log(2)
    assert np.array_equal(mg.sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
    assert np.array_equal(mg.softplus(np.array([-1e4, 1e4])), [0, 1e4])
    assert mg.cross_entropy(np.array([[1e4, -1e4]]), np.array([1])) == 2e4
    assert mg.binary_cross_entropy_with_logits(np.array([1e4]), np.array([0.0])) == 1e4


def test_a_list_beside_a_tensor_is_an_array_to_the_rules() -> None:
    t = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    (t ** [1, 2, 3]).sum().backward()
    np.testing.assert_allclose(t.grad, [1, 4, 27])
    t.zero_grad()
    ([1, 2, 3] ** t).sum().backward()
    np.testing.assert_allclose(t.grad, np.log([1, 2, 3]) * np.array([1, 4, 27]))


def test_an_axis_may_be_a_numpy_integer() -> None:
    t = Tensor(np.ones((2, 3)), requires_grad=True)
    np.mean(t, axis=np.int64(0)).sum().backward()
    np.testing.assert_array_equal(t.grad, np.full((2, 3), 0.5))


SLOPES: dict[str, tuple[Callable[[Any], Any], list[float], list[float]]] = {
    "norm of zeros": (mg.norm, [0, 0], [0, 0]),
    "a power of 0": (lambda x: np.sum(x**0), [0, 2], [0, 0]),
    "0 to a power": (lambda x: np.sum(x**2), [0, 2], [0, 4]),
    "product with a zero": (np.prod, [0, 2, 3], [6, 0, 0]),
    "product with two zeros": (np.prod, [0, 0, 3], [0, 0, 0]),
    "product too small for a float": (np.prod, [1e-200, 1e-200], [1e-200, 1e-200]),
    "size of 0": (lambda x: np.sum(np.abs(x)), [0, -2], [0, -1]),
    "logsumexp of nothing": (mg.logsumexp, [-np.inf, -np.inf], [0, 0]),
    "softmax of nothing": (lambda x: mg.softmax(x)[0], [-np.inf, -np.inf], [0, 0]),
    "variance of one": (np.var, [3], [0]),
    "largest with NaN": (np.max, [1, np.nan, 2], [0, 1, 0]),
    "largest of equals": (np.max, [3, 1, 3], [0.5, 0, 0.5]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_the_edge_are_those_of_the_limit_or_0(name: str) -> None:
    f, data, expected = SLOPES[name]
    x = Tensor(np.array(data, np.float64), requires_grad=True)
    f(x).backward()
    np.testing.assert_allclose(x.grad, expected)


MASKED: dict[str, Callable[[Any, Array], Any]] = {
    "where": lambda x, kept: np.where(kept, x, 0),
    "masked_fill": lambda x, kept: mg.masked_fill(x, ~kept, 0.0),
    "getitem": lambda x, kept: x[kept],
    "dropout_mask": lambda x, kept: TABLE["dropout_mask"](x, kept, scale=2.0),
    "sum": lambda x, kept: np.sum(x, axis=0, where=kept),
    "mean": lambda x, kept: np.mean(x, axis=1, where=kept),
    "var": lambda x, kept: np.var(x, axis=1, where=kept),
    "std": lambda x, kept: np.std(x, axis=1, where=kept),
    "prod": lambda x, kept: np.prod(x, axis=1, where=kept),
    "max": lambda x, kept: np.max(x, axis=1, where=kept, initial=-5.0),
    "min": lambda x, kept: np.min(x, axis=1, where=kept, initial=5.0),
    "logits": lambda x, kept: mg.softmax(np.where(kept, x, -np.inf)),
    "log_softmax": lambda x, kept: mg.log_softmax(np.where(kept, x, -1e9)),
}


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_leaves_out_sends_nothing(name: str, nothing: float) -> None:
    kept = np.array([[True, False, True], [True, True, False]])
    (data,) = normal((2, 3))
    clean, spoilt = (Tensor(x, requires_grad=True) for x in (data, np.where(kept, data, nothing)))
    for x in (clean, spoilt):
        y = MASKED[name](x, kept)
        y.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))
    assert np.array_equal(spoilt.grad, clean.grad)
    assert spoilt.grad is not None and not spoilt.grad[~kept].any()


HALF: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "sum of squares": (lambda x: np.sqrt(np.sum(x * x / 256)) * 16, [np.full(4, 200.0)]),
    "norm": (mg.norm, [np.full(4, 2e4)]),
    "mean": (np.mean, [np.full(70_000, 100.0)]),
    "std": (np.std, [np.array([-6e4, 6e4, 3e4])]),
    "layer_norm": (mg.layer_norm, [np.array([600.0, 1.0, 2.0]), np.ones(3), np.zeros(3)]),
    "rms_norm": (mg.rms_norm, [np.array([600.0, 1.0, 2.0]), np.ones(3)]),
    "batch_norm": (
        lambda x, w, b: mg.batch_norm(x, w, b).sum(0),
        [np.array([[600.0, 3.0], [1.0, 900.0], [2.0, 0.0]]), np.ones(2), np.zeros(2)],
    ),
    "logsumexp": (mg.logsumexp, [np.array([6e4, 6e4, 10.0])]),
    "log_softmax": (mg.log_softmax, [np.array([6e4, 5.99e4, 10.0])]),
    "mse_loss": (mg.mse_loss, [np.array([300.0, 1.0]), np.array([1.0, 2.0])]),
    "matmul": (np.matmul, [np.full((2, 5000), 0.1), np.full((5000, 1), 0.1)]),
    "cumsum": (lambda x: np.cumsum(x)[-1], [np.full(3000, 0.1)]),
    "attention": (
        lambda q, k, v: mg.scaled_dot_product_attention(q, k, v),
        [np.full((2, 4), 200.0), np.full((3, 4), 200.0), np.arange(6.0).reshape(3, 2)],
    ),
    "erf": (mg.erf, [np.array([0.3, 3.0])]),
}


@pytest.mark.parametrize("name", HALF)
def test_float16_is_computed_in_float32(name: str) -> None:
    f, data = HALF[name]
    low = [Tensor(x, np.float16, requires_grad=True) for x in data]
    high = [Tensor(x.data.astype(np.float64), requires_grad=True) for x in low]
    y, exact = f(*low), f(*high)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, exact.data, rtol=2e-3, atol=1e-3)
    for result in (y, exact):
        result.backward(np.linspace(0.5, 1.0, result.size).reshape(result.shape))
    for x, other in zip(low, high, strict=True):
        assert x.grad is not None and x.grad.dtype == np.float16
        np.testing.assert_allclose(x.grad, other.grad, rtol=2e-3, atol=1e-3)
