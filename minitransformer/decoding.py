"""From a trained model to answers: greedy, sampling, beam search; a whole batch at once.

What is decoded need not be a transformer. A model is asked to `begin`, and gives a `Writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any, Protocol

import numpy as np

from minigrad import nn
from minigrad.mode import no_grad
from minigrad.tensor import Array
from minitransformer.settings import SettingError
from minitransformer.tokens import Special

Choose = Callable[[Array], Array]

SPECIAL = Special()
"""The numbers that our own tokenisers give to special tokens."""


class Writing(Protocol):
    """A batch of answers that a model is writing, one token at a time."""

    def next(self, tokens: Array) -> Array:
        """Read the next token of each row, (B,) → (B, V) logits of the one after it."""

    def select(self, rows: Array) -> None:
        """Go on with these rows in the place of the present ones; one may come up repeatedly."""


class Rewriting:
    """The writing of any model that takes (source, target): all tokens are read again each time."""

    def __init__(self, model: Any, source: Array) -> None:
        self.model, self.source = model, source
        self.target = np.empty((len(source), 0), dtype=np.int64)

    def next(self, tokens: Array) -> Array:
        self.target = np.concatenate([self.target, tokens[:, None]], axis=1)
        logits: Array = self.model(self.source, self.target).data[:, -1]
        return logits

    def select(self, rows: Array) -> None:
        self.source, self.target = self.source[rows], self.target[rows]


@contextmanager
def evaluating(model: nn.Module, modules: Sequence[nn.Module] | None = None) -> Iterator[None]:
    """A block in which dropout and the like are off; each module's mode before comes back.

    modules: all of the model's, where they are at hand: to list hundreds takes a millisecond.
    """
    modules = modules_of(model) if modules is None else modules
    before = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def modules_of(model: nn.Module) -> list[nn.Module]:
    """A model and all of its parts."""
    return [module for _, module in model.named_modules()]


def begin(
    model: Any, source: Any, max_length: int, special: Special, cache: bool
) -> tuple[Writing, Array, int]:
    """The writing of answers to sources (B, S), the token that each begins after, (B,), and how
    many tokens they may have.

    An answer begins after `bos`, but that of a model that `goes_on`, as a language model does:
    after the last token of its source. It has `max_length` tokens, or as many as the model has
    places for. Without the cache a model reads everything anew for each token. The results are the
    same, but that a language model then does not go on where its places are used up. ValueError
    for a negative length, and for sources of another shape, or without a token to go on from.
    """
    if max_length < 0:
        raise ValueError(f"max_length must be at least 0, not {max_length}")
    source = np.asarray(source)
    if source.ndim != 2:
        raise ValueError(f"tokens come as (B, T), a row for each source, not as {source.shape}")
    first = np.full(len(source), special.bos)
    if getattr(model, "goes_on", False):
        if not source.shape[1]:
            raise ValueError("nothing to go on from: a source has at least one token")
        source, first = source[:, :-1], source[:, -1]
    writing = model.begin(source) if cache else Rewriting(model, source)
    return writing, first, min(max_length, model.max_length or max_length)


def next_logits(writing: Writing, tokens: Array, special: Special) -> Array:
    """(B,) tokens → (B, V) logits of the next, −∞ for `pad` and `bos`, which no answer has.

    One of them may be the end as well, which it has.
    """
    logits = writing.next(tokens)
    logits[:, [*{special.pad, special.bos} - {special.eos}]] = -np.inf
    require_finite_logits(logits)
    return logits


def require_finite_logits(logits: Array) -> None:
    """ValueError where of a row's logits none is finite, or one NaN: it could answer anything."""
    highest = logits.max(axis=-1)
    if not np.isfinite(highest).all():
        spoilt = highest[~np.isfinite(highest)][0]
        raise ValueError(f"the model's highest logit is {spoilt}: its weights are spoilt")


