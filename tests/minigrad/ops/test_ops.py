"""What every row of the table of ops promises; one table of examples drives all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

import minigrad as mg
from minigrad import TABLE, Tensor, hvp
from minigrad.backward import contributions
from minigrad.check import gradcheck
from minigrad.check.rows import check_example, flatten, nest
from minigrad.op import Example, Op
from minigrad.table import NUMPY
from minigrad.tensor import unwrap

Array = np.ndarray[Any, Any]

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
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray | Tensor) and x.dtype.kind == "f"


def drawn(example: Example, dtype: Any = np.float64) -> list[Any]:
    """The example's inputs, the floating ones of the given dtype."""
    inputs = example.draw(np.random.default_rng(0))
    cast = [x.astype(dtype) if is_floating(x) else x for x in flatten(inputs)]
    return nest(inputs, iter(cast))


def lifted(inputs: Sequence[Any]) -> list[Any]:
    """The inputs with Tensors that require a gradient in the place of floating arrays."""
    found = [Tensor(x, requires_grad=True) if is_floating(x) else x for x in flatten(inputs)]
    return nest(inputs, iter(found))


def normal(*shapes: tuple[int, ...]) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) for shape in shapes)


def listed(y: Any) -> list[Any]:
    return [*y] if isinstance(y, list | tuple) else [y]


def recorded(y: Any) -> list[Tensor]:
    """The results that are Tensors: some ops give constant ones too, such as a sign."""
    return [x for x in listed(y) if isinstance(x, Tensor)]


def gradients(f: Callable[..., Any], inputs: Sequence[Any], params: dict[str, Any]) -> list[Array]:
    """The gradient of every floating input for a fixed incoming gradient."""
    inputs = lifted(inputs)
    for i, y in enumerate(recorded(f(*inputs, **params))):
        g = np.random.default_rng(i).standard_normal(y.shape)
        y.backward(g, retain_graph=True)
    return [x.grad for x in flatten(inputs) if isinstance(x, Tensor)]


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


def test_astype_is_numpys() -> None:
    x = Tensor([1.5, -2.5], requires_grad=True)
    y = np.astype(x, np.float32)
    assert y.dtype == np.float32
    assert np.array_equal(y.data, np.astype(x.data, np.float32))


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


@both_dtypes
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_a_query_that_may_attend_to_nothing_gets_zeros(size: float, dtype: Any) -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    draws = [(x * size).astype(dtype) for x in normal((2, 4), (3, 4), (3, 2))]
    query, key, value = (Tensor(x, requires_grad=True) for x in draws)
    y = mg.scaled_dot_product_attention(query, key, value, mask=mask)
    assert np.array_equal(y.data[1], [0, 0])
    assert y.data[0].any()

    y.backward(np.ones_like(y.data))
    assert query.grad is not None
    assert np.array_equal(query.grad[1], np.zeros(4))
    assert all(np.isfinite(x.grad).all() for x in (query, key, value) if x.grad is not None)

    def f(query: Any) -> Any:
        return np.sum(mg.scaled_dot_product_attention(query, draws[1], draws[2], mask=mask) ** 2)

    second = hvp(f, draws[0], np.ones_like(draws[0]))
    assert np.array_equal(second[1], np.zeros(4))
    assert np.isfinite(second).all()


def test_derivatives_are_right_where_a_query_may_attend_to_nothing() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    inputs = list(normal((2, 4), (3, 4), (3, 2)))
    gradcheck(lambda *x: mg.scaled_dot_product_attention(*x, mask=mask), inputs, 2)


