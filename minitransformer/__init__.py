"""minitransformer: the transformer and its relatives, on minigrad, and tasks for them."""

from __future__ import annotations

from minitransformer.answering import Predictor
from minitransformer.decoding import beam_search, greedy, sample
from minitransformer.inside.maps import attention_maps
from minitransformer.models import MODELS
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.parts.attention import MultiHeadAttention, causal_mask, padding_mask
from minitransformer.parts.blocks import Decoder, DecoderLayer, Encoder, EncoderLayer, FeedForward
from minitransformer.parts.embedding import TokenEmbedding, sinusoidal_positions
from minitransformer.recipe import Recipe
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer

__all__ = [
    "MODELS",
    "TASKS",
    "Decoder",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "MultiHeadAttention",
    "Predictor",
    "Recipe",
    "TokenEmbedding",
    "Trainer",
    "Transformer",
    "TransformerConfig",
    "attention_maps",
    "beam_search",
    "causal_mask",
    "greedy",
    "padding_mask",
    "sample",
    "sinusoidal_positions",
]
