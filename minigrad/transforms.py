"""Derivatives as functions of functions: grad, vjp, jvp, jacobian, hessian, hvp.

They take and give arrays where the arguments are arrays, and Tensors, themselves differentiable,
where an argument is a Tensor. So they nest: `grad(grad(f))` is the second derivative. They record
for themselves, also under `no_grad`, and leave every `grad` attribute as it is. With plain arrays
the result is plain: to differentiate it by Tensors that `f` refers to, pass `Tensor(x)`.

An argument may be a *tree*: dicts, lists and tuples of arrays, nested in any way; its gradient is
the same tree of gradients. So is what `vjp`, `jvp` and `jacobian` take the derivative of. Keyword
arguments are handed over to `f` as they are.

>>> grad(grad(lambda x: x**3))(2.0)
array(12.)
>>> grad(lambda p, x: p["slope"] * x + p["offset"])({"slope": 2.0, "offset": 1.0}, 3.0)
{'slope': array(3.), 'offset': array(1.)}

The parameters of a model are a tree as well: see `nn.Module.with_parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import wraps
from typing import Any

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.mode import mode, recording
from minigrad.tensor import Tensor

Function = Callable[..., Any]
Argnums = int | Sequence[int]


def branches(tree: Any) -> list[tuple[Any, Any]] | None:
    """(key or index, part) for each part of a tree; None for a leaf. None itself has no parts."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return list(tree.items())
    return list(enumerate(tree)) if isinstance(tree, list | tuple) else None


def leaves(tree: Any) -> list[Any]:
    """The arrays of a tree, in order."""
    parts = branches(tree)
    return [tree] if parts is None else [leaf for _, part in parts for leaf in leaves(part)]


def places(tree: Any, place: str = "") -> list[str]:
    """The path to each leaf as one writes it, such as "['layers'][0]"; "" for a single leaf."""
    parts = branches(tree)
    if parts is None:
        return [place]
    return [path for key, part in parts for path in places(part, f"{place}[{key!r}]")]


def rebuild(like: Any, new: Iterator[Any]) -> Any:
    """A tree of the same structure, whose leaves are the new ones in their order."""
    parts = branches(like)
    if parts is None:
        return next(new)
    grown = {key: rebuild(part, new) for key, part in parts}
    if isinstance(like, dict):
        tree = copy(like)
        tree.update(grown)
        return tree
    if hasattr(like, "_fields"):  # a named tuple
        return type(like)(*grown.values())
    return like if like is None else type(like)(list(grown.values()))


def matching_leaves(tree: Any, like: Any, what: str, place: str = "") -> list[Any]:
    """The leaves of a tree that must have another's structure; ValueError where it differs."""
    parts, wanted = branches(tree), branches(like)
    if wanted is None and parts is None:
        return [tree]
    if wanted is None or parts is None or {k for k, _ in parts} != {k for k, _ in wanted}:
        at = f" at {place}" if place else ""
        raise ValueError(f"{what} is {describe_tree(tree)}{at} where {describe_tree(like)} is due")
    given = dict(parts)
    return [
        leaf
        for key, part in wanted
        for leaf in matching_leaves(given[key], part, what, f"{place}[{key!r}]")
    ]


def describe_tree(tree: Any) -> str:
    """What a tree is, in a few words."""
    if tree is None:
        return "None"
    if isinstance(tree, dict):
        return f"a dict of {', '.join(map(repr, tree)) or 'nothing'}"
    return f"a {type(tree).__name__} of {len(tree)}" if branches(tree) is not None else "an array"


