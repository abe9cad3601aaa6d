"""Wording: how messages describe the numbers in an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.names import input_name
from minigrad.tensor import Array, Tensor, unwrap


def inputs_of(node: Tensor, index: tuple[int, ...]) -> str:
    """The inputs that hold numbers, each with its shape, extremes and, if it has one, element."""
    assert node.op is not None
    texts = []
    for i, x in enumerate(unwrap(node.inputs)):
        if is_floating(x):
            text = f"{input_name(node, i)} {np.shape(x)} is {extremes(x)}"
            if node.op.is_elementwise and len(index) == node.ndim:
                text += f", there {np.broadcast_to(x, node.shape)[index]:.4g}"
            texts.append(text)
    return "; ".join(texts)


def extremes(x: Any) -> str:
    """ "0 to 3", and how many elements are no numbers."""
    x = np.asarray(x)
    finite = x[np.isfinite(x)]
    texts = [f"{finite.min():.4g} to {finite.max():.4g}"] if finite.size else []
    counts = {"nan": np.isnan(x).sum(), "inf": np.isposinf(x).sum(), "-inf": np.isneginf(x).sum()}
    return ", ".join(texts + [f"{n} × {name}" for name, n in counts.items() if n]) or "empty"


def first_non_finite(x: Array) -> tuple[int, ...]:
    """The index of the first NaN or infinity."""
    return tuple(np.argwhere(~np.isfinite(x))[0].tolist())


def non_finite(x: Any) -> str:
    """ "nan at element (0, 2)": the first one, and where it stands."""
    x = np.asarray(x)
    index = first_non_finite(x)
    return f"{x[index]:g} at {f'element {index}' if index else 'the one element'}"


def is_floating(x: Any) -> bool:
    """Whether these are numbers that can be NaN or infinite."""
    return isinstance(x, float | np.ndarray | np.generic) and np.asarray(x).dtype.kind == "f"
