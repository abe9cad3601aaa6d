"""Op: a NumPy function and one derivative rule per argument.

A row of the table reads as calculus:

    multiply = op(np.multiply, "×", lambda g, y, a, b: g * b,       # ∂/∂a
                                    lambda g, y, a, b: g * a)       # ∂/∂b

A rule takes the incoming gradient `g`, the result `y`, the op's own inputs and its params, and
gives the gradient for one input, before broadcasting is undone: the engine does that, once. It is
plain NumPy, so it runs on arrays (an ordinary backward pass) and on Tensors (a recorded one, from
which second derivatives follow). The rule's signature also says which params the op has.

A *fused* op is a definition in smaller ops, a hand-written array `kernel` and one joint `rule`:

    @fused("softmax", family="norm", examples=[on((2, 3))])
    def softmax(x, axis=-1): ...             # the definition: what it means
    @softmax.kernel
    def softmax_kernel(x, axis=-1): ...      # returns (y, *saved)
    @softmax.rule
    def softmax_rule(g, y, saved, x, axis=-1): ...   # returns one gradient per input

A *composite* is a definition alone: calling it records the smaller ops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.tensor import NUMPY, TABLE, Tensor, mode

Rule = Callable[..., Any]
Unpack = Callable[..., tuple[Sequence[Any], dict[str, Any]]]


@dataclass(frozen=True)
class Example:
    """Inputs to try an op on: a tuple is a shape to draw numbers for, an array is used as it is.

    `domain` is where the numbers come from: "real" (normal), "positive" (0.5 to 2) or "unit"
    (0.1 to 0.9).
    """

    inputs: tuple[Any, ...]
    domain: str
    params: dict[str, Any]

    def draw(self, rng: np.random.Generator) -> list[Any]:
        """The inputs as arrays, float64 where a shape was given."""
        draws: dict[str, Callable[[tuple[int, ...]], Any]] = {
            "real": lambda shape: rng.standard_normal(shape),
            "positive": lambda shape: rng.uniform(0.5, 2.0, shape),
            "unit": lambda shape: rng.uniform(0.1, 0.9, shape),
        }
        draw = draws[self.domain]
        return [np.asarray(draw(x)) if isinstance(x, tuple) else x for x in self.inputs]


def on(*inputs: Any, domain: str = "real", **params: Any) -> Example:
    """An Example: shapes or arrays for the inputs, then the params."""
    return Example(inputs, domain, params)


@dataclass(eq=False)
class Op:
    """One row of the table. Calling it on arrays gives an array, on Tensors a Tensor."""

    name: str
    symbol: str
    family: str
    forward: Callable[..., Any]
    rules: tuple[Rule | None, ...] = ()
    joint: Rule | None = None
    definition: Callable[..., Any] | None = None
    examples: Sequence[Example] = ()
    unpack: Unpack | None = None
    arity: int | None = None
    param_names: tuple[str, ...] = ()
    composite: bool = field(default=False)

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Compute, and record the result if an input requires a gradient."""
        if self.composite:
            return self.forward(*args, **params)
        if self.unpack is not None:
            args, params = self.unpack(*args, **params)  # type: ignore[assignment]
        elif len(args) != self.arity or params:
            args, params = self._bind(args, params)
        arrays = []
        any_tensor = tracked = False
        for x in args:
            if isinstance(x, Tensor):
                arrays.append(x.data)
                any_tensor = True
                if x.requires_grad:
                    tracked = True
            else:
                arrays.append(x)
        try:
            result = self.forward(*arrays, **params)
        except (ValueError, IndexError, np.exceptions.AxisError) as error:
            raise self._explained(error, arrays) from None
        if self.joint is not None:
            result, *saved = result
        else:
            saved = ()  # type: ignore[assignment]
        if not any_tensor:
            return result
        if type(result) is not np.ndarray:
            result = np.asarray(result)
        if tracked and mode.recording:
            return Tensor.wrap(result, self, tuple(args), params, tuple(saved))
        return Tensor.wrap(result)

    def _bind(
        self, args: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Inputs and params told apart, as `sum(x, 0)` and `sum(x, axis=0)` mean the same."""
        arity = self.arity or 0
        missing = arity - len(args)
        if missing > 0:  # an input may be given by its name: layer_norm(x, weight=w, bias=b)
            names = self.input_names[len(args) :]
            if not all(name in params for name in names):
                raise TypeError(f"{self.name}: expected {arity} inputs, got {len(args)}")
            args += tuple(params[name] for name in names)
            params = {key: x for key, x in params.items() if key not in names}
        params = dict(zip(self.param_names, args[arity:], strict=False)) | params
        unknown = [key for key in params if key not in self.param_names]
        if unknown or len(args) - arity > len(self.param_names):
            what = ", ".join(unknown) or f"{len(args)} positional arguments"
            takes = ", ".join(self.param_names) or "none"
            raise TypeError(f"{self.name} does not take {what}; its parameters are: {takes}")
        for key, x in params.items():
            if isinstance(x, Tensor):
                if x.requires_grad:
                    raise TypeError(f"{self.name}: no gradient flows to {key}; pass {key}.data")
                params[key] = x.data
        return args[:arity], params

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the row calls its inputs."""
        rule = self.definition or next(rule for rule in self.rules if rule)
        names = [
            p.name
            for p in inspect.signature(rule).parameters.values()
            if p.default is p.empty
        ]
        return tuple(names if self.definition else names[2:])

    def _explained(self, error: Exception, arrays: list[Any]) -> Exception:
        """The same error in one line with the op's name and the shapes that met."""
        shapes = [np.shape(x) for x in arrays]
        if self.name == "matmul" and all(shapes):
            inner = shapes[0][-1], shapes[1][-2 if len(shapes[1]) > 1 else 0]
            if inner[0] != inner[1]:
                return ValueError(
                    f"matmul: {shapes[0]} @ {shapes[1]}: inner dimensions "
                    f"{inner[0]} and {inner[1]} differ"
                )
        text = str(error).strip().split("\n")[0]
        kind = IndexError if isinstance(error, IndexError) else ValueError
        return kind(f"{self.name}: {', '.join(map(str, shapes))}: {text}")

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the array code that computes this fused op, returning (y, *saved)."""
        self.forward = function
        return function

    def rule(self, function: Rule) -> Rule:
        """Decorator: the joint rule of this fused op, returning one gradient per input."""
        self.joint = function
        return function

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def register(row: Op, also: Iterable[Callable[..., Any]]) -> Op:
    """Enter a row in the table, under its name and under the NumPy functions that it differentiates."""
    TABLE[row.name] = row
    for function in also:
        NUMPY[function] = row
    return row


def op(
    function: Callable[..., Any],
    symbol: str,
    *rules: Rule | None,
    family: str = "elementwise",
    name: str | None = None,
    numpy: Sequence[Callable[..., Any]] | None = None,
    definition: Callable[..., Any] | None = None,
    unpack: Unpack | None = None,
    examples: Sequence[Example] = (),
) -> Op:
    """A row with one rule per input; `None` for an input that has no derivative, such as a mask.

    `numpy` lists the NumPy functions that mean this op (by default `function` itself, if it is
    NumPy's); `unpack` turns NumPy's calling convention into (inputs, params) where inputs come
    in a list or after a param.
    """
    rule = next(rule for rule in rules if rule)
    parameters = list(inspect.signature(rule).parameters.values())[2:]  # after g and y
    names = tuple(p.name for p in parameters if p.default is not p.empty)
    is_numpy = isinstance(function, np.ufunc) or function.__module__.startswith("numpy")
    row = Op(
        name or function.__name__.strip("_"),
        symbol,
        family,
        function,
        rules,
        definition=definition,
        unpack=unpack,
        examples=examples,
        arity=None if unpack else len(parameters) - len(names),
        param_names=names,
    )
    return register(row, numpy if numpy is not None else [function] if is_numpy else [])


def fused(
    symbol: str, *, family: str, examples: Sequence[Example]
) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: an op given by its definition, to be followed by its `kernel` and its `rule`."""

    def enter(definition: Callable[..., Any]) -> Op:
        parameters = inspect.signature(definition).parameters.values()
        names = tuple(p.name for p in parameters if p.default is not p.empty)
        row = Op(
            definition.__name__,
            symbol,
            family,
            definition,
            definition=definition,
            examples=examples,
            arity=len(parameters) - len(names),
            param_names=names,
        )
        row.__doc__ = definition.__doc__
        return register(row, [])

    return enter


def composite(
    *numpy: Callable[..., Any], family: str, examples: Sequence[Example]
) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: an op that is its definition: calling it records the smaller ops."""

    def enter(definition: Callable[..., Any]) -> Op:
        row = Op(
            definition.__name__,
            definition.__name__,
            family,
            definition,
            definition=definition,
            examples=examples,
            composite=True,
        )
        row.__doc__ = definition.__doc__
        return register(row, numpy)

    return enter
