"""Derivatives as functions of functions: grad, vjp, jvp, jacobian, hessian, hvp.

They take and give arrays where the arguments are arrays, and Tensors, themselves differentiable,
where an argument is a Tensor. So they nest: `grad(grad(f))` is the second derivative.

>>> grad(grad(lambda x: x**3))(2.0)
array(12.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.tensor import Tensor, recording

Function = Callable[..., Any]


class Depth(threading.local):
    """How many transforms are running: an inner one must give Tensors to the outer."""

    value = 0


depth = Depth()


class Traced:
    """A function's result at given arguments, with its graph: what can be pulled back."""

    def __init__(self, f: Function, args: Sequence[Any], argnums: Sequence[int] | None = None):
        chosen = range(len(args)) if argnums is None else argnums
        self.nested = depth.value > 0 or any(isinstance(args[i], Tensor) for i in chosen)
        depth.value += 1
        try:
            with recording(True):
                lifted = list(args)
                for i in chosen:
                    lifted[i] = variable(args[i])
                self.inputs = [lifted[i] for i in chosen]
                y = f(*lifted)
                self.y = y if isinstance(y, Tensor) else Tensor(y)
        finally:
            depth.value -= 1

    @property
    def value(self) -> Any:
        """The result, as a Tensor where the transform is nested."""
        return self.y if self.nested else self.y.data

    def pull(self, g: Any) -> list[Any]:
        """The gradients of the inputs for the incoming gradient `g`."""
        if not self.y.requires_grad:
            found = []
        elif self.nested:
            with recording(True):
                start = g if isinstance(g, Tensor) else Tensor(g)
                found = propagate([(self.y, start)], stop=self.inputs, create_graph=True)
        else:
            found = propagate([(self.y, g)], stop=self.inputs)
        by_order = {tensor.order: g for tensor, g in found}
        results = []
        for x in self.inputs:
            g = by_order.get(x.order)
            if g is None:
                g = np.zeros_like(x.data)
            if self.nested:
                results.append(g if isinstance(g, Tensor) else Tensor(g))
            else:
                results.append(np.asarray(g))
        return results


def variable(x: Any) -> Tensor:
    """A tensor of its own to differentiate by: a new leaf, or an alias that leads on to `x`."""
    if isinstance(x, Tensor) and x.requires_grad:
        alias: Tensor = np.positive(x)  # type: ignore[call-overload]
        return alias
    return Tensor(x, requires_grad=True)


def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that gives (f(x), df/dx) for a scalar-valued `f`.

    argnums: which positional argument(s) to differentiate by; a tuple gives a tuple of gradients.
    ValueError when f(x) is not a single number; TypeError for integer arguments.

    >>> value_and_grad(lambda x: x * x)(3.0)
    (array(9.), array(6.))
    """
    chosen = (argnums,) if isinstance(argnums, int) else argnums

    def value_and_gradient(*args: Any) -> tuple[Any, Any]:
        traced = Traced(f, args, chosen)
        if traced.y.size != 1:
            raise ValueError(
                f"grad: the function gave shape {traced.y.shape}, not one number; use jacobian"
            )
        gradients = traced.pull(seed(traced.y))
        return traced.value, gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return value_and_gradient


def grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that gives the gradient of the scalar-valued `f`; see `value_and_grad`."""
    both = value_and_grad(f, argnums)
    return lambda *args: both(*args)[1]


def vjp(f: Function, *args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """(f(x), pullback): the pullback takes a vector v of f's shape to vᵀ·J, one per argument.

    >>> y, pullback = vjp(lambda a, b: a * b, 2.0, 3.0)
    >>> pullback(1.0)
    (array(3.), array(2.))
    """
    traced = Traced(f, args)

    def pullback(v: Any) -> tuple[Any, ...]:
        return tuple(traced.pull(v if isinstance(v, Tensor) else seed(traced.y, v)))

    return traced.value, pullback


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(f(x), J·v), by pulling back twice: u ↦ uᵀ·J is linear, and its own pullback is J·v.

    >>> jvp(lambda x: x**3, [2.0], [1.0])
    (array(8.), array(12.))
    """
    nested = depth.value > 0 or any(isinstance(x, Tensor) for x in (*primals, *tangents))
    value = None

    def pulled(u: Tensor) -> Any:
        nonlocal value
        traced = Traced(f, primals)
        value = traced.y
        rows = traced.pull(u)
        products = [np.sum(row * v) for row, v in zip(rows, tangents, strict=True)]
        return sum(products[1:], products[0])

    shape_of = Traced(f, primals).y
    u = Tensor(np.zeros_like(shape_of.data)) if nested else np.zeros_like(shape_of.data)
    tangent = grad(pulled)(u)
    assert value is not None
    return (value, tangent) if nested else (value.data, tangent)


def jacobian(f: Function) -> Function:
    """The function that gives J of shape (*f(x).shape, *x.shape), one pull-back per element of f.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def matrix(x: Any) -> Any:
        traced = Traced(f, [x])
        shape = traced.y.shape
        unit = np.zeros_like(traced.y.data)
        rows = []
        for index in np.ndindex(shape):
            unit[index] = 1
            rows.append(traced.pull(unit.copy())[0])
            unit[index] = 0
        return np.reshape(np.stack(rows), shape + traced.inputs[0].shape)

    return matrix


def hessian(f: Function) -> Function:
    """The function that gives the matrix of second derivatives, of shape (*x.shape, *x.shape).

    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f))


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The Hessian of the scalar-valued `f` at `x` times `v`, without forming the matrix.

    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    gradient = grad(f)
    return grad(lambda x: np.sum(gradient(x) * v))(x)
