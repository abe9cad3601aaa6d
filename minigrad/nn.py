"""Layers: modules that compute something, to be put together into networks; see `module.py`."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from minigrad.module import Module as Module
from minigrad.module import Seed as Seed
from minigrad.module import ShapesOnly as ShapesOnly
from minigrad.module import Source as Source
from minigrad.module import count_parameters as count_parameters
from minigrad.module import glorot_uniform as glorot_uniform
from minigrad.module import parameter as parameter
from minigrad.module import require_sizes as require_sizes
from minigrad.module import source as source
from minigrad.op import Op
from minigrad.ops import elementwise, neural
from minigrad.ops.neural import dropout, embedding, linear
from minigrad.ops.norms import batch_norm, layer_norm, rms_norm
from minigrad.ops.reduce import mean, var
from minigrad.tensor import Tensor
from minigrad.words import LAYERS, missing


class Linear(Module):
    """x · weightᵀ + bias: (..., in_features) → (..., out_features)."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rng: Source | Seed = None
    ) -> None:
        require_sizes(self, in_features=in_features, out_features=out_features)
        self.weight = glorot_uniform(source(rng), (out_features, in_features))
        self.bias = parameter(np.zeros(out_features)) if bias else None

    def forward(self, x: Any) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        return linear(x, self.weight, self.bias)

    def describe(self) -> str:
        return f"{self.weight.shape[1]} → {self.weight.shape[0]}"


class Embedding(Module):
    """A row of `weight` for each integer: (...) → (..., dim). IndexError beyond the table."""

    def __init__(
        self, num_embeddings: int, dim: int, std: float = 1.0, rng: Source | Seed = None
    ) -> None:
        require_sizes(self, num_embeddings=num_embeddings, dim=dim)
        self.weight = parameter(source(rng).normal(0.0, std, (num_embeddings, dim)))

    def forward(self, indices: Any) -> Tensor:
        """(...) integers → (..., dim)."""
        return embedding(self.weight, np.asarray(indices))

    def describe(self) -> str:
        return f"{self.weight.shape[0]} × {self.weight.shape[1]}"


class LayerNorm(Module):
    """Each vector along the last axis brought to mean 0, variance 1, then scaled and shifted."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        require_sizes(self, dim=dim)
        self.weight = parameter(np.ones(dim))
        self.bias = parameter(np.zeros(dim))
        self.eps = eps

    def forward(self, x: Any) -> Tensor:
        """(..., dim) → (..., dim)."""
        return layer_norm(x, self.weight, self.bias, eps=self.eps)


class RMSNorm(Module):
    """Each vector along the last axis brought to mean square 1, then scaled."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        require_sizes(self, dim=dim)
        self.weight = parameter(np.ones(dim))
        self.eps = eps

    def forward(self, x: Any) -> Tensor:
        """(..., dim) → (..., dim)."""
        return rms_norm(x, self.weight, eps=self.eps)


class BatchNorm(Module):
    """Each feature (last axis) brought to mean 0, variance 1 over the batch (all other axes).

    In training the batch's own statistics are used, and running ones follow them; `eval()` uses
    the running ones. The running variance is the unbiased one, as in PyTorch.
    """

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        require_sizes(self, dim=dim)
        self.weight = parameter(np.ones(dim))
        self.bias = parameter(np.zeros(dim))
        self.running_mean = np.zeros(dim, np.float32)
        self.running_var = np.ones(dim, np.float32)
        if not 0 <= momentum <= 1:
            raise ValueError(f"BatchNorm: momentum is between 0 and 1, not {momentum}")
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Any) -> Tensor:
        """(..., dim) → (..., dim)."""
        if not self.training:
            inverse = 1 / np.sqrt(self.running_var + self.eps)
            return (x - self.running_mean) * (inverse * self.weight) + self.bias
        data = x.data if isinstance(x, Tensor) else x
        rows = data.reshape(-1, data.shape[-1])
        if len(rows) < 2:
            raise ValueError("BatchNorm: training needs more than one row to take a variance of")
        self.running_mean += self.momentum * (mean(rows, axis=0) - self.running_mean)
        self.running_var += self.momentum * (var(rows, axis=0, ddof=1) - self.running_var)
        return batch_norm(x, self.weight, self.bias, eps=self.eps)


