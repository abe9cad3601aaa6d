"""What PyTorch users write first works, or an error says what to write instead."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, no_grad, optim, words
from minigrad.names import module_path

OWNERS: dict[str, tuple[Any, dict[str, str]]] = {
    "a tensor": (Tensor([1.0]), words.TENSOR),
    "Tensor": (Tensor, words.TENSOR),
    "a module": (nn.Linear(1, 1), words.MODULE),
    "Module": (nn.Module, words.MODULE),
    "nn": (nn, words.LAYERS),
    "optim": (optim, words.OPTIM),
    "minigrad": (mg, words.PACKAGE),
}


@pytest.mark.parametrize(("owner", "table"), OWNERS.values(), ids=OWNERS)
def test_each_word_of_the_tables_is_missing_and_gets_its_hint(
    owner: Any, table: dict[str, str]
) -> None:
    for name, instead in table.items():
        with pytest.raises(AttributeError) as error:
            getattr(owner, name)
        assert str(error.value).endswith(
            f"has no {name!r}; {'' if 'leave' in instead else 'use '}{instead}"
        )
    with pytest.raises(AttributeError, match=r"has no (attribute )?'nonsense'$"):
        _ = owner.nonsense


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda t: t.view(2, 3), "reshape"),
        (lambda t: t.permute(1, 0), "transpose"),
        (lambda t: t.unsqueeze(0), "np.expand_dims"),
        (lambda t: t.cuda(), "leave it out"),
        (lambda t: t.dim(), "ndim"),
        (lambda t: t.clone(), "Tensor\\(t.data\\)"),
        (lambda t: Tensor.zeros(3), "Tensor\\(np.zeros"),
        (lambda t: Tensor.randn(2, 3), "standard_normal"),
        (lambda t: mg.manual_seed(0), "rng=0"),
        (lambda t: mg.cat([t, t]), "np.concatenate"),
        (lambda t: nn.Parameter(t), "nn.parameter"),
        (lambda t: nn.functional.relu(t), "mg.relu"),
        (lambda t: nn.LSTM(2, 3), "minitransformer.parts.recurrent.LSTM"),
        (lambda t: nn.Linear(1, 1).to("cpu"), "leave it out"),
        (lambda t: optim.lr_scheduler.StepLR, "learning_rate"),
    ],
)
def test_first_attempts_are_answered_with_our_word(attempt: Any, hint: str) -> None:
    with pytest.raises(AttributeError, match=hint) as error:
        attempt(Tensor([1.0]))
    assert "\n" not in str(error.value)


def test_protocols_that_ask_for_attributes_are_not_misled() -> None:
    t = Tensor([1.0, 2.0])
    assert not hasattr(t, "__array_interface__")
    assert not {"view", "zeros"} & {*dir(t)}
    assert "to" not in dir(nn.Linear(1, 1))
    assert np.asarray(t).tolist() == copy.deepcopy(t).tolist() == [1.0, 2.0]
    assert pickle.loads(pickle.dumps(t)).tolist() == [1.0, 2.0]
    model = copy.deepcopy(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
    assert pickle.loads(pickle.dumps(model)).state_dict().keys() == model.state_dict().keys()


def test_modules_of_ops_compute_what_torch_s_do() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for name, ours, theirs in [
        ("ReLU", (), ()),
        ("LeakyReLU", (0.2,), (0.2,)),
        ("GELU", (), ()),
        ("SiLU", (), ()),
        ("Softplus", (), ()),
        ("Tanh", (), ()),
        ("Sigmoid", (), ()),
        ("Softmax", (1,), (1,)),
        ("LogSoftmax", (-1,), (-1,)),
        ("Identity", (), ()),
        ("Flatten", (), ()),
    ]:
        y = getattr(nn, name)(*ours)(Tensor(x))
        np.testing.assert_allclose(
            y.data, getattr(torch.nn, name)(*theirs)(torch.tensor(x)).numpy()
        )
    classes, target = np.array([0, 2]), (x[:, :, 0] > 0) * 1.0
    for name, wanted in [
        ("CrossEntropyLoss", classes),
        ("MSELoss", target),
        ("BCEWithLogitsLoss", target),
    ]:
        loss = getattr(nn, name)()(Tensor(x[:, :, 0]), wanted)
        reference = getattr(torch.nn, name)()(torch.tensor(x[:, :, 0]), torch.tensor(wanted))
        np.testing.assert_allclose(loss.data, reference.numpy())


def test_a_module_of_an_op_takes_the_op_s_settings_and_no_others() -> None:
    assert repr(nn.Softmax(dim=1)) == repr(nn.Softmax(axis=1)) == "Softmax(axis=1)  0"
    for attempt in (
        lambda: nn.ReLU(inplace=True),
        lambda: nn.Softmax(0, axis=1),
        lambda: nn.Tanh(1),
        lambda: nn.MSELoss(reduction="none"),
    ):
        with pytest.raises(TypeError, match=r"^\w+ does not take .*; its settings are: "):
            attempt()


def test_in_place_operators_under_no_grad_change_the_parameter_itself() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    same, stale = w, (w * w).sum()
    with no_grad():
        w -= 0.5 * Tensor([2.0, 2.0])
        w += 1
        w *= 2
        w /= 4
    assert w is same
    assert w.requires_grad
    assert w.tolist() == [0.5, 1.0]
    with pytest.raises(RuntimeError, match="was changed by an assignment"):
        stale.backward()
    recorded = w
    recorded -= 1.0  # outside, as ever, a new tensor
    assert recorded is not w
    with no_grad():
        constant = kept = Tensor([1.0])
        constant -= 1.0
        assert (constant is kept) is False
    half = Tensor([1.0], np.float32, requires_grad=True)
    with no_grad():
        half -= np.array([0.5])
    assert half.dtype == np.float32


class Listed(nn.Module):
    """Modules and parameters in plain containers."""

    def __init__(self) -> None:
        self.layers = [nn.Linear(2, 3, rng=0), mg.relu, nn.Linear(3, 2, rng=1)]
        self.named = {"norm": (nn.LayerNorm(2),)}
        self.scales = [nn.parameter(np.ones(2)), np.ones(2), Tensor(np.ones(2))]
        self._hidden = [nn.Linear(1, 1)]
        self.sizes = [2, 3]

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return self.named["norm"][0](x) * self.scales[0]


def test_modules_in_lists_tuples_and_dicts_are_registered() -> None:
    model = Listed()
    assert [name for name, _ in model.named_parameters()] == [
        "scales.0", "layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias",
        "named.norm.0.weight", "named.norm.0.bias",
    ]  # fmt: skip
    model(np.ones((4, 2), np.float32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not model.eval().layers[0].training  # type: ignore[union-attr]
    state = model.state_dict()
    other = Listed().astype(np.float64)
    other.load_state_dict({name: x * 2 for name, x in state.items()})
    assert other.scales[0].data.tolist() == [2, 2]
    assert "├─ layers.0: Linear(2 → 3)  9" in repr(model)
    assert module_path(model.layers[2](np.ones((1, 3), np.float32)).scope) == "Linear"


def test_a_model_prints_the_functions_that_stand_in_it() -> None:
    model = nn.Sequential(nn.Linear(2, 3), mg.relu, np.tanh, lambda x: x, nn.Linear(3, 1))
    lines = repr(model).splitlines()
    assert [line for line in lines if line[3] in "123"] == [
        "├─ 1: relu",
        "├─ 2: tanh",
        "├─ 3: <lambda>",
    ]
    assert lines[-3] == "└─ 4: Linear(3 → 1)  4"
