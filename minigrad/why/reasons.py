"""Reasons: for each op, when and why it lets no gradient through to one of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import contributions, sum_to
from minigrad.names import argument_name, input_name
from minigrad.sums import norm
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.why.wording import extremes


@dataclass(frozen=True, eq=False)
class Hop:
    """One step of the gradient: it arrived at `node` as `g`, the rule for input number `i` made
    `ruled` of it, and `sent`, with broadcasting undone, went on."""

    node: Tensor
    i: int
    g: Array
    ruled: Array
    sent: Array

    @cached_property
    def arrived(self) -> float:
        """The norm of what arrived."""
        return norm(self.g)

    @cached_property
    def size(self) -> float:
        """The norm of what went on."""
        return norm(self.sent)

    @property
    def name(self) -> str:
        """The op's name."""
        assert self.node.op is not None
        return self.node.op.name

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the gradient meets one element of the input."""
        assert self.node.op is not None
        return self.node.op.is_elementwise and self.g.shape == self.ruled.shape

    @property
    def input(self) -> Tensor:
        """The input that it went on to."""
        x: Tensor = self.node.inputs[self.i]
        return x


class Reason(NamedTuple):
    """Why a gradient is what it is: a code word, a sentence without its subject, what to do.

    at: where it holds, of what the op's rule gives; everywhere if it is None.
    whole: whether the op makes no other zeros.
    """

    cause: str
    text: str
    hint: str = ""
    at: Array | None = None
    whole: bool = True


Test = Callable[[Hop, float], Reason | None]


def reason_for_zeros(hop: Hop, flat: float = 0.0) -> Reason | None:
    """Why this op makes zeros of a gradient, or None if it does not.

    `flat` is the slope, the factor from what arrives to what leaves, up to which it counts as zero.
    """
    return TESTS.get(hop.name, at_no_slope)(hop, flat)


def left_over(hop: Hop) -> float:
    """The share of the op's sum that is left after numbers of both signs have cancelled."""
    whole = sum_to(rule_on(hop, np.abs(hop.g)), hop.sent.shape).astype(hop.sent.dtype)
    return float(np.abs(hop.sent).max() / whole.max()) if whole.any() else 1.0


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
    """The absolute values, tracked where `x` is; None, for a bias that is left out, as it is."""
    if isinstance(x, Tensor):
        return Tensor.wrap(np.abs(x.data)).requires_grad_(x.tracked)
    return None if x is None else np.abs(x)


def quantity(found: Array, of: Array | None = None) -> str:
    """ "all 32", or "12 of 32": how many are true, of those that matter."""
    k, n = int(found.sum()), found.size if of is None else int(of.sum())
    return f"all {n}" if k == n > 1 else f"{k} of {n}"


def slope_test(cause: str, text: str, hint: str = "") -> Test:
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
            "others": factors(hop),
            "rows": throughout(stuck, arrives, 0, "rows"),
            "units": throughout(stuck, arrives, -1, "units"),
        }
        if hop.is_elementwise:
            values = np.broadcast_to(hop.input.data, slopes.shape)[stuck]
            facts |= {"range": extremes(values), "largest": f"{values.max():.4g}"}
        else:
            facts["range"] = extremes(hop.input.data)
        whole = not ((hop.ruled == 0) & arrives & ~stuck).any()
        return Reason(cause, text.format(**facts), hint, stuck, whole)

    return test


def factors(hop: Hop) -> str:
    """The inputs that this one is multiplied by."""
    others = [i for i in range(len(hop.node.inputs)) if i != hop.i]
    return " or ".join(
        made_by(hop.node, i)
        for i in others
        if argument_name(hop.node, i) != "bias"  # which is added
    )


def made_by(node: Tensor, i: int) -> str:
    """An input by its name and the op that made it: "b, the result of relu"."""
    x = node.inputs[i]
    made = f", the result of {x.op.name}" if isinstance(x, Tensor) and x.op else ""
    return f"{input_name(node, i)} ({extremes(unwrap(x))}{made})"


def throughout(stuck: Array, arrives: Array, axis: int, name: str) -> str:
    """ "; 3 of 8 units throughout", along one axis of several; nothing if there are none."""
    if stuck.ndim < 2:
        return ""
    others = tuple(i for i in range(stuck.ndim) if i != axis % stuck.ndim)
    reached = np.asarray(arrives.any(others))
    dead = reached & ~np.asarray((arrives & ~stuck).any(others))
    return f"; {quantity(dead, reached)} {name} throughout" if dead.any() else ""


CALMER = "use a smaller learning rate, smaller initial weights or a layer norm before it"
ANOTHER = slope_test("unselected", "at {places} places another element is chosen")
NO_FACTOR = slope_test("zero-factor", "{others} makes {places} elements 0")
SATURATED = slope_test(
    "saturated",
    "{places} of its inputs lie where it is flat (from {range}; slopes up to {slope})",
    CALMER,
)
at_no_slope = slope_test("zero-slope", "its slope is 0 at {places} places (inputs from {range})")


