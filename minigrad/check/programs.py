"""Random programs: whole computations, drawn from the table of ops, on which the engine is tried.

Ops that are right one at a time can be wrong ten in a row: on a view of a view, on an array that
is used twice, on a reduced axis that is broadcast again. A *program* is data: arrays to start from,
and steps that call rows of the table on earlier values; `drafts.py` draws one.

`trial` compares a program's first and second derivatives with differences of its values; the tests
also compare them with PyTorch's. `shrink` makes a program that fails as small as it can while it
fails, and `script` writes it as Python.

>>> from minigrad.check.drafts import draw
>>> trial(draw(seed=3)).verdict
'right'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import is_
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.mode import no_grad
from minigrad.table import TABLE
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.transforms import grad

STEPS = 1e-3 / 2.0 ** np.arange(3)
"""Of the differences that values are compared by."""

TOLERANCE = {"float64": 1e-7, "float32": 2e-3}
"""How far a derivative may be off, relative to its largest part."""

LEAST = 1e-4
"""A derivative whose parts are all smaller is compared as if they were as large as this: they may
be the rounding of 0."""


Ops = Callable[[str], Callable[..., Any]]
"""What computes an op, by its name."""


@dataclass(frozen=True)
class Value:
    """An earlier value of a program, by its number."""

    number: int

    def __repr__(self) -> str:
        return f"v{self.number}"


@dataclass(frozen=True)
class Input:
    """An array that a program starts from, how it lies in memory, and whether it is a constant."""

    number: int
    values: Array
    layout: str = "rows"
    constant: bool = False

    def array(self, values: Array | None = None) -> Array:
        """The values, or others of the same shape, in this layout."""
        return LAYOUTS[self.layout](self.values if values is None else values)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda x: np.array(x, order="C"),
    "columns": lambda x: np.array(x, order="F"),
    "rotated": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
}
"""How the elements of an array, of at least one axis, may lie in memory. "repeated" is the first
row alone, seen as often as there are rows."""


@dataclass(frozen=True)
class Step:
    """A call of an op; its arguments hold `Value`s, alone or in a list. `number` is its result's,
    or that of the first of its `results`."""

    number: int
    op: str
    args: tuple[Any, ...]
    params: Mapping[str, Any]
    results: int = 1

    @property
    def operands(self) -> list[int]:
        """The numbers of the values that it takes."""
        return [x.number for x in flatten(self.args) if isinstance(x, Value)]

    def run(self, call: Callable[..., Any], values: Mapping[int, Any]) -> dict[int, Any]:
        """Its results by their numbers, where `call` is what computes the op."""
        found = call(*fill(self.args, values), **self.params)
        return dict(enumerate(found if isinstance(found, list | tuple) else [found], self.number))


def numbers_of(line: Input | Step) -> range:
    """The numbers of what a line gives."""
    return range(line.number, line.number + (line.results if isinstance(line, Step) else 1))


def flatten(args: Iterable[Any]) -> Iterator[Any]:
    """The arguments one by one, including those in a list."""
    for x in args:
        yield from flatten(x) if isinstance(x, list) else [x]


def fill(args: Sequence[Any], values: Mapping[int, Any]) -> list[Any]:
    """The arguments with the values themselves in the place of their numbers."""
    return [
        fill(x, values) if isinstance(x, list) else values[x.number] if isinstance(x, Value) else x
        for x in args
    ]


@dataclass(frozen=True)
class Program:
    """Inputs and steps in order, and the numbers of the values that are the outputs.

    `seed` also chooses the weights of the outputs in the sum that is differentiated.
    """

    lines: tuple[Input | Step, ...]
    outputs: tuple[int, ...]
    seed: int

    @property
    def inputs(self) -> list[Input]:
        """The arrays that it starts from."""
        return [line for line in self.lines if isinstance(line, Input)]

    @property
    def variables(self) -> list[Input]:
        """Those to differentiate by."""
        return [x for x in self.inputs if not x.constant]

    @property
    def steps(self) -> list[Step]:
        """The calls."""
        return [line for line in self.lines if isinstance(line, Step)]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The coarsest among the inputs' dtypes."""
        return min((x.values.dtype for x in self.inputs), key=lambda dtype: dtype.itemsize)

    def run(self, arrays: Sequence[Any], op: Ops) -> list[Any]:
        """The outputs, for these inputs, by the ops that `op` gives for their names."""
        remaining = iter(arrays)
        values: dict[int, Any] = {}
        for line in self.lines:
            if isinstance(line, Step):
                values |= line.run(op(line.op), values)
            else:
                values[line.number] = next(remaining)
        return [values[i] for i in self.outputs]

    def function(self, *points: Any) -> Any:
        """The loss as a function of the variables alone."""
        given = iter(points)
        arrays = [x.array() if x.constant else next(given) for x in self.inputs]
        return self.loss(self.run(arrays, in_minigrad))

    def loss(self, outputs: Sequence[Any], constant: Callable[[Array], Any] = np.asarray) -> Any:
        """One number: the sum of all elements of the outputs, times fixed random weights.

        `constant` turns an array into something that an output can be multiplied by.
        """
        pairs = zip(outputs, self.weights(outputs), strict=True)
        terms = [(y * constant(w)).sum() for y, w in pairs]
        return sum(terms[1:], terms[0])

    def weights(self, outputs: Sequence[Any]) -> list[Array]:
        """The weights of these outputs."""
        rng = np.random.default_rng([self.seed, 1])
        drawn = [rng.standard_normal(tuple(y.shape)).round(2) for y in outputs]
        return [np.asarray(w, self.dtype) for w in drawn]

    def direction(self) -> list[Array]:
        """A random array like each variable: in this direction second derivatives are taken."""
        rng = np.random.default_rng([self.seed, 2])
        shapes = [(x.values.shape, x.values.dtype) for x in self.variables]
        return [rng.standard_normal(shape).astype(dtype) for shape, dtype in shapes]

    def in_float64(self) -> Program:
        """The same with all inputs in float64."""
        lines = [
            replace(line, values=line.values.astype(np.float64))
            if isinstance(line, Input)
            else line
            for line in self.lines
        ]
        return replace(self, lines=tuple(lines))

    def values(self) -> dict[int, Array]:
        """All values by their numbers, computed on arrays."""
        numbers = [i for line in self.lines for i in numbers_of(line)]
        every = replace(self, outputs=tuple(numbers))
        with no_grad():
            found = every.run([x.array() for x in self.inputs], in_minigrad)
        return {i: np.asarray(unwrap(x)) for i, x in zip(numbers, found, strict=True)}

    def reduced(self, **changes: Any) -> Iterator[Program]:
        """The program so changed, unless nothing changes or nothing is left to differentiate."""
        smaller = replace(self, **changes).pruned()
        same = smaller.outputs == self.outputs and len(smaller.lines) == len(self.lines)
        if smaller.variables and not (same and all(map(is_, smaller.lines, self.lines))):
            yield smaller

    def pruned(self) -> Program:
        """The same without what no output needs."""
        needed = {*self.outputs}
        lines: list[Input | Step] = []
        for line in reversed(self.lines):
            if isinstance(line, Input) and line.number in needed:
                lines.append(line)
            elif isinstance(line, Step) and needed & {*numbers_of(line)}:
                lines.append(line)
                needed |= {*line.operands}
        return replace(self, lines=tuple(reversed(lines)))


