"""Merges are those that counting everything anew each time would find."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.merges import Merge, learn_merges

Word = tuple[str, ...]


def naive(words: dict[Word, int], pieces: list[str], size: int | None) -> list[Merge]:
    """The rule as it is said: the highest count, then the lowest numbers."""
    known, merges = list(pieces), []
    while size is None or len(known) < size:
        counts: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in pairwise(word):
                counts[pair] += times
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], *map(known.index, pair)))
        merges.append(best)
        if "".join(best) not in known:
            known.append("".join(best))
        words = {merged(word, best): times for word, times in words.items()}
    return merges


def merged(word: Word, pair: tuple[str, str]) -> Word:
    if len(word) < 2:
        return word
    if word[:2] == pair:
        return ("".join(pair), *merged(word[2:], pair))
    return (word[0], *merged(word[1:], pair))


words = st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 4), max_size=12)


@given(words=words, size=st.none() | st.integers(3, 20))
def test_the_merges_are_those_of_the_rule(words: dict[str, int], size: int | None) -> None:
    spelled = {tuple(word): times for word, times in words.items()}
    merges, pieces = learn_merges(spelled, "abc", size, str.__add__)
    assert merges == naive(spelled, [*"abc"], size)
    assert pieces == [*dict.fromkeys([*"abc", *map("".join, merges)])]


def test_a_piece_that_two_pairs_make_is_one_piece() -> None:
    words = {("a", "b"): 9, ("a", "b", "c"): 5, ("a", "bc"): 1}
    merges, pieces = learn_merges(words, ["a", "b", "c", "bc"], None, str.__add__)
    assert merges == [("a", "b"), ("ab", "c"), ("a", "bc")]
    assert pieces == ["a", "b", "c", "bc", "ab", "abc"]


def test_a_word_without_end_takes_time_that_grows_like_its_length() -> None:
    letters = np.random.default_rng(0).choice([*"acgt"], 50_000)
    merges, _ = learn_merges({tuple(letters): 1}, "acgt", 100, str.__add__)
    assert len(merges) == 96  # minutes, if the whole word were gone through for each of them
