"""BERT: its size, and that each place sees all others but padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.nn import ShapesOnly, count_parameters
from minitransformer.batch import Shape
from minitransformer.models.bert import Bert, BertConfig, BertReader, BertSettings

V, D, F, H, PAD = 11, 8, 12, 2, 3
TOKENS = np.array([[4, 5, 6, 7, 8], [9, 10, 4, PAD, PAD]])


def a_config(**choices: Any) -> BertConfig:
    sizes = {"vocab": V, "num_layers": 2, "d_model": D, "num_heads": H, "d_ff": F}
    return BertConfig(**{**sizes, "dropout": 0.0, "max_length": 16, "pad": PAD, **choices})


def a_model(seed: int = 0, **choices: Any) -> Bert:
    """A float64 model with no weight at a special value such as 0 or 1."""
    model = Bert(a_config(**choices), rng=seed).astype(np.float64)
    rng = np.random.default_rng(seed)
    for x in model.parameters():
        x.data[...] = rng.normal(0.1, 0.5, x.shape)
    return model.eval()


def test_the_base_model_has_as_many_parameters_as_the_published_one() -> None:
    assert count_parameters(Bert(BertConfig(), ShapesOnly())) == 109_514_298


def test_each_place_sees_all_others() -> None:
    model = a_model()
    before = model(TOKENS[:1]).data
    for place in range(5):
        tokens = TOKENS[:1].copy()
        tokens[:, place] = 10
        assert (model(tokens).data != before).any(axis=-1).all()


def test_padding_is_seen_by_nobody() -> None:
    model = a_model()
    together, alone = model(TOKENS).data[1, :3], model(TOKENS[1:, :3]).data[0]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def test_the_segment_of_a_token_is_told_by_a_vector_of_its_own() -> None:
    model = a_model()
    first = np.zeros_like(TOKENS)
    np.testing.assert_array_equal(model(TOKENS).data, model(TOKENS, first).data)
    assert (model(TOKENS, first + 1).data[0] != model(TOKENS, first).data[0]).any(axis=-1).all()
    reader = model.reader
    moved = reader.segments.weight.data[1] - reader.segments.weight.data[0]
    reader.segments.weight.data[0] += moved
    np.testing.assert_allclose(model(TOKENS).data, model(TOKENS, first + 1).data, atol=1e-12)


def test_the_order_of_the_tokens_matters() -> None:
    model = a_model()
    there, back = model([[4, 5, 6]]).data[0], model([[6, 5, 4]]).data[0]
    assert np.abs(there - back[::-1]).max() > 1e-3


def test_the_head_scores_by_the_rows_of_the_token_vectors_and_a_bias() -> None:
    model = a_model()
    before = model(TOKENS[:1, :2]).data
    model.bias.data[7] += 1
    after = model(TOKENS[:1, :2]).data
    np.testing.assert_allclose(after - before, np.eye(V)[[7, 7]][None], atol=1e-12)
    model.reader.embedding.tokens.weight.data[8] *= 2  # which is not read
    again = model(TOKENS[:1, :2]).data
    np.testing.assert_allclose(again[..., 8], 2 * after[..., 8] - model.bias.data[8], atol=1e-9)


def test_it_is_transformers_bert() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=2, num_attention_heads=H, pad_token_id=PAD,
        intermediate_size=F, max_position_embeddings=16, attn_implementation="eager",
    )  # fmt: skip
    ours, theirs = a_model(), transformers.BertForMaskedLM(config).double().eval()
    reader = ours.reader
    layers = zip(theirs.bert.encoder.layer, reader.encoder.layers, strict=True)
    pairs = [
        (theirs.bert.embeddings.word_embeddings.weight, reader.embedding.tokens.weight),
        (theirs.bert.embeddings.position_embeddings.weight, reader.embedding.positions.weight),
        (theirs.bert.embeddings.token_type_embeddings.weight, reader.segments.weight),
        (theirs.cls.predictions.bias, ours.bias),
    ]
    modules = [
        (theirs.bert.embeddings.LayerNorm, reader.norm),
        (theirs.cls.predictions.transform.dense, ours.head),
        (theirs.cls.predictions.transform.LayerNorm, ours.head_norm),
    ]
    for its, own in layers:
        modules += [
            (its.attention.self.query, own.self_attention.query),
            (its.attention.self.key, own.self_attention.key),
            (its.attention.self.value, own.self_attention.value),
            (its.attention.output.dense, own.self_attention.output),
            (its.attention.output.LayerNorm, own.self_attention_norm),
            (its.intermediate.dense, own.feed_forward.inner),
            (its.output.dense, own.feed_forward.outer),
            (its.output.LayerNorm, own.feed_forward_norm),
        ]
    for its, own in modules:
        pairs += [(its.weight, own.weight), (its.bias, own.bias)]
    with torch.no_grad():
        for its, own in pairs:
            its.copy_(torch.tensor(own.data))
        segments = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]])
        expected = theirs(
            input_ids=torch.tensor(TOKENS),
            token_type_ids=torch.tensor(segments),
            attention_mask=torch.tensor(TOKENS != PAD).long(),
        ).logits.numpy()
    known = TOKENS != PAD
    np.testing.assert_allclose(ours(TOKENS, segments).data[known], expected[known], atol=1e-9)


def test_the_entry_builds_what_its_settings_say() -> None:
    shape = Shape("masked", V, V, 9, 9, PAD)
    chosen = BertSettings(
        d_model=8, d_ff=12, heads=2, layers=3, norm="post", activation="gelu", positions="learned"
    )
    model = chosen.build(shape, nn.source(0))
    assert model.config == a_config(num_layers=3, max_length=9)
    assert chosen.floats(shape) == 3 * (9 * (6 * 8 + 2 * 12) + 2 * 9**2) + 2 * 9 * V


def test_activations_are_dropped_once_where_a_text_is_read() -> None:
    reader = a_model(dropout=0.5).reader.train()
    assert (reader.embedding(TOKENS).data != 0).all()
    assert (reader.dropout(np.ones(100)) == 0).any()


def test_its_reader_gives_a_vector_for_each_token() -> None:
    shape = Shape("labels", V, 2, 9, 1, PAD)
    chosen = BertSettings(d_model=8, d_ff=12, heads=2, positions="learned")
    reader = chosen.reader(shape, nn.source(0))
    assert isinstance(reader, BertReader)
    assert reader(TOKENS).shape == (2, 5, reader.width) == (2, 5, 8)


@pytest.mark.parametrize("name", ["vocab", "num_layers"])
def test_a_config_without_tokens_or_layers_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        a_config(**{name: 0})


def test_a_seed_decides_of_all_weights_and_vectors_begin_small() -> None:
    sizes: dict[str, Any] = {
        "vocab": 50,
        "num_layers": 1,
        "d_model": 64,
        "num_heads": 2,
        "d_ff": 32,
    }
    first, again = (Bert(BertConfig(**sizes), rng=0).state_dict() for _ in range(2))
    assert all(np.array_equal(x, again[name]) for name, x in first.items())
    tables = [x for name, x in first.items() if "tokens" in name or "segments" in name]
    assert [x.std() for x in tables] == pytest.approx([0.02] * 2, rel=0.25)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads 7 does not divide d_model 768"):
        BertConfig(num_heads=7)
