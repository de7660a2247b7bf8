"""Gradient descent in twice the working precision, one pass over A a step.

    u' = u (1 - x),   v' = v (1 + z),   x = eta p u^(p-2) g,   z = eta p v^(p-2) g

Weights, psi, residual and g are double-doubles. Updates multiply: a weight keeps
2**-102 of itself through each of them, however small x is, so that k steps leave
k 2**-102, and nothing stands still. For p = 2, x = 2 eta g for every weight: the factors
are those that the logarithms of u and v would add up.

A state is an array (2, 6, N): two copies of u, v, psi, each as hi and lo. The rest is as
in `descent_plain`.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import LANES, dot_dd
from fastdln.kernels.descent_plain import DIVERGED, MOVING, STALLED
from fastdln.kernels.descent_power import power_dd_into
from fastdln.kernels.extended import (
    dd_add,
    dd_add_double,
    dd_mul,
    fast_two_sum,
    two_product,
    two_sum,
)
from fastdln.kernels.intrinsics import fma, use_wide_vectors

__all__ = ["fill", "run", "sweep", "update"]


@jit_inner
def _dot(row, xh, xl, s, c):
    """``row . (xh + xl)`` as a double-double (Dot2, 16 partial sums; s, c are scratch)."""
    n = row.size
    whole = n - n % LANES
    dot_dd(row, xh, xl, s, c, whole)
    hi, lo = 0.0, 0.0
    for j in range(whole, n):
        p, e = two_product(row[j], xh[j])
        hi, f = two_sum(hi, p)
        lo += fma(row[j], xl[j], e + f)
    hi, lo = fast_two_sum(hi, lo)
    for k in range(LANES):
        p, e = fast_two_sum(s[k], c[k])
        hi, lo = dd_add(hi, lo, p, e)
    return hi, lo


@jit_inner
def _add_two(a, b, rh, rl, qh, ql, gh, gl):
    """``g += r a + q b``; gl gathers what gh rounds away."""
    use_wide_vectors()
    for j in range(gh.size):
        p, e = two_product(a[j], rh)
        t, f = two_sum(gh[j], p)
        low = fma(a[j], rl, e + f)
        p, e = two_product(b[j], qh)
        gh[j], f = two_sum(t, p)
        gl[j] += low + fma(b[j], ql, e + f)


@jit
def sweep(A, y, psih, psil, gh, gl):
    """``gh + gl = A.T @ (A @ psi - y)``, two rows at a time, reading A once."""
    for j in range(gh.size):
        gh[j] = 0.0
        gl[j] = 0.0
    s = np.empty((2, LANES))
    m = y.size
    for i in range(0, m, 2):
        a = A[i]
        rh, rl = _dot(a, psih, psil, s[0], s[1])
        rh, rl = dd_add_double(rh, rl, -y[i])
        b, qh, ql = a, 0.0, 0.0
        if i + 1 < m:
            b = A[i + 1]
            qh, ql = _dot(b, psih, psil, s[0], s[1])
            qh, ql = dd_add_double(qh, ql, -y[i + 1])
        _add_two(a, b, rh, rl, qh, ql, gh, gl)
    for j in range(gh.size):
        gh[j], gl[j] = fast_two_sum(gh[j], gl[j])


@jit_inner
def _set_psi(state, p, work):
    """psi of the weights in `state` (6, n); leaves u^(p-2), v^(p-2) in work[:4]."""
    uh, ul, vh, vl = state[0], state[1], state[2], state[3]
    ph, pl = state[4], state[5]
    power_dd_into(uh, ul, p - 2.0, work[0], work[1])
    power_dd_into(vh, vl, p - 2.0, work[2], work[3])
    for j in range(uh.size):
        ah, al = dd_mul(uh[j], ul[j], uh[j], ul[j])
        ah, al = dd_mul(ah, al, work[0, j], work[1, j])
        bh, bl = dd_mul(vh[j], vl[j], vh[j], vl[j])
        bh, bl = dd_mul(bh, bl, work[2, j], work[3, j])
        ph[j], pl[j] = dd_add(ah, al, -bh, -bl)


@jit_inner
def _shrink(h, l, qh, ql, sign, gh, gl):
    """``(h + l) (1 - sign q g)``, the change formed first."""
    xh, xl = dd_mul(qh, ql, gh, gl)
    xh, xl = dd_mul(xh, xl, h, l)
    return dd_add(h, l, -sign * xh, -sign * xl)


@jit
def update(old, new, g, p, rate, work, ready):
    """One step from `old` to `new`, both (6, n), given the partial g (groups, 2, n).

    `rate` is eta p as a pair, in an array. Returns MOVING, STALLED or DIVERGED; `work` is
    (6, n); it is `ready` if the last call on it ended at `old`, whose powers it holds.
    """
    th, tl = work[4], work[5]
    n = th.size
    for j in range(n):
        th[j], tl[j] = g[0, 0, j], g[0, 1, j]
    for i in range(1, g.shape[0]):
        for j in range(n):
            th[j], tl[j] = dd_add(th[j], tl[j], g[i, 0, j], g[i, 1, j])
    for j in range(n):
        th[j], tl[j] = dd_mul(th[j], tl[j], rate[0], rate[1])
    if not ready:
        power_dd_into(old[0], old[1], p - 2.0, work[0], work[1])
        power_dd_into(old[2], old[3], p - 2.0, work[2], work[3])
    moved = 0
    for j in range(n):
        uh, ul = _shrink(old[0, j], old[1, j], work[0, j], work[1, j], 1.0, th[j], tl[j])
        vh, vl = _shrink(old[2, j], old[3, j], work[2, j], work[3, j], -1.0, th[j], tl[j])
        moved += (uh != old[0, j]) | (ul != old[1, j]) | (vh != old[2, j]) | (vl != old[3, j])
        new[0, j], new[1, j], new[2, j], new[3, j] = uh, ul, vh, vl
    _set_psi(new, p, work)
    psi, lost = new[4], 0
    for j in range(n):
        lost += not (abs(psi[j]) < np.inf)
    if lost > 0:
        return DIVERGED
    return MOVING if moved > 0 else STALLED


@jit
def run(A, y, p, rate, state, at, cuts, n_steps):
    """Take up to n_steps steps on one thread; `cuts` are the ends of the row groups."""
    groups, N = cuts.size - 1, A.shape[1]
    g, work = np.empty((groups, 2, N)), np.empty((6, N))
    for k in range(n_steps):
        now = at[1]
        old, new = state[now], state[1 - now]
        for i in range(groups):
            part = A[cuts[i] : cuts[i + 1]]
            sweep(part, y[cuts[i] : cuts[i + 1]], old[4], old[5], g[i, 0], g[i, 1])
        flag = update(old, new, g, p, rate, work, k > 0)
        if flag != MOVING:
            return flag
        at[0] += 1
        at[1] = 1 - now
    return MOVING


@jit
def fill(state, p):
    """Compute psi of the present copy (the first), at a start."""
    _set_psi(state[0], p, np.empty((4, state.shape[2])))
