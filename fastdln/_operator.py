"""A matrix known by its products: sparse, matrix-free, or read in blocks of columns.

A `Matrix` has ``matvec`` (A x), ``rmatvec`` (A^T l) and ``columns``; where
``has_gram`` it also forms A diag(d) A^T. What solvers keep beside it has size m + N, or
m x m: A itself may be a file larger than memory.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln.kernels.linear import weighted_gram
from fastdln.kernels.sparse_products import matvec_dd_columns, rmatvec_dd_columns

__all__ = ["Blocks", "Matrix", "Products", "Sparse", "as_matrix"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_BLOCK_BYTES = 1 << 25  # of A held at a time
_DOT_TOLERANCE = 1e4  # of the dot test, in units of the last place


class Matrix:
    """An m x N matrix A that is not a dense array in memory.

    A subclass has `matvec`, `rmatvec` and `columns`; the rest here is made of these.
    """

    has_gram = False  # whether `gram` costs a pass over A, not m products
    shape: tuple[int, int]
    given: Any  # what the caller called A

    def matvec(self, x: Array) -> Array:
        """A x, shape (m,)."""
        raise NotImplementedError

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual, shape (N,)."""
        raise NotImplementedError

    def columns(self, index: Indices) -> Array:
        """A[:, index], shape (m, k), in row-major order."""
        m, N = self.shape
        out, unit = np.empty((m, index.size)), np.zeros(N)
        for k, j in enumerate(index):
            unit[j] = 1.0
            out[:, k] = self.matvec(unit)
            unit[j] = 0.0
        return out

    def gram(self, d: Array) -> Array:
        """A diag(d) A^T, shape (m, m)."""
        m = self.shape[0]
        out, unit = np.empty((m, m)), np.zeros(m)
        for i in range(m):
            unit[i] = 1.0
            out[i] = self.matvec(d * self.rmatvec(unit))
            unit[i] = 0.0
        return 0.5 * (out + out.T)

    def squares(self) -> Array:
        """Squared lengths of the columns, shape (N,); only where `has_gram`."""
        raise NotImplementedError

    def row_squares(self) -> Array | None:
        """Squared lengths of the rows, shape (m,), if they are known without m products."""
        return None

    def dense(self) -> Array:
        """A as an array."""
        m, _ = self.shape
        out, unit = np.empty(self.shape), np.zeros(m)
        for i in range(m):
            unit[i] = 1.0
            out[i] = self.rmatvec(unit)
            unit[i] = 0.0
        return out


class Sparse(Matrix):
    """scipy.sparse, converted once to compressed columns."""

    has_gram = True

    def __init__(self, A: Any) -> None:
        if A.ndim != 2:
            raise ValueError(f"A must have shape (m, N), got shape {A.shape}")
        self.given, self.shape = A, _checked_shape(A)
        _check_real(A.dtype)
        csc = A.tocsc()
        if csc.dtype != np.float64:
            csc = csc.astype(np.float64)
        if not csc.has_canonical_format:
            csc = csc.copy() if csc is A else csc
            csc.sum_duplicates()
        bad = np.flatnonzero(~np.isfinite(csc.data))
        if bad.size:
            row = int(csc.indices[bad[0]])
            column = int(np.searchsorted(csc.indptr, bad[0], side="right")) - 1
            raise ValueError(f"A must be finite, got {csc.data[bad[0]]} at index [{row}, {column}]")
        self._csc, self._transpose = csc, csc.T  # the transpose shares its memory

    def matvec(self, x: Array) -> Array:
        """A x."""
        out: Array = self._csc @ x
        return out

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        out: Array = self._transpose @ dual
        return out

    def matvec_dd(self, x: Array) -> tuple[Array, Array]:
        """A x as a double-double pair."""
        hi, lo = np.zeros(self.shape[0]), np.zeros(self.shape[0])
        csc = self._csc
        matvec_dd_columns(csc.indptr, csc.indices, csc.data, x, hi, lo)
        return hi, lo

    def rmatvec_dd(self, hi: Array, lo: Array) -> tuple[Array, Array]:
        """A^T (hi + lo) as a double-double pair."""
        out_hi, out_lo = np.empty(self.shape[1]), np.empty(self.shape[1])
        csc = self._csc
        rmatvec_dd_columns(csc.indptr, csc.indices, csc.data, hi, lo, out_hi, out_lo)
        return out_hi, out_lo

    def columns(self, index: Indices) -> Array:
        """A[:, index]."""
        return np.ascontiguousarray(self._csc[:, index].toarray())

    def gram(self, d: Array) -> Array:
        """A diag(d) A^T."""
        scaled = self._csc.copy()
        scaled.data *= np.repeat(d, np.diff(self._csc.indptr))
        out: Array = (scaled @ self._transpose).toarray()
        return out

    def squares(self) -> Array:
        """Squared lengths of the columns."""
        return np.asarray(self._csc.multiply(self._csc).sum(axis=0), float).ravel()

    def row_squares(self) -> Array:
        """Squared lengths of the rows."""
        return np.asarray(self._csc.multiply(self._csc).sum(axis=1), float).ravel()

    def dense(self) -> Array:
        """A as an array."""
        return np.ascontiguousarray(self._csc.toarray())


