"""A page is one file: its texts are shown, none of them is run, and nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viz.pages import page as pages
from viz.pages.page import Page, as_json, packed, plain


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of page, "bare", with a script that shows its data and no style of its own."""
    own = {"bare.css": "", "bare.js": "function start() { byId('shown').textContent = DATA.text; }"}
    read = pages.source
    monkeypatch.setattr(pages, "source", lambda name: own[name] if name in own else read(name))


@pytest.mark.usefixtures("bare")
def test_text_from_outside_is_shown_and_not_run(tmp_path: Path, browser: Any) -> None:
    hostile = "</script><script>document.title = 'run'</script><!-- \u2028 '\""
    page = pages.page("bare", hostile, "<p id='shown'></p>", {"text": hostile})
    page.save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert browser.run("return byId('shown').textContent") == hostile
    assert browser.run("return document.title").startswith("</script>")


@pytest.mark.usefixtures("bare")
def test_half_a_character_is_shown_as_unknown(tmp_path: Path, browser: Any) -> None:
    half, other = "\ud83d", "\udd25"
    text = f"{half} {half}{other} {other}"
    page = pages.page("bare", text, f"<h1>{text}</h1><p id='shown'></p>", {"text": text})
    page.save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    for place in ("document.title", "byId('shown').textContent", "document.body.innerText"):
        assert browser.run(f"return {place}").startswith("\ufffd \N{FIRE} \ufffd")


@pytest.mark.usefixtures("bare")
def test_the_policy_forbids_every_request(tmp_path: Path, chromium: Any) -> None:
    page = pages.page("bare", "t", "<p id='shown'></p><img src='other.png'>", {"text": ""})
    page.save(tmp_path / "page.html")
    (tmp_path / "other.png").write_bytes(b"")
    chromium.complaints()
    chromium.open(tmp_path / "page.html")
    assert any("Content Security Policy" in said for said in chromium.complaints())


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packed_arrays_come_back_bit_for_bit(dtype: Any, tmp_path: Path, browser: Any) -> None:
    array = np.array([[1.5, np.pi, -0.0], [np.inf, -np.inf, np.nan]], dtype)
    data = {"text": "", "array": packed(array)}
    pages.page("bare", "t", "<p id='shown'></p>", data).save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    got = browser.run(
        "const x = await unpacked(DATA.array);"
        "return [x.BYTES_PER_ELEMENT, ...new Uint32Array(x.buffer)];"
    )
    assert got == [array.itemsize, *array.ravel().view(np.uint32).tolist()]
    assert data["array"]["shape"] == [2, 3]


def bare_page(path: Path, browser: Any, *, dark: bool = False) -> Any:
    """The browser, showing a page with a header and nothing else."""
    body = "<header class='bar'></header><p id='shown'></p>"
    pages.page("bare", "t", body, {"text": ""}).save(path / "page.html")
    browser.open(path / "page.html", dark=dark)
    return browser


@pytest.mark.usefixtures("bare")
def test_a_button_and_the_key_d_change_between_light_and_dark(tmp_path: Path, browser: Any) -> None:
    page = bare_page(tmp_path, browser)
    page.run("addTheme()")
    paper = "return getComputedStyle(document.body).backgroundColor"
    white = page.run(paper)
    page.press("d")
    black = page.run(paper)
    assert page.run("return isDark()")
    assert black != white
    page.click("header button")
    assert page.run(paper) == white
    page.run("document.dispatchEvent(new KeyboardEvent('keydown', { key: 'd', ctrlKey: true }))")
    assert page.run(paper) == white


@pytest.mark.usefixtures("bare")
def test_the_address_follows_quick_changes_in_one_go(tmp_path: Path, browser: Any) -> None:
    page = bare_page(tmp_path, browser)
    before = page.run("return history.length")
    page.run(
        "window.changes = 0; const real = history.replaceState.bind(history);"
        "history.replaceState = (...a) => { window.changes += 1; real(...a); };"
        "for (let i = 0; i < 300; i++) remember(`step=${i}`)"
    )
    assert page.address() == "#step=299"
    assert page.run("return [window.changes, history.length]") == [1, before]


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("dark", [False, True])
def test_numbers_can_be_read_on_the_strongest_tints(
    tmp_path: Path, browser: Any, dark: bool
) -> None:
    page = bare_page(tmp_path, browser, dark=dark)
    page.run("byId('shown').append(heat([[1, -1, 0, 0.5, 'NaN']]))")
    shades = page.run(
        """const pen = document.createElement("canvas").getContext("2d");
           const parts = (colour) => {
             pen.fillStyle = colour;
             pen.fillRect(0, 0, 1, 1);
             return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
           };
           return [...document.querySelectorAll("td")].map(getComputedStyle).map(
             ({ color, backgroundColor }) => [parts(color), parts(backgroundColor)]);"""
    )
    assert len(shades) == 5
    for ink, tint in shades:
        dim, bright = sorted([luminance(ink), luminance(tint)])
        assert (bright + 0.05) / (dim + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def luminance(colour: list[int]) -> float:
    """The relative luminance of an sRGB colour, as WCAG 2.2 defines it."""
    x = np.array(colour) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_numbers_that_json_cannot_say_become_strings_that_javascript_reads() -> None:
    assert plain(np.array([1.0, np.nan, np.inf, -np.inf])) == [1.0, "NaN", "Infinity", "-Infinity"]
    assert plain(np.float32(0.5)) == 0.5
    assert plain(3) == 3
    with pytest.raises(ValueError, match="JSON"):
        as_json(float("nan"))


def test_a_notebook_shows_the_page_in_a_frame_without_its_markup_leaking() -> None:
    shown = Page('<p title="a">&amp;</p>', height=99)._repr_html_()
    assert 'srcdoc="&lt;p title=&quot;a&quot;&gt;&amp;amp;&lt;/p&gt;"' in shown
    assert "height: 99px" in shown


def test_a_page_is_written_as_html_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.txt: a page is written as \.html"):
        Page("").save(tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())
