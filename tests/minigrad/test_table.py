"""NumPy's namespace: each public function does with a Tensor what `docs/numpy.md` says of it."""

from __future__ import annotations

import runpy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor
from minigrad.table import CONSTANT, INSTEAD, NUMPY

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = runpy.run_path(str(DOCS / "make_numpy_table.py"))
FUNCTIONS: dict[str, Callable[..., Any]] = dict(SCRIPT["public_functions"]())
DECISIONS = {name: SCRIPT["decision"](name, f) for name, f in FUNCTIONS.items()}

ARRAYS = {
    "m": np.array([[2.0, 0.25, 0.125], [0.25, 1.5, 0.5], [0.125, 0.5, 3.0]]),
    "v": np.array([0.5, 1.5, 2.5]),
    "u": np.array([0.25, 0.5, 0.75]),
    "c": np.arange(8.0).reshape(2, 2, 2),
    "i": np.array([2, 0, 1]),
    "b": np.array([True, False, True]),
}
FORMS = (
    *("m", "v", "v, v", "m, m", "v, i", "v, 1", "m, 1", "u", "m, 0, 1", "v, (3,)", "i, i"),
    *("[v, v]", "[m, m]", "b, v", "v, b, 0.0", "v, i, 0.0", "v + 1", "m, float"),
)
"""What a function may be called with, where nothing else is said: the first that NumPy takes."""

CALLS = {
    "np.apply_along_axis": "np.apply_along_axis(np.sum, 0, m)",
    "np.apply_over_axes": "np.apply_over_axes(np.sum, m, 0)",
    "np.arange": "np.arange(v[0], 3.0)",
    "np.asarray_chkfinite": "np.asarray_chkfinite([v[0], 2.0])",
    "np.astype": "np.astype(m, np.float32)",
    "np.bincount": "np.bincount(np.array([0, 2, 0]), v)",
    "np.asmatrix": "np.asmatrix(m)",
    "np.bitwise_count": "np.bitwise_count(i)",
    "np.bitwise_invert": "np.bitwise_invert(i)",
    "np.bitwise_not": "np.bitwise_not(i)",
    "np.bmat": "np.bmat([[m, m]])",
    "np.choose": "np.choose(np.array([0, 1, 0]), [v, u])",
    "np.cross": "np.cross(v, u)",
    "np.dsplit": "np.dsplit(c, 2)",
    "np.einsum": "np.einsum('ij->j', m)",
    "np.einsum_path": "np.einsum_path('ij,jk', m, m)",
    "np.fromiter": "np.fromiter((x for x in v), float)",
    "np.full": "np.full((2, 3), v)",
    "np.full_like": "np.full_like(m, v[0])",
    "np.interp": "np.interp(u, np.array([0.0, 1.0, 2.0]), v)",
    "np.invert": "np.invert(i)",
    "np.isnat": "np.isnat(m)",
    "np.packbits": "np.packbits(Tensor([1, 0, 1], dtype=np.uint8))",
    "np.percentile": "np.percentile(v, 30)",
    "np.piecewise": "np.piecewise(v, [v > 1], [1.0])",
    "np.put_along_axis": "np.put_along_axis(v, np.array([1]), 0.0, 0)",
    "np.ravel_multi_index": "np.ravel_multi_index((i, i), (3, 3))",
    "np.roll": "np.roll(v, 1)",
    "np.save": "np.save('unused', v)",
    "np.savetxt": "np.savetxt('unused', v)",
    "np.savez": "np.savez('unused', v)",
    "np.savez_compressed": "np.savez_compressed('unused', v)",
    "np.select": "np.select([v > 1], [v])",
    "np.unpackbits": "np.unpackbits(Tensor([1, 0], dtype=np.uint8))",
    "np.unravel_index": "np.unravel_index(i, (3, 3))",
    "np.where": "np.where(b, v, u)",
    "np.linalg.tensorinv": "np.linalg.tensorinv(np.reshape(m, (3, 1, 3)), 1)",
    "np.linalg.tensorsolve": "np.linalg.tensorsolve(m, v)",
}
OWN_ERRORS = {"np.isnat", "np.fromiter"}
"""Where NumPy's own error comes through: it asks dates alone, or says less of what was lost."""


