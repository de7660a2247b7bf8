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
from fastdln.kernels.entropic import add_left, growth, log_growth, take, take_again
from fastdln.kernels.path import rest_weights, solve
from fastdln.kernels.select import select_basis
from fastdln.kernels.state import evaluate
from fastdln.kernels.tableau import from_basis, to_basis, two_from_basis, two_to_basis

__all__ = ["assess_deep", "choose_columns", "go_deeper", "open_at"]

_NEGLIGIBLE = 1e-6  # of the least D of the basis
_TRUST_SOLVED = 5.0  # second-order change of tau that a step may ask for
_TRUST_LOG = 8.0  # and what the log of a coordinate may miss
_TINY = 1e-290  # least P: its logarithm is taken
_SMALL = 1e-3  # of the same: P is what tau says
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
def _correct(A, basis, apart, S, scale, x, q, rest, out):
    """The change of tau for which q + D dtau in sum gives A_B x."""
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
            _correct(A, basis, apart, S, scale, zero, change, rest, step.correction)
            size = 0.0
            for j in range(N):
                size = max(size, abs(step.correction[j]) * min(1.0, D[j] / least))
            if d == 0.0 or size < _TRUST_SOLVED:
                return d
        d = 0.75 * d if d > 1e-2 else 0.0
    return d


@jit_inner
def _start_anew(half, L, tau, small):
    """P from tau, where both are small: what vanished long ago may have drifted apart."""
    for j in range(tau.size):
        P = max(math.exp(min(half.sign * tau[j] - L, 0.0)), _TINY)
        if max(P, half.P[j]) < small:
            half.P[j] = P


@jit
def assess_deep(A, log_eps, basis, apart, minus, plus, point, scale, weights, rows):
    """Fill w, D, its scaling, the weights of A_N D_N A_N^T, and `rows`.

    With V = A_B^-1 A, rows[0] = V (P_- w_- - P_+ w_+) + x - V psi and rows[1] = V psi are what
    the next step is made of. Returns the largest mismatch of a coordinate that counts, and that
    of a row, over the D of its basis coordinate.
    """
    N, m, least, left = point.tau.size, scale.size, np.inf, 0.0
    psi, moved, rest, other = np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    for j in basis.columns:
        least = min(least, point.minus[j] + point.plus[j])
    _start_anew(minus, -log_eps, point.tau, _SMALL * least)
    _start_anew(plus, -log_eps, point.tau, _SMALL * least)
    for j in range(N):
        point.D[j] = point.minus[j] + point.plus[j]
    for i in range(m):
        scale[i] = 1.0 / math.sqrt(point.D[basis.columns[i]])
    worst = _mismatches(-log_eps, point.tau, least, minus)
    worst = max(worst, _mismatches(-log_eps, point.tau, least, plus))
    for j in range(N):
        psi[j] = point.minus[j] - point.plus[j]
        moved[j] = point.minus[j] * minus.w[j] - point.plus[j] * plus.w[j]
    two_to_basis(A, basis, apart, psi, moved, rest, other, rows[1], rows[0])
    for i in range(m):
        missing = basis.x_hi[i] - rows[1, i]
        rows[0, i] += missing
        left = max(left, abs(missing) * scale[i] ** 2)
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
def go_deeper(A, log_eps, target, basis, apart, S, scale, minus, plus, point, rows, again):
    """One step, from the factored S and the `rows` of `assess_deep`, corrected `again` times.

    Returns log eps there.
    """
    m, N = A.shape
    step = _Step(np.empty(N), np.empty(N), np.empty(N))
    rest, t_0, t_1 = np.empty(N), np.empty(m), np.empty(m)
    solve(S, scale, rows[0], t_0)
    solve(S, scale, rows[1], t_1)
    two_from_basis(A, basis, apart, t_0, t_1, step.dtau_0, step.dtau_1)
    reach = log_eps - target
    d = _choose_step(A, basis, apart, S, scale, reach, minus, plus, step, rest)
    take(minus, d, step.dtau_0, step.dtau_1, step.correction)
    take(plus, d, step.dtau_0, step.dtau_1, step.correction)
    for j in range(N):
        point.tau[j] += step.dtau_0[j] + d * step.dtau_1[j] + step.correction[j]
    log_eps = target if d == reach else log_eps - d
    for _ in range(again):
        for j in range(N):
            step.dtau_0[j] = 0.0
        add_left(minus, -log_eps, point.tau, step.dtau_0)
        add_left(plus, -log_eps, point.tau, step.dtau_0)
        _correct(A, basis, apart, S, scale, basis.x_hi, step.dtau_0, rest, step.correction)
        take_again(minus, step.correction)
        take_again(plus, step.correction)
        for j in range(N):
            point.tau[j] += step.correction[j]
    return log_eps
