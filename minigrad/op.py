"""Op: a NumPy function and one derivative rule per argument.

A row of the table reads as calculus:

    multiply = op(np.multiply, "×", lambda g, y, a, b: g * b,       # ∂/∂a
                                    lambda g, y, a, b: g * a)       # ∂/∂b

A rule takes the incoming gradient `g`, the result `y`, the op's own inputs and its params, and
gives the gradient for one input, before broadcasting is undone: the engine does that, once. It is
plain NumPy, so it runs on arrays (an ordinary backward pass) and on Tensors (a recorded one, from
which second derivatives follow). The rule's signature also says which params the op has. Where an
op takes any number of inputs, one rule serves them all: (g, y, i, *parts) gives the gradient for
parts[i].

A *fused* op is a definition in smaller ops, a hand-written array `kernel` and one joint `rule`. The
rule is written for speed, so a `formula` states it for the reader:

    @fused("softmax", family="norm", examples=[on((2, 3))])
    def softmax(x, axis=-1): ...             # the definition: what it means
    @softmax.kernel
    def softmax_kernel(x, axis=-1): ...      # returns (y, *saved)
    @softmax.rule
    def softmax_rule(g, y, saved, x, axis=-1): ...   # returns one gradient per input
    @softmax.formula
    def softmax_formula(g, y, x, axis=-1): ...       # the same, as calculus has it

A *composite* is a definition alone: calling it records the smaller ops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import FunctionType
from typing import Any

import numpy as np

from minigrad.mode import mode
from minigrad.table import NUMPY, TABLE
from minigrad.tensor import Tensor

Rule = Callable[..., Any]
Unpack = Callable[..., tuple[Sequence[Any], dict[str, Any]]]


@dataclass(frozen=True)
class Example:
    """A call to try an op with: a tuple is a shape to draw numbers for, a list is a list of inputs,
    anything else is used as it is.

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

        def drawn(x: Any) -> Any:
            if isinstance(x, list):
                return [drawn(item) for item in x]
            return np.asarray(draws[self.domain](x)) if isinstance(x, tuple) else x

        return [drawn(x) for x in self.inputs]


def on(*inputs: Any, domain: str = "real", **params: Any) -> Example:
    """An Example: shapes or arrays for the inputs, then the params."""
    return Example(inputs, domain, params)


SUMMING = frozenset({"reduce", "norm", "loss", "matmul", "activation"})
"""The families whose ops take many steps to a result: float16 would overflow or lose digits."""


def is_half(x: Any) -> bool:
    """Whether `x` holds float16 numbers."""
    return getattr(x, "dtype", None) is not None and x.dtype.char == "e"


def as_float32(x: Any) -> Any:
    """An array or Tensor of float16 numbers as one of float32; anything else as it is."""
    return x.astype(np.float32) if is_half(x) else x


def as_float16(x: Any) -> Any:
    """An array or Tensor of float32 numbers as one of float16; anything else as it is."""
    return x.astype(np.float16) if x.dtype == np.float32 else x


def in_float32(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    params: dict[str, Any],
    saves: bool = False,
) -> Any:
    """function(*inputs, **params), computed in float32 if its arrays are float16, as in PyTorch.

    Results are float16 again; what a kernel `saves` for its rule stays as it is.
    """
    result = function(*map(as_float32, inputs), **params)
    if not any(map(is_half, inputs)) or any(getattr(x, "dtype", 0) == np.float32 for x in inputs):
        return result
    if not isinstance(result, tuple):
        return as_float16(result)
    if saves:
        return as_float16(result[0]), *result[1:]
    parts = map(as_float16, result)
    return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)


