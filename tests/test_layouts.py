"""Every row of the table, in any layout and dtype: as on contiguous float64 arrays of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from minigrad import TABLE, Tensor
from minigrad.backward import propagate
from minigrad.check_rows import flattened, nested
from minigrad.op import Example, Op
from minigrad.tensor import recording

Array = np.ndarray[Any, Any]

every_example = pytest.mark.parametrize(
    ("op", "example"),
    [
        pytest.param(op, example, id=f"{op.name}-{i}")
        for op in TABLE.values()
        for i, example in enumerate(op.examples)
    ],
)


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
    leaves = [Tensor.wrap(x).requires_grad_() if is_floating(x) else x for x in flattened(inputs)]
    with recording(True):
        y = op(*nested(inputs, iter(leaves)), **params)
    leaves = [x for x in leaves if isinstance(x, Tensor)]
    found = []
    for i, part in enumerate(y if isinstance(y, list | tuple) else [y]):
        found.append(part.data)
        if not part.requires_grad:
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


def assert_all_close(found: Sequence[Array], expected: Sequence[Array], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = np.max(np.abs(other), initial=1)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("change", LAYOUTS, ids=lambda f: f.__name__)
@every_example
def test_no_layout_changes_a_result(
    op: Op, example: Example, change: Callable[[Array], Array]
) -> None:
    inputs = example.draw(np.random.default_rng(0))
    inputs, params = rearranged(inputs, change), rearranged_params(example.params, change)
    before, params_before = rearranged(inputs, plain), rearranged_params(params, plain)
    found = derivatives(op, inputs, params, change)
    for x, kept in zip(flattened(inputs), flattened(before), strict=True):
        assert not isinstance(x, np.ndarray) or np.array_equal(x, kept), "an input was written to"
    expected = derivatives(op, before, params_before, lambda g: plain(change(g)))
    assert_all_close(found, expected, 1e-12)


def rearranged_params(params: dict[str, Any], change: Callable[[Array], Array]) -> dict[str, Any]:
    return {key: rearranged(x, change) for key, x in params.items()}
