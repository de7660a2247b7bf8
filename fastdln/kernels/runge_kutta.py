"""Adaptive explicit Runge-Kutta steps of one flow, in pieces (see `flow_goal`).

Error: the embedded estimate, per coordinate of psi (`error_norm`). Step control:
proportional-integral (Hairer, Wanner, "Solving Ordinary Differential Equations II",
section IV.2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_blocks import padded
from fastdln.kernels.flow_goal import ARRIVED, CONVERGED, INVALID, PIECE, STIFF, STUCK, at_rest
from fastdln.kernels.flow_rhs import derivative, error_norm
from fastdln.kernels.linear import copy_to

__all__ = ["Kept", "State", "evaluate_segments", "explicit_piece", "first_step"]

_SAFETY = 0.9
_GROWTH = 8.0
_STIFF_STEPS = 12  # accepted steps at the edge of stability before a piece ends as stiff
_WORTH = 40.0  # steps still to come that make a change of method worth its start
_STABLE = 0.85  # of the stability interval: at its end errors would no longer be damped
_INTERVAL_5, _INTERVAL_8 = 3.3, 6.0  # its length on the negative axis


class State(NamedTuple):
    """Where a flow stands; going on from a copy gives the same bits."""

    x: np.ndarray
    rounding: np.ndarray  # of x
    k: np.ndarray  # the derivative there
    clock: np.ndarray  # (4,): t, next step, last error, whether the last attempt met a NaN
    counts: np.ndarray  # (4,): steps, rejections, evaluations, steps in a row that seem stiff


class Kept(NamedTuple):
    """Steps that were kept."""

    t: np.ndarray  # (K, 3): start, step, end
    x: np.ndarray  # (K, n)
    F: np.ndarray  # (K, degree, n): see `evaluate_segments`


class _Work(NamedTuple):
    K: np.ndarray  # (S, n): derivatives of the stages
    tau: np.ndarray  # (N,), or longer (`flow_blocks.padded`)
    psi: np.ndarray
    spare: np.ndarray  # (N,), twice
    inner: np.ndarray
    new: np.ndarray  # (n,): x at the end
    before: np.ndarray  # at the last stage but one
    e: np.ndarray  # the errors of order 5 or 8, and of order 3
    other: np.ndarray
    zero: np.ndarray


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
def _estimate(form, flow, pair, h, work):
    """Error of the step relative to |psi| + eps; that of order 5 leant on by that of order 3."""
    stages = pair.error.shape[1]
    _combine(pair.error[0], stages, work.K, h, work.zero, work.e)
    size = error_norm(form, flow, work.new, work.e, work.tau, work.psi, work.spare)
    if pair.order == 8:
        _combine(pair.error[1], stages, work.K, h, work.zero, work.other)
        fine, coarse = _distance(work.e, work.zero), 0.1 * _distance(work.other, work.zero)
        if fine > 0.0:
            size *= fine / math.sqrt(fine * fine + coarse * coarse)
    return size


@jit
def first_step(form, flow, x, rtol, order, k):
    """A first step, and the derivative at x in k: psi changes by a fraction of its tolerance.

    NaN where the derivative is.
    """
    N = padded(flow)
    tau, psi, work = np.empty(N), np.empty(N), np.empty(N)
    derivative(form, flow, x, tau, psi, k)
    speed = error_norm(form, flow, x, k, tau, psi, work)
    if speed == 0.0:
        return math.inf
    return 0.1 * rtol ** (1.0 / order) / speed


@jit_inner
def _grown(order, error, last, rejected):
    """Factor of the next step after an accepted one; errors in units of the tolerance."""
    if error == 0.0:
        return _GROWTH if not rejected else 1.0
    factor = _SAFETY * error ** (-0.7 / order) * last ** (0.4 / order)
    return min(max(factor, 0.2), 1.0 if rejected else _GROWTH)


@jit_inner
def _weighted(row, K, count, i):
    total = 0.0
    for j in range(count):
        total += row[j] * K[j, i]
    return total


@jit_inner
def _try(form, flow, pair, state, h, work):
    """The stages of a step h, and its error."""
    for s in range(1, pair.stages):
        _combine(pair.a[s], s, work.K, h, state.x, work.new)
        derivative(form, flow, work.new, work.tau, work.psi, work.K[s])
        if s == pair.stages - 2:
            copy_to(work.new, work.before)
    state.counts[2] += pair.stages - 1
    return _estimate(form, flow, pair, h, work)


@jit_inner
def _keep(form, flow, pair, state, h, after, kept, k, work):
    """The step as segment k, with the stages that only the interpolant needs."""
    a, K = pair.a, work.K
    for s in range(pair.stages, a.shape[0]):
        _combine(a[s], s, K, h, state.x, work.other)
        derivative(form, flow, work.other, work.spare, work.inner, K[s])
        state.counts[2] += 1
    kept.t[k, 0], kept.t[k, 1], kept.t[k, 2] = state.clock[0], h, after
    copy_to(state.x, kept.x[k])
    for d in range(pair.dense.shape[0]):
        _combine(pair.dense[d], a.shape[0], K, h, work.zero, kept.F[k, d])


@jit_inner
def _accept(pair, state, h, after, size, rejected, work):
    """The state at the end of the step h of error `size`, and the next step."""
    K, counts, clock, stages = work.K, state.counts, state.clock, pair.stages
    speed = h * _distance(K[stages - 1], K[stages - 2])  # over the distance: h |lambda|
    interval = _INTERVAL_5 if pair.order == 5 else _INTERVAL_8
    edge = _STABLE * interval * _distance(work.new, work.before)
    counts[3] = counts[3] + 1 if speed > 0.8 * edge else 0
    for i in range(state.x.size):  # x + h sum b K, the rounding of the sum carried along
        move = h * _weighted(pair.a[stages - 1], K, stages - 1, i) + state.rounding[i]
        total = state.x[i] + move
        state.rounding[i] = move - (total - state.x[i])
        state.x[i] = total
    copy_to(K[stages - 1], K[0])
    copy_to(K[0], state.k)
    clock[0] = after
    clock[1] = h * _grown(pair.order, size, clock[2], rejected)
    if clock[1] * speed > h * edge:
        clock[1] = max(0.2 * h, h * edge / speed)
    clock[2], clock[3] = max(size, 1e-4), 0.0
    counts[0] += 1


@jit
def explicit_piece(form, flow, pair, goal, watch, state, kept):
    """Up to ``goal.budget`` attempts of a step towards ``goal.end``; ``(code, segments)``.

    With `watch` the piece ends when the steps are held down by stability alone.
    """
    n, N, clock, grid = state.x.size, padded(flow), state.clock, goal.grid
    work = _Work(
        np.empty((pair.a.shape[0], n)), np.empty(N), np.empty(N), np.empty(N), np.empty(N),
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.zeros(n),
    )  # fmt: skip
    used, index, rejected = 0, 0, False
    copy_to(state.k, work.K[0])
    for _ in range(goal.budget):
        if used == kept.t.shape[0]:
            break
        t, h = clock[0], clock[1]
        last = t + 1.0001 * h >= goal.end
        if last:
            h = goal.end - t
        if not h > 4e-16 * t:
            return INVALID if h != h or clock[3] != 0.0 else STUCK, used
        size = _try(form, flow, pair, state, h, work) / goal.tol
        if not size <= 1.0:
            state.counts[1] += 1
            rejected = True
            clock[3] = 0.0 if size < math.inf else 1.0
            shrink = max(0.1, _SAFETY * size ** (-1.0 / pair.order)) if size < math.inf else 0.1
            clock[1] = h * shrink
            continue
        after = goal.end if last else t + h
        while index < grid.size and grid[index] <= t:
            index += 1
        if goal.keep or (index < grid.size and grid[index] <= after):
            _keep(form, flow, pair, state, h, after, kept, used, work)
            used += 1
        _accept(pair, state, h, after, size, rejected, work)
        rejected = False
        if last:
            return ARRIVED, used
        if goal.limit.size > 0 and at_rest(work.psi, flow.eps, goal):
            return CONVERGED, used
        if watch and state.counts[3] >= _STIFF_STEPS and goal.end - after > _WORTH * clock[1]:
            return STIFF, used
    return PIECE, used


@jit
def evaluate_segments(kept, times, out):
    """x at ascending times inside the segments, by nested alternating products."""
    degree, n = kept.F.shape[1], kept.F.shape[2]
    k = 0
    for r in range(times.size):
        while k < kept.t.shape[0] - 1 and times[r] > kept.t[k, 2]:
            k += 1
        theta = (times[r] - kept.t[k, 0]) / kept.t[k, 1]
        theta = min(max(theta, 0.0), 1.0)
        for i in range(n):
            value = 0.0
            for d in range(degree - 1, -1, -1):
                value = (value + kept.F[k, d, i]) * (theta if d % 2 == 0 else 1.0 - theta)
            out[r, i] = kept.x[k, i] + value
