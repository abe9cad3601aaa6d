"""Context: what models of one size keep of long sequences, tested on what none has seen."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from minitransformer.settings import SettingError
from minitransformer.studies import context, workers
from minitransformer.studies.context import (
    RATES,
    Context,
    Learned,
    Learner,
    learn,
    lengths_of,
    train,
    unseen,
    with_room,
)
from minitransformer.studies.sizes import equally_large
from minitransformer.tasks import TASKS

STREAM = TASKS["reverse"](length=8).load(0, held_out=200 * 8)
FORM = with_room(STREAM)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other processes, and what each model learns cannot be seen there."""
    monkeypatch.setattr(workers, "CORES", 1)


def test_sequences_that_are_tested_are_right_of_their_length_and_never_trained() -> None:
    rng = np.random.default_rng(0)
    trained = {tuple(source) for source, _ in STREAM.sample(rng, 5_000)}
    for length in lengths_of(8):
        examples = unseen(STREAM, length, rng)
        assert len(examples) == (10 if length == 2 else 200)
        assert all(len(source) == length and target == source[::-1] for source, target in examples)
        assert not trained & {tuple(source) for source, _ in examples}


@pytest.mark.parametrize("name", RATES)
def test_models_have_places_for_the_longest_sequence_that_is_tested(name: str) -> None:
    model = equally_large([name], 8, FORM.shape)[name].build(FORM.shape, np.random.default_rng(0))
    longest = unseen(STREAM, 16, np.random.default_rng(0))[:2]
    (source, target), _, _ = FORM.batch(longest)
    assert model(source, target).shape == (2, 17, len(FORM.target))
    assert all(len(x) <= 17 for x in FORM.answer(model, [x for x, _ in longest]))


def tick(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so many seconds of processor time pass whenever somebody asks for it."""
    times = (i * seconds for i in count())
    monkeypatch.setattr(context.time, "process_time", lambda: next(times))


def test_a_model_learns_for_its_processor_time_at_a_rate_that_falls_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = []
    tick(monkeypatch, seconds=1 / 100)
    monkeypatch.setattr(context, "WARMUP", 20)

    class Watched(context.AdamW):
        def step(self) -> None:
            rates.append(self.learning_rate)
            super().step()

    monkeypatch.setattr(context, "AdamW", Watched)
    rng = np.random.default_rng(0)
    model = equally_large(["rnn"], 4, FORM.shape)["rnn"]
    steps = train(
        model.build(FORM.shape, rng), FORM, STREAM, Learner(STREAM.task, model, 1e-2, 0, 1), rng
    )
    assert steps == len(rates) == 99
    assert rates[:20] == pytest.approx(1e-2 * np.arange(1, 21) / 20)
    assert rates[20:60] == pytest.approx([1e-2] * 40)
    assert rates[60:] == pytest.approx(1e-2 * np.arange(0.39, 0.005, -0.01) / 0.4)


@pytest.mark.slow
def test_a_model_knows_after_training_what_it_did_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tick(monkeypatch, seconds=1 / 400)
    task = TASKS["copy"](length=8)
    model = equally_large(["lstm"], 16, with_room(task.load(0)).shape)["lstm"]
    found = learn(Learner(task, model, 1e-2, 0, 1))
    assert found.before.shape == found.after.shape == (2, 7)
    assert found.before[0].max() == 0 and found.before[1].max() < 0.25
    assert found.after[0, 0] > 0.5 and found.after[1, 1] > 0.5


def invented(learner: Learner) -> Learned:
    """What is right: one more of a hundred with each seed, nothing beyond the trained lengths."""
    known = np.array([1, 0.9, 0.8, 0.7, 0, 0, 0]) - 0.01 * learner.seed
    return Learned(np.zeros((2, 7)), np.clip([known, known], 0, 1), 100 * (1 + learner.seed))


def test_a_finding_has_every_seed_the_controls_and_what_follows(
    one_core: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minitransformer.studies.context.learn", invented)
    found = Context(seeds=2).find()
    sizes, exact, symbols = found.tables
    assert [row[0] for row in sizes.rows] == [*RATES]
    assert exact.header[1:] == ("5", "10", "15", "20", "25*", "30*", "40*")
    assert exact.rows[0] == ("rnn, 0", "100", "90", "80", "70", "0", "0", "0")
    assert exact.rows[1] == ("rnn, 1", "99", "89", "79", "69", "0", "0", "0")
    assert exact.rows[-2][0] == "best untrained" and exact.rows[-1][1] == "1e-03"
    assert symbols.rows[-1] == ("blind guess", *["10"] * 7)
    assert "rnn 70 %" in found.says[0] or "rnn 69 %" in found.says[0]
    assert found.says[1] == (
        "Beyond it at most 0 % are right; at 40, twice as long, at most 0 %: none of them "
        "extrapolates."
    )
    assert found.says[2].startswith("Equal time is not equal steps.")
    assert "rnn 150, lstm 150, lstm-attention 150, transformer 150." in found.says[2]
    assert found.numbers["none_extrapolates"]
    assert found.numbers["models"]["lstm"]["steps"] == [100, 200]
    assert found.arrays["lstm"].shape == (2, 2, 7)


def test_a_model_that_does_extrapolate_is_named() -> None:
    nothing = Learned(np.zeros((2, 7)), np.zeros((2, 7)), 1)
    share = nothing.after.copy()
    share[0, 5:] = 0.6, 0.2
    found = {"rnn": [nothing], "transformer": [nothing, Learned(nothing.before, share, 1)]}
    assert Context().says(found)[1] == (
        "Beyond it at most 60 % are right, by the transformer at 30; at 40, twice as long, at most "
        "20 %."
    )


def test_a_task_without_lengths_is_refused() -> None:
    with pytest.raises(SettingError, match="is one of copy, reverse, sort, not 'text'"):
        Context(task="text")


def test_a_width_that_heads_do_not_divide_is_refused_in_words_of_the_command() -> None:
    with pytest.raises(SettingError, match="d_model must be a multiple of 4, the number of heads"):
        Context(d_model=50)
