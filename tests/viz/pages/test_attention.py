"""What the page of attention shows is what the model computed: cell by cell, head by head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.forms import Masked, Pairs, Text
from minitransformer.inside.inspection import Inspection, Layer, Outcome, inspect
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.transformer import Transformer, TransformerConfig
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import BERT, OWN
from tests.viz.pages.opening import opened as opened_at
from viz.figure.characters import readable
from viz.figure.maps import draw_attention
from viz.pages.attention import attention, most_choosing, most_needed

ENCODER, DECODER, CROSS = (
    "encoder.layers.0.self_attention",
    "decoder.layers.0.self_attention",
    "decoder.layers.1.cross_attention",
)
ARROWS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015"}
TAB, HOME, END, ENTER = "\ue004", "\ue011", "\ue010", "\ue007"


@pytest.fixture(scope="module")
def inspection() -> Inspection:
    """A small model with random weights, which some of its heads cannot do without."""
    words = Words((*OWN.values(), "a", "b c", "<script>", "d"))
    form = Pairs(words, words, max_source=7, max_target=7)
    shape = {"d_model": 18, "num_heads": 3, "d_ff": 16, "max_length": 7}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    model = Transformer(TransformerConfig(8, 8, **shape, **layers), rng=10)
    return inspect(model, form, [4, 6, 5, 7], [5, 4, 6, 7])


@pytest.fixture(scope="module")
def path(inspection: Inspection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that model, as a file."""
    path = tmp_path_factory.mktemp("page") / "attention.html"
    attention(inspection, title="A model & its heads").save(path)
    return path


@pytest.fixture
def opened(browser: Any, path: Path) -> Callable[..., Any]:
    """Open the model's page, at a fragment, and wait until it is there."""
    return lambda fragment="", **how: opened_at(browser, path, fragment, **how)


def facts(browser: Any) -> dict[str, str]:
    """What the page tells of the chosen (or pointed) cell: "query: reads" also as "query"."""
    told = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('#facts > div')]"
        ".map(fact => [...fact.children].map(part => part.textContent)))"
    )
    return {name.partition(":")[0]: text for name, text in told.items()} | told


def number(text: str) -> np.float32:
    """A number as the page writes it."""
    return np.float32(text.replace("−", "-"))


def table(browser: Any, section: int) -> list[list[str]]:
    """A table of the sums: each cell's exact number where it has one, else its text."""
    return browser.run(
        f"return [...document.querySelectorAll('#steps section')[{section}].querySelectorAll('tr')]"
        ".map(row => [...row.children].map(cell =>"
        " cell.querySelector('.number')?.title ?? cell.textContent))"
    )


def sides(layer: Layer) -> tuple[str, str]:
    """What the page calls a layer's queries and its keys."""
    asking = "source" if layer.path.startswith("encoder") else "reads"
    return asking, "source" if layer.path.endswith("cross_attention") else asking


def layer_of(inspection: Inspection, path: str) -> Layer:
    return next(layer for layer in inspection.layers if layer.path == path)


def test_every_number_of_a_cell_is_the_models_in_every_layer_and_head(
    inspection: Inspection, opened: Any
) -> None:
    page = opened()
    for number_of_layer, layer in enumerate(inspection.layers):
        for head, row, column in [(0, 0, 0), (1, 1, 3), (2, 3, 2), (0, 2, 1)]:
            chosen = {"layer": number_of_layer, "head": head, "row": row, "column": column}
            page.run("choose(arguments[0])", chosen)
            told = facts(page)
            at = head, row, column
            assert number(told["weight"]) == layer.weights[at]
            assert number(told["score"]) == layer.scores[at]
            assert number(told["∂loss/∂weight"]) == layer.gradient[at]
            assert told["mask"] == ("may attend" if layer.mask[row, column] else "hidden")
            asking, asked = sides(layer)
            assert told[f"query: {asking}"] == f"{row + 1} “{readable(layer.queries[row])}”"
            assert told[f"key: {asked}"] == f"{column + 1} “{readable(layer.keys[column])}”"
            write = readable(inspection.target[row]) if asking == "reads" else None
            assert told.get("to write") == (f"“{write}”" if write else None)
            heading = page.run("return byId('name').textContent")
            kind = " ".join(layer.path.split(".")[::3]).replace("_", " ").lower()
            assert all(word in heading.lower() for word in kind.split())
            assert heading.endswith(f"layer {int(layer.path[15]) + 1}, head {head + 1}")


