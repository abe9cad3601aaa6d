"""What a module is: its names, its state, its modes, and the layers that come with it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor, nn, relu
from minigrad.nn import (
    BatchNorm,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    ModuleList,
    RMSNorm,
    Sequential,
    ShapesOnly,
    count_parameters,
)
from minitransformer.parts.attention import MultiHeadAttention


class Network(Module):
    """One of everything that a module's attributes can be."""

    def __init__(self) -> None:
        self.embedding = Embedding(5, 4, rng=0)
        self.layers = ModuleList([Linear(4, 4, rng=1), Sequential(np.tanh, Linear(4, 4, rng=2))])
        self.norm = BatchNorm(4)
        self.scale = Tensor([2.0], requires_grad=True)
        self.output = Linear(4, 5, bias=False, rng=3)
        self.output.weight = self.embedding.weight  # tied
        self.width = 4
        self._cache = np.zeros(3)

    def forward(self, indices: Any) -> Tensor:
        x = self.embedding(indices)
        for layer in self.layers:
            x = x + layer(x)
        result: Tensor = self.output(self.norm(x) * self.scale)
        return result


PARAMETERS = {
    "embedding.weight": (5, 4),
    "layers.0.weight": (4, 4),
    "layers.0.bias": (4,),
    "layers.1.1.weight": (4, 4),
    "layers.1.1.bias": (4,),
    "norm.weight": (4,),
    "norm.bias": (4,),
    "scale": (1,),
}
BUFFERS = {"norm.running_mean": (4,), "norm.running_var": (4,)}

INDICES = np.array([[0, 1, 2], [3, 4, 0]])


def bits(module: Module) -> dict[str, bytes]:
    return {name: x.tobytes() for name, x in module.state_dict().items()}


def copied(module: Module) -> Module:
    return copy.deepcopy(module)


def pickled(module: Module) -> Module:
    restored: Module = pickle.loads(pickle.dumps(module))
    return restored


def test_parameters_are_named_by_the_attributes_that_lead_to_them() -> None:
    model = Network()
    assert {name: x.shape for name, x in model.named_parameters()} == PARAMETERS
    assert [x for _, x in model.named_parameters()] == model.parameters()


def test_a_parameter_follows_its_attribute() -> None:
    model = Linear(2, 3)
    model.weight = Tensor(np.ones((3, 2)), requires_grad=True)
    assert model.parameters()[0] is model.weight


def test_a_tied_parameter_comes_once_under_its_first_name() -> None:
    model = Network()
    assert "output.weight" not in model.state_dict()
    assert sum(x is model.embedding.weight for x in model.parameters()) == 1
    assert count_parameters(model) == sum(int(np.prod(shape)) for shape in PARAMETERS.values())


def test_a_shared_module_comes_once() -> None:
    layer = Linear(2, 2)
    names = [name for name, _ in Sequential(layer, relu, layer).named_parameters()]
    assert names == ["0.weight", "0.bias"]


def test_modules_are_named_from_the_outside_in() -> None:
    names = [name for name, _ in Network().named_modules()]
    assert names == [
        "", "embedding", "layers", "layers.0", "layers.1", "layers.1.1", "norm", "output",
    ]  # fmt: skip


def test_the_state_holds_parameters_and_buffers_but_nothing_private() -> None:
    state = Network().state_dict()
    assert {name: x.shape for name, x in state.items()} == PARAMETERS | BUFFERS


def test_the_state_is_a_copy() -> None:
    model = Network()
    model.state_dict()["scale"][...] = 0
    assert model.scale.item() == 2


def test_a_loaded_state_is_the_saved_one() -> None:
    model, other = Network(), Network()
    other.layers[0].weight.data *= 2
    other.norm.running_mean += 1
    arrays = {name: x.data for name, x in model.named_parameters()}
    assert bits(model) != bits(other)
    model.load_state_dict(other.state_dict())
    assert bits(model) == bits(other)
    assert all(x.data is arrays[name] for name, x in model.named_parameters())  # written in place
    assert model.output.weight is model.embedding.weight


def test_a_state_of_float64_tensors_loads_into_a_float32_module() -> None:
    model = Linear(2, 1)
    model.load_state_dict({
        "weight": Tensor([[1.0, 2.0]], requires_grad=True), "bias": [3.0],
    })  # fmt: skip
    assert model.weight.dtype == np.float32
    assert model(np.ones(2, np.float32)).tolist() == [6]


