"""Radau collocation on the dual in basis slacks: flows whose slack doubles cannot hold in tau.

With the basis B of `state`, tau_B = A_B^T lambda and time theta = c t,

    tau_B' = M e,   e = A_B^-1 (y - A psi),   M = A_B^T A_B.

The stage equations are divided by M, so that their residual is a balance in psi, and
solved for the slacks s of the basis themselves:

    M^-1 sum_j D_ij (tau_j - tau_0) / H - e(tau_i) = 0,   i = 1 ... stages.

Rounding of 1e-16 in psi is then 1e-16 relative in s, however small s is: where forces
balance, d psi / d s is as large as 1 / alpha^(p-2). Newton's matrix, scaled by the
diagonal of d e / d tau, stays well conditioned, as that of the path of limits does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_goal import (
    ARRIVED,
    CONVERGED,
    LEAST_ERROR,
    PIECE,
    STUCK,
    at_rest,
    longer,
    part_of_way,
)
from fastdln.kernels.flow_slack_stages import Frame, defect, new_work, solve_stages
from fastdln.kernels.linear import copy_to, matvec, multiply
from fastdln.kernels.select import select_basis
from fastdln.kernels.state import locate, new_point, reselect
from fastdln.kernels.tableau import from_basis, make_basis, no_columns

__all__ = ["Kept", "State", "observe_slack", "slack_piece"]

_ROUNDING = 1e-15  # of a sum of m terms


class State(NamedTuple):
    """Where a flow stands; going on from a copy gives the same bits."""

    columns: np.ndarray  # (m,) of the basis
    sgn: np.ndarray  # (m,)
    s: np.ndarray  # (m,) slacks
    low: np.ndarray  # (m,) their rounding
    rate: np.ndarray  # (m,) tau_B' / c, at the end of the last step
    clock: np.ndarray  # (6,): t, its rounding, rest of the time, next step, the last one, its error
    counts: np.ndarray  # (4,): steps, rejections, evaluations, factorisations


class Kept(NamedTuple):
    """Steps that were kept."""

    t: np.ndarray  # (K, 2): start, end
    columns: np.ndarray  # (K, m)
    sgn: np.ndarray  # (K, m)
    S: np.ndarray  # (K, stages + 1, m): slacks at the start, then their changes at the nodes


@jit_inner
def _reach(where, frame, radau, H, rtol, rate, work):
    """Rate of tau_B at the end of a step, and the time it may go on before a slack is taken."""
    last = radau.nodes.size - 1
    point = work.points[last]
    for k in range(rate.size):
        rate[k] = 0.0
        for j in range(radau.nodes.size):
            rate[k] -= radau.D[last, j] * (frame.sgn[k] * work.dS[j, k]) / H
    if where.p_is_2:
        return math.inf
    from_basis(where.A, frame.basis, frame.apart, rate, work.rest)
    reach, log_eps = math.inf, where.b * math.log(where.level)
    for j in range(work.rest.size):
        room = point.slack_minus[j] if work.rest[j] > 0.0 else point.slack_plus[j]
        speed = abs(work.rest[j])
        if room < reach * speed:
            part = part_of_way(
                radau.nodes.size, rtol, where.b, log_eps, room, where.squares[j] / speed
            )  # fmt: skip
            reach = min(reach, part * room / speed)
    return reach


@jit_inner
def _guess(p_is_2, nodes, H, state, dS):
    """Straight on from the start, no slack taken wholly."""
    for i in range(dS.shape[0]):
        for k in range(dS.shape[1]):
            d = -state.sgn[k] * (state.rate[k] * (nodes[i] * H))
            if not p_is_2:
                d = min(max(d, -0.9 * state.s[k]), 0.5 * (2.0 - state.s[k]))
            dS[i, k] = d


@jit_inner
def _same_set(first, second):
    for i in first:
        found = False
        for j in second:
            found = found or i == j
        if not found:
            return False
    return True


@jit_inner
def _place(where, state, point):
    """The frame of the state, and the point there."""
    m = state.s.size
    basis, metric = make_basis(where.A, where.y, state.columns), np.empty((m, m))
    apart = locate(
        where.A, where.p_is_2, where.b, where.level, basis, no_columns(m), state.sgn, state.s,
        point,
    )  # fmt: skip
    multiply(basis.inverse, basis.inverse_t, metric)
    return Frame(basis, apart, metric, state.sgn)


@jit_inner
def _change_basis(where, frame, point, state):
    """Read the state off in the columns of largest slope.

    The rates of tau go there by lambda', whose rounding may be larger than all of them: what is
    below it is none, for a slack far smaller than that would follow it.
    """
    A, m = where.A, state.s.size
    dual = np.zeros(m)
    for q in range(m):
        for k in range(m):
            dual[q] += frame.basis.inverse[k, q] * state.rate[k]
    reselect(A, where.squares, where.p_is_2, where.level, point, state.sgn, state.s, state.columns)
    for k in range(m):
        rate, size = 0.0, 0.0
        for q in range(m):
            rate += A[q, state.columns[k]] * dual[q]
            size += abs(A[q, state.columns[k]] * dual[q])
        state.rate[k] = rate if abs(rate) > _ROUNDING * size else 0.0
        state.low[k] = 0.0


@jit_inner
def _keep(kept, k, state, after, dS):
    kept.t[k, 0], kept.t[k, 1] = state.clock[0], after
    copy_to(state.sgn, kept.sgn[k])
    copy_to(state.s, kept.S[k, 0])
    for i in range(state.columns.size):
        kept.columns[k, i] = state.columns[i]
    for i in range(dS.shape[0]):
        copy_to(dS[i], kept.S[k, i + 1])


@jit_inner
def _move(where, state, change):
    """Take the slacks on by `change`; `locate` turns the signs of those past the middle."""
    s, low = state.s, state.low
    top = where.level if where.p_is_2 else 1.0
    for k in range(s.size):
        d = low[k] + change[k]
        total = s[k] + d
        low[k] = d - (total - s[k])
        s[k] = total
        if s[k] > top:
            low[k] = -low[k]


@jit_inner
def _accept(where, frame, radau, state, h, error, tol, rtol, work):
    """The state at the end of the step h, and the next one."""
    clock, stages = state.clock, radau.nodes.size
    move = h + clock[1]
    after = clock[0] + move
    reach = _reach(where, frame, radau, where.c * h, rtol, state.rate, work)
    _move(where, state, work.dS[stages - 1])
    clock[1] = move - (after - clock[0])
    clock[0] = after
    clock[2] -= h
    if clock[2] > 0.0:
        factor = longer(h, error, tol, stages, clock[4], clock[5])
        clock[3] = min(factor * h, max(reach / where.c, 1e-3 * h))
    clock[4], clock[5] = h, max(error, LEAST_ERROR * tol)
    state.counts[0] += 1


@jit_inner
def _attempt(where, frame, radau, state, h, tol, point, work):
    """One step of h: its error, infinite where Newton fails."""
    H = where.c * h
    _guess(where.p_is_2, radau.nodes, H, state, work.dS)
    if not solve_stages(where, frame, radau, state.s, state.low, H, tol, work, state.counts):
        return math.inf
    return defect(where, frame, radau, H, point, work)


@jit_inner
def _settled(point, eps, goal, psi):
    for j in range(psi.size):
        psi[j] = point.minus[j] - point.plus[j]
    return at_rest(psi, eps, goal)


@jit
def slack_piece(where, radau, goal, state, kept):
    """Up to ``goal.budget`` attempts of a step; ``(code, segments)``."""
    m, N = where.A.shape
    stages, clock, grid = radau.nodes.size, state.clock, goal.grid
    point, work, chosen = new_point(N), new_work(stages, m, N), np.empty(m, np.int64)
    frame = _place(where, state, point)
    used, index, moving = 0, 0, False
    for _ in range(goal.budget):
        if used == kept.t.shape[0]:
            break
        if not moving:  # the state is new
            if not select_basis(where.A, point.D, where.squares, chosen):
                return STUCK, used
            if not _same_set(chosen, state.columns):
                _change_basis(where, frame, point, state)
            frame = _place(where, state, point)
            moving = True
        h = clock[3]
        last = 1.0001 * h >= clock[2]
        if last:
            h = clock[2]
        if not where.c * h > 1e-300:
            return STUCK, used
        error = _attempt(where, frame, radau, state, h, goal.tol, point, work)
        if not error <= goal.tol:
            state.counts[1] += 1
            factor = 0.25
            if error < math.inf:
                factor = min(0.7, max(0.1, 0.8 * (goal.tol / error) ** (1.0 / (stages + 1))))
            clock[3] = factor * h
            continue
        after = clock[0] + (h + clock[1])
        while index < grid.size and grid[index] <= clock[0]:
            index += 1
        if goal.keep or (index < grid.size and (grid[index] <= after or last)):
            _keep(kept, used, state, after, work.dS)
            used += 1
        _accept(where, frame, radau, state, h, error, goal.tol, goal.rtol, work)
        locate(
            where.A, where.p_is_2, where.b, where.level, frame.basis, frame.apart, state.sgn,
            state.s, point,
        )  # fmt: skip
        moving = False
        if last:
            return ARRIVED, used
        if goal.limit.size > 0 and _settled(point, where.eps, goal, work.psi):
            return CONVERGED, used
    return PIECE, used


@jit_inner
def _slacks_at(nodes, S, theta, s):
    """The slacks at theta in [0, 1] of a step, by Lagrange's weights."""
    stages = nodes.size
    if theta == 1.0:
        for i in range(s.size):
            s[i] = S[0, i] + S[stages, i]
        return
    copy_to(S[0], s)
    for j in range(stages):
        weight = theta / nodes[j]
        for q in range(stages):
            if q != j:
                weight *= (theta - nodes[q]) / (nodes[j] - nodes[q])
        for i in range(s.size):
            s[i] += weight * S[j + 1, i]


