"""A matrix whose columns lie in blocks with the workers of a Dask cluster.

The work goes to where the blocks are. What travels are vectors of length m and, for each block, its
part of A D A^T; N-vectors stay with their columns until they are asked for. Each piece of a
block is worked on by one thread and everything is added up in the order of the columns: the bits
do not depend on the workers.
"""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdln._operator import (
    Bad,
    Blocks,
    DensePiece,
    Matrix,
    Products,
    Sparse,
    check_none_bad,
    check_real,
    checked_shape,
    first_bad,
)
from fastdln._parts import Parts
from fastdln._piece_work import Part

__all__ = ["Spread", "as_matrix"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Cuts = list[tuple[int, int]]

_PIECE_BYTES = 1 << 23
_TOGETHER = 32  # results that are here at a time
_GRAMS = 4  # a piece has at least as many times m columns: so much larger than its A D A^T it is


class Spread(Matrix):
    """A dask array while a distributed client is there; the workers hold it in memory."""

    has_gram = samples = True
    remote = True

    def __init__(self, A: Any, client: Any) -> None:
        self.given, self.shape = A, checked_shape(A)
        check_real(A.dtype)
        self.client = client
        whole = A.rechunk({0: -1}).astype(np.float64)
        ends = np.concatenate(([0], np.cumsum(whole.chunks[1]))).tolist()
        self._blocks = client.compute(list(whole.to_delayed().ravel()))
        m = self.shape[0]
        width = max(64, _PIECE_BYTES // (8 * m), _GRAMS * m)
        self._cuts: list[Cuts] = [
            [(k, min(k + width, hi)) for k in range(lo, hi, width)]
            for lo, hi in itertools.pairwise(ends)
        ]
        for bad in self.results(_first_bad, [() for _ in self._blocks]):
            check_none_bad(bad)

    def submit(self, work: Callable[..., Any], given: list[tuple[Any, ...]]) -> list[Any]:
        """Futures of ``work(block, cuts, *given[k])`` for each block."""
        rows = zip(self._blocks, self._cuts, given, strict=True)
        return [self.client.submit(work, *row, *rest, pure=False) for *row, rest in rows]

    def results(self, work: Callable[..., Any], given: list[tuple[Any, ...]]) -> Iterator[Any]:
        """What comes of it, in the order of the blocks."""
        yield from self.in_turn(self.submit(work, given))

    def in_turn(self, futures: list[Any]) -> Iterator[Any]:
        """Results of futures, some of them fetched together."""
        for k in range(0, len(futures), _TOGETHER):
            yield from self.client.gather(futures[k : k + _TOGETHER])

    @property
    def spans(self) -> Cuts:
        """First and last column of each block."""
        return [(cuts[0][0], cuts[-1][1]) for cuts in self._cuts]

    def cuts(self) -> Cuts:
        """First and last column of each piece."""
        return [cut for cuts in self._cuts for cut in cuts]

    def parts(self) -> SpreadParts:
        """N-vectors that lie beside their columns."""
        return SpreadParts(self)

    def matvec(self, x: Array) -> Array:
        """A x."""
        out = np.zeros(self.shape[0])
        for sums in self.results(_matvec, [(x[lo:hi],) for lo, hi in self.spans]):
            for part in sums:
                out += part
        return out

    def rmatvec(self, dual: Array) -> Array:
        """A^T dual."""
        return np.concatenate(list(self.results(_rmatvec, [(dual,) for _ in self._blocks])))

    def columns(self, index: Indices) -> Array:
        """A[:, index]."""
        out = np.empty((self.shape[0], index.size))
        places = [np.flatnonzero((index >= lo) & (index < hi)) for lo, hi in self.spans]
        found = self.results(_columns, [(index[place],) for place in places])
        for place, columns in zip(places, found, strict=True):
            out[:, place] = columns
        return out

    def row_squares(self) -> Array:
        """Squared lengths of the rows."""
        out = np.zeros(self.shape[0])
        for part in self.results(_row_squares, [() for _ in self._blocks]):
            out += part
        return out

    def dense(self) -> Array:
        """A as an array, here."""
        return np.concatenate(list(self.in_turn(self._blocks)), axis=1)


class SpreadParts(Parts):
    """psi, D and the slack of all coordinates, with the workers."""

    def __init__(self, matrix: Spread) -> None:
        self._spread = matrix
        self._there: list[Any] = [None for _ in matrix.spans]

    def each(self, work: Callable[..., Any], *given: Any) -> Iterator[Any]:
        """``work(piece, part, *given)`` for every piece; results in order."""
        if getattr(work, "fills", False):
            # what the next ones need stays there, beside the results
            self._there = self._spread.submit(_fill, [(work, *given) for _ in self._there])
            first = operator.itemgetter(1)
            found = [self._spread.client.submit(first, pair, pure=False) for pair in self._there]
        else:
            found = self._spread.submit(_work, [(work, pair, *given) for pair in self._there])
        for results in self._spread.in_turn(found):
            yield from results

    def thin(self, every: int) -> tuple[int, SpreadParts]:
        """All of them: the workers are there."""
        return 1, self

    def arrays(self) -> tuple[Array, Array, Array]:
        """psi, D and slack, shape (N,) each."""
        N = self._spread.shape[1]
        psi, D, slack = (np.full(N, np.nan) for _ in range(3))
        if self._there[0] is not None:
            first = operator.itemgetter(0)
            there = [self._spread.client.submit(first, pair, pure=False) for pair in self._there]
            for parts in self._spread.in_turn(there):
                for part in parts:
                    psi[part.lo : part.hi] = part.psi
                    D[part.lo : part.hi] = part.D
                    slack[part.lo : part.hi] = part.slack
        return psi, D, slack


def _pieces(block: Array, cuts: Cuts) -> Iterator[DensePiece]:
    first = cuts[0][0]
    for lo, hi in cuts:
        yield DensePiece(np.ascontiguousarray(block[:, lo - first : hi - first]))


def _work(
    block: Array, cuts: Cuts, work: Callable[..., Any], filled: Any, *given: Any
) -> list[Any]:
    """Work on the pieces of a block, and on the parts that `_fill` left."""
    parts = [Part(*cut) for cut in cuts] if filled is None else filled[0]
    if getattr(work, "needs_no_piece", False):
        return [work(None, part, *given) for part in parts]
    pairs = zip(_pieces(block, cuts), parts, strict=True)
    return [work(piece, part, *given) for piece, part in pairs]


def _fill(
    block: Array, cuts: Cuts, work: Callable[..., Any], *given: Any
) -> tuple[list[Part], list[Any]]:
    """New parts, and the results."""
    parts = [Part(*cut) for cut in cuts]
    return parts, _work(block, cuts, work, (parts,), *given)


def _first_bad(block: Array, cuts: Cuts) -> Bad | None:
    found = (first_bad(piece, *cut) for piece, cut in zip(_pieces(block, cuts), cuts, strict=True))
    return next((bad for bad in found if bad is not None), None)


def _matvec(block: Array, cuts: Cuts, x: Array) -> list[Array]:
    first = cuts[0][0]
    parts = [np.ascontiguousarray(x[lo - first : hi - first]) for lo, hi in cuts]
    return [piece.matvec(part) for piece, part in zip(_pieces(block, cuts), parts, strict=True)]


def _rmatvec(block: Array, cuts: Cuts, dual: Array) -> Array:
    return np.concatenate([piece.rmatvec(dual) for piece in _pieces(block, cuts)])


def _columns(block: Array, cuts: Cuts, index: Indices) -> Array:
    out: Array = block[:, index - cuts[0][0]]
    return out


def _row_squares(block: Array, cuts: Cuts) -> Array:
    return np.einsum("ij,ij->i", block, block)


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
    dask = hasattr(A, "__dask_graph__")
    if (dask or isinstance(A, np.memmap)) and len(A.shape) == 2:
        m, N = A.shape
        if dask and not (m >= 0 and N >= 0):
            raise ValueError(f"A must have chunks of known sizes, got shape {A.shape}")
        if 8 * m * N > budget:
            client = _client() if dask else None
            return Blocks(A) if client is None else Spread(A, client)
    return None


def _client() -> Any:
    """The distributed client at work, if there is one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    try:
        return Client.current()
    except ValueError:
        return None
