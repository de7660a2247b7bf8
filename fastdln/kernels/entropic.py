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
from fastdln.kernels.linear import (
    cholesky,
    cholesky_solve,
    matvec,
    rmatvec,
    two_matvecs,
    two_rmatvecs,
)
from fastdln.kernels.state import reselect

__all__ = [
    "Half",
    "add_left",
    "assess",
    "choose_below",
    "go_down",
    "growth",
    "log_growth",
    "new_halves",
    "open_least_norm",
    "take",
    "take_again",
]

_TRUST_RESIDUAL = 0.5  # second-order change of A psi allowed, relative to y
_TRUST_LOG = 3.0  # and of the log of a coordinate above a tenth of the largest
_VISIBLE = 1e-9  # of the largest coordinate: smaller ones need not have settled
_TINY = 1e-290
_AT_ONCE = 4.0  # what one of them corrects of a log


class Half(NamedTuple):
    """One half of psi: N-vectors."""

    sign: float  # log P grows with sign * tau
    P: np.ndarray
    w: np.ndarray
    fix: np.ndarray  # w after a step, before its correction; then the P before it


@jit_inner
def growth(u):
    """P after a step over P: 1 + u where it grows, exp(u) where it shrinks."""
    return 1.0 + u if u > 0.0 else math.exp(u)


@jit_inner
def log_growth(u):
    """Its logarithm."""
    return math.log1p(u) if u > 0.0 else u


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
def _choose_step(A, y_size, reach, minus, plus, dtau_0, dtau_1, change, q, v, v_q):
    """The step d, at most `reach`, about the largest whose second order can be trusted.

    Fills `change`, `q` (that without what `fix` removes), A times both, and `fix` of both sides.
    """
    d = reach
    for _ in range(40):
        for j in range(change.size):
            change[j] = 0.0
        worst = _add_second_order(minus, d, dtau_0, dtau_1, change)
        worst = max(worst, _add_second_order(plus, d, dtau_0, dtau_1, change))
        if d == 0.0 or worst < _TRUST_LOG:
            for j in range(q.size):
                q[j] = change[j] - (minus.P[j] * minus.fix[j] - plus.P[j] * plus.fix[j])
            two_matvecs(A, change, q, v, v_q)
            size = 0.0
            for i in range(v.size):
                size = max(size, abs(v[i]) / y_size)
            if d == 0.0 or size < _TRUST_RESIDUAL:
                return d
        d = 0.8 * d if d > 1e-3 else 0.0
    return d


@jit_inner
def take(side, d, dtau_0, dtau_1, correction):
    """Take the step with its correction; `fix` is then the P before."""
    for j in range(side.P.size):
        u = -side.w[j] - d + side.sign * (dtau_0[j] + d * dtau_1[j] + correction[j]) - side.fix[j]
        side.fix[j] = side.P[j]
        side.P[j] = max(side.P[j] * growth(u), _TINY)


@jit_inner
def add_left(side, L, tau, q):
    """After a step: add to q what P is, but for what w asks for; w is cut to what is corrected."""
    for j in range(tau.size):
        w = math.log(side.P[j]) + L - side.sign * tau[j]
        side.w[j] = min(max(w, -_AT_ONCE), _AT_ONCE)
        q[j] += side.sign * (side.P[j] - side.fix[j] * side.w[j])


@jit_inner
def take_again(side, correction):
    """Correct a step by the matrix that it was taken with.

    That has the P before: up to there P follows tau in its logarithm, beyond it grows as there.
    """
    for j in range(side.P.size):
        u = side.sign * correction[j] - side.w[j]
        P, before = side.P[j], side.fix[j]
        if u <= 0.0:
            P *= math.exp(u * min(1.0, before / P))
        elif before <= P:
            P += u * before
        else:
            room = math.log(before / P)
            P = P * math.exp(u) if u < room else before * (1.0 + u - room)
        side.P[j] = max(P, _TINY)


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


