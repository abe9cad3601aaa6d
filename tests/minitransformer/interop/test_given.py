"""Settings of published models: what they mean to ours, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minitransformer.interop.given import (
    Given,
    read_bert,
    read_gpt2,
    read_llama,
    read_llama_gguf,
)
from minitransformer.interop.safetensors import WeightsError
from minitransformer.models.language import LanguageConfig

GPT2 = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
BERT = {
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
LLAMA = BERT | {"num_key_value_heads": 4}
GGUF = {
    "llama.vocab_size": 49152,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.block_count": 30,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
}
Read = Callable[[Given], Any]
READERS: dict[str, tuple[Read, dict[str, Any]]] = {
    "gpt2": (read_gpt2, GPT2),
    "bert": (read_bert, BERT),
    "llama": (read_llama, LLAMA),
    "gguf": (read_llama_gguf, GGUF),
}


def read(kind: str, **changes: Any) -> Any:
    reader, settings = READERS[kind]
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return reader(Given(Path("config.json"), settings | changes))


def test_what_is_not_said_is_as_the_family_has_it() -> None:
    gpt2, bert, llama = read("gpt2"), read("bert"), read("llama")
    assert (gpt2.d_ff, gpt2.activation, gpt2.eps, gpt2.tied) == (3072, "gelu-tanh", 1e-5, True)
    assert (bert.activation, bert.eps, bert.norm, bert.pad) == ("gelu", 1e-12, "post", 0)
    assert (llama.rotary_base, llama.eps, llama.tied, llama.kv_heads) == (1e4, 1e-6, False, 4)
    assert {gpt2.dropout, bert.dropout, llama.dropout} == {0}


def test_what_gpt2_has_published_is_what_a_language_model_is_by_default() -> None:
    assert read("gpt2") == LanguageConfig.gpt2(dropout=0.0)


def test_null_is_as_if_nothing_were_said() -> None:
    assert read("gpt2", n_inner=None) == read("gpt2")
    assert read("llama", rope_scaling=None, head_dim=None, num_key_value_heads=None).kv_heads == 12


def test_the_base_of_rotary_positions_is_in_one_of_two_places() -> None:
    assert read("llama", rope_theta=5e5).rotary_base == 5e5
    group = {"rope_type": "default", "rope_theta": 100_000}
    assert read("llama", rope_parameters=group).rotary_base == 1e5
    assert read("gguf", llama__rope__freq_base=1e5).rotary_base == 1e5


@pytest.mark.parametrize(
    ("kind", "changes", "told"),
    [
        ("gpt2", {"n_head": 7}, "num_heads 7 does not divide d_model 768"),
        ("gpt2", {"n_head": 0}, "n_head is 0; what is needed is a whole number from 1"),
        ("gpt2", {"n_layer": 10**9}, "n_layer is 1000000000; what is needed is a whole number"),
        ("gpt2", {"n_embd": "768"}, "n_embd is '768'; what is needed is a whole number"),
        ("gpt2", {"n_embd": True}, "n_embd is True; what is needed is a whole number"),
        ("gpt2", {"vocab_size": None}, "vocab_size is None; what is needed is a whole number"),
        ("gpt2", {"activation_function": "swish"}, "activation_function is 'swish'; what is supp"),
        ("gpt2", {"activation_function": []}, "activation_function is []; what is supported is"),
        ("gpt2", {"layer_norm_epsilon": "x"}, "layer_norm_epsilon is 'x'; what is needed is a n"),
        ("gpt2", {"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon is nan; what is nee"),
        ("gpt2", {"tie_word_embeddings": 1}, "tie_word_embeddings is 1; what is needed is true"),
        ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights is False; what is supported"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "what is supported is False"),
        ("gpt2", {"add_cross_attention": True}, "add_cross_attention is True"),
        ("bert", {"hidden_act": "relu"}, "hidden_act is 'relu'; what is supported is gelu"),
        ("bert", {"position_embedding_type": "relative_key"}, "what is supported is absolute"),
        ("bert", {"type_vocab_size": 3}, "type_vocab_size is 3; what is supported is 2"),
        ("bert", {"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ("bert", {"is_decoder": True}, "is_decoder is True; what is supported is False"),
        ("bert", {"pad_token_id": -1}, "pad_token_id is -1; what is needed"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 2}}, "type is 'linear'; what is"),
        ("llama", {"rope_parameters": {"rope_type": "llama3"}}, "rope_type is 'llama3'; what is"),
        ("llama", {"rope_scaling": "linear"}, "rope_scaling is 'linear'; what is needed"),
        ("llama", {"head_dim": 64}, "head_dim is 64; what is supported is 32"),
        ("llama", {"attention_bias": True}, "attention_bias is True"),
        ("llama", {"mlp_bias": True}, "mlp_bias is True"),
        ("llama", {"pretraining_tp": 2}, "pretraining_tp is 2; what is supported is 1"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'; what is supported is silu"),
        ("llama", {"num_key_value_heads": 5}, "num_kv_heads 5 does not divide num_heads 12"),
        ("gguf", {"llama__rope__scaling__type": "yarn"}, "llama.rope.scaling.type is 'yarn'"),
        ("gguf", {"llama__rope__dimension_count": 32}, "what is supported is 64"),
        ("gguf", {"llama__expert_count": 8}, "llama.expert_count is 8"),
        ("gguf", {"llama__vocab_size": None}, "llama.vocab_size is None"),
    ],
)  # fmt: skip
def test_what_is_refused(kind: str, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as error:
        read(kind, **changes)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(WeightsError) as error:
        read("gpt2", activation_function="x" * 10_000)
    assert len(str(error.value)) < 300
