"""The classifier: which encoders it may have, and what its head makes of what they read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minitransformer.batch import Shape
from minitransformer.models.bert import BertReader
from minitransformer.models.classifier import Classifier, ClassifierSettings
from minitransformer.models.recurrent import RecurrentReader
from minitransformer.models.transformer import TransformerReader
from minitransformer.settings import SettingError

SHAPE = Shape("labels", vocab=9, classes=3, source=6, target=1)
ENCODERS = ["transformer", "rnn", "gru", "lstm", "lstm-attention", "bert"]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_any_model_that_reads_a_text_can_be_its_encoder(encoder: str) -> None:
    settings = ClassifierSettings(encoder=encoder, d_model=8, layers=1)
    model = settings.build(SHAPE, nn.source(0))
    assert isinstance(model.reader, TransformerReader | RecurrentReader | BertReader)
    assert model(np.array([[4, 5, 6], [7, 0, 0]])).shape == (2, 3)
    own = settings.of_encoder()
    assert (own.name, own.d_model, own.layers) == (encoder, 8, 1)
    assert settings.floats(SHAPE) == own.floats(SHAPE) // 2 > 0


@pytest.mark.parametrize("encoder", ["classifier", "gpt", ""])
def test_no_other_can_be_and_it_says_which_can(encoder: str) -> None:
    with pytest.raises(SettingError) as error:
        ClassifierSettings(encoder=encoder)
    assert str(error.value) == f"encoder is one of {', '.join(ENCODERS)}, not {encoder!r}"


def test_a_setting_that_its_encoder_would_ignore_is_refused() -> None:
    with pytest.raises(SettingError) as error:
        ClassifierSettings(encoder="rnn", heads=2)
    assert str(error.value) == "heads means nothing to encoder rnn; leave it out"
    assert ClassifierSettings(encoder="transformer", heads=2).of_encoder().heads == 2


@pytest.mark.parametrize("changes", [{"d_model": 0}, {"dropout": 1.0}, {"heads": 3}])
def test_what_its_encoder_would_refuse_it_refuses_too(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        ClassifierSettings(**changes)


class Numbers(nn.Module):
    """Reads each token as its own number."""

    width = 1

    def forward(self, source: Any) -> Any:
        return np.asarray(source, dtype=float)[..., None]


def test_the_head_sees_the_mean_of_all_tokens_but_padding() -> None:
    model = Classifier(Numbers(), classes=2, pad=7, rng=nn.source(0))
    found = model(np.array([[2, 4, 9], [3, 7, 7]]))
    np.testing.assert_allclose(found.data, model.projection(np.array([[5.0], [3.0]])).data)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_deeper_a_layer_the_more_slowly_it_learns(encoder: str) -> None:
    positions = "learned" if encoder == "bert" else "sinusoidal"
    settings = ClassifierSettings(encoder=encoder, d_model=8, layers=2, positions=positions)
    model = settings.build(SHAPE, nn.source(0))
    names = [name for name, _ in model.named_parameters()]
    for name, rate in zip(names, model.rates(0.5), strict=True):
        if name.startswith("projection"):
            assert rate == 1
        elif "layers.1" in name or name.startswith("reader.encoder.norm"):
            assert rate == 0.5
        elif "layers.0" in name:
            assert rate == 0.25
        else:
            assert "embedding" in name or name.startswith(("reader.segments", "reader.norm"))
            assert rate == 0.125
    assert model.rates(1.0) == [1.0] * len(names)
    assert {*model.rates(0.0)} == {0.0, 1.0}
    assert sum(model.rates(0.0)) == 2  # weight and bias of the head
