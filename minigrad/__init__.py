"""minigrad: reverse-mode automatic differentiation over NumPy, small enough to read.

Reading order: `scalar.py` (the whole idea), `tensor.py`, `op.py`, `ops/` (the table of derivative
rules), `backward.py`, `transforms.py`.
"""

from __future__ import annotations

from minigrad import nn, optim
from minigrad.op import Op
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
    batch_norm,
    binary_cross_entropy_with_logits,
    cross_entropy,
    dropout,
    embedding,
    layer_norm,
    linear,
    log_softmax,
    mse_loss,
    scaled_dot_product_attention,
    softmax,
)
from minigrad.ops.reduce import (
    cumsum,
    logsumexp,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
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
from minigrad.tensor import TABLE, Tensor, no_grad
from minigrad.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
