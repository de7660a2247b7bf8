"""A point on the path alpha -> 0, and everything of size N that belongs to it.

The unknown is the dual in basis coordinates, tau_B = A_B^T lambda, carried as a slack s
towards the sign sgn that each basis coordinate is heading for:

    p = 2:  tau = sgn (L - s),  psi = sgn (exp(-s) - exp(s - 2 L)),  L = log(1/eps);
    p > 2:  tau = sgn (1 - s),  psi = sgn ((sigma/s)^b - (sigma/(2-s))^b),
            sigma = alpha^(p-2) = eps^(1/b),  b = p / (p-2).

`level` is L for p = 2 and sigma for p > 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.select import select_basis
from fastdln.kernels.tableau import from_basis, make_apart, no_columns

__all__ = [
    "NOISE",
    "Point",
    "advance",
    "evaluate",
    "fill_halves",
    "level_of",
    "locate",
    "locate_dual",
    "new_point",
    "reselect",
    "same",
]

NOISE = 1e-9  # change of a slack, relative to the level's, below which it is rounding
_NEAR = 1e-5  # a column outside the basis stands apart if its slack is below this (p > 2)
_DEEP = 500.0  # or, for p = 2 and L above this, if psi exceeds exp(-_STAYS)
_STAYS = 50.0
_REPRESENTABLE = 700.0  # L up to which eps is a normal number
_LARGE = 1e5  # or if its D exceeds the least of the basis by this


class Point(NamedTuple):
    """N-vectors at one state: psi = minus - plus, D = d psi / d tau."""

    tau: np.ndarray
    slack_minus: np.ndarray  # 1 - tau (p > 2), or 1
    slack_plus: np.ndarray  # 1 + tau (p > 2), or 1
    minus: np.ndarray
    plus: np.ndarray
    D: np.ndarray


@jit_inner
def new_point(N):
    """Work space for a `Point`."""
    return Point(
        np.empty(N), np.ones(N), np.ones(N), np.empty(N), np.empty(N), np.empty(N)
    )  # fmt: skip


@jit_inner
def level_of(p_is_2, b, log_eps):
    """L or sigma, as the case may be."""
    return -log_eps if p_is_2 else math.exp(log_eps / b)


@jit_inner
def _set_slack(j, sign, s, point):
    if sign > 0.0:
        point.slack_minus[j] = s
        point.slack_plus[j] = 2.0 - s
    else:
        point.slack_plus[j] = s
        point.slack_minus[j] = 2.0 - s


@jit_inner
def _drawn_together(x, gap):
    """p = 2: the log x of a half's inverse, without the gap below what vanishes with eps."""
    x = x if x < _STAYS else max(_STAYS, x - gap)
    return x if x < 600.0 else 600.0 + 100.0 * (1.0 - 600.0 / x)


@jit_inner
def _gap(level, tau):
    """p = 2: between the logs of halves that stay and of those that vanish with eps."""
    least = level
    for t in tau:
        x = level - abs(t)
        if x >= _STAYS:
            least = min(least, x)
    return least - _STAYS


@jit_inner
def _whole(exponent):
    """The exponent if it is a small whole number, else 0."""
    return int(exponent) if exponent < 9.0 and exponent == math.floor(exponent) else 0


@jit_inner
def _power(x, exponent, times):
    """``x ** exponent``, by multiplications if that is the whole number `times`."""
    if times == 0:
        return x**exponent
    out = x
    for _ in range(times - 1):
        out *= x
    return out


@jit_inner
def fill_halves(p_is_2, b, level, point):
    """The halves of psi, and D, from tau (p = 2) or from the slacks (p > 2).

    Where they would underflow (p = 2, L > 700) they are drawn together towards 1, which
    keeps their order: all that the choice of a basis needs there. (At p = 2 also the ratios of
    those that vanish with eps: at L = 1e6 one over another may be all but lost in a power of it.)
    """
    L = level if p_is_2 else -b * math.log(level)
    squeeze = 600.0 / L if L > _REPRESENTABLE else 1.0
    gap = _gap(level, point.tau) if p_is_2 and squeeze < 1.0 else 0.0
    times = _whole(squeeze * b)
    for j in range(point.tau.size):
        if p_is_2 and squeeze < 1.0:
            point.minus[j] = math.exp(-_drawn_together(level - point.tau[j], gap))
            point.plus[j] = math.exp(-_drawn_together(level + point.tau[j], gap))
            point.D[j] = point.minus[j] + point.plus[j]
        elif p_is_2:
            point.minus[j] = math.exp(point.tau[j] - level)
            point.plus[j] = math.exp(-point.tau[j] - level)
            point.D[j] = point.minus[j] + point.plus[j]
        else:
            sm, sp = point.slack_minus[j], point.slack_plus[j]
            point.minus[j] = _power(level / sm, squeeze * b, times)
            point.plus[j] = _power(level / sp, squeeze * b, times)
            point.D[j] = b * (point.minus[j] / sm + point.plus[j] / sp)


