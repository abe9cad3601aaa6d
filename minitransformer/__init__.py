"""minitransformer: the full encoder-decoder transformer, on minigrad."""

from __future__ import annotations

from minitransformer.attention import MultiHeadAttention, causal_mask, padding_mask
from minitransformer.blocks import Decoder, DecoderLayer, Encoder, EncoderLayer, FeedForward
from minitransformer.config import TransformerConfig
from minitransformer.decoding import beam_search, greedy, sample
from minitransformer.embedding import TokenEmbedding, sinusoidal_positions
from minitransformer.transformer import Transformer
