"""Steps: a computation and its backward pass as plain data, in the order in which the engine works.

`items_behind` lists what a result was computed from; `views` divides that into pictures small
enough to look at, and each picture into steps: an op or a leaf, or a whole module call, whose own
view has the steps inside; `walk` lets the engine run and tells what each rule sends to each input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.mode import Watcher, watching
from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import Array, Tensor, behind
from viz.graphs.ancestry import ancestors, is_freed, tensors_in, values_in
from viz.graphs.build import build
from viz.graphs.definition import overflows, run_definition
from viz.graphs.look import Look
from viz.graphs.naming import Naming
from viz.graphs.nodes import Graph, Path
from viz.graphs.words import display_name, index_text, number_text, operation_text, param_text


class Sent(NamedTuple):
    """What a rule of `source` gave for its input number `place`, on the way to `target`.

    `ruled` is the rule's own result, `summed` the same with broadcasting undone, `total` all that
    has come to `target` with it: with the last one, the gradient.
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
    """A Tensor or a Value behind the result.

    `op` is "" for a leaf. `users` are the ops that it is an operand of, oldest first, by order;
    each of them sends a contribution to its gradient, if it is `tracked`.
    """

    origin: Any
    order: int
    name: str
    op: str
    path: Path
    params: str
    value: Array
    tracked: bool
    operands: tuple[Operand, ...] = ()
    users: list[int] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What to call it in a sentence."""
        nameless = "value" if isinstance(self.origin, Value) else "input"
        return self.name or self.op or nameless


Items = dict[int, Item]
"""Everything behind a result, the result too, by order and oldest first."""


def items_behind(result: Tensor | Value, names: Mapping[str, Any] | None = None) -> Items:
    """The Items behind a result.

    names: what to call leaves and Values without a name of their own, such as `locals()`.
    TypeError for a result that is no Tensor or Value; RuntimeError where no gradient is required,
    or where an earlier `backward()` has freed the graph.
    """
    given = {id(x): name for name, x in (names or {}).items()}
    if isinstance(result, Value):
        found = items_of_values(result, given)
    elif not isinstance(result, Tensor):
        raise TypeError(f"explain: a Tensor or a Value is explained, not {type(result).__name__}")
    elif not result.requires_grad:
        raise RuntimeError(
            "explain: this tensor does not require a gradient; no input had requires_grad=True, "
            "or it was computed under no_grad()"
        )
    elif any(is_freed(x) for x in behind(result)):
        raise RuntimeError(
            "explain: backward() has freed the graph: call viz.explain(loss) before it (it walks "
            "back by itself), or loss.backward(retain_graph=True)"
        )
    else:
        found = items_of_tensors(result, Naming(given))
    items = {item.order: item for item in found}
    for item in found:
        for x in item.operands:
            if x.order is not None:
                items[x.order].users.append(item.order)
    return items


def items_of_tensors(result: Tensor, naming: Naming) -> list[Item]:
    """The Items behind a Tensor, but for their users."""
    tensors = behind(result)
    scopes = {x.order: step.scope for step in tensors for x in tensors_in(step)}
    found = []
    for x in tensors:
        scope = x.scope if x.op is not None else scopes.get(x.order)
        name = naming.own_name(x)
        if x.op is None:
            name = name or naming.member_name(x, scope, outermost=True)
        item = Item(
            x,
            x.order,
            name or "",
            display_name(x.op) if x.op is not None else "",
            naming.path(scope),
            ", ".join(f"{key}={param_words(value)}" for key, value in x.params.items()),
            x.data,
            x.tracked,
            tuple(operands_of(x, x.op)) if x.op is not None else (),
        )
        found.append(item)
    return found


def operands_of(step: Tensor, op: Op) -> Iterator[Operand]:
    """The inputs of a recorded op."""
    for name, x in zip(op.names(step.inputs), step.inputs, strict=True):
        if isinstance(x, Tensor):
            yield Operand(name, x.data, x.order)
        else:
            yield Operand(name, np.asarray(x), None)


def param_words(x: Any) -> str:
    """A param in few characters."""
    if isinstance(x, float):
        return number_text(x)
    return index_text(x) if isinstance(x, slice | np.ndarray | tuple) else param_text(x)


def items_of_values(result: Value, given: Mapping[int, str]) -> list[Item]:
    """The Items behind a Value, but for their users."""
    found = []
    for x in ancestors([result], values_in):
        names = "x" if len(x.inputs) == 1 else "ab"
        pairs = zip(names, x.inputs, strict=False)
        operands = tuple(Operand(name, np.array(a.data), a._place) for name, (a, _) in pairs)
        op, name = operation_text(x._op), given.get(id(x), "")
        found.append(Item(x, x._place, name, op, (), "", np.array(x.data), True, operands))
    return found


def definition_behind(item: Item) -> Items | None:
    """The Items behind a fused op's result by its definition, on inputs named as they are there.

    None where that is a single op, or overflows where the op does not.
    """
    step = item.origin
    if isinstance(step, Value) or not item.op or not step.op.definition:
        return None
    inputs = []
    for name, x in zip(step.op.names(step.inputs), step.inputs, strict=True):
        if isinstance(x, Tensor):
            tracked = x.tracked
            x = Tensor.wrap(x.data)
            x.name, x.tracked = name, tracked
        inputs.append(x)
    result = run_definition(step, inputs)
    is_single = all(x.op is None for x in tensors_in(result))
    if is_single or overflows(result, step) or not result.tracked:
        return None
    return items_behind(result)


def walk(items: Items, notice: Callable[[Sent], None], gradient: Array | None = None) -> None:
    """Take the backward pass from the newest Item, and call `notice` with each contribution.

    It leaves every `.grad` as it is, and keeps no array for longer than the engine itself does.
    Without a `gradient` to start from, a result gets one of ones, as if the sum were taken.

    >>> x = Tensor([3.0], requires_grad=True, name="x")
    >>> walk(items_behind(x * x), lambda sent: print(sent.summed, sent.total))
    [3.] [3.]
    [3.] [6.]
    """
    result, walking = items[max(items)].origin, Walking(notice)
    with watching(walking), np.errstate(all="ignore"):  # a NaN is shown, not warned of
        if isinstance(result, Tensor):
            ones = np.ones_like(result.data)
            propagate(result, seed(result, ones if gradient is None else gradient))
        else:
            walk_values(items, walking)


class Walking(Watcher):
    """Adds up the contributions to each gradient until it is complete, and reports each."""

    def __init__(self, notice: Callable[[Sent], None]) -> None:
        self.notice = notice
        self.totals: dict[int, Array] = {}

    def arrived(self, node: Tensor, g: Any) -> None:
        """The gradient is complete: let go of it."""
        self.totals.pop(node.order, None)

    def sent(self, node: Tensor, i: int, g: Any, ruled: Any, summed: Any) -> None:
        """A rule of the engine has given a contribution."""
        self.send(node.order, i, node.inputs[i].order, ruled, summed)

    def send(self, source: int, place: int, target: int, ruled: Any, summed: Any) -> None:
        """Add a contribution to those before it."""
        before = self.totals.get(target)
        total = summed if before is None else before + summed
        self.totals[target] = total
        self.notice(Sent(source, place, target, ruled, summed, total))


def walk_values(items: Items, walking: Walking) -> None:
    """The walk that `Value.backward` makes."""
    walking.totals[max(items)] = np.array(1.0)
    for item in reversed(items.values()):
        g = walking.totals.pop(item.order)
        for place, (source, slope) in enumerate(item.origin.inputs):
            sent = np.asarray(g * slope)
            walking.send(item.order, place, source._place, sent, sent)


@dataclass
class Unit:
    """What one step is about: an op, a leaf, or all that is behind one card of the picture.

    `members` are the orders of its Items, oldest first, `ops` those that are no leaves, `nodes` the
    ids of its nodes. The steps inside a folded unit are those of another view, number `view`; so
    are those of a fused op's definition.
    """

    label: str
    members: tuple[int, ...]
    ops: tuple[int, ...]
    nodes: tuple[str, ...]
    folded: bool = False
    view: int | None = None


class Passed(NamedTuple):
    """The sum of what a folded unit sends to an Item outside, and of how many contributions."""

    summed: Array
    number: int


@dataclass
class View:
    """A picture and the units to step through, `forward` and then `backward`.

    `parent` is the number of the view that has this one folded in a card, or if `is_definition`,
    the op that it defines.
    """

    title: str
    graph: Graph
    forward: list[Unit]
    backward: list[Unit]
    parent: int | None = None
    is_definition: bool = False


def views(
    items: Items, title: str, names: Mapping[str, Any] | None = None, first: int = 0
) -> list[View]:
    """The whole as one view, number `first`, then one for all that is folded in it, and so on."""
    named = names or {}
    found = [view(items, list(items), title, named)]
    for number, outer in enumerate(found, first):  # grows on the way
        for unit in outer.forward:
            if unit.folded:
                unit.view = first + len(found)
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
    results = [items[order].origin for order in ends(items, members)]
    graph = build(results, Look(names=names), within=set(members))
    # The note speaks of a depth to ask for, but here what is folded has a view of its own; and the
    # gradient of a Value, which its card would tell, is for the steps to find.
    graph = replace(graph, nodes=tuple(replace(x, grad=None) for x in graph.nodes), note="")
    units = units_of(graph, items, members)
    forward = [unit for unit in units if unit.ops]
    backward = [unit for unit in units if items[unit.members[0]].tracked or unit.ops]
    forward.sort(key=lambda unit: unit.ops[-1])
    backward.sort(key=lambda unit: (unit.ops or unit.members)[0], reverse=True)
    return View(title, graph, forward, backward, parent)


def units_of(graph: Graph, items: Items, members: Sequence[int]) -> list[Unit]:
    """The units of a view: what is in a single card of several ops, or the stub, is one."""
    labels = {
        node.id: ".".join([*node.path[-1:], node.label])
        for node in graph.nodes
        if len(node.tensors) > 1 or node.kind == "stub"
    }
    together: dict[Any, list[int]] = {}
    for order in sorted(members):
        home = graph.homes[order]
        key = home[0] if len(home) == 1 and home[0] in labels else order
        together.setdefault(key, []).append(order)
    units = []
    for key, orders in together.items():
        ops = tuple(order for order in orders if items[order].op)
        if key in labels and ops:
            units.append(Unit(labels[key], tuple(orders), ops, (key,), folded=True))
        else:
            units += [
                Unit(items[x].label, (x,), (x,) if items[x].op else (), graph.homes[x])
                for x in orders
            ]
    return units


def ends(items: Items, members: Sequence[int]) -> list[int]:
    """Those of some Items that others use, or none: their gradients come, in part at least, from
    outside."""
    inside = set(members)
    users = {order: items[order].users for order in members}
    return [x for x in members if not users[x] or not inside.issuperset(users[x])]


class Passing:
    """What folded units send to Items outside, added up while a walk goes on.

    `sums` has, for the number of a unit's view, what it passes on by the order of the target.
    """

    def __init__(self, items: Items, views: Sequence[View]) -> None:
        self.sums: dict[int, dict[int, Passed]] = {}
        self._around: dict[int, set[int]] = {order: set() for order in items}
        for view in views:
            for unit in view.forward:
                if unit.folded and unit.view is not None:
                    self.sums[unit.view] = {}
                    for order in unit.members:
                        self._around[order].add(unit.view)

    def add(self, sent: Sent) -> None:
        """Count a contribution in those units that it leaves."""
        for number in self._around[sent.source] - self._around[sent.target]:
            sums = self.sums[number]
            before = sums.get(sent.target)
            sums[sent.target] = (
                Passed(sent.summed, 1)
                if before is None
                else Passed(before.summed + sent.summed, before.number + 1)
            )