def test_everything_that_does_not_fit_is_listed_and_nothing_is_changed() -> None:
    model = Network()
    before = bits(model)
    state = {name: x + 1 for name, x in model.state_dict().items()}
    state["norm.bias"] = np.zeros((2, 2))
    state["width"] = np.zeros(())
    del state["layers.0.bias"], state["norm.running_mean"]
    with pytest.raises(ValueError, match="load_state_dict") as error:
        model.load_state_dict(state)
    assert str(error.value).splitlines() == [
        "load_state_dict: the state does not fit:",
        "  misshapen norm.bias: (2, 2) given, (4,) needed",
        "  missing layers.0.bias (4,)",
        "  missing norm.running_mean (4,)",
        "  extra width ()",
    ]
    assert bits(model) == before


def test_a_lenient_load_lets_missing_and_extra_names_pass_but_not_wrong_shapes() -> None:
    model = Linear(2, 1)
    model.load_state_dict({"bias": [5.0], "other": 0}, strict=False)
    assert model.bias is not None
    assert model.bias.item() == 5
    with pytest.raises(ValueError, match="misshapen"):
        model.load_state_dict({"bias": [5.0, 6.0]}, strict=False)


def test_values_that_are_no_numbers_change_nothing() -> None:
    model = Linear(1, 1, rng=0)
    before = bits(model)
    with pytest.raises(ValueError, match="could not convert"):
        model.load_state_dict({"weight": [[7.0]], "bias": ["x"]})
    assert bits(model) == before


@pytest.mark.parametrize("duplicate", [copied, pickled])
def test_a_copy_has_the_same_bits_and_shares_nothing(
    duplicate: Callable[[Module], Module],
) -> None:
    model = Network()
    model(INDICES).sum().backward()
    other = duplicate(model)
    assert isinstance(other, Network)
    assert bits(other) == bits(model)
    assert other.output.weight is other.embedding.weight  # still tied
    assert (other.eval()(INDICES).data == model.eval()(INDICES).data).all()
    for x, y in zip(model.parameters(), other.parameters(), strict=True):
        assert not np.shares_memory(x.data, y.data)
        assert y.requires_grad


def test_a_generator_is_copied_with_its_module() -> None:
    layer = Dropout(0.5, rng=0)
    other = copied(layer)
    x = np.ones(100)
    assert (layer(x) == other(x)).all()


def test_train_and_eval_reach_every_module() -> None:
    model = Network()
    assert all(module.training for _, module in model.named_modules())
    assert model.eval() is model
    assert not any(module.training for _, module in model.named_modules())
    assert model.train() is model
    assert all(module.training for _, module in model.named_modules())


def test_zero_grad_forgets_every_gradient() -> None:
    model = Network()
    model(INDICES).sum().backward()
    assert all(x.grad is not None for x in model.parameters())
    model.zero_grad()
    assert all(x.grad is None for x in model.parameters())


def test_modules_are_float32_until_asked_otherwise() -> None:
    model = Sequential(Embedding(5, 4, rng=0), Linear(4, 4, rng=0), BatchNorm(4), LayerNorm(4))
    assert {x.dtype for x in model.state_dict().values()} == {np.dtype(np.float32)}
    assert model(INDICES).dtype == np.float32
    assert model.eval()(INDICES).dtype == np.float32


def test_astype_changes_every_parameter_and_buffer() -> None:
    model = Network().astype(np.float64)
    assert {x.dtype for x in model.state_dict().values()} == {np.dtype(np.float64)}
    assert model.output.weight is model.embedding.weight
    y = model(INDICES)
    assert y.dtype == np.float64
    y.sum().backward()
    assert {x.grad.dtype for x in model.parameters() if x.grad is not None} == {y.dtype}


def test_the_gradients_of_a_whole_network_are_its_slopes() -> None:
    model = Network().astype(np.float64)
    rng = np.random.default_rng(0)
    directions = [rng.standard_normal(x.shape) for x in model.parameters()]

    def loss(step: float) -> Tensor:
        for x, direction in zip(model.parameters(), directions, strict=True):
            x.data += step * direction
        return np.sum(np.tanh(model(INDICES)))  # type: ignore[no-any-return]

    loss(0).backward()
    slope = sum(
        float(np.vdot(x.grad, direction))
        for x, direction in zip(model.parameters(), directions, strict=True)
        if x.grad is not None
    )
    h = 1e-5
    assert slope == pytest.approx((loss(h).item() - loss(-2 * h).item()) / (2 * h), rel=1e-6)


