"""Transformer: the encoder-decoder of "Attention Is All You Need" (Vaswani et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad import nn
from minigrad.mode import recording
from minigrad.tensor import Array, Tensor, behind
from minitransformer.config import TransformerConfig
from minitransformer.data import PAD
from minitransformer.parts.attention import Cache, causal_mask, padding_mask
from minitransformer.parts.blocks import Decoder, Encoder
from minitransformer.parts.embedding import TokenEmbedding


class Transformer(nn.Module):
    """Source tokens and the target tokens so far, to the next target token's logits.

    rng: a NumPy generator or a seed for the initial weights and for dropout.

    >>> model = Transformer(TransformerConfig(14, 14, d_model=8, num_heads=2, d_ff=16), rng=0)
    >>> model(np.array([[5, 6, 7]]), np.array([[1, 7]])).shape
    (1, 2, 14)
    """

    def __init__(self, config: TransformerConfig, rng: nn.Source | nn.Seed = None) -> None:
        self.config = config
        rng = nn.source(rng)
        self.source_embedding = TokenEmbedding(config.source_vocab, config, rng)
        self.target_embedding = TokenEmbedding(config.target_vocab, config, rng)
        self.encoder = Encoder(config, rng)
        self.decoder = Decoder(config, rng)
        self.projection = nn.Linear(config.d_model, config.target_vocab, rng=rng)
        if config.tie_embeddings:
            shared = self.source_embedding.tokens.weight
            self.target_embedding.tokens.weight = self.projection.weight = shared

    def forward(self, source: Any, target: Any) -> Tensor:
        """(B, S) and (B, T) token numbers → (B, T, V) logits, all target positions at once.

        Padding (token 0) is masked in both; a target position sees itself and earlier ones.
        """
        source, target = np.asarray(source), np.asarray(target)
        return self.decode(target, self.encode(source), padding_mask(source, PAD))

    def encode(self, source: Array) -> Tensor:
        """(B, S) token numbers → (B, S, D), the memory."""
        return self.encoder(self.source_embedding(source), padding_mask(source, PAD))

    def decode(self, target: Array, memory: Tensor, memory_mask: Array) -> Tensor:
        """(B, T) token numbers and the memory (B, S, D) → (B, T, V) logits."""
        mask = causal_mask(target.shape[1]) & padding_mask(target, PAD)
        x = self.decoder(self.target_embedding(target), memory, mask, memory_mask)
        return self.projection(x)

    def decode_next(
        self,
        token: Array,
        position: int,
        memory: Tensor,
        memory_mask: Array,
        caches: list[tuple[Cache, Cache]],
    ) -> Tensor:
        """(B,) tokens at `position`, the caches holding all earlier ones → (B, V) logits."""
        x = self.target_embedding(token[:, None], start=position)
        x = self.decoder(x, memory, None, memory_mask, caches)
        return self.projection(x)[:, 0]

    def new_caches(self) -> list[tuple[Cache, Cache]]:
        """Empty caches, for self- and cross-attention of each decoder layer."""
        return [(Cache(fixed=False), Cache(fixed=True)) for _ in self.decoder.layers]

    def attention_maps(self, source: Any, target: Any) -> dict[str, Array]:
        """What every head attends to: {"encoder.layers.0.self_attention": (B, H, T, S), …}.

        Read off the graph: each attention op keeps its weights, and knows which module called it.
        """
        with recorded(self):
            steps = attention_steps(self(source, target), self)
        return {name: step.saved[0] for name, step in steps.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A block in which dropout and the like are off; each module's mode before comes back."""
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def recorded(model: nn.Module) -> Iterator[None]:
    """A block in which a model evaluates and everything it does is recorded, frozen or not."""
    frozen = [x for x in model.parameters() if not x.requires_grad]
    for x in frozen:
        x.requires_grad = True  # or nothing that depends on these alone would be recorded
    try:
        with evaluating(model), recording(True):
            yield
    finally:
        for x in frozen:
            x.requires_grad = False


def attention_steps(result: Tensor, model: nn.Module) -> dict[str, Tensor]:
    """Every attention op behind `result`, by the path of the module that ran it, in its order."""
    names = {id(module): name for name, module in model.named_modules()}
    found: dict[str, Tensor] = {}
    for node in behind(result):
        if node.op is not None and node.op.name == "scaled_dot_product_attention":
            assert node.scope is not None
            found[names[id(node.scope.module)]] = node
    return {name: found[name] for name in names.values() if name in found}
