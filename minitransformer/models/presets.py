"""Presets: the models of papers in their own sizes, to be counted or compared with."""

from __future__ import annotations

from collections.abc import Callable

from minigrad.nn import Module, Source
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.transformer import Transformer, TransformerConfig

PRESETS: dict[str, Callable[[Source], Module]] = {
    "base": lambda rng: Transformer(TransformerConfig.base(), rng),
    "big": lambda rng: Transformer(TransformerConfig.big(), rng),
    "gpt2": lambda rng: LanguageModel(LanguageConfig.gpt2(), rng),
    "gpt3": lambda rng: LanguageModel(LanguageConfig.gpt3(), rng),
    "bert": lambda rng: Bert(BertConfig(), rng),
    "llama": lambda rng: LanguageModel(LanguageConfig.llama(), rng),
}
"""What makes each model, by its name."""
