"""Modules: parameters with names, put together into networks.

A module's state is what its attributes say: a Tensor is a parameter, an array is a buffer (saved,
not trained), a Module is a child; so are the Modules, and the Tensors to be trained, in a list,
tuple or dict. Names starting with an underscore are private and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from math import prod
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from minigrad.changes import note_write
from minigrad.mode import Scope, mode
from minigrad.op import Op
from minigrad.ops import elementwise, neural
from minigrad.ops.neural import batch_norm, dropout, embedding, layer_norm, linear
from minigrad.ops.reduce import mean, var
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.words import LAYERS, MODULE, missing, point_elsewhere

Seed: TypeAlias = "np.random.Generator | int | np.integer[Any] | None"


class Source(Protocol):
    """Where initial values come from: a NumPy generator, or `ShapesOnly`."""

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> Array: ...

    def normal(self, loc: float, scale: float, size: tuple[int, ...]) -> Array: ...


class ShapesOnly:
    """Initial values without memory: build a model on these to read off its shapes and counts.

    >>> model = Linear(100_000, 100_000, rng=ShapesOnly())
    >>> count_parameters(model)
    10000100000
    """

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> Array:
        return np.broadcast_to(np.float32(0), size)

    normal = uniform


def source(rng: Source | Seed) -> Source:
    """A generator from a seed, or the source itself."""
    return np.random.default_rng(rng) if isinstance(rng, int | np.integer | None) else rng


def parameter(data: Any) -> Tensor:
    """A float32 tensor to be trained."""
    tensor = Tensor.wrap(np.asarray(data, np.float32))
    tensor.requires_grad = True
    return tensor


def glorot_uniform(rng: Source, shape: tuple[int, int]) -> Tensor:
    """Uniform in ±√(6 / (in + out)): Glorot and Bengio (2010), equation 16."""
    bound = (6 / sum(shape)) ** 0.5
    return parameter(rng.uniform(-bound, bound, shape))


def require_sizes(module: Module, **sizes: int) -> None:
    """ValueError unless each size of a module is a whole number above 0."""
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            kind = type(module).__name__
            raise ValueError(f"{kind}: {name} is a whole number above 0, not {size!r}")


class Module:
    """A part of a network: attributes hold its parameters and children, `forward` computes."""

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's result; each module writes its own."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, with every tensor made on the way remembering this call (for pictures)."""
        outer = mode.scope
        mode.scope = Scope(self, outer)
        try:
            return self.forward(*args, **kwargs)
        finally:
            mode.scope = outer

    def members(self) -> Iterator[tuple[str, Any]]:
        """(name, Tensor, array or Module) for each public attribute, in the order of creation;
        what stands in a list, tuple or dict is called "layers.0" or "layers.key"."""
        for name, value in vars(self).items():
            if name.startswith("_"):
                continue
            if isinstance(value, Tensor | np.ndarray | Module):
                yield name, value
            elif isinstance(value, list | tuple | dict):
                yield from contained(name, value)

    def shown(self) -> Iterator[tuple[str, Any]]:
        """What `repr` draws: the members, and functions that stand among modules."""
        return self.members()

    def children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) for each direct child."""
        return ((name, x) for name, x in self.members() if isinstance(x, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted name, module) for this module (named "") and everything below it."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_state(self) -> Iterator[tuple[str, Tensor | Array]]:
        """(dotted name, Tensor or array) for each parameter and buffer; a shared one comes once."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, x in module.members():
                if not isinstance(x, Module) and id(x) not in seen:
                    seen.add(id(x))
                    yield f"{path}.{name}" if path else name, x

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted name, Tensor) for each parameter; a shared one comes once."""
        return ((name, x) for name, x in self.named_state() if isinstance(x, Tensor))

    def parameters(self) -> list[Tensor]:
        """Every parameter, once."""
        return [x for _, x in self.named_parameters()]

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """A copy of the module that computes with these parameters, by dotted name.

        So a loss is a function of them, which `grad`, `hvp` and `jacobian` can differentiate. The
        module itself stays as it is; parameters that are not given are its own. ValueError for a
        name or a shape that it has not.

        >>> from minigrad import grad
        >>> model, x = Linear(2, 1, rng=0), np.array([[1.0, 2.0]])
        >>> gradients = grad(lambda p: np.sum(model.with_parameters(p)(x)))(model.state_dict())
        >>> gradients["weight"]
        array([[1., 2.]], dtype=float32)
        """
        own = dict(self.named_parameters())
        for name, x in parameters.items():
            if name not in own:
                raise ValueError(f"with_parameters: {name!r} is none of {', '.join(own)}")
            if np.shape(x) != own[name].shape:
                raise ValueError(
                    f"with_parameters: {name} has shape {own[name].shape}, not {np.shape(x)}"
                )
        given = {name: x if isinstance(x, Tensor) else Tensor(x) for name, x in parameters.items()}
        return deepcopy(self, {id(x): given.get(name, x) for name, x in own.items()})

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for tensor in self.parameters():
            tensor.grad = None

    def train(self, on: bool = True) -> Self:
        """Switch dropout and the like on (or off), here and below. Returns the module."""
        for _, module in self.named_modules():
            module.training = on
        return self

    def eval(self) -> Self:
        """Switch dropout and the like off, here and below. Returns the module."""
        return self.train(False)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Change every floating parameter and buffer to `dtype`, in place. Returns the module.

        Do this before making an optimizer: it holds on to the arrays.
        """
        for _, module in self.named_modules():
            for name, x in module.members():
                if isinstance(x, Tensor):
                    x._replace(x.data.astype(dtype), "Module.astype()")
                    x.grad = None
                elif isinstance(x, np.ndarray) and x.dtype.kind == "f":
                    setattr(module, name, x.astype(dtype))
        return self

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by dotted name; a shared one has its first name."""
        return {name: unwrap(x).copy() for name, x in self.named_state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy values in by name. Nothing is changed unless everything fits.

        ValueError lists what is missing, extra or misshapen; `strict=False` lets missing and
        extra names pass.
        """
        own = {name: unwrap(x) for name, x in self.named_state()}
        given = {name: np.asarray(unwrap(x)) for name, x in state.items()}
        wrong = [
            f"  misshapen {name}: {given[name].shape} given, {x.shape} needed"
            for name, x in own.items()
            if name in given and given[name].shape != x.shape
        ]
        if strict:
            wrong += [f"  missing {name} {x.shape}" for name, x in own.items() if name not in given]
            wrong += [f"  extra {name} {x.shape}" for name, x in given.items() if name not in own]
        if wrong:
            raise ValueError("\n".join(["load_state_dict: the state does not fit:", *wrong]))
        fitting = [(x, given[name].astype(x.dtype)) for name, x in own.items() if name in given]
        for x, values in fitting:
            x[...] = values
            note_write(x, "load_state_dict()")

    def describe(self) -> str:
        """What stands beside the class name in `repr`, such as "64 → 128"."""
        return ""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in MODULE]

    def __repr__(self) -> str:
        return "\n".join(tree(self, type(self).__name__))


