"""The recorded ops behind a result: which of them to show, and what everything is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.op import Op
from minigrad.scalar import Value
from minigrad.tensor import Array, Scope, Tensor, Watcher, mode, outward, recording, watching
from viz.graphs.look import USUAL, Look, Place, check_scalars, unknown
from viz.graphs.nodes import Path

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


@contextmanager
def unnoticed() -> Iterator[None]:
    """A block whose computations are no part of the user's: nobody watches, NumPy warns of none."""
    with watching(Watcher()), np.errstate(all="ignore"):
        yield


class Gradients(Watcher):
    """What a picture shows as the gradients of some results: `known`, by a tensor's order.

    Those that `backward()` has left in `.grad`, where it was asked to keep all of them. Otherwise a
    pass of its own finds those of the results, starting from ones, and changes nothing. Where that
    cannot be, `obstacle` says why, and what is in `.grad` is all there is.
    """

    def __init__(self, roots: Sequence[Tensor]) -> None:
        tracked = [x for x in ancestors(roots, tensors_in) if x.tracked]
        self.known: dict[int, Array] = {x.order: x.grad for x in tracked if x.grad is not None}
        self.obstacle = ""
        self.is_of_sum = False
        if len(self.known) < len(tracked):
            kept, self.known = self.known, {}
            try:
                for root in roots:
                    self._pass(root)
                self.is_of_sum = sum(root.size for root in roots) > 1
            except RuntimeError as error:
                self.known, self.obstacle = kept, str(error)

    def _pass(self, root: Tensor) -> None:
        if root.tracked:
            with watching(self), np.errstate(all="ignore"):  # a NaN is shown, not warned of
                sent = propagate(root, seed(root, np.ones(root.shape)))
            for x, g in sent:
                if x.op is None:
                    self.arrived(x, g)

    def arrived(self, node: Tensor, g: Any) -> None:
        """Keep the gradient, added to that of another result."""
        self.known[node.order] = self.known[node.order] + g if node.order in self.known else g


