"""A factored Newton matrix that serves at neighbouring points of the path.

In basis coordinates the matrix is S = I + K K^T (see `tableau`), and towards alpha -> 0 it
tends to a limit at p > 2. Whether a factor of another point is good enough is measured: the
largest eigenvalue of S_kept^-1 S - 1 in size, by power iteration with exact products.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.linear import cholesky_solve, matvec, rmatvec
from fastdln.kernels.tableau import mark

__all__ = [
    "CLOSE",
    "NEAR",
    "Kept",
    "belongs",
    "distance",
    "keep",
    "newton_matrix",
    "no_factor",
    "room",
    "solve_near",
]

CLOSE = 0.03  # largest distance at which a factor is used as if it were the point's own
NEAR = 0.6  # and at which it serves to solve with the point's own matrix
_APART = 3.0  # change of a ratio of two rows' C that tells one that vanishes from one that stays
_ITERATIONS = 4
_DIGITS = 4.0  # of such a solution
_NOTHING = 1e-20  # of 1: a column that adds less to S is left out


class Newton(NamedTuple):
    """S = 1 + C inverse packed diag(weights) packed^T inverse^T C + rows^T rows, C = diag(left)."""

    packed: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray
    left: np.ndarray
    rows: np.ndarray


class Kept(NamedTuple):
    """A factor and the basis it belongs to."""

    S: np.ndarray  # (m, m), as `cholesky` leaves it
    columns: np.ndarray  # (m,) its basis; the first is negative if there is no factor
    measure: np.ndarray  # (m,) the C = D_B^-1/2 it is in


def room(m):
    """Room for a factor, and none in it."""
    return Kept(np.empty((m, m)), np.full(m, -1), np.ones(m))


no_factor = jit_inner(room)


@jit_inner
def keep(kept, columns, measure):
    """Say that the factor in `kept` belongs to this basis and is in units of this C."""
    for i in range(columns.size):
        kept.columns[i] = columns[i]
        kept.measure[i] = measure[i]


@jit_inner
def _uncouple(kept, measure):
    """p > 2: the factor without what couples rows that vanish with eps to rows that stay.

    In S it falls like the root of the ratio of their D, and 1e-20 of a row that stays would be
    more than all of one that vanishes.
    """
    m, low, high = measure.size, np.inf, 0.0
    for i in range(m):
        t = measure[i] / kept.measure[i]
        low, high = min(low, t), max(high, t)
    if high < _APART * low:  # not yet
        return
    for i in range(m):
        row, turn = kept.S[i], kept.measure[i] / measure[i]
        for j in range(i + 1, m):
            t = turn * (measure[j] / kept.measure[j])
            if not 2.0 > t > 0.5:
                row[j] *= min(t, 1.0 / t)
    for i in range(m):
        kept.measure[i] = measure[i]


@jit_inner
def _adapt(kept, measure):
    """The factor in units of another C.

    With S = U^T U = C M C it is M = X diag(U_ii / C_i)^2 X^T, X = C^-1 U^T diag(U)^-1 C. Small
    coordinates come first (see `state.reselect`), so that X stays where these vanish with eps;
    where a pair stands the other way round, U does.
    """
    m = measure.size
    for i in range(m):
        row, turn = kept.S[i], kept.measure[i] / measure[i]
        for j in range(i + 1, m):
            row[j] *= min(1.0, turn * (measure[j] / kept.measure[j]))
    for i in range(m):
        kept.measure[i] = measure[i]


@jit_inner
def belongs(kept, columns):
    """Whether there is a factor, of this basis."""
    for i in range(columns.size):
        if kept.columns[i] != columns[i]:
            return False
    return True


@jit_inner
def _counting(A, basis, apart, D, scale, unit):
    """The columns outside B and E that S tells from 0, packed, and their D."""
    m, N = A.shape
    top, count = 0.0, 0
    for i in range(m):
        top = max(top, unit[i] * scale[i])
    index, inside = np.empty(N, np.int64), mark(N, basis, apart)
    for j in range(N):
        if not inside[j] and D[j] * top * top > _NOTHING:
            index[count] = j
            count += 1
    packed, weights = np.empty((m, count)), np.empty(count)
    for k in range(count):
        weights[k] = D[index[k]]
    for i in range(m):
        source, target = A[i], packed[i]
        for k in range(count):
            target[k] = source[index[k]]
    return packed, weights


@jit_inner
def newton_matrix(A, basis, apart, D, scale, unit, far):
    """The S that `path.newton_factor` forms, as an operator."""
    packed, weights = _counting(A, basis, apart, D, scale, unit)
    m, count = scale.size, apart.columns.size
    left, rows = np.empty(m), np.empty((count, m))
    for i in range(m):
        left[i] = unit[i] * scale[i]
    for k in range(count):
        root = math.sqrt(D[apart.columns[k]])
        for i in range(m):
            rows[k, i] = root * apart.g_hi[k, i] * (left[i] if far[k] else scale[i])
    return Newton(packed, weights, basis.inverse, left, rows)


@jit_inner
def _apply(S, z, out):
    """``out = S z``."""
    m = z.size
    t, v, w = np.empty(m), np.empty(m), np.empty(S.weights.size)
    for i in range(m):
        t[i] = S.left[i] * z[i]
    rmatvec(S.inverse, t, v)
    rmatvec(S.packed, v, w)
    for j in range(w.size):
        w[j] *= S.weights[j]
    matvec(S.packed, w, v)
    matvec(S.inverse, v, t)
    for i in range(m):
        out[i] = z[i] + S.left[i] * t[i]
    for k in range(S.rows.shape[0]):
        row, total = S.rows[k], 0.0
        for i in range(m):
            total += row[i] * z[i]
        for i in range(m):
            out[i] += row[i] * total


@jit_inner
def distance(S, kept, measure, p_is_2):
    """About the spectral radius of S_kept^-1 S - 1; NaN where that cannot be told.

    `measure` is the C of S; the kept factor is turned to it.
    """
    m = S.left.size
    if p_is_2:
        _adapt(kept, measure)
    else:
        _uncouple(kept, measure)
    z, v = np.empty(m), np.empty(m)
    for i in range(m):
        z[i] = 1.0 if (i * 7) % 11 < 5 else -1.0
    ratio = 0.0
    for _ in range(_ITERATIONS):
        _apply(S, z, v)
        cholesky_solve(kept.S, v)
        before, after = 0.0, 0.0
        for i in range(m):
            v[i] -= z[i]
            before += z[i] * z[i]
            after += v[i] * v[i]
        if after == 0.0:
            break
        ratio = max(ratio, math.sqrt(after / before))
        for i in range(m):
            z[i] = v[i] / math.sqrt(after)
    return ratio


@jit_inner
def solve_near(S, kept, away, z):
    """Overwrite z by S^-1 z to some digits, by a factor at the distance `away`.

    Chebyshev's method for eigenvalues of S_kept^-1 S in 1 -+ 1.2 away. Unlike conjugate
    gradients it treats every coordinate alike, and these differ by hundreds of decades.
    """
    m, d = z.size, min(1.2 * away, 0.9)
    rate = (1.0 - math.sqrt(1.0 - d * d)) / d
    right, step, w = z.copy(), z.copy(), np.empty(m)
    cholesky_solve(kept.S, step)
    for i in range(m):
        z[i] = step[i]
    rho = d
    for _ in range(int(_DIGITS / -math.log10(rate))):
        _apply(S, z, w)
        for i in range(m):
            w[i] = right[i] - w[i]
        cholesky_solve(kept.S, w)
        after = 1.0 / (2.0 / d - rho)
        for i in range(m):
            step[i] = after * rho * step[i] + 2.0 * after / d * w[i]
            z[i] += step[i]
        rho = after
