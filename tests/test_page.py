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
    own = {"bare.css": "", "bare.js": "byId('shown').textContent = DATA.text;"}
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
def test_the_policy_forbids_every_request(tmp_path: Path, chromium: Any) -> None:
    page = pages.page("bare", "t", "<p id='shown'></p><img src='other.png'>", {"text": ""})
    page.save(tmp_path / "page.html")
    (tmp_path / "other.png").write_bytes(b"")
    chromium.complaints()
    chromium.open(tmp_path / "page.html")
    assert any("Content Security Policy" in said for said in chromium.complaints())


@pytest.mark.usefixtures("bare")
def test_packed_arrays_come_back_bit_for_bit(tmp_path: Path, browser: Any) -> None:
    array = np.array([[1.5, np.pi, -0.0], [np.inf, -np.inf, np.nan]], np.float32)
    data = {"text": "", "array": packed(array)}
    pages.page("bare", "t", "<p id='shown'></p>", data).save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    got = browser.run(
        "const x = await unpacked(DATA.array); return [...new Uint32Array(x.buffer)];"
    )
    assert got == array.ravel().view(np.uint32).tolist()
    assert data["array"]["shape"] == [2, 3]


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
