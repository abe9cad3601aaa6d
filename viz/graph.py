"""Graph: a computation as plain nodes, edges and clusters, ready to be drawn.

The recorded graph of a Tensor has a node per op and per leaf. Here it becomes what one wants to
look at: parameters and constants fold into the card of the op that uses them, ops gather in
clusters by the module call that made them, and a call nested too deep becomes one card. Nothing
here knows how a picture is made; `dot.py` does.

Reading order: what a Graph is; `graph`, which makes one; `Naming`, what things are called and where
they stand; `Trace`, which tensors get a node; `Cards`, what the nodes say; words.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigrad.backward import propagate
from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import TABLE, Scope, Tensor, mode, recording

Path = tuple[str, ...]
"""The names of nested module calls, outermost first; the second call of a module from one place
is told apart as "cell (2)"."""

Table = tuple[tuple[str, ...], ...]
"""Numbers as text, in rows and columns; without rows, a gradient that has not been computed yet."""

Result = Tensor | Value | Sequence[Tensor] | Sequence[Value]

READABLE = 150  # nodes; of more than this, modules are folded
MOST = 1000  # nodes, even where a depth is asked for: Graphviz takes minutes for a few thousand


@dataclass(frozen=True)
class Row:
    """A parameter or a constant array in the card of the op, or the module, that uses it."""

    name: str
    shape: tuple[int, ...]
    family: str  # "parameter" or "constant"
    value: Table | None = None
    grad: Table | None = None


@dataclass(frozen=True)
class Node:
    """An op, a leaf or a whole module call.

    `kind` is the form: "card", "pill" (an op that only moves elements), "sum" (a residual addition)
    or "stub" (what was left out). `family` is that of the op, or "input", "parameter", "module".
    """

    label: str
    kind: str
    family: str
    detail: str = ""
    path: Path = ()
    rows: tuple[Row, ...] = ()
    size: str = ""  # of a module call: "31 ops · 1.05 M params"
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    value: Table | None = None
    grad: Table | None = None
    notice: str = ""
    id: str = ""


@dataclass(frozen=True)
class Edge:
    """What flows from one node to another, by their ids."""

    source: str
    target: str


@dataclass(frozen=True)
class Graph:
    """Nodes, each after those that it was computed from, and edges; `note` says what is missing."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    note: str = ""

    @property
    def clusters(self) -> tuple[Path, ...]:
        """The path of every module call that has nodes inside, each after the one around it."""
        return tuple(dict.fromkeys(path for node in self.nodes for path in prefixes(node.path)))


