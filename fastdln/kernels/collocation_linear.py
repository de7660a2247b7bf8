"""The linear algebra of collocation: (I + T (x) K) x = b for one s x s matrix T.

K is symmetric and positive semidefinite, m x m. Householder reflections bring it to
tridiagonal form once; then the system is block tridiagonal with s x s blocks, whatever T is: a
change of stride costs m blocks, not a new factorisation of K.
"""

from __future__ import annotations

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import stay_apart

__all__ = [
    "factor_blocks",
    "invert_small",
    "solve_blocks",
    "solve_shifted",
]


@jit_inner
def _reflect(K, tau, b, forward):
    """``b = Q.T b`` (forward) or ``b = Q b``, b a vector."""
    stay_apart()
    m = b.size
    for i in range(m - 2):
        k = i if forward else m - 3 - i
        if tau[k] != 0.0:
            v, c = K[k, k + 1 :], b[k + 1 :]
            s = 0.0
            for j in range(v.size):
                s += v[j] * c[j]
            s *= tau[k]
            for j in range(v.size):
                c[j] -= s * v[j]


@jit_inner
def invert_small(M, out):
    """``out = M^-1`` by Gauss-Jordan with partial pivoting; M is overwritten."""
    stay_apart()
    n = M.shape[0]
    for i in range(n):
        for j in range(n):
            out[i, j] = 1.0 if i == j else 0.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(M[i, k]) > abs(M[pivot, k]):
                pivot = i
        if pivot != k:
            for j in range(n):
                M[k, j], M[pivot, j] = M[pivot, j], M[k, j]
                out[k, j], out[pivot, j] = out[pivot, j], out[k, j]
        lead = 1.0 / M[k, k]
        for j in range(n):
            M[k, j] *= lead
            out[k, j] *= lead
        for i in range(n):
            f = M[i, k]
            if i != k and f != 0.0:
                for j in range(n):
                    M[i, j] -= f * M[k, j]
                    out[i, j] -= f * out[k, j]


@jit_inner
def factor_blocks(T, diagonal, side, inverse, carry):
    """Block elimination of ``I + T (x) tridiagonal``; ``carry = T inverse``, (m, s, s) each."""
    stay_apart()
    m, s = diagonal.size, T.shape[0]
    block = np.empty((s, s))
    for k in range(m):
        for i in range(s):
            for j in range(s):
                block[i, j] = (1.0 if i == j else 0.0) + diagonal[k] * T[i, j]
        if k > 0:
            square, before = side[k - 1] * side[k - 1], carry[k - 1]
            for i in range(s):
                for j in range(s):
                    x = 0.0
                    for q in range(s):
                        x += T[i, q] * before[q, j]
                    block[i, j] -= square * x
        invert_small(block, inverse[k])
        for i in range(s):
            for j in range(s):
                x = 0.0
                for q in range(s):
                    x += T[i, q] * inverse[k, q, j]
                carry[k, i, j] = x


@jit_inner
def solve_blocks(K, tau, side, T, inverse, carry, b):
    """Overwrite b (s, m) by the solution of ``(I + T (x) K) x = b``."""
    stay_apart()
    s, m = b.shape
    z, t = np.empty((m, s)), np.empty(s)
    for i in range(s):
        _reflect(K, tau, b[i], True)
    for k in range(m):
        for i in range(s):
            x = b[i, k]
            if k > 0:
                for j in range(s):
                    x -= side[k - 1] * carry[k - 1, i, j] * z[k - 1, j]
            z[k, i] = x
    for k in range(m - 1, -1, -1):
        for i in range(s):
            x = z[k, i]
            if k < m - 1:
                for j in range(s):
                    x -= side[k] * T[i, j] * z[k + 1, j]
            t[i] = x
        for i in range(s):
            x = 0.0
            for j in range(s):
                x += inverse[k, i, j] * t[j]
            z[k, i] = x
    for i in range(s):
        for k in range(m):
            b[i, k] = z[k, i]
        _reflect(K, tau, b[i], False)


@jit_inner
def solve_shifted(K, tau, diagonal, side, h, b):
    """Overwrite b (m,) by the solution of ``(I + h K) x = b``."""
    stay_apart()
    m = b.size
    pivot = np.empty(m)
    _reflect(K, tau, b, True)
    for k in range(m):
        pivot[k] = 1.0 + h * diagonal[k]
        if k > 0:
            f = h * side[k - 1] / pivot[k - 1]
            pivot[k] -= f * h * side[k - 1]
            b[k] -= f * b[k - 1]
    for k in range(m - 1, -1, -1):
        if k < m - 1:
            b[k] -= h * side[k] * b[k + 1]
        b[k] /= pivot[k]
    _reflect(K, tau, b, False)