@jit_inner
def _observe(where, p, basis, point, row, seen):
    """The point into a row of what is seen; u and v are the roots of the halves of psi."""
    psi, u, v, dual, loss = seen
    m, N = where.A.shape
    r = np.empty(m)
    for j in range(N):
        psi[row, j] = point.minus[j] - point.plus[j]
        u[row, j], v[row, j] = point.minus[j] ** (1.0 / p), point.plus[j] ** (1.0 / p)
    for q in range(m):
        dual[row, q] = 0.0
        for i in range(m):
            dual[row, q] += basis.inverse[i, q] * point.tau[basis.columns[i]]
    matvec(where.A, psi[row], r)
    loss[row] = 0.0
    for i in range(m):
        loss[row] += 0.5 * (r[i] - where.y[i]) * (r[i] - where.y[i])


@jit
def observe_slack(where, p, nodes, kept, times, seen):
    """The flow at ascending times inside the segments; seen = (psi, u, v, dual, loss)."""
    m, N = where.A.shape
    point, k, built = new_point(N), 0, -1
    basis, s = make_basis(where.A, where.y, kept.columns[0].copy()), np.empty(m)
    for row in range(times.size):
        while k < kept.t.shape[0] - 1 and times[row] > kept.t[k, 1]:
            k += 1
        if built != k:
            basis = make_basis(where.A, where.y, kept.columns[k].copy())
            built = k
        width = kept.t[k, 1] - kept.t[k, 0]
        theta = min(max((times[row] - kept.t[k, 0]) / width, 0.0), 1.0) if width > 0.0 else 1.0
        _slacks_at(nodes, kept.S[k], theta, s)
        sgn = kept.sgn[k].copy()
        locate(where.A, where.p_is_2, where.b, where.level, basis, no_columns(m), sgn, s, point)
        _observe(where, p, basis, point, row, seen)
