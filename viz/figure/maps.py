"""Attention weights as one picture: every layer and head, tokens along both sides."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from viz.figure.characters import one_line, readable
from viz.figure.style import (
    BLUE,
    GREEN,
    GREY,
    PALE,
    TITLE_LINE,
    VERMILION,
    house_style,
    save_figure,
    text_width,
    use_fonts_for,
    wrap_title,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import SubFigure

    from viz.figure.drawing import Drawing

Weights = NDArray[np.floating[Any]]  # (H, T, S)


class _Kind(NamedTuple):
    """A kind of attention: its heading, and whose tokens ask and are asked."""

    heading: str
    query: str
    key: str
    accent: str

    @property
    def origin(self) -> str:
        """Where its queries, keys and values come from."""
        if self.query == "text":
            return "each token looks at itself and at those before it"
        asking, asked = (_STACKS[side] for side in (self.query, self.key))
        if asking == asked:
            return f"query, key and value from the {asking}"
        return f"query from the {asking}, key and value from the {asked}"


_STACKS = {"source": "encoder", "target": "decoder"}
_SIDES = {"source": "source", "target": "reads", "text": "text"}  # what a decoder has of a target
_KINDS = {
    (kind.query, kind.key): kind
    for kind in (
        _Kind("Encoder self-attention", "source", "source", BLUE),
        _Kind("Decoder self-attention", "target", "target", VERMILION),
        _Kind("Decoder cross-attention", "target", "source", GREEN),
        _Kind("Causal self-attention", "text", "text", VERMILION),
    )
}
Sides = tuple[str, str]
"""Whose tokens look in a map, and at whose they look: those of a "source", a "target" or, of a
model that goes on with it, a "text"."""

_SIDES_BY_NAME: dict[tuple[str, str], Sides] = {
    ("encoder", "self"): ("source", "source"),
    ("decoder", "self"): ("target", "target"),
    ("decoder", "cross"): ("target", "source"),
}
_LAYER = re.compile(r"(encoder|decoder)\.layers\.\d+\.(self|cross)_attention")
_NUMBER = re.compile(r"\blayers\.(\d+)\b")

# From near white to navy in equal steps of lightness (CIELAB 97, 81, … 17), so that equal
# differences of weight look equal, and grey print keeps their order.
WEIGHT_COLOURS = ("#F0F8FB", "#A5D0E3", "#5CA6D1", "#1F7AB8", "#004F90", "#0A2859")

_MOST_LABELS = 40  # along one side of a panel; of more tokens, every second or third is named
_LONGEST_LABEL = 32  # characters
_HATCH = "/////"
_ROUNDING = 1.1  # a line of small letters is wider than its outlines: each takes whole pixels

# inches
_MARGIN = 0.15
_LEGEND = 0.42
_HEADING = 0.7
_PANEL_TITLE = 0.26  # between rows: room for "layer 1, head 1"
_GAP = 0.14  # between columns
_AXIS_TITLE = 0.22


@house_style()
def draw_attention(
    maps: Mapping[str, Weights],
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    written: Sequence[str] | None = None,
    sides: Mapping[str, Sides] | None = None,
    masks: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Drawing:
    """A panel per head and a row per layer, for each kind of attention in the model.

    `maps` takes a layer's path, such as "decoder.layers.0.cross_attention", to its weights
    (H, T, S): head, query, key. Each row of a panel is one query and sums to one; a key that is
    hidden is a cell of 0, and a query that may attend to nothing is a row of 0. `masks`, (T, S),
    True = may attend, say of layers what is hidden: there the panel is hatched. Colours follow the
    square root of the weight, so that small ones can be seen. The target's tokens are those that
    the decoder reads; `written`, one for each, are those that it has to write then, and stand at
    the right. `sides` says of each layer whose tokens look and at whose they look, such as
    ("target", "source"); otherwise its path tells; where a "text" looks at itself, the source's
    tokens are its own. With `path`, the picture is written there too, as png, svg or pdf. A
    warning names the characters that no font on the system has.

    Raises ValueError for a path of another form, for weights that do not fit the tokens or are not
    weights, and for another number of tokens written than read.

    >>> weights = np.full((1, 2, 2), 0.5)
    >>> figure = draw_attention({"encoder.layers.0.self_attention": weights}, ["1", "2"], [])
    >>> [axes.get_title() for axes in figure.axes if axes.images]
    ['layer 1, head 1']
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    from viz.figure.drawing import Drawing

    tokens = {
        "source": [_label(token) for token in source_tokens],
        "target": [_label(token) for token in target_tokens],
        "written": [_label(token) for token in written or ()],
    }
    tokens["text"] = tokens["source"]
    if written is not None and len(written) != len(target_tokens):
        raise ValueError(
            f"draw_attention: {len(written)} tokens are written after {len(target_tokens)} are read"
        )
    use_fonts_for(one_line(title or ""), *(label for side in tokens.values() for label in side))
    maps = {path: _hide(weights, (masks or {}).get(path)) for path, weights in maps.items()}
    groups = _group(maps, tokens, sides or {})
    heads = _count_heads(maps)
    hides = any(np.ma.is_masked(weights) for weights in maps.values())

    # A panel grows with its tokens; then their labels shrink; then not every token has one.
    along = [tokens[side] for kind in groups for side in (kind.query, kind.key)]
    longest = max(len(side) for side in along)
    panel = min(max(1.3, 0.085 * longest), 2.2)
    cell = panel / min(longest, _MOST_LABELS)
    label_size = min(7.0, 0.8 * 72 * cell)
    label_width = _ROUNDING * max(text_width(token, label_size) for side in along for token in side)
    rotated = label_width > 0.9 * cell

    panels = heads * panel + (heads - 1) * _GAP
    left = _MARGIN + _AXIS_TITLE + label_width + 0.1
    right = _MARGIN
    if tokens["written"] and any(kind.query == "target" for kind in groups):
        written_width = _ROUNDING * max(
            text_width(token, label_size) for token in tokens["written"]
        )
        right += written_width + 0.1 + _AXIS_TITLE
    headings = max(text_width(kind.origin, 7) for kind in groups)
    width = left + max(panels + right, headings + 0.1 + _MARGIN, (4.1 if hides else 2.6) + _MARGIN)
    lines = wrap_title(title, width - left - _MARGIN)
    header = _MARGIN + TITLE_LINE * len(lines) + _LEGEND
    footer = (label_width if rotated else 0.1) + 0.1 + _AXIS_TITLE
    heights = [header] + [
        _HEADING + len(layers) * (panel + _PANEL_TITLE) - _PANEL_TITLE + footer
        for layers in groups.values()
    ]

    figure = Drawing(figsize=(width, sum(heights)))
    write_title(figure, lines, left, _MARGIN)
    bands = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights, hspace=0)[:, 0]
    colour_map = LinearSegmentedColormap.from_list("weights", WEIGHT_COLOURS)
    colours = ScalarMappable(PowerNorm(0.5, 0, 1), colour_map)
    box = left / width, 0.25 / header, 1.6 / width, 0.09 / header
    _draw_legend(bands[0], colours, box, hides)
    for band, height, (kind, layers) in zip(bands[1:], heights[1:], groups.items(), strict=True):
        _draw_heading(band, kind, left / width, 0.15 / width, 1 - 0.2 / height)
        placement = {
            "left": left / width,
            "right": (left + panels) / width,
            "bottom": footer / height,
            "top": 1 - _HEADING / height,
            "hspace": _PANEL_TITLE / panel,
            "wspace": _GAP / panel,
        }
        grid = band.subplots(len(layers), heads, squeeze=False, gridspec_kw=placement)
        _draw_weights(grid, layers, colours)
        _name_tokens(grid, kind, tokens, label_size, rotated)
        if kind.query == "target" and written:
            _name_written(grid[:, -1], tokens["written"], label_size, right - _MARGIN)

    if path is not None:
        save_figure(figure, path)
    return figure


