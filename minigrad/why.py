"""Why a gradient is None, zero, NaN, huge or tiny: the way it took from the loss, and the culprit.

A backward pass is run and every gradient on the way is kept. From the tensor up to the loss, always
to where the largest contribution came from, leads a path; along it the first place where the
gradient is no longer as it should be names the culprit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, nan
from typing import NamedTuple

import numpy as np

from minigrad.anomaly import (
    Birth,
    Births,
    argument,
    born_backward,
    called,
    extremes,
    non_finite,
    silent,
)
from minigrad.backward import propagate, seed
from minigrad.culprits import Hop, Reason, cancels, reason_for_zeros
from minigrad.nn import Module, module_path
from minigrad.tensor import Array, Tensor, Watcher, behind, outward, unwrap, watching

NONE, ZERO, PARTLY_ZERO, NOT_FINITE = "none", "zero", "partly zero", "not finite"
HUGE, TINY, FINE = "huge", "tiny", "fine"

LARGEST, SMALLEST = 1e4, 1e-7
"""Norms beyond which a gradient is called huge or tiny: an ordinary one is far from both."""

FLAT = 1e-3
"""The slope up to which a curve such as that of tanh is called flat."""

ROUNDING = 1e-5
"""The share of what is added up that may be left over where, without rounding, nothing would be."""


class Step(NamedTuple):
    """An op on the way from the loss: the module that called it, and the norm of what arrived."""

    op: str
    module: str
    size: float

    def __str__(self) -> str:
        return f"{self.op}{f' ({self.module})' if self.module else ''} {self.size:.3g}"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a tensor's gradient is what it is; printed, a few lines.

    verdict: what it is: "none", "zero", "partly zero", "not finite", "huge", "tiny" or "fine".
    cause: a code word for why, such as "dead-relu", "detached" or "born-forward"; "" when fine.
    culprit: the op that is to blame; None when there is none, or when it cannot be known.
    path: the ops from the loss to the tensor, through the culprit if it is on the way; the tensor
    itself comes last.
    gradient: d loss / d tensor, or what `grad` holds if no loss was given; None if there is none.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    cause: str = ""
    reason: str = ""
    hint: str = ""
    culprit: Step | None = None
    path: tuple[Step, ...] = ()
    gradient: Array | None = field(default=None, repr=False)

    @property
    def size(self) -> float:
        """The gradient's norm; NaN if there is none."""
        return nan if self.gradient is None else norm(self.gradient)

    @property
    def zeros(self) -> float:
        """The share of the gradient's elements that are 0; NaN if there are none."""
        if self.gradient is None or not self.gradient.size:
            return nan
        return float(np.mean(self.gradient == 0))

    def __str__(self) -> str:
        lines = [f"{self.name} {self.shape}: {self.headline()}", self.reason]
        if self.hint:
            lines.append(f"What to do: {self.hint}.")
        if self.path:
            lines.append("From the loss: " + " → ".join(self.shortened()))
        return "\n".join(filter(None, lines))

    def headline(self) -> str:
        """The verdict as a sentence."""
        if self.gradient is None:
            return "there is no gradient."
        numbers = f"norm {self.size:.3g}, elements {extremes(self.gradient)}"
        told = {
            NONE: f".grad is None, though the loss has a gradient here: {numbers}",
            ZERO: "the gradient is zero",
            PARTLY_ZERO: f"{self.zeros:.0%} of the gradient is zero; {numbers}",
            NOT_FINITE: f"the gradient is not finite: {extremes(self.gradient)}",
            HUGE: f"the gradient is huge: {numbers}",
            TINY: f"the gradient is tiny: {numbers}",
            FINE: f"nothing is wrong with the gradient: {numbers}",
        }
        return told[self.verdict] + "."

    def shortened(self) -> list[str]:
        """The steps of the path; of a long one both ends and those around the culprit."""
        n = len(self.path)
        at = self.path.index(self.culprit) if self.culprit in self.path else 0
        shown = [i for i in range(n) if i < 2 or i >= n - 3 or abs(i - at) <= 1]
        texts = []
        for before, i in zip([-1, *shown], shown, strict=False):
            if i - before > 1:
                texts.append(f"({i - before - 1} more)")
            texts.append(str(self.path[i]))
        return texts


