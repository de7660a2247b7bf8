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

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.intrinsics import fma
from fastdln.kernels.linear import copy_to, matvec, multiply, weighted_gram
from fastdln.kernels.runge_kutta import ARRIVED, CONVERGED, PIECE, STUCK
from fastdln.kernels.select import select_basis
from fastdln.kernels.state import evaluate, locate, new_point, reselect
from fastdln.kernels.tableau import from_basis, make_basis, no_columns, to_basis

__all__ = ["observe_slack", "slack_piece"]

_ITERATIONS = 20
_SHRINK = 0.85  # part of a slack that a step may be expected to take


@jit_inner
def _solve_dense(M, b):
    """Overwrite b by M^-1 b, by elimination with partial pivoting; M is lost."""
    n = b.size
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(M[i, k]) > abs(M[pivot, k]):
                pivot = i
        if not abs(M[pivot, k]) > 0.0:
            return False
        if pivot != k:
            for j in range(k, n):
                M[k, j], M[pivot, j] = M[pivot, j], M[k, j]
            b[k], b[pivot] = b[pivot], b[k]
        for i in range(k + 1, n):
            factor = -M[i, k] / M[k, k]
            if factor != 0.0:
                source, target = M[k, k:], M[i, k:]
                for j in range(source.size):
                    target[j] = fma(factor, source[j], target[j])
                b[i] += factor * b[k]
    for k in range(n - 1, -1, -1):
        total = b[k]
        for j in range(k + 1, n):
            total -= M[k, j] * b[j]
        b[k] = total / M[k, k]
    return True


@jit_inner
def _balance(A, basis, apart, point, psi, work, e):
    """``e = A_B^-1 (y - A psi)``."""
    for j in range(psi.size):
        psi[j] = point.minus[j] - point.plus[j]
    to_basis(A, basis, apart, psi, work, e)
    for i in range(e.size):
        e[i] = basis.x_hi[i] - e[i]


@jit_inner
def _slope(A, basis, apart, point, work, gram, product, S):
    """``S = - d e / d tau_B``."""
    m = S.shape[0]
    copy_to(point.D, work)
    for j in basis.columns:
        work[j] = 0.0
    for j in apart.columns:
        work[j] = 0.0
    weighted_gram(A, work, gram)
    multiply(basis.inverse, gram, product)
    multiply(product, basis.inverse_t, S)
    for i in range(m):
        S[i, i] += point.D[basis.columns[i]]
    for k in range(apart.columns.size):
        d = point.D[apart.columns[k]]
        for i in range(m):
            for j in range(m):
                S[i, j] += (d * apart.g_hi[k, i]) * apart.g_hi[k, j]


@jit_inner
def _relative(p_is_2, b, change, point):
    """Largest relative change of psi, above eps, by a change of tau; NaN if any is."""
    size = 0.0
    for j in range(change.size):
        c = abs(change[j])
        if not p_is_2:
            s = min(point.slack_minus[j], point.slack_plus[j])
            c *= b * (2.0 - s) / s
        if not c <= size:
            size = c
    return size


@jit_inner
def _valid(p_is_2, point):
    for j in range(point.D.size):
        if not p_is_2 and not min(point.slack_minus[j], point.slack_plus[j]) > 0.0:
            return False
        if not point.D[j] < math.inf:
            return False
    return True


@jit_inner
def _add(s0, low, dS, S):
    """``S = s0 + low + dS``: changes far below the rounding of s0 still count in dS."""
    for i in range(dS.shape[0]):
        for k in range(s0.size):
            S[i, k] = s0[k] + (low[k] + dS[i, k])


