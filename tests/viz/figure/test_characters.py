"""Every character can be shown: in pictures, pages and graphs, or it is said that it cannot."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import viz
from minigrad import Tensor
from viz.figure import characters
from viz.figure.characters import one_line, readable

TOKENS = {
    "b\udcff": "b\ufffd",  # a byte that is no UTF-8, as Python reads it from a command line
    "\ud83d": "\ufffd",
    "a b": "a␣b",
    "a\tb\n": "a⇥b⏎",
    "\x00\x7f": "⟨U+0000⟩⟨U+007F⟩",
    "\x1b[31m": "⟨U+001B⟩[31m",
    "\u200b": "⟨U+200B⟩",
    "\ufeffa": "⟨U+FEFF⟩a",
    "\u202eabc": "⟨U+202E⟩abc",
    "\u00a0\u3000": "⟨U+00A0⟩⟨U+3000⟩",
    "\u2028": "⟨U+2028⟩",
    "\u200d": "⟨U+200D⟩",
    "👩\u200d👧": "👩\u200d👧",
    "می\u200cخواهم": "می\u200cخواهم",
    "\u0301": "◌\u0301",
    "e\u0301": "e\u0301",
    "שלום": "שלום",
    "河": "河",
    "\U00012000": "\U00012000",  # cuneiform
    "$x^2$ \\frac{}": "$x^2$␣\\frac{}",
    "a_b^c": "a_b^c",
    "<b>&amp;\"'`": "<b>&amp;\"'`",
    "\\N \\l\\": "\\N␣\\l\\",
    "</script>": "</script>",
    "x" * 30: "x" * 30,
    "": "",
}
WEIGHTS = np.full((1, len(TOKENS), len(TOKENS)), 1 / len(TOKENS))


@pytest.mark.parametrize(("token", "shown"), TOKENS.items(), ids=ascii)
def test_a_token_is_readable(token: str, shown: str) -> None:
    assert readable(token) == shown


def test_a_title_is_one_line_without_what_has_no_shape() -> None:
    assert one_line(" a\tb\n\x07c\udcff\u202ed👩\u200d👧 ") == "a b \ufffdc\ufffd\ufffdd👩\u200d👧"


@pytest.mark.filterwarnings("ignore:no font here has")
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_is_made_of_any_tokens_and_titles(suffix: str, tmp_path: Path) -> None:
    tokens, title = list(TOKENS), "Attention: " + " ".join(TOKENS) * 3
    drawing = viz.draw_attention(
        {"decoder.layers.0.self_attention": WEIGHTS}, [], tokens, tmp_path / f"a.{suffix}", title,
        written=tokens,
    )  # fmt: skip
    (axes,) = (axes for axes in drawing.axes if axes.images)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == list(TOKENS.values())
    assert [text.get_text() for text in axes.texts] == [*labels, "to write"]
    viz.draw_curve([{"step": 1, "loss": 1.0}], tmp_path / f"c.{suffix}", title)
    assert all((tmp_path / f"{name}.{suffix}").stat().st_size > 1000 for name in "ac")


def test_a_page_shows_any_tokens_and_titles(tmp_path: Path, browser: Any) -> None:
    """Those that JSON and HTML can hold: half a surrogate pair becomes U+FFFD on the way."""
    tokens, title = list(TOKENS), " ".join(TOKENS)
    page = viz.attention({"decoder.layers.0.self_attention": WEIGHTS}, tokens, tokens, title)
    page.save(tmp_path / "page.html")
    browser.open(tmp_path / "page.html", size=(1600, 900))
    browser.run("return new Promise(done => setTimeout(done, 300))")
    names = (
        "return [...document.querySelectorAll('#weights .queries span')].map(s => s.textContent)"
    )
    assert browser.run(names) == list(TOKENS.values())
    assert browser.run("return DATA.layers[0].queries.map(readable)") == list(TOKENS.values())
    assert browser.text("h1").startswith("b\ufffd")


def test_a_graph_shows_any_names(tmp_path: Path) -> None:
    leaves = [Tensor(np.ones(2), requires_grad=True, name=name) for name in TOKENS if name.strip()]
    total = leaves[0]
    for leaf in leaves[1:]:
        total = total + leaf
    picture = viz.graph(total)
    texts = ElementTree.fromstring(picture._repr_image_svg_xml()).iter()
    shown = " ".join(text.text or "" for text in texts)
    for name in (
        "b\ufffd",
        "$x^2$ ∖frac{}",
        "<b>&amp;\"'`",
        "∖N ∖l∖",
        "</script>",
        "שלום",
        "x" * 30,
    ):
        assert name in shown
    picture = viz.compare(total, total * 2, (" ".join(TOKENS), '<&"\\'))
    ElementTree.fromstring(picture._repr_image_svg_xml())
    page = viz.explain(total.sum(), title=" ".join(TOKENS))
    assert "<h1>b\ufffd" in page.html


def warned(*texts: str) -> list[str]:
    """What is warned of when a picture with these tokens is drawn."""
    weights = {"encoder.layers.0.self_attention": np.full((1, len(texts), len(texts)), 0.1)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        viz.draw_attention(weights, texts, [])
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


def test_characters_that_no_font_has_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "characters_of", lambda path, wanted: wanted - set("河川山"))
    (said,) = warned("a河", "川", "山")
    assert said.startswith("no font here has 山 (U+5C71), 川 (U+5DDD), 河 (U+6CB3): boxes stand")
    assert "Noto Sans CJK" in said
    assert ".html" in said
    assert "\n" not in said
    monkeypatch.setattr(characters, "characters_of", lambda path, wanted: set())
    (said,) = warned("abcdefgh")
    assert "d (U+0064), e (U+0065) and 3 more: boxes" in said
    assert warned("", "") == []


def test_any_font_of_the_system_lends_what_the_usual_ones_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the serif face of DejaVu alone is said to have the character."""
    real = characters.characters_of

    def only_serif(path: str, wanted: set[str]) -> set[str]:
        return real(path, wanted) if path.endswith("DejaVuSerif.ttf") else set()

    monkeypatch.setattr(characters, "characters_of", only_serif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = viz.draw_attention(
            {"encoder.layers.0.self_attention": np.ones((1, 1, 1))}, ["я"], []
        )
    families = drawing.axes[-1].get_yticklabels()[0].get_fontfamily()
    assert families[-1] == "DejaVu Serif"


def test_a_font_that_cannot_be_drawn_or_read_has_no_characters(tmp_path: Path) -> None:
    (tmp_path / "no.ttf").write_bytes(b"no font")
    assert characters.characters_of(str(tmp_path / "no.ttf"), {"a"}) == set()
