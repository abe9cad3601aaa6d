"""Positions: what tells a model where each token stands, and what it loses that is not told.

Attention adds up what it finds, and a sum is the same in any order. So a vector of its place is
added to each token: waves ("Attention Is All You Need", section 3.5) or learned ones; or queries
and keys are turned by their places: Su et al., "RoFormer" (2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minigrad.tensor import Array
from minitransformer.parts.embedding import sinusoidal_positions
from minitransformer.settings import Group, SettingError, changeable, setting
from minitransformer.studies.order import Case, Outcome, learn
from minitransformer.studies.percent import percent
from minitransformer.studies.shifts import (
    off_after_shift,
    off_when_fitted,
    rotary_change,
    rotary_scores,
    similarity,
)
from minitransformer.studies.study import Finding, Table, study
from minitransformer.studies.workers import in_parallel
from minitransformer.transfer import open_lender

SENTENCE = "I swam across the river to get to the bank"

PLACES = 100
"""Places that are compared."""

DRAWN = 200
"""Queries and keys, drawn at random."""

MOVED = 1, 10, 50
"""Places by which a shift is tried."""

DISTANCES = 1, 2, 4, 7, 16, 64
"""Those that the table shows."""

TRAINED = {"copy": ("sinusoidal", "learned", "rotary", "none"), "sort": ("sinusoidal", "none")}
"""What is learned, and how places are told. What is sorted may come in any order."""

Outcomes = Mapping[str, Mapping[str, list[Outcome]]]
"""By task and kind of positions: one for each seed."""


@study("positions", argument="sentence")
@dataclass(frozen=True)
class Positions(Group):
    """What tells places apart, and what a model loses without.

    Waves, one-hot, learned and rotary positions: how near places are alike, why a shift is a
    rotation, and copying and sorting with each of them.
    """

    sentence: str = setting(SENTENCE, "[SENTENCE]")
    width: int = setting(64, "columns of the vector of a place", least=4, most=1_000)
    pretrained: str = setting("", "published BERT whose learned positions to compare, as minilm")
    length: int = setting(8, "longest sequence to copy", least=4, most=20)
    steps: int = changeable(600, "steps of each training", least=1, most=10**6)
    seeds: int = setting(3, "trainings of each kind", least=1, most=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % 2:
            raise SettingError(f"<width> must be even, for pairs of waves, not {self.width}")
        if not 1 <= len(self.words) <= 40:
            raise SettingError(f"a sentence of 1 to 40 words is shown, not of {len(self.words)}")

    @property
    def words(self) -> list[str]:
        """The words of the sentence."""
        return self.sentence.split()

    def find(self) -> Finding:
        """Compare the vectors of places, move them on, and train with and without them."""
        published = self.published()
        outcomes = self.train()
        vectors = self.vectors(outcomes["copy"]["learned"]) | published
        alike = {name: np.stack([*map(similarity, x)]) for name, x in vectors.items()}
        fitted = {name: [*map(off_when_fitted, x)] for name, x in vectors.items()}
        scores = self.scores()
        moved = self.moved()
        return Finding(
            self.name,
            [similarity_table({**alike, **scores}, fitted), moved_table(moved), *losses(outcomes)],
            [*says_of_vectors(alike, fitted, moved), *says_of_loss(outcomes)],
            {
                "words": self.words,
                "similarity": {
                    name: x.mean(axis=0).tolist() for name, x in {**alike, **scores}.items()
                },
                "off_when_fitted": fitted,
                "moved_on": moved,
                "trainings": [
                    {"task": task, "positions": kind, "seed": seed, **x.shares()}
                    for task, kinds in outcomes.items()
                    for kind, own in kinds.items()
                    for seed, x in zip(self.numbered, own, strict=True)
                ],
            },
            {
                "table": sinusoidal_positions(len(self.words), self.width),
                "waves": sinusoidal_positions(PLACES, self.width),
                **{f"alike: {name}": x for name, x in {**alike, **scores}.items()},
                **{
                    f"{task}: {kind}": np.array([(x.exact, x.symbols, x.guess) for x in own])
                    for task, kinds in outcomes.items()
                    for kind, own in kinds.items()
                },
            },
        )

    @property
    def numbered(self) -> range:
        """The seeds. Learning rate and steps were chosen by what seed 0 gave, which is left out."""
        return range(1, self.seeds + 1)

    def train(self) -> Outcomes:
        """What came of each training."""
        cases = [
            Case(task, kind, self.length, self.steps, seed)
            for task, kinds in TRAINED.items()
            for kind in kinds
            for seed in self.numbered
        ]
        names = [f"{x.task}, {x.positions}, seed {x.seed}" for x in cases]
        found = iter(in_parallel(learn, cases, names))
        return {
            task: {kind: [next(found) for _ in self.numbered] for kind in kinds}
            for task, kinds in TRAINED.items()
        }

    def published(self) -> dict[str, list[Array]]:
        """The first learned positions of a published model, if one is named, by its name.

        FileError where there is no such model; ValueError where it has learned none.
        """
        if not self.pretrained:
            return {}
        weights = open_lender(self.pretrained).weights
        found = [x for name, x in weights.items() if name.endswith("embedding.positions.weight")]
        if not found:
            raise ValueError(f"{self.pretrained} has no learned positions")
        return {self.pretrained: [found[0][:PLACES].astype(np.float64)]}

    def vectors(self, learned: list[Outcome]) -> dict[str, list[Array]]:
        """The vectors of places of each kind, (P, D), and of such as no order is in."""
        rng = np.random.default_rng(0)
        return {
            "sinusoidal": [sinusoidal_positions(PLACES, self.width)],
            "one-hot": [np.eye(PLACES)],
            "drawn at random": [rng.normal(size=(PLACES, self.width))],
            "learned, before": [x.before for x in learned if x.before is not None],
            "learned, after": [x.after for x in learned if x.after is not None],
        }

    def scores(self) -> dict[str, Array]:
        """The scores of turned queries and keys at each distance, (N, P)."""
        queries, keys = np.random.default_rng(0).normal(size=(2, DRAWN, self.width))
        return {
            "rotary, q = k": rotary_scores(queries, queries, PLACES),
            "rotary, any q, k": rotary_scores(queries, keys, PLACES),
        }

    def moved(self) -> list[dict[str, float]]:
        """How far the waves are off after being turned to later places, and how much rotary
        scores change when both move on; places are up to PLACES."""
        queries, keys = np.random.default_rng(0).normal(size=(2, 20, self.width))
        return [
            {
                "by": k,
                "waves_off": off_after_shift(k, PLACES + k, self.width),
                "rotary_score_changed": rotary_change(k, queries, keys, PLACES),
            }
            for k in MOVED
        ]


def similarity_table(alike: Mapping[str, Array], fitted: Mapping[str, list[float]]) -> Table:
    """How alike places are, by their distance, and how well a linear map foretells the next one."""
    rows: list[tuple[str, ...]] = [
        (
            name,
            *(f"{x[:, d].mean().round(2) + 0:.2f}" if d < x.shape[1] else "" for d in DISTANCES),
            f"{percent(np.mean(fitted[name]))} %" if name in fitted else "",
        )
        for name, x in alike.items()
    ]
    return Table(
        "cosine of two places by their distance; how far off a linear map is at the next place",
        ("vectors of places", *map(str, DISTANCES), "off by"),
        rows,
    )


def moved_table(moved: list[dict[str, float]]) -> Table:
    """That moving on is a rotation: numbers that would be 0 if there were no rounding."""
    rows: list[tuple[str, ...]] = [
        (f"{x['by']}", f"{x['waves_off']:.0e}", f"{x['rotary_score_changed']:.0e}") for x in moved
    ]
    return Table(
        f"moving on by k is a rotation M: the largest error at {PLACES} places",
        ("k", "waves: M PE(pos) − PE(pos + k)", "rotary: change of a score"),
        rows,
    )


def losses(outcomes: Outcomes) -> list[Table]:
    """What was learned of each task, with each kind of positions and each seed."""
    tables = []
    for task, kinds in outcomes.items():
        rows: list[tuple[str, ...]] = [
            (kind, "  ".join(percent(x.exact) for x in own),
             mean(own, "symbols"), mean(own, "unmoved"))
            for kind, own in kinds.items()
        ]  # fmt: skip
        untrained = max(x.untrained for own in kinds.values() for x in own)
        rows += [
            ("best untrained", percent(untrained), "", ""),
            ("order guessed", mean(kinds["none"], "guess"), "100", ""),
        ]
        header = "positions", "exact match, each seed", "right symbols", "same if shuffled"
        tables.append(Table(f"{task}: % of held-out sequences", header, rows))
    return tables


def mean(outcomes: list[Outcome], name: str) -> str:
    """The mean of a share over the seeds, in per cent."""
    return percent(np.mean([getattr(x, name) for x in outcomes]))


def says_of_vectors(
    alike: Mapping[str, Array], fitted: Mapping[str, list[float]], moved: list[dict[str, float]]
) -> list[str]:
    """What follows from the vectors of places."""
    waves, before, after = alike["sinusoidal"][0], alike["learned, before"], alike["learned, after"]
    far = after.shape[1] // 2
    off = max(max(x["waves_off"], x["rotary_score_changed"]) for x in moved)
    return [
        f"Waves make near places alike ({waves[1]:.2f} for neighbours, {waves[16]:.2f} at distance "
        f"16); one-hot vectors are all equally far apart.",
        f"To move on by k places is the same rotation wherever one starts (nothing is off by more "
        f"than {off:.0e}). So a linear map that is fitted to some places foretells others: it is "
        f"off by {percent(fitted['sinusoidal'][0])} %, for one-hot vectors by "
        f"{percent(fitted['one-hot'][0])} %.",
        "Rotary positions put the same waves into the score: of a key like its query it falls off "
        "as they do, of any other it is 0 in the mean, at each distance.",
        f"Learned neighbours have a cosine of {before[:, 1].mean():.2f} before training, and of "
        f"{each(after[:, 1])} after it; places {far} apart one of {each(after[:, far])}.",
    ]


def says_of_loss(outcomes: Outcomes) -> list[str]:
    """What follows from the trainings."""
    copied, sorted_ = outcomes["copy"], outcomes["sort"]
    return [
        f"Without positions {mean(copied['none'], 'exact')} % of sequences are copied, with waves "
        f"{mean(copied['sinusoidal'], 'exact')} %. Who knows the symbols and guesses their order "
        f"is right in {mean(copied['none'], 'guess')} %. To such a model the source is a bag, and "
        "the causal mask lets it count what it has written: the right symbols, in any order, are "
        f"in {mean(copied['none'], 'symbols')} % of its answers.",
        f"Sorting needs no order: without positions {mean(sorted_['none'], 'exact')} % are sorted, "
        f"with waves {mean(sorted_['sinusoidal'], 'exact')} %.",
    ]


def each(cosines: Array) -> str:
    """A cosine with each seed."""
    return " ".join(f"{x:.2f}" for x in cosines)
