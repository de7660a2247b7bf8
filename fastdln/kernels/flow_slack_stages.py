"""The stage equations of collocation in basis slacks (see `flow_slack`), and Newton's method."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import fma
from fastdln.kernels.linear import copy_to, multiply, weighted_gram
from fastdln.kernels.state import Point, evaluate, new_point
from fastdln.kernels.tableau import Apart, Basis, from_basis, to_basis

__all__ = ["Frame", "Radau", "Where", "Work", "defect", "new_work", "relative", "solve_stages"]

_ITERATIONS = 20


class Where(NamedTuple):
    """One flow, in the terms of `state`."""

    A: np.ndarray
    y: np.ndarray
    squares: np.ndarray  # of the columns' norms
    p_is_2: bool
    b: float
    level: float
    eps: float
    c: float  # lambda' = c (y - A psi)


class Radau(NamedTuple):
    """Tables of collocation, see `collocation_tables`."""

    nodes: np.ndarray  # (stages,)
    D: np.ndarray  # (stages, stages)
    D0: np.ndarray  # (stages,)
    shift: float


class Frame(NamedTuple):
    """The coordinates of a step: a basis, columns apart, the signs that slacks are taken from."""

    basis: Basis
    apart: Apart
    metric: np.ndarray  # M^-1 = A_B^-1 A_B^-T
    sgn: np.ndarray


class Work(NamedTuple):
    """What a step works on."""

    dS: np.ndarray  # (stages, m): changes of the slacks
    S: np.ndarray  # (stages, m): the slacks
    points: list[Point]  # one for each stage
    matrix: np.ndarray  # (stages m, stages m), Newton's
    rhs: np.ndarray  # (stages m,)
    scale: np.ndarray  # (stages m,)
    psi: np.ndarray  # (N,)
    rest: np.ndarray  # (N,)
    e: np.ndarray  # (m,)
    t: np.ndarray  # (m,)
    gram: np.ndarray  # (m, m)
    product: np.ndarray
    slope: np.ndarray


@jit_inner
def new_work(stages, m, N):
    """Space, nothing in it."""
    n = stages * m
    return Work(
        np.empty((stages, m)), np.empty((stages, m)), [new_point(N) for _ in range(stages)],
        np.empty((n, n)), np.empty(n), np.empty(n), np.empty(N), np.empty(N), np.empty(m),
        np.empty(m), np.empty((m, m)), np.empty((m, m)), np.empty((m, m)),
    )  # fmt: skip


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
def _balance(A, frame, point, work):
    """``e = A_B^-1 (y - A psi)``."""
    psi, e = work.psi, work.e
    for j in range(psi.size):
        psi[j] = point.minus[j] - point.plus[j]
    to_basis(A, frame.basis, frame.apart, psi, work.rest, e)
    for i in range(e.size):
        e[i] = frame.basis.x_hi[i] - e[i]


@jit_inner
def _slope(A, frame, point, work):
    """``slope = - d e / d tau_B``."""
    basis, apart, S = frame.basis, frame.apart, work.slope
    m = S.shape[0]
    copy_to(point.D, work.rest)
    for j in basis.columns:
        work.rest[j] = 0.0
    for j in apart.columns:
        work.rest[j] = 0.0
    weighted_gram(A, work.rest, work.gram)
    multiply(basis.inverse, work.gram, work.product)
    multiply(work.product, basis.inverse_t, S)
    for i in range(m):
        S[i, i] += point.D[basis.columns[i]]
    for k in range(apart.columns.size):
        d = point.D[apart.columns[k]]
        for i in range(m):
            for j in range(m):
                S[i, j] += (d * apart.g_hi[k, i]) * apart.g_hi[k, j]


@jit_inner
def relative(where, change, point):
    """Largest relative change of psi, above eps, by a change of tau; NaN if any is."""
    size = 0.0
    for j in range(change.size):
        c = abs(change[j])
        if not where.p_is_2:
            s = min(point.slack_minus[j], point.slack_plus[j])
            c *= where.b * (2.0 - s) / s
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
def _evaluate(where, frame, work, i):
    """Stage i at its slacks; False where one is taken."""
    evaluate(
        where.A, where.p_is_2, where.b, where.level, frame.basis, frame.apart, frame.sgn,
        work.S[i], work.points[i],
    )  # fmt: skip
    return _valid(where.p_is_2, work.points[i])


@jit_inner
def _move(s, low, work):
    """``S = s + low + dS``: changes far below the rounding of s still count in dS."""
    dS, S = work.dS, work.S
    for i in range(dS.shape[0]):
        for k in range(s.size):
            S[i, k] = s[k] + (low[k] + dS[i, k])


@jit_inner
def _travelled(row, sgn, dS, H, t):
    """``t = sum_j row_j (tau_j - tau_0) / H``."""
    for k in range(t.size):
        t[k] = 0.0
        for j in range(row.size):
            t[k] -= row[j] * (sgn[k] * dS[j, k]) / H


@jit_inner
def _assemble(where, frame, radau, H, i, work):
    """The rows of stage i in Newton's matrix, its right-hand side and its scale."""
    m, D, metric, slope = work.e.size, radau.D, frame.metric, work.slope
    big, rhs, scale = work.matrix, work.rhs, work.scale
    _balance(where.A, frame, work.points[i], work)
    _slope(where.A, frame, work.points[i], work)
    _travelled(D[i], frame.sgn, work.dS, H, work.t)
    for k in range(m):
        total = work.e[k]
        for q in range(m):
            total -= metric[k, q] * work.t[q]
        rhs[i * m + k] = total
        scale[i * m + k] = 1.0 / math.sqrt(slope[k, k] + D[i, i] / H * metric[k, k])
        for j in range(D.shape[0]):
            for q in range(m):
                value = D[i, j] / H * metric[k, q]
                big[i * m + k, j * m + q] = value + slope[k, q] if i == j else value


