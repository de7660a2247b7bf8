"""Products A x and A^T w in twice the working precision.

Dot2 of Ogita, Rump and Oishi ("Accurate sum and dot product", SIAM J. Sci. Comput.
26, 2005): the result is as if computed in double-double and returned as a pair.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit
from fastdln.kernels.descent_lanes import LANES, dot_dd
from fastdln.kernels.extended import dd_add, fast_two_sum, two_product, two_sum
from fastdln.kernels.intrinsics import fma

__all__ = ["matvec_dd", "rmatvec_dd"]


@jit
def matvec_dd(A, xhi, xlo, ohi, olo):
    """``ohi + olo = A @ (xhi + xlo)``, 16 partial sums a row; rows and x contiguous."""
    m, N = A.shape
    s, c = np.empty(LANES), np.empty(LANES)
    whole = N - N % LANES
    for i in range(m):
        row = A[i]
        dot_dd(row, xhi, xlo, s, c, whole)
        hi, lo = 0.0, 0.0
        for j in range(whole, N):
            p, e = two_product(row[j], xhi[j])
            hi, f = two_sum(hi, p)
            lo += fma(row[j], xlo[j], e + f)
        hi, lo = fast_two_sum(hi, lo)
        for k in range(LANES if whole > 0 else 0):
            p, e = fast_two_sum(s[k], c[k])
            hi, lo = dd_add(hi, lo, p, e)
        ohi[i] = hi
        olo[i] = lo


@jit
def rmatvec_dd(A, whi, wlo, ohi, olo):
    """``ohi + olo = A.T @ (whi + wlo)``, one row of A after another."""
    m, N = A.shape
    for j in range(N):
        ohi[j] = 0.0
        olo[j] = 0.0
    for i in range(m):
        row = A[i]
        wh, wl = whi[i], wlo[i]
        for j in range(N):
            p, e = two_product(row[j], wh)
            t, f = two_sum(ohi[j], p)
            ohi[j] = t
            olo[j] += fma(row[j], wl, e + f)
    for j in range(N):
        ohi[j], olo[j] = fast_two_sum(ohi[j], olo[j])
