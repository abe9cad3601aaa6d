from __future__ import annotations

import json
import os
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.batch import IGNORE
from minitransformer.bench import compare as bench
from minitransformer.bench.compare import Result, Size
from minitransformer.tokens import Special

PAD, BOS, *_ = Special()

TOY = Size(vocab=16, source_length=5, target_length=6, batch=4, d_model=8, heads=2, d_ff=12)
RESULT = Result("toy", 2, "", "minigrad", 1.5, 1, 2, [2.5, 2.25], True)
FLOOR = replace(RESULT, contender="bare products", milliseconds=0.5, losses=[])
SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.mark.parametrize("step", [bench.eager_step, bench.module_step])
def test_every_contender_computes_the_same_training_step(step: Any) -> None:
    pytest.importorskip("torch")
    ours, theirs = bench.minigrad_step(TOY), step(TOY)
    for batch in bench.make_batches(TOY):
        assert ours(batch) == pytest.approx(theirs(batch), rel=1e-4)


def test_losses_that_differ_or_are_not_numbers_disagree() -> None:
    assert bench.agree([2.5, 2.251], [2.5, 2.25])
    assert not bench.agree([2.5, 2.26], [2.5, 2.25])
    assert not bench.agree([np.nan, np.nan], [2.5, 2.25])
    assert bench.agree([], [2.5, 2.25])


def test_batches_are_shifted_padded_and_the_same_each_time() -> None:
    for batch, again in zip(bench.make_batches(TOY), bench.make_batches(TOY), strict=True):
        source, read = batch.inputs
        assert source.shape == (4, 5) and read.shape == batch.labels.shape == (4, 6)
        assert (read[:, 0] == BOS).all()
        assert (read[:, 1:] == np.where(batch.labels == IGNORE, PAD, batch.labels)[:, :-1]).all()
        assert (np.diff(source != PAD, axis=1).sum(axis=1) <= 1).all()
        assert batch.tokens == (source != PAD).sum() + (batch.labels != IGNORE).sum()
        assert all(map(np.array_equal, batch.inputs, again.inputs))
        assert np.array_equal(batch.labels, again.labels)


def test_bare_products_are_those_of_every_weight_and_every_attention() -> None:
    def rows(name: str) -> int:
        reads_source = name.startswith("encoder") or "cross_attention.key" in name
        reads_source |= "cross_attention.value" in name
        return TOY.batch * (TOY.source_length if reads_source else TOY.target_length)

    state = bench.make_trainer(TOY).model.state_dict()
    linear = {n: x for n, x in state.items() if x.ndim == 2 and "embedding" not in n}
    expected = sum(3 * rows(name) * x.size for name, x in linear.items())
    for pair in (5 * 5, 6 * 6, 6 * 5):  # encoder, decoder, decoder to encoder
        expected += TOY.layers * 6 * TOY.batch * pair * TOY.d_model
    assert sum(p.stack * p.rows * p.inner * p.columns for p in bench.products(TOY)) == expected


def test_contenders_take_turns_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    results = {r.contender: r for r in bench.compare("toy", TOY, threads=1, rounds=2)}
    assert results.keys() == {"bare products", "minigrad"}
    step, batches = bench.minigrad_step(TOY), bench.make_batches(TOY)
    assert results["minigrad"].losses == pytest.approx([step(b) for b in batches[: bench.LOSSES]])
    assert results["bare products"].losses == []
    for result in results.values():
        assert result.milliseconds > 0
        assert 0 <= result.quiet_rounds <= result.rounds == 2


def test_blas_chooses_its_kernels_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    with bench.environment(threads=3, coretype=""):
        assert "OPENBLAS_CORETYPE" not in os.environ
        assert os.environ["OPENBLAS_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"] == "3"
    with bench.environment(threads=3, coretype="Haswell"):
        assert os.environ["OPENBLAS_CORETYPE"] == "Haswell"
    assert os.environ["OPENBLAS_CORETYPE"] == "Nehalem"


def run(
    monkeypatch: pytest.MonkeyPatch, results: list[Result], json_file: Path | None = None
) -> int:
    """The command at one small size, these being the results."""
    monkeypatch.setitem(bench.SIZES, "toy", TOY)
    monkeypatch.setattr(bench, "compare", lambda *arguments: results)
    return bench.main(["toy"], json_file=json_file)


def test_a_contender_that_computes_something_else_is_wrong_and_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = replace(RESULT, contender="PyTorch eager", milliseconds=3.0)
    assert run(monkeypatch, [FLOOR, RESULT, torch]) == 0
    right = capsys.readouterr().out
    (line,) = [line for line in right.splitlines() if "minigrad" in line]
    assert " ".join(line.split()) == "| minigrad | 1.50 | 3.00 | 0.50 | 0.50 | 1 of 2 | agree |"
    assert right.count("agree") == 2 and "WRONG" not in right
    assert run(monkeypatch, [FLOOR, replace(RESULT, agrees=False), torch]) == 1
    assert capsys.readouterr().out.count("WRONG") == 1


def test_without_pytorch_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_spec", lambda name: None)
    assert run(monkeypatch, [FLOOR, RESULT]) == 0
    output = capsys.readouterr().out
    assert "PyTorch is not installed" in output and "agree" not in output


def test_results_are_appended_as_json_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "results.jsonl"
    for _ in range(2):
        run(monkeypatch, [FLOOR, RESULT], file)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [Result(**record) for record in records] == [FLOOR, RESULT] * 2


def test_an_unknown_size_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no size 'huge'; there are tiny, small, base"):
        bench.main(["huge"])


@pytest.mark.parametrize("chain", ["minigrad_chain", "torch_chain"])
def test_the_chains_of_small_operations_compute_the_same_gradients(chain: str) -> None:
    if chain == "torch_chain":
        pytest.importorskip("torch")
    start, a, b = runpy.run_path(str(SCRIPTS / "op_overhead.py"))[chain](2)  # (y a + b) a + b
    np.testing.assert_allclose(start, np.full(4, 0.999**2), rtol=1e-6)
    np.testing.assert_allclose(a, np.full(4, 2 * 0.999 + 0.001), rtol=1e-6)
    np.testing.assert_allclose(b, np.full(4, 0.999 + 1), rtol=1e-6)


def test_each_recurrent_network_is_measured_in_each_of_its_forms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr("sys.argv", ["recurrent.py", "--rounds", "1"])
    runpy.run_path(str(SCRIPTS / "recurrent.py"), run_name="__main__")
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["rnn", "gru", "lstm"]
    assert all(kind in row for row in rows for kind in ("fused", "small ops", "PyTorch"))
