"""Norms: which numbers share a mean, gradients by layer, and trainings side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minitransformer.studies import Finding
from minitransformer.studies.averages import SHOWN
from viz.figure.panels import label_end, name_panel, panels, plot_band
from viz.figure.style import BLUE, GREY, INK, VERMILION, house_style

if TYPE_CHECKING:
    from minigrad.tensor import Array
    from viz.figure.drawing import Drawing

COLOURS = {"pre": BLUE, "post": VERMILION}
DARK = 1.8
"""The size of numbers whose colour is so dark that they are written in white."""

SMOOTHED = 10
"""Steps over which a loss is averaged."""

NEAR = 0.4
"""Losses whose names would touch."""

CHOSEN = 1, 1, 2
"""The sentence, the place and the feature of the number whose mean is shown."""


@house_style()
def draw(finding: Finding) -> dict[str, Drawing]:
    """A picture of each part of the study."""
    return {
        "averages.png": draw_averages(finding),
        "gradients.png": draw_gradients(finding),
        "curves.png": draw_curves(finding),
    }


def draw_averages(finding: Finding) -> Drawing:
    """The activations of three sentences, twice: bright are the numbers that share a mean with the
    one that is framed."""
    x, known = finding.arrays["shown"], finding.arrays["known"]
    count, places, features = x.shape
    figure, axes = panels(
        "What shares a mean with the framed number: for layer norm its place, for batch norm its "
        "feature, in all sentences and in the padding too",
        2, count, (0.3 * features, 0.3 * places), left=1.3, right=0.3, gaps=(0.75, 0.75),
    )  # fmt: skip
    sentence, place, feature = CHOSEN
    layer, batch = np.zeros(x.shape, bool), np.zeros(x.shape, bool)
    layer[sentence, place], batch[:, :, feature] = True, True
    for row, name, shared in zip(axes, ("layer norm", "batch norm"), (layer, batch), strict=True):
        for i, each in enumerate(row):
            draw_block(each, x[i], shared[i])
            words = [*SHOWN[i].split(), *["(padding)"] * int((~known[i]).sum())]
            each.set_yticks(range(places), words, fontsize=7)
            each.set_xticks(range(features), range(1, features + 1), fontsize=7)
            name_panel(each, f"{name}, sentence {i + 1}", "feature")
        mean = f"{x[shared].mean():.2f}".replace("-", "−")
        row[0].set_ylabel(f"{shared.sum()} numbers, mean {mean}", fontsize=8, color=INK)
        outline(row[sentence], feature, place)
    return figure


def draw_block(axes: Any, numbers: Array, shared: Array) -> None:
    """The numbers of a sentence, (S, D), each written; pale where it is not `shared`."""
    axes.grid(False)
    axes.imshow(numbers, "PuOr", vmin=-3, vmax=3, alpha=np.where(shared, 1.0, 0.12), aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        is_dark = shared[row, column] and abs(number) > DARK
        axes.text(
            column, row, f"{number + 0.0:.1f}".replace("-0.0", "0.0").replace("-", "−"),
            fontsize=7.5, ha="center", va="center",
            color="white" if is_dark else INK if shared[row, column] else GREY,
        )  # fmt: skip


def outline(axes: Any, column: int, row: int) -> None:
    """Frame a number."""
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=INK, linewidth=1.6)
    )


def draw_gradients(finding: Finding) -> Drawing:
    """The gradient of each layer: the median of the seeds, in a band from least to most."""
    from matplotlib.ticker import StrMethodFormatter

    figure, ((axes,),) = panels("How strongly each layer is told to change, before training")
    name_panel(axes, "gradient of the feed-forward weights (logarithmic)", "layer")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    axes.tick_params(which="minor", labelsize=8)
    for norm, colour in COLOURS.items():
        norms = finding.arrays[norm]
        layers = np.arange(1, norms.shape[1] + 1)
        plot_band(axes, layers, norms, colour, median=True)
        label_end(axes, layers[-1], np.median(norms[:, -1]), f"{norm}-norm", colour)
    axes.set_xticks(layers)
    return figure


def draw_curves(finding: Finding) -> Drawing:
    """The loss of every training: a panel for each depth and each warm-up."""
    trainings = finding.numbers["trainings"]
    depths, warmups = (sorted({each[name] for each in trainings}) for name in ("layers", "warmup"))
    figure, axes = panels(
        "Norms before sublayers (pre) and after them (post): each line is a training",
        len(depths), len(warmups), (3.2, 1.9), right=0.95, gaps=(1.0, 0.6),
        sharex=True, sharey=True,
    )  # fmt: skip
    for row, depth in zip(axes, depths, strict=True):
        for each, warmup in zip(row, warmups, strict=True):
            warm = f"warm-up of {warmup} steps" if warmup > 1 else "no warm-up"
            x, y = "step" * (depth == depths[-1]), "loss" * (each is row[0])
            name_panel(each, f"{depth} layers, {warm}", x, y)
            own = {
                norm: [
                    smooth(x["losses"])
                    for x in trainings
                    if (x["norm"], x["layers"], x["warmup"]) == (norm, depth, warmup)
                    and x["losses"]
                ]
                for norm in COLOURS
            }
            draw_losses(each, own)
    return figure


def draw_losses(axes: Any, losses: dict[str, list[tuple[Array, Array]]]) -> None:
    """The lines of each norm, and where the middle one ends."""
    ends = []
    for norm, lines in losses.items():
        for steps, means in lines:
            axes.plot(steps, means, color=COLOURS[norm], linewidth=1.0, alpha=0.8)
        if lines:
            end = float(np.median([means[-1] for _, means in lines]))
            ends.append((end, max(steps[-1] for steps, _ in lines), norm))
    are_near = len(ends) > 1 and abs(ends[0][0] - ends[-1][0]) < NEAR
    for (end, step, norm), shift in zip(sorted(ends), (-5, 5), strict=False):
        label_end(axes, step, end, f"{norm} {end:.2f}", COLOURS[norm], shift if are_near else 0)


def smooth(losses: list[float]) -> tuple[Array, Array]:
    """(steps, means): each loss as the mean of the few before it."""
    width = min(SMOOTHED, len(losses))
    means = np.convolve(losses, np.full(width, 1 / width), "valid")
    return np.arange(width, len(losses) + 1), means
