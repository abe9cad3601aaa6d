"""Weights to and from PyTorch: our parameter names beside those of `torch.nn.Transformer`.

`to_torch` and `from_torch` take a whole state or that of any part, and neither needs PyTorch:

    theirs.encoder.load_state_dict({name: torch.tensor(x) for name, x in
                                    to_torch(model.encoder.state_dict()).items()})
    model.encoder.load_state_dict(from_torch(theirs.encoder.state_dict()))

`torch.nn.Transformer` ends a post-norm stack in one more norm, which neither the paper nor this
model has: set `theirs.encoder.norm = theirs.decoder.norm = None` for the same results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.tensor import Array

TABLE = [
    # ours, PyTorch's; * is weight or bias
    ("self_attention.query.* self_attention.key.* self_attention.value.*", "self_attn.in_proj_*"),
    ("self_attention.output.*", "self_attn.out_proj.*"),
    ("self_attention_norm.*", "norm1.*"),
    ("cross_attention.query.* cross_attention.key.* cross_attention.value.*",
     "multihead_attn.in_proj_*"),
    ("cross_attention.output.*", "multihead_attn.out_proj.*"),
    ("cross_attention_norm.* feed_forward_norm.*", "norm2.* norm3.*"),  # in a decoder layer
    ("feed_forward_norm.*", "norm2.*"),  # in an encoder layer
    ("feed_forward.inner.*", "linear1.*"),
    ("feed_forward.outer.*", "linear2.*"),
    ("norm.*", "norm.*"),  # at the end of a stack
    ("query.* key.* value.*", "in_proj_*"),  # of an attention by itself
    ("output.*", "out_proj.*"),
    ("tokens.*", "tokens.*"),  # embeddings and projection: nn.Transformer has none
    ("positions.*", "positions.*"),
    ("projection.*", "projection.*"),
]  # fmt: skip
"""Which of our arrays, one below the other, are which of PyTorch's, one below the other.

A row applies wherever all its names are there, whatever stands before them; the first one wins.
"""


def to_torch(state: Mapping[str, Any]) -> dict[str, Array]:
    """Our state under PyTorch's names: query, key and value become one `in_proj`.

    Embeddings and projection, which `torch.nn.Transformer` leaves to its user, keep their names.
    ValueError lists the names that are not in the table.

    >>> from minitransformer import MultiHeadAttention
    >>> state = MultiHeadAttention(d_model=4, num_heads=2).state_dict()
    >>> {name: x.shape for name, x in to_torch(state).items() if "weight" in name}
    {'in_proj_weight': (12, 4), 'out_proj.weight': (4, 4)}
    """
    return renamed(state, [(ours.split(), theirs.split()) for ours, theirs in TABLE])


def from_torch(state: Mapping[str, Any]) -> dict[str, Array]:
    """PyTorch's state, as `state_dict()` gives it, under our names: the reverse of `to_torch`."""
    return renamed(state, [(theirs.split(), ours.split()) for ours, theirs in TABLE])


def renamed(state: Mapping[str, Any], table: list[tuple[list[str], list[str]]]) -> dict[str, Array]:
    """Copies of all arrays, the old names of each row put together and cut into the new ones."""
    rest = {name: np.asarray(x) for name, x in state.items()}
    result: dict[str, Array] = {}
    for old, new in table:
        for kind in ("weight", "bias"):
            first, *others = (name.replace("*", kind) for name in old)
            prefixes = [
                name.removesuffix(first) for name in rest if f".{name}".endswith(f".{first}")
            ]
            for prefix in prefixes:
                names = [prefix + part for part in (first, *others)]
                if all(name in rest for name in names):
                    whole = np.concatenate([rest.pop(name) for name in names])
                    for part, x in zip(new, np.split(whole, len(new)), strict=True):
                        result[prefix + part.replace("*", kind)] = x
    if rest:
        raise ValueError(
            f"no counterpart for {', '.join(rest)}; query, key and value go together only"
        )
    return result
