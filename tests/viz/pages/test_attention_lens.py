"""What each layer would say, and is told to say, as the page of attention shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigrad import nn
from minitransformer.forms import Masked
from minitransformer.inside.inspection import Inspection, inspect
from minitransformer.models.bert import Bert, BertConfig
from minitransformer.models.recurrent import LSTMAttentionSettings
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import BERT
from tests.viz.pages.opening import FORM, SIZES, WORDS, opened
from viz.figure.characters import readable
from viz.pages.attention import attention

RIGHT, UP, ENTER = "\ue014", "\ue013", "\ue007"


def table(page: Any) -> list[list[str]]:
    return page.run(
        "return [...document.querySelectorAll('#lens-cells tr')]"
        ".map(row => [...row.children].map(cell => cell.textContent))"
    )


def told(page: Any) -> dict[str, Any]:
    """The words told of a cell, and the exact numbers among them."""
    return page.run(
        "return Object.fromEntries([...document.querySelectorAll('#lens-told > div')].map(fact =>"
        " [fact.firstChild.textContent, [fact.lastChild.textContent,"
        " [...fact.querySelectorAll('.number')].map(x => Number(x.title))]]))"
    )


def tokens(numbers: Any) -> list[str]:
    return [readable(WORDS.tokens[number]) for number in numbers]


def test_the_likeliest_token_after_each_layer_is_the_models(
    inspection: Inspection, path: Path, browser: Any
) -> None:
    page = opened(browser, path)
    lens = inspection.lens
    assert lens is not None
    reads, asked, *rows = table(page)
    assert reads == ["reads", *map(readable, inspection.read)]
    assert asked == ["to write", *map(readable, inspection.target)]
    assert rows == [
        [name, *tokens(lens.guesses[layer, :, 0])]
        for layer, name in enumerate(["embedding", "layer 1", "layer 2"])
    ]
    right = page.run(
        "return [...document.querySelectorAll('#lens-cells tbody tr')].map(row =>"
        " [...row.querySelectorAll('button')].map(cell => cell.classList.contains('right')))"
    )
    np.testing.assert_array_equal(right, lens.guesses[:, :, 0] == inspection.asked)
    page.run("chooseLens({ layer: 1, place: 2 })")
    facts = told(page)
    assert facts["where"][0].startswith("after layer 1, at 3 “")
    for i, token in enumerate(tokens(lens.guesses[1, 2])):
        assert facts["likeliest"][0].split(" · ")[i].startswith(f"{token} ")
    np.testing.assert_array_equal(np.float32(facts["likeliest"][1]), lens.probabilities[1, 2])
    np.testing.assert_array_equal(np.float32(facts["to write"][1]), lens.right[1, [2]])


def test_backward_it_shows_what_a_step_would_raise_and_lower(
    inspection: Inspection, path: Path, browser: Any
) -> None:
    page = opened(browser, path)
    page.run("byId('backward').click()")
    lens = inspection.lens
    assert lens is not None
    _, _, *rows = table(page)
    assert [row[1:] for row in rows] == [tokens(x[:, 0]) for x in lens.raised]
    page.run("chooseLens({ layer: 0, place: 1 })")
    facts = told(page)
    np.testing.assert_array_equal(np.float32(facts["a step would raise"][1]), lens.rises[0, 1])
    np.testing.assert_array_equal(np.float32(facts["and lower"][1]), lens.falls[0, 1])
    lowered = [text.split(" ")[0] for text in facts["and lower"][0].split(" · ")]
    assert lowered == [token.split(" ")[0] for token in tokens(lens.lowered[0, 1])]
    assert "say more of" in page.run("return byId('lens-title').textContent")
    again = opened(browser, path, "backward=")
    assert table(again)[2:] == rows


def test_keys_and_the_pointer_reach_every_cell(path: Path, browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = opened(browser, path)
    first = told(page)["where"][0]
    assert first.startswith("after layer 2, at 1 “")
    page.run("document.querySelector('#lens-cells [tabindex=\"0\"]').focus()")
    ActionChains(page.driver).send_keys(RIGHT, UP).perform()
    assert told(page)["where"][0].startswith("after layer 1, at 2 “")
    assert page.run("return document.activeElement.ariaLabel").startswith("layer 1, 2 “")
    page.run(
        "document.querySelector('#lens-cells tbody button')"
        ".dispatchEvent(new PointerEvent('pointerenter'))"
    )
    assert told(page)["where"][0].startswith("after embedding, at 1 “")
    page.run(
        "document.querySelector('#lens-cells tbody button')"
        ".dispatchEvent(new PointerEvent('pointerleave'))"
    )
    assert told(page)["where"][0].startswith("after layer 1, at 2 “")


def test_of_gaps_a_dot_stands_where_nothing_that_is_asked_for_depends_on_a_layer(
    tmp_path: Path, browser: Any
) -> None:
    words = Words((*BERT.values(), "a", "b", "c"), Special.find(BERT, BERT.values()))
    form = Masked(words, 8)
    model = Bert(BertConfig(vocab=8, num_layers=2, **SIZES), 0)
    source = form.read("a [MASK] b c")
    inspection = inspect(model, form, source)
    attention(inspection).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "backward=")
    reads, asked, *rows = table(page)
    assert reads[1:] == [readable(token) for token in inspection.source]
    (place,) = inspection.places
    assert [bool(text) for text in asked[1:]] == [at == place for at in range(len(source))]
    assert [text == "·" for text in rows[-1][1:]] == [at != place for at in range(len(source))]
    assert "·" not in rows[0][1:]


def test_without_a_lens_there_is_no_table(tmp_path: Path, browser: Any) -> None:
    model = LSTMAttentionSettings(d_model=6, layers=1).build(FORM.shape, nn.source(0))
    attention(inspect(model, FORM, [4, 6, 5], [5, 4])).save(tmp_path / "page.html")
    assert opened(browser, tmp_path / "page.html").run("return byId('lens').hidden")
