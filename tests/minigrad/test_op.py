"""What a row of the table promises: one line adds an op, and every call says what was wrong."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial, wraps
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor
from minigrad.op import argument_names, arguments_of, composite, fused, on, op
from minigrad.table import NUMPY
from minigrad.transforms import grad

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


@pytest.fixture
def new_rows() -> Iterator[None]:
    """Rows that a test enters are taken out again."""
    tables: list[dict[Any, Any]] = [TABLE, NUMPY]
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def leaf(data: Any = X) -> Tensor:
    return Tensor(data, requires_grad=True)


def test_an_op_on_arrays_gives_arrays_and_on_tensors_tensors() -> None:
    assert type(mg.exp(X)) is np.ndarray
    assert type(mg.softmax(X)) is np.ndarray
    assert type(mg.std(X)) is np.float64
    result = mg.exp(Tensor(X))
    assert type(result) is Tensor
    assert not result.requires_grad
    np.testing.assert_array_equal(result.data, np.exp(X))


def test_a_result_remembers_its_op_inputs_params_and_order() -> None:
    a, b = leaf(), leaf()
    product = a * b
    total = np.sum(product, 0, keepdims=True)
    assert product.op is mg.multiply
    assert product.inputs == (a, b)
    assert product.params == {}
    assert total.op is mg.sum
    assert total.inputs[0] is product
    assert total.params == {"axis": 0, "keepdims": True}
    assert a.order < b.order < product.order < total.order
    assert type(np.sum(a).data) is np.ndarray


def test_a_fused_op_keeps_what_its_kernel_saved() -> None:
    q = leaf()
    y = mg.scaled_dot_product_attention(q, q, q)
    np.testing.assert_allclose(y.saved[0].sum(-1), 1)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_rules_kernel_and_definition_of_a_row_take_the_same_params(name: str) -> None:
    row = TABLE[name]
    assert row.name == name
    assert row.arity == len(row.input_names)
    functions = {f for f in (*row.rules, row.joint, row.definition) if f}
    if row.definition:
        functions.add(row.forward)
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        assert set(defaults) == set(row.param_names), function


@pytest.mark.parametrize(
    "function",
    [
        lambda g, y, x, axis=None: g,
        lambda a, b=2, *rest, c, d=4, **others: a,
        lambda *, c, d=4: c,
        partial(lambda a, b, c=3: a, 1),
        wraps(np.ravel)(lambda *args, **params: args),
    ],
)
def test_arguments_are_those_of_the_signature(function: Any) -> None:
    parameters = inspect.signature(function).parameters.values()
    assert arguments_of(function) == (
        tuple(p.name for p in parameters if p.default is p.empty),
        tuple(p.name for p in parameters if p.default is not p.empty),
    )


@pytest.mark.parametrize("function", [f for f, row in NUMPY.items() if argument_names(f)])
def test_a_numpy_function_and_its_row_call_the_params_the_same(function: Any) -> None:
    row = NUMPY[function]
    names = argument_names(function if row.composite else row.unpack or function)
    assert set(row.param_names) - {"subscripts"} <= set(names)


def test_inputs_and_params_go_by_position_or_by_name() -> None:
    weight, bias = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    expected = mg.layer_norm(X, weight, bias, 1e-3)
    np.testing.assert_array_equal(mg.layer_norm(X, bias=bias, eps=1e-3, weight=weight), expected)
    t = leaf()
    y = mg.layer_norm(t, weight, bias=bias, eps=1e-3)
    np.testing.assert_array_equal(y.data, expected)
    assert y.inputs == (t, weight, bias)
    assert y.params == {"eps": 1e-3}
    np.testing.assert_array_equal(mg.take(X, [1], axis=0), mg.take(X, indices=[1], axis=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.sum(foo=1), "sum does not take foo; its parameters are: axis, keepdims"),
        (lambda t: mg.std(t, bad=1), "std does not take bad; its parameters are: axis, ddof, keep"),
        (lambda t: mg.exp(t, axis=0), "exp does not take axis; its parameters are: none"),
        (lambda t: t.softmax(0, 1), "softmax does not take 3 positional arguments; .*: axis"),
        (lambda t: t.sum(0, axis=1), "sum: axis is given twice"),
        (lambda t: mg.layer_norm(t, weight=t), "layer_norm takes x, weight, bias; missing: bias"),
        (lambda t: np.where(t, t), "where takes condition, a, b; missing: b"),
        (lambda t: mg.take(t), "take takes x, indices; missing: indices"),
        (lambda t: mg.exp(), "exp takes x; missing: x"),
        (lambda t: pow(t, 2, 3), "power does not take 3 positional arguments"),
        (lambda t: mg.concatenate([t], foo=1), "concatenate: .*unexpected.*'foo'"),
        (lambda t: mg.stack(), "stack: .*missing"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named_together_with_the_right_ones(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(leaf())


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda t: t + np.ones(4), ValueError, r"^add: \(2, 3\) \+ \(4,\): .*broadcast"),
        (lambda t: np.ones((3, 2)) * t, ValueError, r"^multiply: \(3, 2\) × \(2, 3\): "),
        (lambda t: t @ np.ones((4, 5)), ValueError,
         r"^matmul: \(2, 3\) @ \(4, 5\): inner dimensions 3 and 4 differ$"),
        (lambda t: np.ones(3) @ t, ValueError,
         r"^matmul: \(3,\) @ \(2, 3\): inner dimensions 3 and 2 differ$"),
        (lambda t: t @ np.ones(2), ValueError,
         r"^matmul: \(2, 3\) @ \(2,\): inner dimensions 3 and 2 differ$"),
        (lambda t: t @ np.ones((4, 5, 2)), ValueError, "^matmul: .* dimensions 3 and 5 differ$"),
        (lambda t: np.broadcast_to(t, (4, 2, 3)) @ np.ones((5, 3, 2)), ValueError,
         r"^matmul: \(4, 2, 3\) @ \(5, 3, 2\): "),
        (lambda t: t @ 2.0, ValueError, r"^matmul: \(2, 3\) @ \(\): "),
        (lambda t: t.reshape(4), ValueError, r"^reshape: \(2, 3\): .*\(4,\)"),
        (lambda t: np.concatenate([t, np.ones((2, 2))]), ValueError, r"^concatenate: \(2, 3\), \("),
        (lambda t: np.stack([t, t[0]]), ValueError, r"^stack: \(2, 3\), \(3,\): "),
        (lambda t: np.squeeze(t, 0), ValueError, r"^squeeze: \(2, 3\): "),
        (lambda t: np.split(t, 5), ValueError, "^split: "),
        (lambda t: t.sum(axis=5), np.exceptions.AxisError, r"^sum: \(2, 3\): axis 5 is out of"),
        (lambda t: t.swapaxes(0, 7), np.exceptions.AxisError, r"^swapaxes: \(2, 3\): .*axis 7"),
        (lambda t: t[5], IndexError, r"^getitem: \(2, 3\): index 5 is out of bounds"),
        (lambda t: t[0, 0, 0], IndexError, r"^getitem: \(2, 3\): too many indices"),
        (lambda t: t["a"], IndexError, r"^getitem: \(2, 3\): only integers"),
        (lambda t: mg.cross_entropy(t, np.array([0, 7])), ValueError, "^cross_entropy: .*class 7"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_with_the_op_and_the_shapes(
    call: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call(leaf())
    assert caught.type is kind
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_params_tensor_without_gradient_is_taken_as_an_array() -> None:
    y = np.clip(leaf(), Tensor(-0.5), Tensor(0.5))
    assert type(y.params["a_min"]) is np.ndarray
    np.testing.assert_array_equal(y.data, np.clip(X, -0.5, 0.5))


def test_one_row_adds_an_op(new_rows: None) -> None:
    del NUMPY[np.cbrt]
    with pytest.raises(TypeError, match=r"np\.cbrt has no derivative rule"):
        np.cbrt(leaf())
    cube_root = op(np.cbrt, "∛", lambda g, y, x: g / (3 * y * y), examples=[on((2, 3))])
    t = leaf(8.0)
    y = np.cbrt(t)
    assert y.op is cube_root is TABLE["cbrt"]
    y.backward()
    np.testing.assert_allclose(t.grad, 1 / 12)
    np.testing.assert_allclose(grad(grad(np.cbrt))(8.0), -1 / 144)


def test_a_rule_gives_the_gradient_before_broadcasting_is_undone(new_rows: None) -> None:
    op(np.hypot, "hypot", lambda g, y, a, b: g * a / y, lambda g, y, a, b: g * b / y)
    a, b = leaf(np.full((2, 1), 3.0)), leaf(np.full(3, 4.0))
    np.hypot(a, b).sum().backward()
    np.testing.assert_allclose(a.grad, np.full((2, 1), 3 * 0.6))
    np.testing.assert_allclose(b.grad, np.full(3, 2 * 0.8))


def test_an_input_without_a_rule_has_no_derivative(new_rows: None) -> None:
    scaled = op(lambda x, factor: x * factor, "scale", lambda g, y, x, factor: g * factor, None,
                name="scaled")  # fmt: skip
    t = leaf()
    scaled(t, 3.0).sum().backward()
    np.testing.assert_array_equal(t.grad, np.full((2, 3), 3.0))
    with pytest.raises(TypeError, match="scaled has no derivative by its input 1"):
        scaled(t, leaf(3.0)).sum().backward()


def test_a_fused_op_runs_its_kernel_and_rule_and_its_definition_for_more(new_rows: None) -> None:
    calls = []

    @fused("cube", family="elementwise", examples=[on((2, 3))])
    def cube(x: Any) -> Any:
        """x³."""
        calls.append("definition")
        return x * x * x

    @cube.kernel
    def kernel(x: Any) -> Any:
        calls.append("kernel")
        square = x * x
        return square * x, square

    @cube.rule
    def rule(g: Any, y: Any, saved: Any, x: Any) -> Any:
        calls.append("rule")
        return (3 * g * saved[0],)

    t = leaf(2.0)
    cube(t).backward()
    assert t.grad == 12.0
    assert calls == ["kernel", "rule"]
    assert cube.__doc__ == "x³."
    assert grad(grad(cube))(2.0) == 12.0
    assert grad(grad(grad(cube)))(2.0) == 6.0


def test_a_composite_records_the_ops_of_its_definition(new_rows: None) -> None:
    @composite(np.hypot, family="elementwise", examples=[on((2, 3), (2, 3))])
    def hypotenuse(a: Any, b: Any) -> Any:
        return np.sqrt(a * a + b * b)

    t = leaf(3.0)
    y = np.hypot(t, 4.0)
    assert y.op is mg.sqrt
    assert TABLE["hypotenuse"] is hypotenuse
    y.backward()
    np.testing.assert_allclose(t.grad, 0.6)
    assert hypotenuse(3.0, 4.0) == 5.0


def test_unpack_gathers_inputs_from_lists_and_from_behind_a_param() -> None:
    t = leaf()
    y = mg.concatenate([t, X], axis=1)
    assert y.inputs == (t, X) or (y.inputs[0] is t and y.inputs[1] is X)
    assert y.params == {"axis": 1}
    z = np.einsum("ij,jk", t, X.T)
    assert z.inputs[0] is t
    assert z.params == {"subscripts": "ij,jk->ik"}


def test_examples_draw_numbers_for_shapes_and_keep_arrays() -> None:
    kept = np.array([1, 2])
    example = on((2, 3), [(4,), kept], kept, "ij", domain="positive", axis=1)
    first = example.draw(np.random.default_rng(0))
    again = example.draw(np.random.default_rng(0))
    assert first[0].shape == (2, 3)
    assert (first[0] >= 0.5).all()
    assert (first[0] < 2).all()
    assert first[1][0].shape == (4,)
    assert first[1][1] is kept
    assert first[2] is kept
    assert first[3] == "ij"
    np.testing.assert_array_equal(first[0], again[0])
    assert example.params == {"axis": 1}
    assert on(()).draw(np.random.default_rng(0))[0].shape == ()


def test_a_row_prints_its_name() -> None:
    assert repr(mg.exp) == "<op exp>"
