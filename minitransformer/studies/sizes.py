"""Sizes: models of different kinds with as many weights, so that they can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigrad.nn import ShapesOnly, count_parameters
from minitransformer.batch import Shape
from minitransformer.models import MODELS


def equally_large(names: Iterable[str], d_model: int, shape: Shape) -> dict[str, Any]:
    """The settings of models that answer pairs, by name: each has as many weights as a transformer
    of that width, as nearly as a whole width allows. The others have one layer.

    >>> shape = Shape("pairs", vocab=14, classes=14, source=20, target=21)
    >>> models = equally_large(["lstm", "transformer"], 64, shape)
    >>> {name: (x.d_model, size(x, shape)) for name, x in models.items()}
    {'lstm': (101, 169088), 'transformer': (64, 170382)}
    """
    transformer = MODELS["transformer"](d_model=d_model, d_ff=2 * d_model)
    wanted = size(transformer, shape)
    return {x: transformer if x == "transformer" else nearest(x, wanted, shape) for x in names}


def size(model: Any, shape: Shape) -> int:
    """How many weights a model of these settings has."""
    return count_parameters(model.build(shape, ShapesOnly()))


def nearest(name: str, wanted: int, shape: Shape) -> Any:
    """A model of one layer, of the width that makes its size nearest to the one that is wanted."""
    low, high = MODELS[name](d_model=1, layers=1), MODELS[name](d_model=2, layers=1)
    while size(high, shape) < wanted:
        low, high = high, MODELS[name](d_model=2 * high.d_model, layers=1)
    while high.d_model - low.d_model > 1:
        middle = MODELS[name](d_model=(low.d_model + high.d_model) // 2, layers=1)
        low, high = (middle, high) if size(middle, shape) < wanted else (low, middle)
    return min(low, high, key=lambda model: abs(size(model, shape) - wanted))
