"""Few labels: each way of training is tried with each seed, on sentences that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minigrad.files import FileError
from minitransformer import finetuning
from minitransformer.finetuning import ALL_WAYS
from minitransformer.settings import SettingError
from minitransformer.studies import few_labels, workers
from minitransformer.studies.few_labels import (
    FIRST,
    FewLabels,
    accuracies,
    means,
    require_encoder,
    shares_table,
)
from minitransformer.workflow import start


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of each training, of one word, in this process."""
    monkeypatch.setattr(workers, "CORES", 1)
    monkeypatch.setitem(finetuning.USUAL, "steps", 2)
    monkeypatch.setattr(few_labels, "WORDS", ("bank",))
    monkeypatch.setattr(few_labels, "COUNTS", (1, 4))


def test_without_runs_it_trains_encoders_of_its_own(small: None) -> None:
    found = FewLabels(steps=2, seeds=1).find()
    right = found.numbers["right"]["bank"]
    assert [*right] == [1, 4]
    for own in right.values():
        assert [*own] == [*ALL_WAYS]
        assert all(len(shares) == 1 and 0 <= shares[0] <= 1 for shares in own.values())
    assert [row[0] for row in found.tables[0].rows] == [*ALL_WAYS]


def test_runs_take_turns_with_the_seeds(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(question: Any) -> dict[str, float]:
        asked.append(question)
        return dict.fromkeys(ALL_WAYS, 0.5)

    monkeypatch.setattr(few_labels, "answer", answer)
    monkeypatch.setattr(few_labels, "require_encoder", lambda run: None)
    FewLabels(runs=("a", "b"), seeds=3).find()
    first = [(x.run, x.seed) for x in asked if x.labels == 1]
    assert first == [("a", FIRST), ("b", FIRST + 1), ("a", FIRST + 2)]


def test_a_run_that_is_none_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        FewLabels(runs=(str(tmp_path / "none"),)).find()


def test_a_run_that_has_learned_from_labels_is_refused(tmp_path: Path) -> None:
    """What it was told may be the senses of these very sentences."""
    sizes = {"d_model": 8, "heads": 2, "layers": 1, "d_ff": 8}
    (tmp_path / "rows.tsv").write_text("a b\tc\nd e\tf\n" * 9)
    labels = {"task": "labels", "data": str(tmp_path / "rows.tsv"), "tokens": "word"}
    _, masked = start({"task": "masked", **sizes}, tmp_path / "masked")
    _, classifier = start({**labels, **sizes}, tmp_path / "labels")
    require_encoder(str(masked.path))
    with pytest.raises(SettingError, match="labels has learned from labels"):
        require_encoder(str(classifier.path))


def test_each_way_is_given_the_rows_and_fine_tuning_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def accuracy(way: str, given: dict[str, Any], seed: int) -> float:
        seen.append((way, seed, given["learning_rate"], given["from_run"]))
        assert Path(given["data"]).read_text() == "a b\tc\n"
        assert Path(given["test"]).read_text() == "d\te\n"
        return 0.25

    monkeypatch.setattr(few_labels, "accuracy", accuracy)
    rate = {"learning_rate": 0.5}
    found = accuracies("run", [("a b", "c")], [("d", "e")], 7, ["frozen"], rate)
    assert found == {"frozen": 0.25}
    assert seen == [("frozen", 7, 0.5, "run")]


def test_the_table_has_each_seed_and_a_sentence_the_means() -> None:
    shares = {
        1: {"fine-tuned": [0.5, 0.5], "frozen": [0.5, 0.75]},
        4: {"fine-tuned": [1.0, 0.5], "frozen": [1.0, 1.0]},
    }
    table = shares_table("", shares)
    assert table.header == ("labels of each", "1", "4")
    assert table.rows == [("fine-tuned", "50 50", "100 50"), ("frozen", "50 75", "100 100")]
    assert means("bank", shares) == (
        "bank, means at 1 and 4 labels: fine-tuned 50, 75; frozen 62, 100 %."
    )
