"""Anomalies: where a NaN or an infinity is born, and which array was changed before its use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np

from minigrad.mode import Watcher, watching
from minigrad.names import describe_op
from minigrad.stale import held, matters, same
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.why.births import Births, born_backward, without_warnings
from minigrad.why.wording import non_finite


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

    A NaN always raises the alarm. An infinity that a constant brought in does not, such as the -inf
    that a mask writes for softmax to turn into 0, nor does what follows from it unless it is NaN.

    >>> from minigrad import Tensor
    >>> x = Tensor([0.0, 1.0], requires_grad=True, name="x")
    >>> with detect_anomaly():
    ...     y = np.log(x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.why.anomaly.AnomalyError: log made -inf at element (0,) of its result (2,); x ...
    """
    with without_warnings(), watching(Detector()):
        yield


class Detector(Watcher):
    """The watcher of `detect_anomaly`."""

    def __init__(self) -> None:
        self.births = Births()
        self.used: dict[int, list[Array]] = {}  # copies of the arrays that a result's op used
        self.copies = WeakValueDictionary[int, Array]()  # the newest of each array, by its identity
        self.going_back: Tensor | None = None  # the node whose rule runs

    def recorded(self, result: Tensor) -> None:
        """Look at the result, and remember what its rule is to find in the arrays."""
        if birth := self.births.report(result):
            back = self.going_back
            rule = f"in the rule of {describe_op(back)}: " if back is not None else ""
            raise AnomalyError(rule + birth.text)
        self.used[result.order] = [self.copied(unwrap(x)) for _, x in held(result)]
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
        for (name, x), before in zip(held(node), used, strict=False):
            array = unwrap(x)
            if not same(before, array) and matters(node, g, array, before):
                raise AnomalyError(
                    f"{name} {before.shape} was changed in place after {describe_op(node)} had "
                    "used it, so its gradient would be that of other numbers: change it after "
                    "backward(), as in optimizer.step(), or give the op a copy"
                )
        if not np.isfinite(g).all():
            raise AnomalyError(
                f"{non_finite(g)} of the gradient that arrives at {describe_op(node)}, whose "
                "contributions are finite: their sum overflows, or backward() was given it"
            )

    def sent(self, node: Tensor, i: int, g: Any, ruled: Any, summed: Any) -> None:
        """Look at what a rule made of a finite gradient."""
        self.going_back = None
        if not np.isfinite(unwrap(summed)).all():
            raise AnomalyError(born_backward(node, i, unwrap(g), unwrap(ruled), unwrap(summed)))
