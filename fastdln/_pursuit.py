"""The only l1 minimiser of a large problem, by homotopy; then it is proved.

The path of LASSO solutions (kernels/homotopy.py) proposes a support and a dual. Then A_S x = y
is solved in double-double and confirmed in exact arithmetic, and the dual is below 1 off S by
a clear margin: that proves the minimiser, however it was found. Anything less is left to others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdln._working_path import WorkingPath
from fastdln.kernels.exact import exact_rank
from fastdln.kernels.homotopy import direction, solve_active, solve_dual
from fastdln.kernels.linear import rmatvec

__all__ = ["Vertex", "pursue"]

Array = NDArray[np.float64]

_CLEAR = 1e-9  # margins below are left to exact means
_NOTHING = 1e-25  # of the largest coordinate: zero to double-double precision, if exact means agree
_CONSISTENT = 2.0**-80  # relative residual in double-double up to which A_S x = y is believed
_ROUNDING = 1e-13
_LEVELS = 4  # times that a path is taken up again with what is left of y


class Vertex(NamedTuple):
    """The only minimiser, its support, and a dual certificate."""

    support: NDArray[np.int64]
    values: Array
    dual: Array
    margin: float


class _Path(WorkingPath):
    """The path down to A x = y."""

    def __init__(self, A: Array, y: Array) -> None:
        super().__init__(A, y)
        self.y = y

    def solve(self) -> tuple[Array, Array, Array] | None:
        """x on the active columns in double-double, and y - A x."""
        k = self.k
        A_on = np.ascontiguousarray(self.store[:k].T)
        hi, lo, left = np.empty(k), np.empty(k), np.empty(self.y.size)
        return (hi, lo, left) if solve_active(A_on, self.y, self.R, hi, lo, left) else None

    def take_up(self, hi: Array, left: Array) -> None:
        """Start again near t = 0 from the solution on the active columns and what is left of y.

        There r = t u + left and x = hi - t d; t is so large that no event has happened yet.
        """
        k = self.k
        rest, d = np.empty_like(self.all), np.empty(self.y.size)
        rmatvec(self.A, left, rest)
        direction(self.store, self.sign, k, self.R, d, np.empty_like(self.u))
        room = 1.0 - np.abs(self.all)
        room[self.near[self.active[:k]]] = np.inf
        joins = float(np.max(np.abs(rest) / np.maximum(room, 1e-12)))
        leaves = float(np.max(-self.sign[:k] * hi / np.abs(d[:k])))
        self.t = 4.0 * max(joins, leaves)
        self.r[:] = self.t * self.u + left
        self.all *= self.t
        self.all += rest
        self.widen(self.t)
        self.x[:k] = hi - self.t * d[:k]


def pursue(A: Array, y: Array) -> Vertex | None:
    """The only minimiser of ||x||_1 over A x = y, proved; None where that did not work out."""
    with np.errstate(all="ignore"):
        path = _Path(A, y)
        if not 1e-200 < path.t < 1e200:
            return None
        for _ in range(_LEVELS):
            if not path.follow():
                return None
            solution = path.solve()
            if solution is None:
                return None
            hi, _, left = solution
            if np.max(np.abs(left)) <= _CONSISTENT * np.max(np.abs(y)):
                return _prove(path, hi)
            if path.k == y.size:
                return None
            path.take_up(hi, left)
    return None


def _prove(path: _Path, x: Array) -> Vertex | None:
    """Confirm exactly that A_S x = y, where that could be rounding, and find a clear margin."""
    m, k = path.y.size, path.k
    active, sign = path.near[path.active[:k]], path.sign[:k]
    on = np.abs(x) > _NOTHING * np.max(np.abs(x))
    if not np.all(sign[on] * x[on] > 0.0):
        return None
    A_S = np.ascontiguousarray(path.store[:k][on].T)
    rank = A_S.shape[1]
    if rank < m and exact_rank(np.column_stack((A_S, path.y))) != rank:
        return None  # (A_S itself has that rank: its factor is far from singular)
    margin = _interior(path, on)
    largest = max(float(np.max(path.A)), -float(np.min(path.A)))
    doubt = 4.0 * (m + 8.0) * 2.0**-53 * largest * float(np.sum(np.abs(path.u)))
    if not margin > _CLEAR + doubt:  # of the products with the dual by rounding
        return None
    support = active[on]
    order = np.argsort(support)
    return Vertex(support[order], x[on][order], path.u, margin)


def _interior(path: _Path, on: NDArray[np.bool_]) -> float:
    """Make the dual u less than 1 off the support by as much as one direction allows; the margin.

    Active columns that ended at 0 have products 1 with it: lower them all together.
    """
    k = path.k
    A_on = np.ascontiguousarray(path.store[:k].T)
    target, support = path.sign[:k].copy(), path.near[path.active[:k][on]]
    dual, products = path.u, path.all
    products[support] = 0.0
    if not np.all(on):
        v, lowered = np.zeros(dual.size), np.empty_like(products)
        solve_dual(A_on, np.where(on, 0.0, target), path.R, v)
        rmatvec(path.A, v, lowered)
        lowered[support] = 0.0
        close = np.abs(products) + np.abs(lowered) > 0.5
        p, q = products[close], lowered[close]
        low, high = 0.0, 1.0
        for _ in range(40):  # the margin is a concave function of the length of the step
            a, b = low + (high - low) / 3.0, high - (high - low) / 3.0
            if np.max(np.abs(p - a * q)) > np.max(np.abs(p - b * q)):
                low = a
            else:
                high = b
        step = 0.5 * (low + high)
        dual -= step * v
        products -= step * lowered
        target[~on] *= 1.0 - step
    if not solve_dual(A_on, target, path.R, dual) < _ROUNDING:
        return -np.inf
    return 1.0 - float(np.max(np.abs(products)))
