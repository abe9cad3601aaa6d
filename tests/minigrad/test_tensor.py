"""What `minigrad.Tensor` promises: written like NumPy, trained like PyTorch, nothing lost."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import Tensor, no_grad

Array = np.ndarray[Any, Any]

X = np.array([[0.7, 1.3, 0.4], [1.9, 0.2, 1.1]])
A = np.array([[1.0, 2.0, 0.5], [3.0, 0.25, 4.0]])


def leaf(data: Any = X, dtype: Any = np.float64) -> Tensor:
    """A tensor that asks for a gradient."""
    return Tensor(data, dtype=dtype, requires_grad=True)


def run(expression: str, t: Any) -> Any:
    """The value of a Python expression in `t`, a (2, 3) tensor, and `a`, an array like it."""
    return eval(expression, {"np": np, "mg": mg, "math": math, "Tensor": Tensor, "t": t, "a": A})


def differences(f: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """The gradient of `f` at `x` by central differences."""
    slopes = np.empty_like(x)
    for index in np.ndindex(x.shape):
        low, high = x.copy(), x.copy()
        low[index] -= step
        high[index] += step
        slopes[index] = (f(high) - f(low)) / (2 * step)
    return slopes


def weighted(y: Tensor) -> Tensor:
    """A number in which every element of `y` has a different weight."""
    return np.sum(y * np.linspace(1.0, 2.0, y.size).reshape(y.shape))


AS_IN_NUMPY = """
np.exp(t)
np.add(t, a)
a * t
t * a
2 - t
t / 2
2 / t
np.float64(2) * t
np.float32(2) * t
[1, 2, 3] * t
t - [1, 2, 3]
(1, 2, 3) + t
a @ t.T
np.ones((4, 2)) @ t
t @ [1, 2, 3]
t**2
2**t
t**0.5
pow(t, 3)
-t
+t
abs(t)
t.T
t.transpose()
t.transpose(1, 0)
t.transpose((1, 0))
t.reshape(-1)
t.reshape(3, 2)
t.reshape((3, -1))
t.ravel()
t.mean(axis=0, keepdims=True)
t.sum(0)
t.sum((0, 1))
t.max(axis=1)
t.clip(0.3, 1.2)
t.swapaxes(0, 1)
t.squeeze()
t.astype(np.float64)
np.sum(t)
np.sum(a=t)
np.sum(t, 0)
np.mean(a=t, axis=1)
np.max(t, axis=1)
np.amax(t, 1)
np.var(t, axis=0, ddof=1)
np.clip(t, 0.3, 1.2)
np.clip(t, a_min=None, a_max=1.2)
np.maximum(t, 0.5)
np.where(t > 0.5, t, 0)
np.where(a > 1, 0, t)
np.concatenate([a, t])
np.concatenate((t, a), 1)
np.concatenate([t, a], dtype=np.float64)
np.stack([t, a])
np.stack([t, t], axis=-1)
np.split(t, 2)[1]
np.split(t, [1], axis=1)[1]
np.squeeze(t[None])
np.expand_dims(t, 0)
np.expand_dims(t, axis=(0, -1))
np.pad(t, 1)
np.pad(t, 1, constant_values=2)
np.pad(t, ((1, 0), (0, 2)), 'constant')
np.linalg.norm(t)
np.linalg.norm(t, axis=1)
np.linalg.norm(x=t, axis=0, keepdims=True)
np.einsum('ij,kj->ik', t, a)
np.einsum('ij,ij', t, a)
np.matmul(t, a.T)
np.dot(t, a.T)
np.outer(t, t)
np.take(t, [0, 0, 1])
np.take(t, [2, 0], 1)
np.take(a=t, indices=[2, 0], axis=1)
np.take_along_axis(t, np.array([[2], [0]]), 1)
np.broadcast_to(t, (2, 2, 3))
np.transpose(t, (1, 0))
np.swapaxes(t, 0, 1)
np.cumsum(t, axis=1)
np.repeat(t, 2, axis=0)
np.tile(t, (2, 1))
np.roll(t, 1, axis=1)
np.flip(t, 0)
np.tril(t)
np.std(t, axis=1)
np.prod(t, axis=0)
t[1]
t[0, 1]
t[-1, ::-1]
t[..., None]
t[None, :, 1:]
t[()]
t[t > 0.5]
t[a > 1]
t[[0, 1, 0]]
t[[True, False]]
t[np.array([0, 0]), 1:]
t[:, [2, 2, 0]]
t[[0, 1], [2, 2]]
t[np.array(1)]
""".strip().splitlines()


@pytest.mark.parametrize("expression", AS_IN_NUMPY)
def test_what_numpy_computes_is_recorded_and_differentiated(expression: str) -> None:
    t = leaf()
    y = run(expression, t)
    assert isinstance(y, Tensor)
    assert y.requires_grad
    assert not y.is_leaf
    expected = run(expression, X)
    np.testing.assert_array_equal(y.data, expected)
    assert y.dtype == np.asarray(expected).dtype
    weighted(y).backward()
    slopes = differences(lambda x: weighted(run(expression, Tensor(x))).item(), X)
    np.testing.assert_allclose(t.grad, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "name", [x for x, f in vars(Tensor).items() if x in mg.TABLE and callable(f)]
)
def test_a_method_is_the_op_of_that_name(name: str) -> None:
    for example in mg.TABLE[name].examples:
        x, *others = example.draw(np.random.default_rng(0))
        params = dict(example.params)
        if name in ("reshape", "transpose"):  # their methods take the numbers one by one
            others = [params.pop(key) for key in ("shape", "axes") if key in params]
        ours = getattr(leaf(x), name)(*others, **params)
        np.testing.assert_array_equal(ours.data, getattr(mg, name)(x, *others, **params))
        assert ours.requires_grad
    assert getattr(Tensor, name).__name__ == name
    assert getattr(Tensor, name).__doc__


def test_an_index_may_be_a_tensor_of_integers_or_booleans() -> None:
    t = leaf()
    y = t[Tensor([1, 0, 1]), Tensor(2)]
    assert [type(part) for part in y.params["index"]] == [np.ndarray, np.ndarray]
    weighted(y).backward()
    np.testing.assert_allclose(t.grad, [[0, 0, 1.5], [0, 0, 3.0]])
    np.testing.assert_array_equal(t[Tensor([False, True])].data, X[[False, True]])


def test_slices_and_ranges_take_integer_tensors() -> None:
    assert leaf()[:, Tensor(1) :].shape == (2, 2)
    assert list(range(Tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        range(Tensor(3.0))  # type: ignore[call-overload]


LOSES_A_GRADIENT = {
    "np.asarray(t)": "np.stack.*detach",
    "np.array([t, t])": "np.stack.*detach",
    "np.array([1.0, t.sum()])": "np.stack.*detach",
    "np.array(t, dtype=object)": "detach",
    "t.numpy()": "detach",
    "Tensor(t)": "detach",
    "Tensor([t, t])": "np.stack",
    "Tensor([t.sum(), 1.0])": "np.stack",
    "a.dot(t)": "detach",
    "np.float32(t.sum())": "detach",
    "np.full((2, 3), t.sum())": "detach",
    "np.random.default_rng(0).normal(t)": "detach",
    "np.pad(t, 1, constant_values=t.sum())": "detach",
    "a.__setitem__(0, t[0])": "detach",
    "t.__setitem__(0, 1.0)": r"item assignment.*np\.where.*\.data",
    "a.__iadd__(t)": r"np\.add\(out=\.\.\.\).*a = a \+ t",
    "np.add(t, 1, out=a)": r"np\.add\(out=\.\.\.\)",
    "np.add(a, 1, out=t)": r"np\.add\(out=\.\.\.\)",
    "np.exp(t, a)": r"np\.exp\(out=\.\.\.\)",
    "np.less(t, 1, out=np.zeros((2, 3), bool))": r"np\.less\(out=\.\.\.\)",
    "np.round(a, out=t)": r"np\.round\(out=\.\.\.\)",
    "np.exp(t, where=a > 1)": r"np\.exp\(where=\.\.\.\).*np\.where",
    "np.add(t, 1, dtype=np.float32)": r"np\.add\(dtype=\.\.\.\).*astype",
    "np.add.reduce(t)": r"np\.add\.reduce.*np\.sum",
    "np.multiply.outer(t, t)": r"np\.multiply\.outer.*np\.outer",
    "np.add.at(t, 0, 1)": r"np\.add\.at",
    "np.sum(t, out=a)": "sum does not take out; its parameters are: axis, keepdims",
    "np.std(t, correction=1)": "std does not take correction",
    "np.full_like(t, t.sum())": r"np\.full_like.*np\.broadcast_to",
    "np.fft.fft(t)": r"np\.fft\.fft.*two real products: t @ np\.fft\.fft\(np\.eye\(n\)\)\.real",
    "np.nextafter(t, t)": r"np\.nextafter.*\.data.*CONTRIBUTING",
    "np.linalg.eig(t[:, :2])": r"np\.linalg\.eig has no derivative rule; use np\.linalg\.eigh",
    "np.linalg.svd(t)": r"svd: .*use full_matrices=False",
    "np.i0(t)": r"np\.i0 has no derivative rule; use np\.mean\(np\.exp",
    "np.unique(t)": r"np\.unique.*return_index",
    "np.copyto(a, t)": r"np\.copyto",
    "np.clip(t, t.sum(), 1)": "clip: no gradient flows to a_min; pass a_min.data",
    "mg.masked_fill(t, a > 1, t.sum())": "masked_fill: no gradient flows to value",
    "mg.scaled_dot_product_attention(t, t, t, mask=t)": "no gradient flows to mask",
    "mg.dropout(t, p=t.sum() / 100)": "no gradient flows to scale",
    "t * 1j": "multiply: complex",
    "np.abs(t * 1j)": "complex",
    "t[:, t]": None,
}


@pytest.mark.parametrize("expression", LOSES_A_GRADIENT)
def test_what_would_lose_a_gradient_is_an_error_that_says_what_to_do(expression: str) -> None:
    before = A.copy()
    with pytest.raises(
        (TypeError, IndexError, ValueError), match=LOSES_A_GRADIENT[expression]
    ) as caught:
        run(expression, leaf())
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(A, before)


@pytest.mark.parametrize("expression", ["np.where(t, a, 2 * a)", "mg.masked_fill(a, t, 0.0)"])
def test_a_mask_is_where_a_number_is_not_zero_and_gets_no_slope(expression: str) -> None:
    t = leaf()
    y = run(expression, t)
    np.testing.assert_array_equal(y.data, run(expression, t.data != 0))
    y.sum().backward()
    np.testing.assert_array_equal(t.grad, np.zeros((2, 3)))


def test_numbers_are_taken_out_of_the_graph_on_purpose() -> None:
    t = leaf([[2.5]])
    assert t.item() == float(t) == np.float64(t.item()) == 2.5
    assert int(t) == 2
    assert type(t.item()) is float
    assert t.tolist() == [[2.5]]
    assert math.sqrt(leaf(4.0).item()) == 2.0
    with pytest.raises(ValueError, match=r"item: shape \(2, 3\) has 6 elements, not one"):
        float(leaf())


PLAIN = """
t < 1
t <= 0.7
1 > t
t >= a
a == t
t == t
t != 0.2
np.less(t, a)
np.isnan(t)
np.isfinite(t)
np.floor(t)
np.sign(t)
np.round(t, 1)
np.floor_divide(t, 2)
t // 2
2 // t
np.any(t > 1)
np.argmax(t)
np.argmax(t, axis=1)
np.argsort(t)
np.nonzero(t > 1)
np.where(t > 1)
t.argmax()
t.argmin(0)
np.zeros_like(t)
np.ones_like(t)
np.shape(t)
np.ndim(t)
np.size(t)
np.allclose(t, t)
np.array_equal(t, a)
np.searchsorted([0.5, 1.0], t)
np.result_type(t, np.float32)
""".strip().splitlines()


@pytest.mark.parametrize("expression", PLAIN)
def test_comparisons_and_questions_give_what_numpy_gives(expression: str) -> None:
    ours, numpys = run(expression, leaf()), run(expression, X)
    assert type(ours) is type(numpys)
    np.testing.assert_equal(ours, numpys)


def test_integers_have_no_gradient() -> None:
    with pytest.raises(TypeError, match=r"not int64; use dtype=np.float32 or .astype\(np.float32"):
        Tensor([1, 2], requires_grad=True)
    with pytest.raises(TypeError, match="not bool"):
        Tensor([True]).requires_grad_()
    with pytest.raises(TypeError, match="not complex128"):
        Tensor([1j], requires_grad=True)
    t = Tensor([1, 2])
    with pytest.raises(TypeError, match="not int64"):
        t.requires_grad = True
    assert not t.requires_grad
    assert t.requires_grad_(False) is t
    assert leaf([1, 2]).dtype == np.float64


@pytest.mark.parametrize("convert", [lambda t: t.astype(int), lambda t: np.astype(t, bool)])
def test_rounding_to_integers_is_constant_and_so_leaves_the_graph(convert: Any) -> None:
    y = convert(leaf())
    assert isinstance(y, Tensor)
    assert y.is_leaf
    assert not y.requires_grad
    assert y.dtype.kind in "ib"


SAME_DTYPE = """
t * 2
2 / t
2.5 - t
t**2
t**0.5
2**t
t / 3
np.maximum(t, 0)
np.minimum(0.5, t)
np.where(t > 0.5, t, 0)
np.where(t > 0.5, 1.5, t)
np.clip(t, 0, 1)
np.clip(t, 0.25, None)
t.mean()
t.mean(axis=1)
t.var()
t.var(axis=0, ddof=1)
t.std()
t.sum()
t.prod()
t.norm()
t.logsumexp()
t.cumsum(1)
t.sigmoid()
t.relu()
t.leaky_relu()
t.gelu()
t.gelu(approximate='tanh')
t.silu()
t.softplus()
t.erf()
t.exp()
t.tanh()
t.log()
t.softmax()
t.log_softmax()
t.masked_fill(t > 1, 0.0)
t.masked_fill(t > 1, -np.inf).softmax()
t.tril()
np.pad(t, 1)
np.pad(t, 1, constant_values=2.5)
np.concatenate([t, t])
t[0] * t[1, 2]
t.sum() * 2.0
2 / t.sum()
t.sum() ** 0.5
mg.dropout(t, 0.5, rng=0)
mg.layer_norm(t, t[0], t[1])
mg.batch_norm(t, t[0], t[1])
mg.linear(t, t, t[:, 0])
mg.cross_entropy(t, np.array([0, 2]))
mg.cross_entropy(t, np.array([0, 2]), label_smoothing=0.1)
mg.mse_loss(t, 0.5)
mg.binary_cross_entropy_with_logits(t, 1.0)
mg.scaled_dot_product_attention(t, t, t)
mg.embedding(t, np.array([1, 0, 1]))
""".strip().splitlines()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("expression", SAME_DTYPE)
def test_python_numbers_never_change_the_dtype(expression: str, dtype: Any) -> None:
    t = leaf(dtype=dtype)
    y = run(expression, t)
    assert y.dtype == dtype
    y.sum().backward()
    assert t.grad is not None
    assert t.grad.dtype == dtype
    assert type(t.grad) is np.ndarray


def test_half_precision_stays_half_precision() -> None:
    t = leaf(dtype=np.float16)
    y = (t * 2 + t**2).sum()
    y.backward()
    assert y.dtype == t.grad.dtype == np.float16
    np.testing.assert_allclose(t.grad, 2 + 2 * X, rtol=1e-2)


def test_in_mixed_precision_each_gradient_has_its_leafs_dtype() -> None:
    single, double = leaf(dtype=np.float32), leaf(A)
    y = (single * double).sum()
    assert y.dtype == np.float64
    y.backward()
    assert single.grad.dtype == np.float32
    assert double.grad.dtype == np.float64
    np.testing.assert_allclose(single.grad, A)
    np.testing.assert_allclose(double.grad, X, rtol=1e-6)


def test_a_gradient_through_a_cast_comes_back_in_the_leafs_dtype() -> None:
    t = leaf(dtype=np.float32)
    t.astype(np.float64).sum().backward()
    assert t.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("data", "dtype"),
    [([1.0, 2], np.float64), ([1, 2], np.int64), ([True], np.bool_), (1.5, np.float64),
     (range(3), np.int64), (np.float32(2), np.float32), (np.ones(2, np.float16), np.float16),
     ([Tensor(1.0), 2.0], np.float64), (Tensor([1, 2]), np.int64)],
)  # fmt: skip
def test_data_becomes_the_array_that_numpy_would_make(data: Any, dtype: Any) -> None:
    t = Tensor(data)
    assert type(t.data) is np.ndarray
    assert t.dtype == dtype
    assert t.is_leaf
    assert not t.requires_grad
    assert t.grad is None


@pytest.mark.parametrize("data", ["text", None, {"a": 1}, [object()], (x for x in "ab")])
def test_data_that_is_not_numbers_is_an_error(data: Any) -> None:
    with pytest.raises(TypeError, match="a Tensor holds numbers, not"):
        Tensor(data)


def test_data_is_copied_and_detach_shares_it() -> None:
    array = X.copy()
    t = leaf(array)
    array[0, 0] = 100.0
    assert t.data[0, 0] == X[0, 0]
    bare = t.detach()
    assert bare.data is t.data
    assert bare.is_leaf
    assert not bare.requires_grad
    assert np.shares_memory(bare.numpy(), t.data)
    assert np.asarray(bare) is t.data
    np.testing.assert_array_equal(np.array(bare, dtype=np.float32), X.astype(np.float32))


def test_no_gradient_flows_through_detach() -> None:
    t = leaf()
    (t * t.detach()).sum().backward()
    np.testing.assert_array_equal(t.grad, X)


def test_requires_grad_is_a_switch_of_leaves() -> None:
    t = Tensor(X)
    assert t.requires_grad_() is t
    assert t.requires_grad
    t.requires_grad = False
    assert not (t * 2).requires_grad
    t.requires_grad = True
    y = t * 2
    assert y.requires_grad_() is y
    with pytest.raises(ValueError, match=r"result of multiply .* use \.detach\(\)"):
        y.requires_grad = False
    assert y.requires_grad


def test_only_what_depends_on_a_leaf_that_asks_is_recorded() -> None:
    y = Tensor(X) * Tensor(A)
    assert y.is_leaf
    assert not y.requires_grad
    assert y.inputs == ()
    assert (y + leaf()).requires_grad


def test_nothing_is_recorded_under_no_grad() -> None:
    t = leaf()
    with no_grad():
        y = np.exp(t) * 2
    assert y.is_leaf
    assert not y.requires_grad
    assert y.inputs == ()
    assert (t * 2).requires_grad


def test_no_grad_nests_decorates_and_survives_errors() -> None:
    t = leaf()

    @no_grad()
    def predict(fail: bool) -> Tensor:
        if fail:
            raise KeyError
        return t * 2

    for _ in range(2):
        assert not predict(fail=False).requires_grad
        with pytest.raises(KeyError):
            predict(fail=True)
        assert (t * 2).requires_grad
    with no_grad():
        with no_grad():
            pass
        assert not (t * 2).requires_grad
    assert (t * 2).requires_grad


def test_no_grad_holds_for_its_own_thread() -> None:
    t, seen = leaf(), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((t * 2).requires_grad))
        thread.start()
        thread.join()
        assert not (t * 2).requires_grad
    assert seen == [True]


def test_operators_in_place_make_a_new_tensor() -> None:
    t = leaf()
    for change in (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow):
        y = change(t, 2)
        assert y is not t
        assert y.requires_grad
    np.testing.assert_array_equal(t.data, X)


def test_iteration_runs_over_the_first_axis_and_is_recorded() -> None:
    t = leaf()
    first, second = t
    weighted(first * second).backward()
    np.testing.assert_allclose(t.grad, X[::-1] * [1.0, 1.5, 2.0])
    assert len(t) == 2
    assert [row.shape for row in t] == [(3,), (3,)]
    with pytest.raises(TypeError, match="0-d"):
        iter(Tensor(1.0))
    with pytest.raises(TypeError):
        len(Tensor(1.0))


def test_truth_is_that_of_a_single_element() -> None:
    assert Tensor([2.0])
    assert not leaf(0.0)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(leaf())


def test_tensors_are_hashed_by_identity_and_compared_by_element() -> None:
    t, twin = leaf(), leaf()
    assert {t: 1, twin: 2}[t] == 1
    assert t in [twin, t][1:]
    assert type(t == twin) is np.ndarray
    assert (t == twin).all()
    assert not (t != twin).any()
    np.testing.assert_array_equal(t == None, np.zeros((2, 3), bool))  # noqa: E711


def test_repr_shows_values_dtype_and_what_made_them() -> None:
    assert repr(Tensor([1.0, 2.5])) == "Tensor([1. , 2.5])"
    assert repr(Tensor([1, 2])) == "Tensor([1, 2])"
    assert repr(leaf(1.5, np.float32)) == "Tensor(1.5, dtype=float32, requires_grad=True)"
    assert repr(leaf([1.0]) * 2) == "Tensor([2.], op=multiply)"
    assert repr(Tensor([[1.0], [2.0]])) == "Tensor([[1.],\n        [2.]])"
    assert str(Tensor(1.0)) == "Tensor(1.)"


def test_format_is_that_of_the_number() -> None:
    loss = leaf([3.14159]).sum()
    assert f"{loss:.2f}" == "3.14"
    assert f"{loss}" == repr(loss)
    with pytest.raises(ValueError, match="elements, not one"):
        f"{leaf():.2f}"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))]
)
def test_a_copy_is_equal_and_independent(duplicate: Callable[[Tensor], Tensor]) -> None:
    t = Tensor(X, dtype=np.float32, requires_grad=True, name="weight")
    (t * 3).sum().backward()
    twin = duplicate(t)
    assert (twin.name, twin.requires_grad, twin.dtype) == ("weight", True, np.float32)
    np.testing.assert_array_equal(twin.data, t.data)
    np.testing.assert_array_equal(twin.grad, t.grad)
    twin.data *= 0
    twin.grad *= 0
    np.testing.assert_array_equal(t.data, X.astype(np.float32))
    np.testing.assert_array_equal(t.grad, np.full((2, 3), 3.0))
    twin.zero_grad()
    twin.sum().backward()
    np.testing.assert_array_equal(twin.grad, np.ones((2, 3)))


def test_a_deep_copy_keeps_tensors_that_are_shared_shared() -> None:
    t = leaf()
    first, second = copy.deepcopy([t, t])
    assert first is second
    assert first is not t


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_result_is_not_copied_without_its_graph(duplicate: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=r"result of multiply .* use \.detach\(\)"):
        duplicate(leaf() * 2)
    assert duplicate((leaf() * 2).detach()) is not None


def test_shape_size_and_dtype_are_those_of_the_data() -> None:
    t = leaf(np.zeros((2, 1, 3)), np.float32)
    assert (t.shape, t.ndim, t.size, t.dtype) == ((2, 1, 3), 3, 6, np.float32)
    assert t.T.shape == (3, 1, 2)


def test_a_name_is_kept() -> None:
    assert Tensor([1.0], name="query").name == "query"
    assert Tensor([1.0]).name is None


@given(
    data=hnp.arrays(np.float64, hnp.array_shapes(max_dims=3), elements=st.floats(-9, 9)),
    draw=st.data(),
)
def test_any_index_that_numpy_takes_selects_and_sends_back(
    data: Array, draw: st.DataObject
) -> None:
    index = draw.draw(
        hnp.basic_indices(data.shape, allow_newaxis=True)
        | hnp.arrays(bool, data.shape)
        | hnp.integer_array_indices(data.shape, result_shape=hnp.array_shapes(max_dims=2))
    )
    t = leaf(data)
    y = t[index]
    np.testing.assert_array_equal(y.data, data[index])
    incoming = np.arange(1.0, y.size + 1).reshape(y.shape)
    y.backward(incoming)
    expected = np.zeros_like(data)
    np.add.at(expected, index, incoming)
    np.testing.assert_array_equal(t.grad, expected)
