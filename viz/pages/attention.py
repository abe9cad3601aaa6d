"""The page of attention: every layer and head, one of them large, and how one weight came about."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.tensor import unwrap
from minitransformer.inside.inspection import Inspection, Layer, Outcome
from minitransformer.inside.lenses import Lens
from minitransformer.inside.maps import information
from minitransformer.inside.parts import BIASES, Part, Parts
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
    (queries, keys, values, masks, gradients, what each part of a layer's input does to a score,
    each head's part of the output, the probabilities of what is written, what each layer would say,
    and what becomes of the answer without each head); or weights alone, of shape
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
    note = ""
    if isinstance(weights, Inspection):
        if queries is not None or keys is not None:
            raise ValueError("attention: an inspection has its own tokens, queries and keys")
        data = {
            "source": weights.source,
            "target": weights.target,
            "words": WORDS[weights.form],
            "likeliest": likeliest(weights),
            "normal": told(weights.normal),
            "layers": [of_model(layer, weights) for layer in weights.layers],
            "opens": where_to_open(weights.layers),
        }
        if sum(layer.part.size for layer in weights.layers) > MOST_NUMBERS:
            for layer in data["layers"]:
                del layer["part"]
        if weights.lens is not None:
            data["lens"] = through(weights.lens, weights)
        if weights.form == "text":
            note = OF_TEXT.format(end=OWN_END if len(weights.asked) > 1 else "")
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
    body = BODY.format(title=html.escape(title), note=note)
    return page("attention", title, body, data, height=800, scripts=SCRIPTS)


SCRIPTS = ("attention.js", "attention_chosen.js", "attention_figures.js", "attention_sums.js",
           "attention_parts.js", "attention_lens.js", "heads.js")  # fmt: skip


WORDS = {
    "pairs": {"over": "the vocabulary at each step", "right": "to write"},
    "labels": {"over": "the labels", "right": "label"},
    "text": {"over": "the vocabulary after each token", "right": "comes next",
             "source": "text", "target": "comes next", "answer": "likeliest"},
    "masked": {"over": "the vocabulary at each gap", "right": "asked for", "target": "asked for"},
}  # fmt: skip
"""By the form of a question, what the probabilities are of, and what is asked for is called; the
names of its source, target and answer too, where they have others."""

OF_TEXT = """<p id="note" class="grey">What a word such as “it” stands for may be told by one that
  comes later: its own weights cannot depend on that, only those of the tokens after it can.{end}
  </p>"""
OWN_END = """ After the last token the loss asks for what the model itself finds likeliest."""

MOST_NUMBERS = 400_000
"""In all heads' parts of the output, at most: of larger models their lengths are shown alone."""


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
      {note}
      <dl id="facts" aria-live="polite"></dl>
      <div id="figures"></div>
      <p id="legend" class="grey" hidden>∂loss/∂weight tells how the loss would change with a
        weight: above 0 (blue), a little more weight here would raise it; below 0 (vermilion), it
        would lower it.<span id="changes"> With the head off, ≠ marks tokens of the answer that
        change, and at the left the heads without which they do.</span></p>
    </section>
    <section id="why" aria-labelledby="why-title" hidden>
      <div class="bar">
        <h2 id="why-title">Why this score: which part of the query meets which of the key</h2>
        <button type="button" id="against">against the other keys</button>
      </div>
      <p id="why-words" class="grey"></p>
      <div id="why-sums"></div>
    </section>
    <section id="steps" aria-label="how this weight came about, and what came of it"></section>
    <section id="lens" aria-labelledby="lens-title" hidden>
      <div class="bar">
        <h2 id="lens-title"></h2>
        <button type="button" id="forward">forward</button>
        <button type="button" id="backward">backward</button>
      </div>
      <p id="lens-words" class="grey"></p>
      <div id="lens-cells" class="scroll"></div>
      <dl id="lens-told" aria-live="polite"></dl>
    </section>
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


