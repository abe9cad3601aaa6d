"""Language models: their sizes, what a place may see, and texts that go on without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import cross_entropy, nn
from minigrad.nn import ShapesOnly, count_parameters
from minitransformer.batch import Shape
from minitransformer.decoding import greedy
from minitransformer.models.language import (
    GPTSettings,
    LanguageConfig,
    LanguageModel,
    LanguageWriting,
    LlamaSettings,
)
from minitransformer.settings import SettingError
from minitransformer.tokens import Special

V, D, F, H, PLACES = 11, 8, 12, 4, 10
END = Special(pad=V - 1, bos=V - 1, eos=V - 1, unk=None)
SIZES = {"vocab": V, "num_layers": 2, "d_model": D, "num_heads": H, "d_ff": F}

KINDS: dict[str, LanguageConfig] = {
    "gpt": LanguageConfig.gpt2(**SIZES, dropout=0.0, max_length=PLACES),
    "llama": LanguageConfig.llama(**SIZES, num_kv_heads=2, dropout=0.0, max_length=PLACES),
    "untied": LanguageConfig.gpt2(**SIZES, dropout=0.0, max_length=PLACES, tied=False),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def a_model(kind: str, seed: int = 0) -> LanguageModel:
    """A float64 model with no weight at a special value such as 0 or 1."""
    model = LanguageModel(KINDS[kind], rng=seed).astype(np.float64)
    rng = np.random.default_rng(seed)
    for x in model.parameters():
        x.data[...] = rng.normal(0.1, 0.5, x.shape)
    return model.eval()


def texts(rows: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, V, (rows, length))


def logits_of(model: LanguageModel, tokens: Any) -> Any:
    return model(tokens).data


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (LanguageConfig.gpt2(), 124_439_808),  # as the published weights have
        (LanguageConfig.gpt3(), 174_604_259_328),
        (LanguageConfig.llama(), 134_515_008),  # SmolLM2-135M
        (LanguageConfig.llama(tied=False), 134_515_008 + 49_152 * 576),
    ],
)
def test_the_models_of_papers_have_as_many_parameters_as_they_are_said_to_have(
    config: LanguageConfig, count: int
) -> None:
    assert count_parameters(LanguageModel(config, ShapesOnly())) == count


def test_what_llama_changed() -> None:
    gpt, llama = (dict(a_model(kind).named_parameters()) for kind in ("gpt", "llama"))
    assert "embedding.positions.weight" in gpt
    assert not [name for name in llama if name.endswith("bias") or "positions" in name]
    layer = "decoder.layers.0."
    assert llama[f"{layer}feed_forward.gate.weight"].shape == (F, D)
    assert llama[f"{layer}self_attention.key.weight"].shape == (2 * D // H, D)
    assert llama[f"{layer}self_attention.query.weight"].shape == (D, D)


def test_tied_weights_are_one_tensor() -> None:
    tied = a_model("gpt")
    assert tied.projection is None
    table = tied.embedding.tokens.weight
    before = logits_of(tied, [[3]])
    table.data[5] += 1  # a row that is not read, but with which the token is scored
    after = logits_of(tied, [[3]])
    changed = np.flatnonzero(before != after)
    assert changed.tolist() == [5]
    assert "projection.weight" in dict(a_model("untied").named_parameters())


@kinds
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_later_token_changes_no_earlier_logit(kind: str, place: int) -> None:
    model, tokens = a_model(kind), texts(2, 7)
    before = logits_of(model, tokens)
    tokens[:, place] = (tokens[:, place] + 1) % V
    after = logits_of(model, tokens)
    np.testing.assert_array_equal(after[:, :place], before[:, :place])
    assert (after[:, place:] != before[:, place:]).any(axis=-1).all()


def test_rotary_positions_matter() -> None:
    model = a_model("llama")
    first, again = logits_of(model, [[1, 2, 3]])[0, -1], logits_of(model, [[2, 1, 3]])[0, -1]
    assert np.abs(first - again).max() > 1e-3


@kinds
def test_what_has_been_written_comes_after_the_source(kind: str) -> None:
    model, tokens = a_model(kind), texts(2, 6)
    whole = logits_of(model, tokens)
    np.testing.assert_array_equal(model(tokens[:, :4], tokens[:, 4:]).data, whole)


@kinds
@given(rows=st.integers(1, 3), prompt=st.integers(0, PLACES - 1), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_what_is_kept_changes_no_logit(kind: str, rows: int, prompt: int, seed: int) -> None:
    model, tokens = a_model(kind, seed), texts(rows, PLACES, seed)
    whole = logits_of(model, tokens)
    writing = model.begin(tokens[:, :prompt])
    for place in range(prompt, PLACES):
        own = writing.next(tokens[:, place])
        np.testing.assert_allclose(own, whole[:, place], rtol=0, atol=1e-9)


@kinds
def test_rows_that_are_chosen_go_on_as_they_would(kind: str) -> None:
    model, tokens = a_model(kind), texts(3, 6)
    rows = np.array([2, 0, 2])
    writing = model.begin(tokens[:, :4])
    writing.select(rows)
    own = writing.next(tokens[rows, 4])
    np.testing.assert_allclose(own, logits_of(model, tokens[rows, :5])[:, -1], atol=1e-9)


@kinds
def test_a_text_goes_on_from_its_latter_half_where_places_run_out(kind: str) -> None:
    model, tokens = a_model(kind), texts(2, 3 * PLACES)
    writing = model.begin(tokens[:, :3])
    start = 0  # of what the model sees
    for place in range(3, tokens.shape[1]):
        if place + 1 - start > PLACES:
            start = place + 1 - (PLACES // 2 + 1)
        own = writing.next(tokens[:, place])
        seen = tokens[:, start : place + 1]
        np.testing.assert_allclose(own, logits_of(model, seen)[:, -1], rtol=0, atol=1e-9)
    assert start > PLACES  # so it has begun anew more than once


@kinds
def test_rows_can_be_chosen_where_places_run_out_too(kind: str) -> None:
    model, tokens = a_model(kind), texts(2, PLACES + 1)
    writing = model.begin(tokens[:, :PLACES])
    writing.select(np.array([1, 1]))
    own = writing.next(tokens[[1, 1], PLACES])
    seen = tokens[[1, 1], -(PLACES // 2 + 1) :]
    np.testing.assert_allclose(own, logits_of(model, seen)[:, -1], atol=1e-9)


@kinds
def test_a_prompt_longer_than_the_model_is_read_from_its_latter_half(kind: str) -> None:
    model, tokens = a_model(kind), texts(2, 3 * PLACES)
    own = model.begin(tokens[:, :-1]).next(tokens[:, -1])
    seen = tokens[:, -(PLACES // 2 + 2) :]
    np.testing.assert_allclose(own, logits_of(model, seen)[:, -1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("places", [1, 2, 3])
def test_a_model_of_few_places_writes_on(places: int) -> None:
    config = LanguageConfig.gpt2(**SIZES, dropout=0.0, max_length=places)
    model = LanguageModel(config, rng=0)
    (answer,) = greedy(model, np.array([[3]]), 12, END)
    assert 0 < len(answer) <= 12


def test_keys_of_shared_heads_are_kept_once() -> None:
    writing = LanguageWriting(a_model("llama"), texts(2, 5))
    assert {cache.key.shape for cache in writing.caches} == {(2, 2, 5, D // H)}


def test_a_model_reads_no_more_than_its_places_at_once() -> None:
    with pytest.raises(ValueError, match=f"longer than the model's {PLACES} positions"):
        a_model("gpt")(texts(1, PLACES + 1))


@kinds
def test_its_gradients_are_those_of_finite_differences(kind: str) -> None:
    model = a_model(kind)
    tokens, labels = texts(2, 4), texts(2, 4, seed=1)

    def loss() -> Any:
        return cross_entropy(model(tokens), labels)

    loss().backward()
    rng = np.random.default_rng(0)
    for name, x in model.named_parameters():
        assert x.grad is not None, name
        direction, step = rng.normal(size=x.shape), 1e-6
        x.data += step * direction
        above = float(loss())
        x.data -= 2 * step * direction
        below = float(loss())
        x.data += step * direction
        slope = float(np.sum(np.asarray(x.grad) * direction))
        assert slope == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8), name


@kinds
def test_whose_tokens_look_at_whose(kind: str) -> None:
    model = a_model(kind)
    paths = [name for name, x in model.named_modules() if name.endswith("self_attention")]
    assert len(paths) == 2
    assert {model.sides(path) for path in paths} == {("text", "text")}


@pytest.mark.parametrize("entry", [GPTSettings, LlamaSettings])
def test_an_entry_builds_what_its_settings_say(entry: Any) -> None:
    shape = Shape("text", V, V, PLACES, PLACES, pad=3)
    chosen = entry(d_model=8, d_ff=12, heads=2, layers=3, dropout=0.25)
    config = chosen.build(shape, nn.source(0)).config
    sizes = (config.vocab, config.d_model, config.d_ff, config.num_heads, config.num_layers)
    assert sizes == (V, 8, 12, 2, 3)
    assert (config.max_length, config.pad, config.dropout) == (PLACES, 3, 0.25)
    assert chosen.floats(shape) == 3 * (PLACES * (6 * 8 + 2 * 12) + 2 * PLACES**2) + 2 * PLACES * V


def test_llamas_entry_shares_keys_among_heads_and_turns_by_the_usual_waves() -> None:
    shape = Shape("text", V, V, PLACES, PLACES)
    config = LlamaSettings(kv_heads=1).build(shape, nn.source(0)).config
    assert (config.num_kv_heads, config.rotary_base) == (1, 10_000)


@pytest.mark.parametrize(
    ("entry", "changes", "message"),
    [
        (GPTSettings, {"d_model": 6}, "<heads> must divide <d_model> 6, not 4; divisors are 1, 2,"),
        (LlamaSettings, {"kv_heads": 3}, "<kv_heads> must divide <heads> 4, not 3; divisors are 1"),
        (LlamaSettings, {"d_model": 12}, "rotary positions need heads of even width, not 3"),
        (LlamaSettings, {"kv_heads": 0}, "<kv_heads> must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_named(entry: Any, changes: Any, message: str) -> None:
    with pytest.raises(SettingError) as error:
        entry(**changes)
    assert message in error.value.text


@pytest.mark.parametrize("name", ["vocab", "num_layers"])
def test_a_config_without_tokens_or_layers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        LanguageConfig(**{name: 0})
