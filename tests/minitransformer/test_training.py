"""Training: what a step does, what a run gives, when it ends, and that it goes on to the bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

from minitransformer import training
from minitransformer.batch import IGNORE, Batch
from minitransformer.models.transformer import Transformer
from minitransformer.recipe import Recipe
from minitransformer.tokens import Special
from minitransformer.training import DivergenceError, Record, Trainer, evaluate, metric_of

PAD = Special().pad

TINY: dict[str, Any] = {
    "task": "copy", "length": 4, "vocab": 5, "steps": 24, "batch_size": 8,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 5, "evaluate_every": 8,
}  # fmt: skip

PAIRS = "one two\tII I\ntwo\tII\nthree one\tI III\none\tI\nthree two\tII III\n"


def a_recipe(**changes: Any) -> Recipe:
    settings = {**TINY, **changes}
    if settings["task"] == "pairs":
        del settings["length"], settings["vocab"]
    return Recipe.read(settings)


def a_trainer(**changes: Any) -> Trainer:
    return Trainer(a_recipe(**changes))


def a_batch(trainer: Trainer, count: int) -> Batch:
    """The next batch of the training stream."""
    return trainer.form.batch(trainer.data.sample(trainer.rng, count))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS)
    return path


def weights(trainer: Trainer) -> bytes:
    return b"".join(x.tobytes() for x in trainer.model.state_dict().values())


def without_times(records: list[Record]) -> list[Record]:
    times = ("seconds", "tokens_per_second")
    return [{key: x for key, x in record.items() if key not in times} for record in records]


def test_the_data_is_that_of_the_task_and_the_seed(pairs: Path) -> None:
    recipe = a_recipe(task="pairs", data=str(pairs), held_out=0.4, seed=2)
    trainer = Trainer(recipe)
    assert trainer.data == recipe.task.load(2)
    assert trainer.form is trainer.data.form
    assert len(trainer.data.test) == 2


def test_an_untrained_model_finds_all_tokens_about_equally_likely() -> None:
    trainer = a_trainer(vocab=40)
    assert trainer.train_step(a_batch(trainer, 64)) == pytest.approx(log(44), 0.1)


def test_a_step_lowers_the_loss_on_its_batch() -> None:
    trainer = a_trainer(learning_rate=1e-2, warmup=1)
    batch = a_batch(trainer, 8)
    losses = [trainer.train_step(batch) for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_padding_changes_nothing() -> None:
    def padded(x: NDArray[np.int64], filling: int) -> NDArray[np.int64]:
        return np.pad(x, ((0, 0), (0, 2)), constant_values=filling)

    plain, wider = (a_trainer(length=6) for _ in range(2))
    batch = plain.form.batch([([5, 6, 7], [5, 6, 7]), ([8], [8])])
    source, read = batch.inputs
    wide = Batch((padded(source, PAD), padded(read, PAD)), padded(batch.labels, IGNORE), 10)
    losses = plain.train_step(batch), wider.train_step(wide)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert plain.tokens == wider.tokens == 3 + 1 + 4 + 2


def test_the_learning_rate_rises_and_falls() -> None:
    trainer = a_trainer(steps=20, warmup=5, learning_rate=1e-2)
    rates = []
    while not trainer.finished:
        trainer.train_step(a_batch(trainer, 2))
        rates.append(trainer.optimizer.learning_rate)
    assert rates[:5] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(1e-3)


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = a_trainer(clip=1e-3)
    norms = []
    step = trainer.optimizer.step

    def noting_step() -> None:
        gradients = [p.grad for p in trainer.optimizer.parameters if p.grad is not None]
        norms.append(sum(float((g * g).sum()) for g in gradients) ** 0.5)
        step()

    monkeypatch.setattr(trainer.optimizer, "step", noting_step)
    trainer.train_step(a_batch(trainer, 8))
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_a_run_gives_a_record_every_few_steps_and_a_score_at_each_evaluation() -> None:
    records = list(a_trainer().run())
    assert [record["step"] for record in records] == [8, 10, 16, 20, 24]
    assert [record["step"] for record in records if "exact_match" in record] == [8, 16, 24]
    assert set(records[0]) == {
        "step", "loss", "learning_rate", "seconds", "tokens_per_second",
        "held_out_loss", "exact_match", "token_accuracy",
        "training_exact_match", "training_token_accuracy",
    }  # fmt: skip
    assert set(records[1]) == {"step", "loss", "learning_rate", "seconds", "tokens_per_second"}


def test_the_last_step_is_evaluated() -> None:
    last = list(a_trainer(steps=3, evaluate_every=100).run())[-1]
    assert last["step"] == 3
    assert 0 <= last["exact_match"] <= last["token_accuracy"] <= 1


def test_a_recorded_loss_is_the_mean_since_the_record_before() -> None:
    alone = a_trainer()
    losses = [alone.train_step(a_batch(alone, 8)) for _ in range(24)]
    records = list(a_trainer().run())
    expected = [np.mean(losses[i:j]) for i, j in ((0, 8), (8, 10), (10, 16), (16, 20), (20, 24))]
    assert [record["loss"] for record in records] == pytest.approx(expected)


def test_the_same_recipe_gives_the_same_bits() -> None:
    first, second = (a_trainer(dropout=0.3) for _ in range(2))
    assert without_times(list(first.run())) == without_times(list(second.run()))
    assert weights(first) == weights(second)


def test_another_seed_gives_other_weights_batches_and_held_out_sequences() -> None:
    first, second = (a_trainer(seed=seed) for seed in (0, 1))
    assert weights(first) != weights(second)
    assert first.data.test != second.data.test
    batches = [x.data.sample(x.rng, 8) for x in (first, second)]
    assert batches[0] != batches[1]


@pytest.mark.parametrize("task", ["copy", "reverse", "sort", "pairs"])
def test_no_held_out_sequence_is_ever_trained_on(task: str, pairs: Path) -> None:
    data = {"data": str(pairs)} if task == "pairs" else {}
    trainer = a_trainer(
        **{"task": task, "length": 3, "vocab": 4, "steps": 40, "batch_size": 32, **data}
    )
    seen: set[tuple[int, ...]] = set()
    train_step = trainer.train_step

    def noting_step(batch: Batch) -> float:
        seen.update(tuple(row[row != PAD].tolist()) for row in batch.inputs[0])
        return train_step(batch)

    trainer.train_step = noting_step  # type: ignore[method-assign]
    assert list(trainer.run())
    held_out = {tuple(source) for source, _ in trainer.data.test}
    assert held_out
    assert not held_out & seen
    others = 4 - 1 if task == "pairs" else 4 + 4**2 + 4**3 - len(held_out)
    assert len(seen) >= 0.9 * others  # almost all of what there is besides


class Scripted(Trainer):
    """A trainer whose evaluations come out as told."""

    script: Iterator[float]

    def evaluate(self) -> Record:
        return {"held_out_loss": 1.0, "exact_match": next(self.script), "token_accuracy": 0.5}


def test_it_stops_early_after_two_perfect_evaluations_in_a_row() -> None:
    trainer = Scripted(a_recipe(evaluate_every=2))
    trainer.script = iter([0.5, 1.0, 0.999, 1.0, 1.0])
    assert [record["exact_match"] for record in trainer.run() if "exact_match" in record] == [
        0.5, 1.0, 0.999, 1.0, 1.0,
    ]  # fmt: skip
    assert trainer.step == 10
    assert trainer.finished


def test_a_run_that_was_told_to_stop_ends_after_the_step_in_hand() -> None:
    trainer = a_trainer()
    for record in trainer.run():
        if record["step"] == 10:
            trainer.stop()
    assert trainer.step == 10
    assert not trainer.finished


def test_a_finished_run_does_nothing_more() -> None:
    trainer = a_trainer(steps=2)
    assert len(list(trainer.run())) == 1
    assert list(trainer.run()) == []
    assert trainer.step == 2


def test_a_loss_that_is_no_number_ends_the_run_before_it_spoils_the_weights() -> None:
    trainer = a_trainer()
    trainer.optimizer.values[-1] = np.inf  # the last bias of the projection
    before = weights(trainer)
    message = "the loss is nan at step 1; lower the learning rate"
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        list(trainer.run())
    assert weights(trainer) == before


def test_matrix_products_use_the_threads_asked_for_while_it_runs() -> None:
    def blas_threads() -> list[int]:
        return [x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"]

    before = blas_threads()
    running = [blas_threads() for _ in a_trainer(steps=1).run()]
    assert running == [[1] * len(before)]
    assert blas_threads() == before


def test_an_evaluation_rates_each_answer_beside_its_own_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = a_trainer()
    pairs = [([5, 6], [5, 6]), ([6], [6]), ([7, 7, 7], [7]), ([8], [8, 8])]
    asked = []

    def right(form: Any, model: Any, sources: Any) -> list[list[int]]:
        asked.append(sources)
        return [next(target for x, target in pairs if x == source) for source in sources]

    monkeypatch.setattr(training, "DECODED", 1)
    monkeypatch.setattr(type(trainer.form), "answer", right)
    score = evaluate(trainer.model, trainer.form, pairs, batch_size=2)
    assert asked == [[[6], [8]], [[5, 6], [7, 7, 7]]]  # those of a length together
    assert (score["exact_match"], score["token_accuracy"]) == (1, 1)
    assert set(score) == {"exact_match", "token_accuracy", "loss"}


def test_records_of_evaluations_are_told_by_the_metric_of_their_form() -> None:
    assert metric_of({"step": 1, "exact_match": 0.5, "token_accuracy": 1}) == "exact_match"
    assert metric_of({"step": 1, "accuracy": 0.5}) == "accuracy"
    assert metric_of({"step": 1, "loss": 0.5}) == ""


def largest_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of sequences in each batch that a model is given from now on."""
    sizes: list[int] = []
    encode = Transformer.encode

    def noting_encode(self: Transformer, source: Any) -> Any:
        sizes.append(len(source))
        return encode(self, source)

    monkeypatch.setattr(Transformer, "encode", noting_encode)
    return sizes


