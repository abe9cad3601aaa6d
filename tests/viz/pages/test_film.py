"""The page of a film: every number is the run's; it plays, steps, and keeps its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.inside.film import Camera, Film, read_film
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError, save_checkpoint
from minitransformer.training import Trainer
from viz.pages.film import film, line

SIZES: dict[str, Any] = {
    "steps": 60, "batch_size": 16, "d_model": 16, "heads": 2, "layers": 2, "d_ff": 32,
    "warmup": 10, "evaluate_every": 20, "learning_rate": 5e-3,
}  # fmt: skip
SMALL: dict[str, Any] = {"task": "reverse", "length": 6, "vocab": 8, **SIZES}
HOSTILE = "</script><script>document.title='run'</script>"


def film_run(path: Path, settings: dict[str, Any]) -> Film:
    """Train and film a run in a folder."""
    trainer = Trainer(Recipe.read(settings))
    run = Run.create(path, trainer.recipe.flat())
    camera = Camera(run, trainer)
    for record in trainer.run():
        run.append_metrics(record)
        camera.capture()
    return read_film(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Film]:
    """The page of a run, and the film that it shows."""
    folder = tmp_path_factory.mktemp("film")
    shown = film_run(folder / "run", SMALL)
    film(folder / "run").save(folder / "film.html")
    return folder / "film.html", shown


def film_of(
    path: Path,
    maps: list[dict[str, Any]],
    source: str,
    target: str,
    sides: dict[str, tuple[str, str]] | None = None,
) -> Path:
    """The folder of a run with a film of these maps, a frame each, whose answer is the target."""
    run = Run.create(path, {"task": "any"})
    (run.path / "film").mkdir()
    told = {"task": "any", "source": source.split(), "target": target.split()}
    for step, found in enumerate(maps):
        run.append_metrics({"step": step, "loss": 2.0 - step, "exact_match": step / 2})
        about = told | {"answer": target.split(), "layers": list(found)}
        about |= {"sides": sides} if sides else {}
        save_checkpoint(run.path / "film" / f"{step:06}.safetensors", found, about)
    return run.path


def wait_until(holds: Callable[[], bool]) -> None:
    """Return once it holds; fail if it does not within seconds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)


def opened(browser: Any, path: Path, **options: Any) -> Any:
    """The browser, when the page has unpacked its weights and shows a frame."""
    browser.open(path, **options)
    wait_until(lambda: bool(browser.run("return byId('step').textContent")))
    return browser


