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
from fastdln.kernels.entropic import growth, log_growth, take
from fastdln.kernels.path import rest_weights, solve
from fastdln.kernels.select import select_basis
from fastdln.kernels.state import evaluate
from fastdln.kernels.tableau import from_basis, to_basis

__all__ = ["assess_deep", "choose_columns", "go_deeper", "open_at"]

_NEGLIGIBLE = 1e-10  # of the least D of the basis
_TRUST_SOLVED = 5.0  # second-order change of tau that a step may ask for
_TRUST_LOG = 8.0  # and what the log of a coordinate may miss
_TINY = 1e-290  # least P: its logarithm is taken
_COUNTS = 0.1  # of the least D of the basis: smaller coordinates need not have settled


class _Step(NamedTuple):
    """The linear terms of a step, and the correction for its length: N-vectors."""

    dtau_0: np.ndarray
    dtau_1: np.ndarray
    correction: np.ndarray


@jit_inner
def _mismatches(L, tau, least, half):
    """Fill w; returns the largest of a coordinate that counts, by P or by what tau says."""
    worst = 0.0
    for j in range(tau.size):
        w = math.log(half.P[j]) + L - half.sign * tau[j]
        half.w[j] = w
        large = half.P[j] * math.exp(max(-w, 0.0))
        worst = max(worst, abs(w) * min(1.0, large / (_COUNTS * least)))
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


@jit
def assess_deep(A, log_eps, basis, apart, minus, plus, point, scale, weights):
    """Fill w, D, its scaling, and the weights of A_N D_N A_N^T.

    Returns the largest mismatch of a coordinate that counts, and that of a row, over the D of
    its basis coordinate.
    """
    N, m, least, left = point.tau.size, scale.size, np.inf, 0.0
    psi, rest, rhs = np.empty(N), np.empty(N), np.empty(m)
    for j in range(N):
        point.D[j] = point.minus[j] + point.plus[j]
        psi[j] = point.minus[j] - point.plus[j]
    for i in range(m):
        least = min(least, point.D[basis.columns[i]])
        scale[i] = 1.0 / math.sqrt(point.D[basis.columns[i]])
    worst = _mismatches(-log_eps, point.tau, least, minus)
    worst = max(worst, _mismatches(-log_eps, point.tau, least, plus))
    to_basis(A, basis, apart, psi, rest, rhs)
    for i in range(m):
        left = max(left, abs(basis.x_hi[i] - rhs[i]) * scale[i] ** 2)
    rest_weights(basis, apart, point.D, weights)
    for j in range(N):
        if not point.D[j] > _NEGLIGIBLE * least:
            weights[j] = 0.0
    return worst, left


@jit
def open_at(A, log_eps, basis, apart, sgn, s, point):
    """Fill `point` at the state (log_eps, sgn, s)."""
    evaluate(A, True, 1.0, -log_eps, basis, apart, sgn, s, point)
    for j in range(point.tau.size):
        point.minus[j] = max(point.minus[j], _TINY)
        point.plus[j] = max(point.plus[j], _TINY)


@jit
def choose_columns(A, squares, columns, point):
    """The basis of largest D; False if there is none."""
    return select_basis(A, point.D, squares, columns)


@jit
def go_deeper(A, log_eps, target, basis, apart, S, scale, minus, plus, point):
    """One step, from the factored S; returns log eps there."""
    N = point.tau.size
    step = _Step(np.empty(N), np.empty(N), np.empty(N))
    q, rest, zero = np.empty(N), np.empty(N), np.zeros(scale.size)
    for j in range(N):
        q[j] = point.plus[j] - point.minus[j]
    _solve(A, basis, apart, S, scale, q, zero, rest, step.dtau_1)
    for j in range(N):
        q[j] = point.minus[j] * (1.0 - minus.w[j]) - point.plus[j] * (1.0 - plus.w[j])
    _solve(A, basis, apart, S, scale, q, basis.x_hi, rest, step.dtau_0)
    reach = log_eps - target
    d = _choose_step(A, basis, apart, S, scale, reach, minus, plus, step, rest)
    take(minus, d, step.dtau_0, step.dtau_1, step.correction)
    take(plus, d, step.dtau_0, step.dtau_1, step.correction)
    for j in range(N):
        point.tau[j] += step.dtau_0[j] + d * step.dtau_1[j] + step.correction[j]
    return target if d == reach else log_eps - d
