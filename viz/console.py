"""What the commands print: tables, progress, shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from viz.figure.plots import amount, percent

if TYPE_CHECKING:
    from minigrad.why import Explanation
    from minitransformer.studies import Finding
    from minitransformer.tokens import Tokeniser
    from minitransformer.training import Record, Trainer

PATIENCE = 30.0
"""Seconds in which training may say nothing."""

FEW = 12  # tensors, which are all listed: of more, only what is remarkable
NARROWEST = 16  # characters for the first column of a table
COLOURS = "black on #9fd3e8", "black on #f3d08b"  # of neighbouring tokens
SENTENCE = 32  # for the last one, which may hold words that take several lines


def plain_console() -> Any:
    """A rich console that prints lines as they are."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def preparation() -> Iterator[None]:
    """A block in which what takes long is shown: as a live bar in a terminal, elsewhere as a line
    now and then."""
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

    from minitransformer.progress import heard_by

    console = plain_console()
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
        console=console, disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        bars: dict[str, TaskID] = {}
        spoken = time.monotonic()

        def show(what: str, done: int, total: int) -> None:
            nonlocal spoken
            if what not in bars:
                bars[what] = bar.add_task(what)
            bar.update(bars[what], completed=done, total=total)
            now = time.monotonic()
            if not console.is_terminal and now - spoken > PATIENCE:
                spoken = now
                console.print(f"{what}: {percent(done / total)}")

        with heard_by(show):
            yield


@contextmanager
def progress(
    console: Any, trainer: Trainer
) -> Iterator[tuple[Callable[[Record], None], Callable[[], None]]]:
    """What shows a record, and what is to be called after each step.

    There is a live bar in a terminal, and in any case a line for each evaluation; where that takes
    long to come, a line that says so.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    from minitransformer.training import metric_of

    with Progress(
        BarColumn(bar_width=None), TextColumn("{task.description}"),
        console=console, disable=not console.is_terminal, transient=True, expand=True,
    ) as bar:  # fmt: skip
        bar_task = bar.add_task("", total=trainer.settings.steps, completed=trainer.step)
        began, first = time.monotonic(), trainer.step
        spoken = began

        def show(record: Record) -> None:
            nonlocal spoken
            left = record["seconds"] / record["step"] * (trainer.settings.steps - record["step"])
            line = f"step {record['step']:>5,}  loss {record['loss']:.4f}"
            metric = metric_of(record)
            if metric:
                line += (
                    f"  held-out {record['held_out_loss']:.4f}"
                    f"  {metric.replace('_', ' ')} {amount(metric, record[metric]):>6}"
                    f"  training {amount(metric, record[f'training_{metric}']):>6}"
                )
            line += f"  {left:,.0f} s left"
            bar.update(bar_task, description=line)
            if metric:
                console.print(line)
                spoken = time.monotonic()

        def tick() -> None:
            nonlocal spoken
            bar.update(bar_task, completed=trainer.step)
            now = time.monotonic()
            if now - spoken > PATIENCE:
                spoken = now
                each = (now - began) / (trainer.step - first)
                others = duration(each * (trainer.settings.steps - trainer.step))
                console.print(
                    f"step {trainer.step:>5,}  {each:.2g} s for a step, so {others} for the others"
                )

        yield show, tick


def duration(seconds: float) -> str:
    """A time to be read.

    >>> [duration(x) for x in (0.4, 89, 3000, 9000)]
    ['0 s', '89 s', '50 min', '2.5 h']
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def print_gradients(rows: Sequence[Explanation], everything: bool) -> None:
    """A line for each leaf: how large its gradient is, what is remarkable about it, what that
    means; of many leaves, those that are fine are only counted."""
    from minigrad.why import CAUSES
    from minigrad.why.blame import FINE

    fine = [row for row in rows if row.verdict == FINE]
    shown = rows if everything or len(rows) <= FEW else [x for x in rows if x.verdict != FINE]
    facts = []
    for row in shown:
        shape = "×".join(map(str, row.shape)) or "scalar"
        norm = "" if row.gradient is None else f"{row.size:.2e}"
        zeros = f"{row.zeros:.0%}" if row.zeros > 0 else ""
        facts.append((row.name, shape, norm, zeros, row.verdict, row.cause))
    if shown:
        print_table(("tensor", "shape", "norm", "zeros", "verdict", "cause"), facts)
    for cause in sorted({row.cause for row in shown} - {""}):
        click.echo(f"{cause}: {CAUSES[cause]}")
    if len(shown) < len(rows):
        norms = [row.size for row in fine]
        more = " more" if shown else ""
        click.echo(
            f"{len(fine)}{more} of {len(rows)} are fine, of norms {min(norms):.2g} to "
            f"{max(norms):.2g} (--all lists them)"
        )


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first column broken behind dots and spaces where it must be; where even so
    it is wider than the terminal, each row as a paragraph."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    widths[-1] = min(widths[-1], SENTENCE)
    room = console.width - sum(widths[1:]) - 3 * len(header) - 1
    if room < min(NARROWEST, widths[0]):
        for name, *cells in rows:
            told = [f"{word} {cell}" for word, cell in zip(header[1:], cells, strict=True) if cell]
            click.secho("\n".join(broken(name, console.width)), bold=True)
            for line in wrap(", ".join(told), max(8, console.width - 2)):
                click.echo(f"  {line}")
        return
    table = Table(*header, header_style="bold")
    for name, *cells in rows:
        table.add_row("\n".join(broken(name, room)), *cells)
    console.print(table)


def print_finding(finding: Finding) -> None:
    """Print what a study has found: its tables, and what follows from them."""
    for table in finding.tables:
        click.secho(table.title, bold=True)
        print_table(table.header, table.rows)
    for sentence in finding.says:
        click.echo("\n".join(wrap(sentence, plain_console().width)))


def print_tokens(tokenisers: Mapping[str, Tokeniser], text: str) -> None:
    """Print how each tokeniser splits a text, as a table, or in a narrow terminal as paragraphs;
    in any terminal the tokens are coloured."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from viz.figure.characters import readable

    console = Console(highlight=False, markup=False)
    table = Table("tokeniser", "knows", "tokens", "what they are, with their numbers")
    is_narrow = console.width < 2 * SENTENCE
    for name, tokeniser in tokenisers.items():
        mask = tokeniser.special.mask  # which is written into texts, to be filled
        numbers = tokeniser.encode(text, special=mask is not None)
        told = Text()
        for place, number in enumerate(numbers):
            told.append(readable(tokeniser.shown[number]), COLOURS[place % len(COLOURS)])
            told.append(f"({number}) ", "dim")
        gap = "" if mask is None else tokeniser.tokens[mask]
        if unknown := tokeniser.unknown(text.replace(gap, " ") if gap else text):
            told.append(f"\nnot known: {', '.join(map(readable, unknown))}")
        kind = tokeniser.kind if name == tokeniser.kind else f"{name} ({tokeniser.kind})"
        if is_narrow:
            known = f"{kind}: knows {len(tokeniser):,}, tokens {len(numbers):,}"
            console.print(known, style="bold")
            console.print(Padding(told, (0, 0, 0, 2)))
        else:
            table.add_row(kind, f"{len(tokeniser):,}", f"{len(numbers):,}", told)
    if not is_narrow:
        console.print(table)


def broken(name: str, room: int) -> list[str]:
    """A long name in several lines, each of which ends behind a dot or at a space."""
    return [line.replace(". ", ".") for line in wrap(name.replace(".", ". "), max(1, room))]


def listed(names: Sequence[str], most: int) -> str:
    """The names, and of many the first and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
