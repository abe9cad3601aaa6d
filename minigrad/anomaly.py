"""Anomalies: where a NaN or an infinity is born, and which array was changed before its use."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import contributions
from minigrad.nn import module_path, parameter_path
from minigrad.rules import formula
from minigrad.tensor import Array, Tensor, Watcher, unwrap, watching


class AnomalyError(RuntimeError):
    """A NaN or an infinity was born, or an array was changed while the graph still needed it."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """A block in which the first NaN or infinity, forward or backward, raises AnomalyError.

    The error names the op, its module, its inputs with their shapes and extremes, and the element.
    Arrays that were changed in place after an op used them are caught as well, when the backward
    pass comes to that op. Only what runs inside the block is watched: the backward pass has to be
    in it too. Ops that are not recorded are not watched either. The block is silent where NumPy
    would warn, and looks at every array, so it is for finding faults, not for training.

    A NaN is always an alarm. An infinity is none where a constant brought one in, such as the -inf
    that a mask writes for softmax to make a zero of, nor is what follows from it until it is a NaN.

    >>> from minigrad import Tensor
    >>> x = Tensor([0.0, 1.0], requires_grad=True, name="x")
    >>> with detect_anomaly():
    ...     y = np.log(x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.anomaly.AnomalyError: log made -inf at element (0,) of its result (2,); x (2,) is ...
    """
    with silent(), watching(Detector()):
        yield


def silent() -> Any:
    """A block in which NumPy does not warn of what is looked for anyway."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


class Birth(NamedTuple):
    """How a result came to hold a NaN or an infinity.

    cause: "in-the-data" or "in-a-parameter" if an input held it, else "born-forward".
    """

    cause: str
    text: str


class Births:
    """Where NaN and infinities are born, told op by op from the oldest to the newest."""

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
                    f"{called(node)} was given {non_finite(unwrap(x))} of {name_of(node, i)} "
                    f"{np.shape(x)}, {made} that was so before any op that was looked at: {advice}",
                )
        index = first_non_finite(node.data)
        return Birth(
            "born-forward",
            f"{called(node)} made {non_finite(node.data)} of its result {node.shape}; "
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


class Detector(Watcher):
    """The watcher of `detect_anomaly`."""

    def __init__(self) -> None:
        self.births = Births()
        self.checksums: dict[int, list[int]] = {}
        self.going_back: Tensor | None = None  # the node whose rule runs

    def recorded(self, result: Tensor) -> None:
        """Look at the result, and remember what its rule is to find in the arrays."""
        if birth := self.births.report(result):
            back = self.going_back
            rule = f"in the rule of {called(back)}: " if back is not None else ""
            raise AnomalyError(rule + birth.text)
        self.checksums[result.order] = [checksum(array) for _, array in held(result)]

    def arrived(self, node: Tensor, g: Any) -> None:
        """Look whether the arrays are what they were, and the incoming gradient finite."""
        self.going_back, g = node, unwrap(g)
        before = self.checksums.get(node.order, [])
        for (name, array), mark in zip(held(node), before, strict=False):
            if checksum(array) != mark and matters(node, g, array):
                raise AnomalyError(
                    f"{name} {array.shape} was changed in place after {called(node)} had used it, "
                    "so its gradient would be that of other numbers: change it after backward(), "
                    "as in optimizer.step(), or give the op a copy"
                )
        if not np.isfinite(g).all():
            raise AnomalyError(
                f"{non_finite(g)} of the gradient that arrives at {called(node)}, whose "
                "contributions are finite: their sum overflows, or backward() was given it"
            )

    def sent(self, node: Tensor, i: int, g: Any, ruled: Any, summed: Any) -> None:
        """Look at what a rule made of a finite gradient."""
        self.going_back = None
        if not np.isfinite(unwrap(summed)).all():
            raise AnomalyError(born_backward(node, i, unwrap(g), unwrap(ruled), unwrap(summed)))


def born_backward(node: Tensor, i: int, g: Array, ruled: Array, summed: Array) -> str:
    """How the rule of `node` for its input `i` made a NaN or an infinity of a finite gradient."""
    assert node.op is not None
    sent = ruled if not np.isfinite(ruled).all() else summed  # or the sum over a broadcast axis did
    with watching(Watcher()):  # the rule runs once more, to be written down
        written = [line for line in formula(node.op) if line.startswith(f"∂/∂{argument(node, i)} ")]
    rule = f" by {written[0]}" if written else ""
    index = first_non_finite(sent)
    text = (
        f"{called(node)} made {non_finite(sent)} of the gradient {sent.shape} that it sends to "
        f"{name_of(node, i)}{rule}; {inputs_of(node, index)}. {suspicion(node, sent)}"
    )
    if g.shape == sent.shape and g[index] == 0:
        text += (
            "; the gradient that arrives there is 0, as where np.where or a mask chose another "
            "value, but 0 × inf is NaN: mend the input before the op, not its result after"
        )
    return text


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
}
"""What is wrong as a rule, by the op."""