@jit_inner
def _newton(
    A, p_is_2, b, level, basis, apart, sgn, s0, low, H, D, metric, tol, dS, points, counts
):  # fmt: skip
    """Solve the stage equations for the changes dS (stages, m) of the slack; True if solved."""
    stages, m = dS.shape
    S = np.empty((stages, m))
    _add(s0, low, dS, S)
    N = A.shape[1]
    psi, work, change = np.empty(N), np.empty(N), np.empty(N)
    gram, product, slope = np.empty((m, m)), np.empty((m, m)), np.empty((m, m))
    e, t = np.empty(m), np.empty(m)
    before, floor = math.inf, 1e-15 * (1.0 + (0.0 if p_is_2 else 2.0 * b))
    for _ in range(_ITERATIONS):
        big, rhs = np.empty((stages * m, stages * m)), np.empty(stages * m)
        scale = np.empty(stages * m)
        for i in range(stages):
            evaluate(A, p_is_2, b, level, basis, apart, sgn, S[i], points[i])
            counts[2] += 1
            if not _valid(p_is_2, points[i]):
                return False
            _balance(A, basis, apart, points[i], psi, work, e)
            _slope(A, basis, apart, points[i], work, gram, product, slope)
            for k in range(m):
                t[k] = 0.0
                for j in range(stages):
                    t[k] -= D[i, j] * (sgn[k] * dS[j, k]) / H
            for k in range(m):
                total = e[k]
                for q in range(m):
                    total -= metric[k, q] * t[q]
                rhs[i * m + k] = total
                scale[i * m + k] = 1.0 / math.sqrt(slope[k, k] + D[i, i] / H * metric[k, k])
                for j in range(stages):
                    for q in range(m):
                        value = D[i, j] / H * metric[k, q]
                        big[i * m + k, j * m + q] = value + slope[k, q] if i == j else value
        for row in range(stages * m):
            rhs[row] *= scale[row]
            for column in range(stages * m):
                big[row, column] *= scale[row] * scale[column]
        counts[3] += 1
        if not _solve_dense(big, rhs):
            return False
        size = 0.0
        for i in range(stages):
            for k in range(m):
                t[k] = rhs[i * m + k] * scale[i * m + k]
            from_basis(A, basis, apart, t, change)
            part = _relative(p_is_2, b, change, points[i])
            if not part <= size:
                size = part
        if not size < math.inf:
            return False
        most = 2.0 if p_is_2 else 0.6 * b
        damp = most / size if size > most else 1.0
        for i in range(stages):
            for k in range(m):
                dS[i, k] -= damp * sgn[k] * (rhs[i * m + k] * scale[i * m + k])
        _add(s0, low, dS, S)
        if size <= floor or (size < 0.01 * tol and size <= 0.5 * before):
            break
        if size < 0.01 * tol and size > 0.5 * before:
            break  # rounding
        before = size
    else:
        return False
    for i in range(stages):
        evaluate(A, p_is_2, b, level, basis, apart, sgn, S[i], points[i])
        if not _valid(p_is_2, points[i]):
            return False
    return True


@jit_inner
def _error(A, p_is_2, b, basis, apart, sgn, dS, H, D0, shift, metric, first, last):
    """Defect of the polynomial at the start, as Newton sees it, relative to |psi| + eps."""
    stages, m = dS.shape
    N = A.shape[1]
    psi, work, e, t = np.empty(N), np.empty(N), np.empty(m), np.empty(m)
    gram, product, slope = np.empty((m, m)), np.empty((m, m)), np.empty((m, m))
    _balance(A, basis, apart, first, psi, work, e)
    _slope(A, basis, apart, first, work, gram, product, slope)
    for k in range(m):
        t[k] = 0.0
        for j in range(stages):
            t[k] -= D0[j] * (sgn[k] * dS[j, k]) / H
    scale = np.empty(m)
    for k in range(m):
        for q in range(m):
            e[k] -= metric[k, q] * t[q]
            slope[k, q] += metric[k, q] / (shift * H)
        scale[k] = 1.0 / math.sqrt(slope[k, k])
    for k in range(m):
        e[k] *= scale[k]
        for q in range(m):
            slope[k, q] *= scale[k] * scale[q]
    if not _solve_dense(slope, e):
        return math.inf
    for k in range(m):
        e[k] *= scale[k]
    from_basis(A, basis, apart, e, work)
    return max(_relative(p_is_2, b, work, first), _relative(p_is_2, b, work, last))


