"""Which parts of query and key a score is made of, as the page of attention shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.tensor import Array
from minitransformer.forms import Text
from minitransformer.inside.inspection import Inspection, Layer, inspect
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.recurrent import LSTMAttentionSettings
from tests.viz.pages.opening import FORM, SIZES, WORDS, opened, wait_until
from viz.pages.attention import attention, called

CROSS = "decoder.layers.0.cross_attention"


def table(page: Any) -> tuple[list[str], list[str], Array]:
    """The names of the columns and the rows after "sum" and before it, and all numbers."""
    columns, *rows = page.run(
        "return [...document.querySelectorAll('#why tr')].map(row => [...row.children].map(cell =>"
        " cell.querySelector('.number')?.title ?? cell.textContent))"
    )
    assert (columns[1], rows[-1][0]) == ("sum", "sum")
    return columns[2:], [row[0] for row in rows[:-1]], np.array([row[1:] for row in rows], float)


def pairs_of(layer: Layer, head: int, row: int, column: int, against: bool = False) -> Array:
    """The product of each part of a query with each of a key, in float64."""
    queries = np.array([x[head, row] for x in layer.query_parts.values()], float)
    keys = np.array([x[head] for x in layer.key_parts.values()], float)
    less = keys[:, layer.mask[row]].mean(1) if against else 0
    return queries @ (keys[:, column] - less).T / np.sqrt(queries.shape[-1])


def test_the_parts_of_a_score_are_shown_and_add_up_to_it(
    inspection: Inspection, path: Path, browser: Any
) -> None:
    layer = next(layer for layer in inspection.layers if layer.path == CROSS)
    page = opened(browser, path, f"layer={CROSS}&head=2&cell=3,2")
    columns, rows, numbers = table(page)
    assert rows == ["token", "position", "layer 1, head 1", "layer 1, head 2", "biases"]
    assert columns == [*rows[:-1], "layer 1, feed-forward", "biases"]
    pairs = pairs_of(layer, 1, 2, 1)
    np.testing.assert_allclose(numbers[:-1, 1:], pairs, atol=1e-12)
    np.testing.assert_allclose(numbers[:-1, 0], pairs.sum(1), atol=1e-12)
    np.testing.assert_allclose(numbers[-1, 1:], pairs.sum(0), atol=1e-12)
    assert numbers[-1, 0] == pytest.approx(float(layer.scores[1, 2, 1]), abs=1e-6)
    told = page.run("return document.querySelector('#why-sums p').textContent")
    assert told.endswith(", the score")


def test_against_the_other_keys_leaves_out_what_all_of_them_have(
    inspection: Inspection, path: Path, browser: Any
) -> None:
    """Of a causal layer, whose second query sees two keys."""
    layer = next(x for x in inspection.layers if x.path == "decoder.layers.1.self_attention")
    page = opened(browser, path, f"layer={layer.path}&head=1&cell=2,1")
    page.run("byId('against').click()")
    *_, numbers = table(page)
    pairs = pairs_of(layer, 0, 1, 0, against=True)
    np.testing.assert_allclose(numbers[:-1, 1:], pairs, atol=1e-12)
    scores = layer.scores[0, 1]
    assert numbers[-1, 0] == pytest.approx(float(scores[0] - scores[:2].mean()), abs=1e-6)
    assert page.run("return byId('against').ariaPressed") == "true"
    page = opened(browser, path, f"layer={layer.path}&head=1&cell=2,1&against=")
    np.testing.assert_array_equal(table(page)[2], numbers)


def test_of_many_parts_the_weaker_ones_are_added_up_in_one(tmp_path: Path, browser: Any) -> None:
    config = LanguageConfig.gpt2(vocab=8, num_layers=4, **{**SIZES, "num_heads": 3})
    found = inspect(LanguageModel(config, 0), Text(WORDS, 7), [4, 6, 5, 7, 4])
    layer = found.layers[3]
    attention(found).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", f"layer={layer.path}&head=1&cell=5,2")
    columns, rows, numbers = table(page)
    assert len(layer.query_parts) == 15
    assert (columns[-1], rows[-1], numbers.shape) == ("the 6 others", "the 6 others", (11, 11))
    pairs = pairs_of(layer, 0, 4, 1)
    strongest = np.sort(np.argsort(-np.abs(pairs).sum(1))[:9])
    assert rows[:-1] == [called([*layer.query_parts][at]) for at in strongest]
    np.testing.assert_allclose(numbers[:9, 0], pairs[strongest].sum(1), atol=1e-12)
    assert numbers[-1, 0] == pytest.approx(float(layer.scores[0, 4, 1]), abs=1e-5)


def test_it_says_where_positions_are_no_part(tmp_path: Path, browser: Any, path: Path) -> None:
    said = "return byId('why-words').textContent.includes('Positions are no part')"
    assert not opened(browser, path, "").run(said)
    config = LanguageConfig.llama(vocab=8, num_layers=1, num_kv_heads=1, **SIZES)
    attention(inspect(LanguageModel(config, 0), Text(WORDS, 7), [4, 6])).save(
        tmp_path / "page.html"
    )
    assert opened(browser, tmp_path / "page.html", "").run(said)


def test_where_scores_are_no_products_there_is_no_table_of_parts(
    tmp_path: Path, browser: Any
) -> None:
    model = LSTMAttentionSettings(d_model=6, layers=1).build(FORM.shape, nn.source(0))
    attention(inspect(model, FORM, [4, 6, 5], [5, 4])).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "")
    assert page.run("return byId('why').hidden")


def test_of_a_large_model_the_page_leads_to_the_heads_that_have_a_table(
    tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitransformer.inside.inspection.MOST_PARTS", 300)
    monkeypatch.setattr("minitransformer.inside.inspection.MOST_WORK", 0)
    config = LanguageConfig.gpt2(vocab=8, num_layers=2, **SIZES)
    found = inspect(LanguageModel(config, 0), Text(WORDS, 7), [4, 6, 5])
    attention(found).save(tmp_path / "page.html")
    page = opened(browser, tmp_path / "page.html", "")
    (number, head), *_ = told = [
        (number, head) for number, layer in enumerate(found.layers) for head in layer.split
    ]
    assert 1 <= len(told) < 4
    assert (page.run("return [state.layer, state.head]")) in [[*at] for at in told]
    *_, numbers = table(page)
    layer, at = found.layers[page.run("return state.layer")], page.run("return state")
    score = layer.scores[at["head"], at["row"], at["column"]]
    assert numbers[-1, 0] == pytest.approx(float(score), abs=1e-6)

    other = next(x for x in [(0, 0), (0, 1), (1, 0), (1, 1)] if x not in told)
    page.run("choose({ layer: arguments[0], head: arguments[1] })", *other)
    links = "return [...document.querySelectorAll('#why a')]"
    names = [f"Causal self-attention, layer {n + 1}, head {h + 1}" for n, h in told]
    assert page.run(f"{links}.map(link => link.textContent)") == names
    assert page.run("return byId('against').hidden")
    page.run("document.querySelector('#why a').click()")
    wait_until(browser, "return document.querySelector('#why table') !== null")
    assert page.run("return [state.layer, state.head]") == [number, head]
