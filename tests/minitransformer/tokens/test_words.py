"""Words and marks: what a user takes for a word is one, and the text comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.tokeniser import OWN
from minitransformer.tokens.words import JOINER, Words
from tests.minitransformer.tokens.reference import MIXED

UNK = 3


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello, world!", "Hello ￭, world ￭!"),
        ("2020-01-01", "2020 ￭-￭ 01 ￭-￭ 01"),
        ("let's go !", "let's go !"),
        ("“Don’t!” she said.", "“￭ Don’t ￭!￭ ￭” she said ￭."),
        ("¿qué? ¡sí, señor!", "¿￭ qué ￭? ¡￭ sí ￭, señor ￭!"),
        ("'tis o'clock, dogs'", "'￭ tis o'clock ￭, dogs ￭'"),
        ("3.14 x² ½ Ⅷ", "3 ￭.￭ 14 x² ½ Ⅷ"),
        ("हिन्दी می\u200cخواهم", "हिन्दी می\u200cخواهم"),
        ("e\u0301tude well-known", "e\u0301tude well ￭-￭ known"),
        ("hi 👨\u200d👩\u200d👧👍🏽", "hi 👨\u200d👩\u200d👧￭ ￭👍🏽"),
        (" wait...\t", "wait ￭.￭ ￭.￭ ￭."),
    ],
)
def test_a_text_is_split_into_words_and_marks(text: str, pieces: str) -> None:
    words = Words.train([text])
    assert words.spell(words.encode(text)) == pieces.split()
    assert words.decode(words.encode(text)) == " ".join(text.split())


@given(st.text() | st.text(MIXED + JOINER))
def test_a_text_comes_back_but_for_runs_of_white_space(text: str) -> None:
    words = Words.train([text])
    assert words.decode(words.encode(text)) == words.tidy(text)
    assert words.tidy(text) == " ".join(text.split()).replace(JOINER, "■")


def test_what_is_unknown_as_written_is_read_in_lower_case_and_beside_other_spaces() -> None:
    words = Words.train(["hello world , Paris !"])
    assert words.decode(words.encode("Hello, WORLD!")) == "hello , world !"
    assert words.unknown("Hello, WORLD!") == []
    assert words.encode("paris") == [UNK]  # it may be no name
    assert words.unknown("paris? why?") == ["paris", "?", "why"]


def test_a_vocabulary_that_knows_a_chunk_as_a_whole_takes_it_whole() -> None:
    words = Words((*OWN.values(), "world!", "2020-01-01", "the", "world"))
    assert words.spell(words.encode("The World! 2020-01-01")) == ["the", "world!", "2020-01-01"]
    assert words.decode(words.encode("the world! 2020-01-01")) == "the world! 2020-01-01"


def test_a_special_token_is_read_between_others_where_it_is_asked_for() -> None:
    words = Words.train(["the cat sat."])
    numbers = words.encode("the <eos>cat <unk>.", special=True)
    assert words.spell(numbers) == ["the", "<eos>", "cat", "<unk>", "￭."]
