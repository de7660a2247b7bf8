"""The path of LASSO solutions, from the largest useful penalty down: basis pursuit at its end.

For a penalty t the minimiser of 1/2 ||A x - y||^2 + t ||x||_1 has a_j . r = t sign(x_j) on its
support and |a_j . r| <= t elsewhere, r = y - A x. It is piecewise linear in t: with
d = (A_S^T A_S)^-1 sign_S and u = A_S d, lowering t by g moves x_S by g d and r by -g u, until
a column joins or a coordinate vanishes (Osborne, Presnell and Turlach, "A new approach to
variable selection in least squares problems", IMA J. Numer. Anal. 20, 2000). Where nothing
happens before t = 0, A x = y there, and u is a dual certificate, if not a strict one: columns
whose coordinate vanishes just then have |a_j . u| = 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner
from fastdln.kernels.compensated import matvec_dd, rmatvec_dd
from fastdln.kernels.extended import dd_add, dd_add_double
from fastdln.kernels.linear import copy_to, dot_rows, matvec, rmatvec

__all__ = [
    "END",
    "FAILED",
    "STEP",
    "Support",
    "direction",
    "exchange",
    "next_event",
    "open_path",
    "solve_active",
    "solve_dual",
]

END, STEP, FAILED = 0, 1, 2

_DEPENDENT = 1e-9  # squared sine of the angle to the active columns below which one is refused
_AT_END = 1.0 - 1e-6  # products end in proportion to t: an event so near t = 0 is rounding


class Support(NamedTuple):
    """Where the path stands, with room for m active columns; the first k count."""

    store: np.ndarray  # (m, m): the active columns, as rows
    active: np.ndarray  # (m,): their numbers
    sign: np.ndarray  # (m,)
    x: np.ndarray  # (m,)
    R: np.ndarray  # (m, m): their factor, see `_solve_transposed`


@jit_inner
def _solve_transposed(R, k, z):
    """Overwrite z[:k] by R^-T z, R upper triangular, stored by columns as rows: R[j, i], i <= j."""
    for j in range(k):
        row, s = R[j], z[j]
        for i in range(j):
            s -= row[i] * z[i]
        z[j] = s / row[j]


@jit_inner
def _solve_upper(R, k, z):
    """Overwrite z[:k] by R^-1 z."""
    for j in range(k - 1, -1, -1):
        row = R[j]
        z[j] /= row[j]
        t = z[j]
        for i in range(j):
            z[i] -= row[i] * t


@jit_inner
def _join(columns, store, k, j, R, z):
    """Append column j to the active ones and their factor; False if it depends on them."""
    copy_to(columns[j], store[k])
    for i in range(k):
        z[i] = dot_rows(store, i, store, k)
    _solve_transposed(R, k, z)
    size = dot_rows(store, k, store, k)
    left = size
    for i in range(k):
        left -= z[i] * z[i]
        R[k, i] = z[i]
    if not left > _DEPENDENT * size:
        return False
    R[k, k] = math.sqrt(left)
    return True


@jit_inner
def _leave(store, active, sign, x, k, i, R):
    """Take entry i out of the active set, by Givens rotations of the factor."""
    for j in range(i, k - 1):
        active[j], sign[j], x[j] = active[j + 1], sign[j + 1], x[j + 1]
        copy_to(store[j + 1], store[j])
        for r in range(j + 2):
            R[j, r] = R[j + 1, r]
    for j in range(i, k - 1):  # column j now ends one below the diagonal, in R[j, j + 1]
        a, b = R[j, j], R[j, j + 1]
        h = math.hypot(a, b)
        c, s = a / h, b / h
        R[j, j] = h
        for later in range(j + 1, k - 1):
            p, q = R[later, j], R[later, j + 1]
            R[later, j] = c * p + s * q
            R[later, j + 1] = c * q - s * p


@jit_inner
def _next_join(c, slope, inside, t, barred, barred_sign):
    """The smallest decrease of t at which a column reaches it: (decrease, column, sign)."""
    best, column, side = t, -1, 0.0
    for j in range(c.size):
        if inside[j]:
            continue
        up, down = 1.0 - slope[j], 1.0 + slope[j]
        if up > 1e-13 and not (j == barred and barred_sign > 0.0):
            g = (t - c[j]) / up
            if g < best:
                best, column, side = g, j, 1.0
        if down > 1e-13 and not (j == barred and barred_sign < 0.0):
            g = (t + c[j]) / down
            if g < best:
                best, column, side = g, j, -1.0
    return max(best, 0.0), column, side


@jit
def open_path(columns, store, active, sign, x, R, c, inside):
    """The first column: that of the largest product. Returns how many are active, 1 or 0."""
    j, z = 0, np.empty(1)
    for i in range(c.size):
        if abs(c[i]) > abs(c[j]):
            j = i
    if not _join(columns, store, 0, j, R, z):
        return 0
    active[0], sign[0], x[0], inside[j] = j, math.copysign(1.0, c[j]), 0.0, True
    return 1


@jit
def direction(store, sign, k, R, d, u):
    """``d = (A_S^T A_S)^-1 sign`` and ``u = A_S d``."""
    for i in range(k):
        d[i] = sign[i]
    _solve_transposed(R, k, d)
    _solve_upper(R, k, d)
    for row in range(u.size):
        u[row] = 0.0
    for i in range(k):
        column, t = store[i], d[i]
        for row in range(column.size):
            u[row] += t * column[row]


@jit
def next_event(columns, on, k, t, c, inside, r, d, u, slope, barred, barred_sign):
    """Go to the next event of the path over `columns`, (w, m), given d, u and slope = columns u.

    The state is overwritten: k, the support `on`, the products c = columns r and the residual
    r. `barred` is the column that left last:
    it does not come back at once. Returns (code, k, t, barred, barred_sign). At ``END`` nothing
    happens between t and 0, and nothing is changed.
    """
    store, active, sign, x, R = on
    g, joining, side = _next_join(c, slope, inside, t, barred, barred_sign)
    leaving = -1
    for i in range(k):
        if d[i] * sign[i] < 0.0 and -x[i] / d[i] < g:
            g, leaving = max(-x[i] / d[i], 0.0), i
    if g > _AT_END * t:
        return END, k, t, -1, 0.0
    for i in range(k):
        x[i] += g * d[i]
    for row in range(r.size):
        r[row] -= g * u[row]
    for j in range(c.size):
        c[j] -= g * slope[j]
    t -= g
    if leaving >= 0:
        barred, barred_sign = active[leaving], sign[leaving]
        inside[barred] = False
        _leave(store, active, sign, x, k, leaving, R)
        return STEP if k > 1 else FAILED, k - 1, t, barred, barred_sign
    if k == r.size or not _join(columns, store, k, joining, R, d):
        return FAILED, k, t, -1, 0.0
    active[k], sign[k], x[k], inside[joining] = joining, side, 0.0, True
    return STEP, k + 1, t, -1, 0.0


@jit
def solve_active(A_on, y, R, x_hi, x_lo, left):
    """The least-squares solution of ``A_on x = y`` in double-double, ``left = y - A_on x``.

    R is the factor of A_on^T A_on. Returns whether the refinement converged.
    """
    m, k = A_on.shape
    hi, lo, step = np.empty(m), np.empty(m), np.empty(k)
    for i in range(k):
        x_hi[i], x_lo[i] = 0.0, 0.0
    last = np.inf
    for _ in range(30):
        matvec_dd(A_on, x_hi, x_lo, hi, lo)
        for row in range(m):
            left[row], _ = dd_add(y[row], 0.0, -hi[row], -lo[row])
        rmatvec(A_on, left, step)
        _solve_transposed(R, k, step)
        _solve_upper(R, k, step)
        size, change = 0.0, 0.0
        for i in range(k):
            size, change = max(size, abs(x_hi[i])), max(change, abs(step[i]))
        if change == 0.0 or not change < 0.5 * last:  # as near as double-double gets
            return change <= 2.0**-90 * size
        last = change
        for i in range(k):
            x_hi[i], x_lo[i] = dd_add_double(x_hi[i], x_lo[i], step[i])
    return False


@jit
def solve_dual(A_on, target, R, dual):
    """Refine ``A_on^T dual = target`` from a near dual, or from 0; returns the largest residual."""
    m, k = A_on.shape
    w_hi, w_lo, step = np.empty(k), np.empty(k), np.empty(k)
    shift, none = np.empty(m), np.zeros(m)
    wrong, last = 0.0, np.inf
    for _ in range(8):
        rmatvec_dd(A_on, dual, none, w_hi, w_lo)
        wrong = 0.0
        for i in range(k):
            step[i] = (target[i] - w_hi[i]) - w_lo[i]
            wrong = max(wrong, abs(step[i]))
        if wrong <= 2e-16 or not wrong < 0.5 * last:
            break
        last = wrong
        _solve_transposed(R, k, step)
        _solve_upper(R, k, step)
        matvec(A_on, step, shift)
        for row in range(m):
            dual[row] += shift[row]
    return wrong


@jit
def exchange(columns, store, active, sign, x, R, k, c, inside, d):
    """At k = m active columns, let the one of largest product c in, and one of them out.

    It is a combination of the active ones, a = sum alpha_i a_i. Its coefficient grows from 0 in
    the sign of c, at the expense of the others; the first to vanish leaves. ``END`` if none
    does: then a and the active columns have a combination 0 with these signs, whose weights,
    that of a first 1, are in d[:k], and t cannot be lowered. Returns (code, column).
    """
    joining = -1
    for j in range(c.size):
        if not inside[j] and (joining < 0 or abs(c[j]) > abs(c[joining])):
            joining = j
    if joining < 0:
        return FAILED, joining
    side, new = math.copysign(1.0, c[joining]), columns[joining]
    for i in range(k):
        s = 0.0
        for row in range(new.size):
            s += store[i, row] * new[row]
        d[i] = s
    _solve_transposed(R, k, d)
    _solve_upper(R, k, d)
    largest, least, leaving = 0.0, np.inf, -1
    for i in range(k):
        largest = max(largest, abs(d[i]))
    for i in range(k):
        d[i] *= -side * sign[i]  # now the weight of column i; falls where negative
        if d[i] < -1e-11 * largest:
            length = max(x[i] * sign[i], 0.0) / -d[i]
            if length < least:
                least, leaving = length, i
    if leaving < 0:
        return END, joining
    for i in range(k):
        x[i] += least * d[i] * sign[i]
    inside[active[leaving]] = False
    _leave(store, active, sign, x, k, leaving, R)
    if not _join(columns, store, k - 1, joining, R, d):
        return FAILED, joining
    active[k - 1], sign[k - 1], x[k - 1], inside[joining] = joining, side, side * least, True
    return STEP, joining
