"""Steps: a computation and its backward pass as plain data, in the order in which the engine works.

`record` lets the engine run and notes what each rule sends to each input; `views` divides the
record into pictures small enough to look at, and each picture into steps: an op or a leaf, or a
whole module call, whose own view has the steps inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import Array, Scope, Tensor, Watcher, outward, watching
from viz.cards import display_name, index_text, operation_text, param_text, short
from viz.graphs import READABLE, build
from viz.nodes import Graph, Path
from viz.trace import Naming, ancestors, is_transposed, tensors_in


class Sent(NamedTuple):
    """What a rule of `source` gave for its input number `place`, on the way to `target`.

    `ruled` is the rule's own result, `summed` the same with broadcasting undone, `total` all that
    has come to `target` with it.
    """

    source: int
    place: int
    target: int
    ruled: Array
    summed: Array
    total: Array

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of `ruled` that were summed over, as `minigrad.backward.sum_to` does it."""
        extra = self.ruled.ndim - self.summed.ndim
        lengths = zip(self.ruled.shape[extra:], self.summed.shape, strict=True)
        repeated = [extra + i for i, (long, n) in enumerate(lengths) if n == 1 != long]
        return (*range(extra), *repeated)


class Operand(NamedTuple):
    """An input of an op: what the op calls it, its value, and its order if it is an Item."""

    name: str
    value: Array
    order: int | None


