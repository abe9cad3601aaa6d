"""Folders with small published models, made without transformers, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from minitransformer.interop.families import FAMILIES
from minitransformer.interop.given import Given
from minitransformer.tokens import BytePairs, Tokeniser

GPT2_SIZES = {"vocab_size": 60, "n_positions": 24, "n_embd": 32, "n_layer": 2, "n_head": 4}
SIZES = {
    "vocab_size": 60,
    "max_position_embeddings": 24,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def blank(
    folder: Path, kind: str = "gpt2", **changes: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and the tensors of a small model, made without transformers."""
    sizes = GPT2_SIZES if kind == "gpt2" else SIZES
    settings = {"model_type": kind, **sizes, **changes}
    family = FAMILIES[kind]
    config = family.read(Given(folder, settings))
    entries = family.entries(config, with_head=kind != "gpt2")
    return settings, {x.theirs: np.ones(x.shape, np.float32) for x in entries}


def write_folder(folder: Path, settings: dict[str, Any], tensors: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(settings))
    save_file(tensors, folder / "model.safetensors")


def with_tokeniser(folder: Path, tokeniser: Tokeniser, kind: str, size: int) -> Path:
    """A folder with a model of a size, and the files of a tokeniser as they were published."""
    sizes = {"vocab_size": size} | ({"n_positions": 40} if kind == "gpt2" else {})
    write_folder(folder, *blank(folder, kind, **sizes))
    if isinstance(tokeniser, BytePairs):
        numbers = {token: i for i, token in enumerate(tokeniser.tokens)}
        (folder / "vocab.json").write_text(json.dumps(numbers))
        (folder / "merges.txt").write_text("\n".join(map(" ".join, tokeniser.merges)))
    else:
        (folder / "vocab.txt").write_text("\n".join(tokeniser.tokens))
    return folder
