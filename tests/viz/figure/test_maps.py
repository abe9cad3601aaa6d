"""What the picture of attention shows, and that it can be read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from viz.figure.maps import Weights, draw_attention

SOURCE = ["3", "1", "4", "1", "5", "<eos>"]
TARGET = ["<bos>", "5", "1", "4", "1", "3"]
WORDS = [
    "the", "animal", "did", "not", "cross", "the", "street", "because", "it", "was", "too",
    "tired", "and", "the", "road", "was", "very", "wide", "indeed", "<eos>",
]  # fmt: skip


def a_map(rng: np.random.Generator, heads: int, queries: int, keys: int) -> Weights:
    """Random weights (H, T, S), each row summing to one."""
    weights: Weights = rng.dirichlet(np.full(keys, 0.3), size=(heads, queries))
    return weights


def a_model(
    layers: int, heads: int, source: Sequence[str] = SOURCE, target: Sequence[str] = TARGET
) -> dict[str, Weights]:
    """Weights of every layer of an encoder-decoder, those of the decoder's self causal."""
    rng = np.random.default_rng(0)
    maps: dict[str, Weights] = {}
    for layer in range(layers):
        causal = np.tril(a_map(rng, heads, len(target), len(target)) + 1e-9)
        maps |= {
            f"encoder.layers.{layer}.self_attention": a_map(rng, heads, len(source), len(source)),
            f"decoder.layers.{layer}.self_attention": causal / causal.sum(axis=-1, keepdims=True),
            f"decoder.layers.{layer}.cross_attention": a_map(rng, heads, len(target), len(source)),
        }
    return maps


def panels(figure: Figure) -> list[Axes]:
    """The axes that show weights, from top left to bottom right."""
    return [axes for axes in figure.axes if axes.images]


def names(figure: Figure) -> list[str]:
    """The headings and panel titles in the order in which they are read."""
    headings = [(text, text.get_text()) for text in figure.findobj(Text) if "tention" in str(text)]
    titles = [(axes.title, axes.get_title()) for axes in panels(figure)]
    figure.draw_without_rendering()
    boxes = [
        (-round(text.get_window_extent().y0), round(text.get_window_extent().x0), name)
        for text, name in headings + titles
    ]
    return [name for _, _, name in sorted(boxes)]


def x_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def y_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def assert_every_text_stands_clear(figure: Figure) -> None:
    """No text touches another, a panel, or the edge of the picture."""
    figure.draw_without_rendering()
    texts = [
        text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()
    ]
    boxes = np.array(
        [text.get_window_extent().extents for text in texts]
        + [axes.bbox.extents for axes in panels(figure)]
    )  # (N, x0 y0 x1 y1)
    labels = [text.get_text() for text in texts] + ["a panel"] * len(panels(figure))
    width, height = figure.canvas.get_width_height()
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    reaches = (boxes[:, None, :2] < boxes[None, :, 2:]).all(-1)  # (N, N): i begins before j ends
    touching = np.argwhere(np.triu(reaches & reaches.T, k=1))
    assert [(labels[i], labels[j]) for i, j in touching] == []


def test_every_panel_shows_the_weights_of_its_layer_and_head() -> None:
    maps = a_model(layers=2, heads=4)
    shown = [axes.images[0].get_array() for axes in panels(draw_attention(maps, SOURCE, TARGET))]
    expected = [
        maps[f"{stack}.layers.{layer}.{kind}_attention"][head]
        for stack, kind in (("encoder", "self"), ("decoder", "self"), ("decoder", "cross"))
        for layer in range(2)
        for head in range(4)
    ]
    assert len(shown) == len(expected)
    for array, weights in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(array, weights)


def test_layers_are_sorted_by_number_under_the_heading_of_their_kind() -> None:
    maps = a_model(layers=11, heads=1, source=["a"], target=["b"])
    shuffled = {path: maps[path] for path in sorted(maps)}  # layer 10 before layer 2
    rows = [f"layer {layer}, head 1" for layer in range(1, 12)]
    read = names(draw_attention(shuffled, ["a"], ["b"]))
    assert read == [
        "attention weight",
        *("Encoder self-attention", *rows),
        *("Decoder self-attention", *rows),
        *("Decoder cross-attention", *rows),
    ]


def test_a_kind_without_layers_has_no_heading() -> None:
    maps = {"decoder.layers.0.cross_attention": np.full((1, 1, 1), 1.0)}
    read = names(draw_attention(maps, ["a"], ["b"]))
    assert read == ["attention weight", "Decoder cross-attention", "layer 1, head 1"]