@dataclass(eq=False)
class Op:
    """One row of the table. Calling it on arrays gives an array, on Tensors a Tensor."""

    name: str
    symbol: str
    family: str
    forward: Callable[..., Any]
    rules: tuple[Rule | None, ...] = ()
    joint: Rule | None = None
    statement: Rule | None = None
    definition: Callable[..., Any] | None = None
    examples: Sequence[Example] = ()
    unpack: Unpack | None = None
    composite: bool = False
    in_words: bool = False
    is_variadic: bool = field(init=False)
    input_names: tuple[str, ...] = field(init=False)
    param_names: tuple[str, ...] = field(init=False)
    arity: int = field(init=False)
    further: Callable[..., Any] | None = None
    all_names: tuple[str, ...] = field(init=False)
    takes_steps: bool = field(init=False)
    numpy: Sequence[Callable[..., Any]] = ()

    def __post_init__(self) -> None:
        """Read the names of inputs and params off the signature: params have a default."""
        rule = self.definition or next(rule for rule in self.rules if rule)
        self.is_variadic = takes_any_number(rule)
        before = () if self.definition else ("g", "y", "i") if self.is_variadic else ("g", "y")
        required, self.param_names = arguments_of(rule)
        self.input_names = required[len(before) :]
        self.arity = len(self.input_names)
        self.all_names = self.param_names
        self.takes_steps = self.family in SUMMING

    @cached_property
    def positions(self) -> tuple[str, ...]:
        """The params in the order in which they may be given by position, which is NumPy's."""
        if self.param_names and self.unpack is None:
            for names in map(argument_names, reversed(self.numpy)):
                if names:
                    return names[self.arity :]
        return self.param_names

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Compute, and record the result if an input requires a gradient."""
        if self.unpack is not None:
            args, params = self._unpacked(args, params)
        elif len(args) != self.arity or params:
            args, params = self._bind(args, params)
            if self.further is not None and any(key not in self.param_names for key in params):
                return self.further(*args, **params)
        if self.composite:
            if mode.watcher is not None:
                return mode.watcher.composed(self, args, params)
            if self.takes_steps:
                return in_float32(self.forward, args, params)
            return self.forward(*args, **params)
        arrays = []
        any_tensor = tracked = False
        for i, x in enumerate(args):
            if isinstance(x, Tensor):
                arrays.append(x._data)
                any_tensor = True
                if x.tracked:
                    tracked = True
            else:
                if isinstance(x, list | tuple):  # an array of our own, as the rules read it later
                    x = np.asarray(x)
                    args = (*args[:i], x, *args[i + 1 :])
                arrays.append(x)
        try:
            if self.takes_steps and getattr(arrays[0], "itemsize", 0) == 2:
                result = in_float32(self.forward, arrays, params, saves=self.joint is not None)
            else:
                result = self.forward(*arrays, **params)
        except (ValueError, IndexError) as error:
            raise self._explained(error, arrays) from None
        saved: Sequence[Any] = ()
        if self.joint is not None:
            result, *saved = result
        if not any_tensor:
            return result
        if type(result) is not np.ndarray:
            result = np.asanyarray(result)
        if tracked and mode.recording:
            if result.dtype.kind == "f":
                tensor = Tensor.wrap(result, self, tuple(args), params, tuple(saved))
                if mode.watcher is not None:
                    mode.watcher.recorded(tensor)
                return tensor
            if result.dtype.kind == "c":
                raise TypeError(f"{self.name}: complex numbers have no derivative rules")
        return Tensor.wrap(result)  # integers are constant wherever they have a derivative

    def compute(self, *inputs: Any, **params: Any) -> tuple[Any, tuple[Any, ...]]:
        """The result for these arrays, and what a fused op saves for its rule."""
        result = self.forward(*inputs, **params)
        if self.joint is None:
            return result, ()
        y, *saved = result
        return y, tuple(saved)

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result comes from one element of each input."""
        return self.family in ("elementwise", "activation")

    def names(self, inputs: Sequence[Any]) -> tuple[str, ...]:
        """What these inputs are called in its rules: a, b, c … where there may be any number."""
        if len(inputs) <= self.arity:
            return self.input_names[: len(inputs)]
        many = [f"x{i + 1}" for i in range(len(inputs))]
        return tuple("abcdef"[: len(many)] if len(many) <= 6 else many)  # g is the gradient

    def called_as(
        self, function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        """Call the op as NumPy's `function`, whose arguments may have other names and places."""
        names = argument_names(function)
        if self.unpack is None and len(args) != self.arity and names:
            named = dict(zip(names, args, strict=False)) | params
            args = tuple(named.pop(name) for name in names[: self.arity] if name in named)
            params = named
        return self(*args, **params)

    def _unpacked(
        self, args: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Sort the arguments into inputs and params by the row's own `unpack`."""
        assert self.unpack is not None
        try:
            return self.unpack(*args, **params)
        except TypeError as error:
            raise TypeError(f"{self.name}: {str(error).partition('() ')[2] or error}") from None

    def _bind(
        self, args: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Sort the arguments into inputs and params: `sum(x, 0)` is `sum(x, axis=0)`."""
        arity = self.arity
        if len(args) < arity:  # an input may be given by its name: layer_norm(x, weight=w, bias=b)
            names = self.input_names[len(args) :]
            missing = [name for name in names if name not in params]
            if missing:
                raise TypeError(
                    f"{self.name} takes {', '.join(self.input_names)}; "
                    f"missing: {', '.join(missing)}"
                )
            args += tuple(params[name] for name in names)
            params = {key: x for key, x in params.items() if key not in names}
        if len(args) > arity:
            by_position = dict(zip(self.positions, args[arity:], strict=False))
            for key in by_position.keys() & params.keys():
                raise TypeError(f"{self.name}: {key} is given twice")
            params = by_position | params
        unknown = [key for key in params if key not in self.all_names]
        if unknown == ["out"] and params["out"] is None:  # stands before others in NumPy's calls
            del params["out"], unknown[0]
        if unknown or len(args) - arity > len(self.positions):
            what = ", ".join(unknown) or f"{len(args)} positional arguments"
            takes = ", ".join(self.all_names) or "none"
            raise TypeError(f"{self.name} does not take {what}; its parameters are: {takes}")
        for key, x in params.items():
            if isinstance(x, Tensor) and not self.composite:  # a composite records what it does
                if x.requires_grad:
                    raise TypeError(f"{self.name}: no gradient flows to {key}; pass {key}.data")
                params[key] = x._data
        return args[:arity], params

    def _explained(self, error: Exception, arrays: list[Any]) -> Exception:
        """The same error in one line with the op's name and the shapes that met."""
        text = str(error).strip().split("\n")[0]
        kinds = (np.exceptions.AxisError, np.linalg.LinAlgError, IndexError, ValueError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        between = f" {self.symbol} " if len(self.symbol) == 1 else ", "
        return kind(f"{self.name}: {between.join(str(np.shape(x)) for x in arrays)}: {text}")

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the array code that computes this fused op, returning (y, *saved)."""
        self.forward = function
        return function

    def extension(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the function, made of smaller ops, for calls with params that no rule has."""
        self.further = function
        self.all_names = tuple(dict.fromkeys((*self.param_names, *arguments_of(function)[1])))
        return function

    def rule(self, function: Rule) -> Rule:
        """Decorator: the joint rule of this fused op, returning one gradient per input."""
        self.joint = function
        return function

    def formula(self, function: Rule) -> Rule:
        """Decorator: the joint rule as calculus states it, without `saved`; it is what is printed.

        It returns the gradients in a tuple, or the only one, before broadcasting is undone.
        """
        self.statement = function
        return function

    def __deepcopy__(self, memo: dict[int, Any]) -> Op:
        """Itself: a copy of a model computes with the same rows."""
        return self

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def register(row: Op) -> Op:
    """Enter a row in the table, under its name and under the NumPy functions that mean it."""
    TABLE[row.name] = row
    NUMPY.update(dict.fromkeys(row.numpy, row))
    return row


def arguments_of(function: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of a function's arguments without a default, and of those with one.

    Those of a plain function are read off its code: calling `inspect.signature` for the whole table
    would take half the time of importing minigrad.
    """
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        found = inspect.signature(function).parameters.values()
        return (
            tuple(p.name for p in found if p.default is p.empty),
            tuple(p.name for p in found if p.default is not p.empty),
        )
    code = function.__code__
    first, named = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    rest = [*code.co_varnames[named:]]
    many = [rest.pop(0)] if code.co_flags & inspect.CO_VARARGS else []
    options = [rest.pop(0)] if code.co_flags & inspect.CO_VARKEYWORDS else []
    start = first - len(function.__defaults__ or ())
    optional = {*code.co_varnames[start:first], *(function.__kwdefaults__ or {})}
    names = [*code.co_varnames[:first], *many, *code.co_varnames[first:named], *options]
    return (
        tuple(name for name in names if name not in optional),
        tuple(name for name in names if name in optional),
    )


def takes_any_number(function: Callable[..., Any]) -> bool:
    """Whether a function has an argument such as `*parts`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_VARARGS)


@cache
def argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's arguments; none for a built-in one without a signature."""
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:
        return ()


def op(
    function: Callable[..., Any],
    symbol: str,
    *rules: Rule | None,
    family: str = "elementwise",
    name: str | None = None,
    numpy: Sequence[Callable[..., Any]] | None = None,
    forward: Callable[..., Any] | None = None,
    definition: Callable[..., Any] | None = None,
    unpack: Unpack | None = None,
    examples: Sequence[Example] = (),
) -> Op:
    """A row with one rule per input; `None` for an input that has no derivative, such as a mask.

    `forward` computes it, where NumPy's own code will not do. `numpy` lists the NumPy functions
    that mean this op (by default `function` itself, if it is NumPy's); `unpack` turns NumPy's
    calling convention into (inputs, params) where inputs come in a list or after a param.
    """
    is_numpy = isinstance(function, np.ufunc) or function.__module__.startswith("numpy")
    row = Op(
        name or function.__name__.strip("_"),
        symbol,
        family,
        forward or function,
        rules,
        definition=definition,
        unpack=unpack,
        examples=examples,
        numpy=numpy if numpy is not None else [function] if is_numpy else [],
    )
    return register(row)


def fused(
    symbol: str, *, family: str, examples: Sequence[Example], in_words: bool = False
) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: an op given by its definition; its `kernel`, `rule` and `formula` follow.

    One described `in_words` is printed as its docstring and needs no formula: its definition is a
    loop, which would print as many lines as it takes steps.
    """

    def enter(definition: Callable[..., Any]) -> Op:
        row = Op(
            definition.__name__,
            symbol,
            family,
            definition,
            definition=definition,
            examples=examples,
            in_words=in_words,
        )
        row.__doc__ = definition.__doc__
        return register(row)

    return enter


def as_given(*args: Any, **params: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """The `unpack` of a row whose definition sorts its arguments by itself."""
    return args, params


def composite(
    *numpy: Callable[..., Any], family: str, examples: Sequence[Example], in_words: bool = False
) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: an op that is its definition: calling it records the smaller ops.

    One with `*arrays` or `**options` takes its arguments as Python hands them over. One described
    `in_words` is printed as its docstring: its definition moves elements, which makes no formula.
    """

    def enter(definition: Callable[..., Any]) -> Op:
        takes_any = definition.__code__.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        row = Op(
            definition.__name__,
            definition.__name__,
            family,
            definition,
            definition=definition,
            unpack=as_given if takes_any else None,
            examples=examples,
            composite=True,
            in_words=in_words,
            numpy=numpy,
        )
        row.__doc__ = definition.__doc__
        return register(row)

    return enter
