"""Newton's matrix of a collocation step, taken apart into its modes.

In the stages' increments of lambda the matrix is I + H T (x) K, with T = D^-1 of Radau's nodes and
K = A diag(c d psi / d tau) A^T at one stage. The eigenvectors of T make of it one real system and
pairs of complex ones, I + H mu K, all in one tridiagonal form of K (`tridiagonal`). A
change of H costs new pivots only.

Coordinates whose slope cannot matter are left out of K: n active ones remain. Where n < m the
small matrix G = sqrt(d) A_S^T A_S sqrt(d) takes the place of K,

    (I + z K)^-1 = I - z A_S sqrt(d) (I + z G)^-1 sqrt(d) A_S^T.

Vectors are (m, 8): columns 0 to 3 the real parts of the modes, the real mode first, 4 to 7 the
imaginary parts; columns without a mode hold zeros.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastdln._jit import jit_inner
from fastdln.kernels.intrinsics import stay_apart
from fastdln.kernels.lanes import LANES, dots
from fastdln.kernels.octets import gram_rows, padded, reflect
from fastdln.kernels.tridiagonal import reduce_rows

__all__ = ["MODES", "Newton", "factor", "new_newton", "set_stride", "solve_modes"]

MODES = 4


class Newton(NamedTuple):
    """K at one point, in tridiagonal form, and space for it; rows are padded (`octets`)."""

    active: np.ndarray  # (N,) the n active coordinates come first
    size: np.ndarray  # (2,) n, and the rows of the matrix: n or m
    rows: np.ndarray  # (., padded m): A_S^T
    columns: np.ndarray  # flat: A_S, (m, padded n)
    root: np.ndarray  # (N,): square root of the slopes
    matrix: np.ndarray  # flat
    turns: np.ndarray  # flat: reflections
    diagonal: np.ndarray
    side: np.ndarray
    tau: np.ndarray
    pivot: np.ndarray  # (m, 8): inverse pivots of I + H mu K, real and imaginary parts
    lower: np.ndarray  # (m, 8): those times what stands beside them
    small: np.ndarray  # (m, 8)


@jit_inner
def new_newton(m, N):
    """Space, nothing in it but zeros where rows are padded and where no mode is."""
    high, wide = padded(m), padded(N)
    rows = np.empty((wide, high))
    for k in range(wide):
        for i in range(m, high):
            rows[k, i] = 0.0
    return Newton(
        np.empty(N, np.int64), np.zeros(2, np.int64), rows, np.empty(high * wide), np.empty(N),
        np.empty(high * high), np.empty(high * high), np.empty(m), np.zeros(m), np.empty(m),
        np.zeros((m, LANES)), np.zeros((m, LANES)), np.empty((m, LANES)),
    )  # fmt: skip


@jit_inner
def _square(space, size):
    """A matrix of `size` rows, padded, in flat space; rows up to the next four belong to it."""
    width, high = padded(size), (size + 3) // 4 * 4
    return space[: high * width].reshape(high, width)


@jit_inner
def _gram(left, right, size, n, out):
    """``out = left[:, :n] @ right[:n]``, which is symmetric."""
    stay_apart()
    for i in range(0, size, 4):
        gram_rows(left, i, right, n, i - i % LANES, out)
    for i in range(size):
        row, whole = out[i], i - i % LANES
        for j in range(whole):
            row[j] = out[j, i]


@jit_inner
def _active(squares, slope, stages, stage, least, newton):
    """Coordinates whose part of K reaches `least` at any of the stages; how many."""
    stay_apart()
    n = 0
    for j in range(squares.size):
        d, most = slope[j], 0.0
        for q in range(stages):
            most = d[q] if d[q] > most else most
        if most * squares[j] >= least:
            newton.active[n] = j
            newton.root[n] = np.sqrt(d[stage])
            n += 1
    return n


@jit_inner
def factor(columns, squares, slope, stages, stage, least, newton):
    """K of the slopes at one stage; coordinates count whose part of it reaches `least` at any."""
    stay_apart()
    m = columns.shape[1]
    n = _active(squares, slope, stages, stage, least, newton)
    size = min(n, m)
    newton.size[0], newton.size[1] = n, size
    if size == 0:
        return
    for k in range(n):
        source, target, root = columns[newton.active[k]], newton.rows[k], newton.root[k]
        for i in range(m):
            target[i] = root * source[i]
    width = padded(n)
    across, G = newton.columns[: m * width].reshape(m, width), _square(newton.matrix, size)
    for i in range(m):
        row = across[i]
        for k in range(n):
            row[k] = newton.rows[k, i]
        for k in range(n, width):
            row[k] = 0.0
    if n < m:
        _gram(newton.rows, across, size, m, G)
    else:
        _gram(_whole(newton.columns, m, width), newton.rows, size, n, G)
    reduce_rows(G, size, newton.diagonal, newton.side, newton.tau, _square(newton.turns, size))


@jit_inner
def _whole(space, m, width):
    """The same matrix, with rows up to the next four."""
    high = (m + 3) // 4 * 4
    return space[: high * width].reshape(high, width)


@jit_inner
def set_stride(mu, cH, newton):
    """Inverse pivots of I + cH mu K for every mode."""
    stay_apart()
    diagonal, side, pivot, lower = newton.diagonal, newton.side, newton.pivot, newton.lower
    for mode in range(mu.shape[1]):
        a, b = cH * mu[0, mode], cH * mu[1, mode]
        e, f, c, d = 0.0, 0.0, 0.0, 0.0
        for k in range(newton.size[1]):
            x = 1.0 + a * diagonal[k] - (c * e - d * f)
            y = b * diagonal[k] - (c * f + d * e)
            if abs(x) >= abs(y):  # (Smith): no square overflows
                ratio = y / x
                scale = 1.0 / (x + y * ratio)
                re, im = scale, -ratio * scale
            else:
                ratio = x / y
                scale = 1.0 / (y + x * ratio)
                re, im = ratio * scale, -scale
            pivot[k, mode], pivot[k, MODES + mode] = re, im
            c, d = a * side[k], b * side[k]
            e, f = c * re - d * im, c * im + d * re
            lower[k, mode], lower[k, MODES + mode] = e, f


@jit_inner
def _solve_tridiagonal(newton, Z):
    """All modes side by side, real and imaginary parts in registers from row to row."""
    stay_apart()
    n, pivot, lower = newton.size[1], newton.pivot, newton.lower
    for k in range(1, n):
        for q in range(MODES):
            a, b = lower[k - 1, q], lower[k - 1, MODES + q]
            x, y = Z[k - 1, q], Z[k - 1, MODES + q]
            Z[k, q] -= a * x - b * y
            Z[k, MODES + q] -= a * y + b * x
    for k in range(n - 1, -1, -1):
        for q in range(MODES):
            a, b, x, y = pivot[k, q], pivot[k, MODES + q], Z[k, q], Z[k, MODES + q]
            re, im = a * x - b * y, a * y + b * x
            if k < n - 1:
                c, d = lower[k, q], lower[k, MODES + q]
                u, v = Z[k + 1, q], Z[k + 1, MODES + q]
                re -= c * u - d * v
                im -= c * v + d * u
            Z[k, q], Z[k, MODES + q] = re, im


@jit_inner
def _turn_and_solve(newton, Z):
    """``Z = (I + cH mu T)^-1 Z`` in the form that `factor` left: turned, solved, turned back."""
    size = newton.size[1]
    turns, tau = _square(newton.turns, size), newton.tau
    for k in range(size - 2):
        if tau[k] != 0.0:
            reflect(turns[k], k + 1, size, tau[k], Z)
    _solve_tridiagonal(newton, Z)
    for k in range(size - 3, -1, -1):
        if tau[k] != 0.0:
            reflect(turns[k], k + 1, size, tau[k], Z)


@jit_inner
def solve_modes(mu, cH, newton, Z):
    """Overwrite Z (m, 8) by the solution of ``(I + cH mu K) X = Z``."""
    stay_apart()
    n, m = newton.size[0], Z.shape[0]
    if n == 0:
        return
    if n >= m:
        _turn_and_solve(newton, Z)
        return
    width = padded(n)
    across = newton.columns[: m * width].reshape(m, width)
    z, change = newton.small, np.empty((m, LANES))
    dots(newton.rows, n, Z, m, z)
    _turn_and_solve(newton, z)
    for k in range(n):
        for mode in range(mu.shape[1]):
            a, b = cH * mu[0, mode], cH * mu[1, mode]
            x, y = z[k, mode], z[k, MODES + mode]
            z[k, mode], z[k, MODES + mode] = a * x - b * y, a * y + b * x
    dots(across, m, z, n, change)
    for i in range(m):
        for q in range(LANES):
            Z[i, q] -= change[i, q]
