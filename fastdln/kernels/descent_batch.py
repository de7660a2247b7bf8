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
from fastdln.kernels.descent_power import power_into
from fastdln.kernels.intrinsics import fetch

__all__ = ["BLOCK", "TILE", "WIDTH", "columns", "gather", "run"]

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
def _update(old_u, old_v, new_u, new_v, g, p, rates, up, vp, moved):
    """One step of the weights of one block, all arrays (n, B)."""
    power_into(old_u, p - 1.0, up)
    power_into(old_v, p - 1.0, vp)
    B = rates.size
    for j in range(g.size // B):
        part = slice(j * B, (j + 1) * B)
        u, v, un, vn = old_u[part], old_v[part], new_u[part], new_v[part]
        a, b, c = up[part], vp[part], g[part]
        for k in range(B):
            un[k] = u[k] - (rates[k] * a[k]) * c[k]
            vn[k] = v[k] + (rates[k] * b[k]) * c[k]
            moved[k] += (un[k] != u[k]) | (vn[k] != v[k])


@jit_inner
def _outputs(u, v, p, up, vp, psi, lost, B):
    power_into(u, p - 1.0, up)
    power_into(v, p - 1.0, vp)
    for j in range(u.size):
        psi[j] = up[j] * u[j] - vp[j] * v[j]
    for j in range(u.size // B):
        part = psi[j * B : (j + 1) * B]
        for k in range(B):
            lost[k] += not (abs(part[k]) < np.inf)


@jit
def columns(A, low, high, p, rates, old, new, R, total, flags, step):
    """The coordinates from low to high: from `old` to `new` (2, N, B), and their residual.

    R (m', B) is the residual before, total (m', B) what these coordinates add to the next one;
    m' is m rounded up to a multiple of TILE. ``flags`` (2, B) counts weights that moved and outputs
    that are lost. Without `step`, `new` is taken as it is.
    """
    B, rows = rates.size, R.shape[0]
    P, G, psi = np.zeros((rows, BLOCK)), np.empty(BLOCK * B), np.empty(BLOCK * B)
    flat, residual, target = P.reshape(-1), R.reshape(-1), total.reshape(-1)
    up, vp = np.empty(BLOCK * B), np.empty(BLOCK * B)
    before, after = old.reshape(2, -1), new.reshape(2, -1)
    for i in range(target.size):
        target[i] = 0.0
    for k in range(B):
        flags[0, k] = 0
        flags[1, k] = 0
    for start in range(low, high, BLOCK):
        size = min(BLOCK, high - start)
        _pack(A, start, size, P)
        n = size * B
        at, end = start * B, start * B + n
        u, v = after[0, at:end], after[1, at:end]
        if step:
            for j in range(G.size):
                G[j] = 0.0
            for j in range(0, size, TILE):
                for k in range(0, B, WIDTH):
                    add_tile(flat, j, 1, BLOCK, residual, k, B, G, j * B + k, rows)
            a, b = before[0, at:end], before[1, at:end]
            _update(a, b, u, v, G[:n], p, rates, up[:n], vp[:n], flags[0])
        for j in range(n, psi.size):
            psi[j] = 0.0
        _outputs(u, v, p, up[:n], vp[:n], psi[:n], flags[1], B)
        for i in range(0, rows, TILE):
            _fetch_rows(A, start + BLOCK, i)
            for k in range(0, B, WIDTH):
                add_tile(flat, i * BLOCK, BLOCK, 1, psi, k, B, target, i * B + k, BLOCK)


@jit
def gather(totals, y, R):
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


@jit
def run(A, y, p, rates, state, at, R, totals, flags, cuts, n_steps):
    """Take up to n_steps steps on one thread, until a flag needs looking at.

    `state` is (2, 2, N, B), `at` as in `descent_plain`; returns the number of steps taken, the
    last of them perhaps with flags that tell of a configuration lost or one at rest.
    """
    groups = cuts.size - 1
    for n in range(n_steps):
        now = at[1]
        for i in range(groups):
            columns(
                A, cuts[i], cuts[i + 1], p, rates, state[now], state[1 - now], R, totals[i],
                flags[i], True,
            )  # fmt: skip
        gather(totals, y, R)
        at[0] += 1
        at[1] = 1 - now
        for k in range(rates.size):
            moved, lost = 0, 0
            for i in range(groups):
                moved += flags[i, 0, k]
                lost += flags[i, 1, k]
            if rates[k] > 0.0 and (moved == 0 or lost > 0):
                return n + 1
    return n_steps
