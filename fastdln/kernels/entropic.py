"""From a large eps to a small one at p = 2, by a primal-dual method: few factorisations.

The halves P_-+ of psi = P_- - P_+ are unknowns beside the dual lambda, tau = A^T lambda; at
the solution, L = log(1/eps),

    w_-+ = log P_-+ + L -+ tau = 0,    A (P_- - P_+) = y.

Linearised for a step d of L, with u = dP / P:

    u_-+ = -w_-+ - d +- dtau,

leaves A D A^T dlambda = ..., D = P_- + P_+, whose solution is linear in d: one factorisation
serves every d, and the terms of second order (as in Mehrotra, SIAM J. Optim. 2, 1992).
Coordinates appear and vanish many at a time; a path followed closely (see `path`) meets
them one by one. The plain matrix limits this to moderate eps: its spread is that of D.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.linear import cholesky, cholesky_solve, matvec, rmatvec, weighted_gram
from fastdln.kernels.path import FAILED, LIMIT, REACHED
from fastdln.kernels.state import reselect

__all__ = ["Half", "approach", "growth", "log_growth", "take"]

_TRUST_RESIDUAL = 0.5  # second-order change of A psi allowed, relative to y
_TRUST_LOG = 3.0  # and of the log of a coordinate above a tenth of the largest
_DONE_RESIDUAL, _DONE_LOG = 1e-3, 1.0
_VISIBLE = 1e-9  # of the largest coordinate: smaller ones need not have settled
_TINY = 1e-290


class Half(NamedTuple):
    """One half of psi: N-vectors."""

    sign: float  # log P grows with sign * tau
    P: np.ndarray
    w: np.ndarray
    fix: np.ndarray  # w after a step, before its correction


@jit_inner
def growth(u):
    """P after a step over P: 1 + u where it grows, exp(u) where it shrinks."""
    return 1.0 + u if u > 0.0 else math.exp(u)


@jit_inner
def log_growth(u):
    """Its logarithm."""
    return math.log1p(u) if u > 0.0 else u


@jit_inner
def _solve(A, U, q, rhs, v, dual, dtau):
    """``A D A^T dual = rhs - A q``, dtau = A^T dual."""
    matvec(A, q, v)
    for i in range(dual.size):
        dual[i] = rhs[i] - v[i]
    cholesky_solve(U, dual)
    rmatvec(A, dual, dtau)


@jit_inner
def _add_second_order(side, d, dtau_0, dtau_1, out):
    """Add what P changes by beyond the linear terms to `out`; returns the largest mismatch.

    That is of w after the step, of coordinates that are not small then.
    """
    largest = 0.0
    for j in range(side.P.size):
        largest = max(largest, side.P[j])
    worst = 0.0
    for j in range(side.P.size):
        u = -side.w[j] - d + side.sign * (dtau_0[j] + d * dtau_1[j])
        grown = growth(u)
        out[j] += side.sign * side.P[j] * (grown - 1.0 - u)
        mismatch = log_growth(u) - u
        side.fix[j] = min(max(mismatch, -2.0), 2.0)
        weight = min(1.0, 10.0 * side.P[j] * grown / largest)
        worst = max(worst, abs(mismatch) * weight)
    return worst


@jit_inner
def _choose_step(A, y_size, reach, minus, plus, dtau_0, dtau_1, change, v):
    """The step d, at most `reach`, about the largest whose second order can be trusted.

    Fills `change` and, in `v`, A times it, and the `fix` of both sides.
    """
    d = reach
    for _ in range(40):
        for j in range(change.size):
            change[j] = 0.0
        worst = _add_second_order(minus, d, dtau_0, dtau_1, change)
        worst = max(worst, _add_second_order(plus, d, dtau_0, dtau_1, change))
        matvec(A, change, v)
        size = 0.0
        for i in range(v.size):
            size = max(size, abs(v[i]) / y_size)
        if d == 0.0 or (size < _TRUST_RESIDUAL and worst < _TRUST_LOG):
            return d
        d = 0.8 * d if d > 1e-3 else 0.0
    return d


@jit_inner
def take(side, d, dtau_0, dtau_1, correction):
    """Take the step with its correction."""
    for j in range(side.P.size):
        u = -side.w[j] - d + side.sign * (dtau_0[j] + d * dtau_1[j] + correction[j]) - side.fix[j]
        side.P[j] = max(side.P[j] * growth(u), _TINY)


@jit_inner
def _mismatches(L, tau, side):
    """Fill w; returns the largest of a coordinate that can be seen."""
    largest, worst = 0.0, 0.0
    for j in range(tau.size):
        largest = max(largest, side.P[j])
    for j in range(tau.size):
        side.w[j] = math.log(side.P[j]) + L - side.sign * tau[j]
        worst = max(worst, abs(side.w[j]) * min(1.0, side.P[j] / (_VISIBLE * largest)))
    return worst


@jit_inner
def _least_norm(A, y, tau):
    """tau in proportion to the least-norm solution, 1/2 at most; (log eps, whether it exists)."""
    m, N = A.shape
    gram, dual = np.empty((m, m)), y.copy()
    weighted_gram(A, np.ones(N), gram)
    if not cholesky(gram):
        return 0.0, False
    cholesky_solve(gram, dual)
    rmatvec(A, dual, tau)
    largest = 0.0
    for j in range(N):
        largest = max(largest, abs(tau[j]))
    for j in range(N):
        tau[j] /= 2.0 * largest
    return math.log(largest), True


@jit
def approach(A, y, squares, log_eps, target, limit, columns, sgn, s, point):
    """Go down to `target`; (code, factorisations, log eps reached).

    Starts from the least-norm solution if `log_eps` is infinite, else from what an earlier
    call left in `point`. Fills the state (columns, sgn, s) at the end.
    """
    m, N = A.shape
    tau, count = point.tau, 0
    if log_eps == np.inf:
        log_eps, fine = _least_norm(A, y, tau)
        count = 1
        if not fine or log_eps <= target:
            return FAILED, count, log_eps
        for j in range(N):
            point.minus[j] = math.exp(log_eps + tau[j])
            point.plus[j] = math.exp(log_eps - tau[j])
    minus = Half(1.0, point.minus, np.empty(N), np.empty(N))
    plus = Half(-1.0, point.plus, np.empty(N), np.empty(N))
    U, r, v, dual = np.empty((m, m)), np.empty(m), np.empty(m), np.empty(m)
    q, dtau_0, dtau_1, correction = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    zero, y_size = np.zeros(m), 0.0
    for i in range(m):
        y_size = max(y_size, abs(y[i]))
    while True:
        worst = max(_mismatches(-log_eps, tau, minus), _mismatches(-log_eps, tau, plus))
        for j in range(N):
            q[j] = point.minus[j] - point.plus[j]
            point.D[j] = point.minus[j] + point.plus[j]
        matvec(A, q, v)
        left = 0.0
        for i in range(m):
            r[i] = y[i] - v[i]
            left = max(left, abs(r[i]))
        if log_eps <= target and worst < _DONE_LOG and left < _DONE_RESIDUAL * y_size:
            fine = reselect(A, squares, True, -log_eps, point, sgn, s, columns)
            return REACHED if fine else FAILED, count, log_eps
        if not (worst < 1e300 and left < 1e300):
            return FAILED, count, log_eps
        if count >= limit:
            return LIMIT, count, log_eps
        weighted_gram(A, point.D, U)
        count += 1
        if not cholesky(U):
            return FAILED, count, log_eps
        for j in range(N):
            q[j] = -point.minus[j] * minus.w[j] + point.plus[j] * plus.w[j]
        _solve(A, U, q, r, v, dual, dtau_0)
        for j in range(N):
            q[j] = point.plus[j] - point.minus[j]
        _solve(A, U, q, zero, v, dual, dtau_1)
        d = _choose_step(A, y_size, log_eps - target, minus, plus, dtau_0, dtau_1, q, v)
        for j in range(N):
            q[j] -= point.minus[j] * minus.fix[j] - point.plus[j] * plus.fix[j]
        _solve(A, U, q, zero, v, dual, correction)
        take(minus, d, dtau_0, dtau_1, correction)
        take(plus, d, dtau_0, dtau_1, correction)
        for j in range(N):
            tau[j] += dtau_0[j] + d * dtau_1[j] + correction[j]
        log_eps = target if d == log_eps - target else log_eps - d