@jit_inner
def _evaluate(A, p_is_2, level, basis, apart, sgn, s, point):
    """Fill tau and the slacks of `point` at the state (level, sgn, s)."""
    m = s.size
    t = np.empty(m)
    top = level if p_is_2 else 1.0
    for i in range(m):
        t[i] = sgn[i] * (top - s[i])
    from_basis(A, basis, apart, t, point.tau)
    if not p_is_2:
        for j in range(point.tau.size):
            point.slack_minus[j] = 1.0 - point.tau[j]
            point.slack_plus[j] = 1.0 + point.tau[j]
        for i in range(m):
            _set_slack(basis.columns[i], sgn[i], s[i], point)
        for k in range(apart.columns.size):
            slack = apart.cost[k]
            for i in range(m):
                slack += apart.sign[k] * apart.g_hi[k, i] * sgn[i] * s[i]
            _set_slack(apart.columns[k], apart.sign[k], slack, point)


@jit_inner
def evaluate(A, p_is_2, b, level, basis, apart, sgn, s, point):
    """Fill all of `point` at the state (level, sgn, s)."""
    _evaluate(A, p_is_2, level, basis, apart, sgn, s, point)
    fill_halves(p_is_2, b, level, point)


@jit_inner
def _columns_apart(p_is_2, level, basis, point):
    """Indices of the columns that need a tableau column of their own at this point."""
    N = point.D.size
    inside = np.zeros(N, np.bool_)
    least = np.inf
    for j in basis.columns:
        inside[j] = True
        least = min(least, point.D[j])
    chosen = np.empty(N, np.int64)
    count, lost = 0, p_is_2 and level > _REPRESENTABLE
    for j in range(N):
        if p_is_2:  # where eps is about to underflow: all that stays representable
            near = level > _DEEP and level - abs(point.tau[j]) < _STAYS
        else:
            near = min(point.slack_minus[j], point.slack_plus[j]) < _NEAR
        large = not lost and point.D[j] > _LARGE * least
        if not inside[j] and (near or large):
            chosen[count] = j
            count += 1
    if count > 4 * basis.columns.size + 16:  # the spread is not yet a matter of rank
        count = 0
    return chosen[:count].copy()


@jit_inner
def same(first, second):
    """Whether these are the same columns in the same order."""
    if first.size != second.size:
        return False
    for k in range(first.size):
        if first[k] != second[k]:
            return False
    return True


@jit_inner
def _turn_signs(p_is_2, level, apart, sgn, s):
    """Measure each slack towards the nearer side; returns `apart`, empty if signs turned."""
    top = level if p_is_2 else 1.0
    for i in range(s.size):
        if top > 0.0 and s[i] > top:
            s[i] = 2.0 * top - s[i]
            sgn[i] = -sgn[i]
            apart = no_columns(s.size)
    return apart


@jit_inner
def locate_dual(A, p_is_2, level, basis, apart, sgn, s, point, judge):
    """tau and the slacks of the state, with the columns apart that `judge` needs; returns these."""
    apart = _turn_signs(p_is_2, level, apart, sgn, s)
    _evaluate(A, p_is_2, level, basis, apart, sgn, s, point)
    columns = _columns_apart(p_is_2, level, basis, judge)
    if not same(columns, apart.columns):
        apart = make_apart(A, basis, sgn, columns, point.tau)
        _evaluate(A, p_is_2, level, basis, apart, sgn, s, point)
    return apart


@jit_inner
def locate(A, p_is_2, b, level, basis, apart, sgn, s, point):
    """Evaluate the state, with the columns apart that it needs; returns these."""
    apart = _turn_signs(p_is_2, level, apart, sgn, s)
    evaluate(A, p_is_2, b, level, basis, apart, sgn, s, point)
    columns = _columns_apart(p_is_2, level, basis, point)
    if not same(columns, apart.columns):
        apart = make_apart(A, basis, sgn, columns, point.tau)
        evaluate(A, p_is_2, b, level, basis, apart, sgn, s, point)
    return apart


@jit_inner
def reselect(A, squares, p_is_2, level, point, sgn, s, columns):
    """Choose the basis by the D of this point, and read the state off in it."""
    if not select_basis(A, point.D, squares, columns):
        return False
    for i in range(s.size // 2 if p_is_2 else 0):  # the smallest first: see `kept`
        columns[i], columns[s.size - 1 - i] = columns[s.size - 1 - i], columns[i]
    for i in range(s.size):
        j = columns[i]
        sgn[i] = 1.0 if point.tau[j] >= 0.0 else -1.0
        if p_is_2:
            s[i] = level - abs(point.tau[j])
        else:
            s[i] = point.slack_minus[j] if sgn[i] > 0.0 else point.slack_plus[j]
    return True


@jit_inner
def advance(p_is_2, s, x, left, shift):
    """The slack s after a step x of the level in which ``sgn tau`` grew by `shift`.

    For p > 2 the fraction `left` = 1 - x of the level is left, and a slack in
    proportion to it keeps its relative accuracy however small that is.
    """
    if p_is_2:
        return s + (x - shift)
    drift = s * x - shift
    return s * left + (drift if abs(drift) > NOISE * s else 0.0)
