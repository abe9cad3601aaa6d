"""The whole encoder-decoder: against PyTorch, its sizes, its masks, its attention."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import cross_entropy, nn
from minitransformer import Transformer, TransformerConfig, sinusoidal_positions
from minitransformer.batch import IGNORE, Shape, pad_rows
from minitransformer.interop.torch import to_torch
from minitransformer.models.transformer import TransformerSettings
from minitransformer.settings import SettingError
from minitransformer.tokens import Special

V, D, F, H = 11, 8, 12, 2
PAD = Special().pad
SOURCE = np.array([[4, 5, 6, 7, 8], [9, 10, 4, 0, 0], [5, 0, 0, 0, 0]])
TARGET = np.array([[1, 8, 7, 6, 0], [1, 4, 0, 0, 0], [1, 5, 5, 9, 10]])
LABELS = pad_rows([[8, 7, 6, 2], [4, 2], [5, 5, 9, 10, 2]], IGNORE)

norms = pytest.mark.parametrize("norm", ["post", "pre"])


def a_config(**choices: Any) -> TransformerConfig:
    base = {"d_model": D, "num_heads": H, "d_ff": F, "dropout": 0.0, "max_length": 16}
    layers = {"num_encoder_layers": 2, "num_decoder_layers": 2}
    return TransformerConfig(V, V, **{**base, **layers, **choices})


def a_model(seed: int = 0, **choices: Any) -> Transformer:
    """A float64 model with no weight at a special value such as 0 or 1."""
    model = Transformer(a_config(**choices), rng=seed).astype(np.float64)
    rng = np.random.default_rng(seed)
    for x in model.parameters():
        x.data[...] = rng.normal(0.1, 0.5, x.shape)
    return model


def torch_model(torch: Any, config: TransformerConfig) -> Any:
    """`torch.nn.Transformer` as the model of the paper: with embeddings and projection."""

    class Model(torch.nn.Transformer):
        def __init__(self) -> None:
            super().__init__(
                config.d_model,
                config.num_heads,
                config.num_encoder_layers,
                config.num_decoder_layers,
                config.d_ff,
                dropout=0.0,
                activation=config.activation,
                layer_norm_eps=config.eps,
                batch_first=True,
                norm_first=config.norm == "pre",
            )
            if config.norm == "post":
                self.encoder.norm = self.decoder.norm = None
            self.source_embedding = self.embedding(config.source_vocab)
            self.target_embedding = self.embedding(config.target_vocab)
            self.projection = torch.nn.Linear(config.d_model, config.target_vocab)
            if config.tie_embeddings:
                shared = self.source_embedding["tokens"].weight
                self.target_embedding["tokens"].weight = self.projection.weight = shared

        def embedding(self, vocab: int) -> Any:
            tables = {"tokens": torch.nn.Embedding(vocab, config.d_model)}
            if config.positions == "learned":
                tables["positions"] = torch.nn.Embedding(config.max_length, config.d_model)
            return torch.nn.ModuleDict(tables)

        def embedded(self, tables: Any, tokens: Any) -> Any:
            x = tables["tokens"](tokens) * config.d_model**0.5
            length = tokens.shape[1]
            if config.positions == "learned":
                return x + tables["positions"](torch.arange(length))
            if config.positions == "none":
                return x
            return x + torch.tensor(sinusoidal_positions(length, config.d_model))

        def forward(self, source: Any, target: Any) -> Any:
            length = target.shape[1]
            result = super().forward(
                self.embedded(self.source_embedding, source),
                self.embedded(self.target_embedding, target),
                tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
                src_key_padding_mask=source == PAD,
                tgt_key_padding_mask=target == PAD,
                memory_key_padding_mask=source == PAD,
            )
            return self.projection(result)

    return Model().double()


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(
    "choices",
    [
        {"norm": "post", "activation": "relu"},
        {"norm": "pre", "activation": "relu"},
        {"norm": "post", "activation": "gelu"},
        {"norm": "pre", "activation": "gelu"},
        {"norm": "post", "tie_embeddings": True},
        {"norm": "pre", "positions": "learned"},
        {"norm": "pre", "positions": "none"},
        {"norm": "post", "num_encoder_layers": 1, "num_decoder_layers": 3, "eps": 1e-6},
    ],
    ids=lambda choices: " ".join(map(str, choices.values())),
)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_training_loss_equals_pytorchs_with_all_gradients(
    choices: dict[str, Any], label_smoothing: float
) -> None:
    torch = pytest.importorskip("torch")
    model = a_model(**choices)
    logits = model(SOURCE, TARGET)
    loss = cross_entropy(logits, LABELS, ignore_index=IGNORE, label_smoothing=label_smoothing)
    loss.backward()

    theirs = torch_model(torch, model.config)
    state = {name: torch.tensor(x) for name, x in to_torch(model.state_dict()).items()}
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    tied = {"target_embedding.tokens.weight", "projection.weight"}
    assert not unexpected
    assert set(missing) == (tied if model.config.tie_embeddings else set())
    source, target, labels = map(torch.tensor, (SOURCE, TARGET, LABELS))
    their_logits = theirs(source, target)
    their_loss = torch.nn.functional.cross_entropy(
        their_logits.flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORE,
        label_smoothing=label_smoothing,
    )
    their_loss.backward()

    assert np.allclose(logits.data, their_logits.detach(), rtol=0, atol=1e-9)
    assert abs(float(loss) - their_loss.item()) < 1e-9
    gradients = to_torch({name: x.grad for name, x in model.named_parameters()})
    their_gradients = {name: x.grad for name, x in theirs.named_parameters()}
    assert gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        assert np.allclose(gradients[name], gradient, rtol=0, atol=1e-9), name


def test_the_defaults_are_the_papers_base_model() -> None:
    config = TransformerConfig(source_vocab=100, target_vocab=200)
    assert (config.source_vocab, config.target_vocab) == (100, 200)
    assert (config.num_encoder_layers, config.num_decoder_layers) == (6, 6)
    assert (config.d_model, config.num_heads, config.d_ff) == (512, 8, 2048)
    assert not config.tie_embeddings


def test_base_is_the_defaults_over_one_tied_vocabulary() -> None:
    assert TransformerConfig.base() == TransformerConfig(37_000, 37_000, tie_embeddings=True)
    assert TransformerConfig.base(500) == TransformerConfig(500, 500, tie_embeddings=True)


def test_big_is_base_but_wider() -> None:
    assert TransformerConfig.big(500) == TransformerConfig.base(
        500, d_model=1024, num_heads=16, d_ff=4096, dropout=0.3
    )


def test_a_preset_can_be_changed() -> None:
    config = TransformerConfig.big(
        500, dropout=0.0, norm="pre", target_vocab=7, tie_embeddings=False
    )
    assert (config.dropout, config.norm, config.target_vocab) == (0.0, "pre", 7)
    assert (config.d_model, config.source_vocab) == (1024, 500)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"source_vocab": 0}, "source_vocab must be at least 1, not 0"),
        ({"target_vocab": -3}, "target_vocab must be at least 1, not -3"),
        ({"num_encoder_layers": 0}, "num_encoder_layers must be at least 1, not 0"),
        ({"num_decoder_layers": 0}, "num_decoder_layers must be at least 1, not 0"),
        ({"d_model": 0}, "d_model must be at least 1, not 0"),
        (
            {"source_vocab": 10, "target_vocab": 20, "tie_embeddings": True},
            "tie_embeddings needs one vocabulary for source and target, not 10 and 20 tokens",
        ),
    ],
)
def test_what_does_not_fit_is_named(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        TransformerConfig(**{"source_vocab": 10, "target_vocab": 10, **choice})
    assert str(error.value) == message


def test_settings_build_a_model_for_what_a_task_asks() -> None:
    settings = TransformerSettings(d_model=6, heads=3, layers=1, d_ff=5, norm="post", dropout=0.5)
    model = settings.build(Shape("pairs", 9, 8, 11, 12, pad=7), np.random.default_rng(0))
    assert model.config == TransformerConfig(
        9, 8, num_encoder_layers=1, num_decoder_layers=1, d_model=6, num_heads=3, d_ff=5,
        norm="post", dropout=0.5, max_length=12, pad=7,
    )  # fmt: skip
    assert model.max_length == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"d_model": 0}, "<d_model> must be at least 1, not 0"),
        ({"d_model": 20_001}, "<d_model> must be at most 20000, not 20001"),
        ({"layers": 1_001}, "<layers> must be at most 1000, not 1001"),
        ({"d_ff": 100_001}, "<d_ff> must be at most 100000, not 100001"),
        (
            {"d_model": 8, "heads": 3},
            "<heads> must divide <d_model> 8, not 3; divisors are 1, 2, 4, 8",
        ),
        ({"d_model": 9, "heads": 3}, "sinusoidal <positions> need an even <d_model>, not 9"),
        (
            {"d_model": 6, "heads": 2, "positions": "rotary"},
            "rotary <positions> need <heads> of even width, not 3",
        ),
        ({"dropout": 1.0}, "<dropout> is a share, at least 0 and below 1, not 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        TransformerSettings(**settings)
    assert error.value.text == message


def test_another_padding_token_is_masked_as_well() -> None:
    plain, other = a_model(), a_model(pad=3)
    renumbered = np.array([3, 1, 2, 0, *range(4, V)])
    for embedding in (other.source_embedding, other.target_embedding):
        embedding.tokens.weight.data[:] = embedding.tokens.weight.data[renumbered]
    before, after = plain(SOURCE, TARGET), other(renumbered[SOURCE], renumbered[TARGET])
    np.testing.assert_allclose(after.data, before.data, rtol=0, atol=1e-12)


def counted(config: TransformerConfig) -> int:
    return nn.count_parameters(Transformer(config, nn.ShapesOnly()))


def test_the_base_model_has_63_million_parameters() -> None:
    d, f, vocab = 512, 2048, 37_000
    attention = 4 * (d * d + d)  # query, key, value and output, each with its bias
    feed_forward = (d * f + f) + (f * d + d)
    norm = 2 * d
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    shared = vocab * d  # one matrix: both embeddings and the projection
    without_bias = shared + 6 * encoder_layer + 6 * decoder_layer
    assert without_bias == 63_082_496
    assert counted(TransformerConfig.base()) == without_bias + vocab == 63_119_496


def test_the_big_model_has_214_million() -> None:
    assert counted(TransformerConfig.big()) == 214_282_376


def test_untied_embeddings_are_counted_one_by_one() -> None:
    tied, untied = (counted(a_config(tie_embeddings=tie)) for tie in (True, False))
    assert untied - tied == 2 * V * D


def test_a_pre_norm_model_has_two_norms_more() -> None:
    assert counted(a_config(norm="pre")) - counted(a_config(norm="post")) == 2 * 2 * D


@pytest.mark.parametrize(
    ("positions", "minds"),
    [("none", False), ("sinusoidal", True), ("learned", True), ("rotary", True)],
)
def test_only_without_positions_the_order_of_the_source_means_nothing(
    positions: str, minds: bool
) -> None:
    model = a_model(positions=positions, norm="pre")
    source, read = np.array([[4, 5, 6, 7, 5]]), np.array([[1, 6, 4]])
    logits, shuffled = (model(x, read).data for x in (source, source[:, [3, 0, 4, 2, 1]]))
    assert np.allclose(logits, shuffled, rtol=0, atol=1e-9) != minds


def test_learned_positions_are_counted() -> None:
    learned, sinusoidal = (counted(a_config(positions=x)) for x in ("learned", "sinusoidal"))
    assert learned - sinusoidal == 2 * 16 * D


def test_counting_does_not_allocate_the_model() -> None:
    tracemalloc.start()
    counted(TransformerConfig.big())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_tied_embeddings_are_one_tensor() -> None:
    model = a_model(tie_embeddings=True)
    shared = model.source_embedding.tokens.weight
    assert model.target_embedding.tokens.weight is shared
    assert model.projection.weight is shared
    names = [name for name, _ in model.named_parameters()]
    assert "source_embedding.tokens.weight" in names
    assert "target_embedding.tokens.weight" not in names
    assert "projection.weight" not in names
    assert "projection.bias" in names


@norms
def test_the_pad_tokens_vector_does_not_matter(norm: Any) -> None:
    model = a_model(norm=norm)
    real = TARGET != PAD
    before = model(SOURCE, TARGET).data
    for embedding in (model.source_embedding, model.target_embedding):
        embedding.tokens.weight.data[PAD] = np.random.default_rng(1).normal(size=D)
    after = model(SOURCE, TARGET).data
    assert np.array_equal(after[real], before[real])
    assert not np.array_equal(after, before)


@norms
def test_the_pad_tokens_vector_is_not_trained(norm: Any) -> None:
    model = a_model(norm=norm)
    logits = model(SOURCE, TARGET)
    cross_entropy(logits, LABELS, ignore_index=IGNORE).backward()
    for embedding in (model.source_embedding, model.target_embedding):
        gradient = embedding.tokens.weight.grad
        assert gradient is not None
        assert np.any(gradient)
        assert not np.any(gradient[PAD])


@norms
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_later_target_token_changes_nothing_before_it(norm: Any, data: Any) -> None:
    model = a_model(norm=norm)
    target = np.array([[1, 4, 5, 6, 7, 8]])
    t = data.draw(st.integers(1, 5))
    changed = target.copy()
    changed[0, t] = data.draw(st.integers(0, V - 1).filter(lambda token: token != target[0, t]))
    one, other = (model(SOURCE[:1], x).data for x in (target, changed))
    assert np.array_equal(one[:, :t], other[:, :t])
    if changed[0, t] != PAD:
        assert not np.array_equal(one[:, t], other[:, t])


@norms
def test_every_source_token_matters(norm: Any) -> None:
    model, target = a_model(norm=norm), np.array([[1, 4]])
    source = SOURCE[:1]
    before = model(source, target).data
    for i in range(source.shape[1]):
        changed = source.copy()
        changed[0, i] = 10
        assert not np.allclose(model(changed, target).data, before)


@norms
def test_rows_of_a_batch_are_independent(norm: Any) -> None:
    model = a_model(norm=norm)
    before = model(SOURCE, TARGET).data
    source, target = SOURCE.copy(), TARGET.copy()
    source[0], target[0] = 9, 10
    after = model(source, target).data
    assert np.array_equal(after[1:], before[1:])
    assert not np.array_equal(after[0], before[0])


@norms
@given(st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=15, deadline=None)
def test_wider_padding_changes_nothing(norm: Any, more_source: int, more_target: int) -> None:
    model = a_model(norm=norm)
    source = np.pad(SOURCE, ((0, 0), (0, more_source)), constant_values=PAD)
    target = np.pad(TARGET, ((0, 0), (0, more_target)), constant_values=PAD)
    real = TARGET != PAD
    narrow = model(SOURCE, TARGET).data
    wide = model(source, target).data[:, : TARGET.shape[1]]
    assert np.allclose(wide[real], narrow[real], rtol=0, atol=1e-12)


def test_a_row_of_padding_alone_gives_numbers() -> None:
    source = np.array([[4, 5], [PAD, PAD]])
    model = a_model()
    logits = model(source, np.array([[1, 4], [1, 4]]))
    assert np.isfinite(logits.data).all()
    logits.sum().backward()
    assert all(np.isfinite(x.grad).all() for x in model.parameters() if x.grad is not None)


def test_the_order_of_the_source_matters() -> None:
    model, target = a_model(), np.array([[1]])
    assert not np.allclose(model([[4, 5, 6]], target).data, model([[6, 5, 4]], target).data)


def test_the_logits_have_the_dtype_of_the_weights() -> None:
    model = Transformer(a_config(), rng=0)
    assert model(SOURCE, TARGET).dtype == np.float32
    assert model.astype(np.float64)(SOURCE, TARGET).dtype == np.float64


@pytest.mark.parametrize(
    ("source", "target"), [(17, 2), (2, 17)], ids=["long source", "long target"]
)
def test_too_long_a_sequence_is_refused(source: int, target: int) -> None:
    message = "a sequence of 17 tokens is longer than the model's 16 positions"
    with pytest.raises(ValueError, match=message):
        a_model()(np.full((1, source), 4), np.full((1, target), 4))


def test_dropout_acts_in_training_alone() -> None:
    model = a_model(dropout=0.3)
    once, again = (model(SOURCE, TARGET).data for _ in range(2))
    assert not np.allclose(once, again)
    model.eval()
    once, again = (model(SOURCE, TARGET).data for _ in range(2))
    assert np.array_equal(once, again)


def test_the_same_seed_gives_the_same_model_and_dropout() -> None:
    one, other = (Transformer(a_config(dropout=0.3), rng=5) for _ in range(2))
    for _ in range(2):
        assert np.array_equal(one(SOURCE, TARGET).data, other(SOURCE, TARGET).data)


def test_a_state_can_be_saved_and_loaded() -> None:
    one, other = a_model(seed=0, tie_embeddings=True), a_model(seed=1, tie_embeddings=True)
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one(SOURCE, TARGET).data, other(SOURCE, TARGET).data)


def test_a_model_can_be_pickled() -> None:
    model = a_model(tie_embeddings=True, dropout=0.3)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.projection.weight is twin.source_embedding.tokens.weight
    assert np.array_equal(twin(SOURCE, TARGET).data, model(SOURCE, TARGET).data)
