"""The page of the gallery: what there is to know, row by row, with a picture and a number each."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz.pages.page import Page, page

KINDS = {".png": "image/png", ".svg": "image/svg+xml"}
"""Pictures that stand in the page itself; other files are linked to, beside it."""


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended: with exit code 0, or not well."""

    command: str
    output: str
    code: int
    seconds: float

    @property
    def name(self) -> str:
        """The command of `minigrad`."""
        return self.command.split()[1]


class About(Protocol):
    """What the page says of a row: see `viz.gallery.rows.Row`."""

    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def shows(self) -> Mapping[str, str]: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def number(self) -> str: ...
    @property
    def lacks(self) -> str: ...


@dataclass(frozen=True)
class Exhibit:
    """A row, what its commands printed, and the sentences in which its studies sum up."""

    row: About
    ran: list[Ran]
    says: list[str]

    @property
    def numbers(self) -> list[str]:
        """What the row is believed for: of what its studies say, or else of the lines that were
        printed, those that it chooses."""
        if not self.row.number:
            return self.says
        lines = self.says or [line.strip() for x in self.ran for line in x.output.splitlines()]
        found = re.finditer(self.row.number, "\n".join(lines), re.MULTILINE)
        return [", ".join(" ".join(line.split()) for line in x[0].split("\n\n")) for x in found]


def gallery(exhibits: Sequence[Exhibit], folder: Path, seconds: float) -> Page:
    """The page: a list of the rows, then each with its text, its commands, what they drew and said.

    folder: where the commands ran. Pictures stand in the page, other pages are linked to. seconds:
    how long all took.
    """
    body = BODY.format(
        minutes=f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds",
        contents="".join(
            f'<li><a href="#{anchor(x)}">{html.escape(x.row.title)}</a></li>' for x in exhibits
        ),
        exhibits="".join(section(x, folder) for x in exhibits),
    )
    return page("gallery", "From a number to a transformer", body, None)


def section(exhibit: Exhibit, folder: Path) -> str:
    """A row as HTML. See `marked` for its text."""
    row = exhibit.row
    text = "".join(f"<p>{marked(x)}</p>" for x in row.text.split("\n\n"))
    numbers = "".join(f"<p class='found'>{html.escape(x)}</p>" for x in exhibit.numbers)
    lacking = f"<p class='lacks'>Not run here: {marked(row.lacks)}</p>" if row.lacks else ""
    return SECTION.format(
        anchor=anchor(exhibit),
        title=html.escape(row.title),
        text=text,
        pictures="".join(shown(folder, name, text) for name, text in row.shows.items()),
        numbers=numbers + lacking,
        ran="".join(
            transcript(x, not row.shows or (x is exhibit.ran[0] and row.is_open))
            for x in exhibit.ran
        ),
    )


def anchor(exhibit: Exhibit) -> str:
    """The name of a section."""
    return re.sub(r"\W+", "-", exhibit.row.title.lower()).strip("-")


def marked(text: str) -> str:
    """Plain text as HTML, with code where it has `signs`, and *words* that are new in italics.

    >>> marked("a *token* of `a < b`")
    'a <em>token</em> of <code>a &lt; b</code>'
    """
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped))


def shown(folder: Path, name: str, text: str) -> str:
    """A picture with what is to be seen in it, whose first sentence stands for it where it is not
    seen; or a link to a page, or a place in one; nothing where the file is not there."""
    path = folder / name.partition("#")[0]
    if not path.exists():
        return ""
    kind = KINDS.get(path.suffix)
    if kind is None:
        return f'<p><a class="page" href="{html.escape(name)}">{marked(text)}</a></p>'
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    first = re.sub("[*`]", "", " ".join(text.split())).partition(". ")[0]
    picture = f'<img alt="{html.escape(first)}" src="data:{kind};base64,{data}">'
    return f"<figure>{picture}<figcaption>{marked(text)}</figcaption></figure>"


def with_way_back(page: str) -> str:
    """A page that the gallery links to, with a link back in its header."""
    header = '<header class="bar">'
    return page.replace(header, f'{header}<a href="index.html">← gallery</a>', 1)


def transcript(ran: Ran, is_open: bool) -> str:
    """A command, and folded away what it printed."""
    state = "" if ran.code == 0 else " failed"
    return TRANSCRIPT.format(
        state=state,
        command=html.escape(ran.command),
        seconds=f"{ran.seconds:.0f} s" if ran.seconds >= 1 else "under 1 s",
        output=html.escape(ran.output.strip()),
        is_open=" open" if state or is_open else "",
    )


BODY = """
<header class="bar"><h1>From a number to a transformer</h1></header>
<main>
  <p>Read from top to bottom, it needs nothing but a little arithmetic. Each part has a picture, or
    a page to play with; most have their result in a grey box; and all have the commands that made
    them: click on one to see all that it printed. They ran on one machine, two at a time, in
    {minutes} altogether; you can run each of them, and change it.</p>
  <nav aria-label="contents"><ol>{contents}</ol></nav>
{exhibits}
</main>
"""

SECTION = """
<section id="{anchor}">
<h2>{title}</h2>
{text}
<div class="pictures">{pictures}</div>
{numbers}
{ran}
</section>
"""

TRANSCRIPT = """
<details class="ran{state}"{is_open}>
<summary><code>{command}</code> <span class="grey">{seconds}</span></summary>
<pre>{output}</pre>
</details>
"""
