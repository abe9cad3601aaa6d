"""Optimizers: how parameters follow their gradients. And schedules for the learning rate.

An optimizer lays all parameters side by side in one flat array, `values`, of which each parameter's
`data` becomes a view; gradients and moments lie the same way. An update is then a few operations on
pieces that fit into the processor's cache, however many parameters there are.

Before a small model trains, give NumPy's matrix products one thread: OPENBLAS_NUM_THREADS=1 in the
environment before NumPy is imported, or `with threadpoolctl.threadpool_limits(1, "blas"):` around
the loop, as `minigrad train` does. More threads wait for each other wherever another process wants
their core: on two busy cores, a step of three 64-wide layers took 3 ms with one thread and 131 ms
with two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from math import cos, inf, isfinite, pi, sqrt
from operator import itemgetter
from typing import Any

import numpy as np

from minigrad.changes import note_write
from minigrad.tensor import Array, Tensor
from minigrad.words import OPTIM, missing

PIECE = 1 << 15
"""Elements updated at a time: five float32 arrays of this size fit into a core's own cache."""


class Optimizer:
    """What all optimizers share. ValueError without parameters, when none requires a gradient, when
    their dtypes differ, or for a learning rate below 0; TypeError for what is not a Tensor.

    `lr`, PyTorch's word, may be written for `learning_rate`. `scales` has a number for each
    parameter, at least 0, by which the learning rate is multiplied for it; 1 where none are given.
    A parameter that has no gradient at a step counts as having gradient 0: momentum and weight
    decay still move it. One that requires none stays as it is.
    """

    default_rate = 0.0
    """The learning rate where none is given."""

    moments: tuple[str, ...] = ()
    """The names of the running averages that the optimizer keeps, each as large as `values`."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float | None = None,
        *,
        lr: float | None = None,
        scales: Iterable[float] | None = None,
    ) -> None:
        if isinstance(parameters, Tensor):
            raise ValueError("an optimizer takes a list of parameters, not one Tensor")
        if lr is not None and learning_rate is not None:
            raise TypeError("learning_rate and lr are the same; give one of them")
        given = learning_rate if lr is None else lr
        self.learning_rate = self.default_rate if given is None else given
        self.require("learning_rate", self.learning_rate)
        found = tensors(parameters, "an optimizer")
        self.parameters = list({id(p): p for p in found}.values())
        self.scales = self.scales_of(found, scales)
        if any(not p.is_leaf or p.dtype.kind != "f" for p in self.parameters):
            raise ValueError("an optimizer takes floating leaf Tensors, not the results of ops")
        if not self.parameters:
            raise ValueError("an optimizer needs at least one parameter")
        if not any(p.requires_grad for p in self.parameters):
            raise ValueError(
                "none of the optimizer's parameters requires a gradient, so it would change "
                "nothing; make them by Tensor(x, requires_grad=True)"
            )
        dtypes = {p.dtype for p in self.parameters}
        if len(dtypes) > 1:
            raise ValueError(
                f"parameters of one dtype are needed, not {sorted(map(str, dtypes))}; "
                "model.astype(np.float32) gives them one"
            )
        self.steps = 0
        self.values = np.concatenate([p.data.ravel() for p in self.parameters])
        self.gradients = np.zeros_like(self.values)
        self.scratch = np.empty(PIECE, self.values.dtype)
        ends = np.cumsum([p.size for p in self.parameters]).tolist()
        self.places = [
            self.values[end - p.size : end].reshape(p.shape)
            for p, end in zip(self.parameters, ends, strict=True)
        ]
        for p, place in zip(self.parameters, self.places, strict=True):
            p._move(place)
        self.state = {name: np.zeros_like(self.values) for name in self.moments}
        self.pieces = list(pieces(ends, self.scales))

    def scales_of(self, parameters: list[Tensor], scales: Iterable[float] | None) -> list[float]:
        """What the learning rate of each of `self.parameters` is multiplied by.

        ValueError where `scales` are not one for each of the parameters that were given.
        """
        given = [1.0] * len(parameters) if scales is None else list(scales)
        if len(given) != len(parameters):
            raise ValueError(
                f"{type(self).__name__}: {len(given)} scales for {len(parameters)} parameters; "
                "give one for each"
            )
        for scale in given:
            self.require("each of scales", scale)
        scale_of = {id(p): scale for p, scale in zip(parameters, given, strict=True)}
        return [scale_of[id(p)] for p in self.parameters]

    @property
    def lr(self) -> float:
        """`learning_rate` by PyTorch's name."""
        return self.learning_rate

    @lr.setter
    def lr(self, rate: float) -> None:
        self.learning_rate = rate

    @property
    def param_groups(self) -> Any:
        """AttributeError: there are no groups."""
        raise AttributeError(
            f"{type(self).__name__} has no groups of parameters: set its learning_rate, and give "
            "it scales for parameters that need other rates"
        )

    def require(self, name: str, value: float, below: float = inf) -> None:
        """ValueError unless a setting is at least 0 and below a bound."""
        if not 0 <= value < below:
            bound = f"below {below:g}" if below < inf else "finite"
            raise ValueError(
                f"{type(self).__name__}: {name} is at least 0 and {bound}, not {value}"
            )

    def step(self) -> None:
        """Update every parameter that requires a gradient, in place.

        RuntimeError if the shape or dtype of one has changed since the optimizer was made.
        """
        self.take_replaced()
        frozen = [(p.data, p.data.copy()) for p in self.parameters if not p.requires_grad]
        np.concatenate(
            [
                np.zeros(p.size, p.dtype) if p.grad is None else gradient_of(p).ravel()
                for p in self.parameters
            ],
            out=self.gradients,
        )
        self.steps += 1
        for part, scale in self.pieces:
            value = self.values[part]
            moments = [self.state[name][part] for name in self.moments]
            rate = self.learning_rate * scale
            self.update(rate, value, self.gradients[part], *moments, self.scratch[: value.size])
        for data, before in frozen:
            data[...] = before
        note_write(self.values, f"{type(self).__name__}.step()")

    def take_replaced(self) -> None:
        """Copy parameters whose data has been replaced, as by `p.data = …` or another optimizer's
        step, back to their places among the values."""
        pairs = list(zip(self.parameters, self.places, strict=True))
        replaced = [(p, place) for p, place in pairs if p._data is not place]
        for p, place in replaced:
            if (p.shape, p.dtype) != (place.shape, place.dtype):
                raise RuntimeError(
                    f"a parameter of shape {place.shape} and {place.dtype} has become one of "
                    f"{p.shape} and {p.dtype} since the optimizer was made; assign what fits, as "
                    f"x.astype(np.{place.dtype}), or make the optimizer last"
                )
        numbers = [p._data.copy() for p, _ in replaced]  # first: they may be each other's places
        for (p, place), x in zip(replaced, numbers, strict=True):
            place[...] = x
            p._move(place)

    def update(self, rate: float, value: Array, gradient: Array, *state: Array) -> None:
        """Change one piece of the values in place, at a learning rate; `state` is the moments, then
        a scratch array."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The step count and copies of the moments: all that a resumed run needs."""
        return {"steps": self.steps, **{name: x.copy() for name, x in self.state.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken. ValueError when it does not fit."""
        needed = {"steps": (), **{name: x.shape for name, x in self.state.items()}}
        given = {name: np.shape(x) for name, x in state.items()}
        if given != needed:
            raise ValueError(f"load_state_dict: {type(self).__name__} needs {needed}, not {given}")
        self.steps = int(state["steps"])
        for name, own in self.state.items():
            own[...] = state[name]


class SGD(Optimizer):
    """p ← p − η v, with v ← μ v + g; without momentum μ, v is the gradient itself."""

    default_rate = 0.01

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float | None = None,
        momentum: float = 0.0,
        *,
        lr: float | None = None,
        scales: Iterable[float] | None = None,
    ) -> None:
        self.require("momentum", momentum)
        self.momentum = momentum
        self.moments = ("velocity",) if momentum else ()
        super().__init__(parameters, learning_rate, lr=lr, scales=scales)

    def update(self, rate: float, value: Array, gradient: Array, *state: Array) -> None:
        *velocity, scratch = state
        if velocity:
            velocity[0] *= self.momentum
            velocity[0] += gradient
            gradient = velocity[0]
        value -= np.multiply(gradient, rate, out=scratch)


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient and its square.

    Kingma and Ba, "Adam" (2015), algorithm 1. `betas` and `eps` default to the paper's; "Attention
    Is All You Need", section 5.3, takes betas (0.9, 0.98) and eps 1e-9.
    """

    moments = ("first_moment", "second_moment")
    default_rate = 1e-3
    weight_decay = 0.0

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        lr: float | None = None,
        scales: Iterable[float] | None = None,
    ) -> None:
        for beta in betas:
            self.require("each of betas", beta, below=1)
        self.require("eps", eps)
        self.betas, self.eps = betas, eps
        super().__init__(parameters, learning_rate, lr=lr, scales=scales)

    def update(self, rate: float, value: Array, gradient: Array, *state: Array) -> None:
        first, second, scratch = state
        beta1, beta2 = self.betas
        first *= beta1
        first += np.multiply(gradient, 1 - beta1, out=scratch)
        second *= beta2
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - beta2
        second += scratch
        # η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε), the corrections taken out of the array
        root = (1 - beta2**self.steps) ** 0.5
        np.sqrt(second, out=scratch)
        scratch += self.eps * root
        np.divide(first, scratch, out=scratch)
        scratch *= rate * root / (1 - beta1**self.steps)
        if self.weight_decay:
            value *= 1 - rate * self.weight_decay
        value -= scratch


class AdamW(Adam):
    """Adam with the weights themselves shrunk at each step: Loshchilov and Hutter (2019)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        lr: float | None = None,
        scales: Iterable[float] | None = None,
    ) -> None:
        self.require("weight_decay", weight_decay)
        super().__init__(parameters, learning_rate, betas, eps, lr=lr, scales=scales)
        self.weight_decay = weight_decay


def pieces(ends: list[int], scales: list[float]) -> Iterator[tuple[slice, float]]:
    """What is updated at a time: as much of parameters with one scale as fits into a PIECE.

    ends: where each parameter ends among the values.

    >>> list(pieces([4, 6, 7], [1.0, 1.0, 0.5]))
    [(slice(0, 6, None), 1.0), (slice(6, 7, None), 0.5)]
    """
    start = 0
    for scale, same in groupby(zip(scales, ends, strict=True), itemgetter(0)):
        *_, (_, end) = same
        for i in range(start, end, PIECE):
            yield slice(i, min(i + PIECE, end)), scale
        start = end


def tensors(parameters: Iterable[Tensor], what: str) -> list[Tensor]:
    """The parameters as a list. TypeError when they are anything but Tensors."""
    if not isinstance(parameters, Iterable):
        hint = "; pass model.parameters()" if hasattr(parameters, "parameters") else ""
        raise TypeError(f"{what} takes Tensors, not a {type(parameters).__name__}{hint}")
    found = list(parameters)
    for p in found:
        if not isinstance(p, Tensor):
            hint = "; Tensor(x, requires_grad=True) makes one" if isinstance(p, np.ndarray) else ""
            raise TypeError(f"{what} takes Tensors, not a {type(p).__name__}{hint}")
    return found


def gradient_of(p: Tensor) -> Array:
    """The gradient of a parameter that has one. ValueError when it is not an array of its shape."""
    g: Any = p.grad
    if not isinstance(g, np.ndarray) or g.shape != p.shape:
        what = f"{type(g).__name__} of shape {np.shape(g)}"
        raise ValueError(
            f"the grad of a parameter of shape {p.shape} is an array of it, not {what}"
        )
    return g


def clip_grad_norm(parameters: Iterable[Tensor] | Tensor, max_norm: float) -> float:
    """Scale all gradients, in place, so that their joint norm is at most `max_norm`.

    Returns the norm before scaling; parameters without a gradient count as 0. ValueError without
    parameters, unless `max_norm` is at least 0, or when the norm is NaN or infinite: there is then
    nothing to scale. Pascanu, Mikolov and Bengio (2013), algorithm 1.
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm: max_norm is at least 0, not {max_norm}")
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    found = tensors(given, "clip_grad_norm")
    if not found:
        raise ValueError("clip_grad_norm: no parameters; was this a generator that is used up?")
    with_gradient = list({id(p): p for p in found if p.grad is not None}.values())
    norm = joint_norm([gradient_of(p) for p in with_gradient])
    if not isfinite(norm):
        raise ValueError(
            f"clip_grad_norm: the norm of the gradients is {norm}, so they cannot be scaled; "
            "detect_anomaly() says where that comes from"
        )
    if norm > max_norm:
        for p in with_gradient:
            g = gradient_of(p)
            if g.flags.writeable and g.dtype.kind == "f":
                g *= max_norm / norm
            else:
                p.grad = g * (max_norm / norm)
    return norm


def joint_norm(gradients: list[Array]) -> float:
    """The square root of the sum of all squares, piece by piece so that float32 loses no digits.

    In float64 where squares do not fit: large ones, small ones, float16 and integers.
    """
    with np.errstate(over="ignore", under="ignore"):
        total = sum(sum_of_squares(g) for g in gradients if g.dtype.char in "fd")
    others = [g for g in gradients if g.dtype.char not in "fd"]
    if isfinite(total) and total > 1e-30:
        return sqrt(total + sum(sum_of_squares(g.astype(np.float64)) for g in others))
    largest = max((float(abs(g).max()) for g in gradients if g.size), default=0.0)
    if not (0 < largest < inf):
        return largest
    return largest * sqrt(sum(sum_of_squares(g.astype(np.float64) / largest) for g in gradients))


def sum_of_squares(g: Array) -> float:
    """Σ g², as a Python number."""
    flat = g.ravel()
    parts = (flat[i : i + PIECE] for i in range(0, flat.size, PIECE))
    return sum(float(np.vdot(x, x)) for x in parts)


Schedule = Callable[[int], float]


def warmup_inverse_sqrt(d_model: int, warmup: int = 4000, scale: float = 1.0) -> Schedule:
    """The paper's learning rate: linear for `warmup` steps, then falling as 1/√step.

    "Attention Is All You Need", section 5.3, equation 3. Steps count from 1. ValueError unless
    `d_model` is positive and `warmup` at least 0.

    >>> round(warmup_inverse_sqrt(512)(4000), 7)
    0.0006988
    """
    if d_model < 1 or warmup < 0:
        raise ValueError(f"d_model is positive and warmup at least 0, not {d_model} and {warmup}")
    # min(step^−½, step · warmup^−1.5), with a value at step 0 and without warm-up too
    return lambda step: scale * d_model**-0.5 * step * max(step, warmup, 1) ** -1.5


def warmup_cosine(peak: float, warmup: int, total: int, floor: float = 0.0) -> Schedule:
    """Linear to `peak` in `warmup` steps, then half a cosine wave down to `floor` at `total`.

    ValueError when one of them is below 0.
    """
    if not min(peak, warmup, total, floor) >= 0:
        raise ValueError(f"a schedule's settings are at least 0, not {peak, warmup, total, floor}")

    def rate(step: int) -> float:
        if step < warmup:
            return peak * step / warmup
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return floor + (peak - floor) * (1 + cos(pi * done)) / 2

    return rate


def __getattr__(name: str) -> Any:
    raise missing("minigrad.optim", name, OPTIM)