def explain_grad(tensor: Tensor, loss: Tensor | None = None) -> Explanation:
    """Why the gradient of `tensor` is None, zero, NaN, huge or tiny, or that nothing is wrong.

    With `loss`, a single element, a backward pass of its own is run, which changes no `grad` and
    frees nothing: ask before `loss.backward()`. Without it only what the tensor itself shows can
    be told. TypeError when either is no Tensor, ValueError when `loss` has more than one element.

    >>> import minigrad as mg
    >>> x = mg.Tensor([-1.0, -2.0], requires_grad=True, name="x")
    >>> print(explain_grad(x, mg.relu(x).sum()))
    x (2,): the gradient is zero.
    relu lets nothing through: all 2 of its inputs are 0 or less (the largest is -1).
    What to do: use a smaller learning rate, a bias above 0, or leaky_relu.
    From the loss: sum 1 → relu 1.41 → x 0
    """
    for x in (tensor, tensor if loss is None else loss):
        if not isinstance(x, Tensor):
            raise TypeError(f"explain_grad takes Tensors, not {type(x).__name__}")
    name = tensor.name or ("tensor" if tensor.op is None else f"result of {called(tensor)}")
    if loss is None:
        return alone(tensor, name)
    known = {id(x): name for name, x in leaves(loss).items()}
    return explained(tensor, known.get(id(tensor), name), Pass(loss))


def survey(loss: Tensor) -> list[Explanation]:
    """An explanation for each of `leaves(loss)`, from a single backward pass.

    ValueError when `loss` has more than one element, or when its graph has been freed.
    """
    run = Pass(loss)
    if run.obstacle is not None and run.obstacle.cause == "freed":
        raise ValueError(f"{run.obstacle.text} To see why, {run.obstacle.hint}.")
    return [explained(leaf, name, run) for name, leaf in leaves(loss).items()]


def leaves(loss: Tensor) -> dict[str, Tensor]:
    """What `loss` was computed from and what its modules own, by name.

    First all parameters of the modules that were called, used or not, by their dotted names; where
    several outermost modules were called, behind the class. Then the other leaves of the graph, by
    their own names, else as "input 1". A name that comes again is numbered.
    """
    nodes = behind(loss)
    modules = {id(module): module for module in map(outermost, nodes) if module is not None}
    found: dict[str, Tensor] = {}
    seen: set[int] = set()

    def enter(name: str, x: Tensor) -> None:
        if id(x) not in seen:
            seen.add(id(x))
            alike = sum(other.partition(" (")[0] == name for other in found)
            found[f"{name} ({alike + 1})" if alike else name] = x

    for module in modules.values():
        for path, x in module.named_parameters():
            enter(f"{type(module).__name__}.{path}" if len(modules) > 1 else path, x)
    nameless = 0
    for x in nodes:
        if x.op is None and id(x) not in seen:
            nameless += x.name is None
            enter(x.name or f"input {nameless}", x)
    return found


def outermost(node: Tensor) -> Module | None:
    """The module whose call all the calls around this op were made in."""
    module = None
    for scope in outward(node.scope):
        module = scope.module
    return module


