"""Modules: parameters with names, put together into networks.

A module's state is what its attributes say: a Tensor is a parameter, an array is a buffer (saved,
not trained), a Module is a child; so are the Modules, and the Tensors to be trained, in a list,
tuple or dict. Names starting with an underscore are private and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from minigrad.changes import note_write
from minigrad.mode import Scope, mode
from minigrad.tensor import Array, Tensor, unwrap
from minigrad.words import MODULE, point_elsewhere

Seed: TypeAlias = "np.random.Generator | int | np.integer[Any] | None"


class Source(Protocol):
    """Where initial values come from: a NumPy generator, or `ShapesOnly`."""

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> Array: ...

    def normal(self, loc: float, scale: float, size: tuple[int, ...]) -> Array: ...


class ShapesOnly:
    """Initial values without memory: build a model on these to read off its shapes and counts.

    >>> from minigrad.nn import Linear
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
                yield from members_of(name, value)

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
        name or a shape that it does not have.

        >>> from minigrad import grad
        >>> from minigrad.nn import Linear
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


def members_of(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(dotted name, Module or Tensor to be trained) for each in a list, tuple or dict."""
    if isinstance(value, list | tuple | dict):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, x in pairs:
            yield from members_of(f"{name}.{key}", x)
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
