"""BERT: an encoder alone, which reads a text in both directions and fills its gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from minigrad import nn
from minigrad.ops.elementwise import gelu
from minigrad.ops.neural import linear
from minigrad.tensor import Tensor
from minitransformer.batch import Shape
from minitransformer.models.model import model
from minitransformer.models.transformer import StackSettings
from minitransformer.parts.attention import padding_mask
from minitransformer.parts.blocks import Encoder
from minitransformer.parts.config import Activation, Positions, StackConfig
from minitransformer.parts.embedding import TokenEmbedding

SEGMENTS = 2
"""A text, and a second one beside it, such as a question about it."""


@dataclass(frozen=True, kw_only=True)
class BertConfig(StackConfig):
    """The shape of a BERT. ValueError says which field does not fit, and why.

    The defaults are the paper's base model: Devlin et al., "BERT" (2019), section 3.
    """

    vocab: int = 30_522
    num_layers: int = 12
    d_model: int = 768
    num_heads: int = 12
    d_ff: int = 3072
    activation: Activation = "gelu"
    positions: Positions = "learned"
    scaled_embedding: bool = False
    embedding_std: float | None = 0.02
    eps: float = 1e-12

    def __post_init__(self) -> None:
        self.require_sizes("vocab", "num_layers")
        super().__post_init__()


class BertReader(nn.Module):
    """A text as a vector for each token, which has looked at all others.

    A token's vector, its position's and its segment's are added: section 3, figure 2.
    """

    def __init__(self, config: BertConfig, rng: nn.Source | nn.Seed = None) -> None:
        rng = nn.source(rng)
        self.embedding = TokenEmbedding(config.vocab, replace(config, dropout=0.0), rng)
        self.segments = nn.Embedding(SEGMENTS, config.d_model, std=0.02, rng=rng)
        self.norm = nn.LayerNorm(config.d_model, config.eps)
        self.dropout = nn.Dropout(config.dropout, rng)
        self.encoder = Encoder(config, config.num_layers, rng)
        self.width = config.d_model
        self._pad = config.pad

    def forward(self, source: Any, segments: Any | None = None) -> Tensor:
        """(B, S) token numbers → (B, S, D); `segments`, (B, S) of 0 and 1, are 0 if left out."""
        source = np.asarray(source)
        segments = np.zeros_like(source) if segments is None else segments
        x: Any = self.embedding(source)
        x = self.dropout(self.norm(x + self.segments(segments)))
        return self.encoder(x, padding_mask(source, self._pad))

    @staticmethod
    def sides(path: str) -> tuple[str, str]:
        """Whose tokens look in the attention at this path, and at whose they look."""
        return "source", "source"


class Bert(nn.Module):
    """A text with gaps to the logits of the token at each place: Devlin et al., section 3.1.

    The head is a layer as wide as the model and the rows of the token vectors, with a bias. rng: a
    NumPy generator or a seed for the initial weights and for dropout.

    >>> config = BertConfig(vocab=14, num_layers=1, d_model=8, num_heads=2, d_ff=16, max_length=16)
    >>> Bert(config, rng=0)(np.array([[2, 7, 4, 3]])).shape
    (1, 4, 14)
    """

    token_rows: ClassVar = {"reader.embedding.tokens.weight": "source", "bias": "source"}

    def __init__(self, config: BertConfig, rng: nn.Source | nn.Seed = None) -> None:
        self.config = config
        rng = nn.source(rng)
        self.reader = BertReader(config, rng)
        self.head = nn.Linear(config.d_model, config.d_model, rng=rng)
        self.head_norm = nn.LayerNorm(config.d_model, config.eps)
        self.bias = nn.parameter(np.zeros(config.vocab))

    def forward(self, source: Any, segments: Any | None = None) -> Tensor:
        """(B, S) token numbers → (B, S, V) logits."""
        return self.project(self.reader(source, segments))

    def project(self, x: Any) -> Tensor:
        """(B, S, D), as the reader gives it → (B, S, V) logits."""
        x = self.head_norm(gelu(self.head(x)))
        return linear(x, self.reader.embedding.tokens.weight, self.bias)

    @property
    def last_stack(self) -> Encoder:
        """The layers that end in the vocabulary."""
        return self.reader.encoder

    def read_out(self, x: Any) -> Tensor:
        """(B, S, D), as any layer of the last stack leaves it → (B, S, V) logits."""
        return self.project(self.reader.encoder.finish(x))

    sides = staticmethod(BertReader.sides)


@model("bert", answers="masked", norm="post", activation="gelu", positions="learned")
@dataclass(frozen=True)
class BertSettings(StackSettings):
    """An encoder alone, which fills the gaps of a text: Devlin et al., 2019."""

    def config(self, shape: Shape) -> BertConfig:
        """What a model is built by."""
        return BertConfig(vocab=shape.vocab, num_layers=self.layers, **self.stack(shape))

    def build(self, shape: Shape, rng: nn.Source) -> Bert:
        """A new model."""
        return Bert(self.config(shape), rng)

    def reader(self, shape: Shape, rng: nn.Source) -> BertReader:
        """What reads a text, for a classifier."""
        return BertReader(self.config(shape), rng)