@jit
def open_least_norm(A, y, gram, point):
    """tau in proportion to the least-norm solution, 1/2 at most; (log eps, whether it exists).

    `gram` is A A^T, and is overwritten.
    """
    dual, largest = y.copy(), 0.0
    if not cholesky(gram):
        return 0.0, False
    cholesky_solve(gram, dual)
    rmatvec(A, dual, point.tau)
    for j in range(point.tau.size):
        largest = max(largest, abs(point.tau[j]))
    log_eps = math.log(largest)
    for j in range(point.tau.size):
        point.tau[j] /= 2.0 * largest
        point.minus[j] = math.exp(log_eps + point.tau[j])
        point.plus[j] = math.exp(log_eps - point.tau[j])
    return log_eps, True


def new_halves(point):
    """Both halves, with the P of `point`."""
    N = point.tau.size
    minus = Half(1.0, point.minus, np.empty(N), np.empty(N))
    return minus, Half(-1.0, point.plus, np.empty(N), np.empty(N))


@jit
def assess(A, y, log_eps, minus, plus, point, rows):
    """Fill w, D and `rows`; the largest mismatch that can be seen, and y - A psi over y.

    rows[0] = y - A psi and rows[1] = A (P_- w_- - P_+ w_+), of which the next step is made.
    """
    N, size, left = point.tau.size, 0.0, 0.0
    psi, moved = np.empty(N), np.empty(N)
    worst = _mismatches(-log_eps, point.tau, minus)
    worst = max(worst, _mismatches(-log_eps, point.tau, plus))
    for j in range(N):
        psi[j] = point.minus[j] - point.plus[j]
        moved[j] = point.minus[j] * minus.w[j] - point.plus[j] * plus.w[j]
        point.D[j] = point.minus[j] + point.plus[j]
    two_matvecs(A, psi, moved, rows[0], rows[1])
    for i in range(y.size):
        rows[0, i] = y[i] - rows[0, i]
        size, left = max(size, abs(y[i])), max(left, abs(rows[0, i]))
    return worst, left / size


@jit_inner
def _correct_again(A, y, L, U, minus, plus, tau, q, v, correction):
    """Once more with the factored matrix, for what is left after a step."""
    for j in range(q.size):
        q[j] = 0.0
    add_left(minus, L, tau, q)
    add_left(plus, L, tau, q)
    matvec(A, q, v)
    for i in range(v.size):
        v[i] = y[i] - v[i]
    cholesky_solve(U, v)
    rmatvec(A, v, correction)
    take_again(minus, correction)
    take_again(plus, correction)
    for j in range(tau.size):
        tau[j] += correction[j]


@jit
def go_down(A, y, log_eps, target, gram, minus, plus, point, rows, again):
    """One step, from gram = A D A^T, which is overwritten, corrected `again` times.

    Returns log eps there, and whether the matrix is definite.
    """
    m, N = A.shape
    v, v_q, dual_0, dual_1, size = np.empty(m), np.empty(m), np.empty(m), np.empty(m), 0.0
    dtau_0, dtau_1, correction, q = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    if not cholesky(gram):
        return log_eps, False
    for i in range(m):
        size = max(size, abs(y[i]))
        dual_0[i] = rows[0, i] + rows[1, i]
        dual_1[i] = y[i] - rows[0, i]  # A psi
    cholesky_solve(gram, dual_0)
    cholesky_solve(gram, dual_1)
    two_rmatvecs(A, dual_0, dual_1, dtau_0, dtau_1)
    reach = log_eps - target
    d = _choose_step(A, size, reach, minus, plus, dtau_0, dtau_1, correction, q, v, v_q)
    for i in range(m):
        v_q[i] = -v_q[i]
    cholesky_solve(gram, v_q)
    rmatvec(A, v_q, correction)
    take(minus, d, dtau_0, dtau_1, correction)
    take(plus, d, dtau_0, dtau_1, correction)
    for j in range(N):
        point.tau[j] += dtau_0[j] + d * dtau_1[j] + correction[j]
    log_eps = target if d == reach else log_eps - d
    for _ in range(again):
        _correct_again(A, y, -log_eps, gram, minus, plus, point.tau, q, v, correction)
    return log_eps, True


@jit
def choose_below(A, squares, log_eps, columns, sgn, s, point):
    """The basis of largest D at `point`, and the state in it; False if there is none."""
    return reselect(A, squares, True, -log_eps, point, sgn, s, columns)
