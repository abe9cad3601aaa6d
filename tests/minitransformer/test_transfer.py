"""A run that begins with another's weights: what it takes over, and what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer
from minitransformer.transfer import adopt

TINY: dict[str, Any] = {
    "task": "pairs", "held_out": 0.3, "steps": 3, "batch_size": 4, "warmup": 2,
    "d_model": 8, "heads": 2, "layers": 1, "d_ff": 12, "positions": "learned",
}  # fmt: skip

OLD = "red one\trot eins\nblue two\tblau zwei\nred two\trot zwei\nblue one\tblau eins\n"
NEW = "blue three\tblau drei\ntwo red red\tzwei rot rot\ngreen\tgrün\none\teins\nblue\tblau\n"


@pytest.fixture
def old(tmp_path: Path) -> Trainer:
    """A trainer whose run is in the folder "old"."""
    (tmp_path / "old.tsv").write_text(OLD, encoding="utf-8")
    (tmp_path / "new.tsv").write_text(NEW, encoding="utf-8")
    trainer = Trainer(Recipe.read({**TINY, "data": str(tmp_path / "old.tsv")}))
    list(trainer.run())
    Run.create(tmp_path / "old", trainer.recipe.flat()).save(*trainer.state())
    return trainer


def begun(tmp_path: Path, **changes: Any) -> Trainer:
    start = {"data": str(tmp_path / "new.tsv"), "from_run": str(tmp_path / "old")}
    return Trainer(Recipe.read({**TINY, **start, **changes}))


def test_tokens_that_both_know_keep_their_vectors_and_new_ones_get_their_own(
    old: Trainer, tmp_path: Path
) -> None:
    new = begun(tmp_path)
    fresh = begun(tmp_path, from_run="")
    for name, side in (
        ("source_embedding.tokens.weight", "source"),
        ("target_embedding.tokens.weight", "target"),
        ("projection.weight", "target"),
        ("projection.bias", "target"),
    ):
        before, now, otherwise = (x.model.state_dict()[name] for x in (old, new, fresh))
        theirs, ours = (x.form.tokenisers[side].tokens for x in (old, new))
        assert set(ours) - set(theirs) and set(ours) & set(theirs) > {"<pad>", "<eos>"}
        for i, token in enumerate(ours):
            expected = before[theirs.index(token)] if token in theirs else otherwise[i]
            assert np.array_equal(now[i], expected), (name, token)


@pytest.mark.parametrize("tokens", ["bpe", "wordpiece"])
def test_subwords_that_both_know_keep_their_vectors(tmp_path: Path, tokens: str) -> None:
    (tmp_path / "old.tsv").write_text(OLD, encoding="utf-8")
    (tmp_path / "new.tsv").write_text(NEW, encoding="utf-8")
    chosen = {**TINY, "tokens": tokens, "data": str(tmp_path / "old.tsv")}
    trainer = Trainer(Recipe.read(chosen))
    Run.create(tmp_path / "old", trainer.recipe.flat()).save(*trainer.state())
    new = begun(tmp_path, tokens=tokens)
    theirs, ours = (x.form.tokenisers["source"].number_of for x in (trainer, new))
    both = [token for token in ours if token in theirs]
    assert any(len(token) > 1 and ours[token] != theirs[token] for token in both)
    name = "source_embedding.tokens.weight"
    before, now = (x.model.state_dict()[name] for x in (trainer, new))
    for token in both:
        assert np.array_equal(now[ours[token]], before[theirs[token]]), token


def test_all_other_weights_are_taken_over_and_positions_as_far_as_they_go(
    old: Trainer, tmp_path: Path
) -> None:
    before, now = old.model.state_dict(), begun(tmp_path).model.state_dict()
    longer = 0
    for name, x in now.items():
        if "positions" in name:
            rows = len(before[name])
            assert np.array_equal(x[:rows], before[name])
            longer += len(x) > rows
        elif "tokens" not in name and "projection" not in name:
            assert np.array_equal(x, before[name]), name
    assert longer == 2


def test_one_line_says_what_is_known(old: Trainer, tmp_path: Path) -> None:
    new = begun(tmp_path)
    counts = []
    for side in ("source", "target"):
        ours, theirs = (set(x.form.tokenisers[side].words) for x in (new, old))
        counts.append(f"{len(ours & theirs)} of {len(ours)}")
    assert new.borrowed == (
        f"{tmp_path / 'old'} knows {counts[0]} source tokens and {counts[1]} target tokens; "
        "any others begin at random"
    )
    assert old.borrowed == ""


def test_it_trains_on_like_any_other_run_without_the_old_one(old: Trainer, tmp_path: Path) -> None:
    whole, again = begun(tmp_path), begun(tmp_path)
    state = again.state()
    for path in (tmp_path / "old").iterdir():
        path.unlink()
    resumed = Trainer(again.recipe, state)
    for trainer in (whole, resumed):
        list(trainer.run())
    assert whole.optimizer.values.tobytes() == resumed.optimizer.values.tobytes()


def test_a_run_with_another_model_is_refused_by_the_settings_that_differ(
    old: Trainer, tmp_path: Path
) -> None:
    with pytest.raises(RunError) as error:
        begun(tmp_path, d_model=16, norm="post")
    assert str(error.value) == (
        f"{tmp_path / 'old'} has another model (d_model: 8 in the run, 16 asked for; "
        "norm: pre in the run, post asked for): leave these settings out"
    )
    with pytest.raises(RunError, match="holds no run"):
        begun(tmp_path, from_run=str(tmp_path))


def test_a_run_that_answers_other_questions_is_refused(old: Trainer, tmp_path: Path) -> None:
    data = str(tmp_path / "labels.tsv")
    Path(data).write_text("red\tcolour\none\tnumber\ntwo\tnumber\n", encoding="utf-8")
    labels = TASKS["labels"](data=data).load(0).form
    with pytest.raises(RunError, match="old answers pairs, and this task asks for labels"):
        adopt(old.model, old.recipe, labels, tmp_path / "old")


def test_labels_that_both_know_keep_their_rows_wherever_they_stand(tmp_path: Path) -> None:
    lines = "a b\tbad\nb c\tgood\na c\tbad\nc d\tgood\n"
    (tmp_path / "old.tsv").write_text(lines, encoding="utf-8")
    (tmp_path / "new.tsv").write_text(lines + "d a\tfair\nd b\tfair\n", encoding="utf-8")
    chosen = {**TINY, "task": "labels", "data": str(tmp_path / "old.tsv")}
    trainer = Trainer(Recipe.read(chosen))
    list(trainer.run())
    Run.create(tmp_path / "old", trainer.recipe.flat()).save(*trainer.state())
    new = begun(tmp_path, task="labels")
    fresh = begun(tmp_path, task="labels", from_run="")
    assert new.form.choices == ("bad", "fair", "good")
    for name in ("projection.weight", "projection.bias"):
        before, now, otherwise = (x.model.state_dict()[name] for x in (trainer, new, fresh))
        np.testing.assert_array_equal(now, [before[0], otherwise[1], before[1]])