def dead_rows(hop: Hop, axis: int, flat: float) -> tuple[Array, Array]:
    """The rows along an axis that a gradient arrives at, and those of which nothing leaves."""
    arrives = np.abs(hop.g).max(axis, initial=0)
    leaves = np.abs(hop.ruled).max(axis, initial=0)
    return arrives > 0, (arrives > 0) & (leaves <= flat * arrives)


def together(dead: Array, *findings: tuple[Array, Reason], axis: int = -1) -> Reason | None:
    """One reason for dead rows along `axis`, of several with the rows where each holds: the first
    that holds in all of them, else all reasons, by the name of the most frequent."""
    found = [(rows, reason) for rows, reason in findings if rows.any()]
    if not found:
        return None
    everywhere = [pair for pair in found if not (dead & ~pair[0]).any()]
    found = everywhere[:1] or found
    most = max(found, key=lambda pair: pair[0].sum())[1]
    rows = np.logical_or.reduce([rows for rows, _ in found])
    return Reason(
        most.cause,
        ", and ".join(reason.text for _, reason in found),
        "; ".join(reason.hint for _, reason in found if reason.hint),
        np.expand_dims(rows, axis),
        not (dead & ~rows).any(),
    )


SURE = 0.999
"""A weight, or a probability, that leaves next to nothing to the others."""


def softmax_rows(hop: Hop, flat: float) -> Reason | None:
    """Rows of a softmax, or of its logarithm, through which no gradient comes."""
    axis = hop.node.params.get("axis", -1)
    is_log = hop.name == "log_softmax"
    y = np.exp(hop.node.data) if is_log else hop.node.data
    arrives, dead = dead_rows(hop, axis, flat)
    top = y.max(axis, initial=0)
    masked, sure = dead & (top == 0), dead & (top > SURE) & (y.shape[axis] > 1)
    left = dead & ~masked & ~sure
    if not is_log:  # where each probability is small, so is what leaves
        leaves = np.abs(hop.ruled).max(axis, initial=0)
        left &= leaves <= flat * np.abs(hop.g * y).max(axis, initial=0)
    same = (
        "the gradient that arrives is as large as each probability, which asks for no change"
        if is_log
        else "every element gets the same gradient, and a row sums to 1 whatever its inputs are"
    )
    return together(
        dead,
        (masked, Reason("masked", f"{quantity(masked, arrives)} rows are masked throughout")),
        (sure, saturated_rows(sure, arrives)),
        (left, Reason("cancelled", f"in {quantity(left, arrives)} rows {same}")),
        axis=axis,
    )


def saturated_rows(sure: Array, arrives: Array) -> Reason:
    """What is said of a softmax that has decided."""
    text = f"{quantity(sure, arrives)} rows are saturated: one weight is 1, all others are 0"
    return Reason("saturated", text, CALMER)


def attention_rows(hop: Hop, flat: float) -> Reason | None:
    """Queries that may attend to nothing or are sure of one key, keys that no query attends to."""
    if hop.i > 2:  # what weighs the network of additive attention
        return at_no_slope(hop, flat)
    weights = hop.node.saved[0]  # (..., T, S)
    mask = hop.node.params.get("mask")
    may = np.broadcast_to(True if mask is None else mask, weights.shape)
    return (query_rows if hop.i == 0 else key_rows)(hop, flat, weights, may)


def query_rows(hop: Hop, flat: float, weights: Array, may: Array) -> Reason | None:
    """Why nothing comes to some queries."""
    arrives, dead = dead_rows(hop, -1, flat)
    masked, one = dead & (may.sum(-1) == 0), dead & (may.sum(-1) == 1)
    sure = dead & ~one & (weights.max(-1, initial=0) > SURE)
    left = dead & ~masked & ~one & ~sure & (flat == 0)
    nowhere = f"{quantity(masked, arrives)} queries may attend to nothing: their rows are masked"
    hint = "let each query attend to one key at least; in a mask, True means may attend"
    forced = f"{quantity(one, arrives)} queries may attend to one key only, whatever they are"
    alike = "what the keys send back cancels, as where all keys, or all values, are alike"
    return together(
        dead,
        (masked, Reason("masked", nowhere, hint)),
        (one, Reason("masked", forced)),
        (sure, saturated_rows(sure, arrives)),
        (left, Reason("cancelled", f"for {quantity(left, arrives)} queries {alike}")),
    )


