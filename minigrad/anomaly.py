"""Anomalies: where a NaN or an infinity is born, and which array was changed before its use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np

from minigrad.backward import contributions
from minigrad.births import Births, born_backward, silent
from minigrad.tensor import Array, Tensor, Watcher, unwrap, watching
from minigrad.wording import argument, called, non_finite


class AnomalyError(RuntimeError):
    """A NaN or an infinity was born, or an array was changed while the graph still needed it."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """A block in which the first NaN or infinity, forward or backward, raises AnomalyError.

    The error names the op, its module, its inputs with their shapes and extremes, and the element.
    Arrays that were changed in place after an op used them are caught as well, when the backward
    pass comes to that op. Only what runs inside the block is watched: the backward pass has to be
    in it too. Ops that are not recorded are not watched either. The block is silent where NumPy
    would warn, and keeps a copy of every array, so it is for finding faults, not for training.

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


class Detector(Watcher):
    """The watcher of `detect_anomaly`."""

    def __init__(self) -> None:
        self.births = Births()
        self.used: dict[int, list[Array]] = {}  # what the arrays were that a result's op used
        self.copies = WeakValueDictionary[int, Array]()  # the newest of each array, by its identity
        self.going_back: Tensor | None = None  # the node whose rule runs

    def recorded(self, result: Tensor) -> None:
        """Look at the result, and remember what its rule is to find in the arrays."""
        if birth := self.births.report(result):
            back = self.going_back
            rule = f"in the rule of {called(back)}: " if back is not None else ""
            raise AnomalyError(rule + birth.text)
        self.used[result.order] = [self.copied(array) for _, array in held(result)]
        finalize(result, self.used.pop, result.order)

    def copied(self, array: Array) -> Array:
        """A copy of an array; the same one for all ops that find the same numbers in it."""
        copy = self.copies.get(id(array))
        if copy is None or not same(copy, array):
            copy = self.copies[id(array)] = array.copy()
        return copy

    def arrived(self, node: Tensor, g: Any) -> None:
        """Look whether the arrays are what they were, and the incoming gradient finite."""
        self.going_back, g = node, unwrap(g)
        used = self.used.get(node.order, [])
        for (name, array), before in zip(held(node), used, strict=False):
            if not same(before, array) and matters(node, g, array, before):
                raise AnomalyError(
                    f"{name} {before.shape} was changed in place after {called(node)} had used it, "
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


def same(a: Array, b: Array) -> bool:
    """Whether these are the same numbers, NaN too."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return bool((a == b).all()) or (a.dtype.kind == "f" and np.array_equal(a, b, equal_nan=True))


def matters(node: Tensor, g: Array, array: Array, before: Array) -> bool:
    """Whether the op's rules give something else for the array than for what it was before."""
    if array.shape != before.shape:
        return True

    def restored(x: Any) -> Any:
        if isinstance(x, tuple | list):
            return type(x)(map(restored, x))
        if isinstance(x, Tensor):
            return Tensor.wrap(restored(x.data)).requires_grad_(x.tracked)
        return before if x is array else x

    inputs, saved = restored(node.inputs), restored(node.saved)
    params = {name: restored(x) for name, x in node.params.items()}
    then = Tensor.wrap(restored(node.data), node.op, inputs, params, saved)
    sent = [dict(contributions(x, g, create_graph=False)) for x in (then, node)]
    return any(not same(sent[0][i], sent[1][i]) for i in sent[0])
