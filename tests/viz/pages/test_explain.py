"""The page of a backward pass, opened in a browser: its steps, its numbers, its ways to walk."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor, Value
from minigrad.nn import Module, ModuleList, parameter
from viz.graphs.dot import COLOURS
from viz.graphs.steps import items_behind, views
from viz.pages.explain import BINS, CORNER, Gathered, described, explain
from viz.pages.page import Page
from viz.subject.examples import EXAMPLES

HOME, END, LEFT, RIGHT, ENTER, ESCAPE = "\ue011", "\ue010", "\ue012", "\ue014", "\ue007", "\ue00c"
SPACE = " "

Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Show:
    """Open a page in the browser, and wait until it has unpacked itself."""

    def opened(page: Page, **options: Any) -> Any:
        page.save(tmp_path / "page.html")
        browser.open(tmp_path / "page.html", **options)
        ready(browser)
        return browser

    return opened


def ready(browser: Any) -> None:
    """Wait for the page's data, which it decompresses after it has loaded."""
    for _ in range(500):
        if browser.run("return document.body.dataset.ready === 'yes'"):
            return
        time.sleep(0.01)
    raise AssertionError("the page does not get ready")


def counted(browser: Any) -> tuple[int, int]:
    """The number of the step, and of the last one."""
    _, at, _, last = browser.text("#count").split()
    return int(at), int(last)


def numbers(browser: Any, role: str) -> list[tuple[int, list[float]]]:
    """The tables of numbers with this role in the step: whose they are, and what they hold."""
    found = browser.run(
        """const arrays = document.querySelectorAll(`#step [data-role="${arguments[0]}"]`);
           const texts = (array) => [...array.querySelectorAll("td")].map((td) => td.title);
           return [...arrays].map((array) => [array.dataset.item, texts(array)]);""",
        role,
    )
    return [(int(item), [float(text) for text in texts]) for item, texts in found]


