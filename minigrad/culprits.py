"""Culprits: for each op, when and why it lets no gradient through to one of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.anomaly import argument, extremes, name_of
from minigrad.backward import contributions, sum_to
from minigrad.tensor import Array, Tensor, unwrap


class Hop(NamedTuple):
    """One step of the gradient: it arrived at `node` as `g`, the rule for input number `i` made
    `ruled` of it, and `sent`, with broadcasting undone, went on."""

    node: Tensor
    i: int
    g: Array
    ruled: Array
    sent: Array

    @property
    def name(self) -> str:
        """The op's name."""
        assert self.node.op is not None
        return self.node.op.name

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the gradient meets one element of the input."""
        assert self.node.op is not None
        return self.node.op.family in ("elementwise", "activation")

    @property
    def input(self) -> Array:
        """The values of the input."""
        array: Array = self.node.inputs[self.i].data
        return array


class Reason(NamedTuple):
    """Why a gradient is what it is: a code word, a sentence without its subject, what to do."""

    cause: str
    text: str
    hint: str = ""


Test = Callable[[Hop, float], Reason | None]


def reason_for_zeros(hop: Hop, flat: float = 0.0) -> Reason | None:
    """Why this op makes zeros of a gradient, or None if it does not.

    `flat` is the slope, the factor from what arrives to what leaves, up to which it counts as zero.
    """
    return TESTS.get(hop.name, at_no_slope)(hop, flat)


def cancels(hop: Hop, rounding: float = 0.0) -> bool:
    """Whether what the op sends is zero, or but rounding, only because it adds up numbers of both
    signs."""
    whole = sum_to(rule_on(hop, np.abs(hop.g)), hop.sent.shape)
    return bool(whole.any() and np.abs(hop.sent).max() <= rounding * whole.max())


def rule_on(hop: Hop, g: Array) -> Array:
    """The absolute values that the rule gives for `g`; where it multiplies and adds, for absolute
    inputs, so that nothing cancels."""
    node = hop.node
    assert node.op is not None
    if node.op.family == "matmul":
        inputs = tuple(map(absolute, node.inputs))
        node = Tensor.wrap(node.data, node.op, inputs, node.params, node.saved)
    return np.abs(dict(contributions(node, g, create_graph=False))[hop.i])


def absolute(x: Any) -> Any:
    """The absolute values, tracked where `x` is."""
    if isinstance(x, Tensor):
        return Tensor.wrap(np.abs(x.data)).requires_grad_(x.tracked)
    return np.abs(x)


def quantity(found: Array, of: Array | None = None) -> str:
    """ "all 32", or "12 of 32": how many are true, of those that matter."""
    k, n = int(found.sum()), found.size if of is None else int(of.sum())
    return f"all {n}" if k == n > 1 else f"{k} of {n}"


def blocking(cause: str, text: str, hint: str = "") -> Test:
    """The test of an op whose slope is zero in some places.

    The text may name how many `places`, the `range` and the `largest` of the inputs there, the
    steepest `slope`, the `others` of the op's inputs, the bounds `low` and `high` of a clip and, of
    the first axis' `rows` and the last axis' `units`, those that are blocked throughout.
    """

    def test(hop: Hop, flat: float) -> Reason | None:
        node = hop.node
        slopes = rule_on(hop, np.ones_like(hop.g))
        arrives = hop.g != 0 if hop.is_elementwise else np.ones(slopes.shape, bool)
        stuck = (slopes <= flat) & arrives
        if not stuck.any():
            return None
        low, high = node.params.get("a_min"), node.params.get("a_max")
        facts: dict[str, Any] = {
            "low": -np.inf if low is None else low,
            "high": np.inf if high is None else high,
            "places": quantity(stuck, arrives),
            "slope": f"{slopes[stuck].max():.2g}",
            "others": " or ".join(
                made_by(node, i)
                for i in range(len(node.inputs))
                if i != hop.i and argument(node, i) != "bias"  # which is added
            ),
            "rows": throughout(stuck, arrives, 0, "rows"),
            "units": throughout(stuck, arrives, -1, "units"),
        }
        if hop.is_elementwise:
            values = np.broadcast_to(hop.input, slopes.shape)[stuck]
            facts |= {"range": extremes(values), "largest": f"{values.max():.4g}"}
        else:
            facts["range"] = extremes(hop.input)
        return Reason(cause, text.format(**facts), hint)

    return test


def made_by(node: Tensor, i: int) -> str:
    """An input by its name and the op that made it: "b, the result of relu"."""
    x = node.inputs[i]
    made = f", the result of {x.op.name}" if isinstance(x, Tensor) and x.op else ""
    return f"{name_of(node, i)} ({extremes(unwrap(x))}{made})"


def throughout(stuck: Array, arrives: Array, axis: int, name: str) -> str:
    """ "; 3 of 8 units throughout", along one axis of several; nothing if there are none."""
    if stuck.ndim < 2:
        return ""
    others = tuple(i for i in range(stuck.ndim) if i != axis % stuck.ndim)
    reached = np.asarray(arrives.any(others))
    dead = reached & ~np.asarray((arrives & ~stuck).any(others))
    return f"; {quantity(dead, reached)} {name} throughout" if dead.any() else ""


CALMER = "use a smaller learning rate, smaller initial weights or a layer norm before it"
ANOTHER = blocking("unselected", "at {places} places another element is chosen")
NO_FACTOR = blocking("zero-factor", "{others} makes {places} elements 0")
SATURATED = blocking(
    "saturated",
    "{places} of its inputs lie where it is flat (from {range}; slopes up to {slope})",
    CALMER,
)
at_no_slope = blocking("zero-slope", "its slope is 0 at {places} places (inputs from {range})")


def dead_rows(hop: Hop, axis: int, flat: float) -> tuple[Array, Array]:
    """The rows along an axis that a gradient arrives at, and those of which nothing leaves."""
    arrives = np.abs(hop.g).max(axis, initial=0)
    leaves = np.abs(hop.ruled).max(axis, initial=0)
    return arrives > 0, (arrives > 0) & (leaves <= flat * arrives)


def softmax_rows(hop: Hop, flat: float) -> Reason | None:
    """Rows of a softmax, or of its logarithm, through which no gradient comes."""
    axis = hop.node.params.get("axis", -1)
    y = hop.node.data if hop.name == "softmax" else np.exp(hop.node.data)
    arrives, dead = dead_rows(hop, axis, flat)
    if not dead.any():
        return None
    top = y.max(axis)
    if (masked := dead & (top == 0)).any():
        return Reason("masked", f"{quantity(masked, arrives)} rows are masked throughout")
    if (sure := dead & (top > SURE)).any() and y.shape[axis] > 1:
        return saturated_rows(sure, arrives)
    return Reason(
        "cancelled",
        f"in {quantity(dead, arrives)} rows every element gets the same gradient, and a row sums "
        "to 1 whatever its inputs are",
    )


SURE = 0.999
"""A weight, or a probability, that leaves next to nothing to the others."""


def saturated_rows(sure: Array, arrives: Array) -> Reason:
    """What is said of a softmax that has decided."""
    text = f"{quantity(sure, arrives)} rows are saturated: one weight is 1, all others are 0"
    return Reason("saturated", text, CALMER)


def attention_rows(hop: Hop, flat: float) -> Reason | None:
    """Queries that may attend to nothing or are sure of one key, keys that no query attends to."""
    (weights,) = hop.node.saved  # (..., T, S)
    mask = hop.node.params.get("mask")
    may: Array = np.broadcast_to(True if mask is None else mask, weights.shape)
    if hop.i == 0 and (masked := ~np.asarray(may.any(-1))).any():
        text = f"{quantity(masked)} queries may attend to nothing: their rows are masked"
        hint = "let each query attend to one key at least; in a mask, True means may attend"
        return Reason("masked", text, hint)
    if hop.i > 0 and (masked := ~np.asarray(may.any(-2))).any():
        return Reason("masked", f"{quantity(masked)} keys are masked for every query")
    if hop.i == 2:
        unattended = ~(weights > 0).any(-2)
        text = f"{quantity(unattended)} keys have a weight of 0 in every query's softmax"
        return Reason("saturated", text, CALMER) if unattended.any() else None
    if weights.shape[-1] == 1:
        return Reason("saturated", "there is a single key: its weight is 1 whatever the query is")
    arrives = np.abs(hop.g).max(-1, initial=0) > 0
    sure = arrives & (weights.max(-1) > SURE)
    if hop.i == 0:
        sure &= dead_rows(hop, -1, flat)[1]
    elif not np.array_equal(sure, arrives):  # a key has some query that is not sure
        return None
    return saturated_rows(sure, arrives) if sure.any() else None


def cross_entropy_rows(hop: Hop, flat: float) -> Reason | None:
    """Targets that do not count, and those that are predicted with certainty."""
    ignore, target = hop.node.params.get("ignore_index"), unwrap(hop.node.inputs[1])
    if ignore is not None and (ignored := target == ignore).any():
        text = f"{quantity(ignored)} targets are ignore_index={ignore}, and count for nothing"
        return Reason("ignored", text)
    weight = hop.node.saved[2].reshape(target.shape) * np.abs(hop.g)
    if (sure := np.abs(hop.ruled).max(-1) <= flat * weight).any():
        text = f"{quantity(sure)} targets are predicted with certainty: nothing is left to learn"
        return Reason("saturated", text)
    return None


def layer_norm_rows(hop: Hop, flat: float) -> Reason | None:
    """Rows whose incoming gradient would only shift or scale them, which layer norm undoes."""
    if hop.i > 0:
        return None
    arrives, dead = dead_rows(hop, -1, flat)
    if not dead.any():
        return None
    return Reason(
        "cancelled",
        f"in {quantity(dead, arrives)} rows the incoming gradient would only shift or scale the "
        "row, and layer norm takes both out",
    )


TESTS: dict[str, Test] = {
    "relu": blocking(
        "dead-relu",
        "{places} of its inputs are 0 or less (the largest is {largest}){units}",
        "use a smaller learning rate, a bias above 0, or leaky_relu",
    ),
    **dict.fromkeys(["tanh", "sigmoid", "erf", "arctan", "softplus", "silu", "gelu"], SATURATED),
    "prod": blocking("zero-factor", "another factor is 0 at {places} places"),
    "clip": blocking("clipped", "{places} of its inputs lie outside {low} to {high} ({range})"),
    "where": blocking("masked", "the condition chooses the other side at {places} places{rows}"),
    "masked_fill": blocking("masked", "the mask covers {places} elements{rows}"),
    "dropout_mask": blocking("dropout", "{places} elements were dropped{units}"),
    **dict.fromkeys(
        ["tril", "triu"], blocking("masked", "{places} elements lie outside the triangle")
    ),
    **dict.fromkeys(["multiply", "divide", "matmul", "linear", "einsum"], NO_FACTOR),
    **dict.fromkeys(["maximum", "minimum", "max", "min"], ANOTHER),
    "getitem": blocking("unselected", "its index leaves out {places} elements{rows}"),
    "embedding": blocking("unselected", "its indices leave out {places} elements{rows}"),
    **dict.fromkeys(["softmax", "log_softmax"], softmax_rows),
    "scaled_dot_product_attention": attention_rows,
    "cross_entropy": cross_entropy_rows,
    "layer_norm": layer_norm_rows,
}
"""Each op's test; all others are asked where their slope is 0."""
