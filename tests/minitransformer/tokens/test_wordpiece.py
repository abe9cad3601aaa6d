"""WordPiece: pieces are the reference's, on a page of mixed text and over all of Unicode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.tokeniser import BERT, Special, TokeniserError
from minitransformer.tokens.wordpiece import WordPiece, words_of
from tests.minitransformer.tokens.reference import MIXED, novel, settled_characters

PIECES = WordPiece((*BERT.values(), *"slower", "low", "##er", "##e", "##r", "##s", "##t", ","),
                   Special(pad=0, unk=1, bos=2, eos=3, mask=4))  # fmt: skip

either = pytest.mark.parametrize("lower", [True, False])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("lower", "low ##er"),
        ("lowest, low", "low ##e ##s ##t , low"),
        ("slow", "[UNK]"),
        ("low" + "e" * 97, "low" + " ##e" * 97),
        ("low" + "e" * 98, "[UNK]"),
        ("[MASK] low", "[UNK] [UNK] [UNK] low"),
    ],
)
def test_a_word_is_its_longest_known_pieces_from_the_left(text: str, pieces: str) -> None:
    assert PIECES.spell(PIECES.encode(text)) == pieces.split()


def test_words_with_an_unknown_part_are_named_once_each() -> None:
    assert PIECES.unknown("slow lower slow !") == ["slow", "!"]


def test_the_mask_is_read_where_it_is_asked_for() -> None:
    numbers = PIECES.encode("lower [MASK], low", special=True)
    assert PIECES.spell(numbers) == ["low", "##er", "[MASK]", ",", "low"]
    assert PIECES.decode([2, *numbers, 3]) == "lower [MASK] , low"


@pytest.mark.parametrize(
    ("lower", "words"),  # each letter by itself: no final sigma
    [(True, "ca va ? straße σισυφοσ 漢 字"), (False, "Ça va ? Straße ΣΙΣΥΦΟΣ 漢 字")],
)
def test_letters_may_be_read_in_lower_case_without_accents(lower: bool, words: str) -> None:
    assert words_of("Ça va? Straße\x07 ΣΙΣΥΦΟΣ漢字", lower) == words.split()


@either
@given(texts=st.lists(st.text(max_size=20), max_size=5))
def test_what_it_was_trained_on_is_known(lower: bool, texts: list[str]) -> None:
    pieces = WordPiece.train(texts, lower=lower)
    for text in texts:
        assert pieces.unknown(text) == []
        assert pieces.decode(pieces.encode(text)) == " ".join(words_of(text, lower))


def test_too_few_tokens_for_the_characters_are_refused() -> None:
    with pytest.raises(TokeniserError, match=r"12 tokens are too few: .* are 14"):
        WordPiece.train(["lower"], 12)


def reference(pieces: WordPiece) -> Any:
    """The tokeniser of the package `tokenizers` with the same vocabulary."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {token: number for number, token in enumerate(pieces.tokens)}
    return tokenizers.BertWordPieceTokenizer(vocabulary, lowercase=pieces.lower)


@either
def test_a_page_of_mixed_text_has_the_pieces_of_the_reference(lower: bool) -> None:
    pieces = WordPiece.train([novel(), MIXED], 3000, lower=lower)
    theirs = reference(pieces)
    for text in (MIXED.replace("[MASK] [SEP]", ""), novel()):  # which it always takes for tokens
        expected = theirs.encode(text, add_special_tokens=False)
        assert pieces.encode(text) == expected.ids
    assert pieces.encode(MIXED, special=True) == theirs.encode(MIXED, add_special_tokens=False).ids


@either
def test_each_character_is_treated_as_the_reference_does(lower: bool) -> None:
    theirs = reference(PIECES)._tokenizer
    tokenizers = pytest.importorskip("tokenizers")
    normalise = tokenizers.normalizers.BertNormalizer(lowercase=lower).normalize_str
    for x in settled_characters():
        text = f"a{x}b {x} é{x}"
        found = theirs.pre_tokenizer.pre_tokenize_str(normalise(text))
        assert words_of(text, lower) == [word for word, _ in found], hex(ord(x))


def test_words_of_more_than_100_characters_are_neither_learned_nor_read() -> None:
    pieces = WordPiece.train([f"{'x' * 100} {'y' * 101}"])
    assert pieces.unknown(f"{'x' * 100} {'x' * 101} y") == ["x" * 101, "y"]


@pytest.mark.parametrize("size", [1000, 3000])
def test_the_vocabulary_learned_from_a_novel_is_that_of_the_reference_trainer(size: int) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.BertWordPieceTokenizer()
    lines = novel().splitlines()
    theirs.train_from_iterator(lines, size, min_frequency=0, show_progress=False)
    # Its numbers of ##pieces of one character differ from run to run, and so the order of ties.
    differing = {*WordPiece.train(lines, size, lower=True).tokens} ^ {*theirs.get_vocab()}
    assert len(differing) < size / 100