class Products(Matrix):
    """scipy.sparse.linalg.LinearOperator: A x and A^T l, and nothing else."""

    def __init__(self, A: Any) -> None:
        self.given, self.shape = A, _checked_shape(A)
        dtype = np.dtype(np.float64 if A.dtype is None else A.dtype)
        _check_real(dtype)
        self._check_adjoint(np.finfo(dtype).eps if dtype.kind == "f" else 2.0**-52)

    def matvec(self, x: Array) -> Array:
        """A x."""
        return self._checked("matvec", self.given.matvec(x), self.shape[0])

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        try:
            out = self.given.rmatvec(dual)
        except (NotImplementedError, TypeError) as error:
            if isinstance(error, TypeError) and self.given.shape != self.shape:
                raise
            raise TypeError("A must define rmatvec, the product with its transpose") from error
        return self._checked("rmatvec", out, self.shape[1])

    @staticmethod
    def _checked(name: str, out: Any, size: int) -> Array:
        array = np.asarray(out)
        if array.dtype.kind not in "biuf" or array.size != size:
            raise TypeError(
                f"A.{name} must return {size} real numbers, got dtype {array.dtype} "
                f"and shape {array.shape}"
            )
        array = array.astype(np.float64, copy=False).reshape(size)
        finite = np.isfinite(array)
        if not finite.all():
            first = int(np.argmin(finite))
            raise ValueError(
                f"A.{name} must return finite numbers, got {array[first]} at index [{first}]"
            )
        return array

    def _check_adjoint(self, ulp: float) -> None:
        """<A x, l> = <x, A^T l> for random x and l, to rounding."""
        m, N = self.shape
        generator = np.random.default_rng(0)
        x, dual = generator.standard_normal(N), generator.standard_normal(m)
        product, adjoint = self.matvec(x), self.rmatvec(dual)
        first, second = float(product @ dual), float(x @ adjoint)
        size = np.linalg.norm(product) * np.linalg.norm(dual)
        size += np.linalg.norm(adjoint) * np.linalg.norm(x)
        if not abs(first - second) <= _DOT_TOLERANCE * ulp * size:
            raise ValueError(
                f"A.rmatvec must be the adjoint of A.matvec, got <A x, l> = {first:.9g} but "
                f"<x, A^T l> = {second:.9g} for random x and l"
            )


