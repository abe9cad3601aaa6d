"""Values that know where they come from, and a function run on such values.

A derivative rule runs on Tensors as well as on arrays. Run on Tensors that have names, it leaves a
graph that says how its result was computed. What a graph does not record, such as a comparison or a
size, is found in the arrays and numbers themselves: they are `Noted`, and remember the NumPy call
that made them.

>>> x = note(np.ones(3), "x")
>>> origin_of(x.size)
Call(name='size', args=(NotedArray([1., 1., 1.]),), params={})
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from minigrad.formula import Expr, Name, Part
from minigrad.mode import Watcher, recording, watching
from minigrad.op import Op
from minigrad.table import TABLE
from minigrad.tensor import Tensor, unwrap


class Call(NamedTuple):
    """A function, by name, and what it was called with."""

    name: str
    args: tuple[Any, ...]
    params: Mapping[str, Any]


class Noted:
    """A value that knows its name, or the NumPy call that made it."""

    origin: str | Call | None = None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **params: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented  # the Tensor records it
        result = getattr(ufunc, method)(*strip(inputs), **strip(params))
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return note(result, Call(name, inputs, params))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, params: Any
    ) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        result = function(*strip(args), **strip(params))
        return note(result, Call(function.__name__, args, params))


class NotedArray(Noted, np.ndarray[Any, Any]):
    """An array; its parts and properties are noted too."""

    def __getitem__(self, index: Any) -> Any:
        return note(strip(self)[strip(index)], Call("getitem", (self,), {"index": index}))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def astype(self, *args: Any, **params: Any) -> Any:
        """The same numbers in another dtype: no part of a formula."""
        return note(strip(self).astype(*args, **params), self.origin)

    @property  # type: ignore[misc]
    def shape(self) -> Any:
        return np.shape(self)

    @property
    def ndim(self) -> Any:
        return np.ndim(self)

    @property
    def size(self) -> Any:
        return np.size(self)

    @property
    def T(self) -> Any:
        return np.transpose(self)


class NotedInt(Noted, int):
    """A size or an axis; what is computed from it is noted too."""


def noting_method(compute: Callable[..., Any], name: str, swap: bool) -> Callable[..., Any]:
    """An operator of NotedInt: it computes with numbers, and notes how.

    swap: whether it is the one for operands in the other order, such as `__radd__`.
    """

    def method(*numbers: Any) -> Any:
        if not all(isinstance(x, int | float) for x in numbers):
            return NotImplemented  # the array or the Tensor notes it
        numbers = numbers[::-1] if swap else numbers
        if type(numbers[0]) is int and numbers[0] == {"add": 0, "multiply": 1}.get(name):
            return numbers[1]  # `sum` and `math.prod` start with this
        return note(compute(*strip(numbers)), Call(name, numbers, {}))

    return method


ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
              "floordiv": "floor_divide", "mod": "remainder", "pow": "power"}  # fmt: skip
"""Python's methods for operators, and NumPy's names for what they do."""

for sign, name in ARITHMETIC.items():
    compute = getattr(operator, sign)
    setattr(NotedInt, f"__{sign}__", noting_method(compute, name, swap=False))
    setattr(NotedInt, f"__r{sign}__", noting_method(compute, name, swap=True))
NotedInt.__neg__ = noting_method(operator.neg, "negative", swap=False)  # type: ignore[method-assign]


class NotedStr(Noted, str):
    """A param that is a string."""


class NotedItems(Noted):
    """What tuples and lists share: an item is noted when it is taken out."""

    def __getitem__(self, index: Any) -> Any:
        return note(super().__getitem__(index), Call("getitem", (self,), {"index": index}))  # type: ignore[misc]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # type: ignore[arg-type]


class NotedTuple(NotedItems, tuple[Any, ...]):
    """A shape, an axis of several, or another tuple."""

    def __add__(self, other: Any) -> Any:
        return (*self, *other)

    def __radd__(self, other: Any) -> Any:
        return (*other, *self)


class NotedList(NotedItems, list[Any]):
    """A param that is a list."""


NOTED: dict[type, Any] = {int: NotedInt, str: NotedStr, tuple: NotedTuple, list: NotedList}


def note(x: Any, origin: str | Call | None) -> Any:
    """`x` with its origin; None, booleans and others that have no room for one stay as they are."""
    if isinstance(x, np.ndarray | np.generic | float):
        x = np.asarray(x).view(NotedArray)
    elif kind := next((kind for kind in NOTED if type(x) in (kind, NOTED[kind])), None):
        x = NOTED[kind](x)
    else:
        return x
    x.origin = origin
    return x


def strip(x: Any) -> Any:
    """`x` without its origin, likewise all that tuples, lists and dicts hold."""
    if isinstance(x, NotedArray):
        return x.view(np.ndarray)
    if isinstance(x, NotedInt):
        return int(x)
    if isinstance(x, tuple):
        return tuple(map(strip, x))
    if isinstance(x, list):
        return list(map(strip, x))
    if isinstance(x, dict):
        return {key: strip(item) for key, item in x.items()}
    return x


def origin_of(x: Any) -> str | Call | None:
    """Where `x` comes from: a name, a call, or None for what the rule itself wrote."""
    if isinstance(x, Tensor) and x.op is not None:
        return Call(x.op.name, x.inputs, x.params)
    found: str | Call | None = getattr(x.data if isinstance(x, Tensor) else x, "origin", None)
    return found


def parts_of(x: Any) -> Iterator[Any]:
    """What `x` was computed from, or what a tuple, list or slice holds."""
    call = origin_of(x)
    if isinstance(call, Call):
        yield from call.args
        yield from call.params.values()
    elif call is None and isinstance(x, tuple | list):
        yield from x
    elif isinstance(x, slice):
        yield from (x.start, x.stop, x.step)


class Trace(NamedTuple):
    """What a function returned for named arguments, and the values it kept, by their names.

    An array in a list of the function's own has a place there for a name, as in `parts[0]`.
    """

    result: Any
    kept: dict[Part, Any]


class Tracer(Watcher):
    """Keeps a composite whole, so that a formula calls it by name instead of spelling it out."""

    def composed(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        with watching(Watcher()):
            named = {key: strip(unwrap(x)) for key, x in params.items()}
            result = op.forward(*strip(unwrap(args)), **named)
        call = Call(op.name, args, params)
        if not isinstance(result, list):
            return as_variable(result, call)
        whole = note(result, call)
        return [
            as_variable(x, Call("getitem", (whole,), {"index": i})) for i, x in enumerate(result)
        ]


def as_variable(x: Any, origin: str | Call) -> Any:
    """`x` with its origin; an array of floats becomes a Tensor, so that ops on it are recorded."""
    is_floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return Tensor.wrap(note(x, origin)).requires_grad_() if is_floating else note(x, origin)


@contextmanager
def notice_names(function: Callable[..., Any], kept: dict[str, Any]) -> Iterator[None]:
    """A block during which the names that a function, and its helpers in the same file, give to
    what they compute are put into `kept`: an outer function's names before an inner one's."""
    file = code.co_filename if (code := getattr(function, "__code__", None)) else None
    ops_running = 0

    def notice(frame: FrameType, event: str, _: Any) -> None:
        nonlocal ops_running
        running = frame.f_code
        if running is Op.__call__.__code__:  # how an op computes is no part of a formula
            ops_running += {"call": 1, "return": -1}.get(event, 0)
        elif event == "return" and not ops_running and running.co_filename == file:
            arguments = running.co_varnames[: running.co_argcount + running.co_kwonlyargcount]
            is_named = running is code or running.co_name[0] != "<"
            outer = {k: x for k, x in frame.f_locals.items() if is_named and k not in arguments}
            inner = {name: x for name, x in kept.items() if name not in outer}
            kept.clear()
            kept.update(outer | inner)

    before = sys.getprofile()
    sys.setprofile(notice)
    try:
        yield
    finally:
        sys.setprofile(before)


def trace(function: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any]) -> Trace:
    """Run `function`; its params, those left at their defaults too, are known by their names."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    named = {key: note(x, key) for key, x in (defaults | {**params}).items()}
    kept: dict[str, Any] = {}

    with recording(True), watching(Tracer()), notice_names(function, kept):
        result = function(*args, **named)
    origins = map(origin_of, (*args, *named.values()))
    taken = {origin for origin in origins if isinstance(origin, str)}
    named_values: dict[Part, Any] = {
        Name(name): x for name, x in kept.items() if is_free(name, taken) and is_nameable(x)
    }
    for name, x in kept.items():
        if isinstance(x, tuple | list):  # of arrays that no call made
            items = {Expr("getitem", (Name(name), i)): item for i, item in enumerate(x)}
            named_values |= {place: x for place, x in items.items() if is_own_array(x)}
    return Trace(result, named_values)


def is_free(name: str, taken: set[str]) -> bool:
    """Whether a name means nothing else in a formula: no input, op or function of NumPy."""
    return not (name in taken or name in TABLE or callable(getattr(np, name, None)))


def is_nameable(x: Any) -> bool:
    """Whether a formula may call `x` by the name that a rule keeps it under: it was computed, or
    the rule wrote it, and it is an array or a list of numbers."""
    origin = origin_of(x)
    return (
        is_own_array(x) or (origin is None and is_list_of_integers(x)) or isinstance(origin, Call)
    )


def is_own_array(x: Any) -> bool:
    """Whether `x` is an array with axes that no call made."""
    return origin_of(x) is None and isinstance(x, np.ndarray) and x.ndim > 0


def is_list_of_integers(x: Any) -> bool:
    """Whether `x` is a tuple or a list of plain integers: axes, or their order."""
    return isinstance(x, tuple | list) and {type(item) for item in x} == {int}
