"""Gradient descent in float64, one pass over A a step.

    u' = u - (eta p) u^(p-1) g,   v' = v + (eta p) v^(p-1) g,   g = A^T (A psi - y)

The rows of A are taken four at a time: their products with psi first, then their share
of g while they are still in cache. Rows are cut into `groups` of fixed extent, each with
a g of its own, added in order: the bits do not depend on who computes which.

A state is an array (2, 3, N): two copies of u, v, psi. A step reads one and writes the
other, so that the last finite state outlives an overflow. `at` holds the number of
steps taken and which copy is the present one.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import LANES, four_dots
from fastdln.kernels.descent_power import power_into
from fastdln.kernels.intrinsics import use_wide_vectors

__all__ = ["DIVERGED", "MOVING", "STALLED", "fill", "psi_of", "run", "run_rows", "sweep", "update"]

MOVING, STALLED, DIVERGED = 0, 1, 2


@jit_inner
def _fold(s):
    """The sum of the lanes, by halves."""
    width = LANES // 2
    while width > 0:
        for k in range(width):
            s[k] += s[k + width]
        width //= 2
    return s[0]


@jit_inner
def _dot_four(a0, a1, a2, a3, x, s):
    """Four dot products with x, each in 16 partial sums; s is scratch, (4, 16)."""
    n = x.size
    whole = n - n % LANES
    four_dots(a0, a1, a2, a3, x, s, whole)
    t0, t1, t2, t3 = 0.0, 0.0, 0.0, 0.0
    for j in range(whole, n):
        t0 += a0[j] * x[j]
        t1 += a1[j] * x[j]
        t2 += a2[j] * x[j]
        t3 += a3[j] * x[j]
    return _fold(s[0]) + t0, _fold(s[1]) + t1, _fold(s[2]) + t2, _fold(s[3]) + t3


@jit_inner
def _add_four(a0, a1, a2, a3, r0, r1, r2, r3, g):
    """``g += (r0 a0 + r1 a1) + (r2 a2 + r3 a3)``."""
    use_wide_vectors()
    for j in range(g.size):
        g[j] += (r0 * a0[j] + r1 * a1[j]) + (r2 * a2[j] + r3 * a3[j])


@jit
def sweep(A, y, psi, g):
    """``g = A.T @ (A @ psi - y)``, reading A once. A missing fourth row counts as zero."""
    for j in range(g.size):
        g[j] = 0.0
    s = np.empty((4, LANES))
    m = y.size
    for i in range(0, m, 4):
        left = m - i
        i1, i2, i3 = i + min(1, left - 1), i + min(2, left - 1), i + min(3, left - 1)
        a0, a1, a2, a3 = A[i], A[i1], A[i2], A[i3]
        r0, r1, r2, r3 = _dot_four(a0, a1, a2, a3, psi, s)
        r0 -= y[i]
        r1 = r1 - y[i1] if left > 1 else 0.0
        r2 = r2 - y[i2] if left > 2 else 0.0
        r3 = r3 - y[i3] if left > 3 else 0.0
        _add_four(a0, a1, a2, a3, r0, r1, r2, r3, g)


@jit
def psi_of(u, v, p, up, vp, psi):
    """``psi = u^p - v^p``, and ``up = u^(p-1)``, ``vp = v^(p-1)`` on the way."""
    power_into(u, p - 1.0, up)
    power_into(v, p - 1.0, vp)
    for j in range(u.size):
        psi[j] = up[j] * u[j] - vp[j] * v[j]


@jit
def update(old, new, g, p, rate, work, ready):
    """One step from `old` to `new`, both (3, n), given the partial g (groups, n).

    Returns MOVING, STALLED (no weight changed) or DIVERGED (psi is no longer finite).
    `work` is (3, n); it is `ready` if the last call on it ended at `old`, whose powers it holds.
    """
    total, up, vp = work[0], work[1], work[2]
    u, v, un, vn = old[0], old[1], new[0], new[1]
    first = g[0]
    for j in range(u.size):
        total[j] = first[j]
    for i in range(1, g.shape[0]):
        part = g[i]
        for j in range(u.size):
            total[j] += part[j]
    if not ready:
        power_into(u, p - 1.0, up)
        power_into(v, p - 1.0, vp)
    moved = 0
    for j in range(u.size):
        un[j] = u[j] - (rate * up[j]) * total[j]
        vn[j] = v[j] + (rate * vp[j]) * total[j]
        moved += (un[j] != u[j]) | (vn[j] != v[j])
    psi_of(un, vn, p, up, vp, new[2])
    psi, lost = new[2], 0
    for j in range(psi.size):
        lost += not (abs(psi[j]) < np.inf)
    if lost > 0:
        return DIVERGED
    return MOVING if moved > 0 else STALLED


@jit
def run(A, y, p, rate, state, at, cuts, n_steps):
    """Take up to n_steps steps on one thread; `cuts` are the ends of the row groups."""
    groups, N = cuts.size - 1, A.shape[1]
    g, work = np.empty((groups, N)), np.empty((3, N))
    for k in range(n_steps):
        now = at[1]
        old, new = state[now], state[1 - now]
        for i in range(groups):
            sweep(A[cuts[i] : cuts[i + 1]], y[cuts[i] : cuts[i + 1]], old[2], g[i])
        flag = update(old, new, g, p, rate, work, k > 0)
        if flag != MOVING:
            return flag
        at[0] += 1
        at[1] = 1 - now
    return MOVING


@jit
def run_rows(A, y, p, rate, state, at, rows):
    """One step for each line of `rows` (n, b), with the residual of those rows of A alone."""
    b, N = rows.shape[1], A.shape[1]
    part, target = np.empty((b, N)), np.empty(b)
    g, work = np.empty((1, N)), np.empty((3, N))
    for k in range(rows.shape[0]):
        for i in range(b):
            source, copy = A[rows[k, i]], part[i]
            for j in range(N):
                copy[j] = source[j]
            target[i] = y[rows[k, i]]
        now = at[1]
        sweep(part, target, state[now, 2], g[0])
        if update(state[now], state[1 - now], g, p, rate, work, k > 0) == DIVERGED:
            return DIVERGED
        at[0] += 1
        at[1] = 1 - now
    return MOVING


@jit
def fill(state, p):
    """Compute psi of the present copy (the first), at a start."""
    work = np.empty((2, state.shape[2]))
    psi_of(state[0, 0], state[0, 1], p, work[0], work[1], state[0, 2])
