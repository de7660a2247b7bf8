"""Adaptive explicit Runge-Kutta steps of one flow, in pieces.

A piece ends when its steps are used up or its segments fill the buffer, so that Python
hears Ctrl-C and nothing grows with the number of steps. Error: the embedded estimate,
per coordinate of psi (`error_norm`). Step control: proportional-integral (Hairer,
Wanner, "Solving Ordinary Differential Equations II", section IV.2).
"""

from __future__ import annotations

import math

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_rhs import derivative, error_norm
from fastdln.kernels.linear import copy_to

__all__ = [
    "ARRIVED",
    "CONVERGED",
    "INVALID",
    "PIECE",
    "STIFF",
    "STUCK",
    "evaluate_segments",
    "explicit_piece",
    "first_step",
]

PIECE, ARRIVED, CONVERGED, STIFF, STUCK, INVALID = 0, 1, 2, 3, 4, 5

_SAFETY = 0.9
_GROWTH = 8.0
_STIFF_STEPS = 12  # accepted steps at the edge of stability before a piece ends as stiff
_WORTH = 40.0  # steps still to come that make a change of method worth its start
_STABLE = 0.85  # of the stability interval: at its end errors would no longer be damped
_INTERVAL_5, _INTERVAL_8 = 3.3, 6.0  # its length on the negative axis


@jit_inner
def _combine(row, count, K, h, x, out):
    """``out = x + h sum_(j < count) row_j K_j``."""
    for i in range(out.size):
        out[i] = 0.0
    for j in range(count):
        w = row[j]
        if w != 0.0:
            k = K[j]
            for i in range(out.size):
                out[i] += w * k[i]
    for i in range(out.size):
        out[i] = x[i] + h * out[i]


@jit_inner
def _distance(a, b):
    total = 0.0
    for i in range(a.size):
        total += (a[i] - b[i]) * (a[i] - b[i])
    return math.sqrt(total)


@jit_inner
def _estimate(form, flow, order, error, K, h, x, tau, psi, e, other, work):
    """Error of the step relative to |psi| + eps; that of order 5 leant on by that of order 3."""
    stages = error.shape[1]
    zero = np.zeros(x.size)
    _combine(error[0], stages, K, h, zero, e)
    size = error_norm(form, flow, x, e, tau, psi, work)
    if order == 8:
        _combine(error[1], stages, K, h, zero, other)
        fine, coarse = _distance(e, zero), 0.1 * _distance(other, zero)
        if fine > 0.0:
            size *= fine / math.sqrt(fine * fine + coarse * coarse)
    return size


@jit
def first_step(form, flow, x, rtol, order, k):
    """A first step, and the derivative at x in k: psi changes by a fraction of its tolerance.

    NaN where the derivative is.
    """
    N = flow.A.shape[1]
    tau, psi, work = np.empty(N), np.empty(N), np.empty(N)
    derivative(form, flow, x, tau, psi, k)
    speed = error_norm(form, flow, x, k, tau, psi, work)
    if speed == 0.0:
        return math.inf
    return 0.1 * rtol ** (1.0 / order) / speed


@jit_inner
def _rest(flow, psi, limit, rtol):
    """Whether psi agrees with its limit to rtol in every coordinate."""
    for j in range(psi.size):
        if not abs(psi[j] - limit[j]) <= rtol * (abs(limit[j]) + flow.eps):
            return False
    return True


@jit_inner
def _grown(order, error, last, rejected):
    """Factor of the next step after an accepted one; errors in units of the tolerance."""
    if error == 0.0:
        return _GROWTH if not rejected else 1.0
    factor = _SAFETY * error ** (-0.7 / order) * last ** (0.4 / order)
    return min(max(factor, 0.2), 1.0 if rejected else _GROWTH)


