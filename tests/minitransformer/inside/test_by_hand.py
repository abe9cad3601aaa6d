"""Attention without parameters, step by step: every number is the engine's."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.ops.attention import scaled_dot_product_attention
from minitransformer.inside.by_hand import (
    HOW,
    Head,
    Step,
    matrix_of,
    without_parameters,
    word_by_word,
)
from minitransformer.inside.sentences import Sentence, from_seed
from minitransformer.parts.attention import causal_mask

TEXTS = ["money bank grows", "river bank flows"]


def titles(steps: list[Step]) -> list[str]:
    return [step.title for step in steps]


def test_the_notes_own_weights_give_the_notes_own_mixtures() -> None:
    (sentence,) = from_seed(["money bank grows"])
    weights = np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]])
    steps = without_parameters([sentence], [weights])
    money, bank, grows = sentence.vectors
    new = matrix_of(steps, "Y0").values
    np.testing.assert_allclose(new[0], 0.7 * money + 0.2 * bank + 0.1 * grows, rtol=1e-12)
    (step,) = (step for step in steps if step.title == "New vectors")
    assert step.notes[0] == "money′ = 0.7 money + 0.2 bank + 0.1 grows"
    assert "Dot products" not in titles(steps)


def test_each_step_is_what_it_says() -> None:
    sentences = from_seed(TEXTS)
    steps = without_parameters(sentences)
    for i, (_, v) in enumerate(sentences):
        scores, powers, weights, new = (matrix_of(steps, f"{x}{i}").values for x in "SEWY")
        np.testing.assert_allclose(scores, np.einsum("nd,md->nm", v, v), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(powers[:, :-1], np.exp(scores), rtol=1e-12)
        np.testing.assert_allclose(powers[:, -1], powers[:, :-1].sum(1), rtol=1e-12)
        np.testing.assert_allclose(weights, powers[:, :-1] / powers[:, -1:], rtol=1e-12)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-12)
        np.testing.assert_allclose(new, weights @ v, rtol=1e-12)
        scaled = v * v.shape[1] ** 0.5
        np.testing.assert_allclose(new, scaled_dot_product_attention(scaled, v, v).data, rtol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_word_by_word_and_the_matrix_equation_are_compared(causal: bool) -> None:
    sentences = from_seed(TEXTS)
    masks = [causal_mask(3)] * 2 if causal else None
    steps = without_parameters(sentences, masks=masks)
    (step,) = (step for step in steps if step.title == "All words at once")
    told = step.notes[0].removeprefix("word by word and as one matrix equation: they agree to ")
    error = 0.0 if told == "the last bit" else float(told)
    assert error < 1e-14
    apart = max(np.abs(x.values - x.by).max() for x in step.matrices)
    assert error == pytest.approx(apart, rel=0.5)


def test_word_by_word_is_a_way_of_its_own() -> None:
    rng = np.random.default_rng(0)
    query, key, value = rng.normal(size=(3, 4, 5))
    mask = causal_mask(4)
    found = word_by_word(Head(query, key, value, mask), 5**0.5)
    expected = scaled_dot_product_attention(query, key, value, mask=mask).data
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_same_word_is_compared_before_and_after() -> None:
    sentences = from_seed(TEXTS)
    steps = without_parameters(sentences)
    (table,) = (x for step in steps for x in step.matrices if x.how == "cosine")
    assert table.rows == ["bank"]
    a, b = (matrix_of(steps, f"Y{i}").values[1] for i in range(2))
    before, after = table.values[0]
    assert before == pytest.approx(1)
    assert after == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)))
    assert after < 0.99


def test_words_that_no_other_sentence_has_are_not_compared() -> None:
    for texts in (["money grows"], ["money grows", "river flows"]):
        steps = without_parameters(from_seed(texts))
        assert "The same word, before and after" not in titles(steps)


def test_of_three_sentences_each_pair_is_compared_and_named() -> None:
    steps = without_parameters(from_seed([*TEXTS, "a bank"]))
    (table,) = (x for step in steps for x in step.matrices if x.how == "cosine")
    assert table.rows == ["bank (1 and 2)", "bank (1 and 3)", "bank (2 and 3)"]


def test_a_mask_hides_later_words() -> None:
    steps = without_parameters(from_seed(TEXTS), masks=[causal_mask(3)] * 2)
    masked, weights = (matrix_of(steps, f"{x}1").values for x in "MW")
    assert np.array_equal(np.isneginf(masked), ~causal_mask(3))
    assert np.array_equal(weights == 0, ~causal_mask(3))
    assert weights[0, 0] == 1


def test_large_scores_do_not_overflow_and_it_is_said_what_is_taken_away() -> None:
    sentence = Sentence(["a", "b"], np.array([[30.0, 5.0], [28.0, -3.0]]))
    steps = without_parameters([sentence])
    powers = matrix_of(steps, "E0")
    assert np.isfinite(powers.values).all()
    assert powers.by.tolist() == [925.0, 825.0]
    (step,) = (step for step in steps if step.title == "Exponentials")
    assert "largest score is taken away" in step.sentence


def test_every_matrix_says_how_it_comes_about_from_earlier_ones() -> None:
    known: set[str] = set()
    for step in without_parameters(from_seed(TEXTS), masks=[causal_mask(3)] * 2):
        for matrix in step.matrices:
            assert matrix.how in HOW
            assert set(matrix.of) <= known
        assert not known & {x.key for x in step.matrices}
        known |= {x.key for x in step.matrices}


def test_given_weights_are_reckoned_word_by_word_too() -> None:
    (sentence,) = from_seed(["a b"])
    steps = without_parameters([sentence], [np.array([[0.25, 0.75], [1, 0]])])
    (step,) = (step for step in steps if step.title == "All words at once")
    assert step.formula == "Y = W V"
    (matrix,) = step.matrices
    np.testing.assert_allclose(matrix.by, matrix.values, rtol=1e-12)


def test_the_order_of_the_words_plays_no_part_unless_some_are_hidden() -> None:
    straight, turned = from_seed(["money bank grows", "grows bank money"])
    steps = without_parameters([straight, turned])
    new = [matrix_of(steps, f"Y{i}").values for i in range(2)]
    np.testing.assert_allclose(new[0], new[1][::-1], rtol=1e-12)
    assert "however one shuffles them" in steps[-1].sentence
    hidden = without_parameters([straight, turned], masks=[causal_mask(3)] * 2)
    new = [matrix_of(hidden, f"Y{i}").values for i in range(2)]
    assert not np.allclose(new[0], new[1][::-1])
    assert "shuffles" not in hidden[-1].sentence


def test_the_limits_lead_on() -> None:
    last = without_parameters(from_seed(TEXTS))[-1]
    assert "piece of cake" in last.sentence
    assert "a query, a key and a value" in last.sentence
