"""Products A x and A^T w in twice the working precision.

Dot2 of Ogita, Rump and Oishi ("Accurate sum and dot product", SIAM J. Sci. Comput.
26, 2005): the result is as if computed in double-double and returned as a pair.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit
from fastdln.kernels.extended import dd_add, fast_two_sum, two_product, two_sum
from fastdln.kernels.intrinsics import fma, use_wide_vectors

__all__ = ["matvec_dd", "rmatvec_dd"]

_LANES = 16  # independent sums


@jit
def matvec_dd(A, xhi, xlo, ohi, olo):
    """``ohi + olo = A @ (xhi + xlo)``, 16 partial sums a row."""
    use_wide_vectors()
    m, N = A.shape
    s = np.empty(_LANES)
    c = np.empty(_LANES)
    whole = N - N % _LANES
    for i in range(m):
        row = A[i]
        for k in range(_LANES):
            s[k] = 0.0
            c[k] = 0.0
        for j in range(0, whole, _LANES):
            a, b_hi, b_lo = row[j : j + _LANES], xhi[j : j + _LANES], xlo[j : j + _LANES]
            for k in range(_LANES):
                p, e = two_product(a[k], b_hi[k])
                s[k], f = two_sum(s[k], p)
                c[k] += fma(a[k], b_lo[k], e + f)
        hi, lo = 0.0, 0.0
        for j in range(whole, N):
            p, e = two_product(row[j], xhi[j])
            hi, f = two_sum(hi, p)
            lo += fma(row[j], xlo[j], e + f)
        hi, lo = fast_two_sum(hi, lo)
        for k in range(_LANES if whole > 0 else 0):
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
