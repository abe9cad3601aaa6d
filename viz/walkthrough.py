"""Steps of a computation in the terminal: tables with words at their sides, tinted by size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minitransformer.inside.by_hand import Matrix, Step
from viz.figure.characters import readable

if TYPE_CHECKING:
    from rich.text import Text

WHOLE, CORNER = 16, 6
"""Numbers of a vector up to which all are shown, and how many of a longer one are."""

INDENT, GAP = 3, 3  # characters before a step's tables, and between them
LABEL = 14  # characters of a word at the side of a table, at most
POSITIVE, NEGATIVE = (0, 114, 178), (213, 94, 0)  # as in page.css


class Shown(NamedTuple):
    """The part of a matrix that is shown, what stands at its sides, and a line about the rest."""

    values: NDArray[Any]
    rows: list[str]
    columns: list[str]
    rest: str


def shown(matrix: Matrix) -> Shown:
    """A matrix, of whose long vectors only the first numbers are left."""
    values = matrix.values
    sides: list[list[str]] = []
    rests: list[str] = []
    for axis, names in enumerate((matrix.rows, matrix.columns)):
        count = matrix.values.shape[axis]
        if names is None:
            kept = count if count <= WHOLE else CORNER
            values = values.take(range(kept), axis)
            names = [str(number) for number in range(1, kept + 1)]
            if kept < count:
                rests.append(f"{'rows' if axis == 0 else 'numbers'} 1 to {kept} of {count:,}")
        sides.append([readable(name) for name in names])
    return Shown(values, sides[0], sides[1], ", ".join(rests))


def title_of(matrix: Matrix, sentences: int, heads: int) -> str:
    """What a matrix is called among those of other sentences and heads."""
    parts = [matrix.name]
    if matrix.sentence is not None and sentences > 1:
        parts.append(f"sentence {matrix.sentence + 1}")
    if matrix.head is not None and heads > 1:
        parts.append(f"head {matrix.head + 1}")
    return " · ".join(parts)


def decimals(values: NDArray[Any]) -> int:
    """The decimals that numbers are written with: as few as say them in full, or two, or as many as
    leave the largest with three digits.

    >>> decimals(np.array([0.7, 0.25])), decimals(np.array([1 / 3])), decimals(np.array([100 / 3]))
    (2, 3, 2)
    """
    finite = values[np.isfinite(values)].astype(float)
    most = float(np.abs(finite).max(initial=0))
    needed = 3 - math.ceil(math.log10(most) + 1e-9) if most else 0
    needed = min(max(needed, 2), 6)
    enough = (d for d in range(needed) if np.abs(finite.round(d) - finite).max() < 1e-9)
    return next(enough, needed)


def written(x: float, places: int) -> str:
    """A number, with a proper minus."""
    if math.isinf(x):
        return "−∞" if x < 0 else "∞"
    text = f"{x:.{places}f}" if abs(x) < 1e6 else f"{x:.2e}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def tint(x: float, most: float) -> str:
    """A style: the colour by the sign, its strength by the root of the size."""
    strength = math.sqrt(min(1.0, abs(x) / most)) if most and math.isfinite(x) else 0.0
    if strength < 0.25:
        return ""
    parts = POSITIVE if x > 0 else NEGATIVE
    red, green, blue = (round(255 - 0.6 * strength * (255 - part)) for part in parts)
    return f"black on rgb({red},{green},{blue})"


def print_steps(steps: Sequence[Step]) -> None:
    """Print steps: what each does in a sentence, its formula, and its tables, side by side as far
    as the terminal is wide."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False, markup=False, emoji=False)
    sentences, heads = counts(steps)
    room = console.width - INDENT

    def tell(what: str, style: str | None = None) -> None:
        console.print(Padding(what, (0, 0, 0, INDENT), expand=False), style=style)

    part = ""
    for number, step in enumerate(steps, 1):
        if step.part != part:
            part = step.part
            console.rule(f"Self-attention {part}", style="dim")
        console.print(f"\n{number}  {step.title}", style="bold")
        tell(step.sentence)
        if step.formula:
            tell(step.formula, "cyan")
        blocks = [
            block
            for matrix in step.matrices
            if matrix.how != "same"  # there is nothing new to see
            for block in blocks_of(matrix, title_of(matrix, sentences, heads), room)
        ]
        for line in side_by_side(blocks, room):
            console.print(" " * INDENT * bool(line), line, sep="", soft_wrap=True)
        if step.notes:
            console.print()
        for note in step.notes:
            tell(note)
    console.print()


