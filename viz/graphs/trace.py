"""The recorded ops behind some results, and which of the tensors get a node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from minigrad.tensor import Tensor
from viz.graphs.ancestry import ancestors, common_scope, is_freed, is_transposed, tensors_in
from viz.graphs.gradients import Gradients, find_gradients
from viz.graphs.look import USUAL, Look
from viz.graphs.naming import Naming
from viz.graphs.nodes import Path, prefixes
from viz.graphs.opening import Opening
from viz.graphs.words import display_name


@dataclass(frozen=True)
class Trace:
    """The recorded ops behind some results, looked at in some way.

    Parameters have no node: they are rows in the card of their op. Nor have single numbers, which
    are words in it, and matrices transposed for one product, where it says ᵀ.

    `tensors` are all that are looked at, oldest first, and `roots` the orders of the results.
    `replaced` says what is drawn in the place of a tensor, by its order: for the result of an op
    that is opened, that of its definition; for what comes from outside, a leaf.
    """

    tensors: Sequence[Tensor]
    roots: frozenset[int]
    look: Look
    naming: Naming
    gradients: Gradients
    replaced: Mapping[int, Tensor]
    is_part: bool = False

    @cached_property
    def opening(self) -> Opening:
        """What is opened."""
        return Opening(self.look, self.naming)

    @cached_property
    def steps(self) -> list[Tensor]:
        """The results of ops."""
        return [x for x in self.tensors if x.op is not None]

    @cached_property
    def users(self) -> dict[int, list[Tensor]]:
        """The ops that use each of the tensors that may go without a node, by its order."""
        found: dict[int, list[Tensor]] = {}
        for step in self.tensors:
            for x in self.tensors_into(step):
                if x.op is None or is_transposed(x):
                    found.setdefault(x.order, []).append(step)
        return found

    @cached_property
    def transposes(self) -> set[int]:
        """The matrices, by order, that a product takes as transposed."""
        return {x.order for x in self.steps if self._is_operand(x)}

    @cached_property
    def numbers(self) -> set[int]:
        """The leaves, by order, that are a number in the card of their op."""
        return {x.order for x in self._inner_leaves if self._is_number(x)}

    @cached_property
    def parameters(self) -> set[int]:
        """The leaves, by order, that are a row in the card of their op."""
        return {x.order for x in self._inner_leaves if self._is_row(x)}

    @cached_property
    def last_use(self) -> dict[int, int]:
        """When each tensor that has a node was computed, or a leaf last used, by its order.

        Oldest first, a leaf just before the op that first uses it.
        """
        found: dict[int, int] = {}
        for now, tensor in enumerate(self.tensors):
            is_result = tensor.op is not None or tensor.order in self.roots
            if is_result and tensor.order not in self.transposes:
                leaves = [x for x in self.sources(tensor) if x.op is None]
                found |= dict.fromkeys((x.order for x in [*leaves, tensor]), now)
        return found

    @cached_property
    def drawn(self) -> list[Tensor]:
        """The tensors that have a node, in the same order."""
        known = {x.order: x for x in self.tensors}
        return [known[order] for order in self.last_use]

    @cached_property
    def paths(self) -> dict[int, Path]:
        """Where the node of each tensor stands, by its order."""
        return {x.order: self.path(x) for x in self.drawn}

    @cached_property
    def calls(self) -> set[Path]:
        """The path of every call around what is drawn."""
        return {call for path in self.paths.values() for call in prefixes(path)}

    @property
    def _inner_leaves(self) -> list[Tensor]:
        leaves = [x for x in self.tensors if x.op is None]
        return [x for x in leaves if x.order in self.users and x.order not in self.roots]

    def _is_operand(self, x: Tensor) -> bool:
        """Whether this is a matrix transposed for a single product, in the same call."""
        users = self.users.get(x.order, []) if is_transposed(x) else []
        if len(users) != 1 or x.order in self.roots or users[0].scope is not x.scope:
            return False
        return users[0].op is not None and users[0].op.name == "matmul"

    def _is_number(self, x: Tensor) -> bool:
        """Whether this leaf is a nameless constant of one element."""
        return x.size == 1 and not x.requires_grad and not self.naming.own_name(x)

    def _is_row(self, x: Tensor) -> bool:
        """Whether this leaf is a parameter that stands in the cards of its users."""
        users = self.users[x.order]
        if self._owned(x):
            modules = {user.scope and id(user.scope.module) for user in users}
            return len(modules) == 1
        if self.look.values or self.look.grads or len(users) > 1:
            return False
        if not self.naming.own_name(x) or not x.requires_grad:
            return False
        # Outside of modules it stays a node where all inputs are such leaves: `a * b` has two.
        others = [other for other in self.inputs(users[0]) if other is not x]
        return any(
            isinstance(other, Tensor) and (other.op is not None or not other.requires_grad)
            for other in others
        )

    def result(self, x: Tensor) -> Tensor:
        """The tensor itself, or what is drawn in its place."""
        return self.replaced.get(x.order, x)

    def inputs(self, step: Tensor) -> list[Any]:
        """An op's inputs, as they are drawn."""
        return [self.result(x) if isinstance(x, Tensor) else x for x in step.inputs]

    def tensors_into(self, step: Tensor) -> list[Tensor]:
        """Those of an op's inputs that are Tensors."""
        return [x for x in self.inputs(step) if isinstance(x, Tensor)]

    def untransposed(self, x: Any) -> Any:
        """The input itself, or the matrix of which it is the folded transpose."""
        return self.inputs(x)[0] if isinstance(x, Tensor) and x.order in self.transposes else x

    def sources(self, step: Tensor) -> list[Tensor]:
        """The inputs of an op that have a node."""
        found = [self.untransposed(x) for x in self.tensors_into(step)]
        return [x for x in found if x.order not in self.parameters and x.order not in self.numbers]

    def path(self, tensor: Tensor) -> Path:
        """Where a tensor's node stands: an op in the call that made it, a leaf around its users."""
        made = self.naming.path(tensor.scope)
        users = self.users.get(tensor.order, [])
        if tensor.op is not None or not users:
            return made
        around = [self.naming.path(user.scope) for user in users]
        return common_path(around if self._owned(tensor) else [*around, made])

    def leaf_name(self, leaf: Tensor) -> str | None:
        """The name of a leaf with a node of its own: its own, or what the outermost module says."""
        return self.naming.own_name(leaf) or self._owned(leaf, outermost=True)

    def _owned(self, leaf: Tensor, outermost: bool = False) -> str | None:
        """What modules call a leaf that is theirs."""
        scopes = {id(user.scope): user.scope for user in self.users.get(leaf.order, [])}
        names = (self.naming.member_name(leaf, scope, outermost) for scope in scopes.values())
        return next(filter(None, names), None)

    def count_ops(self, unit: Iterable[Tensor]) -> int:
        """The number of ops among these tensors, folded ones included."""
        steps = [tensor for tensor in unit if tensor.op is not None]
        sources = [x for step in steps for x in tensors_in(step)]
        return len(steps) + sum(x.order in self.transposes for x in sources)

    def notes(self) -> list[str]:
        """What to say of the graph as a whole."""
        if all(tensor.op is None for tensor in self.drawn):
            if all(tensor.requires_grad for tensor in self.drawn):
                return ["nothing is computed: this is what a computation starts from"]
            return ["nothing is recorded: no input requires a gradient, or it was under no_grad()"]
        if any(map(is_freed, self.drawn)):
            return [FREED]
        if self.gradients.obstacle:
            return [self.gradients.obstacle]
        if self.gradients.is_of_sum:
            return ["the gradients are those of the sum of all elements"]
        return []


