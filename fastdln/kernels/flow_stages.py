"""One step of Radau collocation on the dual: prediction, Newton's iterations, error.

lambda' = c (y - A psi(tau)), tau = A^T lambda. Over a step H lambda moves by d_i up to the node
c_i, with ``sum_j D_ij d_j = H c (y - A psi(tau_0 + A^T d_i))``. The shifts A^T d_i are added
to slacks that are carried as such (`flow_coordinates`), never to a rounded tau. Stages lie side
by side, in the columns of arrays (m, 8) and (N, 8).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.flow_coordinates import psi_at, psi_of, room
from fastdln.kernels.flow_modes import Newton, factor, new_newton, set_stride, solve_modes
from fastdln.kernels.flow_rhs import combine_rows
from fastdln.kernels.intrinsics import arrays_are_disjoint, stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES, dots
from fastdln.kernels.newton_rule import GO_ON, MOST_ITERATIONS, SOLVED, judge, renewed

__all__ = ["Radau", "Stages", "error_of", "new_stages", "predict", "rate_at", "solve_stages"]

_ROUNDING = 4e-15  # of Newton's corrections


class Radau(NamedTuple):
    """Tables for an odd number of stages, padded to eight (see `collocation_tables.modes`)."""

    nodes: np.ndarray  # (stages,)
    basis: np.ndarray  # (stages, stages)
    end: np.ndarray  # (8,): derivative of the polynomial at 1
    start: np.ndarray  # (8,): at 0
    rates_in: np.ndarray  # (8, 8): rates @ this: T rates, in modes
    values_in: np.ndarray  # (8, 8): values @ this, in modes
    out: np.ndarray  # (8, 8): modes @ this: values
    mu: np.ndarray  # (2, modes): eigenvalues of T


class Stages(NamedTuple):
    """What a step works on."""

    d: np.ndarray  # (m, 8): increments of lambda
    shift: np.ndarray  # (N, 8): A^T d
    psi: np.ndarray
    slope: np.ndarray
    change: np.ndarray  # (N, 8)
    rate: np.ndarray  # (m, 8)
    modes: np.ndarray
    values: np.ndarray
    weight: np.ndarray  # (8, 8)
    newton: Newton


@jit_inner
def new_stages(m, N, modes):
    """Space, all zero."""
    return Stages(
        np.zeros((m, LANES)), np.zeros((N, LANES)), np.zeros((N, LANES)), np.zeros((N, LANES)),
        np.zeros((N, LANES)), np.zeros((m, LANES)), np.zeros((m, LANES)), np.zeros((m, LANES)),
        np.zeros((LANES, LANES)), new_newton(m, N, modes),
    )  # fmt: skip


@jit_inner
def rate_at(flow, par, base, rate):
    """lambda' at the base; False where psi is not finite."""
    stay_apart()
    N = flow.columns.shape[0]
    zero, psi, slope = np.zeros(N), np.empty(N), np.empty(N)
    if not psi_of(par, flow.eps, base, zero, psi, slope):
        return False
    combine_rows(flow.columns, psi, rate)
    for i in range(rate.size):
        rate[i] = flow.c * (flow.y[i] - rate[i])
    return True


@jit_inner
def predict(flow, radau, base, rate, last, H, old, work):
    """First guess of d: the last polynomial continued, or its tangent where it was short.

    The rate at the start is used only where there was none: where forces balance it is the
    rounding of their difference.
    """
    stay_apart()
    m, N = flow.A.shape
    stages, nodes, weight = radau.nodes.size, radau.nodes, work.weight
    d, shift = work.d, work.shift
    straight, tangent = not last > 0.0, 2.0 * last < H
    for j in range(LANES):
        for i in range(LANES):
            weight[j, i] = 0.0
    for i in range(stages):
        if straight:
            for k in range(m):
                d[k, i] = nodes[i] * H * rate[k]
        elif tangent:
            for j in range(stages):
                weight[j, i] = nodes[i] * (H / last) * radau.end[j]
        else:
            t, power = 1.0 + nodes[i] * H / last, 1.0
            for k in range(stages):
                power *= t
                for j in range(stages):
                    weight[j, i] += radau.basis[k, j] * (power - 1.0)
    if not straight:
        dots(old, m, weight, stages, d)
    dots(flow.columns, N, d, m, shift)
    _confine(flow.p, base, straight or tangent, stages, d, shift)