def loss(dtype: Any = np.float64) -> tuple[Tensor, list[Tensor]]:
    """A result with broadcasting, with a tensor that has three consumers and one used twice by one
    op; and the leaves."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(4, 3)), dtype=dtype, name="x")
    w = Tensor(rng.normal(size=(3, 2)), dtype=dtype, requires_grad=True, name="w")
    b = Tensor(rng.normal(size=2), dtype=dtype, requires_grad=True, name="b")
    h = np.tanh(x @ w + b)
    return ((h * h).sum() + (h - 1).mean() + (w * b).sum()), [w, b]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_number_on_the_way_is_that_of_backward(show: Show, dtype: Any) -> None:
    result, leaves = loss(dtype)
    browser = show(explain(result))
    items = items_behind(result)
    tensors = [item.origin for item in items.values()]
    for x in tensors:
        if x.op is not None:
            x.retain_grad()
    result.backward(retain_graph=True)

    final: dict[int, list[float]] = {}
    sums: dict[int, Any] = dict.fromkeys(range(len(tensors)), 0.0)
    at, last = counted(browser)
    assert at == 0
    for step in range(1, last + 1):
        browser.press(RIGHT)
        assert counted(browser) == (step, last)
        final |= dict(numbers(browser, "gradient"))
        for item, shown in numbers(browser, "sent"):
            sums[item] = sums[item] + np.array(shown, dtype)
    assert {tensors[item].order for item in final} == {x.order for x in tensors if x.requires_grad}
    for item, shown in final.items():
        grad = tensors[item].grad
        np.testing.assert_array_equal(np.array(shown, dtype), grad.ravel())
        if tensors[item] is not result:
            np.testing.assert_allclose(
                sums[item], grad.ravel(), rtol=1e-6 if dtype == np.float32 else 1e-12
            )
    assert {id(leaf) for leaf in leaves} <= {id(tensors[item]) for item in final}


def test_forward_steps_show_each_op_with_its_inputs_and_its_result(show: Show) -> None:
    result, _ = loss()
    browser = show(explain(result))
    ops = [(i, item) for i, item in enumerate(items_behind(result).values()) if item.op]
    for i, item in ops:
        browser.press(RIGHT)
        assert browser.text("#what") == f"forward {item.label}"
        assert numbers(browser, "value") == [(i, item.value.ravel().tolist())]
        shown = [values for _, values in numbers(browser, "input")]
        assert shown == [x.value.ravel().tolist() for x in item.operands]


def test_a_node_says_what_has_come_and_what_is_awaited_and_why_it_is_next(show: Show) -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True, name="x")
    y = (np.exp(x) + x * x).sum()
    browser = show(explain(y), fragment="step=5")  # after 4 ops forward, the sum goes first
    seen = []
    for _ in range(4):
        browser.press(RIGHT)
        seen.append(browser.text("#step"))
    assert "The first of 3 contributions; still awaited: 2, from" in seen[1]
    assert "2 of 3 contributions; still awaited: 1, from exp" in seen[1]
    assert "the last one: nothing more is awaited (0 left)" in seen[2]
    assert "All 3 contributions of its consumers have arrived" in seen[3]
    assert "nothing newer can still send one" in seen[3]
    assert "from newest to oldest" in seen[3]


def test_broadcasting_is_undone_before_the_readers_eyes(show: Show) -> None:
    b = Tensor([1.0, 2.0], requires_grad=True, name="b")
    browser = show(explain((np.ones((3, 2)) * b).sum()), fragment="step=4")
    assert "Broadcasting is undone: 3×2 → 2, summed over axis 0" in browser.text("#step")
    assert numbers(browser, "ruled") == [(0, [1.0] * 6)]
    assert numbers(browser, "sent") == [(0, [3.0, 3.0])]


def test_a_name_of_the_users_is_told_from_the_same_letter_in_the_rule(show: Show) -> None:
    x, b, y = (Tensor([[1.0, 2.0]], requires_grad=True, name=name) for name in "xby")
    browser = show(explain(np.tanh(x) + b - y), fragment="step=2")
    boxes = "return [...document.querySelectorAll('#step h3')].map(e => e.innerText)"
    assert browser.run(boxes) == ["a is tanh #1", "b is your b", "y is the result, not your y"]
    browser.press(RIGHT)
    assert browser.run(boxes) == ["a is add #2", "b is your y", "y is the result, not your y"]
    browser.press(RIGHT)
    assert browser.run(boxes) == [
        "g is the gradient that arrives",
        "to a: add #5",
        "to b: your y #7",
    ]


def test_a_fused_op_shows_its_definition_forward_and_its_derivative_backward(show: Show) -> None:
    x = Tensor([[1.0, 2.0, 4.0]], requires_grad=True, name="x")
    formula = "return document.querySelector('#step .formula').textContent.replace(/\\s/g, '')"
    browser = show(explain(TABLE["softmax"](x)), fragment="step=1")
    assert browser.run(formula).endswith("y=powerstotal+(total=0)")
    browser.press(RIGHT)
    assert browser.run(formula) == "y·(g−∑axisg·y)"


@pytest.mark.parametrize("size", [(1280, 800), (1024, 700)])
def test_the_formulas_of_attention_fit_into_their_card(show: Show, size: tuple[int, int]) -> None:
    query, key, value = (Tensor(np.ones((2, n, 3)), requires_grad=True) for n in (4, 5, 5))
    attention = TABLE["scaled_dot_product_attention"]
    page = explain(attention(query, key, value, mask=np.ones((4, 5), bool)))
    browser = show(page, size=size)
    widths = (
        "return [...document.querySelectorAll('#step .formula')].map("
        "e => e.scrollWidth - e.clientWidth)"
    )
    for number in (1, 3):
        browser.press(RIGHT)
        assert browser.run(widths) == [0] * number


def test_the_rule_is_shown_as_formula_and_as_source(show: Show) -> None:
    a = Tensor([2.0], requires_grad=True, name="a")
    browser = show(explain(a / 3.0), fragment="step=2")
    assert browser.text("#step .formula math").split() == ["g", "b"]
    assert browser.text("#step .source").startswith("minigrad/ops/elementwise.py:")
    assert "lambda g, y, a, b: g / b" in browser.text("#step .source")


def test_buttons_slider_keys_and_address_lead_to_a_step(show: Show, browser: Any) -> None:
    result, _ = loss()
    show(explain(result), fragment="step=7")
    _, last = counted(browser)
    assert counted(browser) == (7, last)
    browser.click("#forward")
    assert counted(browser)[0] == 8
    browser.click("#back")
    browser.click("#back")
    assert counted(browser)[0] == 6
    browser.click("#last")
    assert counted(browser) == (last, last)
    assert browser.address() == f"#step={last}"
    browser.press(RIGHT)
    assert counted(browser)[0] == last
    browser.press(HOME)
    assert counted(browser)[0] == 0
    browser.press(END, LEFT)
    assert counted(browser)[0] == last - 1
    browser.click("#first")
    assert counted(browser)[0] == 0
    browser.run("const s = byId('slider'); s.value = 3; s.dispatchEvent(new Event('input'))")
    assert counted(browser)[0] == 3
    browser.run("byId('slider').focus()")
    browser.press(RIGHT)
    assert counted(browser)[0] == 4
    browser.run("byId('slider').blur(); location.hash = '#step=9'")
    time.sleep(0.1)
    assert counted(browser)[0] == 9


def test_it_walks_by_itself_until_it_is_paused(show: Show) -> None:
    browser = show(explain(loss()[0]))
    browser.press(SPACE)
    time.sleep(1.5)
    browser.press(SPACE)
    at, _ = counted(browser)
    assert at >= 1
    time.sleep(1.3)
    assert counted(browser)[0] == at


def test_a_click_on_a_node_leads_to_its_steps(show: Show) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    browser = show(explain((np.exp(x) * x).sum()))
    browser.click("#graph #n1 text")
    assert browser.text("#what") == "forward exp"
    browser.click("#graph #n1 text")
    assert browser.text("#what") == "backward exp"
    browser.click("#graph #n2 text")
    assert browser.text("#what") == "backward multiply"
    assert browser.run("return byId('n2').classList.contains('current')")
    flows = browser.run("return [...document.querySelectorAll('.edge.flow')].map((e) => e.id)")
    assert sorted(flows) == ["n0-n2", "n1-n2"]
    assert browser.run("return byId('n0').querySelector('.badge').textContent") == "1 of 2"
    browser.click("#graph #n0 text")
    assert browser.text("#what") == "backward x"


class Block(Module):
    """A few ops with a parameter, and blocks inside."""

    def __init__(self, inside: int = 0, deeper: int = 0) -> None:
        self.scale = parameter([0.9, 1.1])
        self.parts = ModuleList(Block(deeper) for _ in range(inside))

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.scale
        for part in self.parts:
            y = part(y)
        return np.tanh(y) + x


def large(blocks: int = 20, inside: int = 33) -> Tensor:
    """The result of ops in modules, some 2,000 of them."""
    result: Tensor = Block(blocks, inside)(Tensor([1.0, -2.0], requires_grad=True, name="x"))
    return result.sum()


def test_a_large_graph_opens_folded_and_modules_are_stepped_into(show: Show) -> None:
    result = large()
    assert sum(bool(item.op) for item in items_behind(result).values()) > 2000
    page = explain(result)
    assert len(page.html) < 5_000_000
    browser = show(page)
    assert browser.run("return document.querySelectorAll('#graph .node').length") <= 150

    turn = browser.run("return view.turn")
    browser.run("go(arguments[0])", turn + 3)
    assert browser.text("#what") == "backward Block.parts.19"
    arriving = numbers(browser, "gradient")[0]
    passing = numbers(browser, "sent")[0]
    browser.press(ENTER)
    assert "parts.19" in browser.text("#trail")
    assert browser.address().startswith("#view=")
    assert numbers(browser, "gradient")[0] == arriving
    browser.press(ESCAPE)
    assert browser.text("#what") == "backward Block.parts.19"
    browser.click("#inside")
    fragment = browser.address().lstrip("#")
    browser = show(page, fragment=fragment)
    assert "parts.19" in browser.text("#trail")
    browser.click("#trail button")
    assert browser.text("#what") == "backward Block.parts.19"
    assert numbers(browser, "sent")[0] == passing


def test_steps_inside_a_module_show_the_numbers_of_backward(show: Show) -> None:
    result = large(8, 8)
    items = list(items_behind(result).values())
    browser = show(explain(result))
    result.backward()
    seen = browser.run(
        """const seen = {};
           for (const number of record.views.keys()) {
             show(number, 0);
             for (let step = view.turn; step < view.steps.length - 1; step++) {
               go(step);
               for (const array of document.querySelectorAll("#step [data-role=gradient]")) {
                 const cells = [...array.querySelectorAll("td")];
                 seen[array.dataset.item] = cells.map((td) => Number(td.title));
               }
             }
           }
           return seen;"""
    )
    leaves = {i: item for i, item in enumerate(items) if not item.op and item.origin.requires_grad}
    assert len(leaves) == 74  # 73 blocks, and x
    for i, item in leaves.items():
        np.testing.assert_array_equal(np.array(seen[str(i)], item.value.dtype), item.origin.grad)


def test_values_are_explained_too(show: Show) -> None:
    a, b = Value(2.0), Value(-3.0)
    y = (a * b + a).tanh() * a
    browser = show(explain(y, names={"a": a, "b": b}), fragment="step=9999")
    y.backward()
    assert [values for _, values in numbers(browser, "gradient")] == [[a.grad], [b.grad]]
    browser.press(HOME, *[RIGHT] * 5)
    assert "minigrad/scalar.py:" in browser.text("#step")
    assert "flow[source] += gradient * slope" in browser.text("#step")


def test_several_elements_start_from_ones_and_the_page_says_so(show: Show) -> None:
    x = Tensor([[1.0, 2.0]], requires_grad=True, name="x")
    browser = show(explain(x * x))
    assert "starts from a gradient of ones" in browser.text("#step")
    browser.press(RIGHT, RIGHT)
    assert numbers(browser, "gradient") == [(1, [1.0, 1.0])]


def test_what_is_not_a_finite_number_is_shown_as_it_is(show: Show) -> None:
    x = Tensor([0.0, np.nan, np.inf], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        y = x * np.array([1.0, 2.0, -1.0])
    browser = show(explain(y), fragment="step=1")
    cells = "return [...document.querySelectorAll('.heat td')].map((td) => td.textContent)"
    assert browser.run(cells) == ["0", "nan", "∞", "1", "2", "−1", "0", "nan", "−∞"]


def test_large_arrays_are_summarised() -> None:
    array = np.random.default_rng(0).normal(size=(20, 5))
    entry = described(array)
    assert (entry["min"], entry["max"]) == (array.min(), array.max())
    assert entry["mean"] == pytest.approx(array.mean())
    assert entry["bins"] == np.histogram(array, BINS)[0].tolist()
    array[3, 1:3] = np.nan, np.inf
    assert described(array)["notFinite"] == 2
    assert sum(described(array)["bins"]) == 98
    assert described(np.full(100, np.nan), corner=False) == {
        "shape": [100], "dtype": "float64", "notFinite": 100
    }  # fmt: skip
    assert "bins" not in described(np.ones(100))


def test_a_summary_has_no_more_digits_than_its_dtype() -> None:
    array = np.random.default_rng(0).normal(size=100).astype(np.float32)
    entry = described(array)
    for name, x in {
        "min": array.min(),
        "mean": array.astype(float).mean(),
        "max": array.max(),
    }.items():
        assert np.float32(entry[name]) == np.float32(x)
        assert len(str(abs(entry[name])).replace(".", "").lstrip("0")) <= 9
    assert described(np.arange(100))["mean"] == 49.5


def test_a_parameter_that_is_used_often_takes_no_more_room_than_a_few_of_its_gradients() -> None:
    w = Tensor(np.ones((200, 200)), requires_grad=True)
    y: Any = np.ones((1, 200))
    for _ in range(60):
        y = np.tanh(y @ w)
    tracemalloc.start()
    explain(y)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30 * w.data.nbytes  # it receives 60 contributions


def test_small_arrays_are_kept_to_the_last_digit() -> None:
    array = np.random.default_rng(0).normal(size=64).astype(np.float32)
    np.testing.assert_array_equal(np.array(described(array)["values"], np.float32), array)
    assert described(np.float32(0.1).reshape(()))["values"] == [0.1]
    assert described(np.array([True, False]))["values"] == [True, False]


def test_a_summary_shows_its_histogram(show: Show) -> None:
    x = Tensor(np.linspace(-1, 1, 200), requires_grad=True, name="x")
    browser = show(explain(x.sum()))
    facts = browser.run("return {...document.querySelector('#step .facts').dataset}")
    assert [float(facts[key]) for key in ("min", "mean", "max")] == [-1, x.data.mean(), 1]
    assert browser.run("return document.querySelectorAll('#step .bars rect').length") == BINS


def test_a_large_array_shows_a_corner_and_says_which(show: Show) -> None:
    array = np.random.default_rng(0).normal(size=(2, 7, 8))
    x = Tensor(array, requires_grad=True, name="x")
    row = Tensor(array[0, 0].repeat(9), requires_grad=True, name="row")
    browser = show(explain(x.sum() + row.sum()))
    tables = browser.run(
        """return [...document.querySelectorAll("#step table")].map((table) =>
             [...table.rows].map((row) => [...row.cells].map((cell) => Number(cell.title))));"""
    )
    (rows, columns), first = CORNER, array[0, 0, 0]
    np.testing.assert_allclose(tables[0], array[0, :rows, :columns], rtol=1e-3)
    np.testing.assert_allclose(tables[1], [[first] * columns], rtol=1e-3)
    assert "[0, :3, :5]" in browser.text("#step") and "[:5]" in browser.text("#step")


def test_a_fused_op_opens_into_the_steps_of_its_definition(show: Show) -> None:
    x = Tensor([[1.0, 3.0, 0.5]], requires_grad=True, name="x")
    y = mg.softmax(x)
    loss = (y * np.array([[1.0, -2.0, 4.0]])).sum()
    browser = show(explain(loss))
    browser.press(RIGHT)
    assert browser.text("#what") == "forward softmax"
    whole = numbers(browser, "value")[0][1]
    browser.press(ENTER)
    assert "the definition of softmax" in browser.text("#trail")
    assert browser.text("#what").startswith("forward ")
    turn = browser.run("return view.turn")
    browser.run("go(arguments[0])", turn - 1)
    np.testing.assert_allclose(numbers(browser, "value")[0][1], whole, rtol=1e-12)
    loss.backward()
    browser.press(END)
    (arrived,) = [values for _, values in numbers(browser, "gradient")]
    np.testing.assert_allclose([arrived], x.grad, rtol=1e-12)
    assert ".grad" not in browser.text("#step")
    browser.press(ESCAPE)
    assert browser.text("#what") == "backward softmax"
    start = numbers(browser, "gradient")[0][1]
    browser.click("#inside")
    assert numbers(browser, "gradient")[0][1] == start


def test_every_definition_on_a_page_has_the_numbers_of_its_op() -> None:
    record = Gathered(items := items_behind(EXAMPLES["encoder-layer"][0]()), views(items, "y"))
    opened = [view for view in record.views if view.is_definition]
    assert {view.title.removeprefix("the definition of ") for view in opened} == {
        "attention", "layer norm", "linear", "softmax"
    }  # fmt: skip
    for view in opened:
        assert view.parent is not None
        (outer,) = [
            unit for unit in record.views[view.parent].forward
            if unit.view is not None and record.views[unit.view] is view
        ]  # fmt: skip
        op, result = record.items[outer.members[0]], record.items[max(view.graph.homes)]
        np.testing.assert_allclose(result.value, op.value, rtol=1e-4, atol=1e-5)


def test_with_too_many_definitions_one_of_each_kind_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("viz.pages.explain.MANY", 0)
    x = Tensor([[1.0, 3.0, 0.5]], requires_grad=True, name="x")
    y = mg.softmax(mg.softmax(mg.softmax(x))) + mg.softmax(x, axis=0)
    record = Gathered(items := items_behind(y), views(items, "y"))
    assert sum(view.is_definition for view in record.views) == 2
    assert all("corner" not in array for array in record.data["arrays"])


def test_the_first_step_says_what_is_explained(show: Show) -> None:
    x = Tensor([1.0], requires_grad=True, name="x")
    browser = show(explain((x * x).sum(), about={"model": "<b>small</b>", "input": "3 1 4"}))
    told = browser.run(
        "return [...document.querySelectorAll('#step dl > *')].map((e) => e.textContent)"
    )
    assert told == ["model", "<b>small</b>", "input", "3 1 4"]
    assert show(explain((x * x).sum())).run("return document.querySelector('#step dl')") is None


def test_modules_are_jumped_to_by_keys_buttons_and_an_outline(show: Show) -> None:
    browser = show(explain(EXAMPLES["encoder-layer"][0]()))
    seen = []
    for _ in range(4):
        browser.press("n")
        seen.append((counted(browser)[0], browser.text("#where")))
    assert [where for _, where in seen] == [
        "EncoderLayer › self_attention › query ▾", "EncoderLayer › self_attention ▾",
        "EncoderLayer › self_attention › key ▾", "EncoderLayer › self_attention ▾",
    ]  # fmt: skip
    browser.press("p")
    assert (counted(browser)[0], browser.text("#where")) == seen[2]
    browser.click("#before")
    browser.click("#after")
    assert counted(browser)[0] == seen[2][0]

    browser.click("#where")
    entries = browser.run(
        """return [...document.querySelectorAll("#outline button")].map((button) => {
             button.click();
             return [button.textContent, at, view.steps[at].kind, byId("where").textContent];
           });"""
    )
    assert len(entries) > 20
    assert {kind for _, _, kind, _ in entries} == {"forward", "backward"}
    for name, _, _, where in entries:
        assert name in where.removesuffix(" ▾").split(" › ")
    assert (
        browser.run("return document.querySelector('#outline [aria-current]').textContent")
        == "EncoderLayer"
    )
    browser.click("#where")
    assert not browser.run("return byId('outline').checkVisibility()")
    assert not show(explain(loss()[0])).run("return byId('modules').checkVisibility()")


def test_half_a_character_in_a_name_is_shown_as_unknown(show: Show) -> None:
    x = Tensor([1.0], requires_grad=True, name="x\ud83d")
    browser = show(explain(x * 2.0, {"y\udd25": x}, title="\udd25"))
    assert browser.text("h1") == "\ufffd"
    assert "y\ufffd" in browser.text("#step")
    assert "y\ufffd" in browser.text("#graph")


def test_names_are_shown_and_not_run(show: Show) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    x = Tensor([1.0], requires_grad=True, name=hostile)
    browser = show(explain((x * x).sum(), title=hostile))
    assert browser.text("h1") == hostile
    for _ in range(counted(browser)[1]):
        assert browser.run("return document.querySelectorAll('img, article script').length") == 0
        browser.press(RIGHT)
    assert hostile in browser.text("#step")
    assert browser.run("return document.querySelectorAll('body script').length") == 2


@pytest.mark.parametrize("what", EXAMPLES)
def test_no_step_is_too_wide_for_a_phone(show: Show, what: str) -> None:
    browser = show(explain(EXAMPLES[what][0]()), size=(390, 844))
    _, last = counted(browser)
    for step in sorted({0, 1, last // 3, last // 2 + 1, 2 * last // 3, last - 1, last}):
        browser.run("go(arguments[0])", step)
        assert browser.overflow() == 0
        ends = browser.run("return byId('step').scrollWidth - byId('step').clientWidth")
        assert ends == 0
        assert browser.run("return byId('step').clientHeight") > 200


@pytest.mark.parametrize("what", ["expression", "encoder-layer"])
def test_no_text_leaves_its_card(show: Show, what: str) -> None:
    rooms = show(explain(EXAMPLES[what][0]())).run(
        """return [...document.querySelectorAll("#graph .node.card")].flatMap((node) => {
             const card = node.querySelector(".ring").getBBox(); // 3 points around the card
             const [left, right] = [card.x + 3, card.x + card.width - 3];
             const words = [...node.querySelectorAll("text:not(.badge)")];
             return words.map((text) => text.getBBox()).flatMap(
               ({ x, width }) => [x - left, right - x - width]);
           });"""
    )
    assert len(rooms) > 20
    assert min(rooms) > 0


def test_the_picture_has_colours_of_its_own_in_the_dark(show: Show) -> None:
    page = explain(loss()[0])
    tint = COLOURS["matmul"][1].lower()

    def fill(browser: Any) -> str:
        head = f"document.querySelector('#graph [fill=\"{tint}\"]')"
        return str(browser.run(f"return getComputedStyle({head}).fill"))

    def rgb(colour: str) -> str:
        return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"

    assert fill(show(page)) == rgb(tint)
    dark = fill(show(page, dark=True))
    assert dark != rgb(tint)
    browser = show(page, dark=True)
    browser.press("d")
    assert fill(browser) == rgb(tint)


def test_a_notebook_shows_the_page_in_a_frame(browser: Any, tmp_path: Path) -> None:
    page = explain(loss()[0])
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{page._repr_html_()}", "utf-8")
    browser.open(tmp_path / "notebook.html")
    browser.driver.switch_to.frame(0)
    ready(browser)
    browser.click("#forward")
    assert counted(browser)[0] == 1
    browser.driver.switch_to.default_content()


def test_an_ordinary_backward_is_not_disturbed() -> None:
    result, [w, b] = loss()
    w.grad = np.ones((3, 2))
    explain(result)
    assert b.grad is None
    np.testing.assert_array_equal(w.grad, np.ones((3, 2)))
    result.backward()
    assert b.grad is not None


def test_a_bias_that_has_been_left_out_is_not_shown(show: Show) -> None:
    x, weight = (
        Tensor(np.ones(shape), requires_grad=True, name=name)
        for shape, name in (((2, 3), "x"), ((4, 3), "w"))
    )
    browser = show(explain(mg.linear(x, weight, None)), fragment="step=1")
    assert browser.run(
        "return [...document.querySelectorAll('#step h3')].map(one => one.textContent)"
    ) == ["x is your x", "weight is w", "y is the result"]
    browser.press(RIGHT)
    assert "bias" not in browser.text("#step")


def test_an_op_with_a_definition_shows_it_though_it_is_not_fused(show: Show) -> None:
    x = Tensor(np.ones((2, 4)), requires_grad=True, name="x")
    browser = show(explain(mg.silu(x)), fragment="step=1")
    assert "sigmoid" in browser.text("#step math")
    browser = show(explain(mg.rotary(x)), fragment="step=1")
    assert "exchanged" in browser.text("#step")


def test_the_bins_of_a_large_array_are_those_of_all_its_numbers() -> None:
    array = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    array[7] = np.nan
    entry = described(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    counts, _ = np.histogram(finite, BINS, (finite.min(), finite.max()))
    assert np.abs(np.array(entry["bins"]) - counts).max() <= 1  # on a border it may be either
    assert (sum(entry["bins"]), entry["notFinite"]) == (99_999, 1)