class Call:
    """A call of `f` whose results can be pulled back to the arguments numbered in `argnums`.

    `inputs` are the leaves of these arguments, `results` those of what `f` gave, `y`. ValueError
    when there is no such argument, TypeError when a leaf is not floating.
    """

    def __init__(
        self, f: Function, args: Sequence[Any], params: dict[str, Any], argnums: Sequence[int]
    ):
        count = len(args)
        if any(not -count <= i < count for i in argnums):
            raise ValueError(f"argnums {(*argnums,)}: the function was given {count} arguments")
        if len({i % count for i in argnums}) < len(argnums):
            raise ValueError(f"argnums {(*argnums,)} names an argument twice")
        self.arguments = [args[i] for i in argnums]
        given_tensors = (x for arg in (*args, *params.values()) for x in leaves(arg))
        self.nested = mode.transforms > 0 or any(isinstance(x, Tensor) for x in given_tensors)
        lifted = list(args)
        self.inputs: list[Tensor] = []
        mode.transforms += 1
        try:
            with recording(True):
                for i in argnums:
                    pairs = zip(leaves(args[i]), places(args[i]), strict=True)
                    own = [variable(x, i % count, place) for x, place in pairs]
                    lifted[i] = rebuild(args[i], iter(own))
                    self.inputs += own
                self.y = f(*lifted, **params)
        finally:
            mode.transforms -= 1
        self.results = [x if isinstance(x, Tensor) else Tensor(x) for x in leaves(self.y)]

    @property
    def value(self) -> Any:
        """What `f` gave, as the caller wants it."""
        return rebuild(self.y, iter([deliver(y, self.nested) for y in self.results]))

    def pull(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients by the arguments, each a tree, for one incoming gradient per result.

        None stands for no gradient.
        """
        nested = self.nested or any(isinstance(g, Tensor) for g in gradients)
        roots = [
            (y, deliver(g, nested))
            for y, g in zip(self.results, gradients, strict=True)
            if y.requires_grad and g is not None
        ]
        if len(roots) > 1:  # one root to walk from: the sum whose gradient by each y is its g
            with recording(True):
                products = [np.sum(y * g) for y, g in roots]
                total = sum(products[1:], products[0])
            roots = [(total, deliver(np.ones_like(total.data), nested))]
        found = {}
        for y, g in roots:
            pairs = propagate(y, g, stop=self.inputs, create_graph=nested)
            found = {tensor.order: g for tensor, g in pairs}
        sent = (found.get(x.order, np.zeros_like(x.data)) for x in self.inputs)
        each = iter([deliver(g, nested) for g in sent])
        return [rebuild(argument, each) for argument in self.arguments]

    def one_number(self, name: str) -> Tensor:
        """The only result; ValueError unless it is a single number, TypeError if it is a tree."""
        if branches(self.y) is not None:
            raise TypeError(f"{name}: the function gave {describe_tree(self.y)}, not one number")
        (y,) = self.results
        if y.size != 1:
            raise ValueError(
                f"{name}: the function gave shape {y.shape}, not one number; use jacobian"
            )
        return y


def variable(x: Any, argument: int, place: str) -> Tensor:
    """A tensor of its own to differentiate by: a new leaf, or an alias that leads on to `x`.

    TypeError, which says what stands where, unless it is floating.
    """
    if isinstance(x, Tensor) and x.requires_grad:
        return +x
    try:
        return Tensor(x, requires_grad=True)
    except TypeError as error:
        text = str(error)
        if hasattr(x, "named_parameters"):
            text = "a module; pass dict(model.named_parameters()), and call model.with_parameters"
        raise TypeError(f"argument {argument}{place}: {text}") from None


def deliver(x: Any, nested: bool) -> Any:
    """A result as an array or, where the transform is nested, as a Tensor, recorded if ops are."""
    if not nested:
        return np.asarray(x.data if isinstance(x, Tensor) else x)
    if isinstance(x, Tensor):
        return x if mode.recording else x.detach()
    return Tensor.wrap(x)


def argument_numbers(argnums: Argnums) -> Sequence[int]:
    """`argnums` as a sequence; TypeError for what is not a whole number."""
    numbers = argnums if isinstance(argnums, tuple | list) else (argnums,)
    if not all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in numbers):
        raise TypeError(f"argnums is a number or a tuple of numbers, not {argnums!r}")
    return numbers


def like_argnums(argnums: Argnums, per_argument: Sequence[Any]) -> Any:
    """One value for each argument: a tuple, or the value itself if `argnums` is a number."""
    return tuple(per_argument) if isinstance(argnums, tuple | list) else per_argument[0]


def value_and_grad(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives (f(x), df/dx) for a scalar-valued `f`.

    argnums: which positional argument(s) to differentiate by; a tuple gives a tuple of gradients.
    ValueError when f(x) is not a single number; TypeError for integer arguments.

    >>> value_and_grad(lambda x: x * x)(3.0)
    (array(9.), array(6.))
    >>> grad(lambda x, weights: x[0] * weights["a"] * x[1], argnums=(0, 1))([2.0, 3.0], {"a": 1.0})
    ([array(3.), array(2.)], {'a': array(6.)})
    """
    numbers = argument_numbers(argnums)

    @wraps(f)
    def value_and_gradient(*args: Any, **params: Any) -> tuple[Any, Any]:
        call = Call(f, args, params, numbers)
        gradients = call.pull([seed(call.one_number("grad"))])
        return call.value, like_argnums(argnums, gradients)

    return value_and_gradient


def grad(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the gradient of the scalar-valued `f`; see `value_and_grad`."""
    both = value_and_grad(f, argnums)
    return wraps(f)(lambda *args, **params: both(*args, **params)[1])


def vjp(f: Function, *args: Any, **params: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """(f(x), pullback): the pullback takes a vector v of f's shape to vᵀ·J, one per argument.

    For a tree of results `v` is a tree like it. ValueError where it is not.

    >>> y, pullback = vjp(lambda a, b: a * b, 2.0, 3.0)
    >>> pullback(1.0)
    (array(3.), array(2.))
    """
    call = Call(f, args, params, range(len(args)))

    def pullback(v: Any) -> tuple[Any, ...]:
        vectors = [v] if branches(call.y) is None else matching_leaves(v, call.y, "vjp: the vector")
        for y, vector in zip(call.results, vectors, strict=True):
            if np.shape(vector) != y.shape:
                raise ValueError(
                    f"vjp: a vector of shape {np.shape(vector)} for a result of {y.shape}"
                )
        pairs = zip(call.results, vectors, strict=True)
        return tuple(call.pull([v if isinstance(v, Tensor) else seed(y, v) for y, v in pairs]))

    return call.value, pullback


def jvp(
    f: Function, primals: Sequence[Any], tangents: Sequence[Any], **params: Any
) -> tuple[Any, Any]:
    """(f(x), J·v), by pulling back twice: u ↦ uᵀ·J is linear, and its own pullback is J·v.

    ValueError unless there is one tangent per primal, of the same structure and shapes.

    >>> jvp(lambda x: x**3, [2.0], [1.0])
    (array(8.), array(12.))
    """
    y, pullback = vjp(f, *primals, **params)
    zeros = [np.zeros(np.shape(x), x.dtype if x.dtype.kind == "f" else float) for x in leaves(y)]
    is_tensor = any(isinstance(x, Tensor) for x in leaves(y))
    u = rebuild(y, iter([Tensor(x) for x in zeros] if is_tensor else zeros))
    slope = grad(lambda u, tangents: derivative_along(pullback(u), tangents))
    return y, slope(u, tuple(tangents))


def derivative_along(gradients: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Σ gradient · tangent: the derivative in the direction of the tangents."""
    if len(gradients) != len(tangents):
        raise ValueError(f"{len(tangents)} tangents for {len(gradients)} arguments")
    vectors = [
        x
        for g, v in zip(gradients, tangents, strict=True)
        for x in ([v] if branches(g) is None else matching_leaves(v, g, "the tangent"))
    ]
    pairs = list(zip(leaves(gradients), vectors, strict=True))
    for g, v in pairs:
        if np.shape(g) != np.shape(v):
            raise ValueError(f"a tangent of shape {np.shape(v)} for an argument of {np.shape(g)}")
    return sum(np.sum(g * v) for g, v in pairs)


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives J of shape (*f(x).shape, *x.shape), one pull-back per element of f.

    For trees it gives the tree of f(x) in which the argument's tree, its leaves the blocks of J,
    takes the place of each array.

    >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    >>> jacobian(lambda a, b: {"product": a * b}, argnums=(0, 1))(2.0, 3.0)
    {'product': (array(3.), array(2.))}
    """
    numbers = argument_numbers(argnums)

    @wraps(f)
    def matrix(*args: Any, **params: Any) -> Any:
        call = Call(f, args, params, numbers)
        return rebuild(call.y, (like_argnums(argnums, blocks(call, y)) for y in call.results))

    return matrix


def blocks(call: Call, y: Tensor) -> list[Any]:
    """The derivatives of one result by each argument, a tree of blocks."""
    units = np.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    rows = [leaves(call.pull([unit if x is y else None for x in call.results])) for unit in units]

    def block(k: int, x: Tensor) -> Any:
        shape = y.shape + x.shape
        if y.size == 0:
            return deliver(np.zeros(shape, x.dtype), call.nested)
        return np.reshape(np.stack([row[k] for row in rows]), shape)

    each = iter([block(k, x) for k, x in enumerate(call.inputs)])
    return [rebuild(argument, each) for argument in call.arguments]


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that gives the matrix of second derivatives, of shape (*x.shape, *x.shape).

    For trees and several arguments it is the `jacobian` of the gradient: a block for each pair.

    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Function, x: Any, v: Any, **params: Any) -> Any:
    """The Hessian of the scalar-valued `f` at `x` times `v`, without forming the matrix.

    `x` may be a tree; then so is `v`, and what comes out.

    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    gradient = grad(f)
    return grad(lambda x, v: derivative_along([gradient(x, **params)], [v]))(x, v)
