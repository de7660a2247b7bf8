"""The columns of A that weigh most, held in memory, and thin parts that stand for the others.

Newton's method on these leads to where the error of the sample is all that is left, and reads
little of A. Later the held columns tell how A D A^T has changed since it was formed of
all: what the others add to it hardly changes.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._operator import DensePiece
from fastdln._parts import Parts
from fastdln._piece_work import Heaviest, Look, Part, Point, Reading, Wanted

__all__ = ["Held", "Model"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_NONE = np.empty(0, np.int64)


class Model(NamedTuple):
    """A problem of the held columns and of a sample: sums at a dual."""

    v: Array  # A psi but for the basis
    gram: Array  # A D A^T likewise
    basis: Reading  # of the held columns
    longest: float  # of the others, see `Reading`
    steepest: float
    far: float


class Held:
    """Some columns of A, by ascending number, and samples: one part in so many, fewer first."""

    def __init__(self, index: Indices, A: Array, samples: list[tuple[int, Parts]]) -> None:
        self.index, self.samples = index, samples
        self.piece, self.part = DensePiece(A), Part(0, index.size)
        self.shape = A.shape
        self._kept: tuple[Parts | None, Array] = None, np.empty((0, 0))  # A D A^T of a sample

    def places(self, columns: Indices) -> Indices:
        """Where those of the columns are that are held."""
        found = np.minimum(np.searchsorted(self.index, columns), self.index.size - 1)
        return found[self.index[found] == columns]

    def columns(self, index: Indices) -> Array:
        """A[:, index] of columns that are held."""
        return np.ascontiguousarray(self.piece.block[:, self.places(index)])

    def beyond(
        self, dual: Array, columns: Indices, level: float, count: int
    ) -> tuple[float, Indices]:
        """Largest |A^T dual| outside `columns`, and the columns of the largest above `level`."""
        largest, found = work.beyond(
            self.piece, self.part, dual, self.places(columns), level, count
        )
        return largest, self.index[found.columns[found.weight > level]]

    def sums(self, point: Point, sample: int, keep: bool = False) -> Model:
        """Sums over the held columns, and over parts that stand for all others.

        `keep`: A D A^T of these is the last one of theirs, if there is one.
        """
        every, parts = self.samples[sample]
        keep = keep and self._kept[0] is parts
        given = point.dual_hi, point.p, point.L, self.index, not keep
        others = parts.each(work.sums_apart, *given)
        others = itertools.chain([next(others)], others)  # some are under way from here on
        own = point._replace(columns=self.places(point.columns))
        found = work.read(self.piece, self.part, own, Wanted(1, False, False, _NONE))
        assert found.gram is not None
        v, gram, sizes = found.v_hi, np.zeros_like(found.gram), [(0.0, 0.0, -math.inf)]
        for one in others:
            v = v + every * one.v
            if one.gram is not None:
                gram += every * one.gram
            sizes.append((one.longest, one.steepest, -one.far))
        if keep:
            gram = self._kept[1]
        self._kept = parts, gram
        longest, steepest, far = np.max(sizes, axis=0).tolist()
        return Model(v, found.gram + gram, found, longest, steepest, -far)

    def fits(self, dual: Array, columns: Indices) -> bool:
        """Whether |A^T dual| < 1 but for a basis."""
        tau = self.piece.rmatvec(dual)
        tau[self.places(columns)] = 0.0
        return bool(np.max(np.abs(tau)) < 1.0)

    def look(self, dual: Array, columns: Indices, p_is_2: bool, scale: float) -> Look:
        """What a step does to these columns but for a basis."""
        return work.look(self.piece, self.part, dual, self.places(columns), p_is_2, scale)

    def look_ahead(self, dual: Array, columns: Indices, p_is_2: bool, scale: float) -> float:
        """Its move, where slacks may grow more than shrink."""
        step = self.piece.rmatvec(dual) * np.sign(self.part.psi)
        step[self.places(columns)] = 0.0
        return work.eased(step if p_is_2 else step * (scale / self.part.slack))

    def look_around(self, dual: Array, point: Point, sample: int, scale: float) -> float:
        """That of the columns that are not held, as far as a sample tells."""
        _, parts = self.samples[sample]
        given = dual, point.dual_hi, point.p, scale, self.index
        return max(parts.each(work.look_apart, *given))

    def heaviest(self, count: int) -> list[Heaviest]:
        """The columns of largest D."""
        found = work.heaviest(None, self.part, count)
        return [Heaviest(self.index[found.columns], found.weight)]
