"""Births: which op, forward or backward, made the first NaN or infinity, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.formula import text
from minigrad.mode import Watcher, watching
from minigrad.names import argument_name, describe_op, input_name, parameter_path
from minigrad.rules import derivative_by, derivative_formulas
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.why.wording import extremes, first_non_finite, inputs_of, is_floating, non_finite


def without_warnings() -> Any:
    """A block in which NumPy does not warn of what is being looked for anyway."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


class Birth(NamedTuple):
    """How a result came to hold a NaN or an infinity.

    cause: "in-the-data" or "in-a-parameter" if an input held it, else "born-forward".
    """

    cause: str
    text: str


class Births:
    """Finds where NaN and infinities are born, given the ops one by one, the oldest first."""

    def __init__(self) -> None:
        self.let_through: set[int] = set()

    def report(self, node: Tensor) -> Birth | None:
        """The birth of a NaN or an infinity in this result; None if all is well."""
        if np.isfinite(node.data).all():
            return None
        brought = any(self.may_bring(x) for x in [*node.inputs, *node.params.values()])
        if brought and not np.isnan(node.data).any():
            self.let_through.add(node.order)
            return None
        for i, x in enumerate(node.inputs):
            if self.is_bad(x):
                cause, made = "in-the-data", "an input"
                advice = "look at the data, or where it was computed"
                if isinstance(x, Tensor) and x.op is not None:
                    made = f"a result of {x.op.name}"
                elif isinstance(x, Tensor) and parameter_path(x, node.scope):
                    cause, made = "in-a-parameter", "a parameter"
                    advice = "a step of the optimizer spoilt it, with too large a rate or gradient"
                return Birth(
                    cause,
                    f"{describe_op(node)} was given {non_finite(unwrap(x))} of "
                    f"{input_name(node, i)} {np.shape(x)}, {made} that was so before any "
                    f"op that was looked at: {advice}",
                )
        index = first_non_finite(node.data)
        return Birth(
            "born-forward",
            f"{describe_op(node)} made {non_finite(node.data)} of its result {node.shape}; "
            f"{inputs_of(node, index)}. {suspicion(node, node.data)}",
        )

    def may_bring(self, x: Any) -> bool:
        """Whether this input or param may hold an infinity: a constant, or what came of one."""
        if isinstance(x, Tensor) and x.tracked:
            return x.order in self.let_through
        return is_floating(unwrap(x)) and bool(np.isinf(unwrap(x)).any())

    def is_bad(self, x: Any) -> bool:
        """Whether this input holds a NaN, or an infinity that no constant brought."""
        bad = np.isnan if self.may_bring(x) else lambda array: ~np.isfinite(array)
        return is_floating(unwrap(x)) and bool(bad(unwrap(x)).any())


def first_birth(node: Tensor) -> tuple[Birth, Tensor] | None:
    """The birth, oldest first, of the NaN or infinity in this result or in what it was made of."""
    births = Births()
    for x in trace_infection(node):
        if x.op is not None and (birth := births.report(x)):
            return birth, x
    return None


def trace_infection(node: Tensor) -> list[Tensor]:
    """A result and the inputs that gave it its NaN or infinity, oldest first; not all that is
    behind it, as np.where and a mask hide some."""
    found = {node.order: node}
    waiting = [node]
    while waiting:
        for x in carriers(waiting.pop()):
            if x.order not in found:
                found[x.order] = x
                waiting.append(x)
    return [found[order] for order in sorted(found)]


def carriers(node: Tensor) -> list[Tensor]:
    """The inputs that gave a result its NaN or infinity; of several that hold one, those that would
    be enough alone, if there are any."""
    held = [
        i
        for i, x in enumerate(node.inputs)
        if isinstance(x, Tensor) and not np.isfinite(x.data).all()
    ]
    chosen = [i for i in held if len(held) == 1 or does_alone(node, i)]
    return [node.inputs[i] for i in chosen or held]


def does_alone(node: Tensor, i: int) -> bool:
    """Whether an op gives a NaN or an infinity when of its inputs only number `i` holds one."""
    assert node.op is not None
    arrays = [
        np.where(np.isfinite(x), x, np.ones_like(x)) if k != i and is_floating(x) else x
        for k, x in enumerate(unwrap(node.inputs))
    ]
    with without_warnings():
        result, _ = node.op.compute(*arrays, **node.params)
    return not np.isfinite(result).all()


def born_backward(node: Tensor, i: int, g: Array, ruled: Array, summed: Array) -> str:
    """How the rule of `node` for its input `i` made a NaN or an infinity of a finite gradient."""
    assert node.op is not None
    sent = ruled if not np.isfinite(ruled).all() else summed  # or the sum over a broadcast axis did
    rule = printed_rule(node, i)
    written = f" by {rule}" if rule else ""
    index = first_non_finite(sent)
    text = (
        f"{describe_op(node)} made {non_finite(sent)} of the gradient {sent.shape} that it sends "
        f"to {input_name(node, i)}{written}; {inputs_of(node, index)}; g {g.shape} is "
        f"{extremes(g)}. {suspicion(node, sent)}"
    )
    hidden = g.shape == sent.shape and g[index] == 0
    return f"{text}; the gradient that arrives {HIDDEN}" if hidden else text


HIDDEN = (
    "is 0 there, as where np.where or a mask chose another value, or the next op is flat, but "
    "0 × inf is NaN: mend the input before the op, not its result after"
)
"""What is said where a gradient of 0 meets an infinite slope."""


def printed_rule(node: Tensor, i: int) -> str:
    """The rule of `node` for its input `i`, run on these inputs once more to be written down; ""
    where there is none to print."""
    assert node.op is not None
    try:
        with watching(Watcher()):
            found = derivative_formulas(node.op, node)
    except Exception:  # a user's rule, and there is nothing that it may not do
        return ""
    name = argument_name(node, i)
    if name not in found:
        return ""
    *before, last = map(text, found[name].of(derivative_by(name)))
    return f"{last}, where {', '.join(before)}" if before else last


def suspicion(node: Tensor, made: Array) -> str:
    """What is usually wrong where this op has `made` a NaN or an infinity."""
    assert node.op is not None
    largest = float(np.finfo(made.dtype).max)
    text = SUSPICIONS.get(node.op.name.replace("expm1", "exp"), OTHERWISE)
    return text.format(overflow=np.log(largest), largest=largest, dtype=made.dtype)


SUSPICIONS = {
    "log": "log is -inf at 0, without value below and infinitely steep at 0: add a small number, "
    "or use log_softmax or cross_entropy, which never leave the logarithm",
    "log1p": "log1p is -inf at -1 and without value below",
    "sqrt": "√ is without value below 0 and infinitely steep at 0: add a small number under it",
    "divide": "A divisor of 0, or nearly 0, does this: add a small number to it",
    "reciprocal": "1/x at 0, or nearly 0, does this: add a small number to x",
    "power": "A power overflows, 0 has none below 0 and no slope below 1, and a negative base "
    "has whole ones only",
    "exp": "eˣ overflows beyond {overflow:.3g}: subtract the maximum first, or use softmax, "
    "logsumexp or sigmoid, which do",
    "layer_norm": "A row of equal numbers has no variance to divide by: eps must be above 0",
    "rms_norm": "A row of zeros has no size to divide by: eps must be above 0",
}
"""What is usually wrong, by op."""

OTHERWISE = (
    "{dtype} ends at {largest:.2g}: what is larger is inf, and inf − inf and 0 × inf are NaN"
)
