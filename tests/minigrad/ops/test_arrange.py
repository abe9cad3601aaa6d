"""Calls that only move elements, in the forms that NumPy takes: its values, and right gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, gradcheck
from minigrad.tensor import unwrap

ARRAYS = {
    "x": np.random.default_rng(0).standard_normal((2, 3)),
    "v": np.random.default_rng(1).standard_normal(4),
    "s": np.array(1.5),
    "c": np.random.default_rng(2).standard_normal((2, 3, 4)),
}

CALLS = """
np.atleast_1d(s, v)
np.atleast_2d(s, v, x)
np.atleast_3d(s, v, x, c)
np.hstack((s, v, 2.0))
np.hstack([x, x * 2])
np.vstack((v, v))
np.dstack((v, v))
np.column_stack((v, v * 2, np.ones((4, 2))))
np.concat([x, x], axis=1)
np.concatenate((x, [[1.0, 2.0, 3.0]]))
np.concatenate([x, v], axis=None)
np.stack([v, v], 1)
np.block(x)
np.block([x, x])
np.block([[x, np.zeros((2, 1))], [1.0, 2.0, v[0], v[1]]])
np.append(x, s)
np.insert(v, 0, s)
np.insert(v, [1, 3], [s, 2.0] if isinstance(s, np.ndarray) else np.stack([s, 2.0]))
np.insert(x, 1, v[:3], axis=0)
np.insert(x, 1, 7, axis=1)
np.delete(x, 1)
np.delete(x, slice(None, None, 2), 1)
np.delete(v, np.array([True, False, False, True]))
np.array_split(v, 3)
np.array_split(x, 2, axis=1)
np.array_split(v, 6)
np.split(v, np.array(2))
np.split(v, (1, 3))
np.split(v, [])
np.hsplit(v, 2)
np.vsplit(x, [1])
np.dsplit(c, 2)
np.unstack(c, axis=1)
np.moveaxis(c, [0, -1], [-1, 0])
np.moveaxis(c, 2, 0)
np.rollaxis(c, 2)
np.rollaxis(c, 0, 3)
np.rollaxis(c, -1, 1)
np.rollaxis(c, 1, -1)
np.rot90(c, 3, (1, 2))
np.rot90(x, 4)
np.rot90(x, axes=(1, 0))
np.fliplr(c)
np.flipud(v)
np.permute_dims(c, (1, 2, 0))
np.matrix_transpose(c)
np.linalg.matrix_transpose(c)
np.diagonal(c, 1, 1, 2)
np.diagonal(x, -1)
np.linalg.diagonal(c, offset=-1)
np.diag(v, 2)
np.diag(x, 1)
np.diagflat(x, -1)
np.trace(c, offset=-1, axis1=2, axis2=0)
np.linalg.trace(c, offset=1)
np.broadcast_arrays(x, s)
np.meshgrid(v, x[0])
np.meshgrid(v, indexing="ij")
np.meshgrid(v, x[0], s, sparse=True)
np.compress([False, True], x, axis=0)
np.compress([True, False, True], x)
np.extract(x0 > 0, x)
np.select([x0 > 0, x0 < -0.5], [x, x * 2], default=s)
np.choose(np.array([[0, 1, 0], [1, 1, 0]]), [x, s])
np.choose([2, -1], [v[:2], v[2:]], mode="wrap")
np.choose([5, -1], [v[:2], v[2:]], mode="clip")
np.resize(x, 4)
np.resize(x, (3, 3))
np.pad(s, 2)
np.pad(v, (1, 2), "edge")
np.pad(v, 9, "reflect")
np.pad(v, 9, mode="symmetric")
np.pad(c, {-1: (2, 1), 0: 1}, "wrap")
np.pad(x, {1: (2, 1)})
np.pad(x, 1, constant_values=((1, 2), (3, 4)))
np.reshape(x, (3, 2), order="F")
np.reshape(c, -1, "A")
np.reshape(x, (3, -1), copy=True)
np.ravel(c, "F")
np.repeat(s, 3)
np.repeat(s, 2, axis=0)
np.repeat(x, [1, 2], axis=-2)
np.repeat(x, np.array(2))
np.take(s, 0)
np.take(s, [0, 0], axis=0)
np.take(v, [[-1, 5], [9, 0]], mode="wrap")
np.take(x, [-7, 7], axis=1, mode="clip")
np.take(x, 1, -1)
np.take_along_axis(x, np.array([4, 0, 4]), None)
np.take_along_axis(v, np.argsort(v0), 0)
np.tile(s, 3)
np.tile(x, ())
np.tile(x, (2, 1, 2))
np.expand_dims(x, (0, -1))
np.squeeze(c[:1], 0)
np.roll(x, (1, 2), axis=(1, 1))
np.flip(c, (0, 2))
np.copy(x)
np.real(x)
np.conj(x)
""".strip().splitlines()


@pytest.mark.parametrize("call", CALLS)
def test_a_call_gives_numpys_values_and_right_gradients(call: str) -> None:
    names = [name for name in ARRAYS if name in call.replace("np.", "").replace("0 ", " ")]
    plain = {f"{name}0": x for name, x in ARRAYS.items()}

    def f(*points: Any) -> Any:
        return eval(call, {"np": np}, plain | ARRAYS | dict(zip(names, points, strict=True)))

    def listed(y: Any) -> list[Any]:
        return list(y) if isinstance(y, list | tuple) else [y]

    expected = f(*(ARRAYS[name] for name in names))
    found = f(*(Tensor(ARRAYS[name], requires_grad=True) for name in names))
    assert isinstance(found, list | tuple) == isinstance(expected, list | tuple)
    for y, other in zip(listed(found), listed(expected), strict=True):
        np.testing.assert_array_equal(unwrap(y), other, strict=True)
    gradcheck(f, [ARRAYS[name] for name in names], 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("np.pad(x, 1, 'mean')", "pad: mode 'mean' has no derivative rule; use 'constant', edge"),
        (
            "np.pad(x, 1, 'reflect', reflect_type='odd')",
            "pad: reflect_type 'odd' has no derivative",
        ),
        ("np.ravel(x, 'K')", "ravel: .*order 'K' depends on where elements lie in memory"),
        ("np.take(x, [0], mode='near')", "mode is 'raise', 'wrap' or 'clip', not 'near'"),
        ("np.split(x, 3)", "split: 2 elements do not make 3 equal parts"),
        ("np.choose([2], [x[0], x[1]])", "choose: a number is outside 0 to 1"),
        ("np.vsplit(x[0], 1)", r"vsplit: .* not \(3,\)"),
        ("np.diag(x[None])", r"diag: a vector or a matrix is needed, not \(1, 2, 3\)"),
        ("np.fliplr(x[0])", r"fliplr: an array of two or more axes is needed, not \(3,\)"),
        ("np.select([x > 0], [x, x])", "select: 1 conditions for 2 choices"),
        ("np.meshgrid(x[0], indexing='yx')", "indexing is 'xy' or 'ij', not 'yx'"),
        ("np.moveaxis(x, (0, 1), 0)", "moveaxis: 2 axes cannot go to 1 places"),
        ("np.stack([x, x], out=x)", "stack: .*out"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(call: str, message: str) -> None:
    x = Tensor(ARRAYS["x"], requires_grad=True)
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        eval(call, {"np": np}, {"x": x})
    assert "\n" not in str(caught.value)
