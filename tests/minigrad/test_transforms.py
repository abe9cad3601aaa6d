"""What the function transforms promise: they nest, and leave everything else alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, grad, hessian, hvp, jacobian, jvp, no_grad, value_and_grad, vjp
from minigrad.transforms import leaves, rebuild

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
V = np.array([0.3, -1.2, 0.8])


def leaf(data: Any) -> Tensor:
    return Tensor(data, requires_grad=True)


def energy(x: Any) -> Any:
    """A number whose Hessian is full: products, an exponential, a fused op."""
    return np.sum(np.sin(x) * np.exp(0.3 * x)) + x[0] * x[1] * x[2] + mg.logsumexp(x) ** 2


def curve(x: Any) -> Any:
    """(n,) → (2, n)."""
    return np.stack([np.sin(x) * np.sum(x), x**3])


def test_grad_gives_the_derivative() -> None:
    slope = grad(lambda x: x**3)(2.0)
    assert type(slope) is np.ndarray
    assert slope == 12.0
    np.testing.assert_allclose(grad(lambda x: (x**2).sum())(X), 2 * X)


def test_value_and_grad_gives_the_value_too() -> None:
    value, slope = value_and_grad(lambda x: x**3)(2.0)
    assert (value, slope) == (8.0, 12.0)
    assert type(value) is type(slope) is np.ndarray


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [(0, 9.0), (1, 12.0), (-1, 12.0), ((1, 0), (12.0, 9.0)), ((0,), (9.0,))],
)
def test_argnums_chooses_the_arguments(argnums: Any, expected: Any) -> None:
    def f(a: Any, b: Any) -> Any:
        return a * b * b

    assert grad(f, argnums)(2.0, 3.0) == expected
    assert value_and_grad(f, argnums)(2.0, 3.0) == (18.0, expected)


def test_other_arguments_are_handed_over_as_they_are() -> None:
    def f(x: Any, power: Any, words: Any) -> Any:
        assert power == 3
        assert type(power) is int
        assert words == ["any", "thing"]
        return x**power

    assert grad(f)(2.0, 3, ["any", "thing"]) == 12.0


@pytest.mark.parametrize(
    ("f", "derivatives"),
    [
        (np.sin, [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin]),
        (np.exp, [np.exp] * 5),
        (np.log, [np.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3,
                  lambda x: -6 / x**4]),
        (lambda x: x**4, [lambda x: x**4, lambda x: 4 * x**3, lambda x: 12 * x**2,
                          lambda x: 24 * x, lambda x: 24.0]),
        (lambda x: 1 / x, [lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3,
                           lambda x: -6 / x**4, lambda x: 24 / x**5]),
        (lambda x: mg.sigmoid(x),
         [mg.sigmoid, lambda x: mg.sigmoid(x) * (1 - mg.sigmoid(x)),
          lambda x: mg.sigmoid(x) * (1 - mg.sigmoid(x)) * (1 - 2 * mg.sigmoid(x))]),
    ],
    ids=["sin", "exp", "log", "power", "reciprocal", "sigmoid"],
)  # fmt: skip
def test_grad_nests_to_any_order(f: Any, derivatives: list[Callable[[float], Any]]) -> None:
    for expected in derivatives:
        np.testing.assert_allclose(f(0.7), expected(0.7), rtol=1e-12)
        f = grad(f)


@pytest.mark.parametrize(
    ("f", "at", "expected"),
    [
        (lambda x: x * grad(lambda y: x + y)(1.0), 2.0, 1.0),
        (lambda x: grad(lambda y: x * y)(x), 3.0, 1.0),
        (lambda x: x * grad(lambda y: x * y)(x), 3.0, 6.0),
        (lambda x: x * grad(lambda y: x * y * y)(1.0), 3.0, 12.0),
        (lambda x: grad(lambda x: x * x)(x), 3.0, 2.0),
        (lambda x: grad(lambda y: grad(lambda z: x * y * z)(y))(x) * x, 2.0, 4.0),
        (lambda x: jvp(lambda y: x * y, [1.0], [x])[1], 3.0, 6.0),
        (lambda x: hvp(lambda y: x * y**2, 1.0, x), 3.0, 12.0),
        (lambda x: jacobian(lambda y: x * y * np.ones(2))(x).sum(), 3.0, 2.0),
        (lambda x: vjp(lambda y: x * y, 2.0)[1](x)[0], 3.0, 6.0),
    ],
)
def test_nested_variables_are_not_confused(f: Any, at: float, expected: float) -> None:
    assert grad(f)(at) == expected


def test_a_pullback_can_be_used_inside_another_transform() -> None:
    value, pullback = vjp(lambda a: a**2, 3.0)
    assert value == 9.0
    assert grad(lambda v: pullback(v)[0] * v)(5.0) == 60.0  # d/dv 6 v²


def test_an_ignored_argument_has_a_zero_gradient_of_its_shape_and_dtype() -> None:
    x = np.ones((2, 3), np.float32)
    for f in (lambda x, y: y, lambda x, y: y * 2, lambda x, y: 1.0, lambda x, y: 7):
        slope = grad(f)(x, 2.0)
        assert slope.dtype == np.float32
        np.testing.assert_array_equal(slope, np.zeros((2, 3)))
    assert grad(grad(lambda x: x))(2.0) == 0.0
    np.testing.assert_array_equal(hessian(lambda x: np.sum(x))(V), np.zeros((3, 3)))
    np.testing.assert_array_equal(hvp(lambda x: 3.0, V, V), np.zeros(3))
    np.testing.assert_array_equal(jvp(lambda x: np.ones(2), [V], [V])[1], np.zeros(2))


def test_a_constant_is_a_value_like_any_other() -> None:
    assert value_and_grad(lambda x: 5.0)(1.0) == (5.0, 0.0)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "None"),
        ((1.0, 2.0), "a tuple of 2"),
        ([], "a list of 0"),
        ({"loss": 1.0}, "a dict of 'loss'"),
    ],
)
def test_a_gradient_is_of_one_number(result: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"^grad: the function gave {said}, not one number$"):
        grad(lambda x: result)(1.0)


@pytest.mark.parametrize("transform", [grad, jacobian, hessian, value_and_grad])
@pytest.mark.parametrize("argument", [2, np.array([1, 2]), Tensor([1, 2]), True])
def test_an_integer_argument_is_an_error(transform: Any, argument: Any) -> None:
    with pytest.raises(TypeError, match=r"only floating .* and 1\.0 for 1"):
        transform(lambda x: np.sum(x * 1.0))(argument)


def test_what_cannot_be_differentiated_is_said() -> None:
    with pytest.raises(ValueError, match=r"grad: .* shape \(3,\), not one number; use jacobian"):
        grad(np.sin)(V)
    with pytest.raises(ValueError, match=r"argnums \(1,\): the function was given 1 arguments"):
        grad(np.sin, argnums=1)(2.0)
    with pytest.raises(ValueError, match=r"argnums \(-2,\)"):
        grad(np.sin, argnums=-2)(2.0)
    with pytest.raises(ValueError, match=r"vjp: a vector of shape \(2,\) for a result of \(3,\)"):
        vjp(np.sin, V)[1](np.ones(2))
    with pytest.raises(ValueError, match=r"vjp: a vector of shape \(\)"):
        vjp(np.sin, leaf(V))[1](leaf(1.0))
    with pytest.raises(ValueError, match="1 tangents for 2 arguments"):
        jvp(np.multiply, [V, V], [V])
    with pytest.raises(ValueError, match=r"a tangent of shape \(\) for an argument of \(3,\)"):
        jvp(np.sin, [V], [1.0])
    with pytest.raises(ValueError, match=r"a tangent of shape \(2,\) for an argument of \(3,\)"):
        hvp(np.sum, V, np.ones(2))


def test_arrays_give_arrays_that_belong_to_the_caller() -> None:
    x = V.copy()
    value, pullback = vjp(lambda a, b: a + b, x, x)
    v = np.ones(3)
    first, second = pullback(v)
    for array in (value, first, second):
        assert type(array) is np.ndarray
        assert not np.shares_memory(array, x)
        assert not np.shares_memory(array, v)
    assert not np.shares_memory(first, second)
    (again, _) = pullback(v)
    np.testing.assert_array_equal(first, again)
    assert not np.shares_memory(first, again)


def test_tensors_give_tensors() -> None:
    for x in (Tensor(V), leaf(V)):
        value, slope = value_and_grad(energy)(x)
        products = [*jvp(energy, [x], [V]), *jvp(energy, [V], [x])[1:]]
        maps = [jacobian(curve)(x), hessian(energy)(x), hvp(energy, x, V), hvp(energy, V, x)]
        pulled = vjp(energy, x)[1](1.0)[0]
        for y in (value, slope, *products, *maps, pulled):
            assert type(y) is Tensor
        np.testing.assert_allclose(slope.data, grad(energy)(V), rtol=1e-14)
        np.testing.assert_allclose(maps[1].data, hessian(energy)(V), rtol=1e-14)
        assert x.grad is None


def test_a_derivative_by_a_tensor_leads_back_to_it_and_to_what_f_closed_over() -> None:
    x, w = leaf(V), leaf(3.0)
    slope = grad(lambda x: np.sum(w * x**3))(x)  # 3 w x²
    assert w.grad is None
    (slope * slope).sum().backward()  # 9 w² x⁴
    np.testing.assert_allclose(x.grad, 36 * 9 * V**3)
    np.testing.assert_allclose(w.grad, np.sum(18 * 3 * V**4))


def test_a_tensor_among_the_other_arguments_is_led_back_to_as_well() -> None:
    w = leaf(2.0)
    slope = grad(lambda x, w: np.sum(w * x**2))(V, w)
    slope.sum().backward()
    np.testing.assert_allclose(w.grad, np.sum(2 * V))


@pytest.mark.parametrize("through", ["tangent", "vector"])
def test_a_product_is_differentiable_by_what_it_is_multiplied_with(through: str) -> None:
    v = leaf(V)
    if through == "tangent":
        product = hvp(energy, V, v)
    else:
        (product,) = vjp(grad(energy), V)[1](v)
    product[0].backward()
    np.testing.assert_allclose(v.grad, hessian(energy)(V)[0], rtol=1e-12)


def test_a_gradient_penalty_trains() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 2))
    first = leaf(0.5 * rng.standard_normal((2, 8)))
    second = leaf(0.5 * rng.standard_normal(8))

    def penalty() -> Tensor:
        slope = grad(lambda x: np.sum(np.tanh(x @ first) @ second))(Tensor(x))
        return np.mean((np.linalg.norm(slope, axis=1) - 1) ** 2)

    start = penalty().item()
    for _ in range(100):
        loss = penalty()
        loss.backward()
        for w in (first, second):
            w.data -= 0.3 * w.grad
            w.zero_grad()
    assert penalty().item() < 0.1 * start

    penalty().backward()
    step = np.zeros((2, 8))
    step[1, 3] = 1e-6
    ends = []
    for sign in (1, -1):
        first.data += sign * step
        ends.append(penalty().item())
        first.data -= sign * step
    np.testing.assert_allclose(first.grad[1, 3], (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-9)


def test_no_transform_touches_a_grad() -> None:
    w = leaf(2.0)
    middle = (w * 3).retain_grad()
    w.grad = np.array(7.0)
    for transform in (grad, hessian, jacobian, value_and_grad):
        transform(lambda x: np.sum(w * middle * x**2))(V if transform is not grad else 1.0)
    jvp(lambda x: w * middle * x, [1.0], [1.0])
    hvp(lambda x: w * middle * x**2, 1.0, 1.0)
    vjp(lambda x: w * middle * x**2, leaf(1.0))[1](1.0)
    assert w.grad == 7.0
    assert middle.grad is None


def test_a_function_may_use_results_whose_graph_is_gone() -> None:
    w = leaf(2.0)
    used = w * 3
    used.backward()
    assert grad(lambda x: used * x)(1.0) == 6.0
    assert grad(grad(lambda x: used * x * x))(1.0) == 12.0


def test_transforms_record_for_themselves_under_no_grad() -> None:
    with no_grad():
        assert grad(lambda x: x**2)(3.0) == 6.0
        np.testing.assert_allclose(hessian(lambda x: np.sum(x**2))(V), 2 * np.eye(3))
        assert jvp(np.square, [3.0], [1.0]) == (9.0, 6.0)
        value, slope = value_and_grad(lambda x: x**2)(leaf(3.0))
        assert type(slope) is Tensor
        assert slope.data == 6.0
        assert not value.requires_grad
        assert not slope.requires_grad
        assert not jacobian(np.sin)(leaf(V)).requires_grad


def test_no_grad_inside_a_function_makes_a_constant() -> None:
    def f(x: Any) -> Any:
        with no_grad():
            constant = x * grad(lambda y: y * y)(x)
        return x * constant

    assert grad(f)(3.0) == 18.0  # not 54: x · [2 x²]


def test_a_failing_function_leaves_no_trace() -> None:
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: 1 / 0)(1.0)
    assert type(grad(np.sin)(1.0)) is np.ndarray
    assert not (Tensor(1.0) * 2).requires_grad


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_derivatives_have_the_arguments_dtype(dtype: Any) -> None:
    x = V.astype(dtype)
    results = [grad(energy)(x), jacobian(curve)(x), hessian(energy)(x), hvp(energy, x, x),
               *vjp(np.sin, x)[1](x), *jvp(np.sin, [x], [x])]  # fmt: skip
    assert {y.dtype for y in results} == {np.dtype(dtype)}


def test_jacobian_has_the_results_shape_and_then_the_arguments() -> None:
    matrix = np.arange(24.0).reshape(4, 6)
    found = jacobian(lambda x: matrix @ x.reshape(-1))(X)
    assert found.shape == (4, 2, 3)
    np.testing.assert_allclose(found, matrix.reshape(4, 2, 3))
    assert jacobian(curve)(V).shape == (2, 3, 3)
    assert jacobian(np.sin)(1.0).shape == ()
    assert jacobian(lambda x: x)(V).tolist() == np.eye(3).tolist()


def test_jacobian_of_an_empty_result_or_argument_is_empty() -> None:
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3, 2, 3)
    assert jacobian(lambda x: np.concatenate([x, x]))(np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: np.sum(x) * np.ones(2))(np.zeros((0, 3))).shape == (2, 0, 3)
    assert type(jacobian(lambda x: x[:0])(Tensor(X))) is Tensor


def test_jvp_of_several_primals_is_the_sum_of_jacobians_times_tangents() -> None:
    def f(a: Any, b: Any) -> Any:
        return np.stack([np.sin(a) * b.sum(), a * a]) @ np.ones((3, 2))

    a, b, da, db = V, X, V[::-1].copy(), X[::-1].copy()
    value, tangent = jvp(f, [a, b], [da, db])
    np.testing.assert_allclose(value, f(a, b))
    by_a, by_b = jacobian(lambda a: f(a, b))(a), jacobian(lambda b: f(a, b))(b)
    expected = np.tensordot(by_a, da, 1) + np.tensordot(by_b, db, 2)
    np.testing.assert_allclose(tangent, expected, rtol=1e-12)


def test_jvp_runs_the_function_once() -> None:
    calls = []
    jvp(lambda x: calls.append(1) or x * x, [2.0], [1.0])
    assert len(calls) == 1


points = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(np.array)


@given(x=points, v=points)
def test_products_agree_with_the_matrices(x: Any, v: Any) -> None:
    matrix = hessian(energy)(x)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(hvp(energy, x, v), matrix @ v, rtol=1e-9, atol=1e-9)
    tangent = jvp(curve, [x], [v])[1]
    np.testing.assert_allclose(tangent, jacobian(curve)(x) @ v, rtol=1e-9, atol=1e-9)
    (pulled,) = vjp(curve, x)[1](tangent)
    expected = np.tensordot(tangent, jacobian(curve)(x), 2)
    np.testing.assert_allclose(pulled, expected, rtol=1e-9, atol=1e-9)


@given(x=points)
def test_second_derivatives_agree_with_differences_of_first_ones(x: Any) -> None:
    step = 1e-5 * np.eye(3)
    rows = [(grad(energy)(x + h) - grad(energy)(x - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(hessian(energy)(x), rows, rtol=1e-5, atol=1e-5)


def test_pytorch_gives_the_same() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.autograd.functional
    weight = np.random.default_rng(0).standard_normal((3, 4))

    def ours(x: Any) -> Any:
        hidden = mg.softmax(np.tanh(x @ weight))
        return np.sum(hidden * hidden, axis=-1) + mg.logsumexp(x, axis=-1)

    def theirs(x: Any) -> Any:
        hidden = torch.softmax(torch.tanh(x @ torch.tensor(weight)), -1)
        return (hidden * hidden).sum(-1) + torch.logsumexp(x, -1)

    x, v = torch.tensor(X), torch.tensor(X[::-1].copy())

    def close(mine: Any, reference: Any) -> None:
        np.testing.assert_allclose(mine, reference.numpy(), rtol=1e-10, atol=1e-12)

    def total(x: Any) -> Any:
        return ours(x).sum()

    close(jacobian(ours)(X), functional.jacobian(theirs, x))
    close(jvp(ours, [X], [v.numpy()])[1], functional.jvp(theirs, x, v)[1])
    u = torch.tensor([0.5, -2.0])
    close(vjp(ours, X)[1](u.numpy())[0], functional.vjp(theirs, x, u)[1])
    close(hessian(total)(X), functional.hessian(lambda x: theirs(x).sum(), x))
    close(hvp(total, X, v.numpy()), functional.hvp(lambda x: theirs(x).sum(), x, v)[1])
    close(grad(total)(X), torch.func.grad(lambda x: theirs(x).sum())(x))


@pytest.mark.parametrize("f", [math.sin, lambda x: float(x) ** 2, lambda x: int(x) * x])
def test_leaving_the_graph_inside_a_transform_is_an_error(f: Any) -> None:
    with pytest.raises(TypeError, match="would lose the gradient"):
        grad(f)(1.0)


def test_a_number_can_be_looked_at_inside_a_transform() -> None:
    assert grad(lambda x: x * x if x.item() > 0 else -x)(3.0) == 6


class Pair(NamedTuple):
    """A tree with named parts."""

    left: Any
    right: Any


TREE = {
    "layers": [(X, V), (np.array(0.5), None)],
    "pair": Pair(V * 2, {"deep": X + 1}),
    "none": {},
}


def total(tree: Any) -> Any:
    """A number of which each leaf has its own share, and that mixes two of them."""
    (x, v), (scale, nothing) = tree["layers"]
    assert nothing is None
    pair = tree["pair"]
    assert isinstance(pair, Pair)
    return np.sum(np.tanh(x @ v)) * scale**3 + np.sum(pair.left**2 * v) + np.sum(pair.right["deep"])


def structure(tree: Any) -> Any:
    """The tree with shapes and dtypes for leaves."""
    return rebuild(tree, iter([(np.shape(x), x.dtype) for x in leaves(tree)]))


def test_the_gradient_of_a_tree_is_a_tree() -> None:
    gradient = grad(total)(TREE)
    assert structure(gradient) == structure(TREE)
    assert isinstance(gradient["pair"], Pair)
    assert gradient["layers"][1][1] is None
    np.testing.assert_allclose(gradient["pair"].left, 2 * TREE["pair"].left * V)
    np.testing.assert_array_equal(gradient["pair"].right["deep"], np.ones((2, 3)))
    by_parts = grad(lambda scale: total({**TREE, "layers": [(X, V), (scale, None)]}))(0.5)
    assert gradient["layers"][1][0] == by_parts
    assert grad(lambda tree: 3.0)({}) == {}
    assert grad(lambda tree: 3.0)([V])[0].tolist() == [0, 0, 0]


def test_products_with_the_hessian_of_a_tree_are_right() -> None:
    flat = np.concatenate([x.ravel() for x in leaves(TREE)])
    cuts = np.cumsum([x.size for x in leaves(TREE)])[:-1]

    def tree_of(vector: Any) -> Any:
        parts = np.split(vector, cuts)
        pairs = zip(parts, leaves(TREE), strict=True)
        return rebuild(TREE, iter([part.reshape(np.shape(x)) for part, x in pairs]))

    v = np.random.default_rng(0).standard_normal(flat.shape)
    matrix = hessian(lambda x: total(tree_of(x)))(flat)
    product = hvp(total, TREE, tree_of(v))
    assert structure(product) == structure(TREE)
    np.testing.assert_allclose(np.concatenate([x.ravel() for x in leaves(product)]), matrix @ v)
    whole = hessian(total)(TREE)
    np.testing.assert_allclose(
        np.block([[np.reshape(b, (x.size, -1)) for b in leaves(rows)]
                  for x, rows in zip(leaves(TREE), row_trees(whole), strict=True)]),
        matrix,
    )  # fmt: skip


def row_trees(hessian: Any) -> list[Any]:
    """For each leaf of TREE, in order, the tree of its row of blocks."""
    first, second = hessian["layers"]
    pair = hessian["pair"]
    return [first[0], first[1], second[0], pair.left, pair.right["deep"]]


def test_results_may_be_trees() -> None:
    def f(a: Any, b: Any) -> Any:
        return {"product": a * b, "others": [np.sum(a), (7, b[:1])]}

    value, pullback = vjp(f, V, X[0])
    assert value["others"][1][0] == 7
    ones = {"product": V, "others": [2.0, (0, np.array([3.0]))]}
    by_a, by_b = pullback(ones)
    np.testing.assert_allclose(by_a, V * X[0] + 2)
    np.testing.assert_allclose(by_b, V * V + [3, 0, 0])
    _, tangent = jvp(f, [V, X[0]], [V, X[1]])
    np.testing.assert_allclose(tangent["product"], V * X[0] + V * X[1])
    assert tangent["others"][1][0] == 0
    blocks = jacobian(f, argnums=(0, 1))(V, X[0])
    np.testing.assert_allclose(blocks["product"][0], np.diag(X[0]))
    np.testing.assert_array_equal(blocks["others"][0][1], np.zeros(3))
    np.testing.assert_array_equal(blocks["others"][1][1][1], [[1, 0, 0]])
    assert blocks["others"][1][0][0].shape == (3,)
    assert type(grad(lambda x: np.sum(jacobian(f)(x, V)["product"]))(X[0])) is np.ndarray


def test_trees_of_tensors_give_trees_of_tensors() -> None:
    tree = {"x": leaf(V), "y": [X[0]]}
    slope = grad(lambda t: np.sum(t["x"] ** 2 * t["y"][0]))(tree)
    assert {type(x) for x in leaves(slope)} == {Tensor}
    slope["x"].sum().backward()
    np.testing.assert_allclose(tree["x"].grad, 2 * X[0])


@pytest.mark.parametrize("transform", [grad, value_and_grad, jacobian, hessian])
def test_keyword_arguments_are_handed_over(transform: Any) -> None:
    def f(x: Any, a: Any = 2.0, *, words: Any = None) -> Any:
        assert words in (None, ["any"])
        return x**3 * a

    expected = {grad: 9.0, value_and_grad: (3.0, 9.0), jacobian: 9.0, hessian: 18.0}[transform]
    assert transform(f)(1.0, a=3.0) == expected
    assert transform(f)(1.0, words=["any"], a=3.0) == expected


def test_keyword_arguments_are_handed_over_by_products_too() -> None:
    def f(x: Any, a: Any = 2.0) -> Any:
        return x**3 * a

    assert vjp(f, 1.0, a=3.0)[1](1.0) == (9.0,)
    assert jvp(f, [1.0], [2.0], a=3.0) == (3.0, 18.0)
    assert hvp(f, 1.0, 2.0, a=3.0) == 36.0
    w = leaf(3.0)
    grad(f)(1.0, a=w).backward()
    assert w.grad == 3.0


def test_jacobian_and_hessian_take_argnums() -> None:
    def f(a: Any, b: Any) -> Any:
        return np.sum(np.sin(a) * b**2)

    a, b = V, X[0]
    (aa, ab), (ba, bb) = hessian(f, argnums=(0, 1))(a, b)
    np.testing.assert_allclose(aa, np.diag(-np.sin(a) * b**2), atol=1e-15)
    np.testing.assert_allclose(ab, np.diag(np.cos(a) * 2 * b))
    np.testing.assert_allclose(ba, ab.T)
    np.testing.assert_allclose(bb, np.diag(2 * np.sin(a)))
    np.testing.assert_allclose(hessian(f, -1)(a, b), bb)
    np.testing.assert_allclose(jacobian(np.outer, 1)(a, b).shape, (3, 3, 3))


@pytest.mark.parametrize(
    ("argnums", "error", "said"),
    [
        (2, ValueError, r"argnums \(2,\): the function was given 2 arguments"),
        ((0, -3), ValueError, r"argnums \(0, -3\): the function was given 2"),
        ((1, -1), ValueError, r"argnums \(1, -1\) names an argument twice"),
        ("x", TypeError, "argnums is a number or a tuple of numbers, not 'x'"),
        (True, TypeError, "argnums is a number"),
        ((0, 1.5), TypeError, "argnums is a number"),
    ],
)
@pytest.mark.parametrize("transform", [grad, jacobian, hessian, value_and_grad])
def test_wrong_argnums_are_said(transform: Any, argnums: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=f"^{said}"):
        transform(lambda a, b: a * b, argnums)(1.0, 2.0)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: grad(np.sum)({"w": [1.0, 2]}), TypeError, r"argument 0\['w'\]\[1\]: only float"),
        (lambda: grad(np.multiply, 1)(2.0, ["abc"]), TypeError, r"argument 1\[0\]: a Tensor holds"),
        (lambda: grad(np.sum)("abc"), TypeError, "argument 0: a Tensor holds numbers"),
        (lambda: grad(np.sum)(1j), TypeError, "argument 0: only floating numbers"),
        (lambda: grad(lambda m: 1.0)(mg.nn.Linear(2, 3)), TypeError,
         "argument 0: a module; pass dict"),
        (lambda: hvp(total, TREE, {"layers": []}), ValueError,
         r"the tangent is a dict of 'layers' where a dict of 'layers', 'pair', 'none' is due"),
        (lambda: hvp(lambda x: x["a"][0], {"a": [1.0]}, {"a": 1.0}), ValueError,
         r"the tangent is an array at \['a'\] where a list of 1 is due"),
        (lambda: jvp(lambda x: x[0], [[1.0]], [(1.0, 2.0)]), ValueError,
         "the tangent is a tuple of 2 where a list of 1 is due"),
        (lambda: vjp(lambda x: {"a": x}, 1.0)[1](1.0), ValueError,
         "vjp: the vector is an array where a dict of 'a' is due"),
        (lambda: vjp(lambda x: {"a": x}, 1.0)[1]({"a": V}), ValueError,
         r"vjp: a vector of shape \(3,\) for a result of \(\)"),
        (lambda: jvp(lambda x: x["a"], [{"a": V}], [{"a": 1.0}]), ValueError,
         r"a tangent of shape \(\) for an argument of \(3,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_tree_is_said_in_one_line(call: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=f"^{said}") as raised:
        call()
    assert "\n" not in str(raised.value)


def test_functions_of_every_make_can_be_transformed() -> None:
    class Bowl:
        """A method, and a callable object."""

        depth = 3.0

        def at(self, x: Any) -> Any:
            return self.depth * x**2

        __call__ = at

    @grad
    def slope(x: Any, *others: Any) -> Any:
        """Its text."""
        return x * sum(others)

    assert slope(1.0, 2.0, 3.0) == 5.0
    assert (slope.__name__, slope.__doc__) == ("slope", "Its text.")
    assert grad(Bowl().at)(1.0) == grad(Bowl())(1.0) == 6.0
    assert grad(functools.partial(lambda a, x: a * x, 4.0))(1.0) == 4.0
    assert grad(np.multiply, argnums=1)(2.0, 3.0) == 2.0
    assert grad(lambda *xs: xs[0] * xs[2], argnums=(0, 2))(2.0, 3.0, 4.0) == (4.0, 2.0)
    for number in (5.0, np.float64(5.0), np.float32(5.0), 5, Tensor(5.0)):
        assert grad(lambda x: number)(1.0) == 0.0  # noqa: B023


def test_the_parameters_of_a_model_are_a_tree() -> None:
    model = mg.nn.Sequential(mg.nn.Linear(3, 4, rng=0), mg.tanh, mg.nn.Linear(4, 2, rng=1))
    model.astype(np.float64)
    parameters = {name: x.data.copy() for name, x in model.named_parameters()}

    def loss(p: Any) -> Any:
        return np.sum(model.with_parameters(p)(X) ** 2)

    slopes = grad(loss)(parameters)
    loss_here = np.sum(model(X) ** 2)
    loss_here.backward()
    for name, x in model.named_parameters():
        np.testing.assert_allclose(slopes[name], x.grad, rtol=1e-12)
    product = hvp(loss, parameters, slopes)
    step = {name: x + 1e-6 * slopes[name] for name, x in parameters.items()}
    back = {name: x - 1e-6 * slopes[name] for name, x in parameters.items()}
    for name, h in product.items():
        difference = (grad(loss)(step)[name] - grad(loss)(back)[name]) / 2e-6
        np.testing.assert_allclose(h, difference, rtol=1e-6, atol=1e-8)
    rows = jacobian(lambda p: model.with_parameters(p)(X))(parameters)
    assert rows["2.bias"].shape == (2, 2, 2)
    assert grad(loss)(dict(model.named_parameters()))["0.weight"].shape == (4, 3)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_pytorch_gives_the_same_for_trees() -> None:
    torch = pytest.importorskip("torch")
    func = torch.func

    def f(p: Any, x: Any) -> Any:
        return {"wave": (x @ p["w"]).sum() * p["b"][0], "sum": (p["w"] ** 3).sum(0)}

    p = {"w": X.T.copy(), "b": [np.array(0.5)]}
    q = {"w": torch.tensor(p["w"]), "b": [torch.tensor(0.5, dtype=torch.float64)]}
    ours = jacobian(f, (0, 1))(p, X)
    theirs = func.jacrev(f, (0, 1))(q, torch.tensor(X))
    for y in ("wave", "sum"):
        np.testing.assert_allclose(ours[y][0]["w"], theirs[y][0]["w"])
        np.testing.assert_allclose(ours[y][0]["b"][0], theirs[y][0]["b"][0])
        np.testing.assert_allclose(ours[y][1], theirs[y][1])
    mine = hessian(lambda p: f(p, X)["wave"])(p)
    other = func.hessian(lambda q: f(q, torch.tensor(X))["wave"])(q)
    np.testing.assert_allclose(mine["w"]["b"][0], other["w"]["b"][0])
    np.testing.assert_allclose(mine["b"][0]["w"], other["b"][0]["w"])
