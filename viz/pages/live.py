"""The page that is alive: a trained model inside it, which answers anew whatever is changed."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.nn import count_parameters
from minitransformer.forms import Form
from minitransformer.inside.maps import AttentionMap, attention_maps
from minitransformer.inside.program import Program, record
from viz.figure.maps import WEIGHT_COLOURS
from viz.pages.attention import most_choosing, titled
from viz.pages.page import Page, packed, page

OPS = (
    "embedding", "linear", "scaled_dot_product_attention", "layer_norm", "rms_norm", "rotary",
    "add", "multiply", "divide", "where", "relu", "silu", "gelu", "reshape", "swapaxes", "sum",
)  # fmt: skip
"""What the page can compute: those of models made of attention. They stand in live_ops.js."""

MOST_WEIGHTS = 1_000_000
"""In a page, at most: it would take 5 MB, and a step more than a moment."""

MOST_TOKENS = 128
"""That may be read, or written, in a page, where the model itself takes more."""

SCRIPTS = (
    "live.js",
    "live_shown.js",
    "live_answer.js",
    "live_ops.js",
    "attention_chosen.js",
    "attention_figures.js",
    "heads.js",
)
STYLES = ("attention.css", "live.css")

WORDS = {
    "pairs": {"over": "the vocabulary at each step", "asked": "writes"},
    "labels": {"over": "the labels", "asked": "label"},
    "text": {"over": "the vocabulary after the last token", "asked": "comes next",
             "source": "text", "answer": "comes next"},
    "masked": {"over": "the vocabulary at each gap", "asked": "fills", "source": "text",
               "answer": "fills"},
}  # fmt: skip
"""By the form of a question, what the probabilities are of, and what is said at a place is called;
the names of source and answer too, where they have others."""


def live(model: Any, form: Form, source: Sequence[int], title: str | None = None) -> Page:
    """A page that holds a model and computes it anew in the browser: all its attention weights and
    its answer, when a token is changed, a head is switched off or a weight is set by hand.

    source: token numbers as `form.read` gives them, with which the page opens. title: plain text.
    What it computes is the graph that a forward pass records: see `minitransformer.inside.program`.

    ValueError for a model that is not made of attention alone, or has more than MOST_WEIGHTS.

    >>> page = live(predictor.model, predictor.form, predictor.form.read("3 1 4"))
    ... # doctest: +SKIP
    """
    count = count_parameters(model)
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"the model has {count:,} weights, and a live page holds {MOST_WEIGHTS:,} at most"
        )
    source = [*source]
    shape, special = form.shape, form.tokenisers["source"].special
    sides = {"source": shape.source} | ({"target": shape.target} if form.name == "pairs" else {})
    lengths = {side: min(length, MOST_TOKENS) for side, length in sides.items()}
    if len(source) > lengths["source"]:
        raise ValueError(
            f"{len(source)} tokens are more than the {lengths['source']} of a live page"
        )
    program = record(model, lengths, next(x for x in range(shape.vocab) if x != special.pad), OPS)
    example = source, form.answer(model, [source])[0]
    maps = attention_maps(model, *form.batch([example]).inputs)
    if not maps:
        raise ValueError("this model has no attention to show")
    data = {
        "form": form.name,
        "words": WORDS[form.name],
        "program": written(program),
        "source": source,
        "layers": layers_of(program, maps),
        "opens": most_choosing([x.weights[0] for x in maps.values()]),
        "colours": WEIGHT_COLOURS,
        **vocabulary(form),
    }
    title = title or "Live"
    body = BODY.format(title=html.escape(title), weights=count)
    return page("live", title, body, data, height=900, scripts=SCRIPTS, styles=STYLES)


def written(program: Program) -> dict[str, Any]:
    """A program for `loadModel` in live_ops.js: its arrays as one, one after the other."""
    flat = [np.asarray(x, x.dtype if x.dtype == np.float64 else np.float32) for x in program.arrays]
    return {
        "lengths": program.lengths,
        "steps": program.steps,
        "shapes": [x.shape for x in flat],
        "weights": packed(np.concatenate([x.ravel() for x in flat])),
    }


def layers_of(program: Program, maps: Mapping[str, AttentionMap]) -> list[dict[str, Any]]:
    """The layers that attend: what each is called, its heads, and the number of its step."""
    steps = {step["path"]: number for number, step in enumerate(program.steps) if "path" in step}
    return [
        {
            **titled(path, (x.queries, x.keys)),
            "heads": x.weights.shape[1],
            "step": steps[path],
            "written": [],
        }
        for path, x in maps.items()
    ]


def vocabulary(form: Any) -> dict[str, Any]:
    """What tokens are called: those to read, `usable` ones among them, and those to choose from, of
    which some are `banned` as the form bans them; the numbers of special ones."""
    tokeniser = form.tokenisers["source"]
    special, controls = tokeniser.special, tokeniser.controls
    may_stand = {special.mask} if getattr(form, "strict", False) else {special.mask, special.unk}
    answers = form.tokenisers.get("target", tokeniser).special
    banned = {
        "labels": set[int](),
        "masked": controls,
    }.get(form.name, {answers.pad, answers.bos} - {answers.eos})
    return {
        "tokens": tokeniser.shown,
        "choices": form.choices,
        "usable": [x for x in range(len(tokeniser)) if x not in controls - may_stand],
        "framed": len(tokeniser.frame([])) // 2 if form.name in ("labels", "masked") else 0,
        "banned": sorted(banned),
        "bos": answers.bos,
        "eos": answers.eos,
        "gap": special.mask,
    }


BODY = """
<header class="bar"><h1>{title}</h1></header>
<main>
  <section id="question" aria-label="what the model reads, and its answer">
    <p class="grey">The trained model, {weights:,} weights, is inside this page. Change a token,
      switch a head off, or set a weight by hand: the answer and every map are computed anew,
      here.</p>
    <table id="outcomes"></table>
    <div id="edit" class="bar">
      <label for="token" id="place"></label>
      <select id="token"></select>
      <button type="button" id="insert">insert</button>
      <button type="button" id="remove">remove</button>
      <button type="button" id="reset">all as at first</button>
      <span id="took" class="grey" role="status"></span>
    </div>
    <div id="changes" class="bar"></div>
  </section>
  <nav id="heads" aria-label="layers and heads"></nav>
  <div>
    <section aria-labelledby="name">
      <div class="bar">
        <h2 id="name"></h2>
        <button type="button" id="matrix">matrix</button>
        <button type="button" id="lines">lines</button>
        <button type="button" id="off">head off</button>
      </div>
      <p id="origin" class="grey"></p>
      <dl id="facts" aria-live="polite"></dl>
      <div id="hand" class="bar">
        <label for="weight">weight by hand</label>
        <input type="range" id="weight" min="0" max="1" step="0.01">
        <output id="set" for="weight" class="number"></output>
        <button type="button" id="release">as computed</button>
        <span id="how" class="grey"></span>
      </div>
      <div id="figures"></div>
    </section>
    <section id="steps"></section>
  </div>
</main>
<p class="keys grey">Tab: to tokens, heads and figures · arrows: another one there ·
  Enter on a token: choose another · o: head off · d: light or dark</p>
"""
