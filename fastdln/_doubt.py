"""By how much psi outside the basis may change where the dual is in doubt.

The change of psi_j is at most |a_j|^T doubt D_j. All of A need not be read to find the
largest: |a_j|^T doubt <= ||a_j|| ||doubt||, so that the columns that this leaves decide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fastdln import _piece_work as work
from fastdln._operator import Matrix
from fastdln._parts import Parts
from fastdln._piece_work import Ceiling, Worst, relative_to

__all__ = ["largest_doubt"]

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_FEW = 64  # columns that are looked at, of each kind
_ROUNDING = 1.0 + 1e-9  # of lengths and their products


def largest_doubt(matrix: Matrix, parts: Parts, doubt: Array, columns: Indices) -> Worst:
    """The largest changes outside the basis, and the largest psi."""
    relative, absolute, psi = zip(*parts.each(work.ceilings, columns, _FEW), strict=True)
    length = _ROUNDING * math.sqrt(float(np.sum(doubt**2)))
    first, beyond_first = _largest(matrix, _merged(relative), doubt, True)
    second, beyond_second = _largest(matrix, _merged(absolute), doubt, False)
    if length * beyond_first <= first and length * beyond_second <= second:
        return Worst(first, second, max(psi))
    everywhere = list(parts.each(work.worst, doubt, columns))
    return Worst(*np.max(everywhere, axis=0).tolist())


def _merged(found: tuple[Ceiling, ...]) -> Ceiling:
    """The heaviest of all."""
    columns, weight, psi, D = (np.concatenate(part) for part in list(zip(*found, strict=True))[:4])
    order = np.argsort(-weight, kind="stable")
    few = order[:_FEW]
    left = max(float(np.max(weight[order[_FEW:]], initial=0.0)), *(one.left for one in found))
    return Ceiling(columns[few], weight[few], psi[few], D[few], left)


def _largest(matrix: Matrix, few: Ceiling, doubt: Array, is_relative: bool) -> tuple[float, float]:
    """The largest change of a few columns, and how many times ||doubt|| that of others may be."""
    moved = (np.abs(matrix.columns(few.columns)).T @ doubt) * few.D
    moved[few.weight == 0.0] = 0.0  # of the basis
    if is_relative:
        moved = relative_to(moved, np.abs(few.psi))
    return float(np.max(moved, initial=0.0)), few.left
