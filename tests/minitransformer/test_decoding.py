"""Greedy decoding, sampling and beam search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Tensor, nn
from minitransformer import Decoder, Transformer, TransformerConfig, beam_search, greedy, sample
from minitransformer.decoding import (
    SPECIAL,
    evaluating,
    generate,
    likeliest,
    log_probabilities,
    penalty,
    probabilities,
    write,
)
from minitransformer.models.language import LanguageConfig, LanguageModel
from minitransformer.models.transformer import TransformerWriting
from minitransformer.tokens import Special

PAD, BOS, EOS, *_ = SPECIAL

Answers = list[list[int]]

V = 9
SOURCE = np.array([[4, 5, 6, 7, 8], [8, 4, 4, 0, 0], [6, 0, 0, 0, 0], [5, 6, 7, 8, 0]])


def a_model(seed: int = 0, dropout: float = 0.0, **choices: Any) -> Transformer:
    """A float64 model with random weights, such that its answers vary."""
    base = {"source_vocab": V, "target_vocab": V, "max_length": 12}
    shape = {"d_model": 8, "num_heads": 2, "d_ff": 12, "dropout": dropout}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    config = TransformerConfig(**{**base, **shape, **layers, **choices})
    model = Transformer(config, rng=seed).astype(np.float64)
    rng = np.random.default_rng(seed)
    for name, x in model.named_parameters():
        x.data += rng.normal(0, 1.0 if "embedding" in name else 0.1, x.shape)
    return model


def a_model_that_says(p: dict[int, float]) -> Transformer:
    """A model that gives each token its probability `p`, whatever it reads or has written."""
    model = a_model()
    model.projection.weight.data[...] = 0
    model.projection.bias.data[...] = -100
    for token, share in p.items():
        model.projection.bias.data[token] = np.log(share)
    return model


models = st.builds(
    a_model,
    seed=st.integers(0, 2**32),
    norm=st.sampled_from(["post", "pre"]),
    positions=st.sampled_from(["sinusoidal", "learned"]),
    activation=st.sampled_from(["relu", "gelu"]),
)
few = settings(max_examples=12, deadline=None)

METHODS: dict[str, Callable[..., Answers]] = {
    "greedy": greedy,
    "beam": beam_search,
    "beam, many": lambda *args, **rest: beam_search(*args, beam_size=7, **rest),
    "sample": lambda *args, **rest: sample(*args, rng=3, **rest),
    "sample, top": lambda *args, **rest: sample(*args, top_k=4, top_p=0.9, rng=3, **rest),
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)

methods_that_go_on = pytest.mark.parametrize(
    "method", [greedy, partial(beam_search, length_penalty=9.0), METHODS["sample"]]
)


def log_p_of(model: Transformer, source: Any, sequence: list[int]) -> float:
    """The log-probability of a whole answer (with its EOS, if any) in one forward pass."""
    logits = model.eval()(source, np.array([[BOS, *sequence[:-1]]])).data[0]
    logits[:, [PAD, BOS]] = -np.inf
    return float(log_probabilities(logits)[np.arange(len(sequence)), sequence].sum())


@methods
@few
@given(model=models)
def test_the_cache_changes_nothing(method: Callable[..., Answers], model: Transformer) -> None:
    assert method(model, SOURCE, 12) == method(model, SOURCE, 12, cache=False)


@pytest.mark.parametrize("method", [greedy, beam_search])
@few
@given(model=models)
def test_a_row_of_a_batch_is_decoded_as_if_alone(
    method: Callable[..., Answers], model: Transformer
) -> None:
    alone = [method(model, row[row != PAD][None], 12)[0] for row in SOURCE]
    assert method(model, SOURCE, 12) == alone


def test_answers_vary_in_content_and_in_length() -> None:
    """Or the tests above would show little."""
    answers = [answer for seed in range(20) for answer in greedy(a_model(seed), SOURCE, 12)]
    assert len({tuple(answer) for answer in answers}) > 20
    assert len({len(answer) for answer in answers}) > 4


@few
@given(models)
def test_greedy_takes_the_likeliest_token_at_each_step(model: Transformer) -> None:
    for row, answer in zip(SOURCE, greedy(model, SOURCE, 12), strict=True):
        written = [BOS]
        for token in [*answer, EOS][:12]:
            logits = model(row[None], np.array([written])).data[0, -1]
            logits[[PAD, BOS]] = -np.inf
            assert token == logits.argmax()
            written.append(token)


@few
@given(models)
def test_a_single_beam_is_greedy(model: Transformer) -> None:
    assert beam_search(model, SOURCE, 12, beam_size=1) == greedy(model, SOURCE, 12)


def all_sequences(tokens: list[int], max_length: int) -> list[list[int]]:
    """Every answer there is: ended by EOS, or as long as allowed."""
    ended = [
        [*words, EOS] for length in range(max_length) for words in product(tokens, repeat=length)
    ]
    return ended + [[*words] for words in product(tokens, repeat=max_length)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.6, 1.0, 2.0]))
def test_a_beam_as_wide_as_everything_finds_the_best(seed: int, length_penalty: float) -> None:
    model = a_model(seed, source_vocab=6, target_vocab=6)
    source = np.array([[4, 5, 3]])
    everything = all_sequences([3, 4, 5], max_length=3)
    assert len(everything) == (1 + 3 + 9) + 27

    def rank(sequence: list[int]) -> float:
        return log_p_of(model, source, sequence) / ((5 + len(sequence)) / 6) ** length_penalty

    best = max(everything, key=rank)
    found = beam_search(model, source, 3, beam_size=40, length_penalty=length_penalty)
    assert found == [[token for token in best if token != EOS]]


class Tables(nn.Module):
    """A model that looks the next token's probabilities up: `table(row, tokens so far)` → (V,).

    `row` is the first token of a source; decode without the cache.
    """

    max_length = None

    def __init__(self, table: Callable[[int, tuple[int, ...]], np.ndarray]) -> None:
        self.table = table

    def forward(self, source: np.ndarray, target: np.ndarray) -> Tensor:
        p = [
            self.table(int(row[0]), tuple(sequence[1:]))
            for row, sequence in zip(source, target.tolist(), strict=True)
        ]
        with np.errstate(divide="ignore"):
            return Tensor(np.log(np.array(p, float).reshape(-1, 1, V)))


def step_table(*steps: dict[int, float]) -> Tables:
    """Tables that depend on the step alone, the last for all that follow."""
    rows = np.array([[step.get(token, 0) for token in range(V)] for step in steps])
    return Tables(lambda row, so_far: rows[min(len(so_far), len(rows) - 1)])


def random_tables(seed: int, by_step: bool = False) -> Tables:
    """Small whole numbers as odds of each token, so that some tie and some are impossible."""
    known: dict[Any, np.ndarray] = {}

    def table(row: int, so_far: tuple[int, ...]) -> np.ndarray:
        key = (row, len(so_far)) if by_step else (row, *so_far)
        if key not in known:
            odds = np.random.default_rng((seed, *key)).integers(0, 4, V)
            odds[[PAD, BOS, 6, 7, 8]] = 0
            odds[EOS if odds.sum() == 0 else 3] += 1
            known[key] = odds / odds.sum()
        return known[key]

    return Tables(table)


def rank(model: Tables, row: int, sequence: list[int], alpha: float) -> float:
    """What beam search compares, of an answer with its EOS."""
    with np.errstate(divide="ignore"):
        score = sum(
            float(np.log(model.table(row, tuple(sequence[:i]))[token]))
            for i, token in enumerate(sequence)
        )
    return score / float(penalty(len(sequence), alpha))


def whole(answer: list[int], max_length: int) -> list[int]:
    return [*answer, EOS][:max_length]


ROWS = np.array([[4], [5], [6]])
alphas = st.sampled_from([-1.0, 0.0, 0.6, 1.0, 3.0])


def test_a_finished_answer_is_not_lost_to_a_worse_one() -> None:
    model = step_table(
        {2: 0.3, 4: 0.6, 5: 0.1}, {5: 0.5, 6: 0.5}, {2: 0.2, 4: 0.2, 5: 0.2, 6: 0.2, 7: 0.2}
    )
    assert beam_search(model, [[4]], 6, beam_size=2, cache=False) == [[]]


@few
@given(st.integers(0, 2**32), alphas, st.integers(0, 4))
def test_enough_beams_search_everything_there_is(seed: int, alpha: float, longest: int) -> None:
    model: Any = random_tables(seed)
    everything = all_sequences([3, 4, 5], longest)
    answers = beam_search(model, ROWS, longest, 3**longest + 1, alpha, cache=False)
    for (row,), answer in zip(ROWS, answers, strict=True):
        best = max(rank(model, row, sequence, alpha) for sequence in everything)
        assert rank(model, row, whole(answer, longest), alpha) == pytest.approx(best)


@few
@given(st.integers(0, 2**32), alphas)
def test_as_many_beams_as_tokens_find_the_best_of_what_depends_on_the_step_alone(
    seed: int, alpha: float
) -> None:
    model: Any = random_tables(seed, by_step=True)
    everything = all_sequences([3, 4, 5], 4)
    for (row,), answer in zip(
        ROWS, beam_search(model, ROWS, 4, V, alpha, cache=False), strict=True
    ):
        best = max(rank(model, row, sequence, alpha) for sequence in everything)
        assert rank(model, row, whole(answer, 4), alpha) == pytest.approx(best)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), alphas, st.integers(2, 4), st.integers(1, 7))
def test_nothing_is_returned_that_scores_below_what_had_ended(
    seed: int, alpha: float, beams: int, longest: int
) -> None:
    """Beam search written a second time, without an early end: no pool, no batch, no bound."""
    model: Any = random_tables(seed)
    answers = beam_search(model, ROWS, longest, beams, alpha, cache=False)
    for (row,), answer in zip(ROWS, answers, strict=True):
        ended: list[list[int]] = []
        kept: list[list[int]] = [[]]
        for _ in range(longest):
            ended += [[*sequence, EOS] for sequence in kept]
            grown = [[*sequence, token] for sequence in kept for token in (3, 4, 5)]
            kept = sorted(grown, key=lambda x: -rank(model, row, x, 0.0))[:beams]
        found = rank(model, row, whole(answer, longest), alpha)
        least = max(rank(model, row, sequence, alpha) for sequence in [*ended, *kept])
        assert found >= least - 1e-9


@methods
def test_no_tokens_are_an_answer_too(method: Callable[..., Answers]) -> None:
    assert method(a_model(), SOURCE, 0) == [[]] * 4
    with pytest.raises(ValueError, match="max_length must be at least 0, not -1"):
        method(a_model(), SOURCE, -1)


@methods
@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_a_spoilt_model_does_not_answer(method: Callable[..., Answers], spoilt: float) -> None:
    model = a_model()
    model.projection.bias.data[:] = spoilt
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="its weights are spoilt"):
        method(model, SOURCE, 3)


@few
@given(models)
def test_a_larger_length_penalty_never_prefers_a_shorter_answer(model: Transformer) -> None:
    source, lengths = SOURCE[:1], []
    for length_penalty in (0.0, 0.5, 1.0, 2.0, 4.0):
        found = beam_search(model, source, 2, beam_size=100, length_penalty=length_penalty)[0]
        lengths.append(len(found))
    assert lengths == sorted(lengths)


def test_the_length_penalty_prefers_longer_answers() -> None:
    model = a_model_that_says({EOS: 0.4, 5: 0.6})
    # ended at once: log 0.4 = -0.92; two tokens, then the end of the space: 2 log 0.6 = -1.02
    assert beam_search(model, SOURCE[:1], 2, beam_size=4, length_penalty=0.0) == [[]]
    assert beam_search(model, SOURCE[:1], 2, beam_size=4, length_penalty=1.0) == [[5, 5]]


def test_the_length_penalty_is_the_formula_of_wu_et_al() -> None:
    assert penalty(np.array([1, 7]), 0.6).tolist() == [1, 2**0.6]
    assert penalty(np.array([1, 7]), 0.0).tolist() == [1, 1]


def test_more_beams_find_likelier_answers() -> None:
    def score(model: Transformer, beam_size: int) -> float:
        total = 0.0
        for row in SOURCE:
            source = row[None]
            answer = beam_search(model, source, 6, beam_size, length_penalty=0.0)[0]
            total += log_p_of(model, source, [*answer, EOS][:6])
        return total

    gains = [score(model, 8) - score(model, 1) for model in map(a_model, range(10))]
    assert np.mean(gains) > 0
    assert sum(gain > 0 for gain in gains) > sum(gain < 0 for gain in gains)


@methods
@pytest.mark.parametrize("max_length", [1, 2, 5])
def test_no_answer_is_longer_than_allowed(method: Callable[..., Answers], max_length: int) -> None:
    model = a_model_that_says({5: 0.7, 6: 0.3})  # and never EOS
    assert [len(answer) for answer in method(model, SOURCE, max_length)] == [max_length] * 4


@methods
def test_the_models_positions_are_a_limit_too(method: Callable[..., Answers]) -> None:
    model = a_model_that_says({5: 0.7, 6: 0.3})
    for cache in (True, False):
        answers = method(model, SOURCE, 1000, cache=cache)
        assert [len(answer) for answer in answers] == [model.max_length] * 4


@methods
def test_decoding_stops_when_every_row_is_finished(
    method: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    positions = []
    step = TransformerWriting.next

    def counted(self: Any, tokens: Any) -> Any:
        positions.append(self.position)
        return step(self, tokens)

    monkeypatch.setattr(TransformerWriting, "next", counted)
    assert method(a_model_that_says({EOS: 1.0}), SOURCE, 12) == [[], [], [], []]
    assert len(positions) < 12
    if method is greedy:
        assert positions == [0]


@methods
@few
@given(model=models)
def test_answers_hold_neither_padding_nor_bos_nor_eos(
    method: Callable[..., Answers], model: Transformer
) -> None:
    model.projection.bias.data[[PAD, BOS]] = 30  # an untrained model may well like them best
    for answer in method(model, SOURCE, 12):
        assert not {PAD, BOS, EOS} & set(answer)


@methods
def test_the_special_tokens_may_have_other_numbers(method: Callable[..., Answers]) -> None:
    model = a_model_that_says({0: 0.2, 1: 0.2, 2: 0.2, 5: 0.2, 8: 0.2})
    answers = method(model, SOURCE, 12, special=Special(pad=5, bos=8, eos=0, unk=1))
    assert {token for answer in answers for token in answer} <= {1, 2}
    assert method(a_model_that_says({7: 1.0}), SOURCE, 12, special=Special(5, 6, 7, 8)) == [[]] * 4
    # one token for all three, as in GPT-2's vocabulary
    assert method(a_model_that_says({7: 1.0}), SOURCE, 12, special=Special(7, 7, 7)) == [[]] * 4


@methods
def test_the_answers_are_lists_of_plain_integers(method: Callable[..., Answers]) -> None:
    answers = method(a_model(), SOURCE.tolist(), 4)
    assert len(answers) == 4
    assert all(type(token) is int for answer in answers for token in answer)


@methods
def test_no_rows_have_no_answers(method: Callable[..., Answers]) -> None:
    assert method(a_model(), np.zeros((0, 3), int), 4) == []


@methods
def test_dropout_is_off_and_the_mode_comes_back(method: Callable[..., Answers]) -> None:
    model = a_model(dropout=0.5)
    model.encoder.eval()
    assert method(model, SOURCE, 12) == method(model, SOURCE, 12)
    assert model.training
    assert model.decoder.training
    assert not model.encoder.training


@methods
def test_the_mode_comes_back_when_decoding_fails(method: Callable[..., Answers]) -> None:
    model = a_model(dropout=0.5)
    with pytest.raises(ValueError, match="a sequence of 13 tokens is longer"):
        method(model, np.full((1, 13), 4), 12)
    assert all(module.training for _, module in model.named_modules())


def test_a_models_modes_come_back_after_an_error() -> None:
    model = a_model(dropout=0.3)
    model.encoder.eval()
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert not any(module.training for _, module in model.named_modules())
        raise ZeroDivisionError
    assert model.training
    assert model.decoder.training
    assert not model.encoder.training


def test_the_mode_comes_back_when_choosing_fails() -> None:
    model = a_model(dropout=0.5)

    def choose(logits: Any) -> Any:
        assert not model.training
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        generate(model, SOURCE, 12, choose, SPECIAL)
    assert all(module.training for _, module in model.named_modules())


@methods
def test_nothing_is_recorded(
    method: Callable[..., Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = []
    decode = Decoder.forward

    def watched(*args: Any) -> Any:
        x = decode(*args)
        recorded.append(x.requires_grad)
        return x

    monkeypatch.setattr(Decoder, "forward", watched)
    method(a_model(), SOURCE, 3)
    assert recorded
    assert not any(recorded)


def test_answers_are_written_token_by_token_and_between_them_the_model_is_as_it_was() -> None:
    model = a_model(dropout=0.5)
    modules = [module for _, module in model.named_modules()]
    steps = []
    for tokens in write(model, SOURCE, 6, likeliest, SPECIAL):
        assert all(module.training for module in modules)
        assert model(SOURCE, SOURCE).requires_grad
        steps.append(tokens)
    rows = np.array(steps).T.tolist()
    for row, answer in zip(rows, greedy(model, SOURCE, 6), strict=True):
        end = row.index(EOS) if EOS in row else len(row)
        assert row[:end] == answer
        assert {*row[end + 1 :]} <= {PAD}


def test_writing_may_be_left_before_its_end() -> None:
    model = a_model(dropout=0.5)
    writing = write(model, SOURCE, 12, likeliest, SPECIAL)
    next(writing)
    writing.close()
    assert model.training and model(SOURCE, SOURCE).requires_grad


@methods_that_go_on
def test_a_language_model_goes_on_from_its_source(
    method: Callable[..., Answers],
) -> None:
    config = LanguageConfig(vocab=12, num_layers=1, d_model=8, num_heads=2, d_ff=16, max_length=20)
    model = LanguageModel(config, rng=0)
    texts = np.array([[4, 8, 6], [5, 7, 9]])
    found = method(model, texts, 6)
    assert found == method(model, texts, 6, cache=False)
    if method is not METHODS["sample"]:  # which draws for one row what it would for another
        alone = [method(model, texts[row : row + 1], 6)[0] for row in range(2)]
        assert found == alone


def test_what_it_goes_on_from_is_read_and_not_written() -> None:
    config = LanguageConfig(vocab=12, num_layers=1, d_model=8, num_heads=2, d_ff=16)
    model = LanguageModel(config, rng=0)
    (answer,) = greedy(model, [[4, 8, 6]], 6)
    logits = model.eval()(np.array([[4, 8, 6]])).data[0, -1]
    logits[[PAD, BOS]] = -np.inf
    assert answer[0] == logits.argmax()


def test_a_language_model_goes_on_from_something() -> None:
    model = LanguageModel(LanguageConfig(vocab=12, num_layers=1, d_model=8, num_heads=2), rng=0)
    with pytest.raises(ValueError, match="nothing to go on from"):
        greedy(model, np.empty((1, 0), int), 6)


def test_a_flat_source_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tokens come as \(B, T\)"):
        greedy(a_model(), [4, 5, 6], 12)


@few
@given(models, st.integers(0, 100))
def test_sampling_without_choice_is_greedy(model: Transformer, seed: int) -> None:
    likeliest = greedy(model, SOURCE, 12)
    assert sample(model, SOURCE, 12, temperature=1e-12, rng=seed) == likeliest
    assert sample(model, SOURCE, 12, temperature=1e-300, rng=seed) == likeliest
    assert sample(model, SOURCE, 12, top_k=1, rng=seed) == likeliest
    assert sample(model, SOURCE, 12, top_p=1e-12, rng=seed) == likeliest


SHARES = {EOS: 0.05, 3: 0.1, 5: 0.2, 6: 0.25, 7: 0.4}


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, SHARES),
        ({"temperature": 0.5}, {token: p**2 for token, p in SHARES.items()}),
        ({"temperature": 2.0}, {token: p**0.5 for token, p in SHARES.items()}),
        ({"top_k": 3}, {5: 0.2, 6: 0.25, 7: 0.4}),
        ({"top_k": 100}, SHARES),
        ({"top_p": 0.5}, {6: 0.25, 7: 0.4}),
        ({"top_p": 1.0}, SHARES),
        ({"top_k": 3, "top_p": 0.7}, {6: 0.25, 7: 0.4}),  # of 0.85: 0.76 is enough
    ],
    ids=str,
)
def test_samples_are_as_frequent_as_they_are_likely(
    choices: dict[str, Any], expected: dict[int, float]
) -> None:
    n = 20_000
    answers = sample(a_model_that_says(SHARES), np.full((n, 1), 4), 1, rng=0, **choices)
    counts = np.bincount([answer[0] if answer else EOS for answer in answers], minlength=V)
    tokens = list(expected)
    means = np.array([expected[token] for token in tokens]) * n / sum(expected.values())
    assert counts[tokens].sum() == n
    chi_square = ((counts[tokens] - means) ** 2 / means).sum()
    assert chi_square < 20  # four degrees of freedom: exceeded once in 2,000


def test_a_token_without_probability_is_never_drawn() -> None:
    p = probabilities(np.array([[-np.inf, 0.0, -np.inf, 1.0, -np.inf]]), 1.0, None, None)
    assert np.array_equal(p > 0, [[False, True, False, True, False]])
    assert p.sum() == 1

    class Extreme(np.random.Generator):
        """Draws the ends of the interval."""

        def random(self, size: Any) -> Any:  # type: ignore[override]
            return np.where(np.arange(size[0])[:, None] % 2, np.nextafter(1, 0), 0.0)

    model = a_model_that_says({4: 0.1, 6: 0.7, 7: 0.2})
    model.projection.bias.data[[EOS, 3, 5, 8]] = -np.inf
    answers = sample(model, np.full((2, 1), 4), 1, rng=Extreme(np.random.PCG64(0)))
    assert answers == [[4], [7]]


def test_top_p_keeps_the_token_that_reaches_it() -> None:
    logits = np.log([[0.5, 0.25, 0.125, 0.125]])
    for top_p, kept in ((0.4, 1), (0.5, 1), (0.6, 2), (0.75, 2), (0.8, 3)):
        assert np.count_nonzero(probabilities(logits, 1.0, None, top_p)) == kept


def test_probabilities_do_not_overflow() -> None:
    p = probabilities(np.array([[1e4, -1e4, 1e4 - 1]], np.float32), 1.0, None, None)
    assert np.allclose(p, [[1 / (1 + np.exp(-1)), 0, 1 / (1 + np.e)]])
    assert np.allclose(
        log_probabilities(np.array([[1e4, 1e4, -np.inf]])), [[-np.log(2)] * 2 + [-np.inf]]
    )


def test_the_same_seed_gives_the_same_samples() -> None:
    model = a_model()
    assert sample(model, SOURCE, 12, rng=1) == sample(model, SOURCE, 12, rng=1)
    assert sample(model, SOURCE, 12, rng=1) != sample(model, SOURCE, 12, rng=2)


def test_a_generator_goes_on_where_it_stopped() -> None:
    model = a_model()
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    first, second = (sample(model, SOURCE, 12, rng=one) for _ in range(2))
    assert first != second
    assert [first, second] == [sample(model, SOURCE, 12, rng=other) for _ in range(2)]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"temperature": 0}, "temperature must be a number above 0, not 0"),
        ({"temperature": -1.0}, "temperature must be a number above 0, not -1.0"),
        ({"temperature": float("inf")}, "temperature must be a number above 0, not inf"),
        ({"temperature": float("nan")}, "temperature must be a number above 0, not nan"),
        ({"top_k": 0}, "top_k must be at least 1, not 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, not 1.5"),
    ],
)
def test_choices_out_of_range_are_named(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        sample(a_model(), SOURCE, 12, **choices)
    assert str(error.value) == message


def test_at_least_one_beam_is_needed() -> None:
    with pytest.raises(ValueError, match="beam_size must be at least 1, not 0"):
        beam_search(a_model(), SOURCE, 12, beam_size=0)
    with pytest.raises(ValueError, match="length_penalty must be a finite number, not nan"):
        beam_search(a_model(), SOURCE, 12, length_penalty=np.nan)
