"""The table of derivative rules, printed from the rules themselves.

A rule runs on Tensors as well as on arrays. Here it runs on values that know where they come from,
`g`, `y` and the op's inputs, and what they know of its result is written out as a formula. What the
rule keeps under a name of its own can be called by that name.

>>> formula(TABLE["divide"])
['∂/∂a = g / b', '∂/∂b = -g · y / b']
>>> formula(TABLE["softmax"])
['∂/∂x = y · (g - sum(g · y, axis, keepdims=True))']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log, pi, sqrt
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from minigrad.formula import Expr, Name, Part, equation, names_in, text
from minigrad.op import Op
from minigrad.origins import Call, Trace, as_variable, origin_of, parts_of, strip, trace
from minigrad.table import TABLE, rows
from minigrad.tensor import Tensor, unwrap

SHORT, WORD, LONG = 8, 24, 80
"""An array without a name is written out up to so many elements. A part gets a line of its own if
it is used twice and has more letters than a word, or if it is long."""

PI = Name("pi")
CONSTANTS: dict[float, Part] = {
    pi: PI,
    pi * pi: Expr("power", (PI, 2)),
    log(2): Expr("log", (2,)),
    log(10): Expr("log", (10,)),
    sqrt(2): Expr("sqrt", (2,)),
    sqrt(2 * pi): Expr("sqrt", (Expr("multiply", (2, PI)),)),
    sqrt(2 / pi): Expr("sqrt", (Expr("divide", (2, PI)),)),
    2 / sqrt(pi): Expr("divide", (2, Expr("sqrt", (PI,)))),
}
"""Numbers that are known by how they are computed."""

NONE = Name("none")
"""What stands for a derivative where there is no rule."""


class Formula(NamedTuple):
    """The formula of a value, after equations for the names in it."""

    before: list[Expr]
    result: Part

    def of(self, name: Part) -> list[Expr]:
        """The equations, the last of which is "name = result"."""
        return [*self.before, equation(name, self.result)]


class Writer:
    """Writes how values were computed, larger parts in equations of their own.

    traces: all that is written with this Writer, so that a part which several share is known to be
    one. kept: the traced function's names for its values. A part that is used twice, or is long,
    has an equation under that name; so has every size that is named by a capital letter.
    """

    def __init__(
        self, traces: Iterable[Trace], kept: dict[Part, Any], with_sizes: bool = False
    ) -> None:
        self.with_sizes = with_sizes
        self.roots = [trace.result for trace in traces]
        self.before: list[Expr] = []
        self.names: dict[int, Part] = {}
        self.owners: dict[int, Tensor] = {}
        self.uses: Counter[int] = Counter()
        self.find_owners(self.roots, set())
        for root in self.roots:
            self.count_uses(root)
        self.kept = {id(self.resolve(x)): name for name, x in reversed(kept.items())}

    def find_owners(self, x: Any, seen: set[int]) -> None:
        """Remember which Tensor an array belongs to: its op says more than its NumPy call."""
        if id(x) in seen:
            return
        seen.add(id(x))
        if isinstance(x, Tensor):
            self.owners.setdefault(id(x.data), x)
        for part in parts_of(x):
            self.find_owners(part, seen)

    def resolve(self, x: Any) -> Any:
        """The Tensor that an array belongs to; of a reshape to the same shape, what it was of."""
        x = self.owners.get(id(x), x)
        call = origin_of(x)
        if isinstance(call, Call) and call.name in ("reshape", "broadcast_to"):
            before = call.args[0]
            if np.shape(strip(unwrap(before))) == np.shape(strip(unwrap(x))):
                return self.resolve(before)
        return x

    def count_uses(self, x: Any) -> None:
        """Count how often each part is used."""
        x = self.resolve(x)
        self.uses[id(x)] += 1
        if self.uses[id(x)] == 1:
            for part in parts_of(x):
                self.count_uses(part)

    def write(self, root: Any) -> Formula:
        """The formula of one of the results."""
        self.before, self.names = [], {}
        result = self.part(root, is_root=True)
        return Formula(self.before, result)

    def part(self, x: Any, is_root: bool = False) -> Part:
        """A part of the formula, or its name if it has an equation of its own."""
        x = self.resolve(x)
        if id(x) in self.names:
            return self.names[id(x)]
        origin = origin_of(x)
        if isinstance(origin, str):
            return Name(origin)
        if origin is None:
            return self.constant(x)
        found = self.call(origin)
        if not self.has_equation(x, found, is_root):
            return found
        name = self.names[id(x)] = self.kept.get(id(x), Name(f"t{len(self.before) + 1}"))
        size = [int(x)] if self.with_sizes and isinstance(x, int) else []
        self.before.append(equation(name, found, *size))
        return name

    def has_equation(self, x: Any, found: Part, is_root: bool) -> bool:
        """Whether a computed part is written once, before the formula, and then called by name."""
        name, length, is_shared = self.kept.get(id(x)), len(text(found)), self.uses[id(x)] > 1
        if name is None:
            return not is_root and length > (WORD if is_shared else LONG)
        if is_root:
            return is_shared
        is_size = isinstance(name, Name) and len(name) == 1 and name.isupper()
        return is_shared or length > WORD or is_size

    def call(self, call: Call) -> Part:
        """A function applied."""
        name, args, params = call
        if name == "getitem":
            index = params.get("index", ...)
            return Expr("getitem", (self.part(args[0]), *self.indices(index)))
        params = {key: x for key, x in params.items() if x is not None and x is not False}
        if name == "power" and origin_of(args[1]) is None and np.all(strip(args[1]) == 0.5):
            name, args = "sqrt", args[:1]
        if is_transposing(name, args, params):
            return Expr("T", (self.part(args[0]),))
        while args and args[-1] is None:
            args = args[:-1]
        words, keywords = [self.part(x) for x in args], []
        by_position = name in TABLE and TABLE[name].family == "shape"
        for key, x in params.items():
            part = self.part(x)
            if by_position or part == key or (isinstance(part, Expr) and part.head == key):
                words.append(part)
            else:
                keywords.append((key, part))
        return Expr(name, tuple(words), tuple(keywords))

    def indices(self, x: Any) -> tuple[Part, ...]:
        """What stands between the brackets of an index."""
        items = x if isinstance(x, tuple) and origin_of(x) is None else (x,)
        return tuple(self.index(item) for item in items)

    def index(self, x: Any) -> Part:
        """One of the parts of an index."""
        if not isinstance(x, slice):
            return self.part(x)
        ends = (None if end is None else self.part(end) for end in (x.start, x.stop, x.step))
        return Expr("slice", tuple(ends))

    def constant(self, x: Any) -> Part:
        """What the rule itself wrote.

        Numbers and lists are written out; an array has the name that the rule gave it.
        """
        if isinstance(x, tuple) and any(isinstance(item, slice) for item in x):
            return Expr("getitem", (Name("s_"), *self.indices(x)))
        if id(x) in self.kept:
            return self.kept[id(x)]
        if isinstance(x, Tensor):
            x = x.data
        if isinstance(x, np.ndarray | np.generic):
            if x.size > SHORT:
                return Expr("list", (Name("…"),))
            x = x.tolist()
        if isinstance(x, float) and abs(x) in CONSTANTS:
            known = CONSTANTS[abs(x)]
            return known if x > 0 else Expr("negative", (known,))
        if isinstance(x, list | tuple):
            return Expr(type(x).__name__, tuple(self.part(item) for item in x))
        if x is None or x is ... or isinstance(x, bool | int | float | str):
            return x
        return Name(getattr(x, "__name__", repr(x)))


def is_transposing(name: str, args: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether a call means `.T`: all axes reversed, or the two of a matrix exchanged."""
    axes = [*args[1:], *params.values()]
    if name == "swapaxes" and len(axes) == 2 and np.ndim(strip(args[0])) == 2:
        return bool((axes[0] - axes[1]) % 2)
    return name == "transpose" and not axes


