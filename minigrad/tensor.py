"""Tensor: a NumPy array that remembers how it was computed.

A Tensor that came out of an op keeps the `op`, its `inputs`, its `params` (the keyword arguments,
such as an axis), what a fused op `saved` for its rule, the module's call that it was made in
(`scope`) and its `order`, a running number. That is the whole computation graph: inputs point to
older tensors only, so a larger number is always later, and walking from large to small is a
topological order (see `backward.py`).
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minigrad.changes import Change, change, count, last_write, note_write
from minigrad.mode import Scope, mode
from minigrad.table import CONSTANT, NUMPY, TABLE, no_row
from minigrad.words import TENSOR, point_elsewhere

if TYPE_CHECKING:
    from minigrad.op import Op

Array = npt.NDArray[Any]


def method(name: str) -> Callable[..., Tensor]:
    """The op called `name` as a method: the tensor is its first input."""

    def call(self: Tensor, *args: Any, **params: Any) -> Tensor:
        result: Tensor = TABLE[name](self, *args, **params)
        return result

    call.__name__ = name
    call.__doc__ = f"`{name}` of this tensor; see `minigrad.{name}`."
    return call


def reflected_method(name: str) -> Callable[[Tensor, Any], Tensor]:
    """The op called `name` with this tensor on the right, as in `2 - t`."""

    def call(self: Tensor, other: Any) -> Tensor:
        result: Tensor = TABLE[name](other, self)
        return result

    return call


def comparison(function: Callable[[Any, Any], Array]) -> Callable[[Tensor, Any], Array]:
    """An operator whose derivative is zero, such as a comparison: it gives a plain array."""

    def call(self: Tensor, other: Any) -> Array:
        return function(self._data, unwrap(other))

    return call


def in_place_operator(ufunc: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    """An operator such as `-=`: under `no_grad` it changes the data of a leaf that requires a
    gradient, as PyTorch's does; anywhere else a new tensor takes the name."""

    def call(self: Tensor, other: Any) -> Tensor:
        if mode.recording or not self.tracked or self.op is not None:
            return NotImplemented
        ufunc(self._data, unwrap(other), out=self._data, casting="same_kind")
        note_write(self._data, "an assignment to its data")
        return self

    return call


def behind(root: Tensor) -> list[Tensor]:
    """The tensor and all that it was computed from, oldest first."""
    found = {root.order: root}
    waiting = [root]
    while waiting:
        for x in waiting.pop().inputs:
            if isinstance(x, Tensor) and x.order not in found:
                found[x.order] = x
                waiting.append(x)
    return [found[order] for order in sorted(found)]


def is_comparing(frame: FrameType) -> bool:
    """Whether code of numpy.testing runs there, which only asks about an array."""
    return str(frame.f_globals.get("__name__")).startswith("numpy.testing")


def unwrap(x: Any) -> Any:
    """The array inside a Tensor; anything else as it is, tuples and lists element by element."""
    if isinstance(x, Tensor):
        return x._data
    if type(x) in (tuple, list):
        return type(x)(unwrap(item) for item in x)
    return x


