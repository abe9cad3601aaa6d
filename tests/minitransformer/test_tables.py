"""Every model with every task that fits: what any entry in the two tables has to be able to do."""

from __future__ import annotations

import json
from dataclasses import fields
from math import log
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from minigrad.nn import ShapesOnly
from minitransformer import workflow
from minitransformer.answering import Predictor
from minitransformer.batch import IGNORE, Shape
from minitransformer.decoding import beam_search, greedy
from minitransformer.forms import FORMS
from minitransformer.inside.film import read_film
from minitransformer.inside.maps import attention_maps
from minitransformer.models import MODELS
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError
from minitransformer.settings import Group, SettingError, Training
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer, metric_of

GROUPS = [*TASKS.values(), *MODELS.values(), Training]
FITTING = [(task, model) for task in TASKS for model in MODELS
           if TASKS[task].form in MODELS[model].answers]  # fmt: skip
PERFECTIBLE = [pair for pair in FITTING if FORMS[TASKS[pair[0]].form].perfect is not None]
PAIRS = [(task, model) for task, model in FITTING if TASKS[task].form == "pairs"]
ONE_SIDED = {"labels", "text", "masked"}
ONE_TASK_EACH = list({model: (task, model) for task, model in reversed(FITTING)}.values())

SMALL: dict[str, Any] = {
    "length": 5, "vocab": 6, "steps": 6, "evaluate_every": 3, "batch_size": 4, "warmup": 2,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 8, "dropout": 0.1,
    "kv_heads": 1, "context": 8, "tokens": "word",
}  # fmt: skip


