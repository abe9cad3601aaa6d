"""minigrad: reverse-mode automatic differentiation over NumPy, small enough to read.

Reading order: `scalar.py` (the whole idea), `tensor.py`, `op.py`, `ops/` (the table of derivative
rules), `backward.py`, `transforms.py`. On these stand `module.py`, `nn.py` and `optim.py`; `check/`
asks whether a rule is right, `why/` why a gradient is what it is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigrad import nn, optim
from minigrad.mode import no_grad
from minigrad.op import Op
from minigrad.ops import additive, arrange, calculus, decompositions, recurrent, statistics
from minigrad.ops.attention import scaled_dot_product_attention
from minigrad.ops.elementwise import (
    abs,
    add,
    arctan,
    astype,
    clip,
    cos,
    divide,
    erf,
    exp,
    expm1,
    gelu,
    leaky_relu,
    log,
    log1p,
    masked_fill,
    maximum,
    minimum,
    multiply,
    negative,
    positive,
    power,
    reciprocal,
    relu,
    sigmoid,
    silu,
    sin,
    softplus,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)
from minigrad.ops.linalg import dot, einsum, matmul, outer
from minigrad.ops.neural import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    dropout,
    embedding,
    linear,
    log_softmax,
    logsumexp,
    mse_loss,
    softmax,
)
from minigrad.ops.norms import batch_norm, layer_norm, rms_norm
from minigrad.ops.reduce import (
    cumsum,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from minigrad.ops.rotary import rotary
from minigrad.ops.shape import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    getitem,
    pad,
    ravel,
    repeat,
    reshape,
    roll,
    scatter_add,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tile,
    transpose,
    tril,
    triu,
)
from minigrad.scalar import Value
from minigrad.table import TABLE
from minigrad.tensor import Tensor
from minigrad.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from minigrad.words import PACKAGE, missing

if TYPE_CHECKING:
    from minigrad.check import GradientError, check_table, diagnose, gradcheck
    from minigrad.why import AnomalyError, detect_anomaly, explain_grad

ON_DEMAND = {
    **dict.fromkeys(["GradientError", "check_table", "diagnose", "gradcheck"], "check"),
    **dict.fromkeys(["AnomalyError", "detect_anomaly", "explain_grad"], "why"),
}
"""What only answers questions, and the module that is imported once one of them is asked."""


def __getattr__(name: str) -> Any:
    if name in TABLE:  # what is not imported above, such as NumPy's `tan`
        return TABLE[name]
    if name not in ON_DEMAND:
        raise missing("minigrad", name, PACKAGE)
    found = globals()[name] = getattr(import_module(f"minigrad.{ON_DEMAND[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *ON_DEMAND, *TABLE})


__all__ = [
    "TABLE",
    "AnomalyError",
    "GradientError",
    "Op",
    "Tensor",
    "Value",
    "abs",
    "add",
    "arctan",
    "astype",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "check_table",
    "clip",
    "concatenate",
    "cos",
    "cross_entropy",
    "cumsum",
    "detect_anomaly",
    "diagnose",
    "divide",
    "dot",
    "dropout",
    "einsum",
    "embedding",
    "erf",
    "exp",
    "expand_dims",
    "explain_grad",
    "expm1",
    "flip",
    "gelu",
    "getitem",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "masked_fill",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mse_loss",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "norm",
    "optim",
    "outer",
    "pad",
    "positive",
    "power",
    "prod",
    "ravel",
    "reciprocal",
    "relu",
    "repeat",
    "reshape",
    "rms_norm",
    "roll",
    "rotary",
    "scaled_dot_product_attention",
    "scatter_add",
    "sigmoid",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tanh",
    "tile",
    "transpose",
    "tril",
    "triu",
    "value_and_grad",
    "var",
    "vjp",
    "where",
]
