"""Model: an entry in one table, settings that build a module for what a task asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from minigrad.nn import Module, Source
from minitransformer.batch import Shape
from minitransformer.settings import Group, SettingError, divisors, setting


class Model(Protocol):
    """An entry in the table of models: settings that build a module.

    The module takes the arrays of a batch to logits. One that answers pairs can `begin` to write,
    see `decoding`, and says its `max_length`, or None where it knows no limit; where what it writes
    comes after its source, as in a language model, it `goes_on`. One with attention says in
    `sides(path)` whose tokens look at whose in the attention at a path; where its layers end in a
    vocabulary, `last_stack` is what they are, and `read_out(x)` makes logits of what any of them
    leaves. `token_rows` names the weights that have a row for each token, and whose tokens: the
    "source"'s, or the "target"'s, which may be labels; without it a run can begin with another's
    weights only where both know the same tokens. `rates(decay)` gives a learning rate for each
    parameter, against that of the head; without it all have the same.
    """

    name: ClassVar[str]
    answers: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, Any]]

    def build(self, shape: Shape, rng: Source) -> Module:
        """A new model."""

    def floats(self, shape: Shape) -> int:
        """How many numbers it records at least for the longest example, to estimate memory."""


@dataclass(frozen=True)
class NetworkSettings(Group):
    """What all models made of layers have to be told."""

    d_model: int = setting(64, "width of the model", least=1, most=20_000)
    layers: int = setting(
        2, "layers; of encoder and decoder each, where there are both", least=1, most=1_000
    )
    dropout: float = setting(0.0, "share of activations dropped in training", kept=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_share("dropout")


@dataclass(frozen=True)
class AttentionSettings(NetworkSettings):
    """What all models made of attention layers have to be told."""

    heads: int = setting(4, "attention heads per layer", least=1)
    d_ff: int = setting(256, "width of the feed-forward layers", least=1, most=100_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.d_model % self.heads:
            raise SettingError(
                f"<heads> must divide <d_model> {self.d_model}, not {self.heads}; "
                f"divisors are {divisors(self.d_model)}"
            )

    def sizes(self, shape: Shape) -> dict[str, Any]:
        """The fields of a StackConfig that are sizes, and the number of the padding token."""
        return {
            "d_model": self.d_model,
            "num_heads": self.heads,
            "d_ff": self.d_ff,
            "dropout": self.dropout,
            "max_length": shape.length,
            "pad": shape.pad,
        }

    def floats(self, shape: Shape) -> int:
        """The larger arrays that one stack of layers records for the longest example, each once."""
        each = shape.source * (6 * self.d_model + 2 * self.d_ff) + self.heads * shape.source**2
        return self.layers * each + 2 * shape.source * shape.classes


MODELS: dict[str, type[Any]] = {}
"""Each model's settings by its name."""


def model(name: str, answers: str, **defaults: Any) -> Callable[[type[Any]], type[Any]]:
    """Enter a dataclass of settings in the table of models, under a name.

    answers: the kinds of questions, of FORMS, with a space between. defaults: settings, of any
    group, that have another default for this model.
    """

    def enter(settings: type[Any]) -> type[Any]:
        settings.name, settings.answers, settings.defaults = name, tuple(answers.split()), defaults
        MODELS[name] = settings
        return settings

    return enter
