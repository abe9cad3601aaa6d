"""The table of derivative rules, printed from the rules themselves.

A rule runs on Tensors as well as on arrays. Here it runs on Tensors that have names, `g`, `y` and
those of the op's inputs, and the graph that this records is written out as a formula. What a graph
does not record, such as a comparison, is found in the Tensors' arrays: they are `Noted` ones,
which remember the NumPy call that made them.

>>> formula(TABLE["divide"])
['∂/∂a = g / b', '∂/∂b = -g · y / b']
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from minigrad.op import Op, rows
from minigrad.tensor import TABLE, Tensor, recording, unwrap


class Call(NamedTuple):
    """The name of a function and what it was called with."""

    name: str
    args: tuple[Any, ...]
    params: Mapping[str, Any]


class Noted(np.ndarray[Any, Any]):
    """An array that knows its name, or the NumPy call that made it."""

    origin: str | Call | None = None

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **params: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented  # the Tensor records it
        result = getattr(ufunc, method)(*plain(inputs), **plain(params))
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        return noted(result, Call(name, inputs, params))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, params: Any
    ) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        result = function(*plain(args), **plain(params))
        return noted(result, Call(function.__name__, args, params))

    def __getitem__(self, index: Any) -> Any:
        return noted(plain(self)[plain(index)], Call("getitem", (self,), {"index": index}))

    def astype(self, *args: Any, **params: Any) -> Any:
        """The same numbers in another dtype: no part of a formula."""
        return noted(plain(self).astype(*args, **params), self.origin)


NAMED: dict[type, Any] = {kind: type("Named", (kind,), {}) for kind in (int, str, tuple)}
"""The types that arrays are not made of, each with room for an origin."""


def noted(x: Any, origin: str | Call | None) -> Any:
    """`x` with its origin; None, booleans and what else has no room for one stay as they are."""
    if isinstance(x, np.ndarray | np.generic | float):
        x = np.asarray(x).view(Noted)
    elif type(x) in NAMED:
        x = NAMED[type(x)](x)
    else:
        return x
    x.origin = origin
    return x


def plain(x: Any) -> Any:
    """`x` without its origin, and so for everything inside tuples, lists and dicts."""
    if isinstance(x, Noted):
        return x.view(np.ndarray)
    if isinstance(x, tuple):
        return tuple(map(plain, x))
    if isinstance(x, list):
        return list(map(plain, x))
    if isinstance(x, dict):
        return {key: plain(item) for key, item in x.items()}
    return x


def origin_of(x: Any) -> str | Call | None:
    """How `x` came about: a name, a call, or None for a number that the rule itself wrote."""
    if isinstance(x, Tensor) and x.op is not None:
        return Call(x.op.name, x.inputs, x.params)
    found: str | Call | None = getattr(x.data if isinstance(x, Tensor) else x, "origin", None)
    return found


def parts(x: Any) -> Iterator[Any]:
    """What `x` was computed from, or what a tuple or list holds."""
    call = origin_of(x)
    if isinstance(call, Call):
        yield from call.args
        yield from call.params.values()
    elif call is None and isinstance(x, tuple | list):
        yield from x


COMPARISON, OR, XOR, AND, SUM, PRODUCT, MINUS, POWER, ATOM = range(9)
"""How closely the parts of a formula bind, in Python's order."""

INFIX = {
    "less": ("<", COMPARISON),
    "less_equal": ("<=", COMPARISON),
    "greater": (">", COMPARISON),
    "greater_equal": (">=", COMPARISON),
    "equal": ("==", COMPARISON),
    "not_equal": ("!=", COMPARISON),
    "bitwise_or": ("|", OR),
    "bitwise_xor": ("^", XOR),
    "bitwise_and": ("&", AND),
    "add": ("+", SUM),
    "subtract": ("-", SUM),
    "multiply": ("·", PRODUCT),
    "divide": ("/", PRODUCT),
    "matmul": ("@", PRODUCT),
    "power": ("**", POWER),
}
"""The functions that are written between their operands."""

SHORT, LONG = 8, 70
"""Arrays up to so many elements are written out; texts above so many letters get their own line."""