class Tensor:
    """An n-dimensional array with a gradient.

    `data` is copied, as by `np.array`; numbers without a dtype of their own become float64 or
    int64, as NumPy makes them. `requires_grad` asks `backward()` to fill `grad`, a plain array of
    the same shape and dtype; it needs a floating dtype (TypeError otherwise). Data that holds
    Tensors whose gradient would be lost is a TypeError too. `name` is for pictures only.

    Ops keep their inputs, not copies of them. Where one that a rule needs is changed before
    `backward()`, by an optimizer's step, `t.data = …` or `t.data *= …`, that is a RuntimeError.
    Only what is written into the array itself, as by `t.data[0] = …`, cannot be seen: it changes
    the gradient silently, unless `detect_anomaly()` watches.

    >>> from minigrad import Tensor
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = (np.exp(x) * 2).sum()
    >>> y.backward()
    >>> x.grad
    array([ 5.43656366, 14.7781122 , 40.17107385])
    """

    __slots__ = (
        "_data", "grad", "tracked", "op", "inputs", "params", "saved", "order", "scope", "name",
        "keeps_grad", "replaced", "__weakref__",
    )  # fmt: skip

    _data: Array
    grad: Array | None
    tracked: bool
    op: Op | None
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    saved: tuple[Any, ...]
    order: int
    scope: Scope | None
    name: str | None
    keeps_grad: bool
    replaced: Change  # only once another array has been assigned; see `replacement`

    def __init__(
        self,
        data: Any,
        dtype: npt.DTypeLike | None = None,
        requires_grad: bool = False,
        name: str | None = None,
    ) -> None:
        array = np.array(data, dtype=dtype)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"a Tensor holds numbers, not {array.dtype}")
        self._fill(array, None, (), {}, ())
        self.name = name
        if requires_grad:
            self.requires_grad_()

    def _fill(
        self,
        data: Array,
        op: Op | None,
        inputs: tuple[Any, ...],
        params: dict[str, Any],
        saved: tuple[Any, ...],
    ) -> None:
        self._data = data
        self.grad = None
        self.op = op
        self.inputs = inputs
        self.params = params
        self.saved = saved
        self.tracked = op is not None
        self.order = next(count)
        self.scope = mode.scope
        self.name = None
        self.keeps_grad = False

    @classmethod
    def wrap(
        cls,
        data: Array,
        op: Op | None = None,
        inputs: tuple[Any, ...] = (),
        params: dict[str, Any] | None = None,
        saved: tuple[Any, ...] = (),
    ) -> Tensor:
        """A Tensor around `data` itself, without a copy; with an `op`, the result of that op."""
        tensor = cls.__new__(cls)
        tensor._fill(data, op, inputs, params or {}, saved)
        return tensor

    # What NumPy asks of an array-like: each call finds its row, or says that there is none.

    def __array_ufunc__(self, ufunc: np.ufunc, call: str, *inputs: Any, **params: Any) -> Any:
        if call != "__call__":
            raise no_row(f"np.{ufunc.__name__}.{call}")
        row = NUMPY.get(ufunc)
        if row is not None:
            if not params:
                return row(*inputs)
            if params.keys() <= {*row.param_names}:
                return row(*inputs, **params)
        elif ufunc in CONSTANT and not params:
            return ufunc(*unwrap(inputs))
        raise no_row(f"np.{ufunc.__name__}", next(iter(params), ""))

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, params: dict[str, Any]
    ) -> Any:
        if function is np.where and len(args) == 1 and not params:
            function = np.nonzero  # which is what it means, with a condition alone
        if function is np.full_like:
            filled_in = (*args[1:], *params.values())
            if args and not any(isinstance(x, Tensor) for x in filled_in):
                return function(unwrap(args[0]), *args[1:], **params)
        if function in NUMPY:
            return NUMPY[function].called_as(function, args, params)
        if function in CONSTANT and params.get("out") is None:
            return function(*unwrap(args), **{key: unwrap(x) for key, x in params.items()})
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
        raise no_row(name, "out" if "out" in params else "")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad and not is_comparing(sys._getframe(1)):
            raise TypeError(
                "turning a Tensor that requires a gradient into an array would lose the gradient; "
                "join Tensors by np.stack or np.concatenate, or take the values by .detach() or "
                ".data"
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    __add__ = method("add")
    __sub__ = method("subtract")
    __mul__ = method("multiply")
    __truediv__ = method("divide")
    __pow__ = method("power")
    __matmul__ = method("matmul")
    __mod__ = method("remainder")
    __divmod__ = method("divmod")
    __neg__ = method("negative")
    __pos__ = method("positive")
    __abs__ = method("abs")
    __radd__ = reflected_method("add")
    __rsub__ = reflected_method("subtract")
    __rmul__ = reflected_method("multiply")
    __rtruediv__ = reflected_method("divide")
    __rpow__ = reflected_method("power")
    __rmatmul__ = reflected_method("matmul")
    __rmod__ = reflected_method("remainder")
    __rdivmod__ = reflected_method("divmod")

    __iadd__ = in_place_operator(np.add)
    __isub__ = in_place_operator(np.subtract)
    __imul__ = in_place_operator(np.multiply)
    __itruediv__ = in_place_operator(np.divide)

    __floordiv__ = comparison(operator.floordiv)
    __rfloordiv__ = comparison(lambda a, b: operator.floordiv(b, a))
    __lt__ = comparison(operator.lt)
    __le__ = comparison(operator.le)
    __gt__ = comparison(operator.gt)
    __ge__ = comparison(operator.ge)
    __eq__ = comparison(operator.eq)  # type: ignore[assignment]
    __ne__ = comparison(operator.ne)  # type: ignore[assignment]
    __hash__ = object.__hash__

    exp, expm1, log, log1p = method("exp"), method("expm1"), method("log"), method("log1p")
    sqrt, square, reciprocal = method("sqrt"), method("square"), method("reciprocal")
    sin, cos, tanh, arctan = method("sin"), method("cos"), method("tanh"), method("arctan")
    abs, clip = method("abs"), method("clip")
    sigmoid, relu, leaky_relu = method("sigmoid"), method("relu"), method("leaky_relu")
    gelu, silu, softplus, erf = method("gelu"), method("silu"), method("softplus"), method("erf")
    softmax, log_softmax = method("softmax"), method("log_softmax")
    sum, mean, var, std = method("sum"), method("mean"), method("var"), method("std")
    max, min, prod, cumsum = method("max"), method("min"), method("prod"), method("cumsum")
    logsumexp, norm, dot = method("logsumexp"), method("norm"), method("dot")
    swapaxes, ravel, squeeze = method("swapaxes"), method("ravel"), method("squeeze")
    flatten = ravel
    repeat, take, masked_fill = method("repeat"), method("take"), method("masked_fill")
    tril, triu, astype = method("tril"), method("triu"), method("astype")

    def reshape(self, *shape: Any, **order: Any) -> Tensor:
        """The same elements in another shape: `t.reshape(2, 3)` or `t.reshape((2, 3))`."""
        shape = shape[0] if len(shape) == 1 else shape
        result: Tensor = TABLE["reshape"](self, shape=shape, **order)
        return result

    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order (reversed when none is given), as NumPy's method."""
        order = axes[0] if len(axes) == 1 else axes or None
        result: Tensor = TABLE["transpose"](self, axes=order)
        return result

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Where the largest element stands: plain integers, no derivative."""
        return self._data.argmax(axis, keepdims=keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Where the smallest element stands: plain integers, no derivative."""
        return self._data.argmin(axis, keepdims=keepdims)

    def __getitem__(self, index: Any) -> Tensor:
        result: Tensor = TABLE["getitem"](self, index=unwrap(index))
        return result

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "item assignment would change a value that the graph has recorded; "
            "use np.where(mask, new, t), np.concatenate, or write to t.data outside the graph"
        )

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self._data)

    def __contains__(self, x: Any) -> bool:
        return unwrap(x) in self._data

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        self._leave_graph()
        return float(self.item())

    def __int__(self) -> int:
        self._leave_graph()
        return int(self.item())

    def _leave_graph(self) -> None:
        """TypeError where a number would go on without its gradient, unless that is asked for: by
        `float(t)` or `int(t)` outside of function transforms."""
        if self.tracked and mode.recording:
            from minigrad.caller import HARMLESS, LOSING, asking

            frame = sys._getframe(2)
            by = asking(frame.f_code, frame.f_lasti)
            if by in LOSING or (mode.transforms and by not in HARMLESS):
                raise TypeError(
                    "turning a Tensor that requires a gradient into a number would lose the "
                    "gradient; join Tensors by np.stack, use NumPy's functions in place of math's, "
                    "or take the number by .item()"
                )

    def __index__(self) -> int:
        return operator.index(self._data)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in TENSOR]

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        if self.dtype not in (np.float64, np.int64, np.bool_):
            text += f", dtype={self.dtype}"
        if self.op is not None:
            return f"Tensor({text}, op={self.op.name})"
        return f"Tensor({text}, requires_grad=True)" if self.requires_grad else f"Tensor({text})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None:
            raise TypeError(
                f"the result of {self.op.name} cannot be pickled or copied with its graph; "
                "use .detach() for its values"
            )
        return _restored, (self._data, self.grad, self.requires_grad, self.name)

    @property
    def data(self) -> Array:
        """The array itself, shared. Assigning to it, also by `*=`, tells the graph."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._replace(data, "an assignment to its data")

    def _replace(self, data: Any, by: str) -> None:
        """Take another array, or the same one after it was written: a change that the graph sees.

        TypeError for what cannot have a gradient, if this tensor requires one.
        """
        array = np.asarray(unwrap(data))
        if array.dtype.kind not in "biufc" or (self.tracked and array.dtype.kind != "f"):
            raise TypeError(f"this tensor holds {self.dtype}; its data cannot become {array.dtype}")
        if array is self._data:
            note_write(array, by)
            return
        self.replaced = change(by, replacement(self))
        if array.shape != self.shape:
            self.replaced = self.replaced._replace(resized=self.replaced.order)
            self.grad = None
        self._data = array

    def _move(self, place: Array) -> None:
        """Take an array that holds the same numbers: no change, but earlier ones stay known."""
        written, before = last_write(self._data), replacement(self)
        if written and (before is None or before.order < written.order):
            self.replaced = written._replace(resized=before.resized if before else 0)
        self._data = place

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements; `grad` has the same."""
        return self._data.dtype

    @property
    def T(self) -> Tensor:
        """The tensor with its axes reversed."""
        return self.transpose()

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this tensor are recorded; can be set on a leaf, as `requires_grad_`."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self.requires_grad_(on)

    @property
    def is_leaf(self) -> bool:
        """True when no recorded op made this tensor."""
        return self.op is None

    def item(self) -> Any:
        """The only element, as a Python number; ValueError when there are more.

        This, `float(t)` and `int(t)` leave the graph on purpose: no gradient follows the number.
        Where it is not on purpose, as in `a[0] = t` or `math.sqrt(t)`, that is a TypeError.
        """
        if self.size != 1:
            raise ValueError(f"item: shape {self.shape} has {self.size} elements, not one")
        return self._data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._data.tolist()

    def numpy(self) -> Array:
        """The array itself, shared; TypeError while a gradient is required."""
        return np.asarray(self)

    def detach(self) -> Tensor:
        """The same data, shared, without history: no gradient flows through it."""
        return Tensor.wrap(self._data)

    def requires_grad_(self, on: bool = True) -> Tensor:
        """Ask for this leaf's gradient, or stop asking. Returns the tensor itself.

        TypeError unless the dtype is floating, ValueError for the result of a recorded op.
        """
        if self.op is not None and not on:
            raise ValueError(
                f"the result of {self.op.name} requires a gradient because its inputs do; "
                "use .detach()"
            )
        if on and self.dtype.kind != "f":
            raise TypeError(
                f"only floating numbers have gradients, not {self.dtype}; "
                "use dtype=np.float32 or .astype(np.float32), and 1.0 for 1"
            )
        self.tracked = bool(on)
        return self

    def retain_grad(self) -> Tensor:
        """Ask `backward()` to fill `grad` here too, though an op made this tensor."""
        if not self.requires_grad:
            raise ValueError("retain_grad: this tensor does not require a gradient")
        self.keeps_grad = True
        return self

    def zero_grad(self) -> None:
        """Forget the gradient: the next `backward()` starts from nothing."""
        self.grad = None

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Add d self / d leaf to `grad` of every leaf; see `minigrad.backward.backward`."""
        from minigrad.backward import backward

        backward(self, gradient, retain_graph)


point_elsewhere(Tensor, TENSOR)


def replacement(tensor: Tensor) -> Change | None:
    """When the tensor's data was last assigned to, if it ever was."""
    return getattr(tensor, "replaced", None)


def _restored(data: Array, grad: Array | None, requires_grad: bool, name: str | None) -> Tensor:
    tensor = Tensor(data, requires_grad=requires_grad, name=name)
    tensor.grad = None if grad is None else grad.copy()
    return tensor
