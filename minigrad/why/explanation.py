"""Why a gradient is None, zero, NaN, huge or tiny: an explanation, of one tensor's or of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

import numpy as np

from minigrad.mode import outward
from minigrad.module import Module
from minigrad.names import argument_name, describe_op
from minigrad.sums import norm
from minigrad.tensor import Array, Tensor, behind, unwrap
from minigrad.why.births import without_warnings
from minigrad.why.blame import (
    BLAME,
    FINE,
    HUGE,
    NONE,
    NOT_FINITE,
    PARTLY_ZERO,
    TINY,
    WRONG,
    ZERO,
    Pass,
    Step,
    verdict_of,
)
from minigrad.why.reasons import Reason
from minigrad.why.wording import extremes

CAUSES = {
    "born-backward": "a rule of the backward pass made the NaN or the infinity",
    "born-forward": "an op of the forward pass made the NaN or the infinity",
    "cancelled": "contributions of both signs add up to nothing, or nearly",
    "changed-in-place": "an array was changed after an op had read it",
    "clipped": "clip lets nothing through outside of its bounds",
    "dead-relu": "relu lets nothing through where its input is 0 or less",
    "detached": "its values enter without history: by .data, .detach() or a copy",
    "dropout": "dropout dropped these elements",
    "empty": "an op on the way had no elements",
    "exploding": "factors above 1 on the way made it large",
    "freed": "an earlier backward pass has freed the graph",
    "ignored": "the loss ignores these targets",
    "in-a-parameter": "a parameter holds the NaN or the infinity",
    "in-the-data": "the data hold the NaN or the infinity",
    "masked": "a mask, or the condition of where, hides it from the loss",
    "no-backward": "backward() has not come here",
    "no-graph": "the loss was computed from nothing that requires a gradient",
    "not-floating": "only floating numbers have gradients",
    "not-required": "nobody asked for its gradient (requires_grad)",
    "not-retained": "it is a result, and retain_grad() was not called",
    "overflow": "a number grew beyond what its dtype holds",
    "saturated": "a curve such as tanh or softmax is flat there",
    "underflow": "a number became too small to be told from 0",
    "unreached": "the loss does not depend on it",
    "unselected": "an index, or a maximum, chose other elements",
    "vanishing": "factors below 1 on the way made it small",
    "zero-factor": "it is multiplied by 0",
    "zero-slope": "the slope of an op is 0 there",
}
"""What each cause of an Explanation means."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a tensor's gradient is what it is; printed, a few lines.

    verdict: what it is: "none", "zero", "partly zero", "not finite", "huge", "tiny", "wrong" or
    "fine".
    cause: a code word for why, one of CAUSES, such as "dead-relu"; "" when fine.
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
            WRONG: f"the gradient is not that of what was computed: {numbers}",
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
    name = tensor.name or ("tensor" if tensor.op is None else f"result of {describe_op(tensor)}")
    if loss is None:
        return explain_alone(tensor, name)
    known = {id(x): name for name, x in leaves(loss).items()}
    return explain(tensor, known.get(id(tensor), name), Pass(loss))


def survey(loss: Tensor) -> list[Explanation]:
    """An explanation for each of `leaves(loss)`, from a single backward pass.

    ValueError when `loss` has more than one element, or when its graph has been freed.
    """
    run = Pass(loss)
    if run.obstacle is not None and run.obstacle.cause == "freed":
        raise ValueError(f"{run.obstacle.text} To see why, {run.obstacle.hint}.")
    return [explain(leaf, name, run) for name, leaf in leaves(loss).items()]


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
    """The outermost of the modules in whose calls this op was made."""
    module = None
    for scope in outward(node.scope):
        module = scope.module
    return module


def explain_alone(tensor: Tensor, name: str) -> Explanation:
    """The explanation of a tensor by itself, without its loss."""
    g = tensor.grad
    if not tensor.tracked:
        reason = reason_not_required(tensor)
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
        verdict = verdict_of(g)
        hint = "" if verdict == FINE else "pass the loss as well, to know why"
        return Explanation(name, tensor.shape, verdict, "", "", hint, gradient=g)
    return explain_none(tensor, name, reason)


def explain_none(tensor: Tensor, name: str, reason: Reason) -> Explanation:
    """The explanation of a tensor that has no gradient."""
    return Explanation(name, tensor.shape, NONE, reason.cause, reason.text, reason.hint)


NOT_RETAINED = "It is a result, not a leaf: .grad stays None unless retain_grad() was called."
RETAIN = (
    "call retain_grad() on it before backward(); if it is meant to be a parameter, update that "
    "through .data instead of making a new tensor of it"
)


def reason_not_required(tensor: Tensor) -> Reason:
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


def explain(tensor: Tensor, name: str, run: Pass) -> Explanation:
    """The explanation of the gradient that a backward pass has found for a tensor."""
    if not tensor.tracked:
        return explain_alone(tensor, name)
    g = run.gradients.get(tensor.order)
    if g is None:
        return explain_none(tensor, name, run.obstacle or reason_unreached(tensor, run))
    path = run.path(tensor)
    verdict = verdict_of(g)
    with without_warnings():
        culprit = run.oldest_changed(path)
        if culprit is not None:
            verdict, reason = WRONG, changed_in_place(culprit)
        else:
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
    if verdict != NOT_FINITE:
        notes.append(run.trouble)
    return Explanation(
        name, tensor.shape, verdict, reason.cause, " ".join(filter(None, notes)), reason.hint,
        None if culprit is None else run.step(culprit), steps, g,
    )  # fmt: skip


def changed_in_place(node: Tensor) -> Reason:
    """The explanation that the gradient belongs to other numbers than the forward pass saw."""
    return Reason(
        "changed-in-place",
        f"The result of {describe_op(node)} is not what the op makes of its inputs: since the "
        "forward pass one of these arrays was changed in place, so this is the gradient "
        "of other numbers.",
        "change arrays only after backward(); detect_anomaly() tells which it is",
    )


def reason_unreached(tensor: Tensor, run: Pass) -> Reason:
    """Why the loss does not depend on a tensor, as far as the graph tells."""
    entries = [(node, i) for node in run.nodes for i in constants(node)]
    for node, i in entries:
        x = unwrap(node.inputs[i])
        shared = shares_memory(x, tensor.data)
        is_told_apart = (x.ravel() != x.flat[:1]).any()  # from other zeros, or other ones
        if shared or (is_told_apart and np.array_equal(x, tensor.data)):
            how = "The values of this tensor enter" if shared else "A copy of its values enters"
            return Reason(
                "detached",
                f"{how} {describe_op(node)} as {argument_name(node, i)}, but without history: by "
                ".data, .detach(), .numpy() or a new Tensor.",
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
        f"{argument_name(node, i)} {np.shape(node.inputs[i])} of {describe_op(node)}"
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


def shares_memory(x: Array, y: Array) -> bool:
    """Whether arrays have an element in common, as far as a short search can tell."""
    try:
        return np.shares_memory(x, y, max_work=10_000)  # type: ignore[arg-type] # any number will do
    except np.exceptions.TooHardError:
        return False
