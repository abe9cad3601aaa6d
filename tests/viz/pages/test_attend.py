"""What the page of self-attention shows is what the engine computed, and each number adds up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.inside.by_hand import Matrix, Step, matrix_of, without_parameters
from minitransformer.inside.heads_by_hand import with_parameters
from minitransformer.inside.sentences import Reading, drawn_reading, from_seed
from minitransformer.parts.attention import MultiHeadAttention, causal_mask
from viz.pages.attend import attend
from viz.walkthrough import CORNER, decimals

TEXTS = ["money bank grows", "the <b>river</b> bank flows"]
LEFT, UP, RIGHT, DOWN = "\ue012", "\ue013", "\ue014", "\ue015"
ESCAPE, SPACE, TAB = "\ue00c", "\ue00d", "\ue004"


def narrow() -> list[Step]:
    """All steps there are of drawn vectors: two heads, under a mask."""
    sentences = from_seed(TEXTS)
    reading = drawn_reading(sentences, 2, causal=True)
    return [*without_parameters(sentences), *with_parameters(sentences, reading)]


def wide() -> list[Step]:
    """Those of a layer with long vectors, biases, turned queries and shared keys."""
    sentences = from_seed(TEXTS, width=80)
    attention = MultiHeadAttention(80, 2, rng=0, num_kv_heads=1, rotary_base=100.0)
    rng = np.random.default_rng(0)
    for x in attention.astype(np.float64).parameters():
        x.data[...] = rng.normal(0, 0.1, x.shape)
    inputs = [sentence.vectors for sentence in sentences]
    reading = Reading(attention, inputs, [causal_mask(len(x)) for x in inputs], "What it reads.")
    return [*without_parameters(sentences), *with_parameters(sentences, reading)]


MAKERS = {"narrow": narrow, "wide": wide}


@pytest.fixture(scope="module", params=MAKERS)
def steps(request: pytest.FixtureRequest) -> list[Step]:
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def path(steps: list[Step], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "attend.html"
    attend(steps, title="A & B").save(path)
    return path


@pytest.fixture
def opened(browser: Any, path: Path) -> Callable[..., Any]:
    """Open the page and wait until it is there."""

    def open_at(fragment: str = "", **how: Any) -> Any:
        from selenium.webdriver.support.wait import WebDriverWait

        browser.open(path, fragment=fragment, **how)
        ready = "return document.body.dataset.ready === 'yes'"
        WebDriverWait(browser.driver, 10, 0.02).until(lambda _: browser.run(ready))
        return browser

    return open_at


@pytest.fixture
def first(browser: Any, tmp_path: Path) -> Any:
    """The page of the narrow steps."""
    attend(narrow()).save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    return browser


NUMBERS = """
return [...document.querySelectorAll('#step table')].map((table) => [
  table.dataset.key,
  [...table.querySelectorAll('tbody tr')].map((row) =>
    [...row.querySelectorAll('td')].map((cell) => [cell.title, cell.textContent])),
])
"""

TOLD = """
return arguments[0].map(([key, row, column]) => {
  choose(key, row, column);
  const shown = [...document.querySelectorAll('#cell tr')].map((line) =>
    [...line.children].map((cell) => cell.querySelector('.number')?.title ?? cell.textContent));
  const equation = [...document.querySelectorAll('#cell .equation .number')].map((x) => x.title);
  return [byId('cell').querySelector('.value').title, shown, equation];
})
"""


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("Infinity", "inf").replace("∞", "inf"))


def first_numbers(matrix: Matrix) -> Any:
    """The part of a matrix that a page shows."""
    rows, columns = (
        count if names is not None or count <= 16 else CORNER
        for count, names in zip(matrix.values.shape, (matrix.rows, matrix.columns), strict=True)
    )
    return matrix.values[:rows, :columns]


def test_every_number_of_every_step_is_the_engines(steps: list[Step], opened: Any) -> None:
    page = opened()
    for place, step in enumerate(steps):
        page.run("go(arguments[0])", place)
        found = page.run(NUMBERS)
        assert {key for key, _ in found} == {x.key for x in step.matrices}
        for key, rows in found:
            expected = first_numbers(matrix_of([step], key))
            assert np.array_equal([[number(x) for x, _ in row] for row in rows], expected)
            rounded = np.array([[number(x) for _, x in row] for row in rows])
            assert np.allclose(rounded, expected, rtol=1e-2, atol=10.0 ** -decimals(expected))
            assert {len(x.partition(".")[2]) for row in rows for _, x in row if "∞" not in x} == {
                decimals(expected)
            }


def test_what_is_told_of_a_number_adds_up_to_it(steps: list[Step], opened: Any) -> None:
    page = opened()
    for place, step in enumerate(steps):
        page.run("go(arguments[0])", place)
        cells = [
            (x.key, row, column)
            for x in step.matrices
            for row, column in [(0, 0), (-1, -1), (1, 0)]
            for row, column in [np.array([row, column]) % first_numbers(x).shape]
        ]
        cells = [(key, int(row), int(column)) for key, row, column in cells]
        for (key, row, column), told in zip(cells, page.run(TOLD, cells), strict=True):
            matrix = matrix_of([step], key)
            assert number(told[0]) == matrix.values[row, column]
            adds_up(matrix, row, column, *told[1:])


def adds_up(
    matrix: Matrix, row: int, column: int, lines: list[list[str]], equation: Sequence[str]
) -> None:
    """Check what is told of one number."""
    value = pytest.approx(matrix.values[row, column], rel=1e-9, abs=1e-12)
    parts = [number(x) for x in equation]
    match matrix.how:
        case "dots" | "product" | "turned":
            terms = lines[1:-1]
            assert sum(number(line[3]) for line in terms) == value
            for _, a, b, product in terms:
                assert not a or number(a) * number(b) == pytest.approx(number(product))
        case "scaled" | "shares":
            assert parts[0] / parts[1] == pytest.approx(parts[2])
            assert parts[2] == value
        case "powers" if parts:
            *exponent, result = parts
            assert np.exp(exponent[0] - sum(exponent[1:])) == pytest.approx(result)
            assert result == value
        case "powers":
            assert sum(number(line[1]) for line in lines[1:-1]) == value
        case "cosine":
            assert parts[0] / (parts[1] * parts[2]) == pytest.approx(parts[3])
            assert parts[3] == value
        case "same":
            together, alone, apart = (number(line[1]) for line in lines[1:])
            assert together == value
            assert together - alone == apart


def test_of_long_vectors_the_rest_is_one_line(browser: Any, tmp_path: Path) -> None:
    steps = wide()
    attend(steps).save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", fragment="step=2&cell=S0,1,2")
    lines = browser.run("return [...document.querySelectorAll('#cell tr')].map(x => x.innerText)")
    assert len(lines) == 1 + CORNER + 1 + 1
    assert lines[-2].startswith("the other 74")
    v = matrix_of(steps, "V0").values
    rest = float(v[0, CORNER:] @ v[1, CORNER:])
    told = browser.run("return [...document.querySelectorAll('#cell td .number')].at(-2).title")
    assert float(told) == pytest.approx(rest, abs=1e-12)


def test_arrows_step_and_in_a_table_go_from_number_to_number(first: Any) -> None:
    where = "return [state.step, state.key, state.row, state.column]"
    first.press(RIGHT)
    assert first.run(where)[0] == 1
    first.click("#step table[data-key='S1'] tbody tr:nth-child(2) td:nth-child(4)")
    assert first.run(where) == [1, "S1", 1, 2]
    first.press(DOWN, LEFT)
    assert first.run(where) == [1, "S1", 2, 1]
    assert "S: " in first.text("#cell h2")
    first.press(ESCAPE, RIGHT)
    assert first.run(where)[0] == 2
    first.press(LEFT, LEFT, LEFT)
    assert first.run(where)[0] == 0


def test_pointing_at_a_number_tells_of_it_until_the_pointer_leaves(first: Any) -> None:
    from selenium.webdriver import ActionChains

    first.run("go(1)")
    before = first.text("#cell h2")
    cell = first.driver.find_element("css selector", "table[data-key='S0'] tbody tr:last-child td")
    ActionChains(first.driver).move_to_element(cell).perform()
    assert first.text("#cell h2") == "S: grows, money" != before
    title = first.driver.find_element("css selector", "h1")
    ActionChains(first.driver).move_to_element(title).perform()
    assert first.text("#cell h2") == before


def test_the_address_keeps_what_is_looked_at(opened: Any) -> None:
    page = opened("step=4&cell=W1,2,3")
    assert page.run("return [state.step, state.key, state.row, state.column]") == [3, "W1", 1, 2]
    assert page.address() == "#step=4&cell=W1%2C2%2C3"
    page = opened("step=999&cell=nonsense,x")
    assert page.run("return state.step") == page.run("return steps.length") - 1


def test_each_step_has_its_sentence_and_its_formula(steps: list[Step], opened: Any) -> None:
    page = opened()
    for place, step in enumerate(steps):
        page.run("go(arguments[0])", place)
        assert page.text("#step h2") == step.title
        assert page.text(".sentence") == step.sentence
        assert page.run(
            "return document.querySelector('.formula').textContent"
        ) == step.formula.replace("_", "")
        assert page.run(
            "return [...document.querySelectorAll('.note')].map(x => x.textContent)"
        ) == [*step.notes]


@pytest.mark.parametrize("window", [(390, 844), (768, 1024), (1280, 800)])
def test_no_step_is_wider_than_its_window(window: tuple[int, int], steps: Any, opened: Any) -> None:
    page = opened(size=window)
    for place in range(len(steps)):
        page.run("go(arguments[0])", place)
        assert (place, page.overflow()) == (place, 0)
