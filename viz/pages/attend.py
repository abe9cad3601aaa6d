"""The page of self-attention by hand: step by step, and for each number how it came about."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from minitransformer.inside.by_hand import Matrix, Step
from viz.pages.page import Page, page, plain
from viz.walkthrough import counts, decimals, shown, title_of

SCRIPTS = ("attend.js", "attend_cell.js")

BODY = """
<header class="bar"><h1>{title}</h1></header>
<div class="controls">
  <button type="button" id="back" title="step before (←)" aria-label="step before">◀</button>
  <button type="button" id="play" title="(space)">play</button>
  <button type="button" id="forward" title="next step (→)" aria-label="next step">▶</button>
  <input type="range" id="slider" min="0" value="0" aria-label="step">
  <span id="count"></span>
</div>
<main>
  <nav id="steps" aria-label="steps"></nav>
  <article id="step" aria-live="polite"></article>
  <aside id="cell" class="scroll" aria-live="polite" aria-label="how it came about"></aside>
</main>
<p class="keys grey">← →: steps · space: play · click a number, or Tab to a table: then arrows go
  from number to number · Escape: back to the steps · d: light or dark</p>
"""


def attend(steps: Sequence[Step], title: str = "Self-attention, step by step") -> Page:
    """Steps of self-attention as a page: matrices with words at their sides, and how each number
    in them came about.

    steps: what `by_hand.without_parameters` and `heads_by_hand.with_parameters` give. Of long
    vectors only the first numbers are shown. title: plain text.

    >>> from minitransformer.inside.by_hand import without_parameters
    >>> from minitransformer.inside.sentences import from_seed
    >>> "Dot products" in attend(without_parameters(from_seed(["money bank grows"]))).html
    True
    """
    sentences, heads = counts(steps)
    told = [
        {
            "part": step.part,
            "title": step.title,
            "sentence": step.sentence,
            "formula": step.formula,
            "notes": step.notes,
            "matrices": [as_data(x, title_of(x, 1, heads)) for x in step.matrices],
        }
        for step in steps
    ]
    words = [" ".join(shown(x).rows) for x in steps[0].matrices]
    data = {"steps": told, "sentences": words if sentences > 1 else []}
    return page("attend", title, BODY.format(title=html.escape(title)), data, scripts=SCRIPTS)


def as_data(matrix: Matrix, title: str) -> dict[str, Any]:
    """A matrix as the script reads it: the numbers that are shown, and how many there are."""
    part = shown(matrix)
    rows, columns = part.values.shape
    by = matrix.by
    if matrix.how in ("turned", "same"):
        by = np.asarray(by)[..., :rows, :columns]
    return {
        "key": matrix.key,
        "name": matrix.name,
        "title": title,
        "values": plain(part.values),
        "places": decimals(part.values),
        "rows": part.rows,
        "columns": part.columns,
        "numbered": [matrix.rows is None, matrix.columns is None],
        "size": matrix.values.shape,
        "rest": part.rest,
        "how": matrix.how,
        "of": matrix.of,
        "bias": None if matrix.bias is None else plain(matrix.bias[:columns]),
        "by": plain(by),
        "sentence": matrix.sentence,
        "head": matrix.head,
    }