class Pass(Watcher):
    """A backward pass from `loss` with all gradients kept, or the `obstacle` that it meets."""

    def __init__(self, loss: Tensor) -> None:
        self.nodes = behind(loss)
        self.loss = loss
        self.gradients: dict[int, Array] = {}
        self.hops: dict[int, list[Hop]] = defaultdict(list)
        self._steps: dict[int, Step] = {}
        self.obstacle = obstacle(loss, self.nodes)
        if self.obstacle is None:
            with silent(), watching(self):
                self.gradients |= {x.order: g for x, g in propagate(loss, seed(loss))}

    @cached_property
    def birth(self) -> tuple[Birth, Tensor] | None:
        """Where the first NaN or infinity of the forward pass was born."""
        return first_birth(self.nodes)

    def arrived(self, node: Tensor, g: Array) -> None:
        """Keep the gradient."""
        self.gradients[node.order] = g

    def sent(self, node: Tensor, i: int, g: Array, ruled: Array, summed: Array) -> None:
        """Keep what was sent, with where it came from."""
        self.hops[node.inputs[i].order].append(Hop(node, i, g, ruled, summed))

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
        while tensor.order in self.hops:
            hops.append(max(self.hops[tensor.order], key=rank))
            tensor = hops[-1].node
        return hops[::-1]


def first_birth(nodes: Sequence[Tensor]) -> tuple[Birth, Tensor] | None:
    """The first of these results, oldest first, in which a NaN or an infinity is born."""
    births = Births()
    for node in nodes:
        if node.op is not None and (birth := births.report(node)):
            return birth, node
    return None


def rank(hop: Hop) -> float:
    """How much a contribution matters: by its norm, and one that is not finite the most."""
    size = norm(hop.sent)
    return size if np.isfinite(size) else inf


def norm(g: Array) -> float:
    """The root of the sum of squares, without overflow; NaN or inf where an element is."""
    largest = float(np.abs(g).max(initial=0))
    if not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm((g / (largest or 1)).astype(np.float64)))


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
            f"An earlier backward pass has freed the graph behind {called(freed)}.",
            "compute the loss again and ask before backward(), or pass retain_graph=True to it",
        )
    return None


def alone(tensor: Tensor, name: str) -> Explanation:
    """What a tensor shows without its loss."""
    g = tensor.grad
    if not tensor.tracked:
        reason = not_required(tensor)
    elif g is None and tensor.op is not None and not tensor.keeps_grad:
        reason = Reason("not-retained", NOT_RETAINED, RETAIN)
    elif g is None:
        reason = Reason(
            "no-backward",
            "No backward pass has come here since it was made or its gradient was last forgotten: "
            "backward() was not called, or the loss does not depend on it.",
            "pass the loss as well, to know which",
        )
    else:
        verdict = judged(g)
        hint = "" if verdict == FINE else "pass the loss as well, to know why"
        return Explanation(name, tensor.shape, verdict, "", "", hint, gradient=g)
    return Explanation(name, tensor.shape, NONE, *reason)


NOT_RETAINED = "It is a result, not a leaf: .grad stays None unless retain_grad() was called."
RETAIN = (
    "call retain_grad() on it before backward(); if it is meant to be a parameter, update that "
    "through .data instead of making a new tensor of it"
)


def not_required(tensor: Tensor) -> Reason:
    """Why a tensor's gradient is not asked for."""
    if tensor.dtype.kind != "f":
        text = f"It holds {tensor.dtype}, and only floating numbers have gradients."
        return Reason("not-floating", text, "use .astype(np.float32) before it enters the graph")
    return Reason(
        "not-required",
        "It does not require a gradient: nobody asked for one, or it came out of .detach(), "
        "no_grad(), or an op on nothing that requires one.",
        "make it by Tensor(..., requires_grad=True), or call requires_grad_() before using it",
    )


def judged(g: Array) -> str:
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


