"""TransformerConfig and TrainingConfig: every choice that makes one model, or run, its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from minitransformer.data import TokenKind

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
        return cls(
            **{"source_vocab": vocab, "target_vocab": vocab, "tie_embeddings": True, **changes}
        )

    @classmethod
    def big(cls, vocab: int = 37_000, **changes: Any) -> TransformerConfig:
        """The paper's big model over a shared vocabulary."""
        wide = {"d_model": 1024, "num_heads": 16, "d_ff": 4096, "dropout": 0.3}
        return cls.base(vocab, **{**wide, **changes})


def divisors(n: int) -> str:
    """The divisors of n, as a list to read."""
    return ", ".join(str(i) for i in range(1, n + 1) if n % i == 0)


LARGEST = {
    "length": 2_000,
    "vocab": 1_000_000,
    "batch_size": 10_000,
    "d_model": 20_000,
    "layers": 1_000,
    "d_ff": 100_000,
}
"""Beyond these a run would use up time or memory before it could say that there is not enough."""


def setting(default: Any, help: str) -> Any:
    """A field of TrainingConfig, with the line that the command's --help shows for it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides how a run goes: the same configuration gives the same bits.

    `task` is "copy", "reverse" or "sort", over sequences of 1 to `length` symbols out of `vocab`;
    or "pairs", over the file `data`. ValueError for values that make no sense.
    """

    task: str = setting("reverse", "copy, reverse or sort; or pairs, from a file")
    length: int = setting(10, "longest sequence; lengths vary from 1 to this")
    vocab: int = setting(10, "number of symbols: 0, 1, 2, …")
    data: str = setting("", "file of source<TAB>target lines to learn instead of a task")
    tokens: TokenKind = setting("word", "what a token is in --data")
    held_out: float = setting(0.1, "share of --data kept for testing")
    steps: int = setting(2500, "training steps at most")
    batch_size: int = setting(64, "sequences per step")
    d_model: int = setting(64, "width of the model")
    heads: int = setting(4, "attention heads per layer")
    layers: int = setting(2, "layers of the encoder, and of the decoder")
    d_ff: int = setting(256, "width of the feed-forward layers")
    norm: Norm = setting("pre", "layer norm before each sublayer, or after (the paper)")
    activation: Activation = setting("relu", "activation of the feed-forward layers")
    positions: Positions = setting("sinusoidal", "kind of position vectors")
    dropout: float = setting(0.0, "share of activations dropped in training")
    learning_rate: float = setting(2e-3, "highest learning rate")
    warmup: int = setting(100, "steps in which the learning rate rises to it")
    weight_decay: float = setting(0.3, "how fast unused weights shrink (AdamW)")
    clip: float = setting(1.0, "largest norm of the gradient")
    label_smoothing: float = setting(0.0, "probability spread evenly over all tokens")
    evaluate_every: int = setting(100, "steps between evaluations")
    threads: int = setting(1, "threads for matrix products; small models are fastest with one")
    seed: int = setting(0, "seed of weights, batches and held-out sequences")

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "warmup", "evaluate_every", "layers", "heads",
                     "threads"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, largest in LARGEST.items():
            if getattr(self, name) > largest:
                raise ValueError(f"{name} must be at most {largest}, not {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is a share below 1, not {self.label_smoothing}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out is a share between 0 and 1, not {self.held_out}")
        for name in ("weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if (self.task == "pairs") != bool(self.data):
            need = "needs data, a file of pairs" if self.task == "pairs" else "takes no data"
            raise ValueError(f"task {self.task} {need}")

    @classmethod
    def read(cls, settings: Mapping[str, Any], where: str) -> TrainingConfig:
        """A configuration from settings by name. ValueError names what `where` has wrong."""
        kinds = get_type_hints(cls)
        for name, value in settings.items():
            if name not in kinds:
                raise ValueError(f"{where}: no setting {name!r}; there are {', '.join(kinds)}")
            kind = kinds[name]
            choices = get_args(kind)
            if choices and value not in choices:
                raise ValueError(f"{where}: {name} is one of {', '.join(choices)}, not {value!r}")
            wanted = (int, float) if kind is float else str if choices else kind
            if not isinstance(value, wanted) or isinstance(value, bool):
                noun = {int: "a whole number", float: "a number"}.get(kind, "a text")
                raise ValueError(f"{where}: {name} must be {noun}, not {value!r}")
        try:
            return cls(**settings)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def model(self, source_vocab: int, target_vocab: int, max_length: int) -> TransformerConfig:
        """The model of this run, for vocabularies and lengths that come from the task."""
        return TransformerConfig(
            source_vocab=source_vocab,
            target_vocab=target_vocab,
            d_model=self.d_model,
            num_heads=self.heads,
            num_encoder_layers=self.layers,
            num_decoder_layers=self.layers,
            d_ff=self.d_ff,
            dropout=self.dropout,
            max_length=max_length,
            norm=self.norm,
            activation=self.activation,
            positions=self.positions,
        )