def settings(task: str, model: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Small settings of this task and model; a task that needs a file has one."""
    path = folder / "lines.tsv"
    path.write_text("".join(f"w{i} w{i % 7}{' v' * (i % 3)}\tw{i % 9}\n" for i in range(90)))
    needed = {**SMALL, "task": task, "model": model, **changes}
    if task in ("pairs", "labels"):
        needed.setdefault("data", str(path))
    if task in ("text", "masked"):
        path = folder / "novel.txt"
        path.write_text(" ".join(f"w{i * i % 31} w{i % 7}" for i in range(400)))
        needed.setdefault("data", str(path))
    if task == "translate":  # without a file there is nothing to split
        del needed["tokens"]
    own = {each.name for group in (TASKS[task], MODELS[model], Training) for each in fields(group)}
    return {name: x for name, x in needed.items() if name in own | {"task", "model"}}


def a_trainer(task: str, model: str, folder: Path, **changes: Any) -> Trainer:
    return Trainer(Recipe.read(settings(task, model, folder, **changes)))


def a_run(task: str, model: str, folder: Path, name: str, **changes: Any) -> tuple[Trainer, Run]:
    return workflow.start(settings(task, model, folder, **changes), folder / name)


def weights(trainer: Trainer) -> bytes:
    return b"".join(x.tobytes() for x in trainer.model.state_dict().values())


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_it_trains_and_resumes_to_the_bit(task: str, model: str, tmp_path: Path) -> None:
    whole, _ = a_run(task, model, tmp_path, "whole")
    list(whole.run())
    trainer, run = a_run(task, model, tmp_path, "stopped")
    for _ in workflow.follow(trainer, run):
        trainer.stop()  # after the first evaluation
    assert trainer.step < whole.step == 6
    resumed = workflow.resume(Run.open(run.path), {})
    records = list(workflow.follow(resumed, run))
    assert metric_of(records[-1]) == resumed.form.metric
    assert weights(resumed) == weights(whole)
    summary, wrong = workflow.finish(resumed, run)
    assert summary == json.loads(json.dumps(summary))
    assert summary["wrong"] == len(wrong) and summary["model"] == model


@pytest.mark.parametrize(("task", "model"), PERFECTIBLE)
def test_enough_perfect_evaluations_end_it_early(
    task: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, run = a_run(task, model, tmp_path, "run", steps=9, evaluate_every=1, patience=2)
    shares = iter([1.0, 0.5, 1.0, 1.0])
    monkeypatch.setattr(type(trainer.form), "rate", lambda *_: {trainer.form.metric: next(shares)})
    monkeypatch.setattr(trainer, "training_sample", trainer.data.test[:1])
    score = trainer.score  # of the held-out examples alone: the others have no share to take
    monkeypatch.setattr(
        trainer,
        "score",
        lambda examples: score(examples) if examples is trainer.data.test else {"loss": 0.0},
    )
    list(workflow.follow(trainer, run))
    assert (trainer.step, trainer.finished_early) == (4, True)


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_a_trained_run_answers_as_its_trainer_does(task: str, model: str, tmp_path: Path) -> None:
    trainer, run = a_run(task, model, tmp_path, "run")
    list(workflow.follow(trainer, run))
    predictor, form = Predictor(run.path), trainer.form
    sources = [source for source, _ in trainer.data.test[:5]]
    expected = [form.write(answer) for answer in form.answer(trainer.model, sources)]
    assert predictor.answer(sources) == expected
    assert FORMS[form.name] is type(predictor.form)
    text = workflow.example(trainer)[1]
    assert predictor.form.read(text) == form.read(text)


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_padding_changes_nothing(task: str, model: str, tmp_path: Path) -> None:
    trainer = a_trainer(task, model, tmp_path)
    network, form = trainer.model.eval(), trainer.form
    examples = sorted(trainer.data.test, key=lambda example: len(example[0]))
    short, long = examples[0], examples[-1]
    assert len(short[0]) < len(long[0])
    together, alone = form.batch([short, long]), form.batch([short])
    found, expected = (network(*batch.inputs).data[0] for batch in (together, alone))
    if alone.labels.ndim > 1:
        found = found[: alone.labels.shape[1]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_an_untrained_model_finds_all_choices_about_equally_likely(
    task: str, model: str, tmp_path: Path
) -> None:
    trainer = a_trainer(task, model, tmp_path, d_model=32, dropout=0.0)
    loss = trainer.score(trainer.data.test)["loss"]
    assert loss == pytest.approx(log(trainer.form.shape.classes), rel=0.3)


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_a_step_lowers_the_loss_on_its_batch(task: str, model: str, tmp_path: Path) -> None:
    trainer = a_trainer(task, model, tmp_path, dropout=0.0, learning_rate=1e-2, warmup=1)
    batch = trainer.form.batch(trainer.data.sample(trainer.rng, 4))
    losses = [trainer.train_step(batch) for _ in range(10)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("task", "model"), PAIRS)
def test_decoding_with_what_is_kept_is_decoding_anew(task: str, model: str, tmp_path: Path) -> None:
    trainer = a_trainer(task, model, tmp_path)
    source = trainer.form.batch(trainer.data.test[:6]).inputs[0]
    most = trainer.form.shape.length
    for find in (greedy, beam_search):
        kept = find(trainer.model, source, most)  # type: ignore[operator]
        assert kept == find(trainer.model, source, most, cache=False)  # type: ignore[operator]


@pytest.mark.parametrize(("task", "model"), PAIRS)
def test_what_is_kept_follows_the_rows_that_go_on(task: str, model: str, tmp_path: Path) -> None:
    trainer = a_trainer(task, model, tmp_path)
    source, read = trainer.form.batch(trainer.data.test[:4]).inputs
    rows = np.array([2, 0, 0, 3, 1])
    network = trainer.model.eval()
    writing = network.begin(source)
    writing.next(read[:, 0])
    writing.select(rows)
    found = writing.next(read[rows, 1])
    np.testing.assert_allclose(
        found, network(source[rows], read[rows, :2]).data[:, 1], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_each_map_has_the_tokens_at_its_sides_that_the_model_says(
    task: str, model: str, tmp_path: Path
) -> None:
    trainer = a_trainer(task, model, tmp_path)
    example = trainer.data.test[0]
    tokens = trainer.form.sides(example)
    maps = attention_maps(trainer.model, *trainer.form.batch([example]).inputs)
    for found in maps.values():
        shape = len(tokens[found.queries]), len(tokens[found.keys])
        assert found.weights.shape[2:] == shape
        np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=1e-5)
    assert bool(maps) == hasattr(trainer.model, "sides")


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_a_filmed_run_ends_with_the_bits_of_one_that_is_not(
    task: str, model: str, tmp_path: Path
) -> None:
    plain, _ = a_run(task, model, tmp_path, "plain")
    list(plain.run())
    filmed, run = a_run(task, model, tmp_path, "filmed")
    list(workflow.follow(filmed, run, filmed=True))
    assert weights(filmed) == weights(plain)
    film = read_film(run.path)
    assert [frame.step for frame in film.frames] == [0, 3, 6]
    for path, weight in film.frames[0].maps.items():
        queries, keys = film.tokens(path)
        assert weight.shape[1:] == (len(queries), len(keys))


@pytest.mark.parametrize(("task", "model"), ONE_TASK_EACH)
def test_a_run_begins_with_the_weights_of_another(task: str, model: str, tmp_path: Path) -> None:
    first, run = a_run(task, model, tmp_path, "first")
    list(workflow.follow(first, run))
    second, _ = a_run(task, model, tmp_path, "second", from_run=str(run.path), seed=1)
    assert second.borrowed
    mine, theirs = second.model.state_dict(), first.model.state_dict()
    assert all(np.array_equal(mine[name], x) for name, x in theirs.items() if x.ndim == 1)


@pytest.mark.parametrize(("task", "model"), ONE_TASK_EACH)
def test_weights_with_a_row_for_each_token_are_named(task: str, model: str, tmp_path: Path) -> None:
    """Vocabularies of odd sizes: no other weight has as many rows."""
    (tmp_path / "odd.tsv").write_text("".join(f"s{i % 97} x\tt{i % 53}\n" for i in range(300)))
    data = {"data": str(tmp_path / "odd.tsv")} if TASKS[task].form in ONE_SIDED else {}
    trainer = a_trainer(task, model, tmp_path, vocab=97, length=4, **data)
    sizes = {trainer.form.shape.vocab: "source", trainer.form.shape.classes: "target"}
    state = trainer.model.state_dict()
    rows = {name: x for name, x in state.items() if len(x) in sizes}
    assert rows.keys() == {*trainer.model.token_rows} & state.keys()
    if len(sizes) == 2:
        assert all(sizes[len(x)] == trainer.model.token_rows[name] for name, x in rows.items())


def test_a_model_that_names_no_rows_begins_only_where_the_tokens_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, run = a_run("copy", "gru", tmp_path, "first")
    list(workflow.follow(first, run))
    monkeypatch.delattr(type(first.model), "token_rows")
    same, _ = a_run("reverse", "gru", tmp_path, "same", from_run=str(run.path))
    assert same.borrowed
    with pytest.raises(RunError, match="gru does not say which of its weights"):
        a_run("copy", "gru", tmp_path, "other", from_run=str(run.path), vocab=7)


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_counted_without_being_made(model: str) -> None:
    shape = Shape(MODELS[model].answers[0], 10, 10, 6, 6)
    built = MODELS[model]().build(shape, ShapesOnly())
    assert all(x.size for x in built.parameters())
    assert MODELS[model]().floats(shape) > 0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MODELS)
def test_a_task_and_a_model_that_do_not_fit_are_refused_with_those_that_do(
    task: str, model: str, tmp_path: Path
) -> None:
    if (task, model) in FITTING:
        return
    with pytest.raises(SettingError) as error:
        Recipe.read(settings(task, model, tmp_path))
    fitting = [name for other, name in FITTING if other == task]
    assert f"model {model} does not fit task {task}" in str(error.value)
    assert all(name in str(error.value) for name in fitting)


def test_a_name_means_one_thing_in_all_groups_of_settings() -> None:
    seen: dict[str, tuple[Any, str]] = {}
    for group in GROUPS:
        for each in fields(group):
            meaning = get_type_hints(group)[each.name], each.metadata["help"]
            assert seen.setdefault(each.name, meaning) == meaning, (group, each.name)
    assert not {"task", "model", "out", "resume", "film", "config"} & seen.keys()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_bounds_are_kept(group: type[Group]) -> None:
    needed = {"data": "x"} if "data" in {each.name for each in fields(group)} else {}
    for each in fields(group):  # type: ignore[arg-type]
        for bound, step in (("least", -1), ("most", 1)):
            value = each.metadata[bound]
            if value is not None:
                with pytest.raises(SettingError, match=rf"{each.name} must be at {bound} {value}"):
                    group(**{**needed, each.name: value + step})


@pytest.mark.parametrize(("task", "model"), FITTING)
def test_a_recipe_is_written_down_and_read_again(task: str, model: str, tmp_path: Path) -> None:
    recipe = Recipe.read(settings(task, model, tmp_path))
    assert Recipe.read(recipe.flat()) == recipe
    assert recipe.flat()["task"] == task and recipe.flat()["model"] == model
    assert set(recipe.kept()) >= {"task", "model", "seed", "d_model"}
    assert not {"steps", "dropout"} & set(recipe.kept())


def test_every_label_of_a_batch_is_a_choice_or_nothing(tmp_path: Path) -> None:
    for task, model in ONE_TASK_EACH:
        trainer = a_trainer(task, model, tmp_path)
        labels = trainer.form.batch(trainer.data.test[:20]).labels
        asked = labels[labels != IGNORE]
        assert asked.min() >= 0 and asked.max() < trainer.form.shape.classes