OTHERWISE = (
    "{dtype} ends at {largest:.2g}: what is larger is inf, and inf − inf and 0 × inf are NaN"
)


def suspicion(node: Tensor, made: Array) -> str:
    """What is wrong as a rule where this op has `made` a NaN or an infinity."""
    assert node.op is not None
    largest = float(np.finfo(made.dtype).max)
    text = SUSPICIONS.get(node.op.name.replace("expm1", "exp"), OTHERWISE)
    return text.format(overflow=np.log(largest), largest=largest, dtype=made.dtype)


def called(node: Tensor) -> str:
    """An op and where it was called: "divide (÷) in encoder.layers.0 (EncoderLayer)"."""
    assert node.op is not None
    symbol = f" ({node.op.symbol})" if len(node.op.symbol) == 1 else ""
    return f"{node.op.name}{symbol}{place(node)}"


def place(node: Tensor) -> str:
    """ " in encoder.layers.0 (EncoderLayer)", or nothing outside of modules."""
    path = module_path(node.scope)
    kind = type(node.scope.module).__name__ if node.scope else ""
    return f" in {path}" + (f" ({kind})" if kind != path else "") if path else ""


def argument(node: Tensor, i: int) -> str:
    """What the op calls its input number `i`."""
    assert node.op is not None
    names = node.op.input_names
    return names[i] if len(names) == len(node.inputs) else f"input {i}"


def name_of(node: Tensor, i: int) -> str:
    """The input's own name or its module's for it, else what the op calls it."""
    x = node.inputs[i]
    own = isinstance(x, Tensor) and (x.name or parameter_path(x, node.scope))
    return own or argument(node, i)


def inputs_of(node: Tensor, index: tuple[int, ...]) -> str:
    """The inputs that hold numbers, each with its shape, extremes and, if it has one, element."""
    assert node.op is not None
    texts = []
    for i, x in enumerate(unwrap(node.inputs)):
        if is_floating(x):
            text = f"{name_of(node, i)} {np.shape(x)} is {extremes(x)}"
            if node.op.family in ("elementwise", "activation") and len(index) == node.ndim:
                text += f", there {np.broadcast_to(x, node.shape)[index]:.4g}"
            texts.append(text)
    return "; ".join(texts)


def extremes(x: Any) -> str:
    """ "0 to 3", and how many elements are no numbers."""
    x = np.asarray(x)
    finite = x[np.isfinite(x)]
    texts = [f"{finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    counts = {"nan": np.isnan(x).sum(), "inf": np.isposinf(x).sum(), "-inf": np.isneginf(x).sum()}
    return ", ".join(texts + [f"{n} × {name}" for name, n in counts.items() if n]) or "empty"


def first_non_finite(x: Array) -> tuple[int, ...]:
    """The index of the first NaN or infinity."""
    return tuple(np.argwhere(~np.isfinite(x))[0].tolist())


def non_finite(x: Any) -> str:
    """ "nan at element (0, 2)": the first one, and where it stands."""
    x = np.asarray(x)
    index = first_non_finite(x)
    return f"{x[index]:g} at {f'element {index}' if index else 'the one element'}"


def is_floating(x: Any) -> bool:
    """Whether these are numbers that can be NaN or infinite."""
    return isinstance(x, float | np.ndarray | np.generic) and np.asarray(x).dtype.kind == "f"


def held(node: Tensor) -> list[tuple[str, Array]]:
    """The arrays that the rule of an op may look at, and what they are called."""
    assert node.op is not None
    found = []
    for i, x in enumerate(node.inputs):
        made = isinstance(x, Tensor) and (x.name or (x.op and f"the result of {x.op.name}"))
        found.append((made or argument(node, i), unwrap(x)))
    found += [(f"the result of {node.op.name}", node.data)]
    found += [(f"what {node.op.name} saved", x) for x in node.saved]
    for name, param in node.params.items():
        parts = param if isinstance(param, tuple | list) else [param]
        found += [(f"{name} of {node.op.name}", x) for x in parts]
    return [(name, x) for name, x in found if isinstance(x, np.ndarray)]


def checksum(array: Array) -> int:
    """A number that changes when the array does."""
    return zlib.crc32(np.ravel(array).view(np.uint8).data)


def matters(node: Tensor, g: Array, changed: Array) -> bool:
    """Whether the rules look at the values of this array, found by giving them others."""
    if changed.dtype.kind != "f":
        return True
    others = -1 - changed

    def replaced(x: Any) -> Any:
        if unwrap(x) is not changed:
            return x
        return Tensor.wrap(others).requires_grad_(x.tracked) if isinstance(x, Tensor) else others

    inputs, saved = (tuple(map(replaced, xs)) for xs in (node.inputs, node.saved))
    node_with_others = Tensor.wrap(replaced(node.data), node.op, inputs, node.params, saved)
    now, then = (contributions(x, g, False) for x in (node, node_with_others))
    return any(not np.array_equal(a[1], b[1]) for a, b in zip(now, then, strict=True))
