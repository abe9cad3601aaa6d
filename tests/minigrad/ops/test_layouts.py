"""Every row of the table in any layout, dtype and size: as on contiguous float64 arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import TABLE, Tensor
from minigrad.backward import propagate
from minigrad.check.rows import check_example, flatten, nest
from minigrad.mode import recording
from minigrad.op import Example, Op
from minigrad.table import NUMPY

Array = np.ndarray[Any, Any]

CASES = [
    pytest.param(op, example, id=f"{op.name}-{i}")
    for op in TABLE.values()
    for i, example in enumerate(op.examples)
]
every_example = pytest.mark.parametrize(("op", "example"), CASES)


def exchanged(x: Array) -> Array:
    """The same array, its first and last axes exchanged in memory."""
    return np.swapaxes(np.swapaxes(x, 0, -1).copy(), 0, -1) if x.ndim > 1 else x


def neighbours_exchanged(x: Array) -> Array:
    """The same array, its first two axes exchanged in memory, as when heads are split."""
    return np.swapaxes(np.swapaxes(x, 0, 1).copy(), 0, 1) if x.ndim > 1 else x


def fortran(x: Array) -> Array:
    """The same array, its first axis the fastest in memory."""
    return np.asfortranarray(x) if x.ndim else x


def backwards(x: Array) -> Array:
    """The same array with negative strides."""
    return np.flip(np.flip(x).copy()) if x.ndim else x


def spaced(x: Array) -> Array:
    """The same array as every second element of a larger one."""
    larger = np.ones([2 * n for n in x.shape], x.dtype)
    part = larger[(slice(None, None, 2),) * x.ndim + (...,)]
    part[...] = x
    return part


def repeated(x: Array) -> Array:
    """The array's first slice for all of them, with a stride of 0."""
    return np.broadcast_to(x[:1].copy(), x.shape) if x.ndim else np.broadcast_to(x, ())


def read_only(x: Array) -> Array:
    """The same array, not to be written to."""
    x = x.copy()
    x.flags.writeable = False
    return x


def byte_swapped(x: Array) -> Array:
    """The same array in the byte order of other machines."""
    return x.astype(x.dtype.newbyteorder())


def unaligned(x: Array) -> Array:
    """The same array, beginning at an odd address."""
    part = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    part[...] = x
    return part


LAYOUTS = [
    exchanged, neighbours_exchanged, fortran, backwards, spaced, repeated, read_only,
    byte_swapped, unaligned,
]  # fmt: skip


def rearranged(x: Any, change: Callable[[Array], Array]) -> Any:
    """`change` of an array, and of each in a list or tuple; anything else as it is."""
    if isinstance(x, list | tuple):
        return type(x)(rearranged(item, change) for item in x)
    return change(x) if isinstance(x, np.ndarray) else x


def plain(x: Array) -> Array:
    """A contiguous copy in this machine's byte order."""
    return np.array(x, x.dtype.newbyteorder("="), order="C")


def functions_of(op: Op) -> list[Callable[..., Any]]:
    """NumPy's functions that mean this row, but for np.astype, which takes no keyword here."""
    return [f for f, row in NUMPY.items() if row is op and f is not np.astype]


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def derivatives(
    op: Op,
    inputs: Sequence[Any],
    params: dict[str, Any],
    change: Callable[[Array], Array] = plain,
    second: bool = True,
) -> list[Array]:
    """What a call gives: its values, then the gradients for an incoming gradient laid out by
    `change`, then those of a sum of the gradients."""
    leaves = [Tensor.wrap(x).requires_grad_() if is_floating(x) else x for x in flatten(inputs)]
    with recording(True):
        y = op(*nest(inputs, iter(leaves)), **params)
    leaves = [x for x in leaves if isinstance(x, Tensor)]
    found = []
    for i, part in enumerate(y if isinstance(y, list | tuple) else [y]):
        found.append(part.data if isinstance(part, Tensor) else part)
        if not isinstance(part, Tensor) or not part.requires_grad:
            continue
        draws = np.random.default_rng(i)
        g = change(draws.standard_normal(part.shape).astype(part.dtype))
        before = plain(g)
        sent = {x.order: gx for x, gx in propagate(part, g, stop=leaves)}
        assert np.array_equal(g, before), "the incoming gradient was written to"
        found += [sent[x.order] for x in leaves if x.order in sent]
        if second:
            sums = []
            with recording(True):
                for x, gx in propagate(part, Tensor.wrap(g), stop=leaves, create_graph=True):
                    sums.append((gx * draws.standard_normal(x.shape).astype(x.dtype)).sum())
            for total in sums:
                if total.requires_grad:
                    of = propagate(total, np.ones_like(total.data), stop=leaves)
                    found += [gx for _, gx in sorted(of, key=lambda pair: pair[0].order)]
    return found


