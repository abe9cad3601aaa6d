"""TransformerConfig and TrainingConfig: every choice that makes one model, or run, its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
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
    "steps": 10**9,
    "warmup": 10**9,
    "evaluate_every": 10**9,
    "threads": 1_000,
    "seed": 2**63 - 1,
}
"""Beyond these a run would use up time or memory before it could say that there is not enough."""

MODEL = ("d_model", "heads", "layers", "d_ff", "norm", "activation", "positions")
"""The settings that decide what a model's weights are: those of a run that starts from another."""

FIXED = ("task", "length", "vocab", "data", "columns", "tokens", "held_out", "from_run",
         *MODEL, "seed")  # fmt: skip
"""The settings that a run keeps for good; all others may change when it goes on."""

ONLY_FOR_PAIRS = ("columns", "tokens", "held_out")
ONLY_FOR_SYMBOLS = ("length", "vocab")


class SettingError(ValueError):
    """A setting that makes no sense. `text` has the names of settings as <name>."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(self.naming(str))

    def naming(self, call: Callable[[str], str]) -> str:
        """The message, each setting named as `call` says: the command calls heads --heads."""
        return re.sub(r"<([a-z_]+)>", lambda found: call(found[1]), self.text)

    @property
    def settings(self) -> list[str]:
        """The settings that the message is about."""
        return re.findall(r"<([a-z_]+)>", self.text)


def option(name: str) -> str:
    """What the command calls a setting.

    >>> option("batch_size")
    '--batch-size'
    """
    return {"task": "TASK", "from_run": "--from"}.get(name, f"--{name.replace('_', '-')}")


def setting(default: Any, help: str) -> Any:
    """A field of TrainingConfig, with the line that the command's --help shows for it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides how a run goes: the same configuration gives the same bits.

    `task` is "copy", "reverse" or "sort", over sequences of 1 to `length` symbols out of `vocab`;
    or "pairs", over the file `data`. SettingError for values that make no sense.
    """

    task: str = setting("reverse", "copy, reverse or sort; or pairs, from a file")
    length: int = setting(10, "longest sequence; lengths vary from 1 to this")
    vocab: int = setting(10, "number of symbols: 0, 1, 2, …")
    data: str = setting(
        "", "file of source<TAB>target lines, or a .csv, to learn instead of a task"
    )
    columns: str = setting("", "which two columns of --data are source and target, such as 1,2")
    tokens: TokenKind = setting("word", "what a token is in --data")
    held_out: float = setting(0.1, "share of --data kept for testing")
    from_run: str = setting("", "run folder whose weights to begin with, for new data")
    steps: int = setting(2500, "training steps at most")
    patience: int = setting(2, "perfect evaluations in a row that end the run; 0: none does")
    batch_size: int = setting(64, "sequences per step, and per batch of an evaluation")
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
        for name in ("batch_size", "steps", "warmup", "evaluate_every", "threads",
                     "d_model", "heads", "layers", "d_ff"):  # fmt: skip
            if getattr(self, name) < 1:
                raise SettingError(f"<{name}> must be at least 1, not {getattr(self, name)}")
        for name in ("patience", "seed"):
            if getattr(self, name) < 0:
                raise SettingError(f"<{name}> must be at least 0, not {getattr(self, name)}")
        if self.task != "pairs":
            for name in ONLY_FOR_SYMBOLS:
                if getattr(self, name) < 2:
                    raise SettingError(f"<{name}> must be at least 2, not {getattr(self, name)}")
        for name, largest in LARGEST.items():
            if getattr(self, name) > largest:
                raise SettingError(f"<{name}> must be at most {largest}, not {getattr(self, name)}")
        if not 0 < self.learning_rate < inf:
            raise SettingError(
                f"<learning_rate> must be a number above 0, not {self.learning_rate}"
            )
        if not self.clip > 0:
            raise SettingError(f"<clip> must be above 0, not {self.clip}")
        if not 0 <= self.weight_decay < inf:
            raise SettingError(f"<weight_decay> must be at least 0, not {self.weight_decay}")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(
                    f"<{name}> is a share, at least 0 and below 1, not {getattr(self, name)}"
                )
        if not 0 < self.held_out < 1:
            raise SettingError(f"<held_out> is a share between 0 and 1, not {self.held_out}")
        if self.d_model % self.heads:
            raise SettingError(
                f"<heads> must divide <d_model> {self.d_model}, not {self.heads}; "
                f"divisors are {divisors(self.d_model)}"
            )
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise SettingError(f"sinusoidal <positions> need an even <d_model>, not {self.d_model}")
        parse_columns(self.columns)
        if (self.task == "pairs") != bool(self.data):
            need = "needs <data>, a file of pairs" if self.task == "pairs" else "takes no <data>"
            raise SettingError(f"task {self.task} {need}")

    @classmethod
    def read(cls, settings: Mapping[str, Any], where: str = "") -> TrainingConfig:
        """A configuration from settings by name. SettingError names what `where` has wrong."""
        prefix = f"{where}: " if where else ""
        kinds = get_type_hints(cls)
        for name, value in settings.items():
            if name not in kinds:
                raise SettingError(f"{prefix}no setting {name!r}; there are {', '.join(kinds)}")
            kind = kinds[name]
            choices = get_args(kind)
            if choices and value not in choices:
                raise SettingError(
                    f"{prefix}<{name}> is one of {', '.join(choices)}, not {value!r}"
                )
            wanted = (int, float) if kind is float else str if choices else kind
            if not isinstance(value, wanted) or isinstance(value, bool):
                noun = {int: "a whole number", float: "a number"}.get(kind, "a text")
                raise SettingError(f"{prefix}<{name}> must be {noun}, not {value!r}")
        try:
            return cls(**settings)
        except SettingError as error:
            raise SettingError(f"{prefix}{error.text}") from error

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


def parse_columns(text: str) -> tuple[int, int] | None:
    """The numbers of the source's column and of the target's, from 1; None where none are named.

    >>> parse_columns("3,1")
    (3, 1)
    """
    if not text:
        return None
    found = re.fullmatch(r"([1-9]\d{0,5}),\s*([1-9]\d{0,5})", text.strip(), re.ASCII)
    if not found:
        raise SettingError(f"<columns> names two columns, as in 1,2, not {text!r}")
    return int(found[1]), int(found[2])


def require_used(chosen: Mapping[str, Any], config: TrainingConfig) -> None:
    """SettingError for a setting that was chosen and that the task would ignore."""
    for name in ONLY_FOR_PAIRS if config.task != "pairs" else ():
        if name in chosen and chosen[name] != default_of(name):
            raise SettingError(f"<{name}> is about <data>, and {config.task} has none")


def unused_settings(config: TrainingConfig) -> list[str]:
    """The settings that differ from their defaults, and that data makes meaningless."""
    names = ONLY_FOR_SYMBOLS if config.task == "pairs" else ()
    return [name for name in names if getattr(config, name) != default_of(name)]


def default_of(name: str) -> Any:
    """What a setting is where nobody chooses."""
    return next(field.default for field in fields(TrainingConfig) if field.name == name)
