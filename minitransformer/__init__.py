"""minitransformer: the full encoder-decoder transformer, on minigrad."""

from __future__ import annotations

from minitransformer.answering import Predictor
from minitransformer.config import TrainingConfig, TransformerConfig
from minitransformer.decoding import beam_search, greedy, sample
from minitransformer.models.transformer import Transformer
from minitransformer.parts.attention import MultiHeadAttention, causal_mask, padding_mask
from minitransformer.parts.blocks import Decoder, DecoderLayer, Encoder, EncoderLayer, FeedForward
from minitransformer.parts.embedding import TokenEmbedding, sinusoidal_positions
from minitransformer.tasks import FileTask, SyntheticTask
from minitransformer.training import Trainer

__all__ = [
    "Decoder",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "FileTask",
    "MultiHeadAttention",
    "Predictor",
    "SyntheticTask",
    "TokenEmbedding",
    "Trainer",
    "TrainingConfig",
    "Transformer",
    "TransformerConfig",
    "beam_search",
    "causal_mask",
    "greedy",
    "padding_mask",
    "sample",
    "sinusoidal_positions",
]
