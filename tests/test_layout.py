"""Every page fits every window: nothing is cut off, covered, or wider than the screen."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import viz
from minitransformer.inside.by_hand import without_parameters
from minitransformer.inside.film import Film, Frame
from minitransformer.inside.heads_by_hand import with_parameters
from minitransformer.inside.inspection import Inspection, Layer, Outcome
from minitransformer.inside.sentences import Sentence, drawn_reading
from minitransformer.models.transformer import Transformer
from viz.pages.attend import attend as stepped
from viz.pages.page import Page

WINDOWS = [(390, 844), (768, 1024), (1280, 800), (1920, 1080)]
SHAPES = {  # layers of each kind, heads, tokens, characters in each
    "one token": (1, 1, 1, 1),
    "usual": (2, 4, 10, 1),
    "long tokens": (2, 4, 7, 30),
    "many tokens": (1, 2, 40, 5),
    "many heads": (12, 12, 8, 2),
}
KINDS = [
    "encoder.layers.{}.self_attention",
    "decoder.layers.{}.self_attention",
    "decoder.layers.{}.cross_attention",
]


def tokens(count: int, length: int, first: int = 0) -> list[str]:
    """Tokens of so many characters, each another one."""
    letters = string.ascii_lowercase
    turns = (divmod(first + i, 26) for i in range(count))
    return [f"{turn or ''}{letters[i] * length}"[:length] for turn, i in turns]


def weights(*shape: int) -> Any:
    return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def inspection(layers: int, heads: int, count: int, length: int) -> Inspection:
    """What might be found out about a model of this shape."""
    rng = np.random.default_rng(0)
    source, target = tokens(count, length), [*tokens(count, length, 13), "<eos>"]
    read = ["<bos>", *target[:-1]]
    outcome = Outcome(target[:-1], 0.25)
    found = []
    for number in range(layers):
        for kind in KINDS:
            sides = Transformer.sides(kind)
            queries, keys = (source if side == "source" else read for side in sides)
            T, S = len(queries), len(keys)
            query, key, value, result = (
                rng.normal(size=(heads, count, 9)).astype(np.float32) for count in (T, S, S, T)
            )
            scores = query @ key.swapaxes(1, 2)
            found.append(
                Layer(
                    kind.format(number), sides, queries, keys, query, key, value, scores,
                    np.ones((T, S), bool), weights(heads, T, S), scores, result,
                    rng.normal(size=(heads, T, 9 * heads)).astype(np.float32), [outcome] * heads,
                )
            )  # fmt: skip
    vocabulary = tuple(dict.fromkeys([*target, *source]))
    chances = weights(len(target), len(vocabulary))
    asked = [vocabulary.index(token) for token in target]
    places = [*range(len(target))]
    return Inspection("pairs", source, read, vocabulary, asked, places, chances, outcome, found)


def attention(monkeypatch: Any, *shape: int) -> Page:
    found = inspection(*shape)
    return viz.attention(found, title="Attention: " + " ".join(found.source))


def film(monkeypatch: Any, layers: int, heads: int, count: int, length: int) -> Page:
    source, target = tokens(count, length), tokens(count, length, 13)
    lengths = {"source": len(source), "target": len(target) + 1}
    paths = [kind.format(number) for kind in KINDS for number in range(layers)]
    sides = {path: Transformer.sides(path) for path in paths}
    maps = {path: weights(heads, *(lengths[side] for side in sides[path])) for path in paths}
    records = [{"step": 100.0 * i, "loss": 3.0 / i, "exact_match": 0.125} for i in (1, 2)]
    frames = [Frame(0, maps, [], {}, {})]
    for i, record in enumerate(records, 1):
        frames.append(Frame(100 * i, maps, target[i:] + source, record, record))
    name, read = "a file of pairs with a long name.tsv", ["<bos>", *target]
    shown = Film(name, "pairs", source, source, target, read, "<eos>", sides, frames, records)
    monkeypatch.setattr("viz.pages.film.read_film", lambda run: shown)
    return viz.film("run")


def attend(monkeypatch: Any, layers: int, heads: int, count: int, length: int) -> Page:
    """The steps of attention on two sentences, with as many heads."""
    rng = np.random.default_rng(0)
    sentences = [Sentence(tokens(count, length, x), rng.normal(size=(count, 24))) for x in (0, 1)]
    reading = drawn_reading(sentences, min(heads, 4))
    steps = [*without_parameters(sentences), *with_parameters(sentences, reading)]
    return stepped(steps, title="Self-attention: " + " ".join(sentences[0].words))


FAULTS = """
const [withTruncation, least] = arguments;
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) faults.push(`page of ${root.scrollWidth} pixels`);
const texts = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, owner = node.parentElement;
  if (!node.data.trim() || owner.closest("script, style") || !owner.checkVisibility()) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const scroller = owner.closest(".scroll, nav");
  for (const whole of range.getClientRects()) {
    if (whole.width < 1) continue;
    const { left, right, top, bottom } = whole;
    const box = { left, right, top, bottom }; // of what is seen
    const at = `“${node.data.trim().slice(0, 40)}” in ${owner.tagName}.${owner.className}`;
    for (let e = owner; e && e !== document.body; e = e.parentElement) {
      const style = getComputedStyle(e), own = e.getBoundingClientRect();
      if (style.overflowX === "visible") continue;
      if (style.overflowX === "auto") break;
      const cut = box.left < own.left - 2 || box.right > own.right + 2
        || box.top < own.top - 6 || box.bottom > own.bottom + 6;
      if (cut && (withTruncation || style.textOverflow !== "ellipsis")) faults.push(`cut: ${at}`);
      for (const side of ["left", "top"]) box[side] = Math.max(box[side], own[side]);
      for (const side of ["right", "bottom"]) box[side] = Math.min(box[side], own[side]);
    }
    if (scroller) continue;
    if (box.left < -1 || box.right > root.clientWidth + 1) faults.push(`outside: ${at}`);
    if (!owner.closest("svg")) texts.push([at, owner, box]);
  }
}
for (let i = 0; i < texts.length; i++) {
  for (let j = 0; j < i; j++) {
    const [[one, a, p], [other, b, q]] = [texts[i], texts[j]];
    const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    const apart = a !== b && !a.contains(b) && !b.contains(a);
    if (apart && across > 2 && down > 5) faults.push(`${one} over ${other}`);
  }
}
const matrix = document.querySelector("#weights .cells, #weights");
if (matrix) {
  matrix.scrollIntoView({ block: "center", behavior: "instant" });
  const box = matrix.getBoundingClientRect();
  for (const e of document.body.querySelectorAll("*")) {
    if (e.closest(".scroll")) continue;
    if (!["sticky", "fixed"].includes(getComputedStyle(e).position)) continue;
    const own = e.getBoundingClientRect();
    const covered = Math.min(own.bottom, box.bottom) - Math.max(own.top, box.top);
    const beside = own.left >= box.right || own.right <= box.left;
    if (covered > 1 && !beside && box.height < innerHeight - own.height)
      faults.push(`${e.id || e.className} covers ${Math.round(covered)} of the matrix`);
  }
  if (box.width < least) faults.push(`matrix of ${Math.round(box.width)} pixels`);
  scrollTo(0, 0);
}
return [...new Set(faults)];
"""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [attend, attention, film])
def test_a_page_fits_every_window(
    kind: Any, shape: str, tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of 30 characters may end in an ellipsis where a window is narrow, not elsewhere."""
    kind(monkeypatch, *SHAPES[shape]).save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", dark=shape == "usual")
    wait = "return new Promise(done => setTimeout(done, arguments[0]))"
    browser.run(wait, 200)
    least = 30 if shape == "one token" else 75  # pixels, of the matrix
    for window in WINDOWS:
        browser.resize(window)
        for _ in range(40):  # a page draws itself anew a moment later, on a busy machine much later
            browser.run(wait, 50)
            if not (faults := browser.run(FAULTS, window[0] >= 1280, least)):
                break
        assert (window, faults) == (window, [])