FREED = (
    "backward() has freed the graph: draw it before, as viz.graph(loss, grads=True), which finds "
    "the gradients itself, or call loss.backward(retain_graph=True)"
)


def trace_ops(
    results: Sequence[Tensor], look: Look = USUAL, within: Collection[int] | None = None
) -> Trace:
    """The Trace behind some results, or of a part that ends in them: the orders `within`.

    What a part uses from outside is a leaf, named "from" the op that made it, and of the module
    calls around all of it only the innermost is named. ValueError for a name to open that is
    nowhere; TooManyScalarsError for more scalars than can be computed.
    """
    naming, outside = Naming(look.given), {}
    if within is None:
        tensors = ancestors(results, tensors_in)
    else:
        around = ancestors(results, lambda x: tensors_in(x) if x.order in within else [])
        inside = [x for x in around if x.order in within]
        naming = Naming(look.given, common_scope(x for x in inside if x.op is not None))
        used = {x.order: x for step in inside for x in tensors_in(step) if x.order not in within}
        outside = {order: stand_in(x, naming) for order, x in used.items() if x.op is not None}
        leaves = [x for x in used.values() if x.op is None]
        tensors = [*outside.values(), *leaves, *inside]
    gradients = find_gradients(results) if look.grads else Gradients()
    opened = Opening(look, naming).apply(tensors, gradients.known)
    replaced = outside | opened.replaced
    return Trace(
        opened.tensors,
        frozenset(replaced.get(x.order, x).order for x in results),
        look,
        naming,
        Gradients(opened.gradients, gradients.obstacle, gradients.is_of_sum),
        replaced,
        within is not None,
    )


def stand_in(x: Tensor, naming: Naming) -> Tensor:
    """A leaf that stands for a tensor whose op is not drawn."""
    assert x.op is not None
    leaf = Tensor.wrap(x.data)
    leaf.order, leaf.name = x.order, f"from {naming.own_name(x) or display_name(x.op)}"
    return leaf


def common_path(paths: Sequence[Path]) -> Path:
    """The longest path that all of them begin with."""
    first, last = min(paths), max(paths)
    same = [a == b for a, b in zip(first, last, strict=False)]
    return first[: [*same, False].index(False)]
