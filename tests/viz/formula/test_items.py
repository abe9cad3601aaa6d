"""What a page says of one step: how its result is computed, from inputs by their names."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from minigrad import TABLE, Tensor, Value
from viz.formula.items import formulas_of
from viz.formula.mathml import GAP
from viz.graphs.steps import items_behind

X = Tensor([[0.5, 1.0], [2.0, 4.0]], requires_grad=True)


def last_step(result: Any) -> dict[str, Any]:
    """What is said of a result."""
    items = items_behind(result)
    return formulas_of(items[max(items)])


def computed(result: Any) -> str:
    """How a result is computed, as letters."""
    xml = last_step(result)["computed"].replace(GAP, " ")
    return "".join(ElementTree.fromstring(xml).itertext())


@pytest.mark.parametrize(
    ("result", "letters"),
    [
        (X + X, "y=a+b"),
        (X @ X, "y=a b"),
        (-X, "y=−x"),
        (np.tanh(X), "y=tanh(x)"),
        (np.sum(X, axis=0), "y=∑x"),
        (X[0], "y=xindex"),
        (Value(2.0) * Value(3.0), "y=a·b"),
        (Value(2.0) - Value(3.0), "y=a−b"),
        (-Value(2.0), "y=−x"),
        (Value(2.0) ** 3, "y=x3"),
        (Value(2.0) ** Value(3.0), "y=ab"),
        (np.exp(Value(2.0)), "y=ex"),
    ],
)
def test_a_step_says_what_is_computed_of_its_inputs(result: Any, letters: str) -> None:
    assert computed(result) == letters


def test_a_fused_op_says_its_definition_line_by_line() -> None:
    weight = Tensor(np.ones(2), requires_grad=True)
    lines = ElementTree.fromstring(last_step(TABLE["layer_norm"](X, weight, weight))["computed"])[0]
    left = ["".join(line[0].itertext()) for line in lines]
    assert left == ["centred", "variance", "y"]


def test_all_values_have_the_rule_that_stands_in_the_backward_pass() -> None:
    by_a, by_b = last_step(Value(2.0) * Value(3.0))["rules"]
    assert by_a == by_b
    assert by_a["source"] == "flow[source] += gradient * slope"
