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

from fastdln._jit import jit, jit_inner, jit_returning
from fastdln.kernels.linear import rmatvec
from fastdln.kernels.path import factor_sum, rest_weights, solve
from fastdln.kernels.state import locate, locate_dual, reselect
from fastdln.kernels.tableau import from_basis, to_basis

__all__ = [
    "choose_at",
    "factor",
    "finish",
    "improve",
    "new_sides",
    "open_vertex",
    "prepare",
]

_FLOOR = 0.05  # least slack to start with off the support
_FAR = 0.3  # largest slack on it
_LARGEST = 1.0  # correction of log P or log s by terms of second order


class Side(NamedTuple):
    """One half of psi and its slack: N-vectors."""

    sign: float  # the slack goes with sign * tau
    P: np.ndarray
    s: np.ndarray
    gap: np.ndarray  # from `_predict` on s after the step, before its correction
    rho: np.ndarray  # from there on u, with what the correction removes: log(P^(1/b) s / sigma)


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
def _predict(b, sigma, side, dtau, psi):
    """Subtract sign * P after the step and its correction at fixed tau from psi.

    The gaps give way to the slacks there, rho to u.
    """
    for j in range(side.P.size):
        u = _change(b, side, j, dtau[j])
        P_next = side.P[j] * _growth(b, u)
        ds = side.gap[j] + side.sign * dtau[j]
        side.gap[j] = side.s[j] * _stretch(ds / side.s[j])
        fix = math.log(P_next ** (1.0 / b) * side.gap[j] / sigma)
        fix = min(max(fix, -_LARGEST), _LARGEST)
        side.rho[j] = u - b * fix
        psi[j] -= side.sign * (P_next - b * side.P[j] * fix)


@jit_inner
def _second_order(A, basis, apart, S, scale, psi, rest, c):
    """The correction c of the step, in the basis."""
    rhs = np.empty(c.size)
    to_basis(A, basis, apart, psi, rest, rhs)
    for i in range(c.size):
        rhs[i] = basis.x_hi[i] - rhs[i]
    solve(S, scale, rhs, c)


@jit_inner
def _take(b, side, correction):
    """Take the step that `_predict` has prepared."""
    for j in range(side.P.size):
        ds = side.sign * correction[j]
        side.P[j] *= _growth(b, side.rho[j] - b * (ds / side.s[j]))
        side.s[j] = side.gap[j] * _stretch(ds / side.gap[j])


def new_sides(point):
    """Both halves, with P and the slacks of `point`."""
    N = point.tau.size
    minus = Side(-1.0, point.minus, point.slack_minus, np.zeros(N), np.empty(N))
    return minus, Side(1.0, point.plus, point.slack_plus, np.zeros(N), np.empty(N))


@jit_returning
def prepare(A, b, sigma, basis, apart, sgn, s, exact, point, minus, plus, scale, weights):
    """Linearise at the state: gap, rho, D, and the weights of A_N D_N A_N^T; returns `apart`."""
    apart = locate_dual(A, False, sigma, basis, apart, sgn, s, exact, point)
    _open(b, sigma, basis, exact.slack_minus, minus)
    _open(b, sigma, basis, exact.slack_plus, plus)
    _fill_D(b, minus, plus, point.D)
    for i in range(scale.size):
        scale[i] = 1.0 / math.sqrt(point.D[basis.columns[i]])
    rest_weights(basis, apart, point.D, weights)
    return apart


@jit
def factor(basis, apart, D, scale, gram, S):
    """`path.newton_factor` with a gram of the caller's: (whether definite, its spread)."""
    far = np.zeros(apart.columns.size, np.bool_)
    return factor_sum(basis, apart, D, scale, np.ones(scale.size), far, gram, S)


@jit
def improve(A, b, sigma, basis, apart, S, scale, minus, plus, sgn, s):
    """One step; returns its size, about that of log psi in the basis, infinite if it failed."""
    m, N = A.shape
    dtau, psi, rest, t, c = np.empty(N), np.empty(N), np.empty(N), np.empty(m), np.empty(m)
    _direction(A, b, basis, apart, S, scale, minus, plus, psi, rest, dtau, t)
    size = 0.0
    for i in range(m):
        size = max(size, max(1.0, b / 3.0) * abs(t[i]) / s[i])
    for j in range(N):
        psi[j] = 0.0
    _predict(b, sigma, minus, dtau, psi)
    _predict(b, sigma, plus, dtau, psi)
    _second_order(A, basis, apart, S, scale, psi, rest, c)
    from_basis(A, basis, apart, c, psi)
    _take(b, minus, psi)
    _take(b, plus, psi)
    for i in range(m):
        s[i] *= _stretch(-sgn[i] * t[i] / s[i])
        s[i] *= _stretch(-sgn[i] * c[i] / s[i])
        if not 0.0 < s[i] < 1e300:
            return np.inf
    return size


@jit
def choose_at(A, squares, sigma, columns, sgn, s, point):
    """The basis of largest D at `point`, and the state in it; False if there is none."""
    return reselect(A, squares, False, sigma, point, sgn, s, columns)


@jit
def finish(A, squares, b, sigma, basis, apart, columns, sgn, s, point):
    """`choose_at` where the state is, not its halves."""
    locate(A, False, b, sigma, basis, apart, sgn, s, point)
    return reselect(A, squares, False, sigma, point, sgn, s, columns)