@dataclass
class Item:
    """A Tensor or a Value behind the result, and what came to it in the backward pass.

    `op` is "" for a leaf. `received` are the contributions of its consumers as they came, and
    `gradient` is their sum, or the seed; None where no gradient is required.
    """

    origin: Any
    order: int
    name: str
    op: str
    path: Path
    params: str
    value: Array
    operands: tuple[Operand, ...] = ()
    gradient: Array | None = None
    received: list[Sent] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What to call it in a sentence."""
        nameless = "value" if isinstance(self.origin, Value) else "input"
        return self.name or self.op or nameless


Items = dict[int, Item]
"""Everything behind a result, the result too, by order and oldest first."""


def record(result: Tensor | Value, names: Mapping[str, Any] | None = None) -> Items:
    """The Items behind a result, after a backward pass that leaves every `.grad` as it is.

    A result of several elements gets a gradient of ones, as if their sum were taken. names: what
    to call leaves and Values without a name of their own, such as `locals()`.

    TypeError for a result that is no Tensor or Value; RuntimeError where no gradient is required
    or where the graph has been freed.

    >>> x = Tensor([3.0], requires_grad=True, name="x")
    >>> items = record(x * x)
    >>> [(float(sent.summed[0]), float(sent.total[0])) for sent in items[x.order].received]
    [(3.0, 3.0), (3.0, 6.0)]
    """
    given = {id(x): name for name, x in (names or {}).items()}
    if isinstance(result, Value):
        return record_values(result, given)
    if not isinstance(result, Tensor):
        raise TypeError(f"explain: a Tensor or a Value is explained, not {type(result).__name__}")
    if not result.requires_grad:
        raise RuntimeError(
            "explain: this tensor does not require a gradient; no input had requires_grad=True, "
            "or it was computed under no_grad()"
        )
    items = items_of_tensors(result, Naming(given))
    with watching(Recorder(items)), np.errstate(all="ignore"):  # a NaN is shown, not warned of
        for leaf, g in propagate(result, seed(result, np.ones_like(result.data))):
            items[leaf.order].gradient = g
    return items


class Recorder(Watcher):
    """Notes in the Items what the engine does in one backward pass."""

    def __init__(self, items: Items) -> None:
        self.items = items

    def arrived(self, node: Tensor, g: Any) -> None:
        """Note the finished gradient."""
        self.items[node.order].gradient = g

    def sent(self, node: Tensor, i: int, g: Any, ruled: Any, summed: Any) -> None:
        """Note a contribution, and what it adds up to with those before."""
        target = node.inputs[i].order
        received = self.items[target].received
        total = received[-1].total + summed if received else summed
        received.append(Sent(node.order, i, target, ruled, summed, total))


def items_of_tensors(result: Tensor, naming: Naming) -> Items:
    """The Items behind a Tensor, without gradients yet."""
    tensors = ancestors([result], tensors_in)
    scopes = {x.order: step.scope for step in tensors for x in tensors_in(step)}
    items = {}
    for x in tensors:
        scope = x.scope if x.op is not None else scopes.get(x.order)
        name = naming.given.get(id(x)) or x.name
        if x.op is None:
            name = name or naming.owned(x, scope, outermost=True)
        items[x.order] = Item(
            x,
            x.order,
            name or "",
            display_name(x.op) if x.op is not None else "",
            naming.path(scope),
            ", ".join(f"{key}={shown(value)}" for key, value in x.params.items()),
            x.data,
            tuple(operands_of(x, x.op)) if x.op is not None else (),
        )
    return items


def operands_of(step: Tensor, op: Op) -> Iterator[Operand]:
    """The inputs of a recorded op."""
    names = op.input_names
    if len(names) != len(step.inputs):  # any number of them, as in np.stack
        names = tuple(ascii_lowercase[i % 26] for i in range(len(step.inputs)))
    for name, x in zip(names, step.inputs, strict=True):
        if isinstance(x, Tensor):
            yield Operand(name, x.data, x.order)
        else:
            yield Operand(name, np.asarray(x), None)


def shown(x: Any) -> str:
    """A param in few characters."""
    if isinstance(x, float):
        return short(x)
    return index_text(x) if isinstance(x, slice | np.ndarray | tuple) else param_text(x)


def record_values(result: Value, given: Mapping[int, str]) -> Items:
    """The Items behind a Value, after the walk that `Value.backward` makes."""
    items = {}
    for x in ancestors([result], lambda value: [source for source, _ in value.inputs]):
        names = "x" if len(x.inputs) == 1 else "ab"
        pairs = zip(names, x.inputs, strict=False)
        operands = (Operand(name, np.array(a.data), a._place) for name, (a, _) in pairs)
        op, name = operation_text(x._op), given.get(id(x), "")
        items[x._place] = Item(x, x._place, name, op, (), "", np.array(x.data), tuple(operands))
    items[result._place].gradient = np.array(1.0)
    for item in reversed(items.values()):
        for place, (source, slope) in enumerate(item.origin.inputs):
            target = items[source._place]
            with np.errstate(all="ignore"):
                sent = total = np.asarray(item.gradient * slope)
                if target.gradient is not None:
                    total = np.asarray(target.gradient + sent)
            target.gradient = total
            target.received.append(Sent(item.order, place, target.order, sent, sent, total))
    return items


@dataclass
class Unit:
    """What one step is about: an op, a leaf, or all that is behind one card of the picture.

    `members` are the orders of its Items, oldest first, `ops` those that are no leaves, `nodes` the
    ids of its nodes. The steps inside a folded unit are those of another view, number `view`.
    """

    label: str
    members: tuple[int, ...]
    ops: tuple[int, ...]
    nodes: tuple[str, ...]
    folded: bool = False
    view: int | None = None


class Passed(NamedTuple):
    """The sum of what a folded unit sends to an Item outside, and of how many contributions."""

    target: int
    summed: Array
    number: int


@dataclass
class View:
    """A picture and the units to step through, `forward` and then `backward`.

    `homes` gives for every Item in the picture the ids of its nodes. `parent` is the number of the
    view that has this one folded in a card.
    """

    title: str
    graph: Graph
    homes: dict[int, tuple[str, ...]]
    forward: list[Unit]
    backward: list[Unit]
    parent: int | None = None


def views(items: Items, title: str, names: Mapping[str, Any] | None = None) -> list[View]:
    """The whole as one view, then one for all that is folded in it, and so on."""
    named = names or {}
    found = [view(items, list(items), title, named)]
    for number, outer in enumerate(found):  # grows on the way
        for unit in outer.forward:
            if unit.folded:
                unit.view = len(found)
                found.append(view(items, unit.members, unit.label, named, number))
    return found


def view(
    items: Items,
    members: Sequence[int],
    title: str,
    names: Mapping[str, Any],
    parent: int | None = None,
) -> View:
    """The view of some Items: all of them, or what is behind one card."""
    graph = picture(items, members, names)
    homes = homes_in(graph, items, members)
    units = units_of(graph, items, homes, members)
    forward = [unit for unit in units if unit.ops]
    backward = [unit for unit in units if items[unit.members[0]].gradient is not None or unit.ops]
    forward.sort(key=lambda unit: unit.ops[-1])
    backward.sort(key=lambda unit: (unit.ops or unit.members)[0], reverse=True)
    return View(title, graph, homes, forward, backward, parent)


def picture(items: Items, members: Sequence[int], names: Mapping[str, Any]) -> Graph:
    """The graph of some Items; what they use from outside is an input, "from" the op that made it.

    It is drawn from copies that end there. Around what a single module call has made, the modules
    outside that call are left out.
    """
    inside = set(members)
    uses = [(x.order, item.order in inside) for item in items.values() for x in item.operands]
    used_inside = {order for order, is_inside in uses if is_inside and order is not None}
    used_outside = {order for order, is_inside in uses if not is_inside}
    ops = [order for order in members if items[order].op]
    results = [x for x in members if x in used_outside or x not in used_inside]

    scopes = rerooted([items[order].origin for order in ops])
    is_scalar = isinstance(items[members[0]].origin, Value)
    named = {} if is_scalar else dict(names)
    copies: dict[int, Any] = {}
    for order in sorted(inside | used_inside):
        item = items[order]
        name = item.name if order in inside or not item.op else f"from {item.label}"
        copies[order] = cut_off(item, name, order in inside, copies, scopes)
        if is_scalar and name:
            named[name if name not in named else f"{name} ({order})"] = copies[order]

    graph = build([copies[x] for x in results], names=named)
    if len(ops) > 1 and any(set(node.tensors) >= set(ops) for node in graph.nodes):
        graph = build([copies[x] for x in results], depth=1, names=named, limit=READABLE)
    # The note speaks of a depth to ask for, but here what is folded has a view of its own; and the
    # gradient of a Value, which its card would tell, is for the steps to find.
    return replace(graph, nodes=tuple(replace(x, grad=None) for x in graph.nodes), note="")


def cut_off(
    item: Item, name: str, is_inside: bool, copies: Mapping[int, Any], scopes: Mapping[int, Scope]
) -> Tensor | Value:
    """A copy of the Item's Tensor or Value, computed from copies; from nothing, if it is outside.

    Leaves that are Tensors are themselves: modules know their parameters by identity.
    """
    x = item.origin
    if isinstance(x, Value):
        pairs = [(copies[a._place], slope) for a, slope in x.inputs] if is_inside else []
        value = Value(x.data, x._op if is_inside else "", *pairs)
        value._place = x._place
        return value
    if not item.op:
        return x
    if is_inside:
        inputs = tuple(copies[a.order] if isinstance(a, Tensor) else a for a in x.inputs)
        tensor = Tensor.wrap(x.data, x.op, inputs, x.params, x.saved)
        tensor.scope = scopes.get(id(x.scope))
    else:
        tensor = Tensor.wrap(x.data)
    tensor.order, tensor.name = x.order, name or None
    return tensor


def rerooted(results: Iterable[Tensor | Value]) -> dict[int, Scope]:
    """The scopes of these results by the identity of the original ones, without the modules that
    are around all of them but for the innermost."""
    chains = [[*outward(x.scope)][::-1] for x in results if isinstance(x, Tensor)]
    shared = 0
    for together in zip(*chains, strict=False):
        if any(scope is not together[0] for scope in together):
            break
        shared += 1
    made: dict[int, Scope] = {}
    for line in chains:
        parent = None
        for scope in line[max(shared - 1, 0) :]:
            parent = made.setdefault(id(scope), Scope(scope.module, parent))
    return made


def homes_in(graph: Graph, items: Items, members: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The nodes in which each Item is. What has none of its own, such as a transposed matrix, is
    in those of its consumers, or in the stub for all that was left out: a result too, if newer
    ones take all the room."""
    found: dict[int, tuple[str, ...]] = {}
    for node in graph.nodes:
        for order in (*node.tensors, *(row.tensor for row in node.rows)):
            if order is not None:
                found[order] = (*found.get(order, ()), node.id)
    stub = next((node.id for node in graph.nodes if node.kind == "stub"), None)
    inside = set(members)
    users: dict[int, list[int]] = {}
    for order in members:
        for x in items[order].operands:
            if x.order in inside:
                users.setdefault(x.order, []).append(order)
    for order in sorted(inside - set(found), reverse=True):  # consumers first
        around = dict.fromkeys(home for user in users.get(order, ()) for home in found[user])
        shown = tuple(home for home in around if home != stub)
        x = items[order].origin
        folds = not items[order].op or (isinstance(x, Tensor) and is_transposed(x))
        found[order] = shown if shown and (folds or stub is None) else (stub,) if stub else ()
    return found


