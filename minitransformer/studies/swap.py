"""Swap: what a pronoun means to a language model, told by the noun that it would rather read there.

The noun is put in the place of the pronoun, and what matters is how likely the rest then is: Trinh
and Le, "A Simple Method for Commonsense Reasoning" (2018), section 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from minigrad.tensor import Array
from minitransformer.answering import Predictor
from minitransformer.decoding import log_probabilities
from minitransformer.inside.attribution import scored
from minitransformer.inside.maps import attention_maps
from minitransformer.progress import tell
from minitransformer.studies.study import Finding, Table


class Twins(NamedTuple):
    """Two sentences that only their ends tell apart: in each, the pronoun is another noun."""

    beginning: str
    nouns: tuple[str, str]
    ends: tuple[str, str]


FIRST = Twins("The animal didn't cross the street because", ("the animal", "the street"),
              ("was too tired.", "was too wide."))  # fmt: skip
TWINS = (
    Twins("The cup did not fit on the shelf because", ("the cup", "the shelf"),
          ("was too tall.", "was too low.")),
    Twins("The dog could not jump over the fence because", ("the dog", "the fence"),
          ("was too old.", "was too high.")),
    Twins("The truck did not pass under the bridge because", ("the truck", "the bridge"),
          ("was too tall.", "was too low.")),
    Twins("The letter did not go into the envelope because", ("the letter", "the envelope"),
          ("was too large.", "was too small.")),
    Twins("The horse could not pull the cart because", ("the horse", "the cart"),
          ("was too weak.", "was too heavy.")),
    Twins("The boat did not enter the harbour because", ("the boat", "the harbour"),
          ("was too large.", "was too shallow.")),
    Twins("The nail did not go into the wall because", ("the nail", "the wall"),
          ("was too blunt.", "was too hard.")),
    Twins("The cat did not drink the milk because", ("the cat", "the milk"),
          ("was not thirsty.", "was sour.")),
    Twins("The baby did not eat the soup because", ("the baby", "the soup"),
          ("was not hungry.", "was too salty.")),
    Twins("The fish did not take the bait because", ("the fish", "the bait"),
          ("was not hungry.", "was not fresh.")),
    Twins("The bird did not leave the nest because", ("the bird", "the nest"),
          ("was too young to fly.", "was safe and warm.")),
    Twins("The knife did not cut the bread because", ("the knife", "the bread"),
          ("was too blunt.", "was too stale.")),
    Twins("The bear did not enter the cave because", ("the bear", "the cave"),
          ("was too fat.", "was too narrow.")),
    Twins("The wolf did not catch the rabbit because", ("the wolf", "the rabbit"),
          ("was too slow.", "was too fast.")),
)  # fmt: skip
"""Written down before they were tried, and all of them kept."""


def swap(name: str, place: str) -> Finding:
    """What a published language model takes pronouns for, beside what it would without the
    sentence; and what it can know where it reads the pronoun.

    FileError where it cannot be had, ValueError where it is none that writes.
    """
    with threadpool_limits(1, "blas"):  # on a busy machine, threads wait for each other
        predictor = Predictor(place)
        predictor.require("generate")
        margins = np.array(
            [margins_of(predictor, twins, at) for at, twins in enumerate((FIRST, *TWINS))]
        )  # (1 + twins, with the sentence or without it, ends)
        at_pronoun, at_end = differences(predictor)
    return finding_of(name, margins, at_pronoun, at_end)


def finding_of(
    name: str, margins: Array, at_pronoun: dict[str, float], at_end: dict[str, float]
) -> Finding:
    """The margins, (1 + twins, with the sentence or without it, ends), and the differences."""
    right = margins[1:] > 0
    sentences, alone = (int(right[:, x].sum()) for x in range(2))
    both, both_alone = (int(right[:, x].all(axis=-1).sum()) for x in range(2))
    count = len(TWINS)
    return Finding(
        name,
        [
            table_of_margins(margins),
            table_of_right((sentences, both), (alone, both_alone)),
            Table(
                'how far the two sentences "… because it was too tired" and "… wide" are apart',
                ("", 'at "it"', "at the full stop"),
                [(what, f"{at_pronoun[what]:.3g}", f"{at_end[what]:.3g}") for what in at_pronoun],
            ),
        ],
        [
            "A decoder reads from left to right. Where it reads the pronoun, the word that tells "
            "what it is has not come yet: all that it computes there, what its heads look at too, "
            f"is the same in both sentences (they differ by {max(at_pronoun.values()):g}).",
            f"Of {2 * count} ends it likes {sentences} better after the right noun in the "
            f"sentence, and {alone} after the right noun alone. So many it may know by which word "
            "goes with which, and not by what the sentence says.",
        ],
        {
            "margins_in_nats": margins[:, 0].tolist(),
            "margins_of_the_nouns_alone": margins[:, 1].tolist(),
            "right": {"with_the_sentence": sentences, "nouns_alone": alone, "of": 2 * count},
            "both_twins_right": {"with_the_sentence": both, "nouns_alone": both_alone, "of": count},
            "differences": {"at_the_pronoun": at_pronoun, "at_the_full_stop": at_end},
        },
        {"margins": margins},
    )


def table_of_margins(margins: Array) -> Table:
    """How much likelier each end is after its noun than after the other, and without a sentence."""
    return Table(
        "how much likelier is the end after the right noun than after the other, in nats; in "
        "brackets after the nouns alone, without the sentence",
        ("right noun, not the other", "end", "nats", "alone"),
        [
            (
                f"{twins.nouns[x]}, not {twins.nouns[1 - x]}",
                twins.ends[x],
                f"{of[0][x]:+.2f}",
                f"({of[1][x]:+.2f})",
            )
            for twins, of in zip((FIRST, *TWINS), margins, strict=True)
            for x in range(2)
        ],
    )


def table_of_right(sentences: tuple[int, int], alone: tuple[int, int]) -> Table:
    """How many ends, and how many pairs of them, are right: with the sentence and without it."""
    count = len(TWINS)
    counted = {
        "with the sentence": sentences,
        "the nouns alone": alone,
        "always the first noun": (count, 0),
        "chance": (count, count / 4),
    }
    return Table(
        "right, without the first two, which are well known",
        ("", "ends", "both of two twins"),
        [(name, f"{x} of {2 * count}", f"{y:g} of {count}") for name, (x, y) in counted.items()],
    )


def margins_of(predictor: Predictor, twins: Twins, at: int) -> list[list[float]]:
    """In nats, how much likelier each end is after its noun than after the other one: in the
    sentence, and after the nouns alone."""
    tell("reading twins", at, 1 + len(TWINS))
    found = []
    for before in (f"{twins.beginning} ", ""):
        starts = [before + noun if before else noun.capitalize() for noun in twins.nouns]
        likely = [[log_probability(predictor, x, f" {end}") for x in starts] for end in twins.ends]
        found.append([likely[0][0] - likely[0][1], likely[1][1] - likely[1][0]])
    return found


def log_probability(predictor: Predictor, start: str, end: str) -> float:
    """How likely a text goes on so, in nats. ValueError where the two share a token."""
    first, whole = (predictor.form.source.encode(text) for text in (start, start + end))
    if whole[: len(first)] != first:
        raise ValueError(f"{start!r} and {end!r} share a token")
    logits = scored(predictor.model, [np.array([whole])], lambda x: x)[0]
    likely = log_probabilities(logits[len(first) - 1 : -1])
    return float(likely[np.arange(len(likely)), whole[len(first) :]].sum())


def differences(predictor: Predictor) -> tuple[dict[str, float], dict[str, float]]:
    """The largest differences between the first twins, at the pronoun and at the full stop: of
    what heads look at, and of what the model expects next."""
    texts = [f"{FIRST.beginning} it {end}" for end in FIRST.ends]
    sources = [np.array([predictor.form.source.encode(text)]) for text in texts]
    pronoun = len(predictor.form.source.encode(f"{FIRST.beginning} it")) - 1
    read = [states(predictor.model, source) for source in sources]

    def apart(at: int) -> dict[str, float]:
        return {what: float(abs(read[0][what][at] - read[1][what][at]).max()) for what in read[0]}

    return apart(pronoun), apart(-1)


def states(model: Any, source: Array) -> dict[str, Array]:
    """At each place, the weights of all heads and the logits, (T, ...)."""
    weights = [x.weights[0] for x in attention_maps(model, source).values()]  # (H, T, T) each
    return {
        "weights of all heads": np.concatenate(weights).swapaxes(0, 1),
        "logits of the next token": scored(model, [source], lambda x: x)[0],
    }