def write(
    model: Any,
    source: Any,
    max_length: int,
    choose: Choose,
    special: Special,
    cache: bool = True,
) -> Iterator[Array]:
    """The next token of each row, (B,), until all have written `eos`, or `max_length` tokens.

    choose: takes (B, V) logits to (B,) tokens. A row that has ended gets `pad`.
    """
    modules = modules_of(model)
    with no_grad(), evaluating(model, modules):
        writing, token, most = begin(model, source, max_length, special, cache)
    finished = np.zeros(len(source), bool)
    for _ in range(most):
        if finished.all():
            return
        # A step at a time: between them others may train.
        with no_grad(), evaluating(model, modules):
            chosen = choose(next_logits(writing, token, special))
        token = np.where(finished, special.pad, chosen)
        finished |= token == special.eos
        yield token


def generate(
    model: Any,
    source: Any,
    max_length: int,
    choose: Choose,
    special: Special,
    cache: bool = True,
) -> list[list[int]]:
    """What `write` writes for each row of a source, (B, S) token numbers, padded: without `bos` and
    `eos`. The model's number of positions is a limit too, but for a language model.

    That goes on from the end of a text:

    >>> from minitransformer import LanguageConfig, LanguageModel
    >>> config = LanguageConfig(vocab=14, num_layers=1, d_model=8, num_heads=2, d_ff=16)
    >>> model, text = LanguageModel(config, rng=5), np.array([[5, 6, 7]])
    >>> greedy(model, text, 4)
    [[13, 13, 13, 13]]
    """
    steps = [*write(model, source, max_length, choose, special, cache)]
    rows: list[list[int]] = np.reshape(steps, (len(steps), len(source))).T.tolist()
    return [until(special.eos, row) for row in rows]


def until(end: int, tokens: list[int]) -> list[int]:
    """The tokens before the first `end`."""
    return tokens[: tokens.index(end)] if end in tokens else tokens


def greedy(
    model: Any,
    source: Any,
    max_length: int,
    special: Special = SPECIAL,
    cache: bool = True,
) -> list[list[int]]:
    """The likeliest token at each step; see `generate`."""
    return generate(model, source, max_length, likeliest, special, cache)


def sample(
    model: Any,
    source: Any,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | int | None = None,
    special: Special = SPECIAL,
    cache: bool = True,
) -> list[list[int]]:
    """A token drawn from the model's distribution at each step; see `drawing` and `generate`."""
    choose = drawing(temperature, top_k, top_p, rng)
    return generate(model, source, max_length, choose, special, cache)


def drawing(
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | int | None = None,
) -> Choose:
    """What draws tokens, (B,), from the distributions of logits, (B, V).

    temperature: above 0; below 1 sharpens the distribution. top_k: draw among the k likeliest.
    top_p: draw among the likeliest that together have probability p (Holtzman et al., "The Curious
    Case of Neural Text Degeneration", 2020, section 3.1). SettingError outside those ranges.
    """
    if not 0 < temperature < np.inf:
        raise SettingError(f"<temperature> must be a number above 0, not {temperature}")
    if top_k is not None and top_k < 1:
        raise SettingError(f"<top_k> must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise SettingError(f"<top_p> must be above 0 and at most 1, not {top_p}")
    generator = np.random.default_rng(rng)

    def draw(logits: Array) -> Array:
        below = np.cumsum(probabilities(logits, temperature, top_k, top_p), axis=-1)
        point = generator.random((len(below), 1)) * below[:, -1:]  # the sum is 1 but for rounding
        return (point < below).argmax(-1)

    return draw


def likeliest(logits: Array) -> Array:
    """The likeliest token of each row, (B, V) → (B,)."""
    return logits.argmax(-1)


def probabilities(
    logits: Array, temperature: float, top_k: int | None, top_p: float | None
) -> Array:
    """softmax(logits / temperature) over the tokens that `top_k` and `top_p` leave, (B, V).

    The others get 0.
    """
    x = logits.astype(np.float64)
    p = np.exp((x - x.max(-1, keepdims=True)) / temperature)
    p /= p.sum(-1, keepdims=True)
    if top_k is None and top_p is None:
        return p
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=-1)
    if top_k is not None:
        ranked[:, top_k:] = 0
    ranked /= ranked.sum(-1, keepdims=True)
    if top_p is not None:
        ranked[np.cumsum(ranked, axis=-1) - ranked >= top_p] = 0  # those before have top_p already
        ranked /= ranked.sum(-1, keepdims=True)
    np.put_along_axis(p, order, ranked, axis=-1)
    return p


