"""Steps in the terminal: aligned tables, coloured by size, in narrow terminals too."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minitransformer.inside.by_hand import Matrix, without_parameters
from minitransformer.inside.heads_by_hand import with_parameters
from minitransformer.inside.sentences import drawn_reading, from_seed
from viz.walkthrough import decimals, print_steps, shown, tint, title_of, written


def printed(
    texts: list[str], capsys: pytest.CaptureFixture[str], heads: int = 0, width: int = 4
) -> str:
    sentences = from_seed(texts, width)
    steps = without_parameters(sentences)
    if heads:
        steps += with_parameters(sentences, drawn_reading(sentences, heads))
    print_steps(steps)
    return capsys.readouterr().out


def test_tables_have_words_at_their_sides_and_the_numbers_of_the_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = printed(["money bank grows"], capsys).splitlines()
    scores = without_parameters(from_seed(["money bank grows"]))[1].matrices[0].values
    first = next(i for i, line in enumerate(lines) if line.strip() == "S")
    assert lines[first + 1].split() == ["money", "bank", "grows"]
    for row, line in zip(scores, lines[first + 2 : first + 5], strict=True):
        assert [float(x.replace("−", "-")) for x in line.split()[1:]] == row.round(2).tolist()
    assert re.search(r"agree to \de-1[5-9]|agree to the last bit", "\n".join(lines))


@pytest.mark.parametrize("columns", [40, 60, 100, 160])
def test_no_line_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "I swam across the river to get to the other bank"
    said = printed([text, "an extraordinarily-long word"], capsys, heads=2)
    assert max(map(len, said.splitlines())) <= columns
    assert "…" in said  # the long word


def test_a_wide_table_is_cut_between_columns_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    said = printed(["one two three four five six seven"], capsys)
    heads = re.findall(r"S · from (\w+) to (\w+)", said)
    assert heads[0][0] == "one"
    assert heads[-1][1] == "seven"
    assert len(heads) > 1


def test_heads_stand_side_by_side_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert re.search(r"P · head 1 +P · head 2", printed(["money bank grows"], capsys, heads=2))


def test_in_a_terminal_large_numbers_are_coloured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert "48;2;" in printed(["money bank grows"], capsys)


def test_the_colour_tells_the_sign_and_the_size() -> None:
    assert tint(0.01, 1) == tint(-np.inf, 1) == tint(0.0, 0.0) == ""
    assert tint(1, 1) == "black on rgb(102,170,209)"
    assert tint(-1, 1) == "black on rgb(230,158,102)"


def test_of_long_vectors_the_first_numbers_are_shown_and_it_is_said() -> None:
    part = shown(Matrix("W", "W_Q", np.ones((20, 17)), None, None))
    assert part.values.shape == (6, 6)
    assert part.rest == "rows 1 to 6 of 20, numbers 1 to 6 of 17"
    whole = shown(Matrix("V", "V", np.ones((20, 16)), ["a b"] * 20, None))
    assert (whole.values.shape, whole.rest, whole.rows[0]) == ((20, 16), "", "a␣b")


def test_titles_name_what_there_are_several_of() -> None:
    matrix = Matrix("Q0.1", "Q", np.ones((1, 1)), None, None, sentence=0, head=1)
    assert title_of(matrix, 1, 1) == "Q"
    assert title_of(matrix, 2, 2) == "Q · sentence 1 · head 2"


def test_numbers_are_written_with_as_few_digits_as_say_them() -> None:
    assert [decimals(np.array([x])) for x in (2.0, 0.5, 123.456, 0.0123456, 0.0)] == [0, 1, 2, 4, 0]
    assert [written(x, 2) for x in (-1.5, -0.001, -np.inf, 1e7)] == [
        "−1.50", "0.00", "−∞", "1.00e+07",
    ]  # fmt: skip
