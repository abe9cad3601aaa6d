"""Blame: which op on the way from the loss made a gradient zero, huge, tiny or no number, and why.

A backward pass is run and every gradient on the way is kept. From the tensor up to the loss, always
to where the largest contribution came from, leads a path; along it the first place where the
gradient is no longer as it should be names the culprit.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf, isfinite, log, nan
from typing import NamedTuple

import numpy as np

from minigrad.backward import propagate, seed, sum_to
from minigrad.mode import Watcher, watching
from minigrad.names import describe_op, input_name, module_path
from minigrad.sums import norm
from minigrad.tensor import Array, Tensor, behind, unwrap
from minigrad.why.births import HIDDEN, born_backward, first_birth, without_warnings
from minigrad.why.reasons import Hop, Reason, factors, left_over, reason_for_zeros, rule_on
from minigrad.why.wording import is_floating, non_finite

NONE, ZERO, PARTLY_ZERO, NOT_FINITE = "none", "zero", "partly zero", "not finite"
HUGE, TINY, WRONG, FINE = "huge", "tiny", "wrong", "fine"

LARGEST, SMALLEST = 1e4, 1e-7
"""Norms beyond which a gradient is called huge or tiny: an ordinary one is far from both."""

FLAT = 1e-3
"""The slope up to which a curve such as that of tanh is called flat; and the share of a sum that
may be left for it to count as cancelled."""

ROUNDING = 100
"""The same share, in units of the dtype's precision, where only rounding would leave anything."""

SECOND = 0.25
"""The next change is worth a word from this share of the greatest on, both as logarithms."""


def verdict_of(g: Array) -> str:
    """What a gradient is, by its numbers."""
    if not np.isfinite(g).all():
        return NOT_FINITE
    if not g.size:
        return FINE
    if not g.any():
        return ZERO
    size = norm(g)
    if size > LARGEST or size < SMALLEST:
        return HUGE if size > LARGEST else TINY
    return FINE if g.all() else PARTLY_ZERO


class Step(NamedTuple):
    """An op on the way from the loss: the module that called it, and the norm of what arrived."""

    op: str
    module: str
    size: float

    @property
    def place(self) -> str:
        """The op and where it is called: "linear in encoder.layers.0"."""
        return self.op + (f" in {self.module}" if self.module else "")

    def __str__(self) -> str:
        return f"{self.op}{f' ({self.module})' if self.module else ''} {self.size:.3g}"


class Pass(Watcher):
    """A backward pass from `loss` with all gradients kept, or the `obstacle` that it meets."""

    def __init__(self, loss: Tensor) -> None:
        self.nodes = behind(loss)
        self.loss = loss
        self.gradients: dict[int, Array] = {}
        self.hops: dict[int, list[Hop]] = defaultdict(list)
        self._steps: dict[int, Step] = {}
        self._changed: dict[int, bool] = {}
        self.obstacle = obstacle(loss, self.nodes)
        if self.obstacle is None:
            with without_warnings(), watching(self):
                self.gradients |= {x.order: g for x, g in propagate(loss, seed(loss))}

    @cached_property
    def trouble(self) -> str:
        """What is wrong with the loss itself."""
        return trouble(self.loss)

    @cached_property
    def main_hops(self) -> dict[int, Hop]:
        """The largest contribution to each tensor, by its order."""
        return {order: max(hops, key=rank) for order, hops in self.hops.items()}

    def arrived(self, node: Tensor, g: Array) -> None:
        """Keep the gradient."""
        self.gradients[node.order] = g

    def sent(self, node: Tensor, i: int, g: Array, ruled: Array, summed: Array) -> None:
        """Keep what was sent, with where it came from."""
        self.hops[node.inputs[i].order].append(Hop(node, i, g, ruled, summed))

    def oldest_changed(self, path: Sequence[Hop]) -> Tensor | None:
        """The oldest result on a path that is not what its op makes of its inputs."""
        for node in (hop.node for hop in reversed(path)):
            if node.order not in self._changed:
                self._changed[node.order] = was_changed(node)
            if self._changed[node.order]:
                return node
        return None

    def step(self, node: Tensor) -> Step:
        """An op as a step of a path; most are on the paths of many leaves."""
        if node.order not in self._steps:
            assert node.op is not None
            g = self.gradients.get(node.order)
            size = nan if g is None else norm(g)
            self._steps[node.order] = Step(node.op.name, module_path(node.scope), size)
        return self._steps[node.order]

    def path(self, tensor: Tensor) -> list[Hop]:
        """From the loss to a tensor, each time by the largest contribution."""
        hops = []
        while (hop := self.main_hops.get(tensor.order)) is not None:
            hops.append(hop)
            tensor = hop.node
        return hops[::-1]


