"""How far the l1 minimisers of perturbed data can lie from a computed one.

For every A', y' with ``|A' - A| <= delta`` and ``|y' - y| <= delta`` entrywise. Two bounds,
derived in docs/hardness.md; all rounding is bounded and added. delta = 0 encloses the
minimiser of the data as they are.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Enclosure", "enclose"]

Array = NDArray[Any]  # of float64

_UNIT = 2.0**-53
_TINY = 1e-290  # more than underflow can take away from any sum here


class Enclosure(NamedTuple):
    """All minimisers of all perturbed data lie within `radius` (l2) of the computed x."""

    radius: float
    margin: float  # at least this is left of 1 - |A'^T dual| off the support; -inf if unknown


def enclose(A: Array, y: Array, x: Array, duals: list[Array], delta: float) -> Enclosure:
    """The smaller of the two bounds; `duals` are candidates for the dual certificate."""
    support = np.flatnonzero(x)
    with np.errstate(all="ignore"):
        vertex = Enclosure(math.inf, -math.inf)
        if support.size == y.size:
            vertex = _vertex(A, y, x, support, delta)
        radius = min((_distance(A, y, x, support, dual, delta) for dual in duals), default=math.inf)
    return Enclosure(min(vertex.radius, radius), vertex.margin)


def _gamma(n: int) -> float:
    """Relative error of a product of n terms, each way of summing them included."""
    return 1.01 * (n + 2) * _UNIT


def _up(value: Any, n: int) -> Array:
    """At least the exact sum of products of nonnegative numbers, n at most, computed as `value`."""
    return np.asarray(value * (1.0 + 4.0 * _gamma(n + 20)) + _TINY)


def _residual(y: Array, A: Array, x: Array) -> Array:
    """An upper bound on ``abs(y - A @ x)``, for a vector or a matrix x."""
    n = A.shape[1]
    size = np.abs(y) + np.abs(A) @ np.abs(x)
    return _up(np.abs(y - A @ x) + _gamma(n) * size, n)


def _absolute(A: Array, x: Array) -> Array:
    """An upper bound on ``abs(A @ x)``."""
    n = A.shape[1]
    return _up(np.abs(A @ x) + _gamma(n) * (np.abs(A) @ np.abs(x)), n)


def _vertex(A: Array, y: Array, x: Array, on: NDArray[np.int64], delta: float) -> Enclosure:
    """While the support is decided, the minimiser is the solution on it: docs/hardness.md (1)."""
    m, N = A.shape
    A_on, x_on, sign = A[:, on], x[on], np.sign(x[on])
    try:
        M = np.linalg.inv(A_on)
    except np.linalg.LinAlgError:
        return Enclosure(math.inf, -math.inf)
    one = np.eye(m)
    rows = _up(np.abs(M).sum(axis=1), m)
    total = float(_up(rows.sum(), m))
    left, right = _residual(one, M, A_on), _residual(one, A_on, M)
    beta = float(_up(left.sum(axis=0).max() + delta * total, m))
    gamma = float(_up(right.sum(axis=1).max() + delta * total, m))
    if not (beta < 1.0 and gamma < 1.0):
        return Enclosure(math.inf, -math.inf)
    # the dual, and its products with the other columns
    size = float(_up(_absolute(M.T, sign).sum() / (1.0 - gamma), m))
    off = np.setdiff1d(np.arange(N), on)
    margin = 1.0
    if off.size:
        K = M @ A[:, off]
        sums = _up(np.abs(K).sum(axis=0), m)
        wrong = _residual(A[:, off], A_on, K).max(axis=0)
        reach = _up(_absolute(K.T, sign) + (wrong + delta * (1.0 + sums)) * size, m)
        margin = 1.0 - float(_up(reach.max(), 1))
    if not margin > 0.0:
        return Enclosure(math.inf, margin)
    # the primal
    rest = _up(_residual(y, A_on, x_on) + delta * (1.0 + float(_up(np.abs(x_on).sum(), m))), m)
    v = _up(np.abs(M) @ rest, m)
    d1 = float(_up(v.sum() / (1.0 - beta), m))
    d = _up(v + (delta * rows + left.max(axis=1)) * d1, m)
    if not np.all(d < np.abs(x_on)):
        return Enclosure(math.inf, margin)
    return Enclosure(float(_up(np.linalg.norm(d), m)), margin)


def _distance(
    A: Array, y: Array, x: Array, on: NDArray[np.int64], dual: Array, delta: float
) -> float:
    """Bound from the l1 norm and one dual, whatever becomes of the support: (2)."""
    m, N = A.shape
    x1 = float(_up(np.abs(x).sum(), N))
    rest = float(_residual(y, A, x).max())
    gain = _norm_gain(A, rest + delta * (1.0 + x1), delta)
    if not gain < math.inf:
        return math.inf
    X = float(_up(x1 + gain, 2))  # no minimiser has a larger l1 norm
    trivial = float(_up(X + float(_up(np.linalg.norm(x), N)), 2))
    if on.size == 0:
        return X
    other = np.ones(N, dtype=bool)
    other[on] = False
    products = _absolute(A.T, dual)
    rho = float(products[other].max(initial=0.0))
    slip = float(_residual(np.sign(x[on]), A[:, on].T, dual).max())
    eta = float(_up(rest + delta * (1.0 + X), 4))
    weight = float(_up(np.abs(dual).sum(), m))
    if not rho < 1.0:
        return trivial
    excess = gain + slip * (x1 + X) + weight * eta
    off_size = float(_up(excess / (1.0 - rho), 8))
    P = np.linalg.pinv(A[:, on])
    phi = float(_up(np.linalg.norm(_residual(np.eye(on.size), P, A[:, on])), N + on.size**2))
    if not phi < 1.0:
        return trivial
    columns = np.linalg.norm(_absolute(P, A[:, other]), axis=0).max(initial=0.0)
    moved = np.linalg.norm(np.abs(P).sum(axis=1)) * eta + columns * off_size
    on_size = float(_up(moved / (1.0 - phi), N + m))
    return min(trivial, float(_up(math.hypot(on_size, off_size), 4)))


def _norm_gain(A: Array, eta: float, delta: float) -> float:
    """How much larger the least l1 norm can become where A x misses y' by eta at most."""
    m, N = A.shape
    R = np.linalg.pinv(A)
    size = np.abs(R)
    total = float(_up(size.sum(), N * m))
    spectral = math.sqrt(size.sum(axis=0).max() * size.sum(axis=1).max() * N) * math.sqrt(m)
    norm = min(total, float(_up(spectral, N + m)))  # of R from maximum norm to l1
    phi = float(_up(_residual(np.eye(m), A, R).sum(axis=1).max(), m))
    left = 1.0 - float(_up(phi + delta * norm, 2))
    return float(_up(norm * eta / left, 8)) if left > 0.0 else math.inf
