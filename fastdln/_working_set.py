"""The few columns that decide a problem with very many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._operator import Matrix, Parts
from fastdln._piece_work import Heaviest
from fastdln.kernels.select import select_basis

__all__ = ["COSTLY", "DenseLimit", "WorkingSet", "choose_basis", "sampling", "violators"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
# (columns of A, y, p, log_alpha) -> (psi, slack, dual), or None where they are dependent
DenseLimit = Callable[[Array, Array, float, float], tuple[Array, Array, Array] | None]

_ROUNDS = 20  # of the search
_VIOLATES = 0.97  # |tau|, relative to 1 or the largest, from which a column joins
_JOINS = 0.85  # the same, where a look at all columns takes longer than some more in the set
_SINGULAR = 1e-10
COSTLY = 64  # rows from which A D A^T is what costs
_SAMPLE = 256  # columns a row, at least, in a sample


def sampling(matrix: Matrix) -> int:
    """One column in how many tells enough about A D A^T; 1 where that costs little."""
    m, N = matrix.shape
    if not matrix.samples or m < COSTLY:
        return 1
    return max(1, min(m // 6, N // (_SAMPLE * m)))


def merged(found: Iterable[Heaviest], count: int) -> Heaviest:
    """The heaviest of some, by falling weight; equal ones in the order of their columns."""
    both = list(found)
    columns = np.concatenate([one.columns for one in both])
    weight = np.concatenate([one.weight for one in both])
    order = np.argsort(-weight, kind="stable")[:count]
    return Heaviest(columns[order], weight[order])


def violators(
    parts: Parts, dual: Array, columns: Indices, level: float, count: int
) -> tuple[float, Indices]:
    """Largest |A^T dual| outside `columns`, and the columns of the largest above `level`."""
    found = list(parts.each(work.beyond, dual, columns, level, count))
    most = max(largest for largest, _ in found)
    heaviest = merged((one for _, one in found), count)
    return most, heaviest.columns[heaviest.weight > level]


def choose_basis(
    matrix: Matrix, candidates: Callable[[int], Heaviest], also: Heaviest
) -> tuple[Indices, Array] | None:
    """m independent columns of large weight, and A there; None if there are not so many."""
    m, N = matrix.shape
    count = min(N, 8 * m)
    while True:
        found = candidates(count)
        both = np.concatenate((found.columns, also.columns))
        some, first = np.unique(both, return_index=True)
        weight = np.concatenate((found.weight, also.weight))[first]
        A, chosen = matrix.columns(some), np.empty(m, np.int64)
        if select_basis(A, weight, np.einsum("ij,ij->j", A, A), chosen):
            return some[chosen], np.ascontiguousarray(A[:, chosen])
        if count == N:
            return None
        count = min(N, 4 * count)


class WorkingSet:
    """The columns that a dense problem can hold, grown until no other one violates."""

    def __init__(self, matrix: Matrix, y: Array, p: float, dense: DenseLimit) -> None:
        self.matrix, self.y, self.p, self.dense = matrix, y, p, dense
        m, N = matrix.shape
        self.parts = matrix.parts()
        self._every, self._some = self.parts.thin(sampling(matrix))
        sizes, vectors = self._gram()
        self.singular = not sizes[0] > _SINGULAR * sizes[-1]
        if self.singular and self._every > 1:  # perhaps the rest is different
            self._every, self._some = 1, self.parts
            sizes, vectors = self._gram()
            self.singular = not sizes[0] > _SINGULAR * sizes[-1]
        self.index = np.empty(0, np.int64)
        if not self.singular:
            self._least = vectors @ ((vectors.T @ y) / sizes)
            found = self.nearest(min(N, 6 * m))
            self.index = np.sort(found.columns)
            self.L_start = -math.log(4.0 * float(np.max(found.weight)))

    def _gram(self) -> tuple[Array, Array]:
        """Eigenvalues and vectors of A A^T, or about so."""
        gram = np.zeros((self.y.size, self.y.size))
        for piece in self._some.each(work.plain_gram):
            gram += piece
        sizes, vectors = np.linalg.eigh(gram)
        return sizes * self._every, vectors

    def nearest(self, count: int) -> Heaviest:
        """The columns of the largest coordinates of the least-norm solution."""
        return merged(self._some.each(work.largest_tau, self._least, count), count)

    def solve(self, L: float) -> tuple[Array, Array, Array] | None:
        """Columns of the set, psi and slack for ``L = log(1/eps)``, once no other one violates."""
        m, N = self.matrix.shape
        parts = self._some  # first of those, then of all
        for _ in range(_ROUNDS):
            A = self.matrix.columns(self.index)
            limit = self.dense(A, self.y, self.p, -L / self.p)
            if limit is None:
                if self.index.size == N:
                    return None
                self._add(np.setdiff1d(np.arange(min(N, 4 * self.index.size)), self.index))
                continue
            psi, slack, dual = limit
            most = float(np.max(np.abs(dual @ A))) if self.p == 2.0 else 1.0
            level, count = (_JOINS, 16 * m) if self._every > 1 else (_VIOLATES, 3 * m)
            largest, columns = violators(parts, dual, self.index, level * most, count)
            if largest <= _VIOLATES * most and parts is not self.parts:
                parts = self.parts
                largest, columns = violators(parts, dual, self.index, level * most, count)
            if largest <= _VIOLATES * most:
                return A, psi, slack
            self._add(columns)
        return None

    def _add(self, columns: Indices) -> None:
        self.index = np.union1d(self.index, columns)
