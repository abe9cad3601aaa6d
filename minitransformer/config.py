"""TransformerConfig: every choice that makes one transformer different from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Norm = Literal["post", "pre"]
Activation = Literal["relu", "gelu"]
Positions = Literal["sinusoidal", "learned"]


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of an encoder-decoder. ValueError says which field does not fit, and why.

    The defaults are the base model of "Attention Is All You Need", table 3. `norm` is "post" (layer
    norm after each residual, the paper) or "pre" (before each sublayer, with one more at the end of
    each stack). `tie_embeddings` shares one matrix between both embeddings and the final
    projection (section 3.4). `max_length` is the number of positions of source and target.
    """

    source_vocab: int
    target_vocab: int
    d_model: int = 512
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    d_ff: int = 2048
    dropout: float = 0.1
    max_length: int = 512
    norm: Norm = "post"
    activation: Activation = "relu"
    positions: Positions = "sinusoidal"
    tie_embeddings: bool = False
    eps: float = 1e-5

    def __post_init__(self) -> None:
        sizes = ("source_vocab", "target_vocab", "d_model", "num_heads", "d_ff", "max_length",
                 "num_encoder_layers", "num_decoder_layers")  # fmt: skip
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
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
        if self.tie_embeddings and self.source_vocab != self.target_vocab:
            raise ValueError(
                "tie_embeddings needs one vocabulary for source and target, not "
                f"{self.source_vocab} and {self.target_vocab} tokens"
            )

    @classmethod
    def base(cls, vocab: int = 37_000, **changes: Any) -> TransformerConfig:
        """The paper's base model over a shared vocabulary."""
        return cls(**{"source_vocab": vocab, "target_vocab": vocab, "tie_embeddings": True, **changes})

    @classmethod
    def big(cls, vocab: int = 37_000, **changes: Any) -> TransformerConfig:
        """The paper's big model over a shared vocabulary."""
        wide = {"d_model": 1024, "num_heads": 16, "d_ff": 4096, "dropout": 0.3}
        return cls.base(vocab, **{**wide, **changes})


def divisors(n: int) -> str:
    """The divisors of n, as a list to read."""
    return ", ".join(str(i) for i in range(1, n + 1) if n % i == 0)
