"""StackConfig: what attention layers, and the embedding before them, have to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from minitransformer.settings import divisors

Norm = Literal["post", "pre"]
Activation = Literal["relu", "gelu", "gelu-tanh", "swiglu"]
Positions = Literal["sinusoidal", "learned", "rotary", "none"]
Scaling = Literal["layer", "rms"]


@dataclass(frozen=True, kw_only=True)
class StackConfig:
    """The width and kind of a stack of layers. ValueError says which field does not fit, and why.

    The defaults are the base model of "Attention Is All You Need", table 3. `norm` is "post" (layer
    norm after each residual, the paper) or "pre" (before each sublayer, with one more at the end of
    each stack). `max_length` is the number of positions, `pad` the number of the padding token.

    What later models changed: `scaling` is "layer" norm or "rms" norm (Zhang and Sennrich 2019);
    `num_kv_heads` are fewer heads of keys and values, each shared by a group of query heads
    (Ainslie et al. 2023); "rotary" positions turn queries and keys by waves of wavelengths up to
    `rotary_base` · 2π (Su et al. 2021), and with "none" nothing tells the order but a causal mask
    (Haviv et al. 2022); "swiglu" is a feed-forward layer with a gate (Shazeer 2020); `bias` says
    whether linear layers have one; `scaled_embedding` whether token vectors are multiplied by √D,
    as in the paper; `embedding_std` how far they are spread at first, 1/√D where nobody says.
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
    scaling: Scaling = "layer"
    num_kv_heads: int | None = None
    rotary_base: float = 10_000.0
    bias: bool = True
    scaled_embedding: bool = True
    embedding_std: float | None = None

    def __post_init__(self) -> None:
        self.require_sizes("d_model", "num_heads", "num_kv_heads", "d_ff", "max_length")
        if self.d_model % self.num_heads:
            raise ValueError(
                f"num_heads {self.num_heads} does not divide d_model {self.d_model}; "
                f"divisors are {divisors(self.d_model)}"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions need an even d_model, not {self.d_model}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is a probability below 1, not {self.dropout}")
        if self.num_heads % self.kv_heads:
            raise ValueError(
                f"num_kv_heads {self.kv_heads} does not divide num_heads {self.num_heads}; "
                f"divisors are {divisors(self.num_heads)}"
            )
        if self.positions == "rotary" and self.d_model // self.num_heads % 2:
            raise ValueError(
                f"rotary positions need heads of even width, not {self.d_model // self.num_heads}"
            )
        for name, choices in (
            ("norm", Norm),
            ("activation", Activation),
            ("positions", Positions),
            ("scaling", Scaling),
        ):
            if getattr(self, name) not in get_args(choices):
                given, known = getattr(self, name), ", ".join(get_args(choices))
                raise ValueError(f"{name} is one of {known}, not {given!r}")

    @property
    def kv_heads(self) -> int:
        """The number of heads of keys and values: as many as of queries, where nobody says."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    def require_sizes(self, *names: str) -> None:
        """ValueError for a size below 1."""
        for name in names:
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
