"""Changes: what was written after an op had used it, so that its rule would find other numbers.

A tensor draws a running number when it is made, and so does each change that goes through the
engine. Hence the backward pass tells by one comparison of integers, the node's number with the
newest change's, that nothing an op used can have changed since. Only where that fails does
`stale.py` look which arrays did.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np
from numpy.lib.array_utils import byte_bounds

count = itertools.count()
"""The running numbers of tensors and changes: a larger one is always later."""

newest = 0
"""The number of the newest change."""


class Change(NamedTuple):
    """That numbers were replaced by others: when, and by what, such as "SGD.step()".

    resized: when a tensor last got another shape, in this change or an earlier one.
    """

    order: int
    by: str
    resized: int = 0


places: dict[tuple[int, int], Change] = {}
"""The newest change of each piece of memory that was written in place, while its array lives."""


def change(by: str, earlier: Change | None = None) -> Change:
    """A change that happens now, after an earlier one of the same tensor."""
    global newest
    newest = next(count)
    return Change(newest, by, earlier.resized if earlier else 0)


def note_write(array: np.ndarray[Any, Any], by: str) -> None:
    """Note that this array was written in place: so was whatever shares its memory."""
    place = byte_bounds(array)
    if place not in places:
        finalize(owner(array), places.pop, place, None).atexit = False
    places[place] = change(by)


def last_write(array: np.ndarray[Any, Any]) -> Change | None:
    """The newest change of memory that this array reaches into, if there was one."""
    low, high = byte_bounds(array)
    found = [x for (start, end), x in places.items() if start < high and low < end]
    return max(found, default=None)


def owner(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array whose memory this one is a view of, perhaps itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
