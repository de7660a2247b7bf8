"""From the l1 minimiser to the limit at one small eps, p > 2, by a primal-dual method.

As in interior-point methods (Mehrotra, SIAM J. Optim. 2, 1992) the halves P_-+ of
psi = P_- - P_+ and the slacks s_-+ are unknowns of their own; at the solution

    P^(1/b) s = sigma,   s_-+ = 1 -+ tau,   A (P_- - P_+) = y.

Linearised, with u = dP / P, rho = sigma / (P^(1/b) s) and gap = (1 -+ tau) - s,

    u = b (rho - 1 - ds / s),   ds = gap -+ dtau,

leaves A D A^T dlambda = ... with D = b (P_- / s_- + P_+ / s_+): one factorisation a step,
used twice, the second time for the terms of second order. From a vertex with a strict dual
a handful of steps is enough, where the path from large eps has to meet every coordinate
that appears and vanishes on the way.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.linear import rmatvec
from fastdln.kernels.path import FAILED, LIMIT, REACHED, newton_factor, solve
from fastdln.kernels.state import Point, locate, locate_dual, reselect
from fastdln.kernels.tableau import from_basis, make_basis, no_columns, to_basis

__all__ = ["centre", "open_vertex"]

_DONE = 0.1  # size of a step, about that of log psi, from which `polish` takes over
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_FLOOR = 0.05  # least slack to start with off the support
_FAR = 0.3  # largest slack on it
_LARGEST = 1.0  # correction of log P or log s by terms of second order


class Side(NamedTuple):
    """One half of psi and its slack: N-vectors."""

    sign: float  # the slack goes with sign * tau
    P: np.ndarray
    s: np.ndarray
    gap: np.ndarray
    rho: np.ndarray
    P_next: np.ndarray  # after the step, before its correction
    s_next: np.ndarray
    fix: np.ndarray  # log(P^(1/b) s / sigma) there: what the correction removes


@jit_inner
def _stretch(v):
    """1 + v where that is more than 1, otherwise positive."""
    return 1.0 + v if v >= 0.0 else 1.0 / (1.0 - v)


@jit_inner
def _growth(b, u):
    """P after a step over P: 1 + u where it grows; where it shrinks it stays positive."""
    if u > 0.0:
        return 1.0 + u
    q = 1.0 + u / b
    return (q if q >= 0.5 else 0.25 / (1.0 - q)) ** b


@jit_inner
def _fill_D(b, minus, plus, D):
    for j in range(D.size):
        D[j] = b * (minus.P[j] / minus.s[j] + plus.P[j] / plus.s[j])


@jit_inner
def _new_side(sign, P, s):
    N = P.size
    return Side(sign, P, s, np.zeros(N), np.empty(N), np.empty(N), np.empty(N), np.empty(N))


@jit
def open_vertex(A, squares, b, sigma, support, values, dual, columns, sgn, s, point):
    """The state that a vertex proposes at sigma, with its halves and slacks in `point`.

    Off the support the slacks are the dual's, but not less than a floor; on it they are those
    of the values, where these are above eps. False if few are, or the columns are dependent.
    """
    rmatvec(A, dual, point.tau)
    most = 1.0 - _FLOOR
    for j in range(point.tau.size):
        t = min(max(point.tau[j], -most), most)
        point.tau[j] = t
        point.slack_minus[j], point.slack_plus[j] = 1.0 - t, 1.0 + t
    count = 0
    for k in range(support.size):
        j, x = support[k], values[k]
        near = sigma * abs(x) ** (-1.0 / b)
        if near > _FAR:
            continue
        count += 1
        point.slack_minus[j] = near if x > 0.0 else 2.0 - near
        point.slack_plus[j] = 2.0 - near if x > 0.0 else near
        point.tau[j] = 1.0 - near if x > 0.0 else near - 1.0
    for j in range(point.tau.size):
        point.minus[j] = (sigma / point.slack_minus[j]) ** b
        point.plus[j] = (sigma / point.slack_plus[j]) ** b
        point.D[j] = b * (
            point.minus[j] / point.slack_minus[j] + point.plus[j] / point.slack_plus[j]
        )
    if count == 0:
        return False
    return reselect(A, squares, False, sigma, point, sgn, s, columns)


@jit_inner
def _open(b, sigma, basis, exact, side):
    """Fill gap and rho. The slacks of the basis are exact: they are the state."""
    for j in range(side.s.size):
        side.gap[j] = exact[j] - side.s[j]
    for j in basis.columns:
        side.s[j], side.gap[j] = exact[j], 0.0
    for j in range(side.s.size):
        side.rho[j] = sigma / (side.P[j] ** (1.0 / b) * side.s[j])


@jit_inner
def _change(b, side, j, dtau):
    """u, the relative change of P for a change of tau."""
    return b * (side.rho[j] - 1.0 - (side.gap[j] + side.sign * dtau) / side.s[j])


@jit_inner
def _direction(A, b, basis, apart, S, scale, minus, plus, psi, rest, dtau, t):
    """The step in the basis, t, and for all columns, dtau."""
    rhs = np.empty(t.size)
    for j in range(psi.size):
        psi[j] = minus.P[j] * (1.0 + _change(b, minus, j, 0.0)) - plus.P[j] * (
            1.0 + _change(b, plus, j, 0.0)
        )
    to_basis(A, basis, apart, psi, rest, rhs)
    for i in range(t.size):
        rhs[i] = basis.x_hi[i] - rhs[i]
    solve(S, scale, rhs, t)
    from_basis(A, basis, apart, t, dtau)


@jit_inner
def _predict(b, sigma, side, dtau):
    """Fill P_next, s_next and fix."""
    for j in range(side.P.size):
        side.P_next[j] = side.P[j] * _growth(b, _change(b, side, j, dtau[j]))
        ds = side.gap[j] + side.sign * dtau[j]
        side.s_next[j] = side.s[j] * _stretch(ds / side.s[j])
        fix = math.log(side.P_next[j] ** (1.0 / b) * side.s_next[j] / sigma)
        side.fix[j] = min(max(fix, -_LARGEST), _LARGEST)


@jit_inner
def _second_order(A, b, basis, apart, S, scale, minus, plus, psi, rest, c):
    """The correction c of the step, in the basis."""
    rhs = np.empty(c.size)
    for j in range(psi.size):
        psi[j] = (minus.P_next[j] - b * minus.P[j] * minus.fix[j]) - (
            plus.P_next[j] - b * plus.P[j] * plus.fix[j]
        )
    to_basis(A, basis, apart, psi, rest, rhs)
    for i in range(c.size):
        rhs[i] = basis.x_hi[i] - rhs[i]
    solve(S, scale, rhs, c)


@jit_inner
def _take(b, side, dtau, correction):
    """Take the step."""
    for j in range(side.P.size):
        ds = side.sign * correction[j]
        u = _change(b, side, j, dtau[j]) - b * (side.fix[j] + ds / side.s[j])
        side.P[j] *= _growth(b, u)
        side.s[j] = side.s_next[j] * _stretch(ds / side.s_next[j])


@jit
def centre(A, y, squares, b, sigma, limit, columns, sgn, s, point):
    """Bring the state, its halves and slacks to the solution at sigma, roughly.

    Overwrites all of them; returns (code, factorisations). In the end the basis is that of the
    largest D: `polish` does the rest.
    """
    m, N = A.shape
    basis, apart = make_basis(A, y, columns), no_columns(m)
    minus = _new_side(-1.0, point.minus, point.slack_minus)
    plus = _new_side(1.0, point.plus, point.slack_plus)
    exact = Point(point.tau, np.ones(N), np.ones(N), point.minus, point.plus, point.D)
    dtau, psi, rest = np.empty(N), np.empty(N), np.empty(N)
    scale, one, S = np.empty(m), np.ones(m), np.empty((m, m))
    t, c, fresh = np.empty(m), np.empty(m), False
    for count in range(1, limit + 1):
        apart = locate_dual(A, False, sigma, basis, apart, sgn, s, exact, point)
        _open(b, sigma, basis, exact.slack_minus, minus)
        _open(b, sigma, basis, exact.slack_plus, plus)
        _fill_D(b, minus, plus, point.D)
        for i in range(m):
            scale[i] = 1.0 / math.sqrt(point.D[columns[i]])
        far = np.zeros(apart.columns.size, np.bool_)
        definite, worst = newton_factor(A, basis, apart, point.D, scale, one, far, rest, S)
        if not definite or worst > _SPREAD:
            if fresh and not definite:
                return FAILED, count
            if not fresh:
                if not reselect(A, squares, False, sigma, point, sgn, s, columns):
                    return FAILED, count
                basis, apart, fresh = make_basis(A, y, columns), no_columns(m), True
                continue
        fresh = False
        _direction(A, b, basis, apart, S, scale, minus, plus, psi, rest, dtau, t)
        size = 0.0
        for i in range(m):
            size = max(size, max(1.0, b / 3.0) * abs(t[i]) / s[i])
        _predict(b, sigma, minus, dtau)
        _predict(b, sigma, plus, dtau)
        _second_order(A, b, basis, apart, S, scale, minus, plus, psi, rest, c)
        from_basis(A, basis, apart, c, psi)
        _take(b, minus, dtau, psi)
        _take(b, plus, dtau, psi)
        for i in range(m):
            s[i] *= _stretch(-sgn[i] * t[i] / s[i])
            s[i] *= _stretch(-sgn[i] * c[i] / s[i])
            if not 0.0 < s[i] < 1e300:
                return FAILED, count
        if size < _DONE:
            locate(A, False, b, sigma, basis, apart, sgn, s, point)
            fine = reselect(A, squares, False, sigma, point, sgn, s, columns)
            return REACHED if fine else FAILED, count
    return LIMIT, limit
