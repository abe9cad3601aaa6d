"""The model in the page computes what the model does, and answers what it answers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minitransformer.forms import Form, Labels, Masked, Pairs, Text
from minitransformer.inside.maps import attention_maps, recorded
from minitransformer.models import MODELS
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import BERT, OWN
from viz.pages.live import OPS, live

WORDS = Words((*OWN.values(), *"abcdefgh"))
MASKED = Words((*BERT.values(), *"abcdefgh"), Special.find(BERT, (*BERT.values(),)))
PAIRS = Pairs(WORDS, WORDS, max_source=7, max_target=6)

KINDS: dict[str, tuple[str, Form, dict[str, Any]]] = {
    "transformer": ("transformer", PAIRS, {}),
    "post": ("transformer", PAIRS, {"norm": "post", "positions": "learned", "activation": "gelu"}),
    "gpt": ("gpt", Text(WORDS, 7), {}),
    "llama": ("llama", Text(WORDS, 7), {"heads": 4, "kv_heads": 2}),
    "bert": ("bert", Masked(MASKED, 7), {}),
    "classifier": ("classifier", Labels(WORDS, ("x", "y", "z"), 7), {}),
}


def built(kind: str) -> tuple[Any, Form]:
    """A small model with random weights, far enough from 0 for its heads to choose."""
    name, form, settings = KINDS[kind]
    sizes = {"d_model": 8, "heads": 2, "d_ff": 12, "layers": 2}
    model = MODELS[name](**{**sizes, **settings}).build(form.shape, 1)
    rng = np.random.default_rng(2)
    for x in model.parameters():
        x.data = x.data + rng.normal(0, 0.3, x.shape).astype(np.float32)
    return model, form


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[..., Any]:
    """Open the page of a model, with a source, and wait until it is there."""

    def open_page(model: nn.Module, form: Form, source: list[int], **how: Any) -> Any:
        from selenium.webdriver.support.wait import WebDriverWait

        live(model, form, source).save(tmp_path / "live.html")
        browser.open(tmp_path / "live.html", **how)
        there = "return byId('facts').children.length > 0"
        WebDriverWait(browser.driver, 10, 0.02).until(lambda _: browser.run(there))
        return browser

    return open_page


COMPUTE = """
const found = arguments[0].flatMap((inputs) => {
  const values = run(model, inputs);
  return [values.at(-1).data, ...DATA.layers.map(({ step }) => values[step].weights)];
});
const all = new Float64Array(found.reduce((sum, { length }) => sum + length, 0));
let at = 0;
for (const each of found) { all.set(each, at); at += each.length; }
const bytes = new Uint8Array(all.buffer);
let text = "";
for (let i = 0; i < bytes.length; i += 8192) {
  text += String.fromCharCode(...bytes.subarray(i, i + 8192));
}
return btoa(text);
"""
"""The logits of some inputs, and the weights of each layer, one after the other, as base64."""


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_weights_of_a_thousand_inputs_are_numpys(kind: str, opened: Any) -> None:
    model, form = built(kind)
    rng, vocab = np.random.default_rng(3), form.shape.vocab
    given, expected = [], []
    for _ in range(40):
        sizes = {"source": rng.integers(1, 8)}
        if kind in ("transformer", "post"):
            sizes["target"] = rng.integers(1, 7)
        batch = {side: rng.integers(1, vocab, (25, size)) for side, size in sizes.items()}
        maps = [x.weights for x in attention_maps(model, *batch.values()).values()]
        with recorded(model):
            logits = model(*batch.values()).data
        for row in range(25):
            given.append({side: x[row].tolist() for side, x in batch.items()})
            expected += [x[row].ravel() for x in (logits, *maps)]
    page = opened(model, form, [4, 5, 6])
    found = np.frombuffer(base64.b64decode(page.run(COMPUTE, given)))
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=1e-5)


def test_the_page_knows_the_ops_that_it_says(opened: Any) -> None:
    page = opened(*built("gpt"), [4, 5])
    assert page.run("return Object.keys(OPS)") == [*OPS]
