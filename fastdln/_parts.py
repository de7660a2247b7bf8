"""N-vectors cut as the pieces of a matrix are, and work on every piece."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastdln._piece_work import Part
from fastdln._threads import in_order

__all__ = ["Parts"]

Array = NDArray[np.float64]

_FEWEST = 8  # pieces, at least, where some stand for all


class InPieces(Protocol):
    """A matrix that gives pieces of its columns."""

    shape: tuple[int, int]

    def cuts(self) -> list[tuple[int, int]]:
        """First and last column of each piece."""

    def piece(self, lo: int, hi: int) -> Any:
        """Columns lo to hi."""


class Parts:
    """psi, D and the slack of all coordinates, cut as the pieces of A are."""

    def __init__(self, matrix: InPieces) -> None:
        self._matrix = matrix
        N = matrix.shape[1]
        self._psi, self._D, self._slack = (np.empty(N) for _ in range(3))
        self._parts = [
            Part(lo, hi, (self._psi[lo:hi], self._D[lo:hi], self._slack[lo:hi]))
            for lo, hi in matrix.cuts()
        ]

    def each(self, work: Callable[..., Any], *given: Any) -> Iterator[Any]:
        """``work(piece, part, *given)`` for every piece, on all cores; results in order."""
        if getattr(work, "needs_no_piece", False):
            return (work(None, part, *given) for part in self._parts)
        return in_order(
            lambda part: work(self._matrix.piece(part.lo, part.hi), part, *given), self._parts
        )

    def thin(self, every: int) -> tuple[int, Parts]:
        """One piece in `every`, or in as many as there are pieces enough for; and that number."""
        every = max(1, min(every, len(self._parts) // _FEWEST))
        some = copy.copy(self)
        some._parts = self._parts[::every]
        return every, some

    def arrays(self) -> tuple[Array, Array, Array]:
        """psi, D and slack, shape (N,) each; nothing else is to be done with the parts then."""
        return self._psi, self._D, self._slack
