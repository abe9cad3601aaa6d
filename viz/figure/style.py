"""The style that every matplotlib picture shares: colours, fonts, titles, and how it is written.

Matplotlib is imported where it draws: it costs 0.4 s, which a command that draws nothing should
not pay. Figures are built without pyplot, so nothing needs a display and nothing is kept globally.
"""

from __future__ import annotations

import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minigrad.files import write_atomically
from viz.figure.characters import fonts_for, one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too, and three greys.
BLUE, GREEN, VERMILION, PURPLE = "#0072B2", "#009E73", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#22272E", "#5B6470", "#D5DAE0"

TITLE_SIZE = 11.0  # points
TITLE_LINE = 0.22  # inches from one line of a title to the next

_LONGEST_TITLE = 300  # characters

# The first that is installed sets the text; those after it lend the characters it lacks.
_FONTS = (
    "Helvetica", "Arial", "DejaVu Sans", "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei",
)  # fmt: skip

PICTURES = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""What a figure is written as, each without the stamp (a date, a version) that would make two
writings differ."""


@contextmanager
def house_style() -> Iterator[None]:
    """The look of every picture: matplotlib's defaults, whatever the reader's own, and a few ours.

    Naming a font that is not installed would make matplotlib warn, so only installed ones are.
    """
    import matplotlib.style

    ours = {
        "font.family": installed_fonts(),
        "text.color": INK,
        "axes.edgecolor": PALE,
        "axes.labelcolor": GREY,
        "axes.linewidth": 0.6,
        "xtick.color": PALE,
        "ytick.color": PALE,
        "xtick.labelcolor": GREY,
        "ytick.labelcolor": GREY,
        "figure.dpi": 150,
        "svg.hashsalt": "viz",  # element ids are random without it
    }
    with warnings.catch_warnings(), matplotlib.style.context(ours, after_reset=True):
        warnings.filterwarnings("ignore", r"Glyph \d+ ")  # `use_fonts_for` has said so
        yield


def installed_fonts() -> list[str]:
    """Those of our fonts that this system has."""
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return [font for font in _FONTS if font in installed]


def use_fonts_for(*texts: str) -> None:
    """Inside `house_style`: let all fonts of the system lend the characters that ours lack."""
    import matplotlib

    matplotlib.rcParams["font.family"] = fonts_for(texts, installed_fonts())


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format of the path's suffix: the whole file, or the old one untouched.

    The same figure gives the same bytes. Raises ValueError for a suffix that is no known format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise ValueError(
            f"{path}: cannot draw {suffix or 'a file without suffix'}; "
            f"the possible ones are {', '.join(PICTURES)}"
        )
    with house_style():
        write_atomically(
            path,
            lambda file: figure.savefig(file, format=suffix[1:], metadata=PICTURES[suffix]),
        )


def text_width(text: str, size: float) -> float:
    """How wide a line of text is, in inches, when set at `size` points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size), ismath=False
    )
    return float(width) / 72


def wrap_title(title: str | None, width: float) -> list[str]:
    """A title as lines of at most `width` inches: none for no title; a very long one is cut.

    A line does not begin with a full stop, or any sign, that stands by itself.
    """
    title = one_line(title or "")
    if not title:
        return []
    if len(title) > _LONGEST_TITLE:
        title = f"{title[: _LONGEST_TITLE - 1]}…"
    fitting = 0.9 * len(title) * width / text_width(title, TITLE_SIZE)
    bound = re.sub(r" (?=[^\w\s](?: |$))", "\N{NO-BREAK SPACE}", title)
    lines = textwrap.wrap(bound, max(1, int(fitting)))
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def write_title(figure: Figure, lines: list[str], left: float, top: float) -> None:
    """Set a title's lines, `left` and `top` inches from the figure's corner."""
    width, height = figure.get_size_inches()
    for number, line in enumerate(lines):
        y = 1 - (top + number * TITLE_LINE) / height
        figure.text(left / width, y, line, fontsize=TITLE_SIZE, va="top", parse_math=False)
