"""Whatever viz makes shows itself in a notebook: pictures, graphs and pages."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import viz
from minigrad import Tensor, Value
from minitransformer.inside.by_hand import without_parameters
from minitransformer.inside.film import Camera
from minitransformer.inside.sentences import from_seed
from minitransformer.recipe import Recipe
from minitransformer.runs import Run
from minitransformer.training import Trainer

PNG = b"\x89PNG\r\n\x1a\n"
WEIGHTS = np.full((1, 2, 3), 1 / 3)


def result() -> Tensor:
    return np.tanh(Tensor([1.0, 2.0], requires_grad=True)).sum()


def film(folder: Path) -> Any:
    settings: dict[str, Any] = {
        "task": "reverse",
        "length": 6,
        "vocab": 8,
        "steps": 1,
        "d_model": 4,
        "heads": 1,
    }
    recipe = Recipe.read({**settings, "layers": 1, "d_ff": 4})
    run = Run.create(folder / "run", {"task": "reverse"})
    Camera(run, Trainer(recipe))
    return viz.film(folder / "run")


MAKERS: dict[str, Callable[[Path], Any]] = {
    "attend": lambda folder: viz.attend(without_parameters(from_seed(["money bank grows"]))),
    "attention": lambda folder: viz.attention(WEIGHTS),
    "compare": lambda folder: viz.compare(Value(2.0) * 3, Value(2.0) + 1),
    "draw_attention": lambda folder: viz.draw_attention(
        {"decoder.layers.0.cross_attention": WEIGHTS}, ["a", "b", "c"], ["<bos>", "d"]
    ),
    "draw_curve": lambda folder: viz.draw_curve([{"step": 1, "loss": 1.0}]),
    "explain": lambda folder: viz.explain(result()),
    "film": film,
    "graph": lambda folder: viz.graph(result()),
}
SHOW_NOTHING = {"RenderError", "render", "retain_grads"}


def test_every_public_name_is_tried() -> None:
    assert MAKERS.keys() | SHOW_NOTHING == set(viz.__all__)


@pytest.mark.parametrize("name", MAKERS)
def test_a_notebook_is_given_a_picture_or_a_page(name: str, tmp_path: Path) -> None:
    """By the methods that IPython calls, in its order of preference."""
    shown = MAKERS[name](tmp_path)
    if bundle := getattr(shown, "_repr_mimebundle_", None):
        assert "<svg" in bundle()["image/svg+xml"]
    elif png := getattr(shown, "_repr_png_", None):
        data, size = png()
        assert data.startswith(PNG)
        assert size["width"] / size["height"] == pytest.approx(shape(data), rel=0.01)
    else:
        assert shown._repr_html_().startswith("<iframe")


def shape(png: bytes) -> float:
    """The width of a PNG by its height."""
    width, height = struct.unpack(">2I", png[16:24])
    return float(width / height)


def test_a_drawing_is_shown_as_it_is_written(tmp_path: Path) -> None:
    drawing = viz.draw_curve([{"step": 1, "loss": 1.0}], tmp_path / "curve.png", title="reverse")
    shown, _ = drawing._repr_png_()
    written = (tmp_path / "curve.png").read_bytes()
    assert pixels(shown) == pixels(written)


def pixels(png: bytes) -> list[bytes]:
    """The chunks of a PNG that hold its picture, without the stamp of who wrote it."""
    chunks, at = [], len(PNG)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] in (b"IHDR", b"IDAT"):
            chunks.append(png[at : at + 12 + length])
        at += 12 + length
    assert len(chunks) > 1
    return chunks
