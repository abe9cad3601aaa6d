"""Transformer: the encoder-decoder of "Attention Is All You Need" (Vaswani et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from minigrad import nn
from minigrad.tensor import Array, Tensor
from minitransformer.batch import Shape
from minitransformer.models.model import AttentionSettings, model
from minitransformer.parts.attention import Cache, causal_mask, padding_mask
from minitransformer.parts.blocks import Decoder, Encoder
from minitransformer.parts.config import Activation, Norm, Positions, StackConfig
from minitransformer.parts.embedding import TokenEmbedding
from minitransformer.settings import SettingError, setting


@dataclass(frozen=True)
class TransformerConfig(StackConfig):
    """The shape of an encoder-decoder. ValueError says which field does not fit, and why.

    The defaults are the base model of the paper, table 3. `tie_embeddings` shares one matrix
    between both embeddings and the final projection (section 3.4).
    """

    source_vocab: int
    target_vocab: int
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    tie_embeddings: bool = False

    def __post_init__(self) -> None:
        self.require_sizes(
            "source_vocab", "target_vocab", "num_encoder_layers", "num_decoder_layers"
        )
        super().__post_init__()
        if self.tie_embeddings and self.source_vocab != self.target_vocab:
            raise ValueError(
                "tie_embeddings needs one vocabulary for source and target, not "
                f"{self.source_vocab} and {self.target_vocab} tokens"
            )

    @classmethod
    def base(cls, vocab: int = 37_000, **changes: Any) -> TransformerConfig:
        """The paper's base model over a shared vocabulary."""
        return cls(
            **{"source_vocab": vocab, "target_vocab": vocab, "tie_embeddings": True, **changes}
        )

    @classmethod
    def big(cls, vocab: int = 37_000, **changes: Any) -> TransformerConfig:
        """The paper's big model over a shared vocabulary."""
        wide = {"d_model": 1024, "num_heads": 16, "d_ff": 4096, "dropout": 0.3}
        return cls.base(vocab, **{**wide, **changes})


class Transformer(nn.Module):
    """Source tokens and the target tokens so far, to the next target token's logits.

    rng: a NumPy generator or a seed for the initial weights and for dropout.

    >>> model = Transformer(TransformerConfig(14, 14, d_model=8, num_heads=2, d_ff=16), rng=0)
    >>> model(np.array([[5, 6, 7]]), np.array([[1, 7]])).shape
    (1, 2, 14)
    """

    token_rows: ClassVar = {
        "source_embedding.tokens.weight": "source",
        "target_embedding.tokens.weight": "target",
        "projection.weight": "target",
        "projection.bias": "target",
    }

    def __init__(self, config: TransformerConfig, rng: nn.Source | nn.Seed = None) -> None:
        self.config = config
        rng = nn.source(rng)
        self.source_embedding = TokenEmbedding(config.source_vocab, config, rng)
        self.target_embedding = TokenEmbedding(config.target_vocab, config, rng)
        self.encoder = Encoder(config, config.num_encoder_layers, rng)
        self.decoder = Decoder(config, config.num_decoder_layers, rng)
        self.projection = nn.Linear(config.d_model, config.target_vocab, rng=rng)
        if config.tie_embeddings:
            shared = self.source_embedding.tokens.weight
            self.target_embedding.tokens.weight = self.projection.weight = shared

    def forward(self, source: Any, target: Any) -> Tensor:
        """(B, S) and (B, T) token numbers → (B, T, V) logits, all target positions at once.

        Padding is masked in both; a target position sees itself and earlier ones.
        """
        source, target = np.asarray(source), np.asarray(target)
        return self.decode(target, self.encode(source), self.mask(source))

    def encode(self, source: Array) -> Tensor:
        """(B, S) token numbers → (B, S, D), the memory."""
        return self.encoder(self.source_embedding(source), self.mask(source))

    def decode(self, target: Array, memory: Tensor, memory_mask: Array) -> Tensor:
        """(B, T) token numbers and the memory (B, S, D) → (B, T, V) logits."""
        mask = causal_mask(target.shape[1]) & self.mask(target)
        x = self.decoder(self.target_embedding(target), memory, mask, memory_mask)
        return self.projection(x)

    @property
    def last_stack(self) -> Decoder:
        """The layers that end in the vocabulary."""
        return self.decoder

    def read_out(self, x: Any) -> Tensor:
        """(B, T, D), as any layer of the last stack leaves it → (B, T, V) logits."""
        return self.projection(self.decoder.finish(x))

    def mask(self, tokens: Array) -> Array:
        """(B, 1, 1, S): which of these tokens are no padding."""
        return padding_mask(tokens, self.config.pad)

    @property
    def max_length(self) -> int:
        """The number of positions of source and target."""
        return self.config.max_length

    def begin(self, source: Array) -> TransformerWriting:
        """The writing of an answer to each source, (B, S): see `decoding`."""
        return TransformerWriting(self, source)

    @staticmethod
    def sides(path: str) -> tuple[str, str]:
        """Whose tokens look in the attention at this path, and at whose they look."""
        if path.startswith("encoder"):
            return "source", "source"
        return "target", "source" if path.endswith("cross_attention") else "target"


