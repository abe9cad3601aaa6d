"""The table of derivative rules, printed from the rules themselves.

A rule runs on Tensors as well as on arrays. Here it runs on Tensors that have names, `g`, `y` and
those of the op's inputs, and the graph that this records is written out as a formula. What a graph
does not record, such as a comparison or a size, is found in the arrays and numbers themselves:
they are `Noted`, and remember the NumPy call that made them. What the rule keeps under a name of
its own can be called by that name.

>>> formula(TABLE["divide"])
['∂/∂a = g / b', '∂/∂b = -g · y / b']
>>> formula(TABLE["softmax"])
['∂/∂x = y · (g - sum(g · y, axis, keepdims=True))']
"""

from __future__ import annotations

import inspect
import operator
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log, pi, sqrt
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from minigrad.op import Op, rows
from minigrad.tensor import TABLE, Tensor, Watcher, recording, unwrap, watching


class Call(NamedTuple):
    """The name of a function and what it was called with."""

    name: str
    args: tuple[Any, ...]
    params: Mapping[str, Any]


class Noted:
    """Something that knows its name, or the NumPy call that made it."""

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


class NotedArray(Noted, np.ndarray[Any, Any]):
    """An array of which each part and property is noted, too."""

    def __getitem__(self, index: Any) -> Any:
        return noted(plain(self)[plain(index)], Call("getitem", (self,), {"index": index}))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def astype(self, *args: Any, **params: Any) -> Any:
        """The same numbers in another dtype: no part of a formula."""
        return noted(plain(self).astype(*args, **params), self.origin)

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
    """A size or an axis: what is computed with it is noted."""


def calculating(compute: Callable[..., Any], name: str, swap: bool) -> Callable[..., Any]:
    """The method that computes with a NotedInt and other numbers, and notes it."""

    def calculate(*numbers: Any) -> Any:
        if not all(isinstance(x, int | float) for x in numbers):
            return NotImplemented  # an array or a Tensor notes it
        numbers = numbers[::-1] if swap else numbers
        if type(numbers[0]) is int and numbers[0] == {"add": 0, "multiply": 1}.get(name):
            return numbers[1]  # so do `sum` and `math.prod` begin
        return noted(compute(*plain(numbers)), Call(name, numbers, {}))

    return calculate


ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
              "floordiv": "floor_divide", "mod": "remainder", "pow": "power"}  # fmt: skip
"""Python's operators for numbers, and the NumPy functions that they are written as."""

for sign, name in ARITHMETIC.items():
    compute = getattr(operator, sign)
    setattr(NotedInt, f"__{sign}__", calculating(compute, name, swap=False))
    setattr(NotedInt, f"__r{sign}__", calculating(compute, name, swap=True))
NotedInt.__neg__ = calculating(operator.neg, "negative", swap=False)  # type: ignore[method-assign]


class NotedStr(Noted, str):
    """A param that is a string."""


class NotedItems(Noted):
    """What tuples and lists share: an item is noted as it is taken out."""

    def __getitem__(self, index: Any) -> Any:
        return noted(super().__getitem__(index), Call("getitem", (self,), {"index": index}))  # type: ignore[misc]

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


def noted(x: Any, origin: str | Call | None) -> Any:
    """`x` with its origin; None, booleans and what else has no room for one stay as they are."""
    if isinstance(x, np.ndarray | np.generic | float):
        x = np.asarray(x).view(NotedArray)
    elif kind := next((kind for kind in NOTED if type(x) in (kind, NOTED[kind])), None):
        x = NOTED[kind](x)
    else:
        return x
    x.origin = origin
    return x


def plain(x: Any) -> Any:
    """`x` without its origin, and so for everything inside tuples, lists, slices and dicts."""
    if isinstance(x, NotedArray):
        return x.view(np.ndarray)
    if isinstance(x, NotedInt):
        return int(x)
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
    """What `x` was computed from, or what a tuple, list or slice holds."""
    call = origin_of(x)
    if isinstance(call, Call):
        yield from call.args
        yield from call.params.values()
    elif call is None and isinstance(x, tuple | list):
        yield from x
    elif isinstance(x, slice):
        yield from (x.start, x.stop, x.step)


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
    "floor_divide": ("//", PRODUCT),
    "remainder": ("%", PRODUCT),
    "matmul": ("@", PRODUCT),
    "power": ("**", POWER),
}
"""The functions that are written between their operands."""

SHORT, WORD, LONG = 8, 24, 80
"""Arrays without a name, up to so many elements, are written out. What is used twice and has more
letters than a word gets a line of its own, and so does what is long."""


