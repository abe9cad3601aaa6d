"""Optimizers: how parameters follow their gradients. And schedules for the learning rate.

An optimizer lays all parameters side by side in one flat array, `values`, of which each parameter's
`data` becomes a view; gradients and moments lie the same way. An update is then a few operations on
pieces that fit into the processor's cache, however many parameters there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import cos, pi
from typing import Any

import numpy as np

from minigrad.changes import note_write
from minigrad.tensor import Array, Tensor

PIECE = 1 << 15
"""Elements updated at a time: five float32 arrays of this size fit into a core's own cache."""


class Optimizer:
    """What all optimizers share. ValueError without parameters, or when their dtypes differ.

    A parameter that has no gradient at a step counts as having gradient 0: momentum and weight
    decay still move it. Leave out what is to stay as it is.
    """

    moments: tuple[str, ...] = ()
    """The names of the running averages that the optimizer keeps, each as large as `values`."""

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        if isinstance(parameters, Tensor):
            raise ValueError("an optimizer takes a list of parameters, not one Tensor")
        self.parameters = list({id(p): p for p in parameters}.values())
        if any(not p.is_leaf or p.dtype.kind != "f" for p in self.parameters):
            raise ValueError("an optimizer takes floating leaf Tensors, not the results of ops")
        if not self.parameters:
            raise ValueError("an optimizer needs at least one parameter")
        dtypes = {p.dtype for p in self.parameters}
        if len(dtypes) > 1:
            raise ValueError(f"parameters of one dtype are needed, not {sorted(map(str, dtypes))}")
        self.learning_rate = learning_rate
        self.steps = 0
        self.values = np.concatenate([p.data.ravel() for p in self.parameters])
        self.gradients = np.zeros_like(self.values)
        self.scratch = np.empty(PIECE, self.values.dtype)
        start = 0
        for p in self.parameters:
            p._data = self.values[start : start + p.size].reshape(p.shape)  # the same numbers
            start += p.size
        self.state = {name: np.zeros_like(self.values) for name in self.moments}

    def step(self) -> None:
        """Change every parameter, in place, by its gradient."""
        if any(p.data.base is not self.values for p in self.parameters):
            raise RuntimeError(
                "a parameter's data was replaced after the optimizer was made; "
                "write into p.data[...], or make the optimizer last"
            )
        np.concatenate(
            [
                np.zeros(p.size, p.dtype) if p.grad is None else p.grad.ravel()
                for p in self.parameters
            ],
            out=self.gradients,
        )
        self.steps += 1
        for i in range(0, self.values.size, PIECE):
            part = slice(i, i + PIECE)
            value = self.values[part]
            moments = [self.state[name][part] for name in self.moments]
            self.update(value, self.gradients[part], *moments, self.scratch[: value.size])
        note_write(self.values, f"{type(self).__name__}.step()")

    def update(self, value: Array, gradient: Array, *state: Array) -> None:
        """Change one piece of the values in place; `state` is the moments, then a scratch array."""
        raise TypeError(f"{type(self).__name__} does not define update")

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The step count and copies of the moments: all that a resumed run needs."""
        return {"steps": self.steps, **{name: x.copy() for name, x in self.state.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. ValueError when it does not fit."""
        needed = {"steps": (), **{name: x.shape for name, x in self.state.items()}}
        given = {name: np.shape(x) for name, x in state.items()}
        if given != needed:
            raise ValueError(f"load_state_dict: {type(self).__name__} needs {needed}, not {given}")
        self.steps = int(state["steps"])
        for name, own in self.state.items():
            own[...] = state[name]


class SGD(Optimizer):
    """p ← p − η v, with v ← μ v + g; without momentum μ, v is the gradient itself."""

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float = 0.01, momentum: float = 0.0
    ) -> None:
        self.momentum = momentum
        self.moments = ("velocity",) if momentum else ()
        super().__init__(parameters, learning_rate)

    def update(self, value: Array, gradient: Array, *state: Array) -> None:
        *velocity, scratch = state
        if velocity:
            velocity[0] *= self.momentum
            velocity[0] += gradient
            gradient = velocity[0]
        value -= np.multiply(gradient, self.learning_rate, out=scratch)


class Adam(Optimizer):
    """Steps scaled by running averages of the gradient and its square.

    Kingma and Ba, "Adam" (2015), algorithm 1. `betas` and `eps` default to the paper's; "Attention
    Is All You Need", section 5.3, takes betas (0.9, 0.98) and eps 1e-9.
    """

    moments = ("first_moment", "second_moment")
    weight_decay = 0.0

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.betas, self.eps = betas, eps
        super().__init__(parameters, learning_rate)

    def update(self, value: Array, gradient: Array, *state: Array) -> None:
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
        scratch *= self.learning_rate * root / (1 - beta1**self.steps)
        if self.weight_decay:
            value *= 1 - self.learning_rate * self.weight_decay
        value -= scratch


class AdamW(Adam):
    """Adam with the weights themselves shrunk at each step: Loshchilov and Hutter (2019)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, learning_rate, betas, eps)
        self.weight_decay = weight_decay


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients, in place, so that their joint norm is at most `max_norm`.

    Returns the norm before scaling. Pascanu, Mikolov and Bengio (2013), algorithm 1.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = float(sum(float(np.vdot(g, g)) for g in gradients)) ** 0.5
    if norm > max_norm:
        for g in gradients:
            g *= max_norm / norm
    return norm


Schedule = Callable[[int], float]


def warmup_inverse_sqrt(d_model: int, warmup: int = 4000, scale: float = 1.0) -> Schedule:
    """The paper's learning rate: linear for `warmup` steps, then falling as 1/√step.

    "Attention Is All You Need", section 5.3, equation 3. Steps count from 1.

    >>> round(warmup_inverse_sqrt(512)(4000), 7)
    0.0006988
    """
    # min(step^−½, step · warmup^−1.5), with a value at step 0 and without warm-up too
    return lambda step: scale * d_model**-0.5 * step * max(step, warmup) ** -1.5


def warmup_cosine(peak: float, warmup: int, total: int, floor: float = 0.0) -> Schedule:
    """Linear to `peak` in `warmup` steps, then half a cosine wave down to `floor` at `total`."""

    def rate(step: int) -> float:
        if step < warmup:
            return peak * step / warmup
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return floor + (peak - floor) * (1 + cos(pi * done)) / 2

    return rate