def _hide(weights: Weights, mask: NDArray[np.bool_] | None) -> Weights:
    """Weights without those that a mask hides."""
    if mask is None or mask.all():
        return weights
    return np.ma.masked_where(np.broadcast_to(~mask, weights.shape), weights)


def _group(
    maps: Mapping[str, Weights], tokens: Mapping[str, Sequence[str]], sides: Mapping[str, Sides]
) -> dict[_Kind, dict[int, Weights]]:
    """The weights by kind and layer, in the order in which they are drawn, each one checked."""
    found: dict[_Kind, dict[int, Weights]] = {kind: {} for kind in _KINDS.values()}
    for path, weights in maps.items():
        known = kind_of(path, sides.get(path))
        if known is None:
            raise ValueError(
                f"draw_attention: {path!r} names no attention layer; expected "
                + ", ".join(f"{stack}.layers.N.{of}_attention" for stack, of in _SIDES_BY_NAME)
            )
        kind, number = known
        queries, keys = len(tokens[kind.query]), len(tokens[kind.key])
        check_weights(f"draw_attention: {path}", weights, queries, keys)
        found[kind][len(found[kind]) if number is None else number] = weights
    return {kind: dict(sorted(layers.items())) for kind, layers in found.items() if layers}


def kind_of(path: str, sides: Sides | None = None) -> tuple[_Kind, int | None] | None:
    """The kind of attention with these sides, and the number of its layer, from 0, if it has one.

    Where nobody says what the sides are, the path may tell, as in encoder.layers.0.self_attention.
    """
    match = _LAYER.fullmatch(path)
    sides = sides or (_SIDES_BY_NAME.get((match[1], match[2])) if match else None)
    numbered = _NUMBER.search(path)
    number = int(numbered[1]) if numbered else None
    return (_KINDS[sides], number) if sides in _KINDS else None


