"""Products of arrays: np.einsum in every form that NumPy takes, matmul and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from minigrad import Tensor, gradcheck
from tests.minigrad.ops.comparing import (
    assert_like_explicit_broadcasting,
    assert_like_torch,
    normal,
)


def tensors(*arrays: Any) -> list[Tensor]:
    return [Tensor(np.asarray(x, float), requires_grad=True) for x in arrays]


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """The subscripts of a call that NumPy understands, and the shapes of its arrays.

    Letters repeat inside a term and stand for axes of length one, an ellipsis comes anywhere, the
    result may be left to NumPy.
    """
    lengths = {c: draw(st.sampled_from([0, 2, 2, 3, 3])) for c in "ijB"}
    around = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=2))
    terms, shapes = [], []
    any_ellipsis = False
    for _ in range(draw(st.integers(1, 3))):
        term = draw(st.text("ijB", max_size=3))
        shape = [lengths[c] for c in term]
        for i, c in enumerate(term):
            if term.count(c) == 1 and draw(st.integers(0, 3)) == 0:
                shape[i] = 1
        if draw(st.integers(0, 2)) == 0:
            any_ellipsis = True
            place = draw(st.integers(0, len(term)))
            extra = around[len(around) - draw(st.integers(0, len(around))) :]
            extra = [1 if draw(st.integers(0, 2)) == 0 else n for n in extra]
            term = term[:place] + "..." + term[place:]
            shape = shape[:place] + extra + shape[place:]
        terms.append(term)
        shapes.append(tuple(shape))
    subscripts = draw(st.sampled_from([",", " , "])).join(terms)
    if draw(st.booleans()):
        letters = sorted({*subscripts} & {*"ijB"})
        result = "".join(draw(st.permutations(letters))[: draw(st.integers(0, len(letters)))])
        ellipsis = "..." if any_ellipsis else draw(st.sampled_from(["", "..."]))
        subscripts += "->" + ellipsis + result
    return subscripts, shapes


@settings(max_examples=60)
@given(call=calls(), optimize=st.booleans())
def test_any_call_has_numpys_values_and_the_derivatives_of_finite_differences(
    call: tuple[str, list[tuple[int, ...]]], optimize: bool
) -> None:
    subscripts, shapes = call
    arrays = normal(*shapes)
    expected = np.einsum(subscripts, *arrays)
    y = np.einsum(subscripts, *tensors(*arrays), optimize=optimize)
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12, strict=True)
    if all(x.size for x in arrays):
        for order in (1, 2):
            gradcheck(lambda *x: np.einsum(subscripts, *x, optimize=optimize), arrays, order)
    else:
        xs = tensors(*arrays)
        np.einsum(subscripts, *xs).sum().backward()
        assert all(x.grad is not None and not x.grad.any() for x in xs)


def test_an_axis_of_length_one_stands_for_a_longer_one() -> None:
    x, y = tensors([[1, 2]], [[3], [5]])
    np.einsum("ij,ij->", x, y).backward()
    assert np.array_equal(x.grad, [[8, 8]])
    assert np.array_equal(y.grad, [[3], [3]])
    a, b = tensors([1, 2], [5])
    np.einsum("i,i", a, b).backward()
    assert np.array_equal(a.grad, [5, 5])
    assert np.array_equal(b.grad, [3])


@pytest.mark.parametrize("subscripts", ["ii->i", "ii", "iij,jk->ik", "...i,...i->...", "i...->..."])
def test_torch_agrees(subscripts: str) -> None:
    torch = pytest.importorskip("torch")
    arrays = normal((3, 3, 2), (2, 4)) if "," in subscripts and "." not in subscripts else []
    arrays = arrays or normal(*[(3, 3)] * (1 + subscripts.count(",")))
    ours = tensors(*arrays)
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, expected = np.einsum(subscripts, *ours), torch.einsum(subscripts, *theirs)
    np.testing.assert_allclose(y.data, expected.detach().numpy())
    (y * y).sum().backward()
    (expected * expected).sum().backward()
    for x, t in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad, t.grad.numpy())


@pytest.mark.parametrize(
    "axes",
    [([0, 1], [1, 2], [0, 2]), ([0, 1], [1, 2]), ([..., 1], [1, 30]), ([2, 0], [0, 0], [0, 2])],
)
def test_the_axes_may_be_lists_of_integers(axes: Any) -> None:
    arrays = normal((2, 3), (3, 3))

    def f(a: Any, b: Any) -> Any:
        return np.einsum(a, axes[0], b, axes[1], *axes[2:])

    expected = f(*arrays)
    np.testing.assert_allclose(f(*tensors(*arrays)).data, expected, strict=True)
    gradcheck(f, arrays, 2)


def test_a_path_may_be_given() -> None:
    arrays = normal((2, 3), (3, 4), (4, 2))
    path = np.einsum_path("ij,jk,kl->il", *arrays)[0]
    gradcheck(lambda *x: np.einsum("ij,jk,kl->il", *x, optimize=path), arrays, 2)


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        (("ij,jk", np.ones((2, 3))), "einsum: 'ij,jk' has 2 terms for 1 arrays"),
        (("ij->i", np.ones(3)), r"einsum: 'ij->i': 'ij' is no term for \(3,\)"),
        (("i->i", np.ones((3, 2))), r"einsum: 'i->i': 'i' is no term for \(3, 2\)"),
        (("i!", np.ones((3, 2))), r"einsum: 'i!': 'i!' is no term for \(3, 2\)"),
        (("ii", np.ones((3, 1))), r"einsum: i is repeated in 'ii', not as long in \(3, 1\)"),
        (("i,i", np.ones(3), np.ones(2)), "einsum: 'i,i': i is 3 long, and 2"),
        (("i->ii", np.ones(3)), "einsum: .*multiple"),
        (("i->j", np.ones(3)), "einsum: .*never appeared"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(operands: Any, message: str) -> None:
    subscripts, *arrays = operands
    with pytest.raises(ValueError, match=message) as caught:
        np.einsum(subscripts, *tensors(*arrays))
    assert "\n" not in str(caught.value)


@given(
    drawn=shapes.mutually_broadcastable_shapes(
        signature=np.matmul.signature, max_dims=2, max_side=3
    )
)
def test_stacks_of_matrices_broadcast(drawn: shapes.BroadcastableShapes) -> None:
    a, b = drawn.input_shapes
    stack = np.broadcast_shapes(a[:-2], b[:-2])
    fulls = [stack + shape[-2:] if len(shape) > 1 else shape for shape in (a, b)]
    assert_like_explicit_broadcasting(np.matmul, [a, b], fulls)


@pytest.mark.parametrize(
    ("subscripts", "inputs"),
    [
        ("bthk,bshk->bhts", [(2, 3, 2, 4), (2, 5, 2, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("ijk->ki", [(2, 3, 4)]),
        ("i,j->ji", [(2,), (3,)]),
        ("ij,k->i", [(2, 3), (4,)]),
    ],
)
def test_einsum_is_torchs(torch: Any, subscripts: str, inputs: list[tuple[int, ...]]) -> None:
    assert_like_torch(
        torch,
        lambda *x: np.einsum(subscripts, *x),
        lambda *x: torch.einsum(subscripts, *x),
        *normal(*inputs),
    )


@pytest.mark.parametrize("shapes", [((2, 0), (0, 3)), ((4, 2, 0), (0, 3)), ((0, 2), (2, 3))])
def test_a_product_over_nothing_has_gradients_of_its_inputs_shapes(shapes: Any) -> None:
    a, b = (Tensor(np.ones(shape), requires_grad=True) for shape in shapes)
    (a @ b).sum().backward()
    assert a.grad is not None and a.grad.shape == a.shape
    assert b.grad is not None and b.grad.shape == b.shape
    assert not b.grad.any()
