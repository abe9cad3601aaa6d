"""What every tokeniser does, whatever its tokens are: numbers, special tokens, coming back."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitransformer.tokens import TOKENISERS, Characters, Special, Tokeniser, Words, restore
from minitransformer.tokens.tokeniser import BERT, END_OF_TEXT, OWN, SpecialNames

PAD, BOS, EOS, UNK, _ = Special()

every_kind = pytest.mark.parametrize("kind", TOKENISERS.values(), ids=TOKENISERS)
every_set = pytest.mark.parametrize("names", [OWN, BERT, END_OF_TEXT])
texts = st.lists(st.text(max_size=12), max_size=6)


@every_kind
def test_the_table_names_each_kind(kind: type[Tokeniser]) -> None:
    assert TOKENISERS[kind.kind] is kind


@every_kind
@every_set
@given(trained=texts, text=st.text(max_size=12))
def test_a_tokeniser_comes_back_from_its_state(
    kind: type[Tokeniser], names: SpecialNames, trained: list[str], text: str
) -> None:
    tokeniser = kind.train(trained, special=names)
    again = restore(json.loads(json.dumps(tokeniser.state())))
    assert again == tokeniser
    assert again.encode(text) == tokeniser.encode(text)


@every_kind
@given(trained=texts, random=st.randoms())
def test_the_order_of_the_texts_does_not_matter(
    kind: type[Tokeniser], trained: list[str], random: Random
) -> None:
    assert kind.train(random.sample(trained, len(trained))) == kind.train(trained)


@every_kind
@given(trained=texts)
def test_what_it_was_trained_on_comes_back_tidy(kind: type[Tokeniser], trained: list[str]) -> None:
    tokeniser = kind.train(trained, special=OWN)
    for text in trained:
        numbers = tokeniser.encode(text)
        assert tokeniser.decode([BOS, *numbers, EOS, PAD]) == kind.tidy(text)
        assert not tokeniser.controls & {*numbers}
        assert tokeniser.unknown(text) == []


@every_kind
@every_set
def test_special_tokens_have_numbers_and_names_and_stand_for_no_text(
    kind: type[Tokeniser], names: SpecialNames
) -> None:
    tokeniser = kind.train(["the cat sat"], special=names)
    for task, name in names.items():
        number = getattr(tokeniser.special, task)
        assert tokeniser.spell([number]) == [name]
        assert number in tokeniser.controls
        assert tokeniser.encode(f"the {name}cat", special=True).count(number) == 1
        assert number not in tokeniser.encode(name) or number == tokeniser.special.unk
    assert not {*names.values()} & {*tokeniser.words}
    assert len(tokeniser) == len(tokeniser.tokens) == len(tokeniser.words) + len({*names.values()})
    assert tokeniser.words == tuple(tokeniser.number_of)


def test_the_special_tokens_of_each_set_have_the_numbers_that_others_give_them() -> None:
    assert Words.train([], special=OWN).special == Special(0, 1, 2, 3) == (0, 1, 2, 3, None)
    assert Words.train([], special=BERT).special == Special(pad=0, unk=1, bos=2, eos=3, mask=4)


@every_kind
def test_a_size_counts_all_tokens(kind: type[Tokeniser]) -> None:
    text = "these are all the words that there are: some are said twice"
    whole = kind.train([text], special=OWN)
    few = kind.train([text], len(whole) - 3, OWN)
    assert len(few) == len(whole) - 3
    assert {*few.tokens} < {*whole.tokens}
    with pytest.raises(ValueError, match=r"needs the token|2 tokens are too few"):
        kind.train([text], 2)


@every_kind
def test_decoding_stops_at_the_end_and_drops_padding_and_beginning(kind: type[Tokeniser]) -> None:
    tokeniser = kind.train(["a"], special=OWN)
    (a,) = tokeniser.encode("a")
    assert tokeniser.decode(np.array([BOS, a, PAD, EOS, a])) == "a"
    assert tokeniser.decode([]) == ""


@every_kind
def test_one_token_may_be_beginning_end_and_padding(kind: type[Tokeniser]) -> None:
    tokeniser = kind.train(["a"], special=END_OF_TEXT)
    end, (a,) = tokeniser.special.eos, tokeniser.encode("a")
    assert tokeniser.special == (end, end, end, None, None)
    assert tokeniser.decode([end, a, end, a]) == "a"


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        ([], "0 tokens are too few for special tokens up to number 3"),
        ([*OWN.values(), "a", "b", "a"], "must hold each token once, not 'a' 2 times"),
        ([*OWN.values(), 7], "must hold strings only"),
    ],
)
def test_a_list_that_is_no_vocabulary_is_refused(tokens: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Words(tuple(tokens))


def test_a_vocabulary_without_a_special_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs the token \[SEP\]"):
        Special.find(BERT, ["[PAD]", "[CLS]", "[UNK]", "[MASK]"])


def test_frequent_tokens_come_first_and_ties_in_alphabetical_order() -> None:
    texts = ["rare b a", "a b often", "often often"]
    assert Words.train(texts).tokens[4:] == ("often", "a", "b", "rare")


def test_unknown_tokens_become_unk_and_are_named_once_each() -> None:
    characters = Characters.train(["ab"])
    assert characters.encode("a?b?") == [4, UNK, 5, UNK]
    assert characters.unknown("a?b?") == ["?"]
    assert characters.decode([4, UNK]) == "a<unk>"
    assert Words.train(["a"], special=END_OF_TEXT).encode("b a") == [1]  # nothing to read "b" as


@every_kind
@given(trained=texts, others=texts)
def test_an_extended_tokeniser_has_the_same_numbers_and_knows_more(
    kind: type[Tokeniser], trained: list[str], others: list[str]
) -> None:
    tokeniser = kind.train(trained, special=BERT)
    extended = tokeniser.extended(others)
    assert extended.tokens[: len(tokeniser)] == tokeniser.tokens
    assert extended.special == tokeniser.special
    assert extended.extended(others) == extended
    if kind in (Words, Characters):
        assert not any(extended.unknown(text) for text in others)


def test_a_text_is_framed_where_gaps_are_filled() -> None:
    assert Words.train(["a b"], special=BERT).frame([5, 6]) == [2, 5, 6, 3]
    assert Words.train(["a b"]).frame([5, 6]) == [5, 6]
