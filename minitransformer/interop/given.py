"""What the settings of published models mean: config.json, or the metadata of a GGUF file.

A setting that would make our model compute something else is refused, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, NamedTuple

from minitransformer.interop.safetensors import WeightsError
from minitransformer.models.bert import SEGMENTS, BertConfig
from minitransformer.models.language import LanguageConfig

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_fast": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "relu": "relu",
}
"""What we call their activations."""


class Given(NamedTuple):
    """Settings as a file gives them, by its own names: none of them is taken for granted."""

    path: Path
    values: Mapping[str, Any]

    def refuse(self, name: str, needed: str) -> WeightsError:
        """The error that says what a setting is, and what it should be."""
        return WeightsError(f"{self.path}: {name} is {shortened(self.of(name, None))}; {needed}")

    def of(self, name: str, default: Any) -> Any:
        """A setting; the default where it is null or absent."""
        value = self.values.get(name)
        return default if value is None else value

    def size(self, name: str, default: int | None = None, least: int = 1, most: int = 2**31) -> int:
        """A whole number of that range."""
        value = self.of(name, default)
        if type(value) is not int or not least <= value <= most:
            raise self.refuse(name, f"what is needed is a whole number from {least} to {most:,}")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number above 0."""
        value = self.of(name, default)
        if type(value) not in (int, float) or not 0 < value < 1e30:
            raise self.refuse(name, "what is needed is a number above 0")
        return float(value)

    def truth(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.of(name, default)
        if type(value) is not bool:
            raise self.refuse(name, "what is needed is true or false")
        return value

    def activation(self, name: str, default: str) -> str:
        """What we call an activation."""
        value = self.of(name, default)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise self.refuse(name, f"what is supported is {', '.join(ACTIVATIONS)}")
        return ACTIVATIONS[value]

    def group(self, name: str) -> dict[str, Any]:
        """Settings under one name; none where it is null or absent."""
        value = self.of(name, {})
        if not isinstance(value, dict):
            raise self.refuse(name, "what is needed is a group of settings")
        return value

    def require(self, name: str, supported: Any) -> None:
        """WeightsError unless a setting is absent, or the one value that is supported."""
        value = self.of(name, supported)
        if type(value) is not type(supported) or value != supported:
            raise self.refuse(name, f"what is supported is {supported}")


def read_gpt2(given: Given) -> LanguageConfig:
    """The configuration of a GPT-2, from its config.json."""
    given.require("scale_attn_weights", True)
    given.require("scale_attn_by_inverse_layer_idx", False)
    given.require("add_cross_attention", False)
    d_model = given.size("n_embd")
    return LanguageConfig.gpt2(
        vocab=given.size("vocab_size"),
        d_model=d_model,
        num_layers=given.size("n_layer", most=1_000),
        num_heads=given.size("n_head"),
        d_ff=given.size("n_inner", 4 * d_model),
        max_length=given.size("n_positions"),
        activation=given.activation("activation_function", "gelu_new"),
        eps=given.number("layer_norm_epsilon", 1e-5),
        tied=given.truth("tie_word_embeddings", True),
        dropout=0.0,
    )


def read_bert(given: Given) -> BertConfig:
    """The configuration of a BERT, from its config.json."""
    given.require("hidden_act", "gelu")  # which our head has as well
    given.require("type_vocab_size", SEGMENTS)
    given.require("position_embedding_type", "absolute")
    given.require("tie_word_embeddings", True)
    given.require("is_decoder", False)
    return BertConfig(
        vocab=given.size("vocab_size"),
        d_model=given.size("hidden_size"),
        num_layers=given.size("num_hidden_layers", most=1_000),
        num_heads=given.size("num_attention_heads"),
        d_ff=given.size("intermediate_size"),
        max_length=given.size("max_position_embeddings"),
        eps=given.number("layer_norm_eps", 1e-12),
        pad=given.size("pad_token_id", 0, least=0),
        dropout=0.0,
    )


def read_llama(given: Given) -> LanguageConfig:
    """The configuration of a Llama, from its config.json."""
    given.require("hidden_act", "silu")
    given.require("attention_bias", False)
    given.require("mlp_bias", False)
    given.require("pretraining_tp", 1)
    d_model, heads = given.size("hidden_size"), given.size("num_attention_heads")
    given.require("head_dim", d_model // heads)
    return LanguageConfig.llama(
        vocab=given.size("vocab_size"),
        d_model=d_model,
        num_layers=given.size("num_hidden_layers", most=1_000),
        num_heads=heads,
        num_kv_heads=given.size("num_key_value_heads", heads),
        d_ff=given.size("intermediate_size"),
        max_length=given.size("max_position_embeddings", 2048),
        rotary_base=rotary_base(given),
        eps=given.number("rms_norm_eps", 1e-6),
        tied=given.truth("tie_word_embeddings", False),
        dropout=0.0,
    )


def rotary_base(given: Given) -> float:
    """The base of rotary positions, which older files give by itself, and newer ones in a group.

    WeightsError where the rotation is scaled, by any of the methods for longer texts: it gives
    other numbers at every position.
    """
    for name in ("rope_scaling", "rope_parameters"):
        group = given.group(name)
        inner = Given(given.path, {f"{name}.{key}": value for key, value in group.items()})
        for kind in ("rope_type", "type"):
            inner.require(f"{name}.{kind}", "default")
        if f"{name}.rope_theta" in inner.values:
            return inner.number(f"{name}.rope_theta", 10_000.0)
    return given.number("rope_theta", 10_000.0)


def read_llama_gguf(given: Given) -> LanguageConfig:
    """The configuration of a Llama, from the metadata of a GGUF file.

    `tied` is what a file without a tensor for the projection means.
    """
    given.require("llama.rope.scaling.type", "none")
    given.require("llama.expert_count", 0)
    d_model = given.size("llama.embedding_length")
    heads = given.size("llama.attention.head_count")
    for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        given.require(f"llama.{name}", d_model // heads)
    tokens = given.of("tokenizer.ggml.tokens", [])
    return LanguageConfig.llama(
        vocab=given.size("llama.vocab_size", len(tokens) if isinstance(tokens, list) else None),
        d_model=d_model,
        num_layers=given.size("llama.block_count", most=1_000),
        num_heads=heads,
        num_kv_heads=given.size("llama.attention.head_count_kv", heads),
        d_ff=given.size("llama.feed_forward_length"),
        max_length=given.size("llama.context_length"),
        rotary_base=given.number("llama.rope.freq_base", 10_000.0),
        eps=given.number("llama.attention.layer_norm_rms_epsilon", 1e-6),
        dropout=0.0,
    )
