"""Gradient descent for many configurations that share A, as one blocked product.

Weights are arrays (N, B), B a multiple of 16 (unused configurations stay at zero). A step
takes the columns of A a block at a time: the block, packed, gives g = A^T R, then the
new weights and psi of its coordinates, then their part of the next residual; so A is
read once. Groups of columns, of an extent that depends on the shape alone, have a
residual each, added in order: the bits do not depend on the number of threads, nor a
configuration's on its neighbours.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.descent_lanes import TILE, add_tile
from fastdln.kernels.descent_plain import psi_of
from fastdln.kernels.descent_power import power_into, small_power
from fastdln.kernels.descent_tickets import begin_next, claim, finished, stop
from fastdln.kernels.intrinsics import arrays_are_disjoint, fetch, use_wide_vectors

__all__ = ["BLOCK", "TILE", "WIDTH", "run"]

BLOCK = 64  # columns at a time: a multiple of TILE; the packed block stays in cache
WIDTH = 16  # configurations at a time


@jit_inner
def _pack(A, low, size, P):
    """``P = A[:, low:low+size]``, zeros around it."""
    for i in range(A.shape[0]):
        source, target = A[i, low : low + size], P[i]
        for j in range(source.size):
            target[j] = source[j]
        for j in range(source.size, BLOCK):
            target[j] = 0.0


@jit_inner
def _fetch_rows(A, low, first):
    """Ask for the next block of a few rows: its pieces are too short for the processor's guess."""
    N = A.shape[1]
    for i in range(first, min(first + TILE, A.shape[0])):
        for j in range(0, BLOCK, 8):
            fetch(A, i * N + low + j)


@jit_inner
def _move(u, up, rates, sign, g, new, marks):
    """``new = u - (sign rates up) g``; marks what changed."""
    use_wide_vectors()
    arrays_are_disjoint()
    for j in range(new.size):
        x = u[j] - ((sign * rates[j]) * up[j]) * g[j]
        marks[j] |= x != u[j]
        new[j] = x


@jit_inner
def _move_whole(u, q, rates, sign, g, new, marks):
    """`_move` with up = u^q, q from 1 to 3."""
    use_wide_vectors()
    arrays_are_disjoint()
    for j in range(new.size):
        x = u[j] - ((sign * rates[j]) * small_power(u[j], q)) * g[j]
        marks[j] |= x != u[j]
        new[j] = x


@jit_inner
def _outputs_whole(u, v, q, psi):
    """``psi = u^(q+1) - v^(q+1)``, q from 1 to 3; how many are not finite."""
    use_wide_vectors()
    arrays_are_disjoint()
    lost = 0
    for j in range(psi.size):
        x = small_power(u[j], q) * u[j] - small_power(v[j], q) * v[j]
        lost += not (abs(x) < np.inf)
        psi[j] = x
    return lost


@jit_inner
def _count(marks, B, counts):
    """Add the marks (n B) of each configuration to its count."""
    use_wide_vectors()
    arrays_are_disjoint()
    for start in range(0, marks.size, B):
        row = marks[start : start + B]
        for k in range(counts.size):
            counts[k] += row[k]


@jit_inner
def _weights(old, new, at, end, p, rates, g, psi, work, marks, flags):
    """One step of the weights from at to end, and psi; ``flags`` as in `columns`."""
    n, q, B = end - at, int(p) - 1, flags.shape[1]
    rates, g, psi, marks = rates[:n], g[:n], psi[:n], marks[:n]
    u, v, un, vn = old[0, at:end], old[1, at:end], new[0, at:end], new[1, at:end]
    for j in range(n):
        marks[j] = 0
    if p == q + 1 and q <= 3:
        _move_whole(u, q, rates, 1.0, g, un, marks)
        _move_whole(v, q, rates, -1.0, g, vn, marks)
        lost = _outputs_whole(un, vn, q, psi)
    else:
        up, vp, lost = work[0, :n], work[1, :n], 0
        power_into(u, p - 1.0, up)
        power_into(v, p - 1.0, vp)
        _move(u, up, rates, 1.0, g, un, marks)
        _move(v, vp, rates, -1.0, g, vn, marks)
        psi_of(un, vn, p, up, vp, psi)
        for j in range(n):
            lost += not (abs(psi[j]) < np.inf)
    _count(marks, B, flags[0])
    if lost > 0:
        for j in range(n):
            marks[j] = not (abs(psi[j]) < np.inf)
        _count(marks, B, flags[1])


