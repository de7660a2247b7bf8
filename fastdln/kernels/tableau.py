"""A basis of m columns, and the quantities of the dual in its coordinates.

With B the basis and E a few further columns treated one by one, everything the
Newton system needs is applied as

    A_B^-1 A w   = w_B + G_E w_E + A_B^-1 (A_rest w_rest),    G_E = A_B^-1 A_E,
    A^T A_B^-T t = (t, G_E^T t, A_rest^T A_B^-T t),

so that A D A^T = A_B D_B^1/2 (I + K K^T) D_B^1/2 A_B^T with K bounded when B holds the
columns of largest D. D may then span hundreds of decades, as in interior-point
methods (Wright, "Primal-dual interior-point methods", SIAM 1997, chapter 11).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit, jit_inner, jit_returning
from fastdln.kernels.compensated import matvec_dd, rmatvec_dd
from fastdln.kernels.extended import dd_add, dd_add_double
from fastdln.kernels.linear import (
    copy_to,
    invert,
    matvec,
    rmatvec,
    two_matvecs,
    two_rmatvecs,
)

__all__ = [
    "Apart",
    "Basis",
    "from_basis",
    "into_basis",
    "make_apart",
    "make_basis",
    "mark",
    "no_columns",
    "open_basis",
    "out_of_basis",
    "solve_dd",
    "to_basis",
    "two_from_basis",
    "two_to_basis",
    "vanishing_columns",
    "zero_rows",
]

_REFINEMENTS = 16  # at most; four serve for a condition of 1e8, three for a small one
_FEW = 8  # rows from which, and
_MANY = 64  # to which products by columns of the matrix are faster
_NEXT = 2.0**-110  # relative size of a refinement that would change nothing
_EXACT = 2.0**-102  # relative size of a refinement that is the last
_WRONG = 2.0**-45  # and of a last one where refining does not converge
_ZERO = 2.0**-80  # relative size below which a double-double solution is taken for zero


class Basis(NamedTuple):
    """m independent columns, with what is solved with them once and for all."""

    columns: np.ndarray  # (m,) indices into A
    matrix: np.ndarray  # A_B
    transpose: np.ndarray  # A_B^T
    inverse: np.ndarray  # A_B^-1
    inverse_t: np.ndarray  # A_B^-T
    x_hi: np.ndarray  # A_B^-1 y in double-double, exact zeros where it vanishes
    x_lo: np.ndarray


class Apart(NamedTuple):
    """Columns outside the basis that need a tableau column of their own."""

    columns: np.ndarray  # (e,)
    sign: np.ndarray  # (e,) sign of tau there
    g_hi: np.ndarray  # (e, m) rows are A_B^-1 a_j in double-double
    g_lo: np.ndarray
    cost: np.ndarray  # (e,) 1 - sign_j G_j . sgn_B, exact zeros where it vanishes


@jit_inner
def _turned(matrix, wanted):
    """The transpose, contiguous, if it is wanted."""
    m = matrix.shape[0] if wanted else 0
    out = np.empty((m, m))
    for i in range(m):
        for k in range(m):
            out[k, i] = matrix[i, k]
    return out


@jit
def solve_dd(matrix, inverse, b_hi, b_lo, x_hi, x_lo):
    """``matrix @ (x_hi + x_lo) = b_hi + b_lo`` by refinement with double-double residuals.

    NaN where the inverse is too inexact for that.
    """
    m = b_hi.size
    r_hi, r_lo = b_hi.copy(), b_lo.copy()
    step, p_hi, p_lo = np.empty(m), np.empty(m), np.empty(m)
    turn = _FEW <= m < _MANY
    turned, turned_inverse = _turned(matrix, turn), _turned(inverse, turn)
    for i in range(m):
        x_hi[i] = 0.0
        x_lo[i] = 0.0
    last = np.inf
    for k in range(_REFINEMENTS):
        if turn:
            rmatvec(turned_inverse, r_hi, step)
        else:
            matvec(inverse, r_hi, step)
        largest, move = 0.0, 0.0
        for i in range(m):
            x_hi[i], x_lo[i] = dd_add_double(x_hi[i], x_lo[i], step[i])
            largest, move = max(largest, abs(x_hi[i])), max(move, abs(step[i]))
        if k >= 3 and (move <= _EXACT * largest or not move < 0.5 * last):
            break
        if k == 2 and move * (move / last) <= _NEXT * largest:  # as it falls, the next is nothing
            break
        last = move
        if turn:
            rmatvec_dd(turned, x_hi, x_lo, p_hi, p_lo)
        else:
            matvec_dd(matrix, x_hi, x_lo, p_hi, p_lo)
        for i in range(m):
            r_hi[i], r_lo[i] = dd_add(b_hi[i], b_lo[i], -p_hi[i], -p_lo[i])
    if not move <= _WRONG * largest:
        for i in range(m):
            x_hi[i] = np.nan


@jit_inner
def _solve_clean(matrix, inverse, b, x_hi, x_lo):
    """`solve_dd`, components that vanish to double-double precision set to zero."""
    solve_dd(matrix, inverse, b, np.zeros(b.size), x_hi, x_lo)
    largest = 0.0
    for i in range(x_hi.size):
        largest = max(largest, abs(x_hi[i]))
    for i in range(x_hi.size):
        if abs(x_hi[i]) <= _ZERO * largest:
            x_hi[i] = 0.0
            x_lo[i] = 0.0


@jit_inner
def make_basis(A, y, columns):
    """The basis of the given columns."""
    m = A.shape[0]
    matrix = np.empty((m, m))
    for i in range(m):
        for k in range(m):
            matrix[i, k] = A[i, columns[k]]
    inverse = invert(matrix)
    x_hi, x_lo = np.empty(m), np.empty(m)
    _solve_clean(matrix, inverse, y, x_hi, x_lo)
    return Basis(columns, matrix, matrix.T.copy(), inverse, inverse.T.copy(), x_hi, x_lo)


@jit_inner
def no_columns(m):
    """An `Apart` without columns."""
    none = np.empty(0)
    return Apart(np.empty(0, np.int64), none, np.empty((0, m)), np.empty((0, m)), none)


@jit_returning
def open_basis(A, y, columns):
    """The basis of the given columns, and no columns apart, for callers from Python."""
    return make_basis(A, y, columns), no_columns(columns.size)


@jit_inner
def make_apart(A, basis, sgn, columns, tau):
    """Tableau columns and reduced costs for `columns`, whose tau are given for the signs."""
    m = sgn.size
    count = columns.size
    sign, cost = np.empty(count), np.empty(count)
    g_hi, g_lo = np.empty((count, m)), np.empty((count, m))
    column = np.empty(m)
    for k in range(count):
        for i in range(m):
            column[i] = A[i, columns[k]]
        _solve_clean(basis.matrix, basis.inverse, column, g_hi[k], g_lo[k])
        sign[k] = 1.0 if tau[columns[k]] >= 0.0 else -1.0
        hi, lo, size = 1.0, 0.0, 1.0
        for i in range(m):
            t = -sign[k] * sgn[i]
            hi, lo = dd_add(hi, lo, t * g_hi[k, i], t * g_lo[k, i])
            size += abs(g_hi[k, i])
        cost[k] = 0.0 if abs(hi) <= _ZERO * size else hi
    return Apart(columns, sign, g_hi, g_lo, cost)


@jit_inner
def mark(N, basis, apart):
    """Which of the N columns belong to the basis or stand apart."""
    marked = np.zeros(N, np.bool_)
    for j in basis.columns:
        marked[j] = True
    for j in apart.columns:
        marked[j] = True
    return marked


@jit_inner
def vanishing_columns(p_is_2, apart):
    """Columns apart with a reduced cost: near the boundary, but psi vanishes with eps there.

    (For p = 2 columns stand apart only by the size of psi.)
    """
    far = np.empty(apart.columns.size, np.bool_)
    for k in range(far.size):
        far[k] = not p_is_2 and apart.cost[k] != 0.0
    return far


@jit_inner
def zero_rows(basis, apart, far):
    """Rows in which x and the columns apart (but `far`) vanish exactly: so does psi, with eps."""
    zero = np.empty(basis.x_hi.size, np.bool_)
    for i in range(zero.size):
        zero[i] = basis.x_hi[i] == 0.0
        for k in range(apart.columns.size):
            if not far[k] and apart.g_hi[k, i] != 0.0:
                zero[i] = False
    return zero


@jit_inner
def _outside(basis, apart, w, rest):
    """w without the basis and the columns apart."""
    copy_to(w, rest)
    for j in basis.columns:
        rest[j] = 0.0
    for j in apart.columns:
        rest[j] = 0.0


@jit_inner
def _add_inside(basis, apart, w, out):
    for i in range(out.size):
        out[i] += w[basis.columns[i]]
    for k in range(apart.columns.size):
        t = w[apart.columns[k]]
        for i in range(out.size):
            out[i] += apart.g_hi[k, i] * t


@jit_inner
def into_basis(A, basis, apart, w, rest, v, out):
    """``out = A_B^-1 A w``, with `rest` (N) and v (m) as work space."""
    _outside(basis, apart, w, rest)
    matvec(A, rest, v)
    matvec(basis.inverse, v, out)
    _add_inside(basis, apart, w, out)


@jit_inner
def to_basis(A, basis, apart, w, rest, out):
    """``out = A_B^-1 A w``, with `rest` (N) as work space."""
    into_basis(A, basis, apart, w, rest, np.empty(out.size), out)


@jit_inner
def two_to_basis(A, basis, apart, w, z, rest, other, out, out_z):
    """`to_basis` of w and z at once; `rest` and `other` are work space."""
    v, v_z = np.empty(out.size), np.empty(out.size)
    _outside(basis, apart, w, rest)
    _outside(basis, apart, z, other)
    two_matvecs(A, rest, other, v, v_z)
    matvec(basis.inverse, v, out)
    matvec(basis.inverse, v_z, out_z)
    _add_inside(basis, apart, w, out)
    _add_inside(basis, apart, z, out_z)


@jit_inner
def _set_inside(basis, apart, t, out):
    for i in range(t.size):
        out[basis.columns[i]] = t[i]
    for k in range(apart.columns.size):
        s = 0.0
        for i in range(t.size):
            s += apart.g_hi[k, i] * t[i]
        out[apart.columns[k]] = s


@jit_inner
def out_of_basis(A, basis, apart, t, dual, out):
    """``out = A^T A_B^-T t``, exact on B and by G on E, with `dual` (m) as work space."""
    rmatvec(basis.inverse, t, dual)
    rmatvec(A, dual, out)
    _set_inside(basis, apart, t, out)


@jit_inner
def from_basis(A, basis, apart, t, out):
    """``out = A^T A_B^-T t``, exact on B and by G on E."""
    out_of_basis(A, basis, apart, t, np.empty(t.size), out)


@jit_inner
def two_from_basis(A, basis, apart, t, u, out, out_u):
    """`from_basis` of t and u at once."""
    dual, dual_u = np.empty(t.size), np.empty(t.size)
    two_rmatvecs(basis.inverse, t, u, dual, dual_u)
    two_rmatvecs(A, dual, dual_u, out, out_u)
    _set_inside(basis, apart, t, out)
    _set_inside(basis, apart, u, out_u)