def linear_layer(x: Any, weight: Any, bias: Any) -> Any:
    """nn.Linear with these parameters."""
    layer = nn.Linear(1, 1)
    layer.weight, layer.bias = weight, bias
    return layer(x)


def norm_layer(x: Any, weight: Any, bias: Any) -> Any:
    """nn.LayerNorm with these parameters."""
    layer = nn.LayerNorm(1)
    layer.weight, layer.bias = weight, bias
    return layer(x)


def embedding_layer(weight: Any, tokens: Array) -> Any:
    """nn.Embedding with this table."""
    layer = nn.Embedding(1, 1)
    layer.weight = weight
    return layer(tokens)


def self_attention(x: Any, weight: Any, heads: int, mask: Any = None) -> Any:
    """Attention of x (B, T, D) to itself, in heads: projected by (3D, D), which are views of it."""
    batch, length, width = np.shape(x)
    joint = np.reshape(x @ np.transpose(weight), (batch, length, 3, heads, width // heads))
    query, key, value = np.transpose(joint, (2, 0, 3, 1, 4))
    mixed = TABLE["scaled_dot_product_attention"](query, key, value, mask=mask)
    return np.reshape(np.swapaxes(mixed, 1, 2), (batch, length, width))


LAYERS: dict[str, Callable[..., Any]] = {
    "nn.Linear": linear_layer,
    "nn.LayerNorm": norm_layer,
    "nn.Embedding": embedding_layer,
    "self_attention": self_attention,
}
"""What programs call beside the rows of the table."""


def in_minigrad(name: str) -> Callable[..., Any]:
    """The row of the table, or the layer, of this name."""
    return LAYERS.get(name) or TABLE[name]


def by_rules(program: Program) -> tuple[list[Array], list[Array]]:
    """The gradients by the variables and their derivatives in the program's direction.

    The former as `backward` gives them, the latter by way of gradients that are recorded.
    """
    arrays = [x.array() if x.constant else Tensor.wrap(x.array()) for x in program.inputs]
    leaves = [x.requires_grad_() for x in arrays if isinstance(x, Tensor)]
    program.loss(program.run(arrays, in_minigrad)).backward()
    first = take_gradients(leaves)
    gradients = grad(program.function, tuple(range(len(leaves))))(*leaves)
    along = [np.sum(g * v) for g, v in zip(gradients, program.direction(), strict=True)]
    slope = sum(along[1:], along[0])
    if slope.requires_grad:
        slope.backward()
    return first, take_gradients(leaves)


def take_gradients(leaves: Sequence[Tensor]) -> list[Array]:
    """The gradients of the leaves, 0 where there is none; the leaves lose them."""
    found = [np.zeros_like(x.data) if x.grad is None else x.grad for x in leaves]
    for x in leaves:
        x.grad = None
    return found


def differences(f: Callable[[float], Array]) -> tuple[Array, float]:
    """The derivative of `f` at 0, and how far off it may be.

    Central differences of three steps, extrapolated (Romberg, 1955). At a kink they may all agree,
    but the slopes to the left and to the right then do not: they are extrapolated as well.
    """
    here, right, left = f(0.0), [f(h) for h in STEPS], [f(-h) for h in STEPS]
    a, b, c = ((x - y) / (2 * h) for x, y, h in zip(right, left, STEPS, strict=True))
    less = (4 * c - b) / 3
    found = (16 * less - (4 * b - a) / 3) / 15
    a, b, c = ((x - 2 * here + y) / h for x, y, h in zip(right, left, STEPS, strict=True))
    apart = (8 * (2 * c - b) - (2 * b - a)) / 7
    return found, float(max(np.abs(found - less).max(), np.abs(apart).max()))


@dataclass(frozen=True)
class Finding:
    """How far the derivatives of a program are from what they should be.

    error: at the worst place, relative to the largest derivative of this order; infinite where an
    exception was raised, which `text` then tells.
    doubt: how far off the numbers are that it was compared with, at most.
    """

    order: int
    error: float
    doubt: float = 0.0
    tolerance: float = 0.0
    text: str = ""

    @property
    def verdict(self) -> str:
        """ "right", "wrong" or "unmeasured"."""
        if not 10 * self.doubt <= self.tolerance:
            return "unmeasured"
        return "right" if self.error <= self.tolerance else "wrong"

    def __str__(self) -> str:
        if not self.order:
            return self.text
        return (
            f"the derivative of order {self.order} is off by {self.error:.1e} of its largest part"
        )


def trial(program: Program) -> Finding:
    """The worst Finding on the derivatives of a program, compared with differences in float64."""
    try:
        first, second = by_rules(program)
    except Exception as error:
        return Finding(0, np.inf, text=f"{type(error).__name__}: {error}")
    tolerance = TOLERANCE[str(program.dtype)]
    exact = program.in_float64()
    points, direction = [x.values for x in exact.variables], program.direction()

    def moved(h: float) -> list[Array]:
        return [x + h * v for x, v in zip(points, direction, strict=True)]

    def joined(arrays: Sequence[Array]) -> Array:
        return np.concatenate([np.ravel(x) for x in arrays]).astype(float)

    g, v, found = joined(first), joined(direction), joined(second)
    scale = max(float(np.abs(g * v)[np.isfinite(g)].sum()), LEAST)
    slope, doubt = differences(lambda h: np.asarray(exact.function(*moved(h))))
    findings = [Finding(1, float(abs(g @ v - slope)) / scale, doubt / scale, tolerance)]

    every = tuple(range(len(points)))
    bend, doubt = differences(lambda h: joined(grad(exact.function, every)(*moved(h))))
    scale = max(float(np.abs(bend).max()), 1e-3 * scale, LEAST)
    off = float(np.abs(found - bend).max())
    findings.append(Finding(2, off / scale, doubt / scale, tolerance))
    return max(findings, key=lambda x: ("right", "unmeasured", "wrong").index(x.verdict))


def is_wrong(program: Program, order: int | None = None) -> bool:
    """Whether a program can be run and its derivatives are wrong, those of this order if given."""
    try:
        program.in_float64().values()
    except Exception:
        return False
    finding = trial(program)
    return finding.verdict == "wrong" and order in (None, finding.order)


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program that still fails, made from this one by leaving out what it can spare.

    fails: says whether a program fails; one that cannot even be run should not count.
    """
    while smaller := next(filter(fails, smaller_programs(program)), None):
        program = smaller
    return program


def smaller_programs(program: Program) -> Iterator[Program]:
    """The program less something: its end, what came before a step, an input's peculiarities."""
    lines, values = program.lines, program.values()
    for k, line in enumerate(lines):
        if isinstance(line, Step):
            for i in numbers_of(line):
                yield from program.reduced(lines=lines[: k + 1], outputs=(i,))
    for k, line in enumerate(lines):
        if isinstance(line, Step):
            inputs = [Input(i, values[i], layout_of(values[i])) for i in numbers_of(line)]
            yield from program.reduced(lines=(*lines[:k], *inputs, *lines[k + 1 :]))
    for k, line in enumerate(lines):
        if isinstance(line, Input):
            for simpler in simpler_inputs(line, is_only=len(program.variables) == 1):
                yield from program.reduced(lines=(*lines[:k], simpler, *lines[k + 1 :]))
    for length in {n for x in program.inputs for n in x.values.shape if n > 1}:
        for fewer in range(1, length):
            yield from program.reduced(
                lines=tuple([shorten(line, length, fewer) for line in lines])
            )


def layout_of(x: Array) -> str:
    """The name of the layout that an array has, "rows" if it has none of them."""
    for name, lay in LAYOUTS.items():
        if x.ndim and np.array_equal(y := lay(x), x) and y.strides == x.strides:
            return name
    return "rows"


def simpler_inputs(x: Input, is_only: bool) -> Iterator[Input]:
    """The input with something less to explain."""
    if x.layout != "rows":
        yield replace(x, layout="rows")
    if x.values.dtype != np.float64:
        yield replace(x, values=x.values.astype(np.float64))
    if not x.constant and not is_only:
        yield replace(x, constant=True)
    for digits in (0, 1):
        rounded = x.values.round(digits) + 0.0  # no -0.0
        if len(str(rounded.tolist())) < len(str(x.values.tolist())):
            yield replace(x, values=rounded)


def shorten(line: Input | Step, length: int, fewer: int) -> Input | Step:
    """An input without the last elements of its axes of this length; a step as it is."""
    if isinstance(line, Step):
        return line
    kept = tuple(slice(fewer if n == length else n) for n in line.values.shape)
    return replace(line, values=line.values[kept])


def script(program: Program) -> str:
    """The program as Python that prints the gradients, and what differences say of them."""
    variables = ", ".join(f"v{x.number}" for x in program.variables)
    body = [f"    {write_line(line)}" for line in program.steps]
    outputs = program.values()
    weights = program.weights([outputs[i] for i in program.outputs])
    terms = [f"np.sum(v{i} * {code(w)})" for i, w in zip(program.outputs, weights, strict=True)]
    layers = any(step.op in LAYERS for step in program.steps)
    layouts = any(x.layout != "rows" for x in program.inputs)
    imports = ["LAYERS"] * layers + ["LAYOUTS"] * layouts
    return "\n".join([
        "import numpy as np",
        "import minigrad as mg",
        *([f"from minigrad.check.programs import {', '.join(imports)}"] if imports else []),
        "",
        *map(write_line, program.inputs),
        "",
        "",
        f"def f({variables}):",
        *body,
        f"    return {' + '.join(terms)}",
        "",
        "",
        f"leaves = [mg.Tensor.wrap(x).requires_grad_() for x in [{variables}]]",
        "f(*leaves).backward()",
        "print(*[x.grad for x in leaves])",
        "for order in (1, 2):",
        f"    print(mg.gradcheck(f, [{variables}], order, raise_exception=False))",
    ])  # fmt: skip


def write_line(line: Input | Step) -> str:
    """A line of a program as Python."""
    if isinstance(line, Input):
        array = code(line.values)
        return f"v{line.number} = " + (
            array if line.layout == "rows" else f'LAYOUTS["{line.layout}"]({array})'
        )
    names = ", ".join(f"v{i}" for i in numbers_of(line))
    called = f'LAYERS["{line.op}"]' if line.op in LAYERS else f'mg.TABLE["{line.op}"]'
    arguments = [*map(code, line.args), *(f"{key}={code(x)}" for key, x in line.params.items())]
    return f"{names} = {called}({', '.join(arguments)})"


def code(x: Any) -> str:
    """An argument as Python."""
    if isinstance(x, np.ndarray):
        numbers = str(x.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
        return f"np.array({numbers}, np.{x.dtype})"
    if isinstance(x, float):
        return repr(x).replace("nan", "np.nan").replace("inf", "np.inf")
    if isinstance(x, list):
        return f"[{', '.join(map(code, x))}]"
    if isinstance(x, tuple):
        return f"({', '.join(map(code, x))}{',' if len(x) == 1 else ''})"
    return f"np.{x.__name__}" if isinstance(x, type) else repr(x)
