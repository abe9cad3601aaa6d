"""Linear algebra: inverses, determinants, decompositions, norms.

A row has one result. A decomposition with several lays them side by side in one array, from which
a composite cuts them: an eigenvalue on top of its eigenvector, and so on. So it is computed once.

M. Giles, "An extended collection of matrix derivative results" (2008); I. Murray, "Differentiation
of the Cholesky decomposition" (2016). Where NumPy reads one triangle of a symmetric matrix, the
gradient is that triangle's.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from minigrad.op import composite, on, op
from minigrad.ops.elementwise import nonzero
from minigrad.ops.reduce import norm, spread

SQUARE = np.array([[2.0, 0.3, -0.5], [0.1, 1.5, 0.4], [-0.2, 0.6, 3.0]])
STACK = np.stack([SQUARE, SQUARE.T - 0.1 * np.eye(3)])
SINGULAR = np.array([[1.0, 2.0, 0.5], [2.0, 4.0, 1.0], [0.0, 1.0, 3.0]])
SPD = SQUARE @ SQUARE.T
in_words = partial(composite, in_words=True, family="matmul")


class EighResult(NamedTuple):
    """What np.linalg.eigh gives."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """What np.linalg.svd gives."""

    U: Any
    S: Any
    Vh: Any


class QRResult(NamedTuple):
    """What np.linalg.qr gives."""

    Q: Any
    R: Any


def transposed(x: Any) -> Any:
    """Each matrix of a stack transposed."""
    return np.swapaxes(x, -1, -2)


def reciprocal_or_zero(x: Any) -> Any:
    """1 / x, and 0 where `x` is 0."""
    return np.where(x == 0, 0, 1 / nonzero(x))


def lower_half(x: Any) -> Any:
    """The lower triangle with half of the diagonal: Φ in Murray's paper."""
    return np.tril(x) - np.tril(np.triu(x)) / 2


def folded(s: Any, UPLO: str = "L") -> Any:
    """The gradient by the triangle that is read, from that by the whole symmetric matrix."""
    low = lower_half(s + transposed(s))
    return low if UPLO.upper() == "L" else transposed(low)


def solve_left(g: Any, y: Any, a: Any, b: Any) -> Any:
    """−(a⁻ᵀ g) yᵀ."""
    if np.ndim(b) == 1:
        g, y = np.expand_dims(g, -1), np.expand_dims(y, -1)
    return -np.linalg.solve(transposed(a), g) @ transposed(y)


def solve_right(g: Any, y: Any, a: Any, b: Any) -> Any:
    """a⁻ᵀ g."""
    if np.ndim(b) == 1:
        return np.squeeze(np.linalg.solve(transposed(a), np.expand_dims(g, -1)), -1)
    return np.linalg.solve(transposed(a), g)


inv = op(
    np.linalg.inv,
    "⁻¹",
    lambda g, y, a: -transposed(y) @ g @ transposed(y),
    family="matmul",
    examples=[on(SQUARE), on(STACK)],
)
solve = op(
    np.linalg.solve,
    "solve",
    solve_left,
    solve_right,
    family="matmul",
    examples=[on(SQUARE, (3, 2)), on(SQUARE, (3,)), on(STACK, (3, 2)), on(SQUARE, (2, 3, 1))],
)


def cofactors(a: Any) -> Any:
    """The derivative of the determinant: det(a) a⁻ᵀ, or by minors where there is no inverse."""
    n = np.shape(a)[-1]
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    minors = [np.linalg.det(a[..., others[i, :, None], others[:, None, :]]) for i in range(n)]
    signs = 1.0 - 2 * (np.indices((n, n)).sum(0) % 2)
    return np.stack(minors, axis=-2) * signs.astype(np.result_type(a))


def det_rule(g: Any, y: Any, a: Any) -> Any:
    """det(a) a⁻ᵀ; by minors if a matrix has no inverse, or a determinant is too large."""
    g = np.expand_dims(g, (-1, -2))
    if np.all(y != 0) and np.all(np.isfinite(y)):
        return g * np.expand_dims(y, (-1, -2)) * transposed(np.linalg.inv(a))
    return g * cofactors(a)


det = op(
    np.linalg.det,
    "det",
    det_rule,
    family="matmul",
    examples=[
        on(SQUARE),
        on(STACK),
        on(SINGULAR),
    ],
)
log_abs_det = op(
    lambda a: np.linalg.slogdet(a).logabsdet,
    "log|det|",
    lambda g, y, a: np.expand_dims(g, (-1, -2)) * transposed(np.linalg.inv(a)),
    family="matmul",
    name="log_abs_det",
    examples=[on(SQUARE), on(STACK)],
)


class SlogdetResult(NamedTuple):
    """What np.linalg.slogdet gives."""

    sign: Any
    logabsdet: Any


