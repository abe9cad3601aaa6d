"""Characters as they can be shown: what is invisible is made visible, what no font has is said."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable

VISIBLE = {" ": "␣", "\t": "⇥", "\n": "⏎"}
JOINERS = "\u200c\u200d"  # they shape the letters and emoji around them
BOXES = "Last Resort"  # matplotlib's own font: it has a box for every character
MOST_NAMED = 5  # characters that a warning names


def readable(token: str) -> str:
    """A token whose every character can be seen: spaces, and codes for what has no shape.

    `readable` in `page.js` does the same. Half a surrogate pair, or a byte that was no UTF-8, is
    U+FFFD; a mark that has no letter to stand on gets a circle.

    >>> readable("a b\\u200b"), readable("\\u0301")
    ('a␣b⟨U+200B⟩', '◌́')
    """
    token = "".join(visible(character) for character in token)
    if not token:
        return token
    if all(character in JOINERS for character in token):
        return "".join(code(character) for character in token)
    return f"◌{token}" if unicodedata.category(token[0]).startswith("M") else token


def visible(character: str) -> str:
    """A character, or what stands for it where it has no shape."""
    category = unicodedata.category(character)
    if character in VISIBLE:
        return VISIBLE[character]
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    hidden = category in ("Cc", "Cf", "Zs", "Zl", "Zp") and character not in JOINERS
    return code(character) if hidden else character


def code(character: str) -> str:
    """Such as ⟨U+200B⟩."""
    return f"⟨U+{ord(character):04X}⟩"


def one_line(text: str) -> str:
    """A text in one line: each run of whitespace a space, and U+FFFD for what has no shape."""
    text = " ".join(text.split())
    shown = (c if c.isprintable() or c in JOINERS else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "".join(shown)


def fonts_for(texts: Iterable[str], preferred: list[str]) -> list[str]:
    """The preferred fonts, and of the others on this system those with characters that they lack.

    A warning names the characters that no font has.
    """
    from matplotlib.font_manager import FontProperties, findfont, fontManager

    lacking = set("".join(texts)) - set(JOINERS)
    for name in preferred:
        lacking -= characters_of(findfont(FontProperties(family=[name])), lacking)
    families = list(preferred)
    if lacking:
        add_new_fonts()
        for font in fontManager.ttflist:
            if font.style != "normal" or font.weight != 400 or font.name.startswith(BOXES):
                continue
            if found := characters_of(font.fname, lacking):
                families.append(font.name)
                lacking -= found
            if not lacking:
                break
    if lacking:
        warnings.warn(describe_missing(sorted(lacking)), stacklevel=5)
    return families


def characters_of(path: str, wanted: set[str]) -> set[str]:
    """Which of the wanted characters a font has; none of one that matplotlib cannot draw."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        font.set_size(10, 72)  # a font of colour bitmaps has no such size
    except (RuntimeError, OSError):
        return set()
    has = font.get_charmap()
    return {character for character in wanted if ord(character) in has}


def add_new_fonts() -> None:
    """Let matplotlib know the fonts that were installed since it made its list of them."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    for path in sorted(set(findSystemFonts()) - {font.fname for font in fontManager.ttflist}):
        try:
            fontManager.addfont(path)
        except (RuntimeError, OSError):
            continue  # no font that it can draw


def describe_missing(characters: list[str]) -> str:
    """What is said of characters that no font has."""
    named = ", ".join(f"{c} (U+{ord(c):04X})" for c in characters[:MOST_NAMED])
    more = len(characters) - MOST_NAMED
    return (
        f"no font here has {named}{f' and {more} more' if more > 0 else ''}: boxes stand for them. "
        "Install one that has (such as Noto Sans CJK or Noto Emoji), or make a page (.html), "
        "which the browser draws with its own"
    )
