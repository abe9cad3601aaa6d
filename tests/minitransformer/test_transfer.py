"""A run that begins with another's weights: what it takes over, and what it cannot."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest

from minitransformer.answering import Predictor
from minitransformer.recipe import Recipe
from minitransformer.runs import Run, RunError
from minitransformer.settings import SettingError
from minitransformer.tasks import TASKS
from minitransformer.training import Trainer
from minitransformer.transfer import adopt, lent_settings
from minitransformer.workflow import follow, resume, start

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


SENTENCES = "the cat sat on the mat\nthe dog sat on the rug\na cat saw a dog\n"
LABELLED = "cat sat\tanimal\nmat here\tthing\ndog sat\tanimal\nrug\tthing\n"


@pytest.fixture
def masked(tmp_path: Path) -> Trainer:
    """A model that fills gaps, whose run is in the folder "masked"."""
    (tmp_path / "text.txt").write_text(SENTENCES * 5, encoding="utf-8")
    (tmp_path / "labels.tsv").write_text(LABELLED, encoding="utf-8")
    chosen = {**TINY, "task": "masked", "data": str(tmp_path / "text.txt"), "context": 8}
    trainer, run = start(chosen, tmp_path / "masked")
    list(follow(trainer, run))
    return trainer


def a_classifier(tmp_path: Path, **changes: Any) -> tuple[Trainer, Run]:
    """A trainer that begins with the encoder of that run, and a run of its own."""
    data = str(tmp_path / "labels.tsv")
    chosen = {
        "task": "labels", "data": data, "test": data,
        "from_run": str(tmp_path / "masked"), "steps": 4, "evaluate_every": 2, "patience": 0,
    }  # fmt: skip
    return start({**chosen, **changes}, tmp_path / "new")


def test_a_classifier_takes_the_encoder_of_a_model_that_fills_gaps(
    masked: Trainer, tmp_path: Path
) -> None:
    new, _ = a_classifier(tmp_path)
    before, now = masked.model.state_dict(), new.model.state_dict()
    known = len(masked.form.tokenisers["source"])
    assert new.recipe.model.encoder == "bert" and new.recipe.model.d_model == 8
    names = [name for name in now if name.startswith("reader.")]
    assert {*names} == {name for name in before if name.startswith("reader.")}
    for name in names:
        taken = now[name][:known] if "tokens" in name else now[name]
        np.testing.assert_array_equal(taken, before[name])
    assert now["projection.weight"].shape == (2, 8)
    source = new.form.tokenisers["source"]
    assert source.tokens[known:] == ("here",)
    text = "the cat saw a rug"
    assert new.form.read(text) == masked.form.read(text)
    reads = [x.model.eval().reader(np.array([new.form.read(text)])).data for x in (new, masked)]
    np.testing.assert_array_equal(*reads)
    count = len(source.words)
    assert new.borrowed == (
        f"{tmp_path / 'masked'} knows {count - 1} of {count} source tokens; "
        "any others begin at random"
    )


def test_a_run_decides_of_another_its_model_and_how_texts_are_split_and_no_more(
    masked: Trainer, tmp_path: Path
) -> None:
    made, begin = masked.recipe, {"from_run": str(tmp_path / "masked")}
    split = {"tokens": made.task.tokens, "subwords": made.task.subwords}
    assert lent_settings(begin | {"task": "masked"}) == made.kept_of_model() | split
    reader = {"model": "classifier", "encoder": "bert", "tokens": made.task.tokens}
    assert lent_settings(begin | {"task": "labels"}) == made.kept_of_model() | reader


def test_a_classifier_can_begin_with_the_encoder_of_the_bundled_sentences(tmp_path: Path) -> None:
    start({**TINY, "task": "masked", "held_out": 0.1}, tmp_path / "masked")
    (tmp_path / "labels.tsv").write_text(LABELLED, encoding="utf-8")
    new, _ = a_classifier(tmp_path)
    assert new.recipe.task.tokens == new.form.tokenisers["source"].kind == "word"


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_a_classifier_goes_on_to_the_bit_without_the_run_that_it_began_with(
    decay: float, masked: Trainer, tmp_path: Path
) -> None:
    whole, run = a_classifier(tmp_path, layer_decay=decay)
    first = whole.model.state_dict()
    for _ in follow(whole, run):
        whole.stop()
    rmtree(tmp_path / "masked")
    resumed = resume(Run.open(run.path), {})
    list(follow(resumed, run))
    whole.stopped = False
    list(whole.run())
    assert resumed.step == whole.step == 4
    for name, x in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], x)
        is_frozen = decay == 0 and name.startswith("reader.")
        assert np.array_equal(x, first[name]) == is_frozen, name
    assert Predictor(run.path).answer("cat sat")[0] in ("animal", "thing")
    with pytest.raises(RunError, match=r"layer_decay: .* in the run, 1.0 asked for"):
        resume(Run.open(run.path), {"layer_decay": 1.0})


def test_what_does_not_learn_has_no_gradient_and_no_moments(
    masked: Trainer, tmp_path: Path
) -> None:
    new, _ = a_classifier(tmp_path, layer_decay=0.0)
    assert [x.shape for x in new.optimizer.parameters] == [(2, 8), (2,)]
    new.optimizer.step = lambda: None  # type: ignore[method-assign]
    new.optimizer.zero_grad = lambda: None  # type: ignore[method-assign]
    new.train_step(new.form.batch(new.data.test))
    assert all(x.grad is None for x in new.model.reader.parameters())
    assert all(x.grad is not None for x in new.optimizer.parameters)


def test_only_a_model_that_says_how_has_rates_for_its_layers(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="layer_decay means nothing to transformer; leave it"):
        Trainer(Recipe.read({"task": "copy", "layer_decay": 0.5}))
    with pytest.raises(SettingError, match="layer_decay is between 0 and 1, not 2"):
        Recipe.read({"task": "copy", "layer_decay": 2})


def test_the_control_is_the_same_model_without_the_weights(masked: Trainer, tmp_path: Path) -> None:
    new, _ = a_classifier(tmp_path)
    control = Trainer(new.recipe, scratch=True)
    assert control.borrowed == "" and control.form == new.form
    mine, theirs = control.model.state_dict(), new.model.state_dict()
    name = "reader.encoder.layers.0.feed_forward.inner.weight"
    assert mine[name].shape == theirs[name].shape
    assert not np.array_equal(mine[name], theirs[name])
    np.testing.assert_array_equal(mine["projection.weight"], theirs["projection.weight"])


def test_a_language_model_has_no_encoder_to_lend(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(SENTENCES * 5, encoding="utf-8")
    (tmp_path / "labels.tsv").write_text(LABELLED, encoding="utf-8")
    del (chosen := {**TINY})["positions"]
    chosen |= {"task": "text", "data": str(tmp_path / "text.txt"), "context": 8}
    start(chosen, tmp_path / "masked")
    with pytest.raises(RunError) as error:
        a_classifier(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'masked'} answers text, and this task asks for labels: a gpt has no encoder "
        "for a classifier; name a run that has one, as of `minigrad train masked`"
    )
    assert not (tmp_path / "new").exists()


def test_weights_that_are_not_those_of_the_settings_are_listed(
    masked: Trainer, tmp_path: Path
) -> None:
    model, optimizer, rest = masked.state()
    model["reader.segments.weight"] = np.zeros((3, 8), np.float32)
    Run.open(tmp_path / "masked").save(model, optimizer, rest)
    with pytest.raises(RunError, match=r"masked: .*\n.*misshapen reader.segments.weight: \(3, 8\)"):
        a_classifier(tmp_path)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM"])
def test_a_classifier_takes_the_encoder_of_a_published_bert(kind: str, tmp_path: Path) -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    (tmp_path / "labels.tsv").write_text(LABELLED, encoding="utf-8")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "mat", "rug", "s", "##at"]
    folder = tmp_path / "masked"
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=12,
    )  # fmt: skip
    theirs = getattr(transformers, kind)(config).eval()
    theirs.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    assert lent_settings({"from_run": str(folder), "task": "masked"})["tokens"] == "wordpiece"
    new, run = a_classifier(tmp_path)
    assert new.recipe.task.tokens == "wordpiece"
    source = new.form.tokenisers["source"]
    assert source.tokens == (*words, "here")
    numbers = new.form.read("cat sat")
    assert source.spell(numbers) == ["[CLS]", "cat", "s", "##at", "[SEP]"]
    with torch.no_grad():
        reader = theirs if kind == "BertModel" else theirs.bert
        wanted = reader(torch.tensor([numbers])).last_hidden_state.numpy()
    found = new.model.eval().reader(np.array([numbers])).data
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    list(follow(new, run))
    rmtree(folder)
    assert Predictor(run.path).answer("cat sat")[0] in ("animal", "thing")
