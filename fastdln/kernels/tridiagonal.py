"""Householder's reduction of a symmetric matrix to tridiagonal form."""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import fma, stay_apart, use_wide_vectors

__all__ = ["tridiagonalise"]


@jit_inner
def tridiagonalise(K, diagonal, side, tau):
    """``K = Q T Q.T``: T in diagonal and side, the reflections in the rows of K and tau."""
    stay_apart()
    use_wide_vectors()
    m = K.shape[0]
    space = np.empty(m)
    for k in range(m - 1):
        x, rest = K[k, k + 1 :], K[k + 1 :, k + 1 :]
        n = x.size
        p = space[:n]
        big, norm = 0.0, 0.0
        for j in range(n):
            big = max(big, abs(x[j]))
        if big > 0.0:
            for j in range(n):
                norm += (x[j] / big) ** 2
            norm = big * np.sqrt(norm)
        diagonal[k] = K[k, k]
        if n == 1 or norm == 0.0:
            side[k], tau[k] = x[0], 0.0
            continue
        alpha = -norm if x[0] > 0.0 else norm
        lead = x[0] - alpha
        side[k], tau[k] = alpha, -lead / alpha
        for j in range(1, n):
            x[j] /= lead
        x[0] = 1.0
        t, dot = tau[k], 0.0
        for j in range(n):
            p[j] = 0.0
        for i in range(n):
            row, c = rest[i], t * x[i]
            for j in range(n):
                p[j] = fma(c, row[j], p[j])
        for j in range(n):
            dot += p[j] * x[j]
        half = 0.5 * t * dot
        for i in range(n):
            p[i] -= half * x[i]
        for i in range(n):
            row, a, b = rest[i], x[i], p[i]
            for j in range(n):
                row[j] = fma(-a, p[j], fma(-b, x[j], row[j]))
    diagonal[m - 1] = K[m - 1, m - 1]
