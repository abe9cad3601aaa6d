"""Byte-level BPE: any text comes back, merges are the reference trainer's, numbers are GPT-2's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens.bpe import BYTES, CHARACTERS, BytePairs, pattern_of, read_merges
from minitransformer.tokens.tokeniser import Cache, Special, TokeniserError
from tests.minitransformer.tokens.reference import MIXED, novel, settled_characters

SMALL = BytePairs.train(["low lower lowest newest newer new wide wider widest " * 20, MIXED], 420)


def test_each_byte_has_a_character_that_can_be_seen() -> None:
    assert len(BYTES) == 256
    assert all(character.isprintable() and not character.isspace() for character in CHARACTERS)
    assert [CHARACTERS[byte] for byte in b"A \n\xc3"] == ["A", "Ġ", "Ċ", "Ã"]


def test_tokens_are_bytes_then_merges_then_the_end_of_text() -> None:
    assert SMALL.tokens[:256] == tuple(sorted(CHARACTERS))
    merged = dict.fromkeys(left + right for left, right in SMALL.merges)
    assert SMALL.tokens[256:] == (*merged, "<|endoftext|>")
    assert SMALL.special == Special(419, 419, 419, None, None)


@given(st.text() | st.text(MIXED + "low new wid"))
def test_any_text_comes_back(text: str) -> None:
    numbers = SMALL.encode(text)
    assert SMALL.decode(numbers) == text
    assert SMALL.unknown(text) == []
    assert (
        b"".join(bytes(BYTES[x] for x in token) for token in SMALL.spell(numbers)) == text.encode()
    )


@given(st.binary())
def test_bytes_that_are_no_text_come_out_with_replacements(content: bytes) -> None:
    numbers = [SMALL.number_of[CHARACTERS[byte]] for byte in content]
    assert SMALL.decode(numbers) == content.decode(errors="replace")


def naive(tokeniser: BytePairs, word: str) -> list[str]:
    """The tokens of a word, all its pairs looked at again after each merge."""
    pieces = [CHARACTERS[byte] for byte in word.encode()]
    while True:
        ranks = {pair: rank for rank, pair in reversed([*enumerate(tokeniser.merges)])}
        places = range(len(pieces) - 1)
        found = [(ranks[pieces[i], pieces[i + 1]], i) for i in places
                 if (pieces[i], pieces[i + 1]) in ranks]  # fmt: skip
        if not found:
            return pieces
        place = min(found)[1]
        pieces[place : place + 2] = ["".join(pieces[place : place + 2])]


@given(st.text("lowernstdi ", max_size=30) | st.lists(st.sampled_from(SMALL.shown)).map("".join))
def test_merges_are_applied_in_their_order(text: str) -> None:
    words = pattern_of("gpt-2").findall(text)
    expected = [piece for word in words for piece in naive(SMALL, word)]
    assert SMALL.spell(SMALL.encode(text)) == expected


def test_a_long_word_takes_time_that_grows_like_its_length() -> None:
    assert len(SMALL.encode("low" * 30_000)) == 30_000  # minutes, if pairs were sought anew


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, "MOST", 10)
    tokeniser = BytePairs.train(["a b"])
    text = " ".join(map(str, range(100))) + " " + "9" * 1000
    for _ in range(2):
        assert tokeniser.decode(tokeniser.encode(text)) == text
        assert 0 < len(tokeniser._cache) <= 10
        assert max(map(len, tokeniser._cache)) <= Cache.LONGEST


def test_special_tokens_are_text_until_they_are_asked_for() -> None:
    tokens = ("<|im_start|>", "<|im_end|>", *SMALL.tokens)
    special = Special(pad=1, bos=0, eos=1, unk=None)
    further = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    tokeniser = BytePairs(tokens, special, SMALL.merges, "smollm", further)
    text = "<|im_start|> new<|im_end|> low"
    assert tokeniser.spell(tokeniser.encode(text, special=True)) == [
        "<|im_start|>", "Ġnew", "<|im_end|>", "Ġlow"]  # fmt: skip
    assert not tokeniser.controls & {*tokeniser.encode(text)}
    assert tokeniser.decode(tokeniser.encode(text)) == text
    assert tokeniser.decode(tokeniser.encode(text, special=True)) == " new"
    assert tokeniser.decode(tokeniser.encode("<|endoftext|> new", special=True)) == " new"
    assert "<|endoftext|>" not in tokeniser.words


def test_digits_may_be_words_of_their_own() -> None:
    text, words = "in  1984, 'll3\n 5", pattern_of("gpt-2").findall
    assert words(text) == ["in", " ", " 1984", ",", " '", "ll", "3", "\n", " 5"]
    assert pattern_of("smollm").findall(text) == [
        "in", "  ", "1", "9", "8", "4", ",", " '", "ll", "3", "\n ", "5"
    ]  # fmt: skip


def test_a_vocabulary_that_lacks_a_byte_reads_it_as_unknown_or_not_at_all() -> None:
    tokens = ("<unk>", *sorted({*CHARACTERS} - {"b"}))
    special = Special(0, 0, 0, 0)
    assert BytePairs(tokens, special).encode("ab") == [BytePairs(tokens, special).number_of["a"], 0]
    lacking = BytePairs(tokens, Special(0, 0, 0, None))
    assert lacking.spell(lacking.encode("abc")) == ["a", "c"]
    assert lacking.unknown("abcb") == ["b"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"merges": (("l", "q"),)}, "'l' and 'q' are merged, but 'lq' is not in the vocabulary"),
        ({"split": "gpt-9"}, "no split 'gpt-9'; there are gpt-2, smollm"),
        ({"further": ("<s>",)}, "the special token '<s>' is not in the vocabulary"),
        ({"tokens": (*SMALL.tokens, "a b")}, "the token 'a b' does not stand for bytes"),
        (
            {"special": Special(420, 0, 0)},
            "420 tokens are too few for special tokens up to number 420",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], fault: str) -> None:
    parts = {x: getattr(SMALL, x) for x in ("tokens", "special", "merges", "split", "further")}
    with pytest.raises(TokeniserError, match=fault):
        BytePairs(**{**parts, **changes})


@pytest.mark.parametrize("line", ["", " ", "a", "a ", " a", "a b c", "a  b"])
def test_a_line_that_is_no_merge_is_refused(line: str) -> None:
    with pytest.raises(TokeniserError, match=r"merge 2 is .*, not two pieces"):
        read_merges(["a b", line])


def test_too_few_tokens_for_the_bytes_are_refused() -> None:
    with pytest.raises(TokeniserError, match=r"256 tokens are too few: .* are 257"):
        BytePairs.train(["a"], 256)


@pytest.mark.parametrize("size", [1000, 4000])
def test_merges_on_a_novel_are_those_of_the_reference_trainer(size: int) -> None:
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator([novel()], trainer)
    ours = BytePairs.train([novel()], size + 1)
    model = json.loads(theirs.to_str())["model"]
    assert [[*pair] for pair in ours.merges] == model["merges"]
    assert {token: ours.number_of[token] for token in ours.words} == model["vocab"]
    assert ours.encode(MIXED) == theirs.encode(MIXED).ids


def test_words_are_split_as_the_reference_does_over_all_of_unicode() -> None:
    pytest.importorskip("tokenizers")
    from tokenizers import pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    single = pre_tokenizers.Sequence([digits, byte_level])
    for split, reference in (("gpt-2", byte_level), ("smollm", single)):
        for x in settled_characters():
            text = f"a{x} {x}1{x}'s  {x}"
            words = pattern_of(split).findall(text)
            ours = ["".join(CHARACTERS[byte] for byte in word.encode()) for word in words]
            assert ours == [word for word, _ in reference.pre_tokenize_str(text)]


def test_its_tokens_are_shown_as_the_text_that_they_are() -> None:
    pairs = BytePairs.train(["the the the\n"], 262)
    shown = dict(zip(pairs.tokens, pairs.shown, strict=True))
    assert (shown["Ġthe"], shown["Ċ"], shown["e"]) == (" the", "\n", "e")
    assert shown["<|endoftext|>"] == "<|endoftext|>"
    half = pairs.spell(pairs.encode("é"))[0]
    assert shown[half] == "\\xc3"