class TransformerWriting:
    """Answers being written: keys and values of all earlier places are kept."""

    def __init__(self, model: Transformer, source: Array) -> None:
        self.model, self.position = model, 0
        self.memory: Any = model.encode(source)
        self.mask = model.mask(source)
        self.caches = [(Cache(fixed=False), Cache(fixed=True)) for _ in model.decoder.layers]

    def next(self, tokens: Array) -> Array:
        """Read the next token of each row, (B,) → (B, V) logits of the one after it."""
        model = self.model
        x = model.target_embedding(tokens[:, None], start=self.position)
        x = model.decoder(x, self.memory, None, self.mask, self.caches)
        self.position += 1
        logits: Array = model.projection(x).data[:, 0]
        return logits

    def select(self, rows: Array) -> None:
        """Go on with these rows in the place of the present ones."""
        self.memory, self.mask = self.memory[rows], self.mask[rows]
        for cache in chain.from_iterable(self.caches):
            cache.select(rows)


@dataclass(frozen=True)
class StackSettings(AttentionSettings):
    """What a stack of layers has to be told that may be the paper's, or as others varied it."""

    norm: Norm = setting("pre", "layer norm before each sublayer, or after (the paper)")
    activation: Activation = setting("relu", "activation of the feed-forward layers")
    positions: Positions = setting("sinusoidal", "what tells one place from another, if anything")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise SettingError(f"sinusoidal <positions> need an even <d_model>, not {self.d_model}")
        if self.positions == "rotary" and self.d_model // self.heads % 2:
            raise SettingError(
                f"rotary <positions> need <heads> of even width, not {self.d_model // self.heads}"
            )

    def stack(self, shape: Shape) -> dict[str, Any]:
        """The fields of a StackConfig."""
        kinds = {"norm": self.norm, "activation": self.activation, "positions": self.positions}
        return self.sizes(shape) | kinds


@model("transformer", answers="pairs")
@dataclass(frozen=True)
class TransformerSettings(StackSettings):
    """Attention alone, encoder and decoder: Vaswani et al., 2017."""

    def build(self, shape: Shape, rng: nn.Source) -> Transformer:
        """A new model."""
        config = TransformerConfig(
            shape.vocab,
            shape.classes,
            num_encoder_layers=self.layers,
            num_decoder_layers=self.layers,
            **self.stack(shape),
        )
        return Transformer(config, rng)

    def reader(self, shape: Shape, rng: nn.Source) -> TransformerReader:
        """What reads a text, for a classifier."""
        return TransformerReader(StackConfig(**self.stack(shape)), shape.vocab, self.layers, rng)

    def floats(self, shape: Shape) -> int:
        """The larger arrays that are recorded for the longest example, each once."""
        source, target, wide = shape.source, shape.target, self.d_model
        encoder = source * (6 * wide + 2 * self.d_ff) + self.heads * source**2
        decoder = target * (10 * wide + 2 * self.d_ff) + self.heads * target * (target + source)
        return self.layers * (encoder + decoder) + 2 * target * shape.classes


class TransformerReader(nn.Module):
    """A text as a vector for each token, (B, S) → (B, S, D): the encoder by itself."""

    def __init__(self, config: StackConfig, vocab: int, num_layers: int, rng: nn.Source) -> None:
        self.embedding = TokenEmbedding(vocab, config, rng)
        self.encoder = Encoder(config, num_layers, rng)
        self.width = config.d_model
        self._pad = config.pad

    def forward(self, source: Array) -> Tensor:
        """(B, S) token numbers → (B, S, D)."""
        return self.encoder(self.embedding(source), padding_mask(source, self._pad))
