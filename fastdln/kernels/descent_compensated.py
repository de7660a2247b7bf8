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

from fastdln._jit import jit, jit_inline, jit_inner
from fastdln.kernels.descent_lanes import LANES, dot_dd
from fastdln.kernels.descent_plain import DIVERGED, MOVING, PIECE, STALLED, close_piece
from fastdln.kernels.descent_power import power_dd_into
from fastdln.kernels.descent_tickets import claim
from fastdln.kernels.extended import (
    dd_add,
    dd_add_double,
    dd_mul,
    fast_two_sum,
    two_product,
    two_sum,
)
from fastdln.kernels.intrinsics import arrays_are_disjoint, fma, hidden, use_wide_vectors

__all__ = ["fill", "run", "sweep", "sweeps", "update"]

_ROWS = 8  # at a time, even, while they stay in cache: their sums are folded together
_SHORT = 4096  # coordinates: of longer rows half as many


@jit_inline
def _plus(a: float, b: float, one: float) -> float:
    """``a + b``, by a multiplier: `one` is a 1 that the compiler cannot see."""
    return fma(a, one, b)


@jit_inner
def _halve(s, c, count, width):
    """Add the lanes from width on to those below it, in each of so many rows."""
    arrays_are_disjoint()
    for i in range(count):
        sums, rests = s[i], c[i]
        for k in range(width):
            sums[k], rests[k] = dd_add(sums[k], rests[k], sums[k + width], rests[k + width])


@jit_inner
def _fold(s, c, count):
    """Sum the lanes of so many rows into the first, by halves: together, for each sum waits."""
    arrays_are_disjoint()
    for i in range(count):
        sums, rests = s[i], c[i]
        for k in range(LANES):
            sums[k], rests[k] = fast_two_sum(sums[k], rests[k])
    _halve(s, c, count, 8)
    _halve(s, c, count, 4)
    _halve(s, c, count, 2)
    _halve(s, c, count, 1)


@jit_inner
def _residuals(A, y, i, count, xh, xl, s, c):
    """``s[k, 0] + c[k, 0]``: row i + k of ``A (xh + xl) - y``, k < count.

    Dot2 with sixteen partial sums for each row; s, c are (count, 16).
    """
    n = xh.size
    whole, one = n - n % LANES, hidden(1.0)
    for k in range(count):
        for j in range(LANES):
            s[k, j], c[k, j] = 0.0, 0.0
    for start in range(0, whole, PIECE):  # of x, to be read again for each row
        end = min(start + PIECE, whole)
        high, low = xh[start:end], xl[start:end]
        for k in range(count):
            dot_dd(A[i + k, start:end], high, low, s[k], c[k], end - start, one)
    _fold(s, c, count)
    for k in range(count):
        row, hi, lo = A[i + k], 0.0, 0.0
        for j in range(whole, n):
            p, e = two_product(row[j], xh[j])
            hi, f = two_sum(hi, p)
            lo += fma(row[j], xl[j], e + f)
        hi, lo = fast_two_sum(hi, lo)
        hi, lo = dd_add(hi, lo, s[k, 0], c[k, 0])
        s[k, 0], c[k, 0] = dd_add_double(hi, lo, -y[i + k])


@jit_inner
def _add_two(a, b, rh, rl, qh, ql, gh, gl):
    """``g += r a + q b``; gl gathers what gh rounds away.

    Five of the sixteen additions are given to the multipliers, which have less to do.
    """
    arrays_are_disjoint()
    use_wide_vectors()
    one = hidden(1.0)
    for j in range(gh.size):
        p, e = two_product(a[j], rh)
        old = gh[j]
        t = old + p
        z = _plus(t, -old, one)
        f = (old - (t - z)) + (p - z)
        low = fma(a[j], rl, _plus(e, f, one))
        p, e = two_product(b[j], qh)
        s = t + p
        z = _plus(s, -t, one)
        f = (t - (s - z)) + (p - z)
        gh[j] = s
        gl[j] += _plus(low, fma(b[j], ql, _plus(e, f, one)), one)


@jit
def sweep(A, y, psih, psil, gh, gl):
    """``gh + gl = A.T @ (A @ psi - y)``, a few rows at a time, reading A once."""
    for j in range(gh.size):
        gh[j] = 0.0
        gl[j] = 0.0
    s, c, m = np.empty((_ROWS, LANES)), np.empty((_ROWS, LANES)), y.size
    rows = _ROWS if gh.size <= _SHORT else _ROWS // 2
    for i in range(0, m, rows):
        count = min(rows, m - i)
        _residuals(A, y, i, count, psih, psil, s, c)
        if count % 2 == 1:  # a missing row counts as zero
            s[count, 0], c[count, 0] = 0.0, 0.0
        for start in range(0, gh.size, PIECE):
            end = min(start + PIECE, gh.size)
            for k in range(0, count, 2):
                a, b = A[i + k, start:end], A[min(i + k + 1, m - 1), start:end]
                r, q = (s[k, 0], c[k, 0]), (s[k + 1, 0], c[k + 1, 0])
                _add_two(a, b, r[0], r[1], q[0], q[1], gh[start:end], gl[start:end])
    for j in range(gh.size):
        gh[j], gl[j] = fast_two_sum(gh[j], gl[j])


