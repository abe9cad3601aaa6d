"""The same transformer in PyTorch, twice: in basic operations, and as torch.nn.Transformer.

Both take their weights, by name, and their settings from one of our trainers. PyTorch is loaded
when they are made, so that this file can be imported without it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.batch import IGNORE, Batch
from minitransformer.interop.torch import to_torch
from minitransformer.models.transformer import TransformerConfig
from minitransformer.parts.attention import causal_mask
from minitransformer.parts.embedding import sinusoidal_positions
from minitransformer.training import Trainer


def pytorch() -> Any:
    """The module, untyped: the type checker then says the same with and without PyTorch."""
    return import_module("torch")


def set_threads(threads: int) -> None:
    """Let PyTorch use so many threads."""
    pytorch().set_num_threads(threads)


def position_table(config: TransformerConfig) -> Any:
    """(max_length, D): the vectors of all positions."""
    table = sinusoidal_positions(config.max_length, config.d_model)
    return pytorch().tensor(table.astype(np.float32))


class WrittenOut:
    """The pre-norm transformer in basic operations. Weights keep our names."""

    def __init__(self, config: TransformerConfig, state: Mapping[str, Array]) -> None:
        torch = self.torch = pytorch()
        self.config = config
        self.weights = {k: torch.tensor(x, requires_grad=True) for k, x in state.items()}
        self.positions = position_table(config)
        self.causal = torch.tensor(causal_mask(config.max_length))

    def parameters(self) -> list[Any]:
        """Every weight."""
        return list(self.weights.values())

    def logits(self, source: Any, target: Any) -> Any:
        """(B, S) and (B, T) tokens → (B, T, V)."""
        source_mask = (source != self.config.pad)[:, None, None, :]
        length = target.shape[1]
        target_mask = (target != self.config.pad)[:, None, None, :] & self.causal[:length, :length]
        x = self.embed(source, "source_embedding")
        for i in range(self.config.num_encoder_layers):
            layer = f"encoder.layers.{i}"
            h = self.norm(x, f"{layer}.self_attention_norm")
            x = x + self.attention(h, h, source_mask, f"{layer}.self_attention")
            x = x + self.feed_forward(x, layer)
        memory = self.norm(x, "encoder.norm")
        x = self.embed(target, "target_embedding")
        for i in range(self.config.num_decoder_layers):
            layer = f"decoder.layers.{i}"
            h = self.norm(x, f"{layer}.self_attention_norm")
            x = x + self.attention(h, h, target_mask, f"{layer}.self_attention")
            h = self.norm(x, f"{layer}.cross_attention_norm")
            x = x + self.attention(h, memory, source_mask, f"{layer}.cross_attention")
            x = x + self.feed_forward(x, layer)
        return self.linear(self.norm(x, "decoder.norm"), "projection")

    def embed(self, tokens: Any, name: str) -> Any:
        """(B, T) → (B, T, D)."""
        vectors = self.torch.nn.functional.embedding(tokens, self.weights[f"{name}.tokens.weight"])
        return vectors * self.config.d_model**0.5 + self.positions[: tokens.shape[1]]

    def linear(self, x: Any, name: str) -> Any:
        """(..., in) → (..., out)."""
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x: Any, name: str) -> Any:
        """(B, T, D) → (B, T, D)."""
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self.torch.nn.functional.layer_norm(x, weight.shape, weight, bias, self.config.eps)

    def feed_forward(self, x: Any, layer: str) -> Any:
        """(B, T, D) → (B, T, D), the norm before it included."""
        h = self.norm(x, f"{layer}.feed_forward_norm")
        h = self.torch.relu(self.linear(h, f"{layer}.feed_forward.inner"))
        return self.linear(h, f"{layer}.feed_forward.outer")

    def attention(self, x: Any, memory: Any, mask: Any, name: str) -> Any:
        """(B, T, D) queries, (B, S, D) keys and values → (B, T, D)."""

        def heads(x: Any, part: str) -> Any:
            split = self.linear(x, f"{name}.{part}").unflatten(-1, (self.config.num_heads, -1))
            return split.transpose(1, 2)

        query, key, value = heads(x, "query"), heads(memory, "key"), heads(memory, "value")
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        return self.linear((weights @ value).transpose(1, 2).flatten(2), f"{name}.output")


class BuiltIn:
    """torch.nn.Transformer, with embeddings before it and a projection after it."""

    def __init__(self, config: TransformerConfig, state: Mapping[str, Array]) -> None:
        torch = pytorch()
        self.pad = config.pad
        with warnings.catch_warnings():  # that norm_first rules out a fast path of inference
            warnings.simplefilter("ignore")
            model = self.model = torch.nn.Transformer(
                config.d_model,
                config.num_heads,
                config.num_encoder_layers,
                config.num_decoder_layers,
                config.d_ff,
                dropout=0.0,
                layer_norm_eps=config.eps,
                batch_first=True,
                norm_first=True,
            )
        for side, vocab in ("source", config.source_vocab), ("target", config.target_vocab):
            tokens = torch.nn.Embedding(vocab, config.d_model)
            model.add_module(f"{side}_embedding", torch.nn.ModuleDict({"tokens": tokens}))
        model.projection = torch.nn.Linear(config.d_model, config.target_vocab)
        model.load_state_dict({k: torch.tensor(x) for k, x in to_torch(state).items()})
        self.positions = position_table(config)
        self.future = ~torch.tensor(causal_mask(config.max_length))

    def parameters(self) -> list[Any]:
        """Every weight."""
        return list(self.model.parameters())

    def logits(self, source: Any, target: Any) -> Any:
        """(B, S) and (B, T) tokens → (B, T, V)."""
        length = target.shape[1]
        x = self.model(
            self.embed(source, self.model.source_embedding),
            self.embed(target, self.model.target_embedding),
            tgt_mask=self.future[:length, :length],
            tgt_is_causal=True,
            src_key_padding_mask=source == self.pad,
            tgt_key_padding_mask=target == self.pad,
            memory_key_padding_mask=source == self.pad,
        )
        return self.model.projection(x)

    def embed(self, tokens: Any, embedding: Any) -> Any:
        """(B, T) → (B, T, D)."""
        vectors = embedding["tokens"](tokens) * self.model.d_model**0.5
        return vectors + self.positions[: tokens.shape[1]]


def step(
    trainer: Trainer, model_type: type[WrittenOut | BuiltIn], fused: bool | None
) -> Callable[[Batch], float]:
    """What `trainer.train_step` does, with the model and Adam (`fused` or not) in PyTorch."""
    torch = pytorch()
    model = model_type(trainer.model.config, trainer.model.state_dict())
    parameters, ours = model.parameters(), trainer.optimizer
    rate = trainer.settings.learning_rate
    adam = torch.optim.Adam(parameters, lr=rate, betas=ours.betas, eps=ours.eps, fused=fused)

    def train_step(batch: Batch) -> float:
        logits = model.logits(*map(torch.from_numpy, batch.inputs))
        labels = torch.from_numpy(batch.labels)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE
        )
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, trainer.settings.clip)
        adam.step()
        return float(loss.item())

    return train_step