def transposes(name: str, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether a call means `.T`: all axes reversed, or the two of a matrix exchanged."""
    axes = [*args[1:], *params.values()]
    if name == "swapaxes" and len(axes) == 2 and np.ndim(plain(args[0])) == 2:
        return bool((axes[0] - axes[1]) % 2)
    return name == "transpose" and not axes


class Writer:
    """Writes down how a value was computed; with `in_lines`, its larger parts on lines before."""

    def __init__(self, root: Any, in_lines: bool = False) -> None:
        self.in_lines = in_lines
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.owners: dict[int, Tensor] = {}
        self.uses: Counter[int] = Counter()
        self.find_owners(root, set())
        self.count_uses(root)
        self.result = self.written(self.meant(root))[0]

    def find_owners(self, x: Any, seen: set[int]) -> None:
        """Remember which Tensor an array belongs to: its op says more than its NumPy call."""
        if id(x) in seen:
            return
        seen.add(id(x))
        if isinstance(x, Tensor):
            self.owners.setdefault(id(x.data), x)
        for part in parts(x):
            self.find_owners(part, seen)

    def meant(self, x: Any) -> Any:
        """The Tensor that an array belongs to; what was reshaped, if that changed no shape."""
        x = self.owners.get(id(x), x)
        call = origin_of(x)
        if isinstance(call, Call) and call.name in ("reshape", "broadcast_to"):
            before = call.args[0]
            if np.shape(plain(before)) == x.shape:
                return self.meant(before)
        return x

    def count_uses(self, x: Any) -> None:
        """Count how often each part is used."""
        x = self.meant(x)
        self.uses[id(x)] += 1
        if self.uses[id(x)] == 1:
            for part in parts(x):
                self.count_uses(part)

    def text(self, x: Any, binding: int = COMPARISON) -> str:
        """A part of the formula, in brackets if it binds less closely than `binding`."""
        x = self.meant(x)
        if id(x) in self.names:
            return self.names[id(x)]
        text, level = self.written(x)
        is_large = isinstance(origin_of(x), Call) and (self.uses[id(x)] > 1 or len(text) > LONG)
        if self.in_lines and is_large:
            self.names[id(x)] = f"t{len(self.lines) + 1}"
            self.lines.append(f"{self.names[id(x)]} = {text}")
            return self.names[id(x)]
        return text if level >= binding else f"({text})"

    def written(self, x: Any) -> tuple[str, int]:
        """The text of `x`, and how closely it binds."""
        found = origin_of(x)
        if isinstance(found, str):
            return found, ATOM
        return self.value(x) if found is None else self.call(*found)

    def call(self, name: str, args: Sequence[Any], params: Mapping[str, Any]) -> tuple[str, int]:
        """The text of a function applied, and how closely it binds."""
        params = {key: x for key, x in params.items() if x is not None and x is not False}
        if name in INFIX and not params:
            symbol, level = INFIX[name]
            strict = level in (COMPARISON, POWER)  # a < b < c and a**b**c mean something else
            left, right = self.text(args[0], level + strict), self.text(args[1], level + 1)
            return f"{left} {symbol} {right}", level
        if name == "negative":
            return f"-{self.text(args[0], POWER)}", MINUS
        if name == "getitem":
            return f"{self.text(args[0], ATOM)}[{self.index(params['index'])}]", ATOM
        if transposes(name, args, params):
            return f"{self.text(args[0], ATOM)}.T", ATOM
        words = [self.text(x) for x in args]
        by_position = name in TABLE and TABLE[name].family == "shape"
        for key, x in params.items():
            text = self.text(x)
            named_so = text == key or text.startswith(f"{key}(")
            words.append(text if by_position or named_so else f"{key}={text}")
        return f"{name}({', '.join(words)})", ATOM

    def index(self, x: Any) -> str:
        """What stands between the brackets of an indexing."""
        if isinstance(x, tuple) and origin_of(x) is None:
            return ", ".join(map(self.index, x))
        if isinstance(x, slice):
            ends = ["" if end is None else str(end) for end in (x.start, x.stop, x.step)]
            return ":".join(ends if x.step is not None else ends[:2])
        return "..." if x is ... else self.text(x)

    def value(self, x: Any) -> tuple[str, int]:
        """The text of what the rule itself wrote, a number or a list, and how closely it binds."""
        if isinstance(x, Tensor):
            x = x.data
        if isinstance(x, np.ndarray | np.generic):
            if x.size > SHORT:
                return "[…]", ATOM
            x = x.tolist()
        if isinstance(x, bool | int | float):
            return f"{x:.6g}" if isinstance(x, float) else str(x), MINUS if x < 0 else ATOM
        if isinstance(x, list):
            return f"[{', '.join(map(self.text, x))}]", ATOM
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' * (len(x) == 1)})", ATOM
        return getattr(x, "__name__", repr(x)), ATOM


def named_call(op: Op, node: Tensor | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call of the op as inputs, by name, and params: the one that gave `node`, or else its first
    example; ValueError if it has none."""
    inputs: Sequence[Any]
    if node is not None:
        inputs, params = [unwrap(x) for x in node.inputs], node.params
    elif op.examples:
        inputs, params = op.examples[0].draw(np.random.default_rng(0)), op.examples[0].params
        if op.unpack is not None:
            inputs, params = op.unpack(*inputs, **params)
    else:
        raise ValueError(f"{op.name}: the row has no example to run its rules on")
    return dict(zip(op.names(inputs), inputs, strict=True)), params


def variable(x: Any, name: str) -> Any:
    """`x` under its name; if it is an array of floating numbers, as a Tensor to be recorded."""
    is_floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return Tensor.wrap(noted(x, name)).requires_grad_() if is_floating else noted(x, name)


def run(function: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """`function` with its params, those left at their defaults too, under their names."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    with recording(True):
        return function(*args, **{key: noted(x, key) for key, x in (defaults | {**params}).items()})


def derivatives(op: Op, node: Tensor | None = None) -> dict[str, Any]:
    """What each rule gives on the op's first example, or on the inputs of `node`, which it gave, by
    input: None where there is no rule."""
    inputs, params = named_call(op, node)
    y = np.asarray(op.forward(*inputs.values(), **params) if node is None else node.data)
    g = np.random.default_rng(1).standard_normal(y.shape)
    args = [variable(x, name) for name, x in {"g": g, "y": y, **inputs}.items()]
    found = {}
    for i, name in enumerate(inputs):
        rule = op.rules[i % len(op.rules)]
        place = [] if op.unpack is None else [i]
        found[name] = rule and run(rule, [*args[:2], *place, *args[2:]], params)
    return found


def formula(op: Op, node: Tensor | None = None) -> list[str]:
    """The op's derivative rules, a line for each input; without any, its definition.

    Numbers that a rule computes from shapes are those of the op's first example, or of `node`,
    which the op gave. The engine sums over broadcast axes afterwards, so no rule does. ValueError
    if the row has no example.
    """
    if not op.rules:
        return definition(op, node)
    return [
        f"∂/∂{name} = {'none' if found is None else Writer(found).result}"
        for name, found in derivatives(op, node).items()
    ]


def definition(op: Op, node: Tensor | None = None) -> list[str]:
    """What the op means in smaller ones: lines for values that are used twice, then the result.

    It is run on the op's first example, or on the inputs of `node`, which the op gave. ValueError
    if the row has no definition.

    >>> definition(TABLE["silu"])
    ['silu(x) = x · sigmoid(x)']
    """
    if op.definition is None:
        raise ValueError(f"{op.name} has no definition in smaller ops; see its rules")
    if op.in_words:
        return [f"{op.name}: {(op.__doc__ or '').partition(chr(10))[0]}"]
    inputs, params = named_call(op, node)
    result = run(op.definition, [variable(x, name) for name, x in inputs.items()], params)
    writer = Writer(result, in_lines=True)
    words = ", ".join(inspect.signature(op.definition).parameters)
    return [*writer.lines, f"{op.name}({words}) = {writer.result}"]


def place(code: CodeType) -> tuple[str, int]:
    """The file, relative to the project if it is part of it, and the line of a function's code."""
    root, path = Path(__file__).parent.parent, Path(code.co_filename)
    file = path.relative_to(root) if path.is_relative_to(root) else path
    return file.as_posix(), code.co_firstlineno


@dataclass(frozen=True)
class RuleRow:
    """One row of the printed table; `lines` are the rules, or the definition of an op without.

    `file` and `line` are the place in the source where they are written.
    """

    name: str
    symbol: str
    family: str
    file: str
    line: int
    lines: list[str]

    @property
    def place(self) -> str:
        """The place in the source, as editors and terminals know to open it."""
        return f"{self.file}:{self.line}"


def table(names: Iterable[str] | None = None) -> list[RuleRow]:
    """The printed row of every op, or of those named; ValueError for a name that no op has."""
    printed = []
    for op in rows(names):
        code = next(rule for rule in (*op.rules, op.definition) if rule).__code__
        printed.append(RuleRow(op.name, op.symbol, op.family, *place(code), formula(op)))
    return printed