def called(call: str, values: dict[str, Any]) -> Any:
    return eval(call, {"np": np, "Tensor": Tensor, **values})


def call_of(name: str) -> str:
    """A call of a function with arrays that NumPy takes."""
    if name in CALLS:
        return CALLS[name]
    for form in FORMS:
        call = f"{name}({form})"
        try:
            with warnings.catch_warnings(action="error"):
                called(call, {key: x.copy() for key, x in ARRAYS.items()})
        except Exception:
            continue
        return call
    raise AssertionError(f"no form fits {name}: add a call")


def parts(y: Any) -> list[Any]:
    return [inner for part in y for inner in parts(part)] if isinstance(y, list | tuple) else [y]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("name", [name for name, what in DECISIONS.items() if what])
def test_a_function_does_with_a_tensor_what_the_page_says(name: str) -> None:
    call = call_of(name)
    leaves = {key: Tensor(x, requires_grad=x.dtype == float) for key, x in ARRAYS.items()}
    if DECISIONS[name] == "refused" or name in OWN_ERRORS:
        with pytest.raises((TypeError, ValueError)) as caught:
            called(call, leaves)
        assert "\n" not in str(caught.value)
        if "Tensor that requires" not in str(caught.value) and name not in OWN_ERRORS:
            assert str(caught.value).startswith(
                f"{name} has no derivative rule; use {INSTEAD[name]}"
            )
        return
    found = parts(called(call, leaves))
    if DECISIONS[name] == "recorded":
        assert any(isinstance(y, Tensor) and y.requires_grad for y in found), call
    else:
        assert not any(isinstance(y, Tensor) for y in found), call


def test_what_is_filled_in_is_no_tensor_that_would_lose_its_gradient() -> None:
    m = Tensor(ARRAYS["m"], requires_grad=True)
    for call in (lambda: np.full_like(m, m[0, 0]), lambda: np.full_like(m, fill_value=m[0])):
        with pytest.raises(TypeError, match=r"np\.full_like has no derivative rule"):
            call()
    assert np.array_equal(np.full_like(m, 3, shape=2), [3.0, 3.0])


def test_what_else_numpy_takes_gives_its_values() -> None:
    m, v = (Tensor(ARRAYS[name], requires_grad=True) for name in "mv")
    index = Tensor([0, 2])
    np.testing.assert_array_equal(np.where(m), np.nonzero(ARRAYS["m"]))
    np.testing.assert_array_equal(np.delete(v, index).data, [1.5])
    np.testing.assert_array_equal(np.insert(v, index, 9.0).data, [9.0, 0.5, 1.5, 9.0, 2.5])
    np.testing.assert_array_equal(m.argmax(1, keepdims=True), [[0], [1], [2]])
    assert np.array_equal(np.resize(m[:0], (2, 3)).data, np.zeros((2, 3)))
    assert np.all(m, out=None)
    np.testing.assert_array_equal(m.argmin(axis=0, keepdims=True), [[2, 0, 0]])


def test_every_function_that_takes_arrays_is_decided() -> None:
    dates = {"np.busday_count", "np.busday_offset", "np.is_busday", "np.datetime_as_string"}
    for name, function in FUNCTIONS.items():
        if isinstance(function, np.ufunc) or hasattr(function, "_implementation"):
            assert DECISIONS[name] or name in dates, name


def test_no_function_is_decided_twice() -> None:
    assert not CONSTANT & {*NUMPY}
    assert not {name for name in INSTEAD if FUNCTIONS.get(name) in {*NUMPY, *CONSTANT}}


def test_the_page_is_up_to_date() -> None:
    text = (DOCS / "numpy.md").read_text(encoding="utf-8")
    version = ".".join(np.__version__.split(".")[:2])
    if f"(NumPy {version})" not in text:
        pytest.skip(f"the page is about another NumPy than {version}")
    assert text == SCRIPT["page"](), "run python docs/make_numpy_table.py"
