"""What tests of tokenisers compare with: the novel, and a page of mixed text."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from unicodedata import ucd_3_2_0

import minitransformer.tasks

NOVEL = Path(minitransformer.tasks.__file__).parent / "texts" / "pride-and-prejudice.txt"

MIXED = (
    """Hello, world! It's 2026-01-01; she'll pay $3.50 (or 3,50 €) — isn't that "cheap"?
¡Adiós, señor! Où ça? Straße, ΣΊΣΥΦΟΣ, Ελλάδα, İstanbul, Ελλάς, naïve café, e\u0301tude, Ångström.
漢字とカナ交じり文。 中文 字符，测试 한국어 문장 हिन्दी में العربية עברית ไทย
😀👍🏽👨\u200d👩\u200d👧 ½ ² Ⅷ ٣ x²+y²=z² a_b __init__ #tag @name C++ http://example.org/?q=1&r=2
\ttabs\u00a0and\u2003spaces  \u200bzero\ufeff \x07control\x00 \ufffd soft\u00adhyphen\r\nline\x0bend
antidisestablishmentarianism """
    + "x" * 101
    + " "
    + "y" * 100
    + " ##low [MASK] [SEP] <|endoftext|>\n\n\n  end "
)
"""Accents, scripts without spaces, emoji, control characters, long words, marks."""


def settled_characters() -> list[str]:
    """The characters that have meant the same since Unicode 3.2, which every table of them has;
    of long runs of like ones, a sixteenth."""
    found, before = [], ""
    for x in map(chr, range(0x110000)):
        category = ucd_3_2_0.category(x)
        is_settled = category == unicodedata.category(x) not in ("Cn", "Cs")
        if is_settled and (category != before or ord(x) % 16 == 0):
            found.append(x)
        before = category
    return found


def novel() -> str:
    """The text of Pride and Prejudice."""
    return NOVEL.read_text(encoding="utf-8")
