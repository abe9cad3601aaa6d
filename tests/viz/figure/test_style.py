"""What all figures share: how a title is broken into lines."""

from __future__ import annotations

import numpy as np
import pytest

from viz.figure.style import wrap_title

SENTENCE = "Attention: the cat did not want to cross the field because it was too scared ."


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0, *np.arange(5.0, 6.45, 0.05)])
def test_no_line_begins_with_a_sign_that_stands_by_itself(width: float) -> None:
    lines = wrap_title(SENTENCE, width)
    assert len(lines) > 1
    assert " ".join(lines) == SENTENCE
    assert not any(line.startswith(".") for line in lines)


def test_no_title_has_no_lines() -> None:
    assert wrap_title(None, 5) == wrap_title("", 5) == []
