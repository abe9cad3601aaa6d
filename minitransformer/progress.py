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