def test_a_module_prints_as_the_tree_that_it_is() -> None:
    assert repr(Network()).splitlines() == [
        "Network  69",
        "├─ embedding: Embedding(5 × 4)  20",
        "│  └─ weight 5×4",
        "├─ layers: ModuleList  40",
        "│  ├─ 0: Linear(4 → 4)  20",
        "│  │  ├─ weight 4×4",
        "│  │  └─ bias 4",
        "│  └─ 1: Sequential  20",
        "│     ├─ 0: tanh",
        "│     └─ 1: Linear(4 → 4)  20",
        "│        ├─ weight 4×4",
        "│        └─ bias 4",
        "├─ norm: BatchNorm  8",
        "│  ├─ weight 4",
        "│  ├─ bias 4",
        "│  ├─ running_mean 4",
        "│  └─ running_var 4",
        "├─ scale 1",
        "└─ output: Linear(4 → 5)  20",
        "   └─ weight 5×4",
    ]


def test_a_model_of_any_size_can_be_counted_without_memory() -> None:
    model = Sequential(
        Embedding(10**6, 10**6, rng=ShapesOnly()), Linear(10**6, 10**5, rng=ShapesOnly())
    )
    assert count_parameters(model) == 10**12 + 10**11 + 10**5


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(TypeError, match=r"^ModuleList does not define forward$"):
        ModuleList([])(1)


def test_linear_is_a_matrix_product_and_a_shift() -> None:
    layer = Linear(3, 2, rng=0)
    assert layer.bias is not None
    layer.bias.data[...] = [1, 2]
    x = np.random.default_rng(0).standard_normal((2, 4, 3), np.float32)
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data.T + [1, 2], rtol=1e-6)
    layer.bias = None
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data.T, rtol=1e-6)


def test_linear_starts_uniform_between_glorot_s_bounds() -> None:
    weight = Linear(300, 200, rng=0).weight.data
    bound = np.sqrt(6 / 500)
    assert 0.99 * bound < np.abs(weight).max() <= bound
    assert np.var(weight) == pytest.approx(bound**2 / 3, rel=0.02)


@pytest.mark.parametrize("seed", [7, np.int64(7), np.random.default_rng(7)])
def test_a_seed_or_a_generator_decides_the_initial_values(seed: Any) -> None:
    expected = np.random.default_rng(7).normal(0, 0.5, (3, 2))
    assert (Embedding(3, 2, std=0.5, rng=seed).weight.data == expected.astype(np.float32)).all()


def test_embedding_looks_up_rows_and_refuses_those_beyond() -> None:
    layer = Embedding(4, 2, rng=0)
    rows = layer(np.array([[3, 0], [1, 1]]))
    assert (rows.data == layer.weight.data[[[3, 0], [1, 1]]]).all()
    assert (layer([3, 0]).data == rows.data[0]).all()
    with pytest.raises(IndexError, match="embedding"):
        layer(np.array([4]))


def test_rms_norm_is_torch_s() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = RMSNorm(4, eps=1e-3).astype(np.float64), torch.nn.RMSNorm(4, eps=1e-3).double()
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-12)
    assert ours.eps == 1e-3 and [name for name, _ in ours.named_parameters()] == ["weight"]


def test_layer_norm_is_torch_s() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 4))
    ours, theirs = LayerNorm(4, eps=1e-3).astype(np.float64), torch.nn.LayerNorm(4, eps=1e-3)
    ours.load_state_dict({"weight": rng.standard_normal(4), "bias": rng.standard_normal(4)})
    theirs.double().load_state_dict(
        {name: torch.from_numpy(value) for name, value in ours.state_dict().items()}
    )
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(x).data, expected, rtol=1e-12, atol=1e-12)


