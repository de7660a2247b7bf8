"""Gradient flow by Radau collocation on the dual, in pieces (see `flow_stages`, `flow_goal`)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.flow_coordinates import move, psi_of
from fastdln.kernels.flow_dense import between, new_between, open_step
from fastdln.kernels.flow_goal import (
    ARRIVED,
    CONVERGED,
    INVALID,
    LEAST_ERROR,
    PIECE,
    STUCK,
    at_rest,
    longer,
    part_of_way,
)
from fastdln.kernels.flow_stages import new_stages, predict, rate_at, solve_stages
from fastdln.kernels.intrinsics import stay_apart
from fastdln.kernels.linear import copy_to

__all__ = ["Rows", "Segments", "State", "collocation_piece"]


class State(NamedTuple):
    """Where a flow stands; going on from a copy gives the same bits."""

    base: np.ndarray  # (4, N): see `flow_coordinates`
    dual: np.ndarray  # (2, m): lambda and its rounding
    last: np.ndarray  # (m, 8): increments of the last step
    shift: np.ndarray  # (N, 8): A^T of them
    psi: np.ndarray  # (N, 8): at the nodes of the last step
    rate: np.ndarray  # (m, 8): lambda' there
    clock: (
        np.ndarray
    )  # (7,): t, its rounding, rest of the time (hi, lo), stride, last one, its error
    counts: np.ndarray  # (4,) steps, rejections, evaluations, factorisations


class Segments(NamedTuple):
    """Steps that were kept."""

    t: np.ndarray  # (K, 2): start, end
    base: np.ndarray  # (K, 4, N)
    dual: np.ndarray  # (K, m)
    last: np.ndarray  # (K, m, 8): increments, then the defect (`flow_dense`)


class Rows(NamedTuple):
    """psi and lambda at the times asked for, where no segments are kept."""

    psi: np.ndarray  # (T, N)
    dual: np.ndarray  # (T, m)


@jit_inner
def _agrees(par, flow, base, goal):
    """Whether psi is within the tolerance of its limit."""
    stay_apart()
    N = goal.limit.size
    zero, psi, slope = np.zeros(N), np.empty(N), np.empty(N)
    return psi_of(par, flow.eps, base, zero, psi, slope) and at_rest(psi, flow.eps, goal)


@jit_inner
def _reach(flow, b, squares, radau, rtol, state):
    """The stride that takes part of a slack, along the tangents at the end of the last step."""
    stay_apart()
    last, base = state.clock[5], state.base
    if flow.p == 2.0 or not last > 0.0:
        return math.inf
    e, reach, stages = radau.end, math.inf, radau.nodes.size
    for j in range(base.shape[1]):
        s = state.shift[j]
        slope = (e[0] * s[0] + e[1] * s[1]) + (e[2] * s[2] + e[3] * s[3])
        slope += (e[4] * s[4] + e[5] * s[5]) + (e[6] * s[6] + e[7] * s[7])
        room, speed = base[0, j] if slope > 0.0 else base[2, j], abs(slope)
        if last * room < reach * speed:
            pull = flow.c * last * squares[j] / speed
            reach = min(
                reach, last * room / speed * part_of_way(stages, rtol, b, -flow.L, room, pull)
            )
    return reach


@jit_inner
def _stride(reach, state):
    """The stride proposed, cut before a slack or the time would end."""
    H, rest = min(state.clock[4], reach), state.clock[2]
    if rest <= H:
        return rest
    return 0.5 * rest if rest < 2.0 * H else H


@jit_inner
def _pass_time(clock, H, done, end):
    """Take H off the rest and add it to t, both in two doubles."""
    s = clock[2] - H
    z = s - clock[2]
    e = (clock[2] - (s - z)) + (-H - z) + clock[3]
    clock[2] = s + e
    clock[3] = e - (clock[2] - s)
    t, step = clock[0], H + clock[1]
    after = t + step
    clock[1] = step - (after - t)
    clock[0] = end if done else after


@jit_inner
def _keep(segments, k, state, after, work):
    stay_apart()
    segments.t[k, 0], segments.t[k, 1] = state.clock[0], after
    for side in range(4):
        copy_to(state.base[side], segments.base[k, side])
    copy_to(state.dual[0], segments.dual[k])
    for i in range(work.d.shape[0]):
        copy_to(work.d[i], segments.last[k, i])


@jit_inner
def _accept(p, state, H, error, tol, stages, work):
    """The state at the end of the step, and the next stride."""
    stay_apart()
    base, clock, dual, end = state.base, state.clock, state.dual, stages - 1
    m, N = work.d.shape[0], work.shift.shape[0]
    one = np.empty(N)
    for j in range(N):
        one[j] = work.shift[j, end]
        copy_to(work.shift[j], state.shift[j])
        copy_to(work.psi[j], state.psi[j])
    move(p, base, one)
    for i in range(m):
        change = work.d[i, end] + dual[1, i]
        total = dual[0, i] + change
        dual[1, i] = change - (total - dual[0, i])
        dual[0, i] = total
        copy_to(work.d[i], state.last[i])
        copy_to(work.rate[i], state.rate[i])
    factor = longer(H, error, tol, stages, clock[5], clock[6])
    # a stride that was cut short says nothing against the longer one proposed
    clock[4] = max(factor * H, clock[4]) if clock[4] > H else factor * H
    clock[5], clock[6] = H, max(error, LEAST_ERROR * tol)
    state.counts[0] += 1


@jit_inner
def _write(flow, par, radau, goal, state, after, first, work, inside, rows):
    """The rows of the times up to `after`, the one numbered `first` being next; how many now."""
    stay_apart()
    grid, start, last = goal.grid, state.clock[0], first
    while last < grid.size and grid[last] <= after:
        last += 1
    if last > first:
        open_step(flow, work.d, inside)
    for row in range(first, last):
        theta = (grid[row] - start) / (after - start)
        base, dual = state.base, state.dual[0]
        between(
            par, flow.eps, radau.nodes, base, dual, theta, inside, rows.psi[row], rows.dual[row]
        )
    return last


@jit
def collocation_piece(flow, par, radau, sizes, goal, state, segments, rows):
    """Up to ``goal.budget`` attempts of a step towards ``goal.end``; ``(code, used)``.

    used: the segments filled if ``goal.keep``, else the rows.
    """
    m, N = flow.A.shape
    stages, counts, clock = radau.nodes.size, state.counts, state.clock
    work, rate = new_stages(m, N), np.empty(m)
    used, inside = 0, new_between(radau.nodes, m, N)
    if not rate_at(flow, par, state.base, rate):
        return INVALID, used
    for _ in range(goal.budget):
        if goal.keep and used == segments.t.shape[0]:
            break
        if not clock[2] > 0.0:
            return ARRIVED, used
        H = _stride(_reach(flow, par[1], sizes[0], radau, goal.rtol, state), state)
        if not H > 1e-300:
            return STUCK, used
        predict(flow, radau, state.base, rate, clock[5], H, state.last, state.shift, work)
        error = solve_stages(
            flow, par, radau, sizes, state.base, H, goal.tol, rate, clock[5] > 0.0, state.psi,
            state.rate, work, counts,
        )  # fmt: skip
        if not error <= goal.tol:
            counts[1] += 1
            factor = 0.3
            if error < math.inf:
                factor = min(0.7, max(0.1, 0.8 * (goal.tol / error) ** (1.0 / (stages + 1))))
            clock[4] = factor * H
            continue
        done = clock[2] == H
        after = goal.end if done else clock[0] + (H + clock[1])
        for i in range(m):  # for the output alone: the lane counts nowhere else
            work.d[i, stages] = work.defect[i]
        if goal.keep:
            _keep(segments, used, state, after, work)
            used += 1
        else:
            used = _write(flow, par, radau, goal, state, after, used, work, inside, rows)
        _accept(flow.p, state, H, error, goal.tol, stages, work)
        _pass_time(clock, H, done, goal.end)
        counts[2] += 1
        if not rate_at(flow, par, state.base, rate):
            return INVALID, used
        if done:
            return ARRIVED, used
        if goal.limit.size > 0 and _agrees(par, flow, state.base, goal):
            return CONVERGED, used
    return PIECE, used
