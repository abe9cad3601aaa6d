"""The usual mistakes in a derivative rule, each recognised by what it makes the rule give.

Where the rule of a `Case` disagrees with the numbers, every mistake of `MISTAKES` claims what would
then be right; the first claim that comes true, the simplest, is the suspicion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from math import e, log, pi, prod, sqrt
from typing import NamedTuple

import numpy as np

from minigrad.check.evidence import COARSE, ROUGH, Evidence
from minigrad.check.numbers import CENTRAL, Weighted, differentiate
from minigrad.check.report import Suspicion
from minigrad.check.trial import Call, Case, place, pull_back
from minigrad.mode import recording
from minigrad.tensor import Array, Tensor


def examine(call: Call, recorded: bool) -> list[Suspicion]:
    """What is wrong with the rule of one call; nothing if it is right.

    `recorded` asks also for the gradient as it is recorded, for a second derivative.
    """
    case = Case.of(call)
    found = [*find_in_place(case)] or [*find_stale(case)] or [*find_ignored_g(case)]
    if not found and recorded:
        found = [*find_wrong_definition(case)]
    if found or case.looks_right:
        return found
    wrong = [i for i in range(len(case.points)) if case.wrong(i).any()]
    return find_excuses(case, call.op.name) or [explain_mistake(case, i) for i in wrong]


def same(a: list[Array], b: list[Array]) -> bool:
    """Whether two gradients are equal but for rounding."""
    return all(
        np.allclose(x, y, rtol=1e-9, atol=1e-12 * np.abs(y).max(initial=0), equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def find_in_place(case: Case) -> Iterator[Suspicion]:
    """The rule changes what belongs to others."""
    node, g, call = case.call.node(), case.g.copy(), case.call
    shared = {"the incoming gradient g": g, "the result y": node.data}
    for i, x in enumerate(node.inputs):
        shared[f"its input {call.name(i)}"] = x.data if isinstance(x, Tensor) else x
    before = {name: np.copy(x) for name, x in shared.items()}
    pull_back(node, g)
    for name, x in shared.items():
        if not np.array_equal(before[name], x, equal_nan=before[name].dtype.kind in "fc"):
            alone = [pull_back(call.node(k), case.g.copy())[0] for k in range(len(case.points))]
            text = f"the rule changes {name} in place, which others still read; work on a copy"
            yield case.suspicion("in place", text, case.worst(alone))


def find_stale(case: Case) -> Iterator[Suspicion]:
    """The rule remembers its last call, or the op its last result."""
    first = pull_back(case.call.node(), case.g.copy())
    copies = [np.copy(gx) for gx in first]
    node = case.call.node()
    case.call.forward(*[0.9 * x for x in case.points])
    second = pull_back(node, case.g.copy())
    again = pull_back(case.call.node(), case.g.copy())
    more = [pull_back(case.call.node(), case.g.copy()) for _ in range(5)]  # chance may be kind
    if same(copies, again) and not same(copies, second):
        text = "the rule uses what the op kept from its last call, maybe with other inputs; use y"
        yield case.suspicion("stale", text, case.worst(first))
    elif not all(same(copies, gradient) for gradient in (second, *more)):
        text = "two equal calls of the rule differ: it is random, or adds to what it kept before"
        added = [later - sooner for sooner, later in zip(copies, second, strict=True)]
        yield case.suspicion("stale", text, case.worst(added))
    elif any(np.shares_memory(a, b) for a, b in zip(first, second, strict=True)):
        text = "the rule gives an array that it keeps: its next call overwrites this gradient"
        yield case.suspicion("stale", text)


def find_ignored_g(case: Case) -> Iterator[Suspicion]:
    """The rule does not take the incoming gradient as a factor."""
    doubled = pull_back(case.call.node(), 2 * case.g)
    for i, (once, twice) in enumerate(zip(case.rules, doubled, strict=True)):
        finite = np.isfinite(once) & np.isfinite(twice)
        if not finite.all():
            continue  # `claim_not_finite` tells
        if same([twice], [once]) and once.any():
            times = case.distance(i, once * case.g) if once.shape == case.g.shape else np.inf
            text = "the incoming gradient g is ignored; multiply by it"
            yield case.suspicion("ignores g", text, times, input=case.names[i])
        elif not same([twice], [2 * once]):
            text = "not proportional to the incoming gradient g: for 2g it is not twice as large"
            yield case.suspicion("not linear", text, input=case.names[i])


def find_wrong_definition(case: Case) -> Iterator[Suspicion]:
    """The rule is right, but what is recorded in its place for a second derivative is not."""
    with recording(True):
        again = pull_back(case.call.node(), Tensor(case.g))
    if case.worst(again) > case.limit >= case.error:
        text = "the rule is right, but recorded for a second derivative it gives something else"
        if case.call.op.joint is not None:
            text = "the rule fits the kernel, but the definition means something else"
        yield case.suspicion("definition", text, case.error)


def find_excuses(evidence: Evidence, op: str | None = None) -> list[Suspicion]:
    """What can make a right rule look wrong: a kink, the rounding of f, the step, or a jump."""
    if evidence.kinks and evidence.error <= evidence.limit:
        for kink in evidence.kinks:
            if not kink.fits:
                text = f"{kink}, neither of them nor between; beside kinks it is right"
                return [Suspicion("slope", text, evidence.error, op)]
        names = listing([kink.name for kink in evidence.kinks])
        text = (
            f"not differentiable at {names}, where a rule gives one of the "
            "slopes and differences give their mean; everything else is right; move the input"
        )
        return [Suspicion("kink", text, evidence.error, op)]
    if evidence.is_rough and evidence.error <= evidence.limit:
        text = (
            f"the rule is right, the differences drown: values are rounded at {evidence.noise:.0e} "
            f"of their size, as by float32 (float64: 1e-16); compute in float64, or take steps of "
            f"{evidence.best_step:.0e}"
        )
        return [Suspicion("float32", text, evidence.error, op)]
    if evidence.numbers.method == CENTRAL and (step := evidence.right_at):
        text = f"the rule is right as steps of {step:.0e} see it; the step of the check misleads"
        return [Suspicion("step", text, evidence.limit, op)]
    if (cliffs := evidence.cliffs) and len(cliffs) == sum(
        int((error > evidence.limit).sum()) for error in evidence.errors
    ):
        text = (
            f"the function jumps at {listing(cliffs)}, or rises there without a finite slope; "
            "everything else is right; move the input"
        )
        return [Suspicion("jump", text, evidence.limit, op)]
    return []


def listing(names: list[str]) -> str:
    """The first three of some names, and how many more there are."""
    more = f" and {len(names) - 3} more elements" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


class Claim(NamedTuple):
    """What a mistake would explain: `got` then equals the right gradient, or `wanted` if given."""

    kind: str
    text: str
    got: Array
    wanted: Array | None = None
    factor: float | None = None


def explain_mistake(case: Case, i: int) -> Suspicion:
    """The simplest mistake that explains what the rule gives by the point number `i`."""
    for mistake in MISTAKES:
        for kind, text, got, wanted, factor in mistake(case, i):
            error = case.distance(i, got, wanted)
            if error <= case.limit:
                return case.suspicion(kind, text, error, input=case.names[i], factor=factor)
    return describe_wrong(case, i)


def claim_not_finite(case: Case, i: int) -> Iterator[Claim]:
    """Infinite or not a number."""
    rule, value = case.rules[i], case.numbers.values[i]
    lost, unknown = case.tried[i] & ~np.isfinite(rule), ~np.isfinite(value)
    if unknown.any():
        text = f"the function itself is not finite within a step, {place(case, i, unknown)}"
        yield Claim("domain", text, np.where(unknown, 0, rule), np.where(unknown, 0, value))
    elif lost.any():
        text = f"infinite or not a number {place(case, i, lost)}, where the function "
        result = case.call.node().data
        is_given_numbers = all(np.isfinite(x).all() for x in case.points)
        if np.isnan(result).any() or (is_given_numbers and np.isinf(result).any()):
            yield Claim("domain", text + "is no number either", np.where(lost, value, rule))
        else:
            yield Claim("nan", text + "is smooth", np.where(lost, value, rule))


def claim_missing(case: Case, i: int) -> Iterator[Claim]:
    """Nothing at all."""
    for where in regions(case, i):
        if not case.rules[i][where].any():
            text = f"0 {place(case, i, where)}; a term is missing"
            yield Claim("missing", text, np.where(where, case.numbers.values[i], case.rules[i]))


def claim_mask(case: Case, i: int) -> Iterator[Claim]:
    """Something where nothing should be."""
    rule, value, wrong = case.rules[i], case.numbers.values[i], case.wrong(i)
    if not value[wrong].any():
        text = f"wrong {place(case, i, wrong)}: it should be 0 there; a mask is missing"
        yield Claim("mask", text, np.where(wrong, value, rule))
    elif rule.any() and ((rule == 0) != (value == 0))[case.sound[i]].all():
        yield Claim("mask", "0 where it should not be, and only there; turn the mask", value)


def claim_rounding(case: Case, i: int) -> Iterator[Claim]:
    """As right as float32 can be: where x moves on smoothly, what the rule gives does not."""

    def rule(t: float) -> Array:
        moved = [x + t * v for x, v in zip(case.points, case.direction, strict=True)]
        node = case.call(*[Tensor(x, requires_grad=True) for x in moved])
        return pull_back(node, case.g.copy())[i]

    value = case.numbers.values[i]
    path = np.array([rule(k * 1e-6) for k in range(9)])
    near, far = (np.abs(np.diff(x, 2, axis=0)).max(0) for x in (path, path[::4]))
    noise = case.distance(i, value + near)
    is_smooth = case.distance(i, value + far) > 8 * noise  # then it is 16 times as much
    if ROUGH < noise < COARSE and not is_smooth and case.distance(i, case.rules[i]) < 10 * noise:
        text = (
            f"right but for being rounded at {noise:.0e} of its size, as by float32 (float64: "
            "1e-16); compute in float64"
        )
        yield Claim("rounding", text, np.where(case.wrong(i), value, case.rules[i]))


def claim_known_factor(case: Case, i: int) -> Iterator[Claim]:
    """Too large by a number that has a name: −1, 2, π, the length of an axis."""
    copies = broadcast_copies(case, i)
    for where, ratio in ratios(case, i):
        claim = claim_factor(case, i, where, ratio)
        if copies > 1 and case.is_near(ratio, 1 / copies):
            text = f"the mean over {copies} broadcast copies where their sum is due"
            yield claim._replace(kind="broadcast", text=text)
        elif copies > 1 and case.is_near(ratio, copies):
            text = f"{copies} times too large: its {copies} broadcast copies are counted once more"
            yield claim._replace(kind="broadcast", text=text)
        elif constant(case, ratio) or length(case, ratio):
            yield claim


def claim_any_factor(case: Case, i: int) -> Iterator[Claim]:
    """Too large by some number."""
    for where, ratio in ratios(case, i):
        if not (constant(case, ratio) or length(case, ratio)):
            yield claim_factor(case, i, where, ratio)


def claim_swap(case: Case, i: int) -> Iterator[Claim]:
    """The gradient of another input."""
    for name, value in zip(case.names, case.numbers.values, strict=True):
        if value.shape == case.rules[i].shape and name != case.names[i]:
            text = f"this is the gradient by {name}; the two are swapped"
            yield Claim("swapped", text, case.rules[i], value)


def claim_transpose(case: Case, i: int) -> Iterator[Claim]:
    """The axes in another order: those of the gradient, or of what it is computed from."""
    rule = case.rules[i]
    orders = list(permutations(range(rule.ndim)))[1:] if rule.ndim < 5 else []
    for order in orders:
        lengths = [rule.shape[axis] for axis in order]
        axes = f" (axes in the order {order})" if rule.ndim > 2 else ""
        back = rule.reshape(lengths).transpose(np.argsort(order))
        yield Claim("transposed", f"transposed{axes}; right once that is undone", back)
    for name, node, g in transpose_another(case, i):
        try:
            (found,) = pull_back(node, g)
        except Exception:  # other shapes need not fit the rule
            continue
        yield Claim("transposed", f"right with {name}.T where the rule has {name}", found)


def transpose_another(case: Case, i: int) -> Iterator[tuple[str, Tensor, Array]]:
    """The call with the last two axes of another input, or of g, in the other order."""
    for k, name in enumerate(case.names):
        if k != i and case.points[k].ndim > 1:
            node, at = case.call.node(i), case.call.places[k]
            matrix = Tensor(case.points[k].swapaxes(-1, -2))
            node.inputs = (*node.inputs[:at], matrix, *node.inputs[at + 1 :])
            yield name, node, case.g.copy()
    if case.g.ndim > 1:
        yield "g", case.call.node(i), case.g.swapaxes(-1, -2).copy()


def claim_slice(case: Case, i: int) -> Iterator[Claim]:
    """One slice of the result in place of the sum over all of them."""
    for axis, length in enumerate(case.g.shape):
        for k in {0, length - 1} if length > 1 else ():
            g = np.where(np.indices(case.g.shape)[axis] == k, case.g, 0)
            only = Weighted(case.function.f, [g])
            part = differentiate(only, case.points, case.best_step, case.tried)
            text = f"only slice {k} of axis {axis} of the result counts; the sum over it is missing"
            yield Claim("broadcast", text, case.rules[i], part.values[i])


def claim_missing_factor(case: Case, i: int) -> Iterator[Claim]:
    """A factor of the chain left out, or there once too often."""
    result = case.call.node().data
    for name, x in [*zip(case.names, case.points, strict=True), ("the result y", result)]:
        try:
            factor = np.broadcast_to(x, case.g.shape)
        except ValueError:
            continue
        for text, g in (
            (f"the factor {name} is missing", case.g * factor),
            (f"{name} is a factor too many", case.g / factor),
        ):
            yield Claim("missing factor", text, pull_back(case.call.node(i), g)[0])


MISTAKES: list[Callable[[Case, int], Iterator[Claim]]] = [
    claim_not_finite, claim_missing, claim_mask, claim_rounding, claim_known_factor, claim_swap,
    claim_transpose, claim_slice, claim_missing_factor, claim_any_factor,
]  # fmt: skip
"""From the simplest to the one that fits a single element by chance."""


def describe_wrong(case: Case, i: int) -> Suspicion:
    """Where the rule is wrong, when nothing says why."""
    wrong = case.wrong(i)
    ratio = case.rules[i][wrong] / case.numbers.values[i][wrong]
    least, most = (format_ratio(x, 3) for x in (ratio.min(), ratio.max()))
    text = (
        f"wrong {place(case, i, wrong)}, by no mistake known here; "
        f"between {least} and {most} times what it should be"
    )
    return case.suspicion("unknown", text, input=case.names[i])


def format_ratio(ratio: float, digits: int = 6) -> str:
    """A ratio with this many digits, or as many as it takes to tell it from 1 and -1."""
    for more in range(digits, 17):
        text = f"{ratio:.{more}g}"
        if abs(float(text) - ratio) <= 0.1 * abs(abs(ratio) - 1):
            break
    return text


def regions(case: Case, i: int) -> list[Array]:
    """Where a mistake may have been made: everywhere, or where the rule is wrong alone."""
    wrong = case.wrong(i)
    return [case.sound[i], wrong] if (wrong != case.sound[i]).any() else [wrong]


def ratios(case: Case, i: int) -> Iterator[tuple[Array, float]]:
    """How many times too large the rule is over each region, by least squares."""
    rule, value = case.rules[i], case.numbers.values[i]
    for where in regions(case, i):
        largest = np.abs(value[where]).max()  # by which all is divided, lest a square be infinite
        got, wanted = rule[where] / largest, value[where] / largest
        ratio = float(got @ wanted / (wanted @ wanted))
        if ratio and np.isfinite(ratio):
            yield where, ratio


def claim_factor(case: Case, i: int, where: Array, ratio: float) -> Claim:
    """The claim that the rule is this many times too large in this region."""
    kind, at = "factor", place(case, i, where)
    text = f"{format_ratio(ratio)} times what it should be {at}"
    if ratio < 0 and case.is_near(ratio, 1):
        kind, text = "sign", f"the wrong sign {at}"
    else:
        names = [constant(case, ratio), length(case, ratio)]
        if named := " or ".join(name for name in names if name and name not in text):
            text += f" ({named})"
    got = np.where(where, case.rules[i] / ratio, case.rules[i])
    return Claim(kind, text, got, factor=ratio)


CONSTANTS = {
    **{f"{n:.6g}": float(n) for n in (1, 2, 3, 4, 1 / 2, 1 / 4)}, "1/3": 1 / 3,
    "π": pi, "1/π": 1 / pi, "2π": 2 * pi, "1/2π": 0.5 / pi, "π/180": pi / 180, "180/π": 180 / pi,
    "√π": sqrt(pi), "2/√π": 2 / sqrt(pi), "√(2π)": sqrt(2 * pi), "√(2/π)": sqrt(2 / pi),
    "√2": sqrt(2), "1/√2": 1 / sqrt(2), "e": e, "log 2": log(2), "1/log 2": 1 / log(2),
    "log 10": log(10), "1/log 10": 1 / log(10), "1e-05": 1e-5, "1e-08": 1e-8, "1e-12": 1e-12,
}  # fmt: skip
"""Factors that one forgets or writes twice, by name."""


def constant(case: Case, ratio: float) -> str:
    """Which constant a number is, up to its sign; nothing if it is none."""
    return next((name for name, x in CONSTANTS.items() if case.is_near(ratio, x)), "")


def length(case: Case, ratio: float) -> str:
    """Which length a number is, or one divided by it, up to its sign; nothing if it is none."""
    for name, x in [*zip(case.names, case.points, strict=True), ("the result", case.g)]:
        lengths = [(f"axis {axis} of {name}", n) for axis, n in enumerate(x.shape)]
        for what, n in [*lengths, (f"all of {name}", x.size)]:
            if case.is_near(ratio, n):
                return f"the length of {what}"
            if case.is_near(ratio, 1 / n):
                return f"1 / the length of {what}"
    return ""


def broadcast_copies(case: Case, i: int) -> int:
    """How many times each element of the point number `i` was repeated to meet the others."""
    shape, result = case.points[i].shape, case.g.shape
    try:
        np.broadcast_to(case.points[i], result)
    except ValueError:
        return 1
    return prod(result) // max(prod(shape), 1)
