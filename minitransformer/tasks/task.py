"""Task: what there is to learn, as an entry in one table; and Data, the examples that it loads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from minitransformer.forms import Example, Form


class Data(Protocol):
    """Examples as a trainer sees them: an endless training stream, and some it never contains."""

    name: str
    test: list[Example]
    """The held-out examples, shuffled: any first part of the list is a fair sample."""
    test_texts: list[tuple[str, str]]
    """The held-out examples as they are written, with what the vocabularies do not know."""
    checksum: int | None
    """The CRC-32 of the file that the examples are from, if any: a run goes on with the same."""
    notes: tuple[str, ...]
    """What to know of the examples before training."""

    @property
    def form(self) -> Form:
        """The kind of question that they ask."""

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """The next examples of the training stream.

        They depend on `rng` and on nothing else: whoever restores the generator's whole
        `bit_generator.state` goes on with the same bits.
        """

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """What else there is to say of a model's answers to the test, as numbers by name."""


class Task(Protocol):
    """An entry in the table of tasks: settings that load data."""

    name: ClassVar[str]
    form: ClassVar[str]
    default: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]]

    def load(self, seed: int) -> Data:
        """The examples. ValueError for unusable data.

        A task of labels may also be given the form of a run that the model begins with: its texts
        then have the tokens of that one, and new ones behind them.
        """


TASKS: dict[str, type[Any]] = {}
"""Each task's settings by its name."""


def task(name: str, form: str, default: str, **defaults: Any) -> Callable[[type[Any]], type[Any]]:
    """Enter a dataclass of settings in the table of tasks, under a name.

    form: the kind of its questions, one of FORMS. default: the model that learns it where nobody
    chooses one. defaults: settings, of any group, that have another default for this task.
    """

    def enter(settings: type[Any]) -> type[Any]:
        settings.name, settings.form, settings.default = name, form, default
        settings.defaults = defaults
        TASKS[name] = settings
        return settings

    return enter


@dataclass(frozen=True)
class Examples:
    """Data that is all there: examples to train on, drawn with replacement, and some held out."""

    name: str
    form: Form
    training: list[Example]
    test: list[Example]
    test_texts: list[tuple[str, str]]
    checksum: int | None = None
    notes: tuple[str, ...] = ()

    def sample(self, rng: np.random.Generator, count: int) -> list[Example]:
        """Training examples, each drawn from all of them."""
        places = rng.integers(len(self.training), size=count).tolist()
        return [self.training[place] for place in places]

    def measure(self, answers: Sequence[str]) -> dict[str, float]:
        """Nothing but how many are right."""
        return {}


def held_out_rng(seed: int) -> np.random.Generator:
    """The generator that decides what is held out. ValueError for a negative seed."""
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    # The second number keeps these draws apart from those of a trainer with the same seed.
    return np.random.default_rng((seed, 1))
