"""Which calls are one card at module zoom, and which layers stand for others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn
from minitransformer import Transformer, TransformerConfig
from minitransformer.parts.config import Norm
from viz.graphs.build import build, retain_grads
from viz.graphs.look import Look
from viz.graphs.nodes import Graph, Node
from viz.graphs.words import table_of


def model_loss(layers: int = 6, norm: Norm = "post") -> Tensor:
    """The loss of a small transformer."""
    config = TransformerConfig(
        6, 6, d_model=4, num_heads=2, num_encoder_layers=layers, num_decoder_layers=layers,
        d_ff=4, dropout=0.0, max_length=4, norm=norm,
    )  # fmt: skip
    logits = Transformer(config, rng=0)(np.array([[3, 4]]), np.array([[1, 3, 4]]))
    result: Tensor = mg.cross_entropy(logits, np.array([[3, 4, 2]]))
    return result


def labels(picture: Graph) -> list[str]:
    """The labels of all nodes, in order."""
    return [node.label for node in picture.nodes]


def arrows(picture: Graph) -> set[tuple[str, str]]:
    """The edges, by the boxes and labels of what they connect."""
    name = {node.id: "/".join([*node.path[1:2], node.label]) for node in picture.nodes}
    return {(name[edge.source], name[edge.target]) for edge in picture.edges}


def boxed(picture: Graph, name: str) -> list[Node]:
    """The nodes in the boxes of this name."""
    return [node for node in picture.nodes if name in node.path]


class Block(nn.Module):
    """A residual linear layer."""

    def __init__(self, width: int = 3) -> None:
        self.inner = nn.Linear(width, width, rng=0)

    def forward(self, x: Any) -> Any:
        """(B, D) → (B, D)."""
        return x + np.tanh(self.inner(x))


class Blocks(nn.Module):
    """Blocks one after the other, with something between them if it is given."""

    def __init__(self, blocks: list[nn.Module], between: Any = None) -> None:
        self.blocks = nn.ModuleList(blocks)
        self._between = between

    def forward(self, x: Any) -> Any:
        """(B, D) → (B, D)."""
        for i, block in enumerate(self.blocks):
            x = block(x)
            if self._between is not None:
                x = self._between(x, i)
        return x


def stacked(*blocks: nn.Module, between: Any = None) -> Graph:
    """The picture of blocks on two vectors, at module zoom."""
    x = Tensor(np.ones((2, 3)), name="x", requires_grad=True)
    return build(Blocks(list(blocks), between)(x), Look("module"))


class Other(Block):
    """A block of another class, that does the same."""


class Wired(nn.Module):
    """A layer in which the same ops may be connected in different ways."""

    def __init__(self, wiring: str, width: int = 3) -> None:
        self.first, self.second = nn.Linear(3, width, rng=0), nn.Linear(width, 3, rng=1)
        self._wiring = wiring

    def forward(self, x: Any) -> Any:
        """(B, D) → (B, D)."""
        a = self.second(self.first(x))
        b = np.tanh(x if self._wiring == "side by side" else a)
        return b - a if self._wiring == "turned" else a - b


@pytest.mark.parametrize(
    "other",
    [Wired("side by side"), Wired("turned"), Wired("chained", width=4), Block()],
)
def test_layers_fold_only_where_class_shapes_and_connections_are_the_same(
    other: nn.Module,
) -> None:
    assert labels(stacked(Wired("chained"), Wired("chained"))) == ["x", "Blocks · blocks.0 … 1 × 2"]
    assert labels(stacked(Wired("chained"), other)) == ["x", "blocks.0", "blocks.1"]


def test_layers_of_two_classes_do_not_fold_even_if_they_do_the_same() -> None:
    assert labels(stacked(Block(), Other())) == ["x", "blocks.0", "blocks.1"]


def test_a_model_is_one_card_at_model_zoom() -> None:
    assert labels(build(model_loss(), Look("model"))) == ["Transformer", "cross entropy"]


def test_a_transformer_at_module_zoom_is_the_papers_figure() -> None:
    picture = build(model_loss(), Look("module"))
    assert picture.clusters == (
        ("Transformer",),
        ("Transformer", "encoder"),
        ("Transformer", "encoder", "layers.0 … 5 × 6"),
        ("Transformer", "decoder"),
        ("Transformer", "decoder", "layers.0 … 5 × 6"),
    )
    attended = ["self_attention", "add", "self_attention_norm"]
    fed = ["feed_forward", "add", "feed_forward_norm"]
    crossed = ["cross_attention", "add", "cross_attention_norm"]
    assert labels(picture) == [
        "source_embedding", *attended, *fed, "target_embedding", *attended, *crossed, *fed,
        "projection", "cross entropy",
    ]  # fmt: skip
    assert arrows(picture) >= {
        ("source_embedding", "encoder/self_attention"),
        ("source_embedding", "encoder/add"),
        ("encoder/feed_forward_norm", "decoder/cross_attention"),
        ("decoder/feed_forward_norm", "projection"),
    }
    into = {source for source, target in arrows(picture) if target == "encoder/self_attention"}
    assert into == {"source_embedding"}
    assert picture.note == ""


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_no_edge_of_a_folded_graph_runs_backwards(norm: Norm) -> None:
    picture = build(model_loss(norm=norm), Look("module"))
    position = {node.id: i for i, node in enumerate(picture.nodes)}
    assert all(position[edge.source] < position[edge.target] for edge in picture.edges)


def test_nodes_stand_for_the_tensors_of_all_repeats() -> None:
    loss = model_loss()
    folded, whole = build(loss, Look("module")), build(loss, Look("model"))
    assert sorted(x for node in folded.nodes for x in node.tensors) == sorted(
        x for node in whole.nodes for x in node.tensors
    )
    assert {node.times for node in boxed(folded, "layers.0 … 5 × 6")} == {6}


def test_numbers_of_a_layer_that_repeats_are_those_of_the_first_and_it_says_so() -> None:
    loss = model_loss(2)
    retain_grads(loss)
    loss.backward(retain_graph=True)
    picture = build(loss, Look("module", values=True, grads=True))
    inside = boxed(picture, "layers.0 … 1 × 2, numbers of layers.0")
    alone = build(loss, Look("module", values=True, grads=True, open="layers.0"))
    first = boxed(alone, "layers.0")
    assert [node.value for node in inside] == [node.value for node in first]
    assert [node.grad for node in inside] == [node.grad for node in first]


def test_an_opened_layer_stays_apart_from_those_that_repeat() -> None:
    picture = build(model_loss(), Look("module", open="encoder.layers.0.self_attention"))
    boxes = [path[2] for path in picture.clusters if path[1:2] == ("encoder",) and len(path) == 3]
    assert boxes == ["layers.0", "layers.1 … 5 × 5"]
    picture = build(model_loss(), Look("module", open="encoder.layers.2"))
    boxes = [path[2] for path in picture.clusters if path[1:2] == ("encoder",) and len(path) == 3]
    assert boxes == ["layers.0 … 1 × 2", "layers.2", "layers.3 … 5 × 3"]


def test_layers_that_repeat_are_one_card_in_an_opened_model() -> None:
    picture = build(model_loss(3), Look("model", open="encoder"))
    assert "encoder · layers.0 … 2 × 3" in labels(picture)
    (card,) = [node for node in picture.nodes if "× 3" in node.label]
    assert card.size == "20 ops · 136 params each"


def test_layers_of_a_single_op_repeat_too() -> None:
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Linear(3, 3, rng=1))
    card = build(model(Tensor(np.ones((1, 3)), name="x")), Look("module")).nodes[-1]
    assert (card.label, card.detail, card.size) == ("Sequential · 0 … 1 × 2", "linear", "")


def test_layers_of_different_structure_do_not_stand_for_each_other() -> None:
    wide = nn.Sequential(nn.Linear(3, 5, rng=0), nn.Linear(5, 3, rng=0))
    folded = stacked(Block(), Block(), wide, Block())
    assert labels(folded) == ["x", "blocks.0 … 1 × 2", "blocks.2", "blocks.3"]


def test_layers_with_something_between_them_do_not_repeat() -> None:
    picture = stacked(Block(), Block(), between=lambda x, i: x * 2.0)
    assert labels(picture) == ["x", "blocks.0", "multiply", "blocks.1", "multiply"]


def test_an_input_of_a_later_repeat_comes_before_the_first() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 3, rng=0)

        def forward(self, x: Any) -> Any:
            return self.inner(x[0]) + x[1], extra

    extra = Tensor(np.ones((2, 3)), name="extra")
    x = Tensor(np.ones((2, 3)), name="x")
    result, _ = Blocks([Shifted(), Shifted()])((x, Tensor(np.ones((2, 3)), name="start")))
    picture = build(result, Look("module"))
    assert labels(picture) == ["x", "start", "extra", "Blocks · blocks.0 … 1 × 2"]
    assert {source for source, _ in arrows(picture)} == {"x", "start", "extra"}


def test_the_outermost_module_is_open_at_module_zoom() -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), mg.relu, nn.Linear(4, 2, rng=0))
    picture = build(model(Tensor(np.ones((1, 3)), name="x")), Look("module"))
    assert labels(picture) == ["x", "0", "relu", "2"]


def test_module_cards_list_their_parameters_on_request() -> None:
    loss = model_loss(1)
    embedding, attention, *_ = build(loss, Look("module", parameters=True)).nodes
    assert [(row.name, row.shape) for row in embedding.rows] == [
        ("tokens.weight", (6, 4)), ("indices", (1, 2))
    ]  # fmt: skip
    assert [row.name for row in attention.rows][:3] == ["query.weight", "query.bias", "key.weight"]
    (model, _) = build(loss, Look("model", parameters=True)).nodes
    names = [row.name for row in model.rows if row.family == "parameter"]
    assert (len(names), names[0]) == (8, "source_embedding.tokens.weight")
    assert model.notice == "… 38 more parameters"
    (model, _) = build(loss, Look("model")).nodes
    assert {row.family for row in model.rows} == {"constant"}


def test_the_parameters_of_a_module_card_have_their_numbers() -> None:
    layer = nn.Sequential(nn.Linear(1, 1, rng=0), np.tanh)
    result = layer(Tensor([[2.0]], name="x")).sum()
    card = build(result, Look("model", values=True, grads=True, parameters=True)).nodes[1]
    result.backward()
    assert [row.name for row in card.rows] == ["0.weight", "0.bias"]
    assert [row.value for row in card.rows] == [table_of(x.data) for x in layer.parameters()]
    assert [row.grad for row in card.rows] == [table_of(x.grad) for x in layer.parameters()]


@pytest.mark.parametrize("rung", ["op", "module"])
def test_a_large_model_is_folded_to_a_readable_size(rung: str) -> None:
    picture = build(model_loss(40), Look(rung))
    assert len(picture.nodes) <= 150