@jit_inner
def _solve_scaled(M, b, scale):
    """Overwrite b by M^-1 b, M scaled by `scale` on both sides first; False where that fails."""
    n = b.size
    for i in range(n):
        b[i] *= scale[i]
        for j in range(n):
            M[i, j] *= scale[i] * scale[j]
    if not _solve_dense(M, b):
        return False
    for i in range(n):
        b[i] *= scale[i]
    return True


@jit_inner
def _size(where, frame, work):
    """Largest relative change of psi by Newton's correction in rhs; NaN if any is."""
    m, size = work.t.size, 0.0
    for i in range(len(work.points)):
        from_basis(where.A, frame.basis, frame.apart, work.rhs[i * m : i * m + m], work.rest)
        part = relative(where, work.rest, work.points[i])
        if not part <= size:
            size = part
    return size


@jit_inner
def solve_stages(where, frame, radau, s, low, H, tol, work, counts):
    """Solve the stage equations for the changes dS of the slack s + low; True if solved."""
    dS, sgn = work.dS, frame.sgn
    stages, m = dS.shape
    b = 0.0 if where.p_is_2 else where.b
    floor, most = 1e-15 * (1.0 + 2.0 * b), 2.0 if where.p_is_2 else 0.6 * b
    _move(s, low, work)
    for _ in range(_ITERATIONS):
        for i in range(stages):
            counts[2] += 1
            if not _evaluate(where, frame, work, i):
                return False
            _assemble(where, frame, radau, H, i, work)
        counts[3] += 1
        if not _solve_scaled(work.matrix, work.rhs, work.scale):
            return False
        size = _size(where, frame, work)
        if not size < math.inf:
            return False
        damp = most / size if size > most else 1.0
        for i in range(stages):
            for k in range(m):
                dS[i, k] -= damp * sgn[k] * work.rhs[i * m + k]
        _move(s, low, work)
        if size <= floor or size < 0.01 * tol:
            break
    else:
        return False
    for i in range(stages):
        if not _evaluate(where, frame, work, i):
            return False
    return True


@jit_inner
def defect(where, frame, radau, H, first, work):
    """Defect of the polynomial at the start, as Newton sees it, relative to |psi| + eps."""
    m, e, slope, metric = work.e.size, work.e, work.slope, frame.metric
    scale = work.scale[:m]
    _balance(where.A, frame, first, work)
    _slope(where.A, frame, first, work)
    _travelled(radau.D0, frame.sgn, work.dS, H, work.t)
    for k in range(m):
        for q in range(m):
            e[k] -= metric[k, q] * work.t[q]
            slope[k, q] += metric[k, q] / (radau.shift * H)
        scale[k] = 1.0 / math.sqrt(slope[k, k])
    if not _solve_scaled(slope, e, scale):
        return math.inf
    from_basis(where.A, frame.basis, frame.apart, e, work.rest)
    last = work.points[len(work.points) - 1]
    return max(relative(where, work.rest, first), relative(where, work.rest, last))
