"""Vectors of length m in basis coordinates, in double-double (see `polish`)."""

from __future__ import annotations

from fastdln._jit import jit
from fastdln.kernels.extended import dd_add, two_sum
from fastdln.kernels.tableau import solve_dd

__all__ = ["add_to_sum", "basis_tau", "clean_solve", "row_balance", "shift_slacks"]

_ZERO = 2.0**-80  # as in `tableau`


@jit
def add_to_sum(hi, lo, more_hi, more_lo):
    """``(hi, lo) += (more_hi, more_lo)``."""
    for i in range(hi.size):
        hi[i], lo[i] = dd_add(hi[i], lo[i], more_hi[i], more_lo[i])


@jit
def basis_tau(top, top_lo, sgn, s_hi, s_lo, t_hi, t_lo):
    """tau_B = sgn (top - s)."""
    for i in range(sgn.size):
        hi, lo = two_sum(top, -s_hi[i])
        hi, lo = two_sum(hi, lo + (top_lo - s_lo[i]))
        t_hi[i], t_lo[i] = sgn[i] * hi, sgn[i] * lo


@jit
def clean_solve(matrix, inverse, b_hi, b_lo, x_hi, x_lo):
    """`solve_dd`, components that vanish to double-double precision set to zero."""
    solve_dd(matrix, inverse, b_hi, b_lo, x_hi, x_lo)
    largest = 0.0
    for i in range(x_hi.size):
        largest = max(largest, abs(x_hi[i]))
    for i in range(x_hi.size):
        if abs(x_hi[i]) <= _ZERO * largest:
            x_hi[i], x_lo[i] = 0.0, 0.0


@jit
def row_balance(x_hi, x_lo, psi, w_hi, w_lo, out):
    """x - psi_B - w, rounded to double at the end."""
    for i in range(out.size):
        hi, lo = dd_add(x_hi[i], x_lo[i], -psi[i], 0.0)
        hi, lo = dd_add(hi, lo, -w_hi[i], -w_lo[i])
        out[i] = hi + lo


@jit
def shift_slacks(s_hi, s_lo, shift):
    """s -= shift."""
    for i in range(s_hi.size):
        hi, lo = two_sum(s_hi[i], -shift[i])
        s_hi[i], s_lo[i] = two_sum(hi, lo + s_lo[i])
