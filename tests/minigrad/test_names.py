"""What modules, ops and their inputs are called in messages and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad import Tensor, nn
from minigrad.names import argument_name, describe_op, input_name, module_path, parameter_path

ROWS = np.ones((4, 3), np.float32)


def test_module_paths_begin_below_the_outermost_module() -> None:
    model = nn.Sequential(nn.Sequential(mg.relu, nn.Linear(3, 2, rng=0)))
    y = model(ROWS)
    assert module_path(y.scope) == "0.1"
    assert parameter_path(model[0][1].weight, y.scope) == "0.1.weight"
    assert parameter_path(Tensor([1.0], requires_grad=True), y.scope) == ""
    assert module_path(nn.Linear(3, 2, rng=0)(ROWS).scope) == "Linear"
    assert module_path(None) == ""


def test_a_module_that_no_module_owns_goes_by_its_class() -> None:
    class Outer(nn.Module):
        def forward(self, x: Any) -> Any:
            return nn.Sequential(nn.Linear(3, 2, rng=0))(x)

    assert module_path(Outer()(ROWS).scope) == "0"


def test_an_op_is_called_by_its_name_its_sign_and_the_module_around_it() -> None:
    model = nn.Sequential(nn.Linear(3, 2, rng=0), mg.relu)
    x = Tensor(np.ones(3), requires_grad=True)
    assert describe_op(x / 2) == "divide (÷)"
    assert describe_op(np.exp(x)) == "exp"
    assert describe_op(model[0](ROWS)) == "linear in Linear"
    assert describe_op(model(ROWS).inputs[0]) == "linear in 0 (Linear)"


def test_an_input_has_its_own_name_or_its_modules_or_the_ops() -> None:
    layer = nn.Linear(3, 2, rng=0)
    y = layer(Tensor(ROWS, name="rows"))
    assert [input_name(y, i) for i in range(3)] == ["rows", "weight", "bias"]
    assert argument_name(y, 0) == "x"
    x = Tensor(ROWS, requires_grad=True)
    assert input_name(x * 2, 1) == argument_name(x * 2, 1) == "b"