def explained(tensor: Tensor, name: str, run: Pass) -> Explanation:
    """Why the gradient of a tensor is what a backward pass has found."""
    if not tensor.tracked:
        return alone(tensor, name)
    g = run.gradients.get(tensor.order)
    if g is None:
        return Explanation(name, tensor.shape, NONE, *(run.obstacle or unreached(tensor, run)))
    path = run.path(tensor)
    verdict = judged(g)
    with silent():
        reason, culprit = BLAME[verdict](tensor, path, run)
    steps = (*(run.step(hop.node) for hop in path), Step(name, "", norm(g)))
    if verdict == PARTLY_ZERO and not reason.cause:
        verdict = FINE  # a few zeros by chance
    notes = [reason.text]
    if tensor.op is not None and not tensor.keeps_grad:
        notes.append(NOT_RETAINED)
        if verdict == FINE:
            verdict, reason = NONE, Reason("not-retained", "", RETAIN)
    elif tensor.grad is None:
        if verdict == FINE:
            notes.append(".grad is None so far: backward() has not come here.")
    elif verdict != NOT_FINITE and not np.allclose(tensor.grad, g, atol=0):
        notes.append(
            f".grad holds something else, of norm {norm(tensor.grad):.3g}: backward() adds to what "
            "is there, so call zero_grad() before it."
        )
    if verdict != NOT_FINITE and not np.isfinite(run.loss.data).all():
        notes.append(f"The loss itself is {run.loss.item()}.")
        if run.birth is not None:
            notes.append(f"{run.birth[0].text}.")
    return Explanation(
        name, tensor.shape, verdict, reason.cause, " ".join(filter(None, notes)), reason.hint,
        None if culprit is None else run.step(culprit), steps, g,
    )  # fmt: skip


def unreached(tensor: Tensor, run: Pass) -> Reason:
    """Why the loss does not depend on a tensor, as far as the graph tells."""
    entries = [(node, i) for node in run.nodes for i in constants(node)]
    for node, i in entries:
        x = unwrap(node.inputs[i])
        shared = np.may_share_memory(x, tensor.data)
        is_told_apart = (x != x.flat[:1]).any()  # from other zeros, or other ones
        if shared or (is_told_apart and np.array_equal(x, tensor.data)):
            how = "The values of this tensor enter" if shared else "A copy of its values enters"
            return Reason(
                "detached",
                f"{how} {called(node)} as {argument(node, i)}, but without history: by .data, "
                ".detach(), .numpy() or a new Tensor.",
                "use the tensor itself there",
            )
    text = "The loss does not depend on it: "
    if tensor.order > run.loss.order:
        return Reason("unreached", text + "it was made after the loss was computed.")
    text += (
        "it was not used, or cut off without a trace by .data, .detach(), float(), no_grad() or "
        "integers, as of argmax or a comparison."
    )
    found = [
        f"{argument(node, i)} {np.shape(node.inputs[i])} of {called(node)}"
        for node, i in entries
        if not isinstance(node.inputs[i], Tensor) or node.inputs[i].order > tensor.order
    ]
    if found:
        text += f" What enters without history: {', '.join(found[:3])}"
        text += ", …" if found[3:] else "."
    return Reason("unreached", text)


def constants(node: Tensor) -> list[int]:
    """Which inputs of an op are arrays without history."""
    return [
        i
        for i, x in enumerate(node.inputs)
        if isinstance(unwrap(x), np.ndarray) and not (isinstance(x, Tensor) and x.tracked)
    ]


Blame = tuple[Reason, Tensor | None]
"""The reason, and the op that is to blame."""