@pytest.mark.parametrize("of", [ENCODER, DECODER, CROSS])
def test_the_sums_behind_a_weight_can_be_added_up_again(
    inspection: Inspection, opened: Any, of: str
) -> None:
    layer = layer_of(inspection, of)
    page = opened(f"layer={of}&head=2&cell=3,2")
    vectors = layer.query[1, 2], layer.key[1, 1]
    _, *rows, sums = table(page, 0)
    shown = np.array(rows, float)
    assert shown[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    for column, vector in zip((1, 2), vectors, strict=True):
        np.testing.assert_array_equal(shown[:, column].astype(np.float32), vector)
    np.testing.assert_allclose(shown[:, 3], shown[:, 1] * shown[:, 2])
    assert float(sums[3]) == pytest.approx(shown[:, 3].sum())
    assert float(sums[3]) / np.sqrt(6) == pytest.approx(layer.scores[1, 2, 1], rel=1e-5)

    head, *rows, sums = table(page, 1)
    assert head == ["key", "score", "mask", "e^score", "weight"]
    assert [row[0].split(" ", 1)[1] for row in rows] == [
        f"“{token.replace(' ', '␣')}”" for token in layer.keys
    ]
    scores, powers, weights = np.array([[row[i] for row in rows] for i in (1, 3, 4)], float)
    np.testing.assert_array_equal(scores.astype(np.float32), layer.scores[1, 2])
    np.testing.assert_array_equal(weights.astype(np.float32), layer.weights[1, 2])
    assert [row[2] == "✓" for row in rows] == layer.mask[2].tolist()
    np.testing.assert_allclose(powers, np.exp(scores) * layer.mask[2])
    assert float(sums[3]) == pytest.approx(powers.sum())
    assert float(sums[4]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(weights, powers / powers.sum(), rtol=1e-5)
    conclusions = page.run(
        "return [...document.querySelectorAll('#steps section:nth-child(-n + 2) p')]"
        ".map(p => p.lastElementChild.title)"
    )
    assert float(conclusions[0]) == layer.scores[1, 2, 1]
    assert float(conclusions[1]) == layer.weights[1, 2, 1]


@pytest.mark.parametrize("of", [ENCODER, DECODER, CROSS])
def test_the_values_weighted_and_added_are_the_heads_result_and_give_its_part_of_the_output(
    inspection: Inspection, opened: Any, of: str
) -> None:
    """To the last of the digits shown."""
    layer = layer_of(inspection, of)
    page = opened(f"layer={of}&head=2&cell=3,2")
    head, value, *rows, sums = table(page, 2)
    assert head == ["key", "weight", *map(str, range(1, 7))]
    assert value[0] == f"value of 2 “{readable(layer.keys[1])}”"
    np.testing.assert_array_equal(np.array(value[2:], np.float32), layer.value[1, 1])
    assert [row[0] for row in rows] == [f"{i} “{readable(k)}”" for i, k in enumerate(layer.keys, 1)]
    np.testing.assert_array_equal(
        np.array([row[1] for row in rows], np.float32), layer.weights[1, 2]
    )
    products = np.array([row[2:] for row in rows], float)  # (S, K)
    expected = layer.weights[1, 2, :, None].astype(float) * layer.value[1]
    np.testing.assert_allclose(products, expected, rtol=1e-12)
    np.testing.assert_allclose(np.array(sums[2:], float), products.sum(0), rtol=1e-12)
    np.testing.assert_allclose(np.array(sums[2:], float), layer.result[1, 2], rtol=1e-5, atol=1e-7)

    shown = "return [...document.querySelectorAll(arguments[0])].map(one => one.title)"
    part = np.array(page.run(shown, ".numbers .number"), np.float32)
    np.testing.assert_array_equal(part, layer.part[1, 2])
    lengths = np.array(page.run(shown, "#steps section:nth-child(4) p .number"), float)
    np.testing.assert_allclose(lengths, np.linalg.norm(layer.part[:, 2], axis=-1), rtol=1e-6)


def test_the_models_probabilities_are_shown_at_every_step(
    inspection: Inspection, opened: Any
) -> None:
    page = opened(f"layer={CROSS}&cell=3,1")
    shown = page.run(
        "return [...document.querySelectorAll('#steps section:last-child tbody tr')].map(row =>"
        " ({ chosen: row.className, texts: [...row.cells].slice(0, 2).map(c => c.textContent),"
        "    tokens: [...row.querySelectorAll('td > span')].slice(1).map(s => s.firstChild.data),"
        "    numbers: [...row.querySelectorAll('.number')].map(n => Number(n.title)) }))"
    )
    assert [row["chosen"] for row in shown] == ["", "", "chosen", "", ""]
    steps = zip(shown, inspection.read, inspection.target, inspection.probabilities, strict=True)
    for place, (row, read, right, probabilities) in enumerate(steps, 1):
        assert row["texts"] == [f"{place} “{readable(read)}”", readable(right)]
        likeliest = np.argsort(-probabilities)[:5]
        words = inspection.vocabulary
        assert row["tokens"] == [readable(words[i]) for i in likeliest]
        expected = probabilities[[words.index(right), *likeliest]]
        np.testing.assert_array_equal(np.array(row["numbers"], np.float32), expected)


@pytest.mark.parametrize("lines", ["", "&lines="])
def test_the_sides_say_who_asks_who_is_asked_and_what_is_written(
    inspection: Inspection, opened: Any, lines: str
) -> None:
    """A decoder's row carries the token that it reads at the left, what it has to write at the
    right."""
    read = "return [...document.querySelectorAll(arguments[0])].map(span => span.textContent)"
    source, written = (
        [readable(token) for token in tokens] for tokens in (inspection.source, inspection.target)
    )
    reads = [readable(token) for token in inspection.read]
    for path, queries, keys, writes, axes, origin in [
        (ENCODER, source, source, [], ["query: source", "key: source", ""], "query, key and value "
         "from the encoder"),
        (DECODER, reads, reads, written, ["query: reads", "key: reads", "to write"],
         "query, key and value from the decoder"),
        (CROSS, reads, source, written, ["query: reads", "key: source", "to write"],
         "query from the decoder, key and value from the encoder"),
    ]:  # fmt: skip
        page = opened(f"layer={path}{lines}")
        assert page.run(read, "#weights .queries span") == queries
        assert page.run(read, "#weights .keys span") == keys
        assert page.run(read, "#weights .writes span") == writes
        assert page.run(read, "#weights .axis") == axes
        assert page.text("#origin") == origin
    sides = [page.text(f".sides:nth-of-type({n})") for n in (1, 2, 3)]
    assert sides == [
        "↓ query: source\n→ key: source",
        "↓ query: reads\n→ key: reads",
        "↓ query: reads\n→ key: source",
    ]


def test_it_opens_on_the_head_without_which_the_loss_is_largest_and_says_so(
    inspection: Inspection, opened: Any
) -> None:
    page = opened()
    losses = {
        (layer.path, head): outcome.loss
        for layer in inspection.layers
        for head, outcome in enumerate(layer.without)
    }
    (path, head) = max(losses, key=lambda at: losses[at])
    assert (path, head) != (inspection.layers[0].path, 0)
    assert page.run("return [layers[state.layer].path, state.head]") == [path, head]
    said = page.text("#opens")
    assert page.text("#name") in said
    assert f"{losses[path, head]:.4g} instead of {inspection.normal.loss:.4g}" in said
    weights = layer_of(inspection, path).weights[head, 0]
    assert page.run("return [state.row, state.column]") == [0, weights.argmax()]


def test_a_loss_that_is_no_number_is_not_the_largest(inspection: Inspection) -> None:
    outcomes = [Outcome([], loss) for loss in (0.5, math.nan, 2.0)]
    layer = replace(inspection.layers[0], without=outcomes)
    assert most_needed([layer]) == (0, 2)
    assert most_needed([replace(layer, without=outcomes[1:2])]) == (0, 0)


def test_weights_alone_open_on_the_head_whose_keys_depend_most_on_the_query() -> None:
    """Not on one that attends to all keys alike, always to the first, or a little by the query."""
    even, first = np.full((3, 4), 1 / 4), np.tile([1.0, 0, 0, 0], (3, 1))
    turned = np.eye(4)[[3, 1, 2]]
    assert most_choosing([np.stack([even, first]), np.stack([first, turned])]) == (1, 1)
    assert most_choosing([np.stack([turned, even]), np.stack([first, 0.5 * turned + 0.125])]) == (
        0,
        0,
    )


def test_what_the_signs_mean_is_said_where_there_are_signs(opened: Any, tmp_path: Path) -> None:
    said = opened().text("#legend")
    assert "above 0 (blue), a little more weight here would raise it" in said
    assert "≠ marks tokens of the answer that change" in said
    attention(np.eye(2)).save(tmp_path / "page.html")
    page = opened_at(opened(), tmp_path / "page.html")
    assert not page.driver.find_element("css selector", "#legend").is_displayed()


@pytest.mark.parametrize(
    ("shift", "words"), [(1000, "e^(score − {})"), (-1000, "e^(score + {})"), (-50, "e^score")]
)
def test_scores_far_from_0_are_moved_there_before_their_powers(
    inspection: Inspection, tmp_path: Path, browser: Any, shift: int, words: str
) -> None:
    layer = layer_of(inspection, ENCODER)
    far = replace(layer, scores=layer.scores + np.float32(shift))
    attention(replace(inspection, layers=[far])).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", f"layer={ENCODER}&head=1&cell=1,1")
    head, *rows, sums = table(browser, 1)
    assert head[3] == words.format(f"{abs(far.scores[0, 0].max()):.4g}")
    powers = np.array([row[3] for row in rows], float)
    np.testing.assert_allclose(powers / float(sums[3]), layer.weights[0, 0], rtol=1e-3)


def test_the_score_of_additive_attention_is_v_times_the_tanh_of_query_and_key(
    inspection: Inspection, tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its values may be of another width; its result is its output, without a W_O."""
    rng = np.random.default_rng(0)
    query, key, v = (rng.normal(size=n).astype(np.float32) for n in ((1, 5, 6), (1, 4, 6), (6,)))
    value = rng.normal(size=(1, 4, 3)).astype(np.float32)
    scores = np.tanh(query[:, :, None] + key[:, None]) @ v
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    layer = replace(
        layer_of(inspection, CROSS), query=query, key=key, value=value, scores=scores,
        weights=weights, gradient=weights, result=weights @ value, part=weights @ value, v=v,
    )  # fmt: skip
    attention(replace(inspection, layers=[layer])).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", f"layer={CROSS}&head=1&cell=3,2")
    head, *rows, sums = table(browser, 0)
    assert head == ["", "query", "key", "tanh(query + key)", "v", "tanh(query + key) × v"]
    shown = np.array(rows, float)[:, 1:]
    np.testing.assert_array_equal(
        shown[:, :2].astype(np.float32), np.array([query[0, 2], key[0, 1]]).T
    )
    np.testing.assert_allclose(shown[:, 2], np.tanh(shown[:, 0] + shown[:, 1]))
    np.testing.assert_allclose(shown[:, 4], shown[:, 2] * shown[:, 3])
    assert sums[:5] == ["sum", "", "", "", ""]
    assert float(sums[5]) == pytest.approx(scores[0, 2, 1], rel=1e-5)
    assert "√" not in browser.text("#steps section")
    head, *_, sums = table(browser, 2)
    assert head == ["key", "weight", "1", "2", "3"]
    np.testing.assert_allclose(np.array(sums[2:], float), layer.result[0, 2], rtol=1e-5)
    assert "W_O" not in browser.text("#steps")


def test_a_classifier_is_asked_for_a_label_and_reads_nothing(
    inspection: Inspection, tmp_path: Path, browser: Any
) -> None:
    labels = ("good", "bad", "odd")
    probabilities = np.array([[0.2, 0.7, 0.1]], np.float32)
    one = replace(
        inspection, form="labels", read=[], asked=[1], places=[], vocabulary=labels,
        probabilities=probabilities, layers=[layer_of(inspection, ENCODER)],
        normal=Outcome(["bad"], 0.3), lens=None,
    )  # fmt: skip
    attention(one).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", "cell=2,1")
    head, row = table(browser, 4)[:2]
    assert head[:3] == ["label", "its probability", "likeliest"]
    assert row[0] == "bad"
    assert np.float32(row[1]) == probabilities[0, 1]
    assert "softmax over the labels" in browser.text("#steps section:last-child h2")
    assert browser.run("return document.querySelector('#steps section:last-child .chosen')") is None
    assert "to write" not in facts(browser)


def test_with_a_head_off_the_page_shows_what_becomes_of_answer_and_loss(
    inspection: Inspection, opened: Any
) -> None:
    """Changed tokens are marked by a sign and an underline, missing and added ones too."""

    def outcomes() -> list[dict[str, Any]]:
        return page.run(
            "return [...document.querySelectorAll('#outcomes tr')].map(row => ({"
            " what: row.cells[0].textContent, loss: row.querySelector('.number')?.title,"
            " tokens: [...row.cells[1].children].map(token => token.textContent)}))"
        )

    page = opened()
    normal, spelled = inspection.normal, [token.replace(" ", "␣") for token in inspection.source]
    shown = outcomes()
    assert [row["what"] for row in shown] == ["source", "target", "answer"]
    assert shown[0]["tokens"] == spelled
    assert [token.replace("␣", " ") for token in shown[1]["tokens"]] == inspection.target
    assert [token.replace("␣", " ") for token in shown[2]["tokens"]] == normal.answer
    assert float(shown[2]["loss"]) == normal.loss

    page.click("#off")
    assert page.run("return byId('off').ariaPressed") == "true"
    changes = set()
    for number_of_layer, layer in enumerate(inspection.layers):
        for head, without in enumerate(layer.without):
            page.run("choose(arguments[0])", {"layer": number_of_layer, "head": head})
            row = outcomes()[-1]
            assert row["what"] == "without this head"
            assert float(row["loss"]) == without.loss
            length = max(len(without.answer), len(normal.answer))
            pairs = [
                (
                    without.answer[i] if i < len(without.answer) else "·",
                    normal.answer[i] if i < len(normal.answer) else None,
                )
                for i in range(length)
            ]
            assert [token.replace("␣", " ") for token in row["tokens"]] == [
                own if own == before else f"{own}≠" for own, before in pairs
            ]
            badge = page.run(
                "return layers[state.layer].thumbnails[state.head].classList.contains('changed')"
            )
            assert badge == (without.answer != normal.answer)
            changes.add(badge)
    assert changes == {True, False}
    page.click("#off")
    assert len(outcomes()) == 3
    assert page.run("return document.querySelectorAll('.changed').length") == 0


def test_the_keyboard_alone_reaches_every_head_and_every_cell(opened: Any) -> None:
    page = opened(f"layer={ENCODER}&head=1&cell=1,1")
    focused = "return document.activeElement.ariaLabel ?? document.activeElement.id"
    page.press(TAB, TAB)
    assert page.run(focused) == "Encoder self-attention, layer 1, head 1"
    page.press(ARROWS["right"], ARROWS["right"], ARROWS["right"])
    assert page.run(focused) == "Encoder self-attention, layer 1, head 3"
    page.press(ARROWS["down"])
    assert page.run(focused) == "Decoder self-attention, layer 1, head 3"
    assert page.text("#name") == "Decoder self-attention, layer 1, head 3"
    page.press(TAB, TAB, TAB)
    assert page.run(focused) == "off"
    page.press(ENTER)
    assert page.run("return state.off")
    page.press(TAB)
    assert page.run(focused).startswith("weight of each query (row) by each key (column)")
    page.press(ARROWS["down"], ARROWS["right"], ARROWS["down"], ARROWS["left"], ARROWS["left"])
    assert (facts(page)["query"][0], facts(page)["key"][0]) == ("3", "1")
    page.press(END, ARROWS["up"])
    assert (facts(page)["query"][0], facts(page)["key"][0]) == ("2", "5")
    page.press(HOME, TAB)
    assert page.run(focused).startswith("∂loss/∂weight of each query")
    page.press(ARROWS["right"])
    assert (facts(page)["query"][0], facts(page)["key"][0]) == ("2", "2")


def test_the_address_keeps_layer_head_and_cell(opened: Any, inspection: Inspection) -> None:
    page = opened(f"layer={CROSS}&head=3&cell=2,4&lines=&off=")
    told = facts(page)
    assert number(told["weight"]) == layer_of(inspection, CROSS).weights[2, 1, 3]
    assert page.run("return [state.lines, state.off]") == [True, True]
    page.run("choose({ row: 3, lines: false })")
    address = page.address()
    assert address == f"#layer={CROSS}&head=3&cell=4%2C4&off="
    again = opened(address[1:])
    assert facts(again)["query"].startswith("4")
    again.run("location.hash = 'layer=decoder.layers.0.self_attention&head=99&cell=x,-7'")
    again.run("return new Promise(done => setTimeout(done, 50))")
    assert again.text("#name") == "Decoder self-attention, layer 1, head 3"
    assert (facts(again)["query"][0], facts(again)["key"][0]) == ("1", "1")


def test_pointing_tells_of_a_cell_and_clicking_chooses_it(
    inspection: Inspection, opened: Any
) -> None:
    from selenium.webdriver import ActionChains

    page = opened(f"layer={CROSS}&head=1&cell=1,1")
    layer = layer_of(inspection, CROSS)
    cells = page.driver.find_element("css selector", "#gradient .cells")
    size = cells.size["width"] / 4  # of a cell; there are five rows of four
    mouse = ActionChains(page.driver, duration=0)
    mouse.move_to_element_with_offset(cells, int(0.5 * size), int(0.9 * size)).perform()
    assert number(facts(page)["∂loss/∂weight"]) == layer.gradient[0, 3, 2]
    assert page.run("return [state.row, state.column]") == [0, 0]
    mouse.move_to_element(page.driver.find_element("css selector", "h1")).perform()
    assert number(facts(page)["weight"]) == layer.weights[0, 0, 0]
    mouse.move_to_element_with_offset(cells, int(0.5 * size), int(0.9 * size)).click().perform()
    assert page.run("return [state.row, state.column]") == [3, 2]


def luminance(browser: Any, canvas: str) -> np.ndarray[Any, Any]:
    """The brightness of each pixel of a canvas."""
    pixels = browser.run(
        "const canvas = document.querySelector(arguments[0]);"
        "const {width, height} = canvas;"
        "const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);"
        "return [height, width, [...data]];",
        canvas,
    )
    height, width, data = pixels
    rgba = np.array(data, float).reshape(height, width, 4)
    brightness: np.ndarray[Any, Any] = rgba[..., :3] @ [0.2126, 0.7152, 0.0722]
    return brightness


def test_the_colours_follow_the_weights_in_light_and_in_dark(
    inspection: Inspection, opened: Any
) -> None:
    layer = layer_of(inspection, DECODER)
    order = np.argsort(layer.weights[1], axis=None)
    for dark in (False, True):
        page = opened(f"layer={DECODER}&head=2", dark=dark)
        sign = 1 if dark else -1
        shown = sign * luminance(page, "#weights .cells canvas")
        assert (np.diff(shown.ravel()[order]) >= 0).all()
        thumbnail = sign * luminance(page, "button[aria-pressed=true].thumbnail canvas")
        np.testing.assert_array_equal(thumbnail, shown)
        page.click("header button")
        other = -sign * luminance(page, "#weights .cells canvas")
        assert (np.diff(other.ravel()[order]) >= 0).all()


def test_the_sign_of_a_gradient_is_blue_or_vermilion(inspection: Inspection, opened: Any) -> None:
    page = opened(f"layer={CROSS}&head=1")
    gradient = layer_of(inspection, CROSS).gradient[0]
    size = gradient.size
    data = page.run(
        "const canvas = document.querySelector('#gradient .cells canvas');"
        "return [...canvas.getContext('2d').getImageData(0, 0, 4, 5).data];"
    )
    red, _, blue, alpha = np.array(data).reshape(size, 4).T
    assert (alpha == 255).all()
    strong = np.abs(gradient).ravel() > 0.05 * np.abs(gradient).max()
    assert strong.sum() > 4
    np.testing.assert_array_equal((blue > red)[strong], (gradient.ravel() > 0)[strong])


def test_cells_that_the_mask_hides_are_struck_through(inspection: Inspection, opened: Any) -> None:
    page = opened(f"layer={DECODER}")
    path = page.run("return document.querySelector('#weights path').getAttribute('d')")
    assert path.count("M") == 10  # above the diagonal of 5 × 5
    assert "M1 1l1 -1" in path
    assert "hidden by the mask" in page.text("#weights .scale")
    page = opened(f"layer={ENCODER}")
    assert page.run("return document.querySelector('#weights path').getAttribute('d')") == ""
    assert "hidden" not in page.text("#weights .scale")


def test_lines_go_from_the_queries_to_the_keys_that_have_weight(
    tmp_path: Path, browser: Any
) -> None:
    weights = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]])
    attention(weights, ["p", "q", "r"], ["x", "y", "z"]).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", "lines")
    alpha = browser.run(
        "const canvas = document.querySelector('.cells canvas');"
        "const pen = canvas.getContext('2d');"
        "const at = (x, place) => pen.getImageData(x, (place + 0.5) / 3 * 900, 1, 1).data[3];"
        "return [[0, 1, 2].map(i => at(3, i)), [0, 1, 2].map(j => at(896, j))];"
    )
    queries, keys = alpha
    assert min(queries) > 0
    assert queries[0] > 2 * queries[1]  # the first is the chosen one
    assert keys[0] > 0
    assert keys[1] == 0
    assert keys[2] > 0
    browser.click(".keys span:nth-child(3)")
    browser.click(".queries span:nth-child(2)")
    assert facts(browser) == {"query": "2 “q”", "key": "3 “z”", "weight": "0"}


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(opened: Any, size: tuple[int, int], dark: bool) -> None:
    for fragment in ("", f"layer={CROSS}&off=", f"layer={DECODER}&lines="):
        page = opened(fragment, size=size, dark=dark)
        assert page.overflow() <= 0
        cut = page.run(
            "return [...document.querySelectorAll('#facts dd, h2, .scale, .number')]"
            ".filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth).length"
        )
        assert cut == 0


def test_tokens_and_titles_are_shown_and_not_run(opened: Any, path: Path) -> None:
    page = opened(f"layer={DECODER}&cell=4,2")
    assert page.text("h1") == "A model & its heads"
    assert (facts(page)["query"], facts(page)["key"]) == ("4 “<script>”", "2 “b␣c”")
    labels = page.run(
        "return [...document.querySelectorAll('#weights .queries span')].map(s => s.textContent)"
    )
    assert labels == ["<bos>", "b␣c", "a", "<script>", "d"]
    assert "<script>" not in path.read_text().split('id="data">')[1].split("</script>")[0]


def test_tokens_are_thinned_out_where_they_are_many_but_the_chosen_one_is_named(
    tmp_path: Path, browser: Any
) -> None:
    tokens = [f"token {i}" for i in range(150)]
    attention(np.full((150, 150), 1 / 150), tokens, tokens).save(tmp_path / "page.html")
    for size in ((1280, 800), (390, 844)):
        opened_at(browser, tmp_path / "page.html", "cell=78,2", size=size)
        for side, chosen in (("queries", "token␣77"), ("keys", "token␣1")):
            spans = f"document.querySelectorAll('.{side} span')"
            assert 10 < browser.run(f"return {spans}.length") < 60
            named = browser.run(f"return [...{spans}].map(s => s.textContent)")
            assert chosen in named
        tops = browser.run(
            "return [...document.querySelectorAll('.queries span')]"
            ".map(s => s.getBoundingClientRect()).map(b => [b.top, b.bottom])"
            ".sort((a, b) => a[0] - b[0])"
        )
        gaps = [after[0] - before[1] for before, after in pairwise(tops)]
        assert min(gaps) > -3  # lines of text do not overlap
        assert browser.overflow() <= 0


@pytest.mark.parametrize(
    ("weights", "names"),
    [
        (np.full((2, 3), 1 / 3), ["layer 1, head 1"]),
        (np.full((2, 2, 3), 1 / 3), ["layer 1, head 1", "layer 1, head 2"]),
        (np.full((2, 1, 2, 3), 1 / 3), ["layer 1, head 1", "layer 2, head 1"]),
        ({"<b>": np.full((1, 2, 3), 1 / 3)}, ["<b>, head 1"]),
        (
            {ENCODER: np.full((1, 2, 3), 1 / 3), CROSS: np.full((2, 4, 1), 1)},
            [
                "Encoder self-attention, layer 1, head 1",
                "Decoder cross-attention, layer 2, head 1",
                "Decoder cross-attention, layer 2, head 2",
            ],
        ),
    ],
)
def test_any_array_of_weights_has_a_page_without_what_is_not_known(
    weights: Any, names: list[str], tmp_path: Path, browser: Any
) -> None:
    attention(weights).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", "cell=2,3&off=")
    thumbnails = "[...document.querySelectorAll('.thumbnail')]"
    assert browser.run(f"return {thumbnails}.map(button => button.title)") == names
    told = facts(browser)
    assert (told["query"], told["key"]) == ("2 “2”", "3 “3”")
    assert told["weight"] == "0.3333333333333333"
    assert "to write" not in told
    head, _, _, last, sums = table(browser, 0)
    assert head == ["key", "weight"]
    assert np.float32(last[1]) == np.float32(1 / 3)
    assert float(sums[1]) == pytest.approx(1)
    assert browser.run("return byId('off').hidden")
    assert browser.run("return document.querySelectorAll('figure').length") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(3),), r"shape \(T, S\), \(H, T, S\) or \(L, H, T, S\), not \(3,\)"),
        ((np.ones((1, 1, 1, 2, 2)),), "choose one example of a batch"),
        ((np.ones((2, 0)),), r"need weights of shape \(heads, 2, 0\), not \(1, 2, 0\)"),
        ((np.ones((2, 2)), ["a"]), "layer 1: 1 query and 2 key tokens need"),
        ((np.ones((2, 2)), None, ["a"]), "2 query and 1 key tokens need"),
        (({"x": np.ones((2, 2))},), r"attention: x: .*not \(2, 2\)"),
        (({"x": np.ones((1, 2, 2)), "y": np.ones((1, 2, 3))}, None, ["a", "b"]), "y: 2 query"),
        (({},), "attention: there is no layer"),
        ((np.full((2, 2), np.nan),), "between nan and nan"),
        ((np.full((2, 2), np.inf),), "between inf and inf"),
        ((np.array([[0.5, -0.5]]),), "between -0.5 and 0.5"),
        ((np.array([[0.5, 1.5]]),), "weights lie between 0 and 1, these between 0.5 and 1.5"),
    ],
)
def test_what_is_no_attention_is_one_clear_line(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        attention(*arguments)
    assert "\n" not in str(error.value)


def test_an_inspection_has_its_own_tokens(inspection: Inspection) -> None:
    with pytest.raises(ValueError, match="an inspection has its own tokens"):
        attention(inspection, ["a"])


def test_a_page_of_two_million_numbers_is_exact_and_does_not_contradict_itself(
    inspection: Inspection, tmp_path: Path, browser: Any
) -> None:
    rng = np.random.default_rng(0)
    query, key = rng.normal(scale=5, size=(2, 2, 590, 9)).astype(np.float32)
    scores = query @ np.swapaxes(key, 1, 2) / np.float32(3)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    large = replace(
        layer_of(inspection, ENCODER),
        queries=["?"] * 590, keys=["!"] * 590, query=query, key=key, value=key,
        scores=scores, weights=powers / powers.sum(-1, keepdims=True),
        mask=np.ones((590, 590), bool), gradient=scores,
    )  # fmt: skip
    row, column = 3, int(scores[0, 3].argsort()[-3])
    attention(replace(inspection, layers=[large])).save(tmp_path / "page.html")
    fragment = f"layer={ENCODER}&head=1&cell={row + 1},{column + 1}"
    opened_at(browser, tmp_path / "page.html", fragment)
    assert number(facts(browser)["score"]) == scores[0, row, column]
    *rows, others, sums = table(browser, 2)[2:]
    assert others[0] == f"the {590 - len(rows)} other keys"
    lightest = min(float(row[1]) for row in rows)
    assert (large.weights[0, row] > lightest).sum() <= len(rows)
    result = large.weights[0, row].astype(float) @ large.value[0]
    np.testing.assert_allclose(np.array(sums[2:], float), result, rtol=1e-6)
    added = np.array([[*map(float, line[1:])] for line in [*rows, others]]).sum(0)
    np.testing.assert_allclose(added, [float(x) for x in sums[1:]], rtol=1e-6)
    power = browser.run(
        "return [...document.querySelector('#steps section:nth-child(2) > p').children]"
        ".map(number => Number(number.title))"
    )
    assert power[2] == large.weights[0, row, column]
    assert power[0] / power[1] == pytest.approx(power[2], rel=2e-5)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_an_inspection_is_drawn_without_a_browser_too(
    inspection: Inspection, tmp_path: Path, suffix: str
) -> None:
    maps = {layer.path: layer.weights for layer in inspection.layers}
    figure = draw_attention(maps, inspection.source, inspection.read, tmp_path / f"a.{suffix}")
    assert len([axes for axes in figure.axes if axes.images]) == 5 * 3
    assert (tmp_path / f"a.{suffix}").stat().st_size > 10_000


def test_a_notebook_shows_the_page_in_a_frame(
    inspection: Inspection, tmp_path: Path, browser: Any
) -> None:
    frame = attention(inspection)._repr_html_()
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{frame}")
    browser.open(tmp_path / "notebook.html")
    browser.driver.switch_to.frame(0)
    try:
        browser.run("return new Promise(done => setTimeout(done, 300))")
        browser.run("choose({ row: 1 })")
        assert facts(browser)["query"].startswith("2")
    finally:
        browser.driver.switch_to.default_content()


def test_an_empty_answer_is_said_to_be_nothing(
    inspection: Inspection, tmp_path: Path, browser: Any
) -> None:
    silent = replace(inspection.normal, answer=[])
    attention(replace(inspection, normal=silent)).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html")
    assert browser.text("#outcomes tr:nth-child(3)").startswith("answer nothing loss")


def a_language_model() -> LanguageModel:
    """A small one with random weights: two layers of two heads that share a key and a value."""
    sizes = {"vocab": 8, "num_layers": 2, "d_model": 8, "num_heads": 2, "d_ff": 12}
    config = LanguageConfig.llama(**sizes, num_kv_heads=1, max_length=8)
    return LanguageModel(config, rng=1)


def test_of_a_text_the_page_tells_what_comes_next_at_each_place(
    tmp_path: Path, browser: Any
) -> None:
    words = Words((*OWN.values(), "a", " b", "c\n", "d"))
    found = inspect(a_language_model(), Text(words, 8), [4, 5, 6, 4])
    attention(found).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html")
    assert browser.text("#heads h2") == "Causal self-attention"
    assert "its own weights cannot depend on that" in browser.text("#note")
    assert "what the model itself finds likeliest" in browser.text("#note")
    rows = browser.run(
        "return [...document.querySelectorAll('#outcomes tr')].map(row =>"
        " [...row.querySelectorAll('th, .token')].map(one => one.textContent))"
    )
    next_tokens = [readable(token) for token in found.target]
    assert rows == [
        ["text", "a", "␣b", "c⏎", "a"],
        ["comes next", *next_tokens],
        ["likeliest", *map(readable, found.normal.answer)],
    ]
    told = facts(browser)  # it opens on the last token, which sees them all
    assert (told["query: text"], told["comes next"]) == ("4 “a”", f"“{next_tokens[-1]}”")
    head, *rows = table(browser, 4)
    assert head[:4] == ["reads", "comes next", "its probability", "likeliest"]
    for place, (row, p) in enumerate(zip(rows, found.probabilities, strict=False)):
        assert row[:2] == [f"{place + 1} “{readable(found.source[place])}”", next_tokens[place]]
        assert np.float32(row[2]) == p[found.asked[place]]
    assert browser.run("return document.querySelector('#steps .chosen:last-of-type') !== null")


def test_of_gaps_the_page_has_a_row_for_each_with_its_place(tmp_path: Path, browser: Any) -> None:
    words = Words((*BERT.values(), "a", "b", "c"), Special.find(BERT, BERT.values()))
    form = Masked(words, 8)
    config = BertConfig(vocab=8, num_layers=1, d_model=8, num_heads=2, d_ff=12, max_length=8)
    found = inspect(Bert(config, rng=0), form, form.read("a [MASK] c [MASK]"), [6, 7])
    attention(found).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", "cell=3,1")
    assert facts(browser)["asked for"] == "“b”"
    head, *rows = table(browser, 4)
    assert head[:4] == ["reads", "asked for", "its probability", "likeliest"]
    assert [row[:2] for row in rows[:2]] == [["3 “[MASK]”", "b"], ["5 “[MASK]”", "c"]]
    for row, p, right in zip(rows, found.probabilities, (6, 7), strict=False):
        assert np.float32(row[2]) == p[right]
    chosen = "return [...document.querySelectorAll('#steps section:last-child tbody tr')]"
    assert browser.run(f"{chosen}.map(row => row.className)") == ["chosen", ""]
    browser.run("choose({ row: 0 })")
    assert "asked for" not in facts(browser)


def test_of_a_large_model_the_page_leaves_out_what_takes_long_or_much_room(
    tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitransformer.inside.inspection.MOST_WORK", 0)
    monkeypatch.setattr("viz.pages.attention.MOST_NUMBERS", 0)
    words = Words((*OWN.values(), "a", "b", "c", "d"))
    found = inspect(a_language_model(), Text(words, 8), [4, 5, 6])
    attention(found).save(tmp_path / "page.html")
    opened_at(browser, tmp_path / "page.html", "off=")
    assert not browser.run("return byId('off').checkVisibility()")
    assert "this large model would have to run 4 times more" in browser.text("#opens")
    assert "head off" not in browser.text("#legend")
    lengths = [
        row.split(":")[-1] for row in browser.text("#steps section:nth-child(4)").split(". ")
    ]
    layer, _ = most_choosing([layer.weights for layer in found.layers])
    expected = np.linalg.norm(found.layers[layer].part[:, 2], axis=-1)
    shown = [float(x.replace("−", "-")) for x in lengths[-1].split("·")]
    np.testing.assert_allclose(shown, expected, rtol=1e-3)
    assert browser.run("return document.querySelector('.numbers')") is None


def test_lines_leave_out_what_the_mask_hides(tmp_path: Path, browser: Any) -> None:
    words = Words((*OWN.values(), "a", "b", "c", "d"))
    attention(inspect(a_language_model(), Text(words, 8), [4, 5, 6, 7])).save(
        tmp_path / "page.html"
    )
    opened_at(browser, tmp_path / "page.html", "lines=")
    drawn = browser.run(
        "const lines = []; drawLine = (pen, from, to) => lines.push([from, to]); show();"
        "return lines"
    )
    # From each of four places to itself and to those before it, in two figures, and to a cell.
    assert len(drawn) == 2 * (10 + 1)