class Definition:
    """An op's definition, standing where a module would: the scope of the smaller ops it records.

    They are recorded also on inputs that ask for no gradient.
    """

    def __init__(self, step: Tensor, op: Op) -> None:
        self.step, self.op = step, op

    def run(self, gradients: dict[int, Array]) -> list[Tensor]:
        """The smaller ops that compute the same, oldest first, on the inputs of the op itself.

        If the op's gradient is among these, theirs are added.
        """
        assert self.op.definition is not None
        inputs = tensors_in(self.step)
        untracked = [x for x in inputs if not x.tracked and x.dtype.kind == "f"]
        before, mode.scope = mode.scope, Scope(self, self.step.scope)
        try:
            for x in untracked:
                x.tracked = True
            with recording(True), unnoticed():
                result = self.op.definition(*self.step.inputs, **self.step.params)
        finally:
            mode.scope = before
            for x in untracked:
                x.tracked = False
        parts = ancestors([result], tensors_in, stop=inputs)
        result.name = self.step.name
        if self.step.order in gradients:
            inside = {part.order for part in parts}
            for part in parts:
                part.keeps_grad = part.op is not None
            with unnoticed():
                sent = propagate(result, gradients[self.step.order], stop=inputs)
            gradients |= {part.order: g for part, g in sent if part.order in inside}
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
        self.scopes: dict[Path, Scope] = {}
        self._places: dict[int, tuple[Scope, Place]] = {}
        self._paths: dict[int, Path] = {}
        self._calls: Counter[Path] = Counter()
        self._members: dict[int, dict[int, str]] = {}

    def path(self, scope: Scope | None) -> Path:
        """The path of a module call, or of an op's definition."""
        unknown = []
        while scope is not None and id(scope) not in self._paths:
            unknown.append(scope)
            scope = scope.parent
        path = () if scope is None else self._paths[id(scope)]
        for scope in reversed(unknown):
            name = self.owned(scope.module, scope.parent) or self.kind(scope).replace("_", " ")
            path = self.numbered(path, name)
            self._paths[id(scope)] = path
            self.scopes[path] = scope
        return path

    def numbered(self, path: Path, name: str) -> Path:
        """The path of one more call of this name inside the call at `path`."""
        self._calls[(*path, name)] += 1
        number = self._calls[(*path, name)]
        return (*path, f"{name} ({number})" if number > 1 else name)

    def place(self, scope: Scope | None) -> Place:
        """Where a call stands, as one who wants to open it says; all calls of a module share it."""
        if scope is None:
            return ()
        if id(scope) not in self._places:
            name = self.owned(scope.module, scope.parent) or self.kind(scope)
            # With the scope itself: of one that is gone, another may have the id.
            self._places[id(scope)] = scope, (*self.place(scope.parent), name)
        return self._places[id(scope)][1]

    def kind(self, scope: Scope) -> str:
        """The class of the module, or the op, that a call is of."""
        module = scope.module
        return module.op.name if isinstance(module, Definition) else type(module).__name__

    def owned(self, x: Any, scope: Scope | None, outermost: bool = False) -> str | None:
        """What the nearest module around (or the outermost) calls a part of it, if one has it."""
        found = None
        for call in outward(scope):
            if not isinstance(call.module, Definition):
                members = self._members_of(call.module)
                # A slice of a buffer is known by the buffer's name.
                found = members.get(id(x)) or members.get(id(getattr(x, "base", x))) or found
            if found and not outermost:
                break
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
        self,
        roots: Sequence[Tensor],
        look: Look = USUAL,
        gradients: Gradients | None = None,
    ) -> None:
        self.naming, self.look = Naming(look.given), look
        self._passed = gradients
        self.gradients: dict[int, Array] = {} if gradients is None else gradients.known
        self._opened: dict[int, Tensor] = {}  # an op's result -> the result of its definition
        tensors = self._at_zoom(ancestors(roots, tensors_in))
        self.steps = [x for x in tensors if x.op is not None]
        self.roots = {self.result(root).order for root in roots}

        self._users: dict[int, list[Tensor]] = {}  # of the tensors that may fold
        for step in tensors:
            for x in self.tensors(step):
                if x.op is None or is_transposed(x):
                    self._users.setdefault(x.order, []).append(step)

        self.turned = {x.order for x in tensors if x.op is not None and self._turns(x)}
        leaves = [x for x in tensors if x.order in self._users and x.order not in self.roots]
        leaves = [x for x in leaves if x.op is None]
        self.numbers = {x.order for x in leaves if self._is_number(x)}
        self.parameters = {x.order for x in leaves if self._folds(x)}

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

    def _at_zoom(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors, or those of their definitions where that is how closely to look.

        ValueError for a name to open that is nowhere, and for more scalars than can be computed.
        """
        if self.look.zoom == "scalar":
            check_scalars([x for x in tensors if self.is_scalar(x)])
        self._hidden = self.look.missing(self._places(tensors))
        found = [part for x in tensors for part in self._parts(x)]
        if missing := self.look.missing(places := self._places([*tensors, *found])):
            raise unknown(min(missing), places)
        return found

    def _places(self, tensors: Iterable[Tensor]) -> set[Place]:
        """The places of all calls around these tensors, and of the ops that can be opened."""
        scopes: dict[int, Scope] = {}
        places = set()
        for x in tensors:
            scope = x.scope
            while scope is not None and id(scope) not in scopes:
                scopes[id(scope)] = scope
                scope = scope.parent
            if x.op is not None and (x.op.definition or self.look.zoom == "scalar"):
                places.add(self.place(x, x.op))
        return places | {self.naming.place(scope) for scope in scopes.values()}

    def place(self, step: Tensor, op: Op) -> Place:
        """Where an op stands, as one who wants to open it says."""
        return (*self.naming.place(step.scope), op.name)

    def _is_named(self, step: Tensor, op: Op) -> bool:
        return self.look.opens(self.place(step, op))

    def is_scalar(self, step: Tensor) -> bool:
        """Whether an op is to be drawn number by number."""
        if step.op is None or self.look.zoom != "scalar" or is_freed(step):
            return False
        return self.look.everywhere or self._is_named(step, step.op) or self.is_inside(step.scope)

    def is_inside(self, scope: Scope | None) -> bool:
        """Whether a call, or one around it, is among those to open."""
        place = self.naming.place(scope)
        return any(self.look.opens(place[:level]) for level in range(1, len(place) + 1))

    def _parts(self, step: Tensor) -> list[Tensor]:
        """The step itself, or those of its definition, by theirs in turn, if it is to be opened.

        A name to open that no recorded op or module has is looked for inside of definitions. What
        is defined by a single op, and what overflows in its definition alone, stays as it is.
        """
        op = step.op
        if op is None or op.definition is None or is_freed(step):
            return [step]
        wanted = self.look.everywhere or self._is_named(step, op) or self.is_scalar(step)
        if not wanted and not self._hidden:
            return [step]
        own = Definition(step, op).run(self.gradients)
        parts = [part for x in own for part in self._parts(x)]
        found = len(parts) > len(own) or any(map(self.is_scalar, parts))
        lost = np.isfinite(own[-1].data).sum() < np.isfinite(step.data).sum()
        if len(own) == 1 or lost or not (wanted or found):
            return [step]
        self._opened[step.order] = self.result(own[-1])
        return parts

    def result(self, x: Tensor) -> Tensor:
        """The tensor itself, or the result of the definition that its op is drawn by."""
        return self._opened.get(x.order, x)

    def _turns(self, x: Tensor) -> bool:
        """Whether this is a matrix transposed for a single product, in the same call."""
        users = self._users.get(x.order, []) if is_transposed(x) else []
        if len(users) != 1 or x.order in self.roots or users[0].scope is not x.scope:
            return False
        return users[0].op is not None and users[0].op.name == "matmul"

    def _is_number(self, x: Tensor) -> bool:
        """Whether this leaf is a nameless constant of one element."""
        return x.size == 1 and not x.requires_grad and not (self.naming.given.get(id(x)) or x.name)

    def _folds(self, x: Tensor) -> bool:
        """Whether this leaf is a parameter that stands in the cards of its users."""
        users = self._users[x.order]
        if self._owned(x):
            modules = {user.scope and id(user.scope.module) for user in users}
            return len(modules) == 1
        # Outside of modules it stays a node where all inputs are such leaves: `a * b` has two.
        name = self.naming.given.get(id(x)) or x.name
        if self.look.values or self.look.grads or not name or not x.requires_grad or len(users) > 1:
            return False
        others = [other for other in self.inputs(users[0]) if other is not x]
        return any(
            isinstance(other, Tensor) and (other.op is not None or not other.requires_grad)
            for other in others
        )

    def inputs(self, step: Tensor) -> list[Any]:
        """An op's inputs, expanded ones replaced by the result of their definition."""
        return [self.result(x) if isinstance(x, Tensor) else x for x in step.inputs]

    def tensors(self, step: Tensor) -> list[Tensor]:
        """Those of an op's inputs that are Tensors."""
        return [x for x in self.inputs(step) if isinstance(x, Tensor)]

    def unturned(self, x: Any) -> Any:
        """The input itself, or the matrix of which it is the folded transpose."""
        return self.inputs(x)[0] if isinstance(x, Tensor) and x.order in self.turned else x

    def sources(self, step: Tensor) -> list[Tensor]:
        """The inputs of an op that have a node."""
        found = [self.unturned(x) for x in self.tensors(step)]
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
            if all(tensor.requires_grad for tensor in self.drawn):
                return ["nothing is computed: this is what a computation starts from"]
            return ["nothing is recorded: no input requires a gradient, or it was under no_grad()"]
        if self._freed:
            return [FREED]
        if self._passed is not None and self._passed.obstacle:
            return [self._passed.obstacle]
        if self._passed is not None and self._passed.is_of_sum:
            return ["the gradients are those of the sum of all elements"]
        return []


FREED = (
    "backward() has freed the graph: draw it before, as viz.graph(loss, grads=True), which finds "
    "the gradients itself, or call loss.backward(retain_graph=True)"
)


def is_freed(tensor: Tensor) -> bool:
    """Whether a backward pass has let go of the op's inputs."""
    return tensor.op is not None and not tensor.inputs


def made_by(x: Tensor, scope: Scope | None) -> Op | None:
    """The op that a tensor is the result of, as seen from a call: that whose definition made it."""
    op = x.op
    for inner in outward(x.scope):
        if inner is scope:
            break
        if isinstance(inner.module, Definition):
            op = inner.module.op
    return op


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
