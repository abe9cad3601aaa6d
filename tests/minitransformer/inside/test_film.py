"""A film: what its frames hold, when they are taken, and that filming changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.files import FileError
from minitransformer.batch import Batch
from minitransformer.decoding import greedy
from minitransformer.forms import Pairs
from minitransformer.inside.film import FRAMES, LONGEST, Camera, Film, choose_example, read_film
from minitransformer.inside.maps import attention_maps
from minitransformer.models.transformer import Transformer
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError, load_checkpoint, save_checkpoint
from minitransformer.tokens import Special, Words
from minitransformer.tokens.tokeniser import OWN
from minitransformer.training import Record, Trainer

UNK = Special().unk

TINY: dict[str, Any] = {
    "task": "reverse", "length": 4, "vocab": 5, "steps": 40, "batch_size": 8, "dropout": 0.2,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 16, "warmup": 5, "evaluate_every": 8,
}  # fmt: skip


def a_trainer(**changes: Any) -> Trainer:
    return Trainer(Recipe.read({**TINY, **changes}))


def a_run(path: Path, trainer: Trainer) -> Run:
    run = Run.create(path, trainer.recipe.flat())
    run.save(*trainer.state())
    return run


def follow(trainer: Trainer, run: Run, filmed: bool = True) -> list[Record]:
    """Train as the command does."""
    camera = Camera(run, trainer) if filmed else None
    records = []
    for record in trainer.run():
        run.append_metrics(record)
        if camera:
            camera.capture()
        if "exact_match" in record:
            run.save(*trainer.state())
        records.append(record)
    return records


def steps(of: Film) -> list[int]:
    return [frame.step for frame in of.frames]


def assert_same_frames(left: Path, right: Path) -> None:
    names = sorted(path.name for path in (left / "film").iterdir())
    assert names == sorted(path.name for path in (right / "film").iterdir())
    for name in names:
        (maps, about), (others, about_others) = (
            load_checkpoint(path / "film" / name) for path in (left, right)
        )
        assert about == about_others, name
        assert maps.keys() == others.keys(), name
        assert all(maps[x].tobytes() == others[x].tobytes() for x in maps), name


def test_a_film_begins_before_the_first_step_and_ends_with_the_last(tmp_path: Path) -> None:
    trainer = a_trainer()
    records = follow(trainer, a_run(tmp_path / "run", trainer))
    assert steps(read_film(tmp_path / "run")) == [0, *(record["step"] for record in records)]


def test_a_frame_holds_the_maps_and_the_answer_of_the_model_at_its_step(tmp_path: Path) -> None:
    trainer = a_trainer()
    run = a_run(tmp_path / "run", trainer)
    form = trainer.form
    source, target = choose_example(trainer.data.test, form)
    batch = form.batch([(source, target)])
    camera = Camera(run, trainer)
    expected = []
    for record in trainer.run():
        run.append_metrics(record)
        camera.capture()
        maps = attention_maps(trainer.model, *batch.inputs)
        expected.append((maps, greedy(trainer.model, [source], form.shape.length)[0]))

    shown = read_film(run.path)
    assert shown.task == "reverse"
    assert shown.source == form.spell(source)
    assert shown.target == shown.source[::-1]
    assert shown.read == ["<bos>", *shown.target]
    for frame, (maps, answer) in zip(shown.frames[1:], expected, strict=True):
        assert list(frame.maps) == list(maps)
        for name, expected_map in maps.items():
            assert frame.maps[name].dtype == np.float32
            np.testing.assert_array_equal(frame.maps[name], expected_map.weights[0])
            assert shown.sides[name] == (expected_map.queries, expected_map.keys)
        assert frame.answer == form.spell(answer)


def test_a_frame_has_the_record_of_its_step_and_the_latest_score(tmp_path: Path) -> None:
    trainer = a_trainer(steps=24)
    run = a_run(tmp_path / "run", trainer)
    records = {record["step"]: record for record in follow(trainer, run)}
    shown = read_film(run.path)
    assert shown.records == list(records.values())
    untrained, *others = shown.frames
    assert (untrained.step, untrained.record, untrained.score) == (0, {}, {})
    assert [frame.record for frame in others] == [records[frame.step] for frame in others]
    assert [(frame.step, frame.score["step"]) for frame in others] == [
        (8, 8), (10, 8), (16, 16), (20, 16), (24, 24),
    ]  # fmt: skip


@pytest.mark.parametrize(("total", "last"), [(2500, 2500), (2500, 1400), (600, 600)])
def test_some_fifty_steps_are_filmed_and_more_of_the_early_ones(
    total: int, last: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = a_trainer(steps=total)
    camera = Camera(a_run(tmp_path / "run", trainer), trainer)
    taken = [0]

    def note() -> None:
        camera.last = trainer.step
        taken.append(trainer.step)

    monkeypatch.setattr(camera, "take", note)
    for step in range(10, last + 1, 10):
        trainer.step, trainer.perfect = step, 2 * (step == last)
        camera.capture()
    gaps = np.diff(taken)
    assert 0.7 * FRAMES * (last / total) ** 0.5 <= len(taken) <= FRAMES + 1
    assert taken[:4] == [0, 10, 20, 30]
    assert taken[-1] == last
    assert gaps[: len(gaps) // 2].mean() < gaps[len(gaps) // 2 :].mean()


def test_filming_does_not_change_a_bit_of_the_run(tmp_path: Path) -> None:
    filmed, plain = a_trainer(), a_trainer()
    seen, unseen = (
        follow(trainer, a_run(tmp_path / str(number), trainer), filmed=number == 1)
        for number, trainer in ((1, filmed), (0, plain))
    )
    assert not (tmp_path / "0" / "film").exists()
    assert [record["loss"] for record in seen] == [record["loss"] for record in unseen]
    left, right = (load_checkpoint(tmp_path / name / "model.safetensors") for name in "10")
    assert left[1]["rng"] == right[1]["rng"]
    assert left[0].keys() == right[0].keys()
    for name, array in left[0].items():
        assert array.tobytes() == right[0][name].tobytes(), name


def test_filming_leaves_the_model_in_its_mode(tmp_path: Path) -> None:
    trainer = a_trainer()
    Camera(a_run(tmp_path / "run", trainer), trainer)
    assert all(module.training for _, module in trainer.model.named_modules())
    assert all(x.requires_grad and x.grad is None for x in trainer.model.parameters())


@pytest.mark.parametrize("stop_at", [1, 8, 13, 30])
def test_a_run_stopped_and_resumed_has_the_film_of_one_that_was_not(
    stop_at: int, tmp_path: Path
) -> None:
    whole, stopped, resumed = (a_trainer() for _ in range(3))
    follow(whole, a_run(tmp_path / "whole", whole))

    train_step = stopped.train_step

    def step_and_stop(batch: Batch) -> float:
        if stopped.step + 1 == stop_at:
            stopped.stop()
        return train_step(batch)

    stopped.train_step = step_and_stop  # type: ignore[method-assign]
    run = a_run(tmp_path / "stopped", stopped)
    follow(stopped, run)
    run.save(*stopped.state())
    resumed.restore(*run.load())
    follow(resumed, run)
    assert_same_frames(tmp_path / "stopped", tmp_path / "whole")


def test_a_run_killed_after_its_checkpoint_films_again_what_it_lost(tmp_path: Path) -> None:
    whole, killed, resumed = (a_trainer() for _ in range(3))
    follow(whole, a_run(tmp_path / "whole", whole))
    run = a_run(tmp_path / "killed", killed)
    camera = Camera(run, killed)
    for record in killed.run():
        camera.capture()
        if record["step"] == 16:
            run.save(*killed.state())
        if record["step"] == 30:
            break
    (run.path / "film" / ".0123.partial").write_bytes(b"half a frame")
    assert (run.path / "film" / "000030.safetensors").exists()
    resumed.restore(*run.load())
    Camera(run, resumed)
    assert steps(read_film(run.path)) == [0, 8, 10, 16]
    run.truncate_metrics(16)
    follow(resumed, run)
    assert_same_frames(tmp_path / "killed", tmp_path / "whole")


def test_a_film_may_begin_when_the_run_goes_on(tmp_path: Path) -> None:
    first, second = a_trainer(), a_trainer()
    run = a_run(tmp_path / "run", first)
    for record in first.run():
        if record["step"] == 16:
            break
    run.save(*first.state())
    second.restore(*run.load())
    follow(second, run)
    assert steps(read_film(run.path)) == [16, 20, 24, 30, 32, 40]


def test_what_another_run_filmed_in_the_folder_is_gone(tmp_path: Path) -> None:
    trainer = a_trainer()
    follow(trainer, a_run(tmp_path / "run", trainer))
    (tmp_path / "run" / "config.toml").unlink()
    other = a_trainer(task="copy", seed=1)
    Camera(a_run(tmp_path / "run", other), other)
    shown = read_film(tmp_path / "run")
    assert (shown.task, steps(shown)) == ("copy", [0])


def test_layers_come_in_the_models_order(tmp_path: Path) -> None:
    trainer = a_trainer(layers=11)
    Camera(a_run(tmp_path / "run", trainer), trainer)
    assert list(read_film(tmp_path / "run").frames[0].maps) == [
        *(f"encoder.layers.{i}.self_attention" for i in range(11)),
        *(f"decoder.layers.{i}.{kind}_attention" for i in range(11) for kind in ("self", "cross")),
    ]


TEN = Words((*OWN.values(), *"abcdef"))
SYMBOLS = Pairs(TEN, TEN, 30, 31)


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(UNK, 9), min_size=1, max_size=30),
            st.lists(st.integers(UNK, 9), min_size=1, max_size=30),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_example_is_the_longest_that_is_not_too_long_of_the_most_symbols(
    pairs: list[Any],
) -> None:
    chosen = choose_example(pairs, SYMBOLS)
    known = [pair for pair in pairs if UNK not in pair[0] + pair[1]] or pairs
    assert chosen in known
    lengths = [max(map(len, pair)) for pair in known]
    fitting = [length for length in lengths if length <= LONGEST]
    length = max(fitting) if fitting else min(lengths)
    assert max(map(len, chosen)) == length
    rivals = [pair for pair in known if max(map(len, pair)) == length]
    assert len(set(chosen[0])) == max(len(set(source)) for source, _ in rivals)


def test_a_run_without_a_film_says_how_to_get_one(tmp_path: Path) -> None:
    trainer = a_trainer()
    a_run(tmp_path / "run", trainer)
    with pytest.raises(RunError) as error:
        read_film(tmp_path / "run")
    assert str(error.value) == f"{tmp_path / 'run'} has no film; train with --film"


def test_a_folder_without_a_run_has_no_film(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        read_film(tmp_path)


def test_a_film_that_does_not_say_what_is_read_is_one_of_a_transformer(tmp_path: Path) -> None:
    """So are films of before."""
    trainer = a_trainer(steps=8)
    follow(trainer, a_run(tmp_path / "run", trainer))
    expected = read_film(tmp_path / "run")
    for path in (tmp_path / "run" / "film").iterdir():
        maps, about = load_checkpoint(path)
        for name in ("form", "question", "read", "end", "sides"):
            del about[name]
        save_checkpoint(path, maps, about)
    found = read_film(tmp_path / "run")
    assert (found.form, found.question) == (expected.form, expected.question)
    assert (found.read, found.end) == (expected.read, expected.end)
    assert found.sides == {path: Transformer.sides(path) for path in expected.frames[0].maps}


def test_a_film_of_an_unfinished_run_can_be_read(tmp_path: Path) -> None:
    trainer = a_trainer()
    Camera(a_run(tmp_path / "run", trainer), trainer)
    shown = read_film(tmp_path / "run")
    assert steps(shown) == [0]
    assert shown.records == []


@pytest.mark.parametrize("change", ["target", "shape", "layer"])
def test_frames_that_do_not_fit_together_are_refused_by_name(change: str, tmp_path: Path) -> None:
    trainer = a_trainer(steps=8)
    follow(trainer, a_run(tmp_path / "run", trainer))
    path = tmp_path / "run" / "film" / "000008.safetensors"
    maps, about = load_checkpoint(path)
    name = about["layers"][-1]
    if change == "target":
        about["target"] = about["target"][::-1]
    elif change == "shape":
        maps[name] = maps[name][:1]
    else:
        about["layers"].remove(name)
    save_checkpoint(path, maps, about)
    with pytest.raises(RunError, match=r"000008.safetensors is not of the same film"):
        read_film(tmp_path / "run")


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    trainer = a_trainer()
    Camera(a_run(tmp_path / "run", trainer), trainer)
    path = tmp_path / "run" / "film" / "000000.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"000000\.safetensors is malformed"):
        read_film(tmp_path / "run")


def test_a_film_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    trainer = a_trainer()
    run = a_run(tmp_path / "run", trainer)
    (run.path / "film").write_text("in the way")
    with pytest.raises(FileError, match=r"cannot write .*film: File exists"):
        Camera(run, trainer)


def test_an_example_of_just_the_longest_length_is_not_too_long() -> None:
    pairs = [([5] * length, [5]) for length in (LONGEST - 1, LONGEST, LONGEST + 1)]
    assert choose_example(pairs, SYMBOLS) == pairs[1]


def test_a_film_of_a_text_shows_how_it_goes_on_and_how_the_model_would(tmp_path: Path) -> None:
    data = tmp_path / "text.txt"
    data.write_text("the cat saw the dog and the dog saw a cat .\n" * 40, encoding="utf-8")
    trainer = Trainer(
        Recipe.read({
            "task": "text", "data": str(data), "tokens": "word", "steps": 4, "batch_size": 2,
            "d_model": 8, "heads": 2, "layers": 1, "d_ff": 8, "context": 32, "evaluate_every": 2,
        })
    )  # fmt: skip
    run = a_run(tmp_path / "run", trainer)
    follow(trainer, run)
    form = trainer.form
    source, target = choose_example(trainer.data.test, form)
    shown = read_film(run.path)
    assert (shown.form, shown.read, shown.end) == ("text", [], "")
    assert (shown.source, shown.question) == (form.spell(source), [form.text(source)])
    assert shown.target == [form.write(target)]
    for path in shown.frames[0].maps:
        assert shown.tokens(path) == (shown.source, shown.source)
    assert shown.frames[-1].answer == [form.show(trainer.model, source)]


def test_a_film_of_gaps_shows_the_tokens_that_are_missing(tmp_path: Path) -> None:
    sizes = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 8, "steps": 2, "batch_size": 2}
    trainer = Trainer(Recipe.read({"task": "masked", **sizes}))
    run = a_run(tmp_path / "run", trainer)
    follow(trainer, run)
    shown = read_film(run.path)
    gaps = shown.question.count("[MASK]")
    assert (shown.form, shown.question, shown.end) == ("masked", shown.source, "")
    assert gaps == len(shown.target) == len(shown.frames[-1].answer) > 0
