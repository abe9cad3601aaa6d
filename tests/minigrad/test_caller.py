"""A number does not leave the graph unless one asks for it."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, grad, no_grad


def assigned(x: Any) -> Any:
    a = np.zeros(2)
    a[0] = x
    return a


def assigned_in_place(x: Any) -> Any:
    a = np.zeros(2)
    a[0] += x
    return a


def filled(x: Any) -> Any:
    a = np.zeros(2)
    a.reshape(2, 1).fill(x if a.size else None)
    return a


LOSES: dict[str, Callable[[Any], Any]] = {
    "a[0] = t": assigned,
    "a[0] = 0 + t": assigned_in_place,
    "a[...] = t": lambda x: np.zeros(2).__setitem__(..., x),
    "a[mask] = t": lambda x: np.zeros(2).__setitem__(np.array([True, False]), x),
    "fill": filled,
    "put": lambda x: np.zeros(2).put([0], x),
    "fromiter": lambda x: np.fromiter([x, x], float),
    "fromiter over a generator": lambda x: np.fromiter((x for _ in range(2)), float),
    "float64": lambda x: np.float64(x),
    "float32": lambda x: np.float32(x),
    "array": lambda x: np.array(x),
    "array of a list": lambda x: np.array([x, x]),
    "array of floats": lambda x: np.array([[x]], dtype=float),
    "asarray": np.asarray,
    "full": lambda x: np.full(3, x),
    "arange": lambda x: np.arange(x),
    "ufunc of a list": lambda x: np.exp([x, x]),
    "list times an array": lambda x: np.ones(2) * [x, x],
    "random numbers": lambda x: np.random.default_rng(0).normal(x),
    "vectorize": lambda x: np.vectorize(lambda v: v * 2)(x),
    "Tensor": lambda x: Tensor([x, x]),
    "Python's array": lambda x: array.array("d", [x]),
    "complex": lambda x: complex(x),
    "math.sqrt": lambda x: math.sqrt(x),
    "math.floor": lambda x: math.floor(x),
    "math.log": lambda x: math.log(x + math.sqrt(2)),
    "math.pow": lambda x: math.pow(x, 2),
    "math.fsum": lambda x: math.fsum([x, x]),
}


def loss_of_gradient(f: Callable[[Any], Any], x: Any) -> str:
    """What the error says that names the loss; NumPy puts words of its own around it."""
    with pytest.raises((TypeError, ValueError)) as error:
        f(x)
    found: BaseException | None = error.value
    while found is not None and "would lose the gradient" not in str(found):
        found = found.__cause__
    assert found is not None, error.value
    return str(found)


@pytest.mark.parametrize("f", LOSES.values(), ids=LOSES)
def test_nothing_loses_a_gradient_and_the_words_are_the_same_in_a_transform(
    f: Callable[[Any], Any],
) -> None:
    inside: list[str] = []

    def traced(x: Any) -> Any:
        inside.append(loss_of_gradient(f, x * x))
        return x

    outside = loss_of_gradient(f, Tensor(1.5, requires_grad=True) * 2)
    grad(traced)(1.5)
    assert inside == [outside]
    assert "np.stack" in outside
    assert "\n" not in outside
    f(Tensor(1.5))  # without a gradient there is none to lose


def test_numpy_s_own_error_takes_the_place_of_ours_in_an_assignment_to_flat() -> None:
    a = np.zeros((2, 2))
    with pytest.raises(ValueError, match="Error setting single item"):
        a.flat[1] = Tensor(1.5, requires_grad=True)  # type: ignore[call-overload]
    assert not a.any()


def test_a_number_that_is_asked_for_is_given() -> None:
    t = Tensor(2.25, requires_grad=True) * 1
    assert float(t) == t.item() == t.tolist() == float(t * 1.0) == 2.25
    assert int(t) == 2
    assert list(map(float, [t, t])) == [2.25, 2.25]
    assert [float(x) for x in (t, t)] == [2.25, 2.25]
    assert sum(map(float, [t]), 0.0) == 2.25
    assert f"{t:.1f}" == f"{t.item():.1f}" == "%.1f" % t == f"{float(t):.1f}" == "2.2"  # noqa: UP031
    assert not math.isnan(t)
    assert math.isfinite(t)
    assert math.isclose(float(t), 2.25)
    a = np.zeros(2)
    a[0] = float(t)
    a[1] = t.item()
    a.fill(float(t))
    assert a.tolist() == [2.25, 2.25]
    with no_grad():
        a[0] = t
        assert math.sqrt(t) == 1.5


def test_in_a_transform_printing_is_all_that_a_number_is_good_for() -> None:
    printed: list[str] = []

    def f(x: Any) -> Any:
        printed.extend([f"{x:.2f}", "%.2f" % x, str(x.item())])  # noqa: UP031
        assert math.isfinite(x)  # a question makes no number either
        with pytest.raises(TypeError, match="would lose the gradient"):
            float(x)
        return x * x

    assert grad(f)(0.5) == 1
    assert printed == ["0.50", "0.50", "0.5"]


def test_what_compares_arrays_in_tests_takes_tensors_as_they_are() -> None:
    t = Tensor([1.0, 2.0], requires_grad=True) * 2
    np.testing.assert_allclose(t, [2, 4])
    np.testing.assert_array_equal([2, 4], t)
    np.testing.assert_almost_equal(t.sum(), 6)
    with pytest.raises(AssertionError, match="Mismatched"):
        np.testing.assert_allclose(t, [2, 5])


def test_a_number_is_looked_for_among_all_elements() -> None:
    t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert 4.0 in t
    assert t[0, 1] in t
    assert 5.0 not in t