def units_of(
    graph: Graph, items: Items, homes: Mapping[int, tuple[str, ...]], members: Sequence[int]
) -> list[Unit]:
    """The units of a view: what is in a single card of several ops, or the stub, is one."""
    labels = {
        node.id: ".".join([*node.path[-1:], node.label])
        for node in graph.nodes
        if len(node.tensors) > 1 or node.kind == "stub"
    }
    together: dict[Any, list[int]] = {}
    for order in sorted(members):
        home = homes[order]
        key = home[0] if len(home) == 1 and home[0] in labels else order
        together.setdefault(key, []).append(order)
    units = []
    for key, orders in together.items():
        ops = tuple(order for order in orders if items[order].op)
        if key in labels and ops:
            units.append(Unit(labels[key], tuple(orders), ops, (key,), folded=True))
        else:
            units += [
                Unit(items[x].label, (x,), (x,) if items[x].op else (), homes[x]) for x in orders
            ]
    return units


def passed(items: Items, unit: Unit) -> list[Passed]:
    """What a folded unit sends to each Item outside, newest first."""
    inside = set(unit.members)
    used = {x.order for order in inside for x in items[order].operands if x.order is not None}
    found = []
    for target in sorted(used - inside, reverse=True):
        sums = [sent.summed for sent in items[target].received if sent.source in inside]
        if sums:
            found.append(Passed(target, np.asarray(sum(sums[1:], sums[0])), len(sums)))
    return found


def results(items: Items, unit: Unit) -> list[int]:
    """The members of a unit whose gradient comes, in part at least, from outside."""
    inside = set(unit.members)
    return [
        order
        for order in unit.ops
        if not items[order].received or any(x.source not in inside for x in items[order].received)
    ]
