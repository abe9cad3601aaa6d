"""The rows of the gallery, in the order in which one thing leads to the next.

Each is a part of what there is to know about attention and transformers: what it is, to somebody
who has read only the rows above it; the commands that show it; their pictures; and what of all that
they print is the number to believe.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Row:
    """A part of what there is to know.

    text: plain paragraphs, code between `signs`. commands: as one types them, in the folder of the
    gallery; the words after -o and --out name what they write. shows: those of the files that are
    shown, or linked to. number: a pattern of the lines that are its result. test: the file that
    checks it. quick: what is added to the first command where time is short. needs: a package
    without which the commands cannot run, if any, and install how to come by it.
    """

    title: str
    text: str
    commands: tuple[str, ...]
    shows: tuple[str, ...]
    number: str
    test: str
    quick: str = ""
    needs: str = ""
    install: str = ""

    @property
    def lacks(self) -> str:
        """What is to be done before the commands can run, if anything."""
        return self.install if self.needs and find_spec(self.needs) is None else ""


CHECKS = r"^\d[\d,]* of \d[\d,]* checks pass.*"

ROWS = (
    Row(
        "A number that remembers",
        """Learning means: change a number a little, see whether the result gets better, and keep
        the change if it does. A network has thousands of such numbers, and nobody can try them
        one by one. But a computer that notes down how it has got its result can go the same way
        back, and say of every number at once by how much the result would change with it. That is
        the number's *gradient*, and finding it is all that this engine does.

        Each card is one operation on single numbers. Below the value that went forward stands the
        gradient that came back.""",
        ("minigrad check Value", "minigrad graph neuron -o neuron.svg --values --grads"),
        ("neuron.svg",),
        CHECKS,
        "tests/minigrad/test_scalar.py",
    ),
    Row(
        "Many numbers at once",
        """Networks work on tables of numbers, with operations such as the product of two matrices.
        Each has one rule that says how a gradient passes through it. No rule here is taken on
        trust: the check nudges every input up and down, looks how far the result really moves, and
        compares. It does so for the gradient of the gradient as well.""",
        ("minigrad check", "minigrad graph expression -o expression.svg --values --grads"),
        ("expression.svg",),
        CHECKS,
        "tests/minigrad/check/test_rows.py",
    ),
    Row(
        "A computation as a picture",
        """Whatever is computed can be drawn, and at any distance: a whole translator, its layers,
        one layer's operations, or a single multiplication. The page goes through a computation a
        step at a time, forward and back, and shows where each number comes from.""",
        (
            "minigrad graph encoder-layer -o encoder.svg",
            "minigrad explain expression -o explain.html",
        ),
        ("encoder.svg", "explain.html"),
        r"^explain.html .*",
        "tests/viz/graphs/test_dot.py",
    ),
    Row(
        "Text becomes numbers: tokens",
        """A network reads numbers, so a text is cut into pieces, its *tokens*, each with a number.
        Whole words are simple, but there are too many of them, and an unseen one has no number.
        Characters are few, but then every text is long. Between them lie *sub-words*: common words
        in one piece, rare ones in several. Which pieces there are is learned from a text: again
        and again, the most frequent pair of neighbours becomes one. Joined again, the tokens must
        give the text back, to the letter.""",
        ('minigrad tokens "She unlocked the riverbank."',),
        (),
        r"^│ (bpe|char) .*(?=│)",
        "tests/minitransformer/tokens/test_tokeniser.py",
    ),
)
