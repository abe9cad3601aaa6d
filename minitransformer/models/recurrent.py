"""What came before the transformer: recurrent encoder-decoders, without attention and with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minigrad import nn
from minigrad.tensor import Array, Tensor
from minitransformer.batch import Shape
from minitransformer.models.model import NetworkSettings, model
from minitransformer.parts.attention import AdditiveAttention
from minitransformer.parts.recurrent import GRU, LSTM, RNN, Recurrent


@dataclass(frozen=True)
class RecurrentSettings(NetworkSettings):
    """What all recurrent models have to be told."""

    network: ClassVar[type[Recurrent]] = LSTM

    def stack(self, width: int, rng: nn.Source, bidirectional: bool = False) -> Recurrent:
        """The layers of an encoder or of a decoder, for inputs of a width."""
        return self.network(width, self.d_model, self.layers, bidirectional, self.dropout, rng)

    def build(self, shape: Shape, rng: nn.Source) -> nn.Module:
        """A new model."""
        return SequenceToSequence(shape, self, nn.source(rng))

    def reader(self, shape: Shape, rng: nn.Source) -> RecurrentReader:
        """What reads a text in both directions, for a classifier."""
        return RecurrentReader(shape, self, rng)

    def floats(self, shape: Shape) -> int:
        """The larger arrays that are recorded for the longest example, each once."""
        layers = 2 * self.layers * shape.length * (self.network.gates + 1) * self.d_model
        return layers + 2 * shape.length * shape.classes


@model("rnn", answers="pairs", layers=1, d_model=128, learning_rate=1e-3)
@dataclass(frozen=True)
class RNNSettings(RecurrentSettings):
    """Plain recurrent encoder and decoder: Elman, 1990."""

    network = RNN


@model("gru", answers="pairs", layers=1, d_model=128, learning_rate=3e-3)
@dataclass(frozen=True)
class GRUSettings(RecurrentSettings):
    """Gated recurrent encoder and decoder: Cho et al., 2014."""

    network = GRU


@model("lstm", answers="pairs", layers=1, d_model=128, learning_rate=3e-3)
@dataclass(frozen=True)
class LSTMSettings(RecurrentSettings):
    """Long short-term memory, encoder and decoder: Sutskever et al., 2014."""


@model("lstm-attention", answers="pairs", layers=1, learning_rate=3e-3)
@dataclass(frozen=True)
class LSTMAttentionSettings(RecurrentSettings):
    """An LSTM that attends to one reading both ways: Bahdanau et al., 2015."""

    def build(self, shape: Shape, rng: nn.Source) -> nn.Module:
        """A new model."""
        return AttentiveSequenceToSequence(shape, self, nn.source(rng))


TOKEN_ROWS = {
    "source_embedding.weight": "source",
    "target_embedding.weight": "target",
    "projection.weight": "target",
    "projection.bias": "target",
}


class SequenceToSequence(nn.Module):
    """The decoder begins with the state in which the encoder ends: all that it has of the source.

    Sutskever, Vinyals and Le, "Sequence to Sequence Learning with Neural Networks" (2014).
    """

    token_rows = TOKEN_ROWS
    max_length: int | None = None
    """There is no limit: a state has no positions."""

    def __init__(self, shape: Shape, settings: RecurrentSettings, rng: nn.Source) -> None:
        width = settings.d_model
        self.source_embedding = nn.Embedding(shape.vocab, width, rng=rng)
        self.target_embedding = nn.Embedding(shape.classes, width, rng=rng)
        self.dropout = nn.Dropout(settings.dropout, rng)
        self.encoder = settings.stack(width, rng)
        self.decoder = settings.stack(width, rng)
        self.projection = nn.Linear(width, shape.classes, rng=rng)
        self._pad = shape.pad

    def forward(self, source: Any, target: Any) -> Tensor:
        """(B, S) and (B, T) token numbers → (B, T, V) logits, all target positions at once."""
        states, _ = self.decode(target, self.encode(source))
        return self.projection(states)

    def encode(self, source: Any) -> Any:
        """(B, S) token numbers → the state behind the last token."""
        source = np.asarray(source)
        vectors = self.dropout(self.source_embedding(source))
        return self.encoder(vectors, mask=source != self._pad)[1]

    def decode(self, target: Any, state: Any) -> tuple[Any, Any]:
        """(B, T) token numbers and the state before → (B, T, D) states and the last of them."""
        return self.decoder(self.dropout(self.target_embedding(target)), state)

    def begin(self, source: Array) -> RecurrentWriting:
        """The writing of an answer to each source, (B, S): see `decoding`."""
        return RecurrentWriting(self, source)


class RecurrentWriting:
    """Answers being written: all that is kept of them, and of the source, is a state."""

    def __init__(self, model: SequenceToSequence, source: Array) -> None:
        self.model, self.state = model, model.encode(source)

    def next(self, tokens: Array) -> Array:
        """Read the next token of each row, (B,) → (B, V) logits of the one after it."""
        states, self.state = self.model.decode(tokens[:, None], self.state)
        logits: Array = self.model.projection(states).data[:, 0]
        return logits

    def select(self, rows: Array) -> None:
        """Go on with these rows in the place of the present ones."""
        self.state = self.state[:, :, rows]


class AttentiveSequenceToSequence(nn.Module):
    """At each step the decoder looks at all that the encoder has read, in both directions.

    Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
    Translate" (2015), sections 3.1 and 3.2, with LSTMs: the state before a step asks, the memory
    answers, and the step reads that beside its token.
    """

    token_rows = TOKEN_ROWS
    max_length: int | None = None

    def __init__(self, shape: Shape, settings: RecurrentSettings, rng: nn.Source) -> None:
        width, memory = settings.d_model, 2 * settings.d_model
        self.source_embedding = nn.Embedding(shape.vocab, width, rng=rng)
        self.target_embedding = nn.Embedding(shape.classes, width, rng=rng)
        self.dropout = nn.Dropout(settings.dropout, rng)
        self.encoder = settings.stack(width, rng, bidirectional=True)
        self.bridge = nn.Linear(memory, width, rng=rng)
        self.attention = AdditiveAttention(width, memory, width, rng)
        self.decoder = settings.stack(width + memory, rng)
        self.projection = nn.Linear(width + memory, shape.classes, rng=rng)
        self._pad = shape.pad

    def forward(self, source: Any, target: Any) -> Tensor:
        """(B, S) and (B, T) token numbers → (B, T, V) logits, one target position at a time."""
        memory, state = self.encode(source)
        vectors: Any = self.embed(target)
        found = []
        for place in range(vectors.shape[1]):
            states, state = self.step(vectors[:, place : place + 1], state, memory)
            found.append(states)
        return self.projection(np.concatenate(found, axis=1))

    def encode(self, source: Any) -> tuple[Memory, Any]:
        """(B, S) token numbers → what there is to attend to, and the decoder's first state."""
        source = np.asarray(source)
        mask = source != self._pad
        states, final = self.encoder(self.dropout(self.source_embedding(source)), mask=mask)
        both = np.concatenate([final[:, 0::2], final[:, 1::2]], axis=-1)  # of each layer
        memory = Memory(states, self.attention.key(states), mask[:, None])
        return memory, np.tanh(self.bridge(both))

    def embed(self, target: Any) -> Tensor:
        """(B, T) token numbers → (B, T, D)."""
        return self.dropout(self.target_embedding(target))

    def step(self, vector: Any, state: Any, memory: Memory) -> tuple[Any, Any]:
        """(B, 1, D), the next token, and the state before → (B, 1, 3D) and the state after it."""
        query = state[0, -1][:, None]  # (B, 1, D): what the last layer said
        context = self.attention(query, memory.states, memory.mask, memory.key)  # (B, 1, 2D)
        states, state = self.decoder(np.concatenate([vector, context], axis=-1), state)
        return np.concatenate([states, context], axis=-1), state

    def begin(self, source: Array) -> AttentiveWriting:
        """The writing of an answer to each source, (B, S): see `decoding`."""
        return AttentiveWriting(self, source)

    @staticmethod
    def sides(path: str) -> tuple[str, str]:
        """Whose tokens look in the attention at this path, and at whose they look."""
        return "target", "source"


