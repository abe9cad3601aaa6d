"""Derivatives as functions of functions: grad, vjp, jvp, jacobian, hessian, hvp.

They take and give arrays where the arguments are arrays, and Tensors, themselves differentiable,
where an argument is a Tensor. So they nest: `grad(grad(f))` is the second derivative. They record
for themselves, also under `no_grad`, and leave every `grad` attribute as it is. With plain arrays
the result is plain: to differentiate it by Tensors that `f` refers to, pass `Tensor(x)`.

>>> grad(grad(lambda x: x**3))(2.0)
array(12.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.tensor import Tensor, mode, recording

Function = Callable[..., Any]


class Call:
    """A call of `f` whose result `y` can be pulled back to its arguments number `argnums`.

    ValueError when there is no such argument, TypeError when it is not floating.
    """

    def __init__(self, f: Function, args: Sequence[Any], argnums: Sequence[int]):
        if any(not -len(args) <= i < len(args) for i in argnums):
            raise ValueError(f"argnums {(*argnums,)}: the function was given {len(args)} arguments")
        self.nested = mode.transforms > 0 or any(isinstance(x, Tensor) for x in args)
        lifted = list(args)
        mode.transforms += 1
        try:
            with recording(True):
                for i in argnums:
                    lifted[i] = variable(args[i])
                y = f(*lifted)
        finally:
            mode.transforms -= 1
        self.inputs: list[Tensor] = [lifted[i] for i in argnums]
        self.y = y if isinstance(y, Tensor) else Tensor(y)

    @property
    def value(self) -> Any:
        """What `f` gave, as the caller wants it."""
        return given(self.y, self.nested)

    def pull(self, g: Any) -> list[Any]:
        """The gradients of the inputs for the incoming gradient `g`."""
        nested = self.nested or isinstance(g, Tensor)
        found = {}
        if self.y.requires_grad:
            pairs = propagate(self.y, given(g, nested), stop=self.inputs, create_graph=nested)
            found = {tensor.order: g for tensor, g in pairs}
        return [given(found.get(x.order, np.zeros_like(x.data)), nested) for x in self.inputs]


def variable(x: Any) -> Tensor:
    """A tensor of its own to differentiate by: a new leaf, or an alias that leads on to `x`."""
    if isinstance(x, Tensor) and x.requires_grad:
        return +x
    return Tensor(x, requires_grad=True)


def given(x: Any, nested: bool) -> Any:
    """A result as an array or, where the transform is nested, as a Tensor, recorded if ops are."""
    if not nested:
        return np.asarray(x.data if isinstance(x, Tensor) else x)
    if isinstance(x, Tensor):
        return x if mode.recording else x.detach()
    return Tensor.wrap(x)


def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that gives (f(x), df/dx) for a scalar-valued `f`.

    argnums: which positional argument(s) to differentiate by; a tuple gives a tuple of gradients.
    ValueError when f(x) is not a single number; TypeError for integer arguments.

    >>> value_and_grad(lambda x: x * x)(3.0)
    (array(9.), array(6.))
    """
    chosen = (argnums,) if isinstance(argnums, int) else argnums

    def value_and_gradient(*args: Any) -> tuple[Any, Any]:
        call = Call(f, args, chosen)
        if call.y.size != 1:
            raise ValueError(
                f"grad: the function gave shape {call.y.shape}, not one number; use jacobian"
            )
        gradients = call.pull(seed(call.y))
        return call.value, gradients[0] if isinstance(argnums, int) else tuple(gradients)

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
    call = Call(f, args, range(len(args)))

    def pullback(v: Any) -> tuple[Any, ...]:
        if np.shape(v) != call.y.shape:
            raise ValueError(f"vjp: a vector of shape {np.shape(v)} for a result of {call.y.shape}")
        return tuple(call.pull(v if isinstance(v, Tensor) else seed(call.y, v)))

    return call.value, pullback


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(f(x), J·v), by pulling back twice: u ↦ uᵀ·J is linear, and its own pullback is J·v.

    ValueError unless there is one tangent per primal, of the same shape.

    >>> jvp(lambda x: x**3, [2.0], [1.0])
    (array(8.), array(12.))
    """
    y, pullback = vjp(f, *primals)
    u = np.zeros_like(y)
    slope = grad(lambda u, *tangents: along(pullback(u), tangents))
    return y, slope(Tensor(u) if isinstance(y, Tensor) else u, *tangents)


def along(gradients: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Σ gradient · tangent: the derivative in the direction of the tangents."""
    if len(gradients) != len(tangents):
        raise ValueError(f"{len(tangents)} tangents for {len(gradients)} arguments")
    for g, v in zip(gradients, tangents, strict=True):
        if np.shape(g) != np.shape(v):
            raise ValueError(f"a tangent of shape {np.shape(v)} for an argument of {np.shape(g)}")
    return sum(np.sum(g * v) for g, v in zip(gradients, tangents, strict=True))


def jacobian(f: Function) -> Function:
    """The function that gives J of shape (*f(x).shape, *x.shape), one pull-back per element of f.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def matrix(x: Any) -> Any:
        call = Call(f, [x], [0])
        y, shape = call.y, call.y.shape + call.inputs[0].shape
        if y.size == 0:
            return given(np.zeros(shape, call.inputs[0].dtype), call.nested)
        units = np.eye(y.size, dtype=y.dtype).reshape(-1, *y.shape)
        return np.reshape(np.stack([call.pull(unit)[0] for unit in units]), shape)

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
    return grad(lambda x, v: along([gradient(x)], [v]))(x, v)
