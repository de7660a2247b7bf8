"""The few columns that decide a problem with very many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._held_columns import Held
from fastdln._operator import Matrix
from fastdln._parts import Parts
from fastdln._piece_work import Heaviest
from fastdln.kernels.select import select_basis

__all__ = ["COSTLY", "DenseLimit", "Start", "WorkingSet", "choose_basis", "sampling", "violators"]

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
_THIN = 512  # the same, of the parts that stand for those that are not held
_FINER = 6  # times as many in a second sample
_HELD_BYTES = 1 << 25
_FEWEST = 64  # columns a row that are worth to be held


class Start(NamedTuple):
    """Some columns, and the limit of these alone."""

    columns: Indices
    A: Array
    psi: Array
    slack: Array
    dual: Array


# (dual, columns, level, count) -> `violators`
Search = Callable[[Array, Indices, float, int], tuple[float, Indices]]


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
    matrix: Matrix | Held, candidates: Callable[[int], Heaviest], also: Heaviest
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
        self.index, self._A = np.empty(0, np.int64), np.empty((m, 0))
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

    def solve(self, L: float) -> Start | None:
        """Some columns and their limit at ``L = log(1/eps)``, once no other column violates."""
        found = None
        for parts in (self._some, self.parts) if self._every > 1 else (self.parts,):
            found = self._grow(L, partial(violators, parts), self.matrix)
            if found is None:
                break
        return found

    def hold(self, L: float, dual: Array | None = None, before: Held | None = None) -> Held | None:
        """The columns of large |A^T dual|, in memory; None where that is of no use.

        The dual is the one of a few columns, at first: others violate it, but these are held then.
        """
        (m, N), cuts = self.matrix.shape, len(self.matrix.cuts())
        count = min(N, _HELD_BYTES // (8 * m))
        if self._every == 1 or count < _FEWEST * m:
            return None
        if dual is None:
            start = self._grow(L, partial(violators, self._some), self.matrix)
            if start is None:
                return None
            dual = start.dual
        some = max(1, count // (2 * self._every))
        level = float(merged(self._some.each(work.largest_tau, dual, some), some).weight[-1])
        found = list(self.parts.each(work.nearby, dual, level, max(64, 2 * count // cuts)))
        heaviest = merged((one for one, _ in found), count)
        least = heaviest.weight[-1] if heaviest.weight.size else math.inf
        sources = [(self.index, self._A), *((one.columns, block) for one, block in found)]
        kept = [self.index, *(one.columns[one.weight >= least] for one, _ in found)]
        if before is not None:
            sources.append((before.index, before.piece.block))
            kept.append(before.index)
        index = np.unique(np.concatenate(kept))
        A = np.empty((m, index.size))
        for place, block in sources:
            to = np.minimum(np.searchsorted(index, place), index.size - 1)
            known = index[to] == place
            A[:, to[known]] = block[:, known]
        some = N // (_THIN * m)
        samples = [self.parts.thin(every) for every in (some, some // _FINER)]
        return Held(index, A, samples if samples[1][0] < samples[0][0] else samples[:1])

    def solve_held(self, L: float, held: Held) -> Start | None:
        """As `solve`, once none of the held columns violates."""
        return self._grow(L, held.beyond, held)

    def _grow(self, L: float, search: Search, source: Any) -> Start | None:
        """Solve and add columns until the search finds none."""
        m, N = self.matrix.shape
        if self._A.shape[1] != self.index.size:
            self._A = self.matrix.columns(self.index)
        for _ in range(_ROUNDS):
            limit = self.dense(self._A, self.y, self.p, -L / self.p)
            if limit is None:
                if self.index.size == N or source is not self.matrix:
                    return None
                first = np.arange(min(N, 4 * self.index.size))
                self._add(np.setdiff1d(first, self.index), self.matrix)
                continue
            psi, slack, dual = limit
            most = float(np.max(np.abs(dual @ self._A))) if self.p == 2.0 else 1.0
            level, count = (_JOINS, 16 * m) if self._every > 1 else (_VIOLATES, 3 * m)
            largest, columns = search(dual, self.index, level * most, count)
            if largest <= _VIOLATES * most:
                return Start(self.index, self._A, psi, slack, dual)
            self._add(columns, source)
        return None

    def _add(self, columns: Indices, source: Any) -> None:
        both = np.concatenate((self.index, columns))
        order = np.argsort(both)
        A = np.concatenate((self._A, source.columns(columns)), axis=1)
        self.index, self._A = both[order], np.ascontiguousarray(A[:, order])
