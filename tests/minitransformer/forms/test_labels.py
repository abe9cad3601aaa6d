"""Labels: how sentences and their labels become a batch, are read, answered and rated."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, nn
from minitransformer.batch import IGNORE
from minitransformer.forms import Found, Labels
from minitransformer.tokens import TOKENISERS, Special, Tokeniser, Words
from minitransformer.tokens.tokeniser import BERT

PAD, BOS, EOS, UNK, _ = Special()

FORM = Labels(Words.train(["a b c"]), ("bad", "fair", "good"), max_source=4)


class First(nn.Module):
    """A model that finds the label most likely whose number is the first token's, less 4."""

    def __init__(self) -> None:
        self.dropout = nn.Dropout(0.5, np.random.default_rng(0))

    def forward(self, source: Any) -> Tensor:
        assert not self.training
        return Tensor(np.eye(3)[np.asarray(source)[:, 0] - 4])


def test_a_batch_is_the_sentences_filled_up_and_the_number_of_each_label() -> None:
    batch = FORM.batch([([4, 5, 6], 2), ([6], 0)])
    (source,) = batch.inputs
    assert source.tolist() == [[4, 5, 6], [6, PAD, PAD]]
    assert batch.labels.tolist() == [2, 0]
    assert source.dtype == batch.labels.dtype == np.int64
    assert IGNORE not in batch.labels
    assert batch.tokens == 4


def test_what_it_asks_of_a_model() -> None:
    assert FORM.shape._asdict() == {
        "form": "labels", "vocab": 7, "classes": 3, "source": 4, "target": 1, "pad": PAD,
    }  # fmt: skip
    assert FORM.choices == ("bad", "fair", "good")
    assert FORM.tokenisers == {"source": FORM.source}


def test_a_sentence_is_framed_as_its_tokeniser_frames_it() -> None:
    form = Labels(Words.train(["a b c"], special=BERT), FORM.labels, max_source=4)
    assert form.source.spell(form.read("a b")) == ["[CLS]", "a", "b", "[SEP]"]
    assert form.text(form.read("a b")) == "a b"
    with pytest.raises(ValueError, match="3 tokens are more than the 2 that this run's model"):
        form.read("a b c")


def test_a_sentence_is_read_with_what_is_unknown_as_unk() -> None:
    assert FORM.read("b ? a ?") == [5, UNK, 4, UNK]
    assert FORM.unknown("b ? a ?") == ["?"]
    assert FORM.text([5, UNK]) == "b <unk>"
    assert FORM.is_known(([5, 4], 0))
    assert not FORM.is_known(([5, UNK], 0))


@pytest.mark.parametrize(
    ("text", "fault"), [("", "the text is empty"), ("a a a a a", "5 tokens are more than the 4")]
)
def test_a_sentence_that_cannot_be_answered_is_refused(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        FORM.read(text)


def test_a_label_is_read_written_and_spelled() -> None:
    assert FORM.read_answer("good") == 2
    assert FORM.write(2) == "good"
    assert FORM.spell(2) == FORM.asked(([4], 2)) == ["good"]
    assert FORM.sides(([4, 5], 2)) == {"source": ["a", "b"]}
    with pytest.raises(ValueError, match="no label 'superb'; there are bad, fair, good"):
        FORM.read_answer("superb")


def test_the_answer_is_the_likeliest_label_with_dropout_off() -> None:
    model = First()
    assert FORM.answer(model, [[6, 4], [4], [5, 5, 5]]) == [2, 0, 1]
    assert model.training


def test_more_beams_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="a label is one step"):
        FORM.answer(First(), [[4]], beam=3)


def test_a_spoilt_model_does_not_answer() -> None:
    class Spoilt(First):
        def forward(self, source: Any) -> Tensor:
            return super().forward(source) * np.nan

    with pytest.raises(ValueError, match="its weights are spoilt"):
        FORM.answer(Spoilt(), [[4]])


def test_the_share_of_right_labels_is_the_accuracy() -> None:
    examples = [([4], 0), ([5], 1), ([6], 2), ([4], 1)]

    def never() -> list[Any]:
        raise AssertionError("one look at the logits is enough")

    assert FORM.rate(examples, Found(loss=0.5, accuracy=3 / 4), never) == {"accuracy": 3 / 4}
    assert (FORM.metric, FORM.perfect) == ("accuracy", 1)


@pytest.mark.parametrize("kind", TOKENISERS.values())
def test_a_form_comes_back_from_its_state(kind: type[Tokeniser]) -> None:
    form = Labels(kind.train(["some words"]), FORM.labels, 4)
    assert Labels.restore(json.loads(json.dumps(form.state()))) == form


def test_a_form_of_before_wrote_down_the_tokens_of_its_tokeniser_alone() -> None:
    state = FORM.state()
    state |= {"source_vocabulary": state.pop("source")["tokens"], "token_kind": "word"}
    assert Labels.restore({"config": {"task": "labels"}, **state}) == FORM
