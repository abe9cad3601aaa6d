"""Weights to and from PyTorch."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from minitransformer import (
    DecoderLayer,
    EncoderLayer,
    MultiHeadAttention,
    Transformer,
    TransformerConfig,
)
from minitransformer.interop.torch import from_torch, to_torch

D, H, F = 6, 3, 10


def a_config(**choices: Any) -> TransformerConfig:
    base = {"d_model": D, "num_heads": H, "d_ff": F, "dropout": 0.0}
    layers = {"num_encoder_layers": 2, "num_decoder_layers": 1}
    return TransformerConfig(9, 9, **{**base, **layers, **choices})


MODULES = {
    "attention": MultiHeadAttention(D, H, rng=0),
    "encoder layer": EncoderLayer(a_config(), rng=0),
    "decoder layer": DecoderLayer(a_config(), rng=0),
    "post-norm": Transformer(a_config(norm="post"), rng=0),
    "pre-norm": Transformer(a_config(norm="pre"), rng=0),
    "learned positions": Transformer(a_config(positions="learned"), rng=0),
    "tied": Transformer(a_config(tie_embeddings=True), rng=0),
}
modules = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one
    )


def torch_transformer(torch: Any, norm: str) -> Any:
    model = torch.nn.Transformer(D, H, 2, 1, F, dropout=0.0, norm_first=norm == "pre")
    if norm == "post":  # PyTorch ends these stacks in a norm as well; the paper does not
        model.encoder.norm = model.decoder.norm = None
    return model


@modules
def test_there_and_back_changes_nothing(module: Any) -> None:
    state = module.state_dict()
    assert same(from_torch(to_torch(state)), state)


@modules
def test_the_results_are_copies(module: Any) -> None:
    state = module.state_dict()
    for x in to_torch(state).values():
        assert not any(np.shares_memory(x, y) for y in state.values())


def test_query_key_and_value_are_stacked_in_this_order() -> None:
    state = MODULES["attention"].state_dict()
    theirs = to_torch(state)
    assert list(theirs) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    parts = [state["query.weight"], state["key.weight"], state["value.weight"]]
    assert np.array_equal(theirs["in_proj_weight"], np.concatenate(parts))


def test_the_last_norm_of_a_layer_has_the_number_that_pytorch_gives_it() -> None:
    for module, name in (
        (EncoderLayer(a_config()), "norm2"),
        (DecoderLayer(a_config()), "norm3"),
    ):
        module.feed_forward_norm.bias.data[...] = 7
        assert (to_torch(module.state_dict())[f"{name}.bias"] == 7).all()


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_the_names_and_shapes_are_those_of_pytorch(norm: str) -> None:
    torch = pytest.importorskip("torch")
    model = Transformer(a_config(norm=norm))
    ours = {
        name: x.shape
        for name, x in to_torch(model.state_dict()).items()
        if name.startswith(("encoder.", "decoder."))
    }
    theirs = torch_transformer(torch, norm).state_dict()
    assert ours == {name: tuple(x.shape) for name, x in theirs.items()}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_pytorch_state_can_be_loaded(norm: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, model = torch_transformer(torch, norm), Transformer(a_config(norm=norm))
    model.encoder.load_state_dict(from_torch(theirs.encoder.state_dict()))
    model.decoder.load_state_dict(from_torch(theirs.decoder.state_dict()))
    for ours, stack in ((model.encoder, theirs.encoder), (model.decoder, theirs.decoder)):
        assert same(
            to_torch(ours.state_dict()), {k: x.numpy() for k, x in stack.state_dict().items()}
        )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_the_norm_that_the_paper_has_not_is_noticed() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Transformer(D, H, 2, 1, F)
    with pytest.raises(ValueError, match=re.escape("extra norm.weight (6,)")):
        Transformer(a_config()).encoder.load_state_dict(from_torch(theirs.encoder.state_dict()))


def test_embeddings_and_projection_keep_their_names() -> None:
    state = MODULES["learned positions"].state_dict()
    kept = {
        "source_embedding.tokens.weight",
        "source_embedding.positions.weight",
        "target_embedding.tokens.weight",
        "target_embedding.positions.weight",
        "projection.weight",
        "projection.bias",
    }
    theirs = to_torch(state)
    assert {name for name in theirs if not name.startswith(("encoder.", "decoder."))} == kept
    assert all(np.array_equal(theirs[name], state[name]) for name in kept)


def test_whatever_stands_before_a_name_stays() -> None:
    state = {f"my.model.{name}": x for name, x in MODULES["pre-norm"].state_dict().items()}
    theirs = to_torch(state)
    assert "my.model.encoder.layers.1.self_attn.in_proj_weight" in theirs
    assert same(from_torch(theirs), state)


def test_biases_may_be_missing() -> None:
    state = {name: x for name, x in MODULES["pre-norm"].state_dict().items() if "bias" not in name}
    assert same(from_torch(to_torch(state)), state)


def test_unknown_names_are_listed() -> None:
    x = np.zeros((D, D))
    with pytest.raises(ValueError, match=re.escape("for gate.weight, encoder.bias_k")):
        to_torch({**MODULES["attention"].state_dict(), "gate.weight": x, "encoder.bias_k": x})
    with pytest.raises(ValueError, match=re.escape("for self_attn.q_proj_weight")):
        from_torch({"self_attn.q_proj_weight": x, "linear1.weight": x})


def test_a_query_without_its_key_and_value_is_listed() -> None:
    with pytest.raises(ValueError, match=re.escape("for query.weight")):
        to_torch({"query.weight": np.zeros((D, D)), "output.weight": np.zeros((D, D))})


def test_pytorch_is_not_needed() -> None:
    code = "import sys, minitransformer.interop.torch; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