def beam_search(
    model: Any,
    source: Any,
    max_length: int,
    beam_size: int = 4,
    length_penalty: float = 0.6,
    special: Special = SPECIAL,
    cache: bool = True,
) -> list[list[int]]:
    """The best of the sequences found by keeping the `beam_size` best beginnings at each step.

    Sequences are compared by log-probability / ((5 + length) / 6)^length_penalty, the length with
    its `eos`: Wu et al., "Google's Neural Machine Translation System" (2016), section 7; the paper
    takes 4 and 0.6. Every beginning may end at every step; whatever has ended is kept, so nothing
    is returned that scores below it. One beam is greedy decoding, which ends where `eos` comes
    first.
    """
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1, not {beam_size}")
    if not isfinite(length_penalty):
        raise ValueError(f"length_penalty must be a finite number, not {length_penalty}")
    if beam_size == 1:
        return greedy(model, source, max_length, special, cache)
    with no_grad(), evaluating(model):
        batch, beams, eos = len(source), beam_size, special.eos
        writing, token, most = begin(model, source, max_length, special, cache)
        writing.select(np.repeat(np.arange(batch), beams))
        tokens = np.repeat(token, beams)[:, None]
        scores = np.full((batch, beams), -np.inf)  # of the beginnings, the best first
        scores[:, 0] = 0  # all beams begin alike: let the first one branch
        answers: list[list[int]] = [[] for _ in range(batch)]
        ranks = np.full(batch, -np.inf)  # of the answers, the best that have ended so far

        def offer(ended: Array) -> None:
            """Take the beginnings whose ranks, (B, beams), are above those of the answers."""
            for row in np.flatnonzero(ended.max(axis=1, initial=-np.inf) > ranks):
                beam = ended[row].argmax()
                ranks[row] = ended[row, beam]
                answers[row] = tokens[row * beams + beam, 1:].tolist()

        for length in range(1, most + 1):
            log_p = log_probabilities(next_logits(writing, tokens[:, -1], special))
            vocab = log_p.shape[-1]
            totals = scores[..., None] + log_p.reshape(batch, beams, vocab)
            offer(totals[..., eos] / penalty(length, length_penalty))
            totals[..., eos] = -np.inf
            totals = totals.reshape(batch, beams * vocab)
            best = np.argsort(-totals, axis=-1, kind="stable")[:, :beams]
            beam, token = np.divmod(best, vocab)  # (B, beams) each
            scores = np.take_along_axis(totals, best, axis=-1)
            rows = (beam + np.arange(batch)[:, None] * beams).ravel()
            tokens = np.concatenate([tokens[rows], token.reshape(-1, 1)], axis=1)
            # Log-probabilities only fall, and the penalty is largest at one end of what is left.
            ends = penalty(np.array([[length], [most]]), length_penalty)
            if ((scores[:, 0] / ends).max(axis=0) <= ranks).all():
                return answers
            writing.select(rows)
        offer(scores / penalty(most, length_penalty))  # those cut off there
    return answers


def log_probabilities(logits: Array) -> Array:
    """log softmax along the last axis."""
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def penalty(length: Any, alpha: float) -> Any:
    """((5 + length) / 6)^alpha."""
    return ((5 + length) / 6) ** alpha
