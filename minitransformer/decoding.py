"""From a trained model to answers: greedy, sampling, beam search; a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from minigrad.mode import no_grad
from minigrad.tensor import Array
from minitransformer.data import BOS, EOS, PAD
from minitransformer.models.transformer import Transformer, evaluating
from minitransformer.parts.attention import padding_mask

Choose = Callable[[Array], Array]


class Decoding:
    """One batch being decoded: gives the logits of the next token, given the tokens so far.

    With the cache each step computes its own position only; without it, all positions again.
    The results are the same. `max_length` is the number of tokens asked for, or that of the
    model's positions where that is less. ValueError for fewer than 0 tokens, and for logits of
    which none is a finite number, or one NaN: a spoilt model would answer nothing, or anything.
    """

    def __init__(
        self, model: Transformer, source: Any, max_length: int, copies: int = 1, cache: bool = True
    ) -> None:
        if max_length < 0:
            raise ValueError(f"max_length must be at least 0, not {max_length}")
        self.model = model
        source = np.asarray(source)
        self.memory: Any = np.repeat(model.encode(source), copies, axis=0)
        self.memory_mask = padding_mask(np.repeat(source, copies, axis=0), PAD)
        self.max_length = min(max_length, model.config.max_length)
        self.caches = model.new_caches() if cache else None

    def logits(self, tokens: Array) -> Array:
        """(B, T) tokens so far, BOS first → (B, V) logits of the next, −∞ for PAD and BOS."""
        model, memory, mask = self.model, self.memory, self.memory_mask
        if self.caches is None:
            logits = model.decode(tokens, memory, mask).data[:, -1]
        else:
            position = tokens.shape[1] - 1
            logits = model.decode_next(tokens[:, -1], position, memory, mask, self.caches).data
        logits[:, [PAD, BOS]] = -np.inf  # no answer contains them, whatever the model says
        highest = logits.max(axis=-1)
        if not np.isfinite(highest).all():
            spoilt = highest[~np.isfinite(highest)][0]
            raise ValueError(f"the model's highest logit is {spoilt}: its weights are spoilt")
        return logits

    def select(self, rows: Array) -> None:
        """Go on with these rows (of the same source) in the place of the present ones."""
        for own, _ in self.caches or []:
            own.select(rows)


def generate(
    model: Transformer, source: Any, max_length: int, choose: Choose, cache: bool = True
) -> list[list[int]]:
    """Decode until EOS, or for `max_length` tokens; `choose` takes (B, V) logits to (B,) tokens.

    source: (B, S) token numbers, padded with 0. Returns each row's tokens without BOS and EOS.
    The model's number of positions is a limit too.
    """
    with no_grad(), evaluating(model):
        decoding = Decoding(model, source, max_length, cache=cache)
        tokens = np.full((len(source), 1), BOS)
        finished = np.zeros(len(source), bool)
        while tokens.shape[1] <= decoding.max_length and not finished.all():
            token = np.where(finished, PAD, choose(decoding.logits(tokens)))
            tokens = np.concatenate([tokens, token[:, None]], axis=1)
            finished |= token == EOS
    return [until_eos(row) for row in tokens[:, 1:].tolist()]


def until_eos(tokens: list[int]) -> list[int]:
    """The tokens before the first EOS."""
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens


def greedy(model: Transformer, source: Any, max_length: int, cache: bool = True) -> list[list[int]]:
    """The likeliest token at each step; see `generate`."""
    return generate(model, source, max_length, lambda logits: logits.argmax(-1), cache)


def sample(
    model: Transformer,
    source: Any,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: np.random.Generator | int | None = None,
    cache: bool = True,
) -> list[list[int]]:
    """A token drawn from the model's distribution at each step; see `generate`.

    temperature: above 0; below 1 sharpens the distribution. top_k: draw among the k likeliest.
    top_p: draw among the likeliest that together have probability p (Holtzman et al., "The Curious
    Case of Neural Text Degeneration", 2020, section 3.1). ValueError outside those ranges.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be a number above 0, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
    generator = np.random.default_rng(rng)

    def draw(logits: Array) -> Array:
        below = np.cumsum(probabilities(logits, temperature, top_k, top_p), axis=-1)
        point = generator.random((len(below), 1)) * below[:, -1:]  # the sum is 1 but for rounding
        return (point < below).argmax(-1)

    return generate(model, source, max_length, draw, cache)


def probabilities(
    logits: Array, temperature: float, top_k: int | None, top_p: float | None
) -> Array:
    """softmax(logits / temperature) over the tokens that `top_k` and `top_p` leave, (B, V).

    The others get 0.
    """
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=-1).astype(np.float64)
    p = np.exp((ranked - ranked[:, :1]) / temperature)
    if top_k is not None:
        p[:, top_k:] = 0
    p /= p.sum(-1, keepdims=True)
    if top_p is not None:
        p[np.cumsum(p, axis=-1) - p >= top_p] = 0  # what came before already has probability top_p
        p /= p.sum(-1, keepdims=True)
    back = np.zeros_like(p)
    np.put_along_axis(back, order, p, axis=-1)
    return back


def beam_search(
    model: Transformer,
    source: Any,
    max_length: int,
    beam_size: int = 4,
    length_penalty: float = 0.6,
    cache: bool = True,
) -> list[list[int]]:
    """The best of the sequences found by keeping the `beam_size` best beginnings at each step.

    Sequences are compared by log-probability / ((5 + length) / 6)^length_penalty, the length with
    its EOS: Wu et al., "Google's Neural Machine Translation System" (2016), section 7; the paper
    takes 4 and 0.6. Every beginning may end at every step; whatever has ended is kept, so nothing
    is returned that scores below it. One beam is greedy decoding, which ends where EOS comes first.
    """
    if beam_size < 1:
        raise ValueError(f"beam_size must be at least 1, not {beam_size}")
    if not isfinite(length_penalty):
        raise ValueError(f"length_penalty must be a finite number, not {length_penalty}")
    if beam_size == 1:
        return greedy(model, source, max_length, cache)
    with no_grad(), evaluating(model):
        batch, beams = len(source), beam_size
        decoding = Decoding(model, source, max_length, copies=beams, cache=cache)
        tokens = np.full((batch * beams, 1), BOS)
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

        for length in range(1, decoding.max_length + 1):
            log_p = log_probabilities(decoding.logits(tokens))
            vocab = log_p.shape[-1]
            totals = scores[..., None] + log_p.reshape(batch, beams, vocab)
            offer(totals[..., EOS] / penalty(length, length_penalty))
            totals[..., EOS] = -np.inf
            totals = totals.reshape(batch, beams * vocab)
            best = np.argsort(-totals, axis=-1, kind="stable")[:, :beams]
            beam, token = np.divmod(best, vocab)  # (B, beams) each
            scores = np.take_along_axis(totals, best, axis=-1)
            rows = (beam + np.arange(batch)[:, None] * beams).ravel()
            tokens = np.concatenate([tokens[rows], token.reshape(-1, 1)], axis=1)
            # Log-probabilities only fall, and the penalty is largest at one end of what is left.
            ends = penalty(np.array([[length], [decoding.max_length]]), length_penalty)
            if ((scores[:, 0] / ends).max(axis=0) <= ranks).all():
                return answers
            decoding.select(rows)
        offer(scores / penalty(decoding.max_length, length_penalty))  # those cut off there
    return answers


def log_probabilities(logits: Array) -> Array:
    """log softmax along the last axis."""
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def penalty(length: Any, alpha: float) -> Any:
    """((5 + length) / 6)^alpha."""
    return ((5 + length) / 6) ** alpha
