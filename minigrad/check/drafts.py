"""Random programs are drawn here: which op comes next, on which of the values, with what params.

A row of the table needs nothing here to be drawn: elementwise ones take operands of any shapes that
broadcast, brought into the domain of their examples; reductions take any axes; the others are
called as in one of their examples. `CHOICES` are for ops that can do more than their examples show.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from minigrad.check.programs import LAYERS, LAYOUTS, Input, Program, Step, Value, fill, in_minigrad
from minigrad.mode import no_grad
from minigrad.op import Example, Op
from minigrad.table import TABLE
from minigrad.tensor import Array, unwrap

LARGEST = 20.0
"""No value of a program is larger."""

NEAR = 1e-2
"""How far around its operands the result of a step must be smooth."""

BEND = 30.0
"""The largest second derivative along a random direction that counts as smooth."""

MOST = 96
"""The most elements that a value may have."""

Call = tuple[tuple[Any, ...], Mapping[str, Any]]
"""Arguments and params."""


NO_PARAMS: Mapping[str, Any] = {}


class UnfitError(Exception):
    """What was drawn has no place in a program; something else is drawn."""


class Draft:
    """A program as it is drawn: its lines so far and their values, and choices among them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = self.choose(["float64", "float64", "float64", "float32", "mixed"])
        self.lines: list[Input | Step] = []
        self.values: dict[int, Array] = {}
        self.unused: set[int] = set()

    def chance(self, p: float) -> bool:
        """True with probability `p`."""
        return bool(self.rng.random() < p)

    def choose(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`."""
        return int(self.rng.integers(low, high + 1))

    def shape(self, least: int = 0) -> tuple[int, ...]:
        """A small shape, of at least so many axes."""
        ndim = self.choose([n for n in (0, 1, 2, 2, 2, 3, 3, 4) if n >= least])
        return tuple(self.number(1, 5 if ndim < 3 else 3) for _ in range(ndim))

    def axis(self, value: Value) -> int:
        """One of the axes of a value, counted from either end."""
        ndim = self.of(value).ndim
        return self.number(-ndim, ndim - 1)

    def of(self, value: Value) -> Array:
        """A value's array."""
        return self.values[value.number]

    def input(
        self, shape: tuple[int, ...], values: Array | None = None, distinct: bool = False
    ) -> Value:
        """A new input, maybe in an odd layout, but not in one that makes its rows equal if they
        are to be `distinct`."""
        if values is None:
            values = self.rng.standard_normal(shape)
        layouts = [name for name in LAYOUTS if not (distinct and name == "repeated")]
        layout = self.choose(layouts) if np.ndim(values) and self.chance(0.4) else "rows"
        dtype = self.choose(["float32", "float64"]) if self.dtype == "mixed" else self.dtype
        array = LAYOUTS[layout](np.asarray(values, dtype))
        line = Input(len(self.values), np.array(array, order="C"), layout, self.chance(0.15))
        self.lines.append(line)
        self.values[line.number] = array
        return Value(line.number)

    def any(self, least: int = 0) -> Value:
        """A value of at least so many axes, rather one that nothing uses yet; maybe a new one."""
        fitting = [i for i, x in self.values.items() if x.ndim >= least]
        unused = [i for i in fitting if i in self.unused]
        if unused and self.chance(0.7):
            return Value(self.choose(unused))
        if fitting and self.chance(0.7):
            return Value(self.choose(fitting))
        return self.input(self.shape(least))

    def like(self, *shape: int) -> Value:
        """A value of this shape; maybe a new one."""
        fitting = [i for i, x in self.values.items() if x.shape == shape]
        return Value(self.choose(fitting)) if fitting and self.chance(0.6) else self.input(shape)

    def beside(self, shape: tuple[int, ...]) -> Value:
        """A value whose shape broadcasts against this one; maybe a new one."""
        fitting = [i for i, x in self.values.items() if fits(x.shape, shape)]
        if fitting and self.chance(0.6):
            return Value(self.choose(fitting))
        return self.input(self.smaller(shape))

    def smaller(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to this one."""
        kept = shape[self.choose([0, 0, *range(len(shape) + 1)]) :]
        return tuple(1 if self.chance(0.15) else n for n in kept)

    def mask(self, *shape: int) -> Array:
        """Booleans, of which the first along the last axis are true."""
        mask = self.rng.random(self.smaller(shape)) < 0.6
        mask[..., :1] = True
        return mask

    def indices(self, length: int, *shape: int) -> Array:
        """Integers below `length`, also counted from the end."""
        return self.rng.integers(-length, length, shape)

    def within(self, domain: str, value: Value) -> Value:
        """A value brought into the domain of an example by further steps."""
        if domain == "positive":
            return self.call("add", (self.call("square", (value,)), 0.5))
        if domain == "unit":
            narrow = self.call("multiply", (self.call("sigmoid", (value,)), 0.8))
            return self.call("add", (narrow, 0.1))
        return value

    def call(self, op: str, args: tuple[Any, ...], params: Mapping[str, Any] = NO_PARAMS) -> Value:
        """A new step. UnfitError if its result is."""
        step = Step(len(self.values), op, args, params)
        found = self.tried(step)
        self.lines.append(replace(step, results=len(found)))
        self.values |= found
        self.unused = (self.unused - {*step.operands}) | {*found}
        return Value(step.number)

    def tried(self, step: Step) -> dict[int, Array]:
        """What a step gives. UnfitError if that is too large, or not smooth around here."""
        call = in_minigrad(step.op)
        moves = {i: self.move(self.values[i].shape) for i in step.operands}
        some = {i: self.rng.random(v.shape) < 0.5 for i, v in moves.items()}

        def at(h: float, rest: float) -> dict[int, Array]:
            """The results, `some` elements moved by `h`, the rest by `rest`."""
            near = {i: self.values[i] + np.where(some[i], h, rest) * v for i, v in moves.items()}
            return {i: np.asarray(unwrap(y)) for i, y in step.run(call, near).items()}

        careful = np.errstate(all="raise", under="ignore")
        with careful, warnings.catch_warnings(action="error"), no_grad():
            found = {i: np.asarray(unwrap(y)) for i, y in step.run(call, self.values).items()}
            if not all(y.dtype.kind == "f" and 0 < y.size <= MOST for y in found.values()):
                raise UnfitError
            if len(found) == 1 and step.op in TABLE and TABLE[step.op].composite:
                result = call(*fill(step.args, self.values), **step.params)
                if isinstance(result, list | tuple):  # a script could not tell it from its one part
                    raise UnfitError
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"), no_grad():
            here, above, below = at(0, 0), at(NEAR, NEAR), at(-NEAR, -NEAR)
            one, other = at(NEAR, 0), at(0, NEAR)
            for i in found:
                bend = np.abs(above[i] - 2 * here[i] + below[i]).max()
                # Of equal elements the median, say, has no kink along a line, but is no plane.
                apart = np.abs(above[i] - one[i] - other[i] + here[i]).max()
                if not (np.abs(here[i]).max() <= LARGEST and bend + apart <= BEND * NEAR**2):
                    raise UnfitError
        return found

    def move(self, shape: tuple[int, ...]) -> Array:
        """A random direction in which no element stays where it is."""
        return self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1, 1], shape)

    def attempt(self, name: str) -> None:
        """Call this op in some way, if that can be done."""
        before = list(self.lines), dict(self.values), set(self.unused)
        choice = CHOICES.get(name)
        try:
            self.call(name, *(choice(self) if choice else usual(self, TABLE[name])))
        except (
            UnfitError,
            Warning,
            ValueError,
            TypeError,
            IndexError,
            ArithmeticError,
            np.linalg.LinAlgError,
        ):
            self.lines, self.values, self.unused = before


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether the shapes broadcast against one another to a value that is not too large."""
    try:
        return prod(np.broadcast_shapes(a, b)) <= MOST
    except ValueError:
        return False


DISTINCT = frozenset({
    "qr", "qr_factors", "svd", "svdvals", "singular_triplets", "pinv", "matrix_norm", "linalg_norm",
    "corrcoef", "median", "quantile", "percentile", "ptp", "sort", "partition",
})  # fmt: skip
"""The ops that have no derivative where rows, columns or elements are equal."""


def usual(draft: Draft, op: Op) -> Call:
    """A call like one of the op's examples."""
    example = draft.choose(op.examples)
    if op.name in DISTINCT:
        return as_in_example(draft, example, distinct=True)
    shapes = [x for x in example.inputs if isinstance(x, tuple)]
    whole = len(shapes) == len(example.inputs)
    if op.is_elementwise and shapes and draft.chance(0.9):
        return elementwise(draft, example)
    if op.family == "reduce" and whole and len(shapes) == 1 and "axis" in op.param_names:
        return reduction(draft, op, example)
    return as_in_example(draft, example)


def elementwise(draft: Draft, example: Example) -> Call:
    """Operands of any shapes that broadcast; what else the example has stays, such as a power."""
    if any(isinstance(x, np.ndarray | list) for x in example.inputs):
        return as_in_example(draft, example)
    first = draft.any()
    args: list[Any] = []
    for x in example.inputs:
        if isinstance(x, tuple):
            value = draft.beside(draft.of(first).shape) if args else first
            x = draft.within(example.domain, value)
        args.append(x)
    return tuple(args), example.params


def reduction(draft: Draft, op: Op, example: Example) -> Call:
    """Any axes of any value."""
    x = draft.any(1)
    ndim = draft.of(x).ndim
    params = {**example.params, "axis": draft.axis(x)}
    if "keepdims" in op.param_names:
        axes = tuple(i for i in range(ndim) if draft.chance(0.5))
        params |= {
            "axis": draft.choose([params["axis"], None, axes]),
            "keepdims": draft.chance(0.4),
        }
    if "ddof" in op.param_names:
        params["ddof"] = draft.number(0, 1)
    return (draft.within(example.domain, x),), params


def as_in_example(draft: Draft, example: Example, distinct: bool = False) -> Call:
    """Values of just these shapes, or what is drawn for the example: only that, if its rows are to
    be `distinct`."""
    drawn = distinct or draft.chance(0.5) or example.domain not in ("real", "positive", "unit")
    inputs = example.draw(draft.rng)

    def operand(x: Any, array: Any) -> Any:
        if isinstance(x, list):
            return [operand(*pair) for pair in zip(x, array, strict=True)]
        if isinstance(x, tuple) and not drawn:
            return draft.within(example.domain, draft.like(*x))
        is_floating = isinstance(array, np.ndarray) and array.dtype.kind == "f"
        return draft.input(array.shape, array, distinct) if is_floating else array

    pairs = zip(example.inputs, inputs, strict=True)
    return tuple([operand(*pair) for pair in pairs]), example.params


def choose_where(draft: Draft) -> Call:
    x = draft.any()
    y = draft.beside(draft.of(x).shape)
    return (draft.mask(*draft.of(x).shape), x, y), {}


def choose_masked(draft: Draft) -> Call:
    x = draft.any()
    return (x, draft.mask(*draft.of(x).shape)), {}


def choose_reshape(draft: Draft) -> Call:
    x = draft.any()
    shape: list[int] = []
    rest = draft.of(x).size
    while rest > 1 and len(shape) < 4 and draft.chance(0.8):
        shape.append(draft.choose([n for n in range(1, rest + 1) if rest % n == 0]))
        rest //= shape[-1]
    shape.append(draft.choose([rest, -1]))
    return (x,), {"shape": tuple(shape)}


def choose_transpose(draft: Draft) -> Call:
    x = draft.any()
    axes = tuple(draft.rng.permutation(draft.of(x).ndim).tolist())
    return (x,), {"axes": draft.choose([axes, None])}


def choose_swapaxes(draft: Draft) -> Call:
    x = draft.any(1)
    return (x,), {"axis1": draft.axis(x), "axis2": draft.axis(x)}


def choose_broadcast_to(draft: Draft) -> Call:
    x = draft.any()
    shape = tuple(draft.number(1, 3) if n == 1 else n for n in draft.of(x).shape)
    return (x,), {"shape": (*draft.choose([(), (2,), (1, 3)]), *shape)}


def choose_expand_dims(draft: Draft) -> Call:
    x = draft.any()
    ndim = draft.of(x).ndim
    return (x,), {"axis": draft.number(-ndim - 1, ndim)}


def choose_concatenate(draft: Draft) -> Call:
    x = draft.any(1)
    axis, shape = draft.axis(x), list(draft.of(x).shape)
    parts = [x]
    for _ in range(draft.number(0, 2)):
        shape[axis] = draft.choose([shape[axis], draft.number(1, 3)])
        parts.insert(draft.number(0, 1), draft.like(*shape))
    return (parts,), {"axis": axis}


def choose_stack(draft: Draft) -> Call:
    x = draft.any()
    shape = draft.of(x).shape
    parts = [x, *(draft.like(*shape) for _ in range(draft.number(0, 2)))]
    return (parts,), {"axis": draft.number(-len(shape) - 1, len(shape))}


def choose_split(draft: Draft) -> Call:
    x = draft.any(1)
    axis = draft.axis(x)
    n = draft.of(x).shape[axis]
    equal = draft.choose([k for k in range(1, n + 1) if n % k == 0])
    places = sorted({draft.number(1, n - 1) for _ in range(2)}) if n > 1 else equal
    return (x, draft.choose([equal, places])), {"axis": axis}


def choose_pad(draft: Draft) -> Call:
    x = draft.any(1)
    widths = tuple((draft.number(0, 2), draft.number(0, 1)) for _ in draft.of(x).shape)
    return (x,), {"pad_width": widths, "constant_values": draft.choose([0, 0.5])}


def choose_roll(draft: Draft) -> Call:
    x = draft.any(1)
    return (x,), {"shift": draft.number(-3, 3), "axis": draft.choose([None, draft.axis(x)])}


def choose_flip(draft: Draft) -> Call:
    x = draft.any(1)
    return (x,), {"axis": draft.choose([None, draft.axis(x)])}


def choose_repeat(draft: Draft) -> Call:
    x = draft.any(1)
    axis = draft.axis(x)
    counts = draft.rng.integers(0, 3, draft.of(x).shape[axis]).tolist()
    return (x,), draft.choose([{"repeats": 2}, {"repeats": counts, "axis": axis}])


def choose_tile(draft: Draft) -> Call:
    return (draft.any(),), {"reps": draft.choose([2, (2, 1), (1, 2), (2, 1, 2)])}


def choose_triangle(draft: Draft) -> Call:
    return (draft.any(2),), {"k": draft.number(-1, 1)}


def choose_getitem(draft: Draft) -> Call:
    x = draft.any(1)
    index: list[Any] = []
    for n in draft.of(x).shape:
        index += [None] * draft.chance(0.1)
        index.append(
            draft.choose([
                draft.number(-n, n - 1),
                slice(None),
                slice(None, None, draft.choose([-1, 2, -2])),
                slice(draft.number(0, n - 1), None),
                draft.indices(n, draft.choose([2, 3])),
                draft.mask(n),
            ])
        )  # fmt: skip
    if draft.chance(0.4):
        index = [*index[: draft.number(0, len(index))], ...]
    return (x,), {"index": tuple(index) if len(index) > 1 else index[0]}


def choose_take(draft: Draft) -> Call:
    x = draft.any(1)
    axis = draft.axis(x)
    indices = draft.indices(draft.of(x).shape[axis], *draft.shape()[:2])
    return (x,), {"indices": indices, "axis": axis}


def choose_take_along_axis(draft: Draft) -> Call:
    x = draft.any(1)
    axis, shape = draft.axis(x), list(draft.of(x).shape)
    n, shape[axis] = shape[axis], draft.number(1, 3)
    return (x,), {"indices": draft.indices(n, *shape), "axis": axis}


def choose_scatter_add(draft: Draft) -> Call:
    x = draft.any(1)
    first, *rest = draft.of(x).shape
    length = draft.number(1, 4)
    return (x,), {"index": draft.indices(length, first), "shape": (length, *rest)}


def choose_matmul(draft: Draft) -> Call:
    a = draft.any(1)
    *stack, _, inner = (1, *draft.of(a).shape)
    stack = stack[1:]
    b = draft.like(*draft.choose([(), draft.smaller(tuple(stack))]), inner, draft.number(1, 4))
    return (a, draft.choose([b, b, draft.like(inner)])), {}


def choose_dot(draft: Draft) -> Call:
    a = draft.any(1)
    inner = draft.of(a).shape[-1]
    return (a, draft.like(*draft.choose([(inner,), (inner, 2), ()]))), {}


def choose_einsum(draft: Draft) -> Call:
    subscripts = draft.choose([
        "ij,jk->ik", "ij,jk", "bik,bjk->bij", "ij->j", "ij->ji", "ij,j,i", "i,j->ij", "ij,ij->",
        "bhtk,bhsk->bhts", "ij,kj,ij->ik", "i,i,i->i", "abc->ca", "ij,j->i", "i->",
    ])  # fmt: skip
    lengths = {letter: draft.number(1, 3) for letter in set(subscripts) - set(",->")}
    terms = subscripts.split("->")[0].split(",")
    return (subscripts, *(draft.like(*(lengths[c] for c in term)) for term in terms)), {}


def choose_linear(draft: Draft) -> Call:
    x = draft.any(1)
    width = draft.number(1, 4)
    return (x, draft.like(width, draft.of(x).shape[-1]), draft.like(width)), {}


def choose_row_norm(draft: Draft) -> Call:
    x = draft.any(1)
    width = draft.of(x).shape[-1]
    return (x, draft.like(width), draft.like(width)), {}


def choose_rms_norm(draft: Draft) -> Call:
    (x, weight, _), params = choose_row_norm(draft)
    return (x, weight), params


def choose_rotary(draft: Draft) -> Call:
    length, width = draft.number(1, 3), draft.choose([2, 4])
    x = draft.like(*draft.shape()[:2], length, width)
    return (x,), {"start": draft.number(0, 5), "back": draft.chance(0.5)}


def choose_embedding(draft: Draft) -> Call:
    weight = draft.any(2)
    tokens = draft.rng.integers(0, len(draft.of(weight)), draft.shape()[:2])
    return (weight, tokens.astype(draft.choose([np.int64, np.uint8]))), {}


def choose_softmax(draft: Draft) -> Call:
    x = draft.any(1)
    return (x,), {"axis": draft.axis(x)}


def choose_cross_entropy(draft: Draft) -> Call:
    logits = draft.any(1)
    *rows, classes = draft.of(logits).shape
    return (logits, draft.rng.integers(0, classes, rows)), {
        "ignore_index": draft.choose([None, 0]),
        "label_smoothing": draft.choose([0.0, 0.2]),
        "reduction": draft.choose(["mean", "sum"]),
    }


def choose_attention(draft: Draft) -> Call:
    query = draft.any(2)
    *stack, length, width = draft.of(query).shape
    source = draft.number(1, 4)
    key = draft.choose([query, draft.like(*draft.smaller(tuple(stack)), source, width)])
    source = draft.of(key).shape[-2]
    value = draft.like(*draft.smaller(tuple(stack)), source, draft.number(1, 4))
    if draft.chance(0.2):  # heads that share keys, two each
        query = draft.like(1, 4, length, width)
        key, value = draft.like(1, 2, source, width), draft.like(1, 2, source, 2)
        return (query, key, value), {"mask": draft.choose([None, draft.mask(length, source)])}
    mask = draft.choose([None, draft.mask(*stack, length, source)])
    return (query, draft.choose([key, key, value]), value), {"mask": mask}


def choose_self_attention(draft: Draft) -> Call:
    x = draft.like(draft.number(1, 2), draft.number(1, 4), draft.choose([2, 4]))
    _, length, width = draft.of(x).shape
    params = {"heads": 2, "mask": draft.choose([None, np.tri(length, dtype=bool)])}
    return (x, draft.like(3 * width, width)), params


CHOICES: dict[str, Callable[[Draft], Call]] = {
    "where": choose_where,
    "masked_fill": choose_masked,
    "dropout_mask": choose_masked,
    "reshape": choose_reshape,
    "transpose": choose_transpose,
    "swapaxes": choose_swapaxes,
    "broadcast_to": choose_broadcast_to,
    "expand_dims": choose_expand_dims,
    "concatenate": choose_concatenate,
    "stack": choose_stack,
    "split": choose_split,
    "pad": choose_pad,
    "roll": choose_roll,
    "flip": choose_flip,
    "repeat": choose_repeat,
    "tile": choose_tile,
    "tril": choose_triangle,
    "triu": choose_triangle,
    "getitem": choose_getitem,
    "take": choose_take,
    "take_along_axis": choose_take_along_axis,
    "scatter_add": choose_scatter_add,
    "matmul": choose_matmul,
    "dot": choose_dot,
    "einsum": choose_einsum,
    "linear": choose_linear,
    "layer_norm": choose_row_norm,
    "batch_norm": choose_row_norm,
    "rms_norm": choose_rms_norm,
    "rotary": choose_rotary,
    "embedding": choose_embedding,
    "softmax": choose_softmax,
    "log_softmax": choose_softmax,
    "cross_entropy": choose_cross_entropy,
    "scaled_dot_product_attention": choose_attention,
    "nn.Linear": choose_linear,
    "nn.LayerNorm": choose_row_norm,
    "nn.Embedding": choose_embedding,
    "self_attention": choose_self_attention,
}
"""How an op is called where its examples do not show all that it can do."""


def draw(seed: int, names: Iterable[str] | None = None) -> Program:
    """The random program of 5 to 40 steps that belongs to this seed, of these ops or of all.

    ValueError where no call of these ops alone can be measured.
    """
    families: dict[str, list[str]] = {}
    for name in [*TABLE, *LAYERS] if names is None else names:
        families.setdefault(TABLE[name].family if name in TABLE else "layer", []).append(name)
    draft = Draft(seed)
    length = draft.number(5, 40)
    weights = np.sqrt([len(family) for family in families.values()])  # many rows, but not always
    for _ in range(20 * length):
        if sum(isinstance(line, Step) for line in draft.lines) >= length:
            break
        family = draft.rng.choice(list(families), p=weights / weights.sum())
        draft.attempt(draft.choose(families[family]))
    if not draft.lines:
        raise ValueError(f"no random program can be made of {', '.join(names or [])} alone")
    program = Program(tuple(draft.lines), tuple(sorted(draft.unused)), seed).pruned()
    if program.variables:
        return program
    lines = [replace(x, constant=False) if isinstance(x, Input) else x for x in program.lines]
    return replace(program, lines=tuple(lines))
