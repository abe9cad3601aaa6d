"""Writes dates.tsv beside itself: every ninth day of a century, in English and as an ISO date.

    python docs/examples/make_dates.py

The ways of writing a date take turns. None is ambiguous: the month is always a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path

# Python's names of months and weekdays are English wherever it runs, until setlocale is called.
STYLES = (
    "{day.day} {day:%B %Y}",
    "{day:%B} {day.day}, {day:%Y}",
    "{day:%B} {ordinal}, {day:%Y}",
    "{ordinal} {day:%B %Y}",
    "the {ordinal} of {day:%B %Y}",
    "{day:%B} the {ordinal}, {day:%Y}",
    "{day.day} {day:%b %Y}",
    "{day:%b} {day.day} {day:%Y}",
    "{day.day}-{day:%b-%Y}",
    "{day:%a} {day.day} {day:%b %Y}",
    "{day:%A, %B} {day.day}, {day:%Y}",
)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, but 11th, 12th and 13th."""
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def lines() -> Iterator[str]:
    """The lines of dates.tsv, without their ends."""
    day = date(1950, 1, 1)
    for style in cycle(STYLES):
        if day.year >= 2050:
            return
        yield f"{style.format(day=day, ordinal=ordinal(day.day))}\t{day.isoformat()}"
        day += timedelta(days=9)


if __name__ == "__main__":
    text = "".join(f"{line}\n" for line in lines())
    Path(__file__).with_name("dates.tsv").write_text(text, encoding="utf-8", newline="\n")
