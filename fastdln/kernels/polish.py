"""The last Newton steps at one alpha, so that every coordinate is right to its own size.

The state is that of `state`: a basis B, signs sgn and slacks s. Here tau = A^T lambda,
the slacks and the residual are formed in double-double, in basis coordinates, and
corrected with one factored matrix until rounding is all that is left.

Row i of the residual is x_i - psi_i - (G psi_N)_i with x = A_B^-1 y. Rows where x_i and
G_E vanish exactly balance numbers that vanish with eps. They, and the columns outside B
and E, are carried in units of U = exp(log_unit), so that nothing underflows
however small eps is; U = 1 while eps > exp(-500).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.bound import FINE, Found, Units, dual_noise, error_bound
from fastdln.kernels.compensated import matvec_dd, rmatvec_dd
from fastdln.kernels.extended import dd_add, dd_mul, dd_mul_double, two_sum
from fastdln.kernels.kept import (
    CLOSE,
    NEAR,
    belongs,
    distance,
    keep,
    newton_matrix,
    solve_near,
)
from fastdln.kernels.linear import cholesky_solve
from fastdln.kernels.magnitude import magnitude_2, magnitude_p, power_of
from fastdln.kernels.path import newton_factor
from fastdln.kernels.state import locate, new_point, reselect, same
from fastdln.kernels.tableau import (
    make_basis,
    mark,
    no_columns,
    solve_dd,
    vanishing_columns,
    zero_rows,
)

__all__ = ["OUTDATED", "POLISHED", "ROUGH", "Root", "polish"]

POLISHED, ROUGH, OUTDATED = 0, 1, 2

_ULP = 2.0**-52
_ITERATIONS = 30
_FLOOR = 1e-10  # of a step, from which one that is not much less is rounding
_ASTRAY = 0.5  # a step of this size is not due to the factor alone
_DEEP = 500.0  # from this L on, what vanishes with eps is carried in a unit of its own
_MARGIN = 10.0  # how much a factor of another point adds to the bound, over its distance
_LEAST = 1e-30  # slack to which units are fitted
_FINE_SLACK = 1e-8  # one this large is 1 - |tau| to many more digits than a double has
_UNIT_FLOOR = 1e-200  # coupling below this plays no part in the Newton matrix


class Root(NamedTuple):
    """psi at the root, N-vectors but for the last."""

    psi: np.ndarray
    log_abs: np.ndarray
    slack: np.ndarray  # 1 - |tau|, p > 2
    dual: np.ndarray  # (m,)
    unresolved: np.ndarray  # (N,) whether psi may be zero, for all that the bound says


@jit_inner
def _least_slack(places, state, marked, tau):
    """p > 2: of the coordinates that vanish with eps."""
    _, apart, far, zero = places
    sgn, s = state
    least = 1.0
    for j in range(tau.size):
        if not marked[j]:
            least = min(least, 1.0 - abs(tau[j]))
    for i in range(s.size):
        if zero[i]:
            least = min(least, s[i])
    for k in range(far.size):
        if far[k]:
            slack = apart.cost[k]
            for i in range(s.size):
                slack += apart.sign[k] * apart.g_hi[k, i] * sgn[i] * s[i]
            least = min(least, slack)
    return max(least, _LEAST)


@jit_inner
def _log_unit(p_is_2, b, L, places, state, marked, tau):
    """log U: 0, or the scale of the coordinates that vanish with eps."""
    basis, _, _, zero = places
    if L < _DEEP:
        return 0.0
    if not p_is_2:
        return min(0.0, -b * math.log(_least_slack(places, state, marked, tau)) - L)
    top = 0.0
    for j in range(tau.size):
        if not marked[j]:
            top = max(top, abs(tau[j]))
    for i in range(basis.columns.size):
        if zero[i]:
            top = max(top, abs(tau[basis.columns[i]]))
    return top - L


@jit_inner
def _basis_tau(p_is_2, L_hi, L_lo, sgn, s_hi, s_lo, t_hi, t_lo):
    """tau_B = sgn (L - s) or sgn (1 - s), in double-double."""
    for i in range(sgn.size):
        hi, lo = two_sum(L_hi if p_is_2 else 1.0, -s_hi[i])
        hi, lo = two_sum(hi, lo + ((L_lo if p_is_2 else 0.0) - s_lo[i]))
        t_hi[i] = sgn[i] * hi
        t_lo[i] = sgn[i] * lo


@jit_inner
def _fill_all(p_is_2, power, L_hi, L_lo, log_unit, tau_hi, tau_lo, values, D, root):
    """|psi| / U, D / U and log |psi| of every coordinate from its tau; `power` is b, as a sum."""
    for j in range(tau_hi.size):
        a_hi = abs(tau_hi[j])
        a_lo = tau_lo[j] if tau_hi[j] >= 0.0 else -tau_lo[j]
        hi, lo = dd_add(L_hi if p_is_2 else 1.0, L_lo if p_is_2 else 0.0, -a_hi, -a_lo)
        root.slack[j] = hi
        if p_is_2:
            values[j], D[j], root.log_abs[j] = magnitude_2(
                a_hi, a_lo, L_hi, L_lo, hi, lo, log_unit
            )  # fmt: skip
        else:
            values[j], D[j], root.log_abs[j] = magnitude_p(
                power[0], power[1], a_hi, a_lo, hi, lo, L_hi, L_lo, log_unit
            )  # fmt: skip


@jit_inner
def _one_less(hi, lo):
    """1 - hi - lo; hi = 1 and a lo of any size are told apart."""
    top, rest = two_sum(1.0, -hi)
    return two_sum(top, rest - lo)


@jit_inner
def _fill_large(p_is_2, power, L, log_unit, j, s_hi, s_lo, values, D, root):
    """Coordinate j with slack s again, in units of 1: it stays while eps vanishes."""
    if p_is_2:
        if log_unit != 0.0:
            minus = math.exp(-s_hi) * (1.0 - s_lo)
            values[j], D[j], root.log_abs[j] = minus, minus, -(s_hi + s_lo)
    elif s_hi < 0.5 or log_unit != 0.0:
        a_hi, a_lo = _one_less(s_hi, s_lo)
        if a_hi < 0.0:  # the sign is not yet that of tau
            a_hi, a_lo = -a_hi, -a_lo
            s_hi, s_lo = dd_add(2.0, 0.0, -s_hi, -s_lo)
        top_hi, top_lo = (L[2], L[3]) if s_hi < 0.5 else (L[0], L[1])
        root.slack[j] = s_hi
        values[j], D[j], root.log_abs[j] = magnitude_p(
            power[0], power[1], a_hi, a_lo, s_hi, s_lo, top_hi, top_lo, 0.0
        )  # fmt: skip


@jit_inner
def _near_slack(p_is_2, L_hi, L_lo, apart, k, sgn, s, s_lo, tau_hi, tau_lo):
    """Slack of column k apart: from tau, or where that is rounding from those of the basis."""
    hi, lo = abs(tau_hi), tau_lo if tau_hi >= 0.0 else -tau_lo
    if p_is_2:
        return dd_add(L_hi, L_lo, -hi, -lo)
    hi, lo = dd_add(1.0, 0.0, -hi, -lo)
    if hi > _FINE_SLACK:
        return hi, lo
    hi, lo = 0.0, 0.0
    for i in range(s.size if apart.cost[k] != 0.0 else 0):  # the cost again, in double-double
        t = -apart.sign[k] * sgn[i]
        hi, lo = dd_add(hi, lo, t * apart.g_hi[k, i], t * apart.g_lo[k, i])
    if apart.cost[k] != 0.0:
        hi, lo = dd_add(1.0, 0.0, hi, lo)
    for i in range(s.size):
        t = apart.sign[k] * sgn[i]
        g_hi, g_lo = dd_mul(t * apart.g_hi[k, i], t * apart.g_lo[k, i], s[i], s_lo[i])
        hi, lo = dd_add(hi, lo, g_hi, g_lo)
    return hi, lo


@jit_inner
def _residual(A, basis, apart, zero, far, unit, values, rest, rhs):
    """Rows of A_B^-1 (y - A psi), each in its own unit (U in zero rows, else 1)."""
    m, N = A.shape
    v_hi, v_lo, w_hi, w_lo = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    matvec_dd(A, rest, np.zeros(N), v_hi, v_lo)
    solve_dd(basis.matrix, basis.inverse, v_hi, v_lo, w_hi, w_lo)
    for i in range(m):
        factor = 1.0 if zero[i] else unit
        hi, lo = dd_add(basis.x_hi[i], basis.x_lo[i], -values[basis.columns[i]], 0.0)
        hi, lo = dd_add(hi, lo, -factor * w_hi[i], -factor * w_lo[i])
        for k in range(apart.columns.size):
            value = values[apart.columns[k]] * (factor if far[k] else 1.0)
            g_hi, g_lo = dd_mul_double(apart.g_hi[k, i], apart.g_lo[k, i], value)
            hi, lo = dd_add(hi, lo, -g_hi, -g_lo)
        rhs[i] = hi + lo


@jit_inner
def _finish(basis, apart, zero, far, log_unit, values, l_hi, l_lo, root):
    """Give psi its units."""
    unit = math.exp(log_unit)
    for j in range(values.size):
        root.psi[j] = values[j] * unit
    for i in range(basis.columns.size):
        if not zero[i]:
            root.psi[basis.columns[i]] = values[basis.columns[i]]
    for k in range(far.size):
        if not far[k]:
            root.psi[apart.columns[k]] = values[apart.columns[k]]
    for i in range(l_hi.size):
        root.dual[i] = l_hi[i] + l_lo[i]


@jit_inner
def _choose(A, y, squares, p_is_2, b, level, chosen, columns, sgn, s, point):
    """The basis of largest D here, unless it has been chosen, and the columns apart."""
    m = y.size
    basis = make_basis(A, y, columns)
    if not chosen:
        before = columns.copy()
        locate(A, p_is_2, b, level, basis, no_columns(m), sgn, s, point)
        reselect(A, squares, p_is_2, level, point, sgn, s, columns)
        if not same(columns, before):
            basis = make_basis(A, y, columns)
    return basis, locate(A, p_is_2, b, level, basis, no_columns(m), sgn, s, point)


@jit_inner
def _fill_apart(p_is_2, power, L, log_unit, apart, far, sgn, s, s_lo, tau, values, D, root):
    """The columns apart again; tau is a pair, as in double-double."""
    for k in range(apart.columns.size):
        j = apart.columns[k]
        hi, lo = _near_slack(p_is_2, L[0], L[1], apart, k, sgn, s, s_lo, tau[0][j], tau[1][j])
        if far[k]:
            a_hi, a_lo = _one_less(hi, lo)
            root.slack[j] = hi
            values[j], D[j], root.log_abs[j] = magnitude_p(
                power[0], power[1], a_hi, a_lo, hi, lo, L[0], L[1], log_unit
            )  # fmt: skip
        else:
            _fill_large(p_is_2, power, L, log_unit, j, hi, lo, values, D, root)
        if not p_is_2:
            tau[0][j] = apart.sign[k] * (1.0 - hi)


@jit_inner
def _no_bounds():
    return np.inf, np.inf, np.inf


@jit_inner
def _widened(bounds, factor):
    """A plain tuple: to make another for Python runs Python code, which Ctrl-C would break."""
    return factor * bounds.relative, factor * bounds.resolved, factor * bounds.absolute


@jit_inner
def _evaluate(p_is_2, power, L, log_unit, places, state, s_lo, tau, values, D, root):
    """|psi| / U and D / U of every coordinate, those that do not vanish in units of 1.

    `power` is b as a sum, `L` (hi, lo, and those for small slacks), `places` (basis, apart, far,
    zero), `state` (sgn, s), tau (hi, lo).
    """
    basis, apart, far, zero = places
    sgn, s = state
    _fill_all(p_is_2, power, L[0], L[1], log_unit, tau[0], tau[1], values, D, root)
    for i in range(s.size):
        if not zero[i]:
            _fill_large(
                p_is_2, power, L, log_unit, basis.columns[i], s[i], s_lo[i], values, D, root
            )  # fmt: skip
    _fill_apart(p_is_2, power, L, log_unit, apart, far, sgn, s, s_lo, tau, values, D, root)


@jit_inner
def _tau(A, basis, t_hi, t_lo, l_hi, l_lo, tau_hi, tau_lo):
    """The dual and tau from tau_B, in double-double."""
    solve_dd(basis.transpose, basis.inverse_t, t_hi, t_lo, l_hi, l_lo)
    rmatvec_dd(A, l_hi, l_lo, tau_hi, tau_lo)
    for i in range(t_hi.size):
        tau_hi[basis.columns[i]], tau_lo[basis.columns[i]] = t_hi[i], t_lo[i]


@jit
def polish(A, y, squares, p, L_hi, L_lo, L_level, chosen, columns, sgn, s, kept, root):
    """Bring the state to the root at ``log(1/eps) = L_hi + L_lo`` and fill `root`.

    `L_level` is the L of small slacks (p > 2): it may stop where psi no longer
    depends on sigma, for sigma would underflow. The basis is chosen anew first, unless it
    was `chosen` by the D of a point this near. A factor `kept` of this very basis is used if it
    is near; if not, nothing is done (OUTDATED). `kept` then holds the last factor.
    Returns (code, iterations, factorisations, log_unit, bounds as in `Bounds`).
    """
    m, N = A.shape
    p_is_2, power = p == 2.0, power_of(p)
    b = power[0]
    level = L_hi if p_is_2 else math.exp(-L_level / b)
    L = L_hi, L_lo, L_level, L_lo if L_level == L_hi else 0.0
    old, away = belongs(kept, columns), np.inf
    basis, apart = _choose(
        A, y, squares, p_is_2, b, level, chosen or old, columns, sgn, s, new_point(N)
    )  # fmt: skip
    far = vanishing_columns(p_is_2, apart)
    marked, zero = mark(N, basis, apart), zero_rows(basis, apart, far)
    s_lo, t_hi, t_lo = np.zeros(m), np.empty(m), np.empty(m)
    l_hi, l_lo, rhs, z = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    scale, unit, weight = np.empty(m), np.empty(m), np.empty(m)
    tau_hi, tau_lo, values = np.empty(N), np.empty(N), np.empty(N)
    rest, D = np.empty(N), np.empty(N)
    places, state = (basis, apart, far, zero), (sgn, s)
    last, factorisations, stale, log_unit = np.inf, 0, True, 0.0
    for iteration in range(_ITERATIONS):
        _basis_tau(p_is_2, L_hi, L_lo, sgn, s, s_lo, t_hi, t_lo)
        _tau(A, basis, t_hi, t_lo, l_hi, l_lo, tau_hi, tau_lo)
        log_unit = _log_unit(p_is_2, b, L_hi, places, state, marked, tau_hi)
        _evaluate(
            p_is_2, power, L, log_unit, places, state, s_lo, (tau_hi, tau_lo), values, D, root
        )  # fmt: skip
        for j in range(N):
            values[j] = values[j] if tau_hi[j] >= 0.0 else -values[j]
            rest[j] = 0.0 if marked[j] else values[j]
        _residual(A, basis, apart, zero, far, math.exp(log_unit), values, rest, rhs)
        root_unit = math.sqrt(max(math.exp(log_unit), _UNIT_FLOOR))
        for i in range(m):
            scale[i] = 1.0 / math.sqrt(D[columns[i]])
            unit[i] = 1.0 if zero[i] else root_unit
            weight[i] = root_unit / unit[i]
            z[i] = rhs[i] * scale[i] * weight[i]
        if stale and (old or p_is_2) and belongs(kept, columns):
            exact = newton_matrix(A, basis, apart, D, scale, unit, far)
            away = distance(exact, kept, scale / weight, p_is_2)
            stale = not away < (NEAR if p_is_2 else CLOSE)
            if old and stale:
                return OUTDATED, 0, 0, log_unit, _no_bounds()
        old = False
        if stale:
            away = 0.0
            keep(kept, columns, scale / weight)
            definite, _ = newton_factor(A, basis, apart, D, scale, unit, far, rest, kept.S)
            factorisations, stale = factorisations + 1, False
            if not definite:
                kept.columns[0] = -1
                return ROUGH, iteration, factorisations, log_unit, _no_bounds()
        if away < CLOSE:
            cholesky_solve(kept.S, z)
        else:
            solve_near(newton_matrix(A, basis, apart, D, scale, unit, far), kept, away, z)
        size = _take_step(p_is_2, b, z, scale, weight, t_hi, sgn, s, s_lo)
        if not size < 1e300:
            return ROUGH, iteration, factorisations, log_unit, _no_bounds()
        # a factor of another point carries rounding from row to row: its first step counts less
        level_out = size < _FLOOR and size > 0.25 * last
        if size < 2.0 * _ULP or (level_out and (away == 0.0 or iteration > 1)):
            _finish(basis, apart, zero, far, log_unit, values, l_hi, l_lo, root)
            for j in range(N):
                rest[j] = 0.0 if marked[j] else values[j]
            own = FINE * (abs(L_hi) if p_is_2 else 1.0)
            noise = dual_noise(basis, t_hi, t_lo, own, l_hi, l_lo)
            bounds = error_bound(
                A, squares, basis, apart, Units(zero, far, math.exp(log_unit), weight),
                kept.S, scale, Found(values, rest, D, tau_hi, noise, own), rhs, root.unresolved,
            )  # fmt: skip
            bounds = _widened(bounds, 1.0 + _MARGIN * away)
            return POLISHED, iteration + 1, factorisations, log_unit, bounds
        stale = size > 0.1 * last and not level_out
        if stale and _ASTRAY > size > 0.5 * last:  # it has not served
            kept.columns[0] = -1
        last = size
    _finish(basis, apart, zero, far, log_unit, values, l_hi, l_lo, root)
    return ROUGH, _ITERATIONS, factorisations, log_unit, _no_bounds()


@jit_inner
def _take_step(p_is_2, b, z, scale, weight, tau, sgn, s, s_lo):
    """Take the step z of the slacks, in units of its own; returns its relative size in psi.

    Where eps is large all tau are small, and the size is relative to the largest.

    `weight` is the square root of each row's unit, over the largest: with it the system
    is symmetric though each row of rhs, scale and S is in its own unit.
    """
    m = z.size
    largest, size, move = 0.0, 0.0, 0.0
    for i in range(m):
        z[i] *= scale[i] / weight[i]
        largest = max(largest, abs(tau[i]), abs(z[i]))
    for i in range(m):
        c = abs(z[i])
        if not p_is_2:
            c *= b / min(s[i], 2.0 - s[i])
        move = max(move, c)
        if largest < 1.0:
            c = max(c, abs(z[i]) / largest)
        if not c <= size:
            size = c
    damp = 1.0 if move < 1.0 else 1.0 / move
    for i in range(m):
        hi, lo = two_sum(s[i], -damp * sgn[i] * z[i])
        hi, lo = two_sum(hi, lo + s_lo[i])
        s[i] = hi
        s_lo[i] = lo
    return size