def test_queries_are_named_at_the_left_and_keys_at_the_bottom_of_each_kind() -> None:
    figure = draw_attention(a_model(layers=2, heads=3), SOURCE, TARGET)
    sides = ((SOURCE, SOURCE), (TARGET, TARGET), (TARGET, SOURCE))
    expected = [
        (queries if column == 0 else [], keys if row == 1 else [])
        for queries, keys in sides
        for row in range(2)
        for column in range(3)
    ]
    assert [(y_labels(axes), x_labels(axes)) for axes in panels(figure)] == expected


def test_the_axes_say_whose_tokens_ask_and_are_asked() -> None:
    figure = draw_attention(a_model(layers=1, heads=1), SOURCE, TARGET)
    assert [(axes.get_ylabel(), axes.get_xlabel()) for axes in panels(figure)] == [
        ("query: source", "key: source"),
        ("query: reads", "key: reads"),
        ("query: reads", "key: source"),
    ]
    read = [text.get_text() for text in figure.findobj(Text)]
    origins = [text for text in read if text.startswith("query") and "from" in text]
    assert origins == [
        "query, key and value from the encoder",
        "query, key and value from the decoder",
        "query from the decoder, key and value from the encoder",
    ]


def test_what_is_written_stands_at_the_right_of_what_the_decoder_reads() -> None:
    written = [*TARGET[1:], "<eos>"]
    figure = draw_attention(a_model(layers=2, heads=3), SOURCE, TARGET, written=written)
    figure.draw_without_rendering()
    for number, axes in enumerate(panels(figure)):
        kind, row, column = number // 6, number // 3 % 2, number % 3
        beside = written + (["to write"] if row == 1 else [])
        expected = beside if kind > 0 and column == 2 else []
        assert [text.get_text() for text in axes.texts] == expected
        for text, place in zip(axes.texts[: len(written)], range(len(written)), strict=False):
            box = text.get_window_extent()
            _, height = axes.transData.transform((0, place))
            assert box.x0 > axes.bbox.x1
            assert box.y0 < height < box.y1
    assert_every_text_stands_clear(figure)


def test_more_or_fewer_tokens_written_than_read_are_an_error() -> None:
    with pytest.raises(ValueError, match="5 tokens are written after 6 are read"):
        draw_attention(a_model(layers=1, heads=1), SOURCE, TARGET, written=TARGET[1:])


def test_one_colour_bar_holds_for_all_panels_from_0_to_1_by_the_square_root() -> None:
    figure = draw_attention(a_model(layers=2, heads=2), SOURCE, TARGET)
    (bar,) = (axes for axes in figure.axes if not axes.images)
    assert bar.get_xlim() == (0, 1)
    for axes in panels(figure):
        norm = axes.images[0].norm
        assert isinstance(norm, PowerNorm)
        assert (norm.vmin, norm.vmax, norm(0.25)) == (0, 1, 0.5)