def test_a_row_of_minus_infinity_alone_has_a_softmax_of_zeros() -> None:
    x = Tensor(np.full((2, 3), -np.inf), requires_grad=True)
    y = mg.softmax(x)
    y.backward(np.ones((2, 3)))
    assert not y.data.any()
    assert np.array_equal(x.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("f", [np.max, np.min])
def test_equal_extremes_share_the_gradient(f: Callable[..., Any]) -> None:
    sign = 1 if f is np.max else -1
    x = Tensor(sign * np.array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]]), requires_grad=True)
    f(x, axis=1).backward([1.0, 1.0])
    np.testing.assert_allclose(x.grad, [[0.5, 0, 0.5], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("f", [np.maximum, np.minimum])
def test_two_equal_numbers_share_the_gradient(f: Callable[..., Any]) -> None:
    sign = 1 if f is np.maximum else -1
    a = Tensor(sign * np.array([1.0, 2.0, 3.0]), requires_grad=True)
    b = Tensor(sign * np.array([2.0, 2.0, 2.0]), requires_grad=True)
    f(a, b).backward([1.0, 1.0, 1.0])
    assert np.array_equal(a.grad, [0, 0.5, 1])
    assert np.array_equal(b.grad, [1, 0.5, 0])


def summed_back(g: Array, index: Array, shape: tuple[int, ...]) -> Array:
    """For each element of an array of `shape`, the sum of `g` where `index` names the element."""
    size = int(np.prod(shape))
    return np.bincount(index.ravel(), weights=g.ravel(), minlength=size).reshape(shape)


def assert_like_explicit_broadcasting(
    f: Callable[..., Any], parts: Sequence[tuple[int, ...]], fulls: Sequence[tuple[int, ...]]
) -> None:
    """The gradients of inputs shaped `parts` are those of their copies, shaped `fulls`, summed."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in parts]
    copies = [np.broadcast_to(x, full).copy() for x, full in zip(arrays, fulls, strict=True)]
    by_engine, explicit = gradients(f, arrays, {}), gradients(f, copies, {})
    for shape, full, g, expected in zip(parts, fulls, by_engine, explicit, strict=True):
        index = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), full)
        np.testing.assert_allclose(g, summed_back(expected, index, shape), atol=1e-12, strict=True)


@pytest.mark.parametrize("f", [np.add, np.multiply])
@given(drawn=shapes.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_broadcast_gradients_are_those_of_explicit_copies(
    f: Callable[..., Any], drawn: shapes.BroadcastableShapes
) -> None:
    assert_like_explicit_broadcasting(f, drawn.input_shapes, [drawn.result_shape] * 2)


@given(drawn=shapes.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_where_broadcasts_its_condition_and_both_its_sides(
    drawn: shapes.BroadcastableShapes,
) -> None:
    mask_shape, *parts = drawn.input_shapes
    mask = np.random.default_rng(0).random(mask_shape) < 0.5
    assert_like_explicit_broadcasting(
        lambda a, b: np.where(mask, a, b), parts, [drawn.result_shape] * 2
    )


@given(
    drawn=shapes.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, max_side=3
    )
)
def test_stacks_of_matrices_broadcast(drawn: shapes.BroadcastableShapes) -> None:
    a, b = drawn.input_shapes
    stack = np.broadcast_shapes(a[:-2], b[:-2])
    fulls = [stack + shape[-2:] if len(shape) > 1 else shape for shape in (a, b)]
    assert_like_explicit_broadcasting(np.matmul, [a, b], fulls)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 3),
    index=st.lists(st.integers(-1, 0), min_size=1),
)
def test_elements_taken_repeatedly_add_their_gradients(
    rows: int, columns: int, index: list[int]
) -> None:
    x = Tensor(np.zeros((rows, columns)), requires_grad=True)
    x[np.array(index)].backward(np.ones((len(index), columns)))
    counts = np.zeros(rows)
    for i in index:
        counts[i] += 1
    assert np.array_equal(x.grad, np.repeat(counts[:, None], columns, 1))


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def assert_like_torch(
    torch: Any, f: Callable[..., Any], theirs: Callable[..., Any], *inputs: Array
) -> None:
    """Values, and gradients for a random incoming one, agree to 1e-10."""
    ours = lifted(inputs)
    other = [torch.tensor(x, requires_grad=True) for x in inputs]
    y, expected = f(*ours), theirs(*other)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    g = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for x, t in zip(ours, other, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore_index", [None, 2, -100])
def test_cross_entropy_is_torchs(
    torch: Any, ignore_index: int | None, label_smoothing: float, reduction: str
) -> None:
    target = np.array([[1, 2, 0], [4, 2, -100 if ignore_index == -100 else 3]])
    options = {"label_smoothing": label_smoothing, "reduction": reduction}
    ignored = -1 if ignore_index is None else ignore_index
    assert_like_torch(
        torch,
        lambda x: mg.cross_entropy(x, target, ignore_index=ignore_index, **options),
        lambda x: torch.nn.functional.cross_entropy(
            x.flatten(0, 1), torch.tensor(target).flatten(), ignore_index=ignored, **options
        ),
        *normal((2, 3, 5)),
    )


def test_layer_norm_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        lambda x, w, b: mg.layer_norm(x, w, b, eps=1e-3),
        lambda x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b, eps=1e-3),
        *normal((2, 3, 4), (4,), (4,)),
    )


def test_batch_norm_is_torchs_with_features_last(torch: Any) -> None:
    def theirs(x: Any, w: Any, b: Any) -> Any:
        channels_second = x.movedim(-1, 1)
        y = torch.nn.functional.batch_norm(channels_second, None, None, w, b, training=True)
        return y.movedim(1, -1)

    assert_like_torch(torch, mg.batch_norm, theirs, *normal((3, 5, 4), (4,), (4,)))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_torchs(torch: Any, approximate: str) -> None:
    x = np.linspace(-8, 8, 101)
    assert_like_torch(
        torch,
        lambda x: mg.gelu(x, approximate=approximate),
        lambda x: torch.nn.functional.gelu(x, approximate=approximate),
        x,
    )


@pytest.mark.parametrize("name", ["silu", "softplus", "sigmoid", "relu", "leaky_relu"])
def test_activations_are_torchs(torch: Any, name: str) -> None:
    theirs = getattr(torch.nn.functional, name)
    x = np.linspace(-8, 8, 100)  # 0, where torch's relu has another slope, is not among them
    tolerant = {"threshold": 1000} if name == "softplus" else {}
    assert_like_torch(torch, TABLE[name], lambda x: theirs(x, **tolerant), x)


def test_erf_is_torchs(torch: Any) -> None:
    assert_like_torch(torch, mg.erf, torch.erf, np.linspace(-7, 7, 1001))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_is_torchs(torch: Any, name: str, axis: int) -> None:
    (x,) = normal((2, 3, 4))
    theirs = getattr(torch, name)
    assert_like_torch(
        torch, lambda x: TABLE[name](x, axis=axis), lambda x: theirs(x, dim=axis), 30 * x
    )


@pytest.mark.parametrize(
    "mask",
    [
        None,
        np.tri(4, 5, dtype=bool),
        np.array([True, True, False, True, False]),
        np.arange(40).reshape(2, 1, 4, 5) % 3 > 0,
    ],
    ids=["all", "causal", "padding", "of each sequence"],
)
def test_attention_is_torchs(torch: Any, mask: Array | None) -> None:
    theirs = None if mask is None else torch.tensor(np.broadcast_to(mask, (2, 3, 4, 5)).copy())
    assert_like_torch(
        torch,
        lambda q, k, v: mg.scaled_dot_product_attention(q, k, v, mask=mask),
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=theirs),
        *normal((2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)),
    )


def test_binary_cross_entropy_is_torchs(torch: Any) -> None:
    assert_like_torch(
        torch,
        mg.binary_cross_entropy_with_logits,
        torch.nn.functional.binary_cross_entropy_with_logits,
        *normal((3, 4), (3, 4)),
    )


@pytest.mark.parametrize(
    ("subscripts", "inputs"),
    [
        ("bthk,bshk->bhts", [(2, 3, 2, 4), (2, 5, 2, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("ijk->ki", [(2, 3, 4)]),
        ("i,j->ji", [(2,), (3,)]),
        ("ij,k->i", [(2, 3), (4,)]),
    ],
)
def test_einsum_is_torchs(torch: Any, subscripts: str, inputs: list[tuple[int, ...]]) -> None:
    assert_like_torch(
        torch,
        lambda *x: np.einsum(subscripts, *x),
        lambda *x: torch.einsum(subscripts, *x),
        *normal(*inputs),
    )


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


def test_a_mask_is_boolean_and_fits_the_scores() -> None:
    q, k = np.ones((2, 3, 4)), np.ones((2, 5, 4))
    with pytest.raises(ValueError, match="the mask is boolean, True = may attend, not float64"):
        mg.scaled_dot_product_attention(q, k, k, mask=np.zeros((3, 5)))
    for scale in (1, 1e3):  # with and without the largest scores taken out
        with pytest.raises(ValueError, match=r"a mask of shape \(7, 2, 3, 5\) for scores of"):
            mg.scaled_dot_product_attention(scale * q, k, k, mask=np.ones((7, 2, 3, 5), bool))


def test_what_is_ignored_may_be_anything() -> None:
    logits = Tensor([[-np.inf, 1.0, 2.0], [-np.inf, 0.0, 1.0]], requires_grad=True)
    loss = mg.cross_entropy(logits, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(loss.data, np.log(1 + np.e))
    loss.backward()
    assert logits.grad is not None and np.array_equal(logits.grad[1], np.zeros(3))
    definition = mg.cross_entropy.definition(logits.data, np.array([1, 0]), ignore_index=0)
    np.testing.assert_allclose(definition, loss.data)


def test_taking_along_an_axis_broadcasts_the_others_as_numpy_does() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(
        np.take_along_axis(Tensor(x), np.array([[1]]), axis=1).data,
        np.take_along_axis(x, np.array([[1]]), axis=1),
    )


@pytest.mark.parametrize("width", [64, 512, 4096])
def test_rows_that_hardly_vary_are_normalised_in_float32(width: int) -> None:
    one, zero = np.ones(width, np.float32), np.zeros(width, np.float32)
    assert not mg.layer_norm(np.full((3, width), 12345.678, np.float32), one, zero).any()
    x = np.random.default_rng(0).normal(1e4, 1, (3, width)).astype(np.float32)
    exact = mg.layer_norm(x.astype(np.float64), one.astype(np.float64), zero.astype(np.float64))
    np.testing.assert_allclose(mg.layer_norm(x, one, zero), exact, atol=1e-5)


def test_empty_rows_have_empty_results() -> None:
    assert mg.softmax(np.zeros((3, 0))).shape == (3, 0)
    attended = mg.scaled_dot_product_attention(
        np.ones((2, 3, 4)), np.ones((2, 0, 4)), np.ones((2, 0, 4))
    )
    assert np.array_equal(attended, np.zeros((2, 3, 4)))


def test_float16_does_not_overflow_in_softmax() -> None:
    x = np.array([12, 12, 11], np.float16)
    np.testing.assert_allclose(mg.softmax(x), mg.softmax(x.astype(np.float64)), atol=1e-3)


@pytest.mark.parametrize("shapes", [((2, 0), (0, 3)), ((4, 2, 0), (0, 3)), ((0, 2), (2, 3))])
def test_a_product_over_nothing_has_gradients_of_its_inputs_shapes(shapes: Any) -> None:
    a, b = (Tensor(np.ones(shape), requires_grad=True) for shape in shapes)
    (a @ b).sum().backward()
    assert a.grad is not None and a.grad.shape == a.shape
    assert b.grad is not None and b.grad.shape == b.shape
    assert not b.grad.any()


LOGITS = np.array([[0.0, 1.0, -2.0, 0.5], [3.0, 3.0, 0.0, -1.0]])


@both_dtypes
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e5, 2e6])
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp", "softmax", "cross_entropy"])
def test_the_size_of_logits_costs_no_digits(name: str, shift: float, dtype: Any) -> None:
    functions: dict[str, Callable[[Any], Any]] = {
        "log_softmax": mg.log_softmax,
        "logsumexp": lambda x: mg.logsumexp(x, axis=-1),
        "softmax": mg.softmax,
        "cross_entropy": lambda x: mg.cross_entropy(x, np.array([1, 2]), label_smoothing=0.1),
    }

    def weighted(x: Any) -> Any:
        y = functions[name](x)
        return np.sum(y * np.arange(1.0, 1 + y.size).reshape(y.shape).astype(y.dtype))

    shifted = (LOGITS + shift).astype(dtype)
    exact = shifted.astype(np.float64) - shift
    if name != "logsumexp":  # whose result is as large as the logits
        values = functions[name](shifted), functions[name](exact)
        np.testing.assert_allclose(*values, rtol=1e-6)
    first, second = mg.grad(weighted), partial(hvp, weighted)
    np.testing.assert_allclose(first(shifted), first(exact), rtol=1e-5, atol=1e-5)
    hessian = second(shifted, LOGITS.astype(dtype)), second(exact, LOGITS)
    np.testing.assert_allclose(*hessian, rtol=1e-5, atol=1e-5)


def test_two_equal_logits_of_any_size_halve_the_probability() -> None:
    for size in (1e5, 2e7, 1e30):
        x = Tensor(np.full(2, size), np.float32, requires_grad=True)
        np.testing.assert_allclose(mg.log_softmax(x).data, np.log([0.5, 0.5]), rtol=1e-6)
        mg.cross_entropy(x[None], np.array([1])).backward()
        assert np.array_equal(x.grad, [0.5, -0.5])
        x.zero_grad()
        mg.logsumexp(x).backward()
        assert np.array_equal(x.grad, [0.5, 0.5])


def test_the_slope_of_a_standard_deviation_of_0_is_0_and_of_none_is_nan() -> None:
    for data, ddof, expected in [([3.0], 0, 0.0), ([2.0, 2.0], 0, 0.0), ([2.0, 2.0], 1, 0.0)]:
        x = Tensor(data, requires_grad=True)
        y = np.std(x, ddof=ddof)
        y.backward()
        assert y.item() == 0
        assert np.array_equal(x.grad, np.full(len(data), expected))
        assert np.isfinite(hvp(lambda x, ddof=ddof: np.std(x, ddof=ddof), x.data, x.data)).all()
    for f in (np.std, np.var):
        for ddof in (1, 2):
            x = Tensor([3.0], requires_grad=True)
            with np.errstate(all="ignore"):
                f(x, ddof=ddof).backward()
            assert np.isnan(x.grad).all()


def test_a_standard_deviation_of_0_is_torchs(torch: Any) -> None:
    x = np.array([[1.0, 2.0, 4.0], [5.0, 5.0, 5.0]])
    assert_like_torch(torch, lambda x: np.std(x, axis=1, ddof=1), lambda x: torch.std(x, dim=1), x)


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


def test_a_long_product_with_a_zero_takes_no_square_of_its_length() -> None:
    x = Tensor(np.r_[0.0, np.ones(100_000)], requires_grad=True)
    np.prod(x).backward()
    assert np.array_equal(x.grad, np.r_[1.0, np.zeros(100_000)])


NOTHING = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_logits_at_ignored_targets_send_nothing(nothing: float, label_smoothing: float) -> None:
    target, kept = np.array([[0, 2], [1, 0]]), np.array([[False, True], [True, False]])
    (data,) = normal((2, 2, 3))
    spoilt = Tensor(np.where(kept[..., None], data, nothing), requires_grad=True)
    options: dict[str, Any] = {"ignore_index": 0, "label_smoothing": label_smoothing}

    def loss(x: Any) -> Any:
        return mg.cross_entropy(x, target, **options)

    loss(spoilt).backward()
    expected = mg.grad(loss)(data)
    np.testing.assert_allclose(loss(spoilt).data, loss(data))
    np.testing.assert_allclose(spoilt.grad, expected)
    assert spoilt.grad is not None and not spoilt.grad[~kept].any()
    second = hvp(loss, spoilt.data, np.ones_like(data))
    np.testing.assert_allclose(second, hvp(loss, data, np.ones_like(data)), atol=1e-15)


def test_a_loss_of_ignored_targets_alone_is_0() -> None:
    x = Tensor(np.full((2, 3), np.nan), requires_grad=True)
    loss = mg.cross_entropy(x, np.zeros(2, int), ignore_index=0)
    loss.backward()
    assert loss.item() == 0
    assert np.array_equal(x.grad, np.zeros((2, 3)))


@pytest.mark.parametrize("nothing", NOTHING)
@pytest.mark.parametrize("mask", [np.array([[True, True, False, False]]), np.tri(2, 4, dtype=bool)])
def test_masked_keys_and_values_send_nothing(mask: Array, nothing: float) -> None:
    draws = list(normal((3, 2, 5), (3, 4, 5), (3, 4, 6)))
    clean, spoilt = ([Tensor(x, requires_grad=True) for x in draws] for _ in range(2))
    for x in spoilt[1:]:
        x.data[:, 2:] = nothing
    for inputs in (clean, spoilt):
        y = mg.scaled_dot_product_attention(*inputs, mask=mask)
        y.backward(np.arange(1.0, 1 + y.size).reshape(y.shape))
    for x, t in zip(clean, spoilt, strict=True):
        np.testing.assert_allclose(t.grad, x.grad, atol=1e-14)

    def f(query: Any, inputs: list[Tensor]) -> Any:
        attended = mg.scaled_dot_product_attention(query, *(x.data for x in inputs[1:]), mask=mask)
        return np.sum(attended**2)

    seconds = [hvp(lambda q, i=i: f(q, i), draws[0], np.ones((3, 2, 5))) for i in (clean, spoilt)]
    np.testing.assert_allclose(seconds[1], seconds[0], atol=1e-12)


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_later_key_does_not_reach_an_earlier_query(nothing: float) -> None:
    query, key, value = normal((3, 5), (3, 5), (3, 2))
    expected = mg.scaled_dot_product_attention(query, key, value, mask=np.tri(3, dtype=bool))
    key[2], value[2] = nothing, nothing
    y = mg.scaled_dot_product_attention(query, key, value, mask=np.tri(3, dtype=bool))
    np.testing.assert_allclose(y[:2], expected[:2])
    assert np.isnan(y[2]).all()


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


@pytest.mark.parametrize("dtype", [f"{kind}{bits}" for kind in "iu" for bits in (1, 2, 4, 8)])
@pytest.mark.parametrize("rows", [1, 2, 64, 65, 127, 256, 1000])
def test_tokens_of_any_dtype_find_their_rows_in_a_table_of_any_size(rows: int, dtype: str) -> None:
    largest = min(rows - 1, np.iinfo(dtype).max)
    tokens = np.array([[0, largest, largest // 2], [largest, largest, 0]], dtype)
    g = np.random.default_rng(0).standard_normal((2, 3, 5))
    weight = Tensor(np.zeros((rows, 5)), requires_grad=True)
    mg.embedding(weight, tokens).backward(g)
    expected = np.zeros((rows, 5))
    np.add.at(expected, tokens.astype(int), g)
    np.testing.assert_allclose(weight.grad, expected)
    if dtype[0] == "i":
        weight.zero_grad()
        mg.embedding(weight, (tokens.astype(int) - rows).clip(-128).astype(dtype)).backward(g)
        expected[:] = 0
        np.add.at(expected, (tokens.astype(int) - rows).clip(-128), g)
        np.testing.assert_allclose(weight.grad, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("rows", "count"), [(65, 1), (70, 1000), (1000, 300), (50_000, 40)])
def test_rows_named_repeatedly_add_what_comes_back(rows: int, count: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    index = np.minimum(rng.zipf(1.3, count) - 1, rows - 1)
    g = rng.integers(-4, 5, (count, 2, 3)).astype(dtype)
    expected = np.zeros((rows, 2, 3))
    np.add.at(expected, index, g.astype(np.float64))
    found = mg.scatter_add(g, index=index, shape=(rows, 2, 3))
    assert found.dtype == dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("rows", [3, 100])
def test_a_row_outside_the_table_is_named(rows: int) -> None:
    weight = Tensor(np.zeros((rows, 2)), requires_grad=True)
    for index in (rows, -rows - 1):
        message = f"index {index} is out of bounds for axis 0 with size {rows}"
        with pytest.raises(IndexError, match=f"embedding: .*{message}"):
            mg.embedding(weight, np.array([0, index]))
        with pytest.raises(IndexError, match=f"scatter_add: .*{message}"):
            mg.scatter_add(np.ones((1, 2)), index=np.array([index]), shape=(rows, 2))


@pytest.mark.parametrize(
    "call",
    [
        "np.sum(x, axis=1, dtype=np.float32)",
        "np.sum(x, 0, np.float32, None, True)",
        "np.sum(x, where=SOME)",
        "np.sum(x, axis=0, initial=2.5, keepdims=True)",
        "np.prod(x, axis=1, initial=3.0, where=SOME)",
        "np.prod(x, 0, np.float32)",
        "np.mean(x, axis=1, where=SOME)",
        "np.mean(x, 0, np.float32, None, True)",
        "np.var(x, axis=1, ddof=1, where=SOME)",
        "np.var(x, 0, np.float32, None, 1)",
        "np.std(x, axis=1, where=SOME, keepdims=True)",
        "np.std(x, 1, None, None, 1, True)",
        "np.max(x, axis=1, initial=0.25)",
        "np.max(x, 1, None, True)",
        "np.min(x, axis=0, initial=0.0, where=SOME)",
        "np.max(x[:, :0], axis=1, initial=1.5)",
        "np.cumsum(x, 1, np.float32)",
        "x.sum(0, float)",
        "x.mean(1, None, None, True)",
        "x.var(0, None, None, 1)",
    ],
)
def test_reductions_take_all_that_numpys_take(call: str) -> None:
    some = np.array([[True, False, True], [False, True, True]])
    (data,) = normal((2, 3))

    def f(x: Any) -> Any:
        return eval(call, {"np": np, "x": x, "SOME": some})

    x = Tensor(data, requires_grad=True)
    y, expected = f(x), f(data)
    np.testing.assert_allclose(y.data, expected, rtol=1e-6, strict=True)
    if y.dtype == np.float64:
        assert gradcheck(f, [data], 2)
    else:
        y.sum().backward()
        exact = eval(call.replace("np.float32", "None"), {"np": np, "x": x, "SOME": some})
        before, x.grad = x.grad, None
        exact.sum().backward()
        np.testing.assert_allclose(before, x.grad, rtol=1e-5, atol=1e-6)


def test_a_mask_without_a_result_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max: where= needs initial="):
        np.max(Tensor([1.0, 2.0]), where=np.array([True, False]))


@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min])
@pytest.mark.parametrize("axis", [0, -1, ()])
def test_a_single_number_has_the_axis_that_numpy_gives_it(f: Any, axis: Any) -> None:
    for data in (2.0, 0.0):
        x = Tensor(data, requires_grad=True)
        f(x, axis=axis).backward()
        assert x.grad == 1
    with pytest.raises(np.exceptions.AxisError):
        f(x, axis=1)


def test_layer_norm_takes_no_weight_and_names_a_wrong_one(torch: Any) -> None:
    theirs = torch.nn.functional.layer_norm
    (x,) = normal((2, 3))
    assert_like_torch(torch, lambda x: mg.layer_norm(x, None, None), lambda x: theirs(x, (3,)), x)
    for weight in (np.ones(2), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"a weight of shape \(3,\), \(1,\) or None is needed"):
            mg.layer_norm(x, weight, None)


HALF: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "sum of squares": (lambda x: np.sqrt(np.sum(x * x / 256)) * 16, [np.full(4, 200.0)]),
    "norm": (mg.norm, [np.full(4, 2e4)]),
    "mean": (np.mean, [np.full(70_000, 100.0)]),
    "std": (np.std, [np.array([-6e4, 6e4, 3e4])]),
    "layer_norm": (mg.layer_norm, [np.array([600.0, 1.0, 2.0]), np.ones(3), np.zeros(3)]),
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


LENGTH_0 = [(mg.norm, np.zeros(3)), (np.std, np.zeros(3)), (np.std, np.full(3, 2.0))]


@pytest.mark.parametrize(("f", "x"), LENGTH_0, ids=["norm", "std of zeros", "std of twos"])
def test_a_length_of_0_has_no_slope_and_no_curvature(f: Callable[[Any], Any], x: Array) -> None:
    assert np.array_equal(mg.grad(f)(x), np.zeros(3))
    assert np.array_equal(mg.hessian(f)(x), np.zeros((3, 3)))
