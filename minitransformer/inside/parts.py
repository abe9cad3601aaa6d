"""Vectors inside a model as sums of named parts: a token, its position, each earlier head's output.

What a layer reads is a sum: the embedding, and what each layer before has added to it. Adding,
linear maps, reshaping and turning by a position work on a sum part by part. So does a norm, once
its scale is taken as what it was: "frozen", as in Elhage et al., "A Mathematical Framework for
Transformer Circuits" (2021). So a query, or a key, is the sum of what became of each part, and
nothing is left over; a score, query · key / √K, is a sum over pairs of parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.tensor import Array, Tensor
from minitransformer.inside.maps import ATTENTION
from minitransformer.parts.embedding import TokenEmbedding


class Part(NamedTuple):
    """Where a part comes from: the path of a module, and of attention the head, from 0.

    A path such as "source_embedding.tokens", "source_embedding.positions" (of sinusoidal ones
    too), "encoder.layers.0.feed_forward" or "encoder.layers.0.self_attention"; or BIASES.
    """

    path: str
    head: int | None = None


Parts = dict[Part, Array]
"""A vector at each place, (B, ..., D), as a sum."""

BIASES = Part("biases")
"""What is added whatever the tokens are: the biases of linear maps, and the shifts of norms."""


def parts_of(tensors: Sequence[Tensor], model: nn.Module) -> list[Parts]:
    """Each recorded tensor as the sum of its parts, whose shapes are its own, oldest part first.

    What is computed in another way than above, such as an activation or attention itself, is where
    parts begin; attention's result is a part for each head.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    found: dict[int, Parts] = {}
    for node in with_summands(tensors):
        inputs = [found[x.order] for x in summands(node)]
        found[node.order] = split(node, inputs, paths) if inputs else begin(node, paths)
    return [
        dict(sorted(found[x.order].items(), key=lambda item: item[0] == BIASES)) for x in tensors
    ]


def with_summands(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors and all that they are sums of, oldest first."""
    found = {x.order: x for x in tensors}
    waiting = [*tensors]
    while waiting:
        for x in summands(waiting.pop()):
            if x.order not in found:
                found[x.order] = x
                waiting.append(x)
    return [found[order] for order in sorted(found)]


def summands(node: Tensor) -> list[Tensor]:
    """The inputs that pass their parts on to a tensor; none where its parts begin."""
    name = "" if node.op is None else node.op.name
    tensors = [x for x in node.inputs if isinstance(x, Tensor)]
    if name == "add" or (name == "multiply" and len(tensors) == 1):
        return tensors
    return tensors[:1] if name in MAPS else []


def split(node: Tensor, inputs: list[Parts], paths: dict[int, str]) -> Parts:
    """The parts of a tensor from those of its inputs."""
    assert node.op is not None
    parts: Parts = {}

    def put(part: Part, x: Any) -> None:
        x = np.broadcast_to(x, node.shape)
        parts[part] = parts[part] + x if part in parts else x

    name = node.op.name
    for summand in inputs:
        for part, x in summand.items():
            put(part, MAPS[name](node, x) if name in MAPS else x)
    constants = [x for x in node.inputs if not isinstance(x, Tensor)]
    if name == "multiply":
        return {part: x * constants[0] for part, x in parts.items()}
    if name == "add":
        for x in constants:
            assert node.scope is not None
            is_position = isinstance(node.scope.module, TokenEmbedding)
            path = paths[id(node.scope.module)]
            put(Part(f"{path}.positions") if is_position else BIASES, x)
    elif name in ("linear", "layer_norm") and node.inputs[2] is not None:
        put(BIASES, node.inputs[2].data)
    return parts


def begin(node: Tensor, paths: dict[int, str]) -> Parts:
    """A tensor as a part of its own; attention's result, (B, H, T, K), as one for each head."""
    if node.op is None or node.scope is None:
        return {BIASES: node.data}
    path = paths[id(node.scope.module)]
    if node.op.name not in ATTENTION or node.ndim < 4:
        return {Part(path): node.data}
    parts = {}
    for head in range(node.shape[1]):
        part = np.zeros_like(node.data)
        part[:, head] = node.data[:, head]
        parts[Part(path, head)] = part
    return parts


def map_linear(node: Tensor, part: Array) -> Array:
    """What a linear map makes of a part."""
    product: Array = part @ node.inputs[1].data.T
    return product


def scale(node: Tensor, part: Array) -> Array:
    """What a norm makes of a part, its scale being what it was."""
    if node.op is not None and node.op.name == "layer_norm":
        part = part - part.mean(-1, keepdims=True)
    _, inverse = node.saved
    weight = node.inputs[1]
    return part * inverse.reshape(*part.shape[:-1], 1) * (1 if weight is None else weight.data)


def move(node: Tensor, part: Array) -> Array:
    """What an op that only moves or turns numbers makes of a part."""
    assert node.op is not None
    moved: Array = node.op.forward(part, **node.params)
    return moved


MAPS: dict[str, Callable[[Tensor, Array], Array]] = {
    "linear": map_linear,
    "layer_norm": scale,
    "rms_norm": scale,
    "reshape": move,
    "swapaxes": move,
    "rotary": move,
}
"""What an op makes of each part of its first input, by its name."""