def of_model(layer: Layer, of: Inspection) -> dict[str, Any]:
    """A layer with all that an inspection found; `written` is what is asked for at its queries."""
    about = titled(layer.path, layer.sides)
    written = [""] * len(layer.queries)
    if about["asking"] == "target" or not of.read:
        for place, token in zip(of.places, of.target, strict=False):
            written[place] = token
    return {
        **about,
        "written": written if any(written) else [],
        "write": WORDS[of.form]["right"],
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
        "lengths": np.sqrt(np.vecdot(layer.part, layer.part)),
        "without": [told(outcome) for outcome in layer.without],
        **({} if layer.v is None else {"v": layer.v}),
        **in_parts("query", layer.query_parts),
        **in_parts("key", layer.key_parts),
        "split": layer.split,
    }


def in_parts(what: str, parts: Parts) -> dict[str, Any]:
    """The parts of queries or keys, (P, H, T, K) of the heads that are split, and their names."""
    if not parts:
        return {}
    return {f"{what}Parts": np.stack([*parts.values()]), f"{what}PartNames": [*map(called, parts)]}


def called(part: Part) -> str:
    """Such as "token", "layer 1, head 2" or "layer 1, feed-forward"."""
    if part == BIASES:
        return "biases"
    name = part.path.rpartition(".")[2]
    kind = OWN_NAMES.get(name, name.replace("_", " "))
    if part.head is not None:
        kind = f"{kind.removesuffix('attention').replace('-', ' ')}head {part.head + 1}"
    numbered = re.search(r"\blayers\.(\d+)\.", part.path)
    return f"layer {int(numbered[1]) + 1}, {kind}" if numbered else kind


OWN_NAMES = {
    "tokens": "token",
    "positions": "position",
    "segments": "segment",
    "self_attention": "attention",
    "cross_attention": "cross-attention",
    "feed_forward": "feed-forward",
}
"""What parts of a vector are called, by the last name in the path of the module."""


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
    """At each step, the token that has been read, the probability of what is asked for then, and
    the tokens that are the likeliest."""
    tokens, read = inspection.vocabulary, inspection.read or inspection.source
    steps: list[dict[str, Any]] = []
    for right, row in zip(inspection.asked, inspection.probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[:count]
        likeliest = [[tokens[i], plain(row[i])] for i in order]
        steps.append({"right": plain(row[right]), "top": likeliest})
    for step, place in zip(steps, inspection.places, strict=False):
        step |= {"place": place, "read": read[place]}
    return steps


def through(lens: Lens, of: Inspection) -> dict[str, Any]:
    """What a lens shows: after each layer and at each place tokens, as numbers in a list of its
    own, and how likely each is, or how far it moves."""
    numbered = {"guesses": lens.guesses, "raised": lens.raised, "lowered": lens.lowered}
    own = np.unique(np.concatenate([x.ravel() for x in numbered.values()]))
    sizes = {
        "probabilities": lens.probabilities,
        "right": lens.right,
        "rises": lens.rises,
        "falls": lens.falls,
    }
    count = len(lens.guesses)
    return {
        "names": ["embedding", *(f"layer {number}" for number in range(1, count))],
        "reads": of.read or of.source,
        "places": of.places,
        "tokens": [of.vocabulary[number] for number in own],
        **{name: packed(np.searchsorted(own, x)) for name, x in numbered.items()},
        **{name: packed(x) for name, x in sizes.items()},
    }


def where_to_open(layers: Sequence[Layer]) -> tuple[int, int]:
    """The layer's and the head's number, from 0: of the head that is needed most, if that is known,
    or else of that whose keys depend most on the query."""
    if layers[0].without:
        return most_needed(layers)
    return most_choosing([layer.weights for layer in layers])


def most_needed(layers: Sequence[Layer]) -> tuple[int, int]:
    """The layer's and the head's number, from 0, of that without which the loss is largest."""
    losses = {
        (number, head): outcome.loss
        for number, layer in enumerate(layers)
        for head, outcome in enumerate(layer.without)
    }
    return max(losses, key=lambda at: (not math.isnan(losses[at]), losses[at]))


def most_choosing(layers: Sequence[NDArray[Any]]) -> tuple[int, int]:
    """The layer's and the head's number, from 0, of that whose keys depend most on the query."""
    values = [information(weights) for weights in layers]
    number = max(range(len(values)), key=lambda number: float(values[number].max()))
    return number, int(values[number].argmax())


def told(outcome: Outcome) -> dict[str, Any]:
    """An answer and its loss."""
    return {"answer": outcome.answer, "loss": plain(outcome.loss)}