def assert_all_close(
    found: Sequence[Array], expected: Sequence[Array], tolerance: float, of: str = ""
) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = np.max(np.abs(other), initial=1)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale, err_msg=of)


def unchanged(x: Any, kept: Any) -> bool:
    """Whether an input, if it is an array, is what it was, NaN included."""
    return not isinstance(x, np.ndarray) or np.array_equal(x, kept, equal_nan=True)


def result_or_refusal(*call: Any) -> tuple[list[Array], str]:
    """What `derivatives` gives, and the message of its error or warning instead."""
    try:
        return derivatives(*call), ""
    except (ValueError, RuntimeWarning) as refusal:
        return [], str(refusal)


@every_example
def test_no_layout_changes_a_result(op: Op, example: Example) -> None:
    drawn = example.draw(np.random.default_rng(0))
    for change in LAYOUTS:
        name = change.__name__
        inputs, params = rearranged(drawn, change), rearranged_params(example.params, change)
        before, params_before = rearranged(inputs, plain), rearranged_params(params, plain)
        found, refusal = result_or_refusal(op, inputs, params, change)
        for x, kept in zip(flatten(inputs), flatten(before), strict=True):
            assert unchanged(x, kept), f"{name}: written to"

        def contiguous(g: Array, change: Callable[[Array], Array] = change) -> Array:
            return plain(change(g))

        expected, of_plain = result_or_refusal(op, before, params_before, contiguous)
        assert refusal == of_plain, name
        assert not refusal or change is repeated, refusal  # equal rows: a singular matrix
        assert_all_close(found, expected, 1e-12, name)


def rearranged_params(params: dict[str, Any], change: Callable[[Array], Array]) -> dict[str, Any]:
    return {key: rearranged(x, change) for key, x in params.items()}


@pytest.mark.parametrize(
    ("op", "example"), [case for case in CASES if "dtype" not in case.values[1].params]
)
def test_low_precision_costs_no_more_than_its_own_error(op: Op, example: Example) -> None:
    drawn = example.draw(np.random.default_rng(0))
    cases = [(np.float16, 4e-3, 1.0), (np.float32, 1e-5, 1.0)]
    if example.domain == "real":
        cases.append((np.float16, 4e-3, 30.0))
    for dtype, tolerance, scale in cases:

        def low(x: Any, dtype: Any = dtype, scale: float = scale) -> Any:
            return (x * scale).astype(dtype) if is_floating(x) else x

        def high(x: Any, dtype: Any = dtype) -> Any:
            return x.astype(dtype).astype(np.float64) if is_floating(x) else x

        inputs = rearranged(drawn, low)
        with np.errstate(over="ignore", invalid="ignore"):  # some results are above 65504
            found = derivatives(op, inputs, example.params, second=scale == 1)
        expected = derivatives(
            op, rearranged(inputs, high), example.params, high, second=scale == 1
        )
        for x, exact in zip(found, expected, strict=True):
            if x.dtype.kind == "f" and x.dtype != dtype:
                assert x.dtype == np.float64 and is_always_float64(op, drawn, example.params)
            if np.abs(exact).max(initial=0) < np.finfo(dtype).max:
                assert_all_close([x], [exact], tolerance)