def check_weights(what: str, weights: Weights, queries: int, keys: int) -> None:
    """Refuse, with a ValueError, what would be drawn as a picture of something else."""
    if weights.ndim != 3 or 0 in weights.shape or weights.shape[1:] != (queries, keys):
        raise ValueError(
            f"{what}: {queries} query and {keys} key tokens need weights of shape "
            f"(heads, {queries}, {keys}), not {weights.shape}"
        )
    if not (weights.min() >= -1e-3 and weights.max() <= 1 + 1e-3):  # NaN fails too
        raise ValueError(
            f"{what}: weights lie between 0 and 1, these between "
            f"{weights.min():.3g} and {weights.max():.3g}; pass what softmax returned"
        )


def _count_heads(maps: Mapping[str, Weights]) -> int:
    """The one number of heads that all layers have."""
    numbers = sorted({len(weights) for weights in maps.values()})
    if len(numbers) != 1:
        raise ValueError(
            f"draw_attention: layers must have one number of heads, found {numbers or 'no layer'}"
        )
    return numbers[0]


def _label(token: str) -> str:
    """A token as a label: every character visible, and no longer than fits beside a panel."""
    token = readable(token)
    return token if len(token) <= _LONGEST_LABEL else token[: _LONGEST_LABEL - 1] + "…"


def _draw_weights(
    grid: NDArray[np.object_], layers: Mapping[int, Weights], colours: ScalarMappable
) -> None:
    """Fill a kind's panels: a row per layer, a column per head, both counted from 1."""
    for row, (layer, weights) in zip(grid, layers.items(), strict=True):
        for head, axes in enumerate(row):
            axes.imshow(weights[head], colours.cmap, colours.norm, aspect="auto")
            axes.patch.set(hatch=_HATCH, edgecolor=PALE, linewidth=0)  # where a weight is hidden
            axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=6.5, pad=3)
            axes.set(xticks=[], yticks=[])


