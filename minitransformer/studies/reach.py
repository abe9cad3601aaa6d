"""Reach: how much of its source a model can feel, before it has learned anything.

The loss of the first output token is differentiated by the vector of each source token. Through a
recurrent encoder that gradient passes every later token, and shrinks at each (Hochreiter, 1991;
Bengio, Simard and Frasconi, 1994); attention reaches every token in one step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minigrad.tensor import Array
from minitransformer.batch import IGNORE
from minitransformer.settings import Group, setting
from minitransformer.studies.sizes import equally_large
from minitransformer.studies.study import Finding, Table, study
from minitransformer.tasks import TASKS
from minitransformer.tasks.sequences import Sequences
from minitransformer.training import loss_of

COMPARED = "rnn", "lstm", "lstm-attention", "transformer"
"""Models, from the one that forgets soonest to the one that need not remember."""

WIDTH = 48
"""That of the transformer; the others have as many weights, as in `context`."""


@study("reach")
@dataclass(frozen=True)
class Reach(Group):
    """How far back gradients reach in each model, untrained."""

    length: int = setting(60, "tokens of the source", least=4, most=500)
    seeds: int = setting(3, "models of each kind, each with weights of its own", least=1, most=100)

    def find(self) -> Finding:
        """The norm of ∂loss/∂vector at each source token, relative to the largest: as many decades
        as are lost on the way. Between seeds it differs by a few, so each is listed."""
        found = {
            name: np.stack([self.gradient(name, seed) for seed in range(self.seeds)])
            for name in COMPARED
        }  # by model: (seeds, length)
        places = [0, self.length // 3, 2 * self.length // 3, self.length - 1]
        middle = {name: np.median(x, axis=0) for name, x in found.items()}
        rows = [
            (
                name,
                *(f"{middle[name][place]:.0e}" for place in places),
                "  ".join(f"{x:.0e}" for x in found[name][:, 0]),
            )
            for name in COMPARED
        ]
        decades = np.log10(middle["transformer"][0] / middle["rnn"][0])
        return Finding(
            self.name,
            [
                Table(
                    "the first output's gradient by source tokens 1 (the farthest) to "
                    f"{self.length}, relative to the largest (median of {self.seeds} seeds; "
                    "nothing is trained, and all have about as many weights)",
                    ("model", *(f"{x + 1}" for x in places), "1, with each seed"),
                    rows,
                )
            ],
            [
                f"Between an RNN and a transformer lie {decades:.0f} orders of magnitude, "
                f"{self.length} tokens back."
            ],
            {
                "length": self.length,
                "first_token": {name: x[:, 0].tolist() for name, x in found.items()},
                "decades_between_rnn_and_transformer": float(decades),
            },
            found,
        )

    def task(self) -> Sequences:
        """The task that is asked: to copy as many different symbols as the source has places."""
        copy: Sequences = TASKS["copy"](length=self.length, vocab=self.length)
        return copy

    def gradient(self, model: str, seed: int) -> Array:
        """(length,): the norms, the largest of them 1, of a new model.

        In the source each symbol stands once: the gradient of its row of the embedding is then that
        of its place. In double precision: in single, a long way leaves 0.
        """
        form, rng = self.task().load(seed).form, np.random.default_rng(seed)
        module = equally_large([model], WIDTH, form.shape)[model].build(form.shape, rng)
        source = rng.permutation(form.source.encode(" ".join(map(str, range(self.length)))))
        batch = form.batch([(source.tolist(), source[:1].tolist())])
        batch.labels[:, 1:] = IGNORE
        loss_of(module.astype(np.float64), batch).backward()
        rows = next(name for name, whose in module.token_rows.items() if whose == "source")
        gradient = dict(module.named_parameters())[rows].grad
        assert gradient is not None
        norms: Array = np.hypot.reduce(gradient[source], axis=-1)  # a square might be too small
        return norms / norms.max()
