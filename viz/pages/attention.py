"""The page of attention: every layer and head, one of them large, and how one weight came about."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.tensor import unwrap
from minitransformer.inside.inspection import Inspection, Layer, Outcome
from viz.figure.maps import WEIGHT_COLOURS, Sides, check_weights, kind_of
from viz.pages.page import Page, packed, page, plain


def attention(
    weights: Any,
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    title: str | None = None,
) -> Page:
    """Attention weights as a page: a thumbnail per head, one head large, every number to be read.

    weights: what `Predictor.inspect` found out about a model, which the page then shows all of
    (queries, keys, values, masks, gradients, each head's part of the output, the probabilities of
    what is written, and what becomes of the answer without each head); or weights alone, of shape
    (T, S), (H, T, S) or (L, H, T, S), or a mapping from each layer's name to its (H, T, S). Names
    such as "encoder.layers.0.self_attention" are put in groups.
    queries, keys: the T and the S tokens; numbers from 1 by default. title: plain text.

    The page opens on the head without which the loss is largest; of weights alone, on the one whose
    keys depend most on the query.

    ValueError for weights that do not fit the tokens, are not finite or not between 0 and 1; and
    for tokens given beside an inspection, which has its own.

    >>> page = attention(np.full((2, 3, 3), 1 / 3), ["a", "b", "c"], ["a", "b", "c"])
    >>> page.save("attention.html")  # doctest: +SKIP
    """
    data: dict[str, Any]
    if isinstance(weights, Inspection):
        if queries is not None or keys is not None:
            raise ValueError("attention: an inspection has its own tokens, queries and keys")
        data = {
            "source": weights.source,
            "target": weights.target,
            "read": weights.read,
            "likeliest": likeliest(weights),
            "normal": told(weights.normal),
            "layers": [of_model(layer, weights.target) for layer in weights.layers],
            "opens": most_needed(weights.layers),
        }
    else:
        layers = by_name(weights)
        if not layers:
            raise ValueError("attention: there is no layer to show")
        data = {
            "layers": [alone(name, x, queries, keys) for name, x in layers.items()],
            "opens": most_choosing(list(layers.values())),
        }
    data["colours"] = WEIGHT_COLOURS
    title = title or "Attention"
    for layer in data["layers"]:
        layer.update({name: packed(x) for name, x in layer.items() if isinstance(x, np.ndarray)})
    body = BODY.format(title=html.escape(title))
    return page("attention", title, body, data, height=800, scripts=SCRIPTS)


SCRIPTS = ("attention.js", "attention_figures.js", "attention_sums.js", "heads.js")


BODY = """
<header class="bar"><h1>{title}</h1></header>
<main>
  <nav id="heads" aria-label="layers and heads"></nav>
  <div>
    <table id="outcomes"></table>
    <section aria-labelledby="name">
      <div class="bar">
        <h2 id="name"></h2>
        <button type="button" id="matrix">matrix</button>
        <button type="button" id="lines">lines</button>
        <button type="button" id="off">head off</button>
      </div>
      <p id="origin" class="grey"></p>
      <dl id="facts" aria-live="polite"></dl>
      <div id="figures"></div>
      <p id="legend" class="grey" hidden>∂loss/∂weight tells how the loss would change with a
        weight: above 0 (blue), a little more weight here would raise it; below 0 (vermilion), it
        would lower it. With the head off, ≠ marks tokens of the answer that change, and at the left
        the heads without which they do.</p>
    </section>
    <section id="steps" aria-label="how this weight came about, and what came of it"></section>
  </div>
</main>
<p class="keys grey">Tab: to the heads and figures · arrows: another head or cell there ·
  Home End PageUp PageDown: the ends of a figure · d: light or dark</p>
