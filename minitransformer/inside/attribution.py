"""Attribution: which of the tokens that a model reads do its answers come from?

A head's weights say where it looks, and not what becomes of what it sees there: Jain and Wallace,
"Attention is not Explanation" (2019). Here are three other answers, of which each asks something
else: where attention leads through all layers (`rollout`), what a small change of a token would do
(`gradient_times_input`), and what comes of it if a token, or a head, is taken away (`knock_out`,
`heads_off`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.backward import propagate
from minigrad.mode import no_grad
from minigrad.tensor import Array, Tensor, behind
from minitransformer.decoding import evaluating
from minitransformer.inside.maps import recorded

Score = Callable[[Any], Any]
"""From a model's logits, (B, ...), a Tensor or an array, to what is to be explained, (B,)."""


def rollout(layers: Sequence[Array]) -> Array:
    """(B, T, T): from which tokens what stands at each place has come, through all layers.

    layers: the weights (B, H, T, T) of each, the first first. A layer is taken for the mean of its
    heads, and the residual connection for as much again: Abnar and Zuidema, "Quantifying Attention
    Flow in Transformers" (2020), section 3.

    >>> rollout([np.array([[[[0.0, 1.0], [0.0, 1.0]]]])])
    array([[[0.5, 0.5],
            [0. , 1. ]]])
    """
    stays = np.eye(layers[0].shape[-1])
    found = stays
    for weights in layers:
        found = (weights.mean(axis=1) + stays) / 2 @ found
    return found


def gradient_times_input(model: Any, inputs: Sequence[Array], score: Score) -> Array:
    """(B, S): what each token of the source adds to the score, as far as that is linear.

    It is the gradient of the score by the token's vector, times that vector. All tokens together
    are the score, if the model is linear in them without a bias: Shrikumar et al., "Not Just a
    Black Box" (2016), section 2. ValueError for a model that does not say which rows those are.
    """
    with recorded(model):
        root = score(model(*inputs)).sum()
    vectors = vectors_of_source(root, model)
    ((_, gradient),) = propagate(root, np.ones_like(root.data), stop=[vectors])
    found: Array = (gradient * vectors.data).sum(axis=-1)
    return found


def vectors_of_source(result: Tensor, model: Any) -> Tensor:
    """(B, S, D): the rows of the token vectors that a recorded result came from."""
    rows = {name for name, whose in getattr(model, "token_rows", {}).items() if whose == "source"}
    embeddings = [x for name, x in model.named_modules() if f"{name}.weight" in rows]
    for node in behind(result):
        is_lookup = node.op is not None and node.op.name == "embedding"
        if is_lookup and node.scope and any(node.scope.module is x for x in embeddings):
            return node
    raise ValueError("this model does not say which of its weights are the tokens' vectors")


def knock_out(
    model: Any, inputs: Sequence[Array], score: Score, places: Array, instead: int
) -> Array:
    """(B,): how far each score falls when the token at one place of its source is another one.

    places: (B,). instead: the number of that token, such as [MASK]. Li, Monroe and Jurafsky,
    "Understanding Neural Networks through Representation Erasure" (2016), section 2.
    """
    source, *others = inputs
    without = source.copy()
    without[np.arange(len(source)), places] = instead
    return scored(model, inputs, score) - scored(model, [without, *others], score)


def heads_off(model: Any, measure: Callable[[], Any]) -> Iterator[tuple[str, int, Any]]:
    """(path of the layer, head from 0, what is measured without it) of each attention head."""
    for path, module in model.named_modules():
        if hasattr(module, "head_off"):
            for head in range(module.num_heads):
                with module.head_off(head):
                    yield path, head, measure()


def scored(model: Any, inputs: Sequence[Array], score: Score) -> Array:
    """(B,): the scores, with nothing recorded."""
    with no_grad(), evaluating(model):
        found: Array = np.asarray(score(model(*inputs).data))
    return found
