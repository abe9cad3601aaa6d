"""How ops are called and compared: with Tensors, with copies broadcast by hand, with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor
from minigrad.check.rows import flatten, nest
from minigrad.op import Example

Array = np.ndarray[Any, Any]

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


def normal(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


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


NOTHING = [np.nan, np.inf, -np.inf]