def step(browser: Any) -> str:
    return str(browser.run("return byId('step').textContent"))


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def test_every_number_of_every_frame_is_the_runs(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    opened(browser, path)
    for frame in shown.frames:
        assert step(browser) == (f"step {frame.step}" if frame.step else "before the first step")
        if frame.record:
            assert number(browser.text("#loss")) == pytest.approx(frame.record["loss"], rel=5e-4)
        else:
            assert browser.text("#loss") == "–"
        if frame.score:
            share, at = browser.text("#score").split(" % (step ")
            assert float(share) == pytest.approx(100 * frame.score["exact_match"], abs=0.051)
            assert at == f"{frame.score['step']})"
        else:
            assert browser.text("#score") == "–"
        for name, weights in frame.maps.items():
            for head, expected in enumerate(weights):
                got = browser.run(
                    "const layer = layers.find(({ path }) => path === arguments[0]);"
                    "return [...weightsOf(layer, arguments[1])];",
                    name, head,
                )  # fmt: skip
                np.testing.assert_array_equal(np.array(got, np.float32), expected.ravel())
        browser.press("\ue014")  # right
    assert step(browser) == f"step {shown.frames[-1].step}"


def test_an_answer_stands_under_the_right_one_with_its_faults_marked(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    opened(browser, path)
    for frame in shown.frames:
        rows = browser.run(
            "return ['question', 'right', 'answer'].map(kind =>"
            " [...document.querySelectorAll(`#example .${kind}`)].flatMap(row =>"
            "  [...row.cells].slice(1).map(cell => [cell.textContent, cell.title])));"
        )
        question, right, answer = rows
        assert [token for token, _ in question] == shown.source
        assert [token for token, _ in right] == shown.target
        expected = [
            (token, "" if i < len(right) and token == shown.target[i] else
             "wrong" if i < len(right) else "too much")
            for i, token in enumerate(frame.answer)
        ]  # fmt: skip
        expected += [("·", "missing")] * (len(shown.target) - len(frame.answer))
        assert [tuple(cell) for cell in answer] == expected
        good = sum(fault == "" for _, fault in expected)
        if frame.answer == shown.target:
            assert browser.text("#verdict") == "✓ all right"
        else:
            assert browser.text("#verdict") == f"✗ {good} of {len(right)} in their place"
        browser.press("\ue014")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_a_label_stands_below_the_whole_text(
    size: tuple[int, int], tmp_path: Path, browser: Any
) -> None:
    text = "the film and the book and the very long journey were not really as great"
    film(film_of(tmp_path / "run", [{}, {}], text, "negative")).save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html", size=size)
    kinds = browser.run(
        "return [...document.querySelectorAll('#example tr')].map(x => x.className)"
    )
    assert kinds[-2:] == ["right", "answer"]
    assert len(kinds) > 3 and set(kinds[:-2]) == {"question"}
    lefts = browser.run(
        "return ['question', 'right', 'answer'].map(kind =>"
        " document.querySelector(`#example .${kind} td`).getBoundingClientRect().left)"
    )
    assert max(lefts) - min(lefts) < 1
    assert browser.text("#verdict") == "✓ right"
    assert browser.overflow() <= 0


def test_a_wrong_token_is_told_by_more_than_its_colour(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    assert shown.frames[0].answer != shown.target
    opened(browser, path)
    style = browser.run(
        "const style = getComputedStyle(document.querySelector('.bad'));"
        "return [style.textDecorationLine, style.borderStyle];"
    )
    assert style == ["line-through", "dashed"]


def test_each_head_has_a_thumbnail_and_the_chosen_one_is_large(
    made: tuple[Path, Film], browser: Any
) -> None:
    opened(browser, made[0])
    kinds = browser.run(
        "return [...document.querySelectorAll('#heads h2')].map(h => h.textContent)"
    )
    assert kinds == [
        "Encoder self-attention", "Decoder self-attention", "Decoder cross-attention",
    ]  # fmt: skip
    thumbnails = browser.run(
        "return [...document.querySelectorAll('.thumbnail')].map(b => b.ariaLabel)"
    )
    assert thumbnails == [
        f"{kind}-attention, layer {layer}, head {head}"
        for kind in ("Encoder self", "Decoder self", "Decoder cross")
        for layer in (1, 2)
        for head in (1, 2)
    ]
    browser.press("\ue010")  # end
    for place in (0, 5, 10):
        browser.run("document.querySelectorAll('.thumbnail')[arguments[0]].click()", place)
        assert browser.text("#name") == thumbnails[place]
        assert browser.run(
            "return [...document.querySelectorAll('.thumbnail')].map(b => b.ariaPressed === 'true')"
        ) == [k == place for k in range(12)]
        same = browser.run(
            "const pixels = canvas => String(canvas.getContext('2d')"
            "  .getImageData(0, 0, canvas.width, canvas.height).data);"
            "const small = document.querySelectorAll('.thumbnail')[arguments[0]].firstChild;"
            "return pixels(small) === pixels(byId('weights'));",
            place,
        )  # fmt: skip
        assert same


def test_the_tokens_stand_beside_the_large_head(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    opened(browser, path, fragment="layer=decoder.layers.0.cross_attention&head=1")
    read = "return [...document.querySelectorAll(arguments[0])].map(span => span.textContent)"
    assert browser.run(read, "#map .key") == shown.source
    assert browser.run(read, "#map .query:not(.grey)") == ["<bos>", *shown.target]
    assert browser.run(read, "#map .write:not(.grey)") == [*shown.target, "<eos>"]
    assert browser.run(read, "#map .grey") == ["query: reads", "key: source", "to write"]
    browser.run("document.querySelector('.thumbnail').click()")
    assert browser.run(read, "#map .grey") == ["query: source", "key: source"]
    assert browser.run(read, "#map .query:not(.grey)") == shown.source
    assert browser.run(read, "#map .key") == shown.source


def test_the_weight_of_a_cell_is_told_in_full(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    name = "decoder.layers.1.cross_attention"
    opened(browser, path, fragment=f"step=60&layer={name}&head=2")
    weights = shown.frames[-1].maps[name][1]
    said = browser.text("#cell")
    assert np.float32(said.split("weight ")[1].split(" on")[0]) == weights.max()
    assert said.endswith("the largest")

    from selenium.webdriver import ActionChains

    canvas = browser.driver.find_element("css selector", "#weights")
    width, height = canvas.size["width"], canvas.size["height"]
    queries, keys = weights.shape
    for i, j in ((0, 0), (2, 4), (queries - 1, keys - 1)):
        right, down = (j + 0.5) / keys - 0.5, (i + 0.5) / queries - 0.5
        ActionChains(browser.driver).move_to_element_with_offset(
            canvas, round(right * width), round(down * height)
        ).perform()
        read, write = ["<bos>", *shown.target][i], [*shown.target, "<eos>"][i]
        said = browser.text("#cell")
        assert said.startswith(f"Reading “{read}” (place {i + 1}) to write “{write}”: weight ")
        assert said.endswith(f" on “{shown.source[j]}” (place {j + 1})")
        assert np.float32(said.split("weight ")[1].split(" on")[0]) == weights[i, j]


def press_with_shift(browser: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains, Keys

    ActionChains(browser.driver).key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT).perform()


def test_shift_and_arrows_point_at_a_cell_and_stay_in_the_map(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    opened(browser, path, fragment="layer=encoder.layers.0.self_attention&head=1")
    left, up, right, down = "\ue012\ue013\ue014\ue015"
    press_with_shift(browser, *[left, up] * 8)
    first = shown.source[0]
    weight = shown.frames[0].maps["encoder.layers.0.self_attention"][0]
    said = browser.text("#cell")
    assert said.startswith(f"“{first}” (place 1): weight ")
    assert np.float32(said.split("weight ")[1].split(" on")[0]) == weight[0, 0]
    press_with_shift(browser, right, down, down)
    said = browser.text("#cell")
    assert np.float32(said.split("weight ")[1].split(" on")[0]) == weight[2, 1]
    assert step(browser) == "before the first step"


def test_keys_go_through_the_frames_and_stop_at_the_ends(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    opened(browser, path)
    left, right, home, end = "\ue012\ue014\ue011\ue010"
    browser.press(left)
    assert step(browser) == "before the first step"
    browser.press(right, right)
    assert step(browser) == f"step {shown.frames[2].step}"
    browser.press(end, right)
    assert step(browser) == f"step {shown.frames[-1].step}"
    browser.press(left)
    assert step(browser) == f"step {shown.frames[-2].step}"
    browser.press(home)
    assert step(browser) == "before the first step"
    browser.run("byId('frame').focus()")
    browser.press(right)  # the slider must not move a second time
    assert step(browser) == f"step {shown.frames[1].step}"
    assert browser.run("return byId('frame').value") == "1"


def test_space_plays_to_the_end_and_pauses(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    opened(browser, path)
    browser.press(" ")
    wait_until(lambda: step(browser) != "before the first step")
    browser.press(" ")
    assert browser.text("#play") == "play"
    paused = step(browser)
    time.sleep(0.5)
    assert step(browser) == paused
    browser.click("#play")
    wait_until(lambda: step(browser) == f"step {shown.frames[-1].step}")
    assert browser.text("#play") == "play"
    browser.click(".thumbnail")
    browser.press(" ")  # begins anew, although a head was clicked last
    wait_until(lambda: step(browser) != f"step {shown.frames[-1].step}")


def test_the_slider_goes_to_a_frame(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    opened(browser, path)
    assert browser.run("return Number(byId('frame').max)") == len(shown.frames) - 1
    browser.run("byId('frame').value = 3; byId('frame').dispatchEvent(new Event('input'))")
    assert step(browser) == f"step {shown.frames[3].step}"


def test_the_address_keeps_the_frame_and_the_head(made: tuple[Path, Film], browser: Any) -> None:
    path, shown = made
    opened(browser, path)
    browser.press("\ue014", "\ue014")
    browser.run("document.querySelectorAll('.thumbnail')[7].click()")
    expected = f"#step={shown.frames[2].step}&layer=decoder.layers.1.self_attention&head=2"
    assert browser.address() == expected
    opened(browser, path, fragment=expected[1:])
    assert step(browser) == f"step {shown.frames[2].step}"
    assert browser.text("#name") == "Decoder self-attention, layer 2, head 2"
    browser.run("location.hash = arguments[0]", f"step={shown.frames[4].step - 1}")
    wait_until(lambda: step(browser) == f"step {shown.frames[4].step}")
    assert browser.text("#name") == "Decoder self-attention, layer 2, head 2"


@pytest.mark.parametrize("fragment", ["nonsense", "step=x&layer=none&head=9", "head=-1"])
def test_an_address_that_names_nothing_shows_the_beginning(
    fragment: str, made: tuple[Path, Film], browser: Any
) -> None:
    opened(browser, made[0], fragment=fragment)
    assert step(browser) == "before the first step"


def test_the_loss_curve_goes_through_every_record_and_marks_the_frame(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    opened(browser, path)
    assert browser.run("return DATA.losses") == [
        [record["step"], record["loss"]] for record in shown.records
    ]
    points = "return byId('losses').querySelector('.curve').getAttribute('points')"
    curve = [tuple(map(float, point.split(","))) for point in browser.run(points).split()]
    assert len(curve) == len(shown.records)
    heights = np.array([height for _, height in curve])
    losses = np.array([record["loss"] for record in shown.records])
    assert abs(np.corrcoef(heights, losses)[0, 1]) > 1 - 1e-4  # a linear scale: less is lower down
    dot = "const dot = byId('losses').querySelector('circle');"
    assert browser.run(f"{dot} return dot.getAttribute('visibility')") == "hidden"  # no loss yet
    steps = [record["step"] for record in shown.records]
    for frame in shown.frames[1:]:
        browser.press("\ue014")
        place = browser.run(f"{dot} return [dot.getAttribute('cx'), dot.getAttribute('cy')]")
        expected = curve[steps.index(frame.step)]
        assert [float(x) for x in place] == pytest.approx(expected, abs=0.06)


def test_a_click_on_a_curve_goes_to_the_frame_there(made: tuple[Path, Film], browser: Any) -> None:
    from selenium.webdriver import ActionChains

    path, shown = made
    opened(browser, path)
    for host, place in (("losses", 3), ("births", 1), ("losses", len(shown.frames) - 1)):
        picture = browser.driver.find_element("css selector", f"#{host} svg")
        left = picture.size["width"] / 2
        browser.press("\ue011")
        at = browser.run(
            "choose({ frame: arguments[1] });"
            "const x = byId(arguments[0]).querySelector('line.now').getAttribute('x1');"
            "choose({ frame: 0 }); return Number(x);",
            host, place,
        )  # fmt: skip
        ActionChains(browser.driver).move_to_element_with_offset(
            picture, round(at - left), 0
        ).click().perform()
        assert step(browser) == f"step {shown.frames[place].step}"


def test_a_loss_that_spans_decades_has_a_logarithmic_scale(tmp_path: Path, browser: Any) -> None:
    shown = film_run(tmp_path / "run", {**SMALL, "steps": 10})
    run = Run.open(tmp_path / "run")
    for at, loss in enumerate((3.0, 0.3, 0.03, 0.003), 11):
        run.append_metrics({"step": at, "loss": loss})
    film(run.path).save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html")
    points = browser.run("return byId('losses').querySelector('.curve').getAttribute('points')")
    last = [float(point.split(",")[1]) for point in points.split()[-4:]]
    assert np.diff(last) == pytest.approx([np.diff(last).mean()] * 3, abs=0.2)
    ticks = "return [...byId('losses').querySelectorAll('text')].map(text => text.textContent)"
    assert {"1", "0.1", "0.01"} <= set(browser.run(ticks))
    assert shown.frames[-1].step == 10
    assert browser.overflow() <= 0


def test_the_line_of_a_head_is_the_fullest_diagonal_in_the_last_frame() -> None:
    weights = np.full((2, 5, 4), 0.1, np.float32)
    rows = np.arange(4)
    weights[1, rows, 3 - rows] = [0.5, 0.6, 0.7, 0.8]
    found = line(weights)
    assert (found["slope"], found["offset"]) == (-1, 3)
    assert found["weight"] == pytest.approx([0.1, 0.65])
    weights[1, rows + 1, rows] = 0.9  # the key before: one query, the first, has none
    found = line(weights)
    assert (found["slope"], found["offset"]) == (1, -1)
    weights[1, 4, 0] = weights[1, 3, 0] = 1  # in the corner: too short to be a line
    assert line(weights)["slope"] == 1
    assert line(np.ones((1, 1, 1), np.float32))["weight"] == [1]


def test_the_curve_of_a_head_is_the_mean_weight_of_its_rings(
    made: tuple[Path, Film], browser: Any
) -> None:
    path, shown = made
    name = "decoder.layers.1.cross_attention"
    opened(browser, path, fragment=f"layer={name}&head=1")
    rings = browser.run(
        "return [...document.querySelectorAll('#map i')].map(i => i.style.gridArea.split(' / '))"
    )
    cells = [(int(row) - 3, int(column) - 2) for row, column in rings]
    assert len(cells) >= len(shown.source) - 1
    for frame in shown.frames:
        expected = np.mean([frame.maps[name][0][cell] for cell in cells])
        assert number(browser.text("#birth")) == pytest.approx(expected, rel=1e-3)
        browser.press("\ue014")
    query, key = (np.array(cells) + 1).T
    said = browser.text("#line")
    slope = (key - query)[0] == (key - query)[-1]
    if slope:
        shift = key[0] - query[0]
        sign = f" {'+' if shift > 0 else '−'} {abs(shift)}" if shift else ""
        assert f"key's place = query's place{sign}," in said
    else:
        assert f"key's place = {key[0] + query[0]} − query's place," in said


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_film_of_a_model_without_attention_shows_answers_and_losses_and_says_so(
    size: tuple[int, int], dark: bool, tmp_path: Path, browser: Any
) -> None:
    film(film_of(tmp_path / "run", [{}, {}, {}], "3 1 4", "4 1 3")).save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html", fragment="layer=none&head=2", size=size, dark=dark)
    assert browser.text("#headless") == (
        "This model has no attention, so there are no heads to show."
    )
    assert browser.run("return document.querySelector('#head, #heads, #births')") is None
    press_with_shift(browser, "\ue014")  # there is no cell to point at: it is an arrow
    assert step(browser) == "step 1"
    assert browser.text("#score") == "50.0 % (step 1)"
    assert browser.text("#verdict") == "✓ all right"
    assert browser.address() == "#step=1"
    browser.press(" ")
    wait_until(lambda: step(browser) == "step 2")
    assert browser.text("#loss") == "0"
    dot = "return byId('losses').querySelector('circle').getAttribute('cx')"
    last = browser.run(dot)
    browser.press("\ue011")
    assert float(browser.run(dot)) < float(last)
    browser.resize((500, 700))
    wait_until(lambda: browser.overflow() <= 0)


def test_a_model_of_any_layers_has_a_film(tmp_path: Path, browser: Any) -> None:
    """One head in one layer and two in another, with other tokens at the sides of each."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        x = rng.random(shape, np.float32)
        return x / x.sum(-1, keepdims=True)

    maps = [{"look": weights(1, 3, 4), "read.again": weights(2, 4, 4)} for _ in range(3)]
    sides = {"look": ("target", "source"), "read.again": ("source", "source")}
    film(film_of(tmp_path / "run", maps, "a b c d", "c d", sides)).save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html", fragment="layer=look&head=1")
    read = "return [...document.querySelectorAll(arguments[0])].map(span => span.textContent)"
    assert browser.text("#name") == "Decoder cross-attention, look, head 1"
    assert browser.run(read, "#map .query:not(.grey)") == ["<bos>", "c", "d"]
    assert browser.run(read, "#map .key") == ["a", "b", "c", "d"]
    assert browser.run(read, "#map .write:not(.grey)") == ["c", "d", "<eos>"]
    assert "other heads" not in browser.text("#line")
    assert browser.run(read, ".sides span") == [
        "↓ query: reads", "→ key: source", "↓ query: source", "→ key: source"
    ]  # fmt: skip
    browser.run("document.querySelectorAll('.thumbnail')[2].click()")
    assert browser.text("#name") == "Encoder self-attention, read.again, head 2"
    assert browser.run(read, "#map .query:not(.grey)") == ["a", "b", "c", "d"]
    assert browser.run(read, "#map .write") == []
    assert "other heads" in browser.text("#line")
    said = np.float32(browser.text("#cell").split("weight ")[1].split(" on")[0])
    assert said == maps[0]["read.again"][1].max()


def test_the_film_of_a_run_that_has_only_begun_is_one_frame(tmp_path: Path, browser: Any) -> None:
    trainer = Trainer(Recipe.read(SMALL))
    Camera(Run.create(tmp_path / "run", trainer.recipe.flat()), trainer)
    film(tmp_path / "run").save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html")
    browser.press("\ue014", " ", "\ue010")
    assert step(browser) == "before the first step"


def test_tokens_and_names_from_outside_are_shown_and_not_run(tmp_path: Path, browser: Any) -> None:
    words = [HOSTILE, "two<b>", "&amp;", "'\""]
    data = tmp_path / "<b>pairs.tsv"
    data.write_text("".join(f"{a} {b}\t{b} {a}\n" for a in words for b in words), encoding="utf-8")
    shown = film_run(tmp_path / "run", {**SIZES, "task": "pairs", "data": str(data), "steps": 3})
    film(tmp_path / "run").save(tmp_path / "film.html")
    opened(browser, tmp_path / "film.html")
    assert browser.run("return document.title") == "Film: <b>pairs.tsv"
    assert "<b>pairs.tsv" in browser.text("h1")
    keys = browser.run("return [...document.querySelectorAll('#map .key')].map(s => s.title)")
    assert keys == shown.source


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_nothing_is_wider_than_the_window(
    size: tuple[int, int], dark: bool, made: tuple[Path, Film], browser: Any
) -> None:
    opened(browser, made[0], size=size, dark=dark)
    assert browser.overflow() <= 0
    cut = browser.run(
        "return [...document.querySelectorAll('#map span')]"
        ".filter(s => s.scrollWidth > s.clientWidth + 1 || s.scrollHeight > s.clientHeight)"
        ".map(s => s.textContent)"
    )
    assert cut == []
    if size[0] == 1280:
        below = "return byId('line').getBoundingClientRect().bottom <= innerHeight"
        assert browser.run(below)


def test_the_maps_follow_a_change_between_light_and_dark(
    made: tuple[Path, Film], browser: Any
) -> None:
    corner = "return [...byId('weights').getContext('2d').getImageData(0, 0, 1, 1).data]"
    opened(browser, made[0])
    light = browser.run(corner)
    browser.click("header.bar button")
    dark = browser.run(corner)
    assert light != dark
    opened(browser, made[0], dark=True)
    assert browser.run(corner) == dark


def test_a_notebooks_frame_shows_it_without_complaint(
    made: tuple[Path, Film], tmp_path: Path, browser: Any
) -> None:
    path, _ = made
    run = path.parent / "run"
    (tmp_path / "notebook.html").write_text(film(run)._repr_html_(), encoding="utf-8")
    browser.open(tmp_path / "notebook.html")
    browser.driver.switch_to.frame(0)
    wait_until(lambda: bool(browser.run("return byId('step').textContent")))
    browser.run("choose({ frame: 1 })")
    time.sleep(0.3)  # the address would be written by now
    assert step(browser) != "before the first step"
    browser.driver.switch_to.default_content()


def test_a_run_without_a_film_is_an_error_of_one_line(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", {"task": "reverse"})
    with pytest.raises(RunError, match="has no film; train with --film"):
        film(tmp_path / "run")
