"""The English of the grammar: every sentence in plain words too, and senses told by other words."""

from __future__ import annotations

import runpy
from collections import Counter
from pathlib import Path

import pytest

from minitransformer.tasks import grammar
from minitransformer.tasks.english import labelled, plain, sentences

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.mark.parametrize("seed", range(3))
def test_what_is_unseen_is_in_no_training_but_all_its_words_are(seed: int) -> None:
    training, unseen = sentences(seed)
    assert (len(training), len(unseen)) == (len({*training}), len({*unseen}))
    assert not {*training} & {*unseen}
    assert {*" ".join(unseen).split()} <= {*" ".join(training).split()}
    assert len(unseen) > 500 and len(training) > 5000


def test_each_sentence_is_there_in_plain_words_too() -> None:
    training, unseen = sentences(0)
    examples = [example for part in grammar.pairs(0) for example in part]
    assert {x.source for x in examples} | {plain(x) for x in examples} == {*training, *unseen}
    for sentence in (
        "I jumped into the lake and found the shore .",
        "waiter , can we have the bread ?",
        "the cow did not cross the street because the cow was too tired .",
        "the cow did not cross the street because the street was too wide .",
    ):
        assert sentence in training + unseen


def test_a_sense_is_told_by_other_words_in_the_unseen_sentences() -> None:
    for word, *labels in (
        ("bank", "shore", "lender"),
        ("server", "waiter", "computer"),
        ("check", "bill", "payment"),
    ):
        training, unseen = labelled(word, 8, seed=1)
        assert Counter(label for _, label in training) == dict.fromkeys(labels, 8)
        assert Counter(label for _, label in unseen) == dict.fromkeys(labels, 24)
        meanings = {x.source: x.meaning for x in grammar.sentences() if x.word == word}
        assert all(meanings[sentence] == label for sentence, label in training + unseen)
        common = {"I", "we", "the", "and", "found", "looked", "at", "for", ".", word}
        told = [
            {*" ".join(sentence for sentence, _ in rows).split()} - common - {"into", "in", "on"}
            for rows in (training, unseen)
        ]
        assert not told[0] & told[1]


def test_the_labels_depend_on_the_seed_and_there_can_be_48_of_a_sense() -> None:
    assert labelled("bank", 8, seed=0) == labelled("bank", 8, seed=0)
    assert labelled("bank", 8, seed=0) != labelled("bank", 8, seed=1)
    assert len({*labelled("bank", 48, seed=0)[0]}) == 96


def test_the_bundled_senses_are_what_their_generator_writes() -> None:
    for name, text in runpy.run_path(str(EXAMPLES / "make_senses.py"))["files"]().items():
        assert (EXAMPLES / name).read_text(encoding="utf-8") == text
