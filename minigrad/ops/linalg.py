"""Products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

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


LETTERS = "".join(sorted(ascii_letters))
"""What einsum may call an axis, in the order in which a result's letters come by themselves."""


def einsum_arguments(*operands: Any, optimize: Any = False) -> tuple[Any, dict[str, Any]]:
    """np.einsum's arguments as arrays and letters, where each letter is of one length and comes
    once in a term: diagonals have been taken, and axes of length one that broadcast left out."""
    subscripts, arrays = written_out(operands)
    terms, arrow, result = subscripts.replace(" ", "").partition("->")
    named = named_axes(subscripts, terms.split(","), arrays)
    free = [c for c in LETTERS if c not in subscripts]
    extra = free[: max((term.count(".") for term in named), default=0)]  # the axes of an ellipsis
    named = [fill_ellipsis(term, extra) for term in named]
    if not arrow:
        seen = "".join(named)
        result = "..." + "".join(c for c in sorted({*seen} - {*extra}) if seen.count(c) == 1)
    result = result.replace("...", "".join(extra))
    plain = [without_repeats(term, x) for term, x in zip(named, arrays, strict=True)]
    lengths: dict[str, int] = {}
    for term, x in plain:
        for c, n in zip(term, np.shape(x), strict=True):
            if lengths.setdefault(c, n) == 1:
                lengths[c] = n
            elif n not in (1, lengths[c]):
                raise ValueError(f"einsum: {subscripts!r}: {c} is {lengths[c]} long, and {n}")
    plain = [without_broadcasting(term, x, lengths) for term, x in plain]
    params = {"subscripts": f"{','.join(term for term, _ in plain)}->{result}"}
    if optimize is not False:
        params["optimize"] = optimize
    return [x for _, x in plain], params