@jit_inner
def columns(A, low, high, p, rates, old, new, R, total, flags, P, work, marks):
    """One step of the coordinates from low to high, `old` to `new` (2, N, B), and their residual.

    R (m', B) is the residual before, total (m', B) what these coordinates add to the next one;
    m' is m rounded up to a multiple of TILE. ``flags`` (2, B) counts weights that moved and outputs
    that are lost. `rates` has those of the B configurations BLOCK times; P (m', BLOCK), zero from
    row m on, work (4, BLOCK B) and marks (BLOCK B) are scratch.
    """
    B, rows = flags.shape[1], R.shape[0]
    flat, residual, target = P.reshape(-1), R.reshape(-1), total.reshape(-1)
    G, psi = work[2], work[3]
    before, after = old.reshape(2, -1), new.reshape(2, -1)
    for i in range(target.size):
        target[i] = 0.0
    for k in range(B):
        flags[0, k] = 0
        flags[1, k] = 0
    for start in range(low, high, BLOCK):
        size = min(BLOCK, high - start)
        _pack(A, start, size, P)
        for j in range(G.size):
            G[j] = 0.0
        for j in range(0, size, TILE):
            for k in range(0, B, WIDTH):
                add_tile(flat, j, 1, BLOCK, residual, k, B, G, j * B + k, rows)
        _weights(before, after, start * B, (start + size) * B, p, rates, G, psi, work, marks, flags)
        for j in range(size * B, psi.size):
            psi[j] = 0.0
        for i in range(0, rows, TILE):
            _fetch_rows(A, start + BLOCK, i)
            for k in range(0, B, WIDTH):
                add_tile(flat, i * BLOCK, BLOCK, 1, psi, k, B, target, i * B + k, BLOCK)


@jit_inner
def _gather(totals, y, R):
    """``R = sum of totals - y``, in order of the groups."""
    rows, B = R.shape
    for i in range(rows):
        shift = y[i] if i < y.size else 0.0
        row = R[i]
        for k in range(B):
            row[k] = totals[0, i, k]
        for g in range(1, totals.shape[0]):
            part = totals[g, i]
            for k in range(B):
                row[k] += part[k]
        for k in range(B):
            row[k] -= shift


@jit_inner
def _needs_a_look(rates, flags):
    """Whether a configuration in use has come to rest or is lost."""
    for k in range(flags.shape[2]):
        moved, lost = 0, 0
        for i in range(flags.shape[0]):
            moved += flags[i, 0, k]
            lost += flags[i, 1, k]
        if rates[k] > 0.0 and (moved == 0 or lost > 0):
            return True
    return False


@jit
def run(A, y, p, rates, state, at, R, totals, flags, cuts, clock, n_steps):
    """Take up to n_steps steps until a flag needs looking at, with all threads that call this.

    `state` is (2, 2, N, B), `at` as in `descent_plain`; `rates` are those of the configurations
    BLOCK times; `totals` (groups, m', B), `flags` (groups, 2, B) and R as in `columns`.
    """
    groups, B, rows = cuts.size - 1, flags.shape[2], R.shape[0]
    P, work = np.zeros((rows, BLOCK)), np.empty((4, BLOCK * B))
    marks = np.empty(BLOCK * B, np.int64)
    while True:
        ticket = claim(clock, groups, 1, n_steps)
        if ticket < 0:
            return
        i = ticket % (groups + 1)
        if i < groups:
            old, new = state[at[1]], state[1 - at[1]]
            columns(
                A, cuts[i], cuts[i + 1], p, rates, old, new, R, totals[i], flags[i], P, work, marks
            )
            if finished(clock, groups):
                begin_next(clock)
            continue
        _gather(totals, y, R)
        at[0] += 1
        at[1] = 1 - at[1]
        if _needs_a_look(rates, flags):
            stop(clock, 1)
        else:
            begin_next(clock)
