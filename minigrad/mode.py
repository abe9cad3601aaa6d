"""Mode: whether the running thread records its ops, in which module's call, and who watches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from minigrad.op import Op
    from minigrad.tensor import Tensor


class Scope(NamedTuple):
    """One running call of a module: the module and the call that it was made from."""

    module: Any
    parent: Scope | None


def outward(scope: Scope | None) -> Iterator[Scope]:
    """A call and those around it, innermost first; nothing outside of calls."""
    while scope is not None:
        yield scope
        scope = scope.parent


class Watcher:
    """Callbacks from the engine; override those you need."""

    def recorded(self, result: Tensor) -> None:
        """An op has computed `result` and remembers how."""

    def composed(self, op: Op, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """A composite is called, and gives what this returns: it records the smaller ops."""
        return op.forward(*args, **params)

    def arrived(self, node: Tensor, g: Any) -> None:
        """The gradient `g` of `node` is complete; its op's rules come next."""

    def sent(self, node: Tensor, i: int, g: Any, ruled: Any, summed: Any) -> None:
        """The rule of `node` for its input number `i` made `ruled` of `g`; `summed`, the same with
        broadcasting undone, goes on to that input."""


class Mode(threading.local):
    """What holds for the running thread: whether ops are recorded, inside which module's call, who
    watches, and how many function transforms are running: an inner one must give Tensors to the
    outer."""

    recording = True
    scope: Scope | None = None
    watcher: Watcher | None = None
    transforms = 0


mode = Mode()


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """A block in which operations are (`on`) or are not recorded; what held before is restored."""
    before, mode.recording = mode.recording, on
    try:
        yield
    finally:
        mode.recording = before


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """A block in which `watcher` is told of each step, instead of any outer one."""
    before, mode.watcher = mode.watcher, watcher
    try:
        yield
    finally:
        mode.watcher = before


def no_grad() -> Any:
    """A block, or a decorated function, in which nothing is recorded, so nothing is kept alive.

    >>> from minigrad import Tensor, no_grad
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """
    return recording(False)