@in_words(np.linalg.slogdet, examples=[on(SQUARE), on(STACK)])
def slogdet(a: Any) -> SlogdetResult:
    """The sign of the determinant, which is constant, and the logarithm of its size."""
    return SlogdetResult(np.sign(np.linalg.det(a)), log_abs_det(a))


def cholesky_rule(g: Any, y: Any, a: Any) -> Any:
    """y⁻ᵀ Φ(yᵀ g) y⁻¹, folded onto the triangle that was read (Murray, equation 10)."""
    inverse = np.linalg.inv(y)
    return folded(transposed(inverse) @ lower_half(transposed(y) @ g) @ inverse)


cholesky_factor = op(
    np.linalg.cholesky,
    "cholesky",
    cholesky_rule,
    family="matmul",
    name="cholesky_factor",
    numpy=[],
    examples=[on(SPD), on(np.stack([SPD, SPD + np.eye(3)]))],
)


@in_words(np.linalg.cholesky, examples=[on(SPD), on(SPD, upper=True)])
def cholesky(a: Any, /, upper: bool = False) -> Any:
    """The lower triangular matrix whose product with its transpose is `a`, or that transpose."""
    return transposed(cholesky_factor(transposed(a))) if upper else cholesky_factor(a)


def eigh_rule(g: Any, y: Any, a: Any, UPLO: str = "L") -> Any:
    """V (diag(gλ) + F ∘ Vᵀ gV) Vᵀ with F = 1 / (λj − λi), folded onto the triangle (Giles, 3.1)."""
    values, v = y[..., 0, :], y[..., 1:, :]
    gaps = np.expand_dims(values, -2) - np.expand_dims(values, -1)
    turns = reciprocal_or_zero(gaps) * (transposed(v) @ g[..., 1:, :])
    return folded((v @ turns + v * g[..., :1, :]) @ transposed(v), UPLO)


def eigenpairs_value(a: Any, UPLO: Any = "L") -> Any:
    """The eigenvalues of a symmetric matrix on top of their eigenvectors."""
    values, vectors = np.linalg.eigh(a, UPLO)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


eigenpairs = op(
    eigenpairs_value,
    "eigenpairs",
    eigh_rule,
    family="matmul",
    name="eigenpairs",
    examples=[on(SPD), on(SPD, UPLO="U"), on(np.stack([SPD, SPD * SPD]))],
)


@in_words(np.linalg.eigh, examples=[on(SPD), on(SPD, UPLO="U")])
def eigh(a: Any, UPLO: Any = "L") -> EighResult:
    """The eigenvalues of a symmetric matrix, in rising order, and its eigenvectors, in columns."""
    y = eigenpairs(a, UPLO=UPLO)
    return EighResult(y[..., 0, :], y[..., 1:, :])


def eigvalsh_rule(g: Any, y: Any, a: Any, UPLO: Any = "L") -> Any:
    """V diag(g) Vᵀ, folded onto the triangle."""
    v = eigenpairs(a, UPLO=UPLO)[..., 1:, :]
    return folded(v * np.expand_dims(g, -2) @ transposed(v), UPLO)


eigvalsh = op(
    np.linalg.eigvalsh,
    "eigvalsh",
    eigvalsh_rule,
    family="matmul",
    examples=[on(SPD), on(SPD, UPLO="U")],
)


def svd_value(a: Any) -> Any:
    """The left singular vectors, on top of the singular values, on top of the right ones."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.concatenate([u, s[..., None, :], transposed(vh)], axis=-2)


def svd_rule(g: Any, y: Any, a: Any) -> Any:
    """By each of the three, and by what of gU and gV lies outside of U and V (Giles, 3.2)."""
    m = np.shape(a)[-2]
    u, s, v = y[..., :m, :], y[..., m : m + 1, :], y[..., m + 1 :, :]
    gu, gs, gv = g[..., :m, :], g[..., m : m + 1, :], g[..., m + 1 :, :]
    f = reciprocal_or_zero(s * s - transposed(s * s))
    left, right = f * (transposed(u) @ gu), f * (transposed(v) @ gv)
    turns = (left + transposed(left)) * s + transposed(s) * (right + transposed(right))
    gx = (u @ turns + u * gs) @ transposed(v)
    inverse = reciprocal_or_zero(s)
    if m > np.shape(s)[-1]:
        gx = gx + ((gu - u @ (transposed(u) @ gu)) * inverse) @ transposed(v)
    if np.shape(a)[-1] > np.shape(s)[-1]:
        gx = gx + (u * inverse) @ transposed(gv - v @ (transposed(v) @ gv))
    return gx


singular_triplets = op(
    svd_value,
    "singular triplets",
    svd_rule,
    family="matmul",
    name="singular_triplets",
    examples=[on((3, 3)), on((4, 2)), on((2, 3))],
)


def svdvals_rule(g: Any, y: Any, x: Any) -> Any:
    """U diag(g) Vᵀ."""
    m = np.shape(x)[-2]
    triplets = singular_triplets(x)
    u, v = triplets[..., :m, :], triplets[..., m + 1 :, :]
    return u * np.expand_dims(g, -2) @ transposed(v)


svdvals = op(
    lambda x: np.linalg.svd(x, compute_uv=False),
    "svdvals",
    svdvals_rule,
    family="matmul",
    name="svdvals",
    numpy=[np.linalg.svdvals],
    examples=[on((3, 3)), on((4, 2)), on((2, 2, 3))],
)


@in_words(
    np.linalg.svd,
    examples=[on((3, 3)), on((4, 2), full_matrices=False), on((2, 3), compute_uv=False)],
)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular values of a matrix between its left and its right singular vectors."""
    if not compute_uv:
        return svdvals(a)
    m, n = np.shape(a)[-2:]
    if full_matrices and m != n:
        raise ValueError(
            f"svd: the further vectors of a matrix of {m} by {n} are not unique, so they have no "
            "derivative; use full_matrices=False"
        )
    y = singular_triplets(a)
    return SVDResult(y[..., :m, :], y[..., m, :], transposed(y[..., m + 1 :, :]))


