"""Writes senses.tsv and senses-unseen.tsv beside itself: sentences with "server", and what it is.

    python docs/examples/make_senses.py

There are eight sentences of each sense. In the unseen ones, other words tell it: who has learned
that a server beside a salad is a waiter cannot know what one beside a soup is, without knowing that
soups and salads are of a kind.
"""

from __future__ import annotations

from pathlib import Path

from minitransformer.tasks.english import labelled


def files() -> dict[str, str]:
    """What each file says."""
    names = "senses.tsv", "senses-unseen.tsv"
    parts = labelled("server", 8, seed=0)
    return {
        name: "".join(f"{sentence}\t{label}\n" for sentence, label in rows)
        for name, rows in zip(names, parts, strict=True)
    }


if __name__ == "__main__":
    for name, text in files().items():
        Path(__file__).with_name(name).write_text(text, encoding="utf-8", newline="\n")