@jit_inner
def _reach(A, p_is_2, basis, apart, sgn, dS, H, end_row, point, rate, work):
    """Rate of tau_B at the end of a step, and the time it may go on before a slack is taken."""
    stages, m = dS.shape
    for k in range(m):
        rate[k] = 0.0
        for j in range(stages):
            rate[k] -= end_row[j] * (sgn[k] * dS[j, k]) / H
    if p_is_2:
        return math.inf
    from_basis(A, basis, apart, rate, work)
    reach = math.inf
    for j in range(work.size):
        room = point.slack_minus[j] if work[j] > 0.0 else point.slack_plus[j]
        if abs(work[j]) > 0.0:
            reach = min(reach, _SHRINK * room / abs(work[j]))
    return reach


@jit_inner
def _guess(p_is_2, nodes, H, sgn, s0, rate, dS):
    """Straight on from the start, no slack taken wholly."""
    for i in range(dS.shape[0]):
        for k in range(s0.size):
            d = -sgn[k] * (rate[k] * (nodes[i] * H))
            if not p_is_2:
                d = min(max(d, -0.9 * s0[k]), 0.5 * (2.0 - s0[k]))
            dS[i, k] = d


@jit_inner
def _settled(point, limit, eps, rtol):
    for j in range(limit.size):
        psi = point.minus[j] - point.plus[j]
        if not abs(psi - limit[j]) <= rtol * (abs(limit[j]) + eps):
            return False
    return True


@jit_inner
def _same_set(first, second):
    for i in first:
        found = False
        for j in second:
            found = found or i == j
        if not found:
            return False
    return True


@jit
def slack_piece(
    A, y, squares, p_is_2, b, level, eps, c, tables, rtol, tol, grid, keep, limit, budget,
    columns, sgn, s, clock, counts, seg_t, seg_columns, seg_sgn, seg_S,
):  # fmt: skip
    """Up to `budget` attempts of a step; ``(code, segments)``.

    clock = (t, its rounding, rest of the time, next step, -, lambda' / c, rounding of s);
    columns, sgn, s is the state; counts = (steps, rejections, evaluations,
    factorisations). ``seg_S`` (K, stages + 1, m) holds the slacks at 0, then their
    changes at the nodes.
    """
    nodes, D, D0, shift = tables
    stages = nodes.size
    m, N = A.shape
    point = new_point(N)
    points = [new_point(N) for _ in range(stages)]
    dS, rate, work, metric = np.empty((stages, m)), np.zeros(m), np.empty(N), np.empty((m, m))
    low, chosen = clock[5 + m :], np.empty(m, np.int64)
    basis, apart = make_basis(A, y, columns), no_columns(m)
    apart = locate(A, p_is_2, b, level, basis, apart, sgn, s, point)
    segments, index = 0, 0
    moving = False
    for _ in range(budget):
        if segments == seg_t.shape[0]:
            break
        if not moving:  # the state is new: its basis, and the rate there if it is no balance
            if not select_basis(A, point.D, squares, chosen):
                return STUCK, segments
            if not _same_set(chosen, columns):
                reselect(A, squares, p_is_2, level, point, sgn, s, columns)
                for k in range(m):
                    low[k] = 0.0
            basis, apart = make_basis(A, y, columns), no_columns(m)
            apart = locate(A, p_is_2, b, level, basis, apart, sgn, s, point)
            multiply(basis.inverse, basis.inverse_t, metric)
            moving = True
        for k in range(m):
            rate[k] = 0.0
            for q in range(m):
                rate[k] += A[q, columns[k]] * clock[5 + q]  # lambda' at the end of the last step
        t, h = clock[0], clock[3]
        last = 1.0001 * h >= clock[2]
        if last:
            h = clock[2]
        H = c * h
        if not H > 1e-300:
            return STUCK, segments
        _guess(p_is_2, nodes, H, sgn, s, rate, dS)
        error = math.inf
        if _newton(
            A, p_is_2, b, level, basis, apart, sgn, s, low, H, D, metric, tol, dS, points, counts
        ):  # fmt: skip
            error = _error(
                A, p_is_2, b, basis, apart, sgn, dS, H, D0, shift, metric, point,
                points[stages - 1],
            )  # fmt: skip
        if not error <= tol:
            counts[1] += 1
            factor = 0.25
            if error < math.inf:
                factor = max(0.1, min(0.7, 0.8 * (tol / error) ** (1.0 / (stages + 1))))
            clock[3] = factor * h
            continue
        counts[0] += 1
        move = h + clock[1]
        after = t + move
        clock[1] = move - (after - t)
        while index < grid.size and grid[index] <= t:
            index += 1
        if keep or (index < grid.size and (grid[index] <= after or last)):
            seg_t[segments, 0], seg_t[segments, 1] = t, after
            copy_to(sgn, seg_sgn[segments])
            copy_to(s, seg_S[segments, 0])
            for k in range(m):
                seg_columns[segments, k] = columns[k]
            for i in range(stages):
                copy_to(dS[i], seg_S[segments, i + 1])
            segments += 1
        reach = _reach(
            A, p_is_2, basis, apart, sgn, dS, H, D[stages - 1], points[stages - 1], rate, work
        )
        for q in range(m):  # lambda' = A_B^-T tau_B'
            clock[5 + q] = 0.0
            for k in range(m):
                clock[5 + q] += basis.inverse[k, q] * rate[k]
        for k in range(m):
            change = low[k] + dS[stages - 1, k]
            total = s[k] + change
            low[k] = change - (total - s[k])
            s[k] = total
            if s[k] > (level if p_is_2 else 1.0):  # `locate` turns the sign
                low[k] = -low[k]
        apart = locate(A, p_is_2, b, level, basis, apart, sgn, s, point)
        moving = False
        factor = 8.0
        if error > 0.0:
            factor = max(0.2, min(8.0, 0.8 * (tol / error) ** (1.0 / (stages + 1))))
        clock[0] = after
        clock[2] -= h
        if not last:
            clock[3] = min(factor * h, max(reach / c, 1e-3 * h))
        if last:
            return ARRIVED, segments
        if limit.size > 0 and _settled(point, limit, eps, rtol):
            return CONVERGED, segments
    return PIECE, segments