def example_call(op: Op, node: Tensor | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
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


def rule_arguments(
    op: Op, node: Tensor | None
) -> tuple[list[Any], dict[str, Any], Mapping[str, Any]]:
    """`g` and `y`; the inputs by name; and the params of a call."""
    inputs, params = example_call(op, node)
    y = np.asarray(op.compute(*inputs.values(), **params)[0]) if node is None else node.data
    g = np.random.default_rng(1).standard_normal(y.shape)
    named = {name: as_variable(x, name) for name, x in {"g": g, "y": y, **inputs}.items()}
    return [named.pop("g"), named.pop("y")], named, params


def trace_rules(op: Op, node: Tensor | None = None) -> dict[str, Trace | None]:
    """What each rule gives on the op's first example, or on the inputs of `node`, which it gave, by
    input: None where there is no rule.

    Of a fused op it is what the formula of its joint rule gives; ValueError if that is missing.
    """
    start, inputs, params = rule_arguments(op, node)
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
        place = [i] if op.is_variadic else []
        traces[name] = rule and trace(rule, [*start, *place, *inputs.values()], params)
    return traces


def trace_definition(op: Op, node: Tensor | None = None) -> Trace:
    """What the definition gives on the op's first example, or on the inputs of `node`."""
    if op.definition is None:
        raise ValueError(f"{op.name} has no definition in smaller ops; see its rules")
    inputs, params = example_call(op, node)
    return trace(op.definition, [as_variable(x, name) for name, x in inputs.items()], params)


def derivative_formulas(op: Op, node: Tensor | None = None) -> dict[str, Formula]:
    """The derivative by each input, NONE where there is no rule; see `trace_rules`."""
    found = trace_rules(op, node)
    together = [derivative for derivative in found.values() if derivative]
    formulas = {}
    for name, derivative in found.items():
        if derivative is None:
            formulas[name] = Formula([], NONE)
        else:
            traces = together if op.joint else [derivative]
            writer = Writer(traces, derivative.kept, with_sizes=node is not None)
            formulas[name] = writer.write(derivative.result)
    return formulas


def definition_formula(op: Op, node: Tensor | None = None) -> list[Part]:
    """What `definition` prints, as formulas."""
    if op.in_words:
        return [Name(f"{op.name}: {(op.__doc__ or '').partition(chr(10))[0]}")]
    meaning = trace_definition(op, node)
    found = Writer([meaning], meaning.kept, with_sizes=node is not None).write(meaning.result)
    names = map(Name, (*op.input_names, *op.param_names))
    return [*found.of(Expr(op.name, tuple(names)))]


def derivative_by(name: str) -> Expr:
    """The left side of the equation for a derivative."""
    return Expr("∂/∂", (Name(name),))


def formula(op: Op, node: Tensor | None = None) -> list[str]:
    """The op's derivative rules, a line for each input, after lines that say what they refer to;
    of a composite, and of an op that is described in words, its definition.

    They are those of the op's first example, or of the call that gave `node`: on other inputs a
    rule may take another branch. The engine sums over broadcast axes afterwards, so no rule does.
    ValueError if the row has no example.

    >>> formula(TABLE["mean"])
    ['N = size(x, axis)', '∂/∂x = broadcast_to(expand_dims(g, axis) / N, shape(x))']
    """
    if op.composite or op.in_words:
        return definition(op, node)
    lines: list[Expr] = []
    for name, found in derivative_formulas(op, node).items():
        lines += [line for line in found.of(derivative_by(name)) if line not in lines]
    return list(map(text, [*(choices(op, lines) if node is None else []), *lines]))


def choices(op: Op, lines: Iterable[Part]) -> list[Expr]:
    """The strings among the params of the first example that chose what the lines are."""
    used = {name for line in lines for name in names_in(line)}
    _, params = example_call(op)
    return [
        equation(Name(key), x)
        for key, x in params.items()
        if isinstance(x, str) and key not in used
    ]


def definition(op: Op, node: Tensor | None = None) -> list[str]:
    """What the op means in smaller ones: lines for its larger parts, then the result.

    It is run on the op's first example, or on the inputs of `node`, which the op gave. ValueError
    if the row has no definition.

    >>> definition(TABLE["silu"])
    ['silu(x) = x · sigmoid(x)']
    """
    return list(map(text, definition_formula(op, node)))


def place_of(code: CodeType) -> tuple[str, int]:
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
        printed.append(RuleRow(op.name, op.symbol, op.family, *place_of(code), defined, derived))
    return printed
