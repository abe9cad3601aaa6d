"""Learning curves: the loss, and what else was measured: accuracy, or bits per character."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from viz.figure.characters import one_line
from viz.figure.panels import label_ends
from viz.figure.style import (
    BLUE,
    GREEN,
    PALE,
    TITLE_LINE,
    VERMILION,
    house_style,
    save_figure,
    use_fonts_for,
    wrap_title,
    write_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from viz.figure.drawing import Drawing

Point = tuple[float, float]  # (step, value)

# Blue is what was trained on, whatever is measured.
ACCURACIES = {
    "exact_match": (VERMILION, "exact match"),
    "accuracy": (VERMILION, "accuracy"),
    "token_accuracy": (GREEN, "token accuracy"),
    "training_exact_match": (BLUE, "in training"),
    "training_accuracy": (BLUE, "in training"),
    "masked_accuracy": (VERMILION, "masked tokens"),
    "training_masked_accuracy": (BLUE, "in training"),
}

_PANEL = 1.75  # inches, the height of each panel of a learning curve


@house_style()
def draw_curve(
    records: Sequence[Mapping[str, float]],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Drawing:
    """A run's learning curve: the loss, and below it what tells how good the model was, and when.

    `records` are the lines of a run's `metrics.jsonl`: each has "step" and "loss"; those of an
    evaluation also have "held_out_loss", and "exact_match", "token_accuracy" and
    "training_exact_match", or "accuracy" and "training_accuracy", from 0 to 1; or
    "bits_per_character" and "training_bits_per_character", which are then shown without
    accuracies. The loss is on a logarithmic scale when it spans more than 1.5 decades; what is not
    finite is left out. With `path`, the picture is written there too, as png, svg or pdf.

    Raises ValueError when no record has a finite loss.

    >>> figure = draw_curve([{"step": 1, "loss": 2.3}, {"step": 2, "loss": 0.7}])
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['Loss']
    """
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    from viz.figure.drawing import Drawing

    use_fonts_for(one_line(title or ""))
    loss = _points(records, "loss")
    if not loss:
        raise ValueError("draw_curve: no record has a finite loss, so there is no curve to draw")
    held_out = _points(records, "held_out_loss")
    bits = _points(records, "bits_per_character")
    accuracies = {key: points for key in ACCURACIES if (points := _points(records, key))}

    # Inches; the right margin takes the values at the ends of the lines.
    width, left, right, bottom, gap = 7.2, 0.75, 1.65, 0.55, 0.5
    lines = wrap_title(title, width - 2 * left)
    top = 0.45 + TITLE_LINE * len(lines)
    panels = 2 if bits or accuracies else 1
    height = top + panels * _PANEL + (panels - 1) * gap + bottom
    placement = {
        "left": left / width,
        "right": 1 - right / width,
        "bottom": bottom / height,
        "top": 1 - top / height,
        "hspace": gap / _PANEL,
    }

    figure = Drawing(figsize=(width, height))
    write_title(figure, lines, left, 0.12)
    column = figure.subplots(panels, sharex=True, squeeze=False, gridspec_kw=placement)[:, 0]
    for axes in column:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=PALE, linewidth=0.5)
        axes.tick_params(labelsize=8)
    lowest = column[-1]
    lowest.set_xlim(0, max(1, *(record["step"] for record in records)))
    lowest.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    lowest.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    lowest.set_xlabel("step", fontsize=8)

    _draw_loss(column[0], loss, held_out)
    if bits:
        _draw_bits(column[1], _points(records, "training_bits_per_character"), bits)
    elif accuracies:
        _draw_accuracies(column[1], accuracies)
    if path is not None:
        save_figure(figure, path)
    return figure


def _points(records: Sequence[Mapping[str, float]], key: str) -> list[Point]:
    """The steps at which a quantity was recorded and is finite, with its values."""
    return [
        (record["step"], record[key])
        for record in records
        if math.isfinite(record.get(key, math.nan))
    ]


def _draw_loss(axes: Axes, training: list[Point], held_out: list[Point]) -> None:
    """Draw the loss in training, and the one on held-out examples, on the scale they ask for."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    values = [value for _, value in training + held_out]
    logarithmic = min(values) > 0 and math.log10(max(values) / min(values)) > 1.5
    axes.set_yscale("log" if logarithmic else "linear")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Loss (logarithmic)" if logarithmic else "Loss", loc="left", fontsize=9)
    if held_out:
        _draw_both(axes, training, held_out)
    else:
        _draw_lines(axes, [(training, BLUE, f"{training[-1][1]:.3g}")])


def _draw_bits(axes: Axes, training: list[Point], held_out: list[Point]) -> None:
    """Draw how many bits a character of unseen text takes, and one of text that is trained on."""
    axes.set_title("Bits per character", loc="left", fontsize=9)
    _draw_both(axes, training, held_out)


def _draw_both(axes: Axes, training: list[Point], held_out: list[Point]) -> None:
    """Draw what was found in training, if anything was, and on held-out examples."""
    lines = [(training, BLUE, "in training"), (held_out, VERMILION, "held out")]
    told = [
        (points, colour, f"{name} {points[-1][1]:.3g}") for points, colour, name in lines if points
    ]
    _draw_lines(axes, told)


def _draw_accuracies(axes: Axes, accuracies: Mapping[str, list[Point]]) -> None:
    """Draw shares: of held-out examples, and beside them of some that are trained on."""
    from matplotlib.ticker import PercentFormatter

    axes.set_ylim(-0.05, 1.05)  # a label at 0 % stays clear of the steps below it
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    measures = [key.removeprefix("training_") for key in accuracies if key.startswith("training_")]
    beside = f" (blue: {measures[0].replace('_', ' ')} in training)" if measures else ""
    axes.set_title(f"Accuracy on unseen examples{beside}", loc="left", fontsize=9)
    _draw_lines(
        axes,
        [
            (points, ACCURACIES[key][0], f"{ACCURACIES[key][1]} {percent(points[-1][1])}")
            for key, points in accuracies.items()
        ],
    )


def _draw_lines(axes: Axes, lines: Sequence[tuple[list[Point], str, str]]) -> None:
    """Draw values against steps, each with its colour, a dot at the last, and a text beside it."""
    for points, colour, _ in lines:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, linewidth=1.4, clip_on=False)
        axes.plot(steps[-1], values[-1], "o", color=colour, markersize=4, clip_on=False)
    label_ends(axes, [(points[-1][1], text, colour) for points, colour, text in lines], 8)


def amount(metric: str, value: float) -> str:
    """What a metric is, to be read: a share in per cent, and bits as a number."""
    return percent(value) if metric in ACCURACIES else f"{value:.3f}"


def percent(share: float) -> str:
    """A share in per cent; only a perfect one is rounded to 100."""
    return "100 %" if share >= 1 else f"{100 * min(share, 0.999):.1f} %"
