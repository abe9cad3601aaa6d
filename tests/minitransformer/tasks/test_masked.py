"""The task masked: sentences of the grammar, or windows of a file, with gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from minitransformer.batch import IGNORE
from minitransformer.settings import SettingError
from minitransformer.tasks import english
from minitransformer.tasks.files import DataError
from minitransformer.tasks.grammar import pairs
from minitransformer.tasks.masked import FillGaps, MaskedSentences, MaskedWindows

CONTEXT = 8


@pytest.fixture(scope="module")
def grammar() -> MaskedSentences:
    data = FillGaps().load(0)
    assert isinstance(data, MaskedSentences)
    return data


def a_file(folder: Path, content: str, **settings: Any) -> MaskedWindows:
    path = folder / "some.txt"
    path.write_text(content, encoding="utf-8")
    given = {"tokens": "word", "context": CONTEXT, **settings}
    data = FillGaps(data=str(path), **given).load(0)
    assert isinstance(data, MaskedWindows)
    return data


def whole(example: Any) -> list[int]:
    """A text without its gaps."""
    read, asked = example
    return [old if label == IGNORE else label for old, label in zip(read, asked, strict=True)]


def test_sentences_of_the_grammar_are_the_default(grammar: MaskedSentences) -> None:
    training, unseen = english.sentences(0)
    form = grammar.form
    assert grammar.name == "masked"
    assert [form.text(source) for source, _ in grammar.training] == [
        form.text(form.read(text)) for text in training
    ]
    assert [form.text(whole(x)) for x in grammar.test] == [
        form.text(form.read(text)) for text in unseen
    ]
    assert max(len(read) for read, _ in [*grammar.training, *grammar.test]) == form.max_source
    assert not any(form.unknown(text) for text in unseen)


def test_the_most_frequent_token_is_counted_among_the_gaps(
    grammar: MaskedSentences, tmp_path: Path
) -> None:
    asked = [word for example in grammar.test for word in grammar.form.asked(example) if word]
    share = asked.count("the") / len(asked)
    assert grammar.measure([]) == {"always_the_most_frequent": share}
    assert a_file(tmp_path, "so so so\n" * 99).measure([]) == {"always_the_most_frequent": 1.0}


def test_gaps_to_train_on_are_others_each_time_and_those_of_the_test_stay(
    grammar: MaskedSentences,
) -> None:
    rng = np.random.default_rng(1)
    examples = grammar.sample(rng, 20_000)
    learned = {tuple(source) for source, _ in grammar.training}
    found: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for example in examples:
        found.setdefault(tuple(whole(example)), set()).add(tuple(example[1]))
    assert found.keys() <= learned
    assert sum(len(gaps) > 1 for gaps in found.values()) > len(learned) / 2
    again = FillGaps().load(0)
    assert (again.test, again.test_texts) == (grammar.test, grammar.test_texts)
    assert [text.count("[MASK]") > 0 for text, _ in grammar.test_texts].count(True) > 100


def test_what_is_drawn_depends_on_the_generator_alone(grammar: MaskedSentences) -> None:
    first, again = (grammar.sample(np.random.default_rng(5), 9) for _ in range(2))
    assert first == again


def test_windows_of_a_file_stand_between_cls_and_sep(tmp_path: Path) -> None:
    data = a_file(tmp_path, " ".join(f"w{i % 50}" for i in range(400)))
    special = data.form.source.special
    assert (data.form.max_source, data.name) == (CONTEXT + 2, "some.txt")
    for read, asked in [*data.sample(np.random.default_rng(0), 20), *data.test]:
        assert 4 <= len(read) == len(asked) <= CONTEXT + 2
        assert (read[0], read[-1]) == (special.bos, special.eos)
        assert (asked[0], asked[-1]) == (IGNORE, IGNORE)
        assert {*asked} != {IGNORE}


def test_windows_in_a_row_have_each_token_once(tmp_path: Path) -> None:
    data = a_file(tmp_path, " ".join(f"w{i}" for i in range(200)), held_out=0.5, tokens="char")
    (piece,) = data.corpus.pieces(data.corpus.held_out, 10_000)
    expected = data.form.source.encode(piece)
    found = [number for window in data.held_out() for number in window]
    assert found == expected[: len(found)]
    assert len(expected) - len(found) < 2  # a last one, alone, is no window
    tests = sorted(whole(example) for example in data.test)
    assert tests == sorted(data.form.source.frame(window) for window in data.held_out())


@pytest.mark.parametrize("tokens", ["word", "char", "bpe", "wordpiece"])
def test_any_tokens_can_have_gaps(tokens: str, tmp_path: Path) -> None:
    content = " ".join(f"w{i % 50}" for i in range(400))
    data = a_file(tmp_path, content, tokens=tokens, subwords=300)
    special = data.form.source.special
    assert None not in special
    assert special.pad == 0
    assert data.form.source.tokens[data.form.gap] == "[MASK]"
    assert data.form.gap in [number for read, _ in data.test for number in read]


def test_lines_are_read_each_by_itself_and_cut_where_they_are_long(tmp_path: Path) -> None:
    lines = [f"w{i} and w{i + 1}" for i in range(40)] + [f"many {'words ' * 20}"] + ["", "alone"]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines[::-1]), encoding="utf-8")
    settings = {"tokens": "word", "texts": "lines", "context": CONTEXT, "held_out": 0.2}
    data = FillGaps(data=str(path), **settings).load(0)
    assert isinstance(data, MaskedSentences)
    assert (data.name, data.form.max_source) == ("lines.txt", CONTEXT + 2)
    learned = [data.form.text(source) for source, _ in data.training]
    assert learned[0] == "many" + " words" * (CONTEXT - 1)
    assert learned[1:] == lines[:40][::-1][: len(learned) - 1]  # and no lone word
    unseen = [whole(example) for example in data.test]
    assert len(learned) + len(unseen) == 41 and 6 <= len(unseen) <= 12
    assert data.checksum == crc32(path.read_bytes())


def test_lines_without_two_tokens_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("one\n" * 30)
    with pytest.raises(DataError, match="hardly any tokens in its lines"):
        FillGaps(data=str(path), texts="lines").load(0)


def test_a_file_that_says_mask_has_no_gap_there(tmp_path: Path) -> None:
    data = a_file(tmp_path, "the [MASK] sat " * 60)
    drawn = (data.draw(np.random.default_rng(seed)) for seed in range(20))
    assert not any(data.form.gap in numbers for numbers in drawn)


def test_how_to_read_a_file_means_nothing_without_one() -> None:
    for name, value in [
        ("context", 9), ("tokens", "char"), ("subwords", 400), ("held_out", 0.2), ("texts", "lines")
    ]:  # fmt: skip
        with pytest.raises(SettingError) as error:
            FillGaps(**{name: value})
        assert error.value.text == f"<{name}> is about <data>: name a file, or leave it out"


def test_too_little_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hardly any tokens to hold out"):
        a_file(tmp_path, "only a few words here")


def test_pronouns_are_asked_for_by_the_noun_that_they_mean(grammar: MaskedSentences) -> None:
    data: Any = FillGaps(pronouns=0.5).load(0)
    form = data.form
    assert (data.test, form.source) == (grammar.test, grammar.form.source)
    nouns = {english.hide_pronoun(x): y for x, y in english.referents(pairs(0)[0]).items()}
    asked = [(form.text(x), form.write(y)) for x, y in data.sample(np.random.default_rng(0), 9_000)
             if len(y) == 1]  # fmt: skip
    assert all(nouns[text] == noun for text, noun in asked)
    # Of the training's sentences, those with a pronoun are so many, and half of them are asked.
    share = sum(question is not None for _, question in data.training) / len(data.training)
    assert len(asked) / 9_000 == pytest.approx(share / 2, abs=0.02)


def test_without_pronouns_to_ask_for_nothing_else_is_drawn(grammar: MaskedSentences) -> None:
    assert all(question is None for _, question in grammar.training)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pronouns": 1.5}, "is a share"),
        ({"pronouns": 0.5, "data": "x.txt"}, "leave out <data>"),
    ],
)
def test_pronouns_that_cannot_be_asked_for_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as found:
        FillGaps(**settings)
    assert message in found.value.text
