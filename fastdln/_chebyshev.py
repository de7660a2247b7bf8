"""The least maximum of abs(start + directions z): the linear program behind rho, by homotopy.

The shortest z with ``abs(start + directions z) <= t`` is piecewise linear in t, like a path of
LASSO solutions whose columns are the rows of `directions`, and the same kernels follow it down
from t = max abs(start). Once the active rows span, a further one is exchanged for one of them
(a step of the simplex method); where none can leave, t is least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastdln._working_path import WorkingPath

__all__ = ["least_maximum"]

Array = NDArray[np.float64]

_TIED = 1e-9  # relative weight, or distance from the maximum, below which more rows may be active


class _Path(WorkingPath):
    """The penalty falls by a small factor in all, and many rows end close to it."""

    level, near_enough = 0.98, 0.7


def least_maximum(start: Array, directions: Array) -> tuple[Array, NDArray[np.int64], bool] | None:
    """z, the rows with a positive multiplier, and whether these are all that can have one.

    None where that did not work out (ties, a maximum of 0).
    """
    f = directions.shape[1]
    with np.errstate(all="ignore"):
        path = _Path(np.ascontiguousarray(directions.T), np.zeros(f), start)
        if not 1e-200 < path.t < 1e200 or not path.follow():
            return None
    rows = path.near[np.append(path.active[:f], path.entering)]
    weights = np.append(path.weights[:f], 1.0)
    size = np.abs(path.all)
    size[rows] = 0.0
    positive = weights > _TIED * np.max(weights)
    only = bool(np.all(positive)) and not np.max(size, initial=0.0) > path.t * (1.0 - _TIED)
    return path.r, np.sort(rows[positive]), only
