"""A classifier: a head on what any encoder has read."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from minigrad import nn
from minigrad.tensor import Tensor
from minitransformer.batch import Shape
from minitransformer.models.model import MODELS, model
from minitransformer.models.transformer import StackSettings
from minitransformer.settings import SettingError, setting


class Classifier(nn.Module):
    """Source tokens to the logits of labels: the mean of what a reader makes of each token.

    reader: a module that takes (B, S) token numbers to (B, S, width).
    """

    token_rows: ClassVar = {
        "reader.embedding.tokens.weight": "source",
        "reader.embedding.weight": "source",
        "projection.weight": "target",
        "projection.bias": "target",
    }

    def __init__(self, reader: Any, classes: int, pad: int, rng: nn.Source) -> None:
        self.reader = reader
        self.projection = nn.Linear(reader.width, classes, rng=rng)
        self._pad = pad

    def forward(self, source: Any) -> Tensor:
        """(B, S) token numbers → (B, C) logits; padding counts for nothing."""
        source = np.asarray(source)
        known = (source != self._pad)[..., None]  # (B, S, 1)
        total = np.sum(np.where(known, self.reader(source), 0), axis=1)
        return self.projection(total / known.sum(axis=1))

    def rates(self, decay: float) -> list[float]:
        """The learning rate of each parameter, that of the head being 1.

        Each layer's is that of the layer above it times `decay`, embeddings are below the first
        layer: Howard and Ruder, "Universal Language Model Fine-tuning" (2018), section 3.2.
        """
        floors: list[int] = []
        floor = 0
        for name, _ in self.named_parameters():  # they come in the order in which they are used
            if found := re.match(r"reader\..*\blayers\.(\d+)\.", name):
                floor = 1 + int(found[1])
            elif not name.startswith("reader."):
                floor = 1 + max(floors, default=0)
                break
            floors.append(floor)
        heads = len(self.parameters()) - len(floors)
        return [decay ** (floor - below) for below in floors] + [1.0] * heads

    @staticmethod
    def sides(path: str) -> tuple[str, str]:
        """Whose tokens look in the attention at this path, and at whose they look."""
        return "source", "source"


@model("classifier", answers="labels")
@dataclass(frozen=True)
class ClassifierSettings(StackSettings):
    """A head on the encoder of another model that has one."""

    encoder: str = setting("transformer", "model whose encoder reads the text")

    def __post_init__(self) -> None:
        entries = {
            name: x
            for name, x in MODELS.items()
            if hasattr(x, "reader") and not issubclass(x, ClassifierSettings)
        }
        if self.encoder not in entries:
            known = ", ".join(entries)
            raise SettingError(f"<encoder> is one of {known}, not {self.encoder!r}")
        own = {each.name for each in fields(entries[self.encoder])}
        for each in fields(self):
            unused = each.name not in own and each.name != "encoder"
            if unused and getattr(self, each.name) != each.default:
                raise SettingError(
                    f"<{each.name}> means nothing to <encoder> {self.encoder}; leave it out"
                )
        self.of_encoder()

    def of_encoder(self) -> Any:
        """The settings of the model whose encoder it is."""
        entry = MODELS[self.encoder]
        return entry(**{each.name: getattr(self, each.name) for each in fields(entry)})

    def build(self, shape: Shape, rng: nn.Source) -> Classifier:
        """A new model."""
        rng = nn.source(rng)
        return Classifier(self.of_encoder().reader(shape, rng), shape.classes, shape.pad, rng)

    def floats(self, shape: Shape) -> int:
        """The larger arrays that are recorded for the longest example, half of a translator's."""
        return int(self.of_encoder().floats(shape)) // 2