@jit
def explicit_piece(
    form, flow, order, a, error, dense, stages, rtol, end, grid, keep, limit, watch, budget,
    x, rounding, k, state, counts, seg_t, seg_x, seg_F,
):  # fmt: skip
    """Up to `budget` attempted steps from ``state[0]`` towards `end`; ``(code, segments)``.

    x, its `rounding` (compensated sum), its derivative k, state = (t, h, last error, index of
    the next output, whether the last attempt met a NaN) and counts = (steps, rejections,
    evaluations, stiff steps) are overwritten. Segments are kept for steps that hold a time of
    `grid`, or for all if `keep`. With a `limit` of N entries the piece ends when psi is within
    the tolerance of it; with `watch` when the steps are held down by stability alone.
    """
    n, N = x.size, flow.A.shape[1]
    K = np.empty((a.shape[0], n))
    tau, psi, work = np.empty(N), np.empty(N), np.empty(N)
    new, before, e, other, zero = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.zeros(n)
    segments, rejected = 0, False
    index = int(state[3])
    copy_to(k, K[0])
    for _ in range(budget):
        if segments == seg_t.shape[0]:
            break
        t, h = state[0], state[1]
        last = t + 1.0001 * h >= end
        if last:
            h = end - t
        if not h > 4e-16 * t:
            return INVALID if h != h or state[4] != 0.0 else STUCK, segments
        for s in range(1, stages):
            _combine(a[s], s, K, h, x, new)
            derivative(form, flow, new, tau, psi, K[s])
            if s == stages - 2:
                copy_to(new, before)
        counts[2] += stages - 1
        size = _estimate(form, flow, order, error, K, h, new, tau, psi, e, other, work) / rtol
        if not size <= 1.0:
            counts[1] += 1
            rejected = True
            state[4] = 0.0 if size < math.inf else 1.0
            if size < math.inf:
                state[1] = h * max(0.1, _SAFETY * size ** (-1.0 / order))
            else:
                state[1] = 0.1 * h
            continue
        after = end if last else t + h
        while index < grid.size and grid[index] <= t:
            index += 1
        if keep or (index < grid.size and grid[index] <= after):
            for s in range(stages, a.shape[0]):
                _combine(a[s], s, K, h, x, other)
                derivative(form, flow, other, work, psi, K[s])
                counts[2] += 1
            seg_t[segments, 0], seg_t[segments, 1], seg_t[segments, 2] = t, h, after
            copy_to(x, seg_x[segments])
            for d in range(dense.shape[0]):
                _combine(dense[d], a.shape[0], K, h, zero, seg_F[segments, d])
            segments += 1
            if a.shape[0] > stages and limit.size > 0:
                derivative(form, flow, new, tau, psi, other)
        speed = h * _distance(K[stages - 1], K[stages - 2])  # over the distance: h |lambda|
        edge = _STABLE * (_INTERVAL_5 if order == 5 else _INTERVAL_8) * _distance(new, before)
        counts[3] = counts[3] + 1 if speed > 0.8 * edge else 0
        for i in range(n):  # x + h sum b K, the rounding of the sum carried along
            move = h * _weighted(a[stages - 1], K, stages - 1, i) + rounding[i]
            total = x[i] + move
            rounding[i] = move - (total - x[i])
            x[i] = total
        copy_to(K[stages - 1], K[0])
        copy_to(K[0], k)
        state[0] = after
        state[1] = h * _grown(order, size, state[2], rejected)
        if state[1] * speed > h * edge:
            state[1] = max(0.2 * h, h * edge / speed)
        state[2] = max(size, 1e-4)
        state[3], state[4] = index, 0.0
        counts[0] += 1
        rejected = False
        if last:
            return ARRIVED, segments
        if limit.size > 0 and _rest(flow, psi, limit, rtol):
            return CONVERGED, segments
        if watch and counts[3] >= _STIFF_STEPS and end - after > _WORTH * state[1]:
            return STIFF, segments
    return PIECE, segments


@jit_inner
def _weighted(row, K, count, i):
    total = 0.0
    for j in range(count):
        total += row[j] * K[j, i]
    return total


@jit
def evaluate_segments(seg_t, seg_x, seg_F, times, out):
    """x at ascending times inside the segments, by nested alternating products."""
    degree, n = seg_F.shape[1], seg_F.shape[2]
    k = 0
    for r in range(times.size):
        while k < seg_t.shape[0] - 1 and times[r] > seg_t[k, 2]:
            k += 1
        theta = (times[r] - seg_t[k, 0]) / seg_t[k, 1]
        theta = min(max(theta, 0.0), 1.0)
        for i in range(n):
            value = 0.0
            for d in range(degree - 1, -1, -1):
                value = (value + seg_F[k, d, i]) * (theta if d % 2 == 0 else 1.0 - theta)
            out[r, i] = seg_x[k, i] + value
