"""What a learning curve shows, and how every picture is written."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import matplotlib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text

from minigrad.files import FileError
from viz.figure.panels import shifts_apart
from viz.figure.plots import draw_curve
from viz.figure.style import save_figure

Record = dict[str, float]


def a_run(steps: int = 200, last_loss: float = 0.01, last_accuracy: float = 1.0) -> list[Record]:
    """A run that learns: the loss falls from 2 to `last_loss`, evaluated at every fifth record."""
    records = []
    for step in range(10, steps + 1, 10):
        done = step / steps
        record = {"step": step, "loss": 2 * (last_loss / 2) ** done, "learning_rate": 1e-3}
        if step % 50 == 0:
            accuracy = last_accuracy * done
            record |= {"exact_match": accuracy**2, "token_accuracy": accuracy}
        records.append(record)
    return records


def drawn_texts(figure: Figure) -> list[Text]:
    """The texts that drawing the figure really sets, at their final places."""
    drawn: list[Text] = []
    draw: Callable[[Text, RendererBase], None] = Text.draw

    def note_and_draw(text: Text, renderer: RendererBase) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn.append(text)
        draw(text, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note_and_draw)
        figure.draw_without_rendering()
    return drawn


def assert_every_text_stands_clear(figure: Figure) -> None:
    texts = drawn_texts(figure)
    boxes = np.array([text.get_window_extent().extents for text in texts])  # (N, x0 y0 x1 y1)
    width, height = figure.canvas.get_width_height()
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    starts, ends = boxes[:, None, :2], boxes[None, :, 2:]
    reaches = (starts < ends).all(-1)  # (N, N): i begins before j ends, along both sides
    touching = np.argwhere(np.triu(reaches & reaches.T, k=1))
    assert [(texts[i].get_text(), texts[j].get_text()) for i, j in touching] == []


def line(figure: Figure, panel: int, number: int = 0) -> list[tuple[float, float]]:
    """The points of a panel's line; each line is followed by the dot at its end."""
    points = np.asarray(figure.axes[panel].lines[2 * number].get_xydata())  # (N, x y)
    return [(x, y) for x, y in points]


def test_the_curve_is_the_recorded_loss() -> None:
    records = a_run()
    assert line(draw_curve(records), 0) == [(r["step"], r["loss"]) for r in records]


def test_the_accuracies_are_drawn_where_they_were_measured() -> None:
    records = a_run()
    figure = draw_curve(records)
    measured = [r for r in records if "exact_match" in r]
    assert line(figure, 1, 0) == [(r["step"], r["exact_match"]) for r in measured]
    assert line(figure, 1, 1) == [(r["step"], r["token_accuracy"]) for r in measured]


def test_a_run_without_evaluation_has_one_panel() -> None:
    assert len(draw_curve([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]).axes) == 1


@pytest.mark.parametrize(
    ("last_loss", "scale"), [(2 / 10**1.4, "linear"), (2 / 10**1.7, "log"), (0.0, "linear")]
)
def test_the_loss_is_logarithmic_when_it_spans_more_than_a_decade_and_a_half(
    last_loss: float, scale: str
) -> None:
    axes = draw_curve([{"step": 1, "loss": 2.0}, {"step": 9, "loss": last_loss}]).axes[0]
    assert axes.get_yscale() == scale
    assert ("logarithmic" in axes.get_title(loc="left")) == (scale == "log")


def test_the_last_values_are_written_at_the_ends_of_the_lines() -> None:
    texts = [text.get_text() for text in drawn_texts(draw_curve(a_run(last_accuracy=0.9)))]
    assert {"0.01", "exact match 81.0 %", "token accuracy 90.0 %"} <= set(texts)


def test_only_a_perfect_share_reads_as_100_per_cent() -> None:
    records = [{"step": 1, "loss": 1.0, "exact_match": 0.99999, "token_accuracy": 1.0}]
    texts = [text.get_text() for text in drawn_texts(draw_curve(records))]
    assert {"exact match 99.9 %", "token accuracy 100 %"} <= set(texts)


def test_what_is_held_out_stands_beside_what_is_trained_on() -> None:
    records = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": 1.5, "held_out_loss": 1.75, "exact_match": 0.25,
         "token_accuracy": 0.5, "training_exact_match": 0.75},
    ]  # fmt: skip
    figure = draw_curve(records)
    texts = [text.get_text() for text in drawn_texts(figure)]
    assert {"in training 1.5", "held out 1.75", "in training 75.0 %"} <= set(texts)
    colours = {text.get_text().rpartition(" ")[0]: text.get_color() for text in drawn_texts(figure)}
    assert colours["held out"] != colours["in training"] != colours["exact match 25.0"]


