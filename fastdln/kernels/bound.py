"""First-order a-posteriori bounds on the error of every coordinate of psi.

With rho the size of the rounding errors in the residual's rows and S the Newton matrix,

    |d tau_B| <= |C S^-1 C| rho,   |d tau_N| <= |A_N|^T |A_B^-T| |d tau_B| + noise,
    |d psi_j| <= D_j |d tau_j| + |psi_j| (evaluation of h_p),

all absolute values elementwise; noise is the rounding of A_N^T lambda in double-double. Terms
of second order are below the square of the bound. Where that bound is large the product from the
rounding of psi to lambda is formed before its absolute value is taken.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.blocked import add_absolute_sums
from fastdln.kernels.compensated import matvec_dd
from fastdln.kernels.extended import dd_add
from fastdln.kernels.linear import invert_factored, matvec, multiply

__all__ = [
    "EVALUATION",
    "FINE",
    "ROUNDING",
    "Bounds",
    "Found",
    "Units",
    "dual_noise",
    "error_bound",
]

EVALUATION = 3.0 * 2.0**-52  # of psi from tau: see `magnitude`
ROUNDING = 1.0001 * 2.0**-53  # of a sum to one number; with a unit U it is EVALUATION
FINE = 2.0**-102  # of a few operations in double-double
_LOOSE = 1e-7  # relative bound above which a sharper one is worth its work
_ROUNDED = 1e-4  # of that bound: what the sharper one may owe to its own rounding
_NEAR = 1.1e-8  # slack of a column apart from which it is 1 - |tau|, and a little more
_UNRESOLVED = 0.01  # relative bound above which a coordinate may be zero


class Units(NamedTuple):
    """What the rows, and the columns outside the basis, are measured in: see `polish`."""

    zero: np.ndarray  # (m,) rows in units of U
    far: np.ndarray  # columns apart in units of U
    unit: float  # U
    weight: np.ndarray  # (m,) as in `polish._take_step`


class Found(NamedTuple):
    """The last evaluation of `polish`."""

    values: np.ndarray  # psi, each in its unit
    rest: np.ndarray  # the same outside B and E, else 0
    D: np.ndarray
    tau: np.ndarray
    noise: float  # rounding of tau_j, over the length of column j
    own: float  # of tau in the basis, where it is small
    evaluation: float  # relative, of psi from tau, before it is rounded


class Bounds(NamedTuple):
    """The largest over all coordinates, over those that are surely not zero; absolutely."""

    relative: float
    resolved: float
    absolute: float


@jit_inner
def _absolute_dot(x, y):
    """sum of |x_j y_j|, in eight partial sums."""
    whole, rest = x.size - x.size % 8, 0.0
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(0, whole, 8):
        s0 += abs(x[j] * y[j])
        s1 += abs(x[j + 1] * y[j + 1])
        s2 += abs(x[j + 2] * y[j + 2])
        s3 += abs(x[j + 3] * y[j + 3])
        s4 += abs(x[j + 4] * y[j + 4])
        s5 += abs(x[j + 5] * y[j + 5])
        s6 += abs(x[j + 6] * y[j + 6])
        s7 += abs(x[j + 7] * y[j + 7])
    for j in range(whole, x.size):
        rest += abs(x[j] * y[j])
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) + rest


@jit_inner
def dual_noise(basis, t_hi, t_lo, own, l_hi, l_lo):
    """Length of the error of lambda as the solution of A_B^T lambda = t.

    That of products with it is included; `own` is that of t.
    """
    m = t_hi.size
    p_hi, p_lo, left = np.empty(m), np.empty(m), np.empty(m)
    matvec_dd(basis.transpose, l_hi, l_lo, p_hi, p_lo)
    for i in range(m):
        hi, lo = dd_add(t_hi[i], t_lo[i], -p_hi[i], -p_lo[i])
        left[i] = abs(hi + lo) + own
    total = 0.0
    for i in range(m):
        one = _absolute_dot(basis.inverse_t[i], left) + (m + 4) * FINE * abs(l_hi[i])
        total += one * one
    return math.sqrt(total)


@jit_inner
def _own(found, j):
    """Rounding of tau in the basis: near the boundary the slack is the unknown."""
    return found.own if abs(found.tau[j]) < 0.5 else 0.0


@jit_inner
def _length_of_product(x, y):
    """Root of the sum of (x_i y_i)^2."""
    total = 0.0
    for i in range(x.size):
        total += (x[i] * y[i]) ** 2
    return math.sqrt(total)


@jit_inner
def _solution_errors(basis, apart, units, found):
    """Rounding, per row, of A_B^-1 y and of the columns apart as solved in double-double.

    It counts beside rows that vanish but for the rounding of the data; exact zeros have none.
    That of A_B^-1 y is as its terms, added up as independent errors (FINE is some thirty times
    what is usual).
    """
    m = basis.x_hi.size
    near, own, other, out = np.zeros(m), np.empty(m), np.empty(m), np.zeros(m)
    for k in range(apart.columns.size):
        value = found.values[apart.columns[k]] * (units.unit if units.far[k] else 1.0)
        for i in range(m):
            near[i] += abs(apart.g_hi[k, i] * value)
    for i in range(m):
        own[i] = FINE * _length_of_product(basis.matrix[i], basis.x_hi)
        other[i] = FINE * _absolute_dot(basis.matrix[i], near)
    for i in range(m):
        if basis.x_hi[i] != 0.0:
            out[i] = _length_of_product(basis.inverse[i], own)
        if near[i] != 0.0:
            out[i] += _absolute_dot(basis.inverse[i], other)
    return out


@jit_inner
def _carried_errors(A, basis, apart, units, found):
    """Rounding, per row and in units of U, of A_B^-1 (A psi) outside B and E and of far columns.

    As above. With a condition of A_B below 1e4 that of psi itself, UNIT * 1500, is more.
    """
    m = A.shape[0]
    v, w, first, out = np.empty(m), np.empty(m), np.empty(m), np.empty(m)
    matvec(A, found.rest, v)
    matvec(basis.inverse, v, w)
    for i in range(m):
        w[i] = abs(w[i])
        for k in range(apart.columns.size):
            value = found.values[apart.columns[k]] if units.far[k] else 0.0
            w[i] += abs(apart.g_hi[k, i] * value)
    for i in range(m):
        first[i] = FINE * _length_of_product(basis.matrix[i], w)
    for i in range(m):
        out[i] = _length_of_product(basis.inverse[i], first)
    return out


@jit_inner
def _apart_errors(basis, apart, found, squares, slacks, out):
    """Rounding of tau of each column apart, as `polish` forms it from slacks or from tau.

    That of G_k, solved in double-double, is FINE |A_B^-1| |A_B| |G_k|.
    """
    m = slacks.size
    first, g = np.empty(m), np.empty(m)
    for k in range(apart.columns.size):
        j, total = apart.columns[k], 0.0
        for i in range(m):
            first[i] = _absolute_dot(basis.matrix[i], apart.g_hi[k])
        for i in range(m):
            g[i] = abs(apart.g_hi[k, i]) + _absolute_dot(basis.inverse[i], first)
            total += g[i]
        out[k] = FINE * _absolute_dot(g, slacks)
        if apart.cost[k] != 0.0:
            out[k] += FINE * (1.0 + total)
        if not 0.0 <= 1.0 - abs(found.tau[j]) < _NEAR:
            out[k] += found.noise * math.sqrt(squares[j])


@jit_inner
def _row_errors(A, lengths, basis, apart, units, found, own_apart, shift, rhs):
    """Two parts of rho, each row in its own unit: of psi outside B and E, and all else.

    `lengths` of the columns are overwritten by the rounding of psi outside B and E; `shift` is
    what tau there is off by besides rounding.
    """
    m = A.shape[0]
    v, spread, rho = np.empty(m), np.empty(m), np.empty(m)
    for j in basis.columns:
        lengths[j] = 0.0
    for j in apart.columns:
        lengths[j] = 0.0
    for j in range(lengths.size):
        noise = found.noise * lengths[j]
        noise += shift[j] if lengths[j] > 0.0 else 0.0
        lengths[j] = found.evaluation * abs(found.rest[j]) + noise * found.D[j]
    for i in range(m):
        v[i] = _absolute_dot(A[i], lengths)
    fine = _solution_errors(basis, apart, units, found)
    carried = _carried_errors(A, basis, apart, units, found)
    for i in range(m):
        spread[i] = _absolute_dot(basis.inverse[i], v) * (1.0 if units.zero[i] else units.unit)
        s = carried[i] if units.zero[i] else fine[i] + carried[i] * units.unit
        j = basis.columns[i]
        s += found.evaluation * abs(found.values[j]) + _own(found, j) * found.D[j]
        for k in range(apart.columns.size):
            j = apart.columns[k]
            unit = 1.0 if units.zero[i] or not units.far[k] else units.unit
            one = found.evaluation * abs(found.values[j]) + own_apart[k] * found.D[j]
            s += abs(apart.g_hi[k, i]) * one * unit
        rho[i] = s + abs(rhs[i])
    return spread, rho


@jit_inner
def _dual_errors(A, basis, units, inverse, scale, rounding, rho):
    """|d lambda| without taking absolute values between A and lambda."""
    m = A.shape[0]
    left, product, out = np.empty((m, m)), np.empty((m, m)), np.empty(m)
    for i in range(m):  # A_B^-T C S^-1 C
        for k in range(m):
            inverse[i, k] *= (scale[i] / units.weight[i]) * (scale[k] * units.weight[k])
    multiply(basis.inverse_t, inverse, left)
    for i in range(m):
        out[i] = _absolute_dot(left[i], rho)
        for k in range(m):
            left[i, k] *= 1.0 if units.zero[k] else units.unit
    multiply(left, basis.inverse, product)
    add_absolute_sums(product, A, rounding, out)
    return out


@jit_inner
def _count(j, moved, factor, found, bounds, unresolved):
    """`bounds` with coordinate j, whose tau is right to `moved`; `factor` is its unit."""
    value, error = abs(found.values[j]), moved * found.D[j]
    evaluation = found.evaluation + (ROUNDING if factor == 1.0 else EVALUATION)
    relative = 0.0
    if value > 0.0:
        relative = evaluation + error / value
    elif found.tau[j] != 0.0:  # psi underflows in its unit
        relative = evaluation + moved * (1.0 + 1.0 / abs(found.tau[j]))
    elif moved > 0.0:  # else the column is zero: so is psi
        relative = np.inf
    relative = relative / (1.0 - relative) if relative < 1.0 else np.inf  # to the true psi
    unresolved[j] = not relative < _UNRESOLVED
    resolved = bounds.resolved if unresolved[j] else max(bounds.resolved, relative)
    absolute = max(bounds.absolute, factor * (error + evaluation * value))
    return Bounds(max(bounds.relative, relative), resolved, absolute)


@jit_inner
def _count_all(basis, apart, units, found, dtau, own_apart, moved, unresolved):
    """The `Bounds`, from the errors of tau in the basis and elsewhere (`moved` is overwritten)."""
    bounds = Bounds(ROUNDING, ROUNDING, 0.0)
    for i in range(dtau.size):
        j = basis.columns[i]
        error = dtau[i] + _own(found, j)
        factor = units.unit if units.zero[i] else 1.0
        bounds = _count(j, error, factor, found, bounds, unresolved)
        moved[j] = -1.0
    for k in range(apart.columns.size):
        j, t = apart.columns[k], own_apart[k]
        for i in range(dtau.size):
            t += abs(apart.g_hi[k, i]) * dtau[i]
        factor = units.unit if units.far[k] else 1.0
        bounds = _count(j, t, factor, found, bounds, unresolved)
        moved[j] = -1.0
    for j in range(moved.size):
        if moved[j] >= 0.0:
            bounds = _count(j, moved[j], units.unit, found, bounds, unresolved)
    return bounds


@jit_inner
def _fill_moved(A, squares, dual, noise, moved):
    """Errors of tau = A^T lambda."""
    for j in range(moved.size):
        moved[j] = noise * math.sqrt(squares[j])
    for k in range(dual.size):
        row, t = A[k], dual[k]
        for j in range(moved.size):
            moved[j] += abs(row[j]) * t


@jit_inner
def _pulled_back(basis, t, out):
    """``out = |A_B^-T| t``; whether there is any."""
    some = 0.0
    for k in range(t.size):
        out[k] = 0.0
    for i in range(t.size):
        some = max(some, t[i])
        for k in range(t.size if t[i] != 0.0 else 0):
            out[k] += abs(basis.inverse[i, k]) * t[i]
    return some != 0.0


@jit_inner
def error_bound(
    A, squares, basis, apart, units, S, scale, found, slacks, behind, rhs, unresolved
):  # fmt: skip
    """The `Bounds`; which coordinates may be zero, for all that is known, is left in the last.

    `slacks` are those of the basis, and `behind` what the path's end leaves of them to go.
    """
    m = A.shape[0]
    rounding, moved, shift = np.sqrt(squares), np.empty(squares.size), np.zeros(squares.size)
    own_apart, late, dual = np.empty(apart.columns.size), np.empty(m), np.empty(m)
    _apart_errors(basis, apart, found, squares, slacks, own_apart)
    if _pulled_back(basis, behind, late):
        _fill_moved(A, squares, late, 0.0, shift)
        for k in range(apart.columns.size):
            if units.far[k]:
                own_apart[k] += _absolute_dot(apart.g_hi[k], behind)
    spread, rho = _row_errors(
        A, rounding, basis, apart, units, found, own_apart, shift, rhs
    )  # fmt: skip
    inverse, dtau, both = np.empty((m, m)), np.empty(m), np.empty(m)
    invert_factored(S, inverse)
    for i in range(m):
        both[i] = (spread[i] + rho[i]) * scale[i] * units.weight[i]
    for i in range(m):  # |C S^-1 C| rho
        dtau[i] = _absolute_dot(inverse[i], both) * (scale[i] / units.weight[i])
    _pulled_back(basis, dtau, dual)
    for k in range(m):
        dual[k] += late[k]
    _fill_moved(A, squares, dual, found.noise, moved)
    bounds = _count_all(basis, apart, units, found, dtau, own_apart, moved, unresolved)
    if not bounds.relative > _LOOSE:
        return bounds
    sharp = _dual_errors(A, basis, units, inverse, scale, rounding, rho)
    for k in range(m):
        dual[k] = min(dual[k], sharp[k] + late[k] + _ROUNDED * dual[k])
    _fill_moved(A, squares, dual, found.noise, moved)
    for i in range(m):
        dtau[i] = min(dtau[i], moved[basis.columns[i]])
    return _count_all(basis, apart, units, found, dtau, own_apart, moved, unresolved)