def _name_tokens(
    grid: NDArray[np.object_],
    kind: _Kind,
    tokens: Mapping[str, Sequence[str]],
    size: float,
    rotated: bool,
) -> None:
    """Write the queries beside the left column and the keys under the bottom row."""
    for axes in grid[:, 0]:
        axes.set_yticks(**_ticks(tokens[kind.query]), fontsize=size)
    for axes in grid[-1]:
        axes.set_xticks(**_ticks(tokens[kind.key]), fontsize=size)
        for label in axes.get_xticklabels():
            label.set_rotation(90 if rotated and len(label.get_text()) > 1 else 0)
    grid[-1, 0].set_xlabel(f"key: {_SIDES[kind.key]}", fontsize=7)
    grid[-1, 0].set_ylabel(f"query: {_SIDES[kind.query]}", fontsize=7)


def _name_written(
    column: NDArray[np.object_], tokens: Sequence[str], size: float, width: float
) -> None:
    """Write what the decoder has to write beside the right column, `width` inches wide."""
    for axes in column:
        for place, token in zip(*_every_nth(tokens), strict=True):
            axes.annotate(
                token,
                xy=(1, place),
                xycoords=axes.get_yaxis_transform(),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=size,
                va="center_baseline",
                color=GREY,
                parse_math=False,
            )
    column[-1].annotate(
        "to write",
        xy=(1, 0.5),
        xycoords="axes fraction",
        xytext=(72 * (width - 0.03), 0),
        textcoords="offset points",
        fontsize=7,
        ha="right",
        va="center",
        rotation=90,
        color=GREY,
    )


def _every_nth(tokens: Sequence[str]) -> tuple[range, Sequence[str]]:
    """The places and tokens along a side that are named."""
    step = math.ceil(len(tokens) / _MOST_LABELS)
    return range(0, len(tokens), step), tokens[::step]


def _ticks(tokens: Sequence[str]) -> dict[str, Any]:
    """What `set_xticks` and `set_yticks` take to name the tokens along a side."""
    ticks, labels = _every_nth(tokens)
    return {
        "ticks": ticks,
        "labels": labels,
        "parse_math": False,  # a token may hold dollar signs
    }


def _draw_heading(band: SubFigure, kind: _Kind, left: float, indent: float, top: float) -> None:
    """Name a kind of attention, in bold, after a square in its colour."""
    band.text(left, top, "■", color=kind.accent, fontsize=10, va="center")
    band.text(left + indent, top, kind.heading, fontsize=10, va="center", weight="bold")
    below = top - 0.17 / float(band.bbox.height / band.figure.dpi)
    band.text(left, below, kind.origin, fontsize=7, va="center", color=GREY)


def _draw_legend(
    band: SubFigure,
    colours: ScalarMappable,
    box: tuple[float, float, float, float],
    hides: bool,
) -> None:
    """Draw the one colour bar that holds for every panel, and what marks a hidden weight."""
    from matplotlib.patches import Rectangle

    axes = band.add_axes(box)
    ticks = [0, 0.1, 0.25, 0.5, 1]
    bar = band.colorbar(colours, axes, orientation="horizontal", ticks=ticks, format="{x:g}")
    bar.minorticks_off()
    axes.tick_params(labelsize=6.5, length=2, pad=2)
    axes.text(1.08, 0.5, "attention weight", fontsize=7, va="center", transform=axes.transAxes)
    if hides:
        swatch: Any = {"facecolor": "none", "edgecolor": GREY, "linewidth": 0.5, "clip_on": False}
        axes.add_patch(
            Rectangle((1.75, 0), 0.1, 1, transform=axes.transAxes, hatch=_HATCH, **swatch)
        )
        axes.text(1.9, 0.5, "hidden by the mask", fontsize=7, va="center", transform=axes.transAxes)