def qr_value(a: Any) -> Any:
    """Q, on top of R transposed."""
    m, n = np.shape(a)[-2:]
    if m < n:
        raise ValueError(f"the first {m} columns have all of Q; take qr of the whole matrix")
    q, r = np.linalg.qr(a)
    return np.concatenate([q, transposed(r)], axis=-2)


def qr_rule(g: Any, y: Any, a: Any) -> Any:
    """(gQ + Q sym(R gRᵀ − gQᵀ Q)) R⁻ᵀ, sym by copying the lower triangle to the upper one."""
    m = np.shape(a)[-2]
    q, r = y[..., :m, :], transposed(y[..., m:, :])
    gq, gr = g[..., :m, :], transposed(g[..., m:, :])
    inner = np.tril(r @ transposed(np.triu(gr)) - transposed(gq) @ q)
    inner = inner + transposed(np.tril(inner, -1))
    return transposed(np.linalg.solve(r, transposed(gq + q @ inner)))


qr_factors = op(
    qr_value,
    "QR",
    qr_rule,
    family="matmul",
    name="qr_factors",
    examples=[on(SQUARE), on((4, 2)), on(STACK)],
)


@in_words(np.linalg.qr, examples=[on(SQUARE), on((4, 2)), on((2, 3)), on((3, 2), mode="r")])
def qr(a: Any, mode: str = "reduced") -> Any:
    """A matrix as orthonormal columns times an upper triangular matrix."""
    m, n = np.shape(a)[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise ValueError(f"qr: mode {mode!r} has no derivative rule here; use 'reduced' or 'r'")
    y = qr_factors(a[..., :m])
    q, r = y[..., :m, :], transposed(y[..., m:, :])
    if n > m:  # the further columns, in terms of the first
        r = np.concatenate([r, transposed(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)


def pinv_rule(g: Any, y: Any, a: Any, rcond: Any = None) -> Any:
    """Golub and Pereyra, "The differentiation of pseudo-inverses" (1973), equation 4.12."""
    yt, gt = transposed(y), transposed(g)
    outside = gt - a @ (y @ gt)
    beside = gt - (gt @ y) @ a
    return -yt @ g @ yt + outside @ y @ yt + yt @ y @ beside


pinv = op(
    lambda a, rcond=None: np.linalg.pinv(a, rcond),
    "⁺",
    pinv_rule,
    family="matmul",
    name="pinv",
    numpy=[np.linalg.pinv],
    examples=[on((3, 2)), on((2, 3)), on(STACK)],
)


@in_words(np.linalg.matrix_power, examples=[on(SQUARE, n=3), on(STACK, n=-2)])
def matrix_power(a: Any, n: int) -> Any:
    """A square matrix times itself, n times; for a negative n, its inverse."""
    if n == 0:
        return np.broadcast_to(np.eye(np.shape(a)[-1], dtype=np.result_type(a)), np.shape(a))
    base, n = (np.linalg.inv(a), -n) if n < 0 else (a, n)
    y = None
    while n:
        if n % 2:
            y = base if y is None else y @ base
        n //= 2
        base = base @ base if n else base
    return y


@in_words(np.linalg.tensorinv, examples=[on((4, 2, 2), ind=1)])
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of an array as a linear map from its last axes to its first `ind`."""
    shape = np.shape(a)
    flat = np.reshape(a, (int(np.prod(shape[:ind])), -1))
    return np.reshape(np.linalg.inv(flat), (*shape[ind:], *shape[:ind]))


@in_words(np.linalg.tensorsolve, examples=[on((2, 2, 4), (2, 2))])
def tensorsolve(a: Any, b: Any) -> Any:
    """The array that `a`, as a linear map, takes to `b`."""
    n = np.size(b)
    return np.reshape(
        np.linalg.solve(np.reshape(a, (n, n)), np.ravel(b)), np.shape(a)[np.ndim(b) :]
    )


@in_words(np.linalg.cond, examples=[on(SQUARE), on(SQUARE, p=1)])
def cond(x: Any, p: Any = None) -> Any:
    """How much a matrix can enlarge relative errors: its norm times that of its inverse."""
    if np.size(x) == 0:
        raise np.linalg.LinAlgError(f"cond: {np.shape(x)} has no elements")
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    axes = (-2, -1)
    return np.linalg.norm(x, p, axes) * np.linalg.norm(np.linalg.inv(x), p, axes)


def p_norm_rule(
    g: Any, y: Any, x: Any, p: Any = 3, axis: Any = None, keepdims: bool = False
) -> Any:
    """sign(x) (|x| / y)ᵖ⁻¹; 0 for the zero vector."""
    share = np.abs(x) / nonzero(spread(y, x, axis, keepdims))
    return spread(g, x, axis, keepdims) * np.sign(x) * share ** (p - 1)


def p_norm_value(x: Any, p: Any = 3, axis: Any = None, keepdims: bool = False) -> Any:
    """(Σ |x|ᵖ)^(1/p)."""
    return np.sum(np.abs(x) ** p, axis=axis, keepdims=keepdims) ** (1.0 / p)


p_norm = op(
    p_norm_value,
    "p-norm",
    p_norm_rule,
    family="reduce",
    name="p_norm",
    examples=[on((2, 3), p=3, axis=1), on((2, 3), p=2.5), on((2, 3), p=-1, axis=0, keepdims=True)],
)


def extreme(x: Any, ord: Any, **how: Any) -> Any:
    """The largest size, 0 if there is none; for a negative `ord` the smallest."""
    if ord < 0:
        return np.min(x, **how)
    return np.max(x, **how) if np.size(x) else np.sum(x, **how)


@in_words(
    np.linalg.vector_norm,
    examples=[on((2, 3), axis=1), on((2, 3), ord=1), on((2, 3), ord=np.inf, axis=0, keepdims=True)],
)
def vector_norm(x: Any, /, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The length of a vector: Euclid's, or the sum of the powers `ord`, under their root."""
    how = {"axis": axis, "keepdims": keepdims}
    if ord in (None, 2):
        return norm(x, **how)
    if ord in (np.inf, -np.inf):
        return extreme(np.abs(x), ord, **how)
    if ord == 1:
        return np.sum(np.abs(x), **how)
    if ord == 0:
        return np.sum(x != 0, **how).astype(np.result_type(x))
    return p_norm(x, p=ord, **how)


@in_words(
    np.linalg.matrix_norm,
    examples=[on((2, 3, 4)), *(on((3, 4), ord=ord) for ord in ("nuc", 2, -2, 1, np.inf))],
)
def matrix_norm(x: Any, /, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The size of each matrix of a stack."""
    return norm_of_matrices(x, ord, -2, -1, keepdims)


def norm_of_matrices(x: Any, ord: Any, row: int, column: int, keepdims: bool) -> Any:
    """The matrix norm over two axes."""
    if ord in (None, "fro", "f"):
        return vector_norm(x, axis=(row, column), keepdims=keepdims)
    row, column = normalize_axis_tuple((row, column), np.ndim(x))
    x = np.moveaxis(x, (row, column), (-2, -1))
    if ord in ("nuc", 2, -2):
        s = svdvals(x)
        y = np.sum(s, axis=-1) if ord == "nuc" else extreme(s, ord, axis=-1)
    elif ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        y = extreme(sums, ord, axis=-1)
    else:
        raise ValueError(f"norm: a matrix has no norm of order {ord!r}")
    return np.expand_dims(y, (row, column)) if keepdims else y


@in_words(
    np.linalg.norm,
    examples=[on((2, 3)), on((3,), ord=3), on((2, 3), ord="nuc"), on((2, 3), ord=1, axis=1)],
)
def linalg_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of a vector, of a matrix, or of those along one or two axes."""
    if ord is None:
        return vector_norm(x, axis=axis, keepdims=keepdims)
    axes = normalize_axis_tuple(range(np.ndim(x)) if axis is None else axis, np.ndim(x))
    if len(axes) == 1:
        return vector_norm(x, axis=axes[0], keepdims=keepdims, ord=ord)
    if len(axes) != 2:
        raise ValueError(f"norm: a norm of order {ord!r} takes one axis or two, not {len(axes)}")
    return norm_of_matrices(x, ord, axes[0], axes[1], keepdims)
