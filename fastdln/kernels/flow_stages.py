"""One step of Radau collocation on the dual: prediction, Newton's iterations, error.

lambda' = c (y - A psi(tau)), tau = A^T lambda. Over a step H lambda moves by d_i up to the node
c_i, with ``sum_j D_ij d_j = H c (y - A psi(tau_0 + A^T d_i))``. The shifts A^T d_i are added
to slacks that are carried as such (`flow_coordinates`), never to a rounded tau. Stages lie side
by side, in the columns of arrays (m, 8) and (N, 8).

Newton's iterations go through the live coordinates (`flow_live`), the force of the others being
at first that of the last step continued, then that of a pass through all of A. After a pass the
iterations go on from its exact residual; they are over when what they moved would change the
force of the others by less than the tolerance, which is measured at the end of the step.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.flow_coordinates import psi_at, psi_of, room
from fastdln.kernels.flow_live import (
    Live,
    Part,
    choose,
    gather,
    live_limit,
    new_live,
    part_of,
    quiet_force,
    scatter,
)
from fastdln.kernels.flow_modes import Newton, factor, new_newton, set_stride, solve_modes
from fastdln.kernels.flow_rhs import combine_rows
from fastdln.kernels.intrinsics import arrays_are_disjoint, stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES, dots
from fastdln.kernels.newton_rule import (
    FAILED,
    FINE,
    GO_ON,
    MOST_ITERATIONS,
    SOLVED,
    judge,
    renewed,
)

__all__ = ["Radau", "Stages", "new_stages", "predict", "rate_at", "solve_stages"]

_ROUNDING = 4e-15  # of Newton's corrections
_QUIET = 0.01  # of what counts in Newton's matrix: coordinates below are not live
_WORTH = 6.0  # all coordinates to live ones from which the others are left aside
_NOISE = 5e-12  # tolerance below which the rounding of a force that is kept would tell
_LEAST = 0.3  # theta that iterations before a pass are believed down to
_MOST_TURNS = 5  # passes through all coordinates
_ROUGH = 10.0  # times the tolerance, while the force of the others is a guess


class Radau(NamedTuple):
    """Tables for an odd number of stages, padded to eight (see `collocation_tables.modes`)."""

    nodes: np.ndarray  # (stages,)
    basis: np.ndarray  # (stages, stages)
    levels: np.ndarray  # (stages, stages): row k: t^k in the polynomial through values at the nodes
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
    psi: np.ndarray  # (N, 8), of the last pass, as slope and rate
    slope: np.ndarray
    rate: np.ndarray  # (m, 8): lambda'
    force: np.ndarray  # that of the coordinates that are not live
    inner: np.ndarray  # (m, 8): lambda' in between passes
    modes: np.ndarray
    values: np.ndarray
    weight: np.ndarray  # (8, 8)
    level: np.ndarray
    passed: np.ndarray  # (m,): the end of d at the last pass
    defect: np.ndarray  # (m,): of the polynomial at the start, as Newton sees it
    newton: Newton
    live: Live


@jit_inner
def new_stages(m, N):
    """Space, all zero."""
    return Stages(
        np.zeros((m, LANES)), np.zeros((N, LANES)), np.zeros((N, LANES)), np.zeros((N, LANES)),
        np.zeros((m, LANES)), np.zeros((m, LANES)), np.zeros((m, LANES)), np.zeros((m, LANES)),
        np.zeros((m, LANES)), np.zeros((LANES, LANES)), np.zeros((LANES, LANES)), np.zeros(m),
        np.zeros(m), new_newton(m, N), new_live(m, N),
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
def _weights_at(radau, last, H, work):
    """What continues the last polynomial, and values at its nodes, to the new nodes."""
    nodes, weight, level, stages = radau.nodes, work.weight, work.level, radau.nodes.size
    for j in range(LANES):
        for i in range(LANES):
            weight[j, i] = level[j, i] = 0.0
    for i in range(stages):
        if 2.0 * last < H:  # too far: its tangent
            level[stages - 1, i] = 1.0
            for j in range(stages):
                weight[j, i] = nodes[i] * (H / last) * radau.end[j]
            continue
        t, power = 1.0 + nodes[i] * H / last, 1.0
        for k in range(stages):
            for j in range(stages):
                level[j, i] += radau.levels[k, j] * power
            power *= t
            for j in range(stages):
                weight[j, i] += radau.basis[k, j] * (power - 1.0)


@jit_inner
def predict(flow, radau, base, rate, last, H, old, drift, work):
    """First guess of d: the last polynomial continued, or its tangent where it was short.

    The rate at the start is used only where there was none: where forces balance it is the
    rounding of their difference.
    """
    stay_apart()
    m, N = flow.A.shape
    stages, nodes = radau.nodes.size, radau.nodes
    d, shift = work.d, work.shift
    straight = not last > 0.0
    if straight:
        one = np.empty(N)
        combine_rows(flow.A, rate, one)
        for i in range(stages):
            for k in range(m):
                d[k, i] = nodes[i] * H * rate[k]
            for j in range(N):
                shift[j, i] = nodes[i] * H * one[j]
    else:
        _weights_at(radau, last, H, work)
        dots(old, m, work.weight, stages, d)
        dots(drift, N, work.weight, stages, shift)
    _confine(flow.p, base, straight or 2.0 * last < H, stages, d, shift)


@jit_inner
def _within(base, shift):
    """Whether no shift takes most of a slack."""
    for j in range(shift.shape[0]):
        s = shift[j]
        a, b, c, d = max(s[0], s[1]), max(s[2], s[3]), max(s[4], s[5]), max(s[6], s[7])
        top = max(max(a, b), max(c, d))
        a, b, c, d = min(s[0], s[1]), min(s[2], s[3]), min(s[4], s[5]), min(s[6], s[7])
        if not ((top <= 0.95 * base[0, j]) & (-min(min(a, b), min(c, d)) <= 0.95 * base[2, j])):
            return False
    return True


@jit_inner
def _confine(p, base, straight, stages, d, shift):
    """Keep slacks (p > 2), and a line from leaving for good (p = 2): stages are shortened."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    if (p == 2.0 and not straight) or (p > 2.0 and _within(base, shift)):
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
def _correct(p, stages, part, work):
    """Add Newton's corrections, shortened where they are large; the largest of them."""
    stay_apart()
    arrays_are_disjoint()
    use_wide_vectors()
    d, values = work.d, work.values
    base, shift, change = part.base, part.shift, part.change
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
def _residual(flow, radau, H, part, work):
    """T rates - d in modes, from psi of the part and the force of the others."""
    stay_apart()
    use_wide_vectors()
    m, c = flow.A.shape[0], flow.c
    force, rate, modes, values = work.force, part.rate, work.modes, work.values
    dots(part.across, m, part.psi, part.psi.shape[0], rate)
    for i in range(m):
        for q in range(LANES):
            rate[i, q] = force[i, q] - c * rate[i, q]
    dots(rate, m, radau.rates_in, radau.nodes.size, modes)
    dots(work.d, m, radau.values_in, radau.nodes.size, values)
    for i in range(m):
        for q in range(LANES):
            modes[i, q] = H * modes[i, q] - values[i, q]


