"""The tokeniser of a GGUF file; and any, for a model that knows more tokens than it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minitransformer.interop.given import Given
from minitransformer.interop.safetensors import WeightsError
from minitransformer.tokens import BytePairs, Special, Tokeniser
from minitransformer.tokens.bpe import Split, read_merges

CONTROL = 3
"""The kind of a token that stands for no text."""

SPLITS: dict[str, Split] = {"gpt-2": "gpt-2", "smollm": "smollm"}
"""How a text is split into words, by what GGUF calls it."""


def tokeniser_of_gguf(given: Given) -> Tokeniser:
    """The byte-level BPE in a file's metadata.

    WeightsError for another kind of tokeniser, or one that splits text as ours does not: its
    numbers would be others.
    """
    given.require("tokenizer.ggml.model", "gpt2")
    given.require("tokenizer.ggml.add_bos_token", False)
    given.require("tokenizer.ggml.add_space_prefix", False)
    split = given.of("tokenizer.ggml.pre", None)
    if not isinstance(split, str) or split not in SPLITS:
        raise given.refuse("tokenizer.ggml.pre", f"what is supported is {', '.join(SPLITS)}")
    tokens = strings(given, "tokenizer.ggml.tokens")
    most = max(len(tokens) - 1, 0)
    kinds = np.ravel(given.of("tokenizer.ggml.token_type", []))[: len(tokens)]
    eos = given.size("tokenizer.ggml.eos_token_id", least=0, most=most)
    special = Special(
        pad=given.size("tokenizer.ggml.padding_token_id", eos, least=0, most=most),
        bos=given.size("tokenizer.ggml.bos_token_id", eos, least=0, most=most),
        eos=eos,
        unk=None,  # whatever the file says: bytes that no token has are left out
    )
    try:
        merges = read_merges(strings(given, "tokenizer.ggml.merges"))
        further = tuple(tokens[i] for i in np.flatnonzero(kinds == CONTROL))
        return BytePairs(tuple(tokens), special, merges, SPLITS[split], further)
    except ValueError as error:
        raise WeightsError(f"{given.path}: {error}") from None


def strings(given: Given, name: str) -> list[str]:
    """A list of texts."""
    value: Any = given.of(name, None)
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise given.refuse(name, "what is needed is a list of texts")
    return value


def fit(tokeniser: Tokeniser, size: int) -> Tokeniser:
    """A tokeniser for a model of `size` tokens: those that only the model knows get a name.

    Some models have a few more, for their matrices to have round sizes. WeightsError for less.
    """
    tokens = tokeniser.tokens
    if len(tokens) > size:
        raise WeightsError(f"the tokeniser has {len(tokens):,} tokens, and the model {size:,}")
    if len(tokens) == size:
        return tokeniser
    names = tuple(f"<|unused {number}|>" for number in range(len(tokens), size))
    if isinstance(tokeniser, BytePairs):  # to which every other token is bytes
        return replace(tokeniser, tokens=tokens + names, further=tokeniser.further + names)
    return replace(tokeniser, tokens=tokens + names)
