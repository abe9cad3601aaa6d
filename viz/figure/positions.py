"""Positions: the vectors of places, waves and how they turn, how alike places are, and what a
model loses that is told none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.tensor import Array
from minitransformer.studies import Finding
from viz.figure.panels import name_panel, panels
from viz.figure.plots import percent
from viz.figure.style import BLUE, GREY, INK, PALE, VERMILION, house_style

if TYPE_CHECKING:
    from viz.figure.drawing import Drawing

PAIRS = 4
"""Of columns whose waves are drawn, and turned."""

STARTS, SHIFT = (0, 5), 3
"""Two places, and how far it is to those that they are turned to."""


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """The pictures, by the names of their files."""
    return {
        "positions.png": draw_table(finding),
        "waves.png": draw_waves(finding),
        "rotation.png": draw_rotation(finding),
        "distance.png": draw_distance(finding),
        "without.png": draw_loss(finding),
    }


def draw_table(finding: Finding) -> Drawing:
    """A row for the place of each word: waves, and below them one-hot vectors."""
    from matplotlib.colors import LinearSegmentedColormap

    table, words = finding.arrays["table"], finding.numbers["words"]
    rows, columns = table.shape
    size = 6.4, max(1.0, 0.22 * rows)
    title = "What tells a word its place: waves, or a column for each place"
    figure, axes = panels(title, 2, 1, size, left=1.2, right=0.9, sharex=True)
    name_panel(axes[0, 0], "sinusoidal: a sine and a cosine of each wave, fast ones to the left")
    name_panel(axes[1, 0], "one-hot: 1000…, 0100…, 0010…: no column has two places", "column")
    colours = LinearSegmentedColormap.from_list("signs", [VERMILION, "white", BLUE])
    for each, shown in zip(axes[:, 0], (table, np.eye(rows, columns)), strict=True):
        each.grid(False)
        image = each.imshow(shown, colours, vmin=-1, vmax=1, aspect="auto")
        each.set_yticks(range(rows), [f"{word}  {place}" for place, word in enumerate(words)])
        bar = figure.colorbar(image, ax=each, fraction=0.03, pad=0.02, ticks=[-1, 0, 1])
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8)
    return figure


def draw_waves(finding: Finding) -> Drawing:
    """Pairs of columns along the places, from the fastest wave to slow ones."""
    waves = finding.arrays["waves"]
    title = f"Columns of the table along {len(waves)} places: a sine and a cosine, ever slower"
    figure, axes = panels(title, PAIRS, 1, (6.4, 0.75), right=0.4, gaps=(0.75, 0.35), sharex=True)
    for each, column in zip(axes[:, 0], shown_columns(waves.shape[1]), strict=True):
        name_panel(each, f"columns {column} and {column + 1}")
        each.plot(waves[:, column], color=BLUE, linewidth=1.2)
        each.plot(waves[:, column + 1], color=VERMILION, linewidth=1.2)
        each.set_ylim(-1.15, 1.15)
        each.set_xlim(0, len(waves) - 1)
    axes[-1, 0].set_xlabel("place (blue: the sine, red: the cosine)", fontsize=8)
    return figure


def draw_rotation(finding: Finding) -> Drawing:
    """Pairs of columns as points on circles: moving on by some places is one angle, anywhere."""
    waves = finding.arrays["waves"]
    title = (
        f"To move on by {SHIFT} places turns each pair of columns by an angle of its own, "
        f"the same from place {STARTS[0]} as from place {STARTS[1]}"
    )
    figure, axes = panels(
        title, 1, PAIRS, (1.9, 1.9), left=0.3, right=0.3, bottom=0.1, gaps=(0.25, 0.6)
    )
    for each, column in zip(axes[0], shown_columns(waves.shape[1]), strict=True):
        turn_pair(each, waves[: STARTS[-1] + SHIFT + 1, column : column + 2], column)
    return figure


def turn_pair(axes: Any, pair: Array, column: int) -> None:
    """The places on a circle, the cosine to the right and the sine upward, and two turns."""
    y, x = pair.T
    angle = np.arctan2(y[1], x[1])
    axes.set_title(f"columns {column}, {column + 1}: {np.degrees(SHIFT * angle):.0f}°", fontsize=9)
    axes.axis("off")
    axes.set(xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), aspect="equal")
    around = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(around), np.sin(around), color=PALE, linewidth=0.8)
    for start, colour, radius in zip(STARTS, (BLUE, VERMILION), (0.86, 0.7), strict=True):
        turned = np.linspace(start, start + SHIFT, 60) * angle
        axes.plot(radius * np.cos(turned), radius * np.sin(turned), color=colour, linewidth=2.2)
        for place in (start, start + SHIFT):
            axes.plot([0, x[place]], [0, y[place]], color=colour, linewidth=0.5)
    axes.plot(x, y, "o", color=GREY, markersize=2.5)
    ends = [place for start in STARTS for place in (start, start + SHIFT)]
    named: list[int] = []
    for place in sorted(range(len(x)), key=lambda place: place not in ends):
        if all(np.hypot(x[place] - x[z], y[place] - y[z]) > 0.16 for z in named):
            named.append(place)  # on slow pairs numbers would cover each other
            axes.text(
                1.18 * x[place],
                1.18 * y[place],
                str(place),
                color=INK if place in ends else GREY,
                fontsize=7,
                ha="center",
                va="center",
            )


def shown_columns(width: int) -> list[int]:
    """The first columns of some pairs: their waves are as long as 6, 20, 63 and 199 places.

    >>> shown_columns(64)
    [0, 8, 16, 24]
    """
    return [2 * (width * pair // 16) for pair in range(PAIRS)]


def draw_distance(finding: Finding) -> Drawing:
    """How alike the vectors of two places are, by their distance: a panel for each kind."""
    from matplotlib.ticker import MaxNLocator

    alike = {
        name.removeprefix("alike: "): x
        for name, x in finding.arrays.items()
        if name.startswith("alike: ")
    }
    title = "How alike two places are, by the distance between them"
    ours = ("sinusoidal", "one-hot", "drawn at random", "learned", "rotary")
    shown = {
        "sinusoidal": ["sinusoidal"],
        "one-hot, and drawn at random": ["one-hot", "drawn at random"],
        "learned by a model that copies": [x for x in alike if x.startswith("learned")],
        "rotary: query · key, both turned": [x for x in alike if x.startswith("rotary")],
        **{f"learned by {x}": [x] for x in alike if not x.startswith(ours)},
    }
    rows = (len(shown) + 1) // 2
    figure, axes = panels(title, rows, 2, (3.6, 1.8), right=0.3, gaps=(0.45, 0.75), sharey=True)
    for unused in axes.flat[len(shown) :]:
        unused.remove()
    for each, (name, lines) in zip(axes.flat, shown.items(), strict=False):
        name_panel(each, name, "distance", "cosine" if each in axes[:, 0] else "")
        for line, colour in zip(lines, (BLUE, VERMILION), strict=False):
            plot_with_spread(each, alike[line], colour, line)
        each.set_xlim(0, alike[lines[0]].shape[1] - 1)
        each.set_ylim(-0.8, 1.2)
        each.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if len(lines) > 1:
            each.legend(fontsize=7, frameon=False, loc="upper right", ncols=2, borderpad=0)
    return figure


def plot_with_spread(axes: Any, rows: Array, colour: str, name: str) -> None:
    """The mean of some rows as a line, in a band in which nine of ten lie."""
    low, high = np.percentile(rows, (5, 95), axis=0)
    places = np.arange(rows.shape[1])
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(places, rows.mean(axis=0), color=colour, linewidth=1.4, label=name)


def draw_loss(finding: Finding) -> Drawing:
    """What is right on held-out sequences, with each kind of positions and with none."""
    from matplotlib.ticker import PercentFormatter

    groups = {
        task: {
            name.removeprefix(f"{task}: "): x
            for name, x in finding.arrays.items()
            if name.startswith(f"{task}: ")
        }
        for task in ("copy", "sort")
    }
    title = "What a model that copies, or sorts, loses without positions"
    figure, axes = panels(title, 1, 2, (3.6, 2.2), right=0.4, sharey=True)
    for each, (task, kinds) in zip(axes[0], groups.items(), strict=True):
        name_panel(each, f"{task}: held-out sequences")
        for place, x in enumerate(kinds.values()):
            right, symbols, _ = x.mean(axis=0)
            each.bar(place, symbols, 0.7, color=PALE, label="right symbols, in any order")
            each.bar(place, right, 0.7, color=BLUE, label="exactly right")
            spread = place + np.linspace(-0.2, 0.2, len(x) + 2)[1:-1]
            each.plot(spread, x[:, 0], "o", color=INK, markersize=2.5, label="each seed")
            top = x[:, 0].max() + 0.04
            each.text(place, top, percent(right), fontsize=8, ha="center")
        guess = kinds["none"][:, 2].mean()
        label = f"guess of the order: {percent(guess)}"
        each.axhline(guess, color=VERMILION, linewidth=1.2, linestyle="--", label=label)
        each.set_xticks(range(len(kinds)), [*kinds])
        each.set(xlim=(-0.6, 3.6), ylim=(0, 1.12), axisbelow=True)
        each.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    handles, labels = axes[0, 1].get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    axes[0, 1].legend(named.values(), named, fontsize=7, frameon=False, loc="center right")
    return figure
