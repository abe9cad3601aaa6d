"""Order: what is learned with positions and without, and what a guess of the order is worth."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from minitransformer.recipe import Recipe
from minitransformer.studies import order
from minitransformer.studies.order import Case, Outcome, learn, orders


@pytest.mark.parametrize("symbols", [[4], [4, 5, 6], [4, 4, 5], [4, 4, 5, 5, 6]])
def test_orders_are_the_distinct_permutations(symbols: list[int]) -> None:
    assert orders(symbols) == len({*permutations(symbols)})


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Trainings of a few steps."""
    return {kind: learn(Case("copy", kind, 4, 2, 1)) for kind in ("learned", "none")}


def test_without_positions_a_shuffled_source_gets_the_same_answer(
    outcomes: dict[str, Outcome],
) -> None:
    assert outcomes["none"].unmoved == 1
    assert outcomes["learned"].unmoved < 1


def test_what_shuffling_leaves_as_it_is_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that copies gives another answer to all that shuffling changes."""
    monkeypatch.setattr(order.Trainer, "answers", lambda self: [y for _, y in self.data.test])
    monkeypatch.setattr(order, "answer", lambda model, form, read, size: [x for x, _ in read])
    assert learn(Case("copy", "learned", 4, 1, 1)).unmoved == 0


def test_vectors_of_places_are_kept_as_they_were_and_as_they_are(
    outcomes: dict[str, Outcome],
) -> None:
    before, after = outcomes["learned"].before, outcomes["learned"].after
    assert before is not None
    assert after is not None
    assert before.shape == (4, 32)
    assert 0 < np.abs(after - before).max() < 0.1
    assert outcomes["none"].before is None


def test_the_guess_is_what_answers_in_a_random_order_come_to() -> None:
    task = Recipe.read({"task": "copy", "length": 4, "seed": 1}).task
    test, rng = task.load(1).test, np.random.default_rng(0)
    right = [
        np.mean([rng.permutation(target).tolist() == target for _, target in test])
        for _ in range(30)
    ]
    expected = np.mean([1 / orders(target) for _, target in test])
    assert np.mean(right) == pytest.approx(expected, abs=4 * np.std(right) / np.sqrt(len(right)))
