"""Norms: vectors, or features, brought to a common scale. Fused, as the ops in `neural.py` are."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.op import composite, fused, on
from minigrad.ops.elementwise import floating
from minigrad.ops.neural import matrix
from minigrad.ops.reduce import mean
from minigrad.sums import dot_rows, sum_columns, sum_rows


@fused(
    "layer norm",
    family="norm",
    examples=[
        on((2, 3), (3,), (3,)),
        on((2, 2, 4), (4,), (4,)),
        on((2, 3), (1,), None),
        on((2, 3), None, (1,)),
    ],
)
def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Each row brought to mean 0 and variance 1, then scaled and shifted: (..., D), (D,), (D,).

    A weight or bias of shape (1,) serves all features; None scales or shifts nothing.
    Ba, Kiros and Hinton, "Layer Normalization" (2016), section 3.
    """
    return scale_and_shift(normalise_over(x, -1, eps), weight, bias)


def normalise_over(x: Any, axes: Any, eps: float) -> Any:
    """`x` brought to mean 0 and variance 1 over some axes."""
    centred = x - mean(x, axis=axes, keepdims=True)
    variance = mean(centred * centred, axis=axes, keepdims=True)
    return centred / np.sqrt(variance + eps)


def scale_and_shift(x: Any, weight: Any, bias: Any) -> Any:
    """x · weight + bias, where each may be None."""
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def require_features(name: str, vector: Any, width: int) -> None:
    """ValueError unless there is a number for each feature, or one for all, or None."""
    if vector is not None and vector.shape != (width,) and vector.shape != (1,):
        raise ValueError(f"a {name} of shape ({width},), (1,) or None is needed")


@layer_norm.kernel
def layer_norm_kernel(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    rows, width = matrix(floating(x)), x.shape[-1]
    share = 1 / max(width, 1)
    require_features("weight", weight, width)
    require_features("bias", bias, width)
    normal = rows - rows[:, :1]  # the mean alone would leave its rounding, as large as √eps
    normal -= (sum_rows(normal) * share)[:, None]
    inverse = 1 / np.sqrt(np.vecdot(normal, normal) * share + eps)
    normal *= inverse[:, None]
    y = normal * (1 if weight is None else weight)
    if bias is not None:
        y += bias
    return y.reshape(x.shape), normal, inverse


@layer_norm.rule
def layer_norm_rule(
    g: Any, y: Any, saved: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5
) -> Any:
    normal, inverse = saved
    g, width = matrix(g), x.shape[-1]
    if weight is None or len(weight) != width:
        weight = np.broadcast_to(g.dtype.type(1) if weight is None else weight, width)
    share = 1 / max(width, 1)
    scratch = g * normal
    weight_gradient = sum_columns(scratch)
    along_normal = dot_rows(scratch, weight) * share
    along_ones = dot_rows(g, weight) * share
    gx = g * weight
    gx -= along_ones[:, None]
    gx -= np.multiply(normal, along_normal[:, None], out=scratch)
    gx *= inverse[:, None]
    return gx.reshape(x.shape), weight_gradient, sum_columns(g)


@layer_norm.formula
def layer_norm_formula(g: Any, y: Any, x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    centred = x - mean(x, axis=-1, keepdims=True)
    deviation = np.sqrt(mean(centred * centred, axis=-1, keepdims=True) + eps)
    normal = centred / deviation
    gn = g if weight is None else g * weight
    along_ones = mean(gn, axis=-1, keepdims=True)
    along_normal = mean(gn * normal, axis=-1, keepdims=True)
    return (
        (gn - along_ones - normal * along_normal) / deviation,
        None if weight is None else g * normal,
        None if bias is None else g,
    )


@fused(
    "rms norm",
    family="norm",
    examples=[on((2, 3), (3,)), on((2, 2, 4), (4,)), on((2, 3), (1,)), on((2, 3), None, eps=0.1)],
)
def rms_norm(x: Any, weight: Any, eps: float = 1e-5) -> Any:
    """Each row brought to mean square 1, then scaled: (..., D), (D,).

    A weight of shape (1,) serves all features; None scales nothing.
    Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019), section 4.
    """
    return scale_and_shift(x / np.sqrt(mean(x * x, axis=-1, keepdims=True) + eps), weight, None)


@rms_norm.kernel
def rms_norm_kernel(x: Any, weight: Any, eps: float = 1e-5) -> Any:
    rows, width = matrix(floating(x)), x.shape[-1]
    require_features("weight", weight, width)
    inverse = 1 / np.sqrt(np.vecdot(rows, rows) * (1 / max(width, 1)) + eps)
    normal = rows * inverse[:, None]
    y = normal if weight is None else normal * weight
    return y.reshape(x.shape), normal, inverse


@rms_norm.rule
def rms_norm_rule(g: Any, y: Any, saved: Any, x: Any, weight: Any, eps: float = 1e-5) -> Any:
    normal, inverse = saved
    g, width = matrix(g), x.shape[-1]
    scratch = g * normal
    if weight is None:
        along, weight_gradient, gx = sum_rows(scratch), None, g.copy()
    else:
        along = dot_rows(scratch, np.broadcast_to(weight, width))
        weight_gradient, gx = sum_columns(scratch), g * weight
    gx -= np.multiply(normal, (along * (1 / max(width, 1)))[:, None], out=scratch)
    gx *= inverse[:, None]
    return gx.reshape(x.shape), weight_gradient


@rms_norm.formula
def rms_norm_formula(g: Any, y: Any, x: Any, weight: Any, eps: float = 1e-5) -> Any:
    rms = np.sqrt(mean(x * x, axis=-1, keepdims=True) + eps)
    normal = x / rms
    gn = g if weight is None else g * weight
    along_normal = mean(gn * normal, axis=-1, keepdims=True)
    return (gn - normal * along_normal) / rms, None if weight is None else g * normal


@composite(family="norm", examples=[on((4, 3), (3,), (3,)), on((2, 3, 2), (2,), (2,))])
def batch_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """Each feature brought to mean 0 and variance 1 over the batch: (..., D), (D,), (D,).

    Features are the last axis, as in layer_norm; every other axis belongs to the batch.
    Ioffe and Szegedy, "Batch Normalization" (2015), algorithm 1.
    """
    batch = tuple(range(np.ndim(x) - 1))
    return scale_and_shift(normalise_over(x, batch, eps), weight, bias)
