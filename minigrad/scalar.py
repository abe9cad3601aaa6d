"""Reverse-mode automatic differentiation of one number at a time: the whole idea in one page.

Every operation computes its result and, on the spot, how fast that result changes with each of
its inputs. A result remembers those pairs, and nothing else. `backward()` then applies the chain
rule from the result back to the numbers it came from: the gradient that arrives at a node, times
the local derivative of the node in one of its inputs, is what that input receives from the node.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_places = itertools.count()


def _binary(rule: Callable[[Value, Value], Result]) -> Callable[[Value, Value | float], Result]:
    """An operator that reads numbers as constants and leaves other types to their own operators."""

    def method(self: Value, other: Value | float) -> Result:
        if isinstance(other, (int, float)):
            other = Value(other)
        return rule(self, other) if isinstance(other, Value) else NotImplemented

    return method


class Value:
    """A number that remembers how it was computed.

    `data` is the number, `grad` the sum of the derivatives that `backward()` has brought here,
    `inputs` the pairs (input, ∂self/∂input) of the operation `_op` that made it; a number that
    the user made has none. Numbers mix freely with Values, and a NumPy object array of Values
    computes as an array of floats would (`np.exp(a @ b)`).

    Division by zero raises ZeroDivisionError, an argument outside a function's domain ValueError,
    and a power or exponential too large for a float OverflowError.

    >>> x = Value(3.0)
    >>> y = x**2 + 18 / x
    >>> y.backward()
    >>> y.data, x.grad  # dy/dx = 2x - 18/x²
    (15.0, 4.0)
    """

    # References run from a result to its inputs only. So there are no cycles, and a graph is freed
    # as soon as its last result is dropped, without the garbage collector.
    __slots__ = ("data", "grad", "inputs", "_op", "_place", "__weakref__")

    def __init__(self, data: float, op: str = "", *inputs: tuple[Value, float]) -> None:
        self.data = float(data)
        self.grad = 0.0
        self.inputs = inputs
        self._op = op
        self._place = next(_places)

    @property
    def _prev(self) -> set[Value]:
        """The Values this one was computed from: micrograd's name for the set of inputs."""
        return {node for node, _ in self.inputs}

    def backward(self) -> None:
        """Add the derivative of this Value in every Value it was computed from to their `grad`.

        A second call adds the same derivatives again; set `grad` to 0 between steps of training.
        """
        flow = {self: 1.0}  # ∂self/∂node, as far as it has arrived
        waiting = [(-self._place, self)]
        while waiting:
            # An operation is newer than its inputs. So when the newest waiting node is taken, all
            # that depends on it has been, and its gradient is complete.
            _, node = heapq.heappop(waiting)
            gradient = flow.pop(node)
            node.grad += gradient
            for source, slope in node.inputs:
                if source not in flow:
                    flow[source] = 0.0
                    heapq.heappush(waiting, (-source._place, source))
                flow[source] += gradient * slope

    @_binary
    def __add__(self, other: Value) -> Value:
        return Value(self.data + other.data, "+", (self, 1.0), (other, 1.0))

    @_binary
    def __sub__(self, other: Value) -> Value:
        return Value(self.data - other.data, "-", (self, 1.0), (other, -1.0))

    @_binary
    def __mul__(self, other: Value) -> Value:
        return Value(self.data * other.data, "*", (self, other.data), (other, self.data))

    @_binary
    def __truediv__(self, other: Value) -> Value:
        y = self.data / other.data
        return Value(y, "/", (self, 1 / other.data), (other, -y / other.data))

    def __pow__(self, exponent: Value | float) -> Value:
        """Power; an exponent that is a plain number is part of the operation, not an input."""
        if not isinstance(exponent, (Value, int, float)):
            return NotImplemented
        x, n = self.data, float(exponent)
        if x < 0 and (isinstance(exponent, Value) or not n.is_integer()):
            raise ValueError(f"power: negative base {x} takes only plain whole numbers as exponent")
        y = x**n
        slope = 0.0 if n == 0 else math.inf if x == 0 and n < 1 else n * x ** (n - 1)
        if not isinstance(exponent, Value):
            return Value(y, f"**{exponent}", (self, slope))
        return Value(y, "**", (self, slope), (exponent, y * math.log(x) if x > 0 else 0.0))

    __radd__ = __add__
    __rmul__ = __mul__
    __rsub__ = _binary(lambda self, other: other - self)
    __rtruediv__ = _binary(lambda self, other: other / self)
    __rpow__ = _binary(lambda self, other: other**self)

    def __neg__(self) -> Value:
        return Value(-self.data, "neg", (self, -1.0))

    def relu(self) -> Value:
        return Value(max(self.data, 0.0), "relu", (self, float(self.data > 0)))

    def exp(self) -> Value:
        y = math.exp(self.data)
        return Value(y, "exp", (self, y))

    def log(self) -> Value:
        if self.data <= 0:
            raise ValueError(f"log: the argument {self.data} is not positive")
        return Value(math.log(self.data), "log", (self, 1 / self.data))

    def tanh(self) -> Value:
        y = math.tanh(self.data)
        return Value(y, "tanh", (self, 1 - y * y))

    def sqrt(self) -> Value:
        """Square root; its derivative at 0 is infinite, as in PyTorch."""
        if self.data < 0:
            raise ValueError(f"sqrt: the argument {self.data} is negative")
        y = math.sqrt(self.data)
        return Value(y, "sqrt", (self, 0.5 / y if y else math.inf))

    def sin(self) -> Value:
        return Value(math.sin(self.data), "sin", (self, math.cos(self.data)))

    def cos(self) -> Value:
        return Value(math.cos(self.data), "cos", (self, -math.sin(self.data)))

    __lt__ = _binary(lambda self, other: self.data < other.data)
    __le__ = _binary(lambda self, other: self.data <= other.data)
    __gt__ = _binary(lambda self, other: self.data > other.data)
    __ge__ = _binary(lambda self, other: self.data >= other.data)
    __eq__ = _binary(lambda self, other: self.data == other.data)  # type: ignore[assignment]

    # Equal numbers are still different nodes: sets and dictionaries tell them apart by identity.
    __hash__ = object.__hash__

    def __float__(self) -> float:
        return self.data

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"