@jit_inner
def _iterate(flow, par, radau, H, least, tol, fresh, theta, part, work, counts):
    """Newton's iterations on a part of the coordinates: (verdict, theta); fresh: the first here."""
    stay_apart()
    newton, cH, before = work.newton, flow.c * H, 0.0
    n, m, stages = part.squares.size, flow.A.shape[0], radau.nodes.size
    for iteration in range(MOST_ITERATIONS):
        if n == flow.A.shape[1]:
            counts[2] += stages
        if not psi_at(par, flow.eps, part.base, part.shift, part.psi, part.slope):
            return FAILED, theta
        if renewed(iteration, theta) and (fresh or iteration > 0):
            counts[3] += 1
            factor(part.rows, part.squares, part.slope, stages, (2 * stages) // 3, least, newton)
            set_stride(radau.mu, cH, newton)
        _residual(flow, radau, H, part, work)
        solve_modes(radau.mu, cH, newton, work.modes)
        dots(work.modes, m, radau.out, LANES, work.values)
        dots(part.rows, n, work.values, m, part.change)
        norm = _correct(flow.p, stages, part, work)
        if not fresh and iteration == 0 and norm * max(theta, _LEAST) <= FINE * tol:
            return SOLVED, theta
        verdict, theta = judge(iteration, norm, before, theta, tol, _ROUNDING)
        if verdict != GO_ON:
            return verdict, theta
        before = norm
    return FAILED, theta


@jit_inner
def _pass(flow, par, sizes, limit, base, work):
    """psi of all at their shifts, the rates, and what of them is not of live coordinates."""
    stay_apart()
    use_wide_vectors()
    m, N = flow.A.shape
    if not psi_at(par, flow.eps, base, work.shift, work.psi, work.slope):
        return False
    rate, c = work.rate, flow.c
    dots(flow.A, m, work.psi, N, rate)
    for i in range(m):
        y = flow.y[i]
        for q in range(LANES):
            rate[i, q] = c * (y - rate[i, q])
    choose(flow.p, sizes[1], limit, base, work.shift, work.live)
    gather(flow.columns, sizes[0], base, work.shift, work.live)
    quiet_force(c, work.live, work.psi, rate, work.force)
    return True


@jit_inner
def _continue(flow, sizes, base, psi, rate, work):
    """The force of those that will not be live, continued from the last step."""
    stay_apart()
    gather(flow.columns, sizes[0], base, work.shift, work.live)
    quiet_force(flow.c, work.live, psi, rate, work.values)
    dots(work.values, flow.A.shape[0], work.level, LANES, work.force)


@jit_inner
def _solve_all(flow, par, radau, squares, base, H, least, tol, start, work, counts):
    """The same with all coordinates taken for live: none of the passes, but longer iterations."""
    stay_apart()
    force, m = work.force, flow.A.shape[0]
    # a shift continued from step to step would drift away from d
    dots(flow.columns, flow.columns.shape[0], work.d, m, work.shift)
    for i in range(m):
        for q in range(LANES):
            force[i, q] = flow.c * flow.y[i]
    part = Part(
        flow.columns, flow.A, squares, base, work.shift, work.psi, work.slope, work.live.change,
        work.rate,
    )  # fmt: skip
    verdict, _ = _iterate(flow, par, radau, H, least, tol, True, 1.0, part, work, counts)
    return error_of(flow, radau, base, start, H, work) if verdict == SOLVED else math.inf


@jit_inner
def _magnitude(flow, base, stages, z, tau, work):
    """Largest change of a tau by a change of lambda in the first column of z."""
    stay_apart()
    m, N = flow.A.shape
    one = np.empty(m)
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


@jit_inner
def _bring(p, lengths, base, end, tau, work):
    """Add tau to the ends of all shifts; (the largest of it, a bound on a tau a unit of lambda).

    tau is overwritten by the changes of psi, 0 where live.
    """
    stay_apart()
    shift, slope, live, most, reach = work.shift, work.slope, work.live, 0.0, 0.0
    for k in range(live.size[0]):
        slope[live.which[k], end] = 0.0
    for j in range(tau.size):
        t, low = tau[j], 1.0
        s = shift[j, end] + t
        shift[j, end] = s
        if p > 2.0:
            low = min(min(base[0, j], base[2, j]), min(base[0, j] - s, base[2, j] + s))
        inverse = 1.0 / low
        most, reach = max(most, abs(t) * inverse), max(reach, lengths[j] * inverse)
        tau[j] = slope[j, end] * t
    scatter(live, shift)
    return most, reach


@jit_inner
def _settled(flow, radau, lengths, base, H, tol, work):
    """(whether the quiet ones would answer below tol, the largest change since the last pass).

    Shifts are brought to the end of d. Bounds on the answer come first: they often do.
    """
    stay_apart()
    (m, N), end, z = flow.A.shape, radau.nodes.size - 1, work.modes
    push, tau = np.empty(m), np.empty(N)
    for i in range(m):
        push[i] = work.d[i, end] - work.passed[i]
    combine_rows(flow.A, push, tau)
    most, reach = _bring(flow.p, lengths, base, end, tau, work)
    scale, total = radau.mu[0, 0] * flow.c * H, 0.0
    for j in range(N):
        total += lengths[j] * abs(tau[j])
    if scale * total * reach <= FINE * tol:
        return True, most
    combine_rows(flow.columns, tau, push)
    total = 0.0
    for i in range(m):
        total += push[i] * push[i]
        for q in range(LANES):
            z[i, q] = 0.0
        z[i, 0] = scale * push[i]
    if scale * math.sqrt(total) * reach <= FINE * tol:
        return True, most
    solve_modes(radau.mu, flow.c * H, work.newton, z)
    return _magnitude(flow, base, end + 1, z, tau, work) <= FINE * tol, most


@jit_inner
def solve_stages(flow, par, radau, sizes, base, H, tol, start, known, psi, rate, work, counts):
    """Solve for d from a first guess; the error of the step, infinite where that fails.

    start: the rate at the base. known: psi and rate are those at the nodes of the last step.
    An error of more than twice tol ends it early. sizes (3, N): squares of the columns'
    lengths, the keys of `flow_live`, the lengths.
    """
    stay_apart()
    m, N = flow.A.shape
    stages, cH = radau.nodes.size, flow.c * H
    least = min(0.1, tol**0.25) / cH  # parts of H K below are left out of Newton's matrix
    limit, theta = live_limit(flow.p, par[1], flow.L, _QUIET * least), 1.0
    error = math.inf
    choose(flow.p, sizes[1], limit, base, work.shift, work.live)
    if _WORTH * work.live.size[0] >= N or tol < _NOISE:
        return _solve_all(
            flow, par, radau, sizes[0], base, H, least, tol, start, work, counts
        )  # fmt: skip
    if known:
        _continue(flow, sizes, base, psi, rate, work)
        part = part_of(work.live, work.inner)
        verdict, theta = _iterate(
            flow, par, radau, H, least, _ROUGH * tol, True, theta, part, work, counts
        )
        if verdict != SOLVED:
            return math.inf
        scatter(work.live, work.shift)
        error = error_of(flow, radau, base, start, H, work)
        if not error <= 2.0 * tol:
            return error
    for turn in range(_MOST_TURNS):
        if known or turn > 0:
            dots(flow.columns, N, work.d, m, work.shift)
        counts[2] += stages
        if not _pass(flow, par, sizes, limit, base, work):
            return math.inf
        for i in range(m):
            work.passed[i] = work.d[i, stages - 1]
        part, fresh = part_of(work.live, work.inner), not known and turn == 0
        verdict, theta = _iterate(flow, par, radau, H, least, tol, fresh, theta, part, work, counts)
        if verdict != SOLVED:
            return math.inf
        settled, most = _settled(flow, radau, sizes[2], base, H, tol, work)
        if settled:
            if turn > 0 or not known or most > FINE * tol:
                error = error_of(flow, radau, base, start, H, work)
            return error
    return math.inf


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
    solve_modes(radau.mu, flow.c * H, work.newton, z)
    for i in range(m):
        work.defect[i] = z[i, 0] / mu
    return _magnitude(flow, base, stages, z, np.empty(N), work)