@jit
def sweeps(A, y, psi, g, cuts, first, last):
    """`sweep` of the groups of rows from first to last, each with its g; psi is (2, N)."""
    for i in range(first, last):
        part = A[cuts[i] : cuts[i + 1]]
        sweep(part, y[cuts[i] : cuts[i + 1]], psi[0], psi[1], g[i, 0], g[i, 1])


@jit_inner
def _product(uh, ul, qh, ql, ph, pl):
    """``ph + pl = u^2 q``."""
    arrays_are_disjoint()
    use_wide_vectors()
    for j in range(ph.size):
        hi, lo = dd_mul(uh[j], ul[j], uh[j], ul[j])
        ph[j], pl[j] = dd_mul(hi, lo, qh[j], ql[j])


@jit_inner
def _subtract(ph, pl, uh, ul, qh, ql):
    """``ph + pl -= u^2 q``; how many are not finite."""
    arrays_are_disjoint()
    use_wide_vectors()
    lost = 0
    for j in range(ph.size):
        hi, lo = dd_mul(uh[j], ul[j], uh[j], ul[j])
        hi, lo = dd_mul(hi, lo, qh[j], ql[j])
        hi, lo = dd_add(ph[j], pl[j], -hi, -lo)
        lost += not (abs(hi) < np.inf)
        ph[j], pl[j] = hi, lo
    return lost


@jit_inner
def _set_psi(state, p, work, low, high):
    """psi of the weights in `state` (6, N), from low to high; how many are not finite.

    Leaves u^(p-2), v^(p-2) in work[:4].
    """
    uh, ul = state[0, low:high], state[1, low:high]
    vh, vl = state[2, low:high], state[3, low:high]
    ph, pl = state[4, low:high], state[5, low:high]
    ah, al, bh, bl = work[0, low:high], work[1, low:high], work[2, low:high], work[3, low:high]
    power_dd_into(uh, ul, p - 2.0, ah, al)
    power_dd_into(vh, vl, p - 2.0, bh, bl)
    _product(uh, ul, ah, al, ph, pl)
    return _subtract(ph, pl, vh, vl, bh, bl)


@jit_inner
def _gradient(g, rate, low, high, th, tl):
    """``th + tl``: the sum of the partial gradients (groups, 2, N) from low to high, times rate."""
    gh, gl = g[0, 0, low:high], g[0, 1, low:high]
    for i in range(1, g.shape[0]):
        ph, pl = g[i, 0, low:high], g[i, 1, low:high]
        for j in range(gh.size):
            gh[j], gl[j] = dd_add(gh[j], gl[j], ph[j], pl[j])
    for j in range(gh.size):
        th[j], tl[j] = dd_mul(gh[j], gl[j], rate[0], rate[1])


@jit_inner
def _shrink(uh, ul, qh, ql, sign, th, tl, nh, nl):
    """``nh + nl = u (1 - sign q t)``, the change formed first; how many changed."""
    arrays_are_disjoint()
    use_wide_vectors()
    moved = 0
    for j in range(nh.size):
        xh, xl = dd_mul(qh[j], ql[j], th[j], tl[j])
        xh, xl = dd_mul(xh, xl, uh[j], ul[j])
        hi, lo = dd_add(uh[j], ul[j], -sign * xh, -sign * xl)
        moved += (hi != uh[j]) | (lo != ul[j])
        nh[j], nl[j] = hi, lo
    return moved


@jit
def update(old, new, g, p, rate, work, ready, low, high):
    """One step of the coordinates from low to high, from `old` to `new`, both (6, N).

    g holds the partial gradients (groups, 2, N), `rate` is eta p as a pair, in an array. Returns
    MOVING, STALLED or DIVERGED; `work` is (6, N); it is `ready` if the last call on it ended
    at `old`, whose powers it holds.
    """
    moved, lost = 0, 0
    for start in range(low, high, PIECE):  # what is read again is still near
        end = min(start + PIECE, high)
        th, tl = work[4, start:end], work[5, start:end]
        _gradient(g, rate, start, end, th, tl)
        for k in range(0, 4, 2):
            qh, ql = work[k, start:end], work[k + 1, start:end]
            uh, ul = old[k, start:end], old[k + 1, start:end]
            if not ready:
                power_dd_into(uh, ul, p - 2.0, qh, ql)
            nh, nl = new[k, start:end], new[k + 1, start:end]
            moved += _shrink(uh, ul, qh, ql, 1.0 - k, th, tl, nh, nl)
        lost += _set_psi(new, p, work, start, end)
    if lost > 0:
        return DIVERGED
    return MOVING if moved > 0 else STALLED


@jit
def run(A, y, p, rate, state, at, cuts, ends, g, work, flags, clock, n_steps):
    """As `descent_plain.run`, with g (groups, 2, N) and work (6, N)."""
    groups, parts = cuts.size - 1, ends.size - 1
    while True:
        ticket = claim(clock, groups, parts, n_steps)
        if ticket < 0:
            return
        step, piece = ticket // (groups + parts), ticket % (groups + parts)
        old, new = state[at[1]], state[1 - at[1]]
        if piece < groups:
            sweeps(A, y, old[4:], g, cuts, piece, piece + 1)
        else:
            k = piece - groups
            flags[k] = update(old, new, g, p, rate, work, step > 0, ends[k], ends[k + 1])
        close_piece(clock, at, flags, groups, piece)


@jit
def fill(state, p):
    """Compute psi of the present copy (the first), at a start."""
    _set_psi(state[0], p, np.empty((4, state.shape[2])), 0, state.shape[2])
