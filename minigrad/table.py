"""The table of ops, and what stands beside it: NumPy's functions that are constant or have no rule.

The rows are in `minigrad/ops/`. A page with all of NumPy's functions is made from this file and
from the rows (`docs/make_numpy_table.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minigrad.op import Op

TABLE: dict[str, Op] = {}
"""Every op by its name; the rows are in `minigrad/ops/`."""

NUMPY: dict[Callable[..., Any], Op] = {}
"""The NumPy functions that have a row, and the op that differentiates each."""

CONSTANT: frozenset[Callable[..., Any]] = frozenset({
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift,
    np.bitwise_count, np.packbits, np.unpackbits, np.gcd, np.lcm,
    np.isnan, np.isinf, np.isfinite, np.isposinf, np.isneginf, np.isnat, np.isreal, np.iscomplex,
    np.isrealobj, np.iscomplexobj, np.signbit, np.sign, np.angle, np.imag, np.spacing,
    np.floor, np.ceil, np.rint, np.trunc, np.fix, np.round, np.around, np.floor_divide,
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition, np.lexsort,
    np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero, np.any, np.all,
    np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin, np.searchsorted, np.digitize,
    np.linalg.matrix_rank, np.einsum_path,
    np.unravel_index, np.ravel_multi_index, np.ix_,
    np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
    np.shape, np.ndim, np.size, np.isscalar, np.iterable,
    np.zeros_like, np.ones_like, np.empty_like,
    np.result_type, np.common_type, np.min_scalar_type, np.can_cast,
    np.may_share_memory, np.shares_memory,
    np.array_repr, np.array_str, np.array2string,
})  # fmt: skip
"""Functions whose derivative is zero wherever it exists, and questions about an array: they give
plain arrays, and no gradient is lost."""

TO_ARRAYS = (
    *("array", "asarray", "asanyarray", "asarray_chkfinite", "ascontiguousarray", "asfortranarray"),
    *("asmatrix", "require", "fromiter"),
)
FOURIER = "two real products: t @ {0}(np.eye(n)).real and t @ {0}(np.eye(n)).imag"

INSTEAD = {
    "out": "a new name for the result (a = a + t for a += t)",
    "where": "np.where",
    "dtype": ".astype",
    "np.add.reduce": "np.sum",
    "np.add.accumulate": "np.cumsum",
    "np.multiply.reduce": "np.prod",
    "np.multiply.accumulate": "np.cumprod",
    "np.multiply.outer": "np.outer",
    "np.maximum.reduce": "np.max",
    "np.minimum.reduce": "np.min",
    **{f"np.{name}": "np.stack or np.concatenate" for name in TO_ARRAYS},
    "np.bmat": "np.block",
    "np.full_like": "np.broadcast_to(value, t.shape) where the value is a Tensor",
    "np.full": "np.broadcast_to(value, shape)",
    "np.arange": "start + step * np.arange(n)",
    **dict.fromkeys(["np.copyto", "np.putmask", "np.place"], "np.where(mask, new, t)"),
    "np.put": "np.where with a mask",
    "np.put_along_axis": "np.where with a mask",
    "np.fill_diagonal": "np.where(np.eye(n, dtype=bool), new, t)",
    "np.piecewise": "np.where, or np.select for several conditions",
    "np.apply_along_axis": "a function that takes an axis, as np.sum does",
    "np.apply_over_axes": "a function that takes several axes, as np.sum does",
    "np.i0": "np.mean(np.exp(t[..., None] * np.cos(2 * np.pi * np.arange(n) / n)), axis=-1)",
    "np.nextafter": "the number itself",
    "np.trim_zeros": "t[first:last]",
    "np.linspace": "a + (b - a) * np.linspace(0, 1, n)",
    "np.logspace": "10 ** (a + (b - a) * np.linspace(0, 1, n))",
    "np.geomspace": "a * (b / a) ** np.linspace(0, 1, n)",
    "np.sort_complex": "np.sort",
    **{
        f"np.nan{name}": f"np.{name} of the numbers, t[~np.isnan(t)]"
        for name in ("median", "percentile", "quantile")
    },
    **dict.fromkeys(
        ["np.histogram", "np.histogram2d", "np.histogramdd", "np.histogram_bin_edges"],
        "np.bincount(np.digitize(t, edges), weights)",
    ),
    **{
        f"np.{name}": "t[index], with the index of np.unique(t.data, return_index=True)"
        for name in (
            *("unique", "unique_all", "unique_counts", "unique_inverse", "unique_values"),
            *("union1d", "intersect1d", "setdiff1d", "setxor1d"),
        )
    },
    "np.poly": "np.convolve of the factors",
    "np.polyadd": "np.add, with np.pad for the shorter one",
    "np.polysub": "np.subtract, with np.pad for the shorter one",
    "np.polymul": "np.convolve",
    "np.polydiv": "np.convolve to form the product",
    "np.polyder": "t[:-1] * np.arange(len(t) - 1, 0, -1)",
    "np.polyint": "np.append(t / np.arange(len(t), 0, -1), 0)",
    "np.polyfit": "np.linalg.pinv(np.vander(x, degree + 1)) @ y",
    "np.roots": "Newton's method with np.polyval: complex numbers have no derivative rules",
    **dict.fromkeys(["np.save", "np.savetxt", "np.savez", "np.savez_compressed"], "t.data"),
    **dict.fromkeys(
        ["np.linalg.eig", "np.linalg.eigvals"],
        "np.linalg.eigh for a symmetric matrix (others have complex eigenvalues)",
    ),
    "np.linalg.lstsq": "np.linalg.pinv(a) @ b",
    **{
        f"np.fft.{name}": FOURIER.format(f"np.fft.{name}")
        for name in ("fft", "ifft", "rfft", "ihfft")
    },
    **{f"np.fft.{name}": f"t @ np.fft.{name}(np.eye(n))" for name in ("hfft", "irfft")},
    **{
        f"np.fft.{name}{many}": f"np.fft.{name}'s products, along each axis in turn"
        for name in ("fft", "ifft", "rfft", "irfft")
        for many in ("2", "n")
    },
}
"""What to write in place of the functions of NumPy, and arguments, that have no derivative rule."""


def rows(names: Iterable[str] | None = None) -> list[Op]:
    """The rows of these names, or all of them; ValueError for a name that no row has."""
    found = []
    for name in TABLE if names is None else names:
        if name not in TABLE:
            import difflib  # only for a misspelt name

            close = difflib.get_close_matches(name, TABLE)
            hint = f"did you mean {' or '.join(close)}?" if close else f"ops: {', '.join(TABLE)}"
            raise ValueError(f"no op is called {name!r}; {hint}")
        found.append(TABLE[name])
    return found


def no_row(name: str, param: str = "") -> TypeError:
    """The error for a NumPy function, or a param of one, that has no derivative rule."""
    instead = INSTEAD.get(param or name, "the functions in minigrad.TABLE")
    return TypeError(
        f"{name}{f'({param}=...)' if param else ''} has no derivative rule; use {instead}, "
        ".data if no gradient is needed, or add a row (CONTRIBUTING.md)"
    )