class Blocks(Matrix):
    """An array that gives blocks of its columns: a np.memmap, or a dask array.

    At most a few times 32 MB of A are in memory at a time; what comes of a block is a
    vector or an m x m matrix.
    """

    has_gram = True

    def __init__(self, A: Any) -> None:
        self.given, self.shape = A, _checked_shape(A)
        _check_real(A.dtype)
        for start, block in self.blocks():
            if not np.isfinite(block).all():
                i, j = (int(k) for k in np.argwhere(~np.isfinite(block))[0])
                raise ValueError(f"A must be finite, got {block[i, j]} at index [{i}, {start + j}]")

    def blocks(self) -> Iterator[tuple[int, Array]]:
        """Pairs (first column, A[:, first:first + width]), the latter row-major."""
        m, N = self.shape
        width = max(64, _BLOCK_BYTES // (8 * m) // 64 * 64)
        for start in range(0, N, width):
            part = np.asarray(self.given[:, start : start + width])
            yield start, np.ascontiguousarray(part, dtype=np.float64)
            self._release()

    def _release(self) -> None:
        """Let go of the pages of a shared file mapping: else they count as memory in use."""
        mapping = getattr(self.given, "_mmap", None)
        if mapping is not None and getattr(self.given, "mode", "c") in ("r", "r+"):
            mapping.madvise(mmap.MADV_DONTNEED)

    def matvec(self, x: Array) -> Array:
        """A x, block by block."""
        out = np.zeros(self.shape[0])
        for start, block in self.blocks():
            out += block @ x[start : start + block.shape[1]]
        return out

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        out = np.empty(self.shape[1])
        for start, block in self.blocks():
            out[start : start + block.shape[1]] = dual @ block
        return out

    def columns(self, index: Indices) -> Array:
        """A[:, index]."""
        order = np.argsort(index, kind="stable")
        out, m = np.empty((self.shape[0], index.size)), self.shape[0]
        width = max(1, _BLOCK_BYTES // (8 * m))
        for lo in range(0, index.size, width):
            some = order[lo : lo + width]
            out[:, some] = np.asarray(self.given[:, index[some]])
            self._release()
        return out

    def gram(self, d: Array) -> Array:
        """A diag(d) A^T."""
        m = self.shape[0]
        out, part = np.zeros((m, m)), np.empty((m, m))
        for start, block in self.blocks():
            weighted_gram(block, d[start : start + block.shape[1]], part)
            out += part
        return out

    def squares(self) -> Array:
        """Squared lengths of the columns."""
        out = np.empty(self.shape[1])
        for start, block in self.blocks():
            out[start : start + block.shape[1]] = np.einsum("ij,ij->j", block, block)
        return out

    def row_squares(self) -> Array:
        """Squared lengths of the rows."""
        out = np.zeros(self.shape[0])
        for _, block in self.blocks():
            out += np.einsum("ij,ij->i", block, block)
        return out

    def dense(self) -> Array:
        """A as an array."""
        return np.ascontiguousarray(np.asarray(self.given), dtype=np.float64)


def as_matrix(A: Any, budget: int) -> Matrix | None:
    """`A` as a `Matrix`, or None where it is to be an array in memory."""
    if "scipy.sparse" in sys.modules:  # what is not loaded cannot have made A
        from scipy.sparse import issparse

        if issparse(A):
            return Sparse(A)
    if "scipy.sparse.linalg" in sys.modules:
        from scipy.sparse.linalg import LinearOperator

        if isinstance(A, LinearOperator):
            return Products(A)
    lazy = isinstance(A, np.memmap) or hasattr(A, "__dask_graph__")
    if lazy and len(A.shape) == 2 and 8 * A.shape[0] * A.shape[1] > budget:
        return Blocks(A)
    return None


def _checked_shape(A: Any) -> tuple[int, int]:
    m, N = (int(k) for k in A.shape)
    if m == 0 or N == 0:
        raise ValueError(f"A must not be empty, got shape {(m, N)}")
    return m, N


def _check_real(dtype: Any) -> None:
    if dtype.kind not in "biuf":
        raise TypeError(f"A must hold real numbers, got dtype {dtype}")
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise TypeError(f"A must convert to float64 exactly, got dtype {dtype}")
