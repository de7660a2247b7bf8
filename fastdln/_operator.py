"""A matrix known by its products: sparse, matrix-free, or read in blocks of columns.

A `Matrix` has ``matvec`` (A x), ``rmatvec`` (A^T l) and ``columns``; where
``has_gram`` it also gives pieces of its columns, from which A diag(d) A^T is added up.
What solvers keep beside it has size m + N, or m x m: A itself may be a file larger than
memory.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastdln._mapped import MappedFile
from fastdln._parts import Parts
from fastdln._threads import in_order
from fastdln.kernels.compensated import matvec_dd, rmatvec_dd
from fastdln.kernels.linear import matvec, rmatvec, weighted_gram
from fastdln.kernels.sparse_products import matvec_dd_columns, rmatvec_dd_columns

__all__ = [
    "Blocks",
    "DensePiece",
    "Matrix",
    "Products",
    "Sparse",
    "check_none_bad",
    "check_real",
    "checked_shape",
    "first_bad",
]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_BLOCK_BYTES = 1 << 23  # of A in one piece; a few pieces are held at a time
_ROWS = 8  # of a block at a time, where a copy is needed
_SCATTERED = 256  # entries read here and there at a time: each may map 64 kB of a file
_DOT_TOLERANCE = 1e4  # of the dot test, in units of the last place


T = TypeVar("T")
Bad = tuple[float, int, int]


class DensePiece:
    """Some columns of A as an array."""

    def __init__(self, block: Array) -> None:
        self.block, self.width = block, block.shape[1]

    def matvec(self, x: Array) -> Array:
        """A x."""
        out = np.empty(self.block.shape[0])
        matvec(self.block, x, out)
        return out

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        out = np.empty(self.width)
        rmatvec(self.block, dual, out)
        return out

    def columns(self, index: Indices) -> Array:
        """Some of the columns."""
        return np.ascontiguousarray(self.block[:, index])

    def squares(self) -> Array:
        """Squared lengths of the columns."""
        out: Array = np.einsum("ij,ij->j", self.block, self.block)
        return out

    def rmatvec_dd(self, hi: Array, lo: Array) -> tuple[Array, Array]:
        """A^T (hi + lo) as a double-double pair."""
        out_hi, out_lo = np.empty(self.width), np.empty(self.width)
        rmatvec_dd(self.block, hi, lo, out_hi, out_lo)
        return out_hi, out_lo

    def matvec_dd(self, x: Array) -> tuple[Array, Array]:
        """A x as a double-double pair."""
        hi, lo = np.empty(self.block.shape[0]), np.empty(self.block.shape[0])
        matvec_dd(self.block, x, np.zeros(self.width), hi, lo)
        return hi, lo

    def gram(self, d: Array) -> Array:
        """A diag(d) A^T."""
        m = self.block.shape[0]
        out = np.empty((m, m))
        weighted_gram(self.block, d, out)
        return out

    def abs_matvec(self, x: Array) -> Array:
        """|A| x."""
        parts = [piece.matvec(x) for piece in self._absolute_rows()]
        return np.concatenate(parts)

    def abs_rmatvec(self, dual: Array) -> Array:
        """|A|^T dual."""
        out, first = np.zeros(self.width), 0
        for piece in self._absolute_rows():
            last = first + piece.block.shape[0]
            out += piece.rmatvec(dual[first:last])
            first = last
        return out

    def _absolute_rows(self) -> Iterator[DensePiece]:
        """abs(A), a few rows at a time, each in place of the last: they stay in cache."""
        room = np.empty((_ROWS, self.width))
        for first in range(0, self.block.shape[0], _ROWS):
            rows = self.block[first : first + _ROWS]
            yield DensePiece(np.abs(rows, out=room[: rows.shape[0]]))


class SparsePiece:
    """Some columns of A in compressed columns."""

    def __init__(self, csc: Any) -> None:
        self._csc, self.width = csc, csc.shape[1]

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        out: Array = self._csc.T @ dual
        return out

    def matvec(self, x: Array) -> Array:
        """A x."""
        out: Array = self._csc @ x
        return out

    def squares(self) -> Array:
        """Squared lengths of the columns."""
        return np.asarray(self._csc.multiply(self._csc).sum(axis=0), float).ravel()

    def rmatvec_dd(self, hi: Array, lo: Array) -> tuple[Array, Array]:
        """A^T (hi + lo) as a double-double pair."""
        out_hi, out_lo, csc = np.empty(self.width), np.empty(self.width), self._csc
        rmatvec_dd_columns(csc.indptr, csc.indices, csc.data, hi, lo, out_hi, out_lo)
        return out_hi, out_lo

    def matvec_dd(self, x: Array) -> tuple[Array, Array]:
        """A x as a double-double pair."""
        csc = self._csc
        hi, lo = np.zeros(csc.shape[0]), np.zeros(csc.shape[0])
        matvec_dd_columns(csc.indptr, csc.indices, csc.data, x, hi, lo)
        return hi, lo

    def gram(self, d: Array) -> Array:
        """A diag(d) A^T."""
        scaled = self._csc.copy()
        scaled.data *= np.repeat(d, np.diff(scaled.indptr))
        out: Array = (scaled @ self._csc.T).toarray()
        return out

    def abs_matvec(self, x: Array) -> Array:
        """|A| x."""
        return SparsePiece(abs(self._csc)).matvec(x)

    def abs_rmatvec(self, dual: Array) -> Array:
        """|A|^T dual."""
        return SparsePiece(abs(self._csc)).rmatvec(dual)


Piece = DensePiece | SparsePiece


class Matrix:
    """An m x N matrix A that is not a dense array in memory.

    A subclass has `matvec`, `rmatvec` and `columns`; the rest here is made of these.
    """

    has_gram = False  # whether it gives pieces of its columns, and A D A^T in one pass
    samples = False  # whether A D A^T of fewer columns takes so much less
    remote = False  # whether the pieces lie elsewhere
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

    def cuts(self) -> list[tuple[int, int]]:
        """First and last column of each piece."""
        return [(0, self.shape[1])]

    def piece(self, lo: int, hi: int) -> Any:
        """Columns lo to hi: a `Piece` where `has_gram`, else all of them, by products alone."""
        return self

    def parts(self) -> Parts:
        """N-vectors cut as the pieces are."""
        return Parts(self)

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
        self.given, self.shape = A, checked_shape(A)
        check_real(A.dtype)
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

    def cuts(self) -> list[tuple[int, int]]:
        """First and last column of each piece."""
        return _cuts(self.shape[1], 1 << 16)

    def piece(self, lo: int, hi: int) -> SparsePiece:
        """Columns lo to hi."""
        return SparsePiece(self._csc[:, lo:hi])

    def columns(self, index: Indices) -> Array:
        """A[:, index]."""
        return np.ascontiguousarray(self._csc[:, index].toarray())

    def row_squares(self) -> Array:
        """Squared lengths of the rows."""
        return np.asarray(self._csc.multiply(self._csc).sum(axis=1), float).ravel()

    def dense(self) -> Array:
        """A as an array."""
        return np.ascontiguousarray(self._csc.toarray())


class Products(Matrix):
    """scipy.sparse.linalg.LinearOperator: A x and A^T l, and nothing else."""

    def __init__(self, A: Any) -> None:
        self.given, self.shape = A, checked_shape(A)
        dtype = np.dtype(np.float64 if A.dtype is None else A.dtype)
        check_real(dtype)
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

    A few blocks of 8 MB are in memory at a time; what comes of one is a vector or an
    m x m matrix, and these are added up in a fixed order.
    """

    has_gram = samples = True

    def __init__(self, A: Any, *, in_memory: bool = False) -> None:
        self.given, self.shape = A, checked_shape(A)
        self._bytes = _BLOCK_BYTES // 8 if in_memory else _BLOCK_BYTES
        if in_memory:  # and looked at before
            return
        check_real(A.dtype)
        for bad in self._each(first_bad):
            check_none_bad(bad)

    def cuts(self) -> list[tuple[int, int]]:
        """First and last column of each block."""
        m, N = self.shape
        return _cuts(N, self._bytes // (8 * m))

    def piece(self, lo: int, hi: int) -> DensePiece:
        """Columns lo to hi; those of a file until this thread asks for others."""
        if self._file is not None:
            return DensePiece(self._file.block(lo, hi).astype(np.float64, copy=False))
        block = np.array(self.given[:, lo:hi], dtype=np.float64, order="C")
        self._release()
        return DensePiece(block)

    @cached_property
    def _file(self) -> MappedFile | None:
        return MappedFile.of(self.given)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_file"}

    def _each(self, work: Callable[[DensePiece, int, int], T]) -> Iterator[T]:
        """Work on every block, on all cores; results in order."""
        return in_order(lambda cut: work(self.piece(*cut), *cut), self.cuts())

    def _release(self) -> None:
        """Let go of the pages of a shared file mapping: else they count as memory in use."""
        mapping = getattr(self.given, "_mmap", None)
        if mapping is not None and getattr(self.given, "mode", "c") in ("r", "r+"):
            mapping.madvise(mmap.MADV_DONTNEED)

    def matvec(self, x: Array) -> Array:
        """A x."""
        out = np.zeros(self.shape[0])
        for part in self._each(lambda piece, lo, hi: piece.matvec(x[lo:hi])):
            out += part
        return out

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        out = np.empty(self.shape[1])
        for (lo, hi), part in zip(
            self.cuts(), self._each(lambda piece, lo, hi: piece.rmatvec(dual)), strict=True
        ):
            out[lo:hi] = part
        return out

    def columns(self, index: Indices) -> Array:
        """A[:, index]."""
        if self._file is not None:
            return self._file.columns(index).astype(np.float64)
        out = np.empty((self.shape[0], index.size))
        order = np.argsort(index, kind="stable")  # dask and files like ascending ones
        mapped = getattr(self.given, "_mmap", None) is not None
        some = max(1, _SCATTERED // self.shape[0]) if mapped else max(1, index.size)
        for lo in range(0, index.size, some):
            chosen = order[lo : lo + some]
            out[:, chosen] = np.asarray(self.given[:, index[chosen]])
            self._release()
        return out

    def row_squares(self) -> Array:
        """Squared lengths of the rows."""
        out = np.zeros(self.shape[0])
        squares = self._each(lambda piece, lo, hi: np.einsum("ij,ij->i", piece.block, piece.block))
        for part in squares:
            out += part
        return out

    def dense(self) -> Array:
        """A as an array."""
        return np.ascontiguousarray(np.asarray(self.given), dtype=np.float64)


def _cuts(size: int, width: int) -> list[tuple[int, int]]:
    width = max(64, width // 64 * 64)
    return [(lo, min(lo + width, size)) for lo in range(0, size, width)]


def first_bad(piece: DensePiece, lo: int, hi: int) -> Bad | None:
    """Value and place of the first entry that is not finite."""
    if math.isfinite(piece.block.sum()):
        return None
    finite = np.isfinite(piece.block)  # the sum may have overflown
    if finite.all():
        return None
    i, j = (int(k) for k in np.argwhere(~finite)[0])
    return float(piece.block[i, j]), i, lo + j


def check_none_bad(bad: Bad | None) -> None:
    """Refuse what `first_bad` found."""
    if bad is not None:
        value, i, j = bad
        raise ValueError(f"A must be finite, got {value} at index [{i}, {j}]")


def checked_shape(A: Any) -> tuple[int, int]:
    """Rows and columns, none of them zero."""
    m, N = (int(k) for k in A.shape)
    if m == 0 or N == 0:
        raise ValueError(f"A must not be empty, got shape {(m, N)}")
    return m, N


def check_real(dtype: Any) -> None:
    """Refuse numbers that float64 cannot hold."""
    if dtype.kind not in "biuf":
        raise TypeError(f"A must hold real numbers, got dtype {dtype}")
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise TypeError(f"A must convert to float64 exactly, got dtype {dtype}")
