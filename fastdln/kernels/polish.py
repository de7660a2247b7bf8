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

from fastdln._jit import jit_inner
from fastdln.kernels.bound import FINE, Found, Units, dual_noise, error_bound
from fastdln.kernels.compensated import matvec_dd, rmatvec_dd
from fastdln.kernels.evaluation import Root, Values, evaluate_all
from fastdln.kernels.extended import dd_add, dd_mul, two_sum
from fastdln.kernels.fine import UNIT
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
from fastdln.kernels.magnitude import power_of
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

__all__ = ["OUTDATED", "POLISHED", "ROUGH", "Root", "no_bounds", "polish"]

POLISHED, ROUGH, OUTDATED = 0, 1, 2

_ULP = 2.0**-52
_ITERATIONS = 30
_COARSE = 1e-7  # step from which psi is evaluated beyond a double
_STILL = 1e-3  # the same where rounding of doubles keeps it from getting less
_NOTHING = 2.0**-74  # step that is the last: the bound may be 1e5 times what it leaves
_FLOOR = 1e-10  # of a step, from which one that is not much less is rounding
_ASTRAY = 0.5  # a step of this size is not due to the factor alone
_DEEP = 500.0  # from this L on, what vanishes with eps is carried in a unit of its own
_WIDER = 3.0  # how far off a factor is taken to be, over what it leaves of a step
_MARGIN = 10.0  # how much a factor of another point adds to the bound, over its distance
_LEAST = 1e-30  # slack to which units are fitted
_PACKED = 2**22  # entries of A from which a target with a factor of its own copies no columns
_UNIT_FLOOR = 1e-200  # coupling below this plays no part in the Newton matrix


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
def _residual(A, basis, apart, zero, far, unit, found, rhs):
    """Rows of A_B^-1 (y - A psi), each in its own unit (U in zero rows, else 1)."""
    m = A.shape[0]
    v_hi, v_lo, w_hi, w_lo = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    matvec_dd(A, found.rest, found.rest_low, v_hi, v_lo)
    solve_dd(basis.matrix, basis.inverse, v_hi, v_lo, w_hi, w_lo)
    for i in range(m):
        factor, j = 1.0 if zero[i] else unit, basis.columns[i]
        hi, lo = dd_add(basis.x_hi[i], basis.x_lo[i], -found.values[j], -found.low[j])
        hi, lo = dd_add(hi, lo, -factor * w_hi[i], -factor * w_lo[i])
        for k in range(apart.columns.size):
            own, j = factor if far[k] else 1.0, apart.columns[k]
            g_hi, g_lo = dd_mul(
                apart.g_hi[k, i], apart.g_lo[k, i], own * found.values[j], own * found.low[j]
            )  # fmt: skip
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
def no_bounds():
    return np.inf, np.inf, np.inf


@jit_inner
def _widened(bounds, away):
    """A plain tuple: to make another for Python runs Python code, which Ctrl-C would break."""
    factor = 1.0 + _MARGIN * away
    return factor * bounds.relative, factor * bounds.resolved, factor * bounds.absolute


@jit_inner
def _tau(A, basis, t_hi, t_lo, l_hi, l_lo, tau_hi, tau_lo):
    """The dual and tau from tau_B, in double-double."""
    solve_dd(basis.transpose, basis.inverse_t, t_hi, t_lo, l_hi, l_lo)
    rmatvec_dd(A, l_hi, l_lo, tau_hi, tau_lo)
    for i in range(t_hi.size):
        tau_hi[basis.columns[i]], tau_lo[basis.columns[i]] = t_hi[i], t_lo[i]


class Work(NamedTuple):
    """Vectors that each iteration fills anew."""

    t_hi: np.ndarray  # (m,) tau in the basis
    t_lo: np.ndarray
    l_hi: np.ndarray  # (m,) the dual
    l_lo: np.ndarray
    tau_hi: np.ndarray  # (N,)
    tau_lo: np.ndarray
    rhs: np.ndarray  # (m,) residual
    z: np.ndarray  # (m,) step
    scale: np.ndarray  # (m,) D_B^-1/2
    unit: np.ndarray  # (m,) square root of each row's unit, relative as in `newton_factor`
    weight: np.ndarray  # (m,) as in `_take_step`


@jit_inner
def _room(m, N):
    """A `Work` and what is found in it."""
    v, w = np.empty((9, m)), np.empty((2, N))
    work = Work(v[0], v[1], v[2], v[3], w[0], w[1], v[4], v[5], v[6], v[7], v[8])
    return work, Values(np.empty(N), np.zeros(N), np.empty(N), np.empty(N), np.empty(N))


