"""Opening: which ops are drawn by the smaller ones that define them, and which number by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from minigrad.mode import Scope
from minigrad.op import Op
from minigrad.tensor import Array, Tensor
from viz.graphs.ancestry import is_freed
from viz.graphs.definition import Definition, overflows
from viz.graphs.look import Look, Place, check_scalars, unknown
from viz.graphs.naming import Naming


class Opened(NamedTuple):
    """The tensors to draw, oldest first, and their `gradients`, by order.

    `replaced` has the result of the definition of each op that was opened, by the op's order.
    """

    tensors: list[Tensor]
    replaced: dict[int, Tensor]
    gradients: dict[int, Array]


class Opening(NamedTuple):
    """What a Look opens, by names that a Naming gives."""

    look: Look
    naming: Naming

    def place(self, step: Tensor, op: Op) -> Place:
        """The place of an op, by which it can be opened."""
        return (*self.naming.place(step.scope), op.name)

    def is_scalar(self, step: Tensor) -> bool:
        """Whether an op is to be drawn number by number."""
        if step.op is None or self.look.zoom != "scalar" or is_freed(step):
            return False
        return self.look.everywhere or self.is_named(step, step.op) or self.is_inside(step.scope)

    def is_named(self, step: Tensor, op: Op) -> bool:
        """Whether an op is among those to open."""
        return self.look.opens(self.place(step, op))

    def is_inside(self, scope: Scope | None) -> bool:
        """Whether a call, or one around it, is among those to open."""
        place = self.naming.place(scope)
        return any(self.look.opens(place[:level]) for level in range(1, len(place) + 1))

    def apply(self, tensors: Sequence[Tensor], gradients: Mapping[int, Array]) -> Opened:
        """The tensors, or those of their definitions where these are to be opened.

        ValueError for a name to open that is nowhere, and for more scalars than can be computed.
        """
        if self.look.zoom == "scalar":
            check_scalars([x for x in tensors if self.is_scalar(x)])
        # A name that no recorded op or module has is looked for inside of definitions.
        seeks = bool(self.look.missing(self.places(tensors)))
        opened = Opened([], {}, dict(gradients))
        for x in tensors:
            opened.tensors.extend(self.parts(x, seeks, opened))
        if missing := self.look.missing(places := self.places([*tensors, *opened.tensors])):
            raise unknown(min(missing), places)
        return opened

    def parts(self, step: Tensor, seeks: bool, opened: Opened) -> list[Tensor]:
        """The step itself or, if it is to be opened, the parts that its definition consists of.

        So too if one `seeks` and finds something to open inside. What is defined by a single op,
        and what overflows in its definition alone, stays as it is.
        """
        op = step.op
        if op is None or op.definition is None or is_freed(step):
            return [step]
        wanted = self.look.everywhere or self.is_named(step, op) or self.is_scalar(step)
        if not wanted and not seeks:
            return [step]
        definition = Definition(step, op)
        own = definition.run()
        if step.order in opened.gradients:
            g = opened.gradients[step.order]
            opened.gradients.update(definition.gradients(own, g))
        parts = [part for x in own for part in self.parts(x, seeks, opened)]
        found = len(parts) > len(own) or any(map(self.is_scalar, parts))
        result = own[-1]
        if len(own) == 1 or overflows(result, step) or not (wanted or found):
            return [step]
        opened.replaced[step.order] = opened.replaced.get(result.order, result)
        return parts

    def places(self, tensors: Iterable[Tensor]) -> set[Place]:
        """The places of all calls around these tensors, and of the ops that can be opened."""
        scopes: dict[int, Scope] = {}
        places = set()
        for x in tensors:
            for scope in self.naming.outward(x.scope):
                if id(scope) in scopes:
                    break
                scopes[id(scope)] = scope
            if x.op is not None and (x.op.definition or self.look.zoom == "scalar"):
                places.add(self.place(x, x.op))
        return places | {self.naming.place(scope) for scope in scopes.values()}
