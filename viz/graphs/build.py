"""A computation as a Graph: plain nodes, edges and clusters, ready to be drawn.

The recorded graph of a Tensor has a node per op and per leaf. Here it becomes what one wants to
look at: parameters and constants fold into the card of the op that uses them, ops gather in
clusters by the module call that made them, and a call nested too deep becomes one card. Nothing
here knows how a picture is made; `dot.py` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from minigrad.mode import outward
from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import Tensor, behind
from viz.graphs.ancestry import ancestors, values_in
from viz.graphs.assembly import Draft, assemble, find_homes, newest, stub_label
from viz.graphs.cards import Cards
from viz.graphs.cost import flops, with_costs
from viz.graphs.definition import Definition
from viz.graphs.folding import Folding, fold
from viz.graphs.look import COMPUTED, USUAL, Element, Look, Place, TooManyScalarsError, shortest
from viz.graphs.nodes import Graph, Node, Path, prefixes
from viz.graphs.scalars import Scalars, check_element, follow_scalars
from viz.graphs.trace import Trace, trace_ops
from viz.graphs.words import number_text, operation_text

Result = Tensor | Value | Sequence[Tensor] | Sequence[Value]


def build(result: Result, look: Look = USUAL, within: Collection[int] | None = None) -> Graph:
    """The graph behind one result, or behind several.

    within: the orders (of Values, the places) of the part that is drawn, which ends in the results;
    what it uses from outside is an input, named "from" what made it, and of the module calls around
    all of it only the innermost is named.

    TypeError for a result that is no Tensor or Value; ValueError for a name to open or an element
    that there is not, for too many scalars, for parameters where no module is folded, and for what
    Values have not: costs, parameters, open, element and depth.

    >>> import numpy as np
    >>> x = Tensor([[1.0, 2.0]], name="x")
    >>> w = Tensor([[3.0], [4.0]], requires_grad=True, name="w")
    >>> picture = build(np.tanh(x @ w))
    >>> [node.label for node in picture.nodes], picture.nodes[1].rows[0].name
    (['x', 'matmul', 'tanh'], 'w')
    >>> [node.label for node in build(x @ w, Look("scalar")).nodes]
    ['x[0,0]', 'x[0,1]', 'w[0,0]', 'w[1,0]', '×', '×', '+']
    """
    roots: list[Any] = list(result) if isinstance(result, Sequence) else [result]
    if roots and all(isinstance(root, Value) for root in roots):
        is_for_tensors = look.costs or look.parameters or look.opened
        if is_for_tensors or look.element is not None or look.depth is not None:
            raise ValueError(
                "graph: costs, parameters, open, element and depth are for Tensors, not for Values"
            )
        return graph_of_values(roots, look, within)
    if not roots or not all(isinstance(root, Tensor) for root in roots):
        kinds = ", ".join(sorted({type(root).__name__ for root in roots})) or "nothing"
        raise TypeError(f"graph: a Tensor or a Value, or a list of either, is drawn, not {kinds}")

    if look.index is not None and not look.opened:  # before anything large is computed
        for root in roots:
            check_element(look.index, root.shape)
    try:
        trace = trace_ops(roots, look, within)
        scalars = follow_scalars(trace, look.index, look.most)
    except TooManyScalarsError as error:
        raise TooManyScalarsError(error.said, few_scalars(roots, look)) from None
    graph = graph_of_tensors(fold(trace, scalars.shown), scalars, Cards(trace))
    if look.parameters and not any(node.size for node in graph.nodes):
        raise ValueError(
            "graph: parameters are listed in the cards of folded modules, and here are none; "
            "choose zoom module or model, or leave parameters out"
        )
    return with_costs(graph, trace.drawn) if look.costs else graph


def few_scalars(roots: Sequence[Tensor], look: Look) -> tuple[str, Element] | None:
    """A name to open, and an element, that are few enough scalars: each is tried.

    The name "" is the whole result. None where nothing is small enough.
    """
    ways = [("", zeros(roots[0]))] if len(roots) == 1 else []
    ways += telling_parts(trace_ops(roots, Look("definition", names=look.names)))
    for name, element in ways:
        try:
            trial = trace_ops(roots, Look("scalar", open=name or (), names=look.names))
            follow_scalars(trial, element, look.most)
        except ValueError:
            continue
        return name, element
    return None


def telling_parts(trace: Trace) -> list[tuple[str, Element]]:
    """Ops and definitions by their names, each with the first element of its result.

    The most telling come first, and of these the smallest.
    """
    work: Counter[Place] = Counter()
    made: dict[Place, tuple[Op, Tensor]] = {}  # what stands at each place, and its result
    for step in trace.steps:
        assert step.op is not None
        size = flops(step)
        around = [scope for scope in outward(step.scope) if isinstance(scope.module, Definition)]
        here = [(trace.naming.place(scope), scope.module.op, scope.module.step) for scope in around]
        for place, op, result in [(trace.opening.place(step, step.op), step.op, step), *here]:
            work[place] += size
            made[place] = op, result
    families = ("norm", "matmul", "loss", "activation")
    possible = [place for place in made if 0 < work[place] <= COMPUTED]

    def rank(place: Place) -> tuple[int, int]:
        family = made[place][0].family
        return families.index(family) if family in families else len(families), work[place]

    names = ((shortest(place, made), made[place][1]) for place in sorted(possible, key=rank)[:9])
    return [(name, zeros(result)) for name, result in names]


def zeros(x: Tensor) -> Element:
    """The index of the first element."""
    return (0,) * x.ndim


def retain_grads(result: Tensor) -> None:
    """Ask `backward()` to fill `grad` of every tensor behind `result`.

    Then these are drawn, which several backward passes may have added up, and not what `result`
    alone sends.
    """
    for tensor in behind(result):
        if tensor.op is not None:
            tensor.retain_grad()


def graph_of_tensors(folding: Folding, scalars: Scalars, cards: Cards) -> Graph:
    """The graph of calls that are folded, of ops and of scalars, cut to the newest nodes."""
    trace, nodes, look = folding.trace, folding.nodes(), folding.trace.look
    whole = [step for step in trace.drawn if step.order not in scalars.shown]
    used = {x.order for step in whole for x in trace.sources(step)}
    needless = scalars.leaves - used - trace.roots
    last_use = {
        key: max(trace.last_use[x.order] for one in keys for x in folding.units[one])
        for key, keys in nodes.items()
        if key not in scalars.shown and key not in needless
    }
    kept = newest(last_use, look.most)
    home: dict[Any, Any] = {order: folding.drawn(key) for order, key in folding.home.items()}
    if look.grads and scalars.elements.steps:
        scalars.backward()

    labels = folding.labels(with_numbers=look.values or look.grads)
    drafts: list[Draft] = []
    folded = older = 0
    for key, keys in nodes.items():
        unit = folding.units[key]
        if key in scalars.shown:
            for value in scalars.shown[key]:
                node, flowing = scalars.card(value)
                home[value] = value
                sources = [x for x in flowing if x in home and home[x] not in needless]
                drafts.append(Draft(value, node, sources))
        elif key in kept:
            node, orders = cards.node(unit[0]) if len(unit) == 1 else cards.call(unit, key)
            orders += folding.joining(key, keys)
            sources = [x for order in orders for x in scalars.nodes_for(order)]
            tensors = [x.order for one in keys for x in folding.units[one]]
            node = replace(node, tensors=tuple(tensors), times=len(keys))
            drafts.append(Draft(key, relabel(node, key, labels), sources))
            folded += trace.count_ops(unit) if len(unit) > 1 else 0
        else:
            older += trace.count_ops(unit)

    notes = scalars.notes() or trace.notes()
    if folded and folding.is_reduced:
        notes.append(
            f"showing {len(kept):,} nodes at depth {folding.depth}; {folded:,} ops are folded into "
            "their modules, and a larger depth opens more"
        )
    missing = stub_label(older) if len(kept) < len(last_use) else ""
    depth = folding.depth if folding.is_reduced else None
    graph = assemble(drafts, home, missing, notes, labels.values(), scalars.rows())
    users = {order: [user.order for user in users] for order, users in trace.users.items()}
    return replace(
        graph, depth=depth, homes=find_homes(graph, [x.order for x in trace.tensors], users)
    )


def relabel(node: Node, key: Any, labels: Mapping[Path, str]) -> Node:
    """The node, naming the layers that it, or a box around it, stands for."""
    if key in labels and node.size:
        node = replace(node, label=labels[key], size=f"{node.size} each")
    return replace(node, path=tuple(labels.get(path, path[-1]) for path in prefixes(node.path)))


def graph_of_values(
    roots: Sequence[Value], look: Look, within: Collection[int] | None = None
) -> Graph:
    """The graph of single numbers: each card has the operation, the number and its gradient."""
    inputs: dict[int, list[Value]] = {}  # of those that are drawn

    def inputs_of(value: Value) -> list[Value]:
        if within is not None and value._place not in within:
            return []
        return inputs.setdefault(value._place, values_in(value))

    values = ancestors(roots, inputs_of)
    results = {id(root) for root in roots}
    gradients = {value._place: value.grad for value in values}
    has_grads = any(gradients.values())  # a Value cannot tell 0 from none yet
    if look.grads and not has_grads:
        gradients = gradients_of_values(values, roots)
    users: dict[int, list[int]] = {}  # of the leaves
    last_use: dict[int, int] = {}
    for now, value in enumerate(values):
        last_use[value._place] = now
        for x in inputs.get(value._place, ()):
            if not inputs.get(x._place):
                last_use[x._place] = now
                users.setdefault(x._place, []).append(value._place)
    kept = newest(last_use, look.few)
    drafts = []
    for value in values:
        if value._place not in kept:
            continue
        name, op = look.given.get(id(value)), operation_text(value._op)
        if value._place not in inputs and op:
            name, op = f"from {name or op}", ""
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
            value=((number_text(value.data),),),
            grad=((number_text(gradients[value._place]),),) if has_grads or look.grads else (),
            tensors=(value._place,),
        )
        drafts.append(Draft(value._place, node, [x._place for x in inputs.get(value._place, ())]))
    older = [value for value in values if value._place not in kept]
    number = sum(bool(value._op) and value._place in inputs for value in older)
    missing = stub_label(number) if older else ""
    graph = assemble(drafts, {place: place for place in last_use}, missing, [])
    return replace(graph, homes=find_homes(graph, [value._place for value in values], users))


def gradients_of_values(values: Sequence[Value], roots: Sequence[Value]) -> dict[int, float]:
    """The gradients that `backward()` would bring to these Values, oldest first, by place."""
    found = dict.fromkeys((value._place for value in values), 0.0)
    for root in roots:
        found[root._place] += 1.0
    for value in reversed(values):
        for x, slope in value.inputs:
            found[x._place] += found[value._place] * slope
    return found
