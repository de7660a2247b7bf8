"""Products with a matrix in compressed columns, in twice the working precision.

Dot2 of Ogita, Rump and Oishi ("Accurate sum and dot product", SIAM J. Sci. Comput.
26, 2005), as in `compensated`.
"""

from __future__ import annotations

from fastdln._jit import jit
from fastdln.kernels.extended import fast_two_sum, two_product, two_sum
from fastdln.kernels.intrinsics import fma

__all__ = ["matvec_dd_columns", "rmatvec_dd_columns"]


@jit
def matvec_dd_columns(start, row, value, x, hi, lo):
    """``hi + lo = A @ x`` (both zero at first); column j holds entries start[j]:start[j+1]."""
    for j in range(x.size):
        xj = x[j]
        if xj == 0.0:
            continue
        rows, values = row[start[j] : start[j + 1]], value[start[j] : start[j + 1]]
        for k in range(rows.size):
            i = rows[k]
            p, e = two_product(values[k], xj)
            hi[i], f = two_sum(hi[i], p)
            lo[i] += e + f
    for i in range(hi.size):
        hi[i], lo[i] = fast_two_sum(hi[i], lo[i])


@jit
def rmatvec_dd_columns(start, row, value, w_hi, w_lo, out_hi, out_lo):
    """``out_hi + out_lo = A.T @ (w_hi + w_lo)``."""
    for j in range(out_hi.size):
        rows, values = row[start[j] : start[j + 1]], value[start[j] : start[j + 1]]
        hi, lo = 0.0, 0.0
        for k in range(rows.size):
            p, e = two_product(values[k], w_hi[rows[k]])
            hi, f = two_sum(hi, p)
            lo += fma(values[k], w_lo[rows[k]], e + f)
        out_hi[j], out_lo[j] = fast_two_sum(hi, lo)