@jit_inner
def _confine(p, base, straight, stages, d, shift):
    """Keep slacks (p > 2), and a line from leaving for good (p = 2): stages are shortened."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    if p == 2.0 and not straight:
        return
    most = np.empty(LANES)
    if p == 2.0:
        room(p, base, shift, shift, most)
    else:
        for q in range(LANES):
            most[q] = 0.0
        for j in range(shift.shape[0]):
            x, y = 0.95 * base[0, j], 0.95 * base[2, j]
            for q in range(LANES):
                s = shift[j, q]
                a = s / x if s > 0.0 else -s / y
                most[q] = a if a > most[q] else most[q]
    for q in range(stages):
        if most[q] > 1.0:
            for j in range(shift.shape[0]):
                shift[j, q] /= most[q]
            for i in range(d.shape[0]):
                d[i, q] /= most[q]


@jit_inner
def _correct(p, base, stages, work):
    """Add Newton's corrections, shortened where they are large; the largest of them."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    d, shift, change, values = work.d, work.shift, work.change, work.values
    total = 0.0
    for i in range(values.shape[0]):
        for q in range(stages):
            total += values[i, q]
    if not abs(total) < math.inf:
        return math.inf
    most, damp, norm = np.empty(LANES), np.ones(LANES), 0.0
    room(p, base, shift, change, most)
    allowed = 2.0 if p == 2.0 else 0.9
    for q in range(stages):
        norm = max(norm, most[q])
        if most[q] > allowed:
            damp[q] = allowed / most[q]
    for j in range(shift.shape[0]):
        for q in range(LANES):
            shift[j, q] += damp[q] * change[j, q]
    for i in range(d.shape[0]):
        for q in range(LANES):
            d[i, q] += damp[q] * values[i, q]
    return norm


@jit_inner
def _residual(flow, radau, H, work):
    """T rates - d in modes, from psi of the stages."""
    stay_apart()
    use_wide_vectors()
    m, N = flow.A.shape
    rate, modes, values = work.rate, work.modes, work.values
    dots(flow.A, m, work.psi, N, rate)
    cH = flow.c * H
    for i in range(m):
        y = flow.y[i]
        for q in range(LANES):
            rate[i, q] = cH * (y - rate[i, q])
    dots(rate, m, radau.rates_in, radau.nodes.size, modes)
    dots(work.d, m, radau.values_in, radau.nodes.size, values)
    for i in range(m):
        for q in range(LANES):
            modes[i, q] -= values[i, q]


@jit_inner
def solve_stages(flow, par, radau, squares, base, H, tol, work, counts):
    """Newton's iterations; True if they leave a small part of tol."""
    stay_apart()
    m, N = flow.A.shape
    stages, modes = radau.nodes.size, radau.mu.shape[1]
    cH, newton = flow.c * H, work.newton
    least = min(0.1, tol**0.25) / cH  # parts of H K below are left out of Newton's matrix
    before, theta = 0.0, 1.0
    for iteration in range(MOST_ITERATIONS):
        counts[2] += stages
        if not psi_at(par, flow.eps, base, work.shift, work.psi, work.slope):
            return False
        if renewed(iteration, theta):
            counts[3] += 1
            factor(flow.columns, squares, work.slope, stages, (2 * stages) // 3, least, newton)
            set_stride(radau.mu, cH, newton)
        _residual(flow, radau, H, work)
        solve_modes(radau.mu, cH, newton, modes, work.modes)
        dots(work.modes, m, radau.out, stages, work.values)
        dots(flow.columns, N, work.values, m, work.change)
        norm = _correct(flow.p, base, stages, work)
        verdict, theta = judge(iteration, norm, before, theta, tol, _ROUNDING)
        if verdict != GO_ON:
            return verdict == SOLVED
        before = norm
    return False


@jit_inner
def error_of(flow, radau, base, rate, H, work):
    """Estimate of the error of the polynomial: its defect at the start, as Newton sees it."""
    stay_apart()
    m, N = flow.A.shape
    stages, z, mu = radau.nodes.size, work.modes, radau.mu[0, 0]
    for i in range(m):
        defect = H * rate[i]
        for j in range(stages):
            defect -= radau.start[j] * work.d[i, j]
        for q in range(LANES):
            z[i, q] = 0.0
        z[i, 0] = mu * defect
    solve_modes(radau.mu, flow.c * H, work.newton, 1, z)
    one, tau = np.empty(m), np.empty(N)
    for i in range(m):
        one[i] = z[i, 0]
    combine_rows(flow.A, one, tau)
    worst, bad = 0.0, 0.0
    for j in range(N):
        e, low = abs(tau[j]), 1.0
        if flow.p > 2.0:
            s = work.shift[j, stages - 1]
            low = min(base[0, j], base[2, j])
            low = min(low, min(base[0, j] - s, base[2, j] + s))
        worst = max(worst, e / low)
        bad += e
    return worst if bad < math.inf else math.inf