def transposes(name: str, args: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether a call means `.T`: all axes reversed, or the two of a matrix exchanged."""
    axes = [*args[1:], *params.values()]
    if name == "swapaxes" and len(axes) == 2 and np.ndim(plain(args[0])) == 2:
        return bool((axes[0] - axes[1]) % 2)
    return name == "transpose" and not axes


CONSTANTS = {
    pi: ("pi", ATOM),
    pi * pi: ("pi ** 2", POWER),
    -2 * (pi * pi) / 3: ("-2 · pi ** 2 / 3", MINUS),
    log(2): ("log(2)", ATOM),
    log(10): ("log(10)", ATOM),
    sqrt(2): ("sqrt(2)", ATOM),
    sqrt(2 * pi): ("sqrt(2 · pi)", ATOM),
    sqrt(2 / pi): ("sqrt(2 / pi)", ATOM),
    2 / sqrt(pi): ("2 / sqrt(pi)", PRODUCT),
}
"""Numbers that are known by how they are computed, and how closely that binds."""


class Trace(NamedTuple):
    """What a function gave for named arguments, and what it kept under which name."""

    result: Any
    kept: dict[str, Any]


class Printed(NamedTuple):
    """The formula of a value, and the lines before it that say what it refers to."""

    lines: list[str]
    text: str


def is_size_name(name: str) -> bool:
    """Whether a name is one of the capital letters for sizes: N, K, V."""
    return len(name) == 1 and name.isupper()


class Writer:
    """Writes down how values were computed, their larger parts on lines before.

    traces: what is written with this Writer, so that a part that several have is known as one.
    kept: what the traced function called its values. A part that is used twice, or is long, stands
    under that name on a line of its own; so does every size that has a capital letter.
    """

    def __init__(
        self, traces: Iterable[Trace], kept: dict[str, Any], with_sizes: bool = False
    ) -> None:
        self.with_sizes = with_sizes
        self.roots = [trace.result for trace in traces]
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.owners: dict[int, Tensor] = {}
        self.uses: Counter[int] = Counter()
        self.find_owners(self.roots, set())
        for root in self.roots:
            self.count_uses(root)
        self.kept = {id(self.meant(x)): name for name, x in reversed(kept.items())}

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
            if np.shape(plain(unwrap(before))) == np.shape(plain(unwrap(x))):
                return self.meant(before)
        return x

    def count_uses(self, x: Any) -> None:
        """Count how often each part is used."""
        x = self.meant(x)
        self.uses[id(x)] += 1
        if self.uses[id(x)] == 1:
            for part in parts(x):
                self.count_uses(part)

    def printed(self, root: Any) -> Printed:
        """The formula of one of the results, and the lines that it refers to."""
        self.lines, self.names = [], {}
        text = self.text(root, is_root=True)
        return Printed(self.lines, text)

    def text(self, x: Any, binding: int = COMPARISON, is_root: bool = False) -> str:
        """A part of the formula, in brackets if it binds less closely than `binding`."""
        x = self.meant(x)
        if id(x) in self.names:
            return self.names[id(x)]
        text, level = self.written(x)
        if isinstance(origin_of(x), Call) and self.has_own_line(x, text, is_root):
            self.names[id(x)] = self.kept.get(id(x), f"t{len(self.lines) + 1}")
            size = f" = {x:d}" if self.with_sizes and isinstance(x, NotedInt) else ""
            self.lines.append(f"{self.names[id(x)]} = {text}{size}")
            return self.names[id(x)]
        return text if level >= binding else f"({text})"

    def has_own_line(self, x: Any, text: str, is_root: bool) -> bool:
        """Whether a computed part is written once, before the formula, and then called by name."""
        if id(x) not in self.kept:
            return len(text) > (WORD if self.uses[id(x)] > 1 else LONG) and not is_root
        if is_root:
            return self.uses[id(x)] > 1
        return self.uses[id(x)] > 1 or len(text) > WORD or is_size_name(self.kept[id(x)])

    def written(self, x: Any) -> tuple[str, int]:
        """The text of `x`, and how closely it binds."""
        found = origin_of(x)
        if isinstance(found, str):
            return found, ATOM
        return self.value(x) if found is None else self.call(*found)

    def call(self, name: str, args: Sequence[Any], params: Mapping[str, Any]) -> tuple[str, int]:
        """The text of a function applied, and how closely it binds."""
        if name == "getitem":
            return f"{self.text(args[0], ATOM)}[{self.index(params.get('index', ...))}]", ATOM
        params = {key: x for key, x in params.items() if x is not None and x is not False}
        if name == "power" and origin_of(args[1]) is None and np.all(plain(args[1]) == 0.5):
            name, args = "sqrt", args[:1]
        if name in INFIX and not params:
            symbol, level = INFIX[name]
            strict = level in (COMPARISON, POWER)  # a < b < c and a**b**c mean something else
            left, right = self.text(args[0], level + strict), self.text(args[1], level + 1)
            return f"{left} {symbol} {right}", level
        if name == "negative":
            return f"-{self.text(args[0], POWER)}", MINUS
        if transposes(name, args, params):
            return f"{self.text(args[0], ATOM)}.T", ATOM
        while args and args[-1] is None:
            args = args[:-1]
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
            ends = ["" if end is None else self.text(end) for end in (x.start, x.stop, x.step)]
            return ":".join(ends if x.step is not None else ends[:2])
        return "..." if x is ... else self.text(x)

    def value(self, x: Any) -> tuple[str, int]:
        """The text of what the rule itself wrote, and how closely it binds.

        Numbers and lists are written out; an array has the name that the rule gave it.
        """
        if isinstance(x, tuple) and any(isinstance(item, slice) for item in x):
            return f"s_[{self.index(x)}]", ATOM
        name = self.kept.get(id(x))
        if isinstance(x, Tensor):
            x = x.data
        if name is not None:
            return name, ATOM
        if isinstance(x, np.ndarray | np.generic):
            if x.size > SHORT:
                return "[…]", ATOM
            x = x.tolist()
        if isinstance(x, float) and x in CONSTANTS:
            return CONSTANTS[x]
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


class Tracer(Watcher):
    """Keeps a composite whole, which would otherwise stand in the formula as its smaller ops."""

    def composed(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        with watching(Watcher()):
            named = {key: plain(unwrap(x)) for key, x in params.items()}
            result = op.forward(*plain(unwrap(args)), **named)
        call = Call(op.name, args, params)
        if not isinstance(result, list):
            return variable(result, call)
        whole = noted(result, call)
        return [variable(x, Call("getitem", (whole,), {"index": i})) for i, x in enumerate(result)]


def variable(x: Any, origin: str | Call) -> Any:
    """`x` with its origin; if it is an array of floating numbers, as a Tensor to be recorded."""
    is_floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return Tensor.wrap(noted(x, origin)).requires_grad_() if is_floating else noted(x, origin)


@contextmanager
def noticing(function: Callable[..., Any], kept: dict[str, Any]) -> Iterator[None]:
    """A block in which it is noticed what a function, and its helpers in the same file, call the
    values that they compute; an outer name for a value stands before an inner one."""
    file = code.co_filename if (code := getattr(function, "__code__", None)) else None
    ops_running = 0

    def notice(frame: FrameType, event: str, _: Any) -> None:
        nonlocal ops_running
        running = frame.f_code
        if running is Op.__call__.__code__:  # what an op computes with is no part of a formula
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
    """Run `function` with its params, those left at their defaults too, under their names."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    named = {key: noted(x, key) for key, x in (defaults | {**params}).items()}
    kept: dict[str, Any] = {}

    with recording(True), watching(Tracer()), noticing(function, kept):
        result = function(*args, **named)
    for name, x in [*kept.items()]:
        if isinstance(x, tuple | list):  # of arrays that no call made
            kept |= {f"{name}[{i}]": item for i, item in enumerate(x) if not origin_of(item)}
    taken = {origin for x in (*args, *named.values()) if isinstance(origin := origin_of(x), str)}
    return Trace(result, {name: x for name, x in kept.items() if is_named(name, x, taken)})


def is_named(name: str, x: Any, taken: set[str]) -> bool:
    """Whether a formula can call `x` by the `name` that a rule keeps it under."""
    if name in taken or name in TABLE or callable(getattr(np, name, None)):
        return False
    if origin_of(x) is None:
        has_numbers = isinstance(x, np.ndarray) and x.ndim > 0
        return has_numbers or is_list_of_integers(x)
    return isinstance(origin_of(x), Call)


def is_list_of_integers(x: Any) -> bool:
    """Whether `x` is a tuple or a list of plain integers: axes, or their order."""
    return isinstance(x, tuple | list) and {type(item) for item in x} == {int}


def named_inputs(
    op: Op, node: Tensor | None
) -> tuple[list[Any], dict[str, Any], Mapping[str, Any]]:
    """`g` and `y`; the inputs by name; and the params of a call."""
    inputs, params = named_call(op, node)
    if node is None:
        y = op.forward(*inputs.values(), **params)
        y = np.asarray(y[0] if op.joint else y)
    else:
        y = node.data
    g = np.random.default_rng(1).standard_normal(y.shape)
    named = {name: variable(x, name) for name, x in {"g": g, "y": y, **inputs}.items()}
    return [named.pop("g"), named.pop("y")], named, params


def derivatives(op: Op, node: Tensor | None = None) -> dict[str, Trace | None]:
    """What each rule gives on the op's first example, or on the inputs of `node`, which it gave, by
    input: None where there is no rule.

    Of a fused op it is what the formula of its joint rule gives; ValueError if that is missing.
    """
    start, inputs, params = named_inputs(op, node)
    if op.joint is not None:
        if op.statement is None:
            raise ValueError(f"{op.name}: the joint rule has no formula beside it")
        found, kept = trace(op.statement, [*start, *inputs.values()], params)
        found = found if isinstance(found, tuple) else (found,)
        return {
            name: None if x is None else Trace(x, kept)
            for name, x in zip(inputs, found, strict=True)
        }
    traces = {}
    for i, name in enumerate(inputs):
        rule = op.rules[i % len(op.rules)]
        place = [] if op.unpack is None else [i]
        traces[name] = rule and trace(rule, [*start, *place, *inputs.values()], params)
    return traces


def printed_derivatives(op: Op, node: Tensor | None = None) -> dict[str, Printed]:
    """The derivative by each input, "none" where there is no rule; see `derivatives`."""
    found = derivatives(op, node)
    traces = [x for x in found.values() if x]
    together = op.joint is not None
    printed = {}
    for name, trace in found.items():
        if trace is None:
            printed[name] = Printed([], "none")
        else:
            beside = traces if together else [trace]
            writer = Writer(beside, trace.kept, with_sizes=node is not None)
            printed[name] = writer.printed(trace.result)
    return printed


def formula(op: Op, node: Tensor | None = None) -> list[str]:
    """The op's derivative rules, a line for each input, after lines that say what they refer to;
    of a composite, its definition; of what is said in words, those.

    They are those of the op's first example, or of the call that gave `node`: on other inputs a
    rule may take another branch. The engine sums over broadcast axes afterwards, so no rule does.
    ValueError if the row has no example.

    >>> formula(TABLE["mean"])
    ['N = size(x, axis)', '∂/∂x = broadcast_to(expand_dims(g, axis) / N, shape(x))']
    """
    if op.composite or op.in_words:
        return definition(op, node)
    lines: list[str] = []
    for name, (before, text) in printed_derivatives(op, node).items():
        lines += [line for line in before if line not in lines]
        lines.append(f"∂/∂{name} = {text}")
    return [*(strings(op, lines) if node is None else []), *lines]


def strings(op: Op, lines: list[str]) -> list[str]:
    """The params of the first example that are strings, and chose what the lines are."""
    params = named_call(op)[1]
    words = set(re.findall(r"\w+", " ".join(re.sub(r"\w+=", "", line) for line in lines)))
    return [
        f"{key} = {x!r}" for key, x in params.items() if isinstance(x, str) and key not in words
    ]


def definition(op: Op, node: Tensor | None = None) -> list[str]:
    """What the op means in smaller ones: lines for its larger parts, then the result.

    It is run on the op's first example, or on the inputs of `node`, which the op gave. ValueError
    if the row has no definition.

    >>> definition(TABLE["silu"])
    ['silu(x) = x · sigmoid(x)']
    """
    if op.in_words:
        return [f"{op.name}: {(op.__doc__ or '').partition(chr(10))[0]}"]
    found = meaning(op, node)
    writer = Writer([found], found.kept, with_sizes=node is not None)
    lines, text = writer.printed(found.result)
    words = ", ".join([*op.input_names, *op.param_names])
    return [*lines, f"{op.name}({words}) = {text}"]


def meaning(op: Op, node: Tensor | None = None) -> Trace:
    """What the definition gives; see `definition`."""
    if op.definition is None:
        raise ValueError(f"{op.name} has no definition in smaller ops; see its rules")
    inputs, params = named_call(op, node)
    return trace(op.definition, [variable(x, name) for name, x in inputs.items()], params)


def place(code: CodeType) -> tuple[str, int]:
    """The file, relative to the project if it is part of it, and the line of a function's code."""
    root, path = Path(__file__).parent.parent, Path(code.co_filename)
    file = path.relative_to(root) if path.is_relative_to(root) else path
    return file.as_posix(), code.co_firstlineno


@dataclass(frozen=True)
class RuleRow:
    """One row of the printed table: the op's definition and its derivative, in lines.

    Either may be missing: many an op is no more than a NumPy function, and a composite has the
    rules of its smaller ops. `file` and `line` are the place in the source where it is written.
    """

    name: str
    symbol: str
    family: str
    file: str
    line: int
    definition: list[str]
    derivative: list[str]

    @property
    def place(self) -> str:
        """The place in the source, as editors and terminals know to open it."""
        return f"{self.file}:{self.line}"


def table(names: Iterable[str] | None = None) -> list[RuleRow]:
    """The printed row of every op, or of those named; ValueError for a name that no op has."""
    printed = []
    for op in rows(names):
        code = next(rule for rule in (*op.rules, op.definition) if rule).__code__
        defined = definition(op) if op.definition else []
        derived = [] if op.composite or op.in_words else formula(op)
        printed.append(RuleRow(op.name, op.symbol, op.family, *place(code), defined, derived))
    return printed
