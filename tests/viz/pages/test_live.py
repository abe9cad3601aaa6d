"""The model in the page computes what the model does, and answers what it answers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.ops.attention import attention_weights
from minigrad.table import TABLE
from minitransformer.decoding import greedy
from minitransformer.forms import Form, Labels, Masked, Pairs, Text
from minitransformer.inside.maps import attention_maps, recorded
from minitransformer.inside.program import record
from minitransformer.models import MODELS
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import BERT, OWN
from tests.viz.pages.opening import opened as opened_at
from viz.pages.live import OPS, live

ENTER = "\ue007"
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
        live(model, form, source).save(tmp_path / "live.html")
        return opened_at(browser, tmp_path / "live.html", **how)

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


def told(page: Any) -> list[str]:
    """The tokens of the answer that the page shows."""
    found = page.run(
        "return [...document.querySelectorAll('.answer .token')]"
        ".map(x => (x.querySelector('mark') ?? x).firstChild.textContent)"
    )
    return [token for token in found if token != "·"]  # where there was one at first


def answered(model: Any, form: Form, source: list[int]) -> list[str]:
    """The tokens of the answer that the model gives."""
    if isinstance(form, Text):
        (found,) = greedy(model, [source], 1, form.source.special)
        return form.source.show(found) or ["<eos>"]
    return form.spell(form.answer(model, [source])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_source_is_answered_as_the_model_answers_it(kind: str, opened: Any) -> None:
    model, form = built(kind)
    rng = np.random.default_rng(4)
    page = opened(model, form, [4, 5, 6] if kind != "bert" else [2, 6, 4, 3])
    for _ in range(20):
        source = rng.integers(5, form.shape.vocab, rng.integers(1, 5)).tolist()
        if kind == "bert":
            source = [2, *source, 4, 3]
        page.run("edit({source: arguments[0]})", source)
        assert told(page) == answered(model, form, source)


def test_a_token_is_changed_by_hand_and_what_the_answer_was_stays_told(opened: Any) -> None:
    from selenium.webdriver.support.select import Select

    model, form = built("transformer")
    page = opened(model, form, [4, 5, 6])
    before = told(page)
    page.click(".source button:nth-of-type(2)")
    assert page.text("#place") == "token 2"
    Select(page.driver.find_element("css selector", "#token")).select_by_visible_text("f")
    assert page.run("return edits.source") == [4, 9, 6]
    after = told(page)
    assert after == answered(model, form, [4, 9, 6]) != before
    first = "return [...document.querySelectorAll('.first .token')].map(x => x.textContent)"
    assert page.run(first) == ["a", "b", "c", *before]
    marks = "return [...document.querySelectorAll('.answer mark')].map(x => x.title)"
    changed = [old for old, new in zip(before, after, strict=False) if old != new]
    assert page.run(marks)[: len(changed)] == [f"was {token}" for token in changed]
    page.click("#reset")
    assert told(page) == before
    assert page.run(marks) == []


def test_tokens_come_and_go_as_far_as_the_model_reads(opened: Any) -> None:
    model, form = built("gpt")
    page = opened(model, form, [4, 5, 6, 7, 8])
    page.click("#insert")
    page.click("#insert")
    assert page.run("return edits.source") == [4, 4, 4, 5, 6, 7, 8]
    assert not page.driver.find_element("css selector", "#insert").is_enabled()
    best = page.text("#steps tbody button").split()[0]
    assert not page.driver.find_element("css selector", "#steps tbody button").is_enabled()
    assert best == answered(model, form, [4, 4, 4, 5, 6, 7, 8])[0]
    page.click("#remove")
    page.click("#steps tbody button")
    assert len(page.run("return edits.source")) == 7
    page.run("edit({source: [4]})")
    assert not page.driver.find_element("css selector", "#remove").is_enabled()


def test_likely_tokens_are_written_one_after_the_other(opened: Any) -> None:
    page = opened(*built("gpt"), [4, 5], size=(390, 800))
    page.run("choose({row: 1, column: 0}); setWeight(0.5)")
    page.run("Object.assign(document.querySelector('#steps .scroll'), { scrollLeft: 60 })")
    page.run("document.querySelectorAll('#steps button')[1].focus()")
    left = page.run("return document.querySelector('#steps .scroll').scrollLeft")
    page.press(ENTER, ENTER)
    assert page.run("return edits.source.length") == 4
    assert page.run("return edits.set.size") == 1  # no place has moved
    second = "return document.querySelectorAll('#steps button')[1] === document.activeElement"
    assert page.run(second)
    assert page.run("return document.querySelector('#steps .scroll').scrollLeft") == left > 0


def test_what_frames_a_text_stays_and_gaps_can_be_made(opened: Any) -> None:
    model, form = built("bert")
    page = opened(model, form, [2, 6, 7, 3])
    assert "Put [MASK] in the place of a token" in page.text("#steps")
    for place in (1, 4):
        page.click(f".source button:nth-of-type({place})")
        assert not page.driver.find_element("css selector", "#token").is_enabled()
        assert not page.driver.find_element("css selector", "#remove").is_enabled()
    page.click("#insert")
    source = page.run("return edits.source")
    assert (source[0], source[-1], len(source)) == (2, 3, 5)
    for count in (4, 3):
        page.click("#remove")
        assert page.run("return edits.source.length") == count
    assert not page.driver.find_element("css selector", "#remove").is_enabled()
    assert page.text("#place") == "token 2"
    page.run("edit({source: arguments[0]})", source)
    page.run("replaceTokens(1, 1, [DATA.gap])")
    assert told(page) == answered(model, form, [2, 4, *source[2:]])


@pytest.mark.parametrize("kind", ["transformer", "llama"])
def test_a_head_that_is_off_reaches_nobody(kind: str, opened: Any) -> None:
    model, form = built(kind)
    page = opened(model, form, [4, 5, 6])
    modules = dict(model.named_modules())
    paths = page.run("return layers.map(({path}) => path)")
    for number, path in enumerate(paths):
        page.run("choose({layer: arguments[0], head: 1}); toggleHead()", number)
        source, read = page.run("return [now.source, now.read]")
        inputs = [np.array([x]) for x in ([source, read] if kind == "transformer" else [source])]
        with modules[path].head_off(1), recorded(model):
            expected = model(*inputs).data
            answer = answered(model, form, [4, 5, 6])
        found = page.run("return [...now.values.at(-1).data]")
        np.testing.assert_allclose(found, expected.ravel(), rtol=0, atol=1e-5)
        assert told(page) == answer
        assert page.run("return layers[arguments[0]].thumbnails[1].ariaLabel", number)[-3:] == "off"
        page.run("toggleHead()")


def test_a_weight_set_by_hand_counts_and_its_row_sums_to_one(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, form = built("transformer")
    program = record(model, {"source": 7, "target": 6}, 1)
    page = opened(model, form, [4, 5, 6, 7])
    layer = page.run("return layers.findIndex(x => x.path.endsWith('1.cross_attention'))")
    page.run("choose({layer: arguments[0], head: 1, row: 0, column: 2})", layer)
    before = page.run("return [...rowOf(ofHead(layers[state.layer], 'weights'), 0, 4)]")
    page.run("setWeight(0.75)")
    after = page.run("return [...rowOf(ofHead(layers[state.layer], 'weights'), 0, 4)]")
    others = [0, 1, 3]
    shares = np.array(before)[others] / (1 - before[2])
    np.testing.assert_allclose(np.array(after)[others], 0.25 * shares, rtol=1e-5)
    assert after[2] == pytest.approx(0.75)
    assert "keep their proportions" in page.text("#how")
    page.run("setWeight(0.9)")
    assert "weight\n0.9\n" in page.text("#facts")
    page.run("setWeight(0.75)")

    steps = [x["op"] for x in program.steps].count("scaled_dot_product_attention")
    attend, calls = TABLE["scaled_dot_product_attention"], iter(range(steps))

    def by_hand(query: Any, key: Any, value: Any, mask: Any) -> Any:
        if next(calls) < steps - 1:  # the last that attends is the cross-attention of layer 2
            return attend(query, key, value, mask=mask)
        weights = attention_weights(query, key, mask)
        weights[0, 1, 0] = after
        return weights @ value

    monkeypatch.setitem(TABLE, "scaled_dot_product_attention", by_hand)
    read = page.run("return now.read")
    expected = program(source=np.array([[4, 5, 6, 7]]), target=np.array([read]))
    found = page.run("return [...now.values.at(-1).data]")
    np.testing.assert_allclose(found, np.ravel(getattr(expected, "data", expected)), atol=1e-5)
    page.click("#release")
    assert page.run("return [...rowOf(ofHead(layers[state.layer], 'weights'), 0, 4)]") == before


def test_a_row_that_is_all_on_one_key_gives_the_others_equal_parts(opened: Any) -> None:
    page = opened(*built("gpt"), [4, 5, 6])
    page.run("row = Float64Array.of(1, 0, 0, 0); setInRow(row, 0, 0.5, [1, 1, 1, 0])")
    assert page.run("return [...row]") == [0.5, 0.25, 0.25, 0]


def test_weights_that_cannot_be_others_say_why(opened: Any) -> None:
    page = opened(*built("gpt"), [4, 5, 6])
    slider = page.driver.find_element("css selector", "#weight")
    page.run("choose({layer: 0, head: 0, row: 0, column: 0})")
    assert (slider.is_enabled(), page.text("#how")) == (
        False,
        "this query may attend to nothing else",
    )
    page.run("choose({row: 1, column: 2})")
    assert (slider.is_enabled(), page.text("#how")) == (False, "the mask hides this key")
    page.run("choose({row: 2, column: 1})")
    assert slider.is_enabled()
    page.press("o")
    assert (slider.is_enabled(), page.text("#how")) == (False, "this head is off")


def changes(page: Any) -> list[str]:
    """What the page says that has been changed."""
    found = "return [...document.querySelectorAll('#changes button')].map(x => x.textContent)"
    return list(page.run(found))


def test_every_change_can_be_undone_and_is_in_the_address(opened: Any, tmp_path: Path) -> None:
    page = opened(*built("transformer"), [4, 5, 6])
    page.run(
        "replaceTokens(0, 1, [8]); choose({layer: 1, head: 1, row: 0, column: 1}); toggleHead()"
    )
    page.run("choose({layer: 0, head: 0, row: 2}); setWeight(0.5)")
    changed = told(page), page.run("return [...layers[0].weights]")
    fragment = page.address()[1:]
    opened_at(page, tmp_path / "live.html", fragment=fragment)
    assert (told(page), page.run("return [...layers[0].weights]")) == changed
    assert changes(page) == [
        "Encoder self-attention, layer 2, head 2: off ×",
        "Encoder self-attention, layer 1, head 1: 3 “c” on 2 “b” = 0.5 ×",
    ]
    page.run("document.querySelector('#changes button').focus()")
    page.press(ENTER)
    assert page.run("return document.activeElement.textContent") == changes(page)[0]
    page.press(ENTER)
    assert page.run("return [edits.off.size, edits.set.size]") == [0, 0]
    assert page.run("return document.activeElement.id") == "token"


def test_an_address_that_makes_no_sense_changes_nothing(opened: Any, tmp_path: Path) -> None:
    page = opened(*built("transformer"), [4, 5, 6])
    weights = "return layers.flatMap((layer) => [...layer.weights])"
    before = told(page), page.run(weights)
    hidden = page.run("return layers.findIndex(x => x.path === 'decoder.layers.0.self_attention')")
    for fragment in ("off=9:0&set=9:0:0:0:1", "source=4,99", "set=0:0:0:0:x&layer=x&head=9&cell=9",
                     "set=0:9:0:0:1&set=0:0:9:0:1", f"set={hidden}:0:0:2:1",
                     "off=0:9&off=0:x&off=0", "source=", "source=4,1", "source=4,4,4,4,4,4,4,4",
                     "set=0:1:-1:0:1", "set=0:0:0:-1:1&set=0:0:0:1.5:1"):  # fmt: skip
        opened_at(page, tmp_path / "live.html", fragment=fragment)
        assert (told(page), page.run(weights)) == before
        assert {x.partition(": ")[2] for x in changes(page)} <= {"not there now = 1 ×"}


def test_an_address_cannot_take_away_what_frames_a_text(opened: Any, tmp_path: Path) -> None:
    page = opened(*built("bert"), [2, 6, 7, 3])
    for fragment, source in [
        ("source=2,8,3", [2, 8, 3]),
        ("source=6,7", [2, 6, 7, 3]),
        ("source=2,3", [2, 6, 7, 3]),
        ("source=2,6,2,3", [2, 6, 7, 3]),
    ]:
        opened_at(page, tmp_path / "live.html", fragment=fragment)
        assert page.run("return edits.source") == source


def test_what_changed_is_drawn_beside_where_the_lengths_are_the_same(opened: Any) -> None:
    page = opened(*built("classifier"), [4, 5, 6])
    assert page.run("return byId('change').hidden")
    page.run("choose({layer: 1}); replaceTokens(0, 1, [8])")
    assert not page.run("return byId('change').hidden")
    weights = "return [...layers[1].weights]"
    after, change = page.run(weights), page.run("return [...layers[1].change]")
    page.run("edit({source: DATA.source})")
    np.testing.assert_allclose(np.subtract(after, page.run(weights)), change, atol=1e-6)
    page.run("replaceTokens(0, 0, [8])")
    assert page.run("return byId('change').hidden")


def test_no_change_is_drawn_of_a_head_that_another_one_of_its_layer_leaves_as_it_was(
    opened: Any,
) -> None:
    page = opened(*built("classifier"), [4, 5, 6])
    page.run("choose({layer: 1, head: 0}); toggleHead()")
    assert not page.run("return byId('change').hidden")
    page.run("choose({head: 1})")
    assert page.run("return byId('change').hidden")


def test_both_figures_have_their_cells_as_far_below_their_names(opened: Any) -> None:
    page = opened(*built("gpt"), [4, 5, 6], size=(1280, 900))
    page.run("toggleHead()")
    heights = page.run(
        "return [...document.querySelectorAll('figcaption')].map(x => x.offsetHeight)"
    )
    assert len(heights) == 2
    assert heights[0] == heights[1] > 0


def test_letters_choose_a_token_and_command_nothing_there(opened: Any) -> None:
    page = opened(*built("transformer"), [4, 5, 6])
    page.click(".source button")
    page.press("d")
    assert page.run("return [edits.source[0], document.documentElement.style.colorScheme]") == [
        7,
        "",
    ]
    page.run("document.querySelector('.source [aria-pressed=true]').focus()")
    page.press("\ue014")  # the right arrow
    assert page.run("return [edits.token, document.activeElement.textContent]") == [1, "b"]
    page.press("o")
    assert page.run("return edits.off.size") == 1


@pytest.mark.parametrize("size", [(1280, 900), (390, 800)])
def test_it_fits_its_window(size: tuple[int, int], opened: Any) -> None:
    page = opened(*built("transformer"), [4, 5, 6, 7, 8, 9, 10], size=size, dark=size[0] < 500)
    page.run("toggleHead(); choose({head: 0}); setWeight(0.5)")
    assert page.overflow() <= 0
    assert page.run("return getComputedStyle(byId('facts')).display") == "grid"
    page.run("choose({lines: true})")
    assert page.overflow() <= 0


def test_what_a_page_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, form = built("gpt")
    with pytest.raises(ValueError, match="8 tokens are more than the 7 of a live page"):
        live(model, form, [4] * 8)
    monkeypatch.setattr("viz.pages.live.MOST_WEIGHTS", 100)
    with pytest.raises(ValueError, match="1,232 weights, and a live page holds 100 at most"):
        live(model, form, [4])
