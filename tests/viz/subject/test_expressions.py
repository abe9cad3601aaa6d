"""An expression as text computes what Python would, and can do nothing else."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from viz.subject.expressions import evaluate, read_inputs

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5]])


def inputs(**arrays: Any) -> dict[str, Any]:
    """Named Tensors to differentiate by."""
    return {name: Tensor(x, requires_grad=True, name=name) for name, x in arrays.items()}


@pytest.mark.parametrize(
    "text",
    [
        "mean((tanh(x @ w + b) - y)**2)",
        "sum(x[0, 1:] * x.T[1:, 0])",
        "softmax(x, axis=0)[1]",
        "sum(where(x > 0, x, 0.1 * x))",
        "cross_entropy(x, [0, 2])",
        "-x / 2 + +x * 3 - x**2",
        "stack([x, x * 2], axis=0)",
        "reshape(x, shape=(3, 2))",
        'einsum("ij,kj->ik", x, x)',
        "x[[1, 0, 1], ::-1]",
        "gelu(x, approximate='tanh')",
    ],
)
def test_an_expression_computes_what_python_does(text: str) -> None:
    arrays = {"x": X, "w": X.T.copy(), "b": np.array([0.5, 1.0]), "y": np.ones((2, 2))}
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    given_inputs = inputs(**{name: array for name, array in arrays.items() if name in used})
    found = evaluate(text, given_inputs)
    ops: dict[str, Any] = {**mg.TABLE}
    expected = eval(text, {**ops, **given_inputs})
    np.testing.assert_array_equal(found.data, expected.data)
    found.backward(np.ones(found.shape))
    gradients = {name: x.grad.copy() for name, x in given_inputs.items()}
    for x in given_inputs.values():
        x.grad = None
    expected.backward(np.ones(expected.shape))
    for name, x in given_inputs.items():
        np.testing.assert_array_equal(gradients[name], x.grad)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('os').system('true')", "not allowed"),
        ("x.data", "'x.data' is not allowed"),
        ("x.__class__", "not allowed"),
        ("(lambda: x)()", "not allowed"),
        ("[i for i in x]", "not allowed"),
        ("f'{x}'", "not allowed"),
        ("open('f')", "no op is called 'open'"),
        ("softmx(x)", "did you mean softmax"),
        ("sum(*x)", "not allowed"),
        ("sum(**x)", "not allowed"),
        ("(y := x)", "not allowed"),
        ("x if x else x", "not allowed"),
        ("x and x", "not allowed"),
        ("x < x < x", "not allowed"),
        ("z + x", "z is not given; add its shape, as in z=4x3"),
        ("tanh", "tanh is an op; call it"),
        ("x +", "is no expression"),
        ("1 + 1", "x does not occur"),
        ("x @ x", "inner dimensions"),
        ("x[9]", "out of bounds"),
        ("9**9**9**9 * x", "too large"),
        ("1 / 0 * x", "division by zero"),
        ("einsum(3, x)", "an array's axes are a list of integers, not Tensor"),
        ("layer_norm(1, x, x)", "layer_norm takes no (int, Tensor, Tensor)"),
        ("-" * 1999 + "x", "nested too deeply"),
        ("x" * 3000, "at most 2,000 characters"),
    ],
)
def test_everything_else_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"[^\n]*") as caught:
        evaluate(text, inputs(x=X))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=200)
@given(st.text(alphabet="xsum()[]{}.*+-@/:,'\"=<>!0129 _lambdif", max_size=30))
def test_no_text_does_anything_but_compute_or_raise_value_error(text: str) -> None:
    try:
        found = evaluate(text, inputs(x=X))
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found, Tensor)


def test_an_input_that_the_expression_does_not_use_is_named() -> None:
    with pytest.raises(ValueError, match="y does not occur"):
        evaluate("sum(x)", inputs(x=X, y=X))


def test_an_input_called_like_an_op_is_refused() -> None:
    with pytest.raises(ValueError, match="sum is an op; choose another name for the input"):
        evaluate("sum(sum)", inputs(sum=X))


def test_an_expression_of_integers_alone_is_told_to_take_floats() -> None:
    with pytest.raises(ValueError, match=r"nothing to differentiate by; .* of floats"):
        evaluate("max(x)", {"x": np.array([1, 2])})


def test_inputs_are_shapes_numbers_or_lists() -> None:
    found = read_inputs(["x=4x3", "b=2", "c=1.5", "t=[0, 2]", "m=[[1.0, 2.0]]"])
    assert [found[name].shape for name in "xbctm"] == [(4, 3), (2,), (), (2,), (1, 2)]
    assert [isinstance(found[name], Tensor) for name in "xbctm"] == [True, True, True, False, True]
    assert found["x"].requires_grad and found["x"].name == "x"
    np.testing.assert_array_equal(found["x"].data, found["x"].data.round(1))
    whole = read_inputs(["x=4x3"], decimals=None)["x"].data
    np.testing.assert_array_equal(found["x"].data, whole.round(1))
    assert not np.array_equal(whole, whole.round(8))


def test_a_list_may_hold_what_is_no_number() -> None:
    x = read_inputs(["x=[nan, -inf, 1]"])["x"]
    np.testing.assert_array_equal(x.data, [np.nan, -np.inf, 1])


def test_the_seed_decides_the_random_numbers() -> None:
    first, again, other = (read_inputs(["x=2x2"], seed)["x"].data for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("x", "write a name and a shape"),
        ("x=", "write a name and a shape"),
        ("1=2", "write a name and a shape"),
        ("x=0x3", "no element"),
        ("x=99999x99999", "9,999,800,001 elements; the most are 1,000,000"),
        ("x=two", "neither a shape"),
        ("x=['a']", "neither a shape"),
        ("x=[[1], [1, 2]]", "neither a shape"),
    ],
)
def test_other_words_are_no_inputs(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_inputs([word])


def test_an_input_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="x is given twice"):
        read_inputs(["x=2", "x=3"])
