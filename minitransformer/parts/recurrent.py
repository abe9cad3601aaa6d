"""Recurrent networks: RNN, GRU and LSTM, of several layers and in both directions.

A network's state is one array, (S, L, B, H), whatever its kind: S is 1, or 2 for the LSTM's states
and cells; L counts the layers, each direction of one for itself. So a decoder takes an encoder's
final state as it is, and `state[:, :, rows]` are those rows of the batch. A step of decoding is a
sequence of one: `network(x, state)` with x of (B, 1, D).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import nn
from minigrad.op import Op
from minigrad.ops import recurrent
from minigrad.tensor import Array


class Direction(nn.Module):
    """One layer's weights for one direction: a block of H rows for each gate, as in PyTorch."""

    def __init__(
        self, input_size: int, hidden_size: int, gates: int, reverse: bool, rng: nn.Source
    ) -> None:
        bound, rows = hidden_size**-0.5, gates * hidden_size
        self.input_weight = nn.parameter(rng.uniform(-bound, bound, (rows, input_size)))
        self.state_weight = nn.parameter(rng.uniform(-bound, bound, (rows, hidden_size)))
        self.input_bias = nn.parameter(rng.uniform(-bound, bound, (rows,)))
        self.state_bias = nn.parameter(rng.uniform(-bound, bound, (rows,)))
        self._reverse = reverse

    def forward(self, op: Op, x: Any, state: Any, mask: Array | None) -> tuple[Any, Any]:
        """(B, T, D) and (S, B, H) → the states (B, T, H) and the final one, (S, B, H)."""
        weights = self.input_weight, self.state_weight, self.input_bias, self.state_bias
        y = op(x, *state, *weights, mask=mask, reverse=self._reverse)
        last = 0 if self._reverse else -1
        if y.ndim == 3:
            return y, y[None, :, last]
        return y[0], y[:, :, last]

    def describe(self) -> str:
        return f"{self.input_weight.shape[1]} → {self.state_weight.shape[1]}"


class Recurrent(nn.Module):
    """What RNN, GRU and LSTM share: layers of one or two directions, dropout between the layers.

    Weights and biases are drawn uniformly from ±1/√H, as in PyTorch.
    """

    op: Op
    gates: int
    states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        rng: nn.Source | nn.Seed = None,
    ) -> None:
        nn.require_sizes(
            self, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        rng = nn.source(rng)
        names = ["forth", "back"] if bidirectional else ["forth"]
        self.layers = []
        for i in range(num_layers):
            width = len(names) * hidden_size if i else input_size
            self.layers.append(
                {
                    name: Direction(width, hidden_size, self.gates, name == "back", rng)
                    for name in names
                }
            )
        self.dropout = nn.Dropout(dropout, rng)
        self._hidden_size = hidden_size

    def forward(self, x: Any, state: Any = None, mask: Array | None = None) -> tuple[Any, Any]:
        """(B, T, D) → the last layer's states, (B, T, H) or (B, T, 2H), and the final (S, L, B, H).

        state: where to begin, (S, L, B, H); zeros if it is None. mask: boolean, (B, T), True = a
        token. Padding moves no state, so the final one is that of the last token. ValueError for
        shapes that do not fit, and for no steps.
        """
        directions = sum(map(len, self.layers))
        shape = (self.states, directions, len(x), self._hidden_size)
        if state is None:
            state = np.zeros(shape, self.layers[0]["forth"].input_weight.dtype)
        if np.shape(state) != shape:
            raise ValueError(
                f"{type(self).__name__}: the state is of shape {shape}, not {np.shape(state)}"
            )
        final: list[Any] = []
        for i, layer in enumerate(self.layers):
            x = self.dropout(x) if i else x
            found = []
            for direction in layer.values():
                y, last = direction(self.op, x, state[:, len(final)], mask)
                found.append(y)
                final.append(last)
            x = np.concatenate(found, axis=-1) if len(found) > 1 else found[0]
        return x, np.stack(final, axis=1)


class RNN(Recurrent):
    """The plain recurrent network, h ← tanh(W x + U h + b): Elman (1990)."""

    op, gates = recurrent.rnn, 1


class GRU(Recurrent):
    """Gated recurrent units, which mix the old state with a new one: Cho et al. (2014)."""

    op, gates = recurrent.gru, 3


class LSTM(Recurrent):
    """Long short-term memory, whose cells are added to: Hochreiter and Schmidhuber (1997)."""

    op, gates, states = recurrent.lstm, 4, 2
