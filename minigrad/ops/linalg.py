"""Products of matrices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minigrad.op import composite, on, op


def matmul_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    """g · bᵀ; a vector stands for a matrix with one row (left) or one column (right)."""
    if np.ndim(b) == 1:
        return np.expand_dims(g, -1) * b
    if np.ndim(a) == 1:
        return np.squeeze(b @ np.expand_dims(g, -1), -1)
    return g @ np.swapaxes(b, -1, -2)


def matmul_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    """aᵀ · g; for a stack of matrices times one matrix, in a single product over all rows."""
    if np.ndim(a) == 1:
        return np.expand_dims(a, -1) * np.expand_dims(g, -2) if np.ndim(b) > 1 else a * g
    if np.ndim(b) == 1:
        return np.squeeze(np.swapaxes(a, -1, -2) @ np.expand_dims(g, -1), -1)
    if np.ndim(b) == 2:
        return rows(a).T @ rows(g)
    return np.swapaxes(a, -1, -2) @ g


def rows(x: Any) -> Any:
    """A stack of matrices as one matrix of all their rows."""
    *stack, width = np.shape(x)
    return np.reshape(x, (prod(stack), width))


def einsum_arguments(subscripts: str, *arrays: Any) -> tuple[Any, dict[str, Any]]:
    """np.einsum's arguments with the result's letters written out; no repeats, no ellipsis."""
    terms, arrow, result = subscripts.replace(" ", "").partition("->")
    if "." in subscripts or any(len(set(t)) < len(t) for t in terms.split(",")):
        raise ValueError(
            f"einsum: {subscripts!r}: an ellipsis or a letter repeated in one term has no "
            "derivative rule; name every axis, and take diagonals by indexing"
        )
    if not arrow:
        result = "".join(c for c in sorted(set(terms) - {","}) if terms.count(c) == 1)
    return arrays, {"subscripts": f"{terms}->{result}"}


def einsum_rule(g: Any, y: Any, i: int, *arrays: Any, subscripts: str = "") -> Any:
    """The same product with `g` in the place of the i-th array, and the letters changed over."""
    terms, _, result = subscripts.partition("->")
    letters = terms.split(",")
    wanted = letters[i]
    others = [(letters[j], x) for j, x in enumerate(arrays) if j != i]
    present = set(result).union(*(term for term, _ in others))
    kept = "".join(c for c in wanted if c in present)  # a letter of this term alone was summed
    terms = ",".join([result, *(term for term, _ in others)])
    found = np.einsum(f"{terms}->{kept}", g, *(x for _, x in others))
    shape = tuple(
        n if c in present else 1 for c, n in zip(wanted, np.shape(arrays[i]), strict=True)
    )
    return np.broadcast_to(np.reshape(found, shape), np.shape(arrays[i]))


def product(a: Any, b: Any) -> Any:
    """a @ b; a stack of matrices times one matrix is a single product over all rows."""
    inner = np.shape(a)[-1:], np.shape(b)[-2:][:1]
    if all(inner) and inner[0] != inner[1]:
        raise ValueError(f"inner dimensions {inner[0][0]} and {inner[1][0]} differ")
    if np.ndim(a) > 2 and np.ndim(b) == 2:
        return (rows(a) @ b).reshape(*np.shape(a)[:-1], np.shape(b)[-1])
    return np.matmul(a, b)


matmul = op(
    product,
    "@",
    matmul_left,
    matmul_right,
    family="matmul",
    name="matmul",
    numpy=[np.matmul],
    examples=[
        on((2, 3), (3, 4)),
        on((3,), (3,)),
        on((3,), (3, 4)),
        on((2, 3), (3,)),
        on((5, 2, 3), (3, 4)),
        on((2, 1, 2, 3), (5, 3, 2)),
        on((3,), (5, 3, 2)),
        on((5, 2, 3), (3,)),
    ],
)
einsum = op(
    lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
    "einsum",
    einsum_rule,
    family="matmul",
    name="einsum",
    numpy=[np.einsum],
    unpack=einsum_arguments,
    examples=[
        on("ij,jk->ik", (2, 3), (3, 4)),
        on("bik,bjk->bij", (2, 3, 2), (2, 4, 2)),
        on("ij->j", (2, 3)),
        on("ij,j,i", (2, 3), (3,), (2,)),
    ],
)


@composite(np.outer, family="matmul", examples=[on((3,), (4,)), on((2, 2), (3,))])
def outer(a: Any, b: Any) -> Any:
    """Every element of `a` times every element of `b`: shape (a.size, b.size)."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.dot, family="matmul", examples=[on((3,), (3,)), on((2, 3), (3, 4)), on((), (2, 3))])
def dot(a: Any, b: Any) -> Any:
    """NumPy's dot, for a right operand of at most two axes: a product of matrices or of numbers."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    raise ValueError(f"dot: {np.ndim(b)}-d right operand; use einsum, which names the axes")
