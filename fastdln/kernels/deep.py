"""On from a moderate eps to a tiny one at p = 2, by the primal-dual method of `entropic`.

There the matrix A D A^T itself is factored; here it is taken in the coordinates of a basis (see
`tableau`), so that D may span any number of decades. What a step changes beyond the linear
terms is judged in the logarithms of those coordinates that matter beside the basis. The
minimiser of the dual off the support moves only like 1 / log(1/eps): few steps lead far.
Columns that the basis outweighs by far are left out of the matrix, not of the residual.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.entropic import Half, growth, log_growth, take
from fastdln.kernels.path import FAILED, LIMIT, REACHED, newton_factor, solve
from fastdln.kernels.select import select_basis
from fastdln.kernels.state import reselect
from fastdln.kernels.tableau import from_basis, make_basis, no_columns, to_basis

__all__ = ["descend"]

_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew
_NEGLIGIBLE = 1e-10  # of the least D of the basis
_TRUST_SOLVED = 5.0  # second-order change of tau that a step may ask for
_TRUST_LOG = 8.0  # and what the log of a coordinate may miss
_DONE_LOG, _DONE_RESIDUAL = 1.0, 0.1
_COUNTS = 0.1  # of the least D of the basis: smaller coordinates need not have settled


class _Step(NamedTuple):
    """The linear terms of a step, and the correction for its length: N-vectors."""

    dtau_0: np.ndarray
    dtau_1: np.ndarray
    correction: np.ndarray


@jit_inner
def _mismatches(L, tau, least, half):
    """Fill w; returns the largest of a coordinate that counts."""
    worst = 0.0
    for j in range(tau.size):
        half.w[j] = math.log(half.P[j]) + L - half.sign * tau[j]
        worst = max(worst, abs(half.w[j]) * min(1.0, half.P[j] / (_COUNTS * least)))
    return worst


@jit_inner
def _solve(A, basis, apart, S, scale, q, x, rest, out):
    """The change of tau for which psi + D dtau = q - psi in sum gives A_B x."""
    rhs, t = np.empty(scale.size), np.empty(scale.size)
    to_basis(A, basis, apart, q, rest, rhs)
    for i in range(rhs.size):
        rhs[i] = x[i] - rhs[i]
    solve(S, scale, rhs, t)
    from_basis(A, basis, apart, t, out)


@jit_inner
def _after(half, d, step, D, change):
    """Add to D and `change` what they are after a step d, without its correction; fill `fix`."""
    for j in range(D.size):
        u = -half.w[j] - d + half.sign * (step.dtau_0[j] + d * step.dtau_1[j])
        g = growth(u)
        half.fix[j] = log_growth(u) - u
        D[j] += half.P[j] * g
        fix = min(max(half.fix[j], -2.0), 2.0)
        change[j] += half.sign * half.P[j] * (g - 1.0 - u - fix)


@jit_inner
def _worst_fix(half, d, step, least):
    """Largest mismatch of a log after the step; cuts `fix` to what is corrected at once."""
    worst = 0.0
    for j in range(half.P.size):
        u = -half.w[j] - d + half.sign * (step.dtau_0[j] + d * step.dtau_1[j])
        worst = max(worst, abs(half.fix[j]) * min(1.0, half.P[j] * growth(u) / least))
        half.fix[j] = min(max(half.fix[j], -2.0), 2.0)
    return worst


@jit_inner
def _choose_step(A, basis, apart, S, scale, reach, minus, plus, step, rest):
    """The step d, at most `reach`, about the largest to be trusted; fills its correction."""
    N, d = rest.size, reach
    D, change, zero = np.empty(N), np.empty(N), np.zeros(scale.size)
    for _ in range(40):
        for j in range(N):
            D[j], change[j] = 0.0, 0.0
        _after(minus, d, step, D, change)
        _after(plus, d, step, D, change)
        least = np.inf
        for j in basis.columns:
            least = min(least, D[j])
        worst = max(_worst_fix(minus, d, step, least), _worst_fix(plus, d, step, least))
        if d == 0.0 or worst < _TRUST_LOG:
            _solve(A, basis, apart, S, scale, change, zero, rest, step.correction)
            size = 0.0
            for j in range(N):
                size = max(size, abs(step.correction[j]) * min(1.0, D[j] / least))
            if d == 0.0 or size < _TRUST_SOLVED:
                return d
        d = 0.75 * d if d > 1e-2 else 0.0
    return d


@jit_inner
def _settled(A, basis, apart, psi, D, rest):
    """Whether each row is met to a part of the D of its basis coordinate."""
    rhs = np.empty(basis.columns.size)
    to_basis(A, basis, apart, psi, rest, rhs)
    for i in range(rhs.size):
        if not abs(basis.x_hi[i] - rhs[i]) < _DONE_RESIDUAL * D[basis.columns[i]]:
            return False
    return True


@jit
def descend(A, y, squares, log_eps, target, limit, columns, sgn, s, point):
    """Go on to `target` from what `approach` left; (code, factorisations, log eps reached).

    Overwrites `point` and the state (columns, sgn, s), which is that of the target in the end.
    """
    m, N = A.shape
    basis, apart, far = make_basis(A, y, columns), no_columns(m), np.zeros(0, np.bool_)
    minus = Half(1.0, point.minus, np.empty(N), np.empty(N))
    plus = Half(-1.0, point.plus, np.empty(N), np.empty(N))
    step = _Step(np.empty(N), np.empty(N), np.empty(N))
    scale, one, zero, S = np.empty(m), np.ones(m), np.zeros(m), np.empty((m, m))
    q, kept, rest, count, fresh = np.empty(N), np.empty(N), np.empty(N), 0, False
    while True:
        least = np.inf
        for j in range(N):
            point.D[j] = point.minus[j] + point.plus[j]
            q[j] = point.minus[j] - point.plus[j]
        for i in range(m):
            least = min(least, point.D[columns[i]])
            scale[i] = 1.0 / math.sqrt(point.D[columns[i]])
        worst = _mismatches(-log_eps, point.tau, least, minus)
        worst = max(worst, _mismatches(-log_eps, point.tau, least, plus))
        if not worst < 1e300:
            return FAILED, count, log_eps
        there = log_eps <= target and worst < _DONE_LOG
        if there and _settled(A, basis, apart, q, point.D, rest):
            fine = reselect(A, squares, True, -log_eps, point, sgn, s, columns)
            return REACHED if fine else FAILED, count, log_eps
        if count >= limit:
            return LIMIT, count, log_eps
        for j in range(N):
            kept[j] = point.D[j] if point.D[j] > _NEGLIGIBLE * least else 0.0
        definite, spread = newton_factor(A, basis, apart, kept, scale, one, far, rest, S)
        count += 1
        if not definite or spread > _SPREAD:
            if fresh and not definite:
                return FAILED, count, log_eps
            if not fresh:
                if not select_basis(A, point.D, squares, columns):
                    return FAILED, count, log_eps
                basis, fresh = make_basis(A, y, columns), True
                continue
        fresh = False
        _solve(A, basis, apart, S, scale, q, zero, rest, step.dtau_1)
        for j in range(N):  # dtau_1 belongs to A (P_plus - P_minus): its sign is turned
            step.dtau_1[j] = -step.dtau_1[j]
            q[j] -= point.minus[j] * minus.w[j] - point.plus[j] * plus.w[j]
        _solve(A, basis, apart, S, scale, q, basis.x_hi, rest, step.dtau_0)
        d = _choose_step(
            A, basis, apart, S, scale, log_eps - target, minus, plus, step, rest
        )  # fmt: skip
        take(minus, d, step.dtau_0, step.dtau_1, step.correction)
        take(plus, d, step.dtau_0, step.dtau_1, step.correction)
        for j in range(N):
            point.tau[j] += step.dtau_0[j] + d * step.dtau_1[j] + step.correction[j]
        log_eps = target if d == log_eps - target else log_eps - d
