"""A factored Newton matrix that serves at neighbouring points of the path.

In basis coordinates the matrix is S = I + K K^T (see `tableau`), and towards alpha -> 0 it
tends to a limit at p > 2. Whether a factor of another point is good enough is measured: the
largest eigenvalue of S_kept^-1 S - 1 in size, by power iteration with exact products.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.linear import cholesky_solve, matvec, rmatvec

__all__ = ["CLOSE", "Kept", "belongs", "distance", "keep", "no_factor"]

CLOSE = 0.03  # largest distance at which a factor is used again
_ITERATIONS = 4


class Kept(NamedTuple):
    """A factor and the basis it belongs to."""

    S: np.ndarray  # (m, m), as `cholesky` leaves it
    columns: np.ndarray  # (m,) its basis; the first is negative if there is no factor


@jit
def no_factor(m):
    """Room for a factor."""
    return Kept(np.empty((m, m)), np.full(m, -1))


@jit_inner
def keep(kept, columns):
    """Say that the factor in `kept` belongs to this basis."""
    for i in range(columns.size):
        kept.columns[i] = columns[i]


@jit_inner
def belongs(kept, columns):
    """Whether there is a factor, of this basis."""
    for i in range(columns.size):
        if kept.columns[i] != columns[i]:
            return False
    return True


@jit_inner
def _apply(A, basis, apart, rest, scale, unit, far, D, z, out):
    """``out = S z`` for the S that `path.newton_factor` forms; `rest` is D outside B and E."""
    m, N = A.shape
    t, v, w = np.empty(m), np.empty(m), np.empty(N)
    for i in range(m):
        t[i] = unit[i] * scale[i] * z[i]
    rmatvec(basis.inverse, t, v)
    rmatvec(A, v, w)
    for j in range(N):
        w[j] *= rest[j]
    matvec(A, w, v)
    matvec(basis.inverse, v, t)
    for i in range(m):
        out[i] = z[i] + unit[i] * scale[i] * t[i]
    for k in range(apart.columns.size):
        total = 0.0
        for i in range(m):
            total += apart.g_hi[k, i] * scale[i] * (unit[i] if far[k] else 1.0) * z[i]
        total *= D[apart.columns[k]]
        for i in range(m):
            out[i] += apart.g_hi[k, i] * scale[i] * (unit[i] if far[k] else 1.0) * total


@jit_inner
def distance(A, basis, apart, D, scale, unit, far, rest, kept):
    """About the spectral radius of S_kept^-1 S - 1; NaN where that cannot be told."""
    m = scale.size
    for j in range(D.size):
        rest[j] = D[j]
    for j in basis.columns:
        rest[j] = 0.0
    for j in apart.columns:
        rest[j] = 0.0
    z, v = np.empty(m), np.empty(m)
    for i in range(m):
        z[i] = 1.0 if (i * 7) % 11 < 5 else -1.0
    ratio = 0.0
    for _ in range(_ITERATIONS):
        _apply(A, basis, apart, rest, scale, unit, far, D, z, v)
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
