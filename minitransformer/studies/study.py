"""Study: a question about models, as an entry in one table; and Finding, its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from minigrad.tensor import Array


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, and what they are."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Finding:
    """What a study has found.

    study: its name. tables: what was measured, to be read. says: what follows from the numbers, in
    sentences. numbers: all that was measured, controls too, as JSON can say it. arrays: what the
    pictures are drawn from, by name.
    """

    study: str
    tables: list[Table]
    says: list[str]
    numbers: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)


class Study(Protocol):
    """An entry in the table of studies: settings, as those of a task or a model, that find out."""

    name: ClassVar[str]
    argument: ClassVar[str]

    def find(self) -> Finding:
        """Measure. ValueError for what cannot be studied so."""


STUDIES: dict[str, type[Any]] = {}
"""Each study's settings by its name, which is also that of its command."""


def study(name: str, argument: str = "") -> Callable[[type[Any]], type[Any]]:
    """Enter a dataclass of settings in the table of studies, under a name.

    argument: the setting that a command line gives without its name, if there is one: a text, or a
    tuple of them for any number.
    """

    def enter(settings: type[Any]) -> type[Any]:
        settings.name, settings.argument = name, argument
        STUDIES[name] = settings
        return settings

    return enter
