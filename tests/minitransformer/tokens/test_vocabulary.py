"""Vocabularies and tokenisers: texts to tokens, tokens to numbers, and back."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.vocabulary import (
    Special,
    Tokeniser,
    TokenKind,
    Vocabulary,
    detokenize,
    tokenize,
)

PAD, BOS, EOS, UNK = Special()

token_lists = st.lists(st.text(min_size=1, max_size=3), max_size=8)


def test_the_special_tokens_have_the_first_ids() -> None:
    vocabulary = Vocabulary(Vocabulary.names)
    assert vocabulary.tokens == ("<pad>", "<bos>", "<eos>", "<unk>")
    assert vocabulary.special == (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert len(vocabulary) == 4
    assert vocabulary.words == ()


@given(st.lists(token_lists))
def test_known_tokens_survive_encoding_and_decoding(sequences: list[list[str]]) -> None:
    vocabulary = Vocabulary.build(sequences)
    for sequence in sequences:
        if not set(sequence) & set(Vocabulary.names):
            assert vocabulary.decode([BOS, *vocabulary.encode(sequence), EOS, PAD]) == sequence
            assert vocabulary.unknown(sequence) == []


@given(st.lists(token_lists), st.randoms())
def test_a_vocabulary_does_not_depend_on_the_order_of_what_it_is_built_from(
    sequences: list[list[str]], random: Random
) -> None:
    shuffled = random.sample(sequences, len(sequences))
    assert Vocabulary.build(shuffled) == Vocabulary.build(sequences)


@given(st.lists(token_lists))
def test_a_vocabulary_survives_json(sequences: list[list[str]]) -> None:
    vocabulary = Vocabulary.build(sequences)
    assert Vocabulary(tuple(json.loads(json.dumps(vocabulary.tokens)))) == vocabulary


def test_frequent_tokens_come_first() -> None:
    sequences = [["rare", "b", "a"], ["a", "b", "often"], ["often", "often"]]
    assert Vocabulary.build(sequences).tokens[4:] == ("often", "a", "b", "rare")


def test_unknown_tokens_become_unk_and_are_named_once_each() -> None:
    vocabulary = Vocabulary.build([["a"]])
    assert vocabulary.encode(["a", "z", "y", "z"]) == [4, UNK, UNK, UNK]
    assert vocabulary.unknown(["a", "z", "y", "z"]) == ["z", "y"]
    assert vocabulary.decode([4, UNK]) == ["a", "<unk>"]


def test_a_special_token_in_a_text_is_an_unknown_token() -> None:
    vocabulary = Vocabulary.build([["a", "<eos>", "<pad>"]])
    assert vocabulary.tokens == (*Vocabulary.names, "a")
    assert vocabulary.encode(Vocabulary.names) == [UNK] * 4
    assert vocabulary.unknown(["<eos>"]) == ["<eos>"]


def test_decoding_stops_at_eos_and_drops_pad_and_bos() -> None:
    vocabulary = Vocabulary.build([["a"]])
    assert vocabulary.decode(np.array([BOS, 4, PAD, 4, EOS, 4])) == ["a", "a"]
    assert vocabulary.decode([]) == []


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        (["a", "b"], "must begin with <pad> <bos> <eos> <unk>"),
        ([], "must begin with <pad> <bos> <eos> <unk>"),
        ([*Vocabulary.names, "a", "b", "a"], "must hold each token once, not 'a' 2 times"),
        ([*Vocabulary.names, 7], "must hold strings only"),
    ],
)
def test_a_list_that_is_no_vocabulary_is_refused(tokens: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Vocabulary(tuple(tokens))


@given(st.lists(st.text("ab", min_size=1)))
def test_words_survive_joining_and_splitting(words: list[str]) -> None:
    assert tokenize(detokenize(words, "word"), "word") == words


@given(st.text())
def test_characters_spell_the_text_without_the_white_space_around_it(text: str) -> None:
    assert detokenize(tokenize(text, "char"), "char") == text.strip()


def test_an_unknown_kind_of_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens must be 'word' or 'char', not 'byte'"):
        tokenize("a", "byte")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "text", "pieces"), [("word", "ab  c", ["ab", "c"]), ("char", "ab", ["a", "b"])]
)
def test_a_tokeniser_numbers_the_tokens_of_a_text(
    kind: TokenKind, text: str, pieces: list[str]
) -> None:
    tokeniser = Tokeniser(Vocabulary.build([pieces]), kind)
    numbers = tokeniser.encode(text)
    assert numbers == tokeniser.vocabulary.encode(pieces)
    assert tokeniser.spell([BOS, *numbers, EOS]) == ["<bos>", *pieces, "<eos>"]
    assert tokeniser.decode([BOS, *numbers, EOS, PAD]) == detokenize(pieces, kind)
    assert (len(tokeniser), tokeniser.special) == (4 + len(pieces), Special())


def test_a_tokeniser_names_what_it_does_not_know() -> None:
    tokeniser = Tokeniser(Vocabulary.build(["ab"]), "char")
    assert tokeniser.encode("a?b?") == [4, UNK, 5, UNK]
    assert tokeniser.unknown("a?b?") == ["?"]
