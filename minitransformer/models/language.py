"""Language models: a decoder alone, which writes one token after the other. GPT, and Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minigrad import nn
from minigrad.ops.neural import linear
from minigrad.tensor import Array, Tensor
from minitransformer.batch import Shape
from minitransformer.models.model import AttentionSettings, model
from minitransformer.parts.attention import Cache, causal_mask
from minitransformer.parts.blocks import Encoder
from minitransformer.parts.config import Activation, Norm, Positions, StackConfig
from minitransformer.parts.embedding import TokenEmbedding
from minitransformer.settings import SettingError, divisors, setting


@dataclass(frozen=True, kw_only=True)
class LanguageConfig(StackConfig):
    """The shape of a language model. ValueError says which field does not fit, and why.

    The defaults are GPT-2's smallest: Radford et al., "Language Models are Unsupervised Multitask
    Learners" (2019), section 2.3. `tied` makes the token vectors the rows of the projection.
    """

    vocab: int = 50_257
    num_layers: int = 12
    tied: bool = True
    d_model: int = 768
    num_heads: int = 12
    d_ff: int = 3072
    max_length: int = 1024
    norm: Norm = "pre"
    activation: Activation = "gelu-tanh"
    positions: Positions = "learned"
    scaled_embedding: bool = False

    def __post_init__(self) -> None:
        self.require_sizes("vocab", "num_layers")
        super().__post_init__()

    @classmethod
    def gpt2(cls, **changes: Any) -> LanguageConfig:
        """The smallest GPT-2, of 124 million parameters."""
        return cls(**changes)

    @classmethod
    def gpt3(cls, **changes: Any) -> LanguageConfig:
        """GPT-3: Brown et al., "Language Models are Few-Shot Learners" (2020), table 2.1."""
        sizes = {"num_layers": 96, "d_model": 12_288, "num_heads": 96, "d_ff": 49_152}
        return cls(**{**sizes, "max_length": 2048, **changes})

    @classmethod
    def llama(cls, **changes: Any) -> LanguageConfig:
        """What Llama changed, in the sizes of SmolLM2-135M: Touvron et al. (2023), section 2.2."""
        sizes = {"vocab": 49_152, "num_layers": 30, "d_model": 576, "num_heads": 9, "d_ff": 1536}
        kind = {"scaling": "rms", "positions": "rotary", "activation": "swiglu", "bias": False}
        more = {"num_kv_heads": 3, "rotary_base": 100_000.0, "max_length": 8192}
        return cls(**{**sizes, **kind, **more, **changes})


class LanguageModel(nn.Module):
    """Tokens to the logits of the token after each: a decoder that attends to nothing but itself.

    Without a memory to look at, its layers are an encoder's under a causal mask. rng: a NumPy
    generator or a seed for the initial weights and for dropout.

    >>> config = LanguageConfig(vocab=14, num_layers=1, d_model=8, num_heads=2, d_ff=16)
    >>> LanguageModel(config, rng=0)(np.array([[5, 6, 7]])).shape
    (1, 3, 14)
    """

    token_rows: ClassVar = {"embedding.tokens.weight": "source", "projection.weight": "source"}
    max_length: int | None = None  # where its places are used up, it reads on from its latter half
    goes_on: ClassVar = True
    """What it writes is no answer to a source: it comes after the source."""

    def __init__(self, config: LanguageConfig, rng: nn.Source | nn.Seed = None) -> None:
        self.config = config
        rng = nn.source(rng)
        self.embedding = TokenEmbedding(config.vocab, config, rng)
        self.decoder = Encoder(config, config.num_layers, rng)
        self.projection = None
        if not config.tied:
            self.projection = nn.Linear(config.d_model, config.vocab, bias=False, rng=rng)

    def forward(self, source: Any, written: Any | None = None) -> Tensor:
        """(B, T) token numbers → (B, T, V) logits; what has been `written`, (B, W), comes after.

        A position sees itself and earlier ones. Padding, at the end, is seen by none before it.
        """
        source = np.asarray(source)
        if written is not None:
            source = np.concatenate([source, written], axis=1)
        return self.project(self.decoder(self.embedding(source), causal_mask(source.shape[1])))

    def project(self, x: Any) -> Tensor:
        """(B, T, D) → (B, T, V) logits: by the rows of the token vectors, where they are tied."""
        if self.projection is None:
            return linear(x, self.embedding.tokens.weight, None)
        return self.projection(x)

    @property
    def last_stack(self) -> Encoder:
        """The layers that end in the vocabulary."""
        return self.decoder

    def read_out(self, x: Any) -> Tensor:
        """(B, T, D), as any layer of the last stack leaves it → (B, T, V) logits."""
        return self.project(self.decoder.finish(x))

    def begin(self, source: Array) -> LanguageWriting:
        """The writing of what comes after each source, (B, S): see `decoding`."""
        return LanguageWriting(self, source)

    @staticmethod
    def sides(path: str) -> tuple[str, str]:
        """Whose tokens look in the attention at this path, and at whose they look."""
        return "text", "text"


class LanguageWriting:
    """Texts that go on: keys and values of all earlier places are kept.

    Where the model has no more places, it goes on from the latter half of what it has read.
    """

    def __init__(self, model: LanguageModel, source: Array) -> None:
        self.model = model
        self.tokens: Array = np.asarray(source)
        self.caches: list[Cache] = []
        self.read(self.tokens)

    def next(self, tokens: Array) -> Array:
        """Read the next token of each row, (B,) → (B, V) logits of the one after it."""
        self.tokens = np.concatenate([self.tokens, tokens[:, None]], axis=1)
        x = self.read(tokens[:, None])
        logits: Array = self.model.project(x[:, -1:]).data[:, 0]
        return logits

    def read(self, tokens: Array) -> Any:
        """(B, T) more tokens → (B, T, D), or, where places run out, of a part of all so far."""
        most = self.model.config.max_length
        start = self.caches[0].length if self.caches else 0
        if not self.caches or start + tokens.shape[1] > most:
            self.caches = [Cache(fixed=False) for _ in self.model.decoder.layers]
            if self.tokens.shape[1] > most:
                self.tokens = self.tokens[:, -(most // 2 + 1) :]
            tokens, start = self.tokens, 0
        if not tokens.shape[1]:
            return None
        mask = causal_mask(tokens.shape[1]) if tokens.shape[1] > 1 else None
        return self.model.decoder(self.model.embedding(tokens, start), mask, self.caches)

    def select(self, rows: Array) -> None:
        """Go on with these rows in the place of the present ones."""
        self.tokens = self.tokens[rows]
        for cache in self.caches:
            cache.select(rows)


@dataclass(frozen=True)
class LanguageSettings(AttentionSettings):
    """What all language models have to be told."""

    def sizes(self, shape: Shape) -> dict[str, Any]:
        """The fields of a LanguageConfig that are sizes, and the number of the padding token."""
        return {"vocab": shape.vocab, "num_layers": self.layers, **super().sizes(shape)}


@model("gpt", answers="text", d_model=128, d_ff=512)
@dataclass(frozen=True)
class GPTSettings(LanguageSettings):
    """A decoder alone, with learned positions: Radford et al., 2018 and 2019."""

    def build(self, shape: Shape, rng: nn.Source) -> LanguageModel:
        """A new model."""
        return LanguageModel(LanguageConfig.gpt2(**self.sizes(shape)), rng)


@model("llama", answers="text", d_model=128, d_ff=344)
@dataclass(frozen=True)
class LlamaSettings(LanguageSettings):
    """A later decoder: RMS norm, rotary positions, SwiGLU, grouped heads: Touvron et al., 2023."""

    kv_heads: int = setting(2, "heads of keys and values, each for a group of heads", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.kv_heads:
            raise SettingError(
                f"<kv_heads> must divide <heads> {self.heads}, not {self.kv_heads}; "
                f"divisors are {divisors(self.heads)}"
            )
        if self.d_model // self.heads % 2:
            raise SettingError(
                f"rotary positions need heads of even width, not {self.d_model // self.heads}; "
                "choose another <d_model> or <heads>"
            )

    def build(self, shape: Shape, rng: nn.Source) -> LanguageModel:
        """A new model."""
        kind = {"num_kv_heads": self.kv_heads, "rotary_base": 10_000.0}
        return LanguageModel(LanguageConfig.llama(**self.sizes(shape), **kind), rng)
