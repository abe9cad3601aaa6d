"""RNN, GRU and LSTM: PyTorch's, whatever padding there is, and the same a step at a time."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, no_grad
from minitransformer.parts.recurrent import GRU, LSTM, RNN, Recurrent

B, T, D, H = 3, 5, 4, 6
LENGTHS = np.array([3, 5, 1])
MASK = np.arange(T) < LENGTHS[:, None]

every_kind = pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
every_shape = pytest.mark.parametrize(
    ("num_layers", "bidirectional"), [(1, False), (2, False), (1, True), (2, True)]
)


def a_network(kind: type[Recurrent], *args: Any, seed: int = 0, **options: Any) -> Recurrent:
    """A network of float64 numbers."""
    return kind(D, H, *args, rng=seed, **options).astype(np.float64)


def leaf(*shape: int, seed: int = 1) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def a_state(network: Recurrent) -> Tensor:
    return leaf(network.states, sum(map(len, network.layers)), B, H, seed=2)


def in_torch(torch: Any, network: Recurrent) -> Any:
    """PyTorch's module with the same weights."""
    directions = [layer.values() for layer in network.layers]
    kind = getattr(torch.nn, type(network).__name__)
    theirs = kind(
        D, H, len(directions), bidirectional=len(directions[0]) == 2, batch_first=True
    ).double()
    with torch.no_grad():
        for x, own in zip(theirs.parameters(), network.parameters(), strict=True):
            x.copy_(torch.tensor(own.data))
    return theirs


@pytest.mark.parametrize("padded", [False, True])
@every_shape
@every_kind
def test_values_and_gradients_are_pytorchs(
    kind: type[Recurrent], num_layers: int, bidirectional: bool, padded: bool
) -> None:
    torch = pytest.importorskip("torch")
    packing = torch.nn.utils.rnn
    network = a_network(kind, num_layers, bidirectional)
    theirs = in_torch(torch, network)
    x, state = leaf(B, T, D), a_state(network)
    its_x = torch.tensor(x.data, requires_grad=True)
    its_state = torch.tensor(state.data, requires_grad=True)

    y, final = network(x, state, MASK if padded else None)
    given = its_x
    if padded:
        given = packing.pack_padded_sequence(
            its_x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
        )
    its_y, its_final = theirs(given, tuple(its_state) if kind is LSTM else its_state[0])
    if padded:
        its_y, _ = packing.pad_packed_sequence(its_y, batch_first=True, total_length=T)
    its_final = torch.stack(its_final) if kind is LSTM else its_final[None]

    counts = MASK[..., None] if padded else np.ones((B, T, 1))
    g, of_final = leaf(*y.shape, seed=3).data * counts, leaf(*final.shape, seed=4).data
    np.testing.assert_allclose(
        y.data * counts, its_y.detach().numpy() * counts, rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(final.data, its_final.detach(), rtol=1e-9, atol=1e-9)
    (np.sum(y * g) + np.sum(final * of_final)).backward()
    torch.autograd.backward([its_y, its_final], [torch.tensor(g), torch.tensor(of_final)])
    ours = [x, state, *network.parameters()]
    for own, other in zip(ours, [its_x, its_state, *theirs.parameters()], strict=True):
        np.testing.assert_allclose(own.grad, other.grad, rtol=1e-9, atol=1e-9)


@every_shape
@every_kind
def test_padding_changes_nothing(
    kind: type[Recurrent], num_layers: int, bidirectional: bool
) -> None:
    network = a_network(kind, num_layers, bidirectional)
    x = leaf(B, T, D).data
    x[~MASK] = np.nan
    together, final = network(x, mask=MASK)
    for row, length in enumerate(LENGTHS):
        alone, its_final = network(x[row : row + 1, :length])
        np.testing.assert_allclose(together.data[row, :length], alone.data[0], atol=1e-14)
        np.testing.assert_allclose(final.data[:, :, row], its_final.data[:, :, 0], atol=1e-14)


@every_kind
def test_one_step_at_a_time_equals_the_whole_sequence(kind: type[Recurrent]) -> None:
    network = a_network(kind, 2)
    x, state = leaf(B, T, D).data, a_state(network).data
    whole, final = network(x, state)
    with no_grad():
        for t in range(T):
            y, state = network(x[:, t : t + 1], state)
            np.testing.assert_allclose(y.data[:, 0], whole.data[:, t], atol=1e-14)
    np.testing.assert_allclose(state.data, final.data, atol=1e-14)


@every_kind
def test_a_network_begins_with_zeros(kind: type[Recurrent]) -> None:
    network, x = a_network(kind, 2, True), leaf(B, T, D).data
    zeros = np.zeros(a_state(network).shape)
    for found, expected in zip(network(x), network(x, zeros), strict=True):
        assert np.array_equal(found.data, expected.data)


@every_kind
def test_a_network_of_float32_stays_in_it(kind: type[Recurrent]) -> None:
    y, final = kind(D, H, 2, True, rng=0)(leaf(B, T, D).data.astype(np.float32), mask=MASK)
    assert y.dtype == final.dtype == np.float32


@every_kind
def test_a_seed_draws_the_weights_within_one_over_the_root_of_the_width(
    kind: type[Recurrent],
) -> None:
    network, again, other = (kind(D, H, 2, True, rng=seed) for seed in (0, 0, 1))
    sizes = [np.abs(x.data).max() for x in network.parameters()]
    assert 0.8 * H**-0.5 < max(sizes) <= H**-0.5
    for a, b, c in zip(*(x.parameters() for x in (network, again, other)), strict=True):
        assert np.array_equal(a.data, b.data)
        assert not np.array_equal(a.data, c.data)


def test_parameters_say_their_layer_and_direction() -> None:
    names = [name for name, _ in LSTM(D, H, 2, True, rng=0).named_parameters()]
    kinds = ["input_weight", "state_weight", "input_bias", "state_bias"]
    assert names == [f"layers.{i}.{way}.{x}" for i in (0, 1) for way in ("forth", "back")
                     for x in kinds]  # fmt: skip


def test_dropout_falls_between_the_layers_in_training_alone() -> None:
    x = leaf(B, T, D).data
    for num_layers in (1, 2):
        dropping, plain = (a_network(LSTM, num_layers, dropout=p) for p in (0.5, 0.0))
        is_same = np.array_equal(dropping(x)[0].data, plain(x)[0].data)
        assert is_same == (num_layers == 1)
        assert np.array_equal(dropping.eval()(x)[0].data, plain(x)[0].data)


def test_what_does_not_fit_is_named() -> None:
    network = LSTM(D, H, rng=0)
    x = leaf(B, T, D).data
    with pytest.raises(ValueError, match=r"LSTM: the state is of shape \(2, 1, 3, 6\), not"):
        network(x, np.zeros((1, 1, B, H)))
    with pytest.raises(ValueError, match=r"input_weight is of shape \(24, 3\), not \(24, 4\)"):
        network(x[..., :3])
    with pytest.raises(ValueError, match="hidden_size is a whole number above 0, not 0"):
        GRU(D, 0)


def test_a_network_can_be_pickled() -> None:
    network, x = a_network(GRU, 2, True), leaf(B, T, D).data
    again = pickle.loads(pickle.dumps(network))
    assert np.array_equal(again(x)[0].data, network(x)[0].data)
