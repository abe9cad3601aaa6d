"""The task text: where its windows are from, what is held out, and files of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.settings import SettingError
from minitransformer.tasks.corpus import NOVEL
from minitransformer.tasks.files import DataError
from minitransformer.tasks.text import HELD_OUT, NextToken, NextTokens
from minitransformer.tokens import TOKENISERS, TokenKind
from minitransformer.tokens.tokeniser import END_OF_TEXT

CONTEXT = 8


def words(count: int, first: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(first, first + count))


def loaded(folder: Path, content: str | bytes, seed: int = 0, **settings: Any) -> NextTokens:
    path = folder / "some.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    given = {"tokens": "word", "context": CONTEXT, **settings}
    return NextToken(data=str(path), **given).load(seed)


def text_of(data: NextTokens, example: Any) -> list[str]:
    """All tokens of a window: those that are read, and the last one, which is asked for."""
    read, asked = example
    assert read[1:] == asked[:-1]
    return data.form.source.spell([*read, asked[-1]])


def test_each_token_of_a_window_is_asked_for_where_those_before_it_are_read(tmp_path: Path) -> None:
    data = loaded(tmp_path, words(100))
    rng = np.random.default_rng(0)
    for example in data.sample(rng, 20):
        tokens = text_of(data, example)
        assert len(tokens) == CONTEXT + 1
        first = int(tokens[0][1:])
        assert tokens == words(CONTEXT + 1, first).split()


@pytest.mark.parametrize("tokens", ["word", "char"])
def test_windows_to_train_on_are_from_the_first_part_alone_and_from_all_of_it(
    tokens: str, tmp_path: Path
) -> None:
    data = loaded(tmp_path, words(100), held_out=0.3, tokens=tokens)
    rng = np.random.default_rng(0)
    drawn = {tuple(text_of(data, example)) for example in data.sample(rng, 5000)}
    learned = data.form.source.encode(data.corpus.text_at(0, len(data.corpus.training)))
    length = CONTEXT + 1
    windows = (learned[start : start + length] for start in range(len(learned) - length + 1))
    assert drawn == {tuple(data.form.source.spell(window)) for window in windows}


@pytest.mark.parametrize("tokens", ["word", "char", "bpe"])
@pytest.mark.parametrize("context", [2, 7, 8])
def test_windows_in_a_row_cover_what_is_held_out_once(
    tokens: str, context: int, tmp_path: Path
) -> None:
    data = loaded(tmp_path, words(120), held_out=0.5, tokens=tokens, subwords=300, context=context)
    (piece,) = data.corpus.pieces(data.corpus.held_out, 10_000)
    whole = data.form.source.encode(piece)
    windows = [*data.held_out()]
    assert all(2 <= len(window) <= context + 1 for window in windows)
    asked = [number for window in windows for number in window[1:]]
    assert [windows[0][0], *asked] == whole
    tests = [[*read, asked[-1]] for read, asked in data.test]
    assert sorted(tests) == sorted(windows)
    assert tests != windows  # any first part of them is a fair sample


def test_of_much_text_pieces_from_everywhere_are_held_out(tmp_path: Path) -> None:
    content = words(150_000)
    data = loaded(tmp_path, content, held_out=0.9, tokens="char", context=63)
    assert len(data.test) == HELD_OUT // 64
    shown = [int(x[1:]) for text, _ in data.test_texts for x in text.split()[1:-1]]
    tenths = {number // 15_000 for number in shown}
    assert tenths == set(range(1, 10))


def test_a_long_context_holds_out_no_more_tokens(tmp_path: Path) -> None:
    data = loaded(tmp_path, words(60_000), held_out=0.5, tokens="char", context=10_000)
    assert sum(len(asked) for _, asked in data.test) <= HELD_OUT + 10_000


def test_the_same_seed_holds_out_the_same_in_the_same_order(tmp_path: Path) -> None:
    first, again, other = (loaded(tmp_path, words(2000), seed) for seed in (3, 3, 4))
    assert first.test == again.test != other.test
    assert sorted(first.test) == sorted(other.test)


def test_the_training_stream_depends_on_its_generator_alone(tmp_path: Path) -> None:
    data, other = loaded(tmp_path, words(200)), loaded(tmp_path, words(200), seed=5)
    rng = np.random.default_rng(7)
    data.sample(rng, 3)
    kept = rng.bit_generator.state
    after = data.sample(rng, 3)
    rng = np.random.default_rng()
    rng.bit_generator.state = kept
    assert other.sample(rng, 3) == after


def test_the_bundled_novel_is_the_default() -> None:
    data = NextToken(tokens="char").load(0)
    assert data.corpus.path == NOVEL
    assert data.name == "pride-and-prejudice"
    assert len(data.form.source) < 100


def test_a_file_gives_the_data_its_name(tmp_path: Path) -> None:
    data = loaded(tmp_path, words(100))
    assert data.name == "some.txt"
    assert data.checksum == data.corpus.checksum
    assert data.measure([]) == {}


@pytest.mark.parametrize("tokens", ["word", "char", "wordpiece"])
def test_what_training_has_not_is_unknown_but_where_tokens_are_of_bytes(
    tokens: str, tmp_path: Path
) -> None:
    content = words(100) + " ж" * 20
    special = loaded(tmp_path, content, tokens=tokens, subwords=300).form.source.special
    assert special.unk is not None
    assert special.pad == special.bos == special.eos != special.unk
    data = loaded(tmp_path, content, tokens="bpe", subwords=300)
    assert data.form.source.special.unk is None
    assert data.form.source.tokens[data.form.source.special.eos] == END_OF_TEXT["eos"]
    (piece,) = data.corpus.pieces(data.corpus.held_out, 10_000)
    assert data.form.source.decode(data.form.source.encode(piece)) == piece


@pytest.mark.parametrize("tokens", ["word", "char"])
def test_of_many_words_the_most_frequent_are_known(
    tokens: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitransformer.tasks.text.MOST_WORDS", 9)
    source = loaded(tmp_path, "often " * 50 + words(200), tokens=tokens).form.source
    assert len(source) == 9
    assert ("often" if tokens == "word" else "w") in source.words


@pytest.mark.parametrize("tokens", ["word", "char", "bpe", "wordpiece"])
@pytest.mark.parametrize(
    "content",
    [
        words(40),
        words(40).replace(" ", "\n"),
        words(40).replace(" ", "\r\n"),
        "\ufeff" + words(40),
        "言葉と文字の列。🙂" * 30,
        "one line without an end " * 10,
    ],
    ids=["one line", "lines", "CRLF", "BOM", "no spaces", "repeated"],
)
def test_texts_of_all_kinds_have_windows(content: str, tokens: str, tmp_path: Path) -> None:
    data = loaded(tmp_path, content.encode(), tokens=tokens, subwords=300, held_out=0.4)
    examples = [*data.sample(np.random.default_rng(0), 5), *data.test]
    batch = data.form.batch(examples)
    assert batch.inputs[0].shape[1] <= CONTEXT
    assert batch.inputs[0].min() >= 0 and batch.inputs[0].max() < len(data.form.source)
    assert not [text for text, _ in data.test_texts if "\r" in text or "\ufeff" in text]


@pytest.mark.parametrize("tokens", ["word", "char", "bpe", "wordpiece"])
@pytest.mark.parametrize(
    "content", ["", " ", "\n\r\n\t ", "a", "ab", "a b", "word", "two words", " " * 500 + "a b"]
)
def test_too_little_text_is_one_line_or_windows_of_two_tokens(
    content: str, tokens: str, tmp_path: Path
) -> None:
    try:
        data = loaded(tmp_path, content, tokens=tokens, subwords=300)
    except DataError as error:
        assert "\n" not in str(error)
        assert str(tmp_path / "some.txt") in str(error)
        return
    examples = [*data.sample(np.random.default_rng(0), 5), *data.test]
    assert data.test and all(read and asked for read, asked in examples)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (words(100) + " " * 40, "hardly any tokens to hold out; give more text"),
        (" " * 400 + words(10), "hardly any tokens to train on; give more text"),
        (" \n" * 9, "the file is empty"),
        (b"caf\xe9 " * 9, "not UTF-8; save it as UTF-8"),
    ],
)
def test_what_cannot_be_learned_from_is_told(
    content: str | bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=said):
        loaded(tmp_path, content)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"held_out": 0.0}, "<held_out> is a share between 0 and 1, not 0.0"),
        ({"held_out": 1.0}, "<held_out> is a share between 0 and 1, not 1.0"),
        ({"context": 1}, "<context> must be at least 2, not 1"),
        ({"subwords": 299}, "<subwords> must be at least 300, not 299"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as error:
        NextToken(**settings)
    assert error.value.text == said


@pytest.mark.parametrize("tokens", TOKENISERS)
def test_bits_that_tell_only_a_part_of_the_text_are_noted(tokens: TokenKind) -> None:
    found = NextToken(tokens=tokens).load(seed=0).notes
    assert bool(found) == (tokens in ("word", "wordpiece"))
    assert all(f"--tokens {tokens} knows not every word" in note for note in found)
