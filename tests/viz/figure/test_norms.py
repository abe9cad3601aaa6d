"""Pictures of norms: the numbers in them are those that were measured."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.studies import norms as studied
from minitransformer.studies.norms import Case, Norms, Outcome
from viz.figure import norms, style


def outcome(case: Case) -> Outcome:
    """What might come of a training of twelve steps."""
    losses = np.linspace(5, case.layers / 2 + len(case.norm) + case.warmup / 10, 12)
    return Outcome(losses.tolist(), 3.0, 0.5, 0.0)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studied, "in_parallel", lambda _, cases, names: [*map(outcome, cases)])
        return Norms(depth=4, d_model=8, steps=12, warmup=2, seeds=1).find()


@pytest.fixture(scope="module")
def pictures(found):
    return norms.draw(found)


def test_each_number_is_written_and_those_that_share_a_mean_are_bright(found, pictures) -> None:
    x = found.arrays["shown"]
    axes = np.array(pictures["averages.png"].axes).reshape(2, len(x))
    for row, bright in zip(axes, (x[1, 1], x[:, :, 2].ravel()), strict=True):
        written, shown = [], []
        for each in row:
            numbers = [float(text.get_text().replace("−", "-")) for text in each.texts]
            written += numbers
            shown += [
                a for a, t in zip(numbers, each.texts, strict=True) if t.get_color() != style.GREY
            ]
        np.testing.assert_allclose(written, x.ravel(), atol=0.051)
        np.testing.assert_allclose(shown, bright, atol=0.051)
        label = row[0].get_ylabel().replace("−", "-")
        assert label == f"{bright.size} numbers, mean {bright.mean():.2f}"


def test_gradients_are_drawn_layer_by_layer(found, pictures) -> None:
    (axes,) = pictures["gradients.png"].axes
    for line, norm in zip(axes.lines, ("pre", "post"), strict=True):
        assert line.get_ydata().tolist() == found.arrays[norm][0].tolist()


def test_each_training_is_a_line_in_the_panel_of_its_depth_and_warm_up(found, pictures) -> None:
    panels = pictures["curves.png"].axes
    assert [each.get_title(loc="left") for each in panels] == [
        "2 layers, no warm-up", "2 layers, warm-up of 2 steps",
        "4 layers, no warm-up", "4 layers, warm-up of 2 steps",
    ]  # fmt: skip
    drawn = [line.get_ydata()[-1] for each in panels for line in each.lines]
    measured = [np.mean(x["losses"][-10:]) for x in found.numbers["trainings"]]
    np.testing.assert_allclose(sorted(drawn), sorted(measured))


def test_a_training_that_broke_down_at_once_is_left_out(found) -> None:
    for each in found.numbers["trainings"]:
        if each["norm"] == "post" and each["layers"] == 4:
            each["losses"] = []
    axes = norms.draw(found)["curves.png"].axes
    assert [len(each.lines) for each in axes] == [2, 2, 1, 1]