def key_rows(hop: Hop, flat: float, weights: Array, may: Array) -> Reason | None:
    """Why nothing comes to some keys, or to their values."""
    asks = (np.abs(hop.g).max(-1, initial=0) > 0)[..., None]  # (..., T, 1)
    if hop.ruled.ndim > 3 and hop.ruled.shape[-3] != weights.shape[-3]:  # shared among n heads
        stack, n = hop.ruled.shape[:-2], weights.shape[-3] // hop.ruled.shape[-3]
        asks, weights, may = (
            x.reshape(*stack, n * x.shape[-2], x.shape[-1]) for x in (asks, weights, may)
        )
    arrives = np.broadcast_to(asks.any(-2), (*weights.shape[:-2], weights.shape[-1]))
    dead = arrives & (np.abs(hop.ruled).max(-1) <= flat * np.abs(hop.g).max())
    weight, idle, those = "0", weights <= flat, "every query that gets a gradient"
    if hop.i == 1:  # all that a key is for is to be preferred to another one
        asks = asks & (may.sum(-1, keepdims=True) > 1)
        if not asks.any():
            return Reason("masked", "no query has a choice between keys")
        weight, idle = "0 or 1", (weights <= 1 - SURE) | (weights > SURE)
        those = "every query that gets a gradient and has a choice"
    masked = dead & ~(asks & may).any(-2)
    sure = dead & ~masked & (idle | ~asks).all(-2)
    left = dead & ~masked & ~sure & (flat == 0)
    hidden_from = those if (masked & may.any(-2)).any() else "every query"
    settled_for = "every query" if asks.all() else those
    hidden = f"{quantity(masked, arrives)} keys are masked for {hidden_from}"
    settled = f"{quantity(sure, arrives)} keys have a weight of {weight} for {settled_for}"
    unsettled = f"for {quantity(left, arrives)} keys what the queries send back cancels"
    return together(
        dead,
        (masked, Reason("masked", hidden)),
        (sure, Reason("saturated", settled, CALMER)),
        (left, Reason("cancelled", unsettled)),
    )


def cross_entropy_rows(hop: Hop, flat: float) -> Reason | None:
    """Targets that do not count, and those that are predicted as they should be."""
    params, target = hop.node.params, np.asarray(unwrap(hop.node.inputs[1]))
    ignored = np.asarray(target == params.get("ignore_index"))  # nothing is equal to None
    _, _, counts, _, scale = hop.node.saved
    weight = counts.reshape(target.shape) * scale * np.abs(hop.g)
    dead = np.abs(hop.ruled).max(-1) <= flat * weight
    sure = dead & ~ignored
    wanted = "just as label smoothing asks" if params.get("label_smoothing") else "with certainty"
    no_say = f"{quantity(ignored)} targets are ignore_index={params.get('ignore_index')}"
    learnt = f"{quantity(sure)} targets are predicted {wanted}: nothing is left to learn"
    return together(
        dead,
        (ignored, Reason("ignored", f"{no_say}, and count for nothing")),
        (sure, Reason("saturated", learnt)),
    )


def layer_norm_rows(hop: Hop, flat: float) -> Reason | None:
    """Rows whose incoming gradient would only shift or scale them, which layer norm undoes."""
    normal, inverse = hop.node.saved
    if hop.i > 0:
        constant = Reason("zero-factor", "each row is constant: nothing is left of it to scale")
        return constant if hop.i == 1 and not normal.any() else None
    largest = np.abs(hop.g * unwrap(hop.node.inputs[1])).max(-1, initial=0)
    arrives, dead = dead_rows(hop, -1, flat)
    unweighted = arrives & (largest == 0)
    leaves = np.abs(hop.ruled).max(-1, initial=0)
    left = arrives & ~unweighted & (leaves <= flat * largest * inverse.reshape(largest.shape))
    undone = (
        f"in {quantity(left, arrives)} rows the incoming gradient would only shift or scale the "
        "row, and layer norm takes both out"
    )
    weightless = (
        f"in {quantity(unweighted, arrives)} rows {input_name(hop.node, 1)} is 0 wherever a "
        "gradient arrives"
    )
    return together(
        dead,
        (unweighted, Reason("zero-factor", weightless)),
        (left, Reason("cancelled", undone)),
    )


TESTS: dict[str, Test] = {
    "relu": slope_test(
        "dead-relu",
        "{places} of its inputs are 0 or less (the largest is {largest}){units}",
        "use a smaller learning rate, a bias above 0, or leaky_relu",
    ),
    **dict.fromkeys(["tanh", "sigmoid", "erf", "arctan", "softplus", "silu", "gelu"], SATURATED),
    "prod": slope_test("zero-factor", "another factor is 0 at {places} places"),
    "clip": slope_test("clipped", "{places} of its inputs lie outside {low} to {high} ({range})"),
    "where": slope_test("masked", "the condition chooses the other side at {places} places{rows}"),
    "masked_fill": slope_test("masked", "the mask covers {places} elements{rows}"),
    "dropout_mask": slope_test("dropout", "{places} elements were dropped{units}"),
    **dict.fromkeys(
        ["tril", "triu"], slope_test("masked", "{places} elements lie outside the triangle")
    ),
    **dict.fromkeys(["multiply", "divide", "matmul", "linear", "einsum"], NO_FACTOR),
    **dict.fromkeys(["maximum", "minimum", "max", "min"], ANOTHER),
    "getitem": slope_test("unselected", "its index leaves out {places} elements{rows}"),
    "embedding": slope_test("unselected", "its indices leave out {places} elements{rows}"),
    **dict.fromkeys(["softmax", "log_softmax"], softmax_rows),
    **dict.fromkeys(["scaled_dot_product_attention", "additive_attention"], attention_rows),
    "cross_entropy": cross_entropy_rows,
    "layer_norm": layer_norm_rows,
}
"""Each op's test; all others are asked where their slope is 0."""
