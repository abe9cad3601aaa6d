"""Attention maps of any model, read off the graph that a forward pass leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.mode import recording
from minigrad.tensor import Array, Tensor, behind
from minitransformer.decoding import evaluating

ATTENTION = ("scaled_dot_product_attention", "additive_attention")
"""The ops that attend. The first that each saves is its weights, (B, H, T, S) or (B, T, S)."""


class AttentionMap(NamedTuple):
    """What an attention layer attends to: weights (B, H, T, S), each row summing to one.

    mask: boolean, True = may attend, (T, S), of the first example. queries, keys: whose tokens
    look, and at whose they look, as the model says: "source" or "target", say.
    """

    weights: Array
    mask: Array
    queries: str
    keys: str


def attention_maps(model: Any, *inputs: Any) -> dict[str, AttentionMap]:
    """What every head attends to: {"encoder.layers.0.self_attention": AttentionMap(…), …}."""
    with recorded(model):
        found = attention_steps(model(*inputs), model)
    return {
        path: AttentionMap(weights_of(steps), mask_of(steps), *model.sides(path))
        for path, steps in found.items()
    }


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


def attention_steps(result: Tensor, model: nn.Module) -> dict[str, list[Tensor]]:
    """Every attention op behind `result`, by the path of the module that ran it, in its order.

    A recurrent decoder attends once for each target token: the steps are then several.
    """
    names = {id(module): name for name, module in model.named_modules()}
    found: dict[str, list[Tensor]] = {}
    for node in sorted(behind(result), key=lambda node: node.order):
        if node.op is not None and node.op.name in ATTENTION:
            assert node.scope is not None
            found.setdefault(names[id(node.scope.module)], []).append(node)
    return {name: found[name] for name in names.values() if name in found}


def by_heads(x: Array) -> Array:
    """(B, H, T, S) of an attention's array, which without a dimension for heads has one."""
    return x if x.ndim == 4 else x[:, None]


def weights_of(steps: list[Tensor]) -> Array:
    """(B, H, T, S): the weights of all steps, one target place after the other."""
    return np.concatenate([by_heads(step.saved[0]) for step in steps], axis=2)


def mask_of(steps: list[Tensor]) -> Array:
    """(T, S): where the first example may attend, which is the same for each head."""
    masks = [np.broadcast_to(step.params["mask"], step.saved[0].shape) for step in steps]
    return np.concatenate([by_heads(mask)[0, 0] for mask in masks])


def information(weights: Array) -> Array:
    """How much each head's keys depend on the query: (H, T, S) → (H,).

    That is the mutual information of query and key, all queries being as likely: the entropy of
    the mean row less the mean entropy of a row. It is 0 where every query attends alike: to all
    keys, or always to the first.
    """
    found: Array = entropy(weights.mean(-2)) - entropy(weights).mean(-1)
    return found


def entropy(rows: Array) -> Array:
    """−Σ p log p along the last axis."""
    p = np.clip(rows, 0, 1)
    found: Array = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)
    return found