class Dropout(Module):
    """In training, each element set to 0 with probability `p`, the others scaled by 1/(1 − p)."""

    def __init__(self, p: float = 0.1, rng: Source | Seed = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"dropout: p is a probability below 1, not {p}")
        self.p, self._rng = p, source(rng)

    def forward(self, x: Any) -> Any:
        """The same shape."""
        return dropout(x, self.p, self._rng) if self.training and self.p else x

    def describe(self) -> str:
        return f"p={self.p}"


class ModuleList(Module):
    """Modules in a row, named by their index."""

    def __init__(self, modules: list[Any]) -> None:
        self._modules = list(modules)

    def members(self) -> Iterator[tuple[str, Any]]:
        return ((str(i), x) for i, x in enumerate(self._modules) if isinstance(x, Module))

    def shown(self) -> Iterator[tuple[str, Any]]:
        return ((str(i), x) for i, x in enumerate(self._modules))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)

    def __getitem__(self, index: int) -> Any:
        return self._modules[index]

    def __len__(self) -> int:
        return len(self._modules)


class Sequential(ModuleList):
    """Modules, or plain functions such as `minigrad.relu`, applied one after the other."""

    def __init__(self, *modules: Any) -> None:
        super().__init__(list(modules))

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class Applied(Module):
    """An op as a module, made with the op's params: `Softmax(axis=-1)`, `LeakyReLU(0.2)`.

    `dim`, PyTorch's word, may be written for `axis`. TypeError for what the op does not take.
    """

    op: Op

    def __init__(self, *values: Any, **params: Any) -> None:
        named = dict(zip(self.op.param_names, values, strict=False))
        params = {"axis" if name == "dim" else name: x for name, x in params.items()}
        unknown = [name for name in params if name not in self.op.param_names or name in named]
        if unknown or len(values) > len(named):
            what = ", ".join(unknown) or f"{len(values)} settings"
            takes = ", ".join(self.op.param_names) or "none"
            raise TypeError(
                f"{type(self).__name__} does not take {what}; its settings are: {takes}"
            )
        self._params = named | params

    def forward(self, *inputs: Any) -> Any:
        """What the op makes of the inputs."""
        return self.op(*inputs, **self._params)

    def describe(self) -> str:
        return ", ".join(f"{name}={x}" for name, x in self._params.items())


class ReLU(Applied):
    """max(x, 0)."""

    op = elementwise.relu


class LeakyReLU(Applied):
    """x, or x · negative_slope below zero."""

    op = elementwise.leaky_relu


class GELU(Applied):
    """x · Φ(x)."""

    op = elementwise.gelu


class SiLU(Applied):
    """x · σ(x)."""

    op = elementwise.silu


class Softplus(Applied):
    """log(1 + eˣ)."""

    op = elementwise.softplus


class Tanh(Applied):
    """tanh x."""

    op = elementwise.tanh


class Sigmoid(Applied):
    """σ(x) = 1 / (1 + e⁻ˣ)."""

    op = elementwise.sigmoid


class Softmax(Applied):
    """Positive numbers that sum to 1 along an axis, the last by default."""

    op = neural.softmax


class LogSoftmax(Applied):
    """The logarithm of softmax along an axis, the last by default."""

    op = neural.log_softmax


class CrossEntropyLoss(Applied):
    """`cross_entropy` of (..., V) logits and (...) class indices."""

    op = neural.cross_entropy


class MSELoss(Applied):
    """`mse_loss` of a prediction and a target."""

    op = neural.mse_loss


class BCEWithLogitsLoss(Applied):
    """`binary_cross_entropy_with_logits` of logits and a target."""

    op = neural.binary_cross_entropy_with_logits


class Identity(Module):
    """x itself."""

    def forward(self, x: Any) -> Any:
        """The same."""
        return x


class Flatten(Module):
    """All axes but the first made one: (B, ...) → (B, N)."""

    def forward(self, x: Any) -> Any:
        """(B, ...) → (B, N)."""
        return np.reshape(x, (len(x), prod(np.shape(x)[1:])))


def __getattr__(name: str) -> Any:
    raise missing("minigrad.nn", name, LAYERS)
