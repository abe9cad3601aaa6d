"""Progress: what takes long says how far it is, and whoever shows it need not be handed through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Is called with what is being done, and how much of how much of it."""

_LISTENER: ContextVar[Listener] = ContextVar("listener", default=lambda what, done, total: None)


def tell(what: str, done: int, total: int) -> None:
    """Say that so much of something is done."""
    _LISTENER.get()(what, done, total)


def hear(listener: Listener) -> None:
    """From now on, let all that is told go to a listener."""
    _LISTENER.set(listener)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """A block in which all that is told goes to a listener.

    >>> with heard_by(print):
    ...     tell("reading", 1, 2)
    reading 1 2
    >>> tell("reading", 2, 2)
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@contextmanager
def under(name: str) -> Iterator[None]:
    """A block in which all that is told is told under a name.

    >>> with heard_by(print), under("seed 0"):
    ...     tell("training", 1, 2)
    seed 0: training 1 2
    """
    listener = _LISTENER.get()
    with heard_by(lambda what, done, total: listener(f"{name}: {what}", done, total)):
        yield