def was_changed(node: Tensor) -> bool:
    """Whether the op would give another result for its inputs than it did."""
    assert node.op is not None
    again, _ = node.op.compute(*unwrap(node.inputs), **node.params)
    return np.shape(again) != node.shape or not np.allclose(again, node.data, equal_nan=True)


def trouble(loss: Tensor) -> str:
    """That a loss is NaN or infinite, and where that was born; "" if it is a number."""
    if np.isfinite(loss.data).all():
        return ""
    found = first_birth(loss)
    return f"The loss itself is {loss.item()}." + (f" {found[0].text}." if found else "")


def rank(hop: Hop) -> float:
    """How much a contribution matters: by its norm, and one that is not finite the most."""
    return hop.size if isfinite(hop.size) else inf


def obstacle(loss: Tensor, nodes: Sequence[Tensor]) -> Reason | None:
    """Why no backward pass from `loss` is possible, if none is."""
    if not loss.tracked:
        return Reason(
            "no-graph",
            "The loss has no graph: nothing that it was computed from requires a gradient, or it "
            "was computed under no_grad() or cut off by .detach(), .data or an integer result.",
        )
    freed = next((x for x in nodes if x.op is not None and not x.inputs), None)
    if freed is not None:
        return Reason(
            "freed",
            f"An earlier backward pass has freed the graph behind {describe_op(freed)}.",
            "compute the loss again and ask before backward(), or pass retain_graph=True to it",
        )
    return None


Blame = tuple[Reason, Tensor | None]
"""The reason, and the op that is to blame."""