"""


def by_name(weights: Any) -> dict[str, NDArray[Any]]:
    """The weights (H, T, S) of each layer by its name."""
    if isinstance(weights, Mapping):
        return {str(name): real(x) for name, x in weights.items()}
    stack = real(weights)
    if stack.ndim not in (2, 3, 4):
        raise ValueError(
            f"attention: weights have shape (T, S), (H, T, S) or (L, H, T, S), not {stack.shape}; "
            "choose one example of a batch"
        )
    layers = stack[(None,) * (4 - stack.ndim)]
    return {f"layer {number}": layer for number, layer in enumerate(layers, 1)}


def real(weights: Any) -> NDArray[np.floating[Any]]:
    """The weights as float32, or as float64 if they are."""
    array = np.asarray(unwrap(weights))
    if array.dtype.kind not in "bif":
        raise ValueError(f"attention: weights are real numbers, not {array.dtype}")
    return array if array.dtype == np.float64 else array.astype(np.float32)


def alone(
    name: str, weights: NDArray[Any], queries: Sequence[str] | None, keys: Sequence[str] | None
) -> dict[str, Any]:
    """A layer of which only the weights are known."""
    rows, columns = weights.shape[-2:] if weights.ndim > 1 else (0, 0)
    asking = numbers(rows) if queries is None else [str(token) for token in queries]
    asked = numbers(columns) if keys is None else [str(token) for token in keys]
    check_weights(f"attention: {name}", weights, len(asking), len(asked))
    return {**titled(name), "queries": asking, "keys": asked, "written": [], "weights": weights}


def numbers(count: int) -> list[str]:
    """Names for tokens that have none."""
    return [str(number) for number in range(1, count + 1)]


def of_model(layer: Layer, target: list[str]) -> dict[str, Any]:
    """A layer with all that an inspection found; where a decoder asks, the target is `written`."""
    about = titled(layer.path, layer.sides)
    return {
        **about,
        "written": target if about["asking"] == "target" else [],
        "queries": layer.queries,
        "keys": layer.keys,
        "query": layer.query,
        "key": layer.key,
        "value": layer.value,
        "scores": layer.scores,
        "mask": layer.mask,
        "weights": layer.weights,
        "gradient": layer.gradient,
        "part": layer.part,
        "without": [told(outcome) for outcome in layer.without],
        **({} if layer.v is None else {"v": layer.v}),
    }


def titled(path: str, sides: Sides | None = None) -> dict[str, Any]:
    """What a layer is called: its path, the group that it stands in, and its name there; and whose
    tokens stand at its sides."""
    known = kind_of(path, sides)
    if known is None:
        return {"path": path, "group": "", "name": path, "asking": "", "asked": ""}
    kind, number = known
    name = path if number is None else f"layer {number + 1}"
    about = {"origin": kind.origin, "asking": kind.query, "asked": kind.key}
    return {"path": path, "group": kind.heading, "name": name, **about}


def likeliest(inspection: Inspection, count: int = 5) -> list[dict[str, Any]]:
    """At each step, the probability of the right token, and the tokens that are the likeliest."""
    tokens = inspection.vocabulary
    steps = []
    for right, row in zip(inspection.target, inspection.probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[:count]
        steps.append(
            {
                "right": plain(row[tokens.index(right)]),
                "top": [[tokens[i], plain(row[i])] for i in order],
            }
        )
    return steps


def most_needed(layers: Sequence[Layer]) -> tuple[int, int]:
    """The layer's and the head's number, from 0, of that without which the loss is largest."""
    losses = {
        (number, head): outcome.loss
        for number, layer in enumerate(layers)
        for head, outcome in enumerate(layer.without)
    }
    return max(losses, key=lambda at: (not math.isnan(losses[at]), losses[at]))


def most_choosing(layers: Sequence[NDArray[Any]]) -> tuple[int, int]:
    """The layer's and the head's number, from 0, of that whose keys depend most on the query.

    That is the mutual information of query and key, all queries being as likely: the entropy of
    the mean row less the mean entropy of a row. It is 0 where every query attends alike: to all
    keys, or always to the first.
    """
    information = {
        (number, head): entropy(weights.mean(0)) - entropy(weights).mean()
        for number, layer in enumerate(layers)
        for head, weights in enumerate(layer)
    }
    return max(information, key=lambda at: float(information[at]))


def entropy(rows: NDArray[Any]) -> Any:
    """−Σ p log p along the last axis."""
    p = np.clip(rows, 0, 1)
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def told(outcome: Outcome) -> dict[str, Any]:
    """An answer and its loss."""
    return {"answer": outcome.answer, "loss": plain(outcome.loss)}