@pytest.mark.parametrize("batch_size", [2, 3])
def test_no_batch_is_larger_than_asked_for_and_four_are_answered_at_once(
    batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = a_trainer(steps=2, batch_size=batch_size)
    sizes = largest_batches(monkeypatch)
    assert len(list(trainer.run())) == 1
    assert len(trainer.answers()) == len(trainer.data.test)
    assert max(sizes) == 4 * batch_size < len(trainer.data.test)


def test_the_size_of_its_batches_does_not_change_a_score() -> None:
    trainer = a_trainer(steps=12)
    list(trainer.run())
    first, *others = (
        evaluate(trainer.model, trainer.form, trainer.data.test, size) for size in (1, 7, 1000)
    )
    for score in others:
        assert score.pop("loss") == pytest.approx(first["loss"], rel=1e-5)
        assert score == {name: x for name, x in first.items() if name != "loss"}


def test_the_held_out_loss_is_that_of_training_without_dropout(pairs: Path) -> None:
    trainer = a_trainer(task="pairs", data=str(pairs), dropout=0.5, label_smoothing=0.2)
    examples = trainer.data.test + trainer.data.sample(np.random.default_rng(0), 4)
    held_out = evaluate(trainer.model, trainer.form, examples, 2, label_smoothing=0.2)["loss"]
    same = a_trainer(task="pairs", data=str(pairs), label_smoothing=0.2)
    assert held_out == pytest.approx(same.train_step(same.form.batch(examples)), rel=1e-5)


def test_evaluations_draw_nothing_from_the_training_stream() -> None:
    often, seldom = a_trainer(dropout=0.3, evaluate_every=2), a_trainer(dropout=0.3)
    list(often.run())
    list(seldom.run())
    assert weights(often) == weights(seldom)


def test_what_is_answered_beside_the_held_out_examples_is_trained_on(pairs: Path) -> None:
    for task in ("pairs", "sort"):
        data = {"data": str(pairs), "held_out": 0.5} if task == "pairs" else {}
        trainer = a_trainer(task=task, **data)
        sample = trainer.training_sample
        assert len(sample) == min(200, len(trainer.data.test))
        assert not {str(source) for source, _ in sample} & {str(x) for x, _ in trainer.data.test}
        assert sample == a_trainer(task=task, **data).training_sample


def test_no_perfect_evaluation_ends_a_run_without_patience() -> None:
    trainer = Scripted(a_recipe(patience=0))
    trainer.script = iter([1.0] * 3)
    assert [record["step"] for record in trainer.run()][-1] == 24


@pytest.mark.parametrize("spoilt", [np.inf, np.nan])
def test_a_gradient_or_an_evaluation_that_is_no_number_ends_the_run(
    spoilt: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = a_trainer()
    before = weights(trainer)
    with monkeypatch.context() as patch:
        patch.setattr(training, "clip_grad_norm", lambda *_: spoilt)
        with pytest.raises(DivergenceError, match=r"the gradient's norm is \w+ at step 1; lower"):
            list(trainer.run())
    assert weights(trainer) == before
    trainer.optimizer.values[-1] = spoilt
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="at an evaluation"):
        trainer.evaluate()


def test_a_summary_tells_how_the_run_ended() -> None:
    trainer = a_trainer()
    last = list(trainer.run())[-1]
    summary = trainer.summary()
    assert summary == json.loads(json.dumps(summary))
    assert {key: summary[key] for key in ("task", "model", "seed", "steps", "held_out")} == {
        "task": "copy", "model": "transformer", "seed": 0, "steps": 24,
        "held_out": len(trainer.data.test),
    }  # fmt: skip
    assert summary["parameters"] == sum(p.size for p in trainer.model.parameters())
    assert summary["seconds"] > 0
    assert summary["tokens_per_second"] == pytest.approx(trainer.tokens / trainer.seconds, rel=0.01)
    for key in ("loss", "exact_match", "token_accuracy"):
        assert summary[key] == last[key]
    restored = a_trainer()
    restored.restore(*carried_over(trainer))
    assert restored.summary() == summary


def carried_over(trainer: Trainer) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The state as another process gets it: arrays, and what JSON makes of the rest."""
    model, optimizer, rest = trainer.state()
    return model, optimizer, json.loads(json.dumps(rest))


@pytest.mark.parametrize("stop_at", [1, 7, 8, 13, 23])
@pytest.mark.parametrize("tokens", [None, "word", "bpe", "wordpiece"])
def test_a_run_goes_on_to_the_bit_wherever_it_was_stopped(
    tokens: str | None, stop_at: int, pairs: Path
) -> None:
    chosen = {"task": "pairs", "data": str(pairs), "tokens": tokens} if tokens else {}
    whole, stopped, resumed = (a_trainer(dropout=0.2, **chosen) for _ in range(3))
    expected = without_times(list(whole.run()))

    train_step = stopped.train_step

    def step_and_stop(batch: Batch) -> float:
        loss = train_step(batch)
        if stopped.step == stop_at:
            stopped.stop()
        return loss

    stopped.train_step = step_and_stop  # type: ignore[method-assign]
    records = list(stopped.run())
    resumed.restore(*carried_over(stopped))
    records += resumed.run()
    assert without_times(records) == expected
    assert weights(resumed) == weights(whole)
    assert resumed.tokens == whole.tokens
    assert resumed.seconds > stopped.seconds


def test_what_was_perfect_before_a_stop_counts_after_it() -> None:
    stopped, resumed = (Scripted(a_recipe()) for _ in range(2))
    stopped.script, resumed.script = iter([1.0]), iter([1.0])
    for _ in stopped.run():
        stopped.stop()
    resumed.restore(*carried_over(stopped))
    assert [record["step"] for record in resumed.run()][-1] == 16
    assert resumed.finished


def test_a_state_of_other_settings_is_refused_by_their_names() -> None:
    state = carried_over(a_trainer())
    other = a_trainer(heads=4, norm="post")
    before = weights(other)
    message = "heads: 2 in the run, 4 asked for; norm: pre in the run, post asked for"
    with pytest.raises(ValueError, match=message):
        other.restore(*state)
    assert weights(other) == before


def test_a_state_of_other_data_is_refused(pairs: Path) -> None:
    state = carried_over(a_trainer(task="pairs", data=str(pairs)))
    pairs.write_text(PAIRS.replace("three one\tI III", "three one\tIII I"))
    with pytest.raises(ValueError, match=r"pairs\.tsv has changed since the run began"):
        a_trainer(task="pairs", data=str(pairs)).restore(*state)


@pytest.mark.slow
def test_it_learns_to_copy_sequences_that_it_has_never_seen() -> None:
    trainer = a_trainer(
        d_model=32, heads=4, d_ff=64, steps=500, batch_size=64, warmup=50, evaluate_every=50
    )
    records = list(trainer.run())
    assert records[-1]["exact_match"] == 1
    assert records[-1]["loss"] < 0.05