def counts(steps: Sequence[Step]) -> tuple[int, int]:
    """How many sentences and heads there are."""
    matrices = [matrix for step in steps for matrix in step.matrices]
    found = ({x.sentence for x in matrices}, {x.head for x in matrices})
    sentences, heads = (len(numbers - {None}) for numbers in found)
    return sentences, heads


def blocks_of(matrix: Matrix, title: str, room: int) -> Iterator[list[Text]]:
    """A matrix as the lines of a table, or of several, each with some of its columns, where it is
    too wide."""
    from rich.cells import cell_len
    from rich.text import Text

    values, rows, columns, rest = shown(matrix)
    places = decimals(values)
    texts = [[written(float(x), places) for x in row] for row in values]
    tinted = len(columns) - (matrix.how == "powers")  # the sums at the end have no tint
    sizes = np.abs(values[:, :tinted])
    most = float(sizes[np.isfinite(sizes)].max(initial=0))
    names, sides = [cut(name) for name in columns], [cut(name) for name in rows]
    side = max(map(cell_len, sides))
    widths = [max(map(cell_len, column)) for column in zip(names, *texts, strict=True)]

    def padded(text: str, width: int, style: str = "") -> Text:
        return Text.assemble(" " * (1 + width - cell_len(text)), (text, style))

    for first, last in runs([width + 1 for width in widths], room - side):
        here = range(first, last)
        part = "" if last - first == len(names) else f" · from {names[first]} to {names[last - 1]}"
        lines = [Text(line, "bold") for line in wrap(title + part, room)]
        head = [padded(names[j], widths[j], "dim") for j in here]
        lines.append(Text.assemble(" " * side, *head))
        for name, numbers, row in zip(sides, texts, values, strict=True):
            tints = [tint(float(row[j]), most) if j < tinted else "" for j in here]
            cells = [padded(numbers[j], widths[j], tints[j - first]) for j in here]
            lines.append(Text.assemble(name + " " * (side - cell_len(name)), *cells))
        yield [*lines, *(Text(line, "dim") for line in wrap(rest, room))]


def cut(name: str) -> str:
    """A word, short enough for the side of a table."""
    return name if len(name) <= LABEL else f"{name[: LABEL - 1]}…"


def runs(widths: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """From which to which things of these widths fill a line, or the next one."""
    first, used = 0, 0
    if not widths:
        return
    for place, width in enumerate(widths):
        if used + width > room and place > first:
            yield first, place
            first, used = place, 0
        used += width
    yield first, len(widths)


def side_by_side(blocks: Sequence[list[Text]], room: int) -> Iterator[Text]:
    """Blocks of lines as lines, as many blocks beside each other as there is room; before each row
    of blocks an empty line."""
    from rich.text import Text

    widths = [max(line.cell_len for line in block) + GAP for block in blocks]
    for first, last in runs(widths, room + GAP):
        yield Text()
        row, wide = blocks[first:last], widths[first:last]
        for number in range(max(map(len, row))):
            line = Text()
            for block, start in zip(row, np.cumsum([0, *wide[:-1]]), strict=True):
                if number < len(block):
                    line.append(" " * (int(start) - line.cell_len))
                    line.append_text(block[number])
            yield line