@jit
def observe_slack(
    A, y, p, b, level, nodes, seg_t, seg_columns, seg_sgn, seg_S, times, psi, u, v, dual, loss
):
    """The flow at ascending times inside the segments; u and v as the roots of the halves."""
    m, N = A.shape
    p_is_2 = p == 2.0
    stages = nodes.size
    point, k, built = new_point(N), 0, -1
    basis = make_basis(A, y, seg_columns[0].copy())
    s, t, r = np.empty(m), np.empty(m), np.empty(m)
    for row in range(times.size):
        while k < seg_t.shape[0] - 1 and times[row] > seg_t[k, 1]:
            k += 1
        sgn = seg_sgn[k].copy()
        if built != k:
            basis = make_basis(A, y, seg_columns[k].copy())
            built = k
        width = seg_t[k, 1] - seg_t[k, 0]
        theta = min(max((times[row] - seg_t[k, 0]) / width, 0.0), 1.0) if width > 0.0 else 1.0
        if theta == 1.0:
            for i in range(m):
                s[i] = seg_S[k, 0, i] + seg_S[k, stages, i]
        else:
            copy_to(seg_S[k, 0], s)
            for j in range(stages):
                weight = theta / nodes[j]
                for q in range(stages):
                    if q != j:
                        weight *= (theta - nodes[q]) / (nodes[j] - nodes[q])
                for i in range(m):
                    s[i] += weight * seg_S[k, j + 1, i]
        locate(A, p_is_2, b, level, basis, no_columns(m), sgn, s, point)
        for j in range(N):
            psi[row, j] = point.minus[j] - point.plus[j]
            u[row, j], v[row, j] = point.minus[j] ** (1.0 / p), point.plus[j] ** (1.0 / p)
        for i in range(m):
            t[i] = point.tau[basis.columns[i]]
        for q in range(m):
            dual[row, q] = 0.0
            for i in range(m):
                dual[row, q] += basis.inverse[i, q] * t[i]
        matvec(A, psi[row], r)
        loss[row] = 0.0
        for i in range(m):
            loss[row] += 0.5 * (r[i] - y[i]) * (r[i] - y[i])