def test_colours_darken_by_equal_steps_of_lightness() -> None:
    figure = draw_attention(a_model(layers=1, heads=1), SOURCE, TARGET)
    colour_map = panels(figure)[0].images[0].get_cmap()
    rgb = np.array([to_rgb(colour_map(share)) for share in np.linspace(0, 1, 21)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16  # CIELAB L*
    np.testing.assert_allclose(lightness, np.linspace(97, 17, 21), atol=1)


def test_a_hidden_key_is_a_cell_of_0_and_not_a_hole() -> None:
    axes = panels(draw_attention(a_model(layers=1, heads=1), SOURCE, TARGET))[1]
    image = axes.images[0]
    colours = image.to_rgba(np.asarray(image.get_array()))  # (T, T, red green blue alpha)
    hidden = ~np.tri(len(TARGET), dtype=bool)
    np.testing.assert_array_equal(np.unique(colours[hidden], axis=0), [image.get_cmap()(0.0)])
    assert to_rgb(colours[0, 1]) != (1, 1, 1)


def test_a_fully_masked_query_is_drawn_as_zeros() -> None:
    maps = {"encoder.layers.0.self_attention": np.zeros((1, 2, 2))}
    (axes,) = panels(draw_attention(maps, ["a", "b"], []))
    np.testing.assert_array_equal(axes.images[0].get_array(), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("layers", "heads", "source", "target"),
    [
        pytest.param(2, 4, SOURCE, TARGET, id="digits"),
        pytest.param(6, 8, WORDS, ["<bos>", *WORDS[:-1]], id="words"),
        pytest.param(1, 1, ["a", "b"], ["c", "d"], id="smallest"),
        pytest.param(1, 16, WORDS * 2, ["<bos>"], id="wide"),
        pytest.param(1, 2, list("letter by letter,\n400 of them." * 13), ["<bos>"], id="long"),
    ],
)
def test_every_text_stands_clear(
    layers: int, heads: int, source: list[str], target: list[str]
) -> None:
    maps = a_model(layers, heads, source, target)
    title = "reverse: " + " ".join(source[:20])
    figure = draw_attention(maps, source, target, None, title, [*target[1:], "<eos>"])
    assert_every_text_stands_clear(figure)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(st.text("aWg_$^, <", min_size=1, max_size=30), min_size=1, max_size=12),
    st.text("aW $", max_size=80),
)
def test_every_text_stands_clear_whatever_the_tokens(
    heads: int, tokens: list[str], title: str
) -> None:
    weights = np.full((heads, len(tokens), len(tokens)), 1 / len(tokens))
    maps = {"encoder.layers.0.self_attention": weights}
    assert_every_text_stands_clear(draw_attention(maps, tokens, [], title=title))


def test_labels_make_spaces_visible_and_shorten_long_tokens() -> None:
    tokens = [" the", "\n", "$x^2$", "incomprehensibilit" + "y" * 30]
    maps = {"encoder.layers.0.self_attention": np.full((1, 4, 4), 0.25)}
    (axes,) = panels(draw_attention(maps, tokens, []))
    assert (
        y_labels(axes)
        == x_labels(axes)
        == ["␣the", "⏎", "$x^2$", "incomprehensibilit" + "y" * 13 + "…"]
    )


def test_of_very_many_tokens_every_nth_is_named_at_its_own_place() -> None:
    tokens = [str(number) for number in range(100)]
    maps = {"encoder.layers.0.self_attention": np.full((1, 100, 100), 0.01)}
    (axes,) = panels(draw_attention(maps, tokens, []))
    assert x_labels(axes) == [str(place) for place in axes.get_xticks()] == tokens[::3]


def test_fonts_that_are_not_installed_are_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        maps = {"encoder.layers.0.self_attention": np.full((1, 2, 2), 0.5)}
        draw_attention(maps, ["a", "é"], [], tmp_path / "attention.png")
    assert caplog.records == []


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_weights_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    maps = a_model(layers=1, heads=2)
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        draw_attention(maps, SOURCE, TARGET, path, title="twice")
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({}, "found no layer"),
        ({"encoder.layers.0.cross_attention": np.ones((1, 6, 6))}, "names no attention layer"),
        ({"layers.0": np.ones((1, 6, 6))}, "'layers.0' names no attention layer; expected encoder"),
        (
            {"decoder.layers.3.cross_attention": np.ones((1, 5, 6))},
            r"decoder.layers.3.cross_attention: 6 query and 6 key tokens .*not \(1, 5, 6\)",
        ),
        ({"encoder.layers.0.self_attention": np.ones((6, 6))}, r"\(heads, 6, 6\), not \(6, 6\)"),
        ({"encoder.layers.0.self_attention": np.ones((0, 6, 6))}, r"not \(0, 6, 6\)"),
        ({"encoder.layers.0.self_attention": np.full((1, 6, 6), 3.2)}, "between 3.2 and 3.2"),
        ({"encoder.layers.0.self_attention": np.full((1, 6, 6), np.nan)}, "between nan and nan"),
        (
            {
                "encoder.layers.0.self_attention": np.ones((1, 6, 6)),
                "encoder.layers.1.self_attention": np.ones((2, 6, 6)),
            },
            r"one number of heads, found \[1, 2\]",
        ),
    ],
)
def test_what_is_no_attention_is_an_error(maps: dict[str, Weights], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_attention(maps, SOURCE, TARGET)


def test_what_a_mask_hides_is_left_to_the_hatched_paper() -> None:
    """And what is merely not attended to has a colour; the legend says what is hidden."""
    path = "decoder.layers.0.self_attention"
    weights = np.tril(np.ones((1, 4, 4))) / np.arange(1, 5)[:, None]
    weights[0, 3] = 1, 0, 0, 0
    sides, tokens = {path: ("text", "text")}, ["a", "b", "c", "d"]
    mask = np.tri(4, dtype=bool)
    figure = draw_attention({path: weights}, tokens, [], sides=sides, masks={path: mask})
    (panel,) = panels(figure)
    shown = np.ma.asarray(panel.images[0].get_array())
    np.testing.assert_array_equal(~np.ma.getmaskarray(shown), mask)
    assert panel.patch.get_hatch()
    assert "Causal self-attention" in names(figure)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert "hidden by the mask" in texts
    assert "each token looks at itself and at those before it" in texts
    for masks in (None, {path: np.ones((4, 4), bool)}):
        figure = draw_attention({path: weights}, tokens, [], sides=sides, masks=masks)
        assert "hidden by the mask" not in [text.get_text() for text in figure.findobj(Text)]
        assert not np.ma.is_masked(panels(figure)[0].images[0].get_array())
