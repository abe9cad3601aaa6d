"""What a run folder answers: text in, text out, and one clear line for what cannot be answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from minigrad.files import FileError
from minitransformer.answering import Predictor
from minitransformer.batch import pad_rows
from minitransformer.decoding import SPECIAL, beam_search, drawing, greedy, sample
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError
from minitransformer.tokens import BytePairs, Characters, WordPiece
from minitransformer.training import Trainer
from tests.minitransformer.interop.folders import with_tokeniser

UNK = SPECIAL.unk

TINY: dict[str, Any] = {
    "task": "reverse", "length": 4, "vocab": 5, "steps": 40, "batch_size": 16,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 5,
}  # fmt: skip


def trained(path: Path, **changes: Any) -> Trainer:
    """A trainer at the end of its run, which it has saved in a folder."""
    settings = {**TINY, **changes}
    if settings["task"] == "pairs":
        del settings["length"], settings["vocab"]
    trainer = Trainer(Recipe.read(settings))
    run = Run.create(path, trainer.recipe.flat())
    list(trainer.run())
    run.save(*trainer.state())
    return trainer


@contextmanager
def one_line_error(kind: type[ValueError], *parts: object) -> Iterator[None]:
    """A block that must raise an error of one line in which all the parts stand."""
    with pytest.raises(kind) as error:
        yield
    assert "\n" not in str(error.value)
    for part in parts:
        assert str(part) in str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def trainer(folder: Path) -> Trainer:
    return trained(folder)


@pytest.fixture(scope="module")
def predictor(folder: Path, trainer: Trainer) -> Predictor:
    return Predictor(folder)


@pytest.fixture
def characters(tmp_path: Path) -> Trainer:
    """A run on pairs of texts, characters as tokens, whose file is gone again."""
    data = tmp_path / "pairs.tsv"
    data.write_text("été\tsummer\nhiver\twinter\nprintemps\tspring\n", encoding="utf-8")
    trainer = trained(
        tmp_path / "run", task="pairs", data=str(data), tokens="char", held_out=0.3, steps=3
    )
    data.unlink()
    return trainer


def test_the_model_is_the_one_that_the_run_ended_with(
    predictor: Predictor, trainer: Trainer
) -> None:
    assert predictor.recipe == trainer.recipe
    ours, theirs = predictor.model.state_dict(), trainer.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        assert x.tobytes() == theirs[name].tobytes()


SOURCES = [[4, 5, 6, 7], [8], [6, 6, 4], [5, 8]]


def test_an_answer_is_the_models_likeliest_sequence_as_text(
    predictor: Predictor, trainer: Trainer
) -> None:
    answers = greedy(trainer.model, pad_rows(SOURCES, SPECIAL.pad), 5)
    assert predictor.answer(SOURCES) == [
        " ".join(str(token - 4) for token in answer) for answer in answers
    ]
    assert len(set(predictor.answer(SOURCES))) > 1  # it has learned to tell them apart
    texts = [predictor.form.text(source) for source in SOURCES]
    assert predictor.answer(texts) == predictor.answer(SOURCES)
    assert predictor.answer(texts[1]) == [predictor.answer(SOURCES)[1]]


@pytest.mark.parametrize("beam", [1, 3])
def test_a_source_is_answered_the_same_alone_and_among_others(
    predictor: Predictor, beam: int
) -> None:
    together = predictor.answer(SOURCES, beam)
    assert [predictor.answer([source], beam)[0] for source in SOURCES] == together
    assert predictor.answer(SOURCES, beam, batch_size=3) == together


def test_more_than_one_beam_is_a_beam_search(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def noting_search(model: Any, source: Any, length: int, beam_size: int, **rest: Any) -> Any:
        sizes.append(beam_size)
        return beam_search(model, source, length, beam_size, **rest)

    monkeypatch.setattr("minitransformer.forms.pairs.beam_search", noting_search)
    predictor.answer(SOURCES, beam=3)
    predictor.answer(SOURCES)
    assert sizes == [3]


def test_no_sources_have_no_answers(predictor: Predictor) -> None:
    assert predictor.answer([]) == []


@given(st.lists(st.integers(4, 8), min_size=1, max_size=4))
def test_a_source_is_written_as_text_and_read_again(
    predictor: Predictor, source: list[int]
) -> None:
    assert predictor.form.read(predictor.form.text(source)) == source


def test_white_space_around_symbols_does_not_matter(predictor: Predictor) -> None:
    assert predictor.form.read(" 0  1\t2\n") == [4, 5, 6]


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_an_empty_text_is_refused(predictor: Predictor, text: str) -> None:
    with one_line_error(ValueError, "the text is empty"):
        predictor.form.read(text)


def test_a_text_of_more_tokens_than_the_model_holds_is_refused(predictor: Predictor) -> None:
    assert len(predictor.form.read("0 1 2 3")) == 4
    with one_line_error(ValueError, "5 tokens are more than the 4"):
        predictor.form.read("0 1 2 3 4")


def test_a_target_leaves_room_for_its_end(predictor: Predictor) -> None:
    assert predictor.form.max_target == 5
    assert len(predictor.form.read_answer("0 1 2 3")) == 4
    with one_line_error(ValueError, "a target of 5 tokens and its end are more than 5"):
        predictor.form.read_answer("0 1 2 3 4")


@pytest.mark.parametrize("token", ["5", "x", "_eos", "01", "٣"])
def test_a_symbol_that_a_task_does_not_have_is_refused(predictor: Predictor, token: str) -> None:
    with one_line_error(ValueError, f"unknown token {token!r}; this run knows 0 to 4"):
        predictor.form.read(f"0 {token}")


def test_a_token_that_the_data_did_not_have_is_read_as_unknown(
    characters: Trainer, tmp_path: Path
) -> None:
    predictor = Predictor(tmp_path / "run")
    seen = characters.form.tokenisers["source"].words
    assert predictor.form.unknown(f"{seen[0]}?{seen[1]}?") == ["?"]
    assert predictor.form.read(f"{seen[0]}?{seen[1]}") == [4, UNK, 5]


def test_characters_are_answered_without_the_file_that_taught_them(
    characters: Trainer, tmp_path: Path
) -> None:
    predictor = Predictor(tmp_path / "run")
    source, _ = characters.data.test[0]
    answer = greedy(characters.model, [source], predictor.form.max_target)[0]
    assert predictor.answer([source]) == ["".join(predictor.form.spell(answer))]


def test_an_inspection_is_that_of_every_layer_and_head_over_the_answer(
    predictor: Predictor,
) -> None:
    source = predictor.form.read("3 1 4")
    inspection = predictor.inspect(source)
    answer = predictor.answer([source])[0].split()
    assert inspection.source == ["3", "1", "4"]
    assert inspection.read == ["<bos>", *answer]
    assert inspection.target == [*answer, "<eos>"]
    assert {layer.path: layer.weights.shape for layer in inspection.layers} == {
        "encoder.layers.0.self_attention": (2, 3, 3),
        "decoder.layers.0.self_attention": (2, len(answer) + 1, len(answer) + 1),
        "decoder.layers.0.cross_attention": (2, len(answer) + 1, 3),
    }
    for layer in inspection.layers:
        np.testing.assert_allclose(layer.weights.sum(-1), 1, rtol=1e-5)
    assert not np.triu(inspection.layers[1].weights, 1).any()


def test_an_inspection_of_an_answer_without_end_is_over_what_was_read(tmp_path: Path) -> None:
    trainer = trained(tmp_path, steps=1)
    trainer.optimizer.values[-9:] = np.eye(9)[4] * 100  # the projection's bias: "0", for ever
    Run.open(tmp_path).save(*trainer.state())
    predictor = Predictor(tmp_path)
    assert predictor.answer([[5]]) == ["0 0 0 0 0"]
    inspection = predictor.inspect([5])
    assert inspection.read == ["<bos>", "0", "0", "0", "0"]
    assert inspection.target == ["0", "0", "0", "0", "0"]


def test_an_inspection_names_what_is_unknown(characters: Trainer, tmp_path: Path) -> None:
    inspection = Predictor(tmp_path / "run").inspect([4, UNK])
    assert inspection.source == [characters.form.tokenisers["source"].words[0], "<unk>"]


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with one_line_error(RunError, tmp_path, "holds no run"):
        Predictor(tmp_path)


def test_a_run_without_a_model_is_named(tmp_path: Path) -> None:
    Run.create(tmp_path, Recipe.read({"task": "copy"}).flat())
    with one_line_error(FileError, "cannot read", tmp_path / "model.safetensors", "No such file"):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d_model = 8", "d_model = 16", "d_model: 8 in the run, 16 asked for"),
        ("heads = 2", "heads = 4", "heads: 2 in the run, 4 asked for"),  # the weights would fit
        ('"relu"', '"gelu"', "activation: relu in the run, gelu asked for"),
        ("heads = 2", "head = 2", "config.toml: no setting 'head'"),
        ("vocab = 5", "vocab = 5.0", "config.toml: vocab must be a whole number, not 5.0"),
        ('"reverse"', "true", "config.toml: task must be a text, not True"),
        ('"pre"', '"middle"', "config.toml: norm is one of post, pre, not 'middle'"),
        ("d_ff = 16", "d_ff =", "config.toml is malformed"),
    ],
)
def test_settings_that_were_edited_are_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    trained(tmp_path, steps=1)
    settings = tmp_path / "config.toml"
    text = settings.read_text()
    assert text.count(old) == 1
    settings.write_text(text.replace(old, new))
    with one_line_error(ValueError, tmp_path, message):
        Predictor(tmp_path)


def test_a_model_from_another_run_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a", steps=1)
    trained(tmp_path / "b", steps=1, task="copy", seed=3)
    (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
    with one_line_error(
        RunError, tmp_path / "a", "task: copy in the run, reverse asked for; seed: 3 in the run"
    ):
        Predictor(tmp_path / "a")


@pytest.mark.parametrize("damage", [lambda x: x[: len(x) // 2], lambda x: b"", lambda x: b"{}" * 9])
def test_a_damaged_model_is_named(tmp_path: Path, damage: Any) -> None:
    trained(tmp_path, steps=1)
    model = tmp_path / "model.safetensors"
    model.write_bytes(damage(model.read_bytes()))
    with one_line_error(RunError, model, "train the run again"):
        Predictor(tmp_path)


def a_text_run(folder: Path, tokens: str) -> Predictor:
    """A model that has read a text of characters of one to four bytes, though not for long."""
    path = folder / "text.txt"
    path.write_text("aé言🙂 " * 200, encoding="utf-8")
    sizes = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 2, "steps": 3}
    data = {"data": str(path), "tokens": tokens, "subwords": 300, "context": 12}
    trainer = Trainer(Recipe.read({"task": "text", **data, **sizes}))
    run = Run.create(folder / "run", trainer.recipe.flat())
    list(trainer.run())
    run.save(*trainer.state())
    return Predictor(run.path)


@pytest.mark.parametrize("tokens", ["char", "bpe", "word", "wordpiece"])
def test_a_text_goes_on_token_by_token(tokens: str, tmp_path: Path) -> None:
    predictor = a_text_run(tmp_path, tokens)
    prompt, tokeniser = "aé言🙂 aé", predictor.form.source
    numbers = np.array([tokeniser.encode(prompt)])
    (answer,) = sample(predictor.model, numbers, 40, 1.5, rng=2, special=tokeniser.special)
    whole = tokeniser.decode([*numbers[0], *answer])
    pieces = [*predictor.go_on(prompt, 40, drawing(1.5, rng=2))]
    assert len(pieces) == len(answer)
    assert whole.startswith(tokeniser.decode(numbers[0]) + "".join(pieces))
    rest = whole.removeprefix(tokeniser.decode(numbers[0]) + "".join(pieces))
    assert {*rest} <= {"\ufffd"}  # what has begun, and has not come to its end


def choosing(tokens: list[int]) -> Any:
    """What chooses these tokens, one after the other."""
    following = iter(tokens)
    return lambda logits: np.array([next(following)])


def test_a_character_is_written_when_all_of_its_bytes_are_there(tmp_path: Path) -> None:
    predictor = a_text_run(tmp_path, "bpe")
    number_of = predictor.form.source.number_of
    said = [number_of[x] for x in ("ð", "Ł", "Ļ", "Ĥ", "a", "Ã", "a", "Ã")]
    pieces = [*predictor.go_on("a", len(said), choosing(said))]
    assert pieces == ["", "", "", "🙂", "a", "", "\ufffda", ""]


def test_a_text_ends_where_the_model_ends_it(tmp_path: Path) -> None:
    predictor = a_text_run(tmp_path, "char")
    end = predictor.form.source.special.eos
    a = predictor.form.source.number_of["a"]
    assert [*predictor.go_on("a", 9, choosing([a, a, end, a]))] == ["a", "a"]
    assert [*predictor.go_on("a", 0)] == []


def test_what_cannot_go_on_is_told_before_anything_is_written(
    predictor: Predictor, tmp_path: Path
) -> None:
    with one_line_error(ValueError, "nothing to go on from"):
        a_text_run(tmp_path, "char").go_on("", 3)
    with one_line_error(
        ValueError, "is not for `minigrad generate`: ask it with `minigrad predict"
    ):
        predictor.go_on("1 2", 3)
    with one_line_error(ValueError, "is not for `minigrad fill`: ask it with `minigrad predict"):
        predictor.fill("1 [MASK]")


def test_a_long_text_takes_no_longer_for_each_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = a_text_run(tmp_path, "char")
    sizes = []
    decode = Characters.decode

    def watched(self: Characters, numbers: Any) -> str:
        sizes.append(len(numbers))
        return decode(self, numbers)

    monkeypatch.setattr(Characters, "decode", watched)
    a = predictor.form.source.number_of["a"]
    assert [*predictor.go_on("aa", 50, choosing([a] * 50))] == ["a"] * 50
    assert max(sizes) <= 3


def test_gaps_are_filled_and_their_candidates_told(tmp_path: Path) -> None:
    sizes = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 2, "steps": 3}
    trainer = Trainer(Recipe.read({"task": "masked", **sizes}))
    run = Run.create(tmp_path / "run", trainer.recipe.flat())
    list(trainer.run())
    run.save(*trainer.state())
    predictor = Predictor(run.path)
    filled, candidates = predictor.fill("I found the [MASK] [MASK]", 3)
    best = [tokens[0][0] for tokens in candidates]
    assert filled == f"I found the {best[0]} {best[1]}"
    assert [len(tokens) for tokens in candidates] == [3, 3]
    with one_line_error(ValueError, "no gap to fill: write [MASK] in the place of a word"):
        predictor.fill("the cat saw the dog .")


TEXTS = ["the cat sat on the mat"]


def test_a_published_language_model_writes_and_shows_its_attention(tmp_path: Path) -> None:
    pairs = BytePairs.train(TEXTS, 270)
    predictor = Predictor(with_tokeniser(tmp_path, pairs, "gpt2", len(pairs)))
    assert len([*predictor.go_on("the cat", 4)]) <= 4
    with pytest.raises(ValueError, match="was not made to answer messages: leave out --chat"):
        [*predictor.go_on("the cat", 4, chat=True)]
    inspection = predictor.inspect(predictor.form.read("the cat"))
    assert "".join(inspection.source) == "the cat"
    assert len(inspection.layers) == 2


def test_a_published_bert_fills_gaps(tmp_path: Path) -> None:
    pieces = WordPiece.train(TEXTS, 40)
    predictor = Predictor(with_tokeniser(tmp_path, pieces, "bert", len(pieces)))
    text, candidates = predictor.fill("the [MASK] sat", 3)
    assert "[MASK]" not in text and [len(x) for x in candidates] == [3]
    with pytest.raises(ValueError, match="is not for `minigrad generate`: ask it with"):
        [*predictor.go_on("the", 4)]


def test_a_published_reader_has_no_answers(tmp_path: Path) -> None:
    pieces = WordPiece.train(TEXTS, 40)
    folder = with_tokeniser(tmp_path, pieces, "bert", len(pieces))
    tensors = load_file(folder / "model.safetensors")
    kept = {name: x for name, x in tensors.items() if not name.startswith("cls.")}
    save_file(kept, folder / "model.safetensors")
    predictor = Predictor(folder)
    assert not predictor.answers
    ask: list[Callable[[], object]] = [
        lambda: predictor.answer("the"), lambda: predictor.fill("the [MASK]"),
        lambda: predictor.go_on("the", 4), lambda: predictor.inspect([1, 2, 3]),
    ]  # fmt: skip
    for each in ask:
        with pytest.raises(ValueError, match="has no head that answers: fine-tune it"):
            each()
