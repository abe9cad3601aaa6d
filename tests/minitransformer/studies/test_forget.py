"""Forget: what a GRU loses of two words that are written as one."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.files import FileError
from minitransformer.studies import forget
from minitransformer.studies.forget import (
    LETTERS,
    Forget,
    Speaker,
    align,
    real_words,
    words_by_length,
)
from minitransformer.tasks.corpus import NOVEL

SHORT = st.text("abc", max_size=5)


@settings(deadline=None, max_examples=50)
@given(SHORT, SHORT)
def test_edits_are_the_fewest_and_what_is_kept_stands_in_both(right: str, answer: str) -> None:
    edits, kept = align(right, answer)
    assert len(kept) == len(right)
    assert edits == fewest(right, answer)
    rest = iter(answer)
    assert all(x in rest for x, stays in zip(right, kept, strict=True) if stays)  # in their order
    assert edits >= kept.count(False) and (edits > 0 or all(kept))


def fewest(a: str, b: str) -> int:
    """The distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    changed = fewest(a[1:], b[1:]) + (a[0] != b[0])
    return changed if a[0] == b[0] else min(changed, fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1)


class Spelling:
    """The form of a model that says every letter, but no more than so many, and none after z."""

    def __init__(self, most: int) -> None:
        self.most = most

    def read(self, word: str) -> str:
        return word

    def answer(self, model: Any, words: list[str]) -> list[list[str]]:
        return [[*word[: self.most]] for word in words]

    def spell(self, answer: list[str]) -> list[str]:
        return [f"{x}1" for x in answer]  # with a stress, which does not count

    def write(self, answer: list[str]) -> str:
        return " ".join(answer)


def test_a_model_that_forgets_nothing_makes_no_errors() -> None:
    pairs = [["abcd", "efgh"], ["ijkl", "mnop"]]
    assert Speaker(None, Spelling(99)).measure(pairs) == [0, 0, 0, 1]


def test_many_words_are_asked_for_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    class Counting(Spelling):
        def answer(self, model: Any, words: list[str]) -> list[list[str]]:
            counts.append(len(words))
            return super().answer(model, words)

    monkeypatch.setattr(forget, "AT_ONCE", 2)
    said: list[Any] = Speaker(None, Counting(9)).say(["a", "bc", "d", "e", "f"])
    assert (said, counts) == ([["a"], ["b", "c"], ["d"], ["e"], ["f"]], [2, 2, 1])


def test_what_is_lost_is_told_by_the_word_that_it_is_of() -> None:
    pairs = [["abcd", "efgh"], ["ijkl", "mnop"]]
    assert Speaker(None, Spelling(6)).measure(pairs) == [0.25, 0, 0.5, 1]


def test_of_two_ways_to_speak_a_real_word_the_nearer_one_is_right() -> None:
    words = {"abcd": [["x0"] * 4, ["a2", "b", "c", "x"]], "ef": [["e"], ["e", "f"]]}
    assert Speaker(None, Spelling(99)).wrong_in(words) == 1 / 6


def test_real_words_are_as_long_within_a_letter_and_enough() -> None:
    spoken = {f"{'a' * letters}{x}": [["A"]] for letters in (6, 7, 8, 13) for x in "bcdefg"}
    found = real_words(spoken)
    assert {letters: {*map(len, own)} for letters, own in found.items()} == {8: {7, 8, 9}}


def test_words_are_in_small_letters_and_whole() -> None:
    text = "It is a truth, that _Darcy_ and well-bred ladies don’t dance; truth."
    assert words_by_length(text) == {
        1: ["a"], 2: ["is"], 3: ["and"], 4: ["that"], 5: ["dance", "truth"], 6: ["ladies"],
    }  # fmt: skip


def test_the_novel_has_words_enough_of_each_length() -> None:
    words = words_by_length(NOVEL.read_text(encoding="utf-8"))
    assert all(len(words[letters // 2]) > 100 for letters in LETTERS)


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minitransformer.interop.published.find_spec", lambda name: None)
    with pytest.raises(
        FileError, match=r"^g2p comes with a package: pip install --no-deps g2p-en$"
    ):
        Forget().find()


@pytest.mark.skipif(find_spec("g2p_en") is None, reason="needs g2p-en")
def test_the_published_model_loses_more_of_longer_words_and_of_the_end() -> None:
    found = Forget(pairs=30, seeds=2).find()
    errors, first, second, others = np.moveaxis(found.arrays["found"].mean(axis=0), -1, 0)
    assert (np.diff(errors[[0, 1, -1]]) > 0).all() and errors[-1] > 0.4
    assert (second > first).all() and (others > errors).all()
    assert [(x["letters"], x["words"]) for x in found.numbers["real_words"]] == [(8, 220), (12, 31)]
    real = np.array([x["errors"] for x in found.numbers["real_words"]])
    assert (real < errors[:2] / 4).all()
    measured, example = found.tables
    assert [row[0] for row in measured.rows] == [f"{x}" for x in LETTERS]
    assert example.rows[2][0] == "backpropagationalgorithm"
    assert found.numbers["errors"] == found.arrays["found"][..., 0].tolist()