point_elsewhere(Module, MODULE)


def contained(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(dotted name, Module or Tensor to be trained) for each in a list, tuple or dict."""
    if isinstance(value, list | tuple | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, x in pairs:
            yield from contained(f"{name}.{key}", x)
    elif isinstance(value, Module) or (
        isinstance(value, Tensor) and value.requires_grad and value.is_leaf
    ):
        yield name, value


def count_parameters(module: Module) -> int:
    """The number of numbers in all parameters; shared ones count once."""
    return sum(x.size for x in module.parameters())


def tree(module: Module, label: str) -> Iterator[str]:
    """The lines of a module drawn as a tree, with shapes and parameter counts."""
    detail = module.describe()
    yield f"{label}{f'({detail})' if detail else ''}  {count_parameters(module):,}"
    members = list(module.shown())
    for i, (name, x) in enumerate(members):
        last = i == len(members) - 1
        head, rest = ("└─ ", "   ") if last else ("├─ ", "│  ")
        if isinstance(x, Module):
            lines = tree(x, f"{name}: {type(x).__name__}")
        elif callable(x):
            lines = iter([f"{name}: {function_name(x)}"])
        else:
            lines = iter([f"{name} {'×'.join(map(str, x.shape)) or 'scalar'}"])
        for j, line in enumerate(lines):
            yield (head if j == 0 else rest) + line


def function_name(f: Any) -> str:
    """What a function or an op is called; that of `functools.partial`, by what it is made of."""
    f = getattr(f, "func", f)
    return str(getattr(f, "__name__", None) or getattr(f, "name", type(f).__name__))


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
        if self.bias is None:
            return x @ self.weight.T
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
