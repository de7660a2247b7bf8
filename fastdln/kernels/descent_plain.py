"""Gradient descent in float64, one pass over A a step.

    u' = u - (eta p) u^(p-1) g,   v' = v + (eta p) v^(p-1) g,   g = A^T (A psi - y)

The rows of A are taken four at a time: their products with psi first, then, in one loop
with the products of the next four, their share of g while they are still in cache; rows
too long for that have their share at once, while they are at least not far away. Rows are
cut into `groups` of fixed extent, each with a g of its own, added in order: the bits do
not depend on who computes which.

A state is an array (2, 3, N): two copies of u, v, psi. A step reads one and writes the
other, so that the last finite state outlives an overflow. `at` holds the number of
steps taken and which copy is the present one.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import LANES, add_and_dot, four_dots
from fastdln.kernels.descent_power import power_into, small_power
from fastdln.kernels.descent_tickets import begin_next, claim, finished, stop
from fastdln.kernels.intrinsics import use_wide_vectors

__all__ = [
    "DIVERGED",
    "MOVING",
    "PIECE",
    "STALLED",
    "close_piece",
    "fill",
    "psi_of",
    "run",
    "run_rows",
    "sweep",
    "sweeps",
    "update",
]

MOVING, STALLED, DIVERGED = 0, 1, 2
PIECE = 512  # coordinates updated at a time
_LONG = 1 << 15  # coordinates: four such rows fill a core's cache, eight would drive them out


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
def _four(A, i):
    """Rows i to i + 3, the last one in place of those beyond."""
    last = A.shape[0] - 1
    return A[i], A[min(i + 1, last)], A[min(i + 2, last)], A[min(i + 3, last)]


@jit_inner
def _residual(A, y, x, i, s, r):
    """``r = A x - y`` of four rows from i on, given their lanes s; a missing row has zero."""
    n = x.size
    whole = n - n % LANES
    for k in range(4):
        r[k] = 0.0
    for k in range(min(4, y.size - i)):
        a, tail = A[i + k], 0.0
        for j in range(whole, n):
            tail += a[j] * x[j]
        r[k] = (_fold(s[k]) + tail) - y[i + k]


@jit_inner
def _add_four(b, r, g, start):
    """``g += (r0 b0 + r1 b1) + (r2 b2 + r3 b3)``, from `start` on."""
    use_wide_vectors()
    r0, r1, r2, r3 = r[0], r[1], r[2], r[3]
    b0, b1, b2, b3, out = b[0][start:], b[1][start:], b[2][start:], b[3][start:], g[start:]
    for j in range(out.size):
        out[j] += (r0 * b0[j] + r1 * b1[j]) + (r2 * b2[j] + r3 * b3[j])


@jit
def sweep(A, y, psi, g):
    """``g = A.T @ (A @ psi - y)``, reading A once. A missing fourth row counts as zero."""
    for j in range(g.size):
        g[j] = 0.0
    s, r = np.empty((4, LANES)), np.empty(4)
    whole = psi.size - psi.size % LANES
    if psi.size > _LONG:
        for i in range(0, y.size, 4):
            b = _four(A, i)
            four_dots(b[0], b[1], b[2], b[3], psi, s, whole)
            _residual(A, y, psi, i, s, r)
            _add_four(b, r, g, 0)
        return
    b = _four(A, 0)
    four_dots(b[0], b[1], b[2], b[3], psi, s, whole)
    _residual(A, y, psi, 0, s, r)
    for i in range(4, y.size, 4):
        a = _four(A, i)
        add_and_dot(b[0], b[1], b[2], b[3], r, g, a[0], a[1], a[2], a[3], psi, s, whole)
        _add_four(b, r, g, whole)
        _residual(A, y, psi, i, s, r)
        b = a
    _add_four(b, r, g, 0)


@jit
def sweeps(A, y, psi, g, cuts, first, last):
    """`sweep` of the groups of rows from first to last, each with its g."""
    for i in range(first, last):
        sweep(A[cuts[i] : cuts[i + 1]], y[cuts[i] : cuts[i + 1]], psi, g[i])


@jit
def psi_of(u, v, p, up, vp, psi):
    """``psi = u^p - v^p``, and ``up = u^(p-1)``, ``vp = v^(p-1)`` on the way."""
    power_into(u, p - 1.0, up)
    power_into(v, p - 1.0, vp)
    for j in range(u.size):
        psi[j] = up[j] * u[j] - vp[j] * v[j]


@jit_inner
def _moved(u, up, rate, g, new):
    """``new = u - (rate up) g``; how many entries that changed."""
    use_wide_vectors()
    count = 0
    for j in range(new.size):
        x = u[j] - (rate * up[j]) * g[j]
        count += x != u[j]
        new[j] = x
    return count


@jit_inner
def _moved_whole(u, q, rate, g, new):
    """`_moved` with up = u^q, q from 1 to 3."""
    use_wide_vectors()
    count = 0
    for j in range(new.size):
        x = u[j] - (rate * small_power(u[j], q)) * g[j]
        count += x != u[j]
        new[j] = x
    return count


@jit_inner
def _lost(u, v, q, psi):
    """``psi = u^(q+1) - v^(q+1)``, q from 1 to 3; how many are not finite."""
    use_wide_vectors()
    count = 0
    for j in range(psi.size):
        x = small_power(u[j], q) * u[j] - small_power(v[j], q) * v[j]
        count += not (abs(x) < np.inf)
        psi[j] = x
    return count


@jit_inner
def _step_whole(old, new, g, q, rate, low, high):
    """One step of the coordinates from low to high for p = q + 1: counts of moved and lost."""
    u, v, total = old[0, low:high], old[1, low:high], g[low:high]
    un, vn = new[0, low:high], new[1, low:high]
    moved = _moved_whole(u, q, rate, total, un) + _moved_whole(v, q, -rate, total, vn)
    return moved, _lost(un, vn, q, new[2, low:high])


@jit_inner
def _step_real(old, new, g, p, rate, work, ready, low, high):
    """The same for any p, with the powers kept in work (2, N) from one step to the next."""
    u, v, total = old[0, low:high], old[1, low:high], g[low:high]
    un, vn, psi = new[0, low:high], new[1, low:high], new[2, low:high]
    up, vp, lost = work[0, low:high], work[1, low:high], 0
    if not ready:
        power_into(u, p - 1.0, up)
        power_into(v, p - 1.0, vp)
    moved = _moved(u, up, rate, total, un) + _moved(v, vp, -rate, total, vn)
    psi_of(un, vn, p, up, vp, psi)
    for j in range(psi.size):
        lost += not (abs(psi[j]) < np.inf)
    return moved, lost


@jit
def update(old, new, g, p, rate, work, ready, low, high):
    """One step of the coordinates from low to high, from `old` to `new`, both (3, N).

    g holds the partial gradients (groups, N); their sum is left in g[0]. Returns MOVING, STALLED
    (no weight changed) or DIVERGED (psi is no longer finite). `work` is (2, N); it is `ready` if
    the last call on it ended at `old`, whose powers it then holds.
    """
    moved, lost, q = 0, 0, int(p) - 1
    whole = p == q + 1 and q <= 3
    for start in range(low, high, PIECE):  # what is read again is still near
        end = min(start + PIECE, high)
        total = g[0, start:end]
        for i in range(1, g.shape[0]):
            part = g[i, start:end]
            for j in range(total.size):
                total[j] += part[j]
        if whole:
            more, less = _step_whole(old, new, g[0], q, rate, start, end)
        else:
            more, less = _step_real(old, new, g[0], p, rate, work, ready, start, end)
        moved += more
        lost += less
    if lost > 0:
        return DIVERGED
    return MOVING if moved > 0 else STALLED


@jit_inner
def _close_step(clock, at, flags):
    """After the last piece of a step: count it, or stop where no weight moves or one is lost."""
    flag = STALLED
    for k in range(flags.size):
        if flags[k] == DIVERGED:
            stop(clock, DIVERGED)
            return
        if flags[k] == MOVING:
            flag = MOVING
    if flag == STALLED:
        stop(clock, STALLED)
        return
    at[0] += 1
    at[1] = 1 - at[1]
    begin_next(clock)


@jit_inner
def close_piece(clock, at, flags, groups, piece):
    """A piece is done, one of `groups` or of the updates: after the last one comes what follows."""
    if piece < groups:
        if finished(clock, groups):
            begin_next(clock)
    elif finished(clock, flags.size):
        _close_step(clock, at, flags)


@jit
def run(A, y, p, rate, state, at, cuts, ends, g, work, flags, clock, n_steps):
    """Take up to n_steps steps, with all threads that call this with the same arguments.

    `cuts` are the ends of the row groups, `ends` those of the parts that are updated in one
    piece, each with its flag; g is (groups, N) and work (2, N).
    """
    groups, parts = cuts.size - 1, ends.size - 1
    while True:
        ticket = claim(clock, groups, parts, n_steps)
        if ticket < 0:
            return
        step, piece = ticket // (groups + parts), ticket % (groups + parts)
        old, new = state[at[1]], state[1 - at[1]]
        if piece < groups:
            sweeps(A, y, old[2], g, cuts, piece, piece + 1)
        else:
            k = piece - groups
            flags[k] = update(old, new, g, p, rate, work, step > 0, ends[k], ends[k + 1])
        close_piece(clock, at, flags, groups, piece)


@jit
def run_rows(A, y, p, rate, state, at, rows):
    """One step for each line of `rows` (n, b), with the residual of those rows of A alone."""
    b, N = rows.shape[1], A.shape[1]
    part, target = np.empty((b, N)), np.empty(b)
    g, work = np.empty((1, N)), np.empty((2, N))
    for k in range(rows.shape[0]):
        for i in range(b):
            source, copy = A[rows[k, i]], part[i]
            for j in range(N):
                copy[j] = source[j]
            target[i] = y[rows[k, i]]
        now = at[1]
        sweep(part, target, state[now, 2], g[0])
        flag = update(state[now], state[1 - now], g, p, rate, work, k > 0, 0, N)
        if flag == DIVERGED:
            return DIVERGED
        at[0] += 1
        at[1] = 1 - now
    return MOVING


@jit
def fill(state, p):
    """Compute psi of the present copy (the first), at a start."""
    work = np.empty((2, state.shape[2]))
    psi_of(state[0, 0], state[0, 1], p, work[0], work[1], state[0, 2])
