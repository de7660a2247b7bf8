"""Follow the limit of gradient flow from a large alpha down to a small one.

One step: evaluate the state (see `state`), factor the Newton matrix, correct, expand in
a Taylor series with the same factor, and go as far as the series can be trusted.
Along the exact path A psi = y, so with D = d psi / d tau each order k solves

    A D A^T lambda_k = -A R_k        (R_k: see `series`),

the matrix of the Newton step itself. For p = 2 lambda becomes linear in log(1/eps), for
p > 2 in alpha^(p-2): the last steps are as long as asked for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.kept import CLOSE, belongs, distance, newton_matrix
from fastdln.kernels.linear import (
    cholesky,
    cholesky_solve,
    copy_to,
    multiply,
    multiply_upper,
    weighted_gram,
)
from fastdln.kernels.series import close_order, new_halves, open_order
from fastdln.kernels.state import (
    NOISE,
    advance,
    fill_halves,
    level_of,
    locate,
    new_point,
    reselect,
)
from fastdln.kernels.tableau import into_basis, make_basis, no_columns, out_of_basis

__all__ = [
    "DEEPEST",
    "FAILED",
    "LIMIT",
    "REACHED",
    "factor_sum",
    "follow",
    "newton_factor",
    "rest_weights",
    "solve",
]

REACHED, LIMIT, FAILED = 0, 1, 2

DEEPEST = -690.0  # log eps at which a path ends at the latest: beyond, eps underflows
_ORDER = 12
_TRUST = 1e-5
_TINY = 1e-3  # a correction this small leaves the factored matrix good enough
_ASTRAY = 1.0  # a first correction this large shows that a prediction failed
_SHORT = 5.0  # a step of log eps so short that its prediction needs no check
_DIGITS = 9.0  # of the series where a factor of another point is used
_SPREAD = 1e4  # largest diagonal of K K^T before the basis is chosen anew


class Room(NamedTuple):
    """Work space of a path: what works in it makes no arrays, and counts no references."""

    tau: np.ndarray  # (K+1, N) coefficients
    flat: np.ndarray  # the same, order after order
    t_basis: np.ndarray  # (K+1, m) those in the basis
    whole: np.ndarray  # (N,)
    rest: np.ndarray  # (N,)
    rhs: np.ndarray  # (m,)
    t: np.ndarray  # (m,)
    v: np.ndarray  # (m,)


@jit_inner
def _new_room(m, N):
    tau, v = np.empty((_ORDER + 1, N)), np.empty((3, m))
    return Room(
        tau, tau.reshape(-1), np.empty((_ORDER + 1, m)), np.empty(N), np.empty(N), v[0], v[1], v[2]
    )  # fmt: skip


@jit_inner
def newton_factor(A, basis, apart, D, scale, unit, far, weights, S):
    """Factor ``S = I + C (A_B^-1 A_N D_N A_N^T A_B^-T) C`` in place, C = diag(D_B^-1/2).

    `scale` is D_B^-1/2, each row in its own unit; `unit` is the square root of the unit
    of D outside B and E, and of the columns `far` of E, over that of the row (all 1 on
    the path, see `polish`).
    Returns whether S is definite, and the largest diagonal element of S - I.
    """
    gram = np.empty((scale.size, scale.size))
    rest_weights(basis, apart, D, weights)
    weighted_gram(A, weights, gram)
    return factor_sum(basis, apart, D, scale, unit, far, gram, S)


@jit_inner
def rest_weights(basis, apart, D, weights):
    """D outside B and E, else 0."""
    copy_to(D, weights)
    for j in basis.columns:
        weights[j] = 0.0
    for j in apart.columns:
        weights[j] = 0.0


@jit_inner
def factor_sum(basis, apart, D, scale, unit, far, gram, S):
    """`newton_factor` from ``gram = A_N D_N A_N^T``."""
    m = scale.size
    product = np.empty((m, m))
    multiply(basis.inverse, gram, product)
    multiply_upper(product, basis.inverse_t, S)
    for i in range(m):
        for j in range(i, m):
            S[i, j] *= (unit[i] * scale[i]) * (unit[j] * scale[j])
    for k in range(apart.columns.size):
        root = math.sqrt(D[apart.columns[k]])
        for i in range(m):
            gi = root * apart.g_hi[k, i] * scale[i] * (unit[i] if far[k] else 1.0)
            if gi != 0.0:
                for j in range(i, m):
                    gj = root * apart.g_hi[k, j] * scale[j]
                    S[i, j] += gi * (gj * unit[j] if far[k] else gj)
    worst = 0.0
    for i in range(m):
        worst = max(worst, S[i, i])
        S[i, i] += 1.0
    return cholesky(S), worst


@jit_inner
def solve(S, scale, rhs, out):
    """``A D A^T dlambda = A_B rhs`` as ``out = A_B^T dlambda``."""
    for i in range(scale.size):
        out[i] = rhs[i] * scale[i]
    cholesky_solve(S, out)
    for i in range(scale.size):
        out[i] *= scale[i]


@jit_inner
def _size(p_is_2, b, dtau, point):
    """Size of a change of tau, about that of log psi; NaN if any is."""
    size = 0.0
    for j in range(dtau.size):
        c = abs(dtau[j])
        if not p_is_2:
            c *= max(1.0, b / 3.0) / min(point.slack_minus[j], point.slack_plus[j])
        if not c <= size:
            size = c
    return size


@jit_inner
def _slack_left(b, order, x, tau, point):
    """Whether each slack stays positive, and large against the first term left out.

    A slack in proportion to the level (up to noise) stays so, however long the step.
    """
    power = max(1.0, b / 3.0) * x ** (order + 1)
    for j in range(point.D.size):
        sm, sp = point.slack_minus[j], point.slack_plus[j]
        t = 0.0
        for k in range(order, 0, -1):
            t = (t + tau[k, j]) * x
        drift = t - x * sm if sm < sp else t + x * sp
        if abs(drift) <= NOISE * min(sm, sp):
            continue
        low = min(sm - t, sp + t)
        if not (low > 0.0 and abs(tau[order + 1, j]) * power < 10.0 * _TRUST * low):
            return False
    return True


@jit_inner
def _trusted_step(p_is_2, b, tau, point, remaining, left):
    """The order to keep and the step to take: ``(order, x, 1 - x)``.

    At most `remaining`, where (p > 2) the fraction `left` of the level is left. Cut
    after order k, the series errs by about its next two terms. High orders reach far
    where the terms are genuine; where they are rounding noise, low orders do.
    """
    K = tau.shape[0] - 1
    sizes = np.empty(K + 1)
    for k in range(1, K + 1):
        sizes[k] = _size(p_is_2, b, tau[k], point)
    order, x = 1, 0.0
    for cut in range(1, K - 1):
        reach = remaining
        for k in (cut + 1, cut + 2):
            if sizes[k] > 0.0:
                reach = min(reach, (_TRUST / sizes[k]) ** (1.0 / k))
        if reach > x:
            order, x = cut, reach
    if x < remaining:
        left = 1.0 - x
    if p_is_2:
        return order, x, left
    for _ in range(300):
        if _slack_left(b, order, x, tau, point):
            return order, x, left
        left = max(8.0 * left, 1e-15) if x > 0.9 else 1.0 - 0.85 * x
        x = 1.0 - left
    return order, 0.0, 1.0


@jit_inner
def _expand(A, p_is_2, b, basis, apart, S, scale, sgn, s, sweeps, point, room, halves):
    """Taylor coefficients of tau, and in the basis, from the factored S.

    `sweeps` says how often to solve with it: for the first order, and for others.
    """
    m, N = A.shape
    tau, flat, t_basis, dtau, rest, rhs, t, v = room
    P_minus, P_plus = halves.P_minus, halves.P_plus
    copy_to(point.minus, P_minus)
    copy_to(point.plus, P_plus)
    slack_minus, slack_plus = point.slack_minus, point.slack_plus
    for k in range(1, tau.shape[0]):
        open_order(k, p_is_2, b, slack_minus, slack_plus, flat, halves)
        for i in range(m):  # first guess: slacks in proportion to the level
            t[i] = sgn[i] * (1.0 if p_is_2 else s[i]) if k == 1 else 0.0
            t_basis[k, i] = t[i]
        for j in range(N):
            tau[k, j] = 0.0
        for sweep in range(sweeps[0 if k == 1 else 1] + 1):
            if sweep > 0:  # S belongs to the point before its correction: refine
                P_up, P_down = P_plus[k * N :], P_minus[k * N :]
                for j in range(N):
                    dtau[j] = P_up[j] - P_down[j]
                into_basis(A, basis, apart, dtau, rest, v, rhs)
                solve(S, scale, rhs, t)
                for i in range(m):
                    t_basis[k, i] += t[i]
            elif k > 1:
                continue
            out_of_basis(A, basis, apart, t, v, dtau)
            for j in range(N):
                tau[k, j] += dtau[j]
            close_order(k, p_is_2, b, slack_minus, slack_plus, dtau, halves)


@jit_inner
def _correct(A, p_is_2, b, level, basis, apart, S, scale, sgn, s, point, room):
    """One damped Newton step of the state and the point; returns its undamped size."""
    m, N = A.shape
    _, _, _, psi, work, rhs, t, v = room
    for j in range(N):
        psi[j] = point.minus[j] - point.plus[j]
    into_basis(A, basis, apart, psi, work, v, rhs)
    for i in range(m):
        rhs[i] = basis.x_hi[i] - rhs[i]
    solve(S, scale, rhs, t)
    out_of_basis(A, basis, apart, t, v, work)
    size = _size(p_is_2, b, work, point)
    damp = min(1.0, (2.0 if p_is_2 else 0.7) / size) if size > 0.0 else 1.0
    for i in range(m):
        s[i] -= damp * sgn[i] * t[i]
    for j in range(N):
        point.tau[j] += damp * work[j]
        if not p_is_2:
            point.slack_minus[j] -= damp * work[j]
            point.slack_plus[j] += damp * work[j]
    copy_to(point.D, psi)
    fill_halves(p_is_2, b, level, point)
    copy_to(psi, point.D)  # S was factored with the D before
    return size


@jit_inner
def _copy_state(columns, sgn, s, to_columns, to_sgn, to_s):
    for i in range(s.size):
        to_columns[i], to_sgn[i], to_s[i] = columns[i], sgn[i], s[i]


@jit_inner
def _take_step(p_is_2, order, x, left, t_basis, sgn, s):
    """Advance every slack by the series, cut after `order`."""
    for i in range(s.size):
        shift = 0.0
        for k in range(order, 0, -1):
            shift = (shift + t_basis[k, i]) * x
        s[i] = advance(p_is_2, s[i], x, left, sgn[i] * shift)


@jit_inner
def follow(A, y, squares, p_is_2, b, log_eps, target, limit, columns, sgn, s, kept):
    """Go from `log_eps`, where (columns, sgn, s) is the state, down to `target`.

    Overwrites the state; returns (code, factorisations, log_eps reached). What is
    reached at `target` is a prediction, right to about 1e-5: `polish` does the rest.
    The first step does with the factor `kept` where that is close.
    """
    m, N = A.shape
    room, halves = _new_room(m, N), new_halves(_ORDER + 1, N)
    point = new_point(N)
    work, scale, one, S = np.empty(N), np.empty(m), np.ones(m), np.empty((m, m))
    basis, apart = make_basis(A, y, columns), no_columns(m)
    saved_columns, saved_sgn, saved_s = columns.copy(), sgn.copy(), s.copy()
    saved, aim = np.inf, target  # log eps of the last state that was corrected; next aim
    fresh, count, old = False, 0, belongs(kept, columns)
    while count < limit:
        level = level_of(p_is_2, b, log_eps)
        apart = locate(A, p_is_2, b, level, basis, apart, sgn, s, point)
        for i in range(m):
            scale[i] = 1.0 / math.sqrt(point.D[columns[i]])
        far = np.zeros(apart.columns.size, np.bool_)
        definite, worst, apart_from = True, 0.0, np.inf
        if old:
            exact = newton_matrix(A, basis, apart, point.D, scale, one, far)
            apart_from = distance(exact, kept, scale, p_is_2)
        old = apart_from < CLOSE
        if not old:
            definite, worst = newton_factor(A, basis, apart, point.D, scale, one, far, work, S)
            count += 1
        if not definite or worst > _SPREAD:
            if fresh and not definite:
                return FAILED, count, log_eps
            if not fresh:
                if not reselect(A, squares, p_is_2, level, point, sgn, s, columns):
                    return FAILED, count, log_eps
                basis, apart, fresh = make_basis(A, y, columns), no_columns(m), True
                continue
        fresh = False
        used = kept.S if old else S
        size = _correct(A, p_is_2, b, level, basis, apart, used, scale, sgn, s, point, room)
        if not size < _ASTRAY and saved < np.inf:  # the series missed a bend: half as far
            aim = 0.5 * (saved + log_eps)
            log_eps, saved = saved, np.inf
            _copy_state(saved_columns, saved_sgn, saved_s, columns, sgn, s)
            basis, apart = make_basis(A, y, columns), no_columns(m)
            continue
        if not size < 1e300:
            return FAILED, count, log_eps
        if size > 0.1:
            old = False
            continue
        if log_eps == target:
            return REACHED, count, log_eps
        sweeps = (2, 1 if size < _TINY else 2)
        if old:
            more = 2 + int(_DIGITS / -math.log10(max(apart_from, 1e-9)))
            sweeps, old = (more, more), False
        _expand(
            A, p_is_2, b, basis, apart, used, scale, sgn, s, sweeps, point, room, halves
        )  # fmt: skip
        saved = log_eps
        _copy_state(columns, sgn, s, saved_columns, saved_sgn, saved_s)
        remaining, left = log_eps - aim, 0.0
        if not p_is_2:
            left = math.exp(-remaining / b)
            remaining = -math.expm1(-remaining / b)
        order, x, fraction = _trusted_step(p_is_2, b, room.tau, point, remaining, left)
        if not x > 0.0:
            return FAILED, count, log_eps
        _take_step(p_is_2, order, x, fraction, room.t_basis, sgn, s)
        if x >= remaining and fraction <= left:
            log_eps = aim
            if aim == target and saved - target < _SHORT:
                return REACHED, count, target
        else:
            log_eps += -x if p_is_2 else b * math.log(fraction)
        aim = target
    return LIMIT, count, log_eps
