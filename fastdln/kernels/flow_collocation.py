"""Gradient flow by the collocation engine, in pieces (see `collocation` and `runge_kutta`)."""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit
from fastdln.kernels.collocation import (
    DONE,
    LEAPS,
    MORE,
    ORDER_LAST,
    STRIDE_LAST,
    advance,
    weights_at,
)
from fastdln.kernels.collocation import STUCK as NO_STRIDE
from fastdln.kernels.linear import copy_to, matvec
from fastdln.kernels.runge_kutta import ARRIVED, CONVERGED, INVALID, PIECE, STUCK

__all__ = ["collocation_piece", "observe_collocation", "observe_weights_at"]


@jit
def _agrees(psi, limit, eps, rtol):
    for j in range(psi.size):
        if not abs(psi[j] - limit[j]) <= rtol * (abs(limit[j]) + eps):
            return False
    return True


@jit
def collocation_piece(
    A, y, par, tab, log_alpha, eps, rtol, tol, end, grid, keep, limit, budget,
    base, delta, meta, counts, clock, seg_t, seg_base, seg_delta, seg_order,
):  # fmt: skip
    """Up to `budget` attempts of a leap towards `end`; ``(code, segments)``.

    clock = (t, its rounding) goes on as leaps are accepted; segments are kept as by
    `runge_kutta.explicit_piece`.
    """
    N = A.shape[1]
    before = np.empty((4, N))
    psi, u, v, zero = np.empty(N), np.empty(N), np.empty(N), np.zeros((2, N))
    segments, index = 0, 0
    for _ in range(budget):
        if segments == seg_t.shape[0]:
            break
        for side in range(4):
            copy_to(base[side], before[side])
        leaps = counts[LEAPS]
        code = advance(A, y, par, tab, base, delta, meta, counts, tol, 1)
        if code != DONE and code != MORE:
            return STUCK if code == NO_STRIDE else INVALID, segments
        if counts[LEAPS] == leaps:
            continue
        t = clock[0]
        move = meta[STRIDE_LAST] + clock[1]
        after = t + move
        clock[1] = move - (after - t)
        if code == DONE:
            after = end
        clock[0] = after
        while index < grid.size and grid[index] <= t:
            index += 1
        if keep or (index < grid.size and grid[index] <= after):
            seg_t[segments, 0], seg_t[segments, 1] = t, after
            seg_order[segments] = int(meta[ORDER_LAST])
            for side in range(4):
                copy_to(before[side], seg_base[segments, side])
            for side in range(2):
                for i in range(delta.shape[1]):
                    copy_to(delta[side, i], seg_delta[segments, side, i])
            segments += 1
        if code == DONE:
            return ARRIVED, segments
        if limit.size > 0:
            if not weights_at(par, log_alpha, base, zero, psi, u, v):
                return INVALID, segments
            if _agrees(psi, limit, eps, rtol):
                return CONVERGED, segments
    return PIECE, segments


@jit
def observe_weights_at(A, y, par, log_alpha, base, shift, psi, u, v, tau):
    """psi, u, v and tau at base + shift; returns the loss."""
    weights_at(par, log_alpha, base, shift, psi, u, v)
    for j in range(psi.size):
        wu = (base[0, j] + shift[0, j]) + base[1, j]
        wv = (base[2, j] + shift[1, j]) + base[3, j]
        tau[j] = wu - wv if par[0] == 2.0 else 0.5 * (wv - wu)
    r = np.empty(y.size)
    matvec(A, psi, r)
    total = 0.0
    for i in range(y.size):
        total += (r[i] - y[i]) * (r[i] - y[i])
    return 0.5 * total


@jit
def observe_collocation(
    A, y, par, tab, log_alpha, seg_t, seg_base, seg_delta, seg_order, times, psi, u, v, tau, loss
):
    """The flow at ascending times inside the segments; rows of psi, u, v, tau (T, N)."""
    N = A.shape[1]
    shift = np.empty((2, N))
    k = 0
    for row in range(times.size):
        while k < seg_t.shape[0] - 1 and times[row] > seg_t[k, 1]:
            k += 1
        theta = (times[row] - seg_t[k, 0]) / (seg_t[k, 1] - seg_t[k, 0])
        theta = min(max(theta, 0.0), 1.0)
        order = seg_order[k]
        s = 2 * order + 3
        nodes = tab[0][order]
        for side in range(2):
            for n in range(N):
                shift[side, n] = 0.0
        for j in range(s):
            weight = theta / nodes[j]  # Lagrange's form: powers would lose five digits
            for q in range(s):
                if q != j:
                    weight *= (theta - nodes[q]) / (nodes[j] - nodes[q])
            for side in range(2):
                source, target = seg_delta[k, side, j], shift[side]
                for n in range(N):
                    target[n] += weight * source[n]
        loss[row] = observe_weights_at(
            A, y, par, log_alpha, seg_base[k], shift, psi[row], u[row], v[row], tau[row]
        )
        if not math.isfinite(loss[row]):
            loss[row] = math.nan