def is_always_float64(op: Op, inputs: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether NumPy's function gives float64 for float32 too, as np.cov does."""
    low = rearranged(inputs, lambda x: x.astype(np.float32) if is_floating(x) else x)
    return functions_of(op)[0](*low, **params).dtype == np.float64


WHOLE = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def has_whole_numbers(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(map(has_whole_numbers, x))
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu"


@pytest.mark.parametrize(
    ("op", "example"),
    [
        case
        for case in CASES
        if has_whole_numbers((*case.values[1].inputs, *case.values[1].params.values()))
    ],
)
def test_whole_numbers_may_have_any_dtype(op: Op, example: Example) -> None:
    inputs = example.draw(np.random.default_rng(0))
    expected = derivatives(op, inputs, example.params)
    for dtype in WHOLE:

        def cast(x: Array, dtype: Any = dtype) -> Array:
            fits = has_whole_numbers(x) and np.array_equal(x.astype(dtype), x)
            return x.astype(dtype) if fits else x

        params = rearranged_params(example.params, cast)
        assert_all_close(derivatives(op, rearranged(inputs, cast), params), expected, 1e-12)


@every_example
def test_a_constant_operand_may_hold_whole_numbers(op: Op, example: Example) -> None:
    drawn = example.draw(np.random.default_rng(0))
    flat = list(flatten(drawn))
    places = [i for i, x in enumerate(flat) if is_floating(x)]
    calls = product(places, [np.int8, np.uint8, np.int64]) if len(places) > 1 else []
    for chosen, dtype in calls:
        whole = [*flat]
        whole[chosen] = np.ceil(np.abs(flat[chosen])).astype(dtype)
        floats = [*flat]
        floats[chosen] = Tensor(whole[chosen].astype(np.float64))
        found = derivatives(op, nest(drawn, iter(whole)), example.params)
        if found[0].dtype.kind != "f":
            continue  # np.insert puts what is floating into an array of integers
        expected = derivatives(op, nest(drawn, iter(floats)), example.params)
        assert_all_close(found, expected, 1e-12)


@pytest.mark.parametrize(
    "f", [mg.sigmoid, mg.silu, mg.softplus, mg.softmax, mg.log_softmax, mg.logsumexp, np.std]
)
def test_functions_of_bytes_are_those_of_their_numbers(f: Callable[..., Any]) -> None:
    x = np.array([3, 0, 200, 201], np.uint8)
    np.testing.assert_allclose(f(x), f(x.astype(float)), rtol=1e-14)


def resized(x: Any, old: int, new: int) -> Any:
    """A shape or array, or a list of them, with every axis of length `old` of length `new`."""
    if isinstance(x, list):
        return [resized(item, old, new) for item in x]
    if isinstance(x, tuple):
        return tuple(new if n == old else n for n in x)
    if isinstance(x, np.ndarray):
        return x[tuple(slice(new if n == old else None) for n in x.shape)]
    return x


def lengths(example: Example) -> set[int]:
    """The lengths of the axes in an example's inputs, but for 1."""

    def of(x: Any) -> set[int]:
        if isinstance(x, list):
            return set().union(*map(of, x))
        return set(x if isinstance(x, tuple) else np.shape(x))

    return of(list(example.inputs)) - {0, 1}


REFUSALS = (ValueError, IndexError, TypeError, ZeroDivisionError)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, on the mean of nothing
@pytest.mark.parametrize("new", [0, 1])
@every_example
def test_axes_may_have_length_0_or_1(op: Op, example: Example, new: int) -> None:
    for old in lengths(example):
        params = {
            key: resized(x, old, new) if isinstance(x, np.ndarray) else x
            for key, x in example.params.items()
        }
        inputs = tuple(resized(x, old, new) for x in example.inputs)
        changed = Example(inputs, example.domain, params)
        drawn = changed.draw(np.random.default_rng(0))
        try:
            y = op(*drawn, **params)
        except REFUSALS as error:
            assert "\n" not in str(error)
            for function in functions_of(op)[:1]:
                with pytest.raises(REFUSALS):
                    function(*drawn, **params)
            continue
        over_nothing = op.name == "median" and np.size(drawn[0]) == 0
        if over_nothing and isinstance(params.get("axis"), tuple):
            continue  # NumPy cannot reshape nothing to see several axes as one; here it is NaN
        for function in functions_of(op)[:1]:
            of_numpy = function(*drawn, **params)
            pairs = (
                zip(y, of_numpy, strict=True) if isinstance(y, list | tuple) else [(y, of_numpy)]
            )
            for one, other in pairs:
                np.testing.assert_allclose(one, other, rtol=1e-12)
        derivatives(op, drawn, params)
        if new == 1:
            for order in (1, 2):
                row = check_example(op, changed, order, np.random.default_rng(0))
                assert row.ok or "cannot be measured" in row.report, row.report
