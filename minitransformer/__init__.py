"""minitransformer: the transformer and its relatives, on minigrad, and tasks for them."""

from __future__ import annotations

from minitransformer.answering import Predictor
from minitransformer.decoding import beam_search, greedy, sample
from minitransformer.inside.maps import attention_maps
from minitransformer.interop.published import load_published
from minitransformer.models import MODELS
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.parts.attention import MultiHeadAttention, causal_mask, padding_mask
from minitransformer.parts.blocks import Decoder, DecoderLayer, Encoder, EncoderLayer, FeedForward
from minitransformer.parts.embedding import TokenEmbedding, sinusoidal_positions
from minitransformer.recipe import Recipe
from minitransformer.tasks import TASKS
from minitransformer.tokens import TOKENISERS, BytePairs, Characters, WordPiece, Words
from minitransformer.tokens.published import read_tokeniser
from minitransformer.training import Trainer

__all__ = [
    "MODELS",
    "TASKS",
    "TOKENISERS",
    "Bert",
    "BertConfig",
    "BytePairs",
    "Characters",
    "Decoder",
    "DecoderLayer",
    "Encoder",
    "EncoderLayer",
    "FeedForward",
    "LanguageConfig",
    "LanguageModel",
    "MultiHeadAttention",
    "Predictor",
    "Recipe",
    "TokenEmbedding",
    "Trainer",
    "Transformer",
    "TransformerConfig",
    "WordPiece",
    "Words",
    "attention_maps",
    "beam_search",
    "causal_mask",
    "greedy",
    "load_published",
    "padding_mask",
    "read_tokeniser",
    "sample",
    "sinusoidal_positions",
]
