"""Settings: everything that decides how a run goes. The task's, the model's, and the training's.

Each group is a dataclass whose fields are made by `setting`. In a file and on the command line all
settings of a run lie flat beside each other, so a name means one thing in all groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Any, ClassVar, get_args


class SettingError(ValueError):
    """A setting that makes no sense. `text` has the names of settings as <name>."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(self.naming(str))

    def naming(self, call: Callable[[str], str]) -> str:
        """The message, each setting named as `call` says: the command calls heads --heads."""
        return re.sub(r"<([a-z_]+)>", lambda found: call(found[1]), self.text)

    @property
    def settings(self) -> list[str]:
        """The settings that the message is about."""
        return re.findall(r"<([a-z_]+)>", self.text)


def option(name: str) -> str:
    """What the command calls a setting.

    >>> option("batch_size")
    '--batch-size'
    """
    return {"task": "TASK", "from_run": "--from"}.get(name, f"--{name.replace('_', '-')}")


def setting(
    default: Any, help: str, *, least: int | None = None, most: int | None = None, kept: bool = True
) -> Any:
    """A field of a group of settings, with the line that the command's --help shows for it.

    least, most: what a whole number may be; beyond them a run would make no sense, or use up time
    or memory before it could say that there is not enough. kept: whether a run keeps it for good,
    and does not go on with another value.
    """
    about = {"help": help, "least": least, "most": most, "kept": kept}
    return field(default=default, metadata=about)


class Group:
    """What all groups of settings share: each setting is within its bounds, or SettingError.

    A group that is an entry in a table has the `name` that it was entered under.
    """

    name: ClassVar[str] = "training"
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Settings, of any group, that have another default where this entry is chosen."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            least, most = each.metadata["least"], each.metadata["most"]
            if least is not None and value < least:
                raise SettingError(f"<{each.name}> must be at least {least}, not {value}")
            if most is not None and value > most:
                raise SettingError(f"<{each.name}> must be at most {most}, not {value}")

    def require_share(self, name: str) -> None:
        """SettingError for a setting that is no share: at least 0 and below 1."""
        if not 0 <= getattr(self, name) < 1:
            raise SettingError(
                f"<{name}> is a share, at least 0 and below 1, not {getattr(self, name)}"
            )

    def require_multiple(self, name: str, of: int, what: str) -> None:
        """SettingError for a setting that is no multiple of a number, which is `what`."""
        if getattr(self, name) % of:
            raise SettingError(
                f"<{name}> must be a multiple of {of}, {what}, not {getattr(self, name)}"
            )


changeable = partial(setting, kept=False)
"""A setting that may be another when a run goes on."""


@dataclass(frozen=True)
class Training(Group):
    """How a model is trained, whatever it is and whatever it learns."""

    from_run: str = setting("", "run whose weights to begin with, for new data")
    layer_decay: float = setting(
        1.0, "learning rate of a layer over that of the layer above; 0: only the head learns"
    )
    steps: int = changeable(2500, "training steps at most", least=1, most=10**9)
    patience: int = changeable(
        2, "perfect evaluations in a row that end the run; 0: none does", least=0
    )
    batch_size: int = changeable(
        64, "examples per step, and per batch of an evaluation", least=1, most=10_000
    )
    learning_rate: float = changeable(2e-3, "highest learning rate")
    warmup: int = changeable(
        100, "steps in which the learning rate rises to it", least=1, most=10**9
    )
    weight_decay: float = changeable(0.3, "how fast unused weights shrink (AdamW)")
    clip: float = changeable(1.0, "largest norm of the gradient")
    label_smoothing: float = changeable(0.0, "probability spread evenly over all classes")
    evaluate_every: int = changeable(100, "steps between evaluations", least=1, most=10**9)
    threads: int = changeable(
        1, "threads for matrix products; small models are fastest with one", least=1, most=1_000
    )
    seed: int = setting(
        0, "seed of weights, batches and held-out examples", least=0, most=2**63 - 1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.learning_rate < inf:
            raise SettingError(
                f"<learning_rate> must be a number above 0, not {self.learning_rate}"
            )
        if not 0 <= self.layer_decay <= 1:
            raise SettingError(f"<layer_decay> is between 0 and 1, not {self.layer_decay}")
        if not self.clip > 0:
            raise SettingError(f"<clip> must be above 0, not {self.clip}")
        if not 0 <= self.weight_decay < inf:
            raise SettingError(f"<weight_decay> must be at least 0, not {self.weight_decay}")
        self.require_share("label_smoothing")


def kept_names(group: Any) -> list[str]:
    """The names of a group's settings that a run keeps for good."""
    return [each.name for each in fields(group) if each.metadata["kept"]]


def require_kind(name: str, kind: Any, value: Any) -> None:
    """SettingError for a value that is not of a setting's type."""
    choices = get_args(kind)
    if choices and value not in choices:
        raise SettingError(f"<{name}> is one of {', '.join(choices)}, not {value!r}")
    wanted = (int, float) if kind is float else str if choices else kind
    if not isinstance(value, wanted) or isinstance(value, bool):
        noun = {int: "a whole number", float: "a number"}.get(kind, "a text")
        raise SettingError(f"<{name}> must be {noun}, not {value!r}")


def divisors(n: int) -> str:
    """The divisors of n, as a list to read."""
    return ", ".join(str(i) for i in range(1, n + 1) if n % i == 0)
