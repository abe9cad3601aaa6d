"""Encoder and decoder layers, and their stacks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, nn
from minitransformer import (
    Decoder,
    DecoderLayer,
    Encoder,
    EncoderLayer,
    FeedForward,
    causal_mask,
    padding_mask,
)
from minitransformer.interop.torch import to_torch
from minitransformer.parts.blocks import Layer
from minitransformer.parts.config import StackConfig

B, T, S, D, F, H = 2, 4, 5, 6, 10, 3
SOURCE = np.array([[4, 5, 6, 7, 8], [4, 5, 6, 0, 0]])
TARGET = np.array([[1, 4, 5, 6], [1, 4, 0, 0]])
SOURCE_MASK = padding_mask(SOURCE)
TARGET_MASK = causal_mask(T) & padding_mask(TARGET)

norms = pytest.mark.parametrize("norm", ["post", "pre"])
activations = pytest.mark.parametrize("activation", ["relu", "gelu"])


def a_config(**choices: Any) -> StackConfig:
    return StackConfig(**{"d_model": D, "num_heads": H, "d_ff": F, "dropout": 0.0, **choices})


def varied(module: Any, seed: int = 0) -> Any:
    """The module in float64 with no weight at a special value such as 0 or 1."""
    rng = np.random.default_rng(seed)
    for x in module.astype(np.float64).parameters():
        x.data[...] = rng.normal(0.1, 0.6, x.shape)
    return module


def inputs(length: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal((B, length, D)), requires_grad=True)


def normed(x: Any, norm: nn.LayerNorm) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + norm.eps)
    return centred / deviation * norm.weight.data + norm.bias.data


@activations
def test_feed_forward_does_the_same_at_every_position(activation: Any) -> None:
    layer = varied(FeedForward(a_config(activation=activation), np.random.default_rng(0)))
    x = inputs(T)
    y = layer(x).data
    inner, outer = layer.inner, layer.outer
    act = getattr(minigrad, activation)
    for t in range(T):
        hidden = act(x.data[:, t] @ inner.weight.data.T + inner.bias.data)
        expected = hidden @ outer.weight.data.T + outer.bias.data
        assert np.allclose(y[:, t], expected, rtol=0, atol=1e-12)
    assert f"FeedForward({activation})" in repr(layer)


def test_the_papers_residual_is_normalised_after_the_sum() -> None:
    norm, x = varied(nn.LayerNorm(D)), inputs(T)
    y = Layer(a_config(norm="post"), np.random.default_rng(0)).residual(x, norm, lambda x: 3 * x)
    assert np.allclose(y.data, normed(x.data + 3 * x.data, norm), rtol=0, atol=1e-12)


def test_the_other_residual_is_normalised_before_the_sublayer() -> None:
    norm, x = varied(nn.LayerNorm(D)), inputs(T)
    y = Layer(a_config(norm="pre"), np.random.default_rng(0)).residual(x, norm, lambda x: 3 * x)
    assert np.allclose(y.data, x.data + 3 * normed(x.data, norm), rtol=0, atol=1e-12)


def test_dropout_acts_on_the_sublayer() -> None:
    layer, x = Layer(a_config(norm="pre", dropout=0.5), np.random.default_rng(0)), inputs(50)
    change = layer.residual(x, nn.LayerNorm(D), lambda x: 0 * x + 1).data - x.data
    assert np.allclose(np.unique(change.round(9)), [0, 2])
    layer.eval()
    assert np.allclose(layer.residual(x, nn.LayerNorm(D), lambda x: 0 * x + 1).data, x.data + 1)


@norms
def test_dropout_does_not_act_on_the_residual(norm: Any) -> None:
    layer, x = Layer(a_config(norm=norm, dropout=0.5), np.random.default_rng(0)), inputs(50)
    still = layer.residual(x, nn.LayerNorm(D), lambda x: 0 * x).data
    assert np.array_equal(still, layer.eval().residual(x, nn.LayerNorm(D), lambda x: 0 * x).data)


@norms
@activations
def test_an_encoder_layer_equals_pytorchs_with_all_gradients(norm: Any, activation: Any) -> None:
    torch = pytest.importorskip("torch")
    config = a_config(norm=norm, activation=activation)
    theirs = torch.nn.TransformerEncoderLayer(**torch_choices(torch, config))
    compare(
        torch,
        ours=varied(EncoderLayer(config)),
        theirs=theirs,
        inputs=[inputs(S)],
        our_masks={"mask": SOURCE_MASK},
        their_masks={"src_key_padding_mask": torch.tensor(SOURCE == 0)},
    )


@norms
@activations
def test_a_decoder_layer_equals_pytorchs_with_all_gradients(norm: Any, activation: Any) -> None:
    torch = pytest.importorskip("torch")
    config = a_config(norm=norm, activation=activation)
    theirs = torch.nn.TransformerDecoderLayer(**torch_choices(torch, config))
    compare(
        torch,
        ours=varied(DecoderLayer(config)),
        theirs=theirs,
        inputs=[inputs(T), inputs(S, seed=2)],
        our_masks={"mask": TARGET_MASK, "memory_mask": SOURCE_MASK},
        their_masks=decoder_masks(torch),
    )


@norms
def test_an_encoder_equals_pytorchs_with_all_gradients(norm: Any) -> None:
    torch = pytest.importorskip("torch")
    config = a_config(norm=norm)
    layer = torch.nn.TransformerEncoderLayer(**torch_choices(torch, config))
    theirs = torch.nn.TransformerEncoder(
        layer, 2, norm=last_norm(torch, config), enable_nested_tensor=False
    )
    compare(
        torch,
        ours=varied(Encoder(config, 2)),
        theirs=theirs,
        inputs=[inputs(S)],
        our_masks={"mask": SOURCE_MASK},
        their_masks={"src_key_padding_mask": torch.tensor(SOURCE == 0)},
    )


@norms
def test_a_decoder_equals_pytorchs_with_all_gradients(norm: Any) -> None:
    torch = pytest.importorskip("torch")
    config = a_config(norm=norm)
    layer = torch.nn.TransformerDecoderLayer(**torch_choices(torch, config))
    compare(
        torch,
        ours=varied(Decoder(config, 2)),
        theirs=torch.nn.TransformerDecoder(layer, 2, norm=last_norm(torch, config)),
        inputs=[inputs(T), inputs(S, seed=2)],
        our_masks={"mask": TARGET_MASK, "memory_mask": SOURCE_MASK},
        their_masks=decoder_masks(torch),
    )


def torch_choices(torch: Any, config: StackConfig) -> dict[str, Any]:
    return {
        "d_model": config.d_model,
        "nhead": config.num_heads,
        "dim_feedforward": config.d_ff,
        "dropout": 0.0,
        "activation": config.activation,
        "norm_first": config.norm == "pre",
        "layer_norm_eps": config.eps,
        "batch_first": True,
        "dtype": torch.float64,
    }


def last_norm(torch: Any, config: StackConfig) -> Any:
    return torch.nn.LayerNorm(D, dtype=torch.float64) if config.norm == "pre" else None


def decoder_masks(torch: Any) -> dict[str, Any]:
    """The same masks as PyTorch has them: True = may not attend."""
    return {
        "tgt_mask": torch.tensor(~causal_mask(T)),
        "tgt_key_padding_mask": torch.tensor(TARGET == 0),
        "memory_key_padding_mask": torch.tensor(SOURCE == 0),
    }


def compare(
    torch: Any, ours: Any, theirs: Any, inputs: list[Tensor], our_masks: Any, their_masks: Any
) -> None:
    """With the same weights: the same output, the same gradients of inputs and parameters."""
    theirs.load_state_dict(
        {name: torch.tensor(x) for name, x in to_torch(ours.state_dict()).items()}
    )
    their_inputs = [torch.tensor(x.data, requires_grad=True) for x in inputs]
    y, their_y = ours(*inputs, **our_masks), theirs(*their_inputs, **their_masks)
    assert np.allclose(y.data, their_y.detach(), rtol=0, atol=1e-9)

    gradient = np.random.default_rng(4).standard_normal(y.shape)
    y.backward(gradient)
    their_y.backward(torch.tensor(gradient))
    for x, their_x in zip(inputs, their_inputs, strict=True):
        assert np.allclose(x.grad, their_x.grad, rtol=0, atol=1e-9)
    gradients = to_torch({name: p.grad for name, p in ours.named_parameters()})
    for name, p in theirs.named_parameters():
        assert np.allclose(gradients[name], p.grad, rtol=0, atol=1e-9), name


@norms
def test_a_decoder_layer_does_not_look_ahead(norm: Any) -> None:
    layer, memory = varied(DecoderLayer(a_config(norm=norm))), inputs(S)
    for t in range(T):
        x = inputs(T, seed=2)
        layer(x, memory, causal_mask(T))[:, t].sum().backward()
        assert x.grad is not None
        assert np.all(x.grad[:, t + 1 :] == 0)
        assert np.any(x.grad[:, t])


@norms
def test_an_encoder_layer_looks_everywhere(norm: Any) -> None:
    layer, x = varied(EncoderLayer(a_config(norm=norm))), inputs(S)
    layer(x)[:, 0].sum().backward()
    assert x.grad is not None
    assert np.all(np.any(x.grad, axis=-1))


def test_only_a_pre_norm_stack_ends_in_a_norm() -> None:
    for stack in (Encoder, Decoder):
        assert stack(a_config(norm="post"), 2).norm is None
        names = [name for name, _ in stack(a_config(norm="pre"), 2).named_parameters()]
        assert names[-2:] == ["norm.weight", "norm.bias"]


def test_a_stack_has_as_many_layers_as_asked_for() -> None:
    assert len(Encoder(a_config(), 3).layers) == 3
    assert len(Decoder(a_config(), 1).layers) == 1


def test_parameters_are_named_in_the_papers_words() -> None:
    linear, norm = ["weight", "bias"], ["weight", "bias"]
    attention = [f"{x}.{y}" for x in ("query", "key", "value", "output") for y in linear]
    expected = [
        *(f"self_attention.{x}" for x in attention),
        *(f"self_attention_norm.{x}" for x in norm),
        *(f"cross_attention.{x}" for x in attention),
        *(f"cross_attention_norm.{x}" for x in norm),
        *(f"feed_forward.inner.{x}" for x in linear),
        *(f"feed_forward.outer.{x}" for x in linear),
        *(f"feed_forward_norm.{x}" for x in norm),
    ]
    assert [name for name, _ in DecoderLayer(a_config()).named_parameters()] == expected
    assert [name for name, _ in EncoderLayer(a_config()).named_parameters()] == [
        name for name in expected if not name.startswith("cross_attention")
    ]


def test_the_same_seed_gives_the_same_weights() -> None:
    one, same, other = (Encoder(a_config(), 2, rng=seed).state_dict() for seed in (0, 0, 1))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["layers.0.self_attention.query.weight"],
                              other["layers.0.self_attention.query.weight"])  # fmt: skip


def test_layers_differ_from_one_another() -> None:
    first, second = Encoder(a_config(), 2, rng=0).layers
    assert not np.array_equal(first.feed_forward.inner.weight.data,
                              second.feed_forward.inner.weight.data)  # fmt: skip


@activations
def test_a_stack_can_be_pickled(activation: Any) -> None:
    encoder, x = varied(Encoder(a_config(activation=activation), 2)), inputs(S)
    copy = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(copy(x).data, encoder(x).data)
