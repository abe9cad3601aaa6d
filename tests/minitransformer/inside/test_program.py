"""A model written down as a program computes what the model does, whatever the length."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from minigrad import nn
from minigrad.tensor import Tensor
from minitransformer.batch import Shape
from minitransformer.inside.program import Program, record
from minitransformer.models import MODELS

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("transformer", {}),
    ("transformer", {"norm": "post", "positions": "learned", "activation": "gelu"}),
    ("transformer", {"positions": "rotary", "activation": "swiglu"}),
    ("transformer", {"positions": "none"}),
    ("gpt", {}),
    ("llama", {"heads": 4, "kv_heads": 2}),
    ("bert", {}),
    ("classifier", {}),
    ("classifier", {"encoder": "bert", "norm": "post"}),
]


def built(name: str, **settings: Any) -> tuple[nn.Module, dict[str, int]]:
    """A small model of the table, and the longest inputs that it takes."""
    entry = MODELS[name]
    sizes = {"d_model": 8, "heads": 2, "d_ff": 12, "layers": 2}
    model = entry(**{**sizes, **settings}).build(Shape(entry.answers[0], 9, 9, 7, 6), 0)
    return model, {"source": 7, "target": 6} if name == "transformer" else {"source": 7}


@pytest.mark.parametrize(("name", "settings"), KINDS)
def test_a_program_gives_the_models_logits_at_every_length(
    name: str, settings: dict[str, Any]
) -> None:
    model, lengths = built(name, **settings)
    program = record(model, lengths, token=1)
    rng = np.random.default_rng(0)
    for source in range(1, 8):
        for target in range(1, 7):
            sizes = {"source": source, "target": target}
            inputs = {side: rng.integers(1, 9, (1, sizes[side])) for side in lengths}
            expected = model(*inputs.values()).data
            np.testing.assert_allclose(program(**inputs), expected, rtol=1e-5, atol=1e-6)


def test_the_steps_are_json_and_tied_weights_are_there_once() -> None:
    model, lengths = built("gpt")
    program = record(model, lengths, token=1)
    again = Program(lengths, json.loads(json.dumps(program.steps)), program.arrays)
    text = np.array([[3, 1, 4]])
    assert np.array_equal(again(source=text), program(source=text))
    table = model.embedding.tokens.weight.data
    assert sum(x is table for x in program.arrays) == 1
    assert program.steps[0]["inputs"] == [{"array": 0}, {"input": "source"}]
    assert program.steps[-1]["inputs"][1] == {"array": 0}


def test_what_attends_is_named() -> None:
    model, lengths = built("transformer")
    attending = {x["path"]: x["op"] for x in record(model, lengths, 1).steps if "path" in x}
    assert len(attending) == 6
    assert attending["decoder.layers.1.cross_attention"] == "scaled_dot_product_attention"


def test_sides_of_one_length_are_told_apart() -> None:
    model, _ = built("transformer")
    program = record(model, {"source": 6, "target": 6}, token=1)
    inputs = {"source": np.array([[1, 2, 3, 4]]), "target": np.array([[5, 6]])}
    np.testing.assert_allclose(program(**inputs), model(*inputs.values()).data, rtol=1e-5)


def test_a_side_of_one_token_at_most_stays_as_it_is() -> None:
    model, _ = built("transformer")
    program = record(model, {"source": 1, "target": 3}, token=1)
    inputs = {"source": np.array([[4]]), "target": np.array([[5, 6]])}
    np.testing.assert_allclose(program(**inputs), model(*inputs.values()).data, rtol=1e-5)


def test_what_is_not_known_is_refused() -> None:
    model = MODELS["lstm-attention"](d_model=8, layers=1).build(Shape("pairs", 9, 9, 7, 6), 0)
    lengths = {"source": 7, "target": 6}
    with pytest.raises(ValueError, match="not made of attention alone: it has a step lstm"):
        record(model, lengths, 1, known={"embedding", "linear", "add"})
    with pytest.raises(ValueError, match="takes other steps where its input is shorter"):
        record(model, lengths, 1)


class Odd(nn.Module):
    """A model in which something depends on the length, in a way of its own."""

    def __init__(self, what: str) -> None:
        self.weight = nn.parameter(np.ones((9, 4)))
        self.what = what

    def forward(self, source: Any) -> Tensor:
        x: Any = self.weight[source]
        length = np.shape(source)[1]
        if self.what == "array":
            return x * np.linspace(0, 1, length, dtype=np.float32)[:, None]
        if self.what == "size":
            return x.reshape(2 * length, 2)
        return x / (length + 1)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("array", "computes otherwise"),
        ("size", "is not its length"),
        ("number", "is not its length"),
    ],
)
def test_a_model_that_depends_on_the_length_otherwise_is_refused(what: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        record(Odd(what), {"source": 5}, 1)