@dataclass(frozen=True)
class Memory:
    """What a decoder attends to: states (B, S, 2D), their keys (B, S, A) and mask (B, 1, S)."""

    states: Any
    key: Any
    mask: Array


class AttentiveWriting:
    """Answers being written by a decoder that attends: a state, and the memory."""

    def __init__(self, model: AttentiveSequenceToSequence, source: Array) -> None:
        self.model = model
        self.memory, self.state = model.encode(source)

    def next(self, tokens: Array) -> Array:
        """Read the next token of each row, (B,) → (B, V) logits of the one after it."""
        vector = self.model.embed(tokens[:, None])
        states, self.state = self.model.step(vector, self.state, self.memory)
        logits: Array = self.model.projection(states).data[:, 0]
        return logits

    def select(self, rows: Array) -> None:
        """Go on with these rows in the place of the present ones."""
        memory = self.memory
        self.memory = Memory(memory.states[rows], memory.key[rows], memory.mask[rows])
        self.state = self.state[:, :, rows]


class RecurrentReader(nn.Module):
    """A text as a vector for each token, (B, S) → (B, S, 2D): what was read up to it, both ways."""

    def __init__(self, shape: Shape, settings: RecurrentSettings, rng: nn.Source) -> None:
        self.embedding = nn.Embedding(shape.vocab, settings.d_model, rng=rng)
        self.dropout = nn.Dropout(settings.dropout, rng)
        self.encoder = settings.stack(settings.d_model, rng, bidirectional=True)
        self.width = 2 * settings.d_model
        self._pad = shape.pad

    def forward(self, source: Array) -> Any:
        """(B, S) token numbers → (B, S, 2D)."""
        vectors = self.dropout(self.embedding(source))
        return self.encoder(vectors, mask=source != self._pad)[0]