@jit_inner
def _look(A, p_is_2, power, L, places, state, s_lo, marked, fine, work, found, root):
    """The point at this state and its residual, in steps' units; returns log U."""
    basis, apart, far, zero = places
    sgn, s = state
    _basis_tau(p_is_2, L[0], L[1], sgn, s, s_lo, work.t_hi, work.t_lo)
    _tau(A, basis, work.t_hi, work.t_lo, work.l_hi, work.l_lo, work.tau_hi, work.tau_lo)
    log_unit = _log_unit(p_is_2, power[0], L[0], places, state, marked, work.tau_hi)
    evaluate_all(
        p_is_2, power, L, log_unit, places, state, s_lo, (work.tau_hi, work.tau_lo), marked, fine,
        found, root,
    )  # fmt: skip
    _residual(A, basis, apart, zero, far, math.exp(log_unit), found, work.rhs)
    root_unit = math.sqrt(max(math.exp(log_unit), _UNIT_FLOOR))
    for i in range(s.size):
        work.scale[i] = 1.0 / math.sqrt(found.D[basis.columns[i]])
        work.unit[i] = 1.0 if zero[i] else root_unit
        work.weight[i] = root_unit / work.unit[i]
        work.z[i] = work.rhs[i] * work.scale[i] * work.weight[i]
    return log_unit


@jit_inner
def _conclude(A, squares, p_is_2, L, places, state, marked, log_unit, away, S, work, found, root):
    """Fill `root`; returns the bounds."""
    basis, apart, far, zero = places
    _finish(basis, apart, zero, far, log_unit, found.values, work.l_hi, work.l_lo, root)
    for j in range(marked.size):  # the factor was made in its place
        found.rest[j] = 0.0 if marked[j] else found.values[j]
    own = FINE * (abs(L[0]) if p_is_2 else 1.0)
    noise = dual_noise(basis, work.t_hi, work.t_lo, own, work.l_hi, work.l_lo)
    behind = np.zeros(zero.size)
    for i in range(zero.size if L[2] < L[0] else 0):  # sigma there is not that of these slacks
        behind[i] = 0.0 if zero[i] or p_is_2 else state[1][i]
    evaluation = UNIT * (1500.0 + abs(L[0]))
    about = Found(found.values, found.rest, found.D, work.tau_hi, noise, own, evaluation)
    bounds = error_bound(
        A, squares, basis, apart, Units(zero, far, math.exp(log_unit), work.weight), S,
        work.scale, about, state[1], behind, work.rhs, root.unresolved,
    )  # fmt: skip
    return _widened(bounds, away)


@jit_inner
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
    old, away, packs = belongs(kept, columns), np.inf, m * N < _PACKED
    basis, apart = _choose(
        A, y, squares, p_is_2, b, level, chosen or old, columns, sgn, s, new_point(N)
    )  # fmt: skip
    far = vanishing_columns(p_is_2, apart)
    marked, zero = mark(N, basis, apart), zero_rows(basis, apart, far)
    places, state, s_lo = (basis, apart, far, zero), (sgn, s), np.zeros(m)
    work, found = _room(m, N)
    scale, unit, weight, z, D = work.scale, work.unit, work.weight, work.z, found.D
    last, factorisations, stale, fine = np.inf, 0, True, False
    slow, log_unit = 0.0, 0.0
    for iteration in range(_ITERATIONS):
        log_unit = _look(
            A, p_is_2, power, L, places, state, s_lo, marked, fine, work, found, root
        )  # fmt: skip
        if stale and (old or (p_is_2 and packs)) and belongs(kept, columns):
            exact = newton_matrix(A, basis, apart, D, scale, unit, far)
            away = distance(exact, kept, scale / weight, p_is_2)
            stale = not away < (NEAR if p_is_2 else CLOSE)
            if old and stale:
                return OUTDATED, 0, 0, log_unit, no_bounds()
        old = False
        if stale:
            away, slow = 0.0, 0.0
            keep(kept, columns, scale / weight)
            definite, _ = newton_factor(A, basis, apart, D, scale, unit, far, found.rest, kept.S)
            factorisations, stale = factorisations + 1, False
            if not definite:
                kept.columns[0] = -1
                return ROUGH, iteration, factorisations, log_unit, no_bounds()
        if max(away, slow if fine and packs else 0.0) < CLOSE:
            cholesky_solve(kept.S, z)
        else:
            exact = newton_matrix(A, basis, apart, D, scale, unit, far)
            solve_near(exact, kept, max(away, slow), z)
        size = _take_step(p_is_2, b, z, scale, weight, work.t_hi, sgn, s, s_lo)
        if not size < 1e300:
            return ROUGH, iteration, factorisations, log_unit, no_bounds()
        # a factor of another point carries rounding from row to row: its first step counts less
        level_out = size < _FLOOR and size > 0.25 * last and (away == 0.0 or iteration > 1)
        if fine and (size < _NOTHING or level_out):
            bounds = _conclude(
                A, squares, p_is_2, L, places, state, marked, log_unit, away, kept.S, work, found,
                root,
            )  # fmt: skip
            return POLISHED, iteration + 1, factorisations, log_unit, bounds
        slow = max(slow, min(NEAR, _WIDER * size / last))
        if not fine and (size < _COARSE or (size < _STILL and size > 0.25 * last)):
            fine, size = True, np.inf
        stale = size > 0.1 * last and size < np.inf
        if stale and _ASTRAY > size > 0.5 * last:  # it has not served
            kept.columns[0] = -1
        last = size
    _finish(basis, apart, zero, far, log_unit, found.values, work.l_hi, work.l_lo, root)
    return ROUGH, _ITERATIONS, factorisations, log_unit, no_bounds()


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
