"""StackConfig: what attention layers, and the embedding before them, have to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from minitransformer.settings import divisors

Norm = Literal["post", "pre"]
Activation = Literal["relu", "gelu"]
Positions = Literal["sinusoidal", "learned"]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The width and kind of a stack of layers. ValueError says which field does not fit, and why.

    The defaults are the base model of "Attention Is All You Need", table 3. `norm` is "post" (layer
    norm after each residual, the paper) or "pre" (before each sublayer, with one more at the end of
    each stack). `max_length` is the number of positions, `pad` the number of the padding token.
    """

    d_model: int = 512
    num_heads: int = 8
    d_ff: int = 2048
    dropout: float = 0.1
    max_length: int = 512
    norm: Norm = "post"
    activation: Activation = "relu"
    positions: Positions = "sinusoidal"
    eps: float = 1e-5
    pad: int = 0

    def __post_init__(self) -> None:
        self.require_sizes("d_model", "num_heads", "d_ff", "max_length")
        if self.d_model % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide d_model {self.d_model}; "
                f"divisors are {divisors(self.d_model)}"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions need an even d_model, not {self.d_model}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, not {self.dropout}")
        for name, choices in (("norm", Norm), ("activation", Activation), ("positions", Positions)):
            if getattr(self, name) not in get_args(choices):
                given, known = getattr(self, name), ", ".join(get_args(choices))
                raise ValueError(f"{name} is one of {known}, not {given!r}")

    def require_sizes(self, *names: str) -> None:
        """ValueError for a size below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
