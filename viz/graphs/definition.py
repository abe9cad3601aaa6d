"""Definitions: the smaller ops that an op is defined by, recorded on the op's own inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import expand, propagate
from minigrad.mode import Scope, mode, outward
from minigrad.op import Op
from minigrad.tensor import Array, Tensor
from viz.graphs.ancestry import ancestors, tensors_in, unnoticed


class Definition(NamedTuple):
    """An op's definition, standing where a module would: the scope of the smaller ops it records.

    They are recorded also on inputs that ask for no gradient.
    """

    step: Tensor
    op: Op

    def run(self) -> list[Tensor]:
        """The smaller ops that compute the same, oldest first, on the inputs of the op itself."""
        inputs = tensors_in(self.step)
        untracked = [x for x in inputs if not x.tracked and x.dtype.kind == "f"]
        before, mode.scope = mode.scope, Scope(self, self.step.scope)
        try:
            for x in untracked:
                x.tracked = True
            result = run_definition(self.step, self.step.inputs)
        finally:
            mode.scope = before
            for x in untracked:
                x.tracked = False
        result.name = self.step.name
        return ancestors([result], tensors_in, stop=inputs)

    def gradients(self, parts: list[Tensor], g: Array) -> Mapping[int, Array]:
        """The gradients of the smaller ops, by their order, given that of the op."""
        inside = {part.order for part in parts}
        for part in parts:
            part.keeps_grad = part.op is not None
        with unnoticed():
            sent = propagate(parts[-1], g, stop=tensors_in(self.step))
        return {part.order: g for part, g in sent if part.order in inside}

    def name_of(self, x: Any) -> str | None:
        """What the definition calls one of its inputs or params."""
        inputs = dict(zip(self.op.input_names, self.step.inputs, strict=True))
        named = inputs | self.step.params
        return next((name for name, member in named.items() if member is x), None)


def run_definition(step: Tensor, inputs: Sequence[Any]) -> Tensor:
    """The result of an op's definition on some inputs, whose smaller ops are recorded."""
    with unnoticed():
        return expand(step, inputs)


def overflows(result: Tensor, step: Tensor) -> bool:
    """Whether the definition, which gave this result, loses numbers that the op itself keeps."""
    return bool(np.isfinite(result.data).sum() < np.isfinite(step.data).sum())


def maker_of(x: Tensor, scope: Scope | None) -> Op | None:
    """The op that a tensor is the result of, as seen from a call: that whose definition made it."""
    op = x.op
    for inner in outward(x.scope):
        if inner is scope:
            break
        if isinstance(inner.module, Definition):
            op = inner.module.op
    return op
