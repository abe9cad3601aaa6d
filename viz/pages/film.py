"""The page of a film: heads, loss and answers of a training run, frame by frame."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from minigrad.files import StrPath
from minigrad.tensor import Array
from minitransformer.inside.film import Film, Frame, read_film
from minitransformer.training import Record, metric_of
from viz.figure.maps import WEIGHT_COLOURS
from viz.figure.plots import amount
from viz.pages.attention import titled
from viz.pages.page import Page, packed, page, plain


def film(run: StrPath) -> Page:
    """The film of a training run, as a page with a slider over its frames.

    run: the folder of a run that was trained with `--film`, finished or not. The page shows the
    loss, what the model answers to one held-out example, and each head's attention map; where a
    diagonal is born it shows how. Of a model without attention it says so. Raises RunError where
    there is no film.

    >>> film("runs/reverse").save("film.html")  # doctest: +SKIP
    """
    shown = read_film(run)
    data = {
        "form": shown.form,
        "question": shown.question,
        "right": shown.target,
        "frames": [moment(frame) for frame in shown.frames],
        "losses": [[record["step"], record["loss"]] for record in shown.records],
        "colours": WEIGHT_COLOURS,
        "layers": [layer(path, shown) for path in shown.frames[0].maps],
    }
    body = BODY.format(
        task=html.escape(shown.task),
        metric=metric_of(shown.frames[-1].score).replace("_", " ") or "exact match",
        last=len(shown.frames) - 1,
        heads=HEADS if data["layers"] else NO_HEADS,
        births=BIRTHS if data["layers"] else "",
        keys=" · Shift and arrows: a cell" if data["layers"] else "",
    )
    title = f"Film: {shown.task}"
    return page("film", title, body, data, height=800, scripts=SCRIPTS)


SCRIPTS = ("film.js", "film_head.js", "film_plots.js", "heads.js")


BODY = """
<header class="bar">
  <h1>Learning, frame by frame: {task}</h1>
</header>
<div class="reel">
  <button type="button" id="play" title="play or pause (space)">play</button>
  <input type="range" id="frame" min="0" max="{last}" value="0" aria-label="frame">
  <p id="moment"><b id="step"></b> <span>loss <b id="loss"></b></span>
    <span>{metric} <b id="score"></b></span></p>
</div>
<main>
{heads}
  <div class="side">
    <section aria-labelledby="asked">
      <h2 id="asked">One example it never trained on</h2>
      <div id="example"></div>
      <p id="verdict"></p>
    </section>
    <section class="curves" aria-labelledby="lossname">
      <h2 id="lossname">Loss</h2>
      <div id="losses"></div>
    </section>
{births}
  </div>
</main>
<p class="keys grey">← → Home End: frames, as a click on a curve · space: play{keys} ·
  d: light or dark</p>
"""

HEADS = """
  <section id="heads" aria-label="all heads"></section>
  <section id="head" aria-labelledby="name">
    <h2 id="name"></h2>
    <div id="map"></div>
    <p id="cell" class="grey"></p>
  </section>
"""

NO_HEADS = """
  <p id="headless" class="grey">This model has no attention, so there are no heads to show.</p>
"""

BIRTHS = """
    <section class="curves" aria-labelledby="birthname">
      <h2 id="birthname">Weight in the rings: <span id="birth"></span></h2>
      <div id="births"></div>
      <p id="line" class="grey"></p>
    </section>
"""


def moment(frame: Frame) -> dict[str, Any]:
    """What is shown of a frame beside its maps."""
    return {
        "step": frame.step,
        "loss": frame.record.get("loss"),
        "score": scored(frame.score),
        "answer": frame.answer,
    }


def scored(record: Record) -> str | None:
    """How good the model was in a record, and when that was found; None where it says nothing."""
    if not record:
        return None
    metric = metric_of(record)
    return f"{amount(metric, record[metric])} (step {record['step']})"


def layer(path: str, shown: Film) -> dict[str, Any]:
    """One layer's attention: the tokens along its sides, weights (frames, H, T, S), and the line of
    each head."""
    weights = np.stack([frame.maps[path] for frame in shown.frames])
    about, (queries, keys) = titled(path, shown.sides[path]), shown.tokens(path)
    return {
        **about,
        "queries": queries,
        "keys": keys,
        "written": [*shown.target, shown.end] if about["asking"] == "target" else [],
        "write": "to write",
        "weights": packed(weights),
        "lines": [line(weights[:, head]) for head in range(weights.shape[1])],
    }


def line(weights: Array) -> dict[str, Any]:
    """The line that a head follows in the end, key = slope · query + offset, and since when.

    weights: (frames, T, S). Of all diagonals (slope 1) and anti-diagonals (slope −1) that lack at
    most one cell, it is the one with the largest mean weight in the last frame; `weight` is that
    mean in every frame.
    """
    queries, keys = np.indices(weights.shape[1:])
    needed = max(1, min(weights.shape[1:]) - 1)
    found = []
    for slope in (1, -1):
        offsets = keys - slope * queries
        for offset in np.unique(offsets):
            on = offsets == offset  # (T, S)
            if np.count_nonzero(on) >= needed:
                found.append((slope, int(offset), weights[:, on].mean(axis=1)))
    slope, offset, weight = max(found, key=lambda candidate: candidate[2][-1])
    return {"slope": slope, "offset": offset, "weight": plain(weight)}
