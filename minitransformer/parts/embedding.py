"""From token numbers to vectors: embeddings and positions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.tensor import Array, Tensor
from minitransformer.parts.config import StackConfig


@lru_cache(maxsize=16)
def sinusoidal_positions(length: int, d_model: int) -> Array:
    """(length, d_model) float64: sine and cosine waves, from wavelength 2π up to 10000 · 2π.

    "Attention Is All You Need", section 3.5. Even columns are sines, odd ones cosines.
    """
    position = np.arange(length)[:, None]
    frequency = 10_000.0 ** (-np.arange(0, d_model, 2) / d_model)
    table = np.empty((length, d_model))
    table[:, 0::2] = np.sin(position * frequency)
    table[:, 1::2] = np.cos(position * frequency)
    table.setflags(write=False)
    return table


class TokenEmbedding(nn.Module):
    """Token vectors, scaled by √D, plus position vectors: section 3.4 and 3.5 of the paper.

    Later models do not scale them, and those with rotary positions add none: attention turns its
    queries and keys instead. Without positions no place differs from another.
    """

    def __init__(self, vocab: int, config: StackConfig, rng: nn.Source) -> None:
        std = config.d_model**-0.5 if config.embedding_std is None else config.embedding_std
        self.tokens = nn.Embedding(vocab, config.d_model, std=std, rng=rng)
        self.positions = None
        if config.positions == "learned":
            self.positions = nn.Embedding(config.max_length, config.d_model, std=std, rng=rng)
        self.dropout = nn.Dropout(config.dropout, rng)
        self.max_length = config.max_length
        self._scale = config.d_model**0.5 if config.scaled_embedding else None
        self._adds_positions = config.positions in ("sinusoidal", "learned")

    def forward(self, tokens: Any, start: int = 0) -> Tensor:
        """(B, T) token numbers, the first at position `start` → (B, T, D).

        ValueError when a position lies beyond `max_length`, or a number below 0.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or not tokens.shape[1]:
            raise ValueError(f"tokens come as (B, T), with T at least 1, not {tokens.shape}")
        if tokens.min(initial=0) < 0:  # which NumPy would look up from the end
            raise ValueError(f"token numbers are at least 0, not {tokens.min()}")
        end = start + tokens.shape[1]
        if end > self.max_length:
            raise ValueError(
                f"a sequence of {end} tokens is longer than the model's {self.max_length} positions"
            )
        vectors: Any = self.tokens(tokens)
        if self._scale is not None:
            vectors = vectors * self._scale
        if self._adds_positions:
            vectors = vectors + self.position(start, end)
        return self.dropout(vectors)

    def position(self, start: int, end: int) -> Any:
        """(end − start, D): the vectors of these positions."""
        if self.positions is not None:
            return self.positions(np.arange(start, end))
        table = sinusoidal_positions(self.max_length, self.tokens.weight.shape[1])[start:end]
        return table.astype(self.tokens.weight.dtype)
