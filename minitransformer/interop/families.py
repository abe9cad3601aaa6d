"""Families of published models: which of their tensors is which of ours, row by row.

# is the number of a layer of the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple

from minigrad import nn
from minigrad.tensor import Array
from minitransformer.interop.given import Given, read_bert, read_gpt2, read_llama, read_llama_gguf
from minitransformer.models.bert import SEGMENTS, Bert
from minitransformer.models.language import LanguageModel


class Row(NamedTuple):
    """One layer or vector: its name there, ours (one, or those it is cut into), shape, and kind.

    shape: as it is stored, a letter for each size, see `shape_of`. kind: "linear" has a weight
    (out, in), and a bias (out) where the family has them; "conv" has the weight (in, out); "pairs"
    is a linear one made for rotary positions that turn neighbours, where ours turn halves; "norm"
    has a weight, and a bias likewise; "table" has a weight alone; "bare" is an array by itself.
    """

    theirs: str
    ours: str
    shape: str
    kind: str = "linear"


class Entry(NamedTuple):
    """An array of a checkpoint: its name and shape there, and ours, which `convert` makes of it."""

    theirs: str
    shape: tuple[int, ...]
    ours: list[str]
    convert: Callable[[Array], Array]


@dataclass(frozen=True)
class Family:
    """A kind of published model.

    read: the configuration of our model from theirs. build: a model of it without weights. prefix:
    what may stand before all names but the head's. head: rows that are not there in all of them.
    ignored: patterns of names that hold nothing new, such as masks.
    """

    name: str
    read: Callable[[Given], Any]
    build: Callable[[Any], nn.Module]
    rows: tuple[Row, ...]
    head: tuple[Row, ...]
    prefix: str = ""
    ignored: tuple[str, ...] = ()
    biased: bool = True

    def known_as(self, name: str) -> str:
        """A tensor's name as the rows have it, whichever program wrote it."""
        for old, new in (("gamma", "weight"), ("beta", "bias")):
            if name.endswith(f"LayerNorm.{old}"):
                name = name.removesuffix(old) + new
        return name.removeprefix(self.prefix)

    def is_ignored(self, name: str) -> bool:
        """Whether a tensor holds nothing that our model needs."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignored)

    def entries(self, config: Any, with_head: bool) -> Iterator[Entry]:
        """The arrays of a checkpoint with this configuration."""
        for row in (*self.rows, *(self.head if with_head else ())):
            for i in range(config.num_layers if "#" in row.theirs else 1):
                theirs, ours = (x.replace("#", str(i)) for x in (row.theirs, row.ours))
                yield from self.entries_of(row._replace(theirs=theirs, ours=ours), config)

    def entries_of(self, row: Row, config: Any) -> Iterator[Entry]:
        """The weight of a row, and the bias if there is one."""
        shape, ours = shape_of(row.shape, config), row.ours.split()
        if row.kind == "bare":
            yield Entry(row.theirs, shape, ours, as_it_is)
            return
        convert: Callable[[Array], Array] = as_it_is
        if row.kind == "conv":
            convert = transposed
        elif row.kind == "pairs":
            convert = partial(halves_of_pairs, width=config.d_model // config.num_heads)
        yield Entry(f"{row.theirs}.weight", shape, [f"{x}.weight" for x in ours], convert)
        if self.biased and row.kind != "table":
            out = shape[-1] if row.kind == "conv" else shape[0]
            yield Entry(f"{row.theirs}.bias", (out,), [f"{x}.bias" for x in ours], as_it_is)


def shape_of(letters: str, config: Any) -> tuple[int, ...]:
    """The sizes that letters stand for: V tokens, P positions, S segments, D wide, F wide in the
    middle of a feed-forward layer, K wide for keys and values."""
    sizes = {
        "V": config.vocab,
        "P": config.max_length,
        "S": SEGMENTS,
        "D": config.d_model,
        "3D": 3 * config.d_model,
        "F": config.d_ff,
        "K": config.d_model // config.num_heads * config.kv_heads,
    }
    return tuple(sizes[letter] for letter in letters.split())


def as_it_is(x: Array) -> Array:
    """The same array."""
    return x


def transposed(x: Array) -> Array:
    """The same with its two axes exchanged."""
    return x.T


def halves_of_pairs(x: Array, width: int) -> Array:
    """The rows of each head, `width` of them, with those at even places first.

    Rotary positions turn pairs of numbers. There, a pair is two neighbours; with us, a number of
    the head's first half and its counterpart in the second.

    >>> import numpy as np
    >>> halves_of_pairs(np.arange(8)[:, None], width=4)[:, 0]
    array([0, 2, 1, 3, 4, 6, 5, 7])
    """
    _, columns = x.shape
    return x.reshape(-1, width // 2, 2, columns).swapaxes(1, 2).reshape(x.shape)


def build_language_model(config: Any) -> nn.Module:
    """A language model without weights."""
    return LanguageModel(config, nn.ShapesOnly())


def build_bert(config: Any) -> nn.Module:
    """A BERT without weights."""
    return Bert(config, nn.ShapesOnly())


LAYER, READS = "decoder.layers.#.", "reader.encoder.layers.#."

GPT2 = Family(
    "GPT-2",
    read_gpt2,
    build_language_model,
    (
        Row("wte", "embedding.tokens", "V D", "table"),
        Row("wpe", "embedding.positions", "P D", "table"),
        Row("h.#.ln_1", LAYER + "self_attention_norm", "D", "norm"),
        Row(
            "h.#.attn.c_attn",
            " ".join(f"{LAYER}self_attention.{part}" for part in ("query", "key", "value")),
            "D 3D",
            "conv",
        ),
        Row("h.#.attn.c_proj", LAYER + "self_attention.output", "D D", "conv"),
        Row("h.#.ln_2", LAYER + "feed_forward_norm", "D", "norm"),
        Row("h.#.mlp.c_fc", LAYER + "feed_forward.inner", "D F", "conv"),
        Row("h.#.mlp.c_proj", LAYER + "feed_forward.outer", "F D", "conv"),
        Row("ln_f", "decoder.norm", "D", "norm"),
    ),
    head=(Row("lm_head", "projection", "V D", "table"),),
    prefix="transformer.",
    ignored=("h.*.attn.bias", "h.*.attn.masked_bias"),
)

BERT = Family(
    "BERT",
    read_bert,
    build_bert,
    (
        Row("embeddings.word_embeddings", "reader.embedding.tokens", "V D", "table"),
        Row("embeddings.position_embeddings", "reader.embedding.positions", "P D", "table"),
        Row("embeddings.token_type_embeddings", "reader.segments", "S D", "table"),
        Row("embeddings.LayerNorm", "reader.norm", "D", "norm"),
        Row("encoder.layer.#.attention.self.query", READS + "self_attention.query", "D D"),
        Row("encoder.layer.#.attention.self.key", READS + "self_attention.key", "D D"),
        Row("encoder.layer.#.attention.self.value", READS + "self_attention.value", "D D"),
        Row("encoder.layer.#.attention.output.dense", READS + "self_attention.output", "D D"),
        Row(
            "encoder.layer.#.attention.output.LayerNorm", READS + "self_attention_norm", "D", "norm"
        ),
        Row("encoder.layer.#.intermediate.dense", READS + "feed_forward.inner", "F D"),
        Row("encoder.layer.#.output.dense", READS + "feed_forward.outer", "D F"),
        Row("encoder.layer.#.output.LayerNorm", READS + "feed_forward_norm", "D", "norm"),
    ),
    head=(
        Row("cls.predictions.transform.dense", "head", "D D"),
        Row("cls.predictions.transform.LayerNorm", "head_norm", "D", "norm"),
        Row("cls.predictions.bias", "bias", "V", "bare"),
    ),
    prefix="bert.",
    ignored=(
        "embeddings.position_ids",
        "pooler.dense.*",  # which learned to tell whether one sentence follows another, and so
        "cls.seq_relationship.*",
        "cls.predictions.decoder.*",  # the token vectors, and the bias, once more
    ),
)

LLAMA_NAMES = (
    # ours, transformers', GGUF's, shape, kind
    ("embedding.tokens", "embed_tokens", "token_embd", "V D", "table"),
    (LAYER + "self_attention_norm", "layers.#.input_layernorm", "blk.#.attn_norm", "D", "norm"),
    (LAYER + "self_attention.query", "layers.#.self_attn.q_proj", "blk.#.attn_q", "D D", "pairs"),
    (LAYER + "self_attention.key", "layers.#.self_attn.k_proj", "blk.#.attn_k", "K D", "pairs"),
    (LAYER + "self_attention.value", "layers.#.self_attn.v_proj", "blk.#.attn_v", "K D", "linear"),
    (LAYER + "self_attention.output", "layers.#.self_attn.o_proj", "blk.#.attn_output", "D D",
     "linear"),
    (LAYER + "feed_forward_norm", "layers.#.post_attention_layernorm", "blk.#.ffn_norm", "D",
     "norm"),
    (LAYER + "feed_forward.gate", "layers.#.mlp.gate_proj", "blk.#.ffn_gate", "F D", "linear"),
    (LAYER + "feed_forward.inner", "layers.#.mlp.up_proj", "blk.#.ffn_up", "F D", "linear"),
    (LAYER + "feed_forward.outer", "layers.#.mlp.down_proj", "blk.#.ffn_down", "D F", "linear"),
    ("decoder.norm", "norm", "output_norm", "D", "norm"),
)  # fmt: skip

LLAMA = Family(
    "Llama",
    read_llama,
    build_language_model,
    tuple(
        Row(theirs, ours, shape, "linear" if kind == "pairs" else kind)
        for ours, theirs, _, shape, kind in LLAMA_NAMES
    ),
    head=GPT2.head,
    prefix="model.",
    ignored=("layers.*.self_attn.rotary_emb.inv_freq",),
    biased=False,
)

LLAMA_GGUF = Family(
    "Llama",
    read_llama_gguf,
    build_language_model,
    tuple(Row(theirs, ours, shape, kind) for ours, _, theirs, shape, kind in LLAMA_NAMES),
    head=(Row("output", "projection", "V D", "table"),),
    biased=False,
)

FAMILIES = {"gpt2": GPT2, "bert": BERT, "llama": LLAMA}
"""By what config.json calls its `model_type`."""