@given(st.lists(st.floats(0, 200), max_size=5))
def test_texts_are_pushed_apart_and_no_further_than_need_be(heights: list[float]) -> None:
    shifts = shifts_apart(heights, 12)
    moved = [height + shift for height, shift in zip(heights, shifts, strict=True)]
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    assert all(moved[j] - moved[i] > 11.999 for i, j in pairwise(order))
    assert sum(shifts) == pytest.approx(0, abs=1e-6)
    alone = all(abs(heights[j] - heights[i]) >= 12 for i, j in pairwise(order))
    assert not alone or not any(shifts)


def test_values_that_are_not_finite_are_left_out() -> None:
    records = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": math.nan}, {"step": 3, "loss": 1.0}]
    assert line(draw_curve(records), 0) == [(1, 2.0), (3, 1.0)]


@pytest.mark.parametrize("records", [[], [{"step": 1}], [{"step": 1, "loss": math.inf}]])
def test_a_run_without_a_finite_loss_is_an_error(records: list[Record]) -> None:
    with pytest.raises(ValueError, match="no record has a finite loss"):
        draw_curve(records)


shares = st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0])


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), shares, shares, shares, st.integers(1, 10**7))
@example(11886.0, 375869.0, 0.0, 0.0, 0.0, 1)  # a logarithmic scale with one power of ten on it
def test_no_text_of_a_curve_touches_another_or_the_edge(
    first: float, last: float, exact: float, tokens: float, training: float, steps: int
) -> None:
    end = {
        "loss": last, "held_out_loss": (first * last) ** 0.5, "exact_match": exact,
        "token_accuracy": tokens, "training_exact_match": training,
    }  # fmt: skip
    records = [{"step": 1, "loss": first}, {"step": 1 + steps, **end}]
    title = (
        "reverse: digits of length 1 to 10, d_model 64, 4 heads, 2 + 2 layers, post-norm, seed 0"
    )
    assert_every_text_stands_clear(draw_curve(records, title=title))


def test_a_title_is_wrapped_but_keeps_its_words() -> None:
    title = "the cost is $5 or $6, " * 6
    lines = [text.get_text() for text in draw_curve(a_run(), title=title).texts]
    assert len(lines) > 1
    assert " ".join(lines) == title.strip()


@pytest.mark.parametrize(
    ("name", "signature"),
    [("a.png", b"\x89PNG"), ("a.PNG", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")],
)
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str, signature: bytes) -> None:
    draw_curve(a_run(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(signature)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_records_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    written = []
    for day in ("0", "86400"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", day)  # the clock that matplotlib would stamp
        draw_curve(a_run(), tmp_path / f"{day}.{suffix}", title="twice")
        written.append((tmp_path / f"{day}.{suffix}").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("name", ["curve.jpg", "curve"])
def test_an_unknown_suffix_is_an_error_that_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        draw_curve(a_run(), tmp_path / name)
    assert os.listdir(tmp_path) == []


def fail_half_way(self: Figure, file: BinaryIO, **options: object) -> None:
    file.write(b"half a picture")
    raise OSError("No space left on device")


def fail_to_replace(self: Path, target: Path) -> None:
    raise PermissionError("not yours")


@pytest.mark.parametrize(
    ("owner", "name", "failure"),
    [(Figure, "savefig", fail_half_way), (Path, "replace", fail_to_replace)],
)
def test_a_failing_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    failure: Callable[..., None],
) -> None:
    path = tmp_path / "curve.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(owner, name, failure)
    with pytest.raises(FileError, match=r"cannot write .*curve.png: (No space left|not yours)"):
        draw_curve(a_run(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["curve.png"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"missing/curve\.png: No such file"):
        save_figure(Figure(), tmp_path / "missing" / "curve.png")


def test_the_readers_own_matplotlib_settings_neither_change_nor_matter(tmp_path: Path) -> None:
    draw_curve(a_run(), tmp_path / "a.png")
    with matplotlib.rc_context({"lines.linestyle": ":", "axes.facecolor": "red"}):
        theirs = dict(matplotlib.rcParams)
        draw_curve(a_run(), tmp_path / "b.png")
        assert dict(matplotlib.rcParams) == theirs
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_matplotlib_is_loaded_when_something_is_drawn_and_pyplot_never() -> None:
    script = """
import sys
import viz.figure.maps, viz.figure.plots
assert "matplotlib" not in sys.modules
viz.figure.plots.draw_curve([{"step": 1, "loss": 1.0}])
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=root, check=True)


def test_of_a_text_the_second_panel_is_of_bits_per_character() -> None:
    bits = {"bits_per_character": 2.5, "training_bits_per_character": 2.25, "token_accuracy": 0.3}
    records = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "held_out_loss": 2.1, **bits}]
    figure = draw_curve(records)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Bits per character"]
    told = [text.get_text() for text in figure.axes[1].texts]
    assert told == ["in training 2.25", "held out 2.5"]
    del records[1]["training_bits_per_character"]
    assert [text.get_text() for text in draw_curve(records).axes[1].texts] == ["held out 2.5"]
