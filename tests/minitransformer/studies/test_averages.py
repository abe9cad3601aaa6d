"""Averages: what changes the output of a norm although the sentence stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad import nn
from minitransformer.studies.averages import FEATURES, MORE, SHOWN, FirstLayer, compare


@pytest.fixture(scope="module")
def first() -> FirstLayer:
    return FirstLayer(seed=1)


def test_a_sentence_changes_a_layer_norm_alone_and_its_company_a_batch_norm_in_training() -> None:
    beside, padding, mode, token = compare(seed=1).values()
    for layer, training, evaluation in (beside, padding):
        assert layer < 1e-6 and evaluation < 1e-6
        assert training > 0.1
    assert mode[0] == 0 and mode[1] > 0.1 and mode[2] == 0
    assert token[0] > 0.5 and token[1] == 0 and token[2] > 0.5


def test_a_batch_norm_by_hand_agrees_with_the_module(first: FirstLayer) -> None:
    x = first.read(SHOWN).x
    by_hand = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5)
    np.testing.assert_allclose(nn.BatchNorm(FEATURES)(x).data, by_hand, atol=1e-5)


def test_padding_is_hidden_from_the_activations_themselves(first: FirstLayer) -> None:
    few, many = first.read(SHOWN), first.read(SHOWN, MORE)
    assert many.x.shape[1] == few.x.shape[1] + MORE
    np.testing.assert_allclose(many.x[:, :-MORE][few.known], few.x[few.known], atol=1e-5)
    assert [len(tokens) for tokens in few.tokens] == few.known.sum(axis=1).tolist()


def test_sentences_that_are_shown_have_known_words_alone(first: FirstLayer) -> None:
    assert [" ".join(tokens) for tokens in first.read(SHOWN).tokens] == [*SHOWN]