def blame_non_finite(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The op that made the first NaN or infinity of a finite gradient, or found one in its data."""
    for hop in path:
        if not np.isfinite(hop.g).all():
            return overflow(hop.node, f"arrives at {called(hop.node)}", hop.g)
        if not np.isfinite(hop.sent).all():
            if found := first_birth(behind(hop.node)):
                birth, node = found
                return Reason(birth.cause, f"Already in the forward pass {birth.text}."), node
            text = born_backward(hop.node, hop.i, hop.g, hop.ruled, hop.sent)
            return Reason("born-backward", f"In the backward pass {text}."), hop.node
    return overflow(None, "arrives here", run.gradients[tensor.order])


def overflow(node: Tensor | None, where: str, g: Array) -> Blame:
    """A sum that is not finite though its terms are."""
    text = f"What {where} holds {non_finite(g)}: contributions that are finite add up to it."
    return Reason("overflow", text), node


def blame_zero(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The op that sends nothing on, or those whose contributions cancel."""
    for k, hop in enumerate(path):
        if not hop.g.any():
            return cancelled(hop.node, run), hop.node
        if hop.sent.any():
            continue
        if reason := reason_for_zeros(hop):
            return told(reason, hop, "lets nothing through"), hop.node
        if cancels(hop):
            text = f"{called(hop.node)} adds up contributions that cancel exactly."
            return Reason("cancelled", text), hop.node
        # What moves elements may hand on just the zeros among those that arrive.
        found = None if hop.is_elementwise else first_reason(path[:k])
        if found is not None:
            return told(found[0], found[1], "leaves this part out"), found[1].node
        text = f"What {called(hop.node)} sends here is zero: too small a number to be told from 0."
        return Reason("underflow", text), hop.node
    return cancelled(tensor, run), None


def cancelled(x: Tensor, run: Pass) -> Reason:
    """The contributions that add up to zero."""
    parts = [f"{called(hop.node)} ({norm(hop.sent):.3g})" for hop in run.hops[x.order]]
    text = (
        f"The contributions of {', '.join(parts[:4])}{', …' if parts[4:] else ''} cancel exactly."
    )
    return Reason("cancelled", text)


def first_reason(path: Sequence[Hop]) -> tuple[Reason, Hop] | None:
    """The op nearest to the end that makes zeros, among those behind which there are any."""
    for hop in reversed(path):
        if reason := reason_for_zeros(hop):
            return reason, hop
        if hop.g.all():
            break
    return None


def blame_nothing(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """Nothing is wrong."""
    return Reason("", ""), None


def blame_partly_zero(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The op that made a part of the gradient zero."""
    found = first_reason(path)
    if found is None:
        return blame_nothing(tensor, path, run)
    reason, hop = found
    return told(reason, hop, "lets only a part through"), hop.node


def told(reason: Reason, hop: Hop, verb: str) -> Reason:
    """The reason as a sentence about the op."""
    return reason._replace(text=f"{called(hop.node)} {verb}: {reason.text}.")


def blame_size(tensor: Tensor, path: Sequence[Hop], run: Pass) -> Blame:
    """The ops along which the gradient grows, or shrinks, the most."""
    grew = norm(run.gradients[tensor.order]) > 1
    factors: dict[Step, list[tuple[float, Hop]]] = defaultdict(list)
    for hop in path:
        factor = norm(hop.sent) / norm(hop.g)
        factors[run.step(hop.node)._replace(size=0)].append((factor, hop))
    logs = {key: sum(np.log(f) for f, _ in found) for key, found in factors.items()}
    worst = sorted(logs, key=lambda key: logs[key], reverse=grew)
    verb = "grows" if grew else "shrinks"
    texts = []
    for key in worst[:1] + [key for key in worst[1:2] if (logs[key] > 0) == grew]:
        times = f" over {len(factors[key])} calls" if len(factors[key]) > 1 else ""
        module = f" in {key.module}" if key.module else ""
        texts.append(f"×{np.exp(logs[key]):.2g} at {key.op}{module}{times}")
    text = f"Along the path it {verb} most {', then '.join(texts)}."
    extreme = max if grew else min
    hop = extreme(factors[worst[0]], key=lambda pair: pair[0])[1]
    if grew:
        return Reason("exploding", text), hop.node
    reason = reason_for_zeros(hop, FLAT)
    if reason is not None and reason.cause in ("saturated", "cancelled"):
        return reason._replace(text=f"{text} There {reason.text}."), hop.node
    if cancels(hop, ROUNDING):
        text += " What it adds up there cancels but for rounding: the loss hardly depends on it."
        return Reason("cancelled", text), hop.node
    return Reason("vanishing", text), hop.node


BLAME = {
    NOT_FINITE: blame_non_finite,
    ZERO: blame_zero,
    PARTLY_ZERO: blame_partly_zero,
    HUGE: blame_size,
    TINY: blame_size,
    FINE: blame_nothing,
}
"""Who finds the culprit, by the verdict."""