def graph(
    result: Result,
    depth: int | None = None,
    *,
    values: bool = False,
    grads: bool = False,
    expand: bool | Collection[str] = False,
    names: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Graph:
    """The graph behind one result, or behind several.

    depth: module calls nested deeper than this become one card each; left out, it is the largest
    that shows at most `limit` nodes. limit: the most nodes to show whatever the depth, the newest
    ones (150; with a `depth`, 1,000). values, grads: with the numbers where they are few, otherwise
    with what they are like; `retain_grads` lets inner nodes have gradients. expand: draw fused ops
    by their definitions, all of them or those named. names: what to call leaves and Values that
    have no name of their own, such as `locals()`.

    TypeError for a result that is no Tensor or Value; ValueError for a negative depth, an empty
    limit, an unknown op to expand.

    >>> x = Tensor([[1.0, 2.0]], name="x")
    >>> w = Tensor([[3.0], [4.0]], requires_grad=True, name="w")
    >>> picture = graph(np.tanh(x @ w))
    >>> [node.label for node in picture.nodes], picture.nodes[1].rows[0].name
    (['x', 'matmul', 'tanh'], 'w')
    """
    roots: list[Any] = list(result) if isinstance(result, Sequence) else [result]
    if depth is not None and depth < 0:
        raise ValueError(f"graph: depth is a number of levels, 0 or more, not {depth}")
    if limit is None:
        limit = READABLE if depth is None else MOST
    if limit < 1:
        raise ValueError(f"graph: limit is a number of nodes, 1 or more, not {limit}")
    given = {id(x): name for name, x in (names or {}).items()}
    if roots and all(isinstance(root, Value) for root in roots):
        return graph_of_values(roots, given, limit)
    if not roots or not all(isinstance(root, Tensor) for root in roots):
        kinds = ", ".join(sorted({type(root).__name__ for root in roots})) or "nothing"
        raise TypeError(f"graph: a Tensor or a Value, or a list of either, is drawn, not {kinds}")
    trace = Trace(roots, given, fused_ops(expand), fold_named=not (values or grads))
    return graph_of_tensors(trace, Cards(trace, values, grads), depth, limit)


def retain_grads(result: Tensor) -> None:
    """Ask `backward()` to fill `grad` of every tensor behind `result`, so that it can be drawn."""
    for tensor in ancestors([result], tensors_in):
        if tensor.op is not None:
            tensor.retain_grad()


def fused_ops(expand: bool | Collection[str]) -> set[str]:
    """The names of the ops to be drawn by their definitions."""
    fused = {name for name, op in TABLE.items() if op.joint is not None}
    if isinstance(expand, bool):
        return fused if expand else set()
    chosen = {expand} if isinstance(expand, str) else set(expand)
    if unknown := sorted(chosen - fused):
        raise ValueError(
            f"graph: no fused op is called {', '.join(unknown)}; "
            f"the possible ones are {', '.join(sorted(fused))}"
        )
    return chosen


class Draft(NamedTuple):
    """A node on its way into a graph: the key it is known by, and the tensors flowing into it."""

    key: Any
    node: Node
    sources: list[int]


def graph_of_tensors(trace: Trace, cards: Cards, depth: int | None, limit: int) -> Graph:
    """The graph with module calls below `depth` folded, cut to its newest `limit` nodes."""
    paths = [trace.path(tensor) for tensor in trace.drawn]
    level = deepest_fitting(paths, limit) if depth is None else depth

    units: dict[Any, list[Tensor]] = {}  # the tensors behind each node: one, or those of a call
    home: dict[int, Any] = {}
    last_use: dict[Any, int] = {}
    for tensor, path in zip(trace.drawn, paths, strict=True):
        key = path[: level + 1] if len(path) > level else tensor.order
        units.setdefault(key, []).append(tensor)
        home[tensor.order] = key
        last_use[key] = max(last_use.get(key, 0), trace.last_use[tensor.order])

    kept = newest(last_use, limit)
    drafts, folded, older = [], 0, 0
    for key, unit in units.items():
        if key not in kept:
            older += trace.count_ops(unit)
        elif len(unit) == 1:
            drafts.append(Draft(key, *cards.node(unit[0])))
        else:
            drafts.append(Draft(key, *cards.call(unit, key)))
            folded += trace.count_ops(unit)
    notes = trace.notes()
    if folded and depth is None:
        notes.append(
            f"showing {len(kept):,} nodes at depth {level}; {folded:,} ops are folded into their "
            "modules, and a larger depth opens more"
        )
    missing = older_ops(older) if len(kept) < len(units) else ""
    return assemble(drafts, home, missing, notes)


def deepest_fitting(paths: Sequence[Path], limit: int) -> int:
    """The largest depth at which nodes with these paths are at most `limit`, or 0."""
    depth = max(map(len, paths), default=0)
    while depth > 0:
        calls = {path[: depth + 1] for path in paths if len(path) > depth}
        if len(calls) + sum(len(path) <= depth for path in paths) <= limit:
            break
        depth -= 1
    return depth


def newest(last_use: Mapping[Any, int], limit: int) -> set[Any]:
    """The `limit` keys used last; one fewer where a stub must stand for the others."""
    if len(last_use) <= limit:
        return set(last_use)
    return set(sorted(last_use, key=last_use.__getitem__)[len(last_use) - limit + 1 :])


def older_ops(number: int) -> str:
    """What the stub says, given the number of ops that are not shown."""
    return counted(number, "older op") if number else "older inputs"


def assemble(
    drafts: Sequence[Draft], home: Mapping[int, Any], missing: str, notes: Sequence[str]
) -> Graph:
    """The finished graph: ids by position, and edges between those ids.

    `home` gives for each source the key of the draft that it is in; what has none is `missing`.
    """
    sizes = Counter(path for draft in drafts for path in prefixes(draft.node.path))
    nodes = [unboxed(draft.node, sizes) for draft in drafts]
    notes = list(notes)
    if missing:
        nodes.append(Node(missing, "stub", "input"))
        notes.append(f"{missing} left out")
    nodes = [replace(node, id=f"n{i}") for i, node in enumerate(nodes)]
    at = {draft.key: i for i, draft in enumerate(drafts)}

    edges: list[Edge] = []
    for i, draft in enumerate(drafts):
        arriving: list[Edge] = []
        for source in draft.sources:
            origin = nodes[at.get(home[source], -1)]
            edge = Edge(origin.id, nodes[i].id)
            # x · x shows as two edges; all that goes from one module call to another as one.
            merged = origin.size or nodes[i].size or origin.kind == "stub"
            if not (merged and edge in arriving):
                arriving.append(edge)
        edges += arriving
    return Graph(tuple(nodes), tuple(edges), "; ".join(notes))


def prefixes(path: Path) -> Iterator[Path]:
    """The paths of the calls around a node, outermost first."""
    return (path[:level] for level in range(1, len(path) + 1))


def unboxed(node: Node, sizes: Mapping[Path, int]) -> Node:
    """The node without boxes around it that hold nothing but itself, or are filled by another.

    The names of the former pass to the node: the only op of a call of the module `query`, a
    linear, becomes the card `query` with the detail "linear".
    """
    path: list[str] = []
    own: list[str] = []
    size_around = 0
    for name, inside in zip(node.path, prefixes(node.path), strict=True):
        if sizes[inside] == 1:
            own.append(unnumbered(name))
        elif sizes[inside] != size_around:
            path.append(name)
        size_around = sizes[inside]
    if not own:
        return replace(node, path=tuple(path))
    if node.size:
        return replace(node, path=tuple(path), label=" · ".join([*own, node.label]))
    told = [] if bare(own[-1]) == bare(node.label) else [node.label]
    detail = " ".join(filter(None, [*told, node.detail]))
    return replace(node, path=tuple(path), label=" · ".join(own), detail=detail)


def unnumbered(name: str) -> str:
    """The name of a call without which of several calls it is."""
    return name.partition(" (")[0]


def bare(name: str) -> str:
    """A name without what does not matter when a module's is compared with its class or an op."""
    return unnumbered(name).replace("_", "").replace(" ", "").casefold()


Item = TypeVar("Item", Tensor, Value)


def ancestors(
    roots: Iterable[Item], inputs: Callable[[Item], Iterable[Item]], stop: Iterable[Item] = ()
) -> list[Item]:
    """The roots and all that they were computed from, up to `stop` (left out), oldest first."""
    seen = {id(x) for x in stop}
    waiting = list(roots)
    found = []
    while waiting:
        x = waiting.pop()
        if id(x) not in seen:
            seen.add(id(x))
            found.append(x)
            waiting += inputs(x)
    return sorted(found, key=lambda x: x.order if isinstance(x, Tensor) else x._place)


def tensors_in(step: Tensor) -> list[Tensor]:
    """The inputs of an op that are Tensors."""
    return [x for x in step.inputs if isinstance(x, Tensor)]


class Definition:
    """A fused op's definition, standing where a module would: the scope of the ops it records."""

    def __init__(self, step: Tensor, op: Op) -> None:
        self.step, self.op = step, op

    def run(self) -> list[Tensor]:
        """The smaller ops that compute the same, oldest first, on the inputs of the fused one."""
        assert self.op.definition is not None
        inputs = tensors_in(self.step)
        before, mode.scope = mode.scope, Scope(self, self.step.scope)
        try:
            with recording(True):
                result = self.op.definition(*self.step.inputs, **self.step.params)
        finally:
            mode.scope = before
        parts = ancestors([result], tensors_in, stop=inputs)
        result.name = self.step.name
        if self.step.grad is not None:  # then the smaller ops have theirs too
            inside = {part.order for part in parts}
            for part in parts:
                part.keeps_grad = part.op is not None
            for part, g in propagate(result, self.step.grad, stop=inputs):
                if part.order in inside:
                    part.grad = g
        return parts

    def name_of(self, x: Any) -> str | None:
        """What the definition calls one of its inputs or params."""
        inputs = dict(zip(self.op.input_names, self.step.inputs, strict=True))
        named = inputs | self.step.params
        return next((name for name, member in named.items() if member is x), None)


class Naming:
    """What is called how: module calls by the modules around them, tensors where they are used."""

    def __init__(self, given: Mapping[int, str]) -> None:
        self.given = given
        self.classes: dict[Path, str] = {}
        self._paths: dict[int, Path] = {}
        self._calls: Counter[Path] = Counter()
        self._members: dict[int, dict[int, str]] = {}

    def path(self, scope: Scope | None) -> Path:
        """The path of a module call, or of a fused op's definition."""
        unknown = []
        while scope is not None and id(scope) not in self._paths:
            unknown.append(scope)
            scope = scope.parent
        path = () if scope is None else self._paths[id(scope)]
        for scope in reversed(unknown):
            module = scope.module
            kind = module.op.name if isinstance(module, Definition) else type(module).__name__
            name = self.owned(module, scope.parent) or kind.replace("_", " ")
            self._calls[(*path, name)] += 1
            number = self._calls[(*path, name)]
            path = (*path, f"{name} ({number})" if number > 1 else name)
            self._paths[id(scope)] = path
            self.classes[path] = kind
        return path

    def owned(self, x: Any, scope: Scope | None, outermost: bool = False) -> str | None:
        """What the nearest module around (or the outermost) calls a part of it, if one has it."""
        found = None
        while scope is not None and (found is None or outermost):
            if not isinstance(scope.module, Definition):
                members = self._members_of(scope.module)
                # A slice of a buffer is known by the buffer's name.
                found = members.get(id(x)) or members.get(id(getattr(x, "base", x))) or found
            scope = scope.parent
        return found

    def _members_of(self, module: Any) -> dict[int, str]:
        """The name of each module, parameter and buffer in a module, by identity."""
        if id(module) not in self._members:
            named = [*module.named_state(), *module.named_modules()]
            self._members[id(module)] = {id(member): name for name, member in reversed(named)}
        return self._members[id(module)]

    def used(self, x: Any, scope: Scope | None) -> str | None:
        """The name of a tensor or an array where an op uses it, if it has one."""
        own = self.given.get(id(x)) or (x.name if isinstance(x, Tensor) else None)
        if scope is not None and isinstance(scope.module, Definition):
            return scope.module.name_of(x) or own or self.owned(x, scope)
        return own or self.owned(x, scope)


class Trace:
    """The recorded ops behind some results, and which of the tensors get a node.

    Parameters have none: they are rows in the card of their op. Nor have single numbers, which
    are words in it, and matrices transposed for one product, where it says ᵀ.
    """

    def __init__(
        self, roots: Sequence[Tensor], given: Mapping[int, str], expand: set[str], fold_named: bool
    ) -> None:
        self.naming = Naming(given)
        self._opened: dict[int, Tensor] = {}  # a fused op's result -> the result of its definition
        tensors = [part for x in ancestors(roots, tensors_in) for part in self._parts(x, expand)]
        self.roots = {self._opened.get(root.order, root).order for root in roots}

        self._users: dict[int, list[Tensor]] = {}  # of the tensors that may fold
        for step in tensors:
            for x in self.inputs(step):
                if isinstance(x, Tensor) and (x.op is None or is_transposed(x)):
                    self._users.setdefault(x.order, []).append(step)

        self.turned = {x.order for x in tensors if x.op is not None and self._turns(x)}
        leaves = [x for x in tensors if x.order in self._users and x.order not in self.roots]
        leaves = [x for x in leaves if x.op is None]
        self.numbers = {x.order for x in leaves if self._is_number(x)}
        self.parameters = {x.order for x in leaves if self._folds(x, fold_named)}

        # Oldest first, a leaf just before the op that first uses it.
        self.drawn: list[Tensor] = []
        self.last_use: dict[int, int] = {}
        self._freed = False
        for now, tensor in enumerate(tensors):
            hidden = tensor.order in self.turned
            if hidden or (tensor.op is None and tensor.order not in self.roots):
                continue
            self._freed = self._freed or is_freed(tensor)
            for x in [*self.sources(tensor), tensor]:
                if x.order not in self.last_use:
                    self.drawn.append(x)
                if x.op is None or x is tensor:
                    self.last_use[x.order] = now

    def _parts(self, tensor: Tensor, expand: set[str]) -> list[Tensor]:
        """The tensor itself, or those of its definition if it is of a fused op to be expanded."""
        if tensor.op is None or tensor.op.name not in expand or is_freed(tensor):
            return [tensor]
        parts = Definition(tensor, tensor.op).run()
        self._opened[tensor.order] = parts[-1]
        return parts

    def _turns(self, x: Tensor) -> bool:
        """Whether this is a matrix transposed for a single product, in the same call."""
        users = self._users.get(x.order, []) if is_transposed(x) else []
        if len(users) != 1 or x.order in self.roots or users[0].scope is not x.scope:
            return False
        return users[0].op is not None and users[0].op.name == "matmul"

    def _is_number(self, x: Tensor) -> bool:
        """Whether this leaf is a nameless constant of one element."""
        return x.size == 1 and not x.requires_grad and not (self.naming.given.get(id(x)) or x.name)

    def _folds(self, x: Tensor, fold_named: bool) -> bool:
        """Whether this leaf is a parameter that stands in the cards of its users."""
        users = self._users[x.order]
        if self._owned(x):
            modules = {user.scope and id(user.scope.module) for user in users}
            return len(modules) == 1
        # Outside of modules it stays a node where all inputs are such leaves: `a * b` has two.
        name = self.naming.given.get(id(x)) or x.name
        if not fold_named or not name or not x.requires_grad or len(users) > 1:
            return False
        others = [other for other in self.inputs(users[0]) if other is not x]
        return any(
            isinstance(other, Tensor) and (other.op is not None or not other.requires_grad)
            for other in others
        )

    def inputs(self, step: Tensor) -> list[Any]:
        """An op's inputs, expanded ones replaced by the result of their definition."""
        return [self._opened.get(x.order, x) if isinstance(x, Tensor) else x for x in step.inputs]

    def unturned(self, x: Any) -> Any:
        """The input itself, or the matrix of which it is the folded transpose."""
        return self.inputs(x)[0] if isinstance(x, Tensor) and x.order in self.turned else x

    def sources(self, step: Tensor) -> list[Tensor]:
        """The inputs of an op that have a node."""
        found = [self.unturned(x) for x in self.inputs(step) if isinstance(x, Tensor)]
        return [x for x in found if x.order not in self.parameters and x.order not in self.numbers]

    def path(self, tensor: Tensor) -> Path:
        """Where a tensor's node stands: an op in the call that made it, a leaf around its users."""
        made = self.naming.path(tensor.scope)
        users = self._users.get(tensor.order, [])
        if tensor.op is not None or not users:
            return made
        around = [self.naming.path(user.scope) for user in users]
        return common(around if self._owned(tensor) else [*around, made])

    def leaf_name(self, leaf: Tensor) -> str | None:
        """The name of a leaf with a node of its own: its own, or what the outermost module says."""
        return self.naming.given.get(id(leaf)) or leaf.name or self._owned(leaf, outermost=True)

    def _owned(self, leaf: Tensor, outermost: bool = False) -> str | None:
        """What modules call a leaf that is theirs."""
        scopes = {id(user.scope): user.scope for user in self._users.get(leaf.order, [])}
        names = (self.naming.owned(leaf, scope, outermost) for scope in scopes.values())
        return next(filter(None, names), None)

    def count_ops(self, unit: Iterable[Tensor]) -> int:
        """The number of ops among these tensors, folded ones included."""
        steps = [tensor for tensor in unit if tensor.op is not None]
        return len(steps) + sum(x.order in self.turned for step in steps for x in tensors_in(step))

    def notes(self) -> list[str]:
        """What to tell about the graph as a whole."""
        if all(tensor.op is None for tensor in self.drawn):
            return ["nothing is recorded: no input requires a gradient, or it was under no_grad()"]
        if self._freed:
            return ["backward() has freed the graph; backward(retain_graph=True) keeps it to draw"]
        return []


class Cards:
    """What the nodes say."""

    def __init__(self, trace: Trace, values: bool, grads: bool) -> None:
        self.trace, self.naming = trace, trace.naming
        self.values, self.grads = values, grads

    def node(self, tensor: Tensor) -> tuple[Node, list[int]]:
        """The node of an op or of a leaf, and the tensors that flow into it."""
        if tensor.op is None:
            family = "parameter" if tensor.requires_grad else "input"
            node = Node(self.trace.leaf_name(tensor) or "input", "card", family)
        else:
            node = self._op_node(tensor, tensor.op)
        node = replace(self._with_result(node, tensor), path=self.trace.path(tensor))
        return node, [x.order for x in self.trace.sources(tensor)]

    def call(self, unit: Sequence[Tensor], path: Path) -> tuple[Node, list[int]]:
        """The one node of a whole module call, and the tensors that flow into it."""
        steps = [(tensor, tensor.op) for tensor in unit if tensor.op is not None]
        constants: dict[tuple[str, tuple[int, ...]], Row] = {}
        parameters: dict[int, int] = {}
        for step, op in steps:
            for row in self._rows(step, op):
                if row.family == "constant" and row.name != UNKNOWN:
                    constants[row.name, row.shape] = replace(row, value=None)
            for x in map(self.trace.unturned, self.trace.inputs(step)):
                if isinstance(x, Tensor) and x.op is None and self.naming.owned(x, step.scope):
                    parameters[x.order] = x.size

        size = counted(self.trace.count_ops(unit), "op")
        if parameters:
            size += " · " + counted(sum(parameters.values()), "param")
        kind = self.naming.classes[path]
        node = Node(
            path[-1],
            "card",
            family_of_call({op.family for _, op in steps}),
            "" if bare(kind) == bare(path[-1]) else kind,
            path[:-1],
            tuple(constants.values()),
            size,
        )
        inside = {tensor.order for tensor in unit}
        flowing = [x.order for step, _ in steps for x in self.trace.sources(step)]
        return self._with_result(node, steps[-1][0]), [x for x in flowing if x not in inside]

    def _with_result(self, node: Node, result: Tensor) -> Node:
        """The node with the shape, and where asked the numbers, of what comes out of it."""
        return replace(
            node,
            shape=result.shape,
            dtype=result.dtype.name,
            value=self._value(result.data),
            grad=self._grad(result),
        )

    def _value(self, array: Any) -> Table | None:
        return numbers(np.asarray(array)) if self.values else None

    def _grad(self, x: Tensor) -> Table | None:
        if not self.grads or not x.requires_grad:
            return None
        return () if x.grad is None else numbers(x.grad)

    def _op_node(self, step: Tensor, op: Op) -> Node:
        asked = self.values or self.grads
        if op.name == "dropout_mask":  # which elements it dropped this time is no one's concern
            dropped = short(1 - 1 / step.params.get("scale", 1.0))
            return Node("dropout", "card" if asked else "pill", op.family, f"p={dropped}")
        rows = self._rows(step, op)
        kind, family = "card", op.family
        if op.name in PILLS and not rows and not asked:
            kind = "pill"
        elif op.name == "add" and not asked:
            shapes = [x.shape for x in self.trace.sources(step)]
            kind = "sum" if len(shapes) == 2 and shapes[0] == shapes[1] else "card"
        if step.order in self.trace.roots and step.shape == ():
            family = "loss"
        elif family == "shape" and any(row.family == "parameter" for row in rows):
            family = "parameter"  # a selection from a table of parameters
        detail = "" if op.name in PILLS else self._detail(step, op)
        notice = "freed by backward()" if is_freed(step) else ""
        return Node(step.name or display_name(op), kind, family, detail, rows=rows, notice=notice)

    def _rows(self, step: Tensor, op: Op) -> tuple[Row, ...]:
        """The parameters and the constant arrays of an op."""
        if op.name == "dropout_mask":
            return ()
        rows = []
        inputs = self.trace.inputs(step)
        said = op.input_names if op.unpack is None else [UNKNOWN] * len(inputs)
        arrays = [(name, x) for name, x in step.params.items() if isinstance(x, np.ndarray)]
        for name, x in zip(said, inputs, strict=False):  # a freed op has no inputs
            if isinstance(x, Tensor):
                leaf = self.trace.unturned(x)
                if leaf.order in self.trace.parameters:
                    name = self.naming.used(leaf, step.scope) or "parameter"
                    name += "ᵀ" if leaf is not x else ""
                    value, grad = self._value(leaf.data), self._grad(leaf)
                    rows.append(Row(name, x.shape, "parameter", value, grad))
            elif np.size(x) != 1:  # a name of one letter is a formula's, and says nothing
                arrays.append((name if len(name) > 1 else UNKNOWN, x))
        for name, x in arrays:
            name = self.naming.used(x, step.scope) or name
            rows.append(Row(name, np.shape(x), "constant", self._value(x)))
        return tuple(rows)

    def _detail(self, step: Tensor, op: Op) -> str:
        """What else there is to say of an op: constant operands, params that are not the usual."""
        if op.name == "getitem":
            return f"[{index_text(step.params['index'])}]"
        words = [
            self._product(step) if op.name == "matmul" else "",
            numbers_text(op, [self._number(x) for x in self.trace.inputs(step)]),
        ]
        usual = defaults(op)
        for name, x in step.params.items():
            if name not in UNSAID and not isinstance(x, np.ndarray) and x != usual.get(name):
                words.append(f"{name}={param_text(x)}")
        return " ".join(filter(None, words))

    def _number(self, x: Any) -> str | None:
        """A constant input of one element as text."""
        if isinstance(x, Tensor):
            return short(x.item()) if x.order in self.trace.numbers else None
        return short(np.asarray(x).item()) if np.size(x) == 1 else None

    def _product(self, step: Tensor) -> str:
        """The factors of a matrix product, in a definition or where one has been transposed."""
        expanded = step.scope is not None and isinstance(step.scope.module, Definition)
        factors, told = [], expanded
        for name, x in zip("ab", self.trace.inputs(step), strict=False):
            factor = self.trace.unturned(x)
            if expanded:
                op = factor.op if isinstance(factor, Tensor) else None
                made = display_name(op) if op is not None else name
                name = self.naming.used(factor, step.scope) or made
            if factor is not x:
                name += "ᵀ"
                told = told or factor.order not in self.trace.parameters
            factors.append(name)
        return " · ".join(factors) if told else ""


def graph_of_values(roots: Sequence[Value], given: Mapping[int, str], limit: int) -> Graph:
    """The graph of single numbers: each card has the operation, the number and its gradient."""
    values = ancestors(roots, lambda value: [x for x, _ in value.inputs])
    results = {id(root) for root in roots}
    last_use: dict[int, int] = {}
    for now, value in enumerate(values):
        last_use[value._place] = now
        for x, _ in value.inputs:
            if not x.inputs:
                last_use[x._place] = now
    kept = newest(last_use, limit)
    drafts = []
    for value in values:
        if value._place not in kept:
            continue
        name, op = given.get(id(value)), operation_text(value._op)
        family = "elementwise" if op else "parameter"
        if id(value) in results and op:
            family = "loss"
        elif op in ("relu", "tanh"):
            family = "activation"
        node = Node(
            name or op or "value",
            "card",
            family,
            op if name else "",
            value=((short(value.data),),),
            grad=((short(value.grad),),),
        )
        drafts.append(Draft(value._place, node, [x._place for x, _ in value.inputs]))
    older = sum(bool(value._op) for value in values if value._place not in kept)
    missing = older_ops(older) if len(kept) < len(values) else ""
    return assemble(drafts, {place: place for place in last_use}, missing, [])


def is_freed(tensor: Tensor) -> bool:
    """Whether a backward pass has let go of the op's inputs."""
    return tensor.op is not None and not tensor.inputs


def is_transposed(tensor: Tensor) -> bool:
    """Whether an op made this tensor by exchanging the last two axes."""
    if tensor.op is None or is_freed(tensor) or tensor.ndim < 2:
        return False
    if tensor.op.name == "swapaxes":
        axes = tensor.params.get("axis1", 0), tensor.params.get("axis2", 1)
        return {axis % tensor.ndim for axis in axes} == {tensor.ndim - 1, tensor.ndim - 2}
    return tensor.op.name == "transpose" and tensor.ndim == 2 and tensor.params.get("axes") is None


def common(paths: Sequence[Path]) -> Path:
    """The longest path that all of them begin with."""
    first, last = min(paths), max(paths)
    same = [a == b for a, b in zip(first, last, strict=False)]
    return first[: [*same, False].index(False)]


def family_of_call(families: set[str]) -> str:
    """The family that a module is about, or "module" for one that is about several things."""
    if {"norm", "activation"} <= families - {"loss"}:
        return "module"
    telling = ("loss", "activation", "matmul", "norm")
    return next((family for family in telling if family in families), "module")


UNKNOWN = "constant"  # the name of an array that nothing names
UNSAID = {"keepdims", "shape"}  # params that the shapes show
PILLS = {
    "broadcast_to", "expand_dims", "ravel", "reshape", "squeeze", "swapaxes", "transpose",
}  # fmt: skip
SUPERSCRIPTS = str.maketrans("0123456789−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
OPERATIONS = {"-": "−", "*": "×", "/": "÷", "**": "xʸ", "neg": "−x"}


def display_name(op: Op) -> str:
    """An op's symbol where it is made of words, otherwise its name."""
    words = op.symbol.replace(" ", "")
    return op.symbol if words.isascii() and words.isalnum() else op.name.replace("_", " ")


def operation_text(op: str) -> str:
    """A Value's operation as one would write it; a number as the exponent is part of it."""
    if op.startswith("**") and len(op) > 2:
        return power_text("x", short(float(op[2:])))
    return OPERATIONS.get(op, op)


@cache
def defaults(op: Op) -> dict[str, Any]:
    """The values of an op's params where they are not given."""
    rule = op.definition or next(rule for rule in op.rules if rule)
    return {p.name: p.default for p in inspect.signature(rule).parameters.values()}


def numbers_text(op: Op, texts: Sequence[str | None]) -> str:
    """The constant numbers among an op's inputs (None for the others), as one would write them."""
    if not any(texts):
        return ""
    if op.name == "where":
        _, chosen, otherwise = texts
        said = [f"{chosen} where true" if chosen else "", f"else {otherwise}" if otherwise else ""]
        return " ".join(filter(None, said))
    if op.family != "elementwise" or len(texts) != 2:
        named = zip(op.input_names, texts, strict=False)
        return " ".join(f"{name}={text}" for name, text in named if text)
    left, right = texts[0] or "x", texts[1] or "x"
    if op.name == "power":
        return power_text(left, right)
    if op.symbol.isalpha():
        return f"({left}, {right})"
    return f"{left} {op.symbol} {right}" if texts[0] else f"{op.symbol} {right}"


def power_text(base: str, exponent: str) -> str:
    """A power, its exponent raised where there are signs for that."""
    if exponent.lstrip("−").isdigit():
        return base + exponent.translate(SUPERSCRIPTS)
    return f"{base}^{exponent}"


def index_text(index: Any) -> str:
    """An index as one writes it; an array in it is only called one."""
    if isinstance(index, tuple):
        return ", ".join(map(index_text, index))
    if isinstance(index, slice):
        parts = ["" if x is None else str(x) for x in (index.start, index.stop, index.step)]
        return ":".join(parts if parts[2] else parts[:2])
    if index is Ellipsis:
        return "…"
    return "array" if np.ndim(index) else str(index)


def param_text(x: Any) -> str:
    """A param in few characters."""
    text = np.dtype(x).name if isinstance(x, type | np.dtype) else str(x)
    return text if len(text) <= 24 else text[:23] + "…"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as "2×5×64"; "scalar" where there are no axes."""
    return "×".join(map(str, shape)) or "scalar"


def counted(n: int, what: str) -> str:
    """So many of something, large numbers in three digits."""
    size, unit = next((x for x in ((10**9, " B"), (10**6, " M")) if n >= x[0]), (1, ""))
    return f"{n / size:.3g}{unit} {what}s" if unit else f"{n:,} {what}{'s' * (n != 1)}"


def short(x: Any) -> str:
    """A number in four digits."""
    text = f"{x:,}" if isinstance(x, int) and not isinstance(x, bool) else f"{x:.4g}"
    return text.replace("-", "−").replace("inf", "∞")


def numbers(array: Any) -> Table:
    """An array's elements where they are few, otherwise what they are like."""
    if array.size == 0:
        return (("empty",),)
    rows = np.atleast_2d(array)
    height, width = rows.shape[-2:]
    if array.ndim <= 2 and height <= 3 and width <= (6 if array.ndim == 1 else 4):
        return tuple(tuple(map(short, row)) for row in rows.tolist())
    if array.dtype.kind in "biu":
        return ((f"min {short(array.min().item())} · max {short(array.max().item())}",),)
    finite = array[np.isfinite(array)]
    told = []
    if finite.size:
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = finite.mean().item(), finite.std().item()
        told += [f"mean {short(mean)}", f"std {short(std)}"]
    if finite.size < array.size:
        told.append(f"{array.size - finite.size:,} not finite")
    return ((" · ".join(told),),)