def blame_non_finite(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The op that made the first NaN or infinity of a finite gradient, or found one in its data."""
    for hop in path:
        if not isfinite(hop.arrived):
            return overflow(hop.node, f"arrives at {describe_op(hop.node)}", hop.g)
        if not isfinite(hop.size):
            return blame_inherited(hop) or blame_rule(hop)
    return overflow(None, "arrives here", run.gradients[tensor.order])


def blame_inherited(hop: Hop) -> Blame | None:
    """Where the NaN or infinity that the rule found, if any, came from in the forward pass."""
    node, bad = hop.node, ~np.isfinite(hop.ruled)
    held = {i: ~np.isfinite(x) for i, x in enumerate(unwrap(node.inputs)) if is_floating(x)}
    met = [bad & x if hop.is_elementwise else x for x in [~np.isfinite(node.data), *held.values()]]
    if not bad.any() or not any(x.any() for x in met):
        return None
    hidden = hop.g.shape == bad.shape and not hop.g[bad].any()
    if found := first_birth(node):
        birth, culprit = found
        text = f"Already in the forward pass {birth.text}."
        if hidden:
            text += f" What arrives at {describe_op(node)} {HIDDEN}."
        return Reason(birth.cause, text), culprit
    for i, lacking in held.items():
        x = node.inputs[i]
        if lacking.any() and not (isinstance(x, Tensor) and x.op):
            text = (
                f"{describe_op(node)} was given {non_finite(unwrap(x))} of {input_name(node, i)} "
                f"{np.shape(x)}, which its rule uses"
            )
            text += "; its result hides it." if np.isfinite(node.data).all() else "."
            return Reason("in-the-data", text, "look at the data"), node
    return None


def blame_rule(hop: Hop) -> Blame:
    """The op whose rule made a NaN or an infinity of finite numbers."""
    text = born_backward(hop.node, hop.i, hop.g, hop.ruled, hop.sent)
    return Reason("born-backward", f"In the backward pass {text}."), hop.node


def overflow(node: Tensor | None, where: str, g: Array) -> Blame:
    """A sum that is not finite though its terms are."""
    text = f"What {where} holds {non_finite(g)}: contributions that are finite add up to it."
    return Reason("overflow", text), node


def blame_zero(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The op that sends nothing on, or those whose contributions cancel."""
    for k, hop in enumerate(path):
        if not hop.arrived:
            return cancelled(hop.node, run), hop.node
        if not hop.size:
            reason, culprit = blame_blocking(path, k)
            if any(len(run.hops[later.input.order]) > 1 for later in path[k:]):
                text = f"{reason.text} Nothing comes by any other way either."
                return reason._replace(text=text), culprit
            return reason, culprit
    return cancelled(tensor, run), None


def cancelled(x: Tensor, run: Pass) -> Reason:
    """The contributions that add up to zero."""
    parts = [f"{describe_op(hop.node)} ({hop.size:.3g})" for hop in run.hops[x.order]]
    text = (
        f"The contributions of {', '.join(parts[:4])}{', …' if parts[4:] else ''} cancel exactly."
    )
    return Reason("cancelled", text)


def blame_blocking(path: Sequence[Hop], k: int) -> Blame:
    """Why the op at place `k` of a path sends nothing on though something arrives."""
    hop = path[k]
    if not hop.sent.size:
        node = next(later.node for later in path[k:] if later.sent.size)
        text = f"{describe_op(node)} gives no elements: its result has shape {node.shape}."
        return Reason("empty", f"{text} So the loss does not depend on what it is given."), node
    reason = reason_for_zeros(hop)
    if reason is not None and reason.whole and not hop.ruled.any():
        return as_sentence(reason, hop, "lets nothing through"), hop.node
    if left_over(hop) == 0:
        rest = Reason("cancelled", "what it adds up cancels exactly")
    elif passes(hop).any():
        rest = Reason("underflow", "what it sends is too small a number to be told from 0")
    elif hop.node.op is not None and hop.node.op.family == "matmul":
        rest = Reason("zero-factor", f"{factors(hop)} is 0 wherever a gradient arrives")
    elif found := next(
        reasons(path[:k], hop.g == 0), None
    ):  # it may hand on just the zeros that arrive
        return as_sentence(*found, "leaves this part out"), found[1].node
    else:
        rest = Reason("zero-slope", "its rule makes 0 of what arrives")
    if reason is not None:
        rest = rest._replace(text=f"{reason.text}, and elsewhere {rest.text}", hint=reason.hint)
    return as_sentence(rest, hop, "lets nothing through"), hop.node


def passes(hop: Hop) -> Array:
    """The absolute slopes by which something passes the op, of what arrives."""
    return rule_on(hop, (hop.g != 0).astype(hop.g.dtype))


def reasons(path: Sequence[Hop], zeros: Array) -> Iterator[tuple[Reason, Hop]]:
    """The ops without which some of these zeros would be none, from the end of the gradient's path
    on, until all are accounted for."""
    for k, hop in reversed(list(enumerate(path))):
        if reason := reason_for_zeros(hop):
            let = np.ones(hop.ruled.shape) if reason.at is None else reason.at
            let = np.broadcast_to(let, hop.ruled.shape) * (hop.ruled == 0)
            opened = zeros & where_reached(let, path[k:])
            if opened.any():
                yield reason, hop
            zeros = zeros & ~opened
        if hop.g.all() or not zeros.any():
            return


def where_reached(let: Array, path: Sequence[Hop]) -> Array:
    """Where at the end of a path something would arrive if its first rule `let` it through."""
    passing = sum_to(let, path[0].sent.shape)
    for hop in path[1:]:  # with numbers of all sizes, as equal ones cancel in a softmax's rule
        sizes = 1 + np.arange(hop.g.size).reshape(hop.g.shape) * 0.618 % 1
        g = np.where(passing != 0, sizes, 0).astype(hop.g.dtype)
        passing = sum_to(rule_on(hop, g), hop.sent.shape)
    return passing != 0


def as_sentence(reason: Reason, hop: Hop, verb: str) -> Reason:
    """The reason as a sentence about the op."""
    k, n = np.count_nonzero(hop.g), hop.g.size
    of_what = f" (a gradient arrives at {k:,} of {n:,} elements)" if k < n else ""
    return reason._replace(text=f"{describe_op(hop.node)} {verb}{of_what}: {reason.text}.")


def blame_partly_zero(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The ops that made a part of the gradient zero; the first one is to blame."""
    found = list(reasons(path, run.gradients[tensor.order] == 0))
    if not found:
        return blame_nothing(tensor, path, run)
    reason, hop = found[0]
    texts = [as_sentence(*each, "lets only a part through").text for each in found]
    return reason._replace(text=" ".join(texts)), hop.node


def blame_nothing(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """Nothing is wrong."""
    return Reason("", ""), None


class Change(NamedTuple):
    """By what factor, as its logarithm, a gradient grows in an op or, where `parts` contributions
    to one tensor are added up, in the sum; and the name of the op or tensor."""

    hop: Hop
    log: float
    place: str
    parts: int = 1


def changes(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Iterator[Change]:
    """All factors by which the gradient's norm changes on a path."""
    totals = [hop.arrived for hop in path[1:]] + [norm(run.gradients[tensor.order])]
    for hop, total in zip(path, totals, strict=True):
        growth = magnitude(hop.size) - magnitude(hop.arrived)
        yield Change(hop, growth, run.step(hop.node).place)
        if (parts := len(run.hops[hop.input.order])) > 1:
            place = "this tensor" if hop.input.op is None else run.step(hop.input).place
            yield Change(hop, magnitude(total) - magnitude(hop.size), place, parts)


def magnitude(size: float) -> float:
    """The logarithm of a norm; of the largest number for one that is not finite, which a mask may
    hide later, and of the smallest for 0, of which only a faulty rule makes more."""
    smallest, largest = sys.float_info.min, sys.float_info.max
    return log(size or smallest) if isfinite(size) else log(largest)


def blame_size(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The ops, or sums of contributions, by which the gradient grows, or shrinks, the most."""
    grew = norm(run.gradients[tensor.order]) > 1
    sign = 1 if grew else -1
    alike: dict[tuple[str, bool], list[Change]] = defaultdict(list)
    for change in changes(tensor, path, run):
        alike[change.place, change.parts > 1].append(change)
    groups = sorted(alike.values(), key=lambda group: -sign * factor_log(group))
    least = SECOND * sign * factor_log(groups[0])
    texts = [growth(group) for group in groups[:2] if sign * factor_log(group) >= least]
    text = f"Along the path it {'grows' if grew else 'shrinks'} most {', then '.join(texts)}."
    worst = max(groups[0], key=lambda change: sign * change.log)
    hop, place, parts = worst.hop, worst.place, worst.parts
    if parts > 1:
        culprit = None if hop.input.op is None else hop.input
        return Reason("exploding" if grew else "cancelled", text), culprit
    if grew:
        return Reason("exploding", text), hop.node
    reason = reason_for_zeros(hop, FLAT)
    if reason is not None and reason.cause in ("saturated", "cancelled"):
        return reason._replace(text=f"{text} At {place} {reason.text}."), hop.node
    if (share := left_over(hop)) <= FLAT:
        text += f" What {place} adds up cancels {but_for(share, hop.sent)}."
        return Reason("cancelled", text), hop.node
    return Reason("vanishing", text), hop.node


def factor_log(group: Sequence[Change]) -> float:
    """The logarithm of the factors' product."""
    return sum(change.log for change in group)


def growth(group: Sequence[Change]) -> str:
    """The factor of changes at one place: "×2e+06 at multiply over 2 calls"."""
    hop, _, place, parts = group[0]
    n, total = len(group), factor_log(group)
    factor = f"×{np.exp(total):.2g}"
    if parts == 1:
        return f"{factor} at {place}" + (f" over {n} calls" if n > 1 else "")
    if hop.input.op is not None:
        place = f"{n} results of {place}" if n > 1 else f"the result of {place}"
    sums = f"{sum(change.parts for change in group):,} contributions to {place}"
    if total > 0:
        return f"{factor} by adding up {sums}"
    return f"{factor} as {sums} cancel {but_for(np.exp(total / n), hop.sent)}"


def but_for(share: float, g: Array) -> str:
    """What is left over where numbers of the gradient's dtype cancel."""
    if share <= ROUNDING * np.finfo(g.dtype).eps:
        return "but for rounding: the loss hardly depends on it"
    return f"but for a share of {share:.1g}"


BLAME = {
    NOT_FINITE: blame_non_finite,
    ZERO: blame_zero,
    PARTLY_ZERO: blame_partly_zero,
    HUGE: blame_size,
    TINY: blame_size,
    FINE: blame_nothing,
}
"""The function that finds the culprit, by verdict."""
