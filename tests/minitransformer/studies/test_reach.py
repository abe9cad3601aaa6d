"""Reach: how far back the gradient of a first output goes."""

from __future__ import annotations

import numpy as np
import pytest

from minitransformer.batch import IGNORE
from minitransformer.studies.reach import COMPARED, WIDTH, Reach
from minitransformer.studies.sizes import equally_large
from minitransformer.training import loss_of


def test_a_recurrent_model_feels_little_of_what_is_far_and_attention_reaches_all() -> None:
    found = Reach(length=40, seeds=2).find()
    assert (found.arrays["rnn"][:, 0] < 1e-10).all()
    assert (found.arrays["lstm"][:, 0] < 1e-6).all()
    for name in ("lstm-attention", "transformer"):
        assert (found.arrays[name] > 1e-3).all()
    assert found.numbers["decades_between_rnn_and_transformer"] > 10


def test_what_a_long_way_leaves_is_too_little_for_single_precision_and_not_0() -> None:
    found = Reach(length=120, seeds=1).find()
    first, *others = np.log10(found.arrays["rnn"][0])
    assert -50 < first < -30
    assert np.all(np.diff([first, *others]) > -1)  # and falls no faster there than before
    assert np.isfinite(found.numbers["decades_between_rnn_and_transformer"])


@pytest.mark.parametrize("model", COMPARED)
def test_the_gradient_is_that_of_the_vector_at_each_place(model: str) -> None:
    study = Reach(length=5, seeds=1)
    rng = np.random.default_rng(0)
    form = study.task().load(0).form
    settings = equally_large([model], WIDTH, form.shape)[model]
    module = settings.build(form.shape, rng).astype(np.float64)
    source = rng.permutation(form.source.encode("0 1 2 3 4"))
    batch = form.batch([(source.tolist(), source[:1].tolist())])
    batch.labels[:, 1:] = IGNORE
    rows = module.source_embedding
    table = (rows.tokens if hasattr(rows, "tokens") else rows).weight
    norms = []
    for number in source:
        slopes = []
        for column in range(table.shape[1]):
            losses = []
            for step in (1e-5, -1e-5):
                table.data[number, column] += step
                losses.append(loss_of(module, batch).item())
                table.data[number, column] -= step
            slopes.append((losses[0] - losses[1]) / 2e-5)
        norms.append(np.linalg.norm(slopes))
    np.testing.assert_allclose(study.gradient(model, 0), norms / np.max(norms), rtol=2e-3)