def test_batch_norm_is_torch_s_with_features_last() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    ours = BatchNorm(3, eps=1e-3, momentum=0.2).astype(np.float64)
    theirs = torch.nn.BatchNorm1d(3, eps=1e-3, momentum=0.2).double()
    weight, bias = rng.standard_normal((2, 3))
    state = {"weight": weight, "bias": bias}
    ours.load_state_dict(state, strict=False)
    theirs.load_state_dict({k: torch.from_numpy(x) for k, x in state.items()}, strict=False)

    def assert_same(shape: tuple[int, ...]) -> None:
        data = rng.standard_normal(shape) * [1, 2, 3] + [0, 1, 2]
        x = Tensor(data, requires_grad=True)
        t = torch.from_numpy(data).requires_grad_()
        y, u = ours(x), theirs(t if len(shape) == 2 else t.transpose(1, 2))
        u = u if len(shape) == 2 else u.transpose(1, 2)
        np.testing.assert_allclose(y.data, u.detach().numpy(), rtol=1e-12, atol=1e-12)
        (y**3).sum().backward()
        (u**3).sum().backward()
        assert x.grad is not None
        np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-9, atol=1e-9)
        for name, buffer in ours.state_dict().items():
            expected = theirs.state_dict()[name].numpy()
            np.testing.assert_allclose(buffer, expected, rtol=1e-12, atol=1e-12)

    for shape in (6, 3), (4, 5, 3), (2, 3):
        assert_same(shape)
    ours.eval()
    theirs.eval()
    for shape in (1, 3), (2, 5, 3):
        assert_same(shape)


def test_batch_norm_s_running_statistics_approach_the_data_s() -> None:
    rng = np.random.default_rng(0)
    layer = BatchNorm(2)
    for _ in range(200):
        layer(rng.normal([1, -2], [0.5, 3], (50, 2)))
    np.testing.assert_allclose(layer.running_mean, [1, -2], atol=0.2)
    np.testing.assert_allclose(layer.running_var, [0.25, 9], rtol=0.1)
    assert layer.running_mean.dtype == np.float32


def test_batch_norm_cannot_train_on_a_single_row() -> None:
    layer = BatchNorm(2)
    with pytest.raises(ValueError, match="more than one row"):
        layer(np.ones((1, 2)))
    assert layer.running_mean.tolist() == [0, 0]
    assert layer.eval()(np.ones((1, 2))).shape == (1, 2)


@given(st.floats(0, 0.9), st.integers(0, 99))
def test_dropout_keeps_an_element_scaled_or_sets_it_to_zero(p: float, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(1000)
    y = Dropout(p, rng=seed)(Tensor(x)).data
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / (1 - p))
    assert abs(kept.mean() - (1 - p)) < 0.1


def test_dropout_does_nothing_outside_training() -> None:
    x = Tensor(np.ones(100))
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_dropout_refuses_what_is_no_probability_below_one(p: float) -> None:
    with pytest.raises(ValueError, match=f"not {p}"):
        Dropout(p)


def test_sequential_applies_modules_and_functions_in_order() -> None:
    first, last = Linear(2, 3, rng=0), Linear(3, 1, rng=1)
    model = Sequential(first, relu, last)
    x = np.random.default_rng(0).standard_normal((4, 2), np.float32)
    assert (model(x).data == last(relu(first(x))).data).all()
    assert [name for name, _ in model.named_parameters()] == [
        "0.weight", "0.bias", "2.weight", "2.bias",
    ]  # fmt: skip


def test_a_module_list_is_a_sequence() -> None:
    layers = [Linear(1, 1), Linear(1, 2)]
    module = ModuleList(layers)
    assert len(module) == 2
    assert list(module) == layers
    assert module[-1] is layers[1]
    assert count_parameters(module) == 6


def test_what_is_no_module_has_no_state_in_a_module_list() -> None:
    assert list(ModuleList([relu, Linear(1, 1)]).state_dict()) == ["1.weight", "1.bias"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(0, 2),
        lambda: nn.Linear(2, 2.0),  # type: ignore[arg-type]
        lambda: nn.Linear(2, -1),
        lambda: nn.Embedding(0, 2),
        lambda: nn.LayerNorm(0),
        lambda: nn.RMSNorm(0),
        lambda: nn.BatchNorm(True - 1),
        lambda: MultiHeadAttention(4, 0),
        lambda: MultiHeadAttention(0, 4),
    ],
)
def test_a_size_that_is_none_is_refused_with_its_name(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"^\w+: \w+ is a whole number above 0, not "):
        make()


def test_a_momentum_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="momentum is between 0 and 1"):
        nn.BatchNorm(2, momentum=1.5)


@pytest.mark.parametrize("loss", [mg.mse_loss, mg.binary_cross_entropy_with_logits])
def test_a_loss_does_not_compare_each_element_with_many(loss: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"a target of shape \(4,\) for \(4, 1\)"):
        loss(Tensor(np.ones((4, 1))), np.ones(4))
    assert loss(Tensor(np.zeros((4, 1))), 0.0).shape == ()