def written_out(operands: tuple[Any, ...]) -> tuple[str, Sequence[Any]]:
    """The subscripts as a string, and the arrays; einsum(a, [0, 1], b, [1, 2]) has no string."""
    if not operands or isinstance(operands[0], str):
        return operands[0] if operands else "", operands[1:]

    def letters(axes: Any) -> str:
        if not isinstance(axes, list | tuple):
            kind = type(axes).__name__
            raise TypeError(f"einsum: an array's axes are a list of integers, not {kind}")
        return "".join("..." if axis is ... else LETTERS[axis] for axis in axes)

    terms = ",".join(letters(axes) for axes in operands[1::2])
    if len(operands) % 2:
        terms += f"->{letters(operands[-1])}"
    return terms, operands[: len(operands) // 2 * 2 : 2]


def named_axes(subscripts: str, terms: list[str], arrays: Sequence[Any]) -> list[str]:
    """The terms with an ellipsis of as many dots as it stands for axes; ValueError if they do not
    fit the arrays."""
    if len(terms) != len(arrays):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms for {len(arrays)} arrays")
    found = []
    for term, x in zip(terms, arrays, strict=True):
        before, ellipsis, after = term.partition("...")
        axes = np.ndim(x) - len(before + after)
        if not {*before, *after} <= {*LETTERS} or axes < 0 or (axes and not ellipsis):
            raise ValueError(f"einsum: {subscripts!r}: {term!r} is no term for {np.shape(x)}")
        found.append(before + "." * axes + after)
    return found


def fill_ellipsis(term: str, extra: list[str]) -> str:
    """The term with letters for its ellipsis, whose axes broadcast from the last one on."""
    dots = term.count(".")
    return term.replace("." * dots, "".join(extra[len(extra) - dots :])) if dots else term


def without_repeats(term: str, x: Any) -> tuple[str, Any]:
    """The diagonal of `x` for each letter that its term repeats, as the last axis."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            first, second = term.index(c), term.rindex(c)
            if np.shape(x)[first] != np.shape(x)[second]:
                raise ValueError(
                    f"einsum: {c} is repeated in {term!r}, not as long in {np.shape(x)}"
                )
            x = np.diagonal(x, axis1=first, axis2=second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + c
    return term, x


def without_broadcasting(term: str, x: Any, lengths: dict[str, int]) -> tuple[str, Any]:
    """The term and `x` without the axes of length one that stand for longer ones."""
    shape = np.shape(x)
    kept = [i for i, c in enumerate(term) if shape[i] == lengths[c]]
    if len(kept) == len(term):
        return term, x
    return "".join(term[i] for i in kept), np.reshape(x, [shape[i] for i in kept])


def einsum_rule(
    g: Any, y: Any, i: int, *arrays: Any, subscripts: str = "", optimize: Any = False
) -> Any:
    """The same product with `g` in the place of the i-th array, and the letters changed over."""
    terms, _, result = subscripts.partition("->")
    letters = terms.split(",")
    wanted = letters[i]
    others = [(letters[j], x) for j, x in enumerate(arrays) if j != i]
    present = set(result).union(*(term for term, _ in others))
    kept = "".join(c for c in wanted if c in present)  # a letter of this term alone was summed
    terms = ",".join([result, *(term for term, _ in others)])
    by_path: Any = (
        {"optimize": True} if optimize is not False else {}
    )  # a given path is of `y` alone
    found = np.einsum(f"{terms}->{kept}", g, *(x for _, x in others), **by_path)
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
    numpy=[np.matmul, np.linalg.matmul],
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
    lambda *arrays, subscripts, optimize=False: np.einsum(subscripts, *arrays, optimize=optimize),
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
        on("...ij, ...jk", (2, 1, 2, 3), (4, 3, 2)),
        on("iij->ij", (3, 3, 2)),
        on("ij,ij->", (1, 2), (3, 1), optimize=True),
    ],
)


def known_here(name: str) -> list[Callable[..., Any]]:
    """The function of this name, if NumPy has it: 2.1 does not have them all."""
    return [getattr(np, name)] if hasattr(np, name) else []


@composite(np.outer, family="matmul", examples=[on((3,), (4,)), on((2, 2), (3,))])
def outer(a: Any, b: Any) -> Any:
    """Every element of `a` times every element of `b`: shape (a.size, b.size)."""
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.linalg.outer, family="matmul", in_words=True, examples=[on((3,), (4,))])
def vector_outer(x1: Any, x2: Any, /) -> Any:
    """Every element of one vector times every element of another."""
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"outer: vectors are needed, not {np.shape(x1)} and {np.shape(x2)}")
    return np.outer(x1, x2)


@composite(
    np.dot,
    family="matmul",
    in_words=True,
    examples=[on((3,), (3,)), on((2, 3), (3, 4)), on((), (2, 3)), on((2, 3), (2, 3, 2))],
)
def dot(a: Any, b: Any) -> Any:
    """A product of matrices or numbers, over the last axis of `a` and the last but one of `b`."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.matmul(a, b) if np.ndim(b) <= 2 else np.tensordot(a, b, (-1, -2))


@composite(np.inner, family="matmul", in_words=True, examples=[on((2, 3), (4, 3)), on((), (2,))])
def inner(a: Any, b: Any) -> Any:
    """The products over the last axes of both."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.tensordot(a, b, (-1, -1))


@composite(np.vdot, family="matmul", examples=[on((2, 3), (2, 3))])
def vdot(a: Any, b: Any) -> Any:
    """The sum of the products of all elements."""
    return np.matmul(np.ravel(a), np.ravel(b))


@composite(
    np.vecdot,
    np.linalg.vecdot,
    family="matmul",
    in_words=True,
    examples=[on((2, 3), (3,)), on((3, 2), (3, 1), axis=0)],
)
def vecdot(x1: Any, x2: Any, /, axis: int = -1) -> Any:
    """The sums of the products along one axis."""
    return np.sum(np.moveaxis(x1, axis, -1) * np.moveaxis(x2, axis, -1), axis=-1)


@composite(
    *known_here("matvec"), family="matmul", examples=[on((2, 4, 3), (3,)), on((4, 3), (2, 3))]
)
def matvec(x1: Any, x2: Any, /) -> Any:
    """Each matrix of a stack times a vector."""
    return np.squeeze(np.matmul(x1, np.expand_dims(x2, -1)), -1)


@composite(
    *known_here("vecmat"), family="matmul", examples=[on((3,), (2, 3, 4)), on((2, 3), (3, 4))]
)
def vecmat(x1: Any, x2: Any, /) -> Any:
    """A vector times each matrix of a stack."""
    return np.squeeze(np.matmul(np.expand_dims(x1, -2), x2), -2)


@composite(
    np.tensordot,
    np.linalg.tensordot,
    family="matmul",
    in_words=True,
    examples=[on((2, 3), (3, 4), axes=1), on((2, 3, 4), (4, 5, 2), axes=([0, -1], [2, 0]))],
)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The products over some axes of `a` and as many of `b`: what remains is `a`'s, then `b`'s."""
    if np.ndim(axes) == 0:
        axes = range(np.ndim(a) - int(axes), np.ndim(a)), range(int(axes))
    over_a, over_b = (
        normalize_axis_tuple(tuple(np.atleast_1d(over)), np.ndim(x))
        for x, over in zip((a, b), axes, strict=True)
    )
    lengths = [np.shape(a)[i] for i in over_a]
    if lengths != [np.shape(b)[i] for i in over_b]:
        raise ValueError(f"tensordot: {np.shape(a)} and {np.shape(b)} differ along {axes}")
    rest_a = [i for i in range(np.ndim(a)) if i not in over_a]
    rest_b = [i for i in range(np.ndim(b)) if i not in over_b]
    shape_a, shape_b = [np.shape(a)[i] for i in rest_a], [np.shape(b)[i] for i in rest_b]
    left = np.reshape(np.transpose(a, [*rest_a, *over_a]), (prod(shape_a), prod(lengths)))
    right = np.reshape(np.transpose(b, [*over_b, *rest_b]), (prod(lengths), prod(shape_b)))
    return np.reshape(left @ right, (*shape_a, *shape_b))


@composite(np.kron, family="matmul", in_words=True, examples=[on((2, 3), (2, 2)), on((2,), (3, 2))])
def kron(a: Any, b: Any) -> Any:
    """A copy of `b`, in the place of each element of `a`, times it."""
    ndim = max(np.ndim(a), np.ndim(b))
    shapes = [(1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b)]
    a = np.reshape(a, [n for pair in zip(shapes[0], [1] * ndim, strict=True) for n in pair])
    b = np.reshape(b, [n for pair in zip([1] * ndim, shapes[1], strict=True) for n in pair])
    return np.reshape(a * b, [m * n for m, n in zip(*shapes, strict=True)])


@composite(
    np.cross,
    family="elementwise",
    in_words=True,
    examples=[on((2, 3), (3,)), on((3, 2), (3, 2), axis=0)],
)
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The vector at right angles to two vectors of three elements."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if np.shape(a)[-1] != 3 or np.shape(b)[-1] != 3:
        raise ValueError(f"cross: vectors of 3 elements are needed: {np.shape(a)}, {np.shape(b)}")
    after, before = [1, 2, 0], [2, 0, 1]
    y = a[..., after] * b[..., before] - a[..., before] * b[..., after]
    return np.moveaxis(y, -1, axisc)


@composite(
    np.linalg.multi_dot,
    family="matmul",
    in_words=True,
    examples=[on([(2, 3), (3, 4), (4, 2)]), on([(3,), (3, 2), (2,)])],
)
def multi_dot(arrays: Any) -> Any:
    """A chain of products of matrices, taken in the order that costs least."""
    terms = [LETTERS[i : i + 2] for i in range(len(arrays))]
    if np.ndim(arrays[0]) == 1:
        terms[0] = terms[0][1:]
    if np.ndim(arrays[-1]) == 1:
        terms[-1] = terms[-1][:1]
    result = terms[0][: np.ndim(arrays[0]) - 1] + terms[-1][1:]
    return np.einsum(f"{','.join(terms)}->{result}", *arrays, optimize=True)


@composite(np.linalg.cross, family="elementwise", in_words=True, examples=[on((2, 3), (2, 3))])
def vector_cross(x1: Any, x2: Any, /, axis: int = -1) -> Any:
    """The vector at right angles to two vectors of three elements along an axis."""
    return cross(x1, x2, axis=axis)
