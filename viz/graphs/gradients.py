"""The gradients that a picture shows: those in `.grad`, or those of a pass of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.backward import propagate, seed
from minigrad.mode import Watcher, watching
from minigrad.tensor import Array, Tensor
from viz.graphs.ancestry import ancestors, tensors_in


@dataclass(frozen=True)
class Gradients:
    """The gradients of some results by each tensor: `known`, by its order.

    `obstacle` says why there are no more, if there should be. With `is_of_sum` they are those of
    the sum of several elements.
    """

    known: dict[int, Array] = field(default_factory=dict)
    obstacle: str = ""
    is_of_sum: bool = False


def find_gradients(results: Sequence[Tensor]) -> Gradients:
    """The gradients that `backward()` has left in `.grad`, where it was asked to keep all of them.

    Otherwise a pass of its own finds those of the results, starting from ones, and changes nothing.
    Where that cannot be, what is in `.grad` is all there is.
    """
    tracked = [x for x in ancestors(results, tensors_in) if x.tracked]
    kept = {x.order: x.grad for x in tracked if x.grad is not None}
    if len(kept) == len(tracked):
        return Gradients(kept)
    collected = Collected()
    try:
        for result in results:
            if result.tracked:
                with (
                    watching(collected),
                    np.errstate(all="ignore"),
                ):  # a NaN is shown, not warned of
                    sent = propagate(result, seed(result, np.ones(result.shape)))
                for x, g in sent:
                    if x.op is None:
                        collected.arrived(x, g)
    except RuntimeError as error:
        return Gradients(kept, str(error))
    return Gradients(collected.known, is_of_sum=sum(result.size for result in results) > 1)


class Collected(Watcher):
    """The gradients that a pass, or several, bring to each tensor."""

    def __init__(self) -> None:
        self.known: dict[int, Array] = {}

    def arrived(self, node: Tensor, g: Any) -> None:
        """Keep the gradient, added to that of another result."""
        self.known[node.order] = self.known[node.order] + g if node.order in self.known else g
