"""The l1 minimiser W_p that a small alpha points at, and the way psi deviates from it.

Columns with |tau| = 1 on the scaled dual (lambda / L for p = 2) carry the minimisers;
of these, W_p = argmin sum g_p(x_i) is the one whose scaled slacks d obey

    x_j = sign_j f(d_j),  f(d) = exp(-d) (p = 2),  d^-b (p > 2),
    sign_j d_j = G_j . (sgn_B d_B)                 for each column j apart,

the limit of the flow's own equations as eps -> 0 (stationarity of sum g_p on the face).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner, jit_returning
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.extended import dd_add, dd_mul_double
from fastdln.kernels.linear import cholesky, cholesky_solve, copy_to, rmatvec
from fastdln.kernels.state import level_of, locate, new_point, reselect
from fastdln.kernels.tableau import (
    Apart,
    Basis,
    from_basis,
    make_apart,
    make_basis,
    no_columns,
    vanishing_columns,
    zero_rows,
)

__all__ = ["FOUND", "NOT_YET", "Face", "at_depth", "certify", "deviation",
           "other_depth", "prove"]  # fmt: skip

FOUND, NOT_YET = 0, 1

_CANDIDATE = 1e-6  # |1 - |tau|| below which a column may lie on the face
_LINEAR = -40.0  # log of a deviation that is linear to double precision


class Face(NamedTuple):
    """The optimal face, and W_p on it."""

    code: int
    W: np.ndarray  # (N,)
    basis: Basis
    apart: Apart  # the face's columns outside the basis
    zero: np.ndarray  # (m,) basis rows outside the support
    sgn: np.ndarray  # (m,)
    d: np.ndarray  # (m,) scaled slacks
    dual: np.ndarray  # (m,) certificate: |A^T dual| <= 1, = 1 on the face
    margin: float  # least 1 - |A^T dual| outside the face


@jit_inner
def _f(p_is_2, b, d):
    return math.exp(-d) if p_is_2 else d**-b


@jit_inner
def _apart_slacks(apart, sgn, d):
    out = np.zeros(apart.columns.size)
    for k in range(out.size):
        for i in range(d.size):
            out[k] += apart.sign[k] * apart.g_hi[k, i] * sgn[i] * d[i]
    return out


@jit_inner
def _jacobian(p_is_2, b, apart, zero, d, dE, S):
    """``-d/dd`` of the rows, symmetric: diag(|f'(d)|) + G_E^T diag(|f'(d_E)|) G_E."""
    m = d.size
    S[:] = 0.0
    for i in range(m):
        S[i, i] = 1.0 if zero[i] else _f(p_is_2, b, d[i]) * (1.0 if p_is_2 else b / d[i])
    for k in range(dE.size):
        slope = _f(p_is_2, b, dE[k]) * (1.0 if p_is_2 else b / dE[k])
        for i in range(m):
            for j in range(m):
                S[i, j] += slope * apart.g_hi[k, i] * apart.g_hi[k, j]
    return cholesky(S)


@jit_inner
def _solve_face(p_is_2, b, basis, apart, zero, sgn, d):
    """Newton for the slacks d of W_p on the face; True if it converged."""
    m = d.size
    S, r = np.empty((m, m)), np.empty(m)
    last = np.inf
    for _ in range(60):
        dE = _apart_slacks(apart, sgn, d)
        for k in range(dE.size):
            if not p_is_2 and not dE[k] > 0.0:
                return False
        for i in range(m):
            hi, lo = basis.x_hi[i], basis.x_lo[i]
            if not zero[i]:
                hi, lo = dd_add(hi, lo, -sgn[i] * _f(p_is_2, b, d[i]), 0.0)
            for k in range(dE.size):
                g_hi, g_lo = dd_mul_double(
                    apart.g_hi[k, i], apart.g_lo[k, i], apart.sign[k] * _f(p_is_2, b, dE[k])
                )  # fmt: skip
                hi, lo = dd_add(hi, lo, -g_hi, -g_lo)
            r[i] = 0.0 if zero[i] else -(hi + lo)
        if not _jacobian(p_is_2, b, apart, zero, d, dE, S):
            return False
        cholesky_solve(S, r)
        step = np.zeros(m)
        for i in range(m):
            step[i] = 0.0 if zero[i] else sgn[i] * r[i]
        sE = _apart_slacks(apart, sgn, step)
        size = 0.0
        for i in range(m):
            size = max(size, abs(step[i]) / (1.0 if p_is_2 or zero[i] else d[i]))
        for k in range(dE.size):
            size = max(size, abs(sE[k]) / (1.0 if p_is_2 else dE[k]))
        if not size < 1e300:
            return False
        damp = min(1.0, 0.7 / size) if size > 0.0 else 1.0
        d += damp * step
        if size < 1e-15 or (size < 1e-9 and size > 0.25 * last):
            return True
        last = size
    return False


@jit_inner
def prove(A, y, squares, p_is_2, b, log_eps, columns, sgn, s):
    """Whether the state at `log_eps` proves which face is optimal, and W_p on it.

    Proof: a dual with |A^T dual| <= 1 strictly outside the face, and a primal point
    that is positive (in the dual's signs) on all of the face.
    """
    m, N = A.shape
    level, point = level_of(p_is_2, b, log_eps), new_point(N)
    columns, sgn, s = columns.copy(), sgn.copy(), s.copy()
    locate(A, p_is_2, b, level, make_basis(A, y, columns), no_columns(m), sgn, s, point)
    reselect(A, squares, p_is_2, level, point, sgn, s, columns)
    basis = make_basis(A, y, columns)
    apart = locate(A, p_is_2, b, level, basis, no_columns(m), sgn, s, point)
    W, dual, t, tau = np.zeros(N), np.empty(m), np.empty(m), np.empty(N)
    zero = zero_rows(basis, apart, vanishing_columns(p_is_2, apart))
    for i in range(m):
        t[i] = sgn[i]
        if zero[i]:
            t[i] *= (level - s[i]) / level if p_is_2 else 1.0 - s[i]
    rmatvec(basis.inverse, t, dual)
    from_basis(A, basis, no_columns(m), t, tau)
    chosen, count, margin = np.empty(N, np.int64), 0, 1.0
    inside = np.zeros(N, np.bool_)
    for i in range(m):
        inside[columns[i]] = True
        if zero[i]:
            margin = min(margin, 1.0 - abs(t[i]))
    for j in range(N):
        if not inside[j] and abs(1.0 - abs(tau[j])) < _CANDIDATE:
            chosen[count] = j
            count += 1
    apart = make_apart(A, basis, t, chosen[:count].copy(), tau)
    kept = 0
    for k in range(count):
        on_face = apart.cost[k] == 0.0
        for i in range(m):
            on_face = on_face and not (zero[i] and apart.g_hi[k, i] != 0.0)
        if on_face:
            chosen[kept] = apart.columns[k]
            inside[chosen[kept]] = True
            kept += 1
        else:
            margin = min(margin, apart.cost[k])
            inside[apart.columns[k]] = True
    apart = make_apart(A, basis, t, chosen[:kept].copy(), tau)
    zero = zero_rows(basis, apart, np.zeros(kept, np.bool_))
    for j in range(N):
        if not inside[j]:
            margin = min(margin, 1.0 - abs(tau[j]))
    d = np.zeros(m)
    for i in range(m):
        if not zero[i]:
            d[i] = s[i] if p_is_2 else s[i] / level
    found = margin > 0.0 and _fill_minimizer(p_is_2, b, basis, apart, zero, sgn, d, W)
    code = FOUND if found else NOT_YET
    return Face(code, W, basis, apart, zero, sgn, d, dual, margin)


@jit_returning
def certify(A, y, squares, p_is_2, b, log_eps, columns, sgn, s):
    """`prove`, for callers from Python."""
    return prove(A, y, squares, p_is_2, b, log_eps, columns, sgn, s)


@jit_inner
def _fill_minimizer(p_is_2, b, basis, apart, zero, sgn, d, W):
    """W_p on the face, from slacks d near its own; False if its signs are not the dual's."""
    if apart.columns.size > 0:
        if not _solve_face(p_is_2, b, basis, apart, zero, sgn, d):
            return False
        dE = _apart_slacks(apart, sgn, d)
        for k in range(dE.size):
            W[apart.columns[k]] = apart.sign[k] * _f(p_is_2, b, dE[k])
        for i in range(d.size):
            if not zero[i]:
                W[basis.columns[i]] = sgn[i] * _f(p_is_2, b, d[i])
        return True
    for i in range(d.size):
        if zero[i]:
            continue
        W[basis.columns[i]] = basis.x_hi[i]
        x = abs(basis.x_hi[i])
        d[i] = -math.log(x) if p_is_2 else x ** (-1.0 / b)
        if not basis.x_hi[i] * sgn[i] > 0.0:
            return False
    return True


@jit_returning
def at_depth(p_is_2, b, face):
    """`other_depth`, for callers from Python."""
    return other_depth(p_is_2, b, face)


@jit_inner
def other_depth(p_is_2, b, face):
    """The same face with the W_p of another depth."""
    W, d = np.zeros(face.W.size), np.zeros(face.d.size)
    for i in range(d.size):
        if not face.zero[i]:
            x = abs(face.W[face.basis.columns[i]])
            d[i] = -math.log(x) if p_is_2 else x ** (-1.0 / b)
    found = _fill_minimizer(p_is_2, b, face.basis, face.apart, face.zero, face.sgn, d, W)
    code = face.code if found else NOT_YET
    return Face(
        code, W, face.basis, face.apart, face.zero, face.sgn, d, face.dual, face.margin
    )  # fmt: skip


@jit
def deviation(A, p_is_2, b, L, face, scaled, log_unit, out):
    """psi - W_p without cancellation, as ``out * exp(returned log unit)``.

    `scaled` is psi / exp(log_unit). Outside the face psi itself deviates. On it, with
    w = A_B^-1 A_rest psi_rest, the deviation is -w where W_p is the only minimiser;
    otherwise it solves the face's equations with w and the halves of psi that vanish
    (q = exp(d - 2 L) or eps (2 - sigma d)^-b) as perturbation. NaN if that fails.
    """
    m, N = A.shape
    basis, apart, zero, sgn, d = face.basis, face.apart, face.zero, face.sgn, face.d
    rest = np.zeros(N)
    copy_to(scaled, rest)
    for j in basis.columns:
        rest[j] = 0.0
    for j in apart.columns:
        rest[j] = 0.0
    v, v_lo, w = np.empty(m), np.empty(m), np.empty(m)
    matvec_dd(A, rest, np.zeros(N), v, v_lo)
    for i in range(m):
        w[i] = 0.0
        for k in range(m):
            w[i] += basis.inverse[i, k] * v[k]
    copy_to(scaled, out)
    if apart.columns.size == 0:
        for i in range(m):
            if not zero[i]:
                out[basis.columns[i]] = -w[i]
        return log_unit
    if log_unit == 0.0 and (_plain_difference(scaled, face, out) or L < 1.0):
        return 0.0
    copy_to(scaled, out)
    return _face_deviation(p_is_2, b, L, basis, apart, zero, sgn, d, w, log_unit, out)


@jit_inner
def _plain_difference(psi, face, out):
    """psi - W_p by subtraction; True if on the face that loses less than six digits."""
    largest, size = 0.0, 0.0
    for j in range(psi.size):
        out[j] = psi[j] - face.W[j]
        if face.W[j] != 0.0:
            largest = max(largest, abs(out[j]))
            size = max(size, abs(face.W[j]))
    return largest > 1e-5 * size


@jit_inner
def _vanishing_half(p_is_2, b, L, d, log_scale):
    """The half of psi that vanishes on the face, over exp(log_scale)."""
    if p_is_2:
        return math.exp(d - 2.0 * L - log_scale)
    return math.exp(-L - log_scale) * (2.0 - math.exp(-L / b) * d) ** -b


@jit_inner
def _f_change(p_is_2, b, d, e, linear):
    """``f(d + e) - f(d)``, its linear part where `linear`."""
    if linear:
        return -e * _f(p_is_2, b, d) * (1.0 if p_is_2 else b / d)
    if p_is_2:
        return _f(p_is_2, b, d) * math.expm1(-e)
    return _f(p_is_2, b, d) * math.expm1(-b * math.log1p(e / d))


@jit_inner
def _largest_step(d, dE, step, stepE, zero):
    """Fraction of a step, at most 1, that takes no slack below three tenths of itself."""
    worst = 0.7
    for i in range(d.size):
        if not zero[i]:
            worst = max(worst, abs(step[i]) / d[i])
    for k in range(dE.size):
        worst = max(worst, abs(stepE[k]) / dE[k])
    return 0.7 / worst


@jit_inner
def _face_deviation(p_is_2, b, L, basis, apart, zero, sgn, d0, w, log_unit, out):
    m = d0.size
    d0E = _apart_slacks(apart, sgn, d0)
    unit = -L if not p_is_2 else np.max(d0) - 2.0 * L
    for i in range(m):
        if w[i] != 0.0:
            unit = max(unit, log_unit + math.log(abs(w[i])))
    linear = unit < _LINEAR
    if not linear:
        unit = 0.0
    e, r, S = np.zeros(m), np.empty(m), np.empty((m, m))
    factor = math.exp(min(log_unit - unit, 700.0))  # nothing is left of w where it is cut
    last = np.inf
    for _ in range(40):
        eE = _apart_slacks(apart, sgn, e)
        shift = 0.0 if linear else 1.0
        d, dE = d0 + shift * e, d0E + shift * eE
        for i in range(m):
            r[i] = 0.0
            if zero[i]:
                continue
            r[i] = factor * w[i] + sgn[i] * (
                _f_change(p_is_2, b, d0[i], e[i], linear)
                - _vanishing_half(p_is_2, b, L, d[i], unit)
            )
            for k in range(dE.size):
                change = _f_change(p_is_2, b, d0E[k], eE[k], linear)
                change -= _vanishing_half(p_is_2, b, L, dE[k], unit)
                r[i] += apart.g_hi[k, i] * apart.sign[k] * change
        if not _jacobian(p_is_2, b, apart, zero, d, dE, S):
            out[:] = np.nan
            return unit
        cholesky_solve(S, r)
        step, size = np.zeros(m), 0.0
        for i in range(m):
            step[i] = 0.0 if zero[i] else sgn[i] * r[i]
            size = max(size, abs(step[i]))
        if not size < 1e300 or size == 0.0 or size >= last:
            break
        damp = 1.0
        if not (linear or p_is_2):  # the slacks stay positive
            damp = _largest_step(d, dE, step, _apart_slacks(apart, sgn, step), zero)
        for i in range(m):
            e[i] += damp * step[i]
        if damp == 1.0:
            last = size
    eE = _apart_slacks(apart, sgn, e)
    d, dE = d0 + (0.0 if linear else 1.0) * e, d0E + (0.0 if linear else 1.0) * eE
    out *= factor
    for i in range(m):
        if not zero[i]:
            out[basis.columns[i]] = sgn[i] * (
                _f_change(p_is_2, b, d0[i], e[i], linear)
                - _vanishing_half(p_is_2, b, L, d[i], unit)
            )
    for k in range(dE.size):
        change = _f_change(p_is_2, b, d0E[k], eE[k], linear)
        out[apart.columns[k]] = apart.sign[k] * (
            change - _vanishing_half(p_is_2, b, L, dE[k], unit)
        )
    return unit
