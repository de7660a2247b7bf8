"""Newton's matrix of a collocation step, taken apart into its modes.

In the stages' increments of lambda the matrix is I + H T (x) K, with T = D^-1 of Radau's nodes and
K = A diag(c d psi / d tau) A^T at one stage. The eigenvectors of T make of it one real system and
pairs of complex ones, I + H mu K, all in one tridiagonal form of K (`tridiagonal`). A
change of H costs new pivots only.

Coordinates whose slope cannot matter are left out of K: n active ones remain. Where n < m the
small matrix G = sqrt(d) A_S^T A_S sqrt(d) takes the place of K,

    (I + z K)^-1 = I - z A_S sqrt(d) (I + z G)^-1 sqrt(d) A_S^T.

Vectors are (m, 8): column 0 the real mode, 1 and 2 real and imaginary part of the
first pair, and so on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import fma, stay_apart, use_wide_vectors
from fastdln.kernels.lanes import LANES, dots
from fastdln.kernels.tridiagonal import tridiagonalise

__all__ = ["Newton", "factor", "new_newton", "set_stride", "solve_modes"]


class Newton(NamedTuple):
    """K at one point, in tridiagonal form, and space for it."""

    active: np.ndarray  # (N,) the n active coordinates come first
    size: np.ndarray  # (2,) n, and the rows of the matrix: n or m
    rows: np.ndarray  # (N, m): A_S^T
    columns: np.ndarray  # (m, N): A_S
    root: np.ndarray  # (N,): square root of the slopes
    matrix: np.ndarray  # (m, m): reflections
    diagonal: np.ndarray
    side: np.ndarray
    tau: np.ndarray
    pivot: np.ndarray  # (modes, 2, m): inverse pivots of I + H mu K
    small: np.ndarray  # (m, 8)


@jit_inner
def new_newton(m, N, modes):
    """Space, nothing in it."""
    return Newton(
        np.empty(N, np.int64), np.zeros(2, np.int64), np.empty((N, m)), np.empty((m, N)),
        np.empty(N), np.empty((m, m)), np.empty(m), np.zeros(m), np.zeros(m),
        np.empty((modes, 2, m)), np.empty((m, LANES)),
    )  # fmt: skip


@jit_inner
def _add_rows(rows, x, first, out):
    """``out += sum_k x_k rows[first + k]``, eight of them."""
    use_wide_vectors()
    a0, a1, a2, a3 = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
    a4, a5, a6, a7 = rows[first + 4], rows[first + 5], rows[first + 6], rows[first + 7]
    x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
    for j in range(out.size):
        s = fma(x0, a0[j], fma(x1, a1[j], fma(x2, a2[j], x3 * a3[j])))
        t = fma(x4, a4[j], fma(x5, a5[j], fma(x6, a6[j], x7 * a7[j])))
        out[j] += s + t


@jit_inner
def _gram(left, right, n, out):
    """``out = left[:, :n] @ right[:n]``, which is symmetric."""
    stay_apart()
    m, whole = out.shape[0], n - n % 8
    for i in range(m):
        start = i - i % 8
        o, x, side = out[i, start:], left[i], right[:, start:]
        for j in range(o.size):
            o[j] = 0.0
        for k in range(0, whole, 8):
            _add_rows(side, x[k:], k, o)
        for k in range(whole, n):
            a, c = side[k], x[k]
            for j in range(o.size):
                o[j] += c * a[j]
    for i in range(m):
        for j in range(i):
            out[i, j] = out[j, i]


@jit_inner
def factor(columns, squares, slope, stages, stage, least, newton):
    """K of the slopes at one stage; coordinates count whose part of it reaches `least` at any."""
    stay_apart()
    N, m = columns.shape
    n = 0
    for j in range(N):
        d, most = slope[j], 0.0
        for q in range(stages):
            most = d[q] if d[q] > most else most
        if most * squares[j] >= least:
            newton.active[n] = j
            newton.root[n] = np.sqrt(d[stage])
            n += 1
    size = min(n, m)
    newton.size[0], newton.size[1] = n, size
    for k in range(n):
        source, target = columns[newton.active[k]], newton.rows[k]
        for i in range(m):
            target[i] = newton.root[k] * source[i]
    for i in range(m):
        row = newton.columns[i]
        for k in range(n):
            row[k] = newton.rows[k, i]
    G = newton.matrix[:size, :size]
    if n < m:
        _gram(newton.rows[:n], newton.columns[:, :n], m, G)
    elif n > 0:
        _gram(newton.columns, newton.rows, n, G)
    if size > 0:
        tridiagonalise(G, newton.diagonal, newton.side, newton.tau)


@jit_inner
def _reflect(K, tau, Z, forward):
    """``Z = Q.T Z`` (forward) or ``Q Z``, Z (n, 8)."""
    stay_apart()
    use_wide_vectors()
    n, t = K.shape[0], np.empty(LANES)
    for i in range(n - 2):
        k = i if forward else n - 3 - i
        if tau[k] == 0.0:
            continue
        v, W = K[k, k + 1 :], Z[k + 1 :]
        for q in range(LANES):
            t[q] = 0.0
        for j in range(v.size):
            a = v[j]
            for q in range(LANES):
                t[q] = fma(a, W[j, q], t[q])
        c = -tau[k]
        for q in range(LANES):
            t[q] *= c
        for j in range(v.size):
            a = v[j]
            for q in range(LANES):
                W[j, q] = fma(a, t[q], W[j, q])


@jit_inner
def set_stride(mu, cH, newton):
    """Inverse pivots of I + cH mu K for every mode."""
    stay_apart()
    diagonal, side = newton.diagonal, newton.side
    for mode in range(mu.shape[1]):
        a, b, re, im = cH * mu[0, mode], cH * mu[1, mode], 0.0, 0.0
        for k in range(newton.size[1]):
            x, y = 1.0 + a * diagonal[k], b * diagonal[k]
            if k > 0:
                c, d = a * side[k - 1], b * side[k - 1]
                e, f = c * re - d * im, c * im + d * re
                x -= c * e - d * f
                y -= c * f + d * e
            if abs(x) >= abs(y):  # (Smith): no square overflows
                ratio = y / x
                scale = 1.0 / (x + y * ratio)
                re, im = scale, -ratio * scale
            else:
                ratio = x / y
                scale = 1.0 / (y + x * ratio)
                re, im = ratio * scale, -scale
            newton.pivot[mode, 0, k], newton.pivot[mode, 1, k] = re, im


@jit_inner
def _solve_real(a, side, pivot, n, Z):
    for k in range(1, n):
        Z[k, 0] -= a * side[k - 1] * (pivot[0, k - 1] * Z[k - 1, 0])
    for k in range(n - 1, -1, -1):
        x = Z[k, 0]
        if k < n - 1:
            x -= a * side[k] * Z[k + 1, 0]
        Z[k, 0] = x * pivot[0, k]


@jit_inner
def _solve_pair(a, b, side, pivot, n, Z, r):
    """The complex system of columns r and r + 1."""
    for k in range(1, n):
        x, y = side[k - 1] * Z[k - 1, r], side[k - 1] * Z[k - 1, r + 1]
        x, y = a * x - b * y, a * y + b * x
        c, d = pivot[0, k - 1], pivot[1, k - 1]
        Z[k, r] -= x * c - y * d
        Z[k, r + 1] -= x * d + y * c
    for k in range(n - 1, -1, -1):
        x, y = Z[k, r], Z[k, r + 1]
        if k < n - 1:
            c, d = side[k] * Z[k + 1, r], side[k] * Z[k + 1, r + 1]
            x -= a * c - b * d
            y -= a * d + b * c
        c, d = pivot[0, k], pivot[1, k]
        Z[k, r], Z[k, r + 1] = x * c - y * d, x * d + y * c


@jit_inner
def _solve_tridiagonal(mu, cH, newton, modes, Z):
    stay_apart()
    n, side = newton.size[1], newton.side
    _solve_real(cH * mu[0, 0], side, newton.pivot[0], n, Z)
    for mode in range(1, modes):
        a, b = cH * mu[0, mode], cH * mu[1, mode]
        _solve_pair(a, b, side, newton.pivot[mode], n, Z, 2 * mode - 1)


@jit_inner
def solve_modes(mu, cH, newton, modes, Z):
    """Overwrite the first modes of Z (m, 8) by the solution of ``(I + cH mu K) X = Z``."""
    stay_apart()
    n, size = newton.size[0], newton.size[1]
    if n == 0:
        return
    G, m = newton.matrix[:size, :size], Z.shape[0]
    if n >= m:
        _reflect(G, newton.tau, Z, True)
        _solve_tridiagonal(mu, cH, newton, modes, Z)
        _reflect(G, newton.tau, Z, False)
        return
    z, change = newton.small, np.empty((m, LANES))
    dots(newton.rows, n, Z, m, z)
    _reflect(G, newton.tau, z, True)
    _solve_tridiagonal(mu, cH, newton, modes, z)
    _reflect(G, newton.tau, z, False)
    for k in range(n):
        z[k, 0] *= cH * mu[0, 0]
        for mode in range(1, modes):
            a, b, r = cH * mu[0, mode], cH * mu[1, mode], 2 * mode - 1
            x, y = z[k, r], z[k, r + 1]
            z[k, r], z[k, r + 1] = a * x - b * y, a * y + b * x
    dots(newton.columns, m, z, n, change)
    for i in range(m):
        for q in range(2 * modes - 1):
            Z[i, q] -= change[i, q]
