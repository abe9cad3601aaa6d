"""Glosses: every way of training is tried, and MiniLM where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.mode import no_grad
from minitransformer import finetuning
from minitransformer.finetuning import ALL_WAYS
from minitransformer.interop.published import load_published
from minitransformer.settings import SettingError
from minitransformer.studies import glosses, workers
from minitransformer.studies.glosses import (
    MINILM,
    Glosses,
    encode,
    is_installed,
    share_of_head,
)  # fmt: skip

SMALL = Glosses(steps=2, d_model=8, subwords=300, seeds=2)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few glosses and steps, in this process."""
    texts, rows = glosses.unlabelled()[:60], glosses.unseen()[::50]
    monkeypatch.setattr(workers, "CORES", 1)
    monkeypatch.setitem(finetuning.USUAL, "steps", 1)
    monkeypatch.setattr(glosses, "COUNTS", (1, 2))
    monkeypatch.setattr(glosses, "unlabelled", lambda: texts)
    monkeypatch.setattr(glosses, "unseen", lambda: rows)


@pytest.mark.parametrize("installed", [False, True])
def test_each_way_is_tried_with_each_seed(
    few: None, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    monkeypatch.setattr(glosses, "is_installed", lambda name: installed)
    monkeypatch.setattr(
        glosses, "encode", lambda texts: np.random.default_rng(0).random((len(texts), 3))
    )
    found = SMALL.find()
    ways = [*ALL_WAYS, MINILM] if installed else [*ALL_WAYS]
    for own in found.numbers["right"].values():
        assert [*own] == ways
        assert all(len(shares) == 2 for shares in own.values())
    assert found.numbers["chance"] == 1 / 8
    assert any("pip install" in sentence for sentence in found.says) is not installed


@pytest.mark.parametrize(("name", "value"), [("d_model", 30), ("learning_rate", -1.0)])
def test_settings_that_make_no_sense_are_refused_before_anything_is_read(
    name: str, value: float
) -> None:
    with pytest.raises(SettingError, match=name):
        Glosses(**{name: value})


def test_a_head_tells_vectors_apart_that_a_line_divides() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(60, 4)).astype(np.float32), rng.integers(2, size=60)
    x[:, 0] = 4 * labels - 2
    assert share_of_head(x[:30], labels[:30], x[30:], labels[30:]) == 1
    assert share_of_head(x[:30, 1:], labels[:30], x[30:, 1:], labels[30:]) < 0.8


@pytest.mark.skipif(not is_installed("minilm"), reason="MiniLM is not installed")
def test_a_text_has_the_same_vector_in_any_company() -> None:
    texts = ["a tame animal", "a liquid food that one eats with a spoon", "x"]
    model, form, _ = load_published("minilm")
    reader = getattr(model, "reader", model)
    for text, vector in zip(texts, encode(texts), strict=True):
        with no_grad():
            alone = reader.eval()(np.array([form.read(text)])).data[0]
        np.testing.assert_allclose(vector, alone.mean(axis=0), atol=1e-5)
